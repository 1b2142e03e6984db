/* SPDX-License-Identifier: MIT */
/* Options, names, guesses, the graph: what users type and what they are told. */
#include "block/driver.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct {
    BlockGraph *graph;
    char *dir, *disk;
    GString *warnings;
} Env;

static void warned(void *opaque, const char *text)
{
    Env *env = opaque;
    g_string_append_printf(env->warnings, "%s\n", text);
}

static void env_init(Env *env)
{
    env->graph = block_graph_new();
    env->warnings = g_string_new(NULL);
    block_graph_on_warning(env->graph, warned, env);
    env->dir = g_dir_make_tmp("lathe-block-XXXXXX", NULL);
    env->disk = g_build_filename(env->dir, "disk.img", NULL);
    g_assert_true(g_file_set_contents(env->disk, "", 0, NULL));
    g_assert_cmpint(truncate(env->disk, 1 << 20), ==, 0);
}

static void env_clear(Env *env)
{
    g_autofree char *command = g_strdup_printf("rm -rf '%s'", env->dir);

    g_assert_null(block_graph_node(env->graph, 0));
    block_graph_free(env->graph);
    g_assert_cmpint(system(command), ==, 0);
    g_free(env->dir);
    g_free(env->disk);
    g_string_free(env->warnings, TRUE);
}

static void assert_error(GError **error, bool usage, const char *part)
{
    g_assert_nonnull(*error);
    if (!strstr((*error)->message, part))
        g_error("'%s' is not in '%s'", part, (*error)->message);
    g_assert_true(g_error_matches(*error, base_error_quark(), BASE_ERROR_USAGE) == usage);
    g_clear_error(error);
}

/* -drive's text, with the disk for %s, opened. */
static BlockNode *drive(Env *env, const char *format, GError **error)
{
    g_autoptr(GString) text = g_string_new(format);
    g_string_replace(text, "%s", env->disk, 0);
    g_autoptr(BlockDrive) d = block_drive_parse(env->graph, text->str, error);
    return d ? block_drive_open(env->graph, d, error) : NULL;
}

static void drive_fails(Env *env, const char *format, bool usage, const char *part)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(BlockNode) node = drive(env, format, &error);
    g_assert_null(node);
    assert_error(&error, usage, part);
}

