/* SPDX-License-Identifier: MIT */
/*
 * Each operation, on each kind of file and with all sorts of values, through a session and by the
 * same call on the host beside it: two folders alike, one served. errno, what the call gives, and
 * the whole folder afterwards have to be the same. Done as root, as a guest's user, and without
 * rights in a user namespace of one id; with descriptors closed and opened again all the time by
 * file handles, and by names.
 */
#include "fuse/test_same.h"

/* ---- Tables ----------------------------------------------------------------------------- */

static const char *const places[] = { ".", "dir", "sgdir", "sticky", "full", "file", "link" };

/* A folder below t on both sides; false when it is none (both fail then, at the walk). */
static bool place(Pair *p, const char *where, uint64_t *node, int *fd)
{
    uint64_t top = folder(p);
    *node = top;
    if (strcmp(where, ".") && front_lookup(p->f, top, where, node))
        return false;
    *fd = openat(p->host, where, O_PATH | O_NOFOLLOW);
    return *fd >= 0;
}

static void make_things(Pair *p)
{
    static const mode_t modes[] = { 0, 0644, 0777, 01777, 02775, 04755, 07777 };
    static const mode_t types[] = {
        S_IFREG, S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK, S_IFDIR, S_IFLNK
    };
    static const char *const names[] = { "new", "file", "dir", "dangling", "" };
    char long_name[257];
    memset(long_name, 'n', 256);
    long_name[256] = 0;
    for (unsigned w = 0; w < G_N_ELEMENTS(places); w++)
        for (unsigned m = 0; m < G_N_ELEMENTS(modes); m++)
            for (unsigned n = 0; n <= G_N_ELEMENTS(names); n++) {
                const char *name = n < G_N_ELEMENTS(names) ? names[n] : long_name;
                uint64_t node;
                int fd;
                for (unsigned t = 0; t < G_N_ELEMENTS(types); t++) {
                    dev_t rdev = makedev(1, 300);
                    if (!p->devices && (types[t] == S_IFCHR || types[t] == S_IFBLK))
                        continue;
                    if ((n > 2 && t > 1) || (w > 4 && t > 4))
                        continue; /* no guest's kernel asks for a folder or link so */
                    begin(p);
                    if (place(p, places[w], &node, &fd)) {
                        struct fuse_mknod_in in = { .mode = types[t] | modes[m],
                                                    .rdev = (300 & 0xff) | 1 << 8 |
                                                            (300 & ~0xff) << 12 };
                        gave(p->a, front_names(p->f, FUSE_MKNOD, node, &in, sizeof in, name, NULL));
                        HOST_AS(p, mknodat(fd, name, types[t] | modes[m], rdev));
                        close(fd);
                    }
                    end(p, "mknod %s/%s %o", places[w], name, types[t] | modes[m]);
                }
                begin(p);
                if (place(p, places[w], &node, &fd)) {
                    struct fuse_mkdir_in in = { .mode = modes[m] };
                    gave(p->a, front_names(p->f, FUSE_MKDIR, node, &in, sizeof in, name, NULL));
                    HOST_AS(p, mkdirat(fd, name, modes[m]));
                    close(fd);
                }
                end(p, "mkdir %s/%s %o", places[w], name, modes[m]);
                if (m)
                    continue;
                begin(p);
                if (place(p, places[w], &node, &fd)) {
                    gave(p->a, front_names(p->f, FUSE_SYMLINK, node, NULL, 0, name, "some/where"));
                    HOST_AS(p, symlinkat("some/where", fd, name));
                    close(fd);
                }
                end(p, "symlink %s/%s", places[w], name);
            }
}

