/* SPDX-License-Identifier: MIT */
/*
 * QEMU's firmware configuration device with memory-mapped registers, as its specification
 * (docs/specs/fw_cfg) and the Linux binding "qemu,fw-cfg-mmio" describe it: a data register of 1 to 8
 * bytes that reads on through the entry, a 16-bit selector, and a 64-bit DMA address, all big-endian.
 *
 * Past the end of an entry, and in one that is not there, everything reads as zeros. Writes to the data
 * register do nothing, as the specification has it since writing goes by DMA.
 */
#include "devices/misc/fw_cfg.h"

#include "base/bytes.h"
#include "base/error.h"

#include <string.h>

enum {
    REG_DATA = 0x00,
    REG_SELECTOR = 0x08,
    REG_DMA = 0x10,
    REGS_SIZE = 0x18,
};

enum { ID_TRADITIONAL = 1, ID_DMA = 2 };

#define KEY_MASK 0x3fff /* without "write channel" and "architecture's own" */
#define KEY_LOCAL 0x8000
#define KEYS (FW_CFG_FILE_FIRST + FW_CFG_FILES_MAX)
#define DMA_SIGNATURE UINT64_C(0x51454d5520434647) /* "QEMU CFG" */
#define DIR_ENTRY 64u

enum { DMA_ERROR = 1, DMA_READ = 2, DMA_SKIP = 4, DMA_SELECT = 8, DMA_WRITE = 16 };

typedef struct {
    GBytes *bytes;   /* NULL with data: a writable file */
    uint8_t *data;   /* owned */
    size_t size;     /* of data */
    void (*written)(void *opaque, const uint8_t *data, size_t size);
    void *opaque;
} Entry;

struct FwCfg {
    Entry entry[KEYS];
    char *name[FW_CFG_FILES_MAX]; /* sorted; of entry[FW_CFG_FILE_FIRST + i] */
    unsigned files;
};

/* ---- The table --------------------------------------------------------------- */

static void entry_clear(Entry *e)
{
    g_clear_pointer(&e->bytes, g_bytes_unref);
    g_clear_pointer(&e->data, g_free);
    e->size = 0;
    e->written = NULL;
}

void fw_cfg_set_bytes(FwCfg *table, uint16_t key, GBytes *bytes)
{
    g_return_if_fail(key < FW_CFG_FILE_FIRST);
    GBytes *ref = bytes ? g_bytes_ref(bytes) : NULL;
    entry_clear(&table->entry[key]);
    table->entry[key].bytes = ref;
}

static void set_copy(FwCfg *table, uint16_t key, const void *data, size_t size)
{
    g_autoptr(GBytes) bytes = g_bytes_new(data, size);
    fw_cfg_set_bytes(table, key, bytes);
}

void fw_cfg_set_u16(FwCfg *table, uint16_t key, uint16_t value)
{
    uint8_t b[2];
    st_le16(b, value);
    set_copy(table, key, b, sizeof b);
}

void fw_cfg_set_u32(FwCfg *table, uint16_t key, uint32_t value)
{
    uint8_t b[4];
    st_le32(b, value);
    set_copy(table, key, b, sizeof b);
}

void fw_cfg_set_u64(FwCfg *table, uint16_t key, uint64_t value)
{
    uint8_t b[8];
    st_le64(b, value);
    set_copy(table, key, b, sizeof b);
}

void fw_cfg_set_string(FwCfg *table, uint16_t key, const char *text)
{
    set_copy(table, key, text, strlen(text) + 1);
}

const uint8_t *fw_cfg_get(const FwCfg *table, uint16_t key, size_t *size)
{
    *size = 0;
    if (key & KEY_LOCAL || (key & KEY_MASK) >= KEYS)
        return NULL;
    const Entry *e = &table->entry[key & KEY_MASK];
    if (e->data) {
        *size = e->size;
        return e->data;
    }
    return e->bytes ? g_bytes_get_data(e->bytes, size) : NULL;
}

static int file_find(const FwCfg *table, const char *name)
{
    for (unsigned i = 0; i < table->files; i++)
        if (!strcmp(table->name[i], name))
            return (int)i;
    return -1;
}

bool fw_cfg_has_file(const FwCfg *table, const char *name)
{
    return file_find(table, name) >= 0;
}

/* The directory: count, then size, key, 0 and name of each file. */
static void directory_update(FwCfg *table)
{
    size_t size = 4 + DIR_ENTRY * (size_t)table->files;
    g_autofree uint8_t *dir = g_malloc0(size);
    st_be32(dir, table->files);
    for (unsigned i = 0; i < table->files; i++) {
        uint8_t *p = dir + 4 + DIR_ENTRY * i;
        size_t len;
        fw_cfg_get(table, (uint16_t)(FW_CFG_FILE_FIRST + i), &len);
        st_be32(p, (uint32_t)len);
        st_be16(p + 4, (uint16_t)(FW_CFG_FILE_FIRST + i));
        memcpy(p + 8, table->name[i], strlen(table->name[i]));
    }
    set_copy(table, FW_CFG_FILE_DIR, dir, size);
}

