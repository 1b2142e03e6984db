/* SPDX-License-Identifier: MIT */
/* Descriptors kept for another process. */
#include "base/fdkeep.h"

#include "base/error.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    AT_ONCE = 253, /* descriptors beside a datagram: what the kernel allows (SCM_MAX_FD) */
    TEXT = 4096,
    NAME = 255,
    NAMES = 100000, /* bytes in all: they become one variable, which the kernel limits */
};

typedef struct {
    int fd;
    char *name;
} Kept;

struct FdKeep {
    int socket;
    unsigned most;
    size_t name_bytes;
    GArray *kept; /* of Kept */
};

static void kept_clear(gpointer opaque)
{
    Kept *kept = opaque;
    close(kept->fd);
    g_free(kept->name);
}

FdKeep *fd_keep_new(const char *path, unsigned most, GError **error)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof a.sun_path)
        return fail(error, "%s: the path is too long for a socket", path), NULL;
    memcpy(a.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a)) {
        fail_errno(error, errno, "%s", path);
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    FdKeep *k = g_new0(FdKeep, 1);
    *k = (FdKeep){ .socket = fd, .most = most, .kept = g_array_new(FALSE, FALSE, sizeof(Kept)) };
    g_array_set_clear_func(k->kept, kept_clear);
    return k;
}

void fd_keep_free(FdKeep *k)
{
    if (!k)
        return;
    close(k->socket);
    g_array_unref(k->kept);
    g_free(k);
}

int fd_keep_socket(const FdKeep *k)
{
    return k->socket;
}

/* ---- Datagrams ----------------------------------------------------------------- */

typedef struct {
    int fds[AT_ONCE];
    unsigned n;
} Beside;

static void take_fds(struct msghdr *msg, Beside *b)
{
    b->n = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        g_assert(b->n + n <= AT_ONCE);
        memcpy(b->fds + b->n, CMSG_DATA(c), n * sizeof(int));
        b->n += (unsigned)n;
    }
}

/* A colon would part it from the next; a manager calls what has no name "stored". */
static bool good_name(const char *name)
{
    size_t n = strlen(name);
    return n && n <= NAME && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789.-") == n;
}

static bool keep(FdKeep *k, int fd, const char *name)
{
    Kept kept = { fd, g_strdup(name) };
    if (k->kept->len >= k->most || k->name_bytes + strlen(name) + 1 > NAMES) {
        kept_clear(&kept);
        return false;
    }
    k->name_bytes += strlen(name) + 1;
    g_array_append_val(k->kept, kept);
    return true;
}

static void let_go(FdKeep *k, const char *name)
{
    for (guint i = k->kept->len; i-- > 0;) {
        if (strcmp(fd_keep_name(k, i), name))
            continue;
        k->name_bytes -= strlen(name) + 1;
        g_array_remove_index(k->kept, i);
    }
}

/* The descriptors are dealt with in any case. */
static unsigned act(FdKeep *k, char *text, const Beside *b)
{
    const char *name = "stored";
    bool store = false, remove = false;
    unsigned lost = 0;
    for (char *line = text, *next; line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        store = store || !strcmp(line, "FDSTORE=1");
        remove = remove || !strcmp(line, "FDSTOREREMOVE=1");
        if (g_str_has_prefix(line, "FDNAME=") && good_name(line + 7))
            name = line + 7;
    }
    if (remove)
        let_go(k, name);
    for (unsigned i = 0; i < b->n; i++) {
        if (store)
            lost += !keep(k, b->fds[i], name);
        else
            close(b->fds[i]);
    }
    return lost;
}

unsigned fd_keep_receive(FdKeep *k)
{
    unsigned lost = 0;
    for (;;) {
        char text[TEXT + 1];
        Beside beside;
        union {
            struct cmsghdr align;
            char room[CMSG_SPACE(AT_ONCE * sizeof(int))];
        } control;
        struct iovec iov = { text, TEXT };
        struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
                              .msg_controllen = sizeof control };
        ssize_t n = recvmsg(k->socket, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return lost;
        text[n] = '\0';
        take_fds(&msg, &beside);
        lost += act(k, text, &beside) +
                !!(msg.msg_flags & MSG_CTRUNC); /* we may have no more ourselves */
    }
}

unsigned fd_keep_count(const FdKeep *k)
{
    return k->kept->len;
}

int fd_keep_fd(const FdKeep *k, unsigned i)
{
    return g_array_index(k->kept, Kept, i).fd;
}

const char *fd_keep_name(const FdKeep *k, unsigned i)
{
    return g_array_index(k->kept, Kept, i).name;
}
