/* SPDX-License-Identifier: MIT */
/* From options to a tree: that of a machine, which is made but not started, or a file's. */
#include "dtbgen.h"

#include "base/error.h"
#include "base/option.h"
#include "cpu/cpu.h"
#include "machines/machine.h"

#include <string.h>

#define TREE_MAX (64 << 20)

typedef struct {
    const char *arch;
    MachineOptions *options;
    const GuestIsa *isa; /* NULL: the board is a description only */
    GHashTable *cpu_props;
    BusClock *clock;
    Machine *machine;
    LoadImage *kernel, *firmware;
    GBytes *kernel_file, *initrd, *dtb;
    MachineBoot boot;
} Build;

static void build_clear(Build *b)
{
    machine_free(b->machine);
    bus_clock_free(b->clock);
    machine_options_free(b->options);
    g_clear_pointer(&b->cpu_props, g_hash_table_unref);
    g_clear_pointer(&b->kernel, load_image_free);
    g_clear_pointer(&b->firmware, load_image_free);
    g_clear_pointer(&b->kernel_file, g_bytes_unref);
    g_clear_pointer(&b->initrd, g_bytes_unref);
    g_clear_pointer(&b->dtb, g_bytes_unref);
}

GBytes *dtbgen_read(const char *path, GError **error)
{
    GBytes *bytes = load_read(strcmp(path, "-") ? path : "/dev/stdin", TREE_MAX, error);
    if (!bytes)
        prefix(error, "%s", path);
    return bytes;
}

/* The board's name in the last -M that has one; newly allocated, or NULL. */
static char *board_of(const Dtbgen *d)
{
    char *board = NULL;
    for (guint i = 0; i < d->machine->len; i++) {
        const char *text = d->machine->pdata[i];
        if (g_str_has_prefix(text, "type="))
            text += strlen("type=");
        g_autofree char *first = g_strndup(text, strcspn(text, ","));
        if (strchr(first, '='))
            continue;
        g_free(board);
        board = g_steal_pointer(&first);
    }
    return board;
}

/* --arch; what the kernel is for; the board, if just one ISA has it. */
static bool choose_arch(Build *b, const Dtbgen *d, GError **error)
{
    g_autofree const char **isas = machine_isas();
    g_autofree char *board = board_of(d), *names = g_strjoinv(", ", (char **)isas);
    b->arch = d->arch ? d->arch
              : b->kernel && b->kernel->id.arch ? b->kernel->id.arch
              : board ? machine_isa_of_board(board) : NULL;
    if (!b->arch && board && machine_type_find(NULL, board))
        return fail_usage(error, "several ISAs have machine '%s': give --arch (%s)", board, names);
    if (!b->arch && board)
        return fail_usage(error, "unsupported machine type '%s' (-M help lists them)", board);
    if (!b->arch)
        return fail_usage(error, "which machine? Give -M and, where it is not %s, --arch (%s)",
                          isas[0], names);
    if (!g_strv_contains(isas, b->arch))
        return fail_usage(error, "--arch %s: there is no machine for it (there are: %s)", b->arch,
                          names);
    return true;
}

typedef bool Parse(MachineOptions *o, const char *text, GError **error);

static bool parse_each(MachineOptions *o, const GPtrArray *texts, Parse *parse, GError **error)
{
    for (guint i = 0; i < texts->len; i++)
        if (!parse(o, texts->pdata[i], error))
            return false;
    return true;
}

static bool parse_object(MachineOptions *o, const char *text, GError **error)
{
    if (!machine_options_is_memory_object(text))
        return fail_usage(error, "-object %s: only memory-backend-* makes a difference here", text);
    return machine_options_parse_memory_object(o, text, error);
}

static bool parse_machine(Build *b, const Dtbgen *d, GError **error)
{
    if (!(b->options = machine_options_new(b->arch, error)))
        return false;
    for (guint i = 0; i < d->machine->len; i++)
        if (!machine_options_parse_machine(b->options, b->arch, d->machine->pdata[i], error))
            return false;
    b->options->firmware = b->firmware != NULL;
    g_autofree const MachineType **types = machine_types(b->arch);
    if (!b->options->type && !types[1])
        b->options->type = types[0];
    return parse_each(b->options, d->smp, machine_options_parse_smp, error) &&
           parse_each(b->options, d->memory, machine_options_parse_memory, error) &&
           parse_each(b->options, d->object, parse_object, error) &&
           parse_each(b->options, d->numa, machine_options_parse_numa, error) &&
           machine_options_check(b->options, error);
}

