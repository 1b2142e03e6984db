/* SPDX-License-Identifier: MIT */
/*
 * SVE loads and stores. What is loaded is collected before a register changes; before anything is stored,
 * each page is tried that active lanes are in. Lanes that are not active are not accessed, except that user
 * mode, where memory has no side effects, may read between active ones on one page.
 */
#include "guest/arm/sve_priv.h"

#define PAGE UINT64_C(4096)

static IrMem size_of(const ArmSve *s)
{
    return IR_MEM_SIZE(s->msz & 7u) | (s->msz & 8 ? IR_MEM_SIGNED : 0);
}

/* The lanes that are active; none: first > last. */
typedef struct Range {
    unsigned first, last;
    bool all; /* of them between */
} Range;

static Range range_of(const ArmSve *s, const uint64_t *g)
{
    Range r = {1, 0, false};
    if (s->vl == 4 && g[0] == sve_every(s->esz)) /* the usual case of the usual length */
        return (Range){0, sve_lanes(s) - 1, true};
    unsigned n = 0, top = 0, bottom = 0;
    for (unsigned w = 0; w < sve_p_words(s); w++) {
        if (!g[w])
            continue;
        if (!n)
            bottom = 64 * w + (unsigned)__builtin_ctzll(g[w]);
        top = 64 * w + 63 - (unsigned)__builtin_clzll(g[w]);
        n += (unsigned)__builtin_popcountll(g[w]);
    }
    if (n)
        r = (Range){bottom >> s->esz, top >> s->esz, n == (top >> s->esz) - (bottom >> s->esz) + 1};
    return r;
}

/* Without its top byte, where that may be a tag. */
static uint64_t untagged(const ArmCpu *cpu, uint64_t address)
{
    return cpu->tagged ? address & bits_mask(56) : address;
}

/* Tags of memory (FEAT_MTE), of an address before its top byte is cut off; false: a fault is pending. Of
   lanes that must not fault they are not looked at. */
static bool tags_fit(ArmCpu *cpu, const ArmSve *s, uint64_t address, uint64_t bytes, bool write)
{
    if (!(cpu->base.mode & MODE_TAG_CHECKS) || s->flags & SVE_UNCHECKED)
        return true;
    arm_helper_tag_check(cpu, address, bytes | (write ? 1u << 16 : 0), 0, 0);
    return !cpu->base.fault_pending;
}

static bool one_page(uint64_t address, uint64_t bytes) { return (address & (PAGE - 1)) + bytes <= PAGE; }

/* The same of all units that will be accessed. */
static bool unit_tags_fit(ArmCpu *cpu, const ArmSve *s, const uint64_t *g, uint64_t address, unsigned unit, bool write)
{
    if (!(cpu->base.mode & MODE_TAG_CHECKS))
        return true;
    for (unsigned i = 0; i < sve_lanes(s); i++)
        if (sve_active(g, s->esz, i) && !tags_fit(cpu, s, address + i * unit, unit, write))
            return false;
    return true;
}

/* Units of `unit` bytes from address on, of active lanes, into buffer at their places. */
static bool load_units(ArmCpu *cpu, const ArmSve *s, const uint64_t *g, uint64_t address, unsigned unit, uint8_t *buffer)
{
    Range r = range_of(s, g);
    if (r.first > r.last)
        return true;
    uint64_t at = address + r.first * unit, bytes = (uint64_t)(r.last - r.first + 1) * unit;
    if (r.all || one_page(at, bytes))
        return translate_copy_in(&cpu->base, buffer + r.first * unit, at, bytes);
    for (unsigned i = r.first; i <= r.last; i++)
        if (sve_active(g, s->esz, i) && !translate_copy_in(&cpu->base, buffer + i * unit, address + i * unit, unit))
            return false;
    return true;
}

/* A fault comes before anything is written: pages after the first one are tried. */
static bool store_range(ArmCpu *cpu, uint64_t address, const void *from, uint64_t bytes)
{
    for (uint64_t page = (address | (PAGE - 1)) + 1; !one_page(address, bytes) && page - address < bytes; page += PAGE)
        if (!translate_probe_store(&cpu->base, address) || !translate_probe_store(&cpu->base, page))
            return false;
    return translate_copy_out(&cpu->base, address, from, bytes);
}

static void store_units(ArmCpu *cpu, const ArmSve *s, const uint64_t *g, uint64_t address, unsigned unit,
                        const uint8_t *buffer)
{
    Range r = range_of(s, g);
    if (r.first > r.last)
        return;
    if (r.all) {
        store_range(cpu, address + r.first * unit, buffer + r.first * unit, (uint64_t)(r.last - r.first + 1) * unit);
        return;
    }
    uint64_t tried = 1;
    for (unsigned i = r.first; i <= r.last; i++) {
        uint64_t at = address + i * unit, end = at + unit - 1;
        if (!sve_active(g, s->esz, i))
            continue;
        if ((at & -PAGE) != tried && !translate_probe_store(&cpu->base, at))
            return;
        if ((end & -PAGE) != (at & -PAGE) && !translate_probe_store(&cpu->base, end & -PAGE))
            return;
        tried = end & -PAGE;
    }
    for (unsigned i = r.first; i <= r.last; i++)
        if (sve_active(g, s->esz, i) && !translate_copy_out(&cpu->base, address + i * unit, buffer + i * unit, unit))
            return;
}

