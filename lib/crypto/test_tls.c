/* SPDX-License-Identifier: MIT */
/*
 * TLS: credentials that are good and bad in every way that is looked at, handshakes and what is
 * refused, data by blocking and non-blocking descriptors, and openssl as the other end. certtool
 * makes the certificates.
 */
#include "crypto/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static char *top; /* of all files; main owns it */

static void run(const char *command)
{
    int status;
    GError *error = NULL;
    const char *argv[] = { "sh", "-c", command, NULL };

    g_spawn_sync(top, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, &status,
                 &error);
    g_assert_no_error(error);
    if (status)
        g_error("%s: status %d", command, status);
}

/* A certificate NAME.pem with NAME.key, signed by CA or itself. */
static void make(const char *name, const char *ca, const char *template)
{
    g_autofree char *file = g_strdup_printf("%s/%s.tmpl", top, name);
    g_autofree char *by = ca ? g_strdup_printf("--generate-certificate --load-ca-certificate "
                                               "%s.pem --load-ca-privkey %s.key", ca, ca)
                             : g_strdup("--generate-self-signed");
    g_autofree char *command = g_strdup_printf(
        "{ certtool --generate-privkey --key-type ecdsa --outfile %s.key && certtool %s "
        "--load-privkey %s.key --template %s.tmpl --outfile %s.pem; } >log 2>&1 || "
        "{ cat log; false; }",
        name, by, name, name, name);

    g_assert_true(g_file_set_contents(file, template, -1, NULL));
    run(command);
}

#define OLD "activation_date=\"2020-01-01 00:00:00\"\nexpiration_date=\"2021-01-01 00:00:00\"\n"
#define SERVER                                                                 \
    "cn=localhost\ndns_name=localhost\nip_address=127.0.0.1\n" \
    "tls_www_server\nsigning_key\n"

static void make_all(void)
{
    make("ca", NULL, "cn=CA\nca\ncert_signing_key\ncrl_signing_key\n");
    make("ca2", NULL, "cn=CA2\nca\ncert_signing_key\n");
    make("ca-old", NULL, "cn=CA3\nca\ncert_signing_key\n" OLD);
    make("ca-not", NULL, "cn=CA4\n");
    make("ca-usage", NULL, "cn=CA5\nca\ncrl_signing_key\n");
    make("server", "ca", SERVER);
    make("server2", "ca2", SERVER);
    make("client", "ca", "cn=joe\norganization=Org\ntls_www_client\nsigning_key\n");
    make("client2", "ca2", "cn=joe\ntls_www_client\nsigning_key\n");
    make("both", "ca", "cn=localhost\ndns_name=localhost\nsigning_key\n");
    make("old", "ca", SERVER OLD);
    make("new", "ca", SERVER "activation_date=\"2090-01-01 00:00:00\"\n"
                             "expiration_date=\"2091-01-01 00:00:00\"\n");
    make("leaf-ca", "ca", "cn=localhost\nca\ncert_signing_key\n");
    make("usage", "ca", "cn=localhost\ntls_www_server\nnon_repudiation\n");
    /* certtool always adds the usages that the purpose needs */
    run("{ printf 'keyUsage=cRLSign\\nextendedKeyUsage=serverAuth\\n' >usage.ext && "
        "openssl req -new "
        "-key usage.key -subj /CN=localhost | openssl x509 -req -CA ca.pem -CAkey ca.key -days 5 "
        "-CAcreateserial -extfile usage.ext -out usage.pem; } 2>/dev/null");
    run("openssl pkcs8 -topk8 -in server.key -out locked.key -passout pass:sesame");
    run("echo 'crl_next_update=100\ncrl_number=1' >crl.tmpl; for c in server client; do certtool "
        "--generate-crl --load-ca-privkey ca.key --load-ca-certificate ca.pem --load-certificate "
        "$c.pem --template crl.tmpl --outfile $c.crl 2>/dev/null || exit 1; done");
    run("mkdir psk psk2 psk3; echo joe:00 >psk3/keys.psk; echo 'qemu:"
        "00112233445566778899aabbccddeeff\njoe:ffeeddcc00112233"
        "445566778899aabb' >psk/keys.psk; echo 'qemu:0123456789abcdef0123456789abcdef' "
        ">psk2/keys.psk");
}

