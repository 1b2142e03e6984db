/* SPDX-License-Identifier: MIT */
/* -monitor and -mon: who may talk to the machine, and the commands of this tool. */
#pragma once

#include "run_priv.h"

/* The back ends that -monitor and -mon name are opened; nobody is heard yet. */
bool monitors_open(Run *r, GError **error);
/* Whether the terminal that is also the serial port's gets a monitor (Ctrl-a c). */
bool monitors_want_terminal(const Run *r);
/* For ChardevHost.monitor: port becomes a monitor's. opaque is a Run. */
void monitors_take(void *opaque, Chardev *port);
/* The machine is up: from now on commands are heard. */
void monitors_start(Run *r);
void monitors_stop(Run *r);
