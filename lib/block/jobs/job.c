/* SPDX-License-Identifier: MIT */
/*
 * The life of a job: its thread, pausing, rate, errors, its end. The thread does I/O and nothing else;
 * whatever changes the graph is done before it begins and after it has ended, on the control thread.
 */
#include "block/jobs/job_priv.h"

#include "base/error.h"

#include <errno.h>
#include <json-c/json.h>
#include <string.h>
#include <time.h>

enum { LAST_TRIES = 5 };

/* ---- made and gone -------------------------------------------------------- */

static bool claim(BlockJob *job, BlockNode *const *nodes, unsigned n, GError **error)
{
    for (unsigned i = 0; i < n; i++) {
        if (nodes[i]->job)
            return fail(error, "%s: job %s works on it", block_node_file(nodes[i]), nodes[i]->job->id);
        nodes[i]->job = job;
        g_ptr_array_add(job->claimed, block_node_ref(nodes[i]));
    }
    return true;
}

static void let_go(BlockJob *job)
{
    for (unsigned i = 0; i < job->claimed->len; i++) {
        BlockNode *node = job->claimed->pdata[i];
        node->job = NULL;
        block_node_unref(node);
    }
    g_ptr_array_set_size(job->claimed, 0);
}

static void job_clear(BlockJob *job)
{
    let_go(job);
    g_ptr_array_unref(job->claimed);
    pthread_mutex_destroy(&job->lock);
    pthread_cond_destroy(&job->wake);
    g_free(job->id);
    g_free(job);
}

BlockJob *block_job_new(const BlockJobKind *kind, BlockGraph *graph, BlockNode *const *nodes, unsigned n,
                        const BlockJobOptions *options, GError **error)
{
    static const BlockJobOptions none;
    BlockJob *job = g_malloc0(kind->size);
    pthread_condattr_t attr;

    options = options ? options : &none;
    job->kind = kind;
    job->graph = graph;
    job->claimed = g_ptr_array_new();
    job->id = options->id ? g_strdup(options->id) : g_strdup_printf("#job%u", graph->next_name++);
    job->rate = options->rate;
    job->on_source_error = options->on_source_error;
    job->on_target_error = options->on_target_error;
    job->changed = options->changed;
    job->opaque = options->opaque;
    pthread_mutex_init(&job->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&job->wake, &attr);
    pthread_condattr_destroy(&attr);
    bool ok = block_job_find(graph, job->id) ? fail(error, "there is a job '%s' already", job->id)
                                             : claim(job, nodes, n, error);
    if (!ok) {
        job_clear(job);
        return NULL;
    }
    g_ptr_array_add(graph->jobs, job);
    return job;
}

void block_job_free(BlockJob *job)
{
    if (!job)
        return;
    if (!job->concluded) {
        block_job_cancel(job);
        block_job_conclude(job, NULL);
    }
    if (job->kind->clear)
        job->kind->clear(job);
    g_ptr_array_remove(job->graph->jobs, job);
    job_clear(job);
}

/* ---- the thread ----------------------------------------------------------- */

static void tell(BlockJob *job)
{
    if (job->changed)
        job->changed(job, job->opaque);
}

static void *work(void *opaque)
{
    BlockJob *job = opaque;
    int r = block_job_go_on(job, 0) ? job->kind->run(job) : -ECANCELED;

    pthread_mutex_lock(&job->lock);
    if (job->cancelled)
        r = -ECANCELED;
    job->error = r;
    job->ended = true;
    job->ready = job->stopped = false;
    pthread_cond_broadcast(&job->wake);
    pthread_mutex_unlock(&job->lock);
    tell(job);
    return NULL;
}

void block_job_start(BlockJob *job)
{
    if (job->started)
        return;
    job->started = true;
    if (pthread_create(&job->thread, NULL, work, job)) {
        job->started = false;
        job->error = -EAGAIN;
        job->ended = true;
    }
}

static int64_t now_us(void)
{
    return g_get_monotonic_time();
}

/* With the lock: until then, or something happens. */
static void wait_until(BlockJob *job, int64_t us)
{
    struct timespec ts = { .tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000 };
    pthread_cond_timedwait(&job->wake, &job->lock, &ts);
}

/* With the lock. */
static void rest(BlockJob *job)
{
    bool told = false;

    while (job->pauses && !job->cancelled) {
        job->parked = true;
        pthread_cond_broadcast(&job->wake);
        if (!told) {
            told = true;
            pthread_mutex_unlock(&job->lock);
            tell(job);
            pthread_mutex_lock(&job->lock);
            continue;
        }
        pthread_cond_wait(&job->wake, &job->lock);
    }
    job->parked = job->stopped = false;
}

