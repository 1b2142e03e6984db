/* SPDX-License-Identifier: MIT */
/*
 * An image of any kind under random steps of all sorts, with what it may hold kept in memory that
 * outlives the process. For tests that fail requests or kill who makes them.
 */
#pragma once

#include "block/bitmap.h"
#include "block/drivers/qcow2/test_kinds.h"
#include "block/drivers/qcow2/test_stamps.h"
#include "block/image.h"
#include "block/jobs/jobs.h"

#include <sys/mman.h>

enum { WORLD_SECTORS = 4096, WORLD_MOST = 6144, WORLD_BASE = 3000, WORLD_SNAPSHOTS = 3, WORLD_BITMAPS = 2 };
enum { WORLD_RUN = 400 }; /* sectors written at once */

typedef enum { SNAPSHOT_NONE, SNAPSHOT_MAYBE, SNAPSHOT_THERE } SnapshotState;

typedef struct {
    uint64_t version, size, other_size; /* in sectors; the second: what it was, or may have become */
    Sector sectors[WORLD_MOST];
    struct {
        SnapshotState state;
        uint64_t size;
        Sector sectors[WORLD_MOST];
    } snapshots[WORLD_SNAPSHOTS];
    uint64_t steps, flushes;
} WorldModel;

typedef struct {
    const Kind *kind;
    GRand *rand;
    char *dir, *file, *base;
    CryptoObjects *secrets;
    WorldModel *model; /* shared memory */
    BlockGraph *graph;
    BlockNode *node;
    BlockUser *user;
    uint64_t cluster_size;
    bool faults;       /* steps may fail */
    unsigned failures; /* did, or a warning came */
    bool plain;        /* no commit and no stream: few writes */
    uint8_t *buf;
    /* sectors written since the bitmap was made or cleared; NULL: there is no bitmap */
    uint8_t *marked[WORLD_BITMAPS];
} World;

static inline unsigned env(const char *name, unsigned def)
{
    const char *text = g_getenv(name);
    return text ? (unsigned)atoi(text) : def;
}

typedef struct {
    const char *event, *type; /* blkdebug's event and iotype */
    int error;
    bool for_ever;            /* and all after it */
} Fault;

/* What makes the nth of them fail: states count them. */
static inline char *fault_options(const Fault *f, unsigned n)
{
    GString *s = g_string_new(NULL);

    g_string_printf(s, "{\"inject-error\":[{\"event\":\"%s\",\"iotype\":\"%s\",\"errno\":%d,\"state\":%u,"
                    "\"once\":%s}],\"set-state\":[", f->event, f->type, f->error, n, f->for_ever ? "false" : "true");
    for (unsigned i = 1; i < n; i++)
        g_string_append_printf(s, "%s{\"event\":\"%s\",\"state\":%u,\"new_state\":%u}", i > 1 ? "," : "", f->event,
                               i, i + 1);
    g_string_append(s, "]}");
    return g_string_free(s, FALSE);
}

