/* SPDX-License-Identifier: MIT */
/* Signals as a program sees them. Prints the same on every 64-bit Linux, but for what its comments
   say. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

static sigjmp_buf back;
static volatile sig_atomic_t count, depth, deepest;
static char *volatile bad = (char *)0x10;

static void on_fault(int signal, siginfo_t *info, void *context)
{
    sigset_t now;
    sigprocmask(SIG_BLOCK, NULL, &now);
    printf("%s code %d, itself blocked: %d\n", sigabbrev_np(signal), info->si_code,
           sigismember(&now, signal));
    siglongjmp(back, 1);
}

static void on_count(int signal)
{
    count++;
}

static void handle(int signal, void (*fn)(int), int flags)
{
    struct sigaction a = {.sa_handler = fn, .sa_flags = flags};
    sigaction(signal, &a, NULL);
}

static void faults(void)
{
    struct sigaction a = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    char *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    sigaction(SIGSEGV, &a, NULL);
    sigaction(SIGBUS, &a, NULL);
    if (!sigsetjmp(back, 1))
        *bad = 1;
    if (!sigsetjmp(back, 1))
        page[5] = 1;
    if (!sigsetjmp(back, 1))
        ((void (*)(void))(uintptr_t)page)(); /* not executable */
    if (!sigsetjmp(back, 1))
        ((void (*)(void))(uintptr_t)bad)();
    char name[] = "/tmp/signals-XXXXXX";
    int fd = mkstemp(name);
    unlink(name);
    char *empty = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    if (!sigsetjmp(back, 1))
        printf("%c\n", empty[0]); /* behind the file's end */
}

/* The registers of the interrupted place can be read and changed: a loop is left by the handler. */
static volatile int leave;
static void on_leave(int signal)
{
    leave = 1;
}

static void timers(void)
{
    struct itimerval it = {{0, 2000}, {0, 2000}}, off = {{0, 0}, {0, 0}};
    handle(SIGALRM, on_count, SA_RESTART);
    setitimer(ITIMER_REAL, &it, NULL);
    while (count < 50)
        ;
    setitimer(ITIMER_REAL, &off, NULL);
    printf("fifty alarms\n");
    handle(SIGVTALRM, on_leave, 0);
    it.it_interval = (struct timeval){0, 0};
    setitimer(ITIMER_VIRTUAL, &it, NULL);
    for (unsigned n = 0; !leave; n++)
        ;
    printf("loop left\n");
}

/* A call that waits: begun again, or ended, as the handler was set up. */
static void restarts(void)
{
    int p[2];
    char c = 0;
    struct itimerval it = {{0, 0}, {0, 20000}};
    for (int flags = 0; flags <= SA_RESTART; flags += SA_RESTART) {
        if (pipe(p))
            return;
        handle(SIGALRM, on_count, flags);
        pid_t child = fork();
        if (!child) {
            usleep(600000);
            _exit(write(p[1], "x", 1) != 1);
        }
        count = 0;
        setitimer(ITIMER_REAL, &it, NULL);
        ssize_t n = read(p[0], &c, 1);
        printf("read %zd %s after %d\n", n, n < 0 ? strerrorname_np(errno) : "ok", (int)count);
        setitimer(ITIMER_REAL, &it, NULL);
        int status;
        pid_t w = waitpid(child, &status, 0);
        printf("wait %s\n", w == child ? "ok" : strerrorname_np(errno));
        if (w != child)
            waitpid(child, &status, 0);
        close(p[0]);
        close(p[1]);
    }
    setitimer(ITIMER_REAL, &it, NULL);
    printf("pause %d\n", pause());
    struct timespec time = {5, 0};
    setitimer(ITIMER_REAL, &it, NULL);
    int r = nanosleep(&time, &time);
    printf("sleep %d, left %d\n", r, time.tv_sec == 4);
}

static void on_nested(int signal)
{
    depth++;
    if (depth > deepest)
        deepest = depth;
    if (signal == SIGUSR1)
        raise(SIGUSR2);
    depth--;
}

