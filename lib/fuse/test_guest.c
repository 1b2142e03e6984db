/* SPDX-License-Identifier: MIT */
/* What guests rely on beyond single operations: whose things are, labels, locks, masks, read-only
 * shares, descriptors that stay few, a guest that begins anew. */
#include "fuse/test_front.h"

#include <dirent.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/xattr.h>

static Front *plain(char **dir, FsOptions o, FuseOptions f)
{
    *dir = front_folder();
    umask(0);
    o.one_owner = geteuid() != 0;
    return front_new(*dir, o, f);
}

static void finish(Front *f, char *dir)
{
    front_free(f);
    front_remove(dir);
    g_free(dir);
}

static bool is_root(void)
{
    if (geteuid() == 0)
        return true;
    g_test_skip("only root can be others");
    return false;
}

static mode_t host_mode(const char *dir, const char *name)
{
    struct stat st;
    g_autofree char *path = g_build_filename(dir, name, NULL);
    g_assert_cmpint(lstat(path, &st), ==, 0);
    return st.st_mode & 07777;
}

/* CVE-2022-0358: in a set-gid folder of a group that the user is not in, the file must not keep the
   bit, even when that group is one of the daemon's. */
static void test_setgid(void)
{
    char *dir;
    struct stat st;
    uint64_t node, made, fh;
    if (!is_root())
        return;
    Front *f = plain(&dir, (FsOptions){ 0 }, (FuseOptions){ 0 });
    struct fuse_mkdir_in in = { .mode = 03777 };
    g_assert_cmpint(front_names(f, FUSE_MKDIR, FUSE_ROOT_ID, &in, sizeof in, "d", NULL), ==, 0);
    node = FRONT_ANSWER(f, fuse_entry_out)->nodeid;
    g_autofree char *path = g_build_filename(dir, "d", NULL),
                    *file = g_build_filename(path, "f", NULL);
    g_assert_cmpint(chmod(path, 03777), ==, 0);
    f->uid = f->gid = 1000;
    g_assert_cmpint(front_create(f, node, "f", O_RDWR | O_EXCL, 02755, &made, &fh), ==, 0);
    g_assert_cmpint(stat(file, &st), ==, 0);
    g_assert_cmpuint(st.st_uid, ==, 1000);
    g_assert_cmpuint(st.st_gid, ==, 0);
    g_assert_cmpuint(st.st_mode & 07777, ==, 0755);
    finish(f, dir);
}

/* With the guest's kernel telling that the user is in the folder's group, it is theirs. */
static void test_more_groups(void)
{
    char *dir;
    struct stat st;
    if (!is_root())
        return;
    Front *f = plain(&dir, (FsOptions){ 0 }, (FuseOptions){ 0 });
    g_assert_true((f->flags & UINT64_C(1) << 34) != 0);
    g_autofree char *path = g_build_filename(dir, "d", NULL),
                    *file = g_build_filename(path, "f", NULL);
    g_assert_cmpint(mkdir(path, 0), ==, 0);
    g_assert_cmpint(chown(path, 0, 777), ==, 0);
    g_assert_cmpint(chmod(path, 02775), ==, 0);
    uint64_t node;
    g_assert_cmpint(front_lookup(f, FUSE_ROOT_ID, "d", &node), ==, 0);
    f->uid = f->gid = 1000;
    struct fuse_create_in in = { .flags = O_CREAT | O_RDWR, .mode = 02750 };
    struct { uint32_t size, type, count, gid; } groups = { 16, 32, 1, 777 };
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    g_byte_array_append(bytes, (guint8 *)&in, sizeof in);
    g_byte_array_append(bytes, (const guint8 *)"f", 2);
    g_byte_array_append(bytes, (guint8 *)&groups, sizeof groups);
    g_assert_cmpint(front_call(f, FUSE_CREATE, node, bytes->data, bytes->len, 4096), ==, 0);
    g_assert_cmpint(stat(file, &st), ==, 0);
    g_assert_cmpuint(st.st_uid, ==, 1000);
    g_assert_cmpuint(st.st_gid, ==, 777);
    g_assert_cmpuint(st.st_mode & 07777, ==, 02750);
    finish(f, dir);
}

/* Writers without privileges take set-id bits away, and root's writes leave them, as on the host.
 */
