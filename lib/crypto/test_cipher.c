/* SPDX-License-Identifier: MIT */
/*
 * Ciphers and key derivation against published vectors: IEEE 1619-2007 annex B (XTS), NIST SP 800-38A
 * appendix F (CBC), RFC 6070 and its like for SHA-2 (PBKDF2), and against openssl for what has none.
 */
#include "crypto/crypto.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

static size_t from_hex(const char *hex, uint8_t *out)
{
    size_t n = 0;

    for (; hex[0] && hex[1]; hex += 2)
        out[n++] = (uint8_t)(g_ascii_xdigit_value(hex[0]) << 4 | g_ascii_xdigit_value(hex[1]));
    return n;
}

static void check_hex(const uint8_t *got, size_t len, const char *want)
{
    g_autoptr(GString) text = g_string_new(NULL);

    for (size_t i = 0; i < len; i++)
        g_string_append_printf(text, "%02x", got[i]);
    g_assert_cmpstr(text->str, ==, want);
}

static void test_hashes(void)
{
    static const char *const of_abc[] = {
        "a9993e364706816aba3e25717850c26c9cd0d89d", "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7",
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7",
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd"
        "454d4423643ce80e2a9ac94fa54ca49f",
    };
    uint8_t out[CRYPTO_MAX_HASH];

    for (unsigned h = 0; crypto_hash_names[h]; h++) {
        g_autoptr(GError) error = NULL;
        crypto_hash((CryptoHash)h, "abc", 3, out, &error);
        g_assert_no_error(error);
        check_hex(out, crypto_hash_size((CryptoHash)h), of_abc[h]);
    }
}

static void test_pbkdf2(void)
{
    static const struct {
        CryptoHash hash;
        uint32_t iterations;
        const char *password, *salt, *want;
    } cases[] = {
        { CRYPTO_SHA1, 1, "password", "salt", "0c60c80f961f0e71f3a9b524af6012062fe037a6" },
        { CRYPTO_SHA1, 4096, "password", "salt", "4b007901b765489abead49d926f721d065a429c1" },
        { CRYPTO_SHA1, 4096, "passwordPASSWORDpassword", "saltSALTsaltSALTsaltSALTsaltSALTsalt",
          "3d2eec4fe41c849b80c8d83662c0e44a8b291a964cf2f07038" },
        { CRYPTO_SHA256, 1, "password", "salt", "120fb6cffcf8b32c43e7225256c4f837a86548c92ccc35480805987cb70be17b" },
        { CRYPTO_SHA256, 4096, "password", "salt", "c5e478d59288c841aa530db6845c4c8d962893a001ce4e11a4963873aa98134a" },
        { CRYPTO_SHA512, 1, "password", "salt",
          "867f70cf1ade02cff3752599a3a53dc4af34c7a669815ae5d513554e1c8cf252c02d470a285a0501bad999bfe943c08f"
          "050235d7d68b1da55e63f73b60a57fce" },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        uint8_t out[64];
        size_t len = strlen(cases[i].want) / 2;
        crypto_pbkdf2(cases[i].hash, cases[i].password, strlen(cases[i].password), (const uint8_t *)cases[i].salt,
                      strlen(cases[i].salt), cases[i].iterations, out, len, &error);
        g_assert_no_error(error);
        check_hex(out, len, cases[i].want);
    }
}

/* One sector with a key in hex; the first 32 bytes of what comes out, and back again. */
static void check_sector(CryptoKind kind, const char *key_hex, uint64_t sector, const uint8_t *plain, const char *want)
{
    g_autoptr(GError) error = NULL;
    uint8_t key[CRYPTO_MAX_KEY], out[CRYPTO_SECTOR];
    size_t len = from_hex(key_hex, key);
    g_autoptr(CryptoCipher) c = crypto_cipher_new(&kind, key, len, &error);

    g_assert_no_error(error);
    g_assert_cmpint(crypto_encrypt(c, sector, out, plain, sizeof out), ==, 0);
    check_hex(out, strlen(want) / 2, want);
    g_assert_cmpint(crypto_decrypt(c, sector, out, out, sizeof out), ==, 0);
    g_assert_cmpmem(out, sizeof out, plain, CRYPTO_SECTOR);
}

static void count_up(uint8_t plain[CRYPTO_SECTOR])
{
    for (unsigned i = 0; i < CRYPTO_SECTOR; i++)
        plain[i] = (uint8_t)i;
}