/* A new directory of certificates: "ca-cert.pem=ca.pem ..." */
static char *dir(const char *files)
{
    static gint count;
    char *d = g_strdup_printf("%s/d%d", top, g_atomic_int_add(&count, 1));
    g_auto(GStrv) words = g_strsplit(files, " ", -1);

    g_assert_cmpint(g_mkdir(d, 0700), ==, 0);
    for (char **w = words; *w && **w; w++) {
        char *eq = strchr(*w, '=');
        *eq = 0;
        g_autofree char *command = g_strdup_printf("cp %s %s/%s", eq + 1, d, *w);
        run(command);
    }
    return d;
}

static void add(CryptoObjects *objects, const char *text)
{
    GError *error = NULL;

    crypto_objects_add(objects, text, &error);
    g_assert_no_error(error);
}

static void match(const char *pattern, const char *text, const char *what)
{
    if (!g_pattern_match_simple(pattern, text))
        g_error("%s: '%s', not '%s'", what, text, pattern);
}

/* ---- credentials ----------------------------------------------------------- */

static void test_files(void)
{
    static const struct {
        const char *files, *more, *want; /* want NULL: it is good */
    } cases[] = {
#define PAIR(name) "server-cert.pem=" name ".pem server-key.pem=" name ".key"
#define CLIENT(name) "client-cert.pem=" name ".pem client-key.pem=" name ".key"
#define CA "ca-cert.pem=ca.pem "
        { CA PAIR("server"), "server", NULL },
        { CA PAIR("both"), "server", NULL },
        { CA CLIENT("client"), "client", NULL },
        { "ca-cert.pem=ca.pem", "client", NULL },
        { CA "server-cert.pem=server.pem server-key.pem=locked.key", "server,passwordid=p", NULL },
        { CA "server-cert.pem=server.pem server-key.pem=locked.key", "server,passwordid=bad",
          "Cannot load certificate '*/server-cert.pem' & key '*/server-key.pem': *" },
        { CA "server-cert.pem=server.pem server-key.pem=locked.key", "server,passwordid=none",
          "No secret with id 'none'" },
        { "", "server", "Unable to access credentials */ca-cert.pem: No such file or directory" },
        { "ca-cert.pem=ca.pem", "server", "Unable to access credentials */server-cert.pem: *" },
        { CA "client-cert.pem=client.pem", "client",
          "Unable to access credentials */client-key.pem: *" },
        { "ca-cert.pem=ca-old.pem " PAIR("server"), "server",
          "The CA certificate */ca-cert.pem has expired" },
        { "ca-cert.pem=ca-not.pem " PAIR("server"), "server",
          "The certificate */ca-cert.pem basic constraints do not show a CA" },
        { "ca-cert.pem=ca-usage.pem " PAIR("server"), "server",
          "Certificate */ca-cert.pem usage does not permit certificate signing" },
        { "ca-cert.pem=ca2.pem " PAIR("server"), "server",
          "Our own certificate */server-cert.pem failed validation against */ca-cert.pem: "
          "The certificate hasn't got a known issuer" },
        { CA PAIR("old"), "server", "The server certificate */server-cert.pem has expired" },
        { CA PAIR("old"), "server,sanity-check=off", NULL },
        { CA PAIR("new"), "server", "The server certificate */server-cert.pem is not yet active" },
        { CA PAIR("leaf-ca"), "server", "The certificate */server-cert.pem basic constraints "
                                        "show a CA, but we need one for a server" },
        { CA PAIR("usage"), "server", "Certificate */server-cert.pem usage does not permit *" },
        { CA PAIR("client"), "server",
          "Certificate */server-cert.pem purpose does not allow use with a TLS server" },
        { CA CLIENT("server"), "client",
          "Certificate */client-cert.pem purpose does not allow use with a TLS client" },
        { CA "server-cert.pem=server.pem server-key.pem=client.key", "server",
          "Cannot load certificate '*' & key '*': *do not match*" },
        { "ca-cert.pem=ca.tmpl " PAIR("server"), "server", "Unable to import CA certificate *" },
        { CA "server-cert.pem=ca.tmpl server-key.pem=server.key", "server",
          "Unable to import server certificate */server-cert.pem: *" },
        { CA "ca-crl.pem=server.crl " PAIR("server"), "server",
          "Our own certificate * failed validation against *: The certificate has been revoked" },
        { CA "ca-crl.pem=ca.tmpl " PAIR("server"), "server", "*CRL '*/ca-crl.pem'*" },
        { CA "dh-params.pem=ca.tmpl " PAIR("server"), "server", "*/dh-params.pem: *" },
    };
    g_autoptr(CryptoObjects) o = crypto_objects_new();

    add(o, "secret,id=p,data=sesame");
    add(o, "secret,id=bad,data=open");
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *d = dir(cases[i].files);
        g_autofree char *text =
            g_strdup_printf("tls-creds-x509,id=t,dir=%s,endpoint=%s", d, cases[i].more);
        g_autoptr(GError) error = NULL;
        bool ok = crypto_objects_add(o, text, &error);
        match(cases[i].want ? cases[i].want : "good", ok ? "good" : error->message, text);
        g_assert_true(crypto_objects_remove(o, "t") == ok);
    }
}

