/* SPDX-License-Identifier: MIT */
/* libc's qsort with a comparison called back through a pointer. */
#include "bench.h"

#define COUNT 50000

static int compare(const void *a, const void *b)
{
    int64_t x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

KERNEL("call-qsort", 90)
{
    static int64_t v[COUNT];
    uint64_t sum = 0, seed = 99991;
    while (n-- > 0) {
        for (int i = 0; i < COUNT; i++)
            v[i] = (int64_t)next_random(&seed);
        qsort(v, COUNT, sizeof *v, compare);
        for (int i = 0; i < COUNT; i += 101)
            sum = mix(sum, (uint64_t)v[i]);
    }
    return sum;
}
