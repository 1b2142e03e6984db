/* SPDX-License-Identifier: MIT */
/*
 * What the files of lib/linux share: the process, its threads, the interface to one ISA's ABI.
 *
 * Guest addresses are host addresses: a guest's pointer is used as it is, and the host's kernel is
 * given it as it is. What C itself reads and writes of the guest goes through guest_read and
 * guest_write, which give -EFAULT where the kernel would.
 *
 * Locks, in this order: LinuxProcess.fork_lock, LinuxMm.lock, LinuxProcess.lock, LinuxSignals.lock, the translator's.
 * Handlers of host signals take none.
 */
#pragma once

#include <errno.h>
#include <glib.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "guest/guest.h"
#include "linux/linux.h"

typedef struct LinuxProcess LinuxProcess;
typedef struct LinuxThread LinuxThread;
typedef struct LinuxPerf LinuxPerf;
typedef struct LinuxUring LinuxUring;

/* What a call returns, beside -errno, when a signal came before it could do anything, and it is to
   be done again after a handler with SA_RESTART. Never seen by the guest. */
#define LINUX_RESTART 512
/* Negative, too: the call has set all registers itself (rt_sigreturn, a thread's end), and nothing is
   returned. */
#define LINUX_NO_RESULT 1024

#define LINUX_SIGNALS 64
#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1u << 31)
#endif
#define LINUX_MMAP_MIN UINT64_C(65536)
#define LINUX_ASAN_LIMIT UINT64_C(0x7fff0000)

/* ---- Memory maps (mm.c) ------------------------------------------------------- */

typedef enum { /* whose a mapping is, as /proc/self/maps names it */
    VMA_PLAIN, VMA_HEAP, VMA_STACK, VMA_VDSO, VMA_SHM,
    VMA_HOST, /* not the guest's: nothing of it can be had or changed */
} VmaKind;

typedef struct Vma {
    uint64_t start, end; /* page-aligned */
    uint8_t prot;        /* PROT_*, as the guest sees it; the host never has PROT_EXEC there */
    uint8_t kind;        /* VmaKind */
    bool shared;
} Vma;

typedef struct LinuxMm {
    GMutex lock;
    GTree *vmas;              /* by start; they do not overlap */
    uint64_t min, limit;      /* addresses that the guest may have: min <= address < limit */
    uint64_t top, cursor;     /* where the search for room starts, downward: first, and now */
    uint64_t brk_start, brk;  /* the heap */
    /* RLIMIT_AS and RLIMIT_DATA, of what the guest has; UINT64_MAX: none */
    uint64_t space_limit, data_limit;
    int more_prot;            /* PROT_* of the guest's ISA beside the usual three */
    /* pages with PROT_BTI, by number; NULL until there is one. The lock is the last of all. */
    GMutex guards_lock;
    GHashTable *guards;
    uint8_t *tags;            /* tags.c; NULL until there are some */
    Translator *translator;
} LinuxMm;

/* Of arm64 */
#define LINUX_PROT_BTI 0x10
#define LINUX_PROT_MTE 0x20

/* Tags of addr..+size (tags.c), with the lock of mm held: from now on 0, unless there are some already;
   false: no room. None any more. Those of from for to. */
#define LINUX_TAGGED 16 /* the byte of a tag of 0 */
bool tags_add(LinuxMm *mm, uint64_t addr, uint64_t size);
void tags_drop(LinuxMm *mm, uint64_t addr, uint64_t size);
void tags_move(LinuxMm *mm, uint64_t from, uint64_t to, uint64_t size);

bool mm_start(LinuxMm *mm, uint64_t min, uint64_t limit, uint64_t top, GError **error);
/* Bytes that the guest may have at all, and private and writable. */
void mm_limit(LinuxMm *mm, uint64_t space, uint64_t data);
/* Takes addr..+size out of what the guest may have. */
void mm_reserve(LinuxMm *mm, uint64_t addr, uint64_t size);
/* System calls; results are addresses or -errno. */
int64_t mm_mmap(LinuxMm *mm, uint64_t addr, uint64_t size, int prot, int flags, int fd,
                uint64_t offset, VmaKind kind);
