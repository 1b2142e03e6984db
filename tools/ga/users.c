/* SPDX-License-Identifier: MIT */
/* Who is logged in (utmp(5); where there is none any more, the sessions of systemd-logind),
 * names of the host and its timezone, passwords by chpasswd(8). */
#include "sysfs.h"

#include <json-c/json.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <utmpx.h>

/* Each user once, since the first login. */
static void add_user(struct json_object *list, const char *name, double since)
{
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *o = json_object_array_get_idx(list, i);
        if (!g_str_equal(json_object_get_string(json_object_object_get(o, "user")), name))
            continue;
        if (since < json_object_get_double(json_object_object_get(o, "login-time")))
            json_object_object_add(o, "login-time", json_object_new_double(since));
        return;
    }
    struct json_object *o = json_object_new_object();
    agent_put_string(o, "user", name);
    json_object_object_add(o, "login-time", json_object_new_double(since));
    json_object_array_add(list, o);
}

static bool add_utmp(const Ga *ga, struct json_object *list)
{
    g_autofree char *path = ga_path(ga, "/var/run/utmp"), *bytes = NULL;
    gsize len;
    if (!g_file_get_contents(path, &bytes, &len, NULL))
        return false;
    for (gsize at = 0; at + sizeof(struct utmpx) <= len; at += sizeof(struct utmpx)) {
        struct utmpx u;
        memcpy(&u, bytes + at, sizeof u);
        g_autofree char *name = g_strndup(u.ut_user, sizeof u.ut_user);
        if (u.ut_type == USER_PROCESS && *name)
            add_user(list, name, (double)u.ut_tv.tv_sec + (double)u.ut_tv.tv_usec / 1e6);
    }
    return true;
}

static const char *value_of(char **lines, const char *key)
{
    for (unsigned i = 0; lines[i]; i++)
        if (g_str_has_prefix(lines[i], key) && lines[i][strlen(key)] == '=')
            return lines[i] + strlen(key) + 1;
    return "";
}

static void add_sessions(const Ga *ga, struct json_object *list)
{
    g_autofree char *folder = ga_path(ga, "/run/systemd/sessions");
    g_autoptr(GPtrArray) names = ga_names(folder);
    for (unsigned i = 0; names && i < names->len; i++) {
        g_autofree char *text = ga_read(ga, "/run/systemd/sessions/%s", (char *)names->pdata[i]);
        g_auto(GStrv) lines = g_strsplit(text ? text : "", "\n", -1);
        const char *user = value_of(lines, "USER"), *since = value_of(lines, "REALTIME");
        if (*user && *since && g_str_equal(value_of(lines, "CLASS"), "user"))
            add_user(list, user, g_ascii_strtod(since, NULL) / 1e6);
    }
}

static struct json_object *get_users(void *opaque, struct json_object *args, GError **error)
{
    struct json_object *list = json_object_new_array();
    if (!add_utmp(opaque, list))
        add_sessions(opaque, list);
    return list;
}

static struct json_object *get_host_name(void *opaque, struct json_object *args, GError **error)
{
    char name[256] = "";
    struct json_object *o = json_object_new_object();
    gethostname(name, sizeof name - 1);
    agent_put_string(o, "host-name", name);
    return o;
}

static struct json_object *get_timezone(void *opaque, struct json_object *args, GError **error)
{
    struct json_object *o = json_object_new_object();
    time_t now = time(NULL);
    struct tm tm;
    tzset();
    localtime_r(&now, &tm);
    agent_put_string(o, "zone", tm.tm_zone);
    agent_put_int(o, "offset", tm.tm_gmtoff);
    return o;
}

static struct json_object *set_password(void *opaque, struct json_object *args, GError **error)
{
    g_autoptr(GError) local = NULL;
    const char *user = agent_string(args, "username");
    size_t len;
    g_autofree uint8_t *password = agent_base64(args, "password", &len, error);
    if (!password)
        return NULL;
    if (memchr(password, '\n', len) || memchr(password, 0, len))
        return ga_fail(error, "forbidden characters in raw password");
    if (strpbrk(user, ":\n"))
        return ga_fail(error, "forbidden characters in username");
    g_autofree char *input = g_strdup_printf("%s:%.*s\n", user, (int)len, password);
    const char *const argv[] = { "chpasswd", agent_bool(args, "crypted", false) ? "-e" : NULL,
                                 NULL };
    bool done = ga_run(argv, input, &local);
    explicit_bzero(input, strlen(input));
    explicit_bzero(password, len);
    if (done)
        return agent_nothing();
    return ga_fail(error, "child process has failed to set user password: %s", local->message);
}

static const AgentArg password_args[] = {
    { .name = "username", .type = AGENT_STRING }, { .name = "password", .type = AGENT_STRING },
    { .name = "crypted", .type = AGENT_BOOL }, { 0 }
};

const AgentCommand ga_users_commands[] = {
    { .name = "guest-get-users", .run = get_users },
    { .name = "guest-get-host-name", .run = get_host_name },
    { .name = "guest-get-timezone", .run = get_timezone },
    { .name = "guest-set-user-password", .args = password_args, .run = set_password },
    { 0 }
};
