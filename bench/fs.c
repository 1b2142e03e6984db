/* SPDX-License-Identifier: MIT */
/*
 * A front end that does nothing but ask: fs SOCKET QUEUES SECONDS [TEST] mounts what a virtiofs daemon serves and measures, a thread a
 * queue, one request at a time each: names that are made, looked at and removed; a tree of small files that is walked and read;
 * folders listed; large and small reads and writes, in order and at random. A line each: name, operations (or MiB) a second.
 */
#include "vhost/front.h"

#include "base/socket.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { ROOM = 2 << 20, THREADS = 4, BLOCK = 1 << 20, FILE_SIZE = 64 << 20, TREE = 500 };

typedef struct {
    VhostFront *front;
    unsigned queue;
    uint8_t *in, *out; /* ROOM each, in shared memory */
    uint32_t got;
    uint64_t unique, dir;
    double until;
    double done;
    void (*work)(void *);
} Worker;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void collected(void *opaque, void *cookie, uint32_t written)
{
    ((Worker *)opaque)->got = written;
}

/* 0, or an errno; the answer is in w->out + 16. */
static int call(Worker *w, uint32_t opcode, uint64_t node, const void *arg, size_t size, const void *data, size_t data_size,
                size_t room)
{
    struct fuse_in_header h = { .len = (uint32_t)(sizeof h + size + data_size), .opcode = opcode, .unique = ++w->unique,
                                .nodeid = node };
    struct fuse_out_header o;
    memcpy(w->in, &h, sizeof h);
    memcpy(w->in + sizeof h, arg, size);
    struct iovec out[2] = { { w->in, sizeof h + size }, { w->in + 4096, data_size } };
    struct iovec in[2] = { { w->out, sizeof o }, { w->out + sizeof o, room } };
    if (!vhost_front_submit(w->front, w->queue, out, data_size ? 2 : 1, in, room ? 2 : 1, w))
        abort();
    int fd = vhost_front_event(w->front, w->queue);
    for (double since = now();;) {
        int n = vhost_front_collect(w->front, w->queue, collected, w);
        if (n > 0)
            break;
        if (n < 0)
            abort();
        if (now() - since < 20e-6)
            continue;
        if (vhost_front_wants(w->front, w->queue, true))
            continue;
        eventfd_t v;
        struct pollfd p = { fd, POLLIN, 0 };
        poll(&p, 1, 10000);
        eventfd_read(fd, &v);
    }
    memcpy(&o, w->out, sizeof o);
    return -o.error;
}

static void must(int e, const char *what)
{
    if (e) {
        fprintf(stderr, "fs: %s: %s\n", what, strerror(e));
        exit(1);
    }
}

#define ANSWER(w, type) ((struct type *)(void *)((w)->out + 16))

static int named(Worker *w, uint32_t opcode, uint64_t node, const void *fixed, size_t size, const char *name, size_t room)
{
    uint8_t arg[512];
    memcpy(arg, fixed, size);
    strcpy((char *)arg + size, name);
    return call(w, opcode, node, arg, size + strlen(name) + 1, NULL, 0, room);
}

static uint64_t create(Worker *w, uint64_t dir, const char *name, uint64_t *fh)
{
    struct fuse_create_in in = { .flags = O_CREAT | O_RDWR, .mode = 0644 };
    must(named(w, FUSE_CREATE, dir, &in, sizeof in, name, 160), name);
    *fh = ((struct fuse_open_out *)(void *)(w->out + 16 + sizeof(struct fuse_entry_out)))->fh;
    return ANSWER(w, fuse_entry_out)->nodeid;
}

static void release(Worker *w, uint64_t node, uint64_t fh)
{
    struct fuse_release_in in = { .fh = fh };
    must(call(w, FUSE_RELEASE, node, &in, sizeof in, NULL, 0, 0), "release");
}

static void forget(Worker *w, uint64_t node)
{
    struct fuse_forget_in in = { 1 };
    struct fuse_in_header h = { .len = sizeof h + sizeof in, .opcode = FUSE_FORGET, .nodeid = node };
    memcpy(w->in, &h, sizeof h);
    memcpy(w->in + sizeof h, &in, sizeof in);
    w->got = UINT32_MAX;
    struct iovec out = { w->in, sizeof h + sizeof in };
    if (!vhost_front_submit(w->front, w->queue, &out, 1, NULL, 0, w))
        abort();
    while (!vhost_front_collect(w->front, w->queue, collected, w))
        ;
}

static void put(Worker *w, uint64_t node, uint64_t fh, uint64_t offset, size_t size)
{
    struct fuse_write_in in = { .fh = fh, .offset = offset, .size = (uint32_t)size };
    must(call(w, FUSE_WRITE, node, &in, sizeof in, w->in, size, 8), "write");
}

