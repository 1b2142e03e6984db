/* SPDX-License-Identifier: MIT */
/*
 * The machine's monitors: sessions of lib/monitor on character back ends, the tables joined, and
 * the commands that are about the run itself. Each seat is at one back end, with its own session.
 */
#include "monitor.h"

#include "base/error.h"
#include "base/log.h"
#include "base/option.h"
#include "block/monitor.h"
#include "cpu/monitor.h"
#include "machines/monitor.h"
#include "monitor/monitor.h"

#include <string.h>

#define TAKE_MAX 256 /* bytes of input at a time */

typedef struct {
    Chardev *c; /* borrowed from the table */
    MonitorSession *session; /* NULL until monitors_start */
    bool greeted;
} Seat;

struct RunMonitor {
    Monitor *monitor;
    CpuMonitor cpus;
};

/* ---- Commands about the run ------------------------------------------------------ */

static bool run_status(void *ctx, const MonitorArgs *args, GString *out, GError **error)
{
    g_string_append_printf(out, "VM status: %s\n", state_text(ctx));
    return true;
}

static bool run_name(void *ctx, const MonitorArgs *args, GString *out, GError **error)
{
    const Run *r = ctx;
    if (r->settings.name)
        g_string_append_printf(out, "%s\n", r->settings.name);
    return true;
}

static bool run_uuid(void *ctx, const MonitorArgs *args, GString *out, GError **error)
{
    g_string_append_printf(out, "%s\n", ((const Run *)ctx)->settings.uuid);
    return true;
}

static bool run_version(void *ctx, const MonitorArgs *args, GString *out, GError **error)
{
    g_string_append(out, LATHE_VERSION " (Lathe)\n");
    return true;
}

static bool run_stop(void *ctx, const MonitorArgs *args, GString *out, GError **error)
{
    state_stop(ctx);
    return true;
}

static bool run_cont(void *ctx, const MonitorArgs *args, GString *out, GError **error)
{
    return state_cont(ctx, error);
}

static bool run_reset(void *ctx, const MonitorArgs *args, GString *out, GError **error)
{
    return state_reset(ctx, error);
}

static bool run_quit(void *ctx, const MonitorArgs *args, GString *out, GError **error)
{
    run_interrupt(ctx);
    return true;
}

static bool run_log(void *ctx, const MonitorArgs *args, GString *out, GError **error)
{
    uint32_t mask;
    if (!log_parse(monitor_arg(args, "items"), &mask, error))
        return false;
    log_set_mask(mask);
    return true;
}

static bool run_logfile(void *ctx, const MonitorArgs *args, GString *out, GError **error)
{
    Run *r = ctx;
    /* CPUs write to the log that is to be closed */
    bool held = !cpu_group_is_paused(r->cpus);
    if (held)
        cpu_group_pause(r->cpus);
    bool ok = log_open(monitor_arg(args, "file"), error);
    if (held)
        cpu_group_resume(r->cpus);
    return ok;
}

static const MonitorCommand run_commands[] = {
    { "info status", NULL, NULL, "whether the machine runs", run_status },
    { "info name", NULL, NULL, "the name that -name gave", run_name },
    { "info uuid", NULL, NULL, "the UUID that -uuid gave", run_uuid },
    { "info version", NULL, NULL, "the version of this program", run_version },
    { "stop", "s", NULL, "stops the CPUs and the clock", run_stop },
    { "cont", "c", NULL, "goes on", run_cont },
    { "system_reset", NULL, NULL, "resets the machine", run_reset },
    { "quit", "q", NULL, "ends the program; the guest is not asked", run_quit },
    { "log", NULL, "items", "logs these categories, as -d (none: nothing)", run_log },
    { "logfile", NULL, "file", "logs to another file", run_logfile },
    { 0 },
};

/* ---- Seats -------------------------------------------------------------------------- */

static void seat_free(gpointer opaque)
{
    Seat *seat = opaque;
    if (seat->session)
        chardev_set_handlers(seat->c, NULL, NULL, NULL, NULL);
    monitor_session_free(seat->session);
    g_free(seat);
}

void monitors_take(void *opaque, Chardev *port)
{
    Run *r = opaque;
    Seat *seat = g_new0(Seat, 1);
    seat->c = port;
    if (!r->seats)
        r->seats = g_ptr_array_new_with_free_func(seat_free);
    g_ptr_array_add(r->seats, seat);
}

