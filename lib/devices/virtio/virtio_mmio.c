/* SPDX-License-Identifier: MIT */
/*
 * A virtio-mmio slot of a board: the registers are lib/virtio's, here is what makes them a device of
 * ours. The slot does its own locking, so that a notification waits for nothing.
 */
#include "devices/device.h"

#include "base/error.h"

typedef struct {
    Device dev;
    VirtioMmio mmio;
    Device *plugged; /* NULL: empty */
} Slot;

static uint64_t slot_read(Device *dev, uint64_t offset, unsigned size)
{
    return virtio_mmio_read(&((Slot *)dev)->mmio, offset, size);
}

static void slot_write(Device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    virtio_mmio_write(&((Slot *)dev)->mmio, offset, value, size);
}

static void slot_line(void *opaque, bool level)
{
    device_irq(opaque, 0, level);
}

static bool slot_start(Device *dev, GError **error)
{
    Slot *slot = (Slot *)dev;
    virtio_mmio_init(&slot->mmio, slot_line, dev);
    if (slot->plugged)
        virtio_mmio_plug(&slot->mmio, slot->plugged->type->virtio(slot->plugged));
    return true;
}

static void slot_stop(Device *dev)
{
    virtio_mmio_clear(&((Slot *)dev)->mmio);
}

static void slot_reset(Device *dev)
{
    virtio_mmio_reset(&((Slot *)dev)->mmio);
}

static bool slot_loaded(Device *dev, GError **error)
{
    const Slot *slot = (Slot *)dev;
    device_irq(dev, 0, slot->mmio.isr != 0);
    return true;
}

static bool slot_plug(Device *dev, Device *child, GError **error)
{
    Slot *slot = (Slot *)dev;
    if (slot->plugged)
        return fail_usage(error, "the slot has '%s' already", slot->plugged->id);
    slot->plugged = child;
    return true;
}

static bool slot_plugged(const Device *dev)
{
    return ((const Slot *)dev)->plugged != NULL;
}

static void slot_fdt(const Device *dev, const DeviceFdt *ctx)
{
    g_autofree char *path = device_fdt_node(dev, ctx, "virtio_mmio", 0);
    fdt_tree_string(ctx->tree, path, "compatible", "virtio,mmio");
}

static const DeviceRegion slot_regions[] = {
    {.name = "virtio-mmio", .size = 0x1000, .read = slot_read, .write = slot_write},
    {.name = NULL},
};

static const StateField slot_saved[] = {
    STATE_FIELD(Slot, mmio.device_features_sel, 1),
    STATE_FIELD(Slot, mmio.driver_features_sel, 1),
    STATE_FIELD(Slot, mmio.queue_sel, 1),
    STATE_FIELD(Slot, mmio.isr, 1),
    STATE_END,
};

static void slot_acpi(const Device *dev, const DeviceAcpi *ctx)
{
    Aml *a = ctx->aml;
    g_autofree char *name = g_strdup_printf("VR%02u", ctx->number);
    aml_device(a, name);
    aml_name_string(a, "_HID", "LNRO0005");
    aml_name_int(a, "_UID", ctx->number);
    aml_name_int(a, "_CCA", 1);
    aml_resources(a, "_CRS");
    aml_memory32(a, true, (uint32_t)device_base(dev, 0), 0x200);
    aml_interrupts(a, 0, ctx->interrupts, (unsigned)ctx->interrupt_count);
    aml_end(a);
    aml_end(a);
}

const DeviceType virtio_mmio_type = {
    .name = "virtio-mmio",
    .summary = "virtio-mmio slot",
    .size = sizeof(Slot),
    .regions = slot_regions,
    .saved = slot_saved,
    .offers = "virtio",
    .bus_name = "virtio-mmio-bus.%u",
    .unlocked = true,
    .start = slot_start,
    .reset = slot_reset,
    .stop = slot_stop,
    .loaded = slot_loaded,
    .acpi = slot_acpi,
    .fdt = slot_fdt,
    .plug = slot_plug,
    .plugged = slot_plugged,
};
