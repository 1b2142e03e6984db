/* SPDX-License-Identifier: MIT */
/*
 * qcow2 images under random writes, zeroes, discards, compressed writes, snapshots, other sizes and
 * reopening, against a model in memory; afterwards qemu-img must find nothing wrong with the image
 * and read the same from it. TEST_SEED and TEST_OPS change the run.
 */
#include "block/drivers/qcow2/test_kinds.h"

#include <pthread.h>
#include <unistd.h>

enum { MAX_SNAPSHOTS = 6 };
#define SIZE ((uint64_t)4 << 20)
#define BASE ((SIZE - 70000) & ~UINT64_C(511))
#define ROOM ((uint64_t)8 << 20)

typedef struct {
    const Kind *kind;
    char *dir, *file, *base;
    CryptoObjects *secrets;
    BlockGraph *graph;
    BlockNode *node;
    BlockUser *user;
    uint64_t size;
    uint8_t *model;
    uint64_t snap_size[MAX_SNAPSHOTS];
    uint8_t *snap[MAX_SNAPSHOTS]; /* NULL: not taken; called "sN" */
} Image;

static uint64_t parse_env(const char *name, uint64_t def)
{
    const char *text = g_getenv(name);
    return text ? g_ascii_strtoull(text, NULL, 0) : def;
}

