/* SPDX-License-Identifier: MIT */
/* CPU models and their properties, as far as a program can see them: which features there are, and the
   ID registers that tell of them. */
#include <stddef.h>
#include <string.h>

#include "base/error.h"
#include "base/option.h"
#include "guest/arm/arm_priv.h"

#define V8 .crypto = true, .crc32 = true
#define V8_2 V8, .lse = true, .rdm = true, .lrcpc = true, .fp16 = true, .dotprod = true, \
    .dpb = true, .ssbs = true
#define V8_9 V8_2, .fhm = true, .fcma = true, .jscvt = true, .bf16 = true, .i8mm = true, .frintts = true, \
    .sha512 = true, .sha3 = true, .sm3 = true, .sm4 = true, .flagm = true, .flagm2 = true, .lrcpc2 = true, \
    .pauth = true, .pauth_impdef = true, .bti = true, .mte = true, .dpb2 = true, .rng = true, .sb = true, \
    .ssbs2 = true, .dit = true, .dgh = true

static const struct Model {
    const char *name, *summary;
    ArmProps props;
} models[] = {
    {"max", "all that is implemented",
     {.midr = 0x000f0510, .ctr = 0x8444c004, V8_9, .sve = true, .sve2 = true, .sve_lengths = 0xffff, .sve_default = 16}},
    {"cortex-a35", "Armv8.0-A", {.midr = 0x411fd040, .ctr = 0x84448004, V8}},
    {"cortex-a53", "Armv8.0-A", {.midr = 0x410fd034, .ctr = 0x84448004, V8}},
    {"cortex-a57", "Armv8.0-A", {.midr = 0x411fd070, .ctr = 0x8444c004, V8}},
    {"cortex-a72", "Armv8.0-A", {.midr = 0x410fd083, .ctr = 0x8444c004, V8}},
    {"cortex-a76", "Armv8.2-A", {.midr = 0x414fd0b1, .ctr = 0x8444c004, V8_2}},
    {"neoverse-n1", "Armv8.2-A", {.midr = 0x414fd0c1, .ctr = 0x8444c004, V8_2, .ssbs2 = true}},
};

#define FEATURE(name, needs) {#name, needs, offsetof(ArmProps, name)},
static const struct Feature {
    const char *key, *needs;
    size_t offset;
} features[] = {
#include "guest/arm/features.def"
};
#undef FEATURE

static bool *feature_of(ArmProps *p, const struct Feature *f)
{
    return (bool *)((char *)p + f->offset);
}

/* What cannot be without another feature goes with it. */
static void drop_orphans(ArmProps *p)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(features); i++)
        for (unsigned k = 0; k < i; k++)
            if (!strcmp(features[i].needs, features[k].key) && !*feature_of(p, &features[k]))
                *feature_of(p, &features[i]) = false;
}

void arm_list_models(GString *out)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(models); i++)
        g_string_append_printf(out, "%-11s %s\n", models[i].name, models[i].summary);
    g_string_append(out, "properties (on, off):");
    for (unsigned i = 0; i < G_N_ELEMENTS(features); i++)
        g_string_append_printf(out, " %s", features[i].key);
    g_string_append(out, " pauth-impdef\n");
}

bool arm_configure(TranslateCpu *base, const char *spec, GError **error)
{
    ArmCpu *cpu = arm_of(base);
    g_autoptr(Options) options = options_parse(spec ? spec : "max", "model", error);
    if (!options)
        return false;
    const char *model = options_get(options, "model"), *names[G_N_ELEMENTS(models) + 1] = {NULL};
    const struct Model *found = NULL;
    for (unsigned i = 0; i < G_N_ELEMENTS(models); i++) {
        names[i] = models[i].name;
        if (!strcmp(model ? model : "max", models[i].name))
            found = &models[i];
    }
    if (!found) {
        const char *near = option_nearest(model, names);
        return fail_usage(error, "unknown CPU model '%s'%s%s%s", model, near ? "; did you mean '" : "",
                          near ? near : "", near ? "'?" : "");
    }
    ArmProps p = found->props;
    for (unsigned i = 0; i < G_N_ELEMENTS(features); i++)
        if (!options_get_bool(options, features[i].key, feature_of(&p, &features[i]), error))
            return false;
    if (!options_get_bool(options, "pauth-impdef", &p.pauth_impdef, error))
        return false;
    drop_orphans(&p);
    if (!arm_sve_configure(cpu, options, &p, error))
        return false;
    if (!options_done(options, error))
        return false;
    cpu->props = p;
    return true;
}

