/* SPDX-License-Identifier: MIT */
/* Threads of our own making. */
#include "base/thread.h"

#include <glib.h>
#include <signal.h>

int thread_start(pthread_t *thread, const char *name, void *(*body)(void *opaque), void *opaque)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int ret = pthread_create(thread, NULL, body, opaque);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (ret == 0) {
        g_autofree char *fits = g_strndup(name, 15);
        pthread_setname_np(*thread, fits);
    }
    return ret;
}
