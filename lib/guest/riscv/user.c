/* SPDX-License-Identifier: MIT */
/*
 * RISC-V for one program of an operating system: U-mode only, memory at host
 * addresses, every exception the environment's (env.exception, numbered as
 * RiscvCause; values are those of stval). FS is dirty for good and counters are
 * open, so that the mode key holds nothing that changes but what frm means.
 *
 * An encoding that RISC-V leaves to everybody (custom-0) asks the environment for a service, with a
 * key in t0 that only the environment's own code knows; in any other code it is illegal.
 *
 * Code is not kept coherent with stores: RISC-V programs say by FENCE.I, or by a
 * system call, that they have written some.
 */
#include <string.h>

#include "guest/riscv/riscv_priv.h"

void riscv_user_mode(TranslateCpu *base)
{
    RiscvCpu *cpu = riscv_of(base);
    uint64_t mode = riscv_mode_key(cpu) | MODE_USER;
    uint32_t *tag = &cpu->user_tags[MODE_FRM(mode)];
    if (!*tag)
        *tag = translate_tag_new(base); /* jump tables know a mode by its tag */
    base->mode = mode;
    base->tag = *tag;
}

uint64_t riscv_helper_fence_i(void *opaque, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    TranslateCpu *cpu = opaque;
    if (cpu->env.remote_fence)
        cpu->env.remote_fence(cpu->env.opaque, 0, UINT64_MAX);
    return 0;
}

uint64_t riscv_helper_service(void *opaque, uint64_t number, uint64_t key, uint64_t bits, uint64_t d)
{
    TranslateCpu *cpu = opaque;
    if (!cpu->env.service || !cpu->env.service(cpu->env.opaque, cpu, (uint32_t)number, key))
        translate_raise(cpu, RISCV_ILLEGAL, bits);
    return 0;
}

void riscv_user_reset(TranslateCpu *base, uint64_t entry)
{
    RiscvCpu *cpu = riscv_of(base);
    memset(cpu->x, 0, sizeof cpu->x);
    memset(cpu->f, 0, sizeof cpu->f);
    cpu->fs = 3;
    cpu->priv = RISCV_U;
    cpu->mstatus = UINT64_C(2) << MSTATUS_UXL_SHIFT;
    cpu->mcounteren = cpu->scounteren = UINT32_MAX;
    cpu->menvcfg = cpu->senvcfg = MENVCFG_CBCFE | MENVCFG_CBZE;
    translate_fp_set_flags(base, 0);
    riscv_set_frm(cpu, 0);
    base->pc = entry;
    base->idle = false;
    base->linked_valid = 0;
}
