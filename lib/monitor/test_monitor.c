/* SPDX-License-Identifier: MIT */
/* Commands, arguments, expressions and sessions, against small tables made here. */
#include "monitor/monitor.h"

#include "base/error.h"

#include <string.h>

static bool run_echo(void *ctx, const MonitorArgs *args, GString *out, GError **error)
{
    const char *id = monitor_arg(args, "id"), *rest = monitor_arg(args, "rest");
    g_string_append_printf(out, "%s id=%s addr=%" G_GUINT64_FORMAT " size=%" G_GUINT64_FORMAT
                           " fmt=%s a=%d rest=%s\n", (char *)ctx, id ? id : "-",
                           monitor_arg_number(args, "addr", 7), monitor_arg_number(args, "size", 8),
                           monitor_arg(args, "fmt") ? monitor_arg(args, "fmt") : "-",
                           monitor_arg_flag(args, "-a"), rest ? rest : "-");
    return true;
}

static bool run_fail(void *ctx, const MonitorArgs *args, GString *out, GError **error)
{
    g_string_append(out, "half\n");
    return fail(error, "it broke");
}

static const MonitorCommand table[] = {
    { "stop", NULL, NULL, "stops", run_echo },
    { "step", NULL, NULL, "steps", run_fail },
    { "cont", "c", NULL, "goes on", run_echo },
    { "x", NULL, "/fmt addr:expr", "memory", run_echo },
    { "fwd", NULL, "[id] rest", "two words", run_echo },
    { "save", NULL, "addr:expr size:size id", "three", run_echo },
    { "log", NULL, "-a [rest...]", "the rest", run_echo },
    { "info registers", NULL, "-a", "registers", run_echo },
    { "info status", NULL, NULL, "status", run_echo },
    { "info roms", NULL, NULL, "roms", run_echo },
    { 0 },
};

static bool lookup(void *opaque, const char *name, uint64_t *value)
{
    *value = 0x1000;
    return !strcmp(name, "pc");
}

static Monitor *monitor(void)
{
    Monitor *m = monitor_new("Lathe", "1.0");
    monitor_add(m, table, (void *)"T");
    monitor_set_variables(m, lookup, NULL);
    return m;
}

/* What a line says; an error as "!message". */
static char *says(const char *line)
{
    g_autoptr(Monitor) m = monitor();
    g_autoptr(GString) out = g_string_new(NULL);
    g_autoptr(GError) error = NULL;
    if (!monitor_line(m, line, out, &error))
        g_string_append_printf(out, "!%s", error->message);
    return g_string_free(g_steal_pointer(&out), FALSE);
}

#define SAYS(line, text) \
    do { \
        g_autofree char *said = says(line); \
        g_assert_cmpstr(said, ==, text); \
    } while (0)
#define CONTAINS(line, text) \
    do { \
        g_autofree char *said = says(line); \
        if (!strstr(said, text)) \
            g_error("'%s' gives: %s", line, said); \
    } while (0)

static void test_names(void)
{
    SAYS("", "");
    SAYS("  # remark", "");
    CONTAINS("c", "T id=-");
    CONTAINS("co", "T id=-");
    CONTAINS("st", "!'st' could be step, stop");
    CONTAINS("sto", "T id=-");
    CONTAINS("stopp", "did you mean 'stop'?");
    CONTAINS("info s", "T id=-");
    CONTAINS("inf s", "T id=-");
    CONTAINS("info r", "'info r' could be registers, roms");
    CONTAINS("info statsu", "did you mean 'info status'?");
    CONTAINS("info", "info roms -- roms\n");
    CONTAINS("frobnicate", "!unknown command: 'frobnicate'");
    SAYS("step", "half\n!it broke");
}

static void test_help(void)
{
    CONTAINS("help", "cont|c -- goes on\n");
    CONTAINS("help", "info [subcommand] -- ");
    CONTAINS("?", "x/fmt addr -- memory\n");
    SAYS("help fwd", "fwd [id] rest -- two words\n");
    SAYS("help info st", "info status -- status\n");
    CONTAINS("help info", "info registers [-a] -- registers\n");
    CONTAINS("help nosuch", "!unknown command");
}

static void test_args(void)
{
    SAYS("x/4xw 0x10", "T id=- addr=16 size=8 fmt=4xw a=0 rest=-\n");
    SAYS("x $pc + 4*2", "T id=- addr=4104 size=8 fmt=- a=0 rest=-\n");
    CONTAINS("x", "!x: 'addr' is missing (x/fmt addr)");
    CONTAINS("x 1 2", "'2' is too much");
    CONTAINS("x 1)", "!x: addr: ')' makes no sense there");
    CONTAINS("x $sp", "no register '$sp'");
    CONTAINS("stop/2", "it takes no '/'");
    SAYS("fwd one", "T id=- addr=7 size=8 fmt=- a=0 rest=one\n");
    SAYS("fwd \"a b\" two", "T id=a b addr=7 size=8 fmt=- a=0 rest=two\n");
    CONTAINS("fwd \"a b", "is missing at the end");
    SAYS("save 8 + 8 4k f", "T id=f addr=16 size=4096 fmt=- a=0 rest=-\n");
    SAYS("save 8 4k /tmp/x", "T id=/tmp/x addr=8 size=4096 fmt=- a=0 rest=-\n");
    SAYS("save 8-2 4k -f", "T id=-f addr=6 size=4096 fmt=- a=0 rest=-\n");
    SAYS("x 8 -2", "T id=- addr=6 size=8 fmt=- a=0 rest=-\n");
    CONTAINS("save 8 x f", "!save: size: ");
    SAYS("log -a x  y ", "T id=- addr=7 size=8 fmt=- a=1 rest=x  y \n");
    SAYS("info reg -a", "T id=- addr=7 size=8 fmt=- a=1 rest=-\n");
    CONTAINS("info reg -b", "there is no flag '-b'");
}

