/* SPDX-License-Identifier: MIT */
/* From the command line to a machine, which is never started, and to its tables; or from files. */
#include "acpigen.h"

#include "base/error.h"
#include "base/option.h"
#include "bus/bus.h"

#include <string.h>

void set_init(Set *set)
{
    *set = (Set){.tables = g_array_new(FALSE, FALSE, sizeof(Table))};
}

void set_clear(Set *set)
{
    for (guint i = 0; set->tables && i < set->tables->len; i++) {
        Table *t = &g_array_index(set->tables, Table, i);
        g_free(t->name);
        g_bytes_unref(t->bytes);
    }
    g_clear_pointer(&set->tables, g_array_unref);
    g_clear_pointer(&set->acpi, acpi_tables_free);
    smbios_tables_clear(&set->smbios);
}

void set_add(Set *set, const char *name, GBytes *bytes)
{
    Table t = {g_strdup(name), bytes};
    g_array_append_val(set->tables, t);
}

const Table *set_find(const Set *set, const char *name)
{
    for (guint i = 0; i < set->tables->len; i++) {
        const Table *t = &g_array_index(set->tables, Table, i);
        if (!g_ascii_strcasecmp(t->name, name))
            return t;
    }
    return NULL;
}

char *boards_help(void)
{
    GString *text = g_string_new("Boards with ACPI tables:\n");
    g_autofree const MachineType **types = machine_types(NULL);
    for (size_t i = 0; types[i]; i++)
        if (types[i]->acpi)
            g_string_append_printf(text, "%-10s %-8s %s\n", types[i]->name, types[i]->isas[0],
                                   types[i]->summary);
    return g_string_free(text, FALSE);
}

/* ---- The machine ---------------------------------------------------------------------------- */

typedef bool (*Parse)(MachineOptions *o, const char *text, GError **error);

static bool parse_all(MachineOptions *o, const GPtrArray *texts, Parse parse, GError **error)
{
    for (guint i = 0; i < texts->len; i++)
        if (!parse(o, g_ptr_array_index(texts, i), error))
            return false;
    return true;
}

/* The board of -M's first word. */
static char *board_name(const Tool *tool)
{
    for (guint i = 0; i < tool->machine->len; i++) {
        const char *text = g_ptr_array_index(tool->machine, i);
        size_t len = strcspn(text, ",");
        if (g_str_has_prefix(text, "type="))
            return g_strndup(text + 5, len - 5);
        if (!memchr(text, '=', len))
            return g_strndup(text, len);
    }
    return NULL;
}

/* Of the ISAs that there are boards with tables for. */
static const char *choose_arch(const Tool *tool)
{
    static const char *const isas[] = {"x86_64", "aarch64"};
    g_autofree char *board = board_name(tool);
    if (tool->arch)
        return tool->arch;
    for (size_t i = 0; board && i < G_N_ELEMENTS(isas); i++)
        if (machine_type_find(isas[i], board))
            return isas[i];
    return isas[0];
}

static MachineOptions *parse_options(const Tool *tool, GError **error)
{
    const char *isa = choose_arch(tool);
    g_autofree const MachineType **boards = machine_types(isa);
    if (!boards[0]) {
        fail_usage(error, "--arch %s: there is no such ISA", isa);
        return NULL;
    }
    MachineOptions *o = machine_options_new(isa, error);
    for (guint i = 0; o && i < tool->machine->len; i++)
        if (!machine_options_parse_machine(o, isa, g_ptr_array_index(tool->machine, i), error))
            goto failed;
    if (!o)
        return NULL;
    if (o->type && !o->type->acpi) {
        fail_usage(error, "machine '%s' has no ACPI tables", o->type->name);
        goto failed;
    }
    if (!parse_all(o, tool->smp, machine_options_parse_smp, error) ||
        !parse_all(o, tool->memory, machine_options_parse_memory, error))
        goto failed;
    for (guint i = 0; i < tool->object->len; i++) {
        const char *text = g_ptr_array_index(tool->object, i);
        if (machine_options_is_memory_object(text) &&
            !machine_options_parse_memory_object(o, text, error))
            goto failed;
    }
    if (!parse_all(o, tool->numa, machine_options_parse_numa, error))
        goto failed;
    o->firmware = true; /* who else would read tables */
    return o;
failed:
    machine_options_free(o);
    return NULL;
}

/* ---- Devices --------------------------------------------------------------------------------- */

static bool is_none(const char *text)
{
    return !strcmp(text, "none");
}

/* -nic KIND,model=M and -net nic,model=M make a card each. */
static bool add_nics(const Tool *tool, Machine *m, GError **error)
{
    const char *board = machine_options(m)->type->default_nic;
    for (guint i = 0; i < tool->nic->len; i++) {
        const char *text = g_ptr_array_index(tool->nic, i);
        g_autoptr(Options) o = options_parse(text, "type", error);
        const char *type = o ? options_get(o, "type") : NULL,
                   *model = o ? options_get(o, "model") : NULL;
        const char *addr = o ? options_get(o, "addr") : NULL;
        if (!o)
            return prefix(error, "-nic %s", text);
        if (type && is_none(type))
            continue;
        model = model ? model : board;
        if (!model)
            continue;
        g_autofree char *device = g_strdup_printf("%s%s%s", !strcmp(model, "virtio") ? "virtio-net-pci" : model,
                                                  addr ? ",addr=" : "", addr ? addr : "");
        if (!machine_add_device(m, device, error))
            return prefix(error, "-nic %s", text);
    }
    return true;
}

