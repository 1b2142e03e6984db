/* SPDX-License-Identifier: MIT */
/* A virtio-scsi controller with a disk and an optical drive, driven over its rings: commands that
 * are right, wrong and hostile, task management, disks that come, grow and go, saved state. */
#include "devices/device.h"

#include "base/bytes.h"

#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#define RAM UINT64_C(0x80000000)
#define RAM_SIZE UINT64_C(0x100000)
#define SLOT UINT64_C(0x10001000)
#define RING(q) (RAM + 0x4000 * (q))
#define REQUEST (RAM + 0x10000)
#define ANSWER (RAM + 0x11000)
#define EVENTS (RAM + 0x12000)
#define OUT (RAM + 0x20000)
#define IN (RAM + 0x40000)

enum { SIZE = 16, QUEUES = 3, NEXT = 1, WRITE = 2, DISK = 1 << 20, ANSWER_SIZE = 108 };
enum { CONTROL = 0, EVENT = 1, COMMAND = 2 };
enum { GOOD = 0, CHECK = 2 };

typedef struct {
    BusSpace *space;
    BusClock *clock;
    BlockGraph *graph;
    Device *slot, *hba, *disk, *cd;
    DeviceDrive drive;
    DeviceEnv env;
    uint8_t *ram;
    char *file;
    bool line; /* atomic */
    uint32_t residual, written;
    uint8_t response;
    unsigned target, lun;
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

static void bring_up(Env *e)
{
    wr(e, 0x70, 0);
    memset(e->ram, 0, 0x10000);
    wr(e, 0x70, 3);
    for (uint32_t word = 0; word < 2; word++) {
        wr(e, 0x14, word);
        wr(e, 0x24, word);
        wr(e, 0x20, rd(e, 0x10));
    }
    wr(e, 0x70, 11);
    g_assert_cmpuint(rd(e, 0x70), ==, 11);
    for (uint32_t q = 0; q < QUEUES; q++) {
        wr(e, 0x30, q);
        wr(e, 0x38, MIN(SIZE, rd(e, 0x34)));
        wr(e, 0x80, (uint32_t)RING(q));
        wr(e, 0x90, (uint32_t)RING(q) + 0x1000);
        wr(e, 0xa0, (uint32_t)RING(q) + 0x2000);
        wr(e, 0x44, 1);
    }
    wr(e, 0x70, 15);
    g_assert_cmpuint(rd(e, 0x70), ==, 15);
}

/* Plugs a device into the controller, running or not. */
static Device *add(Env *e, const char *type, const char *id, bool hot)
{
    g_autoptr(GError) error = NULL;
    Device *dev = device_new(device_type_find(type), id);
    if (!strcmp(type, "scsi-hd"))
        g_assert_true(device_set_drive(dev, "drive", &e->drive, NULL));
    e->hba->type->plug(e->hba, dev, &error);
    g_assert_no_error(error);
    dev->bus = e->hba;
    if (hot) {
        device_start(dev, &e->env, &error);
        g_assert_no_error(error);
        e->hba->type->inserted(e->hba, dev);
    }
    return dev;
}

static void take_out(Env *e, Device **dev)
{
    if (*dev)
        e->hba->type->unplug(e->hba, *dev);
    g_clear_pointer(dev, device_free);
}

/* driver NULL: a file of DISK bytes. */
static void env_init(Env *e, const char *driver)
{
    g_autoptr(GError) error = NULL;
    *e = (Env){.space = bus_space_new("t", false), .clock = bus_clock_new_manual()};
    BusRegion *ram = bus_ram_new(e->space, "ram", RAM, RAM_SIZE, 0, 0, NULL);
    e->ram = bus_ram_host(ram);
    e->env = (DeviceEnv){.space = e->space, .clock = e->clock};
    e->graph = block_graph_new();
    e->slot = device_new(device_type_find("virtio-mmio"), "slot");
    e->hba = device_new(device_type_find("virtio-scsi-device"), "hba");
    device_connect(e->slot, 0, (BusIrq){line_set, e, 0});
    device_place(e->slot, 0, SLOT);
    int fd = g_file_open_tmp("lathe-scsi-XXXXXX", &e->file, NULL);
    g_assert_cmpint(ftruncate(fd, DISK), ==, 0);
    close(fd);
    g_autofree char *plain = g_strdup_printf("driver=file,node-name=n,filename=%s", e->file);
    const char *text = driver ? driver : plain;
    e->drive = (DeviceDrive){.id = "d", .node = block_blockdev(e->graph, text, &error),
                             .serial = "SERIAL"};
    g_assert_no_error(error);
    g_assert_true(e->slot->type->plug(e->slot, e->hba, NULL));
    e->disk = add(e, "scsi-hd", "hd", false);
    e->cd = add(e, "scsi-cd", "cd", false);
}

/* Past the unit attention that follows a reset. */
static int command(Env *e, const char *hex, uint32_t out_len, uint32_t in_len);
static void env_start(Env *e)
{
    g_autoptr(GError) error = NULL;
    Device *const all[] = {e->slot, e->hba, e->disk, e->cd};
    for (size_t i = 0; i < G_N_ELEMENTS(all); i++) {
        device_start(all[i], &e->env, &error);
        g_assert_no_error(error);
    }
    bring_up(e);
    g_assert_cmpint(command(e, "00 00 00 00 00 00", 0, 0), ==, CHECK);
    g_assert_cmpint(at(e, ANSWER)[12 + 12], ==, 0x29);
    g_assert_cmpint(command(e, "00 00 00 00 00 00", 0, 0), ==, GOOD);
}

static void env_clear(Env *e)
{
    take_out(e, &e->cd);
    take_out(e, &e->disk);
    device_free(e->hba);
    device_free(e->slot);
    bus_clock_free(e->clock);
    bus_space_free(e->space);
    block_graph_free(e->graph);
    g_unlink(e->file);
    g_free(e->file);
}

static void desc(Env *e, unsigned q, unsigned i, uint64_t addr, uint32_t len, uint16_t flags,
                 uint16_t next)
{
    uint8_t *p = at(e, RING(q) + 16 * i);
    st_le64(p, addr);
    st_le32(p + 8, len);
    st_le16(p + 12, flags);
    st_le16(p + 14, next);
}

static uint16_t used(Env *e, unsigned q)
{
    return __atomic_load_n((uint16_t *)(void *)(at(e, RING(q) + 0x2000) + 2), __ATOMIC_ACQUIRE);
}

static void offer(Env *e, unsigned q, uint16_t head)
{
    uint8_t *p = at(e, RING(q) + 0x1000);
    uint16_t *idx = (uint16_t *)(void *)(p + 2);
    uint16_t *event = (uint16_t *)(void *)(p + 4 + 2 * SIZE);
    __atomic_store_n(event, used(e, q), __ATOMIC_RELEASE); /* an interrupt for the next */
    st_le16(p + 4 + 2 * (*idx % SIZE), head);
    __atomic_store_n(idx, (uint16_t)(*idx + 1), __ATOMIC_RELEASE);
    wr(e, 0x50, q);
}

static void wait_used(Env *e, unsigned q, uint16_t count)
{
    for (unsigned i = 0; used(e, q) != count; i++) {
        g_assert_cmpuint(i, <, 30000);
        g_usleep(1000);
    }
    wr(e, 0x64, 3);
}

static void put_lun(Env *e, uint8_t *p)
{
    memset(p, 0, 8);
    p[0] = 1;
    p[1] = (uint8_t)e->target;
    p[2] = (uint8_t)(0x40 | e->lun >> 8);
    p[3] = (uint8_t)e->lun;
}

/* The head of a command with that tag; hex is the CDB. */
static void put_command(Env *e, uint64_t addr, uint64_t tag, const char *hex)
{
    uint8_t *p = at(e, addr);
    memset(p, 0, 51);
    put_lun(e, p);
    st_le64(p + 8, tag);
    for (unsigned i = 0; *hex; i++) {
        char *end;
        p[19 + i] = (uint8_t)strtoul(hex, &end, 16);
        hex = end + strspn(end, " ");
    }
}

/* One command; data out is at OUT, data in at IN. Returns the status, the answer is at ANSWER. */
static int command(Env *e, const char *hex, uint32_t out_len, uint32_t in_len)
{
    uint16_t n = 0, before = used(e, COMMAND);
    put_command(e, REQUEST, 7, hex);
    memset(at(e, ANSWER), 0xee, ANSWER_SIZE);
    desc(e, COMMAND, n, REQUEST, 51, NEXT, (uint16_t)(n + 1));
    n++;
    if (out_len) {
        desc(e, COMMAND, n, OUT, out_len, NEXT, (uint16_t)(n + 1));
        n++;
    }
    desc(e, COMMAND, n, ANSWER, ANSWER_SIZE, WRITE | (in_len ? NEXT : 0), (uint16_t)(n + 1));
    n++;
    if (in_len)
        desc(e, COMMAND, n, IN, in_len, WRITE, 0);
    offer(e, COMMAND, 0);
    wait_used(e, COMMAND, (uint16_t)(before + 1));
    e->written = ld_le32(at(e, RING(COMMAND) + 0x2000) + 4 + 8 * (before % SIZE) + 4);
    e->residual = ld_le32(at(e, ANSWER) + 4);
    e->response = at(e, ANSWER)[11];
    return at(e, ANSWER)[10];
}

/* A command that fails with that sense: key, code, qualifier. */
static void refused(Env *e, const char *hex, uint32_t out_len, uint32_t in_len, uint32_t sense)
{
    const uint8_t *p = at(e, ANSWER) + 12;
    g_assert_cmpint(command(e, hex, out_len, in_len), ==, CHECK);
    g_assert_cmpint(e->response, ==, 0);
    g_assert_cmpuint(ld_le32(at(e, ANSWER)), ==, 18);
    g_assert_cmpint(p[0], ==, 0x70);
    g_assert_cmphex((uint32_t)p[2] << 16 | (uint32_t)p[12] << 8 | p[13], ==, sense);
}

static void good(Env *e, const char *hex, uint32_t out_len, uint32_t in_len)
{
    g_assert_cmpint(command(e, hex, out_len, in_len), ==, GOOD);
    g_assert_cmpint(e->response, ==, 0);
}

static void test_says(void)
{
    Env e;
    env_init(&e, NULL);
    g_assert_true(device_set(e.disk, "wwn", "0x5000c50015ea71ac", NULL));
    env_start(&e);
    const uint8_t *p = at(&e, IN);
    g_assert_cmpuint(rd(&e, 8), ==, 8);
    g_assert_cmpuint(rd(&e, 0x100), ==, 1);
    good(&e, "12 00 00 00 ff 00", 0, 255);
    g_assert_cmpuint(e.residual, ==, 255 - 36);
    g_assert_cmpuint(e.written, ==, ANSWER_SIZE + 36);
    g_assert_cmpint(memcmp(p + 8, "LATHE   HARDDISK        1.0 ", 28), ==, 0);
    good(&e, "12 01 00 00 ff 00", 0, 255);
    g_assert_cmpint(p[3], ==, 6);
    good(&e, "12 01 80 00 ff 00", 0, 255);
    g_assert_cmpint(memcmp(p + 4, "SERIAL", 6), ==, 0);
    good(&e, "12 01 83 00 ff 00", 0, 255);
    g_assert_cmpint(memcmp(p + 8, "LATHE   SERIAL", 14), ==, 0);
    g_assert_cmphex(ld_be64(p + 4 + 18 + 4), ==, UINT64_C(0x5000c50015ea71ac));
    good(&e, "12 01 b0 00 40 00", 0, 64);
    g_assert_cmpuint(ld_be32(p + 24), ==, 255);
    good(&e, "12 01 b1 00 ff 00", 0, 255);
    good(&e, "12 01 b2 00 ff 00", 0, 255);
    g_assert_cmphex(p[5], ==, 0xe0);
    refused(&e, "12 01 b3 00 ff 00", 0, 255, 0x052400);
    refused(&e, "12 00 01 00 ff 00", 0, 255, 0x052400);
    good(&e, "25 00 00 00 00 00 00 00 00 00", 0, 8);
    g_assert_cmpuint(ld_be32(p), ==, DISK / 512 - 1);
    g_assert_cmpuint(ld_be32(p + 4), ==, 512);
    good(&e, "9e 10 00 00 00 00 00 00 00 00 00 00 00 20 00 00", 0, 32);
    g_assert_cmpuint(ld_be64(p), ==, DISK / 512 - 1);
    g_assert_cmphex(p[14], ==, 0x80);
    good(&e, "a0 00 00 00 00 00 00 00 01 00 00 00", 0, 256);
    g_assert_cmpuint(ld_be32(p), ==, 8);
    good(&e, "03 00 00 00 12 00", 0, 18);
    g_assert_cmpint(p[2], ==, 0);
    refused(&e, "5e 00 00 00 00 00 00 00 08 00", 0, 8, 0x052000);
    env_clear(&e);
}

static void test_blocks(void)
{
    Env e;
    env_init(&e, NULL);
    env_start(&e);
    uint8_t *out = at(&e, OUT);
    const uint8_t *in = at(&e, IN);
    memset(out, 'a', 4096);
    good(&e, "2a 00 00 00 00 08 00 00 08 00", 4096, 0);
    g_assert_cmpuint(e.residual, ==, 0);
    g_assert_cmpuint(e.written, ==, ANSWER_SIZE);
    good(&e, "2a 08 00 00 00 10 00 00 01 00", 512, 0); /* FUA */
    good(&e, "28 00 00 00 00 08 00 00 0a 00", 0, 5120);
    g_assert_cmpuint(e.written, ==, ANSWER_SIZE + 5120);
    g_assert_cmpint(memcmp(in, out, 4096), ==, 0);
    g_assert_cmpint(in[4608], ==, 0);
    good(&e, "08 00 00 08 01 00", 0, 512);
    good(&e, "a8 00 00 00 00 08 00 00 00 01 00 00", 0, 512);
    good(&e, "88 00 00 00 00 00 00 00 00 08 00 00 00 01 00 00", 0, 512);
    g_assert_cmpint(in[511], ==, 'a');
    good(&e, "0a 00 00 20 01 00", 512, 0);
    good(&e, "35 00 00 00 00 00 00 00 00 00", 0, 0);
    good(&e, "91 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00", 0, 0);
    good(&e, "2f 00 00 00 00 00 00 00 08 00", 0, 0);
    /* WRITE SAME: a pattern, and zeroes with UNMAP */
    memset(out, 'b', 512);
    good(&e, "41 00 00 00 01 00 00 04 00 00", 512, 0);
    good(&e, "28 00 00 00 04 fe 00 00 04 00", 0, 2048);
    g_assert_cmpint(in[1023], ==, 'b');
    g_assert_cmpint(in[1024], ==, 0);
    memset(out, 0, 512);
    good(&e, "93 08 00 00 00 00 00 00 01 00 00 00 00 02 00 00", 512, 0);
    good(&e, "28 00 00 00 01 01 00 00 02 00", 0, 1024);
    g_assert_cmpint(in[0], ==, 0);
    g_assert_cmpint(in[512], ==, 'b');
    /* UNMAP of two ranges */
    memset(out, 0, 40);
    st_be16(out, 38);
    st_be16(out + 2, 32);
    st_be64(out + 8, 8);
    st_be32(out + 16, 4);
    st_be64(out + 24, 0x110);
    st_be32(out + 32, 1);
    good(&e, "42 00 00 00 00 00 00 00 28 00", 40, 0);
    env_clear(&e);
}

static void test_refused(void)
{
    Env e;
    env_init(&e, NULL);
    env_start(&e);
    uint8_t *out = at(&e, OUT);
    refused(&e, "28 00 00 00 08 00 00 00 01 00", 0, 512, 0x052100);
    refused(&e, "88 00 ff ff ff ff ff ff ff ff ff ff ff ff 00 00", 0, 512, 0x052100);
    refused(&e, "28 20 00 00 00 00 00 00 01 00", 0, 512, 0x052400);
    refused(&e, "41 00 00 00 00 00 00 00 00 00", 512, 0, 0x052400);
    /* more data than there is room for */
    command(&e, "28 00 00 00 00 00 00 00 02 00", 0, 512);
    g_assert_cmpint(e.response, ==, 1);
    command(&e, "28 00 00 00 00 00 00 00 01 00", 512, 0);
    g_assert_cmpint(e.response, ==, 1);
    command(&e, "2a 00 00 00 00 00 00 00 01 00", 100, 0);
    g_assert_cmpint(e.response, ==, 1);
    command(&e, "25 00 00 00 00 00 00 00 00 00", 0, 0);
    g_assert_cmpint(e.response, ==, 1);
    command(&e, "2a 00 00 00 00 00 00 00 01 00", 512, 512);
    g_assert_cmpint(e.response, ==, 9);
    good(&e, "28 00 00 00 00 00 00 00 01 00", 0, 1024);
    g_assert_cmpuint(e.residual, ==, 512);
    memset(out, 0xff, 64);
    refused(&e, "42 00 00 00 00 00 00 00 18 00", 24, 0, 0x052600);
    refused(&e, "42 00 00 00 00 00 00 00 04 00", 24, 0, 0x051a00);
    st_be16(out, 22);
    st_be16(out + 2, 16);
    refused(&e, "42 00 00 00 00 00 00 00 18 00", 24, 0, 0x052100);
    /* other targets and units */
    e.target = 9;
    command(&e, "00 00 00 00 00 00", 0, 0);
    g_assert_cmpint(e.response, ==, 3);
    e.target = 0;
    e.lun = 5;
    refused(&e, "00 00 00 00 00 00", 0, 0, 0x052500);
    good(&e, "12 00 00 00 24 00", 0, 36);
    g_assert_cmphex(at(&e, IN)[0], ==, 0x7f);
    good(&e, "a0 00 00 00 00 00 00 00 01 00 00 00", 0, 256);
    env_clear(&e);
}

static void test_cache(void)
{
    Env e;
    env_init(&e, NULL);
    env_start(&e);
    uint8_t *out = at(&e, OUT), *in = at(&e, IN);
    good(&e, "1a 08 08 00 ff 00", 0, 255);
    g_assert_cmphex(in[4], ==, 8);
    g_assert_cmphex(in[6], ==, 4);
    good(&e, "1a 08 48 00 ff 00", 0, 255); /* what can be changed */
    g_assert_cmphex(in[6], ==, 4);
    good(&e, "5a 00 3f 00 00 00 00 00 ff 00", 0, 255);
    g_assert_cmpuint(ld_be16(in), ==, 255 - e.residual - 2);
    refused(&e, "1a 08 c8 00 ff 00", 0, 255, 0x053900);
    refused(&e, "1a 08 15 00 ff 00", 0, 255, 0x052400);
    memset(out, 0, 24);
    out[4] = 8;
    out[5] = 18;
    good(&e, "15 10 00 00 18 00", 24, 0);
    good(&e, "1a 08 08 00 ff 00", 0, 255);
    g_assert_cmphex(in[6], ==, 0);
    out[6] = 4 | 1; /* and what cannot be changed */
    refused(&e, "15 10 00 00 18 00", 24, 0, 0x052600);
    out[6] = 4;
    refused(&e, "15 10 00 00 17 00", 24, 0, 0x051a00);
    refused(&e, "15 00 00 00 18 00", 24, 0, 0x052400);
    good(&e, "15 10 00 00 18 00", 24, 0);
    good(&e, "1a 08 08 00 ff 00", 0, 255);
    g_assert_cmphex(in[6], ==, 4);
    env_clear(&e);
}

static void test_read_only(void)
{
    Env e;
    env_init(&e, NULL);
    e.drive.read_only = true;
    env_start(&e);
    refused(&e, "2a 00 00 00 00 00 00 00 01 00", 512, 0, 0x072700);
    refused(&e, "42 00 00 00 00 00 00 00 18 00", 24, 0, 0x072700);
    good(&e, "28 00 00 00 00 00 00 00 01 00", 0, 512);
    good(&e, "1a 08 3f 00 ff 00", 0, 255);
    g_assert_cmphex(at(&e, IN)[2], ==, 0x90);
    env_clear(&e);
}

/* The drive is empty at first; then one with a disc takes its place. */
static void test_cd(void)
{
    Env e;
    g_autoptr(GError) error = NULL;
    env_init(&e, NULL);
    env_start(&e);
    const uint8_t *in = at(&e, IN);
    e.target = 1;
    refused(&e, "00 00 00 00 00 00", 0, 0, 0x062900);
    refused(&e, "00 00 00 00 00 00", 0, 0, 0x023a01);
    refused(&e, "43 00 00 00 00 00 00 00 14 00", 0, 20, 0x023a01);
    good(&e, "46 00 00 00 00 00 00 00 40 00", 0, 64);
    take_out(&e, &e.disk);
    take_out(&e, &e.cd);
    e.cd = device_new(device_type_find("scsi-cd"), "cd");
    g_assert_true(device_set_drive(e.cd, "drive", &e.drive, NULL));
    g_assert_true(device_set(e.cd, "scsi-id", "1", NULL));
    g_assert_true(e.hba->type->plug(e.hba, e.cd, NULL));
    g_assert_true(device_start(e.cd, &e.env, &error));
    refused(&e, "00 00 00 00 00 00", 0, 0, 0x062900);
    good(&e, "25 00 00 00 00 00 00 00 00 00", 0, 8);
    g_assert_cmpuint(ld_be32(in), ==, DISK / 2048 - 1);
    g_assert_cmpuint(ld_be32(in + 4), ==, 2048);
    good(&e, "28 00 00 00 00 00 00 00 02 00", 0, 4096);
    refused(&e, "2a 00 00 00 00 00 00 00 01 00", 2048, 0, 0x052000);
    good(&e, "43 02 00 00 00 00 00 00 14 00", 0, 20);
    g_assert_cmpuint(ld_be16(in), ==, 18);
    g_assert_cmpint(in[10], ==, 2); /* track 1 is at 00:02:00 */
    g_assert_cmphex(in[14], ==, 0xaa);
    good(&e, "43 00 01 00 00 00 00 00 0c 00", 0, 12);
    good(&e, "51 00 00 00 00 00 00 00 22 00", 0, 34);
    good(&e, "46 00 00 00 00 00 00 00 40 00", 0, 64);
    g_assert_cmpuint(ld_be16(in + 6), ==, 8);
    good(&e, "1e 00 00 00 01 00", 0, 0);
    refused(&e, "1b 00 00 00 02 00", 0, 0, 0x055302);
    good(&e, "1e 00 00 00 00 00", 0, 0);
    good(&e, "1b 00 00 00 02 00", 0, 0);
    refused(&e, "28 00 00 00 00 00 00 00 02 00", 0, 4096, 0x023a02);
    good(&e, "bd 00 00 00 00 00 00 00 00 08 00 00", 0, 8);
    g_assert_cmphex(in[1], ==, 0x10);
    good(&e, "4a 01 00 00 10 00 00 00 08 00", 0, 8);
    g_assert_cmpint(in[4], ==, 3);
    g_assert_cmpint(in[5], ==, 1);
    good(&e, "1b 00 00 00 03 00", 0, 0);
    good(&e, "4a 01 00 00 10 00 00 00 08 00", 0, 8);
    g_assert_cmpint(in[4], ==, 2);
    g_assert_cmpint(in[5], ==, 2);
    good(&e, "28 00 00 00 00 00 00 00 02 00", 0, 4096);
    /* taken out and put in by the host */
    BlockNode *node = e.drive.node;
    good(&e, "1e 00 00 00 01 00", 0, 0);
    e.drive.node = NULL;
    g_assert_false(e.cd->type->medium(e.cd, false, &error));
    g_assert_nonnull(strstr(error->message, "is locked"));
    good(&e, "28 00 00 00 00 00 00 00 02 00", 0, 4096);
    good(&e, "4a 01 00 00 10 00 00 00 08 00", 0, 8);
    g_assert_cmpint(in[4], ==, 1);
    g_assert_true(e.cd->type->medium(e.cd, true, NULL));
    refused(&e, "00 00 00 00 00 00", 0, 0, 0x062800);
    refused(&e, "00 00 00 00 00 00", 0, 0, 0x023a02);
    e.drive.node = node;
    g_assert_true(e.cd->type->medium(e.cd, false, NULL));
    refused(&e, "28 00 00 00 00 00 00 00 02 00", 0, 4096, 0x062800);
    good(&e, "28 00 00 00 00 00 00 00 02 00", 0, 4096);
    env_clear(&e);
}

enum { QUERY_TASK = 6 };

/* A task management function; the response. */
static int manage(Env *e, uint32_t what, uint64_t tag)
{
    uint16_t before = used(e, CONTROL);
    uint8_t *p = at(e, REQUEST + 0x800);
    memset(p, 0, 24);
    st_le32(p + 4, what);
    put_lun(e, p + 8);
    st_le64(p + 16, tag);
    desc(e, CONTROL, 0, REQUEST + 0x800, 24, NEXT, 1);
    desc(e, CONTROL, 1, ANSWER + 0x800, 1, WRITE, 0);
    offer(e, CONTROL, 0);
    wait_used(e, CONTROL, (uint16_t)(before + 1));
    return at(e, ANSWER + 0x800)[0];
}

/* Three reads at once, with tags from 100 on; returns when the device has them all. */
static void offer_reads(Env *e)
{
    for (uint16_t i = 0; i < 3; i++) {
        put_command(e, REQUEST + 64 * i, 100u + i, "28 00 00 00 00 00 00 00 08 00");
        desc(e, COMMAND, 3u * i, REQUEST + 64 * i, 51, NEXT, (uint16_t)(3 * i + 1));
        desc(e, COMMAND, 3u * i + 1, ANSWER + 128 * i, ANSWER_SIZE, NEXT | WRITE,
             (uint16_t)(3 * i + 2));
        desc(e, COMMAND, 3u * i + 2, IN + 4096 * i, 4096, WRITE, 0);
    }
    for (uint16_t i = 0; i < 3; i++)
        offer(e, COMMAND, (uint16_t)(3 * i));
    for (unsigned i = 0; i < 3; i++)
        while (manage(e, QUERY_TASK, 100 + i) != 10)
            g_usleep(200);
}

static void test_tasks(void)
{
    Env e;
    env_init(&e, "driver=null-co,node-name=n,size=1M,latency-ns=1000000000,read-zeroes=on");
    env_start(&e);
    uint16_t before = used(&e, COMMAND);
    offer_reads(&e);
    g_assert_cmpint(manage(&e, QUERY_TASK, 101), ==, 10);
    g_assert_cmpint(manage(&e, QUERY_TASK, 999), ==, 0);
    g_assert_cmpint(manage(&e, 0, 101), ==, 0); /* abort task */
    wait_used(&e, COMMAND, (uint16_t)(before + 3));
    g_assert_cmpint(at(&e, ANSWER + 128)[11], ==, 2);
    g_assert_cmpint(at(&e, ANSWER)[11], ==, 0);
    offer_reads(&e);
    g_assert_cmpint(manage(&e, 5, 0), ==, 0); /* logical unit reset */
    g_assert_cmpuint(used(&e, COMMAND), ==, (uint16_t)(before + 6));
    for (unsigned i = 0; i < 3; i++)
        g_assert_cmpint(at(&e, ANSWER + 128 * i)[11], ==, 4);
    refused(&e, "00 00 00 00 00 00", 0, 0, 0x062903);
    good(&e, "00 00 00 00 00 00", 0, 0);
    g_assert_cmpint(manage(&e, 77, 0), ==, 11);
    e.lun = 3;
    g_assert_cmpint(manage(&e, 0, 0), ==, 12);
    e.target = 30;
    g_assert_cmpint(manage(&e, 4, 0), ==, 3);
    e.target = e.lun = 0;
    /* a reset of the device, and its end, with commands on their way */
    offer_reads(&e);
    bring_up(&e);
    good(&e, "00 00 00 00 00 00", 0, 0);
    offer_reads(&e);
    env_clear(&e);
}

static void offer_event(Env *e, uint16_t i)
{
    memset(at(e, EVENTS + 16 * i), 0xee, 16);
    desc(e, EVENT, i, EVENTS + 16 * i, 16, WRITE, 0);
    offer(e, EVENT, i);
}

static void check_event(Env *e, uint16_t i, uint32_t event, uint8_t target, uint32_t reason)
{
    wait_used(e, EVENT, (uint16_t)(i + 1));
    const uint8_t *p = at(e, EVENTS + 16 * i);
    g_assert_cmphex(ld_le32(p), ==, event);
    g_assert_cmpint(p[5], ==, target);
    g_assert_cmphex(ld_le32(p + 12), ==, reason);
}

static void test_events(void)
{
    Env e;
    g_autoptr(GError) error = NULL;
    env_init(&e, NULL);
    env_start(&e);
    offer_event(&e, 0);
    take_out(&e, &e.cd);
    check_event(&e, 0, 1, 1, 2);
    /* without a buffer it waits for one */
    e.cd = add(&e, "scsi-cd", "another", true);
    g_assert_cmpuint(used(&e, EVENT), ==, 1);
    offer_event(&e, 1);
    check_event(&e, 1, 1, 1, 1);
    /* a disk that grows */
    offer_event(&e, 2);
    BlockAttach how = {.name = "t", .perm = BLOCK_PERM_RESIZE, .shared = BLOCK_SHARE_ALL};
    take_out(&e, &e.disk);
    check_event(&e, 2, 1, 0, 2);
    e.disk = device_new(device_type_find("scsi-hd"), "hd");
    g_assert_true(device_set_drive(e.disk, "drive", &e.drive, NULL));
    g_assert_true(device_set(e.disk, "share-rw", "on", NULL));
    g_assert_true(e.hba->type->plug(e.hba, e.disk, NULL));
    g_assert_true(device_start(e.disk, &e.env, NULL));
    refused(&e, "00 00 00 00 00 00", 0, 0, 0x062900);
    BlockUser *user = block_attach(e.drive.node, &how, &error);
    g_assert_no_error(error);
    offer_event(&e, 3);
    g_assert_true(block_resize(user, 2 * DISK, BLOCK_PREALLOC_OFF, &error));
    check_event(&e, 3, 3, 0, 0x092a);
    refused(&e, "00 00 00 00 00 00", 0, 0, 0x062a09);
    good(&e, "25 00 00 00 00 00 00 00 00 00", 0, 8);
    g_assert_cmpuint(ld_be32(at(&e, IN)), ==, 2 * DISK / 512 - 1);
    block_detach(user);
    /* more than are kept */
    for (unsigned i = 0; i < 40; i++) {
        take_out(&e, &e.cd);
        e.cd = add(&e, "scsi-cd", "another", true);
    }
    offer_event(&e, 4);
    check_event(&e, 4, 0x80000001, 1, 2);
    env_clear(&e);
}

static void broken(Env *e, unsigned q)
{
    offer(e, q, 0);
    for (unsigned i = 0; !(rd(e, 0x70) & 64); i++) {
        g_assert_cmpuint(i, <, 30000);
        g_usleep(1000);
    }
    bring_up(e);
    good(e, "28 00 00 00 00 00 00 00 01 00", 0, 512);
}

static void test_hostile(void)
{
    Env e;
    env_init(&e, NULL);
    env_start(&e);
    desc(&e, COMMAND, 0, REQUEST, 51, 0, 0); /* no answer */
    broken(&e, COMMAND);
    desc(&e, COMMAND, 0, REQUEST, 50, NEXT, 1); /* half a head */
    desc(&e, COMMAND, 1, ANSWER, ANSWER_SIZE, WRITE, 0);
    broken(&e, COMMAND);
    desc(&e, COMMAND, 0, REQUEST, 51, NEXT, 1); /* half an answer */
    desc(&e, COMMAND, 1, ANSWER, ANSWER_SIZE - 1, WRITE, 0);
    broken(&e, COMMAND);
    desc(&e, CONTROL, 0, REQUEST, 3, NEXT, 1);
    desc(&e, CONTROL, 1, ANSWER, 1, WRITE, 0);
    broken(&e, CONTROL);
    desc(&e, CONTROL, 0, REQUEST, 24, 0, 0);
    memset(at(&e, REQUEST), 0, 24);
    broken(&e, CONTROL);
    /* sizes of its own, also silly ones */
    wr(&e, 0x114, 252);
    wr(&e, 0x118, 255);
    g_assert_cmpuint(rd(&e, 0x114), ==, 252);
    wr(&e, 0x114, 100000);
    wr(&e, 0x118, 256);
    g_assert_cmpuint(rd(&e, 0x114), ==, 252);
    g_assert_cmpuint(rd(&e, 0x118), ==, 255);
    env_clear(&e);
}

/* Commands, parameters and lengths at random. */
static void test_random(void)
{
    Env e;
    static const uint8_t ops[] = { 0x00, 0x03, 0x08, 0x0a, 0x12, 0x15, 0x1a, 0x1b, 0x1e, 0x25,
                                   0x28, 0x2a, 0x2e, 0x2f, 0x35, 0x41, 0x42, 0x43, 0x46, 0x4a,
                                   0x51, 0x55, 0x5a, 0x88, 0x8a, 0x91, 0x93, 0x9e, 0xa0, 0xa8,
                                   0xaa, 0xbd, 0x7f };
    GRand *rand = g_rand_new_with_seed((guint32)g_test_rand_int_range(0, G_MAXINT32));
    env_init(&e, NULL);
    env_start(&e);
    for (unsigned i = 0; i < 4000; i++) {
        char hex[3 * 16 + 1];
        for (unsigned k = 0; k < 16; k++) {
            uint32_t r = g_rand_int(rand);
            unsigned byte = k == 0 ? ops[r % sizeof ops] : r & 3 << 20 ? r & r >> 8 & 3 : r & 0xff;
            g_snprintf(hex + 3 * k, 4, "%02x ", byte);
        }
        for (unsigned k = 0; k < 64; k++)
            at(&e, OUT)[k] = (uint8_t)(g_rand_int(rand) & g_rand_int(rand) & g_rand_int(rand));
        e.target = g_rand_int(rand) & 1;
        uint32_t len = g_rand_int(rand) % 9000;
        command(&e, hex, i & 1 ? len : 0, i & 2 ? len : 0);
    }
    g_rand_free(rand);
    env_clear(&e);
}

static void test_saved(void)
{
    Env e;
    env_init(&e, NULL);
    env_start(&e);
    memset(at(&e, OUT), 0, 24);
    at(&e, OUT)[4] = 8;
    at(&e, OUT)[5] = 18;
    good(&e, "15 10 00 00 18 00", 24, 0);
    Device *const all[] = {e.slot, e.hba, e.disk, e.cd};
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    for (size_t i = 0; i < G_N_ELEMENTS(all); i++)
        device_save(all[i], bytes);
    for (size_t i = 0; i < G_N_ELEMENTS(all); i++)
        device_reset(all[i]);
    g_assert_cmpuint(rd(&e, 0x70), ==, 0);
    size_t pos = 0;
    for (size_t i = 0; i < G_N_ELEMENTS(all); i++)
        g_assert_true(device_load(all[i], bytes->data, bytes->len, &pos, NULL));
    g_assert_cmpuint(pos, ==, bytes->len);
    good(&e, "1a 08 08 00 ff 00", 0, 255);
    g_assert_cmphex(at(&e, IN)[6], ==, 0);
    env_clear(&e);
}

static void test_places(void)
{
    Env e;
    g_autoptr(GError) error = NULL;
    env_init(&e, NULL);
    Device *d = device_new(device_type_find("scsi-cd"), "x");
    g_assert_true(device_set(d, "scsi-id", "0", NULL));
    g_assert_true(device_set(d, "lun", "0", NULL));
    g_assert_false(e.hba->type->plug(e.hba, d, &error));
    g_assert_cmpstr(error->message, ==, "lun=0 is already used");
    g_clear_error(&error);
    g_assert_true(device_set(d, "scsi-id", "256", NULL));
    g_assert_false(e.hba->type->plug(e.hba, d, &error));
    g_clear_error(&error);
    g_assert_true(device_set(d, "channel", "1", NULL));
    g_assert_false(e.hba->type->plug(e.hba, d, &error));
    g_clear_error(&error);
    device_free(d);
    env_start(&e);
    env_clear(&e);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/virtio-scsi/says", test_says);
    g_test_add_func("/virtio-scsi/blocks", test_blocks);
    g_test_add_func("/virtio-scsi/refused", test_refused);
    g_test_add_func("/virtio-scsi/cache", test_cache);
    g_test_add_func("/virtio-scsi/read-only", test_read_only);
    g_test_add_func("/virtio-scsi/cd", test_cd);
    g_test_add_func("/virtio-scsi/tasks", test_tasks);
    g_test_add_func("/virtio-scsi/events", test_events);
    g_test_add_func("/virtio-scsi/hostile", test_hostile);
    g_test_add_func("/virtio-scsi/random", test_random);
    g_test_add_func("/virtio-scsi/saved", test_saved);
    g_test_add_func("/virtio-scsi/places", test_places);
    return g_test_run();
}
