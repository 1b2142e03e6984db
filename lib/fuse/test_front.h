/* SPDX-License-Identifier: MIT */
/* A guest's side of FUSE for tests: requests in pieces of odd lengths into a session, answers out
 * of others. */
#pragma once

#include "fuse/fuse.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/fuse.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct {
    Fs *fs;
    FuseSession *session;
    char *dir;
    uint32_t uid, gid;
    uint64_t unique;
    uint64_t flags;   /* what INIT agreed on */
    uint8_t out[1 << 17];
    size_t got;       /* bytes of the answer behind its header, in out + 16 */
} Front;

#define FRONT_ANSWER(f, type)                                                                      \
    ((const struct type *)(void *)((f)->out + sizeof(struct fuse_out_header)))

/* Cuts size bytes at p into pieces; their number. */
static inline int front_cut(void *p, size_t size, struct iovec *iov, int max, size_t first)
{
    int n = 0;
    size_t at = 0, piece = first;
    while (at < size && n < max) {
        size_t len = n == max - 1 || piece > size - at ? size - at : piece;
        iov[n++] = (struct iovec){ (uint8_t *)p + at, len };
        at += len;
        piece = piece * 2 + 3;
    }
    return n;
}

/* One request of any bytes behind its header. 0, or a positive errno. */
static inline int front_call(Front *f, uint32_t opcode, uint64_t node, const void *arg, size_t size,
                             size_t room)
{
    struct iovec in[16], out[16];
    struct fuse_in_header h = { .len = (uint32_t)(sizeof h + size), .opcode = opcode, .unique = ++f->unique,
                                .nodeid = node, .uid = f->uid, .gid = f->gid, .pid = 1 };
    g_autofree uint8_t *bytes = g_malloc(sizeof h + size);
    memcpy(bytes, &h, sizeof h);
    if (size)
        memcpy(bytes + sizeof h, arg, size);
    int n_in = front_cut(bytes, sizeof h + size, in, 16, 1 + f->unique % 50);
    g_assert_cmpuint(room + 16, <=, sizeof f->out);
    memset(f->out, 0xa5, 16);
    int n_out = front_cut(f->out, room + 16, out, 16, 1 + f->unique % 30);
    size_t done = fuse_session_handle(f->session, in, n_in, out, n_out, FUSE_NO_SLOT);
    if (opcode == FUSE_FORGET || opcode == FUSE_BATCH_FORGET) {
        g_assert_cmpuint(done, ==, 0);
        return 0;
    }
    struct fuse_out_header o;
    memcpy(&o, f->out, sizeof o);
    g_assert_cmpuint(o.len, ==, done);
    g_assert_cmpuint(o.unique, ==, f->unique);
    g_assert_cmpuint(done, <=, room + 16);
    g_assert_true(o.error <= 0 && (!o.error || done == sizeof o));
    f->got = done - sizeof o;
    return -o.error;
}

/* A fixed part and up to two strings. */
static inline int front_names(Front *f, uint32_t opcode, uint64_t node, const void *fixed,
                              size_t size, const char *a, const char *b)
{
    size_t n_a = a ? strlen(a) + 1 : 0, n_b = b ? strlen(b) + 1 : 0;
    g_autofree uint8_t *arg = g_malloc(size + n_a + n_b + 1);
    if (size)
        memcpy(arg, fixed, size);
    if (a)
        memcpy(arg + size, a, n_a);
    if (b)
        memcpy(arg + size + n_a, b, n_b);
    return front_call(f, opcode, node, arg, size + n_a + n_b, 8192);
}

static inline void front_hello(Front *f)
{
    struct fuse_init_in in = {
        .major = 7, .minor = 38, .max_readahead = 1 << 20, .flags = INT32_MAX, .flags2 = UINT32_MAX
    };
    g_assert_cmpint(front_call(f, FUSE_INIT, 0, &in, sizeof in, 4096), ==, 0);
    const struct fuse_init_out *out = FRONT_ANSWER(f, fuse_init_out);
    g_assert_cmpuint(out->major, ==, 7);
    f->flags = out->flags | (uint64_t)out->flags2 << 32;
}

/* Serves dir, which stays the caller's. */
static inline Front *front_new(const char *dir, FsOptions fs_options, FuseOptions options)
{
    Front *f = g_new0(Front, 1);
    GError *error = NULL;
    f->dir = g_strdup(dir);
    fs_options.root = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    g_assert_cmpint(fs_options.root, >=, 0);
    f->fs = fs_new(&fs_options, &error);
    g_assert_no_error(error);
    close(fs_options.root);
    f->session = fuse_session_new(f->fs, &options, &error);
    g_assert_no_error(error);
    front_hello(f);
    return f;
}

