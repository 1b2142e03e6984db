/* SPDX-License-Identifier: MIT */
/*
 * The guest's memory maps. Guest addresses are host addresses, so every change is made in the host's
 * own address space and noted here; what the guest did not get from here is not its own and is never
 * given away: the host's parts of the process lie above the guest's limit, but for the translator's
 * code, which is a mapping of kind VMA_HOST.
 *
 * A page that the guest may execute is only readable on the host, since what runs is made from it.
 * Code made from a page is dropped when its mapping changes; when its contents may have changed without
 * that, the guest says so (mm_code_fence).
 *
 * Room for a mapping is searched downward from where the last was found; what is freed above moves the
 * start of the search up again.
 */
#include <linux/magic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/error.h"
#include "linux/linux_priv.h"

#define PAGE UINT64_C(4096)
#define PAGE_UP(x) (((x) + PAGE - 1) & ~(PAGE - 1))
/* flags that choose an address, or that would tie the mapping to the host's stack */
#define PLACING (MAP_FIXED | MAP_FIXED_NOREPLACE | MAP_32BIT | MAP_GROWSDOWN)

static int compare(const void *a, const void *b, void *unused)
{
    uint64_t x = ((const Vma *)a)->start, y = ((const Vma *)b)->start;
    return x < y ? -1 : x > y;
}

bool mm_start(LinuxMm *mm, uint64_t min, uint64_t limit, uint64_t top, GError **error)
{
    if (min >= limit || top > limit)
        return fail(error, "no room for the guest's addresses");
    g_mutex_init(&mm->lock);
    g_mutex_init(&mm->guards_lock);
    mm->vmas = g_tree_new_full(compare, NULL, NULL, g_free);
    mm->min = min;
    mm->limit = limit;
    mm->top = mm->cursor = top;
    mm->space_limit = mm->data_limit = UINT64_MAX;
    return true;
}

static Vma *vma_of(GTreeNode *node)
{
    return node ? g_tree_node_key(node) : NULL;
}

/* The first mapping that ends above addr. */
static GTreeNode *first_above(const LinuxMm *mm, uint64_t addr)
{
    Vma key = {.start = addr};
    GTreeNode *node = g_tree_upper_bound(mm->vmas, &key);
    GTreeNode *before = node ? g_tree_node_previous(node) : g_tree_node_last(mm->vmas);
    return before && vma_of(before)->end > addr ? before : node;
}

static bool is_free(const LinuxMm *mm, uint64_t addr, uint64_t size)
{
    const Vma *v = vma_of(first_above(mm, addr));
    return !v || v->start >= addr + size;
}

static bool in_range(const LinuxMm *mm, uint64_t addr, uint64_t size)
{
    return addr >= mm->min && addr < mm->limit && size <= mm->limit - addr;
}

/* The host's own things are in the way. */
static bool hits_host(const LinuxMm *mm, uint64_t addr, uint64_t size)
{
    for (GTreeNode *n = first_above(mm, addr); n && vma_of(n)->start < addr + size;
         n = g_tree_node_next(n))
        if (vma_of(n)->kind == VMA_HOST)
            return true;
    return false;
}

/* The highest gap of `size` bytes that ends at `from` or lower; 0: none. */
static uint64_t gap_below(const LinuxMm *mm, uint64_t from, uint64_t size)
{
    GTreeNode *node = first_above(mm, from);
    uint64_t end = from;
    if (node && vma_of(node)->start < from)
        end = vma_of(node)->start;
    node = node ? g_tree_node_previous(node) : g_tree_node_last(mm->vmas);
    for (; node; node = g_tree_node_previous(node)) {
        const Vma *v = vma_of(node);
        if (v->end <= end && end - v->end >= size)
            return end - size;
        end = MIN(end, v->start);
    }
    return end >= mm->min && end - mm->min >= size ? end - size : 0;
}

/* The lowest gap from `from` up; 0: none. */
static uint64_t gap_above(const LinuxMm *mm, uint64_t from, uint64_t size)
{
    for (GTreeNode *n = first_above(mm, from); n; n = g_tree_node_next(n)) {
        const Vma *v = vma_of(n);
        if (v->start >= from && v->start - from >= size)
            return from;
        from = v->end;
    }
    return in_range(mm, from, size) ? from : 0;
}

static uint64_t find_room(LinuxMm *mm, uint64_t size)
{
    uint64_t addr = gap_below(mm, mm->cursor, size);
    if (!addr && mm->cursor != mm->top)
        addr = gap_below(mm, mm->top, size);
    if (!addr)
        return gap_above(mm, mm->top, size);
    mm->cursor = addr;
    return addr;
}

