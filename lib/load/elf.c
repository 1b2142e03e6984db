/* SPDX-License-Identifier: MIT */
/*
 * ELF executables, 32 and 64 bit, both byte orders (System V gABI, chapters 4 and 5): PT_LOAD
 * segments by physical address. Linked at physical address 0, an ELF file is taken as movable when
 * it is ET_DYN (firmware) or a RISC-V kernel, whose virt boards have no RAM there.
 * Sections, symbols and relocations are not looked at.
 */
#include "base/bytes.h"
#include "base/error.h"
#include "load/load_priv.h"

enum { ET_EXEC = 2, ET_DYN = 3, PT_LOAD = 1, PT_INTERP = 3, PF_X = 1, PF_W = 2, PF_R = 4, PT_GNU_PROPERTY = 0x6474e553,
       EM_AARCH64 = 183, EM_RISCV = 243 };

typedef struct Elf {
    const uint8_t *data;
    uint64_t size;
    bool is64, big;
} Elf;

typedef struct Phdr {
    uint32_t type, flags;
    uint64_t offset, vaddr, paddr, filesz, memsz;
} Phdr;

typedef struct Ehdr {
    unsigned type, machine, phentsize, phnum;
    uint64_t entry, phoff;
} Ehdr;

static unsigned get16(const Elf *e, uint64_t at)
{
    return e->big ? ld_be16(e->data + at) : ld_le16(e->data + at);
}

static uint32_t get32(const Elf *e, uint64_t at)
{
    return e->big ? ld_be32(e->data + at) : ld_le32(e->data + at);
}

static uint64_t get64(const Elf *e, uint64_t at)
{
    return e->big ? ld_be64(e->data + at) : ld_le64(e->data + at);
}

/* A field of the class's word size: at32 or at64. */
static uint64_t get_word(const Elf *e, uint64_t base, unsigned at32, unsigned at64)
{
    return e->is64 ? get64(e, base + at64) : get32(e, base + at32);
}

static const struct {
    uint16_t machine;
    uint8_t elf_class; /* 0: either */
    int8_t big;        /* -1: either */
    const char *arch;
} elf_archs[] = {
    { EM_RISCV, 64, 0, "riscv64" }, { EM_RISCV, 32, 0, "riscv32" }, { 183, 64, -1, "aarch64" },
    { 40, 32, -1, "arm" },          { 62, 0, 0, "x86_64" },         { 3, 32, 0, "i386" },
    { 21, 64, -1, "ppc64" },        { 20, 32, -1, "ppc" },          { 22, 64, 1, "s390x" },
    { 8, 64, 1, "mips64" },         { 8, 64, 0, "mips64el" },       { 8, 32, 1, "mips" },
    { 8, 32, 0, "mipsel" },         { 43, 64, 1, "sparc64" },       { 2, 32, 1, "sparc" },
    { 15, 0, 1, "hppa" },           { 92, 32, 1, "or1k" },          { 42, 32, 0, "sh4" },
    { 42, 32, 1, "sh4eb" },         { 4, 32, 1, "m68k" },           { 258, 64, 0, "loongarch64" },
    { 94, 32, 0, "xtensa" },        { 94, 32, 1, "xtensaeb" },      { 0x9026, 64, 0, "alpha" },
    { 189, 32, 1, "microblaze" },   { 189, 32, 0, "microblazeel" },
};

const char *load_elf_arch(unsigned machine, unsigned elf_class, bool big_endian)
{
    for (size_t i = 0; i < G_N_ELEMENTS(elf_archs); i++) {
        if (elf_archs[i].machine == machine &&
            (!elf_archs[i].elf_class || elf_archs[i].elf_class == elf_class) &&
            (elf_archs[i].big < 0 || elf_archs[i].big == (int)big_endian))
            return elf_archs[i].arch;
    }
    return NULL;
}

bool load_elf_identify(const uint8_t *data, size_t size, LoadIdentity *id)
{
    if (size < 4 || memcmp(data, "\177ELF", 4))
        return false;
    id->kind = LOAD_ELF;
    id->arch = NULL;
    if (size >= 20 && (data[4] == 1 || data[4] == 2) && (data[5] == 1 || data[5] == 2)) {
        Elf e = { data, size, data[4] == 2, data[5] == 2 };
        id->arch = load_elf_arch(get16(&e, 18), e.is64 ? 64 : 32, e.big);
    }
    return true;
}

