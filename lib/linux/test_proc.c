/* SPDX-License-Identifier: MIT */
/* Texts of /proc: from what the host has to what the guest is to see. */
#include <string.h>
#include <sys/mman.h>

#include "linux/path_priv.h"

#define RX (PROT_READ | PROT_EXEC)
#define RW (PROT_READ | PROT_WRITE)

static const char host_maps[] =
    "00010000-00071000 r--p 00000000 fe:00 77                                 /bin/guest\n"
    "00071000-00078000 rw-p 00061000 fe:00 77                                 /bin/guest\n"
    "00078000-0009f000 rw-p 00000000 00:00 0 \n"
    "2000000000-2000002000 r--s 00003000 fe:00 78                             /a file\n"
    "3fff7fe000-3fff7ff000 r--p 00000000 00:00 0 \n"
    "3fff7ff000-3ffffff000 rw-p 00000000 00:00 0 \n"
    "55ab1bbee000-55ab1bbf0000 r-xp 00000000 fe:00 99                         /bin/vm-user\n"
    "7ffe00000000-7ffe00021000 rw-p 00000000 00:00 0                          [stack]\n"
    "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]\n";

static const Vma vmas[] = {
    { 0x10000, 0x60000, RX, VMA_PLAIN, false },
    { 0x60000, 0x71000, PROT_READ, VMA_PLAIN, false },
    { 0x71000, 0x78000, RW, VMA_PLAIN, false },
    { 0x78000, 0x7d000, RW, VMA_PLAIN, false },
    { 0x7d000, 0x9f000, RW, VMA_HEAP, false },
    { 0x2000001000, 0x2000002000, PROT_READ, VMA_PLAIN, true },
    { 0x3fff7fe000, 0x3fff7ff000, RX, VMA_VDSO, false },
    { 0x3fff7ff000, 0x3ffffff000, RW, VMA_STACK, false },
};

static void test_maps(void)
{
    g_autoptr(GString) out = g_string_new(NULL);
    proc_filter_maps(out, host_maps, vmas, G_N_ELEMENTS(vmas));
    g_assert_cmpstr(
        out->str, ==,
        "00010000-00060000 r-xp 00000000 fe:00 77                                 /bin/guest\n"
        "00060000-00071000 r--p 00050000 fe:00 77                                 /bin/guest\n"
        "00071000-00078000 rw-p 00061000 fe:00 77                                 /bin/guest\n"
        "00078000-0007d000 rw-p 00000000 00:00 0 \n"
        "0007d000-0009f000 rw-p 00000000 00:00 0                                  [heap]\n"
        "2000001000-2000002000 r--s 00004000 fe:00 78                             /a file\n"
        "3fff7fe000-3fff7ff000 r-xp 00000000 00:00 0                              [vdso]\n"
        "3fff7ff000-3ffffff000 rw-p 00000000 00:00 0                              [stack]\n");
}

/* What only the host sees as two is one; what differs is not. */
static void test_neighbours(void)
{
    static const char host[] = "00010000-00011000 rw-p 00000000 00:00 0 \n"
                               "00011000-00012000 r--p 00000000 00:00 0 \n"
                               "00012000-00013000 r--p 00000000 fe:00 5                 /x\n"
                               "00013000-00014000 r--p 00001000 fe:00 5                 /x\n"
                               "00014000-00015000 r--p 00009000 fe:00 5                 /x\n";
    static const Vma all = { 0x10000, 0x20000, RW, VMA_PLAIN, false };
    g_autoptr(GString) out = g_string_new(NULL);
    proc_filter_maps(out, host, &all, 1);
    g_assert_cmpstr(
        out->str, ==,
        "00010000-00012000 rw-p 00000000 00:00 0 \n"
        "00012000-00014000 rw-p 00000000 fe:00 5                                  /x\n"
        "00014000-00015000 rw-p 00009000 fe:00 5                                  /x\n");
}

static void test_nothing(void)
{
    g_autoptr(GString) out = g_string_new(NULL);
    proc_filter_maps(out, "", vmas, G_N_ELEMENTS(vmas));
    proc_filter_maps(out, host_maps, NULL, 0);
    proc_filter_maps(out, "no such line\n\n12-13\n", vmas, G_N_ELEMENTS(vmas));
    proc_filter_smaps(out, "", vmas, G_N_ELEMENTS(vmas));
    proc_filter_smaps(out, "Size: 5 kB\n", vmas, G_N_ELEMENTS(vmas));
    g_assert_cmpstr(out->str, ==, "");
}

static void test_smaps(void)
{
    static const char host[] = "00010000-00071000 r--p 00000000 fe:00 77                     /bin/guest\n"
                               "Size:                388 kB\n"
                               "KernelPageSize:        4 kB\n"
                               "Rss:                 300 kB\n"
                               "THPeligible:           0\n"
                               "VmFlags: rd mr \n"
                               "55ab1bbee000-55ab1bbf0000 r-xp 00000000 fe:00 99             /bin/vm-user\n"
                               "Size:                  8 kB\n";
    g_autoptr(GString) out = g_string_new(NULL);
    proc_filter_smaps(out, host, vmas, G_N_ELEMENTS(vmas));
    g_assert_cmpstr(
        out->str, ==,
        "00010000-00060000 r-xp 00000000 fe:00 77                                 /bin/guest\n"
        "Size:                320 kB\n"
        "KernelPageSize:        4 kB\n"
        "Rss:                 300 kB\n"
        "THPeligible:           0\n"
        "VmFlags: rd mr \n"
        "00060000-00071000 r--p 00050000 fe:00 77                                 /bin/guest\n"
        "Size:                 68 kB\n"
        "KernelPageSize:        4 kB\n"
        "Rss:                  68 kB\n"
        "THPeligible:           0\n"
        "VmFlags: rd mr \n");
}

