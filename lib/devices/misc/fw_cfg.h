/* SPDX-License-Identifier: MIT */
/*
 * What firmware and guests can read through the fw_cfg device: entries with a 16-bit key each, and
 * files, which have a name as well and get their keys in the order of their names.
 *
 * A table is filled before the machine starts, and again (fw_cfg_set_*) while its CPUs are stopped:
 * there is no lock here. The device borrows it.
 */
#pragma once

#include "devices/device.h"

/* Keys below the files. Numbers are little-endian, of the size that entry has elsewhere. */
enum {
    FW_CFG_SIGNATURE = 0x00,
    FW_CFG_ID = 0x01,
    FW_CFG_UUID = 0x02,
    FW_CFG_RAM_SIZE = 0x03,
    FW_CFG_NOGRAPHIC = 0x04,
    FW_CFG_NB_CPUS = 0x05,
    FW_CFG_MACHINE_ID = 0x06,
    FW_CFG_KERNEL_ADDR = 0x07,
    FW_CFG_KERNEL_SIZE = 0x08,
    FW_CFG_INITRD_ADDR = 0x0a,
    FW_CFG_INITRD_SIZE = 0x0b,
    FW_CFG_BOOT_DEVICE = 0x0c,
    FW_CFG_BOOT_MENU = 0x0e,
    FW_CFG_MAX_CPUS = 0x0f,
    FW_CFG_KERNEL_ENTRY = 0x10,
    FW_CFG_KERNEL_DATA = 0x11,
    FW_CFG_INITRD_DATA = 0x12,
    FW_CFG_CMDLINE_ADDR = 0x13,
    FW_CFG_CMDLINE_SIZE = 0x14,
    FW_CFG_CMDLINE_DATA = 0x15,
    FW_CFG_FILE_DIR = 0x19,
    FW_CFG_FILE_FIRST = 0x20,
};

#define FW_CFG_FILES_MAX 0x20 /* file slots */
#define FW_CFG_NAME_MAX 55    /* bytes of a file's name */

typedef struct FwCfg FwCfg;

/* With the signature and the id in it. */
FwCfg *fw_cfg_new(void);
void fw_cfg_free(FwCfg *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FwCfg, fw_cfg_free)

/* Sets an entry below the files, or with NULL takes it away. Keeps a reference to bytes. */
void fw_cfg_set_bytes(FwCfg *table, uint16_t key, GBytes *bytes);
void fw_cfg_set_u16(FwCfg *table, uint16_t key, uint16_t value);
void fw_cfg_set_u32(FwCfg *table, uint16_t key, uint32_t value);
void fw_cfg_set_u64(FwCfg *table, uint16_t key, uint64_t value);
/* With its final NUL. */
void fw_cfg_set_string(FwCfg *table, uint16_t key, const char *text);

/* Adds a file, or gives one that is there other contents; a reference is kept. A usage error if the
   name is too long or empty, or all slots are taken. New files only before the machine starts. */
bool fw_cfg_set_file(FwCfg *table, const char *name, GBytes *bytes, GError **error);
/* A file that guests may write, by DMA and within its size; written is called with the device's lock
   held after each time. */
bool fw_cfg_set_writable(FwCfg *table, const char *name, GBytes *initial,
                         void (*written)(void *opaque, const uint8_t *data, size_t size),
                         void *opaque, GError **error);
bool fw_cfg_has_file(const FwCfg *table, const char *name);
/* The contents as a guest would read them now, borrowed; NULL: no such key. */
const uint8_t *fw_cfg_get(const FwCfg *table, uint16_t key, size_t *size);

/* The table that a device of type fw-cfg-mmio shows; before device_start. Borrowed. */
void fw_cfg_mmio_set_table(Device *dev, FwCfg *table);
