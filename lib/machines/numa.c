/* SPDX-License-Identifier: MIT */
/* The grammar of -numa, and what must hold once all of it is known. */
#include "machines/machine_priv.h"

#include "base/error.h"
#include "base/option.h"

#include <inttypes.h>
#include <limits.h>
#include <string.h>

/* ---- The struct ---------------------------------------------------------- */

static void backend_free(gpointer data)
{
    MachineMemoryBackend *b = data;
    g_free(b->id);
    g_free(b->path);
    g_free(b);
}

MachineNuma *machine_numa_new(void)
{
    MachineNuma *numa = g_new0(MachineNuma, 1);
    numa->nodes = g_new0(MachineNumaNode, MACHINE_NUMA_NODES);
    for (unsigned i = 0; i < MACHINE_NUMA_NODES; i++)
        numa->nodes[i].initiator = MACHINE_NUMA_NODES;
    numa->cpu_nodes = g_array_new(FALSE, FALSE, sizeof(unsigned));
    numa->lb = g_array_new(FALSE, FALSE, sizeof(MachineHmatLb));
    numa->caches = g_array_new(FALSE, FALSE, sizeof(MachineHmatCache));
    numa->backends = g_ptr_array_new_with_free_func(backend_free);
    return numa;
}

MachineNuma *machine_numa_copy(const MachineNuma *numa)
{
    MachineNuma *copy = g_memdup2(numa, sizeof *numa);
    copy->nodes = g_memdup2(numa->nodes, MACHINE_NUMA_NODES * sizeof *numa->nodes);
    for (unsigned i = 0; i < MACHINE_NUMA_NODES; i++)
        copy->nodes[i].memdev = g_strdup(numa->nodes[i].memdev);
    copy->cpu_nodes = g_array_copy(numa->cpu_nodes);
    copy->lb = g_array_copy(numa->lb);
    copy->caches = g_array_copy(numa->caches);
    copy->backends = g_ptr_array_new_with_free_func(backend_free);
    for (guint i = 0; i < numa->backends->len; i++) {
        MachineMemoryBackend *b = g_memdup2(numa->backends->pdata[i], sizeof *b);
        b->id = g_strdup(b->id);
        b->path = g_strdup(b->path);
        g_ptr_array_add(copy->backends, b);
    }
    return copy;
}

void machine_numa_free(MachineNuma *numa)
{
    if (!numa)
        return;
    for (unsigned i = 0; i < MACHINE_NUMA_NODES; i++)
        g_free(numa->nodes[i].memdev);
    g_free(numa->nodes);
    g_array_free(numa->cpu_nodes, TRUE);
    g_array_free(numa->lb, TRUE);
    g_array_free(numa->caches, TRUE);
    g_ptr_array_free(numa->backends, TRUE);
    g_free(numa);
}

MachineMemoryBackend *machine_numa_backend(const MachineNuma *numa, const char *id)
{
    for (guint i = 0; i < numa->backends->len; i++) {
        MachineMemoryBackend *b = numa->backends->pdata[i];
        if (strcmp(b->id, id) == 0)
            return b;
    }
    return NULL;
}

unsigned machine_numa_cpu_node(const MachineNuma *numa, unsigned cpu)
{
    return cpu < numa->cpu_nodes->len ? g_array_index(numa->cpu_nodes, unsigned, cpu) : 0;
}

/* ---- -object memory-backend-* -------------------------------------------- */

bool machine_options_is_memory_object(const char *text)
{
    return g_str_has_prefix(text, "memory-backend-") ||
           g_str_has_prefix(text, "qom-type=memory-backend-");
}

