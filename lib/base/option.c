/* SPDX-License-Identifier: MIT */
/*
 * Option lists; see option.h for the grammar. Items are kept as written, bare words too:
 * whether "node" means "de" off is known only when somebody asks for "node" or "de".
 */
#include "base/option.h"

#include "base/error.h"
#include "base/size.h"

#include <string.h>

typedef struct {
    char *key;
    char *value; /* NULL for a bare word */
    bool asked;
} Item;

struct Options {
    GArray *items;    /* of Item */
    GPtrArray *asked; /* keys that getters named, for suggestions */
};

static void item_clear(void *p)
{
    Item *item = p;
    g_free(item->key);
    g_free(item->value);
}

/* Reads up to a single comma, ",," standing for one; *p ends at the comma or the end. */
static char *read_value(const char **p)
{
    GString *s = g_string_new(NULL);
    for (; **p; ++*p) {
        if (**p == ',') {
            if ((*p)[1] != ',')
                break;
            ++*p;
        }
        g_string_append_c(s, **p);
    }
    return g_string_free(s, FALSE);
}

Options *options_parse(const char *text, const char *implied, GError **error)
{
    g_autoptr(Options) o = g_new0(Options, 1);
    o->items = g_array_new(FALSE, TRUE, sizeof(Item));
    g_array_set_clear_func(o->items, item_clear);
    o->asked = g_ptr_array_new_with_free_func(g_free);

    for (const char *p = text; *p;) {
        size_t n = strcspn(p, "=,");
        Item item = { 0 };
        if (p == text && implied && p[n] != '=') {
            item.key = g_strdup(implied);
            item.value = read_value(&p);
        } else if (!n) {
            fail_usage(error, "an option without a name in '%s'", text);
            return NULL;
        } else {
            item.key = g_strndup(p, n);
            p += n;
            if (*p == '=') {
                p++;
                item.value = read_value(&p);
            }
        }
        g_array_append_val(o->items, item);
        if (*p == ',')
            p++;
    }
    return g_steal_pointer(&o);
}

void options_free(Options *options)
{
    if (!options)
        return;
    g_array_unref(options->items);
    g_ptr_array_unref(options->asked);
    g_free(options);
}

static void remember(Options *o, const char *key)
{
    for (unsigned i = 0; i < o->asked->len; i++)
        if (!strcmp(o->asked->pdata[i], key))
            return;
    g_ptr_array_add(o->asked, g_strdup(key));
}

/* The value item gives to key, or NULL when it is about another. */
static const char *value_for(const Item *item, const char *key)
{
    if (!strcmp(item->key, key))
        return item->value ? item->value : "on";
    if (!item->value && !strncmp(item->key, "no", 2) && !strcmp(item->key + 2, key))
        return "off";
    return NULL;
}

const char *options_nth(Options *options, const char *key, unsigned n)
{
    const char *found = NULL;
    unsigned seen = 0;

    remember(options, key);
    for (unsigned i = 0; i < options->items->len; i++) {
        Item *item = &g_array_index(options->items, Item, i);
        const char *value = value_for(item, key);
        if (!value)
            continue;
        item->asked = true;
        if (seen++ == n)
            found = value;
    }
    return found;
}

const char *options_get(Options *options, const char *key)
{
    const char *found = NULL;

    remember(options, key);
    for (unsigned i = 0; i < options->items->len; i++) {
        Item *item = &g_array_index(options->items, Item, i);
        const char *value = value_for(item, key);
        if (value) {
            item->asked = true;
            found = value;
        }
    }
    return found;
}

bool options_has(Options *options, const char *key)
{
    return options_get(options, key) != NULL;
}

bool options_get_bool(Options *options, const char *key, bool *value, GError **error)
{
    static const char *const words[] = { "on",  "yes", "true",  "y", "1",
                                         "off", "no",  "false", "n", "0" };
    const char *text = options_get(options, key);

    if (!text)
        return true;
    for (unsigned i = 0; i < G_N_ELEMENTS(words); i++) {
        if (!strcmp(text, words[i])) {
            *value = i < 5;
            return true;
        }
    }
    return fail_usage(error, "%s=%s: it is on or off", key, text);
}

