/* SPDX-License-Identifier: MIT */
/*
 * virtio-net (Virtio 1.2, 5.1): a network card in front of a back end of lib/net; its features,
 * configuration and life. What the back end cannot do (checksums, large segments) is not offered.
 *
 * The back end's one stream of packets is spread over as many queue pairs as there are.
 *
 * Left out: UDP fragmentation and segmentation offload, receive-side scaling, failover.
 */
#include "devices/virtio/virtio_net.h"

#include "base/bytes.h"
#include "base/error.h"

#include <string.h>

enum { CONFIG_SIZE = 17, CTRL_SIZE = 64, MTU_MIN = 68, DUPLEX_UNKNOWN = 0xff };

static VirtioNet *net_of(VirtioDevice *v)
{
    return (VirtioNet *)(void *)((char *)v - offsetof(VirtioNet, v));
}

/* ---- Queues ----------------------------------------------------------------------------- */

static unsigned ctrl_queue(const VirtioNet *n)
{
    return virtio_has(&n->v, VIRTIO_F(NET_F_MQ)) ? 2 * n->pairs : 2;
}

static void card_notify(VirtioDevice *v, unsigned queue)
{
    VirtioNet *n = net_of(v);
    unsigned ctrl = virtio_has(v, VIRTIO_F(NET_F_CTRL_VQ)) ? ctrl_queue(n) : v->queue_count;
    if (queue == ctrl)
        virtio_net_ctrl_notify(n, queue);
    else if (queue < MIN(ctrl, 2 * n->pairs))
        (queue & 1 ? virtio_net_tx_notify : virtio_net_rx_notify)(n, queue / 2);
}

static void card_drain(VirtioDevice *v)
{
    VirtioNet *n = net_of(v);
    /* A packet on its way in has the lock; the next finds the queues at rest. */
    pthread_mutex_lock(&n->lock);
    pthread_mutex_unlock(&n->lock);
}

/* ---- Link, features, configuration --------------------------------------------------------- */

static void card_link_changed(void *opaque, bool up)
{
    VirtioNet *n = opaque;
    pthread_mutex_lock(&n->lock);
    n->status = (uint16_t)((n->status & ~NET_S_LINK_UP) | (up ? NET_S_LINK_UP : 0));
    pthread_mutex_unlock(&n->lock);
    virtio_config_changed(&n->v);
}

void virtio_net_announce(VirtioNet *n)
{
    if (!virtio_has(&n->v, VIRTIO_F(NET_F_GUEST_ANNOUNCE)))
        return;
    pthread_mutex_lock(&n->lock);
    n->status |= NET_S_ANNOUNCE;
    pthread_mutex_unlock(&n->lock);
    virtio_config_changed(&n->v);
}

static void card_state_reset(VirtioNet *n)
{
    pthread_mutex_lock(&n->lock);
    virtio_net_filter_reset(&n->filter, n->mac);
    __atomic_store_n(&n->active, 1, __ATOMIC_RELAXED);
    n->guest_offloads = 0;
    n->status = !n->backend || net_link(n->backend) ? NET_S_LINK_UP : 0;
    memset(n->flows, 0, sizeof n->flows);
    pthread_mutex_unlock(&n->lock);
}

static void card_virtio_reset(VirtioDevice *v)
{
    VirtioNet *n = net_of(v);
    card_state_reset(n);
    virtio_net_apply_offloads(n);
    virtio_net_unstarve(n); /* what waits is dropped then */
}

static void card_driver_ok(VirtioDevice *v)
{
    VirtioNet *n = net_of(v);
    pthread_mutex_lock(&n->lock);
    if (!virtio_has(v, VIRTIO_F(NET_F_CTRL_VLAN)))
        memset(n->filter.vlans, 0xff, sizeof n->filter.vlans);
    n->guest_offloads = virtio_net_offload_bits(n);
    pthread_mutex_unlock(&n->lock);
    virtio_net_apply_offloads(n);
}

static uint8_t duplex_of(const VirtioNet *n)
{
    return !n->duplex ? DUPLEX_UNKNOWN : g_str_equal(n->duplex, "full");
}

static void card_read_config(VirtioDevice *v, uint8_t *c)
{
    VirtioNet *n = net_of(v);
    pthread_mutex_lock(&n->lock);
    memcpy(c, n->filter.mac, sizeof n->filter.mac);
    st_le16(c + 6, n->status);
    pthread_mutex_unlock(&n->lock);
    st_le16(c + 8, (uint16_t)n->pairs);
    st_le16(c + 10, (uint16_t)n->mtu);
    st_le32(c + 12, n->speed);
    c[16] = duplex_of(n);
}

