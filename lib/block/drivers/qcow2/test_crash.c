/* SPDX-License-Identifier: MIT */
/*
 * Power cuts. The image lies on a disk in memory that, when the power goes, keeps what was flushed and
 * any part of what was written since. Afterwards qemu-img may find leaks but no damage, and each
 * sector must hold what was last flushed or something written after that. TEST_SEED and TEST_OPS
 * (cuts) change the run.
 */
#include "block/driver.h"
#include "block/drivers/qcow2/test_stamps.h"
#include "block/image.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <json-c/json.h>
#include <pthread.h>
#include <string.h>

enum { SECTORS = 6144, LARGEST = 64 << 20 };

/* ---- a disk that forgets ------------------------------------------------- */

typedef struct {
    uint64_t offset, bytes;
    uint8_t *data;
} Pending;

typedef struct {
    uint8_t *now, *stable;
    uint64_t now_size, stable_size;
    GArray *pending; /* of Pending, oldest first */
    pthread_mutex_t lock;
} Memory;

/* Drivers find their disk by this: one test at a time. */
static Memory *disk;

static int memory_read(BlockNode *node, uint64_t offset, uint64_t bytes, const struct iovec *iov, int iovcnt)
{
    pthread_mutex_lock(&disk->lock);
    for (int i = 0; i < iovcnt; offset += iov[i].iov_len, i++)
        memcpy(iov[i].iov_base, disk->now + offset, iov[i].iov_len);
    pthread_mutex_unlock(&disk->lock);
    return 0;
}

static int memory_write(BlockNode *node, uint64_t offset, uint64_t bytes, const struct iovec *iov, int iovcnt,
                        unsigned flags)
{
    if (offset + bytes > LARGEST)
        return -ENOSPC;
    pthread_mutex_lock(&disk->lock);
    Pending p = { offset, bytes, g_malloc(bytes) };
    uint8_t *to = p.data;
    for (int i = 0; i < iovcnt; to += iov[i].iov_len, i++)
        memcpy(to, iov[i].iov_base, iov[i].iov_len);
    memcpy(disk->now + offset, p.data, bytes);
    disk->now_size = MAX(disk->now_size, offset + bytes);
    g_array_append_val(disk->pending, p);
    pthread_mutex_unlock(&disk->lock);
    return 0;
}

static void forget_pending(void)
{
    for (unsigned i = 0; i < disk->pending->len; i++)
        g_free(g_array_index(disk->pending, Pending, i).data);
    g_array_set_size(disk->pending, 0);
}

static int memory_flush(BlockNode *node)
{
    pthread_mutex_lock(&disk->lock);
    for (unsigned i = 0; i < disk->pending->len; i++) {
        const Pending *p = &g_array_index(disk->pending, Pending, i);
        memcpy(disk->stable + p->offset, p->data, p->bytes);
    }
    disk->stable_size = disk->now_size;
    forget_pending();
    pthread_mutex_unlock(&disk->lock);
    return 0;
}

static int64_t memory_length(BlockNode *node)
{
    return (int64_t)disk->now_size;
}

static bool memory_resize(BlockNode *node, uint64_t size, BlockPrealloc prealloc, GError **error)
{
    disk->now_size = MAX(size, disk->now_size);
    return true;
}

static const BlockDriver memory_driver = {
    .name = "memory", .summary = "for this test", .size = 1, .protocol = true, .length = memory_length,
    .resize = memory_resize, .read = memory_read, .write = memory_write, .flush = memory_flush,
};

static void disk_new(void)
{
    disk = g_new0(Memory, 1);
    disk->now = g_malloc0(LARGEST);
    disk->stable = g_malloc0(LARGEST);
    disk->pending = g_array_new(FALSE, FALSE, sizeof(Pending));
    pthread_mutex_init(&disk->lock, NULL);
}

static void disk_free(void)
{
    forget_pending();
    g_array_unref(disk->pending);
    g_free(disk->now);
    g_free(disk->stable);
    g_free(disk);
}

