/* SPDX-License-Identifier: MIT */
/*
 * Ids of users and groups as the guest has them and as the host has them: lines as virtiofsd's
 * --translate-uid has them. "map" goes both ways, "guest" and "host" one, "squash" ones make one id
 * of many.
 */
#include "base/error.h"
#include "fs/fs.h"

#include <string.h>

typedef struct {
    FsIdKind kind;
    uint32_t source, target, count;
} Line;

struct FsIdMap {
    GArray *lines;
};

FsIdMap *fs_id_map_new(void)
{
    FsIdMap *map = g_new0(FsIdMap, 1);
    map->lines = g_array_new(FALSE, FALSE, sizeof(Line));
    return map;
}

void fs_id_map_free(FsIdMap *map)
{
    if (!map)
        return;
    g_array_free(map->lines, TRUE);
    g_free(map);
}

static bool number(const char *text, uint32_t *value)
{
    guint64 n;
    if (!text || !g_ascii_string_to_unsigned(text, 10, 0, UINT32_MAX, &n, NULL))
        return false;
    *value = (uint32_t)n;
    return true;
}

bool fs_id_map_add(FsIdMap *map, const char *text, GError **error)
{
    static const char *const names[] = { "map",         "guest",        "host", "squash-guest",
                                         "squash-host", "forbid-guest", NULL };
    g_auto(GStrv) part = g_strsplit(text, ":", 6);
    Line line = { 0 };
    bool forbid = part[0] && !strcmp(part[0], "forbid-guest");
    unsigned kind = 0, n = g_strv_length(part);
    while (names[kind] && (!part[0] || strcmp(names[kind], part[0])))
        kind++;
    if (!names[kind])
        return fail_usage(error, "%s: begins with map, guest, host, squash-guest, squash-host or forbid-guest", text);
    if (n != (forbid ? 3 : 4) || !number(part[1], &line.source) ||
        !number(part[n - 1], &line.count) || (!forbid && !number(part[2], &line.target)))
        return fail_usage(error, "%s: want %s", text,
                          forbid ? "forbid-guest:ID:COUNT" : "TYPE:SOURCE:TARGET:COUNT");
    bool squash = kind == FS_ID_SQUASH_GUEST || kind == FS_ID_SQUASH_HOST;
    if (!line.count || (uint64_t)line.source + line.count > UINT64_C(1) << 32 ||
        (!squash && !forbid && (uint64_t)line.target + line.count > UINT64_C(1) << 32))
        return fail_usage(error, "%s: the range is empty or ends behind 4294967295", text);
    line.kind = (FsIdKind)kind;
    g_array_append_val(map->lines, line);
    return true;
}

static bool within(uint32_t id, uint32_t from, uint32_t count)
{
    return id >= from && id - from < count;
}

bool fs_id_to_host(const FsIdMap *map, uint32_t id, uint32_t *host)
{
    *host = id;
    for (guint i = 0; map && i < map->lines->len; i++) {
        const Line *l = &g_array_index(map->lines, Line, i);
        if (!within(id, l->source, l->count))
            continue;
        if (l->kind == FS_ID_FORBID_GUEST)
            return false;
        if (l->kind == FS_ID_MAP || l->kind == FS_ID_GUEST)
            *host = l->target + (id - l->source);
        else if (l->kind == FS_ID_SQUASH_GUEST)
            *host = l->target;
        else
            continue;
        return true;
    }
    return true;
}

uint32_t fs_id_to_guest(const FsIdMap *map, uint32_t id)
{
    for (guint i = 0; map && i < map->lines->len; i++) {
        const Line *l = &g_array_index(map->lines, Line, i);
        if (l->kind == FS_ID_MAP && within(id, l->target, l->count))
            return l->source + (id - l->target);
        if (l->kind == FS_ID_HOST && within(id, l->source, l->count))
            return l->target + (id - l->source);
        if (l->kind == FS_ID_SQUASH_HOST && within(id, l->source, l->count))
            return l->target;
    }
    return id;
}