bool block_job_go_on(BlockJob *job, uint64_t bytes)
{
    atomic_fetch_add(&job->done, bytes);
    pthread_mutex_lock(&job->lock);
    uint64_t rate = job->rate;
    if (rate && bytes)
        job->due = MAX(job->due, now_us()) + (int64_t)((double)bytes * 1e6 / (double)rate);
    for (;;) {
        rest(job);
        /* one that is to end, with its users waiting, does not dawdle */
        bool slow = job->rate && job->rate == rate && bytes && !job->cancelled && !job->completing;
        if (!slow || job->due <= now_us())
            break;
        wait_until(job, job->due);
    }
    bool go = !job->cancelled;
    pthread_mutex_unlock(&job->lock);
    return go;
}

bool block_job_idle(BlockJob *job, unsigned ms)
{
    pthread_mutex_lock(&job->lock);
    if (!job->cancelled && !job->completing && !job->pauses)
        wait_until(job, now_us() + ms * 1000);
    rest(job);
    bool go = !job->cancelled;
    pthread_mutex_unlock(&job->lock);
    return go;
}

BlockJobAction block_job_failed(BlockJob *job, int error, bool reading)
{
    BlockOnError how = reading ? job->on_source_error : job->on_target_error;

    pthread_mutex_lock(&job->lock);
    job->error = error;
    job->reading = reading;
    bool stop = how == BLOCK_ON_ERROR_STOP || (how == BLOCK_ON_ERROR_ENOSPC && error == -ENOSPC);
    bool ending = job->completing || job->cancelled; /* nobody would resume it */
    if (stop && !ending) {
        job->stopped = true;
        job->pauses++;
        rest(job);
    }
    pthread_mutex_unlock(&job->lock);
    if (how == BLOCK_ON_ERROR_IGNORE)
        return JOB_IGNORE;
    return stop && !ending ? JOB_RETRY : JOB_FAIL;
}

int block_job_flush(BlockJob *job, BlockUser *user)
{
    for (int tries = 0;; tries++) {
        int r = block_flush(user);
        if (!r)
            return 0;
        BlockJobAction action = block_job_failed(job, r, false);
        if (action == JOB_FAIL || (action == JOB_IGNORE && tries == LAST_TRIES))
            return r;
        if (!block_job_go_on(job, 0))
            return -ECANCELED;
    }
}

void block_job_set_ready(BlockJob *job)
{
    pthread_mutex_lock(&job->lock);
    bool news = !job->ready;
    job->ready = true;
    pthread_cond_broadcast(&job->wake);
    pthread_mutex_unlock(&job->lock);
    if (news)
        tell(job);
}

/* ---- from outside --------------------------------------------------------- */

void block_job_pause(BlockJob *job)
{
    pthread_mutex_lock(&job->lock);
    job->pauses++;
    pthread_cond_broadcast(&job->wake);
    while (job->started && !job->parked && !job->ended && !job->cancelled)
        pthread_cond_wait(&job->wake, &job->lock);
    pthread_mutex_unlock(&job->lock);
}

void block_job_resume(BlockJob *job)
{
    pthread_mutex_lock(&job->lock);
    if (job->pauses)
        job->pauses--;
    if (!job->pauses)
        job->stopped = false; /* at once: who waits for the job next must not see it stopped still */
    pthread_cond_broadcast(&job->wake);
    pthread_mutex_unlock(&job->lock);
}

void block_job_set_rate(BlockJob *job, uint64_t rate)
{
    pthread_mutex_lock(&job->lock);
    job->rate = rate;
    job->due = 0;
    pthread_cond_broadcast(&job->wake);
    pthread_mutex_unlock(&job->lock);
}

void block_job_cancel(BlockJob *job)
{
    pthread_mutex_lock(&job->lock);
    job->cancelled = true;
    pthread_cond_broadcast(&job->wake);
    pthread_mutex_unlock(&job->lock);
}

/* With the lock. */
static BlockJobStatus status_of(const BlockJob *job)
{
    if (job->concluded)
        return BLOCK_JOB_CONCLUDED;
    if (job->ended)
        return BLOCK_JOB_WAITING;
    if (!job->started)
        return BLOCK_JOB_CREATED;
    if (job->parked)
        return job->ready ? BLOCK_JOB_STANDBY : BLOCK_JOB_PAUSED;
    return job->ready ? BLOCK_JOB_READY : BLOCK_JOB_RUNNING;
}

bool block_job_complete(BlockJob *job, bool pivot, GError **error)
{
    pthread_mutex_lock(&job->lock);
    BlockJobStatus status = status_of(job);
    pthread_mutex_unlock(&job->lock);
    if (!job->kind->complete)
        return fail(error, "job %s: a %s ends by itself", job->id, job->kind->name);
    if (status != BLOCK_JOB_READY && !(job->kind->any_time && status == BLOCK_JOB_RUNNING))
        return fail(error, "job %s: it is %s, not ready", job->id, block_job_status_name(status));
    if (job->completing)
        return fail(error, "job %s: it is about to end", job->id);
    job->kind->complete(job);
    job->pivot = pivot;
    pthread_mutex_lock(&job->lock);
    job->completing = true;
    pthread_cond_broadcast(&job->wake);
    pthread_mutex_unlock(&job->lock);
    return true;
}

