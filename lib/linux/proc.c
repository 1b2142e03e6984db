/* SPDX-License-Identifier: MIT */
/*
 * What the guest sees of itself under /proc: its own program, memory, arguments and CPU, and nothing of
 * ours. A path that names such a file is recognized when it is opened, read as a link or looked at,
 * from wherever it is seen; the open file is a copy in memory, made at that moment.
 *
 * The host's file is opened first in any case: so rights, a /proc that is not mounted and a thread that
 * is gone answer as they would. /proc of other processes is the host's.
 */
#include <ctype.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "linux/path_priv.h"

static const struct {
    const char *name;
    ProcFile file;
} process_files[] = { /* below /proc/self */
    { "exe", PROC_EXE }, { "maps", PROC_MAPS }, { "smaps", PROC_SMAPS },
    { "cmdline", PROC_CMDLINE }, { "environ", PROC_ENVIRON }, { "auxv", PROC_AUXV },
    { "stat", PROC_STAT }, { "statm", PROC_STATM }, { "status", PROC_STATUS },
    { "limits", PROC_LIMITS },
};

static ProcFile process_file(const char *name)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(process_files); i++)
        if (!strcmp(name, process_files[i].name))
            return process_files[i].file;
    return PROC_NONE;
}

bool proc_may_be(const char head[8])
{
    static const char *const starts[] = { "self/", "thread-", "task/", "cpuinfo" };
    if (head[0] == '/')
        return !memcmp(head, "/proc/", 6);
    if (isdigit((unsigned char)head[0]))
        return true;
    if (!head[0] || !strchr("emscalt", head[0]))
        return false;
    for (unsigned i = 0; i < G_N_ELEMENTS(process_files); i++)
        if (!strncmp(head, process_files[i].name, 8))
            return true;
    for (unsigned i = 0; i < G_N_ELEMENTS(starts); i++)
        if (!strncmp(head, starts[i], strlen(starts[i])))
            return true;
    return false;
}

/* A positive decimal number and nothing else, or 0. */
static pid_t number(const char *text)
{
    char *end;
    if (!isdigit((unsigned char)text[0]) || strlen(text) > 10)
        return 0;
    long n = strtol(text, &end, 10);
    return !*end && n <= INT_MAX ? (pid_t)n : 0;
}

static bool is_own_thread(pid_t tid)
{
    return tid && !syscall(SYS_tgkill, getpid(), tid, 0);
}

/* rest: what follows /proc, in pieces. */
static ProcFile find_in_proc(char **rest, pid_t *tid)
{
    unsigned n = g_strv_length(rest);
    if (!n)
        return PROC_NONE;
    if (n == 1)
        return strcmp(rest[0], "cpuinfo") ? PROC_NONE : PROC_CPUINFO;
    if (n == 3 && !strcmp(rest[0], "sys") && !strcmp(rest[1], "kernel"))
        return strcmp(rest[2], "arch") ? PROC_NONE : PROC_ARCH;
    ProcFile file = process_file(rest[n - 1]);
    if (!file || (n != 2 && n != 4))
        return PROC_NONE;

    if (!strcmp(rest[0], "thread-self")) {
        *tid = (pid_t)syscall(SYS_gettid);
    } else if (strcmp(rest[0], "self") && number(rest[0]) != getpid()) {
        *tid = number(rest[0]);
        if (!is_own_thread(*tid))
            return PROC_NONE;
    }
    if (n == 4) {
        *tid = strcmp(rest[1], "task") ? 0 : number(rest[2]);
        if (!is_own_thread(*tid))
            return PROC_NONE;
    }
    return file;
}

/* The directory that a relative path is seen from, "/proc" or below; NULL elsewhere. */
static char *directory(int dirfd)
{
    char link[32] = "/proc/self/cwd", dir[PATH_MAX];
    if (dirfd != AT_FDCWD)
        g_snprintf(link, sizeof link, "/proc/self/fd/%d", dirfd);
    ssize_t n = readlink(link, dir, sizeof dir - 1);
    if (n < 0)
        return NULL;
    dir[n] = 0;
    return !strncmp(dir, "/proc", 5) && (!dir[5] || dir[5] == '/') ? g_strdup(dir) : NULL;
}

