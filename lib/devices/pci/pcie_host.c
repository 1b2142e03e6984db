/* SPDX-License-Identifier: MIT */
/*
 * A generic PCI Express host bridge: an ECAM window and the windows that a board sets aside for ports
 * and memory, known to guests as "pci-host-ecam-generic". What sits on it is lib/pci's; outputs 0
 * to 3 are INTA to INTD.
 */
#include "devices/device.h"

#include "base/error.h"

#include <inttypes.h>

enum { ECAM_SIZE = 0x10000000, PINS = 4 };

typedef struct {
    Device dev;
    uint64_t pio_base, pio_size, mmio_base, mmio_size, mmio64_base, mmio64_size;
    PciHost *host;
    PciFunction self; /* at 00.0, as it has to be there for guests that look for it */
} Host;

static uint64_t ecam_read(Device *dev, uint64_t offset, unsigned size)
{
    return pci_host_read(((Host *)dev)->host, offset, size);
}

static void ecam_write(Device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    pci_host_write(((Host *)dev)->host, offset, value, size);
}

/* Made when first needed: the board has set the properties by then. */
static PciBus *root_bus(Host *h)
{
    if (!h->host) {
        const PciWindow windows[] = {
            { true, h->pio_base, 0, h->pio_size },
            { false, h->mmio_base, h->mmio_base, h->mmio_size },
            { false, h->mmio64_base, h->mmio64_base, h->mmio64_size },
        };
        h->host = pci_host_new("pcie.0", windows, G_N_ELEMENTS(windows));
        pci_plug(pci_host_bus(h->host), &h->self, "0", false, NULL);
    }
    return pci_host_bus(h->host);
}

static bool host_plug(Device *dev, Device *child, GError **error)
{
    DevicePci *p = child->type->pci(child);
    return pci_plug(root_bus((Host *)dev), &p->fn, p->addr, p->multifunction, error);
}

static bool host_plugged(const Device *dev)
{
    const Host *h = (const Host *)dev;
    return h->host && pci_bus_full(pci_host_bus(h->host));
}

static void pin(void *opaque, int n, bool level)
{
    device_irq(opaque, (unsigned)n, level);
}

static const PciOps self_ops = {0};

static bool host_start(Device *dev, GError **error)
{
    Host *h = (Host *)dev;
    static const PciIds ids = { .vendor = 0x1b36, .device = 0x0008, .sub_vendor = 0x1af4,
                                .sub_device = 0x1100, .class_code = 0x060000 };
    BusIrq lines[PINS];
    root_bus(h);
    for (int i = 0; i < PINS; i++)
        lines[i] = (BusIrq){ pin, dev, i };
    if (!pci_host_start(h->host, dev->env.space, lines, error))
        return false;
    pci_init(&h->self, &ids, &self_ops, h);
    pci_show(&h->self);
    return true;
}

static void host_reset(Device *dev)
{
    pci_reset(&((Host *)dev)->self);
}

static void host_stop(Device *dev)
{
    Host *h = (Host *)dev;
    pci_hide(&h->self);
    pci_clear(&h->self);
}

static void host_discard(Device *dev)
{
    pci_host_free(((Host *)dev)->host);
}

/* ---- Device tree ------------------------------------------------------------------------ */

static void put64(uint32_t *cells, uint64_t value)
{
    cells[0] = (uint32_t)(value >> 32);
    cells[1] = (uint32_t)value;
}

/* A range: three cells of PCI address with its space code, two each of CPU address and size. */
static void put_range(uint32_t *cells, uint32_t space, uint64_t pci, uint64_t cpu, uint64_t size)
{
    cells[0] = space;
    put64(cells + 1, pci);
    put64(cells + 3, cpu);
    put64(cells + 5, size);
}

static void fdt_ranges(const Host *h, Fdt *tree, const char *path)
{
    uint32_t ranges[21];
    put_range(ranges, 0x01000000, 0, h->pio_base, h->pio_size);
    put_range(ranges + 7, 0x02000000, h->mmio_base, h->mmio_base, h->mmio_size);
    put_range(ranges + 14, 0x03000000, h->mmio64_base, h->mmio64_base, h->mmio64_size);
    fdt_tree_cells(tree, path, "ranges", ranges, h->mmio64_size ? 21 : 14);
}

