/* SPDX-License-Identifier: MIT */
/*
 * System calls that wait for several things at once, or for a signal: ppoll, pselect6, epoll, asynchronous
 * I/O, rt_sigsuspend. Most of them wait with another signal mask, which signal.c has to know of; and
 * epoll's event is packed on x86-64 alone.
 */
#include <string.h>

#include "linux/call_priv.h"
#include "linux/host_numbers.h"

/* ---- Masks ------------------------------------------------------------------- */

/* The guest's set at `set` as the host is to be given it: *host points to *mask, or is 0. */
static int wait_mask(LinuxThread *t, uint64_t set, uint64_t size, uint64_t *mask, uint64_t *host)
{
    *host = 0;
    if (!set)
        return 0;
    int error = signals_wait_mask(t, set, size, mask);
    *host = (uint64_t)(uintptr_t)mask;
    return error;
}

int64_t call_ppoll(LinuxThread *t, const uint64_t a[6])
{
    uint64_t mask, host;
    int error = wait_mask(t, a[3], a[4], &mask, &host);
    return error ? error : HOST_CALL(t, SYS_ppoll, a[0], a[1], a[2], host, sizeof mask);
}

int64_t call_rt_sigsuspend(LinuxThread *t, const uint64_t a[6])
{
    uint64_t mask;
    int error = signals_wait_mask(t, a[0], a[1], &mask);
    return error ? error
                 : HOST_CALL(t, SYS_rt_sigsuspend, (uint64_t)(uintptr_t)&mask, sizeof mask);
}

typedef struct SetAndSize { /* what pselect6 and io_pgetevents have as their sixth argument */
    uint64_t set, size;
} SetAndSize;

/* Makes of the guest's SetAndSize at addr one for the host; *sixth is its address or 0. */
static int wait_set_and_size(LinuxThread *t, uint64_t addr, uint64_t *mask, SetAndSize *host,
                             uint64_t *sixth)
{
    SetAndSize guest = {0};
    *sixth = 0;
    if (!addr)
        return 0;
    int error = guest_read(&guest, addr, sizeof guest);
    if (!error)
        error = wait_mask(t, guest.set, guest.size, mask, &host->set);
    host->size = sizeof *mask;
    if (host->set)
        *sixth = (uint64_t)(uintptr_t)host;
    return error;
}

int64_t call_pselect6(LinuxThread *t, const uint64_t a[6])
{
    uint64_t mask, sixth;
    SetAndSize host = {0};
    int error = wait_set_and_size(t, a[5], &mask, &host, &sixth);
    return error ? error : HOST_CALL(t, SYS_pselect6, a[0], a[1], a[2], a[3], a[4], sixth);
}

int64_t call_io_pgetevents(LinuxThread *t, const uint64_t a[6])
{
    uint64_t mask, sixth;
    SetAndSize host = {0};
    int error = wait_set_and_size(t, a[5], &mask, &host, &sixth);
    return error ? error : HOST_CALL(t, SYS_io_pgetevents, a[0], a[1], a[2], a[3], a[4], sixth);
}

/* ---- io_uring ------------------------------------------------------------------ */

#define ENTER_EXT_ARG (1u << 3)
#define ENTER_EXT_ARG_REG (1u << 6)

typedef struct GetEventsArg { /* struct io_uring_getevents_arg */
    uint64_t sigmask;
    uint32_t sigmask_sz, min_wait_usec;
    uint64_t ts;
} GetEventsArg;

static int64_t enter(LinuxThread *t, const uint64_t a[6])
{
    uint64_t flags = a[3], mask, host;
    if (!a[4] || (flags & ENTER_EXT_ARG_REG))
        return linux_host_call(t, SYS_io_uring_enter, a);
    if (!(flags & ENTER_EXT_ARG)) {
        int error = wait_mask(t, a[4], a[5], &mask, &host);
        return error ? error
                     : HOST_CALL(t, SYS_io_uring_enter, a[0], a[1], a[2], flags, host, sizeof mask);
    }
    GetEventsArg arg;
    if (a[5] != sizeof arg)
        return -EINVAL;
    int error = guest_read(&arg, a[4], sizeof arg);
    if (!error)
        error = wait_mask(t, arg.sigmask, arg.sigmask_sz, &mask, &arg.sigmask);
    if (error)
        return error;
    arg.sigmask_sz = sizeof mask;
    return HOST_CALL(t, SYS_io_uring_enter, a[0], a[1], a[2], flags, (uint64_t)(uintptr_t)&arg,
                     sizeof arg);
}

