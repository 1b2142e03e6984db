/* SPDX-License-Identifier: MIT */
/*
 * User-mode networking, against a guest that is played here: frames built by hand ask for an
 * address (RFC 2131) and answer ARP, and one TCP connection (RFC 9293) comes in through a
 * forwarded port.
 */
#include "net/test_net.h"

#include "base/bytes.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>
#include <unistd.h>

enum { ETH = 14, IP = 20, UDP = 8, TCP = 20, FIN = 1, SYN = 2, PSH = 8, ACK = 16 };

static const uint8_t guest_mac[6] = { 0x52, 0x54, 0, 0x12, 0x34, 0x56 };
static const uint8_t all_macs[6] = { 255, 255, 255, 255, 255, 255 };
static const uint32_t guest_ip = 0x0a00020f, host_ip = 0x0a000202;

static uint32_t sum(uint32_t s, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        s += i & 1 ? p[i] : (uint32_t)p[i] << 8;
    return s;
}

static uint16_t fold(uint32_t s)
{
    while (s >> 16)
        s = (s & 0xffff) + (s >> 16);
    return (uint16_t)~s;
}

/* Ethernet and IPv4 headers in front of a payload of n bytes that is in place. */
static void finish_ip(uint8_t *f, const uint8_t *mac, uint8_t protocol, uint32_t from, uint32_t to,
                      size_t n)
{
    uint8_t *ip = f + ETH;
    memcpy(f, mac, 6);
    memcpy(f + 6, guest_mac, 6);
    st_be16(f + 12, 0x0800);
    memset(ip, 0, IP);
    ip[0] = 0x45;
    st_be16(ip + 2, (uint16_t)(IP + n));
    ip[8] = 64;
    ip[9] = protocol;
    st_be32(ip + 12, from);
    st_be32(ip + 16, to);
    st_be16(ip + 10, fold(sum(0, ip, IP)));
}

static void dhcp_discover(uint8_t *f, size_t *n)
{
    static const uint8_t options[] = { 99, 130, 83, 99, 53, 1, 1, 255 };
    uint8_t *udp = f + ETH + IP, *bootp = udp + UDP;
    size_t len = UDP + 236 + sizeof options;
    memset(f, 0, ETH + IP + len);
    bootp[0] = bootp[1] = 1;
    bootp[2] = 6;
    st_be32(bootp + 4, 0x12345678);
    memcpy(bootp + 28, guest_mac, 6);
    memcpy(bootp + 236, options, sizeof options);
    st_be16(udp, 68);
    st_be16(udp + 2, 67);
    st_be16(udp + 4, (uint16_t)len);
    finish_ip(f, all_macs, 17, 0, 0xffffffff, len);
    *n = ETH + IP + len;
}

static void test_dhcp(void)
{
    g_autoptr(NetTable) t = net_table_new();
    NetBackend *b = open_netdev(t, "u", "user,hostname=lathe-test,dhcpstart=10.0.2.77,ipv6=off");
    TestCard card;
    uint8_t f[600];
    size_t n;
    card_init(&card, b);
    dhcp_discover(f, &n);
    g_assert_true(send_text(b, f, n));
    g_assert_cmpuint(card.got->len, ==, 0); /* never from within net_send */
    run_until(card.got->len >= 1);
    const uint8_t *answer = g_bytes_get_data(card.got->pdata[card.got->len - 1], &n);
    const uint8_t *bootp = answer + ETH + IP + UDP;
    g_assert_cmpuint(n, >, ETH + IP + UDP + 240);
    g_assert_cmpuint(bootp[0], ==, 2);
    g_assert_cmphex(ld_be32(bootp + 4), ==, 0x12345678);
    g_assert_cmphex(ld_be32(bootp + 16), ==, 0x0a00024d); /* 10.0.2.77 */
    g_assert_nonnull(memmem(bootp, n - ETH - IP - UDP, "lathe-test", 10));
    net_set_card(b, NULL, NULL);
    card_clear(&card);
}

static void arp(uint8_t *f, uint16_t what, const uint8_t *to_mac, uint32_t to)
{
    memset(f, 0, 60);
    memcpy(f, to_mac, 6);
    memcpy(f + 6, guest_mac, 6);
    st_be16(f + 12, 0x0806);
    memcpy(f + 14, "\0\1\10\0\6\4", 6);
    st_be16(f + 20, what);
    memcpy(f + 22, guest_mac, 6);
    st_be32(f + 28, guest_ip);
    if (what == 2)
        memcpy(f + 32, to_mac, 6);
    st_be32(f + 38, to);
}

