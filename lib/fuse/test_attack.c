/* SPDX-License-Identifier: MIT */
/* Guests that want out of the shared directory, or the daemon down: names, links and folders
 * exchanged meanwhile, numbers made up, requests cut short, lengths that lie. Beside the shared
 * directory lies a secret that must never be seen. */
#include "fuse/test_front.h"

#include <stdatomic.h>
#include <sys/sysmacros.h>

typedef struct {
    Front *f;
    char *top, *share;
} Place;

static Place begin(void)
{
    Place p = { .top = front_folder() };
    p.share = g_build_filename(p.top, "share", NULL);
    g_autofree char *secret = g_build_filename(p.top, "secret", NULL),
                    *inner = g_build_filename(p.share, "dir", NULL);
    g_autofree char *link = g_build_filename(p.share, "link", NULL);
    g_assert_true(g_file_set_contents(secret, "secret", -1, NULL));
    g_assert_cmpint(mkdir(p.share, 0777), ==, 0);
    g_assert_cmpint(mkdir(inner, 0777), ==, 0);
    g_assert_cmpint(symlink("..", link), ==, 0);
    p.f = front_new(p.share, (FsOptions){ .xattr = true, .one_owner = geteuid() != 0 },
                    (FuseOptions){ .posix_lock = true, .flock = true });
    return p;
}

static void end(Place *p)
{
    g_autofree char *secret = g_build_filename(p->top, "secret", NULL), *text = NULL;
    g_assert_true(g_file_get_contents(secret, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, "secret");
    front_free(p->f);
    front_remove(p->top);
    g_free(p->top);
    g_free(p->share);
}

/* All operations that take a name, with names that lead elsewhere. */
static void test_names(void)
{
    static const char *const names[] = { "..",          ".",     "../secret",   "dir/..", "/",
                                         "/etc/passwd", "dir/x", "link/secret", "",       "./x" };
    Place p = begin();
    Front *f = p.f;
    uint64_t dir;
    g_assert_cmpint(front_lookup(f, FUSE_ROOT_ID, "dir", &dir), ==, 0);
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++)
        for (unsigned d = 0; d < 2; d++) {
            const char *name = names[i];
            uint64_t at = d ? dir : FUSE_ROOT_ID, node, fh;
            int want = *name ? EINVAL : ENOENT;
            struct fuse_mknod_in mknod_in = { .mode = S_IFREG | 0644 };
            struct fuse_mkdir_in mkdir_in = { .mode = 0755 };
            struct fuse_rename_in rename_in = { .newdir = at };
            struct fuse_rename2_in rename2_in = { .newdir = at, .flags = RENAME_EXCHANGE };
            struct fuse_link_in link_in = { .oldnodeid = dir };
            g_assert_cmpint(front_lookup(f, at, name, &node), ==, want);
            g_assert_cmpint(front_names(f, FUSE_MKNOD, at, &mknod_in, sizeof mknod_in, name, NULL),
                            ==, want);
            g_assert_cmpint(front_names(f, FUSE_MKDIR, at, &mkdir_in, sizeof mkdir_in, name, NULL),
                            ==, want);
            g_assert_cmpint(front_names(f, FUSE_SYMLINK, at, NULL, 0, name, "x"), ==, want);
            g_assert_cmpint(front_names(f, FUSE_UNLINK, at, NULL, 0, name, NULL), ==, want);
            g_assert_cmpint(front_names(f, FUSE_RMDIR, at, NULL, 0, name, NULL), ==, want);
            g_assert_cmpint(front_names(f, FUSE_RENAME, at, &rename_in, sizeof rename_in, name, "new"), ==, want);
            g_assert_cmpint(front_names(f, FUSE_RENAME, FUSE_ROOT_ID, &rename_in, sizeof rename_in,
                                        "dir", name),
                            ==, want);
            g_assert_cmpint(front_names(f, FUSE_RENAME2, FUSE_ROOT_ID, &rename2_in,
                                        sizeof rename2_in, "dir", name),
                            ==, want);
            g_assert_cmpint(front_names(f, FUSE_LINK, at, &link_in, sizeof link_in, name, NULL), ==, want);
            g_assert_cmpint(front_create(f, at, name, O_RDWR, 0644, &node, &fh), ==, want);
        }
    end(&p);
}

/* A link is a link: nothing is ever looked up behind it, opened through it, or made in what it
 * points to. */
