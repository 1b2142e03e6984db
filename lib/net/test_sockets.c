/* SPDX-License-Identifier: MIT */
/* The grammars, and back ends over sockets: two talk, peers vanish, packets come in pieces. */
#include "net/test_net.h"

#include <glib/gstdio.h>
#include <netinet/in.h>
#include <sys/un.h>
#include <unistd.h>

static void test_grammar(void)
{
    static const char *const bad[] = {
        "", "user", "user,id=", "user,id=1", "usr,id=a", "hubport,id=a,hubid=0", "bridge,id=a",
        "user,id=a,hostfwd=tcp:22", "user,id=a,hostfwd=tcp::x-:22", "user,id=a,hostfwd=sctp::1-:2",
        "user,id=a,hostfwd=tcp::99999-:22", "user,id=a,net=1.2.3", "user,id=a,net=10.0.0.0/30",
        "user,id=a,dns=8.8.8.8", "user,id=a,restrict=maybe", "user,id=a,colour=red",
        "user,id=a,guestfwd=tcp:1.2.3.4:1-cmd:cat", "user,id=a,guestfwd=tcp:10.0.2.9:1-chardev:c",
        "user,id=a,tftp=/nonexistent", "user,id=a,smb=/x", "user,id=a,ipv4=off,ipv6=off",
        "stream,id=a", "stream,id=a,addr.type=unix", "stream,id=a,addr.type=inet",
        "stream,id=a,addr.type=unix,addr.path=/nonexistent/s",
        "stream,id=a,addr.type=fd,addr.str=x",
        "stream,id=a,addr.type=unix,addr.path=/x,server=on,reconnect=1",
        "stream,id=a,addr.type=fd,addr.str=999999", "dgram,id=a", "dgram,id=a,local.port=1",
        "dgram,id=a,local.type=inet,local.port=0", "socket,id=a", "socket,id=a,listen=:1,fd=1",
        "socket,id=a,udp=127.0.0.1:1", "socket,id=a,listen=1,localaddr=x",
        "tap,id=a,script=/bin/sh",
        "tap,id=a,vhost=on", "tap,id=a,ifname=much-too-long-a-name", "tap,id=a,fd=0,ifname=x",
    };
    g_autoptr(NetTable) t = net_table_new();
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        if (net_table_add(t, bad[i], &error) || !error)
            g_error("'%s' was taken", bad[i]);
    }
    g_assert_true(net_table_add(t, "user,id=n0,net=192.168.76.0/24", NULL));
    g_assert_false(net_table_add(t, "user,id=n0", NULL));
    g_assert_nonnull(net_table_get(t, "n0", NULL));
    g_autoptr(GError) error = NULL;
    g_assert_null(net_table_get(t, "n0", &error));
    g_assert_nonnull(strstr(error->message, "already"));
    g_assert_true(net_table_add_nic(t, "user,model=virtio-net-pci,mac=52:54:00:aB:34:56", NULL));
    g_assert_false(net_table_add_nic(t, "user,mac=53:54:00:12:34:56", NULL));
    g_assert_false(net_table_add_nic(t, "user,mac=52:54:00:12:34", NULL));
    const NetNic *nic = net_table_nics(t)->pdata[0];
    g_assert_cmpuint(net_table_nics(t)->len, ==, 1);
    g_assert_cmpstr(nic->model, ==, "virtio-net-pci");
    g_assert_cmpmem(nic->mac, 6, "\x52\x54\x00\xab\x34\x56", 6);
    g_assert_false(net_table_no_default(t));
    g_assert_false(net_table_add_net(t, "nic", NULL));
    g_assert_true(net_table_add_net(t, "none", NULL));
    g_assert_true(net_table_no_default(t));
    g_autofree char *info = net_table_info(t);
    g_assert_nonnull(strstr(info, "n0: user: net=192.168.76.0/24, restrict=off\n"));
}

static void talk(NetBackend *a, NetBackend *b)
{
    TestCard ca, cb;
    g_autofree uint8_t *big = g_malloc(60000);
    memset(big, 'x', 60000);
    card_init(&ca, a);
    card_init(&cb, b);
    run_until(net_link(a) && net_link(b));
    g_assert_true(send_text(a, "first", 5));
    g_assert_true(send_text(a, big, 60000));
    run_until(cb.got->len == 2);
    g_assert_true(send_text(b, "back", 4));
    run_until(ca.got->len == 1);
    expect_packet(&cb, 0, "first", 5);
    expect_packet(&cb, 1, big, 60000);
    expect_packet(&ca, 0, "back", 4);
    net_set_card(a, NULL, NULL);
    net_set_card(b, NULL, NULL);
    card_clear(&ca);
    card_clear(&cb);
}