static inline void front_free(Front *f)
{
    fuse_session_free(f->session);
    fs_free(f->fs);
    g_free(f->dir);
    g_free(f);
}

static inline int front_lookup(Front *f, uint64_t parent, const char *name, uint64_t *node)
{
    int e = front_names(f, FUSE_LOOKUP, parent, NULL, 0, name, NULL);
    *node = e ? 0 : FRONT_ANSWER(f, fuse_entry_out)->nodeid;
    return e;
}

/* "a/b/c" below the root. */
static inline int front_walk(Front *f, const char *path, uint64_t *node)
{
    g_auto(GStrv) part = g_strsplit(path, "/", -1);
    *node = FUSE_ROOT_ID;
    for (unsigned i = 0; part[i]; i++) {
        int e = *part[i] ? front_lookup(f, *node, part[i], node) : 0;
        if (e)
            return e;
    }
    return 0;
}

static inline int front_open(Front *f, uint64_t node, int flags, uint64_t *fh)
{
    struct fuse_open_in in = { .flags = (uint32_t)flags };
    int e = front_call(f, FUSE_OPEN, node, &in, sizeof in, 4096);
    *fh = e ? 0 : FRONT_ANSWER(f, fuse_open_out)->fh;
    g_assert_true(e || *fh);
    return e;
}

static inline int front_opendir(Front *f, uint64_t node, uint64_t *fh)
{
    struct fuse_open_in in = { 0 };
    int e = front_call(f, FUSE_OPENDIR, node, &in, sizeof in, 4096);
    *fh = e ? 0 : FRONT_ANSWER(f, fuse_open_out)->fh;
    g_assert_true(e || *fh);
    return e;
}

static inline int front_release(Front *f, uint64_t fh, bool dir)
{
    struct fuse_release_in in = { .fh = fh };
    return front_call(f, dir ? FUSE_RELEASEDIR : FUSE_RELEASE, 0, &in, sizeof in, 16);
}

static inline int front_create(Front *f, uint64_t parent, const char *name, int flags, mode_t mode,
                               uint64_t *node, uint64_t *fh)
{
    struct fuse_create_in in = { .flags = (uint32_t)flags | O_CREAT, .mode = mode };
    int e = front_names(f, FUSE_CREATE, parent, &in, sizeof in, name, NULL);
    *node = e ? 0 : FRONT_ANSWER(f, fuse_entry_out)->nodeid;
    *fh = e ? 0
            : ((const struct fuse_open_out *)(void *)(f->out + 16 + sizeof(struct fuse_entry_out)))
                  ->fh;
    return e;
}

static inline int front_write(Front *f, uint64_t node, uint64_t fh, const void *data, size_t size,
                              uint64_t offset)
{
    g_autofree uint8_t *arg = g_malloc(sizeof(struct fuse_write_in) + size);
    struct fuse_write_in in = { .fh = fh, .offset = offset, .size = (uint32_t)size };
    memcpy(arg, &in, sizeof in);
    memcpy(arg + sizeof in, data, size);
    return front_call(f, FUSE_WRITE, node, arg, sizeof in + size, 64);
}

static inline int front_read(Front *f, uint64_t node, uint64_t fh, size_t size, uint64_t offset)
{
    struct fuse_read_in in = { .fh = fh, .offset = offset, .size = (uint32_t)size };
    return front_call(f, FUSE_READ, node, &in, sizeof in, size);
}

static inline void front_forget(Front *f, uint64_t node, uint64_t count)
{
    struct fuse_forget_in in = { count };
    front_call(f, FUSE_FORGET, node, &in, sizeof in, 16);
}

/* ---- Folders of tests ----------------------------------------------------------- */

static inline int front_remove_one(const char *path, const struct stat *st, int type,
                                   struct FTW *ftw)
{
    return remove(path);
}

static inline void front_remove(const char *dir)
{
    nftw(dir, front_remove_one, 32, FTW_DEPTH | FTW_PHYS);
}

static inline unsigned front_open_fds(void)
{
    unsigned n = 0;
    DIR *d = opendir("/proc/self/fd");
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static inline char *front_folder(void)
{
    const char *where = g_getenv("FUSE_TEST_DIR"); /* memory by default, as disks make thousands of cases slow */
    char *dir = g_build_filename(where ? where : access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm", "fuse-test-XXXXXX", NULL);
    g_assert_nonnull(mkdtemp(dir));
    g_assert_cmpint(chmod(dir, 0777), ==, 0);
    return dir;
}
