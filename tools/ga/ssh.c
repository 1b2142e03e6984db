/* SPDX-License-Identifier: MIT */
/*
 * ~/.ssh/authorized_keys (sshd(8)). A user's home is the user's to arrange, links included: so
 * all is done with the user's own rights, and the file is exchanged as a whole.
 */
#include "sysfs.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <json-c/json.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_BYTES = 1 << 20, MOST_GROUPS = 65536 };

typedef struct {
    char *folder, *file;      /* .ssh, and the keys in it */
    uid_t uid, our_uid;
    gid_t gid, our_gid;
    gid_t *groups;
    int n_groups;
    bool other;               /* we run as the user */
} Home;

static bool look_up(const Ga *ga, const char *name, struct passwd *pw, char *buf, size_t size)
{
    struct passwd *found = NULL;
    if (!ga->root)
        return !getpwnam_r(name, pw, buf, size, &found) && found;
    g_autofree char *path = ga_path(ga, "/etc/passwd");
    FILE *f = fopen(path, "re");
    while (f && !fgetpwent_r(f, pw, buf, size, &found) && strcmp(pw->pw_name, name))
        found = NULL;
    if (f)
        fclose(f);
    return found && g_str_equal(pw->pw_name, name);
}

static bool home_find(const Ga *ga, const char *user, Home *h, GError **error)
{
    struct passwd pw;
    enum { SIZE = 65536 };
    g_autofree char *buf = g_malloc(SIZE);
    if (!look_up(ga, user, &pw, buf, SIZE)) {
        ga_fail(error, "failed to lookup user '%s'", user);
        return false;
    }
    g_autofree char *home = ga_path(ga, "%s", pw.pw_dir);
    *h = (Home){ .uid = pw.pw_uid, .gid = pw.pw_gid, .our_uid = geteuid(), .our_gid = getegid() };
    h->folder = g_build_filename(home, ".ssh", NULL);
    h->file = g_build_filename(h->folder, "authorized_keys", NULL);
    return true;
}

static void home_leave(Home *h)
{
    if (h->other && (seteuid(h->our_uid) || setegid(h->our_gid) ||
                     setgroups((size_t)h->n_groups, h->groups)))
        abort(); /* with rights that are not ours there is no going on */
    g_free(h->groups);
    g_free(h->folder);
    g_free(h->file);
}

static bool home_enter(Home *h, GError **error)
{
    if (h->our_uid != 0 || h->uid == 0)
        return true;
    h->groups = g_new(gid_t, MOST_GROUPS);
    h->n_groups = getgroups(MOST_GROUPS, h->groups);
    if (h->n_groups < 0 || setgroups(1, &h->gid)) {
        ga_fail_errno(error, errno, "failed to become the user");
        return false;
    }
    h->other = true;
    if (setegid(h->gid) || seteuid(h->uid)) {
        ga_fail_errno(error, errno, "failed to become the user");
        return false;
    }
    return true;
}

/* The lines of the file; what is too long to be one is refused. */
static char **read_keys(const Home *h, GError **error)
{
    g_autoptr(GString) text = g_string_new(NULL);
    char buf[4096];
    struct stat st;
    ssize_t n = 0;
    int fd = open(h->file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    int err = fd < 0 || fstat(fd, &st) ? errno : !S_ISREG(st.st_mode) ? EINVAL : 0;
    while (!err && text->len <= MOST_BYTES && (n = read(fd, buf, sizeof buf)) > 0)
        g_string_append_len(text, buf, n);
    if (!err && n < 0)
        err = errno;
    if (!err && text->len > MOST_BYTES)
        err = EFBIG;
    if (fd >= 0)
        close(fd);
    if (!err)
        return g_strsplit(text->str, "\n", -1);
    g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(err), "failed to read '%s': %s",
                h->file, g_strerror(err));
    return NULL;
}

static bool write_keys(const Home *h, GPtrArray *keys, GError **error)
{
    g_autofree char *made = g_build_filename(h->folder, ".authorized_keys.XXXXXX", NULL);
    g_autoptr(GString) text = g_string_new(NULL);
    for (unsigned i = 0; i < keys->len; i++)
        g_string_append_printf(text, "%s\n", (char *)keys->pdata[i]);
    if (mkdir(h->folder, 0700) && errno != EEXIST) {
        ga_fail_errno(error, errno, "failed to create '%s'", h->folder);
        return false;
    }
    int fd = mkostemp(made, O_CLOEXEC);
    if (fd < 0) {
        ga_fail_errno(error, errno, "failed to write in '%s'", h->folder);
        return false;
    }
    bool done = write(fd, text->str, text->len) == (ssize_t)text->len && !fsync(fd) &&
        !rename(made, h->file);
    if (!done) {
        ga_fail_errno(error, errno, "failed to write '%s'", h->file);
        unlink(made);
    }
    close(fd);
    return done;
}

