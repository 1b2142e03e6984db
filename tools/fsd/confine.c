/* SPDX-License-Identifier: MIT */
/*
 * Where the daemon lives while it serves: in a mount namespace whose root is the shared directory
 * (namespace), in the directory as its root (chroot), or where it was (none); without network,
 * supplementary groups (CVE-2022-0358), most capabilities, most system calls, and files elsewhere
 * (Landlock). The working folder becomes /proc/self/fd, by which descriptors are opened again when
 * there is no /proc any more.
 */
#include "tool.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- Root --------------------------------------------------------------------------- */

/* The shared directory becomes the root of our mount namespace; mounts made on the host below it
 * appear, ours do not. */
static bool pivot(const Tool *t, int proc, GError **error)
{
    const char *dir = t->shared_dir;
    unsigned long flags = MS_NOSUID | MS_NODEV | (t->fs.readonly ? MS_RDONLY : 0);
    if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL))
        return fail_errno(error, errno, "mounts of our own");
    if (mount(dir, dir, NULL, MS_BIND | MS_REC, NULL))
        return fail_errno(error, errno, "mounting %s", dir);
    /* In a user namespace flags that are locked may not be cleared, so what cannot be set is left
     * as it is. */
    if (mount(NULL, dir, NULL, MS_REMOUNT | MS_BIND | flags, NULL) && geteuid() == 0 &&
        errno != EPERM)
        return fail_errno(error, errno, "mounting %s", dir);
    if (chdir(dir) || syscall(SYS_pivot_root, ".", ".") || umount2(".", MNT_DETACH) || fchdir(proc))
        return fail_errno(error, errno, "making %s our root", dir);
    return true;
}

static bool go_in(Tool *t, int proc, GError **error)
{
    bool root = geteuid() == 0;
    int flags = CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC;
    switch (t->sandbox) {
    case SANDBOX_NAMESPACE:
        if (root && !t->uid_map->len && !t->gid_map->len) {
            if (unshare(flags))
                return fail_errno(error, errno,
                                  "namespaces (in a container, try --sandbox chroot)");
        } else if (!enter_user_namespace(t, flags, error))
            return false;
        return pivot(t, proc, error);
    case SANDBOX_CHROOT:
        if (chroot(t->shared_dir) || fchdir(proc))
            return fail_errno(error, errno, "chroot to %s%s", t->shared_dir,
                              root ? "" : " (without root: --sandbox namespace)");
        return true;
    default:
        t->fs.one_owner = !root;
        return !fchdir(proc) || fail_errno(error, errno, "/proc/self/fd");
    }
}

static bool raise_limit(const Tool *t, GError **error)
{
    struct rlimit l;
    if (getrlimit(RLIMIT_NOFILE, &l))
        return fail_errno(error, errno, "RLIMIT_NOFILE");
    if (t->rlimit_given && !t->rlimit_nofile)
        return true; /* 0: as it is */
    rlim_t want = t->rlimit_given ? t->rlimit_nofile : 1000000;
    if (!t->rlimit_given && l.rlim_cur >= want)
        return true;
    struct rlimit more = { want, MAX(want, l.rlim_max) };
    if (!setrlimit(RLIMIT_NOFILE, &more))
        return true;
    if (t->rlimit_given)
        return fail_errno(error, errno, "--rlimit-nofile %llu", (unsigned long long)want);
    l.rlim_cur = MIN(l.rlim_max, want);
    return !setrlimit(RLIMIT_NOFILE, &l) || fail_errno(error, errno, "RLIMIT_NOFILE");
}

