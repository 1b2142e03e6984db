/* SPDX-License-Identifier: MIT */
/*
 * Reading tables back: every field with its name, place and value, of static tables by the layouts
 * of their specifications, of AML by the objects of the namespace, of SMBIOS by its structures. Any
 * bytes may be given: what does not parse is told as bytes without a name, or as an error.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {
    ACPI_NUMBER, /* of size bytes */
    ACPI_TEXT,   /* size bytes, as they are */
    ACPI_BYTES,  /* the same, not text */
    ACPI_CODE,   /* AML: a method's body, a package and so on */
} AcpiFieldKind;

typedef struct {
    const char *name; /* "Revision", "Local APIC 2: APIC ID", "\\_SB.PCI0._CRS"; borrowed for the call */
    AcpiFieldKind kind;
    size_t offset, size;  /* in the table */
    uint64_t number;      /* of ACPI_NUMBER */
    const uint8_t *bytes; /* the field itself */
} AcpiField;

typedef void (*AcpiFieldSeen)(void *opaque, const AcpiField *field);

/* A table with a header, a FACS or an RSDP. False with *error when it is too short or its length is
   wrong; fields seen until then were right. */
bool acpi_parse(const uint8_t *data, size_t len, AcpiFieldSeen seen, void *opaque, GError **error);
/* SMBIOS, as smbios_dump gives it: entry point, then structures where it says. */
bool smbios_parse(const uint8_t *data, size_t len, AcpiFieldSeen seen, void *opaque,
                  GError **error);
