/* SPDX-License-Identifier: MIT */
/*
 * The process around a machine: -daemonize, -pidfile, -chroot, -runas, -sandbox, -msg and the name
 * that ps shows. The way: process_new, process_detach while there is one thread, process_ready when
 * the machine is up, process_free.
 */
#pragma once

#include "options.h"
#include "settings.h"

typedef struct Process Process;

/* Checks what the options say. Both are borrowed. */
Process *process_new(const RunOptions *o, const Settings *settings, GError **error);
/* Removes the pid file. NULL is fine. */
void process_free(Process *p);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Process, process_free)

/*
 * With -daemonize, goes on in a child: in the parent returns true with *parent set, once the child
 * is ready or has failed, which *status then says (the child has told why). Else, and in
 * the child, names the process and takes the pid file.
 */
bool process_detach(Process *p, bool *parent, int *status, GError **error);
/* The machine is up: rights are given up, the terminal let go and the parent told. */
bool process_ready(Process *p, GError **error);