/* The address alone, and that only of old: others have a command for it. */
static void card_write_config(VirtioDevice *v, uint32_t offset, const uint8_t *bytes, uint32_t len)
{
    VirtioNet *n = net_of(v);
    if (!v->legacy || virtio_has(v, VIRTIO_F(NET_F_CTRL_MAC_ADDR)))
        return;
    pthread_mutex_lock(&n->lock);
    for (uint32_t i = 0; i < len && offset + i < sizeof n->filter.mac; i++)
        n->filter.mac[offset + i] = bytes[i];
    pthread_mutex_unlock(&n->lock);
}

static const VirtioType card_virtio = {
    .name = "virtio-net",
    .id = 1,
    .driver_ok = card_driver_ok,
    .drain = card_drain,
    .reset = card_virtio_reset,
    .notify = card_notify,
    .read_config = card_read_config,
    .write_config = card_write_config,
};

/* Features that are there only with what these back-end features stand for. */
static uint64_t offloads_missing(const VirtioNet *n)
{
    static const struct {
        unsigned net;
        uint64_t guest, host;
    } offloads[] = {
        {NET_CSUM, VIRTIO_F(NET_F_GUEST_CSUM), VIRTIO_F(NET_F_CSUM)},
        {NET_CSUM | NET_TSO4, VIRTIO_F(NET_F_GUEST_TSO4), VIRTIO_F(NET_F_HOST_TSO4)},
        {NET_CSUM | NET_TSO6, VIRTIO_F(NET_F_GUEST_TSO6), VIRTIO_F(NET_F_HOST_TSO6)},
        {NET_CSUM | NET_TSO_ECN, VIRTIO_F(NET_F_GUEST_ECN), VIRTIO_F(NET_F_HOST_ECN)},
    };
    unsigned have = n->header ? net_features(n->backend) : 0;
    uint64_t missing = 0;
    for (size_t i = 0; i < G_N_ELEMENTS(offloads); i++) {
        if (offloads[i].net & ~have || !n->want[NET_F_CSUM])
            missing |= offloads[i].host;
        if (offloads[i].net & ~have || !n->want[NET_F_GUEST_CSUM])
            missing |= offloads[i].guest;
    }
    return missing;
}

static uint64_t card_features(const VirtioNet *n)
{
    uint64_t f = 0;
    for (unsigned i = 0; i < G_N_ELEMENTS(n->want); i++)
        f |= n->want[i] ? VIRTIO_F(i) : 0;
    f &= ~offloads_missing(n);
    f |= VIRTIO_F(NET_F_MAC) | (n->mtu ? VIRTIO_F(NET_F_MTU) : 0) |
         (n->duplex || n->speed != UINT32_MAX ? VIRTIO_F(NET_F_SPEED_DUPLEX) : 0);
    if (!n->gso)
        f &= ~(VIRTIO_F(NET_F_HOST_TSO4) | VIRTIO_F(NET_F_HOST_TSO6) | VIRTIO_F(NET_F_HOST_ECN));
    if (!(f & VIRTIO_F(NET_F_STATUS)))
        f &= ~VIRTIO_F(NET_F_GUEST_ANNOUNCE);
    if (!(f & VIRTIO_F(NET_F_CTRL_VQ)))
        f &= ~(VIRTIO_F(NET_F_CTRL_RX) | VIRTIO_F(NET_F_CTRL_RX_EXTRA) |
               VIRTIO_F(NET_F_CTRL_VLAN) | VIRTIO_F(NET_F_CTRL_MAC_ADDR) |
               VIRTIO_F(NET_F_CTRL_GUEST_OFFLOADS) | VIRTIO_F(NET_F_GUEST_ANNOUNCE) |
               VIRTIO_F(NET_F_MQ));
    return f | virtio_props_features(&n->props);
}

/* ---- The device ----------------------------------------------------------------------------- */

static bool power_of_two(const char *name, uint32_t value, GError **error)
{
    return !(value & (value - 1)) || fail_usage(error, "%s=%u is not a power of two", name, value);
}