static void test_options(void)
{
    static const struct {
        const char *text, *want;
    } bad[] = {
        { "tls-creds-x509,id=x,endpoint=server", "Missing 'dir' property value" },
        { "tls-creds-anon,id=x,endpoint=foo", "Parameter 'endpoint' does not accept value 'foo'" },
        { "tls-creds-anon,id=x,foo=1", "unknown option 'foo'*" },
        { "tls-creds-psk,id=x,dir=psk3", "Username qemu not found in PSK file psk3/keys.psk" },
        { "tls-creds-psk,id=x,dir=none", "Unable to access credentials none/keys.psk: *" },
        { "tls-creds-psk,id=x,dir=psk,endpoint=server,username=a", "username should not be set *" },
        { "authz-simple,id=x", "Parameter 'identity' is missing" },
        { "authz-list,id=x,policy=foo", "Parameter 'policy' does not accept value 'foo'" },
        { "authz-list,id=x,rules.0.match=a", "Parameter 'rules.0.policy' is missing" },
        { "authz-list,id=x,rules.1.match=a,rules.1.policy=deny", "unknown option *" },
        { "authz-list-file,id=x", "Parameter 'filename' is missing" },
        { "authz-list-file,id=x,filename=none", "Unable to read none: *" },
        { "rng-random,id=x", "Parameter 'qom-type' does not accept value 'rng-random'" },
    };
    g_autoptr(CryptoObjects) o = crypto_objects_new();

    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_false(crypto_objects_add(o, bad[i].text, &error));
        match(bad[i].want, error->message, bad[i].text);
    }
    add(o, "tls-creds-anon,id=c,endpoint=client");
    add(o, "secret,id=s,data=a");
    static const struct {
        const char *id, *want;
    } ids[] = { { "c", "Expected TLS credentials for a server endpoint" },
                { "s", "Object with id 's' is not TLS credentials" },
                { "n", "No TLS credentials with id 'n'" } };
    for (unsigned i = 0; i < G_N_ELEMENTS(ids); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(crypto_tls_creds(o, ids[i].id, true, &error));
        g_assert_cmpstr(error->message, ==, ids[i].want);
    }
    g_assert_null(crypto_authz(o, "c", NULL));
}

static void allowed(CryptoObjects *o, const char *id, const char *who, bool want)
{
    const CryptoAuthz *a = crypto_authz(o, id, NULL);

    g_assert_nonnull(a);
    if (crypto_authz_check(a, who, NULL) != want)
        g_error("%s: %s", id, who);
}

