/* SPDX-License-Identifier: MIT */
/* Records: round trip, versions, and records that do not fit. */
#include "state/state.h"

#include <string.h>

typedef struct {
    uint8_t a;
    uint16_t b;
    uint32_t c[3];
    uint64_t d;
    uint32_t count;
    uint32_t *list;
} Thing;

static const StateField fields_1[] = {
    STATE_FIELD(Thing, a, 1),
    STATE_ARRAY(Thing, c, 1),
    STATE_POINTER(Thing, list, 16, count, 1),
    STATE_END,
};

static const StateField fields_2[] = {
    STATE_FIELD(Thing, a, 1), STATE_ARRAY(Thing, c, 1), STATE_POINTER(Thing, list, 16, count, 1),
    STATE_FIELD(Thing, d, 2), STATE_FIELD(Thing, b, 2), STATE_END,
};

static void test_round_trip(void)
{
    uint32_t l1[2] = {5, 6}, l2[2] = {0, 0};
    Thing x = {.a = 1, .b = 0x1234, .c = {1, 2, 0xffffffff}, .d = 1, .count = 2, .list = l1};
    Thing y = {.count = 2, .list = l2};
    GByteArray *out = g_byte_array_new();
    state_save(fields_2, &x, out);
    g_assert_cmpuint(out->len, ==, 4 + 1 + 12 + 4 + 8 + 8 + 2);
    g_assert_cmpuint(out->data[0], ==, 2);
    size_t pos = 0;
    g_autoptr(GError) error = NULL;
    g_assert_true(state_load(fields_2, &y, out->data, out->len, &pos, &error));
    g_assert_cmpuint(pos, ==, out->len);
    g_assert_cmphex(y.b, ==, 0x1234);
    g_assert_cmphex(y.c[2], ==, 0xffffffff);
    g_assert_cmpuint(l2[1], ==, 6);
    /* Every shorter record is refused. */
    for (guint n = 0; n < out->len; n++) {
        pos = 0;
        g_assert_false(state_load(fields_2, &y, out->data, n, &pos, NULL));
    }
    /* An older table does not read a newer record. */
    pos = 0;
    g_assert_false(state_load(fields_1, &y, out->data, out->len, &pos, &error));
    g_assert_nonnull(strstr(error->message, "version 2"));
    g_byte_array_free(out, TRUE);
}

static void test_old_record(void)
{
    uint32_t l1[1] = {5}, l2[1] = {0};
    Thing x = {.a = 9, .count = 1, .list = l1}, y = {.d = 77, .count = 1, .list = l2};
    GByteArray *out = g_byte_array_new();
    state_save(fields_1, &x, out);
    size_t pos = 0;
    g_assert_true(state_load(fields_2, &y, out->data, out->len, &pos, NULL));
    g_assert_cmpuint(y.a, ==, 9);
    g_assert_cmpuint(y.d, ==, 77);
    y.count = 0;
    pos = 0;
    g_assert_false(state_load(fields_2, &y, out->data, out->len, &pos, NULL));
    g_byte_array_free(out, TRUE);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/state/round-trip", test_round_trip);
    g_test_add_func("/state/old-record", test_old_record);
    return g_test_run();
}