/* Sectors of what was not flushed, each kept or not. */
static void cut_power(GRand *rand)
{
    unsigned odds = (unsigned)g_rand_int_range(rand, 0, 5);

    for (unsigned i = 0; i < disk->pending->len; i++) {
        const Pending *p = &g_array_index(disk->pending, Pending, i);
        bool whole = g_rand_boolean(rand), keep = (unsigned)g_rand_int_range(rand, 0, 4) < odds;
        for (uint64_t at = 0, n; at < p->bytes; at += n) {
            n = MIN(512 - ((p->offset + at) & 511), p->bytes - at);
            if (!whole)
                keep = (unsigned)g_rand_int_range(rand, 0, 4) < odds;
            if (!keep)
                continue;
            memcpy(disk->stable + p->offset + at, p->data + at, n);
            disk->stable_size = MAX(disk->stable_size, p->offset + at + n);
        }
    }
    memcpy(disk->now, disk->stable, LARGEST);
    disk->now_size = disk->stable_size;
    forget_pending();
}

/* ---- the image -------------------------------------------------------------- */

typedef struct {
    GRand *rand;
    char *dir, *file;
    BlockGraph *graph;
    BlockNode *node;
    BlockUser *user;
    Sector sectors[SECTORS];
    uint64_t version;
    unsigned snapshots;
} World;

static BlockNode *open_node(BlockGraph *graph, const char *driver, unsigned flags)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text = g_strdup_printf("driver=%s%s", driver, strcmp(driver, "memory") ? ",file.driver=memory" : "");
    struct json_object *o = block_options_parse(text, NULL, &error);
    BlockNode *node = block_open(graph, o, flags, &error);

    g_assert_no_error(error);
    json_object_put(o);
    return node;
}

static void warn(void *opaque, const char *text)
{
    g_test_message("%s", text);
}

static void switch_on(World *w)
{
    g_autoptr(GError) error = NULL;

    w->graph = block_graph_new();
    block_graph_on_warning(w->graph, warn, NULL);
    block_graph_add_driver(w->graph, &memory_driver);
    w->node = open_node(w->graph, "qcow2", BLOCK_OPEN_UNMAP);
    w->user = block_attach(w->node, &(BlockAttach){ .name = "test", .perm = BLOCK_PERM_RW,
                                                    .shared = BLOCK_SHARE_DEFAULT }, &error);
    g_assert_no_error(error);
}

/* What closing writes is lost with the rest. */
static void switch_off(World *w)
{
    block_detach(w->user);
    block_node_unref(w->node);
    block_graph_free(w->graph);
}

static void save(const World *w)
{
    g_assert_true(g_file_set_contents(w->file, (char *)disk->stable, (gssize)disk->stable_size, NULL));
}

/* qemu-img CHECK FILE: its status, and what it said. */
static int run_check(const World *w, const char *options, char **out)
{
    g_autofree char *command = g_strdup_printf("qemu-img check -f qcow2 %s %s", options, w->file);
    int status;

    /* what it found goes to stderr */
    g_assert_true(g_spawn_command_line_sync(command, NULL, out, &status, NULL));
    return status >> 8;
}

static void check_image(World *w, bool lazy)
{
    g_autofree char *out = NULL, *again = NULL;
    int status = run_check(w, "", &out);

    findings_are_harmless(out, lazy, UINT64_C(1) << ld_be32(disk->stable + 20));
    if (!status || status == 3)
        return;
    g_free(g_steal_pointer(&out));
    status = run_check(w, "-r all", &out);
    if (status || run_check(w, "", &again))
        g_error("not mended: %s", out);
    gsize len;
    g_autofree char *contents = NULL;
    g_assert_true(g_file_get_contents(w->file, &contents, &len, NULL));
    memcpy(disk->stable, contents, len);
    memcpy(disk->now, contents, len);
    disk->stable_size = disk->now_size = len;
}

/* ---- steps --------------------------------------------------------------------- */

static void snapshot_step(World *w)
{
    g_autoptr(GError) error = NULL;
    BlockSnapshot s = { .name = (char *)(uintptr_t)"s", .icount = -1 };

    if (w->snapshots < 3 && g_rand_boolean(w->rand)) {
        block_snapshot_take(w->node, &s, &error);
        w->snapshots++;
    } else if (w->snapshots) {
        block_snapshot_drop(w->node, "s", &error);
        w->snapshots--;
    }
    g_assert_no_error(error);
    g_free(s.id);
}

