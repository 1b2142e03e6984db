/* SPDX-License-Identifier: MIT */
#include "base/save.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static bool write_into(const char *path, const uint8_t *data, size_t len, GError **error)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY), e = 0;
    if (fd < 0)
        return fail_errno(error, errno, "%s", path);
    while (len && !e) {
        ssize_t n = write(fd, data, len);
        if (n > 0) {
            data += n;
            len -= (size_t)n;
        } else if (n < 0 && errno != EINTR) {
            e = errno;
        }
    }
    if (close(fd) && !e)
        e = errno;
    return !e || fail_errno(error, e, "%s", path);
}

bool save_file(const char *path, const void *data, size_t len, GError **error)
{
    struct stat st;
    if (!stat(path, &st) && !S_ISREG(st.st_mode))
        return write_into(path, data, len, error);
    char *real = realpath(path, NULL); /* what a link leads to is replaced, and not the link */
    bool ok = g_file_set_contents_full(real ? real : path, data, (gssize)len,
                                       G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_ONLY_EXISTING, 0666,
                                       error);
    free(real);
    return ok;
}
