/* SPDX-License-Identifier: MIT */
/* SHA512 (FIPS 180-4), SM3 and SM4 (GB/T 32905 and 32907), as their instructions cut them up. */
#include "guest/arm/ext_priv.h"

static uint64_t ror64(uint64_t x, unsigned n) { return x >> n | x << (64 - n); }
static uint32_t rol(uint32_t x, unsigned n) { return x << n | x >> (32 - n); }

/* ---- SHA512: w is d, x is n, y is m; [1] is the upper half ------------------------------------ */

static uint64_t big_sigma1(uint64_t x) { return ror64(x, 14) ^ ror64(x, 18) ^ ror64(x, 41); }
static uint64_t big_sigma0(uint64_t x) { return ror64(x, 28) ^ ror64(x, 34) ^ ror64(x, 39); }
static uint64_t sigma1(uint64_t x) { return ror64(x, 19) ^ ror64(x, 61) ^ x >> 6; }
static uint64_t sigma0(uint64_t x) { return ror64(x, 1) ^ ror64(x, 8) ^ x >> 7; }
static uint64_t choose(uint64_t x, uint64_t y, uint64_t z) { return (x & y) ^ (~x & z); }
static uint64_t majority(uint64_t x, uint64_t y, uint64_t z) { return (x & y) ^ (x & z) ^ (y & z); }

static void sha512(ArmCrypto3 kind, uint64_t w[2], const uint64_t x[2], const uint64_t y[2])
{
    uint64_t high = w[1], low = w[0], t;
    switch (kind) {
    case CRYPTO_SHA512H:
        high += choose(y[1], x[0], x[1]) + big_sigma1(y[1]);
        t = high + y[0];
        low += choose(t, y[1], x[0]) + big_sigma1(t);
        break;
    case CRYPTO_SHA512H2:
        high += majority(x[0], y[1], y[0]) + big_sigma0(y[0]);
        low += majority(high, y[0], y[1]) + big_sigma0(high);
        break;
    case CRYPTO_SHA512SU0:
        low += sigma0(w[1]);
        high += sigma0(x[0]);
        break;
    default: /* SHA512SU1 */
        high += sigma1(x[1]) + y[1];
        low += sigma1(x[0]) + y[0];
        break;
    }
    w[0] = low;
    w[1] = high;
}

/* ---- SM3 ---------------------------------------------------------------------------------------- */

static uint32_t p1(uint32_t x) { return x ^ rol(x, 15) ^ rol(x, 23); }

static void sm3_part1(uint32_t *d, const uint32_t *n, const uint32_t *m)
{
    uint32_t r[4];
    for (unsigned i = 0; i < 4; i++)
        r[i] = p1(d[i] ^ n[i] ^ rol(i < 3 ? m[i + 1] : r[0], 15));
    memcpy(d, r, sizeof r);
}

static void sm3_part2(uint32_t *d, const uint32_t *n, const uint32_t *m)
{
    uint32_t first = n[0] ^ rol(m[0], 7);
    for (unsigned i = 0; i < 4; i++)
        d[i] ^= n[i] ^ rol(m[i], 7);
    d[3] ^= p1(rol(first, 15));
}

static void sm3_round(ArmCrypto3 kind, uint32_t *d, const uint32_t *n, uint32_t w)
{
    bool first = kind == CRYPTO_SM3TT1A || kind == CRYPTO_SM3TT1B;
    uint32_t t = kind == CRYPTO_SM3TT1B   ? (d[3] & d[1]) | (d[3] & d[2]) | (d[1] & d[2])
                 : kind == CRYPTO_SM3TT2B ? (d[3] & d[2]) | (~d[3] & d[1]) : d[1] ^ d[3] ^ d[2];
    t += d[0] + w + (first ? n[3] ^ rol(d[3], 12) : n[3]);
    d[0] = d[1];
    d[1] = rol(d[2], first ? 9 : 19);
    d[2] = d[3];
    d[3] = first ? t : t ^ rol(t, 9) ^ rol(t, 17);
}

/* ---- SM4 ------------------------------------------------------------------------------------------ */

