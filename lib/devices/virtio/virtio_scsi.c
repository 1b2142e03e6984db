/* SPDX-License-Identifier: MIT */
/*
 * virtio-scsi (Virtio 1.2, 5.6): a SCSI controller. Queue 0 takes task management, queue 1 carries
 * events, the others commands. Disks (lib/devices/scsi) are plugged into it, also while it runs.
 *
 * Each queue's thread takes all commands there are and hands them to their units in one plug; what
 * ends later is given back by the thread it ends on. A command is in a list as long as it is in flight,
 * so that task management finds it.
 *
 * Left out: protection information (T10_PI), commands that move data both ways, asynchronous
 * notification by the AN commands (answered with: none).
 */
#include "devices/scsi/scsi.h"
#include "devices/virtio/virtio_props.h"

#include "base/bytes.h"
#include "base/error.h"

#include <string.h>

enum { F_HOTPLUG = 1, F_CHANGE = 2 };
enum { Q_CONTROL = 0, Q_EVENT = 1, Q_COMMANDS = 2 };
enum {
    S_OK = 0,
    S_OVERRUN = 1,
    S_ABORTED = 2,
    S_BAD_TARGET = 3,
    S_RESET = 4,
    S_FAILURE = 9,
    S_SUCCEEDED = 10,
    S_REJECTED = 11,
    S_INCORRECT_LUN = 12,
};
enum { T_TMF = 0, T_AN_QUERY = 1, T_AN_SUBSCRIBE = 2 };
enum {
    TMF_ABORT_TASK = 0,
    TMF_ABORT_TASK_SET = 1,
    TMF_CLEAR_TASK_SET = 3,
    TMF_NEXUS_RESET = 4,
    TMF_UNIT_RESET = 5,
    TMF_QUERY_TASK = 6,
    TMF_QUERY_TASK_SET = 7,
};
enum { E_NONE = 0, E_TRANSPORT_RESET = 1, E_PARAM_CHANGE = 3, RESET_RESCAN = 1, RESET_REMOVED = 2 };
#define E_MISSED 0x80000000u
enum {
    CONFIG_SIZE = 36,
    CONFIG_SENSE = 20,
    CONFIG_CDB = 24,
    HEAD_SIZE = 19,     /* of a command, before the CDB */
    ANSWER_SIZE = 12,   /* before the sense data */
    SENSE_DEFAULT = 96,
    SENSE_MAX = 252,
    CDB_MAX = 255,
    EVENT_SIZE = 16,
    EVENTS_WAITING = 64,
    QUEUE_SIZE = 256,
};

typedef struct VirtioScsi VirtioScsi;

typedef struct Command {
    VringChain chain;
    ScsiRequest scsi;
    VirtioScsi *s;
    struct Command *next, *prev; /* in flight, or free (next) */
    struct iovec *iov;           /* for data to the guest */
    unsigned iov_room;
    uint64_t tag, bytes;
    uint32_t sense_size;
    uint16_t queue, lun;
    uint8_t target, aborted;     /* aborted: the response it gets, or 0 */
} Command;

typedef struct {
    uint32_t event, reason;
    uint16_t target, lun;
} Event;

struct VirtioScsi {
    Device dev;
    VirtioDevice v;
    VirtioProps props;
    uint32_t queues, queue_size, cmd_per_lun, max_sectors;
    bool hotplug, param_change;

    ScsiBus bus;
    bool bus_ready, running;

    uint32_t sense_size, cdb_size; /* atomic */

    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t idle;
    Command *free, *flight; /* flight is a list both ways */
    unsigned waiters;
    unsigned event_count;
    Event events[EVENTS_WAITING];
    uint8_t missed;
};

static VirtioScsi *scsi_of(VirtioDevice *v)
{
    return (VirtioScsi *)(void *)((char *)v - offsetof(VirtioScsi, v));
}

/* ---- Events --------------------------------------------------------------------------------- */

static void put_lun(uint8_t *p, unsigned target, unsigned lun)
{
    memset(p, 0, 8);
    p[0] = 1;
    p[1] = (uint8_t)target;
    p[2] = (uint8_t)(lun < 256 ? 0 : 0x40 | lun >> 8);
    p[3] = (uint8_t)lun;
}