/* Slot and pin together choose the line; all else repeats every four slots. */
static void fdt_interrupt_map(const DeviceFdt *ctx, const char *path)
{
    uint32_t map[PINS * PINS * 10], *m = map;
    for (uint32_t slot = 0; slot < PINS; slot++) {
        for (uint32_t p = 0; p < PINS; p++) {
            *m++ = slot << 11;
            *m++ = 0;
            *m++ = 0;
            *m++ = p + 1;
            *m++ = ctx->intc;
            if (ctx->irq_kind == DEVICE_FDT_IRQ_GIC) { /* its unit address has two cells */
                *m++ = 0;
                *m++ = 0;
                *m++ = 0;
            }
            *m++ = ctx->interrupts[(slot + p) % PINS];
            if (ctx->irq_kind != DEVICE_FDT_IRQ_NUMBER)
                *m++ = 4;
        }
    }
    static const uint32_t mask[] = { 3 << 11, 0, 0, 7 };
    fdt_tree_cells(ctx->tree, path, "interrupt-map", map, (size_t)(m - map));
    fdt_tree_cells(ctx->tree, path, "interrupt-map-mask", mask, G_N_ELEMENTS(mask));
}

/* All requesters, one to one. */
static void fdt_requesters(const DeviceFdt *ctx, const char *path, const char *name, uint32_t to)
{
    const uint32_t all[] = { 0, to, 0, 0x10000 };
    if (to)
        fdt_tree_cells(ctx->tree, path, name, all, G_N_ELEMENTS(all));
}

static void host_fdt(const Device *dev, const DeviceFdt *ctx)
{
    uint64_t base = device_base(dev, 0), size = ctx->size ? ctx->size : ECAM_SIZE;
    const uint32_t buses[] = { 0, (uint32_t)(size >> 20) - 1 };
    g_autofree char *path = g_strdup_printf("%s/%s@%" PRIx64, ctx->parent,
                                            ctx->name ? ctx->name : "pci",
                                            ctx->unit ? ctx->unit : base);
    fdt_tree_node(ctx->tree, path);
    fdt_tree_u32(ctx->tree, path, "#address-cells", 3);
    fdt_tree_u32(ctx->tree, path, "#size-cells", 2);
    fdt_tree_u32(ctx->tree, path, "#interrupt-cells", 1);
    fdt_tree_string(ctx->tree, path, "compatible", "pci-host-ecam-generic");
    fdt_tree_string(ctx->tree, path, "device_type", "pci");
    fdt_tree_u32(ctx->tree, path, "linux,pci-domain", 0);
    fdt_tree_cells(ctx->tree, path, "bus-range", buses, G_N_ELEMENTS(buses));
    fdt_tree_empty(ctx->tree, path, "dma-coherent");
    fdt_tree_reg(ctx->tree, path, base, size);
    if (ctx->msi_parent)
        fdt_tree_u32(ctx->tree, path, "msi-parent", ctx->msi);
    else
        fdt_requesters(ctx, path, "msi-map", ctx->msi);
    fdt_requesters(ctx, path, "iommu-map", ctx->iommu);
    fdt_ranges((const Host *)dev, ctx->tree, path);
    if (ctx->interrupt_count == PINS)
        fdt_interrupt_map(ctx, path);
}

#define WINDOW(name, help)                                                                         \
    {#name, DEVICE_U64, offsetof(Host, name), NULL, 0, 0, help}

static const DeviceProp host_props[] = {
    WINDOW(pio_base, "CPU address of I/O ports"),
    WINDOW(pio_size, "bytes of I/O ports"),
    WINDOW(mmio_base, "memory below 4 GiB"),
    WINDOW(mmio_size, "its bytes"),
    WINDOW(mmio64_base, "memory above 4 GiB"),
    WINDOW(mmio64_size, "its bytes"),
    {.name = NULL},
};

static const DeviceRegion host_regions[] = {
    {.name = "ecam", .size = ECAM_SIZE, .min = 1, .max = 4, .valid_min = 1, .valid_max = 8,
     .read = ecam_read, .write = ecam_write},
    {.name = NULL},
};

static const StateField host_saved[] = {
    STATE_POINTER(Host, self.config, PCI_SPACE_SIZE, self.config_size, 1),
    STATE_END,
};

const DeviceType pcie_host_type = {
    .name = "gpex-pcihost",
    .summary = "PCI Express host bridge with an ECAM window",
    .size = sizeof(Host),
    .props = host_props,
    .regions = host_regions,
    .saved = host_saved,
    .offers = "pci",
    .bus_name = "pcie.0",
    .unlocked = true, /* lib/pci has its locks */
    .start = host_start,
    .reset = host_reset,
    .stop = host_stop,
    .discard = host_discard,
    .fdt = host_fdt,
    .plug = host_plug,
    .plugged = host_plugged,
};
