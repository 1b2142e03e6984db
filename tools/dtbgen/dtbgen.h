/* SPDX-License-Identifier: MIT */
/*
 * dtbgen in parts: options.c has the command line, build.c makes the tree of a machine or reads
 * one, report.c says what is wrong with one and what differs.
 */
#pragma once

#include "fdt/fdt.h"

enum { DTBGEN_OK, DTBGEN_FAILED, DTBGEN_MISUSED };

/* Strings belong to argv. */
typedef struct {
    const char *name; /* the program's */
    /* char *, in the order given */
    GPtrArray *machine, *smp, *memory, *numa, *object, *device, *set, *delete, *merge, *files;
    const char *arch, *cpu, *kernel, *initrd, *append, *bios, *dtb, *output;
    bool dts, check, diff, help, version;
} Dtbgen;

/* Usage errors. */
bool dtbgen_options(Dtbgen *d, int argc, char **argv, GError **error);
char *dtbgen_help(const char *name);
/* Where a list is asked for (-M help, -cpu help, -device help, -M BOARD,help): the list, newly
   allocated; "" else; NULL with *error. */
char *dtbgen_lists(const Dtbgen *d, GError **error);

/* The tree of the machine, or of the file that was named in its place, with overlays and settings
   applied. */
GBytes *dtbgen_build(const Dtbgen *d, GError **error);
/* The machine's own tree. */
GBytes *dtbgen_machine(const Dtbgen *d, GError **error);
GBytes *dtbgen_read(const char *path, GError **error);

/* Whether the tree in bytes is good, and what that machine (NULL: none in particular) must have;
   lines about what is not are printed. */
bool dtbgen_check(GBytes *bytes, GBytes *machine, const char *name, bool *good, GError **error);
/* Prints what differs. */
bool dtbgen_diff(const char *a, const char *b, bool *same, GError **error);
