/* SPDX-License-Identifier: MIT */
/*
 * The monitor: commands that people and scripts give to a running machine. This library parses and
 * dispatches; what commands there are is said by tables that other libraries export, and
 * a tool joins with monitor_add. It owns no fd, no thread and no clock: a session is fed with
 * the bytes of its user and answers through a callback.
 *
 * A command's function gets parsed arguments and makes text, so that a second front (QMP's JSON)
 * can call the same functions: it fills a MonitorArgs and calls monitor_call.
 *
 * All on one thread.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- Arguments --------------------------------------------------------------- */

/* What a command was given, by the names in its grammar. */
typedef struct MonitorArgs MonitorArgs;

MonitorArgs *monitor_args_new(void);
void monitor_args_free(MonitorArgs *args);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MonitorArgs, monitor_args_free)
/* text is copied. */
void monitor_args_set(MonitorArgs *args, const char *name, const char *text);
void monitor_args_set_number(MonitorArgs *args, const char *name, uint64_t number);

/* NULL when it was not given. Lives as long as args. */
const char *monitor_arg(const MonitorArgs *args, const char *name);
/* Of :expr and :size arguments; otherwise when it was not given. */
uint64_t monitor_arg_number(const MonitorArgs *args, const char *name, uint64_t otherwise);
/* Whether the flag ("-a") was given. */
bool monitor_arg_flag(const MonitorArgs *args, const char *flag);

/* ---- Commands ------------------------------------------------------------------ */

typedef struct {
    /* One word, or two ("info status") for a member of a group. NULL ends a table. */
    const char *name;
    const char *alias; /* a short form of it ("c"), or NULL */
    /*
     * The grammar of its arguments, which is also what help shows. Items with blanks between:
     *   -a           a flag; flags come first
     *   /fmt         text glued to the command: "x/4xw"
     *   id           a word; "quoted" with \" and \\ if it has blanks
     *   id:expr      an expression, which may have blanks where an operator follows
     *   id:size      a size as in "4G"
     *   id...        the rest of the line
     *   [id] and so on: may be left out; it is when only the words for later items are there
     * NULL: no arguments.
     */
    const char *args;
    const char *help; /* one line */
    /* Does it, and appends to out what there is to say, in whole lines ending in "\n". On failure
       what was appended is shown too, before the error. ctx is that of monitor_add. */
    bool (*run)(void *ctx, const MonitorArgs *args, GString *out, GError **error);
} MonitorCommand;

typedef struct Monitor Monitor;

/* Has the commands help and print. name and version are for the greeting; copied. */
Monitor *monitor_new(const char *name, const char *version);
void monitor_free(Monitor *m);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Monitor, monitor_free)
/* Adds a table, which is borrowed as is ctx. Of two commands of one name the first added counts. */
void monitor_add(Monitor *m, const MonitorCommand *table, void *ctx);
/* Where "$pc" of expressions comes from; lookup gets the name without "$". NULL: nowhere. */
void monitor_set_variables(Monitor *m, bool (*lookup)(void *opaque, const char *name,
                                                      uint64_t *value), void *opaque);

/* A line as a user types it; names may be shortened as long as they are unique. Usage errors for
   lines that make no sense. */
bool monitor_line(Monitor *m, const char *line, GString *out, GError **error);
/* The command of that whole name with these arguments. */
bool monitor_call(Monitor *m, const char *name, const MonitorArgs *args, GString *out,
                  GError **error);
/* What could stand in place of the last word of line, sorted; newly allocated, ends in NULL. */
char **monitor_complete(Monitor *m, const char *line);

/* Evaluates: numbers (0x, decimal, 0 octal, 'c'), $names, + - * / % & | ^ << >> ~ ( ), 64 bits
   wrapping, C's precedence. *text is moved past it. more: a blank before an operator and none
   behind it begins another argument. */
bool monitor_expression(Monitor *m, const char **text, bool more, uint64_t *value,
                        GError **error);

/* ---- Sessions -------------------------------------------------------------------- */

/* Most bytes of a line; more are refused with a bell. */
#define MONITOR_LINE_MAX 4095
#define MONITOR_PROMPT "(qemu) "

/* One user at a terminal or a socket, with a line under way and a history. */
typedef struct MonitorSession MonitorSession;

/* write gets what the user is to see, with "\r\n" line ends; it must not free the session. */
MonitorSession *monitor_session_new(Monitor *m,
                                    void (*write)(void *opaque, const char *text, size_t len),
                                    void *opaque);
void monitor_session_free(MonitorSession *s);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MonitorSession, monitor_session_free)
/* A user has come: forgets the line of the one before, greets and prompts. */
void monitor_session_open(MonitorSession *s);
/* The user is back from elsewhere on the same terminal: a fresh line with what was typed. */
void monitor_session_resume(MonitorSession *s);
/* What the user types, echoed. Enter, Backspace, Ctrl-U and Ctrl-C (drop the line), Ctrl-W (a
   word), up and down or Ctrl-P and Ctrl-N (history), Tab. */
void monitor_session_input(MonitorSession *s, const void *bytes, size_t len);
