/* SPDX-License-Identifier: MIT */
/*
 * A parallel NOR flash of 32 MiB with Intel's command set: two 16-bit chips side by side on a 32-bit
 * bus (bank-width 4), 128 blocks of 256 KiB, write buffers of 4 KiB. Follows JEDEC JESD68.01 (CFI), its
 * query table of command set 0001h, and Intel's StrataFlash data sheets for the commands.
 *
 * While the array is read it is memory to CPUs (a ROM whose writes come here); in every other mode the
 * registers of the core's own region show through. Commands and status of the two chips go together:
 * the low byte of a command counts, and what is read is the same in each chip's part.
 *
 * Programming clears bits and erasing sets them, at once: the chip is always ready. Block locks last
 * until a reset. What is written is on the drive before the command ends; where the drive cannot take
 * it the status says so. Left out: suspend, protection registers, one-time programmable areas.
 */
#include "devices/device.h"

#include "base/bits.h"
#include "base/bytes.h"
#include "base/error.h"

#include <inttypes.h>
#include <string.h>

#define FLASH_SIZE (UINT64_C(32) << 20)
#define BLOCK_BYTES (UINT64_C(256) << 10)
#define BLOCKS (FLASH_SIZE / BLOCK_BYTES)
#define BUFFER_BYTES 4096u
#define WIDTH 4u

/* Status register bits, of one chip. */
enum { SR_READY = 0x80, SR_ERASE = 0x20, SR_PROGRAM = 0x10, SR_LOCKED = 0x02 };

enum {
    CMD_PROGRAM_10 = 0x10,
    CMD_ERASE = 0x20,
    CMD_PROGRAM = 0x40,
    CMD_CLEAR_STATUS = 0x50,
    CMD_LOCK = 0x60,
    CMD_READ_STATUS = 0x70,
    CMD_READ_ID = 0x90,
    CMD_QUERY = 0x98,
    CMD_CONFIRM = 0xd0,
    CMD_BUFFER = 0xe8,
    CMD_LOCK_SET = 0x01,
};

typedef enum { MODE_ARRAY, MODE_STATUS, MODE_ID, MODE_QUERY } Mode;
/* What the next write is. */
typedef enum { STEP_COMMAND, STEP_PROGRAM, STEP_ERASE, STEP_LOCK, STEP_COUNT, STEP_DATA,
               STEP_CONFIRM } Step;

typedef struct {
    Device dev;
    const DeviceDrive *drive;
    BlockUser *user; /* NULL: the contents last until the end */
    bool read_only;
    BusRegion *rom;
    uint8_t *bytes; /* of the ROM */
    uint8_t mode, step, status;
    uint8_t locked[BLOCKS];
    uint32_t left;         /* writes to the buffer that are still to come */
    uint32_t buffer_start; /* where in the array the buffer is meant for */
    uint8_t buffer_bad;    /* the guest has written outside of it */
    uint8_t first;         /* no word has come yet */
    uint8_t buffer[BUFFER_BYTES];
    uint64_t dirty_start, dirty_end; /* changed since CPUs last saw the array */
} Flash;

/* The query table from 10h on: JESD68.01 sections 4.3, and Intel's extension at 31h. */
static const uint8_t query[] = {
    'Q', 'R', 'Y', 0x01, 0x00, 0x31, 0x00, 0, 0, 0, 0, /* command set 1, its table at 31h */
    0x45, 0x55, 0, 0,                                  /* 4.5 to 5.5 V */
    0x07, 0x07, 0x0a, 0x00, 0x04, 0x04, 0x04, 0x00,    /* times as powers of 2 */
    0x18,                                              /* 2^24 bytes a chip */
    0x02, 0x00, 0x0b, 0x00,                            /* x8 and x16; 2^11 bytes of write buffer */
    1, BLOCKS - 1, 0, 0x00, 0x02,                      /* one region, of 128 KiB blocks a chip */
    'P', 'R', 'I', '1', '0', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0, 0,
};

static const uint8_t chip_id[] = {0x89, 0x18};

/* ---- The array ----------------------------------------------------------------- */

