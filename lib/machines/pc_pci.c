/* SPDX-License-Identifier: MIT */
/*
 * PCI functions of a PC in the namespace, and their coming and going by ACPI: each bus that takes part has a
 * number (BSEL), by which its slots are asked for and ejected through ports: at 0 and 4 bit masks of
 * slots that came and that are to go, at 8 slots to eject, at 16 the number of the bus, at 20 a slot
 * whose index is then read.
 */
#include "machines/pc_priv.h"

#include "devices/pci/described_bridge.h"

#include <string.h>

enum { SLOTS = 32 };

typedef struct {
    const Device *bus; /* the device that offers it */
    unsigned number;
} HotplugBus;

typedef struct {
    const Pc *pc;
    Aml *aml;
    GArray *buses; /* HotplugBus */
} Walk;

static Device *nth(const Machine *m, guint i)
{
    return i < m->devices->len ? g_array_index(m->devices, MachineDevice, i).device
                               : g_ptr_array_index(m->added, i - m->devices->len);
}

static guint count(const Machine *m)
{
    return m->devices->len + m->added->len;
}

static bool is_extra_root(const Device *dev)
{
    return dev->type == &pxb_type || dev->type == &pxb_pcie_type;
}

static bool is_bridge(const Device *dev)
{
    return dev->type->pci && !g_strcmp0(dev->type->offers, "pci") && !is_extra_root(dev);
}

static const DevicePci *pci_of(const Device *dev)
{
    return dev->type->pci((Device *)dev);
}

/* What sits at that place, or NULL. */
static Device *at(const Machine *m, const Device *bus, unsigned devfn)
{
    for (guint i = 0; i < count(m); i++) {
        Device *dev = nth(m, i);
        if (dev->bus == bus && dev->type->pci && pci_of(dev)->fn.bus && pci_of(dev)->fn.devfn == devfn)
            return dev;
    }
    return NULL;
}

static Device *root_of(const Machine *m)
{
    return machine_device(m, "host");
}

static bool behind_extra_root(const Device *dev)
{
    for (; dev; dev = dev->bus)
        if (is_extra_root(dev))
            return true;
    return false;
}

/* Buses that take part: the root first, then those behind bridges from the one that came last. */
static GArray *hotplug_buses(const Pc *pc)
{
    GArray *buses = g_array_new(FALSE, FALSE, sizeof(HotplugBus));
    HotplugBus b = {root_of(pc->m), 0};
    if (pc->root_hotplug)
        g_array_append_val(buses, b);
    for (guint i = count(pc->m); pc->bridge_hotplug && i > 0; i--) {
        b = (HotplugBus){nth(pc->m, i - 1), buses->len};
        if (is_bridge(b.bus) && !behind_extra_root(b.bus))
            g_array_append_val(buses, b);
    }
    return buses;
}

static int number_of(const Walk *w, const Device *bus)
{
    for (guint i = 0; i < w->buses->len; i++)
        if (g_array_index(w->buses, HotplugBus, i).bus == bus)
            return (int)g_array_index(w->buses, HotplugBus, i).number;
    return -1;
}

bool pc_pci_hotplug(const Pc *pc)
{
    return pc->root_hotplug || pc->bridge_hotplug;
}

/* ---- The controller ------------------------------------------------------------------------ */

/* PDSM answers _DSM of slots: function 7 tells an index and an empty label (PCI Firmware 3.3, 4.6.7). */
void pc_pci_hotplug_methods(const Pc *pc, Aml *a)
{
    aml_scope(a, "\\_SB.PCI0");
    aml_asl(a,
            "OperationRegion (HPRG, SystemIO, 0x%04x, 0x18)"
            "Field (HPRG, DWordAcc, NoLock, WriteAsZeros) {"
            " PCIU, 32, PCID, 32, B0EJ, 32, Offset (0x10), BNUM, 32, PIDX, 32 }"
            "Mutex (BLCK, 0)"
            "Method (PCEJ, 2, NotSerialized) {"
            " Acquire (BLCK, 0xFFFF) BNUM = Arg0 B0EJ = 1 << Arg1 Release (BLCK) }"
            "Method (AIDX, 2, NotSerialized) {"
            " Acquire (BLCK, 0xFFFF) BNUM = Arg0 PIDX = 1 << Arg1 Local0 = PIDX Release (BLCK)"
            " If (Local0 == 0xFFFFFFFF) { Return (0) } Return (Local0) }",
            pc->pci_hotplug);
    aml_asl(a,
            "Method (PDSM, 5, NotSerialized) {"
            " If (Arg0 == ToUUID (\"e5c937d0-3553-4d7a-9117-ea4d19c3434d\") && Arg1 >= 2) {"
            "  Local0 = AIDX (DerefOf (Arg4 [0]), DerefOf (Arg4 [1]))"
            "  If (Local0) {"
            "   If (Arg2 == 0) { Return (Buffer (1) { 0x81 }) }"
            "   If (Arg2 == 7) { Local1 = Package (2) { 0, \"\" } Local1 [0] = Local0 Return (Local1) } } }"
            " Return (Buffer (1) { 0 }) }");
    aml_end(a);
}

