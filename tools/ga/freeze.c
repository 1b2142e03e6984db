/* SPDX-License-Identifier: MIT */
/*
 * Freezing file systems: FIFREEZE and FITHAW of linux/fs.h, with the hook before and after. A
 * file system that is frozen is kept open, so it can be thawed under whatever name, and whoever
 * mounts over it.
 *
 * What makes sure that a machine is never left frozen: a time after which it thaws by itself
 * (--freeze-timeout), the end of the agent, and a file in the state folder, by which the next
 * agent knows of it after a crash. Since that file and the log may be on what is frozen, the
 * first is written before and removed after, and the log is silent meanwhile (Ga.frozen).
 */
#include "sysfs.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

struct GaFreeze {
    GArray *fds;       /* of what is frozen */
    bool left;         /* by an agent before us: all file systems are to be thawed */
    int64_t by_itself; /* when it thawed without being told, monotonic; 0: it did not */
    GaWatch timer;
};

static struct GaFreeze *state(Ga *ga)
{
    if (!ga->freeze) {
        ga->freeze = g_new0(struct GaFreeze, 1);
        ga->freeze->fds = g_array_new(false, false, sizeof(int));
    }
    return ga->freeze;
}

/* qemu-ga's name: each knows what the other left. */
static char *state_file(const Ga *ga)
{
    return g_build_filename(ga->options.state_dir ? ga->options.state_dir : "/var/run",
                            "qga.state.isfrozen", NULL);
}

static bool run_hook(Ga *ga, const char *what, GError **error)
{
    const char *hook = ga->options.freeze_hook;
    const char *const argv[] = { hook, what, NULL };
    if (!hook)
        return true;
    if (access(hook, X_OK)) {
        ga_fail_errno(error, errno, "can't access fsfreeze hook '%s'", hook);
        return false;
    }
    g_autoptr(GError) local = NULL;
    if (ga_run(argv, NULL, &local))
        return true;
    ga_fail(error, "fsfreeze hook has failed: %s", local->message);
    return false;
}

static void set_frozen(Ga *ga, bool frozen)
{
    ga->frozen = frozen;
    agent_set_frozen(ga->agent, frozen);
}

/* ---- Thawing ------------------------------------------------------------------------ */

/* It may be frozen more than once. */
static bool thaw_fd(int fd)
{
    bool thawed = false;
    while (!ioctl(fd, FITHAW, 0))
        thawed = true;
    return thawed;
}