static void test_authz(void)
{
    static const char *const bad[] = {
        "", "[]", "{\"rules\":1}", "{\"policy\":\"foo\"}", "{\"rules\":[{\"match\":\"a\"}]}",
        "{\"rules\":[{\"match\":\"a\",\"policy\":\"allow\",\"format\":\"re\"}]}",
        "{\"rules\":[[]]}",
        "{\"x\":1}", "{\"rules\":[{\"match\":1,\"policy\":\"allow\"}]}", "{", "{\"rules\":[",
    };
    g_autoptr(CryptoObjects) o = crypto_objects_new();

    add(o, "authz-simple,id=s,identity=CN=joe,,O=Org");
    allowed(o, "s", "CN=joe,O=Org", true);
    allowed(o, "s", "CN=joe", false);
    add(o, "authz-list,id=l,policy=deny,rules.0.match=fred,rules.0.policy=allow,"
           "rules.1.match=danb,rules.1.policy=deny,rules.2.match=dan*,rules.2.policy=allow,"
           "rules.2.format=glob,rules.3.match=b*,rules.3.policy=allow,rules.3.format=exact");
    allowed(o, "l", "fred", true);
    allowed(o, "l", "danb", false);
    allowed(o, "l", "dana", true);
    allowed(o, "l", "bob", false);
    add(o, "authz-list,id=all,policy=allow");
    allowed(o, "all", "bob", true);
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_assert_true(g_file_set_contents("acl", bad[i], -1, NULL));
        if (crypto_objects_add(o, "authz-list-file,id=f,filename=acl", NULL))
            g_error("'%s' was taken", bad[i]);
    }
    g_assert_true(g_file_set_contents("acl", "{\"rules\":[{\"match\":\"a\",\"policy\":\"allow\"}],"
                                             "\"policy\":\"deny\"}", -1, NULL));
    add(o, "authz-list-file,id=f,filename=acl");
    add(o, "authz-listfile,id=g,filename=acl,refresh=off");
    allowed(o, "f", "a", true);
    allowed(o, "f", "b", false);
    g_assert_true(g_file_set_contents("acl", "{\"policy\":\"allow\"}", -1, NULL));
    allowed(o, "f", "b", true);
    allowed(o, "g", "b", false);
    g_assert_true(g_file_set_contents("acl", "{", -1, NULL));
    allowed(o, "f", "a", false);
}

/* ---- handshakes ------------------------------------------------------------ */

typedef struct {
    const char *server, *client; /* kind and keys without id and endpoint */
    const char *hostname, *authz;
    const char *server_says, *client_says; /* patterns; "" is success */
    const char *peer;                      /* whom the server sees */
} Case;

typedef struct {
    CryptoTls *tls;
    int fd;
    GThread *thread;
    char *says;
} End;

static void *shake(void *opaque)
{
    End *e = opaque;
    GError *error = NULL;

    crypto_tls_handshake(e->tls, 20000, &error);
    e->says = g_strdup(error ? error->message : "");
    if (error)
        shutdown(e->fd, SHUT_RDWR);
    g_clear_error(&error);
    return NULL;
}

static void connect_ends(End ends[2], const Case *c, CryptoObjects *o)
{
    int fds[2];
    g_autofree char *s = g_strdup_printf("%s,id=server,endpoint=server", c->server);
    g_autofree char *k = g_strdup_printf("%s,id=client,endpoint=client", c->client);
    GError *error = NULL;

    add(o, s);
    add(o, k);
    if (c->authz)
        add(o, c->authz);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
    for (int i = 0; i < 2; i++) {
        CryptoTlsCreds *creds = crypto_tls_creds(o, i ? "client" : "server", !i, &error);
        CryptoTlsParty party = { .server = !i, .hostname = i ? c->hostname : NULL };
        g_assert_no_error(error);
        if (!i && c->authz)
            party.authz = crypto_authz(o, "z", NULL);
        ends[i] = (End){ .fd = fds[i] };
        ends[i].tls = crypto_tls_new(creds, &party, fds[i], &error);
        g_assert_no_error(error);
        ends[i].thread = g_thread_new("shake", shake, &ends[i]);
    }
    for (int i = 0; i < 2; i++)
        g_thread_join(ends[i].thread);
}

static void free_ends(End ends[2])
{
    for (int i = 0; i < 2; i++) {
        crypto_tls_free(ends[i].tls);
        close(ends[i].fd);
        g_free(ends[i].says);
    }
}

