/* SPDX-License-Identifier: MIT */
/*
 * The control path's way to fail: a function that can fail returns false (or
 * NULL) and fills a GError. Messages are lower-case fragments without a final
 * stop; every caller on the way up may put its context in front with prefix().
 * Only a tool's main() prints them, as "tool: context: reason".
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* Codes within base_error_quark(). Callers test the code only where they act on it. */
typedef enum {
    BASE_ERROR_FAILED, /* it went wrong */
    BASE_ERROR_USAGE,  /* the user's words are off: tools exit with 2 */
    BASE_ERROR_SYSTEM, /* a system call failed; the text ends in strerror() */
} BaseError;

GQuark base_error_quark(void);

/* Sets *error (which may be NULL) from a printf format and returns false. */
bool fail(GError **error, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
/* The same with code BASE_ERROR_USAGE. */
bool fail_usage(GError **error, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
/* The same with ": " and the text of errno_value appended, code BASE_ERROR_SYSTEM. */
bool fail_errno(GError **error, int errno_value, const char *fmt, ...) G_GNUC_PRINTF(3, 4);
/* Puts "context: " in front of an error already set, and returns false. */
bool prefix(GError **error, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
