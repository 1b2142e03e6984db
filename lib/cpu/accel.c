/* SPDX-License-Identifier: MIT */
/* -accel: which ways of running guest code there are. */
#include "base/error.h"
#include "base/option.h"
#include "cpu/cpu.h"

#include <string.h>

static const struct {
    const char *name;
    TranslateAccel accel;
    const char *summary;
} accels[] = {
    { "jit", TRANSLATE_JIT, "translate to host code (the default)" },
    { "tcg", TRANSLATE_JIT, "the same, under the name that scripts use" },
    { "interp", TRANSLATE_INTERP, "interpret the translator's own code: slow, any host" },
    { "verify", TRANSLATE_VERIFY, "run both ways and stop at the first difference; -smp 1" },
};

/* A test drives the machine in place of its CPUs. */
static const char no_cpus[] = "qtest";

static bool find(const char *name, CpuAccel *accel)
{
    accel->none = !strcmp(name, no_cpus);
    if (accel->none)
        return true;
    for (size_t i = 0; i < G_N_ELEMENTS(accels); i++) {
        if (!strcmp(accels[i].name, name)) {
            accel->accel = accels[i].accel;
            return true;
        }
    }
    return false;
}

static bool is_other(const char *name)
{
    static const char *const others[] = { "kvm", "hax", "hvf", "whpx", "xen", "nvmm", NULL };
    return g_strv_contains(others, name);
}

/* The first of "a:b:c" that can be had. */
static bool choose(CpuAccel *accel, const char *list, GError **error)
{
    g_auto(GStrv) names = g_strsplit(list, ":", -1);
    for (char **n = names; *n; n++) {
        if (find(*n, accel))
            return true;
        if (!is_other(*n))
            return fail_usage(error, "-accel: no accelerator '%s' (there are: jit, tcg, interp, "
                              "verify)", *n);
    }
    return fail_usage(error, "-accel: %s is not there yet; use jit (or tcg)",
                      names[0] ? list : "''");
}

bool cpu_accel_parse(CpuAccel *accel, const char *text, GError **error)
{
    static const char *const threads[] = { "multi", "single", NULL };
    g_autoptr(Options) o = options_parse(text, "accel", error);
    if (!o)
        return false;
    const char *name = options_need(o, "accel", error);
    uint64_t mib = accel->code_size >> 20;
    int thread = accel->single;
    if (!name || !choose(accel, name, error))
        return false;
    /* 4 TiB is past any code cache, and keeps the shift within 64 bits. */
    if (!options_get_number(o, "tb-size", 0, 1 << 22, &mib, error) ||
        !options_get_enum(o, "thread", threads, &thread, error) || !options_done(o, error))
        return prefix(error, "-accel");
    accel->code_size = mib << 20;
    accel->single = thread == 1;
    return true;
}

char *cpu_accel_help(void)
{
    GString *s = g_string_new("accelerators:\n");
    for (size_t i = 0; i < G_N_ELEMENTS(accels); i++)
        g_string_append_printf(s, "  %-8s %s\n", accels[i].name, accels[i].summary);
    g_string_append_printf(s, "  %-8s %s\n", no_cpus, "no CPU runs, -qtest drives the machine");
    g_string_append(s, "properties:\n"
                    "  tb-size=MiB          size of the cache of translated code\n"
                    "  thread=multi|single  a host thread a CPU, or one CPU at a time\n");
    return g_string_free(s, FALSE);
}
