/* SPDX-License-Identifier: MIT */
/*
 * From files to a program in memory: finds the ISA by the ELF header, maps the program and its
 * interpreter, the vDSO, the heap and the stack where Linux has them, and fills the stack (System V
 * ABI: argument count, arguments, environment, auxiliary vector, strings).
 */
#include <fcntl.h>
#include <elf.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "linux/call_priv.h"
#include "load/load.h"

#define PAGE UINT64_C(4096)
#define PAGE_UP(x) (((x) + PAGE - 1) & ~(PAGE - 1))
#define STACK_DEFAULT ((uint64_t)8 << 20)
#define STACK_MAX ((uint64_t)1 << 30)
#define STACK_LEAST ((uint64_t)128 << 10)
#define ENOUGH_FOR_HEADERS ((size_t)1 << 16) /* of files that are longer, only what is named is read */

typedef struct Image {
    char *name;   /* for messages */
    int fd;
    LoadProgram *elf;
    uint64_t base; /* added to its addresses */
    int code_prot; /* more rights of its code */
} Image;

struct LinuxImages {
    Image program, interpreter;
};

static void image_clear(Image *i)
{
    g_free(i->name);
    load_program_free(i->elf);
    if (i->fd >= 0)
        close(i->fd);
}

void loader_close(LinuxImages *images)
{
    if (!images)
        return;
    image_clear(&images->program);
    image_clear(&images->interpreter);
    g_free(images);
}

/* ---- Opening ------------------------------------------------------------------------- */

static bool read_headers(Image *i, int *status, GError **error)
{
    struct stat st;
    *status = 126;
    if (fstat(i->fd, &st) < 0)
        return fail_errno(error, errno, "%s", i->name);
    if (S_ISDIR(st.st_mode))
        return fail_errno(error, EISDIR, "%s", i->name);
    if (!S_ISREG(st.st_mode))
        return fail(error, "%s: not a regular file", i->name);
    if (!st.st_size)
        return fail(error, "%s: empty file", i->name);
    void *data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, i->fd, 0);
    if (data == MAP_FAILED)
        return fail_errno(error, errno, "%s", i->name);
    i->elf = load_program(data, (size_t)st.st_size, i->name, error);
    munmap(data, (size_t)st.st_size);
    return i->elf != NULL;
}

static bool open_image(Image *i, const char *path, int fd, const char *name, int *status,
                       GError **error)
{
    i->name = g_strdup(name);
    i->fd = fd >= 0 ? fd : open(path, O_RDONLY | O_CLOEXEC);
    if (i->fd < 0) {
        *status = errno == ENOENT || errno == ENOTDIR ? 127 : 126;
        return fail_errno(error, errno, "%s", name);
    }
    return read_headers(i, status, error);
}

static bool choose_isa(LinuxProcess *p, const Image *i, GError **error)
{
    const LoadProgram *e = i->elf;
    p->isa = guest_isa_by_elf(e->machine, e->elf_class, e->big_endian);
    p->abi = p->isa ? linux_abi_find(p->isa->name) : NULL;
    if (!p->abi || !p->isa->user)
        return fail(error, "%s: built for %s (ELF machine %u, %u bits), which is not there yet",
                    i->name, e->id.arch ? e->id.arch : "an unknown machine", e->machine,
                    e->elf_class);
    return true;
}

static bool open_interpreter(LinuxProcess *p, LinuxImages *images, int *status, GError **error)
{
    const Image *program = &images->program;
    Image *i = &images->interpreter;
    if (!program->elf->interpreter)
        return true;
    g_autofree char *path = path_host(p, program->elf->interpreter);
    if (!open_image(i, path, -1, program->elf->interpreter, status, error)) {
        *status = 127;
        return prefix(error, "%s: its interpreter cannot be used (is -L right?)", program->name);
    }
    *status = 126;
    if (i->elf->machine != program->elf->machine || i->elf->elf_class != program->elf->elf_class ||
        i->elf->big_endian != program->elf->big_endian)
        return fail(error, "%s: its interpreter %s is for another machine (is -L right?)",
                    program->name, i->name);
    if (i->elf->interpreter)
        return fail(error, "%s: an interpreter that asks for an interpreter", i->name);
    return true;
}