static void create_files(Pair *p)
{
    static const mode_t modes[] = { 0, 0600, 0666, 02755, 04711, 01777 };
    static const int flags[] = { O_RDONLY,        O_WRONLY,           O_RDWR,
                                 O_RDWR | O_EXCL, O_WRONLY | O_TRUNC, O_RDWR | O_APPEND };
    static const char *const names[] = { "new", "file", "dir", "setuid", "ro" };
    for (unsigned w = 0; w < G_N_ELEMENTS(places); w++)
        for (unsigned m = 0; m < G_N_ELEMENTS(modes); m++)
            for (unsigned g = 0; g < G_N_ELEMENTS(flags); g++)
                for (unsigned n = 0; n < G_N_ELEMENTS(names); n++) {
                    uint64_t node, made, fh;
                    int fd;
                    if (p->f->uid && strcmp(names[n], "new"))
                        continue; /* whose files they are is looked at by the guest's kernel */
                    begin(p);
                    if (place(p, places[w], &node, &fd)) {
                        int e = front_create(p->f, node, names[n], flags[g], modes[m], &made, &fh);
                        gave(p->a, e);
                        if (!e)
                            gave(p->a, front_write(p->f, made, fh, "hello", 5, 0));
                        if (!e)
                            front_release(p->f, fh, false);
                        host_become(p);
                        int made_fd = openat(fd, names[n], flags[g] | O_CREAT | O_NOFOLLOW,
                                             modes[m]);
                        e = made_fd < 0 ? errno : 0;
                        host_back(p);
                        gave(p->b, e);
                        if (!e) {
                            HOST(p, pwrite(made_fd, "hello", 5, 0));
                            close(made_fd);
                        }
                        close(fd);
                    }
                    end(p, "create %s/%s flags %x mode %o", places[w], names[n], flags[g],
                        modes[m]);
                }
}

static void rename_and_link(Pair *p)
{
    static const unsigned flags[] = { 0, RENAME_NOREPLACE, RENAME_EXCHANGE,
                                      RENAME_EXCHANGE | RENAME_NOREPLACE, 1u << 10 };
    for (unsigned a = 0; a < KINDS; a++)
        for (unsigned b = 0; b < KINDS; b++) {
            if (!p->devices && (!strcmp(kinds[a], "dev") || !strcmp(kinds[b], "dev")))
                continue;
            for (unsigned g = 0; g < G_N_ELEMENTS(flags); g++) {
                begin(p);
                uint64_t top = folder(p);
                struct fuse_rename2_in in = { .newdir = top, .flags = flags[g] };
                struct fuse_rename_in old = { .newdir = top };
                gave(p->a, flags[g] ? front_names(p->f, FUSE_RENAME2, top, &in, sizeof in, kinds[a],
                                                  kinds[b])
                                    : front_names(p->f, FUSE_RENAME, top, &old, sizeof old,
                                                  kinds[a], kinds[b]));
                HOST(p, syscall(SYS_renameat2, p->host, kinds[a], p->host, kinds[b], flags[g]));
                end(p, "rename %s %s flags %x", kinds[a], kinds[b], flags[g]);
            }
            begin(p);
            uint64_t top = folder(p), node;
            int e = front_lookup(p->f, top, kinds[a], &node);
            struct fuse_link_in in = { .oldnodeid = node };
            gave(p->a, e ? e : front_names(p->f, FUSE_LINK, top, &in, sizeof in, kinds[b], NULL));
            HOST(p, linkat(p->host, kinds[a], p->host, kinds[b], 0));
            end(p, "link %s %s", kinds[a], kinds[b]);
        }
}

static void remove_things(Pair *p)
{
    for (unsigned w = 0; w < G_N_ELEMENTS(places); w++)
        for (unsigned k = 0; k < KINDS; k++)
            for (unsigned dir = 0; dir < 2; dir++) {
                uint64_t node;
                int fd;
                begin(p);
                if (place(p, places[w], &node, &fd)) {
                    gave(p->a, front_names(p->f, dir ? FUSE_RMDIR : FUSE_UNLINK, node, NULL, 0,
                                           kinds[k], NULL));
                    HOST(p, unlinkat(fd, kinds[k], dir ? AT_REMOVEDIR : 0));
                    close(fd);
                }
                end(p, "%s %s/%s", dir ? "rmdir" : "unlink", places[w], kinds[k]);
            }
}

/* A name on both sides; false when it is missing on both. */
static bool thing(Pair *p, const char *name, uint64_t *node)
{
    struct stat st;
    int e = front_lookup(p->f, folder(p), name, node);
    gave(p->a, e);
    HOST(p, fstatat(p->host, name, &st, AT_SYMLINK_NOFOLLOW));
    return !e;
}

