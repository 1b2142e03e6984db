/* SPDX-License-Identifier: MIT */
/* Secrets: what --object takes and refuses, files, base64, and secrets under another (openssl's work). */
#include "crypto/crypto.h"

#include <string.h>
#include <unistd.h>

static void check(CryptoObjects *s, const char *text, const char *id, const char *want)
{
    g_autoptr(GError) error = NULL;
    size_t len;

    crypto_objects_add(s, text, &error);
    g_assert_no_error(error);
    const uint8_t *got = crypto_secret_text(s, id, &len, &error);
    g_assert_no_error(error);
    g_assert_cmpmem(got, len, want, strlen(want));
}

static void test_kinds(void)
{
    g_autoptr(CryptoObjects) s = crypto_objects_new();
    g_autofree char *file = NULL;
    int fd = g_file_open_tmp("lathe-secret-XXXXXX", &file, NULL);

    check(s, "secret,id=a,data=hunter2", "a", "hunter2");
    check(s, "secret,id=b,data=aHVudGVyMg==,format=base64", "b", "hunter2");
    check(s, "qom-type=secret,id=c,data=a,,b", "c", "a,b");
    check(s, "secret,id=d,data=,format=raw", "d", "");
    g_assert_cmpint(write(fd, "line\n", 5), ==, 5);
    close(fd);
    g_autofree char *text = g_strdup_printf("secret,id=e,file=%s", file);
    check(s, text, "e", "line\n");
    unlink(file);
    /* printf hunter2 | openssl enc -aes-256-cbc -a -K 000102...1f -iv 202122...2f */
    check(s, "secret,id=key,data=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "key",
          "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
    check(s, "secret,id=f,data=jCArmQRa0iJKIM75FPBC4Q==,format=base64,keyid=key,iv=ICEiIyQlJicoKSorLC0uLw==",
          "f", "hunter2");
    g_assert_true(crypto_objects_remove(s, "a"));
    g_assert_false(crypto_objects_remove(s, "a"));
    g_assert_true(crypto_is_object("secret,id=x"));
    g_assert_true(crypto_is_object("id=x,qom-type=secret"));
    g_assert_false(crypto_is_object("rng-builtin,id=secret"));
}

static void test_refusals(void)
{
    static const struct {
        const char *text, *want;
    } bad[] = {
        { "secret,id=x", "Either 'file' or 'data' must be provided" },
        { "secret,data=a", "Parameter 'id' is missing" },
        { "secret,id=1,data=a", "*expects an identifier*" },
        { "secret,id=x,data=a,file=b", "'file' and 'data' are mutually exclusive" },
        { "secret,id=x,file=/nonexistent/file", "Unable to read /nonexistent/file: *" },
        { "secret,id=x,data=@@,format=base64", "Base64 data contains invalid characters" },
        { "secret,id=x,data=YQ,format=base64", "Base64 data is not whole" },
        { "secret,id=x,data=a,format=foo", "Parameter 'format' does not accept value 'foo'" },
        { "secret,id=x,data=a,keyid=z,iv=a", "No secret with id 'z'" },
        { "secret,id=x,data=a,keyid=k", "IV is required to decrypt secret" },
        { "secret,id=x,data=a,keyid=k,iv=YQ==", "Master key should be 32 bytes*" },
        { "secret,id=x,data=a,keyid=k32,iv=YQ==", "IV should be 16 bytes in length not 1" },
        { "secret,id=x,data=a,keyid=k32,iv=ICEiIyQlJicoKSorLC0uLw==", "Length of ciphertext*" },
        { "secret,id=x,data=aaaaaaaaaaaaaaaa,keyid=k32,iv=ICEiIyQlJicoKSorLC0uLw==", "Incorrect number of padding*" },
        { "secret,id=k,data=a", "attempt to add duplicate property 'k' to object" },
        { "secret,id=x,data=a,foo=1", "*foo*" },
    };
    g_autoptr(CryptoObjects) s = crypto_objects_new();
    size_t len;

    check(s, "secret,id=k,data=YQ==", "k", "YQ==");
    check(s, "secret,id=k32,data=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "k32",
          "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_false(crypto_objects_add(s, bad[i].text, &error));
        if (!g_pattern_match_simple(bad[i].want, error->message))
            g_error("%s: '%s', not '%s'", bad[i].text, error->message, bad[i].want);
        g_assert_null(crypto_secret(s, "x", &len, NULL));
    }
    g_autoptr(GError) error = NULL;
    g_assert_null(crypto_secret(NULL, "x", &len, &error));
    g_assert_cmpstr(error->message, ==, "No secret with id 'x'");
    g_clear_error(&error);
    g_assert_true(crypto_objects_add(s, "secret,id=bin,data=/w==,format=base64", NULL));
    g_assert_nonnull(crypto_secret(s, "bin", &len, NULL));
    g_assert_null(crypto_secret_text(s, "bin", &len, &error));
    g_assert_cmpstr(error->message, ==, "Data from secret bin is not valid UTF-8");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/crypto/secret/kinds", test_kinds);
    g_test_add_func("/crypto/secret/refusals", test_refusals);
    return g_test_run();
}
