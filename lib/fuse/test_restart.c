/* SPDX-License-Identifier: MIT */
/*
 * Daemons that are killed at any moment: guests do as guests' kernels do (look a name up, then make, rename or remove it), each
 * in a folder of its own, and the same on the host in a twin of that folder. Each answer has to be the host's, whoever
 * gave it, and so have what files hold and the folders in the end. RESTART_KILLS=N for more of them, RESTART_DIR for another
 * file system.
 */
#include "fuse/test_restart.h"

#include <dirent.h>
#include <ftw.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#define NAMES "abcdef"
enum { OPEN = 6, FOLDERS = 3 };

typedef struct {
    uint64_t fh, node;
    int fd;      /* the twin's */
    bool append;
} Opened;

typedef struct {
    uint64_t node;
    int fd;      /* of the twin */
} Folder;

typedef struct {
    Caller c;
    GRand *rand;
    Opened open[OPEN];
    unsigned opened;
    Folder folders[FOLDERS];
    unsigned known;
    unsigned ops;
    GHashTable *counts; /* node -> lookups */
} Guest;

static unsigned pick(Guest *g, unsigned n)
{
    return (unsigned)g_rand_int_range(g->rand, 0, (int)n);
}

static void counted(Guest *g, uint64_t node)
{
    uint64_t n = GPOINTER_TO_SIZE(g_hash_table_lookup(g->counts, GSIZE_TO_POINTER(node)));
    g_hash_table_insert(g->counts, GSIZE_TO_POINTER(node), GSIZE_TO_POINTER(n + 1));
}

static uint64_t entry_node(Guest *g)
{
    struct fuse_entry_out out;
    memcpy(&out, answer_of(&g->c), sizeof out);
    counted(g, out.nodeid);
    return out.nodeid;
}

/* 0 and the node, or an errno that is the twin's, too. */
static int look(Guest *g, const Folder *f, const char *name, uint64_t *node, mode_t *mode)
{
    struct stat st;
    int host = fstatat(f->fd, name, &st, AT_SYMLINK_NOFOLLOW) ? errno : 0;
    int e = call(&g->c, FUSE_LOOKUP, f->node, NULL, 0, name, NULL);
    if (e != host)
        g_printerr("guest %u, %u operations, folder %u of %u, node %#lx: %s\n", g->c.number, g->ops,
                   (unsigned)(f - g->folders), g->known, (unsigned long)f->node, name);
    g_assert_cmpint(e, ==, host);
    if (e)
        return e;
    *node = entry_node(g);
    struct fuse_entry_out out;
    memcpy(&out, answer_of(&g->c), sizeof out);
    g_assert_cmpuint(out.attr.mode, ==, st.st_mode);
    g_assert_cmpuint(out.attr.nlink, ==, st.st_nlink);
    if (S_ISREG(st.st_mode))
        g_assert_cmpuint(out.attr.size, ==, (uint64_t)st.st_size);
    *mode = st.st_mode;
    return 0;
}

static void same(int e, int host)
{
    g_assert_cmpint(e, ==, host < 0 ? errno : 0);
}

/* ---- What guests do ----------------------------------------------------------------- */

static void do_create(Guest *g, Folder *f, const char *name)
{
    mode_t mode;
    uint64_t node;
    int how = pick(g, 2) ? O_APPEND : 0;
    static const mode_t modes[] = { 0644, 0600, 0444 };
    struct fuse_create_in in = { .flags = (uint32_t)(O_RDWR | O_CREAT | O_EXCL | how), .mode = S_IFREG | modes[pick(g, 3)] };
    if (g->opened == OPEN || !look(g, f, name, &node, &mode))
        return;
    int e = call(&g->c, FUSE_CREATE, f->node, &in, sizeof in, name, NULL);
    int fd = openat(f->fd, name, (int)in.flags, in.mode & 07777);
    same(e, fd);
    if (e)
        return;
    struct fuse_open_out out;
    memcpy(&out, (const uint8_t *)answer_of(&g->c) + sizeof(struct fuse_entry_out), sizeof out);
    g->open[g->opened++] = (Opened){ out.fh, entry_node(g), fd, how };
}

