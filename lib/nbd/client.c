/* SPDX-License-Identifier: MIT */
/*
 * The client's end: its life and the handshake. The order is TLS, extended headers or structured
 * replies, metadata contexts, GO; a server that lacks one of these that is not vital goes on
 * without. Servers of the old style, and those that know EXPORT_NAME alone, are understood.
 */
#include "nbd/client_priv.h"

#include "base/bytes.h"

#include <inttypes.h>
#include <string.h>

NbdClient *nbd_client_new(const NbdWanted *wanted)
{
    NbdClient *c = g_new0(NbdClient, 1);
    c->name = g_strdup(wanted->name ? wanted->name : "");
    c->list = wanted->list;
    c->tls = wanted->tls;
    c->simple = wanted->simple;
    c->want_extended = wanted->extended;
    c->contexts = g_strdupv((char **)wanted->contexts);
    unsigned n = c->contexts ? g_strv_length(c->contexts) : 0;
    c->ids = g_new0(uint32_t, n + 1);
    c->has = g_new0(bool, n + 1);
    c->out = g_byte_array_new();
    c->listed = g_ptr_array_new_with_free_func((GDestroyNotify)nbd_listed_free);
    c->export = nbd_listed_new(c->name, strlen(c->name));
    c->extents = g_array_new(false, false, sizeof(NbdExtent));
    nbd_input_init(&c->in);
    return c;
}

void nbd_client_free(NbdClient *c)
{
    if (!c)
        return;
    g_free(c->name);
    g_strfreev(c->contexts);
    g_free(c->ids);
    g_free(c->has);
    g_byte_array_unref(c->out);
    g_ptr_array_unref(c->listed);
    nbd_listed_free(c->export);
    g_array_unref(c->extents);
    nbd_input_clear(&c->in);
    g_free(c->message);
    g_free(c->error);
    g_free(c);
}

int nbd_client_buffers(NbdClient *c, struct iovec iov[2])
{
    return nbd_input_buffers(&c->in, iov);
}

void nbd_client_advance(NbdClient *c, size_t got)
{
    nbd_input_advance(&c->in, got);
}

const uint8_t *nbd_client_output(const NbdClient *c, size_t *len)
{
    *len = c->out->len;
    return c->out->data;
}

void nbd_client_sent(NbdClient *c)
{
    g_byte_array_set_size(c->out, 0);
}

const char *nbd_client_error(const NbdClient *c)
{
    return c->error ? c->error : "nothing";
}

const NbdExport *nbd_client_export(const NbdClient *c)
{
    return &c->export->e;
}

bool nbd_client_structured(const NbdClient *c)
{
    return c->structured;
}

bool nbd_client_extended(const NbdClient *c)
{
    return c->extended;
}

bool nbd_client_context(const NbdClient *c, unsigned i, uint32_t *id)
{
    *id = c->ids[i];
    return c->has[i];
}

const NbdExport *nbd_client_listed(const NbdClient *c, unsigned i)
{
    return i < c->listed->len ? &((NbdListed *)c->listed->pdata[i])->e : NULL;
}

NbdEvent nbd_client_break(NbdClient *c, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    g_free(c->error);
    c->error = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    c->state = CLIENT_BROKEN;
    return NBD_BROKEN;
}

/* ---- Options that we send -------------------------------------------------- */

static void send_option(NbdClient *c, uint32_t option, const void *data, size_t len)
{
    uint8_t head[NBD_OPTION_HEAD];
    st_be64(head, NBD_OPTION_MAGIC);
    st_be32(head + 8, option);
    st_be32(head + 12, (uint32_t)len);
    g_byte_array_append(c->out, head, sizeof head);
    if (len)
        g_byte_array_append(c->out, data, (guint)len);
    c->option = option;
    c->state = CLIENT_OPTION;
}

static void put_u32(GByteArray *a, uint32_t v)
{
    uint8_t b[4];
    st_be32(b, v);
    g_byte_array_append(a, b, sizeof b);
}

static void put_string(GByteArray *a, const char *text)
{
    put_u32(a, (uint32_t)strlen(text));
    g_byte_array_append(a, (const uint8_t *)text, (guint)strlen(text));
}

static void send_info(NbdClient *c, uint32_t option, const char *name)
{
    static const uint8_t all[] = {
        0, 3, 0, NBD_INFO_NAME, 0, NBD_INFO_DESCRIPTION, 0, NBD_INFO_BLOCK_SIZE
    };
    static const uint8_t sizes[] = { 0, 1, 0, NBD_INFO_BLOCK_SIZE };
    g_autoptr(GByteArray) a = g_byte_array_new();
    put_string(a, name);
    if (option == NBD_OPT_INFO)
        g_byte_array_append(a, all, sizeof all);
    else
        g_byte_array_append(a, sizes, sizeof sizes);
    send_option(c, option, a->data, a->len);
}

