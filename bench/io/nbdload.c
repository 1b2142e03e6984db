/* SPDX-License-Identifier: MIT */
/*
 * Load on an NBD server, to measure servers beside each other: a small client of its own, so that what
 * is measured is the server. One thread a connection, each keeps DEPTH requests in flight, structured
 * replies where the server has them.
 *
 *   nbdload unix:PATH|tcp:HOST:PORT read|write|randread|randwrite BYTES DEPTH CONNECTIONS SECONDS [PSKFILE]
 *
 * Prints operations a second and MiB a second. With PSKFILE (user:hexkey) it goes over TLS.
 * "echo:unix" and "echo:tcp" instead of an address measure a bare pair of such sockets: the other end
 * answers each request from memory; with PSKFILE that is a bare gnutls loop. "echo:tcp:FILE" answers with
 * that file's bytes, or writes to it: what is left when a server does nothing but its work.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER = 256 << 10, HEAD = 28 };

typedef struct {
    int fd;
    gnutls_session_t tls;
    pthread_t thread;
    uint64_t size, at, seed, ops;
    uint8_t *in, *data, *out;
    size_t have, start, out_len;
    bool structured;
} Conn;

static const char *address, *psk_user;
static gnutls_datum_t psk_key;
static bool writes, randomly;
static size_t bytes;
static unsigned depth;
static double seconds;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *what)
{
    fprintf(stderr, "nbdload: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void put_all(Conn *c, const void *p, size_t n)
{
    for (const uint8_t *b = p; n;) {
        ssize_t r = c->tls ? gnutls_record_send(c->tls, b, n) : send(c->fd, b, n, MSG_NOSIGNAL);
        if (r <= 0)
            die("send");
        b += r;
        n -= (size_t)r;
    }
}

static size_t get_some(Conn *c, void *p, size_t n)
{
    ssize_t r = c->tls ? gnutls_record_recv(c->tls, p, n) : recv(c->fd, p, n, 0);
    if (r <= 0)
        die("receive");
    return (size_t)r;
}

/* n bytes: from what was read ahead, the rest right to its place. */
static void get_all(Conn *c, void *p, size_t n)
{
    uint8_t *b = p;
    while (n) {
        size_t part = c->have - c->start < n ? c->have - c->start : n;
        if (part) {
            memcpy(b, c->in + c->start, part);
            c->start += part;
        } else if (n >= BUFFER / 4) {
            part = get_some(c, b, n);
        } else {
            c->start = 0;
            c->have = get_some(c, c->in, bytes > 65536 ? 4096 : BUFFER);
        }
        b += part;
        n -= part;
    }
}

static void be32(uint8_t *p, uint32_t v)
{
    v = htobe32(v);
    memcpy(p, &v, 4);
}

static void be64(uint8_t *p, uint64_t v)
{
    v = htobe64(v);
    memcpy(p, &v, 8);
}

static uint32_t rd32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return be32toh(v);
}

static uint64_t rd64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, 8);
    return be64toh(v);
}

static void option(Conn *c, uint32_t what, const void *data, uint32_t len)
{
    uint8_t h[16];
    be64(h, UINT64_C(0x49484156454f5054));
    be32(h + 8, what);
    be32(h + 12, len);
    put_all(c, h, 16);
    if (len)
        put_all(c, data, len);
}

/* The answer's type; its data goes to data. */
static uint32_t answer(Conn *c, uint8_t *data, uint32_t *len)
{
    uint8_t h[20];
    get_all(c, h, 20);
    *len = rd32(h + 16);
    if (*len > 4096)
        die("an answer");
    get_all(c, data, *len);
    return rd32(h + 12);
}

static void start_tls(Conn *c, bool server);

static void handshake(Conn *c)
{
    uint8_t b[4096] = { 0 };
    uint32_t len, type;
    get_all(c, b, 18);
    be32(b, 3);
    put_all(c, b, 4);
    if (psk_user) {
        option(c, 5, NULL, 0);
        if (answer(c, b, &len) != 1)
            die("starttls");
        start_tls(c, false);
    }
    option(c, 8, NULL, 0);
    c->structured = answer(c, b, &len) == 1;
    memset(b, 0, 6);
    option(c, 7, b, 6);
    while ((type = answer(c, b, &len)) == 3)
        if (!b[0] && !b[1])
            c->size = rd64(b + 2);
    if (type != 1)
        die("go");
}

