/* SPDX-License-Identifier: MIT */
/* CRC-32 with one table of 256 entries: a chain of dependent loads and shifts. */
#include "bench.h"

KERNEL("int-crc32", 3200)
{
    static uint32_t table[256];
    static uint8_t data[65536];
    uint64_t seed = 362436069;
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int bit = 0; bit < 8; bit++)
            c = c & 1 ? c >> 1 ^ 0xedb88320 : c >> 1;
        table[i] = c;
    }
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)next_random(&seed);
    uint32_t crc = 0xffffffff;
    while (n-- > 0) {
        for (size_t i = 0; i < sizeof data; i++)
            crc = table[(crc ^ data[i]) & 0xff] ^ crc >> 8;
    }
    return ~crc;
}
