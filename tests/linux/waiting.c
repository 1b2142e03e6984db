/* SPDX-License-Identifier: MIT */
/* Waiting for several things at once: epoll, poll, select, and descriptors of events. */
#include "say.h"

#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>

enum { MANY = 200 };

static volatile sig_atomic_t caught;

static void note(int signal)
{
    caught = signal;
}

static void many_events(void)
{
    struct epoll_event event = { .events = EPOLLIN | EPOLLET, .data.u64 = 0x0123456789abcdef };
    struct epoll_event out[MANY];
    int e = epoll_create1(EPOLL_CLOEXEC), fds[MANY];
    for (int i = 0; i < MANY; i++) {
        fds[i] = eventfd(1, 0);
        event.data.u64 = 0x0123456700000000 + (unsigned)i;
        if (epoll_ctl(e, EPOLL_CTL_ADD, fds[i], &event))
            say("add", -1);
    }
    say("twice", epoll_ctl(e, EPOLL_CTL_ADD, fds[0], &event));
    say("no event", syscall(SYS_epoll_ctl, e, EPOLL_CTL_MOD, fds[0], NULL));
    memset(out, 0x55, sizeof out);
    int n = say("wait", epoll_wait(e, out, MANY, 0));
    int right = 0;
    for (int i = 0; i < n; i++)
        right += out[i].events == EPOLLIN && out[i].data.u64 == 0x0123456700000000 + (unsigned)i;
    printf("%d are right\n", right);
    say("none", epoll_wait(e, out, MANY, 0));
    say("bad count", epoll_wait(e, out, 0, 0));
    event.events = EPOLLIN | EPOLLONESHOT;
    event.data.u64 = UINT64_MAX;
    say("mod", epoll_ctl(e, EPOLL_CTL_MOD, fds[7], &event));
    struct timespec soon = { 1, 0 };
    say("pwait2", syscall(SYS_epoll_pwait2, e, out, 3, &soon, NULL, 0));
    printf("%x %lx\n", out[0].events, (long)out[0].data.u64);
    say("del", epoll_ctl(e, EPOLL_CTL_DEL, fds[7], NULL));
    say("gone", epoll_ctl(e, EPOLL_CTL_DEL, fds[7], NULL));
    say("bad address", syscall(SYS_epoll_pwait, e, (void *)16, 3, 0, NULL, 0));
    for (int i = 0; i < MANY; i++)
        close(fds[i]);
    close(e);
}

/* A signal that is blocked but for the time of the wait ends it. */
static void with_masks(void)
{
    sigset_t blocked, open;
    struct epoll_event out;
    struct timespec ten = { 10, 0 };
    struct pollfd p = { .fd = eventfd(0, 0), .events = POLLIN | POLLOUT };
    int e = epoll_create1(0);
    fd_set set;
    struct sigaction action = { .sa_handler = note };
    sigaction(SIGUSR1, &action, NULL);
    sigemptyset(&open);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    say("poll", ppoll(&p, 1, &ten, NULL));
    printf("revents %x\n", p.revents);
    p.events = POLLIN;

    for (int round = 0; round < 5; round++) {
        caught = 0;
        kill(getpid(), SIGUSR1);
        printf("blocked: %d\n", caught);
        switch (round) {
        case 0: say("ppoll", ppoll(&p, 1, &ten, &open)); break;
        case 1:
            FD_ZERO(&set);
            FD_SET(p.fd, &set);
            say("pselect", pselect(p.fd + 1, &set, NULL, NULL, &ten, &open));
            break;
        case 2: say("epoll_pwait", epoll_pwait(e, &out, 1, 10000, &open)); break;
        case 3: say("sigsuspend", sigsuspend(&open)); break;
        case 4: say("epoll_pwait2", syscall(SYS_epoll_pwait2, e, &out, 1, &ten, &open, 8)); break;
        }
        printf("caught: %d\n", caught);
    }
    sigset_t now;
    sigprocmask(SIG_SETMASK, NULL, &now);
    printf("still blocked: %d\n", sigismember(&now, SIGUSR1));
    say("bad size", syscall(SYS_ppoll, &p, 1, &ten, &open, 4));
    FD_ZERO(&set);
    FD_SET(p.fd, &set);
    struct timespec brief = { 0, 1000 };
    say("pselect", pselect(p.fd + 1, &set, NULL, NULL, &brief, NULL));
    say("bad set", syscall(SYS_pselect6, 0, NULL, NULL, NULL, &brief, (void *)16));
}

static void events(void)
{
    uint64_t value = 3;
    int e = eventfd(5, EFD_SEMAPHORE | EFD_NONBLOCK);
    say("write", write(e, &value, 8));
    say("read", read(e, &value, 8));
    printf("value %lu\n", (long)value);
    int t = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    struct itimerspec soon = { { 0, 1000000 }, { 0, 1 } }, old;
    say("settime", timerfd_settime(t, 0, &soon, NULL));
    usleep(5000);
    say("expired", read(t, &value, 8));
    printf("several: %d\n", value >= 3);
    say("gettime", timerfd_gettime(t, &old));
    printf("interval %ld\n", (long)old.it_interval.tv_nsec);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sigaddset(&set, SIGRTMIN + 2);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int s = signalfd(-1, &set, SFD_NONBLOCK);
    struct signalfd_siginfo info;
    say("nothing", read(s, &info, sizeof info));
    union sigval payload = { .sival_ptr = (void *)0x123456789abcdef0 };
    sigqueue(getpid(), SIGRTMIN + 2, payload);
    say("signal", read(s, &info, sizeof info));
    printf("signo %d code %d self %d value %lx\n", info.ssi_signo, info.ssi_code,
           (int)info.ssi_pid == getpid(), (long)info.ssi_ptr);
    siginfo_t got;
    struct timespec none = { 0, 0 };
    kill(getpid(), SIGUSR2);
    say("sigtimedwait", sigtimedwait(&set, &got, &none));
    printf("code %d self %d\n", got.si_code, got.si_pid == getpid());
    say("sigtimedwait", sigtimedwait(&set, &got, &none));
}

static void watching(void)
{
    char buffer[4096];
    int i = inotify_init1(IN_NONBLOCK);
    say("watch", inotify_add_watch(i, ".", IN_CREATE | IN_DELETE | IN_MOVE));
    close(open("watched", O_CREAT | O_WRONLY, 0600));
    rename("watched", "moved");
    unlink("moved");
    ssize_t n = read(i, buffer, sizeof buffer);
    for (char *at = buffer; at < buffer + n;) {
        struct inotify_event *e = (void *)at;
        printf("event %x %s\n", e->mask, e->name);
        at += sizeof *e + e->len;
    }
    say("no more", read(i, buffer, sizeof buffer));
    say("rm", inotify_rm_watch(i, 1));
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    many_events();
    with_masks();
    events();
    watching();
    return 0;
}
