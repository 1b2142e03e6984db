/* SPDX-License-Identifier: MIT */
/*
 * Copying disks. Workers take pieces in order, read (and pack) them at the same time, and write
 * them each in its turn, so that a copy comes out the same whenever it is made; without an order
 * each writes when it is ready. Holes are never read, and zeroes that are long enough are never
 * written. Out of a pipe workers take what comes, in turn too; the target grows ahead of it, in
 * large steps.
 */
#include "block/jobs/jobs.h"

#include "base/error.h"
#include "block/block_priv.h"
#include "block/jobs/copy_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PIECE = 2 << 20, MOST_WORKERS = 16, EXTENTS = 64 };

typedef enum { DATA, ZERO, NOTHING } Kind;

typedef struct {
    BlockUser *source;
    uint64_t from, to, bytes, ticket; /* offsets in source and target */
    Kind kind;
    bool last; /* out of a pipe: known to be */
} Piece;

typedef struct {
    BlockCopy *job;
    uint64_t total, unit; /* unit: of writing */
    pthread_mutex_t pipe; /* who has it reads the pipe; taken before the lock */
    bool ended;           /* under pipe: nothing more comes */
    pthread_mutex_t lock;
    pthread_cond_t turned;
    /* under the lock */
    unsigned source;
    uint64_t at, base;    /* in the source; of it in the target */
    BlockExtent extents[EXTENTS];
    unsigned n, i;
    uint64_t tickets, turn, done;
    int error;
    struct timespec begin;
} Copy;

static void failed(Copy *c, int error, bool reading, uint64_t where)
{
    pthread_mutex_lock(&c->lock);
    if (!c->error) {
        c->error = error;
        c->job->reading = reading;
        c->job->where = where;
    }
    pthread_cond_broadcast(&c->turned);
    pthread_mutex_unlock(&c->lock);
}

/* ---- what comes next ------------------------------------------------------ */

static Kind kind_of(const BlockCopy *job, const BlockExtent *e)
{
    if (job->skip_depth && e->depth >= job->skip_depth)
        return NOTHING;
    if (e->flags & BLOCK_EXTENT_ZERO) {
        /* below the target's own backing file nothing is zero by itself */
        if (job->skip_depth && !(e->flags & BLOCK_EXTENT_ALLOCATED))
            return NOTHING;
        if (job->target_is_zero)
            return job->sparse ? NOTHING : ZERO;
        return ZERO;
    }
    return DATA;
}

/* With the lock. 1: *p is to be done; 0: all is taken; or -errno. */
static int next(Copy *c, Piece *p)
{
    while (c->source < c->job->n_sources) {
        BlockUser *source = c->job->sources[c->source];
        uint64_t size = block_size(source);
        if (c->at >= size) {
            c->base += size;
            c->at = 0;
            c->source++;
            c->n = c->i = 0;
            continue;
        }
        if (c->i == c->n) {
            int n = block_extents(source, c->at, size - c->at, 0, c->extents, EXTENTS);
            if (n < 0) {
                c->job->reading = true;
                c->job->where = c->base + c->at;
                return n;
            }
            c->n = (unsigned)n;
            c->i = 0;
        }
        BlockExtent *e = &c->extents[c->i];
        uint64_t n = e->bytes;
        *p = (Piece){ .source = source,
                      .from = e->offset,
                      .to = c->base + e->offset,
                      .kind = kind_of(c->job, e) };
        if (c->job->compress && p->kind == NOTHING) {
            /* of what is skipped, whole units: the rest is packed with what follows */
            uint64_t over = (p->to + n) & (c->unit - 1);
            if (e->offset + n < size && over)
                n = over < n ? n - over : 0;
            if (!n)
                p->kind = DATA;
        }
        /* pieces end where the target's units do */
        if (p->kind == DATA)
            n = MIN(n, PIECE - (p->to & (PIECE - 1)));
        if (c->job->compress && p->kind != NOTHING) {
            /* whole units, whatever they are made of */
            n = MIN(PIECE - (p->to & (PIECE - 1)), size - e->offset);
            p->kind = DATA;
            while (c->i < c->n && c->extents[c->i].offset + c->extents[c->i].bytes <= e->offset + n)
                c->i++;
            if (c->i < c->n) {
                BlockExtent *last = &c->extents[c->i];
                uint64_t end = p->from + n;
                if (end > last->offset) {
                    last->bytes -= end - last->offset;
                    last->offset = end;
                }
            }
            p->bytes = n;
            c->at = p->from + n;
            p->ticket = c->tickets++;
            return 1;
        }
        e->offset += n;
        e->bytes -= n;
        if (!e->bytes)
            c->i++;
        c->at = p->from + n;
        p->bytes = n;
        if (p->kind == NOTHING) {
            c->done += n;
            continue;
        }
        p->ticket = c->tickets++;
        return 1;
    }
    return 0;
}

