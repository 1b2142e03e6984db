/* SPDX-License-Identifier: MIT */
/* From options to a machine that is ready to run. */
#include "run_priv.h"
#include "chardev.h"
#include "monitor.h"
#include "net.h"
#include "qtest.h"
#include "share.h"

#include "base/error.h"
#include "base/save.h"
#include "block/block.h"

#include <string.h>

#define RISCV_TIMEBASE_HZ 10000000
#define RISCV_COMMAND_LINE_MAX 1024 /* Linux: COMMAND_LINE_SIZE, with its final NUL */

/* An ISA with just one board needs no -M, but under names that promise otherwise. */
static void choose_board(Run *r)
{
    g_autofree const MachineType **types = machine_types(r->arch);
    if (!r->options->type && !r->o->called_arch && types[0] && !types[1])
        r->options->type = types[0];
}

/* A board that is only described has a tree and nothing else. */
static bool check_runs(Run *r, GError **error)
{
    const MachineType *type = r->options->type;
    if (type && type->description && !r->options->dumpdtb)
        return fail(error,
                    "machine '%s' (%s) can be described by dtbgen and acpigen, but does not run yet",
                    type->name, r->arch);
    r->isa = type && type->description ? NULL : guest_isa_by_name(r->arch);
    return true;
}

/* What the board's memory consists of. */
static bool parse_numa(Run *r, GError **error)
{
    const RunOptions *o = r->o;
    for (guint i = 0; i < o->object->len; i++) {
        if (machine_options_is_memory_object(o->object->pdata[i]) &&
            !machine_options_parse_memory_object(r->options, o->object->pdata[i], error))
            return false;
    }
    for (guint i = 0; i < o->numa->len; i++) {
        if (!machine_options_parse_numa(r->options, o->numa->pdata[i], error))
            return false;
    }
    return true;
}

static bool parse_machine(Run *r, GError **error)
{
    const RunOptions *o = r->o;
    if (!(r->options = machine_options_new(r->arch, error)))
        return false;
    for (guint i = 0; i < o->machine->len; i++) {
        if (!machine_options_parse_machine(r->options, r->arch, o->machine->pdata[i], error))
            return false;
    }
    choose_board(r);
    r->options->firmware = r->software.firmware != NULL;
    if (!check_runs(r, error))
        return false;
    for (guint i = 0; i < o->smp->len; i++) {
        if (!machine_options_parse_smp(r->options, o->smp->pdata[i], error))
            return false;
    }
    if (r->exec && !o->memory->len &&
        !machine_options_parse_memory(r->options, EXEC_MEMORY, error))
        return false;
    for (guint i = 0; i < o->memory->len; i++) {
        if (!machine_options_parse_memory(r->options, o->memory->pdata[i], error))
            return false;
    }
    if (!parse_numa(r, error) || !machine_options_check(r->options, error))
        return false;
    const char *accel = o->accel ? o->accel : r->options->accel;
    return !accel || cpu_accel_parse(&r->accel, accel, error);
}

static bool make_described(Run *r, GError **error)
{
    const MachineCpus cpus = { .model = r->o->cpu };
    r->clock = bus_clock_new_manual();
    r->machine = machine_new(r->options, &cpus, r->clock, error);
    return r->machine != NULL;
}

static bool make_machine(Run *r, GError **error)
{
    if (!r->isa)
        return make_described(r, error);
    g_autoptr(GString) props = g_string_new(NULL);
    r->cpus = cpu_group_new(r->isa, r->options->smp.cpus, r->o->cpu, &r->accel, error);
    if (!r->cpus)
        return false;
    r->isa->describe(cpu_state(cpu_group_cpu(r->cpus, 0)), props);
    MachineCpus cpus = { .model = r->o->cpu, .line = cpus_line, .opaque = r };
    r->cpu_props = machine_cpus_read(&cpus, props->str);
    r->clock = r->accel.none ? bus_clock_new_manual() : bus_clock_new();
    bus_clock_set_wall(r->clock, r->settings.rtc_ahead, r->settings.rtc_follows);
    r->machine = machine_new(r->options, &cpus, r->clock, error);
    return r->machine != NULL;
}

bool setup_machine(Run *r, GError **error)
{
    if (!software_load(&r->software, r->o, error))
        return false;
    if ((r->o->exec || r->o->root) && !(r->exec = exec_new(r->o, &r->software, error)))
        return false;
    return (r->arch = software_arch(&r->software, r->o, error)) && parse_machine(r, error) &&
           make_machine(r, error);
}

bool setup_dump_tree(Run *r, GError **error)
{
    const Software *s = &r->software;
    const MachineBoot *boot = s->kernel || s->firmware || s->dtb ? &s->boot : NULL;
    g_autoptr(GBytes) tree = machine_fdt(r->machine, boot, error);
    return tree && save_file(r->options->dumpdtb, g_bytes_get_data(tree, NULL),
                             g_bytes_get_size(tree), error);
}

