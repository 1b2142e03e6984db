/* SPDX-License-Identifier: MIT */
/*
 * virtio-fs (Virtio 1.2, 5.11): a directory shared by another process, fsd or a virtiofsd, over vhost-user.
 * What the guest asks goes there by rings of our own (vhost/front.h), and what comes back is marked as
 * written before the guest sees it.
 *
 * A queue's thread hands its buffers over and looks for answers for a little while, as most come at once; the
 * collector waits for the others, and for the other process to go. Then, if the chardev says that another may
 * come (reconnect=), it connects to that and gives it what is under way again, while the guest's other requests
 * wait in its ring. Else, and when it is refused too often, all that is under way, and all that follows, ends with
 * ENOTCONN; so does what is under way when a guest that has no such process is reset or saved.
 *
 * Locks: talk before those of the queues.
 */
#include "devices/virtio/virtio_props.h"

#include "base/bytes.h"
#include "base/error.h"
#include "vhost/front.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    TAG = 36, MAX_REQUEST_QUEUES = 32, LOOK_US = 30, HEAD_IN = 40, HEAD_OUT = 16,
    GRACE_MS = 1000, /* for a new process to come, before what is under way is refused */
    LAST_WAIT_S = 2, /* for each answer to what is said at the end */
};

enum { UP, AWAY, GONE }; /* the other process: there, waited for, given up */

typedef struct Request {
    VringChain chain;
    struct Request *next; /* of those under way, or spare */
    struct Request **link;
} Request;

typedef struct {
    GMutex lock;       /* of all of this, and of the front end's queue */
    Request *under_way, *spare;
    bool full;         /* the ring beyond had no room, or nobody has it: try again later */
} FsQueue;

typedef struct {
    Device dev;
    VirtioDevice v;
    VirtioProps props;
    Chardev *chardev;
    char *tag;
    uint32_t request_queues, queue_size;

    unsigned queue_count;
    FsQueue *queues;
    VhostFront *front;
    GThread *collector;
    int stop, cancel; /* eventfds for the collector: it ends; it does not wait for a new process's first word */
    atomic_bool broken; /* the other process wrote nonsense to a ring */
    GMutex talk;        /* of what follows, and of what is said to the other process but while trying is set */
    GCond changed;
    atomic_int state;   /* read under a queue's lock, too: what is submitted then is put into the new ring */
    bool trying;        /* the collector talks to a new process */
    bool complained;    /* of this one, or one like it */
    bool ending;
    unsigned refused;   /* attempts in a row */
} Fs;

static Fs *fs_of(VirtioDevice *v)
{
    return (Fs *)(void *)((char *)v - offsetof(Fs, v));
}

/* ---- Requests, under the queue's lock ------------------------------------------ */

static Request *request_new(FsQueue *q)
{
    Request *r = q->spare;
    if (!r)
        return g_new0(Request, 1);
    q->spare = r->next;
    return r;
}

static void request_keep(FsQueue *q, Request *r)
{
    r->next = q->spare;
    q->spare = r;
}

static void link_request(FsQueue *q, Request *r)
{
    r->next = q->under_way;
    r->link = &q->under_way;
    if (r->next)
        r->next->link = &r->next;
    q->under_way = r;
}

static void unlink_request(Request *r)
{
    *r->link = r->next;
    if (r->next)
        r->next->link = r->link;
}

/* The answer of nobody: FUSE's head with an error. */
static void refuse(Fs *fs, unsigned queue, Request *r)
{
    uint8_t in[HEAD_IN] = { 0 }, out[HEAD_OUT];
    size_t have = 0;
    for (unsigned i = 0; i < r->chain.out_count && have < sizeof in; i++) {
        size_t n = MIN(r->chain.out[i].iov_len, sizeof in - have);
        memcpy(in + have, r->chain.out[i].iov_base, n);
        have += n;
    }
    st_le32(out, HEAD_OUT);
    st_le32(out + 4, (uint32_t)-ENOTCONN);
    memcpy(out + 8, in + 8, 8);
    virtio_push(&fs->v, queue, &r->chain, (uint32_t)vring_chain_fill(&r->chain, 0, out, sizeof out));
}

