/* SPDX-License-Identifier: MIT */
/*
 * The core with drivers made for the purpose: one asynchronous alone, one that fails on command,
 * one with awkward limits; what completes where, draining, cancelling, FUA, fall-backs.
 */
#include "block/driver.h"

#include "base/error.h"

#include <errno.h>
#include <json-c/json.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DISK = 1 << 20 };

/* ---- a disk in memory that notes what it is asked ------------------------ */

typedef struct {
    uint8_t *data;
    uint64_t align, max;
    bool zero, fua;
    _Atomic int reads, writes, zeroes, flushes, fuas, discards;
    _Atomic int fail;        /* errno of the next writes */
    _Atomic uint64_t longest;
} Memory;

static const BlockProp memory_props[] = {
    { .name = "align", .kind = BLOCK_PROP_SIZE, .offset = offsetof(Memory, align), .def = "1" },
    { .name = "max", .kind = BLOCK_PROP_SIZE, .offset = offsetof(Memory, max), .def = "1M" },
    { .name = "zero", .kind = BLOCK_PROP_BOOL, .offset = offsetof(Memory, zero), .def = "off" },
    { .name = "fua", .kind = BLOCK_PROP_BOOL, .offset = offsetof(Memory, fua), .def = "off" },
    { 0 }
};

static bool memory_open(BlockNode *node, GError **error)
{
    Memory *m = block_node_state(node);
    m->data = g_malloc0(DISK);
    return true;
}

static void memory_close(BlockNode *node)
{
    g_free(((Memory *)block_node_state(node))->data);
}

static int64_t memory_length(BlockNode *node)
{
    return DISK;
}

static void memory_limits(BlockNode *node, BlockLimits *l)
{
    Memory *m = block_node_state(node);
    l->align = (uint32_t)m->align;
    l->mem_align = (uint32_t)m->align;
    l->max_transfer = m->max;
    l->fua = m->fua;
    l->can_discard = true;
}

static void look(Memory *m, uint64_t offset, uint64_t bytes, const struct iovec *iov, int iovcnt)
{
    uint64_t sum = 0, longest = atomic_load(&m->longest);

    g_assert_cmpuint((offset | bytes) % m->align, ==, 0);
    g_assert_cmpuint(bytes, <=, m->max);
    for (int i = 0; i < iovcnt; i++) {
        g_assert_cmpuint(((uintptr_t)iov[i].iov_base | iov[i].iov_len) % m->align, ==, 0);
        sum += iov[i].iov_len;
    }
    g_assert_cmpuint(sum, ==, bytes);
    while (bytes > longest && !atomic_compare_exchange_weak(&m->longest, &longest, bytes))
        ;
}

static int memory_read(BlockNode *node, uint64_t offset, uint64_t bytes, const struct iovec *iov,
                       int iovcnt)
{
    Memory *m = block_node_state(node);

    look(m, offset, bytes, iov, iovcnt);
    m->reads++;
    for (int i = 0; i < iovcnt; i++) {
        memcpy(iov[i].iov_base, m->data + offset, iov[i].iov_len);
        offset += iov[i].iov_len;
    }
    return 0;
}

static int memory_write(BlockNode *node, uint64_t offset, uint64_t bytes, const struct iovec *iov,
                        int iovcnt, unsigned flags)
{
    Memory *m = block_node_state(node);

    look(m, offset, bytes, iov, iovcnt);
    m->writes++;
    m->fuas += !!(flags & BLOCK_FUA);
    if (m->fail)
        return -m->fail;
    for (int i = 0; i < iovcnt; i++) {
        memcpy(m->data + offset, iov[i].iov_base, iov[i].iov_len);
        offset += iov[i].iov_len;
    }
    return 0;
}

static int memory_zero(BlockNode *node, uint64_t offset, uint64_t bytes, unsigned flags)
{
    Memory *m = block_node_state(node);

    m->zeroes++;
    if (!m->zero)
        return -ENOTSUP;
    g_assert_cmpuint((offset | bytes) % m->align, ==, 0);
    memset(m->data + offset, 0, bytes);
    return 0;
}

