/* SPDX-License-Identifier: MIT */
/* A hash of the SHA-256 shape: 32-bit rotates, adds and a message schedule (own constants). */
#include "bench.h"

static inline uint32_t ror(uint32_t x, unsigned by)
{
    return x >> by | x << (32 - by);
}

static void block(uint32_t h[8], const uint32_t k[64], const uint32_t in[16])
{
    uint32_t w[64], v[8];
    memcpy(w, in, 16 * sizeof *w);
    for (int i = 16; i < 64; i++) {
        uint32_t s0 = ror(w[i - 15], 7) ^ ror(w[i - 15], 18) ^ w[i - 15] >> 3;
        uint32_t s1 = ror(w[i - 2], 17) ^ ror(w[i - 2], 19) ^ w[i - 2] >> 10;
        w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
    memcpy(v, h, sizeof v);
    for (int i = 0; i < 64; i++) {
        uint32_t s1 = ror(v[4], 6) ^ ror(v[4], 11) ^ ror(v[4], 25);
        uint32_t t1 = v[7] + s1 + ((v[4] & v[5]) ^ (~v[4] & v[6])) + k[i] + w[i];
        uint32_t s0 = ror(v[0], 2) ^ ror(v[0], 13) ^ ror(v[0], 22);
        uint32_t t2 = s0 + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
        v[7] = v[6], v[6] = v[5], v[5] = v[4], v[4] = v[3] + t1;
        v[3] = v[2], v[2] = v[1], v[1] = v[0], v[0] = t1 + t2;
    }
    for (int i = 0; i < 8; i++)
        h[i] += v[i];
}

KERNEL("int-hash", 1700000)
{
    uint32_t h[8], k[64], in[16];
    uint64_t seed = 521288629;
    for (int i = 0; i < 64; i++)
        k[i] = (uint32_t)next_random(&seed);
    for (int i = 0; i < 8; i++)
        h[i] = (uint32_t)next_random(&seed);
    for (int i = 0; i < 16; i++)
        in[i] = (uint32_t)next_random(&seed);
    while (n-- > 0) {
        block(h, k, in);
        in[n & 15] ^= h[n & 7];
    }
    uint64_t sum = 0;
    for (int i = 0; i < 8; i++)
        sum = mix(sum, h[i]);
    return sum;
}
