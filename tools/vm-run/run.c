/* SPDX-License-Identifier: MIT */
/*
 * One machine from options to exit status: made, started, rebooted when the guest asks, ended.
 *
 * Threads: all of this is the main thread, which runs the GLib main loop, but for on_power and the
 * SBI hooks: they note what the guest wants and leave the rest to an idle call here.
 */
#include "run.h"
#include "chardev.h"
#include "net.h"
#include "software.h"

#include "base/error.h"
#include "base/log.h"
#include "block/block.h"
#include "chardev/chardev.h"
#include "cpu/cpu.h"
#include "firmware/riscv.h"
#include "machines/machine.h"

#include <glib-unix.h>
#include <stdio.h>
#include <string.h>

#define FLUSH_SLICE_MS 200
#define RISCV_TIMEBASE_HZ 10000000
#define RISCV_COMMAND_LINE_MAX 1024 /* Linux: COMMAND_LINE_SIZE, with its final NUL */

typedef struct {
    const RunOptions *o;
    void (*warn)(const char *line);
    Software software;
    const GuestIsa *isa;
    CpuAccel accel;
    MachineOptions *options;
    GHashTable *cpu_props;
    CpuGroup *cpus;
    BusClock *clock;
    Machine *machine;
    MachineEntry entry;
    FirmwareRiscv *sbi;
    NetTable *nets;
    ChardevTable *chardevs;
    GPtrArray *serials; /* of Chardev, in chardevs; NULL for none */
    GMainLoop *loop;
    int status;
    bool interrupted; /* the user wants an end, whatever the guest is doing */
    GError *error;    /* what ended the loop */

    GMutex lock; /* of what follows: the guest's wish that is on its way */
    bool wished;
    DevicePower wish;
    uint32_t code;
} Run;

/* ---- Lists --------------------------------------------------------------------- */

static bool asks_help(const char *text)
{
    return text && (!strcmp(text, "help") || !strcmp(text, "?"));
}

static void print_isas(const Run *r, char *(*machines)(const char *isa))
{
    const char *wanted = r->o->arch ? r->o->arch : r->o->called_arch;
    for (const GuestIsa *const *i = guest_isas(); *i; i++) {
        if (wanted && strcmp((*i)->name, wanted))
            continue;
        g_autoptr(GString) s = g_string_new(NULL);
        if (machines) {
            g_autofree char *text = machines((*i)->name);
            g_string_assign(s, text);
        } else {
            (*i)->list_models(s);
        }
        printf("%s:\n%s", (*i)->name, s->str);
    }
}

/* True if the options ask for a list, which is printed. */
static bool print_lists(const Run *r)
{
    const RunOptions *o = r->o;
    g_autofree char *text = NULL;
    if (asks_help(o->accel)) {
        text = cpu_accel_help();
    } else if (asks_help(o->debug)) {
        text = log_help();
    } else if ((o->serial->len && asks_help(o->serial->pdata[0])) ||
               (o->chardev->len && asks_help(o->chardev->pdata[0]))) {
        text = chardev_help();
    } else if (o->drive->len && asks_help(o->drive->pdata[0])) {
        text = block_help();
    } else if (o->device->len && (text = machine_device_help(o->device->pdata[0])) && *text) {
        /* text is the list */
    } else if ((o->netdev->len && asks_help(o->netdev->pdata[0])) ||
               (o->nic->len && asks_help(o->nic->pdata[0]))) {
        text = net_help();
    } else if (asks_help(o->cpu)) {
        print_isas(r, NULL);
        return true;
    } else {
        for (guint i = 0; i < o->machine->len; i++) {
            if (asks_help(o->machine->pdata[i])) {
                print_isas(r, machine_help);
                return true;
            }
        }
        return false;
    }
    fputs(text, stdout);
    return true;
}

/* ---- What the guest asks for ------------------------------------------------------- */

static bool start_software(Run *r);

static void quit(Run *r, int status)
{
    r->status = status;
    g_main_loop_quit(r->loop);
}

static bool reboot(Run *r, GError **error)
{
    cpu_group_pause(r->cpus);
    cpu_group_all_off(r->cpus);
    g_mutex_lock(&r->lock);
    r->wished = false;
    g_mutex_unlock(&r->lock);
    if (!machine_reset(r->machine, &r->entry, error))
        return prefix(error, "reboot");
    return start_software(r);
}

