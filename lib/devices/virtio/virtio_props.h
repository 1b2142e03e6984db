/* SPDX-License-Identifier: MIT */
/* What all virtio devices let a user choose. */
#pragma once

#include "devices/device.h"

typedef struct {
    bool event_idx, indirect, packed;
} VirtioProps;

/* Entries of a table of properties; member is the VirtioProps of Type. */
#define VIRTIO_PROPS(Type, member)                                                                 \
    {"event_idx", DEVICE_BOOL, offsetof(Type, member.event_idx), "on", 0, 0,                       \
     "fewer interrupts and notifications, by index"},                                              \
        {"indirect_desc", DEVICE_BOOL, offsetof(Type, member.indirect), "on", 0, 0,                \
         "chains in tables of their own"},                                                         \
        {"packed", DEVICE_BOOL, offsetof(Type, member.packed), "off", 0, 0, "packed rings"}

static inline uint64_t virtio_props_features(const VirtioProps *p)
{
    return (p->event_idx ? VIRTIO_F_EVENT_IDX : 0) | (p->indirect ? VIRTIO_F_INDIRECT_DESC : 0) |
           (p->packed ? VIRTIO_F_RING_PACKED : 0);
}
