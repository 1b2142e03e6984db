/* SPDX-License-Identifier: MIT */
/*
 * CPU models and their properties: "-cpu MODEL[,key=value...]", and what the
 * device tree says of them.
 *
 * rv64 and rv32 are IMAFDC with S and U, Zicsr, Zifencei, Zba, Zbb, Zbc, Zbs,
 * Zicbom, Zicboz, Sstc and hardware-updated A and D bits; Zicond, Svinval,
 * Svnapot and Svpbmt are to be asked for. max has all there is.
 */
#include <stddef.h>
#include <string.h>

#include "base/error.h"
#include "base/option.h"
#include "guest/riscv/riscv_priv.h"

typedef struct Property {
    const char *key;
    uint16_t at;         /* of the bool in RiscvProps */
    uint8_t on;          /* default: 1 on, 2 on in max only */
    const char *isa;     /* as the isa string has it; NULL: not there */
} Property;

#define P(key, on, isa) {#key, offsetof(RiscvProps, key), on, isa}
/* In the canonical order of the isa string. */
static const Property properties[] = {
    P(i, 1, "i"), P(m, 1, "m"), P(a, 1, "a"), P(f, 1, "f"), P(d, 1, "d"), P(c, 1, "c"),
    P(zicbom, 1, "_zicbom"), P(zicboz, 1, "_zicboz"), P(zicond, 2, "_zicond"), P(zicsr, 1, "_zicsr"),
    P(zifencei, 1, "_zifencei"), P(zba, 1, "_zba"), P(zbb, 1, "_zbb"), P(zbc, 1, "_zbc"), P(zbs, 1, "_zbs"),
    P(sstc, 1, "_sstc"), P(svadu, 1, "_svadu"), P(svinval, 2, "_svinval"), P(svnapot, 2, "_svnapot"),
    P(svpbmt, 2, "_svpbmt"), P(s, 1, NULL), P(u, 1, NULL), P(mmu, 1, NULL), P(pmp, 1, NULL),
};
#undef P

static bool *flag_of(RiscvProps *p, const Property *property)
{
    return (bool *)((char *)p + property->at);
}

void riscv_list_models64(GString *out)
{
    g_string_append(out, "rv64  RV64IMAFDC and the extensions that systems expect (default)\n"
                         "max   all that is implemented\n");
}

void riscv_list_models32(GString *out)
{
    g_string_append(out, "rv32  RV32IMAFDC and the extensions that systems expect (default)\n"
                         "max   all that is implemented\n");
}

/* Extensions that exist elsewhere: may be turned off, not on. */
static bool refuse_absent(Options *options, GError **error)
{
    static const char *const absent[] = {"h", "v", "e"};
    for (unsigned i = 0; i < G_N_ELEMENTS(absent); i++) {
        bool on = false;
        if (!options_get_bool(options, absent[i], &on, error))
            return false;
        if (on)
            return fail_usage(error, "%s: this extension is not implemented", absent[i]);
    }
    return true;
}

static bool get_satp(Options *options, RiscvProps *p, GError **error)
{
    static const char *const keys[] = {"sv39", "sv48", "sv57"};
    unsigned on_max = 0, limit = 10;
    bool sv32 = true;
    if (!options_get_bool(options, "sv32", &sv32, error))
        return false;
    for (unsigned i = 0; i < G_N_ELEMENTS(keys); i++) {
        bool on = true;
        if (!options_get_bool(options, keys[i], &on, error))
            return false;
        if (!options_has(options, keys[i]))
            continue;
        if (on)
            on_max = 8 + i;
        else if (limit > 7 + i)
            limit = 7 + i;
    }
    if (on_max && on_max < limit)
        limit = on_max;
    p->satp_max = (uint8_t)(!p->mmu || !p->s ? 0 : p->rv32 ? sv32 : limit < 8 ? 0 : limit);
    if (!p->satp_max)
        p->mmu = false;
    return true;
}

static bool get_block(Options *options, const char *key, uint64_t *value, GError **error)
{
    if (!options_get_number(options, key, 8, 256, value, error))
        return false;
    if (*value & (*value - 1))
        return fail_usage(error, "%s: %d is not a power of two", key, (int)*value);
    return true;
}

