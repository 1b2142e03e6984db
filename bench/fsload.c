/* SPDX-License-Identifier: MIT */
/*
 * Load on a virtiofs daemon without a guest: a front end (lib/vhost) that speaks FUSE, to measure daemons
 * beside each other and beside the host's own file system. One thread a queue, one request at a time each.
 *
 *   fsload SOCKET|DIR WORKLOAD QUEUES SECONDS
 *
 * SOCKET: of a daemon that waits for its front end. DIR: the same work by system calls. WORKLOAD:
 *   seqread seqwrite      1 MiB (256 KiB for writes) at a time, of a file of 256 MiB a thread; MiB/s
 *   randread randwrite    4 KiB at random places of it; operations/s
 *   stat                  LOOKUP and GETATTR of 1000 files
 *   create                CREATE, RELEASE, UNLINK of an empty file
 *   small                 mkdir, 20 files of 2 KiB written and read, all removed: files/s
 *   list                  READDIRPLUS of a folder of 1000 files: entries/s
 */
#include "vhost/front.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { SLOT = 2 << 20, DATA = 64 << 10, FILE_SIZE = 256 << 20, NAMES = 1000, SMALL = 20, FORGETS = 32 };

typedef struct {
    unsigned queue;
    uint8_t *slot; /* what goes out, then what comes in, then data */
    uint64_t unique, dir, seed, count;
    unsigned forgets;
    int host_dir;
    uint64_t nodes[NAMES];
    pthread_t thread;
} Worker;

static VhostFront *front;
static const char *workload;
static double seconds;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *what, int error)
{
    fprintf(stderr, "fsload: %s: %s\n", what, strerror(error));
    exit(1);
}

static void ended(void *opaque, void *cookie, uint32_t written)
{
    *(uint32_t *)cookie = written;
}

/* One request: body of size bytes and, behind it, out_len of data; the answer's body, and in_len of
 * data at slot + DATA. Negative: the error. */
static int ask(Worker *w, uint32_t opcode, uint64_t node, const void *body, uint32_t size,
               size_t out_len, void *answer, uint32_t answer_size, size_t in_len)
{
    struct fuse_in_header *in = (void *)w->slot;
    struct fuse_out_header *out = (void *)(w->slot + 8192);
    uint32_t result = UINT32_MAX;
    *in = (struct fuse_in_header){ .len = (uint32_t)(sizeof *in + size + out_len), .opcode = opcode,
                                   .unique = ++w->unique, .nodeid = node, .pid = 1 };
    memcpy(in + 1, body, size);
    struct iovec o[2] = { { in, sizeof *in + size }, { w->slot + DATA, out_len } };
    struct iovec i[2] = { { out, sizeof *out + answer_size }, { w->slot + DATA, in_len } };
    if (!vhost_front_submit(front, w->queue, o, out_len ? 2 : 1, i, in_len ? 2 : 1, &result))
        die("submit", ENOBUFS);
    while (result == UINT32_MAX) {
        if (vhost_front_collect(front, w->queue, ended, NULL) < 0)
            die("the ring", EPROTO);
        if (result != UINT32_MAX || vhost_front_wants(front, w->queue, true))
            continue;
        struct pollfd p = { .fd = vhost_front_event(front, w->queue), .events = POLLIN };
        eventfd_t n;
        if (poll(&p, 1, 20000) != 1)
            die("no answer", ETIMEDOUT);
        eventfd_read(p.fd, &n);
    }
    if (result < sizeof *out || out->unique != in->unique)
        die("an answer", EPROTO);
    if (out->error)
        return out->error;
    if (answer)
        memcpy(answer, out + 1, answer_size);
    return (int)(out->len - sizeof *out);
}

static int must(int r, const char *what)
{
    if (r < 0)
        die(what, -r);
    return r;
}

/* ---- Operations, by either way ------------------------------------------------- */

typedef struct {
    uint64_t node, fh;
    int fd;
} Handle;

static uint64_t lookup(Worker *w, uint64_t dir, const char *name)
{
    struct fuse_entry_out e;
    must(ask(w, FUSE_LOOKUP, dir, name, (uint32_t)strlen(name) + 1, 0, &e, sizeof e, 0), name);
    return e.nodeid;
}

/* No answer comes, and none is waited for: what is asked next on the queue is done after it. */
static void forget(Worker *w, uint64_t node)
{
    static uint32_t nobody;
    struct fuse_in_header *in = (void *)(w->slot + 4096 + w->forgets++ % FORGETS * 64);
    struct fuse_forget_in f = { 1 };
    *in = (struct fuse_in_header){
        .len = sizeof *in + sizeof f, .opcode = FUSE_FORGET, .unique = ++w->unique, .nodeid = node
    };
    memcpy(in + 1, &f, sizeof f);
    if (!vhost_front_submit(front, w->queue, &(struct iovec){ in, in->len }, 1, NULL, 0, &nobody))
        die("submit", ENOBUFS);
}