static void test_links(void)
{
    Place p = begin();
    Front *f = p.f;
    uint64_t link, node, fh;
    g_assert_cmpint(front_lookup(f, FUSE_ROOT_ID, "link", &link), ==, 0);
    g_assert_cmpint(front_lookup(f, link, "secret", &node), ==, ENOTDIR);
    g_assert_cmpint(front_create(f, link, "new", O_RDWR, 0644, &node, &fh), ==, ENOTDIR);
    g_assert_cmpint(front_open(f, link, O_RDONLY, &fh), ==, ELOOP);
    g_assert_cmpint(front_opendir(f, link, &fh), ==, ENOTDIR);
    g_autofree char *to = g_build_filename(p.share, "to", NULL);
    g_assert_cmpint(symlink("../secret", to), ==, 0);
    g_assert_cmpint(front_create(f, FUSE_ROOT_ID, "to", O_RDWR | O_TRUNC, 0644, &node, &fh), ==, ELOOP);
    g_assert_cmpint(front_lookup(f, FUSE_ROOT_ID, "to", &node), ==, 0);
    struct fuse_setattr_in in = { .valid = FATTR_SIZE };
    g_assert_cmpint(front_call(f, FUSE_SETATTR, node, &in, sizeof in, 4096), ==, EINVAL);
    /* devices, FIFOs and sockets are not opened here, whatever the guest asks */
    struct fuse_mknod_in fifo = { .mode = S_IFIFO | 0666 };
    g_assert_cmpint(front_names(f, FUSE_MKNOD, FUSE_ROOT_ID, &fifo, sizeof fifo, "fifo", NULL), ==, 0);
    node = FRONT_ANSWER(f, fuse_entry_out)->nodeid;
    g_assert_cmpint(front_open(f, node, O_RDONLY, &fh), ==, ENXIO);
    g_assert_cmpint(front_create(f, FUSE_ROOT_ID, "fifo", O_RDWR, 0644, &node, &fh), ==, ENXIO);
    end(&p);
}

static atomic_bool stop;

/* A folder, and a link to the folder above the share, change places all the time. */
static void *swap_places(void *opaque)
{
    int at = open(opaque, O_RDONLY | O_DIRECTORY);
    while (!atomic_load(&stop)) {
        renameat2(at, "dir", at, "link", RENAME_EXCHANGE);
        renameat2(at, "file", at, "evil", RENAME_EXCHANGE);
    }
    close(at);
    return NULL;
}

static void test_races(void)
{
    Place p = begin();
    Front *f = p.f;
    struct stat secret, st;
    unsigned opened = 0, found = 0;
    g_autofree char *evil = g_build_filename(p.share, "evil", NULL),
                    *file = g_build_filename(p.share, "file", NULL);
    g_autofree char *path = g_build_filename(p.top, "secret", NULL);
    g_assert_cmpint(symlink("../secret", evil), ==, 0);
    g_assert_true(g_file_set_contents(file, "harmless", -1, NULL));
    g_assert_cmpint(stat(path, &secret), ==, 0);
    atomic_store(&stop, false);
    GThread *t = g_thread_new("swap", swap_places, p.share);
    for (unsigned i = 0; i < 20000; i++) {
        uint64_t node, inner, fh;
        const char *dir = i & 1 ? "dir" : "link", *name = i & 1 ? "file" : "evil";
        if (!front_lookup(f, FUSE_ROOT_ID, dir, &node)) {
            int e = front_lookup(f, node, "secret", &inner);
            g_assert_true(e == ENOENT || e == ENOTDIR);
            found++;
            front_forget(f, node, 1);
        }
        if (front_create(f, FUSE_ROOT_ID, name, O_RDWR, 0600, &node, &fh))
            continue;
        opened++;
        g_assert_cmpint(front_read(f, node, fh, 100, 0), ==, 0);
        g_assert_true(f->got != 6 || memcmp(f->out + 16, "secret", 6));
        struct fuse_getattr_in in = { .getattr_flags = FUSE_GETATTR_FH, .fh = fh };
        g_assert_cmpint(front_call(f, FUSE_GETATTR, node, &in, sizeof in, 4096), ==, 0);
        g_assert_cmpuint(FRONT_ANSWER(f, fuse_attr_out)->attr.ino, !=, secret.st_ino);
        front_release(f, fh, false);
        front_forget(f, node, 1);
    }
    atomic_store(&stop, true);
    g_thread_join(t);
    g_assert_cmpint(stat(path, &st), ==, 0);
    g_assert_cmpint(st.st_mtim.tv_nsec, ==, secret.st_mtim.tv_nsec);
    g_assert_cmpuint(opened, >, 0);
    g_assert_cmpuint(found, >, 0);
    end(&p);
}

