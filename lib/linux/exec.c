/* SPDX-License-Identifier: MIT */
/*
 * execve. A program for a guest ISA is run by starting this tool again with the same options; the
 * host's own programs, and files that are no programs at all, are the host kernel's business. A script
 * whose interpreter is a guest program is opened here, as the host's kernel could not run that.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "linux/call_priv.h"
#include "load/load.h"

#define SCRIPT_DEPTH 4
#define HEAD 256 /* bytes of a file that the kernel looks at */

/* A program to be started, with what scripts put in front of its arguments. */
typedef struct Target {
    char *path;       /* as the guest names it */
    GPtrArray *argv;  /* of char *, NULL-terminated when used */
    bool guest;       /* for a guest ISA */
} Target;

static void take_argv(Target *t, char **argv)
{
    t->argv = g_ptr_array_new_with_free_func(g_free);
    for (; *argv; argv++)
        g_ptr_array_add(t->argv, *argv);
}

/* -errno, or bytes read from the start of the file. EACCES where it may not be run. */
static int read_head(const char *host, uint8_t head[HEAD])
{
    struct stat st;
    int fd = open(host, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int result = 0;
    if (fstat(fd, &st) < 0)
        result = -errno;
    else if (!S_ISREG(st.st_mode) || faccessat(AT_FDCWD, host, X_OK, AT_EACCESS) < 0)
        result = -EACCES;
    else if ((result = (int)pread(fd, head, HEAD, 0)) < 0)
        result = -errno;
    close(fd);
    return result;
}

static bool is_guest(const uint8_t *head, int size)
{
    if (size < 20 || memcmp(head, "\177ELF", 4))
        return false;
    bool big = head[5] == 2;
    unsigned machine = big ? (unsigned)(head[18] << 8 | head[19]) : (unsigned)(head[19] << 8 | head[18]);
    const GuestIsa *isa = guest_isa_by_elf(machine, head[4] == 2 ? 64 : 32, big);
    return isa && isa->user && linux_abi_find(isa->name);
}

/* "#!interpreter one-argument": into path and argument (NULL: none). False: not that. */
static bool read_script(const uint8_t *head, int size, char **path, char **argument)
{
    if (size < 3 || head[0] != '#' || head[1] != '!')
        return false;
    g_autofree char *line = g_strndup((const char *)head + 2, (gsize)size - 2);
    char *end = strchr(line, '\n');
    if (!end && size == HEAD)
        return false; /* cut short: the kernel refuses it too */
    if (end)
        *end = 0;
    g_strstrip(line);
    size_t n = strcspn(line, " \t");
    if (!n)
        return false;
    *path = g_strndup(line, n);
    const char *rest = line + n + strspn(line + n, " \t");
    *argument = *rest ? g_strdup(rest) : NULL;
    return true;
}

/* Follows scripts. 0 or -errno. */
static int resolve(LinuxProcess *p, Target *t)
{
    uint8_t head[HEAD];
    for (unsigned depth = 0;; depth++) {
        g_autofree char *host = path_host(p, t->path);
        char *path, *argument;
        int size = read_head(host, head);
        if (size < 0)
            return depth || size != -EACCES ? size : 0; /* one that cannot be read: the kernel knows */
        t->guest = is_guest(head, size);
        if (t->guest || !read_script(head, size, &path, &argument))
            return 0;
        if (depth == SCRIPT_DEPTH) {
            g_free(path);
            g_free(argument);
            return -ELOOP;
        }
        if (t->argv->len)
            g_ptr_array_remove_index(t->argv, 0);
        g_ptr_array_insert(t->argv, 0, g_steal_pointer(&t->path));
        if (argument)
            g_ptr_array_insert(t->argv, 0, argument);
        g_ptr_array_insert(t->argv, 0, g_strdup(path));
        t->path = path;
    }
}

/* The host's loader would take LD_PRELOAD and the like for its own, so those travel as options. */
static bool is_loaders(const char *entry)
{
    return g_str_has_prefix(entry, "LD_") || g_str_has_prefix(entry, "GLIBC_TUNABLES=");
}

/* A descriptor that the program goes by and that execve would close: one that it leaves open, for this
   tool to close when it has read it; -1 if there is none. */
static int keep_program(const Target *target)
{
    int fd = -1, used = 0;
    if (sscanf(target->path, "/proc/self/fd/%d%n", &fd, &used) != 1 || target->path[used] ||
        !(fcntl(fd, F_GETFD) & FD_CLOEXEC))
        return -1;
    return fcntl(fd, F_DUPFD, 3);
}

static int start_again(LinuxThread *t, const Target *target, char **envp)
{
    LinuxProcess *p = t->process;
    g_autoptr(GPtrArray) argv = g_ptr_array_new(), env = g_ptr_array_new();
    for (char **o = p->options.again; o && *o; o++)
        g_ptr_array_add(argv, *o);
    for (char **e = envp; *e; e++) {
        if (is_loaders(*e)) {
            g_ptr_array_add(argv, (char *)"-E");
            g_ptr_array_add(argv, *e);
        } else {
            g_ptr_array_add(env, *e);
        }
    }
    g_autofree char *cpu = p->abi->exec_cpu ? p->abi->exec_cpu(t->cpu, p->options.cpu) : NULL;
    if (cpu) { /* the last one counts */
        g_ptr_array_add(argv, (char *)"-cpu");
        g_ptr_array_add(argv, cpu);
    }
    int kept = keep_program(target);
    g_autofree char *number = g_strdup_printf("%d", kept);
    if (kept >= 0) {
        g_ptr_array_add(argv, (char *)"-program-fd");
        g_ptr_array_add(argv, number);
    }
    g_ptr_array_add(argv, (char *)"-0");
    g_ptr_array_add(argv, target->argv->len ? target->argv->pdata[0] : (char *)"");
    g_ptr_array_add(argv, target->path);
    for (guint i = 1; i < target->argv->len; i++)
        g_ptr_array_add(argv, target->argv->pdata[i]);
    g_ptr_array_add(argv, NULL);
    g_ptr_array_add(env, NULL);
    LinuxLimit limits[LINUX_LIMITS];
    limits_for_exec(p, true, limits); /* nothing can be allocated from here on */
    syscall(SYS_execveat, p->self_fd, "", argv->pdata, env->pdata, AT_EMPTY_PATH);
    int wrong = p->self_fd < 0 ? -ENOEXEC : -errno;
    limits_after_exec(limits);
    if (kept >= 0)
        close(kept);
    return wrong;
}

static int start_host(LinuxProcess *p, Target *target, char **envp)
{
    g_autofree char *host = path_host(p, target->path);
    g_ptr_array_add(target->argv, NULL);
    LinuxLimit limits[LINUX_LIMITS];
    limits_for_exec(p, false, limits);
    syscall(SYS_execve, host, target->argv->pdata, envp);
    int wrong = -errno;
    limits_after_exec(limits);
    return wrong;
}

/* The guest's name for a file of its own descriptors. */
static int name_of(LinuxThread *t, int dirfd, uint64_t path, int flags, char **out)
{
    g_autofree char *name = NULL;
    int wrong = guest_string(path, 4096, &name);
    if (wrong)
        return wrong;
    if (flags & ~(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW))
        return -EINVAL;
    if (!*name && !(flags & AT_EMPTY_PATH))
        return -ENOENT;
    if (!strcmp(name, "/proc/self/exe"))
        *out = g_strdup(t->process->exe_host);
    else if (*name == '/' || dirfd == AT_FDCWD)
        *out = g_steal_pointer(&name);
    else if (!*name)
        *out = g_strdup_printf("/proc/self/fd/%d", dirfd);
    else
        *out = g_strdup_printf("/proc/self/fd/%d/%s", dirfd, name);
    struct stat st;
    if (flags & AT_SYMLINK_NOFOLLOW && lstat(*out, &st) == 0 && S_ISLNK(st.st_mode)) {
        g_clear_pointer(out, g_free);
        return -ELOOP;
    }
    return 0;
}

static int64_t process_exec(LinuxThread *t, int dirfd, uint64_t path, uint64_t argv, uint64_t envp,
                            int flags)
{
    Target target = {0};
    char **args = NULL;
    g_auto(GStrv) env = NULL;
    int wrong = name_of(t, dirfd, path, flags, &target.path);
    if (!wrong)
        wrong = guest_strings(argv, &args);
    if (!wrong)
        wrong = guest_strings(envp, &env);
    if (args) {
        take_argv(&target, args);
        g_free(args);
    }
    if (!wrong)
        wrong = resolve(t->process, &target);
    if (!wrong) {
        signals_release(t);
        wrong = target.guest ? start_again(t, &target, env) : start_host(t->process, &target, env);
        signals_set_mask(t, t->mask);
    }
    g_free(target.path);
    if (target.argv)
        g_ptr_array_free(target.argv, TRUE);
    return wrong;
}

int64_t call_execve(LinuxThread *t, const uint64_t a[6])
{
    return process_exec(t, AT_FDCWD, a[0], a[1], a[2], 0);
}

int64_t call_execveat(LinuxThread *t, const uint64_t a[6])
{
    return process_exec(t, (int)a[0], a[1], a[2], a[3], (int)a[4]);
}
