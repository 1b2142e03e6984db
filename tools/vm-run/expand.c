/* SPDX-License-Identifier: MIT */
/* Short command lines made long. What is chosen is written into the options as if it had been
   typed, so that --print-argv tells all of it. */
#include "expand.h"

#include "base/error.h"
#include "guest/guest.h"
#include "machines/machine.h"

#include <string.h>

#define DISK_MEMORY "1G"

/* There is a board of it that is not only a description. */
static bool has_board(const GuestIsa *isa)
{
    g_autofree const MachineType **boards = machine_types(isa->name);
    for (const MachineType **b = boards; *b; b++)
        if (!(*b)->description)
            return true;
    return false;
}

/* The ISA to run a disk on, since a disk does not say. */
static const char *disk_arch(const RunOptions *o, GError **error)
{
    const char *only = NULL;
    if (o->arch || o->called_arch)
        return o->arch ? o->arch : o->called_arch;
    for (const GuestIsa *const *i = guest_isas(); *i; i++) {
        if (!has_board(*i))
            continue;
        if (only) {
            only = NULL;
            break;
        }
        only = (*i)->name;
    }
    if (only)
        return only;
    fail_usage(error, "a disk does not say which ISA it is for: give --arch");
    return NULL;
}

/* U-Boot for supervisor mode, which the built-in SBI starts as a kernel. */
static char *find_boot_loader(const RunOptions *o, const char *arch)
{
    const char *const dirs[] = { o->data_dir ? o->data_dir : "/usr/lib/u-boot", "/usr/lib/u-boot",
                                 "/usr/share/u-boot" };
    static const char *const files[] = { "u-boot.bin", "uboot.elf" };
    for (size_t i = 0; i < G_N_ELEMENTS(dirs); i++) {
        for (size_t k = 0; k < G_N_ELEMENTS(files); k++) {
            g_autofree char *path = g_strdup_printf("%s/qemu-%s_smode/%s", dirs[i], arch, files[k]);
            if (g_file_test(path, G_FILE_TEST_IS_REGULAR))
                return g_steal_pointer(&path);
        }
    }
    return NULL;
}

static void set_text(char **at, const char *text)
{
    g_free(*at);
    *at = g_strdup(text);
}

bool expand_disk(RunOptions *o, GError **error)
{
    if (!o->bare_disk || o->kernel || o->bios || o->exec || o->qtest || o->help || o->version)
        return true;
    const char *arch = disk_arch(o, error);
    if (!arch)
        return false;
    o->kernel = find_boot_loader(o, arch);
    if (!o->kernel)
        return fail_usage(error, "to boot a disk alone takes U-Boot, which is not installed: the "
                          "package u-boot-qemu has it, or -L names the folder with "
                          "qemu-%s_smode/u-boot.bin; or give -kernel", arch);
    set_text(&o->arch, arch);
    if (!o->memory->len)
        g_ptr_array_add(o->memory, g_strdup(DISK_MEMORY));
    if (o->nodefaults)
        return true;
    if (!o->nic->len && !o->net->len && !o->netdev->len)
        g_ptr_array_add(o->nic, g_strdup("user"));
    if (!o->device->len)
        g_ptr_array_add(o->device, g_strdup("virtio-rng"));
    o->nographic = o->nographic || (!o->display && !o->serial->len);
    return true;
}

static bool plain(const char *word)
{
    return *word && strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                 "_-+=.,/:@%") == strlen(word);
}

char *expand_text(const RunOptions *o, const char *program)
{
    g_auto(GStrv) words = run_options_words(o);
    GString *s = g_string_new(program);
    for (char **word = words; *word; word++) {
        g_autofree char *quoted = plain(*word) ? g_strdup(*word) : g_shell_quote(*word);
        g_string_append_printf(s, " %s", quoted);
    }
    g_string_append_c(s, '\n');
    return g_string_free(s, FALSE);
}