/* What only running memory would differ by is checked and no more. */
static bool backend_props(MachineMemoryBackend *b, Options *options, const char *kind,
                          GError **error)
{
    bool ignored_bool = false, is_file = strcmp(kind, "memory-backend-file") == 0;
    uint64_t ignored = 0;
    static const char *const bools[] = {"merge", "dump", "prealloc", "reserve",
                                        "x-use-canonical-path-for-ramblock-id"};
    for (size_t i = 0; i < G_N_ELEMENTS(bools); i++)
        if (!options_get_bool(options, bools[i], &ignored_bool, error))
            return false;
    options_get(options, "host-nodes");
    options_get(options, "policy");
    if (!options_get_number(options, "prealloc-threads", 1, UINT32_MAX, &ignored, error) ||
        !options_get_bool(options, "share", &ignored_bool, error))
        return false;
    if (strcmp(kind, "memory-backend-memfd") == 0 &&
        (!options_get_bool(options, "hugetlb", &ignored_bool, error) ||
         !options_get_bool(options, "seal", &ignored_bool, error) ||
         !options_get_size(options, "hugetlbsize", 1, &ignored, error)))
        return false;
    if (!is_file)
        return true;
    const char *path = options_need(options, "mem-path", error);
    if (!path)
        return false;
    b->path = g_strdup(path);
    return options_get_size(options, "align", 1, &b->align, error) &&
           options_get_bool(options, "pmem", &ignored_bool, error) &&
           options_get_bool(options, "readonly", &ignored_bool, error) &&
           options_get_bool(options, "discard-data", &ignored_bool, error);
}

static bool backend_parse(MachineOptions *o, Options *options, GError **error)
{
    static const char *const kinds[] = {"memory-backend-ram", "memory-backend-file",
                                        "memory-backend-memfd", NULL};
    const char *kind = options_get(options, "qom-type");
    if (!kind || !g_strv_contains(kinds, kind))
        return fail_usage(error, "Parameter 'qom-type' does not accept value '%s'",
                          kind ? kind : "");
    const char *id = options_need(options, "id", error);
    if (!id)
        return false;
    if (machine_numa_backend(o->numa, id))
        return fail_usage(error, "attempt to add duplicate property '%s' to object", id);
    MachineMemoryBackend *b = g_new0(MachineMemoryBackend, 1);
    b->id = g_strdup(id);
    g_ptr_array_add(o->numa->backends, b);
    if (!options_has(options, "size"))
        return fail_usage(error, "Parameter 'size' is missing");
    if (!options_get_size(options, "size", 1, &b->size, error))
        return false;
    if (!b->size)
        return fail_usage(error, "property 'size' of %s doesn't take value '0'", kind);
    return backend_props(b, options, kind, error) && options_done(options, error);
}

bool machine_options_parse_memory_object(MachineOptions *o, const char *text, GError **error)
{
    g_autoptr(Options) options = options_parse(text, "qom-type", error);
    return (options && backend_parse(o, options, error)) || prefix(error, "-object %s", text);
}

/* ---- -numa --------------------------------------------------------------- */

/* CPU n belongs to the node, unless it has one already. */
static bool assign_cpu(MachineOptions *o, unsigned cpu, unsigned node, GError **error)
{
    GArray *nodes = o->numa->cpu_nodes;
    const unsigned none = MACHINE_NUMA_NODES;
    while (nodes->len < o->smp.maxcpus)
        g_array_append_val(nodes, none);
    unsigned *at = &g_array_index(nodes, unsigned, cpu);
    if (*at != none && *at != node)
        return fail_usage(error, "CPU is already assigned to node-id: %u", *at);
    *at = node;
    o->numa->nodes[node].has_cpus = true;
    return true;
}

/* "2" or "0-3". */
static bool assign_range(MachineOptions *o, const char *text, unsigned node, GError **error)
{
    g_auto(GStrv) ends = g_strsplit(text, "-", 2);
    guint64 first, last;
    if (!g_ascii_string_to_unsigned(ends[0], 10, 0, UINT32_MAX, &first, NULL) ||
        !g_ascii_string_to_unsigned(ends[1] ? ends[1] : ends[0], 10, 0, UINT32_MAX, &last, NULL) ||
        last < first)
        return fail_usage(error, "Parameter 'cpus' expects a uint64 value or range");
    for (guint64 cpu = first; cpu <= last; cpu++) {
        if (cpu >= o->smp.maxcpus)
            return fail_usage(error,
                              "CPU index (%" G_GUINT64_FORMAT
                              ") should be smaller than maxcpus (%u)",
                              cpu, o->smp.maxcpus);
        if (!assign_cpu(o, (unsigned)cpu, node, error))
            return false;
    }
    return true;
}

