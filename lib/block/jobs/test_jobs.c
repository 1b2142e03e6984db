/* SPDX-License-Identifier: MIT */
/*
 * Jobs on disks that are written to meanwhile, against a model in memory: afterwards what the users have, and
 * the target, must be what the model says (as it is, or for a backup as it was), and qemu-img must
 * find images sound and read the same. Errors on both sides, cancelling, pausing; processes that are killed
 * while a job runs. TEST_SEED changes the run.
 */
#include "block/bitmap.h"
#include "block/image.h"
#include "block/jobs/jobs.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <json-c/json.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LANES = 3, PIECE = 4096 };
#define SIZE ((uint64_t)6 << 20)
#define SHORT ((uint64_t)2 << 20) /* of an image in the middle */

/* ---- disks ---------------------------------------------------------------- */

typedef struct {
    char *dir;
    BlockGraph *graph;
    BlockNode *node;  /* a reference */
    BlockUser *user;  /* the guest's */
    uint8_t *model;
    pthread_t threads[LANES];
    pthread_mutex_t lane_locks[LANES]; /* held for each write and its note in the model */
    _Atomic bool stop;
    _Atomic unsigned written, lane;
    bool running;
} World;

static void run(const char *fmt, ...) G_GNUC_PRINTF(1, 2);
static void run(const char *fmt, ...)
{
    va_list ap;
    int status;
    g_autofree char *out = NULL, *err = NULL;

    va_start(ap, fmt);
    g_autofree char *command = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    g_assert_true(g_spawn_command_line_sync(command, &out, &err, &status, NULL));
    if (status)
        g_error("%s: status %d\n%s%s", command, status, out, err);
}

static char *in(const World *w, const char *name)
{
    return g_build_filename(w->dir, name, NULL);
}

static void compare(const uint8_t *got, const uint8_t *want, uint64_t size)
{
    for (uint64_t k = 0; k < size; k++)
        if (got[k] != want[k])
            g_error("byte %#" G_GINT64_MODIFIER "x is %02x, not %02x", k, got[k], want[k]);
}

/* What qemu-img reads from it. */
static void image_is(const World *w, const char *name, const uint8_t *want)
{
    g_autofree char *file = in(w, name), *raw = in(w, "out.raw"), *now = NULL;
    gsize len;

    run("qemu-img check -q -f qcow2 %s", file);
    run("qemu-img convert -f qcow2 -O raw %s %s", file, raw);
    g_assert_true(g_file_get_contents(raw, &now, &len, NULL));
    g_assert_cmpuint(len, ==, SIZE);
    compare((uint8_t *)now, want, SIZE);
    g_unlink(raw);
}

static void user_is(BlockUser *user, const uint8_t *want)
{
    g_autofree uint8_t *buf = g_malloc(SIZE);

    g_assert_cmpint(block_read(user, 0, buf, SIZE), ==, 0);
    compare(buf, want, SIZE);
}

static void scribble(uint8_t *p, uint64_t bytes, uint32_t x)
{
    for (uint64_t k = 0; k < bytes; k++)
        p[k] = (uint8_t)((x = x * 1664525 + 1013904223) >> 24);
}

/* base.qcow2 <- mid.qcow2 (shorter) <- top.qcow2, each with data of its own. */
static void make_chain(World *w)
{
    w->dir = g_dir_make_tmp("lathe-jobs-XXXXXX", NULL);
    g_autofree char *base = in(w, "base.qcow2"), *mid = in(w, "mid.qcow2"), *top = in(w, "top.qcow2");

    w->model = g_malloc0(SIZE);
    run("qemu-img create -q -f qcow2 %s %u", base, (unsigned)SIZE);
    run("qemu-img create -q -f qcow2 -o cluster_size=4k -b base.qcow2 -F qcow2 %s %u", mid, (unsigned)SHORT);
    run("qemu-img create -q -f qcow2 -b mid.qcow2 -F qcow2 %s %u", top, (unsigned)SIZE);
    run("qemu-io -f qcow2 -c 'write -P 1 0 1M' -c 'write -P 2 1900k 1M' -c 'write -P 3 5M 512k' %s", base);
    run("qemu-io -f qcow2 -c 'write -P 4 512k 40k' -c 'write -P 5 1200k 300k' -c 'write -z 1600k 64k' %s", mid);
    run("qemu-io -f qcow2 -c 'write -P 6 200k 100k' -c 'write -P 7 3M 1M' %s", top);
    memset(w->model, 1, 1 << 20);
    memset(w->model + (1900 << 10), 2, SHORT - (1900 << 10)); /* the rest is past the end of mid */
    memset(w->model + (512 << 10), 4, 40 << 10);
    memset(w->model + (1200 << 10), 5, 300 << 10);
    memset(w->model + (200 << 10), 6, 100 << 10);
    memset(w->model + (3 << 20), 7, 1 << 20);
}

