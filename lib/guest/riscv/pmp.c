/* SPDX-License-Identifier: MIT */
/*
 * Physical memory protection (privileged ISA 1.12, 3.7): 16 entries, granule 4
 * bytes, OFF, TOR, NA4 and NAPOT, locking. Without PMP all is allowed; with it,
 * S and U may do nothing that no entry allows. An access is judged by its first
 * byte; a page of which entries cover parts is never cached.
 */
#include "guest/riscv/riscv_priv.h"

#include <string.h>

enum { PMP_R = 1, PMP_W = 2, PMP_X = 4, PMP_A = 0x18, PMP_L = 0x80 };
enum { PMP_OFF, PMP_TOR, PMP_NA4, PMP_NAPOT };

static unsigned matching(uint8_t cfg)
{
    return (cfg & PMP_A) >> 3;
}

/* Recomputes the byte ranges; entries below one another may have changed. */
static void make_ranges(RiscvCpu *cpu)
{
    cpu->pmp_active = 0;
    memcpy(cpu->pmp_made, cpu->pmpcfg, sizeof cpu->pmp_made);
    for (unsigned i = 0; i < RISCV_PMP_ENTRIES; i++) {
        RiscvPmp *e = &cpu->pmp[i];
        uint64_t addr = cpu->pmpaddr[i], size;
        e->low = 1;
        e->high = 0;
        switch (matching(cpu->pmpcfg[i])) {
        case PMP_TOR:
            if (addr <= (i ? cpu->pmpaddr[i - 1] : 0))
                break;
            e->low = i ? cpu->pmpaddr[i - 1] << 2 : 0;
            e->high = (addr << 2) - 1;
            break;
        case PMP_NA4:
            e->low = addr << 2;
            e->high = e->low + 3;
            break;
        case PMP_NAPOT: /* trailing ones double the size from 8 */
            size = (addr ^ (addr + 1)) << 2 | 7;
            e->low = (addr << 2) & ~size;
            e->high = e->low | size;
            break;
        default:
            break;
        }
        cpu->pmp_active += matching(cpu->pmpcfg[i]) != PMP_OFF;
    }
}

static void changed(RiscvCpu *cpu)
{
    make_ranges(cpu);
    riscv_spaces_renew(cpu);
}

unsigned riscv_pmp_allows(RiscvCpu *cpu, uint64_t phys, unsigned size, RiscvPriv priv, bool *whole)
{
    uint64_t end = phys + size - 1;
    uint64_t page = phys & ~(uint64_t)(GUEST_PAGE_SIZE - 1), last = page | (GUEST_PAGE_SIZE - 1);
    *whole = true;
    if (!cpu->props.pmp)
        return 7;
    if (memcmp(cpu->pmp_made, cpu->pmpcfg, sizeof cpu->pmp_made)) /* set from outside, as a register by name */
        make_ranges(cpu);
    for (unsigned i = 0; i < RISCV_PMP_ENTRIES && cpu->pmp_active; i++) {
        const RiscvPmp *e = &cpu->pmp[i];
        if (e->low > e->high || e->high < page || e->low > last)
            continue;
        if (e->low > page || e->high < last)
            *whole = false;
        if (end < e->low || phys > e->high)
            continue;
        if (phys < e->low || end > e->high)
            return 0; /* an entry that matches must match the whole access */
        return priv == RISCV_M && !(cpu->pmpcfg[i] & PMP_L) ? 7 : cpu->pmpcfg[i] & 7;
    }
    return priv == RISCV_M ? 7 : 0;
}

uint64_t riscv_pmp_read(const RiscvCpu *cpu, unsigned number)
{
    uint64_t v = 0;
    if (number >= 0x3b0)
        return cpu->pmpaddr[number - 0x3b0];
    unsigned first = 4 * (number - 0x3a0), n = cpu->props.rv32 ? 4 : 8;
    for (unsigned i = 0; i < n; i++)
        v |= (uint64_t)cpu->pmpcfg[first + i] << 8 * i;
    return v;
}

void riscv_pmp_write(RiscvCpu *cpu, unsigned number, uint64_t value)
{
    if (number >= 0x3b0) {
        unsigned i = number - 0x3b0;
        uint8_t above = i + 1 < RISCV_PMP_ENTRIES ? cpu->pmpcfg[i + 1] : 0;
        if (cpu->pmpcfg[i] & PMP_L || (above & PMP_L && matching(above) == PMP_TOR))
            return;
        cpu->pmpaddr[i] = value & bits_mask(cpu->props.rv32 ? 32 : 54);
    } else {
        unsigned first = 4 * (number - 0x3a0), n = cpu->props.rv32 ? 4 : 8;
        for (unsigned i = 0; i < n; i++) {
            uint8_t cfg = value >> 8 * i & (PMP_R | PMP_W | PMP_X | PMP_A | PMP_L);
            if (!(cfg & PMP_R)) /* write without read is reserved */
                cfg &= (uint8_t)~PMP_W;
            if (!(cpu->pmpcfg[first + i] & PMP_L))
                cpu->pmpcfg[first + i] = cfg;
        }
    }
    changed(cpu);
}

void riscv_pmp_reset(RiscvCpu *cpu)
{
    memset(cpu->pmpcfg, 0, sizeof cpu->pmpcfg);
    memset(cpu->pmpaddr, 0, sizeof cpu->pmpaddr);
    changed(cpu);
}
