/* SPDX-License-Identifier: MIT */
/*
 * Compressed clusters: raw deflate with a window of 4 KiB as the format says, or one zstd frame. What
 * is unpacked must fill its cluster; what follows it in the sector is not looked at.
 */
#include "block/drivers/qcow2/qcow2_priv.h"

#include <zlib.h>
#include <zstd.h>

static size_t pack_zlib(const void *in, size_t len, void *out, size_t room)
{
    z_stream z = { .next_in = (Bytef *)(uintptr_t)in, .avail_in = (uInt)len, .next_out = out, .avail_out = (uInt)room };

    if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -12, 9, Z_DEFAULT_STRATEGY) != Z_OK)
        return 0;
    int r = deflate(&z, Z_FINISH);
    size_t n = room - z.avail_out;
    deflateEnd(&z);
    return r == Z_STREAM_END ? n : 0;
}

size_t qcow2_pack(Qcow2Compression how, const void *in, size_t len, void *out, size_t room)
{
    if (how == QCOW2_ZLIB)
        return pack_zlib(in, len, out, room);
    size_t n = ZSTD_compress(out, room, in, len, ZSTD_CLEVEL_DEFAULT);
    return ZSTD_isError(n) ? 0 : n;
}

static bool unpack_zlib(const void *in, size_t len, void *out, size_t out_len)
{
    z_stream z = { .next_in = (Bytef *)(uintptr_t)in, .avail_in = (uInt)len, .next_out = out,
                   .avail_out = (uInt)out_len };

    if (inflateInit2(&z, -12) != Z_OK)
        return false;
    int r = inflate(&z, Z_FINISH);
    bool whole = !z.avail_out;
    inflateEnd(&z);
    return whole && (r == Z_STREAM_END || r == Z_BUF_ERROR || r == Z_OK);
}

bool qcow2_unpack(Qcow2Compression how, const void *in, size_t len, void *out, size_t out_len)
{
    if (how == QCOW2_ZLIB)
        return unpack_zlib(in, len, out, out_len);
    ZSTD_DCtx *ctx = ZSTD_createDCtx();
    ZSTD_outBuffer to = { out, out_len, 0 };
    ZSTD_inBuffer from = { in, len, 0 };
    size_t r = 1;
    while (ctx && to.pos < to.size && from.pos < from.size && r && !ZSTD_isError(r))
        r = ZSTD_decompressStream(ctx, &to, &from);
    ZSTD_freeDCtx(ctx);
    return ctx && to.pos == to.size && !ZSTD_isError(r);
}