/* ---- The tree ------------------------------------------------------------------ */

static void set_guards(LinuxMm *mm, uint64_t addr, uint64_t size, bool on)
{
    if (!on && !mm->guards)
        return;
    g_mutex_lock(&mm->guards_lock);
    if (!mm->guards)
        __atomic_store_n(&mm->guards, g_hash_table_new(NULL, NULL), __ATOMIC_RELEASE);
    GHashTableIter i;
    gpointer page;
    if (!on && size / PAGE > g_hash_table_size(mm->guards)) {
        g_hash_table_iter_init(&i, mm->guards);
        while (g_hash_table_iter_next(&i, &page, NULL))
            if (GPOINTER_TO_SIZE(page) * PAGE - addr < size)
                g_hash_table_iter_remove(&i);
    } else {
        for (uint64_t at = addr; at < addr + size; at += PAGE)
            if (on)
                g_hash_table_add(mm->guards, GSIZE_TO_POINTER(at / PAGE));
            else
                g_hash_table_remove(mm->guards, GSIZE_TO_POINTER(at / PAGE));
    }
    g_mutex_unlock(&mm->guards_lock);
}

bool mm_guards(LinuxMm *mm)
{
    return __atomic_load_n(&mm->guards, __ATOMIC_ACQUIRE) != NULL;
}

bool mm_guarded(LinuxMm *mm, uint64_t addr)
{
    if (!mm_guards(mm))
        return false;
    g_mutex_lock(&mm->guards_lock);
    bool is = g_hash_table_contains(mm->guards, GSIZE_TO_POINTER(addr / PAGE));
    g_mutex_unlock(&mm->guards_lock);
    return is;
}

static bool is_guarded(int prot)
{
    return (prot & (LINUX_PROT_BTI | PROT_EXEC)) == (LINUX_PROT_BTI | PROT_EXEC);
}

static void insert(LinuxMm *mm, Vma v)
{
    if (is_guarded(v.prot))
        set_guards(mm, v.start, v.end - v.start, true);
    if (v.prot & LINUX_PROT_MTE)
        tags_add(mm, v.start, v.end - v.start);
    Vma *copy = g_new(Vma, 1);
    *copy = v;
    GTreeNode *node = g_tree_insert_node(mm->vmas, copy, copy);
    GTreeNode *other = g_tree_node_previous(node);
    Vma *before = vma_of(other), *after = vma_of(g_tree_node_next(node));
#define ALIKE(a, b) ((a)->prot == (b)->prot && (a)->kind == (b)->kind && \
                     (a)->shared == (b)->shared && (a)->kind != VMA_SHM)
    if (after && after->start == copy->end && ALIKE(copy, after)) {
        copy->end = after->end;
        g_tree_remove(mm->vmas, after);
    }
    if (before && before->end == copy->start && ALIKE(before, copy)) {
        before->end = copy->end;
        g_tree_remove(mm->vmas, copy);
    }
#undef ALIKE
}

/* Makes addr a border between mappings. */
static void split_at(LinuxMm *mm, uint64_t addr)
{
    Vma *v = vma_of(first_above(mm, addr));
    if (!v || v->start >= addr)
        return;
    Vma *upper = g_new(Vma, 1);
    *upper = *v;
    upper->start = addr;
    v->end = addr;
    g_tree_insert(mm->vmas, upper, upper);
}

/* Forgets addr..+size; true if code may have been made from it. */
static bool forget(LinuxMm *mm, uint64_t addr, uint64_t size)
{
    bool code = false;
    set_guards(mm, addr, size, false);
    tags_drop(mm, addr, size);
    split_at(mm, addr);
    split_at(mm, addr + size);
    for (;;) {
        Vma *v = vma_of(first_above(mm, addr));
        if (!v || v->start >= addr + size)
            break;
        code = code || v->prot & PROT_EXEC;
        g_tree_remove(mm->vmas, v);
    }
    if (addr + size > mm->cursor && addr < mm->top)
        mm->cursor = MIN(addr + size, mm->top);
    return code;
}

static void drop_code(LinuxMm *mm, uint64_t addr, uint64_t size)
{
    if (mm->translator)
        translate_invalidate(mm->translator, addr, size);
}

static int host_prot(int prot)
{
    return (prot & (PROT_READ | PROT_WRITE)) | (prot & PROT_EXEC ? PROT_READ : 0);
}

