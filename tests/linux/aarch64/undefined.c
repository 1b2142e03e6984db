/* SPDX-License-Identifier: MIT */
/* Which encodings are no instructions: undefined PATTERNS COUNT SEED makes words of the lines "value mask" of
   a file, with their other bits at random, some with one bit more changed, and words altogether at random;
   runs each, and prints it with 1 for SIGILL, else 0.

   All is done by the handler of signals: a word stands before a BRK, all registers point into a large
   mapping, so that whatever it does ends with some signal. Nothing of the C library is used there that
   needs the thread pointer, which a word may have changed. */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <ucontext.h>

#define SCRATCH (1ul << 20)
#define NEAR (2ul << 20)
#define FAR (160ul << 20)
static struct { uint32_t value, mask; } patterns[1000];
static unsigned n_patterns, count, at;
static uint64_t state, tpidr;
static uint32_t *code, *words;
static unsigned char *illegal, *scratch;
static unsigned alarmed;
static mcontext_t first;

static uint64_t next(void)
{
    uint64_t z = state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

/* What is not compared. */
static int left_out(uint32_t w)
{
    static const struct { uint32_t mask, value; } none[] = {
        {0x1e000000, 0x04000000}, {0x9e000000, 0x80000000}, /* SVE, SME */
        {0xffffe09f, 0xd503401f}, /* SMSTART, SMSTOP */
        {0xffdfffe0, 0xd51b4240}, {0xffdfffe0, 0xd51bd0a0}, /* SVCR, TPIDR2 of SME */
        /* registers that the kernel does not let EL0 read, or answers for as 0 (ID registers of AArch32) */
        {0xffffffe0, 0xd5330100}, {0xfffffe00, 0xd5380200},
        {0xfffffee0, 0xd50b7c20}, /* DC CVAP, CVADP, which qemu-aarch64's HWCAP has and its programs have not */
        /* qemu-aarch64 7.2 fails an assertion: two registers of halves */
        {0x8f7e0c00, 0x0e780800},
        /* and takes what the manual has as unallocated: FMAXV and its like of halves with bit 22, vectors of
           an immediate with U and o2 */
        {0xbf7f0c00, 0x0e700800}, {0xdf7f0c00, 0x5e700800}, {0xbff8fc00, 0x2f00fc00},
    };
    for (unsigned i = 0; i < sizeof none / sizeof *none; i++)
        if ((w & none[i].mask) == none[i].value)
            return 1;
    return 0;
}

static uint32_t make(void)
{
    uint32_t bits = (uint32_t)next();
    unsigned how = next() % 10, k = next() % n_patterns;
    if (how == 0)
        return bits;
    bits = (bits & ~patterns[k].mask) | patterns[k].value;
    return how < 4 ? bits ^ 1u << next() % 32 : bits;
}

__attribute__((optimize("no-stack-protector"))) static void handler(int signal, siginfo_t *info, void *context)
{
    mcontext_t *m = &((ucontext_t *)context)->uc_mcontext;
    struct fpsimd_context *fp = (struct fpsimd_context *)m->__reserved;
    __asm__ volatile("msr tpidr_el0, %0" : : "r"(tpidr));
    (void)info;
    if (signal == SIGALRM && alarmed != at) {
        alarmed = at;
        return;
    }
    if (at == 0)
        first = *m;
    else
        illegal[at - 1] = signal == SIGILL;
    if (at == count) {
        *m = first;
        m->pc += 4;
        return;
    }
    code[0] = words[at++];
    __builtin___clear_cache((char *)code, (char *)(code + 1));
    for (int i = 0; i < 31; i++)
        m->regs[i] = (uint64_t)(scratch + SCRATCH / 2);
    m->regs[8] = 5000; /* no system call */
    m->sp = (uint64_t)(scratch + SCRATCH / 2);
    m->pstate = 0;
    m->pc = (uint64_t)code;
    if (fp->head.magic == FPSIMD_MAGIC)
        fp->fpcr = 0;
}

int main(int argc, char **argv)
{
    static const int signals[] = {SIGILL, SIGSEGV, SIGBUS, SIGTRAP, SIGALRM, SIGFPE};
    static unsigned char stack[65536] __attribute__((aligned(16)));
    struct itimerval timer = {{0, 200000}, {0, 200000}};
    stack_t alt = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    FILE *f = argc == 4 ? fopen(argv[1], "r") : NULL;
    if (!f)
        return 2;
    while (n_patterns < 1000 && fscanf(f, "%x %x", &patterns[n_patterns].value, &patterns[n_patterns].mask) == 2)
        n_patterns++;
    count = (unsigned)atoi(argv[2]);
    state = strtoull(argv[3], NULL, 0);
    words = calloc(count, sizeof *words);
    illegal = calloc(count, 1);
    for (unsigned i = 0; i < count; i++)
        do
            words[i] = make();
        while (left_out(words[i]));
    /* as far as branches reach there is a BRK, or nothing */
    char *room = mmap(NULL, FAR * 2, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    code = (uint32_t *)(room + FAR);
    mprotect(room + FAR - NEAR, NEAR * 2, PROT_READ | PROT_WRITE | PROT_EXEC);
    scratch = mmap(NULL, SCRATCH, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (unsigned i = 0; i < NEAR * 2 / 4; i++)
        ((uint32_t *)(room + FAR - NEAR))[i] = 0xd4200000;
    __asm__ volatile("mrs %0, tpidr_el0" : "=r"(tpidr));
    sigaltstack(&alt, NULL);
    for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++)
        sigaction(signals[i], &action, NULL);
    setitimer(ITIMER_REAL, &timer, NULL);
    __asm__ volatile("brk #1" : : : "memory");
    timer = (struct itimerval){{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &timer, NULL);
    for (unsigned i = 0; i < count; i++)
        printf("%08x %d\n", words[i], illegal[i]);
    return 0;
}
