/* SPDX-License-Identifier: MIT */
/* Two virtio-net cards on a stream socket, each driven as a driver drives it: packets whole and in
 * pieces, no room on either side, the control queue, the link, resets on the way, hostile rings. */
#include "devices/test_driver.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HEADER = 12, MRG_RXBUF = 15 };

static void card_init(Card *c, NetBackend *backend, const char *const *props)
{
    card_make(c, "virtio-net-device", props);
    g_assert_true(device_set_net(c->dev, "netdev", backend, NULL));
    card_start(c);
}

static uint64_t rx_addr(unsigned q, unsigned i)
{
    return BUFFERS(q) + 0x1000 * i;
}

static void rx_add(Card *c, unsigned q, unsigned i, uint32_t len)
{
    desc(c, q, i, rx_addr(q, i), len, WRITE);
    offer(c, q, i);
}

/* head 0..15; the packet has up to 0x4000 - 12 bytes. */
static void tx(Card *c, unsigned q, unsigned head, const void *data, uint32_t len)
{
    uint8_t *p = at(c, BUFFERS(q) + 0x4000 * head);
    memset(p, 0, HEADER);
    memcpy(p + HEADER, data, len);
    desc(c, q, head, BUFFERS(q) + 0x4000 * head, HEADER + len, 0);
    offer(c, q, head);
}

/* The next packet of a receive queue, from its buffers, without its header; its length. */
static uint32_t rx_take(Card *c, unsigned q, uint8_t *to, unsigned *buffers)
{
    uint32_t total = 0;
    unsigned count = 1;
    run_until(used(c, q) != c->seen[q]);
    for (unsigned i = 0; i < count; i++) {
        g_assert_cmpuint(used(c, q), !=, c->seen[q]); /* all at once */
        const uint8_t *e = at(c, RING(q) + 0x2000 + 4 + 8 * (c->seen[q]++ % SIZE));
        const uint8_t *p = at(c, rx_addr(q, ld_le32(e)));
        uint32_t len = ld_le32(e + 4), skip = i ? 0 : HEADER;
        if (!i)
            count = ld_le16(p + 10);
        g_assert_cmpuint(len, >=, skip);
        memcpy(to + total, p + skip, len - skip);
        total += len - skip;
    }
    if (buffers)
        *buffers = count;
    return total;
}

/* A broadcast frame of that length, its bytes after seed. */
static void frame(uint8_t *p, uint32_t len, unsigned seed)
{
    for (uint32_t i = 0; i < len; i++)
        p[i] = (uint8_t)(i * 7 + seed + i / 251);
    memset(p, 0xff, MIN(len, 6));
}

static void expect(Card *c, unsigned q, uint32_t len, unsigned seed, unsigned buffers)
{
    g_autofree uint8_t *want = g_malloc(len), *got = g_malloc(0x20000);
    unsigned count;
    frame(want, len, seed);
    uint32_t n = rx_take(c, q, got, &count);
    g_assert_cmpmem(got, n, want, len);
    g_assert_cmpuint(count, ==, buffers);
}

static void tx_frame(Card *c, unsigned head, uint32_t len, unsigned seed)
{
    g_autofree uint8_t *p = g_malloc(len);
    frame(p, len, seed);
    tx(c, 1, head, p, len);
}

/* ---- Two of them ------------------------------------------------------------------------ */

typedef struct {
    NetTable *table;
    NetBackend *a, *b;
    int fd; /* the other end, if there is no b */
} Wire;

static NetBackend *end(Wire *w, const char *id, int fd)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text = g_strdup_printf("stream,id=%s,addr.type=fd,addr.str=%d", id, fd);
    net_table_add(w->table, text, &error);
    g_assert_no_error(error);
    return net_table_get(w->table, id, NULL);
}

static void wire_init(Wire *w, bool both)
{
    int fd[2];
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), ==, 0);
    *w = (Wire){.table = net_table_new(), .fd = fd[1]};
    w->a = end(w, "a", fd[0]);
    if (both)
        w->b = end(w, "b", fd[1]);
}

static void wire_clear(Wire *w)
{
    if (!w->b)
        close(w->fd);
    net_table_free(w->table);
}

