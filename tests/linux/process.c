/* SPDX-License-Identifier: MIT */
/* What a process may ask about itself and its children, limits, clocks and timers. */
#include "say.h"

#include <linux/prctl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>

static void names(void)
{
    char name[17] = "";
    say("set name", prctl(PR_SET_NAME, "a-name-too-long-for-it"));
    say("get name", prctl(PR_GET_NAME, name));
    printf("%s\n", name);
    int value = -1;
    say("pdeathsig", prctl(PR_SET_PDEATHSIG, SIGUSR1));
    say("pdeathsig", prctl(PR_GET_PDEATHSIG, &value));
    printf("%d\n", value);
    prctl(PR_SET_PDEATHSIG, 0);
    say("dumpable", prctl(PR_GET_DUMPABLE));
    say("no new privs", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    say("subreaper", prctl(PR_SET_CHILD_SUBREAPER, 1));
    say("subreaper", prctl(PR_GET_CHILD_SUBREAPER, &value));
    printf("%d\n", value);
    say("unknown", prctl(123456, 0, 0, 0, 0));
    struct utsname u;
    say("uname", uname(&u));
    printf("%s\n", u.sysname);
    say("bad", syscall(SYS_uname, 16));
}

static void limits(void)
{
    static const int resources[] = { RLIMIT_CORE, RLIMIT_FSIZE, RLIMIT_NOFILE, RLIMIT_AS, RLIMIT_DATA,
                                     RLIMIT_STACK };
    struct rlimit l, old;
    for (unsigned i = 0; i < sizeof resources / sizeof *resources; i++) {
        say("get", getrlimit(resources[i], &l));
        printf("%d: %lx %lx\n", resources[i], (long)l.rlim_cur, (long)l.rlim_max);
    }
    l = (struct rlimit){ 1 << 30, 1 << 30 };
    say("as", setrlimit(RLIMIT_AS, &l));
    char *heap = sbrk(0);
    say("large", mmap(NULL, 1 << 30, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED
                     ? -1 : 0);
    char *at = mmap(NULL, 1 << 29, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    say("half", at == MAP_FAILED ? -1 : 0);
    say("other half", mremap(at, 1 << 29, (1 << 30) - 4096, MREMAP_MAYMOVE) == MAP_FAILED ? -1 : 0);
    say("again", mmap(at, 1 << 29, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == at);
    munmap(at, 1 << 29);
    l = (struct rlimit){ 1 << 20, 2 << 20 };
    say("data", prlimit(getpid(), RLIMIT_DATA, &l, &old));
    memset(&l, 0, sizeof l);
    say("get", prlimit(0, RLIMIT_DATA, NULL, &l));
    printf("%lx %lx\n", (long)l.rlim_cur, (long)l.rlim_max);
    say("brk", sbrk(4 << 20) == (void *)-1 ? -1 : 0);
    printf("unmoved %d\n", sbrk(0) == heap);
    say("private", mmap(NULL, 4 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
                           MAP_FAILED ? -1 : 0);
    say("shared", mmap(NULL, 4 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0) ==
                          MAP_FAILED ? -1 : 0);
    l = (struct rlimit){ 3 << 20, 2 << 20 };
    say("above", setrlimit(RLIMIT_DATA, &l));
    l = (struct rlimit){ 100, 200 };
    say("nofile", setrlimit(RLIMIT_NOFILE, &l));
    say("dup", fcntl(0, F_DUPFD, 100));
    say("bad", syscall(SYS_prlimit64, 0, 77, NULL, &l));
    say("bad address", syscall(SYS_prlimit64, 0, RLIMIT_AS, 16, NULL));
    pid_t child = fork();
    if (!child) {
        getrlimit(RLIMIT_DATA, &l);
        _exit(l.rlim_cur == 1 << 20);
    }
    int status;
    waitpid(child, &status, 0);
    printf("child has it: %d\n", WEXITSTATUS(status));
}

static void scheduling(void)
{
    cpu_set_t set, one;
    CPU_ZERO(&set);
    CPU_ZERO(&one);
    say("raw", syscall(SYS_sched_getaffinity, 0, sizeof set, &set));
    say("too small", syscall(SYS_sched_getaffinity, 0, 4, &set));
    say("count", CPU_COUNT(&set));
    CPU_SET(0, &one);
    say("set", sched_setaffinity(0, sizeof one, &one));
    unsigned cpu = 9, node = 9;
    say("getcpu", syscall(SYS_getcpu, &cpu, &node, NULL));
    printf("%u %u\n", cpu, node);
    sched_setaffinity(0, sizeof set, &set);
    struct sched_param p;
    say("policy", sched_getscheduler(0));
    say("param", sched_getparam(0, &p));
    say("max", sched_get_priority_max(SCHED_FIFO));
    struct { uint32_t size, policy; uint64_t flags; int32_t nice; uint32_t priority; uint64_t more[4];
    } attr;
    say("attr", syscall(SYS_sched_getattr, 0, &attr, sizeof attr, 0));
    printf("%u %d\n", attr.policy, attr.nice);
    errno = 0;
    say("nice", nice(3));
    say("getpriority", syscall(SYS_getpriority, PRIO_PROCESS, 0));
    say("personality", syscall(SYS_personality, 0xffffffff));
}

static void children(void)
{
    siginfo_t info;
    int status;
    struct rusage usage;
    pid_t child = fork();
    if (!child)
        _exit(42);
    say("waitid", waitid(P_PID, child, &info, WEXITED | WNOWAIT));
    printf("signo %d code %d status %d same %d\n", info.si_signo, info.si_code, info.si_status,
           info.si_pid == child);
    printf("wait4 %d", wait4(child, &status, 0, &usage) == child);
    printf(" status %x\n", status);
    say("none", waitpid(-1, &status, WNOHANG));
    child = fork();
    if (!child)
        for (;;)
            pause();
    int fd = (int)syscall(SYS_pidfd_open, child, 0);
    say_ok("pidfd_open", fd);
    int copy = (int)syscall(SYS_pidfd_getfd, fd, 1, 0);
    say_ok("pidfd_getfd", copy);
    say("signal", syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0));
    say("waitid", waitid(P_PIDFD, fd, &info, WEXITED));
    printf("code %d status %d\n", info.si_code, info.si_status);
    say("gone", syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0));
    say("no process", kill(child, 0));
}

static volatile sig_atomic_t ticks;

static void tick(int signal)
{
    (void)signal;
    ticks++;
}

static void times_and_timers(void)
{
    struct timespec a, b, left;
    struct tms tms;
    struct sysinfo s;
    clock_gettime(CLOCK_MONOTONIC, &a);
    say("sleep", clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){ 0, 3000000 }, NULL));
    clock_gettime(CLOCK_MONOTONIC, &b);
    long passed = (b.tv_sec - a.tv_sec) * 1000000000 + b.tv_nsec - a.tv_nsec;
    printf("at least: %d\n", passed >= 3000000);
    say("res", clock_getres(CLOCK_REALTIME, &a));
    printf("%ld\n", (long)a.tv_nsec);
    say("bad clock", clock_gettime(99, &a));
    say("absolute", clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &(struct timespec){ 1, 0 }, NULL));
    say_ok("times", times(&tms));
    say("sysinfo", sysinfo(&s));
    printf("some %d unit %u\n", s.totalram > 0, s.mem_unit);
    struct sigaction action = { .sa_handler = tick };
    sigaction(SIGALRM, &action, NULL);
    timer_t timer;
    struct sigevent e = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM };
    say("timer_create", timer_create(CLOCK_MONOTONIC, &e, &timer));
    struct itimerspec soon = { { 0, 0 }, { 0, 5000000 } };
    say("timer_settime", timer_settime(timer, 0, &soon, NULL));
    say("interrupted", nanosleep(&(struct timespec){ 10, 0 }, &left));
    printf("left: %d ticks: %d\n", left.tv_sec == 9, ticks);
    say("timer_getoverrun", timer_getoverrun(timer));
    say("timer_delete", timer_delete(timer));
    struct itimerval i = { { 0, 2000 }, { 0, 2000 } };
    say("setitimer", setitimer(ITIMER_REAL, &i, NULL));
    say("pause", pause());
    i = (struct itimerval){ 0 };
    setitimer(ITIMER_REAL, &i, NULL);
    printf("more ticks: %d\n", ticks > 1);
}

