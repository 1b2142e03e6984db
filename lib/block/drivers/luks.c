/* SPDX-License-Identifier: MIT */
/*
 * LUKS1 as a format: a header with key slots (lib/crypto/luks.h), behind it the disk, encrypted by
 * sectors numbered from its beginning. A new disk's data is whatever the file has there, decrypted.
 */
#include "block/drivers/luks_priv.h"

#include "base/error.h"

#include <json-c/json.h>

typedef struct {
    char *secret;
    BlockUser *file;
    CryptoLuks luks;
    CryptoCipher *cipher; /* NULL: opened without its data in mind */
} Luks;

static const BlockProp props[] = {
    { .name = "key-secret", .kind = BLOCK_PROP_STRING, .offset = offsetof(Luks, secret),
      .help = "the secret that holds the passphrase" },
    { 0 }
};

static const BlockChildSlot children[] = {
    { .name = "file", .role = BLOCK_CHILD_FILE, .offset = offsetof(Luks, file) },
    { 0 }
};

static int luks_probe(const uint8_t *head, size_t len, const char *file)
{
    return crypto_luks_is(head, len) ? 100 : 0;
}

static bool luks_open(BlockNode *node, GError **error)
{
    Luks *l = block_node_state(node);

    if (!luks_open_header(node, l->file, 0, UINT64_MAX, "", l->secret, &l->luks, &l->cipher, error))
        return false;
    if (l->luks.payload <= block_size(l->file))
        return true;
    g_clear_pointer(&l->cipher, crypto_cipher_free);
    return fail(error, "%s: LUKS data begins past the end of the file", block_node_file(node));
}

static void luks_close(BlockNode *node)
{
    Luks *l = block_node_state(node);

    crypto_cipher_free(l->cipher);
}

static int64_t luks_length(BlockNode *node)
{
    Luks *l = block_node_state(node);
    uint64_t all = block_size(l->file);

    return all > l->luks.payload
               ? (int64_t)((all - l->luks.payload) & ~(uint64_t)(BLOCK_SECTOR - 1))
               : 0;
}

static void luks_limits(BlockNode *node, BlockLimits *limits)
{
    limits->align = CRYPTO_SECTOR;
    limits->fua = true; /* passed on */
    limits->can_discard = limits->quick_zero = limits->zero_init = false;
}

static int luks_do_read(BlockNode *node, uint64_t offset, uint64_t bytes, const struct iovec *iov,
                        int iovcnt)
{
    Luks *l = block_node_state(node);

    return luks_read(l->file, l->cipher, l->luks.payload + offset, offset / CRYPTO_SECTOR, bytes,
                     iov, iovcnt);
}

static int luks_do_write(BlockNode *node, uint64_t offset, uint64_t bytes, const struct iovec *iov,
                         int iovcnt, unsigned flags)
{
    Luks *l = block_node_state(node);

    return luks_write(l->file, l->cipher, l->luks.payload + offset, offset / CRYPTO_SECTOR, bytes,
                      iov, iovcnt, flags & BLOCK_FUA);
}

static bool luks_resize(BlockNode *node, uint64_t size, BlockPrealloc prealloc, GError **error)
{
    Luks *l = block_node_state(node);

    if (size > BLOCK_MAX_SIZE - l->luks.payload)
        return fail_usage(error, "%s: larger than 8 EiB", block_node_file(node));
    return block_resize(l->file, l->luks.payload + size, prealloc, error);
}

static void luks_info(BlockNode *node, struct json_object *into)
{
    Luks *l = block_node_state(node);
    struct json_object *data = json_object_new_object();

    json_object_object_add(into, "type", json_object_new_string("luks"));
    luks_describe(&l->luks, false, data);
    json_object_object_add(into, "data", data);
}

static bool luks_do_amend(BlockNode *node, struct json_object *options, bool force, GError **error)
{
    Luks *l = block_node_state(node);

    return block_props_done(NULL, luks_amend_names, options, "luks", error) &&
           luks_amend(node, l->file, 0, "", l->secret, &l->luks, options, force, error);
}

/* ---- making -------------------------------------------------------------- */

