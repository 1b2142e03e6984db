/* SPDX-License-Identifier: MIT */
/*
 * Gates: each node counts the requests in it, and can be closed to new ones (drained). And
 * tracking: the writes in a node that must not overlap.
 *
 * A gate is one word, the number inside and a bit for closed, so that entering and leaving cost an
 * atomic each. While it is open nobody takes its lock. Closing sets the bit; from then on leaving
 * takes the lock too, so that whoever waits for the gate to be empty may free it right after.
 *
 * Tracked frames are a list in order of arrival. A frame waits for the first one before it that it
 * conflicts with; when that ends it looks again. Only earlier frames are waited for, so there
 * is no cycle, and nobody is overtaken by a later one that conflicts with it.
 */
#include "block/block_priv.h"

void block_gate_init(BlockGate *gate)
{
    atomic_init(&gate->word, 0);
    pthread_mutex_init(&gate->lock, NULL);
    pthread_cond_init(&gate->changed, NULL);
    gate->held_tail = &gate->held;
}

void block_gate_clear(BlockGate *gate)
{
    pthread_cond_destroy(&gate->changed);
    pthread_mutex_destroy(&gate->lock);
}

/* One more inside unless it is closed. */
static bool enter_open(BlockGate *gate)
{
    uint32_t word = atomic_load_explicit(&gate->word, memory_order_relaxed);

    while (!(word & GATE_CLOSED)) {
        if (atomic_compare_exchange_weak(&gate->word, &word, word + 1))
            return true;
    }
    return false;
}

bool block_gate_enter(BlockGate *gate, BlockRequest *req)
{
    while (!enter_open(gate)) {
        pthread_mutex_lock(&gate->lock);
        bool closed = gate->closed > 0;
        if (closed) {
            req->next = NULL;
            *gate->held_tail = req;
            gate->held_tail = &req->next;
        }
        pthread_mutex_unlock(&gate->lock);
        if (closed)
            return false;
    }
    return true;
}

void block_gate_enter_wait(BlockGate *gate)
{
    while (!enter_open(gate)) {
        pthread_mutex_lock(&gate->lock);
        while (gate->closed)
            pthread_cond_wait(&gate->changed, &gate->lock);
        pthread_mutex_unlock(&gate->lock);
    }
}

void block_gate_leave(BlockGate *gate)
{
    uint32_t word = atomic_load_explicit(&gate->word, memory_order_relaxed);

    while (!(word & GATE_CLOSED)) {
        if (atomic_compare_exchange_weak(&gate->word, &word, word - 1))
            return;
    }
    pthread_mutex_lock(&gate->lock);
    atomic_fetch_sub(&gate->word, 1);
    pthread_cond_broadcast(&gate->changed);
    pthread_mutex_unlock(&gate->lock);
}

BlockNode *block_user_enter(BlockUser *user)
{
    for (;;) {
        BlockNode *node = user_node(user);
        block_gate_enter_wait(&node->gate);
        if (user_node(user) == node)
            return node;
        block_gate_leave(&node->gate);
    }
}

void block_drain_begin(BlockNode *node)
{
    BlockGate *gate = &node->gate;

    pthread_mutex_lock(&gate->lock);
    gate->closed++;
    atomic_fetch_or(&gate->word, GATE_CLOSED);
    while (atomic_load(&gate->word) & ~GATE_CLOSED)
        pthread_cond_wait(&gate->changed, &gate->lock);
    pthread_mutex_unlock(&gate->lock);
}

void block_drain_end(BlockNode *node)
{
    BlockGate *gate = &node->gate;
    BlockGraph *graph = node->graph;
    BlockRequest *held = NULL;

    pthread_mutex_lock(&gate->lock);
    if (!--gate->closed) {
        atomic_fetch_and(&gate->word, ~GATE_CLOSED);
        held = gate->held;
        gate->held = NULL;
        gate->held_tail = &gate->held;
        pthread_cond_broadcast(&gate->changed);
    }
    pthread_mutex_unlock(&gate->lock);
    while (held) {
        BlockRequest *req = held;
        held = req->next;
        req->stage = STAGE_ENTER;
        block_pool_push(graph->pool, req);
    }
}

