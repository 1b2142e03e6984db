/* SPDX-License-Identifier: MIT */
/*
 * What each filter is for: errors where blkdebug is told, the view of copy-before-write against a
 * copy taken at the moment, layers filled by copy-on-read, clusters packed by compress, a log that
 * gives the disk again, votes, rates. Random operations through all of them are in test_io.c.
 */
#include "block/driver.h"

#include "base/bytes.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <json-c/json.h>
#include <string.h>
#include <sys/stat.h>

#define SIZE ((uint64_t)2 << 20)

typedef struct {
    BlockGraph *graph;
    char *dir;
    uint8_t *data; /* of file a */
} Place;

static void place_make(Place *p)
{
    static const char *const files[] = { "a", "b", "c" };

    p->graph = block_graph_new();
    p->dir = g_dir_make_tmp("lathe-filters-XXXXXX", NULL);
    p->data = g_malloc(SIZE);
    for (uint64_t i = 0; i < SIZE; i++)
        p->data[i] = (uint8_t)(i / 5 + i / 4096 + 1);
    for (unsigned i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autofree char *file = g_build_filename(p->dir, files[i], NULL);
        g_assert_true(g_file_set_contents(file, (char *)p->data, SIZE, NULL));
    }
}

static void place_clear(Place *p)
{
    const char *name;

    block_graph_free(p->graph);
    GDir *dir = g_dir_open(p->dir, 0, NULL);
    while ((name = g_dir_read_name(dir))) {
        g_autofree char *file = g_build_filename(p->dir, name, NULL);
        g_unlink(file);
    }
    g_dir_close(dir);
    g_rmdir(p->dir);
    g_free(p->dir);
    g_free(p->data);
}

/* Each @ in text is the folder. */
static BlockNode *open_node(Place *p, const char *text, GError **error)
{
    g_autoptr(GString) s = g_string_new(text);

    g_string_replace(s, "@", p->dir, 0);
    struct json_object *options = block_options_parse(s->str, NULL, error);
    if (!options)
        return NULL;
    BlockNode *node = block_open(p->graph, options, 0, error);
    json_object_put(options);
    return node;
}

static BlockUser *use(BlockNode *node, unsigned perm)
{
    g_autoptr(GError) error = NULL;
    BlockUser *user = block_attach(node, &(BlockAttach){ .name = "test", .perm = perm,
                                                         .shared = BLOCK_SHARE_ALL }, &error);
    g_assert_no_error(error);
    return user;
}

static BlockUser *open_user(Place *p, const char *text)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(BlockNode) node = open_node(p, text, &error);
    g_assert_no_error(error);
    return use(node, BLOCK_PERM_RW);
}

static void create_qcow2(Place *p, const char *name, const char *backing)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GString) s = g_string_new(NULL);

    g_string_printf(s, "size=2M,filename=%s/%s", p->dir, name);
    if (backing)
        g_string_append_printf(s, ",backing_file=%s/%s,backing_fmt=raw", p->dir, backing);
    struct json_object *options = block_options_parse(s->str, NULL, &error);
    g_assert_no_error(error);
    g_assert_true(block_create(p->graph, "qcow2", options, &error));
    json_object_put(options);
}

static void refuse(Place *p, const char *text, const char *why)
{
    g_autoptr(GError) error = NULL;
    BlockNode *node = open_node(p, text, &error);

    g_assert_null(node);
    g_assert_nonnull(strstr(error->message, why));
}

/* ---- blkdebug ------------------------------------------------------------ */

#define DEBUG "driver=blkdebug,discard=unmap,image.driver=file,image.filename=@/a,"

static int try_op(Place *p, const char *rules, BlockOp op, uint64_t offset)
{
    g_autofree char *text = g_strconcat(DEBUG, rules, NULL);
    g_autoptr(BlockUser) user = open_user(p, text);
    uint8_t buf[4096] = { 0 };

    if (op == BLOCK_READ)
        return block_read(user, offset, buf, sizeof buf);
    if (op == BLOCK_WRITE)
        return block_write(user, offset, buf, sizeof buf, 0);
    if (op == BLOCK_FLUSH)
        return block_flush(user);
    return block_run(user, op, 0, offset, sizeof buf, NULL, 0);
}

