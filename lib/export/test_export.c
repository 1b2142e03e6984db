/* SPDX-License-Identifier: MIT */
/*
 * The server with real disks below and clients of lib/nbd on socket pairs and TCP: requests of all
 * kinds against a model, more of them than a connection holds, answers that come late, stops and
 * removals in the middle, errors of the disk, block status of a chain, clients that waste time.
 */
#include "export/test_server.h"

#include "base/bytes.h"
#include "base/socket.h"

#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>

/* Until the server closes, which it has to. */
static void peer_drain(Peer *p)
{
    bool ready;
    while (peer_step(p, &ready))
        ;
}

/* ---- Requests of all kinds --------------------------------------------------------- */

enum { UNIT = 64 << 10, UNITS = 32, AREA = UNIT * UNITS };

typedef struct {
    Peer *peer;
    uint8_t model[AREA + 1000], data[UNITS][UNIT];
    struct { unsigned command, offset, length; } asked[UNITS];
} Model;

static void ask_any(Model *m, unsigned i, GRand *rand)
{
    static const uint16_t commands[] = { NBD_CMD_READ,         NBD_CMD_WRITE, NBD_CMD_WRITE,
                                         NBD_CMD_WRITE_ZEROES, NBD_CMD_FLUSH, NBD_CMD_CACHE,
                                         NBD_CMD_READ,         NBD_CMD_TRIM };
    unsigned command = commands[g_rand_int_range(rand, 0, G_N_ELEMENTS(commands))];
    unsigned from = (unsigned)g_rand_int_range(rand, 0, UNIT - 1), flags = 0;
    unsigned length = (unsigned)g_rand_int_range(rand, 1, (gint32)(UNIT - from + 1));
    if (g_rand_boolean(rand))
        from &= ~511u, length = MIN((length + 511) & ~511u, UNIT - from);
    uint64_t at = (uint64_t)i * UNIT + from;
    if (command == NBD_CMD_WRITE || command == NBD_CMD_WRITE_ZEROES || command == NBD_CMD_TRIM)
        flags |= g_rand_int_range(rand, 0, 4) ? 0 : NBD_CMD_FLAG_FUA;
    if (command == NBD_CMD_WRITE_ZEROES)
        flags |= g_rand_boolean(rand) ? NBD_CMD_FLAG_NO_HOLE : 0;
    m->asked[i].command = command;
    m->asked[i].offset = (unsigned)at;
    m->asked[i].length = length;
    if (command == NBD_CMD_WRITE) {
        fill(m->data[i], length, g_rand_int(rand));
        memcpy(m->model + at, m->data[i], length);
    } else if (command == NBD_CMD_WRITE_ZEROES) {
        memset(m->model + at, 0, length);
    }
    bool nothing = command == NBD_CMD_FLUSH;
    g_assert_true(peer_ask(m->peer, i, command, flags, nothing ? 0 : at, nothing ? 0 : length, m->data[i]));
}

static void test_requests(gconstpointer data)
{
    const NbdWanted *wanted = data;
    Setup s;
    setup_init(&s, 0);
    make_file(&s, "d", AREA + 1000);
    offer(&s, "", "driver=raw,file.driver=file,file.filename=@/d",
          (ExportDisk){ .writable = true });
    g_autofree Model *m = g_new0(Model, 1);
    g_autoptr(GRand) rand = g_rand_new_with_seed(11);
    m->peer = come_as(&s, wanted);
    g_assert_cmpuint(nbd_client_export(m->peer->client)->size, ==, AREA + 1024); /* whole sectors */
    for (unsigned round = 0; round < 60; round++) {
        for (unsigned i = 0; i < UNITS; i++)
            ask_any(m, i, rand);
        g_assert_true(peer_wait(m->peer));
        for (unsigned i = 0; i < UNITS; i++) {
            g_assert_cmpint(m->peer->asked[i].err, ==, 0);
            if (m->asked[i].command == NBD_CMD_READ)
                g_assert_cmpmem(m->data[i], m->asked[i].length, m->model + m->asked[i].offset,
                                m->asked[i].length);
        }
    }
    peer_free(m->peer);
    await_connections(&s, 0);
    g_autofree char *path = g_build_filename(s.dir, "d", NULL), *bytes = NULL;
    gsize len;
    g_assert_true(g_file_get_contents(path, &bytes, &len, NULL));
    g_assert_cmpmem(bytes, AREA, m->model, AREA);
    g_assert_cmpuint(s.said->len, ==, 0);
    setup_clear(&s);
}

