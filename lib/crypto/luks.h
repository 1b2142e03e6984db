/* SPDX-License-Identifier: MIT */
/*
 * LUKS1, as the LUKS On-Disk Format Specification 1.2.3 has it: a header with a digest of the master key
 * and eight key slots, each of which holds the master key split into stripes and encrypted by a
 * passphrase. Bytes come and go by callbacks, offsets are from the header's beginning, since the same
 * header also stands within other formats. Control path, one thread.
 *
 * Believed of a header: 16 to 64 bytes of key, 1 to CRYPTO_LUKS_MAX_STRIPES stripes, slots within
 * `room`, and at most CRYPTO_LUKS_MAX_ITERATIONS iterations (some seconds) for each active slot and the
 * digest.
 */
#pragma once

#include "crypto/crypto.h"

enum {
    CRYPTO_LUKS_HEADER = 592,
    CRYPTO_LUKS_SLOTS = 8,
    CRYPTO_LUKS_STRIPES = 4000,
    CRYPTO_LUKS_MAX_STRIPES = 16000,
    CRYPTO_LUKS_MAX_ITERATIONS = 100000000,
};

typedef struct {
    bool active;
    uint32_t iterations, stripes;
    uint8_t salt[32];
    uint64_t offset; /* bytes */
} CryptoLuksSlot;

typedef struct {
    CryptoKind kind;
    CryptoHash hash;
    uint32_t key_len;  /* of the master key */
    uint64_t payload;  /* bytes: where data begins */
    uint8_t digest[20], salt[32];
    uint32_t iterations;
    char uuid[40];
    CryptoLuksSlot slots[CRYPTO_LUKS_SLOTS];
} CryptoLuks;

typedef struct {
    int (*read)(void *opaque, uint64_t offset, void *buf, size_t len);        /* 0 or -errno */
    int (*write)(void *opaque, uint64_t offset, const void *buf, size_t len); /* the same */
    void *opaque;
} CryptoLuksIo;

typedef struct { /* a passphrase */
    const uint8_t *data;
    size_t len;
} CryptoPass;

/* Whether these are the first bytes of a LUKS header, of any version. */
bool crypto_luks_is(const uint8_t *head, size_t len);
/* Reads and checks; room: bytes from the header's beginning on that slots may lie in. */
bool crypto_luks_parse(CryptoLuks *luks, const uint8_t head[CRYPTO_LUKS_HEADER], uint64_t room, GError **error);
void crypto_luks_bytes(const CryptoLuks *luks, uint8_t head[CRYPTO_LUKS_HEADER]);

/* Lays out a new header for kind, hash and key_len, which are set: everything but keys. */
bool crypto_luks_lay_out(CryptoLuks *luks, GError **error);
/* Fills it with a random master key that pass opens through slot 0, and writes header and slot;
 * what lies between is left as it is. */
bool crypto_luks_format(CryptoLuks *luks, const CryptoLuksIo *io, CryptoPass pass, uint64_t iter_ms, GError **error);

/* The master key, key_len bytes, by the slot (*slot, may be NULL) that pass opens. */
bool crypto_luks_open(const CryptoLuks *luks, const CryptoLuksIo *io, CryptoPass pass, uint8_t key[CRYPTO_MAX_KEY],
                      unsigned *slot, GError **error);
/* The same as a cipher for the data. */
CryptoCipher *crypto_luks_unlock(const CryptoLuks *luks, const CryptoLuksIo *io, CryptoPass pass, GError **error);
/* Whether pass opens that slot; -1: an error. */
int crypto_luks_try(const CryptoLuks *luks, const CryptoLuksIo *io, unsigned slot, CryptoPass pass,
                    uint8_t key[CRYPTO_MAX_KEY], GError **error);
/* Slot n opens with pass from then on; written before the header says so. */
bool crypto_luks_set_slot(CryptoLuks *luks, const CryptoLuksIo *io, unsigned n, CryptoPass pass,
                          const uint8_t key[CRYPTO_MAX_KEY], uint64_t iter_ms, GError **error);
/* Slot n is overwritten and free. */
bool crypto_luks_erase_slot(CryptoLuks *luks, const CryptoLuksIo *io, unsigned n, GError **error);
