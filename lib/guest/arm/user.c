/* SPDX-License-Identifier: MIT */
/*
 * AArch64 for one program of an operating system: EL0, memory at host addresses, every exception the
 * environment's. FPCR.DN and FZ are the mode (and FPSR.IXC under FZ); rounding is the translator's own state.
 *
 * Code is not kept coherent with stores: programs say by IC IVAU, or by a system call, that they
 * have written some.
 */
#include <string.h>
#include <sys/random.h>

#include "guest/arm/arm_priv.h"

void arm_fp_rules(uint64_t mode, TranslateFp *fp)
{
    fp->default_nan = mode & MODE_DN;
    fp->flush_inputs = fp->flush_outputs = mode & MODE_FZ;
    if (mode & MODE_FZ)
        fp->inexact = mode & MODE_INEXACT ? TRANSLATE_INEXACT_SET : TRANSLATE_INEXACT_CLEAR;
}

void arm_user_mode(TranslateCpu *base)
{
    ArmCpu *cpu = arm_of(base);
    uint64_t mode = (cpu->fpcr & ARM_FPCR_DN ? MODE_DN : 0) | (cpu->fpcr & ARM_FPCR_FZ ? MODE_FZ : 0) |
                    (cpu->fpcr & ARM_FPCR_FZ && translate_fp_flags(base) & TRANSLATE_FP_INEXACT ? MODE_INEXACT : 0) |
                    (cpu->guards ? MODE_GUARDS : 0) | (cpu->tagged ? MODE_TAGGED : 0) |
                    (cpu->tags && cpu->tag_checks ? MODE_TAG_CHECKS : 0) | MODE_NO_KEY(0) * cpu->pac_disabled |
                    (uint64_t)(cpu->vl ? cpu->vl / 16 - 1 : 0) << MODE_VL_AT |
                    (cpu->z_used && cpu->vl > 16 ? MODE_Z_USED : 0);
    unsigned i = 0;
    while (i < G_N_ELEMENTS(cpu->user_tags) && (!cpu->user_tags[i].tag || cpu->user_tags[i].mode != mode))
        i++;
    if (i == G_N_ELEMENTS(cpu->user_tags)) { /* jump tables know a mode by its tag */
        i = cpu->next_tag++ % G_N_ELEMENTS(cpu->user_tags);
        cpu->user_tags[i].mode = mode;
        cpu->user_tags[i].tag = translate_tag_new(base);
    }
    base->mode = mode;
    base->tag = cpu->user_tags[i].tag;
}

void arm_trouble(TranslateCpu *cpu, uint64_t address, TranslateAccess access, TranslateTrouble trouble,
                 TranslateFault *fault)
{
    bool misaligned = trouble == TRANSLATE_MISALIGNED;
    fault->value = address;
    if (access == TRANSLATE_FETCH)
        fault->exception = misaligned ? ARM_PC_ALIGNMENT : ARM_FETCH;
    else
        fault->exception = misaligned ? ARM_ALIGNMENT : ARM_DATA;
}

void arm_user_reset(TranslateCpu *base, uint64_t entry)
{
    ArmCpu *cpu = arm_of(base);
    memset(cpu->x, 0, sizeof cpu->x);
    memset(cpu->v, 0, sizeof cpu->v);
    cpu->sp = cpu->tpidr = cpu->pstate = 0;
    cpu->pair_address = 1;
    cpu->flags = cpu->pac_disabled = 0;
    cpu->btype = 0;
    cpu->guards = cpu->tagged = cpu->tag_fault = false;
    cpu->tags = NULL;
    cpu->tag_checks = ARM_TAGS_UNCHECKED;
    cpu->tag_exclude = 0xffff;
    cpu->z_used = false;
    cpu->z_stale = 0;
    memset(cpu->p, 0, sizeof cpu->p);
    arm_set_fpcr(base, 0);
    arm_set_fpsr(base, 0);
    base->pc = entry;
    base->idle = false;
    base->linked_valid = 0;
}

/* ---- status registers ------------------------------------------------------------ */

uint32_t arm_nzcv(const TranslateCpu *base)
{
    uint32_t f = ((const ArmCpu *)(const void *)base)->flags;
    return (f & IR_FLAG_S ? 1u << 31 : 0) | (f & IR_FLAG_Z ? 1u << 30 : 0) | (f & IR_FLAG_C ? 1u << 29 : 0) |
           (f & IR_FLAG_O ? 1u << 28 : 0);
}

