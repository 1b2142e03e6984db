/* SPDX-License-Identifier: MIT */
/* The back end that drops all output and never has input. */
#include "chardev/chardev_priv.h"

const ChardevType null_chardev = {
    .name = "null",
    .usage = "null, none",
    .summary = "no output, no input",
};
