/* SPDX-License-Identifier: MIT */
/*
 * Exports that are plain files, whose data go between socket and page cache by sendfile and splice:
 * long reads and writes against a model, in whole and in the smallest pieces, with errors in the
 * middle, beside what has to look at the data.
 */
#include "export/test_server.h"

#include "block/bitmap.h"

#include <signal.h>
#include <sys/resource.h>

/* Long reads of plain files, whole, a window of one, and one that others cut short meanwhile:
 * zeroes follow. */
static void test_plain(void)
{
    enum { SIZE = MIB + 1000, FROM = 5 * 512 };
    Setup s;
    setup_init(&s, 0);
    g_autofree uint8_t *want = g_malloc0(2 * MIB), *got = g_malloc(2 * MIB);
    g_autofree char *path = g_build_filename(s.dir, "d", NULL);
    fill(want, SIZE, 5);
    g_assert_true(g_file_set_contents(path, (char *)want, SIZE, NULL));
    offer(&s, "", "driver=raw,file.driver=file,file.filename=@/d",
          (ExportDisk){ .writable = true });
    offer(&s, "window",
          "driver=raw,offset=2560,size=524288,file.driver=file,file.filename=@/d,file.locking=off",
          (ExportDisk){ 0 });
    Peer *whole = come(&s, ""), *window = come(&s, "window");
    g_assert_cmpint(peer_do(whole, NBD_CMD_READ, 0, 0, MIB + 1024, got), ==, 0);
    g_assert_cmpmem(got, MIB + 1024, want, MIB + 1024);
    g_assert_cmpint(peer_do(whole, NBD_CMD_READ, 0, 12345, 77777, got), ==, 0);
    g_assert_cmpmem(got, 77777, want + 12345, 77777);
    g_assert_cmpint(peer_do(window, NBD_CMD_READ, 0, 3, 500000, got), ==, 0);
    g_assert_cmpmem(got, 500000, want + FROM + 3, 500000);
    /* what was acknowledged is what is read */
    fill(want + 65536, 65536, 9);
    g_assert_cmpint(peer_do(whole, NBD_CMD_WRITE, 0, 65536, 65536, want + 65536), ==, 0);
    g_assert_cmpint(peer_do(window, NBD_CMD_READ, 0, 0, 500000, got), ==, 0);
    g_assert_cmpmem(got, 500000, want + FROM, 500000);
    g_assert_cmpint(truncate(path, 300001), ==, 0);
    memset(want + 300001, 0, 2 * MIB - 300001);
    g_assert_cmpint(peer_do(whole, NBD_CMD_READ, 0, 200000, 800000, got), ==, 0);
    g_assert_cmpmem(got, 800000, want + 200000, 800000);
    /* who goes amid its answers harms nobody */
    for (unsigned i = 0; i < 40; i++)
        g_assert_true(peer_ask(whole, i, NBD_CMD_READ, 0, 0, 300000, got));
    peer_free(whole);
    g_assert_cmpint(peer_do(window, NBD_CMD_READ, 0, 0, 100000, got), ==, 0);
    peer_free(window);
    await_connections(&s, 0);
    setup_clear(&s);
}

/* ---- Writes ------------------------------------------------------------------------ */

enum { DISK = 4 * MIB };

static void assert_file(const Setup *s, const char *name, const uint8_t *want, size_t len)
{
    g_autofree char *path = g_build_filename(s->dir, name, NULL), *bytes = NULL;
    gsize got;
    g_assert_true(g_file_get_contents(path, &bytes, &got, NULL));
    g_assert_cmpmem(bytes, got, want, len);
}

/* Any lengths and places, several under way, shorter ones and reads among them. */
static void test_writes(gconstpointer data)
{
    const char *options = data;
    g_autoptr(GRand) rand = g_rand_new_with_seed(9);
    g_autofree uint8_t *model = g_malloc0(DISK), *area = g_malloc(16 * MIB), *got = g_malloc(DISK);
    Setup s;
    setup_init(&s, 0);
    make_file(&s, "d", DISK);
    offer(&s, "", options, (ExportDisk){ .writable = true });
    Peer *p = come(&s, "");
    for (unsigned round = 0; round < 60; round++) {
        /* of one round none overlaps another */
        for (unsigned i = 0; i < 4; i++) {
            uint32_t most = round % 3 ? 200 * 1024 : MIB,
                     at = i * MIB + (uint32_t)g_rand_int_range(rand, 0, 4096);
            uint32_t n = (uint32_t)g_rand_int_range(rand, 1, (gint32)MIN(most, (i + 1) * MIB - at));
            uint8_t *from = area + (size_t)i * 4 * MIB;
            unsigned flags = g_rand_int_range(rand, 0, 6) ? 0 : NBD_CMD_FLAG_FUA;
            fill(from, n, (unsigned)g_rand_int(rand));
            memcpy(model + at, from, n);
            g_assert_true(peer_ask(p, i, NBD_CMD_WRITE, flags, at, n, from));
        }
        g_assert_true(peer_wait(p));
        for (unsigned i = 0; i < 4; i++)
            g_assert_cmpint(p->asked[i].err, ==, 0);
        g_assert_cmpint(peer_do(p, NBD_CMD_READ, 0, 0, DISK, got), ==, 0);
        g_assert_cmpmem(got, DISK, model, DISK);
    }
    peer_free(p);
    await_connections(&s, 0);
    assert_file(&s, "d", model, DISK);
    g_assert_cmpuint(s.said->len, ==, 0);
    setup_clear(&s);
}

