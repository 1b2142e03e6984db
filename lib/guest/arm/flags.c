/* SPDX-License-Identifier: MIT */
/*
 * What an instruction does to NZCV, by the groups of the A64 encoding: for who asks whether flags are
 * needed at some place. Whatever may branch, ends a region or is new says that they are.
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

TranslateFlagsUse arm_flags_use(const uint8_t *code, unsigned available)
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
    default: return i == 0xd503201f ? TRANSLATE_FLAGS_KEPT : TRANSLATE_FLAGS_USED; /* NOP */
    }
}