static inline void world_init(World *w, const Kind *kind, uint32_t seed)
{
    *w = (World){ .kind = kind };
    w->rand = g_rand_new_with_seed(seed);
    w->dir = g_dir_make_tmp("lathe-world-XXXXXX", NULL);
    w->file = g_build_filename(w->dir, "disk.qcow2", NULL);
    w->base = g_build_filename(w->dir, "base.raw", NULL);
    w->secrets = kind_secrets();
    w->model = mmap(NULL, sizeof *w->model, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    g_assert_true(w->model != MAP_FAILED);
    w->buf = g_malloc(WORLD_RUN * 512);
    w->model->size = w->model->other_size = WORLD_SECTORS;
    w->model->version = 1;
    if (kind->backing) {
        g_autofree uint8_t *all = g_malloc(WORLD_BASE * 512);
        stamps_write(w->model->sectors, 0, WORLD_BASE, 1, all);
        stamps_settle(w->model->sectors, WORLD_MOST);
        g_assert_true(g_file_set_contents(w->base, (char *)all, WORLD_BASE * 512, NULL));
    }
    kind_create(kind, w->file, WORLD_SECTORS * 512, kind->backing ? "base.raw" : NULL, w->secrets);
    g_autofree uint8_t *head = NULL;
    g_assert_true(g_file_get_contents(w->file, (char **)&head, NULL, NULL));
    w->cluster_size = UINT64_C(1) << ld_be32(head + 20);
}

static inline void world_clear(World *w)
{
    run("rm -r %s", w->dir);
    g_rand_free(w->rand);
    g_free(w->dir);
    g_free(w->file);
    g_free(w->base);
    g_free(w->buf);
    crypto_objects_free(w->secrets);
    munmap(w->model, sizeof *w->model);
}

/* ---- open, closed ----------------------------------------------------------- */

static inline void world_warned(void *opaque, const char *text)
{
    ((World *)opaque)->failures++;
}

/* debug: blkdebug's options for the file, JSON; NULL: none. */
static inline bool world_try_open(World *w, const char *debug_json, unsigned flags, GError **error)
{
    struct json_object *file = json_object_new_object(), *options = json_object_new_object();

    w->graph = block_graph_new();
    block_graph_set_objects(w->graph, w->secrets);
    block_graph_on_warning(w->graph, world_warned, w);
    json_object_object_add(file, "driver", json_object_new_string("file"));
    json_object_object_add(file, "filename", json_object_new_string(w->file));
    if (debug_json) {
        struct json_object *debug = json_tokener_parse(debug_json);
        json_object_object_add(debug, "driver", json_object_new_string("blkdebug"));
        json_object_object_add(debug, "image", file);
        file = debug;
    }
    json_object_object_add(options, "driver", json_object_new_string("qcow2"));
    json_object_object_add(options, "file", file);
    if (w->kind->luks)
        block_options_set(options, "encrypt.key-secret", "s0", NULL);
    w->node = block_open(w->graph, options, flags, error);
    json_object_put(options);
    unsigned perm = flags & BLOCK_OPEN_READ_ONLY ? BLOCK_PERM_READ : BLOCK_PERM_RW;
    w->user = w->node && !(flags & BLOCK_OPEN_CHECK)
                  ? block_attach(w->node, &(BlockAttach){ .name = "test", .perm = perm,
                                                          .shared = BLOCK_SHARE_DEFAULT }, error) : NULL;
    return w->node && (w->user || flags & BLOCK_OPEN_CHECK);
}

static inline void world_open(World *w, unsigned flags)
{
    g_autoptr(GError) error = NULL;

    world_try_open(w, NULL, flags, &error);
    g_assert_no_error(error);
}

static inline void world_close(World *w)
{
    block_detach(g_steal_pointer(&w->user));
    g_clear_pointer(&w->node, block_node_unref);
    g_clear_pointer(&w->graph, block_graph_free);
    for (unsigned i = 0; i < WORLD_BITMAPS; i++)
        g_clear_pointer(&w->marked[i], g_free);
}

/* ---- what is there after something went wrong ---------------------------------- */

/* The size is the old one or the new one; what one of them has not says nothing. */
static inline void world_check_size(World *w)
{
    WorldModel *m = w->model;
    uint64_t size = block_size(w->user) / 512;

    g_assert_true(size == m->size || size == m->other_size);
    uint64_t less = MIN(m->size, m->other_size);
    if (m->size != m->other_size)
        stamps_discard(m->sectors, less, WORLD_MOST - less);
    m->size = m->other_size = size;
}

static inline void world_check_snapshots(World *w)
{
    g_autoptr(GArray) list = block_snapshot_list(w->node, NULL);

    for (unsigned i = 0; i < WORLD_SNAPSHOTS; i++) {
        g_autofree char *name = g_strdup_printf("s%u", i);
        bool found = false;
        for (unsigned k = 0; k < list->len; k++)
            found |= !strcmp(g_array_index(list, BlockSnapshot, k).name, name);
        SnapshotState *state = &w->model->snapshots[i].state;
        if (*state != SNAPSHOT_MAYBE && found != (*state == SNAPSHOT_THERE))
            g_error("snapshot %s is %s", name, found ? "there still" : "lost");
        *state = found ? SNAPSHOT_THERE : SNAPSHOT_NONE;
    }
}

/* All that the image holds, snapshots too. */
static inline void world_check(World *w)
{
    g_autoptr(GError) error = NULL;

    world_open(w, 0);
    world_check_size(w);
    world_check_snapshots(w);
    stamps_check(w->user, w->model->sectors, w->model->size);
    world_close(w);
    for (unsigned i = 0; i < WORLD_SNAPSHOTS; i++) {
        g_autofree char *name = g_strdup_printf("s%u", i);
        if (w->model->snapshots[i].state != SNAPSHOT_THERE)
            continue;
        world_open(w, BLOCK_OPEN_READ_ONLY);
        block_snapshot_load(w->node, name, &error);
        g_assert_no_error(error);
        block_node_refresh(w->node, &error);
        g_assert_no_error(error);
        uint64_t size = block_size(w->user) / 512;
        if (!strstr(w->kind->create, "compat=0.10")) /* where they have no size of their own */
            g_assert_cmpuint(size, ==, w->model->snapshots[i].size);
        stamps_check(w->user, w->model->snapshots[i].sectors, MIN(size, w->model->snapshots[i].size));
        world_close(w);
    }
}

/* qemu-img's status. */
static inline int world_findings(World *w)
{
    g_autofree char *words = image_words(w->kind, w->file), *out = NULL, *sums = NULL;
    g_autofree char *command = g_strdup_printf("qemu-img check %s", words);
    int status;

    g_assert_true(g_spawn_command_line_sync(command, &sums, &out, &status, NULL));
    status >>= 8;
    if (status && status != 2 && status != 3)
        g_error("%s: %d\n%s", command, status, out);
    findings_are_harmless(out, strstr(w->kind->create, "lazy"), w->cluster_size);
    return status;
}

static inline void say(void *opaque, const char *line)
{
    g_string_append_printf(opaque, "%s\n", line);
}

/* As `img check -r all`, twice: the second finds nothing. Nor does qemu-img then. */
static inline void world_mend(World *w)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GString) text = g_string_new(NULL);
    BlockCheck found = { 0 };

    for (int round = 0; round < 2; round++) {
        world_open(w, BLOCK_OPEN_CHECK);
        g_string_set_size(text, 0);
        found = (BlockCheck){ 0 };
        block_check(w->node, round ? 0 : BLOCK_CHECK_FIX_LEAKS | BLOCK_CHECK_FIX_ERRORS, &found, say, text, &error);
        g_assert_no_error(error);
        world_close(w);
    }
    if (found.corruptions || found.leaks || found.errors)
        g_error("not mended: %s", text->str);
    g_assert_cmpint(world_findings(w), ==, 0);
}

