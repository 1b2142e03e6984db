/* SPDX-License-Identifier: MIT */
/* Which bytes of memory an instruction reaches, from its encoding: for those who are asked about a fault,
   and for tag checks. */
#include "guest/arm/arm_priv.h"

#define F(w, at, width) ((w) >> (at) & ((1u << (width)) - 1))

static bool ordered(uint32_t w, ArmAccess *a) /* exclusives, LDAR, CAS and the like */
{
    unsigned size = w >> 30;
    bool pair = F(w, 21, 1) && !F(w, 23, 1), swap = F(w, 21, 1) && (F(w, 23, 1) || size < 2);
    a->bytes = (uint16_t)(pair ? size & 2 ? 2u << size : 8u << (size & 1) : 1u << size);
    a->write = swap || !F(w, 22, 1);
    a->read = swap || F(w, 22, 1);
    return true;
}

static bool pair(uint32_t w, ArmAccess *a)
{
    unsigned opc = w >> 30, log2 = F(w, 26, 1) ? 2 + opc : opc & 2 ? 3 : 2;
    if (opc == 1 && !F(w, 26, 1) && !F(w, 22, 1)) { /* STGP: 16 bytes, and a tag that is not looked at */
        a->unchecked = true;
        log2 = 4;
    }
    a->bytes = (uint16_t)(a->unchecked ? 16u : 2u << log2);
    a->offset = F(w, 23, 2) == 1 ? 0 : (int32_t)(bits_sext(F(w, 15, 7), 7) * (1 << log2));
    a->unchecked |= a->rn == 31 && F(w, 23, 2) == 2;
    a->read = F(w, 22, 1);
    a->write = !a->read;
    return true;
}

/* Of one general or vector register. */
static bool single(uint32_t w, ArmAccess *a)
{
    unsigned size = w >> 30, opc = F(w, 22, 2), mode = F(w, 10, 2);
    bool vec = F(w, 26, 1), scaled = F(w, 24, 1), more = F(w, 21, 1) && !scaled;
    if (more && mode == 0) { /* atomics and LDAPR */
        a->bytes = (uint16_t)(1u << size);
        a->read = true;
        a->write = F(w, 12, 4) != 12;
        return true;
    }
    if ((more && mode != 2) || (!vec && size == 3 && opc == 2)) /* LDRAA; prefetches */
        return false;
    unsigned log2 = vec && opc & 2 ? size | 4 : size;
    a->bytes = (uint16_t)(1u << log2);
    a->read = vec ? opc & 1 : opc != 0;
    a->write = !a->read;
    if (scaled) {
        a->offset = (int32_t)(F(w, 10, 12) << log2);
    } else if (more) {
        a->index = true;
        a->rm = (uint8_t)F(w, 16, 5);
        a->option = (uint8_t)F(w, 13, 3);
        a->shift = (uint8_t)(F(w, 12, 1) ? log2 : 0);
    } else {
        a->offset = mode == 1 ? 0 : (int32_t)bits_sext(F(w, 12, 9), 9);
    }
    a->unchecked = a->rn == 31 && !more && (scaled || mode == 0 || mode == 2);
    return true;
}

static bool structures(uint32_t w, ArmAccess *a)
{
    static const uint8_t registers[16] = {[0] = 4, [2] = 4, [4] = 3, [6] = 3, [7] = 1, [8] = 2, [10] = 2};
    a->read = F(w, 22, 1);
    a->write = !a->read;
    if (!F(w, 24, 1)) {
        a->bytes = (uint16_t)(registers[F(w, 12, 4)] * (F(w, 30, 1) ? 16 : 8));
        return a->bytes;
    }
    unsigned count = (F(w, 13, 1) << 1 | F(w, 21, 1)) + 1, log2 = F(w, 14, 2);
    if (log2 == 3)
        log2 = F(w, 10, 2);
    else if (log2 == 2 && F(w, 10, 1))
        log2 = 3;
    a->bytes = (uint16_t)(count << log2);
    return true;
}

bool arm_access(uint32_t w, ArmAccess *a)
{
    *a = (ArmAccess){.rn = (uint8_t)F(w, 5, 5)};
    if ((w & 0xffffffe0) == 0xd50b7420) { /* DC ZVA; the block is aligned to what it is long */
        a->rn = (uint8_t)F(w, 0, 5);
        a->bytes = 1;
        a->write = true;
        return true;
    }
    if ((w & 0x3f000000) == 0x08000000)
        return ordered(w, a);
    if ((w & 0x3f200c00) == 0x19000000) { /* LDAPUR */
        a->bytes = (uint16_t)(1u << (w >> 30));
        a->offset = (int32_t)bits_sext(F(w, 12, 9), 9);
        a->read = F(w, 22, 2) != 0;
        a->write = !a->read;
        a->unchecked = a->rn == 31;
        return true;
    }
    if ((w & 0xff200000) == 0xd9200000) { /* STG and the like */
        bool tags_only = !F(w, 10, 2);
        a->bytes = (uint16_t)(F(w, 23, 1) ? 32 : 16);
        a->offset = F(w, 10, 2) == 1 ? 0 : (int32_t)(bits_sext(F(w, 12, 9), 9) * 16);
        a->read = tags_only;
        a->write = !tags_only;
        a->unchecked = true;
        return true;
    }
    if ((w & 0x3a000000) == 0x28000000)
        return pair(w, a);
    if ((w & 0x3a000000) == 0x38000000)
        return single(w, a);
    if ((w & 0xbe000000) == 0x0c000000)
        return structures(w, a);
    return false;
}

uint64_t arm_access_address(const ArmCpu *cpu, const ArmAccess *a)
{
    uint64_t base = a->rn == 31 ? cpu->sp : cpu->x[a->rn], x;
    if (!a->index)
        return base + (uint64_t)(int64_t)a->offset;
    x = a->rm == 31 ? 0 : cpu->x[a->rm];
    if (!(a->option & 1))
        x = a->option & 4 ? (uint64_t)(int64_t)(int32_t)x : (uint32_t)x;
    return base + (x << a->shift);
}