static void test_xts(void)
{
    CryptoKind kind = { CRYPTO_XTS, CRYPTO_PLAIN64, CRYPTO_SHA256 };
    uint8_t plain[CRYPTO_SECTOR];

    count_up(plain);
    /* vector 4: AES-128, unit 0 */
    check_sector(kind, "2718281828459045235360287471352631415926535897932384626433832795", 0, plain,
                 "27a7479befa1d476489f308cd4cfa6e2a96e4bbe3208ff25287dd3819616e89c");
    /* vectors 10 and 12: AES-256, units 0xff and 0xffffff */
    check_sector(kind,
                 "2718281828459045235360287471352662497757247093699959574966967627"
                 "3141592653589793238462643383279502884197169399375105820974944592", 0xff, plain,
                 "1c3b3a102f770386e4836c99e370cf9bea00803f5e482357a4ae12d414a3e63b");
    check_sector(kind,
                 "2718281828459045235360287471352662497757247093699959574966967627"
                 "3141592653589793238462643383279502884197169399375105820974944592", 0xffffff, plain,
                 "e387aaa58ba483afa7e8eb469778317ecf4cf573aa9d4eac23f2cdf914e4e200");
    /* AES-192 is in no list: made from AES of single blocks, as the standard defines it */
    check_sector(kind,
                 "000b16212c37424d58636e79848f9aa5b0bbc6d1dce7f2fd"
                 "08131e29343f4a55606b76818c97a2adb8c3ced9e4effa05", 5, plain,
                 "b9fcbc1675f1c820ed36f62d8102b7fd0849c292d08a892df1de3bc511a9bff5");
}

/* CBC-AES-256 with vectors from 0: the first block is AES of the plain text alone. */
static void test_cbc(void)
{
    uint8_t plain[CRYPTO_SECTOR] = { 0 };
    CryptoKind kind = { CRYPTO_CBC, CRYPTO_PLAIN64, CRYPTO_SHA256 };

    /* SP 800-38A F.1: ECB of one block, as sector 0 has a vector of zeroes */
    from_hex("6bc1bee22e409f96e93d7e117393172a", plain);
    check_sector(kind, "2b7e151628aed2a6abf7158809cf4f3c", 0, plain, "3ad77bb40d7a3660a89ecaf32466ef97");
    check_sector(kind, "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b", 0, plain,
                 "bd334f1d6e45f25ff712a214571fa5cc");
    check_sector(kind, "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4", 0, plain,
                 "f3eed1bdb5d2a03c064b5a7e3db181f8");
}

/* What openssl makes of the same sector. */
static char *openssl(const char *cipher, const char *key, const char *iv, const uint8_t *in, size_t len)
{
    g_autofree char *file = NULL, *command = NULL, *out = NULL;
    g_autoptr(GString) hex = g_string_new(NULL);
    int status;
    GError *error = NULL;
    int fd = g_file_open_tmp("lathe-cipher-XXXXXX", &file, &error);

    g_assert_no_error(error);
    g_assert_cmpint(write(fd, in, len), ==, len);
    close(fd);
    command = g_strdup_printf("sh -c 'openssl enc -%s -nopad -K %s -iv %s -in %s | od -An -v -tx1 | tr -d \" \\n\"'",
                              cipher, key, iv, file);
    g_assert_true(g_spawn_command_line_sync(command, &out, NULL, &status, NULL));
    unlink(file);
    return status ? NULL : g_steal_pointer(&out);
}