void arm_set_nzcv(TranslateCpu *base, uint32_t nzcv)
{
    arm_of(base)->flags = (nzcv >> 31 & 1 ? IR_FLAG_S : 0) | (nzcv >> 30 & 1 ? IR_FLAG_Z : 0) |
                          (nzcv >> 29 & 1 ? IR_FLAG_C : 0) | (nzcv >> 28 & 1 ? IR_FLAG_O : 0);
}

static uint32_t pstate_bits(const ArmProps *p)
{
    return (p->ssbs ? ARM_PSTATE_SSBS : 0) | (p->dit ? ARM_PSTATE_DIT : 0) | (p->mte ? ARM_PSTATE_TCO : 0);
}

uint32_t arm_pstate(const TranslateCpu *base)
{
    const ArmCpu *cpu = (const ArmCpu *)(const void *)base;
    return arm_nzcv(base) | (uint32_t)cpu->pstate | (uint32_t)cpu->btype << 10;
}

void arm_set_pstate(TranslateCpu *base, uint32_t pstate)
{
    arm_set_nzcv(base, pstate);
    arm_of(base)->pstate = pstate & pstate_bits(&arm_of(base)->props);
    arm_of(base)->btype = arm_of(base)->guards ? pstate >> 10 & 3 : 0;
}

uint32_t arm_fpcr(const TranslateCpu *base)
{
    return ((const ArmCpu *)(const void *)base)->fpcr;
}

void arm_set_fpcr(TranslateCpu *base, uint32_t value)
{
    static const uint8_t rounds[] = {IR_RNE, IR_RUP, IR_RDN, IR_RTZ};
    ArmCpu *cpu = arm_of(base);
    cpu->fpcr = value & (ARM_FPCR_MASK | (cpu->props.fp16 ? ARM_FPCR_FZ16 : 0));
    translate_fp_set_round(base, (IrRound)rounds[value >> 22 & 3]);
}

/* IOC DZC OFC UFC IXC in bits 0 to 4 are in the translator's order, IDC is bit 7 */
uint32_t arm_fpsr(TranslateCpu *base)
{
    unsigned f = translate_fp_flags(base);
    return (f & 31) | (f & TRANSLATE_FP_DENORMAL ? 1u << 7 : 0) | (arm_of(base)->qc[0] | arm_of(base)->qc[1] ? ARM_FPSR_QC : 0);
}

void arm_set_fpsr(TranslateCpu *base, uint32_t value)
{
    translate_fp_set_flags(base, (value & 31) | (value >> 7 & 1 ? TRANSLATE_FP_DENORMAL : 0));
    arm_of(base)->qc[0] = value >> 27 & 1;
    arm_of(base)->qc[1] = 0;
}

HELPER(set_fpcr)
{
    arm_set_fpcr(cpu, (uint32_t)a);
    return 0;
}

HELPER(fpsr)
{
    return a ? arm_fpcr(cpu) : arm_fpsr(cpu);
}

HELPER(set_fpsr)
{
    arm_set_fpsr(cpu, (uint32_t)a);
    return 0;
}

/* ---- others ---------------------------------------------------------------------------- */

HELPER(crc32)
{
    uint32_t polynomial = d ? 0x82f63b78 : 0xedb88320, crc = (uint32_t)a;
    for (unsigned i = 0; i < c; i++) {
        crc ^= (uint8_t)(b >> 8 * i);
        for (unsigned k = 0; k < 8; k++)
            crc = crc >> 1 ^ (crc & 1 ? polynomial : 0);
    }
    return crc;
}

/* CNTVCT_EL0 is the environment's counter, whose rate it says itself: CNTFRQ_EL0 of 10 MHz */
HELPER(counter)
{
    TranslateCpu *base = cpu;
    return a ? 10000000 : base->env.time ? base->env.time(base->env.opaque) : 0;
}

/* RNDR and RNDRRS; 0 without a number. Nobody takes 0 for one. */
HELPER(random)
{
    uint64_t v = 0;
    if (getrandom(&v, sizeof v, GRND_NONBLOCK) != sizeof v)
        return 0;
    return v ? v : 1;
}

HELPER(code_fence)
{
    TranslateCpu *base = cpu;
    if (base->env.remote_fence)
        base->env.remote_fence(base->env.opaque, a & ~UINT64_C(63), 64);
    return 0;
}

HELPER(clrex)
{
    ArmCpu *arm = cpu;
    arm->base.linked_valid = 0;
    arm->pair_address = 1;
    return 0;
}

HELPER(service)
{
    TranslateCpu *base = cpu;
    if (!base->env.service || !base->env.service(base->env.opaque, base, (uint32_t)a, b))
        translate_raise(base, ARM_UNDEFINED, c);
    return 0;
}
