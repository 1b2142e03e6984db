/* SPDX-License-Identifier: MIT */
/* What a front end asks for, message by message. */
#include "vhost/vhost_priv.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define BIT(n) (UINT64_C(1) << (n))

enum { MAX_SIZE = VRING_MAX_SIZE };

static const uint64_t ring_features = BIT(VHOST_F_PROTOCOL_FEATURES) | BIT(VHOST_RING_F_INDIRECT) |
                                      BIT(VHOST_RING_F_EVENT_IDX) | BIT(VHOST_F_VERSION_1) |
                                      BIT(VHOST_F_RING_PACKED);

VhostBackend *vhost_backend_new(const VhostDevice *device)
{
    VhostBackend *b = g_new0(VhostBackend, 1);
    g_assert(device->queues && device->queues <= VHOST_MAX_QUEUES &&
             device->config_size <= VHOST_MAX_CONFIG);
    b->device = *device;
    b->fd = -1;
    b->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    b->memory = g_array_new(FALSE, FALSE, sizeof(VhostMemory));
    b->queues = g_new0(VhostQueue, device->queues);
    vhost_guard_backend(b);
    for (unsigned i = 0; i < device->queues; i++)
        vhost_queue_init(&b->queues[i], b, i);
    vhost_memory_clear(b);
    return b;
}

void vhost_backend_free(VhostBackend *b)
{
    if (!b)
        return;
    for (unsigned i = 0; i < b->device.queues; i++)
        vhost_queue_clear(&b->queues[i]);
    g_free(b->queues);
    vhost_memory_clear(b);
    bus_space_free(b->space);
    g_array_unref(b->memory);
    vhost_unguard_backend(b);
    close(b->stop);
    g_free(b);
}

void vhost_backend_stop(VhostBackend *b)
{
    eventfd_write(b->stop, 1);
}

void vhost_say(const VhostBackend *b, const char *fmt, ...)
{
    if (!b->device.say)
        return;
    va_list ap;
    va_start(ap, fmt);
    g_autofree char *line = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    b->device.say(b->device.opaque, line);
}

/* ---- All queues -------------------------------------------------------------- */

static void stop_all(VhostBackend *b)
{
    for (unsigned i = 0; i < b->device.queues; i++)
        vhost_queue_stop(&b->queues[i]);
}

static bool start_all(VhostBackend *b, GError **error)
{
    for (unsigned i = 0; i < b->device.queues; i++)
        if (!vhost_queue_start(&b->queues[i], error))
            return false;
    return true;
}

static void replace_fd(int *fd, int with)
{
    if (*fd >= 0)
        close(*fd);
    *fd = with;
}

/* The device as it was before its driver began. */
static void reset_device(VhostBackend *b)
{
    stop_all(b);
    for (unsigned i = 0; i < b->device.queues; i++) {
        VhostQueue *q = &b->queues[i];
        replace_fd(&q->kick, -1);
        replace_fd(&q->call, -1);
        replace_fd(&q->err, -1);
        q->addressed = q->enabled = q->based = false;
        q->size = q->base = q->base_used = 0;
    }
    if (b->dirty)
        b->device.reset(b->device.opaque);
    b->dirty = false;
    b->status = 0;
}

/* ---- Messages ---------------------------------------------------------------- */

/* Each gets the message, and makes its answer of it where there is one. */
typedef bool Handler(VhostBackend *b, VhostMessage *m, GError **error);

static bool answer_u64(VhostMessage *m, uint64_t value)
{
    m->body.u64 = value;
    m->head.size = sizeof value;
    return true;
}

static VhostQueue *queue_of(VhostBackend *b, uint64_t index, GError **error)
{
    if (index < b->device.queues)
        return &b->queues[index];
    fail(error, "there is no queue %" PRIu64 ": %s has %u", index, b->device.name,
         b->device.queues);
    return NULL;
}

static bool get_features(VhostBackend *b, VhostMessage *m, GError **error)
{
    return answer_u64(m, b->device.features | ring_features);
}

