/* SPDX-License-Identifier: MIT */
/* The host and its buses: who sits where, configuration accesses through ECAM, the wiring of INTx. */
#include "pci/pci_priv.h"

#include "base/error.h"

#include <string.h>

/* ---- Buses --------------------------------------------------------------------- */

PciBus *pci_bus_new(const char *name, unsigned slots)
{
    PciBus *bus = g_new0(PciBus, 1);
    bus->slots = slots;
    bus->name = g_strdup(name);
    return bus;
}

void pci_bus_free(PciBus *bus)
{
    if (!bus)
        return;
    g_free(bus->name);
    g_free(bus);
}

const char *pci_bus_name(const PciBus *bus)
{
    return bus->name;
}

bool pci_bus_behind_bridge(const PciBus *bus)
{
    return bus->bridge != NULL;
}

bool pci_bus_full(const PciBus *bus)
{
    for (unsigned slot = 0; slot < bus->slots; slot++)
        if (!bus->functions[slot << 3])
            return false;
    return true;
}

/* "SLOT" or "SLOT.FUNCTION", in hexadecimal. */
static bool parse_addr(const char *text, unsigned *slot, unsigned *function, GError **error)
{
    char *end;
    guint64 s = g_ascii_strtoull(text, &end, 16), f = 0;
    bool ok = g_ascii_isxdigit(text[0]) && s < 32;
    if (ok && *end == '.') {
        ok = g_ascii_isxdigit(end[1]);
        f = g_ascii_strtoull(end + 1, &end, 16);
    }
    if (!ok || *end || f > 7)
        return fail_usage(error, "addr=%s: expected SLOT or SLOT.FUNCTION, up to 1f.7", text);
    *slot = (unsigned)s;
    *function = (unsigned)f;
    return true;
}

static bool check_place(const PciBus *bus, unsigned slot, unsigned function, GError **error)
{
    if (slot >= bus->slots)
        return fail_usage(error, "PCI: %s has no slot %x", bus->name, slot);
    if (bus->functions[slot << 3 | function])
        return fail_usage(error, "PCI: slot %x function %x of %s is not free", slot, function,
                          bus->name);
    if (function && bus->functions[slot << 3] && !bus->multifunction[slot])
        return fail_usage(error, "PCI: function %x of slot %x needs multifunction=on at function 0",
                          function, slot);
    return true;
}

bool pci_plug(PciBus *bus, PciFunction *fn, const char *addr, bool multifunction, GError **error)
{
    unsigned slot = 0, function = 0;
    if (addr) {
        if (!parse_addr(addr, &slot, &function, error))
            return false;
    } else {
        while (slot < bus->slots && bus->functions[slot << 3])
            slot++;
        if (slot == bus->slots)
            return fail_usage(error, "PCI: no slot of %s is free", bus->name);
    }
    if (!check_place(bus, slot, function, error))
        return false;
    fn->bus = bus;
    fn->devfn = PCI_DEVFN_OF(slot, function);
    bus->functions[fn->devfn] = fn;
    if (!function)
        bus->multifunction[slot] = multifunction;
    return true;
}

void pci_unplug(PciFunction *fn)
{
    if (!fn->bus)
        return;
    PciHost *host = fn->bus->host;
    if (host)
        pthread_mutex_lock(&host->lock);
    fn->bus->functions[fn->devfn] = NULL;
    if (host)
        pthread_mutex_unlock(&host->lock);
    fn->bus = NULL;
}

/* ---- Hosts ---------------------------------------------------------------------- */

PciHost *pci_host_new(const char *name, const PciWindow *windows, size_t count)
{
    PciHost *host = g_new0(PciHost, 1);
    host->root.name = g_strdup(name);
    host->root.host = host;
    host->root.slots = 32;
    for (size_t i = 0; i < count && host->window_count < PCI_WINDOWS; i++)
        if (windows[i].size)
            host->windows[host->window_count++] = windows[i];
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&host->lock, &attr);
    pthread_mutexattr_destroy(&attr);
    pthread_mutex_init(&host->irq_lock, NULL);
    return host;
}

void pci_host_free(PciHost *host)
{
    if (!host)
        return;
    pthread_mutex_destroy(&host->lock);
    pthread_mutex_destroy(&host->irq_lock);
    g_free(host->root.name);
    g_free(host);
}

PciBus *pci_host_bus(PciHost *host)
{
    return &host->root;
}

/* What nobody claims. */
static uint64_t ones_read(void *opaque, uint64_t offset, unsigned size)
{
    return UINT64_MAX;
}

static void ones_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
}

static const BusOps ones = {.read = ones_read, .write = ones_write, .unaligned = true};

bool pci_host_start(PciHost *host, BusSpace *space, const BusIrq lines[4], GError **error)
{
    host->space = space;
    memcpy(host->lines, lines, sizeof host->lines);
    for (size_t i = 0; i < host->window_count; i++) {
        const PciWindow *w = &host->windows[i];
        if (!bus_mmio_new(space, w->io ? "pci-ports" : "pci-memory", w->cpu, w->size, &ones, NULL,
                          -1, error))
            return false;
    }
    return true;
}