static void test_expressions(void)
{
    SAYS("p 1+2*3", "7\n");
    SAYS("p (1+2)*3", "9\n");
    SAYS("p 7-2-1", "4\n");
    SAYS("print/x 1<<4|3", "0x13\n");
    SAYS("p/x ~0", "0xffffffffffffffff\n");
    SAYS("p -1", "-1\n");
    SAYS("p/u -1", "18446744073709551615\n");
    SAYS("p 010 + 0x10", "24\n");
    SAYS("p/x $pc&0xf000", "0x1000\n");
    SAYS("p/c 65", "'A'\n");
    SAYS("p 1<<64", "0\n");
    CONTAINS("p 1/0", "division by zero");
    CONTAINS("p 5%0", "division by zero");
    CONTAINS("p 18446744073709551616", "more than 64 bits");
    CONTAINS("p 12z", "is not a number");
    CONTAINS("p 0x", "is not a number");
    CONTAINS("p (1", "')' is missing");
    CONTAINS("p/q 1", "one of d u x o c");
    g_autofree char *deep = g_strnfill(100, '(');
    g_autofree char *line = g_strconcat("p ", deep, NULL);
    CONTAINS(line, "too deep");
}

/* ---- Sessions ----------------------------------------------------------------------- */

static void collect(void *opaque, const char *text, size_t len)
{
    g_string_append_len(opaque, text, (gssize)len);
}

static void type(MonitorSession *s, const char *keys)
{
    monitor_session_input(s, keys, strlen(keys));
}

static void test_session(void)
{
    g_autoptr(Monitor) m = monitor();
    g_autoptr(GString) seen = g_string_new(NULL);
    g_autoptr(MonitorSession) s = monitor_session_new(m, collect, seen);
    monitor_session_open(s);
    g_assert_cmpstr(seen->str, ==,
                    "Lathe 1.0 monitor - type 'help' for more information\r\n(qemu) ");
    g_string_truncate(seen, 0);
    type(s, "sx\btep\r\n");
    g_assert_cmpstr(seen->str, ==, "sx\b \btep\r\nhalf\r\nError: it broke\r\n(qemu) ");
    g_string_truncate(seen, 0);
    type(s, "junk\025p 1\r");
    g_assert_nonnull(strstr(seen->str, "p 1\r\n1\r\n(qemu) "));
    g_string_truncate(seen, 0);
    type(s, "\033[A\033[A\r"); /* up twice: step */
    g_assert_nonnull(strstr(seen->str, "it broke"));
    g_string_truncate(seen, 0);
    type(s, "p 2\033OA\033[B\r"); /* up and down again: what was typed */
    g_assert_nonnull(strstr(seen->str, "\r\n2\r\n(qemu) "));
}

static void test_completion(void)
{
    g_autoptr(Monitor) m = monitor();
    g_autoptr(GString) seen = g_string_new(NULL);
    g_autoptr(MonitorSession) s = monitor_session_new(m, collect, seen);
    type(s, "inf\tst\t");
    g_assert_cmpstr(seen->str, ==, "info status ");
    g_string_truncate(seen, 0);
    type(s, "\rs\t\t");
    g_assert_nonnull(strstr(seen->str, "\r\nsave step stop\r\n(qemu) s"));
    g_string_truncate(seen, 0);
    type(s, "zzz\t");
    g_assert_cmpstr(seen->str, ==, "zzz\a");
    g_auto(GStrv) none = monitor_complete(m, "info status x");
    g_assert_null(none[0]);
    g_auto(GStrv) helped = monitor_complete(m, "help info ro");
    g_assert_cmpstr(helped[0], ==, "roms");
    g_assert_null(helped[1]);
}

static void test_long_line(void)
{
    g_autoptr(Monitor) m = monitor();
    g_autoptr(GString) seen = g_string_new(NULL);
    g_autoptr(MonitorSession) s = monitor_session_new(m, collect, seen);
    g_autofree char *line = g_strnfill(MONITOR_LINE_MAX + 100, 'a');
    type(s, line);
    g_assert_cmpuint(seen->len, ==, MONITOR_LINE_MAX + 100);
    g_assert_cmpint(seen->str[MONITOR_LINE_MAX], ==, '\a');
    type(s, "\t\025stop\r");
    g_assert_nonnull(strstr(seen->str, "T id=-"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/monitor/names", test_names);
    g_test_add_func("/monitor/help", test_help);
    g_test_add_func("/monitor/args", test_args);
    g_test_add_func("/monitor/expressions", test_expressions);
    g_test_add_func("/monitor/session", test_session);
    g_test_add_func("/monitor/completion", test_completion);
    g_test_add_func("/monitor/long-line", test_long_line);
    return g_test_run();
}