static void test_refusals(void)
{
    Setup s;
    setup_init(&s, 0);
    make_file(&s, "d", MIB);
    offer(&s, "rw", "driver=raw,file.driver=file,file.filename=@/d",
          (ExportDisk){ .writable = true });
    offer(&s, "ro", "driver=raw,read-only=on,file.driver=null-co,file.size=1M", (ExportDisk){ 0 });
    static uint8_t buf[4096];
    Peer *p = come(&s, "rw"), *q = come(&s, "ro");
    g_assert_cmpint(peer_do(p, NBD_CMD_READ, 0, MIB, 1, buf), ==, EINVAL);
    g_assert_cmpint(peer_do(p, NBD_CMD_WRITE, 0, MIB - 1, 2, buf), ==, ENOSPC);
    g_assert_cmpint(peer_do(p, NBD_CMD_READ, 0, UINT64_MAX - 10, 100, buf), ==, EINVAL);
    g_assert_cmpint(peer_do(p, NBD_CMD_RESIZE, 0, 0, 0, NULL), ==, EINVAL);
    g_assert_cmpint(peer_do(p, NBD_CMD_BLOCK_STATUS, 0, 0, 512, NULL), ==, EINVAL); /* no context */
    g_assert_cmpint(peer_do(q, NBD_CMD_WRITE, 0, 0, 512, buf), ==, EPERM);
    g_assert_cmpint(peer_do(q, NBD_CMD_WRITE_ZEROES, 0, 0, 512, NULL), ==, EPERM);
    g_assert_cmpint(peer_do(q, NBD_CMD_READ, 0, 0, 512, buf), ==, 0);
    g_assert_cmpint(peer_do(p, NBD_CMD_WRITE, NBD_CMD_FLAG_FUA, 0, 4096, buf), ==, 0);
    g_assert_null(come_as(&s, &(NbdWanted){ .name = "none" }));
    g_assert_null(come_as(&s, &(NbdWanted){ .name = "" }));
    peer_free(p);
    peer_free(q);
    await_connections(&s, 0);
    setup_clear(&s);
}

/* ---- Late answers, many requests ----------------------------------------------------- */

/* More at once than a connection holds, in number and in bytes; all are answered. */
static void test_many(void)
{
    enum { MANY = 250, EACH = 2 << 20 };
    Setup s;
    setup_init(&s, 0);
    offer(&s, "", "driver=null-co,size=1G,read-zeroes=on,latency-ns=2000000",
          (ExportDisk){ .writable = true });
    Peer *p = come_as(&s, &(NbdWanted){ .name = "", .simple = true });
    g_autofree uint8_t *buf = g_malloc(EACH);
    for (unsigned i = 0; i < MANY; i++)
        g_assert_true(peer_ask(p, i, NBD_CMD_READ, 0, (uint64_t)i * EACH, EACH, buf));
    memset(buf, 1, EACH);
    g_assert_true(peer_wait(p));
    for (unsigned i = 0; i < MANY; i++)
        g_assert_cmpint(p->asked[i].err, ==, 0);
    g_assert_true(!buf[0] && !memcmp(buf, buf + 1, EACH - 1));
    for (unsigned i = 0; i < 255; i++)
        g_assert_true(peer_ask(p, i, i % 50 ? NBD_CMD_WRITE : NBD_CMD_FLUSH, 0, 0, i % 50 ? 4096 : 0, buf));
    g_assert_true(peer_wait(p));
    peer_free(p);
    await_connections(&s, 0);
    setup_clear(&s);
}

