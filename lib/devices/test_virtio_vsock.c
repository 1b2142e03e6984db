/* SPDX-License-Identifier: MIT */
/* virtio-vsock, driven by hand: streams made from both ends, credit kept, nonsense refused. */
#include "devices/test_driver.h"

#include <glib/gstdio.h>
#include <linux/virtio_vsock.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { RX = 0, TX = 1, HEADER = 44, CID = 5, ROOM = 8192, RX_SLOTS = 16 };

typedef struct {
    Card c;
    char *dir, *path;
    uint16_t seen; /* packets taken from the receive queue */
} World;

static void offer_rx(World *w, unsigned i)
{
    desc(&w->c, RX, i, BUFFERS(RX) + ROOM * i, ROOM, WRITE);
    offer(&w->c, RX, i);
}

static void world_start(World *w)
{
    g_autofree char *cid = g_strdup_printf("guest-cid=%d", CID);
    memset(w, 0, sizeof *w);
    w->dir = g_dir_make_tmp("vsock-XXXXXX", NULL);
    w->path = g_build_filename(w->dir, "v", NULL);
    g_autofree char *path = g_strdup_printf("path=%s", w->path);
    const char *const props[] = {cid, path, NULL};
    card_make(&w->c, "virtio-vsock-device", props);
    card_start(&w->c);
    for (unsigned i = 0; i < RX_SLOTS; i++)
        offer_rx(w, i);
}

static void world_end(World *w)
{
    card_clear(&w->c);
    g_assert_false(g_file_test(w->path, G_FILE_TEST_EXISTS)); /* the socket went with it */
    g_autofree char *other = g_strdup_printf("%s_9", w->path);
    g_remove(other);
    g_assert_cmpint(g_rmdir(w->dir), ==, 0);
    g_free(w->dir);
    g_free(w->path);
}

/* The next packet to the guest, which gives the buffer back for more. */
static const uint8_t *receive(World *w)
{
    run_until(used(&w->c, RX) != w->seen);
    unsigned slot = w->seen++ % RX_SLOTS;
    static uint8_t packet[ROOM];
    memcpy(packet, at(&w->c, BUFFERS(RX) + ROOM * slot), ROOM);
    offer_rx(w, slot);
    return packet;
}

static unsigned op_of(const uint8_t *h)
{
    return ld_le16(h + 30);
}

static void transmit(World *w, uint32_t guest_port, uint32_t host_port, unsigned op, const void *data,
                     uint32_t len)
{
    uint8_t *h = at(&w->c, BUFFERS(TX));
    uint16_t before = used(&w->c, TX);
    memset(h, 0, HEADER);
    st_le64(h, CID);
    st_le64(h + 8, 2);
    st_le32(h + 16, guest_port);
    st_le32(h + 20, host_port);
    st_le32(h + 24, len);
    st_le16(h + 28, VIRTIO_VSOCK_TYPE_STREAM);
    st_le16(h + 30, (uint16_t)op);
    st_le32(h + 32, op == VIRTIO_VSOCK_OP_SHUTDOWN ? 3 : 0);
    st_le32(h + 36, 1000); /* room for that much */
    if (len)
        memcpy(h + HEADER, data, len);
    desc(&w->c, TX, 0, BUFFERS(TX), HEADER + len, 0);
    offer(&w->c, TX, 0);
    run_until(used(&w->c, TX) != before);
}

static int call(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    g_strlcpy(a.sun_path, path, sizeof a.sun_path);
    g_assert_cmpint(connect(fd, (struct sockaddr *)&a, sizeof a), ==, 0);
    return fd;
}

static void test_from_host(void)
{
    World w;
    char text[4096];
    world_start(&w);
    int fd = call(w.path);
    g_assert_cmpint(write(fd, "CONNECT 77\nearly", 16), ==, 16);
    const uint8_t *h = receive(&w);
    g_assert_cmpuint(op_of(h), ==, VIRTIO_VSOCK_OP_REQUEST);
    g_assert_cmpuint(ld_le64(h + 8), ==, CID);
    g_assert_cmpuint(ld_le32(h + 20), ==, 77);
    uint32_t port = ld_le32(h + 16);
    transmit(&w, 77, port, VIRTIO_VSOCK_OP_RESPONSE, NULL, 0);
    g_autofree char *ok = g_strdup_printf("OK %u\n", port);
    g_assert_cmpint(read(fd, text, sizeof text), ==, (gssize)strlen(ok));
    g_assert_cmpint(memcmp(text, ok, strlen(ok)), ==, 0);
    h = receive(&w); /* what was sent before the answer */
    g_assert_cmpuint(op_of(h), ==, VIRTIO_VSOCK_OP_RW);
    g_assert_cmpuint(ld_le32(h + 24), ==, 5);
    g_assert_cmpint(memcmp(h + HEADER, "early", 5), ==, 0);
    /* Never more than the guest has room for: 1000 bytes, of which 5 are used. */
    memset(text, 'x', sizeof text);
    g_assert_cmpint(write(fd, text, 2000), ==, 2000);
    h = receive(&w);
    g_assert_cmpuint(ld_le32(h + 24), ==, 995);
    run_a_while();
    g_assert_cmpuint(used(&w.c, RX), ==, w.seen);
    transmit(&w, 77, port, VIRTIO_VSOCK_OP_RW, "back", 4);
    g_assert_cmpint(read(fd, text, sizeof text), ==, 4);
    transmit(&w, 77, port, VIRTIO_VSOCK_OP_SHUTDOWN, NULL, 0);
    g_assert_cmpuint(op_of(receive(&w)), ==, VIRTIO_VSOCK_OP_RST);
    g_assert_cmpint(read(fd, text, sizeof text), <=, 0); /* a reset, as 1005 bytes were not taken */
    close(fd);
    world_end(&w);
}

