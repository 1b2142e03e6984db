/* SPDX-License-Identifier: MIT */
/* Joined TCP segments are what a receiver would make of the single ones, and checksums are right. */
#include "net/net_priv.h"

#include "base/bytes.h"

#include <string.h>

#define ALL (NET_CSUM | NET_TSO4 | NET_TSO6)

/* RFC 1071, word by word. */
static uint16_t rfc_sum(const uint8_t *p, size_t length, uint32_t sum)
{
    for (size_t i = 0; i < length; i++)
        sum += i & 1 ? p[i] : (uint32_t)p[i] << 8;
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

/* Of the TCP part with its pseudo header: 0xffff if the checksum in it is right. */
static uint16_t tcp_sum(const uint8_t *p, size_t length, bool ipv6)
{
    size_t tcp = ipv6 ? 54 : 34;
    uint32_t sum = 6 + (uint32_t)(length - tcp);
    sum += rfc_sum(p + (ipv6 ? 22 : 26), ipv6 ? 32 : 8, 0);
    return rfc_sum(p + tcp, length - tcp, sum);
}

typedef struct {
    bool ipv6;
    uint32_t seq, ack;
    uint16_t port;
    uint8_t flags;
} Segment;

/* Data byte n of the stream is n * 31. */
static size_t make(uint8_t *p, const Segment *s, size_t data)
{
    size_t tcp = s->ipv6 ? 54 : 34;
    memset(p, 0, tcp + 20);
    memcpy(p, "\x52\x54\0\x12\x34\x56\x52\x55\x0a\0\2\2", 12);
    st_be16(p + 12, s->ipv6 ? 0x86dd : 0x0800);
    if (s->ipv6) {
        p[14] = 0x60;
        st_be16(p + 18, (uint16_t)(20 + data));
        p[20] = 6;
        memset(p + 22, 0x11, 32);
    } else {
        p[14] = 0x45;
        st_be16(p + 16, (uint16_t)(40 + data));
        p[22] = 64;
        p[23] = 6;
        memcpy(p + 26, "\x0a\0\2\2\x0a\0\2\x0f", 8);
        st_be16(p + 24, (uint16_t)~rfc_sum(p + 14, 20, 0));
    }
    st_be16(p + tcp, s->port);
    st_be16(p + tcp + 2, 1234);
    st_be32(p + tcp + 4, s->seq);
    st_be32(p + tcp + 8, s->ack);
    p[tcp + 12] = 0x50;
    p[tcp + 13] = s->flags;
    st_be16(p + tcp + 14, 8192);
    for (size_t i = 0; i < data; i++)
        p[tcp + 20 + i] = (uint8_t)((s->seq + i) * 31);
    st_be16(p + tcp + 16, (uint16_t)~tcp_sum(p, tcp + 20 + data, s->ipv6));
    g_assert_cmpuint(tcp_sum(p, tcp + 20 + data, s->ipv6), ==, 0xffff);
    return tcp + 20 + data;
}

static void joined(bool ipv6)
{
    NetMerge m;
    uint8_t p[2000];
    Segment s = {ipv6, UINT32_MAX - 2000, 77, 80, 16}; /* the numbers wrap */
    size_t length, tcp = ipv6 ? 54 : 34;
    net_merge_init(&m);
    g_assert_true(net_merge_begin(&m, p, make(p, &s, 1460), ALL));
    for (unsigned i = 1; i < 5; i++) {
        s.seq += 1460;
        s.flags = i == 4 ? 24 : 16;
        g_assert_true(net_merge_add(&m, p, make(p, &s, i == 4 ? 100 : 1460)));
    }
    s.seq += 100;
    g_assert_false(net_merge_add(&m, p, make(p, &s, 100))); /* the short one was the last */
    const uint8_t *header = net_merge_end(&m, 12, &length);
    g_autofree uint8_t *packet = g_memdup2(header + 12, length - 12);
    g_assert_cmpuint(length, ==, 12 + tcp + 20 + 4 * 1460 + 100);
    g_assert_cmpuint(header[0], ==, 1);
    g_assert_cmpuint(header[1], ==, ipv6 ? 4 : 1);
    g_assert_cmpuint(ld_le16(header + 2), ==, tcp + 20);
    g_assert_cmpuint(ld_le16(header + 4), ==, 1460);
    g_assert_cmpuint(ld_le16(header + 6), ==, tcp);
    g_assert_cmpuint(ld_le16(header + 8), ==, 16);
    if (ipv6) {
        g_assert_cmpuint(ld_be16(packet + 18), ==, length - 12 - 54);
    } else {
        g_assert_cmpuint(ld_be16(packet + 16), ==, length - 12 - 14);
        g_assert_cmpuint(rfc_sum(packet + 14, 20, 0), ==, 0xffff);
    }
    g_assert_cmpuint(packet[tcp + 13], ==, 24);
    for (size_t i = 0; i < 4 * 1460 + 100; i++)
        g_assert_cmpuint(packet[tcp + 20 + i], ==, (uint8_t)((UINT32_MAX - 2000 + i) * 31));
    /* what is left to the receiver makes it right */
    g_assert_true(net_checksum_finish(header, packet, length - 12));
    g_assert_cmpuint(tcp_sum(packet, length - 12, ipv6), ==, 0xffff);
    net_merge_clear(&m);
}

static void test_joined(void)
{
    joined(false);
    joined(true);
}

typedef struct {
    unsigned count;
    size_t data;
    uint8_t flags;
} Cuts;

static void on_cut(void *opaque, const uint8_t *p, size_t length)
{
    Cuts *c = opaque;
    g_assert_cmpuint(tcp_sum(p, length, true), ==, 0xffff);
    g_assert_cmpuint(ld_be16(p + 18), ==, length - 54);
    g_assert_cmpuint(ld_be32(p + 58), ==, (uint32_t)(UINT32_MAX - 2000 + c->data));
    for (size_t i = 74; i < length; i++)
        g_assert_cmpuint(p[i], ==, (uint8_t)((UINT32_MAX - 2000 + c->data + i - 74) * 31));
    c->count++;
    c->data += length - 74;
    c->flags = p[67];
}

/* What was joined is cut again. */
static void test_cut(void)
{
    NetMerge m;
    Cuts c = {0};
    uint8_t p[2000];
    Segment s = {true, UINT32_MAX - 2000, 77, 80, 16};
    size_t length;
    net_merge_init(&m);
    g_assert_true(net_merge_begin(&m, p, make(p, &s, 1000), ALL));
    for (unsigned i = 1; i < 4; i++) {
        s.seq += 1000;
        s.flags = i == 3 ? 24 : 16;
        g_assert_true(net_merge_add(&m, p, make(p, &s, i == 3 ? 10 : 1000)));
    }
    const uint8_t *packet = net_merge_end(&m, 12, &length) + 12;
    uint8_t header[12];
    memcpy(header, packet - 12, 12);
    g_assert_true(net_is_large6(header));
    g_assert_true(net_cut(header, packet, length - 12, on_cut, &c));
    g_assert_cmpuint(c.count, ==, 4);
    g_assert_cmpuint(c.data, ==, 3010);
    g_assert_cmpuint(c.flags, ==, 24);
    for (size_t n = 0; n <= 74; n++)
        g_assert_false(net_cut(header, packet, n, on_cut, &c));
    st_le16(header + 4, 0);
    g_assert_false(net_cut(header, packet, length - 12, on_cut, &c));
    st_le16(header + 4, 1000);
    st_le16(header + 6, 0xffff);
    g_assert_false(net_cut(header, packet, length - 12, on_cut, &c));
    g_assert_cmpuint(c.count, ==, 4);
    net_merge_clear(&m);
}

static void test_single(void)
{
    NetMerge m;
    uint8_t p[2000];
    Segment s = {false, 1, 2, 80, 16};
    size_t length, n = make(p, &s, 1000);
    net_merge_init(&m);
    g_assert_true(net_merge_begin(&m, p, n, ALL));
    const uint8_t *header = net_merge_end(&m, 10, &length);
    g_assert_cmpmem(header + 10, length - 10, p, n);
    g_assert_cmpuint(header[0], ==, 2);
    g_assert_cmpuint(header[1], ==, 0);
    net_merge_clear(&m);
}

static void test_apart(void)
{
    NetMerge m;
    uint8_t p[2000];
    const Segment first = {false, 1000, 77, 80, 16};
    const Segment apart[] = {{false, 2001, 77, 80, 16}, {false, 1000, 77, 80, 16},
                             {false, 2000, 78, 80, 16}, {false, 2000, 77, 81, 16},
                             {false, 2000, 77, 80, 17}, {false, 2000, 77, 80, 18},
                             {true, 2000, 77, 80, 16}};
    net_merge_init(&m);
    g_assert_false(net_merge_add(&m, p, make(p, &first, 1000)));
    g_assert_true(net_merge_begin(&m, p, make(p, &first, 1000), ALL));
    for (size_t i = 0; i < G_N_ELEMENTS(apart); i++)
        g_assert_false(net_merge_add(&m, p, make(p, &apart[i], 1000)));
    Segment s = first;
    s.seq = 2000;
    g_assert_false(net_merge_add(&m, p, make(p, &s, 1001)));
    g_assert_true(net_merge_add(&m, p, make(p, &s, 1000)));
    /* to the largest packet and no further */
    unsigned more = 0;
    for (s.seq = 3000; net_merge_add(&m, p, make(p, &s, 1000)); s.seq += 1000)
        more++;
    g_assert_cmpuint(more, ==, 63);
    net_merge_clear(&m);

    net_merge_init(&m);
    g_assert_false(net_merge_begin(&m, p, make(p, &first, 0), ALL));
    g_assert_false(net_merge_begin(&m, p, make(p, &first, 10), NET_CSUM | NET_TSO6));
    size_t n = make(p, &first, 10);
    for (size_t i = 0; i < n; i++)
        g_assert_false(net_merge_begin(&m, p, i, ALL));
    p[20] = 0x20; /* a fragment */
    g_assert_false(net_merge_begin(&m, p, n, ALL));
    net_merge_clear(&m);
}

static void test_checksums(void)
{
    uint8_t header[12] = {0}, p[100];
    for (size_t length = 0; length < sizeof p; length++) {
        memset(p, 0xa5, sizeof p);
        st_le16(header + 6, 14);
        st_le16(header + 8, 6);
        header[0] = 0;
        g_assert_true(net_checksum_finish(header, p, length));
        header[0] = 1;
        bool fits = length >= 22;
        if (fits)
            memset(p + 20, 0, 2);
        g_assert_true(net_checksum_finish(header, p, length) == fits);
        if (fits)
            g_assert_cmpuint(rfc_sum(p + 14, length - 14, 0), ==, 0xffff);
        st_le16(header + 6, (uint16_t)(length + 1));
        g_assert_false(net_checksum_finish(header, p, length));
        st_le16(header + 6, 0);
        st_le16(header + 8, 0xffff);
        g_assert_false(net_checksum_finish(header, p, length));
    }
    /* one that comes out as 0 is written as its other form */
    memset(p, 0, sizeof p);
    memset(p + 30, 0xff, 2);
    st_le16(header + 6, 14);
    st_le16(header + 8, 6);
    g_assert_true(net_checksum_finish(header, p, 40));
    g_assert_cmpuint(ld_be16(p + 20), ==, 0xffff);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/net/segments/joined", test_joined);
    g_test_add_func("/net/segments/cut", test_cut);
    g_test_add_func("/net/segments/single", test_single);
    g_test_add_func("/net/segments/apart", test_apart);
    g_test_add_func("/net/segments/checksums", test_checksums);
    return g_test_run();
}
