/* SPDX-License-Identifier: MIT */
/* Commands about a board: its memory map, its devices, adding and taking away; see monitor.h. */
#include "machines/monitor.h"
#include "machines/machine_priv.h"

#include "base/error.h"
#include "base/option.h"
#include "base/size.h"
#include "devices/virtio/virtio_balloon.h"

#include <inttypes.h>
#include <string.h>

/* ---- What is there ---------------------------------------------------------------- */

static void show_slice(void *opaque, BusSliceKind kind, const char *name, uint64_t base,
                       uint64_t last)
{
    static const char *const kinds[] = { [BUS_SLICE_RAM] = "ram", [BUS_SLICE_ROM] = "rom",
                                         [BUS_SLICE_MMIO] = "i/o" };
    g_string_append_printf(opaque, "  %016" PRIx64 "-%016" PRIx64 " (%s): %s\n", base, last,
                           kinds[kind], name);
}

static bool run_mtree(void *ctx, const MonitorArgs *args, GString *out, GError **error)
{
    Machine *m = ctx;
    g_string_append(out, "address-space: memory\n");
    bus_space_each(m->space, show_slice, out);
    return true;
}

/* Recursion ends since a device is plugged in once, into one that was there before. */
static void show_device(const Machine *m, const Device *dev, int indent, GString *out)
{
    g_string_append_printf(out, "%*sdev: %s, id \"%s\"\n", indent, "", dev->type->name, dev->id);
    for (const DeviceProp *p = dev->type->props; p && p->name; p++) {
        g_autofree char *value = device_get(dev, p);
        bool quoted = p->kind >= DEVICE_STRING;
        g_string_append_printf(out, "%*s%s = %s%s%s\n", indent + 2, "", p->name,
                               quoted ? "\"" : "", value, quoted ? "\"" : "");
    }
    for (guint i = 0; i < dev->places->len; i++) {
        if (device_base(dev, i) != UINT64_MAX)
            g_string_append_printf(out, "%*smmio %016" PRIx64 "/%016" PRIx64 "\n", indent + 2, "",
                                   device_base(dev, i), dev->type->regions[i].size);
    }
    if (!dev->type->offers)
        return;
    g_autofree char *bus = machine_bus_name(m, dev);
    g_string_append_printf(out, "%*sbus: %s\n%*stype %s\n", indent + 2, "", bus, indent + 4, "",
                           dev->type->offers);
    for (guint i = 0; i < m->added->len; i++) {
        const Device *child = g_ptr_array_index(m->added, i);
        if (child->bus == dev)
            show_device(m, child, indent + 4, out);
    }
}

static bool run_qtree(void *ctx, const MonitorArgs *args, GString *out, GError **error)
{
    const Machine *m = ctx;
    g_string_append(out, "bus: main-system-bus\n  type System\n");
    for (guint i = m->devices->len; i > 0; i--)
        show_device(m, g_array_index(m->devices, MachineDevice, i - 1).device, 2, out);
    return true;
}

/* ---- Adding and taking away ---------------------------------------------------------- */

static bool run_device_add(void *ctx, const MonitorArgs *args, GString *out, GError **error)
{
    return machine_add_device(ctx, monitor_arg(args, "options"), error);
}

static bool run_device_del(void *ctx, const MonitorArgs *args, GString *out, GError **error)
{
    return machine_remove_device(ctx, monitor_arg(args, "id"), error);
}

/* The first word is where a PCI card would go; it counts for nothing with if=none. */
static bool run_drive_add(void *ctx, const MonitorArgs *args, GString *out, GError **error)
{
    const char *text = monitor_arg(args, "options");
    g_autoptr(Options) options = options_parse(text, "file", error);
    if (!options)
        return false;
    if (g_strcmp0(options_get(options, "if"), "none"))
        return fail_usage(error, "if=none is wanted; device_add then makes the device");
    return machine_add_drive(ctx, text, false, error);
}

static bool run_eject(void *ctx, const MonitorArgs *args, GString *out, GError **error)
{
    return machine_change_medium(ctx, monitor_arg(args, "device"), NULL, NULL,
                                 monitor_arg_flag(args, "-f"), error);
}

