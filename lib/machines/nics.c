/* SPDX-License-Identifier: MIT */
/* Network cards of a machine: their back ends by name, and addresses for those without one. */
#include "machines/machine_priv.h"

#include "base/error.h"

#include <string.h>

void machine_set_net_source(Machine *m,
                            NetBackend *(*get)(void *opaque, const char *id, GError **error),
                            void *opaque)
{
    m->net_get = get;
    m->net_opaque = opaque;
}

bool machine_set_net(Machine *m, Device *dev, const char *key, const char *value, GError **error)
{
    if (!m->net_get)
        return fail_usage(error, "Property '%s.%s' can't find value '%s'", dev->type->name, key,
                          value);
    NetBackend *b = m->net_get(m->net_opaque, value, error);
    return b && device_set_net(dev, key, b, error);
}

/* NULL: the device has none. */
static uint8_t *mac_of(Device *dev)
{
    for (const DeviceProp *p = dev->type->props; p && p->name; p++)
        if (p->kind == DEVICE_MAC)
            return (uint8_t *)dev + p->offset;
    return NULL;
}

static bool mac_used(const Machine *m, const uint8_t mac[6])
{
    for (guint i = 0; i < m->added->len; i++) {
        const uint8_t *other = mac_of(g_ptr_array_index(m->added, i));
        if (other && !memcmp(other, mac, 6))
            return true;
    }
    return false;
}

void machine_give_mac(const Machine *m, Device *dev)
{
    static const uint8_t none[6];
    uint8_t next[6] = {0x52, 0x54, 0x00, 0x12, 0x34, 0x56}, *mac = mac_of(dev);
    if (!mac || memcmp(mac, none, sizeof none))
        return;
    while (mac_used(m, next))
        for (int i = 5; i > 2 && ++next[i] == 0; i--)
            ;
    memcpy(mac, next, sizeof next);
}
