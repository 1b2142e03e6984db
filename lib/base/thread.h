/* SPDX-License-Identifier: MIT */
/* Threads of our own making. */
#pragma once

#include <pthread.h>

/* Starts a thread that gets no signals, since those are for the main thread; name has 15 bytes at
   most that count. 0, or an errno and no thread. */
int thread_start(pthread_t *thread, const char *name, void *(*body)(void *opaque), void *opaque);
