/* SPDX-License-Identifier: MIT */
/* Queues as the core handles them. */
#pragma once

#include "virtio/virtio.h"

void virtio_queue_init(VirtioDevice *v, VirtioQueue *q, unsigned size);
/* Ends the thread. */
void virtio_queue_clear(VirtioQueue *q);
/* The thread comes to rest outside of notify, and stays there until resumed; they nest. */
void virtio_queue_pause(VirtioQueue *q);
void virtio_queue_resume(VirtioQueue *q);