static void test_packets(void)
{
    Wire w;
    Card a, b;
    wire_init(&w, true);
    card_init(&a, w.a, NULL);
    card_init(&b, w.b, NULL);
    for (unsigned i = 0; i < 16; i++)
        rx_add(&b, 0, i, 1536);
    tx_frame(&a, 0, 60, 1);
    expect(&b, 0, 60, 1, 1);
    tx_frame(&a, 1, 1514, 2);
    expect(&b, 0, 1514, 2, 1);
    tx_frame(&a, 2, 1525, 3); /* one byte more than a buffer takes with its header */
    expect(&b, 0, 1525, 3, 2);
    tx_frame(&a, 3, 16000, 4);
    expect(&b, 0, 16000, 4, 11);
    run_until(used(&a, 1) == 4);
    g_assert_true(__atomic_load_n(&b.line, __ATOMIC_ACQUIRE));
    rx_add(&a, 0, 0, 2048);
    tx_frame(&b, 0, 99, 5);
    expect(&a, 0, 99, 5, 1);
    card_clear(&a);
    card_clear(&b);
    wire_clear(&w);
}

/* Buffers as a driver without MRG_RXBUF gives them: too small ones lose the packet, not themselves. */
static void test_not_merged(void)
{
    Wire w;
    Card a, b;
    wire_init(&w, true);
    card_init(&a, w.a, NULL);
    card_init(&b, w.b, NULL);
    bring_up(&b, VIRTIO_F(MRG_RXBUF));
    desc(&b, 0, 0, rx_addr(0, 0), HEADER, WRITE | NEXT);
    desc(&b, 0, 1, rx_addr(0, 0) + HEADER, 200, WRITE);
    offer(&b, 0, 0);
    tx_frame(&a, 0, 201, 1);
    run_a_while();
    g_assert_cmpuint(used(&b, 0), ==, 0);
    tx_frame(&a, 1, 200, 2);
    expect(&b, 0, 200, 2, 1);
    card_clear(&a);
    card_clear(&b);
    wire_clear(&w);
}

static void test_starved(void)
{
    Wire w;
    Card a, b;
    wire_init(&w, true);
    card_init(&a, w.a, NULL);
    card_init(&b, w.b, NULL);
    for (unsigned i = 0; i < 3; i++)
        tx_frame(&a, i, 100 + i, i);
    run_until(used(&a, 1) == 3);
    run_a_while();
    for (unsigned i = 0; i < 3; i++) {
        rx_add(&b, 0, i, 1536);
        expect(&b, 0, 100 + i, i, 1);
    }
    /* too few for a large one, which takes none of them */
    rx_add(&b, 0, 3, 1536);
    tx_frame(&a, 3, 4000, 9);
    run_a_while();
    g_assert_cmpuint(used(&b, 0), ==, 3);
    rx_add(&b, 0, 4, 1536);
    run_a_while();
    g_assert_cmpuint(used(&b, 0), ==, 3);
    rx_add(&b, 0, 5, 1536);
    expect(&b, 0, 4000, 9, 3);
    /* a reset lets go of what waits */
    tx_frame(&a, 4, 500, 1);
    run_until(used(&a, 1) == 5);
    run_a_while();
    bring_up(&b, 0);
    run_a_while();
    rx_add(&b, 0, 0, 1536);
    tx_frame(&a, 5, 501, 2);
    run_until(used(&b, 0) == 1);
    card_clear(&a);
    card_clear(&b);
    wire_clear(&w);
}

/* More small buffers than the ring has cannot be waited for. */
static void test_never_fits(void)
{
    Wire w;
    Card a, b;
    wire_init(&w, true);
    card_init(&a, w.a, NULL);
    card_init(&b, w.b, NULL);
    for (unsigned i = 0; i < SIZE; i++)
        rx_add(&b, 0, i, 20);
    tx_frame(&a, 0, 8000, 1);
    run_a_while();
    g_assert_cmpuint(used(&b, 0), ==, 0);
    tx_frame(&a, 1, 88, 2); /* 8 bytes and four times 20 */
    expect(&b, 0, 88, 2, 5);
    card_clear(&a);
    card_clear(&b);
    wire_clear(&w);
}

