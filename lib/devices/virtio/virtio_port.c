/* SPDX-License-Identifier: MIT */
/* Ports of a virtio-serial device: between it and a chardev. */
#include "devices/virtio/virtio_serial.h"

static void port_event(void *opaque, ChardevEvent event)
{
    if (event == CHARDEV_EVENT_OPENED || event == CHARDEV_EVENT_CLOSED)
        virtio_serial_host_open(opaque, event == CHARDEV_EVENT_OPENED);
}

bool virtio_port_start(Device *dev, GError **error)
{
    SerialPort *port = (SerialPort *)dev;
    /* With nobody there a console is open all the same; so is a port whose output nobody keeps. */
    virtio_serial_host_open(port, true);
    chardev_set_handlers(port->chardev, virtio_serial_can_receive, virtio_serial_receive,
                         port_event, port);
    return true;
}

void virtio_port_stop(Device *dev)
{
    SerialPort *port = (SerialPort *)dev;
    chardev_set_handlers(port->chardev, NULL, NULL, NULL, NULL);
    virtio_serial_unplug(port);
    vring_chain_clear(&port->chain);
}

const DeviceProp virtio_port_props[] = {
    {"chardev", DEVICE_CHARDEV, offsetof(SerialPort, chardev), NULL, 0, 0, "where it leads"},
    {"name", DEVICE_STRING, offsetof(SerialPort, name), NULL, 0, 0,
     "what the guest finds it by, /dev/virtio-ports/NAME"},
    {"nr", DEVICE_U32, offsetof(SerialPort, nr), "4294967295", 0, 0, "number; else the first free"},
    {.name = NULL},
};

const DeviceType virtio_port_type = {
    .name = "virtserialport",
    .summary = "port with a name, for programs",
    .size = sizeof(SerialPort),
    .props = virtio_port_props,
    .slot = "virtio-serial",
    .start = virtio_port_start,
    .stop = virtio_port_stop,
};
