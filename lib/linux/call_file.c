/* SPDX-License-Identifier: MIT */
/*
 * Opening, closing and numbering of files. What differs from the host's calls: paths below the sysroot
 * and under /proc (path.c, proc.c), and descriptors of our own that are not there for the guest (fd.c).
 */
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "linux/call_priv.h"
#include "linux/fd_priv.h"
#include "linux/host_numbers.h"
#include "linux/path_priv.h"

/* ---- Opening ------------------------------------------------------------------- */

uint64_t open_flags_convert(const LinuxAbi *abi, uint64_t flags, bool to_host)
{
    uint64_t from = 0, to = 0;
    for (const LinuxBits *b = abi->open_flags; b && b->guest; b++) {
        from |= to_host ? b->guest : b->host;
        if (flags & (to_host ? b->guest : b->host))
            to |= to_host ? b->host : b->guest;
    }
    return (flags & ~from) | to;
}

void open_flags_of_call(const LinuxAbi *abi, const LinuxCall *call, uint64_t args[6])
{
    const char *kinds = call->args + (*call->args == '<' || *call->args == '>' || *call->args == '~');
    for (unsigned i = 0; i < 6 && kinds[i]; i++)
        if (kinds[i] == 'O' || kinds[i] == 'E')
            args[i] = open_flags_convert(abi, args[i], true);
}

/* F_GETFL, F_SETFL */
int64_t call_fcntl(LinuxThread *t, const uint64_t a[6])
{
    const LinuxAbi *abi = t->process->abi;
    uint64_t arg = (int)a[1] == F_SETFL ? open_flags_convert(abi, a[2], true) : a[2];
    int64_t result = HOST_CALL(t, SYS_fcntl, a[0], a[1], arg);
    if ((int)a[1] == F_GETFL && result >= 0)
        result = (int64_t)open_flags_convert(abi, (uint64_t)result, false);
    return result;
}

static unsigned open_path_flags(uint64_t flags)
{
    unsigned path = flags & O_NOFOLLOW ? 0 : PATH_FOLLOW;
    if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL) || (flags & O_TMPFILE) == O_TMPFILE)
        path |= PATH_AS_IT_IS;
    return path;
}

/* Whether the file is to be made up for this open: else the host answers, with an error mostly. */
static bool is_made_up(ProcFile file, uint64_t flags)
{
    return file > PROC_EXE && (flags & O_ACCMODE) == O_RDONLY && !(flags & (O_PATH | O_DIRECTORY));
}

int64_t call_openat(LinuxThread *t, const uint64_t a[6])
{
    HostPath path;
    path_find(t, (int)a[0], a[1], open_path_flags(a[2]), &path);
    if (is_made_up(path.proc, a[2]))
        return proc_open(t, path.proc, path.tid, (int)a[2]);
    int64_t fd = HOST_CALL(t, SYS_openat, a[0], path.addr, a[2], a[3]);
    path_free(&path);
    return fd;
}

int64_t call_openat2(LinuxThread *t, const uint64_t a[6])
{
    struct {
        uint64_t flags, mode, resolve;
    } how;
    if (a[3] < sizeof how || guest_read(&how, a[2], sizeof how))
        return linux_host_call(t, SYS_openat2, a);
    how.flags = open_flags_convert(t->process->abi, how.flags, true);
    /* a longer struct is the host's to judge, as it is */
    uint64_t at = a[3] == sizeof how ? (uint64_t)(uintptr_t)&how : a[2];
    if (how.resolve)
        return HOST_CALL(t, SYS_openat2, a[0], a[1], at, a[3]);
    HostPath path;
    path_find(t, (int)a[0], a[1], open_path_flags(how.flags), &path);
    if (is_made_up(path.proc, how.flags))
        return proc_open(t, path.proc, path.tid, (int)how.flags);
    int64_t fd = HOST_CALL(t, SYS_openat2, a[0], path.addr, at, a[3]);
    path_free(&path);
    return fd;
}

static int64_t access_call(LinuxThread *t, long number, const uint64_t a[6], bool follow)
{
    HostPath path;
    path_find(t, (int)a[0], a[1], follow ? PATH_FOLLOW : 0, &path);
    int64_t result = HOST_CALL(t, number, a[0], path.addr, a[2], a[3]);
    path_free(&path);
    return result;
}

int64_t call_faccessat(LinuxThread *t, const uint64_t a[6])
{
    return access_call(t, SYS_faccessat, a, true);
}

