/* SPDX-License-Identifier: MIT */
/* The side that puts descriptors; the other is a service manager's, or lib/base/captive. A keeper
 * that takes nothing for SEND_SECONDS is given up, so that it cannot stop us for ever. */
#include "base/fdstore.h"

#include "base/error.h"
#include "base/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { SEND_SECONDS = 20, FDSTORE_MOST = 65536, NAME_MOST = 255 };

struct FdStore {
    int fd;
    unsigned most;
    _Atomic unsigned count; /* with the keeper */
    atomic_bool gone;
    pthread_mutex_t lock;   /* of back */
    GHashTable *back;       /* name -> descriptor + 1 */
};

static bool address_of(const char *path, struct sockaddr_un *addr, socklen_t *len, GError **error)
{
    size_t n = strlen(path);
    *addr = (struct sockaddr_un){ .sun_family = AF_UNIX };
    if ((*path != '/' && *path != '@') || n < 2 || n >= sizeof addr->sun_path)
        return fail(error, "NOTIFY_SOCKET=%s: want a path, or @ and a name", path);
    memcpy(addr->sun_path, path, n);
    *len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + (*path == '/'));
    if (*path == '@')
        addr->sun_path[0] = 0;
    return true;
}

FdStore *fdstore_new(const char *path, unsigned most, GError **error)
{
    struct sockaddr_un addr;
    socklen_t len = 0;
    if (!address_of(path, &addr, &len, error))
        return NULL;
    FdStore *s = g_new0(FdStore, 1);
    s->most = most;
    s->back = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    pthread_mutex_init(&s->lock, NULL);
    struct timeval wait = { .tv_sec = SEND_SECONDS };
    s->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (s->fd >= 0 && !setsockopt(s->fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait) &&
        !connect(s->fd, (struct sockaddr *)&addr, len))
        return s;
    fail_errno(error, errno, "NOTIFY_SOCKET=%s", path);
    fdstore_free(s);
    return NULL;
}

void fdstore_free(FdStore *s)
{
    GHashTableIter i;
    gpointer fd;
    if (!s)
        return;
    g_hash_table_iter_init(&i, s->back);
    while (g_hash_table_iter_next(&i, NULL, &fd))
        close(GPOINTER_TO_INT(fd) - 1);
    g_hash_table_destroy(s->back);
    pthread_mutex_destroy(&s->lock);
    if (s->fd >= 0)
        close(s->fd);
    g_free(s);
}

/* ---- What came back ------------------------------------------------------------ */

void fdstore_came(FdStore *s, const char *name, int fd)
{
    gpointer old;
    pthread_mutex_lock(&s->lock);
    atomic_fetch_add(&s->count, 1);
    /* A name twice: the keeper was killed in between, or is none of those that we know. The last
     * one holds. */
    if (g_hash_table_lookup_extended(s->back, name, NULL, &old))
        close(GPOINTER_TO_INT(old) - 1);
    g_hash_table_insert(s->back, g_strdup(name), GINT_TO_POINTER(fd + 1));
    pthread_mutex_unlock(&s->lock);
}

int fdstore_take(FdStore *s, const char *name)
{
    gpointer fd = NULL;
    pthread_mutex_lock(&s->lock);
    if (g_hash_table_lookup_extended(s->back, name, NULL, &fd))
        g_hash_table_remove(s->back, name);
    pthread_mutex_unlock(&s->lock);
    return GPOINTER_TO_INT(fd) - 1;
}

char *fdstore_left(FdStore *s)
{
    GHashTableIter i;
    gpointer name = NULL;
    pthread_mutex_lock(&s->lock);
    g_hash_table_iter_init(&i, s->back);
    char *copy = g_hash_table_iter_next(&i, &name, NULL) ? g_strdup(name) : NULL;
    pthread_mutex_unlock(&s->lock);
    return copy;
}

/* ---- Messages -------------------------------------------------------------------- */

