/* SPDX-License-Identifier: MIT */
/* The relay: what was set up is a message of each kind, for the device or for each queue, and all
 * slots of memory. */
#include "vhost/relay.h"
#include "vhost/vhost_priv.h"

#include "base/error.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#define BIT(n) (UINT64_C(1) << (n))

/* In the order in which they are said again. */
static const uint8_t of_device[] = { VHOST_SET_PROTOCOL_FEATURES, VHOST_SET_OWNER,
                                     VHOST_SET_FEATURES, VHOST_SET_MEM_TABLE };
static const uint8_t of_queue[] = { VHOST_SET_VRING_NUM,   VHOST_SET_VRING_BASE,
                                    VHOST_SET_VRING_ADDR,  VHOST_SET_VRING_CALL,
                                    VHOST_SET_VRING_ERR,   VHOST_SET_VRING_KICK,
                                    VHOST_SET_VRING_ENABLE };
enum { REQUESTS = 64 };

typedef struct {
    int front, back;
    const VhostDevice *last;
    VhostBackend *own;   /* in the back end's place */
    int own_end;
    pthread_t thread;
    uint64_t offered;    /* the back end's protocol features */
    bool tracks;         /* the front end does so itself */
    VhostMessage *device[REQUESTS], *queue[VHOST_MAX_QUEUES][REQUESTS];
    GPtrArray *slots;    /* of memory, in their order */
    VhostMessage asked;  /* what waits for its answer, without descriptors; request 0: nothing */
} Relay;

/* ---- What is remembered ------------------------------------------------------------ */

static void drop(gpointer message)
{
    if (message)
        vhost_message_clear(message);
    g_free(message);
}

static void replace(VhostMessage **place, VhostMessage *with)
{
    drop(*place);
    *place = with;
}

static bool is_one_of(uint32_t request, const uint8_t *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (list[i] == request)
            return true;
    return false;
}

static void forget_queue(Relay *r, unsigned q, bool all)
{
    for (unsigned i = 0; i < REQUESTS; i++)
        if (all || i == VHOST_SET_VRING_KICK || i == VHOST_SET_VRING_BASE)
            replace(&r->queue[q][i], NULL);
}

static void forget_slot(Relay *r, const VhostRegion *region)
{
    for (guint i = 0; i < r->slots->len; i++) {
        const VhostMessage *m = r->slots->pdata[i];
        if (m->body.slot.region.guest == region->guest &&
            m->body.slot.region.size == region->size) {
            g_ptr_array_remove_index(r->slots, i);
            return;
        }
    }
}

/* Takes m, or lets it go. */
static void remember(Relay *r, VhostMessage *m)
{
    uint32_t request = m->head.request;
    unsigned q = (unsigned)(m->body.u64 & 0xff); /* all of a queue begin with its number */
    if (is_one_of(request, of_queue, sizeof of_queue) && q < VHOST_MAX_QUEUES)
        replace(&r->queue[q][request], m);
    else if (is_one_of(request, of_device, sizeof of_device) || request == VHOST_SET_INFLIGHT_FD ||
             request == VHOST_SET_STATUS) {
        r->tracks = r->tracks || request == VHOST_SET_INFLIGHT_FD;
        if (request == VHOST_SET_MEM_TABLE)
            g_ptr_array_set_size(r->slots, 0);
        replace(&r->device[request], m);
    } else if (request == VHOST_ADD_MEM_REG)
        g_ptr_array_add(r->slots, m);
    else {
        if (request == VHOST_REM_MEM_REG)
            forget_slot(r, &m->body.slot.region);
        for (q = 0; (request == VHOST_RESET_DEVICE || request == VHOST_RESET_OWNER) &&
                    q < VHOST_MAX_QUEUES;
             q++)
            forget_queue(r, q, true);
        drop(m);
    }
}

/* ---- The back end, or who is in its place -------------------------------------------- */

static bool say(Relay *r, const VhostMessage *m)
{
    VhostMessage plain = *m;
    plain.head.flags = VHOST_VERSION;
    return vhost_message_send(r->back, &plain, true) > 0;
}

/* Before the first ring starts: memory that says what is in flight. */
static bool track(Relay *r)
{
    VhostMessage get = { .head = { VHOST_GET_INFLIGHT_FD, VHOST_VERSION, VHOST_INFLIGHT_BYTES } };
    if (r->tracks || r->own || r->device[VHOST_SET_INFLIGHT_FD] ||
        !(r->offered & BIT(VHOST_PROTOCOL_INFLIGHT_SHMFD)))
        return true;
    get.body.inflight =
        (VhostInflight){ .queues = (uint16_t)r->last->queues, .queue_size = VRING_MAX_SIZE };
    VhostMessage *m = g_new0(VhostMessage, 1);
    if (vhost_message_send(r->back, &get, false) <= 0 ||
        vhost_message_receive(r->back, m, true) <= 0) {
        drop(m);
        return false;
    }
    m->head.request = VHOST_SET_INFLIGHT_FD;
    m->head.flags = VHOST_VERSION;
    replace(&r->device[VHOST_SET_INFLIGHT_FD], m);
    return say(r, m);
}

static void *serve_last(void *opaque)
{
    Relay *r = opaque;
    g_autoptr(GError) error = NULL;
    if (!vhost_backend_serve(r->own, r->own_end, &error) && r->last->say)
        r->last->say(r->last->opaque, error->message);
    shutdown(r->own_end, SHUT_RDWR);
    return NULL;
}