/* The time grows with the number of mappings, not with its square. */
static void test_many(void)
{
    enum { MANY = 60000 };
    g_autoptr(GString) maps = g_string_new(NULL), smaps = g_string_new(NULL);
    g_autoptr(GString) out = g_string_new(NULL);
    Vma *all = g_new0(Vma, MANY);
    for (unsigned i = 0; i < MANY; i++) {
        uint64_t at = 0x10000 + i * UINT64_C(0x2000);
        all[i] = (Vma){ at, at + 0x1000, RW, VMA_PLAIN, false };
        g_string_append_printf(maps, "%08lx-%08lx rw-p 00000000 00:00 0 \n", (long)at,
                               (long)at + 0x1000);
        g_string_append_printf(smaps, "%08lx-%08lx rw-p 00000000 00:00 0 \nSize:   4 kB\n"
                               "Rss:    4 kB\nVmFlags: rd wr\n", (long)at, (long)at + 0x1000);
    }
    gint64 start = g_get_monotonic_time();
    proc_filter_maps(out, maps->str, all, MANY);
    g_assert_cmpstr(out->str, ==, maps->str);
    proc_filter_smaps(out, smaps->str, all, MANY);
    g_assert_cmpint(g_get_monotonic_time() - start, <, 10 * G_USEC_PER_SEC);
    g_free(all);
}

static const ProcFacts facts = {
    .total = 40 << 20, .data = 8 << 20, .stack = 4 << 20, .code = 1 << 20, .libraries = 2 << 20,
    .code_start = 1026, .code_end = 1027, .stack_start = 1028, .data_start = 1045,
    .data_end = 1046, .brk_start = 1047, .arg_start = 1048, .arg_end = 1049, .env_start = 1050,
    .env_end = 1051, .blocked = 0x100000002, .ignored = 0x4, .caught = 0x8000000000000001,
};

static void test_stat(void)
{
    g_autoptr(GString) host = g_string_new("77 (a) name)) R");
    g_autoptr(GString) out = g_string_new(NULL);
    for (int field = 4; field <= 52; field++)
        g_string_append_printf(host, " %d", field);
    g_string_append_c(host, '\n');
    proc_edit_stat(out, host->str, &facts);
    g_assert_cmpstr(out->str, ==,
                    "77 (a) name)) R 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 41943040 24 "
                    "25 1026 1027 1028 0 0 0 2 4 1 35 36 37 38 39 40 41 42 43 44 1045 1046 1047 1048 "
                    "1049 1050 1051 52\n");
    g_string_truncate(out, 0);
    proc_edit_stat(out, "strange", &facts);
    g_assert_cmpstr(out->str, ==, "strange");
}

static void test_statm(void)
{
    g_autoptr(GString) out = g_string_new(NULL);
    proc_edit_statm(out, "900000 500 400 30 0 800 0\n", &facts);
    g_assert_cmpstr(out->str, ==, "10240 500 400 256 0 3072 0\n");
}

static void test_status(void)
{
    g_autoptr(GString) out = g_string_new(NULL);
    proc_edit_status(out,
                     "Name:\tx\nVmPeak:\t999999 kB\nVmSize:\t 999999 kB\nVmRSS:\t    55 kB\n"
                     "VmLib:\t  7777 kB\nx86_Thread_features:\t\nuntag_mask:\t0xf\n"
                     "SigBlk:\tffffffffffffffff\nSigCgt:\t0000000000000000\nlast",
                     &facts);
    g_assert_cmpstr(out->str, ==,
                    "Name:\tx\nVmPeak:\t   40960 kB\nVmSize:\t   40960 kB\nVmRSS:\t    55 kB\n"
                    "VmLib:\t    2048 kB\nSigBlk:\t0000000100000002\nSigCgt:\t8000000000000001\n"
                    "last");
}

static void test_limits(void)
{
    LinuxProcess *p = g_new0(LinuxProcess, 1);
    g_autoptr(GString) out = g_string_new(NULL);
    p->limits[2] = (LinuxLimit){ true, 4096, UINT64_MAX };
    proc_edit_limits(out,
                     "Limit                     Soft Limit           Hard Limit           Units     \n"
                     "Max data size             unlimited            unlimited            bytes     \n"
                     "Max stack size            8388608              unlimited            bytes     \n",
                     p);
    g_assert_cmpstr(
        out->str, ==,
        "Limit                     Soft Limit           Hard Limit           Units     \n"
        "Max data size             4096                 unlimited            bytes     \n"
        "Max stack size            8388608              unlimited            bytes     \n");
    g_free(p);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/proc/maps", test_maps);
    g_test_add_func("/proc/neighbours", test_neighbours);
    g_test_add_func("/proc/nothing", test_nothing);
    g_test_add_func("/proc/smaps", test_smaps);
    g_test_add_func("/proc/many", test_many);
    g_test_add_func("/proc/stat", test_stat);
    g_test_add_func("/proc/statm", test_statm);
    g_test_add_func("/proc/status", test_status);
    g_test_add_func("/proc/limits", test_limits);
    return g_test_run();
}