static void image_open(Image *i)
{
    g_autoptr(GError) error = NULL;

    i->graph = block_graph_new();
    block_graph_set_objects(i->graph, i->secrets);
    struct json_object *options = block_image_options(i->graph, i->file, "qcow2", &error);
    g_assert_no_error(error);
    if (i->kind->luks)
        block_options_set(options, "encrypt.key-secret", "s0", &error);
    i->node = block_open(i->graph, options, BLOCK_OPEN_UNMAP, &error);
    json_object_put(options);
    g_assert_no_error(error);
    i->user = block_attach(i->node, &(BlockAttach){ .name = "test", .perm = BLOCK_PERM_RW,
                                                    .shared = BLOCK_SHARE_DEFAULT }, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(block_size(i->user), ==, i->size);
}

static void image_close(Image *i)
{
    block_detach(i->user);
    block_node_unref(i->node);
    block_graph_free(i->graph);
}

static void image_check(Image *i)
{
    g_autofree char *words = image_words(i->kind, i->file);

    run("qemu-img check -q %s", words);
}

static void compare(const uint8_t *got, const uint8_t *want, uint64_t size)
{
    for (uint64_t k = 0; k < size; k++)
        if (got[k] != want[k])
            g_error("byte %#" G_GINT64_MODIFIER "x is %02x, not %02x", k, got[k], want[k]);
}

/* qemu-img reads the same. */
static void image_compare(Image *i)
{
    g_autofree char *raw = g_strdup_printf("%s/out.raw", i->dir), *now = NULL;
    gsize len;

    g_autofree char *words = image_words(i->kind, i->file);

    run("qemu-img convert -O raw %s %s", words, raw);
    g_assert_true(g_file_get_contents(raw, &now, &len, NULL));
    g_assert_cmpuint(len, ==, i->size);
    compare((uint8_t *)now, i->model, i->size);
    g_unlink(raw);
}

static void set_up(Image *i, const Kind *kind)
{
    *i = (Image){ .kind = kind, .size = SIZE, .model = g_malloc0(ROOM) };
    i->dir = g_dir_make_tmp("lathe-qcow2-XXXXXX", NULL);
    i->file = g_build_filename(i->dir, "disk.qcow2", NULL);
    i->base = g_build_filename(i->dir, "base.raw", NULL);
    if (kind->backing) { /* shorter than the image */
        for (uint64_t k = 0; k < BASE; k++)
            i->model[k] = (uint8_t)(k / 5 + k / 4096);
        g_assert_true(g_file_set_contents(i->base, (char *)i->model, BASE, NULL));
    }
    i->secrets = kind_secrets();
    kind_create(kind, i->file, SIZE, kind->backing ? "base.raw" : NULL, i->secrets);
    image_check(i);
    image_open(i);
}

/* A raw data file is the disk, whoever reads it. */
static void data_compare(Image *i)
{
    g_autofree char *data = g_strdup_printf("%s.data", i->file), *now = NULL;
    gsize len;

    g_assert_true(g_file_get_contents(data, &now, &len, NULL));
    g_assert_cmpuint(len, ==, i->size);
    compare((uint8_t *)now, i->model, i->size);
}

static void tear_down(Image *i)
{
    image_close(i);
    image_check(i);
    image_compare(i);
    if (strstr(i->kind->create, "data_file_raw"))
        data_compare(i);
    crypto_objects_free(i->secrets);
    for (unsigned n = 0; n < MAX_SNAPSHOTS; n++)
        g_free(i->snap[n]);
    g_autofree char *data = g_strdup_printf("%s.data", i->file);
    g_unlink(i->file);
    g_unlink(i->base);
    g_unlink(data);
    g_assert_cmpint(g_rmdir(i->dir), ==, 0);
    g_free(i->dir);
    g_free(i->file);
    g_free(i->base);
    g_free(i->model);
}

/* ---- steps --------------------------------------------------------------- */

static void range(const Image *i, GRand *rand, uint64_t *offset, uint64_t *bytes)
{
    uint64_t unit = (const uint64_t[]){ 1, 512, 4096, 65536 }[g_rand_int_range(rand, 0, 4)];
    uint64_t most = g_rand_int_range(rand, 0, 6) ? 30000 : 900000;

    *offset = (uint64_t)g_rand_double_range(rand, 0, (double)i->size) / unit * unit;
    *bytes = MAX((uint64_t)g_rand_int_range(rand, 1, (int)most) / unit * unit, unit);
    *bytes = MIN(*bytes, i->size - *offset);
}

static void fill(GRand *rand, uint8_t *buf, uint64_t bytes)
{
    uint32_t x = g_rand_int(rand);
    unsigned easy = x % 3;

    if (x % 7 == 0) {
        memset(buf, 0, bytes);
        return;
    }
    for (uint64_t k = 0; k < bytes; k++)
        buf[k] = easy ? (uint8_t)(x + k / 300) : (uint8_t)((x = x * 1664525 + 1013904223) >> 24);
}

static void do_snapshot(Image *i, GRand *rand)
{
    const BlockSnapshotOps *ops = block_driver_find(NULL, "qcow2")->snapshots;
    unsigned n = (unsigned)g_rand_int_range(rand, 0, MAX_SNAPSHOTS);
    g_autofree char *name = g_strdup_printf("s%u", n);
    g_autoptr(GError) error = NULL;

    if (i->kind->no_snapshots)
        return;
    g_assert_cmpint(block_flush(i->user), ==, 0);
    if (!i->snap[n]) {
        BlockSnapshot s = { .name = name, .icount = -1 };
        ops->take(i->node, &s, &error);
        g_assert_no_error(error);
        g_free(s.id);
        i->snap[n] = g_memdup2(i->model, ROOM);
        i->snap_size[n] = i->size;
    } else if (g_rand_boolean(rand)) {
        ops->drop(i->node, name, &error);
        g_assert_no_error(error);
        g_clear_pointer(&i->snap[n], g_free);
    } else if (strstr(i->kind->name, "v2") && i->snap_size[n] != i->size) {
        return;
    } else {
        ops->revert(i->node, name, &error);
        g_assert_no_error(error);
        block_node_refresh(i->node, &error);
        g_assert_no_error(error);
        memcpy(i->model, i->snap[n], ROOM);
        i->size = i->snap_size[n];
        memset(i->model + i->size, 0, ROOM - i->size);
        g_assert_cmpuint(block_size(i->user), ==, i->size);
    }
}

static void do_resize(Image *i, GRand *rand)
{
    uint64_t size = ((uint64_t)g_rand_int_range(rand, 1 << 20, (int)ROOM)) & ~UINT64_C(511);
    g_autoptr(GError) error = NULL;

    for (unsigned n = 0; n < MAX_SNAPSHOTS; n++)
        if (i->snap[n] && strstr(i->kind->name, "v2"))
            return;
    block_resize(i->user, size, BLOCK_PREALLOC_OFF, &error);
    g_assert_no_error(error);
    if (size < i->size)
        memset(i->model + size, 0, ROOM - size);
    i->size = size;
}

static void do_packed(Image *i, GRand *rand, uint8_t *buf, uint64_t at)
{
    uint64_t cluster = block_advice(i->user).optimal, n;

    if (i->kind->no_packing)
        return;
    at &= ~(cluster - 1);
    n = MIN(cluster, i->size - at);
    fill(rand, buf, n);
    g_assert_cmpint(block_write(i->user, at, buf, n, BLOCK_COMPRESS), ==, 0);
    memcpy(i->model + at, buf, n);
}

static void step(Image *i, GRand *rand, uint8_t *buf)
{
    uint64_t offset, bytes;
    int op = g_rand_int_range(rand, 0, 100);
    unsigned unmap = g_rand_boolean(rand) ? BLOCK_MAY_UNMAP : 0;

    range(i, rand, &offset, &bytes);
    if (op < 2 && i->kind->luks && !i->kind->no_snapshots) {
        /* a machine's state, in any lengths */
        const BlockSnapshotOps *ops = block_driver_find(NULL, "qcow2")->snapshots;
        g_autofree uint8_t *back = g_malloc(bytes);
        fill(rand, buf, bytes);
        g_assert_cmpint(ops->write_state(i->node, offset, &(struct iovec){ buf, bytes }, 1), ==, 0);
        g_assert_cmpint(ops->read_state(i->node, offset, &(struct iovec){ back, bytes }, 1), ==, 0);
        g_assert_cmpmem(back, bytes, buf, bytes);
    } else if (op < 25) {
        memset(buf, 0xa5, bytes);
        g_assert_cmpint(block_read(i->user, offset, buf, bytes), ==, 0);
        compare(buf, i->model + offset, bytes);
    } else if (op < 60) {
        fill(rand, buf, bytes);
        g_assert_cmpint(block_write(i->user, offset, buf, bytes, 0), ==, 0);
        memcpy(i->model + offset, buf, bytes);
    } else if (op < 70) {
        g_assert_cmpint(block_zero(i->user, offset, bytes, unmap), ==, 0);
        memset(i->model + offset, 0, bytes);
    } else if (op < 78) {
        g_assert_cmpint(block_discard(i->user, offset, bytes), ==, 0);
        g_assert_cmpint(block_read(i->user, 0, i->model, i->size), ==, 0);
    } else if (op < 85) {
        do_packed(i, rand, buf, offset);
    } else if (op < 92) {
        do_snapshot(i, rand);
    } else if (op < 94) {
        do_resize(i, rand);
    } else if (op < 97) {
        g_assert_cmpint(block_flush(i->user), ==, 0);
    } else {
        image_close(i);
        image_check(i);
        image_open(i);
    }
}

static void test_steps(gconstpointer p)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed((guint32)parse_env("TEST_SEED", 1));
    g_autofree uint8_t *buf = g_malloc(4 << 20);
    Image i;

    set_up(&i, p);
    for (uint64_t n = 0, ops = parse_env("TEST_OPS", 250); n < ops; n++)
        step(&i, rand, buf);
    g_autofree uint8_t *all = g_malloc(i.size);
    g_assert_cmpint(block_read(i.user, 0, all, i.size), ==, 0);
    compare(all, i.model, i.size);
    tear_down(&i);
}

