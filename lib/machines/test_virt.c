/* SPDX-License-Identifier: MIT */
/* RISC-V virt: its device tree against QEMU's, its boot layout, and a poke through the whole
   board. */
#include "machines/machine.h"

#include "base/bytes.h"

#include <glib/gstdio.h>
#include <string.h>

static Machine *machine(const char *m_text, const char *smp, const char *mem, BusClock *clock,
                        const MachineCpus *cpus)
{
    static const MachineCpus plain = {.isa = "rv64imafdc", .mmu_type = "riscv,sv48"};
    g_autoptr(GError) error = NULL;
    g_autoptr(MachineOptions) o = machine_options_new("riscv64", &error);
    g_assert_true(machine_options_parse_machine(o, "riscv64", m_text, &error));
    g_assert_true(machine_options_parse_smp(o, smp, &error));
    g_assert_true(machine_options_parse_memory(o, mem, &error));
    Machine *m = machine_new(o, cpus ? cpus : &plain, clock, &error);
    g_assert_no_error(error);
    return m;
}

/* ---- The tree ------------------------------------------------------------ */

static Fdt *qemu_tree(const char *m_text, const char *smp, const char *mem)
{
    g_autofree char *qemu = g_find_program_in_path("qemu-system-riscv64");
    if (!qemu)
        return NULL;
    g_autoptr(GError) error = NULL;
    g_autofree char *path = NULL;
    g_close(g_file_open_tmp("virt-XXXXXX.dtb", &path, &error), NULL);
    g_assert_no_error(error);
    /* Without a kernel QEMU takes no -append; any bytes will do. */
    g_autofree char *kernel = g_strconcat(path, ".kernel", NULL);
    g_file_set_contents(kernel, "none", 4, &error);
    g_assert_no_error(error);
    g_autofree char *arg = g_strdup_printf("%s,dumpdtb=%s", m_text, path);
    const char *argv[] = {qemu, "-M", arg, "-smp", smp, "-m", mem, "-display", "none",
                          "-append", "a b", "-kernel", kernel, "-bios", "none", NULL};
    g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL, NULL, NULL,
                 NULL, &error);
    g_assert_no_error(error);
    g_autofree char *data = NULL;
    gsize len;
    g_file_get_contents(path, &data, &len, &error);
    g_assert_no_error(error);
    g_unlink(path);
    g_unlink(kernel);
    Fdt *tree = fdt_tree_from_bytes(data, len, &error);
    g_assert_no_error(error);
    return tree;
}

typedef struct {
    const Fdt *tree;
    GHashTable *path_of; /* phandle to path */
    GPtrArray *lines;
    const char *path;
} Dump;

static bool note_phandle(void *opaque, const char *path)
{
    Dump *d = opaque;
    uint32_t phandle = fdt_tree_get_phandle(d->tree, path);
    if (phandle)
        g_hash_table_insert(d->path_of, GUINT_TO_POINTER(phandle), g_strdup(path));
    return true;
}

/* A line "path name value", with phandles replaced by the paths they mean. */
static void dump_prop(void *opaque, const char *name, const void *data, size_t len)
{
    Dump *d = opaque;
    if (strcmp(name, "phandle") == 0)
        return; /* what refers to it is compared */
    g_autoptr(GString) line = g_string_new("");
    g_string_printf(line, "%s %s", d->path, name);
    bool lone = strcmp(name, "interrupt-parent") == 0 || strcmp(name, "regmap") == 0 ||
                strcmp(name, "cpu") == 0;
    bool pairs = strcmp(name, "interrupts-extended") == 0;
    for (size_t i = 0; i < len && strcmp(name, "rng-seed") != 0; i += 4) {
        if (i + 4 > len || !(lone || (pairs && i % 8 == 0))) {
            for (size_t k = i; k < len && k < i + 4; k++)
                g_string_append_printf(line, " %02x", ((const uint8_t *)data)[k]);
            continue;
        }
        uint32_t phandle = ld_be32((const uint8_t *)data + i);
        const char *to = g_hash_table_lookup(d->path_of, GUINT_TO_POINTER(phandle));
        g_string_append_printf(line, " &%s", to ? to : "nothing");
    }
    g_ptr_array_add(d->lines, g_strdup(line->str));
}

/* Nodes of QEMU's board that ours does not have yet. */
static bool left_out(const char *path)
{
    static const char *const list[] = {"/pmu", "/platform-bus@4000000", NULL};
    return g_strv_contains(list, path);
}

