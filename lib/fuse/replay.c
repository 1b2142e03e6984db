/* SPDX-License-Identifier: MIT */
/*
 * Requests that come again after a restart. One that the former process had not answered is given
 * to us anew, and may have been done already, in part or whole. Most can be done twice and give the
 * same. For the others each place of a ring has a slot in memory that outlives us: what request it
 * is, when it began, and its answer once there is one.
 *
 *   done      the answer is given again
 *   begun     it is done again, and when that fails in a way that its having been done explains,
 * the guest is told what it would have been told: a name that is there though it was to be made, if
 * what has it is of that kind and no older than the request; a name that is gone though it was to
 * go; and so on. Where two runs would do harm (exchanging names, moving data, appending), what
 * shows whether the first took place is noted before.
 *
 * A FORGET that had begun is never done again: numbers that are known for too long do no harm, and
 * such as are forgotten too early do. A count of lookups may be too high for the same reason.
 */
#include "fuse/fuse_priv.h"

#include <errno.h>
#include <linux/falloc.h>
#include <linux/limits.h>
#include <string.h>
#include <sys/xattr.h>
#include <time.h>

enum { KEPT_VERSION = 1, ANSWER = 208, HEADS = FUSE_SLOT_HEADS, QUEUES = FUSE_SLOT_QUEUES };
enum { EMPTY, BEGUN, DONE };

struct FuseSlot {
    _Atomic uint32_t state;
    uint32_t opcode;
    uint64_t unique;
    uint32_t life, epoch;
    int64_t begun;     /* by the clock that files are dated with, ns */
    uint64_t evidence; /* what was before, +1; 0: not noted */
    uint64_t length;
    uint8_t answer[ANSWER];
};

struct FuseKept {
    uint32_t version;
    uint32_t life;              /* which process this is */
    _Atomic uint32_t epoch;     /* how often a guest began anew: slots of an older one are empty */
    _Atomic uint64_t flags;     /* as FuseSession.flags */
    _Atomic uint32_t high[QUEUES]; /* places that were ever used */
    struct FuseSlot slots[] __attribute__((aligned(4096)));
};

_Static_assert(sizeof(FuseSlot) == 256 &&
                   sizeof(FuseKept) + QUEUES * HEADS * sizeof(FuseSlot) <= FS_KEPT,
               "as it lies");

#define IN_ORDER() atomic_signal_fence(memory_order_seq_cst)
#define BIT(n) (UINT64_C(1) << (n))

/* Those that may not simply be done twice. A WRITE is one when it appends. */
static const uint64_t kept_opcodes = BIT(FUSE_LOOKUP) | BIT(FUSE_FORGET) | BIT(FUSE_BATCH_FORGET) |
                                     BIT(FUSE_SYMLINK) | BIT(FUSE_MKNOD) | BIT(FUSE_MKDIR) |
                                     BIT(FUSE_UNLINK) | BIT(FUSE_RMDIR) | BIT(FUSE_RENAME) |
                                     BIT(FUSE_RENAME2) | BIT(FUSE_LINK) | BIT(FUSE_OPEN) |
                                     BIT(FUSE_RELEASE) | BIT(FUSE_SETXATTR) |
                                     BIT(FUSE_REMOVEXATTR) | BIT(FUSE_OPENDIR) |
                                     BIT(FUSE_RELEASEDIR) | BIT(FUSE_CREATE) | BIT(FUSE_TMPFILE) |
                                     BIT(FUSE_FALLOCATE) | BIT(FUSE_WRITE);

/* ---- Slots --------------------------------------------------------------------------- */

/* The handle in an answer to what opens something; 0: it is none. */
static uint64_t handle_in(uint32_t opcode, const uint8_t *answer, size_t size)
{
    struct fuse_open_out open;
    size_t at = opcode == FUSE_OPEN || opcode == FUSE_OPENDIR      ? 0
                : opcode == FUSE_CREATE || opcode == FUSE_TMPFILE ? sizeof(struct fuse_entry_out)
                                                                   : SIZE_MAX / 2;
    if (size < at + sizeof open)
        return 0;
    memcpy(&open, answer + at, sizeof open);
    return open.fh;
}

static void resume(FuseSession *s)
{
    FuseKept *k = s->kept;
    size_t head = sizeof(struct fuse_out_header);
    for (unsigned q = 0; q < QUEUES; q++)
        for (unsigned i = 0; i < MIN(k->high[q], HEADS); i++) {
            const FuseSlot *slot = &k->slots[q * HEADS + i];
            uint64_t handle = slot->state == DONE && slot->epoch == k->epoch &&
                                      slot->length > head && slot->length <= ANSWER
                                  ? handle_in(slot->opcode, slot->answer + head,
                                              slot->length - head)
                                  : 0;
            if (handle)
                fs_handle_known(s->fs, handle);
        }
    fs_drop_unknown(s->fs);
    atomic_store(&s->flags, k->flags);
}

