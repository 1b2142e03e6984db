/* SPDX-License-Identifier: MIT */
/* What back ends share: the struct, the type table's shape, output and input, the terminal. */
#pragma once

#include "base/option.h"
#include "chardev/chardev.h"

#include <stdatomic.h>

typedef struct ChardevSink ChardevSink;

typedef struct ChardevType {
    const char *name;
    const char *usage; /* as typed after -serial; NULL: not for users */
    const char *summary;
    /* Main thread. Reads its keys and calls options_done before it touches anything outside.
       NULL: no keys, nothing to open. */
    bool (*open)(Chardev *c, Options *o, GError **error);
    /* Any thread; as chardev_write. NULL: everything is taken and dropped. */
    size_t (*write)(Chardev *c, const uint8_t *buf, size_t len);
    /* Main thread; the front end may have room. NULL: no input ever. */
    void (*accept_input)(Chardev *c);
    /* Main thread. NULL: nothing is ever held back. */
    bool (*flush)(Chardev *c, int timeout_ms, GError **error);
    /* Main thread: "pty:/dev/pts/3", newly allocated. NULL: the name alone. */
    char *(*describe)(const Chardev *c);
    /* Main thread: a descriptor of the peer's socket, the back end's, or -1. NULL: there is none.
     */
    int (*socket)(const Chardev *c);
    /* Any thread, both as chardev_retry and chardev_connect_again; both or none. */
    ChardevRetry (*retry)(const Chardev *c);
    int (*connect_again)(const Chardev *c);
    /* Main thread; frees priv, which is NULL when open failed early. NULL: nothing to free. */
    void (*close)(Chardev *c);
} ChardevType;

struct Chardev {
    const ChardevType *type;
    void *priv;  /* the type's own */
    char *label; /* for messages and lists */
    ChardevHost host;
    bool away;              /* no peer; main thread */
    atomic_bool wrote;
    ChardevSink *log;       /* logfile=, or NULL */
    ChardevCanReceive can_receive;
    ChardevReceive receive;
    ChardevEventFn event;
    void *opaque;
    GMutex lock;            /* of accept_source alone */
    GSource *accept_source; /* an idle call to type->accept_input that is on its way */
};

#define CHARDEV(name) extern const ChardevType name##_chardev;
#include "chardev/chardevs.def"
#undef CHARDEV

/* A Chardev of this type, opened; options NULL: none were given. All is copied. */
Chardev *chardev_new(const ChardevType *type, const char *label, const ChardevHost *host,
                     Options *options, GError **error);
/* From "BACKEND,KEY=VALUE,..."; *mux (not NULL) says whether mux=on was among them. id= is passed
   over. */
Chardev *chardev_open_options(const char *text, const char *label, const ChardevHost *host,
                              bool *mux, GError **error);
/* -serial's short form as -chardev's text, newly allocated; NULL if spec is none (it may be mon:).
   chardev:ID is for the caller. */
char *chardev_expand(const char *spec, GError **error);

/* Several front ends on one back end, and the Ctrl-a keys. Each port holds a reference. */
typedef struct ChardevMux ChardevMux;
/* Takes back. */
ChardevMux *chardev_mux_new(Chardev *back, const ChardevHost *host);
void chardev_mux_unref(ChardevMux *mux);
Chardev *chardev_mux_port(ChardevMux *mux);
/* As chardev_describe. */
Chardev *chardev_mux_back(ChardevMux *mux);
char *chardev_mux_describe(const ChardevMux *mux);

/* What the front end takes now. */
size_t chardev_room(Chardev *c);
void chardev_deliver(Chardev *c, const uint8_t *buf, size_t len);
void chardev_send_event(Chardev *c, ChardevEvent event);
/* A peer came or left: says so to the front end, if that is news. */
void chardev_set_away(Chardev *c, bool away);
/* A line for the user, from a printf format. */
void chardev_notice(const Chardev *c, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
bool chardev_cancelled(const Chardev *c);

/*
 * Output to a file descriptor that may block, through a thread of its own, so that a vCPU
 * never waits for a slow terminal. Order is kept; the first error is remembered and
 * everything after it dropped.
 */
/* own_fd: close it at the end. */
ChardevSink *chardev_sink_new(int fd, bool own_fd);
size_t chardev_sink_write(ChardevSink *s, const uint8_t *buf, size_t len);
bool chardev_sink_flush(ChardevSink *s, int timeout_ms, GError **error);
/* Gives pending output a second; a sink that is still stuck then is abandoned to its thread. */
void chardev_sink_free(ChardevSink *s);

/* Input from a descriptor, read only while the front end has room. Main thread; fd is borrowed. */
typedef struct {
    Chardev *c;
    int fd;
    GSource *source; /* while the front end has room */
    bool ended;      /* end of file or an error: told once as CHARDEV_EVENT_CLOSED */
} ChardevReader;
/* Looks whether there is room, and reads then. As type->accept_input. */
void chardev_reader_accept(ChardevReader *r);
void chardev_reader_stop(ChardevReader *r);

/*
 * Both ways over a non-blocking descriptor whose peer may vanish and another come: a
 * connected socket, a pty's master. What the peer had sent is all read before it counts as gone;
 * what was taken for it and has not left is kept for the next. Main thread, but for write.
 */
typedef struct ChardevStream ChardevStream;
/* gone: the peer is; called on the main thread, never from within another call. */
ChardevStream *chardev_stream_new(Chardev *c, void (*gone)(Chardev *c));
/* Shortens what came in by len bytes, in place; returns the new length. NULL: nothing is done. */
void chardev_stream_set_filter(ChardevStream *s,
                               size_t (*filter)(Chardev *c, uint8_t *buf, size_t len));
/* A peer has come. own_fd: closed when it has gone. */
void chardev_stream_attach(ChardevStream *s, int fd, bool own_fd);
bool chardev_stream_attached(const ChardevStream *s);
/* -1: no peer. */
int chardev_stream_fd(const ChardevStream *s);
/* Any thread; as chardev_write. */
size_t chardev_stream_write(ChardevStream *s, const uint8_t *buf, size_t len);
/* Queues even over the limit: the rest of something that must not be cut. */
void chardev_stream_push(ChardevStream *s, const uint8_t *buf, size_t len);
void chardev_stream_accept(ChardevStream *s);
bool chardev_stream_flush(ChardevStream *s, int timeout_ms, GError **error);
void chardev_stream_free(ChardevStream *s);

/* Puts the terminal on standard input into raw mode if it is one; keep_signals: Ctrl-C and Ctrl-Z
 * still act on us. False if standard input has been claimed already. */
bool chardev_terminal_claim(bool keep_signals, GError **error);
void chardev_terminal_release(void);
