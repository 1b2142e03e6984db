/* SPDX-License-Identifier: MIT */
/* The guest's memory, as the front end hands it over: files mapped into an address space. */
#include "vhost/vhost_priv.h"

#include "base/error.h"

#include <inttypes.h>

static bool map(VhostBackend *b, const VhostRegion *at, int fd, GError **error)
{
    g_autofree char *name = g_strdup_printf("memory at %#" PRIx64, at->guest);
    if (at->user + at->size < at->user)
        return fail(error, "%s: it wraps around", name);
    for (guint i = 0; i < b->memory->len; i++) {
        const VhostRegion *other = &g_array_index(b->memory, VhostMemory, i).at;
        if (at->guest < other->guest + other->size && other->guest < at->guest + at->size)
            return fail(error, "%s: it overlaps that at %#" PRIx64, name, other->guest);
    }
    VhostMemory memory = { .at = *at };
    memory.region = bus_ram_map(b->space, name, at->guest, at->size, fd, at->offset, error);
    if (!memory.region)
        return false;
    g_array_append_val(b->memory, memory);
    vhost_guard(b, bus_ram_host(memory.region), at->size);
    return true;
}

static void unguard(void *opaque, BusRegion *region)
{
    vhost_unguard(opaque, bus_ram_host(region));
}

static void free_space(VhostBackend *b, BusSpace *space)
{
    if (space)
        bus_ram_each(space, unguard, b);
    bus_space_free(space);
}

void vhost_memory_clear(VhostBackend *b)
{
    free_space(b, b->space);
    b->space = bus_space_new("guest memory", false);
    g_array_set_size(b->memory, 0);
    b->taken = 0;
}

bool vhost_memory_renew(VhostBackend *b, GError **error)
{
    BusSpace *old = b->space;
    g_autoptr(GArray) memory = b->memory;
    bool ok = true;
    b->space = bus_space_new("guest memory", false);
    b->memory = g_array_new(FALSE, FALSE, sizeof(VhostMemory));
    b->taken = 0;
    for (guint i = 0; ok && i < memory->len; i++) {
        const VhostMemory *m = &g_array_index(memory, VhostMemory, i);
        ok = map(b, &m->at, bus_ram_fd(m->region), error);
    }
    free_space(b, old);
    return ok;
}

bool vhost_memory_set(VhostBackend *b, VhostMessage *m, GError **error)
{
    uint32_t n = m->body.memory.count;
    if (n > VHOST_MAX_REGIONS || m->fd_count != n || m->head.size < 8 + n * sizeof(VhostRegion))
        return fail(error, "a memory table of %" PRIu32 " regions has %u files", n, m->fd_count);
    vhost_memory_clear(b);
    for (uint32_t i = 0; i < n; i++)
        if (!map(b, &m->body.memory.regions[i], m->fds[i], error))
            return false;
    return true;
}

bool vhost_memory_add(VhostBackend *b, VhostMessage *m, GError **error)
{
    if (m->fd_count != 1 || m->head.size < sizeof m->body.slot)
        return fail(error, "a memory region without its file");
    if (b->memory->len >= VHOST_MAX_SLOTS)
        return fail(error, "more than %d memory regions", VHOST_MAX_SLOTS);
    return map(b, &m->body.slot.region, m->fds[0], error);
}

bool vhost_memory_remove(VhostBackend *b, VhostMessage *m, GError **error)
{
    const VhostRegion *want = &m->body.slot.region;
    for (guint i = 0; m->head.size >= sizeof m->body.slot && i < b->memory->len; i++) {
        VhostMemory *memory = &g_array_index(b->memory, VhostMemory, i);
        if (memory->at.guest != want->guest || memory->at.size != want->size ||
            memory->at.user != want->user)
            continue;
        /* it stays mapped as long as the space, as requests may be using it */
        bus_region_remove(memory->region);
        b->taken++;
        g_array_remove_index_fast(b->memory, i);
        return true;
    }
    return fail(error, "no such memory region: %#" PRIx64 " bytes at %#" PRIx64, want->size,
                want->guest);
}

bool vhost_memory_find(const VhostBackend *b, uint64_t user, uint64_t *guest)
{
    for (guint i = 0; i < b->memory->len; i++) {
        const VhostRegion *at = &g_array_index(b->memory, VhostMemory, i).at;
        if (user - at->user < at->size) {
            *guest = at->guest + (user - at->user);
            return true;
        }
    }
    return false;
}