static void send_contexts(NbdClient *c, uint32_t option, const char *name, char **queries)
{
    g_autoptr(GByteArray) a = g_byte_array_new();
    put_string(a, name);
    put_u32(a, queries ? g_strv_length(queries) : 0);
    for (unsigned i = 0; queries && queries[i]; i++)
        put_string(a, queries[i]);
    send_option(c, option, a->data, a->len);
}

static bool next_listed(NbdClient *c)
{
    if (c->at >= c->listed->len) {
        send_option(c, NBD_OPT_ABORT, NULL, 0);
        c->state = CLIENT_LISTED;
        return false;
    }
    send_info(c, NBD_OPT_INFO, ((NbdListed *)c->listed->pdata[c->at])->e.name);
    return true;
}

/* What comes after the option that has been answered. */
static void go_on(NbdClient *c)
{
    switch (c->option) {
    case 0:
        if (c->tls) {
            send_option(c, NBD_OPT_STARTTLS, NULL, 0);
            return;
        } /* fall through */
    case NBD_OPT_STARTTLS:
        if (c->want_extended && !c->simple) {
            send_option(c, NBD_OPT_EXTENDED_HEADERS, NULL, 0);
            return;
        } /* fall through */
    case NBD_OPT_EXTENDED_HEADERS:
        if (!c->simple && !c->structured) {
            send_option(c, NBD_OPT_STRUCTURED_REPLY, NULL, 0);
            return;
        } /* fall through */
    case NBD_OPT_STRUCTURED_REPLY:
        if (c->list) {
            send_option(c, NBD_OPT_LIST, NULL, 0);
            return;
        }
        if (c->contexts && *c->contexts && c->structured) {
            send_contexts(c, NBD_OPT_SET_META_CONTEXT, c->name, c->contexts);
            return;
        } /* fall through */
    default:
        send_info(c, NBD_OPT_GO, c->name);
    }
}

static void send_export_name(NbdClient *c)
{
    send_option(c, NBD_OPT_EXPORT_NAME, c->name, strlen(c->name));
    c->state = CLIENT_NAME_REPLY;
    c->structured = c->extended = false;
}

/* ---- Their answers --------------------------------------------------------- */

/* A refusal that ends it all, in the words of QEMU's client, which scripts know. */
static NbdEvent refused(NbdClient *c, uint32_t type, const uint8_t *p, size_t len)
{
    g_autofree char *said = g_utf8_make_valid((const char *)p, (gssize)MIN(len, NBD_MAX_STRING));
    const char *sep = *said ? "\nserver reported: " : "";
    const char *option = nbd_option_name(c->option);
    switch (type & ~NBD_REP_ERROR) {
    case NBD_ERR_UNSUP:
        return nbd_client_break(c, "the server knows no option %" PRIu32 " (%s)%s%s", c->option,
                                option, sep, said);
    case NBD_ERR_POLICY:
        return nbd_client_break(c, "Denied by server for option %" PRIu32 " (%s)%s%s", c->option,
                                option, sep, said);
    case NBD_ERR_TLS_REQD:
        return nbd_client_break(c, "TLS negotiation required before option %" PRIu32 " (%s)%s%s",
                                c->option, option, sep, said);
    case NBD_ERR_UNKNOWN:
        return nbd_client_break(c, "Requested export not available%s%s", sep, said);
    case NBD_ERR_SHUTDOWN:
        return nbd_client_break(c, "Server shutting down before option %" PRIu32 " (%s)%s%s",
                                c->option, option, sep, said);
    case NBD_ERR_BLOCK_SIZE_REQD:
        return nbd_client_break(c,
                                "Server requires INFO_BLOCK_SIZE for option %" PRIu32 " (%s)%s%s",
                                c->option, option, sep, said);
    default:
        return nbd_client_break(c, "Server answered option %" PRIu32 " (%s) with error 0x%" PRIx32 "%s%s",
                                c->option, option, type, sep, said);
    }
}

static NbdEvent nonsense(NbdClient *c, uint32_t type, size_t len)
{
    return nbd_client_break(c, "Server answered option %" PRIu32 " (%s) with %zu bytes of type 0x%" PRIx32,
                            c->option, nbd_option_name(c->option), len, type);
}

