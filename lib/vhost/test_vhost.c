/* SPDX-License-Identifier: MIT */
/* Both ends against each other over a socket pair, and the device's end against messages of no
 * sense. */
#include "vhost/front.h"
#include "vhost/vhost_priv.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PAGE = 4096, MEMORY = 1 << 20, QUEUES = 3 };

typedef struct {
    VhostBackend *backend;
    int fd;
    GThread *thread;
    bool good;
    char *message;
    atomic_int resets;
    VhostRequest *_Atomic waiting; /* of queue 2 */
} Device;

/* Answers with what was sent, upside down; queue 2 answers only when it is interrupted. */
static int64_t handle(void *opaque, VhostRequest *r)
{
    Device *d = opaque;
    uint8_t buf[2 * PAGE];
    size_t n = (size_t)r->chain.out_bytes;
    if (r->queue == 2) {
        atomic_store(&d->waiting, r);
        return VHOST_LATER;
    }
    g_assert_cmpuint(n, <=, sizeof buf);
    g_assert_true(vring_chain_take(&r->chain, buf, n));
    for (size_t i = 0; i < n; i++)
        buf[i] = (uint8_t)~buf[i];
    return (int64_t)vring_chain_fill(&r->chain, 0, buf, n);
}

static void interrupt(void *opaque)
{
    Device *d = opaque;
    VhostRequest *r = atomic_exchange(&d->waiting, NULL);
    if (r)
        vhost_request_done(r, 0);
}

static void reset(void *opaque)
{
    Device *d = opaque;
    atomic_fetch_add(&d->resets, 1);
}

static void *serve(void *opaque)
{
    Device *d = opaque;
    GError *error = NULL;
    d->good = vhost_backend_serve(d->backend, d->fd, &error);
    d->message = error ? g_strdup(error->message) : NULL;
    g_clear_error(&error);
    close(d->fd);
    return NULL;
}

/* The other end's descriptor. */
static int device_start(Device *d)
{
    int fds[2];
    *d = (Device){ .fd = -1 };
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
    VhostDevice device = { .name = "test", .queues = QUEUES, .config = "configuration", .config_size = 13,
                           .handle = handle, .interrupt = interrupt, .reset = reset, .opaque = d };
    d->backend = vhost_backend_new(&device);
    d->fd = fds[1];
    d->thread = g_thread_new("serve", serve, d);
    return fds[0];
}

static void device_end(Device *d)
{
    g_thread_join(d->thread);
    vhost_backend_free(d->backend);
}

typedef struct {
    int fd;
    uint8_t *at;
} Memory;

static Memory memory_new(void)
{
    Memory m = { .fd = memfd_create("test", MFD_CLOEXEC) };
    g_assert_cmpint(ftruncate(m.fd, MEMORY), ==, 0);
    m.at = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED, m.fd, 0);
    return m;
}

static void memory_free(Memory *m)
{
    munmap(m->at, MEMORY);
    close(m->fd);
}

static void ended(void *opaque, void *cookie, uint32_t written)
{
    *(uint32_t *)cookie = written;
}

static void wait_for(VhostFront *f, unsigned queue, const uint32_t *result)
{
    while (*result == UINT32_MAX) {
        struct pollfd p = { .fd = vhost_front_event(f, queue), .events = POLLIN };
        eventfd_t n;
        g_assert_cmpint(vhost_front_collect(f, queue, ended, NULL), >=, 0);
        if (*result != UINT32_MAX || vhost_front_wants(f, queue, true))
            continue;
        g_assert_cmpint(poll(&p, 1, 5000), ==, 1);
        eventfd_read(p.fd, &n);
    }
}

static void test_requests(void)
{
    Device d;
    Memory m = memory_new();
    g_autoptr(GError) error = NULL;
    VhostFront *f = vhost_front_new(device_start(&d), 0, QUEUES, &error);
    g_assert_no_error(error);
    g_assert_true(vhost_front_memory(f, m.at, MEMORY, m.fd, 0, &error));
    for (unsigned round = 0; round < 3; round++) {
        g_assert_true(vhost_front_start(f, &error));
        g_assert_no_error(error);
        for (unsigned i = 0; i < 2000; i++) {
            uint32_t result = UINT32_MAX;
            unsigned len = 1 + (unsigned)g_random_int_range(0, 2 * PAGE), cut = len / 3;
            memset(m.at, (int)i, len);
            struct iovec out[2] = { { m.at, cut + 1 }, { m.at + cut + 1, len - cut - 1 } };
            struct iovec in[2] = { { m.at + 4 * PAGE, cut + 1 }, { m.at + 8 * PAGE, len } };
            unsigned n_out = out[1].iov_len ? 2 : 1;
            g_assert_true(vhost_front_submit(f, i & 1, out, n_out, in, 2, &result));
            wait_for(f, i & 1, &result);
            g_assert_cmpuint(result, ==, len);
            g_assert_cmpuint(m.at[4 * PAGE], ==, (uint8_t)~i);
            g_assert_cmpuint(len == cut + 1 ? m.at[4 * PAGE] : m.at[8 * PAGE], ==, (uint8_t)~i);
        }
        g_assert_true(vhost_front_stop(f, &error));
    }
    vhost_front_free(f);
    device_end(&d);
    g_assert_true(d.good);
    g_assert_cmpint(d.resets, ==, 1);
    memory_free(&m);
}

