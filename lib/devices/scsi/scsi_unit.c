/* SPDX-License-Identifier: MIT */
/* The life of a SCSI disk as a device: properties, start, reset, saved state. */
#include "devices/scsi/scsi_priv.h"

#include "base/error.h"

#include <string.h>

static bool wce_default(const ScsiDisk *d)
{
    const char *word = d->write_cache ? d->write_cache : "auto";
    return strcmp(word, "auto") ? !strcmp(word, "on") : d->drive && !d->drive->writethrough;
}

static void resized(void *opaque, uint64_t size)
{
    scsi_disk_attention(opaque, UA_CAPACITY);
}

static bool power_of_two(const char *name, uint32_t value, GError **error)
{
    return !(value & (value - 1)) || fail_usage(error, "%s=%u is not a power of two", name, value);
}

static bool check(const ScsiDisk *d, GError **error)
{
    static const char *const words[] = {"auto", "on", "off", NULL};
    if (!d->drive && !d->cd)
        return fail_usage(error, "drive property not set: drive=ID names a -drive or -blockdev");
    if (d->write_cache && !g_strv_contains(words, d->write_cache))
        return fail_usage(error, "write-cache=%s: it is auto, on or off", d->write_cache);
    if (d->physical < d->logical)
        return fail_usage(error, "physical_block_size=%u is below logical_block_size=%u",
                          d->physical, d->logical);
    if (d->min_io % d->logical || d->opt_io % d->logical || d->min_io / d->logical > UINT16_MAX)
        return fail_usage(error, "min_io_size and opt_io_size are multiples of logical_block_size");
    if ((d->vendor && strlen(d->vendor) > 8) || (d->product && strlen(d->product) > 16) ||
        (d->ver && strlen(d->ver) > 4))
        return fail_usage(error, "vendor, product and ver have 8, 16 and 4 characters at most");
    return power_of_two("logical_block_size", d->logical, error) &&
           power_of_two("physical_block_size", d->physical, error);
}

static bool attach(ScsiDisk *d, GError **error)
{
    if (!d->drive || !d->drive->node)
        return true;
    d->read_only = d->cd;
    d->user = device_drive_attach(d->drive, d->dev.type->name, d->share_rw, &d->read_only, resized, d,
                                  error);
    if (d->user)
        d->advice = block_advice(d->user);
    return d->user != NULL;
}

/* Takes the disc out, and puts in what the drive has now; nothing is in flight. */
static bool exchange(ScsiDisk *d, GError **error)
{
    BlockUser *old = g_steal_pointer(&d->user);
    if (!attach(d, error)) {
        d->user = old;
        return false;
    }
    block_detach(old);
    d->advice = d->user ? block_advice(d->user) : (BlockAdvice){0};
    pthread_mutex_lock(&d->lock);
    d->tray_open = !d->user;
    d->event = d->user ? EVENT_NEW_MEDIUM : EVENT_MEDIUM_GONE;
    pthread_mutex_unlock(&d->lock);
    return true;
}

bool scsi_disk_medium_changed(Device *dev, bool force, GError **error)
{
    ScsiDisk *d = (ScsiDisk *)dev;
    if (!dev->started) /* it looks when it starts */
        return true;
    pthread_mutex_lock(&d->lock);
    bool held = d->locked && !d->tray_open && d->user && !force;
    if (held)
        d->event = EVENT_EJECT_WANTED;
    pthread_mutex_unlock(&d->lock);
    if (held)
        return fail(error, "Device '%s' is locked and force was not specified, wait for tray to open "
                           "and try again", d->drive->id);
    ScsiBus *bus = d->bus;
    if (bus->pause)
        bus->pause(bus, true);
    bool ok = exchange(d, error);
    if (bus->pause)
        bus->pause(bus, false);
    if (ok)
        scsi_disk_attention(d, UA_MEDIUM);
    return ok;
}

bool scsi_disk_start(Device *dev, GError **error)
{
    ScsiDisk *d = (ScsiDisk *)dev;
    pthread_mutex_init(&d->lock, NULL);
    d->cd = !strcmp(dev->type->name, "scsi-cd");
    if (d->cd) {
        d->logical = d->physical = 2048;
        d->removable = true;
    }
    if (!check(d, error) || !attach(d, error))
        return false;
    __atomic_store_n(&d->ready, true, __ATOMIC_RELEASE);
    return true;
}