static void change_attributes(Pair *p)
{
    static const mode_t modes[] = { 0, 0644, 01777, 02755, 04711, 06777 };
    static const uint64_t sizes[] = { 0, 1, 100, 4096, 1 << 21, INT64_MAX, UINT64_C(1) << 63 };
    static const struct {
        uint32_t uid, gid;
    } owners[] = { { 0, 0 }, { 1000, 0 }, { UINT32_MAX, 5 }, { 7, UINT32_MAX } };
    uint64_t node;
    for (unsigned k = 0; k < KINDS; k++) {
        for (unsigned i = 0; i < G_N_ELEMENTS(modes); i++) {
            begin(p);
            if (thing(p, kinds[k], &node)) {
                struct fuse_setattr_in in = { .valid = FATTR_MODE, .mode = modes[i] };
                gave(p->a, front_call(p->f, FUSE_SETATTR, node, &in, sizeof in, 4096));
                /* fchmodat without following is not in this C library for all kinds */
                g_autofree char *fd_path = NULL;
                int fd = openat(p->host, kinds[k], O_PATH | O_NOFOLLOW);
                fd_path = g_strdup_printf("/proc/self/fd/%d", fd);
                HOST(p, chmod(fd_path, modes[i]));
                close(fd);
            }
            end(p, "chmod %s %o", kinds[k], modes[i]);
        }
        for (unsigned i = 0; i < G_N_ELEMENTS(owners) && p->devices; i++) {
            begin(p);
            if (thing(p, kinds[k], &node)) {
                struct fuse_setattr_in in = { .uid = owners[i].uid, .gid = owners[i].gid };
                in.valid = (owners[i].uid != UINT32_MAX ? FATTR_UID : 0) |
                           (owners[i].gid != UINT32_MAX ? FATTR_GID : 0);
                gave(p->a, front_call(p->f, FUSE_SETATTR, node, &in, sizeof in, 4096));
                HOST(p, fchownat(p->host, kinds[k], owners[i].uid, owners[i].gid,
                                 AT_SYMLINK_NOFOLLOW));
            }
            end(p, "chown %s %u:%u", kinds[k], owners[i].uid, owners[i].gid);
        }
        for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++) {
            begin(p);
            if (strcmp(kinds[k], "link") && strcmp(kinds[k], "dirlink") &&
                strcmp(kinds[k], "dangling") && strcmp(kinds[k], "loop") &&
                thing(p, kinds[k], &node)) {
                g_autofree char *path = g_build_filename(p->hosts, "t", kinds[k], NULL);
                struct fuse_setattr_in in = { .valid = FATTR_SIZE, .size = sizes[i] };
                int e = front_call(p->f, FUSE_SETATTR, node, &in, sizeof in, 4096);
                gave(p->a, sizes[i] > INT64_MAX && e == EFBIG
                               ? EINVAL
                               : e); /* the host has no such number */
                HOST(p, truncate(path, (off_t)sizes[i]));
            }
            end(p, "truncate %s %llu", kinds[k], (unsigned long long)sizes[i]);
        }
        begin(p);
        if (thing(p, kinds[k], &node)) {
            struct stat st;
            struct timespec t[2] = { { 12345, 678 }, { 99999, 111 } };
            struct fuse_setattr_in in = { .valid = FATTR_ATIME | FATTR_MTIME, .atime = 12345, .atimensec = 678,
                                          .mtime = 99999, .mtimensec = 111 };
            gave(p->a, front_call(p->f, FUSE_SETATTR, node, &in, sizeof in, 4096));
            const struct fuse_attr *at = &FRONT_ANSWER(p->f, fuse_attr_out)->attr;
            g_string_append_printf(p->a, " %u %u %u %u", (unsigned)at->atime, at->atimensec,
                                   (unsigned)at->mtime, at->mtimensec);
            HOST(p, utimensat(p->host, kinds[k], t, AT_SYMLINK_NOFOLLOW));
            fstatat(p->host, kinds[k], &st, AT_SYMLINK_NOFOLLOW);
            g_string_append_printf(p->b, " %u %u %u %u", (unsigned)st.st_atim.tv_sec,
                                   (unsigned)st.st_atim.tv_nsec, (unsigned)st.st_mtim.tv_sec,
                                   (unsigned)st.st_mtim.tv_nsec);
        }
        end(p, "utimens %s", kinds[k]);
    }
}