static bool get_all(Options *options, RiscvProps *p, GError **error)
{
    bool g = false;
    if (!options_get_bool(options, "g", &g, error))
        return false;
    if (g)
        p->i = p->m = p->a = p->f = p->d = p->zicsr = p->zifencei = true;
    for (unsigned i = 0; i < G_N_ELEMENTS(properties); i++)
        if (!options_get_bool(options, properties[i].key, flag_of(p, &properties[i]), error))
            return false;
    /* older spellings */
    if (!options_get_bool(options, "Zicsr", &p->zicsr, error) ||
        !options_get_bool(options, "Zifencei", &p->zifencei, error))
        return false;
    p->cbom_block = p->cboz_block = 64;
    if (!get_block(options, "cbom_blocksize", &p->cbom_block, error) ||
        !get_block(options, "cboz_blocksize", &p->cboz_block, error))
        return false;
    if (!options_get_number(options, "mvendorid", 0, UINT32_MAX, &p->vendor, error) ||
        !options_get_number(options, "marchid", 0, INT64_MAX, &p->arch, error) ||
        !options_get_number(options, "mimpid", 0, UINT64_MAX, &p->imp, error))
        return false;
    return refuse_absent(options, error) && get_satp(options, p, error);
}

static bool consistent(const RiscvProps *p, GError **error)
{
    if (!p->i)
        return fail_usage(error, "i: the base instruction set cannot be off");
    if (p->d && !p->f)
        return fail_usage(error, "d: needs f");
    if (p->f && !p->zicsr)
        return fail_usage(error, "f: needs zicsr");
    if (p->s && !p->u)
        return fail_usage(error, "s: needs u");
    if (p->sstc && !p->s)
        return fail_usage(error, "sstc: needs s");
    return true;
}

static uint64_t misa_of(const RiscvProps *p)
{
    uint64_t v = p->rv32 ? BIT64(30) : BIT64(63);
    return v | (uint64_t)p->a | (uint64_t)p->c << 2 | (uint64_t)p->d << 3 | (uint64_t)p->f << 5 |
           (uint64_t)p->i << 8 |
           (uint64_t)p->m << 12 | (uint64_t)p->s << 18 | (uint64_t)p->u << 20;
}

bool riscv_configure(TranslateCpu *base, const char *spec, GError **error)
{
    RiscvCpu *cpu = riscv_of(base);
    bool rv32 = !strcmp(base->guest->name, "riscv32");
    const char *usual = rv32 ? "rv32" : "rv64";
    RiscvProps p = {.rv32 = rv32};
    g_autoptr(Options) options = options_parse(spec ? spec : usual, "model", error);
    if (!options)
        return false;
    const char *model = options_get(options, "model");
    if (!model)
        model = usual;
    bool max = !strcmp(model, "max");
    if (!max && strcmp(model, usual)) {
        const char *const names[] = {usual, "max", NULL};
        const char *near = option_nearest(model, names);
        return fail_usage(error, "unknown CPU model '%s'%s%s%s", model,
                          near ? "; did you mean '" : "",
                          near ? near : "", near ? "'?" : "");
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(properties); i++)
        *flag_of(&p, &properties[i]) = properties[i].on == 1 || max;
    if (!get_all(options, &p, error) || !options_done(options, error) || !consistent(&p, error))
        return false;
    cpu->props = p;
    cpu->misa = misa_of(&p);
    return true;
}

void riscv_describe(TranslateCpu *base, GString *out)
{
    RiscvCpu *cpu = riscv_of(base);
    RiscvProps *p = &cpu->props;
    g_string_append(out, p->rv32 ? "riscv,isa=rv32" : "riscv,isa=rv64");
    for (unsigned i = 0; i < G_N_ELEMENTS(properties); i++)
        if (properties[i].isa && *flag_of(p, &properties[i]))
            g_string_append(out, properties[i].isa);
    g_string_append_printf(out, "\nmmu-type=riscv,%s\n", !p->satp_max ? "none" : p->rv32 ? "sv32" :
                           p->satp_max == 8 ? "sv39" : p->satp_max == 9 ? "sv48" : "sv57");
    if (p->zicbom)
        g_string_append_printf(out, "riscv,cbom-block-size=%u\n", (unsigned)p->cbom_block);
    if (p->zicboz)
        g_string_append_printf(out, "riscv,cboz-block-size=%u\n", (unsigned)p->cboz_block);
}
