/* SPDX-License-Identifier: MIT */
/*
 * A SCSI logical unit (SPC-4, SBC-3): how a command begins and ends, unit attention, and the commands
 * that move blocks. Reads and writes go between guest memory and lib/block without a copy. Commands
 * of several parts (UNMAP, WRITE SAME) submit the next from where the last ended.
 *
 * Left out: reservations, protection information, descriptor-format sense, VERIFY with comparison,
 * COMPARE AND WRITE.
 */
#include "devices/scsi/scsi_priv.h"

#include "base/bits.h"
#include "base/bytes.h"

#include <errno.h>
#include <string.h>

enum {
    SAME_BUFFER = 256 << 10, /* bytes of a pattern written at once */
    UNMAP_RANGES = 255,
    UNMAP_RANGE = 16,
};

/* ---- Ends ----------------------------------------------------------------------------------- */

bool scsi_good(ScsiRequest *req)
{
    req->status = SCSI_GOOD;
    return true;
}

void scsi_sense_fixed(uint8_t sense[SCSI_SENSE], uint32_t code)
{
    memset(sense, 0, SCSI_SENSE);
    sense[0] = 0x70;
    sense[2] = (uint8_t)(code >> 16);
    sense[7] = SCSI_SENSE - 8;
    sense[12] = (uint8_t)(code >> 8);
    sense[13] = (uint8_t)code;
}

bool scsi_fail(ScsiRequest *req, uint32_t code)
{
    req->status = SCSI_CHECK_CONDITION;
    req->sense_len = SCSI_SENSE;
    scsi_sense_fixed(req->sense, code);
    return true;
}

bool scsi_room(ScsiRequest *req, uint64_t bytes, bool to_guest)
{
    if (bytes > req->bytes || (bytes && req->to_guest != to_guest)) {
        req->overrun = true;
        return false;
    }
    unsigned n = 0;
    for (uint64_t left = bytes; left; n++) {
        req->iov[n].iov_len = MIN(req->iov[n].iov_len, left);
        left -= req->iov[n].iov_len;
    }
    req->iovcnt = n;
    req->bytes = bytes;
    return true;
}

bool scsi_give(ScsiRequest *req, const void *data, size_t len, size_t alloc)
{
    const uint8_t *p = data;
    if (!scsi_room(req, MIN(len, alloc), true))
        return true;
    for (unsigned i = 0; i < req->iovcnt; i++) {
        memcpy(req->iov[i].iov_base, p, req->iov[i].iov_len);
        p += req->iov[i].iov_len;
    }
    req->moved = req->bytes;
    return scsi_good(req);
}

void scsi_take(const ScsiRequest *req, void *data, size_t len)
{
    uint8_t *p = data;
    for (unsigned i = 0; i < req->iovcnt && len; i++) {
        size_t n = MIN(len, req->iov[i].iov_len);
        memcpy(p, req->iov[i].iov_base, n);
        p += n;
        len -= n;
    }
}

/* ---- Operations on the medium --------------------------------------------------------------- */

static bool io_ended(ScsiRequest *req)
{
    int ret = req->io.ret;
    bool read = req->io.op == BLOCK_READ;
    const DeviceDrive *drive = req->disk->drive;
    if (ret && (read ? drive->rerror : drive->werror) == BLOCK_ON_ERROR_IGNORE)
        ret = 0;
    /* Giving space back is a wish. */
    if (ret == -ENOTSUP && req->io.op == BLOCK_DISCARD)
        ret = 0;
    if (!ret && __atomic_load_n(&req->cancelled, __ATOMIC_ACQUIRE) && req->next)
        ret = -ECANCELED;
    switch (ret) {
    case 0: break;
    case -ECANCELED: return scsi_fail(req, ENDED_EARLY);
    case -ENOSPC: return scsi_fail(req, SPACE_EXHAUSTED);
    case -EPERM:
    case -EROFS: return scsi_fail(req, WRITE_PROTECTED);
    case -ENOTSUP: return scsi_fail(req, BAD_OPCODE);
    default: return scsi_fail(req, read ? READ_ERROR : WRITE_ERROR);
    }
    req->moved = req->bytes;
    return req->next ? req->next(req) : scsi_good(req);
}

