/* SPDX-License-Identifier: MIT */
/*
 * The machine's clock: virtual time, timers, wall time and random bytes.
 *
 * Virtual time is the host's monotonic time plus an offset while the clock runs, and a fixed value
 * while it is stopped; the pair is published under a sequence count so that reading takes no lock.
 * Timers are a binary heap by deadline, served by a thread of the clock's own: it sleeps on
 * a condition variable until the first deadline, so that neither a busy vCPU nor a busy main loop
 * delays a tick. A manual clock has no thread; bus_clock_advance plays its part.
 */
#include "bus/bus.h"

#include "base/bytes.h"

#include <pthread.h>
#include <sys/random.h>
#include <time.h>

#define NS_PER_S INT64_C(1000000000)
#define MANUAL_EPOCH_S INT64_C(946684800) /* 2000-01-01 00:00:00 UTC */
#define NOT_QUEUED G_MAXUINT

struct BusTimer {
    BusClock *clock;
    void (*fire)(void *opaque);
    void *opaque;
    int64_t deadline;
    guint index; /* in the heap, or NOT_QUEUED */
};

struct BusClock {
    bool manual;
    /* Published: odd while changing. */
    unsigned sequence;
    bool running;
    int64_t value; /* running: what to add to monotonic time; stopped: the time itself */

    pthread_mutex_t lock;
    pthread_cond_t wake; /* for the thread: the first deadline or the clock's state changed */
    pthread_cond_t done; /* for bus_timer_free: a callback has returned */
    GPtrArray *heap;
    BusTimer *firing;
    pthread_t runner; /* the thread that runs callbacks, valid while firing */
    pthread_t thread;
    bool quit;

    int64_t wall; /* to add to the host's wall time, or to virtual time */
    bool wall_follows;

    bool seeded;
    uint64_t random;
};

static int64_t monotonic_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

/* ---- Time ---------------------------------------------------------------- */

int64_t bus_clock_now(BusClock *clock)
{
    for (;;) {
        unsigned before = __atomic_load_n(&clock->sequence, __ATOMIC_ACQUIRE);
        bool running = __atomic_load_n(&clock->running, __ATOMIC_RELAXED);
        int64_t value = __atomic_load_n(&clock->value, __ATOMIC_RELAXED);
        int64_t now = running ? monotonic_ns() + value : value;
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (!(before & 1) && __atomic_load_n(&clock->sequence, __ATOMIC_RELAXED) == before)
            return now;
    }
}

