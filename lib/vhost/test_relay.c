/* SPDX-License-Identifier: MIT */
/* A relay between a front end and a server process that is killed at any moment: each request is
 * answered once, by the server or by who is in its place, those that were in flight and those that
 * come later; out of their order, as well. */
#include "vhost/front.h"
#include "vhost/relay.h"

#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    MEMORY = 1 << 20,
    QUEUES = 2,
    CELL = 64,
    CELLS = VHOST_FRONT_DEPTH / 2,
    HELD = 8,
    HELD_MARK = 1 << 24
};

typedef struct {
    uint8_t *at;
    VhostFront *front;
    unsigned server, last, wrong;
    uint32_t next;
    uint32_t number[QUEUES][CELLS]; /* + 1; 0: there is none */
} World;

typedef struct {
    World *w;
    unsigned queue, cell;
} Ask;

/* Some requests are never answered, as if they waited for a lock. */
static int64_t serve(void *opaque, VhostRequest *r)
{
    uint32_t number;
    if (!vring_chain_take(&r->chain, &number, sizeof number))
        return 0;
    if (number & HELD_MARK)
        return VHOST_LATER;
    number *= 3;
    return (int64_t)vring_chain_fill(&r->chain, 0, &number, sizeof number);
}

static int64_t refuse(void *opaque, VhostRequest *r)
{
    uint32_t number;
    if (!vring_chain_take(&r->chain, &number, sizeof number))
        return 0;
    number = ~number;
    return (int64_t)vring_chain_fill(&r->chain, 0, &number, sizeof number);
}

static void nothing(void *opaque)
{
}

static void ended(void *opaque, void *cookie, uint32_t written)
{
    Ask *a = cookie;
    World *w = a->w;
    uint32_t answer, number = w->number[a->queue][a->cell] - 1;
    memcpy(&answer, w->at + (a->queue * CELLS + a->cell) * CELL + 4, sizeof answer);
    w->server += answer == number * 3;
    w->last += answer == ~number;
    w->wrong += written != 4 || !(number + 1) || (answer != number * 3 && answer != ~number);
    w->number[a->queue][a->cell] = 0;
    g_free(a);
}

static void submit(World *w, unsigned queue, unsigned cell, uint32_t number)
{
    uint8_t *p = w->at + (queue * CELLS + cell) * CELL;
    Ask *a = g_new(Ask, 1);
    *a = (Ask){ w, queue, cell };
    memcpy(p, &number, 4);
    struct iovec out = { p, 4 }, in = { p + 4, 4 };
    g_assert_true(vhost_front_submit(w->front, queue, &out, 1, &in, 1, a));
    w->number[queue][cell] = number + 1;
}

static void collect(World *w)
{
    for (unsigned q = 0; q < QUEUES; q++)
        g_assert_cmpint(vhost_front_collect(w->front, q, ended, w), >=, 0);
}

/* So many rounds of filling all free cells. */
static void work(World *w, unsigned rounds)
{
    while (rounds--) {
        for (unsigned q = 0; q < QUEUES; q++)
            for (unsigned c = 0; c < CELLS; c++)
                if (!w->number[q][c])
                    submit(w, q, c, w->next++);
        collect(w);
    }
}

static bool all_done(World *w, unsigned from)
{
    collect(w);
    for (unsigned q = 0; q < QUEUES; q++)
        for (unsigned c = from; c < CELLS; c++)
            if (w->number[q][c])
                return false;
    return true;
}

/* others: what the process must not have, so that ends of connections are seen. */
static pid_t start(bool relay, int fd, int back, const int *others)
{
    pid_t pid = fork();
    if (pid)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (unsigned i = 0; i < 2; i++)
        if (others[i] != fd)
            close(others[i]);
    VhostDevice device = { .name = relay ? "last" : "first",
                           .queues = QUEUES,
                           .handle = relay ? refuse : serve,
                           .reset = nothing };
    if (relay)
        vhost_relay(fd, back, &device);
    else {
        close(back);
        vhost_backend_serve(vhost_backend_new(&device), fd, NULL);
    }
    _exit(0);
}

static void once(World *w, unsigned delay)
{
    GError *error = NULL;
    int outer[2], inner[2], status, memory = memfd_create("guest", MFD_CLOEXEC);
    g_assert_cmpint(ftruncate(memory, MEMORY), ==, 0);
    w->at = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    g_assert_true(w->at != MAP_FAILED);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, outer), ==, 0);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, inner), ==, 0);
    pid_t server = start(false, inner[0], inner[1], outer);
    close(inner[0]);
    pid_t relay = start(true, outer[1], inner[1], outer);
    close(outer[1]);
    close(inner[1]);
    w->front = vhost_front_new(outer[0], 0, QUEUES, &error);
    g_assert_no_error(error);
    g_assert_true(vhost_front_memory(w->front, w->at, MEMORY, memory, 0, &error));
    g_assert_true(vhost_front_start(w->front, &error));
    for (unsigned q = 0; q < QUEUES; q++)
        for (unsigned c = 0; c < HELD; c++)
            submit(w, q, c, w->next++ | HELD_MARK);
    unsigned before = w->server;
    while (w->server - before < delay) /* the held ones may be long out of the ring's window */
        work(w, 1);
    kill(server, SIGKILL);
    g_assert_cmpint(waitpid(server, NULL, 0), ==, server);
    unsigned refused = w->last;
    work(w, 50);
    for (gint64 end = g_get_monotonic_time() + 120 * G_USEC_PER_SEC; !all_done(w, 0);) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(200);
    }
    g_assert_cmpuint(w->last - refused, >=, QUEUES * HELD);
    /* a ring that is stopped and started again is the last device's, too */
    g_assert_true(vhost_front_stop(w->front, &error));
    vhost_front_free(w->front);
    g_assert_cmpint(waitpid(relay, &status, 0), ==, relay);
    g_assert_cmpint(status, ==, 0);
    munmap(w->at, MEMORY);
    close(memory);
}

static void test_killed(void)
{
    World w = { .next = 1 };
    for (unsigned i = 0; i < 40; i++)
        once(&w, i * i * 7 % 3331);
    g_assert_cmpuint(w.wrong, ==, 0);
    g_test_message("%u requests: %u answered by the server, %u in its place", w.next - 1, w.server,
                   w.last);
    g_assert_cmpuint(w.server + w.last, ==, w.next - 1);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vhost/relay/killed", test_killed);
    return g_test_run();
}