/* KiB of memory that this process has had at most since it was asked to count anew; 0: it cannot be
 * told. */
static long most_memory(bool anew)
{
    if (anew && !g_file_set_contents_full("/proc/self/clear_refs", "5", 1, G_FILE_SET_CONTENTS_NONE,
                                          0, NULL))
        return 0;
    g_autofree char *status = NULL;
    const char *line = g_file_get_contents("/proc/self/status", &status, NULL, NULL)
                           ? strstr(status, "VmHWM:")
                           : NULL;
    return line ? strtol(line + 6, NULL, 10) : 0;
}

/* Buffers that are kept for later count, too, when large requests follow on many of middle size. */
static void test_memory(void)
{
    enum { MANY = 64, LARGE = 32 << 20 };
    Setup s;
    setup_init(&s, 0);
    offer(&s, "", "driver=null-co,size=1G,read-zeroes=on,latency-ns=1000000", (ExportDisk){ 0 });
    Peer *p = come_as(&s, &(NbdWanted){ .name = "", .simple = true });
    long before = most_memory(true);
    for (unsigned i = 0; i < MANY; i++)
        g_assert_true(peer_ask(p, i, NBD_CMD_READ, 0, (uint64_t)i * MIB, MIB, NULL));
    g_assert_true(peer_wait(p));
    for (unsigned i = 0; i < 6; i++)
        g_assert_true(peer_ask(p, i, NBD_CMD_READ, 0, (uint64_t)i * LARGE, LARGE, NULL));
    g_assert_true(peer_wait(p));
    long after = most_memory(false);
    g_test_message("%ld KiB, then %ld", before, after);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    if (before)
        g_assert_cmpint(after - before, <, (EXPORT_MAX_BYTES >> 10) + 8192);
#endif
    peer_free(p);
    await_connections(&s, 0);
    setup_clear(&s);
}

/* A limit on the disk: requests wait in it, others that need no disk are answered meanwhile. */
static void test_throttled(void)
{
    Setup s;
    setup_init(&s, 0);
    offer(&s, "", "driver=throttle,limits.iops-total=40,file.driver=null-co,file.size=1M,file.read-zeroes=on",
          (ExportDisk){ .writable = true });
    static uint8_t buf[512];
    Peer *p = come(&s, "");
    int64_t begin = g_get_monotonic_time();
    for (unsigned i = 0; i < 30; i++)
        g_assert_true(peer_ask(p, i, NBD_CMD_READ, 0, i * 512, 512, buf));
    g_assert_true(peer_ask(p, 30, NBD_CMD_READ, 0, MIB, 512, buf));
    bool ready;
    while (p->asked[30].open)
        g_assert_true(peer_step(p, &ready));
    g_assert_cmpuint(p->open, >, 0); /* it did not wait for the others */
    g_assert_cmpint(p->asked[30].err, ==, EINVAL);
    g_assert_true(peer_wait(p));
    g_assert_cmpint(g_get_monotonic_time() - begin, >, 200000);
    peer_free(p);
    await_connections(&s, 0);
    setup_clear(&s);
}

/* ---- The end --------------------------------------------------------------------------- */

static void stop_amid(bool now)
{
    Setup s;
    setup_init(&s, 0);
    offer(&s, "", "driver=null-co,size=1M,read-zeroes=on,latency-ns=300000000",
          (ExportDisk){ .writable = true });
    static uint8_t buf[4096];
    Peer *p = come(&s, "");
    for (unsigned i = 0; i < 8; i++)
        g_assert_true(peer_ask(p, i, i & 1 ? NBD_CMD_READ : NBD_CMD_WRITE, 0, i * 4096, 4096, buf));
    await_taken(p);
    export_nbd_stop(s.server, now);
    bool all = peer_wait(p);
    if (!now) {
        g_assert_true(all);
        for (unsigned i = 0; i < 8; i++)
            g_assert_cmpint(p->asked[i].err, ==, 0);
    }
    if (all)
        peer_drain(p);
    await_connections(&s, 0);
    g_assert_cmpuint(s.said->len, ==, 0);
    peer_free(p);
    setup_clear(&s);
}