static bool has_open_parent(const BlockNode *node, GHashTable *closed)
{
    for (unsigned i = 0; i < node->users->len; i++) {
        BlockUser *user = node->users->pdata[i];
        if (user->parent && !g_hash_table_contains(closed, user->parent))
            return true;
    }
    return false;
}

void block_drain_all(BlockGraph *graph)
{
    g_autoptr(GHashTable) closed = g_hash_table_new(NULL, NULL);
    unsigned before;

    /* parents first: a request held at a child would keep its parent from coming to rest */
    do {
        before = g_hash_table_size(closed);
        for (unsigned i = 0; i < graph->nodes->len; i++) {
            BlockNode *node = graph->nodes->pdata[i];
            if (g_hash_table_contains(closed, node) || has_open_parent(node, closed))
                continue;
            block_drain_begin(node);
            g_hash_table_add(closed, node);
        }
    } while (g_hash_table_size(closed) > before);
    for (unsigned i = 0; i < graph->nodes->len; i++)
        if (g_hash_table_contains(closed, graph->nodes->pdata[i]))
            block_drain_end(graph->nodes->pdata[i]);
}

int block_flush_all(BlockGraph *graph)
{
    int first = 0;

    block_drain_all(graph);
    for (unsigned i = 0; i < graph->nodes->len; i++) {
        const BlockNode *node = graph->nodes->pdata[i];
        for (unsigned n = 0; n < node->users->len; n++) {
            BlockUser *user = node->users->pdata[n];
            int ret = !user->parent && user->perm & BLOCK_PERM_WRITE ? block_flush(user) : 0;
            first = first ? first : ret;
        }
    }
    return first;
}

/* ---- tracking ------------------------------------------------------------ */

static uint64_t low(const BlockFrame *f)
{
    return f->serial ? f->start & ~(f->unit - 1) : f->start;
}

static uint64_t high(const BlockFrame *f)
{
    return f->serial ? (f->end + f->unit - 1) & ~(f->unit - 1) : f->end;
}

static bool conflict(const BlockFrame *a, const BlockFrame *b)
{
    return (a->serial || b->serial) && low(a) < high(b) && low(b) < high(a);
}

/* Under the lock: the first frame before f that it must wait for. */
static BlockFrame *in_the_way(BlockNode *node, BlockFrame *f)
{
    for (BlockFrame *g = node->tracked; g != f; g = g->next)
        if (conflict(g, f))
            return g;
    return NULL;
}

static bool wait_or_go(BlockFrame *frame, BlockRequest *req)
{
    BlockFrame *other = in_the_way(frame->node, frame);

    if (!other)
        return true;
    req->next = other->waiters;
    other->waiters = req;
    return false;
}

bool block_track(BlockFrame *frame, BlockRequest *req)
{
    BlockNode *node = frame->node;

    frame->tracked = true;
    frame->waiters = NULL;
    frame->next = NULL;
    req->stage = STAGE_RUN;
    pthread_mutex_lock(&node->gate.lock);
    frame->prev = node->tracked_last;
    if (frame->prev)
        frame->prev->next = frame;
    else
        node->tracked = frame;
    node->tracked_last = frame;
    bool go = wait_or_go(frame, req);
    pthread_mutex_unlock(&node->gate.lock);
    return go;
}

void block_untrack(BlockFrame *frame)
{
    BlockNode *node = frame->node;
    BlockRequest *ready = NULL, *again, *req;

    if (!frame->tracked)
        return;
    pthread_mutex_lock(&node->gate.lock);
    if (frame->prev)
        frame->prev->next = frame->next;
    else
        node->tracked = frame->next;
    if (frame->next)
        frame->next->prev = frame->prev;
    else
        node->tracked_last = frame->prev;
    for (req = frame->waiters; req; req = again) {
        again = req->next;
        if (!wait_or_go(&req->frames[req->depth - 1], req))
            continue;
        req->next = ready;
        ready = req;
    }
    pthread_mutex_unlock(&node->gate.lock);
    frame->tracked = false;
    for (; ready; ready = again) {
        again = ready->next;
        block_pool_push(node->graph->pool, ready);
    }
}
