/* SPDX-License-Identifier: MIT */
/* Layouts of static tables. Names are those of ACPI 6.4 chapter 5.2 and of the specifications that
   the writers' files name. */
#include "acpi/parse_priv.h"

#include <string.h>

#define N(name, size) {name, size, 'n'}
#define T(name, size) {name, size, 't'}
#define B(name, size) {name, size, 'b'}
#define R(size) {"reserved", size, 'r'}
#define G(name) {name, 12, 'g'}
#define END {NULL, 0, 0}

const AcpiFieldDef acpi_header_def[] = {
    T("Signature", 4), N("Length", 4), N("Revision", 1), N("Checksum", 1), T("OEM ID", 6),
    T("OEM Table ID", 8), N("OEM Revision", 4), T("Creator ID", 4), N("Creator Revision", 4), END};

const AcpiFieldDef acpi_rsdp_def[] = {
    T("Signature", 8), N("Checksum", 1), T("OEM ID", 6), N("Revision", 1), N("RSDT Address", 4),
    N("Length", 4), N("XSDT Address", 8), N("Extended Checksum", 1), R(3), END};

const AcpiFieldDef acpi_facs_def[] = {
    T("Signature", 4), N("Length", 4), N("Hardware Signature", 4), N("Firmware Waking Vector", 4),
    N("Global Lock", 4), N("Flags", 4), N("X Firmware Waking Vector", 8), N("Version", 1), R(3),
    N("OSPM Flags", 4), R(24), END};

static const AcpiFieldDef facp[] = {
    N("FIRMWARE_CTRL", 4), N("DSDT", 4), N("INT_MODEL", 1), N("Preferred_PM_Profile", 1), N("SCI_INT", 2),
    N("SMI_CMD", 4), N("ACPI_ENABLE", 1), N("ACPI_DISABLE", 1), N("S4BIOS_REQ", 1), N("PSTATE_CNT", 1),
    N("PM1a_EVT_BLK", 4), N("PM1b_EVT_BLK", 4), N("PM1a_CNT_BLK", 4), N("PM1b_CNT_BLK", 4),
    N("PM2_CNT_BLK", 4), N("PM_TMR_BLK", 4), N("GPE0_BLK", 4), N("GPE1_BLK", 4), N("PM1_EVT_LEN", 1),
    N("PM1_CNT_LEN", 1), N("PM2_CNT_LEN", 1), N("PM_TMR_LEN", 1), N("GPE0_BLK_LEN", 1),
    N("GPE1_BLK_LEN", 1), N("GPE1_BASE", 1), N("CST_CNT", 1), N("P_LVL2_LAT", 2), N("P_LVL3_LAT", 2),
    N("FLUSH_SIZE", 2), N("FLUSH_STRIDE", 2), N("DUTY_OFFSET", 1), N("DUTY_WIDTH", 1), N("DAY_ALRM", 1),
    N("MON_ALRM", 1), N("CENTURY", 1), N("IAPC_BOOT_ARCH", 2), R(1), N("Flags", 4), G("RESET_REG"),
    N("RESET_VALUE", 1), N("ARM_BOOT_ARCH", 2), N("FADT Minor Version", 1), N("X_FIRMWARE_CTRL", 8),
    N("X_DSDT", 8), G("X_PM1a_EVT_BLK"), G("X_PM1b_EVT_BLK"), G("X_PM1a_CNT_BLK"), G("X_PM1b_CNT_BLK"),
    G("X_PM2_CNT_BLK"), G("X_PM_TMR_BLK"), G("X_GPE0_BLK"), G("X_GPE1_BLK"), G("SLEEP_CONTROL_REG"),
    G("SLEEP_STATUS_REG"), T("Hypervisor Vendor Identity", 8), END};

/* ---- MADT --------------------------------------------------------------------------------- */

static const AcpiFieldDef apic[] = {N("Local Interrupt Controller Address", 4), N("Flags", 4), END};
static const AcpiFieldDef lapic[] = {N("ACPI Processor UID", 1), N("APIC ID", 1), N("Flags", 4), END};
static const AcpiFieldDef ioapic[] = {N("I/O APIC ID", 1), R(1), N("Address", 4),
                                      N("Global System Interrupt Base", 4), END};