static void look(Pair *p)
{
    uint64_t node;
    for (unsigned k = 0; k < KINDS; k++) {
        begin(p);
        if (thing(p, kinds[k], &node)) {
            struct stat st;
            char target[4096];
            struct fuse_getattr_in in = { 0 };
            gave(p->a, front_call(p->f, FUSE_GETATTR, node, &in, sizeof in, 4096));
            const struct fuse_attr *at = &FRONT_ANSWER(p->f, fuse_attr_out)->attr;
            st = (struct stat){ .st_mode = at->mode, .st_nlink = at->nlink, .st_uid = at->uid, .st_gid = at->gid,
                                .st_size = (off_t)at->size, .st_rdev = makedev(at->rdev >> 8 & 0xfff, at->rdev & 0xff) };
            tell_attr(p->a, &st);
            HOST(p, fstatat(p->host, kinds[k], &st, AT_SYMLINK_NOFOLLOW));
            tell_attr(p->b, &st);
            gave(p->a, front_call(p->f, FUSE_READLINK, node, NULL, 0, 4096));
            g_string_append_len(p->a, (const char *)p->f->out + 16, (gssize)p->f->got);
            ssize_t n = readlinkat(p->host, kinds[k], target, sizeof target);
            HOST(p, n);
            g_string_append_len(p->b, target, MAX(n, 0));
        }
        end(p, "look at %s", kinds[k]);
    }
}

static void open_and_use(Pair *p)
{
    static const int flags[] = { O_RDONLY,         O_WRONLY,
                                 O_RDWR,           O_WRONLY | O_APPEND,
                                 O_RDWR | O_TRUNC, O_RDONLY | O_NOATIME };
    static const uint64_t offsets[] = {
        0, 1, 50, 99, 100, 4095, 1 << 20, INT64_MAX - 10, UINT64_C(1) << 63
    };
    static const size_t sizes[] = { 0, 1, 100, 5000 };
    char data[5000];
    memset(data, 'w', sizeof data);
    for (unsigned k = 0; k < KINDS; k++)
        for (unsigned g = 0; g < G_N_ELEMENTS(flags); g++)
            for (unsigned o = 0; o < G_N_ELEMENTS(offsets); o++)
                for (unsigned s = 0; s < G_N_ELEMENTS(sizes); s++) {
                    uint64_t node, fh;
                    struct stat st;
                    if (o && fstatat(AT_FDCWD, kinds[k], &st, 0) &&
                        (k == 2 || k == 3 || k >= 16 || (k >= 4 && k < 10)))
                        continue; /* no files: one case is enough */
                    begin(p);
                    p->dirty = true;
                    if (thing(p, kinds[k], &node) &&
                        fstatat(p->host, kinds[k], &st, AT_SYMLINK_NOFOLLOW) == 0 &&
                        S_ISREG(st.st_mode)) {
                        gave(p->a, front_open(p->f, node, flags[g], &fh));
                        int fd = openat(p->host, kinds[k], flags[g]);
                        HOST(p, fd);
                        if (fh) {
                            gave(p->a, front_write(p->f, node, fh, data, sizes[s], offsets[o]));
                            ssize_t n = pwrite(fd, data, sizes[s], (off_t)offsets[o]);
                            HOST(p, n);
                            gave(p->a, front_read(p->f, node, fh, sizes[s] + 20, offsets[o] / 2));
                            g_string_append_len(p->a, (const char *)p->f->out + 16,
                                                (gssize)p->f->got);
                            char back[5100];
                            n = pread(fd, back, sizes[s] + 20, (off_t)(offsets[o] / 2));
                            HOST(p, n);
                            g_string_append_len(p->b, back, MAX(n, 0));
                            front_release(p->f, fh, false);
                        }
                        if (fd >= 0)
                            close(fd);
                    }
                    end(p, "open %s flags %x, write and read %zu at %llu", kinds[k], flags[g],
                        sizes[s], (unsigned long long)offsets[o]);
                }
}

