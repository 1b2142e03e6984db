/* SPDX-License-Identifier: MIT */
/*
 * Where software goes on a RISC-V board and how the harts get to it.
 *
 * From the start of RAM: firmware; the kernel 2 MiB up (or at the next 2 MiB after the firmware; or
 * at the start of RAM when it runs in machine mode itself); the initrd half of RAM, at most 128 MiB,
 * above the kernel, higher if the kernel reaches further; the device tree at the last 2 MiB boundary
 * under the end of RAM, and under 3 GiB. A first flash with contents is where harts go from the reset
 * vector, a second one is what the SBI starts, in place of a kernel in memory. The reset vector passes a0 = hart id, a1 = device tree,
 * a2 = OpenSBI's fw_dynamic_info (OpenSBI documentation, "Firmware with Dynamic Information").
 */
#include "machines/riscv_boot_priv.h"

#include "base/bits.h"
#include "base/bytes.h"
#include "base/error.h"

#include <inttypes.h>

#define MIB (UINT64_C(1) << 20)
#define LOW_END (3072 * MIB) /* the tree is kept below, for software that looks no higher */
#define INITRD_DISTANCE (128 * MIB)

/* fw_dynamic_info */
#define DYNAMIC_MAGIC 0x4942534f
#define DYNAMIC_VERSION 2
#define DYNAMIC_NEXT_S 1

static uint64_t image_start(const LoadImage *image, uint64_t base)
{
    uint64_t lowest = UINT64_MAX;
    for (size_t i = 0; i < image->count; i++)
        lowest = MIN(lowest, image->segments[i].addr);
    return image->placed ? lowest : base;
}

/* Where the payload of firmware is that lies in the second flash; 0: it is a kernel in memory. */
static uint64_t flash_payload(const Machine *m, const MachineBoot *boot)
{
    bool may = boot->mode == MACHINE_FIRMWARE_BUILTIN || boot->mode == MACHINE_FIRMWARE_FILE;
    return may && m->flash[1] ? device_base(machine_device(m, "pflash1"), 0) : 0;
}

static uint64_t kernel_place(const Machine *m, const MachineBoot *boot)
{
    uint64_t base = m->type->ram_base;
    if (boot->mode == MACHINE_FIRMWARE_NONE)
        return base;
    uint64_t offset = boot->kernel->offset ? boot->kernel->offset : 2 * MIB;
    if (boot->mode == MACHINE_FIRMWARE_FILE && boot->firmware) {
        uint64_t end = image_start(boot->firmware, base) + boot->firmware->mem_size;
        uint64_t after = align_up(end, 2 * MIB);
        /* Firmware elsewhere does not move the kernel. */
        if (after > base && after - base > offset && after - base < m->options->ram_size)
            return after;
    }
    return base + offset;
}

bool riscv_boot_layout(const Machine *m, const MachineBoot *boot, MachineEntry *entry,
                       GError **error)
{
    uint64_t base = m->type->ram_base;
    if (boot->mode == MACHINE_FIRMWARE_FILE && !boot->firmware)
        return fail(error, "there is no firmware to start");
    if (flash_payload(m, boot)) { /* that finds kernel and initrd in fw_cfg */
        entry->has_kernel = true;
        entry->kernel_entry = flash_payload(m, boot);
        entry->kernel_base = entry->kernel_end = entry->kernel_entry;
        return true;
    }
    uint64_t from = base; /* what the initrd's distance counts from */
    if (boot->kernel) {
        uint64_t place = kernel_place(m, boot);
        entry->has_kernel = true;
        entry->kernel_base = image_start(boot->kernel, place);
        entry->kernel_end = entry->kernel_base + boot->kernel->mem_size;
        entry->kernel_entry = boot->kernel->placed ? boot->kernel->entry
                                                   : place + boot->kernel->entry;
        from = entry->kernel_base;
    }
    if (boot->initrd) {
        uint64_t start = from + MIN(m->options->ram_size / 2, INITRD_DISTANCE);
        entry->initrd_start = MAX(start, align_up(entry->kernel_end, 2 * MIB));
        entry->initrd_end = entry->initrd_start + g_bytes_get_size(boot->initrd);
    }
    return true;
}

