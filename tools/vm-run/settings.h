/* SPDX-License-Identifier: MIT */
/* What -action, -no-reboot, -no-shutdown, -rtc, -uuid, -boot and -name ask for, checked. */
#pragma once

#include "options.h"

#include <stdint.h>

typedef enum { PANIC_SHUTDOWN, PANIC_PAUSE, PANIC_EXIT_FAILURE, PANIC_NONE } PanicAction;

typedef struct {
    bool reboot_ends;     /* a guest that reboots ends the machine */
    bool shutdown_pauses; /* one that powers off leaves it there, stopped */
    PanicAction panic;
    int64_t rtc_ahead;    /* nanoseconds of the guest's wall clock before the host's */
    bool rtc_follows;     /* it stops with the machine */
    char *name;           /* the guest's, or NULL */
    char *process_name;   /* or NULL */
    char *uuid;           /* "00000000-..." unless one was given */
} Settings;

/* Usage errors that name the option. */
bool settings_parse(Settings *s, const RunOptions *o, GError **error);
/* Whether -msg wants the time before each message; a usage error if it makes no sense. */
bool settings_timestamps(const RunOptions *o, bool *timestamps, GError **error);
void settings_clear(Settings *s);
