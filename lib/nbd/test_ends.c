/* SPDX-License-Identifier: MIT */
/*
 * Handshake and transmission, both ends against each other, with every combination of what can be
 * agreed on, and bytes arriving in pieces of any length; and wire bytes written by hand from the
 * specification against each end.
 */
#include "nbd/test_ends.h"

#include "base/bytes.h"

#include <errno.h>

enum { DISK = 1 << 20 };

typedef struct {
    NbdServer *server;
    NbdClient *client;
    GByteArray *up, *down; /* client to server, server to client */
    uint8_t disk[DISK];
    NbdRequest asked[4];   /* by cookie */
    uint8_t got[4][1 << 17];
    unsigned open;
} Ends;

static const char *const contexts[] = { NBD_CONTEXT_ALLOCATION, NBD_CONTEXT_BITMAP "b0", NULL };
static const NbdExport exports[] = {
    { .name = "", .size = DISK, .minimum = 1, .preferred = 4096, .maximum = NBD_MAX_PAYLOAD,
      .flags = NBD_FLAG_SEND_FLUSH | NBD_FLAG_SEND_FUA | NBD_FLAG_SEND_WRITE_ZEROES, .contexts = contexts },
    { .name = "ro", .description = "a disk", .size = 512, .flags = NBD_FLAG_READ_ONLY },
};

static const NbdExport *nth(void *opaque, unsigned i)
{
    return i < G_N_ELEMENTS(exports) ? &exports[i] : NULL;
}

static const NbdExport *find_export(void *opaque, const char *name)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(exports); i++)
        if (!strcmp(exports[i].name, name))
            return &exports[i];
    return NULL;
}

static const NbdRequest *find(void *opaque, uint64_t cookie)
{
    Ends *e = opaque;
    return cookie < 4 && e->open & (1u << cookie) ? &e->asked[cookie] : NULL;
}

static Ends *ends_new(const NbdWanted *wanted, NbdTls tls)
{
    Ends *e = g_new0(Ends, 1);
    e->server = nbd_server_new(&(NbdOffer){ .nth = nth, .find = find_export }, tls);
    e->client = nbd_client_new(wanted);
    e->up = g_byte_array_new();
    e->down = g_byte_array_new();
    for (unsigned i = 0; i < DISK; i++)
        e->disk[i] = (uint8_t)(i * 7 + i / 251);
    return e;
}

static void ends_free(Ends *e)
{
    nbd_server_free(e->server);
    nbd_client_free(e->client);
    g_byte_array_unref(e->up);
    g_byte_array_unref(e->down);
    g_free(e);
}

/* ---- A server over the array ---------------------------------------------- */

static void serve(Ends *e, const NbdRequest *r)
{
    uint8_t head[NBD_HEAD_ROOM + 256];
    const char *why;
    int err = nbd_server_check(e->server, r, &why);
    size_t n;
    if (r->command == NBD_CMD_WRITE)
        nbd_server_payload(e->server, err ? NULL : e->disk + r->offset);
    if (err) {
        n = nbd_server_put_end(e->server, r, err, why, head);
    } else if (r->command == NBD_CMD_READ && nbd_server_structured(e->server) && r->length > 1000) {
        /* in two pieces, the first a hole that is none (only lengths matter here) */
        memset(e->disk + r->offset, 0, 500);
        n = nbd_server_put_hole(e->server, r, r->offset, 500, false, head);
        g_byte_array_append(e->down, head, (guint)n);
        n = nbd_server_put_data(e->server, r, r->offset + 500, r->length - 500, true, head);
        g_byte_array_append(e->down, head, (guint)n);
        g_byte_array_append(e->down, e->disk + r->offset + 500, (guint)r->length - 500);
        return;
    } else if (r->command == NBD_CMD_READ) {
        n = nbd_server_put_data(e->server, r, r->offset, r->length, true, head);
        g_byte_array_append(e->down, head, (guint)n);
        g_byte_array_append(e->down, e->disk + r->offset, (guint)r->length);
        return;
    } else if (r->command == NBD_CMD_BLOCK_STATUS) {
        NbdExtent x[] = { { 512, NBD_STATE_HOLE | NBD_STATE_ZERO }, { UINT64_C(5) << 30, 0 } };
        nbd_server_put_extents(e->server, r, 0, x, 2, false, e->down);
        nbd_server_put_extents(e->server, r, 1, x, 1, true, e->down);
        return;
    } else {
        n = nbd_server_put_end(e->server, r, 0, NULL, head);
    }
    g_byte_array_append(e->down, head, (guint)n);
}

