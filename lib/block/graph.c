/* SPDX-License-Identifier: MIT */
/* The graph: drivers and nodes by name, warnings, what the graph keeps; the help texts. */
#include "block/block_priv.h"

#include "base/error.h"

#include <json-c/json.h>
#include <string.h>

enum { WORKERS = 32 };

#define BLOCK_DRIVER(name) extern const BlockDriver block_##name##_driver;
#include "block/drivers.def"
#undef BLOCK_DRIVER

static const BlockDriver *const drivers[] = {
#define BLOCK_DRIVER(name) &block_##name##_driver,
#include "block/drivers.def"
#undef BLOCK_DRIVER
};

BlockGraph *block_graph_new(void)
{
    BlockGraph *graph = g_new0(BlockGraph, 1);

    graph->nodes = g_ptr_array_new();
    graph->kept = g_ptr_array_new();
    graph->dead = g_ptr_array_new();
    graph->drivers = g_ptr_array_new();
    graph->jobs = g_ptr_array_new();
    graph->throttle_groups = json_object_new_object();
    graph->pool = block_pool_new(WORKERS);
    pthread_mutex_init(&graph->ring_lock, NULL);
    return graph;
}

void block_graph_free(BlockGraph *graph)
{
    if (!graph)
        return;
    while (graph->kept->len)
        block_node_unref(g_ptr_array_steal_index(graph->kept, graph->kept->len - 1));
    block_ring_free(atomic_load(&graph->ring));
    block_pool_free(graph->pool);
    pthread_mutex_destroy(&graph->ring_lock);
    for (unsigned i = 0; i < graph->dead->len; i++)
        block_node_bury(graph->dead->pdata[i]);
    g_ptr_array_unref(graph->dead);
    g_ptr_array_unref(graph->nodes);
    g_ptr_array_unref(graph->kept);
    g_ptr_array_unref(graph->drivers);
    g_ptr_array_unref(graph->jobs);
    json_object_put(graph->throttle_groups);
    g_free(graph);
}

void block_graph_on_warning(BlockGraph *graph, void (*warn)(void *opaque, const char *text),
                            void *opaque)
{
    graph->warn = warn;
    graph->warn_opaque = opaque;
}

void block_graph_set_objects(BlockGraph *graph, const CryptoObjects *objects)
{
    graph->objects = objects;
}

const CryptoObjects *block_graph_objects(BlockGraph *graph)
{
    return graph->objects;
}

BlockNode *block_find(BlockGraph *graph, const char *name)
{
    for (unsigned i = 0; i < graph->nodes->len; i++) {
        BlockNode *node = graph->nodes->pdata[i];
        if (!strcmp(node->name, name))
            return node;
    }
    return NULL;
}

BlockNode *block_graph_node(BlockGraph *graph, unsigned i)
{
    return i < graph->nodes->len ? graph->nodes->pdata[i] : NULL;
}

/* ---- drivers ------------------------------------------------------------- */

static bool answers_to(const BlockDriver *d, const char *name)
{
    if (!strcmp(d->name, name))
        return true;
    for (const char *const *alias = d->aliases; alias && *alias; alias++)
        if (!strcmp(*alias, name))
            return true;
    return false;
}

const BlockDriver *block_driver_find(BlockGraph *graph, const char *name)
{
    for (unsigned i = 0; graph && i < graph->drivers->len; i++)
        if (answers_to(graph->drivers->pdata[i], name))
            return graph->drivers->pdata[i];
    for (unsigned i = 0; i < G_N_ELEMENTS(drivers); i++)
        if (answers_to(drivers[i], name))
            return drivers[i];
    return NULL;
}

const BlockDriver *block_driver_nth(unsigned n)
{
    return n < G_N_ELEMENTS(drivers) ? drivers[n] : NULL;
}

void block_graph_add_driver(BlockGraph *graph, const BlockDriver *driver)
{
    g_ptr_array_add(graph->drivers, (void *)driver);
}

char *block_help(void)
{
    GString *s = g_string_new(NULL);

    for (unsigned i = 0; i < G_N_ELEMENTS(drivers); i++)
        g_string_append_printf(s, "%-12s %s\n", drivers[i]->name, drivers[i]->summary);
    return g_string_free(s, FALSE);
}

char *block_driver_help(const char *name)
{
    static const char *const kinds[] = { "on|off", "SIZE", "NUMBER", "TEXT", "", "..." };
    const BlockDriver *d = block_driver_find(NULL, name);

    if (!d)
        return NULL;
    GString *s = g_string_new(NULL);
    g_string_append_printf(s, "%s: %s\n", d->name, d->summary);
    for (const BlockProp *p = d->props; p && p->name; p++) {
        g_autofree char *names = p->kind == BLOCK_PROP_ENUM ? g_strjoinv("|", (char **)p->names)
                                                            : g_strdup(kinds[p->kind]);
        g_string_append_printf(s, "  %s=%s  %s", p->name, names, p->help);
        if (p->def)
            g_string_append_printf(s, " (%s)", p->def);
        g_string_append_c(s, '\n');
    }
    for (const BlockChildSlot *c = d->children; c && c->name; c++)
        g_string_append_printf(s, "  %s=NODE or %s.KEY=VALUE  a node below%s\n", c->name, c->name,
                               c->optional ? "; may be left out" : "");
    return g_string_free(s, FALSE);
}

/* ---- what the graph keeps ------------------------------------------------ */

BlockNode *block_blockdev(BlockGraph *graph, const char *text, GError **error)
{
    struct json_object *options = block_options_parse(text, "driver", error);
    BlockNode *node = NULL;

    if (!options)
        return NULL;
    if (!block_options_text(options, "driver"))
        fail_usage(error, "driver=... is missing");
    else if (!block_options_text(options, "node-name"))
        fail_usage(error, "node-name=... is missing");
    else
        node = block_open(graph, options, 0, error);
    json_object_put(options);
    if (node)
        g_ptr_array_add(graph->kept, node);
    return node;
}

bool block_blockdev_del(BlockGraph *graph, const char *name, GError **error)
{
    for (unsigned i = 0; i < graph->kept->len; i++) {
        BlockNode *node = graph->kept->pdata[i];
        if (strcmp(node->name, name))
            continue;
        if (node->users->len) {
            BlockUser *user = node->users->pdata[0];
            return fail(error, "node %s: %s uses it", name, user->name);
        }
        g_ptr_array_remove_index(graph->kept, i);
        block_node_unref(node);
        return true;
    }
    if (block_find(graph, name))
        return fail(error, "node %s: it belongs to the node or drive above it", name);
    return fail(error, "no node is called '%s'", name);
}
