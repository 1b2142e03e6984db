/* SPDX-License-Identifier: MIT */
/* The e1000e card under a driver that writes nonsense, with an other end that takes no more, and with a
 * state that was saved. */
#include "devices/test_e1000e.h"

/* ---- Nonsense ---------------------------------------------------------------------------------------- */

static void works(Card *c)
{
    uint8_t p[100], got[70000];
    wr(c, CTRL, 1 << 26);
    rings(c, RCTL_PLAIN);
    rx_give(c, 4);
    size_t len = make(p, false, 17, 50, PLAIN);
    memcpy(at(c, TX_BUFS), p, len);
    p[7] = 0xee;
    memcpy(at(c, TX_BUFS), p, len);
    tx_legacy(c, TX_BUFS, len, 0x0b);
    go(c);
    size_t n;
    do
        n = sent(c, got);
    while (n != len || memcmp(got, p, len));
    arrive(c, p, len);
    rx_next(c);
}

static void test_bad_rings(void)
{
    static const uint64_t places[] = {0, 0x10000000, RAM + RAM_SIZE - 16, BAR, UINT64_MAX - 0xf};
    Card c;
    uint8_t p[100];
    card_open(&c);
    size_t len = make(p, false, 17, 50, PLAIN);
    for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
        wr(&c, TDBAL, (uint32_t)places[i]);
        wr(&c, TDBAH, (uint32_t)(places[i] >> 32));
        wr(&c, RDBAL, (uint32_t)places[i]);
        wr(&c, RDBAH, (uint32_t)(places[i] >> 32));
        for (uint32_t size = 0; size < 0x100000; size += 0x55580) {
            wr(&c, TDLEN, size);
            wr(&c, RDLEN, size);
            wr(&c, TDT, 0xffff);
            wr(&c, TDH, 0xfffe);
            wr(&c, TDT, 5);
            wr(&c, TDH, 3);
            wr(&c, TDT, 2);
            wr(&c, RDH, 3);
            wr(&c, RDT, 0xffff);
            arrive(&c, p, len);
            wr(&c, RDT, 40);
            run_a_while();
        }
    }
    works(&c);
    /* buffers that are nowhere */
    for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
        st_le64(rx_desc(&c, c.rx_tail), places[i]);
        c.rx_tail++;
        wr(&c, RDT, c.rx_tail);
        tx_legacy(&c, places[i], 100, 0x0b);
    }
    go(&c);
    run_until(rd(&c, TDH) == c.tail);
    works(&c);
    /* a packet without an end, longer than any; then its end */
    for (unsigned i = 0; i < 60; i++)
        tx_data(&c, RAM, 0xfffff, false, 0, false);
    go(&c);
    run_a_while();
    tx_data(&c, RAM, 1, false, 0, true);
    go(&c);
    run_until(rd(&c, TDH) == c.tail);
    works(&c);
    card_close(&c);
}

/* Descriptors at random, sizes and modes too: nothing breaks, and a reset mends it. */
static void test_random(void)
{
    Card c;
    uint8_t p[2000], junk[65536];
    GRand *r = g_rand_new_with_seed(1);
    card_open(&c);
    for (unsigned round = 0; round < 300; round++) {
        rings(&c, g_rand_int(r) | 2);
        wr(&c, PSRCTL, g_rand_int(r));
        wr(&c, RFCTL, g_rand_int(r));
        wr(&c, RXCSUM, g_rand_int(r));
        wr(&c, MRQC, g_rand_int(r));
        wr(&c, CTRL, (g_rand_int(r) & ~(1u << 26)) | 1 << 6);
        for (unsigned i = 0; i < 16 * ENTRIES; i += 4) {
            st_le32(at(&c, TX_RING + i), g_rand_int(r));
            st_le32(at(&c, RX_RING + i), g_rand_int(r));
        }
        for (unsigned i = 0; i < ENTRIES; i++) {
            uint8_t *d = at(&c, TX_RING + 16 * i);
            if (!(d[11] & 0x20) || d[10] & 0x10) {
                st_le64(d, TX_BUFS + g_rand_int_range(r, 0, 0x1000));
                d[10] &= 0x11;
            }
            if (d[10] >> 4 == 0 && g_rand_boolean(r))
                d[13] = (uint8_t)g_rand_int_range(r, 40, 90);
            st_le64(rx_desc(&c, i), RX_BUFS + 64u * g_rand_int(r) % 0x100000);
        }
        wr(&c, RDT, g_rand_int(r) % ENTRIES);
        wr(&c, TDT, g_rand_int(r) % ENTRIES);
        size_t len = make(p, round & 1, round & 2 ? 6 : 17, (size_t)g_rand_int_range(r, 0, 1400), 0);
        arrive(&c, p, len);
        for (struct pollfd f = {.fd = c.fd, .events = POLLIN}; poll(&f, 1, 1) == 1;) {
            g_assert_cmpint(read(c.fd, junk, sizeof junk), >, 0);
            g_main_context_iteration(NULL, FALSE);
        }
        while (g_main_context_iteration(NULL, FALSE))
            ;
        wr(&c, CTRL, 1 << 26);
    }
    /* no more comes out of it */
    for (struct pollfd f = {.fd = c.fd, .events = POLLIN}; poll(&f, 1, 50) == 1;) {
        g_assert_cmpint(read(c.fd, junk, sizeof junk), >, 0);
        run_a_while();
    }
    works(&c);
    g_rand_free(r);
    card_close(&c);
}