static bool check_props(const VirtioNet *n, GError **error)
{
    static const char *const duplexes[] = {"half", "full", NULL};
    static const char *const modes[] = {"bh", "timer", NULL};
    if (n->duplex && !g_strv_contains(duplexes, n->duplex))
        return fail_usage(error, "duplex=%s: it is half or full", n->duplex);
    if (!g_strv_contains(modes, n->tx_mode))
        return fail_usage(error, "tx=%s: it is bh or timer, and both are the same here",
                          n->tx_mode);
    if (n->mtu && n->mtu < MTU_MIN)
        return fail_usage(error, "host_mtu=%u is below %d", n->mtu, MTU_MIN);
    if (n->queues > 1 && (!n->want[NET_F_MQ] || !n->want[NET_F_CTRL_VQ]))
        return fail_usage(error, "queues=%u needs mq=on and ctrl_vq=on", n->queues);
    return power_of_two("rx_queue_size", n->rx_size, error) &&
           power_of_two("tx_queue_size", n->tx_size, error);
}

static bool card_start(Device *dev, GError **error)
{
    static const NetCard card = {.receive = virtio_net_receive, .any_thread = true,
                                 .room = virtio_net_room, .link = card_link_changed};
    static const uint8_t first[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56}, none[6];
    VirtioNet *n = (VirtioNet *)dev;
    pthread_mutex_init(&n->lock, NULL);
    if (!check_props(n, error))
        return false;
    if (!memcmp(n->mac, none, sizeof none))
        memcpy(n->mac, first, sizeof first);
    n->pairs = n->queues;
    n->header = n->backend && net_features(n->backend) & NET_VNET_HEADER &&
                net_set_header(n->backend, 12, 0);
    n->chains = g_new0(VringChain, n->rx_size);
    n->written = g_new0(uint32_t, n->rx_size);
    uint64_t features = card_features(n);
    bool ctrl = features & VIRTIO_F(NET_F_CTRL_VQ);
    virtio_init(&n->v, &card_virtio, dev->env.space, 2 * n->pairs + ctrl,
                MAX(MAX(n->rx_size, n->tx_size), CTRL_SIZE), features, CONFIG_SIZE);
    for (unsigned i = 0; i < n->v.queue_count; i++) {
        VirtioQueue *q = &n->v.queues[i];
        q->max_size = (uint16_t)(i == 2 * n->pairs ? CTRL_SIZE : i & 1 ? n->tx_size : n->rx_size);
        q->config.size = q->max_size;
    }
    card_state_reset(n);
    if (n->backend)
        net_set_card(n->backend, &card, n);
    return true;
}

static void card_stop(Device *dev)
{
    VirtioNet *n = (VirtioNet *)dev;
    if (n->backend && n->v.type) {
        net_set_card(n->backend, NULL, NULL);
        net_set_header(n->backend, 0, 0);
    }
    virtio_clear(&n->v);
    for (uint32_t i = 0; n->chains && i < n->rx_size; i++)
        vring_chain_clear(&n->chains[i]);
    g_free(n->chains);
    g_free(n->written);
    pthread_mutex_destroy(&n->lock);
}

static void card_reset(Device *dev)
{
    virtio_reset(&((VirtioNet *)dev)->v);
}

static void card_saving(Device *dev)
{
    virtio_saving(&((VirtioNet *)dev)->v);
}

static bool card_loaded(Device *dev, GError **error)
{
    VirtioNet *n = (VirtioNet *)dev;
    if (!virtio_net_filter_valid(&n->filter) || !n->active || n->active > n->pairs)
        return fail(error, "virtio-net: the saved state has more addresses or queues than there "
                    "can be");
    uint64_t offloads = n->guest_offloads;
    uint32_t vlans[G_N_ELEMENTS(n->filter.vlans)];
    memcpy(vlans, n->filter.vlans, sizeof vlans);
    n->status = !n->backend || net_link(n->backend) ? NET_S_LINK_UP : 0;
    if (!virtio_loaded(&n->v, error))
        return false;
    memcpy(n->filter.vlans, vlans, sizeof vlans);
    n->guest_offloads = offloads & virtio_net_offload_bits(n);
    virtio_net_apply_offloads(n);
    virtio_net_announce(n); /* it may be somewhere else now */
    return true;
}

static VirtioDevice *card_face(Device *dev)
{
    return &((VirtioNet *)dev)->v;
}

static const StateField card_saved[] = {
    VIRTIO_SAVED(VirtioNet, v),
    STATE_ARRAY(VirtioNet, filter.mac, 1),
    STATE_FIELD(VirtioNet, filter.promisc, 1),
    STATE_FIELD(VirtioNet, filter.all_multi, 1),
    STATE_FIELD(VirtioNet, filter.all_uni, 1),
    STATE_FIELD(VirtioNet, filter.no_multi, 1),
    STATE_FIELD(VirtioNet, filter.no_uni, 1),
    STATE_FIELD(VirtioNet, filter.no_broadcast, 1),
    STATE_FIELD(VirtioNet, filter.uni_overflow, 1),
    STATE_FIELD(VirtioNet, filter.multi_overflow, 1),
    STATE_FIELD(VirtioNet, filter.uni_count, 1),
    STATE_FIELD(VirtioNet, filter.multi_count, 1),
    STATE_ARRAY(VirtioNet, filter.macs, 1),
    STATE_ARRAY(VirtioNet, filter.vlans, 1),
    STATE_FIELD(VirtioNet, active, 1),
    STATE_FIELD(VirtioNet, guest_offloads, 1),
    STATE_END,
};