void fuse_replay_open(FuseSession *s)
{
    FuseKept *k = s->kept = fs_kept(s->fs);
    if (!k)
        return;
    bool fits = k->version == KEPT_VERSION && !((k->flags & ~FUSE_HELLO_) & ~fuse_wanted(&s->o));
    s->resumed = fs_resumed(s->fs, NULL, NULL) && fits;
    if (!s->resumed) {
        k->flags = 0;
        k->epoch++;
        fs_reset(s->fs);
    }
    k->version = KEPT_VERSION;
    k->life++;
    if (s->resumed)
        resume(s);
}

void fuse_replay_forget(FuseSession *s)
{
    if (!s->kept)
        return;
    s->kept->flags = 0;
    s->kept->epoch++;
}

void fuse_replay_flags(FuseSession *s, uint64_t flags)
{
    if (s->kept)
        s->kept->flags = flags;
}

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME_COARSE, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* The request takes the slot. */
static void begin(FuseRequest *r)
{
    FuseSlot *slot = r->slot;
    FuseKept *k = r->s->kept;
    unsigned number = (unsigned)(slot - k->slots), q = number / HEADS, head = number % HEADS;
    while (atomic_load_explicit(&k->high[q], memory_order_relaxed) <= head)
        k->high[q] = head + 1;
    atomic_store_explicit(&slot->state, EMPTY, memory_order_relaxed);
    IN_ORDER();
    slot->opcode = r->h.opcode;
    slot->unique = r->h.unique;
    slot->life = k->life;
    slot->epoch = k->epoch;
    slot->begun = now();
    slot->evidence = 0;
    atomic_store_explicit(&slot->state, BEGUN, memory_order_release);
}

FuseKnown fuse_replay_begin(FuseRequest *r, uint32_t number)
{
    FuseKept *k = r->s->kept;
    r->slot = NULL;
    r->again = false;
    if (!k || number >= QUEUES * HEADS || r->h.opcode >= 64 || !(kept_opcodes & BIT(r->h.opcode)))
        return FUSE_NEW;
    FuseSlot *slot = r->slot = &k->slots[number];
    uint32_t state = atomic_load_explicit(&slot->state, memory_order_acquire);
    if (state != EMPTY && slot->life != k->life && slot->epoch == k->epoch &&
        slot->unique == r->h.unique && slot->opcode == r->h.opcode) {
        if (state == DONE)
            return FUSE_DONE;
        r->again = true; /* the slot stays as it is: we may die, too */
        return FUSE_AGAIN;
    }
    if (r->h.opcode == FUSE_WRITE)
        return FUSE_NEW; /* fuse_replay_append begins it if need be */
    begin(r);
    return FUSE_NEW;
}

size_t fuse_replay_answer(const FuseRequest *r, const struct iovec *out, int n_out)
{
    FusePieces p = { out, n_out, 0 };
    const FuseSlot *slot = r->slot;
    size_t size = MIN(slot->length, ANSWER);
    return size <= fuse_pieces_size(out, n_out) ? fuse_pieces_put(&p, slot->answer, size) : 0;
}

void fuse_replay_done(FuseRequest *r, const struct fuse_out_header *h, const void *data,
                      size_t size)
{
    FuseSlot *slot = r->slot;
    if (!slot || size > ANSWER - sizeof *h || (r->h.opcode == FUSE_LOOKUP && h->error) ||
        atomic_load_explicit(&slot->state, memory_order_relaxed) != BEGUN ||
        slot->unique != r->h.unique)
        return;
    memcpy(slot->answer, h, sizeof *h);
    memcpy(slot->answer + sizeof *h, data, size);
    slot->length = sizeof *h + size;
    atomic_store_explicit(&slot->state, DONE, memory_order_release);
    uint64_t handle = h->error ? 0 : handle_in(r->h.opcode, data, size);
    if (handle)
        fs_handle_known(r->fs, handle);
}

/* ---- What was before ---------------------------------------------------------------------- */

typedef struct {
    struct fuse_rename2_in in;
    const char *from, *to;
} Rename;

static bool take_rename(const FuseRequest *r, Rename *n)
{
    bool two = r->h.opcode == FUSE_RENAME2;
    size_t fixed = two ? sizeof n->in : sizeof(struct fuse_rename_in);
    if (!two && r->h.opcode != FUSE_RENAME)
        return false;
    n->in = (struct fuse_rename2_in){ 0 };
    memcpy(&n->in, r->arg, fixed);
    n->from = fuse_string(r, fixed, 0, NULL);
    n->to = fuse_string(r, fixed, 1, NULL);
    return true;
}

