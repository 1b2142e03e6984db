/* SPDX-License-Identifier: MIT */
/*
 * The code cache: one memfd mapped twice (writable, and executable below 4 GiB),
 * regions found by physical address and mode, links between them, and dropping
 * what guest writes made stale.
 *
 * Code memory is handed out upward. A dropped region's code stays where it is,
 * since another CPU may be running it; its entry is patched to leave. When the
 * cache is full, every CPU is brought out of compiled code and all is reset.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"
#include "translate/translate_priv.h"

/* Stores to a page that hit none of its regions before the page's code is dropped altogether. */
#define STRAY_WRITES 64

/* Regions of one page, and of pages side by side, lie near each other in the table: what is not
 * touched costs nothing in a short run, nor after a fork. */
static unsigned hash_of(uint64_t phys, uint64_t mode)
{
    const unsigned low = 6;
    uint64_t page = phys >> GUEST_PAGE_BITS;
    unsigned block = (unsigned)(page + (page >> 12) * 0x9e3b + mode * 0x51ed), in_page;
    in_page = (unsigned)(phys & PAGE_MASK);
    return (block << low | ((in_page >> 1 ^ in_page >> 7) & ((1u << low) - 1))) &
           ((1u << REGION_HASH_BITS) - 1);
}

static int make_code(size_t size)
{
    int fd = memfd_create("lathe-code", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, (off_t)size) < 0) {
        int e = errno;
        if (fd >= 0)
            close(fd);
        return -e;
    }
    return fd;
}

