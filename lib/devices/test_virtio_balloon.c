/* SPDX-License-Identifier: MIT */
/* virtio-balloon, driven by hand: memory that is given up is the host's again, figures arrive. */
#include "devices/test_driver.h"

#include "devices/virtio/virtio_balloon.h"

#include <sys/stat.h>

static uint64_t allocated(const Card *c)
{
    struct stat st;
    g_assert_cmpint(fstat(bus_ram_fd(c->region), &st), ==, 0);
    return (uint64_t)st.st_blocks * 512;
}

static void start(Card *c, const char *const *props)
{
    card_make(c, "virtio-balloon-device", props);
    memset(c->ram, 0x55, RAM_SIZE);
    card_start(c);
}

/* A list of page numbers for that queue. */
static void give(Card *c, unsigned q, const uint32_t *pages, unsigned count)
{
    uint16_t before = used(c, q);
    for (unsigned i = 0; i < count; i++)
        st_le32(at(c, BUFFERS(q)) + 4 * i, pages[i]);
    desc(c, q, 0, BUFFERS(q), 4 * count, 0);
    offer(c, q, 0);
    run_until(used(c, q) != before);
}

static void test_inflate(void)
{
    Card c;
    const uint32_t base = (uint32_t)(RAM >> 12) + 0x100;
    const uint32_t pages[] = {base, base + 1, base + 2, base + 9, base + 8, base + 20,
                              0, UINT32_MAX, 0x10001, base + 20};
    start(&c, NULL);
    uint64_t before = allocated(&c);
    give(&c, 0, pages, G_N_ELEMENTS(pages));
    g_assert_cmpuint(before - allocated(&c), ==, 6 * 4096);
    g_assert_cmpuint(c.ram[0x100fff], ==, 0);
    g_assert_cmpuint(c.ram[0x103000], ==, 0x55);
    g_assert_cmpuint(c.ram[0x114000], ==, 0);
    give(&c, 1, pages, 3); /* back: nothing need be done */
    give(&c, 0, pages, 1);
    desc(&c, 0, 0, BUFFERS(0), 3, 0); /* less than one number */
    offer(&c, 0, 0);
    run_until(used(&c, 0) == 3);
    card_clear(&c);
}

static void on_changed(void *opaque, uint64_t bytes)
{
    *(uint64_t *)opaque = bytes;
}

static void test_config(void)
{
    Card c;
    uint64_t noted = 1;
    start(&c, NULL);
    g_assert_true(virtio_balloon_is(c.dev));
    g_assert_false(virtio_balloon_is(c.slot));
    virtio_balloon_on_changed(c.dev, on_changed, &noted);
    virtio_balloon_ask(c.dev, 1 << 20);
    g_assert_cmpuint(rd(&c, 0x100, 4), ==, 256);
    g_assert_cmpuint(rd(&c, 0x60, 4) & 2, ==, 2);
    wr(&c, 0x104, 77);
    g_assert_cmpuint(rd(&c, 0x104, 4), ==, 77);
    g_assert_cmpuint(virtio_balloon_taken(c.dev), ==, 77 * 4096);
    g_assert_cmpuint(noted, ==, 77 * 4096);
    wr(&c, 0x100, 9); /* not the driver's to write */
    g_assert_cmpuint(rd(&c, 0x100, 4), ==, 256);
    bring_up(&c, 0);
    g_assert_cmpuint(rd(&c, 0x104, 4), ==, 0);
    g_assert_cmpuint(rd(&c, 0x100, 4), ==, 256);
    card_clear(&c);
}

static void offer_stats(Card *c, uint64_t free_memory)
{
    uint8_t *p = at(c, BUFFERS(2));
    st_le16(p, 4);
    st_le64(p + 2, free_memory);
    st_le16(p + 10, 5);
    st_le64(p + 12, 1000);
    st_le16(p + 20, 0xffff);
    desc(c, 2, 0, BUFFERS(2), 35, 0);
    offer(c, 2, 0);
}

static uint64_t free_of(Card *c)
{
    BalloonStats s;
    virtio_balloon_stats(c->dev, &s);
    return s.value[4];
}

static void test_stats(void)
{
    Card c;
    BalloonStats s;
    start(&c, NULL);
    g_assert_cmpuint(free_of(&c), ==, UINT64_MAX);
    offer_stats(&c, 500);
    run_until(free_of(&c) == 500);
    virtio_balloon_stats(c.dev, &s);
    g_assert_cmpuint(s.value[5], ==, 1000);
    g_assert_cmpuint(s.value[0], ==, UINT64_MAX);
    g_assert_cmpuint(used(&c, 2), ==, 0); /* kept until new ones are wanted */
    virtio_balloon_poll(c.dev, 1);
    run_until(used(&c, 2) == 1);
    offer_stats(&c, 600);
    run_until(free_of(&c) == 600);
    /* saved while the buffer is held: it is not lost */
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    device_save(c.dev, bytes);
    size_t pos = 0;
    device_load(c.dev, bytes->data, bytes->len, &pos, NULL);
    virtio_balloon_poll(c.dev, 1);
    run_until(used(&c, 2) == 2);
    virtio_balloon_poll(c.dev, 0);
    bring_up(&c, 0);
    g_assert_cmpuint(free_of(&c), ==, UINT64_MAX);
    offer_stats(&c, 700);
    run_until(free_of(&c) == 700);
    card_clear(&c);
}

static void test_reporting(void)
{
    static const char *const props[] = {"free-page-reporting=on", NULL};
    Card c;
    start(&c, props);
    uint64_t before = allocated(&c);
    desc(&c, 3, 0, RAM + 0x180000, 0x10000, WRITE | NEXT);
    desc(&c, 3, 1, RAM + 0x1a0800, 0x1000, WRITE); /* no whole page in it */
    offer(&c, 3, 0);
    run_until(used(&c, 3) == 1);
    g_assert_cmpuint(before - allocated(&c), ==, 0x10000);
    g_assert_cmpuint(c.ram[0x1a0900], ==, 0x55);
    g_assert_cmpuint(c.ram[0x18ffff], ==, 0);
    /* a driver without statistics counts its queues otherwise */
    bring_up(&c, VIRTIO_F(1));
    before = allocated(&c);
    desc(&c, 2, 0, RAM + 0x1c0000, 0x2000, WRITE);
    offer(&c, 2, 0);
    run_until(used(&c, 2) == 1);
    g_assert_cmpuint(before - allocated(&c), ==, 0x2000);
    card_clear(&c);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/virtio-balloon/inflate", test_inflate);
    g_test_add_func("/virtio-balloon/config", test_config);
    g_test_add_func("/virtio-balloon/stats", test_stats);
    g_test_add_func("/virtio-balloon/reporting", test_reporting);
    return g_test_run();
}
