/* SPDX-License-Identifier: MIT */
/*
 * virtio-balloon (Virtio 1.2, 5.5): the guest gives memory up when it is asked to, or as soon as it is
 * free (free page reporting), and the host has it back at once. Memory that the guest takes back is
 * there again, zeroed, when it is touched. Figures on the guest's memory come with the statistics
 * queue, which holds one buffer of the driver's until new ones are wanted.
 *
 * Left out: free page hints (for migration), page poison.
 */
#include "devices/virtio/virtio_balloon.h"
#include "devices/virtio/virtio_props.h"

#include "base/bytes.h"

#include <string.h>

enum { F_STATS_VQ = 1, F_DEFLATE_ON_OOM = 2, F_PAGE_REPORTING = 5 };
enum { INFLATE = 0, DEFLATE = 1, QUEUE_SIZE = 128, CONFIG_SIZE = 8, CONFIG_ACTUAL = 4 };
enum { PAGE_BITS = 12, PFNS_MAX = 65536, STAT_SIZE = 10, STATS_MAX = 256 };

typedef struct {
    Device dev;
    VirtioDevice v;
    VirtioProps props;
    bool deflate_on_oom, reporting;
    uint32_t num_pages, actual; /* of 4 KiB; atomic */
    void (*changed)(void *opaque, uint64_t bytes);
    void *changed_opaque;
    DeviceTimer *timer;
    int64_t interval; /* ns; 0: nobody asks. Under the device's lock */

    pthread_mutex_t lock; /* of what follows */
    VringChain held;      /* of the statistics queue */
    bool holds, wanted;
    BalloonStats stats;
} Balloon;

static Balloon *balloon_of(VirtioDevice *v)
{
    return (Balloon *)(void *)((char *)v - offsetof(Balloon, v));
}

/* Queues that were not agreed on take no number. */
static unsigned stats_queue(const VirtioDevice *v)
{
    return virtio_has(v, VIRTIO_F(F_STATS_VQ)) ? 2 : UINT32_MAX;
}

static unsigned reporting_queue(const VirtioDevice *v)
{
    return !virtio_has(v, VIRTIO_F(F_PAGE_REPORTING)) ? UINT32_MAX
           : virtio_has(v, VIRTIO_F(F_STATS_VQ))      ? 3
                                                      : 2;
}

/* ---- Memory ------------------------------------------------------------------------ */

/* A list of page numbers; neighbours go back together, whichever way they are listed. */
static void inflate(Balloon *b, VringChain *chain)
{
    uint8_t raw[4];
    uint64_t first = 0, end = 0;
    for (unsigned i = 0; i < PFNS_MAX && vring_chain_take(chain, raw, sizeof raw); i++) {
        uint64_t page = ld_le32(raw);
        if (end > first && page == end) {
            end++;
        } else if (end > first && page + 1 == first) {
            first--;
        } else {
            bus_ram_discard(b->dev.env.space, first << PAGE_BITS, (end - first) << PAGE_BITS);
            first = page;
            end = page + 1;
        }
    }
    bus_ram_discard(b->dev.env.space, first << PAGE_BITS, (end - first) << PAGE_BITS);
}

static void report(Balloon *b, const VringChain *chain)
{
    for (unsigned i = 0; i < chain->range_count; i++)
        bus_ram_discard(b->dev.env.space, chain->ranges[i].addr, chain->ranges[i].len);
}

static void serve_memory(Balloon *b, unsigned queue)
{
    VirtioDevice *v = &b->v;
    VringChain chain = {0};
    do {
        virtio_quiet(v, queue, true);
        while (virtio_pop(v, queue, &chain)) {
            if (queue == INFLATE)
                inflate(b, &chain);
            else if (queue == reporting_queue(v))
                report(b, &chain);
            virtio_push(v, queue, &chain, 0);
            virtio_flush(v, queue);
        }
    } while (virtio_quiet(v, queue, false));
    vring_chain_clear(&chain);
}

/* ---- Statistics ------------------------------------------------------------------------ */