static int memory_discard(BlockNode *node, uint64_t offset, uint64_t bytes)
{
    Memory *m = block_node_state(node);

    g_assert_cmpuint((offset | bytes) % m->align, ==, 0);
    m->discards++;
    return -ENOTSUP;
}

static int memory_flush(BlockNode *node)
{
    ((Memory *)block_node_state(node))->flushes++;
    return 0;
}

static const BlockDriver memory_driver = {
    .name = "test-memory", .summary = "memory", .size = sizeof(Memory), .props = memory_props,
    .protocol = true, .open = memory_open, .close = memory_close, .length = memory_length,
    .limits = memory_limits, .read = memory_read, .write = memory_write, .zero = memory_zero,
    .discard = memory_discard, .flush = memory_flush,
};

/* ---- an asynchronous one: a thread answers when it is told to ------------ */

typedef struct {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    BlockRequest *queue;
    bool stop, held;
    int taken, cancelled;
    pthread_t thread;
} Async;

static void *answer(void *p)
{
    Async *a = p;

    pthread_mutex_lock(&a->lock);
    while (!a->stop) {
        BlockRequest *req = a->held ? NULL : a->queue;
        if (!req) {
            pthread_cond_wait(&a->cond, &a->lock);
            continue;
        }
        a->queue = req->next;
        pthread_mutex_unlock(&a->lock);
        for (int i = 0; req->op == BLOCK_READ && i < req->iovcnt; i++)
            memset(req->iov[i].iov_base, 0x55, req->iov[i].iov_len);
        block_request_done(req, req->op == BLOCK_ZERO ? -ENOTSUP : 0);
        pthread_mutex_lock(&a->lock);
    }
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

static bool async_open(BlockNode *node, GError **error)
{
    Async *a = block_node_state(node);
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->cond, NULL);
    return !pthread_create(&a->thread, NULL, answer, a);
}

static void async_close(BlockNode *node)
{
    Async *a = block_node_state(node);
    pthread_mutex_lock(&a->lock);
    a->stop = true;
    pthread_cond_signal(&a->cond);
    pthread_mutex_unlock(&a->lock);
    pthread_join(a->thread, NULL);
}

static int async_submit(BlockNode *node, BlockRequest *req)
{
    Async *a = block_node_state(node);
    pthread_mutex_lock(&a->lock);
    req->next = a->queue;
    a->queue = req;
    a->taken++;
    pthread_cond_signal(&a->cond);
    pthread_mutex_unlock(&a->lock);
    return BLOCK_PENDING;
}

static void async_cancel(BlockNode *node, BlockRequest *req)
{
    Async *a = block_node_state(node);
    BlockRequest **p;

    pthread_mutex_lock(&a->lock);
    for (p = &a->queue; *p && *p != req; p = &(*p)->next)
        ;
    bool found = *p;
    if (found)
        *p = req->next;
    a->cancelled += found;
    pthread_mutex_unlock(&a->lock);
    if (found)
        block_request_done(req, -ECANCELED);
}

static const BlockDriver async_driver = {
    .name = "test-async", .summary = "answers later", .size = sizeof(Async), .protocol = true,
    .open = async_open, .close = async_close, .length = memory_length, .submit = async_submit,
    .cancel = async_cancel,
};

static void async_hold(BlockNode *node, bool held)
{
    Async *a = block_node_state(node);
    pthread_mutex_lock(&a->lock);
    a->held = held;
    pthread_cond_signal(&a->cond);
    pthread_mutex_unlock(&a->lock);
}

static int async_taken(BlockNode *node)
{
    Async *a = block_node_state(node);
    pthread_mutex_lock(&a->lock);
    int taken = a->taken;
    pthread_mutex_unlock(&a->lock);
    return taken;
}

/* ---- a filter that lets requests wait for a thread, then sends them on --- */

typedef struct {
    Async async; /* its own thread runs pass */
    BlockUser *file;
} Delay;

static const BlockChildSlot delay_children[] = {
    { .name = "file", .role = BLOCK_CHILD_FILTERED, .offset = offsetof(Delay, file) },
    { 0 }
};

