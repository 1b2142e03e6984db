/* SPDX-License-Identifier: MIT */
/* Memory modules that a machine starts with: which slot each has, and where it lies. */
#include "machines/acpi_priv.h"

#include "devices/mem/memory_device.h"

#include "base/bits.h"
#include "base/error.h"

#include <inttypes.h>
#include <string.h>

enum { ALIGN = 2 << 20 }; /* large pages of the host */

typedef struct {
    uint64_t base, size;
} Range;

static bool dimm_place(const Range *mem, const GArray *dimms, uint64_t align, MachineDimm *d, GError **error)
{
    uint64_t end = mem->base + mem->size;
    uint64_t want = ((const MemoryDevice *)d->device)->addr;
    uint64_t base = want ? want : align_up(mem->base, align);
    for (bool moved = true; moved;) {
        moved = false;
        for (guint i = 0; i < dimms->len; i++) {
            const MachineDimm *o = &g_array_index(dimms, MachineDimm, i);
            if (base >= o->base + o->size || o->base >= base + d->size)
                continue;
            if (want)
                return fail_usage(error, "address range conflicts with memory device id='%s'",
                                  o->device->id);
            base = align_up(o->base + o->size, align);
            moved = true;
        }
    }
    if (base < mem->base || base > end || d->size > end - base)
        return fail_usage(error, want ? "can't add memory device [%#" PRIx64 ":%#" PRIx64 "], it is not within "
                                        "the range for memory devices"
                                      : "could not find position in guest address space for memory device: at "
                                        "%#" PRIx64 " with %#" PRIx64 " bytes",
                          base, d->size);
    d->base = base;
    return true;
}

static bool dimm_slot(const Machine *m, const GArray *dimms, MachineDimm *d, GError **error)
{
    uint32_t want = ((const MemoryDevice *)d->device)->slot, slots = m->options->ram_slots;
    if (want != MEMORY_SLOT_AUTO && want >= slots)
        return fail_usage(error, "invalid slot number %" PRIu32 ", valid range is [0-%d]", want,
                          (int)slots - 1);
    for (uint32_t slot = want == MEMORY_SLOT_AUTO ? 0 : want; slot < slots; slot++) {
        bool taken = false;
        for (guint i = 0; i < dimms->len; i++)
            taken |= g_array_index(dimms, MachineDimm, i).slot == slot;
        if (!taken) {
            d->slot = slot;
            return true;
        }
        if (want != MEMORY_SLOT_AUTO)
            return fail_usage(error, "slot %" PRIu32 " is busy", slot);
    }
    return fail_usage(error, "no free slots available");
}

static bool dimm_add(const Machine *m, const Range *mem, GArray *dimms, const Device *dev, GError **error)
{
    const MemoryDevice *md = (const MemoryDevice *)dev;
    MachineDimm d = {.device = dev, .node = md->node, .nvdimm = dev->type == &nvdimm_type};
    if (!mem->size)
        return fail_usage(error, "memory hotplug is not enabled: missing -m maxmem=...,slots=...");
    if (d.nvdimm && !machine_prop_on(m, "nvdimm"))
        return fail_usage(error, "nvdimm is not enabled: add 'nvdimm=on' to '-M'");
    if (!md->memdev)
        return fail_usage(error, "'memdev' property is not set");
    const MachineMemoryBackend *b = machine_numa_backend(m->options->numa, md->memdev);
    if (!b)
        return fail_usage(error, "Device '%s' not found", md->memdev);
    if (md->node >= MAX(m->options->numa->count, 1))
        return fail_usage(error, "'DIMM property node has value %" PRIu32 "' which exceeds the number of numa "
                                 "nodes: %u", md->node, MAX(m->options->numa->count, 1));
    if (md->label_size >= b->size)
        return fail_usage(error, "the size of '%s' is too small for its labels", md->memdev);
    d.size = b->size - md->label_size;
    if (!dimm_slot(m, dimms, &d, error) || !dimm_place(mem, dimms, b->align ? b->align : ALIGN, &d, error))
        return false;
    g_array_append_val(dimms, d);
    return true;
}

static gint by_slot(gconstpointer a, gconstpointer b)
{
    return (gint)((const MachineDimm *)a)->slot - (gint)((const MachineDimm *)b)->slot;
}

GArray *machine_dimms(const Machine *m, uint64_t base, uint64_t size, GError **error)
{
    g_autoptr(GArray) dimms = g_array_new(FALSE, FALSE, sizeof(MachineDimm));
    const Range mem = {base, size};
    uint64_t used = m->options->ram_size;
    for (guint i = 0; i < m->added->len; i++) {
        const Device *dev = g_ptr_array_index(m->added, i);
        if (dev->type != &pc_dimm_type && dev->type != &nvdimm_type)
            continue;
        if (!dimm_add(m, &mem, dimms, dev, error)) {
            prefix(error, "-device %s,id=%s", dev->type->name, dev->id);
            return NULL;
        }
        used += g_array_index(dimms, MachineDimm, dimms->len - 1).size;
        if (used > m->options->ram_max) {
            fail_usage(error, "not enough space, %" PRIu64 " MiB of memory are more than maxmem=%" PRIu64
                       " MiB", used >> 20, m->options->ram_max >> 20);
            return NULL;
        }
    }
    g_array_sort(dimms, by_slot);
    return g_steal_pointer(&dimms);
}
