/* SPDX-License-Identifier: MIT */
/*
 * Controllers that add and remove CPUs and memory, in the namespace. CPUs: a selector at 0, flags at 4
 * (there, came, to go, eject), a command at 5 (0: on to the next with an event, 1: of what OSPM
 * answers the event is written next, 2: the status), data at 8. Memory: address, length and node of the
 * selected module from 0 to 0x13, flags at 0x14; written, 0 selects, 4 and 8 take OSPM's answers.
 */
#include "machines/x86.h"

enum { CPU_PORTS = 12, MEMORY_PORTS = 0x18 };

/* ---- CPUs ------------------------------------------------------------------------------- */

static void cpu_registers(Aml *a, const char *parent, uint16_t base)
{
    g_autofree char *name = g_strdup_printf("%s.PRES", parent);
    aml_device(a, name);
    aml_asl(a, "Name (_HID, EisaId (\"PNP0A06\")) Name (_UID, \"CPU Hotplug resources\") Mutex (CPLK, 0)");
    aml_resources(a, "_CRS");
    aml_io(a, base, base, 1, CPU_PORTS);
    aml_end(a);
    aml_asl(a,
            "OperationRegion (PRST, SystemIO, 0x%04x, 0x%x)"
            "Field (PRST, ByteAcc, NoLock, WriteAsZeros) {"
            " Offset (4), CPEN, 1, CINS, 1, CRMV, 1, CEJ0, 1, CEJF, 1, Offset (5), CCMD, 8 }"
            "Field (PRST, DWordAcc, NoLock, Preserve) { CSEL, 32, Offset (8), CDAT, 32 }"
            "Method (_INI) { CSEL = 0 }", /* which turns the registers of this kind on */
            base, CPU_PORTS);
    aml_end(a);
}

/* CSCN: until no CPU is left with an event. The command goes on to one from the selected CPU on; that
   it has come round is seen by its number. */
static void cpu_methods(Aml *a, const char *parent, unsigned cpus)
{
    g_autofree char *r = g_strdup_printf("%s.PRES", parent);
    aml_asl(a,
            "Method (CSTA, 1, NotSerialized) {"
            " Acquire (%s.CPLK, 0xFFFF) %s.CSEL = Arg0 Local0 = 0"
            " If (%s.CPEN) { Local0 = 0x0F } Release (%s.CPLK) Return (Local0) }"
            "Method (CEJ0, 1, NotSerialized) {"
            " Acquire (%s.CPLK, 0xFFFF) %s.CSEL = Arg0 %s.CEJ0 = 1 Release (%s.CPLK) }"
            "Method (COST, 3, NotSerialized) {"
            " Acquire (%s.CPLK, 0xFFFF) %s.CSEL = Arg0 %s.CCMD = 1 %s.CDAT = Arg1"
            " %s.CCMD = 2 %s.CDAT = Arg2 Release (%s.CPLK) }",
            r, r, r, r, r, r, r, r, r, r, r, r, r, r, r);
    aml_asl(a,
            "Method (CSCN, 0, NotSerialized) {"
            " Acquire (%s.CPLK, 0xFFFF) Local0 = 0"
            " While (Local0 < %u) {"
            "  %s.CSEL = Local0 %s.CCMD = 0 Local1 = %s.CDAT"
            "  If (Local1 < Local0) { Break }"
            "  Local0 = Local1"
            "  If (%s.CINS) { %s.CINS = 1 CTFY (Local0, 1) }"
            "  ElseIf (%s.CRMV) { %s.CRMV = 1 CTFY (Local0, 3) }"
            "  Else { Break }"
            "  Local0++ }"
            " Release (%s.CPLK) }",
            r, cpus, r, r, r, r, r, r, r, r);
}