static void do_open(Guest *g, Folder *f, const char *name)
{
    mode_t mode;
    uint64_t node;
    int how = (pick(g, 2) ? O_APPEND : 0) | (pick(g, 4) ? 0 : O_TRUNC);
    struct fuse_open_in in = { .flags = (uint32_t)(O_RDWR | how) };
    if (g->opened == OPEN || look(g, f, name, &node, &mode) || !S_ISREG(mode))
        return;
    int e = call(&g->c, FUSE_OPEN, node, &in, sizeof in, NULL, NULL);
    int fd = openat(f->fd, name, (int)in.flags);
    same(e, fd);
    if (e)
        return;
    struct fuse_open_out out;
    memcpy(&out, answer_of(&g->c), sizeof out);
    g->open[g->opened++] = (Opened){ out.fh, node, fd, (how & O_APPEND) != 0 };
}

static void do_release(Guest *g)
{
    unsigned i = pick(g, g->opened);
    struct fuse_release_in in = { .fh = g->open[i].fh };
    g_assert_cmpint(call(&g->c, FUSE_RELEASE, g->open[i].node, &in, sizeof in, NULL, NULL), ==, 0);
    close(g->open[i].fd);
    g->open[i] = g->open[--g->opened];
}

static void do_write(Guest *g)
{
    const Opened *o = &g->open[pick(g, g->opened)];
    struct stat st;
    g_assert_cmpint(fstat(o->fd, &st), ==, 0);
    uint32_t size = 1 + pick(g, 6000);
    uint64_t at = o->append ? (uint64_t)st.st_size : pick(g, 20000);
    g_autofree uint8_t *arg = g_malloc(sizeof(struct fuse_write_in) + size);
    struct fuse_write_in in = { .fh = o->fh, .offset = at, .size = size };
    memcpy(arg, &in, sizeof in);
    for (uint32_t i = 0; i < size; i++)
        arg[sizeof in + i] = (uint8_t)g_rand_int(g->rand);
    g_assert_cmpint(call(&g->c, FUSE_WRITE, o->node, arg, sizeof in + size, NULL, NULL), ==, 0);
    g_assert_cmpint(pwrite(o->fd, arg + sizeof in, size, (off_t)at), ==, (ssize_t)size);
}

/* Cut to a size, or with blocks taken out or put in, where the file system can. */
static void do_cut(Guest *g)
{
    const Opened *o = &g->open[pick(g, g->opened)];
    static const int modes[] = { FALLOC_FL_COLLAPSE_RANGE, FALLOC_FL_INSERT_RANGE };
    struct fuse_setattr_in cut = { .valid = FATTR_SIZE | FATTR_FH, .fh = o->fh, .size = pick(g, 30000) };
    struct fuse_fallocate_in in = { .fh = o->fh, .mode = (uint32_t)modes[pick(g, 2)], .offset = pick(g, 3) * 4096,
                                    .length = 4096 };
    if (pick(g, 3) == 0) {
        int e = call(&g->c, FUSE_SETATTR, o->node, &cut, sizeof cut, NULL, NULL);
        same(e, ftruncate(o->fd, (off_t)cut.size));
        return;
    }
    int e = call(&g->c, FUSE_FALLOCATE, o->node, &in, sizeof in, NULL, NULL);
    same(e, fallocate(o->fd, (int)in.mode, (off_t)in.offset, (off_t)in.length));
}

static void do_read(Guest *g)
{
    const Opened *o = &g->open[pick(g, g->opened)];
    struct fuse_read_in in = { .fh = o->fh, .size = 60000, .offset = pick(g, 2) ? 0 : pick(g, 20000) };
    g_autofree uint8_t *is = g_malloc(in.size);
    g_assert_cmpint(call(&g->c, FUSE_READ, o->node, &in, sizeof in, NULL, NULL), ==, 0);
    ssize_t n = pread(o->fd, is, in.size, (off_t)in.offset);
    g_assert_cmpuint(answer_size(&g->c), ==, (size_t)n);
    g_assert_cmpint(memcmp(answer_of(&g->c), is, (size_t)n), ==, 0);
}

static void do_getattr(Guest *g)
{
    const Opened *o = &g->open[pick(g, g->opened)];
    struct stat st;
    struct fuse_attr_out out;
    struct fuse_getattr_in in = { .getattr_flags = FUSE_GETATTR_FH, .fh = o->fh };
    g_assert_cmpint(call(&g->c, FUSE_GETATTR, o->node, &in, sizeof in, NULL, NULL), ==, 0);
    memcpy(&out, answer_of(&g->c), sizeof out);
    g_assert_cmpint(fstat(o->fd, &st), ==, 0);
    g_assert_cmpuint(out.attr.nlink, ==, st.st_nlink);
    g_assert_cmpuint(out.attr.size, ==, (uint64_t)st.st_size);
    g_assert_cmpuint(out.attr.mode, ==, st.st_mode);
}