static void test_drive_keys(void)
{
    g_autoptr(GError) error = NULL;
    Env env;

    env_init(&env);
    g_autofree char *text = g_strdup_printf(
        "file=%s,if=virtio,index=2,bus=1,unit=3,format=raw,cache=directsync,readonly=on,id=d0,"
        "serial=a,,b,"
        "werror=stop,rerror=ignore,media=disk,discard=unmap,detect-zeroes=unmap,aio=threads",
        env.disk);
    g_autoptr(BlockDrive) d = block_drive_parse(env.graph, text, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(d->id, ==, "d0");
    g_assert_cmpstr(d->serial, ==, "a,b");
    g_assert_cmpint(d->interface, ==, BLOCK_IF_VIRTIO);
    g_assert_cmpint(d->index, ==, 2);
    g_assert_cmpint(d->bus, ==, 1);
    g_assert_cmpint(d->unit, ==, 3);
    g_assert_cmpint(d->werror, ==, BLOCK_ON_ERROR_STOP);
    g_assert_cmpint(d->rerror, ==, BLOCK_ON_ERROR_IGNORE);
    g_assert_true(d->read_only && d->writethrough && !d->cdrom && !d->snapshot);
    g_autoptr(BlockNode) node = block_drive_open(env.graph, d, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(block_node_driver(node), ==, "raw");
    g_assert_true(block_node_read_only(node));
    g_assert_true(block_node_direct(node));
    g_assert_cmpuint(block_node_size(node), ==, 1 << 20);
    g_clear_pointer(&node, block_node_unref);

    g_autoptr(BlockDrive) cd = block_drive_parse(env.graph, "if=ide,media=cdrom", &error);
    g_assert_no_error(error);
    g_assert_true(cd->cdrom && cd->read_only && !cd->options);
    g_assert_cmpint(cd->index, ==, -1);
    env_clear(&env);
}

static void test_drive_forms(void)
{
    static const char *const forms[] = {
        "file=%s,format=raw",
        "file=file:%s,format=raw",
        "file.filename=%s,format=raw",
        "file.driver=file,file.filename=%s,driver=raw",
        "file=%s,file.locking=off,format=raw",
        "driver=raw,file.driver=file,file.filename=%s,cache=none,cache.direct=off",
        "file=json:{\"driver\":\"raw\",,\"file\":{\"driver\":\"file\",,\"filename\":\"%s\"}}",
        "file=json:{\"driver\":\"raw\",,\"file.filename\":\"%s\",,\"file.driver\":\"file\"}",
        "file.file.filename=%s,file.driver=raw,cache=unsafe,id=hd0,if=none,format=raw",
        "file=%s,snapshot=on,id=appliance,cache=unsafe,if=none,format=raw",
        "driver=file,filename=%s",
        "file=%s,format=raw,read-only=on,force-share=on",
    };
    Env env;

    env_init(&env);
    for (size_t i = 0; i < G_N_ELEMENTS(forms); i++) {
        g_autoptr(GError) error = NULL;
        BlockNode *node = drive(&env, forms[i], &error);
        if (error)
            g_error("%s: %s", forms[i], error->message);
        g_assert_cmpuint(block_node_size(node), ==, 1 << 20);
        block_node_unref(node);
    }
    g_assert_cmpstr(env.warnings->str, ==, "");
    env_clear(&env);
}

static void test_drive_wrong(void)
{
    Env env;

    env_init(&env);
    drive_fails(&env, "fiel=%s", true, "unknown option 'fiel' (did you mean 'file'?)");
    drive_fails(&env, "file=%s,fromat=raw", true, "did you mean 'format'?");
    drive_fails(&env, "file=%s,format=rwa", true, "did you mean 'raw'?");
    drive_fails(&env, "file=%s,format=raw,file.filenam=x", true,
                "file: unknown option 'filenam' (did you mean 'filename'?)");
    drive_fails(&env, "file=%s,format=raw,cache=fast", true, "cache=fast");
    drive_fails(&env, "file=%s,format=raw,if=virtoi", true, "if=virtoi");
    drive_fails(&env, "file=%s,format=raw,aio=fast", true, "aio=fast");
    drive_fails(&env, "file=%s,format=raw,index=x", true, "index");
    drive_fails(&env, "file=%s,format=raw,discard=maybe", true, "discard=maybe");
    drive_fails(&env, "file=%s,format=raw,detect-zeroes=unmap", true, "needs discard=unmap");
    drive_fails(&env, "file=%s,format=raw,readonly=perhaps", true, "readonly=perhaps");
    drive_fails(&env, "file=%s,format=raw,force-share=on", true, "needs read-only=on");
    drive_fails(&env, "file=%s,format=raw,copy-on-read=on", true, "copy-on-read");
    drive_fails(&env, "file=%s,format=raw,throttling.iops-total=5", true, "throttling");
    drive_fails(&env, "file=%s,format=raw,driver=null-co", true,
                "format=raw beside driver=null-co");
    drive_fails(&env, "file=%s,format=raw,rerror=enospc", true, "rerror");
    drive_fails(&env, "id=x,format=raw", true, "file=... is missing");
    drive_fails(&env, "file=foo:bar", true, "no protocol is called 'foo'");
    drive_fails(&env, "file=", true, "empty");
    drive_fails(&env, "file=json:{\"driver\":", true, "not JSON");
    drive_fails(&env, "file=json:[1]", true, "not an object");
    drive_fails(&env, "file=json:{\"driver\":\"raw\"}x", true, "JSON");
    drive_fails(&env, "file=%s,format=raw,offset=1000000,size=1M", false, "too short");
    drive_fails(&env, "file=%s,format=raw,offset=2M", false, "past its end");
    drive_fails(&env, "file=%s,format=raw,size=1000", true, "not a multiple of 512");
    drive_fails(&env, "file=%s,format=raw,node-name=1x", true, "node-name=1x");
    drive_fails(&env, "a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r.s.t.u.v.w.x.y.z.a.b.c.d.e.f.g.h.i=1",
                true, "too deep");
    drive_fails(&env, "file=%s,file.filename.x=y", true, "");
    env_clear(&env);
}

/* One line naming the file, for each way that opening fails. */
static void test_files(void)
{
    Env env;
    g_autofree char *fifo = NULL, *missing = NULL;
    g_autoptr(GError) error = NULL;

    env_init(&env);
    missing = g_build_filename(env.dir, "nothing.img", NULL);
    g_assert_null(block_open_file(env.graph, missing, "raw", 0, &error));
    assert_error(&error, false, "nothing.img: No such file or directory");
    g_assert_null(block_open_file(env.graph, env.dir, "raw", 0, &error));
    assert_error(&error, false, "it is a directory");
    fifo = g_build_filename(env.dir, "pipe", NULL);
    g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
    g_assert_null(block_open_file(env.graph, fifo, "raw", BLOCK_OPEN_READ_ONLY, &error));
    assert_error(&error, false, "pipe: it is not a regular file");
    g_assert_null(block_open_file(env.graph, env.disk, "host_device", 0, &error));
    assert_error(&error, false, "disk.img: it is not a block device");
    /* root may write anywhere */
    bool root = geteuid() == 0;
    g_assert_cmpint(chmod(env.disk, 0444), ==, 0);
    g_assert_cmpint(chmod(env.dir, 0755), ==, 0);
    g_assert_true(!root || !seteuid(65534));
    g_assert_null(block_open_file(env.graph, env.disk, "raw", 0, &error));
    assert_error(&error, false,
                 "disk.img: it cannot be written: Permission denied\nhint: read-only=on");
    BlockNode *node =
        block_open_file(env.graph, env.disk, "raw", BLOCK_OPEN_AUTO_READ_ONLY, &error);
    g_assert_no_error(error);
    g_assert_true(block_node_read_only(node));
    block_node_unref(node);
    g_assert_true(!root || !seteuid(0));
    g_assert_cmpint(chmod(env.disk, 0), ==, 0);
    g_assert_true(!root || !seteuid(65534));
    g_assert_null(block_open_file(env.graph, env.disk, "raw", BLOCK_OPEN_READ_ONLY, &error));
    assert_error(&error, false, "disk.img: Permission denied");
    g_assert_true(!root || !seteuid(0));
    env_clear(&env);
}

static void test_read_only(void)
{
    Env env;
    g_autoptr(GError) error = NULL;
    char buf[512] = { 0 };

    env_init(&env);
    g_autoptr(BlockNode) node =
        block_open_file(env.graph, env.disk, "raw", BLOCK_OPEN_READ_ONLY, &error);
    g_assert_no_error(error);
    g_assert_null(block_attach(node, &(BlockAttach){ .name = "d", .perm = BLOCK_PERM_RW,
                               .shared = BLOCK_SHARE_ALL }, &error));
    assert_error(&error, false, "disk.img: it is open for reading only");
    BlockUser *user = block_attach(node, &(BlockAttach){ .name = "d", .perm = BLOCK_PERM_READ,
                                   .shared = BLOCK_SHARE_ALL }, &error);
    g_assert_no_error(error);
    g_assert_cmpint(block_write(user, 0, buf, 512, 0), ==, -EPERM);
    g_assert_cmpint(block_zero(user, 0, 512, 0), ==, -EPERM);
    g_assert_cmpint(block_read(user, 0, buf, 512), ==, 0);
    g_assert_cmpint(block_read(user, (1 << 20) - 511, buf, 512), ==, -EINVAL);
    g_assert_cmpint(block_read(user, UINT64_MAX - 100, buf, 512), ==, -EINVAL);
    g_assert_cmpint(block_read(user, 1 << 20, buf, 0), ==, 0);
    /* and now for writing, in place, and back */
    g_assert_true(block_node_reopen(node, 0, &error));
    g_assert_no_error(error);
    g_assert_cmpint(block_write(user, 0, buf, 512, 0), ==, -EPERM); /* this user may not */
    g_assert_true(block_user_set_perm(user, BLOCK_PERM_RW, BLOCK_SHARE_DEFAULT, &error));
    g_assert_cmpint(block_write(user, 0, buf, 512, 0), ==, 0);
    g_assert_false(block_node_reopen(node, BLOCK_OPEN_READ_ONLY, &error));
    assert_error(&error, false, "disk.img: d writes to it");
    g_assert_cmpint(block_write(user, 0, buf, 512, 0), ==, 0);
    g_assert_true(block_node_reopen(node, BLOCK_OPEN_DIRECT, &error));
    g_assert_no_error(error);
    g_assert_cmpint(block_write(user, 3, buf, 509, 0), ==, 0);
    block_detach(user);
    g_clear_pointer(&node, block_node_unref);
    env_clear(&env);
}

static void test_probe(void)
{
    Env env;
    g_autoptr(GError) error = NULL;
    char sector[512] = "QFI\xfb\0\0\0\3", plain[512] = { 0 };

    env_init(&env);
    g_autoptr(BlockNode) node = block_open_file(env.graph, env.disk, NULL, 0, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(block_node_driver(node), ==, "raw");
    g_assert_nonnull(strstr(env.warnings->str, "disk.img: no format given"));
    BlockUser *user =
        block_attach(node, &(BlockAttach){ .name = "d", .perm = BLOCK_PERM_RW }, &error);
    g_assert_no_error(error);
    g_assert_cmpint(block_write(user, 0, sector, 512, 0), ==, -EPERM);
    g_assert_cmpint(block_write(user, 1, sector, 300, 0), ==, -EPERM);
    g_assert_cmpint(block_write(user, 0, plain, 512, 0), ==, 0);
    g_assert_cmpint(block_write(user, 512, sector, 512, 0), ==, 0);
    block_detach(user);
    g_clear_pointer(&node, block_node_unref);

    g_assert_true(g_file_set_contents(env.disk, sector, 512, NULL));
    g_assert_null(block_open_file(env.graph, env.disk, NULL, 0, &error));
    assert_error(&error, false, "a header of 0 bytes");
    g_assert_true(g_file_set_contents(env.disk, "QED\0", 4, NULL));
    g_assert_null(block_open_file(env.graph, env.disk, NULL, 0, &error));
    assert_error(&error, false, "it looks like qed");
    node = block_open_file(env.graph, env.disk, "raw", 0, &error);
    g_assert_no_error(error);
    g_clear_pointer(&node, block_node_unref);
    env_clear(&env);
}

static void test_blockdev(void)
{
    Env env;
    g_autoptr(GError) error = NULL;

    env_init(&env);
    g_autofree char *dotted =
        g_strdup_printf("driver=raw,node-name=disk,file.driver=file,file.node-name=prot,"
                        "file.filename=%s",
                        env.disk);
    BlockNode *node = block_blockdev(env.graph, dotted, &error);
    g_assert_no_error(error);
    g_assert_true(block_find(env.graph, "disk") == node);
    g_assert_nonnull(block_find(env.graph, "prot"));
    g_autofree char *json =
        g_strdup_printf("{\"driver\":\"file\",\"node-name\":\"j\",\"filename\":\"%s\","
                        "\"read-only\":true,\"cache\":{\"direct\":false}}",
                        env.disk);
    g_assert_nonnull(block_blockdev(env.graph, json, &error));
    g_assert_no_error(error);
    g_assert_nonnull(
        block_blockdev(env.graph, "driver=raw,node-name=top,file=j,read-only=on", &error));
    g_assert_no_error(error);

    g_assert_null(block_blockdev(env.graph, "driver=null-co,node-name=disk", &error));
    assert_error(&error, true, "node-name=disk: there is one already");
    g_assert_null(block_blockdev(env.graph, "driver=null-co", &error));
    assert_error(&error, true, "node-name=... is missing");
    g_assert_null(block_blockdev(env.graph, "driver=raw,node-name=x,file=y", &error));
    assert_error(&error, true, "no node is called 'y'");
    g_assert_null(block_blockdev(env.graph, "driver=null-co,node-name=x,szie=4", &error));
    assert_error(&error, true, "unknown option 'szie' (did you mean 'size'?)");
    g_assert_null(block_blockdev(
        env.graph, "{\"driver\":\"file\",\"node-name\":\"x\",\"filename\":\"a\\u0000b\"}", &error));
    assert_error(&error, true, "NUL");
    g_assert_null(block_blockdev(env.graph, "driver=raw,node-name=x,file=j", &error));
    assert_error(&error, false, "reading only");

    g_assert_false(block_blockdev_del(env.graph, "j", &error));
    assert_error(&error, false, "node top uses it");
    g_assert_false(block_blockdev_del(env.graph, "prot", &error));
    assert_error(&error, false, "belongs to");

    struct json_object *o = block_node_describe(node), *v;
    g_assert_true(json_object_object_get_ex(o, "node-name", &v));
    g_assert_cmpstr(json_object_get_string(v), ==, "disk");
    g_assert_true(json_object_object_get_ex(o, "children", &v) &&
                  json_object_object_get_ex(v, "file", &v));
    json_object_put(o);
    g_assert_true(block_blockdev_del(env.graph, "top", &error));
    g_assert_true(block_blockdev_del(env.graph, "j", &error));
    g_assert_true(block_blockdev_del(env.graph, "disk", &error));
    env_clear(&env);
}

/* Two users of a node; the error names who is there. */
static void test_users(void)
{
    Env env;
    g_autoptr(GError) error = NULL;

    env_init(&env);
    g_autoptr(BlockNode) node = block_open_file(env.graph, env.disk, "raw", 0, &error);
    g_assert_no_error(error);
    BlockUser *a = block_attach(node, &(BlockAttach){ .name = "disk a", .perm = BLOCK_PERM_RW,
                                .shared = BLOCK_SHARE_DEFAULT }, &error);
    g_assert_no_error(error);
    g_assert_null(block_attach(node, &(BlockAttach){ .name = "disk b", .perm = BLOCK_PERM_RW,
                               .shared = BLOCK_SHARE_ALL }, &error));
    assert_error(&error, false, "disk b may not write to it while disk a uses it");
    BlockUser *c = block_attach(node, &(BlockAttach){ .name = "reader", .perm = BLOCK_PERM_READ,
                                .shared = BLOCK_SHARE_ALL }, &error);
    g_assert_no_error(error);
    block_detach(c);
    block_detach(a);
    g_clear_pointer(&node, block_node_unref);
    env_clear(&env);
}

static void on_resized(void *opaque, uint64_t size)
{
    *(uint64_t *)opaque = size;
}

static void test_resize_and_create(void)
{
    Env env;
    g_autoptr(GError) error = NULL;
    uint64_t told = 0;
    char buf[1000];

    env_init(&env);
    g_autofree char *made = g_build_filename(env.dir, "made.img", NULL);
    g_autofree char *text = g_strdup_printf("filename=%s,size=1000", made);
    struct json_object *o = block_options_parse(text, NULL, &error);
    g_assert_true(block_create(env.graph, "raw", o, &error));
    g_assert_no_error(error);
    json_object_put(o);
    g_autoptr(BlockNode) node = block_open_file(env.graph, made, "raw", 0, &error);
    BlockUser *u = block_attach(
        node,
        &(BlockAttach){
            .name = "u", .perm = BLOCK_PERM_RW, .resized = on_resized, .opaque = &told },
        &error);
    g_assert_no_error(error);
    /* an odd end: zeroes behind it, and a write there makes the file longer */
    g_assert_cmpuint(block_size(u), ==, 1024);
    memset(buf, 1, sizeof buf);
    g_assert_cmpint(block_read(u, 24, buf, 1000), ==, 0);
    for (int i = 0; i < 1000; i++)
        g_assert_cmpint(buf[i], ==, 0);
    g_assert_true(block_resize(u, 1 << 20, BLOCK_PREALLOC_OFF, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(told, ==, 1 << 20);
    g_assert_cmpuint(block_size(u), ==, 1 << 20);
    g_assert_cmpint(block_write(u, (1 << 20) - 1000, buf, 1000, 0), ==, 0);
    g_assert_true(block_resize(u, 2 << 20, BLOCK_PREALLOC_FALLOC, &error));
    struct stat st;
    g_assert_cmpint(stat(made, &st), ==, 0);
    g_assert_cmpint(st.st_blocks * 512, >=, 1 << 20);
    /* what is in use is not made anew */
    o = block_options_parse(text, NULL, &error);
    g_assert_false(block_create(env.graph, "file", o, &error));
    assert_error(&error, false, "in use by this process");
    json_object_put(o);
    g_assert_cmpint(stat(made, &st), ==, 0);
    g_assert_cmpint(st.st_size, ==, 2 << 20);
    /* cut short by somebody: an error, no invented zeroes */
    g_assert_cmpint(truncate(made, 1 << 20), ==, 0);
    g_assert_cmpint(block_read(u, (2 << 20) - 1000, buf, 1000), ==, -EIO);
    g_assert_true(block_node_refresh(node, &error) || true);
    block_detach(u);
    g_clear_pointer(&node, block_node_unref);
    env_clear(&env);
}

static void test_insert(void)
{
    Env env;
    g_autoptr(GError) error = NULL;
    uint8_t buf[512];

    env_init(&env);
    BlockNode *disk = drive(&env, "file=%s,format=raw,node-name=disk", &error);
    g_assert_no_error(error);
    BlockUser *u =
        block_attach(disk,
                     &(BlockAttach){ .name = "guest",
                                     .perm = BLOCK_PERM_CONSISTENT_READ | BLOCK_PERM_WRITE,
                                     .shared = BLOCK_SHARE_ALL },
                     &error);
    g_assert_no_error(error);
    memset(buf, 7, sizeof buf);
    g_assert_cmpint(block_write(u, 512, buf, 512, 0), ==, 0);
    struct json_object *o = block_options_parse("driver=raw,file=disk,offset=512", NULL, &error);
    g_autoptr(BlockNode) filter = block_open(env.graph, o, 0, &error);
    json_object_put(o);
    g_assert_no_error(error);
    g_assert_true(block_node_insert(disk, filter, &error));
    g_assert_no_error(error);
    g_assert_true(block_user_node(u) == filter);
    g_assert_cmpint(block_read(u, 0, buf, 512), ==, 0);
    g_assert_cmpint(buf[0], ==, 7);
    g_assert_true(block_node_remove(filter, &error));
    g_assert_no_error(error);
    g_assert_true(block_user_node(u) == disk);
    g_assert_cmpint(block_read(u, 0, buf, 512), ==, 0);
    g_assert_cmpint(buf[0], ==, 0);
    g_assert_false(block_node_insert(filter, disk, &error));
    assert_error(&error, false, "is not above");
    g_clear_pointer(&filter, block_node_unref);
    block_detach(u);
    block_node_unref(disk);
    env_clear(&env);
}

static void test_help(void)
{
    g_autofree char *all = block_help(), *raw = block_driver_help("raw");
    g_assert_nonnull(strstr(all, "null-co"));
    g_assert_nonnull(strstr(raw, "offset=SIZE"));
    g_assert_null(block_driver_help("nonesuch"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/block/options/drive/keys", test_drive_keys);
    g_test_add_func("/block/options/drive/forms", test_drive_forms);
    g_test_add_func("/block/options/drive/wrong", test_drive_wrong);
    g_test_add_func("/block/options/blockdev", test_blockdev);
    g_test_add_func("/block/options/help", test_help);
    g_test_add_func("/block/open/files", test_files);
    g_test_add_func("/block/open/read-only", test_read_only);
    g_test_add_func("/block/open/probe", test_probe);
    g_test_add_func("/block/graph/users", test_users);
    g_test_add_func("/block/graph/resize", test_resize_and_create);
    g_test_add_func("/block/graph/insert", test_insert);
    return g_test_run();
}
