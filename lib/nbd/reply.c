/* SPDX-License-Identifier: MIT */
/*
 * What a server answers: simple replies where nothing else was agreed on, and for the plain end of
 * whatever is not a read; chunks otherwise.
 */
#include "nbd/server_priv.h"

#include "base/bytes.h"

#include <string.h>

static size_t simple(const NbdRequest *r, int err, uint8_t *out)
{
    st_be32(out, NBD_SIMPLE_REPLY_MAGIC);
    st_be32(out + 4, nbd_error_of(err));
    st_be64(out + 8, r->cookie);
    return NBD_SIMPLE_HEAD;
}

static size_t chunk(const NbdServer *s, const NbdRequest *r, uint16_t type, bool last, uint64_t len,
                    uint8_t *out)
{
    st_be32(out, s->extended ? (uint32_t)NBD_EXTENDED_REPLY_MAGIC
                             : (uint32_t)NBD_STRUCTURED_REPLY_MAGIC);
    st_be16(out + 4, last ? NBD_CHUNK_DONE : 0);
    st_be16(out + 6, type);
    st_be64(out + 8, r->cookie);
    if (!s->extended) {
        st_be32(out + 16, (uint32_t)len);
        return NBD_STRUCTURED_HEAD;
    }
    st_be64(out + 16, r->offset);
    st_be64(out + 24, len);
    return NBD_EXTENDED_HEAD;
}

size_t nbd_server_put_end(const NbdServer *s, const NbdRequest *r, int err, const char *message,
                          uint8_t *out)
{
    if (!s->structured)
        return simple(r, err, out);
    if (!err) {
        bool plain = !s->extended && r->command != NBD_CMD_READ &&
                     r->command != NBD_CMD_BLOCK_STATUS;
        return plain ? simple(r, 0, out) : chunk(s, r, NBD_CHUNK_NONE, true, 0, out);
    }
    size_t len = message ? strnlen(message, NBD_MAX_STRING) : 0;
    size_t head = chunk(s, r, NBD_CHUNK_ERROR, true, 6 + len, out);
    st_be32(out + head, nbd_error_of(err));
    st_be16(out + head + 4, (uint16_t)len);
    if (len)
        memcpy(out + head + 6, message, len);
    return head + 6 + len;
}

size_t nbd_server_put_data(const NbdServer *s, const NbdRequest *r, uint64_t offset,
                           uint64_t length, bool last, uint8_t *out)
{
    if (!s->structured)
        return simple(r, 0, out);
    if (!length)
        return chunk(s, r, NBD_CHUNK_NONE, last, 0, out);
    size_t head = chunk(s, r, NBD_CHUNK_DATA, last, 8 + length, out);
    st_be64(out + head, offset);
    return head + 8;
}

size_t nbd_server_put_hole(const NbdServer *s, const NbdRequest *r, uint64_t offset,
                           uint64_t length, bool last, uint8_t *out)
{
    size_t head = chunk(s, r, NBD_CHUNK_HOLE, last, 12, out);
    st_be64(out + head, offset);
    st_be32(out + head + 8, (uint32_t)length);
    return head + 12;
}

void nbd_server_put_extents(const NbdServer *s, const NbdRequest *r, unsigned i,
                            const NbdExtent *extents, unsigned n, bool last, GByteArray *out)
{
    const uint64_t largest = UINT64_C(1) << 31; /* of 32 bits, and a multiple of every block size */
    uint8_t head[NBD_HEAD_ROOM], entry[16];
    unsigned size = s->extended ? 16 : 8;
    if (!s->extended)
        for (unsigned e = 0; e < n; e++)
            if (extents[e].length > UINT32_MAX)
                n = e + 1; /* what follows a piece that is cut cannot be said */
    size_t at = chunk(s, r, s->extended ? NBD_CHUNK_STATUS_EXT : NBD_CHUNK_STATUS, last,
                      (s->extended ? 8 : 4) + (uint64_t)n * size, head);
    st_be32(head + at, (uint32_t)s->contexts[i]);
    if (s->extended)
        st_be32(head + at + 4, n);
    g_byte_array_append(out, head, (guint)(at + (s->extended ? 8 : 4)));
    for (unsigned e = 0; e < n; e++) {
        if (s->extended) {
            st_be64(entry, extents[e].length);
            st_be64(entry + 8, extents[e].flags);
        } else {
            st_be32(entry,
                    (uint32_t)(extents[e].length > UINT32_MAX ? largest : extents[e].length));
            st_be32(entry + 4, (uint32_t)extents[e].flags);
        }
        g_byte_array_append(out, entry, size);
    }
}
