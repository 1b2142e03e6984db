/* SPDX-License-Identifier: MIT */
/*
 * Shutting down and sleeping, by the programs of the system, since only they end services in
 * order: shutdown(8), or else systemd's or the ones of small systems; to sleep, systemd's,
 * pm-utils', or /sys/power (Documentation/admin-guide/pm/sleep-states.rst).
 */
#include "sysfs.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define REASON "hypervisor initiated shutdown"

/* A program where administrators' are, whatever PATH an init has given us; NULL: there is none. */
static char *find_program(const char *name)
{
    static const char *const folders[] = { "/usr/sbin", "/sbin", "/usr/bin", "/bin" };
    char *path = g_find_program_in_path(name);
    for (unsigned i = 0; !path && i < G_N_ELEMENTS(folders); i++) {
        path = g_build_filename(folders[i], name, NULL);
        if (access(path, X_OK))
            g_clear_pointer(&path, g_free);
    }
    return path;
}

/* shutdown(8) of sysvinit takes -P and -H for details of -h, and without it goes to single-user
 * mode. */
typedef struct { const char *mode, *flags[2], *program; } Mode;

static const Mode modes[] = {
    { "powerdown", { "-h", "-P" }, "poweroff" },
    { "halt", { "-h", "-H" }, "halt" },
    { "reboot", { "-r", NULL }, "reboot" },
};

static struct json_object *shutdown_machine(void *opaque, struct json_object *args, GError **error)
{
    const char *mode = agent_has(args, "mode") ? agent_string(args, "mode") : "powerdown";
    const Mode *m = NULL;
    for (unsigned i = 0; i < G_N_ELEMENTS(modes); i++)
        if (g_str_equal(modes[i].mode, mode))
            m = &modes[i];
    if (!m) /* the missing bracket is qemu-ga's */
        return ga_fail(error, "mode is invalid (valid values are: halt|powerdown|reboot");
    g_autofree char *shutdown = find_program("shutdown"), *systemctl = find_program("systemctl"),
                    *other = find_program(m->program);
    const char *const by_shutdown[] = { shutdown, m->flags[0], m->flags[1], "+0", REASON, NULL };
    const char *const reboot_by_shutdown[] = { shutdown, "-r", "+0", REASON, NULL };
    const char *const by_systemd[] = { systemctl, m->program, NULL };
    const char *const by_other[] = { other, NULL };
    const char *const *argv = shutdown ? m->flags[1] ? by_shutdown : reboot_by_shutdown :
        systemctl ? by_systemd : by_other;
    if (!argv[0])
        return ga_fail(error, "there is no program to shut down with");
    ga_log(opaque, "%s: %s", argv[0], mode);
    return ga_run(argv, NULL, error) ? agent_nothing() : NULL;
}

/* ---- Sleeping -------------------------------------------------------------------------- */

typedef struct { const char *state, *disk, *systemd, *pm; } Sleep;

static const Sleep to_disk = { "disk", NULL, "hibernate", "pm-hibernate" };
static const Sleep to_ram = { "mem", NULL, "suspend", "pm-suspend" };
static const Sleep to_both = { "disk", "suspend", "hybrid-sleep", "pm-suspend-hybrid" };

static bool has_word(const Ga *ga, const char *file, const char *word)
{
    g_autofree char *text = ga_read(ga, "/sys/power/%s", file);
    g_auto(GStrv) words = g_strsplit_set(text ? text : "", " []\n", -1);
    return g_strv_contains((const char *const *)words, word);
}

static bool write_power(const Ga *ga, const char *file, const char *word, GError **error)
{
    g_autofree char *path = ga_path(ga, "/sys/power/%s", file);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool done = fd >= 0 && write(fd, word, strlen(word)) == (ssize_t)strlen(word);
    if (!done)
        ga_fail_errno(error, errno, "failed to suspend: %s", path);
    if (fd >= 0)
        close(fd);
    return done;
}

/* It returns when the machine is awake again. A hibernation needs swap: only the kernel can say
 * that there is none. */
static struct json_object *sleep_machine(const Ga *ga, const Sleep *s, GError **error)
{
    g_autofree char *systemctl = find_program("systemctl"), *pm = find_program(s->pm);
    g_autofree char *systemd = ga_path(ga, "/run/systemd/system");
    const char *const by_systemd[] = { systemctl, s->systemd, NULL }, *const by_pm[] = { pm, NULL };
    if (!has_word(ga, "state", s->state) || (s->disk && !has_word(ga, "disk", s->disk)))
        return ga_fail(error, "the requested suspend mode is not supported by the guest");
    bool done = systemctl && !access(systemd, F_OK) ? ga_run(by_systemd, NULL, error) :
                pm ? ga_run(by_pm, NULL, error) :
                (!s->disk || write_power(ga, "disk", s->disk, error)) &&
                    write_power(ga, "state", s->state, error);
    return done ? agent_nothing() : NULL;
}

static struct json_object *suspend_disk(void *opaque, struct json_object *args, GError **error)
{
    return sleep_machine(opaque, &to_disk, error);
}

static struct json_object *suspend_ram(void *opaque, struct json_object *args, GError **error)
{
    return sleep_machine(opaque, &to_ram, error);
}

static struct json_object *suspend_hybrid(void *opaque, struct json_object *args, GError **error)
{
    return sleep_machine(opaque, &to_both, error);
}

static const AgentArg shutdown_args[] = { { .name = "mode", .type = AGENT_STRING,
                                            .optional = true }, { 0 } };

const AgentCommand ga_power_commands[] = {
    { .name = "guest-shutdown", .args = shutdown_args, .run = shutdown_machine, .silent = true },
    { .name = "guest-suspend-disk", .run = suspend_disk, .silent = true },
    { .name = "guest-suspend-ram", .run = suspend_ram, .silent = true },
    { .name = "guest-suspend-hybrid", .run = suspend_hybrid, .silent = true },
    { 0 }
};