static void test_killpriv(void)
{
    char *dir;
    uint64_t node, fh;
    if (!is_root())
        return;
    Front *f = plain(&dir, (FsOptions){ 0 }, (FuseOptions){ .killpriv_v2 = true });
    g_assert_true((f->flags & FUSE_HANDLE_KILLPRIV_V2) != 0);
    for (unsigned kill = 0; kill < 2; kill++) {
        static const mode_t want[] = { 06755, 0755 };
        g_assert_cmpint(front_create(f, FUSE_ROOT_ID, kill ? "b" : "a", O_RDWR, 06755, &node, &fh),
                        ==, 0);
        struct {
            struct fuse_write_in in;
            char data[8];
        } w = { .in = { .fh = fh, .size = 1, .write_flags = kill ? FUSE_WRITE_KILL_SUIDGID : 0 },
                .data = "x" };
        g_assert_cmpint(front_call(f, FUSE_WRITE, node, &w, sizeof w.in + 1, 64), ==, 0);
        g_assert_cmpuint(host_mode(dir, kill ? "b" : "a"), ==, want[kill]);
        struct fuse_setattr_in set = {
            .valid = FATTR_SIZE | FATTR_MODE | (kill ? FATTR_KILL_SUIDGID : 0), .mode = 06755
        };
        g_assert_cmpint(front_call(f, FUSE_SETATTR, node, &set, sizeof set, 4096), ==, 0);
        g_assert_cmpuint(host_mode(dir, kill ? "b" : "a"), ==, want[kill]);
    }
    finish(f, dir);
}

static GByteArray *with_label(const void *fixed, size_t size, const char *name, const char *more,
                              const char *label_name, const char *label)
{
    GByteArray *b = g_byte_array_new();
    size_t label_size = strlen(label) + 1;
    struct fuse_secctx ctx = { .size = (uint32_t)label_size };
    struct fuse_secctx_header h = { .nr_secctx = 1 };
    static const guint8 zeros[8];
    h.size = (uint32_t)FUSE_REC_ALIGN(sizeof h + sizeof ctx + strlen(label_name) + 1 + label_size);
    if (size)
        g_byte_array_append(b, fixed, (guint)size);
    g_byte_array_append(b, (const guint8 *)name, (guint)strlen(name) + 1);
    if (more)
        g_byte_array_append(b, (const guint8 *)more, (guint)strlen(more) + 1);
    guint at = b->len;
    g_byte_array_append(b, (guint8 *)&h, sizeof h);
    g_byte_array_append(b, (guint8 *)&ctx, sizeof ctx);
    g_byte_array_append(b, (const guint8 *)label_name, (guint)strlen(label_name) + 1);
    g_byte_array_append(b, (const guint8 *)label, (guint)label_size);
    g_byte_array_append(b, zeros, h.size - (b->len - at));
    return b;
}

/* The names of folder dir, of which watchers were told that their attributes changed after they
 * were there. */
static char *told_of(int watch)
{
    char buffer[4096] __attribute__((aligned(8)));
    GString *names = g_string_new(NULL);
    ssize_t n = read(watch, buffer, sizeof buffer);
    for (char *at = buffer; n > 0 && at < buffer + n;) {
        struct inotify_event e;
        memcpy(&e, at, sizeof e);
        if ((e.mask & IN_ATTRIB) && e.len && at[sizeof e] != '#')
            g_string_append_printf(names, "%s ", at + sizeof e);
        at += sizeof e + e.len;
    }
    return g_string_free(names, FALSE);
}

/* Labels (row F2): on what is made, under the name that the map gives, seen on the host and by the
   guest; nothing is left when it cannot be set. */
