/* SPDX-License-Identifier: MIT */
/* The device of a share while the process that shares is killed and started again: what the guest asked is answered
 * once, by whoever is there; a guest can be reset, and the machine can end, while nobody is. The process is a back end
 * of ours that multiplies. */
#include "qtest/test_board.h"
#include "vhost/vhost.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define FS SLOT(8)
#define RING (RAM + 0x10000)
#define AT(i) (RAM + 0x20000 + (i) * UINT64_C(0x100))
#define HEAD 40 /* of a FUSE request; 16 of an answer */

enum { PAIRS = RING_SIZE / 2 };

typedef struct {
    atomic_uint seen, served;
    atomic_bool hold; /* nothing is answered */
} Log;

/* The launcher forks before there are threads here, and starts and kills processes when it is told. */
typedef struct {
    char *dir, *path;
    int listener, tell;
    pid_t launcher;
    Log *log;
} Peer;

/* ---- The other process ------------------------------------------------------------ */

static int64_t handle(void *opaque, VhostRequest *r)
{
    Log *log = opaque;
    uint8_t in[HEAD + 4], out[20];
    atomic_fetch_add(&log->seen, 1);
    while (atomic_load(&log->hold))
        usleep(1000);
    if (!vring_chain_take(&r->chain, in, sizeof in))
        return 0;
    st_le32(out, sizeof out);
    st_le32(out + 4, 0);
    memcpy(out + 8, in + 8, 8);
    st_le32(out + 16, 3 * ld_le32(in + HEAD));
    atomic_fetch_add(&log->served, 1);
    return (int64_t)vring_chain_fill(&r->chain, 0, out, sizeof out);
}

static void reset(void *opaque)
{
}

static G_NORETURN void be_device(const Peer *p)
{
    VhostDevice device = { .name = "share", .queues = 2, .handle = handle, .reset = reset, .opaque = p->log };
    VhostBackend *b = vhost_backend_new(&device);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
        int fd = accept(p->listener, NULL, NULL);
        vhost_backend_serve(b, fd, NULL);
        close(fd);
    }
}

static G_NORETURN void launch(const Peer *p, int told)
{
    pid_t pid = 0;
    char what;
    while (read(told, &what, 1) == 1) {
        if (what == 'k' && pid) {
            kill(pid, SIGKILL);
            waitpid(pid, NULL, 0);
            pid = 0;
        }
        if (what == 'z' && pid)
            kill(pid, SIGSTOP);
        if (what == 's' && !(pid = fork()))
            be_device(p);
        if (write(told, &what, 1) != 1)
            break;
    }
    if (pid)
        kill(pid, SIGKILL);
    _exit(0);
}

static void tell(const Peer *p, char what)
{
    g_assert_cmpint(write(p->tell, &what, 1), ==, 1);
    g_assert_cmpint(read(p->tell, &what, 1), ==, 1);
}

static void peer_init(Peer *p)
{
    int pair[2];
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    p->dir = g_dir_make_tmp("vhost-fs-XXXXXX", NULL);
    p->path = g_build_filename(p->dir, "s", NULL);
    g_strlcpy(a.sun_path, p->path, sizeof a.sun_path);
    p->log = mmap(NULL, sizeof *p->log, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    p->listener = socket(AF_UNIX, SOCK_STREAM, 0);
    g_assert_cmpint(bind(p->listener, (struct sockaddr *)&a, sizeof a), ==, 0);
    g_assert_cmpint(listen(p->listener, 10), ==, 0);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), ==, 0);
    p->launcher = fork();
    if (!p->launcher) {
        close(pair[0]);
        launch(p, pair[1]);
    }
    close(pair[1]);
    p->tell = pair[0];
    tell(p, 's');
}

static void peer_clear(Peer *p)
{
    close(p->tell);
    waitpid(p->launcher, NULL, 0);
    if (p->listener >= 0)
        close(p->listener);
    g_unlink(p->path);
    g_rmdir(p->dir);
    g_free(p->path);
    g_free(p->dir);
    munmap(p->log, sizeof *p->log);
}

