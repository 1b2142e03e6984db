/* SPDX-License-Identifier: MIT */
/* What firmware needs, over the protocol: fw_cfg's data and DMA registers, flash with its command
   sequences on a file that must have them afterwards, the generic loader. */
#include "devices/misc/fw_cfg.h"
#include "qtest/test_board.h"

#include <glib/gstdio.h>
#include <unistd.h>

/* ---- fw_cfg ------------------------------------------------------------------ */

#define COMMAND (RAM + 0x1000)
#define BUFFER (RAM + 0x2000)
enum { DMA_ERROR = 1, DMA_READ = 2, DMA_SKIP = 4, DMA_SELECT = 8, DMA_WRITE = 16 };

static void select_key(Board *b, uint16_t key)
{
    ww(b, FW_CFG + 8, GUINT16_SWAP_LE_BE(key));
}

/* Runs a DMA command and returns its control word afterwards. */
static uint32_t dma(Board *b, uint32_t control, uint64_t addr, uint32_t len)
{
    wl(b, COMMAND, GUINT32_SWAP_LE_BE(control));
    wl(b, COMMAND + 4, GUINT32_SWAP_LE_BE(len));
    wq(b, COMMAND + 8, GUINT64_SWAP_LE_BE(addr));
    wl(b, FW_CFG + 0x10, GUINT32_SWAP_LE_BE((uint32_t)(COMMAND >> 32)));
    wl(b, FW_CFG + 0x14, GUINT32_SWAP_LE_BE((uint32_t)COMMAND));
    return GUINT32_SWAP_LE_BE(rl(b, COMMAND));
}

static void expect_bytes(Board *b, uint64_t addr, unsigned len, const char *hex)
{
    g_autofree char *reply = board_ask(b, "read 0x%" PRIx64 " %u", addr, len);
    g_assert_cmpstr(reply + 5, ==, hex);
}

static void test_fw_cfg_data(void)
{
    Board b;
    board_open(&b, NULL);
    /* "QEMU", at every width; past the end zeros. */
    select_key(&b, 0);
    g_assert_cmphex(rl(&b, FW_CFG), ==, 0x554d4551);
    g_assert_cmphex(rq(&b, FW_CFG), ==, 0);
    select_key(&b, 0);
    g_assert_cmphex(rq(&b, FW_CFG), ==, 0x554d4551);
    select_key(&b, 0);
    for (unsigned i = 0; i < 4; i++)
        g_assert_cmphex(rb(&b, FW_CFG), ==, "QEMU"[i]);
    select_key(&b, 0);
    g_assert_cmphex(board_read(&b, 'w', FW_CFG + 2), ==, 0x4551);
    select_key(&b, 1); /* little-endian: traditional and DMA */
    g_assert_cmphex(rl(&b, FW_CFG), ==, 3);
    select_key(&b, 5);
    g_assert_cmphex(rl(&b, FW_CFG), ==, 2);
    /* No such keys; the data register is not for writing. */
    static const uint16_t none[] = {0x18, 0x1f, 0x22, 0x40, 0x3fff, 0x8000, 0xffff};
    for (size_t i = 0; i < G_N_ELEMENTS(none); i++) {
        select_key(&b, none[i]);
        wl(&b, FW_CFG, 0x12345678);
        g_assert_cmphex(rq(&b, FW_CFG), ==, 0);
    }
    g_assert_cmphex(rq(&b, FW_CFG + 0x10), ==, 0x47464320554d4551);
    g_assert_cmphex(rl(&b, FW_CFG + 0x14), ==, 0x47464320);
    g_assert_cmphex(rl(&b, FW_CFG + 8), ==, 0);
    /* A byte of the selector is no selection. */
    select_key(&b, 0);
    wb(&b, FW_CFG + 8, 1);
    wl(&b, FW_CFG + 8, 1);
    g_assert_cmphex(rl(&b, FW_CFG), ==, 0x554d4551);
    board_close(&b);
}