BlockJobStatus block_job_wait(BlockJob *job)
{
    pthread_mutex_lock(&job->lock);
    while (job->started && !job->ended && !job->stopped && !(job->ready && !job->completing))
        pthread_cond_wait(&job->wake, &job->lock);
    BlockJobStatus status = job->stopped ? BLOCK_JOB_PAUSED : status_of(job);
    pthread_mutex_unlock(&job->lock);
    return status;
}

bool block_job_conclude(BlockJob *job, GError **error)
{
    g_autoptr(GError) why = NULL;

    if (job->concluded)
        return fail(error, "job %s: it is concluded already", job->id);
    if (job->started)
        pthread_join(job->thread, NULL);
    if (!job->started && !job->error)
        job->error = -ECANCELED;
    bool good = !job->error;
    bool ok = job->kind->conclude(job, good, &why);
    let_go(job);
    pthread_mutex_lock(&job->lock);
    job->ended = job->concluded = true;
    pthread_mutex_unlock(&job->lock);
    if (job->error == -ECANCELED)
        return fail_errno(error, ECANCELED, "job %s", job->id);
    if (!good)
        return fail_errno(error, -job->error, "job %s: %s", job->id,
                          job->reading ? "reading the source" : "writing the target");
    if (ok)
        return true;
    return fail(error, "job %s: %s", job->id, why ? why->message : "it could not be ended");
}

BlockJobInfo block_job_info(BlockJob *job)
{
    pthread_mutex_lock(&job->lock);
    BlockJobInfo info = { .status = status_of(job), .id = job->id, .kind = job->kind->name, .rate = job->rate,
                          .done = atomic_load(&job->done), .total = atomic_load(&job->total),
                          .error = job->error, .reading = job->reading };
    pthread_mutex_unlock(&job->lock);
    return info;
}

const char *block_job_status_name(BlockJobStatus status)
{
    static const char *const names[] = { "created", "running", "paused", "ready",
                                         "standby", "waiting", "concluded" };
    return names[status];
}

BlockJob *block_job_nth(BlockGraph *graph, unsigned n)
{
    return n < graph->jobs->len ? graph->jobs->pdata[n] : NULL;
}

BlockJob *block_job_find(BlockGraph *graph, const char *id)
{
    BlockJob *job;

    for (unsigned i = 0; (job = block_job_nth(graph, i)); i++)
        if (!strcmp(job->id, id))
            return job;
    return NULL;
}

/* ---- for several kinds ---------------------------------------------------- */

BlockNode *block_job_below(BlockNode *node)
{
    for (int i = 0; node && node->driver->filter && i < BLOCK_MAX_NESTING; i++) {
        BlockUser *child = block_node_child(node, 0);
        node = child ? user_node(child) : NULL;
    }
    return node ? block_backing_node(node) : NULL;
}

unsigned block_job_levels(BlockNode *top, const BlockNode *base, BlockNode **above)
{
    unsigned levels = 1;

    for (BlockNode *n = top, *next; n && levels <= BLOCK_MAX_NESTING; n = next, levels++) {
        next = block_job_below(n);
        if (next != base)
            continue;
        while (n->driver->filter)
            n = user_node(block_node_child(n, 0));
        *above = n;
        return levels;
    }
    return 0;
}

bool block_job_is_above(const BlockExtent *e, unsigned levels)
{
    if (e->flags & BLOCK_EXTENT_ALLOCATED)
        return e->depth < levels;
    /* zeroes that no image has: at depth the chain ended, or the next was too short */
    return e->flags & BLOCK_EXTENT_ZERO && e->depth + 1 < levels;
}

char *block_job_name_from(const BlockNode *node, BlockNode *above, BlockNode *base)
{
    g_autofree char *recorded = block_backing_name(above), *here = g_path_get_dirname(block_node_file(node));
    g_autofree char *there = g_path_get_dirname(block_node_file(above));

    if (recorded && (g_path_is_absolute(recorded) || !strcmp(here, there)))
        return g_steal_pointer(&recorded);
    return g_canonicalize_filename(block_node_file(base), NULL);
}

BlockNode *block_job_filter(BlockNode *node, const char *driver, const char *slot, struct json_object *options,
                            GError **error)
{
    json_object_object_add(options, "driver", json_object_new_string(driver));
    json_object_object_add(options, slot, json_object_new_string(block_node_name(node)));
    unsigned flags = node->flags & (BLOCK_OPEN_READ_ONLY | BLOCK_OPEN_UNMAP);
    BlockNode *filter = block_open(node->graph, options, flags, error);
    json_object_put(options);
    return filter;
}
