/* SPDX-License-Identifier: MIT */
/* The grammar of -M, -smp and -m, as QEMU users type it. */
#include "machines/machine_priv.h"

#include "base/bits.h"
#include "base/error.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define MIB (UINT64_C(1) << 20)
/* Of each number of -smp and of their product: far over any board's own limit, and small enough
   that products of three fit. */
#define SMP_LIMIT (UINT64_C(1) << 20)

enum { SOCKETS, DIES, CLUSTERS, CORES, THREADS, LEVELS };

/* One "key=value" of a list; key is NULL for a lone first word. */
typedef struct {
    char *key, *value;
} Pair;

static void pair_clear(gpointer data)
{
    g_free(((Pair *)data)->key);
    g_free(((Pair *)data)->value);
}

/* "a,b=c,d=e,,f": a lone word is the value of the first key, and of others a switch ("on"); a
   double comma stands for one comma. */
static GArray *split(const char *text, const char *first_key)
{
    GArray *pairs = g_array_new(FALSE, TRUE, sizeof(Pair));
    g_array_set_clear_func(pairs, pair_clear);
    const char *p = text;
    while (*p) {
        g_autoptr(GString) word = g_string_new("");
        for (; *p; p++) {
            if (*p == ',' && p[1] != ',')
                break;
            if (*p == ',')
                p++;
            g_string_append_c(word, *p);
        }
        if (*p == ',')
            p++;
        if (!word->len)
            continue;
        Pair pair;
        const char *equals = strchr(word->str, '=');
        if (equals) {
            pair.key = g_strndup(word->str, (gsize)(equals - word->str));
            pair.value = g_strdup(equals + 1);
        } else {
            pair.key = g_strdup(pairs->len == 0 ? first_key : word->str);
            pair.value = g_strdup(pairs->len == 0 ? word->str : "on");
        }
        g_array_append_val(pairs, pair);
    }
    return pairs;
}

MachineOptions *machine_options_new(const char *isa, GError **error)
{
    g_autofree const MachineType **types = machine_types(isa);
    if (!types[0]) {
        fail_usage(error, "there is no machine for %s", isa);
        return NULL;
    }
    MachineOptions *o = g_new0(MachineOptions, 1);
    o->isa = g_intern_string(isa);
    for (size_t i = 0; types[i]; i++)
        if (types[i]->is_default)
            o->type = types[i];
    o->smp = (MachineSmp){1, 1, 1, 1, 1, 1, 1};
    o->props = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    o->numa = machine_numa_new();
    return o;
}

void machine_options_free(MachineOptions *o)
{
    if (!o)
        return;
    g_hash_table_destroy(o->props);
    machine_numa_free(o->numa);
    g_free(o->dumpdtb);
    g_free(o->accel);
    g_free(o);
}

/* The table's own string for a name such as "virt-6.2", or NULL. */
static const char *version_of(const MachineType *type, const char *name)
{
    for (const char *const *v = type->versions; v && *v; v++)
        if (strcmp(*v, name) == 0)
            return *v;
    return NULL;
}

const char *machine_options_name(const MachineOptions *o)
{
    return o->version ? o->version : o->type->versions ? o->type->versions[0] : o->type->name;
}

unsigned machine_options_version(const MachineOptions *o)
{
    if (!o->type || !o->type->versions)
        return UINT_MAX;
    const char *dash = strrchr(machine_options_name(o), '-');
    char *dot;
    unsigned long major = dash ? strtoul(dash + 1, &dot, 10) : 0;
    return dash && *dot == '.' ? (unsigned)(100 * major + strtoul(dot + 1, NULL, 10)) : UINT_MAX;
}

bool machine_options_parse_machine(MachineOptions *o, const char *isa, const char *text,
                                   GError **error)
{
    /* A lone first word is the board, unless it sets a property ("aclint=on"). */
    g_autoptr(GArray) pairs = split(text, "type");
    for (guint i = 0; i < pairs->len; i++) {
        const Pair *pair = &g_array_index(pairs, Pair, i);
        if (strcmp(pair->key, "type") == 0) {
            o->type = machine_type_find(isa, pair->value);
            if (!o->type)
                return fail_usage(error, "unsupported machine type '%s'", pair->value);
            o->version = version_of(o->type, pair->value);
        } else if (strcmp(pair->key, "dumpdtb") == 0) {
            g_free(o->dumpdtb);
            o->dumpdtb = g_strdup(pair->value);
        } else if (strcmp(pair->key, "accel") == 0) {
            g_free(o->accel);
            o->accel = g_strdup(pair->value);
        } else {
            g_hash_table_replace(o->props, g_strdup(pair->key), g_strdup(pair->value));
        }
    }
    return true;
}