static unsigned thaw_mounts(Ga *ga)
{
    g_autoptr(GPtrArray) mounts = ga_mounts(ga, NULL);
    unsigned n = 0;
    for (unsigned i = 0; mounts && i < mounts->len; i++) {
        const GaMount *m = mounts->pdata[i];
        int fd = open(m->dir, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (fd < 0)
            continue;
        n += thaw_fd(fd);
        close(fd);
    }
    return n;
}

/* In the order that is the other way round: first what others lie on. */
static unsigned thaw_all(Ga *ga)
{
    struct GaFreeze *f = state(ga);
    unsigned n = 0;
    for (unsigned i = f->fds->len; i > 0; i--) {
        int fd = g_array_index(f->fds, int, i - 1);
        n += thaw_fd(fd);
        close(fd);
    }
    g_array_set_size(f->fds, 0);
    if (f->left)
        n += thaw_mounts(ga);
    f->left = false;
    g_autofree char *file = state_file(ga);
    if (ga->frozen)
        unlink(file);
    set_frozen(ga, false);
    f->timer.due = 0;
    ga_watch_remove(ga, &f->timer);
    return n;
}

static void too_long(Ga *ga, GaWatch *watch, short revents)
{
    g_autoptr(GError) error = NULL;
    unsigned n = thaw_all(ga);
    ga->freeze->by_itself = g_get_monotonic_time();
    ga_log(ga, "%u file systems thawed: nobody did so in %u s", n, ga->options.freeze_timeout);
    if (!run_hook(ga, "thaw", &error))
        ga_log(ga, "%s", error->message);
}

static void start_timer(Ga *ga)
{
    struct GaFreeze *f = state(ga);
    if (!ga->options.freeze_timeout)
        return;
    int64_t long_us = (int64_t)ga->options.freeze_timeout * G_USEC_PER_SEC;
    f->timer = (GaWatch){ .fd = -1, .ready = too_long, .due = g_get_monotonic_time() + long_us };
    ga_watch_add(ga, &f->timer);
}

static struct json_object *thaw(void *opaque, struct json_object *args, GError **error)
{
    Ga *ga = opaque;
    unsigned n = thaw_all(ga);
    int64_t ago = g_get_monotonic_time() - state(ga)->by_itself;
    /* The host believes that nothing was written while it copied, which is not so: it is told
     * once. */
    if (state(ga)->by_itself) {
        state(ga)->by_itself = 0;
        return ga_fail(error, "file systems were thawed %" PRId64 " s ago already, after the freeze"
                       " timeout of %u s", ago / G_USEC_PER_SEC, ga->options.freeze_timeout);
    }
    return run_hook(ga, "thaw", error) ? json_object_new_int64(n) : NULL;
}

/* ---- Freezing ------------------------------------------------------------------------ */

/* File systems that cannot, and such as are frozen already (by another of their names), are
 * passed over. */
static bool freeze_one(Ga *ga, const GaMount *m, GError **error)
{
    int fd = open(m->dir, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        ga_fail_errno(error, errno, "failed to open %s", m->dir);
        return false;
    }
    if (!ioctl(fd, FIFREEZE, 0)) {
        g_array_append_val(state(ga)->fds, fd);
        return true;
    }
    int err = errno;
    close(fd);
    if (err == EOPNOTSUPP || err == ENOTTY || err == EBUSY)
        return true;
    ga_fail_errno(error, err, "failed to freeze %s", m->dir);
    return false;
}

static bool freeze_mounts(Ga *ga, GPtrArray *mounts, const char *const *dirs, GError **error)
{
    for (unsigned i = 0; i < mounts->len; i++) {
        const GaMount *m = mounts->pdata[i];
        if ((!dirs || g_strv_contains(dirs, m->dir)) && !freeze_one(ga, m, error))
            return false;
    }
    return true;
}

/* Back to how it was. */
static struct json_object *give_up(Ga *ga)
{
    g_autoptr(GError) error = NULL;
    thaw_all(ga);
    if (!run_hook(ga, "thaw", &error))
        ga_log(ga, "%s", error->message);
    return NULL;
}

static struct json_object *freeze(Ga *ga, const char *const *dirs, GError **error)
{
    g_autoptr(GPtrArray) mounts = ga_mounts(ga, error);
    g_autofree char *file = state_file(ga);
    if (!mounts || !run_hook(ga, "freeze", error))
        return NULL;
    state(ga)->by_itself = 0;
    int fd = open(file, O_CREAT | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        ga_fail_errno(error, errno, "failed to write %s", file);
        return give_up(ga);
    }
    close(fd);
    set_frozen(ga, true);
    if (!freeze_mounts(ga, mounts, dirs, error))
        return give_up(ga);
    unsigned n = state(ga)->fds->len;
    if (n)
        start_timer(ga);
    else
        thaw_all(ga);
    return json_object_new_int64(n);
}

static struct json_object *freeze_all(void *opaque, struct json_object *args, GError **error)
{
    return freeze(opaque, NULL, error);
}

static struct json_object *freeze_list(void *opaque, struct json_object *args, GError **error)
{
    g_auto(GStrv) dirs = agent_has(args, "mountpoints") ? agent_strings(args, "mountpoints") : NULL;
    return freeze(opaque, (const char *const *)dirs, error);
}

static struct json_object *status(void *opaque, struct json_object *args, GError **error)
{
    const Ga *ga = opaque;
    return json_object_new_string(ga->frozen ? "frozen" : "thawed");
}

/* ---- Life ---------------------------------------------------------------------------- */

void ga_freeze_free(Ga *ga, struct GaFreeze *f)
{
    if (!f)
        return;
    if (ga->frozen)
        give_up(ga);
    ga_watch_remove(ga, &f->timer);
    g_array_unref(f->fds);
    g_free(f);
    ga->freeze = NULL;
}

void ga_freeze_restore(Ga *ga)
{
    g_autofree char *file = state_file(ga);
    if (access(file, F_OK))
        return;
    state(ga)->left = true;
    set_frozen(ga, true);
    start_timer(ga);
}

static const AgentArg list_args[] = { { .name = "mountpoints", .type = AGENT_STRINGS,
                                        .optional = true }, { 0 } };

const AgentCommand ga_freeze_commands[] = {
    { .name = "guest-fsfreeze-status", .run = status, .frozen = true },
    { .name = "guest-fsfreeze-freeze", .run = freeze_all },
    { .name = "guest-fsfreeze-freeze-list", .args = list_args, .run = freeze_list },
    { .name = "guest-fsfreeze-thaw", .run = thaw, .frozen = true },
    { 0 }
};