static BlockNode *open_json(World *w, const char *json, unsigned flags)
{
    g_autoptr(GError) error = NULL;
    struct json_object *o = json_tokener_parse(json);
    BlockNode *node = block_open(w->graph, o, flags, &error);

    g_assert_no_error(error);
    json_object_put(o);
    return node;
}

static void open_disk(World *w, const char *extra)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *json = g_strdup_printf("{'driver':'qcow2','node-name':'top','file':{'driver':'file',"
                                            "'filename':'%s/top.qcow2'}%s}", w->dir, extra);

    for (char *p = json; *p; p++)
        *p = *p == '\'' ? '"' : *p;
    w->graph = block_graph_new();
    w->node = open_json(w, json, BLOCK_OPEN_UNMAP);
    w->user = block_attach(w->node, &(BlockAttach){ .name = "guest", .perm = BLOCK_PERM_RW,
                                                    .shared = BLOCK_SHARE_DEFAULT }, &error);
    g_assert_no_error(error);
}

/* A new qcow2 image, perhaps on base, perhaps failing. */
static BlockNode *open_target(World *w, const char *create, const char *debug)
{
    g_autofree char *file = in(w, "target.qcow2");
    g_autofree char *json =
        debug ? g_strdup_printf("{'driver':'qcow2','file':{'driver':'blkdebug','image':{'driver':'file',"
                                "'filename':'%s'},'inject-error':[%s]}}", file, debug)
              : g_strdup_printf("{'driver':'qcow2','file':{'driver':'file','filename':'%s'}}", file);

    for (char *p = json; *p; p++)
        *p = *p == '\'' ? '"' : *p;
    run("qemu-img create -q -f qcow2 %s %s %u", create, file, (unsigned)SIZE);
    return open_json(w, json, BLOCK_OPEN_UNMAP);
}

static void set_up(World *w)
{
    *w = (World){ 0 };
    for (unsigned i = 0; i < LANES; i++)
        pthread_mutex_init(&w->lane_locks[i], NULL);
    make_chain(w);
    open_disk(w, "");
}

static void close_disk(World *w)
{
    block_detach(w->user);
    block_node_unref(w->node);
    block_graph_free(w->graph);
    w->graph = NULL;
}

static void tear_down(World *w)
{
    if (w->graph)
        close_disk(w);
    run("rm -r %s", w->dir);
    g_free(w->dir);
    g_free(w->model);
    for (unsigned i = 0; i < LANES; i++)
        pthread_mutex_destroy(&w->lane_locks[i]);
}

/* ---- the guest ------------------------------------------------------------- */

static uint32_t seed(void)
{
    const char *text = g_getenv("TEST_SEED");
    return text ? (uint32_t)atoi(text) : 1;
}

/* Each lane has every so many-th piece for itself, so the model knows the order. */
static void *guest_lane(void *p)
{
    World *w = p;
    unsigned lane = atomic_fetch_add(&w->lane, 1) % LANES;
    g_autoptr(GRand) rand = g_rand_new_with_seed(seed() + lane);
    uint8_t buf[4 * PIECE];

    while (!w->stop) {
        uint64_t piece = (uint64_t)g_rand_int_range(rand, 0, (int)(SIZE / PIECE / LANES)) * LANES + lane;
        uint64_t at = piece * PIECE, skip = g_rand_boolean(rand) ? 0 : 512, n = PIECE - skip;
        int op = g_rand_int_range(rand, 0, 10);
        pthread_mutex_lock(&w->lane_locks[lane]);
        if (op < 6) {
            scribble(buf, n, g_rand_int(rand));
            g_assert_cmpint(block_write(w->user, at + skip, buf, n, op ? 0 : BLOCK_FUA), ==, 0);
            memcpy(w->model + at + skip, buf, n);
        } else if (op < 8) {
            g_assert_cmpint(block_zero(w->user, at, PIECE, op & 1 ? BLOCK_MAY_UNMAP : 0), ==, 0);
            memset(w->model + at, 0, PIECE);
        } else {
            g_assert_cmpint(block_read(w->user, at, buf, PIECE), ==, 0);
            compare(buf, w->model + at, PIECE);
        }
        pthread_mutex_unlock(&w->lane_locks[lane]);
        atomic_fetch_add(&w->written, 1);
        g_usleep((gulong)g_rand_int_range(rand, 0, 600));
    }
    return NULL;
}