static void set_mode(Flash *f, Mode mode)
{
    f->step = STEP_COMMAND;
    if (mode == f->mode)
        return;
    f->mode = mode;
    bus_region_enable(f->rom, mode == MODE_ARRAY);
    if (mode == MODE_ARRAY && f->dirty_start < f->dirty_end) {
        bus_ram_written(f->dev.env.space, device_base(&f->dev, 0) + f->dirty_start,
                        f->dirty_end - f->dirty_start);
        f->dirty_start = f->dirty_end = 0;
    }
}

static bool writable(Flash *f, uint64_t offset, unsigned error)
{
    bool locked = f->locked[offset / BLOCK_BYTES];
    if (!f->read_only && !locked)
        return true;
    f->status |= error | (locked ? SR_LOCKED : 0);
    return false;
}

/* To the drive, in its sectors. */
static bool store(Flash *f, uint64_t offset, uint64_t len)
{
    if (f->dirty_start >= f->dirty_end) {
        f->dirty_start = offset;
        f->dirty_end = offset + len;
    }
    f->dirty_start = MIN(f->dirty_start, offset);
    f->dirty_end = MAX(f->dirty_end, offset + len);
    uint64_t start = align_down(offset, BLOCK_SECTOR);
    uint64_t end = align_up(offset + len, BLOCK_SECTOR);
    return !f->user || block_write(f->user, start, f->bytes + start, end - start, 0) == 0;
}

static void program(Flash *f, uint64_t offset, const uint8_t *data, unsigned len)
{
    if (!writable(f, offset, SR_PROGRAM))
        return;
    for (unsigned i = 0; i < len; i++)
        f->bytes[offset + i] &= data[i];
    if (!store(f, offset, len))
        f->status |= SR_PROGRAM;
}

static void erase(Flash *f, uint64_t offset)
{
    offset = align_down(offset, BLOCK_BYTES);
    if (!writable(f, offset, SR_ERASE))
        return;
    memset(f->bytes + offset, 0xff, BLOCK_BYTES);
    if (!store(f, offset, BLOCK_BYTES))
        f->status |= SR_ERASE;
}

/* ---- Reading --------------------------------------------------------------------- */

/* What one chip shows at that offset of the bank. */
static uint8_t chip_read(const Flash *f, uint64_t offset)
{
    uint64_t word = offset / WIDTH, in_block = offset % BLOCK_BYTES / WIDTH;
    switch (f->mode) {
    case MODE_ID:
        if (in_block == 2)
            return f->locked[offset / BLOCK_BYTES];
        return in_block < G_N_ELEMENTS(chip_id) ? chip_id[in_block] : 0;
    case MODE_QUERY: return word >= 0x10 && word - 0x10 < sizeof query ? query[word - 0x10] : 0;
    default: return SR_READY | f->status;
    }
}

static uint64_t flash_read(Device *dev, uint64_t offset, unsigned size)
{
    const Flash *f = (Flash *)dev;
    if (f->mode == MODE_ARRAY) { /* it has just become memory again */
        uint64_t v = 0;
        for (unsigned i = 0; i < size; i++)
            v |= (uint64_t)f->bytes[offset + i] << (8 * i);
        return v;
    }
    uint64_t v = chip_read(f, offset);
    return size == WIDTH ? v << 16 | v : v;
}

/* ---- Commands -------------------------------------------------------------------- */

static void command(Flash *f, uint64_t offset, uint8_t cmd)
{
    static const struct {
        uint8_t cmd, mode, step;
    } starts[] = {
        {CMD_PROGRAM, MODE_STATUS, STEP_PROGRAM}, {CMD_PROGRAM_10, MODE_STATUS, STEP_PROGRAM},
        {CMD_ERASE, MODE_STATUS, STEP_ERASE},     {CMD_LOCK, MODE_STATUS, STEP_LOCK},
        {CMD_BUFFER, MODE_STATUS, STEP_COUNT},    {CMD_READ_STATUS, MODE_STATUS, STEP_COMMAND},
        {CMD_READ_ID, MODE_ID, STEP_COMMAND},     {CMD_QUERY, MODE_QUERY, STEP_COMMAND},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(starts); i++) {
        if (starts[i].cmd == cmd) {
            set_mode(f, starts[i].mode);
            f->step = starts[i].step;
            return;
        }
    }
    if (cmd == CMD_CLEAR_STATUS)
        f->status = 0;
    set_mode(f, MODE_ARRAY); /* FFh, and what the chip does not know */
}

