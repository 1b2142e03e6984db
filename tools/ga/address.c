/* SPDX-License-Identifier: MIT */
/*
 * Where a disk sits: GuestDiskAddress out of its place in /sys/devices, which spells the way
 * from the host bridge to the disk. bus, target and unit are what libvirt calls so in <address
 * type='drive'>, since hosts look for their disks by them:
 *   virtio-scsi ...   bus and target of the SCSI address, unit the LUN (of a sym53c8xx: unit the
 *                     target)
 *   ide               bus the channel of the controller, unit the drive on it
 *   sata              unit the port of the controller
 */
#include "sysfs.h"

#include "base/bytes.h"

#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

enum { DEEP = 8 }; /* disks out of disks out of disks */

typedef struct {
    bool pci, virtio, ata, nvme, usb, mmc, xen, scsi, ccw;
    unsigned domain, bus, slot, function;
    unsigned port;                      /* ataN, from the controller's first */
    unsigned channel, target, lun;
    unsigned cssid, ssid, subchannel, devno;
    char *driver;                       /* of the PCI function */
} Place;

/* Ports are counted over all controllers: one's own first is what its number is from. */
static unsigned first_port(const char *folder)
{
    g_autoptr(GPtrArray) names = ga_names(folder);
    unsigned n, first = G_MAXUINT;
    for (unsigned i = 0; names && i < names->len; i++)
        if (sscanf(names->pdata[i], "ata%u", &n) == 1 && n < first)
            first = n;
    return first;
}

static void take_part(Place *p, const char *part, const char *upto)
{
    unsigned a, b, c, d;
    char more;
    if (sscanf(part, "%x:%x:%x.%x%c", &a, &b, &c, &d, &more) == 4) {
        g_autofree char *link = g_build_filename(upto, part, "driver", NULL);
        p->pci = true;
        p->domain = a, p->bus = b, p->slot = c, p->function = d;
        g_free(p->driver);
        p->driver = ga_link_name(link);
    } else if (sscanf(part, "%u:%u:%u:%u%c", &a, &b, &c, &d, &more) == 4) {
        p->scsi = true;
        p->channel = b, p->target = c, p->lun = d;
    } else if (sscanf(part, "ata%u%c", &a, &more) == 1) {
        unsigned first = first_port(upto);
        p->ata = true;
        p->port = a >= first ? a - first : 0;
    } else if (sscanf(part, "%x.%x.%x%c", &a, &b, &c, &more) == 3) {
        if (p->ccw)
            p->devno = c;
        else
            p->cssid = a, p->ssid = b, p->subchannel = c;
        p->ccw = true;
    } else {
        p->virtio |= sscanf(part, "virtio%u%c", &a, &more) == 1;
        p->nvme |= sscanf(part, "nvme%u%c", &a, &more) == 1;
        p->usb |= sscanf(part, "usb%u%c", &a, &more) == 1;
        p->mmc |= sscanf(part, "mmc%u%c", &a, &more) == 1;
        p->xen |= g_str_has_prefix(part, "vbd-");
    }
}

static bool find_place(const Ga *ga, const char *path, Place *p)
{
    size_t skip = strlen(ga->root ? ga->root : "");
    const char *tail = strlen(path) > skip ? path + skip : "";
    if (!g_str_has_prefix(tail, "/sys/devices/") || g_str_has_prefix(tail, "/sys/devices/virtual/"))
        return false;
    g_auto(GStrv) parts = g_strsplit(tail + 1, "/", -1);
    g_autoptr(GString) upto = g_string_new_len(path, (gssize)skip);
    for (unsigned i = 0; parts[i]; i++) {
        if (i >= 2)
            take_part(p, parts[i], upto->str);
        g_string_append_printf(upto, "/%s", parts[i]);
    }
    return true;
}

static const char *bus_type(const Place *p)
{
    const char *driver = p->driver ? p->driver : "";
    if (p->nvme)
        return "nvme";
    if (p->usb)
        return "usb";
    if (p->mmc)
        return "mmc";
    if (p->xen)
        return "xen";
    if (p->ata)
        return g_str_equal(driver, "ata_piix") || g_str_has_prefix(driver, "pata_") ||
               g_str_equal(driver, "ata_generic") ? "ide" : "sata";
    if (p->scsi)
        return g_str_has_prefix(driver, "megaraid") ? "raid" : g_str_equal(driver, "mptsas") ?
            "sas" : "scsi";
    return p->virtio ? "virtio" : "unknown";
}

