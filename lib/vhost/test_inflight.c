/* SPDX-License-Identifier: MIT */
/* Inflight tracking: a back end is killed at any moment with requests half done, out of order; the
 * next one does them again in the order in which they were taken, and each is answered once. Then
 * the moments that no clock would hit, made by hand, and memory of no sense. The driver is this
 * file's own. */
#include "vhost/vhost_priv.h"

#include "base/bytes.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MEMORY = 1 << 16, SIZE = 16, SLOTS = SIZE / 2, DRIVER_AT = 0x1000, DEVICE_AT = 0x2000, DATA_AT = 0x4000,
       HELD = 4, STRIDE = 64 * ((32 + SIZE * 32 + 63) / 64) };

typedef struct {
    atomic_uint disorder, seen;
} Log;

typedef struct {
    uint8_t *at;
    int memory, kick, socket, track;
    uint8_t *tracked; /* the inflight memory as we see it */
    VhostInflight inflight;
    pid_t pid;
    Log *log;
    bool packed, busy[SLOTS];
    uint16_t avail, used; /* packed: positions */
    bool avail_wrap, used_wrap;
    uint32_t next, number[SLOTS];
    unsigned done, wrong;
} World;

/* ---- The device ---------------------------------------------------------------------- */

typedef struct {
    Log *log;
    pthread_mutex_t lock;
    VhostRequest *held[HELD];
    uint32_t last;
    unsigned moves;
} Device;

static void finish(VhostRequest *r)
{
    uint32_t number = 0;
    vring_chain_take(&r->chain, &number, sizeof number);
    number *= 3;
    vhost_request_done(r, (uint32_t)vring_chain_fill(&r->chain, 0, &number, sizeof number));
}

/* Exchanges one of those that are held for r. */
static void swap(Device *d, VhostRequest *r)
{
    pthread_mutex_lock(&d->lock);
    VhostRequest **place = &d->held[d->moves++ * 7 % HELD], *old = *place;
    *place = r;
    pthread_mutex_unlock(&d->lock);
    if (old)
        finish(old);
}

static int64_t handle(void *opaque, VhostRequest *r)
{
    Device *d = opaque;
    uint32_t number;
    memcpy(&number, r->chain.out[0].iov_base, sizeof number);
    if (number <= d->last)
        atomic_fetch_add(&d->log->disorder, 1);
    d->last = number;
    atomic_fetch_add(&d->log->seen, 1);
    swap(d, r);
    return VHOST_LATER;
}

static void interrupt(void *opaque)
{
    for (unsigned i = 0; i < HELD; i++)
        swap(opaque, NULL);
}

static void *finish_late(void *opaque)
{
    for (;;) {
        usleep(300);
        swap(opaque, NULL);
    }
    return NULL;
}

static void reset(void *opaque)
{
}

static G_NORETURN void be_device(Log *log, int fd)
{
    Device d = { .log = log };
    pthread_t thread;
    VhostDevice device = { .name = "tracked", .queues = 2, .handle = handle, .interrupt = interrupt, .reset = reset,
                           .opaque = &d };
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    pthread_mutex_init(&d.lock, NULL);
    pthread_create(&thread, NULL, finish_late, &d);
    vhost_backend_serve(vhost_backend_new(&device), fd, NULL);
    _exit(0);
}

/* ---- The front end --------------------------------------------------------------------- */

static void say(int to, uint32_t request, const void *body, uint32_t size, int fd)
{
    VhostMessage m = { .head = { request, VHOST_VERSION, size },
                       .fds[0] = fd,
                       .fd_count = fd >= 0 };
    if (size)
        memcpy(&m.body, body, size);
    g_assert_cmpint(vhost_message_send(to, &m, true), ==, 1);
}

static void say_u64(int to, uint32_t request, uint64_t value, int fd)
{
    say(to, request, &value, sizeof value, fd);
}