/* An error in answer to an option that is not vital: on without it. */
static NbdEvent without(NbdClient *c, uint32_t type, const uint8_t *p, size_t len)
{
    uint32_t error = type & ~NBD_REP_ERROR;
    switch (c->option) {
    case NBD_OPT_EXTENDED_HEADERS:
    case NBD_OPT_STRUCTURED_REPLY:
    case NBD_OPT_SET_META_CONTEXT:
        if (error == NBD_ERR_TLS_REQD || error == NBD_ERR_SHUTDOWN)
            return refused(c, type, p, len);
        go_on(c);
        return NBD_NEED;
    case NBD_OPT_GO:
        if (error != NBD_ERR_UNSUP)
            return refused(c, type, p, len);
        send_export_name(c);
        return NBD_NEED;
    case NBD_OPT_INFO: /* of a list: it stays with its name */
    case NBD_OPT_LIST_META_CONTEXT:
        c->at++;
        next_listed(c);
        return NBD_NEED;
    default:
        return refused(c, type, p, len);
    }
}

static NbdEvent take_listed(NbdClient *c, const uint8_t *p, size_t len)
{
    if (len < 4 || ld_be32(p) > len - 4 || ld_be32(p) > NBD_MAX_STRING ||
        len > 8 + 2 * NBD_MAX_STRING)
        return nonsense(c, NBD_REP_SERVER, len);
    if (c->listed->len >= NBD_MAX_LIST)
        return nbd_client_break(c, "the server lists more than %d exports", NBD_MAX_LIST);
    size_t n = ld_be32(p);
    NbdListed *l = nbd_listed_new((const char *)p + 4, n);
    if (len > 4 + n) {
        l->description = g_utf8_make_valid((const char *)p + 4 + n, (gssize)(len - 4 - n));
        l->e.description = l->description;
    }
    g_ptr_array_add(c->listed, l);
    return NBD_NEED;
}

static NbdEvent take_context(NbdClient *c, const uint8_t *p, size_t len)
{
    if (len < 4 || len - 4 > NBD_MAX_STRING)
        return nonsense(c, NBD_REP_META_CONTEXT, len);
    if (c->option == NBD_OPT_LIST_META_CONTEXT) {
        nbd_listed_context(c->listed->pdata[c->at], p + 4, len - 4);
        return NBD_NEED;
    }
    for (unsigned i = 0; c->contexts[i]; i++)
        if (strlen(c->contexts[i]) == len - 4 && !memcmp(c->contexts[i], p + 4, len - 4)) {
            c->ids[i] = ld_be32(p);
            c->has[i] = true;
        }
    return NBD_NEED;
}

static NbdEvent acknowledged(NbdClient *c)
{
    switch (c->option) {
    case NBD_OPT_STARTTLS:
        if (nbd_input_len(&c->in))
            return nbd_client_break(c, "the server sends in the clear behind STARTTLS");
        c->state = CLIENT_TLS;
        return NBD_START_TLS;
    case NBD_OPT_EXTENDED_HEADERS:
        c->extended = c->structured = true;
        break;
    case NBD_OPT_STRUCTURED_REPLY:
        c->structured = true;
        break;
    case NBD_OPT_LIST:
        c->at = 0;
        next_listed(c);
        return NBD_NEED;
    case NBD_OPT_INFO:
        if (c->structured) {
            send_contexts(c, NBD_OPT_LIST_META_CONTEXT,
                          ((NbdListed *)c->listed->pdata[c->at])->e.name, NULL);
            return NBD_NEED;
        } /* fall through */
    case NBD_OPT_LIST_META_CONTEXT:
        c->at++;
        next_listed(c);
        return NBD_NEED;
    case NBD_OPT_GO:
        if (!c->export->told)
            return nbd_client_break(c, "the server lets us in without the size of the export");
        c->state = CLIENT_ANSWERS;
        return NBD_READY;
    default:
        break;
    }
    go_on(c);
    return NBD_NEED;
}

static NbdEvent take_reply(NbdClient *c, uint32_t type, const uint8_t *p, size_t len)
{
    bool info = c->option == NBD_OPT_INFO || c->option == NBD_OPT_GO;
    bool context = c->option == NBD_OPT_LIST_META_CONTEXT || c->option == NBD_OPT_SET_META_CONTEXT;
    if (type & NBD_REP_ERROR)
        return without(c, type, p, len);
    if (type == NBD_REP_ACK && !len)
        return acknowledged(c);
    if (type == NBD_REP_SERVER && c->option == NBD_OPT_LIST)
        return take_listed(c, p, len);
    if (type == NBD_REP_META_CONTEXT && context)
        return take_context(c, p, len);
    if (type == NBD_REP_INFO && info &&
        nbd_listed_info(c->option == NBD_OPT_INFO ? c->listed->pdata[c->at] : c->export, p, len))
        return NBD_NEED;
    return nonsense(c, type, len);
}

