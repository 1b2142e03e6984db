/* SPDX-License-Identifier: MIT */
/* What the files of lib/monitor share; see monitor.h. */
#pragma once

#include "monitor/monitor.h"

typedef struct {
    const MonitorCommand *command;
    void *ctx;
} MonitorEntry;

struct Monitor {
    char *name, *version;
    GArray *entries; /* of MonitorEntry, in the order they were added */
    bool (*lookup)(void *opaque, const char *name, uint64_t *value);
    void *lookup_opaque;
};

/* Reads what follows the command's name in a line: "" or "/fmt" with no blank between, then
   arguments. */
bool monitor_args_parse(Monitor *m, const MonitorCommand *c, const char *text, MonitorArgs *args,
                        GError **error);
/* "x/fmt addr" from the grammar, appended to out. */
void monitor_args_usage(const MonitorCommand *c, GString *out);