static void get_track(World *w)
{
    VhostMessage m;
    VhostInflight i = { .queues = 1, .queue_size = SIZE };
    say(w->socket, VHOST_GET_INFLIGHT_FD, &i, VHOST_INFLIGHT_BYTES, -1);
    g_assert_cmpint(vhost_message_receive(w->socket, &m, true), ==, 1);
    g_assert_cmpuint(m.head.request, ==, VHOST_GET_INFLIGHT_FD);
    w->inflight = m.body.inflight;
    w->track = vhost_message_take_fd(&m);
    g_assert_cmpint(w->track, >=, 0);
    g_assert_cmpuint(w->inflight.size, ==, STRIDE);
    w->tracked = mmap(NULL, w->inflight.size, PROT_READ | PROT_WRITE, MAP_SHARED, w->track, 0);
    g_assert_true(w->tracked != MAP_FAILED);
}

/* Up to the ring's start; true: the back end took it all. */
static bool set_up(World *w)
{
    uint64_t at = (uintptr_t)w->at,
             features = UINT64_C(1) << VHOST_F_VERSION_1 | UINT64_C(1) << VHOST_F_PROTOCOL_FEATURES;
    int s = w->socket;
    say(s, VHOST_SET_OWNER, NULL, 0, -1);
    say_u64(s, VHOST_SET_FEATURES, features | (uint64_t)w->packed << VHOST_F_RING_PACKED, -1);
    say_u64(s, VHOST_SET_PROTOCOL_FEATURES, 1 << VHOST_PROTOCOL_INFLIGHT_SHMFD, -1);
    if (w->track < 0)
        get_track(w);
    say(s, VHOST_SET_INFLIGHT_FD, &w->inflight, VHOST_INFLIGHT_BYTES, w->track);
    VhostMessage table = { .body.memory = { .count = 1,
                                            .regions[0] = { 0x10000, MEMORY, at, 0 } } };
    say(s, VHOST_SET_MEM_TABLE, &table.body, 8 + sizeof(VhostRegion), w->memory);
    say(s, VHOST_SET_VRING_NUM, &(VhostState){ 0, SIZE }, sizeof(VhostState), -1);
    uint32_t base = w->packed ? 0x80008000
                              : ld_le16(w->at + DEVICE_AT + 2); /* all that a front end knows */
    say(s, VHOST_SET_VRING_BASE, &(VhostState){ 0, base }, sizeof(VhostState), -1);
    VhostAddresses a = { .desc = at, .avail = at + DRIVER_AT, .used = at + DEVICE_AT };
    say(s, VHOST_SET_VRING_ADDR, &a, sizeof a, -1);
    say_u64(s, VHOST_SET_VRING_CALL, VHOST_NO_FD, -1);
    say_u64(s, VHOST_SET_VRING_KICK, 0, w->kick);
    say(s, VHOST_SET_VRING_ENABLE, &(VhostState){ 0, 1 }, sizeof(VhostState), -1);
    VhostMessage m;
    say(s, VHOST_GET_QUEUE_NUM, NULL, 0, -1);
    return vhost_message_receive(s, &m, true) == 1 && m.body.u64 == 2;
}

static bool start_process(World *w)
{
    int pair[2];
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
    w->pid = fork();
    if (!w->pid) {
        close(pair[0]);
        be_device(w->log, pair[1]);
    }
    close(pair[1]);
    w->socket = pair[0];
    bool ok = set_up(w);
    eventfd_write(w->kick, 1);
    return ok;
}

static void kill_process(World *w)
{
    kill(w->pid, SIGKILL);
    waitpid(w->pid, NULL, 0);
    close(w->socket);
}

/* ---- The driver -------------------------------------------------------------------------- */

static void put_desc(World *w, unsigned i, unsigned slot, bool in, uint16_t flags, uint16_t last)
{
    uint8_t *p = w->at + 16 * i;
    st_le64(p, 0x10000 + DATA_AT + 16 * slot + (in ? 8 : 0));
    st_le32(p + 8, 4);
    st_le16(p + (w->packed ? 14 : 12), flags | (in ? 2 : 1));
    st_le16(p + (w->packed ? 12 : 14), last);
}