static void test_blkdebug(void)
{
    Place p;
    uint8_t buf[8192];

    place_make(&p);
#define R "inject-error.0."
    g_assert_cmpint(try_op(&p, R "event=none", BLOCK_READ, 0), ==, -EIO);
    g_assert_cmpint(try_op(&p, R "event=none," R "errno=28", BLOCK_WRITE, 0), ==, -ENOSPC);
    g_assert_cmpint(try_op(&p, R "event=none," R "iotype=write", BLOCK_READ, 0), ==, 0);
    g_assert_cmpint(try_op(&p, R "event=none," R "iotype=discard", BLOCK_DISCARD, 0), ==, -EIO);
    g_assert_cmpint(try_op(&p, R "event=none," R "iotype=write-zeroes", BLOCK_ZERO, 0), ==, -EIO);
    g_assert_cmpint(try_op(&p, R "event=read_aio," R "sector=8", BLOCK_READ, 0), ==, 0);
    g_assert_cmpint(try_op(&p, R "event=read_aio," R "sector=8", BLOCK_READ, 4096), ==, -EIO);
    g_assert_cmpint(try_op(&p, R "event=write_aio", BLOCK_WRITE, 0), ==, -EIO);
    g_assert_cmpint(try_op(&p, R "event=write_aio", BLOCK_READ, 0), ==, 0);
    g_assert_cmpint(try_op(&p, R "event=flush_to_disk", BLOCK_FLUSH, 0), ==, -EIO);
    /* once, and states: the second read sets 2, in which writes fail */
    BlockUser *user = open_user(&p, DEBUG R "event=read_aio," R "once=on,"
                                    "set-state.0.event=read_aio,set-state.0.state=1,"
                                    "set-state.0.new_state=2,inject-error.1.event=write_aio,"
                                    "inject-error.1.state=2,inject-error.1.errno=28");
    g_assert_cmpint(block_write(user, 0, p.data, 512, 0), ==, 0);
    g_assert_cmpint(block_read(user, 0, buf, 512), ==, -EIO);
    g_assert_cmpint(block_read(user, 0, buf, 512), ==, 0);
    g_assert_cmpint(block_write(user, 0, p.data, 512, 0), ==, -ENOSPC);
    block_detach(user);
    /* a list in JSON, and a file */
    user = open_user(&p, "{\"driver\":\"blkdebug\",\"image\":{\"driver\":\"file\",\"filename\":"
                         "\"@/a\"},\"inject-error\":[{\"event\":\"none\",\"sector\":3,"
                         "\"errno\":61}]}");
    g_assert_cmpint(block_read(user, 1024, buf, 1024), ==, -ENODATA);
    g_assert_cmpint(block_read(user, 2048, buf, 1024), ==, 0);
    block_detach(user);
    g_autofree char *config = g_build_filename(p.dir, "config", NULL);
    g_assert_true(g_file_set_contents(config, "# two\n[set-state]\nevent = \"flush_to_disk\"\n"
                                      "new_state = \"5\"\n\n[inject-error]\nevent = \"read_aio\"\n"
                                      "state = \"5\"\nerrno = \"28\"\n", -1, NULL));
    user = open_user(&p, DEBUG "config=@/config");
    g_assert_cmpint(block_read(user, 0, buf, 512), ==, 0);
    g_assert_cmpint(block_flush(user), ==, 0);
    g_assert_cmpint(block_read(user, 0, buf, 512), ==, -ENOSPC);
    block_detach(user);
    refuse(&p, DEBUG R "event=nonsense", "inject-error.0");
    refuse(&p, DEBUG R "event=none," R "sektor=1", "did you mean");
    refuse(&p, DEBUG "align=3000", "power of two");
    place_clear(&p);
}