/* Under lock. */
static void stats_read(Balloon *b)
{
    uint8_t raw[STAT_SIZE];
    memset(b->stats.value, 0xff, sizeof b->stats.value);
    for (unsigned i = 0; i < STATS_MAX && vring_chain_take(&b->held, raw, sizeof raw); i++)
        if (ld_le16(raw) < BALLOON_STATS)
            b->stats.value[ld_le16(raw)] = ld_le64(raw + 2);
    b->stats.updated = bus_clock_wall(b->dev.env.clock) / 1000000000;
}

static void serve_stats(Balloon *b, unsigned queue)
{
    VirtioDevice *v = &b->v;
    pthread_mutex_lock(&b->lock);
    do {
        virtio_quiet(v, queue, true);
        while (!b->holds && virtio_pop(v, queue, &b->held)) {
            stats_read(b);
            b->holds = true;
        }
        if (b->holds && b->wanted) {
            virtio_push(v, queue, &b->held, 0);
            virtio_flush(v, queue);
            b->holds = b->wanted = false;
        }
    } while (virtio_quiet(v, queue, false) && !b->holds);
    pthread_mutex_unlock(&b->lock);
}

static void on_timer(Device *dev)
{
    Balloon *b = (Balloon *)dev;
    if (!b->interval)
        return;
    unsigned queue = stats_queue(&b->v);
    pthread_mutex_lock(&b->lock);
    b->wanted = true;
    pthread_mutex_unlock(&b->lock);
    if (queue < b->v.queue_count)
        virtio_kick(&b->v, queue);
    device_timer_set(b->timer, bus_clock_now(dev->env.clock) + b->interval);
}

static void balloon_drain(VirtioDevice *v)
{
    Balloon *b = balloon_of(v);
    pthread_mutex_lock(&b->lock);
    if (b->holds)
        virtio_unpop(v, 2, &b->held); /* it is taken again with the next notification */
    b->holds = false;
    pthread_mutex_unlock(&b->lock);
}

static void balloon_notify(VirtioDevice *v, unsigned queue)
{
    Balloon *b = balloon_of(v);
    if (queue == stats_queue(v))
        serve_stats(b, queue);
    else
        serve_memory(b, queue);
}

/* ---- Configuration ------------------------------------------------------------------------ */

static void balloon_read_config(VirtioDevice *v, uint8_t *c)
{
    const Balloon *b = balloon_of(v);
    st_le32(c, __atomic_load_n(&b->num_pages, __ATOMIC_RELAXED));
    st_le32(c + CONFIG_ACTUAL, __atomic_load_n(&b->actual, __ATOMIC_RELAXED));
}

static void balloon_write_config(VirtioDevice *v, uint32_t offset, const uint8_t *bytes,
                                 uint32_t len)
{
    Balloon *b = balloon_of(v);
    uint8_t raw[4];
    st_le32(raw, b->actual);
    for (uint32_t i = 0; i < len; i++)
        if (offset + i >= CONFIG_ACTUAL)
            raw[offset + i - CONFIG_ACTUAL] = bytes[i];
    uint32_t before = __atomic_exchange_n(&b->actual, ld_le32(raw), __ATOMIC_RELAXED);
    if (before != b->actual && b->changed)
        b->changed(b->changed_opaque, (uint64_t)b->actual << PAGE_BITS);
}

/* What the driver had taken belongs to the guest again. */
static void balloon_virtio_reset(VirtioDevice *v)
{
    Balloon *b = balloon_of(v);
    __atomic_store_n(&b->actual, 0, __ATOMIC_RELAXED);
    pthread_mutex_lock(&b->lock);
    b->wanted = false;
    b->stats.updated = 0;
    memset(b->stats.value, 0xff, sizeof b->stats.value);
    pthread_mutex_unlock(&b->lock);
}

static const VirtioType balloon_virtio = {
    .name = "virtio-balloon",
    .id = 5,
    .drain = balloon_drain,
    .reset = balloon_virtio_reset,
    .notify = balloon_notify,
    .read_config = balloon_read_config,
    .write_config = balloon_write_config,
};

/* ---- For a monitor ------------------------------------------------------------------------ */

bool virtio_balloon_is(const Device *dev)
{
    return dev->type == device_type_find("virtio-balloon-device");
}

