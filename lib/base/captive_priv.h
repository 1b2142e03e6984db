/* SPDX-License-Identifier: MIT */
/* Starting a program with descriptors, and the process that starts one again. */
#pragma once

#include "base/captive.h"

#include <sys/types.h>

typedef struct {
    const char *const *argv;
    const int *fds;      /* become 3, 4 and so on */
    unsigned n_fds;
    const char *names;   /* of LISTEN_FDNAMES, or NULL */
    const char *notify;  /* path of a socket, or NULL: FDSTORE is unset, too */
    unsigned store;      /* how many descriptors fit there */
} CaptiveProgram;

/* 0 with an error when it cannot be run. It gets SIGTERM when this thread ends. */
pid_t captive_spawn(const CaptiveProgram *p, GError **error);
/* SIGTERM, then SIGKILL after some seconds. */
void captive_end_process(pid_t pid);

/* keeper.c: the process, which ends with the program when all copies of *control are closed.
 * listener and the files in dir, "socket" and "notify", are its own from then on. */
pid_t captive_keeper_start(const char *const *argv, const CaptiveKeep *keep, const char *dir,
                           int listener, int *control, GError **error);