static bool is_key(const char *line)
{
    return *line && *line != '#';
}

/* Nothing of it may become a second line, or none. */
static bool check_keys(char **keys, GError **error)
{
    for (unsigned i = 0; keys[i]; i++)
        if (*keys[i] == '#' || strpbrk(keys[i], "\r\n")) {
            ga_fail(error, "invalid OpenSSH public key: '%s'", keys[i]);
            return false;
        }
    return true;
}

/* ---- Commands --------------------------------------------------------------------------- */

static struct json_object *get_keys(void *opaque, struct json_object *args, GError **error)
{
    Home h = { 0 };
    if (!home_find(opaque, agent_string(args, "username"), &h, error))
        return NULL;
    g_auto(GStrv) lines = home_enter(&h, error) ? read_keys(&h, error) : NULL;
    home_leave(&h);
    if (!lines)
        return NULL;
    struct json_object *o = json_object_new_object(), *list = json_object_new_array();
    for (unsigned i = 0; lines[i]; i++)
        if (is_key(g_strstrip(lines[i]))) {
            g_autofree char *valid = g_utf8_make_valid(lines[i], -1);
            json_object_array_add(list, json_object_new_string(valid));
        }
    json_object_object_add(o, "keys", list);
    return o;
}

/* What is left of the file after keys, with keys added or not. */
static GPtrArray *merge(char **lines, char **keys, bool add)
{
    GPtrArray *all = g_ptr_array_new();
    for (unsigned i = 0; lines && lines[i]; i++) {
        bool last = !lines[i + 1] && !*lines[i];
        if (!last && (add || !g_strv_contains((const char *const *)keys, lines[i])))
            g_ptr_array_add(all, lines[i]);
    }
    for (unsigned i = 0; add && keys[i]; i++)
        if (*keys[i] && !g_ptr_array_find_with_equal_func(all, keys[i], g_str_equal, NULL))
            g_ptr_array_add(all, keys[i]);
    return all;
}

static struct json_object *change(const Ga *ga, struct json_object *args, bool add, GError **error)
{
    Home h = { 0 };
    g_autoptr(GError) local = NULL;
    g_auto(GStrv) keys = agent_strings(args, "keys");
    if ((add && !check_keys(keys, error)) ||
        !home_find(ga, agent_string(args, "username"), &h, error))
        return NULL;
    bool done = home_enter(&h, error);
    bool reset = add && agent_bool(args, "reset", false);
    g_auto(GStrv) lines = done && !reset ? read_keys(&h, &local) : NULL;
    bool absent = g_error_matches(local, G_FILE_ERROR, G_FILE_ERROR_NOENT);
    if (local && !absent) {
        g_propagate_error(error, g_steal_pointer(&local));
        done = false;
    }
    /* no file has no key to remove */
    if (done && (add || !absent)) {
        g_autoptr(GPtrArray) all = merge(lines, keys, add);
        done = write_keys(&h, all, error);
    }
    home_leave(&h);
    return done ? agent_nothing() : NULL;
}

static struct json_object *add_keys(void *opaque, struct json_object *args, GError **error)
{
    return change(opaque, args, true, error);
}

static struct json_object *remove_keys(void *opaque, struct json_object *args, GError **error)
{
    return change(opaque, args, false, error);
}

static const AgentArg get_args[] = { { .name = "username", .type = AGENT_STRING }, { 0 } };
static const AgentArg remove_args[] = {
    { .name = "username", .type = AGENT_STRING }, { .name = "keys", .type = AGENT_STRINGS }, { 0 }
};
static const AgentArg add_args[] = {
    { .name = "username", .type = AGENT_STRING }, { .name = "keys", .type = AGENT_STRINGS },
    { .name = "reset", .type = AGENT_BOOL, .optional = true }, { 0 }
};

const AgentCommand ga_ssh_commands[] = {
    { .name = "guest-ssh-get-authorized-keys", .args = get_args, .run = get_keys },
    { .name = "guest-ssh-add-authorized-keys", .args = add_args, .run = add_keys },
    { .name = "guest-ssh-remove-authorized-keys", .args = remove_args, .run = remove_keys },
    { 0 }
};
