/* SPDX-License-Identifier: MIT */
/* Running one machine from its options to its exit status. */
#pragma once

#include "options.h"

/* Does all that the options ask for (help lists and dumpdtb too). False with *error; else *status
   is what the guest made of it. Main thread. warn gets lines for the user. */
bool run_machine(const RunOptions *o, void (*warn)(const char *line), int *status, GError **error);
