/* SPDX-License-Identifier: MIT */
/* Memory tagging: tags of addresses and of memory, pages that have none, checks of accesses of all kinds,
   synchronous and not, what becomes of tags when memory moves, in threads and in children. */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define MTE 0x20
#define CONTROL(sync, tags) prctl(PR_SET_TAGGED_ADDR_CTRL, 1ul | (sync) << 1 | (unsigned long)(tags) << 3, 0, 0, 0)

static sigjmp_buf back;
static volatile siginfo_t seen;

static void handler(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)context;
    seen = *info;
    siglongjmp(back, 1);
}

static void *irg(void *p, uint64_t exclude)
{
    __asm__ volatile("irg %0, %0, %1" : "+r"(p) : "r"(exclude));
    return p;
}

static void *ldg(void *p)
{
    void *v = p;
    __asm__ volatile("ldg %0, [%1]" : "+r"(v) : "r"(p) : "memory");
    return v;
}

static unsigned tag(void *p) { return (uintptr_t)p >> 56 & 15; }
static void stg(void *p) { __asm__ volatile("stg %0, [%0]" : : "r"(p) : "memory"); }
static void *with(void *p, unsigned t) { return (void *)(((uintptr_t)p & ~(15ul << 56)) | (uintptr_t)t << 56); }

#define TRY(name, ...) \
    do { \
        seen = (siginfo_t){0}; \
        if (!sigsetjmp(back, 1)) { \
            __VA_ARGS__; \
            puts(name " fine"); \
        } else { \
            printf(name " %d %d %lx\n", seen.si_signo, seen.si_code, (uintptr_t)seen.si_addr & 0xfff); \
        } \
    } while (0)
#define ASM(name, insn) TRY(name, __asm__ volatile(insn : : "r"(at), "r"(index_) : "x9", "x10", "x11", "v0", "v1", "memory"))

static void accesses(char *at)
{
    uint64_t index_ = 8;
    ASM("ldr", "ldr x9, [%0, #8]");
    ASM("str", "str x9, [%0, #8]");
    ASM("ldrb", "ldrb w9, [%0], #1");
    ASM("strh", "strh w9, [%0, #6]!");
    ASM("reg", "ldr x9, [%0, %1]");
    ASM("uxtw", "str x9, [%0, %w1, uxtw #3]");
    ASM("ldp", "ldp x9, x10, [%0, #16]");
    ASM("stp", "stp x9, x10, [%0, #-16]!");
    ASM("ldr q", "ldr q0, [%0]");
    ASM("ld1", "ld1 {v0.16b, v1.16b}, [%0]");
    ASM("st1", "st1 {v0.s}[1], [%0]");
    ASM("ldxr", "ldxr x9, [%0]");
    ASM("ldadd", "ldadd x9, x10, [%0]");
    ASM("cas", "cas x9, x10, [%0]");
    ASM("ldar", "ldar x9, [%0]");
    ASM("stlr", "stlr x9, [%0]");
    ASM("zva", "dc zva, %0");
    ASM("prfm", "prfm pldl1keep, [%0]");
    ASM("ldg", "ldg x9, [%0]");
    ASM("crosses", "ldr x9, [%0, #12]");
}

static void *thread(void *p)
{
    TRY("thread", *(volatile char *)p = 1);
    return NULL;
}