static bool set_features(VhostBackend *b, VhostMessage *m, GError **error)
{
    uint64_t unknown = m->body.u64 & ~(b->device.features | ring_features);
    if (unknown)
        return fail(error, "features %#" PRIx64 " were not offered", unknown);
    stop_all(b);
    b->features = m->body.u64;
    if (!(b->features & BIT(VHOST_F_PROTOCOL_FEATURES)))
        for (unsigned i = 0; i < b->device.queues; i++)
            b->queues[i].enabled = true;
    return start_all(b, error);
}

static uint64_t protocol_features(const VhostBackend *b)
{
    return BIT(VHOST_PROTOCOL_MQ) | BIT(VHOST_PROTOCOL_REPLY_ACK) |
           BIT(VHOST_PROTOCOL_RESET_DEVICE) | BIT(VHOST_PROTOCOL_MEM_SLOTS) |
           BIT(VHOST_PROTOCOL_STATUS) | BIT(VHOST_PROTOCOL_INFLIGHT_SHMFD) |
           (b->device.config ? BIT(VHOST_PROTOCOL_CONFIG) : 0);
}

static bool get_protocol_features(VhostBackend *b, VhostMessage *m, GError **error)
{
    return answer_u64(m, protocol_features(b));
}

static bool set_protocol_features(VhostBackend *b, VhostMessage *m, GError **error)
{
    b->protocol = m->body.u64 & protocol_features(b);
    return b->protocol == m->body.u64 ||
           fail(error, "protocol features %#" PRIx64 " were not offered",
                m->body.u64 & ~b->protocol);
}

static bool nothing(VhostBackend *b, VhostMessage *m, GError **error)
{
    return true;
}

static bool reset(VhostBackend *b, VhostMessage *m, GError **error)
{
    reset_device(b);
    return true;
}

static bool set_memory(VhostBackend *b, VhostMessage *m, GError **error)
{
    stop_all(b);
    return vhost_memory_set(b, m, error) && start_all(b, error);
}

/* Requests may be using the memory: it is given up now and then, when all have ended. */
static bool remove_memory(VhostBackend *b, VhostMessage *m, GError **error)
{
    if (!vhost_memory_remove(b, m, error))
        return false;
    if (b->taken < VHOST_MAX_TAKEN)
        return true;
    stop_all(b);
    return vhost_memory_renew(b, error) && start_all(b, error);
}

static bool max_slots(VhostBackend *b, VhostMessage *m, GError **error)
{
    return answer_u64(m, VHOST_MAX_SLOTS);
}

static bool set_size(VhostBackend *b, VhostMessage *m, GError **error)
{
    VhostQueue *q = queue_of(b, m->body.state.index, error);
    uint32_t n = m->body.state.num;
    if (!q)
        return false;
    if (!n || n > MAX_SIZE)
        return fail(error, "queue %u: %" PRIu32 " entries; 1 to %d are possible", q->index, n,
                    MAX_SIZE);
    vhost_queue_stop(q);
    q->size = (uint16_t)n;
    return vhost_queue_start(q, error);
}

static bool set_addresses(VhostBackend *b, VhostMessage *m, GError **error)
{
    const VhostAddresses *a = &m->body.addresses;
    VhostQueue *q = queue_of(b, a->index, error);
    if (!q)
        return false;
    vhost_queue_stop(q);
    q->addresses = *a;
    q->addressed = true;
    return vhost_queue_start(q, error);
}

static bool set_base(VhostBackend *b, VhostMessage *m, GError **error)
{
    VhostQueue *q = queue_of(b, m->body.state.index, error);
    if (!q)
        return false;
    vhost_queue_stop(q);
    q->base = (uint16_t)m->body.state.num;
    q->base_used = (uint16_t)(m->body.state.num >> 16);
    q->based = true;
    return vhost_queue_start(q, error);
}

