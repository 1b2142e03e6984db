/* SPDX-License-Identifier: MIT */
/*
 * What an instruction does to NZCV, by the groups of the A64 encoding: for who asks whether flags are
 * needed at some place. Whatever is not known says that they are.
 */
#include "guest/arm/arm_priv.h"

#include "base/bytes.h"

/* bits 28:25 are x101: on registers */
static TranslateFlagsUse of_registers(uint32_t i)
{
    bool sets = i >> 29 & 1;
    switch (i >> 24 & 31) {
    case 0x0a: return (i >> 29 & 3) == 3 ? TRANSLATE_FLAGS_SET : TRANSLATE_FLAGS_KEPT; /* ANDS */
    case 0x0b: return sets ? TRANSLATE_FLAGS_SET : TRANSLATE_FLAGS_KEPT;
    case 0x1b: return TRANSLATE_FLAGS_KEPT; /* products */
    default: /* of one or two sources; not carries, conditions and the like */
        return (i >> 21 & 7) == 6 && !sets ? TRANSLATE_FLAGS_KEPT : TRANSLATE_FLAGS_USED;
    }
}

/* bits 28:26 are 100: with an immediate */
static TranslateFlagsUse of_immediate(uint32_t i)
{
    switch (i >> 23 & 7) {
    case 2: return i >> 29 & 1 ? TRANSLATE_FLAGS_SET : TRANSLATE_FLAGS_KEPT;
    case 4: return (i >> 29 & 3) == 3 ? TRANSLATE_FLAGS_SET : TRANSLATE_FLAGS_KEPT;
    case 3: return TRANSLATE_FLAGS_USED; /* tags, minima */
    default: return TRANSLATE_FLAGS_KEPT;
    }
}

static TranslateFlagsUse of_floats(uint32_t i)
{
    if ((i & 0x5f200000) != 0x1e200000) /* not scalar */
        return TRANSLATE_FLAGS_KEPT;
    if (i >> 10 & 1 || (i & 0xfffffc00) == 0x1e7e0000) /* conditional; FJCVTZS */
        return TRANSLATE_FLAGS_USED;
    return (i >> 10 & 63) == 8 ? TRANSLATE_FLAGS_SET : TRANSLATE_FLAGS_KEPT; /* FCMP */
}

/* Branches that do not ask for flags, and calls: with their ways on. */
static TranslateFlagsUse of_branches(uint32_t i, int64_t *target)
{
    if ((i & 0x7c000000) == 0x14000000) { /* B, BL */
        *target = bits_sext(i, 26) * 4;
        return TRANSLATE_FLAGS_JUMP;
    }
    if ((i & 0x7e000000) == 0x34000000) { /* CBZ, CBNZ */
        *target = bits_sext(i >> 5, 19) * 4;
        return TRANSLATE_FLAGS_BRANCH;
    }
    if ((i & 0x7e000000) == 0x36000000) { /* TBZ, TBNZ */
        *target = bits_sext(i >> 5, 14) * 4;
        return TRANSLATE_FLAGS_BRANCH;
    }
    return i == 0xd503201f ? TRANSLATE_FLAGS_KEPT : TRANSLATE_FLAGS_USED; /* NOP */
}

TranslateFlagsUse arm_flags_use(const uint8_t *code, unsigned available, int64_t *target)
{
    if (available < 4)
        return TRANSLATE_FLAGS_USED;
    uint32_t i = ld_le32(code);
    switch (i >> 25 & 15) {
    case 4: case 6: case 12: case 14: /* memory, but for its copying */
        return (i & 0x3b200c00) == 0x19000400 ? TRANSLATE_FLAGS_USED : TRANSLATE_FLAGS_KEPT;
    case 5: case 13: return of_registers(i);
    case 7: case 15: return of_floats(i);
    case 8: case 9: return of_immediate(i);
    case 10: case 11: return of_branches(i, target);
    default: return TRANSLATE_FLAGS_USED;
    }
}
