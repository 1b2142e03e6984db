/* SPDX-License-Identifier: MIT */
/* The list of boards, and what all of them share: devices from the map, the boot properties of the
   device tree, the placing of images, reset. */
#include "machines/acpi_priv.h"

#include "base/error.h"

#include <inttypes.h>
#include <string.h>

#define MACHINE(name) extern const MachineType name##_type;
#include "machines/machines.def"
#undef MACHINE

#define MACHINE(name) &name##_type,
static const MachineType *const all_types[] = {
#include "machines/machines.def"
    NULL,
};
#undef MACHINE

/* ---- Types --------------------------------------------------------------- */

const MachineType **machine_types(const char *isa)
{
    const MachineType **list = g_new0(const MachineType *, G_N_ELEMENTS(all_types));
    size_t n = 0;
    for (const MachineType *const *type = all_types; *type; type++)
        if (!isa || g_strv_contains((*type)->isas, isa))
            list[n++] = *type;
    return list;
}

const MachineType *machine_type_find(const char *isa, const char *name)
{
    g_autofree const MachineType **types = machine_types(isa);
    for (size_t i = 0; types[i]; i++)
        if (strcmp(types[i]->name, name) == 0 ||
            (types[i]->versions && g_strv_contains(types[i]->versions, name)))
            return types[i];
    return NULL;
}

const char **machine_isas(void)
{
    GPtrArray *names = g_ptr_array_new();
    for (const MachineType *const *type = all_types; *type; type++)
        for (const char *const *isa = (*type)->isas; *isa; isa++)
            if (!g_ptr_array_find_with_equal_func(names, *isa, g_str_equal, NULL))
                g_ptr_array_add(names, (gpointer)*isa);
    g_ptr_array_add(names, NULL);
    return (const char **)g_ptr_array_free(names, FALSE);
}

const char *machine_isa_of_board(const char *name)
{
    g_autofree const char **isas = machine_isas();
    const char *running = NULL, *described = NULL;
    unsigned run = 0, describe = 0;
    for (const char **isa = isas; *isa; isa++) {
        const MachineType *type = machine_type_find(*isa, name);
        if (!type)
            continue;
        if (type->description)
            describe++, described = *isa;
        else
            run++, running = *isa;
    }
    return run == 1 ? running : run == 0 && describe == 1 ? described : NULL;
}

char *machine_help(const char *isa)
{
    GString *text = g_string_new("Supported machines are:\n");
    g_autofree const MachineType **types = machine_types(isa);
    for (size_t i = 0; types[i]; i++) {
        const MachineType *t = types[i];
        g_autofree char *alias = t->versions ? g_strdup_printf(" (alias of %s)", t->versions[0])
                                             : g_strdup("");
        g_string_append_printf(text, "%-20s %s%s%s%s\n", t->name, t->summary, alias,
                               t->description ? " (described, does not run yet)" : "",
                               t->is_default ? " (default)" : "");
        for (const char *const *v = t->versions; v && *v; v++)
            g_string_append_printf(text, "%-20s %s, as of %s\n", *v, t->summary,
                                   strrchr(*v, '-') + 1);
    }
    return g_string_free(text, FALSE);
}

char *machine_props_help(const MachineType *type)
{
    GString *text = g_string_new("");
    g_string_append_printf(text, "%s-machine options:\n", type->name);
    for (const MachineProp *p = type->props; p && p->name; p++)
        g_string_append_printf(text, "  %s=<%s> - %s (default: %s)\n", p->name,
                               p->is_bool ? "bool" : "string", p->help, p->def ? p->def : "none");
    g_string_append(text, "  dumpdtb=<file> - write the device tree to the file and exit\n");
    return g_string_free(text, FALSE);
}

/* ---- For boards ---------------------------------------------------------- */

const MachineMap *machine_row(const Machine *m, const char *id)
{
    for (const MachineMap *row = m->type->map; row->id; row++)
        if (strcmp(row->id, id) == 0)
            return row;
    g_assert_not_reached();
}

unsigned machine_version(const Machine *m)
{
    return machine_options_version(m->options);
}

const char *machine_prop(const Machine *m, const char *name)
{
    const char *value = g_hash_table_lookup(m->options->props, name);
    for (const MachineProp *p = m->type->props; !value && p && p->name; p++)
        if (strcmp(p->name, name) == 0)
            return p->def;
    return value;
}

bool machine_prop_on(const Machine *m, const char *name)
{
    static const char *const yes[] = {"on", "yes", "true", "y", NULL};
    const char *value = machine_prop(m, name);
    return value && g_strv_contains(yes, value);
}

BusIrq machine_cpu_line(const Machine *m, unsigned cpu, MachineCpuLine line)
{
    return m->cpus.line ? m->cpus.line(m->cpus.opaque, cpu, line) : (BusIrq){0};
}