static NbdEvent server_step(Ends *e, size_t piece)
{
    struct iovec iov[2];
    for (;;) {
        NbdRequest r;
        NbdServer *server = e->server;
        NbdEvent event = nbd_server_next(server, &r);
        size_t had = e->down->len;
        PUMP(server, client, e->down);
        if (event == NBD_REQUEST)
            serve(e, &r);
        else if (event == NBD_NEED && e->down->len > had)
            continue;
        else if (event != NBD_NEED)
            return event;
        else if (!e->up->len)
            return NBD_NEED;
        else
            nbd_server_advance(server, feed(e->up, piece, iov, nbd_server_buffers(server, iov)));
    }
}

static NbdEvent client_step(Ends *e, size_t piece, NbdReply *reply)
{
    struct iovec iov[2];
    for (;;) {
        NbdClient *client = e->client;
        NbdEvent event = nbd_client_next(client, find, e, reply);
        size_t had = e->up->len;
        PUMP(client, server, e->up);
        if (event == NBD_NEED && e->up->len > had)
            continue;
        if (event != NBD_NEED)
            return event;
        if (!e->down->len)
            return NBD_NEED;
        nbd_client_advance(client, feed(e->down, piece, iov, nbd_client_buffers(client, iov)));
    }
}

/* Until the client is ready, broken or at its end. */
static NbdEvent shake(Ends *e, size_t piece)
{
    for (unsigned i = 0; i < 1000; i++) {
        NbdReply reply;
        if (server_step(e, piece) == NBD_START_TLS) {
            NbdEvent event = client_step(e, piece, &reply);
            g_assert_cmpint(event, ==, NBD_START_TLS);
            nbd_server_secured(e->server);
            nbd_client_secured(e->client);
        }
        NbdEvent event = client_step(e, piece, &reply);
        if (event != NBD_NEED)
            return event;
    }
    g_assert_not_reached();
}

static void ask(Ends *e, unsigned cookie, uint16_t command, uint16_t flags, uint64_t offset,
                uint64_t length)
{
    uint8_t head[NBD_HEAD_ROOM];
    e->asked[cookie] = (NbdRequest){ flags, command, cookie, offset, length };
    e->open |= 1u << cookie;
    g_byte_array_append(e->up, head,
                        (guint)nbd_client_put_request(e->client, &e->asked[cookie], head));
    if (command == NBD_CMD_WRITE)
        g_byte_array_append(e->up, e->got[cookie], (guint)length);
}

/* Takes answers until that request has its end; its errno. */
static int await(Ends *e, unsigned cookie, size_t piece)
{
    int err = 0;
    bool last = false;
    uint64_t at = 0, left = 0;
    for (unsigned i = 0; i < 100000; i++) {
        NbdReply reply;
        server_step(e, piece);
        NbdEvent event = client_step(e, piece, &reply);
        if (event == NBD_NEED)
            continue;
        g_assert_true(event == NBD_REPLY || event == NBD_PAYLOAD);
        if (event == NBD_REPLY) {
            g_assert_cmpuint(reply.cookie, ==, cookie);
            last = reply.last;
            if (reply.kind == NBD_REPLY_ERROR)
                err = reply.err;
            if (reply.kind == NBD_REPLY_HOLE)
                memset(e->got[cookie] + (reply.offset - e->asked[cookie].offset), 0, reply.length);
            if (reply.kind == NBD_REPLY_DATA) {
                at = reply.offset - e->asked[cookie].offset;
                left = reply.length;
            } else if (last) {
                break;
            } else {
                continue;
            }
        } else if (!left) {
            if (last)
                break;
            continue;
        }
        uint64_t part = MIN(left, 3000);
        nbd_client_payload(e->client, e->got[cookie] + at, part);
        at += part;
        left -= part;
    }
    e->open &= ~(1u << cookie);
    return err;
}

