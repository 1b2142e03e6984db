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
static void update(RiscvCpu *cpu)
{
    cpu->pmp_active = 0;
    for (unsigned i = 0; i < RISCV_PMP_ENTRIES; i++) {
        RiscvPmp *e = &cpu->pmp[i];
        uint64_t size;
        e->low = 1;
        e->high = 0;
        switch (matching(e->cfg)) {
        case PMP_TOR:
            e->low = i ? cpu->pmp[i - 1].addr << 2 : 0;
            e->high = (e->addr << 2) - 1;
            if (!e->addr || e->low > e->high) {
                e->low = 1;
                e->high = 0;
            }
            break;
        case PMP_NA4:
            e->low = e->addr << 2;
            e->high = e->low + 3;
            break;
        case PMP_NAPOT: /* trailing ones double the size from 8 */
            size = (e->addr ^ (e->addr + 1)) << 2 | 7;
            e->low = (e->addr << 2) & ~size;
            e->high = e->low | size;
            break;
        default:
            break;
        }
        cpu->pmp_active += matching(e->cfg) != PMP_OFF;
    }
    translate_tlb_flush(&cpu->base, ~0u, false);
    riscv_spaces_renew(cpu);
}

unsigned riscv_pmp_allows(const RiscvCpu *cpu, uint64_t phys, RiscvPriv priv, bool *whole)
{
    uint64_t page = phys & ~(uint64_t)(GUEST_PAGE_SIZE - 1), last = page | (GUEST_PAGE_SIZE - 1);
    *whole = true;
    if (!cpu->props.pmp || (priv == RISCV_M && !cpu->pmp_active))
        return 7;
    for (unsigned i = 0; i < RISCV_PMP_ENTRIES; i++) {
        const RiscvPmp *e = &cpu->pmp[i];
        if (e->low > e->high || e->high < page || e->low > last)
            continue;
        if (e->low > page || e->high < last)
            *whole = false;
        if (phys >= e->low && phys <= e->high)
            return priv == RISCV_M && !(e->cfg & PMP_L) ? 7 : e->cfg & 7;
    }
    return priv == RISCV_M ? 7 : 0;
}

uint64_t riscv_pmp_read(const RiscvCpu *cpu, unsigned number)
{
    uint64_t v = 0;
    if (number >= 0x3b0)
        return cpu->pmp[number - 0x3b0].addr;
    unsigned first = 4 * (number - 0x3a0), n = cpu->props.rv32 ? 4 : 8;
    for (unsigned i = 0; i < n; i++)
        v |= (uint64_t)cpu->pmp[first + i].cfg << 8 * i;
    return v;
}

void riscv_pmp_write(RiscvCpu *cpu, unsigned number, uint64_t value)
{
    if (number >= 0x3b0) {
        unsigned i = number - 0x3b0;
        const RiscvPmp *above = i + 1 < RISCV_PMP_ENTRIES ? &cpu->pmp[i + 1] : NULL;
        if (cpu->pmp[i].cfg & PMP_L || (above && above->cfg & PMP_L && matching(above->cfg) == PMP_TOR))
            return;
        cpu->pmp[i].addr = value & bits_mask(cpu->props.rv32 ? 32 : 54);
    } else {
        unsigned first = 4 * (number - 0x3a0), n = cpu->props.rv32 ? 4 : 8;
        for (unsigned i = 0; i < n; i++) {
            RiscvPmp *e = &cpu->pmp[first + i];
            uint8_t cfg = value >> 8 * i & (PMP_R | PMP_W | PMP_X | PMP_A | PMP_L);
            if (!(cfg & PMP_R)) /* write without read is reserved */
                cfg &= (uint8_t)~PMP_W;
            if (!(e->cfg & PMP_L))
                e->cfg = cfg;
        }
    }
    update(cpu);
}

void riscv_pmp_reset(RiscvCpu *cpu)
{
    memset(cpu->pmp, 0, sizeof cpu->pmp);
    update(cpu);
}
