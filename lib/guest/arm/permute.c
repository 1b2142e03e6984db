/* SPDX-License-Identifier: MIT */
/*
 * Vector instructions that move bytes about, and those of AES and the SHA families (FIPS 197, FIPS
 * 180-4), which know no lanes of one kind.
 */
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

/* ---- AES ------------------------------------------------------------------------------ */

static uint8_t times(uint8_t x, uint8_t y) /* in GF(2^8) modulo x^8 + x^4 + x^3 + x + 1 */
{
    uint8_t r = 0;
    for (; y; y >>= 1) {
        if (y & 1)
            r ^= x;
        x = (uint8_t)(x << 1 ^ (x & 0x80 ? 0x1b : 0));
    }
    return r;
}

static uint8_t inverse(uint8_t x) /* x^254 */
{
    uint8_t r = 1;
    for (unsigned bit = 0x80; bit; bit >>= 1) {
        r = times(r, r);
        if (254 & bit)
            r = times(r, x);
    }
    return r;
}

static uint8_t rotl8(uint8_t x, unsigned n) { return (uint8_t)(x << n | x >> (8 - n)); }

static uint8_t sub_byte(uint8_t x)
{
    x = inverse(x);
    return x ^ rotl8(x, 1) ^ rotl8(x, 2) ^ rotl8(x, 3) ^ rotl8(x, 4) ^ 0x63;
}

static uint8_t inv_sub_byte(uint8_t x)
{
    return inverse((uint8_t)(rotl8(x, 1) ^ rotl8(x, 3) ^ rotl8(x, 6) ^ 0x05));
}

static void aes(ArmCpu *cpu, unsigned kind, unsigned n, unsigned d)
{
    static const uint8_t mix[2][4] = {{2, 3, 1, 1}, {14, 11, 13, 9}};
    uint8_t x[16], k[16], r[16];
    get_bytes(cpu, n, k);
    get_bytes(cpu, d, x);
    bool decrypt = kind == CRYPTO_AESD || kind == CRYPTO_AESIMC;
    for (unsigned i = 0; i < 16; i++) {
        unsigned row = i & 3, column = i >> 2;
        if (kind <= CRYPTO_AESD) { /* the key, rows shifted, bytes substituted */
            unsigned from = ((column + (decrypt ? 4 - row : row)) & 3) * 4 + row;
            uint8_t v = x[from] ^ k[from];
            r[i] = decrypt ? inv_sub_byte(v) : sub_byte(v);
        } else {
            r[i] = 0;
            for (unsigned j = 0; j < 4; j++)
                r[i] ^= times(k[column * 4 + ((row + j) & 3)], mix[decrypt][j]);
        }
    }
    put_bytes(cpu, d, r);
}

/* ---- SHA1, SHA256 ---------------------------------------------------------------------- */

static uint32_t rotl(uint32_t x, unsigned n) { return x << n | x >> (32 - n); }
static uint32_t choose(uint32_t x, uint32_t y, uint32_t z) { return ((y ^ z) & x) ^ z; }
static uint32_t majority(uint32_t x, uint32_t y, uint32_t z) { return (x & y) | ((x | y) & z); }

static void sha1_rounds(unsigned kind, uint32_t *d, uint32_t e, const uint32_t *w)
{
    for (unsigned i = 0; i < 4; i++) {
        uint32_t f = kind == CRYPTO_SHA1C ? choose(d[1], d[2], d[3])
                     : kind == CRYPTO_SHA1M ? majority(d[1], d[2], d[3]) : d[1] ^ d[2] ^ d[3];
        uint32_t t = rotl(d[0], 5) + f + e + w[i];
        e = d[3];
        d[3] = d[2];
        d[2] = rotl(d[1], 30);
        d[1] = d[0];
        d[0] = t;
    }
}