/* ---- copy-before-write, snapshot-access ---------------------------------- */

#define CBW "driver=copy-before-write,node-name=cbw,discard=unmap,file.driver=file," \
            "file.filename=@/a,file.node-name=a,target.driver=qcow2,target.file.driver=file," \
            "target.file.filename=@/t"
#define VIEW "driver=snapshot-access,discard=unmap,file=cbw"

static void check_view(BlockUser *view, const uint8_t *then, GRand *rand, uint8_t *buf)
{
    uint64_t at = (uint64_t)g_rand_int_range(rand, 0, (int)SIZE);
    uint64_t n = (uint64_t)g_rand_int_range(rand, 1, 300000);

    n = MIN(n, SIZE - at);
    g_assert_cmpint(block_read(view, at, buf, n), ==, 0);
    g_assert_cmpmem(buf, n, then + at, n);
}

static void test_view(void)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(3);
    g_autofree uint8_t *buf = g_malloc(SIZE), *now = g_malloc(SIZE);
    Place p;

    place_make(&p);
    create_qcow2(&p, "t", NULL);
    memcpy(now, p.data, SIZE);
    BlockUser *disk = open_user(&p, CBW), *view = open_user(&p, VIEW);
    for (int i = 0; i < 200; i++) {
        uint64_t at = (uint64_t)g_rand_int_range(rand, 0, (int)SIZE - 20000);
        uint64_t n = (uint64_t)g_rand_int_range(rand, 1, 20000);
        if (i % 5 == 4) {
            g_assert_cmpint(block_zero(disk, at, n, BLOCK_MAY_UNMAP), ==, 0);
            memset(now + at, 0, n);
        } else {
            memset(buf, i, n);
            g_assert_cmpint(block_write(disk, at, buf, n, 0), ==, 0);
            memset(now + at, i, n);
        }
        check_view(view, p.data, rand, buf);
    }
    g_assert_cmpint(block_read(view, 0, buf, SIZE), ==, 0);
    g_assert_cmpmem(buf, SIZE, p.data, SIZE);
    g_assert_cmpint(block_read(disk, 0, buf, SIZE), ==, 0);
    g_assert_cmpmem(buf, SIZE, now, SIZE);
    g_assert_cmpint(block_write(view, 0, buf, 512, 0), ==, -ENOTSUP);
    block_detach(view);
    block_detach(disk);
    place_clear(&p);
}

static uint64_t allocated(BlockUser *user)
{
    uint64_t sum = 0;

    for (uint64_t at = 0; at < SIZE;) {
        BlockExtent e;
        g_assert_cmpint(block_extents(user, at, SIZE - at, 0, &e, 1), ==, 1);
        sum += e.flags & BLOCK_EXTENT_ALLOCATED ? e.bytes : 0;
        at += e.bytes;
    }
    return sum;
}

/* What the view is done with cannot be read, and is not copied any more. */
static void test_done_with(void)
{
    g_autofree uint8_t *buf = g_malloc(SIZE);
    g_autoptr(GError) error = NULL;
    BlockExtent e;
    Place p;

    place_make(&p);
    create_qcow2(&p, "t", NULL);
    BlockNode *target = open_node(
        &p, "driver=qcow2,node-name=t,discard=unmap,file.driver=file,file.filename=@/t", &error);
    BlockUser *disk = open_user(&p, "driver=copy-before-write,node-name=cbw,discard=unmap,"
                                    "file.driver=file,file.filename=@/a,target=t");
    BlockUser *view = open_user(&p, VIEW), *look = use(target, BLOCK_PERM_READ);
    g_assert_cmpint(block_discard(view, 0, 65536), ==, 0);
    g_assert_cmpint(block_read(view, 0, buf, 512), ==, -EACCES);
    g_assert_cmpint(block_read(view, 65024, buf, 1024), ==, -EACCES);
    g_assert_cmpint(block_extents(view, 0, 4096, 0, &e, 1), ==, -EACCES);
    g_assert_cmpint(block_read(view, 65536, buf, 4096), ==, 0);
    g_assert_cmpmem(buf, 4096, p.data + 65536, 4096);
    g_assert_cmpint(block_write(disk, 0, buf, 4096, 0), ==, 0);
    g_assert_cmpuint(allocated(look), ==, 0);
    g_assert_cmpint(block_write(disk, 65536, buf, 512, 0), ==, 0);
    g_assert_cmpuint(allocated(look), ==, 65536);
    g_assert_cmpint(block_discard(view, 65536, 65536), ==, 0);
    g_assert_cmpint(block_read(view, 65536, buf, 512), ==, -EACCES);
    block_detach(look);
    block_detach(view);
    block_detach(disk);
    block_node_unref(target);
    place_clear(&p);
}