static uint16_t lap(bool wrap)
{
    return wrap ? 1 << 7 : 1 << 15;
}

static void submit_packed(World *w, unsigned slot)
{
    unsigned i = w->avail;
    put_desc(w, i + 1, slot, true, lap(w->avail_wrap), (uint16_t)slot);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    put_desc(w, i, slot, false, lap(!w->avail_wrap), (uint16_t)slot); /* not yet */
    __atomic_store_n((uint16_t *)(void *)(w->at + 16 * i + 14), lap(w->avail_wrap) | 1,
                     __ATOMIC_RELEASE);
    w->avail += 2;
    if (w->avail == SIZE) {
        w->avail = 0;
        w->avail_wrap = !w->avail_wrap;
    }
}

static void submit(World *w, unsigned slot)
{
    uint8_t *data = w->at + DATA_AT + 16 * slot;
    w->busy[slot] = true;
    w->number[slot] = ++w->next;
    st_le32(data, w->number[slot]);
    st_le32(data + 8, 0xeeeeeeee);
    if (w->packed) {
        submit_packed(w, slot);
    } else {
        put_desc(w, 2 * slot, slot, false, 0, (uint16_t)(2 * slot + 1));
        put_desc(w, 2 * slot + 1, slot, true, 0, 0);
        uint8_t *avail = w->at + DRIVER_AT;
        st_le16(avail + 4 + 2 * (w->avail % SIZE), (uint16_t)(2 * slot));
        __atomic_store_n((uint16_t *)(void *)(avail + 2), ++w->avail, __ATOMIC_RELEASE);
    }
    eventfd_write(w->kick, 1);
}

static void answered(World *w, unsigned slot, uint32_t written)
{
    g_assert_cmpuint(slot, <, SLOTS);
    g_assert_true(w->busy[slot]); /* once */
    w->wrong += written != 4 || ld_le32(w->at + DATA_AT + 16 * slot + 8) != 3 * w->number[slot];
    w->busy[slot] = false;
    w->done++;
}

static bool collect_packed(World *w)
{
    const uint8_t *p = w->at + 16 * w->used;
    uint16_t flags = __atomic_load_n((const uint16_t *)(const void *)(p + 14), __ATOMIC_ACQUIRE);
    if (!!(flags & 1 << 7) != w->used_wrap || !!(flags & 1 << 15) != w->used_wrap)
        return false;
    answered(w, ld_le16(p + 12), ld_le32(p + 8));
    w->used += 2;
    if (w->used == SIZE) {
        w->used = 0;
        w->used_wrap = !w->used_wrap;
    }
    return true;
}

static bool collect_one(World *w)
{
    if (w->packed)
        return collect_packed(w);
    const uint8_t *used = w->at + DEVICE_AT;
    if (w->used == __atomic_load_n((const uint16_t *)(const void *)(used + 2), __ATOMIC_ACQUIRE))
        return false;
    const uint8_t *p = used + 4 + 8 * (w->used++ % SIZE);
    answered(w, ld_le32(p) / 2, ld_le32(p + 4));
    return true;
}

static void collect(World *w, unsigned until)
{
    while (collect_one(w) || w->done < until)
        ;
}

static void world_init(World *w, bool packed)
{
    *w = (World){ .memory = memfd_create("test", MFD_CLOEXEC), .kick = eventfd(0, EFD_NONBLOCK), .track = -1,
                  .packed = packed, .avail_wrap = true, .used_wrap = true };
    g_assert_cmpint(ftruncate(w->memory, MEMORY), ==, 0);
    w->at = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED, w->memory, 0);
    w->log = mmap(NULL, sizeof *w->log, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    g_assert_true(start_process(w));
}

static void world_clear(World *w)
{
    kill_process(w);
    munmap(w->at, MEMORY);
    munmap(w->log, sizeof *w->log);
    munmap(w->tracked, w->inflight.size);
    close(w->memory);
    close(w->kick);
    close(w->track);
}