static void buffer_begin(Flash *f, uint64_t offset, uint64_t value)
{
    f->left = (uint32_t)(value & 0xffff) + 1;
    f->buffer_start = (uint32_t)align_down(offset, BUFFER_BYTES);
    f->buffer_bad = f->left > BUFFER_BYTES / WIDTH;
    memset(f->buffer, 0xff, sizeof f->buffer);
    f->first = 1;
    f->step = f->buffer_bad ? STEP_CONFIRM : STEP_DATA;
}

/* The command's address says which block; the first word, which of its buffers. */
static void buffer_data(Flash *f, uint64_t offset, const uint8_t *data, unsigned size)
{
    uint32_t start = (uint32_t)align_down(offset, BUFFER_BYTES);
    if (f->first && start / BLOCK_BYTES == f->buffer_start / BLOCK_BYTES)
        f->buffer_start = start;
    f->first = 0;
    if (start == f->buffer_start)
        memcpy(f->buffer + offset % BUFFER_BYTES, data, size);
    else
        f->buffer_bad = 1;
    if (--f->left == 0)
        f->step = STEP_CONFIRM;
}

static void buffer_end(Flash *f, uint8_t cmd)
{
    f->step = STEP_COMMAND;
    if (cmd != CMD_CONFIRM || f->buffer_bad)
        f->status |= SR_PROGRAM | SR_ERASE; /* a wrong sequence of commands */
    else
        program(f, f->buffer_start, f->buffer, BUFFER_BYTES);
}

static void lock(Flash *f, uint64_t offset, uint8_t cmd)
{
    f->step = STEP_COMMAND;
    if (cmd == CMD_LOCK_SET)
        f->locked[offset / BLOCK_BYTES] = 1;
    else if (cmd == CMD_CONFIRM)
        f->locked[offset / BLOCK_BYTES] = 0;
    else
        f->status |= SR_PROGRAM | SR_ERASE;
}

static void flash_write(Device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    Flash *f = (Flash *)dev;
    uint8_t data[WIDTH], cmd = (uint8_t)value;
    st_le32(data, (uint32_t)value);
    switch ((Step)f->step) {
    case STEP_COMMAND: command(f, offset, cmd); break;
    case STEP_PROGRAM:
        f->step = STEP_COMMAND;
        program(f, offset, data, size);
        break;
    case STEP_ERASE:
        f->step = STEP_COMMAND;
        if (cmd == CMD_CONFIRM)
            erase(f, offset);
        else if (cmd == 0xff)
            set_mode(f, MODE_ARRAY);
        else
            f->status |= SR_PROGRAM | SR_ERASE;
        break;
    case STEP_LOCK:
        if (cmd == 0xff)
            set_mode(f, MODE_ARRAY);
        else
            lock(f, offset, cmd);
        break;
    case STEP_COUNT: buffer_begin(f, offset, value); break;
    case STEP_DATA: buffer_data(f, offset, data, size); break;
    case STEP_CONFIRM: buffer_end(f, cmd); break;
    }
}

/* Writes to the array while it is memory. */
static void rom_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    Device *dev = opaque;
    device_lock(dev);
    flash_write(dev, offset, value, size);
    device_unlock(dev);
}

static const BusOps rom_ops = {.write = rom_write, .max = WIDTH};

/* ---- Life -------------------------------------------------------------------------- */

