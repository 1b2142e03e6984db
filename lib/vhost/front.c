/* SPDX-License-Identifier: MIT */
/* The front end: the conversation, and split rings in a memory of their own with a table of
 * descriptors for each request. */
#include "vhost/front.h"
#include "vhost/vhost_priv.h"

#include "base/bytes.h"
#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define BIT(n) (UINT64_C(1) << (n))

enum {
    DEPTH = VHOST_FRONT_DEPTH, DESC = 16, TABLE = VHOST_FRONT_PIECES * DESC,
    DESCS_AT = 0, AVAIL_AT = DEPTH * DESC, USED_AT = 4096, TABLES_AT = 8192,
    QUEUE_BYTES = TABLES_AT + DEPTH * TABLE,
    F_NEXT = 1, F_WRITE = 2, F_INDIRECT = 4,
};

typedef struct {
    uint8_t *base;
    int kick, call;
    uint16_t avail, used; /* next to be put there, to be looked at */
    uint16_t free[DEPTH];
    unsigned n_free;
    void *cookies[DEPTH];
    bool taken[DEPTH];
    uint64_t turn[DEPTH], turns; /* the order in which they were submitted */
} Queue;

struct VhostFront {
    int fd, rings;
    uint64_t wanted, features, protocol;
    unsigned n_queues;
    Queue *queues;
    uint8_t *memory;
    VhostRegion regions[VHOST_FRONT_REGIONS + 1];
    int fds[VHOST_FRONT_REGIONS + 1];
    unsigned n_regions;
    bool started;
};

/* ---- The conversation -------------------------------------------------------- */

static bool read_answer(VhostFront *f, uint32_t request, VhostMessage *m, GError **error)
{
    int r = vhost_message_receive(f->fd, m, true);
    if (r <= 0)
        return fail_errno(error, r ? -r : ECONNRESET, "the device's process does not answer");
    vhost_message_clear(m); /* nothing that is asked for comes with descriptors */
    return m->head.request == request ||
           fail(error, "the device's answer to message %" PRIu32 " is to another", request);
}

/* m's body is size bytes; then, if it is answered, the answer's. */
static bool say(VhostFront *f, uint32_t request, VhostMessage *m, uint32_t size, bool answered,
                GError **error)
{
    bool ack = !answered && f->protocol & BIT(VHOST_PROTOCOL_REPLY_ACK);
    m->head = (VhostHead){ request, VHOST_VERSION | (ack ? VHOST_NEED_REPLY : 0), size };
    int r = vhost_message_send(f->fd, m, true);
    if (r < 0)
        return fail_errno(error, -r, "the device's process takes no message");
    if (!answered && !ack)
        return true;
    if (!read_answer(f, request, m, error))
        return false;
    if (ack && m->body.u64)
        return fail(error, "the device refuses message %" PRIu32, request);
    return true;
}

static bool ask_u64(VhostFront *f, uint32_t request, uint64_t *value, GError **error)
{
    VhostMessage m = { .fd_count = 0 };
    if (!say(f, request, &m, 0, true, error))
        return false;
    *value = m.body.u64;
    return true;
}

static bool tell_u64(VhostFront *f, uint32_t request, uint64_t value, int fd, GError **error)
{
    VhostMessage m = { .body.u64 = value, .fds[0] = fd, .fd_count = fd >= 0 };
    return say(f, request, &m, 8, false, error);
}

static bool tell_state(VhostFront *f, uint32_t request, uint32_t index, uint32_t num,
                       GError **error)
{
    VhostMessage m = { .body.state = { index, num } };
    return say(f, request, &m, sizeof m.body.state, false, error);
}

/* A process that is starting takes its time: whoever has something better to do writes cancel. */
static bool wait_for_answer(const VhostFront *f, int cancel, GError **error)
{
    struct pollfd p[2] = { { .fd = f->fd, .events = POLLIN }, { .fd = cancel, .events = POLLIN } };
    while (poll(p, 2, -1) < 0 && errno == EINTR)
        ;
    return !p[1].revents || fail_errno(error, ECANCELED, "the device's process has not answered");
}