static void test_handshakes(void)
{
    g_autofree char *s = dir(CA PAIR("server")), *c = dir(CA CLIENT("client"));
    g_autofree char *none = dir("ca-cert.pem=ca.pem"), *other = dir("ca-cert.pem=ca2.pem");
    g_autofree char *foreign = dir("ca-cert.pem=ca.pem " CLIENT("client2"));
    g_autofree char *crl = dir(CA "ca-crl.pem=client.crl " PAIR("server"));
    g_autofree char *client_crl = dir("ca-cert.pem=ca.pem ca-crl.pem=server.crl");
#define X(d) g_strdup_printf("tls-creds-x509,dir=%s", d)
    g_autofree char *xs = X(s), *xc = X(c), *xnone = X(none), *xother = X(other), *xcrl = X(crl);
    g_autofree char *xf = g_strdup_printf("tls-creds-x509,sanity-check=off,dir=%s", foreign);
    g_autofree char *open = g_strdup_printf("%s,verify-peer=off", xs), *xccrl = X(client_crl);
    g_autofree char *blind = g_strdup_printf("%s,verify-peer=off", xother);
    g_autofree char *old = g_strdup_printf("%s,priority=NORMAL:-VERS-ALL:+VERS-TLS1.2", xs);
    const char *fine = "authz-simple,id=z,identity=CN=joe,,O=Org";
    const char *psk = "tls-creds-psk,dir=psk", *joe = "tls-creds-psk,dir=psk,username=joe";
    const Case cases[] = {
        { xs, xc, "localhost", NULL, "", "", "*CN=joe*" },
        { old, xc, "localhost", NULL, "", "", "*CN=joe*" },
        { xs, xc, "127.0.0.1", NULL, "", "", "*CN=joe*" },
        { open, xnone, "localhost", NULL, "", "", NULL },
        { xs, xc, "example.org", NULL, "*", "Certificate does not match the hostname example.org",
          NULL },
        { xs, xc, NULL, NULL, "*", "No hostname for certificate validation", NULL },
        { open, xother, "localhost", NULL, "TLS handshake failed: *",
          "The certificate hasn't got a known issuer", NULL },
        { open, blind, NULL, NULL, "", "", NULL },
        { open, xccrl, "localhost", NULL, "TLS handshake failed: *",
          "The certificate has been revoked", NULL },
        { xcrl, xc, "localhost", NULL, "The certificate has been revoked", "*", NULL },
        { xs, xnone, "localhost", NULL, "?*", "*", NULL },
        { old, xf, "localhost", NULL, "?*", "TLS handshake failed: *", NULL },
        { xs, xc, "localhost", "authz-list,id=z,policy=allow", "", "", "*CN=joe*" },
        { old, xc, "localhost", "authz-simple,id=z,identity=CN=foo",
          "TLS authz check for *CN=joe*: * is denied", "TLS handshake failed: *denied*", NULL },
        { open, xnone, "localhost", fine, "the TLS client has not shown who it is*", "*", NULL },
        { psk, psk, NULL, NULL, "", "", "qemu" },
        { psk, joe, NULL, "authz-simple,id=z,identity=joe", "", "", "joe" },
        { psk, psk, NULL, "authz-simple,id=z,identity=joe", "TLS authz check for qemu: *", "*",
          NULL },
        { psk, "tls-creds-psk,dir=psk2", NULL, NULL, "TLS handshake failed: *",
          "TLS handshake failed: *", NULL },
        { psk, xc, "localhost", NULL, "TLS handshake failed: *", "TLS handshake failed: *", NULL },
        { "tls-creds-anon", "tls-creds-anon", NULL, NULL, "", "", NULL },
        { "tls-creds-anon", psk, NULL, NULL, "TLS handshake failed: *", "TLS handshake failed: *",
          NULL },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(CryptoObjects) o = crypto_objects_new();
        const Case *k = &cases[i];
        g_autofree char *what = g_strdup_printf("%u: %s to %s", i, k->client, k->server);
        End ends[2];
        connect_ends(ends, k, o);
        match(k->server_says, ends[0].says, what);
        match(k->client_says, ends[1].says, what);
        if (!*k->server_says && !*k->client_says) {
            const char *peer = crypto_tls_peer(ends[0].tls);
            g_assert_true(!peer == !k->peer);
            match(k->peer ? k->peer : "", peer ? peer : "", what);
        }
        free_ends(ends);
    }
}

