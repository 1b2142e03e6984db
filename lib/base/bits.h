/* SPDX-License-Identifier: MIT */
/* Bit fields by position and length, sign extension, alignment. All are pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define BIT32(n) (UINT32_C(1) << (n))
#define BIT64(n) (UINT64_C(1) << (n))

/* The low `len` bits set; len 0..64. */
static inline uint64_t bits_mask(unsigned len)
{
    return len >= 64 ? UINT64_MAX : BIT64(len) - 1;
}

/* `len` bits of v from bit `pos` up. */
static inline uint64_t bits_get(uint64_t v, unsigned pos, unsigned len)
{
    return (v >> pos) & bits_mask(len);
}

/* v with `len` bits from `pos` up replaced by the low bits of field. */
static inline uint64_t bits_set(uint64_t v, unsigned pos, unsigned len, uint64_t field)
{
    uint64_t m = bits_mask(len) << pos;
    return (v & ~m) | ((field << pos) & m);
}

/* v taken as a `len`-bit two's complement number, len 1..64. */
static inline int64_t bits_sext(uint64_t v, unsigned len)
{
    return (int64_t)(v << (64 - len)) >> (64 - len);
}

/* align is a power of two. */
static inline uint64_t align_down(uint64_t v, uint64_t align)
{
    return v & ~(align - 1);
}

static inline uint64_t align_up(uint64_t v, uint64_t align)
{
    return (v + align - 1) & ~(align - 1);
}

static inline bool is_aligned(uint64_t v, uint64_t align)
{
    return (v & (align - 1)) == 0;
}
