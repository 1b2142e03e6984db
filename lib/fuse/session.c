/* SPDX-License-Identifier: MIT */
/*
 * Requests: what each has to have (table), its way from pieces to an operation and back. An answer
 * that would not fit is known before anything is done, so that nothing is made of which the guest
 * does not hear.
 */
#include "fuse/fuse_priv.h"

#include "base/error.h"
#include "base/log.h"

#include <errno.h>
#include <string.h>

enum {
    PLAIN,
    MAKES, /* takes extensions behind the names */
    DATA,  /* more bytes than the fixed part, which stay where they are */
};

typedef struct {
    FuseOp *op;
    uint16_t fixed;  /* bytes of the fixed part */
    uint8_t names;   /* strings behind it */
    uint16_t answer; /* bytes that an answer has at least */
    uint8_t kind;
} Operation;

#define IN(type) sizeof(struct fuse_##type##_in)
#define OUT(type) sizeof(struct fuse_##type##_out)

static const Operation operations[] = {
    [FUSE_LOOKUP] = { fuse_lookup, 0, 1, OUT(entry), PLAIN },
    [FUSE_GETATTR] = { fuse_getattr, IN(getattr), 0, OUT(attr), PLAIN },
    [FUSE_SETATTR] = { fuse_setattr, IN(setattr), 0, OUT(attr), PLAIN },
    [FUSE_READLINK] = { fuse_readlink, 0, 0, 1, PLAIN },
    [FUSE_SYMLINK] = { fuse_symlink, 0, 2, OUT(entry), MAKES },
    [FUSE_MKNOD] = { fuse_mknod, IN(mknod), 1, OUT(entry), MAKES },
    [FUSE_MKDIR] = { fuse_mkdir, IN(mkdir), 1, OUT(entry), MAKES },
    [FUSE_UNLINK] = { fuse_unlink, 0, 1, 0, PLAIN },
    [FUSE_RMDIR] = { fuse_rmdir, 0, 1, 0, PLAIN },
    [FUSE_RENAME] = { fuse_rename, IN(rename), 2, 0, PLAIN },
    [FUSE_RENAME2] = { fuse_rename2, IN(rename2), 2, 0, PLAIN },
    [FUSE_LINK] = { fuse_link, IN(link), 1, OUT(entry), PLAIN },
    [FUSE_OPEN] = { fuse_open, IN(open), 0, OUT(open), PLAIN },
    [FUSE_READ] = { fuse_read, IN(read), 0, 0, PLAIN },
    [FUSE_WRITE] = { fuse_write, IN(write), 0, OUT(write), DATA },
    [FUSE_STATFS] = { fuse_statfs, 0, 0, OUT(statfs), PLAIN },
    [FUSE_RELEASE] = { fuse_release, IN(release), 0, 0, PLAIN },
    [FUSE_FSYNC] = { fuse_fsync, IN(fsync), 0, 0, PLAIN },
    [FUSE_SETXATTR] = { fuse_setxattr, FUSE_COMPAT_SETXATTR_IN_SIZE, 0, 0, PLAIN },
    [FUSE_GETXATTR] = { fuse_getxattr, IN(getxattr), 1, 0, PLAIN },
    [FUSE_LISTXATTR] = { fuse_listxattr, IN(getxattr), 0, 0, PLAIN },
    [FUSE_REMOVEXATTR] = { fuse_removexattr, 0, 1, 0, PLAIN },
    [FUSE_FLUSH] = { fuse_flush, IN(flush), 0, 0, PLAIN },
    [FUSE_INIT] = { fuse_init, 16, 0, OUT(init), PLAIN }, /* 16: before 7.36 */
    [FUSE_OPENDIR] = { fuse_opendir, IN(open), 0, OUT(open), PLAIN },
    [FUSE_READDIR] = { fuse_readdir, IN(read), 0, 0, PLAIN },
    [FUSE_RELEASEDIR] = { fuse_releasedir, IN(release), 0, 0, PLAIN },
    [FUSE_FSYNCDIR] = { fuse_fsyncdir, IN(fsync), 0, 0, PLAIN },
    [FUSE_GETLK] = { fuse_getlk, IN(lk), 0, OUT(lk), PLAIN },
    [FUSE_SETLK] = { fuse_setlk, IN(lk), 0, 0, PLAIN },
    [FUSE_SETLKW] = { fuse_setlkw, IN(lk), 0, 0, PLAIN },
    [FUSE_ACCESS] = { fuse_access, IN(access), 0, 0, PLAIN },
    [FUSE_CREATE] = { fuse_create, IN(create), 1, OUT(entry) + OUT(open), MAKES },
    [FUSE_DESTROY] = { fuse_destroy, 0, 0, 0, PLAIN },
    [FUSE_FALLOCATE] = { fuse_fallocate, IN(fallocate), 0, 0, PLAIN },
    [FUSE_READDIRPLUS] = { fuse_readdirplus, IN(read), 0, 0, PLAIN },
    [FUSE_LSEEK] = { fuse_lseek, IN(lseek), 0, OUT(lseek), PLAIN },
    [FUSE_COPY_FILE_RANGE] = { fuse_copy, IN(copy_file_range), 0, OUT(write), PLAIN },
    [FUSE_SYNCFS] = { fuse_syncfs, IN(syncfs), 0, 0, PLAIN },
    [FUSE_TMPFILE] = { fuse_tmpfile, IN(create), 1, OUT(entry) + OUT(open), MAKES },
};

