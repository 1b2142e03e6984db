/* SPDX-License-Identifier: MIT */
/*
 * Option trees: from "a.b=c,d=e" and from JSON, looked up by dotted path, read into a driver's
 * state by its table of properties, with every key accounted for in the end.
 */
#include "block/block_priv.h"

#include "base/error.h"
#include "base/option.h"
#include "base/size.h"

#include <json-c/json.h>
#include <string.h>

enum { LONGEST_JSON = 1 << 20 };

/* ---- trees --------------------------------------------------------------- */

/* The member of a list whose number key is: a list stands for an object with the keys 0, 1, ... */
static struct json_object *list_member(struct json_object *list, const char *key)
{
    size_t n = strlen(key);

    if (!n || n > 4 || strspn(key, "0123456789") != n || (n > 1 && *key == '0'))
        return NULL;
    return json_object_array_get_idx(list, (size_t)g_ascii_strtoull(key, NULL, 10));
}

struct json_object *block_options_get(struct json_object *options, const char *path)
{
    struct json_object *at = options;

    while (at && *path) {
        size_t n = strcspn(path, ".");
        g_autofree char *key = g_strndup(path, n);
        struct json_object *next = NULL;
        if (json_object_is_type(at, json_type_array))
            next = list_member(at, key);
        else if (json_object_is_type(at, json_type_object))
            json_object_object_get_ex(at, key, &next);
        if (!next)
            return NULL;
        at = next;
        path += n;
        if (*path == '.')
            path++;
    }
    return at;
}

const char *block_options_text(struct json_object *options, const char *path)
{
    struct json_object *value = block_options_get(options, path);

    if (!value || json_object_is_type(value, json_type_object) ||
        json_object_is_type(value, json_type_array))
        return NULL;
    return json_object_get_string(value);
}

static bool parse_bool(const char *text, const char *key, bool *value, GError **error)
{
    static const char *const words[] = { "on",  "true",  "yes", "y", "1",
                                         "off", "false", "no",  "n", "0" };

    for (unsigned i = 0; i < G_N_ELEMENTS(words); i++) {
        if (!strcmp(text, words[i])) {
            *value = i < 5;
            return true;
        }
    }
    return fail_usage(error, "%s=%s: it is on or off", key, text);
}

bool block_options_bool(struct json_object *options, const char *path, bool *value, GError **error)
{
    const char *text = block_options_text(options, path);
    return !text || parse_bool(text, path, value, error);
}

bool block_options_set(struct json_object *options, const char *path, const char *value,
                       GError **error)
{
    struct json_object *at = options, *next;
    int depth = 0;

    for (const char *p = path;;) {
        size_t n = strcspn(p, ".");
        g_autofree char *key = g_strndup(p, n);
        if (!n)
            return fail_usage(error, "'%s' is not an option's name", path);
        if (++depth > BLOCK_MAX_NESTING)
            return fail_usage(error, "'%.40s...' goes too deep", path);
        bool there = json_object_object_get_ex(at, key, &next) && next;
        if (!p[n]) {
            if (there && json_object_is_type(next, json_type_object))
                return fail_usage(error, "%s=%s beside %s.%s", path, value, path, "...");
            json_object_object_add(at, key, json_object_new_string(value));
            return true;
        }
        if (!there) {
            next = json_object_new_object();
            json_object_object_add(at, key, next);
        } else if (!json_object_is_type(next, json_type_object)) {
            return fail_usage(error, "%s beside %.*s=%s", path, (int)(p + n - path), path,
                              json_object_get_string(next));
        }
        at = next;
        p += n + 1;
    }
}

struct json_object *block_options_copy(struct json_object *options)
{
    struct json_object *copy = NULL;
    if (options && json_object_deep_copy(options, &copy, NULL) < 0)
        return NULL;
    return copy;
}

/* Text with a NUL in it would be read as something shorter. */
static bool has_nul(struct json_object *value)
{
    switch (json_object_get_type(value)) {
    case json_type_string:
        return strlen(json_object_get_string(value)) != (size_t)json_object_get_string_len(value);
    case json_type_object: {
        json_object_object_foreach(value, key, member) {
            (void)key;
            if (has_nul(member))
                return true;
        }
        return false;
    }
    case json_type_array:
        for (size_t i = 0; i < json_object_array_length(value); i++)
            if (has_nul(json_object_array_get_idx(value, i)))
                return true;
        return false;
    default:
        return false;
    }
}