/* ---- Tests -------------------------------------------------------------------------------- */

static void test_killed(gconstpointer packed)
{
    World w;
    world_init(&w, packed);
    GRand *rand = g_rand_new_with_seed(3);
    for (unsigned round = 0; round < 60; round++) {
        gint64 end = g_get_monotonic_time() + g_rand_int_range(rand, 0, 3000);
        do {
            for (unsigned i = 0; i < SLOTS; i++)
                if (!w.busy[i] && g_rand_boolean(rand))
                    submit(&w, i);
            collect(&w, 0);
        } while (g_get_monotonic_time() < end);
        kill_process(&w);
        g_assert_true(start_process(&w));
    }
    collect(&w, w.next);
    g_assert_cmpuint(w.done, ==, w.next);
    g_assert_cmpuint(w.done, >, 100);
    g_assert_cmpuint(w.wrong, ==, 0);
    g_assert_cmpuint(atomic_load(&w.log->disorder), ==, 0);
    g_assert_cmpuint(atomic_load(&w.log->seen), >, w.done); /* some twice, or this tests nothing */
    g_rand_free(rand);
    world_clear(&w);
}

/* A clean stop leaves nothing in flight, and the memory may then serve another ring. */
static void test_stopped(gconstpointer packed)
{
    World w;
    VhostMessage m;
    world_init(&w, packed);
    for (unsigned i = 0; i < 5; i++)
        submit(&w, i);
    collect(&w, 5);
    g_assert_cmpuint(ld_le16(w.tracked + 8), ==, 1);
    say(w.socket, VHOST_GET_VRING_BASE, &(VhostState){ 0, 0 }, sizeof(VhostState), -1);
    g_assert_cmpint(vhost_message_receive(w.socket, &m, true), ==, 1);
    g_assert_cmpuint(ld_le16(w.tracked + 8), ==, 0);
    kill_process(&w);
    memset(w.at, 0, DATA_AT);
    w.avail = w.used = 0;
    w.avail_wrap = w.used_wrap = true;
    g_assert_true(start_process(&w));
    for (unsigned i = 0; i < SLOTS; i++)
        submit(&w, i);
    collect(&w, 5 + SLOTS);
    g_assert_cmpuint(w.wrong, ==, 0);
    world_clear(&w);
}

/* Dead after the driver could see the answer and before that was noted: it is not answered again.
 */
static void test_seen_split(void)
{
    World w;
    world_init(&w, false);
    for (unsigned i = 0; i < 3; i++)
        submit(&w, i);
    collect(&w, 3);
    usleep(20000); /* what is noted after an answer */
    kill_process(&w);
    uint8_t *t = w.tracked;
    g_assert_cmpuint(ld_le16(t + 14), ==, 3);
    unsigned last = ld_le16(t + 12);
    t[16 + 16 * last] = 1;
    st_le16(t + 14, 2);
    unsigned seen = atomic_load(&w.log->seen);
    g_assert_true(start_process(&w));
    submit(&w, 4);
    collect(&w, 4);
    g_assert_cmpuint(atomic_load(&w.log->seen), ==, seen + 1);
    world_clear(&w);
}

