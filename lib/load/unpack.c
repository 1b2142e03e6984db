/* SPDX-License-Identifier: MIT */
/*
 * Compressed kernels: gzip (RFC 1952), zstd (RFC 8878), and the EFI zboot wrapper (Linux
 * drivers/firmware/efi/libstub/zboot-header.S: "MZ", "zimg" at 4, payload offset and size at 8 and
 * 12, method at 24) around either. Output is limited to LOAD_UNPACKED_MAX; bytes after the first
 * compressed stream are ignored, as boot loaders append such.
 */
#include "base/bytes.h"
#include "base/error.h"
#include "load/load_priv.h"

#include <zlib.h>
#include <zstd.h>

#define CHUNK 262144u
#define NESTING_MAX 2

/* Room for another chunk, within the limit. */
static bool grow(GByteArray *out, const char *method, GError **error)
{
    if (out->len >= LOAD_UNPACKED_MAX)
        return fail(error, "%s data: more than %" G_GUINT64_FORMAT " bytes unpacked", method,
                    LOAD_UNPACKED_MAX);
    g_byte_array_set_size(out, out->len + CHUNK);
    return true;
}

/* used: bytes up to the end of what was packed; there may be more. */
static GBytes *unpack_gzip(const uint8_t *data, size_t size, size_t *used, GError **error)
{
    z_stream z = { .next_in = (Bytef *)data, .avail_in = (uInt)MIN(size, UINT32_MAX) };
    g_autoptr(GByteArray) out = g_byte_array_new();
    if (inflateInit2(&z, 15 + 16) != Z_OK) {
        fail(error, "gzip data: zlib does not start");
        return NULL;
    }
    int r = Z_OK;
    while (r == Z_OK) {
        guint had = out->len;
        if (!grow(out, "gzip", error)) {
            inflateEnd(&z);
            return NULL;
        }
        z.next_out = out->data + had;
        z.avail_out = CHUNK;
        r = inflate(&z, Z_NO_FLUSH);
        g_byte_array_set_size(out, had + CHUNK - z.avail_out);
    }
    uint64_t at = z.total_in;
    *used = at;
    inflateEnd(&z);
    if (r == Z_STREAM_END)
        return g_byte_array_free_to_bytes(g_steal_pointer(&out));
    if (r == Z_BUF_ERROR)
        fail(error, "gzip data: the file ends in the middle, at offset %" G_GUINT64_FORMAT, at);
    else
        fail(error, "gzip data: damaged at offset %" G_GUINT64_FORMAT, at);
    return NULL;
}

static GBytes *unpack_zstd(const uint8_t *data, size_t size, size_t *used, GError **error)
{
    ZSTD_DStream *z = ZSTD_createDStream();
    ZSTD_inBuffer in = { data, size, 0 };
    g_autoptr(GByteArray) out = g_byte_array_new();
    GBytes *result = NULL;
    size_t r = 1;
    while (r) {
        guint had = out->len;
        if (!grow(out, "zstd", error))
            break;
        ZSTD_outBuffer to = { out->data + had, CHUNK, 0 };
        r = ZSTD_decompressStream(z, &to, &in);
        g_byte_array_set_size(out, had + (guint)to.pos);
        if (ZSTD_isError(r)) {
            fail(error, "zstd data: damaged at offset %zu (%s)", in.pos, ZSTD_getErrorName(r));
            break;
        }
        if (r && in.pos == in.size && to.pos < to.size) {
            fail(error, "zstd data: the file ends in the middle, at offset %zu", in.pos);
            break;
        }
    }
    ZSTD_freeDStream(z);
    *used = in.pos;
    if (!r)
        result = g_byte_array_free_to_bytes(g_steal_pointer(&out));
    return result;
}

static bool is_zboot(const uint8_t *data, size_t size)
{
    return size >= 64 && data[0] == 'M' && data[1] == 'Z' && !memcmp(data + 4, "zimg", 4);
}

static bool zboot_payload(const uint8_t **data, size_t *size, GError **error)
{
    uint32_t offset = ld_le32(*data + 8), len = ld_le32(*data + 12);
    if (offset > *size || len > *size - offset)
        return fail(error, "EFI zboot header: payload at offset %u (%u bytes) goes past the end of "
                    "the file (%zu bytes)", offset, len, *size);
    const char *method = (const char *)*data + 24;
    if (strncmp(method, "gzip", 4) && strncmp(method, "zstd", 4))
        return fail(error, "EFI zboot header: compressed with '%.8s', only gzip and zstd are known",
                    method);
    *data += offset;
    *size = len;
    return true;
}

/* Other compressors' magic numbers, for the message. */
static const char *other_method(const uint8_t *data, size_t size)
{
    static const struct {
        const char *magic;
        uint8_t len;
        const char *name;
    } methods[] = {
        { "\xfd" "7zXZ\0", 6, "xz" },       { "BZh", 3, "bzip2" },
        { "\x5d\0\0", 3, "lzma" },          { "\x89LZO\0", 5, "lzo" },
        { "\x02\x21\x4c\x18", 4, "lz4" },   { "\x04\x22\x4d\x18", 4, "lz4" },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(methods); i++) {
        if (size >= methods[i].len && !memcmp(data, methods[i].magic, methods[i].len))
            return methods[i].name;
    }
    return NULL;
}

static bool is_gzip(const uint8_t *data, size_t size)
{
    return size >= 2 && data[0] == 0x1f && data[1] == 0x8b;
}

static bool is_zstd(const uint8_t *data, size_t size)
{
    return size >= 4 && ld_le32(data) == 0xfd2fb528;
}

GBytes *load_unpack_first(GBytes *packed, size_t *used)
{
    gsize size;
    const uint8_t *data = g_bytes_get_data(packed, &size);
    return is_gzip(data, size)   ? unpack_gzip(data, size, used, NULL)
           : is_zstd(data, size) ? unpack_zstd(data, size, used, NULL)
                                 : NULL;
}

GBytes *load_unpack(GBytes *packed, const char *name, GError **error)
{
    g_autoptr(GBytes) bytes = g_bytes_ref(packed);
    for (int depth = 0; depth < NESTING_MAX; depth++) {
        gsize size;
        const uint8_t *data = g_bytes_get_data(bytes, &size);
        GBytes *next = NULL;
        if (is_zboot(data, size) && !zboot_payload(&data, &size, error)) {
            prefix(error, "%s", name);
            return NULL;
        }
        size_t used;
        if (is_gzip(data, size)) {
            next = unpack_gzip(data, size, &used, error);
        } else if (is_zstd(data, size)) {
            next = unpack_zstd(data, size, &used, error);
        } else if (other_method(data, size)) {
            fail(error, "compressed with %s; unpack it first", other_method(data, size));
        } else {
            break;
        }
        if (!next) {
            prefix(error, "%s", name);
            return NULL;
        }
        g_bytes_unref(bytes);
        bytes = next;
    }
    return g_steal_pointer(&bytes);
}
