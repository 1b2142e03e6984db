/* SPDX-License-Identifier: MIT */
/*
 * qcow2 images whose way of being open changes: what was left undone is mended before the first write,
 * bitmaps are marked as in use while it lasts, and a read-only image is a closed one. qemu-img says
 * what the image is at each point.
 */
#include "block/bitmap.h"
#include "block/image.h"

#include <errno.h>
#include <json-c/json.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct {
    char *dir, *file;
    BlockGraph *graph;
    BlockNode *node;
} Place;

static char *said(bool may_fail, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
static char *said(bool may_fail, const char *fmt, ...)
{
    va_list ap;
    int status;
    char *out = NULL;
    g_autofree char *err = NULL;

    va_start(ap, fmt);
    g_autofree char *command = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    g_assert_true(g_spawn_command_line_sync(command, &out, &err, &status, NULL));
    if (status && !may_fail)
        g_error("%s: status %d\n%s%s", command, status, out, err);
    return out;
}

/* Opens the image as options has it; %s there is its name. */
static void place_open(Place *p, const char *options, unsigned flags)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GString) text = g_string_new(options);

    g_string_replace(text, "%s", p->file, 0);
    p->graph = block_graph_new();
    struct json_object *o = block_options_parse(text->str, "driver", &error);
    g_assert_no_error(error);
    p->node = block_open(p->graph, o, flags, &error);
    g_assert_no_error(error);
    json_object_put(o);
}

static void place_close(Place *p)
{
    g_clear_pointer(&p->node, block_node_unref);
    block_graph_free(p->graph);
}

static void place_init(Place *p, const char *create)
{
    p->dir = g_dir_make_tmp("lathe-reopen-XXXXXX", NULL);
    p->file = g_build_filename(p->dir, "disk.qcow2", NULL);
    g_free(said(false, "qemu-img create -q -f qcow2 %s %s 4M", create, p->file));
}

static void place_clear(Place *p)
{
    place_close(p);
    g_free(said(false, "qemu-img check -q %s", p->file));
    g_free(said(false, "rm -r %s", p->dir));
    g_free(p->dir);
    g_free(p->file);
}

static BlockUser *writer(Place *p)
{
    g_autoptr(GError) error = NULL;
    BlockUser *user = block_attach(p->node, &(BlockAttach){ .name = "guest", .perm = BLOCK_PERM_RW,
                                                            .shared = BLOCK_SHARE_DEFAULT }, &error);

    g_assert_no_error(error);
    return user;
}

static void reopen(Place *p, unsigned flags)
{
    g_autoptr(GError) error = NULL;

    block_node_reopen(p->node, flags, &error);
    g_assert_no_error(error);
    for (BlockNode *n = p->node; n; n = block_file_node(n))
        g_assert_cmpint(block_node_read_only(n), ==, (flags & BLOCK_OPEN_READ_ONLY) != 0);
}

static void write_at(BlockUser *user, uint64_t offset, int byte)
{
    uint8_t buf[3000];

    memset(buf, byte, sizeof buf);
    g_assert_cmpint(block_write(user, offset, buf, sizeof buf, 0), ==, 0);
}

static void holds(const Place *p, uint64_t offset, int byte)
{
    g_autofree char *out = said(false, "qemu-io -f qcow2 -r -U -c 'read -P %d %" G_GUINT64_FORMAT " 3000' %s", byte,
                                offset, p->file);
    g_assert_null(strstr(out, "verification failed"));
}

/* ---- lazy counts ------------------------------------------------------------ */

/* An image that somebody was killed over, with counts that were never written. */
static void leave_dirty(Place *p)
{
    pid_t pid = fork();

    if (!pid) {
        place_open(p, "driver=qcow2,file.filename=%s", 0);
        BlockUser *user = writer(p);
        write_at(user, 0, 1);
        block_flush(user);
        write_at(user, 1 << 20, 2);
        kill(getpid(), SIGKILL);
    }
    int status;
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_true(WIFSIGNALED(status));
}

