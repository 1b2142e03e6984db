/* SPDX-License-Identifier: MIT */
/*
 * The worker threads of a graph: they run the blocking calls of drivers. Threads are made when
 * a request finds none idle, and stay. A thread that waits for another request of the same pool
 * says so, and one more may be made in its place: requests that wait for each other never use up
 * all.
 */
#include "block/block_priv.h"

struct BlockPool {
    pthread_mutex_t lock;
    pthread_cond_t work;
    BlockRequest *head, **tail;
    unsigned queued, idle, most;
    int waiting;
    bool stop;
    GArray *threads; /* pthread_t */
};

static void *worker(void *p)
{
    BlockPool *pool = p;

    pthread_mutex_lock(&pool->lock);
    for (;;) {
        while (!pool->head && !pool->stop) {
            pool->idle++;
            pthread_cond_wait(&pool->work, &pool->lock);
            pool->idle--;
        }
        BlockRequest *req = pool->head;
        if (!req)
            break;
        pool->head = req->next;
        if (!pool->head)
            pool->tail = &pool->head;
        pool->queued--;
        pthread_mutex_unlock(&pool->lock);
        req->next = NULL;
        block_request_work(req);
        pthread_mutex_lock(&pool->lock);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

BlockPool *block_pool_new(unsigned threads)
{
    BlockPool *pool = g_new0(BlockPool, 1);

    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->work, NULL);
    pool->tail = &pool->head;
    pool->most = threads;
    pool->threads = g_array_new(FALSE, FALSE, sizeof(pthread_t));
    return pool;
}

void block_pool_free(BlockPool *pool)
{
    if (!pool)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->stop = true;
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->threads->len; i++)
        pthread_join(g_array_index(pool->threads, pthread_t, i), NULL);
    g_array_unref(pool->threads);
    pthread_cond_destroy(&pool->work);
    pthread_mutex_destroy(&pool->lock);
    g_free(pool);
}

/* Under the lock: one more thread when there is work for it. */
static bool more(BlockPool *pool)
{
    pthread_t thread;

    if (pool->queued <= pool->idle || pool->threads->len >= pool->most + (unsigned)pool->waiting)
        return pool->threads->len > 0;
    if (pthread_create(&thread, NULL, worker, pool))
        return pool->threads->len > 0;
    g_array_append_val(pool->threads, thread);
    return true;
}

void block_pool_push(BlockPool *pool, BlockRequest *req)
{
    pthread_mutex_lock(&pool->lock);
    req->next = NULL;
    *pool->tail = req;
    pool->tail = &req->next;
    pool->queued++;
    bool served = more(pool);
    if (!served) {
        /* not one thread can be had: this one must do */
        pool->head = NULL;
        pool->tail = &pool->head;
        pool->queued = 0;
    }
    bool wake = pool->idle > 0;
    pthread_mutex_unlock(&pool->lock);
    if (!served)
        block_request_work(req);
    else if (wake)
        pthread_cond_signal(&pool->work);
}

void block_pool_waiting(BlockPool *pool, int change)
{
    pthread_mutex_lock(&pool->lock);
    pool->waiting += change;
    if (change > 0 && pool->queued)
        more(pool);
    pthread_mutex_unlock(&pool->lock);
}