static void masks(void)
{
    sigset_t set, old, pending;
    struct sigaction a = {.sa_handler = on_nested};
    sigaction(SIGUSR1, &a, NULL);
    sigaction(SIGUSR2, &a, NULL);
    raise(SIGUSR1);
    printf("nested to %d\n", (int)deepest);
    deepest = 0;
    sigaddset(&a.sa_mask, SIGUSR2);
    sigaction(SIGUSR1, &a, NULL);
    raise(SIGUSR1);
    printf("masked: %d\n", (int)deepest);

    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, &old);
    deepest = 0;
    kill(getpid(), SIGUSR1);
    sigpending(&pending);
    printf("blocked: ran %d, pending %d\n", (int)deepest, sigismember(&pending, SIGUSR1));
    sigsuspend(&old);
    printf("suspended: ran %d %s\n", (int)deepest, strerrorname_np(errno));
    sigprocmask(SIG_SETMASK, NULL, &pending);
    printf("blocked again: %d\n", sigismember(&pending, SIGUSR1));
    kill(getpid(), SIGUSR1);
    siginfo_t info;
    printf("waited for %d", sigwaitinfo(&set, &info) == SIGUSR1);
    printf(" from %s\n", info.si_pid == getpid() ? "self" : "others");
    union sigval v = {.sival_int = 77};
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN + 3);
    sigprocmask(SIG_BLOCK, &set, NULL);
    for (int i = 0; i < 3; i++, v.sival_int++)
        sigqueue(getpid(), SIGRTMIN + 3, v);
    for (int i = 0; i < 3; i++)
        if (sigwaitinfo(&set, &info) > 0)
            printf("queued %d code %d\n", info.si_value.sival_int, info.si_code);
    sigprocmask(SIG_SETMASK, &old, NULL);
}

static void on_stack(int signal, siginfo_t *info, void *context)
{
    const ucontext_t *uc = context;
    char here;
    uintptr_t low = (uintptr_t)uc->uc_stack.ss_sp;
    printf("on the other stack: %d\n", (uintptr_t)&here - low < uc->uc_stack.ss_size);
    siglongjmp(back, 1);
}

static int overflow(int n)
{
    volatile char room[4096];
    room[0] = (char)n;
    return overflow(n + 1) + room[0];
}

static void stacks(void)
{
    stack_t s = {.ss_sp = malloc(65536), .ss_size = 65536}, got;
    struct sigaction a = {.sa_sigaction = on_stack, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    printf("altstack %d", sigaltstack(&s, NULL));
    sigaltstack(NULL, &got);
    printf(" %d\n", got.ss_size == 65536 && !got.ss_flags);
    sigaction(SIGSEGV, &a, NULL);
    if (!sigsetjmp(back, 1))
        overflow(0);
    s.ss_flags = SS_DISABLE;
    sigaltstack(&s, NULL);
}

static void *receiver(void *opaque)
{
    sigset_t set;
    int got;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigwait(&set, &got);
    return opaque;
}

static void threads(void)
{
    pthread_t t;
    sigset_t set;
    void *result;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    pthread_create(&t, NULL, receiver, &t);
    pthread_kill(t, SIGUSR1);
    pthread_join(t, &result);
    printf("thread got it: %d\n", result == &t);
    pthread_create(&t, NULL, (void *(*)(void *))(uintptr_t)pause, NULL);
    pthread_cancel(t);
    pthread_join(t, &result);
    printf("cancelled: %d\n", result == PTHREAD_CANCELED);
}

static void ends(void)
{
    static const int signals[] = {SIGTERM, SIGKILL, SIGSEGV, SIGABRT, SIGFPE, SIGPIPE, SIGUSR1};
    fflush(stdout);
    for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++) {
        pid_t child = fork();
        if (!child) {
            sigset_t none;
            sigemptyset(&none);
            for (int s = 1; s < 32; s++)
                signal(s, SIG_DFL);
            sigprocmask(SIG_SETMASK, &none, NULL);
            if (signals[i] == SIGSEGV)
                *bad = 1;
            else if (signals[i] == SIGABRT)
                abort();
            kill(getpid(), signals[i]);
            _exit(1);
        }
        int status;
        waitpid(child, &status, 0);
        printf("ended by %s\n", WIFSIGNALED(status) ? sigabbrev_np(WTERMSIG(status)) : "itself");
    }
    pid_t child = fork();
    if (!child) {
        raise(SIGSTOP);
        usleep(300000);
        _exit(9);
    }
    int status;
    waitpid(child, &status, WUNTRACED);
    printf("stopped %d\n", WIFSTOPPED(status));
    kill(child, SIGCONT);
    waitpid(child, &status, WCONTINUED);
    printf("continued %d\n", WIFCONTINUED(status));
    waitpid(child, &status, 0);
    printf("exited %d\n", WEXITSTATUS(status));
    handle(SIGCHLD, SIG_IGN, 0);
    if (!fork())
        _exit(0);
    printf("no child to wait for: %s\n", wait(&status) < 0 ? strerrorname_np(errno) : "one");
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    faults();
    timers();
    restarts();
    masks();
    stacks();
    threads();
    ends();
    return 0;
}