/* The same of a packed ring, and dead just before the driver could see it: then it is. */
static void test_seen_packed(void)
{
    for (unsigned visible = 0; visible < 2; visible++) {
        World w;
        world_init(&w, true);
        for (unsigned i = 0; i < 3; i++)
            submit(&w, i);
        collect(&w, 3);
        usleep(20000);
        kill_process(&w);
        uint8_t *t = w.tracked;
        unsigned head = ld_le16(t + 12), last = ld_le16(t + 32 + 32 * head + 4);
        g_assert_cmpuint(ld_le16(t + 14), ==, head);
        g_assert_cmpuint(ld_le16(t + 16), ==, 6);
        g_assert_cmpuint(ld_le16(t + 18), ==, 6);
        t[32 + 32 * head] = 1;
        st_le16(t + 14, ld_le16(t + 32 + 32 * last + 2)); /* the free list before */
        st_le16(t + 18, 4);
        if (!visible) {
            unsigned slot = ld_le16(w.at + 16 * 4 + 12);
            put_desc(&w, 4, slot, false, lap(true), (uint16_t)slot);
            w.used = 4;
            w.busy[slot] = true;
            w.done--;
        }
        atomic_store(&w.log->seen, 0);
        g_assert_true(start_process(&w));
        submit(&w, 4);
        collect(&w, 4);
        g_assert_cmpuint(atomic_load(&w.log->seen), ==, visible ? 1 : 2);
        g_assert_cmpuint(w.wrong, ==, 0);
        world_clear(&w);
    }
}

/* Whatever is in the memory, and however its size and place are told: an end, or requests that
 * fail. */
static void test_nonsense(gconstpointer packed)
{
    World w;
    world_init(&w, packed);
    GRand *rand = g_rand_new_with_seed(9);
    for (unsigned round = 0; round < 60; round++) {
        int status;
        for (unsigned i = 0; i < STRIDE; i++)
            if (!(round % 3) || !g_rand_int_range(rand, 0, 8))
                w.tracked[i] = (uint8_t)(g_rand_boolean(rand) ? g_rand_int(rand) % (SIZE + 2)
                                                              : g_rand_int(rand));
        st_le16(w.tracked + 8, 1);
        st_le16(w.tracked + 10, SIZE);
        if (round % 2 && !packed)
            st_le16(w.tracked + 14, (uint16_t)(ld_le16(w.at + DEVICE_AT + 2) - round % 5));
        close(w.socket);
        waitpid(w.pid, &status, 0);
        g_assert_true(WIFEXITED(status)); /* of its own will */
        start_process(&w);
    }
    g_rand_free(rand);
    world_clear(&w);
    const VhostInflight bad[] = { { 1 << 20, 0, 0, SIZE }, { 1 << 20, 0, 3, SIZE }, { 1 << 20, 0, 1, 0 },
                                  { 1 << 20, 0, 1, 1025 }, { 64, 0, 1, SIZE }, { 1 << 20, 1, 1, SIZE },
                                  { 1 << 20, 4096, 1, SIZE }, { UINT64_MAX, 0, 1, SIZE },
                                  { 4096, UINT64_MAX - 4095, 1, SIZE }, { INT64_MAX, 4096, 1, SIZE } };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        VhostDevice device = { .name = "bad", .queues = 2, .handle = handle, .reset = reset };
        VhostBackend *b = vhost_backend_new(&device);
        VhostMessage m = { .body.inflight = bad[i], .fds[0] = memfd_create("x", 0), .fd_count = 1 };
        g_autoptr(GError) error = NULL;
        g_assert_cmpint(ftruncate(m.fds[0], 1 << 20), ==, 0);
        g_assert_false(vhost_inflight_set(b, &m, &error));
        g_assert_nonnull(error);
        vhost_message_clear(&m);
        vhost_backend_free(b);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    signal(SIGPIPE, SIG_IGN);
    g_test_add_data_func("/vhost/inflight/killed-split", NULL, test_killed);
    g_test_add_data_func("/vhost/inflight/killed-packed", "packed", test_killed);
    g_test_add_data_func("/vhost/inflight/stopped-split", NULL, test_stopped);
    g_test_add_data_func("/vhost/inflight/stopped-packed", "packed", test_stopped);
    g_test_add_func("/vhost/inflight/seen-split", test_seen_split);
    g_test_add_func("/vhost/inflight/seen-packed", test_seen_packed);
    g_test_add_data_func("/vhost/inflight/nonsense-split", NULL, test_nonsense);
    g_test_add_data_func("/vhost/inflight/nonsense-packed", "packed", test_nonsense);
    return g_test_run();
}
