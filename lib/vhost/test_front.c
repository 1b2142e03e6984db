/* SPDX-License-Identifier: MIT */
/* The front end when the device's process is killed and another takes its place: nothing is lost,
 * nothing is answered twice, and each request keeps its descriptor head. The device is a real
 * process, killed at any moment. */
#include "vhost/front.h"
#include "vhost/vhost.h"

#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MEMORY = 1 << 20, QUEUES = 2, CELL = 64, NEVER = 0xffff };

/* What the processes share beside the rings: which head a request came with, and how often. */
typedef struct {
    atomic_ushort head[1 << 16];
    atomic_uint seen, disorder;
    atomic_uint last[QUEUES];
    atomic_bool hold; /* nothing is answered */
} Log;

typedef struct {
    Log *log;
    int memory;
    uint8_t *at;
    pid_t pid;
    VhostFront *front;
    unsigned next, done, wrong;
    bool busy[QUEUES][VHOST_FRONT_DEPTH / 2];
} World;

typedef struct {
    World *w;
    unsigned queue, cell;
    uint32_t number;
} Ask;

/* The device: the number sent, times 3; it takes a little time. */
static int64_t handle(void *opaque, VhostRequest *r)
{
    Log *log = opaque;
    uint32_t number, answer;
    if (!vring_chain_take(&r->chain, &number, sizeof number))
        return 0;
    unsigned none = NEVER;
    unsigned short expected = (unsigned short)none;
    if (!atomic_compare_exchange_strong(&log->head[number & 0xffff], &expected, r->chain.id) &&
        expected != r->chain.id)
        atomic_fetch_add(&log->disorder, 1);
    if (number < atomic_exchange(&log->last[r->queue], number))
        atomic_fetch_add(&log->disorder, 1);
    atomic_fetch_add(&log->seen, 1);
    while (atomic_load(&log->hold))
        usleep(1000);
    answer = number * 3;
    return (int64_t)vring_chain_fill(&r->chain, 0, &answer, sizeof answer);
}

static void reset(void *opaque)
{
}

/* Our end of the new process's connection. */
static int start_process(World *w)
{
    int pair[2];
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
    for (unsigned i = 0; i < QUEUES; i++)
        atomic_store(&w->log->last[i], 0);
    w->pid = fork();
    if (!w->pid) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(pair[0]);
        VhostDevice device = {
            .name = "killed", .queues = QUEUES, .handle = handle, .reset = reset, .opaque = w->log
        };
        VhostBackend *b = vhost_backend_new(&device);
        vhost_backend_serve(b, pair[1], NULL);
        _exit(0);
    }
    close(pair[1]);
    return pair[0];
}

static void kill_process(World *w)
{
    kill(w->pid, SIGKILL);
    g_assert_cmpint(waitpid(w->pid, NULL, 0), ==, w->pid);
}

static void ended(void *opaque, void *cookie, uint32_t written)
{
    Ask *a = cookie;
    World *w = a->w;
    uint32_t answer;
    memcpy(&answer, w->at + (a->queue * VHOST_FRONT_DEPTH + a->cell) * CELL + 4, sizeof answer);
    w->wrong += written != 4 || answer != a->number * 3;
    w->done++;
    w->busy[a->queue][a->cell] = false;
    atomic_store(&w->log->head[a->number & 0xffff], NEVER);
    g_free(a);
}

static void submit(World *w, unsigned queue, unsigned cell)
{
    uint8_t *p = w->at + (queue * VHOST_FRONT_DEPTH + cell) * CELL;
    Ask *a = g_new(Ask, 1);
    *a = (Ask){ w, queue, cell, w->next++ };
    memcpy(p, &a->number, 4);
    memset(p + 4, 0xee, 4);
    struct iovec out = { p, 4 }, in = { p + 4, 4 };
    g_assert_true(vhost_front_submit(w->front, queue, &out, 1, &in, 1, a));
    w->busy[queue][cell] = true;
}

static void collect(World *w)
{
    for (unsigned q = 0; q < QUEUES; q++)
        g_assert_cmpint(vhost_front_collect(w->front, q, ended, w), >=, 0);
}

static void world_init(World *w)
{
    g_autoptr(GError) error = NULL;
    *w = (World){ .memory = memfd_create("test", MFD_CLOEXEC), .next = 1 };
    g_assert_cmpint(ftruncate(w->memory, MEMORY), ==, 0);
    w->at = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED, w->memory, 0);
    w->log = mmap(NULL, sizeof *w->log, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (unsigned i = 0; i < 1 << 16; i++)
        atomic_store(&w->log->head[i], NEVER);
    w->front = vhost_front_new(start_process(w), 0, QUEUES, &error);
    g_assert_no_error(error);
    g_assert_true(vhost_front_memory(w->front, w->at, MEMORY, w->memory, 0, &error));
    g_assert_true(vhost_front_start(w->front, &error));
    g_assert_no_error(error);
}

