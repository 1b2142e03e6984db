/* SPDX-License-Identifier: MIT */
/*
 * How fast a disk moves data: direct I/O with several requests in flight, by the kernel's asynchronous
 * interface, for a fixed time each. Runs in the guest of bench/vm-run-io.sh:
 *   diskio DEVICE SECONDS
 * prints a line "RATE NAME SECONDS BYTES" for each of seqread, seqwrite, randread, randwrite (256 KiB four
 * at a time, 4 KiB 32 at a time), and "RATE randread1 ..." for 4 KiB one at a time.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/fs.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { DEPTH_MAX = 32 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static uint64_t place(uint64_t *state, uint64_t *next, int scattered, uint64_t size, uint64_t len)
{
    if (!scattered) {
        uint64_t at = *next;
        *next = at + 2 * len > size ? 0 : at + len;
        return at;
    }
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (*state >> 33) % (size / len) * len;
}

static int measure(const char *name, int fd, uint64_t size, int write, int scattered, unsigned depth,
                   uint64_t len, double seconds)
{
    static struct iocb cbs[DEPTH_MAX];
    struct io_event events[DEPTH_MAX];
    aio_context_t ctx = 0;
    uint64_t state = 1, next = 0, bytes = 0;
    char *buf = NULL;
    if (syscall(SYS_io_setup, depth, &ctx) < 0 ||
        posix_memalign((void **)&buf, 4096, len * depth) != 0)
        return 1;
    memset(buf, 0x5a, len * depth);
    double start = now(), end = start + seconds, t = start;
    unsigned flying = 0;
    struct iocb *ready[DEPTH_MAX];
    unsigned count = depth;
    for (unsigned i = 0; i < depth; i++) {
        cbs[i].aio_fildes = (uint32_t)fd;
        cbs[i].aio_lio_opcode = write ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD;
        cbs[i].aio_buf = (uint64_t)(uintptr_t)(buf + len * i);
        cbs[i].aio_nbytes = len;
        ready[i] = &cbs[i];
    }
    do {
        for (unsigned i = 0; i < count; i++)
            ready[i]->aio_offset = (int64_t)place(&state, &next, scattered, size, len);
        if (count && syscall(SYS_io_submit, ctx, count, ready) != (long)count)
            return 1;
        flying += count;
        long got = syscall(SYS_io_getevents, ctx, 1, depth, events, NULL);
        if (got <= 0)
            return 1;
        t = now();
        flying -= (unsigned)got;
        count = 0;
        for (long i = 0; i < got; i++) {
            if (events[i].res != (int64_t)len)
                return 1;
            bytes += len;
            if (t < end)
                ready[count++] = (struct iocb *)(uintptr_t)events[i].obj;
        }
    } while (flying || count);
    printf("RATE %s %.3f %llu\n", name, now() - start, (unsigned long long)bytes);
    syscall(SYS_io_destroy, ctx);
    free(buf);
    return 0;
}

int main(int argc, char **argv)
{
    uint64_t size;
    int fd = argc == 3 ? open(argv[1], O_RDWR | O_DIRECT) : -1;
    if (fd < 0 || ioctl(fd, BLKGETSIZE64, &size) < 0) {
        puts("FAILED");
        return 1;
    }
    double s = atof(argv[2]);
    if (measure("seqread", fd, size, 0, 0, 4, 262144, s) ||
        measure("seqwrite", fd, size, 1, 0, 4, 262144, s) ||
        measure("randread", fd, size, 0, 1, 32, 4096, s) ||
        measure("randwrite", fd, size, 1, 1, 32, 4096, s) ||
        measure("randread1", fd, size, 0, 1, 1, 4096, s) || fsync(fd)) {
        puts("FAILED");
        return 1;
    }
    puts("DISKIO-DONE");
    return 0;
}
