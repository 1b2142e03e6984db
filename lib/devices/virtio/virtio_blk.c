/* SPDX-License-Identifier: MIT */
/*
 * virtio-blk (Virtio 1.2, 5.2): a disk with any number of queues.
 *
 * Each queue's thread takes all buffers there are, submits them in one plug, and gives back at
 * once what ended on the spot, with one interrupt for all of it; what ends later is given back by
 * the thread it ends on. Requests are the guest's to get wrong: one without a header or a status
 * byte breaks the queue, others get an error status.
 *
 * A request that stops the machine (werror=stop and the like) is kept, and counts as in flight. It is
 * tried again when the machine goes on; should the device have to come to rest before (a reset, its
 * removal), it fails.
 *
 * Left out: SCSI commands and lifetime (not in a modern device), secure erase, zones.
 */
#include "devices/virtio/virtio_props.h"

#include "base/bits.h"
#include "base/bytes.h"
#include "base/error.h"

#include <errno.h>
#include <string.h>

enum {
    F_SEG_MAX = 2,
    F_RO = 5,
    F_BLK_SIZE = 6,
    F_FLUSH = 9,
    F_TOPOLOGY = 10,
    F_CONFIG_WCE = 11,
    F_MQ = 12,
    F_DISCARD = 13,
    F_WRITE_ZEROES = 14,
};

enum { T_IN = 0, T_OUT = 1, T_FLUSH = 4, T_GET_ID = 8, T_DISCARD = 11, T_WRITE_ZEROES = 13 };
enum { S_OK = 0, S_IOERR = 1, S_UNSUPP = 2 };
enum {
    HEADER_SIZE = 16,
    ID_SIZE = 20,
    CONFIG_SIZE = 60,
    CONFIG_WCE = 32, /* offset of the write-back byte */
    SEGMENT_SIZE = 16,
    SEGMENT_UNMAP = 1,
    MAX_SECTORS = 0x3fffff, /* of one discard or write-zeroes: below 2 GiB */
};

typedef struct Blk Blk;

typedef struct BlkRequest {
    VringChain chain;
    BlockRequest io;
    Blk *blk;
    struct BlkRequest *next; /* while it is free, or kept */
    uint8_t *status;
    uint32_t written; /* when it succeeds */
    uint16_t queue;
} BlkRequest;

struct Blk {
    Device dev;
    VirtioDevice v;
    /* properties */
    VirtioProps props;
    const DeviceDrive *drive;
    char *serial, *write_cache;
    uint32_t queues, queue_size, logical, physical, min_io, opt_io;
    uint32_t bootindex;
    bool discard, write_zeroes, config_wce, share_rw;

    BlockUser *user;
    bool read_only;
    uint8_t wce; /* writes may be cached */
    uint32_t discard_align; /* sectors */

    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t idle;
    BlkRequest *free, *kept;
    bool draining; /* nothing is kept */
    long in_flight; /* taken by lib/block and not on the spot; below 0 for moments */
};

static Blk *blk_of(VirtioDevice *v)
{
    return (Blk *)(void *)((char *)v - offsetof(Blk, v));
}

/* ---- Requests ---------------------------------------------------------------- */

static BlkRequest *request_get(Blk *b, unsigned queue)
{
    pthread_mutex_lock(&b->lock);
    BlkRequest *req = b->free;
    if (req)
        b->free = req->next;
    pthread_mutex_unlock(&b->lock);
    /* There are never more than the queues have entries. */
    if (!req)
        req = g_new0(BlkRequest, 1);
    req->blk = b;
    req->queue = (uint16_t)queue;
    return req;
}

static void request_put(Blk *b, BlkRequest *req)
{
    pthread_mutex_lock(&b->lock);
    req->next = b->free;
    b->free = req;
    pthread_mutex_unlock(&b->lock);
}

/* Gives the buffer back with that status. */
static void finish(BlkRequest *req, uint8_t status)
{
    *req->status = status;
    virtio_push(&req->blk->v, req->queue, &req->chain, status == S_OK ? req->written : 1);
}

