/* SPDX-License-Identifier: MIT */
/* What the fw_cfg device of a board shows: the user's files, the CPUs, and the software to boot where
   firmware is there to read it. */
#include "machines/machine_priv.h"

#include "base/bytes.h"
#include "base/error.h"
#include "base/option.h"

#include <string.h>

static bool add(Machine *m, Options *options, char **note, GError **error)
{
    const char *name = options_need(options, "name", error);
    if (!name)
        return false;
    const char *file = options_get(options, "file"), *string = options_get(options, "string");
    if (!options_done(options, error))
        return false;
    if (!file == !string)
        return fail_usage(error, "give one of file= and string=");
    if (!machine_device(m, "fw-cfg"))
        return fail_usage(error, "machine '%s' has no fw_cfg device", m->type->name);
    if (fw_cfg_has_file(m->fw_cfg, name))
        return fail_usage(error, "duplicate fw_cfg file name: %s", name);
    g_autoptr(GBytes) bytes = file ? load_read(file, LOAD_MAX, error)
                                   : g_bytes_new(string, strlen(string));
    if (!bytes || !fw_cfg_set_file(m->fw_cfg, name, bytes, error))
        return false;
    if (!g_str_has_prefix(name, "opt/"))
        *note = g_strdup_printf("warning: fw_cfg names that a user gives should begin with \"opt/\", "
                                "'%s' does not", name);
    return true;
}

bool machine_add_fw_cfg(Machine *m, const char *text, char **note, GError **error)
{
    *note = NULL;
    g_autoptr(Options) options = options_parse(text, "name", error);
    return (options && add(m, options, note, error)) || prefix(error, "-fw_cfg %s", text);
}

static void set_blob(FwCfg *table, uint16_t size_key, uint16_t key, GBytes *bytes)
{
    fw_cfg_set_u32(table, size_key, bytes ? (uint32_t)g_bytes_get_size(bytes) : 0);
    fw_cfg_set_bytes(table, key, bytes);
}

/* Files that are there on every board; one the user has given stays. */
static void set_own(FwCfg *table, const char *name, GBytes *bytes)
{
    if (!fw_cfg_has_file(table, name))
        fw_cfg_set_file(table, name, bytes, NULL);
}

void machine_fw_cfg_boot(Machine *m, const MachineBoot *boot)
{
    static const uint8_t forever[4] = {0xff, 0xff, 0xff, 0xff};
    FwCfg *table = m->fw_cfg;
    g_autoptr(GBytes) order = machine_bootorder(m);
    g_autoptr(GBytes) wait = g_bytes_new_static(forever, sizeof forever);
    set_own(table, "bootorder", order);
    set_own(table, "etc/boot-fail-wait", wait);
    fw_cfg_set_u16(table, FW_CFG_NB_CPUS, (uint16_t)m->options->smp.cpus);
    fw_cfg_set_u16(table, FW_CFG_BOOT_MENU, 0);
    /* Firmware loads it from here; what is started directly needs no second copy. */
    bool firmware = boot->mode == MACHINE_FIRMWARE_FILE || boot->mode == MACHINE_FIRMWARE_FLASH ||
                    m->flash[1];
    set_blob(table, FW_CFG_KERNEL_SIZE, FW_CFG_KERNEL_DATA, firmware ? boot->kernel_file : NULL);
    set_blob(table, FW_CFG_INITRD_SIZE, FW_CFG_INITRD_DATA, firmware ? boot->initrd : NULL);
    bool line = firmware && boot->append;
    fw_cfg_set_u32(table, FW_CFG_CMDLINE_SIZE, line ? (uint32_t)strlen(boot->append) + 1 : 0);
    if (line)
        fw_cfg_set_string(table, FW_CFG_CMDLINE_DATA, boot->append);
    else
        fw_cfg_set_bytes(table, FW_CFG_CMDLINE_DATA, NULL);
}