static void test_bitmap(void)
{
    g_autofree uint8_t *buf = g_malloc(SIZE);
    g_autoptr(GError) error = NULL;
    Place p;

    place_make(&p);
    BlockNode *a =
        open_node(&p, "driver=file,node-name=a,filename=@/a,discard=unmap", &error);
    BlockBitmap *b = block_bitmap_add(a, "dirty", 65536, false, &error);
    g_assert_no_error(error);
    block_bitmap_mark(b, 131072, 65536);
    BlockUser *disk = open_user(&p, "driver=copy-before-write,node-name=cbw,file=a,bitmap.node=a,"
                                    "bitmap.name=dirty,target.driver=file,target.filename=@/b");
    BlockUser *view = open_user(&p, VIEW);
    memset(buf, 9, SIZE);
    g_assert_cmpint(block_write(disk, 0, buf, SIZE, 0), ==, 0);
    g_assert_cmpint(block_read(view, 131072, buf, 65536), ==, 0);
    g_assert_cmpmem(buf, 65536, p.data + 131072, 65536);
    g_assert_cmpint(block_read(view, 131072, buf, 65537), ==, -EACCES);
    g_assert_cmpint(block_read(view, 0, buf, 512), ==, -EACCES);
    block_detach(view);
    block_detach(disk);
    refuse(&p, "driver=copy-before-write,file=a,bitmap.node=a,bitmap.name=no,target.driver=null-co",
           "no such bitmap");
    refuse(&p, "driver=snapshot-access,file=a", "copy-before-write");
    block_node_unref(a);
    place_clear(&p);
}

/* A copy that fails, and who is told. */
static void test_cbw_error(void)
{
    uint8_t buf[512] = { 0 };
    Place p;
    static const char base[] =
        "driver=copy-before-write,node-name=cbw,file.driver=file,file.filename=@/a,"
        "target.driver=blkdebug,target.inject-error.0.event=write_aio,target.image.driver=file,"
        "target.image.filename=@/b,on-cbw-error=%s";

    place_make(&p);
    for (int snapshot = 0; snapshot < 2; snapshot++) {
        g_autofree char *text =
            g_strdup_printf(base, snapshot ? "break-snapshot" : "break-guest-write");
        BlockUser *disk = open_user(&p, text), *view = open_user(&p, VIEW);
        g_assert_cmpint(block_write(disk, 0, buf, 512, 0), ==, snapshot ? 0 : -EIO);
        g_assert_cmpint(block_read(view, 0, buf, 512), ==, snapshot ? -EACCES : 0);
        block_detach(view);
        block_detach(disk);
    }
    place_clear(&p);
}

/* ---- layers and clusters ------------------------------------------------- */

#define LAYER "driver=copy-on-read,file.node-name=top,file.driver=qcow2,file.file.driver=file," \
              "file.file.filename=@/top"