int64_t call_faccessat2(LinuxThread *t, const uint64_t a[6])
{
    return access_call(t, SYS_faccessat2, a, !(a[3] & AT_SYMLINK_NOFOLLOW));
}

int64_t call_readlinkat(LinuxThread *t, const uint64_t a[6])
{
    const LinuxProcess *p = t->process;
    HostPath path;
    path_find(t, (int)a[0], a[1], 0, &path);
    if (path.proc == PROC_EXE && (int)a[3] > 0) {
        size_t size = MIN(strlen(p->exe), (size_t)(int)a[3]);
        int error = guest_write(a[2], p->exe, size);
        return error ? error : (int64_t)size;
    }
    int64_t result = HOST_CALL(t, SYS_readlinkat, a[0], path.addr, a[2], a[3]);
    path_free(&path);
    return result;
}

/* ---- Descriptors ------------------------------------------------------------------ */

#define RANGE_UNSHARE 2u
#define RANGE_CLOEXEC 4u

/* Ours are closed by exec anyhow; else the range is closed in pieces around them. */
int64_t call_close_range(LinuxThread *t, const uint64_t a[6])
{
    uint64_t first = (uint32_t)a[0], last = (uint32_t)a[1], flags = a[2];
    int own[OWN_FDS];
    unsigned n = fd_own(t->process, own);
    if (first > last || (flags & RANGE_CLOEXEC))
        return linux_host_call(t, SYS_close_range, a);
    for (unsigned i = 0; i < n; i++) {
        uint64_t fd = (uint64_t)own[i];
        if (fd < first || fd > last)
            continue;
        if (fd > first) {
            int64_t result = HOST_CALL(t, SYS_close_range, first, fd - 1, flags);
            if (result < 0)
                return result;
            flags &= ~(uint64_t)RANGE_UNSHARE;
        }
        first = fd + 1;
    }
    if (first > last) /* nothing but ours, or ours at the end: still checks the flags */
        first = last = UINT32_MAX;
    return HOST_CALL(t, SYS_close_range, first, last, flags);
}

int64_t call_dup3(LinuxThread *t, const uint64_t a[6])
{
    int error = fd_give_way(t, (int)a[1]);
    return error ? error : linux_host_call(t, SYS_dup3, a);
}

/* ---- Directories -------------------------------------------------------------------- */

enum { ENTRY_SIZE = 16, ENTRY_TYPE = 18, ENTRY_NAME = 19 }; /* struct linux_dirent64 */

/* Whether fd is the directory of this process's descriptors. */
static bool lists_descriptors(int fd)
{
    char link[32], dir[PATH_MAX];
    g_snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, dir, sizeof dir - 1);
    if (n < 0)
        return false;
    dir[n] = 0;
    const char *name = strrchr(dir, '/');
    return !strncmp(dir, "/proc/", 6) && (!strcmp(name, "/fd") || !strcmp(name, "/fdinfo"));
}

static bool is_own_name(const LinuxProcess *p, const char *name)
{
    char *end;
    if (name[0] < '1' || name[0] > '9')
        return false;
    long fd = strtol(name, &end, 10);
    return !*end && fd <= INT_MAX && fd_is_own(p, (int)fd);
}

/* Takes the entries of our own descriptors out of size bytes of a directory at addr: what is left. */
static int64_t without_own(const LinuxProcess *p, int fd, uint64_t addr, int64_t size)
{
    bool known = false;
    for (int64_t at = 0; at + ENTRY_NAME < size;) {
        uint64_t entry = addr + (uint64_t)at;
        uint16_t length;
        char name[12] = "";
        if (guest_read(&length, entry + ENTRY_SIZE, sizeof length) || length < ENTRY_NAME)
            break;
        size_t room = MIN((size_t)length - ENTRY_NAME, sizeof name - 1);
        if (guest_read(name, entry + ENTRY_NAME, room))
            break;
        if (!is_own_name(p, name) || (!known && !lists_descriptors(fd))) {
            at += length;
            continue;
        }
        known = true;
        if (!guest_copy(guest_ptr(entry), guest_ptr(entry + length), (size_t)(size - at - length)))
            break;
        size -= length;
    }
    return size;
}

int64_t call_getdents64(LinuxThread *t, const uint64_t a[6])
{
    int64_t size, left;
    do { /* nothing would mean the end: on with what follows our own */
        size = linux_host_call(t, SYS_getdents64, a);
        left = size <= 0 ? size : without_own(t->process, (int)a[0], a[1], size);
    } while (size > 0 && !left);
    return left;
}
