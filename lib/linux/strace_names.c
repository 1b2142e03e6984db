/* SPDX-License-Identifier: MIT */
/*
 * Names of values for -strace: those of asm-generic, which x86-64 shares.
 */
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "linux/strace_priv.h"

typedef struct Name {
    uint64_t value;
    const char *name;
} Name;

#define V(name) {name, #name}
static const Name open_names[] = {
    V(O_WRONLY), V(O_RDWR), V(O_CREAT), V(O_EXCL), V(O_NOCTTY), V(O_TRUNC), V(O_APPEND),
    V(O_NONBLOCK), V(O_SYNC), V(O_DSYNC), V(O_ASYNC), V(O_DIRECT), {0100000, "O_LARGEFILE"},
    V(O_TMPFILE), V(O_DIRECTORY), V(O_NOFOLLOW), V(O_NOATIME), V(O_CLOEXEC), V(O_PATH), {0, NULL},
};
static const Name at_names[] = {
    V(AT_SYMLINK_NOFOLLOW), V(AT_REMOVEDIR), V(AT_SYMLINK_FOLLOW), V(AT_NO_AUTOMOUNT),
    V(AT_EMPTY_PATH), V(AT_STATX_FORCE_SYNC), V(AT_STATX_DONT_SYNC), V(AT_RECURSIVE), {0, NULL},
};
static const Name fd_names[] = { V(O_CLOEXEC), V(O_NONBLOCK), V(O_DIRECT), {0, NULL} };
static const Name prot_names[] = {
    V(PROT_READ), V(PROT_WRITE), V(PROT_EXEC), {LINUX_PROT_BTI, "PROT_BTI"}, {LINUX_PROT_MTE, "PROT_MTE"},
    V(PROT_GROWSDOWN), V(PROT_GROWSUP), {0, NULL},
};
static const Name mmap_names[] = {
    V(MAP_SHARED_VALIDATE), V(MAP_SHARED), V(MAP_PRIVATE), V(MAP_FIXED), V(MAP_ANONYMOUS),
    V(MAP_GROWSDOWN), V(MAP_DENYWRITE), V(MAP_EXECUTABLE), V(MAP_LOCKED), V(MAP_NORESERVE),
    V(MAP_POPULATE), V(MAP_NONBLOCK), V(MAP_STACK), V(MAP_HUGETLB), V(MAP_SYNC),
    V(MAP_FIXED_NOREPLACE), {0, NULL},
};
static const Name clone_names[] = { /* the lowest byte is the signal at the child's end */
    V(CLONE_VM), V(CLONE_FS), V(CLONE_FILES), V(CLONE_SIGHAND), V(CLONE_PIDFD), V(CLONE_PTRACE),
    V(CLONE_VFORK), V(CLONE_PARENT), V(CLONE_THREAD), V(CLONE_NEWNS), V(CLONE_SYSVSEM),
    V(CLONE_SETTLS), V(CLONE_PARENT_SETTID), V(CLONE_CHILD_CLEARTID), V(CLONE_DETACHED),
    V(CLONE_UNTRACED), V(CLONE_CHILD_SETTID), V(CLONE_NEWCGROUP), V(CLONE_NEWUTS),
    V(CLONE_NEWIPC), V(CLONE_NEWUSER), V(CLONE_NEWPID), V(CLONE_NEWNET), V(CLONE_IO), {0, NULL},
};
static const Name access_names[] = { V(R_OK), V(W_OK), V(X_OK), {0, NULL} };
static const Name socket_flags[] = { V(SOCK_CLOEXEC), V(SOCK_NONBLOCK), {0, NULL} };
static const Name wait_names[] = {
    V(WNOHANG), V(WUNTRACED), V(WEXITED), V(WCONTINUED), V(WNOWAIT), {0x20000000, "__WNOTHREAD"},
    {0x40000000, "__WALL"}, {0x80000000, "__WCLONE"}, {0, NULL},
};
static const Name domain_names[] = {
    V(AF_UNSPEC), V(AF_UNIX), V(AF_INET), V(AF_INET6), V(AF_NETLINK), V(AF_PACKET), V(AF_KEY),
    V(AF_ALG), V(AF_VSOCK), V(AF_BLUETOOTH), V(AF_CAN), V(AF_XDP), {0, NULL},
};
static const Name type_names[] = {
    V(SOCK_STREAM), V(SOCK_DGRAM), V(SOCK_RAW), V(SOCK_RDM), V(SOCK_SEQPACKET), {0, NULL},
};
static const Name whence_names[] = {
    V(SEEK_SET), V(SEEK_CUR), V(SEEK_END), V(SEEK_DATA), V(SEEK_HOLE), {0, NULL},
};
static const Name resource_names[] = {
    V(RLIMIT_CPU), V(RLIMIT_FSIZE), V(RLIMIT_DATA), V(RLIMIT_STACK), V(RLIMIT_CORE), V(RLIMIT_RSS),
    V(RLIMIT_NPROC), V(RLIMIT_NOFILE), V(RLIMIT_MEMLOCK), V(RLIMIT_AS), V(RLIMIT_LOCKS),
    V(RLIMIT_SIGPENDING), V(RLIMIT_MSGQUEUE), V(RLIMIT_NICE), V(RLIMIT_RTPRIO), V(RLIMIT_RTTIME),
    {0, NULL},
};
static const Name fcntl_names[] = {
    V(F_DUPFD), V(F_GETFD), V(F_SETFD), V(F_GETFL), V(F_SETFL), V(F_GETLK), V(F_SETLK),
    V(F_SETLKW), V(F_SETOWN), V(F_GETOWN), V(F_SETSIG), V(F_GETSIG), V(F_SETOWN_EX),
    V(F_GETOWN_EX), V(F_OFD_GETLK), V(F_OFD_SETLK), V(F_OFD_SETLKW), V(F_SETLEASE), V(F_GETLEASE),
    V(F_NOTIFY), V(F_DUPFD_CLOEXEC), V(F_SETPIPE_SZ), V(F_GETPIPE_SZ), V(F_ADD_SEALS),
    V(F_GET_SEALS), {0, NULL},
};
static const Name epoll_names[] = {
    V(EPOLL_CTL_ADD), V(EPOLL_CTL_DEL), V(EPOLL_CTL_MOD), {0, NULL},
};
static const Name prctl_names[] = {
    V(PR_SET_PDEATHSIG), V(PR_GET_PDEATHSIG), V(PR_GET_DUMPABLE), V(PR_SET_DUMPABLE),
    V(PR_GET_KEEPCAPS), V(PR_SET_KEEPCAPS), V(PR_SET_NAME), V(PR_GET_NAME), V(PR_GET_SECCOMP),
    V(PR_SET_SECCOMP), V(PR_CAPBSET_READ), V(PR_CAPBSET_DROP), V(PR_GET_SECUREBITS),
    V(PR_SET_SECUREBITS), V(PR_SET_TIMERSLACK), V(PR_GET_TIMERSLACK), V(PR_SET_MM), {54, "PR_PAC_RESET_KEYS"},
    {55, "PR_SET_TAGGED_ADDR_CTRL"}, {56, "PR_GET_TAGGED_ADDR_CTRL"}, {60, "PR_PAC_SET_ENABLED_KEYS"},
    {61, "PR_PAC_GET_ENABLED_KEYS"},
    V(PR_SET_PTRACER), V(PR_SET_CHILD_SUBREAPER), V(PR_GET_CHILD_SUBREAPER),
    V(PR_SET_NO_NEW_PRIVS), V(PR_GET_NO_NEW_PRIVS), V(PR_GET_TID_ADDRESS), V(PR_SET_THP_DISABLE),
    V(PR_GET_THP_DISABLE), V(PR_CAP_AMBIENT), V(PR_SET_VMA), {0, NULL},
};
static const Name clock_names[] = {
    V(CLOCK_REALTIME), V(CLOCK_MONOTONIC), V(CLOCK_PROCESS_CPUTIME_ID),
    V(CLOCK_THREAD_CPUTIME_ID), V(CLOCK_MONOTONIC_RAW), V(CLOCK_REALTIME_COARSE),
    V(CLOCK_MONOTONIC_COARSE), V(CLOCK_BOOTTIME), V(CLOCK_REALTIME_ALARM),
    V(CLOCK_BOOTTIME_ALARM), V(CLOCK_TAI), {0, NULL},
};
static const Name futex_names[] = {
    V(FUTEX_WAIT), V(FUTEX_WAKE), V(FUTEX_FD), V(FUTEX_REQUEUE), V(FUTEX_CMP_REQUEUE),
    V(FUTEX_WAKE_OP), V(FUTEX_LOCK_PI), V(FUTEX_UNLOCK_PI), V(FUTEX_TRYLOCK_PI),
    V(FUTEX_WAIT_BITSET), V(FUTEX_WAKE_BITSET), V(FUTEX_WAIT_REQUEUE_PI), V(FUTEX_CMP_REQUEUE_PI),
    {13, "FUTEX_LOCK_PI2"}, {0, NULL},
};
static const Name how_names[] = { V(SIG_BLOCK), V(SIG_UNBLOCK), V(SIG_SETMASK), {0, NULL} };