static gboolean on_wish(gpointer opaque)
{
    Run *r = opaque;
    g_mutex_lock(&r->lock);
    bool wished = r->wished;
    DevicePower wish = r->wish;
    uint32_t code = r->code;
    g_mutex_unlock(&r->lock);
    if (!wished)
        return G_SOURCE_REMOVE;
    if (wish == DEVICE_POWER_OFF || (wish == DEVICE_POWER_RESET && r->o->no_reboot))
        quit(r, 0);
    else if (wish == DEVICE_POWER_FAIL)
        quit(r, code & 0xff ? (int)(code & 0xff) : 1); /* an exit status has 8 bits */
    else if (!reboot(r, &r->error))
        quit(r, 1);
    return G_SOURCE_REMOVE;
}

/* Any thread, device locks may be held. The first wish counts. */
static void on_power(void *opaque, DevicePower what, uint32_t code)
{
    Run *r = opaque;
    g_mutex_lock(&r->lock);
    bool first = !r->wished;
    if (first) {
        r->wished = true;
        r->wish = what;
        r->code = code;
    }
    g_mutex_unlock(&r->lock);
    if (first) {
        cpu_group_halt(r->cpus);
        g_idle_add_full(G_PRIORITY_DEFAULT, on_wish, r, NULL);
    }
}

static void on_sbi_reset(void *opaque, bool again, bool failure)
{
    on_power(opaque, again ? DEVICE_POWER_RESET : failure ? DEVICE_POWER_FAIL : DEVICE_POWER_OFF,
             1);
}

/* Input of SBI's debug console is the serial port's, taken as firmware on the board would: byte by byte
   from the 16550. Any vCPU's thread. */
static size_t on_sbi_read(void *opaque, void *buf, size_t len)
{
    enum { RBR = 0, LSR = 5, LSR_DATA_READY = 1 };
    Run *r = opaque;
    Device *uart = machine_device(r->machine, "uart0");
    uint64_t base = uart ? device_base(uart, 0) : 0, value;
    BusSpace *space = machine_space(r->machine);
    size_t got = 0;
    while (uart && got < len && bus_read(space, base + LSR, 1, &value) == BUS_OK &&
           value & LSR_DATA_READY && bus_read(space, base + RBR, 1, &value) == BUS_OK)
        ((uint8_t *)buf)[got++] = (uint8_t)value;
    return got;
}

static void on_quit_key(void *opaque)
{
    ((Run *)opaque)->interrupted = true;
    quit(opaque, 0);
}

static gboolean on_signal(gpointer opaque)
{
    on_quit_key(opaque);
    return G_SOURCE_CONTINUE;
}

/* ---- RISC-V ---------------------------------------------------------------------------- */

static BusIrq cpu_line(void *opaque, unsigned cpu, MachineCpuLine line)
{
    static const struct {
        uint8_t mip;
        bool edge;
    } lines[MACHINE_CPU_LINES] = {
        [MACHINE_RISCV_MSOFT] = { 3, false }, [MACHINE_RISCV_MTIMER] = { 7, false },
        [MACHINE_RISCV_MEXT] = { 11, false }, [MACHINE_RISCV_SEXT] = { 9, false },
        [MACHINE_RISCV_SSWI] = { 1, true },
    };
    Run *r = opaque;
    return cpu_irq(cpu_group_cpu(r->cpus, cpu), lines[line].mip, lines[line].edge);
}

typedef struct {
    const GuestIsa *isa;
    uint64_t id, pc;
} PowerOn;

static void power_on(TranslateCpu *cpu, const void *arg)
{
    const PowerOn *p = arg;
    p->isa->reset(cpu, p->id, p->pc);
}

/* The CPUs at the entry that the board has prepared; the group is paused. */
static bool start_software(Run *r)
{
    if (r->sbi) {
        firmware_riscv_boot(r->sbi, r->entry.kernel_entry, r->entry.fdt_addr);
    } else {
        for (unsigned i = 0; i < cpu_group_count(r->cpus); i++) {
            PowerOn p = { r->isa, i, r->entry.reset_pc };
            cpu_on(cpu_group_cpu(r->cpus, i), power_on, &p, sizeof p);
        }
    }
    cpu_group_resume(r->cpus);
    return true;
}

static const char *cpu_prop(const Run *r, const char *name)
{
    return g_hash_table_lookup(r->cpu_props, name);
}

static uint32_t cpu_prop_u32(const Run *r, const char *name)
{
    const char *text = cpu_prop(r, name);
    return text ? (uint32_t)g_ascii_strtoull(text, NULL, 0) : 0;
}

/* ---- From options to a machine ----------------------------------------------------------- */

