/* SPDX-License-Identifier: MIT */
/* A server of the tests, with its disks in a folder that goes with it. */
#pragma once

#include "export/export.h"
#include "export/test_peer.h"

#include <glib/gstdio.h>
#include <json-c/json.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <sys/ioctl.h>

enum { MIB = 1 << 20, LONG_MS = 60000 };

typedef struct {
    char *dir;
    BlockGraph *graph;
    ExportNbd *server;
    GPtrArray *said; /* lines for the log */
} Setup;

static void say(void *opaque, const char *line)
{
    g_ptr_array_add(((Setup *)opaque)->said, g_strdup(line));
}

static void setup_init(Setup *s, unsigned handshake_ms)
{
    GError *error = NULL;
    *s = (Setup){ .dir = g_dir_make_tmp("export-XXXXXX", &error), .graph = block_graph_new(),
                  .said = g_ptr_array_new_with_free_func(g_free) };
    g_assert_no_error(error);
    s->server = export_nbd_new(&(ExportNbdConfig){ .handshake_ms = handshake_ms, .say = say, .opaque = s }, &error);
    g_assert_no_error(error);
}

static void setup_clear(Setup *s)
{
    export_nbd_free(s->server);
    block_graph_free(s->graph);
    g_autofree char *remove = g_strdup_printf("rm -r '%s'", s->dir);
    g_assert_cmpint(system(remove), ==, 0);
    g_ptr_array_unref(s->said);
    g_free(s->dir);
}

/* Options with @ for the folder. */
static BlockNode *open_node(Setup *s, const char *options)
{
    GError *error = NULL;
    g_auto(GStrv) parts = g_strsplit(options, "@", -1);
    g_autofree char *text = g_strjoinv(s->dir, parts);
    struct json_object *tree = block_options_parse(text, NULL, &error);
    g_assert_no_error(error);
    BlockNode *node = block_open(s->graph, tree, 0, &error);
    g_assert_no_error(error);
    json_object_put(tree);
    return node;
}

static void offer(Setup *s, const char *name, const char *options, ExportDisk disk)
{
    GError *error = NULL;
    g_autoptr(BlockNode) node = open_node(s, options);
    disk.name = name;
    disk.node = node;
    export_nbd_add(s->server, &disk, &error);
    g_assert_no_error(error);
}

static void make_file(Setup *s, const char *name, uint64_t size)
{
    g_autofree char *path = g_build_filename(s->dir, name, NULL);
    FILE *f = g_fopen(path, "w");
    g_assert_nonnull(f);
    g_assert_cmpint(ftruncate(fileno(f), (off_t)size), ==, 0);
    fclose(f);
}

static Peer *come_as(Setup *s, const NbdWanted *wanted)
{
    int pair[2];
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
    export_nbd_take(s->server, pair[1]);
    return peer_new(pair[0], wanted);
}

static Peer *come(Setup *s, const char *name)
{
    Peer *p = come_as(s, &(NbdWanted){ .name = name });
    g_assert_nonnull(p);
    return p;
}

/* Runs the main loop until there are so many connections. */
static void await_connections(Setup *s, unsigned n)
{
    int64_t end = g_get_monotonic_time() + LONG_MS * INT64_C(1000);
    while (export_nbd_connections(s->server) != n) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        if (!g_main_context_iteration(NULL, false))
            g_usleep(1000);
    }
}

/* Until the server has read all that the client has sent on a Unix socket. */
static void await_taken(const Peer *p)
{
    int unread = 1;
    int64_t end = g_get_monotonic_time() + LONG_MS * INT64_C(1000);
    while (!ioctl(p->fd, SIOCOUTQ, &unread) && unread) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(1000);
    }
}

static void fill(uint8_t *buf, size_t len, unsigned seed)
{
    for (size_t i = 0; i < len; i++)
        buf[i] = (uint8_t)(seed * 31 + i * 7 + i / 253 + 1);
}
