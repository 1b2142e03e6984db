/* SPDX-License-Identifier: MIT */
/*
 * SMBIOS: what a machine's firmware tells of its maker, board, processors and memory, and what
 * users put in its place. Follows the SMBIOS 3.5 reference (DSP0134); section numbers in the source
 * are its.
 *
 * The steps: smbios_options_new, _add for each text of -smbios, then smbios_build. One thread.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct SmbiosOptions SmbiosOptions;

/* How the texts' files are read; newly allocated bytes, or NULL with *error. */
typedef GBytes *(*SmbiosRead)(void *opaque, const char *name, GError **error);

SmbiosOptions *smbios_options_new(SmbiosRead read, void *opaque);
void smbios_options_free(SmbiosOptions *o);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SmbiosOptions, smbios_options_free)
/* "type=N,field=..." sets fields of structures of that type, "file=NAME" adds structures that are
   built already (each is one, with its strings). Types: 0 1 2 3 4 8 9 11 17 41. */
bool smbios_options_add(SmbiosOptions *o, const char *text, GError **error);
/* The types and their fields as lines; newly allocated. */
char *smbios_options_help(void);

typedef struct {
    uint64_t start, size;
} SmbiosRange;

/* What the machine is. Strings are borrowed. */
typedef struct {
    const char *manufacturer, *product, *version;
    bool has_uuid;
    uint8_t uuid[16];        /* in the order of its text */
    unsigned sockets, cores, threads; /* cores and threads: of each socket */
    uint64_t processor_id;   /* CPUID 1: EDX << 32 | EAX; unless processor-id= says */
    uint64_t ram_size;
    uint64_t ram_handed_out; /* of each memory device of type 17 at most: 16 GiB */
    const SmbiosRange *ranges;
    unsigned range_count;
    bool ep64;               /* the 64-bit entry point, version 3.0 */
    /* The place of the PCI device with that id, for type 41 and 9. */
    bool (*find_pci)(void *opaque, const char *id, uint16_t *segment, uint8_t *bus, uint8_t *devfn);
    void *opaque;
} SmbiosMachine;

typedef struct {
    GBytes *anchor; /* the entry point, with an address of 0 and its checksums right for that */
    GBytes *tables;
    unsigned count; /* of structures */
} SmbiosTables;

bool smbios_build(SmbiosTables *out, const SmbiosOptions *o, const SmbiosMachine *m,
                  GError **error);
void smbios_tables_clear(SmbiosTables *t);
/* The entry point with the tables at that address. NULL with *error when it cannot say it. */
GBytes *smbios_anchor_at(const SmbiosTables *t, uint64_t address, GError **error);
/* What dmidecode --from-dump reads: the entry point at 0, tables at 32. */
GBytes *smbios_dump(const SmbiosTables *t);