static bool greet(VhostFront *f, int cancel, uint64_t *offered, GError **error)
{
    VhostMessage m = { .head = { VHOST_GET_FEATURES, VHOST_VERSION, 0 } };
    f->protocol = 0; /* with nothing agreed on, no message but the second has an answer */
    if (!tell_u64(f, VHOST_SET_OWNER, 0, -1, error))
        return false;
    int r = vhost_message_send(f->fd, &m, false);
    if (r < 0)
        return fail_errno(error, -r, "the device's process takes no message");
    if (!wait_for_answer(f, cancel, error) || !read_answer(f, VHOST_GET_FEATURES, &m, error))
        return false;
    *offered = m.body.u64;
    return true;
}

static bool agree(VhostFront *f, int cancel, GError **error)
{
    uint64_t offered, protocol = 0, most = 1, wanted = f->wanted;
    if (!greet(f, cancel, &offered, error))
        return false;
    if (wanted & ~offered)
        return fail(error, "the device lacks features %#" PRIx64, wanted & ~offered);
    f->features = wanted | (offered & BIT(VHOST_F_PROTOCOL_FEATURES));
    if (offered & BIT(VHOST_F_PROTOCOL_FEATURES)) {
        if (!ask_u64(f, VHOST_GET_PROTOCOL_FEATURES, &protocol, error))
            return false;
        protocol &= BIT(VHOST_PROTOCOL_MQ) | BIT(VHOST_PROTOCOL_REPLY_ACK);
        if (!tell_u64(f, VHOST_SET_PROTOCOL_FEATURES, protocol, -1, error))
            return false;
        f->protocol = protocol;
    }
    if (protocol & BIT(VHOST_PROTOCOL_MQ) && !ask_u64(f, VHOST_GET_QUEUE_NUM, &most, error))
        return false;
    if (protocol & BIT(VHOST_PROTOCOL_MQ) && most < f->n_queues)
        return fail(error, "the device has %" PRIu64 " queues, not %u", most, f->n_queues);
    return tell_u64(f, VHOST_SET_FEATURES, f->features, -1, error);
}

/* ---- Life -------------------------------------------------------------------- */

static void queue_init(Queue *q, uint8_t *base)
{
    q->base = base;
    q->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    q->call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    for (unsigned i = 0; i < DEPTH; i++)
        q->free[q->n_free++] = (uint16_t)i;
}

VhostFront *vhost_front_new(int fd, uint64_t wanted, unsigned queues, GError **error)
{
    VhostFront *f = g_new0(VhostFront, 1);
    g_unix_set_fd_nonblocking(fd, FALSE, NULL);
    size_t bytes = (size_t)queues * QUEUE_BYTES;
    f->fd = fd;
    f->wanted = wanted | BIT(VHOST_F_VERSION_1) | BIT(VHOST_RING_F_INDIRECT);
    f->n_queues = queues;
    f->queues = g_new0(Queue, queues);
    f->rings = memfd_create("rings", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    f->memory = MAP_FAILED;
    if (f->rings < 0 || ftruncate(f->rings, (off_t)bytes) ||
        fcntl(f->rings, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) ||
        (f->memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, f->rings, 0)) ==
            MAP_FAILED) {
        fail_errno(error, errno, "no memory for %u rings", queues);
        goto failed;
    }
    for (unsigned i = 0; i < queues; i++)
        queue_init(&f->queues[i], f->memory + (size_t)i * QUEUE_BYTES);
    if (agree(f, -1, error) && vhost_front_memory(f, f->memory, bytes, f->rings, 0, error))
        return f;
failed:
    vhost_front_free(f);
    return NULL;
}

void vhost_front_free(VhostFront *f)
{
    if (!f)
        return;
    for (unsigned i = 0; i < f->n_queues && f->queues[i].base; i++) {
        close(f->queues[i].kick);
        close(f->queues[i].call);
    }
    if (f->memory != MAP_FAILED)
        munmap(f->memory, (size_t)f->n_queues * QUEUE_BYTES);
    if (f->rings >= 0)
        close(f->rings);
    close(f->fd);
    g_free(f->queues);
    g_free(f);
}