/* The same for many, in one request. */
static void forget_all(Worker *w, const uint64_t *nodes, unsigned n)
{
    static uint32_t nobody;
    struct fuse_in_header *in = (void *)(w->slot + 16384);
    struct fuse_batch_forget_in b = { .count = n };
    uint8_t *p = (uint8_t *)(in + 1) + sizeof b;
    *in = (struct fuse_in_header){ .len = (uint32_t)(sizeof *in + sizeof b +
                                                     n * sizeof(struct fuse_forget_one)),
                                   .opcode = FUSE_BATCH_FORGET,
                                   .unique = ++w->unique };
    memcpy(in + 1, &b, sizeof b);
    for (unsigned i = 0; i < n; i++)
        memcpy(p + i * sizeof(struct fuse_forget_one), &(struct fuse_forget_one){ nodes[i], 1 },
               sizeof(struct fuse_forget_one));
    if (!vhost_front_submit(front, w->queue, &(struct iovec){ in, in->len }, 1, NULL, 0, &nobody))
        die("submit", ENOBUFS);
}

static Handle make(Worker *w, uint64_t dir, int host, const char *name, int flags)
{
    Handle h = { .fd = -1 };
    if (!front) {
        h.fd = openat(host, name, flags | O_CREAT, 0644);
        must(h.fd < 0 ? -errno : 0, name);
        return h;
    }
    struct {
        struct fuse_create_in in;
        char name[64];
    } body = { .in = { .flags = (uint32_t)flags | O_CREAT, .mode = S_IFREG | 0644 } };
    struct {
        struct fuse_entry_out e;
        struct fuse_open_out o;
    } answer;
    strcpy(body.name, name);
    must(ask(w, FUSE_CREATE, dir, &body, (uint32_t)(sizeof body.in + strlen(name) + 1), 0, &answer,
             sizeof answer, 0),
         name);
    h.node = answer.e.nodeid;
    h.fh = answer.o.fh;
    return h;
}

static void done_with(Worker *w, Handle *h)
{
    struct fuse_release_in r = { .fh = h->fh };
    if (!front) {
        close(h->fd);
        return;
    }
    must(ask(w, FUSE_RELEASE, h->node, &r, sizeof r, 0, NULL, 0, 0), "release");
}

static void transfer(Worker *w, Handle *h, bool writes, uint64_t at, uint32_t len)
{
    if (!front) {
        ssize_t n = writes ? pwrite(h->fd, w->slot + DATA, len, (off_t)at)
                           : pread(h->fd, w->slot + DATA, len, (off_t)at);
        must(n < 0 ? -errno : 0, "transfer");
    } else if (writes) {
        struct fuse_write_in b = { .fh = h->fh, .offset = at, .size = len };
        struct fuse_write_out o;
        must(ask(w, FUSE_WRITE, h->node, &b, sizeof b, len, &o, sizeof o, 0), "write");
    } else {
        struct fuse_read_in b = { .fh = h->fh, .offset = at, .size = len };
        must(ask(w, FUSE_READ, h->node, &b, sizeof b, 0, NULL, 0, len), "read");
    }
}

/* node is known until then, as it is to a guest's kernel. */
static void removed(Worker *w, uint64_t dir, int host, const char *name, bool folder, uint64_t node)
{
    if (!front) {
        must(unlinkat(host, name, folder ? AT_REMOVEDIR : 0) ? -errno : 0, name);
        return;
    }
    must(ask(w, folder ? FUSE_RMDIR : FUSE_UNLINK, dir, name, (uint32_t)strlen(name) + 1, 0, NULL,
             0, 0),
         name);
    forget(w, node);
}

static uint64_t folder(Worker *w, uint64_t dir, int host, const char *name, int *host_made)
{
    struct {
        struct fuse_mkdir_in in;
        char name[64];
    } body = { .in = { .mode = 0755 } };
    struct fuse_entry_out e;
    if (!front) {
        if (mkdirat(host, name, 0755) && errno != EEXIST)
            die(name, errno);
        *host_made = openat(host, name, O_RDONLY | O_DIRECTORY);
        return 0;
    }
    strcpy(body.name, name);
    int r = ask(w, FUSE_MKDIR, dir, &body, (uint32_t)(sizeof body.in + strlen(name) + 1), 0, &e,
                sizeof e, 0);
    if (r == -EEXIST)
        return lookup(w, dir, name);
    must(r, name);
    return e.nodeid;
}

