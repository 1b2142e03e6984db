/* SPDX-License-Identifier: MIT */
/*
 * io_uring: the kernel reads requests from memory that it shares with the guest, so they are its own but
 * for one kind: a struct epoll_event is packed on x86 and nowhere else, and IORING_OP_EPOLL_CTL points to
 * one. Such requests are changed just before the kernel is told of them. Where a thread of the kernel
 * looks for requests by itself (IORING_SETUP_SQPOLL) there is no such moment: they are left as they are.
 */
#include <linux/io_uring.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>

#include "linux/call_priv.h"

#ifndef IORING_SETUP_NO_SQARRAY
#define IORING_SETUP_NO_SQARRAY (1u << 16) /* requests are taken in their own order */
#endif
#define CHANGED_MAX 256 /* requests of one call; later ones are told of in the guest's next call */

struct LinuxUring {
    struct io_uring_params params;
    uint64_t ring, requests; /* where the guest has mapped them; 0: nowhere yet */
};

typedef struct GuestEvent { /* struct epoll_event as other ISAs have it */
    uint32_t events, pad;
    uint64_t data;
} GuestEvent;

int64_t call_io_uring_setup(LinuxThread *t, const uint64_t a[6])
{
    LinuxProcess *p = t->process;
    int64_t fd = linux_host_call(t, SYS_io_uring_setup, a);
    LinuxUring u = {.ring = 0};
    if (fd < 0 || guest_read(&u.params, a[1], sizeof u.params))
        return fd;
    g_mutex_lock(&p->lock);
    if (!p->urings)
        p->urings = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    g_hash_table_replace(p->urings, GINT_TO_POINTER((int)fd), g_memdup2(&u, sizeof u));
    g_mutex_unlock(&p->lock);
    return fd;
}

void uring_mapped(LinuxProcess *p, int fd, uint64_t offset, uint64_t addr)
{
    if (!p->urings)
        return;
    g_mutex_lock(&p->lock);
    LinuxUring *u = g_hash_table_lookup(p->urings, GINT_TO_POINTER(fd));
    if (u && offset == IORING_OFF_SQ_RING)
        u->ring = addr;
    else if (u && offset == IORING_OFF_SQES)
        u->requests = addr;
    g_mutex_unlock(&p->lock);
}

static bool find(LinuxProcess *p, int fd, LinuxUring *out)
{
    bool found = false;
    if (!p->urings)
        return false;
    g_mutex_lock(&p->lock);
    const LinuxUring *u = g_hash_table_lookup(p->urings, GINT_TO_POINTER(fd));
    if (u && u->ring && u->requests && !(u->params.flags & IORING_SETUP_SQPOLL)) {
        *out = *u;
        found = true;
    }
    g_mutex_unlock(&p->lock);
    return found;
}

/* The address of request n of those that wait; 0: cannot be had. */
static uint64_t request_at(const LinuxUring *u, uint32_t head, uint32_t n)
{
    uint32_t index = (head + n) & (u->params.sq_entries - 1);
    uint64_t slot = u->ring + u->params.sq_off.array + 4 * (uint64_t)index;
    uint64_t size = u->params.flags & IORING_SETUP_SQE128 ? 128 : 64;
    if (!(u->params.flags & IORING_SETUP_NO_SQARRAY) &&
        (guest_read(&index, slot, sizeof index) || index >= u->params.sq_entries))
        return 0;
    return u->requests + size * index;
}

static bool change(uint64_t at, UringChange *out)
{
    struct io_uring_sqe sqe;
    GuestEvent event;
    if (guest_read(&sqe, at, sizeof sqe) || sqe.opcode != IORING_OP_EPOLL_CTL ||
        sqe.len == EPOLL_CTL_DEL || guest_read(&event, sqe.addr, sizeof event))
        return false;
    out->event = (struct epoll_event){.events = event.events, .data.u64 = event.data};
    out->at = at + offsetof(struct io_uring_sqe, addr);
    out->addr = sqe.addr;
    uint64_t ours = (uint64_t)(uintptr_t)&out->event;
    return guest_write(out->at, &ours, sizeof ours) == 0;
}

UringChange *uring_before(LinuxThread *t, int fd, uint64_t *to_submit, unsigned *count)
{
    LinuxUring u;
    uint32_t head;
    UringChange *changes = NULL;
    *count = 0;
    if (!*to_submit || !find(t->process, fd, &u) ||
        guest_read(&head, u.ring + u.params.sq_off.head, sizeof head))
        return NULL;
    uint64_t n = MIN(*to_submit, u.params.sq_entries);
    for (uint32_t i = 0; i < n; i++) {
        UringChange one;
        uint64_t at = request_at(&u, head, i);
        if (!at || !change(at, &one))
            continue;
        if (!changes)
            changes = g_new(UringChange, CHANGED_MAX);
        changes[*count] = one;
        uint64_t ours = (uint64_t)(uintptr_t)&changes[*count].event;
        (void)guest_write(one.at, &ours, sizeof ours);
        if (++*count == CHANGED_MAX) {
            *to_submit = i + 1;
            break;
        }
    }
    return changes;
}

void uring_after(UringChange *changes, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        (void)guest_write(changes[i].at, &changes[i].addr, sizeof changes[i].addr);
    g_free(changes);
}
