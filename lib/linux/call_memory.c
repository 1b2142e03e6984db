/* SPDX-License-Identifier: MIT */
/* System calls on the guest's memory maps: mm.c does them. */
#include <sys/mman.h>

#include "linux/call_priv.h"

int64_t call_mmap(LinuxThread *t, const uint64_t a[6])
{
    int64_t at = mm_mmap(&t->process->mm, a[0], a[1], (int)a[2], (int)a[3], (int)a[4], a[5],
                         VMA_PLAIN);
    if (at > 0 && !(a[3] & MAP_ANONYMOUS))
        uring_mapped(t->process, (int)a[4], a[5], (uint64_t)at);
    return at;
}

int64_t call_munmap(LinuxThread *t, const uint64_t a[6])
{
    return mm_munmap(&t->process->mm, a[0], a[1]);
}

int64_t call_mprotect(LinuxThread *t, const uint64_t a[6])
{
    return mm_mprotect(&t->process->mm, a[0], a[1], (int)a[2]);
}

int64_t call_mremap(LinuxThread *t, const uint64_t a[6])
{
    return mm_mremap(&t->process->mm, a[0], a[1], a[2], (int)a[3], a[4]);
}

int64_t call_brk(LinuxThread *t, const uint64_t a[6])
{
    return mm_brk(&t->process->mm, a[0]);
}

int64_t call_madvise(LinuxThread *t, const uint64_t a[6])
{
    return mm_madvise(&t->process->mm, a[0], a[1], (int)a[2]);
}

int64_t call_shmat(LinuxThread *t, const uint64_t a[6])
{
    return mm_shmat(&t->process->mm, (int)a[0], a[1], (int)a[2]);
}

int64_t call_shmdt(LinuxThread *t, const uint64_t a[6])
{
    return mm_shmdt(&t->process->mm, a[0]);
}

/* start, end, flags: for this thread only, or all; here it is for all in any case. */
int64_t call_riscv_flush_icache(LinuxThread *t, const uint64_t a[6])
{
    if (a[2] & ~UINT64_C(1))
        return -EINVAL;
    mm_code_fence(&t->process->mm, a[0], a[1] > a[0] ? a[1] - a[0] : UINT64_MAX);
    return 0;
}
