/* SPDX-License-Identifier: MIT */
/*
 * The server's side of fixed newstyle negotiation. Until a TLS connection that is required is
 * there, only STARTTLS and ABORT are heard; what was agreed on before TLS is forgotten with it, and
 * bytes sent behind STARTTLS in the clear end the connection.
 */
#include "nbd/server_priv.h"

#include "base/bytes.h"

#include <inttypes.h>
#include <string.h>

static void put16(GByteArray *out, uint16_t v)
{
    uint8_t b[2];
    st_be16(b, v);
    g_byte_array_append(out, b, sizeof b);
}

static void put32(GByteArray *out, uint32_t v)
{
    uint8_t b[4];
    st_be32(b, v);
    g_byte_array_append(out, b, sizeof b);
}

static void put64(GByteArray *out, uint64_t v)
{
    uint8_t b[8];
    st_be64(b, v);
    g_byte_array_append(out, b, sizeof b);
}

static void put_text(GByteArray *out, const char *text, size_t len)
{
    g_byte_array_append(out, (const uint8_t *)text, (guint)len);
}

void nbd_server_greet(NbdServer *s)
{
    put64(s->out, NBD_MAGIC);
    put64(s->out, NBD_OPTION_MAGIC);
    put16(s->out, NBD_FIXED_NEWSTYLE | NBD_NO_ZEROES);
}

static void reply_head(NbdServer *s, uint32_t type, size_t len)
{
    put64(s->out, NBD_OPTION_REPLY_MAGIC);
    put32(s->out, s->option);
    put32(s->out, type);
    put32(s->out, (uint32_t)len);
}

static bool acknowledge(NbdServer *s)
{
    reply_head(s, NBD_REP_ACK, 0);
    return true;
}

G_GNUC_PRINTF(3, 4) static bool refuse(NbdServer *s, uint32_t error, const char *fmt, ...)
{
    char text[256];
    va_list ap;
    va_start(ap, fmt);
    g_vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    reply_head(s, NBD_REP_ERROR | error, strlen(text));
    put_text(s->out, text, strlen(text));
    return true;
}

/* ---- Exports --------------------------------------------------------------- */

static bool reply_list(NbdServer *s)
{
    const NbdExport *e;
    for (unsigned i = 0; (e = s->offer.nth(s->offer.opaque, i)); i++) {
        size_t name = strlen(e->name), about = e->description ? strlen(e->description) : 0;
        reply_head(s, NBD_REP_SERVER, 4 + name + about);
        put32(s->out, (uint32_t)name);
        put_text(s->out, e->name, name);
        if (about)
            put_text(s->out, e->description, about);
    }
    return acknowledge(s);
}

/* A string with its length in front; NULL when it is not there whole, too long, or holds a NUL. */
static char *take_string(const uint8_t **p, size_t *len)
{
    if (*len < 4)
        return NULL;
    size_t n = ld_be32(*p);
    if (n > *len - 4 || n > NBD_MAX_STRING || memchr(*p + 4, 0, n))
        return NULL;
    char *text = g_strndup((const char *)*p + 4, n);
    *p += 4 + n;
    *len -= 4 + n;
    return text;
}

static const NbdExport *find(NbdServer *s, const char *name)
{
    return s->offer.find(s->offer.opaque, name);
}

/* What this connection sees of an export. */
static void show(NbdServer *s, const NbdExport *e)
{
    s->shown = *e;
    s->shown.flags |= NBD_FLAG_HAS_FLAGS | (s->structured ? NBD_FLAG_SEND_DF : 0);
}

static void choose(NbdServer *s, const NbdExport *e)
{
    if (s->context_of != e)
        s->n_contexts = 0;
    show(s, e);
    s->chosen = &s->shown;
    s->state = SERVER_REQUESTS;
}

static void reply_info_text(NbdServer *s, uint16_t type, const char *text)
{
    reply_head(s, NBD_REP_INFO, 2 + strlen(text));
    put16(s->out, type);
    put_text(s->out, text, strlen(text));
}

static void reply_infos(NbdServer *s, const NbdExport *e, const uint8_t *asked, unsigned n)
{
    show(s, e);
    reply_head(s, NBD_REP_INFO, 12);
    put16(s->out, NBD_INFO_EXPORT);
    put64(s->out, e->size);
    put16(s->out, s->shown.flags);
    bool told[4] = { true };
    for (unsigned i = 0; i < n; i++) {
        uint16_t type = ld_be16(asked + 2 * i);
        if (type >= G_N_ELEMENTS(told) || told[type])
            continue;
        told[type] = true;
        if (type == NBD_INFO_NAME) {
            reply_info_text(s, type, e->name);
        } else if (type == NBD_INFO_DESCRIPTION && e->description) {
            reply_info_text(s, type, e->description);
        } else if (type == NBD_INFO_BLOCK_SIZE && e->preferred) {
            reply_head(s, NBD_REP_INFO, 14);
            put16(s->out, type);
            put32(s->out, MAX(e->minimum, 1));
            put32(s->out, e->preferred);
            put32(s->out, e->maximum);
        }
    }
}