static void guest_start(World *w)
{
    w->stop = false;
    w->lane = 0;
    for (unsigned i = 0; i < LANES; i++)
        pthread_create(&w->threads[i], NULL, guest_lane, w);
    w->running = true;
}

static void guest_stop(World *w)
{
    if (!w->running)
        return;
    w->stop = true;
    for (unsigned i = 0; i < LANES; i++)
        pthread_join(w->threads[i], NULL);
    w->running = false;
}

/* Until it has done that many more things. */
static void guest_does(World *w, unsigned n)
{
    unsigned from = w->written;

    while (w->written - from < n)
        g_usleep(1000);
}

/* Between two writes: the model is what the disk is. */
static void guest_hold(World *w, bool hold)
{
    for (unsigned i = 0; i < LANES; i++)
        hold ? pthread_mutex_lock(&w->lane_locks[i]) : pthread_mutex_unlock(&w->lane_locks[i]);
}

static BlockNode *below(BlockNode *node, unsigned n)
{
    while (n--)
        node = block_backing_node(node);
    return node;
}

static void conclude(BlockJob *job)
{
    g_autoptr(GError) error = NULL;

    block_job_conclude(job, &error);
    g_assert_no_error(error);
    g_assert_cmpint(block_job_info(job).status, ==, BLOCK_JOB_CONCLUDED);
    block_job_free(job);
}

/* ---- stream ---------------------------------------------------------------- */

static char *recorded(const World *w, const char *name)
{
    g_autofree char *file = in(w, name), *out = NULL;
    g_autofree char *command = g_strdup_printf("qemu-img info --output=json %s", file);
    struct json_object *o, *backing;
    char *text = NULL;

    g_assert_true(g_spawn_command_line_sync(command, &out, NULL, NULL, NULL));
    o = json_tokener_parse(out);
    if (json_object_object_get_ex(o, "backing-filename", &backing))
        text = g_strdup(json_object_get_string(backing));
    json_object_put(o);
    return text;
}

static void test_stream(gconstpointer to_base)
{
    g_autoptr(GError) error = NULL;
    World w;

    set_up(&w);
    BlockNode *base = to_base ? below(w.node, 2) : NULL;
    guest_start(&w);
    BlockJob *job = block_job_stream(w.node, &(BlockStream){ .base = base }, NULL, &error);
    g_assert_no_error(error);
    g_assert_true(block_user_node(w.user) != w.node);
    g_assert_false(block_resize(w.user, SIZE * 2, BLOCK_PREALLOC_OFF, &error));
    g_assert_nonnull(strstr(error->message, "works on it"));
    g_clear_error(&error);
    block_job_start(job);
    guest_does(&w, 100);
    g_assert_cmpint(block_job_wait(job), ==, BLOCK_JOB_WAITING);
    g_assert_cmpuint(block_job_info(job).done, ==, SIZE);
    conclude(job);
    g_assert_true(block_user_node(w.user) == w.node);
    g_assert_true(block_backing_node(w.node) == base);
    guest_does(&w, 100);
    guest_stop(&w);
    user_is(w.user, w.model);
    close_disk(&w);
    g_autofree char *name = recorded(&w, "top.qcow2"), *mid = in(&w, "mid.qcow2"), *file = in(&w, "base.qcow2");
    g_assert_cmpstr(name, ==, to_base ? "base.qcow2" : NULL);
    g_unlink(mid); /* nobody needs it */
    if (!to_base)
        g_unlink(file);
    image_is(&w, "top.qcow2", w.model);
    tear_down(&w);
}

/* ---- mirror, commit --------------------------------------------------------- */

typedef struct {
    const char *name, *create;
    BlockMirror what;
    bool pivot, commit;
} Mirroring;

