/* SPDX-License-Identifier: MIT */
/*
 * stat: its structure is the one of asm-generic in every new ISA, and another on x86-64.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "linux/call_priv.h"
#include "linux/host_numbers.h"
#include "linux/path_priv.h"

typedef struct GuestStat { /* struct stat of asm-generic */
    uint64_t dev, ino;
    uint32_t mode, nlink, uid, gid;
    uint64_t rdev, pad1;
    int64_t size;
    int32_t blksize, pad2;
    int64_t blocks;
    int64_t atime;
    uint64_t atime_nsec;
    int64_t mtime;
    uint64_t mtime_nsec;
    int64_t ctime;
    uint64_t ctime_nsec;
    uint32_t unused[2];
} GuestStat;

static int write_stat(uint64_t addr, const struct stat *host)
{
    GuestStat guest = {
        .dev = host->st_dev, .ino = host->st_ino, .mode = host->st_mode,
        .nlink = (uint32_t)host->st_nlink, .uid = host->st_uid, .gid = host->st_gid,
        .rdev = host->st_rdev, .size = host->st_size, .blksize = (int32_t)host->st_blksize,
        .blocks = host->st_blocks, .atime = host->st_atim.tv_sec,
        .atime_nsec = (uint64_t)host->st_atim.tv_nsec, .mtime = host->st_mtim.tv_sec,
        .mtime_nsec = (uint64_t)host->st_mtim.tv_nsec, .ctime = host->st_ctim.tv_sec,
        .ctime_nsec = (uint64_t)host->st_ctim.tv_nsec,
    };
    return guest_write(addr, &guest, sizeof guest);
}

int64_t call_newfstatat(LinuxThread *t, const uint64_t a[6])
{
    struct stat host;
    HostPath path;
    path_find(t, (int)a[0], a[1], a[3] & AT_SYMLINK_NOFOLLOW ? 0 : PATH_FOLLOW, &path);
    int64_t result = HOST_CALL(t, SYS_newfstatat, a[0], path.addr, (uint64_t)(uintptr_t)&host, a[3]);
    path_free(&path);
    return result ? result : write_stat(a[2], &host);
}

int64_t call_fstat(LinuxThread *t, const uint64_t a[6])
{
    struct stat host;
    int64_t result = HOST_CALL(t, SYS_fstat, a[0], (uint64_t)(uintptr_t)&host);
    return result ? result : write_stat(a[1], &host);
}

int64_t call_statx(LinuxThread *t, const uint64_t a[6])
{
    HostPath path;
    path_find(t, (int)a[0], a[1], a[2] & AT_SYMLINK_NOFOLLOW ? 0 : PATH_FOLLOW, &path);
    int64_t result = HOST_CALL(t, SYS_statx, a[0], path.addr, a[2], a[3], a[4]);
    path_free(&path);
    return result;
}
