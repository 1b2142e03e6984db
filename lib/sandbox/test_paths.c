/* SPDX-License-Identifier: MIT */
/* What a confined process can still do with files, and without capabilities. */
#include "sandbox/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <linux/landlock.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int opens(const char *dir, const char *name, int flags)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);
    int fd = open(path, flags, 0600);
    return fd < 0 ? errno : (close(fd), 0);
}

/* Bits of what went wrong in the child. */
static int confined(const char *a, const char *b, int kept)
{
    const char *const read[] = { a, "/nonexistent", NULL }, *const removable[] = { b, NULL };
    SandboxPaths paths = { read, removable };
    g_autofree char *gone = g_build_filename(b, "gone", NULL),
                    *kept_file = g_build_filename(a, "file", NULL);
    char byte;
    if (!sandbox_paths(&paths, NULL))
        return 1;
    return (opens(a, "file", O_RDONLY) ? 2 : 0) | (opens(a, "file", O_WRONLY) != EACCES ? 4 : 0) |
           (opens(a, "new", O_WRONLY | O_CREAT) != EACCES ? 8 : 0) |
           (opens(b, "file", O_RDONLY) != EACCES ? 16 : 0) | (unlink(gone) ? 32 : 0) |
           (!unlink(kept_file) ? 64 : 0) | (pread(kept, &byte, 1, 0) != 1 ? 128 : 0);
}

static int child(int (*run)(void *opaque), void *opaque)
{
    int status;
    pid_t pid = fork();
    if (!pid)
        _exit(run(opaque));
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int run_confined(void *opaque)
{
    char **dirs = opaque;
    g_autofree char *open_file = g_build_filename(dirs[1], "file", NULL);
    return confined(dirs[0], dirs[1], open(open_file, O_RDONLY));
}

static void test_paths(void)
{
    if (syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) < 1) {
        g_test_skip("this kernel has no Landlock");
        return;
    }
    char *dirs[2];
    static const char *const names[] = { "file", "gone" };
    for (unsigned d = 0; d < 2; d++) {
        dirs[d] = g_dir_make_tmp("sandbox-XXXXXX", NULL);
        for (unsigned n = 0; n < 2; n++) {
            g_autofree char *path = g_build_filename(dirs[d], names[n], NULL);
            g_assert_true(g_file_set_contents(path, "x", 1, NULL));
        }
    }
    g_assert_cmpint(child(run_confined, dirs), ==, 0);
    for (unsigned d = 0; d < 2; d++) {
        for (unsigned n = 0; n < 2; n++) {
            g_autofree char *path = g_build_filename(dirs[d], names[n], NULL);
            g_unlink(path);
        }
        g_rmdir(dirs[d]);
        g_free(dirs[d]);
    }
}

/* All below one folder, nothing elsewhere, removing in a third. */
static int run_below(void *opaque)
{
    char **dirs = opaque;
    g_autofree char *gone = g_build_filename(dirs[1], "gone", NULL),
                    *from = g_build_filename(dirs[0], "sub", "f", NULL);
    g_autofree char *sub = g_build_filename(dirs[0], "sub", NULL),
                    *to = g_build_filename(dirs[0], "moved", NULL);
    int all = open(dirs[0], O_PATH | O_DIRECTORY), removable = open(dirs[1], O_PATH | O_DIRECTORY);
    if (!sandbox_below(all, removable, NULL))
        return 1;
    return (opens(dirs[0], "new", O_WRONLY | O_CREAT | O_TRUNC) ? 2 : 0) |
           (mkdir(sub, 0755) ? 4 : 0) | (opens(sub, "f", O_RDWR | O_CREAT) ? 8 : 0) |
           (rename(from, to) ? 16 : 0) | (opens(dirs[1], "file", O_RDONLY) != EACCES ? 32 : 0) |
           (opens(dirs[1], "x", O_WRONLY | O_CREAT) != EACCES ? 64 : 0) |
           (unlink(gone) || unlink(to) || rmdir(sub) ? 128 : 0);
}

static void test_below(void)
{
    if (syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) < 2) {
        g_test_skip("this kernel has no Landlock of version 2");
        return;
    }
    char *dirs[2];
    for (unsigned d = 0; d < 2; d++) {
        dirs[d] = g_dir_make_tmp("sandbox-XXXXXX", NULL);
        for (unsigned n = 0; n < 2; n++) {
            g_autofree char *path = g_build_filename(dirs[d], n ? "gone" : "file", NULL);
            g_assert_true(g_file_set_contents(path, "x", 1, NULL));
        }
    }
    g_assert_cmpint(child(run_below, dirs), ==, 0);
    for (unsigned d = 0; d < 2; d++) {
        static const char *const names[] = { "file", "gone", "new" };
        for (unsigned n = 0; n < 3; n++) {
            g_autofree char *path = g_build_filename(dirs[d], names[n], NULL);
            g_unlink(path);
        }
        g_assert_cmpint(g_rmdir(dirs[d]), ==, 0);
        g_free(dirs[d]);
    }
}

/* Calls that are named go on, others end the process. */
static int run_allowed(void *opaque)
{
    /* what it does, and what memory and sanitizers may want meanwhile */
    static const char *const names[] = { "exit_group", "exit", "getppid", "no_such_call", "write", "brk", "mmap",
                                         "munmap", "mprotect", "madvise", "mremap", "futex", "sched_yield", "gettid",
                                         "getpid", "rt_sigprocmask", "sigaltstack", "prctl", "clock_gettime", NULL };
    if (!sandbox_allow(names, SANDBOX_KILL, NULL))
        return 77;
    syscall(SYS_getppid);
    if (opaque)
        syscall(SYS_getuid);
    return 0;
}

static void test_allowed(void)
{
    int first = child(run_allowed, NULL), status;
    if (first == 77) {
        g_test_skip("no filters here");
        return;
    }
    g_assert_cmpint(first, ==, 0);
    pid_t pid = fork();
    if (!pid)
        _exit(run_allowed(&first));
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_true(WIFSIGNALED(status));
    g_assert_cmpint(WTERMSIG(status), ==, SIGSYS);
}

static int run_unprivileged(void *opaque)
{
    g_autofree char *status = NULL;
    if (!sandbox_unprivileged(NULL) ||
        !g_file_get_contents("/proc/self/status", &status, NULL, NULL))
        return 1;
    return !g_strstr_len(status, -1, "CapEff:\t0000000000000000") |
           !g_strstr_len(status, -1, "NoNewPrivs:\t1");
}

static void test_unprivileged(void)
{
    g_assert_cmpint(child(run_unprivileged, NULL), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sandbox/paths", test_paths);
    g_test_add_func("/sandbox/below", test_below);
    g_test_add_func("/sandbox/allowed", test_allowed);
    g_test_add_func("/sandbox/unprivileged", test_unprivileged);
    return g_test_run();
}