static bool moves_data(const FuseRequest *r, struct fuse_fallocate_in *in)
{
    if (r->h.opcode != FUSE_FALLOCATE)
        return false;
    memcpy(in, r->arg, sizeof *in);
    return in->mode & (FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_INSERT_RANGE);
}

/* The attribute of a request whose outcome depends on there being one; NULL: it is none. */
static const char *attribute(const FuseRequest *r)
{
    struct fuse_setxattr_in in;
    size_t fixed = fuse_agreed(r, FUSE_SETXATTR_EXT) ? sizeof in : FUSE_COMPAT_SETXATTR_IN_SIZE;
    if (r->h.opcode == FUSE_REMOVEXATTR)
        return fuse_string(r, 0, 0, NULL);
    if (r->h.opcode != FUSE_SETXATTR || r->arg_size < fixed)
        return NULL;
    memcpy(&in, r->arg, FUSE_COMPAT_SETXATTR_IN_SIZE);
    return in.flags & XATTR_CREATE ? fuse_string(r, fixed, 0, NULL) : NULL;
}

static void note(FuseRequest *r, uint64_t what)
{
    atomic_signal_fence(memory_order_seq_cst);
    *(volatile uint64_t *)&r->slot->evidence = what + 1;
    atomic_signal_fence(memory_order_seq_cst);
}

/* What moves was at the old name, and is at the new one now. */
static bool renamed(FuseRequest *r, const Rename *n)
{
    FsTrace from, to;
    if (!r->slot->evidence || fs_trace(r->fs, n->in.newdir, n->to, &to) ||
        to.ino != r->slot->evidence - 1)
        return false;
    return fs_trace(r->fs, r->h.nodeid, n->from, &from) || from.ino != to.ino;
}

uint64_t *fuse_replay_noted(FuseRequest *r)
{
    return r->slot ? &r->slot->evidence : NULL;
}

/* Nodes learn the name that they have. */
static void look_at(FuseRequest *r, uint64_t folder, const char *name)
{
    FsEntry entry;
    if (!fs_lookup(r->fs, folder, name, &entry))
        fs_forget(r->fs, entry.node, 1);
}

bool fuse_replay_before(FuseRequest *r)
{
    Rename n;
    FsTrace t;
    const char *name;
    struct fuse_fallocate_in in;
    if (!r->slot)
        return false;
    if (moves_data(r, &in)) {
        bool there = !fs_trace(r->fs, r->h.nodeid, NULL, &t);
        uint64_t was = r->slot->evidence - 1;
        uint64_t after = in.mode & FALLOC_FL_COLLAPSE_RANGE ? was - in.length : was + in.length;
        if (r->again && r->slot->evidence)
            return there && t.size == after;
        if (there)
            note(r, t.size);
    } else if (!r->again && (name = attribute(r)) != NULL) {
        note(r, fs_getxattr(r->fs, r->h.nodeid, name, NULL, 0) >= 0);
    } else if (r->again && take_rename(r, &n) && renamed(r, &n)) {
        look_at(r, n.in.newdir, n.to);
        look_at(r, r->h.nodeid, n.from);
        return true;
    }
    return false;
}

int64_t fuse_replay_append(FuseRequest *r, uint64_t handle, uint32_t size)
{
    uint64_t end;
    if (!r->slot || !fs_appends(r->fs, handle, &end))
        return -1;
    if (!r->again) {
        begin(r);
        note(r, end);
        return -1;
    }
    if (!r->slot->evidence)
        return -1;
    FusePieces p = r->in;
    g_autofree uint8_t *data = g_malloc(size);
    size = (uint32_t)fuse_pieces_take(&p, data, size);
    return fs_append_again(r->fs, handle, data, size, r->slot->evidence - 1);
}

/* ---- What an error says --------------------------------------------------------------------- */

/* No older than the request; some file systems date by the second, or two. */
static bool since(const FuseRequest *r, int64_t when)
{
    return when >= r->slot->begun ||
           (when % 1000000000 == 0 && when + INT64_C(2000000000) > r->slot->begun);
}

/* What has the name was made by the request's first run, as far as one can see. */
static bool made(const FuseRequest *r, const char *name, mode_t type, FsTrace *t)
{
    return !fs_trace(r->fs, r->h.nodeid, name, t) && t->type == type &&
           since(r, t->born ? t->born : t->changed) && (!S_ISREG(type) || !t->size);
}

static int64_t entry_of(FuseRequest *r, const FsEntry *entry)
{
    fuse_put_entry(r, entry, fuse_room(r, sizeof(struct fuse_entry_out)));
    return sizeof(struct fuse_entry_out);
}