/* One CPU of the model tells what all are. */
static bool describe_cpu(Build *b, const Dtbgen *d, MachineCpus *cpus, GError **error)
{
    cpus->model = d->cpu;
    b->isa = b->options->type->description ? NULL : guest_isa_by_name(b->arch);
    if (!b->isa)
        return true;
    CpuAccel accel = {0};
    if (!cpu_accel_parse(&accel, "interp", error))
        return false;
    g_autoptr(CpuGroup) group = cpu_group_new(b->isa, 1, d->cpu, &accel, error);
    if (!group)
        return false;
    g_autoptr(GString) text = g_string_new(NULL);
    b->isa->describe(cpu_state(cpu_group_cpu(group, 0)), text);
    b->cpu_props = machine_cpus_read(cpus, text->str);
    return true;
}

/* A device as it is plugged in, but for its back ends: there are none. */
static bool add_device(Build *b, const char *text, GError **error)
{
    static const char *const ends[] = {"drive", "netdev", "chardev", "rng", NULL};
    g_autoptr(Options) options = options_parse(text, "driver", error);
    if (!options)
        return prefix(error, "-device %s", text);
    g_autoptr(GString) s = g_string_new(NULL);
    const char *key, *value;
    for (unsigned i = 0; options_item(options, i, &key, &value); i++) {
        if (g_strv_contains(ends, key))
            continue;
        g_auto(GStrv) parts = g_strsplit(value, ",", -1);
        g_autofree char *doubled = g_strjoinv(",,", parts);
        bool implied = !s->len && strcmp(key, "driver") == 0;
        g_string_append_printf(s, "%s%s%s%s", s->len ? "," : "", implied ? "" : key,
                               implied ? "" : "=", doubled);
    }
    return machine_add_device(b->machine, s->str, error);
}

static bool make_machine(Build *b, const Dtbgen *d, GError **error)
{
    MachineCpus cpus = {0};
    if (!describe_cpu(b, d, &cpus, error))
        return false;
    b->clock = bus_clock_new_manual();
    if (!(b->machine = machine_new(b->options, &cpus, b->clock, error)))
        return false;
    for (guint i = 0; i < d->device->len; i++)
        if (!add_device(b, d->device->pdata[i], error))
            return false;
    return true;
}

/* A kernel in a form that only its own loader unpacks counts by its size. */
static bool load_kernel(Build *b, const char *path, GError **error)
{
    g_autoptr(GBytes) packed = load_read(path, LOAD_MAX, error);
    if (!packed || !(b->kernel_file = load_unpack(packed, path, error)))
        return prefix(error, "-kernel");
    gsize size;
    const uint8_t *data = g_bytes_get_data(b->kernel_file, &size);
    LoadKind kind = load_identify(data, size).kind;
    bool raw = kind == LOAD_ZIMAGE || kind == LOAD_UIMAGE;
    b->kernel = raw ? load_raw(b->kernel_file, path) : load_image(b->kernel_file, path, error);
    return b->kernel || prefix(error, "-kernel");
}

static bool load_software(Build *b, const Dtbgen *d, GError **error)
{
    MachineBoot *boot = &b->boot;
    if (d->kernel && !load_kernel(b, d->kernel, error))
        return false;
    if (d->bios && strcmp(d->bios, "none") && strcmp(d->bios, "default")) {
        boot->mode = MACHINE_FIRMWARE_FILE;
        if (!(b->firmware = load_image_file(d->bios, error)))
            return prefix(error, "-bios");
    } else if (d->bios && !strcmp(d->bios, "none")) {
        boot->mode = MACHINE_FIRMWARE_NONE;
    }
    if (d->initrd && !(b->initrd = load_read(d->initrd, LOAD_MAX, error)))
        return prefix(error, "-initrd");
    if (d->dtb && !(b->dtb = dtbgen_read(d->dtb, error)))
        return prefix(error, "-dtb");
    boot->kernel = b->kernel;
    boot->kernel_file = b->kernel_file;
    boot->firmware = b->firmware;
    boot->initrd = b->initrd;
    boot->initrd_name = d->initrd;
    boot->append = d->append;
    boot->dtb = b->dtb;
    boot->dtb_name = d->dtb;
    return true;
}

GBytes *dtbgen_machine(const Dtbgen *d, GError **error)
{
    Build b = {0};
    GBytes *tree = NULL;
    if (load_software(&b, d, error) && choose_arch(&b, d, error) && parse_machine(&b, d, error) &&
        make_machine(&b, d, error)) {
        bool any = d->kernel || d->bios || d->dtb;
        tree = machine_fdt(b.machine, any ? &b.boot : NULL, error);
    }
    build_clear(&b);
    return tree;
}

/* ---- Changes to it ----------------------------------------------------------------------- */

