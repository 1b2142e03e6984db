/* SPDX-License-Identifier: MIT */
/* Reading SMBIOS: the entry point and every structure, with its strings in the place of their
   numbers (SMBIOS 3.5 chapters 5.2, 6 and 7). */
#include "acpi/parse_priv.h"

#include "base/bytes.h"
#include "base/error.h"

#include <string.h>

/* 's': the number of a string. */
#define N(name, size) {name, size, 'n'}
#define S(name) {name, 1, 's'}
#define B(name, size) {name, size, 'b'}
#define END {NULL, 0, 0}

static const AcpiFieldDef type0[] = {
    S("Vendor"), S("BIOS Version"), N("BIOS Starting Address Segment", 2), S("BIOS Release Date"),
    N("BIOS ROM Size", 1), N("BIOS Characteristics", 8), N("BIOS Characteristics Extension Bytes", 2),
    N("System BIOS Major Release", 1), N("System BIOS Minor Release", 1),
    N("Embedded Controller Firmware Major Release", 1), N("Embedded Controller Firmware Minor Release", 1), END};
static const AcpiFieldDef type1[] = {S("Manufacturer"), S("Product Name"), S("Version"), S("Serial Number"),
                                     B("UUID", 16), N("Wake-up Type", 1), S("SKU Number"), S("Family"), END};
static const AcpiFieldDef type2[] = {
    S("Manufacturer"), S("Product"), S("Version"), S("Serial Number"), S("Asset Tag"), N("Feature Flags", 1),
    S("Location in Chassis"), N("Chassis Handle", 2), N("Board Type", 1),
    N("Number of Contained Object Handles", 1), END};
static const AcpiFieldDef type3[] = {
    S("Manufacturer"), N("Type", 1), S("Version"), S("Serial Number"), S("Asset Tag Number"),
    N("Boot-up State", 1), N("Power Supply State", 1), N("Thermal State", 1), N("Security Status", 1),
    N("OEM-defined", 4), N("Height", 1), N("Number of Power Cords", 1), N("Contained Element Count", 1),
    N("Contained Element Record Length", 1), S("SKU Number"), END};
static const AcpiFieldDef type4[] = {
    S("Socket Designation"), N("Processor Type", 1), N("Processor Family", 1), S("Processor Manufacturer"),
    N("Processor ID", 8), S("Processor Version"), N("Voltage", 1), N("External Clock", 2), N("Max Speed", 2),
    N("Current Speed", 2), N("Status", 1), N("Processor Upgrade", 1), N("L1 Cache Handle", 2),
    N("L2 Cache Handle", 2), N("L3 Cache Handle", 2), S("Serial Number"), S("Asset Tag"), S("Part Number"),
    N("Core Count", 1), N("Core Enabled", 1), N("Thread Count", 1), N("Processor Characteristics", 2),
    N("Processor Family 2", 2), N("Core Count 2", 2), N("Core Enabled 2", 2), N("Thread Count 2", 2), END};
static const AcpiFieldDef type8[] = {S("Internal Reference Designator"), N("Internal Connector Type", 1),
                                     S("External Reference Designator"), N("External Connector Type", 1),
                                     N("Port Type", 1), END};
static const AcpiFieldDef type9[] = {
    S("Slot Designation"), N("Slot Type", 1), N("Slot Data Bus Width", 1), N("Current Usage", 1),
    N("Slot Length", 1), N("Slot ID", 2), N("Slot Characteristics 1", 1), N("Slot Characteristics 2", 1),
    N("Segment Group Number", 2), N("Bus Number", 1), N("Device/Function Number", 1), N("Data Bus Width", 1),
    N("Peer grouping count", 1), END};
static const AcpiFieldDef type11[] = {N("Count", 1), END};
static const AcpiFieldDef type16[] = {
    N("Location", 1), N("Use", 1), N("Memory Error Correction", 1), N("Maximum Capacity", 4),
    N("Memory Error Information Handle", 2), N("Number of Memory Devices", 2),
    N("Extended Maximum Capacity", 8), END};
static const AcpiFieldDef type17[] = {
    N("Physical Memory Array Handle", 2), N("Memory Error Information Handle", 2), N("Total Width", 2),
    N("Data Width", 2), N("Size", 2), N("Form Factor", 1), N("Device Set", 1), S("Device Locator"),
    S("Bank Locator"), N("Memory Type", 1), N("Type Detail", 2), N("Speed", 2), S("Manufacturer"),
    S("Serial Number"), S("Asset Tag"), S("Part Number"), N("Attributes", 1), N("Extended Size", 4),
    N("Configured Memory Speed", 2), N("Minimum voltage", 2), N("Maximum voltage", 2),
    N("Configured voltage", 2), END};
static const AcpiFieldDef type19[] = {
    N("Starting Address", 4), N("Ending Address", 4), N("Memory Array Handle", 2), N("Partition Width", 1),
    N("Extended Starting Address", 8), N("Extended Ending Address", 8), END};