static bool place_fdt(const Machine *m, GBytes *fdt, MachineEntry *entry, GError **error)
{
    uint64_t base = m->type->ram_base, end = base + m->options->ram_size;
    if (base < LOW_END && end > LOW_END)
        end = LOW_END;
    entry->fdt_size = g_bytes_get_size(fdt);
    if (entry->fdt_size > end - base)
        return fail(error, "a device tree of %" PRIu64 " bytes does not fit in memory",
                    entry->fdt_size);
    entry->fdt_addr = align_down(end - entry->fdt_size, 2 * MIB);
    return true;
}

static bool check_fit(const Machine *m, const MachineBoot *boot, const MachineEntry *entry,
                      GError **error)
{
    MachineRange ranges[4] = {
        {.what = "kernel", .name = boot->kernel ? boot->kernel->name : NULL,
         .start = entry->kernel_base, .size = entry->kernel_end - entry->kernel_base},
        {.what = "initrd", .name = boot->initrd_name, .start = entry->initrd_start,
         .size = entry->initrd_end - entry->initrd_start},
        {.what = "device tree", .name = boot->dtb_name, .start = entry->fdt_addr,
         .size = entry->fdt_size},
        {.what = "firmware"},
    };
    if (boot->mode == MACHINE_FIRMWARE_FILE) {
        ranges[3].name = boot->firmware->name;
        ranges[3].start = image_start(boot->firmware, m->type->ram_base);
        ranges[3].size = boot->firmware->mem_size;
    }
    return machine_check_ranges(m, ranges, G_N_ELEMENTS(ranges), error);
}

static bool place_reset_vector(Machine *m, const MachineBoot *boot, uint64_t rom,
                               const MachineEntry *entry, GError **error)
{
    static const uint32_t code[6] = {
        0x00000297, /*     auipc t0, 0          t0 = rom */
        0x02828613, /*     addi  a2, t0, 0x28   fw_dynamic_info */
        0xf1402573, /*     csrr  a0, mhartid */
        0x0202b583, /*     ld    a1, 0x20(t0)   device tree */
        0x0182b283, /*     ld    t0, 0x18(t0)   where to start */
        0x00028067, /*     jr    t0 */
    };
    uint8_t vector[0x58] = {0};
    uint64_t start = m->type->ram_base, next = entry->has_kernel ? entry->kernel_base : 0;
    if (boot->mode == MACHINE_FIRMWARE_FILE && boot->firmware->placed)
        start = boot->firmware->entry;
    else if (boot->mode != MACHINE_FIRMWARE_FILE && entry->has_kernel)
        start = entry->kernel_entry;
    if (m->flash[0])
        start = device_base(machine_device(m, "pflash0"), 0);
    for (size_t i = 0; i < G_N_ELEMENTS(code); i++)
        st_le32(vector + 4 * i, code[i]);
    st_le64(vector + 0x18, start);
    st_le64(vector + 0x20, entry->fdt_addr);
    st_le64(vector + 0x28, DYNAMIC_MAGIC);
    st_le64(vector + 0x30, DYNAMIC_VERSION);
    /* The lowest address, not an ELF file's entry: the next stage starts there. */
    st_le64(vector + 0x38, next);
    st_le64(vector + 0x40, DYNAMIC_NEXT_S);
    st_le64(vector + 0x48, 0); /* options */
    st_le64(vector + 0x50, 0); /* boot hart */
    return bus_load(m->space, rom, vector, sizeof vector, error);
}

bool riscv_boot_place(Machine *m, const MachineBoot *boot, GBytes *fdt, uint64_t rom,
                      MachineEntry *entry, GError **error)
{
    entry->reset_pc = rom;
    if (!place_fdt(m, fdt, entry, error) || !check_fit(m, boot, entry, error))
        return false;
    if (boot->mode == MACHINE_FIRMWARE_FILE &&
        !machine_load_image(m, boot->firmware, m->type->ram_base, error))
        return false;
    bool memory = flash_payload(m, boot) == 0;
    if (memory && boot->kernel && !machine_load_image(m, boot->kernel, entry->kernel_base, error))
        return false;
    gsize len;
    const void *data;
    if (memory && boot->initrd) {
        data = g_bytes_get_data(boot->initrd, &len);
        if (!bus_load(m->space, entry->initrd_start, data, len, error))
            return prefix(error, "%s", boot->initrd_name ? boot->initrd_name : "initrd");
    }
    data = g_bytes_get_data(fdt, &len);
    return bus_load(m->space, entry->fdt_addr, data, len, error) &&
           place_reset_vector(m, boot, rom, entry, error);
}
