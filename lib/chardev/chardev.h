/* SPDX-License-Identifier: MIT */
/*
 * Character devices: the host end of a serial line. A front end (a UART model, a
 * console, SBI's debug console) writes bytes and is told of bytes that arrive; a back
 * end (stdio, a file, nothing, a memory buffer) carries them. The grammar of
 * `-serial SPEC` lives here. chardevs.def lists the back ends.
 *
 * Threads: chardev_write and chardev_accept_input may be called on any thread, also
 * under a device's lock. Handlers run on the thread of the default GLib main context,
 * never inside chardev_write. Everything else belongs to the main thread.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Chardev Chardev;

/* Most bytes held back while the host end does not take them. */
#define CHARDEV_BUFFER_MAX ((size_t)4 << 20)

typedef enum {
    CHARDEV_EVENT_OPENED, /* a peer is there (sent once when handlers are set, for these back ends) */
    CHARDEV_EVENT_CLOSED, /* no more input will come: end of file, peer gone */
    CHARDEV_EVENT_BREAK,  /* line break (Ctrl-a b on a multiplexed terminal) */
} ChardevEvent;

/* How many bytes the front end takes now; input waits in the back end while it is 0. */
typedef size_t (*ChardevCanReceive)(void *opaque);
/* len is 1 up to what can_receive has just said. */
typedef void (*ChardevReceive)(void *opaque, const uint8_t *buf, size_t len);
typedef void (*ChardevEventFn)(void *opaque, ChardevEvent event);

/* What a back end may ask of the tool. Any member may be NULL: then the keys say so. */
typedef struct ChardevHost {
    void (*quit)(void *opaque); /* Ctrl-a x; main thread */
    void *opaque;
} ChardevHost;

/*
 * Opens what a user writes after -serial: null, none (as null), stdio, file:PATH,
 * mon:SPEC (mon:stdio: with the Ctrl-a keys). host is copied and may be NULL. stdio can be
 * open only once in a process; a terminal on standard input goes raw until
 * chardev_free, exit() or a fatal signal.
 */
Chardev *chardev_open(const char *spec, const ChardevHost *host, GError **error);

/* A back end for tests: what the front end writes is kept, input is given by hand. */
Chardev *chardev_memory_new(void);
/* Bytes written so far (newly allocated, for the caller), and forgets them. */
GBytes *chardev_memory_take_output(Chardev *c);
/* Queues input and delivers what the front end takes, at once, on this thread. */
void chardev_memory_input(Chardev *c, const void *buf, size_t len);

/*
 * Sends bytes. Returns at once while fewer than CHARDEV_BUFFER_MAX wait; past that waits up
 * to a tenth of a second for room. Returns how many were taken, the rest is lost unless the
 * caller keeps it. c may be NULL (everything is taken and dropped).
 */
size_t chardev_write(Chardev *c, const void *buf, size_t len);

/*
 * Sets who gets the input; any function may be NULL (no can_receive: nothing is taken). One front
 * end at a time; NULLs take it away. c may be NULL (does nothing).
 */
void chardev_set_handlers(Chardev *c, ChardevCanReceive can_receive, ChardevReceive receive,
                          ChardevEventFn event, void *opaque);

/* The front end has room again: can_receive will be asked again soon. c may be NULL. */
void chardev_accept_input(Chardev *c);

/* Waits until what was written has left (at most timeout_ms) and tells the first output error. */
bool chardev_flush(Chardev *c, int timeout_ms, GError **error);

/* Flushes for up to a second, restores the terminal, closes. NULL is fine. */
void chardev_free(Chardev *c);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Chardev, chardev_free)

/* One line a back end: "  file:PATH    ..."; newly allocated. */
char *chardev_help(void);
