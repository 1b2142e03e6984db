/* SPDX-License-Identifier: MIT */
/*
 * What the parts of the tool share: main.c reads the command line (options.c), builds the machine
 * (build.c) or takes tables from files, and writes what was asked for (output.c, json.c, diff.c).
 */
#pragma once

#include "base/voice.h"
#include "machines/acpi.h"

#include <glib.h>
#include <stdbool.h>
#include <stdio.h>

enum { ACPIGEN_DIFFERENT = 1 };

typedef struct {
    Voice voice;
    /* the machine; lists of const char *, in the order given */
    const char *arch, *cpu, *uuid, *vga;
    GPtrArray *machine, *smp, *memory, *numa, *object, *device, *global, *drive, *nic, *serial,
        *parallel, *acpitable, *smbios;
    bool nodefaults, network; /* -netdev was given */
    /* what is wanted */
    const char *output, *loader, *blob, *smbios_file, *aml, *digest;
    uint64_t at;
    bool has_at, dsl, json, diff, list;
    const char *sides[2]; /* of --diff */
} Tool;

/* What a machine, or a folder of files, has. */
typedef struct {
    char *name;
    GBytes *bytes; /* pointers hold addresses as of Tool.at */
} Table;

typedef struct {
    GArray *tables;       /* Table; the order is that in memory */
    AcpiTables *acpi;     /* NULL: of files */
    SmbiosTables smbios;  /* no anchor: there is none */
} Set;

void set_clear(Set *set);
void set_init(Set *set);
void set_add(Set *set, const char *name, GBytes *bytes);
const Table *set_find(const Set *set, const char *name);

/* options.c: -1: go on; else how to exit. */
int tool_options(Tool *tool, int argc, char **argv);
/* Frees lists. */
void tool_clear(Tool *tool);

/* build.c */
bool build_set(const Tool *tool, Set *set, GError **error);
/* The tables in a folder as output_folder writes it. */
bool read_set(const char *folder, Set *set, GError **error);

/* output.c */
bool output_folder(const Tool *tool, const Set *set, GError **error);
bool output_loader(const Tool *tool, const Set *set, GError **error);
bool output_blob(const Tool *tool, const Set *set, GError **error);
bool output_smbios(const Tool *tool, const Set *set, GError **error);
bool output_aml(const Tool *tool, const Set *set, GError **error);
bool output_digest(const Tool *tool, const Set *set, GError **error);
void output_list(const Set *set);

/* Boards with tables, one a line; newly allocated. */
char *boards_help(void);

/* json.c: every field of every table on stdout */
bool output_json(const Set *set, GError **error);
/* diff.c: what differs, in lines on stdout; the number of differences */
unsigned diff_sets(const Set *a, const Set *b);