/* On whatever thread it ended. */
static void io_done(BlockRequest *io)
{
    ScsiRequest *req = io->opaque;
    if (io_ended(req))
        req->done(req);
}

static bool submit(ScsiRequest *req, BlockOp op, unsigned flags, uint64_t offset, uint64_t bytes,
                   const struct iovec *iov, unsigned iovcnt)
{
    req->io = (BlockRequest){
        .op = op,
        .flags = flags | BLOCK_MAY_STALL,
        .offset = offset,
        .bytes = bytes,
        .iov = iov,
        .iovcnt = (int)iovcnt,
        .done = io_done,
        .opaque = req,
    };
    return block_submit(req->disk->user, &req->io) && io_ended(req);
}

bool scsi_io(ScsiRequest *req, BlockOp op, unsigned flags, uint64_t offset, uint64_t bytes)
{
    bool data = op == BLOCK_READ || op == BLOCK_WRITE;
    if (op != BLOCK_FLUSH && !bytes)
        return scsi_good(req);
    return submit(req, op, flags, offset, bytes, data ? req->iov : NULL, data ? req->iovcnt : 0);
}

void scsi_cancel(ScsiRequest *req)
{
    __atomic_store_n(&req->cancelled, true, __ATOMIC_RELEASE);
}

void scsi_request_clear(ScsiRequest *req)
{
    g_clear_pointer(&req->data, g_free);
}

/* ---- State of the unit ---------------------------------------------------------------------- */

uint64_t scsi_disk_blocks(const ScsiDisk *d)
{
    return d->user ? block_size(d->user) / d->logical : 0;
}

uint32_t scsi_disk_medium(ScsiDisk *d)
{
    pthread_mutex_lock(&d->lock);
    uint32_t why = d->tray_open ? TRAY_OPEN : !d->user ? NO_MEDIUM : NO_SENSE;
    pthread_mutex_unlock(&d->lock);
    return why;
}

void scsi_disk_attention(ScsiDisk *d, uint32_t bit)
{
    pthread_mutex_lock(&d->lock);
    __atomic_fetch_or(&d->attention, bit, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&d->lock);
    uint16_t code = bit == UA_CAPACITY ? 0x2a09 : bit == UA_MEDIUM ? 0x2800 : 0;
    if (d->bus && d->bus->attention && code)
        d->bus->attention(d->bus, d, code);
}

/* The first condition that is pending, which is none any more; NO_SENSE if there was none. */
static uint32_t attention_take(ScsiDisk *d)
{
    static const uint32_t codes[] = { SCSI_SENSE_CODE(6, 0x29, 0x00),
                                      SCSI_SENSE_CODE(6, 0x29, 0x03),
                                      SCSI_SENSE_CODE(6, 0x28, 0x00),
                                      SCSI_SENSE_CODE(6, 0x2a, 0x09) };
    if (!__atomic_load_n(&d->attention, __ATOMIC_ACQUIRE))
        return NO_SENSE;
    pthread_mutex_lock(&d->lock);
    uint32_t bits = d->attention;
    __atomic_store_n(&d->attention, bits & (bits - 1), __ATOMIC_RELEASE);
    pthread_mutex_unlock(&d->lock);
    return bits ? codes[__builtin_ctz(bits)] : NO_SENSE;
}

void scsi_disk_set_wce(ScsiDisk *d, bool wce)
{
    pthread_mutex_lock(&d->lock);
    d->wce = wce;
    pthread_mutex_unlock(&d->lock);
    if (d->user)
        block_user_set_writethrough(d->user, !wce);
}

/* ---- Reading and writing -------------------------------------------------------------------- */

