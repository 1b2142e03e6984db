/* SPDX-License-Identifier: MIT */
/* Any bytes as a program: what is accepted can be mapped without surprises. */
#include "load/load.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(LoadProgram) p = load_program(data, size, "fuzz", &error);
    g_assert((p == NULL) == (error != NULL));
    if (!p)
        return 0;
    g_assert(p->count >= 1 && p->align >= 4096 && !(p->align & (p->align - 1)));
    g_assert(p->low < p->high && p->high <= INT64_MAX);
    uint64_t end = p->low;
    for (size_t i = 0; i < p->count; i++) {
        const LoadProgramSegment *s = &p->segments[i];
        g_assert(s->addr >= end && s->mem_size >= s->file_size && s->mem_size);
        g_assert(s->offset <= size && s->file_size <= size - s->offset);
        g_assert(!s->file_size || (s->addr & 4095) == (s->offset & 4095));
        end = s->addr + s->mem_size;
        g_assert(end <= p->high);
    }
    if (p->interpreter)
        g_assert(strlen(p->interpreter) < 4096);
    return 0;
}