static void test_fw_cfg_files(void)
{
    Board b;
    g_autoptr(GError) error = NULL;
    g_autofree char *note = NULL;
    board_open(&b, NULL);
    g_assert_true(machine_add_fw_cfg(b.m, "name=opt/b,string=world", &note, &error));
    g_assert_null(note);
    g_assert_true(machine_add_fw_cfg(b.m, "etc/mine,string=x", &note, &error));
    g_assert_nonnull(strstr(note, "opt/"));
    static const char *const wrong[] = {"opt/b,string=again", "opt/c", "opt/c,string=a,file=b",
                                        "name=,string=x", "opt/c,file=/nonexistent", "string=x",
                                        "opt/c,string=a,nonsense=1"};
    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autofree char *n = NULL;
        g_assert_false(machine_add_fw_cfg(b.m, wrong[i], &n, NULL));
    }
    /* bootorder, etc/boot-fail-wait, etc/mine, opt/b: sorted, big-endian. */
    select_key(&b, 0x19);
    g_assert_cmphex(rl(&b, FW_CFG), ==, GUINT32_SWAP_LE_BE(4));
    g_assert_cmphex(dma(&b, DMA_SELECT | DMA_READ | 0x19u << 16, BUFFER, 4 + 4 * 64), ==, 0);
    expect_bytes(&b, BUFFER + 4 + 3 * 64, 16, "0000000500230000" "6f70742f62000000");
    expect_bytes(&b, BUFFER + 4 + 64, 8, "0000000400210000");
    board_close(&b);
}

static void written(void *opaque, const uint8_t *data, size_t size)
{
    ++*(int *)opaque;
}

static void test_fw_cfg_dma(void)
{
    Board b;
    g_autoptr(GError) error = NULL;
    g_autofree char *note = NULL;
    int writes = 0;
    board_open(&b, NULL);
    g_assert_true(machine_add_fw_cfg(b.m, "name=opt/b,string=0123456789", &note, &error));
    uint32_t key = 0x22u << 16;
    board_do(&b, "memset 0x%" PRIx64 " 32 0xff", BUFFER);
    g_assert_cmphex(dma(&b, DMA_SELECT | DMA_SKIP | key, 0, 3), ==, 0);
    g_assert_cmphex(dma(&b, DMA_READ, BUFFER, 4), ==, 0);
    expect_bytes(&b, BUFFER, 5, "33343536ff");
    g_assert_cmphex(rb(&b, FW_CFG), ==, '7'); /* the data register goes on there */
    g_assert_cmphex(dma(&b, DMA_READ, BUFFER, 6), ==, 0);
    expect_bytes(&b, BUFFER, 7, "383900000000ff");
    g_assert_cmphex(dma(&b, DMA_SKIP, 0, UINT32_MAX), ==, 0);
    g_assert_cmphex(rl(&b, FW_CFG), ==, 0);
    /* One 64-bit write does it too. */
    wl(&b, COMMAND, GUINT32_SWAP_LE_BE(DMA_SELECT | DMA_READ | key));
    wl(&b, COMMAND + 4, GUINT32_SWAP_LE_BE(10));
    wq(&b, COMMAND + 8, GUINT64_SWAP_LE_BE(BUFFER));
    wq(&b, FW_CFG + 0x10, GUINT64_SWAP_LE_BE(COMMAND));
    g_assert_cmphex(rl(&b, COMMAND), ==, 0);
    /* Nothing done, nothing wrong; a length of zero; what is not writable. */
    g_assert_cmphex(dma(&b, 0, BUFFER, 4), ==, 0);
    g_assert_cmphex(dma(&b, DMA_READ, UINT64_MAX, 0), ==, 0);
    g_assert_cmphex(dma(&b, DMA_SELECT | DMA_WRITE | key, BUFFER, 4), ==, DMA_ERROR);
    g_assert_cmphex(dma(&b, DMA_SELECT | DMA_WRITE | 0xffffu << 16, BUFFER, 4), ==, DMA_ERROR);
    /* Outside of memory, over its end, onto the device itself. */
    g_assert_cmphex(dma(&b, DMA_SELECT | DMA_READ | key, 0x28000000, 4), ==, DMA_ERROR);
    g_assert_cmphex(dma(&b, DMA_SELECT | DMA_READ | key, RAM + RAM_SIZE - 2, 4), ==, DMA_ERROR);
    g_assert_cmphex(dma(&b, DMA_READ, RAM, UINT32_MAX), ==, DMA_ERROR);
    dma(&b, DMA_SELECT | DMA_READ | key, FW_CFG + 8, 16);
    wq(&b, FW_CFG + 0x10, GUINT64_SWAP_LE_BE(FW_CFG));
    wq(&b, FW_CFG + 0x10, GUINT64_SWAP_LE_BE(UINT64_C(0x28000000)));
    wq(&b, FW_CFG + 0x10, UINT64_MAX);
    select_key(&b, 0);
    g_assert_cmphex(rl(&b, FW_CFG), ==, 0x554d4551);
    board_close(&b);

    /* A file that guests write. */
    g_autoptr(FwCfg) table = fw_cfg_new();
    g_autoptr(GBytes) init = g_bytes_new_static("\0\0\0\0", 4);
    g_assert_true(fw_cfg_set_writable(table, "etc/w", init, written, &writes, &error));
    board_open(&b, NULL);
    fw_cfg_mmio_set_table(machine_device(b.m, "fw-cfg"), table);
    wl(&b, BUFFER, 0x64636261);
    key = 0x20u << 16;
    g_assert_cmphex(dma(&b, DMA_SELECT | DMA_WRITE | key, BUFFER, 3), ==, 0);
    g_assert_cmphex(dma(&b, DMA_WRITE, BUFFER, 2), ==, DMA_ERROR);
    g_assert_cmpint(writes, ==, 1);
    size_t size;
    const uint8_t *data = fw_cfg_get(table, 0x20, &size);
    g_assert_cmpmem(data, size, "abc\0", 4);
    board_close(&b);
}

