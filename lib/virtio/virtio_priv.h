/* SPDX-License-Identifier: MIT */
/* Queues as the core handles them. */
#pragma once

#include "base/bits.h"
#include "virtio/virtio.h"

/* A 64-bit address that the driver writes in halves. */
static inline void virtio_set_half(uint64_t *word, bool high, uint32_t value)
{
    *word = bits_set(*word, high ? 32 : 0, 32, value);
}

void virtio_queue_init(VirtioDevice *v, VirtioQueue *q, unsigned size);
/* Ends the thread. */
void virtio_queue_clear(VirtioQueue *q);
/* The thread comes to rest outside of notify, and stays there until resumed; they nest. */
void virtio_queue_pause(VirtioQueue *q);
void virtio_queue_resume(VirtioQueue *q);
