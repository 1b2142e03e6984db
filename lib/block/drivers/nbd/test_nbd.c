/* SPDX-License-Identifier: MIT */
/*
 * The driver against a server made for the purpose, in threads of this process: it has odd sizes and a
 * minimum block size that it insists on, goes away in the middle of requests and of their data, comes back as
 * another, and counts who comes. What is read is compared with a model.
 */
#include "block/block.h"
#include "nbd/nbd.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <json-c/json.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { DISK = (1 << 20) + 1000, UNALIGNED = 1 << 20, NO_CUT = 1 << 30 };

/* ---- The server ------------------------------------------------------------------- */

typedef struct {
    char *dir, *path;
    int listener;
    pthread_t acceptor;
    NbdExport export;
    uint8_t disk[DISK];
    GMutex lock;               /* of disk */
    atomic_int cut_in;         /* requests until a connection is closed, the last one's data half read */
    atomic_bool away;          /* whoever comes is sent away */
    atomic_long poison;        /* a write that begins there ends the connection; -1: none does */
    atomic_uint delay_us;      /* of each answer */
    atomic_uint came, there, most, stray; /* connections; requests that are not multiples of the minimum */
    atomic_bool over;
} Server;

typedef struct {
    Server *s;
    int fd;
} Visit;

static const NbdExport *nth(void *opaque, unsigned i)
{
    return i ? NULL : &((Server *)opaque)->export;
}

static const NbdExport *find(void *opaque, const char *name)
{
    return nth(opaque, *name ? 1 : 0);
}

static bool send_all(int fd, const void *bytes, size_t len)
{
    return !len || send(fd, bytes, len, MSG_NOSIGNAL) == (ssize_t)len;
}

static bool answer(Server *s, int fd, NbdServer *n, const NbdRequest *r, uint8_t *payload)
{
    uint8_t head[NBD_HEAD_ROOM + 256];
    const char *why;
    int err = nbd_server_check(n, r, &why);
    bool ok = true;
    if (r->command != NBD_CMD_FLUSH && (r->offset | r->length) % s->export.minimum)
        s->stray++;
    if (s->delay_us)
        g_usleep(s->delay_us);
    g_mutex_lock(&s->lock);
    if (!err && r->command == NBD_CMD_WRITE)
        memcpy(s->disk + r->offset, payload, r->length);
    if (!err && r->command == NBD_CMD_WRITE_ZEROES)
        memset(s->disk + r->offset, 0, r->length);
    if (!err && r->command == NBD_CMD_BLOCK_STATUS) {
        g_autoptr(GByteArray) out = g_byte_array_new();
        uint64_t half = r->length > 8192 ? 8192 : r->length;
        NbdExtent x[2] = { { half, 0 }, { r->length - half, NBD_STATE_HOLE | NBD_STATE_ZERO } };
        nbd_server_put_extents(n, r, 0, x, x[1].length ? 2 : 1, true, out);
        ok = send_all(fd, out->data, out->len);
    } else if (!err && r->command == NBD_CMD_READ) {
        ok = send_all(fd, head, nbd_server_put_data(n, r, r->offset, r->length, true, head)) &&
             send_all(fd, s->disk + r->offset, r->length);
    } else {
        ok = send_all(fd, head, nbd_server_put_end(n, r, err, NULL, head));
    }
    g_mutex_unlock(&s->lock);
    return ok;
}

static bool receive(int fd, NbdServer *n, size_t most)
{
    struct iovec iov[2];
    int count = nbd_server_buffers(n, iov);
    iov[0].iov_len = MIN(iov[0].iov_len, most);
    struct msghdr msg = { .msg_iov = iov, .msg_iovlen = most < SIZE_MAX ? 1 : (size_t)count };
    ssize_t got = recvmsg(fd, &msg, most < SIZE_MAX ? MSG_DONTWAIT : 0);
    if (got > 0)
        nbd_server_advance(n, (size_t)got);
    return got > 0;
}

