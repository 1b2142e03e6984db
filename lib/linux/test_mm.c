/* SPDX-License-Identifier: MIT */
/* Memory maps against the host's kernel: what the guest was given is there, the rest is not. */
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>

#include "linux/linux_priv.h"

#define P UINT64_C(4096)
#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define LIMIT UINT64_C(0x7f000000)
#define TOP UINT64_C(0x70000000)
#define LOW UINT64_C(0x50000000)

static LinuxMm *start(void)
{
    LinuxMm *mm = g_new0(LinuxMm, 1);
    g_autoptr(GError) error = NULL;
    g_assert_true(mm_start(mm, LINUX_MMAP_MIN, LIMIT, TOP, &error));
    return mm;
}

static void drop(const Vma *v, void *opaque)
{
    munmap(guest_ptr(v->start), v->end - v->start);
}

static void stop(LinuxMm *mm)
{
    mm_for_each(mm, drop, NULL);
    g_tree_destroy(mm->vmas);
    g_mutex_clear(&mm->lock);
    g_free(mm);
}

static int64_t map(LinuxMm *mm, uint64_t addr, uint64_t size, int prot, int flags)
{
    return mm_mmap(mm, addr, size, prot, flags, -1, 0, VMA_PLAIN);
}

static void describe(const Vma *v, void *opaque)
{
    g_string_append_printf(opaque, "%" G_GINT64_MODIFIER "x-%" G_GINT64_MODIFIER "x %d\n",
                           v->start, v->end, v->prot);
}

static void assert_maps(LinuxMm *mm, const char *want)
{
    g_autoptr(GString) s = g_string_new(NULL);
    mm_for_each(mm, describe, s);
    g_assert_cmpstr(s->str, ==, want);
}

/* Whether the host has the page at all. */
static bool on_host(uint64_t addr)
{
    unsigned char v;
    return mincore(guest_ptr(addr), P, &v) == 0;
}

static void test_map(void)
{
    LinuxMm *mm = start();
    g_assert_cmphex((uint64_t)map(mm, 0, 3 * P, RW, ANON), ==, TOP - 3 * P);
    g_assert_cmphex((uint64_t)map(mm, 0, 100, PROT_READ, ANON), ==, TOP - 4 * P);
    memset(guest_ptr(TOP - 3 * P), 1, 3 * P);
    g_assert_cmpint(mm_munmap(mm, TOP - 2 * P, P), ==, 0);
    g_assert_false(on_host(TOP - 2 * P));
    assert_maps(mm, "6fffc000-6fffd000 1\n6fffd000-6fffe000 3\n6ffff000-70000000 3\n");
    /* a hint that is free is taken, one that is not is not; a hole is found again */
    g_assert_cmphex((uint64_t)map(mm, LOW, P, RW, ANON), ==, LOW);
    g_assert_cmphex((uint64_t)map(mm, LOW, P, RW, ANON), ==, TOP - 2 * P);
    assert_maps(mm, "50000000-50001000 3\n6fffc000-6fffd000 1\n6fffd000-70000000 3\n");
    stop(mm);
}

