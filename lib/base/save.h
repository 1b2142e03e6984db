/* SPDX-License-Identifier: MIT */
/* Files that a user asked for, written whole. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

/* Writes data to path. A file there is replaced when all of it is on the way to the disk, not
 * before; a device, a pipe or what /dev/stdout leads to is written to. The error names path. */
bool save_file(const char *path, const void *data, size_t len, GError **error);