/* Where a command works, by the size of its CDB. */
static uint64_t cdb_lba(const uint8_t *cdb)
{
    switch (cdb[0] >> 5) {
    case 0: return ld_be32(cdb) & 0x1fffff;
    case 4: return ld_be64(cdb + 2);
    default: return ld_be32(cdb + 2);
    }
}

static uint32_t cdb_count(const uint8_t *cdb)
{
    switch (cdb[0] >> 5) {
    case 0: return cdb[4] ? cdb[4] : 256;
    case 4: return ld_be32(cdb + 10);
    case 5: return ld_be32(cdb + 6);
    default: return ld_be16(cdb + 7);
    }
}

static bool in_range(const ScsiDisk *d, uint64_t lba, uint64_t count)
{
    uint64_t all = scsi_disk_blocks(d);
    return lba <= all && count <= all - lba;
}

static bool transfer(ScsiDisk *d, ScsiRequest *req, bool write, unsigned flags)
{
    const uint8_t *cdb = req->cdb;
    uint64_t lba = cdb_lba(cdb), count = cdb_count(cdb);
    bool six = cdb[0] < 0x20;
    if (write && d->read_only)
        return scsi_fail(req, WRITE_PROTECTED);
    if (!six && cdb[1] >> 5)
        return scsi_fail(req, BAD_FIELD);
    if (!in_range(d, lba, count))
        return scsi_fail(req, OUT_OF_RANGE);
    if (!scsi_room(req, count * d->logical, !write))
        return true;
    if (write && !six && cdb[1] & 8)
        flags |= BLOCK_FUA;
    return scsi_io(req, write ? BLOCK_WRITE : BLOCK_READ, flags, lba * d->logical, req->bytes);
}

/* What is there can be read, as far as anyone can tell; data to compare with is not taken. */
static bool verify(ScsiDisk *d, ScsiRequest *req)
{
    if (req->cdb[1] & 6 || req->cdb[1] >> 5)
        return scsi_fail(req, BAD_FIELD);
    if (!in_range(d, cdb_lba(req->cdb), cdb_count(req->cdb)))
        return scsi_fail(req, OUT_OF_RANGE);
    return scsi_good(req);
}

static bool sync_cache(ScsiDisk *d, ScsiRequest *req)
{
    if (!in_range(d, cdb_lba(req->cdb), cdb_count(req->cdb)))
        return scsi_fail(req, OUT_OF_RANGE);
    return scsi_io(req, BLOCK_FLUSH, 0, 0, 0);
}

/* ---- WRITE SAME (SBC-3, 5.42) --------------------------------------------------------------- */

static bool same_next(ScsiRequest *req)
{
    if (!req->left)
        return scsi_good(req);
    uint64_t n = MIN(req->left, SAME_BUFFER), at = req->at;
    req->one = (struct iovec){ req->data, n };
    req->at += n;
    req->left -= n;
    return submit(req, BLOCK_WRITE, 0, at, n, &req->one, 1);
}

static bool write_same(ScsiDisk *d, ScsiRequest *req)
{
    const uint8_t *cdb = req->cdb;
    bool wide = cdb[0] == 0x93, unmap = cdb[1] & 8, no_data = wide && cdb[1] & 1;
    uint64_t lba = cdb_lba(cdb), count = cdb_count(cdb);
    if (d->read_only)
        return scsi_fail(req, WRITE_PROTECTED);
    if (cdb[1] & 0xf6 || !count || count > INT32_MAX / d->logical || (!wide && cdb[1] & 1))
        return scsi_fail(req, BAD_FIELD);
    if (!in_range(d, lba, count))
        return scsi_fail(req, OUT_OF_RANGE);
    if (!scsi_room(req, no_data ? 0 : d->logical, false))
        return true;
    uint64_t bytes = count * d->logical;
    uint8_t *block = g_malloc0(SAME_BUFFER);
    scsi_take(req, block, d->logical);
    bool zero = !block[0] && !memcmp(block, block + 1, d->logical - 1);
    if (zero) {
        g_free(block);
        return scsi_io(req, BLOCK_ZERO, unmap ? BLOCK_MAY_UNMAP : 0, lba * d->logical, bytes);
    }
    for (uint32_t i = d->logical; i < SAME_BUFFER; i += d->logical)
        memcpy(block + i, block, d->logical);
    req->data = block;
    req->at = lba * d->logical;
    req->left = bytes;
    req->next = same_next;
    return same_next(req);
}

