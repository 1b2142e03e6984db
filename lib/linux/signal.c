/* SPDX-License-Identifier: MIT */
/*
 * The guest's signals, on the host's.
 *
 * What the guest ignores or leaves at its default, the host ignores or leaves at its default, and the
 * host thread blocks what the guest's thread blocks; so the kernel queues, ignores, stops, ends and
 * restarts as it does for any process. Only a signal with a guest handler comes here: the host's
 * handler keeps it (one a thread, as it blocks all others until that one is delivered), kicks the CPU
 * out of compiled code and brings a system call that has not begun, or that the kernel would begin
 * again, back to its caller; the run loop then delivers it.
 *
 * Five signals are the host CPU's own words about instructions: they are never blocked on the host and
 * always have a handler. If the guest's code caused one, it is raised at that guest instruction.
 * If one was sent by somebody, it is kept apart, as the guest may block it.
 */
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "linux/call_priv.h"

#define BIT(signal) (UINT64_C(1) << ((signal) - 1))
#define SYNC_MASK (BIT(SIGSEGV) | BIT(SIGBUS) | BIT(SIGILL) | BIT(SIGFPE) | BIT(SIGTRAP))
#define UNBLOCKABLE (BIT(SIGKILL) | BIT(SIGSTOP))
#define HOST_DFL 0
#define HOST_IGN 1
#ifndef SA_RESTORER
#define SA_RESTORER 0x04000000
#endif
enum { NSIG_BYTES = LINUX_SIGNALS / 8 };

/* struct sigaction as the kernel of x86-64 has it */
typedef struct HostAction {
    uint64_t handler, flags, restorer, mask;
} HostAction;

extern const char linux_syscall_check[], linux_syscall_done[], linux_syscall_again[],
    guest_copy_insn[], guest_copy_fault[]; /* host_*.S */
void linux_restorer(void);

static __thread LinuxThread *current;

LinuxThread *linux_current(void)
{
    return current;
}

void linux_set_current(LinuxThread *t)
{
    current = t;
}

static void host_mask(uint64_t mask)
{
    mask &= ~SYNC_MASK;
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, NSIG_BYTES);
}

static unsigned sync_index(int signal)
{
    switch (signal) {
    case SIGSEGV: return 0;
    case SIGBUS: return 1;
    case SIGILL: return 2;
    case SIGFPE: return 3;
    default: return 4;
    }
}

/* ---- The host's handler ----------------------------------------------------------- */

/* Moves the interrupted system call, if that is where the thread was, to where it reports that it is
   to be done again. */
static void stop_call(LinuxThread *t, greg_t *rip)
{
    uintptr_t at = (uintptr_t)*rip;
    t->waited = t->waiting && at >= (uintptr_t)linux_syscall_check &&
                at <= (uintptr_t)linux_syscall_done;
    if (at >= (uintptr_t)linux_syscall_check && at < (uintptr_t)linux_syscall_done)
        *rip = (greg_t)(uintptr_t)linux_syscall_again;
}

static bool by_instruction(const siginfo_t *info)
{
    return info->si_code > 0;
}

static void on_signal(int signal, siginfo_t *info, void *opaque)
{
    ucontext_t *uc = opaque;
    greg_t *rip = &uc->uc_mcontext.gregs[REG_RIP];
    LinuxThread *t = current;
    int saved = errno;
    if (BIT(signal) & SYNC_MASK && by_instruction(info)) {
        if ((uintptr_t)*rip == (uintptr_t)guest_copy_insn) {
            *rip = (greg_t)(uintptr_t)guest_copy_fault;
        } else if (t && translate_host_fault(t->cpu, uc)) {
            t->fault_info = *info;
            t->faulted = true;
        } else {
            process_crash(t, signal, info, uc);
        }
        errno = saved;
        return;
    }
    if (!t)
        return; /* none comes before the first thread or after the last: all are blocked then */
    if (BIT(signal) & SYNC_MASK) {
        unsigned n = sync_index(signal);
        t->sent[n] = *info;
        __atomic_or_fetch(&t->sent_set, 1u << n, __ATOMIC_SEQ_CST);
    } else {
        t->info = *info;
        t->info.si_signo = signal;
        /* the kernel's mask is 8 bytes here, with other things behind it */
        uint64_t all = ~SYNC_MASK;
        memcpy(&uc->uc_sigmask, &all, sizeof all);
    }
    __atomic_or_fetch(&t->pending, BIT(signal) & SYNC_MASK ? 2 : 1, __ATOMIC_SEQ_CST);
    stop_call(t, rip);
    translate_kick(t->cpu);
    errno = saved;
}