/* x is a b c d, y is e f g h */
static void sha256_rounds(uint32_t *x, uint32_t *y, const uint32_t *w)
{
    for (unsigned i = 0; i < 4; i++) {
        uint32_t s1 = rotl(y[0], 26) ^ rotl(y[0], 21) ^ rotl(y[0], 7);
        uint32_t s0 = rotl(x[0], 30) ^ rotl(x[0], 19) ^ rotl(x[0], 10);
        uint32_t t = y[3] + s1 + choose(y[0], y[1], y[2]) + w[i];
        uint32_t u = s0 + majority(x[0], x[1], x[2]);
        memmove(y + 1, y, 12);
        y[0] = x[3] + t;
        memmove(x + 1, x, 12);
        x[0] = t + u;
    }
}

static uint32_t sigma0(uint32_t x) { return rotl(x, 25) ^ rotl(x, 14) ^ x >> 3; }
static uint32_t sigma1(uint32_t x) { return rotl(x, 15) ^ rotl(x, 13) ^ x >> 10; }

static void sha(unsigned kind, uint32_t *d, uint32_t *n, uint32_t *m)
{
    uint32_t t[8];
    switch ((ArmCrypto)kind) {
    case CRYPTO_SHA1C: case CRYPTO_SHA1P: case CRYPTO_SHA1M: sha1_rounds(kind, d, n[0], m); break;
    case CRYPTO_SHA1SU0:
        memcpy(t, d + 2, 8);
        memcpy(t + 2, n, 8);
        for (unsigned i = 0; i < 4; i++)
            d[i] ^= t[i] ^ m[i];
        break;
    case CRYPTO_SHA256H: sha256_rounds(d, n, m); break;
    case CRYPTO_SHA256H2:
        sha256_rounds(n, d, m);
        break;
    case CRYPTO_SHA256SU1:
        memcpy(t, n + 1, 12);
        t[3] = m[0];
        for (unsigned i = 0; i < 2; i++)
            t[4 + i] = d[i] + t[i] + sigma1(m[2 + i]);
        for (unsigned i = 2; i < 4; i++)
            t[4 + i] = d[i] + t[i] + sigma1(t[2 + i]);
        memcpy(d, t + 4, 16);
        break;
    case CRYPTO_SHA1H:
        d[0] = rotl(n[0], 30);
        d[1] = d[2] = d[3] = 0;
        break;
    case CRYPTO_SHA1SU1:
        for (unsigned i = 0; i < 3; i++)
            t[i] = rotl(d[i] ^ n[i + 1], 1);
        t[3] = rotl(d[3], 1) ^ rotl(t[0], 1);
        memcpy(d, t, 16);
        break;
    case CRYPTO_SHA256SU0:
        memcpy(t, d, 16);
        t[4] = n[0];
        for (unsigned i = 0; i < 4; i++)
            d[i] = t[i] + sigma0(t[i + 1]);
        break;
    default: break;
    }
}

/* The 128-bit product of two doublewords. */
static void pmull64(ArmCpu *cpu, unsigned d, uint64_t x, uint64_t y)
{
    uint64_t low = 0, high = 0;
    for (unsigned i = 0; i < 64; i++)
        if (y >> i & 1) {
            low ^= x << i;
            high ^= i ? x >> (64 - i) : 0;
        }
    cpu->v[d][0] = low;
    cpu->v[d][1] = high;
}

HELPER(crypto)
{
    ArmCpu *arm = cpu;
    uint32_t w = (uint32_t)b, x[4], y[4], z[4];
    unsigned rd = w & 31, n = w >> 5 & 31, m = w >> 16 & 31, q = w >> 30 & 1;
    if (a == CRYPTO_PMULL64) {
        pmull64(arm, rd, arm->v[n][q], arm->v[m][q]);
    } else if (a <= CRYPTO_AESIMC) {
        aes(arm, (unsigned)a, n, rd);
    } else {
        memcpy(x, arm->v[rd], 16);
        memcpy(y, arm->v[n], 16);
        memcpy(z, arm->v[m], 16);
        sha((unsigned)a, x, y, z);
        memcpy(arm->v[rd], x, 16);
    }
    return 0;
}
