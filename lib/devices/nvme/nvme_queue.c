/* SPDX-License-Identifier: MIT */
/*
 * Queues (NVM Express 1.4, 4.1 to 4.6): commands are taken by a thread of the controller's and answered
 * from wherever they end. A command is taken only while its completion queue has room for the answer. Data is moved to and from guest RAM directly, by PRP entries (4.3).
 */
#include "devices/nvme/nvme_priv.h"

#include "base/bytes.h"
#include "base/error.h"
#include "base/thread.h"
#include "base/log.h"

#include <string.h>

uint32_t nvme_dword(const NvmeCommand *c, unsigned n)
{
    return ld_le32(c->raw + 4 * n);
}

void nvme_fatal(Nvme *n)
{
    if (!(n->csts & 2))
        log_line(LOG_GUEST_ERRORS, "nvme: a queue is not in RAM: the controller needs a reset");
    n->csts |= 2;
}

/* ---- Interrupts -------------------------------------------------------------------- */

void nvme_irq_update(Nvme *n)
{
    bool level = false;
    for (unsigned i = 0; i < NVME_QUEUES; i++) {
        const NvmeCq *cq = &n->cq[i];
        level = level || (cq->size && cq->interrupts && cq->head != cq->tail &&
                          (cq->vector > 31 || !(n->intms >> cq->vector & 1)));
    }
    pci_intx(&n->pci.fn, level && !pci_msix_on(&n->pci.fn));
}

static void interrupt(Nvme *n, const NvmeCq *cq)
{
    if (!cq->interrupts)
        return;
    if (pci_msix_on(&n->pci.fn))
        pci_msix_send(&n->pci.fn, cq->vector);
    else
        nvme_irq_update(n);
}

/* ---- Completions ---------------------------------------------------------------------- */

/* Whether one more command may be taken that will be answered here. */
static bool cq_room(const NvmeCq *cq)
{
    unsigned free = (cq->head + cq->size - cq->tail - 1u) % cq->size;
    return free > cq->pending;
}

static void cq_put(Nvme *n, NvmeCq *cq, uint8_t *entry)
{
    st_le16(entry + 14, (uint16_t)((ld_le16(entry + 14) & ~1u) | cq->phase));
    /* The phase bit says that all of it is there: it goes last. To RAM only, as the lock is held. */
    uint64_t at = cq->base + (uint64_t)cq->tail * NVME_COMPLETION;
    if (bus_ram_write(n->dev.env.space, at, entry, 12) != BUS_OK ||
        bus_message(n->dev.env.space, at + 12, ld_le32(entry + 12)) != BUS_OK)
        nvme_fatal(n);
    if (++cq->tail == cq->size) {
        cq->tail = 0;
        cq->phase ^= 1;
    }
}

void nvme_complete(NvmeCommand *c, unsigned status)
{
    Nvme *n = c->n;
    uint8_t entry[NVME_COMPLETION] = {0};
    pthread_mutex_lock(&n->lock);
    NvmeSq *sq = &n->sq[c->sqid];
    NvmeCq *cq = &n->cq[sq->cqid];
    if (status != NVME_LATER) {
        st_le32(entry, c->result);
        st_le16(entry + 8, sq->head);
        st_le16(entry + 10, c->sqid);
        st_le16(entry + 12, ld_le16(c->raw + 2));
        st_le16(entry + 14, (uint16_t)(status << 1));
        cq_put(n, cq, entry);
        interrupt(n, cq);
    }
    cq->pending--;
    sq->in_flight--;
    n->in_flight--;
    c->next = n->free;
    n->free = c;
    /* Commands may have been left in their queues, somebody may wait for the end of this one. */
    if (n->in_flight == NVME_IN_FLIGHT - 1)
        nvme_wake(n);
    pthread_cond_broadcast(&n->rest);
    pthread_mutex_unlock(&n->lock);
}

/* ---- Guest memory ------------------------------------------------------------------------ */

/* One piece of at most a page. */
static unsigned add_piece(NvmeCommand *c, uint64_t addr, uint64_t len, bool to_guest)
{
    while (len) {
        uint64_t got = len;
        uint8_t *host = bus_dma_map(c->n->dev.env.space, addr, &got, to_guest);
        if (!host)
            return NVME_BAD_TRANSFER;
        struct iovec *last = c->pieces ? &c->iov[c->pieces - 1] : NULL;
        if (last && (uint8_t *)last->iov_base + last->iov_len == host &&
            c->ranges[c->pieces - 1].addr + last->iov_len == addr) {
            last->iov_len += got;
            c->ranges[c->pieces - 1].len += got;
        } else if (c->pieces == NVME_PIECES) {
            return NVME_BAD_TRANSFER;
        } else {
            c->iov[c->pieces] = (struct iovec){ host, got };
            c->ranges[c->pieces++] = (NvmeRange){ addr, got };
        }
        addr += got;
        len -= got;
    }
    return NVME_OK;
}

