/* SPDX-License-Identifier: MIT */
/* The time: the system's and the clock chip's (rtc(4)), by ioctl: hwclock is not in every system
 * any more. The third line of /etc/adjtime says whether the chip has local time
 * (adjtime_config(5)). */
#include "sysfs.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <linux/rtc.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define NS 1000000000LL
#define YEAR_2070 3155760000LL /* later ones are mistakes, as for qemu-ga */

static struct json_object *get_time(void *opaque, struct json_object *args, GError **error)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return json_object_new_int64(now.tv_sec * NS + now.tv_nsec);
}

static bool chip_has_local_time(const Ga *ga)
{
    g_autofree char *text = ga_read(ga, "/etc/adjtime");
    g_auto(GStrv) lines = g_strsplit(text ? text : "", "\n", -1);
    return g_strv_length(lines) >= 3 && g_str_equal(g_strstrip(lines[2]), "LOCAL");
}

static const char *const chips[] = { "/dev/rtc", "/dev/rtc0", "/dev/misc/rtc" };

static bool chip_is_absent(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(chips); i++)
        if (!access(chips[i], F_OK))
            return false;
    return true;
}

static int open_chip(int flags, GError **error)
{
    int fd = -1;
    for (unsigned i = 0; fd < 0 && i < G_N_ELEMENTS(chips); i++)
        fd = open(chips[i], flags | O_CLOEXEC);
    if (fd < 0)
        ga_fail_errno(error, errno, "failed to open the hardware clock");
    return fd;
}

static bool read_chip(const Ga *ga, time_t *t, GError **error)
{
    struct rtc_time c;
    int fd = open_chip(O_RDONLY, error);
    if (fd < 0)
        return false;
    int err = ioctl(fd, RTC_RD_TIME, &c) ? errno : 0;
    close(fd);
    struct tm tm = {
        .tm_sec = c.tm_sec, .tm_min = c.tm_min, .tm_hour = c.tm_hour,
        .tm_mday = c.tm_mday, .tm_mon = c.tm_mon, .tm_year = c.tm_year, .tm_isdst = -1,
    };
    if (err)
        ga_fail_errno(error, err, "failed to read the hardware clock");
    else
        *t = chip_has_local_time(ga) ? mktime(&tm) : timegm(&tm);
    return !err;
}

static bool write_chip(const Ga *ga, time_t t, GError **error)
{
    struct tm tm;
    int fd = open_chip(O_WRONLY, error);
    if (fd < 0)
        return false;
    if (chip_has_local_time(ga))
        localtime_r(&t, &tm);
    else
        gmtime_r(&t, &tm);
    struct rtc_time c = {
        .tm_sec = tm.tm_sec, .tm_min = tm.tm_min, .tm_hour = tm.tm_hour,
        .tm_mday = tm.tm_mday, .tm_mon = tm.tm_mon, .tm_year = tm.tm_year,
    };
    int err = ioctl(fd, RTC_SET_TIME, &c) ? errno : 0;
    close(fd);
    if (err)
        ga_fail_errno(error, err, "failed to set the hardware clock");
    return !err;
}

/* Without a time the chip's is taken, which the host keeps right while a machine is stopped. */
static struct json_object *set_time(void *opaque, struct json_object *args, GError **error)
{
    bool given = agent_has(args, "time");
    int64_t ns = agent_int(args, "time", 0);
    if (given && (ns < 0 || ns / NS >= YEAR_2070))
        return ga_fail(error, "Invalid time");
    struct timespec t = { .tv_sec = ns / NS, .tv_nsec = ns % NS };
    if (!given && !read_chip(opaque, &t.tv_sec, error))
        return NULL;
    if (clock_settime(CLOCK_REALTIME, &t))
        return ga_fail_errno(error, errno, "Failed to set time to guest");
    g_autoptr(GError) local = NULL;
    if (given && !write_chip(opaque, t.tv_sec, &local)) {
        if (!chip_is_absent()) {
            g_propagate_error(error, g_steal_pointer(&local));
            return NULL;
        }
        /* a machine without one: there is nothing to keep right */
        ga_debug(opaque, "%s", local->message);
    }
    return agent_nothing();
}

static const AgentArg args[] = { { .name = "time", .type = AGENT_INT, .optional = true }, { 0 } };

const AgentCommand ga_time_commands[] = {
    { .name = "guest-get-time", .run = get_time },
    { .name = "guest-set-time", .args = args, .run = set_time },
    { 0 }
};
