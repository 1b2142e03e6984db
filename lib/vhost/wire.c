/* SPDX-License-Identifier: MIT */
/* Messages over the socket, with the descriptors beside them. */
#include "vhost/vhost_priv.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef union {
    struct cmsghdr align;
    char room[CMSG_SPACE(VHOST_MAX_FDS * sizeof(int))];
} Control;

static int receive_all(int fd, void *buf, size_t len)
{
    for (uint8_t *p = buf; len;) {
        ssize_t n = recv(fd, p, len, MSG_WAITALL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n ? -errno : -EPROTO;
        p += n;
        len -= (size_t)n;
    }
    return 1;
}

static void take_fds(VhostMessage *m, struct msghdr *msg)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        const uint8_t *data = CMSG_DATA(c);
        for (size_t i = 0; i < n; i++) {
            int fd;
            memcpy(&fd, data + i * sizeof fd, sizeof fd);
            if (m->fd_count < VHOST_MAX_FDS)
                m->fds[m->fd_count++] = fd;
            else
                close(fd);
        }
    }
}

int vhost_message_receive(int fd, VhostMessage *m, bool answer)
{
    Control control;
    struct iovec iov = { &m->head, sizeof m->head };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
                          .msg_controllen = sizeof control };
    ssize_t n;
    *m = (VhostMessage){ .fd_count = 0 };
    do
        n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n <= 0)
        return n ? -errno : 0;
    take_fds(m, &msg);
    if ((size_t)n < sizeof m->head) {
        int r = receive_all(fd, (uint8_t *)&m->head + n, sizeof m->head - (size_t)n);
        if (r <= 0)
            return r;
    }
    if ((m->head.flags & VHOST_VERSION_MASK) != VHOST_VERSION ||
        !!(m->head.flags & VHOST_REPLY) != answer || m->head.size > sizeof m->body ||
        msg.msg_flags & MSG_CTRUNC)
        return -EPROTO;
    return m->head.size ? receive_all(fd, &m->body, m->head.size) : 1;
}

int vhost_message_send(int fd, const VhostMessage *m, bool fds)
{
    struct iovec iov[2] = { { (void *)&m->head, sizeof m->head },
                            { (void *)&m->body, m->head.size } };
    struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };
    Control control;
    if (fds && m->fd_count) {
        size_t len = m->fd_count * sizeof(int);
        memset(&control, 0, sizeof control);
        control.align.cmsg_level = SOL_SOCKET;
        control.align.cmsg_type = SCM_RIGHTS;
        control.align.cmsg_len = CMSG_LEN(len);
        memcpy(CMSG_DATA(&control.align), m->fds, len);
        msg.msg_control = &control;
        msg.msg_controllen = CMSG_SPACE(len);
    }
    size_t left = sizeof m->head + m->head.size;
    while (left) {
        ssize_t n = sendmsg(fd, &msg, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        msg.msg_control = NULL; /* they went with the first byte */
        msg.msg_controllen = 0;
        left -= (size_t)n;
        for (int i = 0; i < 2; i++) {
            size_t part = MIN((size_t)n, iov[i].iov_len);
            iov[i].iov_base = (uint8_t *)iov[i].iov_base + part;
            iov[i].iov_len -= part;
            n -= (ssize_t)part;
        }
    }
    return 1;
}

void vhost_message_clear(VhostMessage *m)
{
    while (m->fd_count)
        close(m->fds[--m->fd_count]);
}

int vhost_message_take_fd(VhostMessage *m)
{
    if (m->fd_count != 1)
        return -1;
    m->fd_count = 0;
    return m->fds[0];
}