/* A signal without SA_RESTART ends calls that wait, and no others. */
static void interruptions(void)
{
    struct itimerval often = { { 0, 200 }, { 0, 200 } };
    char text[8];
    int fd = open("/dev/zero", O_RDONLY), wrong = 0;
    ticks = 0;
    setitimer(ITIMER_REAL, &often, NULL);
    while (ticks < 400) {
        struct { char bytes[512]; } stat;
        if (syscall(SYS_getppid) < 0 || syscall(SYS_fstat, fd, &stat) < 0 || read(fd, text, 8) != 8 ||
            syscall(SYS_getuid) == (long)-1 || lseek(fd, 0, SEEK_CUR) < 0)
            wrong++;
    }
    often = (struct itimerval){ 0 };
    setitimer(ITIMER_REAL, &often, NULL);
    printf("interrupted wrongly: %d\n", wrong);
}

static void *nothing(void *arg)
{
    return arg;
}

/* Threads that end before their parent goes on. */
static void short_threads(void)
{
    pthread_t threads[4];
    int done = 0;
    for (int round = 0; round < 1000; round++) {
        for (int i = 0; i < 4; i++)
            pthread_create(&threads[i], NULL, nothing, NULL);
        for (int i = 0; i < 4; i++)
            done += !pthread_join(threads[i], NULL);
    }
    printf("joined %d\n", done);
}

/* Limits of a program that is started. */
static void started(char **argv)
{
    struct rlimit l = { 4 << 20, 6 << 20 };
    char *again[] = { argv[0], "limits", NULL };
    pid_t child = fork();
    if (!child) {
        setrlimit(RLIMIT_STACK, &l);
        l = (struct rlimit){ 1 << 30, 1 << 30 };
        setrlimit(RLIMIT_AS, &l);
        execv("/proc/self/exe", again);
        _exit(1);
    }
    waitpid(child, NULL, 0);
    child = fork();
    if (!child) {
        setrlimit(RLIMIT_STACK, &l);
        l = (struct rlimit){ 500 << 20, 500 << 20 };
        setrlimit(RLIMIT_AS, &l);
        execl("/bin/sh", "sh", "-c", "ulimit -s; ulimit -v", NULL);
        _exit(1);
    }
    waitpid(child, NULL, 0);
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        struct rlimit l;
        getrlimit(RLIMIT_STACK, &l);
        printf("stack %ld\n", (long)l.rlim_cur);
        getrlimit(RLIMIT_AS, &l);
        printf("space %ld\n", (long)l.rlim_cur);
        return 0;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    names();
    scheduling();
    children();
    times_and_timers();
    interruptions();
    short_threads();
    started(argv);
    limits();
    return 0;
}
