/* SPDX-License-Identifier: MIT */
/*
 * Calls about the process and the system as a whole: names, prctl, resource limits, and the odd ones of
 * memory protection keys, which the guest's CPU does not have.
 */
#include <linux/capability.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
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

/* ---- Resource limits ------------------------------------------------------------ */

/* Those of memory would starve the translator, and stop it where the guest alone would have gone
   on: they are only remembered. */
static bool limit_is_kept(uint64_t resource)
{
    return resource == RLIMIT_AS || resource == RLIMIT_DATA || resource == RLIMIT_STACK;
}

static bool may_raise_limits(LinuxThread *t)
{
    struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[2];
    memset(data, 0, sizeof data);
    if (HOST_CALL(t, SYS_capget, (uint64_t)(uintptr_t)&head, (uint64_t)(uintptr_t)data))
        return false;
    return data[0].effective & (1u << CAP_SYS_RESOURCE);
}

static int64_t kept_limit(LinuxThread *t, unsigned resource, uint64_t set, uint64_t old)
{
    LinuxProcess *p = t->process;
    LinuxLimit *limit = &p->limits[resource];
    struct rlimit wanted, now;
    int64_t error = set ? guest_read(&wanted, set, sizeof wanted) : 0;
    if (!error)
        error = HOST_CALL(t, SYS_prlimit64, 0, resource, 0, (uint64_t)(uintptr_t)&now);
    if (error)
        return error;
    if (set && wanted.rlim_cur > wanted.rlim_max)
        return -EINVAL;
    bool raise = set && may_raise_limits(t);

    g_mutex_lock(&p->lock);
    if (limit->own)
        now = (struct rlimit){ limit->soft, limit->hard };
    if (set && wanted.rlim_max > now.rlim_max && !raise)
        error = -EPERM;
    else if (set)
        *limit = (LinuxLimit){ true, wanted.rlim_cur, wanted.rlim_max };
    g_mutex_unlock(&p->lock);
    return error || !old ? error : guest_write(old, &now, sizeof now);
}

int64_t call_getrlimit(LinuxThread *t, const uint64_t a[6])
{
    if (!limit_is_kept(a[0]))
        return linux_host_call(t, SYS_getrlimit, a);
    return a[1] ? kept_limit(t, (unsigned)a[0], 0, a[1]) : -EFAULT;
}

int64_t call_setrlimit(LinuxThread *t, const uint64_t a[6])
{
    if (!limit_is_kept(a[0]))
        return linux_host_call(t, SYS_setrlimit, a);
    return a[1] ? kept_limit(t, (unsigned)a[0], a[1], 0) : -EFAULT;
}

int64_t call_prlimit64(LinuxThread *t, const uint64_t a[6])
{
    if (!limit_is_kept(a[1]) || ((pid_t)a[0] && (pid_t)a[0] != getpid()))
        return linux_host_call(t, SYS_prlimit64, a);
    return kept_limit(t, (unsigned)a[1], a[2], a[3]);
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
