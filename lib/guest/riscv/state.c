/* SPDX-License-Identifier: MIT */
/* What of a hart is saved. Tags, spaces and PMP ranges are made anew; a reservation of LR is
   lost, which software must bear. */
#include <string.h>

#include "base/error.h"
#include "guest/riscv/riscv_priv.h"
#include "state/state.h"

#define FIELD(name) STATE_FIELD(RiscvCpu, name, 1)
#define ARRAY(name) STATE_ARRAY(RiscvCpu, name, 1)

static const StateField fields[] = {
    FIELD(base.pc), FIELD(base.idle), ARRAY(x), ARRAY(f), FIELD(fs), FIELD(frm), FIELD(saved_flags),
    FIELD(priv), FIELD(hart), FIELD(mstatus),
    FIELD(sscratch), FIELD(sepc), FIELD(stvec), FIELD(scause), FIELD(stval),
    FIELD(mscratch), FIELD(mepc), FIELD(mtvec), FIELD(mcause), FIELD(mtval),
    FIELD(mip), FIELD(seip_soft), FIELD(mie), FIELD(medeleg), FIELD(mideleg),
    FIELD(satp), FIELD(menvcfg), FIELD(senvcfg),
    FIELD(mcounteren), FIELD(scounteren), FIELD(mcountinhibit),
    FIELD(stimecmp), FIELD(cycle_offset), FIELD(instret_offset), FIELD(last_count),
    ARRAY(pmpcfg), ARRAY(pmpaddr),
    STATE_END,
};

void riscv_save(TranslateCpu *base, GByteArray *out)
{
    RiscvCpu *cpu = riscv_of(base);
    cpu->saved_flags = (uint8_t)riscv_fflags(cpu);
    state_save(fields, cpu, out);
}

bool riscv_load(TranslateCpu *base, const uint8_t *data, size_t len, size_t *pos, GError **error)
{
    RiscvCpu *cpu = riscv_of(base);
    if (!state_load(fields, cpu, data, len, pos, error))
        return false;
    if (cpu->priv == RISCV_RESERVED || cpu->priv > RISCV_M || cpu->fs > 3)
        return fail(error, "saved RISC-V hart: no such privilege or FS");
    riscv_set_fflags(cpu, cpu->saved_flags);
    riscv_set_frm(cpu, cpu->frm);
    base->linked_valid = 0;
    cpu->attention = 1;
    memset(cpu->pmp_made, 0xff, sizeof cpu->pmp_made);
    riscv_spaces_reset(cpu);
    riscv_set_timer(base, cpu->stimecmp);
    return true;
}
