/* SPDX-License-Identifier: MIT */
/* Text: how many of some characters there are, and capitals made of small letters. */
#include "bench.h"

#define N 16384

KERNEL("vec-scan", 100000)
{
    static uint8_t text[N];
    uint64_t sum = 0, seed = 77;
    for (int i = 0; i < N; i++)
        text[i] = (uint8_t)(32 + next_random(&seed) % 95);
    while (n-- > 0) {
        uint32_t lines = 0;
        uint8_t flip = n & 1 ? 'a' : 'A';
        for (int i = 0; i < N; i++) {
            lines += text[i] == ' ' || text[i] == '~';
            text[i] ^= (uint8_t)(text[i] - flip) < 26 ? 32 : 0;
        }
        sum = mix(sum, lines + text[(n * 3) % N]);
    }
    return sum;
}