static bool add_drives(const Tool *tool, Machine *m, GError **error)
{
    for (guint i = 0; i < tool->drive->len; i++) {
        g_autoptr(Options) o = options_parse(g_ptr_array_index(tool->drive, i), "file", NULL);
        if (o && !g_strcmp0(options_get(o, "if"), "virtio") &&
            !machine_add_device(m, "virtio-blk", error))
            return false;
    }
    return true;
}

/* How many ports -serial or -parallel give; -1: nothing was said. */
static int ports(const GPtrArray *texts)
{
    int count = texts->len ? 0 : -1;
    for (guint i = 0; i < texts->len; i++)
        count += !is_none(g_ptr_array_index(texts, i));
    return count;
}

static bool add_devices(const Tool *tool, Machine *m, GError **error)
{
    const MachineDefaults defaults = {
        .nodefaults = tool->nodefaults,
        .vga = tool->vga,
        .no_network = tool->network || tool->nic->len,
        .serials = ports(tool->serial),
        .parallels = ports(tool->parallel),
        .devices = tool->device,
    };
    for (guint i = 0; i < tool->global->len; i++)
        if (!machine_add_global(m, g_ptr_array_index(tool->global, i), error))
            return false;
    if (!machine_add_defaults(m, &defaults, error) || !add_nics(tool, m, error))
        return false;
    for (guint i = 0; i < tool->device->len; i++)
        if (!machine_add_device(m, g_ptr_array_index(tool->device, i), error))
            return false;
    return add_drives(tool, m, error);
}

static bool add_tables(const Tool *tool, Machine *m, GError **error)
{
    if (tool->uuid) {
        uint8_t uuid[16];
        if (!g_uuid_string_is_valid(tool->uuid))
            return fail_usage(error, "-uuid %s: this is no UUID", tool->uuid);
        for (unsigned i = 0, n = 0; n < 16; i++)
            if (tool->uuid[i] != '-') {
                uuid[n++] = (uint8_t)(g_ascii_xdigit_value(tool->uuid[i]) << 4 |
                                      g_ascii_xdigit_value(tool->uuid[i + 1]));
                i++;
            }
        machine_set_uuid(m, uuid);
    }
    for (guint i = 0; i < tool->acpitable->len; i++)
        if (!machine_add_acpitable(m, g_ptr_array_index(tool->acpitable, i), error))
            return false;
    for (guint i = 0; i < tool->smbios->len; i++)
        if (!machine_add_smbios(m, g_ptr_array_index(tool->smbios, i), error))
            return false;
    return true;
}

/* ---- Its tables ------------------------------------------------------------------------------ */

static bool split(const Tool *tool, Set *set, GError **error)
{
    g_autoptr(GBytes) all = acpi_tables_place(set->acpi, tool->at, error);
    if (!all)
        return false;
    for (const AcpiEntry *e = acpi_tables_entries(set->acpi); e->len; e++)
        set_add(set, e->name, g_bytes_new_from_bytes(all, e->offset, e->len));
    return true;
}

bool build_set(const Tool *tool, Set *set, GError **error)
{
    g_autoptr(MachineOptions) options = parse_options(tool, error);
    if (!options)
        return false;
    const MachineCpus cpus = {.model = tool->cpu};
    BusClock *clock = bus_clock_new_manual();
    Machine *m = machine_new(options, &cpus, clock, error);
    bool good = m && add_devices(tool, m, error) && add_tables(tool, m, error) &&
                (set->acpi = machine_acpi(m, error)) && split(tool, set, error) &&
                (!options->type->smbios || machine_smbios(m, &set->smbios, error));
    machine_free(m);
    bus_clock_free(clock);
    return good;
}

static gint by_name(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

bool read_set(const char *folder, Set *set, GError **error)
{
    g_autoptr(GError) why = NULL;
    g_autoptr(GDir) dir = g_dir_open(folder, 0, &why);
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    const char *entry;
    if (!dir)
        return fail(error, "%s: %s", folder, why->message);
    while ((entry = g_dir_read_name(dir)))
        if (g_str_has_suffix(entry, ".aml") || !strcmp(entry, "smbios.bin"))
            g_ptr_array_add(names, g_strdup(entry));
    g_ptr_array_sort(names, by_name);
    for (guint i = 0; i < names->len; i++) {
        const char *name = g_ptr_array_index(names, i);
        g_autofree char *path = g_build_filename(folder, name, NULL), *data = NULL;
        gsize len;
        if (!g_file_get_contents(path, &data, &len, &why))
            return fail(error, "%s", why->message);
        g_autofree char *base = g_strndup(name, strlen(name) - 4);
        set_add(set, base, g_bytes_new_take(g_steal_pointer(&data), len));
    }
    return names->len || fail(error, "%s: there are no tables (*.aml, smbios.bin)", folder);
}