LinuxImages *loader_open(LinuxProcess *p, int *status, GError **error)
{
    g_autoptr(LinuxImages) images = g_new0(LinuxImages, 1);
    const char *name = p->options.program;
    images->program.fd = images->interpreter.fd = -1;
    *status = 126;
    g_autofree char *host = path_host(p, name);
    if (p->options.program_fd >= 0) {
        g_free(host);
        host = g_strdup_printf("/proc/self/fd/%d", p->options.program_fd);
    }
    p->exe_host = realpath(host, NULL);
    p->exe = g_strdup(p->exe_host ? p->exe_host : name);
    if (p->sysroot && g_str_has_prefix(p->exe, p->sysroot) && p->exe[strlen(p->sysroot)] == '/' &&
        *name == '/' && strcmp(host, name) && p->options.program_fd < 0) {
        g_free(p->exe);
        p->exe = g_strdup(name);
    }
    if (!open_image(&images->program, host, p->options.program_fd, name, status, error) ||
        !choose_isa(p, &images->program, error) || !open_interpreter(p, images, status, error))
        return NULL;
    return g_steal_pointer(&images);
}

/* ---- Mapping ------------------------------------------------------------------------------ */

static int prot_of(const Image *i, const LoadProgramSegment *s)
{
    return (s->read ? PROT_READ : 0) | (s->write ? PROT_WRITE : 0) |
           (s->execute ? PROT_EXEC | i->code_prot : 0);
}

/* Memory behind the file's bytes: the rest of the last page, which must be zero, and more pages. */
static bool map_zeros(LinuxMm *mm, const LoadProgramSegment *s, uint64_t base, int prot)
{
    uint64_t data_end = base + s->addr + s->file_size, end = PAGE_UP(base + s->addr + s->mem_size);
    uint64_t page_end = s->file_size ? PAGE_UP(data_end) : (base + s->addr) & ~(PAGE - 1);
    if (s->file_size && s->mem_size > s->file_size && page_end > data_end) {
        if (!(prot & PROT_WRITE) && mprotect(guest_ptr(page_end - PAGE), PAGE,
                                             PROT_READ | PROT_WRITE) < 0)
            return false;
        memset(guest_ptr(data_end), 0, page_end - data_end);
        if (!(prot & PROT_WRITE) && mprotect(guest_ptr(page_end - PAGE), PAGE, PROT_READ) < 0)
            return false;
    }
    return end <= page_end ||
           mm_mmap(mm, page_end, end - page_end, prot, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1,
                   0, VMA_PLAIN) >= 0;
}

static bool map_segment(LinuxMm *mm, const Image *i, const LoadProgramSegment *s)
{
    uint64_t start = (i->base + s->addr) & ~(PAGE - 1), skip = s->addr & (PAGE - 1);
    int prot = prot_of(i, s);
    if (s->file_size &&
        mm_mmap(mm, start, skip + s->file_size, prot, MAP_FIXED | MAP_PRIVATE, i->fd,
                s->offset - skip, VMA_PLAIN) < 0)
        return false;
    return map_zeros(mm, s, i->base, prot);
}

/* Room for the whole image first, so that its parts lie where they belong to each other. at: where a
   movable one is wanted, 0: anywhere. */
static bool map_image(LinuxMm *mm, Image *i, uint64_t at, GError **error)
{
    const LoadProgram *e = i->elf;
    uint64_t size = e->high - e->low, room = size + (e->align > PAGE ? e->align : 0);
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    if (!e->movable) {
        int64_t got = mm_mmap(mm, e->low, size, PROT_NONE, flags | MAP_FIXED_NOREPLACE, -1, 0,
                              VMA_PLAIN);
        if (got < 0)
            return fail_errno(error, (int)-got, "%s: cannot map it at 0x%" G_GINT64_MODIFIER
                              "x..0x%" G_GINT64_MODIFIER "x, where it is linked", i->name, e->low,
                              e->high);
    } else {
        int64_t got = mm_mmap(mm, at, room, PROT_NONE, flags, -1, 0, VMA_PLAIN);
        if (got < 0)
            return fail_errno(error, (int)-got, "%s: no room for %" G_GUINT64_FORMAT " bytes",
                              i->name, room);
        uint64_t base = ((uint64_t)got + e->align - 1) & ~(e->align - 1);
        if (base > (uint64_t)got)
            mm_munmap(mm, (uint64_t)got, base - (uint64_t)got);
        if ((uint64_t)got + room > base + size)
            mm_munmap(mm, base + size, (uint64_t)got + room - base - size);
        i->base = base - e->low;
    }
    for (size_t n = 0; n < e->count; n++)
        if (!map_segment(mm, i, &e->segments[n]))
            return fail_errno(error, errno, "%s: cannot map segment %zu", i->name, n);
    /* what lies between the segments is nobody's */
    for (size_t n = 1; n < e->count; n++) {
        uint64_t from = PAGE_UP(i->base + e->segments[n - 1].addr + e->segments[n - 1].mem_size);
        uint64_t to = (i->base + e->segments[n].addr) & ~(PAGE - 1);
        if (to > from)
            mm_munmap(mm, from, to - from);
    }
    return true;
}

