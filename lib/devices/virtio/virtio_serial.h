/* SPDX-License-Identifier: MIT */
/* A virtio-serial device and its ports, which are devices of their own (virtio_port.c). */
#pragma once

#include "devices/virtio/virtio_props.h"

enum { SERIAL_MAX_PORTS = VIRTIO_MAX_QUEUES / 2 - 1 };

#define VIRTIO_SERIAL_CONSOLE "virtconsole"

typedef struct VirtioSerial VirtioSerial;

typedef struct {
    Device dev;
    Chardev *chardev; /* NULL: output is dropped */
    char *name;       /* NULL: none */
    uint32_t nr;      /* UINT32_MAX: the first free one */
    bool console;
    VirtioSerial *serial; /* once plugged */
    /* under the serial device's lock */
    bool host_open;
    bool have;        /* chain is a buffer for input, not filled yet */
    VringChain chain;
} SerialPort;

/* Host's end opened or closed; any thread. */
void virtio_serial_host_open(SerialPort *port, bool open);
/* ChardevCanReceive and ChardevReceive of a port. */
size_t virtio_serial_can_receive(void *port);
void virtio_serial_receive(void *port, const uint8_t *buf, size_t len);
/* The port is about to go: nothing uses it any more when this returns. */
void virtio_serial_unplug(SerialPort *port);

/* What both kinds of port share. */
extern const DeviceProp virtio_port_props[];
bool virtio_port_start(Device *dev, GError **error);
void virtio_port_stop(Device *dev);
