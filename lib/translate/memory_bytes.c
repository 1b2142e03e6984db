/* SPDX-License-Identifier: MIT */
/*
 * Guest memory from helpers, more than 8 bytes at a time, and probes that raise nothing: vectors whose
 * length is the guest's own. In user mode these are a few instructions of touch.S; else it is done byte by
 * byte, so that permissions and devices are right.
 */
#include <string.h>

#include "translate/host/touch.h"
#include "translate/translate_priv.h"

static uint64_t host_of(const TranslateCpu *cpu, uint64_t address)
{
    return address + cpu->translator->options.memory_base;
}

static bool touched(TranslateCpu *cpu, Touch touch)
{
    if (G_LIKELY(!touch.fault))
        return true;
    translate_raise(cpu, TRANSLATE_HOST_FAULT, cpu->touch_address);
    return false;
}

static size_t piece_of(size_t n) { return n >= 8 ? 8 : n >= 4 ? 4 : n >= 2 ? 2 : 1; }
static const uint8_t log2_of[] = {[1] = 0, [2] = 1, [4] = 2, [8] = 3};

bool translate_copy_in(TranslateCpu *cpu, void *to, uint64_t address, size_t n)
{
    uint8_t *p = to;
    if (cpu->guest->direct_memory && n >= 16) {
        size_t whole = n & ~(size_t)15;
        if (!touched(cpu, touch_move(p, (const void *)(uintptr_t)host_of(cpu, address), whole)))
            return false;
        n -= whole;
        p += whole;
        address += whole;
    }
    while (n) {
        size_t size = cpu->guest->direct_memory ? piece_of(n) : 1;
        uint64_t v;
        if (!translate_load(cpu, address, IR_MEM_SIZE(log2_of[size]), &v))
            return false;
        memcpy(p, &v, size);
        n -= size;
        p += size;
        address += size;
    }
    return true;
}

bool translate_copy_out(TranslateCpu *cpu, uint64_t address, const void *from, size_t n)
{
    const uint8_t *p = from;
    if (cpu->guest->direct_memory && n >= 16) {
        size_t whole = n & ~(size_t)15;
        if (!touched(cpu, touch_move((void *)(uintptr_t)host_of(cpu, address), p, whole)))
            return false;
        n -= whole;
        p += whole;
        address += whole;
    }
    while (n) {
        size_t size = cpu->guest->direct_memory ? piece_of(n) : 1;
        uint64_t v = 0;
        memcpy(&v, p, size);
        if (!translate_store(cpu, address, IR_MEM_SIZE(log2_of[size]), v))
            return false;
        n -= size;
        p += size;
        address += size;
    }
    return true;
}

bool translate_try_load(TranslateCpu *cpu, uint64_t address, IrMem mem, uint64_t *value)
{
    bool pending = cpu->fault_pending;
    if (translate_load(cpu, address, mem, value))
        return true;
    cpu->fault_pending = pending;
    return false;
}

/* The byte is exchanged for itself, if it is zero: that needs the right to write and changes nothing. */
bool translate_probe_store(TranslateCpu *cpu, uint64_t address)
{
    return !cpu->guest->direct_memory || touched(cpu, touch_cas8(host_of(cpu, address), 0, 0));
}