/* What firmware can boot is there for it, and only for it. */
static void test_fw_cfg_kernel(void)
{
    Board b;
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) kernel = g_bytes_new_static("kernel", 6), initrd = g_bytes_new_static("i", 1);
    g_autoptr(LoadImage) image = load_image(kernel, "k", &error);
    board_open(&b, NULL);
    MachineBoot boot = {.mode = MACHINE_FIRMWARE_FILE, .firmware = image, .kernel = image,
                        .kernel_file = kernel, .initrd = initrd, .append = "console=x"};
    g_assert_true(machine_boot(b.m, &boot, &b.entry, &error));
    g_assert_cmphex(dma(&b, DMA_SELECT | DMA_READ | 0x08u << 16, BUFFER, 4), ==, 0);
    expect_bytes(&b, BUFFER, 4, "06000000");
    g_assert_cmphex(dma(&b, DMA_SELECT | DMA_READ | 0x11u << 16, BUFFER, 7), ==, 0);
    expect_bytes(&b, BUFFER, 7, "6b65726e656c00");
    g_assert_cmphex(dma(&b, DMA_SELECT | DMA_READ | 0x15u << 16, BUFFER, 10), ==, 0);
    expect_bytes(&b, BUFFER, 10, "636f6e736f6c653d7800");
    boot.mode = MACHINE_FIRMWARE_BUILTIN;
    g_assert_true(machine_boot(b.m, &boot, &b.entry, &error));
    select_key(&b, 8);
    g_assert_cmphex(rl(&b, FW_CFG), ==, 0);
    machine_boot(b.m, &b.boot, &b.entry, NULL);
    board_close(&b);
}

/* ---- Flash --------------------------------------------------------------------- */

#define BLOCK 0x40000u

static char *flash_file(void)
{
    char *name = NULL;
    int fd = g_file_open_tmp("lathe-flash-XXXXXX", &name, NULL);
    g_assert_cmpint(ftruncate(fd, 32 << 20), ==, 0);
    g_assert_cmpint(pwrite(fd, "firmware", 8, 0), ==, 8);
    close(fd);
    return name;
}

static void flash_open(Board *b, const char *file, const char *more)
{
    g_autofree char *drive = g_strdup_printf("-drive if=pflash,format=raw,file=%s%s", file, more);
    board_open(b, (const char *const[]){drive, NULL});
}

static void cmd(Board *b, uint64_t addr, uint32_t value)
{
    wl(b, addr, value << 16 | value);
}

static uint32_t flash_status(Board *b, uint64_t addr)
{
    cmd(b, addr, 0x70);
    uint32_t both = rl(b, addr);
    g_assert_cmphex(both >> 16, ==, both & 0xffff);
    return both & 0xffff;
}

