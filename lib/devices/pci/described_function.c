/* SPDX-License-Identifier: MIT */
/* PCI functions of boards that are only described: tables know them by their place, and guests by their
   configuration space, which a description does not have. Graphics cards say that they stay on in
   each sleep state. */
#include "devices/device.h"

typedef struct {
    Device dev;
    DevicePci pci;
    char *memdev; /* of acpi-erst */
} Function;

static DevicePci *function_pci(Device *dev)
{
    return &((Function *)dev)->pci;
}

static void vga_acpi(const Device *dev, const DeviceAcpi *ctx)
{
    aml_asl(ctx->aml, "Method (_S1D) { Return (0) } Method (_S2D) { Return (0) }"
                      "Method (_S3D) { Return (0) }");
}

static const DeviceProp function_props[] = {
    DEVICE_PCI_PROPS(Function, pci),
    {"memdev", DEVICE_STRING, offsetof(Function, memdev), NULL, 0, 0, "memory that it has"},
    {.name = NULL},
};

/* kind: "pci", or NULL for parts of a board; stays: it cannot be unplugged; one: as DeviceType.single. */
#define FUNCTION_OF(symbol, text, kind, stays, part, one, about)                                   \
    const DeviceType described_##symbol##_type = {                                                 \
        .name = text,                                                                              \
        .summary = about,                                                                          \
        .size = sizeof(Function),                                                                  \
        .props = function_props,                                                                   \
        .described = true,                                                                         \
        .fixed = stays,                                                                            \
        .single = one,                                                                             \
        .slot = kind,                                                                              \
        .pci = function_pci,                                                                       \
        .acpi = part,                                                                              \
    }

#define FUNCTION(symbol, text, kind, stays, part, about)                                           \
    FUNCTION_OF(symbol, text, kind, stays, part, NULL, about)

FUNCTION(mch, "mch", NULL, true, NULL, "memory controller of Q35");
FUNCTION(i440fx, "i440FX", NULL, true, NULL, "memory controller of 440FX");
FUNCTION(ich9_smbus, "ICH9-SMB", NULL, true, NULL, "system management bus of ICH9");
FUNCTION(piix3_ide, "piix3-ide", "pci", false, NULL, "IDE controller of PIIX3");
FUNCTION(ich9_ahci, "ich9-ahci", "pci", false, NULL, "AHCI controller of ICH9");
FUNCTION(ahci, "ahci", "pci", false, NULL, "AHCI controller");
FUNCTION(vga, "VGA", "pci", true, vga_acpi, "graphics card");
FUNCTION(cirrus_vga, "cirrus-vga", "pci", true, vga_acpi, "graphics card of Cirrus");
FUNCTION(qxl_vga, "qxl-vga", "pci", true, vga_acpi, "graphics card of Spice");
FUNCTION(vmware_svga, "vmware-svga", "pci", true, vga_acpi, "graphics card of VMware");
FUNCTION(virtio_vga, "virtio-vga", "pci", true, vga_acpi, "virtio graphics card with VGA");
FUNCTION(bochs_display, "bochs-display", "pci", true, NULL, "display without VGA");
FUNCTION(secondary_vga, "secondary-vga", "pci", true, vga_acpi, "second graphics card");
FUNCTION(e1000, "e1000", "pci", false, NULL, "network card of Intel");
FUNCTION(rtl8139, "rtl8139", "pci", false, NULL, "network card of Realtek");
FUNCTION(pcnet, "pcnet", "pci", false, NULL, "network card of AMD");
FUNCTION(ne2k_pci, "ne2k_pci", "pci", false, NULL, "network card of NE2000 kind");
FUNCTION(vmxnet3, "vmxnet3", "pci", false, NULL, "network card of VMware");
FUNCTION(i82559, "i82559er", "pci", false, NULL, "network card of Intel");
FUNCTION(qemu_xhci, "qemu-xhci", "pci", false, NULL, "USB 3 controller");
FUNCTION(nec_xhci, "nec-usb-xhci", "pci", false, NULL, "USB 3 controller of NEC");
FUNCTION(usb_ehci, "usb-ehci", "pci", false, NULL, "USB 2 controller");
FUNCTION(ich9_ehci1, "ich9-usb-ehci1", "pci", false, NULL, "USB 2 controller of ICH9");
FUNCTION(ich9_uhci1, "ich9-usb-uhci1", "pci", false, NULL, "USB controller of ICH9");
FUNCTION(ich9_uhci2, "ich9-usb-uhci2", "pci", false, NULL, "USB controller of ICH9");
FUNCTION(ich9_uhci3, "ich9-usb-uhci3", "pci", false, NULL, "USB controller of ICH9");
FUNCTION(piix3_uhci, "piix3-usb-uhci", "pci", false, NULL, "USB controller of PIIX3");
FUNCTION(pci_ohci, "pci-ohci", "pci", false, NULL, "USB controller");
FUNCTION(intel_hda, "intel-hda", "pci", false, NULL, "sound controller");
FUNCTION(ich9_hda, "ich9-intel-hda", "pci", false, NULL, "sound controller of ICH9");
FUNCTION(ac97, "AC97", "pci", false, NULL, "sound card");
FUNCTION(es1370, "ES1370", "pci", false, NULL, "sound card");
FUNCTION(lsi53c895a, "lsi53c895a", "pci", false, NULL, "SCSI controller of LSI");
FUNCTION(megasas, "megasas", "pci", false, NULL, "SCSI controller of MegaRAID");
FUNCTION(mptsas1068, "mptsas1068", "pci", false, NULL, "SAS controller");
FUNCTION(pvscsi, "pvscsi", "pci", false, NULL, "SCSI controller of VMware");
FUNCTION(am53c974, "am53c974", "pci", false, NULL, "SCSI controller of AMD");
FUNCTION(sdhci_pci, "sdhci-pci", "pci", false, NULL, "SD card controller");
FUNCTION(i6300esb, "i6300esb", "pci", false, NULL, "watchdog");
FUNCTION(ivshmem_plain, "ivshmem-plain", "pci", false, NULL, "memory shared between machines");
FUNCTION(ivshmem_doorbell, "ivshmem-doorbell", "pci", false, NULL, "memory shared between machines, with interrupts");
FUNCTION(edu, "edu", "pci", false, NULL, "device for lessons");
FUNCTION(pci_testdev, "pci-testdev", "pci", false, NULL, "device for tests");
FUNCTION(pvpanic_pci, "pvpanic-pci", "pci", false, NULL, "function for telling of a guest's panic");
FUNCTION(vfio_pci, "vfio-pci", "pci", false, NULL, "function of the host");
FUNCTION_OF(acpi_erst, "acpi-erst", "pci", true, NULL, "acpi-erst", "store of error records");
FUNCTION_OF(amd_iommu, "amd-iommu", "pci", true, NULL, "IOMMU", "I/O memory management unit of AMD");