/* Gives the driver what waits, as far as it has buffers for it. Under the lock. */
static void events_flush(VirtioScsi *s)
{
    VringChain chain = {0};
    bool any = false, more = true;
    while (more && (s->event_count || s->missed)) {
        if (!virtio_pop(&s->v, Q_EVENT, &chain)) {
            more = virtio_quiet(&s->v, Q_EVENT, false);
            continue;
        }
        uint8_t out[EVENT_SIZE] = {0};
        Event e = s->event_count ? s->events[0] : (Event){0};
        st_le32(out, e.event | (s->missed ? E_MISSED : 0));
        if (e.event)
            put_lun(out + 4, e.target, e.lun);
        st_le32(out + 12, e.reason);
        size_t n = vring_chain_fill(&chain, 0, out, sizeof out);
        virtio_push(&s->v, Q_EVENT, &chain, (uint32_t)n);
        any = true;
        s->missed = 0;
        if (s->event_count)
            memmove(s->events, s->events + 1, --s->event_count * sizeof s->events[0]);
    }
    if (any)
        virtio_flush(&s->v, Q_EVENT);
    vring_chain_clear(&chain);
}

static void event_send(VirtioScsi *s, uint64_t feature, uint32_t event, uint32_t reason,
                       const ScsiDisk *d)
{
    /* A controller that is out of its slot leaves the guest's memory alone. */
    if (!s->running || !s->v.transport || !(virtio_status(&s->v) & VIRTIO_DRIVER_OK) ||
        !virtio_has(&s->v, feature))
        return;
    pthread_mutex_lock(&s->lock);
    if (s->event_count < EVENTS_WAITING)
        s->events[s->event_count++] = (Event){ event, reason, (uint16_t)scsi_disk_target(d),
                                               (uint16_t)scsi_disk_lun(d) };
    else
        s->missed = 1;
    events_flush(s);
    pthread_mutex_unlock(&s->lock);
}

/* A disk was resized, or its disc changed. */
static void on_attention(ScsiBus *bus, const ScsiDisk *d, uint16_t code)
{
    VirtioScsi *s = (VirtioScsi *)(void *)((char *)bus - offsetof(VirtioScsi, bus));
    uint32_t reason = code >> 8 | (code & 0xffu) << 8;
    event_send(s, VIRTIO_F(F_CHANGE), E_PARAM_CHANGE, reason, d);
}

static void on_pause(ScsiBus *bus, bool pause)
{
    VirtioScsi *s = (VirtioScsi *)(void *)((char *)bus - offsetof(VirtioScsi, bus));
    if (!s->running)
        return;
    if (pause)
        virtio_pause(&s->v);
    else
        virtio_resume(&s->v);
}

/* ---- Commands ------------------------------------------------------------------------------- */

static Command *command_get(VirtioScsi *s, unsigned queue)
{
    pthread_mutex_lock(&s->lock);
    Command *c = s->free;
    if (c)
        s->free = c->next;
    pthread_mutex_unlock(&s->lock);
    /* There are never more than the queues have entries. */
    if (!c)
        c = g_new0(Command, 1);
    c->s = s;
    c->queue = (uint16_t)queue;
    return c;
}

static void command_put(VirtioScsi *s, Command *c)
{
    scsi_request_clear(&c->scsi);
    pthread_mutex_lock(&s->lock);
    c->next = s->free;
    s->free = c;
    pthread_mutex_unlock(&s->lock);
}

static void flight_add(VirtioScsi *s, Command *c)
{
    pthread_mutex_lock(&s->lock);
    c->aborted = 0;
    c->scsi.cancelled = false;
    c->prev = NULL;
    c->next = s->flight;
    if (s->flight)
        s->flight->prev = c;
    s->flight = c;
    pthread_mutex_unlock(&s->lock);
}