ProcFile proc_find(int dirfd, const char *path, pid_t *tid)
{
    *tid = 0;
    g_autofree char *whole = NULL;
    if (path[0] != '/') {
        const char *slash = strrchr(path, '/');
        const char *name = slash ? slash + 1 : path;
        if (!process_file(name) && strcmp(name, "cpuinfo"))
            return PROC_NONE;
        g_autofree char *dir = directory(dirfd);
        if (!dir)
            return PROC_NONE;
        whole = g_strconcat(dir, "/", path, NULL);
        path = whole;
    }
    if (strncmp(path, "/proc/", 6))
        return PROC_NONE;
    g_auto(GStrv) rest = g_strsplit(path + 6, "/", -1);
    unsigned n = 0;
    for (unsigned i = 0; rest[i]; i++) { /* "//" and "/./" mean nothing */
        if (!*rest[i] || !strcmp(rest[i], "."))
            g_free(rest[i]);
        else
            rest[n++] = rest[i];
        if (n <= i)
            rest[i] = NULL;
    }
    return find_in_proc(rest, tid);
}

/* ---- Contents -------------------------------------------------------------------- */

static void add_vma(const Vma *vma, void *opaque)
{
    if (vma->kind != VMA_HOST)
        g_array_append_vals(opaque, vma, 1);
}

static GArray *all_vmas(LinuxProcess *p)
{
    GArray *vmas = g_array_new(FALSE, FALSE, sizeof(Vma));
    mm_for_each(&p->mm, add_vma, vmas);
    return vmas;
}

static void gather_facts(LinuxThread *t, ProcFacts *facts)
{
    LinuxProcess *p = t->process;
    g_autoptr(GArray) vmas = all_vmas(p);
    *facts = (ProcFacts){
        .brk_start = p->mm.brk_start, .stack_start = p->start_stack ? p->start_stack : p->auxv,
        .arg_start = p->arg_start, .arg_end = p->arg_end, .env_start = p->env_start,
        .env_end = p->env_end, .blocked = t->mask,
    };
    for (unsigned i = 0; i < vmas->len; i++) {
        const Vma *vma = &g_array_index(vmas, Vma, i);
        uint64_t size = vma->end - vma->start;
        bool executable = (vma->prot & PROT_EXEC) && !(vma->prot & PROT_WRITE);
        facts->total += size;
        if (vma->kind == VMA_STACK)
            facts->stack += size;
        else if (!vma->shared && (vma->prot & PROT_WRITE))
            facts->data += size;
        else if (executable && vma->start <= p->entry && p->entry < vma->end)
            facts->code = size, facts->code_start = vma->start, facts->code_end = vma->end;
        else if (executable)
            facts->libraries += size;
        if (facts->code_end && !facts->data_end && vma->start >= facts->code_end &&
            (vma->prot & PROT_WRITE) && vma->kind == VMA_PLAIN)
            facts->data_start = vma->start, facts->data_end = vma->end;
    }
    g_mutex_lock(&t->signals->lock);
    for (int i = 1; i <= LINUX_SIGNALS; i++) {
        uint64_t handler = t->signals->action[i].handler, bit = UINT64_C(1) << (i - 1);
        if (handler == (uintptr_t)SIG_IGN)
            facts->ignored |= bit;
        else if (handler != (uintptr_t)SIG_DFL)
            facts->caught |= bit;
    }
    g_mutex_unlock(&t->signals->lock);
}

/* All that there is to read in fd, 0-terminated. */
static GString *read_all(int fd)
{
    GString *text = g_string_new(NULL);
    char buffer[4096];
    ssize_t n;
    while ((n = read(fd, buffer, sizeof buffer)) > 0 || (n < 0 && errno == EINTR))
        if (n > 0)
            g_string_append_len(text, buffer, n);
    return text;
}

