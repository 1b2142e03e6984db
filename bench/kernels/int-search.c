/* SPDX-License-Identifier: MIT */
/* String search: Horspool's skip table and a plain search for the first letter. */
#include "bench.h"

#define TEXT 200000

static uint32_t horspool(const uint8_t *text, size_t len, const uint8_t *word, size_t m)
{
    size_t skip[256];
    uint32_t found = 0;
    for (int i = 0; i < 256; i++)
        skip[i] = m;
    for (size_t i = 0; i + 1 < m; i++)
        skip[word[i]] = m - 1 - i;
    for (size_t at = 0; at + m <= len; at += skip[text[at + m - 1]]) {
        size_t i = m;
        while (i && text[at + i - 1] == word[i - 1])
            i--;
        found += i == 0;
    }
    return found;
}

static uint32_t plain(const uint8_t *text, size_t len, const uint8_t *word, size_t m)
{
    uint32_t found = 0;
    for (size_t at = 0; at + m <= len; at++) {
        if (text[at] != word[0])
            continue;
        size_t i = 1;
        while (i < m && text[at + i] == word[i])
            i++;
        found += i == m;
    }
    return found;
}

KERNEL("int-search", 800)
{
    static uint8_t text[TEXT];
    uint64_t sum = 0, seed = 42;
    for (int i = 0; i < TEXT; i++)
        text[i] = (uint8_t)('a' + (next_random(&seed) >> 33) % 7);
    while (n-- > 0) {
        const uint8_t *word = text + (n * 7919) % (TEXT - 16);
        size_t m = 4 + (size_t)(n % 5);
        uint32_t a = horspool(text, TEXT, word, m), b = plain(text, TEXT, word, m);
        if (a != b)
            return 0;
        sum = mix(sum, a);
    }
    return sum;
}
