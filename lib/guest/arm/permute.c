/* SPDX-License-Identifier: MIT */
/* Vector instructions that move bytes about. */
#include "guest/arm/simd_priv.h"

static void get_bytes(const ArmCpu *cpu, unsigned v, uint8_t out[16])
{
    memcpy(out, cpu->v[v], 16); /* our host is little-endian, as are lanes */
}

static void put_bytes(ArmCpu *cpu, unsigned v, const uint8_t in[16])
{
    memcpy(cpu->v[v], in, 16);
}

static unsigned table_look_up(const ArmCpu *cpu, uint32_t w, uint8_t *r)
{
    unsigned n = w >> 5 & 31, regs = (w >> 13 & 3) + 1;
    uint8_t table[64], index[16];
    for (unsigned i = 0; i < regs; i++)
        get_bytes(cpu, (n + i) & 31, table + 16 * i);
    get_bytes(cpu, w >> 16 & 31, index);
    for (unsigned i = 0; i < 16; i++) {
        if (index[i] < 16 * regs)
            r[i] = table[index[i]];
        else if (!(w >> 12 & 1))
            r[i] = 0;
    }
    return 0;
}

HELPER(permute)
{
    ArmCpu *arm = cpu;
    uint32_t w = (uint32_t)b;
    bool q = w >> 30 & 1, second = w >> 14 & 1;
    unsigned size = 1u << (w >> 22 & 3), lanes = (q ? 16 : 8) / size, rd = w & 31;
    uint8_t x[16], y[16], r[16];
    get_bytes(arm, w >> 5 & 31, x);
    get_bytes(arm, w >> 16 & 31, y);
    get_bytes(arm, rd, r);
    switch ((ArmPermute)a) {
    case PERMUTE_TBL: table_look_up(arm, w, r); break;
    case PERMUTE_REV: { /* lanes of size reversed within units; c is the unit's size */
        unsigned unit = (unsigned)c;
        for (unsigned at = 0; at < 16; at += unit) /* lanes from both ends */
            for (unsigned i = 0; i < unit; i += size)
                memcpy(r + at + i, x + at + (unit - size - i), size);
        break;
    }
    default:
        for (unsigned i = 0; i < lanes; i++) {
            const uint8_t *from = x;
            unsigned lane;
            if (a == PERMUTE_ZIP) {
                from = i & 1 ? y : x;
                lane = i / 2 + (second ? lanes / 2 : 0);
            } else if (a == PERMUTE_UZP) {
                from = i < lanes / 2 ? x : y;
                lane = 2 * (i % (lanes / 2)) + second;
            } else {
                from = i & 1 ? y : x;
                lane = (i & ~1u) + second;
            }
            memcpy(r + i * size, from + lane * size, size);
        }
        break;
    }
    if (!q)
        memset(r + 8, 0, 8);
    put_bytes(arm, rd, r);
    return 0;
}