static void random_bytes(LinuxProcess *p, uint8_t *out, size_t size)
{
    if (!p->options.seeded && getrandom(out, size, 0) == (ssize_t)size)
        return;
    uint64_t x = p->options.seed + UINT64_C(0x9e3779b97f4a7c15);
    for (size_t i = 0; i < size; i++) { /* xorshift64* */
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        out[i] = (uint8_t)((x * UINT64_C(2685821657736338717)) >> 56);
    }
}

static bool map_vdso(LinuxProcess *p, GError **error)
{
    uint64_t sigreturn;
    if (getrandom(&p->vdso_key, sizeof p->vdso_key, 0) != sizeof p->vdso_key)
        return fail_errno(error, errno, "no random bytes");
    g_autoptr(GBytes) image = p->abi->vdso(p->vdso_key, &sigreturn);
    gsize size;
    const void *data = g_bytes_get_data(image, &size);
    int64_t at = mm_mmap(&p->mm, 0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                         0, VMA_VDSO);
    if (at < 0)
        return fail_errno(error, (int)-at, "no room for the vDSO");
    memcpy(guest_ptr((uint64_t)at), data, size);
    mm_mprotect(&p->mm, (uint64_t)at, size, PROT_READ | PROT_EXEC);
    p->vdso = (uint64_t)at;
    p->sigreturn = (uint64_t)at + sigreturn;
    return true;
}

/* ---- The stack ------------------------------------------------------------------------------ */

