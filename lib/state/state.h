/* SPDX-License-Identifier: MIT */
/*
 * Tables of the fields that make up a device's or a CPU's saved state, and the writing and reading
 * of one object's state by its table.
 *
 * An object's record is: u32 version, then its fields in table order, each element little-endian
 * in its own size; a field newer than the record's version is left as it is. Naming and
 * framing many objects into a stream is the caller's.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    const char *name;   /* NULL ends a table */
    size_t offset;      /* in the object */
    uint8_t size;       /* bytes of an element: 1, 2, 4 or 8; bool is 1 */
    bool pointer;       /* the object holds a pointer to the elements, not the elements */
    uint32_t count;     /* elements; the most there are if count_offset is used */
    size_t count_offset; /* 0, or where the object keeps a uint32_t with the count */
    uint32_t since;     /* the version of the table that brought it; the first is 1 */
} StateField;

/* Entries: a scalar, an array inside the object, and an array the object points to. */
#define STATE_FIELD(type, field, version)                                                          \
    {#field, offsetof(type, field), sizeof(((type *)0)->field), false, 1, 0, version}
#define STATE_ARRAY(type, field, version)                                                          \
    {#field, offsetof(type, field), sizeof(((type *)0)->field[0]), false,                          \
     G_N_ELEMENTS(((type *)0)->field), 0, version}
#define STATE_POINTER(type, field, max, count_field, version)                                      \
    {#field, offsetof(type, field), sizeof(*((type *)0)->field), true, max,                        \
     offsetof(type, count_field), version}
#define STATE_END {NULL, 0, 0, false, 0, 0, 0}

/* The highest version in the table: that of the records it writes. An empty or NULL table: 1. */
uint32_t state_version(const StateField *fields);

/* Appends object's record to out. */
void state_save(const StateField *fields, const void *object, GByteArray *out);

/* Reads a record from data, moves *pos past it and fills object. The counts of pointed-to arrays
   must already be in the object, as they are configuration; a record whose counts differ, that is
   too short, or that is newer than the table, fails (object may then be half filled). */
bool state_load(const StateField *fields, void *object, const uint8_t *data, size_t len,
                size_t *pos, GError **error);
