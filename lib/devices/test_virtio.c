/* SPDX-License-Identifier: MIT */
/* virtio-blk and virtio-rng in a slot, driven as a driver drives them: requests that are right, wrong
 * and hostile, on a disk that ends at once (null-co) and on a file that a worker thread may serve. */
#include "devices/device.h"

#include "base/bytes.h"

#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#define RAM UINT64_C(0x80000000)
#define RAM_SIZE UINT64_C(0x100000)
#define SLOT UINT64_C(0x10001000)
#define DESC RAM
#define DRIVER (RAM + 0x4000)
#define DEVICE (RAM + 0x6000)
#define HEADER (RAM + 0x10000)
#define STATUS (RAM + 0x11000)
#define DATA (RAM + 0x20000)

enum { SIZE = 16, NEXT = 1, WRITE = 2, DISK = 1 << 20 };
enum { IN = 0, OUT = 1, FLUSH = 4, GET_ID = 8, DISCARD = 11, WRITE_ZEROES = 13 };

typedef struct {
    BusSpace *space;
    BusClock *clock;
    BlockGraph *graph;
    Device *slot, *dev;
    DeviceDrive drive;
    uint8_t *ram;
    char *file;
    bool line; /* atomic */
} Env;

static void line_set(void *opaque, int n, bool level)
{
    __atomic_store_n(&((Env *)opaque)->line, level, __ATOMIC_RELEASE);
}

static void wr(Env *e, uint64_t offset, uint32_t value)
{
    g_assert_cmpint(bus_write(e->space, SLOT + offset, value, 4), ==, BUS_OK);
}

static uint32_t rd(Env *e, uint64_t offset)
{
    uint64_t value;
    g_assert_cmpint(bus_read(e->space, SLOT + offset, 4, &value), ==, BUS_OK);
    return (uint32_t)value;
}

static uint8_t *at(Env *e, uint64_t addr)
{
    return e->ram + (addr - RAM);
}

/* To DRIVER_OK with all that is offered. */
static void bring_up(Env *e)
{
    wr(e, 0x70, 0);
    memset(at(e, RAM), 0, 0x8000);
    wr(e, 0x70, 3);
    for (uint32_t word = 0; word < 2; word++) {
        wr(e, 0x14, word);
        wr(e, 0x24, word);
        wr(e, 0x20, rd(e, 0x10));
    }
    wr(e, 0x70, 11);
    g_assert_cmpuint(rd(e, 0x70), ==, 11);
    wr(e, 0x30, 0);
    wr(e, 0x38, MIN(SIZE, rd(e, 0x34)));
    wr(e, 0x80, (uint32_t)DESC);
    wr(e, 0x90, (uint32_t)DRIVER);
    wr(e, 0xa0, (uint32_t)DEVICE);
    wr(e, 0x44, 1);
    wr(e, 0x70, 15);
    g_assert_cmpuint(rd(e, 0x70), ==, 15);
}

/* driver NULL: a file of DISK bytes. */
static void env_init(Env *e, const char *type, const char *driver)
{
    g_autoptr(GError) error = NULL;
    *e = (Env){.space = bus_space_new("t", false), .clock = bus_clock_new_manual()};
    BusRegion *ram = bus_ram_new(e->space, "ram", RAM, RAM_SIZE, 0, 0, NULL);
    e->ram = bus_ram_host(ram);
    e->graph = block_graph_new();
    e->slot = device_new(device_type_find("virtio-mmio"), "slot");
    e->dev = device_new(device_type_find(type), "dev");
    device_connect(e->slot, 0, (BusIrq){line_set, e, 0});
    device_place(e->slot, 0, SLOT);
    int fd = g_file_open_tmp("lathe-virtio-XXXXXX", &e->file, NULL);
    g_assert_cmpint(ftruncate(fd, DISK), ==, 0);
    close(fd);
    g_autofree char *text = driver ? g_strdup(driver)
                                   : g_strdup_printf("driver=file,node-name=n,filename=%s", e->file);
    e->drive = (DeviceDrive){.id = "d", .node = block_blockdev(e->graph, text, &error),
                             .serial = "serial-number-of-drive-d"};
    g_assert_no_error(error);
    g_assert_true(device_type_find("virtio-mmio")->plug(e->slot, e->dev, NULL));
}

