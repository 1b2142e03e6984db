/* SPDX-License-Identifier: MIT */
/* Any bytes as a client's keys.psk: a key is taken just when the first line of the user has one (gnutls
 * refuses those of a few bytes). */
#include "crypto/crypto.h"

#include <glib/gstdio.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What stands behind the first "qemu:" at the start of a line, of the text before any NUL; -1: none, else
 * its length, and whether it is plainly hexadecimal. */
static long find_key(const uint8_t *p, size_t size, bool *hex)
{
    const uint8_t *end = memchr(p, 0, size);
    bool start = true;
    end = end ? end : p + size;
    for (; p < end; p++) {
        if (start && end - p >= 5 && !memcmp(p, "qemu:", 5)) {
            const uint8_t *key = p + 5, *q = key;
            *hex = true;
            for (; q < end && *q != '\n' && *q != '\r'; q++)
                *hex &= g_ascii_isxdigit(*q);
            return q - key;
        }
        start = *p == '\n' || *p == '\r';
    }
    return -1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *dir = g_dir_make_tmp("psk-XXXXXX", NULL);
    g_autofree char *file = g_build_filename(dir, "keys.psk", NULL);
    g_autofree char *text = g_strdup_printf("tls-creds-psk,id=c,endpoint=client,dir=%s", dir);
    CryptoObjects *objects = crypto_objects_new();
    GError *error = NULL;
    bool hex = false;

    if (!g_file_set_contents_full(file, (const char *)data, (gssize)size, G_FILE_SET_CONTENTS_NONE, 0600, NULL))
        abort();
    bool taken = crypto_objects_add(objects, text, &error);
    long len = find_key(data, size, &hex);
    if (taken != !error || (taken && len < 0) || (!taken && hex && len >= 16 && len % 2 == 0 && len <= 128))
        abort();
    g_clear_error(&error);
    crypto_objects_free(objects);
    g_unlink(file);
    g_rmdir(dir);
    return 0;
}