#define AT(field) offsetof(VirtioNet, field)
#define WANT(name, bit, def, help) {name, DEVICE_BOOL, AT(want[bit]), def, 0, 0, help}
static const DeviceProp card_props[] = {
    {"netdev", DEVICE_NET, AT(backend), NULL, 0, 0, "the -netdev it leads to"},
    {"mac", DEVICE_MAC, AT(mac), NULL, 0, 0, "its address; else the next of 52:54:00:12:34:56"},
    WANT("mrg_rxbuf", NET_F_MRG_RXBUF, "on", "packets in several receive buffers"),
    WANT("status", NET_F_STATUS, "on", "the guest sees whether the link is up"),
    WANT("csum", NET_F_CSUM, "on", "checksums of what is sent are left to the host"),
    WANT("guest_csum", NET_F_GUEST_CSUM, "on", "and of what is received"),
    {"gso", DEVICE_BOOL, AT(gso), "on", 0, 0, "large segments are sent (host_tso4, host_tso6)"},
    WANT("host_tso4", NET_F_HOST_TSO4, "on", "over IPv4"),
    WANT("host_tso6", NET_F_HOST_TSO6, "on", "over IPv6"),
    WANT("host_ecn", NET_F_HOST_ECN, "on", "also with congestion marks"),
    WANT("guest_tso4", NET_F_GUEST_TSO4, "on", "large segments are received over IPv4"),
    WANT("guest_tso6", NET_F_GUEST_TSO6, "on", "over IPv6"),
    WANT("guest_ecn", NET_F_GUEST_ECN, "on", "also with congestion marks"),
    WANT("guest_announce", NET_F_GUEST_ANNOUNCE, "on", "the guest makes itself known when moved"),
    WANT("ctrl_vq", NET_F_CTRL_VQ, "on", "a control queue"),
    WANT("ctrl_rx", NET_F_CTRL_RX, "on", "the guest chooses what it receives"),
    WANT("ctrl_rx_extra", NET_F_CTRL_RX_EXTRA, "on", "in more detail"),
    WANT("ctrl_vlan", NET_F_CTRL_VLAN, "on", "and of which VLANs"),
    WANT("ctrl_mac_addr", NET_F_CTRL_MAC_ADDR, "on", "the guest may change the address"),
    WANT("ctrl_guest_offloads", NET_F_CTRL_GUEST_OFFLOADS, "on",
         "the guest switches what it receives large or unchecked"),
    WANT("mq", NET_F_MQ, "off", "several pairs of queues"),
    {"queues", DEVICE_U32, AT(queues), "1", 1, NET_MAX_PAIRS, "how many with mq=on"},
    {"rx_queue_size", DEVICE_U32, AT(rx_size), "256", 64, VRING_MAX_SIZE, "entries of a queue"},
    {"tx_queue_size", DEVICE_U32, AT(tx_size), "256", 64, VRING_MAX_SIZE, "entries of a queue"},
    {"host_mtu", DEVICE_U32, AT(mtu), NULL, 0, 65535, "the network's MTU; 0 says nothing"},
    {"speed", DEVICE_U32, AT(speed), "4294967295", 0, 0, "of the link in Mbit/s, as the guest sees it"},
    {"duplex", DEVICE_STRING, AT(duplex), NULL, 0, 0, "half or full, as the guest sees it"},
    {"tx", DEVICE_STRING, AT(tx_mode), "bh", 0, 0, "bh or timer; taken, no difference"},
    {"bootindex", DEVICE_U32, AT(bootindex), NULL, 0, 0, "for firmware; taken and not used yet"},
    VIRTIO_PROPS(VirtioNet, props),
    {.name = NULL},
};

const DeviceType virtio_net_type = {
    .name = "virtio-net-device",
    .summary = "network card",
    .size = sizeof(VirtioNet),
    .props = card_props,
    .saved = card_saved,
    .slot = "virtio",
    .start = card_start,
    .reset = card_reset,
    .stop = card_stop,
    .saving = card_saving,
    .loaded = card_loaded,
    .virtio = card_face,
};