static void env_start(Env *e)
{
    g_autoptr(GError) error = NULL;
    if (device_prop(e->dev->type, "drive", NULL))
        g_assert_true(device_set_drive(e->dev, "drive", &e->drive, NULL));
    DeviceEnv env = {.space = e->space, .clock = e->clock};
    device_start(e->slot, &env, &error);
    g_assert_no_error(error);
    device_start(e->dev, &env, &error);
    g_assert_no_error(error);
    bring_up(e);
}

static void env_clear(Env *e)
{
    device_free(e->dev);
    device_free(e->slot);
    bus_clock_free(e->clock);
    bus_space_free(e->space);
    block_graph_free(e->graph);
    g_unlink(e->file);
    g_free(e->file);
}

static void desc(Env *e, unsigned i, uint64_t addr, uint32_t len, uint16_t flags, uint16_t next)
{
    uint8_t *p = at(e, DESC + 16 * i);
    st_le64(p, addr);
    st_le32(p + 8, len);
    st_le16(p + 12, flags);
    st_le16(p + 14, next);
}

static uint16_t used(Env *e)
{
    return __atomic_load_n((uint16_t *)(void *)(at(e, DEVICE) + 2), __ATOMIC_ACQUIRE);
}

static void offer_head(Env *e, uint16_t head)
{
    uint8_t *p = at(e, DRIVER);
    uint16_t *idx = (uint16_t *)(void *)(p + 2);
    /* an interrupt for each */
    st_le16(p + 4 + 2 * SIZE, *idx);
    st_le16(p + 4 + 2 * (*idx % SIZE), head);
    __atomic_store_n(idx, (uint16_t)(*idx + 1), __ATOMIC_RELEASE);
    wr(e, 0x50, 0);
}

static void offer(Env *e)
{
    offer_head(e, 0);
}

static void wait_line(Env *e)
{
    for (unsigned i = 0; !__atomic_load_n(&e->line, __ATOMIC_ACQUIRE); i++) {
        g_assert_cmpuint(i, <, 5000);
        g_usleep(1000);
    }
}

/* One request; in_len bytes at DATA + 0x8000 are for the device to write, out_len at DATA to read.
   Returns the status byte; the length the device says is in *written. */
static int request(Env *e, uint32_t type, uint64_t sector, uint32_t out_len, uint32_t in_len,
                   uint32_t *written)
{
    unsigned n = 0;
    uint16_t before = used(e);
    st_le32(at(e, HEADER), type);
    st_le32(at(e, HEADER) + 4, 0);
    st_le64(at(e, HEADER) + 8, sector);
    *at(e, STATUS) = 0xee;
    desc(e, n++, HEADER, 16, NEXT, 1);
    if (out_len) {
        desc(e, n, DATA, out_len, NEXT, (uint16_t)(n + 1));
        n++;
    }
    if (in_len) {
        desc(e, n, DATA + 0x8000, in_len, NEXT | WRITE, (uint16_t)(n + 1));
        n++;
    }
    desc(e, n, STATUS, 1, WRITE, 0);
    offer(e);
    wait_line(e);
    g_assert_cmpuint(used(e), ==, (uint16_t)(before + 1));
    wr(e, 0x64, 3);
    if (written)
        *written = ld_le32(at(e, DEVICE) + 4 + 8 * (before % SIZE) + 4);
    return *at(e, STATUS);
}

