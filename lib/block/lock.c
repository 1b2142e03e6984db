/* SPDX-License-Identifier: MIT */
/*
 * Byte locks on image files that QEMU's tools and ours both respect: open-file-description read
 * locks at byte 100 + n by who has permission n, at 200 + n by who does not share it. A conflict
 * is found by asking whether a write lock could be had on the other's byte. OFD locks say nothing
 * of who holds them; /proc/PID/fdinfo does where it can be read.
 */
#include "block/block_priv.h"

#include "base/error.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HELD_BASE = 100, UNSHARED_BASE = 200, BITS = 4, MOST_PROCESSES = 100000 };
enum { DYING_TRIES = 20, DYING_PAUSE_US = 50000 };

static int lock_op(int fd, int command, short type, unsigned byte, struct flock *out)
{
    struct flock l = { .l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };
    int r;

    do {
        r = fcntl(fd, command, &l);
    } while (r < 0 && errno == EINTR);
    if (out)
        *out = l;
    return r < 0 ? -errno : 0;
}

bool block_lock_usable(int fd)
{
    return !lock_op(fd, F_OFD_GETLK, F_WRLCK, HELD_BASE, NULL);
}

/* ---- who is it ----------------------------------------------------------- */

/* Whether this descriptor of a process holds a lock on byte. */
static bool holds(const char *pid, const char *fd, unsigned byte)
{
    g_autofree char *path = g_strdup_printf("/proc/%s/fdinfo/%s", pid, fd);
    FILE *f = fopen(path, "re");
    char line[256];
    bool found = false;

    while (f && !found && fgets(line, sizeof line, f)) {
        unsigned long long start, end;
        char kind[16], last[32];
        if (strncmp(line, "lock:", 5) ||
            sscanf(line + 5, "%*s %15s %*s %*s %*s %*s %llu %31s", kind, &start, last) != 3)
            continue;
        end = !strcmp(last, "EOF") ? ~0ull : strtoull(last, NULL, 10);
        found = start <= byte && byte <= end;
    }
    if (f)
        fclose(f);
    return found;
}

/* Whether a process has the file of st open and holds byte in it, by another descriptor than
 * own. */
static bool process_holds(const char *pid, const struct stat *st, unsigned byte, int own)
{
    g_autofree char *path = g_strdup_printf("/proc/%s/fd", pid);
    bool self = strtol(pid, NULL, 10) == getpid(), found = false;
    DIR *dir = opendir(path);
    struct dirent *e;

    while (dir && !found && (e = readdir(dir))) {
        g_autofree char *name = g_strdup_printf("%s/%s", path, e->d_name);
        struct stat other;
        if (e->d_name[0] == '.' || (self && atoi(e->d_name) == own))
            continue;
        found = !stat(name, &other) && other.st_dev == st->st_dev && other.st_ino == st->st_ino &&
                holds(pid, e->d_name, byte);
    }
    if (dir)
        closedir(dir);
    return found;
}

/* "vm-run (pid 1234)", or NULL when it cannot be seen. Caller frees. */
static char *holder(int fd, unsigned byte)
{
    struct stat st;
    struct dirent *e;
    char *who = NULL;
    DIR *proc = opendir("/proc");

    for (int n = 0; proc && !who && n < MOST_PROCESSES && !fstat(fd, &st) && (e = readdir(proc));
         n++) {
        if (!g_ascii_isdigit(e->d_name[0]) || !process_holds(e->d_name, &st, byte, fd))
            continue;
        g_autofree char *path = g_strdup_printf("/proc/%s/comm", e->d_name);
        g_autofree char *comm = NULL;
        if (strtol(e->d_name, NULL, 10) == getpid())
            who = g_strdup("this process");
        else if (g_file_get_contents(path, &comm, NULL, NULL))
            who = g_strdup_printf("%s (pid %s)", g_strstrip(comm), e->d_name);
        else
            who = g_strdup_printf("process %s", e->d_name);
    }
    if (proc)
        closedir(proc);
    return who;
}

/* ---- taking them --------------------------------------------------------- */

/* Holds exactly these; bytes that are held already are not let go in between. */
static int hold(int fd, BlockLock now, BlockLock wanted)
{
    for (unsigned bit = 0; bit < BITS; bit++) {
        const struct {
            unsigned base, now, wanted;
        } kinds[] = { { HELD_BASE, now.perm, wanted.perm },
                      { UNSHARED_BASE, now.unshared, wanted.unshared } };
        for (int k = 0; k < 2; k++) {
            bool has = kinds[k].now >> bit & 1, wants = kinds[k].wanted >> bit & 1;
            if (has == wants)
                continue;
            int r = lock_op(fd, F_OFD_SETLK, wants ? F_RDLCK : F_UNLCK, kinds[k].base + bit, NULL);
            if (r)
                return r;
        }
    }
    return 0;
}

/* The byte of another that forbids what is wanted, or 0. */
static unsigned clash(int fd, BlockLock wanted, int *r)
{
    struct flock l;

    *r = 0;
    for (unsigned bit = 0; bit < BITS && !*r; bit++) {
        if (wanted.perm >> bit & 1) {
            *r = lock_op(fd, F_OFD_GETLK, F_WRLCK, UNSHARED_BASE + bit, &l);
            if (!*r && l.l_type != F_UNLCK)
                return UNSHARED_BASE + bit;
        }
        if (!*r && wanted.unshared >> bit & 1) {
            *r = lock_op(fd, F_OFD_GETLK, F_WRLCK, HELD_BASE + bit, &l);
            if (!*r && l.l_type != F_UNLCK)
                return HELD_BASE + bit;
        }
    }
    return 0;
}

static bool in_use(const char *file, const char *who, bool writing, GError **error)
{
    const char *hint = writing ? "read-only=on,force-share=on reads it nevertheless"
                               : "force-share=on reads it nevertheless; data may be stale";

    return fail(error, "%s: in use by %s\nhint: %s", file, who ? who : "another process", hint);
}

/* Both kinds at once, or none: a byte that is in the way, 0 if there is none or *r says what failed. */
static unsigned change(int fd, BlockLock *held, BlockLock wanted, int *r)
{
    BlockLock both = { held->perm | wanted.perm, held->unshared | wanted.unshared };
    unsigned byte = 0;

    *r = hold(fd, *held, both);
    /* first ours, then a look at the others': of two that come at once, at least one sees the
     * other */
    if (!*r)
        byte = clash(fd, wanted, r);
    if (*r || byte) {
        hold(fd, both, *held);
        return byte;
    }
    hold(fd, both, wanted);
    *held = wanted;
    return 0;
}

bool block_lock_change(int fd, const char *file, BlockLock *held, BlockLock wanted, GError **error)
{
    for (int tries = 0;; tries++) {
        int r;
        unsigned byte = change(fd, held, wanted, &r);
        if (!byte)
            return !r || fail_errno(error, -r, "%s: its lock cannot be taken", file);
        /* One that nobody is seen to hold may be of a process that was killed, whose requests to
         * the kernel end a little later than itself. */
        g_autofree char *who = holder(fd, byte);
        if (who || tries == DYING_TRIES)
            return in_use(file, who, wanted.perm & BLOCK_PERM_WRITE, error);
        g_usleep(DYING_PAUSE_US);
    }
}