static void test_dirty(void)
{
    Place p;

    place_init(&p, "-o lazy_refcounts=on");
    leave_dirty(&p);
    place_open(&p, "driver=qcow2,file.filename=%s", BLOCK_OPEN_READ_ONLY);
    g_assert_true(block_is_unclean(p.node));
    reopen(&p, 0);
    /* were the counts still wrong, this would go where data is */
    BlockUser *user = writer(&p);
    for (uint64_t at = 2 << 20; at < 4 << 20; at += 65536)
        write_at(user, at, 3);
    g_assert_true(block_is_unclean(p.node));
    block_detach(user);
    reopen(&p, BLOCK_OPEN_READ_ONLY);
    g_assert_false(block_is_unclean(p.node));
    g_free(said(false, "qemu-img check -q -U %s", p.file));
    holds(&p, 0, 1);
    holds(&p, 2 << 20, 3);
    place_clear(&p);
}

/* ---- bitmaps ------------------------------------------------------------------ */

static bool in_use(const Place *p)
{
    g_autofree char *out = said(false, "qemu-img info -U %s", p->file);

    g_assert_nonnull(strstr(out, "name: b"));
    return strstr(out, "in-use") != NULL;
}

static void test_bitmaps(void)
{
    g_autoptr(GError) error = NULL;
    bool dirty;
    Place p;

    place_init(&p, "");
    g_free(said(false, "qemu-img bitmap --add -g 64k %s b", p.file));
    place_open(&p, "driver=qcow2,file.filename=%s", BLOCK_OPEN_READ_ONLY);
    g_assert_false(in_use(&p));
    for (int round = 0; round < 2; round++) {
        reopen(&p, 0);
        g_assert_true(in_use(&p));
        reopen(&p, BLOCK_OPEN_DIRECT);
        BlockUser *user = writer(&p);
        write_at(user, (uint64_t)(1 + round) << 20, 4);
        block_detach(user);
        g_assert_true(in_use(&p));
        reopen(&p, BLOCK_OPEN_READ_ONLY);
        g_assert_false(in_use(&p));
    }
    place_close(&p);
    place_open(&p, "driver=qcow2,file.filename=%s", BLOCK_OPEN_READ_ONLY);
    BlockBitmap *b = block_bitmap_find(p.node, "b");
    g_assert_nonnull(b);
    g_assert_false(block_bitmap_inconsistent(b));
    g_assert_cmpuint(block_bitmap_run(b, 0, 4 << 20, &dirty), ==, 1 << 20);
    g_assert_cmpuint(block_bitmap_run(b, 1 << 20, 4 << 20, &dirty), ==, 65536);
    g_assert_true(dirty);
    g_assert_cmpuint(block_bitmap_run(b, 2 << 20, 4 << 20, &dirty), ==, 65536);
    g_assert_true(dirty);
    place_clear(&p);
}

/* ---- failures ------------------------------------------------------------------ */

static void test_failures(void)
{
    g_autoptr(GError) error = NULL;
    Place p;

    place_init(&p, "");
    g_free(said(false, "qemu-img bitmap --add %s b", p.file));
    place_open(&p, "driver=qcow2,file.driver=blkdebug,file.image.driver=file,file.image.filename=%s,"
                   "file.inject-error.0.event=write_aio,file.inject-error.0.once=on,"
                   "file.inject-error.0.iotype=write", BLOCK_OPEN_READ_ONLY);
    /* the bitmap cannot be marked: all stays as it was, down to the file */
    g_assert_false(block_node_reopen(p.node, 0, &error));
    g_assert_nonnull(strstr(error->message, "Input/output error"));
    g_clear_error(&error);
    for (BlockNode *n = p.node; n; n = block_file_node(n))
        g_assert_true(block_node_read_only(n));
    /* nor is another reader kept out by what was tried */
    g_free(said(false, "qemu-img check -q %s", p.file));
    place_close(&p);

    place_open(&p, "driver=qcow2,file.filename=%s", 0);
    BlockUser *user = writer(&p);
    write_at(user, 0, 5);
    /* who writes is named, and goes on */
    g_assert_false(block_node_reopen(p.node, BLOCK_OPEN_READ_ONLY, &error));
    g_assert_nonnull(strstr(error->message, "guest writes to it"));
    g_clear_error(&error);
    write_at(user, 65536, 6);
    block_detach(user);
    reopen(&p, BLOCK_OPEN_READ_ONLY);
    holds(&p, 0, 5);
    holds(&p, 65536, 6);
    place_clear(&p);
}

