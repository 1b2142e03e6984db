/* SPDX-License-Identifier: MIT */
/*
 * -qtest: the protocol of lib/qtest on a character device. With -accel qtest no CPU runs, the clock
 * stands still but for the test's commands, and the end of input is the end of the machine, unless
 * its peer may come again (server=on).
 */
#include "qtest.h"

#include "base/error.h"
#include "qtest/qtest.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define INPUT_MAX 65536

struct QtestServer {
    Run *run;
    Qtest *qtest;
    Chardev *chardev; /* of the table */
    FILE *log;        /* NULL: none */
    gint64 start;     /* g_get_monotonic_time */
    bool ends;        /* with its peer */
};

/* By its id, or by a path whose last part is an id (/machine/peripheral/ID). */
static Device *find_device(void *opaque, const char *name)
{
    const QtestServer *s = opaque;
    const char *slash = strrchr(name, '/');
    return machine_device(s->run->machine, slash ? slash + 1 : name);
}

static void send_line(void *opaque, const char *line, size_t len)
{
    QtestServer *s = opaque;
    while (len) {
        size_t n = chardev_write(s->chardev, line, len);
        line += n;
        len -= n;
    }
}

static void log_line(void *opaque, bool received, const char *line)
{
    const QtestServer *s = opaque;
    double t = (double)(g_get_monotonic_time() - s->start) / G_USEC_PER_SEC;
    fprintf(s->log, "[%c +%f] %s\n", received ? 'R' : 'S', t, line);
}

static size_t can_receive(void *opaque)
{
    return INPUT_MAX;
}

static void receive(void *opaque, const uint8_t *buf, size_t len)
{
    qtest_feed(((QtestServer *)opaque)->qtest, buf, len);
}

static void on_event(void *opaque, ChardevEvent event)
{
    QtestServer *s = opaque;
    if (event != CHARDEV_EVENT_CLOSED)
        return;
    qtest_close(s->qtest);
    if (s->ends)
        run_end(s->run);
}

static bool open_log(QtestServer *s, GError **error)
{
    const char *name = s->run->o->qtest_log;
    if (!name || !strcmp(name, "none"))
        return true;
    s->log = fopen(name, "we");
    if (!s->log)
        return fail_errno(error, errno, "-qtest-log %s", name);
    setvbuf(s->log, NULL, _IOLBF, 0);
    return true;
}

QtestServer *qtest_server_new(Run *r, GError **error)
{
    QtestServer *s = g_new0(QtestServer, 1);
    s->run = r;
    s->start = g_get_monotonic_time();
    s->ends = r->accel.none && !strstr(r->o->qtest, "server");
    s->chardev = chardev_table_open(r->chardevs, "qtest", r->o->qtest, error);
    if (!s->chardev) {
        prefix(error, "-qtest");
        g_free(s);
        return NULL;
    }
    if (!open_log(s, error)) {
        g_free(s);
        return NULL;
    }
    QtestEnv env = { .space = machine_space(r->machine), .clock = r->clock, .device = find_device,
                     .send = send_line, .log = s->log ? log_line : NULL, .opaque = s };
    s->qtest = qtest_new(&env);
    chardev_set_handlers(s->chardev, can_receive, receive, on_event, s);
    return s;
}

void qtest_server_stop(QtestServer *s)
{
    if (!s)
        return;
    chardev_set_handlers(s->chardev, NULL, NULL, NULL, NULL);
    qtest_close(s->qtest);
}

void qtest_server_free(QtestServer *s)
{
    if (!s)
        return;
    qtest_free(s->qtest);
    if (s->log)
        fclose(s->log);
    g_free(s);
}