static bool read_ehdr(Elf *e, Ehdr *h, GError **error)
{
    if (e->size < 16 || (e->data[4] != 1 && e->data[4] != 2) ||
        (e->data[5] != 1 && e->data[5] != 2))
        return fail(error, "ELF header: bad class or byte order at offset 4");
    e->is64 = e->data[4] == 2;
    e->big = e->data[5] == 2;
    unsigned need = e->is64 ? 64 : 52;
    if (e->size < need)
        return fail(error, "ELF header: the file ends at offset %" G_GUINT64_FORMAT " of %u",
                    e->size, need);
    h->type = get16(e, 16);
    h->machine = get16(e, 18);
    h->entry = get_word(e, 0, 24, 24);
    h->phoff = get_word(e, 0, 28, 32);
    h->phentsize = get16(e, e->is64 ? 54 : 42);
    h->phnum = get16(e, e->is64 ? 56 : 44);
    if (h->type != ET_EXEC && h->type != ET_DYN)
        return fail(error, "ELF header: type %u is not an executable", h->type);
    if (!h->phnum)
        return fail(error, "ELF header: no program headers, nothing to load");
    if (h->phnum > LOAD_SEGMENTS_MAX)
        return fail(error, "ELF header: %u program headers, at most %u can be used", h->phnum,
                    LOAD_SEGMENTS_MAX);
    if (h->phentsize < (e->is64 ? 56u : 32u))
        return fail(error, "ELF header: program headers of %u bytes are too small", h->phentsize);
    uint64_t table = (uint64_t)h->phnum * h->phentsize;
    if (h->phoff > e->size || table > e->size - h->phoff)
        return fail(error, "ELF program headers at offset %" G_GUINT64_FORMAT
                    " go past the end of the file (%" G_GUINT64_FORMAT " bytes)",
                    h->phoff, e->size);
    return true;
}

static void read_phdr(const Elf *e, uint64_t at, Phdr *p)
{
    p->type = get32(e, at);
    p->flags = get32(e, at + (e->is64 ? 4 : 24));
    p->offset = get_word(e, at, 4, 8);
    p->vaddr = get_word(e, at, 8, 16);
    p->paddr = get_word(e, at, 12, 24);
    p->filesz = get_word(e, at, 16, 32);
    p->memsz = get_word(e, at, 20, 40);
}

static bool check_phdr(const Elf *e, const Phdr *p, unsigned n, GError **error)
{
    uint64_t top = e->is64 ? UINT64_MAX : UINT32_MAX;
    if (p->memsz < p->filesz)
        return fail(error, "ELF segment %u: %" G_GUINT64_FORMAT " bytes in the file but %"
                    G_GUINT64_FORMAT " in memory", n, p->filesz, p->memsz);
    if (p->offset > e->size || p->filesz > e->size - p->offset)
        return fail(error, "ELF segment %u at offset %" G_GUINT64_FORMAT " (%" G_GUINT64_FORMAT
                    " bytes) goes past the end of the file (%" G_GUINT64_FORMAT " bytes)",
                    n, p->offset, p->filesz, e->size);
    if (p->paddr > top || p->memsz - 1 > top - p->paddr)
        return fail(error, "ELF segment %u at address 0x%" G_GINT64_MODIFIER "x wraps around", n,
                    p->paddr);
    return true;
}

bool load_elf(LoadImage *image, GBytes *bytes, GError **error)
{
    gsize size;
    Elf e = { .data = g_bytes_get_data(bytes, &size) };
    Ehdr h = { 0 };
    e.size = size;
    if (!read_ehdr(&e, &h, error))
        return false;
    image->segments = g_new0(LoadSegment, h.phnum);
    image->entry = h.entry;
    uint64_t low = UINT64_MAX, last = 0;
    bool entry_found = false;
    for (unsigned i = 0; i < h.phnum; i++) {
        Phdr p;
        read_phdr(&e, h.phoff + (uint64_t)i * h.phentsize, &p);
        if (p.type != PT_LOAD || !p.memsz)
            continue;
        if (!check_phdr(&e, &p, i, error))
            return false;
        LoadSegment *s = &image->segments[image->count++];
        s->addr = p.paddr;
        s->mem_size = p.memsz;
        s->data = g_bytes_new_from_bytes(bytes, p.offset, p.filesz);
        low = MIN(low, p.paddr);
        last = MAX(last, p.paddr + (p.memsz - 1));
        /* Kernels are linked at virtual addresses and entered at physical ones. */
        if (!entry_found && (p.flags & PF_X) && h.entry >= p.vaddr && h.entry - p.vaddr < p.memsz) {
            image->entry = h.entry - p.vaddr + p.paddr;
            entry_found = true;
        }
    }
    if (!image->count)
        return fail(error, "ELF file: no segment to load");
    image->placed = !(low == 0 && (h.type == ET_DYN || h.machine == EM_RISCV));
    image->mem_size = last - low == UINT64_MAX ? UINT64_MAX : last - low + 1;
    return true;
}

/* ---- Programs of an operating system --------------------------------------------- */

#define PAGE UINT64_C(4096)
#define ALIGN_MAX ((uint64_t)1 << 30)
#define INTERPRETER_MAX 4096

static bool read_interpreter(const Elf *e, const Phdr *p, LoadProgram *program, GError **error)
{
    if (program->interpreter)
        return fail(error, "two interpreters are named");
    if (p->filesz < 2 || p->filesz > INTERPRETER_MAX || p->offset > e->size ||
        p->filesz > e->size - p->offset || e->data[p->offset + p->filesz - 1])
        return fail(error, "the interpreter's name at offset %" G_GUINT64_FORMAT " is not one",
                    p->offset);
    program->interpreter = g_strdup((const char *)e->data + p->offset);
    return true;
}