static void test_stop(void)
{
    stop_amid(false);
}

static void test_cut(void)
{
    stop_amid(true);
}

static void *write_without_end(void *opaque)
{
    Peer *p = opaque;
    static const uint8_t zeroes[64 << 10];
    uint8_t head[NBD_HEAD_ROOM];
    NbdRequest r = { .command = NBD_CMD_WRITE, .length = sizeof zeroes };
    size_t n = nbd_client_put_request(p->client, &r, head);
    while (peer_all(p->fd, head, n) && peer_all(p->fd, zeroes, sizeof zeroes))
        ;
    return NULL;
}

static void *read_without_end(void *opaque)
{
    static uint8_t waste[64 << 10];
    while (recv(((Peer *)opaque)->fd, waste, sizeof waste, 0) > 0)
        ;
    return NULL;
}

/* A client on TCP that never pauses neither keeps the server from its end nor is left hanging. */
static void test_stop_busy(void)
{
    Setup s;
    GError *error = NULL;
    setup_init(&s, 0);
    offer(&s, "", "driver=null-co,size=1M,latency-ns=50000000", (ExportDisk){ .writable = true });
    g_autoptr(SocketAddress) any = socket_address_inet("127.0.0.1", "0");
    GArray *listeners = socket_listen(any, 4, &error);
    g_assert_no_error(error);
    int listener = g_array_index(listeners, int, 0);
    g_autofree char *name = socket_name(listener);
    g_autoptr(SocketAddress) there = socket_address_inet("127.0.0.1", strrchr(name, ':') + 1);
    int fd = socket_connect(there, LONG_MS, &error);
    g_assert_no_error(error);
    export_nbd_listen(s.server, listener);
    await_connections(&s, 1);
    Peer *p = peer_new(fd, &(NbdWanted){ .name = "", .simple = true });
    g_assert_nonnull(p);
    pthread_t writer, reader;
    g_assert_cmpint(pthread_create(&writer, NULL, write_without_end, p), ==, 0);
    g_assert_cmpint(pthread_create(&reader, NULL, read_without_end, p), ==, 0);
    g_usleep(200000);
    export_nbd_stop(s.server, false);
    await_connections(&s, 0);
    pthread_join(writer, NULL);
    pthread_join(reader, NULL);
    peer_free(p);
    export_nbd_free(g_steal_pointer(&s.server));
    socket_unlisten(listeners);
    setup_clear(&s);
}

/* ---- Exports that go ---------------------------------------------------------------------- */

static void test_remove(void)
{
    Setup s;
    GError *error = NULL;
    setup_init(&s, 0);
    make_file(&s, "d", MIB);
    offer(&s, "a", "driver=null-co,size=1M,read-zeroes=on,latency-ns=200000000",
          (ExportDisk){ .writable = true });
    offer(&s, "c", "driver=null-co,size=2M", (ExportDisk){ .writable = true });
    BlockNode *node = open_node(&s, "driver=raw,file.driver=file,file.filename=@/d");
    export_nbd_add(s.server, &(ExportDisk){ .name = "b", .node = node, .writable = true }, &error);
    g_assert_no_error(error);
    static uint8_t buf[4096];
    Peer *a = come(&s, "a"), *b = come(&s, "b"), *c = come(&s, "c");
    for (unsigned i = 0; i < 4; i++)
        g_assert_true(peer_ask(a, i, NBD_CMD_WRITE, 0, i * 4096, 4096, buf));
    await_taken(a);
    g_assert_true(export_nbd_remove(s.server, "a", false, &error));
    g_assert_true(export_nbd_remove(s.server, "b", true, &error));
    g_assert_false(export_nbd_remove(s.server, "b", true, &error));
    g_assert_nonnull(error);
    g_clear_error(&error);
    g_assert_null(come_as(&s, &(NbdWanted){ .name = "b" }));
    g_assert_true(peer_wait(a)); /* it was not cut off */
    peer_drain(a);
    peer_drain(b);
    await_connections(&s, 1);
    /* nothing of the export is left on its node, though another client is there */
    BlockUser *user = block_attach(node, &(BlockAttach){ .name = "test", .perm = BLOCK_PERM_RW },
                                   &error);
    g_assert_no_error(error);
    block_detach(user);
    block_node_unref(node);
    g_assert_cmpint(peer_do(c, NBD_CMD_WRITE, 0, 0, 4096, buf), ==, 0);
    offer(&s, "b", "driver=null-co,size=3M", (ExportDisk){ 0 });
    Peer *again = come(&s, "b");
    g_assert_cmpuint(nbd_client_export(again->client)->size, ==, 3 * MIB);
    peer_free(a);
    peer_free(b);
    peer_free(c);
    peer_free(again);
    await_connections(&s, 0);
    setup_clear(&s);
}

