/* SPDX-License-Identifier: MIT */
/*
 * Sizes as users write them: "4G", "128M", "64k", "1.5G", "0x1000", "512". Suffixes
 * b k M G T P E, upper or lower case, powers of 1024. Pure; no locale.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * Reads the whole of text as a size. unit is what a number without a suffix counts: 1 for
 * bytes, 1 MiB for `-m 512`. A fraction needs a suffix (or a unit above 1) and is rounded
 * down to bytes. Fails on rubbish, on a sign, and on what exceeds 64 bits; *size is then
 * left alone.
 */
bool size_parse_unit(const char *text, uint64_t unit, uint64_t *size, GError **error);
/* The same with a unit of one byte. */
bool size_parse(const char *text, uint64_t *size, GError **error);

/* "4 GiB", "1.5 MiB", "700 B": for people; at most three figures after rounding. Caller frees. */
char *size_format(uint64_t size);
/* "4G", "1536M", "700": exact, as size_parse reads it. Caller frees. */
char *size_format_exact(uint64_t size);

/* Reads a whole unsigned number, decimal or 0x hexadecimal, no sign, no suffix. */
bool number_parse(const char *text, uint64_t *value, GError **error);