static void test_from_guest(void)
{
    World w;
    char text[64];
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    world_start(&w);
    transmit(&w, 40, 9, VIRTIO_VSOCK_OP_REQUEST, NULL, 0); /* nobody listens */
    g_assert_cmpuint(op_of(receive(&w)), ==, VIRTIO_VSOCK_OP_RST);
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    g_snprintf(a.sun_path, sizeof a.sun_path, "%s_9", w.path);
    g_assert_cmpint(bind(listener, (struct sockaddr *)&a, sizeof a), ==, 0);
    g_assert_cmpint(listen(listener, 1), ==, 0);
    transmit(&w, 40, 9, VIRTIO_VSOCK_OP_REQUEST, NULL, 0);
    const uint8_t *h = receive(&w);
    g_assert_cmpuint(op_of(h), ==, VIRTIO_VSOCK_OP_RESPONSE);
    g_assert_cmpuint(ld_le32(h + 36), >=, 65536); /* our room */
    int fd = accept(listener, NULL, NULL);
    transmit(&w, 40, 9, VIRTIO_VSOCK_OP_RW, "hello", 5);
    g_assert_cmpint(read(fd, text, sizeof text), ==, 5);
    transmit(&w, 40, 9, VIRTIO_VSOCK_OP_CREDIT_REQUEST, NULL, 0);
    h = receive(&w);
    g_assert_cmpuint(op_of(h), ==, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
    g_assert_cmpuint(ld_le32(h + 40), ==, 5);
    close(fd); /* half of it is told; the guest then ends */
    h = receive(&w);
    g_assert_cmpuint(op_of(h), ==, VIRTIO_VSOCK_OP_SHUTDOWN);
    g_assert_cmpuint(ld_le32(h + 32), ==, VIRTIO_VSOCK_SHUTDOWN_SEND);
    transmit(&w, 40, 9, VIRTIO_VSOCK_OP_SHUTDOWN, NULL, 0);
    g_assert_cmpuint(op_of(receive(&w)), ==, VIRTIO_VSOCK_OP_RST);
    /* The device is reset with a stream open. */
    transmit(&w, 41, 9, VIRTIO_VSOCK_OP_REQUEST, NULL, 0);
    receive(&w);
    fd = accept(listener, NULL, NULL);
    bring_up(&w.c, 0);
    g_assert_cmpint(read(fd, text, sizeof text), ==, 0);
    close(fd);
    close(listener);
    world_end(&w);
}

/* Packets of a stream that make no sense, in random order, while host programs come and go. */
static void test_storm(void)
{
    World w;
    GRand *rand = g_rand_new_with_seed(11);
    world_start(&w);
    for (int i = 0; i < 3000; i++) {
        int fd = i % 50 ? -1 : call(w.path);
        if (fd >= 0)
            g_assert_cmpint(write(fd, "CONNECT 3\n", 10), ==, 10);
        uint32_t port = (1u << 30) + (uint32_t)g_rand_int_range(rand, 0, 70);
        uint32_t len = (uint32_t)g_rand_int_range(rand, 0, 64);
        transmit(&w, 3, g_rand_boolean(rand) ? port : 9, (unsigned)g_rand_int_range(rand, 0, 9),
                 at(&w.c, BUFFERS(3)), len);
        while (used(&w.c, RX) != w.seen)
            receive(&w);
        if (fd >= 0)
            close(fd);
    }
    desc(&w.c, TX, 0, BUFFERS(TX), HEADER - 1, 0); /* no whole header */
    offer(&w.c, TX, 0);
    run_until(rd(&w.c, 0x70, 4) & 64);
    g_rand_free(rand);
    world_end(&w);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/virtio-vsock/host", test_from_host);
    g_test_add_func("/virtio-vsock/guest", test_from_guest);
    g_test_add_func("/virtio-vsock/storm", test_storm);
    return g_test_run();
}
