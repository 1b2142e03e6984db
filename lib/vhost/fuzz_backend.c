/* SPDX-License-Identifier: MIT */
/* The back end against a front end that says anything: first what is in the memory it shares, then
 * its messages, each with how many descriptors. Queues that start run on rings of that memory. */
#include "vhost/vhost_priv.h"

#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MEMORY = 64 << 10, SEEN = 1 << 10, MESSAGES = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int64_t handle(void *opaque, VhostRequest *r)
{
    uint8_t buf[256];
    size_t n = (size_t)MIN(r->chain.out_bytes, sizeof buf);
    vring_chain_take(&r->chain, buf, n);
    return (int64_t)vring_chain_fill(&r->chain, 0, buf, n);
}

static void reset(void *opaque)
{
}

static bool say(int fd, const uint8_t *p, size_t size, int memory, int event)
{
    int fds[VHOST_MAX_FDS];
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof fds)];
    } control;
    uint32_t head[3] = { p[0], VHOST_VERSION | (p[1] & 16 ? VHOST_NEED_REPLY : 0), (uint32_t)size };
    unsigned n = p[1] & 7;
    struct iovec iov[2] = { { head, sizeof head }, { (void *)(p + 3), size } };
    struct msghdr msg = { .msg_iov = iov, .msg_iovlen = size ? 2 : 1 };
    if (n) {
        for (unsigned i = 0; i < n; i++)
            fds[i] = p[1] & 8 ? event : memory;
        memset(&control, 0, sizeof control);
        control.align.cmsg_level = SOL_SOCKET;
        control.align.cmsg_type = SCM_RIGHTS;
        control.align.cmsg_len = CMSG_LEN(n * sizeof(int));
        memcpy(CMSG_DATA(&control.align), fds, n * sizeof(int));
        msg.msg_control = &control;
        msg.msg_controllen = CMSG_SPACE(n * sizeof(int));
    }
    return sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)(sizeof head + size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int pair[2], memory = memfd_create("fuzz", MFD_CLOEXEC),
                 event = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
    VhostDevice device = { .name = "fuzz", .queues = 2, .config = "configuration", .config_size = 13,
                           .handle = handle, .reset = reset };
    size_t at = MIN(size, SEEN);
    GError *error = NULL;
    if (ftruncate(memory, MEMORY) || pwrite(memory, data, at, 0) != (ssize_t)at ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
        return 0;
    for (unsigned i = 0; i < MESSAGES && size - at >= 3; i++) {
        size_t n = MIN(data[at + 2], size - at - 3);
        if (!say(pair[0], data + at, n, memory, event))
            break;
        at += 3 + n;
    }
    shutdown(pair[0], SHUT_WR);
    VhostBackend *b = vhost_backend_new(&device);
    vhost_backend_serve(b, pair[1], &error);
    g_clear_error(&error);
    vhost_backend_free(b);
    close(pair[0]);
    close(pair[1]);
    close(memory);
    close(event);
    return 0;
}
