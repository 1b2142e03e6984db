/* SPDX-License-Identifier: MIT */
/*
 * System V semaphores. Of the three structures that IPC_STAT fills only semid64_ds is laid out in another
 * way on x86-64, which left room for the second halves of times in between.
 */
#include <string.h>

#include "linux/call_priv.h"
#include "linux/host_numbers.h"

#define SEM_IPC_STAT 2
#define SEM_IPC_SET 1
#define SEM_STAT_ 18
#define SEM_STAT_ANY_ 20

typedef struct Perm { /* struct ipc64_perm, alike in both */
    uint8_t bytes[48];
} Perm;

typedef struct GuestSemid { /* struct semid64_ds of asm-generic */
    Perm perm;
    uint64_t otime, ctime, nsems, unused[2];
} GuestSemid;

typedef struct HostSemid { /* and of x86 */
    Perm perm;
#ifdef __x86_64__
    uint64_t otime, unused1, ctime, unused2, nsems, unused[2];
#else
    uint64_t otime, ctime, nsems, unused[2];
#endif
} HostSemid;

int64_t call_semctl(LinuxThread *t, const uint64_t a[6])
{
    HostSemid host;
    GuestSemid guest;
    uint64_t fourth = (uint64_t)(uintptr_t)&host;
    memset(&host, 0, sizeof host);
    memset(&guest, 0, sizeof guest);

    switch ((int)a[2]) {
    case SEM_IPC_SET: {
        int error = guest_read(&guest, a[3], sizeof guest);
        if (error)
            return error;
        host.perm = guest.perm; /* nothing else can be set */
        return HOST_CALL(t, SYS_semctl, a[0], a[1], a[2], fourth);
    }
    case SEM_IPC_STAT:
    case SEM_STAT_:
    case SEM_STAT_ANY_: {
        int64_t result = HOST_CALL(t, SYS_semctl, a[0], a[1], a[2], fourth);
        if (result < 0)
            return result;
        guest.perm = host.perm;
        guest.otime = host.otime;
        guest.ctime = host.ctime;
        guest.nsems = host.nsems;
        int error = guest_write(a[3], &guest, sizeof guest);
        return error ? error : result;
    }
    default:
        return linux_host_call(t, SYS_semctl, a);
    }
}
