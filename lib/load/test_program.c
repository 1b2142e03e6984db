/* SPDX-License-Identifier: MIT */
/* Programs: what of an ELF file is used, and every way in which one is refused. */
#include <elf.h>
#include <string.h>

#include "load/load.h"

enum { HEADERS = 4, FILE_SIZE = 0x3000 };

typedef struct File {
    Elf64_Ehdr eh;
    Elf64_Phdr ph[HEADERS];
    char interpreter[32];
    uint8_t rest[FILE_SIZE - sizeof(Elf64_Ehdr) - HEADERS * sizeof(Elf64_Phdr) - 32];
} File;

/* Text from 0x10000, data from 0x12800 with zeros behind, an interpreter. */
static void make(File *f)
{
    memset(f, 0, sizeof *f);
    memcpy(f->eh.e_ident, ELFMAG, SELFMAG);
    f->eh.e_ident[EI_CLASS] = ELFCLASS64;
    f->eh.e_ident[EI_DATA] = ELFDATA2LSB;
    f->eh.e_type = ET_EXEC;
    f->eh.e_machine = EM_RISCV;
    f->eh.e_entry = 0x10200;
    f->eh.e_phoff = sizeof f->eh;
    f->eh.e_phentsize = sizeof *f->ph;
    f->eh.e_phnum = HEADERS;
    strcpy(f->interpreter, "/lib/ld.so");
    f->ph[0] = (Elf64_Phdr){.p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_vaddr = 0x10000,
                            .p_filesz = 0x1000, .p_memsz = 0x1000, .p_align = 0x1000};
    f->ph[1] = (Elf64_Phdr){.p_type = PT_LOAD, .p_flags = PF_R | PF_W, .p_offset = 0x1800,
                            .p_vaddr = 0x12800, .p_filesz = 0x100, .p_memsz = 0x4000,
                            .p_align = 0x10000};
    f->ph[2] = (Elf64_Phdr){.p_type = PT_INTERP, .p_offset = offsetof(File, interpreter),
                            .p_filesz = 11, .p_memsz = 11};
    f->ph[3] = (Elf64_Phdr){.p_type = PT_GNU_STACK};
}

static void test_accepted(void)
{
    File f;
    g_autoptr(GError) error = NULL;
    make(&f);
    g_autoptr(LoadProgram) p = load_program((uint8_t *)&f, sizeof f, "prog", &error);
    g_assert_no_error(error);
    g_assert_cmpuint(p->machine, ==, EM_RISCV);
    g_assert_cmpstr(p->id.arch, ==, "riscv64");
    g_assert_false(p->movable);
    g_assert_cmphex(p->entry, ==, 0x10200);
    g_assert_cmphex(p->low, ==, 0x10000);
    g_assert_cmphex(p->high, ==, 0x17000);
    g_assert_cmphex(p->align, ==, 0x10000);
    g_assert_cmphex(p->phdr_addr, ==, 0x10000 + sizeof f.eh);
    g_assert_cmpuint(p->phdr_count, ==, HEADERS);
    g_assert_cmpstr(p->interpreter, ==, "/lib/ld.so");
    g_assert_cmpuint(p->count, ==, 2);
    g_assert_true(p->segments[0].execute && !p->segments[0].write);
    g_assert_true(p->segments[1].write && !p->segments[1].execute);
    g_assert_cmphex(p->segments[1].mem_size, ==, 0x4000);
}

static void refused(File *f, size_t size, const char *why)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(LoadProgram) p = load_program((uint8_t *)f, size, "prog", &error);
    g_assert_null(p);
    g_assert_nonnull(error);
    if (!strstr(error->message, why) || !g_str_has_prefix(error->message, "prog: "))
        g_error("'%s' does not say '%s'", error->message, why);
}

static void test_refused(void)
{
    File f;
#define TRY(change, why) \
    do { make(&f); change; refused(&f, sizeof f, why); } while (0)
    make(&f);
    refused(&f, 3, "not an ELF file");
    refused(&f, 40, "the file ends at offset");
    refused(&f, 0x100, "past the end of the file");
    TRY(f.eh.e_ident[0] = 'M', "not an ELF file");
    TRY(f.eh.e_ident[EI_CLASS] = 9, "bad class");
    TRY(f.eh.e_type = ET_REL, "not an executable");
    TRY(f.eh.e_phnum = 0, "no program headers");
    TRY(f.eh.e_phoff = UINT64_MAX - 8, "past the end of the file");
    TRY(f.eh.e_phentsize = 8, "too small");
    TRY(f.ph[0].p_type = f.ph[1].p_type = PT_NOTE, "no segment to load");
    TRY(f.ph[1].p_filesz = 0x5000, "in memory");
    TRY(f.ph[1].p_offset = 0x2fff800, "past the end of the file");
    TRY(f.ph[1].p_vaddr = 0x10800, "within or below the one before");
    TRY(f.ph[1].p_vaddr = 0x1800, "within or below the one before");
    TRY(f.ph[1].p_vaddr = 0x12900, "differ within a page");
    TRY(f.ph[1].p_memsz = INT64_MAX, "wraps around");
    TRY(f.ph[1].p_vaddr = UINT64_MAX - 0x7ff, "wraps around");
    TRY(f.ph[2].p_filesz = 10, "the interpreter's name");
    TRY(f.ph[2].p_filesz = 1, "the interpreter's name");
    TRY(f.ph[2].p_offset = 1u << 30, "the interpreter's name");
    TRY(f.ph[3] = f.ph[2], "two interpreters");
#undef TRY
}

/* The property that says whether code may be guarded; damage says that it may not. */
static void test_features(void)
{
    static const uint32_t note[] = {4, 32, 5, 0x00554e47 /* GNU */, 0xc0000001, 4, 7, 0, 0xc0000000, 4, 3, 0};
    static const struct { unsigned at; uint32_t value, features; } changes[] = {
        {0, 4, 3}, {10, 1, 1}, {8, 0xc0000002, 0}, {0, 5, 0}, {2, 4, 0}, {3, 0, 0}, {5, 1000, 0}, {5, UINT32_MAX, 0},
        {9, 8, 0},
    };
    File f;
    for (unsigned i = 0; i < G_N_ELEMENTS(changes); i++) {
        g_autoptr(GError) error = NULL;
        make(&f);
        f.eh.e_machine = EM_AARCH64;
        f.ph[3] = (Elf64_Phdr){.p_type = PT_GNU_PROPERTY, .p_offset = 0x2000, .p_filesz = sizeof note};
        memcpy((uint8_t *)&f + 0x2000, note, sizeof note);
        memcpy((uint8_t *)&f + 0x2000 + 4 * changes[i].at, &changes[i].value, 4);
        g_autoptr(LoadProgram) p = load_program((uint8_t *)&f, sizeof f, "prog", &error);
        g_assert_no_error(error);
        g_assert_cmphex(p->features, ==, changes[i].features);
        f.ph[3].p_offset = UINT64_MAX - 8;
        g_autoptr(LoadProgram) outside = load_program((uint8_t *)&f, sizeof f, "prog", NULL);
        g_assert_cmphex(outside ? outside->features : 0, ==, 0);
        f.ph[3].p_offset = 0x2000;
        f.eh.e_machine = EM_RISCV;
        g_autoptr(LoadProgram) other = load_program((uint8_t *)&f, sizeof f, "prog", NULL);
        g_assert_cmphex(other->features, ==, 0);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/program/accepted", test_accepted);
    g_test_add_func("/program/refused", test_refused);
    g_test_add_func("/program/features", test_features);
    return g_test_run();
}
