/* SPDX-License-Identifier: MIT */
/* The main loop: descriptors and times, by poll(). */
#include "loop.h"

#include <errno.h>
#include <poll.h>

void ga_watch_add(Ga *ga, GaWatch *watch)
{
    watch->removed = false;
    if (!g_ptr_array_find(ga->watches, watch, NULL))
        g_ptr_array_add(ga->watches, watch);
}

void ga_watch_remove(Ga *ga, GaWatch *watch)
{
    g_ptr_array_remove(ga->watches, watch);
    watch->removed = true;
}

/* Milliseconds until the first time comes; -1: none will. */
static int next_due(const Ga *ga)
{
    int64_t first = 0;
    for (unsigned i = 0; i < ga->watches->len; i++) {
        const GaWatch *w = ga->watches->pdata[i];
        if (w->due && (!first || w->due < first))
            first = w->due;
    }
    if (!first)
        return -1;
    int64_t ms = (first - g_get_monotonic_time() + 999) / 1000;
    return (int)CLAMP(ms, 0, G_MAXINT);
}

/* Watches come and go while they are called: each is looked for again before its turn. */
static void call(Ga *ga, GaWatch *const *who, const struct pollfd *polled, unsigned n)
{
    for (unsigned i = 0; i < n && !ga->quit; i++) {
        if (!g_ptr_array_find(ga->watches, who[i], NULL))
            continue;
        if (polled[i].revents) {
            who[i]->ready(ga, who[i], polled[i].revents);
        } else if (who[i]->due && g_get_monotonic_time() >= who[i]->due) {
            who[i]->due = 0;
            who[i]->ready(ga, who[i], 0);
        }
    }
}

bool ga_loop_once(Ga *ga, int most_ms)
{
    unsigned n = ga->watches->len;
    g_autofree GaWatch **who = g_new(GaWatch *, n + 1);
    g_autofree struct pollfd *p = g_new(struct pollfd, n + 1);
    for (unsigned i = 0; i < n; i++) {
        who[i] = ga->watches->pdata[i];
        p[i] = (struct pollfd){ .fd = who[i]->fd, .events = who[i]->events };
    }
    int due = next_due(ga);
    int ms = most_ms < 0 ? due : due < 0 ? most_ms : MIN(due, most_ms);
    if (poll(p, n, ms) < 0) {
        if (errno != EINTR)
            return false;
        for (unsigned i = 0; i < n; i++)
            p[i].revents = 0;
    }
    call(ga, who, p, n);
    return true;
}