static void test_openssl(void)
{
    static const char key[] = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    uint8_t plain[CRYPTO_SECTOR], hash[CRYPTO_MAX_HASH], raw[32], iv[16] = { 0 };
    g_autoptr(GError) error = NULL;
    g_autoptr(GString) hashed = g_string_new(NULL);

    count_up(plain);
    /* a sector beyond 32 bits tells plain from plain64 */
    g_autofree char *p64 = openssl("aes-256-cbc", key, "78563412010000000000000000000000", plain, sizeof plain);
    if (!p64 || strlen(p64) != 2 * CRYPTO_SECTOR) {
        g_test_skip("openssl is not there");
        return;
    }
    check_sector((CryptoKind){ CRYPTO_CBC, CRYPTO_PLAIN64, CRYPTO_SHA256 }, key, 0x112345678, plain, p64);
    g_autofree char *p32 = openssl("aes-256-cbc", key, "78563412000000000000000000000000", plain, sizeof plain);
    check_sector((CryptoKind){ CRYPTO_CBC, CRYPTO_PLAIN, CRYPTO_SHA256 }, key, 0x112345678, plain, p32);
    /* ESSIV: its vector is AES-256 of the number under SHA-256 of the key */
    from_hex(key, raw);
    crypto_hash(CRYPTO_SHA256, raw, sizeof raw, hash, &error);
    g_assert_no_error(error);
    for (unsigned i = 0; i < 32; i++)
        g_string_append_printf(hashed, "%02x", hash[i]);
    iv[0] = 0x78, iv[1] = 0x56, iv[2] = 0x34, iv[3] = 0x12, iv[4] = 1;
    g_autofree char *vector = openssl("aes-256-ecb", hashed->str, "00", iv, sizeof iv);
    g_autofree char *essiv = openssl("aes-256-cbc", key, vector, plain, sizeof plain);
    check_sector((CryptoKind){ CRYPTO_CBC, CRYPTO_ESSIV, CRYPTO_SHA256 }, key, 0x112345678, plain, essiv);
}

/* Modes and key lengths that are none, several sectors at once, on several threads. */
static void *work(void *opaque)
{
    uint8_t *buf = g_malloc(64 * CRYPTO_SECTOR), *back = g_malloc(64 * CRYPTO_SECTOR);

    for (unsigned round = 0; round < 200; round++) {
        for (unsigned i = 0; i < 64 * CRYPTO_SECTOR; i++)
            buf[i] = (uint8_t)(i * 7 + round);
        g_assert_cmpint(crypto_encrypt(opaque, round, back, buf, 64 * CRYPTO_SECTOR), ==, 0);
        for (unsigned s = 64; s--;)
            g_assert_cmpint(crypto_decrypt(opaque, round + s, back + s * CRYPTO_SECTOR, back + s * CRYPTO_SECTOR,
                                           CRYPTO_SECTOR), ==, 0);
        g_assert_cmpmem(back, 64 * CRYPTO_SECTOR, buf, 64 * CRYPTO_SECTOR);
    }
    g_free(buf);
    g_free(back);
    return NULL;
}

static void test_threads(void)
{
    uint8_t key[CRYPTO_MAX_KEY];

    for (unsigned i = 0; i < sizeof key; i++)
        key[i] = (uint8_t)(i * 11);
    for (size_t len = 32; len <= 64; len += 16) {
        g_autoptr(GError) error = NULL;
        g_autoptr(CryptoCipher) c =
            crypto_cipher_new(&(CryptoKind){ CRYPTO_XTS, CRYPTO_PLAIN64, CRYPTO_SHA256 }, key, len, &error);
        pthread_t threads[4];
        g_assert_no_error(error);
        for (unsigned i = 0; i < G_N_ELEMENTS(threads); i++)
            pthread_create(&threads[i], NULL, work, c);
        for (unsigned i = 0; i < G_N_ELEMENTS(threads); i++)
            pthread_join(threads[i], NULL);
        g_assert_cmpint(crypto_encrypt(c, 0, key, key, 7), ==, -EINVAL);
    }
}

static void test_refusals(void)
{
    static const struct {
        CryptoKind kind;
        size_t len;
    } bad[] = {
        { { CRYPTO_CBC, CRYPTO_PLAIN, CRYPTO_SHA256 }, 64 }, { { CRYPTO_XTS, CRYPTO_PLAIN, CRYPTO_SHA256 }, 16 },
        { { CRYPTO_XTS, CRYPTO_PLAIN, CRYPTO_SHA256 }, 33 }, { { CRYPTO_CBC, CRYPTO_PLAIN, CRYPTO_SHA256 }, 0 },
        { { CRYPTO_CBC, CRYPTO_ESSIV, CRYPTO_SHA1 }, 32 },
    };
    uint8_t key[CRYPTO_MAX_KEY] = { 1, 2, 3 };

    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(crypto_cipher_new(&bad[i].kind, key, bad[i].len, &error));
        g_assert_nonnull(error);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/crypto/hashes", test_hashes);
    g_test_add_func("/crypto/pbkdf2", test_pbkdf2);
    g_test_add_func("/crypto/xts", test_xts);
    g_test_add_func("/crypto/cbc", test_cbc);
    g_test_add_func("/crypto/openssl", test_openssl);
    g_test_add_func("/crypto/threads", test_threads);
    g_test_add_func("/crypto/refusals", test_refusals);
    return g_test_run();
}