typedef struct {
    Fs *fs;
    unsigned queue;
} Place;

static void answered(void *opaque, void *cookie, uint32_t written)
{
    const Place *place = opaque;
    Request *r = cookie;
    unlink_request(r);
    virtio_push(&place->fs->v, place->queue, &r->chain, (uint32_t)MIN(written, r->chain.in_bytes));
    request_keep(&place->fs->queues[place->queue], r);
}

static bool collect(Fs *fs, unsigned queue)
{
    Place place = { fs, queue };
    int n = vhost_front_collect(fs->front, queue, answered, &place);
    if (n < 0 && !atomic_exchange(&fs->broken, true))
        eventfd_write(vhost_front_event(fs->front, queue), 1); /* for the collector */
    if (n > 0)
        virtio_flush(&fs->v, queue);
    return n > 0;
}

/* ---- The guest's side ----------------------------------------------------------- */

static void hand_over(Fs *fs, unsigned queue)
{
    FsQueue *q = &fs->queues[queue];
    for (;;) {
        int state = atomic_load(&fs->state);
        if (state == AWAY) {
            q->full = true;
            return;
        }
        Request *r = request_new(q);
        if (!virtio_pop(&fs->v, queue, &r->chain)) {
            request_keep(q, r);
            return;
        }
        if (state == GONE || atomic_load(&fs->broken)) {
            refuse(fs, queue, r);
            request_keep(q, r);
            virtio_flush(&fs->v, queue);
            continue;
        }
        const VringChain *c = &r->chain;
        if (!vhost_front_submit(fs->front, queue, c->out, c->out_count, c->in, c->in_count, r)) {
            virtio_unpop(&fs->v, queue, c);
            request_keep(q, r);
            q->full = true;
            return;
        }
        link_request(q, r);
    }
}

static void fs_notify(VirtioDevice *v, unsigned queue)
{
    Fs *fs = fs_of(v);
    FsQueue *q = &fs->queues[queue];
    g_mutex_lock(&q->lock);
    int64_t end = 0, now;
    vhost_front_wants(fs->front, queue, false);
    do {
        q->full = false;
        virtio_quiet(v, queue, true);
        hand_over(fs, queue);
        bool some = collect(fs, queue);
        now = g_get_monotonic_time();
        if (!end || some)
            end = now + LOOK_US;
        /* who has no room stays quiet: the collector calls again */
    } while ((q->under_way && !q->full && now < end) || (!q->full && virtio_quiet(v, queue, false)) ||
             vhost_front_wants(fs->front, queue, true));
    g_mutex_unlock(&q->lock);
}

static void fs_read_config(VirtioDevice *v, uint8_t *config)
{
    const Fs *fs = fs_of(v);
    memcpy(config, fs->tag, MIN(strlen(fs->tag), TAG));
    st_le32(config + TAG, fs->request_queues);
}

/* ---- The other process's side ---------------------------------------------------- */

static void collect_all(Fs *fs, unsigned queue)
{
    FsQueue *q = &fs->queues[queue];
    eventfd_t n;
    eventfd_read(vhost_front_event(fs->front, queue), &n);
    g_mutex_lock(&q->lock);
    do
        collect(fs, queue);
    while (vhost_front_wants(fs->front, queue, true));
    bool wake = q->full;
    q->full = false;
    g_mutex_unlock(&q->lock);
    if (wake)
        virtio_wake(&fs->v, queue);
}

/* With talk: what is under way ends with ENOTCONN. */
static void refuse_all(Fs *fs)
{
    for (unsigned i = 0; i < fs->queue_count; i++) {
        FsQueue *q = &fs->queues[i];
        g_mutex_lock(&q->lock);
        collect(fs, i);
        while (q->under_way) {
            Request *r = q->under_way;
            unlink_request(r);
            refuse(fs, i, r);
            request_keep(q, r);
        }
        vhost_front_forget(fs->front, i);
        virtio_flush(&fs->v, i);
        g_mutex_unlock(&q->lock);
    }
}

