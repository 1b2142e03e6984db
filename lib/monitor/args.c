/* SPDX-License-Identifier: MIT */
/* The arguments of a command: from a line by the grammar in its table, and by name. */
#include "base/error.h"
#include "base/size.h"
#include "monitor/monitor_priv.h"

#include <string.h>

typedef struct {
    char *text;
    uint64_t number;
} Value;

struct MonitorArgs {
    GHashTable *values; /* char * to Value * */
};

static void value_free(gpointer opaque)
{
    Value *v = opaque;
    g_free(v->text);
    g_free(v);
}

MonitorArgs *monitor_args_new(void)
{
    MonitorArgs *args = g_new0(MonitorArgs, 1);
    args->values = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, value_free);
    return args;
}

void monitor_args_free(MonitorArgs *args)
{
    if (!args)
        return;
    g_hash_table_unref(args->values);
    g_free(args);
}

static void set(MonitorArgs *args, const char *name, const char *text, uint64_t number)
{
    Value *v = g_new0(Value, 1);
    v->text = g_strdup(text);
    v->number = number;
    g_hash_table_replace(args->values, g_strdup(name), v);
}

void monitor_args_set(MonitorArgs *args, const char *name, const char *text)
{
    set(args, name, text, 0);
}

void monitor_args_set_number(MonitorArgs *args, const char *name, uint64_t number)
{
    g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT, number);
    set(args, name, text, number);
}

const char *monitor_arg(const MonitorArgs *args, const char *name)
{
    const Value *v = g_hash_table_lookup(args->values, name);
    return v ? v->text : NULL;
}

uint64_t monitor_arg_number(const MonitorArgs *args, const char *name, uint64_t otherwise)
{
    const Value *v = g_hash_table_lookup(args->values, name);
    return v ? v->number : otherwise;
}

bool monitor_arg_flag(const MonitorArgs *args, const char *flag)
{
    return g_hash_table_contains(args->values, flag);
}

/* ---- From a line ------------------------------------------------------------------- */

/* An item of a grammar. */
typedef struct {
    char *name;
    enum { FLAG, FORMAT, WORD, EXPRESSION, SIZE, REST } kind;
    bool optional;
} Item;

static void item_clear(gpointer item)
{
    g_free(((Item *)item)->name);
}

static GArray *items_of(const MonitorCommand *c)
{
    GArray *items = g_array_new(FALSE, FALSE, sizeof(Item));
    g_array_set_clear_func(items, item_clear);
    g_auto(GStrv) words = g_strsplit(c->args ? c->args : "", " ", -1);
    for (char **w = words; *w; w++) {
        char *text = *w;
        if (!*text)
            continue;
        Item item = { .kind = WORD, .optional = *text == '[' };
        if (item.optional) {
            text++;
            text[strcspn(text, "]")] = '\0';
        }
        if (*text == '-' || *text == '/') {
            item.kind = *text == '-' ? FLAG : FORMAT;
            item.optional = true;
        } else if (g_str_has_suffix(text, ":expr") || g_str_has_suffix(text, ":size")) {
            item.kind = g_str_has_suffix(text, ":expr") ? EXPRESSION : SIZE;
            *strrchr(text, ':') = '\0';
        } else if (g_str_has_suffix(text, "...")) {
            item.kind = REST;
            text[strlen(text) - 3] = '\0';
        }
        item.name = g_strdup(item.kind == FORMAT ? text + 1 : text);
        g_array_append_val(items, item);
    }
    return items;
}

void monitor_args_usage(const MonitorCommand *c, GString *out)
{
    g_autoptr(GArray) items = items_of(c);
    g_string_append(out, c->name);
    for (guint i = 0; i < items->len; i++) {
        const Item *item = &g_array_index(items, Item, i);
        bool bracket = item->optional && item->kind != FORMAT;
        g_string_append_printf(out, "%s%s%s%s%s", item->kind == FORMAT ? "/" : " ",
                               bracket ? "[" : "", item->name, item->kind == REST ? "..." : "",
                               bracket ? "]" : "");
    }
}