int64_t mm_munmap(LinuxMm *mm, uint64_t addr, uint64_t size);
int64_t mm_mprotect(LinuxMm *mm, uint64_t addr, uint64_t size, int prot);
int64_t mm_mremap(LinuxMm *mm, uint64_t old, uint64_t old_size, uint64_t size, int flags,
                  uint64_t to);
int64_t mm_brk(LinuxMm *mm, uint64_t brk);
int64_t mm_madvise(LinuxMm *mm, uint64_t addr, uint64_t size, int advice);
int64_t mm_shmat(LinuxMm *mm, int id, uint64_t addr, int flags);
int64_t mm_shmdt(LinuxMm *mm, uint64_t addr);
/* The mapping at address, copied; false if there is none. */
bool mm_find(LinuxMm *mm, uint64_t addr, Vma *out);
/* Any thread, also with locks of the translator's: whether there is any page with PROT_BTI, and whether that
   of addr is one. */
bool mm_guards(LinuxMm *mm);
bool mm_guarded(LinuxMm *mm, uint64_t addr);
/* Code made from what may change without a system call is dropped: fence.i and the like. */
void mm_code_fence(LinuxMm *mm, uint64_t start, uint64_t size);
/* Calls fn for each mapping in order, with the lock held. */
void mm_for_each(LinuxMm *mm, void (*fn)(const Vma *vma, void *opaque), void *opaque);

/* ---- Guest memory from C (host_*.S, guest.c) ------------------------------------ */

/* Copies size bytes; false when either side cannot be touched (some bytes may be copied then). */
bool guest_copy(void *to, const void *from, size_t size);
static inline void *guest_ptr(uint64_t addr) { return (void *)(uintptr_t)addr; }
/* 0 or -EFAULT. */
static inline int guest_read(void *to, uint64_t from, size_t size)
{
    return guest_copy(to, guest_ptr(from), size) ? 0 : -EFAULT;
}
static inline int guest_write(uint64_t to, const void *from, size_t size)
{
    return guest_copy(guest_ptr(to), from, size) ? 0 : -EFAULT;
}
/* A string of at most max bytes with its 0: *out is to be freed. 0, -EFAULT, -ENAMETOOLONG. */
int guest_string(uint64_t addr, size_t max, char **out);
/* A NULL-terminated array of strings, as execve has it. 0, -EFAULT, -E2BIG. addr 0: empty. */
int guest_strings(uint64_t addr, char ***out);

/* ---- System calls ----------------------------------------------------------------- */

/* Does a host system call that may block, so that no signal for the guest is missed: the result,
   -errno or -LINUX_RESTART. Everything that may block goes through it. */
int64_t linux_host_call(LinuxThread *t, long number, const uint64_t args[6]);
#define HOST_CALL(t, number, ...) \
    linux_host_call(t, number, (const uint64_t[6]){__VA_ARGS__})

typedef int64_t LinuxCallFn(LinuxThread *t, const uint64_t args[6]);

/* One system call: syscalls.def. */
typedef struct LinuxCall {
    const char *name;
    const char *args;   /* kinds of its arguments, for -strace and for pointers: see syscalls.def */
    int host;           /* the host's number, -1 when the host has none */
    LinuxCallFn *fn;    /* NULL: the host's call with the same arguments */
} LinuxCall;

extern const LinuxCall linux_calls[];

/* number of the guest -> index in linux_calls; ends with index -1. Sorted by number. */
typedef struct LinuxNumber {
    uint16_t number;
    int16_t call;
} LinuxNumber;

/* The call of the guest's number, or NULL. */
const LinuxCall *linux_call_find(const LinuxProcess *p, uint64_t number);
/* Does the system call that the CPU's registers ask for: called by the run loop. */
void linux_do_call(LinuxThread *t);

/* ---- One ISA's ABI (riscv64.c, ...) -------------------------------------------------- */