static bool hmat_allowed(const MachineOptions *o, GError **error)
{
    const char *value = g_hash_table_lookup(o->props, "hmat");
    if (value && (!strcmp(value, "on") || !strcmp(value, "yes") || !strcmp(value, "true")))
        return true;
    return fail_usage(error, "ACPI Heterogeneous Memory Attribute Table (HMAT) is disabled, enable "
                             "it with -machine hmat=on before using any of hmat specific options");
}

/* Memory of a node that is being declared. */
static bool node_memory(MachineOptions *o, MachineNumaNode *node, Options *options, GError **error)
{
    MachineNuma *numa = o->numa;
    const char *memdev = options_get(options, "memdev");
    bool mem = options_has(options, "mem");
    bool others_mem = false;
    for (unsigned i = 0; i < MACHINE_NUMA_NODES; i++)
        others_mem |= numa->nodes[i].declared && numa->nodes[i].has_ram && !numa->nodes[i].memdev;
    if (mem && (memdev || numa->uses_memdev))
        return fail_usage(error, "numa configuration should use either mem= or memdev=, mixing "
                                 "both is not allowed");
    if (memdev && others_mem)
        return fail_usage(error, "numa configuration should use either mem= or memdev=, mixing "
                                 "both is not allowed");
    if (mem && o->type->numa_mem_before != UINT_MAX &&
        machine_options_version(o) >= o->type->numa_mem_before)
        return fail_usage(error, "Parameter -numa node,mem is not supported by this machine type");
    if (!options_get_size(options, "mem", UINT64_C(1) << 20, &node->ram, error))
        return false;
    node->has_ram = mem || memdev;
    if (!memdev)
        return true;
    MachineMemoryBackend *b = machine_numa_backend(numa, memdev);
    if (!b)
        return fail_usage(error, "memdev=%s: there is no -object memory-backend-... of that id",
                          memdev);
    if (b->used)
        return fail_usage(error, "memory backend %s can't be used multiple times.", memdev);
    b->used = numa->uses_memdev = true;
    node->memdev = g_strdup(memdev);
    node->ram = b->size;
    return true;
}

static bool parse_node(MachineOptions *o, Options *options, GError **error)
{
    MachineNuma *numa = o->numa;
    uint64_t id = numa->count, initiator = MACHINE_NUMA_NODES;
    if (!options_get_number(options, "nodeid", 0, UINT16_MAX, &id, error))
        return false;
    if (id >= MACHINE_NUMA_NODES)
        return fail_usage(error, "Max number of NUMA nodes reached: %" PRIu64, id);
    MachineNumaNode *node = &numa->nodes[id];
    if (node->declared)
        return fail_usage(error, "Duplicate NUMA nodeid: %" PRIu64, id);
    if (options_has(options, "initiator")) {
        if (!options_get_number(options, "initiator", 0, UINT16_MAX, &initiator, error))
            return false;
        if (!hmat_allowed(o, error))
            return false;
        if (initiator >= MACHINE_NUMA_NODES)
            return fail_usage(error, "initiator=%" PRIu64 " expects an integer between 0 and %d",
                              initiator, MACHINE_NUMA_NODES - 1);
    }
    if (!node_memory(o, node, options, error))
        return false;
    const char *cpus;
    for (unsigned n = 0; (cpus = options_nth(options, "cpus", n)); n++)
        if (!assign_range(o, cpus, (unsigned)id, error))
            return false;
    node->initiator = (unsigned)initiator;
    node->declared = true;
    numa->count++;
    return true;
}