/* ---- Functions ------------------------------------------------------------------------------ */

static void functions_of(const Walk *w, const Device *bus, const char *path);

static char *segment_of(unsigned devfn)
{
    return g_strdup_printf("S%02X", devfn);
}

/* The devices on the ISA bus behind a bridge. */
static void isa_devices(const Walk *w, const Device *bridge, const char *path)
{
    const Machine *m = w->pc->m;
    const DeviceAcpi ctx = {.aml = w->aml, .path = path};
    for (guint i = 0; i < count(m); i++) {
        const Device *dev = nth(m, i);
        if (dev->bus != bridge || (!strcmp(dev->type->name, "i8042") && !machine_prop_on(m, "i8042")))
            continue;
        device_acpi(dev, &ctx);
    }
}

/* An index that no bus tells: by the function itself. */
static void fixed_index(Aml *a, uint32_t index)
{
    aml_asl(a,
            "Method (_DSM, 4, NotSerialized) {"
            " If (Arg0 == ToUUID (\"e5c937d0-3553-4d7a-9117-ea4d19c3434d\") && Arg1 >= 2) {"
            "  If (Arg2 == 0) { Return (Buffer (1) { 0x81 }) }"
            "  If (Arg2 == 7) { Return (Package (2) { %u, \"\" }) } }"
            " Return (Buffer (1) { 0 }) }",
            index);
}

/* One function, or an empty slot of a bus that takes part. */
static void function(const Walk *w, const Device *dev, int number, unsigned devfn, const char *parent)
{
    Aml *a = w->aml;
    unsigned slot = devfn >> 3;
    g_autofree char *name = segment_of(devfn), *path = g_strdup_printf("%s.%s", parent, name);
    bool numbered = number >= 0 && (devfn & 7) == 0;
    aml_device(a, name);
    aml_name_int(a, "_ADR", slot << 16 | (devfn & 7));
    if (numbered) {
        aml_name_int(a, "ASUN", slot);
        aml_asl(a, "Method (_DSM, 4, NotSerialized) {"
                   " Local0 = Package (2) { 0, 0 } Local0 [0] = BSEL Local0 [1] = ASUN"
                   " Return (PDSM (Arg0, Arg1, Arg2, Arg3, Local0)) }");
    }
    if (numbered && !(dev && (dev->type->fixed || is_bridge(dev))))
        aml_asl(a, "Name (_SUN, 0x%02x) Method (_EJ0, 1) { PCEJ (BSEL, _SUN) }", slot);
    if (dev && !numbered && pci_of(dev)->acpi_index)
        fixed_index(a, pci_of(dev)->acpi_index);
    if (dev) {
        device_acpi(dev, &(DeviceAcpi){.aml = a, .path = path});
        if (!g_strcmp0(dev->type->offers, "isa"))
            isa_devices(w, dev, path);
        else if (is_bridge(dev))
            functions_of(w, dev, path);
    }
    aml_end(a);
}

/* Whether a guest hears of that slot's device coming or going. */
static bool notified(const Machine *m, const Device *bus, unsigned slot)
{
    const Device *dev = at(m, bus, slot << 3);
    return !dev || !(dev->type->fixed || is_bridge(dev));
}

/* DVNT: those of a mask hear an event. PCNT: this bus, and those below, see what happened. */
static void notify_methods(const Walk *w, const Device *bus, int number, unsigned slots)
{
    Aml *a = w->aml;
    const Machine *m = w->pc->m;
    if (number >= 0) {
        aml_method(a, "DVNT", 2, false);
        for (unsigned slot = 0; slot < slots; slot++)
            if (notified(m, bus, slot))
                aml_asl(a, "If (Arg0 & 0x%x) { Notify (S%02X, Arg1) }", 1u << slot, slot << 3);
        aml_end(a);
    }
    aml_method(a, "PCNT", 0, false);
    if (number >= 0)
        aml_asl(a, "BNUM = %d DVNT (PCIU, 1) DVNT (PCID, 3)", number);
    for (unsigned devfn = 0; devfn < 8 * slots; devfn++) {
        const Device *dev = at(m, bus, devfn);
        if (dev && is_bridge(dev) && number_of(w, dev) >= 0)
            aml_asl(a, "^S%02X.PCNT ()", devfn);
    }
    aml_end(a);
}

