/* SPDX-License-Identifier: MIT */
/*
 * Giving up system calls. A tool that is set up and about to serve a guest or a peer installs a
 * filter (seccomp, all threads of the process): what no tool of ours ever asks of the kernel then
 * ends the process with SIGSYS, should somebody have taken it over. -sandbox's grammar is here.
 *
 * It is a list of what is refused, not of what is allowed: libraries under us (C library, TLS,
 * slirp) are free to ask for anything new and harmless.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef enum {
    SANDBOX_ELEVATE_ALLOW,
    SANDBOX_ELEVATE_DENY,     /* setuid() and its like end the process */
    SANDBOX_ELEVATE_CHILDREN, /* children get no privileges from setuid files */
} SandboxElevate;

typedef struct {
    bool on;
    bool obsolete;            /* calls that Linux has for old programs are let through */
    SandboxElevate elevate;
    bool no_spawn;            /* no processes, no programs, no namespaces; threads are fine */
    bool no_resource_control; /* no changing of priorities and CPU affinity */
} SandboxOptions;

/*
 * "on|off[,obsolete=allow|deny][,elevateprivileges=allow|deny|children][,spawn=allow|deny]
 * [,resourcecontrol=allow|deny]". The defaults: obsolete is denied, the rest allowed. Usage errors.
 */
bool sandbox_parse(SandboxOptions *options, const char *text, GError **error);
/* Installs the filter on all threads, for good; nothing if it is off. Fails when the kernel or the
   build has no such thing: the tool must not go on then. */
bool sandbox_apply(const SandboxOptions *options, GError **error);

typedef enum { SANDBOX_NONE, SANDBOX_KILL, SANDBOX_TRAP, SANDBOX_LOG } SandboxAction;
/* From now on all threads make only the system calls of these names (NULL at the end; those that
   this host does not have are passed over); any other ends the process, sends SIGSYS or is noted in
   the kernel's log and goes on. */
bool sandbox_allow(const char *const *names, SandboxAction action, GError **error);

/* Files and folders, NULL at the end; a NULL list is empty. A path that is not there is passed
 * over. */
typedef struct {
    const char *const *read;   /* these, and all below them, can be read */
    const char *const
        *remove; /* from these folders files can be removed (a socket, a file with a PID) */
} SandboxPaths;

/*
 * From then on this thread, and those it starts, open, make and remove nothing else (Landlock);
 * what is open stays. True without doing anything where the kernel has no Landlock.
 */
bool sandbox_paths(const SandboxPaths *paths, GError **error);
/* This thread and those it starts reach files below the folder of descriptor all, in any way, and
   remove them from that of remove (-1: none); nothing else. True without doing anything where
   Landlock would forbid to move files between folders (before its second version) or is not there.
 */
bool sandbox_below(int all, int remove, GError **error);
/* The same threads keep no capability, and get none by running programs. */
bool sandbox_unprivileged(GError **error);
