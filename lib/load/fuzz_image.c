/* SPDX-License-Identifier: MIT */
/* Any bytes as a kernel file: whatever is accepted must lie within the file and the limits. */
#include "load/load.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GBytes) bytes = g_bytes_new(data, size);
    g_autoptr(GError) error = NULL;
    g_autoptr(LoadImage) image = load_image(bytes, "fuzz", &error);
    g_assert((image == NULL) == (error != NULL));
    if (!image)
        return 0;
    volatile uint8_t sum = 0;
    g_assert(image->count >= 1);
    for (size_t i = 0; i < image->count; i++) {
        gsize n;
        const uint8_t *p = g_bytes_get_data(image->segments[i].data, &n);
        g_assert(n <= image->segments[i].mem_size);
        if (n)
            sum = (uint8_t)(sum + p[0] + p[n - 1]);
    }
    return 0;
}
