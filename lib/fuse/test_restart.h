/* SPDX-License-Identifier: MIT */
/*
 * A daemon in a process of its own that is killed and started again, for tests. Requests and answers lie in shared
 * memory, a place for each guest; one that has no answer when the daemon dies is taken up by the next. The keeper is a
 * process, too, with one thread, so that it can fork: it kills, takes what was put, and gives it to the next daemon.
 */
#pragma once

#include "fuse/fuse.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { GUESTS = 3, ROOM = 65536, STORED = 600 };

typedef struct {
    _Atomic int state; /* 0: nothing, 1: asked, 2: answered */
    uint32_t head;
    uint32_t in_size, out_room, out_size;
    uint8_t in[ROOM] __attribute__((aligned(8)));
    uint8_t out[ROOM] __attribute__((aligned(8)));
} Place;

typedef struct {
    Place places[GUESTS];
    _Atomic bool over;        /* no more kills, the daemon ends */
    _Atomic unsigned kills, served;
    _Atomic unsigned ready;   /* how often a daemon began to serve */
    unsigned least_us, most_us; /* how long it lives */
} Shared;

typedef struct {
    const char *dir, *path;   /* the share; the keeper's socket */
    Shared *shared;
    FsOptions fs;
    FuseOptions fuse;
    int socket;
    struct {
        char name[64];
        int fd;
    } kept[STORED];
    unsigned count;
} Keeper;

/* ---- The daemon -------------------------------------------------------------------- */

typedef struct {
    FuseSession *session;
    Shared *shared;
    unsigned number;
} Server;

static void nap(unsigned us)
{
    nanosleep(&(struct timespec){ us / 1000000, (long)(us % 1000000) * 1000 }, NULL);
}

static void *serve_body(void *opaque)
{
    Server *s = opaque;
    Place *p = &s->shared->places[s->number];
    for (unsigned idle = 0; !atomic_load(&s->shared->over);) {
        if (atomic_load(&p->state) != 1) {
            if (++idle > 200)
                nap(20);
            continue;
        }
        idle = 0;
        struct iovec in = { p->in, p->in_size }, out = { p->out, p->out_room };
        p->out_size = (uint32_t)fuse_session_handle(s->session, &in, 1, &out, 1, fuse_slot(s->number, p->head));
        atomic_fetch_add(&s->shared->served, 1);
        atomic_store(&p->state, 2);
    }
    return NULL;
}

static G_NORETURN void daemon_body(Keeper *k)
{
    GError *error = NULL;
    pthread_t threads[GUESTS];
    Server servers[GUESTS];
    char *forgot = NULL;
    bool first = !k->count;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    FdStore *store = fdstore_new(k->path, STORED, &error);
    g_assert_no_error(error);
    for (unsigned i = 0; i < k->count; i++)
        fdstore_came(store, k->kept[i].name, dup(k->kept[i].fd));
    k->fs.root = open(k->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    Fs *fs = fs_new(&k->fs, &error);
    g_assert_no_error(error);
    fs_keep(fs, store, &forgot, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(forgot, ==, NULL);
    FuseSession *session = fuse_session_new(fs, &k->fuse, &error);
    g_assert_no_error(error);
    g_assert_true(fuse_session_resumed(session) != first);
    atomic_fetch_add(&k->shared->ready, 1);
    for (unsigned i = 0; i < GUESTS; i++) {
        servers[i] = (Server){ session, k->shared, i };
        g_assert_cmpint(pthread_create(&threads[i], NULL, serve_body, &servers[i]), ==, 0);
    }
    for (unsigned i = 0; i < GUESTS; i++)
        pthread_join(threads[i], NULL);
    fuse_session_free(session);
    fs_free(fs);
    fdstore_free(store);
    _exit(0);
}

/* ---- The keeper ------------------------------------------------------------------------ */

static void remove_kept(Keeper *k, const char *name)
{
    for (unsigned i = 0; i < k->count; i++)
        if (!strcmp(k->kept[i].name, name)) {
            close(k->kept[i].fd);
            k->kept[i] = k->kept[--k->count];
            return;
        }
}

static void receive(Keeper *k)
{
    char text[256];
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec iov = { text, sizeof text - 1 };
    struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes,
                        .msg_controllen = sizeof control.bytes };
    ssize_t n;
    while ((n = recvmsg(k->socket, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC)) >= 0) {
        char name[64];
        text[n] = 0;
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        if (sscanf(text, "FDSTORE=1\nFDNAME=%63s\nFDPOLL=0", name) == 1 && c) {
            for (unsigned i = 0; i < k->count; i++)
                g_assert_cmpstr(name, !=, k->kept[i].name);
            g_assert_cmpuint(k->count, <, STORED);
            strcpy(k->kept[k->count].name, name);
            memcpy(&k->kept[k->count++].fd, CMSG_DATA(c), sizeof(int));
        } else if (sscanf(text, "FDSTOREREMOVE=1\nFDNAME=%63s", name) == 1)
            remove_kept(k, name);
        m.msg_controllen = sizeof control.bytes;
    }
}

static pid_t start_daemon(Keeper *k)
{
    pid_t pid = fork();
    g_assert_cmpint(pid, >=, 0);
    if (!pid)
        daemon_body(k);
    return pid;
}

static G_NORETURN void keeper_body(Keeper *k)
{
    int status;
    g_autoptr(GRand) rand = g_rand_new_with_seed(g_test_rand_int());
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
        unsigned ready = atomic_load(&k->shared->ready);
        pid_t pid = start_daemon(k);
        bool early = g_rand_int_range(rand, 0, 8) == 0; /* while it is still taking up what there was */
        int64_t end = early ? g_get_monotonic_time() + g_rand_int_range(rand, 0, 3000) : 0;
        for (;;) {
            receive(k);
            bool begun = atomic_load(&k->shared->ready) != ready;
            if (begun && !end)
                end = g_get_monotonic_time() + g_rand_int_range(rand, (int)k->shared->least_us, (int)k->shared->most_us);
            if (atomic_load(&k->shared->over) || (end && g_get_monotonic_time() >= end))
                break;
            if (waitpid(pid, &status, WNOHANG) == pid)
                _exit(3); /* it said why */
            struct pollfd p = { k->socket, POLLIN, 0 };
            struct timespec wait = { 0, begun ? 50000 : 200000 };
            ppoll(&p, 1, &wait, NULL);
        }
        bool ends = atomic_load(&k->shared->over);
        if (!ends)
            kill(pid, SIGKILL);
        while (waitpid(pid, &status, WNOHANG) != pid) {
            receive(k); /* a daemon that ends may have something to say */
            nap(20);
        }
        receive(k);
        if (ends)
            _exit(WIFEXITED(status) && !WEXITSTATUS(status) ? 0 : 4);
        atomic_fetch_add(&k->shared->kills, 1);
    }
}

