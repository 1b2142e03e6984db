/* SPDX-License-Identifier: MIT */
/*
 * Random operations on a node against a model in memory, one after the other and many at once,
 * through every driver that keeps data and a mix of options. TEST_SEED and TEST_OPS change the run.
 */
#include "block/driver.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <json-c/json.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SIZE ((uint64_t)3 << 20)

typedef struct {
    const char *name;
    const char *options; /* %s is the file; %s.copy another like it */
    unsigned attach_writethrough;
    bool discard_keeps;  /* a discard changes nothing */
} Mix;

static const Mix mixes[] = {
    { .name = "file", .options = "driver=file,filename=%s,discard=unmap" },
    { .name = "file-direct", .options = "driver=file,filename=%s,cache.direct=on,discard=unmap" },
    { .name = "file-direct-threads",
      .options = "driver=file,filename=%s,cache.direct=on,aio=threads",
      .discard_keeps = true },
    { .name = "file-threads",
      .options = "driver=file,filename=%s,aio=threads",
      .discard_keeps = true },
    { .name = "file-io_uring",
      .options = "driver=file,filename=%s,aio=io_uring",
      .discard_keeps = true },
    { .name = "file-unsafe",
      .options = "driver=file,filename=%s,cache.no-flush=on",
      .discard_keeps = true },
    { .name = "raw", .options = "driver=raw,file.driver=file,file.filename=%s,discard=unmap" },
    { .name = "raw-through",
      .options = "driver=raw,file.driver=file,file.filename=%s",
      .attach_writethrough = 1,
      .discard_keeps = true },
    { .name = "raw-directsync",
      .options = "driver=raw,file.driver=file,file.filename=%s,cache.direct=on",
      .attach_writethrough = 1,
      .discard_keeps = true },
    { .name = "raw-window",
      .options = "driver=raw,offset=1536,size=2M,file.driver=file,file.filename=%s,discard=unmap" },
    { .name = "raw-window-direct",
      .options = "driver=raw,offset=1536,size=2M,file.driver=file,file.filename=%s,cache.direct=on",
      .discard_keeps = true },
    { .name = "raw-raw",
      .options = "driver=raw,offset=512,file.driver=raw,file.offset=1k,file.file.driver=file,"
                 "file.file.filename=%s",
      .discard_keeps = true },
    { .name = "raw-zeroes",
      .options = "driver=raw,file.driver=file,file.filename=%s,detect-zeroes=unmap,discard=unmap" },
    { .name = "raw-zeroes-on",
      .options = "driver=raw,file.driver=file,file.filename=%s,detect-zeroes=on",
      .discard_keeps = true },
    { .name = "throttle",
      .options = "driver=throttle,limits.bps-total=1G,limits.iops-read=100k,discard=unmap,"
                 "file.driver=file,file.filename=%s" },
    { .name = "copy-on-read",
      .options = "driver=copy-on-read,discard=unmap,file.driver=file,file.filename=%s" },
    { .name = "preallocate",
      .options = "driver=preallocate,discard=unmap,file.driver=file,file.filename=%s" },
    { .name = "blkdebug",
      .options = "driver=blkdebug,align=4k,max-transfer=16k,opt-write-zero=8k,opt-discard=64k,"
                 "discard=unmap,image.driver=file,image.filename=%s" },
    { .name = "copy-before-write",
      .options = "driver=copy-before-write,discard=unmap,file.driver=file,file.filename=%s,"
                 "target.driver=null-co" },
    { .name = "blklogwrites",
      .options = "driver=blklogwrites,discard=unmap,file.driver=file,file.filename=%s,"
                 "log.driver=null-co,log.size=1G" },
    { .name = "blkverify",
      .options = "driver=blkverify,test.driver=file,test.filename=%s,raw.driver=file,"
                 "raw.filename=%s.copy",
      .discard_keeps = true },
    { .name = "quorum",
      .options = "driver=quorum,vote-threshold=2,children.0.driver=file,children.0.filename=%s,"
                 "children.1.driver=file,children.1.filename=%s.copy,rewrite-corrupted=on",
      .discard_keeps = true },
    { .name = "snapshot", .options = "snapshot", .discard_keeps = false },
    { .name = "snapshot-direct", .options = "snapshot-direct" },
};

typedef struct {
    BlockGraph *graph;
    BlockNode *node;
    BlockUser *user;
    char *dir, *file;
    uint64_t size;
    uint8_t *before; /* of the file, for snapshot */
    uint8_t *model;
    bool snapshot;
} Setup;