static bool run_change(void *ctx, const MonitorArgs *args, GString *out, GError **error)
{
    return machine_change_medium(ctx, monitor_arg(args, "device"), monitor_arg(args, "filename"),
                                 monitor_arg(args, "format"), monitor_arg_flag(args, "-f"), error);
}

static bool run_object_add(void *ctx, const MonitorArgs *args, GString *out, GError **error)
{
    return machine_add_object(ctx, monitor_arg(args, "options"), error);
}

/* ---- The guest's memory -------------------------------------------------------------- */

static Device *find_balloon(const Machine *m, GError **error)
{
    for (guint i = 0; i < m->added->len; i++) {
        if (virtio_balloon_is(g_ptr_array_index(m->added, i)))
            return g_ptr_array_index(m->added, i);
    }
    fail_usage(error, "there is no virtio-balloon device");
    return NULL;
}

/* A number alone is in MiB. */
static bool run_balloon(void *ctx, const MonitorArgs *args, GString *out, GError **error)
{
    const Machine *m = ctx;
    Device *dev = find_balloon(m, error);
    uint64_t bytes, all = m->options->ram_size;
    if (!dev ||
        !size_parse_unit(monitor_arg(args, "value"), UINT64_C(1) << 20, &bytes, error))
        return false;
    virtio_balloon_ask(dev, all - MIN(bytes, all));
    return true;
}

static bool run_info_balloon(void *ctx, const MonitorArgs *args, GString *out, GError **error)
{
    const Machine *m = ctx;
    const Device *dev = find_balloon(m, error);
    if (!dev)
        return false;
    uint64_t all = m->options->ram_size, taken = MIN(virtio_balloon_taken(dev), all);
    g_string_append_printf(out, "balloon: actual=%" PRIu64 "\n", (all - taken) >> 20);
    return true;
}

static bool run_powerdown(void *ctx, const MonitorArgs *args, GString *out, GError **error)
{
    return machine_power_button(ctx, error);
}

const MonitorCommand machine_commands[] = {
    { "info mtree", NULL, NULL, "what answers at which address", run_mtree },
    { "info qtree", NULL, NULL, "devices, their properties, what is plugged into them",
      run_qtree },
    { "device_add", NULL, "options...", "plugs a device in, as -device", run_device_add },
    { "device_del", NULL, "id", "asks the guest to let a device go", run_device_del },
    { "drive_add", NULL, "[addr] options", "opens a disk for device_add (if=none,id=ID,file=...)",
      run_drive_add },
    { "eject", NULL, "-f device", "takes the disc out of a drive (-f: even if it is locked)",
      run_eject },
    { "change", NULL, "-f device filename [format]", "puts another disc into a drive", run_change },
    { "object_add", NULL, "options...", "makes an object, as -object", run_object_add },
    { "balloon", NULL, "value", "asks the guest to do with that much memory, in MiB", run_balloon },
    { "info balloon", NULL, NULL, "what a guest with a balloon has, in MiB", run_info_balloon },
    { "system_powerdown", NULL, NULL, "presses the power button, if the board has one",
      run_powerdown },
    { 0 },
};

/* ---- Character back ends ----------------------------------------------------------------- */

static bool run_chardev(void *ctx, const MonitorArgs *args, GString *out, GError **error)
{
    g_autofree char *text = chardev_table_info(ctx);
    g_string_append(out, text);
    return true;
}

static bool run_chardev_add(void *ctx, const MonitorArgs *args, GString *out, GError **error)
{
    return chardev_table_add(ctx, monitor_arg(args, "options"), error);
}

static bool run_chardev_remove(void *ctx, const MonitorArgs *args, GString *out, GError **error)
{
    return chardev_table_remove(ctx, monitor_arg(args, "id"), error);
}

static bool run_chardev_break(void *ctx, const MonitorArgs *args, GString *out, GError **error)
{
    return chardev_table_break(ctx, monitor_arg(args, "id"), error);
}