/* ---- UNMAP (SBC-3, 5.35) -------------------------------------------------------------------- */

static bool unmap_next(ScsiRequest *req)
{
    while (req->step < req->steps) {
        const uint8_t *range = req->data + 8 + UNMAP_RANGE * req->step++;
        uint64_t size = req->disk->logical, count = ld_be32(range + 8);
        if (count)
            return submit(req, BLOCK_DISCARD, 0, ld_be64(range) * size, count * size, NULL, 0);
    }
    return scsi_good(req);
}

static bool unmap(ScsiDisk *d, ScsiRequest *req)
{
    uint32_t len = ld_be16(req->cdb + 7);
    if (d->read_only)
        return scsi_fail(req, WRITE_PROTECTED);
    if (req->cdb[1] & 1)
        return scsi_fail(req, BAD_FIELD);
    if (!len)
        return scsi_good(req);
    if (!scsi_room(req, len, false))
        return true;
    if (len < 8)
        return scsi_fail(req, BAD_LIST_LENGTH);
    req->data = g_malloc(len);
    scsi_take(req, req->data, len);
    uint32_t all = ld_be16(req->data) + 2u, ranges = ld_be16(req->data + 2);
    if (all > len || ranges > len - 8 || all < 8 + ranges - ranges % UNMAP_RANGE)
        return scsi_fail(req, BAD_PARAMETER);
    req->steps = ranges / UNMAP_RANGE;
    if (req->steps > UNMAP_RANGES)
        return scsi_fail(req, BAD_PARAMETER);
    for (unsigned i = 0; i < req->steps; i++) {
        const uint8_t *range = req->data + 8 + UNMAP_RANGE * i;
        if (!in_range(d, ld_be64(range), ld_be32(range + 8)))
            return scsi_fail(req, OUT_OF_RANGE);
    }
    req->next = unmap_next;
    return unmap_next(req);
}

/* ---- Dispatch ------------------------------------------------------------------------------- */

static bool request_sense(ScsiDisk *d, ScsiRequest *req)
{
    uint8_t sense[SCSI_SENSE];
    if (req->cdb[1] & 1) /* descriptor format */
        return scsi_fail(req, BAD_FIELD);
    uint32_t code = attention_take(d);
    scsi_sense_fixed(sense, code != NO_SENSE ? code : scsi_disk_medium(d));
    return scsi_give(req, sense, sizeof sense, req->cdb[4]);
}

/* A disk that is to stop keeps nothing back. */
static bool start_stop(ScsiDisk *d, ScsiRequest *req)
{
    if (d->cd)
        return scsi_start_stop_cd(d, req);
    return req->cdb[4] & 1 ? scsi_good(req) : scsi_io(req, BLOCK_FLUSH, 0, 0, 0);
}

static bool prevent_allow(ScsiDisk *d, ScsiRequest *req)
{
    pthread_mutex_lock(&d->lock);
    d->locked = req->cdb[4] & 1;
    pthread_mutex_unlock(&d->lock);
    return scsi_good(req);
}

