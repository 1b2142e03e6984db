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
    {"max", "all that is implemented", {.midr = 0x000f0510, V8_2}},
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
    if (!options_done(options, error))
        return false;
    cpu->props = p;
    return true;
}

/* Nothing of it is in a device tree. */
void arm_describe(TranslateCpu *base, GString *out)
{
    g_string_append_printf(out, "compatible=arm,armv8\n");
}