/* A peer that speaks no TLS, one that hangs up and one that says nothing. */
static void test_strangers(void)
{
    g_autoptr(CryptoObjects) o = crypto_objects_new();
    static const struct {
        const char *text, *want;
    } cases[] = { { "GET / HTTP/1.0\r\n\r\n", "TLS handshake failed: ?*" },
                  { "", "TLS handshake failed: the peer has closed the connection" },
                  { NULL, "TLS handshake failed: Connection timed out" } };

    add(o, "tls-creds-anon,id=s,endpoint=server");
    for (unsigned i = 0; i < 2 * G_N_ELEMENTS(cases); i++) {
        int fds[2], k = (int)i / 2;
        g_autoptr(GError) error = NULL;
        CryptoTlsParty party = { .server = true };
        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | (i % 2 ? SOCK_NONBLOCK : 0), 0, fds), ==,
                        0);
        CryptoTls *t = crypto_tls_new(crypto_tls_creds(o, "s", true, NULL), &party, fds[0], NULL);
        if (cases[k].text) {
            size_t n = strlen(cases[k].text);
            g_assert_cmpint(write(fds[1], cases[k].text, n), ==, n);
            shutdown(fds[1], SHUT_WR);
        }
        g_assert_false(crypto_tls_handshake(t, 100, &error));
        match(cases[k].want, error->message, "stranger");
        crypto_tls_free(t);
        close(fds[0]);
        close(fds[1]);
    }
}

/* ---- data ------------------------------------------------------------------ */

enum { TOTAL = 20 << 20 };

typedef struct {
    End *end;
    uint32_t seed;
    bool bye;
} Mover;

static uint8_t byte_at(size_t i, uint32_t seed)
{
    return (uint8_t)((i * 2654435761u + seed) >> 13);
}

static void wait_for(int fd, short events)
{
    struct pollfd p = { .fd = fd, .events = events };

    g_assert_cmpint(poll(&p, 1, 20000), ==, 1);
}

/* Pieces of all sizes, several at once. */
static void *writer(void *opaque)
{
    Mover *m = opaque;
    g_autoptr(GRand) rand = g_rand_new_with_seed(m->seed);
    g_autofree uint8_t *data = g_malloc(TOTAL);
    int e;

    for (size_t i = 0; i < TOTAL; i++)
        data[i] = byte_at(i, m->seed);
    for (size_t at = 0; at < TOTAL;) {
        struct iovec iov[8];
        int count = g_rand_int_range(rand, 1, 9);
        size_t sum = 0;
        for (int i = 0; i < count; i++) {
            size_t most = g_rand_boolean(rand) ? 40 : g_rand_boolean(rand) ? 5000 : 300000;
            size_t n = (size_t)g_rand_int_range(rand, 0, (int)most);
            n = MIN(n, TOTAL - at - sum);
            iov[i] = (struct iovec){ data + at + sum, n };
            sum += n;
        }
        ssize_t n = crypto_tls_writev(m->end->tls, iov, count);
        if (n == -EAGAIN) {
            wait_for(m->end->fd, POLLOUT);
            continue;
        }
        g_assert_cmpint(n, >=, sum ? 1 : 0);
        if (!(fcntl(m->end->fd, F_GETFL) & O_NONBLOCK))
            g_assert_cmpint(n, ==, sum);
        at += (size_t)n;
    }
    while ((e = crypto_tls_flush(m->end->tls)) == -EAGAIN)
        wait_for(m->end->fd, POLLOUT);
    g_assert_cmpint(e, ==, 0);
    g_assert_false(crypto_tls_unsent(m->end->tls));
    if (m->bye)
        while ((e = crypto_tls_bye(m->end->tls)) == -EAGAIN)
            wait_for(m->end->fd, POLLOUT);
    shutdown(m->end->fd, SHUT_WR);
    return NULL;
}