static uint8_t status_of(const BlkRequest *req, int ret)
{
    const DeviceDrive *d = req->blk->drive;
    BlockOnError how = req->io.op == BLOCK_READ ? d->rerror : d->werror;
    if (ret == 0 || how == BLOCK_ON_ERROR_IGNORE)
        return S_OK;
    return ret == -ENOTSUP ? S_UNSUPP : S_IOERR;
}

/* Kept until the machine goes on, if that is what it takes. It is in flight. */
static bool keep(BlkRequest *req, int ret)
{
    Blk *b = req->blk;
    bool read = req->io.op == BLOCK_READ;
    if (!device_keeps(&b->dev, b->drive, read, ret))
        return false;
    pthread_mutex_lock(&b->lock);
    bool kept = !b->draining;
    if (kept) {
        req->next = b->kept;
        b->kept = req;
    }
    pthread_mutex_unlock(&b->lock);
    if (kept)
        b->dev.env.io_error(b->dev.env.io_error_opaque, &b->dev, !read, -ret);
    return kept;
}

/* It ended for good. */
static void end(BlkRequest *req, uint8_t status)
{
    Blk *b = req->blk;
    unsigned queue = req->queue;
    finish(req, status);
    virtio_flush(&b->v, queue);
    pthread_mutex_lock(&b->lock);
    req->next = b->free;
    b->free = req;
    if (--b->in_flight == 0)
        pthread_cond_broadcast(&b->idle);
    pthread_mutex_unlock(&b->lock);
}

/* On whatever thread it ended. */
static void done(BlockRequest *io)
{
    BlkRequest *req = io->opaque;
    if (!keep(req, io->ret))
        end(req, status_of(req, io->ret));
}

static void count(Blk *b)
{
    pthread_mutex_lock(&b->lock);
    if (++b->in_flight == 0)
        pthread_cond_broadcast(&b->idle);
    pthread_mutex_unlock(&b->lock);
}

/* Hands it to lib/block: true if it ended on the spot. */
static bool submit(BlkRequest *req, BlockOp op, unsigned flags, uint64_t sector, uint64_t bytes)
{
    Blk *b = req->blk;
    if (sector > UINT64_MAX / BLOCK_SECTOR || !is_aligned(sector * BLOCK_SECTOR, b->logical) ||
        !is_aligned(bytes, b->logical) ||
        (b->read_only && op != BLOCK_READ && op != BLOCK_FLUSH)) {
        finish(req, S_IOERR);
        return true;
    }
    bool in = op == BLOCK_READ, data = in || op == BLOCK_WRITE;
    req->io = (BlockRequest){
        .op = op,
        .flags = flags | BLOCK_MAY_STALL,
        .offset = sector * BLOCK_SECTOR,
        .bytes = bytes,
        .iov = !data ? NULL : in ? req->chain.in : req->chain.out,
        .iovcnt = !data ? 0 : (int)(in ? req->chain.in_count : req->chain.out_count),
        .done = done,
        .opaque = req,
    };
    if (op != BLOCK_FLUSH && !bytes) {
        finish(req, S_OK);
        return true;
    }
    if (!block_submit(b->user, &req->io)) {
        count(b);
        return false;
    }
    if (req->io.ret < 0 && device_keeps(&b->dev, b->drive, in, req->io.ret)) {
        count(b);
        done(&req->io);
        return false;
    }
    finish(req, status_of(req, req->io.ret));
    return true;
}

/* Discard and write-zeroes: one segment. */
static bool segment(BlkRequest *req, bool zero)
{
    const Blk *b = req->blk;
    uint8_t raw[SEGMENT_SIZE];
    bool offered = zero ? b->write_zeroes : b->discard;
    if (!offered || req->chain.out_bytes != SEGMENT_SIZE) {
        finish(req, offered && req->chain.out_bytes > SEGMENT_SIZE ? S_IOERR : S_UNSUPP);
        return true;
    }
    vring_chain_take(&req->chain, raw, sizeof raw);
    uint64_t sector = ld_le64(raw);
    uint32_t count = ld_le32(raw + 8), flags = ld_le32(raw + 12);
    if (flags & (zero ? ~(uint32_t)SEGMENT_UNMAP : UINT32_MAX) || count > MAX_SECTORS) {
        finish(req, count > MAX_SECTORS ? S_IOERR : S_UNSUPP);
        return true;
    }
    return submit(req, zero ? BLOCK_ZERO : BLOCK_DISCARD,
                  zero && flags & SEGMENT_UNMAP ? BLOCK_MAY_UNMAP : 0, sector,
                  (uint64_t)count * BLOCK_SECTOR);
}

