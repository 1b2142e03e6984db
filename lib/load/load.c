/* SPDX-License-Identifier: MIT */
/* Files to bytes, what bytes are, and the choice of a reader; see load.h. */
#include "base/error.h"
#include "load/load_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

LoadIdentity load_identify(const uint8_t *data, size_t size)
{
    LoadIdentity id = { LOAD_RAW, NULL };
    if (!load_elf_identify(data, size, &id))
        load_linux_identify(data, size, &id);
    return id;
}

const char *load_kind_text(LoadKind kind)
{
    switch (kind) {
    case LOAD_RAW:
        return "a raw binary";
    case LOAD_ELF:
        return "an ELF file";
    case LOAD_IMAGE_RISCV:
        return "a RISC-V Linux image";
    case LOAD_IMAGE_ARM64:
        return "an arm64 Linux image";
    case LOAD_ZIMAGE:
        return "an Arm zImage";
    case LOAD_BZIMAGE:
        return "an x86 bzImage";
    case LOAD_UIMAGE:
        return "a U-Boot image";
    case LOAD_EFI:
        return "an EFI program";
    }
    return "a file of an unknown kind";
}

static GBytes *read_stream(int fd, const char *path, uint64_t max, GError **error)
{
    g_autoptr(GByteArray) all = g_byte_array_new();
    g_autofree uint8_t *buf = g_malloc(65536);
    for (;;) {
        ssize_t n = read(fd, buf, 65536);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            fail_errno(error, errno, "cannot read %s", path);
            return NULL;
        }
        if (!n)
            return g_byte_array_free_to_bytes(g_steal_pointer(&all));
        if (all->len + (uint64_t)n > max) {
            fail(error, "%s: larger than %" G_GUINT64_FORMAT " bytes", path, max);
            return NULL;
        }
        g_byte_array_append(all, buf, (guint)n);
    }
}

GBytes *load_read(const char *path, uint64_t max, GError **error)
{
    struct stat st;
    max = MIN(max, LOAD_MAX);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st)) {
        fail_errno(error, errno, "cannot open %s", path);
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    GBytes *bytes = NULL;
    if (S_ISDIR(st.st_mode)) {
        fail(error, "%s: is a directory", path);
    } else if (S_ISREG(st.st_mode) && (uint64_t)st.st_size > max) {
        fail(error, "%s: %" G_GINT64_FORMAT " bytes, at most %" G_GUINT64_FORMAT " can be used",
             path, (gint64)st.st_size, max);
    } else if (S_ISREG(st.st_mode) && st.st_size) {
        g_autoptr(GMappedFile) map = g_mapped_file_new_from_fd(fd, FALSE, error);
        if (map)
            bytes = g_mapped_file_get_bytes(map);
        else
            prefix(error, "%s", path);
    } else {
        bytes = read_stream(fd, path, max, error);
    }
    close(fd);
    if (bytes && !g_bytes_get_size(bytes)) {
        fail(error, "%s: is empty", path);
        g_clear_pointer(&bytes, g_bytes_unref);
    }
    return bytes;
}

void load_single(LoadImage *image, GBytes *bytes, uint64_t mem_size)
{
    image->placed = false;
    image->entry = 0;
    image->count = 1;
    image->segments = g_new0(LoadSegment, 1);
    image->segments[0].data = g_bytes_ref(bytes);
    image->segments[0].mem_size = image->mem_size = MAX(mem_size, g_bytes_get_size(bytes));
}

LoadImage *load_image(GBytes *packed, const char *name, GError **error)
{
    g_autoptr(GBytes) bytes = load_unpack(packed, name, error);
    if (!bytes)
        return NULL;
    gsize size;
    const uint8_t *data = g_bytes_get_data(bytes, &size);
    g_autoptr(LoadImage) image = g_new0(LoadImage, 1);
    image->name = g_strdup(name);
    if (!size) {
        fail(error, "%s: is empty", name);
        return NULL;
    }
    image->id = load_identify(data, size);
    bool ok = true;
    switch (image->id.kind) {
    case LOAD_ELF:
        ok = load_elf(image, bytes, error);
        break;
    case LOAD_IMAGE_RISCV:
    case LOAD_IMAGE_ARM64:
        ok = load_linux(image, bytes, error);
        break;
    case LOAD_RAW:
        load_single(image, bytes, size);
        break;
    case LOAD_ZIMAGE:
    case LOAD_BZIMAGE:
    case LOAD_UIMAGE:
    case LOAD_EFI:
        ok = fail(error, "%s, which cannot be started directly", load_kind_text(image->id.kind));
        break;
    }
    if (!ok) {
        prefix(error, "%s", name);
        return NULL;
    }
    return g_steal_pointer(&image);
}

LoadImage *load_raw(GBytes *bytes, const char *name)
{
    LoadImage *image = g_new0(LoadImage, 1);
    image->name = g_strdup(name);
    load_single(image, bytes, g_bytes_get_size(bytes));
    return image;
}

LoadImage *load_image_file(const char *path, GError **error)
{
    g_autoptr(GBytes) bytes = load_read(path, LOAD_MAX, error);
    return bytes ? load_image(bytes, path, error) : NULL;
}

void load_image_free(LoadImage *image)
{
    if (!image)
        return;
    for (size_t i = 0; i < image->count; i++)
        g_bytes_unref(image->segments[i].data);
    g_free(image->segments);
    g_free(image->name);
    g_free(image);
}
