/* SPDX-License-Identifier: MIT */
/* Branch targets: which instructions may be reached by which branches, in a page with PROT_BTI and in one
   without. For each instruction, by BR X16, BR X1, BLR, RET and by BR X1, BR X16 from within the page: the
   signal, its code and PSTATE.BTYPE as the handler saw it. */
#include <signal.h>
#include <stdio.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <ucontext.h>

#define PROT_BTI_ 0x10
static volatile unsigned seen, code, btype;
static unsigned long page;

static void handler(int signal, siginfo_t *info, void *context)
{
    mcontext_t *m = &((ucontext_t *)context)->uc_mcontext;
    seen = (unsigned long)info->si_addr - page < 4096 ? signal : 99;
    code = info->si_code;
    btype = m->pstate >> 10 & 3;
    m->pc = m->regs[30];
    m->pstate &= ~0xc00ul;
}

#define BRANCH(name, how) \
    static void name(unsigned long to, unsigned long from) \
    { \
        __asm__ volatile("mov x16, %0\nmov x1, %0\nadr x30, 1f\n" how "\n1:" \
                         : : "r"(to), "r"(from) : "x1", "x16", "x30", "memory"); \
    }
BRANCH(br16, "br x16")
BRANCH(br1, "br x1")
BRANCH(blr, "blr x1")
BRANCH(ret, "ret x1")
BRANCH(from_page, "ret %1")

int main(void)
{
    /* NOP, BTI, BTI c, BTI j, BTI jc, PACIASP, PACIBSP (with what undoes them), XPACLRI, BRK, CSDB */
    static const unsigned first[][2] = {
        {0xd503201f, 0xd503201f}, {0xd503241f, 0xd503201f}, {0xd503245f, 0xd503201f}, {0xd503249f, 0xd503201f},
        {0xd50324df, 0xd503201f}, {0xd503233f, 0xd50323bf}, {0xd503237f, 0xd50323ff}, {0xd50320ff, 0xd503201f},
        {0xd4200000, 0xd503201f}, {0xd503229f, 0xd503201f}};
    enum { N = sizeof first / sizeof *first, BR_X1 = 100, BR_X16 = 102 };
    static void (*const how[])(unsigned long, unsigned long) = {br16, br1, blr, ret, from_page, from_page};
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    sigaction(SIGILL, &action, NULL);
    sigaction(SIGTRAP, &action, NULL);
    printf("bti %d\n", getauxval(AT_HWCAP2) >> 17 & 1 ? 1 : 0);
    for (int guarded = 0; guarded < 2; guarded++) {
        unsigned *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        page = (unsigned long)p;
        for (int i = 0; i < N; i++) {
            p[4 * i] = first[i][0];
            p[4 * i + 1] = first[i][1];
            p[4 * i + 2] = 0xd65f03c0; /* RET */
        }
        p[BR_X1] = 0xd61f0020;
        p[BR_X16] = 0xd61f0200;
        __builtin___clear_cache((char *)p, (char *)p + 4096);
        int failed = mprotect(p, 4096, PROT_READ | PROT_EXEC | (guarded ? PROT_BTI_ : 0));
        printf("mprotect %d\n", failed);
        if (failed)
            return 0;
        for (int i = 0; i < N; i++) {
            printf("%s %08x:", guarded ? "guarded" : "plain", first[i][0]);
            for (int k = 0; k < 6; k++) {
                seen = code = btype = 0;
                how[k]((unsigned long)(p + 4 * i), (unsigned long)(p + (k == 4 ? BR_X1 : BR_X16)));
                printf(" %u/%u/%u", seen, code, btype);
            }
            putchar('\n');
        }
    }
    void *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE | PROT_BTI_, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    printf("%d %d\n", p != MAP_FAILED, mprotect(p, 4096, PROT_READ | 0x40));
    return 0;
}
