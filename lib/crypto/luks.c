/* SPDX-License-Identifier: MIT */
/* The header of LUKS1: read with every field checked before it is believed, laid out, written. */
#include "crypto/luks.h"

#include "base/bytes.h"
#include "base/error.h"

#include <string.h>

static const uint8_t magic[6] = { 'L', 'U', 'K', 'S', 0xba, 0xbe };

enum {
    /* offsets in the header */
    AT_VERSION = 6, AT_CIPHER = 8, AT_MODE = 40, AT_HASH = 72, AT_PAYLOAD = 104, AT_KEY_BYTES = 108, AT_DIGEST = 112,
    AT_SALT = 132, AT_ITERATIONS = 164, AT_UUID = 168, AT_SLOTS = 208, SLOT_SIZE = 48,
    NAME_BYTES = 32, UUID_BYTES = 40,
    ALIGN = 4096, /* of slots and data, when we lay them out */
};
#define SLOT_ACTIVE UINT32_C(0x00ac71f3)
#define SLOT_FREE UINT32_C(0x0000dead)

bool crypto_luks_is(const uint8_t *head, size_t len)
{
    return len >= AT_CIPHER && !memcmp(head, magic, sizeof magic);
}

/* ---- reading ------------------------------------------------------------- */

/* The index of the name of len bytes; -1: none of them. */
static int index_of(const char *const *names, const char *text, size_t len)
{
    for (int i = 0; names[i]; i++)
        if (strlen(names[i]) == len && !memcmp(names[i], text, len))
            return i;
    return -1;
}

static bool text_field(const uint8_t *p, size_t room, char *out, const char *what, GError **error)
{
    if (!memchr(p, 0, room))
        return fail(error, "LUKS header: the %s does not end", what);
    memcpy(out, p, room);
    for (char *c = out; *c; c++)
        if (!g_ascii_isgraph(*c))
            return fail(error, "LUKS header: the %s is not text", what);
    return true;
}

static bool parse_names(CryptoLuks *l, const uint8_t *head, GError **error)
{
    char cipher[NAME_BYTES], mode[NAME_BYTES], hash[NAME_BYTES];

    if (!text_field(head + AT_CIPHER, NAME_BYTES, cipher, "cipher's name", error) ||
        !text_field(head + AT_MODE, NAME_BYTES, mode, "cipher's mode", error) ||
        !text_field(head + AT_HASH, NAME_BYTES, hash, "hash's name", error) ||
        !text_field(head + AT_UUID, UUID_BYTES, l->uuid, "UUID", error))
        return false;
    if (strcmp(cipher, "aes"))
        return fail(error, "LUKS cipher '%s' is not there (aes is)", cipher);
    int h = index_of(crypto_hash_names, hash, strlen(hash));
    if (h < 0)
        return fail(error, "LUKS hash '%s' is not known", hash);
    l->hash = (CryptoHash)h;
    /* MODE-IV or MODE-IV:HASH */
    size_t n = strcspn(mode, "-");
    int m = index_of(crypto_mode_names, mode, n);
    const char *iv = mode[n] ? mode + n + 1 : "";
    size_t iv_len = strcspn(iv, ":");
    const char *iv_hash = iv[iv_len] ? iv + iv_len + 1 : NULL;
    int i = index_of(crypto_iv_names, iv, iv_len);
    int ih = iv_hash ? index_of(crypto_hash_names, iv_hash, strlen(iv_hash)) : CRYPTO_SHA256;
    if (m < 0 || i < 0 || ih < 0 || (i == CRYPTO_ESSIV) != !!iv_hash)
        return fail(error, "LUKS cipher mode '%s' is not known", mode);
    l->kind = (CryptoKind){ (CryptoMode)m, (CryptoIv)i, (CryptoHash)ih };
    return true;
}

static uint64_t material_bytes(const CryptoLuks *l, uint32_t stripes)
{
    return ((uint64_t)stripes * l->key_len + CRYPTO_SECTOR - 1) / CRYPTO_SECTOR * CRYPTO_SECTOR;
}

/* Whether what slots claim is where it may be. Those that are free are held to it too, since they may
 * be written later. */
static bool check_slot(const CryptoLuks *l, unsigned n, uint64_t room, GError **error)
{
    const CryptoLuksSlot *s = &l->slots[n];

    if (!s->stripes || s->stripes > CRYPTO_LUKS_MAX_STRIPES)
        return fail(error, "LUKS key slot %u has %u stripes (1 to %d are possible)", n, s->stripes,
                    CRYPTO_LUKS_MAX_STRIPES);
    uint64_t bytes = material_bytes(l, s->stripes), end = l->payload ? MIN(l->payload, room) : room;
    if (s->offset < CRYPTO_LUKS_HEADER || s->offset > end || bytes > end - s->offset)
        return fail(error, "LUKS key slot %u at %" G_GUINT64_FORMAT " reaches out of the header", n, s->offset);
    for (unsigned i = 0; i < n; i++) {
        const CryptoLuksSlot *o = &l->slots[i];
        if (s->offset < o->offset + material_bytes(l, o->stripes) && o->offset < s->offset + bytes)
            return fail(error, "LUKS key slots %u and %u overlap", i, n);
    }
    if (s->active && (!s->iterations || s->iterations > CRYPTO_LUKS_MAX_ITERATIONS))
        return fail(error, "LUKS key slot %u asks for %u iterations (1 to %d are possible)", n, s->iterations,
                    CRYPTO_LUKS_MAX_ITERATIONS);
    return true;
}

