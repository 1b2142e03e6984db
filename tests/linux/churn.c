/* SPDX-License-Identifier: MIT */
/* Much of what comes and goes: `exec N`, `threads N`, `signals SEED`. 0 when all is as it was. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int descriptors(void)
{
    DIR *d = opendir("/proc/self/fd");
    int n = 0;
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

/* Pages that are resident. */
static long resident(void)
{
    long size = 0, pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f || fscanf(f, "%ld %ld", &size, &pages) != 2)
        abort();
    fclose(f);
    return pages;
}

static int execs(char *self, int n)
{
    long pages = 0;
    int fds = descriptors();
    for (int i = 0; i < n; i++) {
        pid_t child = i & 1 ? fork() : vfork();
        if (!child) {
            execl(self, self, "nothing", NULL);
            _exit(127);
        }
        int status;
        if (waitpid(child, &status, 0) != child || status != 7 << 8) {
            printf("child %d: status %x\n", i, status);
            return 1;
        }
        if (i == n / 10)
            pages = resident();
    }
    printf("pages %ld, then %ld; descriptors %d, then %d\n", pages, resident(), fds, descriptors());
    return descriptors() != fds || resident() > pages + 1024;
}

static sem_t go;
static int alive;

static void *live(void *opaque)
{
    __atomic_add_fetch(&alive, 1, __ATOMIC_SEQ_CST);
    sem_wait(&go);
    return opaque;
}

static int threads(int n)
{
    pthread_t *t = calloc((size_t)n, sizeof *t);
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 65536);
    sem_init(&go, 0, 0);
    long pages = 0;
    for (int round = 0; round < 4; round++) {
        alive = 0;
        for (int i = 0; i < n; i++) {
            int wrong = pthread_create(&t[i], &attr, live, &t[i]);
            if (wrong) {
                printf("thread %d: %s\n", i, strerror(wrong));
                return 1;
            }
        }
        while (__atomic_load_n(&alive, __ATOMIC_SEQ_CST) < n)
            usleep(1000);
        for (int i = 0; i < n; i++)
            sem_post(&go);
        for (int i = 0; i < n; i++) {
            void *result;
            if (pthread_join(t[i], &result) || result != &t[i])
                return 1;
        }
        printf("round %d: pages %ld\n", round, resident());
        if (round == 1)
            pages = resident();
    }
    return resident() > pages + pages / 4;
}

enum { WORKERS = 6 };
static volatile int ending;
static long handled[WORKERS + 1], done[WORKERS];
static __thread int me = WORKERS;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void on_signal(int signal)
{
    int saved = errno;
    handled[me]++;
    if (signal == SIGUSR2 && handled[me] % 3 == 0)
        getpid();
    errno = saved;
}

/* Work whose result a lost or doubled instruction would change. */
static void *work(void *opaque)
{
    me = (int)(intptr_t)opaque;
    int p[2];
    if (pipe(p))
        abort();
    for (long n = 0; !ending; n++) {
        double x = 0;
        uint64_t h = 1;
        for (int i = 1; i <= 300; i++) {
            x += 1.0 / i;
            h = h * 6364136223846793005u + (uint64_t)i;
        }
        long value = n, back = 0;
        pthread_mutex_lock(&lock);
        ssize_t sent = write(p[1], &value, sizeof value), got = read(p[0], &back, sizeof back);
        pthread_mutex_unlock(&lock);
        if (x != 6.2826638802995021 || h != 0x11f0d774ae4a8ee7u)
            abort();
        if (sent != sizeof value || got != sizeof back || back != value)
            abort();
        if (n % 50 == 0) {
            pid_t child = fork();
            if (!child)
                _exit(3);
            int status;
            while (waitpid(child, &status, 0) < 0)
                if (errno != EINTR)
                    abort();
            if (status != 3 << 8)
                abort();
        }
        done[me]++;
    }
    return NULL;
}

static int signals(unsigned seed)
{
    pthread_t t[WORKERS];
    struct sigaction a = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    srand(seed);
    sigaction(SIGUSR1, &a, NULL);
    sigaddset(&a.sa_mask, SIGUSR1);
    sigaction(SIGUSR2, &a, NULL);
    sigaction(SIGALRM, &a, NULL);
    struct itimerval it = {{0, 700}, {0, 700}};
    setitimer(ITIMER_REAL, &it, NULL);
    for (int i = 0; i < WORKERS; i++)
        pthread_create(&t[i], NULL, work, (void *)(intptr_t)i);
    for (int i = 0; i < 2000; i++) {
        pthread_kill(t[rand() % WORKERS], rand() & 1 ? SIGUSR1 : SIGUSR2);
        if (i % 16 == 0) {
            struct timespec ts = {0, 1000000};
            nanosleep(&ts, NULL);
        }
    }
    ending = 1;
    for (int i = 0; i < WORKERS; i++)
        pthread_join(t[i], NULL);
    long sum = 0, least = done[0];
    for (int i = 0; i <= WORKERS; i++)
        sum += handled[i];
    for (int i = 0; i < WORKERS; i++)
        least = done[i] < least ? done[i] : least;
    printf("handled %ld, least work %ld\n", sum, least);
    return !sum || !least;
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc == 2)
        return 7;
    int n = argc > 2 ? atoi(argv[2]) : 0;
    if (argc > 2 && !strcmp(argv[1], "exec"))
        return execs(argv[0], n);
    if (argc > 2 && !strcmp(argv[1], "threads"))
        return threads(n);
    if (argc > 2 && !strcmp(argv[1], "signals"))
        return signals((unsigned)n);
    return 2;
}
