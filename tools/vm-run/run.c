/* SPDX-License-Identifier: MIT */
/*
 * One machine from options to exit status: made, started, rebooted when the guest asks, ended.
 *
 * Threads: all of this is the main thread, but for run_power: it notes what the guest wants and
 * leaves the rest to an idle call.
 */
#include "run_priv.h"
#include "qtest.h"

#include "base/error.h"
#include "base/log.h"

#include <glib-unix.h>
#include <stdio.h>

#define FLUSH_SLICE_MS 200

/* ---- What the guest asks for ------------------------------------------------------- */

static void quit(Run *r, int status)
{
    r->status = status;
    g_main_loop_quit(r->loop);
}

static bool reboot(Run *r, GError **error)
{
    if (!r->accel.none) {
        cpu_group_pause(r->cpus);
        cpu_group_all_off(r->cpus);
    }
    g_mutex_lock(&r->lock);
    r->wished = false;
    g_mutex_unlock(&r->lock);
    if (!machine_reset(r->machine, &r->entry, error))
        return prefix(error, "reboot");
    cpus_start(r);
    return true;
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

void run_power(void *opaque, DevicePower what, uint32_t code)
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
        if (!r->accel.none)
            cpu_group_halt(r->cpus);
        g_idle_add_full(G_PRIORITY_DEFAULT, on_wish, r, NULL);
    }
}

void run_end(Run *r)
{
    quit(r, 0);
}

void run_interrupt(void *opaque)
{
    ((Run *)opaque)->interrupted = true;
    quit(opaque, 0);
}

static gboolean on_signal(gpointer opaque)
{
    run_interrupt(opaque);
    return G_SOURCE_CONTINUE;
}

/* ---- Running and ending -------------------------------------------------------------------- */

static void run_loop(Run *r)
{
    bus_clock_start(r->clock);
    cpus_start(r);
    g_main_loop_run(r->loop);
    if (!r->accel.none)
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
    qtest_server_stop(r->qtest);
    cpu_group_end(r->cpus);
    firmware_riscv_free(r->sbi);
    machine_free(r->machine);
    cpu_group_free(r->cpus);
    qtest_server_free(r->qtest);
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
    if (!setup_machine(r, error))
        return false;
    if (r->options->dumpdtb)
        return setup_dump_tree(r, error);
    static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
    guint sources[G_N_ELEMENTS(signals)];
    for (size_t i = 0; i < G_N_ELEMENTS(signals); i++)
        sources[i] = g_unix_signal_add(signals[i], on_signal, r);
    bool ok = setup_start(r, error);
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
    if (run_print_lists(&r))
        return fflush(stdout) ? fail(error, "cannot write to standard output") : true;
    g_mutex_init(&r.lock);
    r.loop = g_main_loop_new(NULL, FALSE);
    bool ok = run(&r, error);
    *status = r.status;
    run_clear(&r);
    return ok;
}
