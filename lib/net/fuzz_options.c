/* SPDX-License-Identifier: MIT */
/*
 * -netdev, -nic and -net from any text. Keys that reach out of this process are taken out first: a
 * name would be looked up, a file or an interface made.
 */
#include "base/option.h"
#include "net/net_priv.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool reaches_out(const char *text)
{
    static const char *const words[] = { "path", "host=", "host,", "fd", "str", "tap", "socket",
                                         "stream", "dgram", "hostfwd", "cmd:", "unix:" };
    for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
        if (strstr(text, words[i]))
            return true;
    }
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    g_autoptr(NetTable) t = net_table_new();
    g_autoptr(GError) error = NULL, error_nic = NULL, error_net = NULL;
    uint8_t mac[6];
    if (!reaches_out(text)) {
        g_assert_true(net_table_add(t, text, &error) != (error != NULL));
        g_assert_true(net_table_add_nic(t, text, &error_nic) != (error_nic != NULL));
    }
    g_assert_true(net_table_add_net(t, text, &error_net) != (error_net != NULL));
    net_parse_mac(text, mac, NULL);
    g_autofree char *info = net_table_info(t);
    g_assert_nonnull(info);
    return 0;
}