static void put_drive(const Place *p, const char *type, struct json_object *o)
{
    int64_t bus = 0, target = 0, unit = 0;
    if (g_str_equal(type, "ide")) {
        bus = p->port, unit = p->target;
    } else if (g_str_equal(type, "sata")) {
        unit = p->port;
    } else if (p->scsi && g_strcmp0(p->driver, "sym53c8xx") == 0) {
        unit = p->target;
    } else if (p->scsi && !p->usb) {
        bus = p->channel, target = p->target, unit = p->lun;
    }
    agent_put_int(o, "bus", bus);
    agent_put_int(o, "target", target);
    agent_put_int(o, "unit", unit);
}

/* Page 80h of a SCSI disk: the length in bytes 2 and 3, then the number (SPC-4 7.8.15). */
static char *scsi_serial(const char *path)
{
    g_autofree char *file = g_build_filename(path, "device/vpd_pg80", NULL), *page = NULL;
    gsize len;
    if (!g_file_get_contents(file, &page, &len, NULL) || len < 4 || page[1] != (char)0x80)
        return NULL;
    char *serial = g_strstrip(g_strndup(page + 4, MIN(len - 4, ld_be16(page + 2))));
    if (!*serial)
        g_clear_pointer(&serial, g_free);
    return serial;
}

/* The kernel's, of the disk or of what it is in: an NVMe controller, a USB device (but not a USB
 * bus). */
static char *sysfs_serial(const char *path)
{
    g_autofree char *folder = g_strdup(path);
    for (char *slash = folder + strlen(folder); slash; *slash = 0, slash = strrchr(folder, '/')) {
        g_autofree char *file = g_build_filename(folder, "serial", NULL), *text = NULL;
        g_autofree char *name = g_path_get_basename(folder);
        if (g_str_has_prefix(name, "usb") || g_str_equal(name, "devices"))
            break;
        if (g_file_get_contents(file, &text, NULL, NULL) && *g_strstrip(text))
            return g_steal_pointer(&text);
    }
    return scsi_serial(path);
}

/* The device manager's is what other programs know a disk by. */
static char *serial_of(const Ga *ga, const char *path)
{
    g_autofree char *dev_file = g_build_filename(path, "dev", NULL), *number = NULL;
    if (g_file_get_contents(dev_file, &number, NULL, NULL)) {
        g_autofree char *db = ga_read(ga, "/run/udev/data/b%s", g_strstrip(number));
        const char *at = db ? strstr(db, "E:ID_SERIAL=") : NULL;
        if (at)
            return g_strndup(at + 12, strcspn(at + 12, "\n"));
    }
    return sysfs_serial(path);
}

struct json_object *ga_disk_address(const Ga *ga, const char *path)
{
    Place p = { 0 };
    if (!find_place(ga, path, &p))
        return NULL;
    g_autofree char *driver = p.driver;
    g_autofree char *name = g_path_get_basename(path);
    g_autofree char *device = g_strconcat("/dev/", name, NULL);
    g_autofree char *serial = serial_of(ga, path);
    struct json_object *o = json_object_new_object(), *pci = json_object_new_object();
    /* always there: without PCI all of it is -1 */
    agent_put_int(pci, "domain", p.pci ? (int64_t)p.domain : -1);
    agent_put_int(pci, "bus", p.pci ? (int64_t)p.bus : -1);
    agent_put_int(pci, "slot", p.pci ? (int64_t)p.slot : -1);
    agent_put_int(pci, "function", p.pci ? (int64_t)p.function : -1);
    json_object_object_add(o, "pci-controller", pci);
    agent_put_string(o, "bus-type", bus_type(&p));
    put_drive(&p, bus_type(&p), o);
    agent_put_string(o, "serial", serial);
    agent_put_string(o, "dev", device);
    if (p.ccw) {
        struct json_object *ccw = json_object_new_object();
        agent_put_int(ccw, "cssid", p.cssid);
        agent_put_int(ccw, "ssid", p.ssid);
        agent_put_int(ccw, "subchno", p.subchannel);
        agent_put_int(ccw, "devno", p.devno);
        json_object_object_add(o, "ccw-address", ccw);
    }
    return o;
}

static void add_addresses(const Ga *ga, const char *path, struct json_object *list, unsigned depth)
{
    struct json_object *o = ga_disk_address(ga, path);
    if (o) {
        json_object_array_add(list, o);
        return;
    }
    g_autofree char *slaves = g_build_filename(path, "slaves", NULL);
    g_autoptr(GPtrArray) names = ga_names(slaves);
    for (unsigned i = 0; depth < DEEP && names && i < names->len; i++) {
        g_autofree char *link = g_build_filename(slaves + strlen(ga->root ? ga->root : ""),
                                                 names->pdata[i], NULL);
        g_autofree char *slave = ga_block_path(ga, link);
        if (slave)
            add_addresses(ga, slave, list, depth + 1);
    }
}

void ga_disk_addresses(const Ga *ga, const char *path, struct json_object *list)
{
    add_addresses(ga, path, list, 0);
}
