/* SPDX-License-Identifier: MIT */
/* Locks and holes against Debian's qemu-img and qemu-io; block devices of the host where a loop
 * device can be had; full disks. Skipped where those are not there. */
#include "block/driver.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct {
    BlockGraph *graph;
    char *dir, *disk;
} Env;

static void env_init(Env *env)
{
    env->graph = block_graph_new();
    env->dir = g_dir_make_tmp("lathe-block-XXXXXX", NULL);
    env->disk = g_build_filename(env->dir, "disk.img", NULL);
    g_assert_true(g_file_set_contents(env->disk, "", 0, NULL));
    g_assert_cmpint(truncate(env->disk, 8 << 20), ==, 0);
}

static void env_clear(Env *env)
{
    g_assert_null(block_graph_node(env->graph, 0));
    block_graph_free(env->graph);
    g_unlink(env->disk);
    g_rmdir(env->dir);
    g_free(env->dir);
    g_free(env->disk);
}

/* Runs a shell command; what it says on both outputs is added to out. Returns its status. */
static int shell(GString *out, const char *format, ...) G_GNUC_PRINTF(2, 3);
static int shell(GString *out, const char *format, ...)
{
    va_list ap;
    char buf[4096];
    size_t n;

    va_start(ap, format);
    g_autofree char *command = g_strdup_vprintf(format, ap);
    va_end(ap);
    g_autofree char *both = g_strdup_printf("{ %s; } 2>&1", command);
    FILE *f = popen(both, "re");
    while ((n = fread(buf, 1, sizeof buf, f)) > 0)
        if (out)
            g_string_append_len(out, buf, (gssize)n);
    int status = pclose(f);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static bool have_qemu(void)
{
    g_autofree char *img = g_find_program_in_path("qemu-img"),
                    *io = g_find_program_in_path("qemu-io");
    if (img && io)
        return true;
    g_test_skip("no qemu-img and qemu-io");
    return false;
}

static BlockUser *use(Env *env, const char *format, unsigned flags, bool write, bool share,
                      GError **error)
{
    g_autoptr(BlockNode) node = block_open_file(env->graph, env->disk, format, flags, error);
    unsigned shared = share ? BLOCK_SHARE_ALL : BLOCK_SHARE_DEFAULT;

    return node ? block_attach(node,
                               &(BlockAttach){ .name = "test",
                                               .perm = write ? BLOCK_PERM_RW : BLOCK_PERM_READ,
                                               .shared = shared },
                               error)
                : NULL;
}

/* ---- locks --------------------------------------------------------------- */

static void test_ours_first(void)
{
    Env env;
    g_autoptr(GError) error = NULL;
    g_autoptr(GString) out = g_string_new(NULL);

    if (!have_qemu())
        return;
    env_init(&env);
    BlockUser *u = use(&env, "raw", 0, true, false, &error);
    g_assert_no_error(error);
    g_assert_cmpint(shell(out, "qemu-io -f raw -c 'write 0 4k' '%s'", env.disk), !=, 0);
    g_assert_nonnull(strstr(out->str, "lock"));
    g_string_truncate(out, 0);
    g_assert_cmpint(shell(out, "qemu-img resize -f raw '%s' 9M", env.disk), !=, 0);
    g_assert_nonnull(strstr(out->str, "lock"));
    g_assert_cmpint(shell(NULL, "qemu-img info -U -f raw '%s'", env.disk), ==, 0);
    /* a reader lets others read, and not write */
    g_assert_true(block_user_set_perm(u, BLOCK_PERM_READ, BLOCK_SHARE_DEFAULT, &error));
    g_assert_cmpint(shell(NULL, "qemu-img info -f raw '%s'", env.disk), ==, 0);
    g_assert_cmpint(shell(NULL, "qemu-io -r -f raw -c 'read 0 4k' '%s'", env.disk), ==, 0);
    g_assert_cmpint(shell(NULL, "qemu-io -f raw -c 'write 0 4k' '%s'", env.disk), !=, 0);
    block_detach(u);
    g_assert_cmpint(shell(NULL, "qemu-io -f raw -c 'write 0 4k' '%s'", env.disk), ==, 0);

    u = use(&env, "raw", 0, true, false, &error);
    g_assert_no_error(error);
    block_detach(u);
    env_clear(&env);
}

/* qemu-io with the disk open for writing, until its input ends. Its process id. */
static pid_t peer(const char *disk, int *input, bool read_only)
{
    int in[2], out[2];
    char c[64];

    g_assert_cmpint(pipe2(in, O_CLOEXEC), ==, 0);
    g_assert_cmpint(pipe2(out, O_CLOEXEC), ==, 0);
    pid_t pid = fork();
    if (!pid) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        execlp("qemu-io", "qemu-io", "-f", "raw", disk, read_only ? "-r" : NULL, NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    *input = in[1];
    /* its answer shows that it has opened the disk */
    g_assert_cmpint(write(in[1], "length\n", 7), ==, 7);
    g_assert_cmpint(read(out[0], c, sizeof c), >, 0);
    close(out[0]);
    return pid;
}

static void test_theirs_first(void)
{
    Env env;
    g_autoptr(GError) error = NULL;
    int input, status;

    if (!have_qemu())
        return;
    env_init(&env);
    pid_t pid = peer(env.disk, &input, false);
    g_autofree char *who =
        g_strdup_printf("disk.img: in use by qemu-io (pid %d)\nhint: ", (int)pid);
    g_assert_null(use(&env, "raw", 0, true, false, &error));
    g_assert_nonnull(strstr(error->message, who));
    g_clear_error(&error);
    g_assert_null(use(&env, "raw", BLOCK_OPEN_READ_ONLY, false, false, &error));
    g_assert_nonnull(strstr(error->message, who));
    g_assert_nonnull(strstr(error->message, "force-share=on"));
    g_clear_error(&error);
    BlockUser *u =
        use(&env, "raw", BLOCK_OPEN_READ_ONLY | BLOCK_OPEN_FORCE_SHARE, false, true, &error);
    g_assert_no_error(error);
    block_detach(u);
    close(input);
    waitpid(pid, &status, 0);

    pid = peer(env.disk, &input, true);
    u = use(&env, "raw", BLOCK_OPEN_READ_ONLY, false, false, &error);
    g_assert_no_error(error);
    block_detach(u);
    /* qemu-io lets others write */
    u = use(&env, "raw", 0, true, false, &error);
    g_assert_no_error(error);
    block_detach(u);
    close(input);
    waitpid(pid, &status, 0);
    env_clear(&env);
}

/* Once QEMU's monitor answers, its disks are open. Nobody may look at their locks before, as that takes
   some for a moment, which QEMU does not stand. */
static void wait_for_monitor(int keys, int fd)
{
    static const char command[] = "info status\n";
    g_assert_cmpint(write(keys, command, strlen(command)), ==, (ssize_t)strlen(command));
    g_autoptr(GString) seen = g_string_new(NULL);
    char buf[256];
    while (!strstr(seen->str, "VM status: paused")) {
        ssize_t n = read(fd, buf, sizeof(buf));
        g_assert_cmpint(n, >, 0);
        g_string_append_len(seen, buf, n);
    }
}

/* A machine of QEMU's, which does not share; and it respects ours. */
static void test_machine(void)
{
    Env env;
    g_autoptr(GError) error = NULL;
    g_autoptr(GString) out = g_string_new(NULL);
    g_autofree char *qemu = g_find_program_in_path("qemu-system-riscv64");

    if (!qemu) {
        g_test_skip("no qemu-system-riscv64");
        return;
    }
    env_init(&env);
    g_autofree char *drive = g_strdup_printf("file=%s,format=raw,if=none,id=d", env.disk);
    const char *const argv[] = { qemu,       "-M",   "virt",     "-S",
                                 "-display", "none", "-monitor", "stdio",
                                 "-serial",  "none", "-bios",    "none",
                                 "-drive",   drive,  "-device",  "virtio-blk-device,drive=d",
                                 NULL };
    BlockUser *u = use(&env, "raw", 0, true, false, &error);
    g_assert_no_error(error);
    g_autofree char *command = g_strjoinv(" ", (char **)argv);
    g_assert_cmpint(shell(out, "%s </dev/null", command), !=, 0);
    g_assert_nonnull(strstr(out->str, "lock"));
    block_detach(u);

    GPid pid;
    int status, keys, screen;
    g_assert_true(g_spawn_async_with_pipes(NULL, (char **)argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD, NULL,
                                           NULL, &pid, &keys, &screen, NULL, &error));
    wait_for_monitor(keys, screen);
    g_assert_null(use(&env, "raw", BLOCK_OPEN_READ_ONLY, false, false, &error));
    g_autofree char *who =
        g_strdup_printf("disk.img: in use by qemu-system-ris (pid %d)", (int)pid);
    g_assert_nonnull(error);
    g_assert_nonnull(strstr(error->message, who));
    g_clear_error(&error);
    /* even a writer that would share is refused: the machine does not */
    g_assert_null(use(&env, "raw", 0, true, true, &error));
    g_assert_nonnull(strstr(error->message, who));
    kill(pid, SIGTERM);
    waitpid(pid, &status, 0);
    close(keys);
    close(screen);
    env_clear(&env);
}

/* Two of ours in one process; locks outlive a change of flags; locking=off. */
static void test_own(void)
{
    Env env;
    g_autoptr(GError) error = NULL;

    env_init(&env);
    BlockUser *u = use(&env, "raw", 0, true, false, &error);
    g_assert_no_error(error);
    g_assert_null(use(&env, "raw", 0, true, false, &error));
    g_assert_nonnull(strstr(error->message, "disk.img: in use by this process"));
    g_clear_error(&error);
    g_assert_true(block_node_reopen(block_user_node(u), BLOCK_OPEN_DIRECT, &error));
    g_assert_no_error(error);
    g_assert_null(use(&env, "raw", 0, true, false, &error));
    g_clear_error(&error);
    g_autofree char *text = g_strdup_printf("file=%s,locking=off,format=raw", env.disk);
    g_autoptr(BlockDrive) d = block_drive_parse(env.graph, text, &error);
    g_assert_no_error(error);
    BlockNode *node = block_drive_open(env.graph, d, &error);
    g_assert_no_error(error);
    BlockUser *v = block_attach(node, &(BlockAttach){ .name = "v", .perm = BLOCK_PERM_RW }, &error);
    g_assert_no_error(error);
    block_detach(v);
    block_node_unref(node);
    block_detach(u);
    /* share-rw: both let each other write */
    u = use(&env, "raw", 0, true, true, &error);
    g_assert_no_error(error);
    v = use(&env, "raw", 0, true, true, &error);
    g_assert_no_error(error);
    block_detach(u);
    block_detach(v);
    env_clear(&env);
}

/* ---- holes --------------------------------------------------------------- */

/* Our extents as qemu-img map --output=json puts them. */
static char *our_map(BlockUser *u)
{
    GString *s = g_string_new(NULL);
    BlockExtent e[3];

    for (uint64_t at = 0; at < block_size(u);) {
        int n = block_extents(u, at, block_size(u) - at, 0, e, G_N_ELEMENTS(e));
        g_assert_cmpint(n, >, 0);
        for (int i = 0; i < n; at += e[i++].bytes) {
            bool zero = e[i].flags & BLOCK_EXTENT_ZERO;
            /* joined over the calls */
            g_string_append_printf(s, "%" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT " %d\n",
                                   e[i].offset, e[i].bytes, zero);
        }
    }
    return g_string_free(s, FALSE);
}

static char *their_map(const char *disk)
{
    g_autoptr(GString) out = g_string_new(NULL);
    GString *s = g_string_new(NULL);

    g_assert_cmpint(shell(out, "qemu-img map -U -f raw --output=json '%s'", disk), ==, 0);
    struct json_object *list = json_tokener_parse(out->str), *v;
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *o = json_object_array_get_idx(list, i);
        json_object_object_get_ex(o, "start", &v);
        gint64 start = json_object_get_int64(v);
        json_object_object_get_ex(o, "length", &v);
        gint64 length = json_object_get_int64(v);
        json_object_object_get_ex(o, "zero", &v);
        g_string_append_printf(s, "%" G_GINT64_FORMAT " %" G_GINT64_FORMAT " %d\n", start, length,
                               json_object_get_boolean(v));
    }
    json_object_put(list);
    return g_string_free(s, FALSE);
}

static void test_holes(void)
{
    Env env;
    g_autoptr(GError) error = NULL;
    g_autofree uint8_t *buf = g_malloc(1 << 20);
    g_autoptr(GRand) rand = g_rand_new_with_seed(3);
    struct stat st;

    if (!have_qemu())
        return;
    env_init(&env);
    memset(buf, 5, 1 << 20);
    BlockUser *u = use(&env, "raw", BLOCK_OPEN_UNMAP, true, false, &error);
    g_assert_no_error(error);
    for (int i = 0; i < 60; i++) {
        uint64_t offset = (uint64_t)g_rand_int_range(rand, 0, 120) << 16,
                 bytes = (uint64_t)g_rand_int_range(rand, 1, 8) << 16;
        int op = g_rand_int_range(rand, 0, 4);
        int r = op < 2    ? block_write(u, offset, buf, bytes, 0)
                : op == 2 ? block_zero(u, offset, bytes, BLOCK_MAY_UNMAP)
                          : block_discard(u, offset, bytes);
        g_assert_cmpint(r, ==, 0);
        g_autofree char *ours = our_map(u), *theirs = their_map(env.disk);
        if (i % 10 == 9)
            g_assert_cmpstr(ours, ==, theirs);
    }
    /* all given back; and without leave to, kept */
    g_assert_cmpint(block_zero(u, 0, 8 << 20, BLOCK_MAY_UNMAP), ==, 0);
    stat(env.disk, &st);
    g_assert_cmpint(st.st_blocks, <=, 16);
    g_assert_cmpint(block_zero(u, 0, 1 << 20, 0), ==, 0);
    g_assert_cmpint(block_flush(u), ==, 0);
    stat(env.disk, &st);
    g_assert_cmpint(st.st_blocks * 512, >=, 1 << 20);
    block_detach(u);

    u = use(&env, "raw", 0, true, false, &error); /* discard=ignore */
    g_assert_cmpint(block_discard(u, 0, 8 << 20), ==, 0);
    g_assert_cmpint(block_zero(u, 0, 1 << 20, BLOCK_MAY_UNMAP), ==, 0);
    stat(env.disk, &st);
    g_assert_cmpint(st.st_blocks * 512, >=, 1 << 20);
    block_detach(u);
    env_clear(&env);
}

/* ---- full disks ---------------------------------------------------------- */

static void test_too_large(void)
{
    Env env;
    g_autoptr(GError) error = NULL;
    struct rlimit old, small;
    char buf[4096] = { 1 };

    env_init(&env);
    signal(SIGXFSZ, SIG_IGN);
    g_assert_cmpint(truncate(env.disk, 1 << 20), ==, 0);
    g_autoptr(BlockNode) node = block_open_file(env.graph, env.disk, "raw", 0, &error);
    BlockUser *u = block_attach(node, &(BlockAttach){ .name = "u", .perm = BLOCK_PERM_RW }, &error);
    g_assert_no_error(error);
    getrlimit(RLIMIT_FSIZE, &old);
    small = old;
    small.rlim_cur = 64 << 10;
    setrlimit(RLIMIT_FSIZE, &small);
    int low = block_write(u, 0, buf, sizeof buf, 0),
        high = block_write(u, 512 << 10, buf, sizeof buf, 0);
    bool grown = block_resize(u, 2 << 20, BLOCK_PREALLOC_OFF, &error);
    setrlimit(RLIMIT_FSIZE, &old);
    g_assert_cmpint(low, ==, 0);
    g_assert_cmpint(high, ==, -EFBIG);
    g_assert_false(grown);
    g_assert_nonnull(strstr(error->message, "disk.img: it cannot be made 2097152 bytes long"));
    g_clear_error(&error);
    block_detach(u);
    g_clear_pointer(&node, block_node_unref);
    env_clear(&env);
}

/* A file system of 1 MiB: ENOSPC for who wrote, what was there stays, and it goes on when there is
 * room. */
static void test_full(void)
{
    Env env;
    g_autoptr(GError) error = NULL;
    g_autofree uint8_t *buf = g_malloc0(2 << 20);

    env_init(&env);
    g_autofree char *there = g_strdup(env.dir);
    if (mount("none", env.dir, "tmpfs", 0, "size=1m")) {
        g_test_skip("no tmpfs can be mounted");
        env_clear(&env);
        return;
    }
    struct json_object *o = block_options_parse("size=8M", NULL, &error);
    g_assert_true(block_options_set(o, "filename", env.disk, &error));
    g_assert_true(block_create(env.graph, "raw", o, &error));
    g_assert_no_error(error);
    g_autoptr(BlockNode) node =
        block_open_file(env.graph, env.disk, "raw", BLOCK_OPEN_UNMAP, &error);
    BlockUser *u = block_attach(node, &(BlockAttach){ .name = "u", .perm = BLOCK_PERM_RW }, &error);
    g_assert_no_error(error);
    memset(buf, 3, 2 << 20);
    g_assert_cmpint(block_write(u, 0, buf, 512 << 10, 0), ==, 0);
    g_assert_cmpint(block_write(u, 1 << 20, buf, 2 << 20, 0), ==, -ENOSPC);
    g_assert_cmpint(block_zero(u, 4 << 20, 2 << 20, 0), ==, -ENOSPC);
    g_assert_cmpint(block_read(u, 0, buf, 512 << 10), ==, 0);
    g_assert_cmpint(buf[(512 << 10) - 1], ==, 3);
    g_assert_cmpint(block_discard(u, 1 << 20, 6 << 20), ==, 0);
    g_assert_cmpint(block_write(u, 2 << 20, buf, 256 << 10, BLOCK_FUA), ==, 0);
    block_detach(u);
    g_clear_pointer(&node, block_node_unref);
    /* no half-made image under its name */
    g_autofree char *big = g_build_filename(env.dir, "big.img", NULL);
    g_assert_true(block_options_set(o, "filename", big, &error));
    g_assert_true(block_options_set(o, "preallocation", "full", &error));
    g_assert_false(block_create(env.graph, "raw", o, &error));
    g_assert_nonnull(
        strstr(error->message, "big.img: no room for 8388608 bytes: No space left on device"));
    g_clear_error(&error);
    g_assert_cmpint(access(big, F_OK), !=, 0);
    json_object_put(o);
    /* nor is the temporary layer harmed */
    g_setenv("TMPDIR", there, TRUE);
    g_autoptr(BlockNode) null = block_open_file(env.graph, "null-co://", NULL, 0, &error);
    g_assert_no_error(error);
    g_autoptr(BlockNode) layer = block_snapshot_layer(null, &error);
    g_assert_no_error(error);
    u = block_attach(
        layer, &(BlockAttach){ .name = "u", .perm = BLOCK_PERM_CONSISTENT_READ | BLOCK_PERM_WRITE },
        &error);
    g_assert_no_error(error);
    g_assert_cmpint(block_write(u, 0, buf, 2 << 20, 0), ==, -ENOSPC);
    block_detach(u);
    g_clear_pointer(&layer, block_node_unref);
    g_clear_pointer(&null, block_node_unref);
    g_unsetenv("TMPDIR");
    g_assert_cmpint(umount(env.dir), ==, 0);
    env_clear(&env);
}

/* ---- block devices ------------------------------------------------------- */

static void test_device(void)
{
    Env env;
    g_autoptr(GError) error = NULL;
    g_autoptr(GString) dev = g_string_new(NULL);
    uint8_t buf[8192], back[8192];
    struct stat st;

    env_init(&env);
    if (shell(dev, "losetup -f --show '%s'", env.disk)) {
        g_test_skip("no loop device can be had");
        env_clear(&env);
        return;
    }
    g_strstrip(dev->str);
    for (int direct = 0; direct < 2; direct++) {
        g_autoptr(BlockNode) node = block_open_file(env.graph, dev->str, "raw", BLOCK_OPEN_UNMAP |
                                                    (direct ? BLOCK_OPEN_DIRECT : 0), &error);
        g_assert_no_error(error);
        BlockUser *u = block_attach(
            node,
            &(BlockAttach){ .name = "u", .perm = BLOCK_PERM_CONSISTENT_READ | BLOCK_PERM_WRITE },
            &error);
        g_assert_no_error(error);
        g_assert_cmpuint(block_size(u), ==, 8 << 20);
        memset(buf, 9, sizeof buf);
        g_assert_cmpint(block_write(u, 1000, buf, 5000, BLOCK_FUA), ==, 0);
        g_assert_cmpint(block_zero(u, 2000, 3000, BLOCK_MAY_UNMAP), ==, 0);
        g_assert_cmpint(block_read(u, 0, back, sizeof back), ==, 0);
        for (int i = 0; i < 8192; i++)
            g_assert_cmpint(back[i], ==, i < 1000 || i >= 6000 || (i >= 2000 && i < 5000) ? 0 : 9);
        g_assert_cmpint(block_zero(u, 0, 4 << 20, 0), ==, 0);
        g_assert_cmpint(block_discard(u, 0, 8 << 20), ==, 0);
        g_assert_cmpint(block_flush(u), ==, 0);
        block_detach(u);
        g_assert_cmpint(stat(env.disk, &st), ==, 0);
        g_assert_cmpint(st.st_blocks, <=, 64);
    }
    g_assert_null(block_open_file(env.graph, dev->str, "file", 0, &error));
    g_assert_nonnull(strstr(error->message, "it is a block device\nhint: driver=host_device"));
    g_clear_error(&error);
    shell(NULL, "losetup -d '%s'", dev->str);
    env_clear(&env);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/block/lock/ours-first", test_ours_first);
    g_test_add_func("/block/lock/theirs-first", test_theirs_first);
    g_test_add_func("/block/lock/machine", test_machine);
    g_test_add_func("/block/lock/own", test_own);
    g_test_add_func("/block/holes", test_holes);
    g_test_add_func("/block/full/limit", test_too_large);
    g_test_add_func("/block/full/disk", test_full);
    g_test_add_func("/block/device", test_device);
    return g_test_run();
}
