/* SPDX-License-Identifier: MIT */
/*
 * The PCI function through which a guest sees a virtio device. "virtio-blk-pci" is one of these with a
 * "virtio-blk-device" plugged into it. BAR 0 has the ports of legacy drivers, BAR 1 the MSI-X table,
 * BAR 4 the modern registers.
 */
#include "devices/device.h"

#include "base/error.h"

#include <string.h>

enum { BAR_LEGACY = 0, BAR_MSIX = 1, BAR_MODERN = 4 };
enum { REGION_LEGACY, REGION_MODERN };
enum { MSIX_BAR_SIZE = 0x1000, MSIX_PBA = 0x800, VECTORS_AUTO = 0xffff, VECTORS_MAX = 128 };
enum { LEGACY_MAX = 512 }; /* bytes of ports: the head and the largest configuration */

typedef struct {
    Device dev;
    DevicePci pci;
    VirtioPci virtio;
    char *legacy_off; /* disable-legacy: on, off, auto */
    bool modern_off;
    uint32_t vectors;
    Device *child; /* NULL: empty */
} Proxy;

static uint64_t modern_read(Device *dev, uint64_t offset, unsigned size)
{
    return virtio_pci_read(&((Proxy *)dev)->virtio, offset, size);
}

static void modern_write(Device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    virtio_pci_write(&((Proxy *)dev)->virtio, offset, value, size);
}

static uint64_t legacy_read(Device *dev, uint64_t offset, unsigned size)
{
    return virtio_pci_legacy_read(&((Proxy *)dev)->virtio, offset, size);
}

static void legacy_write(Device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    virtio_pci_legacy_write(&((Proxy *)dev)->virtio, offset, value, size);
}

static void on_reset(void *opaque)
{
    Proxy *p = opaque;
    virtio_pci_reset(&p->virtio);
    device_reset(p->child);
}

static void on_reading(void *opaque, unsigned offset, unsigned len)
{
    virtio_pci_reading(&((Proxy *)opaque)->virtio, offset, len);
}

static void on_written(void *opaque, unsigned offset, unsigned len)
{
    virtio_pci_written(&((Proxy *)opaque)->virtio, offset, len);
}

static const PciOps proxy_ops = {.reset = on_reset, .reading = on_reading, .written = on_written};

/* Legacy drivers find it, unless it sits behind a port of PCI Express, where none ever looked. */
static bool has_legacy(const Proxy *p)
{
    bool off = p->legacy_off && strcmp(p->legacy_off, "off");
    if (off && !strcmp(p->legacy_off, "auto"))
        off = pci_bus_behind_bridge(p->pci.fn.bus);
    return !off;
}

static bool check_modes(const Proxy *p, GError **error)
{
    static const char *const words[] = {"on", "off", "auto", NULL};
    if (p->legacy_off && !g_strv_contains(words, p->legacy_off))
        return fail_usage(error, "disable-legacy=%s: expected on, off or auto", p->legacy_off);
    if (p->modern_off && !has_legacy(p))
        return fail_usage(error, "device cannot work as neither modern nor legacy mode is enabled");
    return true;
}

static bool proxy_start(Device *dev, GError **error)
{
    Proxy *p = (Proxy *)dev;
    PciFunction *fn = &p->pci.fn;
    VirtioDevice *v = p->child ? p->child->type->virtio(p->child) : NULL;
    if (!v)
        return fail_usage(error, "nothing is plugged into it");
    if (!check_modes(p, error))
        return false;
    bool legacy = has_legacy(p);
    PciIds ids;
    virtio_pci_ids(&ids, v->type, legacy);
    legacy = legacy && ids.device < 0x1040; /* newer kinds of devices never had it */
    if (p->modern_off && !legacy)
        return fail_usage(error, "this device has no legacy mode");
    unsigned vectors = p->vectors != VECTORS_AUTO ? p->vectors
                                                  : MIN(v->queue_count + 1, VECTORS_MAX);
    pci_init(fn, &ids, &proxy_ops, p);
    pci_pin(fn, 1);
    if ((legacy && !device_bar(dev, BAR_LEGACY, PCI_BAR_IO, virtio_pci_legacy_size(v),
                               REGION_LEGACY, 0, error)) ||
        (!p->modern_off && !device_bar(dev, BAR_MODERN, PCI_BAR_MEM64_PREFETCH,
                                       VIRTIO_PCI_BAR_SIZE, REGION_MODERN, 0, error)) ||
        !pci_msix(fn, BAR_MSIX, PCI_BAR_MEM32, MSIX_BAR_SIZE, vectors, 0, MSIX_PBA, error))
        return false;
    if (pci_bus_behind_bridge(fn->bus))
        pci_express(fn, 0);
    virtio_pci_plug(&p->virtio, v, fn, p->modern_off ? -1 : BAR_MODERN);
    return true;
}

static void proxy_stop(Device *dev)
{
    virtio_pci_unplug(&((Proxy *)dev)->virtio);
}

static void proxy_reset(Device *dev)
{
    Proxy *p = (Proxy *)dev;
    if (p->virtio.v)
        virtio_pci_reset(&p->virtio);
}

static bool proxy_plug(Device *dev, Device *child, GError **error)
{
    Proxy *p = (Proxy *)dev;
    if (p->child)
        return fail_usage(error, "the slot has '%s' already", p->child->id);
    p->child = child;
    return true;
}

static bool proxy_plugged(const Device *dev)
{
    return ((const Proxy *)dev)->child != NULL;
}

static DevicePci *proxy_pci(Device *dev)
{
    return &((Proxy *)dev)->pci;
}

static const DeviceProp proxy_props[] = {
    DEVICE_PCI_PROPS(Proxy, pci),
    {"vectors", DEVICE_U32, offsetof(Proxy, vectors), "65535", 0, VECTORS_AUTO,
     "MSI-X vectors; 65535: one a queue and one more"},
    {"disable-legacy", DEVICE_STRING, offsetof(Proxy, legacy_off), "auto", 0, 0,
     "no ports for legacy drivers (on, off, auto)"},
    {"disable-modern", DEVICE_BOOL, offsetof(Proxy, modern_off), "off", 0, 0,
     "legacy ports only"},
    {.name = NULL},
};

static const DeviceRegion proxy_regions[] = {
    [REGION_LEGACY] = {.name = "virtio-pci-legacy", .size = LEGACY_MAX, .min = 1, .max = 4,
                       .valid_min = 1, .valid_max = 8, .unaligned = true, .read = legacy_read,
                       .write = legacy_write},
    [REGION_MODERN] = {.name = "virtio-pci-modern", .size = VIRTIO_PCI_BAR_SIZE,
                       .read = modern_read, .write = modern_write},
    {.name = NULL},
};

static const StateField proxy_saved[] = {
    PCI_SAVED(Proxy, pci.fn),
    VIRTIO_PCI_SAVED(Proxy, virtio),
    STATE_END,
};

const DeviceType virtio_pci_type = {
    .name = "virtio-pci",
    .summary = "PCI function of a virtio device",
    .size = sizeof(Proxy),
    .props = proxy_props,
    .regions = proxy_regions,
    .saved = proxy_saved,
    .slot = "pci",
    .offers = "virtio",
    .front = true,
    .unlocked = true, /* lib/virtio has its locks */
    .start = proxy_start,
    .reset = proxy_reset,
    .stop = proxy_stop,
    .plug = proxy_plug,
    .plugged = proxy_plugged,
    .pci = proxy_pci,
};