static void step(World *w, uint8_t *buf)
{
    uint64_t first = (uint64_t)g_rand_int_range(w->rand, 0, SECTORS);
    uint64_t n = (uint64_t)g_rand_int_range(w->rand, 1, g_rand_int_range(w->rand, 0, 4) ? 16 : 400);
    int op = g_rand_int_range(w->rand, 0, 100);

    n = MIN(n, SECTORS - first);
    if (op < 60) {
        stamps_write(w->sectors, first, n, ++w->version, buf);
        g_assert_cmpint(block_write(w->user, first * 512, buf, n * 512, 0), ==, 0);
    } else if (op < 70) {
        stamps_zero(w->sectors, first, n);
        g_assert_cmpint(block_zero(w->user, first * 512, n * 512, op & 1 ? BLOCK_MAY_UNMAP : 0), ==, 0);
    } else if (op < 76) {
        stamps_discard(w->sectors, first, n);
        g_assert_cmpint(block_discard(w->user, first * 512, n * 512), ==, 0);
    } else if (op < 80) {
        snapshot_step(w);
    } else {
        g_assert_cmpint(block_flush(w->user), ==, 0);
        stamps_settle(w->sectors, SECTORS);
    }
}

/* Snapshots that a cut took with it. */
static void count_snapshots(World *w)
{
    GArray *list = block_snapshot_list(w->node, NULL);

    w->snapshots = list->len;
    g_array_unref(list);
}

static void test_cuts(gconstpointer options)
{
    const char *seed = g_getenv("TEST_SEED"), *ops = g_getenv("TEST_OPS");
    World *w = g_new0(World, 1);
    g_autofree uint8_t *buf = g_malloc(512 * 512);
    g_autofree char *contents = NULL;
    gsize len;
    int status;

    w->rand = g_rand_new_with_seed(seed ? (guint32)atoi(seed) : 1);
    w->dir = g_dir_make_tmp("lathe-cut-XXXXXX", NULL);
    w->file = g_build_filename(w->dir, "disk.qcow2", NULL);
    g_autofree char *make = g_strdup_printf("qemu-img create -q -f qcow2 -o %s %s %u", (const char *)options, w->file,
                                            SECTORS * 512);
    g_assert_true(g_spawn_command_line_sync(make, NULL, NULL, &status, NULL) && !status);
    g_assert_true(g_file_get_contents(w->file, &contents, &len, NULL));
    disk_new();
    memcpy(disk->now, contents, len);
    memcpy(disk->stable, contents, len);
    disk->now_size = disk->stable_size = len;
    for (int cut = 0, cuts = ops ? atoi(ops) : 12; cut < cuts; cut++) {
        switch_on(w);
        count_snapshots(w);
        stamps_check(w->user, w->sectors, SECTORS);
        for (int n = g_rand_int_range(w->rand, 1, 60); n; n--)
            step(w, buf);
        cut_power(w->rand);
        save(w);
        /* what the node still writes goes nowhere */
        Memory *kept = disk;
        disk_new();
        memcpy(disk->now, kept->now, LARGEST);
        disk->now_size = kept->now_size;
        switch_off(w);
        disk_free();
        disk = kept;
        /* every other time it is this driver that mends what lazy counts left */
        bool lazy = strstr(options, "lazy");
        if (!lazy || cut % 2)
            check_image(w, lazy);
    }
    disk_free();
    g_unlink(w->file);
    g_rmdir(w->dir);
    g_free(w->file);
    g_free(w->dir);
    g_rand_free(w->rand);
    g_free(w);
}

int main(int argc, char **argv)
{
    static const char *const kinds[] = { "cluster_size=65536", "cluster_size=4096", "cluster_size=512", "extended_l2=on",
                                         "lazy_refcounts=on", "refcount_bits=8,cluster_size=1024", "compat=0.10" };

    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++) {
        g_autofree char *path = g_strdup_printf("/block/qcow2/power/%s", kinds[i]);
        g_test_add_data_func(path, kinds[i], test_cuts);
    }
    return g_test_run();
}
