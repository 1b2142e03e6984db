/* SPDX-License-Identifier: MIT */
/* For the tests of this folder: a front end that counts what it is told, and the main loop. */
#pragma once

#include "chardev/chardev_priv.h"

typedef struct Front {
    size_t room;
    GString *got;
    int opened, closed, breaks, quits, focus_in, focus_out;
} Front;

static inline size_t front_can_receive(void *opaque)
{
    return ((Front *)opaque)->room;
}

static inline void front_receive(void *opaque, const uint8_t *buf, size_t len)
{
    Front *f = opaque;
    g_assert_cmpuint(len, <=, f->room);
    f->room -= len;
    g_string_append_len(f->got, (const char *)buf, (gssize)len);
}

static inline void front_event(void *opaque, ChardevEvent event)
{
    Front *f = opaque;
    f->opened += event == CHARDEV_EVENT_OPENED;
    f->closed += event == CHARDEV_EVENT_CLOSED;
    f->breaks += event == CHARDEV_EVENT_BREAK;
    f->focus_in += event == CHARDEV_EVENT_FOCUS_IN;
    f->focus_out += event == CHARDEV_EVENT_FOCUS_OUT;
}

static inline void run_idle(void)
{
    while (g_main_context_iteration(NULL, FALSE))
        ;
}