static void test_labels(void)
{
    char *dir, value[100];
    GError *error = NULL;
    if (!is_root())
        return;
    FsXattrMap *map = fs_xattr_map_parse(":map:security.selinux:trusted.fsd.:", &error);
    g_assert_no_error(error);
    Front *f = plain(&dir, (FsOptions){ .xattr = true, .xattr_map = map },
                     (FuseOptions){ .security_label = true });
    g_assert_true((f->flags & FUSE_SECURITY_CTX) != 0);
    f->uid = f->gid = 1000;
    struct fuse_create_in create = { .flags = O_CREAT | O_RDWR, .mode = 0600 };
    struct fuse_mkdir_in mkdir_in = { .mode = 0700 };
    struct fuse_mknod_in mknod_in = { .mode = S_IFREG | 0600 };
    const struct { unsigned opcode; const void *fixed; size_t size; const char *name, *more;
    } all[] = { { FUSE_CREATE, &create, sizeof create, "file", NULL },
                { FUSE_MKDIR, &mkdir_in, sizeof mkdir_in, "dir", NULL },
                { FUSE_MKNOD, &mknod_in, sizeof mknod_in, "node", NULL },
                { FUSE_SYMLINK, NULL, 0, "link", "to" } };
    int watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    g_assert_cmpint(inotify_add_watch(watch, dir, IN_ATTRIB), >=, 0);
    for (unsigned i = 0; i < G_N_ELEMENTS(all); i++) {
        g_autoptr(GByteArray) b = with_label(all[i].fixed, all[i].size, all[i].name, all[i].more,
                                             "security.selinux", "label:t:s0");
        g_assert_cmpint(front_call(f, all[i].opcode, FUSE_ROOT_ID, b->data, b->len, 4096), ==, 0);
        uint64_t node = FRONT_ANSWER(f, fuse_entry_out)->nodeid;
        g_autofree char *path = g_build_filename(dir, all[i].name, NULL);
        g_assert_cmpint(lgetxattr(path, "trusted.fsd.security.selinux", value, sizeof value), ==, 11);
        g_assert_cmpstr(value, ==, "label:t:s0");
        struct fuse_getxattr_in get = { .size = 100 };
        g_assert_cmpint(front_names(f, FUSE_GETXATTR, node, &get, sizeof get, "security.selinux", NULL), ==, 0);
        g_assert_cmpuint(f->got, ==, 11);
        struct stat st;
        g_assert_cmpint(lstat(path, &st), ==, 0);
        g_assert_cmpuint(st.st_uid, ==, 1000);
    }
    /* a file has its label before it has its name; the others get it at once */
    g_autofree char *told = told_of(watch);
    close(watch);
    g_assert_cmpstr(told, ==, "dir node link ");
    /* one that is there is not made anew */
    g_autoptr(GByteArray) again =
        with_label(&create, sizeof create, "file", NULL, "security.selinux", "other:t:s0");
    g_assert_cmpint(front_call(f, FUSE_CREATE, FUSE_ROOT_ID, again->data, again->len, 4096), ==, 0);
    g_autofree char *there = g_build_filename(dir, "file", NULL);
    g_assert_cmpint(lgetxattr(there, "trusted.fsd.security.selinux", value, sizeof value), ==, 11);
    /* one that the host refuses: a name that is none */
    g_autoptr(GByteArray) b = with_label(&mkdir_in, sizeof mkdir_in, "not", NULL, "nonsense", "x");
    g_assert_cmpint(front_call(f, FUSE_MKDIR, FUSE_ROOT_ID, b->data, b->len, 4096), ==, EOPNOTSUPP);
    g_autofree char *not = g_build_filename(dir, "not", NULL);
    g_assert_cmpint(access(not, F_OK), ==, -1);
    finish(f, dir);
    fs_xattr_map_free(map);
    /* off by default, and an error without attributes */
    f = plain(&dir, (FsOptions){ .xattr = true }, (FuseOptions){ 0 });
    g_assert_true((f->flags & FUSE_SECURITY_CTX) == 0);
    finish(f, dir);
    f = plain(&dir, (FsOptions){ 0 }, (FuseOptions){ .security_label = true });
    g_assert_cmpint(front_call(f, FUSE_MKDIR, FUSE_ROOT_ID, b->data, b->len, 4096), ==, EOPNOTSUPP);
    finish(f, dir);
}

/* The kernel's own label, told beforehand (tests/soak/fs-labels has a kernel with a policy, which
   forbids to change labels: a file made first and labelled then would be an error). */