static bool dump_node(void *opaque, const char *path)
{
    Dump *d = opaque;
    if (left_out(path))
        return true;
    d->path = path;
    g_ptr_array_add(d->lines, g_strdup(path));
    fdt_tree_each_prop(d->tree, path, dump_prop, d);
    return true;
}

static int compare_lines(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static char *dump(const Fdt *tree)
{
    Dump d = {.tree = tree, .lines = g_ptr_array_new_with_free_func(g_free),
              .path_of = g_hash_table_new_full(NULL, NULL, NULL, g_free)};
    fdt_tree_each(tree, note_phandle, &d);
    fdt_tree_each(tree, dump_node, &d);
    g_ptr_array_sort(d.lines, compare_lines);
    g_ptr_array_add(d.lines, NULL);
    char *text = g_strjoinv("\n", (char **)d.lines->pdata);
    g_ptr_array_free(d.lines, TRUE);
    g_hash_table_destroy(d.path_of);
    return text;
}

static void compare_with_qemu(const char *m_text, const char *smp, const char *mem)
{
    g_autoptr(Fdt) theirs = qemu_tree(m_text, smp, mem);
    if (!theirs) {
        g_test_skip("qemu-system-riscv64 is not installed");
        return;
    }
    /* The harts are ours to choose: what QEMU's are, so that the rest can be compared. */
    MachineCpus cpus = {.isa = fdt_tree_get_string(theirs, "/cpus/cpu@0", "riscv,isa"),
                        .mmu_type = fdt_tree_get_string(theirs, "/cpus/cpu@0", "mmu-type")};
    g_autoptr(BusClock) clock = bus_clock_new_manual();
    g_autoptr(Machine) m = machine(m_text, smp, mem, clock, &cpus);
    MachineBoot boot = {.append = "a b"};
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) blob = machine_fdt(m, &boot, &error);
    g_assert_no_error(error);
    g_autoptr(Fdt) ours = fdt_tree_from_bytes(g_bytes_get_data(blob, NULL), g_bytes_get_size(blob),
                                              &error);
    g_assert_no_error(error);
    g_autofree char *a = dump(ours), *b = dump(theirs);
    g_auto(GStrv) al = g_strsplit(a, "\n", -1), bl = g_strsplit(b, "\n", -1);
    guint i = 0;
    for (; al[i] && bl[i]; i++)
        g_assert_cmpstr(al[i], ==, bl[i]);
    g_assert_cmpuint(g_strv_length(al), ==, g_strv_length(bl));
    g_assert_nonnull(strstr(a, "/soc/virtio_mmio@10008000"));
}

static void test_tree_qemu(void)
{
    compare_with_qemu("virt", "2", "512M");
    compare_with_qemu("virt", "1", "128");
    /* Up to ten harts: past that QEMU names them in decimal, the specification in hexadecimal. */
    compare_with_qemu("virt", "10,sockets=2", "8G");
    compare_with_qemu("virt,aclint=on", "3", "512M");
}

static void test_tree_512(void)
{
    g_autoptr(BusClock) clock = bus_clock_new_manual();
    g_autoptr(Machine) m = machine("virt", "512", "1T", clock, NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) blob = machine_fdt(m, NULL, &error);
    g_assert_no_error(error);
    g_autoptr(Fdt) t = fdt_tree_from_bytes(g_bytes_get_data(blob, NULL), g_bytes_get_size(blob),
                                           &error);
    g_assert_no_error(error);
    g_assert_cmpuint(fdt_tree_get_u32(t, "/cpus/cpu@1ff", "reg", 0), ==, 511);
    size_t len;
    fdt_tree_get(t, "/soc/plic@c000000", "interrupts-extended", &len);
    g_assert_cmpuint(len, ==, 512 * 16);
}

/* ---- Running ------------------------------------------------------------- */

typedef struct {
    bool level[2][MACHINE_CPU_LINES];
    int pulses;
    DevicePower what;
    uint32_t code;
    int powers;
} Seen;

static void line_set(void *opaque, int n, bool level)
{
    Seen *seen = opaque;
    seen->level[n / MACHINE_CPU_LINES][n % MACHINE_CPU_LINES] = level;
    seen->pulses += n % MACHINE_CPU_LINES == MACHINE_RISCV_SSWI && level;
}

static BusIrq line(void *opaque, unsigned cpu, MachineCpuLine l)
{
    return (BusIrq){line_set, opaque, (int)(cpu * MACHINE_CPU_LINES + l)};
}

static void power(void *opaque, DevicePower what, uint32_t code)
{
    Seen *seen = opaque;
    seen->what = what;
    seen->code = code;
    seen->powers++;
}

