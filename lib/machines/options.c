/* SPDX-License-Identifier: MIT */
/* The grammar of -M, -smp and -m, as QEMU users type it. */
#include "machines/machine.h"

#include "base/bits.h"
#include "base/error.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define MIB (UINT64_C(1) << 20)
/* Of each number of -smp and of their product: far over any board's own limit, and small enough
   that products of three fit. */
#define SMP_LIMIT (UINT64_C(1) << 20)

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
    for (size_t i = 0; types[i]; i++)
        if (types[i]->is_default)
            o->type = types[i];
    o->smp = (MachineSmp){1, 1, 1, 1, 1};
    o->props = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    return o;
}

void machine_options_free(MachineOptions *o)
{
    if (!o)
        return;
    g_hash_table_destroy(o->props);
    g_free(o->dumpdtb);
    g_free(o->accel);
    g_free(o);
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

/* What is left out follows from the rest; cores are preferred over sockets. */
static bool smp_complete(MachineSmp *smp, GError **error)
{
    uint64_t cpus = smp->cpus, max = smp->maxcpus;
    uint64_t sockets = smp->sockets, cores = smp->cores, threads = smp->threads;
    if (!cpus && !max) {
        sockets = sockets ? sockets : 1;
        cores = cores ? cores : 1;
    } else {
        max = max ? max : cpus;
        if (!cores) {
            sockets = sockets ? sockets : 1;
            threads = threads ? threads : 1;
            cores = max / (sockets * threads);
        } else if (!sockets) {
            threads = threads ? threads : 1;
            sockets = max / (cores * threads);
        }
    }
    if (!threads)
        threads = max ? max / (sockets * cores) : 1;
    uint64_t product = sockets * cores * threads;
    max = max ? max : product;
    cpus = cpus ? cpus : max;
    if (product != max)
        return fail_usage(error,
                          "Invalid CPU topology: product of the hierarchy must match maxcpus: "
                          "sockets (%" PRIu64 ") * cores (%" PRIu64 ") * threads (%" PRIu64
                          ") != maxcpus (%" PRIu64 ")",
                          sockets, cores, threads, max);
    if (max < cpus)
        return fail_usage(error,
                          "Invalid CPU topology: maxcpus must be equal to or greater than smp: "
                          "sockets (%" PRIu64 ") * cores (%" PRIu64 ") * threads (%" PRIu64
                          ") == maxcpus (%" PRIu64 ") < smp_cpus (%" PRIu64 ")",
                          sockets, cores, threads, max, cpus);
    if (max > SMP_LIMIT)
        return fail_usage(error, "Invalid SMP CPUs %" PRIu64, max);
    *smp = (MachineSmp){(unsigned)cpus, (unsigned)sockets, (unsigned)cores, (unsigned)threads,
                        (unsigned)max};
    return true;
}

bool machine_options_parse_smp(MachineOptions *o, const char *text, GError **error)
{
    g_autoptr(GArray) pairs = split(text, "cpus");
    MachineSmp smp = {0};
    unsigned dies = 0, clusters = 0;
    const struct {
        const char *key;
        unsigned *field;
    } keys[] = {
        {"cpus", &smp.cpus},       {"sockets", &smp.sockets}, {"cores", &smp.cores},
        {"threads", &smp.threads}, {"maxcpus", &smp.maxcpus}, {"dies", &dies},
        {"clusters", &clusters},
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
    if (dies > 1)
        return fail_usage(error, "dies not supported by this machine's CPU topology");
    if (clusters > 1)
        return fail_usage(error, "clusters not supported by this machine's CPU topology");
    if (!smp_complete(&smp, error))
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

static bool check_props(const MachineOptions *o, GError **error)
{
    static const char *const truth[] = {"on", "off", "yes", "no", "true", "false", "y", "n", NULL};
    GHashTableIter iter;
    gpointer key, value;
    g_hash_table_iter_init(&iter, o->props);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        const MachineProp *p = o->type->props;
        while (p && p->name && strcmp(p->name, key) != 0)
            p++;
        if (!p || !p->name)
            return fail_usage(error, "Property '%s-machine.%s' not found", o->type->name,
                              (const char *)key);
        if (p->is_bool && !g_strv_contains(truth, value))
            return fail_usage(error, "Parameter '%s' expects 'on' or 'off'", p->name);
    }
    return true;
}

bool machine_options_check(MachineOptions *o, GError **error)
{
    const MachineType *type = o->type;
    if (!type)
        return fail_usage(error, "No machine specified, and there is no default");
    if (!check_props(o, error))
        return false;
    if (o->smp.maxcpus > type->max_cpus)
        return fail_usage(error,
                          "Invalid SMP CPUs %u. The max CPUs supported by machine '%s' is %u",
                          o->smp.maxcpus, type->name, type->max_cpus);
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
    return true;
}
