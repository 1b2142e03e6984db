/* SPDX-License-Identifier: MIT */
/* What the files of fsd share: the options, and what is made of them. */
#pragma once

#include "base/voice.h"
#include "fs/fs.h"
#include "fuse/fuse.h"
#include "sandbox/sandbox.h"

#include <glib.h>
#include <stdbool.h>

typedef enum { SANDBOX_NAMESPACE, SANDBOX_CHROOT, SANDBOX_OPEN } SandboxKind;

typedef struct {
    Voice voice; /* compatible: as virtiofsd */
    const char *socket_path, *socket_group, *shared_dir, *tag, *run;
    int fd;                  /* -1: none */
    int inherited;           /* sockets that a service manager gave us */
    bool once, persistent;
    bool no_keeper;          /* no process stays with the machine */
    bool daemonize, verbose;
    SandboxKind sandbox;
    bool sandbox_given;
    SandboxAction seccomp;
    bool no_landlock;
    uint64_t rlimit_nofile;
    bool rlimit_given;
    char *modcaps, *xattrmap;
    GPtrArray *uid_map, *gid_map; /* texts */
    FsIdMap *uids, *gids;
    FsXattrMap *xattr_map;
    FsOptions fs;
    FuseOptions fuse;
    bool readdirplus_given;
    GPtrArray *kept;         /* texts that live as long as this */
    /* what setting up found out */
    int listener, connection;
    int socket_dir;          /* where the socket's file is, to take it away */
    char *socket_file;
    GPid child;              /* of --run */
    FdStore *store;          /* what outlives us is there; NULL: nothing does */
} Tool;

/* -1 to go on, else the status to end with. */
int tool_options(Tool *tool, int argc, char **argv);

/* -o's list, as virtiofsd has it. */
bool tool_old_options(Tool *tool, const char *list, GError **error);
bool tool_cache(Tool *tool, const char *text, GError **error);
bool tool_sandbox(Tool *tool, const char *text, GError **error);
bool tool_timeout(Tool *tool, const char *text, GError **error);

/* Goes into the sandbox and gives up what is not needed. tool->fs.root and self_fd are set then. */
bool confine(Tool *tool, GError **error);
/* System calls and paths; last of all. */
bool confine_calls(const Tool *tool, GError **error);
/* capabilities.c */
bool keep_capabilities(const Tool *tool, GError **error);
/* userns.c: root of a namespace of our own, with as many ids as we may have. */
bool enter_user_namespace(Tool *tool, int more_flags, GError **error);

/* keeper.c: what to serve in place of front, which a process of its own has from now on. */
int keeper_start(Tool *tool, unsigned queues, int front);

int serve(Tool *tool);