/* An ISA with just one board needs no -M, but under names that promise otherwise. */
static void choose_board(Run *r)
{
    g_autofree const MachineType **types = machine_types(r->isa->name);
    if (!r->options->type && !r->o->called_arch && types[0] && !types[1])
        r->options->type = types[0];
}

static bool parse_machine(Run *r, GError **error)
{
    const RunOptions *o = r->o;
    if (!(r->options = machine_options_new(r->isa->name, error)))
        return false;
    for (guint i = 0; i < o->machine->len; i++) {
        if (!machine_options_parse_machine(r->options, r->isa->name, o->machine->pdata[i], error))
            return false;
    }
    choose_board(r);
    for (guint i = 0; i < o->smp->len; i++) {
        if (!machine_options_parse_smp(r->options, o->smp->pdata[i], error))
            return false;
    }
    for (guint i = 0; i < o->memory->len; i++) {
        if (!machine_options_parse_memory(r->options, o->memory->pdata[i], error))
            return false;
    }
    if (!machine_options_check(r->options, error))
        return false;
    const char *accel = o->accel ? o->accel : r->options->accel;
    return !accel || cpu_accel_parse(&r->accel, accel, error);
}

static bool make_machine(Run *r, GError **error)
{
    g_autoptr(GString) props = g_string_new(NULL);
    r->cpus = cpu_group_new(r->isa, r->options->smp.cpus, r->o->cpu, &r->accel, error);
    if (!r->cpus)
        return false;
    r->isa->describe(cpu_state(cpu_group_cpu(r->cpus, 0)), props);
    r->cpu_props = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_auto(GStrv) lines = g_strsplit(props->str, "\n", -1);
    for (char **line = lines; *line; line++) {
        const char *equals = strchr(*line, '=');
        if (equals)
            g_hash_table_replace(r->cpu_props, g_strndup(*line, (gsize)(equals - *line)),
                                 g_strdup(equals + 1));
    }
    MachineCpus cpus = {
        .isa = cpu_prop(r, "riscv,isa"),
        .mmu_type = cpu_prop(r, "mmu-type"),
        .compatible = cpu_prop(r, "compatible"),
        .cbom_block_size = cpu_prop_u32(r, "riscv,cbom-block-size"),
        .cboz_block_size = cpu_prop_u32(r, "riscv,cboz-block-size"),
        .line = cpu_line,
        .opaque = r,
    };
    r->clock = bus_clock_new();
    r->machine = machine_new(r->options, &cpus, r->clock, error);
    return r->machine != NULL;
}

static bool dump_tree(Run *r, GError **error)
{
    const MachineBoot *boot = r->software.kernel ? &r->software.boot : NULL;
    g_autoptr(GBytes) tree = machine_fdt(r->machine, boot, error);
    return tree && g_file_set_contents(r->options->dumpdtb, g_bytes_get_data(tree, NULL),
                                       (gssize)g_bytes_get_size(tree), error);
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
    ChardevHost host = { .quit = on_quit_key, .notice = on_notice, .cancelled = on_cancelled,
                         .opaque = r };
    r->chardevs = chardev_table_new(&host);
    r->serials = g_ptr_array_new();
    machine_set_chardev_source(r->machine, chardev_of, r->chardevs);
    return chardevs_open(r->o, r->chardevs, r->machine, r->serials, error);
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
    for (guint i = 0; i < o->blockdev->len; i++) {
        if (!machine_add_blockdev(m, o->blockdev->pdata[i], error))
            return false;
    }
    for (guint i = 0; i < o->drive->len; i++) {
        if (!machine_add_drive(m, o->drive->pdata[i], o->snapshot, error))
            return false;
    }
    for (guint i = 0; i < o->object->len; i++) {
        if (!machine_add_object(m, o->object->pdata[i], error))
            return false;
    }
    if (!machine_add_pending(m, error))
        return false;
    for (guint i = 0; i < o->device->len; i++) {
        if (!machine_add_device(m, o->device->pdata[i], error))
            return false;
    }
    return true;
}

static bool check_software(const Run *r, GError **error)
{
    const MachineBoot *b = &r->software.boot;
    if (!b->kernel && !b->firmware)
        return fail_usage(error, "nothing to run: give -kernel or -bios (-help has examples)");
    if (b->append && strlen(b->append) >= RISCV_COMMAND_LINE_MAX) {
        g_autofree char *line = g_strdup_printf(
            "warning: -append has %zu bytes, Linux on RISC-V reads %d", strlen(b->append),
            RISCV_COMMAND_LINE_MAX - 1);
        r->warn(line);
    }
    return true;
}

