/* SPDX-License-Identifier: MIT */
/*
 * Linux boot images. RISC-V and arm64 share a 64-byte header (Documentation/riscv/
 * boot-image-header.rst and Documentation/arm64/booting.rst): code at 0, text_offset at 8,
 * image_size at 16, flags at 24, magic at 48 (RISC-V only) and at 56. Other kernels are told apart by their
 * magic numbers and not loaded.
 */
#include "base/bits.h"
#include "base/bytes.h"
#include "base/error.h"
#include "load/load_priv.h"

enum {
    HEADER_SIZE = 64,
    HEADER_TEXT_OFFSET = 8,
    HEADER_IMAGE_SIZE = 16,
    HEADER_FLAGS = 24,
    HEADER_MAGIC = 48,
    HEADER_MAGIC2 = 56,
    FLAG_BIG_ENDIAN = 1,
    ARM64_OLD_TEXT_OFFSET = 0x80000, /* where image_size is 0, the header's offset says nothing */
    RISCV32_TEXT_OFFSET = 0x400000,  /* one 4 MiB page of Sv32; RISC-V images do not name XLEN */
};

bool load_linux_identify(const uint8_t *data, size_t size, LoadIdentity *id)
{
    if (size >= HEADER_SIZE && !memcmp(data + HEADER_MAGIC2, "RSC\005", 4)) {
        id->kind = LOAD_IMAGE_RISCV;
        id->arch = ld_le64(data + HEADER_TEXT_OFFSET) == RISCV32_TEXT_OFFSET ? "riscv32"
                                                                             : "riscv64";
    } else if (size >= HEADER_SIZE && !memcmp(data + HEADER_MAGIC2, "ARM\x64", 4)) {
        id->kind = LOAD_IMAGE_ARM64;
        id->arch = "aarch64";
    } else if (size >= 0x206 && !memcmp(data + 0x202, "HdrS", 4)) {
        id->kind = LOAD_BZIMAGE;
        id->arch = "x86_64";
    } else if (size >= 0x28 && ld_le32(data + 0x24) == 0x016f2818) {
        id->kind = LOAD_ZIMAGE;
        id->arch = "arm";
    } else if (size >= 64 && ld_be32(data) == 0x27051956) {
        id->kind = LOAD_UIMAGE;
    } else if (size >= 64 && data[0] == 'M' && data[1] == 'Z' && ld_le32(data + 60) < size - 4 &&
               !memcmp(data + ld_le32(data + 60), "PE\0\0", 4)) {
        id->kind = LOAD_EFI;
    } else {
        return false;
    }
    return true;
}

bool load_linux(LoadImage *image, GBytes *bytes, GError **error)
{
    gsize size;
    const uint8_t *data = g_bytes_get_data(bytes, &size);
    uint64_t image_size = ld_le64(data + HEADER_IMAGE_SIZE);
    bool arm64 = image->id.kind == LOAD_IMAGE_ARM64;
    if (ld_le64(data + HEADER_FLAGS) & FLAG_BIG_ENDIAN && !arm64)
        return fail(error, "Linux image header: big-endian (flags at offset %d)", HEADER_FLAGS);
    if (!arm64 && memcmp(data + HEADER_MAGIC, "RISCV\0\0", 8))
        return fail(error, "Linux image header: bad magic number at offset %d", HEADER_MAGIC);
    if (image_size > LOAD_MAX)
        return fail(error, "Linux image header: image size of %" G_GUINT64_FORMAT
                    " bytes at offset %d is more than %" G_GUINT64_FORMAT, image_size,
                    HEADER_IMAGE_SIZE, LOAD_MAX);
    image->offset = ld_le64(data + HEADER_TEXT_OFFSET);
    if (arm64 && !image_size)
        image->offset = ARM64_OLD_TEXT_OFFSET;
    if (image->offset > LOAD_MAX || !is_aligned(image->offset, 4096))
        return fail(error, "Linux image header: text offset 0x%" G_GINT64_MODIFIER
                    "x at offset %d makes no sense", image->offset, HEADER_TEXT_OFFSET);
    load_single(image, bytes, image_size);
    return true;
}
