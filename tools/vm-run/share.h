/* SPDX-License-Identifier: MIT */
/* --share DIR[:TAG][,readonly][,notify]: a directory of the host for the guest, by an fsd of our
 * own. */
#pragma once

#include "options.h"

#include "chardev/chardev.h"
#include "machines/machine.h"

/* Starts one for each --share, with a back end of character devices that is connected to it; NULL
 * and an error when one cannot be. The processes end with the array; those that end before are
 * started again, and warn gets a line, in another process. */
GPtrArray *shares_open(const RunOptions *o, ChardevTable *chardevs, void (*warn)(const char *line),
                       GError **error);
/* And the devices. */
bool shares_plug(const GPtrArray *shares, Machine *m, GError **error);
