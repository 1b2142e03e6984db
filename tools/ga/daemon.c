/* SPDX-License-Identifier: MIT */
/* Going on in the background, and the file with our process ID, locked as long as we live. */
#include "ga.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The file, open and locked, or -1 with an error. */
static int lock_pid_file(const char *path, GError **error)
{
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return fail_errno(error, errno, "%s", path), -1;
    /* of the open file, so that it is the child's, too */
    if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
        return fd;
    int err = errno;
    close(fd);
    if (err == EAGAIN || err == EACCES)
        fail(error, "%s: an agent is running already", path);
    else
        fail_errno(error, err, "%s", path);
    return -1;
}

static bool write_pid(int fd, const char *path, GError **error)
{
    g_autofree char *text = g_strdup_printf("%d\n", (int)getpid());
    if (ftruncate(fd, 0) == 0 && pwrite(fd, text, strlen(text), 0) == (ssize_t)strlen(text))
        return true;
    return fail_errno(error, errno, "%s", path);
}

/* The parent ends when the child is ready, with the child's success. */
static bool go_on_in_child(int pid_fd, const char *path, GError **error)
{
    int ready[2];
    if (pipe2(ready, O_CLOEXEC) < 0)
        return fail_errno(error, errno, "pipe");
    pid_t pid = fork();
    if (pid < 0)
        return fail_errno(error, errno, "fork");
    if (pid > 0) {
        char byte;
        close(ready[1]);
        ssize_t n = read(ready[0], &byte, 1);
        _exit(n == 1 ? GA_OK : GA_FAILED);
    }
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (setsid() < 0 || null < 0 || chdir("/") < 0)
        return fail_errno(error, errno, "going into the background");
    umask(S_IRWXG | S_IRWXO);
    if (!write_pid(pid_fd, path, error))
        return false;
    for (int fd = 0; fd < 3; fd++)
        dup2(null, fd);
    close(null);
    return write(ready[1], "r", 1) == 1 || fail_errno(error, errno, "pipe");
}

bool ga_daemonize(Ga *ga, GError **error)
{
    const GaOptions *o = &ga->options;
    const char *path = o->pid_file ? o->pid_file : GA_PID_FILE;
    if (!o->daemonize && !o->pid_file)
        return true;
    int fd = lock_pid_file(path, error); /* open as long as we live */
    if (fd < 0)
        return false;
    ga->pid_file = path;
    return o->daemonize ? go_on_in_child(fd, path, error) : write_pid(fd, path, error);
}

void ga_daemon_end(Ga *ga)
{
    if (ga->pid_file)
        unlink(ga->pid_file);
}