static void test_labels_lsm(void)
{
    char *dir, value[100];
    const char *label = g_getenv("FUSE_TEST_LABEL");
    if (!label) {
        g_test_skip("FUSE_TEST_LABEL does not name a label of this host");
        return;
    }
    Front *f = plain(&dir, (FsOptions){ .xattr = true }, (FuseOptions){ .security_label = true });
    struct fuse_create_in create = { .flags = O_CREAT | O_RDWR, .mode = 0600 };
    struct fuse_mkdir_in mkdir_in = { .mode = 0700 };
    struct fuse_mknod_in fifo = { .mode = S_IFIFO | 0600 };
    const struct {
        unsigned opcode;
        const void *fixed;
        size_t size;
        const char *name, *more;
    } all[] = { { FUSE_CREATE, &create, sizeof create, "file", NULL },
                { FUSE_MKDIR, &mkdir_in, sizeof mkdir_in, "dir", NULL },
                { FUSE_MKNOD, &fifo, sizeof fifo, "fifo", NULL },
                { FUSE_SYMLINK, NULL, 0, "link", "to" } };
    for (unsigned i = 0; i < G_N_ELEMENTS(all) * 2; i++) {
        unsigned k = i % G_N_ELEMENTS(all);
        g_autofree char *name = g_strdup_printf("%s%u", all[k].name, i),
                        *path = g_build_filename(dir, name, NULL);
        f->uid = f->gid = i < G_N_ELEMENTS(all) ? 0 : 1000;
        g_autoptr(GByteArray) b =
            with_label(all[k].fixed, all[k].size, name, all[k].more, "security.selinux", label);
        g_assert_cmpint(front_call(f, all[k].opcode, FUSE_ROOT_ID, b->data, b->len, 4096), ==, 0);
        g_assert_cmpint(lgetxattr(path, "security.selinux", value, sizeof value), ==,
                        strlen(label) + 1);
        g_assert_cmpstr(value, ==, label);
    }
    /* the next one has no label of this one's */
    uint64_t node, fh;
    f->uid = f->gid = 0;
    g_assert_cmpint(front_create(f, FUSE_ROOT_ID, "plain", O_RDWR, 0600, &node, &fh), ==, 0);
    g_autofree char *path = g_build_filename(dir, "plain", NULL);
    g_assert_cmpint(lgetxattr(path, "security.selinux", value, sizeof value), >, 0);
    g_assert_cmpstr(value, !=, label);
    g_assert_cmpint(setxattr(path, "security.selinux", label, strlen(label) + 1, 0), ==, -1);
    g_assert_cmpint(errno, ==, EACCES);
    finish(f, dir);
}

/* Guests before 7.36 send 16 bytes, and get no flags of the upper half. */
static void test_old_init(void)
{
    char *dir;
    Front *f = plain(&dir, (FsOptions){ .xattr = true }, (FuseOptions){ .security_label = true });
    struct fuse_init_in in = {
        .major = 7, .minor = 31, .max_readahead = 4096, .flags = UINT32_MAX & ~FUSE_INIT_EXT
    };
    g_assert_cmpint(front_call(f, FUSE_INIT, 0, &in, 16, 4096), ==, 0);
    const struct fuse_init_out *out = FRONT_ANSWER(f, fuse_init_out);
    g_assert_cmpuint(f->got, ==, sizeof *out);
    g_assert_cmpuint(out->flags2, ==, 0);
    g_assert_cmpuint(out->flags & FUSE_INIT_EXT, ==, 0);
    in.major = 8;
    g_assert_cmpint(front_call(f, FUSE_INIT, 0, &in, sizeof in, 4096), ==, 0);
    g_assert_cmpuint(out->major, ==, 7);
    in.major = 6;
    g_assert_cmpint(front_call(f, FUSE_INIT, 0, &in, sizeof in, 4096), ==, EPROTO);
    finish(f, dir);
}

static int set_lock(Front *f, unsigned opcode, uint64_t node, uint64_t fh, uint64_t owner,
                    unsigned type, uint64_t from, uint64_t to, bool flock_)
{
    struct fuse_lk_in in = { .fh = fh,
                             .owner = owner,
                             .lk = { .start = from, .end = to, .type = type },
                             .lk_flags = flock_ ? FUSE_LK_FLOCK : 0 };
    return front_call(f, opcode, node, &in, sizeof in, 4096);
}

