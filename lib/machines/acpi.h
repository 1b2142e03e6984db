/* SPDX-License-Identifier: MIT */
/*
 * What a board tells its guest by ACPI and SMBIOS tables: the finished sets, for firmware, files and
 * tests alike; and what users add to them. Between machine_new (with all devices added) and
 * machine_free; nothing is started and no RAM allocated. Main thread.
 */
#pragma once

#include "acpi/smbios.h"
#include "acpi/table.h"
#include "machines/machine.h"

/* -acpitable "sig=,rev=,oem_id=,oem_table_id=,oem_rev=,asl_compiler_id=,asl_compiler_rev=,data=FILE[:FILE]"
   or "file=FILE": one more table, whose identity RSDT and FADT take over if it is a SLIC. */
bool machine_add_acpitable(Machine *m, const char *text, GError **error);
/* -smbios */
bool machine_add_smbios(Machine *m, const char *text, GError **error);
/* -uuid: in the order of its text. */
void machine_set_uuid(Machine *m, const uint8_t uuid[16]);

/* The tables, finished. NULL with *error when the board has none, or options do not fit together. */
AcpiTables *machine_acpi(Machine *m, GError **error);
/* Release with smbios_tables_clear. */
bool machine_smbios(Machine *m, SmbiosTables *out, GError **error);

/* CPU models of boards that read -cpu themselves, and devices that only descriptions have, one a line; newly
   allocated. */
char *machine_cpu_help(void);
char *machine_described_help(void);

/* What a board comes with unless the user has something else. */
typedef struct {
    bool nodefaults;
    const char *vga;  /* of -vga; NULL: the board's */
    bool no_network;  /* -net none, -nic none, or any network option */
    int serials;      /* -serial: how many there are; -1: not given */
    int parallels;
    const GPtrArray *devices; /* char *: texts of -device, which keep some defaults away */
} MachineDefaults;
/* Plugs in graphics, network card and ports of a board that is described only; before -device. */
bool machine_add_defaults(Machine *m, const MachineDefaults *d, GError **error);
