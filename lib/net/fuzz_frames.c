/* SPDX-License-Identifier: MIT */
/* The stream framing: however the bytes are cut up, the same packets come out. */
#include "base/bytes.h"
#include "net/net_priv.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_packet(void *opaque, const uint8_t *data, size_t length)
{
    uint8_t header[4];
    g_assert_cmpuint(length, >, 0);
    g_assert_cmpuint(length, <=, NET_PACKET_MAX);
    st_be32(header, (uint32_t)length);
    g_byte_array_append(opaque, header, sizeof header);
    g_byte_array_append(opaque, data, (guint)length);
}

static bool run(GByteArray *out, const uint8_t *data, size_t size, size_t step)
{
    NetFrames f;
    bool good = true;
    net_frames_init(&f);
    for (size_t at = 0; good && at < size; at += step) {
        size_t n = MIN(step, size - at);
        g_autofree uint8_t *piece = g_memdup2(data + at, n); /* so that reading past it shows */
        good = net_frames_feed(&f, piece, n, on_packet, out);
    }
    net_frames_clear(&f);
    return good;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GByteArray) whole = g_byte_array_new();
    bool good = run(whole, data, size, MAX(size, 1));
    for (size_t step = 1; step < 8; step += 2) {
        g_autoptr(GByteArray) pieces = g_byte_array_new();
        g_assert_true(run(pieces, data, size, step) == good);
        g_assert_cmpmem(whole->data, whole->len, pieces->data, pieces->len);
    }
    return 0;
}