static bool map_memfd(Code *c, GError **error)
{
    int fd = make_code(c->size);
    if (fd < 0)
        return fail_errno(error, -fd, "cannot make the code cache");
    c->write = mmap(NULL, c->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    c->run = mmap(NULL, c->size, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_32BIT, fd, 0);
    int e = errno;
    close(fd);
    if (c->write == MAP_FAILED || c->run == MAP_FAILED)
        return fail_errno(error, e, "cannot map the code cache");
    return true;
}

/* Without a file's name: perf looks for names of code in its map only where there is none. */
static bool map_anonymous(Code *c, GError **error)
{
    c->run = mmap(NULL, c->size, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_ANONYMOUS | MAP_32BIT, -1,
                  0);
    c->write = c->run == MAP_FAILED ? MAP_FAILED : mremap(c->run, 0, c->size, MREMAP_MAYMOVE);
    if (c->write == MAP_FAILED || mprotect(c->write, c->size, PROT_READ | PROT_WRITE))
        return fail_errno(error, errno, "cannot map the code cache");
    return true;
}

bool cache_start(Translator *t, GError **error)
{
    Code *c = &t->code;
    c->fork_fd = -1;
    c->size = t->options.code_size ? t->options.code_size : (size_t)64 << 20;
    c->size = (c->size + GUEST_PAGE_SIZE - 1) & ~PAGE_MASK;
    if (c->size < (1u << 20) || c->size > (1u << 30))
        return fail_usage(error, "code cache of %zu MiB: must be 1 to 1024 MiB", c->size >> 20);
    t->hash = g_new0(Region *, 1u << REGION_HASH_BITS);
    t->pages = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
    t->indexed = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
    t->regions = g_ptr_array_new();
    t->max_links = (uint32_t)(c->size / 64);
    t->links = g_try_new(Link, t->max_links); /* large, but touched only as far as it is used */
    if (!t->links)
        return fail(error, "no memory for the code cache's tables");
    t->n_links = 1;
    if (!t->host)
        return true;
    return t->options.compiled ? map_anonymous(c, error) : map_memfd(c, error);
}

/* Made in the parent, whose other threads go on changing the code as soon as the lock is free. */
void cache_copy(Translator *t)
{
    Code *c = &t->code;
    size_t done = 0;
    if (!t->host)
        return;
    c->fork_fd = make_code(c->size);
    while (c->fork_fd >= 0 && done < c->used) {
        ssize_t n = pwrite(c->fork_fd, c->run + done, c->used - done, (off_t)done);
        if (n > 0) {
            done += (size_t)n;
        } else if (n == 0 || errno != EINTR) {
            int e = n < 0 ? errno : EIO;
            close(c->fork_fd);
            c->fork_fd = -e;
        }
    }
}

void cache_drop_copy(Translator *t)
{
    if (t->code.fork_fd >= 0)
        close(t->code.fork_fd);
    t->code.fork_fd = -1;
}

bool cache_take_copy(Translator *t, GError **error)
{
    Code *c = &t->code;
    int fd = c->fork_fd;
    if (!t->host)
        return true;
    if (fd < 0)
        return fail_errno(error, -fd, "cannot copy the code cache");
    void *write = mmap(c->write, c->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
    void *run = mmap(c->run, c->size, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED, fd, 0);
    int e = errno;
    cache_drop_copy(t);
    if (write == MAP_FAILED || run == MAP_FAILED)
        return fail_errno(error, e, "cannot map the copy of the code cache");
    return true;
}

void cache_stop(Translator *t)
{
    if (t->regions)
        cache_reset(t);
    if (t->code.write && t->code.write != MAP_FAILED)
        munmap(t->code.write, t->code.size);
    if (t->code.run && t->code.run != MAP_FAILED)
        munmap(t->code.run, t->code.size);
    g_clear_pointer(&t->hash, g_free);
    g_clear_pointer(&t->pages, g_hash_table_unref);
    g_clear_pointer(&t->indexed, g_hash_table_unref);
    g_clear_pointer(&t->links, g_free);
    if (t->regions)
        g_ptr_array_free(g_steal_pointer(&t->regions), TRUE);
}

Region *cache_find(Translator *t, uint64_t phys, uint64_t mode)
{
    for (Region *r = t->hash[hash_of(phys, mode)]; r; r = r->hash_next)
        if (r->phys == phys && r->mode == mode && !r->dead)
            return r;
    return NULL;
}

static PageCode *page_of(Translator *t, uint64_t phys, bool make)
{
    uint64_t key = phys >> GUEST_PAGE_BITS;
    PageCode *p = g_hash_table_lookup(t->pages, &key);
    if (!p && make) {
        p = g_new0(PageCode, 1);
        p->page = key;
        g_hash_table_insert(t->pages, &p->page, p);
    }
    return p;
}

static bool two_pages(const Region *r)
{
    return r->last > (int32_t)GUEST_PAGE_SIZE && r->phys2 != (r->phys & ~PAGE_MASK);
}

/*
 * Now and then the writable mapping lets go of its pages: they are the memfd's and stay, but would
 * count twice in the process. Links that are patched bring a few of them back.
 */
static void forget_written(Code *c, size_t from, size_t to)
{
    const size_t chunk = (size_t)1 << 20;
    if (from / chunk != to / chunk)
        madvise(c->write, to & ~(chunk - 1), MADV_DONTNEED);
}

void cache_add(Translator *t, Region *r)
{
    if (t->host)
        forget_written(&t->code, r->entry, r->entry + r->size);
    unsigned h = hash_of(r->phys, r->mode);
    r->hash_next = t->hash[h];
    t->hash[h] = r;
    g_ptr_array_add(t->regions, r);
    PageCode *p = page_of(t, r->phys, true);
    r->page_next = p->regions;
    p->regions = r;
    if (two_pages(r)) {
        p = page_of(t, r->phys2, true);
        r->page2_next = p->regions;
        p->regions = r;
    }
}

static void unlink_from(Region **head, Region *r, bool second_page)
{
    uint64_t page = second_page ? r->phys2 : r->phys & ~PAGE_MASK;
    while (*head && *head != r) {
        bool second = (*head)->phys2 == page && ((*head)->phys & ~PAGE_MASK) != page;
        head = second ? &(*head)->page2_next : &(*head)->page_next;
    }
    if (*head)
        *head = second_page ? r->page2_next : r->page_next;
}

static void unlink_in(Translator *t, Link *link)
{
    if (!link->to)
        return;
    for (Link **at = &link->to->in; *at; at = &(*at)->next_in)
        if (*at == link) {
            *at = link->next_in;
            break;
        }
    link->to = NULL;
    if (t->host)
        t->host->patch(t, link, NULL, 0);
}

void cache_link(Translator *t, Link *link, Region *to, uint32_t tag)
{
    if (link->to != to) {
        unlink_in(t, link);
        link->to = to;
        link->next_in = to->in;
        to->in = link;
    }
    t->host->patch(t, link, to, tag);
}

void cache_kill(Translator *t, Region *r)
{
    if (r->dead)
        return;
    r->dead = true;
    t->count.invalidated++;
    while (r->in)
        unlink_in(t, r->in);
    for (uint32_t i = 0; i < r->n_links; i++)
        unlink_in(t, &t->links[r->first_link + i]);
    if (t->host)
        t->host->kill(t, r);
    for (Region **at = &t->hash[hash_of(r->phys, r->mode)]; *at; at = &(*at)->hash_next)
        if (*at == r) {
            *at = r->hash_next;
            break;
        }
    PageCode *p = page_of(t, r->phys, false);
    unlink_from(&p->regions, r, false);
    if (two_pages(r) && (p = page_of(t, r->phys2, false)))
        unlink_from(&p->regions, r, true);
}

static uint64_t indexed_key(const Region *r)
{
    return r->phys ^ r->mode << 52; /* two regions under one key only share a preference */
}

uint64_t cache_indexed(Translator *t, const Region *r)
{
    uint64_t key = indexed_key(r);
    const uint64_t *bits = g_hash_table_lookup(t->indexed, &key);
    return bits ? bits[1] : 0;
}

void cache_set_indexed(Translator *t, const Region *r, uint64_t accesses)
{
    uint64_t *entry = g_new(uint64_t, 2);
    entry[0] = indexed_key(r);
    entry[1] = accesses;
    g_hash_table_replace(t->indexed, entry, entry);
}

Region *cache_region_at(Translator *t, uint32_t code_offset)
{
    guint low = 0, high = t->regions->len;
    while (low < high) {
        guint middle = (low + high) / 2;
        const Region *r = t->regions->pdata[middle];
        if (r->entry <= code_offset)
            low = middle + 1;
        else
            high = middle;
    }
    if (!low)
        return NULL;
    Region *r = t->regions->pdata[low - 1];
    return code_offset < r->entry + r->size ? r : NULL;
}

static void forget_addresses(TranslateCpu *cpu)
{
    memset(cpu->jump_table, 0, TRANSLATE_JUMPS * sizeof(TranslateJump));
    memset(cpu->fetch, 0, sizeof cpu->fetch);
}

void cache_reset(Translator *t)
{
    GHashTableIter it;
    gpointer value;
    for (guint i = 0; i < t->regions->len; i++) {
        Region *r = t->regions->pdata[i];
        g_free(r->points);
        g_free(r->ops);
        if (r->evals)
            g_ptr_array_free(r->evals, TRUE);
        g_free(r);
    }
    g_ptr_array_set_size(t->regions, 0);
    memset(t->hash, 0, sizeof *t->hash << REGION_HASH_BITS);
    /* Page flags stay set: the next store to such a page finds no regions and clears its flag. */
    g_hash_table_iter_init(&it, t->pages);
    while (g_hash_table_iter_next(&it, NULL, &value)) {
        ((PageCode *)value)->regions = NULL;
        ((PageCode *)value)->writes = 0;
    }
    g_hash_table_remove_all(t->indexed);
    t->n_links = 1;
    t->code.used = t->code.start;
    for (guint i = 0; t->cpus && i < t->cpus->len; i++)
        forget_addresses(t->cpus->pdata[i]);
    t->count.flushes++;
}

/* Does the region hold a byte of page..page+PAGE_SIZE at first..last? */
static bool region_covers(const Region *r, uint64_t page, uint64_t first, uint64_t last)
{
    int64_t from = (int64_t)first, to = (int64_t)last;
    if ((r->phys & ~PAGE_MASK) == page)
        return from < r->last && to >= r->first;
    return r->phys2 == page && from < r->last - (int64_t)GUEST_PAGE_SIZE;
}

static void drop_code_flag(Translator *t, uint64_t page)
{
    GuestPage g;
    if (t->guest->direct_memory)
        return;
    TranslateCpu *cpu = t->cpus->len ? t->cpus->pdata[0] : NULL;
    if (cpu && cpu->env.ram && cpu->env.ram(cpu->env.opaque, page, &g) && g.flags)
        __atomic_and_fetch(g.flags, (uint8_t)~GUEST_PAGE_CODE, __ATOMIC_SEQ_CST);
}

static void invalidate_in_page(Translator *t, uint64_t page, uint64_t first, uint64_t last)
{
    PageCode *p = page_of(t, page, false);
    bool hit = false;
    if (!p) {
        drop_code_flag(t, page);
        return;
    }
    for (Region *r = p->regions, *next; r; r = next) {
        next = (r->phys & ~PAGE_MASK) == page ? r->page_next : r->page2_next;
        if (region_covers(r, page, first, last)) {
            cache_kill(t, r);
            hit = true;
        }
    }
    if (!hit && ++p->writes >= STRAY_WRITES)
        while (p->regions)
            cache_kill(t, p->regions);
    if (!p->regions) {
        p->writes = 0;
        drop_code_flag(t, page);
    }
}

void cache_guest_wrote(Translator *t, uint64_t phys, unsigned size)
{
    translate_invalidate(t, phys, size);
}

/* phys to end, both inclusive, as far as they are in this page */
static void invalidate_page(Translator *t, uint64_t page, uint64_t phys, uint64_t end)
{
    uint64_t first = page < phys ? phys & PAGE_MASK : 0;
    uint64_t last = (end & ~PAGE_MASK) == page ? end & PAGE_MASK : PAGE_MASK;
    invalidate_in_page(t, page, first, last);
}

/* All pages with code, where that is less than looking for each page of a range. */
static void invalidate_pages(Translator *t, uint64_t phys, uint64_t end)
{
    GHashTableIter it;
    gpointer value;
    g_hash_table_iter_init(&it, t->pages);
    while (g_hash_table_iter_next(&it, NULL, &value)) {
        uint64_t page = ((const PageCode *)value)->page << GUEST_PAGE_BITS;
        if (page >= (phys & ~PAGE_MASK) && page <= end)
            invalidate_page(t, page, phys, end);
    }
}

void translate_invalidate(Translator *t, uint64_t phys, uint64_t size)
{
    if (!size)
        return;
    uint64_t end = phys + size - 1 < phys ? UINT64_MAX : phys + size - 1;
    g_mutex_lock(&t->lock);
    __atomic_add_fetch(&t->epoch, 1, __ATOMIC_SEQ_CST);
    if (t->guest->direct_memory &&
        (end - phys) >> GUEST_PAGE_BITS > g_hash_table_size(t->pages)) {
        invalidate_pages(t, phys, end);
    } else {
        for (uint64_t page = phys & ~PAGE_MASK; page <= (end & ~PAGE_MASK);
             page += GUEST_PAGE_SIZE) {
            invalidate_page(t, page, phys, end);
            if (page + GUEST_PAGE_SIZE == 0)
                break;
        }
    }
    g_mutex_unlock(&t->lock);
}

TranslateStats translate_stats(Translator *t)
{
    g_mutex_lock(&t->lock);
    TranslateStats s = {
        .code_size = t->code.size, .code_used = t->code.used, .regions = t->regions->len,
        .translated = t->count.translated, .guest_bytes = t->count.guest_bytes,
        .flushes = t->count.flushes, .invalidated = t->count.invalidated,
    };
    g_mutex_unlock(&t->lock);
    return s;
}

void translate_code_range(Translator *t, uint64_t *start, uint64_t *size)
{
    *start = (uint64_t)(uintptr_t)t->code.run;
    *size = t->host ? t->code.size : 0;
}