static void do_attribute(Guest *g)
{
    const Opened *o = &g->open[pick(g, g->opened)];
    char name[] = "user.x";
    name[5] = (char)('a' + pick(g, 2));
    if (pick(g, 2)) {
        int e = call(&g->c, FUSE_REMOVEXATTR, o->node, NULL, 0, name, NULL);
        same(e, fremovexattr(o->fd, name));
        return;
    }
    struct fuse_setxattr_in in = { .size = 6, .flags = pick(g, 2) ? XATTR_CREATE : XATTR_REPLACE };
    int e = call(&g->c, FUSE_SETXATTR, o->node, &in, sizeof in, name, "value");
    same(e, fsetxattr(o->fd, name, "value", 6, (int)in.flags));
}

static void do_make(Guest *g, Folder *f, const char *name)
{
    mode_t mode;
    uint64_t node;
    if (!look(g, f, name, &node, &mode))
        return;
    struct fuse_mkdir_in dir = { .mode = 0755 };
    struct fuse_mknod_in special = { .mode = S_IFIFO | 0600 };
    g_autofree char *target = g_strdup_printf("to/%.*s", 1 + (int)pick(g, 90), NAMES NAMES NAMES NAMES NAMES NAMES NAMES NAMES
                                              NAMES NAMES NAMES NAMES NAMES NAMES NAMES NAMES);
    int e;
    switch (pick(g, 3)) {
    case 0:
        e = call(&g->c, FUSE_MKDIR, f->node, &dir, sizeof dir, name, NULL);
        same(e, mkdirat(f->fd, name, 0755));
        if (!faccessat(f->fd, name, F_OK, 0) && g->known < FOLDERS)
            g->folders[g->known++] = (Folder){ entry_node(g), openat(f->fd, name, O_RDONLY | O_DIRECTORY) };
        return;
    case 1:
        e = call(&g->c, FUSE_MKNOD, f->node, &special, sizeof special, name, NULL);
        same(e, mknodat(f->fd, name, special.mode, 0));
        return;
    default:
        e = call(&g->c, FUSE_SYMLINK, f->node, NULL, 0, name, target);
        same(e, symlinkat(target, f->fd, name));
    }
}

static void do_remove(Guest *g, Folder *f, const char *name)
{
    mode_t mode;
    uint64_t node;
    if (look(g, f, name, &node, &mode))
        return;
    bool dir = S_ISDIR(mode);
    int e = call(&g->c, dir ? FUSE_RMDIR : FUSE_UNLINK, f->node, NULL, 0, name, NULL);
    same(e, unlinkat(f->fd, name, dir ? AT_REMOVEDIR : 0));
    for (unsigned i = 1; !e && i < g->known; i++)
        if (g->folders[i].node == node) {
            close(g->folders[i].fd);
            g->folders[i] = g->folders[--g->known];
        }
}

static void do_rename(Guest *g, Folder *f, const char *name)
{
    mode_t mode, there;
    uint64_t node, other = 0;
    static const unsigned how[] = { 0, 0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE };
    Folder *to = &g->folders[pick(g, g->known)];
    char new_name[2] = { NAMES[pick(g, 6)], 0 };
    struct fuse_rename2_in in = { .newdir = to->node, .flags = how[pick(g, 5)] };
    if (look(g, f, name, &node, &mode))
        return;
    int e = look(g, to, new_name, &other, &there);
    if ((!e && in.flags == RENAME_NOREPLACE) || (e && in.flags == RENAME_EXCHANGE))
        return; /* the guest's kernel sees to that itself */
    e = call(&g->c, FUSE_RENAME2, f->node, &in, sizeof in, name, new_name);
    same(e, (int)syscall(SYS_renameat2, f->fd, name, to->fd, new_name, in.flags));
    for (unsigned i = 1; !e && in.flags != RENAME_EXCHANGE && other != node && i < g->known; i++)
        if (g->folders[i].node == other) { /* it was empty, and is replaced */
            close(g->folders[i].fd);
            g->folders[i] = g->folders[--g->known];
        }
}

static void do_link(Guest *g, Folder *f, const char *name)
{
    mode_t mode;
    uint64_t node, other;
    Folder *to = &g->folders[pick(g, g->known)];
    char new_name[2] = { NAMES[pick(g, 6)], 0 };
    struct fuse_link_in in = { 0 };
    if (look(g, f, name, &node, &mode) || S_ISDIR(mode) || !look(g, to, new_name, &other, &mode))
        return;
    in.oldnodeid = node;
    int e = call(&g->c, FUSE_LINK, to->node, &in, sizeof in, new_name, NULL);
    same(e, linkat(f->fd, name, to->fd, new_name, 0));
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static char *sorted(GPtrArray *names)
{
    qsort(names->pdata, names->len, sizeof names->pdata[0], by_name);
    g_ptr_array_add(names, NULL);
    return g_strjoinv(" ", (char **)names->pdata);
}

static char *host_names(int folder)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    DIR *d = fdopendir(openat(folder, ".", O_RDONLY | O_DIRECTORY));
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        g_ptr_array_add(names, g_strdup(e->d_name));
    closedir(d);
    return sorted(names);
}