static const AcpiFieldDef override[] = {N("Bus", 1), N("Source", 1), N("Global System Interrupt", 4),
                                        N("Flags", 2), END};
static const AcpiFieldDef lapic_nmi[] = {N("ACPI Processor UID", 1), N("Flags", 2), N("Local APIC LINT#", 1),
                                         END};
static const AcpiFieldDef x2apic[] = {R(2), N("X2APIC ID", 4), N("Flags", 4), N("ACPI Processor UID", 4), END};
static const AcpiFieldDef x2apic_nmi[] = {N("Flags", 2), N("ACPI Processor UID", 4),
                                          N("Local x2APIC LINT#", 1), R(3), END};
static const AcpiFieldDef gicc[] = {
    R(2), N("CPU Interface Number", 4), N("ACPI Processor UID", 4), N("Flags", 4),
    N("Parking Protocol Version", 4), N("Performance Interrupt GSIV", 4), N("Parked Address", 8),
    N("Physical Base Address", 8), N("GICV", 8), N("GICH", 8), N("VGIC Maintenance Interrupt", 4),
    N("GICR Base Address", 8), N("MPIDR", 8), N("Processor Power Efficiency Class", 1), R(1),
    N("SPE Overflow Interrupt", 2), END};
static const AcpiFieldDef gicd[] = {R(2), N("GIC ID", 4), N("Physical Base Address", 8),
                                    N("System Vector Base", 4), N("GIC Version", 1), R(3), END};
static const AcpiFieldDef msi_frame[] = {R(2), N("GIC MSI Frame ID", 4), N("Physical Base Address", 8),
                                         N("Flags", 4), N("SPI Count", 2), N("SPI Base", 2), END};
static const AcpiFieldDef gicr[] = {R(2), N("Discovery Range Base Address", 8), N("Discovery Range Length", 4),
                                    END};
static const AcpiFieldDef its[] = {R(2), N("GIC ITS ID", 4), N("Physical Base Address", 8), R(4), END};
static const AcpiStructDef apic_structs[] = {
    {0, "Local APIC", lapic}, {1, "I/O APIC", ioapic}, {2, "Interrupt Source Override", override},
    {4, "Local APIC NMI", lapic_nmi}, {9, "Local x2APIC", x2apic}, {10, "Local x2APIC NMI", x2apic_nmi},
    {11, "GICC", gicc}, {12, "GICD", gicd}, {13, "GIC MSI Frame", msi_frame}, {14, "GICR", gicr},
    {15, "GIC ITS", its}, {0, NULL, NULL}};

/* ---- Affinity -------------------------------------------------------------------------------- */

static const AcpiFieldDef srat[] = {N("Table Revision", 4), R(8), END};
static const AcpiFieldDef srat_lapic[] = {
    N("Proximity Domain [7:0]", 1), N("APIC ID", 1), N("Flags", 4), N("Local SAPIC EID", 1),
    N("Proximity Domain [31:8]", 3), N("Clock Domain", 4), END};
static const AcpiFieldDef srat_memory[] = {N("Proximity Domain", 4), R(2), N("Base Address", 8), N("Length", 8),
                                           R(4), N("Flags", 4), R(8), END};
static const AcpiFieldDef srat_x2apic[] = {R(2), N("Proximity Domain", 4), N("X2APIC ID", 4), N("Flags", 4),
                                           N("Clock Domain", 4), R(4), END};
static const AcpiFieldDef srat_gicc[] = {N("Proximity Domain", 4), N("ACPI Processor UID", 4), N("Flags", 4),
                                         N("Clock Domain", 4), END};
static const AcpiStructDef srat_structs[] = {
    {0, "Local APIC Affinity", srat_lapic}, {1, "Memory Affinity", srat_memory},
    {2, "Local x2APIC Affinity", srat_x2apic}, {3, "GICC Affinity", srat_gicc}, {0, NULL, NULL}};
static const AcpiFieldDef slit[] = {N("Number of System Localities", 8), B("Entries", 0), END};
static const AcpiFieldDef hmat[] = {R(4), END};
static const AcpiFieldDef hmat_node[] = {N("Flags", 2), R(2), N("Proximity Domain for Attached Initiator", 4),
                                         N("Proximity Domain for Memory", 4), R(20), END};
