/* SPDX-License-Identifier: MIT */
/*
 * The states of a machine, and all that moves it from one to another:
 *
 *   prelaunch --cont--> running --stop--> paused --cont--> running
 *   running --the guest powers off, with shutdown=pause--> shutdown
 *   running --the guest fails, with panic=pause--> guest-panicked
 *   running --a disk fails, with werror=stop, enospc or rerror=stop--> io-error --cont--> running
 *   shutdown, guest-panicked --system_reset--> paused
 *
 * system_reset leaves the other states as they are. While it is not running, the CPUs are
 * paused, the clock stands and the disks are flushed.
 *
 * All of it is the main thread, but run_power: it notes what the guest wants and leaves the rest to
 * an idle call.
 */
#include "run_priv.h"

#include "base/error.h"

enum { POWER_OFF_SECONDS = 10 };

static void quit(Run *r, int status)
{
    r->status = status;
    g_main_loop_quit(r->loop);
}

const char *state_text(const Run *r)
{
    static const char *const texts[] = {
        [STATE_PRELAUNCH] = "paused (prelaunch)", [STATE_RUNNING] = "running",
        [STATE_PAUSED] = "paused", [STATE_SHUTDOWN] = "paused (shutdown)",
        [STATE_PANICKED] = "paused (guest-panicked)",
        [STATE_IO_ERROR] = "paused (io-error)",
    };
    return texts[r->state];
}

static void go(Run *r)
{
    r->state = STATE_RUNNING;
    bus_clock_start(r->clock);
    if (r->launched) {
        cpus_resume(r);
        return;
    }
    r->launched = true;
    cpus_start(r);
}

static void halt(Run *r, RunState state)
{
    cpus_pause(r);
    bus_clock_stop(r->clock);
    r->state = state;
    int ret = block_flush_all(machine_block(r->machine));
    if (ret < 0) {
        g_autofree char *line = g_strdup_printf("warning: disks could not be flushed: %s",
                                                g_strerror(-ret));
        r->warn(line);
    }
}

void state_begin(Run *r)
{
    if (!r->o->stopped)
        go(r);
}

bool state_cont(Run *r, GError **error)
{
    if (r->state == STATE_SHUTDOWN || r->state == STATE_PANICKED)
        return fail(error, "the guest has ended; system_reset comes first");
    bool again = r->state == STATE_IO_ERROR;
    if (r->state != STATE_RUNNING)
        go(r);
    if (again)
        machine_retry(r->machine);
    return true;
}

void state_stop(Run *r)
{
    if (r->state == STATE_RUNNING)
        halt(r, STATE_PAUSED);
}

/* ---- Disks that fail ---------------------------------------------------------------- */

static gboolean on_io_error(gpointer opaque)
{
    Run *r = opaque;
    g_mutex_lock(&r->lock);
    g_autofree char *line = g_steal_pointer(&r->io_error);
    g_mutex_unlock(&r->lock);
    if (!line)
        return G_SOURCE_REMOVE;
    r->warn(line);
    if (r->state == STATE_RUNNING)
        halt(r, STATE_IO_ERROR);
    else
        cpus_pause(r);
    if (r->state == STATE_PAUSED) /* stopped just before: the same, but for how to go on */
        r->state = STATE_IO_ERROR;
    return G_SOURCE_REMOVE;
}

void run_io_error(void *opaque, Device *dev, bool write, int error)
{
    Run *r = opaque;
    g_mutex_lock(&r->lock);
    bool first = !r->io_error;
    if (first)
        r->io_error = g_strdup_printf("warning: %s: %s failed: %s; the machine is stopped until the "
                                      "monitor's cont, which tries again",
                                      dev->id, write ? "a write" : "a read", g_strerror(error));
    g_mutex_unlock(&r->lock);
    if (first) {
        if (!r->accel.none)
            cpu_group_halt(r->cpus);
        g_idle_add_full(G_PRIORITY_DEFAULT, on_io_error, r, NULL);
    }
}

bool state_reset(Run *r, GError **error)
{
    cpus_pause(r);
    if (!r->accel.none)
        cpu_group_all_off(r->cpus);
    g_mutex_lock(&r->lock);
    r->wished = false;
    g_mutex_unlock(&r->lock);
    r->launched = false;
    if (!machine_reset(r->machine, &r->entry, error))
        return prefix(error, "reboot");
    if (r->state == STATE_RUNNING)
        go(r);
    else if (r->state != STATE_PRELAUNCH)
        r->state = STATE_PAUSED;
    return true;
}

/* ---- What the guest asks for ------------------------------------------------------- */

static void guest_off(Run *r)
{
    if (r->settings.shutdown_pauses)
        halt(r, STATE_SHUTDOWN);
    else
        quit(r, 0);
}

/* The guest says that it cannot go on. */
static void guest_failed(Run *r, uint32_t code)
{
    switch (r->settings.panic) {
    case PANIC_PAUSE:
        halt(r, STATE_PANICKED);
        break;
    case PANIC_NONE:
        if (r->state == STATE_RUNNING)
            cpus_resume(r);
        break;
    default:
        quit(r, code & 0xff ? (int)(code & 0xff) : 1); /* an exit status has 8 bits */
    }
}

static gboolean on_wish(gpointer opaque)
{
    Run *r = opaque;
    g_mutex_lock(&r->lock);
    bool wished = r->wished;
    DevicePower wish = r->wish;
    uint32_t code = r->code;
    r->wished = false;
    g_mutex_unlock(&r->lock);
    if (!wished)
        return G_SOURCE_REMOVE;
    cpus_pause(r);
    if (wish == DEVICE_POWER_FAIL)
        guest_failed(r, code);
    else if (wish == DEVICE_POWER_OFF || r->settings.reboot_ends)
        guest_off(r);
    else if (!state_reset(r, &r->error))
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

static gboolean on_overdue(gpointer opaque)
{
    quit(opaque, 0);
    return G_SOURCE_REMOVE;
}

void run_exec_ended(void *opaque)
{
    g_timeout_add_seconds(POWER_OFF_SECONDS, on_overdue, opaque);
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
