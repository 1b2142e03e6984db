/* SPDX-License-Identifier: MIT */
/* The key file of qemu-ga, group [general], and the options in that form. freeze-timeout is an
 * addition. */
#include "ga.h"

#include "base/error.h"

#include <stdio.h>
#include <string.h>

static const char group[] = "general";

/* Keys that stand for a text; NULL where one is not given. */
static void take_text(GKeyFile *keys, const char *key, char **text)
{
    g_autofree char *value = g_key_file_get_string(keys, group, key, NULL);
    if (!value)
        return;
    g_free(*text);
    *text = g_steal_pointer(&value);
}

static bool take_bool(GKeyFile *keys, const char *key, bool *value, GError **error)
{
    g_autoptr(GError) local = NULL;
    if (!g_key_file_has_key(keys, group, key, NULL))
        return true;
    bool given = g_key_file_get_boolean(keys, group, key, &local);
    if (local)
        return fail_usage(error, "%s: %s", key, local->message);
    *value = given;
    return true;
}

static bool take_method(GKeyFile *keys, GaOptions *o, GError **error)
{
    g_autofree char *word = NULL;
    take_text(keys, "method", &word);
    return !word || ga_method(o, word, error);
}

static bool take_timeout(GKeyFile *keys, GaOptions *o, GError **error)
{
    g_autofree char *text = NULL;
    take_text(keys, "freeze-timeout", &text);
    return !text || ga_freeze_timeout(o, text, error);
}

static void take_names(GKeyFile *keys, const char *key, char ***names)
{
    g_autofree char *text = NULL;
    take_text(keys, key, &text);
    if (text)
        ga_add_names(names, text);
}

bool ga_config_read(GaOptions *o, const char *file, bool must_exist, GError **error)
{
    g_autoptr(GKeyFile) keys = g_key_file_new();
    g_autoptr(GError) local = NULL;
    if (!g_key_file_load_from_file(keys, file, G_KEY_FILE_NONE, &local)) {
        if (!must_exist && g_error_matches(local, G_FILE_ERROR, G_FILE_ERROR_NOENT))
            return true;
        return fail_usage(error, "%s: %s", file, local->message);
    }
    take_text(keys, "path", &o->path);
    take_text(keys, "logfile", &o->log_file);
    take_text(keys, "pidfile", &o->pid_file);
    take_text(keys, "fsfreeze-hook", &o->freeze_hook);
    take_text(keys, "statedir", &o->state_dir);
    take_names(keys, "blacklist", &o->block);
    take_names(keys, "block-rpcs", &o->block);
    take_names(keys, "allow-rpcs", &o->allow);
    if (!take_method(keys, o, error) || !take_timeout(keys, o, error) ||
        !take_bool(keys, "daemon", &o->daemonize, error) ||
        !take_bool(keys, "verbose", &o->verbose, error) ||
        !take_bool(keys, "retry-path", &o->retry, error))
        return prefix(error, "%s", file);
    return true;
}

static void set_text(GKeyFile *keys, const char *key, const char *text)
{
    if (text)
        g_key_file_set_string(keys, group, key, text);
}

static void set_names(GKeyFile *keys, const char *key, char *const *names)
{
    static char *const none[] = { NULL };
    g_autofree char *text = g_strjoinv(",", (char **)(names ? names : none));
    g_key_file_set_string(keys, group, key, text);
}

void ga_config_print(const GaOptions *o)
{
    g_autoptr(GKeyFile) keys = g_key_file_new();
    g_key_file_set_boolean(keys, group, "daemon", o->daemonize);
    set_text(keys, "method", ga_method_name(o));
    set_text(keys, "path", o->path);
    set_text(keys, "logfile", o->log_file);
    set_text(keys, "pidfile", o->pid_file);
    set_text(keys, "fsfreeze-hook", o->freeze_hook);
    set_text(keys, "statedir", o->state_dir);
    g_key_file_set_boolean(keys, group, "verbose", o->verbose);
    g_key_file_set_boolean(keys, group, "retry-path", o->retry);
    set_names(keys, "block-rpcs", o->block);
    if (o->allow)
        set_names(keys, "allow-rpcs", o->allow);
    if (o->freeze_timeout)
        g_key_file_set_integer(keys, group, "freeze-timeout", (int)o->freeze_timeout);
    g_autofree char *text = g_key_file_to_data(keys, NULL, NULL);
    fputs(text, stdout);
}
