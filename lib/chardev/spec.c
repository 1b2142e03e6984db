/* SPDX-License-Identifier: MIT */
/* The short forms of -serial and -monitor, in terms of -chardev's. */
#include "base/error.h"
#include "chardev/chardev_priv.h"

#include <string.h>

/* What users may write because QEMU takes it, and why not here. */
static const struct {
    const char *name, *why;
} elsewhere[] = {
    { "vc", "a console in a window needs a display, which is not there yet" },
    { "udp", "the udp back end is not there yet" },
    { "websocket", "the websocket back end is not there yet" },
    { "serial", "host serial ports are not there yet" },
    { "tty", "host serial ports are not there yet" },
    { "/dev/", "host serial ports are not there yet; pipe:PATH takes a device" },
    { "parallel", "host parallel ports are not there yet" },
    { "braille", "the braille back end is not there" },
    { "msmouse", "the msmouse back end is not there" },
    { "spicevmc", "spice is not there" },
    { "spiceport", "spice is not there" },
};

static char *escape_commas(const char *text)
{
    g_auto(GStrv) parts = g_strsplit(text, ",", -1);
    return g_strjoinv(",,", parts);
}

/* "HOST:PORT[,...]", a host with colons in brackets. */
static char *expand_tcp(const char *rest, bool telnet, GError **error)
{
    const char *options = rest + strcspn(rest, ",");
    g_autofree char *address = g_strndup(rest, (gsize)(options - rest));
    char *colon = strrchr(address, ':'), *host = address;
    if (!colon || !colon[1]) {
        fail_usage(error, "HOST:PORT is wanted");
        return NULL;
    }
    *colon = '\0';
    size_t len = strlen(host);
    if (len > 1 && host[0] == '[' && host[len - 1] == ']') {
        host[len - 1] = '\0';
        host++;
    }
    return g_strdup_printf("socket,host=%s,port=%s%s%s", host, colon + 1,
                           telnet ? ",telnet=on" : "", options);
}

char *chardev_expand(const char *spec, GError **error)
{
    static const char *const plain[] = { "null", "stdio", "pty", "ringbuf" };
    const char *rest = strchr(spec, ':');
    for (size_t i = 0; i < G_N_ELEMENTS(plain); i++) {
        if (!strcmp(spec, plain[i]))
            return g_strdup(spec);
    }
    if (!strcmp(spec, "none"))
        return g_strdup("null");
    if (g_str_has_prefix(spec, "unix:"))
        return g_strconcat("socket,path=", rest + 1, NULL);
    if (g_str_has_prefix(spec, "tcp:") || g_str_has_prefix(spec, "telnet:"))
        return expand_tcp(rest + 1, spec[1] == 'e', error);
    if (g_str_has_prefix(spec, "file:") || g_str_has_prefix(spec, "pipe:") ||
        g_str_has_prefix(spec, "pty:")) {
        g_autofree char *path = escape_commas(rest + 1);
        g_autofree char *name = g_strndup(spec, (gsize)(rest - spec));
        return g_strdup_printf("%s,path=%s", name, path);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(elsewhere); i++) {
        size_t len = strlen(elsewhere[i].name);
        if (!strncmp(spec, elsewhere[i].name, len) &&
            (strchr(":,", spec[len]) || elsewhere[i].name[len - 1] == '/')) {
            fail_usage(error, "%s", elsewhere[i].why);
            return NULL;
        }
    }
    fail_usage(error, "no such character back end (there are: null, none, stdio, file:PATH, "
               "pipe:PATH, pty, unix:PATH, tcp:HOST:PORT, telnet:HOST:PORT, ringbuf, chardev:ID, "
               "mon:SPEC)");
    return NULL;
}
