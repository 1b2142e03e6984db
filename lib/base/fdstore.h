/* SPDX-License-Identifier: MIT */
/*
 * Descriptors that outlive this process: they are given to whoever started it, and come back when
 * it is started again (the descriptor store of sd_notify(3) and FileDescriptorStoreMax= of
 * systemd.service(5)). A descriptor that was put is safe at once, as it is in the socket's queue.
 *
 * Names are [a-z0-9.-]+ with a prefix of the program's, by which those that come back are told from
 * sockets. One name is one descriptor: who puts a name that is there already removes it first. Any
 * thread.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef struct FdStore FdStore;

enum { FDSTORE_DEFAULT = 512 }; /* how many fit when nobody says so */

/*
 * As the environment says: $NOTIFY_SOCKET, $FDSTORE, and of $LISTEN_FDS those at the end whose
 * names begin with prefix, which are taken out of it (the rest is for socket_inherited, to be
 * called after this one). NULL without an error when there is no store. In main, while there is one
 * thread, and before the network namespace is left, as abstract sockets are its.
 */
FdStore *fdstore_open(const char *prefix, GError **error);
/* The same by hand: path is "/..." or "@...", most how many fit. */
FdStore *fdstore_new(const char *path, unsigned most, GError **error);
/* It came back under that name; fd is the store's from now on. */
void fdstore_came(FdStore *store, const char *name, int fd);
/* What came back and was not taken is closed here, and stays with the keeper. */
void fdstore_free(FdStore *store);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FdStore, fdstore_free)

/* 0, -ENOSPC when no more fit, or -errno when the keeper is gone. fd stays the caller's. */
int fdstore_put(FdStore *store, const char *name, int fd);
/* The keeper's copy is closed some time after this. */
void fdstore_remove(FdStore *store, const char *name);
/* A descriptor that came back, which is the caller's then (the keeper has its copy still); -1: none
 * did. */
int fdstore_take(FdStore *store, const char *name);
/* The name of one that nobody took yet; NULL: none is left. Newly allocated. */
char *fdstore_left(FdStore *store);
/* Another line of sd_notify(3): "READY=1". */
void fdstore_tell(FdStore *store, const char *line);