static void *pass(void *p)
{
    Delay *d = p;
    Async *a = &d->async;

    pthread_mutex_lock(&a->lock);
    while (!a->stop) {
        BlockRequest *req = a->queue;
        if (!req) {
            pthread_cond_wait(&a->cond, &a->lock);
            continue;
        }
        a->queue = req->next;
        pthread_mutex_unlock(&a->lock);
        block_request_forward(req, d->file, req->at);
        pthread_mutex_lock(&a->lock);
    }
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

static bool delay_open(BlockNode *node, GError **error)
{
    Async *a = block_node_state(node);
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->cond, NULL);
    return !pthread_create(&a->thread, NULL, pass, a);
}

static void delay_limits(BlockNode *node, BlockLimits *l)
{
    l->fua = true;
}

static const BlockDriver delay_driver = {
    .name = "test-delay", .summary = "lets wait", .size = sizeof(Delay), .children = delay_children,
    .filter = true, .open = delay_open, .close = async_close, .limits = delay_limits,
    .submit = async_submit,
};

/* ---- set-up -------------------------------------------------------------- */

typedef struct {
    BlockGraph *graph;
    BlockNode *node;
    BlockUser *user;
} Disk;

static void disk_open(Disk *d, const char *text, bool through)
{
    g_autoptr(GError) error = NULL;

    d->graph = block_graph_new();
    block_graph_add_driver(d->graph, &memory_driver);
    block_graph_add_driver(d->graph, &async_driver);
    block_graph_add_driver(d->graph, &delay_driver);
    struct json_object *o = block_options_parse(text, "driver", &error);
    d->node = block_open(d->graph, o, 0, &error);
    g_assert_no_error(error);
    json_object_put(o);
    d->user = block_attach(d->node, &(BlockAttach){ .name = "test", .writethrough = through,
                           .perm = BLOCK_PERM_CONSISTENT_READ | BLOCK_PERM_WRITE }, &error);
    g_assert_no_error(error);
}

static void disk_close(Disk *d)
{
    block_detach(d->user);
    block_node_unref(d->node);
    block_graph_free(d->graph);
}

typedef struct {
    BlockRequest req;
    struct iovec iov;
    uint8_t buf[512];
    _Atomic int done;
} Io;

static void io_done(BlockRequest *req)
{
    atomic_fetch_add(&((Io *)req->opaque)->done, 1);
}

static bool io_start(Disk *d, Io *io, BlockOp op, uint64_t offset)
{
    memset(io, 0, sizeof *io);
    io->iov = (struct iovec){ io->buf, sizeof io->buf };
    io->req = (BlockRequest){ .op = op,
                              .offset = offset,
                              .bytes = 512,
                              .iov = &io->iov,
                              .iovcnt = 1,
                              .done = io_done,
                              .opaque = io };
    return block_submit(d->user, &io->req);
}

static void io_wait(Io *io)
{
    for (int i = 0; !io->done && i < 10000; i++)
        usleep(1000);
    g_assert_cmpint(io->done, ==, 1);
}

/* ---- tests --------------------------------------------------------------- */

/* A driver that has submit alone serves waiting callers too, under a format, and in parts. */
static void test_async(void)
{
    Disk d;
    Io io;
    uint8_t buf[3000];

    disk_open(&d, "raw,file.driver=test-async,offset=512,size=512k", false);
    g_assert_false(io_start(&d, &io, BLOCK_READ, 1024));
    io_wait(&io);
    g_assert_cmpint(io.req.ret, ==, 0);
    g_assert_cmpint(io.buf[511], ==, 0x55);
    g_assert_cmpint(block_read(d.user, 7, buf, sizeof buf), ==, 0);
    g_assert_cmpint(buf[2999], ==, 0x55);
    g_assert_cmpint(block_write(d.user, 7, buf, sizeof buf, BLOCK_FUA), ==, 0);
    g_assert_cmpint(block_zero(d.user, 7, 2000, 0), ==, 0);
    g_assert_cmpint(block_discard(d.user, 0, 4096), ==, 0);
    g_assert_cmpint(block_flush(d.user), ==, 0);
    BlockStats stats = block_user_stats(d.user);
    g_assert_cmpuint(stats.ops[BLOCK_READ], ==, 2);
    g_assert_cmpuint(stats.bytes[BLOCK_READ], ==, 3512);
    g_assert_cmpuint(stats.ops[BLOCK_FLUSH], ==, 1);
    disk_close(&d);
}

