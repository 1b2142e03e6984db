/* SPDX-License-Identifier: MIT */
/*
 * For tests that lose what was not flushed: sectors that say where and when they were written, and
 * what each may hold. And what a check may say of an image after that.
 */
#pragma once

#include "base/bytes.h"
#include "block/block.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    uint64_t flushed, written, now; /* versions; 0: zeroes. Any after flushed up to written may be there */
    bool zero_since, wild;          /* zeroes were written since flushed; anything may be there */
} Sector;

static inline void stamp(uint8_t *p, uint64_t sector, uint64_t version)
{
    for (unsigned i = 0; i < 512; i += 16) {
        st_le64(p + i, sector);
        st_le64(p + i + 8, version);
    }
}

/* Before a write of that version begins; buf gets what is to be written. */
static inline void stamps_write(Sector *sectors, uint64_t first, uint64_t n, uint64_t version, uint8_t *buf)
{
    for (uint64_t s = 0; s < n; s++) {
        sectors[first + s].written = version;
        sectors[first + s].now = version;
        stamp(buf + s * 512, first + s, version);
    }
}

static inline void stamps_zero(Sector *sectors, uint64_t first, uint64_t n)
{
    for (uint64_t s = first; s < first + n; s++) {
        sectors[s].zero_since = true;
        sectors[s].now = 0;
    }
}

static inline void stamps_discard(Sector *sectors, uint64_t first, uint64_t n)
{
    for (uint64_t s = first; s < first + n; s++)
        sectors[s].wild = true;
}

/* The process may be killed in the middle: until all is there, anything may be. */
static inline void sector_set(Sector *x, Sector value)
{
    x->wild = true;
    atomic_signal_fence(memory_order_seq_cst);
    x->flushed = value.flushed;
    x->written = value.written;
    x->now = value.now;
    x->zero_since = value.zero_since;
    atomic_signal_fence(memory_order_seq_cst);
    x->wild = value.wild;
}

/* All is flushed. */
static inline void stamps_settle(Sector *sectors, uint64_t n)
{
    for (uint64_t s = 0; s < n; s++)
        if (!sectors[s].wild)
            sector_set(&sectors[s], (Sector){ .flushed = sectors[s].now, .written = sectors[s].now,
                                              .now = sectors[s].now });
}

/* What is there is what may be there; it is known from then on. */
static inline void stamps_check(BlockUser *user, Sector *sectors, uint64_t n)
{
    uint8_t *buf = g_malloc(n * 512);
    static const uint8_t zeroes[512];

    g_assert_cmpint(block_read(user, 0, buf, n * 512), ==, 0);
    for (uint64_t s = 0; s < n; s++) {
        const uint8_t *p = buf + s * 512;
        Sector *x = &sectors[s];
        uint64_t version = ld_le64(p + 8);
        bool zero = !memcmp(p, zeroes, 512);
        for (unsigned i = 0; i < 512 && !zero; i += 16)
            if (ld_le64(p + i) != s || ld_le64(p + i + 8) != version)
                g_error("sector %" G_GUINT64_FORMAT " holds no stamp of its own", s);
        bool good = x->wild || (zero ? !x->flushed || x->zero_since
                                     : version == x->flushed || (version > x->flushed && version <= x->written));
        if (!good)
            g_error("sector %" G_GUINT64_FORMAT " has version %" G_GUINT64_FORMAT ", not %" G_GUINT64_FORMAT "..%"
                    G_GUINT64_FORMAT, s, zero ? 0 : version, x->flushed, x->written);
        version = zero ? 0 : version;
        *x = (Sector){ .flushed = version, .written = version, .now = version };
    }
    g_free(buf);
}

/* Whether the check says of that cluster that it is counted, but used just once. */
static inline bool is_leaked(const char *out, uint64_t cluster)
{
    g_autofree char *words = g_strdup_printf("Leaked cluster %" G_GUINT64_FORMAT " refcount=", cluster);
    const char *found = strstr(out, words), *used = found ? strstr(found, "reference=") : NULL;

    return used && atoi(used + 10) == 1;
}

/*
 * Leaks are no damage. Nor is a COPIED flag that is missing: where the power goes between the count's
 * becoming 1 and the flag's being set, what is written there is copied once for nothing; qemu-img calls
 * it an error, and mends it. Nor one that is there while the count is too high. With lazy counts,
 * which are wrong until they are mended, all is.
 */
static inline void findings_are_harmless(const char *out, bool lazy, uint64_t cluster_size)
{
    for (const char *line = out; line && *line && !lazy; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
        const char *entry = g_str_has_prefix(line, "ERROR OFLAG_COPIED") ? strstr(line, "_entry=") : NULL;
        uint64_t value = entry ? g_ascii_strtoull(entry + 7, NULL, 16) : 0;
        bool missing = entry && !(value >> 63);
        if (g_str_has_prefix(line, "ERROR") && !missing &&
            !(entry && is_leaked(out, (value & UINT64_C(0x00fffffffffffe00)) / cluster_size)))
            g_error("%s", out);
    }
}
