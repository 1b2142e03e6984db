/* SPDX-License-Identifier: MIT */
/* vm-run: runs a whole virtual machine. Messages and exit status; see run.c and options.c. */
#include "expand.h"
#include "options.h"
#include "run.h"
#include "settings.h"

#include "base/error.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { EXIT_FAILED = 1, EXIT_MISUSED = 2 };

static void warn(const char *line)
{
    fprintf(stderr, "%s: %s\n", g_get_prgname(), line);
}

/* With -msg timestamp=on. */
static void warn_at(const char *line)
{
    g_autoptr(GDateTime) now = g_date_time_new_now_utc();
    g_autofree char *seconds = g_date_time_format(now, "%Y-%m-%dT%H:%M:%S");
    fprintf(stderr, "%s.%06dZ %s: %s\n", seconds, g_date_time_get_microsecond(now),
            g_get_prgname(), line);
}

static int report(const GError *error, bool compatible, bool timestamps)
{
    (timestamps ? warn_at : warn)(error->message);
    bool misused = g_error_matches(error, base_error_quark(), BASE_ERROR_USAGE);
    return misused && !compatible ? EXIT_MISUSED : EXIT_FAILED;
}

static int print(const char *text)
{
    if (fputs(text, stdout) >= 0 && !fflush(stdout))
        return 0;
    perror(g_get_prgname());
    return EXIT_FAILED;
}

int main(int argc, char **argv)
{
    g_autofree char *name = g_path_get_basename(argc && argv[0] ? argv[0] : "vm-run");
    bool compatible = g_str_has_prefix(name, "qemu-");
    g_set_prgname(name);
    signal(SIGPIPE, SIG_IGN);
    g_autoptr(GError) error = NULL;
    g_autoptr(RunOptions) o = run_options_parse(argc, argv, &error);
    bool timestamps = false;
    if (!o || !settings_timestamps(o, &timestamps, &error))
        return report(error, compatible, timestamps);
    if (o->help || o->version) {
        g_autofree char *help = run_options_help(name);
        /* Scripts read the version from the first line of either, where the name promises it. */
        g_autofree char *text = g_strdup_printf(
            "%s%s\n%s", compatible ? "QEMU emulator version 7.0.0 (Lathe " : "vm-run (Lathe) ",
            compatible ? LATHE_VERSION ")" : LATHE_VERSION, o->help ? help : "");
        return print(o->help && !compatible ? help : text);
    }
    if (!expand_disk(o, &error))
        return report(error, compatible, timestamps);
    if (o->print_argv) {
        g_autofree char *text = expand_text(o, name);
        return print(text);
    }
    int status = 0;
    return run_machine(o, timestamps ? warn_at : warn, &status, &error)
               ? status : report(error, compatible, timestamps);
}