bool vhost_front_memory(VhostFront *f, void *host, uint64_t size, int fd, uint64_t offset,
                        GError **error)
{
    if (f->n_regions == G_N_ELEMENTS(f->regions))
        return fail(error, "more than %d pieces of memory cannot be shared", VHOST_FRONT_REGIONS);
    uint64_t at = (uintptr_t)host;
    f->regions[f->n_regions] = (VhostRegion){
        .guest = at, .size = size, .user = at, .offset = offset
    };
    f->fds[f->n_regions++] = fd;
    return true;
}

static bool start_queue(VhostFront *f, uint32_t i, uint16_t base, GError **error)
{
    Queue *q = &f->queues[i];
    uint64_t at = (uintptr_t)q->base;
    VhostMessage m = { .body.addresses = { .index = i, .desc = at + DESCS_AT, .used = at + USED_AT,
                                           .avail = at + AVAIL_AT } };
    return tell_state(f, VHOST_SET_VRING_NUM, i, DEPTH, error) &&
           tell_state(f, VHOST_SET_VRING_BASE, i, base, error) &&
           say(f, VHOST_SET_VRING_ADDR, &m, sizeof m.body.addresses, false, error) &&
           tell_u64(f, VHOST_SET_VRING_CALL, i, q->call, error) &&
           tell_u64(f, VHOST_SET_VRING_KICK, i, q->kick, error) &&
           (!(f->features & BIT(VHOST_F_PROTOCOL_FEATURES)) ||
            tell_state(f, VHOST_SET_VRING_ENABLE, i, 1, error));
}

/* fresh: the rings were laid anew, all in them is to be done. */
static bool start(VhostFront *f, bool fresh, GError **error)
{
    VhostMessage m = { .body.memory.count = f->n_regions, .fd_count = f->n_regions };
    memcpy(m.body.memory.regions, f->regions, f->n_regions * sizeof f->regions[0]);
    memcpy(m.fds, f->fds, f->n_regions * sizeof f->fds[0]);
    uint32_t size = 8 + f->n_regions * (uint32_t)sizeof f->regions[0];
    if (!say(f, VHOST_SET_MEM_TABLE, &m, size, false, error))
        return false;
    for (unsigned i = 0; i < f->n_queues; i++)
        if (!start_queue(f, i, fresh ? 0 : f->queues[i].avail, error))
            return false;
    f->started = true;
    return true;
}

bool vhost_front_start(VhostFront *f, GError **error)
{
    return start(f, false, error);
}

bool vhost_front_stop(VhostFront *f, GError **error)
{
    for (unsigned i = 0; f->started && i < f->n_queues; i++) {
        VhostMessage m = { .body.state = { i, 0 } };
        if (!say(f, VHOST_GET_VRING_BASE, &m, sizeof m.body.state, true, error))
            return false;
    }
    f->started = false;
    return true;
}

/* ---- Another process ------------------------------------------------------------ */

static int by_turn(gconstpointer a, gconstpointer b, gpointer opaque)
{
    const Queue *q = opaque;
    uint64_t ta = q->turn[*(const uint16_t *)a], tb = q->turn[*(const uint16_t *)b];
    return ta < tb ? -1 : ta > tb;
}

/* What is written stays hidden until the index is. */
unsigned vhost_front_again(VhostFront *f, unsigned queue)
{
    Queue *q = &f->queues[queue];
    uint16_t slots[DEPTH];
    unsigned n = 0;
    for (unsigned i = 0; i < DEPTH; i++)
        if (q->taken[i])
            slots[n++] = (uint16_t)i;
    g_qsort_with_data(slots, (int)n, sizeof slots[0], by_turn, q);
    memset(q->base + AVAIL_AT, 0, 4);
    memset(q->base + USED_AT, 0, 4);
    for (unsigned i = 0; i < n; i++)
        st_le16(q->base + AVAIL_AT + 4 + 2 * i, slots[i]);
    __atomic_store_n((uint16_t *)(void *)(q->base + AVAIL_AT + 2), GUINT16_TO_LE((uint16_t)n),
                     __ATOMIC_RELEASE);
    q->avail = (uint16_t)n;
    q->used = 0;
    return n;
}

void vhost_front_forget(VhostFront *f, unsigned queue)
{
    Queue *q = &f->queues[queue];
    for (unsigned i = 0; i < DEPTH; i++)
        if (q->taken[i])
            q->free[q->n_free++] = (uint16_t)i;
    memset(q->taken, 0, sizeof q->taken);
    vhost_front_again(f, queue);
}