/* A number that must be there. */
static bool need_number(Options *options, const char *key, uint64_t max, const char *what,
                        uint64_t *value, GError **error)
{
    const char *text = options_get(options, key);
    if (!text)
        return fail_usage(error, "Parameter '%s' is missing", key);
    guint64 v;
    if (!g_ascii_string_to_unsigned(text, 10, 0, max, &v, NULL))
        return fail_usage(error, "Parameter '%s' expects %s", key, what);
    *value = v;
    return true;
}

static bool parse_dist(MachineOptions *o, Options *options, GError **error)
{
    MachineNuma *numa = o->numa;
    uint64_t src, dst, val;
    if (!need_number(options, "src", UINT16_MAX, "uint16_t", &src, error) ||
        !need_number(options, "dst", UINT16_MAX, "uint16_t", &dst, error) ||
        !need_number(options, "val", UINT8_MAX, "uint8_t", &val, error))
        return false;
    if (src >= MACHINE_NUMA_NODES || dst >= MACHINE_NUMA_NODES)
        return fail_usage(error,
                          "Parameter '%s' expects an integer between 0 and %d",
                          src >= MACHINE_NUMA_NODES ? "src" : "dst", MACHINE_NUMA_NODES - 1);
    if (!numa->nodes[src].declared || !numa->nodes[dst].declared)
        return fail_usage(error, "Source/Destination NUMA node is missing. Please use '-numa node' "
                                 "option to declare it first.");
    if (val < MACHINE_NUMA_DISTANCE_SELF)
        return fail_usage(error,
                          "NUMA distance (%" PRIu64 ") is invalid, it shouldn't be less than %d.",
                          val, MACHINE_NUMA_DISTANCE_SELF);
    if (src == dst && val != MACHINE_NUMA_DISTANCE_SELF)
        return fail_usage(error, "Local distance of node %" PRIu64 " should be %d.", src,
                          MACHINE_NUMA_DISTANCE_SELF);
    numa->nodes[src].distance[dst] = (uint8_t)val;
    numa->has_distances = true;
    return true;
}

static const struct {
    const char *key, *name;
    size_t offset;
} id_keys[] = {
    {"socket-id", "socket", offsetof(MachineCpuIds, socket)},
    {"die-id", "die", offsetof(MachineCpuIds, die)},
    {"cluster-id", "cluster", offsetof(MachineCpuIds, cluster)},
    {"core-id", "core", offsetof(MachineCpuIds, core)},
    {"thread-id", "thread", offsetof(MachineCpuIds, thread)},
};

static int id_of(const MachineCpuIds *ids, size_t key)
{
    return *(const int *)((const char *)ids + id_keys[key].offset);
}

void machine_options_cpu_ids(const MachineOptions *o, unsigned cpu, MachineCpuIds *ids)
{
    *ids = (MachineCpuIds){-1, -1, -1, -1, -1};
    if (o->type->cpu_ids)
        o->type->cpu_ids(o, cpu, ids);
    else
        ids->core = (int)cpu;
}

