/* SPDX-License-Identifier: MIT */
/*
 * Compressed clusters beside zlib itself: what is packed is read with a window of 4 KiB by a reader
 * that has no more, gets about as small as at level 6, and noise is known without being packed. On
 * several threads, as compressors are shared.
 */
#include "block/drivers/qcow2/qcow2_priv.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { CLUSTER = 64 << 10 };

/* Something like text: words of a small vocabulary, by a generator. */
static void words(uint8_t *out, size_t len, uint32_t seed)
{
    size_t at = 0;

    while (at < len) {
        seed = seed * 1664525 + 1013904223;
        uint32_t word = seed >> 22, n = 2 + word % 9;
        for (uint32_t i = 0; i < n && at < len; i++)
            out[at++] = (uint8_t)('a' + (word * (i + 3) >> 2) % 26);
        if (at < len)
            out[at++] = ' ';
    }
}

static void noise(uint8_t *out, size_t len, uint64_t seed)
{
    for (size_t i = 0; i < len; i++) {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        out[i] = (uint8_t)(seed >> 32);
    }
}

/* Reads bytes [0, len) back in pieces of 512, so that no distance of more than the window works. */
static bool strict_unpack(const uint8_t *in, size_t n, uint8_t *out, size_t len)
{
    z_stream z = { .next_in = (Bytef *)(uintptr_t)in, .avail_in = (uInt)n };
    int r = Z_OK;

    if (inflateInit2(&z, -12) != Z_OK)
        return false;
    for (size_t at = 0; at < len && r == Z_OK; at += 512) {
        z.next_out = out + at;
        z.avail_out = (uInt)MIN(512, len - at);
        r = inflate(&z, Z_SYNC_FLUSH);
    }
    bool whole = z.total_out == len && r == Z_STREAM_END && z.total_in == n;
    inflateEnd(&z);
    return whole;
}

static size_t level_6(const uint8_t *in, uint8_t *out)
{
    z_stream z = { .next_in = (Bytef *)(uintptr_t)in,
                   .avail_in = CLUSTER,
                   .next_out = out,
                   .avail_out = CLUSTER };

    g_assert_cmpint(deflateInit2(&z, 6, Z_DEFLATED, -12, 9, Z_DEFAULT_STRATEGY), ==, Z_OK);
    size_t n = deflate(&z, Z_FINISH) == Z_STREAM_END ? z.total_out : CLUSTER;
    deflateEnd(&z);
    return n;
}

typedef struct {
    Qcow2Packers packers;
    Qcow2Compression how;
    unsigned seed;
} Shared;

static void *pack_many(void *opaque)
{
    Shared *s = opaque;
    uint32_t seed = (uint32_t)__atomic_add_fetch(&s->seed, 1000, __ATOMIC_RELAXED);
    uint8_t *in = malloc(CLUSTER), *out = malloc(CLUSTER), *back = malloc(CLUSTER),
            *other = malloc(CLUSTER);
    size_t ours = 0, theirs = 0;

    for (unsigned i = 0; i < 40; i++) {
        words(in, CLUSTER, seed + i);
        noise(in, i * 500, seed + i);
        size_t n = qcow2_pack(&s->packers, s->how, in, CLUSTER, out, CLUSTER - 1);
        g_assert_cmpuint(n, >, 0);
        memset(back, 0xaa, CLUSTER);
        g_assert_true(qcow2_unpack(&s->packers, s->how, out, n, back, CLUSTER));
        g_assert_true(!memcmp(in, back, CLUSTER));
        /* cut short it is an error, and the next is read all the same */
        g_assert_false(qcow2_unpack(&s->packers, s->how, out, n / 2, back, CLUSTER));
        if (s->how == QCOW2_ZSTD)
            continue;
        memset(back, 0xaa, CLUSTER);
        g_assert_true(strict_unpack(out, n, back, CLUSTER));
        g_assert_true(!memcmp(in, back, CLUSTER));
        ours += n;
        theirs += level_6(in, other);
    }
    g_assert_cmpuint(ours * 100, <=, theirs * 101);
    free(in);
    free(out);
    free(back);
    free(other);
    return NULL;
}

static void on_threads(Qcow2Compression how)
{
    Shared s = { .how = how };
    pthread_t threads[4];

    qcow2_packers_init(&s.packers);
    for (unsigned i = 0; i < G_N_ELEMENTS(threads); i++)
        g_assert_cmpint(pthread_create(&threads[i], NULL, pack_many, &s), ==, 0);
    for (unsigned i = 0; i < G_N_ELEMENTS(threads); i++)
        pthread_join(threads[i], NULL);
    qcow2_packers_clear(&s.packers);
}

static void zlib_threads(void)
{
    on_threads(QCOW2_ZLIB);
}

static void zstd_threads(void)
{
    on_threads(QCOW2_ZSTD);
}

/* Noise does not get shorter; noise that repeats, or bytes that are merely evenly spread, do. */
static void of_noise(void)
{
    uint8_t *in = malloc(CLUSTER), *out = malloc(CLUSTER);
    Qcow2Packers packers;

    qcow2_packers_init(&packers);
    for (unsigned seed = 1; seed < 100; seed++) {
        noise(in, CLUSTER, seed * 7919);
        g_assert_cmpuint(qcow2_pack(&packers, QCOW2_ZLIB, in, CLUSTER, out, CLUSTER - 1), ==, 0);
        /* the second 2 KiB of each 4 are the first again */
        for (unsigned at = 0; at < CLUSTER; at += 4096)
            memcpy(in + at + 2048, in + at, 2048);
        size_t n = qcow2_pack(&packers, QCOW2_ZLIB, in, CLUSTER, out, CLUSTER - 1);
        g_assert_cmpuint(n, >, 0);
        g_assert_cmpuint(n, <, CLUSTER * 6 / 10);
    }
    for (unsigned i = 0; i < CLUSTER; i++)
        in[i] = (uint8_t)i;
    size_t n = qcow2_pack(&packers, QCOW2_ZLIB, in, CLUSTER, out, CLUSTER - 1);
    g_assert_cmpuint(n, >, 0);
    g_assert_cmpuint(n, <, 2048);
    qcow2_packers_clear(&packers);
    free(in);
    free(out);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/qcow2/pack/zlib", zlib_threads);
    g_test_add_func("/qcow2/pack/zstd", zstd_threads);
    g_test_add_func("/qcow2/pack/noise", of_noise);
    return g_test_run();
}