/* Whoever follows progress wants to go on. With the lock. */
static bool told(Copy *c)
{
    const BlockProgress *progress = c->job->progress;

    if (!c->error && progress && progress->at && !progress->at(progress->opaque, c->done, c->total))
        c->error = -ECANCELED;
    return !c->error;
}

static bool going(void *opaque)
{
    Copy *c = opaque;

    pthread_mutex_lock(&c->lock);
    bool go = told(c);
    pthread_mutex_unlock(&c->lock);
    return go;
}

/* As next, out of the pipe and with its bytes in buf. Without a lock. */
static int next_piped(Copy *c, Piece *p, uint8_t *buf)
{
    size_t got = 0;

    pthread_mutex_lock(&c->pipe);
    int r = c->ended    ? 0
            : !going(c) ? -ECANCELED
                        : copy_pipe_read(c->job->from, buf, PIECE, &got, going, c);
    c->ended = c->ended || r || got < PIECE;
    if (!r && got) {
        *p = (Piece){ .to = c->at, .bytes = (got + BLOCK_SECTOR - 1) / BLOCK_SECTOR * BLOCK_SECTOR,
                      .ticket = c->tickets++, .kind = DATA, .last = c->ended };
        memset(buf + got, 0, p->bytes - got);
        c->at += p->bytes;
    }
    if (r && r != -ECANCELED) {
        pthread_mutex_lock(&c->lock);
        c->job->reading = true;
        c->job->where = c->at + got;
        pthread_mutex_unlock(&c->lock);
    }
    pthread_mutex_unlock(&c->pipe);
    return r ? r : got > 0;
}

/* ---- reading --------------------------------------------------------------- */

/* Sector by sector; what cannot be read is zero. */
static void salvage(Copy *c, const Piece *p, uint8_t *buf)
{
    for (uint64_t at = 0, n; at < p->bytes; at += n) {
        n = MIN(BLOCK_SECTOR, p->bytes - at);
        int r = block_read(p->source, p->from + at, buf + at, n);
        if (!r)
            continue;
        memset(buf + at, 0, n);
        pthread_mutex_lock(&c->lock);
        if (c->job->bad)
            c->job->bad(c->job->opaque, p->from + at, n, -r);
        pthread_mutex_unlock(&c->lock);
    }
}

static int read_piece(Copy *c, const Piece *p, uint8_t *buf)
{
    if (c->job->from)
        return 0;
    int r = block_read(p->source, p->from, buf, p->bytes);

    if (r && c->job->salvage) {
        salvage(c, p, buf);
        r = 0;
    }
    return r;
}

static bool is_zero(const uint8_t *p, uint64_t n)
{
    return block_iov_is_zero(&(struct iovec){ (void *)(uintptr_t)p, n }, 1);
}

/* ---- writing ----------------------------------------------------------------- */

/* How far from at on (within p) the data is all zero units, or has none. */
static uint64_t run(const Copy *c, const Piece *p, const uint8_t *buf, uint64_t at, bool *zero)
{
    uint64_t unit = MIN(MAX(c->job->sparse, c->unit), PIECE), end = at;
    bool first = true;

    *zero = false;
    if (!c->job->sparse)
        return p->bytes - at;
    while (end < p->bytes) {
        uint64_t n = MIN(unit - ((p->to + end) & (unit - 1)), p->bytes - end);
        bool z = is_zero(buf + end, n);
        if (first)
            *zero = z;
        else if (z != *zero)
            break;
        first = false;
        end += n;
    }
    return end - at;
}

static int write_plain(Copy *c, const Piece *p, const uint8_t *buf)
{
    int r = 0;

    for (uint64_t at = 0, n; !r && at < p->bytes; at += n) {
        bool zero;
        n = run(c, p, buf, at, &zero);
        if (!zero)
            r = block_write(c->job->target, p->to + at, buf + at, n, 0);
        else if (!c->job->target_is_zero)
            r = block_zero(c->job->target, p->to + at, n, BLOCK_MAY_UNMAP);
    }
    return r;
}