static void cpu_object(const Machine *m, Aml *a, unsigned cpu)
{
    uint8_t mat[16];
    uint32_t apic = x86_apic_id(&m->options->smp, cpu);
    size_t len = acpi_madt_cpu_bytes(mat, cpu, apic, true);
    g_autofree char *name = g_strdup_printf("C%03X", cpu);
    aml_device(a, name);
    aml_asl(a, "Name (_HID, \"ACPI0007\") Name (_UID, %u)", cpu);
    aml_asl(a, "Method (_STA) { Return (CSTA (%u)) }", cpu);
    aml_name_buffer(a, "_MAT");
    aml_bytes(a, mat, len);
    aml_end(a);
    if (cpu) /* the first stays */
        aml_asl(a, "Method (_EJ0, 1) { CEJ0 (%u) }", cpu);
    aml_asl(a, "Method (_OST, 3) { COST (%u, Arg0, Arg1) }", cpu);
    /* memory that comes later makes a node of what there is */
    if (m->options->numa->count || m->options->ram_slots)
        aml_name_int(a, "_PXM", machine_numa_cpu_node(m->options->numa, cpu));
    aml_end(a);
}

void acpi_cpu_hotplug(const Machine *m, Aml *a, const char *parent, uint16_t base, const char *event)
{
    unsigned cpus = m->options->smp.maxcpus;
    aml_scope(a, "\\_SB");
    cpu_registers(a, parent, base);
    aml_device(a, "CPUS");
    aml_asl(a, "Name (_HID, \"ACPI0010\") Name (_CID, EisaId (\"PNP0A05\"))");
    aml_method(a, "CTFY", 2, false);
    for (unsigned i = 0; i < cpus; i++)
        aml_asl(a, "If (Arg0 == %u) { Notify (C%03X, Arg1) }", i, i);
    aml_end(a);
    cpu_methods(a, parent, cpus);
    for (unsigned i = 0; i < cpus; i++)
        cpu_object(m, a, i);
    aml_end(a);
    aml_end(a);
    aml_asl(a, "Method (%s) { \\_SB.CPUS.CSCN () }", event);
}

/* ---- Memory -------------------------------------------------------------------------------- */

static void memory_registers(Aml *a, const char *parent, uint64_t base, bool memory)
{
    g_autofree char *name = g_strdup_printf("%s.MHPD", parent);
    aml_device(a, name);
    aml_asl(a, "Name (_HID, \"PNP0A06\") Name (_UID, \"Memory hotplug resources\")");
    aml_resources(a, "_CRS");
    if (memory)
        aml_memory32(a, true, (uint32_t)base, MEMORY_PORTS);
    else
        aml_io(a, (uint16_t)base, (uint16_t)base, 0, MEMORY_PORTS);
    aml_end(a);
    aml_asl(a,
            "OperationRegion (HPMR, %s, 0x%x, 0x%x)"
            "Field (HPMR, DWordAcc, NoLock, Preserve) { MRBL, 32, MRBH, 32, MRLL, 32, MRLH, 32, MPX, 32 }"
            "Field (HPMR, ByteAcc, NoLock, WriteAsZeros) {"
            " Offset (0x14), MES, 1, MINS, 1, MRMV, 1, MEJ, 1 }"
            "Field (HPMR, DWordAcc, NoLock, Preserve) { MSEL, 32, MOEV, 32, MOSC, 32 }",
            memory ? "SystemMemory" : "SystemIO", (unsigned)base, MEMORY_PORTS);
    aml_end(a);
}

/* A module's _CRS: one 64-bit range, whose last address is found in halves, as tables of revision 1 count with
   32 bits only. Fields of the descriptor: least at 14, most at 22, length at 38. */