const MonitorCommand machine_chardev_commands[] = {
    { "info chardev", NULL, NULL, "character back ends and where they lead", run_chardev },
    { "chardev-add", NULL, "options...", "opens a back end, as -chardev", run_chardev_add },
    { "chardev-remove", NULL, "id", "closes a back end that nobody uses", run_chardev_remove },
    { "chardev-send-break", NULL, "id", "sends a line break", run_chardev_break },
    { 0 },
};

/* ---- Network back ends --------------------------------------------------------------------- */

static NetBackend *find_net(NetTable *nets, const char *id, GError **error)
{
    NetBackend *b = net_table_find(nets, id);
    if (!b)
        fail_usage(error, "there is no netdev '%s'", id);
    return b;
}

/* The one named, or the first with user networking. */
static NetBackend *find_user(NetTable *nets, const char *id, GError **error)
{
    NetBackend *b;
    if (id)
        return find_net(nets, id, error);
    for (unsigned i = 0; (b = net_table_nth(nets, i)); i++) {
        g_autofree char *info = net_user_info(b, NULL);
        if (info)
            return b;
    }
    fail_usage(error, "there is no netdev with user networking");
    return NULL;
}

static bool run_network(void *ctx, const MonitorArgs *args, GString *out, GError **error)
{
    g_autofree char *text = net_table_info(ctx);
    g_string_append(out, text);
    return true;
}

static bool run_usernet(void *ctx, const MonitorArgs *args, GString *out, GError **error)
{
    NetBackend *b;
    for (unsigned i = 0; (b = net_table_nth(ctx, i)); i++) {
        g_autofree char *info = net_user_info(b, NULL);
        if (info)
            g_string_append_printf(out, "%s:\n%s", net_id(b), info);
    }
    return true;
}

static bool run_hostfwd_add(void *ctx, const MonitorArgs *args, GString *out, GError **error)
{
    NetBackend *b = find_user(ctx, monitor_arg(args, "netdev"), error);
    return b && net_user_hostfwd_add(b, monitor_arg(args, "rule"), error);
}

static bool run_hostfwd_remove(void *ctx, const MonitorArgs *args, GString *out, GError **error)
{
    const char *rule = monitor_arg(args, "rule");
    NetBackend *b = find_user(ctx, monitor_arg(args, "netdev"), error);
    if (!b || !net_user_hostfwd_remove(b, rule, error))
        return false;
    g_string_append_printf(out, "host forwarding rule for %s removed\n", rule);
    return true;
}

static bool run_set_link(void *ctx, const MonitorArgs *args, GString *out, GError **error)
{
    const char *state = monitor_arg(args, "state");
    NetBackend *b = find_net(ctx, monitor_arg(args, "name"), error);
    bool up = !strcmp(state, "on");
    if (b && !up && strcmp(state, "off"))
        return fail_usage(error, "state '%s': on or off is wanted", state);
    if (b)
        net_set_link(b, up);
    return b != NULL;
}

static bool run_netdev_add(void *ctx, const MonitorArgs *args, GString *out, GError **error)
{
    return net_table_add(ctx, monitor_arg(args, "options"), error);
}

static bool run_netdev_del(void *ctx, const MonitorArgs *args, GString *out, GError **error)
{
    return net_table_remove(ctx, monitor_arg(args, "id"), error);
}

const MonitorCommand machine_net_commands[] = {
    { "info network", NULL, NULL, "network back ends", run_network },
    { "info usernet", NULL, NULL, "connections of user networking", run_usernet },
    { "hostfwd_add", NULL, "[netdev] rule",
      "forwards a host port: [tcp|udp]:[HOSTADDR]:PORT-[GUESTADDR]:PORT", run_hostfwd_add },
    { "hostfwd_remove", NULL, "[netdev] rule", "ends it: [tcp|udp]:[HOSTADDR]:PORT",
      run_hostfwd_remove },
    { "set_link", NULL, "name state", "takes a netdev's cable out (off) or puts it back (on)",
      run_set_link },
    { "netdev_add", NULL, "options...", "makes a back end, as -netdev", run_netdev_add },
    { "netdev_del", NULL, "id", "takes away a back end that no card uses", run_netdev_del },
    { 0 },
};