FuseSession *fuse_session_new(Fs *fs, const FuseOptions *options, GError **error)
{
    static const uint64_t hold[] = { 0, 1000000000, UINT64_C(86400000000000),
                                     UINT64_C(86400000000000) };
    if (options->writeback &&
        (options->cache == FUSE_CACHE_NEVER || options->cache == FUSE_CACHE_METADATA)) {
        fail_usage(error, "writeback needs a cache of data");
        return NULL;
    }
    FuseSession *s = g_new0(FuseSession, 1);
    s->fs = fs;
    s->o = *options;
    if (!s->o.max_write)
        s->o.max_write = 1 << 20;
    fuse_wait_init(s);
    s->entry_ns = options->has_timeout ? options->timeout_ns : hold[options->cache];
    fuse_replay_open(s);
    return s;
}

void fuse_session_free(FuseSession *s)
{
    if (s)
        pthread_mutex_destroy(&s->lock);
    g_free(s);
}

bool fuse_session_resumed(const FuseSession *s)
{
    return s->resumed;
}

void fuse_session_reset(FuseSession *s)
{
    fuse_replay_forget(s);
    fs_reset(s->fs);
    atomic_store(&s->flags, 0);
    atomic_store(&s->reading, false);
    pthread_mutex_lock(&s->lock);
    memset(s->interrupted, 0, sizeof s->interrupted);
    pthread_mutex_unlock(&s->lock);
}

bool fuse_may_wait(const struct iovec *in, int n_in)
{
    struct fuse_in_header h;
    FusePieces p = { in, n_in, 0 };
    return fuse_pieces_take(&p, &h, sizeof h) == sizeof h &&
           (h.opcode == FUSE_SETLKW || (h.opcode == FUSE_READ && h.nodeid == FUSE_EVENTS));
}

/* ---- What operations use ------------------------------------------------------------------ */

void *fuse_room(FuseRequest *r, size_t size)
{
    if (size > sizeof r->small)
        r->data = r->heap = g_malloc(size);
    return r->data;
}

const char *fuse_string(const FuseRequest *r, size_t fixed, unsigned n, size_t *rest)
{
    size_t at = fixed;
    for (;;) {
        const uint8_t *end = at < r->arg_size ? memchr(r->arg + at, 0, r->arg_size - at) : NULL;
        if (!end)
            return NULL;
        if (!n--) {
            if (rest)
                *rest = (size_t)(end + 1 - r->arg);
            return (const char *)r->arg + at;
        }
        at = (size_t)(end + 1 - r->arg);
    }
}

bool fuse_agreed(const FuseRequest *r, uint64_t flag)
{
    return (atomic_load(&r->s->flags) & flag) != 0;
}

/* ---- Requests without an answer -------------------------------------------------------------- */

static void forget(FuseRequest *r, bool batch)
{
    struct fuse_forget_in one;
    struct fuse_batch_forget_in head;
    struct fuse_forget_one item;
    if (!batch) {
        if (fuse_pieces_take(&r->in, &one, sizeof one) == sizeof one)
            fs_forget(r->fs, r->h.nodeid, one.nlookup);
        return;
    }
    if (fuse_pieces_take(&r->in, &head, sizeof head) != sizeof head)
        return;
    for (uint32_t i = 0;
         i < head.count && fuse_pieces_take(&r->in, &item, sizeof item) == sizeof item; i++)
        fs_forget(r->fs, item.nodeid, item.nlookup);
}

static void interrupt(FuseRequest *r)
{
    struct fuse_interrupt_in i;
    if (fuse_pieces_take(&r->in, &i, sizeof i) == sizeof i)
        fuse_wait_interrupt(r->s, i.unique);
}

/* ---- The way --------------------------------------------------------------------------------- */

