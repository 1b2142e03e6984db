/* SPDX-License-Identifier: MIT */
/* Memory and CPUs of x86 boards as numbers. */
#include "machines/x86.h"

#include "base/bits.h"
#include "base/error.h"

#include <inttypes.h>
#include <string.h>

#define GIB (UINT64_C(1) << 30)

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
        out->device_size = o->ram_max - o->ram_size + o->ram_slots * GIB /* to align them */;
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
