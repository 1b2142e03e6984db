/* SPDX-License-Identifier: MIT */
/* -numa and memory backends: what they mean and what they refuse, on boards that differ. */
#include "machines/machine.h"

#include <limits.h>
#include <string.h>

#define MIB (UINT64_C(1) << 20)

static const char *const isas[] = {"test", NULL};

static void pc_ids(const MachineOptions *o, unsigned cpu, MachineCpuIds *ids)
{
    ids->thread = (int)(cpu % o->smp.threads);
    ids->core = (int)(cpu / o->smp.threads % o->smp.cores);
    ids->die = (int)(cpu / (o->smp.threads * o->smp.cores) % o->smp.dies);
    ids->socket = (int)(cpu / (o->smp.threads * o->smp.cores * o->smp.dies));
}

static const char *const versions[] = {"pc-7.0", "pc-6.1", "pc-5.0", NULL};

static const MachineType pc = {
    .name = "pc", .isas = isas, .versions = versions, .max_cpus = 64, .ram_limit = UINT64_C(1) << 40,
    .ram_default = 512 * MIB, .numa = true, .numa_for_slots = 212, .numa_mem_before = 501,
    .dies = true, .sockets_before = 602, .cpu_ids = pc_ids,
};

static const MachineType plain = {
    .name = "plain", .isas = isas, .max_cpus = 64, .ram_limit = UINT64_C(1) << 40,
    .ram_default = 512 * MIB,
};

/* Options in the order of a command line: "-smp 4", "-numa node"; the error's text or NULL. */
static char *parse(MachineOptions *o, const char *const *lines)
{
    GError *error = NULL;
    bool ok = true;
    for (; *lines && ok; lines++) {
        const char *text = strchr(*lines, ' ') + 1;
        if (g_str_has_prefix(*lines, "-smp"))
            ok = machine_options_parse_smp(o, text, &error);
        else if (g_str_has_prefix(*lines, "-m "))
            ok = machine_options_parse_memory(o, text, &error);
        else if (g_str_has_prefix(*lines, "-object"))
            ok = machine_options_parse_memory_object(o, text, &error);
        else if (g_str_has_prefix(*lines, "-numa"))
            ok = machine_options_parse_numa(o, text, &error);
        else if (g_str_has_prefix(*lines, "-M"))
            ok = machine_options_parse_machine(o, "test", text, &error);
        else
            g_assert_not_reached();
    }
    ok = ok && machine_options_check(o, &error);
    ok = ok && machine_options_check(o, &error); /* once more makes no difference */
    g_assert_true(ok == !error);
    char *text = error ? g_strdup(error->message) : NULL;
    g_clear_error(&error);
    return text;
}

static MachineOptions *options(const MachineType *type, const char *version)
{
    MachineOptions *o = machine_options_new("riscv64", NULL);
    o->type = type;
    o->version = version;
    return o;
}

static MachineOptions *good_(const MachineType *type, const char *version, const char *const *lines)
{
    MachineOptions *o = options(type, version);
    g_autofree char *text = parse(o, lines);
    g_assert_cmpstr(text, ==, NULL);
    return o;
}

static void bad_(const char *want, const MachineType *type, const char *version,
                 const char *const *lines)
{
    g_autoptr(MachineOptions) o = options(type, version);
    g_autofree char *text = parse(o, lines);
    if (!text || !strstr(text, want))
        g_assert_cmpstr(text, ==, want);
}

#define good(type, version, ...) good_(type, version, (const char *const[]){__VA_ARGS__, NULL})
#define bad(want, type, version, ...)                                                              \
    bad_(want, type, version, (const char *const[]){__VA_ARGS__, NULL})

#define TWO                                                                                        \
    "-m 1G", "-object memory-backend-ram,id=a,size=256M",                                          \
        "-object memory-backend-file,id=b,size=768M,mem-path=/x,share=on", "-numa node,memdev=a",  \
        "-numa node,memdev=b"

