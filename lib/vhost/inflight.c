/* SPDX-License-Identifier: MIT */
/*
 * Inflight tracking ("Inflight I/O tracking" in the protocol's documentation): which requests were
 * taken and not answered is written to memory that the front end keeps. When this process dies, the
 * next gets that memory and does those requests again, in their order, before it looks for more.
 *
 * The order of stores is what it is about: a process may die between any two. What is read at run
 * time is our own copy, since the front end may write there; what a new process finds is checked
 * before it is believed. A queue that has come to rest has nothing in flight: its region is marked
 * as empty (version 0), and begins anew.
 */
#include "vhost/vhost_priv.h"

#include "base/bytes.h"
#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { VERSION = 1, ALIGN = 64, AVAIL = 1 << 7, USED = 1 << 15 };

typedef struct {
    uint8_t inflight, padding[5];
    uint16_t next;
    uint64_t counter;
} SplitState;

typedef struct {
    uint64_t features;
    uint16_t version, desc_num, last_batch_head, used_idx;
    SplitState desc[];
} SplitRegion;

typedef struct {
    uint8_t inflight, padding;
    uint16_t next, last, num;
    uint64_t counter;
    uint16_t id, flags;
    uint32_t len;
    uint64_t addr;
} PackedState;

typedef struct {
    uint16_t idx, old_idx;
    uint8_t wrap, old_wrap, padding[2];
} PackedUsed;

typedef struct {
    uint64_t features;
    uint16_t version, desc_num, free_head, old_free_head;
    PackedUsed used; /* of 8 bytes and aligned: its parts change in one store */
    uint8_t padding[8];
    PackedState desc[];
} PackedRegion;

G_STATIC_ASSERT(sizeof(SplitRegion) == 16 && sizeof(SplitState) == 16);
G_STATIC_ASSERT(sizeof(PackedRegion) == 32 && sizeof(PackedState) == 32 &&
                offsetof(PackedRegion, used) == 16);

/* Only the compiler could change the order: a process that dies has done all stores before one that
 * it did. */
#define PUT(place, value) __atomic_store_n(&(place), value, __ATOMIC_RELEASE)

static void put_used(PackedRegion *p, PackedUsed used)
{
    uint64_t word;
    memcpy(&word, &used, sizeof word);
    __atomic_store_n((uint64_t *)(void *)&p->used, word, __ATOMIC_RELEASE);
}

/* ---- The memory ------------------------------------------------------------------ */

/* Enough for either kind of ring, as which it is may not be agreed on yet. */
static uint64_t stride(unsigned queue_size)
{
    uint64_t bytes = sizeof(PackedRegion) + queue_size * sizeof(PackedState);
    return (bytes + ALIGN - 1) & ~(uint64_t)(ALIGN - 1);
}

static bool check(const VhostBackend *b, const VhostInflight *i, GError **error)
{
    return (i->queues && i->queues <= b->device.queues && i->queue_size &&
            i->queue_size <= VRING_MAX_SIZE) ||
           fail(error, "inflight tracking of %u queues of %u entries", i->queues, i->queue_size);
}

bool vhost_inflight_get(VhostBackend *b, VhostMessage *m, GError **error)
{
    VhostInflight *i = &m->body.inflight;
    if (!check(b, i, error))
        return false;
    i->offset = 0;
    i->size = i->queues * stride(i->queue_size);
    vhost_message_clear(m);
    int fd = memfd_create("inflight", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0 || ftruncate(fd, (off_t)i->size) ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW)) {
        fail_errno(error, errno, "memory for inflight tracking");
        if (fd >= 0)
            close(fd);
        return false;
    }
    m->fds[m->fd_count++] = fd;
    m->head.size = sizeof *i;
    return true;
}

void vhost_inflight_clear(VhostBackend *b)
{
    if (b->inflight) {
        vhost_unguard(b, b->inflight);
        munmap(b->inflight, b->inflight_bytes);
    }
    b->inflight = NULL;
}

