/* SPDX-License-Identifier: MIT */
/* The back end against a front end, and a guest's driver, that want its harm: descriptor chains of
 * no sense in both kinds of ring, rings elsewhere, files that are none or become shorter, memory
 * that comes and goes while it is used. A bad ring stops its queue alone, with a line; bad messages
 * end the connection; nothing is left over. */
#include "vhost/vhost_priv.h"

#include "base/bytes.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define GUEST UINT64_C(0x40000000)

enum { MEMORY = 1 << 16, SIZE = 8, DRIVER_AT = 0x1000, DEVICE_AT = 0x2000, TABLE_AT = 0x3000, DATA_AT = 0x4000,
       NEXT = 1, WRITE = 2, INDIRECT = 4, AVAIL = 1 << 7 };

typedef struct {
    VhostBackend *backend;
    GThread *thread;
    int fd, theirs;  /* ours of the connection */
    bool good;
    char *message;
    GMutex lock;
    char *said;      /* the last line */
    atomic_uint handled;
    atomic_int slow; /* microseconds that a request takes */
} Device;

typedef struct {
    Device d;
    int memory, kick, call, err;
    uint8_t *at;
    bool packed;
} World;

/* ---- The device ---------------------------------------------------------------------- */

static int64_t handle(void *opaque, VhostRequest *r)
{
    Device *d = opaque;
    uint8_t buf[256];
    size_t n = (size_t)MIN(r->chain.out_bytes, sizeof buf);
    vring_chain_take(&r->chain, buf, n);
    if (atomic_load(&d->slow))
        g_usleep((gulong)atomic_load(&d->slow));
    atomic_fetch_add(&d->handled, 1);
    return (int64_t)vring_chain_fill(&r->chain, 0, buf, n);
}

static void say(void *opaque, const char *line)
{
    Device *d = opaque;
    g_mutex_lock(&d->lock);
    g_free(d->said);
    d->said = g_strdup(line);
    g_mutex_unlock(&d->lock);
}

static void reset(void *opaque)
{
}

static void *serve(void *opaque)
{
    Device *d = opaque;
    GError *error = NULL;
    d->good = vhost_backend_serve(d->backend, d->theirs, &error);
    d->message = error ? g_strdup(error->message) : NULL;
    g_clear_error(&error);
    close(d->theirs);
    return NULL;
}

static void device_start(Device *d)
{
    int fds[2];
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
    *d = (Device){ .fd = fds[0], .theirs = fds[1] };
    g_mutex_init(&d->lock);
    VhostDevice device = {
        .name = "attacked", .queues = 2, .handle = handle, .say = say, .reset = reset, .opaque = d
    };
    d->backend = vhost_backend_new(&device);
    d->thread = g_thread_new("serve", serve, d);
}

/* pattern: of the error that ended it, NULL: none did. */
static void device_end(Device *d, const char *pattern)
{
    shutdown(d->fd, SHUT_WR);
    g_thread_join(d->thread);
    vhost_backend_free(d->backend);
    close(d->fd);
    if (pattern ? !d->message || !g_pattern_match_simple(pattern, d->message) : !d->good)
        g_error("it ended with '%s'; expected: %s", d->message, pattern ? pattern : "well");
    g_free(d->message);
    g_free(d->said);
    g_mutex_clear(&d->lock);
}

/* ---- The front end --------------------------------------------------------------------- */

/* n copies of fd with it; false: the back end is gone. */
static bool tell_fds(World *w, uint32_t request, const void *body, uint32_t size, int fd,
                     unsigned n)
{
    VhostMessage m = { .head = { request, VHOST_VERSION, size }, .fd_count = n };
    if (size)
        memcpy(&m.body, body, size);
    for (unsigned i = 0; i < n; i++)
        m.fds[i] = fd;
    return vhost_message_send(w->d.fd, &m, true) == 1;
}

static bool tell(World *w, uint32_t request, const void *body, uint32_t size)
{
    return tell_fds(w, request, body, size, -1, 0);
}

static bool tell_state(World *w, uint32_t request, uint32_t num)
{
    return tell(w, request, &(VhostState){ 0, num }, sizeof(VhostState));
}

static bool tell_fd(World *w, uint32_t request, int fd)
{
    return tell_fds(w, request, &(uint64_t){ 0 }, 8, fd, 1);
}

