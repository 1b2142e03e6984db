/* SPDX-License-Identifier: MIT */
/* The network: getifaddrs(3) and /proc/net/dev (guest-network-get-interfaces), /proc/net/route
 * and ipv6_route of proc(5) (guest-network-get-route). */
#include "sysfs.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <json-c/json.h>
#include <netpacket/packet.h>
#include <stdio.h>
#include <string.h>

/* ---- Interfaces -------------------------------------------------------------------- */

static struct json_object *find(struct json_object *list, const char *name)
{
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *o = json_object_array_get_idx(list, i);
        if (g_str_equal(json_object_get_string(json_object_object_get(o, "name")), name))
            return o;
    }
    return NULL;
}

/* The one of that name, made if need be. An address with a label ("eth0:1") is one of its own on
 * the card of the other; cards come first. */
static struct json_object *interface(struct json_object *list, const char *name)
{
    g_autofree char *card = g_strndup(name, strcspn(name, ":"));
    struct json_object *o = find(list, name), *of_card = find(list, card), *hardware;
    if (o)
        return o;
    o = json_object_new_object();
    agent_put_string(o, "name", name);
    if (of_card && json_object_object_get_ex(of_card, "hardware-address", &hardware))
        json_object_object_add(o, "hardware-address", json_object_get(hardware));
    json_object_array_add(list, o);
    return o;
}

static unsigned prefix_length(const void *mask, size_t len)
{
    unsigned n = 0;
    for (size_t i = 0; mask && i < len; i++)
        n += (unsigned)__builtin_popcount(((const uint8_t *)mask)[i]);
    return n;
}

static void add_address(struct json_object *o, int family, const void *address, const void *mask)
{
    char text[INET6_ADDRSTRLEN];
    struct json_object *all, *one = json_object_new_object();
    if (!json_object_object_get_ex(o, "ip-addresses", &all))
        json_object_object_add(o, "ip-addresses", all = json_object_new_array());
    inet_ntop(family, address, text, sizeof text);
    agent_put_string(one, "ip-address-type", family == AF_INET ? "ipv4" : "ipv6");
    agent_put_string(one, "ip-address", text);
    agent_put_int(one, "prefix", prefix_length(mask, family == AF_INET ? 4 : 16));
    json_object_array_add(all, one);
}

/* Tunnels have no hardware address, or an IP address in its place. */
static void put_hardware(struct json_object *o, const struct sockaddr_ll *ll)
{
    const unsigned char *a = ll->sll_addr;
    if (ll->sll_halen != 6)
        return;
    g_autofree char *text = g_strdup_printf("%02x:%02x:%02x:%02x:%02x:%02x", a[0], a[1], a[2],
                                            a[3], a[4], a[5]);
    agent_put_string(o, "hardware-address", text);
}

static void add_interface(struct json_object *list, const struct ifaddrs *a)
{
    struct json_object *o = interface(list, a->ifa_name);
    const struct sockaddr *at = a->ifa_addr, *mask = a->ifa_netmask;
    if (!at)
        return;
    if (at->sa_family == AF_PACKET)
        put_hardware(o, (const void *)at);
    else if (at->sa_family == AF_INET)
        add_address(o, AF_INET, &((const struct sockaddr_in *)at)->sin_addr,
                    mask ? &((const struct sockaddr_in *)mask)->sin_addr : NULL);
    else if (at->sa_family == AF_INET6)
        add_address(o, AF_INET6, &((const struct sockaddr_in6 *)at)->sin6_addr,
                    mask ? &((const struct sockaddr_in6 *)mask)->sin6_addr : NULL);
}

/* "  eth0: BYTES PACKETS ERRS DROP FIFO FRAME COMPRESSED MULTICAST BYTES PACKETS ERRS DROP ..." */
static void put_statistics(struct json_object *list, char *line)
{
    static const struct { const char *name; unsigned at; } fields[] = {
        { "rx-bytes", 0 }, { "rx-packets", 1 }, { "rx-errs", 2 },  { "rx-dropped", 3 },
        { "tx-bytes", 8 }, { "tx-packets", 9 }, { "tx-errs", 10 }, { "tx-dropped", 11 },
    };
    char *colon = strrchr(line, ':'), *p;
    int64_t numbers[12];
    if (!colon)
        return;
    *colon = 0;
    p = colon + 1;
    for (unsigned i = 0; i < G_N_ELEMENTS(numbers); i++)
        numbers[i] = (int64_t)g_ascii_strtoull(p, &p, 10);
    struct json_object *o = find(list, g_strchug(line)), *s = o ? json_object_new_object() : NULL;
    for (unsigned i = 0; s && i < G_N_ELEMENTS(fields); i++)
        agent_put_int(s, fields[i].name, numbers[fields[i].at]);
    if (s)
        json_object_object_add(o, "statistics", s);
}

