/* SPDX-License-Identifier: MIT */
/* For a monitor: what a virtio-balloon device is asked for, and what its guest says of its memory. */
#pragma once

#include "devices/device.h"

enum { BALLOON_STATS = 16 }; /* by the tags of Virtio 1.2, 5.5.6.4, and of those that came later */

typedef struct {
    uint64_t value[BALLOON_STATS]; /* UINT64_MAX: the guest does not say */
    int64_t updated;               /* seconds since the epoch; 0: never */
} BalloonStats;

/* True if the functions below take dev. */
bool virtio_balloon_is(const Device *dev);
/* Asks the guest to give up that many bytes in all; main thread. */
void virtio_balloon_ask(Device *dev, uint64_t bytes);
/* What it has given up by its own account. Any thread. */
uint64_t virtio_balloon_taken(const Device *dev);
/* Asks for new figures every so many seconds from now on; 0 asks no more. Main thread. */
void virtio_balloon_poll(Device *dev, unsigned seconds);
/* The latest figures. Any thread. */
void virtio_balloon_stats(Device *dev, BalloonStats *stats);
/* changed is called when the guest has given up or taken back memory; on a vCPU's thread, with locks
   of the device held: it only notes it. Main thread, before vCPUs run. */
void virtio_balloon_on_changed(Device *dev, void (*changed)(void *opaque, uint64_t bytes),
                               void *opaque);
