/* SPDX-License-Identifier: MIT */
/*
 * JSON values in a stream of bytes, as monitors and agents of QEMU's kind read them: one behind the
 * other, lines mean nothing, a byte 0xFF ends what was begun and starts anew. Text in single quotes
 * is a string, too. After a mistake everything up to the next line or 0xFF is passed over.
 *
 * What a peer can make us hold is bounded: JSON_MAX_BYTES a value, JSON_MAX_DEPTH levels,
 * JSON_MAX_PARTS members and elements. One thread.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

struct json_object;

enum { JSON_MAX_BYTES = 64 << 20, JSON_MAX_DEPTH = 1024, JSON_MAX_PARTS = 1 << 20 };

typedef struct JsonStream JsonStream;

/* Called from json_stream_feed: with a value, which is the callee's to put, or with what is wrong
 * ("JSON parse error, ..."). value is NULL with both an error and the literal null. */
typedef void (*JsonTake)(void *opaque, struct json_object *value, const char *error);

JsonStream *json_stream_new(JsonTake take, void *opaque);
void json_stream_free(JsonStream *s); /* NULL is fine; not from take */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(JsonStream, json_stream_free)
void json_stream_feed(JsonStream *s, const char *bytes, size_t len);
/* Forgets what was begun: a new peer. */
void json_stream_reset(JsonStream *s);
/* Appends value in one line as QEMU lays it out: {"a": [1, 2]}. */
void json_append(GString *out, struct json_object *value);
/* Whether a value has begun and not ended. */
bool json_stream_open(const JsonStream *s);
