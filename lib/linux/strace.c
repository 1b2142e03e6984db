/* SPDX-License-Identifier: MIT */
/*
 * -strace: one line a call on the log, whole, when the call is done, so that the lines of threads and
 * processes do not mix. A call that may keep its thread waiting has two: one when it starts, and one
 * when it ends. Which those are says the sign before its letters in syscalls.def:
 *
 *   ~ always two   < if its first argument, a descriptor, has nothing to read   > no room to write
 *   = does not return: the line comes first   ! returns twice: the child has no line
 */
#include <poll.h>
#include <string.h>

#include "base/log.h"
#include "linux/call_priv.h"
#include "linux/host_numbers.h"
#include "linux/strace_priv.h"

static const char *letters_of(const LinuxCall *call)
{
    return call->args + (call->args[0] && strchr("~<>=!", call->args[0]) ? 1 : 0);
}

static bool is_ready(LinuxThread *t, int fd, short events)
{
    struct pollfd poll = { .fd = fd, .events = events };
    struct timespec now = { 0, 0 };
    return HOST_CALL(t, SYS_ppoll, (uint64_t)(uintptr_t)&poll, 1, (uint64_t)(uintptr_t)&now) == 1;
}

void strace_enter(LinuxThread *t, const LinuxCall *call)
{
    char sign = call ? call->args[0] : 0;
    t->traced = sign == '~' || sign == '=' || (sign == '<' && !is_ready(t, (int)t->args[0], POLLIN)) ||
                (sign == '>' && !is_ready(t, (int)t->args[0], POLLOUT));
    if (!t->traced)
        return;
    const char *letters = letters_of(call);
    g_autoptr(GString) line = g_string_new(NULL);
    g_string_append_printf(line, "%d %s(", (int)t->tid, call->name);
    unsigned end = strace_first_out(letters, strace_count(letters, t->args));
    strace_args(line, letters, t->args, 0, end, false, 0);
    log_line(LOG_STRACE, "%s%s", line->str, sign == '=' ? ") = ?" : " <unfinished ...>");
}

static void append_result(GString *out, const char *letters, int64_t result)
{
    const char *name = result < 0 && result >= -4095 ? strerrorname_np((int)-result) : NULL;
    if (result == -LINUX_RESTART)
        g_string_append(out, "? ERESTARTSYS (To be restarted)");
    else if (name)
        g_string_append_printf(out, "-1 %s (%s)", name, strerrordesc_np((int)-result));
    else if (strchr(letters, '@'))
        g_string_append_printf(out, "0x%" G_GINT64_MODIFIER "x", (uint64_t)result);
    else
        g_string_append_printf(out, "%" G_GINT64_FORMAT, result);
}

void strace_leave(LinuxThread *t, const LinuxCall *call, int64_t result)
{
    const char *letters = call ? letters_of(call) : "xxxxxx";
    char sign = call ? call->args[0] : 0;
    if (sign == '=' || result == LINUX_NO_RESULT || (sign == '!' && !result))
        return;
    g_autoptr(GString) line = g_string_new(NULL);
    unsigned count = strace_count(letters, t->args), first = 0;
    g_string_append_printf(line, "%d ", (int)t->tid);
    if (t->traced) {
        g_string_append_printf(line, "<... %s resumed>", call->name);
        first = strace_first_out(letters, count);
    } else if (call) {
        g_string_append_printf(line, "%s(", call->name);
    } else {
        g_string_append_printf(line, "syscall_0x%" G_GINT64_MODIFIER "x(", t->number);
    }
    strace_args(line, letters, t->args, first, count, true, result);
    g_string_append(line, ") = ");
    append_result(line, letters, result);
    log_line(LOG_STRACE, "%s", line->str);
}

void strace_signal(LinuxThread *t, const siginfo_t *info)
{
    if (!log_enabled(LOG_STRACE))
        return;
    g_autoptr(GString) line = g_string_new(NULL);
    g_string_append_printf(line, "%d --- ", (int)t->tid);
    strace_signal_name(line, info->si_signo);
    g_string_append_c(line, ' ');
    strace_info(line, info);
    log_line(LOG_STRACE, "%s ---", line->str);
}
