/* SPDX-License-Identifier: MIT */
/* What a program can see of its CPU: AT_HWCAP, AT_HWCAP2, and registers that EL0 may read or for which the
   kernel answers. A line each; of what is refused, none. */
#include <signal.h>
#include <stdio.h>
#include <sys/auxv.h>
#include <ucontext.h>

static int refused;

static void handler(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)info;
    ((ucontext_t *)context)->uc_mcontext.pc += 4;
    refused = 1;
}

#define SHOW(name) \
    do { \
        unsigned long v = 0; \
        refused = 0; \
        __asm__ volatile("mrs %0, " name : "+r"(v) : : "memory"); \
        if (!refused) \
            printf("%s %016lx\n", name, v); \
    } while (0)

int main(void)
{
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    sigaction(SIGILL, &action, NULL);
    printf("hwcap %lx\nhwcap2 %lx\n", getauxval(AT_HWCAP), getauxval(AT_HWCAP2));
    SHOW("S3_0_C0_C0_0"); /* MIDR MPIDR REVIDR */
    SHOW("S3_0_C0_C0_5");
    SHOW("S3_0_C0_C0_6");
    SHOW("S3_0_C0_C4_0"); /* PFR0 PFR1 PFR2 ZFR0 SMFR0 */
    SHOW("S3_0_C0_C4_1");
    SHOW("S3_0_C0_C4_2");
    SHOW("S3_0_C0_C4_4");
    SHOW("S3_0_C0_C4_5");
    SHOW("S3_0_C0_C5_0"); /* DFR0 DFR1 */
    SHOW("S3_0_C0_C5_1");
    SHOW("S3_0_C0_C6_0"); /* ISAR0 ISAR1 ISAR2 */
    SHOW("S3_0_C0_C6_1");
    SHOW("S3_0_C0_C6_2");
    SHOW("S3_0_C0_C7_0"); /* MMFR0 MMFR1 MMFR2 */
    SHOW("S3_0_C0_C7_1");
    SHOW("S3_0_C0_C7_2");
    SHOW("S3_0_C0_C1_0"); /* ID_PFR0_EL1, and of EL2: there are none */
    SHOW("S3_1_C0_C0_0");
    SHOW("S3_4_C0_C0_0");
    SHOW("CTR_EL0");
    SHOW("DCZID_EL0");
    SHOW("S3_3_C4_C2_5"); /* DIT SSBS TCO */
    SHOW("S3_3_C4_C2_6");
    SHOW("S3_3_C4_C2_7");
    SHOW("S3_3_C13_C0_3"); /* TPIDRRO */
    SHOW("S3_3_C9_C13_0"); /* PMCCNTR: refused */
    return 0;
}
