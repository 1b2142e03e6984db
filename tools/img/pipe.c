/* SPDX-License-Identifier: MIT */
/*
 * "-": standard input and output as disks. A pipe can only be read once from its beginning to its
 * end, which is enough for a raw disk and for no other format.
 */
#include "img.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Whatever format these bytes look like but raw, or NULL. */
static const char *guess(const uint8_t *first, size_t n)
{
    static const struct {
        const char *format, *magic;
        size_t len;
    } all[] = {{"qcow2", "QFI\xfb", 4},
               {"luks", "LUKS\xba\xbe", 6},
               {"vmdk", "KDMV", 4},
               {"vhdx", "vhdxfile", 8},
               {"xz",
                "\xfd"
                "7zXZ",
                5},
               {"gzip", "\x1f\x8b", 2},
               {"zstd", "\x28\xb5\x2f\xfd", 4}};

    for (unsigned i = 0; i < G_N_ELEMENTS(all); i++)
        if (n >= all[i].len && !memcmp(first, all[i].magic, all[i].len))
            return all[i].format;
    return NULL;
}

bool img_pipe_in(Img *img, ImgPipe *pipe, const char **file, const char *format)
{
    struct stat st;
    size_t got = 0;

    if (fstat(0, &st)) {
        img_fail(img, "standard input: %s", g_strerror(errno));
        return false;
    }
    if ((S_ISREG(st.st_mode) || S_ISBLK(st.st_mode)) && !lseek(0, 0, SEEK_CUR)) {
        *file = "/dev/fd/0";
        return true;
    }
    if (format && strcmp(format, "raw")) {
        img_fail(img, "standard input: a pipe can be read as raw only, not as %s", format);
        return false;
    }
    while (got < sizeof pipe->first) {
        ssize_t n = read(0, pipe->first + got, sizeof pipe->first - got);
        if (n < 0) {
            img_fail(img, "standard input: %s", g_strerror(errno));
            return false;
        }
        if (!n)
            break;
        got += (size_t)n;
    }
    const char *other = format ? NULL : guess(pipe->first, got);
    if (other) {
        img_fail(img, "standard input: this is %s, and a pipe can be read as raw only", other);
        fprintf(stderr, "hint: with -f raw its bytes are taken as they are\n");
        return false;
    }
    pipe->is = true;
    pipe->pipe = (BlockPipe){.fd = 0, .lead = pipe->first, .n_lead = got};
    return true;
}

bool img_pipe_out(Img *img, ImgPipe *pipe)
{
    int flags = fcntl(1, F_GETFL);
    struct stat st;

    if (flags < 0 || fstat(1, &st)) {
        img_fail(img, "standard output: %s", g_strerror(errno));
        return false;
    }
    if (isatty(1)) {
        img_fail(img, "standard output is a terminal: a disk is not written to it");
        return false;
    }
    /* a hole is what is skipped beyond the end of what is there */
    bool file = S_ISREG(st.st_mode) && !(flags & O_APPEND) && lseek(1, 0, SEEK_CUR) == st.st_size;
    pipe->is = true;
    pipe->pipe = (BlockPipe){.fd = 1, .seekable = file};
    if (img->progress == IMG_PROGRESS_STDOUT)
        img->progress = IMG_PROGRESS_BAR;
    return true;
}
