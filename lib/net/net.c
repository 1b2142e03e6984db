/* SPDX-License-Identifier: MIT */
/* Packets between cards and back ends, and the table of back ends; see net.h. */
#include "base/error.h"
#include "net/net_priv.h"

#include <string.h>

static const NetType *const net_types[] = {
#define NET(name) &name##_net,
#include "net/nets.def"
#undef NET
};

/* ---- To the card ----------------------------------------------------------- */

/* Under card_lock. */
static bool give(NetBackend *b, const void *data, size_t length)
{
    struct iovec iov = { .iov_base = (void *)data, .iov_len = length };
    return !b->card.receive || !net_link(b) || b->card.receive(b->card_opaque, &iov, 1);
}

/* Gives what waits, until the card has no room. */
static void give_waiting(NetBackend *b)
{
    for (bool taken = true; taken;) {
        g_mutex_lock(&b->card_lock);
        g_mutex_lock(&b->lock);
        GBytes *packet = g_queue_peek_head(&b->packets);
        g_mutex_unlock(&b->lock);
        taken = packet && give(b, g_bytes_get_data(packet, NULL), g_bytes_get_size(packet));
        if (taken) { /* it was in the queue until now: nothing can have passed it */
            g_mutex_lock(&b->lock);
            g_queue_pop_head(&b->packets);
            g_mutex_unlock(&b->lock);
            g_bytes_unref(packet);
        }
        g_mutex_unlock(&b->card_lock);
    }
}

static gboolean on_idle(gpointer opaque)
{
    NetBackend *b = opaque;
    g_mutex_lock(&b->lock);
    bool again = b->again, room = b->room;
    b->again = b->room = false;
    g_clear_pointer(&b->idle, g_source_unref);
    g_mutex_unlock(&b->lock);
    give_waiting(b);
    if (again && b->type->resume && net_wants_more(b))
        b->type->resume(b);
    if (room && b->card.room)
        b->card.room(b->card_opaque);
    return G_SOURCE_REMOVE;
}

/* Under the lock. */
static void wake(NetBackend *b)
{
    if (b->idle)
        return;
    b->idle = g_idle_source_new();
    g_source_set_priority(b->idle, G_PRIORITY_DEFAULT);
    g_source_set_callback(b->idle, on_idle, b, NULL);
    g_source_attach(b->idle, NULL);
}

bool net_wants_more(NetBackend *b)
{
    g_mutex_lock(&b->lock);
    bool wants = g_queue_is_empty(&b->packets);
    g_mutex_unlock(&b->lock);
    return wants;
}

static bool enqueue(NetBackend *b, const void *data, size_t length, bool wake_up)
{
    g_mutex_lock(&b->lock);
    if (b->packets.length < NET_QUEUE_MAX)
        g_queue_push_tail(&b->packets, g_bytes_new(data, length));
    if (wake_up)
        wake(b);
    g_mutex_unlock(&b->lock);
    return false;
}

bool net_deliver(NetBackend *b, const void *data, size_t length)
{
    if (length > NET_PACKET_MAX || !length)
        return true;
    g_mutex_lock(&b->card_lock);
    bool taken = (net_wants_more(b) && give(b, data, length)) || enqueue(b, data, length, false);
    g_mutex_unlock(&b->card_lock);
    return taken;
}

void net_deliver_any(NetBackend *b, const void *data, size_t length)
{
    if (!length || length > NET_PACKET_MAX)
        return;
    g_mutex_lock(&b->card_lock);
    /* One that the card refuses waits for net_receive_again. */
    bool now = b->card.any_thread;
    if (!now || !net_wants_more(b) || !give(b, data, length))
        enqueue(b, data, length, !now);
    g_mutex_unlock(&b->card_lock);
}

void net_receive_again(NetBackend *b)
{
    g_mutex_lock(&b->lock);
    b->again = true;
    wake(b);
    g_mutex_unlock(&b->lock);
}

static void drop_packets(NetBackend *b)
{
    g_mutex_lock(&b->lock);
    g_queue_clear_full(&b->packets, (GDestroyNotify)g_bytes_unref);
    g_mutex_unlock(&b->lock);
}

void net_set_card(NetBackend *b, const NetCard *card, void *opaque)
{
    g_mutex_lock(&b->card_lock);
    drop_packets(b);
    b->card = card ? *card : (NetCard){ 0 };
    b->card_opaque = opaque;
    g_mutex_unlock(&b->card_lock);
    if (card)
        net_receive_again(b);
}