static void option(int fd, uint32_t number, const void *data, uint32_t len)
{
    uint8_t head[16] = "IHAVEOPT";
    st_be32(head + 8, number);
    st_be32(head + 12, len);
    g_assert_true(peer_all(fd, head, 16) && peer_all(fd, data, len));
}

/* Answers up to the last of an option: its type. */
static uint32_t answers(int fd)
{
    for (;;) {
        uint8_t head[20], body[1000];
        g_assert_cmpint(recv(fd, head, 20, MSG_WAITALL), ==, 20);
        uint32_t type = ld_be32(head + 12), len = ld_be32(head + 16);
        g_assert_cmpuint(len, <, sizeof body);
        g_assert_true(!len || recv(fd, body, len, MSG_WAITALL) == (ssize_t)len);
        if (type == 1 || type & 0x80000000)
            return type;
    }
}

/* Contexts that were chosen of one export are none of another's that has taken its name since. */
static void test_name_again(void)
{
    Setup s;
    int pair[2];
    uint8_t head[32], set[64] = { 0 }, go[7] = { 0, 0, 0, 1, 'x' };
    setup_init(&s, 0);
    offer(&s, "x", "driver=null-co,size=1M", (ExportDisk){ .depth = true });
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
    export_nbd_take(s.server, pair[1]);
    g_assert_cmpint(recv(pair[0], head, 18, MSG_WAITALL), ==, 18);
    st_be32(head, 3);
    g_assert_true(peer_all(pair[0], head, 4));
    option(pair[0], 8, NULL, 0);
    g_assert_cmpuint(answers(pair[0]), ==, 1);
    st_be32(set, 1);
    set[4] = 'x';
    st_be32(set + 5, 1);
    st_be32(set + 9, sizeof NBD_CONTEXT_DEPTH - 1);
    memcpy(set + 13, NBD_CONTEXT_DEPTH, sizeof NBD_CONTEXT_DEPTH - 1);
    option(pair[0], 10, set, 13 + sizeof NBD_CONTEXT_DEPTH - 1);
    g_assert_cmpuint(answers(pair[0]), ==, 1);
    g_assert_true(export_nbd_remove(s.server, "x", false, NULL));
    offer(&s, "x", "driver=null-co,size=2M", (ExportDisk){ .depth = true });
    option(pair[0], 7, go, 7);
    g_assert_cmpuint(answers(pair[0]), ==, 1);
    memset(head, 0, sizeof head);
    st_be32(head, 0x25609513);
    st_be16(head + 6, NBD_CMD_BLOCK_STATUS);
    st_be32(head + 24, 512);
    g_assert_true(peer_all(pair[0], head, 28));
    g_assert_cmpint(recv(pair[0], head, 24, MSG_WAITALL), ==, 24);
    g_assert_cmpuint(ld_be16(head + 6), ==, 0x8001);
    g_assert_cmpuint(ld_be32(head + 20), ==, 22);
    close(pair[0]);
    await_connections(&s, 0);
    setup_clear(&s);
}

/* ---- Errors of the disk ---------------------------------------------------------------------- */