static bool start(Run *r, GError **error)
{
    r->nets = net_table_new();
    if (!check_software(r, error) || !nets_open(r->o, r->nets, error) ||
        !open_chardevs(r, error) || !add_devices(r, error) ||
        !machine_start(r->machine, on_power, r, error))
        return false;
    BusSpace *space = machine_space(r->machine);
    bool builtin = r->software.boot.mode == MACHINE_FIRMWARE_BUILTIN;
    FirmwareRiscvEnv env = {
        .hart = &firmware_riscv_hart,
        .space = space,
        .console = r->serials->len ? r->serials->pdata[0] : NULL,
        .console_read = on_sbi_read,
        .reset = on_sbi_reset,
        .opaque = r,
    };
    if (!machine_boot(r->machine, &r->software.boot, &r->entry, error))
        return false;
    cpu_group_connect(r->cpus, space, r->clock, RISCV_TIMEBASE_HZ, NULL);
    if (builtin) {
        r->sbi = firmware_riscv_new(r->cpus, &env, error);
        if (!r->sbi)
            return false;
        cpu_group_set_hypercall(r->cpus, firmware_riscv_hypercall, r->sbi);
    }
    return cpu_group_start(r->cpus, error);
}

/* ---- Running and ending -------------------------------------------------------------------- */

static void run_loop(Run *r)
{
    bus_clock_start(r->clock);
    start_software(r);
    g_main_loop_run(r->loop);
    cpu_group_pause(r->cpus);
    bus_clock_stop(r->clock);
}

/* What the guest has written reaches a slow reader, unless the user does not want to wait. */
static bool flush_serials(Run *r, GError **error)
{
    for (guint i = 0; i < r->serials->len; i++) {
        for (;;) {
            g_autoptr(GError) e = NULL;
            if (chardev_flush(r->serials->pdata[i], FLUSH_SLICE_MS, &e))
                break;
            if (g_error_matches(e, base_error_quark(), BASE_ERROR_SYSTEM)) {
                g_propagate_error(error, g_steal_pointer(&e));
                return prefix(error, "serial port %u", i);
            }
            while (g_main_context_iteration(NULL, FALSE))
                ;
            if (r->interrupted)
                return true;
        }
    }
    return true;
}

static void run_clear(Run *r)
{
    cpu_group_end(r->cpus);
    firmware_riscv_free(r->sbi);
    machine_free(r->machine);
    cpu_group_free(r->cpus);
    bus_clock_free(r->clock);
    machine_options_free(r->options);
    g_clear_pointer(&r->cpu_props, g_hash_table_unref);
    g_clear_pointer(&r->serials, g_ptr_array_unref);
    chardev_table_free(r->chardevs);
    net_table_free(r->nets);
    software_clear(&r->software);
    g_main_loop_unref(r->loop);
    g_mutex_clear(&r->lock);
}

static bool run(Run *r, GError **error)
{
    uint32_t mask = 0;
    if (r->o->debug && (!log_parse(r->o->debug, &mask, error)))
        return prefix(error, "-d");
    if (r->o->log_file && !log_open(r->o->log_file, error))
        return prefix(error, "-D");
    log_set_mask(mask);
    if (!software_load(&r->software, r->o, error) ||
        !(r->isa = software_isa(&r->software, r->o, error)) || !parse_machine(r, error) ||
        !make_machine(r, error))
        return false;
    if (r->options->dumpdtb)
        return dump_tree(r, error);
    static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
    guint sources[G_N_ELEMENTS(signals)];
    for (size_t i = 0; i < G_N_ELEMENTS(signals); i++)
        sources[i] = g_unix_signal_add(signals[i], on_signal, r);
    bool ok = start(r, error);
    if (ok) {
        run_loop(r);
        if (r->error) {
            g_propagate_error(error, g_steal_pointer(&r->error));
            ok = false;
        }
        ok = ok && flush_serials(r, error);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(signals); i++)
        g_source_remove(sources[i]);
    if (!ok && r->interrupted) { /* while it waited for somebody to connect */
        g_clear_error(error);
        return true;
    }
    return ok;
}

bool run_machine(const RunOptions *o, void (*warn)(const char *line), int *status, GError **error)
{
    Run r = { .o = o, .warn = warn };
    if (print_lists(&r))
        return fflush(stdout) ? fail(error, "cannot write to standard output") : true;
    g_mutex_init(&r.lock);
    r.loop = g_main_loop_new(NULL, FALSE);
    bool ok = run(&r, error);
    *status = r.status;
    run_clear(&r);
    return ok;
}
