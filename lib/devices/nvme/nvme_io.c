/* SPDX-License-Identifier: MIT */
/* The commands of the NVM command set (NVM Express 1.4, 6): one namespace, whose blocks are a disk. */
#include "devices/nvme/nvme_priv.h"

#include "base/bytes.h"

#include <errno.h>

enum { FLUSH = 0x00, WRITE = 0x01, READ = 0x02, WRITE_ZEROES = 0x08, DSM = 0x09 };
enum { DW12_FUA = 1u << 30, DW12_DEALLOCATE = 1u << 25, DW11_DEALLOCATE = 1u << 2 };
enum { DSM_RANGE = 16, DSM_RANGES = 256 };

uint64_t nvme_blocks(const Nvme *n)
{
    return block_size(n->user) / n->block_size;
}

static unsigned status_of(const NvmeCommand *c, int ret)
{
    const DeviceDrive *d = c->n->drive;
    bool read = c->io.op == BLOCK_READ;
    if (ret == 0 || (read ? d->rerror : d->werror) == BLOCK_ON_ERROR_IGNORE)
        return NVME_OK;
    if (ret == -ENOTSUP)
        return NVME_BAD_OPCODE | NVME_DNR;
    return read ? NVME_READ_ERROR : NVME_WRITE_FAULT;
}

static void ended(NvmeCommand *c)
{
    if (c->io.op == BLOCK_READ && c->pieces)
        nvme_written(c);
}

/* Kept until the machine goes on, if that is what the error takes. */
static bool keep(NvmeCommand *c, int ret)
{
    Device *dev = &c->n->dev;
    bool read = c->io.op == BLOCK_READ;
    if (!device_keeps(dev, c->n->drive, read, ret) || !nvme_keep(c))
        return false;
    dev->env.io_error(dev->env.io_error_opaque, dev, !read, -ret);
    return true;
}

/* On whatever thread it ended. */
static void done(BlockRequest *io)
{
    NvmeCommand *c = io->opaque;
    if (keep(c, io->ret))
        return;
    ended(c);
    nvme_complete(c, status_of(c, io->ret));
}

static unsigned submit(NvmeCommand *c, BlockOp op, unsigned flags, uint64_t offset, uint64_t bytes)
{
    bool data = op == BLOCK_READ || op == BLOCK_WRITE;
    c->io = (BlockRequest){
        .op = op,
        .flags = flags | BLOCK_MAY_STALL,
        .offset = offset,
        .bytes = bytes,
        .iov = data ? c->iov : NULL,
        .iovcnt = data ? (int)c->pieces : 0,
        .done = done,
        .opaque = c,
    };
    if (!block_submit(c->n->user, &c->io))
        return NVME_LATER;
    if (keep(c, c->io.ret))
        return NVME_LATER;
    ended(c);
    return status_of(c, c->io.ret);
}

void nvme_retry(Device *dev)
{
    Nvme *n = (Nvme *)dev;
    for (NvmeCommand *c = nvme_kept(n), *next; c; c = next) {
        next = c->next;
        c->io.flags &= ~(unsigned)BLOCK_MAY_STALL; /* this is the main thread */
        if (block_submit(n->user, &c->io))
            done(&c->io);
    }
}

/* The range of blocks in dwords 10 to 12, as bytes; a status. */
static unsigned range_of(const NvmeCommand *c, uint64_t *offset, uint64_t *bytes)
{
    uint64_t first = ld_le64(c->raw + 40), count = (nvme_dword(c, 12) & 0xffff) + UINT64_C(1);
    uint64_t all = nvme_blocks(c->n);
    if (first > all || count > all - first)
        return NVME_BAD_LBA | NVME_DNR;
    *offset = first * c->n->block_size;
    *bytes = count * c->n->block_size;
    return NVME_OK;
}

static unsigned transfer(NvmeCommand *c, bool write)
{
    uint64_t offset, bytes;
    unsigned status = range_of(c, &offset, &bytes);
    if (status == NVME_OK)
        status = nvme_map(c, bytes, !write);
    if (status != NVME_OK)
        return status;
    Nvme *n = c->n;
    uint64_t *ops = write ? &n->writes : &n->reads;
    uint64_t *units = write ? &n->written_units : &n->read_units;
    __atomic_fetch_add(ops, 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(units, bytes / 512, __ATOMIC_RELAXED);
    return submit(c, write ? BLOCK_WRITE : BLOCK_READ,
                  write && nvme_dword(c, 12) & DW12_FUA ? BLOCK_FUA : 0, offset, bytes);
}

static unsigned write_zeroes(NvmeCommand *c)
{
    uint64_t offset, bytes;
    uint32_t how = nvme_dword(c, 12);
    unsigned status = range_of(c, &offset, &bytes);
    if (status != NVME_OK)
        return status;
    return submit(c, BLOCK_ZERO,
                  (how & DW12_FUA ? BLOCK_FUA : 0u) | (how & DW12_DEALLOCATE ? BLOCK_MAY_UNMAP : 0u),
                  offset, bytes);
}

/* Hints; what is not deallocation is taken and of no use. The ranges are few and rare: one by one. */
static unsigned dataset(NvmeCommand *c)
{
    uint8_t raw[DSM_RANGES * DSM_RANGE];
    unsigned count = (nvme_dword(c, 10) & 0xff) + 1;
    unsigned status = nvme_take(c, raw, count * DSM_RANGE);
    uint64_t all = nvme_blocks(c->n), size = c->n->block_size;
    c->io.op = BLOCK_DISCARD;
    if (!(nvme_dword(c, 11) & DW11_DEALLOCATE))
        return status;
    for (unsigned i = 0; status == NVME_OK && i < count; i++) {
        uint64_t len = ld_le32(raw + DSM_RANGE * i + 4), first = ld_le64(raw + DSM_RANGE * i + 8);
        if (first > all || len > all - first)
            return NVME_BAD_LBA | NVME_DNR;
        int ret = len ? block_run(c->n->user, BLOCK_DISCARD, BLOCK_MAY_WAIT, first * size,
                                  len * size, NULL, 0)
                      : 0;
        status = ret == -ENOTSUP ? NVME_OK : status_of(c, ret);
    }
    return status;
}

unsigned nvme_io(NvmeCommand *c)
{
    uint32_t ns = nvme_dword(c, 1);
    uint8_t op = nvme_opcode(c);
    if (ns != 1 && !(op == FLUSH && ns == UINT32_MAX))
        return NVME_BAD_NAMESPACE | NVME_DNR;
    if (c->n->read_only && op != READ && op != FLUSH)
        return NVME_WRITE_FAULT | NVME_DNR;
    switch (op) {
    case FLUSH: return submit(c, BLOCK_FLUSH, 0, 0, 0);
    case WRITE: return transfer(c, true);
    case READ: return transfer(c, false);
    case WRITE_ZEROES: return write_zeroes(c);
    case DSM: return dataset(c);
    default: return NVME_BAD_OPCODE | NVME_DNR;
    }
}