/* ---- -smp ---------------------------------------------------------------- */

/* "sockets (2) * clusters (2) * cores (2) * threads (1)": the levels the board has. */
static char *hierarchy(const MachineType *type, const uint64_t *level)
{
    GString *s = g_string_new(NULL);
    g_string_append_printf(s, "sockets (%" PRIu64 ")", level[SOCKETS]);
    if (type && type->dies)
        g_string_append_printf(s, " * dies (%" PRIu64 ")", level[DIES]);
    if (type && type->clusters)
        g_string_append_printf(s, " * clusters (%" PRIu64 ")", level[CLUSTERS]);
    g_string_append_printf(s, " * cores (%" PRIu64 ") * threads (%" PRIu64 ")", level[CORES],
                           level[THREADS]);
    return g_string_free(s, FALSE);
}

/* What is left out follows from the rest: the CPUs that no level accounts for are cores, or sockets on
   boards of old. */
static void smp_fill(uint64_t *level, uint64_t max, bool sockets_first)
{
    const int order[2] = {sockets_first ? SOCKETS : CORES, sockets_first ? CORES : SOCKETS};
    uint64_t inner = level[DIES] * level[CLUSTERS];
    if (!max) {
        for (int i = 0; i < LEVELS; i++)
            level[i] = level[i] ? level[i] : 1;
        return;
    }
    for (int i = 0; i < 2; i++) {
        int own = order[i], other = order[1 - i];
        if (level[own])
            continue;
        level[other] = level[other] ? level[other] : 1;
        level[THREADS] = level[THREADS] ? level[THREADS] : 1;
        level[own] = max / (inner * level[other] * level[THREADS]);
        return;
    }
    if (!level[THREADS])
        level[THREADS] = max / (inner * level[SOCKETS] * level[CORES]);
}

static bool smp_complete(const MachineOptions *o, MachineSmp *smp, GError **error)
{
    uint64_t cpus = smp->cpus, max = smp->maxcpus;
    uint64_t level[LEVELS] = {smp->sockets, smp->dies ? smp->dies : 1,
                              smp->clusters ? smp->clusters : 1, smp->cores, smp->threads};
    max = max ? max : cpus;
    smp_fill(level, max, o->type && machine_options_version(o) < o->type->sockets_before);
    uint64_t product = 1;
    for (int i = 0; i < LEVELS; i++)
        if (__builtin_mul_overflow(product, level[i], &product))
            product = UINT64_MAX;
    max = max ? max : product;
    cpus = cpus ? cpus : max;
    g_autofree char *text = hierarchy(o->type, level);
    if (product != max)
        return fail_usage(error,
                          "Invalid CPU topology: product of the hierarchy must match maxcpus: "
                          "%s != maxcpus (%" PRIu64 ")",
                          text, max);
    if (max < cpus)
        return fail_usage(error,
                          "Invalid CPU topology: maxcpus must be equal to or greater than smp: "
                          "%s == maxcpus (%" PRIu64 ") < smp_cpus (%" PRIu64 ")",
                          text, max, cpus);
    if (max > SMP_LIMIT)
        return fail_usage(error, "Invalid SMP CPUs %" PRIu64, max);
    *smp = (MachineSmp){(unsigned)cpus,
                        (unsigned)level[SOCKETS],
                        (unsigned)level[DIES],
                        (unsigned)level[CLUSTERS],
                        (unsigned)level[CORES],
                        (unsigned)level[THREADS],
                        (unsigned)max};
    return true;
}

