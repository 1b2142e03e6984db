/* SPDX-License-Identifier: MIT */
/* What several groups of commands need: paths, small files, errors, programs, the log. */
#include "ga.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST_SAID = 4096, ASK_MS = 50 }; /* bytes of what a program says that failed */

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

/* What it says, until it ends, and how it ended. What it leaves running may keep fd open, so
 * that there is no end of file: then it is asked now and then whether it has ended itself. */
static char *hear_out(int fd, GPid pid, int *status)
{
    GString *text = g_string_new(NULL);
    struct pollfd p = { .fd = fd, .events = POLLIN };
    char buf[512];
    bool ended = false;
    for (;;) {
        int ready = poll(&p, 1, ended ? 0 : ASK_MS);
        ssize_t n = ready > 0 ? read(fd, buf, sizeof buf) : -1;
        if (n > 0 && text->len < MOST_SAID)
            g_string_append_len(text, buf, n);
        if (n == 0 || (ready == 0 && ended))
            break;
        if (ready == 0)
            ended = waitpid(pid, status, WNOHANG) == pid;
    }
    while (!ended && waitpid(pid, status, 0) < 0 && errno == EINTR)
        ;
    return g_string_free(text, false);
}

/* Signals that we take by descriptor are blocked: what is started, and what that starts, is to
 * end by them. */
static void unblock_signals(void *opaque)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Input is short: a pipe takes it at once, whether the program reads it or not. */
bool ga_run(const char *const *argv, const char *input, GError **error)
{
    g_autoptr(GError) local = NULL;
    g_auto(GStrv) env = g_environ_setenv(g_get_environ(), "LC_ALL", "C", true);
    g_autofree char *joined = g_strjoinv(" ", (char **)argv);
    int in, err, status = 0;
    GPid pid;
    if (!g_spawn_async_with_pipes(NULL, (char **)argv, env,
                                  G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD |
                                  G_SPAWN_STDOUT_TO_DEV_NULL,
                                  unblock_signals, NULL, &pid, &in, NULL, &err, &local)) {
        ga_fail(error, "failed to run %s: %s", joined, local->message);
        return false;
    }
    if (input && write(in, input, strlen(input)) < 0)
        status = errno; /* it says why it does not want it */
    close(in);
    g_autofree char *said = hear_out(err, pid, &status);
    close(err);
    if (!status)
        return true;
    g_strstrip(said);
    ga_fail(error, "%s failed%s%s", joined, *said ? ": " : "", said);
    return false;
}

static void write_log(const Ga *ga, const char *level, const char *fmt, va_list ap)
{
    if (ga->frozen)
        return; /* the log may be on what is frozen */
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
