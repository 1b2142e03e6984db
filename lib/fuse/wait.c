/* SPDX-License-Identifier: MIT */
/*
 * Requests that wait in the kernel, each on a thread of its own: for a lock, for news. A signal
 * (SIGUSR1, whose handler does nothing) ends the system call; as it may come just before that, it
 * is sent again until the request is no longer on the list.
 */
#include "fuse/fuse_priv.h"

#include <signal.h>
#include <unistd.h>

static void wake(int signal)
{
}

void fuse_wait_init(FuseSession *s)
{
    struct sigaction act = { .sa_handler = wake };
    sigaction(SIGUSR1, &act, NULL);
    pthread_mutex_init(&s->lock, NULL);
}

static void only_us(int how, sigset_t *before)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(how, &set, before);
}

bool fuse_wait_begin(FuseRequest *r, FuseWaiter *w)
{
    FuseSession *s = r->s;
    *w = (FuseWaiter){ .unique = r->h.unique, .thread = pthread_self() };
    pthread_mutex_lock(&s->lock);
    for (unsigned i = 0; i < FUSE_INTERRUPTED; i++)
        if (s->interrupted[i] == w->unique)
            w->given_up = true; /* before it began */
    bool room = s->waiting < FUSE_MAX_WAITING && !w->given_up;
    if (room) {
        w->next = s->waiters;
        s->waiters = w;
        s->waiting++;
    }
    pthread_mutex_unlock(&s->lock);
    if (room)
        only_us(SIG_UNBLOCK, &w->before);
    return room;
}

void fuse_wait_end(FuseRequest *r, FuseWaiter *w)
{
    FuseSession *s = r->s;
    pthread_mutex_lock(&s->lock);
    for (FuseWaiter **at = &s->waiters; *at; at = &(*at)->next)
        if (*at == w) {
            *at = w->next;
            break;
        }
    s->waiting--;
    pthread_mutex_unlock(&s->lock);
    pthread_sigmask(SIG_SETMASK, &w->before, NULL);
}

/* Whether there was one. unique 0: all. */
static bool give_up(FuseSession *s, uint64_t unique)
{
    bool any = false;
    for (FuseWaiter *w = s->waiters; w; w = w->next)
        if (!unique || w->unique == unique) {
            w->given_up = any = true;
            pthread_kill(w->thread, SIGUSR1);
        }
    return any;
}

void fuse_wait_interrupt(FuseSession *s, uint64_t unique)
{
    pthread_mutex_lock(&s->lock);
    s->interrupted[s->next_interrupted++ % FUSE_INTERRUPTED] = unique;
    while (give_up(s, unique)) {
        pthread_mutex_unlock(&s->lock);
        usleep(200);
        pthread_mutex_lock(&s->lock);
    }
    pthread_mutex_unlock(&s->lock);
}

void fuse_session_interrupt(FuseSession *s)
{
    pthread_mutex_lock(&s->lock);
    give_up(s, 0);
    pthread_mutex_unlock(&s->lock);
}
