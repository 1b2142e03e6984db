/* SPDX-License-Identifier: MIT */
/*
 * The xattrmap of virtiofsd: rules that say what becomes of names of extended attributes on their
 * way to the host (client) and back (server). The first rule that fits holds; a name that none fits
 * is refused with EPERM, and not shown. ":map::trusted.fsd.:" is short for rules that put all names
 * below a prefix and hide the rest.
 */
#include "base/error.h"
#include "fs/fs.h"

#include <ctype.h>
#include <errno.h>
#include <linux/limits.h>
#include <string.h>

typedef enum { PREFIX, OK, BAD, UNSUPPORTED } Kind;
enum { CLIENT = 1, SERVER = 2 };

typedef struct {
    Kind kind;
    unsigned scope;
    char *key, *prepend;
} Rule;

struct FsXattrMap {
    GArray *rules;
};

static void add(FsXattrMap *map, Kind kind, unsigned scope, const char *key, const char *prepend)
{
    Rule rule = { kind, scope, g_strdup(key), g_strdup(prepend) };
    g_array_append_val(map->rules, rule);
}

/* The next field, which ends at the rule's separator; NULL when it does not. */
static char *field(const char **text, char separator)
{
    const char *end = strchr(*text, separator);
    if (!end)
        return NULL;
    char *word = g_strndup(*text, (gsize)(end - *text));
    *text = end + 1;
    return word;
}

static void add_short(FsXattrMap *map, const char *key, const char *prepend)
{
    add(map, PREFIX, CLIENT | SERVER, key, prepend);
    if (!*key) {
        add(map, BAD, CLIENT | SERVER, "", ""); /* all that is left is the host's own */
        return;
    }
    /* Neither may the guest name what lies below the prefix, nor does it see the host's own of that
     * key. */
    add(map, BAD, CLIENT, prepend, "");
    add(map, BAD, SERVER, "", key);
    add(map, OK, CLIENT | SERVER, "", "");
}

static bool parse_rule(FsXattrMap *map, const char **text, bool *last, GError **error)
{
    static const char *const kinds[] = { "prefix", "ok", "bad", "unsupported", NULL };
    char separator = *(*text)++;
    g_autofree char *type = field(text, separator);
    unsigned kind = 0, scope;
    if (type && !strcmp(type, "map")) {
        g_autofree char *key = field(text, separator), *prepend = field(text, separator);
        if (!prepend)
            return fail_usage(error, "xattrmap: 'map' wants a key and a prefix, each ended by '%c'",
                              separator);
        add_short(map, key, prepend);
        *last = true;
        return true;
    }
    while (kinds[kind] && (!type || strcmp(kinds[kind], type)))
        kind++;
    if (!kinds[kind])
        return fail_usage(error, "xattrmap: '%s' is not prefix, ok, bad, unsupported or map",
                          type ? type : *text);
    g_autofree char *where = field(text, separator), *key = field(text, separator),
                    *prepend = field(text, separator);
    if (!prepend)
        return fail_usage(error,
                          "xattrmap: '%s' wants a scope, a key and a prefix, each ended by '%c'",
                          type, separator);
    scope = !strcmp(where, "client") ? CLIENT : !strcmp(where, "server") ? SERVER : !strcmp(where, "all") ? 3 : 0;
    if (!scope)
        return fail_usage(error, "xattrmap: scope '%s' is not client, server or all", where);
    add(map, (Kind)kind, scope, key, prepend);
    return true;
}

static void skip_space(const char **text)
{
    while (isspace((unsigned char)**text))
        (*text)++;
}

FsXattrMap *fs_xattr_map_parse(const char *text, GError **error)
{
    FsXattrMap *map = g_new0(FsXattrMap, 1);
    bool last = false;
    map->rules = g_array_new(FALSE, FALSE, sizeof(Rule));
    for (skip_space(&text); *text; skip_space(&text)) {
        if (last
                ? fail_usage(error,
                             "xattrmap: 'map' has to be the last rule, and there is more: %s", text)
                : parse_rule(map, &text, &last, error))
            continue;
        fs_xattr_map_free(map);
        return NULL;
    }
    if (map->rules->len)
        return map;
    fail_usage(error, "xattrmap: there are no rules");
    fs_xattr_map_free(map);
    return NULL;
}

void fs_xattr_map_free(FsXattrMap *map)
{
    if (!map)
        return;
    for (guint i = 0; i < map->rules->len; i++) {
        g_free(g_array_index(map->rules, Rule, i).key);
        g_free(g_array_index(map->rules, Rule, i).prepend);
    }
    g_array_free(map->rules, TRUE);
    g_free(map);
}

int fs_xattr_to_host(const FsXattrMap *map, const char *name, char *host)
{
    const char *prepend = "";
    bool found = !map;
    for (guint i = 0; map && !found && i < map->rules->len; i++) {
        const Rule *r = &g_array_index(map->rules, Rule, i);
        if (!(r->scope & CLIENT) || !g_str_has_prefix(name, r->key))
            continue;
        if (r->kind == BAD)
            return -EPERM;
        if (r->kind == UNSUPPORTED)
            return -ENOTSUP;
        if (r->kind == PREFIX)
            prepend = r->prepend;
        found = true;
    }
    if (!found)
        return -EPERM;
    size_t n = strlen(prepend);
    if (n + strlen(name) > XATTR_NAME_MAX)
        return -ERANGE;
    memcpy(host, prepend, n);
    strcpy(host + n, name);
    return 0;
}

const char *fs_xattr_to_guest(const FsXattrMap *map, const char *host)
{
    for (guint i = 0; map && i < map->rules->len; i++) {
        const Rule *r = &g_array_index(map->rules, Rule, i);
        if (!(r->scope & SERVER) || !g_str_has_prefix(host, r->prepend))
            continue;
        if (r->kind == BAD || r->kind == UNSUPPORTED)
            return NULL;
        if (r->kind == OK)
            return host;
        const char *name = host + strlen(r->prepend);
        if (g_str_has_prefix(name, r->key))
            return name;
    }
    return map ? NULL : host;
}
