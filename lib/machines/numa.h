/* SPDX-License-Identifier: MIT */
/*
 * What -numa and -object memory-backend-* say: nodes with their memory, CPUs and distances, and what ACPI's
 * HMAT (ACPI 6.4, 5.2.27) tells of them. A plain struct that boards read; nothing is allocated for
 * the guest.
 *
 * The options are taken in the order given, after -M, -smp and -m (nodes are declared before what
 * refers to them); machine_options_check completes and checks the rest.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    MACHINE_NUMA_NODES = 128, /* at most, and so "no node" */
    MACHINE_NUMA_DISTANCE_SELF = 10,
    MACHINE_NUMA_DISTANCE_OTHER = 20,
};

typedef struct {
    bool declared;
    bool has_ram;       /* mem= or memdev= was given */
    uint64_t ram;       /* bytes, one node's after the other from the start of RAM */
    char *memdev;       /* the memory backend it comes from, or NULL */
    unsigned initiator; /* the node whose CPUs are nearest; MACHINE_NUMA_NODES: none is told */
    bool has_cpus;
    /* To each node; 0 where nothing was said and nothing follows. */
    uint8_t distance[MACHINE_NUMA_NODES];
} MachineNumaNode;

/* System Locality Latency and Bandwidth Information. */
typedef enum {
    MACHINE_HMAT_MEMORY,
    MACHINE_HMAT_FIRST_LEVEL,
    MACHINE_HMAT_SECOND_LEVEL,
    MACHINE_HMAT_THIRD_LEVEL,
} MachineHmatHierarchy;

typedef enum {
    MACHINE_HMAT_ACCESS_LATENCY,
    MACHINE_HMAT_READ_LATENCY,
    MACHINE_HMAT_WRITE_LATENCY,
    MACHINE_HMAT_ACCESS_BANDWIDTH,
    MACHINE_HMAT_READ_BANDWIDTH,
    MACHINE_HMAT_WRITE_BANDWIDTH,
} MachineHmatData;

typedef struct {
    unsigned initiator, target;
    MachineHmatHierarchy hierarchy;
    MachineHmatData data;
    uint64_t value; /* latency: nanoseconds; bandwidth: bytes a second */
} MachineHmatLb;

typedef struct {
    unsigned node;
    uint64_t size; /* bytes */
    unsigned level;
    unsigned associativity; /* 0 none, 1 direct, 2 complex: as the table has it */
    unsigned policy;        /* 0 none, 1 write-back, 2 write-through */
    uint16_t line;          /* bytes */
} MachineHmatCache;

typedef struct {
    char *id;
    uint64_t size;
    char *path;     /* of memory-backend-file; NULL: none */
    uint64_t align; /* of its address; 0: as it comes */
    bool used; /* by a node */
} MachineMemoryBackend;

/* A CPU as -numa cpu names it; -1 where the board's CPUs have no such number. */
typedef struct {
    int socket, die, cluster, core, thread;
} MachineCpuIds;

typedef struct {
    unsigned count; /* of nodes; 0: the machine has no NUMA */
    MachineNumaNode *nodes; /* MACHINE_NUMA_NODES of them */
    GArray *cpu_nodes; /* of unsigned: the node of CPU n, all maxcpus of them after the check; before
                          it, MACHINE_NUMA_NODES where nothing was said */
    bool has_distances; /* dist was given: all are there and boards describe them */
    bool uses_memdev;
    GArray *lb;     /* MachineHmatLb, in the order given */
    GArray *caches; /* MachineHmatCache, by node, then level */
    GPtrArray *backends; /* MachineMemoryBackend */
} MachineNuma;

MachineNuma *machine_numa_new(void);
MachineNuma *machine_numa_copy(const MachineNuma *numa);
void machine_numa_free(MachineNuma *numa);

/* NULL when there is none of that name. */
MachineMemoryBackend *machine_numa_backend(const MachineNuma *numa, const char *id);
/* The node of a CPU, or 0 when there are none. */
unsigned machine_numa_cpu_node(const MachineNuma *numa, unsigned cpu);
