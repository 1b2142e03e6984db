/* SPDX-License-Identifier: MIT */
/* What back ends share: the struct, the type table's shape, the output sink, the terminal. */
#pragma once

#include "chardev/chardev.h"

#include <stdatomic.h>

typedef struct ChardevType {
    const char *name;
    const char *usage;   /* as typed after -serial; NULL hides it from the help */
    const char *summary;
    /* Main thread. arg is what follows "name:" or NULL; shared says that the Ctrl-a keys
     * are in front (a terminal then passes Ctrl-C on to the guest). */
    bool (*open)(Chardev *c, const char *arg, bool shared, GError **error);
    /* Any thread; as chardev_write. NULL: everything is taken and dropped. */
    size_t (*write)(Chardev *c, const uint8_t *buf, size_t len);
    /* Main thread; the front end may have room. NULL: no input ever. */
    void (*accept_input)(Chardev *c);
    /* Main thread. NULL: nothing is ever held back. */
    bool (*flush)(Chardev *c, int timeout_ms, GError **error);
    /* Main thread; frees priv, which is NULL when open failed early. NULL: nothing to free. */
    void (*close)(Chardev *c);
} ChardevType;

struct Chardev {
    const ChardevType *type;
    void *priv;             /* the type's own */
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

/* A Chardev of this type, opened. */
Chardev *chardev_new(const ChardevType *type, const char *arg, bool shared, GError **error);
/* The Ctrl-a keys in front of back, which it owns from here on. */
Chardev *chardev_mux_new(Chardev *back, const ChardevHost *host);

/* What the front end takes now. */
size_t chardev_room(Chardev *c);
void chardev_deliver(Chardev *c, const uint8_t *buf, size_t len);
void chardev_send_event(Chardev *c, ChardevEvent event);

/*
 * Output to a file descriptor that may block, through a thread of its own, so that a vCPU
 * never waits for a slow terminal. Order is kept; the first error is remembered and
 * everything after it dropped.
 */
typedef struct ChardevSink ChardevSink;
/* own_fd: close it at the end. */
ChardevSink *chardev_sink_new(int fd, bool own_fd);
size_t chardev_sink_write(ChardevSink *s, const uint8_t *buf, size_t len);
bool chardev_sink_flush(ChardevSink *s, int timeout_ms, GError **error);
/* Gives pending output a second; a sink that is still stuck then is abandoned to its thread. */
void chardev_sink_free(ChardevSink *s);

/* Puts the terminal on standard input into raw mode if it is one; keep_signals: Ctrl-C and Ctrl-Z
 * still act on us. False if standard input has been claimed already. */
bool chardev_terminal_claim(bool keep_signals, GError **error);
void chardev_terminal_release(void);
