/* SPDX-License-Identifier: MIT */
/* The machine's serial ports and -chardev's back ends, as the options say. */
#pragma once

#include "options.h"

#include "chardev/chardev.h"
#include "machines/machine.h"

/* Opens them into the table, and connects the ports of a machine that has not started. serials gets
   a borrowed Chardev for each port in order, NULL for none. */
bool chardevs_open(const RunOptions *o, ChardevTable *table, Machine *machine, GPtrArray *serials,
                   GError **error);