/* One word, quotes taken off; NULL with *error when a quote is open. *text is not at its end. */
static char *take_word(const char **text, GError **error)
{
    g_autoptr(GString) word = g_string_new(NULL);
    const char *p = *text;
    bool quoted = *p == '"';
    for (p += quoted; *p && (quoted ? *p != '"' : !strchr(" \t", *p)); p++) {
        if (quoted && *p == '\\' && p[1])
            p++;
        g_string_append_c(word, *p);
    }
    if (quoted && *p++ != '"') {
        fail_usage(error, "a '\"' is missing at the end");
        return NULL;
    }
    *text = p;
    return g_string_free(g_steal_pointer(&word), FALSE);
}

static unsigned words_left(const char *text)
{
    unsigned n = 0;
    for (text += strspn(text, " \t"); *text; text += strspn(text, " \t"), n++) {
        const char *before = text;
        g_autofree char *word = take_word(&text, NULL);
        if (!word || text == before)
            return n + 1;
    }
    return n;
}

static unsigned needed_after(const GArray *items, guint i)
{
    unsigned n = 0;
    while (++i < items->len)
        n += !g_array_index(items, Item, i).optional;
    return n;
}

static bool take_value(Monitor *m, const Item *item, bool more, const char **text,
                       MonitorArgs *args, GError **error)
{
    uint64_t number = 0;
    if (item->kind == REST) {
        set(args, item->name, *text, 0);
        *text += strlen(*text);
        return true;
    }
    if (item->kind == EXPRESSION) {
        if (!monitor_expression(m, text, more, &number, error))
            return prefix(error, "%s", item->name);
        if (**text && !strchr(" \t", **text))
            return fail_usage(error, "%s: '%.20s' makes no sense there", item->name, *text);
        monitor_args_set_number(args, item->name, number);
        return true;
    }
    g_autofree char *word = take_word(text, error);
    if (!word || (item->kind == SIZE && !size_parse(word, &number, error)))
        return prefix(error, "%s", item->name);
    set(args, item->name, word, number);
    return true;
}

static bool usage_error(const MonitorCommand *c, GError **error, const char *what)
{
    g_autoptr(GString) usage = g_string_new(NULL);
    monitor_args_usage(c, usage);
    return fail_usage(error, "%s (%s)", what, usage->str);
}

static bool take_flags(const MonitorCommand *c, const GArray *items, const char **text,
                       MonitorArgs *args, GError **error)
{
    bool any = false;
    for (guint i = 0; i < items->len; i++)
        any |= g_array_index(items, Item, i).kind == FLAG;
    while (any && **text == '-' && g_ascii_isalpha((*text)[1])) {
        g_autofree char *word = take_word(text, error);
        bool known = false;
        for (guint i = 0; i < items->len && word; i++) {
            const Item *item = &g_array_index(items, Item, i);
            known |= item->kind == FLAG && !strcmp(item->name, word);
        }
        if (!known) {
            g_autofree char *what = g_strdup_printf("there is no flag '%s'", word);
            return usage_error(c, error, what);
        }
        set(args, word, "on", 1);
        *text += strspn(*text, " \t");
    }
    return true;
}

bool monitor_args_parse(Monitor *m, const MonitorCommand *c, const char *text, MonitorArgs *args,
                        GError **error)
{
    g_autoptr(GArray) items = items_of(c);
    bool has_format = items->len && g_array_index(items, Item, 0).kind == FORMAT;
    if (*text == '/') {
        if (!has_format)
            return usage_error(c, error, "it takes no '/'");
        size_t len = strcspn(++text, " \t");
        g_autofree char *format = g_strndup(text, len);
        set(args, g_array_index(items, Item, 0).name, format, 0);
        text += len;
    }
    text += strspn(text, " \t");
    if (!take_flags(c, items, &text, args, error))
        return false;
    for (guint i = 0; i < items->len; i++) {
        const Item *item = &g_array_index(items, Item, i);
        if (item->kind == FLAG || item->kind == FORMAT)
            continue;
        text += strspn(text, " \t");
        if (!*text && !item->optional) {
            g_autofree char *what = g_strdup_printf("'%s' is missing", item->name);
            return usage_error(c, error, what);
        }
        if (!*text || (item->optional && words_left(text) <= needed_after(items, i)))
            continue;
        if (!take_value(m, item, i + 1 < items->len, &text, args, error))
            return false;
    }
    text += strspn(text, " \t");
    if (*text) {
        g_autofree char *what = g_strdup_printf("'%.40s' is too much", text);
        return usage_error(c, error, what);
    }
    return true;
}
