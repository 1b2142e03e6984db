/* SPDX-License-Identifier: MIT */
/*
 * nbd: a disk that an NBD server exports. Requests go out as they are submitted and no worker waits for
 * them. Left out: making and resizing exports, which the protocol has not.
 */
#include "block/drivers/nbd/nbd_priv.h"

#include "base/error.h"

#include <errno.h>
#include <json-c/json.h>
#include <string.h>

static const BlockProp props[] = {
    { .name = "server", .kind = BLOCK_PROP_TREE, .offset = offsetof(Nbd, server),
      .help = "type=inet|unix|vsock|fd and host, port, path, cid, str" },
    { .name = "path", .kind = BLOCK_PROP_STRING, .offset = offsetof(Nbd, path), .help = "server.type=unix, in short" },
    { .name = "host", .kind = BLOCK_PROP_STRING, .offset = offsetof(Nbd, host), .help = "server.type=inet, in short" },
    { .name = "port", .kind = BLOCK_PROP_STRING, .offset = offsetof(Nbd, port), .help = "of host; 10809" },
    { .name = "export", .kind = BLOCK_PROP_STRING, .offset = offsetof(Nbd, export), .help = "its name" },
    { .name = "tls-creds", .kind = BLOCK_PROP_STRING, .offset = offsetof(Nbd, tls_creds),
      .help = "the id of a tls-creds object" },
    { .name = "tls-hostname", .kind = BLOCK_PROP_STRING, .offset = offsetof(Nbd, tls_hostname),
      .help = "whom the server's certificate is for, if not for host" },
    { .name = "x-dirty-bitmap", .kind = BLOCK_PROP_STRING, .offset = offsetof(Nbd, context),
      .help = "a metadata context to map by, instead of base:allocation" },
    { .name = "reconnect-delay", .kind = BLOCK_PROP_NUMBER, .offset = offsetof(Nbd, reconnect_delay), .def = "0",
      .max = 86400, .help = "seconds that requests wait when the server has gone" },
    { .name = "open-timeout", .kind = BLOCK_PROP_NUMBER, .offset = offsetof(Nbd, open_timeout), .def = "0",
      .max = 86400, .help = "seconds to wait for the server to be there" },
    { .name = "connections", .kind = BLOCK_PROP_NUMBER, .offset = offsetof(Nbd, connections), .def = "4",
      .min = 1, .max = NBD_LINKS, .help = "at most, to a server that allows several" },
    { 0 }
};

/* ---- Opening ------------------------------------------------------------------- */

static bool find_creds(Nbd *nbd, BlockGraph *graph, GError **error)
{
    if (!nbd->tls_creds)
        return !nbd->tls_hostname || fail_usage(error, "tls-hostname not supported without tls-creds");
    const CryptoTlsCreds *creds = crypto_tls_creds(block_graph_objects(graph), nbd->tls_creds, false, error);
    nbd->creds = creds ? crypto_tls_creds_ref(creds) : NULL;
    return creds;
}

static void nbd_forget(Nbd *nbd)
{
    for (unsigned i = 0; i < nbd->links_up; i++)
        nbd_link_close(&nbd->links[i]);
    g_clear_pointer(&nbd->address, socket_address_free);
    crypto_tls_creds_unref(g_steal_pointer(&nbd->creds));
    g_mutex_clear(&nbd->grow);
}

static bool check_writable(BlockNode *node, Nbd *nbd, GError **error)
{
    if (!(nbd->flags & NBD_FLAG_READ_ONLY) || block_node_read_only(node))
        return true;
    if (!block_node_auto_read_only(node))
        return fail(error, "request for write access denied");
    block_node_set_read_only(node);
    return true;
}

static bool nbd_open(BlockNode *node, GError **error)
{
    Nbd *nbd = block_node_state(node);
    nbd->node = node;
    g_mutex_init(&nbd->grow);
    nbd->contexts[0] = nbd->context ? nbd->context : NBD_CONTEXT_ALLOCATION;
    if (!nbd->export)
        nbd->export = g_strdup("");
    nbd->address = nbd_name_address(nbd, error);
    g_autofree char *text = nbd->address ? nbd_name_text(nbd) : NULL;
    if (text)
        block_node_set_file(node, text);
    bool ok = nbd->address && find_creds(nbd, block_node_graph(node), error) && nbd_link_open(nbd, error) &&
              check_writable(node, nbd, error);
    if (ok && nbd->context && !nbd->has_context)
        ok = fail(error, "requested x-dirty-bitmap %s not found", nbd->context);
    if (!ok)
        nbd_forget(nbd);
    else if (!(nbd->flags & NBD_FLAG_CAN_MULTI_CONN))
        nbd->connections = 1;
    return ok;
}