/* Numbers that were never given, or are no longer: of nodes and of handles, in every operation. */
static void test_numbers(void)
{
    Place p = begin();
    Front *f = p.f;
    uint64_t node, fh, dir, dh;
    g_assert_cmpint(front_create(f, FUSE_ROOT_ID, "a", O_RDWR, 0644, &node, &fh), ==, 0);
    g_assert_cmpint(front_lookup(f, FUSE_ROOT_ID, "dir", &dir), ==, 0);
    g_assert_cmpint(front_opendir(f, dir, &dh), ==, 0);
    uint64_t old_fh = fh, old_node = node;
    front_release(f, fh, false);
    front_forget(f, node, 1);
    const uint64_t wrong[] = { 0, 2000, UINT32_MAX, UINT64_MAX, UINT64_C(1) << 32, UINT64_C(1) << 63 | 1, old_fh, old_node, dh };
    for (unsigned i = 0; i < G_N_ELEMENTS(wrong); i++)
        for (uint32_t opcode = 0; opcode < 64; opcode++) {
            uint8_t arg[256] = { 0 };
            if (opcode == FUSE_INIT || opcode == FUSE_DESTROY || opcode == FUSE_INTERRUPT)
                continue;
            bool forget = opcode == FUSE_FORGET || opcode == FUSE_BATCH_FORGET;
            memcpy(arg, &wrong[i], 8); /* where most have their handle */
            uint64_t at = wrong[i] == old_fh || wrong[i] == dh ? FUSE_ROOT_ID : wrong[i];
            if (at == FUSE_ROOT_ID &&
                (opcode == FUSE_GETATTR || opcode == FUSE_SETATTR || opcode == FUSE_STATFS ||
                 opcode == FUSE_SYNCFS || opcode == FUSE_OPENDIR || opcode == FUSE_ACCESS ||
                 opcode == FUSE_LISTXATTR || opcode == FUSE_TMPFILE || opcode == FUSE_READLINK))
                continue;
            if (wrong[i] == dh && (opcode == FUSE_READDIR || opcode == FUSE_READDIRPLUS ||
                                   opcode == FUSE_RELEASEDIR || opcode == FUSE_FSYNCDIR))
                continue;
            int e = front_call(f, opcode, at, arg, sizeof arg, 8192);
            if (forget ? e : !e)
                g_error("operation %u on %" G_GUINT64_FORMAT " (number %u) gave %d", opcode, at, i, e);
        }
    /* one that is of another node, or of a folder where a file is wanted */
    struct fuse_getattr_in in = { .getattr_flags = FUSE_GETATTR_FH, .fh = dh };
    g_assert_cmpint(front_call(f, FUSE_GETATTR, FUSE_ROOT_ID, &in, sizeof in, 4096), ==, EBADF);
    g_assert_cmpint(front_read(f, dir, dh, 10, 0), ==, EBADF);
    g_assert_cmpint(front_release(f, dh, false), ==, EBADF);
    /* forgotten more often than known, and the root */
    front_forget(f, dir, UINT64_MAX);
    front_forget(f, FUSE_ROOT_ID, UINT64_MAX);
    struct fuse_getattr_in get = { 0 };
    g_assert_cmpint(front_call(f, FUSE_GETATTR, FUSE_ROOT_ID, &get, sizeof get, 4096), ==, 0);
    g_assert_cmpint(front_release(f, dh, true), ==, 0);
    end(&p);
}

/* Every operation with every length of request and of room; lengths in them that lie. Nothing is
   written behind the room: bytes behind it keep their pattern. */