/* The host's end takes no more: a reset, a saving, and the end do not wait for it. */
static void test_stuck(void)
{
    Card c;
    static uint8_t got[70000];
    card_open(&c);
    for (unsigned round = 0; round < 3; round++) {
        unsigned sum = 0;
        rings(&c, RCTL_PLAIN);
        memset(at(&c, TX_BUFS), 0x11, 16000);
        for (;;) {
            uint32_t head = rd(&c, TDH);
            tx_legacy(&c, TX_BUFS, 16000, 0x0b);
            go(&c);
            sum++;
            for (unsigned i = 0; i < 50 && rd(&c, TDH) == head; i++)
                g_usleep(1000);
            if (rd(&c, TDH) == head)
                break;
        }
        if (round == 0) { /* it goes on, each once, a saving in between notwithstanding */
            g_autoptr(GByteArray) bytes = g_byte_array_new();
            device_save(c.dev, bytes);
            for (unsigned i = 0; i < sum; i++)
                g_assert_cmpuint(sent(&c, got), ==, 16000);
            run_until(rd(&c, TDH) == c.tail);
            g_assert_true(nothing_sent(&c));
        } else if (round == 1) {
            if (sum & 1)
                wr(&c, CTRL, 1 << 26);
            else
                device_reset(c.dev);
            map(&c);
            g_assert_cmpuint(rd(&c, TDH), ==, 0);
            for (struct pollfd f = {.fd = c.fd, .events = POLLIN}; poll(&f, 1, 50) == 1;) {
                g_assert_cmpint(read(c.fd, got, sizeof got), >, 0);
                run_a_while();
            }
        }
    }
    card_close(&c);
}

static void test_saved(void)
{
    Card c;
    uint8_t p[60] = {0};
    card_open(&c);
    wr(&c, RAL + 8, 0x11223344);
    wr(&c, RAH + 8, 1u << 31 | 0x5566);
    wr(&c, MDIC, 1u << 26 | 1 << 21 | 9 << 16);
    wr(&c, EEWR, 0x7777u << 16 | 99 << 2 | 1);
    rx_give(&c, 4);
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    device_save(c.dev, bytes);
    device_reset(c.dev);
    size_t pos = 0;
    g_assert_true(device_load(c.dev, bytes->data, bytes->len, &pos, NULL));
    g_assert_cmphex(rd(&c, RAL + 8), ==, 0x11223344);
    g_assert_cmphex(rd(&c, STATUS) & 0xc3, ==, 0x43);
    wr(&c, EERD, 99 << 2 | 1);
    g_assert_cmphex(rd(&c, EERD) >> 16, ==, 0x7777);
    st_le32(p, 0x11223344);
    st_le16(p + 4, 0x5566);
    arrive(&c, p, sizeof p);
    rx_next(&c);
    /* state from elsewhere may say anything */
    memset(bytes->data + 0x2000, 0xff, bytes->len - 0x2000);
    device_reset(c.dev);
    pos = 0;
    if (device_load(c.dev, bytes->data, bytes->len, &pos, NULL))
        arrive(&c, p, sizeof p);
    run_a_while();
    device_reset(c.dev);
    map(&c);
    works(&c);
    card_close(&c);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/e1000e/bad-rings", test_bad_rings);
    g_test_add_func("/e1000e/random", test_random);
    g_test_add_func("/e1000e/stuck", test_stuck);
    g_test_add_func("/e1000e/saved", test_saved);
    return g_test_run();
}
