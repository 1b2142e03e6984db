/* SPDX-License-Identifier: MIT */
/* What a server tells of an export. Texts from it are made valid UTF-8, as they end in messages. */
#include "nbd/client_priv.h"

#include "base/bytes.h"

NbdListed *nbd_listed_new(const char *name, size_t len)
{
    NbdListed *l = g_new0(NbdListed, 1);
    l->name = g_strndup(name, len);
    l->e.name = l->name;
    l->contexts = g_ptr_array_new_with_free_func(g_free);
    return l;
}

void nbd_listed_free(NbdListed *l)
{
    if (!l)
        return;
    g_free(l->name);
    g_free(l->description);
    g_ptr_array_unref(l->contexts);
    g_free(l);
}

static bool power_of_two(uint32_t v)
{
    return v && !(v & (v - 1));
}

static bool set_sizes(NbdExport *e, const uint8_t *p)
{
    uint32_t minimum = ld_be32(p), preferred = ld_be32(p + 4), maximum = ld_be32(p + 8);
    /* as the protocol has it: minimum up to 64 KiB, preferred at least 512, maximum 2^32 - 1 or a
     * multiple */
    if (!power_of_two(minimum) || minimum > 65536 || !power_of_two(preferred) ||
        preferred < minimum || maximum < minimum || (maximum != UINT32_MAX && maximum % minimum))
        return false;
    e->minimum = minimum;
    e->preferred = preferred;
    e->maximum = maximum;
    return true;
}

bool nbd_listed_info(NbdListed *l, const uint8_t *p, size_t len)
{
    if (len < 2)
        return false;
    const char *text = (const char *)p + 2;
    switch (ld_be16(p)) {
    case NBD_INFO_EXPORT:
        if (len != 12 || ld_be64(p + 2) > INT64_MAX)
            return false;
        l->e.size = ld_be64(p + 2);
        l->e.flags = ld_be16(p + 10);
        l->told = true;
        return true;
    case NBD_INFO_NAME:
        g_free(l->name);
        l->name = g_utf8_make_valid(text, (gssize)(len - 2));
        l->e.name = l->name;
        return len - 2 <= NBD_MAX_STRING;
    case NBD_INFO_DESCRIPTION:
        g_free(l->description);
        l->description = g_utf8_make_valid(text, (gssize)(len - 2));
        l->e.description = l->description;
        return len - 2 <= NBD_MAX_STRING;
    case NBD_INFO_BLOCK_SIZE:
        return len == 14 && set_sizes(&l->e, p + 2);
    default:
        return true;
    }
}

void nbd_listed_context(NbdListed *l, const uint8_t *p, size_t len)
{
    if (l->contexts->len >= NBD_MAX_CONTEXTS)
        return;
    if (l->contexts->len) /* the NULL at the end */
        g_ptr_array_remove_index(l->contexts, l->contexts->len - 1);
    g_ptr_array_add(l->contexts, g_utf8_make_valid((const char *)p, (gssize)len));
    g_ptr_array_add(l->contexts, NULL);
    l->e.contexts = (const char *const *)l->contexts->pdata;
}