static bool tell_table(World *w, const VhostRegion *region, int fd)
{
    VhostMessage m = { .body.memory = { .count = 1, .regions[0] = *region } };
    return tell_fds(w, VHOST_SET_MEM_TABLE, &m.body, 8 + sizeof *region, fd, 1);
}

static bool tell_slot(World *w, uint32_t request, const VhostRegion *region, int fd)
{
    VhostMessage m = { .body.slot.region = *region };
    return tell_fds(w, request, &m.body, 8 + sizeof *region, fd, fd >= 0);
}

/* All messages so far have been dealt with; false: the connection is over. */
static bool settled(World *w)
{
    VhostMessage m;
    if (!tell(w, VHOST_GET_QUEUE_NUM, NULL, 0))
        return false;
    int r = vhost_message_receive(w->d.fd, &m, true);
    vhost_message_clear(&m);
    return r == 1 && m.body.u64 == 2;
}

static VhostRegion whole(const World *w)
{
    return (VhostRegion){ GUEST, MEMORY, (uintptr_t)w->at, 0 };
}

static void begin(World *w)
{
    uint64_t features = UINT64_C(1) << VHOST_F_VERSION_1 |
                        UINT64_C(1) << VHOST_F_PROTOCOL_FEATURES |
                        UINT64_C(1) << VHOST_RING_F_INDIRECT |
                        (uint64_t)w->packed << VHOST_F_RING_PACKED;
    tell(w, VHOST_SET_FEATURES, &features, sizeof features);
    tell(w, VHOST_SET_PROTOCOL_FEATURES, &(uint64_t){ 1 << VHOST_PROTOCOL_MEM_SLOTS }, 8);
}

static bool start_ring(World *w, uint64_t desc, uint64_t driver, uint64_t device)
{
    uint64_t at = (uintptr_t)w->at;
    memset(w->at, 0, DATA_AT);
    VhostAddresses a = { .desc = at + desc, .avail = at + driver, .used = at + device };
    tell_state(w, VHOST_SET_VRING_NUM, SIZE);
    tell_state(w, VHOST_SET_VRING_BASE, w->packed ? 0x80008000 : 0);
    tell(w, VHOST_SET_VRING_ADDR, &a, sizeof a);
    tell_fd(w, VHOST_SET_VRING_CALL, w->call);
    tell_fd(w, VHOST_SET_VRING_ERR, w->err);
    tell_fd(w, VHOST_SET_VRING_KICK, w->kick);
    tell_state(w, VHOST_SET_VRING_ENABLE, 1);
    return settled(w);
}

static void stop_ring(World *w)
{
    VhostMessage m;
    tell_state(w, VHOST_GET_VRING_BASE, 0);
    g_assert_cmpint(vhost_message_receive(w->d.fd, &m, true), ==, 1);
}

static void world_init(World *w, bool packed)
{
    *w = (World){ .memory = memfd_create("attack", MFD_CLOEXEC),
                  .packed = packed,
                  .kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
                  .call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
                  .err = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) };
    g_assert_cmpint(ftruncate(w->memory, MEMORY), ==, 0);
    w->at = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED, w->memory, 0);
    device_start(&w->d);
    begin(w);
}

static void world_end(World *w, const char *pattern)
{
    device_end(&w->d, pattern);
    munmap(w->at, MEMORY);
    close(w->memory);
    close(w->kick);
    close(w->call);
    close(w->err);
}

static void wait_fd(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    eventfd_t n;
    g_assert_cmpint(poll(&p, 1, 20000), ==, 1);
    eventfd_read(fd, &n);
}

/* ---- Chains -------------------------------------------------------------------------------- */

typedef struct {
    uint64_t addr; /* from GUEST on, unless ABS is among flags */
    uint32_t len;
    uint16_t flags, next;
} Desc;

enum { ABS = 1 << 14, LAST = 1 << 13, FLAGS = 0xff };

typedef struct {
    const char *why;
    Desc ring[3], table[3]; /* those with a length or flags */
    bool split, packed;
    unsigned head, ahead;   /* split: in the available ring, and how much too far its index is */
} Case;