static int write_out(Copy *c, const Piece *p, uint8_t *buf)
{
    BlockPipe *to = c->job->to;
    int r = 0;

    if (p->kind == ZERO && to->seekable && c->job->sparse)
        return copy_pipe_skip(to, p->bytes);
    if (p->kind == ZERO)
        memset(buf, 0, MIN(PIECE, p->bytes));
    for (uint64_t at = 0, n; !r && at < p->bytes; at += n) {
        bool zero = false;
        n = MIN(PIECE, p->bytes - at);
        if (to->seekable && p->kind == DATA)
            n = run(c, p, buf, at, &zero);
        r = zero ? copy_pipe_skip(to, n)
                 : copy_pipe_write(to, p->kind == ZERO ? buf : buf + at, n, going, c);
    }
    return r;
}

/* The target as long as the pipe's disk: exactly when its end is known, and meanwhile ahead of it.
 */
static int make_room(Copy *c, uint64_t end, bool last)
{
    enum { LEAST = 64 << 20 };
    BlockUser *target = c->job->target;

    if (!c->job->from || !target || end == block_size(target))
        return 0;
    if (!c->job->resize)
        return end > block_size(target) ? -EFBIG : 0;
    if (!last && end < block_size(target))
        return 0;
    if (!last &&
        block_resize(target, end + MAX(LEAST, end / 8 / PIECE * PIECE), BLOCK_PREALLOC_OFF, NULL))
        return 0;
    return block_resize(target, end, BLOCK_PREALLOC_OFF, &c->job->why) ? 0 : -EIO;
}

/* What packing one unit gave. */
typedef struct {
    uint32_t len; /* 0: written as it is */
    bool zero;
} Unit;

/* The length of the unit that begins at `at` within p. */
static uint64_t unit_at(const Copy *c, const Piece *p, uint64_t at)
{
    return MIN(c->unit - ((p->to + at) & (c->unit - 1)), p->bytes - at);
}

/* Units that begin or end within one of the target's (where sources meet) cannot be packed. */
static bool whole(const Copy *c, const Piece *p, uint64_t at, uint64_t n)
{
    uint64_t to = p->to + at;
    return !(to & (c->unit - 1)) && (n == c->unit || to + n == block_size(c->job->target));
}

static void pack_piece(Copy *c, const Piece *p, const uint8_t *buf, uint8_t *packed, Unit *units)
{
    BlockNode *node = user_node(c->job->target);

    for (uint64_t at = 0, i = 0, n; at < p->bytes; at += n, i++) {
        n = unit_at(c, p, at);
        units[i].zero = is_zero(buf + at, n);
        if (!units[i].zero && whole(c, p, at, n))
            units[i].len = (uint32_t)node->driver->pack(node, buf + at, n, packed + i * c->unit);
    }
}

static int write_packed(Copy *c, const Piece *p, const uint8_t *buf, const uint8_t *packed,
                        const Unit *units)
{
    BlockUser *target = c->job->target;
    int r = 0;

    for (uint64_t at = 0, i = 0, n; !r && at < p->bytes; at += n, i++) {
        n = unit_at(c, p, at);
        if (units[i].zero)
            r = c->job->target_is_zero ? 0 : block_zero(target, p->to + at, n, BLOCK_MAY_UNMAP);
        else if (units[i].len)
            r = block_write_packed(target, p->to + at, n, packed + i * c->unit, units[i].len);
        else
            r = block_write(target, p->to + at, buf + at, n, 0);
    }
    return r;
}

/* Waits for the piece's turn; false: something failed before. */
static bool my_turn(Copy *c, const Piece *p)
{
    pthread_mutex_lock(&c->lock);
    while (!c->error && !c->job->unordered && c->turn != p->ticket)
        pthread_cond_wait(&c->turned, &c->lock);
    bool go = !c->error;
    pthread_mutex_unlock(&c->lock);
    return go;
}

/* Waits until what is done may be done, a while at a time. With the lock, so that the others wait
 * too. */