static int64_t run(FuseRequest *r, const Operation *op)
{
    size_t at = op->fixed;
    for (unsigned i = 0; i < op->names; i++)
        if (!fuse_string(r, op->fixed, i, &at))
            return -EINVAL;
    if (op->kind == MAKES) {
        int e = fuse_extensions(r, at);
        if (e)
            return e;
    }
    if (r->out_size < op->answer)
        return -EINVAL;
    if (r->h.nodeid == FUSE_EVENTS && r->s->o.notify)
        return fuse_events(r);
    if (r->slot && fuse_replay_before(r))
        return 0;
    int64_t result = op->op(r);
    if (r->again && result < 0)
        result = fuse_replay_judge(r, result, op->op);
    if (result < 0)
        fuse_trouble(r, (int)-result);
    return result;
}

/* The part that is copied, and where the rest begins. */
static int64_t take_args(FuseRequest *r, const Operation *op, uint8_t *args, size_t args_max)
{
    g_autofree uint8_t *heap = NULL;
    size_t size = op->kind == DATA ? MIN(op->fixed, r->in_size) : r->in_size;
    if (size < op->fixed)
        return -EINVAL;
    if (size > FUSE_MAX_ARGS)
        return -E2BIG;
    if (size > args_max)
        args = heap = g_malloc(size);
    if (fuse_pieces_take(&r->in, args, size) != size)
        return -EINVAL;
    r->arg = args;
    r->arg_size = size;
    r->in_size -= size;
    return run(r, op);
}

static int64_t answer_to(FuseRequest *r)
{
    uint8_t args[8192] __attribute__((aligned(8)));
    const Operation *op = r->h.opcode < G_N_ELEMENTS(operations) ? &operations[r->h.opcode] : NULL;
    if (r->h.opcode == FUSE_INIT_BSWAP_RESERVED)
        return -EPROTO; /* the other byte order */
    if (!op || !op->op)
        return -ENOSYS;
    if (r->h.opcode != FUSE_INIT && !atomic_load(&r->s->flags))
        return -EIO;
    return take_args(r, op, args, sizeof args);
}

static size_t put_answer(FuseRequest *r, const struct iovec *out, int n_out, int64_t result)
{
    FusePieces p = { out, n_out, 0 };
    size_t size = result > 0 ? (size_t)result : 0;
    struct fuse_out_header h = { .len = (uint32_t)(sizeof h + size), .unique = r->h.unique };
    if (result < 0)
        h.error = result > -512 ? (int32_t)result : -EIO;
    fuse_pieces_put(&p, &h, sizeof h);
    if (size && r->h.opcode != FUSE_READ)
        fuse_pieces_put(&p, r->data, size);
    fuse_replay_done(r, &h, r->data, size);
    return h.len;
}

size_t fuse_session_handle(FuseSession *s, const struct iovec *in, int n_in,
                           const struct iovec *out, int n_out, uint32_t slot)
{
    FuseRequest r;
    size_t in_size = fuse_pieces_size(in, n_in), out_size = fuse_pieces_size(out, n_out);
    r.s = s;
    r.fs = s->fs;
    r.in = (FusePieces){ in, n_in, 0 };
    r.out = (FusePieces){ out, n_out, 0 };
    r.heap = NULL;
    r.data = r.small;
    memset(&r.h, 0, sizeof r.h);
    bool whole = fuse_pieces_take(&r.in, &r.h, sizeof r.h) == sizeof r.h && r.h.len >= sizeof r.h &&
                 r.h.len <= in_size;
    r.in_size = whole ? r.h.len - sizeof r.h : 0;
    r.caller = (FsCaller){ .uid = r.h.uid, .gid = r.h.gid, .pid = r.h.pid };
    FuseKnown known = fuse_replay_begin(&r, whole ? slot : FUSE_NO_SLOT);
    if (whole && (r.h.opcode == FUSE_FORGET || r.h.opcode == FUSE_BATCH_FORGET)) {
        if (known == FUSE_NEW)
            forget(&r, r.h.opcode == FUSE_BATCH_FORGET);
        return 0;
    }
    if (known == FUSE_DONE)
        return fuse_replay_answer(&r, out, n_out);
    if (whole && r.h.opcode == FUSE_INTERRUPT) {
        interrupt(&r);
        return 0;
    }
    if (out_size < sizeof(struct fuse_out_header)) {
        log_line(LOG_GUEST_ERRORS, "fuse: request %u has no room for an answer", r.h.opcode);
        return 0;
    }
    struct fuse_out_header skipped;
    r.out_size = out_size - sizeof skipped;
    struct iovec head[1];
    size_t passed;
    for (size_t left = sizeof skipped; left; left -= passed)
        if (!fuse_pieces_slice(&r.out, head, 1, left, &passed))
            break;
    int64_t result = whole ? answer_to(&r) : -EINVAL;
    if (result > 0 && (size_t)result > r.out_size)
        result = -ERANGE;
    size_t size = put_answer(&r, out, n_out, result);
    g_free(r.heap);
    return size;
}