static bool parse_cpu(MachineOptions *o, Options *options, GError **error)
{
    uint64_t node = 0, want[G_N_ELEMENTS(id_keys)];
    if (!options_has(options, "node-id"))
        return fail_usage(error, "Missing mandatory node-id property");
    if (!need_number(options, "node-id", INT32_MAX, "an integer", &node, error))
        return false;
    if (node >= MACHINE_NUMA_NODES || !o->numa->nodes[node].declared)
        return fail_usage(error,
                          "Invalid node-id=%" PRIu64 ", NUMA node must be defined with -numa "
                          "node,nodeid=ID before it's used with -numa cpu,node-id=ID",
                          node);
    MachineCpuIds ids;
    machine_options_cpu_ids(o, 0, &ids);
    for (size_t k = 0; k < G_N_ELEMENTS(id_keys); k++) {
        if (!options_has(options, id_keys[k].key))
            continue;
        if (id_of(&ids, k) < 0)
            return fail_usage(error, "%s is not supported", id_keys[k].key);
        if (!need_number(options, id_keys[k].key, INT32_MAX, "an integer", &want[k], error))
            return false;
    }
    bool found = false;
    for (unsigned cpu = 0; cpu < o->smp.maxcpus; cpu++) {
        bool same = true;
        machine_options_cpu_ids(o, cpu, &ids);
        for (size_t k = 0; k < G_N_ELEMENTS(id_keys); k++)
            same &= !options_has(options, id_keys[k].key) || id_of(&ids, k) == (int)want[k];
        if (same && !assign_cpu(o, cpu, (unsigned)node, error))
            return false;
        found |= same;
    }
    return found || fail_usage(error, "no match found");
}

static bool hmat_node(const MachineOptions *o, const char *key, uint64_t id, GError **error)
{
    return (id < MACHINE_NUMA_NODES && o->numa->nodes[id].declared) ||
           fail_usage(error,
                      "Invalid %s=%" PRIu64 ", it should be less than the number of nodes, %u", key,
                      id, o->numa->count);
}

static bool need_enum(Options *options, const char *key, const char *const *names, int *value,
                      GError **error)
{
    return options_has(options, key) ? options_get_enum(options, key, names, value, error)
                                     : fail_usage(error, "Parameter '%s' is missing", key);
}

static bool parse_hmat_lb(MachineOptions *o, Options *options, GError **error)
{
    static const char *const hierarchies[] = {"memory", "first-level", "second-level",
                                              "third-level", NULL};
    static const char *const kinds[] = {"access-latency",   "read-latency",   "write-latency",
                                        "access-bandwidth", "read-bandwidth", "write-bandwidth",
                                        NULL};
    uint64_t initiator, target, latency = 0, bandwidth = 0;
    int hierarchy = 0, kind = 0;
    if (!need_number(options, "initiator", UINT16_MAX, "uint16_t", &initiator, error) ||
        !need_number(options, "target", UINT16_MAX, "uint16_t", &target, error) ||
        !need_enum(options, "hierarchy", hierarchies, &hierarchy, error) ||
        !need_enum(options, "data-type", kinds, &kind, error) ||
        !options_get_number(options, "latency", 0, UINT64_MAX, &latency, error) ||
        !options_get_size(options, "bandwidth", 1, &bandwidth, error) ||
        !hmat_allowed(o, error) || !hmat_node(o, "initiator", initiator, error) ||
        !hmat_node(o, "target", target, error))
        return false;
    bool is_latency = kind <= MACHINE_HMAT_WRITE_LATENCY;
    if (!o->numa->nodes[initiator].has_cpus)
        return fail_usage(error,
                          "Invalid initiator=%" PRIu64 ", it isn't an initiator proximity domain",
                          initiator);
    if (options_has(options, is_latency ? "bandwidth" : "latency"))
        return fail_usage(error, "Please only specify %s when data-type is %s",
                          is_latency ? "latency" : "bandwidth", kinds[kind]);
    if (!options_has(options, is_latency ? "latency" : "bandwidth"))
        return fail_usage(error, "Missing '%s' option", is_latency ? "latency" : "bandwidth");
    for (guint i = 0; i < o->numa->lb->len; i++) {
        const MachineHmatLb *old = &g_array_index(o->numa->lb, MachineHmatLb, i);
        if (old->initiator == initiator && old->target == target &&
            (int)old->hierarchy == hierarchy && (int)old->data == kind)
            return fail_usage(error,
                              "Duplicate configuration of the %s for initiator=%" PRIu64
                              " and target=%" PRIu64,
                              is_latency ? "latency" : "bandwidth", initiator, target);
    }
    MachineHmatLb lb = {(unsigned)initiator, (unsigned)target, (MachineHmatHierarchy)hierarchy,
                        (MachineHmatData)kind, is_latency ? latency : bandwidth};
    g_array_append_val(o->numa->lb, lb);
    return true;
}