/* Lane i of register k out of memory's order, extended. */
static uint64_t unit_value(const ArmSve *s, const uint8_t *buffer, unsigned index)
{
    unsigned msz = s->msz & 7;
    uint64_t v = sve_get(buffer, msz, index);
    return s->msz & 8 ? (uint64_t)bits_sext(v, 8u << msz) : v;
}

/* One lane after the other, which may fault: what it was is in *value then. */
static void first_fault(ArmCpu *cpu, const ArmSve *s, const uint64_t *g, unsigned from, uint64_t *r,
                        uint64_t (*address)(ArmCpu *, const ArmSve *, unsigned, uint64_t), uint64_t x)
{
    bool first = s->flags & SVE_FIRST_FAULT;
    memset(r, 0, SVE_MAX_BYTES);
    for (unsigned i = from; i < sve_lanes(s); i++) {
        uint64_t v;
        if (!sve_active(g, s->esz, i))
            continue;
        if (first) {
            if (!translate_load(&cpu->base, address(cpu, s, i, x), size_of(s), &v))
                return;
            first = false;
        } else if (!translate_try_load(&cpu->base, address(cpu, s, i, x), size_of(s), &v)) {
            for (unsigned at = i << s->esz, w = 0; w < 4; w++)
                sve_p(cpu, ARM_FFR)[w] &= at >= 64 * (w + 1) ? UINT64_MAX : at <= 64 * w ? 0 : bits_mask(at & 63);
            break;
        }
        sve_set(r, s->esz, i, v);
    }
    memcpy(sve_z(cpu, s->rd), r, sve_bytes(s));
}

static uint64_t linear(ArmCpu *cpu, const ArmSve *s, unsigned i, uint64_t x)
{
    return untagged(cpu, x + ((uint64_t)i << (s->msz & 7)));
}

/* x: the address. op: registers, 1 to 4 */
uint64_t sve_ld(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    _Alignas(8) uint8_t buffer[4 * SVE_MAX_BYTES];
    uint64_t g[4], r[ARM_Z_WORDS];
    unsigned msz = s->msz & 7, lanes = sve_lanes(s), bytes = sve_bytes(s);
    bool some = sve_governing(cpu, s, g);
    if (s->flags & (SVE_FIRST_FAULT | SVE_NO_FAULT)) {
        first_fault(cpu, s, g, 0, r, linear, x);
        return 0;
    }
    if (some)
        memset(buffer, 0, (size_t)s->op * bytes);
    if (!unit_tags_fit(cpu, s, g, x, s->op << msz, false) || !load_units(cpu, s, g, untagged(cpu, x), s->op << msz, buffer))
        return 0;
    if (s->op == 1) {
        sve_widen(s->msz, s->esz, r, buffer, bytes);
        if (some)
            sve_masked(s, g, sve_z(cpu, s->rd), r, 0);
        else
            memcpy(sve_z(cpu, s->rd), r, bytes);
        return 0;
    }
    for (unsigned k = 0; k < s->op; k++) {
        memset(r, 0, bytes);
        for (unsigned i = 0; i < lanes; i++)
            if (sve_active(g, s->esz, i))
                sve_set(r, s->esz, i, unit_value(s, buffer, i * s->op + k));
        memcpy(sve_z(cpu, s->rd + k), r, bytes);
    }
    return 0;
}

uint64_t sve_st(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint8_t buffer[4 * SVE_MAX_BYTES];
    uint64_t g[4];
    const uint8_t *from = buffer;
    sve_governing(cpu, s, g);
    if (s->op == 1 && s->msz == s->esz)
        from = sve_z(cpu, s->rd);
    for (unsigned k = 0; from == buffer && k < s->op; k++)
        for (unsigned i = 0; i < sve_lanes(s); i++)
            sve_set(buffer, s->msz, i * s->op + k, sve_get(sve_z(cpu, s->rd + k), s->esz, i));
    if (unit_tags_fit(cpu, s, g, x, s->op << s->msz, true))
        store_units(cpu, s, g, untagged(cpu, x), s->op << s->msz, from);
    return 0;
}

uint64_t sve_ldr(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint64_t r[ARM_Z_WORDS];
    if (tags_fit(cpu, s, x, sve_bytes(s), false) && translate_copy_in(&cpu->base, r, untagged(cpu, x), sve_bytes(s)))
        memcpy(sve_z(cpu, s->rd), r, sve_bytes(s));
    return 0;
}

uint64_t sve_str(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    if (tags_fit(cpu, s, x, sve_bytes(s), true))
        store_range(cpu, untagged(cpu, x), sve_z(cpu, s->rd), sve_bytes(s));
    return 0;
}

