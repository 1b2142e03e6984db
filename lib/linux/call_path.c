/* SPDX-License-Identifier: MIT */
/*
 * System calls that take a path of something that exists already and that differ from the host's in
 * nothing else: PATH in syscalls.def.
 */
#include "linux/call_priv.h"
#include "linux/host_numbers.h"

#define PASS(name, args)
#define NONE(name, args)
#define DO(name, args)
#define PATH(name, args)                                     \
    int64_t call_##name(LinuxThread *t, const uint64_t a[6]) \
    {                                                        \
        return call_with_path(t, SYS_##name, a, args);       \
    }
#include "linux/syscalls.def"