static uint64_t rd(BusSpace *s, uint64_t addr, unsigned size)
{
    uint64_t v;
    g_assert_cmpint(bus_read(s, addr, size, &v), ==, BUS_OK);
    return v;
}

static void wr(BusSpace *s, uint64_t addr, uint64_t v, unsigned size)
{
    g_assert_cmpint(bus_write(s, addr, v, size), ==, BUS_OK);
}

static void test_board(void)
{
    Seen seen = {.powers = 0};
    MachineCpus cpus = {.isa = "rv64imac", .line = line, .opaque = &seen};
    g_autoptr(BusClock) clock = bus_clock_new_manual();
    g_autoptr(Chardev) serial = chardev_memory_new();
    g_autoptr(Machine) m = machine("virt,aclint=on", "2", "64M", clock, &cpus);
    g_autoptr(GError) error = NULL;
    g_assert_true(machine_set_serial(m, 0, serial, &error));
    g_assert_false(machine_set_serial(m, 1, serial, NULL));
    g_assert_true(machine_start(m, power, &seen, &error));
    g_assert_no_error(error);
    BusSpace *s = machine_space(m);

    wr(s, 0x10000000, 'A', 1);
    g_autoptr(GBytes) out = chardev_memory_take_output(serial);
    g_assert_cmpmem(g_bytes_get_data(out, NULL), g_bytes_get_size(out), "A", 1);

    /* The UART's interrupt through the PLIC to hart 1's supervisor line. */
    wr(s, 0xc000000 + 4 * 10, 1, 4);
    wr(s, 0xc002000 + 3 * 0x80, 1u << 10, 4);
    g_assert_false(seen.level[1][MACHINE_RISCV_SEXT]);
    wr(s, 0x10000001, 1, 1);
    chardev_memory_input(serial, "x", 1);
    g_assert_true(seen.level[1][MACHINE_RISCV_SEXT]);
    g_assert_false(seen.level[1][MACHINE_RISCV_MEXT]);
    g_assert_cmpuint(rd(s, 0xc200000 + 3 * 0x1000 + 4, 4), ==, 10);
    g_assert_false(seen.level[1][MACHINE_RISCV_SEXT]);
    g_assert_cmpuint(rd(s, 0x10000000, 1), ==, 'x');
    wr(s, 0xc200000 + 3 * 0x1000 + 4, 10, 4);
    g_assert_false(seen.level[1][MACHINE_RISCV_SEXT]);

    wr(s, 0x2000004, 1, 4);
    g_assert_true(seen.level[1][MACHINE_RISCV_MSOFT]);
    wr(s, 0x2004000, 1000, 8);
    bus_clock_advance(clock, 99999);
    g_assert_false(seen.level[0][MACHINE_RISCV_MTIMER]);
    bus_clock_advance(clock, 1);
    g_assert_true(seen.level[0][MACHINE_RISCV_MTIMER]);
    wr(s, 0x2f00000, 1, 4);
    g_assert_cmpint(seen.pulses, ==, 1);

    wr(s, 0x100000, 0x3333 | 7u << 16, 4);
    g_assert_cmpint(seen.what, ==, DEVICE_POWER_FAIL);
    g_assert_cmpuint(seen.code, ==, 7);
    wr(s, 0x100000, 0x5555, 4);
    g_assert_cmpint(seen.what, ==, DEVICE_POWER_OFF);
    wr(s, 0x100000, 0x7777, 4);
    g_assert_cmpint(seen.what, ==, DEVICE_POWER_RESET);
    g_assert_cmpint(seen.powers, ==, 3);
    g_assert_cmphex(rd(s, 0x10001000, 4), ==, 0x74726976);
    g_assert_cmpuint(rd(s, 0x10001008, 4), ==, 0);
    uint64_t v;
    g_assert_cmpint(bus_read(s, 0x24000000, 4, &v), ==, BUS_UNMAPPED);
    g_assert_cmpint(bus_read(s, 0x84000000, 1, &v), ==, BUS_UNMAPPED);
}

/* Two CPUs' threads poke everywhere while timers run and input arrives: for the sanitizers, and no
   deadlock may come of it. */
static void line_count(void *opaque, int n, bool level)
{
    g_atomic_int_inc((int *)opaque);
}

static BusIrq line_counted(void *opaque, unsigned cpu, MachineCpuLine l)
{
    return (BusIrq){line_count, opaque, 0};
}

