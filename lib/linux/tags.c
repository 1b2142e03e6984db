/* SPDX-License-Identifier: MIT */
/*
 * Allocation tags of arm64's PROT_MTE: a byte for each 16 bytes of the guest's memory, 0 where there are
 * none, else 16 and the tag. The bytes are a mapping of their own above the guest's memory, which is there
 * from the first PROT_MTE on; a child of fork has a copy. Left out: tags of shared memory are each
 * process's own.
 */
#include <string.h>
#include <sys/mman.h>

#include "linux/linux_priv.h"

#define GRANULE 16u
#define LARGE ((uint64_t)1 << 20) /* bytes of tags that are dropped as pages rather than written */

/* With mm's lock held; false: the host has no room. */
static bool tags_there(LinuxMm *mm)
{
    if (mm->tags)
        return true;
    void *p = mmap(NULL, mm->limit / GRANULE, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return false;
    __atomic_store_n(&mm->tags, p, __ATOMIC_RELEASE);
    return true;
}

bool tags_add(LinuxMm *mm, uint64_t addr, uint64_t size)
{
    if (!tags_there(mm))
        return false;
    uint8_t *from = mm->tags + addr / GRANULE, *to = from + size / GRANULE;
    for (; from < to; from++)
        if (!*from)
            *from = LINUX_TAGGED;
    return true;
}

void tags_drop(LinuxMm *mm, uint64_t addr, uint64_t size)
{
    if (!mm->tags)
        return;
    uint8_t *from = mm->tags + addr / GRANULE, *to = from + size / GRANULE;
    if ((uint64_t)(to - from) >= LARGE) {
        uint8_t *page = (uint8_t *)(((uintptr_t)from + 4095) & ~(uintptr_t)4095);
        uint8_t *end = (uint8_t *)((uintptr_t)to & ~(uintptr_t)4095);
        if (!madvise(page, (size_t)(end - page), MADV_DONTNEED)) {
            memset(from, 0, (size_t)(page - from));
            from = end;
        }
    }
    memset(from, 0, (size_t)(to - from));
}

void tags_move(LinuxMm *mm, uint64_t from, uint64_t to, uint64_t size)
{
    if (mm->tags)
        memmove(mm->tags + to / GRANULE, mm->tags + from / GRANULE, size / GRANULE);
}
