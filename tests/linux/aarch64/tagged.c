/* SPDX-License-Identifier: MIT */
/* Addresses with a top byte: loads and stores of all kinds, system calls, branches; what a handler is told
   of a fault; keys of pointer authentication by prctl. With an argument also what only a kernel tells: the
   ESR record. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <ucontext.h>
#include <unistd.h>

static sigjmp_buf back;
static siginfo_t seen;
static uint64_t far_, esr;

static void handler(int signal, siginfo_t *info, void *context)
{
    mcontext_t *m = &((ucontext_t *)context)->uc_mcontext;
    uint32_t *r = (uint32_t *)m->__reserved;
    (void)signal;
    seen = *info;
    far_ = m->fault_address;
    esr = 0;
    for (; r[0]; r += r[1] / 4)
        if (r[0] == 0x45535201)
            memcpy(&esr, r + 2, sizeof esr);
    siglongjmp(back, 1);
}

#define TAG(p, t) ((void *)((uintptr_t)(p) | (uintptr_t)(t) << 56))
#define FAULT(name, ...) \
    do { \
        if (!sigsetjmp(back, 1)) { \
            __VA_ARGS__; \
            puts(name " none"); \
        } else { \
            printf(name " %d %d %lx", seen.si_signo, seen.si_code, (uintptr_t)seen.si_addr & 0xfff); \
            printf(with_esr ? " %lx %lx\n" : "\n", (unsigned long)far_ & 0xfff, (unsigned long)esr); \
        } \
    } while (0)

static uint64_t answer(void) { return 42; }

static void *thread(void *p)
{
    *(volatile uint32_t *)p += 1;
    return NULL;
}

int main(int argc, char **argv)
{
    static uint64_t data[64] __attribute__((aligned(64)));
    int with_esr = argc > 1;
    (void)argv;
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    char *ro = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(ro + 4096, 4096);
    FAULT("read nothing", (void)*(volatile char *)(ro + 4096 + 8));
    FAULT("write read-only", *(volatile char *)(ro + 16) = 1);
    FAULT("atomic read-only", __atomic_fetch_add((int *)(ro + 32), 1, __ATOMIC_SEQ_CST));

    uint64_t *p = TAG(data, 0x5a), x, y;
    *(volatile uint64_t *)p = 1;
    ((volatile uint8_t *)p)[9] = 2;
    __asm__ volatile("stp %1, %2, [%0, #16]" : : "r"(p), "r"(3ul), "r"(4ul) : "memory");
    __asm__ volatile("ldr q1, [%0]\nst1 {v1.16b}, [%1], #16\nst1 {v1.d}[1], [%1]"
                     : : "r"(p), "r"(TAG(data + 8, 0x11)) : "v1", "memory");
    __asm__ volatile("ldxr %0, [%2]\nadd %0, %0, #5\nstxr %w1, %0, [%2]"
                     : "=&r"(x), "=&r"(y) : "r"(TAG(data + 12, 0xff)) : "memory");
    __asm__ volatile("ldadd %1, %0, [%2]" : "=&r"(x) : "r"(7ul), "r"(TAG(data + 12, 0x80)) : "memory");
    __asm__ volatile("ldr %0, [%1], #8\nmov %2, %1" : "=&r"(x), "+r"(p), "=&r"(y));
    printf("%lx %lx %lx\n", x, (unsigned long)(y - (uintptr_t)data), y >> 56);
    for (int i = 0; i < 16; i++)
        printf("%lx ", data[i]);
    putchar('\n');
    uint64_t (*f)(void) = (uint64_t (*)(void))TAG(answer, 0x33);
    printf("%lu\n", f());
    pthread_t other;
    pthread_create(&other, NULL, thread, TAG(data + 20, 0x77));
    pthread_join(other, NULL);
    printf("thread %lu\n", data[20]);

    char *text = TAG("text\n", 0x12);
    errno = 0;
    fflush(stdout);
    long r = write(1, text, 5);
    printf("write %ld %d\n", r, errno);
    printf("prctl %d", prctl(PR_GET_TAGGED_ADDR_CTRL, 0, 0, 0, 0));
    printf(" %d", prctl(PR_SET_TAGGED_ADDR_CTRL, 1, 0, 0, 0));
    printf(" %d", prctl(PR_GET_TAGGED_ADDR_CTRL, 0, 0, 0, 0));
    printf(" %d\n", prctl(PR_SET_TAGGED_ADDR_CTRL, 1ul << 40, 0, 0, 0));
    fflush(stdout);
    r = write(1, text, 5);
    printf("write %ld\n", r);

    FAULT("read nothing", (void)*(volatile char *)TAG(ro + 4096 + 8, 0x44));
    FAULT("write read-only", *(volatile char *)TAG(ro + 16, 0x44) = 1);
    FAULT("nowhere", *(volatile char *)0x1234567812345678 = 1);
    FAULT("misaligned", __asm__ volatile("ldar %0, [%1]" : "=r"(x) : "r"((char *)data + 3)));

    uint64_t signed_ = 0x123456, again;
    __asm__ volatile("pacia %0, %1" : "+r"(signed_) : "r"(9ul));
    printf("keys %d", prctl(PR_PAC_RESET_KEYS, 1ul << 5, 0, 0, 0));
    printf(" %d", prctl(PR_PAC_RESET_KEYS, 2, 0, 0, 0));
    again = signed_;
    __asm__ volatile("autia %0, %1" : "+r"(again) : "r"(9ul));
    printf(" %lx", again);
    printf(" %d", prctl(PR_PAC_RESET_KEYS, 0, 0, 0, 0));
    for (int i = 0, same = 0; i < 3; i++) { /* by chance the code is the same once in 128 */
        signed_ = again = 0x123456 + (unsigned)i;
        __asm__ volatile("pacia %0, %1" : "+r"(signed_) : "r"(9ul));
        prctl(PR_PAC_RESET_KEYS, 1, 0, 0, 0);
        __asm__ volatile("pacia %0, %1" : "+r"(again) : "r"(9ul));
        same += again == signed_;
        if (i == 2)
            printf(" %s\n", same == 3 ? "same" : "others");
    }
    return 0;
}