/* ---- Workloads ------------------------------------------------------------------- */

static uint64_t random_of(Worker *w, uint64_t n)
{
    w->seed = w->seed * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (w->seed >> 33) % n;
}

static void transfers(Worker *w, double end)
{
    bool writes = strstr(workload, "write"), randomly = !strncmp(workload, "rand", 4);
    uint32_t len = randomly ? 4096 : writes ? 256 << 10 : 1 << 20;
    Handle h = make(w, w->dir, w->host_dir, "data", O_RDWR);
    for (uint64_t at = 0; at < FILE_SIZE; at += 256 << 10)
        transfer(w, &h, true, at, 256 << 10);
    double begin = now();
    end += begin;
    for (uint64_t at = 0; now() < end; w->count++, at += len)
        transfer(w, &h, writes, (randomly ? random_of(w, FILE_SIZE / len) * len : at) % FILE_SIZE, len);
    done_with(w, &h);
    removed(w, w->dir, w->host_dir, "data", false, h.node);
}

static void many(Worker *w, bool make_them)
{
    char name[16];
    for (unsigned i = 0; i < NAMES; i++) {
        snprintf(name, sizeof name, "n%u", i);
        if (make_them) {
            Handle h = make(w, w->dir, w->host_dir, name, O_RDWR);
            done_with(w, &h);
            w->nodes[i] = h.node;
        } else {
            removed(w, w->dir, w->host_dir, name, false, w->nodes[i]);
        }
    }
}

static void stats(Worker *w, double end)
{
    many(w, true);
    for (end += now(); now() < end; w->count++) {
        char name[16];
        struct stat st;
        snprintf(name, sizeof name, "n%u", (unsigned)random_of(w, NAMES));
        if (!front) {
            must(fstatat(w->host_dir, name, &st, AT_SYMLINK_NOFOLLOW) ? -errno : 0, name);
            continue;
        }
        uint64_t node = lookup(w, w->dir, name);
        struct fuse_getattr_in g = { 0 };
        struct fuse_attr_out a;
        must(ask(w, FUSE_GETATTR, node, &g, sizeof g, 0, &a, sizeof a, 0), "getattr");
        forget(w, node);
    }
    many(w, false);
}

static void creates(Worker *w, double end)
{
    for (end += now(); now() < end; w->count++) {
        Handle h = make(w, w->dir, w->host_dir, "new", O_RDWR | O_EXCL);
        done_with(w, &h);
        removed(w, w->dir, w->host_dir, "new", false, h.node);
    }
}

static void smalls(Worker *w, double end)
{
    for (end += now(); now() < end; w->count += SMALL) {
        int host = -1;
        char name[16];
        uint64_t dir = folder(w, w->dir, w->host_dir, "tree", &host);
        for (unsigned i = 0; i < SMALL; i++) {
            snprintf(name, sizeof name, "f%u", i);
            Handle h = make(w, dir, host, name, O_RDWR);
            transfer(w, &h, true, 0, 2048);
            transfer(w, &h, false, 0, 2048);
            done_with(w, &h);
            w->nodes[i] = h.node;
        }
        for (unsigned i = 0; i < SMALL; i++) {
            snprintf(name, sizeof name, "f%u", i);
            removed(w, dir, host, name, false, w->nodes[i]);
        }
        removed(w, w->dir, w->host_dir, "tree", true, dir);
        if (!front)
            close(host);
    }
}

static unsigned list_once(Worker *w, uint64_t fh, uint64_t *at)
{
    struct fuse_read_in b = { .fh = fh, .offset = *at, .size = 64 << 10 };
    int n = must(ask(w, FUSE_READDIRPLUS, w->dir, &b, sizeof b, 0, NULL, 0, 64 << 10),
                 "readdirplus");
    uint64_t nodes[NAMES];
    unsigned count = 0, known = 0;
    for (int p = 0; p < n;) {
        struct fuse_direntplus *d = (void *)(w->slot + DATA + p);
        if (d->entry_out.nodeid && known < NAMES)
            nodes[known++] = d->entry_out.nodeid;
        *at = d->dirent.off;
        p += (int)FUSE_DIRENTPLUS_SIZE(d);
        count++;
    }
    forget_all(w, nodes, known);
    return count;
}