static void test_flash_query(void)
{
    Board b;
    board_open(&b, NULL);
    g_assert_cmphex(rl(&b, FLASH), ==, 0);
    cmd(&b, FLASH + 0x154, 0x98);
    static const uint8_t head[] = {'Q', 'R', 'Y', 1, 0, 0x31, 0};
    for (unsigned i = 0; i < sizeof head; i++)
        g_assert_cmphex(rl(&b, FLASH + 0x40 + 4 * i), ==, head[i] * 0x10001u);
    g_assert_cmphex(rb(&b, FLASH + 4 * 0x27), ==, 24); /* 16 MiB a chip */
    g_assert_cmphex(rb(&b, FLASH + 4 * 0x2d) + 1, ==, 128);
    g_assert_cmphex(rb(&b, FLASH + 4 * 0x30) * 65536u, ==, BLOCK / 2);
    g_assert_cmphex(rq(&b, FLASH + 0x1fffff8), ==, 0);
    cmd(&b, FLASH, 0xff);
    g_assert_cmphex(rl(&b, FLASH), ==, 0);
    cmd(&b, FLASH, 0x90);
    g_assert_cmphex(rl(&b, FLASH), ==, 0x890089);
    g_assert_cmphex(rl(&b, FLASH + 4), ==, 0x180018);
    cmd(&b, FLASH, 0xff);
    /* The second flash is one of its own. */
    cmd(&b, FLASH + 0x2000000, 0x90);
    g_assert_cmphex(rl(&b, FLASH), ==, 0);
    g_assert_cmphex(rl(&b, FLASH + 0x2000000), ==, 0x890089);
    machine_reset(b.m, &b.entry, NULL);
    g_assert_cmphex(rl(&b, FLASH + 0x2000000), ==, 0);
    board_close(&b);
}

static void test_flash_program(void)
{
    g_autofree char *file = flash_file();
    Board b;
    flash_open(&b, file, "");
    g_assert_cmphex(rq(&b, FLASH), ==, 0x657261776d726966);
    uint64_t at = FLASH + 2 * BLOCK;
    cmd(&b, at, 0x20);
    cmd(&b, at, 0xd0);
    g_assert_cmphex(flash_status(&b, at), ==, 0x80);
    cmd(&b, at, 0xff);
    g_assert_cmphex(rl(&b, at), ==, 0xffffffff);
    g_assert_cmphex(rl(&b, at + BLOCK - 4), ==, 0xffffffff);
    g_assert_cmphex(rl(&b, at + BLOCK), ==, 0);
    cmd(&b, at + 16, 0x40);
    wl(&b, at + 16, 0x12345678);
    cmd(&b, at + 20, 0x10);
    wl(&b, at + 20, 0xf0f0f0f0);
    cmd(&b, at + 20, 0x40);
    wl(&b, at + 20, 0xff00ff00); /* bits go from 1 to 0 only */
    cmd(&b, at, 0xff);
    g_assert_cmphex(rq(&b, at + 16), ==, 0xf000f00012345678);
    /* A buffer, from its middle. */
    cmd(&b, at + 0x1000, 0xe8);
    g_assert_cmphex(rl(&b, at), ==, 0x800080);
    cmd(&b, at + 0x1000, 1);
    wl(&b, at + 0x1ff8, 0x11111111);
    wl(&b, at + 0x1ffc, 0x22222222);
    cmd(&b, at + 0x1000, 0xd0);
    g_assert_cmphex(flash_status(&b, at), ==, 0x80);
    cmd(&b, at, 0xff);
    g_assert_cmphex(rq(&b, at + 0x1ff8), ==, 0x2222222211111111);
    g_assert_cmphex(rl(&b, at + 0x1ff4), ==, 0xffffffff);
    g_assert_cmphex(rl(&b, at + 0x2000), ==, 0xffffffff);
    board_close(&b);

    flash_open(&b, file, "");
    g_assert_cmphex(rq(&b, at + 16), ==, 0xf000f00012345678);
    g_assert_cmphex(rq(&b, at + 0x1ff8), ==, 0x2222222211111111);
    board_close(&b);

    /* Read-only: every attempt says why in the status, and the file stays as it is. */
    flash_open(&b, file, ",readonly=on");
    cmd(&b, at, 0x20);
    cmd(&b, at, 0xd0);
    g_assert_cmphex(flash_status(&b, at), ==, 0xa0);
    cmd(&b, at, 0x50);
    cmd(&b, at + 16, 0x40);
    wl(&b, at + 16, 0);
    g_assert_cmphex(flash_status(&b, at), ==, 0x90);
    cmd(&b, at, 0xff);
    g_assert_cmphex(rl(&b, at + 16), ==, 0x12345678);
    board_close(&b);
    g_unlink(file);
}