static void *reader(void *opaque)
{
    Mover *m = opaque;
    g_autoptr(GRand) rand = g_rand_new_with_seed(m->seed + 1);
    g_autofree uint8_t *buf = g_malloc(300000);
    size_t at = 0;
    ssize_t n;

    for (;;) {
        bool pending = crypto_tls_pending(m->end->tls);
        n = crypto_tls_read(m->end->tls, buf, (size_t)g_rand_int_range(rand, 1, 300000));
        if (n == -EAGAIN) {
            g_assert_false(pending);
            wait_for(m->end->fd, POLLIN);
            continue;
        }
        if (n <= 0)
            break;
        for (ssize_t i = 0; i < n; i++, at++)
            g_assert_cmpint(buf[i], ==, byte_at(at, m->seed));
    }
    g_assert_cmpint(at, ==, TOTAL);
    g_assert_cmpint(n, ==, m->bye ? 0 : -ECONNRESET);
    g_assert_cmpint(crypto_tls_read(m->end->tls, buf, 1), ==, n);
    return NULL;
}

/* Both directions at once: on each end one thread reads while another writes. */
static void test_data(gconstpointer opaque)
{
    int mode = GPOINTER_TO_INT(opaque);
    g_autoptr(CryptoObjects) o = crypto_objects_new();
    const Case c = { .server = mode & 2 ? "tls-creds-anon" : "tls-creds-psk,dir=psk",
                     .client = mode & 2 ? "tls-creds-anon" : "tls-creds-psk,dir=psk" };
    End ends[2];
    Mover to[2];
    GThread *threads[4];

    connect_ends(ends, &c, o);
    g_assert_cmpstr(ends[0].says, ==, "");
    g_assert_cmpstr(ends[1].says, ==, "");
    for (int i = 0; i < 2; i++) {
        int flags = fcntl(ends[i].fd, F_GETFL);
        fcntl(ends[i].fd, F_SETFL, mode & 1 ? flags | O_NONBLOCK : flags);
        to[i] = (Mover){ &ends[i], 7, mode != 3 };
    }
    /* after a cut nothing goes the other way either, so there is one direction */
    for (int i = 0; i < (mode == 3 ? 2 : 4); i++)
        threads[i] = g_thread_new("mover", i % 2 ? reader : writer, &to[(i / 2) ^ (i % 2)]);
    for (int i = 0; i < (mode == 3 ? 2 : 4); i++)
        g_thread_join(threads[i]);
    free_ends(ends);
}

/* What is changed on its way is noticed, and a peer that is gone is told by -EPIPE. */
static void test_tampered(void)
{
    g_autoptr(CryptoObjects) o = crypto_objects_new();
    const Case c = { .server = "tls-creds-psk,dir=psk", .client = "tls-creds-psk,dir=psk" };
    static const uint8_t fake[] = { 23, 3, 3, 0, 32, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
                                    15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30,
                                    31, 32 };
    End ends[2];
    char buf[100];

    connect_ends(ends, &c, o);
    g_assert_cmpint(write(ends[1].fd, fake, sizeof fake), ==, sizeof fake);
    g_assert_cmpint(crypto_tls_read(ends[0].tls, buf, sizeof buf), ==, -EBADMSG);
    close(ends[0].fd);
    ends[0].fd = -1;
    g_assert_cmpint(crypto_tls_write(ends[1].tls, buf, sizeof buf), ==, -EPIPE);
    free_ends(ends);
}

/* ---- openssl --------------------------------------------------------------- */

static GPid start(const char *const *argv, int in, int out)
{
    GPid pid;
    GError *error = NULL;

    g_spawn_async_with_fds(top, (char **)argv, NULL,
                           G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &pid, in,
                           out, -1, &error);
    g_assert_no_error(error);
    return pid;
}

