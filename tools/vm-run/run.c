/* SPDX-License-Identifier: MIT */
/*
 * One machine from options to exit status: made, started, ended. What happens to it in between is
 * in state.c. All of this is the main thread.
 */
#include "run_priv.h"
#include "qtest.h"
#include "monitor.h"
#include "process.h"

#include "base/error.h"
#include "base/log.h"

#include <glib-unix.h>
#include <stdio.h>

#define FLUSH_SLICE_MS 200

typedef struct {
    Run *r;
    int signal;
    guint source;
} Signal;

static gboolean on_signal(gpointer opaque)
{
    const Signal *s = opaque;
    s->r->signal = s->signal;
    run_interrupt(s->r);
    return G_SOURCE_CONTINUE;
}

static gboolean on_timeout(gpointer opaque)
{
    Run *r = opaque;
    r->timed_out = true;
    r->status = EXEC_TIMEOUT;
    g_main_loop_quit(r->loop);
    return G_SOURCE_REMOVE;
}

/* Seconds, with a fraction. */
static bool start_timeout(Run *r, GError **error)
{
    if (!r->o->timeout)
        return true;
    char *end;
    double seconds = g_ascii_strtod(r->o->timeout, &end);
    if (end == r->o->timeout || *end || !(seconds > 0) || seconds > 1e6)
        return fail_usage(error, "--timeout=%s: expected a number of seconds", r->o->timeout);
    g_timeout_add((guint)(seconds * 1000), on_timeout, r);
    return true;
}

/* What the exit status says with --exec: how the command ended, or why nobody knows. */
static void exec_status(Run *r)
{
    g_autoptr(GError) error = NULL;
    Chardev *console = !r->o->serial->len && r->serials->len ? r->serials->pdata[0] : NULL;
    if (exec_result(r->exec, console, &r->status, &error))
        return;
    if (!r->interrupted)
        r->warn(r->timed_out ? "the time of --timeout is over" : error->message);
    r->status = r->timed_out ? EXEC_TIMEOUT : r->interrupted ? 128 + r->signal : EXEC_FAILED;
}

/* ---- Running and ending -------------------------------------------------------------------- */

static void run_loop(Run *r)
{
    monitors_start(r);
    state_begin(r);
    hint_start(r);
    if (!r->interrupted)
        g_main_loop_run(r->loop);
    cpus_pause(r);
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
    qtest_server_stop(r->qtest);
    monitors_stop(r);
    cpu_group_end(r->cpus);
    firmware_riscv_free(r->sbi);
    machine_free(r->machine);
    cpu_group_free(r->cpus);
    qtest_server_free(r->qtest);
    bus_clock_free(r->clock);
    machine_options_free(r->options);
    settings_clear(&r->settings);
    g_clear_pointer(&r->cpu_props, g_hash_table_unref);
    g_clear_pointer(&r->serials, g_ptr_array_unref);
    chardev_table_free(r->chardevs);
    g_clear_pointer(&r->shares, g_ptr_array_unref);
    net_table_free(r->nets);
    exec_free(r->exec);
    software_clear(&r->software);
    g_main_loop_unref(r->loop);
    g_free(r->io_error);
    g_mutex_clear(&r->lock);
}

static bool run(Run *r, Process *process, GError **error)
{
    uint32_t mask = 0;
    if (r->o->debug && (!log_parse(r->o->debug, &mask, error)))
        return prefix(error, "-d");
    if (r->o->log_file && !log_open(r->o->log_file, error))
        return prefix(error, "-D");
    log_set_mask(mask);
    if (!setup_machine(r, error))
        return false;
    if (r->options->dumpdtb)
        return setup_dump_tree(r, error);
    Signal signals[] = { { r, SIGINT, 0 }, { r, SIGTERM, 0 }, { r, SIGHUP, 0 } };
    for (size_t i = 0; i < G_N_ELEMENTS(signals); i++)
        signals[i].source = g_unix_signal_add(signals[i].signal, on_signal, &signals[i]);
    bool ok = start_timeout(r, error) && setup_start(r, error) && process_ready(process, error);
    if (ok) {
        run_loop(r);
        if (r->error) {
            g_propagate_error(error, g_steal_pointer(&r->error));
            ok = false;
        }
        ok = ok && flush_serials(r, error);
        if (ok && r->exec)
            exec_status(r);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(signals); i++)
        g_source_remove(signals[i].source);
    if (!ok && r->interrupted) { /* while it waited for somebody to connect */
        g_clear_error(error);
        return true;
    }
    return ok;
}

/* In the process that runs it, with options that make sense. */
static bool run_here(Run *r, Process *process, int *status, GError **error)
{
    bool parent;
    if (!process_detach(process, &parent, status, error))
        return false;
    if (parent)
        return true;
    bool ok = run(r, process, error);
    *status = r->status;
    return ok;
}

bool run_machine(const RunOptions *o, void (*warn)(const char *line), int *status, GError **error)
{
    Run r = { .o = o, .warn = warn };
    if (run_print_lists(&r))
        return fflush(stdout) ? fail(error, "cannot write to standard output") : true;
    g_mutex_init(&r.lock);
    r.loop = g_main_loop_new(NULL, FALSE);
    Process *process = settings_parse(&r.settings, o, error)
                           ? process_new(o, &r.settings, error) : NULL;
    bool ok = process && run_here(&r, process, status, error);
    run_clear(&r);
    process_free(process);
    return ok;
}
