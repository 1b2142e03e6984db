/* SPDX-License-Identifier: MIT */
/* A SCSI hard disk. */
#include "devices/scsi/scsi_priv.h"

const DeviceType scsi_hd_type = {
    .name = "scsi-hd",
    .summary = "disk on a SCSI controller",
    .size = sizeof(ScsiDisk),
    .props = scsi_hd_props,
    .saved = scsi_disk_saved,
    .slot = "scsi",
    .unlocked = true,
    .start = scsi_disk_start,
    .reset = scsi_disk_reset,
    .stop = scsi_disk_stop,
    .loaded = scsi_disk_loaded,
};
