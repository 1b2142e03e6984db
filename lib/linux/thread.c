/* SPDX-License-Identifier: MIT */
/*
 * The guest's threads and children. A thread of the guest is a thread of the host, with a CPU of its
 * own; thread numbers are the host's. A child without shared memory is a fork of this process. One
 * that shares it until it starts another program (vfork, posix_spawn) is the host's vfork with a
 * thread struct, a CPU and signal handlers of its own, so nothing is copied. CLONE_VM in any other
 * way gives a fork, whose memory is not shared.
 */
#include <linux/futex.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "linux/call_priv.h"

#define HOST_STACK ((size_t)256 << 10) /* of a guest thread: calls in compiled code, and C */
#define ALL_SIGNALS (~UINT64_C(0))

long linux_clone(uint64_t flags, void *stack, uint64_t ptid, uint64_t ctid, uint64_t tls,
                 void (*fn)(void *), void *arg); /* host_*.S */

static uint64_t block_signals(void)
{
    uint64_t all = ALL_SIGNALS, old = 0;
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &old, sizeof all);
    return old;
}

static void unblock_signals(uint64_t old)
{
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &old, NULL, sizeof old);
}

/* ---- The environment of a CPU ------------------------------------------------------- */

static bool on_executable(void *opaque, uint64_t address)
{
    LinuxThread *t = opaque;
    Vma v;
    return mm_find(&t->process->mm, address, &v) && v.prot & PROT_EXEC;
}

static void on_exception(void *opaque, TranslateCpu *cpu, uint32_t exception, uint64_t value)
{
    LinuxThread *t = opaque;
    LinuxTrap trap = {.signal = SIGSEGV, .code = SEGV_MAPERR};
    const LinuxAbi *abi = t->process->abi;
    if (exception != TRANSLATE_HOST_FAULT)
        abi->trap(t, exception, value, &trap);
    else if (t->faulted && abi->fault)
        trap.again = abi->fault(t, &t->fault_info);
    if (trap.call)
        linux_do_call(t);
    else if (trap.again)
        t->faulted = false;
    else
        signals_raise(t, trap.signal, trap.code, trap.addr);
}

static void on_attention(void *opaque, TranslateCpu *cpu)
{
    LinuxThread *t = opaque;
    if (t->process->abi->attention)
        t->process->abi->attention(t);
    signals_deliver(t);
}

static void on_fence(void *opaque, uint64_t start, uint64_t size)
{
    LinuxThread *t = opaque;
    mm_code_fence(&t->process->mm, start, size);
}

static uint64_t on_time(void *opaque)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * LINUX_TIMEBASE + (uint64_t)now.tv_nsec / (1000000000 / LINUX_TIMEBASE);
}

/* What the vDSO asks for: the host's, whose own vDSO answers without a system call. */
static bool on_service(void *opaque, TranslateCpu *cpu, uint32_t number, uint64_t key)
{
    LinuxThread *t = opaque;
    const LinuxAbi *abi = t->process->abi;
    uint64_t ignored, a[6];
    struct timespec ts;
    struct timeval tv;
    unsigned ids[2];
    int64_t result = 0;
    if (key != t->process->vdso_key)
        return false;
    abi->get_call(cpu, &ignored, a);
    switch (number) {
    case SYS_clock_gettime:
        result = clock_gettime((clockid_t)a[0], &ts) ? -errno : guest_write(a[1], &ts, sizeof ts);
        break;
    case SYS_clock_getres:
        if (clock_getres((clockid_t)a[0], &ts))
            result = -errno;
        else if (a[1])
            result = guest_write(a[1], &ts, sizeof ts);
        break;
    case SYS_gettimeofday:
        gettimeofday(&tv, NULL);
        if (a[0])
            result = guest_write(a[0], &tv, sizeof tv);
        if (!result && a[1])
            result = syscall(SYS_gettimeofday, NULL, a[1]) ? -errno : 0;
        break;
    case SYS_getcpu:
        getcpu(&ids[0], &ids[1]);
        if (a[0])
            result = guest_write(a[0], &ids[0], sizeof ids[0]);
        if (!result && a[1])
            result = guest_write(a[1], &ids[1], sizeof ids[1]);
        break;
    default:
        return false;
    }
    abi->set_result(cpu, result);
    return true;
}

LinuxThread *thread_new(LinuxProcess *p)
{
    LinuxThread *t = g_new0(LinuxThread, 1);
    GuestEnv env = {.opaque = t, .time = on_time, .executable = on_executable,
                    .exception = on_exception, .attention = on_attention,
                    .remote_fence = on_fence, .service = on_service};
    t->process = p;
    t->signals = p->signals;
    t->altstack.ss_flags = SS_DISABLE;
    t->cpu = translate_cpu_new(p->translator, &env, t);
    return t;
}

