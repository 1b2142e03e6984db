/* SPDX-License-Identifier: MIT */
/* Any packets to be joined, and any header on them. Input: pieces, each with its length (le16). */
#include "net/net_priv.h"

#include "base/bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_cut(void *opaque, const uint8_t *packet, size_t length)
{
    g_assert(length && length <= *(size_t *)opaque);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    NetMerge m;
    net_merge_init(&m);
    while (size > 2) {
        size_t n = MIN(ld_le16(data), size - 2), length;
        data += 2;
        size -= 2;
        /* from the heap, so that a read past its end is seen */
        g_autofree uint8_t *p = g_memdup2(data, n);
        if (!net_merge_add(&m, p, n)) {
            if (m.count)
                g_assert(net_merge_end(&m, 12, &length) && length > 12 && length <= NET_PACKET_MAX);
            net_merge_begin(&m, p, n, ~0u);
        }
        if (n > NET_HEADER_MAX) {
            net_cut(p, p + NET_HEADER_MAX, n - NET_HEADER_MAX, on_cut, &n);
            net_checksum_finish(p, p + NET_HEADER_MAX, n - NET_HEADER_MAX);
        }
        data += n;
        size -= n;
    }
    net_merge_clear(&m);
    return 0;
}