static void test_flash_wrong(void)
{
    Board b;
    board_open(&b, NULL);
    uint64_t at = FLASH + BLOCK;
    /* Erase that is not confirmed, buffers too long, in two places, not confirmed. */
    cmd(&b, at, 0x20);
    cmd(&b, at, 0x12);
    g_assert_cmphex(flash_status(&b, at), ==, 0xb0);
    cmd(&b, at, 0x50);
    cmd(&b, at, 0xe8);
    cmd(&b, at, 0xffff);
    cmd(&b, at, 0xd0);
    g_assert_cmphex(flash_status(&b, at), ==, 0xb0);
    cmd(&b, at, 0x50);
    cmd(&b, at, 0xe8);
    cmd(&b, at, 1);
    wl(&b, at, 0);
    wl(&b, at + 0x1000, 0);
    cmd(&b, at, 0xd0);
    g_assert_cmphex(flash_status(&b, at), ==, 0xb0);
    cmd(&b, at, 0x50);
    cmd(&b, at, 0xe8);
    cmd(&b, at, 0);
    wl(&b, FLASH + 5 * BLOCK, 0); /* another block */
    cmd(&b, at, 0xd0);
    g_assert_cmphex(flash_status(&b, at), ==, 0xb0);
    cmd(&b, at, 0x50);
    cmd(&b, at, 0xe8);
    cmd(&b, at, 0);
    wl(&b, at, 0);
    cmd(&b, at, 0xff);
    g_assert_cmphex(flash_status(&b, at), ==, 0xb0);
    /* Locks: of a block, seen in the identifier, ended by unlocking and by reset. */
    cmd(&b, at, 0x50);
    cmd(&b, at, 0x60);
    cmd(&b, at, 0x01);
    cmd(&b, at, 0x90);
    g_assert_cmphex(rl(&b, at + 8), ==, 0x10001);
    g_assert_cmphex(rl(&b, at + BLOCK + 8), ==, 0);
    cmd(&b, at, 0x20);
    cmd(&b, at, 0xd0);
    g_assert_cmphex(flash_status(&b, at), ==, 0xa2);
    cmd(&b, at, 0x50);
    cmd(&b, at, 0x60);
    cmd(&b, at, 0xd0);
    cmd(&b, at, 0x20);
    cmd(&b, at, 0xd0);
    g_assert_cmphex(flash_status(&b, at), ==, 0x80);
    cmd(&b, at, 0x60);
    cmd(&b, at, 0x01);
    machine_reset(b.m, &b.entry, NULL);
    g_assert_cmphex(rl(&b, at), ==, 0xffffffff);
    cmd(&b, at, 0x90);
    g_assert_cmphex(rl(&b, at + 8), ==, 0);
    board_close(&b);
}

static void test_flash_options(void)
{
    g_autofree char *file = flash_file();
    g_autofree char *node = g_strdup_printf("-blockdev driver=file,node-name=code,filename=%s", file);
    Board b;
    board_open_as(&b, "virt,pflash1=code", (const char *const[]){node, NULL});
    g_assert_cmphex(rl(&b, FLASH), ==, 0);
    g_assert_cmphex(rl(&b, FLASH + 0x2000000), ==, 0x6d726966);
    g_assert_cmpint(machine_firmware(b.m, MACHINE_FIRMWARE_BUILTIN), ==, MACHINE_FIRMWARE_BUILTIN);
    /* The SBI starts the second flash in place of a kernel. */
    MachineBoot boot = {.mode = MACHINE_FIRMWARE_BUILTIN};
    g_autoptr(GError) error = NULL;
    g_assert_true(machine_boot(b.m, &boot, &b.entry, &error));
    g_assert_cmphex(b.entry.kernel_entry, ==, 0x22000000);
    machine_boot(b.m, &b.boot, &b.entry, NULL);
    board_close(&b);

    flash_open(&b, file, ",unit=0");
    g_assert_cmpint(machine_firmware(b.m, MACHINE_FIRMWARE_BUILTIN), ==, MACHINE_FIRMWARE_FLASH);
    g_assert_true(machine_has_software(b.m));
    g_assert_cmphex(rq(&b, 0x1018), ==, FLASH); /* where the reset vector goes */
    g_autofree char *again = g_strdup_printf("if=pflash,format=raw,file=%s,unit=0,readonly=on", file);
    g_autofree char *third = g_strdup_printf("if=pflash,format=raw,file=%s,unit=2,readonly=on", file);
    g_assert_false(machine_add_drive(b.m, again, false, NULL));
    g_assert_false(machine_add_drive(b.m, third, false, NULL));
    board_close(&b);
    g_unlink(file);
}

