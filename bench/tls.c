/* SPDX-License-Identifier: MIT */
/*
 * TLS of lib/crypto beside a bare loop over gnutls_record_send and gnutls_record_recv: data through
 * a socket pair from one thread to another, in turns, medians of MB/s and of CPU seconds, and
 * ratios.
 *   make o/rel/bench/tls && o/rel/bench/tls [MIB [RUNS [BYTES A WRITE]]]
 */
#include "crypto/tls.h"

#include <gnutls/gnutls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_RUNS = 32 };

typedef struct {
    bool bare;
    int fds[2];
    CryptoTls *tls[2];
    gnutls_session_t session[2];
    size_t total, chunk;
} Bench;

typedef struct {
    double rate, cpu;
} Result;

static void check(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "tls: %s\n", what);
    exit(1);
}

static void *shake(void *opaque)
{
    Bench *b = opaque;
    int e;

    if (b->bare)
        while ((e = gnutls_handshake(b->session[0])) < 0 && !gnutls_error_is_fatal(e))
            ;
    else
        e = crypto_tls_handshake(b->tls[0], 10000, NULL) ? 0 : -1;
    check(!e, "handshake");
    return NULL;
}

static void *send_all(void *opaque)
{
    Bench *b = opaque;
    g_autofree uint8_t *buf = g_malloc0(b->chunk);

    for (size_t at = 0; at < b->total; at += b->chunk) {
        size_t n = b->chunk;
        if (!b->bare) {
            check(crypto_tls_write(b->tls[0], buf, n) == (ssize_t)n, "write");
            continue;
        }
        for (size_t done = 0; done < n;) {
            ssize_t sent = gnutls_record_send(b->session[0], buf + done, n - done);
            check(sent > 0, "gnutls_record_send");
            done += (size_t)sent;
        }
    }
    return NULL;
}

static double cpu(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static Result move(Bench *b)
{
    g_autofree uint8_t *buf = g_malloc(b->chunk);
    double cpu_before = cpu();
    gint64 begin = g_get_monotonic_time();
    GThread *thread = g_thread_new("send", send_all, b);

    for (size_t at = 0; at < b->total;) {
        ssize_t n = b->bare ? gnutls_record_recv(b->session[1], buf, b->chunk)
                            : crypto_tls_read(b->tls[1], buf, b->chunk);
        check(n > 0, "read");
        at += (size_t)n;
    }
    g_thread_join(thread);
    return (Result){ (double)b->total / (double)(g_get_monotonic_time() - begin),
                     cpu() - cpu_before };
}

static Result run_ours(Bench *b, const CryptoObjects *objects)
{
    CryptoTlsParty server = { .server = true }, client = { 0 };

    b->bare = false;
    b->tls[0] = crypto_tls_new(crypto_tls_creds(objects, "s", true, NULL), &server, b->fds[0],
                               NULL);
    b->tls[1] = crypto_tls_new(crypto_tls_creds(objects, "c", false, NULL), &client, b->fds[1],
                               NULL);
    GThread *thread = g_thread_new("shake", shake, b);
    check(crypto_tls_handshake(b->tls[1], 10000, NULL), "handshake");
    g_thread_join(thread);
    Result r = move(b);
    crypto_tls_free(b->tls[0]);
    crypto_tls_free(b->tls[1]);
    return r;
}

static Result run_bare(Bench *b, const char *keys)
{
    static const gnutls_datum_t key = { (unsigned char *)"00112233445566778899aabbccddeeff", 32 };
    const char *priority = "NORMAL:-VERS-ALL:+VERS-TLS1.3:+ECDHE-PSK:+DHE-PSK:+PSK";
    gnutls_psk_server_credentials_t server;
    gnutls_psk_client_credentials_t client;
    int e;

    b->bare = true;
    gnutls_psk_allocate_server_credentials(&server);
    gnutls_psk_set_server_credentials_file(server, keys);
    gnutls_psk_allocate_client_credentials(&client);
    gnutls_psk_set_client_credentials(client, "qemu", &key, GNUTLS_PSK_KEY_HEX);
    for (int i = 0; i < 2; i++) {
        gnutls_init(&b->session[i], (i ? GNUTLS_CLIENT : GNUTLS_SERVER) | GNUTLS_NO_TICKETS);
        gnutls_priority_set_direct(b->session[i], priority, NULL);
        gnutls_credentials_set(b->session[i], GNUTLS_CRD_PSK, i ? (void *)client : (void *)server);
        gnutls_transport_set_int(b->session[i], b->fds[i]);
    }
    GThread *thread = g_thread_new("shake", shake, b);
    while ((e = gnutls_handshake(b->session[1])) < 0 && !gnutls_error_is_fatal(e))
        ;
    check(!e, "handshake");
    g_thread_join(thread);
    Result r = move(b);
    gnutls_deinit(b->session[0]);
    gnutls_deinit(b->session[1]);
    gnutls_psk_free_server_credentials(server);
    gnutls_psk_free_client_credentials(client);
    return r;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static double median(Result *r, unsigned n, bool of_cpu)
{
    double v[MAX_RUNS];

    for (unsigned i = 0; i < n; i++)
        v[i] = of_cpu ? r[i].cpu : r[i].rate;
    qsort(v, n, sizeof v[0], by_size);
    return v[n / 2];
}

int main(int argc, char **argv)
{
    Bench b = { .total = (size_t)(argc > 1 ? atoi(argv[1]) : 1024) << 20,
                .chunk = argc > 3 ? (size_t)atoi(argv[3]) : 256 << 10 };
    unsigned runs = argc > 2 ? (unsigned)atoi(argv[2]) : 3;
    g_autofree char *dir = g_dir_make_tmp("lathe-tls-XXXXXX", NULL);
    g_autofree char *keys = g_build_filename(dir, "keys.psk", NULL);
    g_autofree char *s = g_strdup_printf("tls-creds-psk,id=s,dir=%s,endpoint=server", dir);
    g_autofree char *c = g_strdup_printf("tls-creds-psk,id=c,dir=%s", dir);
    g_autoptr(CryptoObjects) objects = crypto_objects_new();
    Result ours[MAX_RUNS], bare[MAX_RUNS];

    check(b.total && b.chunk && b.total % b.chunk == 0 && runs && runs <= MAX_RUNS,
          "usage: tls [MIB [RUNS [BYTES A WRITE]]]");
    check(g_file_set_contents(keys, "qemu:00112233445566778899aabbccddeeff\n", -1, NULL) &&
          crypto_objects_add(objects, s, NULL) && crypto_objects_add(objects, c, NULL), "keys");
    for (unsigned i = 0; i < 2 * runs; i++) {
        check(!socketpair(AF_UNIX, SOCK_STREAM, 0, b.fds), "socketpair");
        if (i % 2)
            ours[i / 2] = run_ours(&b, objects);
        else
            bare[i / 2] = run_bare(&b, keys);
        close(b.fds[0]);
        close(b.fds[1]);
    }
    unlink(keys);
    rmdir(dir);
    double o = median(ours, runs, false), g = median(bare, runs, false);
    double oc = median(ours, runs, true), gc = median(bare, runs, true);
    printf("ours %.0f MB/s %.2f s CPU, gnutls %.0f MB/s %.2f s CPU: ratio %.2f, of CPU %.2f\n", o,
           oc, g, gc, o / g, oc / gc);
    return 0;
}
