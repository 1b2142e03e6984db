/* SPDX-License-Identifier: MIT */
/* The functions behind syscalls.def, and what they share. */
#pragma once

#include <sys/epoll.h>

#include "linux/linux_priv.h"

#define PASS(name, args)
#define NONE(name, args)
#define DO(name, args) int64_t call_##name(LinuxThread *t, const uint64_t a[6]);
#include "linux/syscalls.def"
#undef PASS
#undef NONE
#undef DO

/* Index of each in linux_calls: CALL_read, ... */
enum {
#define PASS(name, args) CALL_##name,
#define NONE(name, args) CALL_##name,
#define DO(name, args) CALL_##name,
#include "linux/syscalls.def"
#undef PASS
#undef NONE
#undef DO
    CALLS
};

/* The host's call with the same arguments, but with the path among args (syscalls.def) as the host
   has it. */
int64_t call_with_path(LinuxThread *t, long number, const uint64_t a[6], const char *args);

/* call_file.c: flags of open, from the guest's numbers to the host's or back. */
uint64_t open_flags_convert(const LinuxAbi *abi, uint64_t flags, bool to_host);
/* Those among the arguments of a call, as syscalls.def has them. */
void open_flags_of_call(const LinuxAbi *abi, const LinuxCall *call, uint64_t args[6]);

/* uring.c: requests that are changed while the kernel is told of them. */
typedef struct UringChange {
    uint64_t at, addr; /* a request's address field, and what the guest has there */
    struct epoll_event event;
} UringChange;
/* The guest mapped a part of fd at addr. */
void uring_mapped(LinuxProcess *p, int fd, uint64_t offset, uint64_t addr);
/* Around io_uring_enter; *to_submit may become less. */
UringChange *uring_before(LinuxThread *t, int fd, uint64_t *to_submit, unsigned *count);
void uring_after(UringChange *changes, unsigned count);

/* strace.c: one line a call on the log, in two pieces: with other threads' lines in between both are
   whole lines. call is NULL for an unknown number. */
void strace_enter(LinuxThread *t, const LinuxCall *call);
void strace_leave(LinuxThread *t, const LinuxCall *call, int64_t result);
/* A line for a signal that is about to be delivered. */
void strace_signal(LinuxThread *t, const siginfo_t *info);

/* Resource limits that are kept here (call_limits.c), for execve of a guest's or a host's
   program; back again if it fails. */
void limits_for_exec(const LinuxProcess *p, bool guest, LinuxLimit old[LINUX_LIMITS]);
void limits_after_exec(const LinuxLimit old[LINUX_LIMITS]);
