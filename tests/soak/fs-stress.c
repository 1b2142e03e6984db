/* SPDX-License-Identifier: MIT */
/*
 * A file system at work, with verification: fs-stress DIR SEED STEPS. One file is written, read, mapped, cut, extended, punched and
 * copied at random beside a copy in memory (as fsx does); processes make, rename, link and remove names in parallel, each
 * knowing what it has; attributes, holes and locks are looked at. What comes out depends on SEED and STEPS alone: the last line is a sum
 * to compare with that of another file system. Exit 1 and a line at the first difference.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { MAX = 1 << 18, PROCESSES = 4, NAMES = 40 };

static uint64_t state, sum = UINT64_C(14695981039346656037);

static void die(const char *fmt, ...)
{
    va_list ap;
    int e = errno;
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    printf(" (%s)\n", strerror(e));
    exit(1);
}

static uint64_t rnd(uint64_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % below;
}

static void add(const void *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sum = (sum ^ ((const uint8_t *)p)[i]) * UINT64_C(1099511628211);
}

/* ---- One file ------------------------------------------------------------------ */

static uint8_t model[MAX], buffer[MAX];
static size_t size;

static void grow(size_t to)
{
    if (to > size) {
        memset(model + size, 0, to - size);
        size = to;
    }
}

static void check(int fd, const char *name, size_t at, size_t n, const char *how)
{
    size_t want = at >= size ? 0 : n > size - at ? size - at : n;
    ssize_t got = pread(fd, buffer, n, (off_t)at);
    if (got < 0 || (size_t)got != want)
        die("%s: read of %zu at %zu gave %zd and not %zu %s", name, n, at, got, want, how);
    for (size_t i = 0; i < want; i++)
        if (buffer[i] != model[at + i])
            die("%s: byte %zu is %02x and not %02x %s", name, at + i, buffer[i], model[at + i], how);
}

/* Where there is no cache there is no mapping that writes: the same is done by a write then. */
static void map_and_change(int fd, size_t at, size_t n)
{
    size_t from = at & ~(size_t)4095;
    if (at >= size)
        return;
    if (n > size - at)
        n = size - at;
    uint8_t *p = mmap(NULL, at - from + n, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)from);
    if (p == MAP_FAILED && errno != ENODEV)
        die("mmap");
    if (p != MAP_FAILED && memcmp(p + (at - from), model + at, n))
        die("mapping of %zu at %zu differs", n, at);
    for (size_t i = 0; i < n; i++)
        model[at + i] = (uint8_t)rnd(256);
    if (p == MAP_FAILED) {
        if (pwrite(fd, model + at, n, (off_t)at) != (ssize_t)n)
            die("write of %zu at %zu", n, at);
        return;
    }
    memcpy(p + (at - from), model + at, n);
    if (msync(p, at - from + n, MS_SYNC) || munmap(p, at - from + n))
        die("msync");
}

static void step_file(int *fd, const char *name)
{
    size_t at = rnd(MAX - 1), n = 1 + rnd(rnd(4) ? 5000 : MAX - at);
    struct stat st;
    if (n > MAX - at)
        n = MAX - at;
    switch (rnd(12)) {
    case 0: case 1: case 2: case 3:
        for (size_t i = 0; i < n; i++)
            buffer[i] = (uint8_t)(state >> (i % 56));
        if (pwrite(*fd, buffer, n, (off_t)at) != (ssize_t)n)
            die("write of %zu at %zu", n, at);
        grow(at + n);
        memcpy(model + at, buffer, n);
        break;
    case 4: case 5:
        check(*fd, name, at, n, "");
        break;
    case 6:
        if (ftruncate(*fd, (off_t)at))
            die("ftruncate %zu", at);
        grow(at);
        size = at;
        break;
    case 7:
        map_and_change(*fd, at, n);
        break;
    case 8:
        if (!fallocate(*fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)at, (off_t)n) && at < size)
            memset(model + at, 0, n < size - at ? n : size - at);
        break;
    case 9: {
        off_t from = (off_t)rnd(MAX / 2), to = MAX / 2 + (off_t)rnd(MAX / 4);
        ssize_t done = copy_file_range(*fd, &from, *fd, &to, 1 + rnd(MAX / 4), 0);
        if (done < 0 && errno != EINVAL && errno != EOPNOTSUPP && errno != EXDEV)
            die("copy_file_range");
        if (done > 0) {
            grow((size_t)to);
            memmove(model + to - done, model + from - done, (size_t)done);
        }
        break;
    }
    case 10:
        if (close(*fd) || (*fd = open(name, O_RDWR)) < 0)
            die("%s: again", name);
        break;
    default:
        if (fsync(*fd) || fstat(*fd, &st) || (size_t)st.st_size != size)
            die("size is %zu and not %zu", (size_t)st.st_size, size);
    }
}