static void memory_crs(Aml *a, const char *r)
{
    aml_method(a, "MCRS", 1, true);
    aml_resources(a, "RNGE");
    aml_qword_memory(a, true, 0, UINT64_MAX - 1);
    aml_end(a);
    /* by way of a variable, or iasl takes the offsets for those of whole 64-bit fields */
    aml_asl(a, "Local0 = 14 CreateDWordField (RNGE, Local0, MINL) CreateDWordField (RNGE, Local0 + 4, MINH)"
               "CreateDWordField (RNGE, Local0 + 8, MAXL) CreateDWordField (RNGE, Local0 + 12, MAXH)"
               "CreateDWordField (RNGE, Local0 + 24, LENL) CreateDWordField (RNGE, Local0 + 28, LENH)");
    aml_asl(a,
            "Acquire (MLCK, 0xFFFF) %s.MSEL = Arg0"
            " MINL = %s.MRBL MINH = %s.MRBH LENL = %s.MRLL LENH = %s.MRLH Release (MLCK)"
            " Local0 = MINL + LENL MAXL = Local0 MAXH = MINH + LENH"
            " If (MAXL < MINL) { MAXH += 1 }"
            " If (MAXL == 0) { MAXH -= 1 }"
            " MAXL -= 1 Return (RNGE)",
            r, r, r, r, r);
    aml_end(a);
}

static void memory_methods(Aml *a, const char *parent, unsigned slots)
{
    g_autofree char *r = g_strdup_printf("%s.MHPD", parent);
    aml_asl(a,
            "Mutex (MLCK, 0)"
            "Method (MSCN, 0, NotSerialized) {"
            " Acquire (MLCK, 0xFFFF) Local0 = 0"
            " While (Local0 < %u) {"
            "  %s.MSEL = Local0"
            "  If (%s.MINS) { MTFY (Local0, 1) %s.MINS = 1 }"
            "  ElseIf (%s.MRMV) { MTFY (Local0, 3) %s.MRMV = 1 }"
            "  Local0++ }"
            " Release (MLCK) }"
            "Method (MRST, 1, NotSerialized) {"
            " Acquire (MLCK, 0xFFFF) %s.MSEL = Arg0 Local0 = 0"
            " If (%s.MES) { Local0 = 0x0F } Release (MLCK) Return (Local0) }",
            slots, r, r, r, r, r, r, r);
    aml_asl(a,
            "Method (MPXM, 1, NotSerialized) {"
            " Acquire (MLCK, 0xFFFF) %s.MSEL = Arg0 Local0 = %s.MPX Release (MLCK) Return (Local0) }"
            "Method (MOST, 3, NotSerialized) {"
            " Acquire (MLCK, 0xFFFF) %s.MSEL = Arg0 %s.MOEV = Arg1 %s.MOSC = Arg2 Release (MLCK) }"
            "Method (MEJ0, 1, NotSerialized) {"
            " Acquire (MLCK, 0xFFFF) %s.MSEL = Arg0 %s.MEJ = 1 Release (MLCK) }",
            r, r, r, r, r, r, r);
    memory_crs(a, r);
}

void acpi_memory_hotplug(const Machine *m, Aml *a, const char *parent, uint64_t base, bool memory,
                         const char *event)
{
    unsigned slots = m->options->ram_slots;
    aml_scope(a, "\\_SB");
    memory_registers(a, parent, base, memory);
    aml_device(a, "MHPC");
    aml_asl(a, "Name (_HID, \"PNP0A06\") Name (_UID, \"DIMM devices\") Name (_STA, 0x0B)");
    memory_methods(a, parent, slots);
    for (unsigned i = 0; i < slots; i++) {
        g_autofree char *name = g_strdup_printf("MP%02X", i);
        aml_device(a, name);
        aml_asl(a, "Name (_UID, \"0x%02X\") Name (_HID, EisaId (\"PNP0C80\"))"
                   "Method (_CRS) { Return (MCRS (%u)) } Method (_STA) { Return (MRST (%u)) }"
                   "Method (_PXM) { Return (MPXM (%u)) } Method (_OST, 3) { MOST (%u, Arg0, Arg1) }"
                   "Method (_EJ0, 1) { MEJ0 (%u) }",
                i, i, i, i, i, i);
        aml_end(a);
    }
    aml_method(a, "MTFY", 2, false);
    for (unsigned i = 0; i < slots; i++)
        aml_asl(a, "If (Arg0 == %u) { Notify (MP%02X, Arg1) }", i, i);
    aml_end(a);
    aml_end(a);
    aml_end(a);
    if (event)
        aml_asl(a, "Method (%s) { \\_SB.MHPC.MSCN () }", event);
}