/* ---- ID registers, as the kernel shows them to EL0 ---------------------------------------- */

#define PFR0 0x20
#define PFR1 0x21
#define ZFR0 0x24
#define ISAR0 0x30
#define ISAR1 0x31
#define FIELD(reg, shift, value, member) {offsetof(ArmProps, member), (reg), (shift), (value)}
static const struct IdField { /* a field has the greatest value of those that are there */
    uint16_t offset;
    uint8_t reg; /* CRm << 3 | op2 of S3_0_C0_Cm_op2 */
    uint8_t shift, value;
} id_fields[] = {
    FIELD(PFR0, 32, 1, sve_shown), FIELD(ZFR0, 0, 1, sve2_shown), FIELD(ZFR0, 16, 1, sve2_shown),
    FIELD(ZFR0, 32, 1, svesha3_shown), FIELD(ZFR0, 44, 1, svei8mm_shown),
    FIELD(PFR0, 16, 1, fp16), FIELD(PFR0, 20, 1, fp16),
    FIELD(ISAR0, 4, 2, crypto), FIELD(ISAR0, 8, 1, crypto), FIELD(ISAR0, 12, 1, crypto), FIELD(ISAR0, 12, 2, sha512),
    FIELD(ISAR0, 16, 1, crc32), FIELD(ISAR0, 20, 2, lse), FIELD(ISAR0, 28, 1, rdm), FIELD(ISAR0, 32, 1, sha3),
    FIELD(ISAR0, 36, 1, sm3), FIELD(ISAR0, 40, 1, sm4), FIELD(ISAR0, 44, 1, dotprod), FIELD(ISAR0, 48, 1, fhm),
    FIELD(PFR0, 48, 1, dit), FIELD(PFR1, 0, 1, bti), FIELD(PFR1, 8, 3, mte),
    FIELD(PFR1, 4, 1, ssbs), FIELD(PFR1, 4, 2, ssbs2),
    FIELD(ISAR0, 52, 1, flagm), FIELD(ISAR0, 52, 2, flagm2), FIELD(ISAR0, 60, 1, rng),
    FIELD(ISAR1, 0, 1, dpb), FIELD(ISAR1, 0, 2, dpb2), FIELD(ISAR1, 20, 2, lrcpc2), FIELD(ISAR1, 36, 1, sb),
    FIELD(ISAR1, 48, 1, dgh),
    /* generic and address authentication, by QARMA5 or not: see below */
    FIELD(ISAR1, 4, 1, pauth), FIELD(ISAR1, 24, 1, pauth),
    FIELD(ISAR1, 12, 1, jscvt), FIELD(ISAR1, 16, 1, fcma), FIELD(ISAR1, 20, 1, lrcpc), FIELD(ISAR1, 32, 1, frintts),
    FIELD(ISAR1, 44, 1, bf16), FIELD(ISAR1, 52, 1, i8mm),
};

bool arm_id_register(const ArmProps *p, unsigned reg, uint64_t *value)
{
    switch (reg) {
    case 0x00: *value = p->midr; return true;
    case 0x05: *value = UINT64_C(1) << 31; return true; /* MPIDR_EL1 */
    case 0x06: *value = 0; return true; /* REVIDR_EL1 */
    case PFR0: *value = 0x11; break;    /* EL0 and EL1 of 64 bits */
    case 0x28: *value = 6; break;       /* ID_AA64DFR0_EL1: Armv8.0's debug architecture */
    case 0x38: *value = 0xff000000; break; /* ID_AA64MMFR0_EL1: granules are the kernel's own affair */
    default: *value = 0; break;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(id_fields); i++) {
        const struct IdField *f = &id_fields[i];
        if (f->reg == reg && *((const bool *)p + f->offset) && f->value > bits_get(*value, f->shift, 4))
            *value = bits_set(*value, f->shift, 4, f->value);
    }
    if (reg == ISAR1 && p->pauth && p->pauth_impdef) /* APA is API, GPA is GPI */
        *value = (*value & ~UINT64_C(0x0f0000f0)) | 1u << 8 | 1u << 28;
    return reg >= 0x10 && reg < 0x40;
}

/* Nothing of it is in a device tree. */
void arm_describe(TranslateCpu *base, GString *out)
{
    g_string_append_printf(out, "compatible=arm,armv8\n");
}