static const struct {
    const Name *names;
    const char *none; /* of a set without bits */
} lists[] = {
    [NAMES_OPEN] = { open_names, "O_RDONLY" }, [NAMES_AT] = { at_names, "0" },
    [NAMES_FD] = { fd_names, "0" }, [NAMES_PROT] = { prot_names, "PROT_NONE" },
    [NAMES_MMAP] = { mmap_names, "0" }, [NAMES_CLONE] = { clone_names, "0" },
    [NAMES_ACCESS] = { access_names, "F_OK" }, [NAMES_SOCKET_FLAGS] = { socket_flags, "0" },
    [NAMES_WAIT] = { wait_names, "0" }, [NAMES_DOMAIN] = { domain_names, NULL },
    [NAMES_SOCKET_TYPE] = { type_names, NULL }, [NAMES_WHENCE] = { whence_names, NULL },
    [NAMES_RESOURCE] = { resource_names, NULL }, [NAMES_FCNTL] = { fcntl_names, NULL },
    [NAMES_EPOLL] = { epoll_names, NULL }, [NAMES_PRCTL] = { prctl_names, NULL },
    [NAMES_CLOCK] = { clock_names, NULL }, [NAMES_FUTEX] = { futex_names, NULL },
    [NAMES_HOW] = { how_names, NULL },
};

