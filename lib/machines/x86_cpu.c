/* SPDX-License-Identifier: MIT */
/* CPU models of x86 boards, as far as tables tell of them: the signature and the feature word of CPUID leaf
   1 (Intel SDM volume 2, CPUID). Versions ("EPYC-v3") are the model's. */
#include "machines/x86.h"

#include "base/error.h"
#include "base/option.h"
#include "base/size.h"

#include <inttypes.h>
#include <string.h>

static const struct {
    const char *name;
    uint32_t eax, edx;
} models[] = {
    {"486", 0x480, 0x9},
    {"athlon", 0x623, 0x783fbfd},
    {"Broadwell", 0x306d2, 0x78bfbfd},
    {"Broadwell-IBRS", 0x306d2, 0x78bfbfd},
    {"Broadwell-noTSX", 0x306d2, 0x78bfbfd},
    {"Broadwell-noTSX-IBRS", 0x306d2, 0x78bfbfd},
    {"Cascadelake-Server", 0x50656, 0x78bfbfd},
    {"Cascadelake-Server-noTSX", 0x50656, 0x78bfbfd},
    {"Conroe", 0x6f3, 0x78bfbfd},
    {"Cooperlake", 0x5065a, 0x78bfbfd},
    {"core2duo", 0x6fb, 0xfcbfbfd},
    {"coreduo", 0x6e8, 0xfc9fbfd},
    {"Denverton", 0x506f1, 0x78bfbfd},
    {"Dhyana", 0x900f01, 0x78bfbfd},
    {"EPYC", 0x800f12, 0x78bfbfd},
    {"EPYC-IBPB", 0x800f12, 0x78bfbfd},
    {"EPYC-Milan", 0xa00f11, 0x78bfbfd},
    {"EPYC-Rome", 0x830f10, 0x78bfbfd},
    {"Haswell", 0x306c4, 0x78bfbfd},
    {"Haswell-IBRS", 0x306c4, 0x78bfbfd},
    {"Haswell-noTSX", 0x306c1, 0x78bfbfd},
    {"Haswell-noTSX-IBRS", 0x306c1, 0x78bfbfd},
    {"Icelake-Server", 0x80660, 0x78bfbfd},
    {"Icelake-Server-noTSX", 0x80660, 0x78bfbfd},
    {"IvyBridge", 0x306a9, 0x78bfbfd},
    {"IvyBridge-IBRS", 0x306a9, 0x78bfbfd},
    {"KnightsMill", 0x80650, 0xf8bfbfd},
    {"kvm32", 0xf61, 0x78bfbfd},
    {"kvm64", 0xf61, 0x78bfbfd},
    {"max", 0x60fb1, 0xfcbfbfd},
    {"n270", 0x106c2, 0xfc9fbfd},
    {"Nehalem", 0x106a3, 0x78bfbfd},
    {"Nehalem-IBRS", 0x106a3, 0x78bfbfd},
    {"Opteron_G1", 0xf61, 0x78bfbfd},
    {"Opteron_G2", 0xf61, 0x78bfbfd},
    {"Opteron_G3", 0x100f23, 0x78bfbfd},
    {"Opteron_G4", 0x600f12, 0x78bfbfd},
    {"Opteron_G5", 0x600f20, 0x78bfbfd},
    {"Penryn", 0x10673, 0x78bfbfd},
    {"pentium", 0x543, 0x8003bd},
    {"pentium2", 0x652, 0x183fbfd},
    {"pentium3", 0x673, 0x383fbfd},
    {"phenom", 0x100f23, 0x78bfbfd},
    {"qemu32", 0x663, 0x781abfd},
    {"qemu64", 0x60fb1, 0x78bfbfd},
    {"SandyBridge", 0x206a1, 0x78bfbfd},
    {"SandyBridge-IBRS", 0x206a1, 0x78bfbfd},
    {"Skylake-Client", 0x506e3, 0x78bfbfd},
    {"Skylake-Client-IBRS", 0x506e3, 0x78bfbfd},
    {"Skylake-Client-noTSX-IBRS", 0x506e3, 0x78bfbfd},
    {"Skylake-Server", 0x50654, 0x78bfbfd},
    {"Skylake-Server-IBRS", 0x50654, 0x78bfbfd},
    {"Skylake-Server-noTSX-IBRS", 0x50654, 0x78bfbfd},
    {"Snowridge", 0x80661, 0x78bfbfd},
    {"Westmere", 0x206c1, 0x78bfbfd},
    {"Westmere-IBRS", 0x206c1, 0x78bfbfd},
};

