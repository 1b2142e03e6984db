/* SPDX-License-Identifier: MIT */
/* Packets in a stream of bytes: cutting it at the lengths; see net_priv.h. */
#include "base/bytes.h"
#include "net/net_priv.h"

#include <string.h>

void net_frames_init(NetFrames *f)
{
    *f = (NetFrames){ .packet = g_byte_array_new() };
}

void net_frames_clear(NetFrames *f)
{
    g_clear_pointer(&f->packet, g_byte_array_unref);
}

void net_frames_reset(NetFrames *f)
{
    f->have = 0;
    f->length = 0;
    g_byte_array_set_size(f->packet, 0);
}

bool net_frames_feed(NetFrames *f, const uint8_t *data, size_t length,
                     void (*packet)(void *opaque, const uint8_t *data, size_t length),
                     void *opaque)
{
    while (length) {
        if (f->have < sizeof f->header) {
            size_t n = MIN(length, sizeof f->header - f->have);
            memcpy(f->header + f->have, data, n);
            f->have += (unsigned)n;
            data += n;
            length -= n;
            if (f->have < sizeof f->header)
                return true;
            f->length = ld_be32(f->header);
            if (f->length > NET_PACKET_MAX)
                return false;
            if (!f->length)
                f->have = 0;
            continue;
        }
        size_t n = MIN(length, f->length - f->packet->len);
        if (!f->packet->len && n == f->length) { /* whole where it is: the usual case */
            net_frames_reset(f);
            packet(opaque, data, n);
        } else {
            g_byte_array_append(f->packet, data, (guint)n);
            if (f->packet->len == f->length) {
                packet(opaque, f->packet->data, f->packet->len);
                net_frames_reset(f);
            }
        }
        data += n;
        length -= n;
    }
    return true;
}