static void nbd_close(BlockNode *node)
{
    nbd_forget(block_node_state(node));
}

static int64_t nbd_length(BlockNode *node)
{
    return (int64_t)((Nbd *)block_node_state(node))->size;
}

static bool nbd_reopen(BlockNode *node, GError **error)
{
    Nbd *nbd = block_node_state(node);
    return block_node_read_only(node) || !(nbd->flags & NBD_FLAG_READ_ONLY) ||
           fail(error, "the server exports it read-only");
}

static void nbd_limits(BlockNode *node, BlockLimits *limits)
{
    Nbd *nbd = block_node_state(node);
    limits->align = nbd->minimum;
    limits->optimal = nbd->preferred;
    limits->max_transfer = MIN(nbd->maximum, NBD_MAX_PAYLOAD) & ~(uint64_t)(nbd->minimum - 1);
    limits->max_effect = UINT32_MAX & ~(uint64_t)(MAX(nbd->minimum, 65536) - 1);
    limits->zero_align = limits->discard_align = nbd->minimum;
    limits->fua = nbd->flags & NBD_FLAG_SEND_FUA;
    limits->can_discard = nbd->flags & NBD_FLAG_SEND_TRIM;
    limits->quick_zero = nbd->flags & NBD_FLAG_SEND_WRITE_ZEROES && nbd->flags & NBD_FLAG_SEND_FAST_ZERO;
}

/* ---- Requests -------------------------------------------------------------------- */

/* The link with the least to do; more are made when all have much. */
static NbdLink *pick(Nbd *nbd)
{
    unsigned n = nbd->links_up;
    NbdLink *best = &nbd->links[0];
    if (nbd->connections == 1)
        return best;
    unsigned least = UINT_MAX;
    for (unsigned i = 0; i < n; i++) {
        NbdLink *l = &nbd->links[i];
        g_mutex_lock(&l->lock);
        if (l->state == LINK_UP && l->used < least) {
            best = l;
            least = l->used;
        }
        g_mutex_unlock(&l->lock);
    }
    if (least >= NBD_MANY && least != UINT_MAX && n < nbd->connections)
        nbd_link_add(nbd);
    return best;
}

/* Beyond the end of an export with an odd size there are zeroes, which cannot be written to. */
static int clip(const Nbd *nbd, BlockRequest *req, uint64_t *length)
{
    uint64_t inside = req->at < nbd->size ? nbd->size - req->at : 0, at = 0;
    *length = MIN(req->bytes, inside);
    if (*length == req->bytes || (req->op != BLOCK_READ && req->op != BLOCK_WRITE))
        return 0;
    for (int i = 0; i < req->iovcnt; at += req->iov[i++].iov_len)
        for (size_t b = at < *length ? (size_t)MIN(*length - at, req->iov[i].iov_len) : 0; b < req->iov[i].iov_len; b++) {
            uint8_t *p = (uint8_t *)req->iov[i].iov_base + b;
            if (req->op == BLOCK_READ)
                *p = 0;
            else if (*p)
                return -ENOSPC;
        }
    return 0;
}

static int nbd_submit(BlockNode *node, BlockRequest *req)
{
    static const uint16_t commands[] = { [BLOCK_READ] = NBD_CMD_READ, [BLOCK_WRITE] = NBD_CMD_WRITE,
                                         [BLOCK_ZERO] = NBD_CMD_WRITE_ZEROES, [BLOCK_DISCARD] = NBD_CMD_TRIM,
                                         [BLOCK_FLUSH] = NBD_CMD_FLUSH };
    Nbd *nbd = block_node_state(node);
    NbdRequest asked = { .command = commands[req->op], .offset = req->at };
    int r = req->op == BLOCK_FLUSH ? 0 : clip(nbd, req, &asked.length);
    if (r)
        return r;
    if (req->how & BLOCK_FUA && req->op != BLOCK_FLUSH && nbd->flags & NBD_FLAG_SEND_FUA)
        asked.flags |= NBD_CMD_FLAG_FUA;
    switch (req->op) {
    case BLOCK_FLUSH:
        if (!(nbd->flags & NBD_FLAG_SEND_FLUSH))
            return 0;
        asked.offset = 0;
        break;
    case BLOCK_DISCARD:
        if (!(nbd->flags & NBD_FLAG_SEND_TRIM))
            return 0;
        break;
    case BLOCK_ZERO:
        if (!(nbd->flags & NBD_FLAG_SEND_WRITE_ZEROES) ||
            (req->how & BLOCK_NO_FALLBACK && !(nbd->flags & NBD_FLAG_SEND_FAST_ZERO)))
            return -ENOTSUP;
        asked.flags |= req->how & BLOCK_MAY_UNMAP ? 0 : NBD_CMD_FLAG_NO_HOLE;
        asked.flags |= req->how & BLOCK_NO_FALLBACK ? NBD_CMD_FLAG_FAST_ZERO : 0;
        break;
    default:
        break;
    }
    if (!asked.length && req->op != BLOCK_FLUSH)
        return 0;
    return nbd_slot_submit(pick(nbd), req, NULL, &asked);
}

