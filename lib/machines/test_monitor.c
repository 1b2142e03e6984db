/* SPDX-License-Identifier: MIT */
/* The board's commands for the monitor, -global and the order of booting, on a machine that does
   not run. */
#include "machines/monitor.h"

#include "base/error.h"

#include <string.h>

typedef struct {
    BusClock *clock;
    Machine *machine;
    NetTable *nets;
    ChardevTable *chardevs;
    Monitor *monitor;
} Bench;

static void bench_new(Bench *b)
{
    static const MachineCpus cpus = {.isa = "rv64imafdc", .mmu_type = "riscv,sv48"};
    g_autoptr(GError) error = NULL;
    g_autoptr(MachineOptions) o = machine_options_new("riscv64", &error);
    g_assert_true(machine_options_parse_machine(o, "riscv64", "virt", &error));
    b->clock = bus_clock_new_manual();
    b->machine = machine_new(o, &cpus, b->clock, &error);
    g_assert_no_error(error);
    b->nets = net_table_new();
    b->chardevs = chardev_table_new(NULL);
    b->monitor = monitor_new("T", "1");
    monitor_add(b->monitor, machine_commands, b->machine);
    monitor_add(b->monitor, machine_chardev_commands, b->chardevs);
    monitor_add(b->monitor, machine_net_commands, b->nets);
}

static void bench_free(Bench *b)
{
    monitor_free(b->monitor);
    machine_free(b->machine);
    net_table_free(b->nets);
    chardev_table_free(b->chardevs);
    bus_clock_free(b->clock);
}

/* What a line says; an error as "!message". */
static char *says(Bench *b, const char *line)
{
    g_autoptr(GString) out = g_string_new(NULL);
    g_autoptr(GError) error = NULL;
    if (!monitor_line(b->monitor, line, out, &error))
        g_string_append_printf(out, "!%s", error->message);
    return g_string_free(g_steal_pointer(&out), FALSE);
}

#define CONTAINS(b, line, text) \
    do { \
        g_autofree char *said = says(b, line); \
        if (!strstr(said, text)) \
            g_error("'%s' gives: %s", line, said); \
    } while (0)

static void test_devices(void)
{
    Bench b;
    bench_new(&b);
    CONTAINS(&b, "device_add virtio-rng-device,id=r0,bus=virtio-mmio-bus.3", "");
    /* as -device takes bus= and id= */
    CONTAINS(&b, "info qtree", "bus: virtio-mmio-bus.3\n      type virtio\n"
                               "      dev: virtio-rng-device, id \"r0\"\n");
    CONTAINS(&b, "info qtree", "dev: uart16550, id \"uart0\"\n    chardev = \"\"\n");
    CONTAINS(&b, "device_add virtio-rng-device,id=r0", "!-device");
    CONTAINS(&b, "device_del nosuch", "!Device 'nosuch' not found");
    CONTAINS(&b, "device_del uart0", "!Device 'uart0' is part of the board");
    CONTAINS(&b, "info balloon", "!there is no virtio-balloon device");
    CONTAINS(&b, "device_add virtio-balloon-device,id=b", "");
    CONTAINS(&b, "balloon nonsense", "!");
    CONTAINS(&b, "balloon 64", "");
    CONTAINS(&b, "info balloon", "balloon: actual=128\n"); /* until the guest complies */
    CONTAINS(&b, "device_add virtio-net-device,id=c", "");
    CONTAINS(&b, "info qtree", "netdev = \"\"\n");
    CONTAINS(&b, "info qtree", "mac = \"52:54:00:12:34:56\"\n");
    CONTAINS(&b, "drive_add 0 id=d,file=x", "!if=none is wanted");
    CONTAINS(&b, "object_add rng-builtin,id=o", "");
    CONTAINS(&b, "object_add rng-builtin,id=o", "!-object");
    CONTAINS(&b, "system_powerdown", "!machine 'virt' has no power button");
    bench_free(&b);
}

static void test_back_ends(void)
{
    Bench b;
    bench_new(&b);
    CONTAINS(&b, "chardev-add ringbuf,id=c0,size=64", "");
    CONTAINS(&b, "info chardev", "c0: filename=ringbuf");
    CONTAINS(&b, "chardev-send-break nosuch", "!there is no chardev nosuch");
    CONTAINS(&b, "chardev-send-break c0", "");
    CONTAINS(&b, "chardev-remove c0", "");
    CONTAINS(&b, "chardev-remove c0", "!there is no chardev c0");
    CONTAINS(&b, "hostfwd_add tcp::0-:22", "!there is no netdev with user networking");
    CONTAINS(&b, "netdev_add user,id=n0", "");
    CONTAINS(&b, "info network", "n0: user");
    CONTAINS(&b, "set_link n0 off", "");
    CONTAINS(&b, "info network", "(no link)");
    CONTAINS(&b, "set_link n1 off", "!there is no netdev 'n1'");
    CONTAINS(&b, "hostfwd_remove n0 tcp::1", "!");
    CONTAINS(&b, "netdev_del n0", "");
    CONTAINS(&b, "netdev_del n0", "!there is no netdev n0");
    bench_free(&b);
}

