/* SPDX-License-Identifier: MIT */
/*
 * QARMA-64 with five rounds, the function of pointer authentication that the manual describes
 * (ComputePAC; R. Avanzi, The QARMA Block Cipher Family). The function of the implementation's own is
 * IR, in trans_pauth.c.
 */
#include "guest/arm/arm_priv.h"

typedef uint8_t Cells[16]; /* of four bits, the least significant first */

static void split(uint64_t x, Cells c)
{
    for (unsigned i = 0; i < 16; i++)
        c[i] = x >> 4 * i & 15;
}

static uint64_t join(const Cells c)
{
    uint64_t x = 0;
    for (unsigned i = 0; i < 16; i++)
        x |= (uint64_t)c[i] << 4 * i;
    return x;
}

/* Cell i comes from from[i], or with back goes there. */
static uint64_t shuffle(uint64_t x, const uint8_t from[16], bool back)
{
    Cells in, out;
    split(x, in);
    for (unsigned i = 0; i < 16; i++)
        if (back)
            out[from[i]] = in[i];
        else
            out[i] = in[from[i]];
    return join(out);
}

static const uint8_t cell_from[16] = {13, 6, 11, 0, 7, 12, 1, 10, 8, 3, 14, 5, 2, 9, 4, 15};

static uint64_t substitute(uint64_t x, bool back)
{
    static const uint8_t box[16] = {11, 6, 8, 15, 12, 0, 9, 14, 3, 7, 4, 5, 13, 2, 1, 10};
    Cells c, inverse;
    split(x, c);
    for (unsigned i = 0; i < 16; i++)
        inverse[box[i]] = (uint8_t)i;
    for (unsigned i = 0; i < 16; i++)
        c[i] = back ? inverse[c[i]] : box[c[i]];
    return join(c);
}

static uint8_t turn(uint8_t cell, unsigned by) { return (uint8_t)((cell << by | cell >> (4 - by)) & 15); }

/* Columns times the circulant matrix of rotations (0, 1, 2, 1), its own inverse */
static uint64_t multiply(uint64_t x)
{
    static const uint8_t by[4] = {0, 1, 2, 1};
    Cells in, out;
    split(x, in);
    for (unsigned row = 0; row < 4; row++)
        for (unsigned column = 0; column < 4; column++) {
            uint8_t sum = 0;
            for (unsigned k = 0; k < 4; k++)
                if (k != row)
                    sum ^= turn(in[4 * k + column], by[(k - row) & 3]);
            out[4 * row + column] = sum;
        }
    return join(out);
}

static const uint8_t tweak_from[16] = {4, 5, 6, 7, 11, 2, 3, 8, 12, 13, 14, 15, 0, 1, 10, 9};
static const uint16_t tweak_turned = 1u << 2 | 1u << 4 | 1u << 7 | 1u << 11 | 1u << 12 | 1u << 14 | 1u << 15;

static uint64_t tweak_next(uint64_t x)
{
    Cells in, out;
    split(x, in);
    for (unsigned i = 0; i < 16; i++) {
        uint8_t c = in[tweak_from[i]];
        out[i] = tweak_turned >> i & 1 ? (uint8_t)(c >> 1 | ((c ^ c >> 1) & 1) << 3) : c;
    }
    return join(out);
}

uint64_t arm_qarma5(uint64_t data, uint64_t modifier, uint64_t key0, uint64_t key1)
{
    static const uint64_t constants[5] = {
        0, UINT64_C(0x13198a2e03707344), UINT64_C(0xa4093822299f31d0), UINT64_C(0x082efa98ec4e6c89),
        UINT64_C(0x452821e638d01377)};
    const uint64_t alpha = UINT64_C(0xc0ac29b7c97c50dd);
    uint64_t last = key0 << 63 | (key0 >> 1 ^ key0 >> 63), tweaks[6], v = data ^ key0;
    tweaks[0] = modifier;
    for (unsigned i = 0; i < 5; i++) {
        v ^= key1 ^ tweaks[i] ^ constants[i];
        if (i)
            v = multiply(shuffle(v, cell_from, false));
        v = substitute(v, false);
        tweaks[i + 1] = tweak_next(tweaks[i]);
    }
    v = substitute(multiply(shuffle(v ^ last ^ tweaks[5], cell_from, false)), false);
    v = key1 ^ multiply(shuffle(v, cell_from, false)); /* the reflector */
    v = substitute(shuffle(v, cell_from, true), true);
    v = shuffle(multiply(v), cell_from, true) ^ key0 ^ tweaks[5];
    for (unsigned i = 0; i < 5; i++) {
        v = substitute(v, true);
        if (i < 4)
            v = shuffle(multiply(v), cell_from, true);
        v ^= constants[4 - i] ^ key1 ^ tweaks[4 - i] ^ alpha;
    }
    return v ^ last;
}

/* (value, modifier, key) */
HELPER(qarma)
{
    const uint64_t *key = arm_of(cpu)->pac_keys[c];
    return arm_qarma5(a, b, key[1], key[0]);
}