static void *visit(void *opaque)
{
    Visit *v = opaque;
    Server *s = v->s;
    NbdServer *n = nbd_server_new(&(NbdOffer){ .nth = nth, .find = find, .opaque = s }, NBD_TLS_NONE);
    g_autofree uint8_t *payload = g_malloc(DISK);
    unsigned there = ++s->there, most = s->most;
    while (there > most && !atomic_compare_exchange_weak(&s->most, &most, there))
        ;
    bool go = true;
    while (go && !s->over) {
        NbdRequest r;
        static _Thread_local NbdRequest writing;
        size_t len;
        NbdEvent event = nbd_server_next(n, &r);
        const uint8_t *out = nbd_server_output(n, &len);
        go = send_all(v->fd, out, len);
        nbd_server_sent(n);
        if (event == NBD_NEED && !len) {
            go = receive(v->fd, n, SIZE_MAX);
        } else if (event == NBD_REQUEST) {
            bool cut = s->cut_in != NO_CUT && s->cut_in-- <= 1;
            if (cut)
                s->cut_in = NO_CUT;
            go = !cut && !(r.command == NBD_CMD_WRITE && (long)r.offset == s->poison);
            bool data = r.command == NBD_CMD_WRITE && !nbd_server_check(n, &r, &(const char *){ NULL });
            if (r.command == NBD_CMD_WRITE)
                nbd_server_payload(n, data ? payload : NULL);
            writing = r;
            if (cut && data)
                receive(v->fd, n, r.length / 2 + 1);
            else if (go && !data)
                go = answer(s, v->fd, n, &r, NULL);
        } else if (event == NBD_PAYLOAD) {
            go = answer(s, v->fd, n, &writing, payload);
        } else if (event == NBD_END || event == NBD_BROKEN) {
            go = false;
        }
    }
    nbd_server_free(n);
    close(v->fd);
    g_free(v);
    s->there--;
    return NULL;
}

static void *accept_all(void *opaque)
{
    Server *s = opaque;
    int fd;
    while ((fd = accept(s->listener, NULL, NULL)) >= 0) {
        pthread_t thread;
        if (s->away || s->over) {
            close(fd);
            continue;
        }
        Visit *v = g_new(Visit, 1);
        *v = (Visit){ s, fd };
        s->came++;
        g_assert_cmpint(pthread_create(&thread, NULL, visit, v), ==, 0);
        pthread_detach(thread);
    }
    return NULL;
}

static Server *server_new(uint64_t size, uint32_t minimum, unsigned flags)
{
    Server *s = g_new0(Server, 1);
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    static const char *const contexts[] = { NBD_CONTEXT_ALLOCATION, NULL };
    s->dir = g_dir_make_tmp("nbd-XXXXXX", NULL);
    s->path = g_build_filename(s->dir, "s", NULL);
    s->cut_in = NO_CUT;
    s->poison = -1;
    s->export = (NbdExport){ .name = "", .size = size, .minimum = minimum, .preferred = MAX(4096, minimum),
                             .maximum = 1 << 19, .contexts = contexts,
                             .flags = (uint16_t)(NBD_FLAG_SEND_FLUSH | NBD_FLAG_SEND_FUA | flags) };
    g_mutex_init(&s->lock);
    g_strlcpy(a.sun_path, s->path, sizeof a.sun_path);
    s->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(bind(s->listener, (struct sockaddr *)&a, sizeof a), ==, 0);
    g_assert_cmpint(listen(s->listener, 64), ==, 0);
    g_assert_cmpint(pthread_create(&s->acceptor, NULL, accept_all, s), ==, 0);
    return s;
}

static void server_free(Server *s)
{
    s->over = true;
    shutdown(s->listener, SHUT_RDWR);
    pthread_join(s->acceptor, NULL);
    for (unsigned i = 0; s->there && i < 60000; i++)
        g_usleep(1000);
    g_assert_cmpuint(s->there, ==, 0); /* each client has said goodbye */
    close(s->listener);
    g_unlink(s->path);
    g_rmdir(s->dir);
    g_mutex_clear(&s->lock);
    g_free(s->path);
    g_free(s->dir);
    g_free(s);
}

/* ---- The client ----------------------------------------------------------------------- */

typedef struct {
    Server *server;
    BlockGraph *graph;
    BlockNode *node;
    BlockUser *user;
    uint8_t model[DISK + 512];
} Disk;