/* Two guests and the host on one file. */
static void test_locks(void)
{
    char *dir;
    uint64_t a, b, fa, fb;
    FuseOptions o = { .posix_lock = true, .flock = true };
    Front *f = plain(&dir, (FsOptions){ 0 }, o), *g = front_new(dir, (FsOptions){ 0 }, o);
    g_assert_cmpint(front_create(f, FUSE_ROOT_ID, "f", O_RDWR, 0666, &a, &fa), ==, 0);
    g_assert_cmpint(front_lookup(g, FUSE_ROOT_ID, "f", &b), ==, 0);
    g_assert_cmpint(front_open(g, b, O_RDWR, &fb), ==, 0);
    g_assert_cmpint(set_lock(f, FUSE_SETLK, a, fa, 1, F_WRLCK, 10, 19, false), ==, 0);
    g_assert_cmpint(set_lock(f, FUSE_SETLK, a, fa, 2, F_WRLCK, 15, 15, false), ==, EAGAIN);
    g_assert_cmpint(set_lock(g, FUSE_SETLK, b, fb, 1, F_RDLCK, 0, INT64_MAX, false), ==, EAGAIN);
    g_assert_cmpint(set_lock(g, FUSE_SETLK, b, fb, 1, F_WRLCK, 20, INT64_MAX, false), ==, 0);
    g_assert_cmpint(set_lock(g, FUSE_GETLK, b, fb, 1, F_WRLCK, 0, 100, false), ==, 0);
    const struct fuse_lk_out *out = FRONT_ANSWER(g, fuse_lk_out);
    g_assert_cmpuint(out->lk.type, ==, F_WRLCK);
    g_assert_cmpuint(out->lk.start, ==, 10);
    g_assert_cmpuint(out->lk.end, ==, 19);
    g_autofree char *path = g_build_filename(dir, "f", NULL);
    int fd = open(path, O_RDWR);
    struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 12, .l_len = 1 };
    g_assert_cmpint(fcntl(fd, F_OFD_SETLK, &l), ==, -1);
    struct fuse_flush_in flush = { .fh = fa, .lock_owner = 1 };
    g_assert_cmpint(front_call(f, FUSE_FLUSH, a, &flush, sizeof flush, 16), ==, 0);
    g_assert_cmpint(fcntl(fd, F_OFD_SETLK, &l), ==, 0);
    g_assert_cmpint(set_lock(f, FUSE_SETLK, a, fa, 1, F_WRLCK, 5, 4, false), ==, EINVAL);
    g_assert_cmpint(set_lock(f, FUSE_SETLK, a, fa, 1, 77, 0, 4, false), ==, EINVAL);
    g_assert_cmpint(set_lock(f, FUSE_SETLK, a, fb + 100, 1, F_WRLCK, 0, 4, false), ==, EBADF);
    /* flock */
    g_assert_cmpint(set_lock(f, FUSE_SETLK, a, fa, 1, F_WRLCK, 0, 0, true), ==, 0);
    g_assert_cmpint(set_lock(g, FUSE_SETLK, b, fb, 1, F_RDLCK, 0, 0, true), ==, EAGAIN);
    g_assert_cmpint(flock(fd, LOCK_EX | LOCK_NB), ==, -1);
    front_release(f, fa, false);
    g_assert_cmpint(flock(fd, LOCK_EX | LOCK_NB), ==, 0);
    close(fd);
    front_free(g);
    finish(f, dir);
}

typedef struct {
    Front *f;
    uint64_t node, fh;
    bool flock;
    uint64_t unique; /* of its request */
    _Atomic int result;
} Waiter;

static void *wait_for_lock(void *opaque)
{
    Waiter *w = opaque;
    w->result = set_lock(w->f, FUSE_SETLKW, w->node, w->fh, 9, F_WRLCK, 0, 100, w->flock);
    return NULL;
}

enum { FREED, ALL_END, GIVEN_UP, WAYS };

/* Until the waiter has its answer: it may only just be about to wait. */
static void end_wait(Front *f, uint64_t a, uint64_t fa, const Waiter *w, int way)
{
    for (bool first = true; w->result == -1; first = false) {
        if (way == ALL_END)
            fuse_session_interrupt(f->session);
        else if (way == FREED && first)
            g_assert_cmpint(set_lock(f, FUSE_SETLK, a, fa, 1, F_UNLCK, 0, INT64_MAX, w->flock), ==,
                            0);
        else if (way == GIVEN_UP && first) {
            struct fuse_interrupt_in in = { .unique = w->unique };
            struct fuse_in_header h = { .len = sizeof h + sizeof in,
                                        .opcode = FUSE_INTERRUPT,
                                        .unique = ++f->unique };
            struct iovec iov[2] = { { &h, sizeof h }, { &in, sizeof in } };
            g_assert_cmpuint(fuse_session_handle(f->session, iov, 2, NULL, 0, FUSE_NO_SLOT), ==, 0);
        }
        g_usleep(1000);
    }
}

/* One that waits gets it when it is free, and ends when everything does or the guest gives it up.
 */