/* ---- The guest's driver ------------------------------------------------------------ */

static void begin(Board *b, Peer *p, const char *how)
{
    peer_init(p);
    g_autofree char *chardev = g_strdup_printf("-chardev unix:%s%s", p->path, how);
    const char *adds[] = { chardev, "-device vhost-user-fs-device,chardev=c,tag=t,id=fs", NULL };
    board_open(b, adds);
}

static Ring driver(Board *b)
{
    g_assert_cmphex(virtio_begin(b, FS), ==, 11);
    Ring r = ring_open(b, FS, 1, RING);
    wl(b, FS + VM_STATUS, 15);
    return r;
}

static void ask(Ring *r, unsigned pair, uint32_t number)
{
    uint64_t at = AT(pair);
    board_do(r->b, "memset 0x%" PRIx64 " 0x80 0", at);
    wq(r->b, at + 8, number); /* unique */
    wl(r->b, at + HEAD, number);
    ring_desc(r, 2 * pair, at, HEAD + 4, DESC_NEXT, (uint16_t)(2 * pair + 1));
    ring_desc(r, 2 * pair + 1, at + 0x80, 20, DESC_WRITE, 0);
    ring_offer(r, (uint16_t)(2 * pair));
}

static void expect(Ring *r, unsigned pair, uint32_t number)
{
    uint64_t at = AT(pair) + 0x80;
    g_assert_cmpuint(rl(r->b, at), ==, 20);
    g_assert_cmpint((int32_t)rl(r->b, at + 4), ==, 0);
    g_assert_cmpuint(rq(r->b, at + 8), ==, number);
    g_assert_cmpuint(rl(r->b, at + 16), ==, 3 * number);
}

static void expect_refused(Ring *r, unsigned pair, uint32_t number)
{
    uint64_t at = AT(pair) + 0x80;
    g_assert_cmpuint(rl(r->b, at), ==, 16);
    g_assert_cmpint((int32_t)rl(r->b, at + 4), ==, -ENOTCONN);
    g_assert_cmpuint(rq(r->b, at + 8), ==, number);
}

static void wait_until_seen(const Peer *p, unsigned n)
{
    while (atomic_load(&p->log->seen) < n)
        g_usleep(1000);
}

/* ---- Tests -------------------------------------------------------------------------- */

static void test_goes_on(void)
{
    Board b;
    Peer p;
    begin(&b, &p, ",reconnect-ms=20");
    Ring r = driver(&b);
    ask(&r, 0, 1000);
    g_assert_true(ring_wait(&r, 1));
    expect(&r, 0, 1000);
    atomic_store(&p.log->hold, true);
    ask(&r, 1, 1001);
    ask(&r, 2, 1002);
    wait_until_seen(&p, 2);
    tell(&p, 'k');
    ask(&r, 0, 1003); /* nobody is there */
    g_usleep(50000);
    g_assert_cmpuint(ring_used(&r), ==, 1);
    atomic_store(&p.log->hold, false);
    tell(&p, 's');
    g_assert_true(ring_wait(&r, 4));
    for (unsigned i = 0; i < 3; i++)
        expect(&r, (i + 1) % 3, 1001 + i);
    board_close(&b);
    peer_clear(&p);
}

static void test_load(void)
{
    Board b;
    Peer p;
    begin(&b, &p, ",reconnect-ms=20");
    Ring r = driver(&b);
    unsigned done = 0;
    for (uint32_t round = 0; round < 40; round++) {
        for (unsigned i = 0; i < PAIRS; i++) {
            ask(&r, i, round * 100 + i);
            if (i == round % PAIRS)
                tell(&p, 'k');
        }
        tell(&p, 's');
        done += PAIRS;
        g_assert_true(ring_wait(&r, done));
        for (unsigned i = 0; i < PAIRS; i++)
            expect(&r, i, round * 100 + i);
    }
    board_close(&b);
    peer_clear(&p);
}