static bool reply_go(NbdServer *s, const uint8_t *p, size_t len, bool go)
{
    g_autofree char *name = take_string(&p, &len);
    if (!name || len < 2 || len != 2 + 2 * (size_t)ld_be16(p))
        return refuse(s, NBD_ERR_INVALID, "the option's lengths do not fit");
    const NbdExport *e = find(s, name);
    if (!e)
        return refuse(s, NBD_ERR_UNKNOWN, "export '%.200s' not present", name);
    char reason[200] = "";
    if (go && s->offer.admit && !s->offer.admit(s->offer.opaque, e, reason, sizeof reason))
        return refuse(s, NBD_ERR_POLICY, "%s", reason);
    reply_infos(s, e, p + 2, ld_be16(p));
    if (go)
        choose(s, e);
    return acknowledge(s);
}

/* The only option without a way to say no: the connection ends then. */
static NbdEvent reply_export_name(NbdServer *s, const uint8_t *p, size_t len)
{
    g_autofree char *name = g_strndup((const char *)p, len);
    if (len > NBD_MAX_STRING || strlen(name) != len)
        return nbd_server_break(s, "the name of an export has %zu bytes", len);
    const NbdExport *e = find(s, name);
    if (!e)
        return nbd_server_break(s, "export '%s' not present", name);
    char reason[200] = "";
    if (s->offer.admit && !s->offer.admit(s->offer.opaque, e, reason, sizeof reason))
        return nbd_server_break(s, "%s", reason);
    choose(s, e);
    put64(s->out, s->shown.size);
    put16(s->out, s->shown.flags);
    if (!s->no_zeroes) {
        static const uint8_t zeroes[NBD_EXPORT_ZEROES];
        g_byte_array_append(s->out, zeroes, sizeof zeroes);
    }
    return NBD_READY;
}

/* ---- Metadata contexts ----------------------------------------------------- */

/* A query that ends in a colon asks for all behind it, in lists. */
static bool matches(const char *query, const char *context, bool list)
{
    size_t n = strlen(query);
    return !strcmp(query, context) ||
           (list && n && query[n - 1] == ':' && g_str_has_prefix(context, query));
}

static void reply_context(NbdServer *s, uint32_t id, const char *context)
{
    reply_head(s, NBD_REP_META_CONTEXT, 4 + strlen(context));
    put32(s->out, id);
    put_text(s->out, context, strlen(context));
}

static bool is_set(const NbdServer *s, int index)
{
    for (unsigned i = 0; i < s->n_contexts; i++)
        if (s->contexts[i] == index)
            return true;
    return false;
}

static bool reply_contexts(NbdServer *s, const uint8_t *p, size_t len, bool set)
{
    if (set) {
        s->n_contexts = 0;
        s->context_of = NULL;
    }
    if (!s->structured)
        return refuse(s, NBD_ERR_INVALID, "structured replies have to be agreed on first");
    g_autofree char *name = take_string(&p, &len);
    if (!name || len < 4)
        return refuse(s, NBD_ERR_INVALID, "the option's lengths do not fit");
    uint32_t n = ld_be32(p);
    p += 4, len -= 4;
    g_autoptr(GPtrArray) queries = g_ptr_array_new_with_free_func(g_free);
    for (uint32_t i = 0; i < n; i++) {
        char *query = take_string(&p, &len);
        if (!query)
            return refuse(s, NBD_ERR_INVALID, "the option's lengths do not fit");
        g_ptr_array_add(queries, query);
    }
    if (len)
        return refuse(s, NBD_ERR_INVALID, "the option is longer than what it holds");
    const NbdExport *e = find(s, name);
    if (!e)
        return refuse(s, NBD_ERR_UNKNOWN, "export '%.200s' not present", name);
    for (unsigned i = 0; i < NBD_MAX_CONTEXTS && e->contexts && e->contexts[i]; i++) {
        bool wanted = !set && !n;
        for (unsigned q = 0; q < queries->len && !wanted; q++)
            wanted = matches(queries->pdata[q], e->contexts[i], !set);
        if (!wanted)
            continue;
        reply_context(s, set ? i : 0, e->contexts[i]);
        if (set && !is_set(s, (int)i))
            s->contexts[s->n_contexts++] = (int)i;
    }
    if (set)
        s->context_of = e;
    return acknowledge(s);
}

/* ---- Options --------------------------------------------------------------- */

static NbdEvent start_tls(NbdServer *s)
{
    if (nbd_input_len(&s->in))
        return nbd_server_break(s, "bytes in the clear behind STARTTLS");
    acknowledge(s);
    s->state = SERVER_TLS;
    return NBD_START_TLS;
}

void nbd_server_secured(NbdServer *s)
{
    s->secured = true;
    s->structured = s->extended = false;
    s->n_contexts = 0;
    s->context_of = NULL;
    s->state = SERVER_OPTION;
}

static bool agree(NbdServer *s, bool *what)
{
    *what = true;
    return acknowledge(s);
}

