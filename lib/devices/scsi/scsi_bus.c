/* SPDX-License-Identifier: MIT */
/* The places of a controller: targets and their logical units, and what a target answers for LUNs
 * that it has not (SPC-4, 6.6.1 and 6.33). One channel. */
#include "devices/scsi/scsi_priv.h"

#include "base/bytes.h"
#include "base/error.h"

#include <string.h>

void scsi_bus_init(ScsiBus *bus, unsigned targets)
{
    bus->targets_max = MIN(targets, (unsigned)SCSI_TARGETS);
    pthread_mutex_init(&bus->lock, NULL);
}

void scsi_bus_clear(ScsiBus *bus)
{
    pthread_mutex_destroy(&bus->lock);
}

static bool taken(const ScsiBus *bus, uint32_t target, uint32_t lun)
{
    for (const ScsiDisk *d = bus->targets[target]; d; d = d->next)
        if (d->lun == lun)
            return true;
    return false;
}

/* The first target with that LUN free; targets_max if none has. */
static uint32_t free_target(const ScsiBus *bus, uint32_t lun)
{
    uint32_t t = 0;
    while (t < bus->targets_max && taken(bus, t, lun))
        t++;
    return t;
}

static uint32_t free_lun(const ScsiBus *bus, uint32_t target)
{
    uint32_t lun = 0;
    while (taken(bus, target, lun))
        lun++;
    return lun;
}

bool scsi_bus_plug(ScsiBus *bus, Device *dev, GError **error)
{
    ScsiDisk *d = (ScsiDisk *)dev;
    if (d->channel)
        return fail_usage(error, "channel=%u: there is channel 0 only", d->channel);
    uint32_t lun = d->lun == SCSI_AUTO && d->target == SCSI_AUTO ? 0 : d->lun;
    uint32_t target = d->target == SCSI_AUTO ? free_target(bus, lun) : d->target;
    if (target >= bus->targets_max)
        return d->target == SCSI_AUTO
                   ? fail_usage(error, "there is no free target")
                   : fail_usage(error, "scsi-id=%u: it is below %u", target, bus->targets_max);
    lun = lun == SCSI_AUTO ? free_lun(bus, target) : lun;
    if (lun >= SCSI_LUNS || taken(bus, target, lun))
        return fail_usage(error, "lun=%u is %s", lun,
                          lun >= SCSI_LUNS ? "too large" : "already used");
    d->target = target;
    d->lun = lun;
    d->bus = bus;
    pthread_mutex_lock(&bus->lock);
    ScsiDisk **p = &bus->targets[target];
    while (*p && (*p)->lun < lun)
        p = &(*p)->next;
    d->next = *p;
    *p = d;
    pthread_mutex_unlock(&bus->lock);
    return true;
}

bool scsi_bus_full(ScsiBus *bus)
{
    return free_target(bus, 0) == bus->targets_max;
}

void scsi_bus_unplug(ScsiBus *bus, Device *dev)
{
    ScsiDisk *d = (ScsiDisk *)dev;
    pthread_mutex_lock(&bus->lock);
    for (ScsiDisk **p = &bus->targets[d->target]; *p; p = &(*p)->next)
        if (*p == d) {
            *p = d->next;
            break;
        }
    pthread_mutex_unlock(&bus->lock);
    d->bus = NULL;
}

static bool is_ready(const ScsiDisk *d)
{
    return __atomic_load_n(&d->ready, __ATOMIC_ACQUIRE);
}

ScsiDisk *scsi_bus_find(ScsiBus *bus, unsigned target, unsigned lun, bool *target_exists)
{
    ScsiDisk *found = NULL;
    *target_exists = false;
    if (target >= bus->targets_max)
        return NULL;
    pthread_mutex_lock(&bus->lock);
    for (ScsiDisk *d = bus->targets[target]; d && !found; d = d->next) {
        if (!is_ready(d))
            continue;
        *target_exists = true;
        if (d->lun == lun)
            found = d;
    }
    pthread_mutex_unlock(&bus->lock);
    return found;
}

void scsi_bus_each(ScsiBus *bus, int target, void (*call)(ScsiDisk *disk, void *opaque),
                   void *opaque)
{
    pthread_mutex_lock(&bus->lock);
    for (unsigned t = 0; t < bus->targets_max; t++)
        for (ScsiDisk *d = bus->targets[t]; d && (target < 0 || t == (unsigned)target); d = d->next)
            if (is_ready(d))
                call(d, opaque);
    pthread_mutex_unlock(&bus->lock);
}

/* ---- Absent units --------------------------------------------------------------- */

bool scsi_report_luns(ScsiBus *bus, unsigned target, ScsiRequest *req)
{
    uint32_t alloc = ld_be32(req->cdb + 6);
    if (req->cdb[2] > 2 || alloc < 16)
        return scsi_fail(req, BAD_FIELD);
    g_autoptr(GByteArray) list = g_byte_array_sized_new(64);
    uint8_t head[8] = {0};
    g_byte_array_append(list, head, sizeof head);
    pthread_mutex_lock(&bus->lock);
    /* 1: well-known units alone, of which there are none */
    for (const ScsiDisk *d = req->cdb[2] == 1 ? NULL : bus->targets[target]; d; d = d->next) {
        uint8_t entry[8] = { (uint8_t)(d->lun < 256 ? 0 : 0x40 | d->lun >> 8), (uint8_t)d->lun };
        if (is_ready(d))
            g_byte_array_append(list, entry, sizeof entry);
    }
    pthread_mutex_unlock(&bus->lock);
    st_be32(list->data, list->len - 8);
    return scsi_give(req, list->data, list->len, alloc);
}

void scsi_submit_absent(ScsiBus *bus, unsigned target, ScsiRequest *req)
{
    static const uint8_t nothing[36] = { 0x7f, 0, 6, 2, 31 };
    uint8_t sense[SCSI_SENSE];
    req->disk = NULL;
    req->overrun = false;
    req->moved = 0;
    req->sense_len = 0;
    switch (req->cdb[0]) {
    case 0xa0:
        scsi_report_luns(bus, target, req);
        break;
    case 0x12:
        if (req->cdb[1] || req->cdb[2])
            scsi_fail(req, BAD_FIELD);
        else
            scsi_give(req, nothing, sizeof nothing, ld_be16(req->cdb + 3));
        break;
    case 0x03:
        scsi_sense_fixed(sense, NO_SUCH_LUN);
        scsi_give(req, sense, sizeof sense, req->cdb[4]);
        break;
    default:
        scsi_fail(req, NO_SUCH_LUN);
    }
}