static Shared *shared_new(void)
{
    void *p = mmap(NULL, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    g_assert_true(p != MAP_FAILED);
    return p;
}

static pid_t keeper_start(Keeper *k)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    g_strlcpy(a.sun_path, k->path, sizeof a.sun_path);
    k->socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(bind(k->socket, (struct sockaddr *)&a, sizeof a), ==, 0);
    pid_t pid = fork();
    g_assert_cmpint(pid, >=, 0);
    if (!pid)
        keeper_body(k);
    close(k->socket);
    return pid;
}

static void keeper_end(Keeper *k, pid_t pid)
{
    int status;
    atomic_store(&k->shared->over, true);
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_cmpint(status, ==, 0);
    unlink(k->path);
}

/* ---- A guest's requests ------------------------------------------------------------------ */

typedef struct {
    Shared *shared;
    unsigned number;
    uint64_t unique;
    pid_t keeper;
} Caller;

/* A request of a fixed part and up to two strings; 0 or a positive errno. The answer is behind out's header. */
static int call(Caller *c, uint32_t opcode, uint64_t node, const void *fixed, size_t size, const char *a, const char *b)
{
    Place *p = &c->shared->places[c->number];
    size_t n_a = a ? strlen(a) + 1 : 0, n_b = b ? strlen(b) + 1 : 0;
    struct fuse_in_header h = { .len = (uint32_t)(sizeof h + size + n_a + n_b), .opcode = opcode, .nodeid = node,
                                .unique = c->unique += 2, .uid = getuid(), .gid = getgid(), .pid = 1 };
    g_assert_cmpuint(h.len, <=, ROOM);
    memcpy(p->in, &h, sizeof h);
    if (size)
        memcpy(p->in + sizeof h, fixed, size);
    if (a)
        memcpy(p->in + sizeof h + size, a, n_a);
    if (b)
        memcpy(p->in + sizeof h + size + n_a, b, n_b);
    p->in_size = h.len;
    p->out_room = opcode == FUSE_FORGET ? 0 : ROOM;
    p->head = (uint32_t)(c->unique / 2 % 8);
    atomic_store(&p->state, 1);
    int64_t limit = g_get_monotonic_time() + G_USEC_PER_SEC * 120;
    for (unsigned idle = 0; atomic_load(&p->state) != 2; idle++) {
        if (idle > 100)
            nap(20);
        if (idle % 1000 == 999)
            g_assert_cmpint(g_get_monotonic_time(), <, limit);
    }
    if (opcode == FUSE_FORGET)
        return 0;
    struct fuse_out_header o;
    memcpy(&o, p->out, sizeof o);
    g_assert_cmpuint(o.unique, ==, h.unique);
    g_assert_cmpuint(o.len, ==, p->out_size);
    return -o.error;
}

static const void *answer_of(const Caller *c)
{
    return c->shared->places[c->number].out + sizeof(struct fuse_out_header);
}

static size_t answer_size(const Caller *c)
{
    return c->shared->places[c->number].out_size - sizeof(struct fuse_out_header);
}