static int cache_order(const void *a, const void *b)
{
    const MachineHmatCache *x = a, *y = b;
    return x->node != y->node ? (x->node < y->node ? -1 : 1) : (int)x->level - (int)y->level;
}

/* A cache farther from the CPU is larger. */
static bool cache_sizes(const GArray *caches, const MachineHmatCache *new, GError **error)
{
    for (guint i = 0; i < caches->len; i++) {
        const MachineHmatCache *old = &g_array_index(caches, MachineHmatCache, i);
        if (old->node != new->node)
            continue;
        if (old->level == new->level)
            return fail_usage(error,
                              "Duplicate configuration of the side cache for node-id=%u and "
                              "level=%u",
                              new->node, new->level);
        if (old->level < new->level ? old->size >= new->size : old->size <= new->size)
            return fail_usage(error,
                              "Invalid size=%" PRIu64 ", the size of level=%u should be %s than "
                              "the size(%" PRIu64 ") of level=%u",
                              new->size, new->level, old->level < new->level ? "larger" : "less",
                              old->size, old->level);
    }
    return true;
}

static bool parse_hmat_cache(MachineOptions *o, Options *options, GError **error)
{
    static const char *const kinds[] = {"none", "direct", "complex", NULL};
    static const char *const policies[] = {"none", "write-back", "write-through", NULL};
    uint64_t node, size = 0, level, line;
    int associativity = 0, policy = 0;
    if (!need_number(options, "node-id", UINT32_MAX, "uint32_t", &node, error))
        return false;
    if (!options_has(options, "size"))
        return fail_usage(error, "Parameter 'size' is missing");
    if (!options_get_size(options, "size", 1, &size, error) ||
        !need_number(options, "level", UINT8_MAX, "uint8_t", &level, error) ||
        !need_enum(options, "associativity", kinds, &associativity, error) ||
        !need_enum(options, "policy", policies, &policy, error) ||
        !need_number(options, "line", UINT16_MAX, "uint16_t", &line, error) ||
        !hmat_allowed(o, error) || !hmat_node(o, "node-id", node, error))
        return false;
    if (!level || level > 3)
        return fail_usage(error,
                          "Invalid level=%" PRIu64 ", it should be larger than 0 and less than or "
                          "equal to 3",
                          level);
    MachineHmatCache cache = {(unsigned)node,          size,             (unsigned)level,
                              (unsigned)associativity, (unsigned)policy, (uint16_t)line};
    if (!cache_sizes(o->numa->caches, &cache, error))
        return false;
    g_array_append_val(o->numa->caches, cache);
    g_array_sort(o->numa->caches, cache_order);
    return true;
}

static bool parse(MachineOptions *o, Options *options, GError **error)
{
    static const struct {
        const char *name;
        bool (*parse)(MachineOptions *o, Options *options, GError **error);
    } kinds[] = {{"node", parse_node},       {"dist", parse_dist},
                 {"cpu", parse_cpu},         {"hmat-lb", parse_hmat_lb},
                 {"hmat-cache", parse_hmat_cache}};
    const char *type = options_get(options, "type");
    if (!type)
        return fail_usage(error, "Parameter 'type' is missing");
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++)
        if (strcmp(kinds[i].name, type) == 0)
            return kinds[i].parse(o, options, error) && options_done(options, error);
    return fail_usage(error, "Parameter 'type' does not accept value '%s'", type);
}

bool machine_options_parse_numa(MachineOptions *o, const char *text, GError **error)
{
    if (!o->type)
        return fail_usage(error, "No machine specified, and there is no default");
    if (!o->type->numa)
        return fail_usage(error, "NUMA is not supported by machine '%s'",
                          machine_options_name(o));
    g_autoptr(Options) options = options_parse(text, "type", error);
    return (options && parse(o, options, error)) || prefix(error, "-numa %s", text);
}

