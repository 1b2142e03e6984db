/* SPDX-License-Identifier: MIT */
/* What users say of SMBIOS structures, as smbios_options.c reads it and smbios.c writes it. */
#pragma once

#include "acpi/smbios.h"

/* Types that -smbios knows, as indices. */
enum {
    SMBIOS_T0, SMBIOS_T1, SMBIOS_T2, SMBIOS_T3, SMBIOS_T4, SMBIOS_T8, SMBIOS_T9, SMBIOS_T11,
    SMBIOS_T17, SMBIOS_T41, SMBIOS_KINDS,
};

/* The fields of one -smbios type=N: char * to char *. */
typedef struct {
    int kind;
    GHashTable *fields;
    GPtrArray *strings; /* of type 11 */
} SmbiosUser;

struct SmbiosOptions {
    SmbiosRead read;
    void *opaque;
    GHashTable
        *merged[SMBIOS_KINDS]; /* of types of which there is one set; NULL: nothing was said */
    GPtrArray *several; /* SmbiosUser, of types 8, 9 and 41, in order */
    GPtrArray *strings; /* of type 11 */
    GPtrArray *blobs;   /* GBytes: files */
    bool replaced[128]; /* types there are files of */
};

/* A field of a merged type, or NULL. */
const char *smbios_field(const SmbiosOptions *o, int kind, const char *name);
/* A number that the options' parser has checked; def when nothing was said. */
uint64_t smbios_number(const SmbiosOptions *o, int kind, const char *name, uint64_t def);
uint64_t smbios_user_number(const SmbiosUser *u, const char *name, uint64_t def);
