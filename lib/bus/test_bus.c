/* SPDX-License-Identifier: MIT */
/* Address spaces: overlap, access rules, RAM flags and hooks, DMA, changes beside readers. */
#include "bus/bus.h"

#include <string.h>
#include <sys/stat.h>

typedef struct {
    uint8_t reg[64];
    unsigned reads, writes, last_size;
    uint64_t last_offset, last_value;
} Dev;

static uint64_t dev_read(void *opaque, uint64_t offset, unsigned size)
{
    Dev *d = opaque;
    uint64_t v = 0;
    d->reads++;
    d->last_size = size;
    d->last_offset = offset;
    for (unsigned i = 0; i < size; i++)
        v |= (uint64_t)d->reg[offset + i] << (8 * i);
    return v;
}

static void dev_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    Dev *d = opaque;
    d->writes++;
    d->last_size = size;
    d->last_offset = offset;
    d->last_value = value;
    for (unsigned i = 0; i < size; i++)
        d->reg[offset + i] = (uint8_t)(value >> (8 * i));
}

static const BusOps plain = {.read = dev_read, .write = dev_write};
static const BusOps words = {.read = dev_read, .write = dev_write, .min = 4, .max = 4};
static const BusOps words_big = {.read = dev_read, .write = dev_write, .min = 4, .max = 4,
                                 .endian = BUS_BIG};
static const BusOps words_only = {.read = dev_read, .write = dev_write, .valid_min = 4,
                                  .valid_max = 4};

static uint64_t rd(BusSpace *s, uint64_t addr, unsigned size)
{
    uint64_t v;
    g_assert_cmpint(bus_read(s, addr, size, &v), ==, BUS_OK);
    return v;
}

static void test_unmapped(void)
{
    g_autoptr(BusSpace) s = bus_space_new("t", false);
    uint64_t v = 1;
    g_assert_cmpint(bus_read(s, 0, 8, &v), ==, BUS_UNMAPPED);
    g_assert_cmpuint(v, ==, 0);
    g_assert_cmpint(bus_write(s, UINT64_MAX, 0, 8), ==, BUS_UNMAPPED);
    g_assert_nonnull(bus_ram_new(s, "ram", 0x1000, 0x1000, 0, 0, NULL));
    g_assert_cmpint(bus_read(s, 0x1000, 3, &v), ==, BUS_DENIED);
    g_assert_cmpint(bus_read(s, 0x1000, 0, &v), ==, BUS_DENIED);
    g_assert_cmpint(bus_read(s, 0x1ffc, 8, &v), ==, BUS_UNMAPPED);
    g_assert_cmpint(bus_read(s, 0x1ff8, 8, &v), ==, BUS_OK);
    g_assert_cmpint(bus_read(s, 0xfff, 1, &v), ==, BUS_UNMAPPED);
    BusRamRef ref;
    g_assert_false(bus_find_ram(s, 0, &ref));
    g_autoptr(GError) error = NULL;
    g_assert_null(bus_mmio_new(s, "m", UINT64_MAX, 2, &plain, NULL, 0, &error));
    g_assert_nonnull(error);
    /* The last byte of the space. */
    Dev d = {.reg = {7}};
    g_assert_nonnull(bus_mmio_new(s, "m", UINT64_MAX, 1, &plain, &d, 0, NULL));
    g_assert_cmpuint(rd(s, UINT64_MAX, 1), ==, 7);
    g_assert_cmpint(bus_read(s, UINT64_MAX, 2, &v), !=, BUS_OK);
}