static GBytes *merged(GBytes *tree, const char *path, GError **error)
{
    g_autoptr(GBytes) overlay = dtbgen_read(path, error);
    GBytes *out = overlay ? fdt_merge(tree, overlay, error) : NULL;
    if (!out)
        prefix(error, "--merge%s%s", overlay ? " " : "", overlay ? path : "");
    return out;
}

/* "/path" or "/path property". What is not there is a mistake. */
static bool delete_one(Fdt *tree, const char *text, GError **error)
{
    const char *blank = strchr(text, ' ');
    g_autofree char *path = blank ? g_strndup(text, (gsize)(blank - text)) : g_strdup(text);
    if (text[0] != '/' || !fdt_tree_has(tree, path))
        return fail_usage(error, "--delete: '%s': there is no node %s", text, path);
    if (!blank && !text[1])
        return fail_usage(error, "--delete: the root has to stay");
    if (!blank) {
        fdt_tree_node_remove(tree, path);
        return true;
    }
    const char *name = blank + strspn(blank, " ");
    if (!fdt_tree_get(tree, path, name, NULL))
        return fail_usage(error, "--delete: '%s': %s has no property '%s'", text, path, name);
    fdt_tree_prop_remove(tree, path, name);
    return true;
}

static GBytes *with_settings(GBytes *bytes, const GPtrArray *settings, const GPtrArray *deletions,
                             GError **error)
{
    g_autoptr(Fdt)
        tree = fdt_tree_from_bytes(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes), error);
    for (guint i = 0; tree && i < settings->len; i++) {
        if (!fdt_tree_set_text(tree, settings->pdata[i], error)) {
            prefix(error, "--set");
            return NULL;
        }
    }
    for (guint i = 0; tree && i < deletions->len; i++)
        if (!delete_one(tree, deletions->pdata[i], error))
            return NULL;
    return tree ? fdt_tree_finish(tree, error) : NULL;
}

GBytes *dtbgen_build(const Dtbgen *d, GError **error)
{
    g_autoptr(GBytes) tree = d->files->len ? dtbgen_read(d->files->pdata[0], error)
                                           : dtbgen_machine(d, error);
    for (guint i = 0; tree && i < d->merge->len; i++) {
        GBytes *next = merged(tree, d->merge->pdata[i], error);
        g_bytes_unref(tree);
        tree = next;
    }
    if (tree && (d->set->len || d->delete->len)) {
        GBytes *next = with_settings(tree, d->set, d->delete, error);
        g_bytes_unref(tree);
        tree = next;
    }
    return g_steal_pointer(&tree);
}

/* ---- Lists ------------------------------------------------------------------------------- */

static bool asks(const char *text)
{
    return text && (!strcmp(text, "help") || !strcmp(text, "?"));
}

static char *list_boards(const Dtbgen *d)
{
    g_autofree const char **isas = machine_isas();
    GString *s = g_string_new(NULL);
    for (const char **isa = isas; *isa; isa++) {
        if (d->arch && strcmp(d->arch, *isa) != 0)
            continue;
        g_autofree char *text = machine_help(*isa);
        g_string_append_printf(s, "%s:\n%s", *isa, text);
    }
    return g_string_free(s, FALSE);
}

static char *list_models(const Dtbgen *d)
{
    GString *s = g_string_new(NULL);
    for (const GuestIsa *const *i = guest_isas(); *i; i++) {
        if (d->arch ? strcmp((*i)->name, d->arch) != 0 : !(*i)->reset)
            continue;
        g_string_append_printf(s, "%s:\n", (*i)->name);
        (*i)->list_models(s);
    }
    return g_string_free(s, FALSE);
}

static char *list_props(const Dtbgen *d, const char *text, GError **error)
{
    g_autofree char *board = g_strndup(text, strcspn(text, ","));
    const char *isa = d->arch ? d->arch : machine_isa_of_board(board);
    const MachineType *type = isa ? machine_type_find(isa, board) : NULL;
    if (type)
        return machine_props_help(type);
    fail_usage(error, "unsupported machine type '%s' (-M help lists them)", board);
    return NULL;
}

char *dtbgen_lists(const Dtbgen *d, GError **error)
{
    if (asks(d->cpu))
        return list_models(d);
    for (guint i = 0; i < d->machine->len; i++) {
        const char *text = d->machine->pdata[i];
        if (asks(text))
            return list_boards(d);
        if (g_str_has_suffix(text, ",help"))
            return list_props(d, text, error);
    }
    char *text = d->device->len ? machine_device_help(d->device->pdata[0]) : NULL;
    return text ? text : g_strdup("");
}
