/* SPDX-License-Identifier: MIT */
/* Layouts, as fields.c has them, and the parts of the reader. */
#pragma once

#include "acpi/parse.h"

typedef struct {
    const char *name; /* NULL ends a list */
    uint8_t size;     /* 0: all that is left of the structure */
    char kind;        /* 'n' a number, 't' text, 'b' bytes, 'r' reserved: seen only if not zero,
                         'g' a Generic Address Structure */
} AcpiFieldDef;

/* A structure within a table. */
typedef struct {
    uint16_t type;
    const char *name; /* NULL ends a list */
    const AcpiFieldDef *fields; /* from behind its type and length */
} AcpiStructDef;

/* Where a structure says its type and length: bytes of each, and where the fields begin. */
typedef enum {
    ACPI_STRUCT_8,    /* type u8, length u8 */
    ACPI_STRUCT_16,   /* type u16, length u16 */
    ACPI_STRUCT_HMAT, /* type u16, reserved u16, length u32 */
    ACPI_STRUCT_VIOT, /* type u8, reserved u8, length u16 */
    ACPI_STRUCT_IORT, /* type u8, length u16 */
    ACPI_STRUCT_FIXED, /* no type: the size of its fields */
} AcpiStructHead;

typedef struct {
    const char *signature;
    const AcpiFieldDef *fields; /* from behind the header; as many as the length has room for */
    AcpiStructHead head;
    const AcpiStructDef *structs; /* NULL: none follow */
} AcpiTableDef;

/* NULL when the signature is not known. */
const AcpiTableDef *acpi_table_def(const uint8_t *signature);
extern const AcpiFieldDef acpi_header_def[], acpi_facs_def[], acpi_rsdp_def[];

typedef struct {
    const uint8_t *data;
    size_t len;
    AcpiFieldSeen seen;
    void *opaque;
} AcpiReader;

void acpi_see(const AcpiReader *r, const char *name, AcpiFieldKind kind, size_t offset,
              size_t size);
/* Fields from at up to end; name in front, or NULL. Returns where they end. */
size_t acpi_see_fields(const AcpiReader *r, const char *prefix, const AcpiFieldDef *fields,
                       size_t at, size_t end);
/* The objects of a DSDT or SSDT from at on. */
void acpi_see_aml(const AcpiReader *r, size_t at);