static bool get_base(VhostBackend *b, VhostMessage *m, GError **error)
{
    VhostQueue *q = queue_of(b, m->body.state.index, error);
    if (!q)
        return false;
    vhost_queue_stop(q);
    replace_fd(&q->kick, -1);
    bool packed = b->features & BIT(VHOST_F_RING_PACKED);
    m->body.state.num = q->base | (packed ? (uint32_t)q->base_used << 16 : 0);
    return true;
}

static bool set_fd(VhostBackend *b, VhostMessage *m, GError **error)
{
    VhostQueue *q = queue_of(b, m->body.u64 & 0xff, error);
    bool none = m->body.u64 & VHOST_NO_FD;
    if (!q)
        return false;
    int fd = vhost_message_take_fd(m);
    if ((fd < 0) != none)
        return fail(error, "queue %u: message %" PRIu32 " without its descriptor", q->index,
                    m->head.request);
    switch (m->head.request) {
    case VHOST_SET_VRING_KICK:
        if (none)
            return fail(error, "queue %u: rings that are polled for new buffers are not supported",
                        q->index);
        vhost_queue_stop(q);
        replace_fd(&q->kick, fd);
        return vhost_queue_start(q, error);
    default:
        pthread_mutex_lock(&q->lock);
        replace_fd(m->head.request == VHOST_SET_VRING_CALL ? &q->call : &q->err, fd);
        if (m->head.request == VHOST_SET_VRING_CALL)
            q->call_blocks = fd >= 0 && !(fcntl(fd, F_GETFL) & O_NONBLOCK);
        pthread_mutex_unlock(&q->lock);
        return true;
    }
}

static bool queue_count(VhostBackend *b, VhostMessage *m, GError **error)
{
    return answer_u64(m, b->device.queues);
}

static bool enable(VhostBackend *b, VhostMessage *m, GError **error)
{
    VhostQueue *q = queue_of(b, m->body.state.index, error);
    if (!q)
        return false;
    if (!m->body.state.num)
        vhost_queue_stop(q);
    q->enabled = m->body.state.num;
    return vhost_queue_start(q, error);
}

static bool get_config(VhostBackend *b, VhostMessage *m, GError **error)
{
    VhostConfig *c = &m->body.config;
    if (!b->device.config || c->size > VHOST_MAX_CONFIG || c->offset > b->device.config_size ||
        c->size > b->device.config_size - c->offset) {
        m->head.size = 0; /* says that it could not */
        return true;
    }
    memcpy(c->data, (const uint8_t *)b->device.config + c->offset, c->size);
    m->head.size = (uint32_t)(offsetof(VhostConfig, data) + c->size);
    return true;
}

static bool set_inflight(VhostBackend *b, VhostMessage *m, GError **error)
{
    stop_all(b);
    return vhost_inflight_set(b, m, error) && start_all(b, error);
}

static bool set_status(VhostBackend *b, VhostMessage *m, GError **error)
{
    if (!m->body.u64)
        reset_device(b);
    b->status = (uint8_t)m->body.u64;
    return true;
}

static bool get_status(VhostBackend *b, VhostMessage *m, GError **error)
{
    return answer_u64(m, b->status);
}