/* Those that found no room, or nobody to hand their buffers to, look again. */
static void wake_all(Fs *fs)
{
    for (unsigned i = 0; i < fs->queue_count; i++) {
        FsQueue *q = &fs->queues[i];
        g_mutex_lock(&q->lock);
        bool wake = q->full;
        q->full = false;
        g_mutex_unlock(&q->lock);
        if (wake)
            virtio_wake(&fs->v, i);
    }
}

/* With talk. */
static void set_state(Fs *fs, int state)
{
    atomic_store(&fs->state, state);
    g_cond_broadcast(&fs->changed);
}

/* With talk. */
static void give_up(Fs *fs)
{
    if (atomic_load(&fs->state) == GONE)
        return;
    g_warning("%s: the process that shares '%s' has gone", fs->dev.id, fs->tag);
    set_state(fs, GONE);
    shutdown(vhost_front_socket(fs->front), SHUT_RDWR);
    refuse_all(fs);
    wake_all(fs);
}

/* With talk. The other process talks no more, or not as it should. */
static void lose(Fs *fs)
{
    if (atomic_load(&fs->broken) || !chardev_retry(fs->chardev).wait_ms)
        give_up(fs);
    else if (atomic_load(&fs->state) == UP)
        set_state(fs, AWAY);
}

/* ---- Another process ---------------------------------------------------------------- */

/* What is under way goes into the rings for it; false: there is nonsense in the old ones. */
static bool lay_rings(Fs *fs, unsigned *count)
{
    *count = 0;
    for (unsigned i = 0; i < fs->queue_count; i++) {
        FsQueue *q = &fs->queues[i];
        g_mutex_lock(&q->lock);
        collect(fs, i);
        *count += vhost_front_again(fs->front, i);
        g_mutex_unlock(&q->lock);
    }
    return !atomic_load(&fs->broken);
}

/* With talk. */
static void welcome(Fs *fs, unsigned count)
{
    g_message("%s: another process shares '%s'; requests given to it again: %u", fs->dev.id, fs->tag, count);
    fs->complained = false;
    set_state(fs, UP);
    for (unsigned i = 0; i < fs->queue_count; i++)
        eventfd_write(vhost_front_event(fs->front, i), 1);
    wake_all(fs);
}

/* The next may do. Nothing is said of one that died as well, nor when we did not want to wait. */
static void complain(Fs *fs, const GError *error)
{
    struct pollfd p[2] = { { .fd = vhost_front_socket(fs->front), .events = POLLRDHUP },
                           { .fd = fs->cancel, .events = POLLIN } };
    if (fs->complained || poll(p, 2, 0))
        return;
    g_warning("%s: another process that shares '%s' does not do: %s", fs->dev.id, fs->tag, error->message);
    fs->complained = true;
}

/* One attempt, with talk, which others may have while it lasts. */
static void try_again(Fs *fs)
{
    g_autoptr(GError) error = NULL;
    unsigned tries = chardev_retry(fs->chardev).tries, count;
    int fd = chardev_connect_again(fs->chardev);
    if (fd < 0) {
        if (tries && ++fs->refused >= tries)
            give_up(fs);
        return;
    }
    fs->refused = 0;
    if (!lay_rings(fs, &count)) {
        close(fd);
        give_up(fs);
        return;
    }
    fs->trying = true;
    g_mutex_unlock(&fs->talk);
    bool ok = vhost_front_reconnect(fs->front, fd, fs->cancel, &error);
    g_mutex_lock(&fs->talk);
    fs->trying = false;
    g_cond_broadcast(&fs->changed);
    if (ok)
        welcome(fs, count);
    else
        complain(fs, error);
}

/* Until there is one again, or none is expected. False: we are to end. */
static bool find_another(Fs *fs)
{
    struct pollfd p = { .fd = fs->stop, .events = POLLIN };
    bool go_on = true;
    g_mutex_lock(&fs->talk);
    lose(fs);
    while (go_on && atomic_load(&fs->state) == AWAY) {
        try_again(fs);
        bool away = atomic_load(&fs->state) == AWAY;
        g_mutex_unlock(&fs->talk);
        go_on = poll(&p, 1, away ? (int)chardev_retry(fs->chardev).wait_ms : 0) <= 0;
        g_mutex_lock(&fs->talk);
    }
    g_mutex_unlock(&fs->talk);
    return go_on;
}