/* ---- System calls ------------------------------------------------------------------ */

void mm_reserve(LinuxMm *mm, uint64_t addr, uint64_t size)
{
    if (addr < mm->limit)
        insert(mm, (Vma){addr, addr + PAGE_UP(size), PROT_NONE, VMA_HOST, true});
}

/* The rings of io_uring cannot be mapped at an address of our choice: the kernel's own one, as low as
   it has them, so that it is one that the guest may have. */
static int64_t map_anywhere(LinuxMm *mm, Vma v, int flags, int fd, uint64_t offset)
{
#ifdef MAP_32BIT
    uint64_t size = v.end - v.start;
    void *p = mmap(NULL, size, host_prot(v.prot), (flags & ~PLACING) | MAP_32BIT, fd, (off_t)offset);
    if (p == MAP_FAILED)
        return -errno;
    v.start = (uint64_t)(uintptr_t)p;
    v.end = v.start + size;
    if (in_range(mm, v.start, size) && is_free(mm, v.start, size)) {
        insert(mm, v);
        return (int64_t)v.start;
    }
    munmap(p, size);
#endif
    return -EINVAL;
}

void mm_limit(LinuxMm *mm, uint64_t space, uint64_t data)
{
    g_mutex_lock(&mm->lock);
    mm->space_limit = space;
    mm->data_limit = data;
    g_mutex_unlock(&mm->lock);
}

static bool is_data(const Vma *v)
{
    return !v->shared && v->prot & PROT_WRITE && v->kind != VMA_STACK;
}

/* Whether `more` bytes with v's rights, v itself apart, would be more than the limits allow. */
static bool beyond_limits(LinuxMm *mm, const Vma *v, uint64_t more)
{
    uint64_t space = more, data = is_data(v) ? more : 0;
    if (mm->space_limit == UINT64_MAX && mm->data_limit == UINT64_MAX)
        return false;
    for (GTreeNode *n = g_tree_node_first(mm->vmas); n; n = g_tree_node_next(n)) {
        const Vma *other = vma_of(n);
        if (other->kind == VMA_HOST)
            continue;
        uint64_t size = other->end - other->start;
        if (v->start < other->end && other->start < v->end) /* goes */
            size -= MIN(v->end, other->end) - MAX(v->start, other->start);
        space += size;
        data += is_data(other) ? size : 0;
    }
    return space > mm->space_limit || (is_data(v) && data > mm->data_limit);
}

/* Maps at addr, which was chosen here or is the guest's own choice. */
static int64_t map_at(LinuxMm *mm, Vma v, int flags, int fd, uint64_t offset, bool chosen)
{
    uint64_t size = v.end - v.start;
    int how = (flags & ~PLACING) | (chosen ? MAP_FIXED_NOREPLACE : MAP_FIXED);
    void *p = mmap(guest_ptr(v.start), size, host_prot(v.prot), how, fd, (off_t)offset);
    if (p == MAP_FAILED)
        return -errno;
    if (p != guest_ptr(v.start)) { /* a kernel that takes NOREPLACE for a hint */
        munmap(p, size);
        return -EEXIST;
    }
    if (forget(mm, v.start, size))
        drop_code(mm, v.start, size);
    insert(mm, v);
    return (int64_t)v.start;
}

/* Memory that is a file's on a disk has none. */
static bool has_tags(int flags, int fd)
{
    struct statfs fs;
    return flags & MAP_ANONYMOUS || (!fstatfs(fd, &fs) && fs.f_type == TMPFS_MAGIC);
}

