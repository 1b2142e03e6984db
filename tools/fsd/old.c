/* SPDX-License-Identifier: MIT */
/* -o LIST, as virtiofsd in C has it: words and word=value, commas between them ("\," is one within
 * a value); no_word turns a word off. */
#include "tool.h"

#include "base/error.h"
#include "base/option.h"

#include <string.h>

typedef struct {
    const char *name;
    size_t at; /* of a bool in Tool */
    bool inverted;
} Switch;

#define AT(member) offsetof(Tool, member)

static const Switch switches[] = {
    { "flock", AT(fuse.flock), false }, { "posix_lock", AT(fuse.posix_lock), false },
    { "readdirplus", AT(fuse.no_readdirplus), true }, { "writeback", AT(fs.writeback), false },
    { "xattr", AT(fs.xattr), false }, { "allow_direct_io", AT(fs.direct_io), false },
    { "announce_submounts", AT(fs.submounts), false }, { "posix_acl", AT(fs.posix_acl), false },
    { "security_label", AT(fuse.security_label), false }, { "killpriv_v2", AT(fuse.killpriv_v2), false },
    { "readonly", AT(fs.readonly), false }, { "ro", AT(fs.readonly), false }, { "debug", AT(verbose), false },
};

static bool set_switch(Tool *t, const char *word)
{
    bool on = !g_str_has_prefix(word, "no_");
    const char *name = on ? word : word + 3;
    for (unsigned i = 0; i < G_N_ELEMENTS(switches); i++)
        if (!strcmp(switches[i].name, name)) {
            *(bool *)((char *)t + switches[i].at) = on != switches[i].inverted;
            if (!strcmp(name, "readdirplus"))
                t->readdirplus_given = true;
            if (on && !strcmp(name, "posix_acl"))
                t->fs.xattr = true;
            return true;
        }
    return !strcmp(word, "allow_root") || !strcmp(word, "default_permissions");
}

static bool unknown(const char *word, GError **error)
{
    static const char *const values[] = { "source",  "cache",   "timeout",  "xattrmap",
                                          "sandbox", "modcaps", "log_level" };
    const char *names[G_N_ELEMENTS(switches) + G_N_ELEMENTS(values) + 1] = { NULL };
    for (unsigned i = 0; i < G_N_ELEMENTS(switches); i++)
        names[i] = switches[i].name;
    for (unsigned i = 0; i < G_N_ELEMENTS(values); i++)
        names[G_N_ELEMENTS(switches) + i] = values[i];
    const char *near = option_nearest(word, names);
    return near ? fail_usage(error, "unknown option '-o %s' (did you mean '%s'?)", word, near)
                : fail_usage(error, "unknown option '-o %s'", word);
}

static bool set_value(Tool *t, const char *key, const char *value, GError **error)
{
    if (!strcmp(key, "source")) {
        char *path = g_strdup(value);
        g_ptr_array_add(t->kept, path);
        t->shared_dir = path;
    } else if (!strcmp(key, "cache"))
        return tool_cache(t, value, error);
    else if (!strcmp(key, "timeout"))
        return tool_timeout(t, value, error);
    else if (!strcmp(key, "sandbox"))
        return tool_sandbox(t, value, error);
    else if (!strcmp(key, "xattrmap")) {
        g_free(t->xattrmap);
        t->xattrmap = g_strdup(value);
    } else if (!strcmp(key, "modcaps")) {
        g_free(t->modcaps);
        t->modcaps = g_strdup(value);
    } else if (!strcmp(key, "log_level"))
        t->verbose = !strcmp(value, "debug");
    else if (strcmp(key, "max_idle_threads"))
        return unknown(key, error);
    return true;
}

bool tool_old_options(Tool *t, const char *list, GError **error)
{
    while (*list) {
        g_autoptr(GString) word = g_string_new(NULL);
        for (; *list && *list != ','; list++) {
            if (*list == '\\' && list[1])
                list++;
            g_string_append_c(word, *list);
        }
        list += *list == ',';
        char *value = strchr(word->str, '=');
        if (value)
            *value++ = 0;
        if (!word->len ||
            (value ? set_value(t, word->str, value, error) : set_switch(t, word->str)))
            continue;
        return value ? false : unknown(word->str, error);
    }
    return true;
}