static void *drain_thread(void *p)
{
    Disk *d = p;
    block_drain_begin(d->node);
    return NULL;
}

/* Draining waits for what is in flight, holds what comes, and lets it go again. */
static void test_drain(void)
{
    Disk d;
    Io first, second;
    pthread_t thread;

    disk_open(&d, "test-async", false);
    async_hold(d.node, true);
    g_assert_false(io_start(&d, &first, BLOCK_READ, 0));
    pthread_create(&thread, NULL, drain_thread, &d);
    usleep(20000);
    g_assert_false(io_start(&d, &second, BLOCK_READ, 0));
    g_assert_cmpint(async_taken(d.node), ==, 1);
    async_hold(d.node, false);
    pthread_join(thread, NULL);
    g_assert_cmpint(first.done, ==, 1);
    usleep(20000);
    g_assert_cmpint(second.done, ==, 0);
    block_drain_end(d.node);
    io_wait(&second);
    g_assert_cmpint(second.req.ret, ==, 0);
    block_drain_all(d.graph);
    disk_close(&d);
}

static void test_cancel(void)
{
    Disk d;
    Io in_driver, held;

    disk_open(&d, "test-async", false);
    async_hold(d.node, true);
    g_assert_false(io_start(&d, &in_driver, BLOCK_READ, 0));
    block_cancel(&in_driver.req);
    io_wait(&in_driver);
    g_assert_cmpint(in_driver.req.ret, ==, -ECANCELED);
    block_drain_begin(d.node);
    g_assert_false(io_start(&d, &held, BLOCK_READ, 0));
    block_cancel(&held.req);
    block_drain_end(d.node);
    io_wait(&held);
    g_assert_cmpint(held.req.ret, ==, -ECANCELED);
    async_hold(d.node, false);
    disk_close(&d);
}

/* Blocking drivers: on a worker, or on the caller's thread when it may wait. */
static void test_where(void)
{
    Disk d;
    Io io;

    disk_open(&d, "null-co", false);
    g_assert_true(io_start(&d, &io, BLOCK_READ, 0)); /* at once */
    g_assert_cmpint(io.done, ==, 0);
    disk_close(&d);
    disk_open(&d, "null-co,latency-ns=300000000", false);
    g_assert_false(io_start(&d, &io, BLOCK_READ, 0));
    g_assert_cmpint(io.done, ==, 0);
    io_wait(&io);
    io.req.flags = BLOCK_MAY_WAIT;
    g_assert_true(block_submit(d.user, &io.req));
    disk_close(&d);
}

static void test_fua(void)
{
    uint8_t buf[4096] = { 1 };
    Disk d;

    disk_open(&d, "raw,file.driver=test-memory", true);
    Memory *m =
        block_node_state(block_find(d.graph, "#block1") ? block_find(d.graph, "#block1") : d.node);
    g_assert_cmpint(block_write(d.user, 0, buf, 4096, 0), ==, 0);
    g_assert_cmpint(m->flushes, ==, 1); /* write cache off, driver without FUA */
    block_user_set_writethrough(d.user, false);
    g_assert_cmpint(block_write(d.user, 0, buf, 4096, 0), ==, 0);
    g_assert_cmpint(m->flushes, ==, 1);
    g_assert_cmpint(block_zero(d.user, 0, 4096, BLOCK_FUA), ==, 0);
    g_assert_cmpint(m->flushes, ==, 2);
    g_assert_cmpint(m->zeroes, ==, 1);
    disk_close(&d);

    disk_open(&d, "raw,file.driver=test-memory,file.fua=on", true);
    m = block_node_state(block_find(d.graph, "#block1"));
    g_assert_cmpint(block_write(d.user, 0, buf, 4096, 0), ==, 0);
    g_assert_cmpint(m->flushes, ==, 0);
    g_assert_cmpint(m->fuas, ==, 1);
    disk_close(&d);

    disk_open(&d, "raw,file.driver=test-memory,cache.no-flush=on", true);
    m = block_node_state(block_find(d.graph, "#block1"));
    g_assert_cmpint(block_write(d.user, 0, buf, 4096, BLOCK_FUA), ==, 0);
    g_assert_cmpint(block_flush(d.user), ==, 0);
    g_assert_cmpint(m->flushes + m->fuas, ==, 0);
    disk_close(&d);
}

