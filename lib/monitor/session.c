/* SPDX-License-Identifier: MIT */
/*
 * One user of the monitor: bytes in, lines made of them with echo, history and completion, and what
 * the commands say out. Output is held together and written once a key, so that a
 * socket sees whole answers. The cursor is always at the end of the line: there is no editing
 * within.
 */
#include "monitor/monitor_priv.h"

#include <string.h>

#define HISTORY_MAX 100

struct MonitorSession {
    Monitor *m;
    void (*write)(void *opaque, const char *text, size_t len);
    void *opaque;
    GString *line;      /* typed so far */
    GString *out;       /* to be written */
    GPtrArray *history; /* of char *, oldest first */
    guint at;           /* in history, while going through it; its length: the line typed */
    char *typed;        /* what was typed before going through it */
    enum { PLAIN, ESCAPE, CSI } state;
    bool after_return;  /* a line feed now belongs to it */
};

MonitorSession *monitor_session_new(Monitor *m,
                                    void (*write)(void *opaque, const char *text, size_t len),
                                    void *opaque)
{
    MonitorSession *s = g_new0(MonitorSession, 1);
    s->m = m;
    s->write = write;
    s->opaque = opaque;
    s->line = g_string_new(NULL);
    s->out = g_string_new(NULL);
    s->history = g_ptr_array_new_with_free_func(g_free);
    return s;
}

void monitor_session_free(MonitorSession *s)
{
    if (!s)
        return;
    g_string_free(s->line, TRUE);
    g_string_free(s->out, TRUE);
    g_ptr_array_unref(s->history);
    g_free(s->typed);
    g_free(s);
}

/* Text of ours, whose line ends are "\n". */
static void say(MonitorSession *s, const char *text)
{
    for (; *text; text++) {
        if (*text == '\n')
            g_string_append_c(s->out, '\r');
        g_string_append_c(s->out, *text);
    }
}

static void flush(MonitorSession *s)
{
    if (s->out->len)
        s->write(s->opaque, s->out->str, s->out->len);
    g_string_truncate(s->out, 0);
}

/* ---- The line ------------------------------------------------------------------ */

static void bell(MonitorSession *s)
{
    say(s, "\a");
}

/* Back over the last n characters of the screen's line. */
static void rub_out(MonitorSession *s, gsize n)
{
    while (n-- > 0)
        say(s, "\b \b");
}

static void cut_to(MonitorSession *s, gsize len)
{
    rub_out(s, s->line->len - len);
    g_string_truncate(s->line, len);
}

static void replace(MonitorSession *s, const char *text)
{
    cut_to(s, 0);
    g_string_assign(s->line, text);
    say(s, text);
}

static void prompt(MonitorSession *s)
{
    say(s, MONITOR_PROMPT);
    say(s, s->line->str);
}

static void forget_place(MonitorSession *s)
{
    g_clear_pointer(&s->typed, g_free);
    s->at = s->history->len;
}

static void older(MonitorSession *s)
{
    if (!s->at) {
        bell(s);
        return;
    }
    if (s->at == s->history->len) {
        g_free(s->typed);
        s->typed = g_strdup(s->line->str);
    }
    replace(s, s->history->pdata[--s->at]);
}

static void newer(MonitorSession *s)
{
    if (s->at >= s->history->len) {
        bell(s);
        return;
    }
    s->at++;
    replace(s, s->at < s->history->len ? s->history->pdata[s->at] : s->typed ? s->typed : "");
}

static void remember(MonitorSession *s, const char *line)
{
    guint n = s->history->len;
    if (*line && (!n || strcmp(s->history->pdata[n - 1], line)))
        g_ptr_array_add(s->history, g_strdup(line));
    if (s->history->len > HISTORY_MAX)
        g_ptr_array_remove_index(s->history, 0);
    forget_place(s);
}

