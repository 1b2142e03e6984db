/* SPDX-License-Identifier: MIT */
/* A port of a virtio-serial device that the guest takes for a terminal (/dev/hvc0); all else is as in
 * virtio_port.c. */
#include "devices/virtio/virtio_serial.h"

const DeviceType virtio_console_type = {
    .name = VIRTIO_SERIAL_CONSOLE,
    .summary = "port that is a console",
    .size = sizeof(SerialPort),
    .props = virtio_port_props,
    .slot = "virtio-serial",
    .start = virtio_port_start,
    .stop = virtio_port_stop,
};
