/* SPDX-License-Identifier: MIT */
/*
 * A user namespace in which we are root, so that nobody has to be root outside. newuidmap and
 * newgidmap give it the ids that /etc/subuid and /etc/subgid say are ours (user_namespaces(7),
 * subuid(5)): 0 is who started us, 1 and up are those. Without them there is one id, and the
 * guest's files all belong to 0.
 */
#include "tool.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <grp.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static bool put(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0)
        close(fd);
    return good;
}

/* "NAME:FIRST:COUNT" of this user. */
static bool sub_ids(const char *path, uint32_t *first, uint32_t *count)
{
    g_autofree char *text = NULL, *number = g_strdup_printf("%u", getuid());
    const struct passwd *pw = getpwuid(getuid());
    if (!g_file_get_contents(path, &text, NULL, NULL))
        return false;
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (unsigned i = 0; lines[i]; i++) {
        g_auto(GStrv) part = g_strsplit(lines[i], ":", 3);
        guint64 a, n;
        if (g_strv_length(part) == 3 &&
            (!strcmp(part[0], number) || (pw && !strcmp(part[0], pw->pw_name))) &&
            g_ascii_string_to_unsigned(part[1], 10, 1, UINT32_MAX, &a, NULL) &&
            g_ascii_string_to_unsigned(part[2], 10, 1, UINT32_MAX, &n, NULL)) {
            *first = (uint32_t)a;
            *count = (uint32_t)n;
            return true;
        }
    }
    return false;
}

/* ":NS:HOST:COUNT:", any separator: three words for newuidmap each. */
static bool add_lines(GPtrArray *to, GPtrArray *texts, GError **error)
{
    for (guint i = 0; i < texts->len; i++) {
        const char *text = texts->pdata[i];
        char separator[2] = { *text, 0 };
        g_auto(GStrv) part = g_strsplit(*text ? text + 1 : "", *text ? separator : ":", -1);
        guint64 n;
        if (g_strv_length(part) != 4 || *part[3])
            return fail_usage(error, "id map '%s': want :ID-IN-NAMESPACE:ID-OF-HOST:COUNT:", text);
        for (unsigned k = 0; k < 3; k++) {
            if (!g_ascii_string_to_unsigned(part[k], 10, 0, UINT32_MAX, &n, NULL))
                return fail_usage(error, "id map '%s': '%s' is no id", text, part[k]);
            g_ptr_array_add(to, g_strdup(part[k]));
        }
    }
    return true;
}

/* The map of one kind of id as words; *helper says that only the set-uid helper may install it. */
static GPtrArray *make_map(GPtrArray *given, const char *program, const char *sub_path,
                           uint32_t own, bool *helper, GError **error)
{
    GPtrArray *map = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *found = g_find_program_in_path(program);
    uint32_t first, count;
    if (given->len) {
        if (!add_lines(map, given, error)) {
            g_ptr_array_unref(map);
            return NULL;
        }
        *helper = map->len != 3 || strcmp(map->pdata[2], "1") ||
                  strtoul(map->pdata[1], NULL, 10) != own;
        return map;
    }
    const char *one[] = { "0", NULL, "1" };
    for (unsigned i = 0; i < 3; i++)
        g_ptr_array_add(map, one[i] ? g_strdup(one[i]) : g_strdup_printf("%u", own));
    *helper = found && sub_ids(sub_path, &first, &count);
    if (*helper) {
        g_ptr_array_add(map, g_strdup("1"));
        g_ptr_array_add(map, g_strdup_printf("%u", first));
        g_ptr_array_add(map, g_strdup_printf("%u", count));
    }
    return map;
}

/* In a child that stayed outside; root's needs no helper for it. */
static G_NORETURN void run_helper(const char *program, const char *file, GPtrArray *map, pid_t of,
                                  int go)
{
    char c;
    g_autofree char *pid = g_strdup_printf("%d", (int)of);
    if (read(go, &c, 1) != 1)
        _exit(1);
    if (geteuid() == 0) {
        g_autofree char *path = g_strdup_printf("/proc/%s/%s", pid, strrchr(file, '/') + 1);
        g_autoptr(GString) text = g_string_new(NULL);
        for (guint i = 0; i < map->len; i++)
            g_string_append_printf(text, "%s%c", (char *)map->pdata[i], i % 3 == 2 ? '\n' : ' ');
        _exit(!put(path, text->str));
    }
    g_ptr_array_insert(map, 0, g_strdup(program));
    g_ptr_array_insert(map, 1, g_steal_pointer(&pid));
    g_ptr_array_add(map, NULL);
    execvp(program, (char **)map->pdata);
    _exit(127);
}

typedef struct {
    const char *program, *file;
    GPtrArray *map;
    bool helper;
    pid_t child;
    int go[2];
} Side;

static bool start_helper(Side *s, GError **error)
{
    pid_t us = getpid();
    if (!s->helper)
        return true;
    if (pipe2(s->go, O_CLOEXEC))
        return fail_errno(error, errno, "%s", s->program);
    s->child = fork();
    if (s->child < 0)
        return fail_errno(error, errno, "%s", s->program);
    if (!s->child) {
        close(s->go[1]);
        run_helper(s->program, s->file, s->map, us, s->go[0]);
    }
    close(s->go[0]);
    return true;
}

static bool install(Side *s, GError **error)
{
    int status = 0;
    if (!s->helper) {
        g_autofree char *line = g_strdup_printf("%s %s %s", (char *)s->map->pdata[0],
                                                (char *)s->map->pdata[1], (char *)s->map->pdata[2]);
        return put(s->file, line) || fail_errno(error, errno, "%s", s->file);
    }
    bool told = write(s->go[1], "g", 1) == 1;
    close(s->go[1]);
    while (waitpid(s->child, &status, 0) < 0 && errno == EINTR)
        ;
    return (told && WIFEXITED(status) && !WEXITSTATUS(status)) ||
           fail(error,
                "%s could not set the ids up (/etc/subuid and /etc/subgid say which may be used)",
                s->program);
}

bool enter_user_namespace(Tool *tool, int more_flags, GError **error)
{
    Side uid = { .program = "newuidmap", .file = "/proc/self/uid_map" };
    Side gid = { .program = "newgidmap", .file = "/proc/self/gid_map" };
    uid.map = make_map(tool->uid_map, uid.program, "/etc/subuid", geteuid(), &uid.helper, error);
    gid.map = uid.map ? make_map(tool->gid_map, gid.program, "/etc/subgid", getegid(), &gid.helper, error) : NULL;
    bool ok = gid.map && start_helper(&uid, error) && start_helper(&gid, error);
    if (ok && unshare(CLONE_NEWUSER | more_flags))
        ok = fail_errno(error, errno, "a user namespace (try --sandbox none)");
    /* An unprivileged group map asks that nobody can leave groups that keep him out. */
    if (ok && !gid.helper && !put("/proc/self/setgroups", "deny"))
        ok = fail_errno(error, errno, "/proc/self/setgroups");
    ok = ok && install(&uid, error) && install(&gid, error);
    if (ok && gid.helper && setgroups(0, NULL))
        ok = fail_errno(error, errno, "supplementary groups");
    if (uid.map)
        g_ptr_array_unref(uid.map);
    if (gid.map)
        g_ptr_array_unref(gid.map);
    return ok;
}