Device *machine_device(const Machine *m, const char *id)
{
    for (guint i = 0; i < m->devices->len; i++) {
        MachineDevice *md = &g_array_index(m->devices, MachineDevice, i);
        if (strcmp(md->row->id, id) == 0)
            return md->device;
    }
    for (guint i = 0; i < m->added->len; i++) {
        Device *dev = g_ptr_array_index(m->added, i);
        if (strcmp(dev->id, id) == 0)
            return dev;
    }
    return NULL;
}

void machine_connect_irq(const MachineDevice *md, Device *controller)
{
    for (int n = 0; md->row->irq && n < MAX(md->row->irqs, 1); n++)
        device_connect(md->device, (unsigned)n, device_input(controller, md->row->irq + n));
}

void machine_connect_irqs(Machine *m, const char *controller)
{
    Device *intc = machine_device(m, controller);
    for (guint i = 0; i < m->devices->len; i++)
        machine_connect_irq(&g_array_index(m->devices, MachineDevice, i), intc);
}

static char *range_text(const MachineRange *r)
{
    return g_strdup_printf("%s%s%s (%" PRIu64 " KiB at %#" PRIx64 ")", r->what, r->name ? " " : "",
                           r->name ? r->name : "", (r->size + 1023) / 1024, r->start);
}

bool machine_check_ranges(const Machine *m, const MachineRange *ranges, size_t count,
                          GError **error)
{
    uint64_t base = m->type->ram_base, size = m->options->ram_size;
    for (size_t i = 0; i < count; i++) {
        const MachineRange *r = &ranges[i];
        if (!r->size)
            continue;
        g_autofree char *text = range_text(r);
        if (r->start < base)
            return fail(error,
                        "%s is placed below the machine's memory, which starts at %#" PRIx64
                        ": it was made for another machine or address",
                        text, base);
        if (r->start - base > size || r->size > size - (r->start - base))
            return fail(error,
                        "%s does not fit in the machine's %" PRIu64 " MiB of memory at %#" PRIx64
                        "; give it more with -m",
                        text, size >> 20, base);
        for (size_t k = 0; k < i; k++) {
            const MachineRange *o = &ranges[k];
            if (!o->size || r->start >= o->start + o->size || o->start >= r->start + r->size)
                continue;
            g_autofree char *other = range_text(o);
            return fail(error, "%s would overlap %s; the machine has %" PRIu64 " MiB of memory",
                        text, other, size >> 20);
        }
    }
    return true;
}

bool machine_load_image(Machine *m, const LoadImage *image, uint64_t base, GError **error)
{
    for (size_t i = 0; i < image->count; i++) {
        const LoadSegment *s = &image->segments[i];
        uint64_t at = image->placed ? s->addr : base + s->addr;
        gsize len;
        const void *data = g_bytes_get_data(s->data, &len);
        if (!bus_load(m->space, at, data, len, error))
            return prefix(error, "%s", image->name);
        if (s->mem_size > len &&
            bus_dma_fill(m->space, at + len, 0, s->mem_size - len) != BUS_OK)
            return fail(error, "%s: %" PRIu64 " bytes at %#" PRIx64 " are not all memory",
                        image->name, s->mem_size, at);
    }
    return true;
}

/* ---- Life ---------------------------------------------------------------- */

static MachineOptions *options_copy(const MachineOptions *o)
{
    MachineOptions *copy = g_memdup2(o, sizeof *o);
    copy->dumpdtb = g_strdup(o->dumpdtb);
    copy->accel = g_strdup(o->accel);
    copy->numa = machine_numa_copy(o->numa);
    copy->props = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    GHashTableIter iter;
    gpointer key, value;
    g_hash_table_iter_init(&iter, o->props);
    while (g_hash_table_iter_next(&iter, &key, &value))
        g_hash_table_insert(copy->props, g_strdup(key), g_strdup(value));
    return copy;
}

static bool make_devices(Machine *m, GError **error)
{
    for (const MachineMap *row = m->type->map; row->id; row++) {
        if (!row->device || (m->type->present && !m->type->present(m, row)))
            continue;
        Device *dev = machine_device(m, row->id);
        if (!dev) {
            const DeviceType *type = device_type_find(row->device);
            if (!type)
                return fail(error, "%s: there is no device '%s'", row->id, row->device);
            MachineDevice md = {row, device_new(type, row->id)};
            g_array_append_val(m->devices, md);
            dev = md.device;
        }
        if (row->size)
            device_place(dev, row->region, row->addr);
    }
    return true;
}

Machine *machine_new(MachineOptions *options, const MachineCpus *cpus, BusClock *clock,
                     GError **error)
{
    if (!machine_options_check(options, error))
        return NULL;
    Machine *m = g_new0(Machine, 1);
    m->type = options->type;
    m->options = options_copy(options);
    m->cpus = *cpus;
    m->cpus.model = g_strdup(cpus->model);
    m->cpus.isa = g_strdup(cpus->isa);
    m->cpus.mmu_type = g_strdup(cpus->mmu_type);
    m->cpus.compatible = g_strdup(cpus->compatible ? cpus->compatible : "riscv");
    m->clock = clock;
    m->space = bus_space_new("memory", false);
    m->devices = g_array_new(FALSE, FALSE, sizeof(MachineDevice));
    m->pending = g_ptr_array_new_with_free_func(g_free);
    machine_loaders_init(m);
    m->fw_cfg = fw_cfg_new();
    machine_globals_init(m);
    m->added = g_ptr_array_new_with_free_func((GDestroyNotify)device_free);
    machine_eject_init(m);
    machine_backends_init(m);
    if (make_devices(m, error) && (!m->type->build || m->type->build(m, error)))
        return m;
    machine_free(m);
    return NULL;
}