/* A list of entries: its last one leads on if there is more than it holds. */
static unsigned map_list(NvmeCommand *c, uint64_t list, uint64_t len, bool to_guest)
{
    if (list & 7)
        return NVME_BAD_PRP | NVME_DNR;
    unsigned status = NVME_OK;
    while (len && status == NVME_OK) {
        uint8_t raw[8];
        if (bus_ram_read(c->n->dev.env.space, list, raw, sizeof raw) != BUS_OK)
            return NVME_BAD_TRANSFER;
        uint64_t entry = ld_le64(raw);
        if ((list & (NVME_PAGE - 1)) == NVME_PAGE - 8 && len > NVME_PAGE) {
            /* A list of one entry that leads on makes no headway; there is no need for one. */
            if (entry & 7 || (entry & (NVME_PAGE - 1)) == NVME_PAGE - 8)
                return NVME_BAD_PRP | NVME_DNR;
            list = entry;
            continue;
        }
        if (entry & (NVME_PAGE - 1))
            return NVME_BAD_PRP | NVME_DNR;
        uint64_t piece = MIN(len, NVME_PAGE);
        status = add_piece(c, entry, piece, to_guest);
        len -= piece;
        list += 8;
    }
    return status;
}

unsigned nvme_map(NvmeCommand *c, uint64_t len, bool to_guest)
{
    uint64_t prp1 = ld_le64(c->raw + 24), prp2 = ld_le64(c->raw + 32);
    c->pieces = 0;
    if (c->raw[1] >> 6) /* SGLs */
        return NVME_BAD_FIELD | NVME_DNR;
    if (len > (uint64_t)NVME_PAGE << NVME_MDTS)
        return NVME_BAD_FIELD | NVME_DNR;
    if (prp1 & 3)
        return NVME_BAD_PRP | NVME_DNR;
    uint64_t first = MIN(len, NVME_PAGE - (prp1 & (NVME_PAGE - 1)));
    unsigned status = add_piece(c, prp1, first, to_guest);
    len -= first;
    if (status != NVME_OK || !len)
        return status;
    if (len > NVME_PAGE)
        return map_list(c, prp2, len, to_guest);
    return prp2 & (NVME_PAGE - 1) ? NVME_BAD_PRP | NVME_DNR : add_piece(c, prp2, len, to_guest);
}

void nvme_written(NvmeCommand *c)
{
    for (unsigned i = 0; i < c->pieces; i++)
        bus_dma_unmap(c->n->dev.env.space, c->ranges[i].addr, c->ranges[i].len);
}

unsigned nvme_give(NvmeCommand *c, const void *data, size_t len)
{
    unsigned status = nvme_map(c, len, true);
    const uint8_t *from = data;
    for (unsigned i = 0; status == NVME_OK && i < c->pieces; i++) {
        memcpy(c->iov[i].iov_base, from, c->iov[i].iov_len);
        from += c->iov[i].iov_len;
    }
    if (status == NVME_OK)
        nvme_written(c);
    return status;
}

unsigned nvme_take(NvmeCommand *c, void *data, size_t len)
{
    unsigned status = nvme_map(c, len, false);
    uint8_t *to = data;
    for (unsigned i = 0; status == NVME_OK && i < c->pieces; i++) {
        memcpy(to, c->iov[i].iov_base, c->iov[i].iov_len);
        to += c->iov[i].iov_len;
    }
    return status;
}

/* ---- Submissions ---------------------------------------------------------------------------- */

void nvme_wake(Nvme *n)
{
    n->work = true;
    pthread_cond_signal(&n->wake);
}

void nvme_doorbell(Nvme *n, unsigned qid, bool completion, uint32_t value)
{
    if (qid >= NVME_QUEUES)
        return;
    if (completion) {
        NvmeCq *cq = &n->cq[qid];
        if (!cq->size || value >= cq->size)
            return;
        cq->head = (uint16_t)value;
        if (!pci_msix_on(&n->pci.fn))
            nvme_irq_update(n);
        nvme_wake(n);
    } else if (n->sq[qid].size && value < n->sq[qid].size) {
        n->sq[qid].tail = (uint16_t)value;
        nvme_wake(n);
    }
}

static NvmeCommand *command_get(Nvme *n)
{
    NvmeCommand *c = n->free;
    if (c)
        n->free = c->next;
    else
        c = g_new(NvmeCommand, 1);
    c->n = n;
    c->result = 0;
    c->pieces = 0;
    return c;
}

/* The next command of a queue. NULL: none, or none for now. Under the lock. */
static NvmeCommand *fetch(Nvme *n, unsigned qid)
{
    NvmeSq *sq = &n->sq[qid];
    if (!sq->size || sq->head == sq->tail || n->paused || !(n->csts & 1) || n->csts & 2 ||
        n->in_flight >= NVME_IN_FLIGHT || !cq_room(&n->cq[sq->cqid]))
        return NULL;
    NvmeCommand *c = command_get(n);
    uint64_t at = sq->base + (uint64_t)sq->head * NVME_COMMAND;
    if (bus_ram_read(n->dev.env.space, at, c->raw, sizeof c->raw) != BUS_OK) {
        nvme_fatal(n);
        c->next = n->free;
        n->free = c;
        return NULL;
    }
    sq->head = (uint16_t)((sq->head + 1) % sq->size);
    c->sqid = (uint16_t)qid;
    sq->in_flight++;
    n->cq[sq->cqid].pending++;
    n->in_flight++;
    return c;
}