static void test_pairs(void)
{
    g_autofree char *dir = g_dir_make_tmp("net-XXXXXX", NULL);
    g_autofree char *s = g_strdup_printf("stream,addr.type=unix,addr.path=%s/s", dir);
    g_autofree char *server = g_strconcat(s, ",server=on", NULL);
    g_autofree char *d1 = g_strdup_printf("dgram,local.type=unix,local.path=%s/a,remote.type=unix,"
                                          "remote.path=%s/b", dir, dir);
    g_autofree char *d2 = g_strdup_printf("dgram,local.type=unix,local.path=%s/b,remote.type=unix,"
                                          "remote.path=%s/a", dir, dir);
    int port = 20000 + getpid() % 20000;
    g_autofree char *l = g_strdup_printf("socket,listen=127.0.0.1:%d", port);
    g_autofree char *c = g_strdup_printf("socket,connect=127.0.0.1:%d", port);
    g_autofree char *u1 = g_strdup_printf("socket,udp=127.0.0.1:%d,localaddr=127.0.0.1:%d", port,
                                          port + 1);
    g_autofree char *u2 = g_strdup_printf("socket,udp=127.0.0.1:%d,localaddr=127.0.0.1:%d",
                                          port + 1, port);
    const char *pairs[][2] = { { server, s }, { d1, d2 }, { l, c }, { u1, u2 } };
    for (size_t i = 0; i < G_N_ELEMENTS(pairs); i++) {
        g_autoptr(NetTable) t = net_table_new();
        NetBackend *a = open_netdev(t, "a", pairs[i][0]);
        NetBackend *b = open_netdev(t, "b", pairs[i][1]);
        talk(a, b);
        talk(b, a);
    }
    g_assert_cmpint(g_rmdir(dir), ==, 0); /* nothing is left behind */
}

/* A passt-like peer that sends in pieces, vanishes in the middle of a packet and comes back. */
static void test_peer(void)
{
    g_autofree char *dir = g_dir_make_tmp("net-XXXXXX", NULL);
    g_autofree char *text = g_strdup_printf("stream,addr.type=unix,addr.path=%s/s,server=on", dir);
    NetTable *t = net_table_new();
    NetBackend *b = open_netdev(t, "a", text);
    TestCard card;
    card_init(&card, b);
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    g_snprintf(un.sun_path, sizeof un.sun_path, "%s/s", dir);
    g_assert_false(net_link(b));
    g_assert_true(send_text(b, "nobody", 6)); /* no link: dropped */
    for (unsigned round = 1; round <= 2; round++) {
        static const uint8_t bytes[] = "\0\0\0\5hello\0\0\0\3abc\0\0\0\7half";
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        g_assert_cmpint(connect(fd, (struct sockaddr *)&un, sizeof un), ==, 0);
        run_until(card.ups == round);
        for (size_t i = 0; i < sizeof bytes - 1; i++) {
            g_assert_cmpint(write(fd, bytes + i, 1), ==, 1);
            while (g_main_context_iteration(NULL, FALSE))
                ;
        }
        run_until(card.got->len == 2 * round);
        expect_packet(&card, 2 * round - 2, "hello", 5);
        expect_packet(&card, 2 * round - 1, "abc", 3);
        uint8_t got[16];
        g_assert_true(send_text(b, "to you", 6));
        g_assert_cmpint(recv(fd, got, sizeof got, 0), ==, 10);
        g_assert_cmpmem(got, 10, "\0\0\0\6to you", 10);
        if (round == 2) { /* a length that no packet has: the peer is let go */
            g_assert_cmpint(write(fd, "rest" "\xff\0\0\0", 7), ==, 7);
            g_assert_cmpint(write(fd, "\xff\0\0\0\0", 5), ==, 5);
        } else {
            close(fd);
        }
        run_until(card.downs == round);
        if (round == 2)
            close(fd);
    }
    net_table_free(t);
    card_clear(&card);
    g_rmdir(dir);
}

/* Back-pressure both ways: nothing is lost and nothing is read ahead of room. */
static void test_pressure(void)
{
    int sv[2];
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), ==, 0);
    g_autofree char *ta = g_strdup_printf("stream,addr.type=fd,addr.str=%d", sv[0]);
    g_autofree char *tb = g_strdup_printf("socket,fd=%d", sv[1]);
    NetTable *t = net_table_new();
    NetBackend *a = open_netdev(t, "a", ta), *b = open_netdev(t, "b", tb);
    TestCard ca, cb;
    card_init(&ca, a);
    card_init(&cb, b);
    cb.room = 0;
    uint8_t packet[1500] = { 0 };
    unsigned sent = 0;
    for (;; sent++) {
        memcpy(packet, &sent, sizeof sent);
        if (!send_text(a, packet, sizeof packet))
            break;
        while (g_main_context_iteration(NULL, FALSE))
            ;
        g_assert_cmpuint(sent, <, 100000);
    }
    g_assert_cmpuint(sent, >, 10);
    g_assert_cmpuint(cb.got->len, ==, 0);
    g_assert_cmpuint(ca.rooms, ==, 0);
    cb.room = 3;
    net_receive_again(b);
    run_until(cb.got->len == 3);
    cb.room = 1000000;
    net_receive_again(b);
    run_until(cb.got->len == sent);
    run_until(ca.rooms == 1);
    for (unsigned i = 0; i < sent; i++)
        g_assert_cmpint(memcmp(g_bytes_get_data(cb.got->pdata[i], NULL), &i, sizeof i), ==, 0);
    /* an unplugged cable drops, and says so */
    net_set_link(a, false);
    g_assert_cmpuint(ca.downs, ==, 1);
    g_assert_true(send_text(a, "lost", 4));
    net_set_link(a, true);
    g_assert_true(send_text(a, "there", 5));
    run_until(cb.got->len == sent + 1);
    expect_packet(&cb, sent, "there", 5);
    net_table_free(t);
    card_clear(&ca);
    card_clear(&cb);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/net/grammar", test_grammar);
    g_test_add_func("/net/pairs", test_pairs);
    g_test_add_func("/net/peer", test_peer);
    g_test_add_func("/net/pressure", test_pressure);
    return g_test_run();
}
