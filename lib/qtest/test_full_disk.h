/* SPDX-License-Identifier: MIT */
/* A disk without room: no file of this process can be written behind FULL_AT, until it has room again.
   For tests of werror=stop. */
#pragma once

#include "qtest/test_pci.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

enum { FULL_AT = 512 * 1024, FULL_SIZE = 1024 * 1024 };

static inline void disk_full(bool full)
{
    struct rlimit limit;
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = full ? FULL_AT : limit.rlim_max;
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &limit), ==, 0);
}

/* An image of FULL_SIZE, and its -drive, with id n; both newly allocated. */
static inline char *disk_new(const char *options, char **drive)
{
    char *file = NULL;
    int fd = g_file_open_tmp("lathe-disk-XXXXXX", &file, NULL);
    g_assert_cmpint(ftruncate(fd, FULL_SIZE), ==, 0);
    close(fd);
    *drive = g_strdup_printf("-drive file=%s,format=raw,if=none,id=n,%s", file, options);
    return file;
}

static inline bool disk_stopped(Board *b, unsigned errors)
{
    for (unsigned i = 0; i < 5000; i++) {
        if (__atomic_load_n(&b->io_errors, __ATOMIC_RELAXED) >= errors)
            return true;
        g_usleep(1000);
    }
    return false;
}

/* Whether the image has these bytes from offset on. */
static inline bool disk_holds(const char *file, uint64_t offset, uint8_t byte, size_t len)
{
    g_autofree uint8_t *got = g_malloc(len);
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    bool same = pread(fd, got, len, (off_t)offset) == (gssize)len;
    close(fd);
    for (size_t i = 0; same && i < len; i++)
        same = got[i] == byte;
    return same;
}
