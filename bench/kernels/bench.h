/* SPDX-License-Identifier: MIT */
/*
 * What every benchmark kernel shares: main() reads the repeat count (argv[1], else the kernel's own
 * default, chosen for 0.5 to 1 s of native time), runs the kernel and prints one line:
 *     NAME CHECKSUM USER-SECONDS
 * The checksum depends on the repeat count alone: it is the same on every machine. Kernels do not
 * touch libm but for sqrt and fma, so that floating-point results agree to the last bit.
 */
#pragma once
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static inline uint64_t mix(uint64_t sum, uint64_t value)
{
    sum = (sum ^ value) * UINT64_C(0x9e3779b97f4a7c15);
    return sum ^ (sum >> 29);
}

static inline uint64_t mix_f64(uint64_t sum, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return mix(sum, bits);
}

static inline uint64_t next_random(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return *state = x;
}

#define KERNEL(name, repeats)                                                     \
    static uint64_t kernel(long n);                                               \
    int main(int argc, char **argv)                                               \
    {                                                                             \
        struct rusage u;                                                          \
        uint64_t sum = kernel(argc > 1 ? strtol(argv[1], NULL, 0) : (repeats));   \
        getrusage(RUSAGE_SELF, &u);                                               \
        printf("%s %016" PRIx64 " %ld.%03ld\n", name, sum, (long)u.ru_utime.tv_sec, \
               (long)u.ru_utime.tv_usec / 1000);                                  \
        return 0;                                                                 \
    }                                                                             \
    static uint64_t kernel(long n)