/* The file's entry, a new one if need be. */
static Entry *file_slot(FwCfg *table, const char *name, GBytes *bytes, GError **error)
{
    if (!*name || strlen(name) > FW_CFG_NAME_MAX) {
        fail_usage(error, "'%s': a name has 1 to %d bytes", name, FW_CFG_NAME_MAX);
        return NULL;
    }
    if (g_bytes_get_size(bytes) > UINT32_MAX) {
        fail_usage(error, "'%s': a file is less than 4 GiB", name);
        return NULL;
    }
    Entry *files = table->entry + FW_CFG_FILE_FIRST;
    int found = file_find(table, name);
    if (found >= 0) {
        entry_clear(&files[found]);
        return &files[found];
    }
    if (table->files == FW_CFG_FILES_MAX) {
        fail_usage(error, "'%s': there is room for %d files", name, FW_CFG_FILES_MAX);
        return NULL;
    }
    unsigned at = table->files++;
    for (; at > 0 && strcmp(table->name[at - 1], name) > 0; at--) {
        table->name[at] = table->name[at - 1];
        files[at] = files[at - 1];
    }
    table->name[at] = g_strdup(name);
    files[at] = (Entry){.bytes = NULL};
    return &files[at];
}

bool fw_cfg_set_file(FwCfg *table, const char *name, GBytes *bytes, GError **error)
{
    g_bytes_ref(bytes);
    Entry *e = file_slot(table, name, bytes, error);
    if (!e) {
        g_bytes_unref(bytes);
        return false;
    }
    e->bytes = bytes;
    directory_update(table);
    return true;
}

bool fw_cfg_set_writable(FwCfg *table, const char *name, GBytes *initial,
                         void (*written)(void *opaque, const uint8_t *data, size_t size),
                         void *opaque, GError **error)
{
    Entry *e = file_slot(table, name, initial, error);
    if (!e)
        return false;
    e->data = g_memdup2(g_bytes_get_data(initial, NULL), g_bytes_get_size(initial));
    e->size = g_bytes_get_size(initial);
    e->written = written;
    e->opaque = opaque;
    directory_update(table);
    return true;
}

FwCfg *fw_cfg_new(void)
{
    FwCfg *table = g_new0(FwCfg, 1);
    set_copy(table, FW_CFG_SIGNATURE, "QEMU", 4);
    fw_cfg_set_u32(table, FW_CFG_ID, ID_TRADITIONAL | ID_DMA);
    directory_update(table);
    return table;
}

void fw_cfg_free(FwCfg *table)
{
    if (!table)
        return;
    for (unsigned i = 0; i < KEYS; i++)
        entry_clear(&table->entry[i]);
    for (unsigned i = 0; i < table->files; i++)
        g_free(table->name[i]);
    g_free(table);
}

/* ---- The device ---------------------------------------------------------------- */

typedef struct {
    Device dev;
    FwCfg *table;
    uint16_t key;
    uint32_t offset; /* in the entry; may be past its end */
    uint64_t dma;    /* the high half of the address comes first */
} FwCfgMmio;

void fw_cfg_mmio_set_table(Device *dev, FwCfg *table)
{
    ((FwCfgMmio *)dev)->table = table;
}

static void select_key(FwCfgMmio *f, uint16_t key)
{
    f->key = key;
    f->offset = 0;
}

/* What is left of the entry, and where. */
static const uint8_t *rest(const FwCfgMmio *f, size_t *left)
{
    size_t size;
    const uint8_t *data = f->table ? fw_cfg_get(f->table, f->key, &size) : NULL;
    *left = data && f->offset < size ? size - f->offset : 0;
    return *left ? data + f->offset : NULL;
}

static void advance(FwCfgMmio *f, uint32_t len)
{
    f->offset = len > UINT32_MAX - f->offset ? UINT32_MAX : f->offset + len;
}

/* Only memory: filling a wide window of registers would keep a CPU for seconds. data NULL: zeros. */
static bool dma_put(BusSpace *space, uint64_t addr, const uint8_t *data, uint64_t len)
{
    while (len) {
        uint64_t n = len;
        void *host = bus_dma_map(space, addr, &n, true);
        if (!host)
            return false;
        if (data)
            memcpy(host, data, n);
        else
            memset(host, 0, n);
        bus_dma_unmap(space, addr, n);
        addr += n;
        data = data ? data + n : NULL;
        len -= n;
    }
    return true;
}