static void flight_remove(VirtioScsi *s, Command *c)
{
    pthread_mutex_lock(&s->lock);
    if (c->prev)
        c->prev->next = c->next;
    else
        s->flight = c->next;
    if (c->next)
        c->next->prev = c->prev;
    if (s->waiters)
        pthread_cond_broadcast(&s->idle);
    pthread_mutex_unlock(&s->lock);
}

/* Gives the buffer back with an answer; moved bytes of data are behind it. */
static void answer(Command *c, uint8_t response)
{
    const ScsiRequest *r = &c->scsi;
    uint8_t out[ANSWER_SIZE + SENSE_MAX] = {0};
    bool ok = response == S_OK;
    uint32_t sense = ok ? MIN(r->sense_len, c->sense_size) : 0;
    uint64_t moved = ok ? r->moved : 0;
    st_le32(out, sense);
    st_le32(out + 4, (uint32_t)(c->bytes - moved));
    out[10] = ok ? r->status : 0;
    out[11] = response;
    memcpy(out + ANSWER_SIZE, r->sense, sense);
    uint32_t size = ANSWER_SIZE + c->sense_size;
    vring_chain_fill(&c->chain, 0, out, size);
    virtio_push(&c->s->v, c->queue, &c->chain,
                size + (uint32_t)(r->to_guest ? moved : 0));
}

static uint8_t response_of(const Command *c)
{
    uint8_t aborted = __atomic_load_n(&c->aborted, __ATOMIC_ACQUIRE);
    return aborted ? aborted : c->scsi.overrun ? S_OVERRUN : S_OK;
}

/* On whatever thread it ended. */
static void done(ScsiRequest *req)
{
    Command *c = (Command *)(void *)((char *)req - offsetof(Command, scsi));
    VirtioScsi *s = c->s;
    answer(c, response_of(c));
    virtio_flush(&s->v, c->queue);
    scsi_request_clear(req);
    pthread_mutex_lock(&s->lock);
    if (c->prev)
        c->prev->next = c->next;
    else
        s->flight = c->next;
    if (c->next)
        c->next->prev = c->prev;
    c->next = s->free;
    s->free = c;
    if (s->waiters)
        pthread_cond_broadcast(&s->idle);
    pthread_mutex_unlock(&s->lock);
}

/* The writable part behind the answer. */
static void data_to_guest(Command *c, uint64_t skip)
{
    const VringChain *chain = &c->chain;
    unsigned n = 0;
    if (c->iov_room < chain->in_count) {
        c->iov_room = chain->in_count;
        c->iov = g_renew(struct iovec, c->iov, c->iov_room);
    }
    for (unsigned i = 0; i < chain->in_count; i++) {
        struct iovec piece = chain->in[i];
        size_t off = MIN(skip, piece.iov_len);
        skip -= off;
        if (off < piece.iov_len)
            c->iov[n++] = (struct iovec){ (uint8_t *)piece.iov_base + off, piece.iov_len - off };
    }
    c->scsi.iov = c->iov;
    c->scsi.iovcnt = n;
}

/* Reads a LUN (5.6.6.1); false if it is none of a disk's. */
static bool get_lun(const uint8_t *p, unsigned *target, unsigned *lun)
{
    *target = p[1];
    *lun = (p[2] & 0x3fu) << 8 | p[3];
    return p[0] == 1 && (p[2] >> 6 == 1 || !p[2]);
}

/* Fills in the command from the buffer; false if it has no room for head and answer. */
static bool parse(Command *c, uint8_t head[HEAD_SIZE])
{
    uint8_t cdb[CDB_MAX];
    VirtioScsi *s = c->s;
    VringChain *chain = &c->chain;
    uint32_t cdb_size = __atomic_load_n(&s->cdb_size, __ATOMIC_RELAXED);
    c->sense_size = __atomic_load_n(&s->sense_size, __ATOMIC_RELAXED);
    uint64_t size = ANSWER_SIZE + c->sense_size;
    if (chain->in_bytes < size || !vring_chain_take(chain, head, HEAD_SIZE) ||
        !vring_chain_take(chain, cdb, cdb_size))
        return false;
    ScsiRequest *r = &c->scsi;
    memset(r->cdb, 0, sizeof r->cdb);
    memcpy(r->cdb, cdb, MIN(cdb_size, sizeof r->cdb));
    r->done = done;
    r->to_guest = chain->in_bytes > size;
    r->bytes = c->bytes = r->to_guest ? chain->in_bytes - size : chain->out_bytes;
    if (r->to_guest) {
        data_to_guest(c, size);
    } else {
        r->iov = chain->out;
        r->iovcnt = chain->out_count;
    }
    c->tag = ld_le64(head + 8);
    chain->touched = chain->in_bytes;
    return true;
}