static Disk *disk_new(Server *s, const char *options)
{
    GError *error = NULL;
    Disk *d = g_new0(Disk, 1);
    g_autofree char *text = g_strdup_printf("driver=nbd,server.type=unix,server.path=%s%s", s->path, options);
    struct json_object *tree = block_options_parse(text, NULL, &error);
    g_assert_no_error(error);
    d->server = s;
    d->graph = block_graph_new();
    d->node = block_open(d->graph, tree, 0, &error);
    g_assert_no_error(error);
    json_object_put(tree);
    d->user = block_attach(d->node, &(BlockAttach){ .name = "test", .perm = BLOCK_PERM_CONSISTENT_READ | BLOCK_PERM_WRITE,
                                                    .shared = BLOCK_SHARE_DEFAULT }, &error);
    g_assert_no_error(error);
    return d;
}

static void disk_free(Disk *d)
{
    block_detach(d->user);
    block_node_unref(d->node);
    block_graph_free(d->graph);
    g_free(d);
}

static void fill(uint8_t *buf, size_t len, unsigned seed)
{
    for (size_t i = 0; i < len; i++)
        buf[i] = (uint8_t)(seed * 13 + i * 3 + i / 251 + 1);
}

/* One random operation of any alignment, and its effect on the model. */
static void any_operation(Disk *d, GRand *rand)
{
    static uint8_t buf[64 << 10];
    size_t len = (size_t)g_rand_int_range(rand, 1, sizeof buf);
    uint64_t at = (uint64_t)g_rand_int_range(rand, 0, (gint32)(UNALIGNED - len));
    switch (g_rand_int_range(rand, 0, 6)) {
    case 0:
        g_assert_cmpint(block_zero(d->user, at, len, 0), ==, 0);
        memset(d->model + at, 0, len);
        break;
    case 1:
        g_assert_cmpint(block_flush(d->user), ==, 0);
        break;
    case 2:
    case 3:
        fill(buf, len, g_rand_int(rand));
        g_assert_cmpint(block_write(d->user, at, buf, len, g_rand_boolean(rand) ? BLOCK_FUA : 0), ==, 0);
        memcpy(d->model + at, buf, len);
        break;
    default:
        g_assert_cmpint(block_read(d->user, at, buf, len), ==, 0);
        g_assert_cmpmem(buf, len, d->model + at, len);
    }
}

static void test_sizes(void)
{
    static const struct { uint64_t size; uint32_t minimum; unsigned flags; } kinds[] = {
        { DISK, 1, NBD_FLAG_SEND_WRITE_ZEROES }, { UNALIGNED, 512, 0 }, { UNALIGNED, 4096, NBD_FLAG_SEND_WRITE_ZEROES },
        { UNALIGNED, 65536, 0 },
    };
    for (unsigned k = 0; k < G_N_ELEMENTS(kinds); k++) {
        Server *s = server_new(kinds[k].size, kinds[k].minimum, kinds[k].flags);
        Disk *d = disk_new(s, "");
        g_autoptr(GRand) rand = g_rand_new_with_seed(k);
        for (unsigned i = 0; i < 300; i++)
            any_operation(d, rand);
        g_assert_cmpmem(s->disk, UNALIGNED, d->model, UNALIGNED);
        /* what is asked of the map has to fit, too */
        BlockExtent x[4];
        int n = block_extents(d->user, 4608, 100000, 0, x, 4);
        g_assert_cmpint(n, >=, 1);
        g_assert_cmpuint(x[0].offset, ==, 4608);
        uint64_t sum = 0;
        for (int i = 0; i < n; i++)
            sum += x[i].bytes;
        g_assert_cmpuint(sum, <=, 100000);
        g_assert_cmpuint(s->stray, ==, 0);
        disk_free(d);
        server_free(s);
    }
}

/* Up to whole sectors there are zeroes behind the end, which are all that can be written there. */
static void test_odd_end(void)
{
    Server *s = server_new(DISK, 1, 0);
    Disk *d = disk_new(s, "");
    uint8_t buf[1024];
    uint64_t whole = (DISK + 511) / 512 * 512;
    g_assert_cmpuint(block_size(d->user), ==, whole);
    fill(s->disk, DISK, 5);
    g_assert_cmpint(block_read(d->user, whole - 1024, buf, 1024), ==, 0);
    size_t inside = 1024 - (whole - DISK);
    g_assert_cmpmem(buf, inside, s->disk + DISK - inside, inside);
    for (size_t i = inside; i < 1024; i++)
        g_assert_cmpuint(buf[i], ==, 0);
    g_assert_cmpint(block_write(d->user, whole - 1024, buf, 1024, 0), ==, 0);
    buf[inside] = 1;
    g_assert_cmpint(block_write(d->user, whole - 1024, buf, 1024, 0), ==, -ENOSPC);
    disk_free(d);
    server_free(s);
}