/* A guest is reset while nobody is there, and while there is somebody who has not said a word. */
static void test_reset(void)
{
    Board b;
    Peer p;
    begin(&b, &p, ",reconnect-ms=20");
    for (unsigned round = 0; round < 2; round++) {
        Ring r = driver(&b);
        atomic_store(&p.log->hold, true);
        atomic_store(&p.log->seen, 0);
        ask(&r, 0, 1);
        ask(&r, 1, 2);
        wait_until_seen(&p, 1);
        tell(&p, 'k');
        g_usleep(round * 50000);
        gint64 begun = g_get_monotonic_time();
        wl(&b, FS + VM_STATUS, 0);
        g_assert_cmpint(g_get_monotonic_time() - begun, <, 20 * G_USEC_PER_SEC);
        r = driver(&b);
        ask(&r, 3, 7); /* it waits */
        g_usleep(20000);
        g_assert_cmpuint(ring_used(&r), ==, 0);
        atomic_store(&p.log->hold, false);
        atomic_store(&p.log->served, 0);
        tell(&p, 's');
        g_assert_true(ring_wait(&r, 1));
        expect(&r, 3, 7);
        g_assert_cmpuint(atomic_load(&p.log->served), ==, 1); /* and none of the others */
    }
    board_close(&b);
    peer_clear(&p);
}

/* One request is with a peer that does not answer it. */
static void begin_amid(Board *b, Peer *p)
{
    begin(b, p, ",reconnect-ms=20");
    Ring r = driver(b);
    atomic_store(&p->log->hold, true);
    ask(&r, 0, 1);
    wait_until_seen(p, 1);
}

/* The machine ends meanwhile, at once. */
static void test_end(void)
{
    Board b;
    Peer p;
    begin_amid(&b, &p);
    tell(&p, 'k');
    g_usleep(100000);
    gint64 begun = g_get_monotonic_time();
    board_close(&b);
    g_assert_cmpint(g_get_monotonic_time() - begun, <, 500000);
    peer_clear(&p);
}

/* And while there is one that says nothing, after a moment. */
static void test_end_stopped(void)
{
    Board b;
    Peer p;
    begin_amid(&b, &p);
    tell(&p, 'z');
    g_test_expect_message(NULL, G_LOG_LEVEL_WARNING, "fs: the process that shares 't' has gone");
    gint64 begun = g_get_monotonic_time();
    board_close(&b);
    g_assert_cmpint(g_get_monotonic_time() - begun, <, 20 * G_USEC_PER_SEC);
    g_test_assert_expected_messages();
    peer_clear(&p);
}

/* Refused so often, or not to be waited for at all: it has gone. */
static void test_gone(void)
{
    static const char *const how[] = { ",reconnect-ms=20,reconnect-tries=3", "" };
    for (size_t i = 0; i < G_N_ELEMENTS(how); i++) {
        Board b;
        Peer p;
        begin(&b, &p, how[i]);
        Ring r = driver(&b);
        atomic_store(&p.log->hold, true);
        ask(&r, 0, 1);
        wait_until_seen(&p, 1);
        ask(&r, 1, 2);
        g_unlink(p.path);
        g_test_expect_message(NULL, G_LOG_LEVEL_WARNING, "fs: the process that shares 't' has gone");
        tell(&p, 'k');
        g_assert_true(ring_wait(&r, 2));
        expect_refused(&r, 0, 1);
        expect_refused(&r, 1, 2);
        ask(&r, 2, 3);
        g_assert_true(ring_wait(&r, 3));
        expect_refused(&r, 2, 3);
        wl(&b, FS + VM_STATUS, 0);
        board_close(&b);
        g_test_assert_expected_messages();
        peer_clear(&p);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vhost-fs/goes-on", test_goes_on);
    g_test_add_func("/vhost-fs/load", test_load);
    g_test_add_func("/vhost-fs/reset", test_reset);
    g_test_add_func("/vhost-fs/end", test_end);
    g_test_add_func("/vhost-fs/end-stopped", test_end_stopped);
    g_test_add_func("/vhost-fs/gone", test_gone);
    return g_test_run();
}