static uint32_t sm4_substitute(uint32_t x)
{
    static const uint8_t box[256] = {
        0xd6, 0x90, 0xe9, 0xfe, 0xcc, 0xe1, 0x3d, 0xb7, 0x16, 0xb6, 0x14, 0xc2, 0x28, 0xfb, 0x2c, 0x05,
        0x2b, 0x67, 0x9a, 0x76, 0x2a, 0xbe, 0x04, 0xc3, 0xaa, 0x44, 0x13, 0x26, 0x49, 0x86, 0x06, 0x99,
        0x9c, 0x42, 0x50, 0xf4, 0x91, 0xef, 0x98, 0x7a, 0x33, 0x54, 0x0b, 0x43, 0xed, 0xcf, 0xac, 0x62,
        0xe4, 0xb3, 0x1c, 0xa9, 0xc9, 0x08, 0xe8, 0x95, 0x80, 0xdf, 0x94, 0xfa, 0x75, 0x8f, 0x3f, 0xa6,
        0x47, 0x07, 0xa7, 0xfc, 0xf3, 0x73, 0x17, 0xba, 0x83, 0x59, 0x3c, 0x19, 0xe6, 0x85, 0x4f, 0xa8,
        0x68, 0x6b, 0x81, 0xb2, 0x71, 0x64, 0xda, 0x8b, 0xf8, 0xeb, 0x0f, 0x4b, 0x70, 0x56, 0x9d, 0x35,
        0x1e, 0x24, 0x0e, 0x5e, 0x63, 0x58, 0xd1, 0xa2, 0x25, 0x22, 0x7c, 0x3b, 0x01, 0x21, 0x78, 0x87,
        0xd4, 0x00, 0x46, 0x57, 0x9f, 0xd3, 0x27, 0x52, 0x4c, 0x36, 0x02, 0xe7, 0xa0, 0xc4, 0xc8, 0x9e,
        0xea, 0xbf, 0x8a, 0xd2, 0x40, 0xc7, 0x38, 0xb5, 0xa3, 0xf7, 0xf2, 0xce, 0xf9, 0x61, 0x15, 0xa1,
        0xe0, 0xae, 0x5d, 0xa4, 0x9b, 0x34, 0x1a, 0x55, 0xad, 0x93, 0x32, 0x30, 0xf5, 0x8c, 0xb1, 0xe3,
        0x1d, 0xf6, 0xe2, 0x2e, 0x82, 0x66, 0xca, 0x60, 0xc0, 0x29, 0x23, 0xab, 0x0d, 0x53, 0x4e, 0x6f,
        0xd5, 0xdb, 0x37, 0x45, 0xde, 0xfd, 0x8e, 0x2f, 0x03, 0xff, 0x6a, 0x72, 0x6d, 0x6c, 0x5b, 0x51,
        0x8d, 0x1b, 0xaf, 0x92, 0xbb, 0xdd, 0xbc, 0x7f, 0x11, 0xd9, 0x5c, 0x41, 0x1f, 0x10, 0x5a, 0xd8,
        0x0a, 0xc1, 0x31, 0x88, 0xa5, 0xcd, 0x7b, 0xbd, 0x2d, 0x74, 0xd0, 0x12, 0xb8, 0xe5, 0xb4, 0xb0,
        0x89, 0x69, 0x97, 0x4a, 0x0c, 0x96, 0x77, 0x7e, 0x65, 0xb9, 0xf1, 0x09, 0xc5, 0x6e, 0xc6, 0x84,
        0x18, 0xf0, 0x7d, 0xec, 0x3a, 0xdc, 0x4d, 0x20, 0x79, 0xee, 0x5f, 0x3e, 0xd7, 0xcb, 0x39, 0x48,
    };
    uint32_t r = 0;
    for (unsigned i = 0; i < 32; i += 8)
        r |= (uint32_t)box[x >> i & 255] << i;
    return r;
}

/* Four rounds, of the key's schedule or of a block. */
static void sm4(bool key, uint32_t *r, const uint32_t *by)
{
    for (unsigned i = 0; i < 4; i++) {
        uint32_t t = sm4_substitute(r[1] ^ r[2] ^ r[3] ^ by[i]);
        t ^= key ? rol(t, 13) ^ rol(t, 23) : rol(t, 2) ^ rol(t, 10) ^ rol(t, 18) ^ rol(t, 24);
        t ^= r[0];
        memmove(r, r + 1, 12);
        r[3] = t;
    }
}

HELPER(crypto3)
{
    ArmCpu *arm = cpu;
    ArmCrypto3 kind = (ArmCrypto3)a;
    unsigned rd = b & 31, rn = b >> 5 & 31, rm = b >> 16 & 31;
    uint32_t w[4], n[4], m[4], e[4];
    if (kind <= CRYPTO_SHA512SU0) {
        uint64_t h[2] = {arm->v[rd][0], arm->v[rd][1]};
        sha512(kind, h, arm->v[rn], arm->v[rm]);
        memcpy(arm->v[rd], h, sizeof h);
        return 0;
    }
    memcpy(w, arm->v[rd], 16);
    memcpy(n, arm->v[rn], 16);
    memcpy(m, arm->v[rm], 16);
    memcpy(e, arm->v[b >> 10 & 31], 16);
    switch (kind) {
    case CRYPTO_SM3PARTW1: sm3_part1(w, n, m); break;
    case CRYPTO_SM3PARTW2: sm3_part2(w, n, m); break;
    case CRYPTO_SM3SS1:
        memset(w, 0, sizeof w);
        w[3] = rol(rol(n[3], 12) + m[3] + e[3], 7);
        break;
    case CRYPTO_SM4EKEY:
        memcpy(w, n, sizeof w);
        sm4(true, w, m);
        break;
    case CRYPTO_SM4E: sm4(false, w, n); break;
    default: sm3_round(kind, w, n, m[b >> 12 & 3]); break;
    }
    memcpy(arm->v[rd], w, sizeof w);
    return 0;
}