static const Case cases[] = {
    { "a chain is longer than the ring, or a loop", .ring = { { DATA_AT, 4, NEXT, 0 } }, .split = true },
    { "a chain is longer than the ring, or a loop", .ring = { { DATA_AT, 4, NEXT, 1 }, { DATA_AT, 4, NEXT, 0 } },
      .split = true },
    { "a descriptor's index is out of range", .ring = { { DATA_AT, 4, NEXT, SIZE } }, .split = true },
    { "a descriptor's index is out of range", .ring = { { DATA_AT, 4, NEXT, 65535 } }, .split = true },
    { "a descriptor's index is out of range", .ring = { { DATA_AT, 4, 0, 0 } }, .split = true, .head = SIZE },
    { "more buffers are available than the ring has", .ring = { { DATA_AT, 4, 0, 0 } }, .split = true, .ahead = SIZE },
    { "more buffers are available than the ring has", .ring = { { DATA_AT, 4, 0, 0 } }, .split = true, .ahead = 65534 },
    { "a descriptor is not in memory", .ring = { { DATA_AT, UINT32_MAX - 1, 0, 0 } }, .split = true, .packed = true },
    { "a descriptor is not in memory", .ring = { { MEMORY - 1, 2, 0, 0 } }, .split = true, .packed = true },
    { "a descriptor is not in memory", .ring = { { MEMORY, 1, 0, 0 } }, .split = true, .packed = true },
    { "a descriptor is not in memory", .ring = { { 0, 16, ABS | WRITE, 0 } }, .split = true, .packed = true },
    { "a descriptor is not in memory", .ring = { { UINT64_MAX - 15, 16, ABS, 0 } }, .split = true, .packed = true },
    { "a descriptor passes the end of memory", .ring = { { UINT64_MAX, 16, ABS, 0 } }, .split = true, .packed = true },
    { "a descriptor has no length", .ring = { { DATA_AT, 0, WRITE, 0 } }, .split = true, .packed = true },
    { "a readable descriptor is behind a writable one", .ring = { { DATA_AT, 4, NEXT | WRITE, 1 }, { DATA_AT, 4, LAST, 0 } },
      .split = true, .packed = true },
    { "a descriptor behind an indirect table", .ring = { { TABLE_AT, 16, INDIRECT | NEXT, 1 }, { DATA_AT, 4, LAST, 0 } },
      .table = { { DATA_AT, 4, 0, 0 } }, .split = true },
    { "a descriptor beside an indirect table", .ring = { { TABLE_AT, 16, INDIRECT | NEXT, 1 }, { DATA_AT, 4, LAST, 0 } },
      .table = { { DATA_AT, 4, 0, 0 } }, .packed = true },
    { "a descriptor beside an indirect table", .ring = { { DATA_AT, 4, NEXT, 1 }, { TABLE_AT, 16, INDIRECT | LAST, 0 } },
      .table = { { DATA_AT, 4, 0, 0 } }, .packed = true },
    { "an indirect table in an indirect table", .ring = { { TABLE_AT, 16, INDIRECT, 0 } },
      .table = { { TABLE_AT, 16, INDIRECT, 0 } }, .split = true, .packed = true },
    { "a descriptor's next is out of range", .ring = { { TABLE_AT, 32, INDIRECT, 0 } },
      .table = { { DATA_AT, 4, NEXT, 2 } }, .split = true },
    { "a chain is too long, or a loop", .ring = { { TABLE_AT, 32, INDIRECT, 0 } },
      .table = { { DATA_AT, 4, NEXT, 1 }, { DATA_AT, 4, NEXT, 0 } }, .split = true },
    { "the length of an indirect table is wrong", .ring = { { TABLE_AT, 15, INDIRECT, 0 } }, .split = true, .packed = true },
    { "the length of an indirect table is wrong", .ring = { { TABLE_AT, 0, INDIRECT, 0 } }, .split = true, .packed = true },
    { "an indirect table is not in memory", .ring = { { MEMORY, 16, INDIRECT, 0 } }, .split = true, .packed = true },
    { "an indirect table passes the end of memory", .ring = { { UINT64_MAX - 7, 16, ABS | INDIRECT, 0 } }, .split = true,
      .packed = true },
    { "*", .ring = { { TABLE_AT, 0xfffffff0, INDIRECT, 0 } }, .split = true, .packed = true },
};

static void put_desc(World *w, uint8_t *p, const Desc *d, uint16_t id, uint16_t extra)
{
    st_le64(p, d->addr + (d->flags & ABS ? 0 : GUEST));
    st_le32(p + 8, d->len);
    st_le16(p + (w->packed ? 14 : 12), (d->flags & FLAGS) | extra);
    st_le16(p + (w->packed ? 12 : 14), w->packed ? id : d->next);
}