bool vhost_inflight_set(VhostBackend *b, VhostMessage *m, GError **error)
{
    const VhostInflight *i = &m->body.inflight;
    struct stat st;
    if (!check(b, i, error))
        return false;
    if (m->fd_count != 1 || fstat(m->fds[0], &st))
        return fail(error, "inflight tracking without its memory");
    if (i->offset % (uint64_t)sysconf(_SC_PAGESIZE) ||
        i->size < i->queues * stride(i->queue_size) || i->size > INT64_MAX ||
        i->offset > INT64_MAX - i->size || i->offset + i->size > (uint64_t)st.st_size)
        return fail(error,
                    "inflight tracking: %#" PRIx64 " bytes at %#" PRIx64 " are not what is needed",
                    i->size, i->offset);
    size_t bytes = i->queues * stride(i->queue_size);
    uint8_t *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, m->fds[0], (off_t)i->offset);
    if (p == MAP_FAILED)
        return fail_errno(error, errno, "memory for inflight tracking");
    vhost_inflight_clear(b);
    b->inflight = p;
    b->inflight_bytes = bytes;
    vhost_guard(b, p, bytes);
    b->inflight_queues = i->queues;
    b->inflight_size = i->queue_size;
    return true;
}

/* ---- What another life has left ------------------------------------------------------ */

typedef struct {
    uint64_t counter;
    uint16_t entry;
} Old;

static int by_counter(const void *a, const void *b)
{
    const Old *x = a, *y = b;
    return x->counter < y->counter ? -1 : x->counter > y->counter;
}

static bool nonsense(const VhostQueue *q, GError **error)
{
    return fail(error, "queue %u: its inflight tracking makes no sense", q->index);
}

/* Keeps them in order. */
static void remember(VhostTrack *t, Old *old, unsigned n)
{
    qsort(old, n, sizeof *old, by_counter);
    t->again = g_new(uint16_t, n + 1);
    t->again_count = n;
    t->counter = n ? old[n - 1].counter + 1 : 0;
    for (unsigned i = 0; i < n; i++)
        t->again[i] = old[i].entry;
}

static bool begin_split(VhostQueue *q, VringIndex *index, GError **error)
{
    VhostTrack *t = &q->track;
    SplitRegion *p = t->region;
    g_autofree Old *old = g_new(Old, q->size);
    unsigned count = 0;
    if (p->version != VERSION || p->desc_num != q->size) {
        memset(p, 0, sizeof *p + q->size * sizeof p->desc[0]);
        p->desc_num = q->size;
        p->used_idx = index->used;
        PUT(p->version, VERSION);
    }
    uint16_t batch = (uint16_t)(index->used - p->used_idx), head = p->last_batch_head;
    if (batch > q->size)
        return nonsense(q, error);
    for (; batch; batch--) {
        if (head >= q->size)
            return nonsense(q, error);
        PUT(p->desc[head].inflight, 0);
        head = p->desc[head].next;
    }
    PUT(p->used_idx, index->used);
    for (unsigned i = 0; i < q->size; i++)
        if (p->desc[i].inflight)
            old[count++] = (Old){ p->desc[i].counter, (uint16_t)i };
    t->last_head = p->last_batch_head;
    index->avail = (uint16_t)(index->used + count);
    remember(t, old, count);
    return true;
}

static void init_packed(PackedRegion *p, uint16_t size, const VringIndex *index)
{
    memset(p, 0, sizeof *p + size * sizeof p->desc[0]);
    p->desc_num = size;
    p->used = (PackedUsed){ index->used, index->used, index->used_wrap, index->used_wrap, { 0 } };
    for (unsigned i = 0; i < size; i++)
        p->desc[i].next = (uint16_t)(i + 1);
    PUT(p->version, VERSION);
}

/* An answer that was being given is either seen by the driver, or not given. */
static void settle_packed(VhostQueue *q, PackedRegion *p, const VringConfig *config)
{
    uint8_t raw[2] = { 0 };
    PackedUsed used = p->used;
    if (used.idx != used.old_idx) {
        bus_ram_read(q->backend->space,
                     config->desc + VRING_DESC_SIZE * (uint64_t)used.old_idx + 14, raw, 2);
        bool avail = !!(ld_le16(raw) & AVAIL), seen = !!(ld_le16(raw) & USED),
             wrap = used.old_wrap & 1;
        if (avail != wrap || seen == wrap) {
            p->old_free_head = p->free_head;
            used.old_idx = used.idx;
            used.old_wrap = used.wrap;
        }
    }
    p->free_head = p->old_free_head;
    used.idx = used.old_idx;
    used.wrap = used.old_wrap;
    put_used(p, used);
}