/* ---- What is where ----------------------------------------------------------------- */

static int ask_status(Nbd *nbd, uint64_t offset, uint64_t bytes, NbdStatus *status)
{
    NbdRequest asked = { .command = NBD_CMD_BLOCK_STATUS, .offset = offset, .length = bytes };
    int r;
    while ((r = nbd_slot_submit(pick(nbd), NULL, status, &asked)) == -EBUSY)
        g_usleep(1000);
    if (r != BLOCK_PENDING)
        return r;
    g_mutex_lock(&status->lock);
    while (!status->over)
        g_cond_wait(&status->cond, &status->lock);
    g_mutex_unlock(&status->lock);
    return -status->err;
}

static unsigned convert(const NbdStatus *status, uint64_t offset, uint64_t end, BlockExtent *out, unsigned max)
{
    unsigned n = 0;
    for (unsigned i = 0; i < status->extents->len && n < max && offset < end; i++) {
        const NbdExtent *e = &g_array_index(status->extents, NbdExtent, i);
        unsigned flags = e->flags & NBD_STATE_HOLE ? 0 : BLOCK_EXTENT_DATA;
        flags |= e->flags & NBD_STATE_ZERO ? BLOCK_EXTENT_ZERO : 0;
        flags |= flags ? BLOCK_EXTENT_ALLOCATED | BLOCK_EXTENT_HOST : 0;
        out[n++] = (BlockExtent){ .offset = offset, .bytes = MIN(e->length, end - offset), .flags = flags,
                                  .host = offset };
        offset += out[n - 1].bytes;
    }
    return n;
}

static int nbd_extents(BlockNode *node, uint64_t offset, uint64_t bytes, unsigned flags, BlockExtent *out,
                       unsigned max)
{
    Nbd *nbd = block_node_state(node);
    const char *file = block_node_file(node);
    if (offset >= nbd->size) {
        *out = (BlockExtent){ .offset = offset, .bytes = bytes, .flags = BLOCK_EXTENT_ZERO };
        return 1;
    }
    *out = (BlockExtent){ .offset = offset, .bytes = bytes, .host = offset, .file = file,
                          .flags = BLOCK_EXTENT_DATA | BLOCK_EXTENT_ALLOCATED | BLOCK_EXTENT_HOST };
    if (!nbd->has_context || flags & BLOCK_EXTENTS_ALLOCATION)
        return 1;
    uint64_t unit = nbd->minimum, start = offset & ~(unit - 1), end = MIN(offset + bytes, nbd->size);
    uint64_t most = (nbd->extended ? INT64_MAX : UINT32_MAX) & ~(uint64_t)(MAX(unit, 65536) - 1);
    uint64_t ask = MIN(MIN((end + unit - 1) & ~(unit - 1), nbd->size) - start, most);
    NbdStatus status = { .context = nbd->context_id, .extents = g_array_new(false, false, sizeof(NbdExtent)) };
    g_mutex_init(&status.lock);
    g_cond_init(&status.cond);
    int r = ask_status(nbd, start, ask, &status);
    if (!r && !status.extents->len)
        r = -EIO;
    if (!r) {
        NbdExtent *first = &g_array_index(status.extents, NbdExtent, 0);
        if (first->length <= offset - start)
            r = -EIO;
        else
            first->length -= offset - start;
    }
    if (!r)
        r = (int)convert(&status, offset, end, out, max);
    for (int i = 0; i < r; i++)
        out[i].file = file;
    g_array_unref(status.extents);
    g_mutex_clear(&status.lock);
    g_cond_clear(&status.cond);
    return r;
}

static const char *const aliases[] = { "nbds", "nbd+tcp", "nbds+tcp", "nbd+unix", "nbds+unix", "nbd+vsock",
                                       "nbds+vsock", NULL };

const BlockDriver block_nbd_driver = {
    .name = "nbd",
    .summary = "a disk that an NBD server exports",
    .size = sizeof(Nbd),
    .props = props,
    .protocol = true,
    .aliases = aliases,
    .parse_name = nbd_name_parse,
    .open = nbd_open,
    .close = nbd_close,
    .reopen = nbd_reopen,
    .length = nbd_length,
    .limits = nbd_limits,
    .extents = nbd_extents,
    .submit = nbd_submit,
};