static void test_limits(void)
{
    g_autofree uint8_t *buf = g_malloc0(DISK), *back = g_malloc(DISK);
    Disk d;

    for (int i = 0; i < DISK; i++)
        buf[i] = (uint8_t)(i * 7 + i / 512);
    disk_open(&d, "test-memory,align=512,max=8k,discard=unmap", false);
    Memory *m = block_node_state(d.node);
    g_assert_cmpint(block_write(d.user, 0, buf, DISK, 0), ==, 0);
    g_assert_cmpuint(m->longest, ==, 8192);
    g_assert_cmpint(block_write(d.user, 1001, buf + 1, 70001, 0), ==, 0);
    memmove(back, buf, DISK);
    memmove(back + 1001, buf + 1, 70001);
    g_assert_cmpint(memcmp(m->data, back, DISK), ==, 0);
    m->reads = 0;
    g_assert_cmpint(block_write(d.user, 512, buf, 512, 0), ==, 0);
    g_assert_cmpint(m->reads, ==, 0);
    g_assert_cmpint(block_write(d.user, 513, buf, 10, 0), ==, 0);
    g_assert_cmpint(m->reads, ==, 1);
    /* zeroing: no quick way here */
    g_assert_cmpint(block_zero(d.user, 0, 4096, BLOCK_NO_FALLBACK), ==, -ENOTSUP);
    g_assert_cmpint(block_zero(d.user, 100, 100000, 0), ==, 0);
    for (int i = 100; i < 100100; i++)
        g_assert_cmpint(m->data[i], ==, 0);
    g_assert_cmpint(m->data[99], ==, buf[99]);
    /* a discard of less than a unit is left out */
    g_assert_cmpint(block_discard(d.user, 100, 700), ==, 0);
    g_assert_cmpint(m->discards, ==, 0);
    g_assert_cmpint(block_discard(d.user, 100, 1000), ==, 0);
    g_assert_cmpint(m->discards, ==, 1);
    /* an error reaches who asked, and only him */
    m->fail = ENOSPC;
    g_assert_cmpint(block_write(d.user, 3, buf, 10000, 0), ==, -ENOSPC);
    m->fail = 0;
    g_assert_cmpint(block_write(d.user, 3, buf, 10000, 0), ==, 0);
    BlockStats stats = block_user_stats(d.user);
    g_assert_cmpuint(stats.errors[BLOCK_WRITE], ==, 1);
    disk_close(&d);
}

/* Many waiting callers on serialized writes: workers wait for workers, and all come through. */
static void *hammer(void *p)
{
    Disk *d = p;
    uint8_t buf[700];

    memset(buf, 1, sizeof buf);
    for (int i = 0; i < 200; i++)
        g_assert_cmpint(block_write(d->user, (uint64_t)i % 5, buf, sizeof buf, 0), ==, 0);
    return NULL;
}

static void test_crowd(void)
{
    pthread_t threads[8];
    static Io io[200];
    Disk d;

    disk_open(&d, "raw,file.driver=test-memory,file.align=512", false);
    for (int i = 0; i < 8; i++)
        pthread_create(&threads[i], NULL, hammer, &d);
    for (int i = 0; i < 200; i++)
        if (io_start(&d, &io[i], BLOCK_WRITE, (uint64_t)i % 3 * 100))
            io[i].done = 1;
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < 200; i++)
        io_wait(&io[i]);
    disk_close(&d);
}

