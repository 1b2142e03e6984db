/* SPDX-License-Identifier: MIT */
/*
 * Key slots of an image that is there already: state=active adds the passphrase new-secret,
 * state=inactive erases what old-secret opens or the slot keyslot=. The last slot is erased, and a
 * used one replaced, by force only.
 */
#include "block/drivers/luks_priv.h"

#include "base/error.h"

#include <json-c/json.h>

const char *const luks_amend_names[] = { "state",   "new-secret", "old-secret",
                                         "keyslot", "iter-time",  NULL };
const char *const luks_amend_encrypt_names[] = { "encrypt.state",      "encrypt.new-secret",
                                                 "encrypt.old-secret", "encrypt.keyslot",
                                                 "encrypt.iter-time",  NULL };

typedef struct {
    int state;
    char *new_secret, *old_secret, *keyslot; /* NULL: not given */
    uint64_t iter_time;
} Change;

static const char *const states[] = { "active", "inactive", NULL };

#define AMEND_PROPS(P) \
    { .name = P "state", .kind = BLOCK_PROP_ENUM, .offset = offsetof(Change, state), \
      .needed = true, .names = states, \
      .help = "Select new state of affected keyslots (active/inactive)" }, \
    { .name = P "new-secret", .kind = BLOCK_PROP_STRING, .offset = offsetof(Change, new_secret), \
      .help = "New secret to set in the matching keyslots" }, \
    { .name = P "old-secret", .kind = BLOCK_PROP_STRING, .offset = offsetof(Change, old_secret), \
      .help = "Select all keyslots that match this password" }, \
    { .name = P "keyslot", .kind = BLOCK_PROP_STRING, .offset = offsetof(Change, keyslot), \
      .help = "Select a single keyslot to modify explicitly" }, \
    { .name = P "iter-time", .kind = BLOCK_PROP_NUMBER, .offset = offsetof(Change, iter_time), \
      .def = "2000", .min = 1, \
      .max = LUKS_MAX_ITER_TIME, .help = "Time to spend in PBKDF in milliseconds" }, \
    { 0 }

static const BlockProp plain_props[] = { AMEND_PROPS("") };
static const BlockProp encrypt_props[] = { AMEND_PROPS("encrypt.") };

/* keyslot= as a number; -1: not given. */
static bool get_slot(const Change *c, int *slot, GError **error)
{
    guint64 n = 0;

    *slot = -1;
    if (!c->keyslot)
        return true;
    if (!g_ascii_string_to_unsigned(c->keyslot, 10, 0, CRYPTO_LUKS_SLOTS - 1, &n, NULL))
        return fail_usage(error, "Invalid keyslot %s. Keyslot must be between 0 and %d", c->keyslot,
                          CRYPTO_LUKS_SLOTS - 1);
    *slot = (int)n;
    return true;
}

static bool secret_of(BlockNode *node, const char *id, CryptoPass *pass, GError **error)
{
    pass->data =
        crypto_secret_text(block_graph_objects(block_node_graph(node)), id, &pass->len, error);
    return pass->data != NULL;
}

static bool activate(BlockNode *node, const CryptoLuksIo *io, CryptoLuks *luks, const char *secret,
                     const Change *c, int slot, bool force, GError **error)
{
    uint8_t key[CRYPTO_MAX_KEY];
    CryptoPass old, new;

    if (!c->new_secret)
        return fail_usage(error, "'new-secret' is required to activate a keyslot");
    if (c->old_secret)
        return fail_usage(error, "'old-secret' must not be given when activating keyslots");
    if (slot >= 0 && luks->slots[slot].active && !force)
        return fail(error, "Can't update keyslot %d: it is active (--force replaces it)", slot);
    for (int n = 0; slot < 0 && n < CRYPTO_LUKS_SLOTS; n++)
        if (!luks->slots[n].active)
            slot = n;
    if (slot < 0)
        return fail(error, "Can't add a keyslot - all keyslots are in use");
    if (!secret)
        return fail_usage(error, "the secret that opens the image now is needed (key-secret=)");
    bool ok = secret_of(node, secret, &old, error) && secret_of(node, c->new_secret, &new, error) &&
              crypto_luks_open(luks, io, old, key, NULL, error) &&
              crypto_luks_set_slot(luks, io, (unsigned)slot, new, key, c->iter_time, error);
    crypto_wipe(key, sizeof key);
    return ok;
}

static bool deactivate(BlockNode *node, const CryptoLuksIo *io, CryptoLuks *luks, const Change *c,
                       int slot, bool force, GError **error)
{
    bool hit[CRYPTO_LUKS_SLOTS] = { false };
    unsigned hits = 0, active = 0;
    CryptoPass old;

    if (c->new_secret)
        return fail_usage(error, "'new-secret' must not be given when erasing keyslots");
    if (!c->old_secret && slot < 0)
        return fail_usage(error, "either 'keyslot' or 'old-secret' says what to erase");
    if (c->old_secret && !secret_of(node, c->old_secret, &old, error))
        return false;
    for (int n = 0; n < CRYPTO_LUKS_SLOTS; n++) {
        uint8_t key[CRYPTO_MAX_KEY];
        active += luks->slots[n].active;
        int r = slot >= 0 && n != slot ? 0 : !c->old_secret ? luks->slots[n].active
                : crypto_luks_try(luks, io, (unsigned)n, old, key, error);
        crypto_wipe(key, sizeof key);
        if (r < 0)
            return false;
        hit[n] = r;
        hits += hit[n];
    }
    if (!hits)
        return slot >= 0
                   ? fail(
                         error,
                         "Given keyslot %d is already erased (inactive), or has another passphrase",
                         slot)
                   : fail(error, "No keyslots match given (old) password for erase operation");
    if (hits == active && !force)
        return fail(
            error,
            "All the active keyslots would be erased, which will erase all the data in the image "
            "irreversibly - refusing operation");
    for (unsigned n = 0; n < CRYPTO_LUKS_SLOTS; n++)
        if (hit[n] && !crypto_luks_erase_slot(luks, io, n, error))
            return false;
    return true;
}

bool luks_amend(BlockNode *node, BlockUser *file, uint64_t at, const char *put, const char *secret,
                CryptoLuks *luks, struct json_object *options, bool force, GError **error)
{
    const BlockProp *props = *put ? encrypt_props : plain_props;
    LuksArea area = { file, at };
    CryptoLuksIo io = luks_io(&area);
    Change c = { 0 };
    int slot;

    bool ok = block_props_read(props, options, &c, error) && get_slot(&c, &slot, error) &&
              (c.state == 0 ? activate(node, &io, luks, secret, &c, slot, force, error)
                            : deactivate(node, &io, luks, &c, slot, force, error));
    block_props_clear(props, &c);
    return ok;
}
