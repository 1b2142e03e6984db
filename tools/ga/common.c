/* SPDX-License-Identifier: MIT */
/* What several groups of commands need: paths, small files, errors, programs, the log. */
#include "ga.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

static char *path_of(const Ga *ga, const char *fmt, va_list ap)
{
    g_autofree char *path = g_strdup_vprintf(fmt, ap);
    return g_strconcat(ga->root ? ga->root : "", path, NULL);
}

char *ga_path(const Ga *ga, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *path = path_of(ga, fmt, ap);
    va_end(ap);
    return path;
}

char *ga_read(const Ga *ga, const char *fmt, ...)
{
    char *text = NULL;
    va_list ap;
    va_start(ap, fmt);
    g_autofree char *path = path_of(ga, fmt, ap);
    va_end(ap);
    if (!g_file_get_contents(path, &text, NULL, NULL))
        return NULL;
    size_t len = strlen(text);
    if (len && text[len - 1] == '\n')
        text[len - 1] = 0;
    return text;
}

struct json_object *ga_fail(GError **error, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    g_autofree char *text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    g_set_error_literal(error, agent_error_quark(), AGENT_ERROR_GENERIC, text);
    return NULL;
}

struct json_object *ga_fail_errno(GError **error, int err, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    g_autofree char *text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    return ga_fail(error, "%s: %s", text, g_strerror(err));
}

bool ga_run(const char *const *argv, const char *input, GError **error)
{
    g_autoptr(GError) local = NULL;
    g_autofree char *said = NULL, *file = NULL;
    int status = 0, in = -1;
    /* input by a file without a name: it is short, and no program can block on it */
    if (input) {
        in = g_file_open_tmp("ga-XXXXXX", &file, &local);
        if (in < 0 || !g_file_set_contents(file, input, -1, &local)) {
            ga_fail(error, "%s: %s", argv[0], local->message);
            return false;
        }
    }
    g_auto(GStrv) env = g_environ_setenv(g_get_environ(), "LC_ALL", "C", true);
    g_autofree char *joined = g_strjoinv(" ", (char **)argv);
    g_autofree char *script = file ? g_strdup_printf("exec \"$@\" <%s", file) : NULL;
    GPtrArray *words = g_ptr_array_new();
    if (script) {
        g_ptr_array_add(words, (gpointer) "sh");
        g_ptr_array_add(words, (gpointer) "-c");
        g_ptr_array_add(words, script);
        g_ptr_array_add(words, (gpointer) "sh");
    }
    for (unsigned i = 0; argv[i]; i++)
        g_ptr_array_add(words, (gpointer)argv[i]);
    g_ptr_array_add(words, NULL);
    bool ok = g_spawn_sync(NULL, (char **)words->pdata, env, G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL, NULL,
                           &said, &status, &local);
    g_ptr_array_unref(words);
    if (file) {
        remove(file);
        g_close(in, NULL);
    }
    if (!ok)
        ga_fail(error, "failed to run %s: %s", joined, local->message);
    else if (status)
        ga_fail(error, "%s failed%s%s", joined, said && *said ? ": " : "", said ? g_strstrip(said) : "");
    return ok && !status;
}

static void write_log(const Ga *ga, const char *level, const char *fmt, va_list ap)
{
    g_autofree char *text = g_strdup_vprintf(fmt, ap);
    if (!ga->options.log_file) {
        fprintf(stderr, "ga: %s%s\n", level, text);
        return;
    }
    FILE *f = fopen(ga->options.log_file, "ae");
    if (!f)
        return;
    fprintf(f, "%.6f: %s%s\n", (double)g_get_real_time() / 1e6, level, text);
    fclose(f);
}

void ga_log(const Ga *ga, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    write_log(ga, "", fmt, ap);
    va_end(ap);
}

void ga_debug(const Ga *ga, const char *fmt, ...)
{
    if (!ga->options.verbose)
        return;
    va_list ap;
    va_start(ap, fmt);
    write_log(ga, "debug: ", fmt, ap);
    va_end(ap);
}