static void segment(Env *e, uint64_t sector, uint32_t count, uint32_t flags)
{
    st_le64(at(e, DATA), sector);
    st_le32(at(e, DATA) + 8, count);
    st_le32(at(e, DATA) + 12, flags);
}

static void test_file(void)
{
    Env e;
    uint32_t written;
    env_init(&e, "virtio-blk-device", NULL);
    env_start(&e);
    g_assert_cmpuint(rd(&e, 8), ==, 2);
    g_assert_cmpuint(rd(&e, 0x100), ==, DISK / 512);
    g_assert_cmpuint(rd(&e, 0x10c), ==, 254);
    g_assert_cmpuint(rd(&e, 0x114), ==, 512);
    memset(at(&e, DATA), 'a', 4096);
    g_assert_cmpint(request(&e, OUT, 8, 4096, 0, &written), ==, 0);
    g_assert_cmpuint(written, ==, 1);
    g_assert_cmpint(request(&e, FLUSH, 0, 0, 0, NULL), ==, 0);
    g_assert_cmpint(request(&e, IN, 8, 0, 8192, &written), ==, 0);
    g_assert_cmpuint(written, ==, 8193);
    g_assert_cmpint(memcmp(at(&e, DATA), at(&e, DATA + 0x8000), 4096), ==, 0);
    g_assert_cmpint(at(&e, DATA + 0x8000)[4096], ==, 0);
    g_assert_cmpint(request(&e, GET_ID, 0, 0, 20, NULL), ==, 0);
    g_assert_cmpint(memcmp(at(&e, DATA + 0x8000), "serial-number-of-dri", 20), ==, 0);
    g_assert_cmpint(request(&e, GET_ID, 0, 0, 4, &written), ==, 0);
    g_assert_cmpuint(written, ==, 5);
    segment(&e, 8, 4, 1);
    g_assert_cmpint(request(&e, WRITE_ZEROES, 0, 16, 0, NULL), ==, 0);
    g_assert_cmpint(request(&e, IN, 8, 0, 4096, NULL), ==, 0);
    g_assert_cmpint(at(&e, DATA + 0x8000)[2047], ==, 0);
    g_assert_cmpint(at(&e, DATA + 0x8000)[2048], ==, 'a');
    segment(&e, 0, 64, 0);
    g_assert_cmpint(request(&e, DISCARD, 0, 16, 0, NULL), ==, 0);
    env_clear(&e);
}

static void test_refused(void)
{
    Env e;
    env_init(&e, "virtio-blk-device", NULL);
    env_start(&e);
    g_assert_cmpint(request(&e, 99, 0, 0, 0, NULL), ==, 2);
    g_assert_cmpint(request(&e, IN, DISK / 512, 0, 512, NULL), ==, 1);
    g_assert_cmpint(request(&e, IN, DISK / 512 - 1, 0, 1024, NULL), ==, 1);
    g_assert_cmpint(request(&e, OUT, UINT64_MAX, 512, 0, NULL), ==, 1);
    g_assert_cmpint(request(&e, OUT, UINT64_MAX / 512, 512, 0, NULL), ==, 1);
    g_assert_cmpint(request(&e, OUT, 0, 511, 0, NULL), ==, 1);
    g_assert_cmpint(request(&e, IN, 0, 0, 100, NULL), ==, 1);
    g_assert_cmpint(request(&e, IN, 0, 0, 0, NULL), ==, 0);
    segment(&e, 0, 8, 2);
    g_assert_cmpint(request(&e, WRITE_ZEROES, 0, 16, 0, NULL), ==, 2);
    g_assert_cmpint(request(&e, WRITE_ZEROES, 0, 15, 0, NULL), ==, 2);
    g_assert_cmpint(request(&e, WRITE_ZEROES, 0, 32, 0, NULL), ==, 1);
    segment(&e, 0, UINT32_MAX, 0);
    g_assert_cmpint(request(&e, DISCARD, 0, 16, 0, NULL), ==, 1);
    segment(&e, UINT64_MAX, 8, 0);
    g_assert_cmpint(request(&e, DISCARD, 0, 16, 0, NULL), ==, 1);
    segment(&e, 0, 8, 1);
    g_assert_cmpint(request(&e, DISCARD, 0, 16, 0, NULL), ==, 2);
    /* it still works */
    g_assert_cmpint(request(&e, OUT, 0, 512, 0, NULL), ==, 0);
    env_clear(&e);
}

