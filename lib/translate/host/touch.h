/* SPDX-License-Identifier: MIT */
/*
 * Accesses of C to guest memory that lies at host addresses (user mode). The
 * guest may have handed in any address, and what is mapped there may go away at
 * any moment, so each of these is a few instructions at a known place: when the
 * host faults there, translate_host_fault makes the access return with `fault`
 * set instead. They touch no stack and need no set-up, whatever locks are held.
 *
 * On hosts without touch.S they are plain accesses, and faults stay the host's.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct Touch {
    uint64_t value;
    uint64_t fault; /* not 0: the host faulted, nothing was changed (but by touch_copy and touch_move) */
} Touch;

#ifdef __x86_64__

Touch touch_load8(uint64_t address);
Touch touch_load16(uint64_t address);
Touch touch_load32(uint64_t address);
Touch touch_load64(uint64_t address);
Touch touch_store8(uint64_t address, uint64_t v);
Touch touch_store16(uint64_t address, uint64_t v);
Touch touch_store32(uint64_t address, uint64_t v);
Touch touch_store64(uint64_t address, uint64_t v);
/* value: what was there; stored if that is `expected` */
Touch touch_cas8(uint64_t address, uint64_t expected, uint64_t v);
Touch touch_cas16(uint64_t address, uint64_t expected, uint64_t v);
Touch touch_cas32(uint64_t address, uint64_t expected, uint64_t v);
Touch touch_cas64(uint64_t address, uint64_t expected, uint64_t v);
/* 16 bytes, aligned; expected becomes what was there */
Touch touch_cas128(uint64_t address, uint64_t expected[2], const uint64_t v[2]);
/* from the guest */
Touch touch_copy(void *to, uint64_t from, size_t n);
/* either of them the guest's; n: a multiple of 16, not 0 */
Touch touch_move(void *to, const void *from, size_t n);

/* The instruction to go on at after a fault at host address pc, or 0: pc is in none of them. */
uint64_t touch_fixup(uint64_t pc);

#else

#define TOUCH(bits) \
    static inline Touch touch_load##bits(uint64_t address) \
    { \
        uint##bits##_t v; \
        memcpy(&v, (const void *)(uintptr_t)address, sizeof v); \
        return (Touch){v, 0}; \
    } \
    static inline Touch touch_store##bits(uint64_t address, uint64_t v) \
    { \
        uint##bits##_t w = (uint##bits##_t)v; \
        memcpy((void *)(uintptr_t)address, &w, sizeof w); \
        return (Touch){0, 0}; \
    } \
    static inline Touch touch_cas##bits(uint64_t address, uint64_t expected, uint64_t v) \
    { \
        uint##bits##_t e = (uint##bits##_t)expected; \
        __atomic_compare_exchange_n((uint##bits##_t *)(uintptr_t)address, &e, (uint##bits##_t)v, \
                                    false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
        return (Touch){e, 0}; \
    }
TOUCH(8)
TOUCH(16)
TOUCH(32)
TOUCH(64)
#undef TOUCH

static inline Touch touch_cas128(uint64_t address, uint64_t expected[2], const uint64_t v[2])
{
    unsigned __int128 e, d;
    memcpy(&e, expected, 16);
    memcpy(&d, v, 16);
    e = __sync_val_compare_and_swap((unsigned __int128 *)(uintptr_t)address, e, d);
    memcpy(expected, &e, 16);
    return (Touch){0, 0};
}

static inline Touch touch_copy(void *to, uint64_t from, size_t n)
{
    memcpy(to, (const void *)(uintptr_t)from, n);
    return (Touch){0, 0};
}

static inline Touch touch_move(void *to, const void *from, size_t n)
{
    memcpy(to, from, n);
    return (Touch){0, 0};
}

static inline uint64_t touch_fixup(uint64_t pc) { return 0; }

#endif
