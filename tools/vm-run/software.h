/* SPDX-License-Identifier: MIT */
/* The guest's software: files read, and which ISA they are for. */
#pragma once

#include "options.h"

#include "guest/guest.h"
#include "load/load.h"
#include "machines/machine.h"

typedef struct {
    LoadImage *kernel, *firmware; /* NULL: none */
    GBytes *kernel_file;          /* unpacked; what kernel refers to */
    GBytes *initrd, *dtb;
    MachineBoot boot; /* refers to all of the above and to the options */
} Software;

/* Reads -kernel, -bios, -initrd and -dtb. */
bool software_load(Software *s, const RunOptions *o, GError **error);
/* The name of the ISA to run: --arch, what the kernel or the firmware is built for, the name vm-run
   was called by, or the board. NULL with *error when none says, when they differ or when there is
   neither such an ISA nor a board for it. */
const char *software_arch(const Software *s, const RunOptions *o, GError **error);
void software_clear(Software *s);
