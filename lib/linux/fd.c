/* SPDX-License-Identifier: MIT */
/*
 * Descriptors of our own in a process that is the guest's: the executable, to be started again, and the
 * log. The guest neither closes them nor sees them; a number it asks for is given up.
 */
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"
#include "linux/fd_priv.h"

/* A higher number costs each fork the copy of a longer table. */
enum { HIGHEST = 1024 };

unsigned fd_own(const LinuxProcess *p, int fds[OWN_FDS])
{
    unsigned n = 0;
    int log = log_descriptor();
    if (p->self_fd >= 0)
        fds[n++] = p->self_fd;
    if (log > STDERR_FILENO)
        fds[n++] = log;
    if (n == 2 && fds[0] > fds[1]) {
        int first = fds[1];
        fds[1] = fds[0];
        fds[0] = first;
    }
    return n;
}

bool fd_is_own(const LinuxProcess *p, int fd)
{
    return G_UNLIKELY(fd > STDERR_FILENO && (fd == p->self_fd || fd == log_descriptor()));
}

/* A copy of fd at a free number near the top, not inherited by other programs; -errno. */
static int copy_high(int fd, int not)
{
    struct rlimit limit;
    int top = HIGHEST;
    if (!getrlimit(RLIMIT_NOFILE, &limit) && limit.rlim_cur < HIGHEST)
        top = (int)limit.rlim_cur;
    for (int least = top - 1; least > STDERR_FILENO; least--) {
        if (least == not)
            continue;
        int copy = fcntl(fd, F_DUPFD_CLOEXEC, least);
        if (copy >= 0 && copy != not)
            return copy;
        if (copy >= 0)
            close(copy);
        else if (errno != EMFILE)
            break;
    }
    return -errno;
}

void fds_start(LinuxProcess *p)
{
    int copy = p->self_fd < 0 ? -1 : copy_high(p->self_fd, -1);
    if (copy >= 0) {
        close(p->self_fd);
        p->self_fd = copy;
    }
    if (!log_enabled(UINT32_MAX))
        return;
    copy = copy_high(log_descriptor(), -1); /* standard error may be closed by the guest */
    if (copy >= 0)
        log_set_descriptor(copy);
}

int fd_give_way(LinuxThread *t, int fd)
{
    LinuxProcess *p = t->process;
    if (!fd_is_own(p, fd))
        return 0;
    if (t->vfork_child)
        return -EBADF; /* its parent has the same variable but other descriptors */
    g_mutex_lock(&p->lock);
    int copy = copy_high(fd, fd);
    if (copy >= 0 && fd == p->self_fd) {
        close(fd);
        p->self_fd = copy;
    } else if (copy >= 0) {
        log_set_descriptor(copy);
    }
    g_mutex_unlock(&p->lock);
    return copy < 0 ? copy : 0;
}