static void test_errors(void)
{
    Setup s;
    setup_init(&s, 0);
    make_file(&s, "d", MIB);
    offer(&s, "", "driver=blkdebug,image.driver=file,image.filename=@/d,"
                  "inject-error.0.event=none,inject-error.0.iotype=write,inject-error.0.sector=8,"
                  "inject-error.0.errno=28,inject-error.1.event=none,inject-error.1.iotype=read,"
                  "inject-error.1.sector=16,inject-error.1.errno=5,inject-error.2.event=none,"
                  "inject-error.2.iotype=flush,inject-error.2.errno=5,inject-error.2.once=on",
          (ExportDisk){ .writable = true });
    static uint8_t buf[32][4096];
    Peer *p = come(&s, "");
    g_assert_cmpint(peer_do(p, NBD_CMD_FLUSH, 0, 0, 0, NULL), ==, EIO);
    for (unsigned round = 0; round < 4; round++) {
        bool read = round & 1;
        for (unsigned i = 0; i < 32; i++)
            g_assert_true(peer_ask(p, i, read ? NBD_CMD_READ : NBD_CMD_WRITE, 0, i * 4096, 4096, buf[i]));
        g_assert_true(peer_wait(p));
        for (unsigned i = 0; i < 32; i++)
            g_assert_cmpint(p->asked[i].err, ==, !read && i == 1 ? ENOSPC : read && i == 2 ? EIO : 0);
    }
    g_assert_cmpint(peer_do(p, NBD_CMD_FLUSH, 0, 0, 0, NULL), ==, 0);
    peer_free(p);
    await_connections(&s, 0);
    setup_clear(&s);
}

/* ---- Block status ---------------------------------------------------------------------------- */

static void assert_extents(const Peer *p, unsigned context, const NbdExtent *want, unsigned n)
{
    g_assert_cmpuint(p->count[context], ==, n);
    for (unsigned i = 0; i < n; i++) {
        g_assert_cmpuint(p->extents[context][i].length, ==, want[i].length);
        g_assert_cmpuint(p->extents[context][i].flags, ==, want[i].flags);
    }
}

/* A chain that qemu-img made; which cluster came from where is known. */
static void test_status(void)
{
    static const char *const contexts[] = { NBD_CONTEXT_ALLOCATION, NBD_CONTEXT_DEPTH,
                                            NBD_CONTEXT_BITMAP "b", NULL };
    static const char *const bitmaps[] = { "b", NULL };
    enum { K = 1024, HOLE = NBD_STATE_HOLE | NBD_STATE_ZERO };
    Setup s;
    setup_init(&s, 0);
    g_autofree char *make = g_strdup_printf(
        "cd '%s' && { qemu-img create -q -f qcow2 base 1M && qemu-io -c 'write 0 128k' base &&"
        " qemu-img create -q -f qcow2 -b base -F qcow2 top && qemu-io -c 'write 64k 64k' top &&"
        " qemu-img bitmap --add top b && qemu-io -c 'write 256k 64k' -c 'write -z 512k 64k' top; } "
        ">log 2>&1",
        s.dir);
    if (system(make)) {
        g_test_skip("qemu-img makes no such images here");
        setup_clear(&s);
        return;
    }
    offer(&s, "", "driver=qcow2,read-only=on,file.driver=file,file.filename=@/top",
          (ExportDisk){ .depth = true, .bitmaps = bitmaps });
    static const NbdExtent allocation[] = { { 128 * K, 0 }, { 128 * K, HOLE }, { 64 * K, 0 },
                                            { 704 * K, HOLE } };
    static const NbdExtent depth[] = { { 64 * K, 2 },  { 64 * K, 1 }, { 128 * K, 0 }, { 64 * K, 1 },
                                       { 192 * K, 0 }, { 64 * K, 1 }, { 448 * K, 0 } };
    static const NbdExtent dirty[] = {
        { 256 * K, 0 }, { 64 * K, 1 }, { 192 * K, 0 }, { 64 * K, 1 }, { 448 * K, 0 }
    };
    for (unsigned extended = 0; extended < 2; extended++) {
        Peer *p = come_as(&s,
                          &(NbdWanted){ .name = "", .extended = extended, .contexts = contexts });
        uint32_t id[3];
        for (unsigned i = 0; i < 3; i++)
            g_assert_true(nbd_client_context(p->client, i, &id[i]));
        g_assert_cmpint(peer_do(p, NBD_CMD_BLOCK_STATUS, 0, 0, MIB, NULL), ==, 0);
        assert_extents(p, id[0], allocation, G_N_ELEMENTS(allocation));
        assert_extents(p, id[1], depth, G_N_ELEMENTS(depth));
        assert_extents(p, id[2], dirty, G_N_ELEMENTS(dirty));
        g_assert_cmpint(peer_do(p, NBD_CMD_BLOCK_STATUS, NBD_CMD_FLAG_REQ_ONE, 100 * K, 500 * K, NULL), ==, 0);
        assert_extents(p, id[0], &(NbdExtent){ 28 * K, 0 }, 1);
        assert_extents(p, id[1], &(NbdExtent){ 28 * K, 1 }, 1);
        assert_extents(p, id[2], &(NbdExtent){ 156 * K, 0 }, 1);
        peer_free(p);
    }
    await_connections(&s, 0);
    setup_clear(&s);
}