static void do_list(Guest *g, Folder *f)
{
    struct fuse_open_in open = { 0 };
    struct fuse_open_out out;
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    g_assert_cmpint(call(&g->c, FUSE_OPENDIR, f->node, &open, sizeof open, NULL, NULL), ==, 0);
    memcpy(&out, answer_of(&g->c), sizeof out);
    struct fuse_read_in in = { .fh = out.fh, .size = 64 }; /* two or three at a time */
    for (;;) {
        g_assert_cmpint(call(&g->c, FUSE_READDIR, f->node, &in, sizeof in, NULL, NULL), ==, 0);
        const uint8_t *p = answer_of(&g->c), *end = p + answer_size(&g->c);
        if (p == end)
            break;
        for (struct fuse_dirent d; p < end; p += FUSE_DIRENT_SIZE(&d)) {
            memcpy(&d, p, FUSE_NAME_OFFSET);
            g_ptr_array_add(names, g_strndup((const char *)p + FUSE_NAME_OFFSET, d.namelen));
            in.offset = d.off;
        }
    }
    struct fuse_release_in release = { .fh = out.fh };
    g_assert_cmpint(call(&g->c, FUSE_RELEASEDIR, f->node, &release, sizeof release, NULL, NULL), ==, 0);
    g_autofree char *is = sorted(names), *want = host_names(f->fd);
    g_assert_cmpstr(is, ==, want);
}

/* All counts that are of nothing held, at once. */
static void do_forget(Guest *g)
{
    GHashTableIter i;
    gpointer node, count;
    g_hash_table_iter_init(&i, g->counts);
    while (g_hash_table_iter_next(&i, &node, &count)) {
        struct fuse_forget_in in = { GPOINTER_TO_SIZE(count) };
        bool held = false;
        for (unsigned k = 0; k < g->opened; k++)
            held |= g->open[k].node == GPOINTER_TO_SIZE(node);
        for (unsigned k = 0; k < g->known; k++)
            held |= g->folders[k].node == GPOINTER_TO_SIZE(node);
        if (held)
            continue;
        call(&g->c, FUSE_FORGET, GPOINTER_TO_SIZE(node), &in, sizeof in, NULL, NULL);
        g_hash_table_iter_remove(&i);
    }
}

static void do_one(Guest *g)
{
    unsigned what = pick(g, 17);
    Folder *f = &g->folders[pick(g, g->known)];
    char name[2] = { NAMES[pick(g, 6)], 0 };
    switch (what) {
    case 0: case 1: do_create(g, f, name); break;
    case 2: do_open(g, f, name); break;
    case 3: case 4: do_make(g, f, name); break;
    case 5: case 6: do_remove(g, f, name); break;
    case 7: case 8: do_rename(g, f, name); break;
    case 9: do_link(g, f, name); break;
    case 10: do_list(g, f); break;
    case 11: if (g->opened) do_release(g); break;
    case 12: if (g->opened) do_read(g); break;
    case 13: if (g->opened) do_getattr(g); break;
    case 14: if (g->opened) do_attribute(g); break;
    case 15: if (g->opened) do_cut(g); break;
    default: if (g->opened) do_write(g);
    }
    if (++g->ops % 200 == 0)
        do_forget(g);
}

static unsigned wanted_kills(void)
{
    const char *n = g_getenv("RESTART_KILLS");
    return n ? (unsigned)strtoul(n, NULL, 10) : 400;
}

static void *guest_body(void *opaque)
{
    Guest *g = opaque;
    unsigned kills = wanted_kills();
    while (atomic_load(&g->c.shared->kills) < kills)
        do_one(g);
    return NULL;
}

/* ---- All of it ----------------------------------------------------------------------------- */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(path);
}