static void test_refused(void)
{
    LinuxMm *mm = start();
    mm_reserve(mm, LOW, 4 * P);
    g_assert_cmpint(map(mm, 0, 0, RW, ANON), ==, -EINVAL);
    g_assert_cmpint(map(mm, 1, P, RW, ANON | MAP_FIXED), ==, -EINVAL);
    g_assert_cmpint(map(mm, 0, P, RW, ANON | MAP_FIXED), ==, -EPERM);
    g_assert_cmpint(map(mm, LIMIT - P, 2 * P, RW, ANON | MAP_FIXED), ==, -ENOMEM);
    g_assert_cmpint(map(mm, 0, UINT64_MAX - 1, RW, ANON), ==, -ENOMEM);
    g_assert_cmpint(map(mm, LOW + 3 * P, 2 * P, RW, ANON | MAP_FIXED), ==, -ENOMEM);
    g_assert_cmpint(mm_munmap(mm, LOW, P), ==, -EINVAL);
    g_assert_cmpint(mm_mprotect(mm, LOW, P, RW), ==, -ENOMEM);
    g_assert_cmpint(mm_madvise(mm, LOW, P, MADV_DONTNEED), ==, -ENOMEM);
    g_assert_cmpint(mm_munmap(mm, LIMIT, P), ==, -EINVAL);
    g_assert_cmpint(mm_mmap(mm, 0, P, RW, ANON, -1, 5, VMA_PLAIN), ==, -EINVAL);
    g_assert_cmpint(mm_mmap(mm, 0, P, RW, MAP_PRIVATE, -1, 0, VMA_PLAIN), ==, -EBADF);
    assert_maps(mm, "");
    g_assert_cmphex((uint64_t)map(mm, LOW + 8 * P, P, RW, ANON | MAP_FIXED_NOREPLACE), ==,
                    LOW + 8 * P);
    g_assert_cmpint(map(mm, LOW + 8 * P, P, RW, ANON | MAP_FIXED_NOREPLACE), ==, -EEXIST);
    stop(mm);
}

static void test_protect(void)
{
    LinuxMm *mm = start();
    uint64_t at = (uint64_t)map(mm, LOW, 4 * P, RW, ANON);
    g_assert_cmpint(mm_mprotect(mm, at + P, P, PROT_READ | PROT_EXEC), ==, 0);
    assert_maps(mm, "50000000-50001000 3\n50001000-50002000 5\n50002000-50004000 3\n");
    uint8_t byte = 1;
    g_assert_cmpint(guest_read(&byte, at + P, 1), ==, 0);
    g_assert_cmpint(mm_mprotect(mm, at + P, P, RW), ==, 0);
    assert_maps(mm, "50000000-50001000 3\n50001000-50002000 3\n50002000-50004000 3\n");
    g_assert_cmpint(mm_mprotect(mm, at + 3 * P, 2 * P, PROT_READ), ==, -ENOMEM);
    g_assert_cmpint(mm_mprotect(mm, at + 1, P, PROT_READ), ==, -EINVAL);
    stop(mm);
}

static void test_remap(void)
{
    LinuxMm *mm = start();
    uint64_t at = (uint64_t)map(mm, LOW, 2 * P, RW, ANON);
    strcpy(guest_ptr(at), "kept");
    g_assert_cmphex((uint64_t)mm_mremap(mm, at, 2 * P, 4 * P, 0, 0), ==, at);
    g_assert_cmphex((uint64_t)mm_mremap(mm, at, 4 * P, P, 0, 0), ==, at);
    g_assert_false(on_host(at + P));
    g_assert_cmphex((uint64_t)map(mm, at + P, P, RW, ANON), ==, at + P);
    g_assert_cmpint(mm_mprotect(mm, at + P, P, PROT_READ), ==, 0);
    g_assert_cmpint(mm_mremap(mm, at, P, 2 * P, 0, 0), ==, -ENOMEM);
    uint64_t to = (uint64_t)mm_mremap(mm, at, P, 3 * P, MREMAP_MAYMOVE, 0);
    g_assert_cmphex(to, ==, TOP - 3 * P);
    g_assert_cmpstr(guest_ptr(to), ==, "kept");
    g_assert_false(on_host(at));
    g_assert_cmphex((uint64_t)mm_mremap(mm, to, 3 * P, 3 * P, MREMAP_MAYMOVE | MREMAP_FIXED, LOW), ==,
                    LOW);
    g_assert_cmpstr(guest_ptr(LOW), ==, "kept");
    g_assert_cmpint(mm_mremap(mm, LOW, 3 * P, 3 * P, MREMAP_MAYMOVE | MREMAP_FIXED, LOW + P), ==,
                    -EINVAL);
    g_assert_cmpint(mm_mremap(mm, LOW + 16 * P, P, 2 * P, 0, 0), ==, -EFAULT);
    g_assert_cmpint(mm_mremap(mm, LOW, P, 2 * P, MREMAP_FIXED, 0), ==, -EINVAL);
    stop(mm);
}

