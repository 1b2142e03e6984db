/* SPDX-License-Identifier: MIT */
/*
 * virtio-console (Virtio 1.2, 5.3) with several ports: consoles, and ports with names for programs.
 * Queues 0 and 1 are input and output of port 0, 2 and 3 carry control messages, then two for each
 * further port. There are as many as ports were plugged in.
 *
 * Output is written to the chardev on the queue's thread, which waits for a slow reader; input comes
 * on the main thread, when the guest has a buffer for it.
 *
 * Left out: the size of a console, emergency write, control messages that wait in a saved state.
 */
#include "devices/virtio/virtio_serial.h"

#include "base/bytes.h"
#include "base/error.h"

#include <string.h>

enum { F_MULTIPORT = 1 };
enum { Q_CONTROL_IN = 2, Q_CONTROL_OUT = 3, SERIAL_QUEUE_SIZE = 128, CONFIG_SIZE = 12 };
enum {
    DEVICE_READY = 0,
    DEVICE_ADD = 1,
    PORT_READY = 3,
    CONSOLE_PORT = 4,
    PORT_OPEN = 6,
    PORT_NAME = 7,
    CONTROL_SIZE = 8,
    CONTROL_MAX_WAITING = 1024, /* a guest that asks and never listens */
};

struct VirtioSerial {
    Device dev;
    VirtioDevice v;
    VirtioProps props;
    uint32_t max_ports;
    SerialPort *ports[SERIAL_MAX_PORTS];
    bool running;

    pthread_mutex_t lock; /* of what follows, and of the ports */
    GQueue control;       /* GBytes for the driver */
    uint8_t guest_open[SERIAL_MAX_PORTS];
};

static VirtioSerial *serial_of(VirtioDevice *v)
{
    return (VirtioSerial *)(void *)((char *)v - offsetof(VirtioSerial, v));
}

static unsigned queue_in(unsigned nr)
{
    return nr ? 2 * nr + 2 : 0;
}

static SerialPort *port_of_queue(VirtioSerial *s, unsigned queue)
{
    return s->ports[queue < 2 ? 0 : queue / 2 - 1];
}

/* A buffer, having told the driver to say when there is one. */
static bool pop_or_ask(VirtioDevice *v, unsigned queue, VringChain *chain)
{
    do {
        if (virtio_pop(v, queue, chain))
            return true;
    } while (virtio_quiet(v, queue, false));
    return false;
}

/* ---- Control messages ----------------------------------------------------------- */

/* Under the lock. */
static void control_flush(VirtioSerial *s)
{
    VringChain chain = {0};
    bool any = false;
    while (!g_queue_is_empty(&s->control) && pop_or_ask(&s->v, Q_CONTROL_IN, &chain)) {
        g_autoptr(GBytes) message = g_queue_pop_head(&s->control);
        gsize len;
        const void *data = g_bytes_get_data(message, &len);
        virtio_push(&s->v, Q_CONTROL_IN, &chain,
                    (uint32_t)vring_chain_fill(&chain, 0, data, len));
        any = true;
    }
    if (any)
        virtio_flush(&s->v, Q_CONTROL_IN);
    vring_chain_clear(&chain);
}

/* Under the lock. text NULL: no more than the numbers. */
static void control_send(VirtioSerial *s, uint32_t nr, uint16_t event, uint16_t value,
                         const char *text)
{
    size_t extra = text ? strlen(text) : 0;
    if (!virtio_has(&s->v, VIRTIO_F(F_MULTIPORT)) ||
        g_queue_get_length(&s->control) >= CONTROL_MAX_WAITING)
        return;
    uint8_t *m = g_malloc(CONTROL_SIZE + extra);
    st_le32(m, nr);
    st_le16(m + 4, event);
    st_le16(m + 6, value);
    if (extra)
        memcpy(m + CONTROL_SIZE, text, extra);
    g_queue_push_tail(&s->control, g_bytes_new_take(m, CONTROL_SIZE + extra));
}

static void port_ready(VirtioSerial *s, const SerialPort *port)
{
    if (port->console)
        control_send(s, port->nr, CONSOLE_PORT, 1, NULL);
    if (port->name)
        control_send(s, port->nr, PORT_NAME, 1, port->name);
    if (port->host_open)
        control_send(s, port->nr, PORT_OPEN, 1, NULL);
}

/* A message of the driver's. Returns the port that was opened, for input that waits for it. */
static SerialPort *control_take(VirtioSerial *s, const uint8_t m[CONTROL_SIZE])
{
    uint32_t nr = ld_le32(m);
    uint16_t event = ld_le16(m + 4), value = ld_le16(m + 6);
    if (event == DEVICE_READY) {
        for (uint32_t i = 0; value && i < SERIAL_MAX_PORTS; i++)
            if (s->ports[i])
                control_send(s, i, DEVICE_ADD, 1, NULL);
        return NULL;
    }
    SerialPort *port = nr < SERIAL_MAX_PORTS ? s->ports[nr] : NULL;
    if (port && event == PORT_READY && value)
        port_ready(s, port);
    if (port && event == PORT_OPEN)
        s->guest_open[nr] = value != 0;
    return port && event == PORT_OPEN && value ? port : NULL;
}

