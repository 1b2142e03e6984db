/* SPDX-License-Identifier: MIT */
/* Short command lines made long: a disk image alone, and --print-argv. */
#pragma once

#include "options.h"

/* A disk without a kernel or firmware gets U-Boot, the memory and the devices that most disks want;
   what the user said stays. Other command lines are left alone. */
bool expand_disk(RunOptions *o, GError **error);
/* The options as one line for a shell; newly allocated. */
char *expand_text(const RunOptions *o, const char *program);