static void test_brk(void)
{
    LinuxMm *mm = start();
    mm->brk_start = mm->brk = LOW;
    g_assert_cmphex((uint64_t)mm_brk(mm, 0), ==, LOW);
    g_assert_cmphex((uint64_t)mm_brk(mm, LOW + 100), ==, LOW + 100);
    *(uint8_t *)guest_ptr(LOW + P - 1) = 1;
    g_assert_cmphex((uint64_t)mm_brk(mm, LOW + 3 * P), ==, LOW + 3 * P);
    g_assert_cmphex((uint64_t)map(mm, LOW + 4 * P, P, RW, ANON), ==, LOW + 4 * P);
    g_assert_cmphex((uint64_t)mm_brk(mm, LOW + 5 * P), ==, LOW + 3 * P);
    g_assert_cmphex((uint64_t)mm_brk(mm, LOW + P), ==, LOW + P);
    g_assert_false(on_host(LOW + P));
    g_assert_cmphex((uint64_t)mm_brk(mm, LOW - P), ==, LOW + P);
    stop(mm);
}

static void test_shm(void)
{
    LinuxMm *mm = start();
    int id = shmget(IPC_PRIVATE, 3 * P, IPC_CREAT | 0600);
    if (id < 0) {
        g_test_skip("no System V shared memory here");
        stop(mm);
        return;
    }
    uint64_t at = (uint64_t)mm_shmat(mm, id, 0, 0), second = (uint64_t)mm_shmat(mm, id, LOW, 0);
    shmctl(id, IPC_RMID, NULL);
    g_assert_cmphex(at, ==, TOP - 3 * P);
    g_assert_cmphex(second, ==, LOW);
    strcpy(guest_ptr(at), "shared");
    g_assert_cmpstr(guest_ptr(second), ==, "shared");
    g_assert_cmpint(mm_shmdt(mm, at + P), ==, -EINVAL);
    g_assert_cmpint(mm_shmdt(mm, at), ==, 0);
    g_assert_false(on_host(at));
    g_assert_cmpint(mm_shmdt(mm, second), ==, 0);
    assert_maps(mm, "");
    stop(mm);
}

/* Many random calls; afterwards the host has exactly the pages that are noted. */
static void test_random(void)
{
    LinuxMm *mm = start();
    GRand *r = g_rand_new_with_seed(g_test_rand_int());
    const unsigned pages = 64;
    for (unsigned i = 0; i < 20000; i++) {
        uint64_t at = LOW + P * (uint64_t)g_rand_int_range(r, 0, (gint32)pages);
        uint64_t size = P * (uint64_t)g_rand_int_range(r, 1, 12);
        int prot = g_rand_int_range(r, 0, 8);
        switch (g_rand_int_range(r, 0, 6)) {
        case 0: map(mm, at, size, prot, ANON | MAP_FIXED); break;
        case 1: mm_munmap(mm, at, size); break;
        case 2: mm_mprotect(mm, at, size, prot); break;
        case 3: mm_mremap(mm, at, size, P * (uint64_t)g_rand_int_range(r, 1, 12),
                          g_rand_boolean(r) ? MREMAP_MAYMOVE : 0, 0); break;
        case 4: mm_mremap(mm, at, size, size, MREMAP_MAYMOVE | MREMAP_FIXED,
                          LOW + P * (uint64_t)g_rand_int_range(r, 0, (gint32)pages)); break;
        default: map(mm, at, size, prot, ANON | MAP_FIXED_NOREPLACE); break;
        }
    }
    for (uint64_t at = LOW; at < LOW + P * (pages + 16); at += P) {
        Vma v;
        g_assert_cmpint(mm_find(mm, at, &v), ==, on_host(at));
    }
    g_rand_free(r);
    stop(mm);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/mm/map", test_map);
    g_test_add_func("/mm/refused", test_refused);
    g_test_add_func("/mm/protect", test_protect);
    g_test_add_func("/mm/remap", test_remap);
    g_test_add_func("/mm/brk", test_brk);
    g_test_add_func("/mm/shm", test_shm);
    g_test_add_func("/mm/random", test_random);
    return g_test_run();
}
