/* SPDX-License-Identifier: MIT */
/*
 * Commands joined from tables: finding the one that a line means, running it, help and
 * completion. A group ("info") is no entry of its own but the first word that commands share.
 */
#include "base/error.h"
#include "base/option.h"
#include "base/size.h"
#include "monitor/monitor_priv.h"

#include <inttypes.h>
#include <string.h>

static const MonitorCommand own_commands[];

Monitor *monitor_new(const char *name, const char *version)
{
    Monitor *m = g_new0(Monitor, 1);
    m->name = g_strdup(name);
    m->version = g_strdup(version);
    m->entries = g_array_new(FALSE, FALSE, sizeof(MonitorEntry));
    monitor_add(m, own_commands, m);
    return m;
}

void monitor_free(Monitor *m)
{
    if (!m)
        return;
    g_array_unref(m->entries);
    g_free(m->name);
    g_free(m->version);
    g_free(m);
}

static const MonitorEntry *entry(const Monitor *m, guint i)
{
    return &g_array_index(m->entries, MonitorEntry, i);
}

static const MonitorEntry *find_whole(const Monitor *m, const char *name)
{
    for (guint i = 0; i < m->entries->len; i++) {
        const MonitorCommand *c = entry(m, i)->command;
        if (!strcmp(c->name, name) || (c->alias && !strcmp(c->alias, name)))
            return entry(m, i);
    }
    return NULL;
}

void monitor_add(Monitor *m, const MonitorCommand *table, void *ctx)
{
    for (; table->name; table++) {
        MonitorEntry e = { table, ctx };
        if (!find_whole(m, table->name))
            g_array_append_val(m->entries, e);
    }
}

void monitor_set_variables(Monitor *m, bool (*lookup)(void *, const char *, uint64_t *),
                           void *opaque)
{
    m->lookup = lookup;
    m->lookup_opaque = opaque;
}

/* ---- Finding ------------------------------------------------------------------------ */

static int by_name(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The words that may follow in (group "" or "info"), sorted, each once, ended by NULL. */
static GPtrArray *words_in(const Monitor *m, const char *group)
{
    size_t len = strlen(group);
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    GPtrArray *words = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; i < m->entries->len; i++) {
        const char *name = entry(m, i)->command->name;
        if (len && (strncmp(name, group, len) || name[len] != ' '))
            continue;
        name += len ? len + 1 : 0;
        char *word = g_strndup(name, strcspn(name, " "));
        if (g_hash_table_contains(seen, word)) {
            g_free(word);
            continue;
        }
        g_hash_table_add(seen, word);
        g_ptr_array_add(words, word);
    }
    g_ptr_array_sort(words, by_name);
    g_ptr_array_add(words, NULL);
    return words;
}

static bool is_group(const Monitor *m, const char *word)
{
    g_autoptr(GPtrArray) words = words_in(m, word);
    return words->len > 1;
}

/* The word of group that `word` is or is short for; newly allocated, NULL with *error. */
static char *resolve(const Monitor *m, const char *group, const char *word, GError **error)
{
    g_autoptr(GPtrArray) words = words_in(m, group);
    g_autoptr(GString) matches = g_string_new(NULL);
    const char *match = NULL, *comma = *group ? " " : "";
    unsigned count = 0;
    for (guint i = 0; words->pdata[i]; i++) {
        const char *w = words->pdata[i];
        if (!strcmp(w, word))
            return g_strdup(w);
        if (*word && g_str_has_prefix(w, word)) {
            match = w;
            g_string_append_printf(matches, "%s%s", count++ ? ", " : "", w);
        }
    }
    if (count == 1)
        return g_strdup(match);
    if (count) {
        fail_usage(error, "'%s%s%s' could be %s", group, comma, word, matches->str);
        return NULL;
    }
    const char *nearest = option_nearest(word, (const char *const *)words->pdata);
    fail_usage(error, "unknown command: '%s%s%s'%s%s%s%s%s", group, comma, word,
               nearest ? "; did you mean '" : "", nearest ? group : "", nearest ? comma : "",
               nearest ? nearest : "", nearest ? "'?" : "");
    return NULL;
}

/* The next word of a line, up to a blank or "/"; moves on. */
static char *next_word(const char **line)
{
    *line += strspn(*line, " \t");
    size_t len = strcspn(*line, " \t/");
    char *word = g_strndup(*line, len);
    *line += len;
    return word;
}

/* The command that *line begins with; *line is moved behind its name. A group alone, or with help:
   *group is set, newly allocated, and the result NULL without *error. */
static const MonitorEntry *find(const Monitor *m, const char **line, char **group, GError **error)
{
    g_autofree char *word = next_word(line);
    const MonitorEntry *e = find_whole(m, word);
    if (e)
        return e;
    g_autofree char *first = resolve(m, "", word, error);
    if (!first)
        return NULL;
    if (!is_group(m, first))
        return find_whole(m, first);
    g_autofree char *word2 = next_word(line);
    if (!*word2) {
        *group = g_steal_pointer(&first);
        return NULL;
    }
    g_autofree char *second = resolve(m, first, word2, error);
    g_autofree char *whole = second ? g_strconcat(first, " ", second, NULL) : NULL;
    return whole ? find_whole(m, whole) : NULL;
}

/* ---- Help ----------------------------------------------------------------------------- */

