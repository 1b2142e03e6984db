/* SPDX-License-Identifier: MIT */
/* Bytes of a monitor's user: what answers is text, and lines stay within their bound. */
#include "monitor/monitor.h"

#include "base/error.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool run(void *ctx, const MonitorArgs *args, GString *out, GError **error)
{
    const char *text = monitor_arg(args, "id");
    g_assert_cmpuint(text ? strlen(text) : 0, <=, MONITOR_LINE_MAX);
    g_string_append_printf(out, "%s\n", text ? text : "");
    return !monitor_arg_flag(args, "-f") || fail(error, "as asked");
}

static const MonitorCommand table[] = {
    { "x", NULL, "/fmt addr:expr", "memory", run },
    { "set", "s", "-f [id] value", "words", run },
    { "save", NULL, "addr:expr size:size [id...]", "rest", run },
    { "info one", NULL, NULL, "one", run },
    { "info other", NULL, "[id]", "other", run },
    { 0 },
};

static void seen(void *opaque, const char *text, size_t len)
{
    g_assert_true(len > 0);
    *(size_t *)opaque += len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(Monitor) m = monitor_new("Lathe", "1");
    size_t total = 0;
    monitor_add(m, table, NULL);
    g_autoptr(MonitorSession) s = monitor_session_new(m, seen, &total);
    monitor_session_open(s);
    size_t half = size / 2;
    monitor_session_input(s, data, half);
    monitor_session_resume(s);
    monitor_session_input(s, data + half, size - half);
    monitor_session_open(s);
    return 0;
}