static void start_guest(Guest *g, Keeper *k, unsigned number, pid_t keeper)
{
    g_autofree char *name = g_strdup_printf("g%u", number);
    struct fuse_mkdir_in in = { .mode = 0755 };
    *g = (Guest){ .c = { .shared = k->shared, .number = number, .unique = number * UINT64_C(1000000000000), .keeper = keeper },
                  .rand = g_rand_new_with_seed(g_test_rand_int()) };
    g->counts = g_hash_table_new(NULL, NULL);
    g_assert_cmpint(call(&g->c, FUSE_MKDIR, FUSE_ROOT_ID, &in, sizeof in, name, NULL), ==, 0);
    g_autofree char *twin = g_strdup_printf("%s/../twin/%s", k->dir, name);
    g_assert_cmpint(mkdir(twin, 0755), ==, 0);
    g->folders[g->known++] = (Folder){ entry_node(g), open(twin, O_RDONLY | O_DIRECTORY) };
}

static void end_guest(Guest *g)
{
    while (g->opened)
        do_release(g);
    for (unsigned i = 0; i < g->known; i++)
        close(g->folders[i].fd);
    g->known = 0;
    do_forget(g);
    g_hash_table_destroy(g->counts);
    g_rand_free(g->rand);
}

static void run_guests(Keeper *k, pid_t keeper)
{
    static const struct fuse_init_in init = { .major = 7, .minor = 38, .flags = INT32_MAX, .flags2 = UINT32_MAX };
    Guest guests[GUESTS];
    pthread_t threads[GUESTS];
    Caller first = { .shared = k->shared, .keeper = keeper };
    g_assert_cmpint(call(&first, FUSE_INIT, 0, &init, sizeof init, NULL, NULL), ==, 0);
    for (unsigned i = 0; i < GUESTS; i++)
        start_guest(&guests[i], k, i, keeper);
    for (unsigned i = 0; i < GUESTS; i++)
        g_assert_cmpint(pthread_create(&threads[i], NULL, guest_body, &guests[i]), ==, 0);
    for (unsigned i = 0; i < GUESTS; i++)
        pthread_join(threads[i], NULL);
    unsigned ops = 0;
    for (unsigned i = 0; i < GUESTS; i++) {
        ops += guests[i].ops;
        end_guest(&guests[i]);
    }
    g_test_message("%u kills, %u operations, %u requests", atomic_load(&k->shared->kills), ops,
                   atomic_load(&k->shared->served));
}

static void test_kills(gconstpointer data)
{
    const char *where = g_getenv("RESTART_DIR");
    g_autofree char *top = g_build_filename(where ? where : "/dev/shm", "fuse-restart-XXXXXX", NULL);
    g_assert_nonnull(mkdtemp(top));
    g_autofree char *dir = g_build_filename(top, "share", NULL), *twin = g_build_filename(top, "twin", NULL);
    g_autofree char *path = g_build_filename(top, "keeper", NULL);
    g_assert_cmpint(mkdir(dir, 0755) | mkdir(twin, 0755), ==, 0);
    umask(0);
    Keeper *k = g_new0(Keeper, 1);
    k->dir = dir;
    k->path = path;
    k->shared = shared_new();
    k->shared->least_us = g_getenv("SLOW") ? 300000 : 10;
    k->shared->most_us = g_getenv("SLOW") ? 300001 : 3000;
    k->fs = *(const FsOptions *)data;
    pid_t keeper = keeper_start(k);
    run_guests(k, keeper);
    keeper_end(k, keeper);
    const char *argv[] = { "diff", "-r", "--no-dereference", dir, twin, NULL };
    int status = -1;
    g_autofree char *out = NULL;
    /* diff would wait for the other end of a FIFO */
    const char *clean[] = { "find", dir, twin, "-type", "p", "-exec", "sh", "-c",
                            "for f; do rm \"$f\" && echo fifo >\"$f\"; done", "sh", "{}", "+", NULL };
    g_assert_true(g_spawn_sync(NULL, (char **)clean, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, &status, NULL));
    g_assert_cmpint(status, ==, 0);
    g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &out, NULL, &status, NULL));
    g_assert_cmpstr(out, ==, "");
    g_assert_cmpint(status, ==, 0);
    munmap(k->shared, sizeof *k->shared);
    g_free(k);
    nftw(top, remove_one, 32, FTW_DEPTH | FTW_PHYS);
}

int main(int argc, char **argv)
{
    static const FsOptions by_name_ = { .xattr = true }, few = { .max_fds = 4, .xattr = true },
                           by_handle = { .xattr = true, .file_handles = FS_HANDLES_PREFER };
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/fuse/restart/kills/names", &by_name_, test_kills);
    g_test_add_data_func("/fuse/restart/kills/few-descriptors", &few, test_kills);
    g_test_add_data_func("/fuse/restart/kills/file-handles", &by_handle, test_kills);
    return g_test_run();
}