typedef struct LinuxTrap {
    bool call;       /* a system call: the CPU's pc is behind it already */
    bool again;      /* nothing at all: the CPU goes on at its pc */
    int signal, code; /* else a signal */
    uint64_t addr;
} LinuxTrap;

typedef struct LinuxSigFrame {
    int signal;
    siginfo_t info;
    uint64_t handler, restorer, flags;
    uint64_t mask;         /* to be restored by rt_sigreturn */
    stack_t altstack;      /* as the frame has it */
    uint64_t stack;        /* address below which the frame goes */
} LinuxSigFrame;

typedef struct LinuxBits { /* the same flag for the guest and for the host */
    uint32_t guest, host;
} LinuxBits;

typedef struct LinuxAbi {
    const char *isa;          /* GuestIsa.name */
    const char *machine;      /* uname -m */
    const LinuxNumber *numbers;
    unsigned n_numbers;
    uint64_t task_size, mmap_top, pie_base;
    /* PROT_* that the CPU gives a meaning beside the usual ones, and what the loader adds to those of code of
       a program with these features (LoadProgram). NULL: none. */
    int (*more_prot)(const TranslateCpu *cpu);
    int (*code_prot)(uint32_t features);
    uint64_t min_stack_frame; /* the least room for a signal frame; AT_MINSIGSTKSZ */
    /* AT_MINSIGSTKSZ where it depends on the CPU. NULL: min_stack_frame. */
    uint64_t (*stack_frame)(const TranslateCpu *cpu);
    /* The -cpu of a program that execve starts, to be freed, if it is not the same (spec). NULL: it always
       is. */
    char *(*exec_cpu)(TranslateCpu *cpu, const char *spec);
    /* What the exception of env.exception means. */
    void (*trap)(LinuxThread *t, uint32_t exception, uint64_t value, LinuxTrap *out);
    /* A signal of the host's that the guest's access raised, which may be made more like the guest's own;
       true: the access is to be done again. NULL: as it is. */
    bool (*fault)(LinuxThread *t, siginfo_t *info);
    /* The CPU was kicked: what of its own it has to say, a signal perhaps. NULL: nothing. */
    void (*attention)(LinuxThread *t);
    /* An option of prctl: true when it is this ISA's own, *result then set. NULL: there are none. */
    bool (*prctl)(LinuxThread *t, const uint64_t args[6], int64_t *result);
    void (*get_call)(TranslateCpu *cpu, uint64_t *number, uint64_t args[6]);
    void (*set_result)(TranslateCpu *cpu, int64_t result);
    /* Back before the system call instruction, with the first argument as it was. */
    void (*restart)(TranslateCpu *cpu, uint64_t number, uint64_t arg0);
    uint64_t (*get_sp)(const TranslateCpu *cpu);
    /* A program's start. */
    void (*start)(TranslateCpu *cpu, uint64_t entry, uint64_t sp);
    /* Registers of a new thread or child, a copy of its parent's: result 0, stack and TLS if not 0. */
    void (*clone)(TranslateCpu *to, const TranslateCpu *from, uint64_t sp, bool set_tls,
                  uint64_t tls);
    uint64_t (*hwcap)(TranslateCpu *cpu, unsigned word); /* AT_HWCAP is word 0, AT_HWCAP2 1 */
    /* Puts a signal frame below frame->stack and enters the handler. False: no memory there. */
    bool (*push_frame)(LinuxThread *t, const LinuxSigFrame *frame);
    /* Undoes it from the frame at the stack pointer: registers and *mask, *altstack. False: the
       frame is bad. */
    bool (*pop_frame)(LinuxThread *t, uint64_t *mask, stack_t *altstack);
    /* The vDSO: an ELF image that is mapped as it is. Its code presents the key when it asks for a
       service (GuestEnv.service: the host's number of the system call, arguments as for that).
       *sigreturn: offset of its rt_sigreturn. */
    GBytes *(*vdso)(uint64_t key, uint64_t *sigreturn);
    /* /proc/cpuinfo's text, appended. */
    void (*cpuinfo)(TranslateCpu *cpu, GString *out);
    bool clone_tls_first;     /* clone's tls argument comes before the child's tid */
    bool sa_restorer;         /* struct sigaction has the member */
    /* Flags of open that have other numbers than the host's; ends with zeros. NULL: none have. */
    const LinuxBits *open_flags;
} LinuxAbi;

