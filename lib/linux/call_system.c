/* SPDX-License-Identifier: MIT */
/*
 * Calls about the process and the system as a whole: names, prctl, membarrier, and those of memory
 * protection keys, which the guest's CPU does not have.
 */
#include <string.h>
#include <sys/prctl.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "linux/call_priv.h"
#include "linux/host_numbers.h"

int64_t call_uname(LinuxThread *t, const uint64_t a[6])
{
    const LinuxProcess *p = t->process;
    struct utsname name; /* laid out as the kernel's */
    int64_t result = HOST_CALL(t, SYS_uname, (uint64_t)(uintptr_t)&name);
    if (result)
        return result;
    memset(name.machine, 0, sizeof name.machine);
    g_strlcpy(name.machine, p->abi->machine, sizeof name.machine);
    if (p->options.uname) {
        memset(name.release, 0, sizeof name.release);
        g_strlcpy(name.release, p->options.uname, sizeof name.release);
    }
    return guest_write(a[0], &name, sizeof name);
}

/* ---- membarrier ---------------------------------------------------------------- */

enum { PRIVATE_EXPEDITED_SYNC_CORE = 1 << 5 };

/* To be like fence.i on all CPUs is among what it promises. */
int64_t call_membarrier(LinuxThread *t, const uint64_t a[6])
{
    int64_t result = linux_host_call(t, SYS_membarrier, a);
    if (!result && (int)a[0] == PRIVATE_EXPEDITED_SYNC_CORE)
        mm_code_fence(&t->process->mm, 0, UINT64_MAX);
    return result;
}

/* ---- prctl -------------------------------------------------------------------- */

/* Options younger than the headers we build with. */
enum {
    SET_MDWE = 65, GET_MDWE = 66, V_SET_CONTROL = 69, V_GET_CONTROL = 70, SET_ICACHE_FLUSH = 71,
    GET_AUXV = 0x41555856,
};

static int64_t get_auxv(const LinuxProcess *p, const uint64_t a[6])
{
    if (a[3] || a[4])
        return -EINVAL;
    uint64_t size = MIN(p->auxv_size, a[2]);
    return guest_copy(guest_ptr(a[1]), guest_ptr(p->auxv), size) ? (int64_t)p->auxv_size : -EFAULT;
}

int64_t call_prctl(LinuxThread *t, const uint64_t a[6])
{
    int64_t result;
    if (t->process->abi->prctl && t->process->abi->prctl(t, a, &result))
        return result;
    switch ((int)a[0]) {
    case PR_GET_SECCOMP: /* filters would see the host's numbers: as a kernel without them */
    case PR_SET_SECCOMP:
    case PR_SET_SYSCALL_USER_DISPATCH: /* would catch our own calls */
    case PR_GET_TSC: /* of x86 */
    case PR_SET_TSC:
    case PR_GET_SPECULATION_CTRL:
    case PR_SET_SPECULATION_CTRL:
    case SET_MDWE: /* would take the right to write code from the translator */
    case GET_MDWE:
    case V_SET_CONTROL: /* there are no vectors yet */
    case V_GET_CONTROL:
        return -EINVAL;
    case SET_ICACHE_FLUSH: /* the guest's fence.i reaches all threads always */
        return a[1] <= 1 && a[2] <= 1 ? 0 : -EINVAL;
    case PR_SET_MM: /* the memory it describes is ours */
        return -EPERM;
    case PR_GET_TID_ADDRESS:
        return guest_write(a[1], &t->clear_tid, sizeof t->clear_tid);
    case GET_AUXV:
        return get_auxv(t->process, a);
    default:
        return linux_host_call(t, SYS_prctl, a);
    }
}

/* ---- Protection keys --------------------------------------------------------------- */

int64_t call_pkey_alloc(LinuxThread *t, const uint64_t a[6])
{
    (void)t;
    return a[0] || a[1] & ~UINT64_C(3) ? -EINVAL : -ENOSPC;
}

int64_t call_pkey_free(LinuxThread *t, const uint64_t a[6])
{
    (void)t, (void)a;
    return -EINVAL;
}

int64_t call_pkey_mprotect(LinuxThread *t, const uint64_t a[6])
{
    int key = (int)a[3]; /* -1: none; 0, the one that there is always */
    return key == -1 || !key ? call_mprotect(t, a) : -EINVAL;
}
