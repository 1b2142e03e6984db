/* SPDX-License-Identifier: MIT */
/*
 * One machine in the making and running; what the files of this tool share.
 *
 * Threads: all of it belongs to the main thread, which runs the GLib main loop; run_power alone may
 * be called on any.
 */
#pragma once

#include "exec.h"
#include "run.h"
#include "settings.h"
#include "software.h"

#include "chardev/chardev.h"
#include "cpu/cpu.h"
#include "firmware/riscv.h"
#include "machines/machine.h"
#include "net/net.h"

typedef struct Run Run;
typedef struct RunMonitor RunMonitor;

typedef enum {
    STATE_PRELAUNCH, /* -S: nothing has run yet */
    STATE_RUNNING,
    STATE_PAUSED,
    STATE_SHUTDOWN,  /* the guest powered off */
    STATE_PANICKED,  /* the guest failed */
    STATE_IO_ERROR,  /* a disk failed; its requests are kept */
} RunState;

struct Run {
    const RunOptions *o;
    Settings settings;
    RunState state;
    bool launched;     /* the CPUs have been started since the last reset */
    GPtrArray *seats;  /* of monitor.c; NULL: none */
    RunMonitor *monitor;
    void (*warn)(const char *line);
    Software software;
    const char *arch;
    const GuestIsa *isa; /* NULL: the board is a description only */
    CpuAccel accel;
    MachineOptions *options;
    GHashTable *cpu_props;
    CpuGroup *cpus;
    BusClock *clock;
    Machine *machine;
    MachineEntry entry;
    FirmwareRiscv *sbi;
    NetTable *nets;
    ChardevTable *chardevs;
    GPtrArray *shares;  /* an fsd each (share.h) */
    GPtrArray *serials; /* of Chardev, in chardevs; NULL for none */
    struct QtestServer *qtest; /* NULL: no -qtest */
    Exec *exec; /* NULL: no --exec */
    GMainLoop *loop;
    int status;
    bool interrupted; /* the user wants an end, whatever the guest is doing */
    bool timed_out;
    int signal;       /* that interrupted it, or 0 */
    GError *error;    /* what ended the loop */

    GMutex lock; /* of what follows: the guest's wish that is on its way */
    bool wished;
    DevicePower wish;
    uint32_t code;
    char *io_error; /* what a disk said that stops the machine, on its way */
};

/* ---- lists.c: true if the options ask for a list, which is printed. */
bool run_print_lists(const Run *r);

/* ---- setup.c: from options to a machine */
bool setup_machine(Run *r, GError **error);
bool setup_dump_tree(Run *r, GError **error);
/* Back ends, devices, guest software and CPUs, which wait for cpus_start. */
bool setup_start(Run *r, GError **error);

/* ---- cpus.c: what a board and firmware ask of the CPUs */
BusIrq cpus_line(void *opaque, unsigned cpu, MachineCpuLine line);
/* SBI answered here, where no firmware is given. */
bool cpus_firmware(Run *r, GError **error);
/* The CPUs at the entry that the board has prepared; the group is paused. */
void cpus_start(Run *r);
/* As their namesakes of CpuGroup; with -accel qtest there is none to pause. */
void cpus_pause(Run *r);
void cpus_resume(Run *r);

/* ---- hint.c: a line for the user should the guest stay silent. When the machine begins to run. */
void hint_start(Run *r);

/* ---- state.c */
/* "running", "paused"...: as `info status` says it. */
const char *state_text(const Run *r);
/* The machine is up; it runs unless -S says that it is to wait. */
void state_begin(Run *r);
bool state_cont(Run *r, GError **error);
void state_stop(Run *r);
bool state_reset(Run *r, GError **error);
/* What a guest wants of its power; device locks may be held. The first wish counts. opaque is a
 * Run. */
void run_power(void *opaque, DevicePower what, uint32_t code);
/* A disk failed that stops the machine; as run_power. */
void run_io_error(void *opaque, Device *dev, bool write, int error);
/* It is over, with exit status 0. Main thread. */
void run_end(Run *r);
/* --exec's command has ended: the guest gets some time to power off. opaque is a Run. */
void run_exec_ended(void *opaque);
/* The user wants an end. opaque is a Run. */
void run_interrupt(void *opaque);