/* Plugs the user of a command's disk in place of the one before. */
static void plug_switch(BlockUser **plugged, BlockUser *user)
{
    if (*plugged == user)
        return;
    if (*plugged)
        block_unplug(*plugged);
    if (user)
        block_plug(user);
    *plugged = user;
}

/* One buffer: true if it is given back already. */
static bool handle(Command *c, BlockUser **plugged)
{
    uint8_t head[HEAD_SIZE];
    VirtioScsi *s = c->s;
    unsigned target, lun;
    bool exists;
    if (!parse(c, head)) {
        virtio_break(&s->v, "a command without room for its head or its answer");
        return true;
    }
    bool both = c->scsi.to_guest && c->chain.out_bytes, sane = get_lun(head, &target, &lun);
    ScsiDisk *d = sane ? scsi_bus_find(&s->bus, target, lun, &exists) : NULL;
    c->scsi.moved = 0;
    if (both || !sane || (!d && !exists)) {
        answer(c, both ? S_FAILURE : !sane ? S_INCORRECT_LUN : S_BAD_TARGET);
        return true;
    }
    if (!d) {
        scsi_submit_absent(&s->bus, target, &c->scsi);
        answer(c, c->scsi.overrun ? S_OVERRUN : S_OK);
        return true;
    }
    c->target = (uint8_t)target;
    c->lun = (uint16_t)lun;
    plug_switch(plugged, scsi_disk_user(d));
    flight_add(s, c);
    if (!scsi_submit(d, &c->scsi))
        return false;
    answer(c, response_of(c));
    flight_remove(s, c);
    return true;
}

static void notify_commands(VirtioScsi *s, unsigned queue)
{
    VirtioDevice *v = &s->v;
    Command *c = command_get(s, queue);
    do {
        BlockUser *plugged = NULL;
        virtio_quiet(v, queue, true);
        while (virtio_pop(v, queue, &c->chain))
            if (!handle(c, &plugged))
                c = command_get(s, queue);
        plug_switch(&plugged, NULL);
        virtio_flush(v, queue);
    } while (virtio_quiet(v, queue, false));
    command_put(s, c);
}

/* ---- Task management ------------------------------------------------------------------------ */

typedef struct {
    unsigned target, lun;
    bool all_luns, one; /* all units of the target; the command with that tag alone */
    uint64_t tag;
} Which;

static bool is_meant(const Command *c, const Which *w)
{
    return c->target == w->target && (w->all_luns || c->lun == w->lun) &&
           (!w->one || c->tag == w->tag);
}

/* Under the lock. */
static bool any_meant(const VirtioScsi *s, const Which *w)
{
    for (const Command *c = s->flight; c; c = c->next)
        if (is_meant(c, w))
            return true;
    return false;
}

/* Has these commands end, and waits until they have. */
static void abort_commands(VirtioScsi *s, const Which *w, uint8_t response)
{
    pthread_mutex_lock(&s->lock);
    for (Command *c = s->flight; c; c = c->next) {
        if (!is_meant(c, w))
            continue;
        __atomic_store_n(&c->aborted, response, __ATOMIC_RELEASE);
        scsi_cancel(&c->scsi);
    }
    s->waiters++;
    /* Others that come meanwhile to the same unit are waited for too, but do not come without end:
       the driver waits for the answer. */
    while (any_meant(s, w) && !__atomic_load_n(&s->v.queues[Q_CONTROL].paused, __ATOMIC_RELAXED))
        pthread_cond_wait(&s->idle, &s->lock);
    s->waiters--;
    pthread_mutex_unlock(&s->lock);
}