static const char *serial_of(const Blk *b)
{
    return b->serial ? b->serial : b->drive->serial ? b->drive->serial : "";
}

static bool get_id(BlkRequest *req)
{
    char id[ID_SIZE] = {0};
    const char *serial = serial_of(req->blk);
    memcpy(id, serial, strnlen(serial, sizeof id));
    req->written = (uint32_t)vring_chain_fill(&req->chain, 0, id, sizeof id) + 1;
    finish(req, S_OK);
    return true;
}

/* One buffer: true if it is given back already. */
static bool handle(BlkRequest *req)
{
    VringChain *chain = &req->chain;
    uint8_t header[HEADER_SIZE];
    chain->touched = chain->in_bytes; /* the status byte is the last one */
    req->written = (uint32_t)chain->in_bytes;
    req->status = vring_chain_take_last(chain);
    if (!req->status || !vring_chain_take(chain, header, sizeof header)) {
        virtio_break(&req->blk->v, "a request without a header or a status");
        return true;
    }
    uint64_t sector = ld_le64(header + 8);
    uint32_t type = ld_le32(header);
    if (type != T_IN)
        req->written = 1;
    switch (type) {
    case T_IN: return submit(req, BLOCK_READ, 0, sector, chain->in_bytes);
    case T_OUT: return submit(req, BLOCK_WRITE, 0, sector, chain->out_bytes);
    case T_FLUSH: return submit(req, BLOCK_FLUSH, 0, 0, 0);
    case T_GET_ID: return get_id(req);
    case T_DISCARD: return segment(req, false);
    case T_WRITE_ZEROES: return segment(req, true);
    default: break;
    }
    finish(req, S_UNSUPP);
    return true;
}

static void blk_notify(VirtioDevice *v, unsigned queue)
{
    Blk *b = blk_of(v);
    BlkRequest *req = request_get(b, queue);
    do {
        virtio_quiet(v, queue, true);
        block_plug(b->user);
        while (virtio_pop(v, queue, &req->chain))
            if (!handle(req))
                req = request_get(b, queue);
        block_unplug(b->user);
        virtio_flush(v, queue);
    } while (virtio_quiet(v, queue, false));
    request_put(b, req);
}

static void blk_drain(VirtioDevice *v)
{
    Blk *b = blk_of(v);
    pthread_mutex_lock(&b->lock);
    b->draining = true;
    while (b->in_flight) {
        BlkRequest *req = b->kept;
        if (!req) {
            pthread_cond_wait(&b->idle, &b->lock);
            continue;
        }
        b->kept = req->next;
        pthread_mutex_unlock(&b->lock);
        end(req, S_IOERR);
        pthread_mutex_lock(&b->lock);
    }
    b->draining = false;
    pthread_mutex_unlock(&b->lock);
}

static void blk_retry(Device *dev)
{
    Blk *b = (Blk *)dev;
    pthread_mutex_lock(&b->lock);
    BlkRequest *list = NULL, *next;
    for (BlkRequest *req = b->kept; req; req = next) { /* the oldest first */
        next = req->next;
        req->next = list;
        list = req;
    }
    b->kept = NULL;
    pthread_mutex_unlock(&b->lock);
    for (BlkRequest *req = list; req; req = next) {
        next = req->next;
        req->io.flags &= ~(unsigned)BLOCK_MAY_STALL; /* this is the main thread */
        if (block_submit(b->user, &req->io))
            done(&req->io);
    }
}

/* ---- Configuration ------------------------------------------------------------ */

static bool wce_default(const Blk *b)
{
    return g_str_equal(b->write_cache, "auto") ? !b->drive->writethrough
                                               : g_str_equal(b->write_cache, "on");
}

/* A driver that cannot flush gets a disk that need not be (5.2.5.2). */
static void cache_update(Blk *b)
{
    bool up = virtio_status(&b->v) & VIRTIO_FEATURES_OK;
    bool flushes = !up || virtio_has(&b->v, VIRTIO_F(F_FLUSH) | VIRTIO_F(F_CONFIG_WCE));
    block_user_set_writethrough(b->user, !b->wce || !flushes);
}