/* ---- Loader ---------------------------------------------------------------------- */

static void test_loader(void)
{
    g_autofree char *file = NULL;
    g_close(g_file_open_tmp("lathe-loader-XXXXXX", &file, NULL), NULL);
    g_file_set_contents(file, "loaded", 6, NULL);
    g_autofree char *raw = g_strdup_printf("-device loader,file=%s,addr=0x80003000,cpu-num=1", file);
    Board b;
    board_open(&b, (const char *const[]){
        raw, "-device loader,addr=0x80001000,data=0x1122,data-len=4",
        "-device loader,addr=0x80001008,data=0x1122,data-len=4,data-be=on",
        "-device loader,addr=0x80002000,cpu-num=0", NULL});
    g_assert_cmphex(rq(&b, RAM + 0x1000), ==, 0x1122);
    g_assert_cmphex(rl(&b, RAM + 0x1008), ==, 0x22110000);
    expect_bytes(&b, RAM + 0x3000, 7, "6c6f6164656400");
    g_assert_cmpuint(b.entry.start_count, ==, 2);
    g_assert_cmpuint(b.entry.starts[0].cpu, ==, 1);
    g_assert_cmphex(b.entry.starts[0].pc, ==, 0x80003000);
    g_assert_cmphex(b.entry.starts[1].pc, ==, 0x80002000);
    g_assert_cmpint(machine_firmware(b.m, MACHINE_FIRMWARE_BUILTIN), ==, MACHINE_FIRMWARE_NONE);
    wq(&b, RAM + 0x1000, 0); /* placed anew by a reset */
    g_assert_true(machine_reset(b.m, &b.entry, NULL));
    g_assert_cmphex(rq(&b, RAM + 0x1000), ==, 0x1122);
    g_autofree char *both = g_strdup_printf("loader,file=%s,data=1,addr=0", file);
    g_autofree char *nowhere = g_strdup_printf("loader,file=%s", file);
    const char *const wrong[] = {
        "loader", "loader,addr=0x80000000", "loader,addr=0x80000000,data=1", "loader,data=1,data-len=1",
        "loader,addr=0,data=0x100,data-len=1", "loader,addr=0,data=1,data-len=9",
        "loader,addr=0x80000000,cpu-num=2", "loader,file=/nonexistent,addr=0", both, nowhere,
        "loader,addr=0,cpu-num=0,other=1"};
    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_false(machine_add_device(b.m, wrong[i], &error));
        g_assert_true(g_str_has_prefix(error->message, "-device loader"));
    }
    /* Where there is no memory the boot fails, and says so. */
    g_autoptr(GError) error = NULL;
    g_assert_true(machine_add_device(b.m, "loader,addr=0x28000000,data=1,data-len=1", NULL));
    g_assert_false(machine_reset(b.m, &b.entry, &error));
    board_close(&b);
    g_unlink(file);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/firmware/fw_cfg-data", test_fw_cfg_data);
    g_test_add_func("/firmware/fw_cfg-files", test_fw_cfg_files);
    g_test_add_func("/firmware/fw_cfg-dma", test_fw_cfg_dma);
    g_test_add_func("/firmware/fw_cfg-kernel", test_fw_cfg_kernel);
    g_test_add_func("/firmware/flash-query", test_flash_query);
    g_test_add_func("/firmware/flash-program", test_flash_program);
    g_test_add_func("/firmware/flash-wrong", test_flash_wrong);
    g_test_add_func("/firmware/flash-options", test_flash_options);
    g_test_add_func("/firmware/loader", test_loader);
    return g_test_run();
}