int64_t call_io_uring_enter(LinuxThread *t, const uint64_t a[6])
{
    unsigned count;
    uint64_t args[6] = {a[0], a[1], a[2], a[3], a[4], a[5]};
    UringChange *changes = uring_before(t, (int)a[0], &args[1], &count);
    int64_t result = enter(t, args);
    uring_after(changes, count);
    return result;
}

/* ---- epoll ---------------------------------------------------------------------- */

typedef struct GuestEvent { /* struct epoll_event everywhere but on x86-64 */
    uint32_t events;
    uint64_t data;
} GuestEvent;

typedef struct __attribute__((packed)) HostEvent {
#ifdef __x86_64__
    uint32_t events;
    uint64_t data;
#else
    GuestEvent event;
#endif
} HostEvent;

int64_t call_epoll_ctl(LinuxThread *t, const uint64_t a[6])
{
    GuestEvent guest;
    HostEvent host;
    if ((int)a[1] == 2 /* EPOLL_CTL_DEL, which looks at no event */)
        return linux_host_call(t, SYS_epoll_ctl, a);
    int error = guest_read(&guest, a[3], sizeof guest);
    if (error)
        return error;
    memset(&host, 0, sizeof host);
#ifdef __x86_64__
    host.events = guest.events;
    host.data = guest.data;
#else
    host.event = guest;
#endif
    return HOST_CALL(t, SYS_epoll_ctl, a[0], a[1], a[2], (uint64_t)(uintptr_t)&host);
}

#ifdef __x86_64__
enum { EVENTS_AT_ONCE = 64 };

/* Spreads n events that the host has written packed to where the guest wants them: from the last
   down, as each moves up. */
static int spread_events(uint64_t addr, uint64_t n)
{
    HostEvent packed[EVENTS_AT_ONCE];
    GuestEvent spread[EVENTS_AT_ONCE];
    while (n) {
        uint64_t some = MIN(n, EVENTS_AT_ONCE);
        n -= some;
        int error = guest_read(packed, addr + n * sizeof packed[0], some * sizeof packed[0]);
        if (error)
            return error;
        memset(spread, 0, sizeof spread);
        for (uint64_t i = 0; i < some; i++) {
            spread[i].events = packed[i].events;
            spread[i].data = packed[i].data;
        }
        error = guest_write(addr + n * sizeof spread[0], spread, some * sizeof spread[0]);
        if (error)
            return error;
    }
    return 0;
}
#else
static int spread_events(uint64_t addr, uint64_t n)
{
    (void)addr, (void)n;
    return 0;
}
#endif

/* The host's events take no more room than the guest's, so they go to the guest's array at first. */
static int64_t epoll_wait_call(LinuxThread *t, long number, const uint64_t a[6])
{
    uint64_t mask, host;
    int events = (int)a[2];
    if (events <= 0 || (size_t)events > INT32_MAX / sizeof(GuestEvent))
        return -EINVAL;
    int error = wait_mask(t, a[4], a[5], &mask, &host);
    if (error)
        return error;
    int64_t n = HOST_CALL(t, number, a[0], a[1], a[2], a[3], host, sizeof mask);
    if (n > 0 && (error = spread_events(a[1], (uint64_t)n)))
        return error;
    return n;
}

int64_t call_epoll_pwait(LinuxThread *t, const uint64_t a[6])
{
    return epoll_wait_call(t, SYS_epoll_pwait, a);
}

int64_t call_epoll_pwait2(LinuxThread *t, const uint64_t a[6])
{
    return epoll_wait_call(t, SYS_epoll_pwait2, a);
}