static gpointer poke(gpointer opaque)
{
    static const uint64_t bases[] = {0x10000000, 0xc000000, 0xc002000, 0xc200000, 0xc201000,
                                     0x2000000,  0x2004000, 0x200bff0, 0x101000,  0x80000000};
    BusSpace *s = opaque;
    GRand *rand = g_rand_new_with_seed(GPOINTER_TO_UINT(g_thread_self()));
    for (int i = 0; i < 20000; i++) {
        unsigned size = 1u << g_rand_int_range(rand, 0, 4);
        uint64_t at = bases[g_rand_int_range(rand, 0, G_N_ELEMENTS(bases))], v;
        at += g_rand_int_range(rand, 0, 32) & ~(size - 1);
        if (g_rand_boolean(rand))
            bus_write(s, at, g_rand_int(rand), size);
        else
            bus_read(s, at, size, &v);
    }
    g_rand_free(rand);
    return NULL;
}

static void test_threads(void)
{
    int lines = 0;
    MachineCpus cpus = {.isa = "rv64imac", .line = line_counted, .opaque = &lines};
    g_autoptr(BusClock) clock = bus_clock_new();
    g_autoptr(Chardev) serial = chardev_memory_new();
    g_autoptr(Machine) m = machine("virt", "2", "64M", clock, &cpus);
    g_autoptr(GError) error = NULL;
    g_assert_true(machine_set_serial(m, 0, serial, &error));
    g_assert_true(machine_start(m, NULL, NULL, &error));
    bus_clock_start(clock);
    GThread *a = g_thread_new("a", poke, machine_space(m));
    GThread *b = g_thread_new("b", poke, machine_space(m));
    for (int i = 0; i < 50; i++) {
        chardev_memory_input(serial, "input", 5);
        g_usleep(500);
    }
    g_thread_join(a);
    g_thread_join(b);
    g_assert_cmpint(g_atomic_int_get(&lines), >, 0);
}

/* ---- Boot ---------------------------------------------------------------- */

static LoadImage *raw(const char *name, size_t size, uint8_t byte)
{
    uint8_t *data = g_malloc(size);
    memset(data, byte, size);
    g_autoptr(GBytes) bytes = g_bytes_new_take(data, size);
    g_autoptr(GError) error = NULL;
    LoadImage *image = load_image(bytes, name, &error);
    g_assert_no_error(error);
    return image;
}

static void test_boot(void)
{
    g_autoptr(BusClock) clock = bus_clock_new_manual();
    g_autoptr(Machine) m = machine("virt", "2", "512M", clock, NULL);
    g_autoptr(GError) error = NULL;
    g_assert_true(machine_start(m, NULL, NULL, &error));
    BusSpace *s = machine_space(m);
    g_autoptr(LoadImage) kernel = raw("Image", 20000000, 0x11);
    g_autoptr(LoadImage) firmware = raw("fw.bin", 300000, 0x22);
    g_autoptr(GBytes) initrd = g_bytes_new_static("initrd", 6);
    MachineBoot boot = {.mode = MACHINE_FIRMWARE_FILE, .firmware = firmware, .kernel = kernel,
                        .initrd = initrd, .append = "console=ttyS0"};
    MachineEntry e;
    g_assert_true(machine_boot(m, &boot, &e, &error));
    g_assert_cmphex(e.reset_pc, ==, 0x1000);
    g_assert_cmphex(e.kernel_base, ==, 0x80200000);
    g_assert_cmphex(e.initrd_start, ==, 0x88200000);
    g_assert_cmphex(e.fdt_addr, ==, 0x9fe00000);
    g_assert_cmphex(rd(s, 0x80000000, 1), ==, 0x22);
    g_assert_cmphex(rd(s, 0x80200000, 1), ==, 0x11);
    g_assert_cmphex(rd(s, 0x88200000, 4), ==, 0x74696e69);
    g_assert_cmphex(rd(s, 0x9fe00000, 4), ==, 0xedfe0dd0);
    g_assert_cmphex(rd(s, 0x1000, 4), ==, 0x297);
    g_assert_cmphex(rd(s, 0x1018, 8), ==, 0x80000000);
    g_assert_cmphex(rd(s, 0x1020, 8), ==, 0x9fe00000);
    g_assert_cmphex(rd(s, 0x1028, 8), ==, 0x4942534f);
    g_assert_cmphex(rd(s, 0x1038, 8), ==, 0x80200000);
    g_assert_cmphex(rd(s, 0x1040, 8), ==, 1);

    /* A reset brings back what the guest has overwritten. */
    wr(s, 0x80200000, 0, 8);
    g_assert_true(machine_reset(m, &e, &error));
    g_assert_cmphex(rd(s, 0x80200000, 1), ==, 0x11);

    boot.mode = MACHINE_FIRMWARE_BUILTIN;
    g_assert_true(machine_boot(m, &boot, &e, &error));
    g_assert_cmphex(e.kernel_entry, ==, 0x80200000);
    boot.mode = MACHINE_FIRMWARE_NONE;
    g_assert_true(machine_boot(m, &boot, &e, &error));
    g_assert_cmphex(e.kernel_entry, ==, 0x80000000);
    g_assert_cmphex(rd(s, 0x1018, 8), ==, 0x80000000);
}

