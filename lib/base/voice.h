/* SPDX-License-Identifier: MIT */
/*
 * What a tool says on standard error when something goes wrong, in one form: "NAME: TEXT"; and how
 * it then exits. Any thread; standard output is flushed first, so that both come in order.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

enum { VOICE_FAILED = 1, VOICE_MISUSED = 2 }; /* exit codes */

typedef struct {
    const char *name; /* the tool was called by */
    bool compatible;  /* it is another tool's name, which exits with 1 in all cases */
} Voice;

/* All return the exit code. */
int voice_fail(const Voice *voice, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
/* The command line makes no sense: says where there is help. */
int voice_misused(const Voice *voice, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
/* The text of error, which is freed. NULL is fine. */
int voice_error(const Voice *voice, GError *error);

/* "NAME: warning: TEXT" */
void voice_warn(const Voice *voice, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
