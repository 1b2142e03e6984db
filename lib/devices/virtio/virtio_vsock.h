/* SPDX-License-Identifier: MIT */
/*
 * A virtio-vsock device from within. virtio_vsock.c has the device and the packets, vsock_stream.c the
 * streams' ends on the host. All of a Vsock is under its lock but for what start sets once.
 */
#pragma once

#include "devices/virtio/virtio_props.h"

#include <linux/virtio_vsock.h>

enum {
    VSOCK_HEADER = 44, /* bytes of a packet's header */
    VSOCK_HOST_CID = 2,
    VSOCK_BUFFER = 262144, /* bytes of the guest's that a stream holds until its socket takes them */
    VSOCK_STREAMS = 1024,
    VSOCK_LINE = 32,
    VSOCK_STRAYS = 64, /* resets that wait, for streams that are not there */
};

/* What a stream has to tell the guest, once it has a buffer. */
enum { TELL_REQUEST = 1, TELL_RESPONSE = 2, TELL_CREDIT = 4, TELL_SHUTDOWN = 8, TELL_RST = 16 };

typedef enum {
    VSOCK_GREETING, /* a host program has connected, and is to say "CONNECT PORT\n" */
    VSOCK_ASKING,   /* the guest is asked */
    VSOCK_OPEN,
    VSOCK_CLOSED,   /* only what it has to tell is left */
} VsockState;

typedef struct Vsock Vsock;

typedef struct {
    Vsock *vsock;
    uint32_t host_port, guest_port;
    VsockState state;
    int fd; /* -1: closed */
    uint32_t events; /* what epoll waits for; 0: it is not in there */
    unsigned tell;
    char line[VSOCK_LINE];
    unsigned line_len;
    uint32_t peer_alloc, peer_fwd, sent; /* the guest's room, and bytes sent into it */
    uint32_t fwd, fwd_told;              /* bytes of the guest's that the socket has taken */
    GByteArray *out;                     /* those it has not */
    bool guest_done; /* the guest sends no more */
    bool host_done;  /* nor does the host program */
} VsockStream;

struct Vsock {
    Device dev;
    VirtioDevice v;
    VirtioProps props;
    uint64_t cid;
    char *path;

    int listen_fd, epoll_fd, wake_fd;
    pthread_t thread;
    bool has_thread;

    pthread_mutex_t lock;
    bool end, starved; /* starved: the guest has no buffer for what there is to tell */
    GHashTable *streams; /* by both ports */
    GPtrArray *greeting; /* streams that have no guest's port yet */
    uint32_t next_port;
    uint64_t strays[VSOCK_STRAYS]; /* keys of streams that are to be reset */
    unsigned stray_count;
};

static inline uint64_t vsock_key(uint32_t host_port, uint32_t guest_port)
{
    return (uint64_t)host_port << 32 | guest_port;
}

/* ---- virtio_vsock.c: to the guest; on the I/O thread, under the lock */
/* Whatever waits, as far as there are buffers. */
void vsock_pump(Vsock *s);
/* A packet with data read from the stream's socket; false when there is no buffer. */
bool vsock_send_data(Vsock *s, VsockStream *c);
/* Has the I/O thread look. Any thread. */
void vsock_wake(Vsock *s);

/* ---- vsock_stream.c: under the lock */
bool vsock_listen(Vsock *s, GError **error);
/* The I/O thread's body. */
void *vsock_serve(void *opaque);
/* The stream that the guest asks for; NULL: nobody is there. */
VsockStream *vsock_connect(Vsock *s, uint32_t host_port, uint32_t guest_port);
/* Bytes the guest may be sent. */
uint32_t vsock_credit(const VsockStream *c);
/* What epoll waits for, as things are now. */
void vsock_arm(VsockStream *c);
/* Bytes from the guest, in pieces; false: more than there is room for. */
bool vsock_take(VsockStream *c, const struct iovec *iov, unsigned count);
/* The guest has taken up what the host program asked for. */
void vsock_opened(VsockStream *c);
/* No more bytes come from the guest: told to the socket when it has all. */
void vsock_guest_done(VsockStream *c);
/* The socket is closed; what is to be told still is. */
void vsock_close(VsockStream *c);
void vsock_free_stream(gpointer stream);