static void make_available(World *w, const Case *c)
{
    for (unsigned i = 0; i < 3; i++)
        if (c->table[i].len)
            put_desc(w, w->at + TABLE_AT + 16 * i, &c->table[i], 0, 0);
    for (unsigned i = 3; i-- > 0;)
        if (c->ring[i].len || c->ring[i].flags)
            put_desc(w, w->at + 16 * i, &c->ring[i], 0, w->packed ? AVAIL : 0);
    if (!w->packed) {
        st_le16(w->at + DRIVER_AT + 4, (uint16_t)c->head);
        __atomic_store_n((uint16_t *)(void *)(w->at + DRIVER_AT + 2), (uint16_t)(1 + c->ahead),
                         __ATOMIC_RELEASE);
    }
    eventfd_write(w->kick, 1);
}

/* One that is good: the ring works again. */
static void expect_answer(World *w)
{
    static const Case good = { .ring = { { DATA_AT, 4, NEXT, 1 },
                                         { DATA_AT + 16, 4, WRITE | LAST, 0 } } };
    st_le32(w->at + DATA_AT, 0x1234);
    st_le32(w->at + DATA_AT + 16, 0);
    make_available(w, &good);
    wait_fd(w->call);
    g_assert_cmphex(ld_le32(w->at + DATA_AT + 16), ==, 0x1234);
}

static void test_chains(gconstpointer packed)
{
    World w;
    world_init(&w, packed);
    VhostRegion region = whole(&w);
    tell_table(&w, &region, w.memory);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        const Case *c = &cases[i];
        if (packed ? !c->packed : !c->split)
            continue;
        g_assert_true(start_ring(&w, 0, DRIVER_AT, DEVICE_AT));
        make_available(&w, c);
        wait_fd(w.err);
        while (atomic_load(&w.d.handled))
            g_assert_not_reached();
        g_autofree char *pattern = g_strconcat("queue 0: its driver broke the ring: ", c->why, NULL);
        for (unsigned wait = 0;; wait++) { /* it is said after the event */
            g_mutex_lock(&w.d.lock);
            bool match = w.d.said && g_pattern_match_simple(pattern, w.d.said);
            g_autofree char *said = g_strdup(w.d.said);
            g_mutex_unlock(&w.d.lock);
            if (match)
                break;
            if (wait > 5000)
                g_error("case %zu: '%s', not '%s'", i, said, pattern);
            g_usleep(1000);
        }
        stop_ring(&w);
        g_assert_true(start_ring(&w, 0, DRIVER_AT, DEVICE_AT));
        expect_answer(&w);
        stop_ring(&w);
        atomic_store(&w.d.handled, 0);
    }
    world_end(&w, NULL);
}

/* A packed ring all of whose descriptors go on. */
static void test_endless(void)
{
    World w;
    world_init(&w, true);
    VhostRegion region = whole(&w);
    tell_table(&w, &region, w.memory);
    g_assert_true(start_ring(&w, 0, DRIVER_AT, DEVICE_AT));
    for (unsigned i = SIZE; i-- > 0;)
        put_desc(&w, w.at + 16 * i, &(Desc){ DATA_AT, 4, NEXT, 0 }, 0, AVAIL);
    eventfd_write(w.kick, 1);
    wait_fd(w.err);
    stop_ring(&w);
    world_end(&w, NULL);
}

/* ---- Rings and files ------------------------------------------------------------------------ */