/* Keys with dots become objects: "file.filename" is allowed in JSON too. */
static bool expand(struct json_object *tree, GError **error)
{
    g_autoptr(GPtrArray) dotted = g_ptr_array_new_with_free_func(g_free);

    json_object_object_foreach(tree, key, value) {
        if (strchr(key, '.'))
            g_ptr_array_add(dotted, g_strdup(key));
        if (json_object_is_type(value, json_type_object) && !expand(value, error))
            return false;
        size_t n = json_object_is_type(value, json_type_array) ? json_object_array_length(value) : 0;
        for (size_t i = 0; i < n; i++) {
            struct json_object *member = json_object_array_get_idx(value, i);
            if (json_object_is_type(member, json_type_object) && !expand(member, error))
                return false;
        }
    }
    for (unsigned i = 0; i < dotted->len; i++) {
        const char *path = dotted->pdata[i], *dot = strrchr(path, '.');
        g_autofree char *parent = g_strndup(path, dot - path);
        struct json_object *moved, *at;
        /* a text first, to make the way; then the value itself in its place */
        if (!block_options_set(tree, path, "", error))
            return false;
        moved = json_object_get(json_object_object_get(tree, path));
        json_object_object_del(tree, path);
        at = block_options_get(tree, parent);
        json_object_object_add(at, dot + 1, moved);
    }
    return true;
}

struct json_object *block_options_json(const char *text, GError **error)
{
    size_t len = strlen(text);

    if (len > LONGEST_JSON) {
        fail_usage(error, "JSON of more than 1 MiB");
        return NULL;
    }
    struct json_tokener *tok = json_tokener_new_ex(BLOCK_MAX_NESTING);
    json_tokener_set_flags(tok, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    struct json_object *tree = json_tokener_parse_ex(tok, text, (int)len + 1);
    enum json_tokener_error e = json_tokener_get_error(tok);
    size_t end = json_tokener_get_parse_end(tok);
    json_tokener_free(tok);
    if (e != json_tokener_success || !tree) {
        fail_usage(error, "not JSON at character %zu: %s", end + 1,
                   e == json_tokener_continue ? "it ends early" : json_tokener_error_desc(e));
    } else if (!json_object_is_type(tree, json_type_object)) {
        fail_usage(error, "JSON, but not an object: {...}");
    } else if (end < len) {
        fail_usage(error, "text behind the JSON: '%.20s'", text + end);
    } else if (has_nul(tree)) {
        fail_usage(error, "a NUL character in a string of the JSON");
    } else if (expand(tree, error)) {
        return tree;
    }
    json_object_put(tree);
    return NULL;
}

struct json_object *block_options_parse(const char *text, const char *implied, GError **error)
{
    const char *key, *value;

