/* SPDX-License-Identifier: MIT */
/* CPU models and their properties, as far as a program can see them. */
#include <stddef.h>
#include <string.h>

#include "base/error.h"
#include "base/option.h"
#include "guest/arm/arm_priv.h"

static const struct Model {
    const char *name, *summary;
    ArmProps props;
} models[] = {
    {"max", "all that is implemented", {0x000f0510, true, true, true, true, true}},
    {"cortex-a53", "Armv8.0-A", {0x410fd034, true, true, false, false, false}},
    {"cortex-a57", "Armv8.0-A", {0x411fd070, true, true, false, false, false}},
    {"cortex-a72", "Armv8.0-A", {0x410fd083, true, true, false, false, false}},
};

static const struct {
    const char *key;
    size_t offset;
} properties[] = {
    {"crypto", offsetof(ArmProps, crypto)}, {"crc32", offsetof(ArmProps, crc32)}, {"lse", offsetof(ArmProps, lse)},
    {"rdm", offsetof(ArmProps, rdm)}, {"lrcpc", offsetof(ArmProps, lrcpc)},
};

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
    for (unsigned i = 0; i < G_N_ELEMENTS(properties); i++)
        if (!options_get_bool(options, properties[i].key, (bool *)((char *)&p + properties[i].offset), error))
            return false;
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
