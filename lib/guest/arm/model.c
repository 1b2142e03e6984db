/* SPDX-License-Identifier: MIT */
/* CPU models and their properties, as far as a program can see them. */
#include <stddef.h>
#include <string.h>

#include "base/error.h"
#include "base/option.h"
#include "guest/arm/arm_priv.h"

#define V8 .ctr = 0x84448004, .crypto = true, .crc32 = true
#define V8_2 V8, .lse = true, .rdm = true, .lrcpc = true, .fp16 = true

static const struct Model {
    const char *name, *summary;
    ArmProps props;
} models[] = {
    {"max", "all that is implemented",
     {.midr = 0x000f0510, V8_2, .sve = true, .sve_lengths = 0xffff, .sve_default = 64}},
    {"cortex-a35", "Armv8.0-A", {.midr = 0x411fd040, V8}},
    {"cortex-a53", "Armv8.0-A", {.midr = 0x410fd034, V8}},
    {"cortex-a57", "Armv8.0-A", {.midr = 0x411fd070, V8}},
    {"cortex-a72", "Armv8.0-A", {.midr = 0x410fd083, V8}},
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

/* Vector lengths as QEMU names them: sve128=on and so on; with sve-max-vq=N all up to N times 128 bits. */
static bool sve_lengths(Options *options, ArmProps *p, GError **error)
{
    uint64_t most = 0, start = p->sve_default;
    uint16_t on = 0, off = 0;
    for (unsigned n = 0; n < 16; n++) {
        g_autofree char *key = g_strdup_printf("sve%u", 128 * (n + 1));
        bool is = false;
        const char *said = options_get(options, key);
        if (said && !options_get_bool(options, key, &is, error))
            return false;
        on |= (uint16_t)((said && is) << n);
        off |= (uint16_t)((said && !is) << n);
    }
    if (!options_get_number(options, "sve-max-vq", 1, 16, &most, error) ||
        !options_get_number(options, "sve-default-vector-length", 16, 8192, &start, error))
        return false;
    if (start % 16)
        return fail_usage(error, "sve-default-vector-length: %u is no multiple of 16", (unsigned)start);
    if (most)
        p->sve_lengths = (uint16_t)bits_mask((unsigned)most);
    else if (on) /* and the powers of two below */
        p->sve_lengths = on | (0x808b & (uint16_t)bits_mask(32u - (unsigned)__builtin_clz(on)));
    p->sve_lengths &= (uint16_t)~off;
    if (p->sve && !p->sve_lengths)
        return fail_usage(error, "SVE without a vector length");
    p->sve_default = (uint16_t)MIN(start, 256);
    return true;
}

void arm_list_models(GString *out)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(models); i++)
        g_string_append_printf(out, "%-11s %s\n", models[i].name, models[i].summary);
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
    drop_orphans(&p);
    if (!sve_lengths(options, &p, error))
        return false;
    if (!options_done(options, error))
        return false;
    cpu->props = p;
    if (p.sve)
        arm_sve_set_vl(base, arm_sve_length(&p, p.sve_default));
    return true;
}

/* Nothing of it is in a device tree. */
void arm_describe(TranslateCpu *base, GString *out)
{
    g_string_append_printf(out, "compatible=arm,armv8\n");
}
