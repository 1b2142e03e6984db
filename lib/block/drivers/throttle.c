/* SPDX-License-Identifier: MIT */
/*
 * throttle: holds requests back so that bytes and operations a second stay within limits. Limits
 * belong to a group, which several nodes of a graph may share; each limit is a leaking bucket:
 *
 *   what a request costs is poured in, AVERAGE a second runs out. A request goes when the level
 *   is within the bucket: a tenth of a second's worth, or with a burst MAX * LENGTH. A second
 *   bucket that leaks MAX a second then keeps the burst itself at MAX.
 *
 * Requests wait in order, reads and writes (zeroes and discards too) apart. A thread of the group
 * sends on those that waited; those that need not go on where they are.
 */
#include "block/filter_priv.h"

#include "base/error.h"

#include <errno.h>
#include <json-c/json.h>
#include <string.h>
#include <time.h>

enum { BPS_TOTAL, BPS_READ, BPS_WRITE, IOPS_TOTAL, IOPS_READ, IOPS_WRITE, BUCKETS };
#define LARGEST 1000000000000000ull

typedef struct {
    uint64_t avg, max, length;
} Limit;

typedef struct {
    Limit limit;
    double level, burst;
} Bucket;

typedef struct {
    BlockRequest *head, **tail;
} Queue;

typedef struct {
    char *name;      /* NULL: of one node alone */
    unsigned refs;   /* control thread */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;
    bool running, stop;
    Bucket buckets[BUCKETS];
    uint64_t iops_size;
    uint64_t then;   /* ns: the buckets leaked up to here */
    Queue queues[2]; /* reads, the others */
} Group;

typedef struct {
    BlockUser *file;
    char *group_name;
    Limit limits[BUCKETS];
    uint64_t iops_size;
    Group *group;
} Throttle;

#define LIMIT(text, index) \
    { .name = "limits." text, .kind = BLOCK_PROP_SIZE, .max = LARGEST, \
      .offset = offsetof(Throttle, limits[index].avg), .def = "0", \
      .help = "a second; 0: no limit" }, \
    { .name = "limits." text "-max", .kind = BLOCK_PROP_SIZE, .max = LARGEST, \
      .offset = offsetof(Throttle, limits[index].max), .def = "0", .help = "in a burst" }, \
    { .name = "limits." text "-max-length", .kind = BLOCK_PROP_NUMBER, .min = 1, .max = 1000000, \
      .offset = offsetof(Throttle, limits[index].length), .def = "1", \
      .help = "of a burst, seconds" }

static const BlockProp props[] = {
    { .name = "throttle-group", .kind = BLOCK_PROP_STRING,
      .offset = offsetof(Throttle, group_name),
      .help = "nodes with the same share the limits, which one of them has" },
    LIMIT("bps-total", BPS_TOTAL),
    LIMIT("bps-read", BPS_READ),
    LIMIT("bps-write", BPS_WRITE),
    LIMIT("iops-total", IOPS_TOTAL),
    LIMIT("iops-read", IOPS_READ),
    LIMIT("iops-write", IOPS_WRITE),
    { .name = "limits.iops-size", .kind = BLOCK_PROP_SIZE, .max = LARGEST,
      .offset = offsetof(Throttle, iops_size), .def = "0",
      .help = "a request counts once for each so many bytes; 0: once" },
    { 0 }
};

static const BlockChildSlot children[] = {
    { .name = "file", .role = BLOCK_CHILD_FILTERED, .offset = offsetof(Throttle, file) },
    { 0 }
};

/* ---- buckets, under the lock --------------------------------------------- */

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void leak(Group *g)
{
    uint64_t now = now_ns();
    double seconds = (double)(now - g->then) / 1e9;

    g->then = now;
    for (int i = 0; i < BUCKETS; i++) {
        Bucket *b = &g->buckets[i];
        b->level = MAX(0, b->level - (double)b->limit.avg * seconds);
        b->burst = MAX(0, b->burst - (double)b->limit.max * seconds);
    }
}

/* Seconds until the bucket has room. */
static double wait_of(const Bucket *b)
{
    double avg = (double)b->limit.avg, max = (double)b->limit.max, wait;

    if (!b->limit.avg)
        return 0;
    double room = b->limit.max ? max * (double)b->limit.length : avg / 10;
    wait = (b->level - room) / avg;
    if (b->limit.max && b->limit.length > 1)
        wait = MAX(wait, (b->burst - max / 10) / max);
    return MAX(0, wait);
}

static bool counts(int bucket, bool write)
{
    int kind = bucket % 3;
    return kind == BPS_TOTAL || kind == (write ? BPS_WRITE : BPS_READ);
}

static double wait_for(const Group *g, bool write)
{
    double wait = 0;

    for (int i = 0; i < BUCKETS; i++)
        if (counts(i, write))
            wait = MAX(wait, wait_of(&g->buckets[i]));
    return wait;
}

