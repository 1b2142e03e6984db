/* SPDX-License-Identifier: MIT */
/* Translation of one instruction: what no table or trans_ function takes is undefined. */
#include "guest/arm/arm_priv.h"

#include "base/bytes.h"

#define DECODE_EXTERN
#include "gen/guest/arm/a64_int.inc"
#include "gen/guest/arm/a64_mem.inc"
#include "gen/guest/arm/a64_sys.inc"
#include "gen/guest/arm/a64_fp.inc"
#include "gen/guest/arm/a64_simd.inc"
/* extensions */
#include "gen/guest/arm/a64_half.inc"
#include "gen/guest/arm/a64_ext.inc"
#include "gen/guest/arm/a64_pauth.inc"
#include "gen/guest/arm/a64_mte.inc"
#include "gen/guest/arm/a64_sve_int.inc"
#include "gen/guest/arm/a64_sve_fp.inc"
#include "gen/guest/arm/a64_sve_mem.inc"
#include "gen/guest/arm/a64_sve2.inc"

static bool extended(ArmTrans *c)
{
    return a64_pauth_decode(c, c->bits) || a64_mte_decode(c, c->bits);
}

static bool extended_fp(ArmTrans *c)
{
    return a64_half_decode(c, c->bits) || a64_ext_decode(c, c->bits);
}

static bool sve(ArmTrans *c)
{
    if (!c->p->sve)
        return false;
    return !arm_sve_enter(c) || a64_sve_int_decode(c, c->bits) || a64_sve_fp_decode(c, c->bits) || a64_sve_mem_decode(c, c->bits) ||
           (c->p->sve2 && a64_sve2_decode(c, c->bits));
}

bool arm_insn(IrBuilder *b, const uint8_t *code, unsigned available)
{
    const ArmCpu *cpu = b->cpu;
    if (available < 4)
        return false;
    ArmTrans c = {.b = b, .p = &cpu->props, .bits = ld_le32(code), .next = b->insn + 4};
    ir_insn(b, b->insn, 4);
    b->ignore_top = b->mode & MODE_TAGGED;
    if (b->mode & MODE_GUARDS && !b->insn)
        arm_check_target(&c);
    if (b->mode & MODE_TAG_CHECKS)
        arm_check_tags(&c);
    unsigned first = b->n, group = c.bits >> 25 & 15;
    bool known;
    switch (group) {
    case 2: known = sve(&c); break;
    case 4: case 6: case 12: case 14: known = a64_mem_decode(&c, c.bits) || extended(&c); break;
    case 7: case 15: known = a64_fp_decode(&c, c.bits) || a64_simd_decode(&c, c.bits) || extended_fp(&c); break;
    default: known = a64_int_decode(&c, c.bits) || a64_sys_decode(&c, c.bits) || extended(&c); break;
    }
    if (!known)
        arm_undefined(&c);
    if (b->mode & MODE_Z_USED && (group & 6) == 6)
        arm_sve_after(&c, first);
    return true;
}