extern const LinuxAbi *const linux_abis[]; /* ended by NULL */
const LinuxAbi *linux_abi_find(const char *isa); /* NULL: not there */

/* ---- Signals (signal.c) ----------------------------------------------------------------- */

typedef struct LinuxAction { /* as the kernel keeps it */
    uint64_t handler, flags, restorer, mask;
} LinuxAction;

/* Handlers; shared by the threads of a process. A child of vfork has its own. */
typedef struct LinuxSignals {
    GMutex lock;
    LinuxAction action[LINUX_SIGNALS + 1];
} LinuxSignals;

/* Before the first thread runs: what was inherited. */
void signals_start(LinuxThread *t);
/* On a thread's own stack, before it runs guest code. */
void signals_thread_start(LinuxThread *t);
/* Delivers what is pending; registers change. Run by the run loop between system calls and
   stretches of code. */
void signals_deliver(LinuxThread *t);
/* A signal that the guest's own instruction raised: delivered at once, or the end. */
void signals_raise(LinuxThread *t, int signal, int code, uint64_t addr);
/* The guest's mask, also that of the host thread unless a signal waits for delivery. */
void signals_set_mask(LinuxThread *t, uint64_t mask);
/* The host thread's mask for execve and the like: the guest's, whatever waits. */
void signals_release(LinuxThread *t);
/* Masks and sizes as the host's kernel is to be given for a call that waits with another mask
   (ppoll, pselect6, epoll_pwait, rt_sigsuspend): never blocks what the translator needs. Notes it
   for the frame. 0, -EFAULT, -EINVAL. */
int signals_wait_mask(LinuxThread *t, uint64_t set, uint64_t size, uint64_t *mask);

/* ---- Process and threads ------------------------------------------------------------------ */

#define LINUX_LIMITS 16 /* RLIM_NLIMITS */

typedef struct LinuxLimit { /* a resource limit that is kept here, as the host's would be ours too */
    bool own;               /* else the host's */
    uint64_t soft, hard;
} LinuxLimit;

struct LinuxProcess {
    GMutex lock;              /* threads, and what says so */
    GMutex fork_lock;         /* one fork at a time */
    LinuxOptions options;
    const GuestIsa *isa;
    const LinuxAbi *abi;
    Translator *translator;
    LinuxMm mm;
    LinuxSignals *signals;
    GPtrArray *threads;
    LinuxPerf *perf;          /* NULL: not wanted */
    GHashTable *urings;       /* by descriptor; NULL: there was none */
    int self_fd;              /* this tool's own executable, to be started again; -1 */
    char *exe;                /* absolute path of the program as the guest sees it */
    char *exe_host;           /* and where the host has it */
    uint64_t entry;           /* of the program itself: AT_ENTRY */
    uint64_t stack_low, stack_top, arg_start, arg_end, env_start, env_end, auxv, auxv_size;
    uint64_t vdso, sigreturn; /* addresses */
    uint64_t vdso_key;
    uint64_t start_stack;     /* the stack pointer that the program starts with */
    LinuxLimit limits[LINUX_LIMITS];
    const char *sysroot;
};

struct LinuxThread {
    LinuxProcess *process;
    TranslateCpu *cpu;
    pid_t tid;
    LinuxSignals *signals;
    uint64_t clear_tid;       /* CLONE_CHILD_CLEARTID: 0 none */
    bool main, vfork_child;
    bool ended;               /* the guest's thread is over */

