/* SPDX-License-Identifier: MIT */
/*
 * Arm CPU models for descriptions: names and properties of -cpu, as far as tables and trees differ by
 * them. What only running code sees is accepted and makes no difference.
 */
#include "machines/arm_cpu_priv.h"

#include "base/error.h"
#include "base/option.h"

#include <string.h>

/* Boards of before 7.0 have no large physical addresses (FEAT_LPA2) on model max. */
enum { LPA2_SINCE = 700 };

typedef struct {
    const char *name, *compatible;
    bool v8;
    unsigned address_bits;
} Model;

static const Model models[] = {
    {"cortex-a7", "arm,cortex-a7", false, 40},    {"cortex-a15", "arm,cortex-a15", false, 40},
    {"cortex-a35", "arm,cortex-a35", true, 40},   {"cortex-a53", "arm,cortex-a53", true, 40},
    {"cortex-a57", "arm,cortex-a57", true, 44},   {"cortex-a72", "arm,cortex-a72", true, 44},
    {"cortex-a76", "arm,cortex-a76", true, 40},   {"neoverse-n1", "arm,neoverse-n1", true, 48},
    {"a64fx", "arm,a64fx", true, 48},             {"max", "arm,cortex-a57", true, 52},
};

static bool known_feature(const char *key)
{
    static const char *const names[] = {
        "aarch64", "pmu", "sve", "sme", "pauth", "pauth-impdef", "pauth-qarma3", "lpa2", "cfgend",
        "has_el2", "has_el3", "vfp", "neon", "sve-max-vq", NULL};
    /* sve128 to sve2048, sme128 to sme2048: vector lengths */
    if ((g_str_has_prefix(key, "sve") || g_str_has_prefix(key, "sme")) && g_ascii_isdigit(key[3]))
        return true;
    return g_strv_contains(names, key);
}

static bool features(Options *options, const char *model, bool is64, unsigned version,
                     ArmCpu *cpu, GError **error)
{
    bool aarch64 = true, lpa2 = true;
    const char *key, *value;
    if (!options_get_bool(options, "pmu", &cpu->pmu, error) ||
        !options_get_bool(options, "aarch64", &aarch64, error) ||
        !options_get_bool(options, "lpa2", &lpa2, error))
        return false;
    for (unsigned i = 0; options_item(options, i, &key, &value); i++) {
        if (strcmp(key, "model") == 0)
            continue;
        if (!known_feature(key) || (!is64 && (g_str_has_prefix(key, "sve") ||
                                              strcmp(key, "aarch64") == 0)))
            return fail_usage(error, "Property '%s-arm-cpu.%s' not found", model, key);
        if (strcmp(key, "pmu") == 0 && !cpu->v8)
            return fail_usage(error, "Property '%s-arm-cpu.pmu' is not described", model);
    }
    if (!aarch64)
        return fail_usage(error, "'aarch64' feature cannot be disabled unless KVM is enabled and "
                                 "32-bit EL1 is supported");
    if (cpu->address_bits == 52 && (!is64 || !lpa2 || version < LPA2_SINCE))
        cpu->address_bits = is64 ? 48 : 32; /* the board takes a 32-bit max for one without LPAE */
    return true;
}

bool arm_cpu_parse(const char *text, bool is64, unsigned version, ArmCpu *cpu, GError **error)
{
    g_autoptr(Options) options = options_parse(text ? text : "cortex-a15", "model", error);
    const char *name = options ? options_get(options, "model") : NULL;
    if (!options)
        return prefix(error, "-cpu");
    const Model *model = NULL;
    for (size_t i = 0; i < G_N_ELEMENTS(models) && name; i++)
        if (strcmp(models[i].name, name) == 0)
            model = &models[i];
    if (!model || (model->v8 && !is64 && strcmp(name, "max") != 0)) {
        g_autoptr(GString) list = g_string_new(NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(models); i++)
            if (is64 || !models[i].v8 || strcmp(models[i].name, "max") == 0)
                g_string_append_printf(list, "%s%s", list->len ? ", " : "", models[i].name);
        return fail_usage(error, "-cpu %s: this board has no such CPU (there are: %s)",
                          name ? name : "", list->str);
    }
    *cpu = (ArmCpu){.name = model->name,
                    .compatible = model->compatible,
                    .v8 = model->v8,
                    .is64 = is64 && model->v8,
                    .pmu = true,
                    .mte = is64 && strcmp(name, "max") == 0,
                    .address_bits = model->address_bits};
    return features(options, name, is64, version, cpu, error) || prefix(error, "-cpu %s", text);
}