static void test_overlap(void)
{
    g_autoptr(BusSpace) s = bus_space_new("t", false);
    Dev a = {.reads = 0}, b = {.reads = 0}, c = {.reads = 0};
    memset(a.reg, 0xa, sizeof a.reg);
    memset(b.reg, 0xb, sizeof b.reg);
    memset(c.reg, 0xc, sizeof c.reg);
    bus_mmio_new(s, "a", 0, 64, &plain, &a, 0, NULL);
    BusRegion *rb = bus_mmio_new(s, "b", 16, 16, &plain, &b, 1, NULL);
    BusRegion *rc = bus_mmio_new(s, "c", 0, 32, &plain, &c, -1, NULL);
    g_assert_cmpuint(rd(s, 15, 1), ==, 0xa);
    g_assert_cmpuint(rd(s, 16, 1), ==, 0xb);
    g_assert_cmpuint(rd(s, 31, 1), ==, 0xb);
    g_assert_cmpuint(rd(s, 32, 1), ==, 0xa);
    g_assert_cmpuint(a.last_offset, ==, 32); /* the offset counts from the region's own base */
    bus_region_enable(rb, false);
    g_assert_cmpuint(rd(s, 16, 1), ==, 0xa);
    bus_region_enable(rb, true);
    bus_region_move(rb, 48);
    g_assert_cmpuint(rd(s, 16, 1), ==, 0xa);
    g_assert_cmpuint(rd(s, 50, 1), ==, 0xb);
    g_assert_cmpuint(b.last_offset, ==, 2);
    bus_region_remove(rb);
    g_assert_cmpuint(rd(s, 50, 1), ==, 0xa);
    /* Of equal priorities the one added last answers. */
    Dev e = {.reg = {0xe}};
    bus_mmio_new(s, "e", 0, 1, &plain, &e, 0, NULL);
    g_assert_cmpuint(rd(s, 0, 1), ==, 0xe);
    bus_region_move(rc, UINT64_MAX);
    g_assert_cmpuint(rd(s, 1, 1), ==, 0xa);
}

static void test_access_rules(void)
{
    g_autoptr(BusSpace) s = bus_space_new("t", false);
    Dev d = {.reads = 0};
    for (unsigned i = 0; i < sizeof d.reg; i++)
        d.reg[i] = (uint8_t)(i + 1);
    uint64_t v;
    bus_mmio_new(s, "words", 0x0, 64, &words, &d, 0, NULL);
    g_assert_cmphex(rd(s, 8, 8), ==, 0x100f0e0d0c0b0a09);
    g_assert_cmpuint(d.reads, ==, 2);
    g_assert_cmpuint(d.last_size, ==, 4);
    g_assert_cmphex(rd(s, 6, 2), ==, 0x0807);
    g_assert_cmpuint(d.last_offset, ==, 4);
    g_assert_cmpint(bus_read(s, 7, 2, &v), ==, BUS_DENIED);
    g_assert_cmpint(bus_write(s, 16, 0x1122334455667788, 8), ==, BUS_OK);
    g_assert_cmphex(rd(s, 16, 8), ==, 0x1122334455667788);
    g_assert_cmphex(d.last_value, ==, 0x11223344);
    g_assert_cmpint(bus_write(s, 17, 0xab, 1), ==, BUS_OK);
    g_assert_cmphex(d.last_value, ==, 0xab00);

    bus_mmio_new(s, "big", 0x100, 64, &words_big, &d, 0, NULL);
    g_assert_cmpint(bus_write(s, 0x100, 0x01020304, 4), ==, BUS_OK);
    g_assert_cmphex(d.last_value, ==, 0x04030201);
    g_assert_cmphex(rd(s, 0x100, 4), ==, 0x01020304);
    g_assert_cmphex(rd(s, 0x100, 1), ==, 0x04);

    bus_mmio_new(s, "only", 0x200, 64, &words_only, &d, 0, NULL);
    g_assert_cmpint(bus_read(s, 0x200, 1, &v), ==, BUS_DENIED);
    g_assert_cmpint(bus_read(s, 0x200, 8, &v), ==, BUS_DENIED);
    g_assert_cmpint(bus_read(s, 0x202, 4, &v), ==, BUS_DENIED);
    g_assert_cmpint(bus_read(s, 0x23c, 8, &v), ==, BUS_DENIED);
    static const BusOps none = {0};
    bus_mmio_new(s, "none", 0x300, 8, &none, NULL, 0, NULL);
    g_assert_cmpint(bus_write(s, 0x300, 0, 8), ==, BUS_DENIED);
    g_assert_cmpint(bus_read(s, 0x300, 8, &v), ==, BUS_DENIED);
}

typedef struct {
    unsigned calls;
    uint64_t phys[8], len[8];
} Hook;