static int send_text(FdStore *s, const char *text, int fd)
{
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = { 0 };
    struct iovec iov = { (char *)text, strlen(text) };
    struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
    if (fd >= 0) {
        m.msg_control = control.bytes;
        m.msg_controllen = sizeof control.bytes;
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        *c = (struct cmsghdr){ .cmsg_level = SOL_SOCKET,
                               .cmsg_type = SCM_RIGHTS,
                               .cmsg_len = CMSG_LEN(sizeof fd) };
        memcpy(CMSG_DATA(c), &fd, sizeof fd);
    }
    ssize_t n;
    do
        n = sendmsg(s->fd, &m, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n >= 0)
        return 0;
    int e = errno;
    if (e != ETOOMANYREFS) /* too many of ours are on their way: others may get through later */
        atomic_store(&s->gone, true);
    return -e;
}

int fdstore_put(FdStore *s, const char *name, int fd)
{
    char text[NAME_MOST + 64];
    if (atomic_load(&s->gone))
        return -ENOTCONN;
    if (atomic_fetch_add(&s->count, 1) >= s->most) {
        atomic_fetch_sub(&s->count, 1);
        return -ENOSPC;
    }
    g_assert(strlen(name) <= NAME_MOST);
    /* No watching for hang-ups: files are always ready, which would have the keeper drop them. */
    snprintf(text, sizeof text, "FDSTORE=1\nFDNAME=%s\nFDPOLL=0", name);
    int e = send_text(s, text, fd);
    if (e)
        atomic_fetch_sub(&s->count, 1);
    return e;
}

void fdstore_remove(FdStore *s, const char *name)
{
    char text[NAME_MOST + 64];
    g_assert(strlen(name) <= NAME_MOST);
    snprintf(text, sizeof text, "FDSTOREREMOVE=1\nFDNAME=%s", name);
    if (!atomic_load(&s->gone) && !send_text(s, text, -1))
        atomic_fetch_sub(&s->count, 1);
}

void fdstore_tell(FdStore *s, const char *line)
{
    if (!atomic_load(&s->gone))
        send_text(s, line, -1);
}

/* ---- The environment ---------------------------------------------------------------- */

/* Takes ours, which are the last ones, and leaves variables that speak of the rest. */
static bool take_back(FdStore *s, const char *prefix, GError **error)
{
    guint64 pid, n;
    const char *names = g_getenv("LISTEN_FDNAMES"), *count = g_getenv("LISTEN_FDS"),
               *whose = g_getenv("LISTEN_PID");
    if (!names || !count || !whose ||
        !g_ascii_string_to_unsigned(whose, 10, 1, G_MAXINT, &pid, NULL) || (pid_t)pid != getpid() ||
        !g_ascii_string_to_unsigned(count, 10, 1, G_MAXINT / 2, &n, NULL))
        return true; /* none, or wrong, which socket_inherited says */
    g_auto(GStrv) words = g_strsplit(names, ":", -1);
    if (g_strv_length(words) != n)
        return true;
    guint64 keep = n;
    while (keep && g_str_has_prefix(words[keep - 1], prefix))
        keep--;
    for (guint64 i = keep; i < n; i++) {
        int fd = SOCKET_INHERITED_FIRST + (int)i;
        if (fcntl(fd, F_SETFD, FD_CLOEXEC))
            return fail_errno(error, errno, "LISTEN_FDNAMES: descriptor %d, %s", fd, words[i]);
        fdstore_came(s, words[i], fd);
        g_clear_pointer(&words[i], g_free);
    }
    g_autofree char *rest = g_strjoinv(":", words), *left = g_strdup_printf("%u", (unsigned)keep);
    g_setenv("LISTEN_FDNAMES", rest, true);
    g_setenv("LISTEN_FDS", left, true);
    if (!keep)
        g_unsetenv("LISTEN_FDS");
    return true;
}

FdStore *fdstore_open(const char *prefix, GError **error)
{
    guint64 most = FDSTORE_DEFAULT;
    g_autofree char *path = g_strdup(g_getenv("NOTIFY_SOCKET")),
                    *fits = g_strdup(g_getenv("FDSTORE"));
    g_unsetenv("NOTIFY_SOCKET"); /* those whom we start are not who this is for */
    g_unsetenv("FDSTORE");
    if (!path ||
        (fits && (!g_ascii_string_to_unsigned(fits, 10, 0, FDSTORE_MOST, &most, NULL) || !most)))
        return NULL;
    FdStore *s = fdstore_new(path, (unsigned)most, error);
    if (s && take_back(s, prefix, error))
        return s;
    fdstore_free(s);
    return NULL;
}