static void test_copy_on_read(void)
{
    g_autofree uint8_t *buf = g_malloc(SIZE);
    g_autoptr(GError) error = NULL;
    Place p;

    place_make(&p);
    create_qcow2(&p, "top", "a");
    BlockUser *user = open_user(&p, LAYER), *top = use(block_find(p.graph, "top"), BLOCK_PERM_READ);
    BlockExtent e;
    g_assert_cmpint(block_read(user, 70000, buf, 10), ==, 0);
    g_assert_cmpmem(buf, 10, p.data + 70000, 10);
    g_assert_cmpint(block_extents(top, 0, SIZE, 0, &e, 1), ==, 1);
    g_assert_cmpuint(e.depth, ==, 1);
    g_assert_cmpuint(e.bytes, ==, 65536);
    g_assert_cmpint(block_extents(top, 65536, SIZE - 65536, 0, &e, 1), ==, 1);
    g_assert_cmpuint(e.depth, ==, 0);
    g_assert_cmpuint(e.bytes, ==, 65536);
    g_assert_cmpint(block_read(user, 0, buf, SIZE), ==, 0);
    g_assert_cmpmem(buf, SIZE, p.data, SIZE);
    g_assert_cmpint(block_extents(top, 0, SIZE, 0, &e, 1), ==, 1);
    g_assert_cmpuint(e.depth, ==, 0);
    block_detach(top);
    block_detach(user);
    refuse(&p, LAYER ",bottom=nobody", "not based on");
    refuse(&p, "driver=copy-on-read,file.read-only=on,file.driver=file,file.filename=@/a",
           "reading only");
    place_clear(&p);
}

static void test_compress(void)
{
    g_autofree uint8_t *buf = g_malloc0(SIZE), *model = g_malloc0(SIZE);
    g_autoptr(GRand) rand = g_rand_new_with_seed(5);
    BlockExtent e;
    Place p;

    place_make(&p);
    create_qcow2(&p, "top", NULL);
    BlockUser *user = open_user(&p, "driver=compress,file.driver=qcow2,file.file.driver=file,"
                                    "file.file.filename=@/top");
    for (int i = 0; i < 100; i++) {
        uint64_t at = (uint64_t)g_rand_int_range(rand, 0, (int)SIZE - 200000);
        uint64_t n = (uint64_t)g_rand_int_range(rand, 1, 200000);
        memset(model + at, i + 1, n);
        g_assert_cmpint(block_write(user, at, model + at, n, 0), ==, 0);
    }
    g_assert_cmpint(block_read(user, 0, buf, SIZE), ==, 0);
    g_assert_cmpmem(buf, SIZE, model, SIZE);
    g_assert_cmpint(block_extents(user, SIZE / 2, 65536, 0, &e, 1), ==, 1);
    g_assert_cmpuint(e.flags & BLOCK_EXTENT_COMPRESSED, ==, BLOCK_EXTENT_COMPRESSED);
    block_detach(user);
    refuse(&p, "driver=compress,file.driver=file,file.filename=@/a", "no compressed clusters");
    place_clear(&p);
}

/* A format above grows its file in steps, which are cut off in the end. */
static void test_preallocate(void)
{
    g_autofree uint8_t *buf = g_malloc0(SIZE);
    struct stat during, after;
    Place p;

    place_make(&p);
    create_qcow2(&p, "top", NULL);
    g_autofree char *file = g_build_filename(p.dir, "top", NULL);
    BlockUser *user = open_user(&p, "driver=qcow2,file.driver=preallocate,file.prealloc-size=8M,"
                                    "file.file.driver=file,file.file.filename=@/top");
    g_assert_cmpint(block_write(user, 0, p.data, 200000, 0), ==, 0);
    g_assert_cmpint(stat(file, &during), ==, 0);
    g_assert_cmpint(block_read(user, 0, buf, 200000), ==, 0);
    g_assert_cmpmem(buf, 200000, p.data, 200000);
    block_detach(user);
    g_assert_cmpint(stat(file, &after), ==, 0);
    g_assert_cmpint(during.st_size, >=, 8 << 20);
    g_assert_cmpint(after.st_size, <, 2 << 20);
    place_clear(&p);
}

/* ---- logs, copies, rates ------------------------------------------------- */