static void get(Worker *w, uint64_t node, uint64_t fh, uint64_t offset, size_t size)
{
    struct fuse_read_in in = { .fh = fh, .offset = offset, .size = (uint32_t)size };
    must(call(w, FUSE_READ, node, &in, sizeof in, NULL, 0, size), "read");
}

/* ---- What is measured ------------------------------------------------------------------------ */

/* Made, looked at, renamed, removed. */
static void storm(void *opaque)
{
    Worker *w = opaque;
    while (now() < w->until) {
        struct fuse_getattr_in g = { 0 };
        struct fuse_rename_in r = { .newdir = w->dir };
        uint8_t arg[64];
        uint64_t fh, node = create(w, w->dir, "name", &fh);
        must(call(w, FUSE_GETATTR, node, &g, sizeof g, NULL, 0, 104), "getattr");
        release(w, node, fh);
        memcpy(arg, &r, sizeof r);
        memcpy(arg + sizeof r, "name\0other", 11);
        must(call(w, FUSE_RENAME, w->dir, arg, sizeof r + 11, NULL, 0, 0), "rename");
        must(named(w, FUSE_LOOKUP, w->dir, "", 0, "other", 128), "lookup");
        forget(w, node);
        must(named(w, FUSE_UNLINK, w->dir, "", 0, "other", 0), "unlink");
        forget(w, node);
        w->done += 8;
    }
}

/* Small files that are found, opened, read and closed. */
static void tree(void *opaque)
{
    Worker *w = opaque;
    for (unsigned i = 0; now() < w->until; i++) {
        char name[16];
        uint64_t node, fh;
        struct fuse_open_in in = { .flags = O_RDONLY };
        snprintf(name, sizeof name, "f%u", i % TREE);
        must(named(w, FUSE_LOOKUP, w->dir, "", 0, name, 128), "lookup");
        node = ANSWER(w, fuse_entry_out)->nodeid;
        must(call(w, FUSE_OPEN, node, &in, sizeof in, NULL, 0, 16), "open");
        fh = ANSWER(w, fuse_open_out)->fh;
        get(w, node, fh, 0, 4096);
        release(w, node, fh);
        forget(w, node);
        w->done += 5;
    }
}

static void missing(void *opaque)
{
    Worker *w = opaque;
    for (; now() < w->until; w->done++)
        if (named(w, FUSE_LOOKUP, w->dir, "", 0, "nothing", 128) == 0 && ANSWER(w, fuse_entry_out)->nodeid)
            abort();
}

static void list(Worker *w, bool plus)
{
    while (now() < w->until) {
        struct fuse_open_in in = { 0 };
        must(call(w, FUSE_OPENDIR, w->dir, &in, sizeof in, NULL, 0, 16), "opendir");
        uint64_t fh = ANSWER(w, fuse_open_out)->fh;
        struct fuse_read_in read = { .fh = fh, .size = 65536 };
        static _Thread_local uint64_t nodes[4096];
        for (;;) {
            unsigned n = 0;
            must(call(w, plus ? FUSE_READDIRPLUS : FUSE_READDIR, w->dir, &read, sizeof read, NULL, 0, 65536), "readdir");
            size_t size = w->got - 16, head = plus ? sizeof(struct fuse_entry_out) : 0;
            if (!size)
                break;
            for (size_t at = 0; at < size; w->done++) {
                struct fuse_entry_out e;
                struct fuse_dirent d;
                memcpy(&e, w->out + 16 + at, sizeof e);
                memcpy(&d, w->out + 16 + at + head, sizeof d);
                if (plus && e.nodeid)
                    nodes[n++] = e.nodeid;
                read.offset = d.off;
                at += FUSE_REC_ALIGN(head + FUSE_NAME_OFFSET + d.namelen);
            }
            while (n)
                forget(w, nodes[--n]);
        }
        struct fuse_release_in r = { .fh = fh };
        must(call(w, FUSE_RELEASEDIR, w->dir, &r, sizeof r, NULL, 0, 0), "releasedir");
    }
}

static void readdir_(void *w) { list(w, false); }
static void readdirplus(void *w) { list(w, true); }

static void data(Worker *w, size_t block, bool random, bool write_)
{
    struct fuse_open_in in = { .flags = O_RDWR };
    uint64_t fh, node, seed = w->queue;
    must(named(w, FUSE_LOOKUP, w->dir, "", 0, "data", 128), "lookup");
    node = ANSWER(w, fuse_entry_out)->nodeid;
    must(call(w, FUSE_OPEN, node, &in, sizeof in, NULL, 0, 16), "open");
    fh = ANSWER(w, fuse_open_out)->fh;
    for (uint64_t at = 0;; at = (at + block) % FILE_SIZE) {
        if (now() >= w->until)
            break;
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        uint64_t place = random ? (seed >> 33) % (FILE_SIZE / block) * block : at;
        if (write_)
            put(w, node, fh, place, block);
        else
            get(w, node, fh, place, block);
        w->done += (double)block / (1 << 20);
    }
    release(w, node, fh);
    forget(w, node);
}

