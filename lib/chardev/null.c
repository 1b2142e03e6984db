/* SPDX-License-Identifier: MIT */
/* The back end that drops all output and never has input. */
#include "base/error.h"
#include "chardev/chardev_priv.h"

static bool null_open(Chardev *c, const char *arg, bool shared, GError **error)
{
    return arg ? fail_usage(error, "null takes no argument") : true;
}

const ChardevType null_chardev = {
    .name = "null",
    .usage = "null",
    .summary = "no output, no input",
    .open = null_open,
};