static bool open_drive(Flash *f, GError **error)
{
    uint64_t size = block_node_size(f->drive->node);
    const char *file = block_node_file(f->drive->node);
    if (size != FLASH_SIZE)
        return fail(error,
                    "%s: device requires %" PRIu64 " bytes, block backend provides %" PRIu64
                    " bytes\nhint: truncate -s 32M makes a file as large as the flash",
                    file, (uint64_t)FLASH_SIZE, size);
    f->read_only = f->drive->read_only || block_node_read_only(f->drive->node);
    g_autofree char *name = g_strdup_printf("pflash %s", f->drive->id);
    BlockAttach attach = {
        .name = name,
        .perm = f->read_only ? BLOCK_PERM_READ : BLOCK_PERM_READ | BLOCK_PERM_WRITE,
        .shared = f->read_only ? BLOCK_SHARE_ALL & ~(unsigned)BLOCK_PERM_WRITE : BLOCK_SHARE_DEFAULT,
        .writethrough = f->drive->writethrough,
    };
    f->user = block_attach(f->drive->node, &attach, error);
    if (!f->user)
        return false;
    /* In pieces, so that a sparse file stays sparse in memory. */
    for (uint64_t at = 0; at < FLASH_SIZE; at += BLOCK_BYTES) {
        BlockExtent extent;
        if (block_extents(f->user, at, BLOCK_BYTES, 0, &extent, 1) == 1 &&
            extent.flags & BLOCK_EXTENT_ZERO && extent.bytes >= BLOCK_BYTES)
            continue;
        int ret = block_read(f->user, at, f->bytes + at, BLOCK_BYTES);
        if (ret)
            return fail_errno(error, -ret, "%s: cannot read", file);
    }
    return true;
}

static bool flash_start(Device *dev, GError **error)
{
    Flash *f = (Flash *)dev;
    /* Above the region that the core adds for the other modes. */
    f->rom = bus_ram_new(dev->env.space, dev->id, device_base(dev, 0), FLASH_SIZE, BUS_RAM_ROM, 1,
                         error);
    if (!f->rom)
        return false;
    f->bytes = bus_ram_host(f->rom);
    bus_rom_set_write(f->rom, &rom_ops, dev);
    return !f->drive || open_drive(f, error);
}

static void flash_stop(Device *dev)
{
    Flash *f = (Flash *)dev;
    block_detach(f->user);
    if (f->rom)
        bus_region_remove(f->rom);
}

static void flash_reset(Device *dev)
{
    Flash *f = (Flash *)dev;
    set_mode(f, MODE_ARRAY);
    f->status = 0;
    memset(f->locked, 0, sizeof f->locked);
}

static bool flash_loaded(Device *dev, GError **error)
{
    Flash *f = (Flash *)dev;
    if (f->mode > MODE_QUERY || f->step > STEP_CONFIRM || f->buffer_start % BUFFER_BYTES ||
        f->buffer_start >= FLASH_SIZE || (f->step == STEP_DATA && !f->left))
        return fail(error, "a state that no flash can be in");
    bus_region_enable(f->rom, f->mode == MODE_ARRAY);
    return true;
}

static const DeviceProp flash_props[] = {
    {"drive", DEVICE_DRIVE, offsetof(Flash, drive), NULL, 0, 0, "the disk that keeps the contents"},
    {.name = NULL},
};

static const DeviceRegion flash_regions[] = {
    {.name = "pflash", .size = FLASH_SIZE, .max = WIDTH, .read = flash_read,
     .write = flash_write},
    {.name = NULL},
};

static const StateField flash_saved[] = {
    STATE_FIELD(Flash, mode, 1),         STATE_FIELD(Flash, step, 1),
    STATE_FIELD(Flash, status, 1),       STATE_ARRAY(Flash, locked, 1),
    STATE_FIELD(Flash, left, 1),         STATE_FIELD(Flash, buffer_start, 1),
    STATE_FIELD(Flash, buffer_bad, 1),   STATE_FIELD(Flash, first, 1),
    STATE_ARRAY(Flash, buffer, 1),       STATE_END,
};

const DeviceType pflash_cfi01_type = {
    .name = "cfi.pflash01",
    .summary = "NOR flash with Intel's command set",
    .size = sizeof(Flash),
    .props = flash_props,
    .regions = flash_regions,
    .saved = flash_saved,
    .start = flash_start,
    .stop = flash_stop,
    .reset = flash_reset,
    .loaded = flash_loaded,
};
