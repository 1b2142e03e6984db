/* SPDX-License-Identifier: MIT */
/* Memory and CPUs of x86 boards as numbers. */
#include "machines/x86.h"

#include "devices/mem/memory_device.h"

#include "base/bits.h"
#include "base/error.h"

#include <inttypes.h>
#include <string.h>

#define GIB (UINT64_C(1) << 30)

/* Each module may need that much more to be aligned. */
#define DIMM_ALIGN GIB

void x86_memory(const Machine *m, uint64_t split, uint64_t low, uint64_t hole64_size, X86Memory *out)
{
    const MachineOptions *o = m->options;
    *out = (X86Memory){.low = o->ram_size, .hole64_size = hole64_size};
    if (o->ram_size >= split) {
        out->low = low;
        out->high = o->ram_size - low;
    }
    uint64_t end = 4 * GIB + out->high;
    if (o->ram_max > o->ram_size || o->ram_slots) {
        out->device_base = align_up(end, GIB);
        out->device_size = o->ram_max - o->ram_size + o->ram_slots * DIMM_ALIGN;
        end = out->device_base + out->device_size;
    }
    out->hole64 = align_up(end, GIB);
}

/* ---- CPUs --------------------------------------------------------------------------- */

static unsigned bits_for(unsigned count)
{
    unsigned bits = 0;
    while (count > 1u << bits)
        bits++;
    return bits;
}

uint32_t x86_apic_id(const MachineSmp *smp, unsigned cpu)
{
    unsigned thread = cpu % smp->threads, core = cpu / smp->threads % smp->cores;
    unsigned die = cpu / (smp->threads * smp->cores) % smp->dies;
    unsigned socket = cpu / (smp->threads * smp->cores * smp->dies);
    unsigned core_at = bits_for(smp->threads), die_at = core_at + bits_for(smp->cores);
    return socket << (die_at + bits_for(smp->dies)) | die << die_at | core << core_at | thread;
}

void x86_cpu_ids(const MachineOptions *options, unsigned cpu, MachineCpuIds *ids)
{
    const MachineSmp *smp = &options->smp;
    ids->thread = (int)(cpu % smp->threads);
    ids->core = (int)(cpu / smp->threads % smp->cores);
    if (smp->dies > 1)
        ids->die = (int)(cpu / (smp->threads * smp->cores) % smp->dies);
    ids->socket = (int)(cpu / (smp->threads * smp->cores * smp->dies));
}

/* Sockets in turn. */
unsigned x86_cpu_node(const MachineOptions *options, unsigned cpu)
{
    const MachineSmp *smp = &options->smp;
    return cpu / (smp->threads * smp->cores * smp->dies) % options->numa->count;
}

bool x86_smbios(Machine *m, const X86Memory *mem, SmbiosMachine *s, SmbiosRange *ranges, GError **error)
{
    ranges[s->range_count++] = (SmbiosRange){0, mem->low};
    if (mem->high)
        ranges[s->range_count++] = (SmbiosRange){4 * GIB, mem->high};
    return machine_smbios_ep64(m, &s->ep64, error) &&
           x86_processor_id(m, &s->processor_id, error);
}

/* ---- Memory modules --------------------------------------------------------------------- */

static bool dimm_place(const X86Memory *mem, const GArray *dimms, uint64_t align, X86Dimm *d, GError **error)
{
    uint64_t end = mem->device_base + mem->device_size;
    uint64_t want = ((const MemoryDevice *)d->device)->addr;
    uint64_t base = want ? want : align_up(mem->device_base, align);
    for (bool moved = true; moved;) {
        moved = false;
        for (guint i = 0; i < dimms->len; i++) {
            const X86Dimm *o = &g_array_index(dimms, X86Dimm, i);
            if (base >= o->base + o->size || o->base >= base + d->size)
                continue;
            if (want)
                return fail_usage(error, "address range conflicts with memory device id='%s'",
                                  o->device->id);
            base = align_up(o->base + o->size, align);
            moved = true;
        }
    }
    if (base < mem->device_base || base > end || d->size > end - base)
        return fail_usage(error, want ? "can't add memory device [%#" PRIx64 ":%#" PRIx64 "], it is not within "
                                        "the range for memory devices"
                                      : "could not find position in guest address space for memory device: at "
                                        "%#" PRIx64 " with %#" PRIx64 " bytes",
                          base, d->size);
    d->base = base;
    return true;
}

static bool dimm_slot(const Machine *m, const GArray *dimms, X86Dimm *d, GError **error)
{
    uint32_t want = ((const MemoryDevice *)d->device)->slot, slots = m->options->ram_slots;
    if (want != MEMORY_SLOT_AUTO && want >= slots)
        return fail_usage(error, "invalid slot number %" PRIu32 ", valid range is [0-%d]", want,
                          (int)slots - 1);
    for (uint32_t slot = want == MEMORY_SLOT_AUTO ? 0 : want; slot < slots; slot++) {
        bool taken = false;
        for (guint i = 0; i < dimms->len; i++)
            taken |= g_array_index(dimms, X86Dimm, i).slot == slot;
        if (!taken) {
            d->slot = slot;
            return true;
        }
        if (want != MEMORY_SLOT_AUTO)
            return fail_usage(error, "slot %" PRIu32 " is busy", slot);
    }
    return fail_usage(error, "no free slots available");
}

static bool dimm_add(const Machine *m, const X86Memory *mem, GArray *dimms, const Device *dev, GError **error)
{
    const MemoryDevice *md = (const MemoryDevice *)dev;
    X86Dimm d = {.device = dev, .node = md->node, .nvdimm = dev->type == &nvdimm_type};
    if (!mem->device_size)
        return fail_usage(error, "memory hotplug is not enabled: missing -m maxmem=...,slots=...");
    if (d.nvdimm && m->type->isas && !machine_prop_on(m, "nvdimm"))
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
    if (!dimm_slot(m, dimms, &d, error) || !dimm_place(mem, dimms, b->align ? b->align : 2 << 20, &d, error))
        return false;
    g_array_append_val(dimms, d);
    return true;
}

static gint by_slot(gconstpointer a, gconstpointer b)
{
    return (gint)((const X86Dimm *)a)->slot - (gint)((const X86Dimm *)b)->slot;
}

GArray *x86_dimms(const Machine *m, const X86Memory *mem, GError **error)
{
    g_autoptr(GArray) dimms = g_array_new(FALSE, FALSE, sizeof(X86Dimm));
    uint64_t used = m->options->ram_size;
    for (guint i = 0; i < m->added->len; i++) {
        const Device *dev = g_ptr_array_index(m->added, i);
        if (dev->type != &pc_dimm_type && dev->type != &nvdimm_type)
            continue;
        if (!dimm_add(m, mem, dimms, dev, error)) {
            prefix(error, "-device %s,id=%s", dev->type->name, dev->id);
            return NULL;
        }
        used += g_array_index(dimms, X86Dimm, dimms->len - 1).size;
        if (used > m->options->ram_max) {
            fail_usage(error, "not enough space, %" PRIu64 " MiB of memory are more than maxmem=%" PRIu64
                       " MiB", used >> 20, m->options->ram_max >> 20);
            return NULL;
        }
    }
    g_array_sort(dimms, by_slot);
    return g_steal_pointer(&dimms);
}