/* An ELF kernel with addresses of its own: what is wrong with them, and -m only where it helps. */
static void test_boot_elsewhere(void)
{
    static const struct {
        uint64_t at;
        const char *says;
        bool more;
    } cases[] = {
        {0x1000, "below the machine's memory, which starts at 0x80000000", false},
        {0x7ffff000, "below the machine's memory", false},
        {0xc0000000, "does not fit", true},
        {0x9ffff000, "does not fit", true},
    };
    g_autoptr(BusClock) clock = bus_clock_new_manual();
    g_autoptr(Machine) m = machine("virt", "1", "512M", clock, NULL);
    g_autoptr(LoadImage) kernel = raw("vmlinux", 0x2000, 0x11);
    MachineBoot boot = {.mode = MACHINE_FIRMWARE_NONE, .kernel = kernel};
    kernel->placed = true;
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        MachineEntry e;
        kernel->segments[0].addr = kernel->entry = cases[i].at;
        g_assert_false(machine_boot(m, &boot, &e, &error));
        g_assert_nonnull(strstr(error->message, "vmlinux"));
        g_assert_nonnull(strstr(error->message, cases[i].says));
        g_assert_cmpint(strstr(error->message, "-m") != NULL, ==, cases[i].more);
    }
}

static void test_boot_low_memory(void)
{
    g_autoptr(BusClock) clock = bus_clock_new_manual();
    g_autoptr(Machine) m = machine("virt", "1", "32M", clock, NULL);
    g_autoptr(GError) error = NULL;
    g_assert_true(machine_start(m, NULL, NULL, &error));
    g_autoptr(LoadImage) kernel = raw("Image", 20000000, 0x11);
    g_autoptr(LoadImage) large = raw("BigImage", 40000000, 0x11);
    g_autofree uint8_t *bytes = g_malloc0(12000000);
    g_autoptr(GBytes) initrd = g_bytes_new_static(bytes, 4000000);
    g_autoptr(GBytes) larger = g_bytes_new_static(bytes, 12000000);
    MachineBoot boot = {.kernel = kernel, .initrd = initrd, .initrd_name = "initrd.gz"};
    MachineEntry e;
    /* Half of memory is not enough for this kernel: the initrd goes behind it. */
    g_assert_true(machine_boot(m, &boot, &e, &error));
    g_assert_cmphex(e.initrd_start, ==, 0x81600000);
    g_assert_cmphex(e.fdt_addr, ==, 0x81e00000);
    boot.initrd = larger;
    g_assert_false(machine_boot(m, &boot, &e, &error));
    g_assert_nonnull(strstr(error->message, "initrd.gz"));
    g_assert_nonnull(strstr(error->message, "32 MiB"));
    g_clear_error(&error);
    boot.kernel = large;
    g_assert_false(machine_boot(m, &boot, &e, &error));
    g_assert_nonnull(strstr(error->message, "BigImage"));
}

static void test_boot_high_memory(void)
{
    g_autoptr(BusClock) clock = bus_clock_new_manual();
    g_autoptr(Machine) m = machine("virt", "1", "8G", clock, NULL);
    g_autoptr(GError) error = NULL;
    g_assert_true(machine_start(m, NULL, NULL, &error));
    g_autoptr(LoadImage) kernel = raw("Image", 4096, 0x11);
    MachineBoot boot = {.kernel = kernel};
    MachineEntry e;
    g_assert_true(machine_boot(m, &boot, &e, &error));
    g_assert_cmphex(e.fdt_addr, ==, 0xbfe00000);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/virt/tree-qemu", test_tree_qemu);
    g_test_add_func("/virt/tree-512", test_tree_512);
    g_test_add_func("/virt/board", test_board);
    g_test_add_func("/virt/threads", test_threads);
    g_test_add_func("/virt/boot", test_boot);
    g_test_add_func("/virt/boot-elsewhere", test_boot_elsewhere);
    g_test_add_func("/virt/boot-low-memory", test_boot_low_memory);
    g_test_add_func("/virt/boot-high-memory", test_boot_high_memory);
    return g_test_run();
}
