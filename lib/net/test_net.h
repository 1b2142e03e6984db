/* SPDX-License-Identifier: MIT */
/* A card for tests: keeps what it gets. */
#pragma once

#include "base/test_wait.h"
#include "base/error.h"
#include "net/net_priv.h"

#include <string.h>

typedef struct {
    unsigned room; /* packets it still takes */
    unsigned rooms, ups, downs;
    GPtrArray *got; /* of GBytes */
} TestCard;

static bool test_receive(void *opaque, const struct iovec *iov, unsigned count)
{
    TestCard *c = opaque;
    if (!c->room)
        return false;
    c->room--;
    g_autoptr(GByteArray) all = g_byte_array_new();
    for (unsigned i = 0; i < count; i++)
        g_byte_array_append(all, iov[i].iov_base, (guint)iov[i].iov_len);
    g_ptr_array_add(c->got, g_bytes_new(all->data, all->len));
    return true;
}

static void test_room(void *opaque)
{
    ((TestCard *)opaque)->rooms++;
}

static void test_link(void *opaque, bool up)
{
    TestCard *c = opaque;
    up ? c->ups++ : c->downs++;
}

static inline void card_init(TestCard *c, NetBackend *b)
{
    static const NetCard card = { .receive = test_receive, .room = test_room, .link = test_link };
    *c = (TestCard){ .room = 1000000 };
    c->got = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    net_set_card(b, &card, c);
}

static inline void card_clear(TestCard *c)
{
    g_ptr_array_unref(c->got);
}

static inline bool send_text(NetBackend *b, const void *data, size_t length)
{
    /* in two pieces, as from a ring */
    struct iovec iov[2] = { { (void *)data, length / 2 },
                            { (uint8_t *)data + length / 2, length - length / 2 } };
    return net_send(b, iov, 2);
}

static inline void expect_packet(TestCard *c, guint at, const void *data, size_t length)
{
    g_assert_cmpuint(at, <, c->got->len);
    g_assert_cmpmem(g_bytes_get_data(c->got->pdata[at], NULL), g_bytes_get_size(c->got->pdata[at]),
                    data, length);
}

static inline NetBackend *open_netdev(NetTable *t, const char *id, const char *text)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *full = g_strdup_printf("%s,id=%s", text, id);
    net_table_add(t, full, &error);
    g_assert_no_error(error);
    return net_table_get(t, id, NULL);
}