int64_t mm_mmap(LinuxMm *mm, uint64_t addr, uint64_t size, int prot, int flags, int fd,
                uint64_t offset, VmaKind kind)
{
    bool fixed = flags & (MAP_FIXED | MAP_FIXED_NOREPLACE);
    int64_t result;
    if (!size || offset & (PAGE - 1) || (fixed && addr & (PAGE - 1)))
        return -EINVAL;
    if (size > mm->limit)
        return -ENOMEM;
    size = PAGE_UP(size);
    if (prot & mm->more_prot & LINUX_PROT_MTE && !has_tags(flags, fd))
        return -EINVAL;
    Vma v = {.prot = (uint8_t)(prot & (7 | mm->more_prot)), .kind = (uint8_t)kind,
             .shared = (flags & MAP_TYPE) != MAP_PRIVATE};
    g_mutex_lock(&mm->lock);
    if (fixed) {
        if (!in_range(mm, addr, size))
            result = addr < mm->min ? -EPERM : -ENOMEM;
        else if (flags & MAP_FIXED_NOREPLACE && !is_free(mm, addr, size))
            result = -EEXIST;
        else if (hits_host(mm, addr, size))
            result = -ENOMEM;
        else
            result = 0;
        v.start = addr;
    } else {
        addr &= ~(PAGE - 1);
        result = 0;
        v.start = addr && in_range(mm, addr, size) && is_free(mm, addr, size) ? addr
                                                                               : find_room(mm, size);
        if (!v.start)
            result = -ENOMEM;
    }
    v.end = v.start + size;
    if (!result && beyond_limits(mm, &v, size))
        result = -ENOMEM;
    if (!result) {
        bool chosen = !fixed || is_free(mm, v.start, size);
        result = map_at(mm, v, flags, fd, offset, chosen);
        /* something of the host's that is not known here: elsewhere, then */
        for (unsigned i = 0; result == -EEXIST && !fixed && i < 64; i++) {
            mm->cursor = v.start;
            v.start = find_room(mm, size);
            v.end = v.start + size;
            result = v.start ? map_at(mm, v, flags, fd, offset, true) : -ENOMEM;
        }
        if (result == -EEXIST && !(flags & MAP_FIXED_NOREPLACE))
            result = -ENOMEM;
        if (result == -EINVAL && !fixed && fd >= 0)
            result = map_anywhere(mm, v, flags, fd, offset);
    }
    g_mutex_unlock(&mm->lock);
    return result;
}

int64_t mm_munmap(LinuxMm *mm, uint64_t addr, uint64_t size)
{
    if (addr & (PAGE - 1) || !size || size > mm->limit || addr >= mm->limit ||
        PAGE_UP(size) > mm->limit - addr)
        return -EINVAL;
    size = PAGE_UP(size);
    int64_t result = 0;
    g_mutex_lock(&mm->lock);
    if (hits_host(mm, addr, size))
        result = -EINVAL;
    else if (munmap(guest_ptr(addr), size) < 0)
        result = -errno;
    else if (forget(mm, addr, size))
        drop_code(mm, addr, size);
    g_mutex_unlock(&mm->lock);
    return result;
}

/* Whether all of addr..+size is mapped by the guest. */
static bool all_mapped(const LinuxMm *mm, uint64_t addr, uint64_t size)
{
    uint64_t at = addr;
    for (GTreeNode *n = first_above(mm, addr); n && at < addr + size; n = g_tree_node_next(n)) {
        const Vma *v = vma_of(n);
        if (v->start > at || v->kind == VMA_HOST)
            return false;
        at = v->end;
    }
    return at >= addr + size;
}

int64_t mm_mprotect(LinuxMm *mm, uint64_t addr, uint64_t size, int prot)
{
    if (addr & (PAGE - 1))
        return -EINVAL;
    if (!size)
        return 0;
    if (prot & ~(PROT_READ | PROT_WRITE | PROT_EXEC | mm->more_prot))
        return -EINVAL;
    if (!in_range(mm, addr, size) || PAGE_UP(size) > mm->limit - addr)
        return -ENOMEM;
    size = PAGE_UP(size);
    int64_t result = 0;
    g_mutex_lock(&mm->lock);
    if (!all_mapped(mm, addr, size)) {
        result = -ENOMEM;
    } else if (mprotect(guest_ptr(addr), size, host_prot(prot)) < 0) {
        result = -errno;
    } else {
        bool code = false;
        split_at(mm, addr);
        split_at(mm, addr + size);
        for (GTreeNode *n = first_above(mm, addr); n && vma_of(n)->start < addr + size;
             n = g_tree_node_next(n)) {
            Vma *v = vma_of(n);
            code = code || v->prot & PROT_EXEC;
            v->prot = (uint8_t)(prot | (v->prot & LINUX_PROT_MTE)); /* which is not taken back */
            if (v->prot & LINUX_PROT_MTE)
                tags_add(mm, v->start, v->end - v->start);
        }
        set_guards(mm, addr, size, is_guarded(prot));
        if (code)
            drop_code(mm, addr, size);
    }
    g_mutex_unlock(&mm->lock);
    return result;
}