bool options_get_size(Options *options, const char *key, uint64_t unit, uint64_t *value,
                      GError **error)
{
    const char *text = options_get(options, key);

    if (!text || size_parse_unit(text, unit, value, error))
        return true;
    return prefix(error, "%s", key);
}

bool options_get_number(Options *options, const char *key, uint64_t min, uint64_t max,
                        uint64_t *value, GError **error)
{
    const char *text = options_get(options, key);
    uint64_t v;

    if (!text)
        return true;
    if (!number_parse(text, &v, error))
        return prefix(error, "%s", key);
    if (v < min || v > max)
        return fail_usage(error, "%s=%s: it is %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT, key,
                          text, min, max);
    *value = v;
    return true;
}

bool options_get_enum(Options *options, const char *key, const char *const *names, int *value,
                      GError **error)
{
    const char *text = options_get(options, key);

    if (!text)
        return true;
    for (int i = 0; names[i]; i++) {
        if (!strcmp(text, names[i])) {
            *value = i;
            return true;
        }
    }
    g_autofree char *all = g_strjoinv(", ", (char **)names);
    return fail_usage(error, "%s=%s: it is one of %s", key, text, all);
}

const char *options_need(Options *options, const char *key, GError **error)
{
    const char *value = options_get(options, key);
    if (!value)
        fail_usage(error, "%s=... is missing", key);
    return value;
}

bool options_done(Options *options, GError **error)
{
    for (unsigned i = 0; i < options->items->len; i++) {
        const Item *item = &g_array_index(options->items, Item, i);
        if (item->asked)
            continue;
        g_autoptr(GPtrArray) names = g_ptr_array_new();
        for (unsigned k = 0; k < options->asked->len; k++)
            g_ptr_array_add(names, options->asked->pdata[k]);
        g_ptr_array_add(names, NULL);
        const char *near = option_nearest(item->key, (const char *const *)names->pdata);
        if (near)
            return fail_usage(error, "unknown option '%s' (did you mean '%s'?)", item->key, near);
        return fail_usage(error, "unknown option '%s'", item->key);
    }
    return true;
}

bool options_item(Options *options, unsigned i, const char **key, const char **value)
{
    if (i >= options->items->len)
        return false;
    Item *item = &g_array_index(options->items, Item, i);
    item->asked = true;
    *key = item->key;
    *value = item->value ? item->value : "on";
    return true;
}

enum { LONGEST_GUESS = 64 };

/* Edits (insert, drop, replace, swap neighbours) from a to b, both at most LONGEST_GUESS. */
static unsigned distance(const char *a, const char *b)
{
    unsigned row[3][LONGEST_GUESS + 1];
    size_t n = strlen(a), m = strlen(b);

    for (size_t j = 0; j <= m; j++)
        row[0][j] = (unsigned)j;
    for (size_t i = 1; i <= n; i++) {
        unsigned *now = row[i % 3], *last = row[(i + 2) % 3], *before = row[(i + 1) % 3];
        now[0] = (unsigned)i;
        for (size_t j = 1; j <= m; j++) {
            unsigned best = last[j - 1] + (a[i - 1] != b[j - 1]);
            best = MIN(best, last[j] + 1);
            best = MIN(best, now[j - 1] + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                best = MIN(best, before[j - 2] + 1);
            now[j] = best;
        }
    }
    return row[n % 3][m];
}

const char *option_nearest(const char *word, const char *const *names)
{
    const char *best = NULL;
    size_t length = strlen(word);
    /* one slip in a short word, one in three letters of a long one */
    size_t limit = MAX(1, length / 3) + 1;

    if (length < 2 || length > LONGEST_GUESS)
        return NULL;
    for (; *names; names++) {
        if (strlen(*names) > LONGEST_GUESS)
            continue;
        unsigned d = distance(word, *names);
        if (d < limit) {
            limit = d;
            best = *names;
        }
    }
    return best;
}