static void on_answer(void *opaque, const char *text, size_t len)
{
    chardev_write(((Seat *)opaque)->c, text, len);
}

static size_t on_can_receive(void *opaque)
{
    return TAKE_MAX;
}

static void on_receive(void *opaque, const uint8_t *buf, size_t len)
{
    monitor_session_input(((Seat *)opaque)->session, buf, len);
}

static void greet(Seat *seat)
{
    seat->greeted = true;
    monitor_session_open(seat->session);
}

/* One that shares its back end says nothing until it gets the input. */
static void on_event(void *opaque, ChardevEvent event)
{
    Seat *seat = opaque;
    if (event == CHARDEV_EVENT_OPENED && chardev_has_focus(seat->c))
        greet(seat);
    else if (event == CHARDEV_EVENT_FOCUS_IN && !seat->greeted)
        greet(seat);
    else if (event == CHARDEV_EVENT_FOCUS_IN)
        monitor_session_resume(seat->session);
}

/* ---- Options ------------------------------------------------------------------------------ */

bool monitors_want_terminal(const Run *r)
{
    return r->o->serial->len || (!r->o->monitor->len && !r->o->mon->len);
}

static bool open_one(Run *r, const char *spec, unsigned n, GError **error)
{
    if (!strcmp(spec, "none") || !strcmp(spec, "null"))
        return true;
    g_autofree char *label = g_strdup_printf("compat_monitor%u", n);
    Chardev *c = chardev_table_open(r->chardevs, label, spec, error);
    if (!c)
        return prefix(error, "-monitor");
    monitors_take(r, c);
    return true;
}

static bool open_mon(Run *r, const char *text, GError **error)
{
    static const char *const modes[] = { "readline", "control", NULL };
    g_autoptr(Options) o = options_parse(text, "chardev", error);
    int mode = 0;
    bool pretty = false;
    if (!o || !options_get_enum(o, "mode", modes, &mode, error))
        return false;
    if (mode == 1)
        return fail_usage(error, "mode=control: QMP is not there yet; mode=readline is");
    if (options_has(o, "pretty") &&
        (!options_get_bool(o, "pretty", &pretty, error) ||
         !fail_usage(error, "pretty= is only for mode=control")))
        return false;
    options_get(o, "id");
    const char *id = options_need(o, "chardev", error);
    if (!id || !options_done(o, error))
        return false;
    Chardev *c = chardev_table_get(r->chardevs, id, error);
    if (c)
        monitors_take(r, c);
    return c != NULL;
}

bool monitors_open(Run *r, GError **error)
{
    for (guint i = 0; i < r->o->monitor->len; i++) {
        if (!open_one(r, r->o->monitor->pdata[i], i, error))
            return false;
    }
    for (guint i = 0; i < r->o->mon->len; i++) {
        if (!open_mon(r, r->o->mon->pdata[i], error))
            return prefix(error, "-mon %s", (char *)r->o->mon->pdata[i]);
    }
    return true;
}

void monitors_start(Run *r)
{
    if (!r->seats)
        return;
    RunMonitor *rm = r->monitor = g_new0(RunMonitor, 1);
    Monitor *m = rm->monitor = monitor_new("Lathe", LATHE_VERSION);
    rm->cpus = (CpuMonitor){ r->cpus, machine_space(r->machine), 0 };
    monitor_add(m, run_commands, r);
    monitor_add(m, cpu_commands, &rm->cpus);
    monitor_add(m, block_commands, machine_block(r->machine));
    monitor_add(m, machine_commands, r->machine);
    monitor_add(m, machine_chardev_commands, r->chardevs);
    monitor_add(m, machine_net_commands, r->nets);
    monitor_set_variables(m, cpu_monitor_register, &rm->cpus);
    for (guint i = 0; i < r->seats->len; i++) {
        Seat *seat = r->seats->pdata[i];
        seat->session = monitor_session_new(m, on_answer, seat);
        chardev_set_handlers(seat->c, on_can_receive, on_receive, on_event, seat);
    }
}

void monitors_stop(Run *r)
{
    g_clear_pointer(&r->seats, g_ptr_array_unref);
    if (r->monitor)
        monitor_free(r->monitor->monitor);
    g_clear_pointer(&r->monitor, g_free);
}
