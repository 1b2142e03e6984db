/* SPDX-License-Identifier: MIT */
/* Shell sort and heap sort of 32-bit integers: compares and branches that do not predict. */
#include "bench.h"

#define COUNT 40000

static void shell_sort(uint32_t *v, int count)
{
    for (int gap = count / 2; gap > 0; gap = gap == 2 ? 1 : (int)(gap * 5L / 11)) {
        for (int i = gap; i < count; i++) {
            uint32_t x = v[i];
            int j = i;
            for (; j >= gap && v[j - gap] > x; j -= gap)
                v[j] = v[j - gap];
            v[j] = x;
        }
    }
}

static void sift(uint32_t *v, int at, int count)
{
    uint32_t x = v[at];
    for (int child; (child = 2 * at + 1) < count; at = child) {
        child += child + 1 < count && v[child + 1] > v[child];
        if (v[child] <= x)
            break;
        v[at] = v[child];
    }
    v[at] = x;
}

static void heap_sort(uint32_t *v, int count)
{
    for (int i = count / 2; i-- > 0;)
        sift(v, i, count);
    for (int i = count; i-- > 1;) {
        uint32_t x = v[0];
        v[0] = v[i];
        v[i] = x;
        sift(v, 0, i);
    }
}

KERNEL("int-sort", 60)
{
    static uint32_t a[COUNT], b[COUNT];
    uint64_t sum = 0, seed = 1234567;
    while (n-- > 0) {
        for (int i = 0; i < COUNT; i++)
            a[i] = b[i] = (uint32_t)(next_random(&seed) >> 20);
        shell_sort(a, COUNT);
        heap_sort(b, COUNT);
        if (memcmp(a, b, sizeof a))
            return 0;
        for (int i = 0; i < COUNT; i += 97)
            sum = mix(sum, a[i]);
    }
    return sum;
}