static void complete(MonitorSession *s)
{
    g_auto(GStrv) words = monitor_complete(s->m, s->line->str);
    const char *blank = strrchr(s->line->str, ' ');
    gsize have = s->line->len - (blank ? (gsize)(blank + 1 - s->line->str) : 0);
    if (!words[0]) {
        bell(s);
        return;
    }
    gsize common = strlen(words[0]);
    for (char **w = words + 1; *w; w++) {
        gsize n = 0;
        while (n < common && (*w)[n] == words[0][n])
            n++;
        common = n;
    }
    if (s->line->len + common + 1 > MONITOR_LINE_MAX + have) {
        bell(s);
        return;
    }
    g_autofree char *more = g_strndup(words[0] + have, common - have);
    g_string_append(s->line, more);
    say(s, more);
    if (!words[1]) {
        g_string_append_c(s->line, ' ');
        say(s, " ");
    } else if (common == have) {
        g_autofree char *list = g_strjoinv(" ", words);
        say(s, "\n");
        say(s, list);
        say(s, "\n");
        prompt(s);
    }
}

static void enter(MonitorSession *s)
{
    g_autofree char *line = g_strdup(s->line->str);
    g_autoptr(GString) answer = g_string_new(NULL);
    g_autoptr(GError) error = NULL;
    say(s, "\n");
    remember(s, line);
    g_string_truncate(s->line, 0);
    if (!monitor_line(s->m, line, answer, &error))
        g_string_append_printf(answer, "Error: %s\n", error ? error->message : "it failed");
    say(s, answer->str);
    prompt(s);
}

/* ---- Keys ------------------------------------------------------------------------- */

static void printable(MonitorSession *s, char c)
{
    if (s->line->len >= MONITOR_LINE_MAX) {
        bell(s);
        return;
    }
    g_string_append_c(s->line, c);
    g_string_append_c(s->out, c);
}

static void rub_word(MonitorSession *s)
{
    gsize len = s->line->len;
    while (len && s->line->str[len - 1] == ' ')
        len--;
    while (len && s->line->str[len - 1] != ' ')
        len--;
    cut_to(s, len);
}

static void key(MonitorSession *s, uint8_t c)
{
    enum { CTRL_C = 3, CTRL_N = 14, CTRL_P = 16, CTRL_U = 21, CTRL_W = 23, ESC = 27, DEL = 127 };
    switch (c) {
    case '\r':
    case '\n':
        enter(s);
        return;
    case '\b':
    case DEL:
        if (s->line->len)
            cut_to(s, s->line->len - 1);
        return;
    case '\t':
        complete(s);
        return;
    case CTRL_C:
    case CTRL_U:
        cut_to(s, 0);
        forget_place(s);
        return;
    case CTRL_W:
        rub_word(s);
        return;
    case CTRL_P:
        older(s);
        return;
    case CTRL_N:
        newer(s);
        return;
    case ESC:
        s->state = ESCAPE;
        return;
    default:
        if (c >= ' ')
            printable(s, (char)c);
    }
}

static void byte(MonitorSession *s, uint8_t c)
{
    bool second = c == '\n' && s->after_return;
    s->after_return = c == '\r';
    if (second)
        return;
    if (s->state == PLAIN) {
        key(s, c);
    } else if (s->state == ESCAPE) {
        s->state = c == '[' || c == 'O' ? CSI : PLAIN;
    } else if (c >= '@' && c <= '~') {
        s->state = PLAIN;
        if (c == 'A')
            older(s);
        else if (c == 'B')
            newer(s);
    } else if (c < ' ' || c > '~') { /* no sequence goes on like that */
        s->state = PLAIN;
        key(s, c);
    }
}

void monitor_session_input(MonitorSession *s, const void *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        byte(s, ((const uint8_t *)bytes)[i]);
        flush(s);
    }
}

void monitor_session_open(MonitorSession *s)
{
    g_string_truncate(s->line, 0);
    s->state = PLAIN;
    s->after_return = false;
    forget_place(s);
    g_autofree char *greeting = g_strdup_printf(
        "%s %s monitor - type 'help' for more information\n", s->m->name, s->m->version);
    say(s, greeting);
    prompt(s);
    flush(s);
}

void monitor_session_resume(MonitorSession *s)
{
    say(s, "\n");
    prompt(s);
    flush(s);
}