/* ---- No room on the way out -------------------------------------------------------------- */

static size_t read_all(int fd)
{
    g_autofree uint8_t *buf = g_malloc(1 << 16);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    size_t all = 0;
    while (poll(&p, 1, 20) == 1) {
        ssize_t n = read(fd, buf, 1 << 16);
        g_assert_cmpint(n, >, 0);
        all += (size_t)n;
        g_main_context_iteration(NULL, FALSE);
    }
    return all;
}

/* Sends until the host's end takes no more; packets offered. */
static unsigned fill(Card *c)
{
    unsigned sent = 0;
    for (uint16_t before = used(c, 1);; before = used(c, 1)) {
        tx_frame(c, sent++ % 8, 16000, 1);
        for (unsigned i = 0; i < 50 && used(c, 1) == before; i++)
            g_usleep(1000);
        if (used(c, 1) == before)
            return sent;
        g_assert_cmpuint(sent, <, 1000);
    }
}

static void test_back_pressure(void)
{
    Wire w;
    Card a;
    wire_init(&w, false);
    card_init(&a, w.a, NULL);
    unsigned sent = fill(&a);
    g_assert_cmpuint(used(&a, 1), <, sent);
    size_t bytes = 0;
    for (unsigned i = 0; i < 20 && used(&a, 1) != sent; i++) {
        bytes += read_all(w.fd);
        run_a_while();
    }
    g_assert_cmpuint(used(&a, 1), ==, sent);
    bytes += read_all(w.fd);
    g_assert_cmpuint(bytes, ==, sent * (16000 + 4)); /* each once */
    /* reset while it is full, and the end */
    for (unsigned round = 0; round < 2; round++) {
        fill(&a);
        bring_up(&a, 0);
        g_assert_cmpuint(used(&a, 1), ==, 0);
        bytes = 0;
        while (read_all(w.fd))
            run_a_while();
        tx_frame(&a, 0, 60, 1);
        run_until(used(&a, 1) == 1);
    }
    fill(&a);
    card_clear(&a);
    wire_clear(&w);
}

/* ---- Control ------------------------------------------------------------------------------- */

static int command(Card *c, uint8_t class, uint8_t what, const void *data, uint32_t len)
{
    unsigned q = 2;
    uint8_t *p = at(c, BUFFERS(q));
    uint16_t before = used(c, q);
    p[0] = class;
    p[1] = what;
    if (len)
        memcpy(p + 2, data, len);
    p[0x1000] = 0xee;
    desc(c, q, 0, BUFFERS(q), 2 + len, NEXT);
    desc(c, q, 1, BUFFERS(q) + 0x1000, 1, WRITE);
    offer(c, q, 0);
    run_until(used(c, q) != before);
    return p[0x1000];
}