/* With the lock held. */
static void publish(BusClock *clock, bool running, int64_t value)
{
    __atomic_store_n(&clock->sequence, clock->sequence + 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    __atomic_store_n(&clock->running, running, __ATOMIC_RELAXED);
    __atomic_store_n(&clock->value, value, __ATOMIC_RELAXED);
    __atomic_store_n(&clock->sequence, clock->sequence + 1, __ATOMIC_RELEASE);
    pthread_cond_signal(&clock->wake);
}

void bus_clock_start(BusClock *clock)
{
    pthread_mutex_lock(&clock->lock);
    if (!clock->running && !clock->manual)
        publish(clock, true, clock->value - monotonic_ns());
    pthread_mutex_unlock(&clock->lock);
}

void bus_clock_stop(BusClock *clock)
{
    pthread_mutex_lock(&clock->lock);
    if (clock->running)
        publish(clock, false, monotonic_ns() + clock->value);
    pthread_mutex_unlock(&clock->lock);
}

void bus_clock_set(BusClock *clock, int64_t ns)
{
    pthread_mutex_lock(&clock->lock);
    if (!clock->running)
        publish(clock, false, ns);
    pthread_mutex_unlock(&clock->lock);
}

int64_t bus_clock_wall(BusClock *clock)
{
    if (clock->wall_follows)
        return clock->wall + bus_clock_now(clock);
    if (clock->manual)
        return clock->wall + MANUAL_EPOCH_S * NS_PER_S + bus_clock_now(clock);
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return clock->wall + ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

void bus_clock_set_wall(BusClock *clock, int64_t ahead, bool follow)
{
    clock->wall_follows = false;
    clock->wall = ahead;
    if (follow)
        clock->wall = bus_clock_wall(clock) - bus_clock_now(clock);
    clock->wall_follows = follow;
}

/* ---- The heap of timers, with the lock held ------------------------------- */

static BusTimer *heap_at(const BusClock *clock, guint i)
{
    return g_ptr_array_index(clock->heap, i);
}

static void heap_put(BusClock *clock, guint i, BusTimer *timer)
{
    g_ptr_array_index(clock->heap, i) = timer;
    timer->index = i;
}

/* Moves the timer to its place, from where it is. */
static void heap_settle(BusClock *clock, BusTimer *timer)
{
    guint i = timer->index;
    while (i > 0 && heap_at(clock, (i - 1) / 2)->deadline > timer->deadline) {
        heap_put(clock, i, heap_at(clock, (i - 1) / 2));
        i = (i - 1) / 2;
    }
    for (;;) {
        guint child = 2 * i + 1;
        if (child >= clock->heap->len)
            break;
        if (child + 1 < clock->heap->len &&
            heap_at(clock, child + 1)->deadline < heap_at(clock, child)->deadline)
            child++;
        if (heap_at(clock, child)->deadline >= timer->deadline)
            break;
        heap_put(clock, i, heap_at(clock, child));
        i = child;
    }
    heap_put(clock, i, timer);
}

static void heap_remove(BusClock *clock, BusTimer *timer)
{
    if (timer->index == NOT_QUEUED)
        return;
    guint i = timer->index;
    BusTimer *last = heap_at(clock, clock->heap->len - 1);
    g_ptr_array_set_size(clock->heap, (gint)clock->heap->len - 1);
    timer->index = NOT_QUEUED;
    if (last != timer) {
        heap_put(clock, i, last);
        heap_settle(clock, last);
    }
}

/* Runs the first timer's callback if it is due, without the lock meanwhile. */
static bool fire_one(BusClock *clock, int64_t now)
{
    if (clock->heap->len == 0 || heap_at(clock, 0)->deadline > now)
        return false;
    BusTimer *timer = heap_at(clock, 0);
    heap_remove(clock, timer);
    clock->firing = timer;
    clock->runner = pthread_self();
    void (*fire)(void *) = timer->fire;
    void *opaque = timer->opaque;
    pthread_mutex_unlock(&clock->lock);
    fire(opaque); /* may free the timer */
    pthread_mutex_lock(&clock->lock);
    clock->firing = NULL;
    pthread_cond_broadcast(&clock->done);
    return true;
}

static void *clock_thread(void *opaque)
{
    BusClock *clock = opaque;
    pthread_mutex_lock(&clock->lock);
    while (!clock->quit) {
        if (!clock->running || clock->heap->len == 0) {
            pthread_cond_wait(&clock->wake, &clock->lock);
            continue;
        }
        if (fire_one(clock, monotonic_ns() + clock->value))
            continue;
        int64_t until;
        if (__builtin_sub_overflow(heap_at(clock, 0)->deadline, clock->value, &until) ||
            until / NS_PER_S > INT64_C(1) << 32) {
            pthread_cond_wait(&clock->wake, &clock->lock); /* centuries away */
            continue;
        }
        struct timespec ts = {until / NS_PER_S, until % NS_PER_S};
        pthread_cond_timedwait(&clock->wake, &clock->lock, &ts);
    }
    pthread_mutex_unlock(&clock->lock);
    return NULL;
}

void bus_clock_advance(BusClock *clock, int64_t ns)
{
    if (!clock->manual)
        return;
    pthread_mutex_lock(&clock->lock);
    int64_t target = clock->value + ns;
    for (;;) {
        /* Time stands at each deadline in turn, so that a callback sees the time it asked for. */
        if (clock->heap->len > 0 && heap_at(clock, 0)->deadline <= target &&
            heap_at(clock, 0)->deadline > clock->value)
            publish(clock, false, heap_at(clock, 0)->deadline);
        if (!fire_one(clock, clock->value))
            break;
    }
    publish(clock, false, target);
    pthread_mutex_unlock(&clock->lock);
}

bool bus_clock_is_manual(const BusClock *clock)
{
    return clock->manual;
}

int64_t bus_clock_deadline(BusClock *clock)
{
    pthread_mutex_lock(&clock->lock);
    int64_t deadline = clock->heap->len ? heap_at(clock, 0)->deadline : INT64_MAX;
    pthread_mutex_unlock(&clock->lock);
    return deadline;
}

/* ---- Life ---------------------------------------------------------------- */

static BusClock *clock_new(bool manual)
{
    BusClock *clock = g_new0(BusClock, 1);
    clock->manual = manual;
    clock->heap = g_ptr_array_new();
    pthread_mutex_init(&clock->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&clock->wake, &attr);
    pthread_condattr_destroy(&attr);
    pthread_cond_init(&clock->done, NULL);
    return clock;
}

BusClock *bus_clock_new(void)
{
    BusClock *clock = clock_new(false);
    /* As g_thread_new: a process that cannot have one more thread cannot run a machine. */
    if (pthread_create(&clock->thread, NULL, clock_thread, clock) != 0)
        g_error("cannot start the clock's thread");
    return clock;
}

BusClock *bus_clock_new_manual(void)
{
    return clock_new(true);
}

void bus_clock_free(BusClock *clock)
{
    if (!clock)
        return;
    if (!clock->manual) {
        pthread_mutex_lock(&clock->lock);
        clock->quit = true;
        pthread_cond_signal(&clock->wake);
        pthread_mutex_unlock(&clock->lock);
        pthread_join(clock->thread, NULL);
    }
    pthread_cond_destroy(&clock->wake);
    pthread_cond_destroy(&clock->done);
    pthread_mutex_destroy(&clock->lock);
    g_ptr_array_free(clock->heap, TRUE);
    g_free(clock);
}

/* ---- Timers -------------------------------------------------------------- */

BusTimer *bus_timer_new(BusClock *clock, void (*fire)(void *opaque), void *opaque)
{
    BusTimer *timer = g_new0(BusTimer, 1);
    timer->clock = clock;
    timer->fire = fire;
    timer->opaque = opaque;
    timer->index = NOT_QUEUED;
    return timer;
}

void bus_timer_free(BusTimer *timer)
{
    if (!timer)
        return;
    BusClock *clock = timer->clock;
    pthread_mutex_lock(&clock->lock);
    heap_remove(clock, timer);
    while (clock->firing == timer && !pthread_equal(clock->runner, pthread_self()))
        pthread_cond_wait(&clock->done, &clock->lock);
    heap_remove(clock, timer); /* its callback may have set it again */
    pthread_mutex_unlock(&clock->lock);
    g_free(timer);
}

void bus_timer_set(BusTimer *timer, int64_t deadline)
{
    BusClock *clock = timer->clock;
    if (deadline == INT64_MAX) {
        bus_timer_cancel(timer);
        return;
    }
    pthread_mutex_lock(&clock->lock);
    timer->deadline = deadline;
    if (timer->index == NOT_QUEUED) {
        g_ptr_array_add(clock->heap, timer);
        timer->index = clock->heap->len - 1;
    }
    heap_settle(clock, timer);
    if (timer->index == 0)
        pthread_cond_signal(&clock->wake);
    pthread_mutex_unlock(&clock->lock);
}

void bus_timer_cancel(BusTimer *timer)
{
    pthread_mutex_lock(&timer->clock->lock);
    heap_remove(timer->clock, timer);
    pthread_mutex_unlock(&timer->clock->lock);
}

/* ---- Random -------------------------------------------------------------- */

void bus_clock_seed(BusClock *clock, uint64_t seed)
{
    pthread_mutex_lock(&clock->lock);
    clock->seeded = true;
    clock->random = seed;
    pthread_mutex_unlock(&clock->lock);
}

/* SplitMix64 (Steele, Lea, Flood 2014): enough for a repeatable run; not for secrets. */
static uint64_t splitmix64(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

void bus_random(BusClock *clock, void *buf, size_t len)
{
    uint8_t *p = buf;
    pthread_mutex_lock(&clock->lock);
    bool seeded = clock->seeded;
    for (size_t i = 0; seeded && i < len; i += 8) {
        uint8_t word[8];
        st_le64(word, splitmix64(&clock->random));
        memcpy(p + i, word, MIN(8, len - i));
    }
    pthread_mutex_unlock(&clock->lock);
    while (!seeded && len > 0) {
        ssize_t n = getrandom(p, MIN(len, 256), 0); /* up to 256 bytes never fail once ready */
        if (n <= 0)
            continue;
        p += n;
        len -= (size_t)n;
    }
}
