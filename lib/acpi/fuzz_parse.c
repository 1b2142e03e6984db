/* SPDX-License-Identifier: MIT */
/* Any bytes as a table, and as SMBIOS: no field may lie outside of them. */
#include "acpi/parse.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    const uint8_t *data;
    size_t len;
    uint64_t sum;
} Seen;

static void seen(void *opaque, const AcpiField *f)
{
    Seen *s = opaque;
    if (f->offset > s->len || f->size > s->len - f->offset || f->bytes != s->data + f->offset ||
        !f->name[0])
        abort();
    for (size_t i = 0; i < f->size; i++)
        s->sum += f->bytes[i];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* a copy of the right length makes a read past the end an error */
    uint8_t *copy = malloc(size ? size : 1);
    memcpy(copy, data, size);
    if (size >= 8 && memcmp(copy, "RSD PTR ", 8)) {
        copy[4] = (uint8_t)size;
        copy[5] = (uint8_t)(size >> 8);
        copy[6] = (uint8_t)(size >> 16);
        copy[7] = (uint8_t)(size >> 24);
    }
    Seen s = {copy, size, 0};
    acpi_parse(copy, size, seen, &s, NULL);
    memcpy(copy, data, size);
    smbios_parse(copy, size, seen, &s, NULL);
    free(copy);
    return 0;
}