static const Mirroring mirrorings[] = {
    { "full", "", { .sync = BLOCK_SYNC_FULL }, true, false },
    { "full-v2", "-o compat=0.10", { .sync = BLOCK_SYNC_FULL, .granularity = 4096 }, true, false },
    { "full-blocking", "", { .sync = BLOCK_SYNC_FULL, .write_blocking = true }, true, false },
    { "full-stay", "", { .sync = BLOCK_SYNC_FULL }, false, false },
    { "top", "-b mid.qcow2 -F qcow2", { .sync = BLOCK_SYNC_TOP }, true, false },
    { "top-blocking", "-b mid.qcow2 -F qcow2", { .sync = BLOCK_SYNC_TOP, .write_blocking = true }, true, false },
    { "none", "-b top.qcow2 -F qcow2", { .sync = BLOCK_SYNC_NONE }, false, false },
    { "commit", NULL, { 0 }, true, true },
    { "commit-stay", NULL, { 0 }, false, true },
};

static BlockJob *mirror_job(World *w, const Mirroring *m, BlockNode *target, const BlockJobOptions *options)
{
    g_autoptr(GError) error = NULL;
    BlockJob *job = m->commit ? block_job_commit(w->node, target, options, &error)
                              : block_job_mirror(w->node, target, &m->what, options, &error);

    g_assert_no_error(error);
    return job;
}

static void test_mirror(gconstpointer p)
{
    const Mirroring *m = p;
    g_autoptr(GError) error = NULL;
    World w;

    set_up(&w);
    BlockNode *target;
    if (m->what.sync == BLOCK_SYNC_NONE) {
        /* what is copied is what is written: over the source's state of before, as a file of its own */
        g_autofree char *was = in(&w, "was.qcow2"), *top = in(&w, "top.qcow2");
        run("cp %s %s", top, was);
        target = open_target(&w, "-b was.qcow2 -F qcow2", NULL);
    } else {
        target = m->commit ? block_node_ref(below(w.node, 2)) : open_target(&w, m->create, NULL);
    }
    guest_start(&w);
    BlockJob *job = mirror_job(&w, m, target, NULL);
    g_assert_null(block_job_stream(w.node, &(BlockStream){ 0 }, NULL, &error));
    g_assert_nonnull(strstr(error->message, "works on it"));
    g_clear_error(&error);
    g_assert_false(block_job_complete(job, true, &error));
    g_assert_nonnull(strstr(error->message, "it is created, not ready"));
    g_clear_error(&error);
    block_job_start(job);
    g_assert_cmpint(block_job_wait(job), ==, BLOCK_JOB_READY);
    guest_does(&w, 300);
    if (!m->pivot)
        guest_stop(&w);
    block_job_complete(job, m->pivot, &error);
    g_assert_no_error(error);
    conclude(job);
    g_assert_true(block_user_node(w.user) == (m->pivot ? target : w.node));
    if (m->pivot)
        guest_does(&w, 200);
    guest_stop(&w);
    user_is(w.user, w.model);
    block_node_unref(target);
    close_disk(&w);
    image_is(&w, m->commit ? "base.qcow2" : "target.qcow2", w.model);
    tear_down(&w);
}

/* What is between the disk and its base goes into the base, while the disk is written to. */
static void test_commit_mid(void)
{
    g_autoptr(GError) error = NULL;
    World w;

    set_up(&w);
    BlockNode *base = below(w.node, 2);
    guest_start(&w);
    BlockJob *job = block_job_commit(below(w.node, 1), base, &(BlockJobOptions){ .rate = 40 << 20 }, &error);
    g_assert_no_error(error);
    block_job_start(job);
    guest_does(&w, 100);
    g_assert_cmpint(block_job_wait(job), ==, BLOCK_JOB_WAITING);
    conclude(job);
    g_assert_true(block_backing_node(w.node) == base);
    g_assert_true(block_node_read_only(base));
    guest_does(&w, 50);
    guest_stop(&w);
    user_is(w.user, w.model);
    close_disk(&w);
    g_autofree char *name = recorded(&w, "top.qcow2"), *mid = in(&w, "mid.qcow2"), *file = in(&w, "base.qcow2");
    g_assert_cmpstr(name, ==, "base.qcow2");
    g_unlink(mid);
    run("qemu-img check -q %s", file);
    image_is(&w, "top.qcow2", w.model);
    tear_down(&w);
}