/* ---- Many at once ------------------------------------------------------------------------ */

typedef struct {
    BlockRequest req;
    struct iovec iov;
    uint8_t *buf;
    atomic_int *left;
} Ask;

static void on_done(BlockRequest *req)
{
    Ask *a = req->opaque;
    atomic_fetch_sub(a->left, 1);
}

/* All of them, with their results in req.ret. */
static void run_all(Disk *d, Ask *asks, unsigned n)
{
    atomic_int left = (int)n;
    for (unsigned i = 0; i < n; i++) {
        asks[i].left = &left;
        asks[i].req.done = on_done;
        asks[i].req.opaque = &asks[i];
        if (block_submit(d->user, &asks[i].req))
            left--;
    }
    for (unsigned i = 0; left && i < 60000; i++)
        g_usleep(1000);
    g_assert_cmpint(left, ==, 0);
}

static Ask *writes_new(Disk *d, unsigned n, unsigned len, unsigned seed)
{
    Ask *asks = g_new0(Ask, n);
    for (unsigned i = 0; i < n; i++) {
        asks[i].buf = g_malloc(len);
        fill(asks[i].buf, len, seed + i);
        memcpy(d->model + i * len, asks[i].buf, len);
        asks[i].iov = (struct iovec){ asks[i].buf, len };
        asks[i].req = (BlockRequest){ .op = BLOCK_WRITE, .offset = i * len, .bytes = len, .iov = &asks[i].iov,
                                      .iovcnt = 1 };
    }
    return asks;
}

static void writes_free(Ask *asks, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        g_free(asks[i].buf);
    g_free(asks);
}

/* More connections are made under load, as far as it is allowed; more requests than slots all end. */
static void test_grow(void)
{
    for (unsigned multi = 0; multi < 2; multi++) {
        Server *s = server_new(UNALIGNED, 1, multi ? NBD_FLAG_CAN_MULTI_CONN : 0);
        Disk *d = disk_new(s, ",connections=3");
        s->delay_us = 200;
        for (unsigned round = 0; round < 4; round++) {
            Ask *asks = writes_new(d, 500, 2048, round);
            run_all(d, asks, 500);
            for (unsigned i = 0; i < 500; i++)
                g_assert_cmpint(asks[i].req.ret, ==, 0);
            writes_free(asks, 500);
            g_assert_cmpmem(s->disk, UNALIGNED, d->model, UNALIGNED);
        }
        g_assert_cmpuint(s->most, ==, multi ? 3 : 1);
        disk_free(d);
        server_free(s);
    }
}

/* ---- A server that goes --------------------------------------------------------------------- */

/* Connections break in the middle of requests and of their data; nobody above notices. */
static void test_reconnect(void)
{
    Server *s = server_new(UNALIGNED, 1, NBD_FLAG_CAN_MULTI_CONN | NBD_FLAG_SEND_WRITE_ZEROES);
    Disk *d = disk_new(s, ",reconnect-delay=60");
    g_autoptr(GRand) rand = g_rand_new_with_seed(3);
    for (unsigned round = 0; round < 10; round++) {
        s->cut_in = g_rand_int_range(rand, 1, 40);
        for (unsigned i = 0; i < 20; i++)
            any_operation(d, rand);
        s->cut_in = g_rand_int_range(rand, 1, 100);
        Ask *asks = writes_new(d, 120, 8192, round);
        run_all(d, asks, 120);
        for (unsigned i = 0; i < 120; i++)
            g_assert_cmpint(asks[i].req.ret, ==, 0);
        writes_free(asks, 120);
        g_assert_cmpmem(s->disk, UNALIGNED, d->model, UNALIGNED);
    }
    g_assert_cmpuint(s->came, >, 10);
    disk_free(d);
    server_free(s);
}