/* ---- Configuration accesses -------------------------------------------------------- */

/* The bus of that number; firmware or the guest numbers all but the root. */
static PciBus *bus_find(PciBus *bus, unsigned number)
{
    while (number) {
        PciBus *next = NULL;
        for (unsigned i = 0; i < PCI_DEVFNS && !next; i++) {
            PciFunction *fn = bus->functions[i];
            if (!fn || !fn->visible || !fn->secondary)
                continue;
            unsigned secondary = fn->config[PCI_SECONDARY_BUS];
            if (number == secondary)
                return fn->secondary;
            if (number > secondary && number <= fn->config[PCI_SUBORDINATE_BUS])
                next = fn->secondary;
        }
        if (!next)
            return NULL;
        bus = next;
    }
    return bus;
}

static PciFunction *function_find(PciHost *host, uint64_t offset)
{
    PciBus *bus = bus_find(&host->root, offset >> 20 & 0xff);
    PciFunction *fn = bus ? bus->functions[offset >> 12 & 0xff] : NULL;
    return fn && fn->visible ? fn : NULL;
}

uint64_t pci_host_read(PciHost *host, uint64_t offset, unsigned size)
{
    unsigned at = offset & (PCI_SPACE_SIZE - 1);
    uint64_t value = (UINT64_C(1) << 8 * size) - 1;
    pthread_mutex_lock(&host->lock);
    PciFunction *fn = function_find(host, offset);
    if (fn && at + size <= PCI_SPACE_SIZE) {
        if (fn->ops->reading)
            fn->ops->reading(fn->opaque, at, size);
        value = 0;
        for (unsigned i = 0; i < size; i++)
            value |= (uint64_t)fn->config[at + i] << 8 * i;
        if (at <= PCI_STATUS && PCI_STATUS < at + size &&
            __atomic_load_n(&fn->intx, __ATOMIC_RELAXED))
            value |= (uint64_t)PCI_STATUS_INTERRUPT << 8 * (PCI_STATUS - at);
    }
    pthread_mutex_unlock(&host->lock);
    return value;
}

static bool touches(unsigned at, unsigned size, unsigned field, unsigned len)
{
    return at < field + len && field < at + size;
}

/* The reset that a function does to itself on the guest's order (Express 6.6.2). */
static void function_reset(PciFunction *fn)
{
    pci_reset(fn);
    if (fn->ops->reset)
        fn->ops->reset(fn->opaque);
}

void pci_bus_reset(PciBus *bus)
{
    for (unsigned i = 0; i < PCI_DEVFNS; i++) {
        PciFunction *fn = bus->functions[i];
        if (!fn || !fn->visible)
            continue;
        if (fn->secondary)
            pci_bus_reset(fn->secondary);
        function_reset(fn);
    }
}

/* What follows from a write to the header or to a capability that this library knows. */
static void after_write(PciFunction *fn, unsigned at, unsigned size)
{
    bool bridge = fn->secondary != NULL;
    if (touches(at, size, PCI_COMMAND, 2)) {
        pci_intx_update(fn);
        pci_remap(fn);
    } else if (touches(at, size, PCI_BASE_ADDRESS_0, bridge ? 8 : 24) ||
               (bridge && touches(at, size, PCI_PRIMARY_BUS, 0x34 - PCI_PRIMARY_BUS))) {
        pci_remap(fn);
    }
    if (bridge && touches(at, size, PCI_BRIDGE_CONTROL, 2) &&
        fn->config[PCI_BRIDGE_CONTROL] & PCI_BRIDGE_CTL_BUS_RESET)
        pci_bus_reset(fn->secondary);
    if (fn->msix_cap && touches(at, size, fn->msix_cap + PCI_MSIX_FLAGS, 2)) {
        pci_intx_update(fn);
        pci_msix_update(fn);
    }
    unsigned control = fn->express + PCI_EXP_DEVCTL + 1;
    if (fn->express && touches(at, size, control, 1) && fn->config[control] & 0x80) {
        fn->config[control] &= 0x7f;
        function_reset(fn);
    }
}

void pci_host_write(PciHost *host, uint64_t offset, uint64_t value, unsigned size)
{
    unsigned at = offset & (PCI_SPACE_SIZE - 1);
    pthread_mutex_lock(&host->lock);
    PciFunction *fn = function_find(host, offset);
    if (fn && at + size <= PCI_SPACE_SIZE) {
        for (unsigned i = 0; i < size; i++) {
            uint8_t byte = (uint8_t)(value >> 8 * i), w = fn->writable[at + i];
            uint8_t *c = &fn->config[at + i];
            uint8_t now = (uint8_t)((*c & ~w) | (byte & w));
            __atomic_store_n(c, (uint8_t)(now & ~(byte & fn->clear[at + i])), __ATOMIC_RELEASE);
        }
        after_write(fn, at, size);
        if (fn->ops->written)
            fn->ops->written(fn->opaque, at, size);
    }
    pthread_mutex_unlock(&host->lock);
}