static void test_waiting(void)
{
    char *dir;
    uint64_t a, fa, fb;
    for (int i = 0; i < WAYS * 4; i++) {
        int way = i / 4;
        Front *f =
            plain(&dir, (FsOptions){ 0 }, (FuseOptions){ .posix_lock = true, .flock = true });
        g_assert_cmpint(front_create(f, FUSE_ROOT_ID, "f", O_RDWR, 0666, &a, &fa), ==, 0);
        g_assert_cmpint(front_open(f, a, O_RDWR, &fb), ==, 0);
        g_assert_cmpint(set_lock(f, FUSE_SETLK, a, fa, 1, F_WRLCK, 0, 10, i & 1), ==, 0);
        Front *other = g_memdup2(f, sizeof *f);
        other->unique += 1000;
        Waiter w = { other, a, fb, i & 1, other->unique + 1, -1 };
        GThread *t = g_thread_new("waits", wait_for_lock, &w);
        g_usleep(i & 2 ? 20000 : 0);
        g_assert_cmpint(w.result, ==, -1);
        end_wait(f, a, fa, &w, way);
        g_thread_join(t);
        g_assert_cmpint(w.result, ==, way == FREED ? 0 : EINTR);
        g_free(other);
        finish(f, dir);
    }
}

/* With ACLs the mask is ours to apply, and a default ACL takes its place. */
static void test_masks(void)
{
    static const uint8_t acl[] = {
        2, 0, 0,   0,   1,   0,   7,  0, 255, 255, 255, 255, 4,   0,
        7, 0, 255, 255, 255, 255, 32, 0, 5,   0,   255, 255, 255, 255
    }; /* u::rwx g::rwx o::r-x */
    char *dir;
    uint64_t node, fh;
    Front *f = plain(&dir, (FsOptions){ .xattr = true, .posix_acl = true },
                     (FuseOptions){ .posix_acl = true });
    g_assert_true((f->flags & FUSE_DONT_MASK) != 0);
    g_autofree char *sub = g_build_filename(dir, "sub", NULL);
    g_assert_cmpint(mkdir(sub, 0777), ==, 0);
    struct fuse_create_in in = { .flags = O_CREAT | O_RDWR, .mode = 0666, .umask = 027 };
    g_assert_cmpint(front_names(f, FUSE_CREATE, FUSE_ROOT_ID, &in, sizeof in, "a", NULL), ==, 0);
    g_assert_cmpuint(host_mode(dir, "a"), ==, 0640);
    if (setxattr(sub, "system.posix_acl_default", acl, sizeof acl, 0))
        g_test_message("no ACLs here");
    else {
        g_assert_cmpint(front_lookup(f, FUSE_ROOT_ID, "sub", &node), ==, 0);
        g_assert_cmpint(front_names(f, FUSE_CREATE, node, &in, sizeof in, "b", NULL), ==, 0);
        g_assert_cmpuint(host_mode(sub, "b"), ==, 0664);
    }
    finish(f, dir);
    /* without them the guest's kernel did it, and ACLs are neither seen nor set */
    f = plain(&dir, (FsOptions){ .xattr = true }, (FuseOptions){ 0 });
    g_assert_cmpint(front_create(f, FUSE_ROOT_ID, "a", O_RDWR, 0666, &node, &fh), ==, 0);
    g_assert_cmpuint(host_mode(dir, "a"), ==, 0666);
    struct fuse_getxattr_in get = { .size = 100 };
    g_assert_cmpint(front_names(f, FUSE_GETXATTR, node, &get, sizeof get, "system.posix_acl_access", NULL), ==, EOPNOTSUPP);
    finish(f, dir);
}

static void test_readonly(void)
{
    char *dir = front_folder();
    uint64_t node, fh;
    g_autofree char *file = g_build_filename(dir, "f", NULL);
    g_assert_true(g_file_set_contents(file, "text", 4, NULL));
    Front *f = front_new(dir, (FsOptions){ .readonly = true, .xattr = true }, (FuseOptions){ 0 });
    g_assert_cmpint(front_lookup(f, FUSE_ROOT_ID, "f", &node), ==, 0);
    g_assert_cmpint(front_open(f, node, O_RDWR, &fh), ==, EROFS);
    g_assert_cmpint(front_open(f, node, O_RDONLY | O_TRUNC, &fh), ==, EROFS);
    g_assert_cmpint(front_open(f, node, O_RDONLY, &fh), ==, 0);
    g_assert_cmpint(front_read(f, node, fh, 100, 0), ==, 0);
    g_assert_cmpuint(f->got, ==, 4);
    g_assert_cmpint(front_write(f, node, fh, "x", 1, 0), ==, EBADF);
    g_assert_cmpint(front_create(f, FUSE_ROOT_ID, "g", O_RDWR, 0666, &node, &fh), ==, EROFS);
    g_assert_cmpint(front_names(f, FUSE_UNLINK, FUSE_ROOT_ID, NULL, 0, "f", NULL), ==, EROFS);
    finish(f, dir);
}