/* The blocking one, of a disk that nobody writes to: zeroes past the end of mid hide what base has there. */
static void test_commit(void)
{
    g_autoptr(GError) error = NULL;
    World w;

    set_up(&w);
    block_commit(w.node, below(w.node, 2), NULL, &error);
    g_assert_no_error(error);
    close_disk(&w);
    image_is(&w, "base.qcow2", w.model);
    image_is(&w, "top.qcow2", w.model);
    tear_down(&w);
}

/* ---- backup ------------------------------------------------------------------ */

static void test_backup(gconstpointer p)
{
    const BlockBackup *what = p;
    bool incremental = what->sync == BLOCK_SYNC_INCREMENTAL;
    g_autoptr(GError) error = NULL;
    g_autofree uint8_t *then = NULL;
    BlockBitmap *bitmap = NULL;
    World w;

    set_up(&w);
    BlockNode *target = open_target(&w, what->sync == BLOCK_SYNC_TOP ? "-b mid.qcow2 -F qcow2" : "", NULL);
    for (int round = 0; round < (incremental ? 3 : 1); round++) {
        /* the first of an incremental chain is full */
        BlockBackup now = incremental && !round ? (BlockBackup){ .sync = BLOCK_SYNC_FULL } : *what;
        if (!w.running)
            guest_start(&w);
        guest_does(&w, 100);
        guest_hold(&w, true);
        g_free(then);
        then = g_memdup2(w.model, SIZE);
        if (incremental && !round) {
            bitmap = block_bitmap_add(w.node, "b", 4096, true, &error);
            g_assert_no_error(error);
        }
        BlockJob *job = block_job_backup(w.node, target, &now, NULL, &error);
        guest_hold(&w, false);
        g_assert_no_error(error);
        block_job_start(job);
        guest_does(&w, 150);
        if (now.sync == BLOCK_SYNC_NONE) {
            guest_stop(&w); /* what comes after the end is not saved */
            block_job_complete(job, false, &error);
            g_assert_no_error(error);
        } else {
            g_assert_cmpint(block_job_wait(job), ==, BLOCK_JOB_WAITING);
        }
        conclude(job);
        g_assert_true(block_user_node(w.user) == w.node);
    }
    guest_stop(&w);
    user_is(w.user, w.model);
    BlockUser *reader = block_attach(target, &(BlockAttach){ .name = "test", .perm = BLOCK_PERM_READ,
                                                             .shared = BLOCK_SHARE_ALL }, &error);
    if (what->sync == BLOCK_SYNC_NONE) {
        /* it has what was overwritten, nothing else */
        g_autofree uint8_t *got = g_malloc(SIZE);
        g_assert_cmpint(block_read(reader, 0, got, SIZE), ==, 0);
        for (uint64_t at = 0; at < SIZE; at += 65536)
            if (memcmp(then + at, w.model + at, 65536))
                compare(got + at, then + at, 65536);
    } else {
        user_is(reader, then);
    }
    block_detach(reader);
    block_node_unref(target);
    if (bitmap)
        g_assert_true(block_bitmap_remove(w.node, bitmap, NULL));
    close_disk(&w);
    if (what->sync != BLOCK_SYNC_NONE)
        image_is(&w, "target.qcow2", then);
    image_is(&w, "top.qcow2", w.model);
    tear_down(&w);
}