static bool add_segment(const Elf *e, const Ehdr *h, const Phdr *p, unsigned n,
                        LoadProgram *program, GError **error)
{
    LoadProgramSegment *s = &program->segments[program->count];
    uint64_t align = get_word(e, h->phoff + (uint64_t)n * h->phentsize, 28, 48);
    if (!check_phdr(e, p, n, error))
        return false;
    if (p->vaddr > INT64_MAX || p->memsz > INT64_MAX - p->vaddr - PAGE)
        return fail(error, "ELF segment %u at address 0x%" G_GINT64_MODIFIER "x wraps around", n,
                    p->vaddr);
    if (p->filesz && (p->vaddr & (PAGE - 1)) != (p->offset & (PAGE - 1)))
        return fail(error, "ELF segment %u: offset 0x%" G_GINT64_MODIFIER "x and address 0x%"
                    G_GINT64_MODIFIER "x differ within a page", n, p->offset, p->vaddr);
    if (program->count && p->vaddr < s[-1].addr + s[-1].mem_size)
        return fail(error, "ELF segment %u at address 0x%" G_GINT64_MODIFIER
                    "x lies within or below the one before", n, p->vaddr);
    if (align > program->align && align <= ALIGN_MAX && !(align & (align - 1)))
        program->align = align;
    *s = (LoadProgramSegment){p->vaddr, p->offset, p->filesz, p->memsz, p->flags & PF_R,
                              p->flags & PF_W, p->flags & PF_X};
    if (!program->count++)
        program->low = p->vaddr & ~(PAGE - 1);
    program->high = (p->vaddr + p->memsz + PAGE - 1) & ~(PAGE - 1);
    uint64_t table = (uint64_t)h->phnum * h->phentsize;
    if (!program->phdr_addr && h->phoff >= p->offset && h->phoff - p->offset <= p->filesz &&
        table <= p->filesz - (h->phoff - p->offset))
        program->phdr_addr = p->vaddr + (h->phoff - p->offset);
    return true;
}

/* PT_GNU_PROPERTY: a note with properties, each a type and a size before it. What is damaged says nothing. */
static uint32_t read_features(const Elf *e, const Phdr *p)
{
    const uint64_t head = 16, align = e->is64 ? 8 : 4;
    const uint32_t feature_1_and = 0xc0000000;
    if (p->filesz < head || p->offset > e->size || p->filesz > e->size - p->offset || get32(e, p->offset) != 4 ||
        get32(e, p->offset + 8) != 5 || memcmp(e->data + p->offset + 12, "GNU", 4))
        return 0;
    for (uint64_t at = head; p->filesz - at >= 12;) {
        uint64_t size = get32(e, p->offset + at + 4), step = (8 + size + align - 1) & ~(align - 1);
        if (get32(e, p->offset + at) == feature_1_and && size == 4)
            return get32(e, p->offset + at + 8);
        if (step > p->filesz - at)
            break;
        at += step;
    }
    return 0;
}

static bool read_program(const Elf *e, const Ehdr *h, LoadProgram *program, GError **error)
{
    program->segments = g_new0(LoadProgramSegment, h->phnum);
    for (unsigned i = 0; i < h->phnum; i++) {
        Phdr p;
        read_phdr(e, h->phoff + (uint64_t)i * h->phentsize, &p);
        if (p.type == PT_INTERP && !read_interpreter(e, &p, program, error))
            return false;
        if (p.type == PT_GNU_PROPERTY && h->machine == EM_AARCH64)
            program->features = read_features(e, &p);
        if (p.type == PT_LOAD && p.memsz && !add_segment(e, h, &p, i, program, error))
            return false;
    }
    return program->count ? true : fail(error, "ELF file: no segment to load");
}

LoadProgram *load_program(const uint8_t *data, size_t size, const char *name, GError **error)
{
    g_autoptr(LoadProgram) program = g_new0(LoadProgram, 1);
    Elf e = {.data = data, .size = size};
    Ehdr h = {0};
    if (!load_elf_identify(data, size, &program->id)) {
        fail(error, "%s: not an ELF file", name);
        return NULL;
    }
    if (!read_ehdr(&e, &h, error)) {
        prefix(error, "%s", name);
        return NULL;
    }
    program->machine = h.machine;
    program->elf_class = e.is64 ? 64 : 32;
    program->big_endian = e.big;
    program->movable = h.type == ET_DYN;
    program->entry = h.entry;
    program->phdr_size = h.phentsize;
    program->phdr_count = h.phnum;
    program->align = PAGE;
    if (!read_program(&e, &h, program, error)) {
        prefix(error, "%s", name);
        return NULL;
    }
    return g_steal_pointer(&program);
}

void load_program_free(LoadProgram *program)
{
    if (!program)
        return;
    g_free(program->interpreter);
    g_free(program->segments);
    g_free(program);
}