static uint64_t parse_env(const char *name, uint64_t def)
{
    const char *text = g_getenv(name);
    return text ? g_ascii_strtoull(text, NULL, 0) : def;
}

static void setup(Setup *s, const Mix *mix)
{
    g_autoptr(GError) error = NULL;

    memset(s, 0, sizeof *s);
    s->dir = g_dir_make_tmp("lathe-block-XXXXXX", NULL);
    s->file = g_build_filename(s->dir, "disk.img", NULL);
    uint8_t *data = g_malloc(SIZE);
    for (uint64_t i = 0; i < SIZE; i++)
        data[i] = (uint8_t)(i / 7 + i / 4096);
    g_assert_true(g_file_set_contents(s->file, (char *)data, SIZE, NULL));
    s->before = data;
    s->graph = block_graph_new();
    s->snapshot = g_str_has_prefix(mix->options, "snapshot");
    if (s->snapshot) {
        unsigned direct = strstr(mix->options, "direct") ? BLOCK_OPEN_DIRECT : 0;
        g_autoptr(BlockNode) base =
            block_open_file(s->graph, s->file, "raw", BLOCK_OPEN_READ_ONLY | direct, &error);
        g_assert_no_error(error);
        s->node = block_snapshot_layer(base, &error);
    } else {
        g_autofree char *copy = g_strconcat(s->file, ".copy", NULL);
        if (strstr(mix->options, ".copy"))
            g_assert_true(g_file_set_contents(copy, (char *)data, SIZE, NULL));
        g_autoptr(GString) text = g_string_new(mix->options);
        g_string_replace(text, "%s", s->file, 0);
        struct json_object *options = block_options_parse(text->str, NULL, &error);
        g_assert_no_error(error);
        s->node = block_open(s->graph, options, 0, &error);
        json_object_put(options);
    }
    g_assert_no_error(error);
    s->user = block_attach(s->node,
                           &(BlockAttach){ .name = "test",
                                           .perm = BLOCK_PERM_RW,
                                           .shared = BLOCK_SHARE_DEFAULT,
                                           .writethrough = mix->attach_writethrough },
                           &error);
    g_assert_no_error(error);
    s->size = block_size(s->user);
    s->model = g_malloc(s->size);
    g_assert_cmpint(block_read(s->user, 0, s->model, s->size), ==, 0);
}

static void teardown(Setup *s)
{
    block_detach(s->user);
    block_node_unref(s->node);
    block_graph_free(s->graph);
    if (s->snapshot) {
        g_autofree char *now = NULL;
        gsize len;
        g_assert_true(g_file_get_contents(s->file, &now, &len, NULL));
        g_assert_cmpmem(now, len, s->before, SIZE);
    }
    g_autofree char *copy = g_strconcat(s->file, ".copy", NULL);
    g_unlink(copy);
    g_unlink(s->file);
    g_rmdir(s->dir);
    g_free(s->dir);
    g_free(s->file);
    g_free(s->before);
    g_free(s->model);
}

/* Where in the file the node begins. */
static uint64_t window_of(const Mix *mix)
{
    return strstr(mix->name, "window") || !strcmp(mix->name, "raw-raw") ? 1536 : 0;
}

/* ---- one at a time ------------------------------------------------------- */

static void range(GRand *rand, uint64_t size, uint64_t *offset, uint64_t *bytes)
{
    uint64_t unit = (const uint64_t[]){ 1, 512, 4096 }[g_rand_int_range(rand, 0, 3)];
    uint64_t most = g_rand_int_range(rand, 0, 8) ? 20000 : 400000;

    *offset = (uint64_t)g_rand_double_range(rand, 0, (double)size) / unit * unit;
    *bytes = (uint64_t)g_rand_int_range(rand, 1, (int)most) / unit * unit;
    if (!*bytes)
        *bytes = unit;
    *bytes = MIN(*bytes, size - *offset);
}

/* The buffer cut into a few vectors at any address. */
static int cut(GRand *rand, uint8_t *buf, uint64_t bytes, struct iovec *iov, int max)
{
    int n = 0;

    while (bytes && n < max - 1 && g_rand_int_range(rand, 0, 3)) {
        size_t len = (size_t)g_rand_int_range(rand, 1, (int)MIN(bytes, 9000) + 1);
        iov[n++] = (struct iovec){ buf, len };
        buf += len;
        bytes -= len;
    }
    if (bytes)
        iov[n++] = (struct iovec){ buf, bytes };
    return n;
}

