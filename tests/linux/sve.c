/* SPDX-License-Identifier: MIT */
/*
 * SVE as a program of Linux sees it: signal frames with Z and P registers, read and changed by the handler,
 * vector lengths by prctl and, if told to "exec", across execve, and what Advanced SIMD leaves of a Z register.
 */
#include <arm_sve.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define FPSIMD 0x46508001u
#define SVE 0x53564501u
#define EXTRA 0x45585401u

static unsigned seen_vl, seen_size, seen_extra;
static int change;

struct head {
    uint32_t magic, size;
};

static void on_signal(int number, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    uint8_t *p = (uint8_t *)uc->uc_mcontext.__reserved, *fpsimd = NULL;
    svfloat32_t noise = svdup_f32(-1); /* registers of the interrupted code are not those of the handler */
    asm volatile("" : : "w"(noise));
    for (struct head *h; (h = (struct head *)p)->magic; p += h->size) {
        if (h->magic == FPSIMD)
            fpsimd = p;
        if (h->magic == EXTRA) {
            seen_extra = 1;
            memcpy(&p, p + 8, 8);
            h = (struct head *)p;
        }
        if (h->magic != SVE)
            continue;
        seen_vl = *(uint16_t *)(p + 8);
        seen_size = h->size;
        if (!change || h->size == 16)
            continue;
        uint8_t *z = p + 16, *pred = z + 32 * seen_vl;
        for (unsigned i = 0; i < seen_vl; i++)
            z[8 * seen_vl + i] += 1;             /* z8, the low half of which is v8's */
        if (fpsimd)
            memcpy(fpsimd + 16 + 8 * 16, z + 8 * seen_vl, 16);
        for (unsigned i = 0; i < seen_vl / 8; i++)
            pred[5 * seen_vl / 8 + i] ^= 0xff;   /* p5 */
    }
    if (change)
        uc->uc_mcontext.pc += 4;
}

/* Z8, P5 and FFR across a signal that an instruction raises. */
static void show_signal(void)
{
    uint8_t in[256], out[256], pred[32] = {0}, ffr[32] = {0};
    unsigned vl = (unsigned)svcntb();
    for (unsigned i = 0; i < 256; i++)
        in[i] = (uint8_t)(3 * i + 1);
    asm volatile("setffr\n\tptrue p0.b\n\tld1b z8.b, p0/z, [%0]\n\tptrue p5.b, vl7\n\t"
                 ".inst 0\n\t"
                 "st1b z8.b, p0, [%1]\n\tstr p5, [%2]\n\trdffr p1.b\n\tstr p1, [%3]"
                 : : "r"(in), "r"(out), "r"(pred), "r"(ffr) : "memory", "z8", "p0", "p1", "p5");
    printf("vl %u, in the frame %u, %u bytes, extra %u:", vl, seen_vl, seen_size, seen_extra);
    for (unsigned i = 0; i < vl; i += 5)
        printf(" %02x", out[i]);
    printf(" p5");
    for (unsigned i = 0; i < vl / 8; i++)
        printf(" %02x", pred[i]);
    printf(" ffr %02x %02x\n", ffr[0], ffr[vl / 8 - 1]);
}

/* An instruction of Advanced SIMD between two of SVE. */
static void show_zeroing(void)
{
    uint8_t out[3][256];
    unsigned sum[3] = {0}, vl = (unsigned)svcntb();
    asm volatile("ptrue p0.b\n\tmov z1.b, #3\n\tmov z2.b, #4\n\tmov z3.b, #5\n\t"
                 "add v1.16b, v1.16b, v2.16b\n\tmov v2.16b, v2.16b\n\tfmov s3, w0\n\t"
                 "st1b z1.b, p0, [%0]\n\tst1b z2.b, p0, [%1]\n\tst1b z3.b, p0, [%2]"
                 : : "r"(out[0]), "r"(out[1]), "r"(out[2]) : "memory", "z1", "z2", "z3", "p0");
    for (unsigned k = 0; k < 2; k++)
        for (unsigned i = 0; i < vl; i++)
            sum[k] += out[k][i];
    for (unsigned i = 4; i < vl; i++)
        sum[2] += out[2][i];
    printf("after Advanced SIMD: %u %u %u\n", sum[0], sum[1], sum[2]);
}

static void show_set(unsigned long argument)
{
    long r = prctl(PR_SVE_SET_VL, argument);
    printf("set %lx: %lx %d, then %x\n", argument, r, r < 0 ? errno : 0, prctl(PR_SVE_GET_VL));
}

static void run_self(char *self)
{
    fflush(stdout);
    if (!fork()) {
        execl(self, self, "child", NULL);
        _exit(127);
    }
    wait(NULL);
}

int main(int argc, char **argv)
{
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
    if (argc > 1 && strcmp(argv[1], "exec")) {
        printf("child: %x\n", prctl(PR_SVE_GET_VL));
        fflush(stdout);
        if (!strcmp(argv[1], "child"))
            execl(argv[0], argv[0], "grandchild", NULL);
        return 0;
    }
    change = 1;
    sigaction(SIGILL, &action, NULL);
    printf("lengths at the start: %x\n", prctl(PR_SVE_GET_VL));
    show_signal();
    show_zeroing();
    static const unsigned long arguments[] = {16, 32, 17, 64, 8192, 8208, 128, 256, 16 | 1 << 16};
    for (unsigned i = 0; i < sizeof arguments / sizeof *arguments; i++) {
        show_set(arguments[i]);
        show_signal();
        show_zeroing();
    }
    if (argc == 1)
        return 0;
    run_self(argv[0]);
    show_set(16 | PR_SVE_SET_VL_ONEXEC);
    run_self(argv[0]);
    show_set(32 | PR_SVE_VL_INHERIT);
    run_self(argv[0]);
    return 0;
}