static void serve_queue(Nvme *n, unsigned qid)
{
    for (;;) {
        pthread_mutex_lock(&n->lock);
        NvmeCommand *c = fetch(n, qid);
        pthread_mutex_unlock(&n->lock);
        if (!c)
            return;
        unsigned status = qid ? nvme_io(c) : nvme_admin(c);
        if (status != NVME_LATER)
            nvme_complete(c, status);
    }
}

static void *serve(void *opaque)
{
    Nvme *n = opaque;
    pthread_mutex_lock(&n->lock);
    while (!n->end) {
        if (!n->work || n->paused) {
            pthread_cond_wait(&n->wake, &n->lock);
            continue;
        }
        n->work = false;
        n->busy = true;
        pthread_mutex_unlock(&n->lock);
        serve_queue(n, 0);
        block_plug(n->user);
        for (unsigned i = 1; i <= n->max_pairs; i++)
            serve_queue(n, i);
        block_unplug(n->user);
        pthread_mutex_lock(&n->lock);
        n->busy = false;
        pthread_cond_broadcast(&n->rest);
    }
    pthread_mutex_unlock(&n->lock);
    return NULL;
}

/* Ends a kept command, of that queue (NULL: any), without success; false: there is none. Under the lock,
   which it lets go of. */
static bool fail_kept(Nvme *n, const NvmeSq *sq)
{
    for (NvmeCommand **p = &n->kept; *p; p = &(*p)->next) {
        NvmeCommand *c = *p;
        if (sq && &n->sq[c->sqid] != sq)
            continue;
        *p = c->next;
        pthread_mutex_unlock(&n->lock);
        nvme_complete(c, c->io.op == BLOCK_READ ? NVME_READ_ERROR : NVME_WRITE_FAULT);
        pthread_mutex_lock(&n->lock);
        return true;
    }
    return false;
}

void nvme_drain_sq(Nvme *n, NvmeSq *sq)
{
    sq->draining = true;
    while (sq->in_flight)
        if (!fail_kept(n, sq))
            pthread_cond_wait(&n->rest, &n->lock);
    sq->draining = false;
}

void nvme_pause(Nvme *n)
{
    pthread_mutex_lock(&n->lock);
    n->paused++;
    while (n->busy || n->in_flight)
        if (!fail_kept(n, NULL))
            pthread_cond_wait(&n->rest, &n->lock);
    pthread_mutex_unlock(&n->lock);
}

bool nvme_keep(NvmeCommand *c)
{
    Nvme *n = c->n;
    pthread_mutex_lock(&n->lock);
    bool kept = !n->paused && !n->sq[c->sqid].draining;
    if (kept) {
        NvmeCommand **last = &n->kept;
        while (*last)
            last = &(*last)->next;
        c->next = NULL;
        *last = c;
    }
    pthread_mutex_unlock(&n->lock);
    return kept;
}

NvmeCommand *nvme_kept(Nvme *n)
{
    pthread_mutex_lock(&n->lock);
    NvmeCommand *list = n->kept;
    n->kept = NULL;
    pthread_mutex_unlock(&n->lock);
    return list;
}

void nvme_resume(Nvme *n)
{
    pthread_mutex_lock(&n->lock);
    n->paused--;
    nvme_wake(n);
    pthread_mutex_unlock(&n->lock);
}

void nvme_queues_clear(Nvme *n)
{
    memset(n->sq, 0, sizeof n->sq);
    memset(n->cq, 0, sizeof n->cq);
    n->aer_count = 0;
}

bool nvme_thread_start(Nvme *n, GError **error)
{
    pthread_mutex_init(&n->lock, NULL);
    pthread_cond_init(&n->wake, NULL);
    pthread_cond_init(&n->rest, NULL);
    int ret = thread_start(&n->thread, "nvme", serve, n);
    if (ret)
        return fail_errno(error, ret, "cannot make a thread");
    n->has_thread = true;
    return true;
}

void nvme_thread_end(Nvme *n)
{
    if (!n->has_thread)
        return;
    nvme_pause(n);
    pthread_mutex_lock(&n->lock);
    n->end = true;
    pthread_cond_signal(&n->wake);
    pthread_mutex_unlock(&n->lock);
    pthread_join(n->thread, NULL);
    nvme_queues_clear(n);
    while (n->free) {
        NvmeCommand *c = n->free;
        n->free = c->next;
        g_free(c);
    }
    pthread_mutex_destroy(&n->lock);
    pthread_cond_destroy(&n->wake);
    pthread_cond_destroy(&n->rest);
    n->has_thread = false;
}
