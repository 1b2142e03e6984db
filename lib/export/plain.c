/* SPDX-License-Identifier: MIT */
/*
 * Long reads of exports that are plain files: what is in the page cache goes from there to the
 * socket. It is not copied, and no buffer is needed.
 */
#include "export/export_priv.h"

#include <errno.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Linux 6.5's, in the generic table of all architectures; headers may be older. */
#ifndef __NR_cachestat
#define __NR_cachestat 451
#endif

enum { WORTH = 16 << 10, PAGE = 4096 };

bool export_is_plain(const Connection *c)
{
    const Export *e = c->export;
    return e->plain.fd >= 0 && block_user_node(e->user) == e->plain.node;
}

/* Whether sendfile would find all of it without waiting for a disk. */
static bool in_page_cache(Export *e, uint64_t at, uint64_t len)
{
    struct { uint64_t at, len; } range = { at, len };
    struct { uint64_t cached, dirty, writeback, evicted, recently; } now = { 0 };
    if (atomic_load_explicit(&e->cache_hidden, memory_order_relaxed))
        return false;
    if (syscall(__NR_cachestat, e->plain.fd, &range, &now, 0)) {
        atomic_store(&e->cache_hidden, true);
        return false;
    }
    return now.cached >= (at + len - 1) / PAGE - at / PAGE + 1;
}

bool export_reads_plain(const Connection *c, const NbdRequest *r)
{
    Export *e = c->export;
    return r->length >= WORTH && !c->tls && export_is_plain(c) &&
           in_page_cache(e, e->plain.offset + r->offset, r->length);
}

/* Past the end of the file there are zeroes. */
static int send_zeroes(Connection *c, uint64_t length)
{
    static const uint8_t zeroes[PAGE];
    int r = 0;
    for (uint64_t n; !r && length; length -= n) {
        n = MIN(length, sizeof zeroes);
        r = export_send(c, &(struct iovec){ (void *)zeroes, (size_t)n }, 1, false);
    }
    return r;
}

int export_send_plain(Connection *c, uint64_t offset, uint64_t length)
{
    off_t at = (off_t)(c->export->plain.offset + offset);
    while (length && !c->dead) {
        ssize_t n = sendfile(c->fd, c->export->plain.fd, &at, (size_t)length);
        if (n < 0 && errno == EINTR)
            continue;
        if (!n)
            return send_zeroes(c, length);
        /* the head has gone: what cannot be read after all ends the connection */
        if (n < 0) {
            c->dead = true;
            return -errno;
        }
        length -= (uint64_t)n;
    }
    return c->dead ? -EPIPE : 0;
}