static bool parse_slots(CryptoLuks *l, const uint8_t *head, uint64_t room, GError **error)
{
    for (unsigned n = 0; n < CRYPTO_LUKS_SLOTS; n++) {
        const uint8_t *p = head + AT_SLOTS + n * SLOT_SIZE;
        CryptoLuksSlot *s = &l->slots[n];
        uint32_t state = ld_be32(p);
        if (state != SLOT_ACTIVE && state != SLOT_FREE)
            return fail(error, "LUKS key slot %u is neither used nor free (%#x)", n, state);
        s->active = state == SLOT_ACTIVE;
        s->iterations = ld_be32(p + 4);
        memcpy(s->salt, p + 8, sizeof s->salt);
        s->offset = (uint64_t)ld_be32(p + 40) * CRYPTO_SECTOR;
        s->stripes = ld_be32(p + 44);
        if (!check_slot(l, n, room, error))
            return false;
    }
    return true;
}

bool crypto_luks_parse(CryptoLuks *l, const uint8_t head[CRYPTO_LUKS_HEADER], uint64_t room, GError **error)
{
    *l = (CryptoLuks){ 0 };
    if (!crypto_luks_is(head, CRYPTO_LUKS_HEADER))
        return fail(error, "Volume is not in LUKS format");
    if (ld_be16(head + AT_VERSION) != 1)
        return fail(error, "LUKS version %u is not supported", ld_be16(head + AT_VERSION));
    if (!parse_names(l, head, error))
        return false;
    l->payload = (uint64_t)ld_be32(head + AT_PAYLOAD) * CRYPTO_SECTOR;
    l->key_len = ld_be32(head + AT_KEY_BYTES);
    memcpy(l->digest, head + AT_DIGEST, sizeof l->digest);
    memcpy(l->salt, head + AT_SALT, sizeof l->salt);
    l->iterations = ld_be32(head + AT_ITERATIONS);
    uint32_t aes = l->kind.mode == CRYPTO_XTS ? l->key_len / 2 : l->key_len;
    if ((aes != 16 && aes != 24 && aes != 32) || (l->kind.mode == CRYPTO_XTS && l->key_len % 2))
        return fail(error, "a LUKS key of %u bytes is none of AES in mode %s", l->key_len,
                    crypto_mode_names[l->kind.mode]);
    if (!l->iterations || l->iterations > CRYPTO_LUKS_MAX_ITERATIONS)
        return fail(error, "LUKS header asks for %u iterations (1 to %d are possible)", l->iterations,
                    CRYPTO_LUKS_MAX_ITERATIONS);
    return parse_slots(l, head, room, error);
}

/* ---- writing ------------------------------------------------------------- */

void crypto_luks_bytes(const CryptoLuks *l, uint8_t head[CRYPTO_LUKS_HEADER])
{
    bool essiv = l->kind.iv == CRYPTO_ESSIV;

    memset(head, 0, CRYPTO_LUKS_HEADER);
    memcpy(head, magic, sizeof magic);
    st_be16(head + AT_VERSION, 1);
    memcpy(head + AT_CIPHER, "aes", 3);
    g_snprintf((char *)head + AT_MODE, NAME_BYTES, "%s-%s%s%s", crypto_mode_names[l->kind.mode],
               crypto_iv_names[l->kind.iv], essiv ? ":" : "", essiv ? crypto_hash_names[l->kind.iv_hash] : "");
    g_snprintf((char *)head + AT_HASH, NAME_BYTES, "%s", crypto_hash_names[l->hash]);
    st_be32(head + AT_PAYLOAD, (uint32_t)(l->payload / CRYPTO_SECTOR));
    st_be32(head + AT_KEY_BYTES, l->key_len);
    memcpy(head + AT_DIGEST, l->digest, sizeof l->digest);
    memcpy(head + AT_SALT, l->salt, sizeof l->salt);
    st_be32(head + AT_ITERATIONS, l->iterations);
    memcpy(head + AT_UUID, l->uuid, UUID_BYTES);
    for (unsigned n = 0; n < CRYPTO_LUKS_SLOTS; n++) {
        const CryptoLuksSlot *s = &l->slots[n];
        uint8_t *p = head + AT_SLOTS + n * SLOT_SIZE;
        st_be32(p, s->active ? SLOT_ACTIVE : SLOT_FREE);
        st_be32(p + 4, s->iterations);
        memcpy(p + 8, s->salt, sizeof s->salt);
        st_be32(p + 40, (uint32_t)(s->offset / CRYPTO_SECTOR));
        st_be32(p + 44, s->stripes);
    }
}

static bool new_uuid(char out[UUID_BYTES], GError **error)
{
    uint8_t r[16];

    if (!crypto_random(r, sizeof r, error))
        return false;
    r[6] = (r[6] & 0x0f) | 0x40; /* version 4, RFC 4122 */
    r[8] = (r[8] & 0x3f) | 0x80;
    memset(out, 0, UUID_BYTES);
    for (unsigned i = 0, at = 0; i < sizeof r; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            out[at++] = '-';
        g_snprintf(out + at, 3, "%02x", r[i]);
        at += 2;
    }
    return true;
}

bool crypto_luks_lay_out(CryptoLuks *l, GError **error)
{
    uint64_t at = ALIGN;

    for (unsigned n = 0; n < CRYPTO_LUKS_SLOTS; n++) {
        l->slots[n] = (CryptoLuksSlot){ .stripes = CRYPTO_LUKS_STRIPES, .offset = at };
        at += (material_bytes(l, CRYPTO_LUKS_STRIPES) + ALIGN - 1) / ALIGN * ALIGN;
    }
    l->payload = at;
    return new_uuid(l->uuid, error);
}