typedef struct {
    uint64_t size, extent_size_hint;
    LuksWanted luks;
    int preallocation;
    bool nocow;
} Wanted;

static const char *const preallocations[] = { "off", "falloc", "full", NULL };

static const BlockProp create_props[] = {
    LUKS_CREATE_PROPS("", Wanted, luks, "ID of the secret that provides the keyslot passphrase"),
    { .name = "extent_size_hint", .kind = BLOCK_PROP_SIZE, .offset = offsetof(Wanted,
      extent_size_hint),
      .below = true, .help = "Extent size hint for the image file, 0 to disable" },
    { .name = "nocow", .kind = BLOCK_PROP_BOOL, .offset = offsetof(Wanted, nocow), .below = true,
      .help = "Turn off copy-on-write (valid only on btrfs)" },
    { .name = "preallocation", .kind = BLOCK_PROP_ENUM, .offset = offsetof(Wanted, preallocation),
      .def = "off",
      .below = true, .names = preallocations,
      .help = "Preallocation mode (allowed values: off, falloc, full)" },
    { .name = "size", .kind = BLOCK_PROP_SIZE, .offset = offsetof(Wanted, size),
      .help = "Virtual disk size" },
    { 0 }
};

static bool make(BlockGraph *graph, const char *name, const Wanted *w, GError **error)
{
    static const BlockPrealloc how[] = { BLOCK_PREALLOC_OFF, BLOCK_PREALLOC_FALLOC,
                                         BLOCK_PREALLOC_FULL };
    CryptoLuks luks;
    CryptoPass pass;

    if (!luks_plan(graph, &w->luks, "", &luks, &pass, error))
        return false;
    if (w->size > BLOCK_MAX_SIZE - luks.payload)
        return fail_usage(error, "%s: larger than 8 EiB", name);
    g_autoptr(BlockUser) file = block_make_file(graph, name, error);
    if (!file)
        return false;
    uint64_t size = (w->size + BLOCK_SECTOR - 1) & ~(uint64_t)(BLOCK_SECTOR - 1);
    if (block_resize(file, luks.payload + size, how[w->preallocation], error) &&
        luks_write_new(file, 0, &luks, pass, w->luks.iter_time, error))
        return true;
    block_detach(g_steal_pointer(&file));
    block_remove_file(name);
    return false;
}

static bool luks_create(BlockGraph *graph, struct json_object *options, GError **error)
{
    struct json_object *filename = NULL;
    Wanted w = { 0 };

    if (!json_object_object_get_ex(options, "filename", &filename))
        return fail_usage(error, "filename=... is missing");
    bool ok = block_props_read(create_props, options, &w, error) &&
              make(graph, json_object_get_string(filename), &w, error);
    block_props_clear(create_props, &w);
    return ok;
}

static bool luks_measure(struct json_object *options, BlockUser *source, BlockMeasure *result,
                         GError **error)
{
    Wanted w = { 0 };
    CryptoLuks luks;
    bool ok = block_props_read(create_props, options, &w, error);

    if (ok) {
        uint32_t aes = 16 + 8 * (uint32_t)w.luks.cipher;
        luks = (CryptoLuks){ .key_len = w.luks.mode == CRYPTO_XTS ? 2 * aes : aes };
        ok = crypto_luks_lay_out(&luks, error);
    }
    if (ok) {
        uint64_t all = luks.payload + (source ? block_size(source) : w.size);
        *result = (BlockMeasure){ all, all, UINT64_MAX };
    }
    block_props_clear(create_props, &w);
    return ok;
}

extern const BlockDriver block_luks_driver;
const BlockDriver block_luks_driver = {
    .name = "luks",
    .summary = "a disk encrypted as LUKS1, opened by a passphrase",
    .size = sizeof(Luks),
    .props = props,
    .children = children,
    .probe = luks_probe,
    .create = luks_create,
    .create_props = create_props,
    .open = luks_open,
    .close = luks_close,
    .length = luks_length,
    .limits = luks_limits,
    .resize = luks_resize,
    .read = luks_do_read,
    .write = luks_do_write,
    .info = luks_info,
    .measure = luks_measure,
    .amend = luks_do_amend,
};
