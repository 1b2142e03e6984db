/* SPDX-License-Identifier: MIT */
/* LUKS headers in disks: made, opened with a secret, told of, and their key slots changed. */
#include "block/drivers/luks_priv.h"

#include "base/error.h"

#include <errno.h>
#include <json-c/json.h>

const char *const luks_ciphers[] = { "aes-128", "aes-192", "aes-256", NULL };

static int area_read(void *opaque, uint64_t offset, void *buf, size_t len)
{
    const LuksArea *a = opaque;

    return block_read(a->file, a->at + offset, buf, len);
}

static int area_write(void *opaque, uint64_t offset, const void *buf, size_t len)
{
    const LuksArea *a = opaque;

    return block_write(a->file, a->at + offset, buf, len, BLOCK_FUA);
}

CryptoLuksIo luks_io(LuksArea *area)
{
    return (CryptoLuksIo){ area_read, area_write, area };
}

/* ---- making -------------------------------------------------------------- */

static bool passphrase(BlockGraph *graph, const char *prefix, const char *secret, CryptoPass *pass,
                       GError **error)
{
    if (!secret)
        return fail_usage(error, "Parameter '%skey-secret' is required for cipher", prefix);
    pass->data = crypto_secret_text(block_graph_objects(graph), secret, &pass->len, error);
    return pass->data != NULL;
}

bool luks_plan(BlockGraph *graph, const LuksWanted *w, const char *prefix, CryptoLuks *luks,
               CryptoPass *pass, GError **error)
{
    uint32_t aes = 16 + 8 * (uint32_t)w->cipher;

    if (!passphrase(graph, prefix, w->secret, pass, error))
        return false;
    *luks = (CryptoLuks){ .kind = { (CryptoMode)w->mode, (CryptoIv)w->ivgen,
                          (CryptoHash)w->iv_hash },
                          .hash = (CryptoHash)w->hash,
                          .key_len = w->mode == CRYPTO_XTS ? 2 * aes : aes };
    /* what cannot be is told before there is a file */
    uint8_t probe[CRYPTO_MAX_KEY] = { 1 };
    g_autoptr(CryptoCipher) cipher = crypto_cipher_new(&luks->kind, probe, luks->key_len, error);
    return cipher && crypto_luks_lay_out(luks, error);
}

bool luks_write_new(BlockUser *file, uint64_t at, CryptoLuks *luks, CryptoPass pass,
                    uint64_t iter_ms, GError **error)
{
    LuksArea area = { file, at };
    CryptoLuksIo io = luks_io(&area);

    return crypto_luks_format(luks, &io, pass, iter_ms, error);
}

/* ---- opening ------------------------------------------------------------- */

bool luks_open_header(BlockNode *node, BlockUser *file, uint64_t at, uint64_t room, const char *put,
                      const char *secret, CryptoLuks *luks, CryptoCipher **cipher, GError **error)
{
    const char *name = block_node_file(node);
    uint8_t head[CRYPTO_LUKS_HEADER];
    LuksArea area = { file, at };
    CryptoLuksIo io = luks_io(&area);
    CryptoPass pass;

    *cipher = NULL;
    if (room < sizeof head || at > block_size(file) || block_size(file) - at < sizeof head)
        return fail(error, "%s: too short for a LUKS header", name);
    int r = block_read(file, at, head, sizeof head);
    if (r)
        return fail_errno(error, -r, "%s: its LUKS header", name);
    room = MIN(room, block_size(file) - at);
    if (!crypto_luks_parse(luks, head, room, error))
        return prefix(error, "%s", name);
    if (block_node_no_data(node))
        return true;
    if (passphrase(block_node_graph(node), put, secret, &pass, error))
        *cipher = crypto_luks_unlock(luks, &io, pass, error);
    return *cipher || prefix(error, "%s", name);
}

/* ---- info ---------------------------------------------------------------- */

static void add_text(struct json_object *o, const char *key, const char *value)
{
    json_object_object_add(o, key, json_object_new_string(value));
}

static void add_number(struct json_object *o, const char *key, uint64_t value)
{
    json_object_object_add(o, key, json_object_new_int64((int64_t)value));
}

void luks_describe(const CryptoLuks *l, bool format, struct json_object *data)
{
    struct json_object *slots = json_object_new_array();
    uint32_t aes = l->kind.mode == CRYPTO_XTS ? l->key_len / 2 : l->key_len;

    add_text(data, "ivgen-alg", crypto_iv_names[l->kind.iv]);
    add_text(data, "hash-alg", crypto_hash_names[l->hash]);
    add_text(data, "cipher-alg", luks_ciphers[(aes - 16) / 8]);
    add_text(data, "uuid", l->uuid);
    if (l->kind.iv == CRYPTO_ESSIV)
        add_text(data, "ivgen-hash-alg", crypto_hash_names[l->kind.iv_hash]);
    if (format)
        add_text(data, "format", "luks");
    add_text(data, "cipher-mode", crypto_mode_names[l->kind.mode]);
    for (unsigned n = 0; n < CRYPTO_LUKS_SLOTS; n++) {
        const CryptoLuksSlot *s = &l->slots[n];
        struct json_object *o = json_object_new_object();
        json_object_object_add(o, "active", json_object_new_boolean(s->active));
        if (s->active)
            add_number(o, "iters", s->iterations);
        add_number(o, "key-offset", s->offset);
        if (s->active)
            add_number(o, "stripes", s->stripes);
        json_object_array_add(slots, o);
    }
    json_object_object_add(data, "slots", slots);
    add_number(data, "payload-offset", l->payload);
    add_number(data, "master-key-iters", l->iterations);
}