static void hook_written(void *opaque, uint64_t phys, uint64_t len)
{
    Hook *h = opaque;
    if (h->calls < 8) {
        h->phys[h->calls] = phys;
        h->len[h->calls] = len;
    }
    h->calls++;
}

static void test_ram_flags(void)
{
    g_autoptr(BusSpace) s = bus_space_new("t", false);
    Hook h = {0};
    bus_set_code_hook(s, hook_written, &h);
    BusRegion *ram = bus_ram_new(s, "ram", 0x80000000, 0x10000, 0, 0, NULL);
    g_assert_nonnull(ram);
    BusRamRef ref;
    g_assert_true(bus_find_ram(s, 0x80002abc, &ref));
    g_assert_true(ref.host == bus_ram_host(ram) + 0x2000);
    g_assert_cmpuint(ref.left, ==, 0xe000);
    g_assert_true(ref.writable);
    g_assert_cmpuint(*ref.flags, ==, 0);
    g_assert_cmpint(bus_write(s, 0x80002000, 0x1234, 2), ==, BUS_OK);
    g_assert_cmpuint(*ref.flags, ==, BUS_PAGE_DIRTY);
    g_assert_cmpuint(h.calls, ==, 0);
    g_assert_cmphex(rd(s, 0x80002001, 2), ==, 0x12);

    bus_page_mark(ref.flags, BUS_PAGE_CODE);
    bus_page_mark(ref.flags + 1, BUS_PAGE_CODE);
    bus_page_mark(ref.flags + 3, BUS_PAGE_CODE);
    g_assert_cmpint(bus_write(s, 0x80002ffc, 1, 8), ==, BUS_OK);
    g_assert_cmpuint(h.calls, ==, 1);
    g_assert_cmphex(h.phys[0], ==, 0x80002ffc);
    g_assert_cmphex(h.len[0], ==, 8);

    h.calls = 0;
    g_autofree uint8_t *buf = g_malloc0(0x5000);
    g_assert_cmpint(bus_dma_write(s, 0x80001800, buf, 0x5000), ==, BUS_OK);
    g_assert_cmpuint(h.calls, ==, 2);
    g_assert_cmphex(h.phys[0], ==, 0x80002000);
    g_assert_cmphex(h.len[0], ==, 0x2000);
    g_assert_cmphex(h.phys[1], ==, 0x80005000);
    g_assert_cmphex(h.len[1], ==, 0x1000);

    /* The same RAM elsewhere: both addresses are told, whichever was written. */
    g_assert_nonnull(bus_alias_new(s, "alias", 0x1000, 0x1000, ram, 0x2000, 0, NULL));
    h.calls = 0;
    g_assert_cmpint(bus_write(s, 0x1010, 0x55, 1), ==, BUS_OK);
    g_assert_cmpuint(h.calls, ==, 2);
    g_assert_cmphex(h.phys[0], ==, 0x1010);
    g_assert_cmphex(h.phys[1], ==, 0x80002010);
    g_assert_cmphex(rd(s, 0x80002010, 1), ==, 0x55);

    bus_page_clear(ref.flags, BUS_PAGE_CODE | BUS_PAGE_DIRTY);
    h.calls = 0;
    uint64_t len = 0x100000;
    uint8_t *p = bus_dma_map(s, 0x80002100, &len, true);
    g_assert_true(p == bus_ram_host(ram) + 0x2100);
    g_assert_cmphex(len, ==, 0xdf00);
    bus_dma_unmap(s, 0x80002100, 16);
    g_assert_cmpuint(*ref.flags, ==, BUS_PAGE_DIRTY);
    g_assert_cmpuint(h.calls, ==, 0);
    bus_page_mark(ref.flags, BUS_PAGE_CODE);
    bus_dma_unmap(s, 0x80002100, 16);
    g_assert_cmpuint(h.calls, ==, 2);
}