static void notify_control(VirtioSerial *s)
{
    VringChain chain = {0};
    while (pop_or_ask(&s->v, Q_CONTROL_OUT, &chain)) {
        uint8_t message[CONTROL_SIZE];
        SerialPort *opened = NULL;
        pthread_mutex_lock(&s->lock);
        if (vring_chain_take(&chain, message, sizeof message))
            opened = control_take(s, message);
        control_flush(s);
        pthread_mutex_unlock(&s->lock);
        virtio_push(&s->v, Q_CONTROL_OUT, &chain, 0);
        virtio_flush(&s->v, Q_CONTROL_OUT);
        if (opened)
            chardev_accept_input(opened->chardev);
    }
    vring_chain_clear(&chain);
}

/* ---- Data ------------------------------------------------------------------------ */

/* All of it, unless the queue is to rest and nobody reads. */
static void write_all(VirtioSerial *s, unsigned queue, Chardev *c, const uint8_t *p, size_t len)
{
    while (len) {
        size_t n = chardev_write(c, p, len);
        p += n;
        len -= n;
        if (!n && __atomic_load_n(&s->v.queues[queue].paused, __ATOMIC_RELAXED))
            return;
    }
}

static void notify_output(VirtioSerial *s, unsigned queue)
{
    const SerialPort *port = port_of_queue(s, queue);
    VringChain chain = {0};
    do {
        virtio_quiet(&s->v, queue, true);
        while (virtio_pop(&s->v, queue, &chain)) {
            for (unsigned i = 0; port && i < chain.out_count; i++)
                write_all(s, queue, port->chardev, chain.out[i].iov_base, chain.out[i].iov_len);
            virtio_push(&s->v, queue, &chain, 0);
            virtio_flush(&s->v, queue);
        }
    } while (virtio_quiet(&s->v, queue, false));
    vring_chain_clear(&chain);
}

static bool guest_listens(const VirtioSerial *s, unsigned nr)
{
    return virtio_status(&s->v) & VIRTIO_DRIVER_OK &&
           (s->guest_open[nr] || !virtio_has(&s->v, VIRTIO_F(F_MULTIPORT)));
}

size_t virtio_serial_can_receive(void *opaque)
{
    SerialPort *port = opaque;
    VirtioSerial *s = port->serial;
    unsigned queue = queue_in(port->nr);
    pthread_mutex_lock(&s->lock);
    while (!port->have && guest_listens(s, port->nr) && pop_or_ask(&s->v, queue, &port->chain)) {
        port->have = port->chain.in_bytes > 0;
        if (!port->have) /* a buffer that nothing fits into */
            virtio_push(&s->v, queue, &port->chain, 0);
    }
    size_t room = port->have ? port->chain.in_bytes : 0;
    pthread_mutex_unlock(&s->lock);
    return room;
}

void virtio_serial_receive(void *opaque, const uint8_t *buf, size_t len)
{
    SerialPort *port = opaque;
    VirtioSerial *s = port->serial;
    unsigned queue = queue_in(port->nr);
    pthread_mutex_lock(&s->lock);
    if (port->have) { /* else a reset came between */
        size_t n = vring_chain_fill(&port->chain, 0, buf, len);
        port->have = false;
        virtio_push(&s->v, queue, &port->chain, (uint32_t)n);
        virtio_flush(&s->v, queue);
    }
    pthread_mutex_unlock(&s->lock);
}

void virtio_serial_host_open(SerialPort *port, bool open)
{
    VirtioSerial *s = port->serial;
    pthread_mutex_lock(&s->lock);
    bool change = port->host_open != open;
    port->host_open = open;
    if (change && virtio_status(&s->v) & VIRTIO_DRIVER_OK) {
        control_send(s, port->nr, PORT_OPEN, open, NULL);
        control_flush(s);
    }
    pthread_mutex_unlock(&s->lock);
}

static void serial_notify(VirtioDevice *v, unsigned queue)
{
    VirtioSerial *s = serial_of(v);
    if (queue == Q_CONTROL_OUT) {
        notify_control(s);
    } else if (queue == Q_CONTROL_IN) {
        pthread_mutex_lock(&s->lock);
        control_flush(s);
        pthread_mutex_unlock(&s->lock);
    } else if (queue & 1) {
        notify_output(s, queue);
    } else if (port_of_queue(s, queue)) {
        chardev_accept_input(port_of_queue(s, queue)->chardev);
    }
}

/* ---- The virtio device -------------------------------------------------------------- */

/* Buffers that wait for input go back empty. */
static void serial_drain(VirtioDevice *v)
{
    VirtioSerial *s = serial_of(v);
    if (!(virtio_status(v) & VIRTIO_DRIVER_OK))
        return; /* and ports may have gone */
    pthread_mutex_lock(&s->lock);
    for (unsigned i = 0; i < SERIAL_MAX_PORTS; i++) {
        SerialPort *port = s->ports[i];
        if (!port || !port->have)
            continue;
        port->have = false;
        virtio_push(v, queue_in(i), &port->chain, 0);
        virtio_flush(v, queue_in(i));
    }
    pthread_mutex_unlock(&s->lock);
}

