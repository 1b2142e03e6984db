/* SPDX-License-Identifier: MIT */
/* What the guest cannot help: a full disk, rights that are gone, a directory that was removed. The
 * guest gets its error as ever; the host's side hears of each kind once in a while. */
#include "fuse/fuse_priv.h"

#include <errno.h>
#include <time.h>

enum { QUIET = 30 }; /* seconds */

static const int kinds[FUSE_TROUBLES] = { ENOENT, ENOSPC, EDQUOT, EIO,    EROFS,
                                          EACCES, EMFILE, ENFILE, ENOMEM, ESTALE };

static bool gone(FuseRequest *r)
{
    FsEntry root;
    int e = fs_getattr(r->fs, FS_ROOT, 0, &root);
    return e || !root.attr.st_nlink;
}

void fuse_trouble(FuseRequest *r, int error)
{
    FuseSession *s = r->s;
    struct timespec t;
    unsigned i = 0;
    while (i < FUSE_TROUBLES && kinds[i] != error)
        i++;
    /* Whether somebody might is a question as any other. */
    if (!s->o.trouble || i == FUSE_TROUBLES || r->h.opcode == FUSE_ACCESS)
        return;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
    int64_t told = atomic_load(&s->told[i]), now = t.tv_sec + 1,
            quiet = error == ENOENT ? 1 : QUIET;
    if ((told && now - told < quiet) || !atomic_compare_exchange_strong(&s->told[i], &told, now))
        return;
    if (error != ENOENT)
        s->o.trouble(s->o.opaque, error);
    else if (gone(r)) { /* files that are not there are ordinary, so this was only worth a look */
        atomic_store(&s->told[i], now + QUIET);
        s->o.trouble(s->o.opaque, error);
    }
}
