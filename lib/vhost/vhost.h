/* SPDX-License-Identifier: MIT */
/*
 * vhost-user: a device in one process, its driver's machine in another. This is the device's end: it is
 * told over a Unix socket where the guest's memory and rings are, and serves the rings by itself.
 * (QEMU's documentation of the protocol, docs/interop/vhost-user; Virtio 1.2.)
 *
 *   backend = vhost_backend_new(&device);
 *   vhost_backend_serve(backend, connected socket, &error);   until the machine goes away; again and again
 *   vhost_backend_free(backend);
 *
 * Threads. vhost_backend_serve keeps its thread, reading messages; each running queue has a thread of its
 * own, which calls device->handle. vhost_backend_stop may be called from any thread.
 *
 * A queue that finds nothing looks for a little while before it sleeps, longer when that has paid lately:
 * the guest need not announce what comes in the meantime.
 *
 * Memory that the front end takes back stays mapped for a while, as requests may be using it. Where its file
 * becomes shorter, the connection ends; for that the process has a handler for SIGBUS once there is a back end.
 *
 * Not there: dirty logging and postcopy (migration), IOTLB, queues in big-endian order.
 */
#pragma once

#include "vring/vring.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

enum { VHOST_MAX_QUEUES = 64 };

typedef struct VhostBackend VhostBackend;

/* One buffer of the driver's: out is what it sent, in is where the answer goes. */
typedef struct {
    VringChain chain;
    unsigned queue;
    /* the library's */
    struct VhostQueue *owner;
    uint16_t entry; /* of inflight tracking */
} VhostRequest;

enum { VHOST_LATER = -1 };

typedef struct {
    const char *name;  /* of threads, at most 10 characters */
    uint64_t features; /* virtio's feature bits offered, those of the rings and the transport left out */
    unsigned queues;   /* most, at most VHOST_MAX_QUEUES */
    /* The device's configuration space, if a front end asks for it. Borrowed. */
    const void *config;
    size_t config_size;
    /* Does what a request asks: bytes written to in, or VHOST_LATER, and vhost_request_done, from
     * any thread, ends it. On the queue's thread. */
    int64_t (*handle)(void *opaque, VhostRequest *request);
    /* A queue is about to stop and waits for its requests: those that wait for something end early.
     * May be called often, and on any thread. NULL: none waits. */
    void (*interrupt)(void *opaque);
    /* A line for the log: what the front end or the driver did wrong. Any thread. NULL: it is not
     * said. */
    void (*say)(void *opaque, const char *line);
    /* No queue runs: what the driver had open is gone. */
    void (*reset)(void *opaque);
    void *opaque;
} VhostDevice;

/* device's pointers are borrowed, the struct is copied. */
VhostBackend *vhost_backend_new(const VhostDevice *device);
void vhost_backend_free(VhostBackend *backend);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VhostBackend, vhost_backend_free)

/* Serves the front end at the other end of fd, which stays the caller's, until it closes (true),
 * breaks the protocol (false) or vhost_backend_stop is called (true). All queues have then stopped,
 * and reset was called. */
bool vhost_backend_serve(VhostBackend *backend, int fd, GError **error);
/* The running vhost_backend_serve, or the next, returns. Also from a signal handler. */
void vhost_backend_stop(VhostBackend *backend);

/* Ends a request that was answered VHOST_LATER; written as handle's. The request is gone then. */
void vhost_request_done(VhostRequest *request, uint32_t written);
