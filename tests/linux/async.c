/* SPDX-License-Identifier: MIT */
/* Asynchronous I/O: io_uring's rings, Linux's AIO, and page faults that are served here. */
#include "say.h"

#include <linux/aio_abi.h>
#include <linux/io_uring.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <time.h>

typedef struct Ring {
    int fd;
    struct io_uring_params params;
    char *sq, *cq;
    struct io_uring_sqe *sqes;
} Ring;

static uint32_t *sq_word(Ring *r, uint32_t offset) { return (uint32_t *)(r->sq + offset); }
static uint32_t *cq_word(Ring *r, uint32_t offset) { return (uint32_t *)(r->cq + offset); }

static int open_ring(Ring *r)
{
    memset(&r->params, 0, sizeof r->params);
    r->fd = (int)syscall(SYS_io_uring_setup, 8, &r->params);
    if (say_ok("setup", r->fd) < 0)
        return -1;
    printf("entries %u %u\n", r->params.sq_entries, r->params.cq_entries);
    size_t sq = r->params.sq_off.array + r->params.sq_entries * 4;
    size_t cq = r->params.cq_off.cqes + r->params.cq_entries * sizeof(struct io_uring_cqe);
    int flags = MAP_SHARED | MAP_POPULATE, prot = PROT_READ | PROT_WRITE;
    r->sq = mmap(NULL, sq, prot, flags, r->fd, IORING_OFF_SQ_RING);
    r->cq = mmap(NULL, cq, prot, flags, r->fd, IORING_OFF_CQ_RING);
    r->sqes = mmap(NULL, 8 * sizeof *r->sqes, prot, flags, r->fd, IORING_OFF_SQES);
    return r->sq == MAP_FAILED || r->cq == MAP_FAILED || r->sqes == MAP_FAILED ? -1 : 0;
}

static void submit(Ring *r, const struct io_uring_sqe *e)
{
    uint32_t tail = *sq_word(r, r->params.sq_off.tail);
    uint32_t at = tail & *sq_word(r, r->params.sq_off.ring_mask);
    r->sqes[at] = *e;
    sq_word(r, r->params.sq_off.array)[at] = at;
    __atomic_store_n(sq_word(r, r->params.sq_off.tail), tail + 1, __ATOMIC_RELEASE);
}

static void reap(Ring *r)
{
    uint32_t head = *cq_word(r, r->params.cq_off.head);
    while (head != __atomic_load_n(cq_word(r, r->params.cq_off.tail), __ATOMIC_ACQUIRE)) {
        struct io_uring_cqe *c = (void *)(r->cq + r->params.cq_off.cqes);
        c += head & *cq_word(r, r->params.cq_off.ring_mask);
        printf("done %lx: %d\n", (long)c->user_data, c->res);
        head++;
    }
    __atomic_store_n(cq_word(r, r->params.cq_off.head), head, __ATOMIC_RELEASE);
}

static void rings(void)
{
    Ring r;
    char text[16] = "";
    int p[2];
    if (open_ring(&r))
        return;
    submit(&r, &(struct io_uring_sqe){ .opcode = IORING_OP_NOP, .user_data = 0x1234567890 });
    say("enter", syscall(SYS_io_uring_enter, r.fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0));
    reap(&r);
    pipe(p);
    submit(&r, &(struct io_uring_sqe){ .opcode = IORING_OP_READ, .fd = p[0], .addr = (uintptr_t)text,
                                       .len = 16, .user_data = 2 });
    say("enter", syscall(SYS_io_uring_enter, r.fd, 1, 0, 0, NULL, 0));
    write(p[1], "ringing", 7);
    sigset_t set;
    sigemptyset(&set);
    say("with mask", syscall(SYS_io_uring_enter, r.fd, 0, 1, IORING_ENTER_GETEVENTS, &set, 8));
    reap(&r);
    printf("%s\n", text);
    struct iovec io = { "vector", 6 };
    submit(&r, &(struct io_uring_sqe){ .opcode = IORING_OP_WRITEV, .fd = p[1],
                                       .addr = (uintptr_t)&io, .len = 1, .user_data = 3 });
    submit(&r, &(struct io_uring_sqe){ .opcode = IORING_OP_POLL_ADD, .fd = p[0],
                                       .poll32_events = POLLIN, .user_data = 4 });
    say("enter", syscall(SYS_io_uring_enter, r.fd, 2, 2, IORING_ENTER_GETEVENTS, NULL, 0));
    reap(&r);
    struct timespec brief = { 0, 1000000 };
    struct { uint64_t mask; uint32_t size, wait; uint64_t ts; } arg = { (uintptr_t)&set, 8, 0,
                                                                        (uintptr_t)&brief };
    say("timeout", syscall(SYS_io_uring_enter, r.fd, 0, 1,
                           IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &arg, sizeof arg));
    submit(&r, &(struct io_uring_sqe){ .opcode = IORING_OP_READ, .fd = 77, .user_data = 5 });
    say("enter", syscall(SYS_io_uring_enter, r.fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0));
    reap(&r);
    char buffer[4096] __attribute__((aligned(4096)));
    io = (struct iovec){ buffer, sizeof buffer };
    say("register", syscall(SYS_io_uring_register, r.fd, IORING_REGISTER_BUFFERS, &io, 1));
    /* an event that is set through the ring is the one that a wait gives */
    int epoll = epoll_create1(0), wrong = 0;
    struct epoll_event set_to[2] = {{ .events = EPOLLIN, .data.u64 = 0x1122334455667788 },
                                    { .events = EPOLLOUT, .data.u64 = 0x99aabbccddeeff00 }}, got[2];
    for (int i = 0; i < 2; i++)
        submit(&r, &(struct io_uring_sqe){ .opcode = IORING_OP_EPOLL_CTL, .fd = epoll, .off = (unsigned)p[i],
                                           .len = EPOLL_CTL_ADD, .addr = (uintptr_t)&set_to[i],
                                           .user_data = 8 + i });
    say("enter", syscall(SYS_io_uring_enter, r.fd, 2, 2, IORING_ENTER_GETEVENTS, NULL, 0));
    reap(&r);
    wrong = (int)write(p[1], "x", 1) != 1;
    int n = epoll_wait(epoll, got, 2, 1000);
    for (int i = 0; i < n; i++)
        wrong += got[i].data.u64 != set_to[got[i].events == EPOLLOUT].data.u64;
    printf("epoll through the ring: %d events, %d wrong\n", n, wrong);
}

