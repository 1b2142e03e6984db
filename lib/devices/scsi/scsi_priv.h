/* SPDX-License-Identifier: MIT */
/* A logical unit from within; scsi_unit.c has its life, scsi_disk.c the commands of blocks, scsi_info.c
 * what is said about the unit, scsi_mmc.c what only optical drives have, scsi_bus.c places. */
#pragma once

#include "devices/scsi/scsi.h"

/* Sense: key, additional code and qualifier (SPC-4, 4.5). */
#define SCSI_SENSE_CODE(key, asc, ascq) ((uint32_t)(key) << 16 | (uint32_t)(asc) << 8 | (ascq))
enum {
    NO_SENSE = 0,
    NO_MEDIUM = SCSI_SENSE_CODE(2, 0x3a, 0x01),
    TRAY_OPEN = SCSI_SENSE_CODE(2, 0x3a, 0x02),
    READ_ERROR = SCSI_SENSE_CODE(3, 0x11, 0x00),
    WRITE_ERROR = SCSI_SENSE_CODE(3, 0x0c, 0x00),
    BAD_LIST_LENGTH = SCSI_SENSE_CODE(5, 0x1a, 0x00),
    BAD_OPCODE = SCSI_SENSE_CODE(5, 0x20, 0x00),
    OUT_OF_RANGE = SCSI_SENSE_CODE(5, 0x21, 0x00),
    BAD_FIELD = SCSI_SENSE_CODE(5, 0x24, 0x00),
    NO_SUCH_LUN = SCSI_SENSE_CODE(5, 0x25, 0x00),
    BAD_PARAMETER = SCSI_SENSE_CODE(5, 0x26, 0x00),
    NOT_SAVEABLE = SCSI_SENSE_CODE(5, 0x39, 0x00),
    REMOVAL_PREVENTED = SCSI_SENSE_CODE(5, 0x53, 0x02),
    WRITE_PROTECTED = SCSI_SENSE_CODE(7, 0x27, 0x00),
    SPACE_EXHAUSTED = SCSI_SENSE_CODE(7, 0x27, 0x07),
    ENDED_EARLY = SCSI_SENSE_CODE(0xb, 0x00, 0x06),
};

/* Unit attention conditions, reported in this order. */
enum { UA_POWER_ON = 1, UA_RESET = 2, UA_MEDIUM = 4, UA_CAPACITY = 8, UA_ALL = 15 };
/* Events of an optical drive that GET EVENT STATUS NOTIFICATION tells (MMC-6, 6.6.3). */
enum { EVENT_EJECT_WANTED = 1, EVENT_NEW_MEDIUM = 2, EVENT_MEDIUM_GONE = 3 };

struct ScsiDisk {
    Device dev;
    /* properties */
    const DeviceDrive *drive;
    char *serial, *vendor, *product, *ver, *device_id, *write_cache;
    uint64_t wwn;
    uint32_t channel, target, lun;
    uint32_t logical, physical, min_io, opt_io, rotation, bootindex;
    bool removable, share_rw;

    ScsiBus *bus;   /* once plugged */
    ScsiDisk *next; /* of its target */
    bool ready;     /* atomic: started */
    bool cd, read_only;
    BlockUser *user; /* NULL: no medium */
    BlockAdvice advice;

    pthread_mutex_t lock; /* of what follows */
    uint32_t attention;   /* UA_ bits */
    uint8_t wce, tray_open, locked;
    uint8_t event;        /* not told yet, or 0 */
};

/* What a property says when nobody set it. */
enum { SCSI_AUTO = UINT32_MAX };

/* ---- Ends of a command; all return true */
bool scsi_good(ScsiRequest *req);
bool scsi_fail(ScsiRequest *req, uint32_t sense);
/* Gives the guest len bytes as far as the allocation length lasts. */
bool scsi_give(ScsiRequest *req, const void *data, size_t len, size_t alloc);

/* Whether there is room for that many bytes in that direction; else the command is over (overrun).
   Shortens the buffer to it. */
bool scsi_room(ScsiRequest *req, uint64_t bytes, bool to_guest);
/* Copies the first len bytes of what the guest sent. */
void scsi_take(const ScsiRequest *req, void *data, size_t len);
/* Hands an operation to lib/block; as scsi_submit. The buffer is req->iov for reads and writes. */
bool scsi_io(ScsiRequest *req, BlockOp op, unsigned flags, uint64_t offset, uint64_t bytes);

/* In blocks; 0 without a medium. */
uint64_t scsi_disk_blocks(const ScsiDisk *d);
/* NO_SENSE, or why there is no medium to work on. */
uint32_t scsi_disk_medium(ScsiDisk *d);
/* Adds a unit attention condition, and tells the initiator. */
void scsi_disk_attention(ScsiDisk *d, uint32_t bit);
void scsi_disk_set_wce(ScsiDisk *d, bool wce);
const char *scsi_disk_serial(const ScsiDisk *d);
/* Fills sense data in fixed format. */
void scsi_sense_fixed(uint8_t sense[SCSI_SENSE], uint32_t code);

/* ---- Commands */
bool scsi_inquiry(ScsiDisk *d, ScsiRequest *req);
bool scsi_mode_sense(ScsiDisk *d, ScsiRequest *req);
bool scsi_mode_select(ScsiDisk *d, ScsiRequest *req);
bool scsi_read_capacity(ScsiDisk *d, ScsiRequest *req);
bool scsi_read_capacity_16(ScsiDisk *d, ScsiRequest *req);
bool scsi_report_luns(ScsiBus *bus, unsigned target, ScsiRequest *req);
/* Those of optical drives; *known is false for others. */
bool scsi_mmc(ScsiDisk *d, ScsiRequest *req, bool *known);
bool scsi_start_stop_cd(ScsiDisk *d, ScsiRequest *req);
