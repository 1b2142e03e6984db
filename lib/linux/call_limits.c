/* SPDX-License-Identifier: MIT */
/*
 * Resource limits. Those of memory would starve the translator too, and stop it where the guest alone
 * would have gone on: they are kept here, mm.c heeds them, and the host has none as far as it can be
 * raised. Programs that are started find them as they expect.
 */
#include <linux/capability.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "linux/call_priv.h"
#include "linux/host_numbers.h"

static bool limit_is_kept(uint64_t resource)
{
    return resource == RLIMIT_AS || resource == RLIMIT_DATA || resource == RLIMIT_STACK;
}

/* What this tool needs to start, whatever the guest allows itself. */
static rlim_t least(unsigned resource)
{
    return resource == RLIMIT_STACK ? (rlim_t)1 << 20 : (rlim_t)64 << 20;
}

void limits_apply(LinuxProcess *p)
{
    const LinuxLimit *space = &p->limits[RLIMIT_AS], *data = &p->limits[RLIMIT_DATA];
    mm_limit(&p->mm, space->own ? space->soft : UINT64_MAX, data->own ? data->soft : UINT64_MAX);
}

void limits_start(LinuxProcess *p)
{
    static const unsigned memory[] = { RLIMIT_AS, RLIMIT_DATA };
    for (unsigned i = 0; i < G_N_ELEMENTS(memory); i++) {
        struct rlimit now;
        if (getrlimit(memory[i], &now) || now.rlim_cur == RLIM_INFINITY)
            continue;
        p->limits[memory[i]] = (LinuxLimit){ true, now.rlim_cur, now.rlim_max };
        struct rlimit none = { RLIM_INFINITY, RLIM_INFINITY };
        now.rlim_cur = now.rlim_max;
        if (setrlimit(memory[i], &none))
            setrlimit(memory[i], &now);
    }
}

static bool may_raise_limits(void)
{
    struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[2];
    memset(data, 0, sizeof data);
    if (syscall(SYS_capget, &head, data))
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
    bool raise = set && may_raise_limits();

    g_mutex_lock(&p->lock);
    if (limit->own)
        now = (struct rlimit){ limit->soft, limit->hard };
    if (set && wanted.rlim_max > now.rlim_max && !raise)
        error = -EPERM;
    else if (set)
        *limit = (LinuxLimit){ true, wanted.rlim_cur, wanted.rlim_max };
    g_mutex_unlock(&p->lock);
    if (set && !error)
        limits_apply(p);
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

/* The soft ones only: a hard one could not be raised again if there is no exec, nor by a guest that
   starts. */
void limits_for_exec(const LinuxProcess *p, bool guest, LinuxLimit old[LINUX_LIMITS])
{
    for (unsigned i = 0; i < LINUX_LIMITS; i++) {
        struct rlimit now;
        old[i].own = false;
        if (!p->limits[i].own || getrlimit(i, &now))
            continue;
        old[i] = (LinuxLimit){ true, now.rlim_cur, now.rlim_max };
        now.rlim_cur = MIN(now.rlim_max, MAX(p->limits[i].soft, guest ? least(i) : 0));
        setrlimit(i, &now);
    }
}

void limits_after_exec(const LinuxLimit old[LINUX_LIMITS])
{
    for (unsigned i = 0; i < LINUX_LIMITS; i++) {
        struct rlimit was = { old[i].soft, old[i].hard };
        if (old[i].own)
            setrlimit(i, &was);
    }
}