static void host_action(int signal, const LinuxAction *a)
{
    HostAction h = {.flags = (a->flags & (SA_NOCLDSTOP | SA_NOCLDWAIT)) | SA_SIGINFO | SA_RESTART |
                             SA_RESTORER,
                    .restorer = (uint64_t)(uintptr_t)linux_restorer,
                    .mask = ~SYNC_MASK};
    bool handled = a->handler != HOST_DFL && a->handler != HOST_IGN;
    if (handled || BIT(signal) & SYNC_MASK)
        h.handler = (uint64_t)(uintptr_t)on_signal;
    else
        h.handler = a->handler;
    syscall(SYS_rt_sigaction, signal, &h, NULL, NSIG_BYTES);
}

void signals_start(LinuxThread *t)
{
    LinuxSignals *s = t->signals;
    g_mutex_init(&s->lock);
    for (int n = 1; n <= LINUX_SIGNALS; n++) {
        HostAction h = {0};
        syscall(SYS_rt_sigaction, n, NULL, &h, NSIG_BYTES);
        s->action[n] = (LinuxAction){.handler = h.handler == HOST_IGN ? HOST_IGN : HOST_DFL};
        if (BIT(n) & SYNC_MASK)
            host_action(n, &s->action[n]);
    }
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, NULL, &t->mask, NSIG_BYTES);
    t->altstack.ss_flags = SS_DISABLE;
    host_mask(t->mask);
}

void signals_thread_start(LinuxThread *t)
{
    host_mask(t->mask);
}

/* ---- Delivery ------------------------------------------------------------------------- */

static bool ignored_by_default(int signal)
{
    return signal == SIGCHLD || signal == SIGURG || signal == SIGWINCH || signal == SIGCONT;
}

static bool stops_by_default(int signal)
{
    return signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU;
}

static uint64_t frame_stack(const LinuxThread *t, const LinuxAction *a)
{
    uint64_t sp = t->process->abi->get_sp(t->cpu);
    uint64_t low = (uint64_t)(uintptr_t)t->altstack.ss_sp;
    bool on = sp > low && sp - low <= t->altstack.ss_size;
    if (!(a->flags & SA_ONSTACK) || t->altstack.ss_flags & SS_DISABLE || on)
        return sp;
    return low + t->altstack.ss_size;
}

static void enter_handler(LinuxThread *t, const LinuxAction *a, const siginfo_t *info)
{
    int signal = info->si_signo;
    LinuxSigFrame frame = {
        .signal = signal, .info = *info, .handler = a->handler, .restorer = a->restorer,
        .flags = a->flags, .mask = t->mask, .altstack = t->altstack, .stack = frame_stack(t, a)};
    if (!t->process->abi->push_frame(t, &frame))
        process_die(t, SIGSEGV);
    if (t->altstack.ss_flags & (int)SS_AUTODISARM)
        t->altstack = (stack_t){.ss_flags = SS_DISABLE};
    t->mask = (t->waited ? t->wait_mask : t->mask) | a->mask;
    if (!(a->flags & SA_NODEFER))
        t->mask |= BIT(signal);
    t->mask &= ~UNBLOCKABLE;
    t->waited = false;
}

static void reset_action(LinuxThread *t, int signal)
{
    g_mutex_lock(&t->signals->lock);
    t->signals->action[signal].handler = HOST_DFL;
    host_action(signal, &t->signals->action[signal]);
    g_mutex_unlock(&t->signals->lock);
}

static LinuxAction action_of(LinuxThread *t, int signal)
{
    g_mutex_lock(&t->signals->lock);
    LinuxAction a = t->signals->action[signal];
    g_mutex_unlock(&t->signals->lock);
    return a;
}

/* A signal that was kept: its handler is entered, or what the guest says by now is done. */
static void deliver(LinuxThread *t, const siginfo_t *info)
{
    int signal = info->si_signo;
    LinuxAction a = action_of(t, signal);
    strace_signal(t, info);
    if (a.handler == HOST_IGN || (a.handler == HOST_DFL && ignored_by_default(signal)))
        return;
    if (a.handler == HOST_DFL) {
        if (!stops_by_default(signal))
            process_die(t, signal);
        syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGSTOP);
        return;
    }
    if (t->restart && a.flags & SA_RESTART)
        t->process->abi->restart(t->cpu, t->number, t->args[0]);
    t->restart = false; /* else its result is EINTR already */
    if (a.flags & SA_RESETHAND)
        reset_action(t, signal);
    enter_handler(t, &a, info);
}