static struct json_object *get_interfaces(void *opaque, struct json_object *args, GError **error)
{
    struct ifaddrs *all;
    if (getifaddrs(&all))
        return ga_fail_errno(error, errno, "getifaddrs failed");
    struct json_object *list = json_object_new_array();
    for (const struct ifaddrs *a = all; a; a = a->ifa_next)
        add_interface(list, a);
    freeifaddrs(all);
    g_autofree char *text = ga_read(opaque, "/proc/net/dev");
    g_auto(GStrv) lines = g_strsplit(text ? text : "", "\n", -1);
    for (unsigned i = 0; lines[i]; i++)
        put_statistics(list, lines[i]);
    return list;
}

/* ---- Routes ------------------------------------------------------------------------- */

/* Addresses of IPv4 are printed as a number of the machine's order, which the bytes are not. */
static void put_ipv4(struct json_object *o, const char *name, uint32_t address)
{
    char text[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &address, text, sizeof text);
    agent_put_string(o, name, text);
}

/* "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT" */
static void add_ipv4(struct json_object *list, const char *line)
{
    uint32_t destination, gateway, flags, mask;
    int64_t refcnt, use, metric, mtu, window, irtt;
    char name[64];
    if (sscanf(line, "%63s %x %x %x %" SCNd64 " %" SCNd64 " %" SCNd64 " %x %" SCNd64 " %" SCNd64
               " %" SCNd64, name, &destination, &gateway, &flags, &refcnt, &use, &metric, &mask,
               &mtu, &window, &irtt) != 11)
        return;
    struct json_object *o = json_object_new_object();
    agent_put_string(o, "iface", name);
    put_ipv4(o, "destination", destination);
    put_ipv4(o, "gateway", gateway);
    put_ipv4(o, "mask", mask);
    agent_put_int(o, "metric", metric);
    agent_put_int(o, "flags", flags);
    agent_put_int(o, "refcnt", refcnt);
    agent_put_int(o, "use", use);
    agent_put_int(o, "mtu", mtu);
    agent_put_int(o, "window", window);
    agent_put_int(o, "irtt", irtt);
    agent_put_int(o, "version", 4);
    json_object_array_add(list, o);
}

static void put_ipv6(struct json_object *o, const char *name, const char *hex)
{
    char text[INET6_ADDRSTRLEN];
    uint8_t bytes[16];
    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(g_ascii_xdigit_value(hex[2 * i]) << 4 |
                             g_ascii_xdigit_value(hex[2 * i + 1]));
    inet_ntop(AF_INET6, bytes, text, sizeof text);
    agent_put_string(o, name, text);
}

static bool is_hex(const char *text)
{
    return strlen(text) == 32 && strspn(text, "0123456789abcdefABCDEF") == 32;
}

/* "DESTINATION LENGTH SOURCE LENGTH NEXTHOP METRIC REFCNT USE FLAGS IFACE", all in hex. Lengths
 * are strings, as QEMU's schema has them. */
static void add_ipv6(struct json_object *list, const char *line)
{
    char destination[33], source[33], hop[33], name[64], dst_bits[12], src_bits[12];
    unsigned dst_len, src_len, metric, refcnt, use, flags;
    if (sscanf(line, "%32s %x %32s %x %32s %x %x %x %x %63s", destination, &dst_len, source,
               &src_len, hop, &metric, &refcnt, &use, &flags, name) != 10)
        return;
    if (!is_hex(destination) || !is_hex(source) || !is_hex(hop))
        return;
    struct json_object *o = json_object_new_object();
    g_snprintf(dst_bits, sizeof dst_bits, "%u", dst_len);
    g_snprintf(src_bits, sizeof src_bits, "%u", src_len);
    agent_put_string(o, "iface", name);
    put_ipv6(o, "destination", destination);
    agent_put_string(o, "desprefixlen", dst_bits);
    put_ipv6(o, "source", source);
    agent_put_string(o, "srcprefixlen", src_bits);
    put_ipv6(o, "nexthop", hop);
    agent_put_int(o, "metric", (int32_t)metric); /* that of no route is -1, as with QEMU */
    agent_put_int(o, "refcnt", refcnt);
    agent_put_int(o, "use", use);
    agent_put_int(o, "flags", flags);
    agent_put_int(o, "version", 6);
    json_object_array_add(list, o);
}

static bool add_routes(const Ga *ga, const char *file,
                       void (*add)(struct json_object *, const char *),
                       struct json_object *list)
{
    g_autofree char *text = ga_read(ga, "%s", file);
    g_auto(GStrv) lines = g_strsplit(text ? text : "", "\n", -1);
    for (unsigned i = 0; lines[i]; i++)
        add(list, lines[i]);
    return text;
}

static struct json_object *get_routes(void *opaque, struct json_object *args, GError **error)
{
    struct json_object *list = json_object_new_array();
    bool v4 = add_routes(opaque, "/proc/net/route", add_ipv4, list);
    bool v6 = add_routes(opaque, "/proc/net/ipv6_route", add_ipv6, list);
    if (v4 || v6)
        return list;
    json_object_put(list);
    return ga_fail(error, "failed to read /proc/net/route");
}

const AgentCommand ga_network_commands[] = {
    { .name = "guest-network-get-interfaces", .run = get_interfaces },
    /* in guest-info as guest-get-load is (cpus.c); of QEMU 9.2, too */
    { .name = "guest-network-get-route", .run = get_routes },
    { 0 }
};
