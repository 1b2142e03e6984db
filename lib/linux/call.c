/* SPDX-License-Identifier: MIT */
/*
 * Dispatch of system calls: the guest's number to an entry of syscalls.def, its arguments from the
 * CPU's registers, the result back. What a call was interrupted by, and whether it is done again, is
 * signal.c's, which runs next.
 */
#include "base/log.h"
#include "linux/call_priv.h"
#include "linux/fd_priv.h"
#include "linux/host_numbers.h"

#define PASS(name, args) {#name, args, SYS_##name, NULL},
#define DO(name, args) {#name, args, -1, call_##name},
#define NONE(name, args) {#name, args, -1, NULL},
const LinuxCall linux_calls[] = {
#include "linux/syscalls.def"
};
#undef PASS
#undef DO
#undef NONE

const LinuxCall *linux_call_find(const LinuxProcess *p, uint64_t number)
{
    const LinuxAbi *abi = p->abi;
    unsigned low = 0, high = abi->n_numbers;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (abi->numbers[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low < abi->n_numbers && abi->numbers[low].number == number
               ? &linux_calls[abi->numbers[low].call]
               : NULL;
}

int64_t linux_syscall(const uint32_t *pending, long number, uint64_t a, uint64_t b, uint64_t c,
                      uint64_t d, uint64_t e, uint64_t f); /* host_*.S */

int64_t linux_host_call(LinuxThread *t, long number, const uint64_t a[6])
{
    return linux_syscall(&t->pending, number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

static bool takes_descriptor(const LinuxCall *call)
{
    const char *args = call->args + (*call->args == '<' || *call->args == '>' || *call->args == '~');
    return *args == 'f' || *args == 'a';
}

/* Pointers lose their top byte, by the letters that say what is one. */
static void untag(const LinuxCall *call, uint64_t args[6])
{
    static const char pointers[] = "psyzbBSivVtT2NnGP";
    const char *letter = call->args + (*call->args && strchr("~<>=!", *call->args));
    for (unsigned i = 0; i < 6 && letter[i] && letter[i] != '@'; i++)
        if (strchr(pointers, letter[i]) && !(args[i] >> 55 & 1))
            args[i] &= UINT64_MAX >> 8;
}

static int64_t perform(LinuxThread *t, const LinuxCall *call)
{
    if (!call) {
        log_line(LOG_UNIMP, "system call %" G_GUINT64_FORMAT " is not known", t->number);
        return -ENOSYS;
    }
    if (fd_is_own(t->process, (int)t->args[0]) && takes_descriptor(call))
        return -EBADF;
    if (call->fn)
        return call->fn(t, t->args);
    if (call->host < 0) {
        log_line(LOG_UNIMP, "system call %s is not there", call->name);
        return -ENOSYS;
    }
    return linux_host_call(t, call->host, t->args);
}

void linux_do_call(LinuxThread *t)
{
    const LinuxProcess *p = t->process;
    p->abi->get_call(t->cpu, &t->number, t->args);
    const LinuxCall *call = linux_call_find(p, t->number);
    if (t->untag && call)
        untag(call, t->args);
    if (p->abi->open_flags && call)
        open_flags_of_call(p->abi, call, t->args);
    t->restart = t->waiting = false;
    t->last_number = t->number;
    int64_t result;
    if (G_UNLIKELY(log_enabled(LOG_STRACE))) {
        strace_enter(t, call);
        result = perform(t, call);
        strace_leave(t, call, result);
    } else {
        result = perform(t, call);
    }
    if (result == -LINUX_NO_RESULT)
        return;
    t->restart = result == -LINUX_RESTART;
    p->abi->set_result(t->cpu, t->restart ? -EINTR : result);
}