/* ---- steps ------------------------------------------------------------------------ */

/* Whether a step did what it was to; it may not fail unless faults are about. */
static inline bool done(World *w, bool ok, GError **error)
{
    if (!ok && !w->faults)
        g_error("%s", error && *error ? (*error)->message : "failed");
    w->failures += !ok;
    if (error)
        g_clear_error(error);
    return ok;
}

static inline bool did(World *w, int r)
{
    if (r && !w->faults)
        g_error("%s", g_strerror(-r));
    return done(w, !r, NULL);
}

static inline void world_mark(World *w, uint64_t first, uint64_t n)
{
    for (unsigned i = 0; i < WORLD_BITMAPS; i++)
        if (w->marked[i])
            memset(w->marked[i] + first, 1, n);
}

static inline void world_settled(World *w)
{
    stamps_settle(w->model->sectors, WORLD_MOST);
    w->model->flushes++;
}

static inline void step_data(World *w, int op)
{
    WorldModel *m = w->model;
    uint64_t first = (uint64_t)g_rand_int_range(w->rand, 0, (int)m->size);
    uint64_t n = (uint64_t)g_rand_int_range(w->rand, 1, g_rand_int_range(w->rand, 0, 5) ? 20 : WORLD_RUN);
    int r;

    n = MIN(n, m->size - first);
    if (op < 62)
        world_mark(w, first, n);
    if (op < 40) {
        stamps_write(m->sectors, first, n, ++m->version, w->buf);
        r = block_write(w->user, first * 512, w->buf, n * 512, op ? 0 : BLOCK_FUA);
    } else if (op < 55) {
        stamps_zero(m->sectors, first, n);
        r = block_zero(w->user, first * 512, n * 512, op & 1 ? BLOCK_MAY_UNMAP : 0);
    } else if (op < 62) {
        stamps_discard(m->sectors, first, n);
        r = block_discard(w->user, first * 512, n * 512);
    } else {
        r = block_flush(w->user);
        if (!r)
            world_settled(w);
    }
    /* where it failed, no later flush brings it about */
    if (!did(w, r) && op < 55)
        stamps_discard(m->sectors, first, n);
}

