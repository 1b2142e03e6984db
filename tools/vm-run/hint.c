/* SPDX-License-Identifier: MIT */
/*
 * A guest that boots and says nothing is what people see first when its command line names another
 * console, and they cannot tell it from a hang. So one line on standard error says so, where
 * somebody may look: a kernel is booted directly, and its serial port is on standard output, a
 * terminal or a pipe. Scripts that write to a file, -daemonize, -S, --exec and -qtest never see it.
 */
#include "run_priv.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SILENCE_SECONDS 10

/* The serial port on standard output, or NULL. */
static const Chardev *console(const Run *r)
{
    for (guint i = 0; i < r->serials->len; i++) {
        const Chardev *c = r->serials->pdata[i];
        g_autofree char *where = c ? chardev_describe(c) : NULL;
        if (where && g_str_has_suffix(where, "stdio"))
            return c;
    }
    return NULL;
}

static bool somebody_looks(void)
{
    struct stat st;
    return !fstat(STDOUT_FILENO, &st) &&
           (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode) || isatty(STDOUT_FILENO));
}

static gboolean on_silence(gpointer opaque)
{
    Run *r = opaque;
    if (r->state == STATE_RUNNING && !chardev_wrote(console(r)))
        r->warn("hint: the guest has written nothing for " G_STRINGIFY(SILENCE_SECONDS)
                " seconds; Linux writes here with console=ttyS0 in -append, and from its first "
                "moment with earlycon");
    return G_SOURCE_REMOVE;
}

void hint_start(Run *r)
{
    bool firmware = r->o->bios && strcmp(r->o->bios, "default");
    if (r->o->kernel && !firmware && !r->o->daemonize && !r->o->stopped && !r->accel.none &&
        !r->exec && console(r) && somebody_looks())
        g_timeout_add_seconds(SILENCE_SECONDS, on_silence, r);
}
