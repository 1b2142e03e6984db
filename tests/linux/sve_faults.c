/* SPDX-License-Identifier: MIT */
/*
 * Loads and stores of SVE at the end of memory: which fault, where, and that one that does has changed neither
 * its register nor memory.
 */
#include <arm_sve.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#define SVE 0x53564501u
#define EXTRA 0x45585401u

static sigjmp_buf back;
static uint8_t *memory, *end; /* two pages, and nothing behind */
static uint8_t z4[256], unchanged[256];
static int fault_page;

static void on_signal(int number, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    uint8_t *p = (uint8_t *)uc->uc_mcontext.__reserved;
    struct head {
        uint32_t magic, size;
    };
    memset(z4, 0, sizeof z4);
    for (struct head *h; (h = (struct head *)p)->magic; p += h->size) {
        if (h->magic == EXTRA) {
            memcpy(&p, p + 8, 8);
            h = (struct head *)p;
        }
        if (h->magic == SVE && h->size > 16)
            memcpy(z4, p + 16 + 4 * svcntb(), svcntb());
    }
    fault_page = (int)(((intptr_t)info->si_addr - (intptr_t)memory) >> 12);
    siglongjmp(back, 1);
}

static unsigned sum(void)
{
    unsigned s = 0;
    for (uint8_t *p = memory; p < end; p++)
        s = s * 31 + *p;
    return s;
}

static void start(void)
{
    for (uint8_t *p = memory; p < end; p++)
        *p = (uint8_t)((p - memory) * 7);
}

/* z4 is 0x5a, p0 `count` lanes of bytes, x0 the address */
#define TRY(name, address, lanes, code) \
    do { \
        start(); \
        unsigned before = sum(); \
        if (!sigsetjmp(back, 1)) { \
            register uint64_t x0 __asm__("x0") = (uint64_t)(address), x1 __asm__("x1") = (uint64_t)(lanes); \
            __asm__ volatile("mov z4.b, #0x5a\n\tmov z5.b, #0x5b\n\tsetffr\n\twhilelo p0.b, xzr, x1\n\tptrue p1.b\n\t" code "\n\t" \
                             "st1b z4.b, p1, [%2]\n\trdffr p2.b\n\tcntp x1, p1, p2.b" \
                             : "+r"(x0), "+r"(x1) : "r"(z4) \
                             : "memory", "x9", "x10", "z4", "z5", "z6", "p0", "p1", "p2", "cc"); \
            printf("%s: done, z4 %02x %02x, ffr %u, memory %s\n", name, z4[0], z4[vl - 1], (unsigned)x1, sum() == before ? "same" : "other"); \
        } else { \
            memset(unchanged, 0x5a, vl); \
            printf("%s: fault in page %d, z4 %s, memory %s\n", name, fault_page, memcmp(z4, unchanged, vl) ? "other" : "same", \
                   sum() == before ? "same" : "other"); \
        } \
    } while (0)

int main(void)
{
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
    unsigned vl = (unsigned)svcntb();
    sigaction(SIGSEGV, &action, NULL);
    memory = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    end = memory + 2 * 4096;
    munmap(end, 4096);
    TRY("load", end - vl, vl, "ld1b z4.b, p0/z, [x0]");
    TRY("load across", end - vl + 1, vl, "ld1b z4.b, p0/z, [x0]");
    TRY("load of what is there", end - 5, 5, "ld1b z4.b, p0/z, [x0]");
    TRY("load of one more", end - 5, 6, "ld1b z4.b, p0/z, [x0]");
    TRY("load of nothing", end + 100, 0, "ld1b z4.b, p0/z, [x0]");
    TRY("load of wider lanes", end - vl / 4, vl, "ld1b z4.s, p0/z, [x0]");
    TRY("load of wider lanes across", end - vl / 4 + 1, vl, "ld1sb z4.s, p0/z, [x0]");
    TRY("store", end - vl, vl, "st1b z4.b, p0, [x0]");
    TRY("store across", end - vl + 3, vl, "st1b z4.b, p0, [x0]");
    TRY("store of what is there", end - 5, 5, "st1b z4.b, p0, [x0]");
    for (unsigned n = 1; n < 16; n++)
        TRY("store of a few across", end - n + 1, n, "st1b z4.b, p0, [x0]");
    for (unsigned n = 1; n < 16; n++)
        TRY("store of a few between pages", memory + 4096 - n / 2, n, "st1b z4.b, p0, [x0]");
    TRY("store of nothing", end + 100, 0, "st1b z4.b, p0, [x0]");
    TRY("store of narrower lanes across", end - vl / 2 + 1, vl, "st1b z4.h, p0, [x0]");
    TRY("pairs across", end - 2 * vl + 1, vl, "ld2b {z4.b, z5.b}, p0/z, [x0]");
    TRY("pairs stored across", end - 2 * vl + 1, vl, "st2b {z4.b, z5.b}, p0, [x0]");
    TRY("whole register across", end - vl + 1, vl, "ldr z4, [x0]");
    TRY("whole register stored across", end - vl + 1, vl, "str z4, [x0]");
    TRY("one lane for all", end - 4, vl, "ld1rw z4.s, p0/z, [x0]");
    TRY("one lane for all across", end - 3, vl, "ld1rw z4.s, p0/z, [x0]");
    TRY("no lane for all across", end - 3, 0, "ld1rw z4.s, p0/z, [x0]");
    TRY("gather", end - 8 * (vl / 8), vl, "index z6.d, #0, #8\n\tld1d z4.d, p0/z, [x0, z6.d]");
    TRY("gather across", end - 8 * (vl / 8) + 8, vl, "index z6.d, #0, #8\n\tld1d z4.d, p0/z, [x0, z6.d]");
    TRY("scatter", end - 8 * (vl / 8), vl, "index z6.d, #0, #8\n\tst1d z4.d, p0, [x0, z6.d]");
    TRY("first-faulting across", end - 3, vl, "ldff1b z4.b, p0/z, [x0]");
    TRY("first-faulting at once", end, vl, "ldff1b z4.b, p0/z, [x0]");
    TRY("non-faulting at once", end, vl, "ldnf1b z4.b, p0/z, [x0]");
    TRY("first-faulting gather", end - 4, vl, "index z6.s, #0, #4\n\tldff1w z4.s, p0/z, [x0, z6.s, uxtw]");
    return 0;
}
