/* SPDX-License-Identifier: MIT */
/* Arguments: checked against a command's table, and read. */
#include "agent/agent_priv.h"

#include <json-c/json.h>
#include <string.h>

enum { MAX_BASE64 = 64 << 20 };

bool agent_fail(GError **error, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    g_autofree char *text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    g_set_error_literal(error, agent_error_quark(), AGENT_ERROR_GENERIC, text);
    return false;
}

/* ---- Checking -------------------------------------------------------------------- */

static bool wrong_type(const char *where, const char *name, const char *expected, GError **error)
{
    return agent_fail(error, "Invalid parameter type for '%s%s', expected: %s", where, name,
                      expected);
}

/* What does not fit 64 bits with a sign is not one: json-c would cut it. */
static bool is_int64(struct json_object *value)
{
    return json_object_is_type(value, json_type_int) &&
           !(json_object_get_uint64(value) > INT64_MAX &&
                                                          json_object_get_int64(value) > 0);
}

/* Nor what does not fit without: json-c makes it the greatest one, which then cannot be had. */
static bool is_uint64(struct json_object *value)
{
    return json_object_is_type(value, json_type_int) &&
           json_object_get_uint64(value) != UINT64_MAX;
}

static bool check_word(const AgentArg *arg, struct json_object *value, const char *where,
                       GError **error)
{
    const char *text = json_object_get_string(value);
    bool cut = strlen(text) != (size_t)json_object_get_string_len(value);
    for (unsigned i = 0; arg->words[i] && !cut; i++)
        if (!strcmp(arg->words[i], text))
            return true;
    return agent_fail(error, "Parameter '%s%s' does not accept value '%s'", where, arg->name, text);
}

static bool check_either(const AgentArg *arg, struct json_object *value, const char *where,
                         GError **error)
{
    bool is_int = arg->type == AGENT_INT_OR_WORD;
    if (json_object_is_type(value, json_type_string))
        return check_word(arg, value, where, error);
    if (is_int ? is_int64(value) : json_object_is_type(value, json_type_boolean))
        return true;
    bool number = json_object_is_type(value, json_type_int) ||
                  json_object_is_type(value, json_type_double);
    return wrong_type(where, arg->name, is_int && number ? "integer" : arg->either, error);
}

static bool check_list(const AgentArg *arg, struct json_object *value, const char *where,
                       GError **error)
{
    if (!json_object_is_type(value, json_type_array))
        return wrong_type(where, arg->name, "array", error);
    for (size_t i = 0; i < json_object_array_length(value); i++) {
        struct json_object *one = json_object_array_get_idx(value, i);
        g_autofree char *at = g_strdup_printf("%s%s[%zu]", where, arg->name, i);
        if (arg->type == AGENT_STRINGS) {
            if (!json_object_is_type(one, json_type_string))
                return wrong_type("", at, "string", error);
            if (strlen(json_object_get_string(one)) != (size_t)json_object_get_string_len(one))
                return agent_fail(error, "Parameter '%s' holds a NUL", at);
            continue;
        }
        if (!json_object_is_type(one, json_type_object))
            return wrong_type("", at, "object", error);
        g_autofree char *under = g_strconcat(at, ".", NULL);
        if (!agent_check(arg->members, one, under, error))
            return false;
    }
    return true;
}

static bool check_one(const AgentArg *arg, struct json_object *value, const char *where,
                      GError **error)
{
    switch (arg->type) {
    case AGENT_INT:
        return is_int64(value) || wrong_type(where, arg->name, "integer", error);
    case AGENT_UINT: /* in qemu-ga's other words */
        return is_uint64(value) ||
               agent_fail(error, "Parameter '%s%s' expects uint64", where, arg->name);
    case AGENT_BOOL:
        return json_object_is_type(value, json_type_boolean) ||
               wrong_type(where, arg->name, "boolean", error);
    case AGENT_STRING:
    case AGENT_WORD:
        if (!json_object_is_type(value, json_type_string))
            return wrong_type(where, arg->name, "string", error);
        if (strlen(json_object_get_string(value)) != (size_t)json_object_get_string_len(value))
            return agent_fail(error, "Parameter '%s%s' holds a NUL", where, arg->name);
        return arg->type == AGENT_STRING || check_word(arg, value, where, error);
    case AGENT_INT_OR_WORD:
    case AGENT_BOOL_OR_WORD:
        return check_either(arg, value, where, error);
    default:
        return check_list(arg, value, where, error);
    }
}