static int dial(void)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    int fd = -1, on = 1;
    if (!strncmp(address, "unix:", 5)) {
        strncpy(un.sun_path, address + 5, sizeof un.sun_path - 1);
        fd = socket(AF_UNIX, SOCK_STREAM, 0);
        if (connect(fd, (struct sockaddr *)&un, sizeof un))
            die(address);
        return fd;
    }
    char *host = strdup(address + 4), *colon = strrchr(host, ':');
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list;
    *colon = 0;
    if (getaddrinfo(host, colon + 1, &hints, &list))
        die(address);
    fd = socket(list->ai_family, SOCK_STREAM, 0);
    if (connect(fd, list->ai_addr, list->ai_addrlen))
        die(address);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

/* ---- TLS ------------------------------------------------------------------- */

static int find_key(gnutls_session_t s, const char *user, gnutls_datum_t *key)
{
    key->data = gnutls_malloc(psk_key.size);
    memcpy(key->data, psk_key.data, psk_key.size);
    key->size = psk_key.size;
    return 0;
}

static void start_tls(Conn *c, bool server)
{
    gnutls_init(&c->tls, server ? GNUTLS_SERVER : GNUTLS_CLIENT);
    if (server) {
        gnutls_psk_server_credentials_t cred;
        gnutls_psk_allocate_server_credentials(&cred);
        gnutls_psk_set_server_credentials_function(cred, find_key);
        gnutls_credentials_set(c->tls, GNUTLS_CRD_PSK, cred);
    } else {
        gnutls_psk_client_credentials_t cred;
        gnutls_psk_allocate_client_credentials(&cred);
        gnutls_psk_set_client_credentials(cred, psk_user, &psk_key, GNUTLS_PSK_KEY_RAW);
        gnutls_credentials_set(c->tls, GNUTLS_CRD_PSK, cred);
    }
    /* the bare loop with the quickest cipher there is; a client takes what the server prefers */
    const char *plain = strncmp(address, "echo", 4) ? "" : ":-CHACHA20-POLY1305";
    char priority[128];
    snprintf(priority, sizeof priority, "NORMAL:+ECDHE-PSK:+DHE-PSK:+PSK%s", plain);
    gnutls_priority_set_direct(c->tls, priority, NULL);
    gnutls_transport_set_int(c->tls, c->fd);
    if (gnutls_handshake(c->tls) < 0)
        die("TLS handshake");
}

static void read_psk(const char *file)
{
    char line[512] = "";
    FILE *f = fopen(file, "r");
    if (!f || !fgets(line, sizeof line, f))
        die(file);
    fclose(f);
    char *colon = strchr(line, ':');
    *colon = 0;
    psk_user = strdup(line);
    psk_key.data = malloc(256);
    for (char *p = colon + 1; sscanf(p, "%2hhx", psk_key.data + psk_key.size) == 1; p += 2)
        psk_key.size++;
}

/* ---- The load -------------------------------------------------------------- */

static void ask(Conn *c, uint64_t cookie)
{
    uint8_t *h = c->out + c->out_len;
    uint64_t blocks = c->size / bytes;
    c->seed = c->seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
    uint64_t block = randomly ? (c->seed >> 20) % blocks : c->at++ % blocks;
    be32(h, 0x25609513);
    be32(h + 4, writes);
    be64(h + 8, cookie);
    be64(h + 16, block * bytes);
    be32(h + 24, (uint32_t)bytes);
    c->out_len += HEAD;
    if (writes) {
        memcpy(h + HEAD, c->data, bytes);
        c->out_len += bytes;
    }
}

static uint64_t finish_one(Conn *c)
{
    uint8_t h[32];
    for (;;) {
        get_all(c, h, 16);
        if (rd32(h) == 0x67446698) {
            if (rd32(h + 4))
                die("the server answers with an error");
            if (!writes)
                get_all(c, c->data, bytes);
            return rd64(h + 8);
        }
        bool last = h[5] & 1;
        unsigned type = (unsigned)h[6] << 8 | h[7];
        get_all(c, h + 16, 4);
        size_t len = rd32(h + 16);
        if (type & 0x8000)
            die("the server answers with an error");
        if (type == 1) {
            uint8_t at[8];
            get_all(c, at, 8);
            len -= 8;
        }
        get_all(c, c->data, len);
        if (last)
            return rd64(h + 8);
    }
}

static void *run(void *opaque)
{
    Conn *c = opaque;
    double end = now() + seconds;
    for (unsigned i = 0; i < depth; i++)
        ask(c, i);
    put_all(c, c->out, c->out_len);
    c->out_len = 0;
    for (unsigned n = 0; n % 16 || now() < end; n++) {
        ask(c, finish_one(c));
        c->ops++;
        /* sent when nothing more is here */
        if (c->have == c->start || c->out_len > BUFFER) {
            put_all(c, c->out, c->out_len);
            c->out_len = 0;
        }
    }
    put_all(c, c->out, c->out_len);
    for (unsigned i = 0; i < depth; i++)
        finish_one(c);
    uint8_t bye[HEAD] = { 0x25, 0x60, 0x95, 0x13, 0, 0, 0, 2 };
    if (strncmp(address, "echo", 4))
        put_all(c, bye, HEAD);
    return NULL;
}

