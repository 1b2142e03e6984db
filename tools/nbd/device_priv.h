/* SPDX-License-Identifier: MIT */
/* Kernel devices: device.c is what happens, netlink.c how the kernel is told. */
#pragma once

#include "tool.h"

#include <stdint.h>

enum { DEVICE_SOCKETS = 4 };

typedef struct {
    uint64_t size, block, flags; /* flags: the transmission flags of the export */
    int sockets[DEVICE_SOCKETS];
    unsigned n_sockets;
} NetlinkDevice;

/* *index < 0: the kernel chooses a free one, whose index is then there. */
bool netlink_connect(const NetlinkDevice *d, int *index, GError **error);
bool netlink_disconnect(int index, GError **error);