static void test_nodes(void)
{
    g_autoptr(MachineOptions) o = good(&pc, NULL, "-smp 4,sockets=2", TWO);
    g_assert_cmpuint(o->numa->count, ==, 2);
    g_assert_cmpuint(o->numa->nodes[1].ram, ==, 768 * MIB);
    g_assert_cmpstr(machine_numa_backend(o->numa, "b")->path, ==, "/x");
    g_assert_null(machine_numa_backend(o->numa, "c"));
    for (unsigned cpu = 0; cpu < 4; cpu++)
        g_assert_cmpuint(machine_numa_cpu_node(o->numa, cpu), ==, cpu / 2);
    g_assert_false(o->numa->has_distances);
    MachineNuma *copy = machine_numa_copy(o->numa);
    g_assert_cmpstr(copy->nodes[0].memdev, ==, "a");
    g_assert_cmpuint(machine_numa_cpu_node(copy, 3), ==, 1);
    machine_numa_free(copy);

    g_autoptr(MachineOptions) slots = good(&pc, NULL, "-m 1G,slots=2,maxmem=4G");
    g_assert_cmpuint(slots->numa->count, ==, 1);
    g_assert_cmpuint(slots->numa->nodes[0].ram, ==, 1024 * MIB);
    g_autoptr(MachineOptions) old = good(&pc, "pc-5.0", "-m 1G", "-numa node,mem=1024");
    g_assert_cmpuint(old->numa->nodes[0].ram, ==, 1024 * MIB);
    bad("Parameter -numa node,mem is not supported by this machine type", &pc, NULL, "-m 1G",
        "-numa node,mem=1G");
    bad("NUMA is not supported by machine 'plain'", &plain, NULL, "-numa node");
    bad("should equal RAM size (0x40000000)", &pc, NULL, "-m 1G", "-numa node");
    bad("Max number of NUMA nodes reached: 128", &pc, NULL, "-numa node,nodeid=128");
    bad("numa: Node ID missing: 2", &pc, NULL, TWO, "-numa node,nodeid=3");
    bad("Duplicate NUMA nodeid: 1", &pc, NULL, TWO, "-numa node,nodeid=1");
    bad("memory backend a can't be used multiple times", &pc, NULL, TWO, "-numa node,memdev=a");
    bad("no -object memory-backend", &pc, NULL, "-numa node,memdev=x");
    bad("mixing both is not allowed", &pc, "pc-5.0", TWO, "-numa node,mem=1G");
    bad("exceeds 2^64", &pc, "pc-5.0", "-numa node,mem=9E", "-numa node,mem=9E");
    bad("'foo'", &pc, NULL, "-numa node,foo=1");
    bad("Parameter 'type' does not accept value 'foo'", &pc, NULL, "-numa foo");
}

static void test_cpus(void)
{
    g_autoptr(MachineOptions) o = good(&pc, NULL, "-smp 8,sockets=2,dies=2,cores=2", TWO,
                                       "-numa cpu,node-id=1,socket-id=0,die-id=1",
                                       "-numa cpu,node-id=1,socket-id=1,core-id=0");
    const unsigned want[] = {0, 0, 1, 1, 1, 0, 1, 0};
    for (unsigned cpu = 0; cpu < 8; cpu++)
        g_assert_cmpuint(machine_numa_cpu_node(o->numa, cpu), ==, want[cpu]);
    bad("cluster-id is not supported", &pc, NULL, TWO, "-numa cpu,node-id=0,cluster-id=0");
    bad("no match found", &pc, NULL, TWO, "-numa cpu,node-id=0,core-id=7");
    bad("Missing mandatory node-id", &pc, NULL, TWO, "-numa cpu,core-id=0");
    bad("Invalid node-id=2", &pc, NULL, TWO, "-numa cpu,node-id=2,core-id=0");
    bad("already assigned to node-id: 0", &pc, NULL, "-smp 4",
        "-m 1G", "-object memory-backend-ram,id=a,size=1G", "-numa node,memdev=a,cpus=0-1",
        "-numa node,cpus=1");
    bad("expects a uint64 value or range", &pc, NULL, "-smp 4", "-numa node,cpus=2-1");
    bad("should be smaller than maxcpus (4)", &pc, NULL, "-smp 4", "-numa node,cpus=0-99");
}

static void test_distances(void)
{
    g_autoptr(MachineOptions) o = good(&pc, NULL, TWO, "-numa dist,src=0,dst=1,val=25");
    g_assert_true(o->numa->has_distances);
    g_assert_cmpuint(o->numa->nodes[1].distance[0], ==, 25);
    g_assert_cmpuint(o->numa->nodes[1].distance[1], ==, 10);
    bad("The distance between node 0 and 2 is missing", &pc, NULL, TWO, "-numa node",
        "-numa dist,src=0,dst=1,val=25");
    bad("both directions of all node pairs", &pc, NULL, TWO, "-numa node",
        "-numa dist,src=0,dst=1,val=25", "-numa dist,src=1,dst=0,val=26",
        "-numa dist,src=0,dst=2,val=30", "-numa dist,src=1,dst=2,val=30");
    bad("shouldn't be less than 10", &pc, NULL, TWO, "-numa dist,src=0,dst=1,val=9");
    bad("Local distance of node 0 should be 10", &pc, NULL, TWO, "-numa dist,src=0,dst=0,val=11");
    bad("expects uint8_t", &pc, NULL, TWO, "-numa dist,src=0,dst=1,val=256");
    bad("declare it first", &pc, NULL, "-numa dist,src=0,dst=1,val=20");
}

