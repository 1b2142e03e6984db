/* SPDX-License-Identifier: MIT */
/*
 * Tables and the set they make: headers, checksums, pointers, the root, and the three files by
 * which firmware takes them over (etc/acpi/rsdp, etc/acpi/tables and the commands of
 * etc/table-loader).
 *
 * A table is filled at its end, like a stream. What it points to is noted and not yet an address:
 * the loader's commands say so, or acpi_tables_place, which knows where everything lies.
 *
 * Names of fields, structures and their numbers: ACPI 6.4 chapter 5.2, unless said. One thread.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct AcpiTable AcpiTable;
typedef struct AcpiTables AcpiTables;

enum { ACPI_HEADER = 36, ACPI_CHECKSUM_AT = 9 };

/* Files of firmware, as fw_cfg names them. */
#define ACPI_FILE_TABLES "etc/acpi/tables"
#define ACPI_FILE_RSDP "etc/acpi/rsdp"
#define ACPI_FILE_LOADER "etc/table-loader"

/* ---- One table --------------------------------------------------------------- */

/* signature has four characters. The ids are those of the set it is added to. */
AcpiTable *acpi_table_new(const char *signature, uint8_t revision);
void acpi_table_free(AcpiTable *t);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AcpiTable, acpi_table_free)
/* A table id of its own, NUL padded (an SSDT with a part of the namespace). */
void acpi_table_set_id(AcpiTable *t, const char *oem_table_id);

/* Appended, least significant byte first. */
void acpi_u8(AcpiTable *t, uint8_t value);
void acpi_u16(AcpiTable *t, uint16_t value);
void acpi_u32(AcpiTable *t, uint32_t value);
void acpi_u64(AcpiTable *t, uint64_t value);
void acpi_zero(AcpiTable *t, size_t count);
void acpi_raw(AcpiTable *t, const void *data, size_t len);
/* Generic Address Structure (5.2.3.2). */
enum { ACPI_SPACE_MEMORY = 0, ACPI_SPACE_PORTS = 1 };
void acpi_gas(AcpiTable *t, uint8_t space, uint8_t bits, uint8_t access, uint64_t address);
/* Bytes so far. */
size_t acpi_size(const AcpiTable *t);
/* Changes what is there. */
void acpi_set32(AcpiTable *t, size_t at, uint32_t value);
uint32_t acpi_get32(const AcpiTable *t, size_t at);

/* The size bytes at that offset, which hold value, will have the address of file added. */
void acpi_pointer(AcpiTable *t, size_t at, uint8_t size, const char *file);

/* ---- The set ------------------------------------------------------------------- */

/* Ids as their users give them, at most 6 and 8 characters, padded with NUL. xsdt: the root has
   64-bit addresses and the RSDP revision 2. */
AcpiTables *acpi_tables_new(const char *oem_id, const char *oem_table_id, bool xsdt);
void acpi_tables_free(AcpiTables *s);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AcpiTables, acpi_tables_free)

/* Takes the table over, with the set's ids and its length filled in, and gives its offset in
   etc/acpi/tables. listed: the root points to it. Errors: it is too large. */
uint32_t acpi_tables_add(AcpiTables *s, AcpiTable *t, bool listed);
/* The FACS, which has neither ids nor a checksum. */
uint32_t acpi_tables_add_facs(AcpiTables *s);
/* A finished table of the user's, with its own header. False when it is not one. */
bool acpi_tables_add_raw(AcpiTables *s, const void *data, size_t len, GError **error);
/* RSDT and FADT take over these ids, six and eight bytes (a user's SLIC); before the FADT is added.
 */
void acpi_tables_take_ids(AcpiTables *s, const uint8_t *oem_id, const uint8_t *oem_table_id);
/* One more file that tables point to, aligned, high: anywhere in memory, else below 1 MiB; name in
 * fw_cfg. */
void acpi_tables_add_file(AcpiTables *s, const char *name, GBytes *data, uint32_t align);
/* Where that file was put is to be told through the fw_cfg file name, plus offset (size bytes at
 * 0). */
void acpi_tables_report(AcpiTables *s, const char *name, uint8_t size, const char *file,
                        uint32_t offset);
/* Root and RSDP; nothing can be added any more. */
bool acpi_tables_finish(AcpiTables *s, GError **error);

/* ---- What comes out ---------------------------------------------------------------- */

/* Borrowed: the files of the firmware interface, with pointers still offsets and checksums 0. */
GBytes *acpi_tables_file(const AcpiTables *s, const char *name);
/* The names of all files but the loader's; NULL ends it. Newly allocated array of borrowed strings.
 */
const char **acpi_tables_files(const AcpiTables *s);
GBytes *acpi_tables_loader(const AcpiTables *s);

/* All as it lies in memory from base on: the RSDP, then the tables, then other files. False when an
   address does not fit its pointer. */
GBytes *acpi_tables_place(const AcpiTables *s, uint64_t base, GError **error);

/* One table of the set. */
typedef struct {
    char name[16];       /* "dsdt", "ssdt-2": lower case, numbered from the second of its kind */
    char signature[5];
    size_t offset, len;  /* in what acpi_tables_place gives */
} AcpiEntry;
/* In the order they lie: rsdp, facs, dsdt, ..., the root last. len 0 ends it. */
const AcpiEntry *acpi_tables_entries(const AcpiTables *s);
