/* SPDX-License-Identifier: MIT */
/* What a kind of object is; objects.def has the list, objects.c the owner of all. */
#pragma once

#include "base/option.h"
#include "crypto/crypto.h"

typedef struct {
    /* From its keys, of which "id" and "qom-type" are read; NULL with an error. Calls options_done
     * before it looks at anything outside. id is borrowed. */
    void *(*make)(const CryptoObjects *objects, const char *id, Options *o, GError **error);
    void (*unref)(void *object);
    /* The folder of a file that is read again in time, newly allocated; NULL when there is none. NULL: it
     * never is. */
    char *(*folder)(const void *object);
} CryptoObjectKind;

#define OBJECT(name, symbol) extern const CryptoObjectKind symbol##_object;
#include "crypto/objects.def"
#undef OBJECT

/* NULL: there is none of that id; objects may be NULL. */
void *crypto_object_find(const CryptoObjects *objects, const char *id,
                         const CryptoObjectKind **kind);
/* For options that come from elsewhere; qom-type is among them. */
bool crypto_objects_add_options(CryptoObjects *objects, Options *o, GError **error);
/* A whole file of at most CRYPTO_MAX_SECRET bytes with a 0 after it, which is not counted; it may
 * be a pipe. The caller wipes it. errno tells why not; EFBIG: it has more. */
uint8_t *crypto_read_file(const char *file, size_t *len);
