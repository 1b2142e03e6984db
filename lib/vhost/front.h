/* SPDX-License-Identifier: MIT */
/*
 * vhost-user, the driver's machine's end: hands requests to a device in another process.
 *
 *   front = vhost_front_new(connected socket, features wanted, queues, &error);
 *   vhost_front_memory(front, host address, size, fd, offset, &error);   what buffers lie in
 *   vhost_front_start(front, &error);
 *   vhost_front_submit(front, queue, out, n, in, n, cookie);  ...  vhost_front_collect(front,
 * queue, done, opaque); vhost_front_free(front);
 *
 * The rings are this library's own, in memory of their own: the device never sees the guest's
 * rings. So who forwards a guest's requests knows what was written to its memory before the guest
 * does, which a translator has to know. Addresses on the wire are this process's.
 *
 * Threads: a queue is used by one thread at a time, queues by several.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

enum {
    VHOST_FRONT_DEPTH = 128,   /* requests of a queue at once */
    VHOST_FRONT_PIECES = 1024, /* of a request */
    VHOST_FRONT_REGIONS = 7,   /* of memory */
};

typedef struct VhostFront VhostFront;

/* fd becomes the front end's, also on failure. Fails when the device has fewer queues or lacks one
 * of the wanted (virtio) features. */
VhostFront *vhost_front_new(int fd, uint64_t wanted, unsigned queues, GError **error);
/* No request may be under way but those that will never be collected. NULL is fine. */
void vhost_front_free(VhostFront *front);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VhostFront, vhost_front_free)

/* size bytes at host are fd's from offset on; all in whole pages. fd is borrowed as long as the
 * front end lives. */
bool vhost_front_memory(VhostFront *front, void *host, uint64_t size, int fd, uint64_t offset,
                        GError **error);
bool vhost_front_start(VhostFront *front, GError **error);
/* Ends the rings; true when the device said so. Requests under way have then been done. */
bool vhost_front_stop(VhostFront *front, GError **error);

/* What the device may read, and what it may write, within the memory. False: the queue is full, or
 * the request has too many pieces. */
bool vhost_front_submit(VhostFront *front, unsigned queue, const struct iovec *out, unsigned n_out,
                        const struct iovec *in, unsigned n_in, void *cookie);
/* Calls done for each request that has ended, with the bytes written; how many. -EPROTO: the device
 * wrote nonsense to its ring. */
int vhost_front_collect(VhostFront *front, unsigned queue,
                        void (*done)(void *opaque, void *cookie, uint32_t written), void *opaque);
/* An eventfd (nonblocking) that is written when there is something to collect. Between collect and
 * sleeping, wants(true) must answer false: nothing came meanwhile. wants(false): it need not be
 * written. */
int vhost_front_event(const VhostFront *front, unsigned queue);
bool vhost_front_wants(VhostFront *front, unsigned queue, bool event);
/* The socket: readable when the device's process has gone. */
int vhost_front_socket(const VhostFront *front);

/*
 * When the device's process has gone (it is dead, or has ended the connection, which it may do only once its
 * queues are at rest) another may take its place. The caller collects what each queue still has, then
 *
 *   vhost_front_again     lays the queue's ring anew, with what is under way in it, in the order of its
 *                         submission and with the descriptor heads it had; says how many requests those are
 *   vhost_front_forget    lays it anew and empty: what is under way will never be collected
 *
 * both as users of that queue, and has vhost_front_reconnect talk to the new process at the other end of fd, which
 * becomes the front end's at once. Nothing may be submitted before that has succeeded, but the new process may
 * answer before it returns. When it fails, all of that is to be done again: some may have been answered.
 * cancel: becoming readable, it ends the wait for the new process's first answer (ECANCELED), before which no
 * memory has been handed over; -1: nothing does.
 */
unsigned vhost_front_again(VhostFront *front, unsigned queue);
void vhost_front_forget(VhostFront *front, unsigned queue);
bool vhost_front_reconnect(VhostFront *front, int fd, int cancel, GError **error);