/* One answer of the server; false: it is not there whole. */
static bool take_option_reply(NbdClient *c, NbdEvent *event)
{
    const uint8_t *p = nbd_input_peek(&c->in, NBD_OPTION_REPLY_HEAD);
    if (!p)
        return false;
    uint32_t len = ld_be32(p + 16), type = ld_be32(p + 12);
    if (ld_be64(p) != NBD_OPTION_REPLY_MAGIC || ld_be32(p + 8) != c->option ||
        len > NBD_MAX_OPTION) {
        *event = nbd_client_break(c, "an answer to option %" PRIu32 " (%s) makes no sense",
                                  c->option, nbd_option_name(c->option));
        return true;
    }
    p = nbd_input_take(&c->in, NBD_OPTION_REPLY_HEAD + len);
    if (!p)
        return false;
    /* each export takes three answers or so, and its contexts */
    if (++c->options > 4 * NBD_MAX_LIST + 64 * NBD_MAX_CONTEXTS) {
        *event = nbd_client_break(c, "the server's answers do not end");
        return true;
    }
    *event = take_reply(c, type, p + NBD_OPTION_REPLY_HEAD, len);
    return true;
}

void nbd_client_secured(NbdClient *c)
{
    c->secured = true;
    go_on(c);
}

/* ---- Older servers --------------------------------------------------------- */

static bool take_old(NbdClient *c, NbdEvent *event)
{
    const uint8_t *p = nbd_input_take(&c->in, NBD_OLD_GREETING);
    if (!p)
        return false;
    if (c->tls || c->list || *c->name) {
        *event = nbd_client_break(c, "a server of the old style has no %s",
                                  c->tls    ? "TLS"
                                  : c->list ? "list of exports"
                                            : "names for exports");
        return true;
    }
    c->export->e.size = ld_be64(p + 16);
    c->export->e.flags = ld_be16(p + 26);
    c->structured = c->extended = false;
    c->state = CLIENT_ANSWERS;
    *event = c->export->e.size > INT64_MAX ? nbd_client_break(c, "the export's size makes no sense")
                                           : NBD_READY;
    return true;
}

static bool take_name_reply(NbdClient *c, NbdEvent *event)
{
    const uint8_t *p = nbd_input_take(&c->in, 10 + (c->no_zeroes ? 0 : NBD_EXPORT_ZEROES));
    if (!p)
        return false;
    c->export->e.size = ld_be64(p);
    c->export->e.flags = ld_be16(p + 8);
    c->state = CLIENT_ANSWERS;
    *event = c->export->e.size > INT64_MAX ? nbd_client_break(c, "the export's size makes no sense")
                                           : NBD_READY;
    return true;
}

static bool take_greeting(NbdClient *c, NbdEvent *event)
{
    const uint8_t *p = nbd_input_peek(&c->in, 16);
    if (!p)
        return false;
    if (ld_be64(p) != NBD_MAGIC ||
        (ld_be64(p + 8) != NBD_OPTION_MAGIC && ld_be64(p + 8) != NBD_OLD_MAGIC)) {
        *event = nbd_client_break(c, "this is no NBD server: it begins with 0x%016" PRIx64,
                                  ld_be64(p));
        return true;
    }
    if (ld_be64(p + 8) == NBD_OLD_MAGIC) {
        c->state = CLIENT_OLD;
        return take_old(c, event);
    }
    p = nbd_input_take(&c->in, NBD_GREETING);
    if (!p)
        return false;
    uint16_t theirs = ld_be16(p + 16);
    c->fixed = theirs & NBD_FIXED_NEWSTYLE;
    c->no_zeroes = theirs & NBD_NO_ZEROES;
    put_u32(c->out, theirs & (NBD_FIXED_NEWSTYLE | NBD_NO_ZEROES));
    *event = NBD_NEED;
    if (c->fixed)
        go_on(c);
    else if (c->tls || c->list)
        *event = nbd_client_break(c, "the server has no %s", c->tls ? "TLS" : "list of exports");
    else
        send_export_name(c);
    return true;
}

NbdEvent nbd_client_next(NbdClient *c, NbdFind find, void *opaque, NbdReply *reply)
{
    NbdEvent event = NBD_NEED;
    bool more = true;
    while (more && event == NBD_NEED) {
        switch (c->state) {
        case CLIENT_GREETING:
            more = take_greeting(c, &event);
            break;
        case CLIENT_OLD:
            more = take_old(c, &event);
            break;
        case CLIENT_NAME_REPLY:
            more = take_name_reply(c, &event);
            break;
        case CLIENT_OPTION:
            more = take_option_reply(c, &event);
            break;
        case CLIENT_LISTED:
            c->state = CLIENT_ENDED;
            return NBD_READY;
        case CLIENT_TLS:
            return NBD_NEED;
        case CLIENT_ANSWERS:
            return nbd_client_answer(c, find, opaque, reply);
        case CLIENT_ENDED:
            return NBD_END;
        case CLIENT_BROKEN:
            return NBD_BROKEN;
        }
    }
    return event;
}