/* s_client and s_server do not take a descriptor, so one listens at a path. */
static void test_openssl(gconstpointer opaque)
{
    bool server = GPOINTER_TO_INT(opaque); /* we are */
    g_autoptr(CryptoObjects) o = crypto_objects_new();
    g_autofree char *d = dir(CA PAIR("server") " " CLIENT("client"));
    g_autofree char *text = g_strdup_printf("tls-creds-x509,id=t,dir=%s,endpoint=%s", d,
                                            server ? "server" : "client");
    static const char *const s_client[] = { "openssl", "s_client", "-unix", "ossl", "-quiet",
                                            "-cert", "client.pem", "-key", "client.key", "-CAfile",
                                            "ca.pem", "-verify_return_error", NULL };
    static const char *const s_server[] = { "openssl", "s_server", "-unix", "ossl", "-quiet",
                                            "-cert", "server.pem", "-key", "server.key", "-CAfile",
                                            "ca.pem", "-Verify", "1", "-rev", NULL };
    struct sockaddr_un a = { AF_UNIX, "ossl" };
    int in[2], out[2], fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    GError *error = NULL;
    char buf[100] = { 0 };

    add(o, text);
    unlink("ossl");
    g_assert_cmpint(pipe2(in, O_CLOEXEC), ==, 0);
    g_assert_cmpint(pipe2(out, O_CLOEXEC), ==, 0);
    if (server) {
        g_assert_cmpint(bind(fd, (struct sockaddr *)&a, sizeof a), ==, 0);
        g_assert_cmpint(listen(fd, 1), ==, 0);
    }
    GPid pid = start(server ? s_client : s_server, in[0], out[1]);
    if (server) {
        int peer = accept(fd, NULL, NULL);
        close(fd);
        fd = peer;
    }
    for (int i = 0; !server && connect(fd, (struct sockaddr *)&a, sizeof a); i++) {
        g_assert_cmpint(i, <, 2000);
        g_usleep(10000);
    }
    CryptoTlsParty party = { .server = server, .hostname = server ? NULL : "localhost" };
    CryptoTlsCreds *creds = crypto_tls_creds(o, "t", server, &error);
    g_assert_no_error(error);
    CryptoTls *t = crypto_tls_new(creds, &party, fd, &error);
    g_assert_no_error(error);
    crypto_tls_handshake(t, 20000, &error);
    g_assert_no_error(error);
    match(server ? "*CN=joe*" : "*CN=localhost*", crypto_tls_peer(t), "peer");
    if (server)
        g_assert_cmpint(write(in[1], "olleh\n", 6), ==, 6);
    else
        g_assert_cmpint(crypto_tls_write(t, "hello\n", 6), ==, 6);
    for (size_t n = 0; n < 6;) {
        ssize_t got = crypto_tls_read(t, buf + n, sizeof buf - 1 - n);
        g_assert_cmpint(got, >, 0);
        n += (size_t)got;
    }
    g_assert_cmpstr(buf, ==, "olleh\n");
    if (server) {
        g_assert_cmpint(crypto_tls_write(t, "to you\n", 7), ==, 7);
        g_assert_cmpint(read(out[0], buf, 7), ==, 7);
        g_assert_cmpmem(buf, 7, "to you\n", 7);
    }
    g_assert_cmpint(crypto_tls_bye(t), ==, 0);
    crypto_tls_free(t);
    close(fd);
    kill(pid, SIGKILL);
    for (int i = 0; i < 2; i++) {
        close(in[i]);
        close(out[i]);
    }
    g_spawn_close_pid(pid);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    top = g_dir_make_tmp("lathe-tls-XXXXXX", NULL);
    make_all();
    g_assert_cmpint(g_chdir(top), ==, 0);
    g_test_add_func("/crypto/tls/files", test_files);
    g_test_add_func("/crypto/tls/authz", test_authz);
    g_test_add_func("/crypto/tls/handshakes", test_handshakes);
    g_test_add_func("/crypto/tls/strangers", test_strangers);
    g_test_add_data_func("/crypto/tls/data/blocking", GINT_TO_POINTER(0), test_data);
    g_test_add_data_func("/crypto/tls/data/nonblocking", GINT_TO_POINTER(1), test_data);
    g_test_add_data_func("/crypto/tls/data/tls12", GINT_TO_POINTER(2), test_data);
    g_test_add_data_func("/crypto/tls/data/cut", GINT_TO_POINTER(3), test_data);
    g_test_add_func("/crypto/tls/tampered", test_tampered);
    g_test_add_data_func("/crypto/tls/openssl/server", GINT_TO_POINTER(1), test_openssl);
    g_test_add_data_func("/crypto/tls/openssl/client", GINT_TO_POINTER(0), test_openssl);
    g_test_add_func("/crypto/tls/options", test_options);
    int status = g_test_run();
    run("rm -r \"$PWD\"");
    g_free(top);
    return status;
}