/* ---- Clients that waste time ----------------------------------------------------------------- */

static int begin_handshake(Setup *s)
{
    int pair[2];
    uint8_t greeting[18];
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
    export_nbd_take(s->server, pair[1]);
    g_assert_cmpint(recv(pair[0], greeting, 18, MSG_WAITALL), ==, 18);
    st_be32(greeting, 3);
    g_assert_true(peer_all(pair[0], greeting, 4));
    return pair[0];
}

typedef struct {
    int fd;
    bool takes; /* the answers */
} Talker;

static void *talk(void *opaque)
{
    Talker *t = opaque;
    uint8_t head[16] = "IHAVEOPT", waste[4096];
    st_be32(head + 8, 3);
    while (peer_all(t->fd, head, 16) && (!t->takes || recv(t->fd, waste, sizeof waste, 0) > 0))
        ;
    return NULL;
}

/* Who says nothing, who never stops, and who takes no answers: all have the same time for the
 * handshake. */
static void test_wasters(void)
{
    Setup s;
    setup_init(&s, 300);
    offer(&s, "", "driver=null-co,size=1M", (ExportDisk){ 0 });
    int idle = begin_handshake(&s);
    Talker talkers[2] = { { begin_handshake(&s), true }, { begin_handshake(&s), false } };
    pthread_t threads[2];
    for (unsigned i = 0; i < 2; i++)
        g_assert_cmpint(pthread_create(&threads[i], NULL, talk, &talkers[i]), ==, 0);
    Peer *p = come(&s, "");
    await_connections(&s, 1);
    for (unsigned i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
        close(talkers[i].fd);
    }
    close(idle);
    g_assert_cmpuint(s.said->len, ==, 3);
    for (unsigned i = 0; i < 3; i++)
        g_assert_nonnull(strstr(s.said->pdata[i], "it did not choose an export in time"));
    /* who has chosen may take his time */
    static uint8_t buf[512];
    g_usleep(500000);
    g_assert_cmpint(peer_do(p, NBD_CMD_READ, 0, 0, 512, buf), ==, 0);
    peer_free(p);
    await_connections(&s, 0);
    setup_clear(&s);
}

/* ---- All at once ----------------------------------------------------------------------------- */

typedef struct {
    Setup *s;
    int fds[64];
    atomic_uint got, taken;
    atomic_bool over;
} Crowd;