static const AcpiFieldDef type32[] = {B("Reserved", 6), N("Boot Status", 1), END};
static const AcpiFieldDef type41[] = {S("Reference Designation"), N("Device Type", 1),
                                      N("Device Type Instance", 1), N("Segment Group Number", 2),
                                      N("Bus Number", 1), N("Device/Function Number", 1), END};

static const AcpiStructDef types[] = {
    {0, "BIOS Information", type0}, {1, "System Information", type1}, {2, "Baseboard Information", type2},
    {3, "System Enclosure", type3}, {4, "Processor Information", type4},
    {8, "Port Connector Information", type8}, {9, "System Slots", type9}, {11, "OEM Strings", type11},
    {16, "Physical Memory Array", type16}, {17, "Memory Device", type17},
    {19, "Memory Array Mapped Address", type19}, {32, "System Boot Information", type32},
    {41, "Onboard Devices Extended Information", type41}, {127, "End-of-Table", NULL}, {0, NULL, NULL}};

/* Where string n of the set at at begins, its length in *len; 0 when there is none. */
static size_t string_find(const AcpiReader *r, size_t at, size_t end, unsigned n, size_t *len)
{
    while (at < end && r->data[at] && n) {
        const uint8_t *nul = memchr(r->data + at, 0, end - at);
        if (!nul)
            return 0;
        *len = (size_t)(nul - (r->data + at));
        if (--n == 0)
            return at;
        at += *len + 1;
    }
    return 0;
}

static void see_structure(const AcpiReader *r, const char *prefix, const AcpiFieldDef *fields,
                          size_t at, size_t formatted, size_t end)
{
    size_t strings = at + formatted, place = at + 4;
    g_autofree char *handle = g_strdup_printf("%s: Handle", prefix);
    acpi_see(r, handle, ACPI_NUMBER, at + 2, 2);
    for (const AcpiFieldDef *f = fields; f && f->name && place + f->size <= strings; f++) {
        g_autofree char *name = g_strdup_printf("%s: %s", prefix, f->name);
        size_t len = 0,
               text = f->kind == 's' ? string_find(r, strings, end, r->data[place], &len) : 0;
        if (text)
            acpi_see(r, name, ACPI_TEXT, text, len);
        else
            acpi_see(r, name, f->kind == 'b' ? ACPI_BYTES : ACPI_NUMBER, place, f->size);
        place += f->size;
    }
    g_autofree char *rest = g_strdup_printf("%s: other bytes", prefix);
    if (place < strings)
        acpi_see(r, rest, ACPI_BYTES, place, strings - place);
    for (unsigned n = 1; r->data[at] == 11; n++) {
        size_t len, text = string_find(r, strings, end, n, &len);
        g_autofree char *name = g_strdup_printf("%s: String %u", prefix, n);
        if (!text)
            break;
        acpi_see(r, name, ACPI_TEXT, text, len);
    }
}

static bool see_structures(const AcpiReader *r, size_t at, size_t end, GError **error)
{
    unsigned counts[256] = {0};
    while (end - at >= 4) {
        uint8_t type = r->data[at], formatted = r->data[at + 1];
        if (formatted < 4 || formatted > end - at)
            return fail(error, "SMBIOS: the structure at offset %zu has a length of %u", at,
                        formatted);
        size_t next = at + formatted;
        while (end - next >= 2 && (r->data[next] || r->data[next + 1]))
            next++;
        if (end - next < 2)
            return fail(error, "SMBIOS: the strings of the structure at offset %zu do not end", at);
        next += 2;
        const AcpiStructDef *def = types;
        while (def->name && def->type != type)
            def++;
        unsigned n = counts[type]++;
        g_autofree char *prefix = def->name ? g_strdup_printf("%s %u", def->name, n)
                                            : g_strdup_printf("type %u %u", type, n);
        see_structure(r, prefix, def->fields, at, formatted, next);
        if (type == 127)
            break;
        at = next;
    }
    return true;
}

bool smbios_parse(const uint8_t *data, size_t len, AcpiFieldSeen seen, void *opaque, GError **error)
{
    const AcpiReader r = {data, len, seen, opaque};
    uint64_t at, size;
    if (len >= 24 && !memcmp(data, "_SM3_", 5)) {
        acpi_see(&r, "Entry Point: Version", ACPI_BYTES, 7, 3);
        at = ld_le64(data + 16);
        size = ld_le32(data + 12);
    } else if (len >= 31 && !memcmp(data, "_SM_", 4)) {
        acpi_see(&r, "Entry Point: Version", ACPI_BYTES, 6, 2);
        acpi_see(&r, "Entry Point: Maximum Structure Size", ACPI_NUMBER, 8, 2);
        acpi_see(&r, "Entry Point: Number of SMBIOS Structures", ACPI_NUMBER, 28, 2);
        at = ld_le32(data + 24);
        size = ld_le16(data + 22);
    } else {
        return fail(error, "these bytes are no SMBIOS: there is no entry point");
    }
    if (at > len)
        return fail(error, "SMBIOS: the tables lie outside of the dump");
    return see_structures(&r, (size_t)at, (size_t)(at + MIN(size, len - at)), error);
}