void machine_free(Machine *m)
{
    if (!m)
        return;
    machine_eject_clear(m);
    machine_added_clear(m);
    machine_globals_clear(m);
    machine_acpi_clear(m);
    g_ptr_array_unref(m->pending);
    for (guint i = m->devices->len; i > 0; i--)
        device_free(g_array_index(m->devices, MachineDevice, i - 1).device);
    machine_backends_clear(m);
    g_array_free(m->devices, TRUE);
    fw_cfg_free(m->fw_cfg);
    machine_loaders_clear(m);
    bus_space_free(m->space);
    g_free((char *)m->cpus.model);
    g_free((char *)m->cpus.isa);
    g_free((char *)m->cpus.mmu_type);
    g_free((char *)m->cpus.compatible);
    machine_options_free(m->options);
    g_free(m);
}

bool machine_set_serial(Machine *m, unsigned n, Chardev *chardev, GError **error)
{
    for (guint i = 0; i < m->devices->len; i++) {
        Device *dev = g_array_index(m->devices, MachineDevice, i).device;
        for (const DeviceProp *p = dev->type->props; p && p->name; p++)
            if (p->kind == DEVICE_CHARDEV && n-- == 0)
                return device_set_chardev(dev, p->name, chardev, error);
    }
    return fail_usage(error, "machine '%s' has no more serial ports", m->type->name);
}

bool machine_start(Machine *m,
                   void (*power)(void *opaque, DevicePower what, uint32_t code), void *opaque,
                   GError **error)
{
    if (m->started)
        return fail(error, "the machine has been started already");
    if (m->type->description)
        return fail(error, "machine '%s' does not run yet", m->type->name);
    for (guint i = 0; i < m->options->numa->backends->len; i++) {
        const MachineMemoryBackend *b = m->options->numa->backends->pdata[i];
        if (b->path)
            return fail(error, "-object memory-backend-file,id=%s: memory from files is not there yet",
                        b->id);
    }
    if (!machine_flash_props(m, error) || !m->type->wire(m, error))
        return false;
    m->env = (DeviceEnv){.space = m->space, .clock = m->clock, .power = power, .opaque = opaque,
                         .ejected = machine_ejected, .ejected_opaque = m,
                         .io_error = m->io_error, .io_error_opaque = m->io_error_opaque};
    for (guint i = 0; i < m->devices->len; i++)
        if (!device_start(g_array_index(m->devices, MachineDevice, i).device, &m->env, error))
            return false;
    if (!machine_added_start(m, error))
        return false;
    m->started = true;
    return true;
}

void machine_on_io_error(Machine *m,
                         void (*io_error)(void *opaque, Device *dev, bool write, int error),
                         void *opaque)
{
    m->io_error = io_error;
    m->io_error_opaque = opaque;
}

void machine_retry(Machine *m)
{
    for (guint i = 0; i < m->added->len; i++) {
        Device *dev = g_ptr_array_index(m->added, i);
        if (dev->started && dev->type->retry)
            dev->type->retry(dev);
    }
}

/* ---- Boot ---------------------------------------------------------------- */

bool machine_boot(Machine *m, const MachineBoot *boot, MachineEntry *entry, GError **error)
{
    memset(entry, 0, sizeof *entry);
    m->boot = boot;
    if (!m->type->layout(m, boot, entry, error))
        return false;
    g_autoptr(GBytes) fdt = machine_tree_build(m, boot, entry, error);
    if (!fdt || !m->type->place(m, boot, fdt, entry, error))
        return false;
    machine_fw_cfg_boot(m, boot);
    return machine_loaders_place(m, entry, error);
}

bool machine_reset(Machine *m, MachineEntry *entry, GError **error)
{
    for (guint i = 0; i < m->devices->len; i++)
        device_reset(g_array_index(m->devices, MachineDevice, i).device);
    for (guint i = 0; i < m->added->len; i++)
        device_reset(g_ptr_array_index(m->added, i));
    return m->boot ? machine_boot(m, m->boot, entry, error)
                   : fail(error, "there is nothing to boot again");
}

bool machine_power_button(Machine *m, GError **error)
{
    if (!m->type->power_button)
        return fail(error, "machine '%s' has no power button; shut the guest down from within, or "
                    "quit", m->type->name);
    m->type->power_button(m);
    return true;
}

BusSpace *machine_space(Machine *m)
{
    return m->space;
}

BusClock *machine_clock(Machine *m)
{
    return m->clock;
}

const MachineOptions *machine_options(const Machine *m)
{
    return m->options;
}
