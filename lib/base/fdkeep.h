/* SPDX-License-Identifier: MIT */
/*
 * Descriptors kept for another process, which gets them back when it is started again: the
 * manager's side of the descriptor store of sd_notify(3). Datagrams arrive at a socket in the file
 * system, each some lines:
 *
 *   FDSTORE=1        the descriptors beside it are kept, under FDNAME=NAME
 *   FDSTOREREMOVE=1  those of that name are closed
 *
 * All others (READY=1, STATUS=...) are passed over. One thread at a time.
 */
#pragma once

#include <glib.h>

typedef struct FdKeep FdKeep;

enum { FD_KEEP_MOST = 4096 };

/* Binds the socket, a new file at path; most descriptors are kept. */
FdKeep *fd_keep_new(const char *path, unsigned most, GError **error);
/* Closes all; the file stays. NULL is fine. */
void fd_keep_free(FdKeep *k);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FdKeep, fd_keep_free)

/* Readable when something has come. */
int fd_keep_socket(const FdKeep *k);
/* Takes all that has come, and does not wait. How many descriptors there was no room for. */
unsigned fd_keep_receive(FdKeep *k);

/* Those that are kept, in the order in which they came; borrowed, close-on-exec. */
unsigned fd_keep_count(const FdKeep *k);
int fd_keep_fd(const FdKeep *k, unsigned i);
const char *fd_keep_name(const FdKeep *k, unsigned i);
