/* SPDX-License-Identifier: MIT */
/*
 * What the parts of the tool share: main.c reads the command line (options.c) and does one of:
 * serve (serve.c: images opened in disks.c, sockets, the captive command), list another server's
 * exports (list.c), or attach to and detach from a kernel device (device.c).
 */
#pragma once

#include "base/voice.h"
#include "block/block.h"
#include "crypto/crypto.h"
#include "export/export.h"

#include <glib.h>
#include <stdbool.h>

typedef struct {
    Voice voice; /* compatible, as qemu-nbd: its defaults, texts and exit codes */

    enum { NBD_SERVE, NBD_LIST, NBD_CONNECT, NBD_DISCONNECT } what;
    bool json;                   /* of list */
    GPtrArray *images;           /* of const char * */

    /* where */
    const char *port, *bind, *socket;
    bool tcp;                    /* -p or -b was given */
    const char *device;          /* -c, -d */
    const char *run;
    const char *pid_file, *selinux_label;
    bool fork, persistent, verbose, exit_with_parent;
    unsigned shared;             /* 0: as many as come */
    unsigned handshake_ms;

    /* what */
    const char *export_name, *description;
    GPtrArray *bitmaps;          /* of const char *, NULL at the end */
    bool depth;
    GPtrArray *blockdevs, *exports; /* of const char *: --blockdev and --export */

    /* how */
    const char *format, *cache, *aio, *discard, *detect_zeroes, *load_snapshot;
    bool read_only, snapshot, image_opts, no_sandbox;
    uint64_t offset;

    const char *tls_creds, *tls_authz, *tls_hostname;

    CryptoObjects *objects;
    GPtrArray *throttle_groups;  /* of const char *: for the graph, which comes later */
    int inherited;               /* listening sockets given to us */
    int ready_fd;                /* --fork: told when the server runs; else -1 */
} Tool;

/* ---- options.c -------------------------------------------------------------- */

/* -1: go on; else how to exit (help and version are done here, too). */
int tool_options(Tool *tool, int argc, char **argv);
int tool_help(const Tool *tool);

/* ---- disks.c ---------------------------------------------------------------- */

/* Opens all images and offers them. Nodes stay in graph or with those in held. */
bool disks_offer(const Tool *tool, BlockGraph *graph, ExportNbd *server, GPtrArray *held,
                 GError **error);
/* The number of exports, and the name of the first. */
unsigned disks_count(const Tool *tool);
char *disks_name(const Tool *tool, unsigned i);

/* ---- the things to do: exit status ------------------------------------------ */

int serve(Tool *tool);
int list_exports(Tool *tool);
int device_disconnect(Tool *tool);

/* ---- device.c: a kernel device in front of the server -------------------------- */

typedef struct Device Device;

/* Begins to connect; ready is called from the main loop, with NULL or why it failed (it owns that).
 */
Device *device_begin(const Tool *tool, ExportNbd *server,
                     void (*ready)(void *opaque, GError *error), void *opaque, GError **error);
/* Takes it away if it is there still. NULL is fine. */
void device_end(Device *device);
/* The names of the device and its partitions on stdout. */
void device_print(const Device *device);