static const AcpiFieldDef hmat_matrix[] = {
    N("Flags", 1), N("Data Type", 1), R(2), N("Number of Initiator Proximity Domains", 4),
    N("Number of Target Proximity Domains", 4), R(4), N("Entry Base Unit", 8), B("Lists and Entries", 0), END};
static const AcpiFieldDef hmat_cache[] = {N("Memory Proximity Domain", 4), R(4), N("Memory Side Cache Size", 8),
                                          N("Cache Attributes", 4), R(2), N("Number of SMBIOS handles", 2), END};
static const AcpiStructDef hmat_structs[] = {
    {0, "Memory Proximity Domain Attributes", hmat_node},
    {1, "System Locality Latency and Bandwidth Information", hmat_matrix},
    {2, "Memory Side Cache Information", hmat_cache}, {0, NULL, NULL}};
static const AcpiFieldDef pptt_node[] = {R(2), N("Flags", 4), N("Parent", 4), N("ACPI Processor ID", 4),
                                         N("Number of Private Resources", 4), B("Private Resources", 0), END};
static const AcpiStructDef pptt_structs[] = {{0, "Processor Hierarchy Node", pptt_node}, {0, NULL, NULL}};

/* ---- Platform -------------------------------------------------------------------------------- */

static const AcpiFieldDef hpet[] = {N("Event Timer Block ID", 4), G("Base Address"), N("HPET Number", 1),
                                    N("Minimum Clock Tick", 2), N("Page Protection and OEM Attribute", 1), END};
static const AcpiFieldDef mcfg[] = {R(8), END};
static const AcpiFieldDef mcfg_window[] = {N("Base Address", 8), N("PCI Segment Group Number", 2),
                                           N("Start Bus Number", 1), N("End Bus Number", 1), R(4), END};
static const AcpiStructDef mcfg_structs[] = {{0, "Allocation", mcfg_window}, {0, NULL, NULL}};
static const AcpiFieldDef waet[] = {N("Emulated Device Flags", 4), END};
static const AcpiFieldDef tpm2[] = {N("Platform Class", 2), R(2), N("Address of Control Area", 8),
                                    N("Start Method", 4), B("Start Method Parameters", 12),
                                    N("Log Area Minimum Length", 4), N("Log Area Start Address", 8), END};
static const AcpiFieldDef tcpa[] = {N("Platform Class", 2), N("Log Area Minimum Length", 4),
                                    N("Log Area Start Address", 8), END};
static const AcpiFieldDef spcr[] = {
    N("Interface Type", 1), R(3), G("Base Address"), N("Interrupt Type", 1), N("IRQ", 1),
    N("Global System Interrupt", 4), N("Configured Baud Rate", 1), N("Parity", 1), N("Stop Bits", 1),
    N("Flow Control", 1), N("Terminal Type", 1), N("Language", 1), N("PCI Device ID", 2),
    N("PCI Vendor ID", 2), N("PCI Bus Number", 1), N("PCI Device Number", 1), N("PCI Function Number", 1),
    N("PCI Flags", 4), N("PCI Segment", 1), R(4), END};
static const AcpiFieldDef dbg2[] = {
    N("OffsetDbgDeviceInfo", 4), N("NumberDbgDeviceInfo", 4), N("Revision of device", 1), N("Length of device", 2),
    N("NumberofGenericAddressRegisters", 1), N("NameSpaceStringLength", 2), N("NameSpaceStringOffset", 2),
    N("OemDataLength", 2), N("OemDataOffset", 2), N("Port Type", 2), N("Port Subtype", 2), R(2),
    N("BaseAddressRegisterOffset", 2), N("AddressSizeOffset", 2), G("BaseAddressRegister"),
    N("Address Size", 4), T("NamespaceString", 0), END};
static const AcpiFieldDef erst[] = {N("Serialization Header Size", 4), R(4), N("Instruction Entry Count", 4), END};
static const AcpiFieldDef erst_entry[] = {N("Serialization Action", 1), N("Instruction", 1), N("Flags", 1), R(1),
                                          G("Register Region"), N("Value", 8), N("Mask", 8), END};