static void ranges(Pair *p)
{
    static const int modes[] = { 0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                 FALLOC_FL_ZERO_RANGE, FALLOC_FL_COLLAPSE_RANGE, FALLOC_FL_INSERT_RANGE, 0x1000 };
    static const int64_t places_[] = { 0, 1, 100, 4096, 1 << 20, (1 << 20) + 1, INT64_MAX, -1 };
    static const int whences[] = { SEEK_SET, SEEK_END, SEEK_DATA, SEEK_HOLE, 99 };
    static const char *const files[] = { "file", "empty", "sparse" };
    for (unsigned k = 0; k < G_N_ELEMENTS(files); k++)
        for (unsigned o = 0; o < G_N_ELEMENTS(places_); o++) {
            uint64_t node, fh, fh2;
            for (unsigned m = 0; m < G_N_ELEMENTS(modes); m++)
                for (unsigned l = 0; l < 4; l++) {
                    static const uint64_t lengths[] = { 0, 10, 4096, UINT64_C(1) << 62 };
                    begin(p);
                    p->dirty = true;
                    if (thing(p, files[k], &node)) {
                        g_assert_cmpint(front_open(p->f, node, O_RDWR, &fh), ==, 0);
                        struct fuse_fallocate_in in = { .fh = fh,
                                                        .offset = (uint64_t)places_[o],
                                                        .length = lengths[l],
                                                        .mode = (uint32_t)modes[m] };
                        gave(p->a, front_call(p->f, FUSE_FALLOCATE, node, &in, sizeof in, 64));
                        int fd = openat(p->host, files[k], O_RDWR);
                        HOST(p, fallocate(fd, modes[m], places_[o], (off_t)lengths[l]));
                        close(fd);
                        front_release(p->f, fh, false);
                    }
                    end(p, "fallocate %s mode %x at %lld, %llu", files[k], modes[m],
                        (long long)places_[o], (unsigned long long)lengths[l]);
                }
            begin(p);
            p->dirty = true;
            if (thing(p, files[k], &node)) {
                g_assert_cmpint(front_open(p->f, node, O_RDWR, &fh), ==, 0);
                int fd = openat(p->host, files[k], O_RDWR);
                for (unsigned w = 0; w < G_N_ELEMENTS(whences); w++) {
                    struct fuse_lseek_in in = { .fh = fh,
                                                .offset = (uint64_t)places_[o],
                                                .whence = (uint32_t)whences[w] };
                    int e = front_call(p->f, FUSE_LSEEK, node, &in, sizeof in, 64);
                    gave(p->a, e);
                    off_t at = lseek(fd, places_[o], whences[w]);
                    HOST(p, at);
                    if (!e)
                        g_string_append_printf(p->a, " %lld", (long long)FRONT_ANSWER(p->f, fuse_lseek_out)->offset);
                    if (at >= 0)
                        g_string_append_printf(p->b, " %lld", (long long)at);
                }
                uint64_t other;
                g_assert_cmpint(front_lookup(p->f, folder(p), "ro", &other), ==, 0);
                g_assert_cmpint(front_open(p->f, other, O_RDONLY, &fh2), ==, 0);
                int fd2 = openat(p->host, "ro", O_RDONLY);
                struct fuse_copy_file_range_in in = { .fh_in = fh2, .off_in = (uint64_t)places_[o] % 7, .nodeid_out = node, .fh_out = fh,
                                                      .off_out = (uint64_t)places_[o], .len = 5 };
                off_t from = (off_t)((uint64_t)places_[o] % 7), to = places_[o];
                gave(p->a, front_call(p->f, FUSE_COPY_FILE_RANGE, other, &in, sizeof in, 64));
                HOST(p, copy_file_range(fd2, &from, fd, &to, 5, 0));
                front_release(p->f, fh2, false);
                front_release(p->f, fh, false);
                close(fd2);
                close(fd);
            }
            end(p, "lseek and copy %s at %lld", files[k], (long long)places_[o]);
        }
}