/* What needs a medium. */
static bool on_medium(ScsiDisk *d, ScsiRequest *req)
{
    switch (req->cdb[0]) {
    case 0x00: return scsi_good(req);
    case 0x25: return scsi_read_capacity(d, req);
    case 0x9e: return (req->cdb[1] & 0x1f) == 0x10 ? scsi_read_capacity_16(d, req)
                                                   : scsi_fail(req, BAD_FIELD);
    case 0x08:
    case 0x28:
    case 0x88:
    case 0xa8: return transfer(d, req, false, 0);
    case 0x2f:
    case 0x8f:
    case 0xaf: return verify(d, req);
    case 0x35:
    case 0x91: return sync_cache(d, req);
    case 0x2b: return in_range(d, cdb_lba(req->cdb), 1) ? scsi_good(req)
                                                        : scsi_fail(req, OUT_OF_RANGE);
    default: break;
    }
    if (d->cd)
        return scsi_fail(req, BAD_OPCODE);
    switch (req->cdb[0]) {
    case 0x0a:
    case 0x2a:
    case 0x8a:
    case 0xaa: return transfer(d, req, true, 0);
    case 0x2e:
    case 0x8e:
    case 0xae: return req->cdb[1] & 6 ? scsi_fail(req, BAD_FIELD)
                                      : transfer(d, req, true, BLOCK_FUA);
    case 0x41:
    case 0x93: return write_same(d, req);
    case 0x42: return unmap(d, req);
    default: return scsi_fail(req, BAD_OPCODE);
    }
}

static bool needs_medium(uint8_t op)
{
    static const uint8_t ops[] = { 0x00, 0x25, 0x9e, 0x08, 0x28, 0x88, 0xa8, 0x2f, 0x8f, 0xaf, 0x35,
                                   0x91, 0x2b, 0x0a, 0x2a, 0x8a, 0xaa, 0x2e, 0x8e, 0xae, 0x41, 0x93,
                                   0x42 };
    return memchr(ops, op, sizeof ops) != NULL;
}

static bool dispatch(ScsiDisk *d, ScsiRequest *req)
{
    bool known = true;
    switch (req->cdb[0]) { /* these come before unit attention conditions */
    case 0x03: return request_sense(d, req);
    case 0x12: return scsi_inquiry(d, req);
    case 0xa0: return scsi_report_luns(d->bus, d->target, req);
    default: break;
    }
    if (d->cd && (req->cdb[0] == 0x46 || req->cdb[0] == 0x4a))
        return scsi_mmc(d, req, &known);
    uint32_t why = attention_take(d);
    if (why != NO_SENSE)
        return scsi_fail(req, why);
    switch (req->cdb[0]) {
    case 0x15:
    case 0x55: return scsi_mode_select(d, req);
    case 0x1a:
    case 0x5a: return scsi_mode_sense(d, req);
    case 0x1b: return start_stop(d, req);
    case 0x1e: return prevent_allow(d, req);
    default: break;
    }
    if (d->cd && (scsi_mmc(d, req, &known), known))
        return true;
    if (!needs_medium(req->cdb[0]))
        return scsi_fail(req, BAD_OPCODE);
    why = scsi_disk_medium(d);
    return why != NO_SENSE ? scsi_fail(req, why) : on_medium(d, req);
}

bool scsi_submit(ScsiDisk *d, ScsiRequest *req)
{
    req->disk = d;
    req->overrun = false;
    req->moved = 0;
    req->sense_len = 0;
    req->status = SCSI_GOOD;
    req->step = req->steps = 0;
    req->next = NULL;
    g_clear_pointer(&req->data, g_free);
    return dispatch(d, req);
}

void scsi_disk_reset_unit(ScsiDisk *d)
{
    pthread_mutex_lock(&d->lock);
    __atomic_fetch_or(&d->attention, UA_RESET, __ATOMIC_RELEASE);
    d->locked = false;
    pthread_mutex_unlock(&d->lock);
}

unsigned scsi_disk_target(const ScsiDisk *d)
{
    return d->target;
}

unsigned scsi_disk_lun(const ScsiDisk *d)
{
    return d->lun;
}

BlockUser *scsi_disk_user(const ScsiDisk *d)
{
    return d->user;
}