static const AcpiStructDef erst_structs[] = {{0, "Instruction", erst_entry}, {0, NULL, NULL}};
static const AcpiFieldDef gtdt[] = {
    N("CntControlBase", 8), R(4), N("Secure EL1 Timer GSIV", 4), N("Secure EL1 Timer Flags", 4),
    N("Non-Secure EL1 Timer GSIV", 4), N("Non-Secure EL1 Timer Flags", 4), N("Virtual EL1 Timer GSIV", 4),
    N("Virtual EL1 Timer Flags", 4), N("EL2 Timer GSIV", 4), N("EL2 Timer Flags", 4), N("CntReadBase", 8),
    N("Platform Timer Count", 4), N("Platform Timer Offset", 4), N("Virtual EL2 Timer GSIV", 4),
    N("Virtual EL2 Timer Flags", 4), END};
static const AcpiFieldDef rsdt_entry[] = {N("Address", 4), END}, xsdt_entry[] = {N("Address", 8), END};
static const AcpiStructDef rsdt_structs[] = {{0, "Entry", rsdt_entry}, {0, NULL, NULL}};
static const AcpiStructDef xsdt_structs[] = {{0, "Entry", xsdt_entry}, {0, NULL, NULL}};

/* ---- IOMMUs, NVDIMMs ------------------------------------------------------------------------- */

static const AcpiFieldDef viot[] = {N("Node count", 2), N("Node offset", 2), R(8), END};
static const AcpiFieldDef viot_range[] = {
    N("Endpoint start", 4), N("PCI segment start", 2), N("PCI segment end", 2), N("PCI BDF start", 2),
    N("PCI BDF end", 2), N("Output node", 2), R(6), END};
static const AcpiFieldDef viot_mmio[] = {N("Endpoint ID", 4), N("Base address", 8), N("Output node", 2), R(6), END};
static const AcpiFieldDef viot_pci[] = {N("PCI segment", 2), N("PCI BDF number", 2), R(8), END};
static const AcpiFieldDef viot_virtio_mmio[] = {R(4), N("Base address", 8), END};
static const AcpiStructDef viot_structs[] = {
    {1, "PCI range", viot_range}, {2, "MMIO endpoint", viot_mmio}, {3, "virtio-iommu on PCI", viot_pci},
    {4, "virtio-iommu on MMIO", viot_virtio_mmio}, {0, NULL, NULL}};
static const AcpiFieldDef dmar[] = {N("Host Address Width", 1), N("Flags", 1), R(10), END};
static const AcpiFieldDef drhd[] = {N("Flags", 1), N("Size", 1), N("Segment Number", 2),
                                    N("Register Base Address", 8), B("Device Scope", 0), END};
static const AcpiFieldDef atsr[] = {N("Flags", 1), R(1), N("Segment Number", 2), B("Device Scope", 0), END};
static const AcpiStructDef dmar_structs[] = {{0, "DRHD", drhd}, {2, "ATSR", atsr}, {0, NULL, NULL}};
static const AcpiFieldDef ivrs[] = {
    N("IVinfo", 4), R(8), N("Type", 1), N("Flags", 1), N("Length of IVHD", 2), N("DeviceID", 2),
    N("Capability Offset", 2), N("IOMMU Base Address", 8), N("PCI Segment Group", 2), N("IOMMU Info", 2),
    N("IOMMU Feature Reporting", 4), B("Device Entries", 0), END};
static const AcpiFieldDef iort[] = {N("Number of IORT Nodes", 4), N("Offset to Array of IORT Nodes", 4), R(4), END};
static const AcpiFieldDef iort_its[] = {
    N("Revision", 1), N("Identifier", 4), N("Number of ID mappings", 4), N("Reference to ID Array", 4),
    N("Number of ITSs", 4), B("GIC ITS Identifiers", 0), END};
static const AcpiFieldDef iort_root[] = {
    N("Revision", 1), N("Identifier", 4), N("Number of ID mappings", 4), N("Reference to ID Array", 4),
    N("Cache Coherent Attribute", 4), N("Allocation hints", 1), R(2), N("Memory Access Flags", 1),
    N("ATS Attribute", 4), N("PCI Segment number", 4), N("Memory address size limit", 1), R(3),
    B("ID mappings", 0), END};
static const AcpiFieldDef iort_smmu3[] = {
    N("Revision", 1), N("Identifier", 4), N("Number of ID mappings", 4), N("Reference to ID Array", 4),
    N("Base Address", 8), N("Flags", 4), R(4), N("VATOS address", 8), N("Model", 4), N("Event", 4), N("PRI", 4),
    N("GERR", 4), N("Sync", 4), N("Proximity domain", 4), N("DeviceID mapping index", 4), B("ID mappings", 0),
    END};
