/* SPDX-License-Identifier: MIT */
/*
 * A process between the machine and the server that outlives the server: when that is killed, or
 * told to end while its machine is still there, it answers what the guest has asked and asks from
 * then on with an error. Machines that start us by themselves (socket activation) see to that
 * themselves.
 */
#include "tool.h"

#include "vhost/relay.h"

#include <errno.h>
#include <linux/fuse.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static size_t copy(const struct iovec *iov, unsigned n, void *data, size_t size, bool out)
{
    size_t done = 0;
    for (unsigned i = 0; i < n && done < size; i++) {
        size_t part = MIN(iov[i].iov_len, size - done);
        memcpy(out ? iov[i].iov_base : (uint8_t *)data + done,
               out ? (uint8_t *)data + done : iov[i].iov_base, part);
        done += part;
    }
    return done;
}

static int64_t refuse(void *opaque, VhostRequest *r)
{
    struct fuse_in_header in;
    struct fuse_out_header out = { .len = sizeof out, .error = -ENOTCONN };
    if (copy(r->chain.out, r->chain.out_count, &in, sizeof in, false) < sizeof in ||
        in.opcode == FUSE_FORGET || in.opcode == FUSE_BATCH_FORGET || in.opcode == FUSE_INTERRUPT)
        return 0;
    out.unique = in.unique;
    return (int64_t)copy(r->chain.in, r->chain.in_count, &out, sizeof out, true);
}

static void nothing(void *opaque)
{
}

static void say(void *opaque, const char *line)
{
    voice_warn(&((const Tool *)opaque)->voice, "%s", line);
}

/* All descriptors but standard error and these: the listening socket is the next server's. */
static void close_others(int a, int b)
{
    unsigned low = (unsigned)MIN(a, b), high = (unsigned)MAX(a, b);
    dup2(2, 0);
    dup2(2, 1);
    if (low > 3)
        syscall(SYS_close_range, 3, low - 1, 0);
    if (high > low + 1)
        syscall(SYS_close_range, low + 1, high - 1, 0);
    syscall(SYS_close_range, high + 1, ~0u, 0);
}

int keeper_start(Tool *t, unsigned queues, int front)
{
    int pair[2];
    if (t->inherited || t->no_keeper || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
        return front;
    pid_t pid = fork();
    if (pid < 0) {
        close(pair[0]);
        close(pair[1]);
        return front;
    }
    if (pid) {
        close(pair[1]);
        close(front);
        return pair[0];
    }
    prctl(PR_SET_NAME, "fsd-keeper");
    close_others(front, pair[1]);
    VhostDevice device = { .name = "gone",
                           .queues = queues,
                           .handle = refuse,
                           .say = say,
                           .reset = nothing,
                           .opaque = t };
    vhost_relay(front, pair[1], &device);
    _exit(0);
}