static void read_large(void *w) { data(w, BLOCK, false, false); }
static void write_large(void *w) { data(w, BLOCK, false, true); }
static void read_small(void *w) { data(w, 4096, true, false); }
static void write_small(void *w) { data(w, 4096, true, true); }

static const struct {
    const char *name;
    void (*work)(void *);
} tests[] = { { "storm", storm }, { "tree", tree }, { "missing", missing }, { "readdir", readdir_ },
              { "readdirplus", readdirplus }, { "write-1M", write_large }, { "read-1M", read_large },
              { "write-4k-random", write_small }, { "read-4k-random", read_small } };

static void *run(void *opaque)
{
    Worker *w = opaque;
    w->work(w);
    return NULL;
}

/* A folder of the worker's own, with what the tests look for. */
static void prepare(Worker *w)
{
    char name[32];
    struct fuse_mkdir_in in = { .mode = 0755 };
    snprintf(name, sizeof name, "w%u", w->queue);
    if (named(w, FUSE_LOOKUP, 1, "", 0, name, 128))
        must(named(w, FUSE_MKDIR, 1, &in, sizeof in, name, 128), name);
    w->dir = ANSWER(w, fuse_entry_out)->nodeid;
    for (unsigned i = 0; i < TREE; i++) {
        uint64_t fh, node;
        snprintf(name, sizeof name, "f%u", i);
        node = create(w, w->dir, name, &fh);
        put(w, node, fh, 0, 2000);
        release(w, node, fh);
        forget(w, node);
    }
    uint64_t fh, node = create(w, w->dir, "data", &fh);
    for (uint64_t at = 0; at < FILE_SIZE; at += BLOCK)
        put(w, node, fh, at, BLOCK);
    release(w, node, fh);
    forget(w, node);
}

int main(int argc, char **argv)
{
    GError *error = NULL;
    Worker w[THREADS] = { 0 };
    if (argc != 4 && argc != 5)
        return 2;
    unsigned queues = (unsigned)atoi(argv[2]);
    double seconds = atof(argv[3]);
    SocketAddress *a = socket_address_unix(argv[1]);
    int fd = socket_connect(a, 10000, &error), mem = memfd_create("guest", 0);
    size_t size = (size_t)THREADS * 2 * ROOM;
    if (queues < 1 || queues > THREADS || ftruncate(mem, (off_t)size))
        return 2;
    uint8_t *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, mem, 0);
    VhostFront *front = fd < 0 ? NULL : vhost_front_new(fd, 0, queues + 1, &error);
    if (!front || !vhost_front_memory(front, p, size, mem, 0, &error) || !vhost_front_start(front, &error)) {
        fprintf(stderr, "fs: %s\n", error->message);
        return 1;
    }
    for (unsigned i = 0; i < queues; i++)
        w[i] = (Worker){ .front = front, .queue = i + 1, .in = p + i * 2 * (size_t)ROOM, .out = p + (i * 2 + 1) * (size_t)ROOM };
    struct fuse_init_in init = { .major = 7, .minor = 31, .max_readahead = 1 << 20, .flags = FUSE_MAX_PAGES | FUSE_BIG_WRITES |
                                 FUSE_ASYNC_READ | FUSE_DO_READDIRPLUS | FUSE_PARALLEL_DIROPS | FUSE_ATOMIC_O_TRUNC };
    must(call(&w[0], FUSE_INIT, 0, &init, 16, NULL, 0, 64), "init");
    for (unsigned i = 0; i < queues; i++)
        prepare(&w[i]);
    for (unsigned t = 0; t < G_N_ELEMENTS(tests); t++) {
        pthread_t threads[THREADS];
        if (argc == 5 && strcmp(argv[4], tests[t].name))
            continue;
        double all = 0, start = now();
        for (unsigned i = 0; i < queues; i++) {
            w[i].work = tests[t].work;
            w[i].done = 0;
            w[i].until = start + seconds;
            pthread_create(&threads[i], NULL, run, &w[i]);
        }
        for (unsigned i = 0; i < queues; i++) {
            pthread_join(threads[i], NULL);
            all += w[i].done;
        }
        printf("%s %.0f\n", tests[t].name, all / (now() - start));
    }
    return 0;
}