static void reset_unit(ScsiDisk *d, void *opaque)
{
    const Which *w = opaque;
    if (w->all_luns || scsi_disk_lun(d) == w->lun)
        scsi_disk_reset_unit(d);
}

static bool query(VirtioScsi *s, const Which *w)
{
    pthread_mutex_lock(&s->lock);
    bool found = any_meant(s, w);
    pthread_mutex_unlock(&s->lock);
    return found;
}

static uint8_t tmf(VirtioScsi *s, const uint8_t request[24])
{
    uint32_t what = ld_le32(request + 4);
    Which w = { .tag = ld_le64(request + 16), .all_luns = what == TMF_NEXUS_RESET,
                .one = what == TMF_ABORT_TASK || what == TMF_QUERY_TASK };
    bool exists;
    if (!get_lun(request + 8, &w.target, &w.lun))
        return S_INCORRECT_LUN;
    const ScsiDisk *d = scsi_bus_find(&s->bus, w.target, w.lun, &exists);
    if (!exists || (!d && !w.all_luns))
        return exists ? S_INCORRECT_LUN : S_BAD_TARGET;
    switch (what) {
    case TMF_ABORT_TASK:
    case TMF_ABORT_TASK_SET:
    case TMF_CLEAR_TASK_SET:
        abort_commands(s, &w, S_ABORTED);
        return S_OK;
    case TMF_NEXUS_RESET:
    case TMF_UNIT_RESET:
        abort_commands(s, &w, S_RESET);
        scsi_bus_each(&s->bus, (int)w.target, reset_unit, &w);
        return S_OK;
    case TMF_QUERY_TASK:
    case TMF_QUERY_TASK_SET: return query(s, &w) ? S_SUCCEEDED : S_OK;
    default: return S_REJECTED;
    }
}

/* The answer to a control request, in out; its length, or 0 if it makes no sense. */
static size_t control(VirtioScsi *s, VringChain *chain, uint8_t out[5])
{
    uint8_t request[24];
    uint64_t all = chain->out_bytes;
    memset(out, 0, 5);
    if (!vring_chain_take(chain, request, 4))
        return 0;
    switch (ld_le32(request)) {
    case T_TMF:
        if (!vring_chain_take(chain, request + 4, 20) || chain->in_bytes < 1)
            return 0;
        out[0] = tmf(s, request);
        return 1;
    case T_AN_QUERY:
    case T_AN_SUBSCRIBE: /* none of the events */
        return all < 16 || chain->in_bytes < 5 ? 0 : 5;
    default: return 0;
    }
}

static void notify_control(VirtioScsi *s)
{
    VirtioDevice *v = &s->v;
    VringChain chain = {0};
    do {
        while (virtio_pop(v, Q_CONTROL, &chain)) {
            uint8_t out[5];
            size_t n = control(s, &chain, out);
            if (!n) {
                virtio_break(v, "a control request that makes no sense");
                break;
            }
            vring_chain_fill(&chain, 0, out, n);
            virtio_push(v, Q_CONTROL, &chain, (uint32_t)n);
            virtio_flush(v, Q_CONTROL);
        }
    } while (virtio_quiet(v, Q_CONTROL, false));
    vring_chain_clear(&chain);
}

static void scsi_notify(VirtioDevice *v, unsigned queue)
{
    VirtioScsi *s = scsi_of(v);
    if (queue == Q_CONTROL) {
        notify_control(s);
    } else if (queue == Q_EVENT) {
        pthread_mutex_lock(&s->lock);
        events_flush(s);
        pthread_mutex_unlock(&s->lock);
    } else {
        notify_commands(s, queue);
    }
}

/* ---- The virtio device ---------------------------------------------------------------------- */

static void scsi_drain(VirtioDevice *v)
{
    VirtioScsi *s = scsi_of(v);
    pthread_mutex_lock(&s->lock);
    s->waiters++;
    while (s->flight)
        pthread_cond_wait(&s->idle, &s->lock);
    s->waiters--;
    pthread_mutex_unlock(&s->lock);
}

