/* SPDX-License-Identifier: MIT */
/*
 * What the luks driver and formats with a LUKS header inside share: options of a new header,
 * opening one, what info and amend have of it, and moving data through a cipher. Offsets `at` are
 * where the header begins in file.
 */
#pragma once

#include "block/driver.h"
#include "crypto/luks.h"

/* What a new header is made of, as options say it. */
typedef struct {
    char *secret;
    int cipher, mode, ivgen, iv_hash, hash;
    uint64_t iter_time; /* ms */
} LuksWanted;

extern const char *const luks_ciphers[]; /* aes-128, aes-192, aes-256 */
#define LUKS_MAX_ITER_TIME 600000

/* The lines of a table of creation options; P is put in front of names, LuksWanted is member M of
 * S. */
#define LUKS_CREATE_PROPS(P, S, M, SECRET_HELP) \
    { .name = P "cipher-alg", .kind = BLOCK_PROP_ENUM, .offset = offsetof(S, M.cipher), \
      .def = "aes-256", \
      .names = luks_ciphers, .help = "Name of encryption cipher algorithm" }, \
    { .name = P "cipher-mode", .kind = BLOCK_PROP_ENUM, .offset = offsetof(S, M.mode), \
      .def = "xts", \
      .names = crypto_mode_names, .help = "Name of encryption cipher mode" }, \
    { .name = P "hash-alg", .kind = BLOCK_PROP_ENUM, .offset = offsetof(S, M.hash), \
      .def = "sha256", \
      .names = crypto_hash_names, .help = "Name of encryption hash algorithm" }, \
    { .name = P "iter-time", .kind = BLOCK_PROP_NUMBER, .offset = offsetof(S, M.iter_time), \
      .def = "2000", .min = 1, \
      .max = LUKS_MAX_ITER_TIME, .help = "Time to spend in PBKDF in milliseconds" }, \
    { .name = P "ivgen-alg", .kind = BLOCK_PROP_ENUM, .offset = offsetof(S, M.ivgen), \
      .def = "plain64", \
      .names = crypto_iv_names, .help = "Name of IV generator algorithm" }, \
    { .name = P "ivgen-hash-alg", .kind = BLOCK_PROP_ENUM, .offset = offsetof(S, M.iv_hash), \
      .def = "sha256", \
      .names = crypto_hash_names, .help = "Name of IV generator hash algorithm" }, \
    { .name = P "key-secret", .kind = BLOCK_PROP_STRING, .offset = offsetof(S, M.secret), \
      .help = SECRET_HELP }

/* A header's bytes, for crypto_luks_*. */
typedef struct {
    BlockUser *file;
    uint64_t at;
} LuksArea;
CryptoLuksIo luks_io(LuksArea *area);

/* Lays out a header and looks the passphrase up, before anything is written. prefix is that of
 * options. */
bool luks_plan(BlockGraph *graph, const LuksWanted *wanted, const char *prefix, CryptoLuks *luks,
               CryptoPass *pass, GError **error);
bool luks_write_new(BlockUser *file, uint64_t at, CryptoLuks *luks, CryptoPass pass,
                    uint64_t iter_ms, GError **error);

/* Reads the header, and unless node was opened without its data in mind, unlocks it: *cipher. put
 * is what stands in front of options. */
bool luks_open_header(BlockNode *node, BlockUser *file, uint64_t at, uint64_t room, const char *put,
                      const char *secret, CryptoLuks *luks, CryptoCipher **cipher, GError **error);
/* What info tells, added to data. format: also that it is luks. */
void luks_describe(const CryptoLuks *luks, bool format, struct json_object *data);
/* Adds or erases key slots. options are all of the command; those without the prefix are left
 * alone. */
bool luks_amend(BlockNode *node, BlockUser *file, uint64_t at, const char *put, const char *secret,
                CryptoLuks *luks, struct json_object *options, bool force, GError **error);
/* Names of amend's options with that prefix; NULL at the end. */
extern const char *const luks_amend_names[], *const luks_amend_encrypt_names[];

/* Whole sectors between iov and file at host, as from that sector number on. 0 or -errno. */
int luks_read(BlockUser *file, CryptoCipher *cipher, uint64_t host, uint64_t sector, uint64_t bytes,
              const struct iovec *iov, int iovcnt);
int luks_write(BlockUser *file, CryptoCipher *cipher, uint64_t host, uint64_t sector,
               uint64_t bytes, const struct iovec *iov, int iovcnt, unsigned flags);