static void fill(GRand *rand, uint8_t *buf, uint64_t bytes)
{
    uint32_t x = g_rand_int(rand);

    if (x % 5 == 0) {
        memset(buf, 0, bytes);
        return;
    }
    for (uint64_t i = 0; i < bytes; i++)
        buf[i] = (uint8_t)((x = x * 1664525 + 1013904223) >> 24);
}

static unsigned flags_of(GRand *rand)
{
    unsigned f = g_rand_int_range(rand, 0, 6) ? 0 : BLOCK_FUA;
    return f | (g_rand_boolean(rand) ? BLOCK_MAY_UNMAP : 0);
}

static void one_step(Setup *s, const Mix *mix, GRand *rand, uint8_t *buf)
{
    struct iovec iov[8];
    uint64_t offset, bytes;
    int n, op = g_rand_int_range(rand, 0, 20);

    range(rand, s->size, &offset, &bytes);
    if (op < 8) {
        n = cut(rand, buf, bytes, iov, 8);
        memset(buf, 0xa5, bytes);
        g_assert_cmpint(block_readv(s->user, offset, iov, n), ==, 0);
        g_assert_cmpint(memcmp(buf, s->model + offset, bytes), ==, 0);
    } else if (op < 15) {
        n = cut(rand, buf, bytes, iov, 8);
        fill(rand, buf, bytes);
        g_assert_cmpint(block_writev(s->user, offset, iov, n, flags_of(rand) & BLOCK_FUA), ==, 0);
        memcpy(s->model + offset, buf, bytes);
    } else if (op < 17) {
        g_assert_cmpint(block_zero(s->user, offset, bytes, flags_of(rand)), ==, 0);
        memset(s->model + offset, 0, bytes);
    } else if (op < 19) {
        g_assert_cmpint(block_discard(s->user, offset, bytes), ==, 0);
        g_assert_cmpint(block_read(s->user, offset, buf, bytes), ==, 0);
        for (uint64_t i = 0; i < bytes; i++)
            g_assert_true(buf[i] == s->model[offset + i] || (buf[i] == 0 && !mix->discard_keeps));
        memcpy(s->model + offset, buf, bytes);
    } else {
        g_assert_cmpint(block_flush(s->user), ==, 0);
    }
}

/* Extents cover all, and what they call zero is zero. */
static void check_extents(Setup *s)
{
    BlockExtent e[7];

    for (uint64_t at = 0; at < s->size;) {
        int n = block_extents(s->user, at, s->size - at, 0, e, G_N_ELEMENTS(e));
        g_assert_cmpint(n, >, 0);
        for (int i = 0; i < n; i++) {
            g_assert_cmpuint(e[i].offset, ==, at);
            g_assert_cmpuint(e[i].bytes, >, 0);
            g_assert_true(e[i].flags & (BLOCK_EXTENT_DATA | BLOCK_EXTENT_ZERO));
            for (uint64_t k = 0; (e[i].flags & BLOCK_EXTENT_ZERO) && k < e[i].bytes; k++)
                g_assert_cmpint(s->model[at + k], ==, 0);
            at += e[i].bytes;
        }
    }
}

static void test_serial(gconstpointer p)
{
    const Mix *mix = p;
    g_autoptr(GRand) rand = g_rand_new_with_seed((guint32)parse_env("TEST_SEED", 1));
    g_autofree uint8_t *buf = g_malloc(1 << 20);
    Setup s;

    setup(&s, mix);
    for (uint64_t i = 0, n = parse_env("TEST_OPS", 400); i < n; i++)
        one_step(&s, mix, rand, buf);
    check_extents(&s);
    g_autofree uint8_t *all = g_malloc(s.size);
    g_assert_cmpint(block_read(s.user, 0, all, s.size), ==, 0);
    g_assert_cmpint(memcmp(all, s.model, s.size), ==, 0);
    if (!s.snapshot) {
        g_autofree char *now = NULL;
        gsize len;
        g_assert_cmpint(block_flush(s.user), ==, 0);
        g_assert_true(g_file_get_contents(s.file, &now, &len, NULL));
        g_assert_cmpuint(len, ==, SIZE);
        g_assert_cmpint(memcmp(now + window_of(mix), s.model, s.size), ==, 0);
    }
    teardown(&s);
}

/* ---- many at once -------------------------------------------------------- */

enum { SLOTS = 24, LONGEST = 48 << 10 };