static void keep_rate(Copy *c)
{
    const double step = 0.1, due = (double)c->done / (double)c->job->rate;
    struct timespec now;

    do {
        clock_gettime(CLOCK_MONOTONIC, &now);
        double left = due - (double)(now.tv_sec - c->begin.tv_sec) -
                      (double)(now.tv_nsec - c->begin.tv_nsec) / 1e9;
        if (left <= 0)
            break;
        g_usleep((gulong)(MIN(left, step) * 1e6));
    } while (told(c));
}

static void over(Copy *c, const Piece *p)
{
    pthread_mutex_lock(&c->lock);
    c->turn++;
    c->done += p->bytes;
    if (told(c) && c->job->rate)
        keep_rate(c);
    pthread_cond_broadcast(&c->turned);
    pthread_mutex_unlock(&c->lock);
}

static void do_piece(Copy *c, const Piece *p, uint8_t *buf, uint8_t *packed, Unit *units)
{
    int r = p->kind == DATA ? read_piece(c, p, buf) : 0;

    if (r) {
        failed(c, r, true, p->from);
        return;
    }
    if (c->job->compress) {
        memset(units, 0, sizeof *units * (PIECE / c->unit + 2));
        pack_piece(c, p, buf, packed, units);
    }
    if (!my_turn(c, p))
        return;
    r = make_room(c, p->to + p->bytes, p->last);
    if (r)
        ;
    else if (c->job->to) {
        r = write_out(c, p, buf);
    } else if (p->kind == ZERO && !c->job->sparse && c->job->target_is_zero) {
        memset(buf, 0, PIECE);
        for (uint64_t at = 0, n; !r && at < p->bytes; at += n) {
            n = MIN(PIECE, p->bytes - at);
            r = block_write(c->job->target, p->to + at, buf, n, 0);
        }
    } else if (p->kind == ZERO) {
        r = block_zero(c->job->target, p->to, p->bytes, BLOCK_MAY_UNMAP);
    } else {
        r = c->job->compress ? write_packed(c, p, buf, packed, units) : write_plain(c, p, buf);
    }
    if (r)
        failed(c, r, false, p->to);
    over(c, p);
}

static void *work(void *opaque)
{
    Copy *c = opaque;
    uint8_t *buf = aligned_alloc(4096, PIECE),
            *packed = c->job->compress ? malloc(PIECE + 2 * c->unit) : NULL;
    Unit *units = c->job->compress ? calloc(PIECE / c->unit + 2, sizeof *units) : NULL;
    int r = buf && (!c->job->compress || (packed && units)) ? 1 : -ENOMEM;

    while (r > 0) {
        Piece p;
        if (c->job->from) {
            r = next_piped(c, &p, buf);
        } else {
            pthread_mutex_lock(&c->lock);
            r = c->error ? 0 : next(c, &p);
            pthread_mutex_unlock(&c->lock);
        }
        if (r > 0)
            do_piece(c, &p, buf, packed, units);
    }
    if (r < 0)
        failed(c, r, c->job->reading, c->job->where);
    free(buf);
    free(packed);
    free(units);
    return NULL;
}

int block_copy(BlockCopy *job)
{
    Copy c = { .job = job, .pipe = PTHREAD_MUTEX_INITIALIZER, .lock = PTHREAD_MUTEX_INITIALIZER,
               .turned = PTHREAD_COND_INITIALIZER };
    const BlockNode *target = job->target ? user_node(job->target) : NULL;
    unsigned n = job->workers ? job->workers : CLAMP(2 * g_get_num_processors(), 4, 8), started = 0;
    pthread_t threads[MOST_WORKERS];

    for (unsigned i = 0; i < job->n_sources; i++)
        c.total += block_size(job->sources[i]);
    c.unit = target ? MAX(target->limits.cluster, BLOCK_SECTOR) : BLOCK_SECTOR;
    if (job->compress && (!target || !target->driver->pack || !target->driver->write_packed))
        return -ENOTSUP;
    if (job->from || job->to || job->compress)
        job->unordered = false;
    clock_gettime(CLOCK_MONOTONIC, &c.begin);
    n = MIN(n, MOST_WORKERS);
    while (started < n && !pthread_create(&threads[started], NULL, work, &c))
        started++;
    if (!started)
        work(&c);
    while (started)
        pthread_join(threads[--started], NULL);
    job->length = job->from ? c.at : c.total;
    if (!c.error)
        c.error = job->to ? copy_pipe_end(job->to) : make_room(&c, job->length, true);
    return c.error ? c.error : target ? block_flush(job->target) : 0;
}
