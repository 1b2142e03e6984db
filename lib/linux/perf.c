/* SPDX-License-Identifier: MIT */
/*
 * -perfmap: /tmp/perf-PID.map, a line for each piece of translated code: its host address and size and
 * the guest function that it was made from, by the symbol tables of the files that are mapped. A child
 * begins with what its parent has written.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "linux/linux_priv.h"
#include "load/load.h"

#define OUT_OF_THE_WAY 512 /* descriptors below are left to the guest, who does not see a hole then */

typedef struct Module {
    uint64_t start, end, bias; /* bias: address in memory less that in the file */
    char *name;
    LoadSymbols *symbols;      /* NULL: none */
} Module;

struct LinuxPerf {
    pid_t pid;
    FILE *out;
    GArray *modules;
};

static FILE *open_map(void)
{
    g_autofree char *path = g_strdup_printf("/tmp/perf-%d.map", getpid());
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    int high = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, OUT_OF_THE_WAY);
    if (high >= 0)
        close(fd);
    fd = high >= 0 ? high : fd;
    return fd < 0 ? NULL : fdopen(fd, "w");
}

static void read_symbols(Module *m, const char *path, uint64_t offset)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0)
        return;
    void *data = fstat(fd, &st) || !S_ISREG(st.st_mode) || !st.st_size
                     ? MAP_FAILED : mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (data == MAP_FAILED)
        return;
    g_autoptr(LoadProgram) p = load_program(data, (size_t)st.st_size, path, NULL);
    for (size_t i = 0; p && i < p->count; i++)
        if (offset >= (p->segments[i].offset & ~UINT64_C(4095)) &&
            offset < p->segments[i].offset + p->segments[i].file_size)
            m->bias = m->start - offset - (p->segments[i].addr - p->segments[i].offset);
    m->symbols = load_symbols(data, (size_t)st.st_size);
    munmap(data, (size_t)st.st_size);
}

/* The mapping that pc lies in, as the host's kernel tells. */
static const Module *find(LinuxPerf *perf, uint64_t pc)
{
    for (guint i = 0; i < perf->modules->len; i++) {
        const Module *m = &g_array_index(perf->modules, Module, i);
        if (pc >= m->start && pc < m->end)
            return m;
    }
    FILE *maps = fopen("/proc/self/maps", "re");
    Module m = {.start = pc & ~UINT64_C(4095), .end = (pc & ~UINT64_C(4095)) + 4096};
    char line[4400], path[4300];
    uint64_t start, end, offset;
    while (maps && fgets(line, sizeof line, maps)) {
        path[0] = 0;
        if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*s %" SCNx64 " %*s %*s %4200[^\n]", &start, &end,
                   &offset, path) < 3 || pc < start || pc >= end)
            continue;
        m = (Module){.start = start, .end = end, .name = g_path_get_basename(path)};
        if (path[0] == '/')
            read_symbols(&m, path, offset);
    }
    if (maps)
        fclose(maps);
    g_array_append_val(perf->modules, m);
    return &g_array_index(perf->modules, Module, perf->modules->len - 1);
}

void perf_region(void *opaque, const void *host, size_t size, uint64_t pc)
{
    LinuxPerf *perf = opaque;
    const Module *m = find(perf, pc);
    uint64_t offset;
    const char *name = m->symbols ? load_symbol_at(m->symbols, pc - m->bias, &offset) : NULL;
    if (name)
        fprintf(perf->out, "%" PRIxPTR " %zx %s+0x%" PRIx64 " [%s]\n", (uintptr_t)host, size, name,
                offset, m->name);
    else
        fprintf(perf->out, "%" PRIxPTR " %zx guest 0x%" PRIx64 " [%s]\n", (uintptr_t)host, size, pc,
                m->name ? m->name : "?");
    fflush(perf->out);
}

LinuxPerf *perf_start(GError **error)
{
    LinuxPerf *perf = g_new0(LinuxPerf, 1);
    perf->out = open_map();
    if (!perf->out) {
        fail_errno(error, errno, "-perfmap: cannot write /tmp/perf-%d.map", getpid());
        g_free(perf);
        return NULL;
    }
    perf->pid = getpid();
    perf->modules = g_array_new(FALSE, TRUE, sizeof(Module));
    return perf;
}

void perf_child(LinuxPerf *perf)
{
    g_autofree char *path = perf ? g_strdup_printf("/tmp/perf-%d.map", perf->pid) : NULL;
    g_autofree char *text = NULL;
    gsize size;
    FILE *out = perf ? open_map() : NULL;
    if (!out)
        return;
    fclose(perf->out);
    perf->out = out;
    perf->pid = getpid();
    if (g_file_get_contents(path, &text, &size, NULL))
        fwrite(text, 1, size, out);
    fflush(out);
}