/* Applies a log as dm-log-writes' document has it. */
static void replay(const uint8_t *log, uint8_t *disk)
{
    uint64_t entries = ld_le64(log + 16), sector = ld_le32(log + 24), at = sector;

    g_assert_cmphex(ld_le64(log), ==, 0x6a736677736872);
    g_assert_cmpuint(ld_le64(log + 8), ==, 1);
    while (entries--) {
        const uint8_t *e = log + at;
        uint64_t start = ld_le64(e) * sector, bytes = ld_le64(e + 8) * sector;
        at += sector;
        if (ld_le64(e + 16) & 4)
            continue;
        memcpy(disk + start, log + at, bytes);
        at += bytes;
    }
}

static void test_log(void)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(6);
    g_autofree uint8_t *buf = g_malloc(SIZE);
    g_autofree char *log = NULL;
    gsize len;
    Place p;
    static const char options[] =
        "driver=blklogwrites,file.driver=file,file.filename=@/a,log.driver=file,"
        "log.filename=@/log,log-sector-size=4k,log-append=";

    place_make(&p);
    g_autofree char *file = g_build_filename(p.dir, "log", NULL);
    g_assert_true(g_file_set_contents(file, "", 0, NULL));
    for (int round = 0; round < 2; round++) {
        g_autofree char *text = g_strconcat(options, round ? "on" : "off", NULL);
        BlockUser *user = open_user(&p, text);
        for (int i = 0; i < 40; i++) {
            uint64_t at = (uint64_t)g_rand_int_range(rand, 0, (int)SIZE - 20000);
            uint64_t n = (uint64_t)g_rand_int_range(rand, 1, 20000);
            memset(buf, i, n);
            if (i % 4 == 3)
                g_assert_cmpint(block_zero(user, at, n, 0), ==, 0);
            else
                g_assert_cmpint(block_write(user, at, buf, n, i % 3 ? 0 : BLOCK_FUA), ==, 0);
        }
        g_assert_cmpint(block_read(user, 0, buf, SIZE), ==, 0);
        block_detach(user);
    }
    g_assert_true(g_file_get_contents(file, &log, &len, NULL));
    replay((uint8_t *)log, p.data);
    g_assert_cmpmem(p.data, SIZE, buf, SIZE);
    place_clear(&p);
}

static void test_quorum(void)
{
    g_autofree uint8_t *buf = g_malloc(SIZE);
    Place p;
    static const char three[] =
        "driver=quorum,children.0.driver=file,children.0.filename=@/a,children.1.driver=file,"
        "children.1.filename=@/b,children.2.driver=file,children.2.filename=@/c,vote-threshold=";

    place_make(&p);
    BlockUser *b = open_user(&p, "driver=file,filename=@/b");
    memset(buf, 0, 4096);
    g_assert_cmpint(block_write(b, 8192, buf, 4096, 0), ==, 0);
    block_detach(b);
    for (int i = 0; i < 3; i++) {
        g_autofree char *text = g_strconcat(three, i ? "2" : "3", i == 2 ? ",rewrite-corrupted=on"
                                                                         : "", NULL);
        BlockUser *user = open_user(&p, text);
        g_assert_cmpint(block_read(user, 4096, buf, 4096), ==, 0);
        g_assert_cmpint(block_read(user, 8192, buf, 4096), ==, i ? 0 : -EIO);
        if (i)
            g_assert_cmpmem(buf, 4096, p.data + 8192, 4096);
        block_detach(user);
    }
    b = open_user(&p, "driver=file,filename=@/b");
    g_assert_cmpint(block_read(b, 8192, buf, 4096), ==, 0);
    g_assert_cmpmem(buf, 4096, p.data + 8192, 4096);
    g_assert_cmpint(block_write(b, 0, p.data + 1, 512, 0), ==, 0);
    block_detach(b);
    /* the same, told apart by blkverify */
    b = open_user(&p, "driver=blkverify,test.driver=file,test.filename=@/b,raw.driver=file,"
                      "raw.filename=@/a");
    g_assert_cmpint(block_read(b, 0, buf, 512), ==, -EIO);
    g_assert_cmpint(block_read(b, 512, buf, 512), ==, 0);
    g_assert_cmpint(block_write(b, 0, p.data, 512, 0), ==, 0);
    g_assert_cmpint(block_read(b, 0, buf, 512), ==, 0);
    block_detach(b);
    refuse(&p, "driver=quorum,vote-threshold=2,children.0.driver=file,children.0.filename=@/a",
           "of 1 children");
    place_clear(&p);
}