/* A payload that comes in more pieces than a pipe has room for, and then stops for good. */
static void test_trickle(void)
{
    enum { SIZE = 64 << 10 };
    uint8_t head[NBD_HEAD_ROOM];
    g_autofree uint8_t *model = g_malloc0(DISK);
    Setup s;
    setup_init(&s, 0);
    make_file(&s, "d", DISK);
    offer(&s, "", "driver=raw,file.driver=file,file.filename=@/d",
          (ExportDisk){ .writable = true });
    Peer *p = come(&s, ""), *other = come(&s, "");
    fill(model + 5000, SIZE, 77);
    NbdRequest r = { .command = NBD_CMD_WRITE, .offset = 5000, .length = SIZE };
    p->asked[0].r = r;
    p->asked[0].open = true;
    p->open++;
    g_assert_true(peer_all(p->fd, head, nbd_client_put_request(p->client, &r, head)));
    for (size_t i = 0; i < SIZE; i += 61)
        g_assert_true(peer_all(p->fd, model + 5000 + i, MIN(61, SIZE - i)));
    g_assert_true(peer_wait(p));
    g_assert_cmpint(p->asked[0].err, ==, 0);
    assert_file(&s, "d", model, DISK);
    /* half of one: the other client, and a stop, do not wait for the rest */
    g_assert_true(peer_all(p->fd, head, nbd_client_put_request(p->client, &r, head)));
    g_assert_true(peer_all(p->fd, model + 5000, SIZE / 2));
    await_taken(p);
    g_assert_cmpint(peer_do(other, NBD_CMD_WRITE, 0, 5000, SIZE, model + 5000), ==, 0);
    peer_free(other);
    await_connections(&s, 1);
    setup_clear(&s);
    peer_free(p);
}

/* The disk refuses in the middle: that request fails, its payload is thrown away, the next ones are
 * done. */
static void test_full(void)
{
    struct rlimit old, limit;
    g_autofree uint8_t *data = g_malloc(2 * MIB);
    Setup s;
    setup_init(&s, 0);
    make_file(&s, "d", DISK);
    offer(&s, "", "driver=raw,file.driver=file,file.filename=@/d",
          (ExportDisk){ .writable = true });
    Peer *p = come(&s, "");
    fill(data, 2 * MIB, 3);
    signal(SIGXFSZ, SIG_IGN);
    g_assert_cmpint(getrlimit(RLIMIT_FSIZE, &old), ==, 0);
    limit = (struct rlimit){ MIB, old.rlim_max };
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &limit), ==, 0);
    for (unsigned i = 0; i < 8; i++) {
        uint64_t at = i % 2 ? 0 : MIB - 150000;
        g_assert_true(peer_ask(p, i, NBD_CMD_WRITE, 0, at, i % 2 ? 100000 : 2 * MIB, data));
    }
    g_assert_true(peer_wait(p));
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &old), ==, 0);
    for (unsigned i = 0; i < 8; i++)
        g_assert_cmpint(p->asked[i].err != 0, ==, i % 2 == 0);
    g_assert_cmpint(peer_do(p, NBD_CMD_WRITE, 0, MIB, 2 * MIB, data), ==, 0);
    peer_free(p);
    await_connections(&s, 0);
    setup_clear(&s);
}

/* What is written is noted as it is otherwise. */
static void test_noted(void)
{
    GError *error = NULL;
    bool dirty;
    g_autofree uint8_t *data = g_malloc(MIB);
    Setup s;
    setup_init(&s, 0);
    make_file(&s, "d", DISK);
    BlockNode *node = open_node(&s, "driver=raw,file.driver=file,file.filename=@/d");
    BlockBitmap *bitmap = block_bitmap_add(node, "b", 65536, false, &error);
    g_assert_no_error(error);
    export_nbd_add(s.server, &(ExportDisk){ .name = "", .node = node, .writable = true }, &error);
    g_assert_no_error(error);
    Peer *p = come(&s, "");
    fill(data, MIB, 1);
    g_assert_cmpint(peer_do(p, NBD_CMD_WRITE, 0, MIB, 131072, data), ==, 0);
    peer_free(p);
    await_connections(&s, 0);
    g_assert_cmpuint(block_bitmap_run(bitmap, 0, DISK, &dirty), ==, MIB);
    g_assert_false(dirty);
    g_assert_cmpuint(block_bitmap_run(bitmap, MIB, DISK - MIB, &dirty), ==, 131072);
    g_assert_true(dirty);
    block_node_unref(node);
    setup_clear(&s);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/export/plain/reads", test_plain);
    g_test_add_data_func("/export/plain/writes", "driver=raw,file.driver=file,file.filename=@/d",
                         test_writes);
    g_test_add_data_func("/export/plain/writes_looked_at",
                         "driver=raw,detect-zeroes=on,file.driver=file,file.filename=@/d",
                         test_writes);
    g_test_add_func("/export/plain/trickle", test_trickle);
    g_test_add_func("/export/plain/full", test_full);
    g_test_add_func("/export/plain/noted", test_noted);
    return g_test_run();
}