    if (*text == '{')
        return block_options_json(text, error);
    g_autoptr(Options) list = options_parse(text, implied, error);
    if (!list)
        return NULL;
    struct json_object *tree = json_object_new_object();
    for (unsigned i = 0; options_item(list, i, &key, &value); i++) {
        if (!block_options_set(tree, key, value, error)) {
            json_object_put(tree);
            return NULL;
        }
    }
    return tree;
}

/* ---- properties ---------------------------------------------------------- */

static bool read_number(const BlockProp *prop, const char *text, uint64_t *value, GError **error)
{
    bool ok = prop->kind == BLOCK_PROP_SIZE ? size_parse(text, value, error)
                                            : number_parse(text, value, error);
    if (!ok)
        return prefix(error, "%s", prop->name);
    if (*value < prop->min || (prop->max && *value > prop->max))
        return fail_usage(error, "%s=%s: it is %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT,
                          prop->name, text, prop->min, prop->max ? prop->max : UINT64_MAX);
    return true;
}

static bool read_enum(const BlockProp *prop, const char *text, int *value, GError **error)
{
    for (int i = 0; prop->names[i]; i++) {
        if (!strcmp(text, prop->names[i])) {
            *value = i;
            return true;
        }
    }
    g_autofree char *all = g_strjoinv(", ", (char **)prop->names);
    return fail_usage(error, "%s=%s: it is one of %s", prop->name, text, all);
}

static bool read_prop(const BlockProp *prop, struct json_object *options, void *field,
                      GError **error)
{
    struct json_object *value = block_options_get(options, prop->name);
    const char *text = block_options_text(options, prop->name);

    if (prop->kind == BLOCK_PROP_TREE) {
        if (value && !json_object_is_type(value, json_type_object) &&
            !json_object_is_type(value, json_type_array))
            return fail_usage(error, "%s: it has parts: %s.KEY=VALUE", prop->name, prop->name);
        *(struct json_object **)field = json_object_get(value);
        return value || !prop->needed || fail_usage(error, "%s=... is missing", prop->name);
    }
    if (value && !text)
        return fail_usage(error, "%s: it has no parts", prop->name);
    if (!text)
        text = prop->def;
    if (!text)
        return !prop->needed || fail_usage(error, "%s=... is missing", prop->name);
    switch (prop->kind) {
    case BLOCK_PROP_BOOL:
        return parse_bool(text, prop->name, field, error);
    case BLOCK_PROP_SIZE:
    case BLOCK_PROP_NUMBER:
        return read_number(prop, text, field, error);
    case BLOCK_PROP_ENUM:
        return read_enum(prop, text, field, error);
    case BLOCK_PROP_STRING:
        g_free(*(char **)field);
        *(char **)field = g_strdup(text);
        return true;
    case BLOCK_PROP_TREE:
        break;
    }
    return true;
}

bool block_props_read(const BlockProp *props, struct json_object *options, void *state,
                      GError **error)
{
    for (; props && props->name; props++)
        if (!read_prop(props, options, (char *)state + props->offset, error))
            return false;
    return true;
}

void block_props_clear(const BlockProp *props, void *state)
{
    for (; props && props->name; props++) {
        void *field = (char *)state + props->offset;
        if (props->kind == BLOCK_PROP_STRING) {
            g_free(*(char **)field);
            *(char **)field = NULL;
        } else if (props->kind == BLOCK_PROP_TREE) {
            json_object_put(*(struct json_object **)field);
            *(struct json_object **)field = NULL;
        }
    }
}

/* ---- leftovers ----------------------------------------------------------- */

static bool known(GPtrArray *names, const char *path, bool leaf)
{
    size_t n = strlen(path);

    for (unsigned i = 0; i + 1 < names->len; i++) {
        const char *name = names->pdata[i];
        if (!strcmp(name, path))
            return true;
        /* part of the way to a name with dots */
        if (!leaf && !strncmp(name, path, n) && name[n] == '.')
            return true;
    }
    return false;
}

static bool check_keys(GPtrArray *names, struct json_object *tree, const char *path,
                       const char *who, GError **error);

static bool check_key(GPtrArray *names, const char *path, const char *key,
                      struct json_object *value, const char *who, GError **error)
{
    g_autofree char *full = *path ? g_strdup_printf("%s.%s", path, key) : g_strdup(key);
    bool parts = json_object_is_type(value, json_type_object) ||
                 json_object_is_type(value, json_type_array);

    if (known(names, full, true))
        return true;
    if (parts && known(names, full, false))
        return check_keys(names, value, full, who, error);
    const char *near = option_nearest(full, (const char *const *)names->pdata);
    if (near)
        return fail_usage(error, "%s: unknown option '%s' (did you mean '%s'?)", who, full, near);
    return fail_usage(error, "%s: unknown option '%s'", who, full);
}

static bool check_keys(GPtrArray *names, struct json_object *tree, const char *path,
                       const char *who, GError **error)
{
    if (json_object_is_type(tree, json_type_array)) {
        for (size_t i = 0; i < json_object_array_length(tree); i++) {
            g_autofree char *key = g_strdup_printf("%zu", i);
            if (!check_key(names, path, key, json_object_array_get_idx(tree, i), who, error))
                return false;
        }
        return true;
    }
    json_object_object_foreach(tree, key, value)
        if (!check_key(names, path, key, value, who, error))
            return false;
    return true;
}

bool block_props_done(const BlockProp *props, const char *const *names,
                      struct json_object *options, const char *who, GError **error)
{
    g_autoptr(GPtrArray) all = g_ptr_array_new();

    for (; props && props->name; props++)
        g_ptr_array_add(all, (char *)props->name);
    for (; names && *names; names++)
        g_ptr_array_add(all, (char *)*names);
    g_ptr_array_add(all, NULL);
    return check_keys(all, options, "", who, error);
}