static void test_lengths(void)
{
    Place p = begin();
    uint8_t in[700], out[4200];
    for (uint32_t opcode = 0; opcode < 64; opcode++)
        for (unsigned size = 0; size < 200; size++)
            for (unsigned k = 0; k < 6; k++) {
                static const unsigned rooms[] = { 0, 8, 16, 17, 120, 4096 };
                struct fuse_in_header h = { .len = k == 5 ? size : k == 4 ? UINT32_MAX : size + (k == 3), .opcode = opcode,
                                            .unique = 7, .nodeid = FUSE_ROOT_ID };
                if (opcode == FUSE_INIT || opcode == FUSE_DESTROY)
                    continue;
                memset(in, 0xff, sizeof in);
                memcpy(in, &h, sizeof h);
                if (size % 2)
                    memset(in + sizeof h, 'a', sizeof in - sizeof h);
                memset(out, 0x5a, sizeof out);
                struct iovec i[2] = { { in, size / 2 }, { in + size / 2, size - size / 2 } };
                struct iovec o[2] = { { out, rooms[k] / 3 },
                                      { out + rooms[k] / 3, rooms[k] - rooms[k] / 3 } };
                size_t done = fuse_session_handle(p.f->session, i, 2, o, 2, FUSE_NO_SLOT);
                g_assert_cmpuint(done, <=, rooms[k]);
                for (unsigned b = rooms[k]; b < sizeof out; b++)
                    g_assert_cmpuint(out[b], ==, 0x5a);
            }
    g_assert_cmpuint(fuse_session_handle(p.f->session, NULL, 0, NULL, 0, FUSE_NO_SLOT), ==, 0);
    end(&p);
}

static void *hammer(void *opaque)
{
    Front *f = opaque;
    GRand *r = g_rand_new_with_seed((guint32)(uintptr_t)f);
    for (unsigned i = 0; i < 6000; i++) {
        char name[8];
        uint64_t node, fh;
        g_snprintf(name, sizeof name, "n%d", g_rand_int_range(r, 0, 20));
        switch (g_rand_int_range(r, 0, 6)) {
        case 0:
            if (!front_create(f, FUSE_ROOT_ID, name, O_RDWR, 0644, &node, &fh)) {
                front_write(f, node, fh, name, 4, 0);
                front_release(f, fh, false);
                front_forget(f, node, 1);
            }
            break;
        case 1:
            front_names(f, FUSE_UNLINK, FUSE_ROOT_ID, NULL, 0, name, NULL);
            break;
        case 2:
            if (!front_lookup(f, FUSE_ROOT_ID, name, &node))
                front_forget(f, node, (uint64_t)g_rand_int_range(r, 1, 3));
            break;
        case 3: {
            struct fuse_rename_in in = { .newdir = FUSE_ROOT_ID };
            front_names(f, FUSE_RENAME, FUSE_ROOT_ID, &in, sizeof in, name, "n0");
            break;
        }
        case 4: /* numbers that others have */
            front_forget(f, (uint64_t)g_rand_int_range(r, 1, 40), 1);
            front_release(f, (uint64_t)g_rand_int_range(r, 1, 20), false);
            break;
        default: {
            struct fuse_getattr_in in = { 0 };
            front_call(f, FUSE_GETATTR, (uint64_t)g_rand_int_range(r, 1, 40), &in, sizeof in, 4096);
            if (!front_opendir(f, FUSE_ROOT_ID, &fh)) {
                struct fuse_read_in read = { .fh = fh, .size = 4096 };
                front_call(f, FUSE_READDIRPLUS, FUSE_ROOT_ID, &read, sizeof read, 4096);
                front_release(f, fh, true);
            }
        }
        }
    }
    g_rand_free(r);
    return NULL;
}

/* Many at once in one session, which also let go what others use; nodes closed and opened again all
 * the while. */
static void test_many_threads(void)
{
    for (unsigned handles = 0; handles < 2; handles++) {
        g_autofree char *dir = front_folder();
        GThread *threads[4];
        Front *copies[4];
        Front *f = front_new(dir, (FsOptions){ .max_fds = 5, .one_owner = geteuid() != 0,
                                               .file_handles = handles ? FS_HANDLES_PREFER : FS_HANDLES_NEVER }, (FuseOptions){ 0 });
        for (unsigned i = 0; i < 4; i++) {
            copies[i] = g_memdup2(f, sizeof *f);
            threads[i] = g_thread_new("hammer", hammer, copies[i]);
        }
        for (unsigned i = 0; i < 4; i++) {
            g_thread_join(threads[i]);
            g_free(copies[i]);
        }
        front_free(f);
        front_remove(dir);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/fuse/attack/names", test_names);
    g_test_add_func("/fuse/attack/links", test_links);
    g_test_add_func("/fuse/attack/races", test_races);
    g_test_add_func("/fuse/attack/numbers", test_numbers);
    g_test_add_func("/fuse/attack/lengths", test_lengths);
    g_test_add_func("/fuse/attack/many-threads", test_many_threads);
    return g_test_run();
}