int main(void)
{
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_NODEFER};
    static char plain[64] __attribute__((aligned(64)));
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    printf("mte %d\n", getauxval(AT_HWCAP2) >> 18 & 1 ? 1 : 0);
    if (!(getauxval(AT_HWCAP2) >> 18 & 1))
        return 0;
    /* no tag may be chosen at first */
    printf("irg %x %x\n", tag(irg(with(plain, 5), 0)), tag(with(plain, 5)));
    printf("control %d", prctl(PR_GET_TAGGED_ADDR_CTRL, 0, 0, 0, 0));
    printf(" %d %x\n", CONTROL(1, 0x00f6), prctl(PR_GET_TAGGED_ADDR_CTRL, 0, 0, 0, 0));
    unsigned had = 0;
    for (int i = 0; i < 500; i++)
        had |= 1u << tag(irg(plain, 0x40));
    printf("irg %x %x\n", had, tag(irg(plain, 0xfff6)));
    uint64_t x = 0x0500000000001000;
    __asm__ volatile("addg %0, %0, #32, #3" : "+r"(x));
    printf("addg %lx", x);
    __asm__ volatile("subg %0, %0, #16, #9" : "+r"(x));
    printf(" subg %lx", x);
    __asm__ volatile("gmi %0, %0, %1" : "+r"(x) : "r"(8ul));
    printf(" gmi %lx\n", x);

    stg(with(plain, 7)); /* pages without tags keep none */
    printf("plain %x\n", tag(ldg(plain)));
    *(volatile char *)with(plain, 9) = 1;

    char *p = mmap(NULL, 65536, PROT_READ | PROT_WRITE | MTE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    printf("new %x\n", tag(ldg(p)));
    for (int i = 0; i < 4096; i += 16)
        stg(with(p + i, (unsigned)i / 16));
    printf("tags %x %x %x\n", tag(ldg(p)), tag(ldg(p + 0x70)), tag(ldg(p + 0x7f8)));
    __asm__ volatile("st2g %0, [%0]\nstzg %0, [%0, #32]\nstgp %1, %1, [%0, #48]"
                     : : "r"(with(p + 4096, 3)), "r"(0x1234ul) : "memory");
    printf("more %x %x %x %x %x %lx\n", tag(ldg(p + 4096)), tag(ldg(p + 4112)), tag(ldg(p + 4128)),
           tag(ldg(p + 4144)), tag(ldg(p + 4160)), *(uint64_t *)with(p + 4144, 3));
    __asm__ volatile("dc gva, %0" : : "r"(with(p + 8192, 6)) : "memory");
    printf("gva %x %x %x\n", tag(ldg(p + 8192)), tag(ldg(p + 8192 + 48)), tag(ldg(p + 8192 - 16)));
    TRY("stg misaligned", stg(p + 4));

    puts("right tags");
    accesses(with(p + 0x8000, 0));
    puts("wrong tags");
    accesses(with(p + 0x8000, 2));
    for (int i = 0; i < 2; i++) { /* the second granule has another tag */
        char *at = with(p + 0x8000 + 8, 0);
        stg(with(p + 0x8010, (unsigned)i));
        TRY("second granule", __asm__ volatile("ldp x9, x10, [%0]" : : "r"(at) : "x9", "x10"));
        TRY("second granule q", __asm__ volatile("str q0, [%0]" : : "r"(at) : "memory"));
    }
    __asm__ volatile("msr tco, #1");
    TRY("tco", *(volatile char *)with(p, 5) = 1);
    __asm__ volatile("msr tco, #0");
    TRY("no tco", *(volatile char *)with(p, 5) = 1);
    TRY("stack", __asm__ volatile("str xzr, [sp, #-16]"));

    pthread_t t;
    pthread_create(&t, NULL, thread, with(p, 4));
    pthread_join(t, NULL);
    fflush(stdout);
    if (!fork()) {
        TRY("child", *(volatile char *)with(p, 4) = 1);
        stg(with(p, 4));
        TRY("child", *(volatile char *)with(p, 4) = 1);
        fflush(stdout);
        _exit(0);
    }
    wait(NULL);
    TRY("parent", *(volatile char *)with(p, 4) = 1);

    mprotect(p, 4096, PROT_READ | PROT_WRITE); /* takes no tags away */
    printf("mprotect %x\n", tag(ldg(p + 0x30)));
    char *q = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    stg(with(q, 2));
    printf("none %x", tag(ldg(q)));
    mprotect(q, 4096, PROT_READ | PROT_WRITE | MTE);
    stg(with(q, 2));
    printf(" %x %d\n", tag(ldg(q)), mprotect(q, 4096, PROT_READ | 0x40));
    munmap(p, 65536);
    p = mmap(p, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    printf("again %x\n", tag(ldg(p + 0x30)));

    printf("async %d\n", CONTROL(2, 0xffff));
    stg(with(q, 0));
    TRY("async", { *(volatile char *)with(q, 5) = 1; getppid(); for (volatile int i = 0; i < 1000000; i++) ; });
    printf("off %d\n", CONTROL(0, 0));
    TRY("off", *(volatile char *)with(q, 5) = 1);
    return 0;
}