static void transmit(Ends *e, size_t piece)
{
    unsigned len = piece < 100 ? 5000 : 100000;
    ask(e, 0, NBD_CMD_READ, 0, 1234, len);
    g_assert_cmpint(await(e, 0, piece), ==, 0);
    g_assert_cmpmem(e->got[0], len, e->disk + 1234, len);
    for (unsigned i = 0; i < len; i++)
        e->got[1][i] = (uint8_t)g_test_rand_int();
    ask(e, 1, NBD_CMD_WRITE, NBD_CMD_FLAG_FUA, 77, len);
    g_assert_cmpint(await(e, 1, piece), ==, 0);
    g_assert_cmpmem(e->got[1], len, e->disk + 77, len);
    ask(e, 2, NBD_CMD_WRITE, 0, DISK - 10, 11);
    g_assert_cmpint(await(e, 2, piece), ==, ENOSPC);
    ask(e, 2, NBD_CMD_TRIM, 0, 0, 11);
    g_assert_cmpint(await(e, 2, piece), ==, EINVAL);
    ask(e, 2, NBD_CMD_FLUSH, 0, 0, 0);
    g_assert_cmpint(await(e, 2, piece), ==, 0);
    ask(e, 2, NBD_CMD_READ, NBD_CMD_FLAG_FAST_ZERO, 0, 11);
    g_assert_cmpint(await(e, 2, piece), ==, EINVAL);
}

static void test_all_kinds(void)
{
    static const size_t pieces[] = { 1, 7, 4096, 1 << 20 };
    for (unsigned kind = 0; kind < 8; kind++)
        for (unsigned p = 0; p < G_N_ELEMENTS(pieces); p++) {
            NbdWanted wanted = { .name = "", .simple = kind & 1, .extended = kind & 2, .tls = kind & 4,
                                 .contexts = kind & 1 ? NULL : contexts };
            Ends *e = ends_new(&wanted, kind & 4 ? NBD_TLS_REQUIRED : NBD_TLS_NONE);
            g_assert_cmpint(shake(e, pieces[p]), ==, NBD_READY);
            g_assert_true(nbd_client_structured(e->client) == !(kind & 1));
            g_assert_true(nbd_client_extended(e->client) == ((kind & 3) == 2));
            const NbdExport *x = nbd_client_export(e->client);
            g_assert_cmpuint(x->size, ==, DISK);
            g_assert_cmpuint(x->preferred, ==, 4096);
            g_assert_true((x->flags & NBD_FLAG_SEND_DF) == (kind & 1 ? 0 : NBD_FLAG_SEND_DF));
            transmit(e, pieces[p]);
            ends_free(e);
        }
}

static void test_status(void)
{
    for (unsigned wide = 0; wide < 2; wide++) {
        NbdWanted wanted = { .name = "", .extended = wide, .contexts = contexts };
        Ends *e = ends_new(&wanted, NBD_TLS_NONE);
        NbdReply reply;
        uint32_t ids[2];
        g_assert_cmpint(shake(e, 100), ==, NBD_READY);
        g_assert_true(nbd_client_context(e->client, 0, &ids[0]));
        g_assert_true(nbd_client_context(e->client, 1, &ids[1]));
        ask(e, 0, NBD_CMD_BLOCK_STATUS, 0, 0, 4096);
        server_step(e, 1 << 20);
        g_assert_cmpint(client_step(e, 1 << 20, &reply), ==, NBD_REPLY);
        g_assert_cmpint(reply.kind, ==, NBD_REPLY_EXTENTS);
        g_assert_cmpuint(reply.context, ==, ids[0]);
        g_assert_cmpuint(reply.n_extents, ==, 2);
        g_assert_cmpuint(reply.extents[0].length, ==, 512);
        g_assert_cmpuint(reply.extents[0].flags, ==, 3);
        g_assert_cmpuint(reply.extents[1].length, ==, wide ? UINT64_C(5) << 30 : UINT64_C(1) << 31);
        g_assert_false(reply.last);
        g_assert_cmpint(client_step(e, 1 << 20, &reply), ==, NBD_REPLY);
        g_assert_cmpuint(reply.context, ==, ids[1]);
        g_assert_true(reply.last);
        ends_free(e);
    }
}

static void test_list(void)
{
    Ends *e = ends_new(&(NbdWanted){ .list = true }, NBD_TLS_OFFERED);
    g_assert_cmpint(shake(e, 50), ==, NBD_READY);
    const NbdExport *x = nbd_client_listed(e->client, 1);
    g_assert_cmpstr(x->name, ==, "ro");
    g_assert_cmpstr(x->description, ==, "a disk");
    g_assert_cmpuint(x->size, ==, 512);
    x = nbd_client_listed(e->client, 0);
    g_assert_cmpstr(x->contexts[1], ==, "qemu:dirty-bitmap:b0");
    g_assert_null(x->contexts[2]);
    g_assert_null(nbd_client_listed(e->client, 2));
    NbdReply reply;
    g_assert_cmpint(server_step(e, 100), ==, NBD_END); /* ABORT */
    g_assert_cmpint(client_step(e, 100, &reply), ==, NBD_END);
    ends_free(e);
}