/* Names of EDX's bits; NULL: reserved. */
static const char *const features[32] = {
    "fpu", "vme", "de", "pse", "tsc", "msr", "pae", "mce", "cx8", "apic", NULL, "sep", "mtrr", "pge", "mca",
    "cmov", "pat", "pse36", "pn", "clflush", NULL, "ds", "acpi", "mmx", "fxsr", "sse", "sse2", "ss", "ht",
    "tm", "ia64", "pbe",
};

typedef struct {
    uint32_t family, model, stepping, edx;
} Signature;

static void signature_of(uint32_t eax, Signature *s)
{
    s->family = eax >> 8 & 15;
    if (s->family == 15)
        s->family += eax >> 20 & 0xff;
    s->model = (eax >> 4 & 15) | (eax >> 12 & 0xf0);
    s->stepping = eax & 15;
}

static uint32_t signature_word(const Signature *s)
{
    uint32_t family = MIN(s->family, 15);
    return s->stepping | (s->model & 15) << 4 | family << 8 | (s->model >> 4 & 15) << 16 |
           (s->family - family) << 20;
}

static bool find_model(const char *name, Signature *s, GError **error)
{
    const char *version = strrchr(name, '-');
    size_t len = version && version[1] == 'v' && g_ascii_isdigit(version[2]) ? (size_t)(version - name)
                                                                             : strlen(name);
    const char *names[G_N_ELEMENTS(models) + 1] = {NULL};
    if (!strcmp(name, "host"))
        name = "max", len = 3;
    for (size_t i = 0; i < G_N_ELEMENTS(models); i++) {
        names[i] = models[i].name;
        if (strlen(models[i].name) == len && !g_ascii_strncasecmp(models[i].name, name, len)) {
            signature_of(models[i].eax, s);
            s->edx = models[i].edx;
            return true;
        }
    }
    const char *near = option_nearest(name, names);
    return fail_usage(error, "unable to find CPU model '%s'%s%s%s", name, near ? "; did you mean '" : "",
                      near ? near : "", near ? "'?" : "");
}

/* "+sse2", "-apic", "sse2=off", "family=6": what is not of leaf 1 makes no difference here. */
static bool apply(const char *word, Signature *s, GError **error)
{
    const struct {
        const char *name;
        uint32_t *field, max;
    } numbers[] = {{"family", &s->family, 0xff + 0xf}, {"model", &s->model, 0xff}, {"stepping", &s->stepping, 0xf}};
    const char *equals = strchr(word, '=');
    bool sign = *word == '+' || *word == '-';
    const char *name = sign ? word + 1 : word;
    size_t len = equals ? (size_t)(equals - name) : strlen(name);
    bool on = sign ? *word == '+' : !equals || !strcmp(equals + 1, "on");
    for (size_t i = 0; equals && i < G_N_ELEMENTS(numbers); i++) {
        uint64_t value;
        if (strlen(numbers[i].name) != len || strncmp(name, numbers[i].name, len))
            continue;
        if (!number_parse(equals + 1, &value, NULL) || value > numbers[i].max)
            return fail_usage(error, "CPU property '%s' is a number from 0 to %" PRIu32, numbers[i].name,
                              numbers[i].max);
        *numbers[i].field = (uint32_t)value;
        return true;
    }
    for (unsigned bit = 0; bit < 32; bit++) {
        if (!features[bit] || strlen(features[bit]) != len || strncmp(name, features[bit], len))
            continue;
        s->edx = on ? s->edx | 1u << bit : s->edx & ~(1u << bit);
    }
    return true;
}

bool x86_processor_id(const Machine *m, uint64_t *id, GError **error)
{
    enum { OLD_QEMU64 = 0x663 };
    const char *text = m->cpus.model ? m->cpus.model : "qemu64";
    Signature s;
    g_auto(GStrv) words = g_strsplit(text, ",", -1);
    if (!words[0] || !find_model(words[0], &s, error))
        return prefix(error, "-cpu %s", text);
    if (!strcmp(words[0], "qemu64") && machine_version(m) <= 600)
        signature_of(OLD_QEMU64, &s);
    for (char **word = words + 1; *word; word++)
        if (**word && !apply(*word, &s, error))
            return prefix(error, "-cpu %s", text);
    *id = (uint64_t)s.edx << 32 | signature_word(&s);
    return true;
}

char *machine_cpu_help(void)
{
    GString *text = g_string_new("Available CPUs:\n");
    for (size_t i = 0; i < G_N_ELEMENTS(models); i++)
        g_string_append_printf(text, "x86 %s\n", models[i].name);
    return g_string_free(text, FALSE);
}