/* A failed flush keeps an image writable: there is something that is not on disk. */
static void test_failed_flush(void)
{
    g_autoptr(GError) error = NULL;
    Place p;

    place_init(&p, "");
    place_open(&p, "driver=qcow2,file.driver=blkdebug,file.image.driver=file,file.image.filename=%s,"
                   "file.inject-error.0.event=flush_to_disk,file.inject-error.0.once=on,"
                   "file.inject-error.0.iotype=flush", 0);
    BlockUser *user = writer(&p);
    write_at(user, 0, 5);
    block_detach(user);
    g_assert_false(block_node_reopen(p.node, BLOCK_OPEN_READ_ONLY, &error));
    g_assert_nonnull(strstr(error->message, "Input/output error"));
    for (BlockNode *n = p.node; n; n = block_file_node(n))
        g_assert_false(block_node_read_only(n));
    user = writer(&p);
    write_at(user, 65536, 6);
    block_detach(user);
    reopen(&p, BLOCK_OPEN_READ_ONLY);
    holds(&p, 0, 5);
    holds(&p, 65536, 6);
    place_clear(&p);
}

/* Another process that reads and lets nobody write is named. */
static void test_conflict(void)
{
    g_autoptr(GError) error = NULL;
    Place p;
    int to[2], from[2], status;
    char c;

    place_init(&p, "");
    g_assert_cmpint(pipe(to) | pipe(from), ==, 0);
    pid_t pid = fork();
    if (!pid) {
        close(to[1]);
        place_open(&p, "driver=qcow2,file.filename=%s", BLOCK_OPEN_READ_ONLY);
        BlockUser *user = block_attach(p.node, &(BlockAttach){ .name = "other", .perm = BLOCK_PERM_READ,
                                                               .shared = BLOCK_SHARE_DEFAULT }, NULL);
        if (!user || write(from[1], "x", 1) != 1 || read(to[0], &c, 1))
            _exit(1);
        _exit(0);
    }
    close(to[0]);
    g_assert_cmpint(read(from[0], &c, 1), ==, 1);
    place_open(&p, "driver=qcow2,file.filename=%s", BLOCK_OPEN_READ_ONLY);
    g_assert_false(block_node_reopen(p.node, 0, &error));
    g_autofree char *who = g_strdup_printf("in use by block_drivers_q (pid %d)", (int)pid);
    g_assert_nonnull(strstr(error->message, who));
    close(to[1]);
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_cmpint(status, ==, 0);
    close(from[0]);
    close(from[1]);
    reopen(&p, 0);
    place_clear(&p);
}

static void test_modes(void)
{
    static const unsigned modes[] = { 0, BLOCK_OPEN_DIRECT, BLOCK_OPEN_NO_FLUSH,
                                      BLOCK_OPEN_DIRECT | BLOCK_OPEN_NO_FLUSH, BLOCK_OPEN_UNMAP, 0 };
    Place p;

    place_init(&p, "");
    place_open(&p, "driver=qcow2,file.filename=%s", 0);
    BlockUser *user = writer(&p);
    for (unsigned i = 0; i < G_N_ELEMENTS(modes); i++) {
        g_assert_true(block_node_reopen(p.node, modes[i], NULL));
        g_assert_cmpint(block_node_read_only(p.node), ==, false);
        write_at(user, i << 17, (int)i + 1);
        write_at(user, (i << 17) + 77777, (int)i + 1);
    }
    block_detach(user);
    place_close(&p);
    for (unsigned i = 0; i < G_N_ELEMENTS(modes); i++) {
        holds(&p, i << 17, (int)i + 1);
        holds(&p, (i << 17) + 77777, (int)i + 1);
    }
    place_open(&p, "driver=qcow2,file.filename=%s", BLOCK_OPEN_READ_ONLY);
    place_clear(&p);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/block/qcow2/reopen/dirty", test_dirty);
    g_test_add_func("/block/qcow2/reopen/conflict", test_conflict);
    g_test_add_func("/block/qcow2/reopen/bitmaps", test_bitmaps);
    g_test_add_func("/block/qcow2/reopen/failures", test_failures);
    g_test_add_func("/block/qcow2/reopen/failed-flush", test_failed_flush);
    g_test_add_func("/block/qcow2/reopen/modes", test_modes);
    return g_test_run();
}