static void on_notice(void *opaque, const char *line)
{
    ((Run *)opaque)->warn(line);
}

static bool on_cancelled(void *opaque)
{
    return ((Run *)opaque)->interrupted;
}

static Chardev *chardev_of(void *opaque, const char *id, GError **error)
{
    return chardev_table_get(opaque, id, error);
}

static bool open_chardevs(Run *r, GError **error)
{
    ChardevHost host = { .quit = run_interrupt, .notice = on_notice, .cancelled = on_cancelled,
                         .monitor = monitors_want_terminal(r) ? monitors_take : NULL, .opaque = r };
    r->chardevs = chardev_table_new(&host);
    r->serials = g_ptr_array_new();
    machine_set_chardev_source(r->machine, chardev_of, r->chardevs);
    if (r->exec && !exec_console(r->chardevs, error))
        return false;
    return chardevs_open(r->o, r->chardevs, r->machine, r->serials, error) &&
           monitors_open(r, error) &&
           (r->shares = shares_open(r->o, r->chardevs, r->warn, error)) != NULL;
}

static void on_block_warning(void *opaque, const char *text)
{
    g_autofree char *line = g_strdup_printf("warning: %s", text);
    ((Run *)opaque)->warn(line);
}

/* Back ends first, then what refers to them. */
static bool add_devices(Run *r, GError **error)
{
    const RunOptions *o = r->o;
    Machine *m = r->machine;
    block_graph_on_warning(machine_block(m), on_block_warning, r);
    for (guint i = 0; i < o->global->len; i++) {
        if (!machine_add_global(m, o->global->pdata[i], error))
            return false;
    }
    for (guint i = 0; i < o->object->len; i++) { /* disks may need secrets */
        if (!machine_options_is_memory_object(o->object->pdata[i]) &&
            !machine_add_object(m, o->object->pdata[i], error))
            return false;
    }
    for (guint i = 0; i < o->blockdev->len; i++) {
        if (!machine_add_blockdev(m, o->blockdev->pdata[i], error))
            return false;
    }
    for (guint i = 0; i < o->drive->len; i++) {
        if (!machine_add_drive(m, o->drive->pdata[i], o->snapshot, error))
            return false;
    }
    if (!machine_add_pending(m, error) || !nets_plug(r->nets, m, error) ||
        !shares_plug(r->shares, m, error))
        return false;
    for (guint i = 0; i < o->device->len; i++) {
        if (!machine_add_device(m, o->device->pdata[i], error))
            return false;
    }
    nets_check_used(r->nets, r->warn);
    return !r->exec || exec_connect(r->exec, r->chardevs, m, run_exec_ended, r, error);
}

static bool add_fw_cfg(Run *r, GError **error)
{
    for (guint i = 0; i < r->o->fw_cfg->len; i++) {
        g_autofree char *note = NULL;
        if (!machine_add_fw_cfg(r->machine, r->o->fw_cfg->pdata[i], &note, error))
            return false;
        if (note)
            r->warn(note);
    }
    return true;
}

static bool check_software(const Run *r, GError **error)
{
    const MachineBoot *b = &r->software.boot;
    if (!b->kernel && !b->firmware && !r->accel.none && !machine_has_software(r->machine))
        return fail_usage(error, "nothing to run: give -kernel or -bios (-help has examples)");
    if (b->append && strlen(b->append) >= RISCV_COMMAND_LINE_MAX) {
        g_autofree char *line = g_strdup_printf(
            "warning: -append has %zu bytes, Linux on RISC-V reads %d", strlen(b->append),
            RISCV_COMMAND_LINE_MAX - 1);
        r->warn(line);
    }
    return true;
}

bool setup_start(Run *r, GError **error)
{
    r->nets = net_table_new();
    if (!nets_open(r->o, r->nets, error) || !open_chardevs(r, error) || !add_devices(r, error) ||
        !add_fw_cfg(r, error) || !check_software(r, error))
        return false;
    r->software.boot.mode = machine_firmware(r->machine, r->software.boot.mode);
    if (!r->exec) /* with --exec nobody is there to go on: the guest is told */
        machine_on_io_error(r->machine, run_io_error, r);
    if (!machine_start(r->machine, run_power, r, error) ||
        !machine_boot(r->machine, &r->software.boot, &r->entry, error))
        return false;
    if (r->o->qtest && !(r->qtest = qtest_server_new(r, error)))
        return false;
    if (r->accel.none)
        return true;
    cpu_group_connect(r->cpus, machine_space(r->machine), r->clock, RISCV_TIMEBASE_HZ, NULL);
    return cpus_firmware(r, error) && cpu_group_start(r->cpus, error);
}