static void test_places(void)
{
    static const struct {
        uint64_t desc, driver, device;
        bool packed;
        const char *why;
    } places[] = {
        { MEMORY, DRIVER_AT, DEVICE_AT, false, "queue 0: its ring is not in the memory there is" },
        { 0, MEMORY + 64, DEVICE_AT, false, "queue 0: its ring is not in the memory there is" },
        { 0, DRIVER_AT, UINT64_MAX - 4095, false,
          "queue 0: its ring is not in the memory there is" },
        { MEMORY - 16, DRIVER_AT, DEVICE_AT, false, "queue 0: a ring is not in memory" },
        { 0, MEMORY - 4, DEVICE_AT, false, "queue 0: a ring is not in memory" },
        { 0, DRIVER_AT, MEMORY - 8, false, "queue 0: a ring is not in memory" },
        { 8, DRIVER_AT, DEVICE_AT, false, "queue 0: a ring is not aligned" },
        { 0, DRIVER_AT + 1, DEVICE_AT, false, "queue 0: a ring is not aligned" },
        { 0, DRIVER_AT, DEVICE_AT + 2, false, "queue 0: a ring is not aligned" },
        { MEMORY - 16, DRIVER_AT, DEVICE_AT, true, "queue 0: a ring is not in memory" },
        { 0, DRIVER_AT + 2, DEVICE_AT, true, "queue 0: a ring is not aligned" },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
        World w;
        world_init(&w, places[i].packed);
        VhostRegion region = whole(&w);
        tell_table(&w, &region, w.memory);
        g_assert_false(start_ring(&w, places[i].desc, places[i].driver, places[i].device));
        world_end(&w, places[i].why);
    }
}

static unsigned count_fds(void)
{
    g_autoptr(GDir) dir = g_dir_open("/proc/self/fd", 0, NULL);
    unsigned n = 0;
    while (g_dir_read_name(dir))
        n++;
    return n;
}

/* What is no memory, or less than is said, or more descriptors than there may be. */
static void test_files(void)
{
    int ends[2], files[] = { -1, open("/dev/null", O_RDWR | O_CLOEXEC), open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC),
                             eventfd(0, EFD_CLOEXEC), -1, -1 };
    g_assert_cmpint(pipe2(ends, O_CLOEXEC), ==, 0);
    files[0] = ends[0];
    files[4] = memfd_create("short", MFD_CLOEXEC);
    g_assert_cmpint(ftruncate(files[4], MEMORY - 1), ==, 0);
    char path[32];
    g_snprintf(path, sizeof path, "/proc/self/fd/%d", files[4]);
    files[5] = open(path, O_RDONLY | O_CLOEXEC); /* and it cannot be written to */
    unsigned before = count_fds();
    for (size_t i = 0; i < 2 * G_N_ELEMENTS(files); i++) {
        World w;
        world_init(&w, false);
        VhostRegion region = whole(&w);
        int fd = files[i / 2];
        if (i % 2)
            tell_slot(&w, VHOST_ADD_MEM_REG, &region, fd);
        else
            tell_table(&w, &region, fd);
        g_assert_false(settled(&w));
        world_end(&w, "memory at 0x40000000: *");
    }
    for (unsigned n = 0; n <= VHOST_MAX_FDS; n++) {
        World w;
        world_init(&w, false);
        VhostRegion region = whole(&w);
        VhostMessage m = { .body.memory = { .count = 1, .regions[0] = region } };
        tell_fds(&w, VHOST_SET_MEM_TABLE, &m.body, 8 + sizeof region, w.memory, n);
        g_assert_true(settled(&w) == (n == 1));
        world_end(&w, n == 1 ? NULL : "a memory table of 1 regions has *");
    }
    g_assert_cmpuint(count_fds(), ==, before);
    for (size_t i = 0; i < G_N_ELEMENTS(files); i++)
        close(files[i]);
    close(ends[1]);
}

/* More descriptors than a message may have are none of ours afterwards. */
static void test_many_fds(void)
{
    unsigned before = count_fds();
    World w;
    int fds[200];
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof fds)];
    } control = { 0 };
    world_init(&w, false);
    VhostHead head = { VHOST_SET_OWNER, VHOST_VERSION, 0 };
    struct iovec iov = { &head, sizeof head };
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control
    };
    for (size_t i = 0; i < G_N_ELEMENTS(fds); i++)
        fds[i] = w.memory;
    control.align.cmsg_level = SOL_SOCKET;
    control.align.cmsg_type = SCM_RIGHTS;
    control.align.cmsg_len = CMSG_LEN(sizeof fds);
    memcpy(CMSG_DATA(&control.align), fds, sizeof fds);
    g_assert_cmpint(sendmsg(w.d.fd, &msg, 0), ==, sizeof head);
    g_assert_false(settled(&w));
    world_end(&w, "a message of the front end cannot be read: *");
    g_assert_cmpuint(count_fds(), ==, before);
}