/* Counts a list's entries, which must be nobody else's; false: they are. limit: so many; else to
 * its end. */
static bool claim(VhostQueue *q, bool *claimed, uint16_t at, unsigned limit, unsigned *count,
                  uint16_t *last)
{
    for (unsigned n = 0; n < limit && (limit <= q->size || at < q->size); n++) {
        if (at >= q->size || claimed[at])
            return false;
        claimed[at] = true;
        ++*count;
        *last = at;
        at = q->track.next[at];
    }
    return true;
}

static bool find_packed(VhostQueue *q, PackedRegion *p, bool *claimed, Old *old, unsigned *n,
                        unsigned *descs)
{
    VhostTrack *t = &q->track;
    unsigned vacant = 0;
    uint16_t last = 0;
    if (!claim(q, claimed, p->free_head, q->size + 1u, &vacant, &last))
        return false;
    for (unsigned i = 0; i < q->size; i++)
        if (claimed[i])
            PUT(p->desc[i].inflight, 0);
    for (unsigned i = 0; i < q->size; i++) {
        uint16_t num = p->desc[i].num;
        if (!p->desc[i].inflight)
            continue;
        if (!num || num > q->size || !claim(q, claimed, (uint16_t)i, num, descs, &last))
            return false;
        t->last[i] = last;
        t->num[i] = num;
        old[(*n)++] = (Old){ p->desc[i].counter, (uint16_t)i };
    }
    return vacant + *descs == q->size;
}

static bool begin_packed(VhostQueue *q, const VringConfig *config, VringIndex *index,
                         GError **error)
{
    VhostTrack *t = &q->track;
    PackedRegion *p = t->region;
    g_autofree Old *old = g_new(Old, q->size);
    g_autofree bool *claimed = g_new0(bool, q->size);
    unsigned n = 0, descs = 0;
    if (p->version != VERSION || p->desc_num != q->size)
        init_packed(p, q->size, index);
    if (p->used.old_idx >= q->size || p->used.idx >= q->size)
        return nonsense(q, error);
    settle_packed(q, p, config);
    t->next = g_new(uint16_t, 3 * q->size);
    t->last = t->next + q->size;
    t->num = t->last + q->size;
    for (unsigned i = 0; i < q->size; i++)
        t->next[i] = p->desc[i].next;
    if (!find_packed(q, p, claimed, old, &n, &descs))
        return nonsense(q, error);
    t->free_head = p->free_head;
    index->used = p->used.idx;
    index->used_wrap = p->used.wrap & 1;
    unsigned avail = index->used + descs;
    index->avail_wrap = (uint8_t)(index->used_wrap ^ (avail >= q->size));
    index->avail = (uint16_t)(avail >= q->size ? avail - q->size : avail);
    remember(t, old, n);
    return true;
}

bool vhost_inflight_begin(VhostQueue *q, const VringConfig *config, VringIndex *index,
                          GError **error)
{
    VhostBackend *b = q->backend;
    if (!b->inflight || q->index >= b->inflight_queues)
        return true;
    if (q->size > b->inflight_size)
        return fail(error, "queue %u: inflight tracking has room for %u entries, not %u", q->index,
                    b->inflight_size, q->size);
    q->track = (VhostTrack){ .region = b->inflight + q->index * stride(b->inflight_size),
                             .packed = config->flags & VRING_PACKED };
    if (q->track.packed ? begin_packed(q, config, index, error) : begin_split(q, index, error))
        return true;
    vhost_inflight_forget(q);
    return false;
}

void vhost_inflight_forget(VhostQueue *q)
{
    g_free(q->track.again);
    g_free(q->track.next);
    q->track = (VhostTrack){ .region = NULL };
}

void vhost_inflight_end(VhostQueue *q)
{
    if (!q->track.region)
        return;
    if (q->track.packed)
        PUT(((PackedRegion *)q->track.region)->version, 0);
    else
        PUT(((SplitRegion *)q->track.region)->version, 0);
    vhost_inflight_forget(q);
}

/* ---- Requests, under the queue's lock --------------------------------------------------- */