static void *run_collector(void *opaque)
{
    Fs *fs = opaque;
    unsigned n = fs->queue_count;
    struct pollfd p[MAX_REQUEST_QUEUES + 3];
    for (unsigned i = 0; i < n; i++)
        p[i] = (struct pollfd){ .fd = vhost_front_event(fs->front, i), .events = POLLIN };
    p[n] = (struct pollfd){ .fd = fs->stop, .events = POLLIN };
    for (;;) {
        int state = atomic_load(&fs->state);
        p[n + 1] = (struct pollfd){ .fd = state == GONE ? -1 : vhost_front_socket(fs->front), .events = POLLRDHUP };
        poll(p, n + 2, -1);
        if (p[n].revents)
            return NULL;
        for (unsigned i = 0; i < n; i++)
            if (p[i].revents)
                collect_all(fs, i);
        if ((p[n + 1].revents || (atomic_load(&fs->broken) && state != GONE)) && !find_another(fs))
            return NULL;
    }
}

/* ---- Rest ----------------------------------------------------------------------------- */

static bool is_under_way(Fs *fs)
{
    bool any = false;
    for (unsigned i = 0; i < fs->queue_count; i++) {
        g_mutex_lock(&fs->queues[i].lock);
        any = any || fs->queues[i].under_way;
        g_mutex_unlock(&fs->queues[i].lock);
    }
    return any;
}

