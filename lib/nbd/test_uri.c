/* SPDX-License-Identifier: MIT */
/* NBD URIs: what each says, and that what is written is read as the same again. */
#include "nbd/nbd.h"

static void check(const char *text, const char *again, int transport, bool tls, const char *host,
                  const char *port, const char *socket, const char *name)
{
    NbdUri u;
    GError *error = NULL;
    g_assert_true(nbd_is_uri(text));
    nbd_uri_parse(text, &u, &error);
    g_assert_no_error(error);
    g_assert_cmpint(u.transport, ==, transport);
    g_assert_true(u.tls == tls);
    g_assert_cmpstr(u.host, ==, host);
    g_assert_cmpstr(u.port, ==, port);
    g_assert_cmpstr(u.socket, ==, socket);
    g_assert_cmpstr(u.name, ==, name);
    g_autofree char *out = nbd_uri_text(&u);
    g_assert_cmpstr(out, ==, again);
    nbd_uri_clear(&u);
}

static void test_read(void)
{
    check("nbd://host", "nbd://host", NBD_URI_TCP, false, "host", "10809", NULL, "");
    check("nbd://host/", "nbd://host", NBD_URI_TCP, false, "host", "10809", NULL, "");
    check("nbd+tcp://[::1]:11/a%20b/c", "nbd://[::1]:11/a%20b/c", NBD_URI_TCP, false, "::1", "11",
          NULL, "a b/c");
    check("nbds://h:10809//x", "nbds://h//x", NBD_URI_TCP, true, "h", "10809", NULL, "/x");
    check("nbd+unix:///?socket=/run/s%3f1", "nbd+unix:///?socket=/run/s%3F1", NBD_URI_UNIX, false,
          NULL, NULL, "/run/s?1", "");
    check("nbd+unix:///name?socket=a&other=1", "nbd+unix:///name?socket=a", NBD_URI_UNIX, false,
          NULL, NULL, "a", "name");
    check("nbds+vsock://3:99/e", "nbds+vsock://3:99/e", NBD_URI_VSOCK, true, "3", "99", NULL, "e");
}

static void test_tls_keys(void)
{
    NbdUri u;
    GError *error = NULL;
    nbd_uri_parse("nbds+unix://psk1@/?socket=/s&tls-psk-file=/k.psk&tls-hostname=h", &u, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(u.user, ==, "psk1");
    g_assert_cmpstr(u.psk_file, ==, "/k.psk");
    g_assert_cmpstr(u.hostname, ==, "h");
    nbd_uri_clear(&u);
}

static void test_wrong(void)
{
    static const char *const wrong[] = { "nbd+unix:///x",     "nbd+unix://host/?socket=s",
                                         "nbd://h?socket=x",  "nbd+vsock:///",
                                         "nbd://h:99999999/", "nbd+unix:///?socket=" };
    g_assert_false(nbd_is_uri("nbd:host:10809"));
    g_assert_false(nbd_is_uri("nbdx://host"));
    for (unsigned i = 0; i < G_N_ELEMENTS(wrong); i++) {
        NbdUri u;
        g_autoptr(GError) error = NULL;
        g_assert_false(nbd_uri_parse(wrong[i], &u, &error));
        g_assert_nonnull(error);
        nbd_uri_clear(&u);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/nbd/uri/read", test_read);
    g_test_add_func("/nbd/uri/tls-keys", test_tls_keys);
    g_test_add_func("/nbd/uri/wrong", test_wrong);
    return g_test_run();
}