static void test_rom_and_load(void)
{
    g_autoptr(BusSpace) s = bus_space_new("t", false);
    bus_ram_new(s, "rom", 0x1000, 0x1000, BUS_RAM_ROM, 0, NULL);
    bus_ram_new(s, "ram", 0x2000, 0x1000, 0, 0, NULL);
    g_autoptr(GError) error = NULL;
    uint8_t bytes[0x1800];
    memset(bytes, 0x5a, sizeof bytes);
    g_assert_true(bus_load(s, 0x1000, bytes, sizeof bytes, &error));
    g_assert_cmphex(rd(s, 0x27ff, 1), ==, 0x5a);
    g_assert_cmpint(bus_write(s, 0x1000, 0, 8), ==, BUS_OK);
    g_assert_cmphex(rd(s, 0x1000, 4), ==, 0x5a5a5a5a);
    g_assert_cmphex(rd(s, 0x1ffc, 8), ==, 0x5a5a5a5a5a5a5a5a); /* over the edge of two blocks */
    uint64_t len = 1;
    g_assert_null(bus_dma_map(s, 0x1000, &len, true));
    g_assert_nonnull(bus_dma_map(s, 0x1000, &len, false));
    g_assert_false(bus_load(s, 0x2800, bytes, sizeof bytes, &error));
    g_assert_nonnull(strstr(error->message, "0x3000"));
    g_assert_cmphex(rd(s, 0x2900, 1), ==, 0); /* nothing was written */
    memset(bytes, 1, sizeof bytes);
    g_assert_cmpint(bus_dma_read(s, 0x2800, bytes, sizeof bytes), ==, BUS_UNMAPPED);
    g_assert_cmpuint(bytes[sizeof bytes - 1], ==, 0);
}

static uint64_t blocks_of(const BusRegion *ram)
{
    struct stat st;
    g_assert_cmpint(fstat(bus_ram_fd(ram), &st), ==, 0);
    return (uint64_t)st.st_blocks * 512;
}

static void test_discard(void)
{
    g_autoptr(BusSpace) s = bus_space_new("t", false);
    BusRegion *ram = bus_ram_new(s, "ram", 0x10000, 0x10000, 0, 0, NULL);
    BusRegion *rom = bus_ram_new(s, "rom", 0x20000, 0x1000, BUS_RAM_ROM, 0, NULL);
    BusRamRef ref;
    memset(bus_ram_host(ram), 0x77, 0x10000);
    memset(bus_ram_host(rom), 0x77, 0x1000);
    uint64_t before = blocks_of(ram);
    bus_ram_discard(s, 0x11001, 0x2fff); /* the whole pages 0x12000 and 0x13000 */
    g_assert_cmphex(rd(s, 0x11fff, 1), ==, 0x77);
    g_assert_cmphex(rd(s, 0x12000, 8), ==, 0);
    g_assert_cmphex(rd(s, 0x13ff8, 8), ==, 0);
    g_assert_cmphex(rd(s, 0x14000, 1), ==, 0x77);
    g_assert_cmpuint(before - blocks_of(ram), ==, 0); /* reading brought them back */
    bus_ram_discard(s, 0x12000, 0x2000);
    g_assert_cmpuint(before - blocks_of(ram), ==, 0x2000);
    g_assert_true(bus_find_ram(s, 0x12000, &ref));
    g_assert_cmpuint(*ref.flags & BUS_PAGE_DIRTY, ==, BUS_PAGE_DIRTY);
    bus_ram_discard(s, 0x8000, 0x1a000); /* a hole, all of it, ROM, a hole */
    g_assert_cmpuint(blocks_of(ram), ==, 0);
    g_assert_cmphex(rd(s, 0x20000, 1), ==, 0x77);
}

