/* SPDX-License-Identifier: MIT */
/*
 * One machine in the making and running; what the files of this tool share.
 *
 * Threads: all of it belongs to the main thread, which runs the GLib main loop; run_power alone may
 * be called on any.
 */
#pragma once

#include "run.h"
#include "software.h"

#include "chardev/chardev.h"
#include "cpu/cpu.h"
#include "firmware/riscv.h"
#include "machines/machine.h"
#include "net/net.h"

typedef struct Run Run;

struct Run {
    const RunOptions *o;
    void (*warn)(const char *line);
    Software software;
    const GuestIsa *isa;
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
    GPtrArray *serials; /* of Chardev, in chardevs; NULL for none */
    struct QtestServer *qtest; /* NULL: no -qtest */
    GMainLoop *loop;
    int status;
    bool interrupted; /* the user wants an end, whatever the guest is doing */
    GError *error;    /* what ended the loop */

    GMutex lock; /* of what follows: the guest's wish that is on its way */
    bool wished;
    DevicePower wish;
    uint32_t code;
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

/* ---- run.c */
/* What a guest wants of its power; device locks may be held. The first wish counts. opaque is a Run. */
void run_power(void *opaque, DevicePower what, uint32_t code);
/* It is over, with exit status 0. Main thread. */
void run_end(Run *r);
/* The user wants an end. opaque is a Run. */
void run_interrupt(void *opaque);