/* A request that waits for ever does not keep the machine from stopping its queue. */
static void test_interrupt(void)
{
    Device d;
    Memory m = memory_new();
    uint32_t result = UINT32_MAX;
    VhostFront *f = vhost_front_new(device_start(&d), 0, QUEUES, NULL);
    struct iovec out = { m.at, 10 };
    g_assert_true(vhost_front_memory(f, m.at, MEMORY, m.fd, 0, NULL));
    g_assert_true(vhost_front_start(f, NULL));
    g_assert_true(vhost_front_submit(f, 2, &out, 1, NULL, 0, &result));
    while (!atomic_load(&d.waiting))
        g_usleep(1000);
    g_assert_true(vhost_front_stop(f, NULL));
    g_assert_cmpint(vhost_front_collect(f, 2, ended, NULL), ==, 1);
    g_assert_cmpuint(result, ==, 0);
    /* and the connection may go with one that waits */
    result = UINT32_MAX;
    g_assert_true(vhost_front_start(f, NULL));
    g_assert_true(vhost_front_submit(f, 2, &out, 1, NULL, 0, &result));
    while (!atomic_load(&d.waiting))
        g_usleep(1000);
    vhost_front_free(f);
    device_end(&d);
    g_assert_true(d.good);
    memory_free(&m);
}

/* ---- A front end of no sense --------------------------------------------------- */

static int say(int fd, uint32_t request, uint32_t flags, const void *body, uint32_t size)
{
    uint32_t head[3] = { request, flags, size };
    if (send(fd, head, sizeof head, MSG_NOSIGNAL) != sizeof head)
        return -1;
    return !size || send(fd, body, size, MSG_NOSIGNAL) == (ssize_t)size ? 0 : -1;
}

static void expect_end(const char *pattern, uint32_t request, uint32_t flags, const void *body,
                       uint32_t size)
{
    Device d;
    int fd = device_start(&d);
    say(fd, request, flags, body, size);
    shutdown(fd, SHUT_WR);
    device_end(&d);
    g_assert_false(d.good);
    if (!g_pattern_match_simple(pattern, d.message))
        g_error("not %s but %s", pattern, d.message);
    g_free(d.message);
    close(fd);
}

static void test_nonsense(void)
{
    uint64_t all = UINT64_MAX;
    VhostState state = { 9, 1 };
    VhostRegion region[2] = { { 0 } };
    expect_end("message 77 is not supported", 77, 1, NULL, 0);
    expect_end("message 6 is not supported", 6, 1, &all, 8);
    expect_end("message 2 is too short: 4 bytes", 2, 1, &all, 4);
    expect_end("features 0x* were not offered", 2, 1, &all, 8);
    expect_end("there is no queue 9: test has 3", 8, 1, &state, 8);
    state = (VhostState){ 0, 70000 };
    expect_end("queue 0: 70000 entries; 1 to 1024 are possible", 8, 1, &state, 8);
    expect_end("a memory table of *", 5, 1, &all, 8);
    expect_end("a memory region without its file", VHOST_ADD_MEM_REG, 1, region, 40);
    expect_end("no such memory region: *", VHOST_REM_MEM_REG, 1, region, 40);
    expect_end("queue 0: message 12 without its descriptor", 12, 1, &(uint64_t){ 0 }, 8);
    expect_end("a message of the front end cannot be read: *", 1, 9 << 8, NULL, 0);
    expect_end("a message of the front end cannot be read: *", 1, 1, &all, 100000);
}

/* Random messages, many of them nearly right: it ends, and nothing is left over. */
static void test_random(void)
{
    for (unsigned seed = 0; seed < 60; seed++) {
        Device d;
        GRand *rand = g_rand_new_with_seed(seed);
        int fd = device_start(&d);
        Memory m = memory_new();
        for (unsigned i = 0; i < 200; i++) {
            VhostMessage message = { .head = { (uint32_t)g_rand_int_range(rand, 1, 42), 1 | 8,
                                               0 } };
            uint32_t *words = (uint32_t *)(void *)message.body.bytes;
            for (unsigned k = 0; k < 20; k++)
                words[k] = g_rand_int_range(rand, 0, 3)
                               ? (uint32_t)g_rand_int_range(rand, 0, 4) * 64
                               : g_rand_int(rand);
            if (message.head.request < 16 && g_rand_boolean(rand))
                words[0] = (uint32_t)g_rand_int_range(rand, 0, 3);
            message.head.size = (uint32_t)g_rand_int_range(rand, 0, 80);
            if (say(fd, message.head.request, message.head.flags, message.body.bytes,
                    message.head.size))
                break;
        }
        shutdown(fd, SHUT_WR);
        uint8_t waste[4096];
        while (recv(fd, waste, sizeof waste, 0) > 0)
            ;
        device_end(&d);
        g_free(d.message);
        close(fd);
        memory_free(&m);
        g_rand_free(rand);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_log_set_always_fatal(G_LOG_LEVEL_CRITICAL | G_LOG_FLAG_FATAL);
    g_test_add_func("/vhost/requests", test_requests);
    g_test_add_func("/vhost/interrupt", test_interrupt);
    g_test_add_func("/vhost/nonsense", test_nonsense);
    g_test_add_func("/vhost/random", test_random);
    return g_test_run();
}
