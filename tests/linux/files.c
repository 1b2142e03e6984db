/* SPDX-License-Identifier: MIT */
/* Files, their attributes and their descriptors, in the current directory. */
#include "say.h"

#include <dirent.h>
#include <linux/close_range.h>
#include <linux/stat.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/xattr.h>

static void show_stat(const char *what, const struct stat *s)
{
    printf("%s: mode %o links %lu uid %u gid %u rdev %u:%u size %ld block %ld blocks %ld "
           "times %ld.%09ld %ld.%09ld\n",
           what, s->st_mode, (unsigned long)s->st_nlink, s->st_uid, s->st_gid, major(s->st_rdev),
           minor(s->st_rdev), (long)s->st_size, (long)s->st_blksize, (long)s->st_blocks,
           (long)s->st_atim.tv_sec, (long)s->st_atim.tv_nsec, (long)s->st_mtim.tv_sec,
           (long)s->st_mtim.tv_nsec);
}

static void attributes(void)
{
    struct stat s, s2;
    struct timespec times[2] = { { 1000000000, 123456789 }, { -5, 987654321 } };
    int fd = open("file", O_RDWR | O_CREAT | O_EXCL, 0640);
    say("write", write(fd, "hello, world\n", 13));
    say("again", open("file", O_CREAT | O_EXCL, 0600));
    say("utimensat", utimensat(AT_FDCWD, "file", times, 0));
    say("fstat", fstat(fd, &s));
    show_stat("file", &s);
    say("link", link("file", "link"));
    say("symlink", symlink("file", "symlink"));
    stat("symlink", &s2);
    printf("same file: %d %d\n", s.st_ino == s2.st_ino, s.st_dev == s2.st_dev);
    show_stat("symlink", &s2);
    lstat("symlink", &s2);
    printf("link: %o %ld\n", s2.st_mode, (long)s2.st_size);
    say("mknod", mknod("fifo", S_IFIFO | 0600, 0));
    stat("fifo", &s);
    printf("fifo: %o\n", s.st_mode);
    stat("/dev/null", &s);
    printf("null: %o %u:%u\n", s.st_mode, major(s.st_rdev), minor(s.st_rdev));
    say("no file", stat("missing", &s));
    say("bad address", syscall(SYS_newfstatat, AT_FDCWD, "file", (void *)16, 0));
    say("bad path", syscall(SYS_newfstatat, AT_FDCWD, (void *)16, &s, 0));
    say("empty path", syscall(SYS_newfstatat, fd, "", &s, AT_EMPTY_PATH));
    say("chmod", fchmodat(AT_FDCWD, "file", 0604, 0));
    say("access", faccessat(AT_FDCWD, "file", R_OK, 0));
    say("truncate", truncate("file", 100000));
    struct statx x;
    say("statx", statx(AT_FDCWD, "file", 0, STATX_BASIC_STATS, &x));
    printf("statx: %x mode %o size %llu atime %lld.%u\n", x.stx_mask & STATX_BASIC_STATS, x.stx_mode,
           (unsigned long long)x.stx_size, (long long)x.stx_atime.tv_sec, x.stx_atime.tv_nsec);
    struct statfs f;
    say("statfs", statfs(".", &f));
    printf("statfs: %lx %ld\n", (long)f.f_type, (long)f.f_bsize);
    close(fd);
}

