/* SPDX-License-Identifier: MIT */
/*
 * Requests of any bytes, several in a row to one session on a folder in memory: nothing outside the
 * answer's room is written (the room ends where an allocation does, which the sanitizer watches),
 * and nothing outside the folder is changed or seen. A record is operation, node, room, length, and
 * the bytes behind the request's header.
 */
#include "fuse/test_front.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct {
    Fs *fs;
    FuseSession *session;
    char *top, *share;
} World;

static World begin(uint8_t how)
{
    World w = { .top = front_folder() };
    FsOptions o = { .one_owner = true, .xattr = true, .posix_acl = how & 1, .writeback = how & 2, .submounts = true,
                    .max_fds = how & 4 ? 2 : 100, .file_handles = how & 8 ? FS_HANDLES_PREFER : FS_HANDLES_NEVER };
    FuseOptions f = { .cache = how & 2 ? FUSE_CACHE_ALWAYS : FUSE_CACHE_AUTO, .writeback = how & 2, .posix_lock = true, .flock = true,
                      .posix_acl = how & 1, .security_label = true, .killpriv_v2 = true, .announce_submounts = true };
    w.share = g_build_filename(w.top, "share", NULL);
    g_autofree char *secret = g_build_filename(w.top, "secret", NULL),
                    *link = g_build_filename(w.share, "l", NULL);
    g_autofree char *file = g_build_filename(w.share, "f", NULL),
                    *dir = g_build_filename(w.share, "d", NULL);
    if (mkdir(w.share, 0777) || !g_file_set_contents(secret, "secret", 6, NULL) ||
        symlink("../secret", link) || !g_file_set_contents(file, "file", 4, NULL) ||
        mkdir(dir, 0777))
        abort();
    o.root = open(w.share, O_PATH | O_DIRECTORY | O_CLOEXEC);
    w.fs = fs_new(&o, NULL);
    close(o.root);
    w.session = fuse_session_new(w.fs, &f, NULL);
    return w;
}

static void end(World *w)
{
    g_autofree char *secret = g_build_filename(w->top, "secret", NULL), *text = NULL;
    gsize size;
    if (!g_file_get_contents(secret, &text, &size, NULL) || size != 6 || memcmp(text, "secret", 6))
        abort();
    fuse_session_free(w->session);
    fs_free(w->fs);
    front_remove(w->top);
    g_free(w->share);
    g_free(w->top);
}

static void request(World *w, uint32_t opcode, uint64_t node, size_t room, const uint8_t *arg,
                    size_t size)
{
    struct fuse_in_header h = {
        .len = (uint32_t)(sizeof h + size), .opcode = opcode, .unique = 1, .nodeid = node
    };
    uint8_t *in = malloc(sizeof h + size), *out = malloc(room);
    memcpy(in, &h, sizeof h);
    if (size)
        memcpy(in + sizeof h, arg, size);
    struct iovec i[3] = { { in, 7 }, { in + 7, 0 }, { in + 7, sizeof h + size - 7 } };
    struct iovec o[2] = { { out, room / 2 }, { out + room / 2, room - room / 2 } };
    size_t done = fuse_session_handle(w->session, i, 3, o, 2, FUSE_NO_SLOT);
    if (done > room)
        abort();
    for (size_t at = 16; at + 6 <= done; at++)
        if (!memcmp(out + at, "secret", 6) && (opcode == FUSE_READ))
            abort();
    free(in);
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint16_t rooms[] = { 0,   15,   16,   17,   24,   80,   144,  160,
                                      500, 4096, 9000, 9000, 9000, 9000, 9000, 65000 };
    struct fuse_init_in init = {
        .major = 7, .minor = 38, .flags = INT32_MAX, .flags2 = UINT32_MAX
    };
    if (!size)
        return 0;
    /* files stay small whatever sizes are asked for */
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){ 1 << 20, RLIM_INFINITY });
    signal(SIGXFSZ, SIG_IGN);
    World w = begin(data[0]);
    if (!(data[0] & 0x80))
        request(&w, FUSE_INIT, 0, 4096, (uint8_t *)&init, sizeof init);
    for (size_t at = 1, n = 0; at + 4 <= size && n < 64; n++) {
        uint32_t opcode = data[at];
        size_t length = data[at + 3] == 255 ? size : data[at + 3];
        uint64_t node = data[at + 1] & 0x80 ? UINT64_C(1) << 32 | (data[at + 1] & 0x7f)
                                            : data[at + 1];
        size_t room = rooms[data[at + 2] % 16];
        at += 4;
        length = MIN(length, size - at);
        request(&w, opcode == FUSE_SETLKW ? FUSE_SETLK : opcode, node, room, data + at, length);
        at += length;
    }
    end(&w);
    return 0;
}