static void lists(Worker *w, double end)
{
    many(w, true);
    for (end += now(); now() < end;) {
        if (!front) {
            struct stat st;
            DIR *d = fdopendir(openat(w->host_dir, ".", O_RDONLY | O_DIRECTORY));
            for (struct dirent *e; (e = readdir(d)); w->count++)
                fstatat(w->host_dir, e->d_name, &st, AT_SYMLINK_NOFOLLOW);
            closedir(d);
            continue;
        }
        struct fuse_open_in o = { .flags = O_RDONLY | O_DIRECTORY };
        struct fuse_open_out opened;
        must(ask(w, FUSE_OPENDIR, w->dir, &o, sizeof o, 0, &opened, sizeof opened, 0), "opendir");
        uint64_t at = 0;
        for (unsigned n; (n = list_once(w, opened.fh, &at));)
            w->count += n;
        struct fuse_release_in r = { .fh = opened.fh };
        must(ask(w, FUSE_RELEASEDIR, w->dir, &r, sizeof r, 0, NULL, 0, 0), "releasedir");
    }
    many(w, false);
}

static void *run(void *opaque)
{
    static const struct {
        const char *name;
        void (*run)(Worker *w, double end);
    } all[] = { { "seqread", transfers },   { "seqwrite", transfers }, { "randread", transfers },
                { "randwrite", transfers }, { "stat", stats },         { "create", creates },
                { "small", smalls },        { "list", lists } };
    Worker *w = opaque;
    for (unsigned i = 0; i < sizeof all / sizeof all[0]; i++)
        if (!strcmp(all[i].name, workload)) {
            all[i].run(w, seconds);
            return NULL;
        }
    die(workload, EINVAL);
    return NULL;
}

static void connect_to(const char *path, unsigned queues, uint8_t *memory, size_t size, int fd)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    GError *error = NULL;
    strncpy(at.sun_path, path, sizeof at.sun_path - 1);
    if (connect(s, (struct sockaddr *)&at, sizeof at))
        die(path, errno);
    front = vhost_front_new(s, 0, queues + 1, &error);
    if (!front || !vhost_front_memory(front, memory, size, fd, 0, &error) ||
        !vhost_front_start(front, &error)) {
        fprintf(stderr, "fsload: %s\n", error->message);
        exit(1);
    }
}

int main(int argc, char **argv)
{
    if (argc < 5)
        return fprintf(stderr, "usage: see the head of the source\n"), 2;
    workload = argv[2];
    unsigned queues = (unsigned)strtoul(argv[3], NULL, 0);
    seconds = atof(argv[4]);
    size_t size = (size_t)(queues + 1) * SLOT;
    int fd = memfd_create("fsload", MFD_CLOEXEC);
    uint8_t *memory = ftruncate(fd, (off_t)size)
                          ? MAP_FAILED
                          : mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED)
        die("memory", errno);
    memset(memory, 0x5a, size);
    struct stat st;
    int host = -1;
    bool plain = !stat(argv[1], &st) && S_ISDIR(st.st_mode);
    Worker first = { .queue = 1, .slot = memory };
    if (plain) {
        host = open(argv[1], O_RDONLY | O_DIRECTORY);
    } else {
        connect_to(argv[1], queues, memory, size, fd);
        struct fuse_init_in in = { .major = 7, .minor = 31, .max_readahead = 128 << 10,
                                   .flags = FUSE_ASYNC_READ | FUSE_BIG_WRITES | FUSE_DO_READDIRPLUS | FUSE_MAX_PAGES |
                                            FUSE_PARALLEL_DIROPS };
        struct fuse_init_out out;
        must(ask(&first, FUSE_INIT, 0, &in, sizeof in, 0, &out, sizeof out, 0), "init");
    }
    Worker *workers = calloc(queues, sizeof *workers);
    for (unsigned i = 0; i < queues; i++) {
        Worker *w = &workers[i];
        char name[16];
        snprintf(name, sizeof name, "w%u", i);
        *w = (Worker){ .queue = i + 1, .slot = memory + (size_t)(i + 1) * SLOT, .seed = i + 1,
                       .unique = first.unique, .host_dir = -1 };
        w->dir = folder(&first, 1, host, name, &w->host_dir);
        w->unique = first.unique;
    }
    for (unsigned i = 0; i < queues; i++)
        pthread_create(&workers[i].thread, NULL, run, &workers[i]);
    uint64_t count = 0;
    for (unsigned i = 0; i < queues; i++) {
        pthread_join(workers[i].thread, NULL);
        count += workers[i].count;
    }
    uint64_t unit = !strncmp(workload, "seq", 3) ? (strstr(workload, "write") ? 4 : 1) : 1;
    printf("%.0f\n", (double)count / (double)unit / seconds);
    return 0;
}