void virtio_balloon_ask(Device *dev, uint64_t bytes)
{
    Balloon *b = (Balloon *)dev;
    uint64_t pages = MIN(bytes >> PAGE_BITS, UINT32_MAX);
    __atomic_store_n(&b->num_pages, (uint32_t)pages, __ATOMIC_RELAXED);
    virtio_config_changed(&b->v);
}

uint64_t virtio_balloon_taken(const Device *dev)
{
    return (uint64_t)__atomic_load_n(&((const Balloon *)dev)->actual, __ATOMIC_RELAXED)
           << PAGE_BITS;
}

void virtio_balloon_poll(Device *dev, unsigned seconds)
{
    Balloon *b = (Balloon *)dev;
    device_lock(dev);
    b->interval = (int64_t)seconds * 1000000000;
    if (seconds)
        on_timer(dev);
    else
        device_timer_cancel(b->timer);
    device_unlock(dev);
}

void virtio_balloon_stats(Device *dev, BalloonStats *stats)
{
    Balloon *b = (Balloon *)dev;
    pthread_mutex_lock(&b->lock);
    *stats = b->stats;
    pthread_mutex_unlock(&b->lock);
}

void virtio_balloon_on_changed(Device *dev, void (*changed)(void *opaque, uint64_t bytes),
                               void *opaque)
{
    ((Balloon *)dev)->changed = changed;
    ((Balloon *)dev)->changed_opaque = opaque;
}

/* ---- The device ------------------------------------------------------------------------------ */

static bool balloon_start(Device *dev, GError **error)
{
    Balloon *b = (Balloon *)dev;
    pthread_mutex_init(&b->lock, NULL);
    b->timer = device_timer_new(dev, on_timer);
    memset(b->stats.value, 0xff, sizeof b->stats.value);
    virtio_init(&b->v, &balloon_virtio, dev->env.space, b->reporting ? 4 : 3, QUEUE_SIZE,
                virtio_props_features(&b->props) | VIRTIO_F(F_STATS_VQ) |
                    (b->deflate_on_oom ? VIRTIO_F(F_DEFLATE_ON_OOM) : 0) |
                    (b->reporting ? VIRTIO_F(F_PAGE_REPORTING) : 0),
                CONFIG_SIZE);
    return true;
}

static void balloon_stop(Device *dev)
{
    Balloon *b = (Balloon *)dev;
    device_timer_free(b->timer);
    virtio_clear(&b->v);
    vring_chain_clear(&b->held);
    pthread_mutex_destroy(&b->lock);
}

static void balloon_reset(Device *dev)
{
    virtio_reset(&((Balloon *)dev)->v);
}

static void balloon_saving(Device *dev)
{
    virtio_saving(&((Balloon *)dev)->v);
}

static bool balloon_loaded(Device *dev, GError **error)
{
    return virtio_loaded(&((Balloon *)dev)->v, error);
}

static VirtioDevice *balloon_face(Device *dev)
{
    return &((Balloon *)dev)->v;
}

static const StateField balloon_saved[] = {
    VIRTIO_SAVED(Balloon, v),
    STATE_FIELD(Balloon, num_pages, 1),
    STATE_FIELD(Balloon, actual, 1),
    STATE_END,
};

static const DeviceProp balloon_props[] = {
    {"deflate-on-oom", DEVICE_BOOL, offsetof(Balloon, deflate_on_oom), "off", 0, 0,
     "the guest takes memory back rather than run out of it"},
    {"free-page-reporting", DEVICE_BOOL, offsetof(Balloon, reporting), "off", 0, 0,
     "the host has memory back as soon as the guest frees it"},
    VIRTIO_PROPS(Balloon, props),
    {.name = NULL},
};

const DeviceType virtio_balloon_type = {
    .name = "virtio-balloon-device",
    .summary = "gives the guest's memory back to the host",
    .size = sizeof(Balloon),
    .props = balloon_props,
    .saved = balloon_saved,
    .slot = "virtio",
    .start = balloon_start,
    .reset = balloon_reset,
    .stop = balloon_stop,
    .saving = balloon_saving,
    .loaded = balloon_loaded,
    .virtio = balloon_face,
};
