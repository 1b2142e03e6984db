/* SPDX-License-Identifier: MIT */
/*
 * What tests/soak/fs-locks does in a guest; KIND is posix or flock:
 *   fs-locks count KIND FILE N     N times: lock, add one to the number in FILE, unlock
 *   fs-locks hold KIND FILE        lock, say so by FILE.held, keep it until there is FILE.release
 *   fs-locks wait KIND FILE        say so by FILE.waiting, wait for the lock, say so by FILE.got
 *   fs-locks ranges FILE           bytes 100-199 write, 300-399 read, kept until FILE.release, told
 * by FILE.held fs-locks probe FILE            what somebody else finds there then
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static void die(const char *what)
{
    printf("fs-locks: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int range(int fd, int command, short type, off_t start, off_t length)
{
    struct flock l = { .l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length };
    return fcntl(fd, command, &l);
}

static int lock(int fd, int posix, int how)
{
    if (!posix)
        return flock(fd, how);
    short type = how & LOCK_EX ? F_WRLCK : how & LOCK_SH ? F_RDLCK : F_UNLCK;
    return range(fd, how & LOCK_NB ? F_SETLK : F_SETLKW, type, 0, 0);
}

static void say(const char *file, const char *what)
{
    char path[4096];
    snprintf(path, sizeof path, "%s.%s", file, what);
    int fd = open(path, O_CREAT | O_WRONLY, 0666);
    if (fd < 0)
        die(path);
    close(fd);
}

static void until(const char *file, const char *what)
{
    char path[4096];
    snprintf(path, sizeof path, "%s.%s", file, what);
    while (access(path, F_OK))
        usleep(20000);
}

static int count(int fd, int posix, int n)
{
    char text[32];
    for (int i = 0; i < n; i++) {
        if (lock(fd, posix, LOCK_EX))
            die("lock");
        memset(text, 0, sizeof text);
        if (pread(fd, text, sizeof text - 1, 0) < 0)
            die("read");
        int length = snprintf(text, sizeof text, "%d\n", atoi(text) + 1);
        if (i % 8 == 0)
            usleep(1000); /* the others come to wait */
        if (pwrite(fd, text, (size_t)length, 0) != length)
            die("write");
        if (lock(fd, posix, LOCK_UN))
            die("unlock");
    }
    return 0;
}

static const char *try(int fd, short type, off_t start, off_t length)
{
    if (!range(fd, F_SETLK, type, start, length)) {
        range(fd, F_SETLK, F_UNLCK, start, length);
        return "free";
    }
    return errno == EAGAIN || errno == EACCES ? "taken" : strerror(errno);
}

static int probe(int fd)
{
    struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 50, .l_len = 1000 };
    if (fcntl(fd, F_GETLK, &l))
        die("F_GETLK");
    printf("first in the way: %s %lld+%lld\n",
           l.l_type == F_WRLCK   ? "write"
           : l.l_type == F_RDLCK ? "read"
                                 : "none",
           (long long)l.l_start, (long long)l.l_len);
    printf("below %s, in it %s, to read %s, one byte %s, next %s\n", try(fd, F_WRLCK, 0, 100),
           try(fd, F_WRLCK, 150, 10), try(fd, F_RDLCK, 150, 10), try(fd, F_RDLCK, 199, 1),
           try(fd, F_WRLCK, 200, 100));
    printf("where others read: to read %s, to write %s, to the end %s\n",
           try(fd, F_RDLCK, 300, 100), try(fd, F_WRLCK, 399, 1), try(fd, F_WRLCK, 400, 0));
    printf("flock %s\n", flock(fd, LOCK_EX | LOCK_NB) ? "taken" : "free");
    return 0;
}

int main(int argc, char **argv)
{
    const char *what = argc > 2 ? argv[1] : "", *file = argv[argc > 3 ? 3 : 2];
    int posix = argc > 3 && !strcmp(argv[2], "posix");
    int fd = open(file ? file : "", O_RDWR | O_CREAT, 0666);
    if (fd < 0)
        die(file ? file : "no file");
    if (!strcmp(what, "count"))
        return count(fd, posix, atoi(argv[4]));
    if (!strcmp(what, "probe"))
        return probe(fd);
    if (!strcmp(what, "ranges")) {
        if (range(fd, F_SETLK, F_WRLCK, 100, 100) || range(fd, F_SETLK, F_RDLCK, 300, 100))
            die("ranges");
        say(file, "held");
        until(file, "release");
        return 0;
    }
    if (!strcmp(what, "wait"))
        say(file, "waiting");
    if (lock(fd, posix, LOCK_EX))
        die("lock");
    say(file, !strcmp(what, "wait") ? "got" : "held");
    if (!strcmp(what, "hold"))
        until(file, "release");
    return 0;
}
