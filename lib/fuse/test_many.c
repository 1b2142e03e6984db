/* SPDX-License-Identifier: MIT */
/*
 * Many files known to the guest, few descriptors: each is looked up, opened, read and looked at
 * again, descriptors stay within the limit, memory within so much a file, and forgetting gives it
 * back. FUSE_MANY files (20000; tests/soak/fs-million takes a million), in folders of 1000, by
 * names and by file handles.
 */
#include "fuse/test_front.h"

#include <inttypes.h>
#include <malloc.h>
#include <stdlib.h>
#include <sys/resource.h>

enum {
    FOLDER = 1000,
    LIMIT = 400,
    MOST = 400 /* bytes a file, of which the front's own number is 8 */
};

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SANITIZED = 1 }; /* which keep what was freed */
#else
enum { SANITIZED = 0 };
#endif

typedef struct {
    char *dir;
    unsigned files;
} Tree;

static size_t resident(void)
{
    unsigned long size, pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    g_assert_nonnull(f);
    g_assert_cmpint(fscanf(f, "%lu %lu", &size, &pages), ==, 2);
    fclose(f);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static Tree *make_tree(void)
{
    Tree *t = g_new0(Tree, 1);
    const char *many = g_getenv("FUSE_MANY");
    t->files = many ? (unsigned)atoi(many) : 20000;
    t->dir = front_folder();
    for (unsigned i = 0; i < t->files; i++) {
        char path[256];
        g_snprintf(path, sizeof path, "%s/folder%u", t->dir, i / FOLDER);
        if (i % FOLDER == 0)
            g_assert_cmpint(mkdir(path, 0755), ==, 0);
        g_snprintf(path, sizeof path, "%s/folder%u/file%u", t->dir, i / FOLDER, i);
        int fd = open(path, O_CREAT | O_WRONLY | O_EXCL, 0644);
        g_assert_cmpint(fd, >=, 0);
        if (i % 100 == 0)
            g_assert_cmpint(write(fd, path + strlen(t->dir), 8), ==, 8);
        close(fd);
    }
    return t;
}

static uint64_t *look_up(Front *f, const Tree *t, uint64_t *folders)
{
    uint64_t *nodes = g_new(uint64_t, t->files);
    char name[32];
    for (unsigned i = 0; i < t->files; i++) {
        if (i % FOLDER == 0) {
            g_snprintf(name, sizeof name, "folder%u", i / FOLDER);
            g_assert_cmpint(front_lookup(f, FUSE_ROOT_ID, name, &folders[i / FOLDER]), ==, 0);
        }
        g_snprintf(name, sizeof name, "file%u", i);
        g_assert_cmpint(front_lookup(f, folders[i / FOLDER], name, &nodes[i]), ==, 0);
    }
    return nodes;
}

static void open_all(Front *f, const Tree *t, const uint64_t *nodes, unsigned most)
{
    uint64_t fh;
    for (unsigned i = 0; i < t->files; i++) {
        unsigned k =
            (unsigned)((uint64_t)i * 7919 % t->files); /* far from the order of their lookups */
        g_assert_cmpint(front_open(f, nodes[k], O_RDONLY, &fh), ==, 0);
        g_assert_cmpint(front_read(f, nodes[k], fh, 100, 0), ==, 0);
        g_assert_cmpuint(f->got, ==, k % 100 ? 0 : 8);
        g_assert_cmpint(front_release(f, fh, false), ==, 0);
        if (i % 10000 == 0)
            g_assert_cmpuint(front_open_fds(), <, most);
    }
}

/* Many forgets a request, as guests do when memory is short. */
static void forget_all(Front *f, const uint64_t *nodes, unsigned n)
{
    struct {
        struct fuse_batch_forget_in head;
        struct fuse_forget_one item[1000];
    } *in = g_malloc(sizeof *in);
    for (unsigned at = 0; at < n; at += in->head.count) {
        in->head = (struct fuse_batch_forget_in){ .count = MIN(1000, n - at) };
        for (unsigned i = 0; i < in->head.count; i++)
            in->item[i] = (struct fuse_forget_one){ nodes[at + i], 1 };
        front_call(f, FUSE_BATCH_FORGET, 0, in,
                   sizeof in->head + in->head.count * sizeof in->item[0], 16);
    }
    g_free(in);
}

static void many(const Tree *t, FsFileHandles handles, const char *how)
{
    Front *f = front_new(t->dir, (FsOptions){ .file_handles = handles }, (FuseOptions){ 0 });
    g_autofree uint64_t *folders = g_new0(uint64_t, t->files / FOLDER + 1);
    malloc_trim(0);
    size_t before = resident();
    unsigned fds = front_open_fds();
    g_autofree uint64_t *nodes = look_up(f, t, folders);
    size_t known = resident();
    g_assert_cmpuint(front_open_fds(), <, LIMIT);
    open_all(f, t, nodes, LIMIT);
    size_t opened = resident();
    g_assert_true(SANITIZED || (opened - before) / t->files < MOST);
    g_assert_true(SANITIZED || opened < known + (4 << 20) + (known - before) / 8);
    forget_all(f, nodes, t->files);
    forget_all(f, folders, (t->files + FOLDER - 1) / FOLDER);
    struct fuse_getattr_in get = { 0 };
    g_assert_cmpint(front_call(f, FUSE_GETATTR, nodes[1], &get, sizeof get, 4096), ==, ESTALE);
    malloc_trim(0);
    size_t after = resident();
    /* what stays: the front's numbers, the table's places and the hash, which do not shrink */
    g_assert_true(SANITIZED || after - MIN(after, before) < (size_t)t->files * 56 + (4 << 20));
    g_assert_cmpuint(front_open_fds(), <=, fds);
    g_test_message(
        "%s: %u files known: %zu bytes each, %zu after all were opened; %zu left when forgotten",
        how, t->files, (known - before) / t->files, (opened - before) / t->files,
        (after - MIN(after, before)) / t->files);
    front_free(f);
}

static void by_names(gconstpointer tree)
{
    many(tree, FS_HANDLES_NEVER, "names");
}

static void by_handles(gconstpointer tree)
{
    if (geteuid())
        g_test_skip("only root can open by file handle");
    else
        many(tree, FS_HANDLES_MANDATORY, "file handles");
}

int main(int argc, char **argv)
{
    struct rlimit limit = { LIMIT, LIMIT };
    g_test_init(&argc, &argv, NULL);
    setrlimit(RLIMIT_NOFILE, &limit);
    Tree *t = make_tree();
    g_test_add_data_func("/fuse/many/names", t, by_names);
    g_test_add_data_func("/fuse/many/handles", t, by_handles);
    int status = g_test_run();
    front_remove(t->dir);
    g_free(t->dir);
    g_free(t);
    return status;
}