static void bit_names(GString *out, const Name *names, const char *none, uint64_t value)
{
    size_t start = out->len;
    bool reads = names == open_names && !(value & O_ACCMODE);
    if (!value) {
        g_string_append(out, none);
        return;
    }
    if (reads)
        g_string_append(out, none);
    for (; names->name; names++) {
        if ((value & names->value) != names->value)
            continue;
        g_string_append_printf(out, "%s%s", out->len > start ? "|" : "", names->name);
        value &= ~names->value;
    }
    if (value)
        g_string_append_printf(out, "%s0x%" G_GINT64_MODIFIER "x", out->len > start ? "|" : "",
                               value);
}

void strace_name(GString *out, StraceNames which, uint64_t value)
{
    const Name *names = lists[which].names;
    if (which < NAMES_FLAGS) {
        bit_names(out, names, lists[which].none, value);
        return;
    }
    for (; names->name; names++) {
        if (names->value == value) {
            g_string_append(out, names->name);
            return;
        }
    }
    g_string_append_printf(out, "%" G_GINT64_FORMAT, (int64_t)(int32_t)value);
}

void strace_signal_name(GString *out, int signal)
{
    const char *name = signal > 0 && signal < 32 ? sigabbrev_np(signal) : NULL;
    if (name)
        g_string_append_printf(out, "SIG%s", name);
    else if (signal >= 32 && signal <= LINUX_SIGNALS)
        g_string_append_printf(out, "SIGRT_%d", signal - 32);
    else
        g_string_append_printf(out, "%d", signal);
}

void strace_code_name(GString *out, int signal, int code)
{
    static const Name common[] = {
        {0, "SI_USER"}, {0x80, "SI_KERNEL"}, {(uint64_t)-1, "SI_QUEUE"}, {(uint64_t)-2, "SI_TIMER"},
        {(uint64_t)-3, "SI_MESGQ"}, {(uint64_t)-4, "SI_ASYNCIO"}, {(uint64_t)-5, "SI_SIGIO"},
        {(uint64_t)-6, "SI_TKILL"},
    };
    static const struct {
        int signal;
        const char *names[9]; /* of codes 1, 2, ... */
    } own[] = {
        { SIGILL, { "ILL_ILLOPC", "ILL_ILLOPN", "ILL_ILLADR", "ILL_ILLTRP", "ILL_PRVOPC",
                    "ILL_PRVREG", "ILL_COPROC", "ILL_BADSTK" } },
        { SIGFPE, { "FPE_INTDIV", "FPE_INTOVF", "FPE_FLTDIV", "FPE_FLTOVF", "FPE_FLTUND",
                    "FPE_FLTRES", "FPE_FLTINV", "FPE_FLTSUB" } },
        { SIGSEGV, { "SEGV_MAPERR", "SEGV_ACCERR", "SEGV_BNDERR", "SEGV_PKUERR" } },
        { SIGBUS, { "BUS_ADRALN", "BUS_ADRERR", "BUS_OBJERR", "BUS_MCEERR_AR", "BUS_MCEERR_AO" } },
        { SIGTRAP, { "TRAP_BRKPT", "TRAP_TRACE", "TRAP_BRANCH", "TRAP_HWBKPT", "TRAP_UNK" } },
        { SIGCHLD, { "CLD_EXITED", "CLD_KILLED", "CLD_DUMPED", "CLD_TRAPPED", "CLD_STOPPED",
                     "CLD_CONTINUED" } },
        { SIGIO, { "POLL_IN", "POLL_OUT", "POLL_MSG", "POLL_ERR", "POLL_PRI", "POLL_HUP" } },
    };
    const char *name = NULL;
    for (unsigned i = 0; i < G_N_ELEMENTS(common); i++)
        if (common[i].value == (uint64_t)(int64_t)code)
            name = common[i].name;
    for (unsigned i = 0; i < G_N_ELEMENTS(own); i++)
        if (own[i].signal == signal && code > 0 && code <= (int)G_N_ELEMENTS(own[i].names))
            name = own[i].names[code - 1];
    if (name)
        g_string_append(out, name);
    else
        g_string_append_printf(out, "%d", code);
}

const char *strace_ioctl_name(uint32_t request)
{
    static const struct {
        uint32_t number;
        const char *name;
    } requests[] = {
#define IOCTL(number, name, kind) {number, #name},
#include "linux/ioctl.def"
#undef IOCTL
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(requests); i++)
        if (requests[i].number == request)
            return requests[i].name;
    return NULL;
}