/* ---- many writers in one cluster ----------------------------------------- */

typedef struct {
    Image *image;
    unsigned lane, lanes;
} Lane;

/* Each has every so many-th piece of 4 KiB for itself. */
static void *write_lane(void *p)
{
    const Lane *l = p;
    g_autoptr(GRand) rand = g_rand_new_with_seed(l->lane);
    uint8_t buf[4096];

    for (unsigned n = 0; n < 300; n++) {
        uint64_t piece = (uint64_t)g_rand_int_range(rand, 0, (int)(SIZE / 4096 / l->lanes)) * l->lanes + l->lane;
        uint64_t at = piece * 4096;
        int op = g_rand_int_range(rand, 0, 10);
        if (op < 6) {
            fill(rand, buf, sizeof buf);
            g_assert_cmpint(block_write(l->image->user, at, buf, sizeof buf, 0), ==, 0);
            memcpy(l->image->model + at, buf, sizeof buf);
        } else if (op < 8) {
            g_assert_cmpint(block_zero(l->image->user, at, sizeof buf, BLOCK_MAY_UNMAP), ==, 0);
            memset(l->image->model + at, 0, sizeof buf);
        } else if (op < 9) {
            g_assert_cmpint(block_read(l->image->user, at, buf, sizeof buf), ==, 0);
            compare(buf, l->image->model + at, sizeof buf);
        } else if (!(n % 8)) {
            g_assert_cmpint(block_flush(l->image->user), ==, 0);
        }
    }
    return NULL;
}

static void test_lanes(gconstpointer p)
{
    enum { LANES = 6 };
    pthread_t threads[LANES];
    Lane lanes[LANES];
    Image i;

    set_up(&i, p);
    for (unsigned n = 0; n < LANES; n++) {
        lanes[n] = (Lane){ &i, n, LANES };
        pthread_create(&threads[n], NULL, write_lane, &lanes[n]);
    }
    for (unsigned n = 0; n < LANES; n++)
        pthread_join(threads[n], NULL);
    tear_down(&i);
}

/* ---- zeroes over the border of two clusters, with none of them whole ------ */

static void test_border(gconstpointer p)
{
    Image i;

    set_up(&i, p);
    uint64_t cluster = block_advice(i.user).optimal, half = cluster / 2;
    g_autofree uint8_t *buf = g_malloc(cluster);
    memset(buf, 7, cluster);
    g_assert_cmpint(block_zero(i.user, 0, cluster, 0), ==, 0);
    g_assert_cmpint(block_write(i.user, cluster, buf, cluster, 0), ==, 0);
    g_assert_cmpint(block_zero(i.user, half, cluster, 0), ==, 0);
    memset(i.model, 0, 2 * cluster);
    memcpy(i.model + cluster + half, buf, half);
    tear_down(&i);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        g_autofree char *steps = g_strdup_printf("/block/qcow2/steps/%s", kinds[i].name);
        g_autofree char *lanes = g_strdup_printf("/block/qcow2/lanes/%s", kinds[i].name);
        g_autofree char *border = g_strdup_printf("/block/qcow2/border/%s", kinds[i].name);
        g_test_add_data_func(steps, &kinds[i], test_steps);
        g_test_add_data_func(border, &kinds[i], test_border);
        g_test_add_data_func(lanes, &kinds[i], test_lanes);
    }
    return g_test_run();
}