static bool take(LinuxThread *t, siginfo_t *info)
{
    uint32_t sent = __atomic_load_n(&t->sent_set, __ATOMIC_SEQ_CST);
    static const int sync_signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP};
    for (unsigned n = 0; n < G_N_ELEMENTS(sync_signals); n++) {
        if (!(sent >> n & 1) || t->mask & BIT(sync_signals[n]))
            continue;
        *info = t->sent[n];
        __atomic_and_fetch(&t->sent_set, ~(1u << n), __ATOMIC_SEQ_CST);
        return true;
    }
    if (!(__atomic_load_n(&t->pending, __ATOMIC_SEQ_CST) & 1))
        return false;
    *info = t->info;
    __atomic_and_fetch(&t->pending, ~1u, __ATOMIC_SEQ_CST);
    return true;
}

void signals_deliver(LinuxThread *t)
{
    siginfo_t info;
    if (!__atomic_load_n(&t->pending, __ATOMIC_SEQ_CST))
        return;
    do {
        __atomic_and_fetch(&t->pending, ~2u, __ATOMIC_SEQ_CST);
        while (take(t, &info))
            deliver(t, &info);
        host_mask(t->mask); /* others that were held back come now */
    } while (__atomic_load_n(&t->pending, __ATOMIC_SEQ_CST));
    if (t->restart) { /* by a signal that came to nothing */
        t->restart = false;
        t->process->abi->restart(t->cpu, t->number, t->args[0]);
    }
    t->waited = false;
}

void signals_raise(LinuxThread *t, int signal, int code, uint64_t addr)
{
    siginfo_t info = {.si_signo = signal, .si_code = code};
    LinuxAction a = action_of(t, signal);
    info.si_addr = guest_ptr(addr);
    if (t->faulted)
        info = t->fault_info;
    t->faulted = false;
    strace_signal(t, &info);
    if (a.handler == HOST_DFL || a.handler == HOST_IGN || t->mask & BIT(info.si_signo))
        process_die(t, info.si_signo);
    if (a.flags & SA_RESETHAND)
        reset_action(t, info.si_signo);
    enter_handler(t, &a, &info);
    signals_set_mask(t, t->mask);
}

/* ---- Masks ------------------------------------------------------------------------------ */

void signals_set_mask(LinuxThread *t, uint64_t mask)
{
    t->mask = mask & ~UNBLOCKABLE;
    if (__atomic_load_n(&t->sent_set, __ATOMIC_SEQ_CST)) {
        __atomic_or_fetch(&t->pending, 2, __ATOMIC_SEQ_CST);
        translate_kick(t->cpu);
    }
    /* while one waits to be delivered the host blocks all, and delivery sets the mask */
    if (!(__atomic_load_n(&t->pending, __ATOMIC_SEQ_CST) & 1))
        host_mask(t->mask);
}

void signals_release(LinuxThread *t)
{
    host_mask(t->mask);
}

int signals_wait_mask(LinuxThread *t, uint64_t set, uint64_t size, uint64_t *mask)
{
    if (size != NSIG_BYTES)
        return -EINVAL;
    if (guest_read(mask, set, sizeof *mask))
        return -EFAULT;
    t->wait_mask = *mask & ~UNBLOCKABLE;
    t->waiting = true;
    *mask &= ~SYNC_MASK;
    return 0;
}

/* ---- System calls --------------------------------------------------------------------------- */

/* struct sigaction of the guest; with sa_restorer or without, as the ABI has it. */
static unsigned action_words(const LinuxThread *t)
{
    return t->process->abi->sa_restorer ? 4 : 3;
}