static void broken(Env *e)
{
    offer(e);
    wait_line(e);
    g_assert_cmpuint(rd(e, 0x70) & 64, ==, 64);
    bring_up(e);
    g_assert_false(e->line);
    g_assert_cmpint(request(e, OUT, 0, 512, 0, NULL), ==, 0);
}

static void test_hostile(void)
{
    Env e;
    env_init(&e, "virtio-blk-device", NULL);
    env_start(&e);
    desc(&e, 0, HEADER, 16, 0, 0); /* no status */
    broken(&e);
    desc(&e, 0, HEADER, 15, NEXT, 1); /* half a header */
    desc(&e, 1, STATUS, 1, WRITE, 0);
    broken(&e);
    desc(&e, 0, STATUS, 1, WRITE, 0); /* none */
    broken(&e);
    desc(&e, 0, HEADER, 16, NEXT, 0); /* a loop */
    broken(&e);
    desc(&e, 0, SLOT, 16, NEXT, 1); /* the device's own registers */
    desc(&e, 1, STATUS, 1, WRITE, 0);
    broken(&e);
    desc(&e, 0, HEADER, 16, NEXT, 1);
    desc(&e, 1, SLOT + 0x70, 1, WRITE, 0);
    broken(&e);
    env_clear(&e);
}

static void test_read_only(void)
{
    Env e;
    env_init(&e, "virtio-blk-device", NULL);
    e.drive.read_only = true;
    env_start(&e);
    wr(&e, 0x14, 0);
    g_assert_cmpuint(rd(&e, 0x10) & 1 << 5, !=, 0);
    g_assert_cmpuint(rd(&e, 0x10) & (1 << 13 | 1 << 14), ==, 0);
    g_assert_cmpint(request(&e, OUT, 0, 512, 0, NULL), ==, 1);
    g_assert_cmpint(request(&e, IN, 0, 0, 512, NULL), ==, 0);
    segment(&e, 0, 8, 0);
    g_assert_cmpint(request(&e, WRITE_ZEROES, 0, 16, 0, NULL), ==, 2);
    env_clear(&e);
}

/* Five reads at once, each with its own buffers. */
static void offer_reads(Env *e)
{
    for (uint16_t i = 0; i < 5; i++) {
        desc(e, 3u * i, HEADER, 16, NEXT, (uint16_t)(3 * i + 1));
        desc(e, 3u * i + 1, DATA + 0x8000 + 0x1000 * i, 4096, NEXT | WRITE, (uint16_t)(3 * i + 2));
        desc(e, 3u * i + 2, STATUS + i, 1, WRITE, 0);
    }
    for (uint16_t i = 0; i < 5; i++)
        offer_head(e, (uint16_t)(3 * i));
    g_usleep(2000);
}

/* Requests that end later: reset and end while they are on their way. */
static void test_in_flight(void)
{
    Env e;
    env_init(&e, "virtio-blk-device",
             "driver=null-co,node-name=n,size=1M,latency-ns=20000000,read-zeroes=on");
    env_start(&e);
    g_assert_cmpint(request(&e, IN, 0, 0, 4096, NULL), ==, 0);
    for (unsigned round = 0; round < 3; round++) {
        offer_reads(&e);
        wr(&e, 0x70, 0);
        g_assert_false(e.line);
        uint16_t then = used(&e);
        g_usleep(30000);
        g_assert_cmpuint(used(&e), ==, then);
        bring_up(&e);
        g_assert_cmpint(request(&e, IN, 0, 0, 4096, NULL), ==, 0);
    }
    offer_reads(&e);
    env_clear(&e);
}

