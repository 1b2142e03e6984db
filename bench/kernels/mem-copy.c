/* SPDX-License-Identifier: MIT */
/* libc's memcpy, memset and memcmp over sizes from 16 bytes to 64 KiB. */
#include "bench.h"

KERNEL("mem-copy", 60000)
{
    static uint8_t a[65536 + 64], b[65536 + 64];
    uint64_t sum = 0, seed = 5;
    for (size_t i = 0; i < sizeof a; i++)
        a[i] = (uint8_t)next_random(&seed);
    while (n-- > 0) {
        for (size_t size = 16; size <= 65536; size *= 4) {
            size_t times = size < 4096 ? 64 : 1, from = (size_t)(n & 7) * 8;
            for (size_t i = 0; i < times; i++) {
                memcpy(b + i % 8, a + from, size);
                sum += b[(size_t)n % size];
            }
            sum += (uint64_t)(memcmp(b + (times - 1) % 8, a + from, size) == 0);
        }
        memset(b, (int)n, 4096);
        a[n & 0xffff] ^= (uint8_t)sum;
    }
    return mix(0, sum);
}