/* With talk. A lock that is waited for may take for ever: the rings are stopped, which ends it, and begin anew. */
static void settle(Fs *fs)
{
    struct timeval wait = { .tv_sec = LAST_WAIT_S };
    if (fs->ending)
        setsockopt(vhost_front_socket(fs->front), SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    bool ok = vhost_front_stop(fs->front, NULL);
    for (unsigned i = 0; ok && i < fs->queue_count; i++)
        collect_all(fs, i);
    if (ok && vhost_front_start(fs->front, NULL))
        return;
    struct pollfd p = { .fd = vhost_front_socket(fs->front), .events = POLLRDHUP };
    if (poll(&p, 1, 0) <= 0)
        atomic_store(&fs->broken, true); /* it is there, and may still write to the rings */
    lose(fs);
}

/* A new process gets a moment to come; then nobody is waited for. */
static void fs_drain(VirtioDevice *v)
{
    Fs *fs = fs_of(v);
    eventfd_t n;
    if (!fs->front)
        return;
    g_mutex_lock(&fs->talk);
    gint64 until = g_get_monotonic_time() + (fs->ending ? 0 : GRACE_MS * 1000);
    while (is_under_way(fs) && atomic_load(&fs->state) != GONE) {
        if (atomic_load(&fs->state) == UP) {
            settle(fs);
        } else if (!g_cond_wait_until(&fs->changed, &fs->talk, until)) {
            eventfd_write(fs->cancel, 1);
            while (fs->trying)
                g_cond_wait(&fs->changed, &fs->talk);
            eventfd_read(fs->cancel, &n);
            if (atomic_load(&fs->state) == AWAY)
                refuse_all(fs);
        }
    }
    g_mutex_unlock(&fs->talk);
}

/* ---- Life ------------------------------------------------------------------------ */

typedef struct {
    VhostFront *front;
    GError *error;
} Sharing;

static void share(void *opaque, BusRegion *ram)
{
    Sharing *s = opaque;
    if (!s->error)
        vhost_front_memory(s->front, bus_ram_host(ram), bus_region_size(ram), bus_ram_fd(ram), 0, &s->error);
}

static const VirtioType fs_virtio = {
    .name = "virtio-fs", .id = 26, .drain = fs_drain, .notify = fs_notify, .read_config = fs_read_config,
};

static bool connect_to(Fs *fs, GError **error)
{
    int fd = chardev_socket(fs->chardev);
    if (fd < 0)
        return fail_usage(error, "chardev= must be a socket that is connected to the sharing process");
    fs->front = vhost_front_new(fd, 0, fs->queue_count, error);
    if (!fs->front)
        return false;
    Sharing s = { .front = fs->front };
    bus_ram_each(fs->dev.env.space, share, &s);
    if (s.error) {
        g_propagate_error(error, s.error);
        return false;
    }
    return vhost_front_start(fs->front, error);
}

static bool fs_start(Device *dev, GError **error)
{
    Fs *fs = (Fs *)dev;
    fs->stop = fs->cancel = -1;
    g_mutex_init(&fs->talk);
    g_cond_init(&fs->changed);
    if (!fs->chardev)
        return fail_usage(error, "missing chardev");
    if (!fs->tag || !*fs->tag)
        return fail_usage(error, "missing tag property");
    if (strlen(fs->tag) > TAG)
        return fail_usage(error, "tag property must be %d bytes or less", TAG);
    if (fs->queue_size & (fs->queue_size - 1))
        return fail_usage(error, "queue-size property must be a power of 2");
    fs->queue_count = fs->request_queues + 1;
    fs->queues = g_new0(FsQueue, fs->queue_count);
    for (unsigned i = 0; i < fs->queue_count; i++)
        g_mutex_init(&fs->queues[i].lock);
    fs->stop = eventfd(0, EFD_CLOEXEC);
    fs->cancel = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (!connect_to(fs, error))
        return false;
    virtio_init(&fs->v, &fs_virtio, dev->env.space, fs->queue_count, fs->queue_size,
                virtio_props_features(&fs->props), TAG + 4);
    fs->collector = g_thread_new("virtio-fs", run_collector, fs);
    return true;
}

static void fs_stop(Device *dev)
{
    Fs *fs = (Fs *)dev;
    g_mutex_lock(&fs->talk);
    fs->ending = true;
    g_mutex_unlock(&fs->talk);
    virtio_clear(&fs->v);
    if (fs->collector) {
        eventfd_write(fs->stop, 1);
        eventfd_write(fs->cancel, 1);
        g_thread_join(fs->collector);
    }
    for (int i = 0; i < 2; i++) {
        int fd = i ? fs->cancel : fs->stop;
        if (fd >= 0)
            close(fd);
    }
    vhost_front_free(fs->front);
    for (unsigned i = 0; fs->queues && i < fs->queue_count; i++) {
        FsQueue *q = &fs->queues[i];
        for (Request *r; (r = q->spare);) {
            q->spare = r->next;
            vring_chain_clear(&r->chain);
            g_free(r);
        }
        g_mutex_clear(&q->lock);
    }
    g_free(fs->queues);
    g_mutex_clear(&fs->talk);
    g_cond_clear(&fs->changed);
}

static void fs_reset(Device *dev)
{
    virtio_reset(&((Fs *)dev)->v);
}

static VirtioDevice *fs_face(Device *dev)
{
    return &((Fs *)dev)->v;
}

static const DeviceProp fs_props[] = {
    {"chardev", DEVICE_CHARDEV, offsetof(Fs, chardev), NULL, 0, 0, "socket of the sharing process"},
    {"tag", DEVICE_STRING, offsetof(Fs, tag), NULL, 0, 0, "what the guest mounts: mount -t virtiofs TAG DIR"},
    {"num-request-queues", DEVICE_U32, offsetof(Fs, request_queues), "1", 1, MAX_REQUEST_QUEUES,
     "queues beside the one for urgent requests"},
    {"queue-size", DEVICE_U32, offsetof(Fs, queue_size), "128", 4, VRING_MAX_SIZE, "entries of each queue"},
    VIRTIO_PROPS(Fs, props),
    {.name = NULL},
};

const DeviceType vhost_user_fs_type = {
    .name = "vhost-user-fs-device",
    .summary = "directory shared by fsd or virtiofsd",
    .size = sizeof(Fs),
    .props = fs_props,
    .slot = "virtio",
    .start = fs_start,
    .reset = fs_reset,
    .stop = fs_stop,
    .virtio = fs_face,
};
