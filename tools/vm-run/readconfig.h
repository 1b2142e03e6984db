/* SPDX-License-Identifier: MIT */
/* -readconfig: option groups from a file. */
#pragma once

#include <glib.h>
#include <stdbool.h>

/*
 * Calls option for each group of the file, in order, with the option's name and its text, as if
 * they had been typed. Errors name the file and the line.
 */
bool readconfig(const char *path,
                bool (*option)(void *opaque, const char *name, const char *text, GError **error),
                void *opaque, GError **error);
