/* SPDX-License-Identifier: MIT */
/*
 * virtio-rng (Virtio 1.2, 5.4): random bytes for the guest, of the machine's own source or read from
 * a file (a hardware generator, say). A file that gives no more breaks the device.
 */
#include "devices/virtio/virtio_props.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

enum { RNG_QUEUE_SIZE = 8, RNG_PIECE = 4096, RNG_POLL_MS = 50 };

typedef struct {
    Device dev;
    VirtioDevice v;
    VirtioProps props;
    const DeviceRng *source; /* NULL: the machine's */
    int fd;                  /* -1: none */
    uint64_t served;         /* bytes, for saved state and the curious */
} Rng;

static Rng *rng_of(VirtioDevice *v)
{
    return (Rng *)(void *)((char *)v - offsetof(Rng, v));
}

/* At least one byte, unless the file ends or the queue is to rest (0). A slow generator is waited
   for in slices. */
static ssize_t rng_read(Rng *r, unsigned queue, uint8_t *buf, size_t len)
{
    struct pollfd p = {.fd = r->fd, .events = POLLIN};
    if (r->fd < 0) {
        bus_random(r->dev.env.clock, buf, len);
        return (ssize_t)len;
    }
    for (;;) {
        if (poll(&p, 1, RNG_POLL_MS) > 0) {
            ssize_t n = read(r->fd, buf, len);
            if (n > 0)
                return n;
            if (n == 0 || (errno != EAGAIN && errno != EINTR))
                return -1;
        }
        if (__atomic_load_n(&r->v.queues[queue].paused, __ATOMIC_RELAXED))
            return 0;
    }
}

static void rng_notify(VirtioDevice *v, unsigned queue)
{
    Rng *r = rng_of(v);
    VringChain chain = {0};
    do {
        virtio_quiet(v, queue, true);
        while (virtio_pop(v, queue, &chain)) {
            uint8_t buf[RNG_PIECE];
            ssize_t n = rng_read(r, queue, buf, MIN(sizeof buf, chain.in_bytes));
            if (n < 0)
                virtio_break(v, "the random source has ended");
            uint32_t got = n > 0 ? (uint32_t)vring_chain_fill(&chain, 0, buf, (size_t)n) : 0;
            r->served += got;
            virtio_push(v, queue, &chain, got);
            virtio_flush(v, queue);
        }
    } while (virtio_quiet(v, queue, false));
    vring_chain_clear(&chain);
}

static const VirtioType rng_virtio = {.name = "virtio-rng", .id = 4, .notify = rng_notify};

static bool rng_start(Device *dev, GError **error)
{
    Rng *r = (Rng *)dev;
    r->fd = -1;
    if (r->source && r->source->filename) {
        r->fd = open(r->source->filename, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (r->fd < 0)
            return fail_errno(error, errno, "%s: %s", r->source->id, r->source->filename);
    }
    virtio_init(&r->v, &rng_virtio, dev->env.space, 1, RNG_QUEUE_SIZE,
                virtio_props_features(&r->props), 0);
    return true;
}

static void rng_stop(Device *dev)
{
    Rng *r = (Rng *)dev;
    virtio_clear(&r->v);
    if (r->fd >= 0)
        close(r->fd);
}

static void rng_reset(Device *dev)
{
    virtio_reset(&((Rng *)dev)->v);
}

static void rng_saving(Device *dev)
{
    virtio_saving(&((Rng *)dev)->v);
}

static bool rng_loaded(Device *dev, GError **error)
{
    return virtio_loaded(&((Rng *)dev)->v, error);
}

static VirtioDevice *rng_face(Device *dev)
{
    return &((Rng *)dev)->v;
}

static const StateField rng_saved[] = {VIRTIO_SAVED(Rng, v), STATE_FIELD(Rng, served, 1), STATE_END};

static const DeviceProp rng_props[] = {
    {"rng", DEVICE_RNG, offsetof(Rng, source), NULL, 0, 0, "the -object to read from"},
    VIRTIO_PROPS(Rng, props),
    {.name = NULL},
};

const DeviceType virtio_rng_type = {
    .name = "virtio-rng-device",
    .summary = "source of random bytes",
    .size = sizeof(Rng),
    .props = rng_props,
    .saved = rng_saved,
    .slot = "virtio",
    .start = rng_start,
    .reset = rng_reset,
    .stop = rng_stop,
    .saving = rng_saving,
    .loaded = rng_loaded,
    .virtio = rng_face,
};