static void attributes(Pair *p)
{
    static const char *const names[] = { "user.a", "trusted.b", "security.c",
                                         "user.",  "nonsense",  "system.nothing",
                                         "" };
    static const size_t sizes[] = { 0, 1, 1000 };
    static const int flags[] = { 0, XATTR_CREATE, XATTR_REPLACE, 99 };
    char value[1000];
    memset(value, 'v', sizeof value);
    for (unsigned k = 0; k < KINDS; k++)
        for (unsigned n = 0; n < G_N_ELEMENTS(names); n++)
            for (unsigned s = 0; s < G_N_ELEMENTS(sizes); s++)
                for (unsigned g = 0; g < G_N_ELEMENTS(flags); g++) {
                    uint64_t node;
                    begin(p);
                    if (thing(p, kinds[k], &node)) {
                        int fd = openat(p->host, kinds[k], O_PATH | O_NOFOLLOW);
                        g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);
                        for (unsigned twice = 0; twice < 2; twice++) {
                            g_autoptr(GByteArray) arg = g_byte_array_new();
                            struct fuse_setxattr_in in = { .size = (uint32_t)sizes[s],
                                                           .flags = (uint32_t)flags[g] };
                            g_byte_array_append(arg, (guint8 *)&in, sizeof in);
                            g_byte_array_append(arg, (const guint8 *)names[n],
                                                (guint)strlen(names[n]) + 1);
                            g_byte_array_append(arg, (guint8 *)value, (guint)sizes[s]);
                            gave(p->a,
                                 front_call(p->f, FUSE_SETXATTR, node, arg->data, arg->len, 64));
                            HOST(p, setxattr(path, names[n], value, sizes[s], flags[g]));
                        }
                        for (unsigned z = 0; z < 3; z++) {
                            static const uint32_t rooms[] = { 0, 5, 2000 };
                            char back[2000];
                            struct fuse_getxattr_in in = { .size = rooms[z] };
                            gave(p->a, front_names(p->f, FUSE_GETXATTR, node, &in, sizeof in,
                                                   names[n], NULL));
                            HOST(p, getxattr(path, names[n], back, rooms[z]));
                            gave(p->a,
                                 front_call(p->f, FUSE_LISTXATTR, node, &in, sizeof in, 4096));
                            HOST(p, listxattr(path, back, rooms[z]));
                        }
                        if (s == 1) {
                            gave(p->a, front_names(p->f, FUSE_REMOVEXATTR, node, NULL, 0, names[n],
                                                   NULL));
                            HOST(p, removexattr(path, names[n]));
                        }
                        close(fd);
                    }
                    end(p, "xattr %s %s %zu flags %d", kinds[k], names[n], sizes[s], flags[g]);
                }
}