static void control_forget(VirtioSerial *s)
{
    g_queue_clear_full(&s->control, (GDestroyNotify)g_bytes_unref);
}

static void serial_virtio_reset(VirtioDevice *v)
{
    VirtioSerial *s = serial_of(v);
    pthread_mutex_lock(&s->lock);
    control_forget(s);
    memset(s->guest_open, 0, sizeof s->guest_open);
    pthread_mutex_unlock(&s->lock);
}

static unsigned port_count(const VirtioSerial *s)
{
    unsigned count = 1;
    for (unsigned i = 0; i < SERIAL_MAX_PORTS; i++)
        if (s->ports[i])
            count = i + 1;
    return count;
}

static void serial_read_config(VirtioDevice *v, uint8_t *config)
{
    st_le32(config + 4, v->queue_count / 2 - 1);
}

static const VirtioType serial_virtio = {
    .name = "virtio-serial",
    .id = 3,
    .drain = serial_drain,
    .reset = serial_virtio_reset,
    .notify = serial_notify,
    .read_config = serial_read_config,
};

/* ---- The device --------------------------------------------------------------------- */

static bool serial_start(Device *dev, GError **error)
{
    VirtioSerial *s = (VirtioSerial *)dev;
    pthread_mutex_init(&s->lock, NULL);
    g_queue_init(&s->control);
    virtio_init(&s->v, &serial_virtio, dev->env.space, 2 + 2 * port_count(s), SERIAL_QUEUE_SIZE,
                virtio_props_features(&s->props) | VIRTIO_F(F_MULTIPORT), CONFIG_SIZE);
    s->running = true;
    return true;
}

static void serial_stop(Device *dev)
{
    VirtioSerial *s = (VirtioSerial *)dev;
    virtio_clear(&s->v);
    control_forget(s);
    s->running = false;
}

static void serial_reset(Device *dev)
{
    virtio_reset(&((VirtioSerial *)dev)->v);
}

static void serial_saving(Device *dev)
{
    virtio_saving(&((VirtioSerial *)dev)->v);
}

static bool serial_loaded(Device *dev, GError **error)
{
    return virtio_loaded(&((VirtioSerial *)dev)->v, error);
}

static VirtioDevice *serial_face(Device *dev)
{
    return &((VirtioSerial *)dev)->v;
}

static bool serial_plug(Device *dev, Device *child, GError **error)
{
    VirtioSerial *s = (VirtioSerial *)dev;
    SerialPort *port = (SerialPort *)child;
    uint32_t nr = port->nr;
    port->console = g_str_equal(child->type->name, VIRTIO_SERIAL_CONSOLE);
    if (nr == UINT32_MAX)
        for (nr = port->console ? 0 : 1; nr < s->max_ports && s->ports[nr]; nr++)
            ;
    if (nr == 0 && !port->console)
        return fail_usage(error, "port number 0 on virtio-serial devices is for a virtconsole");
    if (nr >= s->max_ports)
        return fail_usage(error, "%s has %u ports", dev->id, s->max_ports);
    if (s->ports[nr])
        return fail_usage(error, "port %u of %s is in use", nr, dev->id);
    s->ports[nr] = port;
    port->nr = nr;
    port->serial = s;
    return true;
}

void virtio_serial_unplug(SerialPort *port)
{
    VirtioSerial *s = port->serial;
    if (s->running)
        virtio_pause(&s->v);
    s->ports[port->nr] = NULL;
    if (s->running)
        virtio_resume(&s->v);
}

static bool serial_plugged(const Device *dev)
{
    const VirtioSerial *s = (const VirtioSerial *)dev;
    for (unsigned i = 0; i < s->max_ports; i++)
        if (!s->ports[i])
            return false;
    return true;
}

static const StateField serial_saved[] = {
    VIRTIO_SAVED(VirtioSerial, v),
    STATE_ARRAY(VirtioSerial, guest_open, 1),
    STATE_END,
};

static const DeviceProp serial_props[] = {
    {"max_ports", DEVICE_U32, offsetof(VirtioSerial, max_ports), "31", 1, SERIAL_MAX_PORTS,
     "how many ports may be plugged in"},
    VIRTIO_PROPS(VirtioSerial, props),
    {.name = NULL},
};

const DeviceType virtio_serial_type = {
    .name = "virtio-serial-device",
    .summary = "serial ports: virtconsole and virtserialport are plugged into it",
    .size = sizeof(VirtioSerial),
    .props = serial_props,
    .saved = serial_saved,
    .slot = "virtio",
    .offers = "virtio-serial",
    .start = serial_start,
    .reset = serial_reset,
    .stop = serial_stop,
    .saving = serial_saving,
    .loaded = serial_loaded,
    .virtio = serial_face,
    .plug = serial_plug,
    .plugged = serial_plugged,
};
