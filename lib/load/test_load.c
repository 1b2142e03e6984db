/* SPDX-License-Identifier: MIT */
/* Files made by hand and by the compressors: what is accepted, where it goes, what is refused. */
#include "base/bytes.h"
#include "load/load.h"

#include <glib/gstdio.h>
#include <sys/stat.h>
#include <zlib.h>
#include <zstd.h>

/* One PT_LOAD of 16 bytes in the file and 32 in memory. */
static GByteArray *make_elf(bool is64, bool big, unsigned machine, uint64_t vaddr, uint64_t paddr)
{
    GByteArray *a = g_byte_array_new();
    g_byte_array_set_size(a, 0x100 + 16);
    uint8_t *d = a->data;
    memset(d, 0, a->len);
    memcpy(d, "\177ELF", 4);
    d[4] = is64 ? 2 : 1;
    d[5] = big ? 2 : 1;
    d[6] = 1;
#define P16(at, v) (big ? st_be16(d + (at), (uint16_t)(v)) : st_le16(d + (at), (uint16_t)(v)))
#define P32(at, v) (big ? st_be32(d + (at), (uint32_t)(v)) : st_le32(d + (at), (uint32_t)(v)))
#define P64(at, v) (big ? st_be64(d + (at), (v)) : st_le64(d + (at), (v)))
    P16(16, 2);
    P16(18, machine);
    if (is64) {
        P64(24, vaddr + 4);
        P64(32, 64);
        P16(54, 56);
        P16(56, 1);
        P32(64, 1);
        P32(68, 5);
        P64(72, 0x100);
        P64(80, vaddr);
        P64(88, paddr);
        P64(96, 16);
        P64(104, 32);
    } else {
        P32(24, vaddr + 4);
        P32(28, 52);
        P16(42, 32);
        P16(44, 1);
        P32(52, 1);
        P32(56, 0x100);
        P32(60, vaddr);
        P32(64, paddr);
        P32(68, 16);
        P32(72, 32);
        P32(76, 5);
    }
#undef P16
#undef P32
#undef P64
    memcpy(d + 0x100, "sixteen bytes...", 16);
    return a;
}

static LoadImage *load_array(GByteArray *a, GError **error)
{
    g_autoptr(GBytes) bytes = g_bytes_new(a->data, a->len);
    return load_image(bytes, "kernel", error);
}

static void test_elf(void)
{
    static const struct {
        bool is64, big;
        unsigned machine;
        const char *arch;
    } cases[] = {
        { true, false, 243, "riscv64" }, { false, false, 243, "riscv32" },
        { true, false, 183, "aarch64" }, { true, true, 21, "ppc64" },
        { false, true, 8, "mips" },      { true, true, 22, "s390x" },
        { true, true, 9999, NULL },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GByteArray) a = make_elf(cases[i].is64, cases[i].big, cases[i].machine,
                                           0xc0000000, 0x80200000);
        g_autoptr(LoadImage) m = load_array(a, NULL);
        g_assert_nonnull(m);
        g_assert_cmpint(m->id.kind, ==, LOAD_ELF);
        g_assert_cmpstr(m->id.arch, ==, cases[i].arch);
        g_assert_true(m->placed);
        g_assert_cmphex(m->entry, ==, 0x80200004); /* physical */
        g_assert_cmpuint(m->count, ==, 1);
        g_assert_cmphex(m->segments[0].addr, ==, 0x80200000);
        g_assert_cmpuint(m->segments[0].mem_size, ==, 32);
        g_assert_cmpmem(g_bytes_get_data(m->segments[0].data, NULL),
                        g_bytes_get_size(m->segments[0].data), "sixteen bytes...", 16);
    }
}

static void test_elf_movable(void)
{
    g_autoptr(GByteArray) a = make_elf(true, false, 243, UINT64_C(0xffffffff80000000), 0);
    g_autoptr(LoadImage) m = load_array(a, NULL);
    g_assert_nonnull(m);
    g_assert_false(m->placed);
    g_assert_cmphex(m->entry, ==, 4);
}

/* Bytes of a good 64-bit file changed: offset, width, value, and a word of the message. */
static void test_elf_refused(void)
{
    static const struct {
        unsigned at, width;
        uint64_t value;
        const char *says;
    } cases[] = {
        { 4, 1, 3, "class" },
        { 5, 1, 0, "byte order" },
        { 16, 2, 1, "type 1" },
        { 32, 8, 0x10000, "program headers at offset 65536" },
        { 32, 8, UINT64_MAX - 8, "past the end" },
        { 54, 2, 55, "too small" },
        { 56, 2, 0, "no program headers" },
        { 56, 2, 0xffff, "at most" },
        { 64, 4, 2, "no segment" },
        { 72, 8, UINT64_MAX, "segment 0 at offset" },
        { 96, 8, 17, "past the end" },
        { 96, 8, 64, "in memory" },
        { 88, 8, UINT64_MAX - 3, "wraps" },
        { 104, 8, UINT64_MAX, "wraps" },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GByteArray) a = make_elf(true, false, 243, 0x80200000, 0x80200000);
        g_autoptr(GError) error = NULL;
        for (unsigned b = 0; b < cases[i].width; b++)
            a->data[cases[i].at + b] = (uint8_t)(cases[i].value >> (8 * b));
        g_assert_null(load_array(a, &error));
        g_assert_true(g_str_has_prefix(error->message, "kernel: "));
        if (!strstr(error->message, cases[i].says))
            g_error("case %zu: %s", i, error->message);
    }
    for (guint len = 4; len < 64; len += 7) {
        g_autoptr(GByteArray) a = make_elf(true, false, 243, 0x80200000, 0x80200000);
        g_autoptr(GError) error = NULL;
        g_byte_array_set_size(a, len);
        g_assert_null(load_array(a, &error));
        g_assert_nonnull(strstr(error->message, "ELF header"));
    }
}