static void test_hmat(void)
{
    g_autoptr(MachineOptions) o = good(
        &pc, NULL, "-M hmat=on", "-smp 2,sockets=2", "-m 1G", "-object memory-backend-ram,id=a,size=1G",
        "-numa node,memdev=a,cpus=0-1", "-numa node,initiator=0",
        "-numa hmat-lb,initiator=0,target=1,hierarchy=memory,data-type=read-latency,latency=7",
        "-numa hmat-lb,initiator=0,target=1,hierarchy=first-level,data-type=access-bandwidth,bandwidth=2G",
        "-numa hmat-cache,node-id=1,size=2M,level=2,associativity=complex,policy=write-through,line=64",
        "-numa hmat-cache,node-id=1,size=1M,level=1,associativity=direct,policy=write-back,line=32");
    const MachineHmatLb *lb = &g_array_index(o->numa->lb, MachineHmatLb, 1);
    g_assert_cmpuint(lb->hierarchy, ==, MACHINE_HMAT_FIRST_LEVEL);
    g_assert_cmpuint(lb->data, ==, MACHINE_HMAT_ACCESS_BANDWIDTH);
    g_assert_cmpuint(lb->value, ==, 2048 * MIB);
    const MachineHmatCache *cache = &g_array_index(o->numa->caches, MachineHmatCache, 0);
    g_assert_cmpuint(cache->level, ==, 1);
    g_assert_cmpuint(cache->policy, ==, 1);
    g_assert_cmpuint(o->numa->nodes[1].initiator, ==, 0);
    bad("enable it with -machine hmat=on", &pc, NULL, TWO, "-numa node,initiator=0");
    bad("isn't an initiator", &pc, NULL, "-M hmat=on", TWO,
        "-numa hmat-lb,initiator=0,target=1,hierarchy=memory,data-type=read-latency,latency=7");
    bad("should be larger than", &pc, NULL, "-M hmat=on", TWO,
        "-numa hmat-cache,node-id=1,size=2M,level=1,associativity=none,policy=none,line=64",
        "-numa hmat-cache,node-id=1,size=2M,level=2,associativity=none,policy=none,line=64");
    bad("larger than 0 and less than or equal to 3", &pc, NULL, "-M hmat=on", TWO,
        "-numa hmat-cache,node-id=1,size=2M,level=4,associativity=none,policy=none,line=64");
}

static void test_backends(void)
{
    g_autoptr(MachineOptions) o = good(&pc, NULL, "-M memory-backend=a",
                                       "-object memory-backend-ram,id=a,size=1G");
    g_assert_cmpuint(o->ram_size, ==, 1024 * MIB);
    bad("Memory backend 'x' not found", &pc, NULL, "-M memory-backend=x");
    bad("mutually exclusive", &pc, NULL, "-M memory-backend=a", TWO);
    bad("does not match the size of the memory backend", &pc, NULL, "-M memory-backend=a", "-m 2G",
        "-object memory-backend-ram,id=a,size=1G");
    bad("Parameter 'size' is missing", &pc, NULL, "-object memory-backend-ram,id=a");
    bad("doesn't take value '0'", &pc, NULL, "-object memory-backend-ram,id=a,size=0");
    bad("mem-path", &pc, NULL, "-object memory-backend-file,id=a,size=1M");
    bad("duplicate", &pc, NULL, "-object memory-backend-ram,id=a,size=1M",
        "-object memory-backend-ram,id=a,size=1M");
    bad("'memory-backend-foo'", &pc, NULL, "-object memory-backend-foo,id=a,size=1M");
}

static void test_levels(void)
{
    g_autoptr(MachineOptions) new = good(&pc, NULL, "-smp 8");
    g_assert_cmpuint(new->smp.cores, ==, 8);
    g_assert_cmpuint(machine_options_version(new), ==, 700);
    g_assert_cmpstr(machine_options_name(new), ==, "pc-7.0");
    g_autoptr(MachineOptions) old = good(&pc, "pc-6.1", "-smp 8");
    g_assert_cmpuint(old->smp.sockets, ==, 8);
    g_assert_cmpuint(machine_options_version(old), ==, 601);
    g_autoptr(MachineOptions) none = good(&plain, NULL, "-smp 8,dies=1,clusters=1");
    g_assert_cmpuint(machine_options_version(none), ==, UINT_MAX);
    g_assert_cmpuint(none->smp.dies, ==, 1);
    bad("sockets (1) * dies (2) * cores (1) * threads (1) != maxcpus (3)", &pc, NULL, "-smp 3,dies=2");
    bad("clusters not supported", &pc, NULL, "-smp 4,clusters=2");
    bad("dies not supported", &plain, NULL, "-smp 4,dies=2");
    bad("Invalid", &pc, NULL, "-smp sockets=1048576,dies=1048576,cores=1048576,threads=1048576");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/numa/nodes", test_nodes);
    g_test_add_func("/numa/cpus", test_cpus);
    g_test_add_func("/numa/distances", test_distances);
    g_test_add_func("/numa/hmat", test_hmat);
    g_test_add_func("/numa/backends", test_backends);
    g_test_add_func("/numa/levels", test_levels);
    return g_test_run();
}