/* Many files that the guest knows of, few descriptors; each is found again, also when folders were
 * renamed meanwhile. */
static void many(FsFileHandles handles, unsigned files)
{
    char *dir;
    Front *f = plain(&dir, (FsOptions){ .max_fds = 50, .file_handles = handles },
                     (FuseOptions){ 0 });
    g_autofree uint64_t *nodes = g_new0(uint64_t, files);
    unsigned before = front_open_fds();
    uint64_t sub = 0, fh;
    for (unsigned i = 0; i < files; i++) {
        char name[32];
        if (i % 500 == 0) {
            struct fuse_mkdir_in in = { .mode = 0755 };
            g_snprintf(name, sizeof name, "dir%u", i / 500);
            g_assert_cmpint(front_names(f, FUSE_MKDIR, FUSE_ROOT_ID, &in, sizeof in, name, NULL),
                            ==, 0);
            sub = FRONT_ANSWER(f, fuse_entry_out)->nodeid;
        }
        g_snprintf(name, sizeof name, "file%u", i);
        g_assert_cmpint(front_create(f, sub, name, O_RDWR, 0644, &nodes[i], &fh), ==, 0);
        g_assert_cmpint(front_write(f, nodes[i], fh, name, strlen(name), 0), ==, 0);
        g_assert_cmpint(front_release(f, fh, false), ==, 0);
    }
    g_assert_cmpuint(front_open_fds(), <, before + 60);
    struct fuse_rename_in in = { .newdir = FUSE_ROOT_ID };
    g_assert_cmpint(front_names(f, FUSE_RENAME, FUSE_ROOT_ID, &in, sizeof in, "dir0", "moved"), ==, 0);
    g_assert_cmpint(front_names(f, FUSE_RENAME, FUSE_ROOT_ID, &in, sizeof in, "dir1", "dir0"), ==, 0);
    for (unsigned k = 0; k < files; k++) {
        unsigned i = (unsigned)((uint64_t)k * 7919 % files);
        char name[32];
        g_snprintf(name, sizeof name, "file%u", i);
        g_assert_cmpint(front_open(f, nodes[i], O_RDONLY, &fh), ==, 0);
        g_assert_cmpint(front_read(f, nodes[i], fh, 100, 0), ==, 0);
        g_assert_cmpmem(f->out + 16, f->got, name, strlen(name));
        front_release(f, fh, false);
    }
    g_assert_cmpuint(front_open_fds(), <, before + 60);
    /* unlinked by the guest, which still has it */
    uint64_t moved;
    g_assert_cmpint(front_lookup(f, FUSE_ROOT_ID, "moved", &moved), ==, 0);
    g_assert_cmpint(front_names(f, FUSE_UNLINK, moved, NULL, 0, "file3", NULL), ==, 0);
    struct fuse_getattr_in get = { 0 };
    g_assert_cmpint(front_call(f, FUSE_GETATTR, nodes[3], &get, sizeof get, 4096), ==,
                    handles == FS_HANDLES_NEVER ? 0 : ESTALE);
    /* forgotten ones are gone, and all are when the guest begins anew */
    front_forget(f, nodes[5], 1);
    g_assert_cmpint(front_call(f, FUSE_GETATTR, nodes[5], &get, sizeof get, 4096), ==, ESTALE);
    front_hello(f);
    g_assert_cmpint(front_call(f, FUSE_GETATTR, nodes[6], &get, sizeof get, 4096), ==, ESTALE);
    g_assert_cmpuint(front_open_fds(), <, before + 3);
    finish(f, dir);
}

/* Folders are known before what is in them, so they are the oldest; those above one in use stay
 * open. */