static inline void step_snapshot(World *w)
{
    unsigned i = (unsigned)g_rand_int_range(w->rand, 0, WORLD_SNAPSHOTS);
    g_autofree char *name = g_strdup_printf("s%u", i);
    WorldModel *m = w->model;
    GError *error = NULL;

    if (w->kind->no_snapshots || m->snapshots[i].state == SNAPSHOT_MAYBE)
        return;
    int r = block_flush(w->user);
    if (!did(w, r))
        return;
    world_settled(w);
    if (m->snapshots[i].state == SNAPSHOT_NONE) {
        BlockSnapshot s = { .name = name, .icount = -1 };
        m->snapshots[i].state = SNAPSHOT_MAYBE;
        memcpy(m->snapshots[i].sectors, m->sectors, sizeof m->sectors);
        m->snapshots[i].size = m->size;
        if (done(w, block_snapshot_take(w->node, &s, &error), &error))
            m->snapshots[i].state = SNAPSHOT_THERE;
        g_free(s.id);
    } else if (g_rand_boolean(w->rand)) {
        m->snapshots[i].state = SNAPSHOT_MAYBE;
        if (done(w, block_snapshot_drop(w->node, name, &error), &error))
            m->snapshots[i].state = SNAPSHOT_NONE;
    } else if (m->snapshots[i].size == m->size) {
        /* in between it is one or the other, and by sectors nobody wants to know which */
        stamps_discard(m->sectors, 0, WORLD_MOST);
        world_mark(w, 0, WORLD_MOST);
        if (done(w, block_snapshot_revert(w->node, name, &error), &error)) {
            for (unsigned s = 0; s < WORLD_MOST; s++)
                sector_set(&m->sectors[s], m->snapshots[i].sectors[s]);
            r = block_flush(w->user);
            did(w, r);
        }
    }
}

static inline bool any_snapshot(const World *w)
{
    for (unsigned i = 0; i < WORLD_SNAPSHOTS; i++)
        if (w->model->snapshots[i].state)
            return true;
    return false;
}

static inline void step_resize(World *w)
{
    WorldModel *m = w->model;
    uint64_t size = (uint64_t)g_rand_int_range(w->rand, WORLD_SECTORS / 2, WORLD_MOST + 1);
    GError *error = NULL;

    if (m->size != m->other_size || (any_snapshot(w) && strstr(w->kind->create, "compat=0.10")))
        return;
    BlockBitmap *b;
    for (unsigned i = 0; (b = block_bitmap_nth(w->node, i)); i++)
        if (block_bitmap_inconsistent(b))
            return; /* it refuses */
    m->other_size = size;
    if (!done(w, block_resize(w->user, size * 512, BLOCK_PREALLOC_OFF, &error), &error)) {
        /* it has one size here, and perhaps the other on disk */
        uint64_t now = block_size(w->user) / 512, less = MIN(m->size, size);
        g_assert_true(now == m->size || now == size);
        m->other_size = now == size ? m->size : size;
        m->size = now;
        stamps_discard(m->sectors, less, WORLD_MOST - less);
        return;
    }
    uint64_t less = MIN(m->size, size);
    for (uint64_t s = less; s < WORLD_MOST; s++)
        sector_set(&m->sectors[s], (Sector){ .wild = m->sectors[s].wild, .zero_since = true });
    m->size = m->other_size = size;
    for (unsigned i = 0; i < WORLD_BITMAPS; i++) /* what comes is clean */
        if (w->marked[i])
            memset(w->marked[i] + less, 0, WORLD_MOST - less);
    int r = block_flush(w->user);
    if (did(w, r))
        for (uint64_t s = less; s < WORLD_MOST; s++)
            sector_set(&m->sectors[s], (Sector){ 0 });
}

/* What the image has goes into its base, and out of it. */
static inline void step_commit(World *w)
{
    BlockNode *base = block_backing_node(w->node);
    GError *error = NULL;

    /* a snapshot shows the base where it has nothing */
    if (!base || any_snapshot(w) || w->plain)
        return;
    int r = block_flush(w->user);
    if (!did(w, r))
        return;
    world_settled(w);
    if (done(w, block_commit(w->node, base, NULL, &error), &error)) {
        error = NULL;
        done(w, block_make_empty(w->node, &error), &error);
    }
}