static void test_dma_mmio(void)
{
    g_autoptr(BusSpace) s = bus_space_new("t", false);
    Dev d = {.reads = 0};
    bus_mmio_new(s, "d", 0x100, 64, &words_only, &d, 0, NULL);
    uint8_t bytes[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, back[12];
    g_assert_cmpint(bus_dma_write(s, 0x104, bytes, 12), ==, BUS_OK);
    g_assert_cmpuint(d.writes, ==, 3);
    g_assert_cmpint(bus_dma_read(s, 0x104, back, 12), ==, BUS_OK);
    g_assert_cmpmem(bytes, 12, back, 12);
    g_assert_cmpint(bus_dma_write(s, 0x104, bytes, 3), ==, BUS_DENIED);
}

/* What a device may reach with its locks held: RAM, and registers that take messages. */
static void test_messages(void)
{
    static const BusOps sink = {.read = dev_read, .write = dev_write, .messages = true};
    g_autoptr(BusSpace) s = bus_space_new("t", false);
    Dev d = {0}, m = {0};
    uint8_t buf[16], bytes[16] = "0123456789abcde";
    g_assert_nonnull(bus_ram_new(s, "ram", 0x1000, 0x1000, 0, 0, NULL));
    g_assert_nonnull(bus_ram_new(s, "rom", 0x2000, 0x1000, BUS_RAM_ROM, 0, NULL));
    g_assert_nonnull(bus_mmio_new(s, "dev", 0x3000, 64, &plain, &d, 0, NULL));
    g_assert_nonnull(bus_mmio_new(s, "sink", 0x4000, 64, &sink, &m, 0, NULL));
    g_assert_cmpint(bus_ram_write(s, 0x1008, bytes, 16), ==, BUS_OK);
    g_assert_cmpint(bus_ram_read(s, 0x1008, buf, 16), ==, BUS_OK);
    g_assert_cmpmem(buf, 16, bytes, 16);
    g_assert_cmpint(bus_ram_write(s, 0x2000, bytes, 16), !=, BUS_OK);
    g_assert_cmpint(bus_ram_read(s, 0x2000, buf, 16), ==, BUS_OK);
    for (uint64_t at = 0x3000; at <= 0x5000; at += 0x1000) {
        g_assert_cmpint(bus_ram_write(s, at, bytes, 16), !=, BUS_OK);
        g_assert_cmpint(bus_ram_read(s, at, buf, 16), !=, BUS_OK);
    }
    g_assert_cmpint(bus_ram_write(s, 0x1ff8, bytes, 16), !=, BUS_OK); /* up to the edge */
    g_assert_cmpint(bus_message(s, 0x1010, 0x12345678), ==, BUS_OK);
    g_assert_cmphex(rd(s, 0x1010, 4), ==, 0x12345678);
    g_assert_cmpint(bus_message(s, 0x4010, 0x12345678), ==, BUS_OK);
    g_assert_cmphex(m.last_value, ==, 0x12345678);
    g_assert_cmpint(bus_message(s, 0x1012, 1), ==, BUS_DENIED);
    g_assert_cmpint(bus_message(s, 0x2000, 1), ==, BUS_DENIED);
    g_assert_cmpint(bus_message(s, 0x3000, 1), ==, BUS_DENIED);
    g_assert_cmpint(bus_message(s, 0x5000, 1), ==, BUS_UNMAPPED);
    g_assert_cmpint(bus_message(s, UINT64_MAX - 1, 1), !=, BUS_OK);
    g_assert_cmpuint(d.reads + d.writes + m.reads, ==, 0);
    g_assert_cmpuint(m.writes, ==, 1);
}

static void test_big_ram(void)
{
    g_autoptr(BusSpace) s = bus_space_new("t", false);
    g_autoptr(GError) error = NULL;
    BusRegion *ram = bus_ram_new(s, "ram", 0x80000000, UINT64_C(1) << 40, 0, 0, &error);
    g_assert_no_error(error);
    g_assert_nonnull(ram);
    uint64_t top = 0x80000000 + (UINT64_C(1) << 40) - 8;
    g_assert_cmpint(bus_write(s, top, 42, 8), ==, BUS_OK);
    g_assert_cmpuint(rd(s, top, 8), ==, 42);
    g_assert_null(bus_ram_new(s, "odd", 0, 100, 0, 0, NULL));
}

/* Readers run while the map changes: each sees one of the two states. */
typedef struct {
    BusSpace *s;
    int stop;
    uint64_t wrong, rounds;
} Race;

static uint64_t race_read(void *opaque, uint64_t offset, unsigned size)
{
    return *(uint8_t *)opaque;
}

static const BusOps race_ops = {.read = race_read};

static gpointer race_reader(gpointer opaque)
{
    Race *race = opaque;
    while (!g_atomic_int_get(&race->stop)) {
        uint64_t v;
        if (bus_read(race->s, 8, 1, &v) != BUS_OK || (v != 0xa && v != 0xb))
            race->wrong++;
        race->rounds++;
    }
    return NULL;
}

static void changed(void *opaque)
{
    ++*(unsigned *)opaque;
}

static void test_readers_beside_changes(void)
{
    g_autoptr(BusSpace) s = bus_space_new("t", false);
    uint8_t a = 0xa, b = 0xb;
    unsigned changes = 0;
    bus_mmio_new(s, "a", 0, 64, &race_ops, &a, 0, NULL);
    BusRegion *rb = bus_mmio_new(s, "b", 0, 64, &race_ops, &b, 1, NULL);
    bus_set_map_hook(s, changed, &changes);
    Race race = {.s = s}, race2 = {.s = s};
    GThread *t1 = g_thread_new("r1", race_reader, &race);
    GThread *t2 = g_thread_new("r2", race_reader, &race2);
    for (int i = 0; i < 2000; i++)
        bus_region_enable(rb, i & 1);
    g_atomic_int_set(&race.stop, 1);
    g_atomic_int_set(&race2.stop, 1);
    g_thread_join(t1);
    g_thread_join(t2);
    g_assert_cmpuint(race.wrong + race2.wrong, ==, 0);
    g_assert_cmpuint(changes, ==, 2000);
    g_assert_false(bus_region_busy(rb));
}

/* A device that moves itself from within its own write callback, as a BAR does. */
typedef struct {
    BusRegion *region;
} Mover;

static void mover_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    bus_region_move(((Mover *)opaque)->region, value);
}