static void blk_driver_ok(VirtioDevice *v)
{
    cache_update(blk_of(v));
}

static void blk_virtio_reset(VirtioDevice *v)
{
    Blk *b = blk_of(v);
    b->wce = wce_default(b);
    block_user_set_writethrough(b->user, !b->wce);
}

static void blk_read_config(VirtioDevice *v, uint8_t *c)
{
    const Blk *b = blk_of(v);
    uint64_t sectors = block_size(b->user) / BLOCK_SECTOR;
    st_le64(c, sectors);
    st_le32(c + 12, b->queue_size - 2);
    st_le32(c + 20, b->logical);
    c[24] = (uint8_t)(__builtin_ctz(b->physical) - __builtin_ctz(b->logical));
    st_le16(c + 26, (uint16_t)(b->min_io / b->logical));
    st_le32(c + 28, b->opt_io / b->logical);
    c[CONFIG_WCE] = b->wce;
    st_le16(c + 34, (uint16_t)b->queues);
    if (b->discard) {
        st_le32(c + 36, MAX_SECTORS);
        st_le32(c + 40, 1);
        st_le32(c + 44, b->discard_align);
    }
    if (b->write_zeroes) {
        st_le32(c + 48, MAX_SECTORS);
        st_le32(c + 52, 1);
        c[56] = 1;
    }
}

static void blk_write_config(VirtioDevice *v, uint32_t offset, const uint8_t *bytes, uint32_t len)
{
    Blk *b = blk_of(v);
    if (offset > CONFIG_WCE || len <= CONFIG_WCE - offset ||
        !virtio_has(v, VIRTIO_F(F_CONFIG_WCE)))
        return;
    b->wce = bytes[CONFIG_WCE - offset] & 1;
    cache_update(b);
}

static void blk_resized(void *opaque, uint64_t size)
{
    virtio_config_changed(&((Blk *)opaque)->v);
}

static const VirtioType blk_virtio = {
    .name = "virtio-blk",
    .id = 2,
    .driver_ok = blk_driver_ok,
    .drain = blk_drain,
    .reset = blk_virtio_reset,
    .notify = blk_notify,
    .read_config = blk_read_config,
    .write_config = blk_write_config,
};

/* ---- The device ------------------------------------------------------------------ */

static bool power_of_two(const char *name, uint32_t value, GError **error)
{
    return !(value & (value - 1)) || fail_usage(error, "%s=%u is not a power of two", name, value);
}

static bool check_props(const Blk *b, GError **error)
{
    static const char *const words[] = {"auto", "on", "off", NULL};
    if (!b->drive)
        return fail_usage(error, "drive property not set: drive=ID names a -drive or -blockdev");
    if (!g_strv_contains(words, b->write_cache))
        return fail_usage(error, "write-cache=%s: it is auto, on or off", b->write_cache);
    if (b->physical < b->logical)
        return fail_usage(error, "physical_block_size=%u is below logical_block_size=%u",
                          b->physical, b->logical);
    if (b->min_io % b->logical || b->opt_io % b->logical || b->min_io / b->logical > UINT16_MAX)
        return fail_usage(error, "min_io_size and opt_io_size are multiples of logical_block_size");
    return power_of_two("logical_block_size", b->logical, error) &&
           power_of_two("physical_block_size", b->physical, error) &&
           power_of_two("queue-size", b->queue_size, error);
}

static uint64_t blk_features(const Blk *b)
{
    return virtio_props_features(&b->props) | VIRTIO_F(F_SEG_MAX) | VIRTIO_F(F_BLK_SIZE) |
           VIRTIO_F(F_FLUSH) | VIRTIO_F(F_TOPOLOGY) | (b->read_only ? VIRTIO_F(F_RO) : 0) |
           (b->config_wce ? VIRTIO_F(F_CONFIG_WCE) : 0) | (b->queues > 1 ? VIRTIO_F(F_MQ) : 0) |
           (b->discard ? VIRTIO_F(F_DISCARD) : 0) |
           (b->write_zeroes ? VIRTIO_F(F_WRITE_ZEROES) : 0);
}