/* Ports of PCI Express have one slot behind them. */
static unsigned slots_of(const Device *bus)
{
    bool port = !strcmp(bus->type->name, "pcie-root-port") || bus->type == &described_root_port_type ||
                bus->type == &described_downstream_type;
    return port ? 1 : SLOTS;
}

static void functions_of(const Walk *w, const Device *bus, const char *path)
{
    int number = number_of(w, bus);
    unsigned slots = slots_of(bus);
    if (number >= 0)
        aml_name_int(w->aml, "BSEL", (unsigned)number);
    for (unsigned devfn = 0; devfn < 8 * slots; devfn++) {
        const Device *dev = at(w->pc->m, bus, devfn);
        if (dev ? devfn & 7 && !is_bridge(dev) && !dev->type->acpi && strcmp(dev->type->name, "ICH9-SMB") &&
                      !pci_of(dev)->acpi_index
                : number < 0 || devfn & 7)
            continue;
        function(w, dev, number, devfn, path);
    }
    if (pc_pci_hotplug(w->pc) && (number >= 0 || bus == root_of(w->pc->m)))
        notify_methods(w, bus, number, slots);
}

void pc_pci_functions(const Pc *pc, Aml *a)
{
    Walk w = {pc, a, hotplug_buses(pc)};
    aml_scope(a, "\\_SB.PCI0");
    functions_of(&w, root_of(pc->m), "\\_SB.PCI0");
    aml_end(a);
    if (pc_pci_hotplug(pc))
        aml_asl(a, "Scope (\\_GPE) { Method (_E01) {"
                   " Acquire (\\_SB.PCI0.BLCK, 0xFFFF) \\_SB.PCI0.PCNT () Release (\\_SB.PCI0.BLCK) } }");
    g_array_unref(w.buses);
}

/* ---- Further host bridges ---------------------------------------------------------------------- */

static void extra_root(const Pc *pc, Aml *a, const DescribedBridge *b)
{
    enum { NO_NODE = 65535 };
    bool express = b->dev.type == &pxb_pcie_type;
    g_autofree char *name = g_strdup_printf("PC%02X", b->bus_nr);
    aml_device(a, name);
    aml_name_int(a, "_UID", b->bus_nr);
    aml_name_int(a, "_BBN", b->bus_nr);
    aml_name_eisaid(a, "_HID", express ? "PNP0A08" : "PNP0A03");
    if (express)
        aml_name_eisaid(a, "_CID", "PNP0A03");
    if (b->numa_node != NO_NODE)
        aml_name_int(a, "_PXM", b->numa_node);
    if (express)
        machine_acpi_osc(a, 0x1f);
    pc_irq_extra_root(pc, a);
    aml_resources(a, "_CRS");
    aml_word_buses(a, (uint16_t)b->bus_nr, (uint16_t)b->bus_nr);
    aml_end(a);
    aml_end(a);
}

void pc_pci_extra_roots(const Pc *pc, Aml *a)
{
    aml_scope(a, "\\_SB");
    for (guint i = 0; i < count(pc->m); i++)
        if (is_extra_root(nth(pc->m, i)))
            extra_root(pc, a, (const DescribedBridge *)nth(pc->m, i));
    aml_end(a);
}

uint8_t pc_pci_last_bus(const Pc *pc)
{
    unsigned last = 255;
    for (guint i = 0; i < count(pc->m); i++)
        if (is_extra_root(nth(pc->m, i)))
            last = MIN(last, MAX(((const DescribedBridge *)nth(pc->m, i))->bus_nr, 1) - 1);
    return (uint8_t)last;
}

/* ---- For IOMMUs ---------------------------------------------------------------------------------- */

bool pc_pci_bdf(const Machine *m, const Device *dev, uint16_t *bdf)
{
    if (dev->bus && dev->bus->type->front)
        dev = dev->bus;
    if (!dev->type->pci || dev->bus != root_of(m))
        return false;
    *bdf = pci_of(dev)->fn.devfn;
    return true;
}

GArray *pc_pci_scopes(const Pc *pc)
{
    GArray *scopes = g_array_new(FALSE, FALSE, sizeof(AcpiScope));
    for (unsigned devfn = 0; devfn < 8 * SLOTS; devfn++) {
        const Device *dev = at(pc->m, root_of(pc->m), devfn);
        AcpiScope scope = {0, {(uint8_t)(devfn >> 3), devfn & 7}, dev && is_bridge(dev)};
        if (dev)
            g_array_append_val(scopes, scope);
    }
    return scopes;
}
