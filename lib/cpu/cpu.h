/* SPDX-License-Identifier: MIT */
/*
 * The CPUs of one machine: a translator, one thread a CPU, and the GuestEnv that ties
 * them to a bus space and a clock. A CPU is off, or on; an on CPU runs unless the
 * group is paused. Each call says which threads may make it; "main" is the thread that
 * made the group, and never a vCPU's.
 *
 * Life: cpu_group_new (enough for describing the CPUs), cpu_group_connect, cpu_group_start, then
 * pause, cpu_on, resume as often as needed; cpu_group_end, cpu_group_free.
 */
#pragma once

#include "bus/bus.h"
#include "guest/guest.h"

typedef struct CpuGroup CpuGroup;
typedef struct Vcpu Vcpu;

/* ---- -accel -------------------------------------------------------------- */

typedef struct {
    TranslateAccel accel;
    uint64_t code_size; /* bytes of code cache; 0: the translator's default */
    bool none;          /* qtest: the caller lets no CPU run */
    bool single;        /* all CPUs take turns: one runs at a time */
} CpuAccel;

/* "jit", "tcg" (the same), "interp", "verify", with tb-size=MiB and thread=single|multi; a list
   "kvm:tcg" takes the first that can be had. Usage errors as a user of QEMU knows them. */
bool cpu_accel_parse(CpuAccel *accel, const char *text, GError **error);
/* A line each; newly allocated. */
char *cpu_accel_help(void);

/* ---- Groups -------------------------------------------------------------- */

/* What the layers above may answer. All called on the vCPU's thread. */
typedef struct {
    /* GuestEnv.hypercall. NULL: the guest's own exception. */
    bool (*hypercall)(void *opaque, Vcpu *cpu, uint32_t number);
    void *hypercall_opaque;
    /* GuestEnv.power. NULL: ignored. */
    void (*power)(void *opaque, Vcpu *cpu, uint32_t what);
    void *opaque;
} CpuHooks;

/* count CPUs of one model (spec as after -cpu; NULL: the default), all off. isa must outlive the
   group. Usage errors for a bad model, a bad count or accel. */
CpuGroup *cpu_group_new(const GuestIsa *isa, unsigned count, const char *model,
                        const CpuAccel *accel, GError **error);
/* Ends the threads and lets go of space and clock, which may then be freed; interrupt lines still
   lead somewhere. Main. NULL is fine. */
void cpu_group_end(CpuGroup *g);
/* Ends and frees everything; nobody may use a line any more. Main. NULL is fine. */
void cpu_group_free(CpuGroup *g);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CpuGroup, cpu_group_free)

/* Borrowed: must outlive the group's threads. hz is the rate of the guest's time counter.
   Sets the space's code and map hooks. Main, once, before start. */
void cpu_group_connect(CpuGroup *g, BusSpace *space, BusClock *clock, uint64_t hz,
                       const CpuHooks *hooks);
/* Sets that one hook, for whoever needs the connected group first. Main, before start. */
void cpu_group_set_hypercall(CpuGroup *g, bool (*hypercall)(void *, Vcpu *, uint32_t),
                             void *opaque);
/* Makes the threads; the group is paused. */
bool cpu_group_start(CpuGroup *g, GError **error);

/* Asks all CPUs to stop before their next instructions and returns at once: for power-off and reset
   requests. Any thread; cpu_group_pause or _resume must follow. */
void cpu_group_halt(CpuGroup *g);
/* The same, and waits until none runs. Main. */
void cpu_group_pause(CpuGroup *g);
void cpu_group_resume(CpuGroup *g);
/* Whether halt or pause was the last of them. Any thread. */
bool cpu_group_is_paused(CpuGroup *g);
/* Of the translator. Any thread. */
TranslateStats cpu_group_stats(CpuGroup *g);

unsigned cpu_group_count(const CpuGroup *g);
const GuestIsa *cpu_group_isa(const CpuGroup *g);
BusClock *cpu_group_clock(const CpuGroup *g);
uint64_t cpu_group_hz(const CpuGroup *g);
Vcpu *cpu_group_cpu(CpuGroup *g, unsigned n);

/* ---- One CPU ------------------------------------------------------------- */

unsigned cpu_index(const Vcpu *v);
CpuGroup *cpu_group_of(const Vcpu *v);
/* The architectural state. Only on the CPU's own thread, or while it is off or the group paused. */
TranslateCpu *cpu_state(Vcpu *v);

typedef enum { CPU_OFF, CPU_ON_PENDING, CPU_ON, CPU_OFF_PENDING } CpuPower;
CpuPower cpu_power(Vcpu *v); /* any thread */

/* Called under the group's lock: short, and calling nothing of this header but cpu_state. */
typedef void (*CpuSetup)(TranslateCpu *cpu, const void *arg);

#define CPU_ARG_MAX 64 /* bytes of arg that are copied */

/* Turns a CPU on: setup sets its state first (on its thread). False if it is not off. Any
   thread. */
bool cpu_on(Vcpu *v, CpuSetup setup, const void *arg, size_t size);
/* Turns a CPU off: at once when called on its own thread from a hook (the instruction is its
   last), else as soon as it can. Any thread. */
void cpu_off(Vcpu *v);
/* All off, and work left for them forgotten. The group is paused. Main. */
void cpu_group_all_off(CpuGroup *g);

/* Calls fn for each CPU listed, on its thread, outside guest code (from's own: at once), and waits
   until those that run have; others do it before they run again. From a hook of from, or with from
   NULL on any other thread; without wait, returns at once. */
void cpu_call(CpuGroup *g, Vcpu *from, const uint16_t *list, size_t count, CpuSetup fn,
              const void *arg, size_t size, bool wait);

/* Makes the CPU look at its interrupts and leave idling. Any thread. */
void cpu_kick(Vcpu *v);
/* Sets an interrupt input of the ISA's numbering, and kicks. Any thread. */
void cpu_set_irq(Vcpu *v, unsigned line, bool level);
/* The same as a line; with edge, only the rising level counts (software clears the state). */
BusIrq cpu_irq(Vcpu *v, unsigned line, bool edge);
/* Sleeps as the guest's wait-for-interrupt does: until an interrupt is pending, or a kick. From
   a hook. */
void cpu_idle(Vcpu *v);
