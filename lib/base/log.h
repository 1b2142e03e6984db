/* SPDX-License-Identifier: MIT */
/*
 * The category log behind `-d in_asm,cpu` and `-D file`. One log a process, as there is
 * one standard error; it is set up once in main before other threads start. A line costs
 * one load and a test when its category is off.
 */
#pragma once

#include <glib.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum {
    LOG_IN_ASM = 1 << 0,       /* guest instructions of each compiled region */
    LOG_IR = 1 << 1,           /* the IR as the front end made it */
    LOG_IR_OPT = 1 << 2,       /* the IR after the passes */
    LOG_OUT_ASM = 1 << 3,      /* host code */
    LOG_INT = 1 << 4,          /* traps and interrupts taken */
    LOG_EXEC = 1 << 5,         /* regions entered */
    LOG_CPU = 1 << 6,          /* guest registers at each region entered */
    LOG_GUEST_ERRORS = 1 << 7, /* the guest did what the spec forbids */
    LOG_UNIMP = 1 << 8,        /* the guest asked for what is not there */
    LOG_MMU = 1 << 9,          /* page-table walks and TLB flushes */
    LOG_STRACE = 1 << 10,      /* system calls of vm-user */
} LogMask;

/* Read by log_enabled only; set through log_set_mask. */
extern _Atomic uint32_t log_mask_;

/* True when any of the categories is on. Any thread. */
static inline bool log_enabled(uint32_t mask)
{
    return __builtin_expect(
        (atomic_load_explicit(&log_mask_, memory_order_relaxed) & mask) != 0, 0);
}

/* Writes one whole line (a newline is added) when any category of mask is on. Any thread;
 * lines do not mix. Text longer than a line may hold newlines: it stays together. */
void log_line(uint32_t mask, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
/* Writes text as it is, in one piece. Any thread. */
void log_text(uint32_t mask, const char *text);

/* Reads "in_asm,cpu", "all" or "none" into *mask; an unknown name is a usage error that
 * lists the names. */
bool log_parse(const char *names, uint32_t *mask, GError **error);
/* One line a category with its summary, for `-d help`. Caller frees. */
char *log_help(void);

void log_set_mask(uint32_t mask);
/* Sends the log to a file ("%d" in the name, once, becomes the process id; truncated unless a
 * '+' stands before the name), or to standard error again with NULL. Main thread, before others
 * start. */
bool log_open(const char *path, GError **error);
/* Where the log goes. A tool that gives its descriptors to another program moves it: the new one is
 * the log's from then on, and the old one is closed unless it is standard error. */
int log_descriptor(void);
void log_set_descriptor(int fd);
