/* SPDX-License-Identifier: MIT */
/*
 * One program of a Linux guest in this process: loads it, runs it, and is the kernel to it. The
 * process becomes the guest's: its descriptors, signals, threads and memory below the task size
 * are the guest's own, so there is one LinuxProcess in a host process and it is never freed.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "translate/translate.h"

typedef struct LinuxOptions {
    const char *program;     /* path as the guest is to see it */
    char **argv, **envp;     /* NULL-terminated */
    int program_fd;          /* the program is open here already (binfmt_misc); -1: by path */
    const char *sysroot;     /* -L: absolute guest paths are looked for below it first; NULL */
    const char *cpu;         /* -cpu; NULL: the default model */
    const char *uname;       /* -r: the release that uname reports; NULL: the host's */
    uint64_t stack_size;     /* -s: bytes; 0: the resource limit's, 8 MiB if that has no end */
    uint64_t reserved;       /* -R: addresses from here on are not the guest's; 0: the ISA's size */
    bool seeded;             /* -seed: AT_RANDOM and address layout come from the seed */
    uint64_t seed;
    bool secure;             /* AT_SECURE */
    bool perf_map;           /* write /tmp/perf-PID.map */
    TranslateAccel accel;
    char **again;            /* options with which execve of another guest program starts this
                                tool again, NULL-terminated; its name first */
} LinuxOptions;

/*
 * Does not return when the guest could be started: its end is the process's. Else an error, and
 * *status is what a shell expects: 127 not found, 126 found but not to be run.
 */
void linux_run(const LinuxOptions *options, int *status, GError **error);