/* One that failed gives the bitmap back what it took. */
static void test_backup_bitmap(void)
{
    g_autoptr(GError) error = NULL;
    uint8_t buf[512] = { 9 };
    bool dirty;
    World w;

    set_up(&w);
    BlockNode *target = open_target(&w, "", "{'event':'write_aio','errno':28}");
    BlockBitmap *b = block_bitmap_add(w.node, "b", 65536, false, &error);
    g_assert_cmpint(block_write(w.user, 1 << 20, buf, 512, 0), ==, 0);
    BlockJob *job = block_job_backup(w.node, target, &(BlockBackup){ BLOCK_SYNC_INCREMENTAL, "b" }, NULL, &error);
    g_assert_no_error(error);
    g_assert_true(block_bitmap_run(b, 0, SIZE, &dirty) == SIZE && !dirty);
    /* this write cannot be saved: it goes on, the backup does not */
    g_assert_cmpint(block_write(w.user, (1 << 20) + 512, buf, 512, 0), ==, 0);
    g_assert_cmpint(block_write(w.user, 3 << 20, buf, 512, 0), ==, 0);
    block_job_start(job);
    g_assert_cmpint(block_job_wait(job), ==, BLOCK_JOB_WAITING);
    g_assert_false(block_job_conclude(job, &error));
    g_assert_nonnull(strstr(error->message, "No space left"));
    block_job_free(job);
    g_assert_cmpuint(block_bitmap_run(b, 0, SIZE, &dirty), ==, 1 << 20);
    g_assert_cmpuint(block_bitmap_run(b, 1 << 20, SIZE, &dirty), ==, 65536);
    g_assert_true(dirty);
    g_assert_cmpuint(block_bitmap_run(b, 3 << 20, SIZE, &dirty), ==, 65536);
    g_assert_true(dirty);
    block_node_unref(target);
    tear_down(&w);
}

/* ---- errors -------------------------------------------------------------------- */

typedef struct {
    const char *name, *source, *target; /* blkdebug rules */
    BlockOnError how;
    bool fails, pauses, reading;
} Trouble;

#define ONCE "{'event':'write_aio','iotype':'write','once':true"
#define ONCE_READ "{'event':'read_aio','once':true,'sector':'4096'}"
static const Trouble troubles[] = {
    { "target-report", NULL, ONCE "}", BLOCK_ON_ERROR_REPORT, true, false, false },
    { "target-ignore", NULL, ONCE "}", BLOCK_ON_ERROR_IGNORE, false, false, false },
    { "target-stop", NULL, ONCE "}", BLOCK_ON_ERROR_STOP, false, true, false },
    { "target-full", NULL, ONCE ",'errno':28}", BLOCK_ON_ERROR_ENOSPC, false, true, false },
    { "target-not-full", NULL, ONCE "}", BLOCK_ON_ERROR_ENOSPC, true, false, false },
    { "source-report", ONCE_READ, NULL, BLOCK_ON_ERROR_REPORT, true, false, true },
    { "source-stop", ONCE_READ, NULL, BLOCK_ON_ERROR_STOP, false, true, true },
};

static void test_trouble(gconstpointer p)
{
    const Trouble *t = p;
    g_autoptr(GError) error = NULL;
    World w;

    set_up(&w);
    if (t->source) { /* its backing file is bad somewhere */
        close_disk(&w);
        g_autofree char *extra =
            g_strdup_printf(",'backing':{'driver':'blkdebug','image':{'driver':'qcow2','file':{'driver':"
                            "'file','filename':'%s/base.qcow2'}},'inject-error':[%s]}", w.dir, t->source);
        g_autofree char *top = in(&w, "top.qcow2");
        run("qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 %s %u", top, (unsigned)SIZE);
        open_disk(&w, extra);
        memset(w.model, 0, SIZE);
        memset(w.model, 1, 1 << 20);
        memset(w.model + (1900 << 10), 2, 1 << 20);
        memset(w.model + (5 << 20), 3, 512 << 10);
    }
    BlockNode *target = open_target(&w, "", t->target);
    const BlockJobOptions options = { .id = "j", .on_source_error = t->how, .on_target_error = t->how };
    BlockJob *job = mirror_job(&w, &mirrorings[0], target, &options);
    g_assert_true(block_job_find(w.graph, "j") == job);
    block_job_start(job);
    BlockJobStatus status = block_job_wait(job);
    if (t->pauses) {
        g_assert_cmpint(status, ==, BLOCK_JOB_PAUSED);
        g_assert_cmpint(block_job_info(job).error, <, 0);
        g_assert_cmpint(block_job_info(job).reading, ==, t->reading);
        block_job_resume(job);
        status = block_job_wait(job);
    }
    g_assert_cmpint(status, ==, t->fails ? BLOCK_JOB_WAITING : BLOCK_JOB_READY);
    if (!t->fails) {
        g_assert_true(block_job_complete(job, true, &error));
        conclude(job);
    } else {
        g_assert_false(block_job_conclude(job, &error));
        g_assert_nonnull(strstr(error->message, t->reading ? "reading the source" : "writing the target"));
        block_job_free(job);
    }
    g_assert_true(block_user_node(w.user) == (t->fails ? w.node : target));
    user_is(w.user, w.model);
    block_node_unref(target);
    tear_down(&w);
}