/* Guest memory into the file: what cannot be read ends it. */
static void write_memory(int fd, uint64_t from, uint64_t to)
{
    while (from < to) {
        ssize_t n = write(fd, guest_ptr(from), to - from);
        if (n <= 0 && errno != EINTR)
            break;
        from += n > 0 ? (uint64_t)n : 0;
    }
}

static void write_text(int fd, const GString *text)
{
    uint64_t from = (uint64_t)(uintptr_t)text->str;
    write_memory(fd, from, from + text->len);
}

/* The guest's text of a file whose host text is given, into fd. */
static void write_edited(LinuxThread *t, ProcFile file, const char *host, int fd)
{
    LinuxProcess *p = t->process;
    g_autoptr(GString) out = g_string_new(NULL);
    ProcFacts facts;
    if (file == PROC_MAPS || file == PROC_SMAPS) {
        g_autoptr(GArray) vmas = all_vmas(p);
        (file == PROC_MAPS ? proc_filter_maps : proc_filter_smaps)(
            out, host, (const Vma *)(const void *)vmas->data, vmas->len);
    } else if (file == PROC_LIMITS) {
        proc_edit_limits(out, host, p);
    } else {
        gather_facts(t, &facts);
        (file == PROC_STAT    ? proc_edit_stat
         : file == PROC_STATM ? proc_edit_statm
                              : proc_edit_status)(out, host, &facts);
    }
    write_text(fd, out);
}

static void write_content(LinuxThread *t, ProcFile file, const char *host, int fd)
{
    LinuxProcess *p = t->process;
    switch (file) {
    case PROC_CMDLINE:
        write_memory(fd, p->arg_start, p->arg_end);
        break;
    case PROC_ENVIRON:
        write_memory(fd, p->env_start, p->env_end);
        break;
    case PROC_AUXV:
        write_memory(fd, p->auxv, p->auxv + p->auxv_size);
        break;
    case PROC_CPUINFO: {
        g_autoptr(GString) out = g_string_new(NULL);
        p->abi->cpuinfo(t->cpu, out);
        write_text(fd, out);
        break;
    }
    case PROC_ARCH: {
        g_autoptr(GString) out = g_string_new(p->abi->machine);
        write_text(fd, g_string_append_c(out, '\n'));
        break;
    }
    default:
        write_edited(t, file, host, fd);
    }
}

static const char *host_file(ProcFile file, pid_t tid, char *buffer, size_t size)
{
    if (file == PROC_CPUINFO)
        return "/proc/cpuinfo";
    if (file == PROC_ARCH)
        return "/proc/sys/kernel/arch";
    for (unsigned i = 0; i < G_N_ELEMENTS(process_files); i++) {
        if (process_files[i].file != file)
            continue;
        if (tid)
            g_snprintf(buffer, size, "/proc/self/task/%d/%s", (int)tid, process_files[i].name);
        else
            g_snprintf(buffer, size, "/proc/self/%s", process_files[i].name);
    }
    return buffer;
}

/* Gives the file in memory behind fd a description that can only be read, under the same number. */
static void make_readonly(int fd, bool cloexec)
{
    char path[32];
    g_snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int again = open(path, O_RDONLY | O_CLOEXEC);
    if (again < 0)
        return;
    dup3(again, fd, cloexec ? O_CLOEXEC : 0);
    close(again);
}

int64_t proc_open(LinuxThread *t, ProcFile file, pid_t tid, int flags)
{
    char buffer[64];
    const char *path = host_file(file, tid, buffer, sizeof buffer);
    int host = open(path, flags | O_CLOEXEC);
    if (host < 0)
        return -errno;
    g_autoptr(GString) text = read_all(host);
    close(host);
    bool cloexec = flags & O_CLOEXEC;
    int fd = memfd_create(strrchr(path, '/') + 1, cloexec ? MFD_CLOEXEC : 0);
    if (fd < 0)
        return -errno;
    write_content(t, file, text->str, fd);
    lseek(fd, 0, SEEK_SET);
    make_readonly(fd, cloexec);
    return fd;
}