static void pour(Group *g, const BlockRequest *req, bool write)
{
    double units = 1;

    if (g->iops_size && req->bytes > g->iops_size)
        units = (double)req->bytes / (double)g->iops_size;
    for (int i = 0; i < BUCKETS; i++) {
        double cost = i < IOPS_TOTAL ? (double)req->bytes : units;
        if (!counts(i, write))
            continue;
        g->buckets[i].level += cost;
        g->buckets[i].burst += cost;
    }
}

/* ---- the thread that sends on what waited -------------------------------- */

/* Takes those that may go now off the queues; *wait gets how long for the next, or is left. */
static BlockRequest *ready(Group *g, double *wait)
{
    BlockRequest *list = NULL, **tail = &list;

    leak(g);
    for (int w = 0; w < 2; w++) {
        Queue *q = &g->queues[w];
        while (q->head) {
            double need = wait_for(g, w);
            if (need > 0) {
                *wait = MIN(*wait, need);
                break;
            }
            BlockRequest *req = q->head;
            q->head = req->next;
            if (!q->head)
                q->tail = &q->head;
            pour(g, req, w);
            req->next = NULL;
            *tail = req;
            tail = &req->next;
        }
    }
    return list;
}

static void sleep_for(Group *g, double seconds)
{
    uint64_t until = now_ns() + (uint64_t)(MIN(seconds, 3600) * 1e9) + 1000;
    struct timespec t = { (time_t)(until / 1000000000), (long)(until % 1000000000) };
    pthread_cond_timedwait(&g->changed, &g->lock, &t);
}

static void send_on(BlockRequest *list)
{
    while (list) {
        BlockRequest *req = list;
        list = req->next;
        req->next = NULL;
        block_request_forward(req, req->driver, req->at);
    }
}

static void *run(void *p)
{
    Group *g = p;

    pthread_mutex_lock(&g->lock);
    while (!g->stop) {
        double wait = 3600;
        BlockRequest *list = ready(g, &wait);
        if (!list) {
            sleep_for(g, wait);
            continue;
        }
        pthread_mutex_unlock(&g->lock);
        send_on(list);
        pthread_mutex_lock(&g->lock);
    }
    pthread_mutex_unlock(&g->lock);
    return NULL;
}

/* ---- requests ------------------------------------------------------------ */

static int throttle_submit(BlockNode *node, BlockRequest *req)
{
    Throttle *t = block_node_state(node);
    Group *g = t->group;
    bool write = req->op != BLOCK_READ;
    Queue *q = &g->queues[write];

    req->driver = t->file;
    pthread_mutex_lock(&g->lock);
    leak(g);
    bool go = !q->head && wait_for(g, write) <= 0;
    if (!go && !g->running) {
        g->running = !pthread_create(&g->thread, NULL, run, g);
        go = !g->running; /* no thread to be had: rather fast than never */
    }
    if (go) {
        pour(g, req, write);
    } else {
        req->next = NULL;
        *q->tail = req;
        q->tail = &req->next;
        if (q->head == req)
            pthread_cond_signal(&g->changed);
    }
    pthread_mutex_unlock(&g->lock);
    if (go)
        block_request_forward(req, t->file, req->at);
    return BLOCK_PENDING;
}

static void throttle_cancel(BlockNode *node, BlockRequest *req)
{
    Group *g = ((Throttle *)block_node_state(node))->group;
    bool found = false;

    pthread_mutex_lock(&g->lock);
    for (int w = 0; w < 2; w++) {
        BlockRequest **at = &g->queues[w].head;
        while (*at && *at != req)
            at = &(*at)->next;
        if (!*at)
            continue;
        found = true;
        *at = req->next;
        if (!*at)
            g->queues[w].tail = at;
    }
    pthread_mutex_unlock(&g->lock);
    if (found)
        block_request_done(req, -ECANCELED);
}

/* ---- groups -------------------------------------------------------------- */

static bool any_limit(const Throttle *t)
{
    bool any = t->iops_size;
    for (int i = 0; i < BUCKETS; i++)
        any = any || t->limits[i].avg || t->limits[i].max || t->limits[i].length > 1;
    return any;
}

static bool check_limits(const Throttle *t, GError **error)
{
    static const char *const names[] = { "bps-total", "bps-read", "bps-write",
                                         "iops-total", "iops-read", "iops-write" };

    for (int i = 0; i < BUCKETS; i++) {
        const Limit *l = &t->limits[i], *total = &t->limits[i / 3 * 3];
        if (i % 3 && ((l->avg && total->avg) || (l->max && total->max)))
            return fail_usage(error, "limits.%s and limits.%s exclude each other",
                              names[i / 3 * 3], names[i]);
        if (l->max && l->max < l->avg)
            return fail_usage(error, "limits.%s-max is below limits.%s", names[i], names[i]);
        if (l->max && !l->avg)
            return fail_usage(error, "limits.%s-max needs limits.%s", names[i], names[i]);
        if (l->length > 1 && !l->max)
            return fail_usage(error, "limits.%s-max-length needs limits.%s-max", names[i],
                              names[i]);
        if (l->max && l->length > LARGEST / l->max)
            return fail_usage(error, "limits.%s-max-length: the burst is too large", names[i]);
    }
    if (t->iops_size && !t->limits[IOPS_TOTAL].avg && !t->limits[IOPS_READ].avg &&
        !t->limits[IOPS_WRITE].avg)
        return fail_usage(error, "limits.iops-size needs a limit of operations");
    return true;
}