static void scsi_virtio_reset(VirtioDevice *v)
{
    VirtioScsi *s = scsi_of(v);
    pthread_mutex_lock(&s->lock);
    s->event_count = 0;
    s->missed = 0;
    pthread_mutex_unlock(&s->lock);
    __atomic_store_n(&s->sense_size, SENSE_DEFAULT, __ATOMIC_RELAXED);
    __atomic_store_n(&s->cdb_size, SCSI_CDB, __ATOMIC_RELAXED);
}

static void scsi_read_config(VirtioDevice *v, uint8_t *c)
{
    const VirtioScsi *s = scsi_of(v);
    st_le32(c, s->queues);
    st_le32(c + 4, s->queue_size - 2);
    st_le32(c + 8, s->max_sectors);
    st_le32(c + 12, s->cmd_per_lun);
    st_le32(c + 16, EVENT_SIZE);
    st_le32(c + CONFIG_SENSE, __atomic_load_n(&s->sense_size, __ATOMIC_RELAXED));
    st_le32(c + CONFIG_CDB, __atomic_load_n(&s->cdb_size, __ATOMIC_RELAXED));
    st_le16(c + 30, SCSI_TARGETS - 1);
    st_le32(c + 32, SCSI_LUNS - 1);
}

/* The two that can be written, whole or in parts; sizes that make no sense are ignored. */
static void scsi_write_config(VirtioDevice *v, uint32_t offset, const uint8_t *bytes, uint32_t len)
{
    VirtioScsi *s = scsi_of(v);
    uint8_t c[VIRTIO_CONFIG_MAX] = {0};
    scsi_read_config(v, c);
    memcpy(c + offset, bytes, len);
    uint32_t sense = ld_le32(c + CONFIG_SENSE), cdb = ld_le32(c + CONFIG_CDB);
    if (sense <= SENSE_MAX)
        __atomic_store_n(&s->sense_size, sense, __ATOMIC_RELAXED);
    if (cdb <= CDB_MAX)
        __atomic_store_n(&s->cdb_size, cdb, __ATOMIC_RELAXED);
}

static const VirtioType scsi_virtio = {
    .name = "virtio-scsi",
    .id = 8,
    .drain = scsi_drain,
    .reset = scsi_virtio_reset,
    .notify = scsi_notify,
    .read_config = scsi_read_config,
    .write_config = scsi_write_config,
};

/* ---- The device ----------------------------------------------------------------------------- */

/* Places are there before start, as disks are plugged in before. */
static ScsiBus *bus_of(Device *dev)
{
    VirtioScsi *s = (VirtioScsi *)dev;
    if (!s->bus_ready)
        scsi_bus_init(&s->bus, SCSI_TARGETS);
    s->bus_ready = true;
    return &s->bus;
}

static bool scsi_start(Device *dev, GError **error)
{
    VirtioScsi *s = (VirtioScsi *)dev;
    bus_of(dev)->attention = on_attention;
    s->bus.pause = on_pause;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->idle, NULL);
    if (s->queue_size & (s->queue_size - 1))
        return fail_usage(error, "virtqueue_size=%u is not a power of two", s->queue_size);
    virtio_init(&s->v, &scsi_virtio, dev->env.space, s->queues + Q_COMMANDS, s->queue_size,
                virtio_props_features(&s->props) | (s->hotplug ? VIRTIO_F(F_HOTPLUG) : 0) |
                    (s->param_change ? VIRTIO_F(F_CHANGE) : 0),
                CONFIG_SIZE);
    s->running = true;
    return true;
}

static void scsi_stop(Device *dev)
{
    VirtioScsi *s = (VirtioScsi *)dev;
    s->running = false;
    virtio_clear(&s->v);
    for (Command *c = s->free, *next; c; c = next) {
        next = c->next;
        vring_chain_clear(&c->chain);
        g_free(c->iov);
        g_free(c);
    }
    s->free = NULL;
}

static void scsi_discard(Device *dev)
{
    VirtioScsi *s = (VirtioScsi *)dev;
    if (s->bus_ready)
        scsi_bus_clear(&s->bus);
}

static void scsi_reset(Device *dev)
{
    virtio_reset(&((VirtioScsi *)dev)->v);
}