void scsi_disk_stop(Device *dev)
{
    ScsiDisk *d = (ScsiDisk *)dev;
    __atomic_store_n(&d->ready, false, __ATOMIC_RELEASE);
    block_detach(d->user);
    pthread_mutex_destroy(&d->lock);
}

void scsi_disk_reset(Device *dev)
{
    ScsiDisk *d = (ScsiDisk *)dev;
    pthread_mutex_lock(&d->lock);
    __atomic_store_n(&d->attention, UA_POWER_ON, __ATOMIC_RELEASE);
    d->locked = false;
    pthread_mutex_unlock(&d->lock);
    scsi_disk_set_wce(d, wce_default(d));
}

bool scsi_disk_loaded(Device *dev, GError **error)
{
    ScsiDisk *d = (ScsiDisk *)dev;
    d->attention &= UA_ALL;
    d->tray_open = d->cd && d->tray_open;
    scsi_disk_set_wce(d, d->wce);
    return true;
}

const char *scsi_disk_serial(const ScsiDisk *d)
{
    return d->serial ? d->serial : d->drive && d->drive->serial ? d->drive->serial : "";
}

const StateField scsi_disk_saved[] = {
    STATE_FIELD(ScsiDisk, attention, 1),
    STATE_FIELD(ScsiDisk, wce, 1),
    STATE_FIELD(ScsiDisk, tray_open, 1),
    STATE_FIELD(ScsiDisk, locked, 1),
    STATE_FIELD(ScsiDisk, event, 1),
    STATE_END,
};

#define AT(field) offsetof(ScsiDisk, field)
#define COMMON                                                                                     \
    {"channel", DEVICE_U32, AT(channel), NULL, 0, 0, "0: there is no other"},                      \
        {"scsi-id", DEVICE_U32, AT(target), "4294967295", 0, 0, "target; else the first free"},    \
        {"lun", DEVICE_U32, AT(lun), "4294967295", 0, 0, "logical unit; else the first free"},     \
        {"serial", DEVICE_STRING, AT(serial), NULL, 0, 0, "serial number"},                        \
        {"device_id", DEVICE_STRING, AT(device_id), NULL, 0, 0,                                    \
         "what the guest knows it by; else the serial number, or the drive's id"},                 \
        {"vendor", DEVICE_STRING, AT(vendor), NULL, 0, 0, "maker, 8 characters at most"},          \
        {"product", DEVICE_STRING, AT(product), NULL, 0, 0, "name, 16 characters at most"},        \
        {"ver", DEVICE_STRING, AT(ver), NULL, 0, 0, "revision, 4 characters at most"},             \
        {"wwn", DEVICE_U64, AT(wwn), NULL, 0, 0, "world wide name; 0: none"},                      \
        {"bootindex", DEVICE_U32, AT(bootindex), NULL, 0, 0, "place in the order of booting"}

const DeviceProp scsi_hd_props[] = {
    {"drive", DEVICE_DRIVE, AT(drive), NULL, 0, 0, "the -drive or -blockdev to show"},
    COMMON,
    {"removable", DEVICE_BOOL, AT(removable), "off", 0, 0, "it may be taken out"},
    {"logical_block_size", DEVICE_U32, AT(logical), "512", 512, 32768, "bytes of a sector"},
    {"physical_block_size", DEVICE_U32, AT(physical), "512", 512, 2097152, "bytes written at once"},
    {"min_io_size", DEVICE_U32, AT(min_io), NULL, 0, 0, "smallest good request, in bytes"},
    {"opt_io_size", DEVICE_U32, AT(opt_io), NULL, 0, 0, "best request, in bytes"},
    {"rotation_rate", DEVICE_U32, AT(rotation), "0", 0, 65535, "per minute; 1: it does not rotate"},
    {"write-cache", DEVICE_STRING, AT(write_cache), "auto", 0, 0,
     "on, off, or auto: as the drive's"},
    {"share-rw", DEVICE_BOOL, AT(share_rw), "off", 0, 0, "others may write to the disk too"},
    {.name = NULL},
};

const DeviceProp scsi_cd_props[] = {
    {"drive", DEVICE_DRIVE, AT(drive), NULL, 0, DEVICE_DRIVE_MAY_BE_EMPTY,
     "the -drive or -blockdev to show; none, or one without a file: no disc is in it"},
    COMMON,
    {.name = NULL},
};
