/* SPDX-License-Identifier: MIT */
/*
 * -readconfig: a file of groups, which stand for options.
 *
 *   # a remark
 *   [drive "disk0"]          -drive id=disk0,file=a.img,if=none
 *     file = "a.img"
 *     if = "none"
 *
 * The group's name is the option's (some have another name there), the string is its id, each line
 * a key and its value in quotes. Quotes within a value cannot be written.
 */
#include "readconfig.h"

#include "base/error.h"
#include "base/option.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LINES_MAX 100000

static const struct {
    const char *group, *option;
    const char *first; /* the key whose value the option begins with, without its name; or NULL */
} groups[] = {
    { "machine", "machine", NULL }, { "memory", "m", NULL }, { "smp-opts", "smp", NULL },
    { "drive", "drive", NULL }, { "device", "device", "driver" },
    { "chardev", "chardev", "backend" }, { "netdev", "netdev", "type" },
    { "object", "object", "qom-type" }, { "mon", "mon", NULL }, { "name", "name", NULL },
    { "rtc", "rtc", NULL }, { "boot-opts", "boot", NULL }, { "global", "global", NULL },
    { "msg", "msg", NULL }, { "action", "action", NULL }, { "sandbox", "sandbox", NULL },
    { "accel", "accel", "accel" }, { "nic", "nic", "type" },
};

typedef struct {
    const char *path;
    unsigned line;
    bool (*option)(void *opaque, const char *name, const char *text, GError **error);
    void *opaque;
    /* of the group under way; NULL: none */
    const char *name, *first;
    unsigned first_line;
    GString *head, *text; /* the first value; ",key=value" items */
} Reader;

static void add(GString *text, const char *value)
{
    for (; *value; value++)
        g_string_append_printf(text, *value == ',' ? ",," : "%c", *value);
}

static void add_item(Reader *r, const char *key, const char *value)
{
    if (r->first && !strcmp(key, r->first)) {
        g_string_truncate(r->head, 0);
        add(r->head, value);
        return;
    }
    g_string_append_printf(r->text, ",%s=", key);
    add(r->text, value);
}

/* Hands the group under way over. */
static bool finish(Reader *r, GError **error)
{
    if (!r->name)
        return true;
    g_autofree char *text = g_strconcat(r->head->str, r->text->str, NULL);
    const char *whole = *text == ',' ? text + 1 : text;
    unsigned line = r->first_line;
    const char *name = r->name;
    r->name = NULL;
    return !*whole || r->option(r->opaque, name, whole, error) ||
           prefix(error, "%s:%u", r->path, line);
}

static bool begin(Reader *r, const char *group, const char *id, GError **error)
{
    const char *names[G_N_ELEMENTS(groups) + 1];
    for (size_t i = 0; i < G_N_ELEMENTS(groups); i++) {
        names[i] = groups[i].group;
        if (strcmp(group, groups[i].group))
            continue;
        r->name = groups[i].option;
        r->first = groups[i].first;
        r->first_line = r->line;
        g_string_truncate(r->head, 0);
        g_string_truncate(r->text, 0);
        if (id)
            add_item(r, "id", id);
        return true;
    }
    names[G_N_ELEMENTS(groups)] = NULL;
    const char *nearest = option_nearest(group, names);
    return fail_usage(error, "there is no group [%s]%s%s%s", group,
                      nearest ? "; did you mean [" : "", nearest ? nearest : "",
                      nearest ? "]?" : "");
}

/* [group] or [group "id"] */
static bool read_header(Reader *r, char *line, GError **error)
{
    size_t len = strlen(line);
    if (line[len - 1] != ']')
        return fail_usage(error, "']' is missing");
    line[len - 1] = '\0';
    char *group = g_strstrip(line + 1), *blank = strpbrk(group, " \t"), *id = NULL;
    if (blank) {
        *blank = '\0';
        id = g_strchug(blank + 1);
        size_t n = strlen(id);
        if (n < 2 || id[0] != '"' || id[n - 1] != '"' || strchr(id + 1, '"') != id + n - 1)
            return fail_usage(error, "[%s \"id\"] is wanted", group);
        id[n - 1] = '\0';
        id++;
    }
    return begin(r, group, id, error);
}

/* key = "value" */
static bool read_item(Reader *r, char *line, GError **error)
{
    char *equals = strchr(line, '=');
    if (!r->name)
        return fail_usage(error, "a [group] comes first");
    if (!equals)
        return fail_usage(error, "key = \"value\" is wanted");
    *equals = '\0';
    char *key = g_strstrip(line), *value = g_strstrip(equals + 1);
    size_t n = strlen(value);
    if (!*key || strpbrk(key, " \t,\"") || n < 2 || value[0] != '"' || value[n - 1] != '"' ||
        strchr(value + 1, '"') != value + n - 1)
        return fail_usage(error, "key = \"value\" is wanted");
    value[n - 1] = '\0';
    add_item(r, key, value + 1);
    return true;
}

static bool read_line(Reader *r, char *line, GError **error)
{
    line = g_strstrip(line);
    if (!*line || *line == '#')
        return true;
    unsigned at = r->line;
    /* the errors of a group name where that began */
    if (*line == '[' && !finish(r, error))
        return false;
    return (*line == '[' ? read_header(r, line, error) : read_item(r, line, error)) ||
           prefix(error, "%s:%u", r->path, at);
}

bool readconfig(const char *path,
                bool (*option)(void *opaque, const char *name, const char *text, GError **error),
                void *opaque, GError **error)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return fail_errno(error, errno, "-readconfig %s", path);
    Reader r = { .path = path, .option = option, .opaque = opaque, .head = g_string_new(NULL),
                 .text = g_string_new(NULL) };
    char line[4096];
    bool ok = true;
    while (ok && fgets(line, sizeof line, file)) {
        size_t len = strlen(line);
        if (++r.line > LINES_MAX || (len == sizeof line - 1 && line[len - 1] != '\n')) {
            ok = fail_usage(error, "%s:%u: too long", path, r.line);
            break;
        }
        ok = read_line(&r, line, error);
    }
    if (ok && ferror(file))
        ok = fail_errno(error, errno, "-readconfig %s", path);
    ok = ok && finish(&r, error);
    fclose(file);
    g_string_free(r.head, TRUE);
    g_string_free(r.text, TRUE);
    return ok;
}
