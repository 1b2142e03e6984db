/* SPDX-License-Identifier: MIT */
/*
 * An NVM Express controller from within. nvme.c has the registers and the life of it, nvme_queue.c
 * queues, commands in flight and guest memory, nvme_admin.c and nvme_io.c what commands do.
 *
 * One thread serves all submission queues; it takes commands, and either ends them or leaves that to
 * lib/block. All that the lock guards is also looked at by vCPUs and by whatever thread a request
 * ends on.
 */
#pragma once

#include "devices/device.h"

enum {
    NVME_QUEUES = 65,     /* pairs: the admin queue, and 64 for I/O */
    NVME_ENTRIES = 2048,  /* of a queue at most */
    NVME_PAGE = 4096,
    NVME_MDTS = 7,        /* pages of a transfer, as a power of two */
    NVME_PIECES = (1 << NVME_MDTS) + 1,
    NVME_IN_FLIGHT = 1024, /* commands taken at once; more wait in their queue */
    NVME_AERS = 4,        /* asynchronous event requests kept */
    NVME_COMMAND = 64,    /* bytes */
    NVME_COMPLETION = 16,
    NVME_SAVED_WORDS = 5, /* of a pair of queues */
};

/* Status: type in bits 10:8, code in 7:0; NVME_DNR: trying again is of no use. */
enum {
    NVME_OK = 0x000,
    NVME_BAD_OPCODE = 0x001,
    NVME_BAD_FIELD = 0x002,
    NVME_BAD_TRANSFER = 0x004,
    NVME_INTERNAL = 0x006,
    NVME_BAD_NAMESPACE = 0x00b,
    NVME_BAD_PRP = 0x013,
    NVME_BAD_LBA = 0x080,
    NVME_BAD_CQ = 0x100,
    NVME_BAD_QID = 0x101,
    NVME_BAD_QSIZE = 0x102,
    NVME_TOO_MANY_AERS = 0x105,
    NVME_BAD_VECTOR = 0x108,
    NVME_BAD_LOG = 0x109,
    NVME_BAD_DELETION = 0x10c,
    NVME_NOT_SAVEABLE = 0x10d,
    NVME_WRITE_FAULT = 0x280,
    NVME_READ_ERROR = 0x281,
    NVME_DNR = 0x4000,
    NVME_LATER = 0xffff, /* not a status: the command ends on its own */
};

typedef struct Nvme Nvme;

/* A range of guest RAM that a command moves data to or from. */
typedef struct {
    uint64_t addr, len;
} NvmeRange;

typedef struct NvmeCommand {
    Nvme *n;
    struct NvmeCommand *next; /* while it is free, or kept */
    uint16_t sqid;
    uint8_t raw[NVME_COMMAND];
    uint32_t result; /* dword 0 of the completion */
    BlockRequest io;
    struct iovec iov[NVME_PIECES];
    NvmeRange ranges[NVME_PIECES]; /* as iov, of guest memory */
    unsigned pieces;
} NvmeCommand;

typedef struct {
    uint64_t base;
    uint16_t size; /* 0: there is none */
    uint16_t head, tail, cqid;
    uint16_t in_flight;
    bool draining;
} NvmeSq;

typedef struct {
    uint64_t base;
    uint16_t size, head, tail, vector;
    uint8_t phase, interrupts;
    uint16_t users;   /* submission queues that report to it */
    uint16_t pending; /* commands in flight that will: there is room for each */
} NvmeCq;

struct Nvme {
    Device dev;
    DevicePci pci;
    const DeviceDrive *drive;
    char *serial;
    uint32_t max_pairs, vectors, block_size, bootindex;
    bool share_rw;

    BlockUser *user;
    bool read_only;

    pthread_mutex_t lock; /* of all that follows */
    pthread_cond_t wake, rest;
    pthread_t thread;
    bool has_thread, work, busy, end;
    unsigned paused;
    unsigned in_flight;
    NvmeCommand *free, *kept; /* kept: in flight until the machine goes on after an error */

    uint32_t intms, cc, csts, aqa;
    uint64_t asq, acq;
    NvmeSq sq[NVME_QUEUES];
    NvmeCq cq[NVME_QUEUES];
    uint16_t aers[NVME_AERS]; /* ids of commands */
    uint32_t aer_count;
    uint32_t features[16];
    uint64_t reads, writes, read_units, written_units;
    uint64_t saved[NVME_QUEUES][NVME_SAVED_WORDS];
};

/* ---- nvme_queue.c */
/* The controller's thread. */
bool nvme_thread_start(Nvme *n, GError **error);
void nvme_thread_end(Nvme *n);
/* Has it look at the queues. Under the lock. */
void nvme_wake(Nvme *n);
/* It comes to rest and nothing is in flight, until it is resumed; they nest. Without the lock. */
void nvme_pause(Nvme *n);
void nvme_resume(Nvme *n);
/* All queues gone. Paused, under the lock. */
void nvme_queues_clear(Nvme *n);
/* A doorbell: an index that makes no sense is ignored. Under the lock. */
void nvme_doorbell(Nvme *n, unsigned qid, bool completion, uint32_t value);
/* The pin as queues and mask have it. Under the lock. */
void nvme_irq_update(Nvme *n);
/* Waits until nothing of that queue is in flight. Under the lock, which it lets go of. */
void nvme_drain_sq(Nvme *n, NvmeSq *sq);
/* The command's answer; the command is free then. Any thread, without the lock. */
void nvme_complete(NvmeCommand *c, unsigned status);
/* Maps len bytes of guest RAM that the command's PRP entries name; a status. */
unsigned nvme_map(NvmeCommand *c, uint64_t len, bool to_guest);
/* Marks what was written to the guest. */
void nvme_written(NvmeCommand *c);
/* Keeps a command that stops the machine, or, when the controller or its queue is to come to rest,
   does not. Without the lock. */
bool nvme_keep(NvmeCommand *c);
/* The kept ones, the oldest first; no longer kept. Without the lock. */
NvmeCommand *nvme_kept(Nvme *n);
/* The machine goes on. */
void nvme_retry(Device *dev);
/* Gives the guest that many bytes of data, or takes them; a status. */
unsigned nvme_give(NvmeCommand *c, const void *data, size_t len);
unsigned nvme_take(NvmeCommand *c, void *data, size_t len);
/* Something went wrong that only a reset mends. Under the lock. */
void nvme_fatal(Nvme *n);

/* ---- nvme_admin.c, nvme_io.c: what a command does; a status, or NVME_LATER. On the thread. */
unsigned nvme_admin(NvmeCommand *c);
unsigned nvme_io(NvmeCommand *c);
uint64_t nvme_blocks(const Nvme *n);

static inline uint8_t nvme_opcode(const NvmeCommand *c)
{
    return c->raw[0];
}
/* A dword of the command. */
uint32_t nvme_dword(const NvmeCommand *c, unsigned n);