static bool say_all_again(Relay *r)
{
    bool good = true;
    for (unsigned i = 0; i < sizeof of_device; i++)
        good = good && (!r->device[of_device[i]] || say(r, r->device[of_device[i]]));
    for (guint i = 0; i < r->slots->len; i++)
        good = good && say(r, r->slots->pdata[i]);
    good = good && (!r->device[VHOST_SET_INFLIGHT_FD] || say(r, r->device[VHOST_SET_INFLIGHT_FD]));
    for (unsigned q = 0; q < VHOST_MAX_QUEUES; q++)
        for (unsigned i = 0; i < sizeof of_queue; i++)
            good = good && (!r->queue[q][of_queue[i]] || say(r, r->queue[q][of_queue[i]]));
    return good && (!r->device[VHOST_SET_STATUS] || say(r, r->device[VHOST_SET_STATUS]));
}

static bool answered(const Relay *r)
{
    return r->asked.head.flags & VHOST_NEED_REPLY;
}

static bool answer_asked(Relay *r)
{
    VhostMessage m = r->asked;
    if (!m.head.request)
        return true;
    if (!answered(r)) /* its answer comes as any */
        return vhost_message_send(r->back, &m, false) > 0;
    m.head.flags = VHOST_VERSION | VHOST_REPLY;
    m.head.size = sizeof m.body.u64;
    m.body.u64 = 0; /* done: it was just said again */
    r->asked.head.request = 0;
    return vhost_message_send(r->front, &m, false) > 0;
}

static bool take_over(Relay *r)
{
    int pair[2];
    if (r->own || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
        return false;
    if (r->last->say)
        r->last->say(r->last->opaque, "the server is gone: the guest gets errors");
    close(r->back);
    r->back = pair[0];
    r->own_end = pair[1];
    r->own = vhost_backend_new(r->last);
    if (pthread_create(&r->thread, NULL, serve_last, r)) {
        vhost_backend_free(g_steal_pointer(&r->own));
        close(pair[1]);
        return false;
    }
    return say_all_again(r) && answer_asked(r);
}

/* ---- Messages --------------------------------------------------------------------------- */

static bool has_answer(const VhostMessage *m)
{
    static const uint8_t gets[] = { VHOST_GET_FEATURES,      VHOST_GET_PROTOCOL_FEATURES,
                                    VHOST_GET_QUEUE_NUM,     VHOST_GET_VRING_BASE,
                                    VHOST_GET_CONFIG,        VHOST_GET_INFLIGHT_FD,
                                    VHOST_GET_MAX_MEM_SLOTS, VHOST_GET_STATUS };
    return m->head.flags & VHOST_NEED_REPLY || is_one_of(m->head.request, gets, sizeof gets);
}

static bool from_front(Relay *r)
{
    VhostMessage *m = g_new0(VhostMessage, 1);
    if (vhost_message_receive(r->front, m, false) <= 0) {
        drop(m);
        return false;
    }
    if (m->head.request == VHOST_SET_PROTOCOL_FEATURES)
        m->body.u64 |= r->offered & BIT(VHOST_PROTOCOL_INFLIGHT_SHMFD);
    bool good = m->head.request != VHOST_SET_VRING_KICK || track(r);
    if (has_answer(m)) {
        r->asked = *m;
        r->asked.fd_count = 0;
    }
    good = good && vhost_message_send(r->back, m, true) > 0;
    remember(r, m);
    return good || take_over(r);
}

static bool from_back(Relay *r)
{
    VhostMessage m;
    if (vhost_message_receive(r->back, &m, true) <= 0) {
        vhost_message_clear(&m);
        return take_over(r);
    }
    if (m.head.request == VHOST_GET_VRING_BASE && m.body.state.index < VHOST_MAX_QUEUES)
        forget_queue(r, m.body.state.index, false);
    r->asked.head.request = 0;
    bool good = vhost_message_send(r->front, &m, true) > 0;
    vhost_message_clear(&m);
    return good;
}

/* Whether or not the front end wants to know. */
static bool ask_what_is_offered(Relay *r)
{
    VhostMessage m = { .head = { VHOST_GET_PROTOCOL_FEATURES, VHOST_VERSION, 0 } };
    bool good =
        vhost_message_send(r->back, &m, false) > 0 && vhost_message_receive(r->back, &m, true) > 0;
    r->offered = good ? m.body.u64 : 0;
    vhost_message_clear(&m);
    return good || take_over(r);
}

void vhost_relay(int front, int back, const VhostDevice *last)
{
    Relay *r = g_new0(Relay, 1);
    r->front = front;
    r->back = back;
    r->last = last;
    r->slots = g_ptr_array_new_with_free_func(drop);
    for (bool good = ask_what_is_offered(r); good;) {
        struct pollfd p[2] = { { r->front, POLLIN, 0 }, { r->back, POLLIN, 0 } };
        if (poll(p, 2, -1) < 0)
            continue;
        if (p[1].revents)
            good = from_back(r);
        else if (p[0].revents)
            good = from_front(r);
    }
    close(r->front);
    close(r->back);
    if (r->own) {
        pthread_join(r->thread, NULL);
        vhost_backend_free(r->own);
        close(r->own_end);
    }
    for (unsigned i = 0; i < REQUESTS; i++)
        drop(r->device[i]);
    for (unsigned q = 0; q < VHOST_MAX_QUEUES; q++)
        forget_queue(r, q, true);
    g_ptr_array_unref(r->slots);
    g_free(r);
}
