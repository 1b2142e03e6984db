/* SPDX-License-Identifier: MIT */
/*
 * Servers that a tool starts for itself by socket activation (sd_listen_fds(3)): "[ COMMAND
 * ARGUMENT... ]" among a tool's arguments stands for the disk that the command serves over NBD.
 * Main thread, before others are started.
 *
 * One that is kept is started again when it ends, by a process between it and us (keeper.c): that
 * can still start programs when we have given up our rights to, holds the listening socket
 * meanwhile, so that who connects waits and is not refused, and has a store of descriptors
 * (base/fdkeep.h) for what must outlive the server.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef struct Captive Captive;

/* Starts the program with a listening Unix socket, in a folder that only this user can reach, as
 * its descriptor 3. It ends with us. NULL with an error when it cannot be run. */
Captive *captive_start(const char *const *argv, GError **error);

typedef struct {
    unsigned restarts,
        seconds; /* so often in that time; then it is given up: who connects is refused */
    /* A line about what it did. In the keeper process: it may print, and little else. */
    void (*say)(void *opaque, const char *line);
    void *opaque;
} CaptiveKeep;

/* The same; it is started again as keep says, with LISTEN_FDNAMES=socket:NAME:NAME... for the
 * descriptors it has stored; but not when it ends by itself right after its first start. It is out
 * of our process group, so that the terminal's signals end us alone. */
Captive *captive_start_kept(const char *const *argv, const CaptiveKeep *keep, GError **error);
/* The path of the socket. */
const char *captive_socket(const Captive *c);
/* Ends it (SIGTERM, then SIGKILL after some seconds), and waits. NULL is fine. */
void captive_end(Captive *c);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Captive, captive_end)

/* Replaces each "[" ... "]" among argv by an NBD URI: newly allocated argv in *out (NULL at the
 * end), and the servers in *captives, which end with it. Without brackets, a copy. */
bool captive_arguments(int argc, char **argv, char ***out, GPtrArray **captives, GError **error);