static void one_file(unsigned steps)
{
    int fd = open("file", O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (fd < 0)
        die("file");
    for (unsigned i = 0; i < steps; i++)
        step_file(&fd, "file");
    check(fd, "file", 0, MAX, "at the end");
    close(fd);
    fd = open("file", O_RDONLY);
    check(fd, "file", 0, MAX, "opened again");
    close(fd);
    add(model, size);
}

/* ---- Names in parallel ---------------------------------------------------------------- */

static void names_of(unsigned process, unsigned steps)
{
    char have[NAMES] = { 0 }, a[64], b[64];
    for (unsigned i = 0; i < steps; i++) {
        unsigned x = (unsigned)rnd(NAMES), y = (unsigned)rnd(NAMES);
        snprintf(a, sizeof a, "dir%u/p%u-%u", x % 3, process, x);
        snprintf(b, sizeof b, "dir%u/p%u-%u", y % 3, process, y);
        int want = 0, r;
        switch (rnd(5)) {
        case 0:
            r = open(a, O_CREAT | O_EXCL | O_WRONLY, 0644);
            want = have[x] ? EEXIST : 0;
            if (r >= 0) {
                if (write(r, a, strlen(a)) < 0)
                    die("%s", a);
                close(r);
                have[x] = 'f';
            }
            break;
        case 1:
            r = unlink(a);
            want = have[x] ? 0 : ENOENT;
            have[x] = 0;
            break;
        case 2:
            if (x == y)
                continue;
            r = rename(a, b);
            want = have[x] ? 0 : ENOENT;
            if (have[x]) {
                have[y] = have[x];
                have[x] = 0;
            }
            break;
        case 3:
            if (have[x] == 'l' || x == y)
                continue;
            r = link(a, b);
            want = !have[x] ? ENOENT : have[y] ? EEXIST : 0;
            if (!want)
                have[y] = have[x];
            /* two names of one file are not renamed over each other */
            if (!want && unlink(a))
                die("unlink %s", a);
            if (!want)
                have[x] = 0;
            break;
        default:
            r = symlink("nowhere", a);
            want = have[x] ? EEXIST : 0;
            if (!have[x])
                have[x] = 'l';
        }
        if ((r < 0 ? errno : 0) != want)
            die("process %u step %u: %s %s, and not %s", process, i, a, b, strerror(want));
    }
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void add_folder(const char *path)
{
    char *names[PROCESSES * NAMES * 2];
    unsigned n = 0;
    DIR *d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d)) != NULL;)
        if (e->d_name[0] != '.' && n < sizeof names / sizeof *names)
            names[n++] = strdup(e->d_name);
    if (!d)
        die("%s", path);
    closedir(d);
    qsort(names, n, sizeof *names, compare);
    for (unsigned i = 0; i < n; i++) {
        char full[600];
        struct stat st;
        snprintf(full, sizeof full, "%s/%s", path, names[i]);
        if (lstat(full, &st))
            die("%s", full);
        add(names[i], strlen(names[i]));
        add(&st.st_mode, sizeof st.st_mode);
        add(&st.st_size, sizeof st.st_size);
        free(names[i]);
    }
}

