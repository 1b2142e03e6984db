/* SPDX-License-Identifier: MIT */
/* Loads and stores of SVE that reach memory of another tag (FEAT_MTE): which of them fault. */
#include <arm_sve.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>

static sigjmp_buf back;
static int code;

static void on_signal(int number, siginfo_t *info, void *context)
{
    code = info->si_code;
    siglongjmp(back, 1);
}

#define TRY(name, address, lanes, text) \
    do { \
        if (!sigsetjmp(back, 1)) { \
            register uint64_t x0 __asm__("x0") = (uint64_t)(address), x1 __asm__("x1") = (uint64_t)(lanes); \
            __asm__ volatile("whilelo p0.b, xzr, %1\n\t" text : "+r"(x0), "+r"(x1) : \
                             : "memory", "x9", "z4", "z5", "z6", "p0", "cc"); \
            printf("%s: done\n", name); \
        } else { \
            printf("%s: fault %d\n", name, code); \
        } \
    } while (0)

int main(void)
{
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
    unsigned vl = (unsigned)svcntb();
    sigaction(SIGSEGV, &action, NULL);
    if (prctl(PR_SET_TAGGED_ADDR_CTRL, 1 | 1 << 1 | 0xfffe << 3, 0, 0, 0))
        return 1;
    uint8_t *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | 0x20, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint64_t tagged = (uint64_t)p | UINT64_C(5) << 56;
    for (unsigned i = 0; i < 1024; i += 16) /* the first 1,024 bytes are tag 5 */
        __asm__ volatile("stg %0, [%0]" : : "r"(tagged + i) : "memory");
    TRY("load", tagged, vl, "ld1b z4.b, p0/z, [x0]");
    TRY("load by a plain address", p, vl, "ld1b z4.b, p0/z, [x0]");
    TRY("load of nothing by a plain address", p, 0, "ld1b z4.b, p0/z, [x0]");
    TRY("load across", tagged + 1024 - vl / 2, vl, "ld1b z4.b, p0/z, [x0]");
    TRY("load before the end", tagged + 1024 - vl / 2, vl / 2, "ld1b z4.b, p0/z, [x0]");
    TRY("store", tagged, vl, "st1b z4.b, p0, [x0]");
    TRY("store across", tagged + 1024 - vl / 2, vl, "st1b z4.b, p0, [x0]");
    TRY("pairs", tagged + 1024 - 2 * vl, vl, "ld2b {z4.b, z5.b}, p0/z, [x0]");
    TRY("pairs across", tagged + 1024 - vl, vl, "st2b {z4.b, z5.b}, p0, [x0]");
    TRY("whole register", tagged, vl, "ldr z4, [x0]");
    TRY("one for all", tagged + 1024, vl, "ld1rb z4.b, p0/z, [x0]");
    TRY("gather", tagged, vl, "index z6.d, #0, #8\n\tld1d z4.d, p0/z, [x0, z6.d]");
    TRY("gather across", tagged + 1024 - 8, vl, "index z6.d, #0, #8\n\tld1d z4.d, p0/z, [x0, z6.d]");
    TRY("scatter across", tagged + 1024 - 8, vl, "index z6.d, #0, #8\n\tst1d z4.d, p0, [x0, z6.d]");
    return 0;
}