static bool dma_write_entry(FwCfgMmio *f, uint64_t addr, uint32_t len)
{
    Entry *e = f->key & KEY_LOCAL || (f->key & KEY_MASK) >= KEYS || !f->table
                   ? NULL : &f->table->entry[f->key & KEY_MASK];
    if (!e || !e->data || f->offset > e->size || len > e->size - f->offset)
        return false;
    if (bus_dma_read(f->dev.env.space, addr, e->data + f->offset, len) != BUS_OK)
        return false;
    if (e->written)
        e->written(e->opaque, e->data, e->size);
    return true;
}

static bool dma_transfer(FwCfgMmio *f, uint32_t control, uint64_t addr, uint32_t len)
{
    BusSpace *space = f->dev.env.space;
    bool ok = true;
    if (control & DMA_READ) {
        size_t left;
        const uint8_t *data = rest(f, &left);
        uint32_t n = (uint32_t)MIN(left, len);
        ok = dma_put(space, addr, data, n) && dma_put(space, addr + n, NULL, len - n);
    } else if (control & DMA_WRITE) {
        ok = dma_write_entry(f, addr, len);
    }
    if (control & (DMA_READ | DMA_WRITE | DMA_SKIP))
        advance(f, len);
    return ok;
}

static void dma_run(FwCfgMmio *f)
{
    BusSpace *space = f->dev.env.space;
    uint8_t command[16], result[4];
    uint64_t at = f->dma;
    f->dma = 0;
    if (bus_dma_read(space, at, command, sizeof command) != BUS_OK) {
        st_be32(result, DMA_ERROR);
        bus_dma_write(space, at, result, sizeof result);
        return;
    }
    uint32_t control = ld_be32(command);
    if (control & DMA_SELECT)
        select_key(f, (uint16_t)(control >> 16));
    bool ok = dma_transfer(f, control, ld_be64(command + 8), ld_be32(command + 4));
    st_be32(result, ok ? 0 : DMA_ERROR);
    bus_dma_write(space, at, result, sizeof result);
}

/* Values here are as the guest's bytes, most significant first. */
static uint64_t mmio_read(Device *dev, uint64_t offset, unsigned size)
{
    FwCfgMmio *f = (FwCfgMmio *)dev;
    uint64_t v = 0;
    if (offset < REG_SELECTOR) {
        size_t left;
        const uint8_t *data = rest(f, &left);
        for (unsigned i = 0; i < size; i++)
            v = v << 8 | (i < left ? data[i] : 0);
        advance(f, size);
    } else if (offset >= REG_DMA) {
        unsigned shift = 8 * (8 - (unsigned)(offset - REG_DMA) - size);
        v = DMA_SIGNATURE >> shift;
    }
    return v;
}

static void mmio_write(Device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    FwCfgMmio *f = (FwCfgMmio *)dev;
    if (offset == REG_SELECTOR && size == 2)
        select_key(f, (uint16_t)value);
    else if (offset == REG_DMA && size == 4)
        f->dma = value << 32;
    else if (offset == REG_DMA && size == 8)
        f->dma = value;
    else if (offset == REG_DMA + 4 && size == 4)
        f->dma |= value;
    else
        return;
    if (offset + size == REGS_SIZE)
        dma_run(f);
}

static void mmio_reset(Device *dev)
{
    FwCfgMmio *f = (FwCfgMmio *)dev;
    select_key(f, FW_CFG_SIGNATURE);
    f->dma = 0;
}

static void mmio_fdt(const Device *dev, const DeviceFdt *ctx)
{
    g_autofree char *path = device_fdt_node(dev, ctx, "fw-cfg", 0);
    fdt_tree_empty(ctx->tree, path, "dma-coherent");
    fdt_tree_string(ctx->tree, path, "compatible", "qemu,fw-cfg-mmio");
}

static const DeviceRegion mmio_regions[] = {
    {.name = "fw-cfg", .size = REGS_SIZE, .endian = BUS_BIG, .read = mmio_read, .write = mmio_write},
    {.name = NULL},
};

static const StateField mmio_saved[] = {
    STATE_FIELD(FwCfgMmio, key, 1),
    STATE_FIELD(FwCfgMmio, offset, 1),
    STATE_FIELD(FwCfgMmio, dma, 1),
    STATE_END,
};

const DeviceType fw_cfg_type = {
    .name = "fw-cfg-mmio",
    .summary = "firmware configuration, memory-mapped",
    .size = sizeof(FwCfgMmio),
    .regions = mmio_regions,
    .saved = mmio_saved,
    .reset = mmio_reset,
    .fdt = mmio_fdt,
};
