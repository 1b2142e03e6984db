/* SPDX-License-Identifier: MIT */
/* A SCSI optical drive, which only reads. */
#include "devices/scsi/scsi_priv.h"

const DeviceType scsi_cd_type = {
    .name = "scsi-cd",
    .summary = "optical drive on a SCSI controller",
    .size = sizeof(ScsiDisk),
    .props = scsi_cd_props,
    .saved = scsi_disk_saved,
    .slot = "scsi",
    .unlocked = true,
    .start = scsi_disk_start,
    .reset = scsi_disk_reset,
    .stop = scsi_disk_stop,
    .loaded = scsi_disk_loaded,
    .medium = scsi_disk_medium_changed,
};