static VringResult pop_again(VhostQueue *q, VhostRequest *r)
{
    VhostTrack *t = &q->track;
    const PackedRegion *p = t->region;
    uint16_t at = r->entry = t->again[t->again_at++];
    if (!t->packed)
        return vring_pop_head(&q->ring, at, &r->chain);
    g_autofree uint8_t *raw = g_malloc((size_t)VRING_DESC_SIZE * t->num[at]);
    uint8_t *to = raw;
    for (unsigned i = 0; i < t->num[r->entry]; i++, to += VRING_DESC_SIZE, at = t->next[at]) {
        st_le64(to, p->desc[at].addr);
        st_le32(to + 8, p->desc[at].len);
        st_le16(to + 12, p->desc[at].id);
        st_le16(to + 14, p->desc[at].flags);
    }
    return vring_pop_descs(&q->ring, raw, t->num[r->entry], &r->chain);
}

/* The ring's part is still as it was: the driver gets it back with the answer only. */
static void note_packed(VhostQueue *q, VhostRequest *r, unsigned at)
{
    VhostTrack *t = &q->track;
    PackedRegion *p = t->region;
    uint16_t head = r->entry = t->free_head, e = head;
    PUT(p->desc[head].num, 0);
    PUT(p->desc[head].counter, t->counter++);
    PUT(p->desc[head].inflight, 1);
    for (unsigned i = 0; i < r->chain.count; i++) {
        uint8_t raw[VRING_DESC_SIZE];
        vring_desc(&q->ring, (at + i) % q->size, raw);
        t->last[head] = e;
        PUT(p->desc[head].last, e);
        PUT(p->desc[head].num, (uint16_t)(i + 1));
        PUT(p->desc[e].addr, ld_le64(raw));
        PUT(p->desc[e].len, ld_le32(raw + 8));
        PUT(p->desc[e].id, ld_le16(raw + 12));
        PUT(p->desc[e].flags, ld_le16(raw + 14));
        e = t->next[e];
        PUT(p->free_head, e);
    }
    t->num[head] = r->chain.count;
    t->free_head = e;
    PUT(p->old_free_head, e);
}

VringResult vhost_inflight_pop(VhostQueue *q, VhostRequest *r)
{
    VhostTrack *t = &q->track;
    unsigned at = q->ring.at.avail;
    if (t->again_at < t->again_count)
        return pop_again(q, r);
    VringResult got = vring_pop(&q->ring, &r->chain);
    if (got != VRING_GOT)
        return got;
    if (t->packed) {
        note_packed(q, r, at);
    } else {
        SplitRegion *p = t->region;
        r->entry = r->chain.id;
        PUT(p->desc[r->entry].counter, t->counter++);
        PUT(p->desc[r->entry].inflight, 1);
    }
    return got;
}

static void push_split(VhostQueue *q, VhostRequest *r, uint32_t written)
{
    VhostTrack *t = &q->track;
    SplitRegion *p = t->region;
    PUT(p->desc[r->entry].next, t->last_head);
    t->last_head = r->entry;
    PUT(p->last_batch_head, r->entry);
    vring_push(&q->ring, &r->chain, written);
    PUT(p->desc[r->entry].inflight, 0);
    PUT(p->used_idx, q->ring.at.used);
}

static void push_packed(VhostQueue *q, VhostRequest *r, uint32_t written)
{
    VhostTrack *t = &q->track;
    PackedRegion *p = t->region;
    const VringIndex *at = &q->ring.at;
    PackedUsed used = { .old_idx = at->used, .old_wrap = at->used_wrap };
    unsigned next = at->used + r->chain.count;
    uint16_t last = t->last[r->entry];
    t->next[last] = t->free_head;
    PUT(p->desc[last].next, t->free_head);
    t->free_head = r->entry;
    PUT(p->free_head, r->entry);
    used.idx = (uint16_t)(next >= q->size ? next - q->size : next);
    used.wrap = at->used_wrap ^ (next >= q->size);
    put_used(p, used);
    vring_push(&q->ring, &r->chain, written);
    PUT(p->desc[r->entry].inflight, 0);
    PUT(p->old_free_head, t->free_head);
    put_used(p, (PackedUsed){ used.idx, used.idx, used.wrap, used.wrap, { 0 } });
}

void vhost_inflight_push(VhostQueue *q, VhostRequest *r, uint32_t written)
{
    if (q->track.packed)
        push_packed(q, r, written);
    else
        push_split(q, r, written);
}