bool machine_options_parse_smp(MachineOptions *o, const char *text, GError **error)
{
    g_autoptr(GArray) pairs = split(text, "cpus");
    MachineSmp smp = {0};
    const struct {
        const char *key;
        unsigned *field;
    } keys[] = {
        {"cpus", &smp.cpus},       {"sockets", &smp.sockets}, {"cores", &smp.cores},
        {"threads", &smp.threads}, {"maxcpus", &smp.maxcpus}, {"dies", &smp.dies},
        {"clusters", &smp.clusters},
    };
    for (guint i = 0; i < pairs->len; i++) {
        const Pair *pair = &g_array_index(pairs, Pair, i);
        unsigned *field = NULL;
        for (size_t k = 0; k < G_N_ELEMENTS(keys); k++)
            if (strcmp(keys[k].key, pair->key) == 0)
                field = keys[k].field;
        if (!field)
            return fail_usage(error, "Parameter 'smp.%s' is unexpected", pair->key);
        guint64 value;
        if (!g_ascii_string_to_unsigned(pair->value, 10, 0, SMP_LIMIT, &value, NULL))
            return fail_usage(error, "Parameter 'smp.%s' expects integer", pair->key);
        if (!value)
            return fail_usage(error,
                              "Invalid CPU topology: CPU topology parameters must be greater "
                                     "than zero");
        *field = (unsigned)value;
    }
    if (smp.dies > 1 && !(o->type && o->type->dies))
        return fail_usage(error, "dies not supported by this machine's CPU topology");
    if (smp.clusters > 1 && !(o->type && o->type->clusters))
        return fail_usage(error, "clusters not supported by this machine's CPU topology");
    if (!smp_complete(o, &smp, error))
        return false;
    o->smp = smp;
    return true;
}

/* ---- -m ------------------------------------------------------------------ */

/* "4G", "1.5G", "512" with unit as what a bare number counts. */
static bool parse_size(const char *text, uint64_t unit, uint64_t *out)
{
    static const char suffixes[] = "bkmgtpe";
    char *end;
    if (!g_ascii_isdigit(text[0]))
        return false;
    errno = 0;
    bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
    uint64_t whole = g_ascii_strtoull(text, &end, hex ? 16 : 10);
    if (errno)
        return false;
    double fraction = 0;
    if (*end == '.' && !hex) {
        char *after;
        fraction = g_ascii_strtod(end, &after);
        if (after == end)
            return false;
        end = after;
    }
    if (*end) {
        const char *s = strchr(suffixes, g_ascii_tolower(*end));
        if (!s || end[1])
            return false;
        unit = UINT64_C(1) << (10 * (s - suffixes));
    }
    return !__builtin_mul_overflow(whole, unit, out) &&
           !__builtin_add_overflow(*out, (uint64_t)(fraction * (double)unit), out);
}

bool machine_options_parse_memory(MachineOptions *o, const char *text, GError **error)
{
    g_autoptr(GArray) pairs = split(text, "size");
    uint64_t size = o->ram_size, max = 0;
    guint64 slots = 0;
    for (guint i = 0; i < pairs->len; i++) {
        const Pair *pair = &g_array_index(pairs, Pair, i);
        bool is_size = strcmp(pair->key, "size") == 0, is_max = strcmp(pair->key, "maxmem") == 0;
        if (strcmp(pair->key, "slots") == 0) {
            if (!g_ascii_string_to_unsigned(pair->value, 10, 0, UINT32_MAX, &slots, NULL))
                return fail_usage(error, "-m %s: Parameter 'slots' expects a number", text);
        } else if (is_size || is_max) {
            /* A size without a unit is MiB; maxmem's is bytes. */
            if (!parse_size(pair->value, is_size ? MIB : 1, is_size ? &size : &max))
                return fail_usage(error,
                                  "-m %s: Parameter '%s' expects a non-negative number below 2^64, "
                                  "with an optional suffix k, M, G, T, P or E",
                                  text, pair->key);
        } else {
            return fail_usage(error, "-m %s: Invalid parameter '%s'", text, pair->key);
        }
    }
    if (slots && !max)
        return fail_usage(error, "slots specified but no max-size");
    if (max && max < size)
        return fail_usage(error,
                          "invalid value of maxmem: maximum memory size (%#" PRIx64
                          ") must be at least the initial memory size (%#" PRIx64 ")",
                          max, size);
    if (size > UINT64_MAX - 8191)
        return fail_usage(error, "-m %s: ram size too large", text);
    o->ram_size = align_up(size, 8192);
    o->ram_max = max;
    o->ram_slots = (unsigned)slots;
    return true;
}