static bool blk_start(Device *dev, GError **error)
{
    Blk *b = (Blk *)dev;
    if (!check_props(b, error))
        return false;
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->idle, NULL);
    b->user = device_drive_attach(b->drive, "virtio-blk", b->share_rw, &b->read_only, blk_resized, b,
                                  error);
    if (!b->user)
        return false;
    b->discard = b->discard && !b->read_only;
    b->write_zeroes = b->write_zeroes && !b->read_only;
    BlockAdvice advice = block_advice(b->user);
    b->discard_align = MAX(advice.discard_align, b->logical) / BLOCK_SECTOR;
    virtio_init(&b->v, &blk_virtio, dev->env.space, b->queues, b->queue_size, blk_features(b),
                CONFIG_SIZE);
    return true;
}

static void blk_stop(Device *dev)
{
    Blk *b = (Blk *)dev;
    virtio_clear(&b->v);
    block_detach(b->user);
    for (BlkRequest *req = b->free, *next; req; req = next) {
        next = req->next;
        vring_chain_clear(&req->chain);
        g_free(req);
    }
}

static void blk_reset(Device *dev)
{
    virtio_reset(&((Blk *)dev)->v);
}

static void blk_saving(Device *dev)
{
    virtio_saving(&((Blk *)dev)->v);
}

static bool blk_loaded(Device *dev, GError **error)
{
    Blk *b = (Blk *)dev;
    b->wce &= 1;
    return virtio_loaded(&b->v, error);
}

static VirtioDevice *blk_face(Device *dev)
{
    return &((Blk *)dev)->v;
}

static const StateField blk_saved[] = {
    VIRTIO_SAVED(Blk, v),
    STATE_FIELD(Blk, wce, 1),
    STATE_END,
};

#define AT(field) offsetof(Blk, field)
static const DeviceProp blk_props[] = {
    {"drive", DEVICE_DRIVE, AT(drive), NULL, 0, 0, "the -drive or -blockdev to show"},
    {"serial", DEVICE_STRING, AT(serial), NULL, 0, 0, "serial number, 20 characters at most"},
    {"num-queues", DEVICE_U32, AT(queues), "1", 1, VIRTIO_MAX_QUEUES, "request queues"},
    {"queue-size", DEVICE_U32, AT(queue_size), "256", 4, VRING_MAX_SIZE, "entries of a queue"},
    {"logical_block_size", DEVICE_U32, AT(logical), "512", 512, 32768, "bytes of a sector"},
    {"physical_block_size", DEVICE_U32, AT(physical), "512", 512, 2097152, "bytes written at once"},
    {"min_io_size", DEVICE_U32, AT(min_io), NULL, 0, 0, "smallest good request, in bytes"},
    {"opt_io_size", DEVICE_U32, AT(opt_io), NULL, 0, 0, "best request, in bytes"},
    {"discard", DEVICE_BOOL, AT(discard), "on", 0, 0, "offer discard"},
    {"write-zeroes", DEVICE_BOOL, AT(write_zeroes), "on", 0, 0, "offer write-zeroes"},
    {"config-wce", DEVICE_BOOL, AT(config_wce), "on", 0, 0, "the guest may turn the cache off"},
    {"write-cache", DEVICE_STRING, AT(write_cache), "auto", 0, 0, "on, off, or auto: as the drive's"},
    {"share-rw", DEVICE_BOOL, AT(share_rw), "off", 0, 0, "others may write to the disk too"},
    {"bootindex", DEVICE_U32, AT(bootindex), "0xffffffff", 0, 0, "place in the order of booting"},
    VIRTIO_PROPS(Blk, props),
    {.name = NULL},
};

const DeviceType virtio_blk_type = {
    .name = "virtio-blk-device",
    .summary = "disk",
    .size = sizeof(Blk),
    .props = blk_props,
    .saved = blk_saved,
    .slot = "virtio",
    .retry = blk_retry,
    .start = blk_start,
    .reset = blk_reset,
    .stop = blk_stop,
    .saving = blk_saving,
    .loaded = blk_loaded,
    .virtio = blk_face,
};