/* ---- From the card --------------------------------------------------------- */

bool net_send(NetBackend *b, const struct iovec *iov, unsigned count)
{
    size_t length = 0;
    for (unsigned i = 0; i < count; i++) {
        if (iov[i].iov_len > NET_PACKET_MAX - length)
            return true;
        length += iov[i].iov_len;
    }
    return !length || !net_link(b) || b->type->send(b, iov, count, length);
}

void net_room(NetBackend *b)
{
    g_mutex_lock(&b->lock);
    b->room = true;
    wake(b);
    g_mutex_unlock(&b->lock);
}

unsigned net_features(const NetBackend *b)
{
    return b->type->features ? b->type->features(b) : 0;
}

bool net_set_header(NetBackend *b, size_t length, unsigned features)
{
    if (!length && !features && !b->type->set_header)
        return true;
    return (features & ~net_features(b)) == 0 && (length == 0 || length == 10 || length == 12) &&
           b->type->set_header && b->type->set_header(b, length, features);
}

/* ---- The link -------------------------------------------------------------- */

bool net_link(const NetBackend *b)
{
    GMutex *lock = (GMutex *)&b->lock;
    g_mutex_lock(lock);
    bool up = b->link_set && b->peer;
    g_mutex_unlock(lock);
    return up;
}

static void change_link(NetBackend *b, bool *what, bool to)
{
    bool before = net_link(b);
    g_mutex_lock(&b->lock);
    *what = to;
    g_mutex_unlock(&b->lock);
    bool now = net_link(b);
    if (before != now && b->card.link)
        b->card.link(b->card_opaque, now);
}

void net_set_link(NetBackend *b, bool up)
{
    change_link(b, &b->link_set, up);
}

void net_set_peer(NetBackend *b, bool there)
{
    change_link(b, &b->peer, there);
}

/* ---- Life ------------------------------------------------------------------ */

static const NetType *find_type(const char *name, GError **error)
{
    static const char *const elsewhere[] = { "bridge", "l2tpv3", "vde", "netmap", "vhost-user",
                                             "vhost-vdpa", "af-xdp", "passt" };
    for (size_t i = 0; i < G_N_ELEMENTS(net_types); i++) {
        if (!strcmp(net_types[i]->name, name))
            return net_types[i];
    }
    for (size_t i = 0; i < G_N_ELEMENTS(elsewhere); i++) {
        if (!strcmp(elsewhere[i], name)) {
            fail_usage(error, "the %s back end is not there yet", name);
            return NULL;
        }
    }
    if (!strcmp(name, "hubport"))
        fail_usage(error, "there are no hubs; each card has a back end of its own");
    else
        fail_usage(error, "'%s': no such network back end (there are: user, stream, dgram, socket, "
                   "tap)", name);
    return NULL;
}

NetBackend *net_open(Options *o, const char *id, GError **error)
{
    const char *name = options_need(o, "type", error);
    const NetType *type = name ? find_type(name, error) : NULL;
    if (!type)
        return NULL;
    NetBackend *b = g_new0(NetBackend, 1);
    b->type = type;
    b->id = g_strdup(id);
    b->link_set = b->peer = true;
    g_mutex_init(&b->lock);
    g_mutex_init(&b->card_lock);
    g_queue_init(&b->packets);
    if (!type->open(b, o, error)) {
        net_free(b);
        return NULL;
    }
    return b;
}

void net_free(NetBackend *b)
{
    if (!b)
        return;
    if (b->type->close)
        b->type->close(b);
    drop_packets(b);
    if (b->idle) {
        g_source_destroy(b->idle);
        g_source_unref(b->idle);
    }
    g_mutex_clear(&b->lock);
    g_mutex_clear(&b->card_lock);
    g_free(b->id);
    g_free(b);
}

const char *net_id(const NetBackend *b)
{
    return b->id;
}

char *net_describe(const NetBackend *b)
{
    return b->type->describe ? b->type->describe(b) : g_strdup(b->type->name);
}

char *net_help(void)
{
    GString *s = g_string_new(NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(net_types); i++)
        g_string_append_printf(s, "  %-52s %s\n", net_types[i]->usage, net_types[i]->summary);
    return g_string_free(s, FALSE);
}