static GByteArray *make_image(const char *magic2, uint64_t text_offset, uint64_t image_size)
{
    GByteArray *a = g_byte_array_new();
    g_byte_array_set_size(a, 5000);
    memset(a->data, 0x13, a->len);
    memset(a->data, 0, 64);
    st_le64(a->data + 8, text_offset);
    st_le64(a->data + 16, image_size);
    if (!strcmp(magic2, "RSC\005"))
        memcpy(a->data + 48, "RISCV\0\0", 8);
    memcpy(a->data + 56, magic2, 4);
    return a;
}

static void test_linux_images(void)
{
    static const struct {
        const char *magic, *arch;
        LoadKind kind;
        uint64_t text_offset, image_size, offset, mem_size;
    } cases[] = {
        { "RSC\005", "riscv64", LOAD_IMAGE_RISCV, 0x200000, 20000, 0x200000, 20000 },
        { "RSC\005", "riscv32", LOAD_IMAGE_RISCV, 0x400000, 20000, 0x400000, 20000 },
        { "ARM\x64", "aarch64", LOAD_IMAGE_ARM64, 0, 9000, 0, 9000 },
        { "ARM\x64", "aarch64", LOAD_IMAGE_ARM64, 0, 0, 0x80000, 5000 },
        { "RSC\005", "riscv64", LOAD_IMAGE_RISCV, 0x200000, 100, 0x200000, 5000 },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GByteArray) a =
            make_image(cases[i].magic, cases[i].text_offset, cases[i].image_size);
        g_autoptr(LoadImage) m = load_array(a, NULL);
        g_assert_nonnull(m);
        g_assert_cmpint(m->id.kind, ==, cases[i].kind);
        g_assert_cmpstr(m->id.arch, ==, cases[i].arch);
        g_assert_false(m->placed);
        g_assert_cmphex(m->offset, ==, cases[i].offset);
        g_assert_cmpuint(m->mem_size, ==, cases[i].mem_size);
        g_assert_cmpuint(m->entry, ==, 0);
    }
    g_autoptr(GByteArray) huge = make_image("RSC\005", 0x200000, UINT64_C(1) << 40);
    g_autoptr(GError) error = NULL;
    g_assert_null(load_array(huge, &error));
    g_assert_nonnull(strstr(error->message, "image size"));
    g_clear_error(&error);
    g_autoptr(GByteArray) odd = make_image("RSC\005", 12345, 9000);
    g_assert_null(load_array(odd, &error));
    g_assert_nonnull(strstr(error->message, "text offset"));
}

static GByteArray *gzip_of(const void *data, size_t size)
{
    GByteArray *a = g_byte_array_new();
    z_stream z = { .next_in = (Bytef *)data, .avail_in = (uInt)size };
    g_assert_cmpint(deflateInit2(&z, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), ==, Z_OK);
    g_byte_array_set_size(a, (guint)deflateBound(&z, size) + 64);
    z.next_out = a->data;
    z.avail_out = a->len;
    g_assert_cmpint(deflate(&z, Z_FINISH), ==, Z_STREAM_END);
    g_byte_array_set_size(a, (guint)z.total_out);
    deflateEnd(&z);
    return a;
}

static GByteArray *zstd_of(const void *data, size_t size)
{
    GByteArray *a = g_byte_array_new();
    g_byte_array_set_size(a, (guint)ZSTD_compressBound(size));
    ZSTD_CCtx *z = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(z, ZSTD_c_checksumFlag, 1); /* as the zstd program does */
    size_t n = ZSTD_compress2(z, a->data, a->len, data, size);
    g_assert_false(ZSTD_isError(n));
    ZSTD_freeCCtx(z);
    g_byte_array_set_size(a, (guint)n);
    return a;
}