bool agent_check(const AgentArg *table, struct json_object *o, const char *where, GError **error)
{
    struct json_object *value;
    for (const AgentArg *arg = table; arg && arg->name; arg++) {
        if (json_object_object_get_ex(o, arg->name, &value)) {
            if (!check_one(arg, value, where, error))
                return false;
        } else if (!arg->optional) {
            return agent_fail(error, "Parameter '%s%s' is missing", where, arg->name);
        }
    }
    json_object_object_foreach(o, key, ignored) {
        bool known = false;
        for (const AgentArg *arg = table; arg && arg->name && !known; arg++)
            known = !strcmp(arg->name, key);
        if (!known)
            return agent_fail(error, "Parameter '%s%s' is unexpected", where, key);
        (void)ignored;
    }
    return true;
}

/* ---- Reading ---------------------------------------------------------------------- */

static struct json_object *get(struct json_object *args, const char *name)
{
    struct json_object *value = NULL;
    json_object_object_get_ex(args, name, &value);
    return value;
}

bool agent_has(struct json_object *args, const char *name)
{
    return json_object_object_get_ex(args, name, NULL);
}

int64_t agent_int(struct json_object *args, const char *name, int64_t def)
{
    struct json_object *value = get(args, name);
    return value ? json_object_get_int64(value) : def;
}

uint64_t agent_uint(struct json_object *args, const char *name, uint64_t def)
{
    struct json_object *value = get(args, name);
    int64_t n = value ? json_object_get_int64(value) : 0;
    return !value ? def : n < 0 ? (uint64_t)n : json_object_get_uint64(value);
}

bool agent_bool(struct json_object *args, const char *name, bool def)
{
    struct json_object *value = get(args, name);
    return value ? json_object_get_boolean(value) : def;
}

const char *agent_string(struct json_object *args, const char *name)
{
    struct json_object *value = get(args, name);
    return value ? json_object_get_string(value) : NULL;
}

bool agent_is_word(struct json_object *args, const char *name)
{
    return json_object_is_type(get(args, name), json_type_string);
}

int agent_word(struct json_object *args, const char *name, const char *const *words, int def)
{
    const char *text = agent_string(args, name);
    for (int i = 0; text && words[i]; i++)
        if (!strcmp(words[i], text))
            return i;
    return def;
}

struct json_object *agent_list(struct json_object *args, const char *name)
{
    return get(args, name);
}

char **agent_strings(struct json_object *args, const char *name)
{
    struct json_object *list = get(args, name);
    size_t n = list ? json_object_array_length(list) : 0;
    char **all = g_new0(char *, n + 1);
    for (size_t i = 0; i < n; i++)
        all[i] = g_strdup(json_object_get_string(json_object_array_get_idx(list, i)));
    return all;
}

uint8_t *agent_base64(struct json_object *args, const char *name, size_t *len, GError **error)
{
    const char *text = agent_string(args, name);
    gsize n = 0;
    size_t length = text ? strlen(text) : 0, pad = 0;
    while (pad < 2 && pad < length && text[length - 1 - pad] == '=')
        pad++;
    bool good = text && length <= MAX_BASE64 && length % 4 == 0 &&
                strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") ==
                    length - pad;
    if (!good) {
        agent_fail(error, "Base64 data contains invalid characters");
        return NULL;
    }
    uint8_t *bytes = length ? g_base64_decode(text, &n) : g_malloc0(1);
    *len = n;
    return bytes;
}

/* ---- Members ----------------------------------------------------------------------- */

struct json_object *agent_nothing(void)
{
    return json_object_new_object();
}

void agent_put_int(struct json_object *o, const char *name, int64_t value)
{
    json_object_object_add(o, name, json_object_new_int64(value));
}

void agent_put_uint(struct json_object *o, const char *name, uint64_t value)
{
    json_object_object_add(o, name, json_object_new_uint64(value));
}

void agent_put_bool(struct json_object *o, const char *name, bool value)
{
    json_object_object_add(o, name, json_object_new_boolean(value));
}

void agent_put_string(struct json_object *o, const char *name, const char *value)
{
    if (!value)
        return;
    g_autofree char *valid = g_utf8_make_valid(value, -1);
    json_object_object_add(o, name, json_object_new_string(valid));
}

void agent_put_base64(struct json_object *o, const char *name, const void *bytes, size_t len)
{
    g_autofree char *text = g_base64_encode(bytes, len);
    json_object_object_add(o, name, json_object_new_string(text));
}