static int64_t grow(LinuxMm *mm, Vma v, uint64_t old, uint64_t old_size, uint64_t size, int flags)
{
    uint64_t more = size - old_size;
    void *p;
    Vma grown = v;
    grown.start = grown.end = 0;
    if (beyond_limits(mm, &grown, flags & MREMAP_DONTUNMAP ? size : more))
        return -ENOMEM;
    if (old_size && more && in_range(mm, old, size) && is_free(mm, old + old_size, more)) {
        p = mremap(guest_ptr(old), old_size, size, 0);
        if (p != MAP_FAILED) {
            v.start = old + old_size;
            v.end = old + size;
            insert(mm, v);
            return (int64_t)old;
        }
        if (errno != ENOMEM)
            return -errno;
    }
    if (!(flags & MREMAP_MAYMOVE))
        return -ENOMEM;
    uint64_t to = find_room(mm, size);
    if (!to)
        return -ENOMEM;
    p = mremap(guest_ptr(old), old_size, size, flags | MREMAP_FIXED, guest_ptr(to));
    if (p == MAP_FAILED)
        return -errno;
    if (v.prot & LINUX_PROT_MTE)
        tags_move(mm, old, to, MIN(old_size, size));
    if (old_size && !(flags & MREMAP_DONTUNMAP) && forget(mm, old, old_size))
        drop_code(mm, old, old_size);
    v.start = to;
    v.end = to + size;
    insert(mm, v);
    return (int64_t)to;
}

static int64_t move_to(LinuxMm *mm, Vma v, uint64_t old, uint64_t old_size, uint64_t size, int flags,
                       uint64_t to)
{
    if (to & (PAGE - 1) || (old < to + size && to < old + old_size))
        return -EINVAL;
    if (!in_range(mm, to, size) || hits_host(mm, to, size))
        return -ENOMEM;
    if (mremap(guest_ptr(old), old_size, size, flags, guest_ptr(to)) == MAP_FAILED)
        return -errno;
    if (forget(mm, to, size))
        drop_code(mm, to, size);
    if (old_size && !(flags & MREMAP_DONTUNMAP) && forget(mm, old, old_size))
        drop_code(mm, old, old_size);
    v.start = to;
    v.end = to + size;
    insert(mm, v);
    return (int64_t)to;
}

int64_t mm_mremap(LinuxMm *mm, uint64_t old, uint64_t old_size, uint64_t size, int flags,
                  uint64_t to)
{
    if (flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP) || old & (PAGE - 1) || !size ||
        ((flags & MREMAP_FIXED) && !(flags & MREMAP_MAYMOVE)) ||
        ((flags & MREMAP_DONTUNMAP) && (!(flags & MREMAP_MAYMOVE) || old_size != size)))
        return -EINVAL;
    if (size > mm->limit || old_size > mm->limit)
        return -ENOMEM;
    size = PAGE_UP(size);
    old_size = PAGE_UP(old_size);
    int64_t result;
    g_mutex_lock(&mm->lock);
    const Vma *found = vma_of(first_above(mm, old));
    if (!found || found->start > old || found->end < old + old_size || found->kind == VMA_HOST) {
        result = -EFAULT;
    } else if (flags & MREMAP_FIXED) {
        result = move_to(mm, *found, old, old_size, size, flags, to);
    } else if (size < old_size) {
        if (munmap(guest_ptr(old + size), old_size - size) < 0)
            result = -errno;
        else
            result = (int64_t)old;
        if (result >= 0 && forget(mm, old + size, old_size - size))
            drop_code(mm, old + size, old_size - size);
    } else if (size == old_size && !(flags & MREMAP_DONTUNMAP)) {
        result = (int64_t)old;
    } else {
        result = grow(mm, *found, old, old_size, size, flags);
    }
    g_mutex_unlock(&mm->lock);
    return result;
}

int64_t mm_brk(LinuxMm *mm, uint64_t brk)
{
    g_mutex_lock(&mm->lock);
    uint64_t old = PAGE_UP(mm->brk), new = PAGE_UP(brk);
    if (brk >= mm->brk_start && brk < mm->limit) {
        if (new > old && is_free(mm, old, new - old)) {
            Vma v = {old, new, PROT_READ | PROT_WRITE, VMA_HEAP, false};
            if (!beyond_limits(mm, &v, new - old) &&
                map_at(mm, v, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0, true) >= 0)
                mm->brk = brk;
        } else if (new < old) {
            munmap(guest_ptr(new), old - new);
            forget(mm, new, old - new);
            mm->brk = brk;
        } else if (new == old) {
            mm->brk = brk;
        }
    }
    int64_t result = (int64_t)mm->brk;
    g_mutex_unlock(&mm->lock);
    return result;
}