static void *visit(void *opaque)
{
    Crowd *crowd = opaque;
    g_autoptr(GRand) rand = g_rand_new_with_seed((guint32)(uintptr_t)&rand);
    g_autofree uint8_t *buf = g_malloc0(256 << 10);
    while (!crowd->over) {
        unsigned i = crowd->taken;
        if (i >= crowd->got || !atomic_compare_exchange_strong(&crowd->taken, &i, i + 1)) {
            g_usleep(500);
            continue;
        }
        int fd = crowd->fds[i % 64];
        if (!g_rand_int_range(rand, 0, 8)) {
            close(fd);
            continue;
        }
        Peer *p = peer_new(fd, &(NbdWanted){ .name = g_rand_boolean(rand) ? "a" : "b" });
        unsigned n = p ? (unsigned)g_rand_int_range(rand, 1, 100) : 0;
        bool there = true;
        for (unsigned k = 0; k < n && there; k++) {
            unsigned command = (unsigned)g_rand_int_range(rand, 0, 7);
            unsigned len = command == NBD_CMD_FLUSH || command == NBD_CMD_DISC
                               ? 0
                               : 1u << g_rand_int_range(rand, 0, 19);
            there = peer_ask(p, k, command == NBD_CMD_DISC ? NBD_CMD_READ : command, 0, 0,
                             len ? len : 512, buf);
        }
        if (there && p && g_rand_boolean(rand))
            peer_wait(p);
        if (p)
            peer_free(p);
    }
    return NULL;
}

/* Clients come, go in the middle, are sent away; for the sanitizers' sake. */
static void test_crowd(void)
{
    enum { VISITORS = 6 };
    Setup s;
    Crowd crowd = { .s = &s };
    pthread_t threads[VISITORS];
    setup_init(&s, 0);
    make_file(&s, "d", MIB);
    offer(&s, "a", "driver=raw,file.driver=file,file.filename=@/d",
          (ExportDisk){ .writable = true });
    for (unsigned i = 0; i < VISITORS; i++)
        g_assert_cmpint(pthread_create(&threads[i], NULL, visit, &crowd), ==, 0);
    int64_t end = g_get_monotonic_time() + 2000000;
    for (unsigned round = 0; g_get_monotonic_time() < end; round++) {
        int pair[2];
        if (crowd.got - crowd.taken < VISITORS &&
            socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0) {
            export_nbd_take(s.server, pair[1]);
            crowd.fds[crowd.got % 64] = pair[0];
            crowd.got++;
        }
        if (round % 40 == 10)
            offer(&s, "b", "driver=null-co,size=1M,read-zeroes=on,latency-ns=100000",
                  (ExportDisk){ .writable = true });
        if (round % 40 == 30)
            g_assert_true(export_nbd_remove(s.server, "b", round & 64, NULL));
        while (g_main_context_iteration(NULL, false))
            ;
        g_usleep(300);
    }
    export_nbd_stop(s.server, true);
    crowd.over = true;
    for (unsigned i = 0; i < VISITORS; i++)
        pthread_join(threads[i], NULL);
    for (unsigned i = crowd.taken; i < crowd.got; i++)
        close(crowd.fds[i % 64]);
    await_connections(&s, 0);
    setup_clear(&s);
}

int main(int argc, char **argv)
{
    static const NbdWanted simple = { .name = "", .simple = true }, structured = { .name = "" },
                           extended = { .name = "", .extended = true };
    g_test_init(&argc, &argv, NULL);
    mallopt(M_MMAP_THRESHOLD, 128 << 10); /* what is freed is given back: test_memory counts */
    g_test_add_data_func("/export/requests/simple", &simple, test_requests);
    g_test_add_data_func("/export/requests/structured", &structured, test_requests);
    g_test_add_data_func("/export/requests/extended", &extended, test_requests);
    g_test_add_func("/export/refusals", test_refusals);
    g_test_add_func("/export/many", test_many);
    g_test_add_func("/export/memory", test_memory);
    g_test_add_func("/export/throttled", test_throttled);
    g_test_add_func("/export/stop", test_stop);
    g_test_add_func("/export/cut", test_cut);
    g_test_add_func("/export/stop_busy", test_stop_busy);
    g_test_add_func("/export/remove", test_remove);
    g_test_add_func("/export/name_again", test_name_again);
    g_test_add_func("/export/errors", test_errors);
    g_test_add_func("/export/status", test_status);
    g_test_add_func("/export/wasters", test_wasters);
    g_test_add_func("/export/crowd", test_crowd);
    return g_test_run();
}