/* A write-blocking mirror's guest does not see the target's errors; nor is anything lost by them. */
static void test_blocking_trouble(void)
{
    g_autoptr(GError) error = NULL;
    World w;

    set_up(&w);
    const BlockJobOptions options = { .on_target_error = BLOCK_ON_ERROR_IGNORE };
    BlockNode *target = open_target(&w, "", ONCE "}," ONCE ",'sector':'600'}," ONCE ",'sector':'3000'}");
    BlockJob *job = mirror_job(&w, &mirrorings[2], target, &options);
    guest_start(&w);
    block_job_start(job);
    g_assert_cmpint(block_job_wait(job), ==, BLOCK_JOB_READY);
    guest_does(&w, 200);
    g_assert_true(block_job_complete(job, true, &error));
    conclude(job);
    guest_stop(&w);
    user_is(w.user, w.model);
    block_node_unref(target);
    close_disk(&w);
    image_is(&w, "target.qcow2", w.model);
    tear_down(&w);
}

/* ---- control --------------------------------------------------------------------- */

static void note(BlockJob *job, void *opaque)
{
    atomic_fetch_add((_Atomic unsigned *)opaque, 1);
}

static void test_control(void)
{
    g_autoptr(GError) error = NULL;
    _Atomic unsigned changes = 0;
    World w;

    set_up(&w);
    BlockNode *target = open_target(&w, "", NULL);
    const BlockJobOptions options = { .id = "slow", .rate = 2 << 20, .changed = note, .opaque = &changes };
    BlockJob *job = block_job_backup(w.node, target, &(BlockBackup){ .sync = BLOCK_SYNC_FULL }, &options, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(block_job_status_name(block_job_info(job).status), ==, "created");
    gint64 from = g_get_monotonic_time();
    block_job_start(job);
    g_usleep(200000);
    block_job_pause(job);
    BlockJobInfo info = block_job_info(job);
    g_assert_cmpint(info.status, ==, BLOCK_JOB_PAUSED);
    g_assert_cmpuint(info.total, ==, SIZE);
    g_usleep(100000);
    g_assert_cmpuint(block_job_info(job).done, ==, info.done);
    g_assert_cmpuint(info.done, <, SIZE / 2);
    block_job_resume(job);
    while (block_job_info(job).done < SIZE / 2)
        g_usleep(1000);
    g_assert_cmpint(g_get_monotonic_time() - from, >, 1000000); /* 3 MiB at 2 a second, the last not waited for */
    block_job_set_rate(job, 0);
    g_assert_cmpint(block_job_wait(job), ==, BLOCK_JOB_WAITING);
    g_assert_cmpuint(block_job_info(job).done, ==, SIZE);
    conclude(job);
    g_assert_cmpuint(changes, >=, 2);
    block_node_unref(target);
    tear_down(&w);
}

/* Each kind, cancelled in the middle: all is as if it had never been. */
static void test_cancel(void)
{
    const BlockJobOptions slow = { .rate = 1 << 20 };
    g_autoptr(GError) error = NULL;
    World w;

    set_up(&w);
    BlockNode *target = open_target(&w, "", NULL), *chain[] = { w.node, below(w.node, 1), below(w.node, 2) };
    guest_start(&w);
    for (int kind = 0; kind < 6; kind++) {
        const BlockMirror mirror = { .write_blocking = kind == 3 };
        BlockJob *job = kind == 0   ? block_job_stream(w.node, &(BlockStream){ 0 }, &slow, &error)
                        : kind == 1 ? block_job_stream(w.node, &(BlockStream){ .base = chain[2] }, &slow, &error)
                        : kind == 2 ? block_job_backup(w.node, target, &(BlockBackup){ 0 }, &slow, &error)
                        : kind < 5  ? block_job_mirror(w.node, target, &mirror, &slow, &error)
                                    : block_job_commit(w.node, chain[2], &slow, &error);
        g_assert_no_error(error);
        if (kind != 4) /* one that never began */
            block_job_start(job);
        guest_does(&w, 60);
        block_job_cancel(job);
        g_assert_false(block_job_conclude(job, &error));
        g_assert_nonnull(strstr(error->message, "canceled"));
        g_clear_error(&error);
        block_job_free(job);
        g_assert_true(block_user_node(w.user) == w.node);
        for (unsigned i = 0; i < 2; i++)
            g_assert_true(block_backing_node(chain[i]) == chain[i + 1]);
        g_assert_true(block_node_read_only(chain[2]));
        g_assert_null(block_bitmap_nth(w.node, 0));
        g_assert_null(block_job_nth(w.graph, 0));
    }
    guest_stop(&w);
    user_is(w.user, w.model);
    block_node_unref(target);
    close_disk(&w);
    image_is(&w, "top.qcow2", w.model);
    tear_down(&w);
}

/* ---- killed ------------------------------------------------------------------------ */

/* A process that does a job again and again until it is killed; the disk reads the same at any time. */
static void kill_child(World *w, bool commit)
{
    const BlockJobOptions slow = { .rate = 60 << 20 };

    open_disk(w, "");
    BlockJob *job = commit ? block_job_commit(w->node, below(w->node, 2), &slow, NULL)
                           : block_job_stream(w->node, &(BlockStream){ 0 }, &slow, NULL);
    if (!job)
        _exit(1);
    block_job_start(job);
    if (commit && block_job_wait(job) == BLOCK_JOB_READY)
        block_job_complete(job, false, NULL);
    if (!block_job_conclude(job, NULL))
        _exit(2);
    block_job_free(job);
    close_disk(w);
    _exit(0);
}

static void test_killed(gconstpointer commit)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(seed());
    unsigned killed = 0;
    World w;

    for (int round = 0; round < 8; round++) {
        int status;
        w = (World){ 0 };
        make_chain(&w);
        pid_t pid = fork();
        if (!pid)
            kill_child(&w, commit);
        g_usleep((gulong)g_rand_int_range(rand, 2000, 90000));
        kill(pid, SIGKILL);
        g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
        if (WIFEXITED(status))
            g_assert_cmpint(WEXITSTATUS(status), ==, 0);
        else
            killed++;
        g_autofree char *top = in(&w, "top.qcow2"), *base = in(&w, "base.qcow2");
        /* leaks are no damage */
        run("sh -c 'qemu-img check -q %s || test $? = 3'", top);
        run("sh -c 'qemu-img check -q %s || test $? = 3'", base);
        run("qemu-img check -q -r leaks %s", top);
        image_is(&w, "top.qcow2", w.model);
        tear_down(&w);
    }
    g_assert_cmpuint(killed, >, 0);
}

