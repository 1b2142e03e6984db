/* SPDX-License-Identifier: MIT */
/* Numbers for things that guests name: place + 1 in the low half, how often the place was given
 * before in the high one. The first thing ever added gets number 1, which is what FUSE calls the
 * root. */
#include "fs/fs_priv.h"

static bool grow(FsSlots *s)
{
    if (s->size > UINT32_MAX / 4)
        return false;
    uint32_t size = s->size ? s->size * 2 : 64;
    s->items = g_renew(void *, s->items, size);
    s->generations = g_renew(uint32_t, s->generations, size);
    s->free_next = g_renew(uint32_t, s->free_next, size);
    for (uint32_t i = size; i > s->size; i--) {
        s->items[i - 1] = NULL;
        s->generations[i - 1] = 0;
        s->free_next[i - 1] = s->free_head;
        s->free_head = i;
    }
    s->size = size;
    return true;
}

uint64_t fs_slots_add(FsSlots *s, void *item)
{
    if (!s->free_head && !grow(s))
        return 0;
    uint32_t i = s->free_head - 1;
    s->free_head = s->free_next[i];
    s->items[i] = item;
    s->count++;
    return (uint64_t)s->generations[i] << 32 | (i + 1);
}

void *fs_slots_find(const FsSlots *s, uint64_t id)
{
    uint32_t i = (uint32_t)id - 1;
    return (uint32_t)id && i < s->size && s->generations[i] == id >> 32 ? s->items[i] : NULL;
}

void fs_slots_remove(FsSlots *s, uint64_t id)
{
    if (!fs_slots_find(s, id))
        return;
    uint32_t i = (uint32_t)id - 1;
    s->items[i] = NULL;
    s->generations[i]++;
    s->free_next[i] = s->free_head;
    s->free_head = i + 1;
    s->count--;
}

bool fs_slots_restore(FsSlots *s, uint32_t place, uint32_t generation, void *item)
{
    while (place >= s->size)
        if (!grow(s))
            return false;
    s->items[place] = item;
    s->generations[place] = generation;
    return true;
}

void fs_slots_restored(FsSlots *s)
{
    s->count = s->free_head = 0;
    for (uint32_t i = s->size; i > 0; i--) {
        if (s->items[i - 1]) {
            s->count++;
            continue;
        }
        s->free_next[i - 1] = s->free_head;
        s->free_head = i;
    }
}

void fs_slots_clear(FsSlots *s)
{
    g_free(s->items);
    g_free(s->generations);
    g_free(s->free_next);
    *s = (FsSlots){ 0 };
}