uint64_t sve_ldp(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint64_t r[4] = {0};
    if (tags_fit(cpu, s, x, sve_bytes(s) / 8, false) && translate_copy_in(&cpu->base, r, untagged(cpu, x), sve_bytes(s) / 8))
        memcpy(sve_p(cpu, s->rd), r, sizeof r);
    return 0;
}

uint64_t sve_stp(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    if (tags_fit(cpu, s, x, sve_bytes(s) / 8, true))
        store_range(cpu, untagged(cpu, x), sve_p(cpu, s->rd), sve_bytes(s) / 8);
    return 0;
}

/* One lane, or so many bytes as imm says, for the whole register. */
uint64_t sve_ld_all(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint64_t g[4], r[ARM_Z_WORDS] = {0}, v;
    sve_governing(cpu, s, g);
    if (s->imm) {
        ArmSve part = *s;
        uint8_t buffer[32] = {0};
        part.vl = (uint8_t)(s->imm / 16);
        for (unsigned w = 0; w < 4; w++)
            g[w] &= w ? 0 : sve_p_valid(&part, 0);
        if (!unit_tags_fit(cpu, &part, g, x, 1u << s->esz, false) || !load_units(cpu, &part, g, untagged(cpu, x), 1u << s->esz, buffer))
            return 0;
        for (unsigned i = 0; i < (unsigned)s->imm >> s->esz; i++)
            if (!sve_active(g, s->esz, i))
                sve_set(buffer, s->esz, i, 0);
        for (unsigned i = 0; i + (unsigned)s->imm <= sve_bytes(s); i += (unsigned)s->imm)
            memcpy((uint8_t *)r + i, buffer, (size_t)s->imm);
        memcpy(sve_z(cpu, s->rd), r, sve_bytes(s));
        return 0;
    }
    if (range_of(s, g).last >= range_of(s, g).first) {
        if (!tags_fit(cpu, s, x, 1u << (s->msz & 7), false) || !translate_load(&cpu->base, untagged(cpu, x), size_of(s), &v))
            return 0;
        v = sve_splat(s->esz, v);
        for (unsigned i = 0; i < ARM_Z_WORDS; i++)
            r[i] = v;
    }
    sve_put(cpu, s, r);
    return 0;
}

/* m: how an offset is extended: 0 not, 1 from unsigned, 2 from signed 32 bits; imm: its scale */
static uint64_t scattered_raw(ArmCpu *cpu, const ArmSve *s, unsigned i, uint64_t x)
{
    uint64_t offset = sve_get(sve_z(cpu, s->rm), s->esz, i);
    offset = s->m == 1 ? (uint32_t)offset : s->m == 2 ? (uint64_t)(int64_t)(int32_t)offset : offset;
    return x + (offset << s->imm);
}

static uint64_t scattered(ArmCpu *cpu, const ArmSve *s, unsigned i, uint64_t x)
{
    return untagged(cpu, scattered_raw(cpu, s, i, x));
}

static bool scattered_tags_fit(ArmCpu *cpu, const ArmSve *s, const uint64_t *g, uint64_t x, bool write)
{
    if (!(cpu->base.mode & MODE_TAG_CHECKS))
        return true;
    for (unsigned i = 0; i < sve_lanes(s); i++)
        if (sve_active(g, s->esz, i) && !tags_fit(cpu, s, scattered_raw(cpu, s, i, x), 1u << (s->msz & 7), write))
            return false;
    return true;
}

uint64_t sve_gather(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint64_t g[4], r[ARM_Z_WORDS] = {0}, v;
    sve_governing(cpu, s, g);
    if (s->flags & SVE_FIRST_FAULT) {
        first_fault(cpu, s, g, 0, r, scattered, x);
        return 0;
    }
    if (!scattered_tags_fit(cpu, s, g, x, false))
        return 0;
    for (unsigned i = 0; i < sve_lanes(s); i++) {
        if (!sve_active(g, s->esz, i))
            continue;
        if (!translate_load(&cpu->base, scattered(cpu, s, i, x), size_of(s), &v))
            return 0;
        sve_set(r, s->esz, i, v);
    }
    memcpy(sve_z(cpu, s->rd), r, sve_bytes(s));
    return 0;
}

uint64_t sve_scatter(ArmCpu *cpu, const ArmSve *s, uint64_t x, uint64_t y)
{
    uint64_t g[4], tried = 1;
    sve_governing(cpu, s, g);
    if (!scattered_tags_fit(cpu, s, g, x, true))
        return 0;
    for (unsigned i = 0; i < sve_lanes(s); i++) {
        uint64_t at = scattered(cpu, s, i, x), end = at + (1u << s->msz) - 1;
        if (!sve_active(g, s->esz, i) || ((at & -PAGE) == tried && (end & -PAGE) == tried))
            continue;
        if (!translate_probe_store(&cpu->base, at) || !translate_probe_store(&cpu->base, end))
            return 0;
        tried = at & -PAGE;
    }
    for (unsigned i = 0; i < sve_lanes(s); i++)
        if (sve_active(g, s->esz, i) &&
            !translate_store(&cpu->base, scattered(cpu, s, i, x), size_of(s), sve_get(sve_z(cpu, s->rd), s->esz, i)))
            return 0;
    return 0;
}