/* A filter that forwards, alone and eleven above each other, more than a request has frames for. */
static void test_forward(void)
{
    uint8_t buf[5000], back[5000];
    Disk d;
    Io io;

    for (int levels = 1; levels < 12; levels += 5) {
        g_autoptr(GString) text = g_string_new("test-delay");
        g_autoptr(GString) key = g_string_new("file");
        for (int i = 1; i < levels; i++) {
            g_string_append_printf(text, ",%s.driver=test-delay", key->str);
            g_string_append(key, ".file");
        }
        g_string_append_printf(text, ",%s.driver=test-memory,%s.align=512", key->str, key->str);
        disk_open(&d, text->str, false);
        memset(buf, 0x21, sizeof buf);
        g_assert_cmpint(block_write(d.user, 3, buf, sizeof buf, BLOCK_FUA), ==, 0);
        g_assert_cmpint(block_read(d.user, 3, back, sizeof back), ==, 0);
        g_assert_cmpint(memcmp(buf, back, sizeof buf), ==, 0);
        g_assert_cmpint(block_zero(d.user, 3, 2000, 0), ==, 0);
        g_assert_cmpint(block_flush(d.user), ==, 0);
        g_assert_false(io_start(&d, &io, BLOCK_READ, 1024));
        io_wait(&io);
        g_assert_cmpint(io.buf[0], ==, 0);
        BlockExtent e;
        g_assert_cmpint(block_extents(d.user, 0, DISK, 0, &e, 1), ==, 1);
        g_assert_cmpuint(e.bytes, ==, DISK);
        disk_close(&d);
    }
}

/* A filter put in and taken out while others read and write. */
typedef struct {
    Disk disk;
    _Atomic bool stop;
    _Atomic int threads;
} Busy;

static void *keep_busy(void *p)
{
    Busy *b = p;
    uint8_t buf[512], back[512];
    uint64_t mine = (uint64_t)b->threads++ * 4096;

    for (int i = 0; !b->stop; i++) {
        memset(buf, i, sizeof buf);
        g_assert_cmpint(block_write(b->disk.user, mine, buf, sizeof buf, 0), ==, 0);
        g_assert_cmpint(block_read(b->disk.user, mine, back, sizeof back), ==, 0);
        g_assert_cmpint(memcmp(buf, back, sizeof buf), ==, 0);
    }
    return NULL;
}

static void test_hot_insert(void)
{
    g_autoptr(GError) error = NULL;
    pthread_t threads[3];
    Busy b = { 0 };

    disk_open(&b.disk, "test-memory,node-name=disk", false);
    g_assert_true(block_user_set_perm(b.disk.user, BLOCK_PERM_CONSISTENT_READ | BLOCK_PERM_WRITE,
                                      BLOCK_SHARE_ALL, &error));
    for (int i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, keep_busy, &b);
    for (int i = 0; i < 60; i++) {
        struct json_object *o = block_options_parse("driver=test-delay,file=disk", NULL, &error);
        BlockNode *filter = block_open(b.disk.graph, o, 0, &error);
        g_assert_no_error(error);
        json_object_put(o);
        g_assert_true(block_node_insert(b.disk.node, filter, &error));
        g_assert_no_error(error);
        for (int k = 0; k < 10000 && async_taken(filter) < 10; k++)
            usleep(100);
        g_assert_cmpint(async_taken(filter), >=, 10);
        g_assert_true(block_node_remove(filter, &error));
        g_assert_no_error(error);
        block_node_unref(filter);
    }
    b.stop = true;
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    disk_close(&b.disk);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/block/request/async", test_async);
    g_test_add_func("/block/request/drain", test_drain);
    g_test_add_func("/block/request/cancel", test_cancel);
    g_test_add_func("/block/request/where", test_where);
    g_test_add_func("/block/request/fua", test_fua);
    g_test_add_func("/block/request/limits", test_limits);
    g_test_add_func("/block/request/crowd", test_crowd);
    g_test_add_func("/block/request/forward", test_forward);
    g_test_add_func("/block/request/hot-insert", test_hot_insert);
    return g_test_run();
}
