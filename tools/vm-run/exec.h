/* SPDX-License-Identifier: MIT */
/*
 * --exec: one command in a guest. A small archive with a start script is appended to the initial
 * RAM disk; the script runs the command with its streams on ports of virtio-serial, and says how it
 * ended on another. All on the main thread.
 */
#pragma once

#include "options.h"
#include "software.h"

#include "chardev/chardev.h"
#include "machines/machine.h"

typedef struct Exec Exec;

#define EXEC_MEMORY "512" /* MiB, unless -m says otherwise */
#define EXEC_CONSOLE "lathe.console" /* the chardev that keeps the serial port's last output */

enum {
    EXEC_TIMEOUT = 124, /* exit statuses, as timeout(1) and env(1) have them */
    EXEC_FAILED = 125,  /* the guest did not come to run the command, or stopped before it ended */
};

/* What --exec and --root ask for; NULL without an error if there is no --exec. Changes the
   software, which has been loaded: initial RAM disk and command line. */
Exec *exec_new(const RunOptions *o, Software *s, GError **error);
/* Makes EXEC_CONSOLE. */
bool exec_console(ChardevTable *chardevs, GError **error);
/* The root disk and the ports, before the machine starts. ended is called once the guest has said
   how the command ended, or that it could not be run. */
bool exec_connect(Exec *e, ChardevTable *chardevs, Machine *m, void (*ended)(void *opaque),
                  void *opaque, GError **error);
/* After the run: true if the guest has said how the command ended. Else *error says what is known,
   with the last lines of the console, if that is EXEC_CONSOLE (else NULL). */
bool exec_result(Exec *e, Chardev *console, int *status, GError **error);
/* After the chardevs are gone: what the command has written reaches our own streams. NULL is fine.
 */
void exec_free(Exec *e);
