/* SPDX-License-Identifier: MIT */
/* Any bytes as an initial RAM disk. */
#include "load/load.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = { "bin/sh", "init", NULL };
    bool found[2] = {0};
    g_autoptr(GBytes) bytes = g_bytes_new(data, size);
    load_cpio_has(bytes, names, found);
    return 0;
}