static void extended(void)
{
    char value[64];
    say("setxattr", setxattr("file", "user.color", "blue", 4, XATTR_CREATE));
    say("again", setxattr("file", "user.color", "red", 3, XATTR_CREATE));
    ssize_t n = getxattr("file", "user.color", value, sizeof value);
    say("getxattr", n);
    if (n > 0)
        say_bytes("value", value, n);
    say("range", getxattr("file", "user.color", value, 2));
    n = listxattr("file", value, sizeof value);
    say("listxattr", n);
    say("removexattr", removexattr("file", "user.color"));
    say("lgetxattr", lgetxattr("symlink", "user.color", value, sizeof value));
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void directories(void)
{
    char *names[64];
    unsigned n = 0;
    say("mkdir", mkdir("dir", 0755));
    int dir = open("dir", O_RDONLY | O_DIRECTORY);
    /* flags whose numbers differ between ISAs */
    close(open("plain", O_CREAT | O_WRONLY, 0600));
    say("symlink", symlink("plain", "link to plain"));
    say("directory of a file", open("plain", O_RDONLY | O_DIRECTORY));
    say("nofollow", open("link to plain", O_RDONLY | O_NOFOLLOW));
    int flags = fcntl(dir, F_GETFL);
    printf("kept: %d %d %d\n", !!(flags & O_DIRECTORY), !!(flags & O_NOFOLLOW), !!(flags & O_DIRECT));
    unlink("plain");
    unlink("link to plain");
    for (int i = 0; i < 20; i++) {
        char name[16];
        snprintf(name, sizeof name, "f%d", i);
        close(openat(dir, name, O_CREAT | O_WRONLY, 0600));
    }
    say("renameat2", syscall(SYS_renameat2, dir, "f1", dir, "f2", 1 /* RENAME_NOREPLACE */));
    say("unlinkat", unlinkat(dir, "f3", 0));
    say("rmdir", rmdir("dir"));
    DIR *d = fdopendir(dir);
    for (struct dirent *e; (e = readdir(d));) {
        names[n] = malloc(300);
        snprintf(names[n++], 300, "%s(%d)", e->d_name, e->d_type);
    }
    qsort(names, n, sizeof *names, by_name);
    for (unsigned i = 0; i < n; i++)
        printf("%s ", names[i]);
    printf("\n");
    closedir(d);
    char link[100];
    ssize_t size = readlink("symlink", link, sizeof link);
    say_bytes("readlink", link, size);
    say("short", readlink("symlink", link, 2));
}

static void contents(void)
{
    char bytes[64] = "";
    int in = open("file", O_RDWR), out = open("copy", O_RDWR | O_CREAT, 0600);
    struct iovec io[3] = { { "one", 3 }, { "two", 3 }, { "three", 5 } };
    say("pwritev", pwritev(in, io, 3, 5));
    say("preadv2", preadv2(in, io, 0, 0, 0));
    say("pread", pread(in, bytes, 20, 0));
    say_bytes("bytes", bytes, 20);
    say("fallocate", fallocate(out, 0, 0, 8192));
    say("copy_file_range", copy_file_range(in, NULL, out, NULL, 50000, 0));
    off_t at = 3;
    say("sendfile", sendfile(out, in, &at, 100));
    printf("offset: %ld\n", (long)at);
    say("lseek", lseek(out, 0, SEEK_CUR));
    say("data", lseek(out, 0, SEEK_DATA));
    say("fadvise", posix_fadvise(out, 0, 0, POSIX_FADV_DONTNEED));
    say("flock", flock(in, LOCK_EX | LOCK_NB));
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 10, .l_len = 5 };
    say("setlk", fcntl(out, F_SETLK, &lock));
    lock.l_pid = 0;
    lock.l_type = F_WRLCK;
    say("ofd", fcntl(out, F_OFD_GETLK, &lock));
    printf("lock: %d %ld %ld\n", lock.l_type, (long)lock.l_start, (long)lock.l_len);
    int p[2];
    say("pipe2", pipe2(p, O_NONBLOCK | O_CLOEXEC));
    printf("flags: %x %x\n", fcntl(p[0], F_GETFL), fcntl(p[1], F_GETFD));
    say("empty", read(p[0], bytes, 1));
    lseek(in, 0, SEEK_SET);
    say("splice", splice(in, NULL, p[1], NULL, 20, 0));
    say("tee", tee(p[0], p[1], 5, SPLICE_F_NONBLOCK));
    say("vmsplice", vmsplice(p[1], io, 2, 0));
    say("read", read(p[0], bytes, sizeof bytes));
    say_bytes("bytes", bytes, 26);
    say("size", fcntl(p[0], F_SETPIPE_SZ, 65536));
    static char many[5000];
    for (int n = 500; n < 1100; n++) { /* every result is one, whatever it looks like */
        if (write(p[1], many, n) != n || read(p[0], many, n) != n)
            say("size", n);
    }
    say("large", write(p[1], many, 4096) + read(p[0], many, 5000));
    close(p[0]), close(p[1]), close(in), close(out);
}

static void descriptors(void)
{
    int fd = open("file", O_RDONLY);
    say("dup", dup(fd));
    say("dup3", dup3(fd, 50, O_CLOEXEC));
    say("same", dup3(fd, fd, 0));
    say("dupfd", fcntl(fd, F_DUPFD, 60));
    say("close_range", close_range(40, 70, 0));
    say("closed", close(50));
    say("cloexec", close_range(3, ~0u, CLOSE_RANGE_CLOEXEC));
    say("getfd", fcntl(fd, F_GETFD));
    say("bad flags", close_range(1, 2, 64));
    say("bad range", close_range(5, 4, 0));
    say("all", close_range(3, ~0u, 0));
    say("open", open("file", O_RDONLY));
    int top = 0;
    for (int i = 0; i < 4096; i++)
        top += close(i > 2 ? i : -1) == 0;
    printf("%d were open\n", top);
    say("dup high", dup2(1, 1023));
    say("dup higher", dup2(1, 1022));
    say("close high", close(1023));
    say("close higher", close(1022));
    say("dup high again", dup2(1, 1023));
    struct rlimit { unsigned long soft, hard; } limit;
    syscall(SYS_prlimit64, 0, 7, NULL, &limit);
    say("bad number", dup2(1, (int)limit.soft) < 0 ? 0 : 1);
    int m = memfd_create("sealed", MFD_ALLOW_SEALING);
    say("memfd", write(m, "data", 4));
    say("seal", fcntl(m, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK));
    say("sealed", write(m, "more", 4));
    say("seals", fcntl(m, F_GET_SEALS));
    say("shrink", ftruncate(m, 1));
    uint64_t how[3] = { O_RDONLY, 0, 8 /* RESOLVE_BENEATH */ };
    say("openat2", syscall(SYS_openat2, AT_FDCWD, "file", how, sizeof how));
    say("beneath", syscall(SYS_openat2, AT_FDCWD, "/etc/passwd", how, sizeof how));
}

int main(void)
{
    umask(022);
    attributes();
    extended();
    directories();
    contents();
    descriptors();
    return 0;
}