static void parallel(unsigned steps, uint64_t seed)
{
    for (unsigned i = 0; i < 3; i++) {
        char name[16];
        snprintf(name, sizeof name, "dir%u", i);
        if (mkdir(name, 0755))
            die("%s", name);
    }
    fflush(stdout);
    for (unsigned p = 0; p < PROCESSES; p++)
        if (!fork()) {
            state = seed * 77 + p + 1;
            names_of(p, steps);
            exit(0);
        }
    for (unsigned p = 0; p < PROCESSES; p++) {
        int status;
        if (wait(&status) < 0 || status)
            die("a process failed");
    }
    add_folder("dir0");
    add_folder("dir1");
    add_folder("dir2");
}

/* ---- The rest ------------------------------------------------------------------------------ */

static void tell(const char *what, long result)
{
    printf("%s: %ld%s%s\n", what, result, result < 0 ? " " : "", result < 0 ? strerror(errno) : "");
    add(&result, sizeof result);
}

static void details(void)
{
    char text[300] = { 0 }, name[256];
    int fd = open("sparse", O_RDWR | O_CREAT, 0640);
    tell("sparse", pwrite(fd, "x", 1, 5 << 20));
    tell("sync", fsync(fd)); /* a guest that collects writes asks the host for holes */
    tell("hole", lseek(fd, 0, SEEK_HOLE));
    tell("lock", fcntl(fd, F_SETLK, &(struct flock){ .l_type = F_WRLCK, .l_start = 5, .l_len = 10 }));
    tell("flock", flock(fd, LOCK_EX | LOCK_NB));
    tell("setxattr", fsetxattr(fd, "user.test", "value", 5, 0) && errno != EOPNOTSUPP);
    tell("removexattr", fremovexattr(fd, "user.nothing") && errno != ENODATA && errno != EOPNOTSUPP);
    tell("mode", fchmod(fd, 04711));
    struct stat st;
    fstat(fd, &st);
    tell("is", st.st_mode);
    tell("unlink", unlink("sparse"));
    tell("still", pread(fd, text, 1, 5 << 20) == 1 && *text == 'x' && !fstat(fd, &st) ? (long)st.st_nlink : -1);
    close(fd);
    memset(name, 'n', 255);
    name[255] = 0;
    tell("long", mkdir(name, 0700));
    tell("again", mkdir(name, 0700));
    tell("full", (tell("sub", mkdir("full", 0700)), tell("inner", mkdir("full/x", 0700)), rmdir("full")));
    tell("link", symlink("full/x", "to"));
    tell("reads", readlink("to", text, sizeof text));
    tell("exchange", renameat2(AT_FDCWD, "full", AT_FDCWD, name, RENAME_EXCHANGE));
    tell("noreplace", renameat2(AT_FDCWD, "full", AT_FDCWD, name, RENAME_NOREPLACE));
    tell("into itself", rename(name, "to/sub"));
    tell("fifo", mknod("fifo", S_IFIFO | 0600, 0));
    fd = open(".", O_RDWR | O_TMPFILE, 0600);
    tell("tmpfile", fd >= 0 || errno == EOPNOTSUPP);
    close(fd);
}

int main(int argc, char **argv)
{
    if (argc != 4 || chdir(argv[1]))
        die("fs-stress DIR SEED STEPS");
    uint64_t seed = strtoull(argv[2], NULL, 0);
    unsigned steps = (unsigned)strtoul(argv[3], NULL, 0);
    umask(022);
    state = seed * 2654435761 + 1;
    details();
    one_file(steps);
    parallel(steps, seed);
    printf("sum %016llx\n", (unsigned long long)sum);
    return 0;
}