static const AcpiStructDef iort_structs[] = {
    {0, "ITS Group", iort_its}, {2, "Root Complex", iort_root}, {4, "SMMUv3", iort_smmu3}, {0, NULL, NULL}};
static const AcpiFieldDef nfit[] = {R(4), END};
static const AcpiFieldDef nfit_range[] = {
    N("SPA Range Structure Index", 2), N("Flags", 2), R(4), N("Proximity Domain", 4),
    B("Address Range Type GUID", 16), N("System Physical Address Range Base", 8),
    N("System Physical Address Range Length", 8), N("Address Range Memory Mapping Attribute", 8), END};
static const AcpiFieldDef nfit_map[] = {
    N("NFIT Device Handle", 4), N("NVDIMM Physical ID", 2), N("NVDIMM Region ID", 2),
    N("SPA Range Structure Index", 2), N("NVDIMM Control Region Structure Index", 2),
    N("NVDIMM Region Size", 8), N("Region Offset", 8), N("NVDIMM Physical Address Region Base", 8),
    N("Interleave Structure Index", 2), N("Interleave Ways", 2), N("NVDIMM State Flags", 2), R(2), END};
static const AcpiFieldDef nfit_control[] = {
    N("NVDIMM Control Region Structure Index", 2), N("Vendor ID", 2), N("Device ID", 2), N("Revision ID", 2),
    N("Subsystem Vendor ID", 2), N("Subsystem Device ID", 2), N("Subsystem Revision ID", 2), N("Valid Fields", 1),
    N("Manufacturing Location", 1), N("Manufacturing Date", 2), R(2), N("Serial Number", 4),
    N("Region Format Interface Code", 2), N("Number of Block Control Windows", 2), B("Block windows", 0), END};
static const AcpiFieldDef nfit_capabilities[] = {N("Highest Valid Capability", 1), R(3), N("Capabilities", 4), R(4),
                                                 END};
static const AcpiStructDef nfit_structs[] = {
    {0, "SPA Range", nfit_range}, {1, "NVDIMM Region Mapping", nfit_map}, {4, "NVDIMM Control Region", nfit_control},
    {7, "Platform Capabilities", nfit_capabilities}, {0, NULL, NULL}};

static const AcpiTableDef tables[] = {
    {"FACP", facp, 0, NULL},
    {"APIC", apic, ACPI_STRUCT_8, apic_structs},
    {"SRAT", srat, ACPI_STRUCT_8, srat_structs},
    {"SLIT", slit, 0, NULL},
    {"HMAT", hmat, ACPI_STRUCT_HMAT, hmat_structs},
    {"PPTT", NULL, ACPI_STRUCT_8, pptt_structs},
    {"HPET", hpet, 0, NULL},
    {"MCFG", mcfg, ACPI_STRUCT_FIXED, mcfg_structs},
    {"WAET", waet, 0, NULL},
    {"TPM2", tpm2, 0, NULL},
    {"TCPA", tcpa, 0, NULL},
    {"SPCR", spcr, 0, NULL},
    {"DBG2", dbg2, 0, NULL},
    {"ERST", erst, ACPI_STRUCT_FIXED, erst_structs},
    {"GTDT", gtdt, 0, NULL},
    {"RSDT", NULL, ACPI_STRUCT_FIXED, rsdt_structs},
    {"XSDT", NULL, ACPI_STRUCT_FIXED, xsdt_structs},
    {"VIOT", viot, ACPI_STRUCT_VIOT, viot_structs},
    {"DMAR", dmar, ACPI_STRUCT_16, dmar_structs},
    {"IVRS", ivrs, 0, NULL},
    {"IORT", iort, ACPI_STRUCT_IORT, iort_structs},
    {"NFIT", nfit, ACPI_STRUCT_16, nfit_structs},
};

const AcpiTableDef *acpi_table_def(const uint8_t *signature)
{
    for (size_t i = 0; i < G_N_ELEMENTS(tables); i++)
        if (!memcmp(tables[i].signature, signature, 4))
            return &tables[i];
    return NULL;
}