bool confine(Tool *t, GError **error)
{
    struct stat st;
    int proc = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (proc < 0)
        return fail_errno(error, errno, "/proc/self/fd");
    if (stat(t->shared_dir, &st))
        return fail_errno(error, errno, "%s", t->shared_dir);
    if (!S_ISDIR(st.st_mode))
        return fail_errno(error, ENOTDIR, "%s", t->shared_dir);
    /* Before anything changes: opening "/" later finds this very directory, except where the
     * sandbox is none. */
    int dir = open(t->shared_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return fail_errno(error, errno, "%s", t->shared_dir);
    if (geteuid() == 0 && setgroups(0, NULL))
        return fail_errno(error, errno, "supplementary groups");
    if (!raise_limit(t, error) || !go_in(t, proc, error))
        return false;
    if (t->sandbox != SANDBOX_OPEN) {
        close(dir);
        dir = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (dir < 0)
            return fail_errno(error, errno, "%s", t->shared_dir);
    }
    close(proc);
    umask(0);
    t->fs.root = dir;
    t->fs.self_fd = "";
    return keep_capabilities(t, error);
}

/* ---- The rest, when all is open ---------------------------------------------------------- */

static const char *const calls[] = {
    /* files */
    "openat", "open", "openat2", "close", "statx", "fstat", "newfstatat", "fstatat64", "fstatfs",
    "statfs", "readlinkat", "getdents64", "lseek", "_llseek", "read", "write", "readv", "writev",
    "pread64", "pwrite64", "preadv", "pwritev", "preadv2", "pwritev2", "fsync", "fdatasync",
    "syncfs", "fallocate", "copy_file_range", "ftruncate", "truncate", "fchmod", "fchmodat",
    "chmod", "fchownat", "fchown", "utimensat", "mkdirat", "mkdir", "mknodat", "mknod", "symlinkat",
    "linkat", "link", "unlinkat", "unlink", "rmdir", "renameat2", "faccessat", "faccessat2",
    "access", "flock", "fcntl", "dup", "dup2", "dup3", "getxattr", "setxattr", "listxattr",
    "removexattr", "fgetxattr", "fsetxattr", "name_to_handle_at", "open_by_handle_at",
    "fanotify_mark", "umask", "ioctl",
    /* who does it */
    "setresuid", "setresgid", "setresuid32", "setresgid32", "setgroups", "setgroups32", "capget",
    "capset", "getuid", "geteuid", "getgid", "getegid", "gettid", "getpid", "getppid",
    /* the socket and the rings */
    "accept", "accept4", "socketpair", "fork", "close_range", "memfd_create", "recvmsg", "recvfrom",
    "sendmsg", "sendto", "getsockopt", "getsockname", "getpeername", "shutdown", "poll", "ppoll",
    "eventfd2", "pipe2", "mmap", "mmap2", "munmap", "mremap", "mprotect", "madvise",
    /* threads, time, memory, the end */
    "clone", "set_robust_list", "rseq", "futex", "futex_time64", "sched_yield", "sched_getaffinity",
    "sched_getparam", "sched_getscheduler", "membarrier", "prctl", "arch_prctl", "set_tid_address",
    "nanosleep", "clock_nanosleep", "clock_nanosleep_time64", "clock_gettime", "clock_gettime64",
    "gettimeofday", "time", "brk", "getrandom", "getcpu", "rt_sigaction", "rt_sigprocmask",
    "rt_sigreturn", "rt_sigtimedwait", "rt_sigtimedwait_time64", "sigaltstack", "tgkill", "kill",
    "wait4", "waitid", "restart_syscall", "exit", "exit_group", "prlimit64", "getrlimit", "uname",
    "sysinfo", NULL
};

bool confine_calls(const Tool *t, GError **error)
{
    /* File handles open files that are no longer below any folder, and labels are told through
     * /proc. */
    bool paths = !t->no_landlock && t->fs.file_handles == FS_HANDLES_NEVER &&
                 !t->fuse.security_label;
    if (paths && !sandbox_below(t->fs.root, t->socket_dir, error))
        return false;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        return fail_errno(error, errno, "giving up privileges");
    return sandbox_allow(calls, t->seccomp, error) || prefix(error, "seccomp");
}