/* What the guest has: one connection. */
typedef struct {
    NetBackend *b;
    TestCard card;
    guint seen; /* of card.got */
    uint8_t host_mac[6];
    uint32_t peer_ip, seq, ack;
    uint16_t port, peer_port;
    bool established, finished;
    GString *text; /* received */
} Guest;

static void tcp_send(Guest *g, uint8_t flags, const char *data)
{
    uint8_t f[ETH + IP + TCP + 200] = { 0 }, pseudo[12] = { 0 }, *tcp = f + ETH + IP;
    size_t n = strlen(data), len = TCP + n;
    st_be16(tcp, g->port);
    st_be16(tcp + 2, g->peer_port);
    st_be32(tcp + 4, g->seq);
    st_be32(tcp + 8, g->ack);
    tcp[12] = TCP / 4 << 4;
    tcp[13] = flags;
    st_be16(tcp + 14, 8192);
    memcpy(tcp + TCP, data, n);
    st_be32(pseudo, guest_ip);
    st_be32(pseudo + 4, g->peer_ip);
    pseudo[9] = 6;
    st_be16(pseudo + 10, (uint16_t)len);
    st_be16(tcp + 16, fold(sum(sum(0, pseudo, 12), tcp, len)));
    finish_ip(f, g->host_mac, 6, guest_ip, g->peer_ip, len);
    g_assert_true(send_text(g->b, f, ETH + IP + len));
    g->seq += (uint32_t)n + !!(flags & (SYN | FIN));
}

static void on_tcp(Guest *g, const uint8_t *ip)
{
    const uint8_t *tcp = ip + IP;
    size_t head = (size_t)(tcp[12] >> 4) * 4, n = ld_be16(ip + 2) - IP - head;
    uint8_t flags = tcp[13];
    if (flags & SYN) {
        g->peer_ip = ld_be32(ip + 12);
        g->peer_port = ld_be16(tcp);
        g->port = ld_be16(tcp + 2);
        g->seq = 1000;
        g->ack = ld_be32(tcp + 4) + 1;
        tcp_send(g, SYN | ACK, "");
        return;
    }
    g->established = true;
    if (ld_be32(tcp + 4) != g->ack)
        return; /* sent again */
    g_string_append_len(g->text, (const char *)tcp + head, (gssize)n);
    g->ack += (uint32_t)n;
    g->finished = flags & FIN;
    g->ack += !!(flags & FIN);
    if (n || flags & FIN)
        tcp_send(g, ACK, "");
}

/* Answers what has come. */
static bool guest_step(Guest *g)
{
    for (; g->seen < g->card.got->len; g->seen++) {
        const uint8_t *f = g_bytes_get_data(g->card.got->pdata[g->seen], NULL);
        uint8_t reply[60];
        if (ld_be16(f + 12) == 0x0806 && ld_be16(f + 20) == 1 && ld_be32(f + 38) == guest_ip) {
            memcpy(g->host_mac, f + 22, 6);
            arp(reply, 2, g->host_mac, ld_be32(f + 28));
            g_assert_true(send_text(g->b, reply, sizeof reply));
        } else if (ld_be16(f + 12) == 0x0800 && f[ETH + 9] == 6) {
            memcpy(g->host_mac, f + 6, 6);
            on_tcp(g, f + ETH);
        }
    }
    return true;
}

static void guest_init(Guest *g, NetBackend *b)
{
    uint8_t f[60];
    *g = (Guest){ .b = b, .text = g_string_new(NULL) };
    card_init(&g->card, b);
    arp(f, 1, all_macs, host_ip);
    g_assert_true(send_text(b, f, sizeof f));
    run_until(g->card.got->len >= 1);
    const uint8_t *answer = g_bytes_get_data(g->card.got->pdata[0], NULL);
    g_assert_cmpuint(ld_be16(answer + 20), ==, 2);
    g_assert_cmphex(ld_be32(answer + 28), ==, host_ip);
}

static void guest_clear(Guest *g)
{
    net_set_card(g->b, NULL, NULL);
    card_clear(&g->card);
    g_string_free(g->text, TRUE);
}

static int free_port(void)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof in;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    g_assert_cmpint(bind(fd, (struct sockaddr *)&in, sizeof in), ==, 0);
    getsockname(fd, (struct sockaddr *)&in, &len);
    close(fd);
    return ntohs(in.sin_port);
}

static int dial(int port)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                              .sin_port = htons((uint16_t)port) };
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (!connect(fd, (struct sockaddr *)&in, sizeof in))
        return fd;
    close(fd);
    return -1;
}

