/* SPDX-License-Identifier: MIT */
/* INIT: what both sides can, version and sizes; and labels and groups, whose form INIT decides. */
#include "fuse/fuse_priv.h"

#include <errno.h>
#include <linux/limits.h>
#include <string.h>

uint64_t fuse_wanted(const FuseOptions *o)
{
    uint64_t w = FUSE_ASYNC_READ | FUSE_BIG_WRITES | FUSE_ATOMIC_O_TRUNC | FUSE_PARALLEL_DIROPS |
                 FUSE_ASYNC_DIO | FUSE_MAX_PAGES | FUSE_SETXATTR_EXT | FUSE_INIT_EXT |
                 FUSE_CREATE_SUPP_GROUP_ | FUSE_DIRECT_IO_ALLOW_MMAP_;
    if (!o->no_readdirplus)
        w |= FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO;
    if (o->cache != FUSE_CACHE_ALWAYS)
        w |= FUSE_AUTO_INVAL_DATA;
    else
        w |= FUSE_CACHE_SYMLINKS;
    w |= (o->writeback ? FUSE_WRITEBACK_CACHE : 0) | (o->posix_lock ? FUSE_POSIX_LOCKS : 0) |
         (o->flock ? FUSE_FLOCK_LOCKS : 0) | (o->posix_acl ? FUSE_POSIX_ACL | FUSE_DONT_MASK : 0) |
         (o->killpriv_v2 ? FUSE_HANDLE_KILLPRIV_V2 : 0) |
         (o->announce_submounts ? FUSE_SUBMOUNTS : 0) | (o->security_label ? FUSE_SECURITY_CTX : 0);
    return w;
}

int64_t fuse_init(FuseRequest *r)
{
    struct fuse_init_in in = { 0 };
    struct fuse_init_out *out = fuse_room(r, sizeof *out);
    FuseSession *s = r->s;
    memcpy(&in, r->arg, MIN(r->arg_size, sizeof in));
    memset(out, 0, sizeof *out);
    out->major = FUSE_KERNEL_VERSION;
    out->minor = 38;
    if (in.major > FUSE_KERNEL_VERSION)
        return sizeof *out; /* it asks again, with ours */
    if (in.major < FUSE_KERNEL_VERSION || in.minor < 31)
        return -EPROTO; /* older than virtiofs */
    uint64_t theirs = in.flags;
    if ((in.flags & FUSE_INIT_EXT) && r->arg_size >= offsetof(struct fuse_init_in, unused))
        theirs |= (uint64_t)in.flags2 << 32;
    uint64_t agreed = theirs & fuse_wanted(&s->o);
    uint32_t page = 4096;
    out->max_write = MAX(s->o.max_write, page);
    if (!(agreed & FUSE_MAX_PAGES))
        out->max_write = MIN(out->max_write, 32 * page);
    out->max_pages = (uint16_t)MIN(out->max_write / page, UINT16_MAX);
    out->max_readahead = in.max_readahead;
    out->max_background = 128;
    out->congestion_threshold = 96;
    out->time_gran = 1;
    out->flags = (uint32_t)agreed;
    out->flags2 = (uint32_t)(agreed >> 32);
    /* A guest that begins anew knows of nothing that it knew before. */
    fuse_session_reset(s);
    atomic_store(&s->flags, agreed | FUSE_HELLO_);
    fuse_replay_flags(s, agreed | FUSE_HELLO_);
    return sizeof *out;
}

int64_t fuse_destroy(FuseRequest *r)
{
    fuse_session_reset(r->s);
    return 0;
}

/* ---- Extensions ---------------------------------------------------------------------------- */

/* struct fuse_secctx_header, then struct fuse_secctx, name, label */
static int take_label(FuseRequest *r, size_t at, uint32_t size, uint32_t count)
{
    struct fuse_secctx ctx;
    size_t from = at + sizeof(struct fuse_secctx_header), end = at + size;
    if (!count)
        return 0;
    if (!fuse_agreed(r, FUSE_SECURITY_CTX) || count != 1 || end - from < sizeof ctx)
        return -EINVAL;
    memcpy(&ctx, r->arg + from, sizeof ctx);
    from += sizeof ctx;
    const char *name = (const char *)r->arg + from;
    size_t length = strnlen(name, end - from);
    if (from + length == end || length > XATTR_NAME_MAX || ctx.size > end - from - length - 1)
        return -EINVAL;
    if (!ctx.size)
        return 0;
    r->caller.label_name = name;
    r->caller.label = name + length + 1;
    r->caller.label_size = ctx.size;
    return 0;
}

/* struct fuse_ext_header, then how many groups, then the groups: the folder's group, if the caller
 * is in it */
static int take_groups(FuseRequest *r, size_t at, uint32_t size)
{
    uint32_t count, gid;
    if (size < sizeof(struct fuse_ext_header) + 8)
        return size < sizeof(struct fuse_ext_header) + 4 ? -EINVAL : 0;
    memcpy(&count, r->arg + at + sizeof(struct fuse_ext_header), 4);
    memcpy(&gid, r->arg + at + sizeof(struct fuse_ext_header) + 4, 4);
    if (count > 1 || !fuse_agreed(r, FUSE_CREATE_SUPP_GROUP_))
        return -EINVAL;
    r->caller.has_more_gid = count == 1;
    r->caller.more_gid = gid;
    return 0;
}

int fuse_extensions(FuseRequest *r, size_t at)
{
    uint64_t known = FUSE_SECURITY_CTX | FUSE_CREATE_SUPP_GROUP_;
    if (!fuse_agreed(r, known))
        return 0;
    while (r->arg_size - at >= sizeof(struct fuse_ext_header)) {
        struct fuse_ext_header h;
        memcpy(&h, r->arg + at, sizeof h);
        if (h.size < sizeof h || h.size > r->arg_size - at)
            return -EINVAL;
        int e = h.type <= FUSE_MAX_NR_SECCTX ? take_label(r, at, h.size, h.type)
                : h.type == FUSE_EXT_GROUPS_ ? take_groups(r, at, h.size)
                                             : 0;
        if (e)
            return e;
        at += MIN(FUSE_REC_ALIGN((size_t)h.size), r->arg_size - at);
    }
    return 0;
}