static void aio(void)
{
    aio_context_t context = 0;
    char text[16] = "";
    int fd = open("aio", O_RDWR | O_CREAT, 0600);
    say("io_setup", syscall(SYS_io_setup, 4, &context));
    struct iocb w = { .aio_lio_opcode = IOCB_CMD_PWRITE, .aio_fildes = fd, .aio_data = 11,
                      .aio_buf = (uintptr_t)"asynchronous", .aio_nbytes = 12 };
    struct iocb r = { .aio_lio_opcode = IOCB_CMD_PREAD, .aio_fildes = fd, .aio_data = 12,
                      .aio_buf = (uintptr_t)text, .aio_nbytes = 16 };
    struct iocb *list[2] = { &w, &r };
    struct io_event events[2];
    struct timespec wait = { 5, 0 };
    say("io_submit", syscall(SYS_io_submit, context, 1, list));
    say("io_getevents", syscall(SYS_io_getevents, context, 1, 2, events, &wait));
    printf("data %ld result %ld\n", (long)events[0].data, (long)events[0].res);
    say("io_submit", syscall(SYS_io_submit, context, 1, list + 1));
    sigset_t set;
    sigemptyset(&set);
    struct { sigset_t *set; size_t size; } mask = { &set, 8 };
    say("io_pgetevents", syscall(SYS_io_pgetevents, context, 1, 2, events, &wait, &mask));
    printf("data %ld result %ld %s\n", (long)events[0].data, (long)events[0].res, text);
    say("bad", syscall(SYS_io_submit, context, 1, (void *)16));
    say("io_destroy", syscall(SYS_io_destroy, context));
}

static void *serve(void *arg)
{
    int fd = *(int *)arg;
    struct uffd_msg m;
    static char page[4096] __attribute__((aligned(4096)));
    strcpy(page, "served");
    struct pollfd p = { fd, POLLIN, 0 };
    poll(&p, 1, 5000);
    if (read(fd, &m, sizeof m) != sizeof m)
        return NULL;
    struct uffdio_copy copy = { .dst = m.arg.pagefault.address & -4096UL, .src = (uintptr_t)page,
                                .len = 4096 };
    ioctl(fd, UFFDIO_COPY, &copy);
    return NULL;
}

static void faults(void)
{
    int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
    if (say_ok("userfaultfd", fd) < 0)
        return;
    struct uffdio_api api = { .api = UFFD_API };
    say("api", ioctl(fd, UFFDIO_API, &api));
    char *at = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct uffdio_register reg = { .range = { (uintptr_t)at, 8192 },
                                   .mode = UFFDIO_REGISTER_MODE_MISSING };
    say("register", ioctl(fd, UFFDIO_REGISTER, &reg));
    pthread_t thread;
    pthread_create(&thread, NULL, serve, &fd);
    printf("%s\n", at + 4096);
    pthread_join(thread, NULL);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    rings();
    aio();
    faults();
    return 0;
}