static void test_compressed(void)
{
    g_autoptr(GByteArray) plain = make_image("RSC\005", 0x200000, 1 << 20);
    g_byte_array_set_size(plain, 600000); /* more than one chunk */
    for (guint i = 64; i < plain->len; i++)
        plain->data[i] = (uint8_t)(i * 2654435761u >> 13);
    g_autoptr(GByteArray) gz = gzip_of(plain->data, plain->len);
    g_autoptr(GByteArray) zst = zstd_of(plain->data, plain->len);
    g_autoptr(GByteArray) zboot = g_byte_array_new();
    g_byte_array_set_size(zboot, 64);
    memset(zboot->data, 0, 64);
    memcpy(zboot->data, "MZ\0\0zimg", 8);
    st_le32(zboot->data + 8, 64);
    st_le32(zboot->data + 12, zst->len);
    memcpy(zboot->data + 24, "zstd", 4);
    g_byte_array_append(zboot, zst->data, zst->len);
    GByteArray *const forms[] = { gz, zst, zboot };
    for (size_t i = 0; i < G_N_ELEMENTS(forms); i++) {
        GByteArray *f = forms[i];
        g_autoptr(LoadImage) m = load_array(f, NULL);
        g_assert_nonnull(m);
        g_assert_cmpint(m->id.kind, ==, LOAD_IMAGE_RISCV);
        g_assert_cmpmem(plain->data, plain->len, g_bytes_get_data(m->segments[0].data, NULL),
                        g_bytes_get_size(m->segments[0].data));
        g_autoptr(GError) error = NULL;
        guint full = f->len;
        g_byte_array_set_size(f, full / 2);
        g_assert_null(load_array(f, &error));
        g_assert_nonnull(strstr(error->message, i == 2 ? "past the end" : "ends in the middle"));
        g_clear_error(&error);
        f->len = full; /* the bytes are still there */
        memset(f->data + 100, 0xff, 200);
        g_assert_null(load_array(f, &error));
        g_assert_nonnull(strstr(error->message, "damaged"));
    }
}

/* 1 GiB and more of zeros in a megabyte: refused at the limit. */
static void test_bomb(void)
{
    if (!g_test_slow()) {
        g_test_skip("takes a gigabyte of memory");
        return;
    }
    g_autofree uint8_t *zeros = g_malloc0(1 << 20);
    g_autoptr(GByteArray) a = g_byte_array_new();
    z_stream z = { 0 };
    g_assert_cmpint(deflateInit2(&z, 9, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), ==, Z_OK);
    g_byte_array_set_size(a, 4 << 20);
    z.next_out = a->data;
    z.avail_out = a->len;
    for (int i = 0; i < 1100; i++) {
        z.next_in = zeros;
        z.avail_in = 1 << 20;
        g_assert_cmpint(deflate(&z, i == 1099 ? Z_FINISH : Z_NO_FLUSH), !=, Z_STREAM_ERROR);
    }
    g_byte_array_set_size(a, (guint)z.total_out);
    deflateEnd(&z);
    g_autoptr(GError) error = NULL;
    g_assert_null(load_array(a, &error));
    g_assert_nonnull(strstr(error->message, "unpacked"));
}

static void test_other_kinds(void)
{
    g_autoptr(GByteArray) a = g_byte_array_new();
    g_autoptr(GError) error = NULL;
    g_byte_array_set_size(a, 4096);
    memset(a->data, 0, 4096);
    memcpy(a->data + 0x202, "HdrS", 4);
    g_assert_null(load_array(a, &error));
    g_assert_nonnull(strstr(error->message, "bzImage"));
    g_clear_error(&error);
    memset(a->data, 0, 4096);
    memcpy(a->data, "\xfd" "7zXZ\0", 6);
    g_assert_null(load_array(a, &error));
    g_assert_nonnull(strstr(error->message, "xz"));
    memset(a->data, 0x13, 4096);
    g_autoptr(LoadImage) raw = load_array(a, NULL);
    g_assert_cmpint(raw->id.kind, ==, LOAD_RAW);
    g_assert_cmpuint(raw->mem_size, ==, 4096);
    g_assert_false(raw->placed);
}

static void test_files(void)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(load_image_file("/nonexistent/Image", &error));
    g_assert_nonnull(strstr(error->message, "/nonexistent/Image"));
    g_clear_error(&error);
    g_assert_null(load_image_file("/", &error));
    g_assert_nonnull(strstr(error->message, "directory"));
    g_clear_error(&error);
    g_assert_null(load_image_file("/dev/null", &error));
    g_assert_nonnull(strstr(error->message, "empty"));
    g_clear_error(&error);
    g_assert_null(load_read("/dev/zero", 100000, &error));
    g_assert_nonnull(strstr(error->message, "larger than 100000"));
    g_autofree char *dir = g_dir_make_tmp("load-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "k", NULL);
    g_assert_true(g_file_set_contents(path, "some words", -1, NULL));
    g_autoptr(GBytes) bytes = load_read(path, 10, NULL);
    g_assert_cmpuint(g_bytes_get_size(bytes), ==, 10);
    g_clear_error(&error);
    g_assert_null(load_read(path, 9, &error));
    g_assert_nonnull(strstr(error->message, "at most 9"));
    g_unlink(path);
    g_rmdir(dir);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/load/elf", test_elf);
    g_test_add_func("/load/elf/movable", test_elf_movable);
    g_test_add_func("/load/elf/refused", test_elf_refused);
    g_test_add_func("/load/linux", test_linux_images);
    g_test_add_func("/load/compressed", test_compressed);
    g_test_add_func("/load/bomb", test_bomb);
    g_test_add_func("/load/other", test_other_kinds);
    g_test_add_func("/load/files", test_files);
    return g_test_run();
}