static void test_deep(void)
{
    enum { TREES = 25, DEPTH = 10, FILES = 4 };
    char *dir, name[16];
    for (unsigned handles = 0; handles < 2; handles++) {
        Front *f = plain(&dir, (FsOptions){ .max_fds = 20, .file_handles = handles ? FS_HANDLES_PREFER : FS_HANDLES_NEVER },
                         (FuseOptions){ 0 });
        uint64_t node = FUSE_ROOT_ID, file, fh, last[TREES * DEPTH];
        unsigned before = front_open_fds();
        for (unsigned d = 0; d < TREES * DEPTH; d++) {
            struct fuse_mkdir_in in = { .mode = 0755 };
            g_snprintf(name, sizeof name, "sub%u", d);
            if (d % DEPTH == 0)
                node = FUSE_ROOT_ID;
            g_assert_cmpint(front_names(f, FUSE_MKDIR, node, &in, sizeof in, name, NULL), ==, 0);
            node = FRONT_ANSWER(f, fuse_entry_out)->nodeid;
            for (unsigned i = 0; i < FILES; i++) {
                g_snprintf(name, sizeof name, "f%u", i);
                g_assert_cmpint(front_create(f, node, name, O_RDWR, 0644, &file, &fh), ==, 0);
                front_release(f, fh, false);
                last[d] = file;
            }
            g_assert_cmpuint(front_open_fds(), <, before + 25 + DEPTH);
        }
        for (unsigned d = TREES * DEPTH; d-- > 0;) {
            g_assert_cmpint(front_open(f, last[d * 7 % (TREES * DEPTH)], O_RDONLY, &fh), ==, 0);
            front_release(f, fh, false);
            g_assert_cmpuint(front_open_fds(), <, before + 25 + DEPTH);
        }
        finish(f, dir);
    }
}

static void test_many_names(void)
{
    many(FS_HANDLES_NEVER, 3000);
}

static void test_many_handles(void)
{
    if (is_root())
        many(FS_HANDLES_MANDATORY, 3000);
}

/* More folders half read than may keep what was read: each goes on where it was. */
static void test_many_listings(void)
{
    enum { FOLDERS = 700, FILES = 60 };
    char *dir;
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = MIN(limit.rlim_max, 8192); /* a quarter is for handles */
    setrlimit(RLIMIT_NOFILE, &limit);
    Front *f = plain(&dir, (FsOptions){ 0 }, (FuseOptions){ 0 });
    g_autofree uint64_t *fh = g_new0(uint64_t, FOLDERS), *offset = g_new0(uint64_t, FOLDERS);
    g_autofree unsigned *seen = g_new0(unsigned, FOLDERS);
    for (unsigned i = 0; i < FILES; i++) {
        g_autofree char *path = g_strdup_printf("%s/a-file-of-some-length-%u", dir, i);
        g_assert_true(g_file_set_contents(path, "", 0, NULL));
    }
    for (unsigned i = 0; i < FOLDERS; i++)
        if (front_opendir(f, FUSE_ROOT_ID, &fh[i])) /* the limit of descriptors may be low */
            break;
    for (unsigned round = 0; round < FILES; round++)
        for (unsigned i = 0; i < FOLDERS && fh[i]; i++) {
            struct fuse_read_in in = { .fh = fh[i], .offset = offset[i], .size = 500 };
            g_assert_cmpint(front_call(f, FUSE_READDIR, FUSE_ROOT_ID, &in, sizeof in, 500), ==, 0);
            for (size_t at = 0; at < f->got; seen[i]++) {
                struct fuse_dirent d;
                memcpy(&d, f->out + 16 + at, sizeof d);
                offset[i] = d.off;
                at += FUSE_REC_ALIGN(FUSE_NAME_OFFSET + d.namelen);
            }
        }
    for (unsigned i = 0; i < FOLDERS && fh[i]; i++) {
        g_assert_cmpuint(seen[i], ==, FILES + 2);
        front_release(f, fh[i], true);
    }
    g_assert_cmpuint(seen[0], ==, FILES + 2);
    finish(f, dir);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/fuse/guest/setgid", test_setgid);
    g_test_add_func("/fuse/guest/more-groups", test_more_groups);
    g_test_add_func("/fuse/guest/killpriv", test_killpriv);
    g_test_add_func("/fuse/guest/labels", test_labels);
    g_test_add_func("/fuse/guest/labels-lsm", test_labels_lsm);
    g_test_add_func("/fuse/guest/old-init", test_old_init);
    g_test_add_func("/fuse/guest/locks", test_locks);
    g_test_add_func("/fuse/guest/waiting", test_waiting);
    g_test_add_func("/fuse/guest/masks", test_masks);
    g_test_add_func("/fuse/guest/readonly", test_readonly);
    g_test_add_func("/fuse/guest/deep", test_deep);
    g_test_add_func("/fuse/guest/many-names", test_many_names);
    g_test_add_func("/fuse/guest/many-handles", test_many_handles);
    g_test_add_func("/fuse/guest/many-listings", test_many_listings);
    return g_test_run();
}