/* True when only the option's answer had to be written. */
static bool plain_option(NbdServer *s, const uint8_t *p, size_t len)
{
    switch (s->option) {
    case NBD_OPT_LIST:
        return len ? refuse(s, NBD_ERR_INVALID, "a list has no data") : reply_list(s);
    case NBD_OPT_INFO:
    case NBD_OPT_GO:
        return reply_go(s, p, len, s->option == NBD_OPT_GO);
    case NBD_OPT_STRUCTURED_REPLY:
        if (len || s->extended)
            return refuse(s, NBD_ERR_INVALID,
                          len ? "it has no data" : "extended headers are agreed on already");
        return agree(s, &s->structured);
    case NBD_OPT_EXTENDED_HEADERS:
        if (len)
            return refuse(s, NBD_ERR_INVALID, "it has no data");
        s->structured = true;
        return agree(s, &s->extended);
    case NBD_OPT_LIST_META_CONTEXT:
    case NBD_OPT_SET_META_CONTEXT:
        return reply_contexts(s, p, len, s->option == NBD_OPT_SET_META_CONTEXT);
    default:
        return refuse(s, NBD_ERR_UNSUP, "option %" PRIu32 " (%s) is not known here", s->option,
                      nbd_option_name(s->option));
    }
}

static NbdEvent take_option(NbdServer *s, const uint8_t *p, size_t len)
{
    s->state = SERVER_OPTION;
    if (s->option == NBD_OPT_ABORT) {
        acknowledge(s);
        s->state = SERVER_ENDED;
        return NBD_END;
    }
    bool secure = s->tls != NBD_TLS_REQUIRED || s->secured;
    if (s->option == NBD_OPT_EXPORT_NAME)
        return secure ? reply_export_name(s, p, len)
                      : nbd_server_break(s, "option 1 (export name) not permitted before TLS");
    if (s->option == NBD_OPT_STARTTLS) {
        if (s->tls != NBD_TLS_NONE && !s->secured && !len)
            return start_tls(s);
        if (s->tls == NBD_TLS_NONE)
            refuse(s, NBD_ERR_POLICY, "TLS not configured");
        else
            refuse(s, NBD_ERR_INVALID, len ? "it has no data" : "TLS already enabled");
    } else if (!secure) {
        refuse(s, NBD_ERR_TLS_REQD, "option %" PRIu32 " (%s) not permitted before TLS", s->option,
               nbd_option_name(s->option));
    } else {
        plain_option(s, p, len);
    }
    return s->state == SERVER_REQUESTS ? NBD_READY : NBD_NEED;
}

static NbdEvent skip_option(NbdServer *s)
{
    if (!nbd_input_filled(&s->in))
        return NBD_NEED;
    s->state = SERVER_OPTION;
    refuse(s, NBD_ERR_TOO_BIG, "%" PRIu32 " bytes are more than an option may have", s->option_len);
    return NBD_READY; /* of this step */
}

static bool take_head(NbdServer *s, NbdEvent *event)
{
    const uint8_t *p = nbd_input_take(&s->in, NBD_OPTION_HEAD);
    if (!p)
        return false;
    if (ld_be64(p) != NBD_OPTION_MAGIC) {
        *event = nbd_server_break(s, "an option begins with 0x%016" PRIx64, ld_be64(p));
        return false;
    }
    s->option = ld_be32(p + 8);
    s->option_len = ld_be32(p + 12);
    if (s->option_len > NBD_MAX_PAYLOAD) {
        *event = nbd_server_break(s, "an option announces %" PRIu32 " bytes", s->option_len);
        return false;
    }
    s->state = SERVER_OPTION_DATA;
    if (s->option_len > NBD_MAX_OPTION)
        nbd_input_payload(&s->in, NULL, s->option_len);
    return true;
}

bool nbd_server_shake(NbdServer *s, NbdEvent *event)
{
    const uint8_t *p;
    *event = NBD_NEED;
    switch (s->state) {
    case SERVER_FLAGS:
        p = nbd_input_take(&s->in, 4);
        if (!p)
            return false;
        if (ld_be32(p) & ~(uint32_t)(NBD_FIXED_NEWSTYLE | NBD_NO_ZEROES)) {
            *event = nbd_server_break(s, "unknown handshake flags 0x%" PRIx32, ld_be32(p));
            return false;
        }
        s->fixed = ld_be32(p) & NBD_FIXED_NEWSTYLE;
        s->no_zeroes = ld_be32(p) & NBD_NO_ZEROES;
        s->state = SERVER_OPTION;
        return true;
    case SERVER_OPTION:
        return take_head(s, event);
    default:
        break;
    }
    if (s->option_len > NBD_MAX_OPTION) {
        if (skip_option(s) == NBD_READY)
            return true;
        return false;
    }
    p = nbd_input_take(&s->in, s->option_len);
    if (!p)
        return false;
    if (!s->fixed && s->option != NBD_OPT_EXPORT_NAME) {
        *event = nbd_server_break(s, "option %" PRIu32 " from a client without fixed newstyle",
                                  s->option);
        return false;
    }
    *event = take_option(s, p, s->option_len);
    /* one answer at a time: what a client can make us hold back is bounded */
    return *event == NBD_NEED && !s->out->len;
}