typedef struct Slot {
    BlockRequest req;
    struct Many *many;
    struct iovec iov[8];
    uint8_t *buf;
    uint8_t mark;
    bool busy;
} Slot;

typedef struct Many {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    Slot slots[SLOTS];
    unsigned busy;
    _Atomic unsigned done;
} Many;

static void slot_done(BlockRequest *req)
{
    Slot *slot = req->opaque;
    Many *many = slot->many;

    pthread_mutex_lock(&many->lock);
    g_assert_true(slot->busy);
    slot->busy = false;
    many->busy--;
    pthread_cond_signal(&many->cond);
    pthread_mutex_unlock(&many->lock);
}

static Slot *free_slot(Many *many)
{
    Slot *slot = NULL;

    pthread_mutex_lock(&many->lock);
    while (many->busy == SLOTS)
        pthread_cond_wait(&many->cond, &many->lock);
    for (unsigned i = 0; !slot && i < SLOTS; i++)
        if (!many->slots[i].busy)
            slot = &many->slots[i];
    slot->busy = true;
    many->busy++;
    pthread_mutex_unlock(&many->lock);
    return slot;
}

static void wait_all(Many *many)
{
    pthread_mutex_lock(&many->lock);
    while (many->busy)
        pthread_cond_wait(&many->cond, &many->lock);
    pthread_mutex_unlock(&many->lock);
}

/*
 * Writers that overlap: each byte must then hold one of the values written there, or, with
 * unaligned writes that were serialized, so must their neighbours: bytes no writer touched stay as
 * they were. seen[] has a bit a value.
 */
static void test_overlap(gconstpointer p)
{
    const Mix *mix = p;
    g_autoptr(GRand) rand = g_rand_new_with_seed((guint32)parse_env("TEST_SEED", 2));
    Many many = { .lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER };
    Setup s;

    setup(&s, mix);
    for (unsigned i = 0; i < SLOTS; i++)
        many.slots[i].buf = g_malloc(LONGEST);
    for (int round = 0; round < 12; round++) {
        g_autofree uint32_t *seen = g_new0(uint32_t, s.size);
        for (int k = 0; k < 100; k++) {
            Slot *slot = free_slot(&many);
            uint64_t offset = (uint64_t)g_rand_int_range(rand, 0, 200000), bytes;
            unsigned unit = g_rand_boolean(rand) ? 1 : 4096;
            bytes = (uint64_t)g_rand_int_range(rand, 1, LONGEST);
            offset = offset / unit * unit;
            bytes = MAX(bytes / unit * unit, unit);
            int op = g_rand_int_range(rand, 0, 10), value = g_rand_int_range(rand, 1, 30);
            slot->many = &many;
            slot->req = (BlockRequest){
                .offset = offset, .bytes = bytes, .done = slot_done, .opaque = slot
            };
            slot->req.flags = g_rand_int_range(rand, 0, 5) ? 0 : BLOCK_MAY_STALL;
            if (op < 6) {
                slot->req.op = BLOCK_WRITE;
                memset(slot->buf, value, bytes);
            } else if (op < 7) {
                slot->req.op = BLOCK_ZERO;
                value = 0;
            } else if (op < 9) {
                slot->req.op = BLOCK_READ;
            } else {
                slot->req.op = BLOCK_FLUSH;
                slot->req.offset = slot->req.bytes = 0;
            }
            if (op < 6 || op == 7 || op == 8) {
                slot->req.iov = slot->iov;
                slot->req.iovcnt = cut(rand, slot->buf, bytes, slot->iov, 8);
            }
            for (uint64_t i = 0; op < 7 && i < bytes; i++)
                seen[offset + i] |= 1u << value;
            if (k % 10 == 0)
                block_plug(s.user);
            if (block_submit(s.user, &slot->req)) {
                g_assert_cmpint(slot->req.ret, ==, 0);
                slot_done(&slot->req);
            }
            if (k % 10 == 0)
                block_unplug(s.user);
            if (k == 50 && round % 3 == 0) {
                block_drain_begin(s.node);
                block_drain_end(s.node);
            }
        }
        wait_all(&many);
        g_autofree uint8_t *all = g_malloc(s.size);
        g_assert_cmpint(block_read(s.user, 0, all, s.size), ==, 0);
        for (uint64_t i = 0; i < s.size; i++) {
            if (seen[i])
                g_assert_true(all[i] < 32 && (seen[i] >> all[i] & 1));
            else
                g_assert_cmpint(all[i], ==, s.model[i]);
        }
        memcpy(s.model, all, s.size);
    }
    for (unsigned i = 0; i < SLOTS; i++)
        g_free(many.slots[i].buf);
    teardown(&s);
}

