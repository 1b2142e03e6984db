/* SPDX-License-Identifier: MIT */
/* A tap device in a network namespace of its own; skipped where none can be made. */
#include "net/test_net.h"

#include "base/bytes.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* In the new namespace: gives the interface 10.9.8.1/24 and takes it up. */
static void set_up(const char *name)
{
    struct ifreq request = { 0 };
    struct sockaddr_in *in = (struct sockaddr_in *)&request.ifr_addr;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    g_strlcpy(request.ifr_name, name, IFNAMSIZ);
    in->sin_family = AF_INET;
    in->sin_addr.s_addr = htonl(0x0a090801);
    g_assert_cmpint(ioctl(fd, SIOCSIFADDR, &request), ==, 0);
    in->sin_addr.s_addr = htonl(0xffffff00);
    g_assert_cmpint(ioctl(fd, SIOCSIFNETMASK, &request), ==, 0);
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    g_assert_cmpint(ioctl(fd, SIOCSIFFLAGS, &request), ==, 0);
    close(fd);
}

static guint find_arp_answer(const TestCard *c, size_t header)
{
    for (guint i = 0; i < c->got->len; i++) {
        gsize n;
        const uint8_t *f = g_bytes_get_data(c->got->pdata[i], &n);
        if (n >= header + 42 && ld_be16(f + header + 12) == 0x0806 && ld_be16(f + header + 20) == 2)
            return i + 1;
    }
    return 0;
}

/* The host's own ARP answers, with and without a virtio-net header on packets. */
static void test_tap(void)
{
    if (unshare(CLONE_NEWNET) && unshare(CLONE_NEWUSER | CLONE_NEWNET)) {
        g_test_skip("no network namespace can be made");
        return;
    }
    g_autoptr(NetTable) t = net_table_new();
    g_autoptr(GError) error = NULL;
    if (!net_table_add(t, "tap,id=t,ifname=lathe0,script=no,downscript=no", &error)) {
        g_test_skip(error->message);
        return;
    }
    NetBackend *b = net_table_get(t, "t", NULL);
    g_autofree char *what = net_describe(b);
    g_assert_cmpstr(what, ==, "tap: ifname=lathe0");
    set_up("lathe0");
    g_assert_true(net_features(b) & NET_VNET_HEADER);
    for (size_t header = 0; header <= 12; header = header ? header + 2 : 10) {
        uint8_t f[12 + 60] = { 0 }, *arp = f + header;
        TestCard card;
        card_init(&card, b);
        g_assert_true(net_set_header(b, header, header ? net_features(b) : 0));
        memset(arp, 255, 6);
        memcpy(arp + 6, "\x52\x54\0\0\0\1\x08\x06\0\1\x08\0\6\4\0\1\x52\x54\0\0\0\1", 22);
        st_be32(arp + 28, 0x0a090802);
        st_be32(arp + 38, 0x0a090801);
        g_assert_true(send_text(b, f, header + 60));
        guint at = 0;
        run_until((at = find_arp_answer(&card, header)));
        const uint8_t *answer = g_bytes_get_data(card.got->pdata[at - 1], NULL);
        g_assert_cmphex(ld_be32(answer + header + 28), ==, 0x0a090801);
        net_set_card(b, NULL, NULL);
        card_clear(&card);
    }
    g_assert_false(net_set_header(b, 11, 0));
    g_assert_true(net_table_remove(t, "t", NULL));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/net/tap", test_tap);
    return g_test_run();
}
