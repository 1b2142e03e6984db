/* SPDX-License-Identifier: MIT */
/*
 * SCSI targets, apart from whatever carries their commands (SAM-5).
 *
 *   ScsiBus      the places of a controller that disks are plugged into; part of its struct.
 *   ScsiDisk     a logical unit, "scsi-hd" or "scsi-cd"; a Device of its own.
 *   ScsiRequest  one command with its data buffer; belongs to the controller.
 *
 * Threads. Commands may be submitted on any thread, several at a time. Plugging and unplugging is
 * the main thread's; a unit is unplugged only when none of its commands is in flight.
 */
#pragma once

#include "devices/device.h"

enum {
    SCSI_CDB = 32,     /* bytes of a command kept */
    SCSI_SENSE = 18,   /* of sense data, in fixed format */
    SCSI_TARGETS = 256,
    SCSI_LUNS = 16384,
};

/* Status (SAM-5, 5.3.1). */
enum { SCSI_GOOD = 0x00, SCSI_CHECK_CONDITION = 0x02 };

typedef struct ScsiDisk ScsiDisk;
typedef struct ScsiBus ScsiBus;

struct ScsiBus {
    ScsiDisk *targets[SCSI_TARGETS]; /* the units of each, by LUN */
    pthread_mutex_t lock;            /* of it, and of the units' places */
    unsigned targets_max;            /* at most SCSI_TARGETS */
    /* Brings commands to rest, and lets them go on; main thread. NULL: none come yet. */
    void (*pause)(ScsiBus *bus, bool pause);
    /* A unit has a unit attention condition that its initiator should hear of; any thread, the
       unit's lock is not held. NULL: nobody cares. */
    void (*attention)(ScsiBus *bus, const ScsiDisk *disk, uint16_t code);
};

typedef struct ScsiRequest ScsiRequest;
struct ScsiRequest {
    uint8_t cdb[SCSI_CDB]; /* what the initiator did not send is 0 */
    /* Data, out or in: host memory that stays where it is; pieces may be shortened here. */
    struct iovec *iov;
    unsigned iovcnt;
    uint64_t bytes;
    bool to_guest;
    /* Called once when the command ends after scsi_submit has returned false; any thread. */
    void (*done)(ScsiRequest *req);

    /* out: */
    uint8_t status;
    uint8_t sense_len;
    uint8_t sense[SCSI_SENSE];
    bool overrun;   /* the command wants more data than there is room for; nothing was done */
    uint64_t moved; /* bytes of data */

    /* the target's own; zeroed before the first use */
    ScsiDisk *disk;
    BlockRequest io;
    struct iovec one;
    uint8_t *data;
    uint64_t at, left;
    unsigned step, steps;
    bool (*next)(ScsiRequest *req);
    bool cancelled; /* atomic; the controller clears it before a command is submitted */
};

/* ---- Places: for controllers ------------------------------------------------- */

/* targets: how many the controller has. */
void scsi_bus_init(ScsiBus *bus, unsigned targets);
void scsi_bus_clear(ScsiBus *bus);
/* DeviceType.plug and .plugged of a controller: gives the device its target and LUN. */
bool scsi_bus_plug(ScsiBus *bus, Device *dev, GError **error);
bool scsi_bus_full(ScsiBus *bus);
/* Nothing of it is in flight. */
void scsi_bus_unplug(ScsiBus *bus, Device *dev);
/* The unit there, if it has started. *target_exists says whether the target has any unit. */
ScsiDisk *scsi_bus_find(ScsiBus *bus, unsigned target, unsigned lun, bool *target_exists);
/* Each started unit of a target (-1: of all); call runs under the bus's lock. */
void scsi_bus_each(ScsiBus *bus, int target, void (*call)(ScsiDisk *disk, void *opaque),
                   void *opaque);

unsigned scsi_disk_target(const ScsiDisk *disk);
unsigned scsi_disk_lun(const ScsiDisk *disk);
/* For block_plug; NULL: there is no medium. */
BlockUser *scsi_disk_user(const ScsiDisk *disk);

/* ---- Commands: any thread ------------------------------------------------------ */

/* Starts a command on a unit. True: it is over, and done is not called. */
bool scsi_submit(ScsiDisk *disk, ScsiRequest *req);
/* A command to a LUN that a target has not; over when it returns. */
void scsi_submit_absent(ScsiBus *bus, unsigned target, ScsiRequest *req);
/* Asks that it end early; it completes as usual. What lib/block has of it is not stopped, as that is
   short; further parts of it are not begun. Only between the submission and the end. */
void scsi_cancel(ScsiRequest *req);
/* Frees what a request holds on to between uses. */
void scsi_request_clear(ScsiRequest *req);
/* Logical unit reset; nothing of it is in flight. */
void scsi_disk_reset_unit(ScsiDisk *disk);

/* ---- What both kinds of disk share --------------------------------------------- */

extern const DeviceProp scsi_hd_props[], scsi_cd_props[];
extern const StateField scsi_disk_saved[];
bool scsi_disk_start(Device *dev, GError **error);
void scsi_disk_stop(Device *dev);
void scsi_disk_reset(Device *dev);
bool scsi_disk_loaded(Device *dev, GError **error);
bool scsi_disk_medium_changed(Device *dev, bool force, GError **error);