static void test_saved(void)
{
    Env e;
    env_init(&e, "virtio-blk-device", NULL);
    env_start(&e);
    for (unsigned i = 0; i < 5; i++)
        g_assert_cmpint(request(&e, OUT, i, 512, 0, NULL), ==, 0);
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    device_save(e.slot, bytes);
    device_save(e.dev, bytes);
    device_reset(e.slot);
    device_reset(e.dev);
    g_assert_cmpuint(rd(&e, 0x70), ==, 0);
    size_t pos = 0;
    g_assert_true(device_load(e.slot, bytes->data, bytes->len, &pos, NULL));
    g_assert_true(device_load(e.dev, bytes->data, bytes->len, &pos, NULL));
    g_assert_cmpuint(pos, ==, bytes->len);
    g_assert_cmpuint(rd(&e, 0x70), ==, 15);
    g_assert_cmpint(request(&e, IN, 0, 0, 512, NULL), ==, 0);
    env_clear(&e);
}

/* Registers and memory at random: nothing of the host's breaks, and a reset makes all well. */
static void test_poker(void)
{
    Env e;
#ifdef __SANITIZE_THREAD__
    /* A guest that changes buffers in flight races with the device, and that is its own affair. */
    g_test_skip("races on purpose");
    return;
#endif
    GRand *rand = g_rand_new_with_seed(g_test_rand_int_range(0, G_MAXINT32));
    env_init(&e, "virtio-blk-device", NULL);
    env_start(&e);
    for (unsigned i = 0; i < 20000; i++) {
        uint32_t r = g_rand_int(rand);
        uint64_t offset = r % 0x140;
        if (i % 500 == 0)
            bring_up(&e);
        if (r & 1 << 20) {
            uint64_t addr = RAM + (r >> 21) % 0x8000;
            e.ram[addr - RAM] = (uint8_t)g_rand_int(rand);
        } else if (r & 1 << 21) {
            wr(&e, 0x50, 0);
        } else if (r & 1 << 22) {
            uint64_t value;
            bus_read(e.space, SLOT + offset, 1u << (r >> 30), &value);
        } else if (offset != 0x70 || r & 1 << 23) {
            uint32_t values[] = {0, 1, SIZE, (uint32_t)RAM, g_rand_int(rand)};
            bus_write(e.space, SLOT + offset, values[(r >> 24) % 5], 4);
        }
    }
    bring_up(&e);
    wr(&e, 0x64, 3);
    g_assert_cmpint(request(&e, OUT, 0, 512, 0, NULL), ==, 0);
    env_clear(&e);
    g_rand_free(rand);
}

static void test_rng(void)
{
    Env e;
    env_init(&e, "virtio-rng-device", NULL);
    env_start(&e);
    memset(at(&e, DATA), 0, 64);
    desc(&e, 0, DATA, 64, WRITE, 0);
    offer(&e);
    wait_line(&e);
    unsigned zeroes = 0;
    for (unsigned i = 0; i < 64; i++)
        zeroes += at(&e, DATA)[i] == 0;
    g_assert_cmpuint(zeroes, <, 16);
    g_assert_cmpuint(ld_le32(at(&e, DEVICE) + 8), ==, 64);
    env_clear(&e);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/virtio-blk/file", test_file);
    g_test_add_func("/virtio-blk/refused", test_refused);
    g_test_add_func("/virtio-blk/hostile", test_hostile);
    g_test_add_func("/virtio-blk/read-only", test_read_only);
    g_test_add_func("/virtio-blk/in-flight", test_in_flight);
    g_test_add_func("/virtio-blk/saved", test_saved);
    g_test_add_func("/virtio-blk/poker", test_poker);
    g_test_add_func("/virtio-rng", test_rng);
    return g_test_run();
}