/* echo:KIND:FILE's file, or -1 */
static int echo_file(off_t *size)
{
    const char *name = strchr(address + 5, ':');
    struct stat st;
    int fd = name ? open(name + 1, writes ? O_RDWR : O_RDONLY) : -1;
    if (name && (fd < 0 || fstat(fd, &st)))
        die(name + 1);
    *size = name ? st.st_size : 1 << 30;
    return fd;
}

static void *echo(void *opaque)
{
    Conn *c = opaque;
    uint8_t *in = malloc(BUFFER + bytes + HEAD), *out = calloc(1, BUFFER + bytes + 64);
    off_t size;
    int file = echo_file(&size);
    size_t have = 0, unit = HEAD + (writes ? bytes : 0), reply = writes ? 16 : 16 + bytes;
    if (psk_user)
        start_tls(c, true);
    for (;;) {
        ssize_t r = c->tls ? gnutls_record_recv(c->tls, in + have, BUFFER + bytes + HEAD - have)
                           : recv(c->fd, in + have, BUFFER + bytes + HEAD - have, 0);
        if (r <= 0)
            return NULL;
        have += (size_t)r;
        size_t used = 0, len = 0;
        for (; have - used >= unit; used += unit) {
            be32(out + len, 0x67446698);
            memset(out + len + 4, 0, 4);
            memcpy(out + len + 8, in + used + 8, 8);
            uint64_t at;
            memcpy(&at, in + used + 16, 8);
            if (file >= 0 && (writes ? pwrite(file, in + used + HEAD, bytes, (off_t)be64toh(at))
                                     : pread(file, out + len + 16, bytes, (off_t)be64toh(at))) != (ssize_t)bytes)
                die("the file");
            len += reply;
            if (len > BUFFER) {
                put_all(c, out, len);
                len = 0;
            }
        }
        if (len)
            put_all(c, out, len);
        memmove(in, in + used, have - used);
        have -= used;
    }
}

/* Two connected TCP sockets of this machine. */
static void tcp_pair(int fds[2])
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof at;
    int on = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    fds[0] = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&at, len) || listen(listener, 1) ||
        getsockname(listener, (struct sockaddr *)&at, &len) || connect(fds[0], (struct sockaddr *)&at, len))
        die("a pair of TCP sockets");
    fds[1] = accept(listener, NULL, NULL);
    close(listener);
    for (int i = 0; i < 2; i++)
        setsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static void open_echo(Conn *c)
{
    Conn *other = calloc(1, sizeof *other);
    int fds[2];
    off_t size;
    if (!strncmp(address, "echo:tcp", 8))
        tcp_pair(fds);
    else if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds))
        die("socketpair");
    c->fd = fds[0];
    other->fd = fds[1];
    int file = echo_file(&size);
    if (file >= 0)
        close(file);
    c->size = (uint64_t)size;
    pthread_create(&other->thread, NULL, echo, other);
    if (psk_user)
        start_tls(c, false);
}

int main(int argc, char **argv)
{
    if (argc < 7)
        return fprintf(stderr, "usage: see the head of the source\n"), 2;
    address = argv[1];
    writes = strstr(argv[2], "write");
    randomly = !strncmp(argv[2], "rand", 4);
    bytes = strtoul(argv[3], NULL, 0);
    depth = (unsigned)strtoul(argv[4], NULL, 0);
    unsigned n = (unsigned)strtoul(argv[5], NULL, 0);
    seconds = atof(argv[6]);
    if (argc > 7)
        read_psk(argv[7]);
    Conn *conns = calloc(n, sizeof *conns);
    for (unsigned i = 0; i < n; i++) {
        Conn *c = &conns[i];
        c->in = malloc(BUFFER);
        c->data = malloc(bytes);
        memset(c->data, 0x5a, bytes);
        c->out = malloc((bytes + HEAD) * (depth + 2) + 2 * BUFFER);
        c->seed = i + 1;
        if (!strncmp(address, "echo", 4)) {
            open_echo(c);
            continue;
        }
        c->fd = dial();
        handshake(c);
        c->at = c->size / bytes / n * i;
    }
    double begin = now();
    for (unsigned i = 0; i < n; i++)
        pthread_create(&conns[i].thread, NULL, run, &conns[i]);
    uint64_t ops = 0;
    for (unsigned i = 0; i < n; i++) {
        pthread_join(conns[i].thread, NULL);
        ops += conns[i].ops;
    }
    double rate = (double)ops / (now() - begin);
    printf("%.0f %.1f\n", rate, rate * (double)bytes / (1 << 20));
    return 0;
}
