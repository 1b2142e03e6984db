/* SPDX-License-Identifier: MIT */
/* Pieces of -strace: lines (strace.c), arguments (strace_args.c), names (strace_names.c). */
#pragma once

#include "linux/linux_priv.h"

/* ---- strace_args.c ---------------------------------------------------------------- */

/* Appends arguments first..end - 1 of a call whose letters are given, ", " between all. Those that the
   call fills are shown as addresses unless `done`. */
void strace_args(GString *out, const char *letters, const uint64_t a[6], unsigned first,
                 unsigned end, bool done, int64_t result);
/* How many of the arguments mean something in this very call. */
unsigned strace_count(const char *letters, const uint64_t a[6]);
/* Index of the first argument that the call fills, or the count. */
unsigned strace_first_out(const char *letters, unsigned count);
void strace_info(GString *out, const siginfo_t *info);

/* ---- strace_names.c ----------------------------------------------------------------- */

typedef enum {
    NAMES_OPEN, NAMES_AT, NAMES_FD, NAMES_PROT, NAMES_MMAP, NAMES_CLONE, NAMES_ACCESS, NAMES_SOCKET_FLAGS,
    NAMES_WAIT, NAMES_FLAGS, /* up to here sets of bits */
    NAMES_DOMAIN, NAMES_SOCKET_TYPE, NAMES_WHENCE, NAMES_RESOURCE, NAMES_FCNTL, NAMES_EPOLL, NAMES_PRCTL,
    NAMES_CLOCK, NAMES_FUTEX, NAMES_HOW,
} StraceNames;

/* Appends value's name, or those of its bits with '|' between; numbers where there is none. */
void strace_name(GString *out, StraceNames names, uint64_t value);
/* "SIGINT", "SIGRT_3"; a number if it is none. */
void strace_signal_name(GString *out, int signal);
void strace_code_name(GString *out, int signal, int code);
/* NULL: not in ioctl.def. */
const char *strace_ioctl_name(uint32_t request);