static void refusal(NbdWanted wanted, NbdTls tls, const char *text)
{
    Ends *e = ends_new(&wanted, tls);
    g_assert_cmpint(shake(e, 33), ==, NBD_BROKEN);
    if (!strstr(nbd_client_error(e->client), text))
        g_error("'%s' lacks '%s'", nbd_client_error(e->client), text);
    ends_free(e);
}

static void test_refusals(void)
{
    refusal((NbdWanted){ .name = "none" }, NBD_TLS_NONE,
            "Requested export not available\nserver reported: "
            "export 'none' not present");
    refusal((NbdWanted){ .name = "", .tls = true }, NBD_TLS_NONE,
            "Denied by server for option 5 (starttls)");
    refusal((NbdWanted){ .list = true }, NBD_TLS_REQUIRED,
            "TLS negotiation required before option 8");
    refusal((NbdWanted){ .list = true, .simple = true }, NBD_TLS_REQUIRED,
            "TLS negotiation required before option 3 (list)");
}

/* ---- Bytes by hand --------------------------------------------------------- */

static NbdEvent to_server(NbdServer *s, const void *bytes, size_t len, NbdRequest *r)
{
    g_autoptr(GByteArray) q = g_byte_array_new();
    struct iovec iov[2];
    g_byte_array_append(q, bytes, (guint)len);
    for (;;) {
        NbdEvent event = nbd_server_next(s, r);
        size_t out;
        nbd_server_output(s, &out);
        if (event != NBD_NEED || (!out && !q->len))
            return event;
        if (out)
            nbd_server_sent(s);
        else
            nbd_server_advance(s, feed(q, q->len, iov, nbd_server_buffers(s, iov)));
    }
}

static void test_server_bytes(void)
{
    static const uint8_t hello[] = { 0,   0,   0, 3, 'I', 'H', 'A', 'V', 'E', 'O',
                                     'P', 'T', 0, 0, 0,   1,   0,   0,   0,   0 };
    static const uint8_t write[] = { 0x25, 0x60, 0x95, 0x13, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8,
                                     0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 4, 'd', 'a', 't', 'a' };
    NbdOffer offer = { .nth = nth, .find = find_export };
    NbdRequest r;
    g_autoptr(NbdServer) s = nbd_server_new(&offer, NBD_TLS_NONE);
    g_assert_cmpint(to_server(s, hello, sizeof hello, &r), ==, NBD_READY);
    size_t len;
    const uint8_t *p = nbd_server_output(s, &len);
    g_assert_cmpuint(len, ==, 10);
    g_assert_cmpuint(ld_be64(p), ==, DISK);
    nbd_server_sent(s);
    g_assert_cmpint(to_server(s, write, sizeof write, &r), ==, NBD_REQUEST);
    g_assert_cmpuint(r.cookie, ==, UINT64_C(0x0102030405060708));
    g_assert_cmpuint(r.offset, ==, 512);
    char data[4];
    nbd_server_payload(s, data);
    g_assert_cmpint(nbd_server_next(s, &r), ==, NBD_PAYLOAD);
    g_assert_cmpmem(data, 4, "data", 4);
    g_assert_cmpint(to_server(s, "garbage, 28 bytes or more of it", 31, &r), ==, NBD_BROKEN);

    /* an option larger than any is refused and passed over; a required TLS is insisted on */
    g_autoptr(NbdServer) t = nbd_server_new(&offer, NBD_TLS_REQUIRED);
    g_autofree uint8_t *big = g_malloc0(100016);
    memcpy(big, hello + 4, 8);
    st_be32(big + 8, 7);
    st_be32(big + 12, 100000);
    g_assert_cmpint(to_server(t, hello, 4, &r), ==, NBD_NEED);
    g_assert_cmpint(to_server(t, big, 100016, &r), ==, NBD_NEED);
    g_assert_cmpint(to_server(t, hello + 4, sizeof hello - 4, &r), ==, NBD_BROKEN);
    g_assert_cmpstr(nbd_server_error(t), ==, "option 1 (export name) not permitted before TLS");
}