/* Sends to b; whether it arrives. */
static bool arrives(Card *a, Card *b, const uint8_t *to, unsigned vlan)
{
    uint8_t p[64] = {0};
    uint16_t before = used(b, 0), sent = used(a, 1);
    memcpy(p, to, 6);
    st_be16(p + 12, vlan ? 0x8100 : 0x88b5);
    st_be16(p + 14, (uint16_t)vlan);
    rx_add(b, 0, 0, 2048);
    tx(a, 1, 0, p, sizeof p);
    run_until(used(a, 1) != sent);
    run_a_while();
    if (used(b, 0) != before) {
        b->seen[0] = used(b, 0);
        return true;
    }
    /* the buffer is used up for the next one */
    uint8_t all[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    memcpy(p, all, 6);
    st_be16(p + 12, 0x88b5);
    tx(a, 1, 0, p, sizeof p);
    run_until(used(b, 0) != before);
    b->seen[0] = used(b, 0);
    return false;
}

static void test_control(void)
{
    static const uint8_t own[6] = {0x52, 0x54, 0, 0x12, 0x34, 0x57}, other[6] = {2, 0, 0, 0, 0, 1},
                         group[6] = {0x33, 0x33, 0, 0, 0, 1}, on = 1, off = 0;
    static const char *const props[] = {"mac=52:54:00:12:34:57", NULL};
    uint8_t table[4 + 6 + 4 + 6] = {1, 0, 0, 0, 2, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0x33, 0x33, 0, 0, 0, 1};
    Wire w;
    Card a, b;
    wire_init(&w, true);
    card_init(&a, w.a, NULL);
    card_init(&b, w.b, props);
    g_assert_true(arrives(&a, &b, other, 0)); /* promiscuous at the start */
    g_assert_cmpint(command(&b, 0, 0, &off, 1), ==, 0);
    g_assert_true(arrives(&a, &b, own, 0));
    g_assert_false(arrives(&a, &b, other, 0));
    g_assert_false(arrives(&a, &b, group, 0));
    g_assert_cmpint(command(&b, 1, 0, table, sizeof table), ==, 0);
    g_assert_true(arrives(&a, &b, other, 0));
    g_assert_true(arrives(&a, &b, group, 0));
    g_assert_cmpint(command(&b, 0, 3, &on, 1), ==, 0); /* NOMULTI */
    g_assert_false(arrives(&a, &b, group, 0));
    g_assert_cmpint(command(&b, 1, 1, other, 6), ==, 0);
    g_assert_cmpuint(rd(&b, 0x100, 4), ==, ld_le32(other));
    /* VLANs */
    g_assert_false(arrives(&a, &b, other, 5));
    g_assert_cmpint(command(&b, 2, 0, "\5\0", 2), ==, 0);
    g_assert_true(arrives(&a, &b, other, 5));
    g_assert_cmpint(command(&b, 2, 1, "\5\0", 2), ==, 0);
    g_assert_false(arrives(&a, &b, other, 5));
    /* nonsense changes nothing */
    table[0] = 0xff;
    g_assert_cmpint(command(&b, 1, 0, table, sizeof table), ==, 1);
    table[0] = 1;
    g_assert_cmpint(command(&b, 1, 0, table, sizeof table - 1), ==, 1);
    g_assert_cmpint(command(&b, 1, 1, own, 5), ==, 1);
    g_assert_cmpint(command(&b, 2, 0, "\0\x10", 2), ==, 1);
    g_assert_cmpint(command(&b, 0, 6, &on, 1), ==, 1);
    g_assert_cmpint(command(&b, 3, 0, NULL, 0), ==, 1);
    g_assert_cmpint(command(&b, 4, 0, "\2\0", 2), ==, 1);
    g_assert_cmpint(command(&b, 5, 0, "\377\0\0\0\0\0\0\0", 8), ==, 1);
    g_assert_cmpint(command(&b, 9, 9, NULL, 0), ==, 1);
    g_assert_true(arrives(&a, &b, other, 0));
    /* a reset takes all of it back */
    bring_up(&b, 0);
    g_assert_cmpuint(rd(&b, 0x100, 4), ==, ld_le32(own));
    g_assert_true(arrives(&a, &b, group, 7));
    /* no room for the answer */
    desc(&b, 2, 0, BUFFERS(2), 3, 0);
    offer(&b, 2, 0);
    run_until(rd(&b, 0x70, 4) & 64);
    card_clear(&a);
    card_clear(&b);
    wire_clear(&w);
}

static void test_link(void)
{
    Wire w;
    Card a, b;
    wire_init(&w, true);
    card_init(&a, w.a, NULL);
    card_init(&b, w.b, NULL);
    g_assert_cmpuint(rd(&b, 0x106, 2), ==, 1);
    uint32_t generation = rd(&b, 0xfc, 4);
    net_set_link(w.b, false);
    g_assert_cmpuint(rd(&b, 0x106, 2), ==, 0);
    g_assert_cmpuint(rd(&b, 0x60, 4) & 2, ==, 2);
    g_assert_cmpuint(rd(&b, 0xfc, 4), !=, generation);
    rx_add(&b, 0, 0, 2048);
    tx_frame(&a, 0, 60, 1);
    tx_frame(&b, 0, 60, 1); /* is lost, not kept */
    run_until(used(&b, 1) == 1 && used(&a, 1) == 1);
    run_a_while();
    g_assert_cmpuint(used(&b, 0), ==, 0);
    net_set_link(w.b, true);
    g_assert_cmpuint(rd(&b, 0x106, 2), ==, 1);
    tx_frame(&a, 0, 61, 2);
    expect(&b, 0, 61, 2, 1);
    card_clear(&a);
    card_clear(&b);
    wire_clear(&w);
}

static void test_saved(void)
{
    static const uint8_t mac[6] = {2, 0, 0, 0, 0, 9}, off = 0;
    Wire w;
    Card a, b;
    wire_init(&w, true);
    card_init(&a, w.a, NULL);
    card_init(&b, w.b, NULL);
    g_assert_cmpint(command(&b, 0, 0, &off, 1), ==, 0);
    g_assert_cmpint(command(&b, 1, 1, mac, 6), ==, 0);
    rx_add(&b, 0, 0, 2048);
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    device_save(b.slot, bytes);
    device_save(b.dev, bytes);
    device_reset(b.slot);
    device_reset(b.dev);
    size_t pos = 0;
    g_assert_true(device_load(b.slot, bytes->data, bytes->len, &pos, NULL));
    g_assert_true(device_load(b.dev, bytes->data, bytes->len, &pos, NULL));
    g_assert_cmpuint(rd(&b, 0x100, 4), ==, ld_le32(mac));
    g_assert_cmpuint(rd(&b, 0x106, 2), ==, 3); /* up, and wants to be announced */
    g_assert_cmpint(command(&b, 3, 0, NULL, 0), ==, 0);
    g_assert_cmpuint(rd(&b, 0x106, 2), ==, 1);
    tx_frame(&a, 0, 60, 1);
    expect(&b, 0, 60, 1, 1);
    uint8_t p[60] = {2, 0, 0, 0, 0, 8};
    rx_add(&b, 0, 1, 2048);
    tx(&a, 1, 1, p, sizeof p);
    run_a_while();
    g_assert_cmpuint(used(&b, 0), ==, 1);
    card_clear(&a);
    card_clear(&b);
    wire_clear(&w);
}

/* An answer comes in on the pair that asked. */
static void test_pairs(void)
{
    static const char *const props[] = {"mq=on", "queues=2", "ctrl_vq=on", NULL};
    uint8_t p[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 8, 0, 0x45};
    Wire w;
    Card a, b;
    wire_init(&w, true);
    card_init(&a, w.a, NULL);
    card_init(&b, w.b, props);
    g_assert_cmpuint(rd(&b, 0x108, 2), ==, 2);
    uint8_t *c = at(&b, BUFFERS(4));
    memcpy(c, "\4\0\2\0", 4);
    desc(&b, 4, 0, BUFFERS(4), 4, NEXT);
    desc(&b, 4, 1, BUFFERS(4) + 0x1000, 1, WRITE);
    offer(&b, 4, 0);
    run_until(used(&b, 4) == 1);
    g_assert_cmpuint(c[0x1000], ==, 0);
    p[23] = 17;
    memcpy(p + 26, "\12\0\0\1\12\0\0\2\0\7\0\11", 12);
    rx_add(&b, 0, 0, 2048);
    rx_add(&b, 2, 0, 2048);
    rx_add(&a, 0, 0, 2048);
    tx(&b, 3, 0, p, sizeof p);
    run_until(used(&a, 0) == 1);
    memcpy(p + 26, "\12\0\0\2\12\0\0\1\0\11\0\7", 12);
    tx(&a, 1, 0, p, sizeof p);
    run_until(used(&b, 2) == 1);
    p[29] = 77;
    tx(&a, 1, 0, p, sizeof p);
    run_until(used(&b, 0) == 1);
    card_clear(&a);
    card_clear(&b);
    wire_clear(&w);
}

static void test_properties(void)
{
    static const char *const bad[] = {"mac=52:54:00:12:34", "mac=01:00:00:00:00:00", "mq=2",
                                      "queues=0", "queues=32", "rx_queue_size=2048",
                                      "host_mtu=70000", "netdev=n"};
    Device *dev = device_new(device_type_find("virtio-net-device"), "d");
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_auto(GStrv) parts = g_strsplit(bad[i], "=", 2);
        g_assert_false(device_set(dev, parts[0], parts[1], NULL));
    }
    device_free(dev);
    static const char *const props[] = {"host_mtu=9000", "speed=10000", "duplex=full",
                                        "mac=02:00:00:00:00:77", NULL};
    Wire w;
    Card a;
    wire_init(&w, false);
    card_init(&a, w.a, props);
    g_assert_cmpuint(rd(&a, 0x105, 1), ==, 0x77);
    g_assert_cmpuint(rd(&a, 0x10a, 2), ==, 9000);
    g_assert_cmpuint(rd(&a, 0x10c, 4), ==, 10000);
    g_assert_cmpuint(rd(&a, 0x110, 1), ==, 1);
    wr(&a, 0x14, 0);
    /* the back end has no headers: nothing is left to it */
    g_assert_cmpuint(rd(&a, 0x10, 4) & (1u << 0 | 1u << 1 | 0x3f80), ==, 0);
    g_assert_cmpuint(rd(&a, 0x10, 4) & 1u << 3, !=, 0);
    card_clear(&a);
    wire_clear(&w);
}