static void help_line(const MonitorCommand *c, GString *out)
{
    g_autoptr(GString) usage = g_string_new(NULL);
    monitor_args_usage(c, usage);
    if (c->alias) {
        g_autofree char *both = g_strconcat("|", c->alias, NULL);
        g_string_insert(usage, (gssize)strlen(c->name), both);
    }
    g_string_append_printf(out, "%s -- %s\n", usage->str, c->help);
}

static int by_command(gconstpointer a, gconstpointer b)
{
    return strcmp((*(const MonitorCommand *const *)a)->name,
                  (*(const MonitorCommand *const *)b)->name);
}

/* Of a group, or of all ("") with a line for each group. */
static void help_list(const Monitor *m, const char *group, GString *out)
{
    g_autoptr(GPtrArray) commands = g_ptr_array_new();
    g_autofree char *start = g_strconcat(group, " ", NULL);
    for (guint i = 0; i < m->entries->len; i++) {
        const MonitorCommand *c = entry(m, i)->command;
        if (*group ? g_str_has_prefix(c->name, start) : !strchr(c->name, ' '))
            g_ptr_array_add(commands, (void *)c);
    }
    g_ptr_array_sort(commands, by_command);
    for (guint i = 0; i < commands->len; i++)
        help_line(commands->pdata[i], out);
    if (*group)
        return;
    g_autoptr(GPtrArray) words = words_in(m, "");
    for (guint i = 0; words->pdata[i]; i++) {
        if (is_group(m, words->pdata[i]))
            g_string_append_printf(out, "%s [subcommand] -- 'help %s' lists them\n",
                                   (char *)words->pdata[i], (char *)words->pdata[i]);
    }
}

static bool run_help(void *ctx, const MonitorArgs *args, GString *out, GError **error)
{
    Monitor *m = ctx;
    const char *line = monitor_arg(args, "command");
    if (!line) {
        help_list(m, "", out);
        return true;
    }
    g_autofree char *group = NULL;
    const MonitorEntry *e = find(m, &line, &group, error);
    if (group)
        help_list(m, group, out);
    else if (e)
        help_line(e->command, out);
    return group || e;
}

/* ---- Print ------------------------------------------------------------------------------ */

static bool run_print(void *ctx, const MonitorArgs *args, GString *out, GError **error)
{
    const char *format = monitor_arg(args, "fmt");
    uint64_t value = monitor_arg_number(args, "value", 0);
    switch (!format || !*format ? 'd' : format[1] ? '?' : *format) {
    case 'd':
        g_string_append_printf(out, "%" PRId64 "\n", (int64_t)value);
        return true;
    case 'u':
        g_string_append_printf(out, "%" PRIu64 "\n", value);
        return true;
    case 'x':
        g_string_append_printf(out, "0x%" PRIx64 "\n", value);
        return true;
    case 'o':
        g_string_append_printf(out, "0%" PRIo64 "\n", value);
        return true;
    case 'c':
        g_string_append_printf(out, g_ascii_isprint((char)value) ? "'%c'\n" : "'\\x%02x'\n",
                               (int)(uint8_t)value);
        return true;
    default:
        return fail_usage(error, "print/%s: one of d u x o c is wanted", format);
    }
}

static const MonitorCommand own_commands[] = {
    { "help", "?", "[command...]", "lists the commands, or says what one does", run_help },
    { "print", "p", "/fmt value:expr", "shows an expression as d, u, x, o or c", run_print },
    { 0 },
};

/* ---- Running -------------------------------------------------------------------------------- */

bool monitor_line(Monitor *m, const char *line, GString *out, GError **error)
{
    line += strspn(line, " \t");
    if (!*line || *line == '#')
        return true;
    g_autofree char *group = NULL;
    const MonitorEntry *e = find(m, &line, &group, error);
    if (group)
        help_list(m, group, out);
    if (!e)
        return group != NULL;
    g_autoptr(MonitorArgs) args = monitor_args_new();
    if (!monitor_args_parse(m, e->command, line, args, error))
        return prefix(error, "%s", e->command->name);
    return e->command->run(e->ctx, args, out, error);
}

bool monitor_call(Monitor *m, const char *name, const MonitorArgs *args, GString *out,
                  GError **error)
{
    const MonitorEntry *e = find_whole(m, name);
    return e ? e->command->run(e->ctx, args, out, error)
             : fail_usage(error, "unknown command: '%s'", name);
}

char **monitor_complete(Monitor *m, const char *line)
{
    g_auto(GStrv) words = g_strsplit_set(line + strspn(line, " \t"), " \t", 4);
    char **w = words;
    if (*w && w[1] && !strcmp(*w, "help"))
        w++;
    g_autoptr(GPtrArray) found = g_ptr_array_new();
    guint count = g_strv_length(w);
    g_autofree char *group = count == 2 ? resolve(m, "", w[0], NULL) : g_strdup("");
    if (count <= 2 && group) {
        g_autoptr(GPtrArray) all = words_in(m, group);
        for (guint i = 0; all->pdata[i]; i++) {
            if (g_str_has_prefix(all->pdata[i], count ? w[count - 1] : ""))
                g_ptr_array_add(found, g_strdup(all->pdata[i]));
        }
    }
    g_ptr_array_add(found, NULL);
    return (char **)g_ptr_array_free(g_steal_pointer(&found), FALSE);
}