static void list_folders(Pair *p)
{
    for (unsigned k = 0; k < KINDS; k++)
        for (unsigned plus = 0; plus < 2; plus++) {
            static const uint32_t rooms[] = { 200, 400, 1000, 16384 };
            for (unsigned z = 0; z < G_N_ELEMENTS(rooms); z++) {
                uint64_t node, fh;
                uint32_t room = rooms[z] + plus * 200;
                begin(p);
                if (thing(p, kinds[k], &node)) {
                    int e = front_opendir(p->f, node, &fh), n = 0;
                    uint64_t offset = 0, inner = 0;
                    gave(p->a, e);
                    while (!e) {
                        struct fuse_read_in in = { .fh = fh, .offset = offset, .size = room };
                        g_assert_cmpint(front_call(p->f, plus ? FUSE_READDIRPLUS : FUSE_READDIR,
                                                   node, &in, sizeof in, room),
                                        ==, 0);
                        if (!p->f->got)
                            break;
                        for (size_t at = 0; at < p->f->got; n++) {
                            struct fuse_dirent d;
                            memcpy(&d, p->f->out + 16 + at + plus * sizeof(struct fuse_entry_out),
                                   sizeof d);
                            offset = d.off;
                            inner += d.type;
                            at += FUSE_REC_ALIGN(FUSE_NAME_OFFSET + d.namelen +
                                                 plus * sizeof(struct fuse_entry_out));
                        }
                    }
                    g_string_append_printf(p->a, " %d entries %u", n, (unsigned)inner);
                    if (!e)
                        front_release(p->f, fh, true);
                    int fd = openat(p->host, kinds[k], O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
                    e = fd < 0 ? errno : 0;
                    gave(p->b, e);
                    n = 0;
                    inner = 0;
                    DIR *d = fd < 0 ? NULL : fdopendir(fd);
                    for (struct dirent *x; d && (x = readdir(d)) != NULL; n++)
                        inner += x->d_type;
                    g_string_append_printf(p->b, " %d entries %u", n, (unsigned)inner);
                    if (d)
                        closedir(d);
                }
                end(p, "list %s plus %u room %u", kinds[k], plus, room);
            }
        }
}

/* ---- Who runs them --------------------------------------------------------------------------- */

static unsigned run(FsOptions o, uint32_t uid, uint32_t gid, bool devices, bool making_only)
{
    g_autofree char *ours = front_folder(), *hosts = front_folder();
    o.xattr = true;
    umask(0);
    Pair p = { .dirty = true, .f = front_new(ours, o, (FuseOptions){ .cache = FUSE_CACHE_AUTO, .posix_lock = true, .flock = true }),
               .ours = ours, .hosts = hosts, .devices = devices };
    p.a = g_string_new(NULL);
    p.b = g_string_new(NULL);
    p.f->uid = uid;
    p.f->gid = gid;
    make_things(&p);
    create_files(&p);
    if (!making_only) {
        rename_and_link(&p);
        remove_things(&p);
        change_attributes(&p);
        look(&p);
        open_and_use(&p);
        ranges(&p);
        attributes(&p);
        list_folders(&p);
    }
    g_test_message("%u cases, %u differ", p.cases, p.wrong);
    front_free(p.f);
    g_free(p.pristine);
    g_string_free(p.a, TRUE);
    g_string_free(p.b, TRUE);
    front_remove(ours);
    front_remove(hosts);
    return p.wrong;
}

static bool is_root(void)
{
    if (geteuid() == 0)
        return true;
    g_test_skip("only root can be others");
    return false;
}

static void test_plain(void)
{
    bool root = geteuid() == 0;
    g_assert_cmpuint(run((FsOptions){ .one_owner = !root }, root ? 0 : geteuid(),
                         root ? 0 : getegid(), root, false),
                     ==, 0);
}

static void test_user(void)
{
    if (is_root())
        g_assert_cmpuint(run((FsOptions){ 0 }, 1234, 4321, false, true), ==, 0);
}

static void test_few_descriptors(void)
{
    bool root = geteuid() == 0;
    g_assert_cmpuint(run((FsOptions){ .one_owner = !root, .max_fds = 2 }, 0, 0, root, false), ==, 0);
}

static void test_file_handles(void)
{
    if (is_root())
        g_assert_cmpuint(run((FsOptions){ .max_fds = 2, .file_handles = FS_HANDLES_MANDATORY }, 0,
                             0, true, false),
                         ==, 0);
}

static bool put_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY);
    bool good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0)
        close(fd);
    return good;
}

/* A child that is root of a user namespace in which there is nobody else. */
static void test_one_id(void)
{
    pid_t child = fork();
    if (!child) {
        uid_t uid = geteuid() ? geteuid() : 1000;
        gid_t gid = getegid() ? getegid() : 1000;
        if (!geteuid() &&
            (setgroups(0, NULL) || setresgid(gid, gid, gid) || setresuid(uid, uid, uid)))
            _exit(3);
        prctl(PR_SET_DUMPABLE, 1); /* or our maps are root's */
        if (unshare(CLONE_NEWUSER))
            _exit(77);
        g_autofree char *u = g_strdup_printf("0 %u 1", uid), *g = g_strdup_printf("0 %u 1", gid);
        if (!put_text("/proc/self/setgroups", "deny") || !put_text("/proc/self/uid_map", u) ||
            !put_text("/proc/self/gid_map", g))
            _exit(77);
        _exit(run((FsOptions){ 0 }, 0, 0, false, false) != 0);
    }
    int status;
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        g_test_skip("no user namespaces here");
    else
        g_assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/fuse/same/plain", test_plain);
    g_test_add_func("/fuse/same/user", test_user);
    g_test_add_func("/fuse/same/one-id", test_one_id);
    g_test_add_func("/fuse/same/few-descriptors", test_few_descriptors);
    g_test_add_func("/fuse/same/file-handles", test_file_handles);
    return g_test_run();
}