/* ---- All together -------------------------------------------------------- */

static bool complete_ram(MachineOptions *o, GError **error)
{
    MachineNuma *numa = o->numa;
    uint64_t total = 0;
    for (unsigned i = 0; i < numa->count; i++)
        if (__builtin_add_overflow(total, numa->nodes[i].ram, &total))
            return fail_usage(error, "the memory of NUMA nodes exceeds 2^64 bytes");
    if (total != o->ram_size)
        return fail_usage(error,
                          "total memory for NUMA nodes (0x%" PRIx64
                          ") should equal RAM size (0x%" PRIx64 ")",
                          total, o->ram_size);
    return true;
}

/* CPUs that no option named go where the board puts them. */
static void complete_cpus(MachineOptions *o)
{
    MachineNuma *numa = o->numa;
    const unsigned none = MACHINE_NUMA_NODES;
    bool any = false;
    for (guint i = 0; i < numa->cpu_nodes->len; i++)
        any |= g_array_index(numa->cpu_nodes, unsigned, i) != none;
    while (numa->cpu_nodes->len < o->smp.maxcpus)
        g_array_append_val(numa->cpu_nodes, none);
    for (unsigned cpu = 0; cpu < o->smp.maxcpus; cpu++) {
        unsigned *node = &g_array_index(numa->cpu_nodes, unsigned, cpu);
        if (*node == none)
            *node = any                ? 0
                    : o->type->cpu_node ? o->type->cpu_node(o, cpu)
                                        : (unsigned)((uint64_t)cpu * numa->count / o->smp.maxcpus);
        numa->nodes[*node].has_cpus = true;
    }
}

static bool complete_distances(MachineNuma *numa, GError **error)
{
    for (unsigned i = 0; i < numa->count; i++)
        for (unsigned k = 0; k < numa->count; k++)
            if (i != k && !numa->nodes[i].distance[k] && !numa->nodes[k].distance[i])
                return fail_usage(error,
                                  "The distance between node %u and %u is missing, at least one "
                                  "distance value between each nodes should be provided.",
                                  i, k);
    /* One direction stands for both, where no pair differs. */
    bool asymmetric = false;
    for (unsigned i = 0; i < numa->count; i++)
        for (unsigned k = 0; k < i; k++) {
            uint8_t a = numa->nodes[i].distance[k], b = numa->nodes[k].distance[i];
            asymmetric |= a && b && a != b;
        }
    for (unsigned i = 0; i < numa->count; i++)
        for (unsigned k = 0; k < numa->count; k++) {
            uint8_t *d = &numa->nodes[i].distance[k];
            if (!*d && i != k && asymmetric)
                return fail_usage(error, "At least one asymmetrical pair of distances is given, "
                                         "please provide distances for both directions of all node "
                                         "pairs.");
            if (!*d)
                *d = i == k ? MACHINE_NUMA_DISTANCE_SELF : numa->nodes[k].distance[i];
        }
    return true;
}

bool machine_numa_check(MachineOptions *o, GError **error)
{
    MachineNuma *numa = o->numa;
    if (!numa->count && o->type->numa_for_slots && o->ram_slots &&
        machine_options_version(o) >= o->type->numa_for_slots) {
        numa->nodes[0].declared = numa->nodes[0].has_ram = true;
        numa->nodes[0].ram = o->ram_size;
        numa->count = 1;
    }
    if (!numa->count)
        return true;
    unsigned highest = MACHINE_NUMA_NODES;
    while (!numa->nodes[highest - 1].declared)
        highest--;
    for (unsigned i = highest; i > 0; i--)
        if (!numa->nodes[i - 1].declared)
            return fail_usage(error, "numa: Node ID missing: %u", i - 1);
    if (!complete_ram(o, error))
        return false;
    complete_cpus(o);
    return !numa->has_distances || complete_distances(numa, error);
}