/* Events that wait are not kept: the driver looks for itself when it hears that it missed some. */
static void scsi_saving(Device *dev)
{
    VirtioScsi *s = (VirtioScsi *)dev;
    virtio_saving(&s->v);
    s->missed |= s->event_count > 0;
}

static bool scsi_loaded(Device *dev, GError **error)
{
    VirtioScsi *s = (VirtioScsi *)dev;
    s->event_count = 0;
    s->missed &= 1;
    if (s->sense_size > SENSE_MAX || s->cdb_size > CDB_MAX)
        return fail(error, "the saved sizes make no sense");
    return virtio_loaded(&s->v, error);
}

static VirtioDevice *scsi_face(Device *dev)
{
    return &((VirtioScsi *)dev)->v;
}

static bool scsi_plug(Device *dev, Device *child, GError **error)
{
    return scsi_bus_plug(bus_of(dev), child, error);
}

static bool scsi_plugged(const Device *dev)
{
    return scsi_bus_full(bus_of((Device *)dev));
}

static void scsi_inserted(Device *dev, Device *child)
{
    event_send((VirtioScsi *)dev, VIRTIO_F(F_HOTPLUG), E_TRANSPORT_RESET, RESET_RESCAN,
               (const ScsiDisk *)child);
}

/* A SCSI disk can go at any time, and the guest is told after it has. */
static bool scsi_eject(Device *dev, Device *child, GError **error)
{
    if (child->env.ejected)
        child->env.ejected(child->env.ejected_opaque, child);
    return true;
}

static void scsi_unplug(Device *dev, Device *child)
{
    VirtioScsi *s = (VirtioScsi *)dev;
    if (s->running)
        virtio_pause(&s->v);
    scsi_bus_unplug(&s->bus, child);
    if (s->running) {
        virtio_resume(&s->v);
        event_send(s, VIRTIO_F(F_HOTPLUG), E_TRANSPORT_RESET, RESET_REMOVED,
                   (const ScsiDisk *)child);
    }
}

static const StateField scsi_saved[] = {
    VIRTIO_SAVED(VirtioScsi, v),
    STATE_FIELD(VirtioScsi, sense_size, 1),
    STATE_FIELD(VirtioScsi, cdb_size, 1),
    STATE_FIELD(VirtioScsi, missed, 1),
    STATE_END,
};

#define AT(field) offsetof(VirtioScsi, field)
static const DeviceProp scsi_props[] = {
    {"num_queues", DEVICE_U32, AT(queues), "1", 1, VIRTIO_MAX_QUEUES - Q_COMMANDS,
     "queues of commands"},
    {"virtqueue_size", DEVICE_U32, AT(queue_size), "256", 4, VRING_MAX_SIZE, "entries of a queue"},
    {"cmd_per_lun", DEVICE_U32, AT(cmd_per_lun), "128", 1, 0, "commands to a unit at once"},
    {"max_sectors", DEVICE_U32, AT(max_sectors), "65535", 1, 0, "longest transfer, of 512 bytes"},
    {"hotplug", DEVICE_BOOL, AT(hotplug), "on", 0, 0, "tell the guest of disks plugged in and out"},
    {"param_change", DEVICE_BOOL, AT(param_change), "on", 0, 0, "tell the guest of resized disks"},
    VIRTIO_PROPS(VirtioScsi, props),
    {.name = NULL},
};

const DeviceType virtio_scsi_type = {
    .name = "virtio-scsi-device",
    .summary = "SCSI controller: scsi-hd and scsi-cd are plugged into it",
    .size = sizeof(VirtioScsi),
    .props = scsi_props,
    .saved = scsi_saved,
    .slot = "virtio",
    .offers = "scsi",
    .start = scsi_start,
    .reset = scsi_reset,
    .stop = scsi_stop,
    .discard = scsi_discard,
    .saving = scsi_saving,
    .loaded = scsi_loaded,
    .virtio = scsi_face,
    .plug = scsi_plug,
    .plugged = scsi_plugged,
    .inserted = scsi_inserted,
    .eject = scsi_eject,
    .unplug = scsi_unplug,
};