/* A write that is to be alone waits for those before it, and those after it wait. */
static void test_order(void)
{
    Setup s;
    Many many = { .lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER };
    static const Mix slow = { .name = "slow",
                              .options =
                                  "driver=snapshot,backing.driver=null-co,backing.size=3M,"
                                  "overlay.driver=file,overlay.locking=off,overlay.filename=%s" };

    setup(&s, &slow);
    many.busy = SLOTS;
    for (unsigned i = 0; i < SLOTS; i++) {
        Slot *slot = &many.slots[i];
        slot->many = &many;
        slot->busy = true;
        slot->buf = g_malloc(8192);
        memset(slot->buf, (int)i + 1, 8192);
        slot->iov[0] = (struct iovec){ slot->buf, 3000 };
        slot->req = (BlockRequest){ .op = BLOCK_WRITE,
                                    .offset = 100 + i,
                                    .bytes = 3000,
                                    .iov = slot->iov,
                                    .iovcnt = 1,
                                    .done = slot_done,
                                    .opaque = slot };
        if (block_submit(s.user, &slot->req))
            slot_done(&slot->req);
    }
    wait_all(&many);
    uint8_t out[4000];
    g_assert_cmpint(block_read(s.user, 0, out, sizeof out), ==, 0);
    /* in order of arrival: what a later one does not cover is the earlier one's */
    for (unsigned i = 0; i < SLOTS; i++) {
        g_assert_cmpint(many.slots[i].req.ret, ==, 0);
        g_assert_cmpint(out[100 + i], ==, (int)i + 1);
        g_free(many.slots[i].buf);
    }
    g_assert_cmpint(out[3000], ==, SLOTS);
    teardown(&s);
}

/* Requests outlive the threads that made them: the kernel cancels a ring's, and they start again.
 */
typedef struct {
    Setup *s;
    Slot *slots;
} Short;

static void *short_life(void *p)
{
    Short *job = p;

    for (int i = 0; i < 4; i++) {
        Slot *slot = &job->slots[i];
        slot->iov[0] = (struct iovec){ slot->buf, 65536 };
        slot->req = (BlockRequest){ .op = BLOCK_READ,
                                    .offset = (uint64_t)i << 16,
                                    .bytes = 65536,
                                    .iov = slot->iov,
                                    .iovcnt = 1,
                                    .done = slot_done,
                                    .opaque = slot };
        if (block_submit(job->s->user, &slot->req))
            slot_done(&slot->req);
    }
    return NULL;
}

static void test_short_lives(void)
{
    static const Mix direct = { .name = "d",
                                .options = "driver=file,filename=%s,cache.direct=on,aio=io_uring" };
    Many many = { .lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER };
    Setup s;

    setup(&s, &direct);
    for (unsigned i = 0; i < SLOTS; i++) {
        many.slots[i].many = &many;
        many.slots[i].buf = aligned_alloc(4096, 65536);
    }
    for (int round = 0; round < 20; round++) {
        Short jobs[SLOTS / 4];
        for (unsigned i = 0; i < SLOTS; i++)
            many.slots[i].busy = true;
        many.busy = SLOTS;
        for (unsigned i = 0; i < SLOTS / 4; i++) {
            pthread_t thread;
            jobs[i] = (Short){ &s, &many.slots[4 * i] };
            pthread_create(&thread, NULL, short_life, &jobs[i]);
            pthread_join(thread, NULL);
        }
        wait_all(&many);
        for (unsigned i = 0; i < SLOTS; i++) {
            g_assert_cmpint(many.slots[i].req.ret, ==, 0);
            g_assert_cmpint(memcmp(many.slots[i].buf, s.model + ((i % 4) << 16), 65536), ==, 0);
        }
    }
    for (unsigned i = 0; i < SLOTS; i++)
        free(many.slots[i].buf);
    teardown(&s);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(mixes); i++) {
        g_autofree char *serial = g_strdup_printf("/block/io/serial/%s", mixes[i].name);
        g_autofree char *overlap = g_strdup_printf("/block/io/overlap/%s", mixes[i].name);
        g_test_add_data_func(serial, &mixes[i], test_serial);
        g_test_add_data_func(overlap, &mixes[i], test_overlap);
    }
    g_test_add_func("/block/io/order", test_order);
    g_test_add_func("/block/io/short-lives", test_short_lives);
    return g_test_run();
}