/* Without a delay all fails, now and later. */
static void test_lost(void)
{
    Server *s = server_new(UNALIGNED, 1, 0);
    Disk *d = disk_new(s, "");
    s->cut_in = 20;
    Ask *asks = writes_new(d, 200, 4096, 0);
    run_all(d, asks, 200);
    unsigned failed = 0;
    for (unsigned i = 0; i < 200; i++) {
        g_assert_true(!asks[i].req.ret || asks[i].req.ret == -EIO);
        failed += !!asks[i].req.ret;
    }
    g_assert_cmpuint(failed, >=, 181);
    writes_free(asks, 200);
    uint8_t buf[512];
    g_assert_cmpint(block_read(d->user, 0, buf, 512), ==, -EIO);
    g_assert_cmpint(block_flush(d->user), ==, -EIO);
    disk_free(d);
    server_free(s);
}

/* With one, requests wait that long, then fail, new ones at once, until the server is there again. */
static void test_gone(void)
{
    Server *s = server_new(UNALIGNED, 1, 0);
    Disk *d = disk_new(s, ",reconnect-delay=1");
    uint8_t buf[512] = { 7 };
    s->away = true;
    s->cut_in = 1;
    int64_t begin = g_get_monotonic_time();
    g_assert_cmpint(block_write(d->user, 0, buf, 512, 0), ==, -EIO);
    int64_t took = g_get_monotonic_time() - begin;
    g_assert_cmpint(took, >, 800000);
    g_assert_cmpint(took, <, 30000000);
    begin = g_get_monotonic_time();
    g_assert_cmpint(block_write(d->user, 0, buf, 512, 0), ==, -EIO);
    g_assert_cmpint(g_get_monotonic_time() - begin, <, 700000);
    s->away = false;
    int r = -EIO;
    for (unsigned i = 0; r && i < 600; i++) {
        g_usleep(100000);
        r = block_write(d->user, 0, buf, 512, 0);
    }
    g_assert_cmpint(r, ==, 0);
    g_assert_cmpuint(s->disk[0], ==, 7);
    disk_free(d);
    server_free(s);
}

/* A request that the server cannot stand fails in the end, and then others go on. */
static void test_poison(void)
{
    Server *s = server_new(UNALIGNED, 1, 0);
    Disk *d = disk_new(s, ",reconnect-delay=1");
    uint8_t buf[512] = { 9 };
    s->poison = 8192;
    int64_t begin = g_get_monotonic_time();
    Ask *asks = writes_new(d, 1, 512, 1);
    asks[0].req.offset = 8192;
    run_all(d, asks, 1);
    g_assert_cmpint(asks[0].req.ret, ==, -EIO);
    g_assert_cmpint(g_get_monotonic_time() - begin, >, 800000);
    g_assert_cmpuint(s->came, <, 100); /* nor did it run around in circles */
    writes_free(asks, 1);
    int r = -EIO;
    for (unsigned i = 0; r && i < 600; i++) {
        r = block_write(d->user, 0, buf, 512, 0);
        g_usleep(r ? 100000 : 0);
    }
    g_assert_cmpint(r, ==, 0);
    disk_free(d);
    server_free(s);
}

/* One that comes back as another is not written to. */
static void test_another(void)
{
    Server *s = server_new(UNALIGNED, 1, 0);
    Disk *d = disk_new(s, ",reconnect-delay=1");
    uint8_t buf[512] = { 9 };
    for (unsigned kind = 0; kind < 3; kind++) {
        NbdExport was = s->export;
        if (kind == 0)
            s->export.size /= 2;
        else if (kind == 1)
            s->export.flags |= NBD_FLAG_READ_ONLY;
        else
            s->export.maximum /= 2;
        s->cut_in = 1;
        g_assert_cmpint(block_write(d->user, 0, buf, 512, 0), ==, -EIO);
        s->export = was;
        int r = -EIO;
        for (unsigned i = 0; r && i < 600; i++) {
            g_usleep(100000);
            r = block_write(d->user, 0, buf, 512, 0);
        }
        g_assert_cmpint(r, ==, 0);
    }
    disk_free(d);
    server_free(s);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/nbd/sizes", test_sizes);
    g_test_add_func("/nbd/odd_end", test_odd_end);
    g_test_add_func("/nbd/grow", test_grow);
    g_test_add_func("/nbd/reconnect", test_reconnect);
    g_test_add_func("/nbd/lost", test_lost);
    g_test_add_func("/nbd/gone", test_gone);
    g_test_add_func("/nbd/poison", test_poison);
    g_test_add_func("/nbd/another", test_another);
    return g_test_run();
}
