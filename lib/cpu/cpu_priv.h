/* SPDX-License-Identifier: MIT */
/* The structs behind cpu.h. */
#pragma once

#include "cpu/cpu.h"

#define CPU_DEADLINES 4 /* timers of its own that a CPU may have */

typedef struct {
    CpuSetup fn;
    uint8_t arg[CPU_ARG_MAX];
    unsigned *left; /* the waiter's count, under the group's lock; NULL: nobody waits */
} CpuWork;

typedef struct {
    Vcpu *v;
    bool edge;
} CpuIrqMode;

struct Vcpu {
    CpuGroup *group;
    unsigned index;
    TranslateCpu *tc;
    GThread *thread;
    BusTimer *timers[CPU_DEADLINES]; /* made when first set; own thread */
    CpuIrqMode level_irq, edge_irq;

    /* under group->lock */
    GCond wake;      /* the thread: something changed */
    bool on;
    bool running;    /* may be in guest code */
    bool setup_set;
    CpuWork setup;
    GArray *work;    /* CpuWork */

    /* idling */
    GMutex idle_lock;
    GCond idle_wake;
    gint idling;     /* atomic */
    gint leave_idle; /* atomic: a kick came */
};

struct CpuGroup {
    const GuestIsa *isa;
    CpuAccel accel;
    Translator *translator;
    unsigned count;
    Vcpu *cpus;
    BusSpace *space;
    BusClock *clock;
    uint64_t hz;
    CpuHooks hooks;

    GMutex lock;  /* below every device lock */
    GCond moved;  /* for those who wait: a CPU stopped, or did work */
    bool paused, quit;

    /* accel single: who may run */
    GMutex turn_lock;
    GCond turn_free;
    bool turn_taken;
    unsigned turn_waiting; /* atomic reads */
    BusTimer *slice;
};

/* Fills env for a CPU. */
void cpu_env(Vcpu *v, GuestEnv *env);
void cpu_timers_free(Vcpu *v);
/* The bus's hooks; opaque is the CpuGroup. */
void cpu_code_written(void *opaque, uint64_t phys, uint64_t len);
void cpu_map_changed(void *opaque);

/* accel single: nothing otherwise. */
void cpu_turn_take(CpuGroup *g);
void cpu_turn_give(CpuGroup *g);