int64_t mm_madvise(LinuxMm *mm, uint64_t addr, uint64_t size, int advice)
{
    int64_t result = 0;
    if (addr & (PAGE - 1))
        return -EINVAL;
    if (!size)
        return 0;
    if (size > mm->limit || !in_range(mm, addr, PAGE_UP(size)))
        return -ENOMEM;
    size = PAGE_UP(size);
    g_mutex_lock(&mm->lock);
    bool host = hits_host(mm, addr, size), code = false;
    for (GTreeNode *n = first_above(mm, addr); n && vma_of(n)->start < addr + size;
         n = g_tree_node_next(n))
        code = code || vma_of(n)->prot & PROT_EXEC;
    if (host)
        result = -ENOMEM;
    else if (madvise(guest_ptr(addr), size, advice) < 0)
        result = -errno;
    if (code && (advice == MADV_DONTNEED || advice == MADV_FREE || advice == MADV_REMOVE))
        drop_code(mm, addr, size);
    g_mutex_unlock(&mm->lock);
    return result;
}

int64_t mm_shmat(LinuxMm *mm, int id, uint64_t addr, int flags)
{
    struct shmid_ds ds;
    if (shmctl(id, IPC_STAT, &ds) < 0)
        return -errno;
    uint64_t size = PAGE_UP(ds.shm_segsz);
    if (addr & (PAGE - 1)) {
        if (!(flags & SHM_RND))
            return -EINVAL;
        addr &= ~(PAGE - 1);
    }
    int64_t result;
    g_mutex_lock(&mm->lock);
    bool given = addr != 0;
    if (!given)
        addr = find_room(mm, size);
    if (!addr || !in_range(mm, addr, size) || hits_host(mm, addr, size))
        result = given ? -EINVAL : -ENOMEM;
    else if (!(flags & SHM_REMAP) && !is_free(mm, addr, size))
        result = -EINVAL;
    else if (shmat(id, guest_ptr(addr), flags & ~SHM_EXEC) == (void *)-1)
        result = -errno;
    else
        result = (int64_t)addr;
    if (result > 0) {
        if (forget(mm, addr, size))
            drop_code(mm, addr, size);
        int prot = PROT_READ | (flags & SHM_RDONLY ? 0 : PROT_WRITE) |
                   (flags & SHM_EXEC ? PROT_EXEC : 0);
        insert(mm, (Vma){addr, addr + size, (uint8_t)prot, VMA_SHM, true});
    }
    g_mutex_unlock(&mm->lock);
    return result;
}

int64_t mm_shmdt(LinuxMm *mm, uint64_t addr)
{
    int64_t result = -EINVAL;
    g_mutex_lock(&mm->lock);
    const Vma *v = vma_of(first_above(mm, addr));
    if (v && v->start == addr && v->kind == VMA_SHM) {
        uint64_t size = v->end - v->start;
        result = shmdt(guest_ptr(addr)) < 0 ? -errno : 0;
        if (!result && forget(mm, addr, size))
            drop_code(mm, addr, size);
    }
    g_mutex_unlock(&mm->lock);
    return result;
}

bool mm_find(LinuxMm *mm, uint64_t addr, Vma *out)
{
    g_mutex_lock(&mm->lock);
    const Vma *v = vma_of(first_above(mm, addr));
    bool found = v && v->start <= addr && v->kind != VMA_HOST;
    if (found)
        *out = *v;
    g_mutex_unlock(&mm->lock);
    return found;
}

void mm_code_fence(LinuxMm *mm, uint64_t start, uint64_t size)
{
    uint64_t end = size > UINT64_MAX - start ? UINT64_MAX : start + size;
    g_mutex_lock(&mm->lock);
    for (GTreeNode *n = first_above(mm, start); n && vma_of(n)->start < end;
         n = g_tree_node_next(n)) {
        const Vma *v = vma_of(n);
        if (!(v->prot & PROT_EXEC) || !(v->prot & PROT_WRITE || v->shared))
            continue;
        uint64_t from = MAX(start, v->start), to = MIN(end, v->end);
        drop_code(mm, from, to - from);
    }
    g_mutex_unlock(&mm->lock);
}

void mm_for_each(LinuxMm *mm, void (*fn)(const Vma *vma, void *opaque), void *opaque)
{
    g_mutex_lock(&mm->lock);
    for (GTreeNode *n = g_tree_node_first(mm->vmas); n; n = g_tree_node_next(n))
        if (vma_of(n)->kind != VMA_HOST)
            fn(vma_of(n), opaque);
    g_mutex_unlock(&mm->lock);
}