static void test_globals(void)
{
    static const char *const bad[] = {"", "x", "nosuch.a=1", "virtio-blk.nosuch=1",
                                      "driver=virtio-blk", "driver=virtio-blk,property=serial",
                                      "goldfish_rtc.a=1", "virtio-blk-pci.nosuch=1"};
    Bench b;
    g_autoptr(GError) error = NULL;
    bench_new(&b);
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) e = NULL;
        g_assert_false(machine_add_global(b.machine, bad[i], &e));
        g_assert_true(g_error_matches(e, base_error_quark(), BASE_ERROR_USAGE));
        g_assert_true(g_str_has_prefix(e->message, "-global "));
    }
    bench_free(&b);
    bench_new(&b);
    g_assert_true(machine_add_global(b.machine, "uart16550.clock-frequency=1000", &error));
    CONTAINS(&b, "info qtree", "clock-frequency = 1000\n"); /* of the board: at once */
    g_assert_true(machine_add_global(b.machine, "virtio-blk-pci.queue-size=32", &error));
    g_assert_true(machine_add_global(b.machine, "virtio-blk.serial=a.b=c", &error));
    g_assert_true(machine_add_global(b.machine, "virtio-pci.disable-legacy=on", &error));
    g_assert_true(machine_add_drive(b.machine, "driver=null-co,if=none,id=d", false, &error));
    g_assert_true(machine_add_device(b.machine, "virtio-blk-pci,drive=d,id=vd", &error));
    g_assert_no_error(error);
    CONTAINS(&b, "info qtree", "queue-size = 32\n");
    CONTAINS(&b, "info qtree", "serial = \"a.b=c\"\n");
    bench_free(&b);
}

static void test_boot_order(void)
{
    static const char *const devices[] = {"virtio-blk-device,drive=a,id=x,bootindex=7",
                                          "virtio-blk-pci,drive=b,id=y,bootindex=2",
                                          "virtio-blk-device,drive=c,id=z"};
    Bench b;
    g_autoptr(GError) error = NULL;
    bench_new(&b);
    for (size_t i = 0; i < G_N_ELEMENTS(devices); i++) {
        g_autofree char *drive = g_strdup_printf("driver=null-co,if=none,id=%c", (char)('a' + i));
        g_assert_true(machine_add_drive(b.machine, drive, false, &error));
        g_assert_true(machine_add_device(b.machine, devices[i], &error));
    }
    const GArray *order = machine_boot_order(b.machine);
    g_assert_cmpuint(order->len, ==, 2);
    g_assert_cmpstr(g_array_index(order, MachineBootDevice, 0).device->id, ==, "y");
    g_assert_cmpstr(g_array_index(order, MachineBootDevice, 1).device->id, ==, "x");
    g_assert_true(machine_add_drive(b.machine, "driver=null-co,if=none,id=d", false, &error));
    g_assert_false(machine_add_device(b.machine, "virtio-blk,drive=d,bootindex=2", &error));
    g_assert_nonnull(strstr(error->message, "bootindex 2 has already been used"));
    g_clear_error(&error);
    /* the drive is free again */
    g_assert_true(machine_add_device(b.machine, "virtio-blk,drive=d,bootindex=3", &error));
    g_assert_cmpuint(order->len, ==, 3);
    bench_free(&b);
}

static void test_media(void)
{
    Bench b;
    g_autoptr(GError) error = NULL;
    bench_new(&b);
    g_assert_true(machine_add_drive(b.machine, "driver=null-co,id=disk", false, &error));
    g_assert_true(machine_add_drive(b.machine, "driver=null-co,media=cdrom,id=cd", false, &error));
    g_assert_true(machine_add_drive(b.machine, "if=scsi,media=cdrom,unit=5", false, &error));
    g_assert_true(machine_add_drive(b.machine, "if=scsi,driver=null-co,bus=1", false, &error));
    g_assert_true(machine_add_pending(b.machine, &error));
    CONTAINS(&b, "info qtree", "bus: drive-scsi0.0");
    CONTAINS(&b, "info qtree", "scsi-id = 5");
    CONTAINS(&b, "info qtree", "bus: drive-scsi1.0");
    CONTAINS(&b, "eject disk", "!Device 'disk' is not removable");
    CONTAINS(&b, "eject none", "!Device 'none' not found");
    CONTAINS(&b, "change cd /nowhere/at/all", "!/nowhere/at/all");
    CONTAINS(&b, "eject cd", "");
    CONTAINS(&b, "change cd /dev/null raw", "");
    bench_free(&b);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/monitor/devices", test_devices);
    g_test_add_func("/monitor/back-ends", test_back_ends);
    g_test_add_func("/monitor/globals", test_globals);
    g_test_add_func("/monitor/boot-order", test_boot_order);
    g_test_add_func("/monitor/media", test_media);
    return g_test_run();
}