void thread_free(LinuxThread *t)
{
    if (!t)
        return;
    translate_cpu_free(t->cpu);
    if (t->signals != t->process->signals)
        g_free(t->signals);
    g_free(t);
}

/* What the end of a thread tells those who wait for it. */
static void announce_end(LinuxThread *t)
{
    uint32_t zero = 0;
    if (t->clear_tid && !guest_write(t->clear_tid, &zero, sizeof zero))
        syscall(SYS_futex, t->clear_tid, FUTEX_WAKE, 1, NULL, NULL, 0);
}

void thread_run(LinuxThread *t)
{
    while (!t->ended)
        translate_run(t->cpu);
}

/* ---- Threads ---------------------------------------------------------------------------- */

typedef struct Birth {
    LinuxThread *child;
    /* where it writes its number; 0: nowhere. Both before it runs: the C library has its parent's word
       in the same place as the one that is cleared at its end */
    uint64_t child_tid, parent_tid;
    uint32_t born;          /* futex: tid is known */
    pid_t tid;
} Birth;

static void *thread_main(void *opaque)
{
    Birth *birth = opaque;
    LinuxThread *t = birth->child;
    LinuxProcess *p = t->process;
    t->tid = (pid_t)syscall(SYS_gettid);
    linux_set_current(t);
    uint32_t number = (uint32_t)t->tid;
    if (birth->child_tid)
        (void)guest_write(birth->child_tid, &number, sizeof number);
    if (birth->parent_tid)
        (void)guest_write(birth->parent_tid, &number, sizeof number);
    birth->tid = t->tid;
    __atomic_store_n(&birth->born, 1, __ATOMIC_SEQ_CST); /* birth is gone from here on */
    syscall(SYS_futex, &birth->born, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    signals_thread_start(t);
    thread_run(t);
    block_signals();
    linux_set_current(NULL);
    g_mutex_lock(&p->lock);
    g_ptr_array_remove_fast(p->threads, t);
    g_mutex_unlock(&p->lock);
    announce_end(t);
    thread_free(t);
    return NULL;
}

static int64_t new_thread(LinuxThread *t, uint64_t flags, uint64_t stack, uint64_t ptid,
                          uint64_t ctid, uint64_t tls)
{
    LinuxProcess *p = t->process;
    LinuxThread *child = thread_new(p);
    Birth birth = {.child = child, .child_tid = flags & CLONE_CHILD_SETTID ? ctid : 0,
                   .parent_tid = flags & CLONE_PARENT_SETTID ? ptid : 0};
    pthread_attr_t attr;
    pthread_t thread;
    p->abi->clone(child->cpu, t->cpu, stack, flags & CLONE_SETTLS, tls);
    child->mask = t->mask;
    child->clear_tid = flags & CLONE_CHILD_CLEARTID ? ctid : 0;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, HOST_STACK);
    g_mutex_lock(&p->lock);
    g_ptr_array_add(p->threads, child);
    g_mutex_unlock(&p->lock);
    uint64_t old = block_signals();
    int wrong = pthread_create(&thread, &attr, thread_main, &birth);
    pthread_attr_destroy(&attr);
    if (wrong) {
        unblock_signals(old);
        g_mutex_lock(&p->lock);
        g_ptr_array_remove_fast(p->threads, child);
        g_mutex_unlock(&p->lock);
        thread_free(child);
        return -wrong;
    }
    pid_t tid = 0;
    while (!__atomic_load_n(&birth.born, __ATOMIC_SEQ_CST))
        syscall(SYS_futex, &birth.born, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
    tid = birth.tid;
    unblock_signals(old);
    return tid;
}

/* ---- Children ----------------------------------------------------------------------------- */

static void lock_all(LinuxProcess *p, LinuxThread *t)
{
    g_mutex_lock(&p->mm.lock);
    g_mutex_lock(&p->lock);
    g_mutex_lock(&t->signals->lock);
    translate_fork_prepare(p->translator);
}

static void unlock_all(LinuxProcess *p, LinuxThread *t)
{
    g_mutex_unlock(&t->signals->lock);
    g_mutex_unlock(&p->lock);
    g_mutex_unlock(&p->mm.lock);
}

/* In the child: it has this thread only. */
static void become_child(LinuxThread *t)
{
    LinuxProcess *p = t->process;
    g_autoptr(GError) error = NULL;
    if (!translate_fork_child(p->translator, t->cpu, &error)) {
        dprintf(STDERR_FILENO, "vm-user: fork: %s\n", error->message);
        syscall(SYS_exit_group, 126);
    }
    for (guint i = 0; i < p->threads->len; i++)
        if (p->threads->pdata[i] != t)
            g_free(p->threads->pdata[i]);
    g_ptr_array_set_size(p->threads, 0);
    g_ptr_array_add(p->threads, t);
    perf_child(p->perf);
    t->main = true;
    t->tid = (pid_t)syscall(SYS_gettid);
    unlock_all(p, t);
    g_mutex_unlock(&p->fork_lock);
}

/* flags that a plain fork of the C library does not know */
static bool needs_clone(uint64_t flags, int exit_signal, size_t n_set_tid)
{
    return exit_signal != SIGCHLD || n_set_tid ||
           flags & ~(uint64_t)(CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID |
                               CLONE_SETTLS | CLONE_VM | CLONE_VFORK);
}

static long fork_with(uint64_t flags, int exit_signal, const LinuxCloneMore *more)
{
    struct clone_args args = {
        .flags = flags & ~(uint64_t)(CLONE_PARENT_SETTID | CLONE_CHILD_SETTID |
                                     CLONE_CHILD_CLEARTID | CLONE_SETTLS | CLONE_VM | CLONE_VFORK),
        .exit_signal = (uint64_t)exit_signal, .pidfd = more->pidfd,
        .set_tid = more->set_tid, .set_tid_size = more->n_set_tid, .cgroup = more->cgroup};
    return syscall(SYS_clone3, &args, sizeof args);
}

static int64_t new_child(LinuxThread *t, uint64_t flags, uint64_t stack, uint64_t ptid,
                         uint64_t ctid, uint64_t tls, int exit_signal, const LinuxCloneMore *more)
{
    LinuxProcess *p = t->process;
    uint64_t old = block_signals();
    g_mutex_lock(&p->fork_lock);
    translate_fork_learn(t->cpu);
    lock_all(p, t);
    long pid = needs_clone(flags, exit_signal, more->n_set_tid)
                   ? fork_with(flags, exit_signal, more) : fork();
    int wrong = errno;
    if (pid) {
        translate_fork_parent(p->translator);
        unlock_all(p, t);
        g_mutex_unlock(&p->fork_lock);
        if (pid > 0 && flags & CLONE_PARENT_SETTID) {
            uint32_t number = (uint32_t)pid;
            (void)guest_write(ptid, &number, sizeof number);
        }
        unblock_signals(old);
        return pid < 0 ? -wrong : pid;
    }
    become_child(t);
    t->clear_tid = flags & CLONE_CHILD_CLEARTID ? ctid : 0;
    uint32_t tid = (uint32_t)t->tid;
    if (flags & CLONE_CHILD_SETTID)
        (void)guest_write(ctid, &tid, sizeof tid);
    p->abi->clone(t->cpu, t->cpu, stack, flags & CLONE_SETTLS, tls);
    unblock_signals(old);
    return 0;
}

static void vfork_main(void *opaque)
{
    LinuxThread *t = opaque;
    t->tid = (pid_t)syscall(SYS_gettid);
    linux_set_current(t);
    signals_thread_start(t);
    thread_run(t);
    syscall(SYS_exit_group, 0);
}

/* The child runs on this thread's host TLS while this thread waits in the kernel. */
static int64_t new_vfork(LinuxThread *t, uint64_t flags, uint64_t stack, uint64_t ptid,
                         uint64_t tls, int exit_signal)
{
    LinuxProcess *p = t->process;
    void *host_stack = mmap(NULL, HOST_STACK, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (host_stack == MAP_FAILED)
        return -EAGAIN;
    uint64_t old = block_signals();
    LinuxThread *child = thread_new(p);
    child->signals = g_new0(LinuxSignals, 1);
    g_mutex_init(&child->signals->lock);
    g_mutex_lock(&t->signals->lock);
    memcpy(child->signals->action, t->signals->action, sizeof t->signals->action);
    g_mutex_unlock(&t->signals->lock);
    p->abi->clone(child->cpu, t->cpu, stack, flags & CLONE_SETTLS, tls);
    child->mask = t->mask;
    child->vfork_child = true;
    long pid = linux_clone(CLONE_VM | CLONE_VFORK | (uint64_t)exit_signal,
                           (uint8_t *)host_stack + HOST_STACK, 0, 0, 0, vfork_main, child);
    linux_set_current(t);
    munmap(host_stack, HOST_STACK);
    thread_free(child);
    if (pid > 0 && flags & CLONE_PARENT_SETTID) {
        uint32_t number = (uint32_t)pid;
        (void)guest_write(ptid, &number, sizeof number);
    }
    unblock_signals(old);
    return pid;
}

static int64_t thread_clone(LinuxThread *t, uint64_t flags, uint64_t stack, uint64_t ptid,
                            uint64_t ctid, uint64_t tls, int exit_signal,
                            const LinuxCloneMore *more)
{
    const uint64_t thread = CLONE_VM | CLONE_SIGHAND | CLONE_THREAD;
    const uint64_t plain = CLONE_VM | CLONE_VFORK | CLONE_PARENT_SETTID | CLONE_SETTLS;
    if ((flags & CLONE_THREAD && !(flags & CLONE_SIGHAND)) ||
        (flags & CLONE_SIGHAND && !(flags & CLONE_VM)))
        return -EINVAL;
    if (exit_signal < 0 || exit_signal > LINUX_SIGNALS)
        return -EINVAL;
    if (flags & CLONE_THREAD) {
        const uint64_t known = thread | CLONE_FS | CLONE_FILES | CLONE_SYSVSEM | CLONE_SETTLS |
                               CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID |
                               CLONE_DETACHED;
        const uint64_t all = thread | CLONE_FS | CLONE_FILES;
        if (flags & ~known || (flags & all) != all || t->vfork_child)
            return -EINVAL; /* a thread of the host shares all that */
        return new_thread(t, flags, stack, ptid, ctid, tls);
    }
    if (flags & CLONE_VFORK && flags & CLONE_VM && !(flags & ~plain) && !more->n_set_tid)
        return new_vfork(t, flags, stack, ptid, tls, exit_signal);
    return new_child(t, flags & ~(uint64_t)CLONE_SIGHAND, stack, ptid, ctid, tls, exit_signal,
                     more);
}

int64_t call_clone(LinuxThread *t, const uint64_t a[6])
{
    bool tls_first = t->process->abi->clone_tls_first;
    uint64_t tls = tls_first ? a[3] : a[4], ctid = tls_first ? a[4] : a[3];
    LinuxCloneMore more = {.pidfd = a[0] & CLONE_PIDFD ? a[2] : 0};
    return thread_clone(t, (uint32_t)a[0] & ~(uint64_t)CSIGNAL, a[1], a[2], ctid, tls,
                        (int)(a[0] & CSIGNAL), &more);
}

#define SET_TID_MAX 32

int64_t call_clone3(LinuxThread *t, const uint64_t a[6])
{
    struct clone_args args = {0};
    uint8_t beyond;
    if (a[1] < CLONE_ARGS_SIZE_VER0)
        return -EINVAL;
    if (a[1] > GUEST_PAGE_SIZE)
        return -E2BIG;
    if (guest_read(&args, a[0], MIN(a[1], sizeof args)))
        return -EFAULT;
    for (uint64_t i = sizeof args; i < a[1]; i++)
        if (guest_read(&beyond, a[0] + i, 1) || beyond)
            return -E2BIG;
    if (args.flags & (CLONE_DETACHED | CSIGNAL) || args.exit_signal > LINUX_SIGNALS ||
        args.set_tid_size > SET_TID_MAX || !args.set_tid != !args.set_tid_size ||
        !args.stack != !args.stack_size)
        return -EINVAL;
    if (args.flags & CLONE_CLEAR_SIGHAND)
        return -ENOSYS;
    LinuxCloneMore more = {.pidfd = args.pidfd, .set_tid = args.set_tid,
                           .n_set_tid = args.set_tid_size, .cgroup = args.cgroup};
    return thread_clone(t, args.flags, args.stack ? args.stack + args.stack_size : 0,
                        args.parent_tid, args.child_tid, args.tls, (int)args.exit_signal, &more);
}

int64_t call_set_tid_address(LinuxThread *t, const uint64_t a[6])
{
    t->clear_tid = a[0];
    return t->tid;
}

int64_t call_exit(LinuxThread *t, const uint64_t a[6])
{
    LinuxProcess *p = t->process;
    g_mutex_lock(&p->lock);
    bool last = p->threads->len == 1;
    g_mutex_unlock(&p->lock);
    if (last || t->vfork_child)
        process_exit(t, (int)a[0]);
    if (t->main) { /* the host's first thread has no function to return from */
        block_signals();
        g_mutex_lock(&p->lock);
        g_ptr_array_remove_fast(p->threads, t);
        g_mutex_unlock(&p->lock);
        announce_end(t);
        syscall(SYS_exit, (int)a[0]);
    }
    t->ended = true;
    translate_stop(t->cpu);
    return -LINUX_NO_RESULT;
}
