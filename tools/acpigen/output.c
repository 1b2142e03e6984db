/* SPDX-License-Identifier: MIT */
/* Files, and digests. A file appears under its name when it is whole. */
#include "acpigen.h"

#include "base/error.h"
#include "base/save.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

static bool write_file(const char *path, GBytes *bytes, GError **error)
{
    return save_file(path, g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), error);
}

static bool write_in(const char *folder, const char *name, GBytes *bytes, GError **error)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    return write_file(path, bytes, error);
}

static bool make_folder(const char *folder, GError **error)
{
    return g_mkdir_with_parents(folder, 0777) == 0 || fail_errno(error, errno, "%s", folder);
}

/* iasl writes NAME.dsl beside NAME.aml. */
static bool disassemble(const char *folder, const char *file, GError **error)
{
    g_autofree char *path = g_find_program_in_path("iasl");
    const char *argv[] = {path, "-d", file, NULL};
    g_autofree char *out = NULL, *messages = NULL;
    int status;
    if (!path)
        return fail(error, "--dsl: there is no iasl (Debian: acpica-tools)");
    if (!g_spawn_sync(folder, (char **)argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, &out, &messages,
                      &status, error))
        return false;
    return status == 0 || fail(error, "iasl -d %s/%s failed:\n%s", folder, file, messages);
}

bool output_folder(const Tool *tool, const Set *set, GError **error)
{
    if (!make_folder(tool->output, error))
        return false;
    for (guint i = 0; i < set->tables->len; i++) {
        const Table *t = &g_array_index(set->tables, Table, i);
        g_autofree char *file = g_strdup_printf("%s.aml", t->name);
        if (!write_in(tool->output, file, t->bytes, error) ||
            (tool->dsl && strcmp(t->name, "rsdp") && !disassemble(tool->output, file, error)))
            return false;
    }
    if (!set->smbios.anchor)
        return true;
    g_autoptr(GBytes) dump = smbios_dump(&set->smbios);
    return write_in(tool->output, "smbios.bin", dump, error);
}

/* Names of fw_cfg files with their slashes replaced. */
static bool write_named(const char *folder, const char *name, GBytes *bytes, GError **error)
{
    g_autofree char *file = g_strdelimit(g_strdup(name), "/", '_');
    return write_in(folder, file, bytes, error);
}

bool output_loader(const Tool *tool, const Set *set, GError **error)
{
    g_autofree const char **names = acpi_tables_files(set->acpi);
    g_autoptr(GBytes) loader = acpi_tables_loader(set->acpi);
    if (!make_folder(tool->loader, error) ||
        !write_named(tool->loader, ACPI_FILE_LOADER, loader, error))
        return false;
    for (const char **name = names; *name; name++) {
        g_autoptr(GBytes) bytes = acpi_tables_file(set->acpi, *name);
        if (!write_named(tool->loader, *name, bytes, error))
            return false;
    }
    return !set->smbios.anchor ||
           (write_named(tool->loader, "etc/smbios/smbios-anchor", set->smbios.anchor, error) &&
            write_named(tool->loader, "etc/smbios/smbios-tables", set->smbios.tables, error));
}

bool output_blob(const Tool *tool, const Set *set, GError **error)
{
    if (!tool->has_at)
        return fail_usage(error, "--blob needs --at ADDRESS");
    g_autoptr(GBytes) all = acpi_tables_place(set->acpi, tool->at, error);
    return all && write_file(tool->blob, all, error);
}

bool output_smbios(const Tool *tool, const Set *set, GError **error)
{
    if (!set->smbios.anchor)
        return fail(error, "the machine has no SMBIOS tables");
    g_autoptr(GBytes) dump = smbios_dump(&set->smbios);
    return write_file(tool->smbios_file, dump, error);
}

bool output_aml(const Tool *tool, const Set *set, GError **error)
{
    const Table *t = set_find(set, tool->aml);
    if (!t) {
        g_autoptr(GString) names = g_string_new(NULL);
        for (guint i = 0; i < set->tables->len; i++)
            g_string_append_printf(names, " %s", g_array_index(set->tables, Table, i).name);
        return fail_usage(error, "--aml %s: there is no such table; there are:%s", tool->aml,
                          names->str);
    }
    gsize len;
    const void *data = g_bytes_get_data(t->bytes, &len);
    return fwrite(data, 1, len, stdout) == len || fail_errno(error, errno, "standard output");
}

void output_list(const Set *set)
{
    for (guint i = 0; i < set->tables->len; i++) {
        const Table *t = &g_array_index(set->tables, Table, i);
        printf("%-8s %8zu\n", t->name, g_bytes_get_size(t->bytes));
    }
    if (set->smbios.tables)
        printf("%-8s %8zu\n", "smbios", g_bytes_get_size(set->smbios.tables));
}

/* ---- Digests --------------------------------------------------------------------------------- */

static void print_digest(GChecksumType kind, GBytes *bytes, const char *name)
{
    g_autofree char *text = g_compute_checksum_for_bytes(kind, bytes);
    printf("%s  %s\n", text, name);
}

/* Firmware measures what it reads through fw_cfg as it came: the loader's commands first, as it
   needs them first, then the RSDP and the tables; each a digest, and "set" one over all three. */
bool output_digest(const Tool *tool, const Set *set, GError **error)
{
    static const char *const measured[] = {ACPI_FILE_LOADER, ACPI_FILE_RSDP, ACPI_FILE_TABLES};
    GChecksumType kind = !strcmp(tool->digest, "sha384") ? G_CHECKSUM_SHA384 : G_CHECKSUM_SHA256;
    if (strcmp(tool->digest, "sha256") && strcmp(tool->digest, "sha384"))
        return fail_usage(error, "--digest %s: sha256 or sha384 is wanted", tool->digest);
    for (guint i = 0; i < set->tables->len; i++) {
        const Table *t = &g_array_index(set->tables, Table, i);
        print_digest(kind, t->bytes, t->name);
    }
    if (set->smbios.tables)
        print_digest(kind, set->smbios.tables, "smbios");
    GChecksum *sum = g_checksum_new(kind);
    for (size_t i = 0; i < G_N_ELEMENTS(measured); i++) {
        g_autoptr(GBytes) bytes = i ? acpi_tables_file(set->acpi, measured[i])
                                    : acpi_tables_loader(set->acpi);
        gsize len;
        const void *data = g_bytes_get_data(bytes, &len);
        g_checksum_update(sum, data, (gssize)len);
        print_digest(kind, bytes, measured[i]);
    }
    printf("%s  set\n", g_checksum_get_string(sum));
    g_checksum_free(sum);
    return true;
}