bool vhost_front_reconnect(VhostFront *f, int fd, int cancel, GError **error)
{
    close(f->fd);
    g_unix_set_fd_nonblocking(fd, FALSE, NULL);
    f->fd = fd;
    f->started = false;
    if (!agree(f, cancel, error) || !start(f, true, error))
        return false;
    for (unsigned i = 0; i < f->n_queues; i++)
        eventfd_write(f->queues[i].kick, 1); /* a ring starts with it */
    return true;
}

/* ---- Requests ---------------------------------------------------------------- */

static uint8_t *put_pieces(uint8_t *p, const struct iovec *iov, unsigned n, uint16_t flags,
                           unsigned *next)
{
    for (unsigned i = 0; i < n; i++, p += DESC) {
        st_le64(p, (uintptr_t)iov[i].iov_base);
        st_le32(p + 8, (uint32_t)iov[i].iov_len);
        st_le16(p + 12, flags | F_NEXT);
        st_le16(p + 14, (uint16_t)++*next);
    }
    return p;
}

bool vhost_front_submit(VhostFront *f, unsigned queue, const struct iovec *out, unsigned n_out,
                        const struct iovec *in, unsigned n_in, void *cookie)
{
    Queue *q = &f->queues[queue];
    unsigned n = n_out + n_in, next = 0;
    if (!q->n_free || !n || n > VHOST_FRONT_PIECES)
        return false;
    uint16_t slot = q->free[--q->n_free];
    uint8_t *table = q->base + TABLES_AT + (size_t)slot * TABLE,
            *desc = q->base + DESCS_AT + slot * DESC;
    uint8_t *end = put_pieces(put_pieces(table, out, n_out, 0, &next), in, n_in, F_WRITE, &next);
    st_le16(end - 4, n_in ? F_WRITE : 0); /* the last has no next */
    st_le64(desc, (uintptr_t)table);
    st_le32(desc + 8, n * DESC);
    st_le16(desc + 12, F_INDIRECT);
    q->cookies[slot] = cookie;
    q->taken[slot] = true;
    q->turn[slot] = q->turns++;
    uint8_t *avail = q->base + AVAIL_AT;
    st_le16(avail + 4 + 2 * (q->avail % DEPTH), slot);
    __atomic_store_n((uint16_t *)(void *)(avail + 2), GUINT16_TO_LE(++q->avail), __ATOMIC_RELEASE);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (!(__atomic_load_n((uint16_t *)(void *)(q->base + USED_AT), __ATOMIC_RELAXED) &
          GUINT16_TO_LE(1)))
        eventfd_write(q->kick, 1);
    return true;
}

static uint16_t used_index(const Queue *q)
{
    return GUINT16_FROM_LE(__atomic_load_n((uint16_t *)(void *)(q->base + USED_AT + 2), __ATOMIC_ACQUIRE));
}

int vhost_front_collect(VhostFront *f, unsigned queue,
                        void (*done)(void *opaque, void *cookie, uint32_t written), void *opaque)
{
    Queue *q = &f->queues[queue];
    int count = 0;
    for (uint16_t end = used_index(q); q->used != end; q->used++, count++) {
        const uint8_t *element = q->base + USED_AT + 4 + 8 * (q->used % DEPTH);
        uint32_t slot = ld_le32(element), written = ld_le32(element + 4);
        if (slot >= DEPTH || !q->taken[slot])
            return -EPROTO;
        q->taken[slot] = false;
        q->free[q->n_free++] = (uint16_t)slot;
        done(opaque, q->cookies[slot], written);
    }
    return count;
}

int vhost_front_event(const VhostFront *f, unsigned queue)
{
    return f->queues[queue].call;
}

bool vhost_front_wants(VhostFront *f, unsigned queue, bool event)
{
    Queue *q = &f->queues[queue];
    __atomic_store_n((uint16_t *)(void *)(q->base + AVAIL_AT), GUINT16_TO_LE(!event),
                     __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return event && used_index(q) != q->used;
}

int vhost_front_socket(const VhostFront *f)
{
    return f->fd;
}