static void test_throttle(void)
{
    g_autofree uint8_t *buf = g_malloc(SIZE);
    g_autoptr(GError) error = NULL;
    Place p;

    place_make(&p);
    BlockUser *one = open_user(&p, "driver=throttle,throttle-group=g,limits.bps-total=1M,"
                                   "file.driver=file,file.filename=@/a");
    BlockUser *two = open_user(&p, "driver=throttle,throttle-group=g,file.driver=file,"
                                   "file.filename=@/b");
    gint64 before = g_get_monotonic_time();
    for (int i = 0; i < 8; i++)
        g_assert_cmpint(block_read(i % 2 ? one : two, 0, buf, 65536), ==, 0);
    gint64 took = g_get_monotonic_time() - before;
    /* a tenth of a second's worth is free, and the last request; 64 KiB take 62.5 ms */
    g_assert_cmpint(took, >, 300000);
    block_detach(one);
    block_detach(two);
    refuse(&p, "driver=throttle,limits.bps-total=1,limits.bps-read=1,file.driver=null-co",
           "exclude");
    refuse(&p, "driver=throttle,limits.iops-total-max=1,file.driver=null-co", "needs");
    refuse(&p, "driver=throttle,throttle-group=none,file.driver=null-co", "no group");
    place_clear(&p);
}

/* Asking for allocation alone does not change what a full answer is. */
static void test_status(void)
{
    BlockExtent first[8], some[8], last[8];
    Place p;

    place_make(&p);
    g_autofree char *file = g_build_filename(p.dir, "a", NULL);
    BlockUser *user = open_user(&p, "driver=raw,discard=unmap,file.driver=file,file.filename=@/a");
    g_assert_cmpint(block_zero(user, 1 << 20, 1 << 19, BLOCK_MAY_UNMAP), ==, 0);
    int n = block_extents(user, 0, SIZE, 0, first, 8);
    for (int i = 0; i < 2; i++)
        g_assert_cmpint(block_extents(user, 0, SIZE, BLOCK_EXTENTS_ALLOCATION, some, 8), >, 0);
    g_assert_cmpint(block_extents(user, 0, SIZE, 0, last, 8), ==, n);
    g_assert_cmpint(n, ==, 3);
    for (int i = 0; i < n; i++) {
        g_assert_cmpuint(first[i].bytes, ==, last[i].bytes);
        g_assert_cmpuint(first[i].flags, ==, last[i].flags);
    }
    g_assert_true(last[1].flags & BLOCK_EXTENT_ZERO);
    block_detach(user);
    place_clear(&p);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/block/filters/blkdebug", test_blkdebug);
    g_test_add_func("/block/filters/view", test_view);
    g_test_add_func("/block/filters/done-with", test_done_with);
    g_test_add_func("/block/filters/bitmap", test_bitmap);
    g_test_add_func("/block/filters/cbw-error", test_cbw_error);
    g_test_add_func("/block/filters/copy-on-read", test_copy_on_read);
    g_test_add_func("/block/filters/compress", test_compress);
    g_test_add_func("/block/filters/preallocate", test_preallocate);
    g_test_add_func("/block/filters/log", test_log);
    g_test_add_func("/block/filters/quorum", test_quorum);
    g_test_add_func("/block/filters/throttle", test_throttle);
    g_test_add_func("/block/filters/status", test_status);
    return g_test_run();
}
