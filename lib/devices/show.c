/* SPDX-License-Identifier: MIT */
/* Properties of a device as text, for a monitor. */
#include "devices/device.h"

#include <inttypes.h>
#include <string.h>

char *device_get(const Device *dev, const DeviceProp *prop)
{
    const void *field = (const char *)dev + prop->offset;
    const void *pointer = NULL;
    switch (prop->kind) {
    case DEVICE_BOOL:
        return g_strdup(*(const bool *)field ? "on" : "off");
    case DEVICE_U32:
        return g_strdup_printf("%" PRIu32, *(const uint32_t *)field);
    case DEVICE_U64:
        return g_strdup_printf("%" PRIu64, *(const uint64_t *)field);
    case DEVICE_STRING:
        return g_strdup(*(char *const *)field ? *(char *const *)field : "");
    case DEVICE_MAC: {
        const uint8_t *mac = field;
        return g_strdup_printf("%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3],
                               mac[4], mac[5]);
    }
    default:
        memcpy(&pointer, field, sizeof pointer);
    }
    if (!pointer)
        return g_strdup("");
    if (prop->kind == DEVICE_DRIVE)
        return g_strdup(((const DeviceDrive *)pointer)->id);
    if (prop->kind == DEVICE_RNG)
        return g_strdup(((const DeviceRng *)pointer)->id);
    if (prop->kind == DEVICE_NET)
        return g_strdup(net_id(pointer));
    return prop->kind == DEVICE_CHARDEV ? chardev_describe(pointer) : g_strdup("set");
}
