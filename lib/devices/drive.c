/* SPDX-License-Identifier: MIT */
/*
 * How a device that is a disk gets at the drive it was given: what it may do with it follows from whether
 * the drive, its node or the device itself is read-only, what others may do beside it from share-rw. One
 * place for all models, so that each treats locks, names in messages and the cache mode alike.
 */
#include "devices/device.h"

BlockUser *device_drive_attach(const DeviceDrive *drive, const char *what, bool share_rw,
                               bool *read_only, void (*resized)(void *opaque, uint64_t size),
                               void *opaque, GError **error)
{
    g_autofree char *name = g_strdup_printf("%s %s", what, drive->id);
    *read_only = *read_only || drive->read_only || block_node_read_only(drive->node);
    BlockAttach how = {
        .name = name,
        .perm = *read_only ? BLOCK_PERM_READ : BLOCK_PERM_RW,
        .shared = BLOCK_SHARE_DEFAULT | (share_rw ? BLOCK_PERM_WRITE | BLOCK_PERM_RESIZE : 0u),
        .writethrough = drive->writethrough,
        .resized = resized,
        .opaque = opaque,
    };
    return block_attach(drive->node, &how, error);
}
