/* SPDX-License-Identifier: MIT */
/* For tests of what goes on in other threads. */
#pragma once

#include <glib.h>

/* Runs the main context until cond holds; a minute without it fails the test. */
#define run_until(cond)                                                                            \
    do {                                                                                           \
        gint64 until_ = g_get_monotonic_time() + 60 * G_USEC_PER_SEC;                              \
        while (!(cond)) {                                                                          \
            g_assert_cmpint(g_get_monotonic_time(), <, until_);                                    \
            if (!g_main_context_iteration(NULL, FALSE))                                            \
                g_usleep(200);                                                                     \
        }                                                                                          \
    } while (0)