/* The label, which is given to some kinds only after they are there. */
static int relabel(FuseRequest *r, const FsEntry *entry)
{
    if (!r->caller.label_name)
        return 0;
    int e = fs_setxattr(r->fs, entry->node, r->caller.label_name, r->caller.label,
                        r->caller.label_size, 0, false);
    if (e)
        fs_forget(r->fs, entry->node, 1);
    return e;
}

static int64_t adopt(FuseRequest *r, const char *name, mode_t type)
{
    FsTrace t;
    FsEntry entry;
    if (!made(r, name, type, &t))
        return -EEXIST;
    int e = fs_lookup(r->fs, r->h.nodeid, name, &entry);
    e = e ? e : relabel(r, &entry);
    return e ? e : entry_of(r, &entry);
}

static int64_t adopt_link(FuseRequest *r)
{
    FsEntry entry;
    char target[PATH_MAX];
    const char *name = fuse_string(r, 0, 0, NULL), *want = fuse_string(r, 0, 1, NULL);
    int64_t size = adopt(r, name, S_IFLNK);
    if (size < 0 || fs_lookup(r->fs, r->h.nodeid, name, &entry))
        return -EEXIST;
    ssize_t n = fs_readlink(r->fs, entry.node, target, sizeof target);
    bool same = n == (ssize_t)strlen(want) && !memcmp(target, want, (size_t)n);
    fs_forget(r->fs, entry.node, same ? 1 : 2);
    return same ? size : -EEXIST;
}

/* A file that was made, and not opened: as it is empty and nobody was told, it is made anew where
 * it will not open. */
static int64_t adopt_file(FuseRequest *r, int64_t error, FuseOp *op)
{
    FsTrace t;
    FsEntry entry;
    uint64_t handle;
    struct fuse_create_in in;
    memcpy(&in, r->arg, sizeof in);
    const char *name = fuse_string(r, sizeof in, 0, NULL);
    if (!made(r, name, S_IFREG, &t))
        return error;
    int e = error == -EACCES ? -EACCES : fs_lookup(r->fs, r->h.nodeid, name, &entry);
    if (!e && !(e = relabel(r, &entry))) {
        e = fs_open(r->fs, entry.node, (int)in.flags & ~(O_EXCL | O_CREAT), false, &handle);
        if (!e)
            return fuse_put_created(r, &entry, handle);
        fs_forget(r->fs, entry.node, 1);
    }
    if (e != -EACCES || fs_unlink(r->fs, r->h.nodeid, name, NULL))
        return e;
    return op(r);
}

static int64_t adopt_name(FuseRequest *r)
{
    FsTrace t;
    FsEntry entry;
    struct fuse_link_in in;
    memcpy(&in, r->arg, sizeof in);
    const char *name = fuse_string(r, sizeof in, 0, NULL);
    if (fs_trace(r->fs, r->h.nodeid, name, &t) || !since(r, t.changed) ||
        fs_lookup(r->fs, r->h.nodeid, name, &entry))
        return -EEXIST;
    if (entry.node == in.oldnodeid)
        return entry_of(r, &entry);
    fs_forget(r->fs, entry.node, 1);
    return -EEXIST;
}

int64_t fuse_replay_judge(FuseRequest *r, int64_t error, FuseOp *op)
{
    struct fuse_mknod_in node;
    switch (r->h.opcode) {
    case FUSE_UNLINK:
    case FUSE_RMDIR:
        return error == -ENOENT && r->slot->evidence ? 0 : error; /* it was there */
    case FUSE_RELEASE:
    case FUSE_RELEASEDIR:
        return error == -EBADF ? 0 : error;
    case FUSE_MKDIR:
        return error == -EEXIST
                   ? adopt(r, fuse_string(r, sizeof(struct fuse_mkdir_in), 0, NULL), S_IFDIR)
                   : error;
    case FUSE_MKNOD:
        memcpy(&node, r->arg, sizeof node);
        return error == -EEXIST ? adopt(r, fuse_string(r, sizeof node, 0, NULL), node.mode & S_IFMT)
                                : error;
    case FUSE_SYMLINK:
        return error == -EEXIST ? adopt_link(r) : error;
    case FUSE_CREATE:
        return error == -EEXIST || error == -EACCES ? adopt_file(r, error, op) : error;
    case FUSE_LINK:
        return error == -EEXIST ? adopt_name(r) : error;
    case FUSE_SETXATTR:
        return error == -EEXIST && r->slot->evidence == 1 ? 0 : error; /* there was none before */
    case FUSE_REMOVEXATTR:
        return error == -ENODATA && r->slot->evidence == 2 ? 0 : error;
    default:
        return error;
    }
}