int main(int argc, char **argv)
{
    static const BlockBackup backups[] = { { .sync = BLOCK_SYNC_FULL }, { .sync = BLOCK_SYNC_TOP },
                                           { .sync = BLOCK_SYNC_NONE }, { BLOCK_SYNC_INCREMENTAL, "b" } };

    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/block/jobs/killed/stream", NULL, test_killed);
    g_test_add_data_func("/block/jobs/killed/commit", "commit", test_killed);
    g_test_add_data_func("/block/jobs/stream/all", NULL, test_stream);
    g_test_add_data_func("/block/jobs/stream/base", "base", test_stream);
    g_test_add_func("/block/jobs/commit/blocking", test_commit);
    g_test_add_func("/block/jobs/commit/mid", test_commit_mid);
    for (unsigned i = 0; i < G_N_ELEMENTS(mirrorings); i++) {
        g_autofree char *path = g_strdup_printf("/block/jobs/mirror/%s", mirrorings[i].name);
        g_test_add_data_func(path, &mirrorings[i], test_mirror);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(backups); i++) {
        g_autofree char *path = g_strdup_printf("/block/jobs/backup/%u", i);
        g_test_add_data_func(path, &backups[i], test_backup);
    }
    g_test_add_func("/block/jobs/backup/bitmap", test_backup_bitmap);
    for (unsigned i = 0; i < G_N_ELEMENTS(troubles); i++) {
        g_autofree char *path = g_strdup_printf("/block/jobs/trouble/%s", troubles[i].name);
        g_test_add_data_func(path, &troubles[i], test_trouble);
    }
    g_test_add_func("/block/jobs/trouble/blocking", test_blocking_trouble);
    g_test_add_func("/block/jobs/control", test_control);
    g_test_add_func("/block/jobs/cancel", test_cancel);
    return g_test_run();
}
