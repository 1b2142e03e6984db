/* SPDX-License-Identifier: MIT */
/*
 * Character devices: the host end of a serial line. A front end (a UART model, a
 * console, SBI's debug console, a monitor) writes bytes and is told of bytes that arrive; a
 * back end (stdio, a file, a socket, nothing, a memory buffer) carries them. The grammars of
 * `-chardev` and `-serial SPEC` live here. chardevs.def lists the back ends.
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
    CHARDEV_EVENT_OPENED, /* a peer is there; sent also when handlers are set and one is */
    /* No more input will come now: end of file, peer gone. A peer of a socket or pty may come
       again; what the last one had sent and the front end had no room for still arrives. */
    CHARDEV_EVENT_CLOSED,
    CHARDEV_EVENT_BREAK,     /* line break (Ctrl-a b on a multiplexed terminal, telnet's) */
    CHARDEV_EVENT_FOCUS_IN,  /* of several users of one back end, this one gets the input now */
    CHARDEV_EVENT_FOCUS_OUT,
} ChardevEvent;

/* How many bytes the front end takes now; input waits in the back end while it is 0. */
typedef size_t (*ChardevCanReceive)(void *opaque);
/* len is 1 up to what can_receive has just said. */
typedef void (*ChardevReceive)(void *opaque, const uint8_t *buf, size_t len);
typedef void (*ChardevEventFn)(void *opaque, ChardevEvent event);

/* What a back end may ask of the tool. All on the main thread; any member may be NULL. */
typedef struct ChardevHost {
    void (*quit)(void *opaque); /* Ctrl-a x; NULL: the keys say that there is nothing to quit */
    /* A line for the user: which pty it is, that a peer is waited for. NULL: not told. */
    void (*notice)(void *opaque, const char *line);
    /* While a peer is waited for at the start: true gives up. NULL: never. */
    bool (*cancelled)(void *opaque);
    /* mon:SPEC was opened in a table: port is the monitor's end, borrowed. NULL: no monitor. */
    void (*monitor)(void *opaque, Chardev *port);
    void *opaque;
} ChardevHost;

/*
 * Opens what a user writes after -serial or -monitor, chardev_help lists it. host is copied and may
 * be NULL. stdio can be open only once in a process; a terminal on standard input goes raw
 * until chardev_free, exit() or a fatal signal. A socket that waits for its peer runs the default
 * main context meanwhile.
 */
Chardev *chardev_open(const char *spec, const ChardevHost *host, GError **error);

/* ---- All of a machine's ---------------------------------------------------- */

/* What -chardev and -serial have opened, by name. It owns every Chardev it hands out. */
typedef struct ChardevTable ChardevTable;

ChardevTable *chardev_table_new(const ChardevHost *host);
void chardev_table_free(ChardevTable *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ChardevTable, chardev_table_free)

/* -chardev BACKEND,id=ID[,mux=on][,logfile=PATH][,logappend=on][,KEY=VALUE...] */
bool chardev_table_add(ChardevTable *table, const char *text, GError **error);
/* The back end of that id for one more front end: the only one, or with mux=on one of several,
   of which Ctrl-a c chooses; the first has the input at the start. */
Chardev *chardev_table_get(ChardevTable *table, const char *id, GError **error);
/* As chardev_open, and chardev:ID; label ("serial0") is the name it gets in the table. */
Chardev *chardev_table_open(ChardevTable *table, const char *label, const char *spec,
                            GError **error);
/* Forgets a back end that no front end has. */
bool chardev_table_remove(ChardevTable *table, const char *id, GError **error);
/* A line break towards the front end that has the input. */
bool chardev_table_break(ChardevTable *table, const char *id, GError **error);
/* "serial0: filename=pty:/dev/pts/3" lines; newly allocated. */
char *chardev_table_info(const ChardevTable *table);

/* ---- For tests, and for a monitor ------------------------------------------ */

/* A back end for tests: what the front end writes is kept, input is given by hand. */
Chardev *chardev_memory_new(void);
/* Bytes written so far (newly allocated, for the caller), and forgets them. */
GBytes *chardev_memory_take_output(Chardev *c);
/* Queues input and delivers what the front end takes, at once, on this thread. */
void chardev_memory_input(Chardev *c, const void *buf, size_t len);

/* The oldest bytes of a ringbuf, at most max, newly allocated; they are forgotten. NULL and an
   error if c is another kind. */
GBytes *chardev_ringbuf_read(Chardev *c, size_t max, GError **error);
/* Input for the front end of a ringbuf. All or nothing. */
bool chardev_ringbuf_input(Chardev *c, const void *buf, size_t len, GError **error);

/* ---- For front ends -------------------------------------------------------- */

/*
 * Sends bytes. Returns at once while fewer than CHARDEV_BUFFER_MAX wait; past that waits up
 * to a tenth of a second for room. Returns how many were taken, the rest is lost unless the
 * caller keeps it. With no peer on a socket or pty everything is taken and dropped; what was taken
 * while one was there and has not left goes to the next. c may be NULL (all is dropped).
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

/* A peer is there, or the back end has no such thing. NULL: false. */
bool chardev_is_open(const Chardev *c);
/* False for one of several users of a back end while another has its input. NULL: false. */
bool chardev_has_focus(const Chardev *c);
/* Whether a front end has written anything so far. Any thread. */
bool chardev_wrote(const Chardev *c);
/* Where it leads, as "pty:/dev/pts/3"; newly allocated. */
char *chardev_describe(const Chardev *c);

/* For front ends that talk to the peer over its socket by themselves, with descriptors beside the
   bytes: a duplicate, for the caller to close, or -1 if there is no peer or no socket. The front
   end sets no handlers and writes nothing then, and connects again itself, if that is wanted, when
   the peer has gone. */
int chardev_socket(const Chardev *c);

typedef struct {
    unsigned wait_ms; /* between attempts; 0: it is not wanted */
    unsigned tries;   /* how many may be refused in a row; 0: any number */
} ChardevRetry;
/* For those. Any thread. */
ChardevRetry chardev_retry(const Chardev *c);
/* A new connection to the same Unix socket, for the caller to close, at once; -1 with errno. Any
 * thread. */
int chardev_connect_again(const Chardev *c);

/* One line a back end: "  file:PATH    ..."; newly allocated. */
char *chardev_help(void);
