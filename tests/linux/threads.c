/* SPDX-License-Identifier: MIT */
/* Threads, children and programs started by them. Prints the same on every 64-bit Linux. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;
static long counter, protected_counter;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static __thread long own;
static int turn;

static void *count(void *opaque)
{
    for (int i = 0; i < 100000; i++) {
        __atomic_add_fetch(&counter, 1, __ATOMIC_RELAXED);
        own++;
        pthread_mutex_lock(&mutex);
        protected_counter++;
        pthread_mutex_unlock(&mutex);
    }
    return (void *)own;
}

static void *take_turns(void *opaque)
{
    int me = (int)(intptr_t)opaque;
    for (int i = 0; i < 1000; i++) {
        pthread_mutex_lock(&mutex);
        while (turn % 4 != me)
            pthread_cond_wait(&cond, &mutex);
        turn++;
        pthread_cond_broadcast(&cond);
        pthread_mutex_unlock(&mutex);
    }
    return NULL;
}

static void many(void)
{
    pthread_t t[8];
    long sum = 0;
    void *result;
    for (int i = 0; i < 8; i++)
        pthread_create(&t[i], NULL, count, NULL);
    for (int i = 0; i < 8; i++) {
        pthread_join(t[i], &result);
        sum += (long)result;
    }
    printf("%ld %ld %ld\n", counter, protected_counter, sum);
    for (int i = 0; i < 4; i++)
        pthread_create(&t[i], NULL, take_turns, (void *)(intptr_t)i);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    printf("turns %d\n", turn);
}

static void *forker(void *opaque)
{
    for (int i = 0; i < 10; i++) {
        pid_t child = fork();
        if (!child)
            _exit(own == 0 ? 17 : 1);
        int status;
        if (waitpid(child, &status, 0) != child || WEXITSTATUS(status) != 17)
            return "bad";
    }
    return "good";
}

/* A lock that its owner dies with. */
static void robust(void)
{
    pthread_mutexattr_t attr;
    pthread_mutex_t *m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(m, &attr);
    if (!fork()) {
        pthread_mutex_lock(m);
        _exit(0);
    }
    wait(NULL);
    printf("robust: %s\n", strerrorname_np(pthread_mutex_lock(m)));
}

static void children(char *self)
{
    pthread_t t[3], counters[2];
    void *result;
    for (int i = 0; i < 2; i++)
        pthread_create(&counters[i], NULL, count, NULL);
    for (int i = 0; i < 3; i++)
        pthread_create(&t[i], NULL, forker, NULL);
    for (int i = 0; i < 3; i++) {
        pthread_join(t[i], &result);
        printf("forks: %s\n", (char *)result);
    }
    for (int i = 0; i < 2; i++)
        pthread_join(counters[i], NULL);
    char *args[] = {"a name", "child", "one \"two\"", "", NULL};
    pid_t child;
    int status;
    fflush(stdout);
    int wrong = posix_spawn(&child, self, NULL, NULL, args, environ);
    waitpid(child, &status, 0);
    printf("spawn %d %d\n", wrong, WEXITSTATUS(status));
    printf("spawn of nothing: %s\n",
           strerrorname_np(posix_spawn(&child, "/does/not/exist", NULL, NULL, args, environ)));
    child = vfork();
    if (!child)
        _exit(5);
    waitpid(child, &status, 0);
    printf("vfork %d\n", WEXITSTATUS(status));
    fflush(stdout);
    printf("shell %d\n", WEXITSTATUS(system("exit 6")));
}

/* A child by the system call itself, with a number written where it says. */
static void raw_clone(void)
{
    pid_t parent_tid = 0, *child_tid = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
                                            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct { uint64_t flags, pidfd, child, parent, exit, stack, size, tls; } a = {
        .flags = CLONE_PARENT_SETTID | CLONE_CHILD_SETTID, .exit = SIGCHLD,
        .child = (uintptr_t)child_tid, .parent = (uintptr_t)&parent_tid};
    long child = syscall(SYS_clone3, &a, sizeof a);
    if (!child)
        _exit(*child_tid == getpid() ? 3 : 4);
    int status;
    waitpid((pid_t)child, &status, 0);
    printf("clone3 %d %d\n", WEXITSTATUS(status), parent_tid == child);
    printf("threads without memory: %s\n",
           syscall(SYS_clone, CLONE_THREAD, 0, 0, 0, 0) < 0 ? strerrorname_np(errno) : "started");
}

static void *last(void *opaque)
{
    usleep(50000);
    printf("the last thread ends\n");
    fflush(stdout);
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        printf("[%s] [%s] [%s] [%s] %d\n", argv[0], argv[1], argv[2], argv[3], argc);
        return 23;
    }
    many();
    robust();
    children(argv[0]);
    raw_clone();
    fflush(stdout);
    pthread_t t;
    pthread_create(&t, NULL, last, NULL);
    pthread_detach(t);
    pthread_exit(NULL);
}