static const struct {
    Handler *handle;
    uint32_t size; /* at least so much body */
    bool answers;
} handlers[] = {
    [VHOST_GET_FEATURES] = { get_features, 0, true },
    [VHOST_SET_FEATURES] = { set_features, 8, false },
    [VHOST_SET_OWNER] = { nothing, 0, false },
    [VHOST_RESET_OWNER] = { reset, 0, false },
    [VHOST_SET_MEM_TABLE] = { set_memory, 8, false },
    [VHOST_SET_VRING_NUM] = { set_size, sizeof(VhostState), false },
    [VHOST_SET_VRING_ADDR] = { set_addresses, sizeof(VhostAddresses), false },
    [VHOST_SET_VRING_BASE] = { set_base, sizeof(VhostState), false },
    [VHOST_GET_VRING_BASE] = { get_base, sizeof(VhostState), true },
    [VHOST_SET_VRING_KICK] = { set_fd, 8, false },
    [VHOST_SET_VRING_CALL] = { set_fd, 8, false },
    [VHOST_SET_VRING_ERR] = { set_fd, 8, false },
    [VHOST_GET_PROTOCOL_FEATURES] = { get_protocol_features, 0, true },
    [VHOST_SET_PROTOCOL_FEATURES] = { set_protocol_features, 8, false },
    [VHOST_GET_QUEUE_NUM] = { queue_count, 0, true },
    [VHOST_SET_VRING_ENABLE] = { enable, sizeof(VhostState), false },
    [VHOST_GET_CONFIG] = { get_config, offsetof(VhostConfig, data), true },
    [VHOST_GET_INFLIGHT_FD] = { vhost_inflight_get, VHOST_INFLIGHT_BYTES, true },
    [VHOST_SET_INFLIGHT_FD] = { set_inflight, VHOST_INFLIGHT_BYTES, false },
    [VHOST_RESET_DEVICE] = { reset, 0, false },
    [VHOST_GET_MAX_MEM_SLOTS] = { max_slots, 0, true },
    [VHOST_ADD_MEM_REG] = { vhost_memory_add, sizeof(VhostRegion) + 8, false },
    [VHOST_REM_MEM_REG] = { remove_memory, sizeof(VhostRegion) + 8, false },
    [VHOST_SET_STATUS] = { set_status, 8, false },
    [VHOST_GET_STATUS] = { get_status, 0, true },
};

static bool take(VhostBackend *b, VhostMessage *m, GError **error)
{
    uint32_t n = m->head.request;
    if (n >= G_N_ELEMENTS(handlers) || !handlers[n].handle)
        return fail(error, "message %" PRIu32 " is not supported", n);
    if (m->head.size < handlers[n].size)
        return fail(error, "message %" PRIu32 " is too short: %" PRIu32 " bytes", n, m->head.size);
    return handlers[n].handle(b, m, error);
}

/* False: the connection is over. */
static bool converse(VhostBackend *b, VhostMessage *m, GError **error)
{
    GError *why = NULL;
    uint32_t n = m->head.request;
    bool wants = m->head.flags & VHOST_NEED_REPLY && b->protocol & BIT(VHOST_PROTOCOL_REPLY_ACK);
    bool ok = take(b, m, &why), answers = ok && handlers[n].answers;
    if (!ok && !wants) {
        g_propagate_error(error, why);
        return false;
    }
    if (!ok) {
        vhost_say(b, "%s", why->message);
        g_error_free(why);
    }
    if (!answers && wants)
        answer_u64(m, !ok);
    if (!answers && !wants)
        return true;
    m->head.flags = VHOST_VERSION | VHOST_REPLY;
    int r = vhost_message_send(b->fd, m, answers && n == VHOST_GET_INFLIGHT_FD); /* no other has descriptors */
    return r > 0 || fail_errno(error, -r, "the front end takes no answer");
}

bool vhost_backend_serve(VhostBackend *b, int fd, GError **error)
{
    struct pollfd p[2] = { { .fd = fd, .events = POLLIN }, { .fd = b->stop, .events = POLLIN } };
    bool good = true;
    b->fd = fd;
    b->features = b->protocol = 0;
    atomic_store(&b->shrunk, false);
    for (;;) {
        VhostMessage m;
        poll(p, 2, -1);
        if (p[1].revents) {
            eventfd_t n;
            eventfd_read(b->stop, &n);
            break;
        }
        if (!p[0].revents)
            continue;
        int r = vhost_message_receive(fd, &m, false);
        if (r < 0)
            good = fail_errno(error, -r, "a message of the front end cannot be read");
        if (r > 0)
            good = converse(b, &m, error);
        vhost_message_clear(&m);
        if (r <= 0 || !good)
            break;
    }
    reset_device(b);
    vhost_inflight_clear(b);
    vhost_memory_clear(b);
    b->fd = -1;
    if (good && atomic_load(&b->shrunk))
        return fail(error, "memory of the front end has gone: a file has become shorter");
    return good;
}