    /* signals */
    /* atomic: bit 0: `info` waits for delivery, and all signals are blocked; bit 1: look at sent_set */
    uint32_t pending;
    siginfo_t info;
    uint32_t sent_set;        /* atomic: those of `sent` that wait */
    siginfo_t sent[5];        /* signals of the CPU's that were sent by somebody */
    bool faulted;             /* fault_info is that of TRANSLATE_HOST_FAULT */
    siginfo_t fault_info;
    uint64_t fault_address, fault_syndrome; /* of the last fault, as the ISA's frames tell it */
    uint64_t tagged_control;  /* PR_SET_TAGGED_ADDR_CTRL */
    bool untag;               /* pointers given to system calls may have a top byte */
    uint64_t mask;            /* blocked by the guest: bit signal - 1 */
    uint64_t wait_mask;       /* of the call being done, if waiting */
    bool waiting, waited;     /* waited: the signal to be delivered came while it did */
    stack_t altstack;

    /* the call being done */
    uint64_t number, args[6];
    bool traced;              /* the start of its line is on the log already */
    bool restart;             /* it returned -LINUX_RESTART */
    uint64_t last_number;     /* for crash reports */
};

/* The thread running on this host thread; NULL before the first. For signal handlers. */
LinuxThread *linux_current(void);
void linux_set_current(LinuxThread *t);

/* What clone3 adds: addresses of the guest, and counts. */
typedef struct LinuxCloneMore {
    uint64_t pidfd, set_tid, n_set_tid, cgroup;
} LinuxCloneMore;

#define LINUX_TIMEBASE 10000000 /* ticks a second of the guest's own counter */

LinuxThread *thread_new(LinuxProcess *p); /* with a CPU; the calling host thread's if it runs it */
void thread_free(LinuxThread *t);
/* Runs guest code until the guest's thread ends. */
void thread_run(LinuxThread *t);
_Noreturn void process_exit(LinuxThread *t, int status); /* exit_group */
_Noreturn void process_die(LinuxThread *t, int signal); /* by the signal's default action */
/* "this is a bug in vm-user": for faults of our own. */
_Noreturn void process_crash(LinuxThread *t, int signal, const siginfo_t *info, void *ucontext);

/* ---- Loading (loader.c) --------------------------------------------------------------------- */

/* The program's and its interpreter's files, open and looked at. */
typedef struct LinuxImages LinuxImages;
/* Also sets the process's isa, abi, exe. *status as linux_run. */
LinuxImages *loader_open(LinuxProcess *p, int *status, GError **error);
void loader_close(LinuxImages *images); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LinuxImages, loader_close)
/* Maps them and makes the stack: the entry and the stack pointer. */
bool loader_load(LinuxProcess *p, LinuxImages *images, TranslateCpu *cpu, uint64_t *entry,
                 uint64_t *sp, GError **error);

/* ---- perf's map of compiled code (perf.c) ------------------------------------------------------- */

LinuxPerf *perf_start(GError **error);
/* In a child: a file of its own. perf NULL: nothing. */
void perf_child(LinuxPerf *perf);
void perf_region(void *perf, const void *host, size_t size, uint64_t pc); /* as TranslateOptions has it */

/* ---- Paths (path.c) ---------------------------------------------------------------------------- */

/* Where the host has the guest's absolute path: below the sysroot if it is there, else as it is.
   To be freed. */
char *path_host(const LinuxProcess *p, const char *path);

/* ---- Resource limits (call_limits.c) ------------------------------------------------------------- */

/* Takes the limits of memory that the process was started with for the guest's, and lifts the host's
   as far as it goes. Once, before anything large is mapped. */
void limits_start(LinuxProcess *p);
/* Tells p->mm of them; once it is there. */
void limits_apply(LinuxProcess *p);

/* ---- What others see (proc_host.c) -------------------------------------------------------------- */

/* The host's /proc shows the guest's arguments for this process. Once, when they are there. */
void proc_show(const LinuxProcess *p);

/* ---- Descriptors of our own (fd.c) -------------------------------------------------------------- */

/* Moves self_fd and the log to numbers that no guest minds. Once, after both are open. */
void fds_start(LinuxProcess *p);