static void world_clear(World *w)
{
    vhost_front_free(w->front);
    kill_process(w);
    munmap(w->at, MEMORY);
    munmap(w->log, sizeof *w->log);
    close(w->memory);
}

static unsigned again(World *w, bool fail)
{
    g_autoptr(GError) error = NULL;
    unsigned n = 0;
    collect(w);
    for (unsigned q = 0; q < QUEUES; q++)
        n += vhost_front_again(w->front, q);
    int fd = start_process(w);
    if (fail)
        kill_process(w); /* before it has said anything, or in the midst of it */
    bool ok = vhost_front_reconnect(w->front, fd, -1, &error);
    if (fail && !ok)
        return again(w, false);
    g_assert_no_error(error);
    return n;
}

/* Keeps both queues half full while the process is killed again and again. */
static void test_killed(void)
{
    World w;
    world_init(&w);
    GRand *rand = g_rand_new_with_seed(7);
    unsigned resubmitted = 0, under_way;
    for (unsigned round = 0; round < 60; round++) {
        gint64 end = g_get_monotonic_time() + g_rand_int_range(rand, 0, 8000);
        do {
            for (unsigned q = 0; q < QUEUES; q++)
                for (unsigned c = 0; c < VHOST_FRONT_DEPTH / 2; c++)
                    if (!w.busy[q][c])
                        submit(&w, q, c);
            collect(&w);
        } while (g_get_monotonic_time() < end);
        kill_process(&w);
        resubmitted += again(&w, round % 7 == 3);
    }
    do {
        collect(&w);
        under_way = 0;
        for (unsigned i = 0; i < QUEUES * VHOST_FRONT_DEPTH / 2; i++)
            under_way += w.busy[i / (VHOST_FRONT_DEPTH / 2)][i % (VHOST_FRONT_DEPTH / 2)];
    } while (under_way);
    g_assert_cmpuint(w.done, ==, w.next - 1);
    g_assert_cmpuint(w.wrong, ==, 0);
    g_assert_cmpuint(atomic_load(&w.log->disorder), ==, 0);
    g_assert_cmpuint(resubmitted, >, 0);
    g_rand_free(rand);
    world_clear(&w);
}

/* Requests that were taken and not answered come again, in their order; those that are forgotten do
 * not, and their places in the ring are free. */
static void test_again(void)
{
    World w;
    world_init(&w);
    atomic_store(&w.log->hold, true);
    for (unsigned c = 0; c < 5; c++)
        submit(&w, 1, c);
    while (!atomic_load(&w.log->seen))
        usleep(1000);
    kill_process(&w);
    g_assert_cmpuint(again(&w, false), ==, 5);
    atomic_store(&w.log->hold, false);
    while (w.done < 5)
        collect(&w);
    g_assert_cmpuint(atomic_load(&w.log->seen), ==, 6);
    atomic_store(&w.log->hold, true);
    for (unsigned round = 0; round < 3; round++) {
        Ask *asks[VHOST_FRONT_DEPTH];
        uint8_t *p = w.at;
        struct iovec out = { p, 4 }, in = { p + 4, 4 };
        for (unsigned i = 0; i < VHOST_FRONT_DEPTH; i++)
            g_assert_true(vhost_front_submit(w.front, 0, &out, 1, &in, 1, asks[i] = g_new0(Ask, 1)));
        g_assert_false(vhost_front_submit(w.front, 0, &out, 1, &in, 1, NULL));
        kill_process(&w);
        vhost_front_forget(w.front, 0);
        for (unsigned i = 0; i < VHOST_FRONT_DEPTH; i++)
            g_free(asks[i]);
        g_assert_cmpuint(again(&w, false), ==, 0);
    }
    atomic_store(&w.log->hold, false);
    submit(&w, 0, 0);
    while (w.done < 6)
        collect(&w);
    g_assert_cmpuint(w.wrong, ==, 0);
    world_clear(&w);
}

/* Nobody waits for a process that says nothing for longer than it wants. */
static void test_cancel(void)
{
    World w;
    world_init(&w);
    g_autoptr(GError) error = NULL;
    int pair[2], cancel = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
    kill_process(&w);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
    g_assert_false(vhost_front_reconnect(w.front, pair[0], cancel, &error));
    g_assert_nonnull(strstr(error->message, "has not answered"));
    close(pair[1]);
    close(cancel);
    g_assert_cmpuint(again(&w, false), ==, 0);
    submit(&w, 0, 0);
    while (!w.done)
        collect(&w);
    g_assert_cmpuint(w.wrong, ==, 0);
    world_clear(&w);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    signal(SIGPIPE, SIG_IGN);
    g_test_add_func("/vhost/front/killed", test_killed);
    g_test_add_func("/vhost/front/again", test_again);
    g_test_add_func("/vhost/front/cancel", test_cancel);
    return g_test_run();
}
