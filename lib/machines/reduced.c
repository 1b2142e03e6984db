/* SPDX-License-Identifier: MIT */
/* The namespace of boards with ACPI's reduced hardware. */
#include "machines/reduced.h"

#include <string.h>

enum { SLOTS = 32, PINS = 4, NO_NODE = 65535 };

/* ---- PCI ----------------------------------------------------------------------------- */

/* Slots take the four links in turn. */
static void routes(Aml *a)
{
    aml_name_package(a, "_PRT", SLOTS * PINS);
    for (unsigned slot = 0; slot < SLOTS; slot++) {
        for (unsigned pin = 0; pin < PINS; pin++) {
            g_autofree char *link = g_strdup_printf("GSI%u", (slot + pin) % PINS);
            aml_package(a, 4);
            aml_int(a, slot << 16 | 0xffff);
            aml_int(a, pin);
            aml_ref(a, link);
            aml_int(a, 0);
            aml_end(a);
        }
    }
    aml_end(a);
}

static void links(Aml *a, uint32_t first)
{
    for (unsigned i = 0; i < PINS; i++) {
        g_autofree char *name = g_strdup_printf("GSI%u", i);
        uint32_t line = first + i;
        aml_device(a, name);
        aml_name_string(a, "_HID", "PNP0C0F");
        aml_name_int(a, "_UID", i);
        for (unsigned k = 0; k < 2; k++) {
            aml_resources(a, k ? "_CRS" : "_PRS");
            aml_interrupts(a, 0, &line, 1);
            aml_end(a);
        }
        aml_asl(a, "Method (_SRS, 1) { }");
        aml_end(a);
    }
}

/* _DSM function 5 is left out: the OS may place BARs anew. */
static void methods(Aml *a)
{
    machine_acpi_osc(a, 0x1f);
    aml_asl(a, "Method (_DSM, 4) {"
               " If (Arg0 == ToUUID (\"e5c937d0-3553-4d7a-9117-ea4d19c3434d\") && Arg2 == 0) {"
               "  Return (Buffer (1) { 1 }) }"
               " Return (Buffer (1) { 0 }) }");
}

static void bridge_names(Aml *a, unsigned bus, const char *about)
{
    aml_name_string(a, "_HID", "PNP0A08");
    aml_name_string(a, "_CID", "PNP0A03");
    aml_name_int(a, "_BBN", bus);
    aml_name_int(a, "_UID", bus);
    aml_name_unicode(a, "_STR", about);
    aml_name_int(a, "_CCA", 1);
}

static void windows(Aml *a, const ReducedPci *p)
{
    aml_resources(a, "_CRS");
    aml_word_buses(a, 0, p->last_bus);
    if (p->mmio32_size)
        aml_dword_memory(a, false, (uint32_t)p->mmio32, (uint32_t)(p->mmio32 + p->mmio32_size - 1));
    if (p->pio_size)
        aml_dword_ports(a, 0, (uint32_t)p->pio_size - 1, (uint32_t)p->pio);
    if (p->mmio64_size)
        aml_qword_memory(a, false, p->mmio64, p->mmio64 + p->mmio64_size - 1);
    aml_end(a);
}

void acpi_reduced_pci(Aml *a, const ReducedPci *p)
{
    aml_device(a, "PCI0");
    bridge_names(a, 0, "PCIe 0 Device");
    aml_name_int(a, "_SEG", 0);
    routes(a);
    links(a, p->irq);
    aml_method(a, "_CBA", 0, false);
    aml_asl(a, "Return (0x%" G_GINT64_MODIFIER "x)", p->ecam);
    aml_end(a);
    windows(a, p);
    methods(a);
    aml_device(a, "RES0"); /* the ECAM window is taken */
    aml_name_string(a, "_HID", "PNP0C02");
    aml_resources(a, "_CRS");
    aml_qword_memory(a, false, p->ecam, p->ecam + p->ecam_size - 1);
    aml_end(a);
    aml_end(a);
    aml_end(a);
}

void acpi_reduced_pxb(Aml *a, const ReducedPci *p, unsigned bus, unsigned node)
{
    g_autofree char *name = g_strdup_printf("PC%02X", bus);
    aml_device(a, name);
    bridge_names(a, bus, "pxb Device");
    if (node != NO_NODE)
        aml_name_int(a, "_PXM", node);
    routes(a);
    links(a, p->irq);
    aml_resources(a, "_CRS");
    aml_word_buses(a, (uint16_t)bus, (uint16_t)bus);
    aml_end(a);
    methods(a);
    aml_end(a);
}

/* ---- Events ------------------------------------------------------------------------------- */

void acpi_ged(Aml *a, uint32_t irq, uint64_t base, unsigned events)
{
    aml_device(a, "\\_SB.GED");
    aml_asl(a, "Name (_HID, \"ACPI0013\") Name (_UID, \"GED\")");
    aml_resources(a, "_CRS");
    aml_interrupts(a, AML_EDGE, &irq, 1);
    aml_end(a);
    aml_asl(a, "OperationRegion (EREG, SystemMemory, 0x%x, 4)"
               "Field (EREG, DWordAcc, NoLock, WriteAsZeros) { ESEL, 32 }",
            (unsigned)base);
    aml_method(a, "_EVT", 1, true);
    aml_asl(a, "Local0 = ESEL");
    if (events & ACPI_GED_MEMORY)
        aml_asl(a, "If (Local0 & %u) { \\_SB.MHPC.MSCN () }", ACPI_GED_MEMORY);
    if (events & ACPI_GED_POWER)
        aml_asl(a, "If (Local0 & %u) { Notify (\\_SB.PWRB, 0x80) }", ACPI_GED_POWER);
    if (events & ACPI_GED_NVDIMM)
        aml_asl(a, "If (Local0 & %u) { Notify (\\_SB.NVDR, 0x80) }", ACPI_GED_NVDIMM);
    aml_end(a);
    aml_end(a);
}

void acpi_power_button(Aml *a)
{
    aml_asl(a, "Device (\\_SB.PWRB) { Name (_HID, \"PNP0C0C\") Name (_UID, 0) }");
}