static const BusOps mover_ops = {.write = mover_write};

static void test_change_from_callback(void)
{
    g_autoptr(BusSpace) s = bus_space_new("t", false);
    Mover m;
    m.region = bus_mmio_new(s, "mover", 0x100, 16, &mover_ops, &m, 0, NULL);
    g_assert_cmpint(bus_write(s, 0x100, 0x200, 4), ==, BUS_OK);
    g_assert_cmpint(bus_write(s, 0x100, 0x300, 4), ==, BUS_UNMAPPED);
    g_assert_cmpint(bus_write(s, 0x200, 0x300, 4), ==, BUS_OK);
    g_assert_cmphex(bus_region_base(m.region), ==, 0x300);
}

static void irq_note(void *opaque, int n, bool level)
{
    int *log = opaque;
    log[0]++;
    log[1] = level ? n : -n;
}

static void test_irq(void)
{
    bus_irq_set((BusIrq){0}, true);
    int log[2] = {0, 0};
    BusIrqOr *gate = bus_irq_or_new((BusIrq){irq_note, log, 5});
    bus_irq_set(bus_irq_or_input(gate, 0), true);
    bus_irq_set(bus_irq_or_input(gate, 63), true);
    g_assert_cmpint(log[0], ==, 1);
    g_assert_cmpint(log[1], ==, 5);
    bus_irq_set(bus_irq_or_input(gate, 0), false);
    g_assert_cmpint(log[0], ==, 1);
    bus_irq_set(bus_irq_or_input(gate, 63), false);
    g_assert_cmpint(log[0], ==, 2);
    g_assert_cmpint(log[1], ==, -5);
    bus_irq_or_free(gate);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/bus/unmapped", test_unmapped);
    g_test_add_func("/bus/overlap", test_overlap);
    g_test_add_func("/bus/access-rules", test_access_rules);
    g_test_add_func("/bus/ram-flags", test_ram_flags);
    g_test_add_func("/bus/rom-and-load", test_rom_and_load);
    g_test_add_func("/bus/discard", test_discard);
    g_test_add_func("/bus/dma-mmio", test_dma_mmio);
    g_test_add_func("/bus/messages", test_messages);
    g_test_add_func("/bus/big-ram", test_big_ram);
    g_test_add_func("/bus/readers-beside-changes", test_readers_beside_changes);
    g_test_add_func("/bus/change-from-callback", test_change_from_callback);
    g_test_add_func("/bus/irq", test_irq);
    return g_test_run();
}