/* ---- All together -------------------------------------------------------- */

/* Of any board with NUMA. */
static const MachineProp numa_props[] = {
    {.name = "hmat", .is_bool = true, .def = "off", .help = "-numa tells of latencies and caches"},
    {.name = "memory-backend", .help = "-object memory-backend-... that the memory is"},
    {.name = NULL},
};

/* Of any board, for those who say them anyway: they make no difference here. */
static const MachineProp common_props[] = {
    {.name = "usb", .is_bool = true, .def = "off", .help = "a USB controller; there is none to add"},
    {.name = "dump-guest-core", .is_bool = true, .def = "on", .help = "taken"},
    {.name = "mem-merge", .is_bool = true, .def = "on", .help = "taken"},
    {.name = "suppress-vmdesc", .is_bool = true, .def = "off", .help = "taken"},
    {.name = "graphics", .is_bool = true, .def = "on", .help = "taken"},
    {.name = NULL},
};

static const MachineProp *prop_find(const MachineType *type, const char *name)
{
    const MachineProp *const tables[] = {type->props, type->numa ? numa_props : NULL, common_props};
    for (size_t i = 0; i < G_N_ELEMENTS(tables); i++)
        for (const MachineProp *p = tables[i]; p && p->name; p++)
            if (strcmp(p->name, name) == 0)
                return p;
    return NULL;
}

/* The size of -M memory-backend=, which -m, if given, has to agree with. */
static bool check_backend(MachineOptions *o, GError **error)
{
    const char *id = g_hash_table_lookup(o->props, "memory-backend");
    if (!id)
        return true;
    if (o->numa->uses_memdev)
        return fail_usage(error, "'-machine memory-backend' and '-numa memdev' properties are "
                                 "mutually exclusive");
    const MachineMemoryBackend *b = machine_numa_backend(o->numa, id);
    if (!b)
        return fail_usage(error, "Memory backend '%s' not found", id);
    if (o->ram_size && o->ram_size != b->size)
        return fail_usage(error,
                          "Machine memory size does not match the size of the memory backend: -m "
                          "says %" PRIu64 " bytes, '%s' has %" PRIu64,
                          o->ram_size, id, b->size);
    o->ram_size = b->size;
    return true;
}

static bool check_props(const MachineOptions *o, GError **error)
{
    static const char *const truth[] = {"on", "off", "yes", "no", "true", "false", "y", "n", NULL};
    static const char *const yes[] = {"on", "yes", "true", "y", NULL};
    GHashTableIter iter;
    gpointer key, value;
    g_hash_table_iter_init(&iter, o->props);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        const MachineProp *p = prop_find(o->type, key);
        if (!p)
            return fail_usage(error, "Property '%s-machine.%s' not found", o->type->name,
                              (const char *)key);
        if (p->is_bool && !g_strv_contains(truth, value))
            return fail_usage(error, "Parameter '%s' expects 'on' or 'off'", p->name);
        if (p == common_props && g_strv_contains(yes, value)) /* a board of its own may have one */
            return fail_usage(error, "machine '%s' has no USB controller", o->type->name);
    }
    return true;
}

bool machine_options_check(MachineOptions *o, GError **error)
{
    const MachineType *type = o->type;
    if (!type)
        return fail_usage(error, "No machine specified, and there is no default");
    if (!check_props(o, error) || !check_backend(o, error))
        return false;
    if (o->smp.maxcpus > type->max_cpus)
        return fail_usage(error,
                          "Invalid SMP CPUs %u. The max CPUs supported by machine '%s' is %u",
                          o->smp.maxcpus, machine_options_name(o), type->max_cpus);
    if (!o->ram_size)
        o->ram_size = type->ram_default;
    if (!o->ram_max)
        o->ram_max = o->ram_size;
    if (o->ram_size < type->ram_min)
        return fail_usage(error, "machine '%s' needs at least %" PRIu64 " MiB of memory",
                          type->name, type->ram_min / MIB);
    if (o->ram_max > type->ram_limit)
        return fail_usage(error,
                          "%" PRIu64 " MiB of memory do not fit in the address space of machine "
                          "'%s', which takes %" PRIu64 " MiB",
                          o->ram_max / MIB, type->name, type->ram_limit / MIB);
    return machine_numa_check(o, error);
}