static Group *group_new(const Throttle *t)
{
    Group *g = g_new0(Group, 1);
    pthread_condattr_t attr;

    g->name = g_strdup(t->group_name);
    g->refs = 1;
    pthread_mutex_init(&g->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&g->changed, &attr);
    pthread_condattr_destroy(&attr);
    for (int i = 0; i < BUCKETS; i++)
        g->buckets[i].limit = t->limits[i];
    g->iops_size = t->iops_size;
    g->then = now_ns();
    for (int w = 0; w < 2; w++)
        g->queues[w].tail = &g->queues[w].head;
    return g;
}

/* The group of another node of the graph. */
static Group *group_find(BlockNode *node, const char *name)
{
    BlockNode *other;

    for (unsigned i = 0; (other = block_graph_node(node->graph, i)); i++) {
        Throttle *t = block_node_state(other);
        if (other->driver == node->driver && other != node && t->group && t->group->name &&
            !strcmp(t->group->name, name))
            return t->group;
    }
    return NULL;
}

/* x-bps-total is limits.bps-total. */
static struct json_object *object_limits(struct json_object *options)
{
    struct json_object *copy = json_object_new_object(), *limits = NULL;

    if (json_object_object_get_ex(options, "limits", &limits))
        limits = block_options_copy(limits);
    if (!json_object_is_type(limits, json_type_object)) {
        json_object_put(limits);
        limits = json_object_new_object();
    }
    json_object_object_foreach(options, key, value) {
        if (g_str_has_prefix(key, "x-"))
            json_object_object_add(limits, key + 2, json_object_get(value));
        else if (strcmp(key, "limits") && strcmp(key, "id"))
            json_object_object_add(copy, key, json_object_get(value));
    }
    json_object_object_add(copy, "limits", limits);
    return copy;
}

bool block_throttle_group(BlockGraph *graph, struct json_object *options, GError **error)
{
    const char *id = block_options_text(options, "id");
    Throttle t = { .group_name = NULL };

    if (!id)
        return fail_usage(error, "throttle-group: id=... is missing");
    if (json_object_object_get_ex(graph->throttle_groups, id, NULL))
        return fail_usage(error, "throttle-group: there is one called '%s'", id);
    struct json_object *limits = object_limits(options);
    bool ok = block_props_done(props, NULL, limits, "throttle-group", error) &&
              block_props_read(props, limits, &t, error) && check_limits(&t, error);
    block_props_clear(props, &t);
    if (ok)
        json_object_object_add(graph->throttle_groups, id, limits);
    else
        json_object_put(limits);
    return ok;
}

static bool throttle_open(BlockNode *node, GError **error)
{
    Throttle *t = block_node_state(node);
    struct json_object *object = NULL;

    if (t->group_name &&
        json_object_object_get_ex(node->graph->throttle_groups, t->group_name, &object)) {
        if (any_limit(t))
            return fail_usage(error, "throttle-group=%s has its limits already", t->group_name);
        g_autofree char *name = g_steal_pointer(&t->group_name);
        if (!block_props_read(props, object, t, error))
            return false;
        t->group_name = g_steal_pointer(&name);
        Group *group = group_find(node, t->group_name);
        if (group)
            group->refs++;
        t->group = group ? group : group_new(t);
        return true;
    }
    Group *shared = t->group_name ? group_find(node, t->group_name) : NULL;

    if (!check_limits(t, error))
        return false;
    if (shared && any_limit(t))
        return fail_usage(error, "throttle-group=%s has its limits already", t->group_name);
    if (!shared && t->group_name && !any_limit(t))
        return fail_usage(error,
                          "throttle-group=%s: no group is called that, and limits.* give none",
                          t->group_name);
    if (shared)
        shared->refs++;
    t->group = shared ? shared : group_new(t);
    return true;
}

static void throttle_close(BlockNode *node)
{
    Throttle *t = block_node_state(node);
    Group *g = g_steal_pointer(&t->group);

    if (--g->refs)
        return;
    pthread_mutex_lock(&g->lock);
    g->stop = true;
    pthread_cond_signal(&g->changed);
    pthread_mutex_unlock(&g->lock);
    if (g->running)
        pthread_join(g->thread, NULL);
    pthread_cond_destroy(&g->changed);
    pthread_mutex_destroy(&g->lock);
    g_free(g->name);
    g_free(g);
}

const BlockDriver block_throttle_driver = {
    .name = "throttle",
    .summary = "no more bytes and operations a second than it is told",
    .size = sizeof(Throttle),
    .props = props,
    .children = children,
    .filter = true,
    .open = throttle_open,
    .close = throttle_close,
    .limits = filter_limits,
    .resize = filter_resize,
    .submit = throttle_submit,
    .cancel = throttle_cancel,
    .write_compressed = filter_write_compressed,
};