/* Another name for the same base; or all of it brought in, and then based on it again. */
static inline void step_rebase(World *w)
{
    BlockNode *base = block_backing_node(w->node);
    GError *error = NULL;

    if (!base)
        return;
    g_autofree char *name = block_backing_name(w->node);
    if (g_rand_boolean(w->rand) && !w->plain && !any_snapshot(w)) {
        BlockJob *job = block_job_stream(w->node, &(BlockStream){ 0 }, NULL, &error);
        if (!done(w, job != NULL, &error))
            return;
        block_node_ref(base);
        block_job_start(job);
        error = NULL;
        bool ok = done(w, block_job_conclude(job, &error), &error);
        block_job_free(job);
        error = NULL;
        if (ok && done(w, block_backing_record(w->node, "base.raw", "raw", &error), &error)) {
            error = NULL;
            done(w, block_node_set_backing(w->node, base, &error), &error);
        }
        block_node_unref(base);
        return;
    }
    const char *other = strcmp(name, "base.raw") ? "base.raw" : "./base.raw";
    done(w, block_backing_record(w->node, other, "raw", &error), &error);
}

static inline void step_bitmap(World *w)
{
    unsigned i = (unsigned)g_rand_int_range(w->rand, 0, WORLD_BITMAPS);
    g_autofree char *name = g_strdup_printf("b%u", i);
    BlockBitmap *b = block_bitmap_find(w->node, name), *other = block_bitmap_find(w->node, i ? "b0" : "b1");
    int op = g_rand_int_range(w->rand, 0, 4);
    GError *error = NULL;

    if (!block_keeps_bitmaps(w->node))
        return;
    if (!b) {
        b = block_bitmap_add(w->node, name, 0, true, &error);
        if (done(w, b != NULL, &error))
            w->marked[i] = g_malloc0(WORLD_MOST);
    } else if (block_bitmap_inconsistent(b) || op == 0) {
        if (done(w, block_bitmap_remove(w->node, b, &error), &error))
            g_clear_pointer(&w->marked[i], g_free);
    } else if (op == 1) {
        if (done(w, block_bitmap_clear(b, &error), &error) && w->marked[i])
            memset(w->marked[i], 0, WORLD_MOST);
    } else if (other && !block_bitmap_inconsistent(other)) {
        if (done(w, block_bitmap_merge(b, other, &error), &error) && w->marked[i])
            for (unsigned s = 0; w->marked[!i] && s < WORLD_MOST; s++)
                w->marked[i][s] |= w->marked[!i][s];
    }
}

/* Closed and opened again: what bitmaps should know they know. */
static inline void step_reopen(World *w)
{
    uint8_t *marked[WORLD_BITMAPS];

    if (w->faults)
        return;
    for (unsigned i = 0; i < WORLD_BITMAPS; i++)
        marked[i] = g_steal_pointer(&w->marked[i]);
    world_close(w);
    world_settled(w);
    world_open(w, BLOCK_OPEN_UNMAP);
    for (unsigned i = 0; i < WORLD_BITMAPS; i++) {
        g_autofree char *name = g_strdup_printf("b%u", i);
        BlockBitmap *b = block_bitmap_find(w->node, name);
        bool dirty;
        w->marked[i] = marked[i];
        if (!marked[i])
            continue;
        g_assert_true(b && !block_bitmap_inconsistent(b));
        for (uint64_t s = 0; s < w->model->size; s++)
            if (marked[i][s] && (block_bitmap_run(b, s * 512, 512, &dirty), !dirty))
                g_error("bitmap %s misses sector %" G_GUINT64_FORMAT, name, s);
    }
}

static inline void world_step(World *w)
{
    int op = g_rand_int_range(w->rand, 0, 100);

    w->model->steps++;
    if (op < 74)
        step_data(w, op);
    else if (op < 84)
        step_snapshot(w);
    else if (op < 87)
        step_resize(w);
    else if (op < 89)
        step_commit(w);
    else if (op < 92)
        step_rebase(w);
    else if (op < 98)
        step_bitmap(w);
    else
        step_reopen(w);
}
