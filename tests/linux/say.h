/* SPDX-License-Identifier: MIT */
/*
 * What the programs here share. Each prints what system calls do, without anything that differs
 * between two runs, so that a run as a guest can be compared with one as a native program.
 */
#pragma once

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* One line: what was done, and its result or the name of its error. */
static inline long say(const char *what, long result)
{
    if (result < 0)
        printf("%s: %s\n", what, strerrorname_np(errno));
    else
        printf("%s: %ld\n", what, result);
    return result;
}

/* The same for results that are new each time, such as process numbers. */
static inline long say_ok(const char *what, long result)
{
    printf("%s: %s\n", what, result < 0 ? strerrorname_np(errno) : "ok");
    return result;
}

static inline void say_bytes(const char *what, const void *bytes, size_t size)
{
    printf("%s:", what);
    for (size_t i = 0; i < size; i++)
        printf(" %02x", ((const unsigned char *)bytes)[i]);
    printf("\n");
}