/* Events that block who writes to them, and none that are read: nobody hangs. */
static void test_events(void)
{
    World w;
    world_init(&w, false);
    VhostRegion region = whole(&w);
    int ends[2], kick = w.kick;
    fcntl(w.call, F_SETFL, 0);
    fcntl(w.err, F_SETFL, 0);
    eventfd_write(w.call, UINT64_MAX - 1);
    eventfd_write(w.err, UINT64_MAX - 1);
    tell_table(&w, &region, w.memory);
    g_assert_true(start_ring(&w, 0, DRIVER_AT, DEVICE_AT));
    make_available(&w,
                   &(Case){ .ring = { { DATA_AT, 4, NEXT, 1 }, { DATA_AT + 16, 4, WRITE, 0 } } });
    while (!atomic_load(&w.d.handled))
        g_usleep(1000);
    stop_ring(&w);
    g_assert_true(start_ring(&w, 0, DRIVER_AT, DEVICE_AT));
    make_available(&w, &(Case){ .ring = { { DATA_AT, 4, NEXT, 0 } } });
    g_usleep(20000);
    stop_ring(&w);
    g_assert_cmpint(pipe2(ends, O_CLOEXEC), ==, 0);
    close(ends[1]);
    w.kick = ends[0];
    g_assert_true(start_ring(&w, 0, DRIVER_AT, DEVICE_AT));
    stop_ring(&w);
    close(ends[0]);
    w.kick = kick;
    world_end(&w, NULL);
}

/* ---- Memory that goes ------------------------------------------------------------------------ */

static unsigned count_maps(void)
{
    g_autofree char *maps = NULL;
    unsigned n = 0;
    g_assert_true(g_file_get_contents("/proc/self/maps", &maps, NULL, NULL));
    for (const char *p = maps; (p = strstr(p, "memfd:buffers")); p++)
        n++;
    return n;
}

/* The ring stays, what the requests are in is taken back, replaced and added while they run. */
static void test_taken_back(void)
{
    World w;
    world_init(&w, false);
    VhostRegion ring = whole(&w), buffers = { GUEST + MEMORY, MEMORY, 1 << 20, 0 };
    int fd = memfd_create("buffers", MFD_CLOEXEC);
    g_assert_cmpint(ftruncate(fd, MEMORY), ==, 0);
    tell_slot(&w, VHOST_ADD_MEM_REG, &ring, w.memory);
    tell_slot(&w, VHOST_ADD_MEM_REG, &buffers, fd);
    g_assert_true(start_ring(&w, 0, DRIVER_AT, DEVICE_AT));
    atomic_store(&w.d.slow, 100);
    for (unsigned i = 0; i < SIZE; i += 2) {
        put_desc(&w, w.at + 16 * i, &(Desc){ MEMORY + 512 * i, 200, NEXT, (uint16_t)(i + 1) }, 0, 0);
        put_desc(&w, w.at + 16 * (i + 1), &(Desc){ MEMORY + 512 * i + 256, 200, WRITE, 0 }, 0, 0);
        st_le16(w.at + DRIVER_AT + 4 + i, (uint16_t)i);
        st_le16(w.at + DRIVER_AT + 4 + SIZE + i, (uint16_t)i);
    }
    uint16_t avail = 0;
    unsigned broken = 0, most = 0;
    for (unsigned round = 0; round < 600; round++) {
        eventfd_t n;
        __atomic_store_n((uint16_t *)(void *)(w.at + DRIVER_AT + 2),
                         avail = (uint16_t)(avail + SIZE / 2), __ATOMIC_RELEASE);
        eventfd_write(w.kick, 1);
        if (round % 3)
            g_usleep(round % 7 * 60);
        if (round % 50 == 49) { /* all at once, which waits for requests */
            g_assert_true(tell_table(&w, &ring, w.memory));
        } else {
            g_assert_true(tell_slot(&w, VHOST_REM_MEM_REG, &buffers, -1));
        }
        g_assert_true(tell_slot(&w, VHOST_ADD_MEM_REG, &buffers, fd));
        g_assert_true(settled(&w));
        most = MAX(most, count_maps());
        while (!eventfd_read(w.call, &n))
            ;
        struct pollfd err = { .fd = w.err, .events = POLLIN };
        const uint16_t *used = (const uint16_t *)(const void *)(w.at + DEVICE_AT + 2);
        while (__atomic_load_n(used, __ATOMIC_ACQUIRE) != avail && !poll(&err, 1, 1))
            ;
        if (__atomic_load_n(used, __ATOMIC_ACQUIRE) == avail)
            continue;
        broken++; /* it was looked for just when it was not there */
        eventfd_read(w.err, &n);
        stop_ring(&w);
        st_le16(w.at + DRIVER_AT + 2, avail = __atomic_load_n(used, __ATOMIC_ACQUIRE));
        tell_state(&w, VHOST_SET_VRING_BASE, avail);
        tell_fd(&w, VHOST_SET_VRING_KICK, w.kick);
        g_assert_true(settled(&w));
    }
    g_test_message("%u requests, %u broken rings, %u mappings", atomic_load(&w.d.handled), broken, most);
    g_assert_cmpuint(atomic_load(&w.d.handled), >, 100);
    g_assert_cmpuint(most, <=, VHOST_MAX_TAKEN + 2);
    stop_ring(&w);
    close(fd);
    world_end(&w, NULL);
    g_assert_cmpuint(count_maps(), ==, 0);
}