static int64_t signals_action(LinuxThread *t, int signal, uint64_t action, uint64_t old, uint64_t size)
{
    unsigned words = action_words(t);
    uint64_t in[4], out[4];
    LinuxAction new;
    if (size != NSIG_BYTES || signal < 1 || signal > LINUX_SIGNALS ||
        (action && BIT(signal) & UNBLOCKABLE))
        return -EINVAL;
    if (action) {
        if (guest_read(in, action, words * sizeof *in))
            return -EFAULT;
        new = (LinuxAction){.handler = in[0], .flags = in[1], .mask = in[words - 1] & ~UNBLOCKABLE,
                            .restorer = words == 4 ? in[2] : 0};
    }
    g_mutex_lock(&t->signals->lock);
    LinuxAction *a = &t->signals->action[signal];
    LinuxAction was = *a;
    if (action) {
        *a = new;
        host_action(signal, a);
    }
    g_mutex_unlock(&t->signals->lock);
    out[0] = was.handler;
    out[1] = was.flags;
    out[2] = was.restorer;
    out[words - 1] = was.mask;
    return old ? guest_write(old, out, words * sizeof *out) : 0;
}

static int64_t signals_procmask(LinuxThread *t, int how, uint64_t set, uint64_t old, uint64_t size)
{
    uint64_t mask = t->mask, given;
    if (size != NSIG_BYTES)
        return -EINVAL;
    if (set) {
        if (guest_read(&given, set, sizeof given))
            return -EFAULT;
        switch (how) {
        case SIG_BLOCK: mask |= given; break;
        case SIG_UNBLOCK: mask &= ~given; break;
        case SIG_SETMASK: mask = given; break;
        default: return -EINVAL;
        }
    }
    if (old && guest_write(old, &t->mask, sizeof t->mask))
        return -EFAULT;
    if (set)
        signals_set_mask(t, mask);
    return 0;
}

static int64_t signals_altstack(LinuxThread *t, uint64_t stack, uint64_t old)
{
    uint64_t sp = t->process->abi->get_sp(t->cpu), low = (uint64_t)(uintptr_t)t->altstack.ss_sp;
    stack_t out = t->altstack, in;
    bool on = !(out.ss_flags & SS_DISABLE) && sp > low && sp - low <= out.ss_size;
    if (on)
        out.ss_flags |= SS_ONSTACK;
    if (stack) {
        if (guest_read(&in, stack, sizeof in))
            return -EFAULT;
        int flags = in.ss_flags & ~(int)SS_AUTODISARM;
        if (on)
            return -EPERM;
        if (flags && flags != SS_ONSTACK && flags != SS_DISABLE)
            return -EINVAL;
        if (flags != SS_DISABLE && in.ss_size < t->process->abi->min_stack_frame)
            return -ENOMEM;
    }
    if (old && guest_write(old, &out, sizeof out))
        return -EFAULT;
    if (stack) {
        if (in.ss_flags & SS_DISABLE)
            in = (stack_t){.ss_flags = SS_DISABLE};
        in.ss_flags &= ~SS_ONSTACK;
        t->altstack = in;
    }
    return 0;
}

static int64_t signals_return(LinuxThread *t)
{
    uint64_t mask;
    stack_t altstack;
    if (!t->process->abi->pop_frame(t, &mask, &altstack)) {
        signals_raise(t, SIGSEGV, SI_KERNEL, 0);
        return LINUX_NO_RESULT;
    }
    t->altstack = altstack;
    t->altstack.ss_flags &= ~SS_ONSTACK;
    signals_set_mask(t, mask);
    return LINUX_NO_RESULT;
}

int64_t call_rt_sigaction(LinuxThread *t, const uint64_t a[6])
{
    return signals_action(t, (int)a[0], a[1], a[2], a[3]);
}

int64_t call_rt_sigprocmask(LinuxThread *t, const uint64_t a[6])
{
    return signals_procmask(t, (int)a[0], a[1], a[2], a[3]);
}

int64_t call_sigaltstack(LinuxThread *t, const uint64_t a[6])
{
    return signals_altstack(t, a[0], a[1]);
}

int64_t call_rt_sigreturn(LinuxThread *t, const uint64_t a[6])
{
    return signals_return(t);
}

/* What a signal of ours would hide, beside what the kernel has. */
int64_t call_rt_sigpending(LinuxThread *t, const uint64_t a[6])
{
    uint64_t set = 0;
    if (a[1] > NSIG_BYTES)
        return -EINVAL;
    syscall(SYS_rt_sigpending, &set, NSIG_BYTES);
    uint32_t sent = __atomic_load_n(&t->sent_set, __ATOMIC_SEQ_CST);
    static const int sync_signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP};
    for (unsigned n = 0; n < G_N_ELEMENTS(sync_signals); n++)
        if (sent >> n & 1)
            set |= BIT(sync_signals[n]);
    set &= t->mask;
    return guest_write(a[0], &set, a[1]);
}