static void test_hostfwd(void)
{
    int port = free_port(), port2;
    g_autoptr(NetTable) t = net_table_new();
    g_autofree char *text = g_strdup_printf("user,hostfwd=tcp:127.0.0.1:%d-:22", port);
    NetBackend *b = open_netdev(t, "u", text);
    g_autofree char *again = g_strdup_printf("user,id=v,hostfwd=tcp:127.0.0.1:%d-:22", port);
    g_autoptr(GError) error = NULL;
    g_assert_false(net_table_add(t, again, &error)); /* the port is taken */
    g_assert_nonnull(strstr(error->message, "in use"));
    Guest g;
    guest_init(&g, b);
    int fd = dial(port);
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(write(fd, "knock", 5), ==, 5);
    run_until(guest_step(&g) && g.text->len == 5);
    g_assert_cmpstr(g.text->str, ==, "knock");
    g_assert_cmpuint(g.port, ==, 22);
    tcp_send(&g, ACK | PSH, "come in");
    char buf[16] = "";
    run_until(recv(fd, buf, sizeof buf - 1, MSG_DONTWAIT) == 7);
    g_assert_cmpstr(buf, ==, "come in");
    g_autofree char *info = net_user_info(b, NULL);
    g_assert_nonnull(strstr(info, "HOST_FORWARD"));
    close(fd);
    run_until(guest_step(&g) && g.finished);
    guest_clear(&g);

    /* the monitor's commands */
    port2 = free_port();
    g_autofree char *more = g_strdup_printf("tcp:127.0.0.1:%d-:23", port2);
    g_autofree char *less = g_strdup_printf(":127.0.0.1:%d", port2);
    g_assert_true(net_user_hostfwd_add(b, more, NULL));
    fd = dial(port2);
    g_assert_cmpint(fd, >=, 0);
    close(fd);
    g_assert_true(net_user_hostfwd_remove(b, less, NULL));
    g_assert_false(net_user_hostfwd_remove(b, less, NULL));
    g_assert_false(net_user_hostfwd_remove(b, "nonsense", NULL));
    g_assert_cmpint(dial(port2), <, 0);
}

/* A connection out to a unix socket of the host; and with restrict=on, nothing but that. */
static void test_guestfwd(void)
{
    g_autofree char *dir = g_dir_make_tmp("net-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "s", NULL);
    g_autofree char *text = g_strdup_printf("user,restrict=on,"
                                            "guestfwd=tcp:10.0.2.100:80-unix:%s", path);
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    int l = socket(AF_UNIX, SOCK_STREAM, 0);
    g_strlcpy(un.sun_path, path, sizeof un.sun_path);
    g_assert_cmpint(bind(l, (struct sockaddr *)&un, sizeof un), ==, 0);
    g_assert_cmpint(listen(l, 1), ==, 0);
    g_autoptr(NetTable) t = net_table_new();
    Guest g;
    guest_init(&g, open_netdev(t, "u", text));
    const uint8_t *answer = g_bytes_get_data(g.card.got->pdata[0], NULL);
    memcpy(g.host_mac, answer + 22, 6);
    g.peer_ip = 0x0a000264;
    g.peer_port = 80;
    g.port = 5000;
    g.seq = 7;
    tcp_send(&g, SYN, "");
    /* the answer's SYN carries the numbers */
    for (bool done = false; !done;) {
        run_until(g.seen < g.card.got->len);
        const uint8_t *f = g_bytes_get_data(g.card.got->pdata[g.seen++], NULL);
        if (ld_be16(f + 12) != 0x0800 || f[ETH + 9] != 6)
            continue;
        g_assert_cmphex(f[ETH + IP + 13] & (SYN | ACK), ==, SYN | ACK);
        g.ack = ld_be32(f + ETH + IP + 4) + 1;
        done = true;
    }
    tcp_send(&g, ACK | PSH, "hello");
    char buf[16] = "";
    int fd = -1;
    run_until(g_main_context_iteration(NULL, FALSE) || true);
    fd = accept(l, NULL, NULL);
    g_assert_cmpint(fd, >=, 0);
    run_until(recv(fd, buf, sizeof buf - 1, MSG_DONTWAIT) == 5);
    g_assert_cmpstr(buf, ==, "hello");
    g_assert_cmpint(write(fd, "world", 5), ==, 5);
    run_until(guest_step(&g) && g.text->len == 5);
    close(fd);
    close(l);
    unlink(path);
    rmdir(dir);
    guest_clear(&g);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/net/dhcp", test_dhcp);
    g_test_add_func("/net/hostfwd", test_hostfwd);
    g_test_add_func("/net/guestfwd", test_guestfwd);
    return g_test_run();
}