/* The back end ends the connection, not we. */
static void expect_gone(World *w)
{
    struct pollfd p = { .fd = w->d.fd, .events = POLLRDHUP };
    g_assert_cmpint(poll(&p, 1, 20000), ==, 1);
    world_end(w, "memory of the front end has gone: a file has become shorter");
}

/* Files become shorter under the ring, under a request, under the notes of what is in flight. */
static void test_shorter(void)
{
    World w;
    world_init(&w, false);
    VhostRegion region = whole(&w);
    tell_table(&w, &region, w.memory);
    g_assert_true(start_ring(&w, 0, DRIVER_AT, DEVICE_AT));
    g_assert_cmpint(ftruncate(w.memory, 0), ==, 0);
    eventfd_write(w.kick, 1);
    expect_gone(&w);

    for (unsigned in_time = 0; in_time < 2; in_time++) {
        world_init(&w, false);
        VhostRegion buffers = { GUEST + MEMORY, MEMORY, 1 << 20, 0 };
        int fd = memfd_create("buffers", MFD_CLOEXEC);
        g_assert_cmpint(ftruncate(fd, MEMORY), ==, 0);
        region = whole(&w);
        tell_slot(&w, VHOST_ADD_MEM_REG, &region, w.memory);
        tell_slot(&w, VHOST_ADD_MEM_REG, &buffers, fd);
        g_assert_true(start_ring(&w, 0, DRIVER_AT, DEVICE_AT));
        atomic_store(&w.d.slow, 100000);
        Case c = { .ring = { { MEMORY, 4, NEXT, 1 }, { MEMORY + 4096, 4, WRITE, 0 } } };
        if (!in_time)
            g_assert_cmpint(ftruncate(fd, 0), ==, 0);
        make_available(&w, &c);
        if (in_time) {
            g_usleep(50000);
            g_assert_cmpint(ftruncate(fd, 4096), ==, 0);
        }
        while (!atomic_load(&w.d.handled))
            g_usleep(1000);
        close(fd);
        expect_gone(&w);
    }

    world_init(&w, false);
    int fd = memfd_create("notes", MFD_CLOEXEC);
    g_assert_cmpint(ftruncate(fd, MEMORY), ==, 0);
    VhostInflight i = { .size = MEMORY, .queues = 1, .queue_size = SIZE };
    tell_fds(&w, VHOST_SET_INFLIGHT_FD, &i, VHOST_INFLIGHT_BYTES, fd, 1);
    region = whole(&w);
    tell_table(&w, &region, w.memory);
    g_assert_true(settled(&w));
    g_assert_cmpint(ftruncate(fd, 0), ==, 0);
    start_ring(&w, 0, DRIVER_AT, DEVICE_AT);
    close(fd);
    expect_gone(&w);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/vhost/attack/chains-split", NULL, test_chains);
    g_test_add_data_func("/vhost/attack/chains-packed", "packed", test_chains);
    g_test_add_func("/vhost/attack/endless", test_endless);
    g_test_add_func("/vhost/attack/places", test_places);
    g_test_add_func("/vhost/attack/files", test_files);
    g_test_add_func("/vhost/attack/many-fds", test_many_fds);
    g_test_add_func("/vhost/attack/events", test_events);
    g_test_add_func("/vhost/attack/taken-back", test_taken_back);
    g_test_add_func("/vhost/attack/shorter", test_shorter);
    return g_test_run();
}
