/* SPDX-License-Identifier: MIT */
/*
 * The category log; see log.h. The mask and the file are this process's, like standard
 * error itself: the one exception to "no mutable statics". Each line is one write(2) to a
 * descriptor opened O_APPEND, so threads, and a child after fork, need no lock and a
 * signal handler's line cannot deadlock on one.
 */
#include "base/log.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static const struct {
    const char *name;
    uint32_t mask;
    const char *summary;
} categories[] = {
    { "in_asm", LOG_IN_ASM, "guest instructions of each compiled region" },
    { "ir", LOG_IR, "intermediate code as translated" },
    { "ir_opt", LOG_IR_OPT, "intermediate code after the passes" },
    { "out_asm", LOG_OUT_ASM, "host code of each compiled region" },
    { "int", LOG_INT, "traps and interrupts taken" },
    { "exec", LOG_EXEC, "each region entered (slow)" },
    { "cpu", LOG_CPU, "guest registers at each region entered (slow)" },
    { "guest_errors", LOG_GUEST_ERRORS, "what the guest does against the spec" },
    { "unimp", LOG_UNIMP, "what the guest asks for that is not there" },
    { "mmu", LOG_MMU, "page-table walks and TLB flushes" },
    { "strace", LOG_STRACE, "system calls (vm-user)" },
};

_Atomic uint32_t log_mask_;
static _Atomic int log_fd = STDERR_FILENO;

void log_set_mask(uint32_t mask)
{
    atomic_store_explicit(&log_mask_, mask, memory_order_relaxed);
}

static void write_all(const char *text, size_t size)
{
    int saved = errno;
    while (size) {
        ssize_t n = write(atomic_load(&log_fd), text, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break; /* a log that cannot be written is no reason to stop */
        text += n;
        size -= (size_t)n;
    }
    errno = saved;
}

void log_text(uint32_t mask, const char *text)
{
    if (log_enabled(mask))
        write_all(text, strlen(text));
}

void log_line(uint32_t mask, const char *fmt, ...)
{
    if (!log_enabled(mask))
        return;
    char buffer[512];
    va_list ap;
    va_start(ap, fmt);
    int n = g_vsnprintf(buffer, sizeof buffer - 1, fmt, ap);
    va_end(ap);
    if (n < 0)
        return;
    if ((size_t)n < sizeof buffer - 1) {
        buffer[n] = '\n';
        write_all(buffer, (size_t)n + 1);
        return;
    }
    g_autofree char *text = g_malloc((size_t)n + 2);
    va_start(ap, fmt);
    g_vsnprintf(text, (gulong)n + 1, fmt, ap);
    va_end(ap);
    text[n] = '\n';
    write_all(text, (size_t)n + 1);
}

bool log_parse(const char *names, uint32_t *mask, GError **error)
{
    g_auto(GStrv) words = g_strsplit(names, ",", -1);
    uint32_t m = 0;

    for (char **w = words; *w; w++) {
        uint32_t found = 0;
        for (unsigned i = 0; i < G_N_ELEMENTS(categories); i++)
            if (!strcmp(*w, "all") || !strcmp(*w, categories[i].name))
                found |= categories[i].mask;
        if (!found && strcmp(*w, "none")) {
            g_autoptr(GString) all = g_string_new(NULL);
            for (unsigned i = 0; i < G_N_ELEMENTS(categories); i++)
                g_string_append_printf(all, " %s", categories[i].name);
            return fail_usage(error, "unknown log category '%s' (there are:%s, all, none)", *w,
                              all->str);
        }
        m |= found;
    }
    *mask = m;
    return true;
}

char *log_help(void)
{
    GString *s = g_string_new(NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(categories); i++)
        g_string_append_printf(s, "%-14s %s\n", categories[i].name, categories[i].summary);
    return g_string_free(s, FALSE);
}

bool log_open(const char *path, GError **error)
{
    int fd = STDERR_FILENO;
    if (path) {
        const char *pid = strstr(path, "%d");
        g_autofree char *name = pid ? g_strdup_printf("%.*s%d%s", (int)(pid - path), path,
                                                      (int)getpid(), pid + 2)
                                    : g_strdup(path);
        fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0666);
        if (fd < 0)
            return fail_errno(error, errno, "log file %s", name);
    }
    log_set_descriptor(fd);
    return true;
}

int log_descriptor(void)
{
    return atomic_load_explicit(&log_fd, memory_order_relaxed);
}

void log_set_descriptor(int fd)
{
    int old = atomic_exchange(&log_fd, fd);
    if (old != STDERR_FILENO)
        close(old);
}
