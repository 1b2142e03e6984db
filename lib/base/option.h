/* SPDX-License-Identifier: MIT */
/*
 * The comma grammar of option values: "virtio-blk,drive=d0,readonly,serial=a,,b".
 *
 *   list    = [ value-of-the-implied-key | item ] { "," item }
 *   item    = key "=" value | key | "no" key
 *   value   = anything; a comma in it is written ",,"
 *
 * A bare key is on; a bare nokey turns key off, unless a key of that very name is asked
 * for. A key given again replaces the earlier one; options_nth reads all of them. Keys
 * with dots and blanks are plain keys here. An Options is used by one thread.
 *
 * Use: parse, read each key once with a getter, then options_done, which refuses what no
 * getter asked for and suggests the nearest of those that were.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct Options Options;

/* implied (may be NULL) is the key that a first item without "=" is the value of. NULL and
 * *error on an item without a key. text is copied. */
Options *options_parse(const char *text, const char *implied, GError **error);
void options_free(Options *options);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Options, options_free)

/* The value of key, "on"/"off" for bare words, NULL when it is absent. Lives as long as
 * options. */
const char *options_get(Options *options, const char *key);
/* The nth value of key from the left, NULL past the last. */
const char *options_nth(Options *options, const char *key, unsigned n);
bool options_has(Options *options, const char *key);

/*
 * Typed getters: true with *value set, or left alone when the key is absent; false and a
 * usage error that names the key when its value is not of the type.
 */
/* on yes true y 1, off no false n 0 */
bool options_get_bool(Options *options, const char *key, bool *value, GError **error);
/* size_parse_unit's texts; unit is what a plain number counts */
bool options_get_size(Options *options, const char *key, uint64_t unit, uint64_t *value,
                      GError **error);
/* min..max, decimal or 0x */
bool options_get_number(Options *options, const char *key, uint64_t min, uint64_t max,
                        uint64_t *value, GError **error);
/* names ends in NULL; *value is the index in it */
bool options_get_enum(Options *options, const char *key, const char *const *names, int *value,
                      GError **error);
/* As options_get, but absence is a usage error and gives NULL. */
const char *options_need(Options *options, const char *key, GError **error);

/* False with a usage error when an item was given that no getter asked for. */
bool options_done(Options *options, GError **error);

/* All items in order, for passing them on: false past the last. Marks the item as asked for. */
bool options_item(Options *options, unsigned i, const char **key, const char **value);

/* The name (of a list ending in NULL) that word may be a slip for, or NULL. */
const char *option_nearest(const char *word, const char *const *names);