static uint64_t stack_size(const LinuxProcess *p)
{
    struct rlimit limit;
    uint64_t size = p->options.stack_size;
    if (!size)
        size = getrlimit(RLIMIT_STACK, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY
                   ? STACK_DEFAULT : limit.rlim_cur;
    return PAGE_UP(MAX(MIN(size, STACK_MAX), STACK_LEAST));
}

static bool map_stack(LinuxProcess *p, GError **error)
{
    uint64_t size = stack_size(p);
    int64_t low = mm_mmap(&p->mm, 0, size, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0, VMA_STACK);
    if (low < 0)
        return fail_errno(error, (int)-low, "no room for a stack of %" G_GUINT64_FORMAT " bytes",
                          size);
    p->stack_low = (uint64_t)low;
    p->stack_top = p->stack_low + size;
    return true;
}

typedef struct Stack {
    uint64_t low, sp;   /* grows down; sp 0: it was too small */
} Stack;

static uint64_t push(Stack *s, const void *data, size_t size)
{
    if (!s->sp || s->sp - s->low < size + 4 * PAGE) {
        s->sp = 0;
        return 0;
    }
    s->sp -= size;
    memcpy(guest_ptr(s->sp), data, size);
    return s->sp;
}

/* Strings in ascending order, so that they are one block as the kernel has it. */
static void push_strings(Stack *s, char *const *strings, GArray *addresses)
{
    guint n = g_strv_length((char **)strings);
    g_array_set_size(addresses, n);
    for (guint i = n; i-- > 0;)
        g_array_index(addresses, uint64_t, i) = push(s, strings[i], strlen(strings[i]) + 1);
}

static void add_aux(GArray *words, uint64_t type, uint64_t value)
{
    g_array_append_val(words, type);
    g_array_append_val(words, value);
}

static void fill_auxv(LinuxProcess *p, const LinuxImages *images, TranslateCpu *cpu, GArray *v,
                      uint64_t random, uint64_t execfn)
{
    const Image *program = &images->program;
    const LoadProgram *e = program->elf;
    add_aux(v, AT_SYSINFO_EHDR, p->vdso);
    add_aux(v, AT_HWCAP, p->abi->hwcap(cpu, 0));
    add_aux(v, AT_PAGESZ, PAGE);
    add_aux(v, AT_CLKTCK, (uint64_t)sysconf(_SC_CLK_TCK));
    add_aux(v, AT_PHDR, e->phdr_addr ? program->base + e->phdr_addr : 0);
    add_aux(v, AT_PHENT, e->phdr_size);
    add_aux(v, AT_PHNUM, e->phdr_count);
    add_aux(v, AT_BASE, e->interpreter ? images->interpreter.base : 0);
    add_aux(v, AT_FLAGS, 0);
    add_aux(v, AT_ENTRY, p->entry);
    add_aux(v, AT_UID, getuid());
    add_aux(v, AT_EUID, geteuid());
    add_aux(v, AT_GID, getgid());
    add_aux(v, AT_EGID, getegid());
    add_aux(v, AT_SECURE, p->options.secure);
    add_aux(v, AT_RANDOM, random);
    add_aux(v, AT_HWCAP2, p->abi->hwcap(cpu, 1));
    add_aux(v, AT_EXECFN, execfn);
    add_aux(v, AT_MINSIGSTKSZ, p->abi->stack_frame ? p->abi->stack_frame(cpu) : p->abi->min_stack_frame);
    add_aux(v, AT_NULL, 0);
}

static bool fill_stack(LinuxProcess *p, const LinuxImages *images, TranslateCpu *cpu, uint64_t *sp,
                       GError **error)
{
    g_autoptr(GArray) args = g_array_new(FALSE, TRUE, 8), env = g_array_new(FALSE, TRUE, 8);
    g_autoptr(GArray) words = g_array_new(FALSE, TRUE, 8);
    Stack s = {.low = p->stack_low, .sp = p->stack_top - 8};
    uint8_t random[16];
    uint64_t zero = 0;
    memset(guest_ptr(s.sp), 0, 8);
    uint64_t execfn = push(&s, p->options.program, strlen(p->options.program) + 1);
    p->env_end = s.sp;
    push_strings(&s, p->options.envp, env);
    p->arg_end = p->env_start = s.sp;
    push_strings(&s, p->options.argv, args);
    p->arg_start = s.sp;
    random_bytes(p, random, sizeof random);
    uint64_t random_at = push(&s, random, sizeof random);
    uint64_t count = args->len;
    g_array_append_val(words, count);
    g_array_append_vals(words, args->data, args->len);
    g_array_append_val(words, zero);
    g_array_append_vals(words, env->data, env->len);
    g_array_append_val(words, zero);
    guint auxv = words->len;
    fill_auxv(p, images, cpu, words, random_at, execfn);
    s.sp = s.sp ? (s.sp & ~UINT64_C(15)) - (words->len & 1) * 8 : 0;
    *sp = push(&s, words->data, (size_t)words->len * 8);
    if (!*sp)
        return fail(error, "the stack of %" G_GUINT64_FORMAT
                    " bytes is too small for arguments and environment",
                    p->stack_top - p->stack_low);
    p->start_stack = *sp;
    p->auxv = *sp + (uint64_t)auxv * 8;
    p->auxv_size = (uint64_t)(words->len - auxv) * 8;
    return true;
}

bool loader_load(LinuxProcess *p, LinuxImages *images, TranslateCpu *cpu, uint64_t *entry,
                 uint64_t *sp, GError **error)
{
    Image *program = &images->program, *interpreter = &images->interpreter;
    LinuxMm *mm = &p->mm;
    Image *first = interpreter->elf ? interpreter : program; /* which maps the other's rights itself */
    mm->more_prot = p->abi->more_prot ? p->abi->more_prot(cpu) : 0;
    first->code_prot = p->abi->code_prot ? p->abi->code_prot(first->elf->features) & mm->more_prot : 0;
    if (!map_stack(p, error) || !map_image(mm, program, p->abi->pie_base, error))
        return false;
    p->entry = *entry = program->base + program->elf->entry;
    mm->brk_start = mm->brk = program->base + program->elf->high;
    if (interpreter->elf) {
        if (!map_image(mm, interpreter, 0, error))
            return false;
        *entry = interpreter->base + interpreter->elf->entry;
    }
    return map_vdso(p, error) && fill_stack(p, images, cpu, sp, error);
}
