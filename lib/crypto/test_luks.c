/* SPDX-License-Identifier: MIT */
/* LUKS headers in memory: made, opened by their passphrases alone, and any byte of one changed. */
#include "crypto/luks.h"

#include <errno.h>
#include <string.h>

enum { ROOM = 4 << 20 };

static int get(void *opaque, uint64_t offset, void *buf, size_t len)
{
    if (offset > ROOM || len > ROOM - offset)
        return -EIO;
    memcpy(buf, (uint8_t *)opaque + offset, len);
    return 0;
}

static int put(void *opaque, uint64_t offset, const void *buf, size_t len)
{
    if (offset > ROOM || len > ROOM - offset)
        return -EIO;
    memcpy((uint8_t *)opaque + offset, buf, len);
    return 0;
}

#define PASS(text) ((CryptoPass){ (const uint8_t *)(text), sizeof(text) - 1 })

static void make(CryptoLuks *l, const CryptoLuksIo *io, CryptoHash hash)
{
    g_autoptr(GError) error = NULL;

    *l = (CryptoLuks){ .kind = { CRYPTO_XTS, CRYPTO_PLAIN64, CRYPTO_SHA256 }, .hash = hash, .key_len = 64 };
    crypto_luks_lay_out(l, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(l->payload, ==, 2068480);
    crypto_luks_format(l, io, PASS("first"), 1, &error);
    g_assert_no_error(error);
}

static void test_slots(void)
{
    g_autofree uint8_t *disk = g_malloc0(ROOM);
    CryptoLuksIo io = { get, put, disk };
    uint8_t key[CRYPTO_MAX_KEY], again[CRYPTO_MAX_KEY];
    CryptoLuks made, read;
    unsigned slot;

    for (CryptoHash hash = 0; crypto_hash_names[hash]; hash++) {
        g_autoptr(GError) error = NULL;
        make(&made, &io, hash);
        crypto_luks_parse(&read, disk, ROOM, &error);
        g_assert_no_error(error);
        g_assert_cmpmem(&read, sizeof read, &made, sizeof made);
        g_assert_true(crypto_luks_open(&read, &io, PASS("first"), key, &slot, NULL));
        g_assert_cmpuint(slot, ==, 0);
        g_assert_false(crypto_luks_open(&read, &io, PASS("firs"), again, NULL, &error));
        g_assert_cmpstr(error->message, ==, "Invalid password, cannot unlock any keyslot");
        g_clear_error(&error);
        g_assert_true(crypto_luks_set_slot(&read, &io, 3, PASS("second"), key, 1, NULL));
        g_assert_true(crypto_luks_open(&read, &io, PASS("second"), again, &slot, NULL));
        g_assert_cmpuint(slot, ==, 3);
        g_assert_cmpmem(again, read.key_len, key, read.key_len);
        g_assert_true(crypto_luks_erase_slot(&read, &io, 0, NULL));
        crypto_luks_parse(&read, disk, ROOM, &error);
        g_assert_no_error(error);
        g_assert_false(crypto_luks_open(&read, &io, PASS("first"), again, NULL, NULL));
        g_assert_true(crypto_luks_open(&read, &io, PASS("second"), again, NULL, NULL));
        /* one flipped bit anywhere in the material loses the key */
        disk[read.slots[3].offset + 100000] ^= 1;
        g_assert_false(crypto_luks_open(&read, &io, PASS("second"), again, NULL, NULL));
    }
}

/* What is believed of a header with any byte changed stays within its limits. */
static void test_changed(void)
{
    g_autofree uint8_t *disk = g_malloc0(ROOM);
    CryptoLuksIo io = { get, put, disk };
    uint8_t head[CRYPTO_LUKS_HEADER];
    unsigned refused = 0;
    CryptoLuks l;

    make(&l, &io, CRYPTO_SHA256);
    for (unsigned at = 0; at < sizeof head; at++)
        for (unsigned value = 0; value < 256; value += 15) {
            g_autoptr(GError) error = NULL;
            memcpy(head, disk, sizeof head);
            head[at] = (uint8_t)value;
            if (!crypto_luks_parse(&l, head, 2068480, &error)) {
                g_assert_nonnull(error);
                refused++;
                continue;
            }
            g_assert_cmpuint(l.key_len, <=, CRYPTO_MAX_KEY);
            g_assert_cmpuint(l.iterations, <=, CRYPTO_LUKS_MAX_ITERATIONS);
            for (unsigned n = 0; n < CRYPTO_LUKS_SLOTS; n++) {
                g_assert_cmpuint(l.slots[n].offset + (uint64_t)l.slots[n].stripes * l.key_len, <=, 2068480);
                g_assert_true(!l.slots[n].active || l.slots[n].iterations <= CRYPTO_LUKS_MAX_ITERATIONS);
            }
        }
    g_assert_cmpuint(refused, >, 1000);
    g_assert_false(crypto_luks_parse(&l, disk, 1000, NULL));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/crypto/luks/slots", test_slots);
    g_test_add_func("/crypto/luks/changed", test_changed);
    return g_test_run();
}
