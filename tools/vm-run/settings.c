/* SPDX-License-Identifier: MIT */
/* The small options that a machine and its process are run by; see settings.h. */
#include "settings.h"

#include "base/error.h"
#include "base/option.h"

#include <string.h>
#include <time.h>

#define NS_PER_S INT64_C(1000000000)

static bool parse_action(Settings *s, const char *text, GError **error)
{
    static const char *const reboots[] = { "reset", "shutdown", NULL };
    static const char *const shutdowns[] = { "poweroff", "pause", NULL };
    static const char *const panics[] = { "shutdown", "pause", "exit-failure", "none", NULL };
    static const char *const watchdogs[] = { "reset", "shutdown", "poweroff", "inject-nmi", "pause",
                                             "debug", "none", NULL };
    g_autoptr(Options) o = options_parse(text, NULL, error);
    int reboot = s->reboot_ends, down = s->shutdown_pauses, panic = s->panic, watchdog = 0;
    /* no board has a watchdog yet, so what it would do is only checked */
    if (!o || !options_get_enum(o, "reboot", reboots, &reboot, error) ||
        !options_get_enum(o, "shutdown", shutdowns, &down, error) ||
        !options_get_enum(o, "panic", panics, &panic, error) ||
        !options_get_enum(o, "watchdog", watchdogs, &watchdog, error) || !options_done(o, error))
        return prefix(error, "-action %s", text);
    s->reboot_ends = reboot;
    s->shutdown_pauses = down;
    s->panic = (PanicAction)panic;
    return true;
}

/* ---- -rtc ------------------------------------------------------------------------ */

/* Seconds that local time is ahead of UTC now. */
static int64_t local_ahead(void)
{
    g_autoptr(GDateTime) now = g_date_time_new_now_local();
    return now ? g_date_time_get_utc_offset(now) / G_USEC_PER_SEC : 0;
}

/* "2026-11-22T10:00:00" or "2026-11-22", UTC, as nanoseconds before or behind now. */
static bool parse_base(const char *text, int64_t *ahead, GError **error)
{
    g_autofree char *full = strchr(text, 'T') ? g_strdup(text)
                                              : g_strconcat(text, "T00:00:00", NULL);
    g_autoptr(GTimeZone) utc = g_time_zone_new_utc();
    g_autoptr(GDateTime) at = g_date_time_new_from_iso8601(full, utc);
    struct timespec now;
    if (!at)
        return fail_usage(error, "base=%s: utc, localtime or a date such as 2026-11-22T10:00:00",
                          text);
    clock_gettime(CLOCK_REALTIME, &now);
    *ahead = (g_date_time_to_unix(at) - now.tv_sec) * NS_PER_S - now.tv_nsec;
    return true;
}

static bool parse_rtc(Settings *s, const char *text, GError **error)
{
    static const char *const clocks[] = { "host", "rt", "vm", NULL };
    static const char *const drifts[] = { "none", "slew", NULL };
    g_autoptr(Options) o = options_parse(text, "base", error);
    int clock = 0, drift = 0;
    if (!o || !options_get_enum(o, "clock", clocks, &clock, error) ||
        !options_get_enum(o, "driftfix", drifts, &drift, error))
        return false;
    const char *base = options_get(o, "base");
    if (drift)
        return fail_usage(error, "driftfix=slew: no clock of this board needs it");
    if (base && !strcmp(base, "localtime"))
        s->rtc_ahead = local_ahead() * NS_PER_S;
    else if (base && strcmp(base, "utc") && !parse_base(base, &s->rtc_ahead, error))
        return false;
    s->rtc_follows = clock == 2;
    return options_done(o, error);
}

/* ---- The rest ----------------------------------------------------------------------- */

static bool parse_uuid(Settings *s, const char *text, GError **error)
{
    if (!g_uuid_string_is_valid(text))
        return fail_usage(error, "-uuid %s: it looks like 550e8400-e29b-41d4-a716-446655440000",
                          text);
    s->uuid = g_ascii_strdown(text, -1);
    return true;
}

/* Firmware that a board may have looks at it, not the board. */
static bool parse_boot(const char *text, GError **error)
{
    g_autoptr(Options) o = options_parse(text, "order", error);
    bool flag;
    uint64_t ms;
    if (!o)
        return prefix(error, "-boot %s", text);
    for (int i = 0; i < 2; i++) {
        const char *key = i ? "once" : "order", *letters = options_get(o, key);
        const char *bad = letters ? letters + strspn(letters, "abcdefghijklmnop") : "";
        if (*bad) {
            fail_usage(error, "%s=%s: '%c' is no drive (a to p)", key, letters, *bad);
            return prefix(error, "-boot %s", text);
        }
    }
    options_get(o, "splash");
    return (options_get_bool(o, "menu", &flag, error) &&
            options_get_bool(o, "strict", &flag, error) &&
            options_get_number(o, "splash-time", 0, 0xffff, &ms, error) &&
            options_get_number(o, "reboot-timeout", 0, 0xffff, &ms, error) &&
            options_done(o, error)) || prefix(error, "-boot %s", text);
}

static bool parse_name(Settings *s, const char *text, GError **error)
{
    g_autoptr(Options) o = options_parse(text, "guest", error);
    bool threads; /* they have names anyway */
    if (!o || !options_get_bool(o, "debug-threads", &threads, error))
        return prefix(error, "-name %s", text);
    s->name = g_strdup(options_get(o, "guest"));
    s->process_name = g_strdup(options_get(o, "process"));
    return options_done(o, error) || prefix(error, "-name %s", text);
}

bool settings_timestamps(const RunOptions *o, bool *timestamps, GError **error)
{
    *timestamps = false;
    if (!o->msg)
        return true;
    g_autoptr(Options) words = options_parse(o->msg, NULL, error);
    return (words && options_get_bool(words, "timestamp", timestamps, error) &&
            options_done(words, error)) || prefix(error, "-msg %s", o->msg);
}

bool settings_parse(Settings *s, const RunOptions *o, GError **error)
{
    *s = (Settings){ .reboot_ends = o->no_reboot || o->exec, .shutdown_pauses = o->no_shutdown };
    for (guint i = 0; i < o->action->len; i++) {
        if (!parse_action(s, o->action->pdata[i], error))
            return false;
    }
    for (guint i = 0; i < o->boot->len; i++) {
        if (!parse_boot(o->boot->pdata[i], error))
            return false;
    }
    if ((o->rtc && !parse_rtc(s, o->rtc, error)))
        return prefix(error, "-rtc %s", o->rtc);
    if ((o->uuid && !parse_uuid(s, o->uuid, error)) || (o->name && !parse_name(s, o->name, error)))
        return false;
    if (!s->uuid)
        s->uuid = g_strdup("00000000-0000-0000-0000-000000000000");
    return true;
}

void settings_clear(Settings *s)
{
    g_clear_pointer(&s->name, g_free);
    g_clear_pointer(&s->process_name, g_free);
    g_clear_pointer(&s->uuid, g_free);
}