static void test_clear_behind_tls(void)
{
    static const uint8_t both[] = { 0,   0,   0,   3,   'I', 'H', 'A', 'V', 'E', 'O', 'P', 'T',
                                    0,   0,   0,   5,   0,   0,   0,   0,   'I', 'H', 'A', 'V',
                                    'E', 'O', 'P', 'T', 0,   0,   0,   3,   0,   0,   0,   0 };
    NbdRequest r;
    g_autoptr(NbdServer)
        s = nbd_server_new(&(NbdOffer){ .nth = nth, .find = find_export }, NBD_TLS_OFFERED);
    g_assert_cmpint(to_server(s, both, sizeof both, &r), ==, NBD_BROKEN);
}

static void lie(const uint8_t *answer, size_t len, NbdCommand command, const char *text)
{
    Ends *e = ends_new(&(NbdWanted){ .name = "", .contexts = contexts }, NBD_TLS_NONE);
    NbdReply reply;
    g_assert_cmpint(shake(e, 1000), ==, NBD_READY);
    ask(e, 1, command, 0, 4096, 4096);
    g_byte_array_append(e->down, answer, (guint)len);
    g_assert_cmpint(client_step(e, 1000, &reply), ==, NBD_BROKEN);
    if (!strstr(nbd_client_error(e->client), text))
        g_error("'%s' lacks '%s'", nbd_client_error(e->client), text);
    ends_free(e);
}

#define CHUNK(type, cookie, len)                                                                   \
    0x66, 0x8e, 0x33, 0xef, 0, 1, 0, type, 0, 0, 0, 0, 0, 0, 0, cookie, 0, 0, 0, len

static void test_lying_server(void)
{
    static const uint8_t stranger[] = { CHUNK(0, 2, 0) },
                         before[] = { CHUNK(2, 1, 12), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0 },
                         behind[] = { CHUNK(2, 1, 12), 0, 0, 0, 0, 0, 0, 0x1f, 0xff, 0, 0, 0, 2 },
                         simple[] = { 0x67, 0x44, 0x66, 0x98, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 },
                         zero[] = { CHUNK(5, 1, 12), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 },
                         kind[] = { CHUNK(9, 1, 0) }, magic[] = { 'G', 'E', 'T', ' ' };
    lie(stranger, sizeof stranger, NBD_CMD_READ, "none of ours");
    lie(before, sizeof before, NBD_CMD_READ, "does not lie in it");
    lie(behind, sizeof behind, NBD_CMD_READ, "does not lie in it");
    lie(simple, sizeof simple, NBD_CMD_READ, "simple");
    lie(before, sizeof before, NBD_CMD_WRITE, "does not lie in it");
    lie(zero, sizeof zero, NBD_CMD_BLOCK_STATUS, "wrong lengths");
    lie(kind, sizeof kind, NBD_CMD_READ, "no kind");
    lie(magic, sizeof magic, NBD_CMD_READ, "begins with 0x47455420");
}

static void test_old_server(void)
{
    uint8_t old[152] = { 'N',  'B',  'D', 'M', 'A', 'G', 'I', 'C', 0, 0, 0x42, 0x02, 0x81, 0x86,
                         0x12, 0x53, 0,   0,   0,   0,   0,   1,   0, 0, 0,    0,    0,    3 };
    g_autoptr(GByteArray) q = g_byte_array_new();
    g_autoptr(NbdClient) c = nbd_client_new(&(NbdWanted){ .name = "" });
    struct iovec iov[2];
    NbdReply reply;
    g_byte_array_append(q, old, sizeof old);
    while (q->len) {
        g_assert_cmpint(nbd_client_next(c, find, NULL, &reply), ==, NBD_NEED);
        nbd_client_advance(c, feed(q, 50, iov, nbd_client_buffers(c, iov)));
    }
    g_assert_cmpint(nbd_client_next(c, find, NULL, &reply), ==, NBD_READY);
    g_assert_cmpuint(nbd_client_export(c)->size, ==, 65536);
    g_assert_cmpuint(nbd_client_export(c)->flags, ==, 3);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/nbd/all-kinds", test_all_kinds);
    g_test_add_func("/nbd/status", test_status);
    g_test_add_func("/nbd/list", test_list);
    g_test_add_func("/nbd/refusals", test_refusals);
    g_test_add_func("/nbd/server-bytes", test_server_bytes);
    g_test_add_func("/nbd/clear-behind-tls", test_clear_behind_tls);
    g_test_add_func("/nbd/lying-server", test_lying_server);
    g_test_add_func("/nbd/old-server", test_old_server);
    return g_test_run();
}