/* Rings, buffers and registers at random, with packets coming in: a reset makes all well. */
static void test_poker(void)
{
#ifdef __SANITIZE_THREAD__
    g_test_skip("races on purpose");
    return;
#endif
    Wire w;
    Card a, b;
    GRand *rand = g_rand_new_with_seed((guint32)g_test_rand_int());
    wire_init(&w, true);
    card_init(&a, w.a, NULL);
    card_init(&b, w.b, NULL);
    for (unsigned i = 0; i < 20000; i++) {
        uint32_t r = g_rand_int(rand);
        unsigned q = r % 3;
        if (i % 300 == 0)
            bring_up(&b, r & 1 << 4 ? VIRTIO_F(MRG_RXBUF) : 0);
        if (i % 50 == 0)
            g_main_context_iteration(NULL, FALSE);
        if (i % 64 == 0 && used(&a, 1) == (uint16_t)ld_le16(at(&a, RING(1) + 0x1002)))
            tx_frame(&a, r >> 5 & 15, 60 + (r >> 9) % 9000, r);
        if (r & 1 << 20) {
            uint16_t flags[] = {WRITE, NEXT, WRITE | NEXT, 4, 0};
            desc(&b, q, r >> 3 & 15, BUFFERS(q) + (r >> 8 & 0xfff), r >> 21 & 0xfff,
                 flags[(r >> 12) % 5]);
        } else if (r & 1 << 21) {
            offer(&b, q, r >> 3 & 15);
        } else if (r & 1 << 22) {
            *at(&b, RING(q) + (r >> 3) % 0x2800) = (uint8_t)(r >> 24);
        } else {
            *at(&b, BUFFERS(q) + (r >> 3) % 64) = (uint8_t)(r >> 24 & 7);
        }
    }
    bring_up(&b, 0);
    run_a_while();
    bring_up(&a, 0);
    run_a_while();
    for (unsigned i = 0; i < 8; i++)
        rx_add(&b, 0, i, 2048);
    tx_frame(&a, 0, 60, 1);
    run_until(used(&b, 0) != 0);
    card_clear(&a);
    card_clear(&b);
    wire_clear(&w);
    g_rand_free(rand);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/virtio-net/packets", test_packets);
    g_test_add_func("/virtio-net/not-merged", test_not_merged);
    g_test_add_func("/virtio-net/starved", test_starved);
    g_test_add_func("/virtio-net/never-fits", test_never_fits);
    g_test_add_func("/virtio-net/back-pressure", test_back_pressure);
    g_test_add_func("/virtio-net/control", test_control);
    g_test_add_func("/virtio-net/link", test_link);
    g_test_add_func("/virtio-net/saved", test_saved);
    g_test_add_func("/virtio-net/pairs", test_pairs);
    g_test_add_func("/virtio-net/properties", test_properties);
    g_test_add_func("/virtio-net/poker", test_poker);
    return g_test_run();
}
