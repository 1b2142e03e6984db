/* SPDX-License-Identifier: MIT */
/*
 * Compressed clusters: raw deflate with a window of 4 KiB, or one zstd frame. What is unpacked must
 * fill its cluster; what follows it in the sector is not looked at. The window is what readers of
 * the format declare, so no cluster is packed with a larger one, though most would take it.
 * Compressors with their tables are kept between clusters: to make one costs as much as a tenth of
 * its work.
 */
#include "block/drivers/qcow2/qcow2_priv.h"

#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

enum { MOST_KEPT = 4 << 20 };

struct Qcow2Packer {
    Qcow2Packer *next;
    z_stream deflate, inflate; /* made when .state is set */
    ZSTD_CCtx *compress;       /* or NULL */
    ZSTD_DCtx *decompress;
};

static Qcow2Packer *take(Qcow2Packers *all)
{
    pthread_mutex_lock(&all->lock);
    Qcow2Packer *p = all->idle;
    if (p)
        all->idle = p->next;
    pthread_mutex_unlock(&all->lock);
    return p ? p : calloc(1, sizeof *p);
}

static void give(Qcow2Packers *all, Qcow2Packer *p)
{
    pthread_mutex_lock(&all->lock);
    p->next = all->idle;
    all->idle = p;
    pthread_mutex_unlock(&all->lock);
}

void qcow2_packers_init(Qcow2Packers *all)
{
    all->idle = NULL;
    pthread_mutex_init(&all->lock, NULL);
}

void qcow2_packers_clear(Qcow2Packers *all)
{
    while (all->idle) {
        Qcow2Packer *p = all->idle;
        all->idle = p->next;
        deflateEnd(&p->deflate);
        inflateEnd(&p->inflate);
        ZSTD_freeCCtx(p->compress);
        ZSTD_freeDCtx(p->decompress);
        free(p);
    }
    pthread_mutex_destroy(&all->lock);
}

/*
 * Whether bytes are as evenly spread as those of noise (encrypted or packed before), by the sum of
 * squares of their counts: 255 +- 23 for noise once it is scaled. Then Huffman codes win nothing;
 * and were there repetitions to win by, their bytes would be counted twice and the sum be larger. A
 * sum that is too small is a pattern.
 */
static bool is_noise(const uint8_t *in, size_t len)
{
    enum { LEAST = 4096, LOW = 200, HIGH = 300 };
    uint32_t n[4][256] = { { 0 } };
    uint64_t sum = 0;

    if (len < LEAST)
        return false;
    /* four tables, since a byte that follows itself would wait for its own count */
    for (size_t i = 0; i + 4 <= len; i += 4)
        for (unsigned k = 0; k < 4; k++)
            n[k][in[i + k]]++;
    len &= ~(size_t)3;
    for (unsigned i = 0; i < 256; i++) {
        uint64_t count = n[0][i] + n[1][i] + n[2][i] + n[3][i];
        sum += count * count;
    }
    double chi2 = 256.0 * (double)sum / (double)len - (double)len;
    return chi2 > LOW && chi2 < HIGH;
}

static size_t pack_zlib(z_stream *z, const void *in, size_t len, void *out, size_t room)
{
    if (!z->state &&
        deflateInit2(z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -12, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return 0;
    /* the search of level 6 but for the length of its chains: half a percent of size for a quarter
     * of the time */
    if (deflateReset(z) != Z_OK || deflateTune(z, 8, 16, 128, 32) != Z_OK)
        return 0;
    z->next_in = (Bytef *)(uintptr_t)in;
    z->avail_in = (uInt)len;
    z->next_out = out;
    z->avail_out = (uInt)room;
    return deflate(z, Z_FINISH) == Z_STREAM_END ? room - z->avail_out : 0;
}

static size_t pack_zstd(Qcow2Packer *p, const void *in, size_t len, void *out, size_t room)
{
    if (!p->compress)
        p->compress = ZSTD_createCCtx();
    size_t n =
        p->compress ? ZSTD_compressCCtx(p->compress, out, room, in, len, ZSTD_CLEVEL_DEFAULT) : 0;
    return ZSTD_isError(n) ? 0 : n;
}

size_t qcow2_pack(Qcow2Packers *all, Qcow2Compression how, const void *in, size_t len, void *out,
                  size_t room)
{
    if (how == QCOW2_ZLIB && is_noise(in, len))
        return 0;
    Qcow2Packer *p = take(all);
    if (!p)
        return 0;
    size_t n = how == QCOW2_ZLIB ? pack_zlib(&p->deflate, in, len, out, room)
                                 : pack_zstd(p, in, len, out, room);
    give(all, p);
    return n;
}

static bool unpack_zlib(z_stream *z, const void *in, size_t len, void *out, size_t out_len)
{
    if (!z->state && inflateInit2(z, -12) != Z_OK)
        return false;
    if (inflateReset(z) != Z_OK)
        return false;
    z->next_in = (Bytef *)(uintptr_t)in;
    z->avail_in = (uInt)len;
    z->next_out = out;
    z->avail_out = (uInt)out_len;
    int r = inflate(z, Z_FINISH);
    return !z->avail_out && (r == Z_STREAM_END || r == Z_BUF_ERROR || r == Z_OK);
}

static bool unpack_zstd(Qcow2Packer *p, const void *in, size_t len, void *out, size_t out_len)
{
    ZSTD_outBuffer to = { out, out_len, 0 };
    ZSTD_inBuffer from = { in, len, 0 };
    size_t r = 1;

    if (!p->decompress)
        p->decompress = ZSTD_createDCtx();
    if (!p->decompress || ZSTD_isError(ZSTD_DCtx_reset(p->decompress, ZSTD_reset_session_only)))
        return false;
    while (to.pos < to.size && from.pos < from.size && r && !ZSTD_isError(r))
        r = ZSTD_decompressStream(p->decompress, &to, &from);
    return to.pos == to.size && !ZSTD_isError(r);
}

bool qcow2_unpack(Qcow2Packers *all, Qcow2Compression how, const void *in, size_t len, void *out,
                  size_t out_len)
{
    Qcow2Packer *p = take(all);

    if (!p)
        return false;
    bool ok = how == QCOW2_ZLIB ? unpack_zlib(&p->inflate, in, len, out, out_len)
                                : unpack_zstd(p, in, len, out, out_len);
    /* a frame may ask for a window of 128 MiB */
    if (p->decompress && ZSTD_sizeof_DCtx(p->decompress) > MOST_KEPT)
        ZSTD_freeDCtx(g_steal_pointer(&p->decompress));
    give(all, p);
    return ok;
}
