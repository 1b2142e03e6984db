/* SPDX-License-Identifier: MIT */
/*
 * Commands about CPUs; see cpu/monitor.h. Whatever looks at a CPU's state stops all CPUs
 * meanwhile. Memory is read past the devices: MMIO is not touched, since looking must change
 * nothing.
 */
#include "cpu/monitor.h"

#include "base/error.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PAGE_SIZE UINT64_C(4096)
#define DUMP_MAX 65536 /* items that one x shows */

/* Stops the CPUs for a while: true if they were running and are to go on. */
static bool hold(const CpuMonitor *m)
{
    if (cpu_group_is_paused(m->group))
        return false;
    cpu_group_pause(m->group);
    return true;
}

static void let_go(const CpuMonitor *m, bool held)
{
    if (held)
        cpu_group_resume(m->group);
}

static Vcpu *current(const CpuMonitor *m)
{
    return cpu_group_cpu(m->group, m->current);
}

/* ---- Registers ----------------------------------------------------------------- */

bool cpu_monitor_register(void *opaque, const char *name, uint64_t *value)
{
    const CpuMonitor *m = opaque;
    for (const GuestReg *r = cpu_group_isa(m->group)->regs; r->name; r++) {
        if (strcmp(r->name, name))
            continue;
        bool held = hold(m);
        *value = 0; /* registers lie in host order, and every host is little-endian */
        memcpy(value, (const char *)cpu_state(current(m)) + r->offset, MIN(r->size, 8));
        let_go(m, held);
        return true;
    }
    return false;
}

static void show_registers(const CpuMonitor *m, unsigned n, GString *out)
{
    const GuestIsa *isa = cpu_group_isa(m->group);
    TranslateCpu *cpu = cpu_state(cpu_group_cpu(m->group, n));
    g_string_append_printf(out, "\nCPU#%u\n", n);
    if (isa->registers) {
        isa->registers(cpu, true, out);
        return;
    }
    for (const GuestReg *r = isa->regs; r->name; r++) {
        uint64_t value = 0;
        memcpy(&value, (const char *)cpu + r->offset, MIN(r->size, 8));
        g_string_append_printf(out, " %-8s %0*" PRIx64 "\n", r->name, 2 * r->size, value);
    }
}

static bool run_registers(void *ctx, const MonitorArgs *args, GString *out, GError **error)
{
    const CpuMonitor *m = ctx;
    bool held = hold(m), all = monitor_arg_flag(args, "-a");
    for (unsigned i = 0; i < cpu_group_count(m->group); i++) {
        if (all || i == m->current)
            show_registers(m, i, out);
    }
    let_go(m, held);
    return true;
}

static bool run_cpus(void *ctx, const MonitorArgs *args, GString *out, GError **error)
{
    static const char *const powers[] = { "off", "starting", "on", "stopping" };
    const CpuMonitor *m = ctx;
    for (unsigned i = 0; i < cpu_group_count(m->group); i++) {
        CpuPower power = cpu_power(cpu_group_cpu(m->group, i));
        g_string_append_printf(out, "%c CPU #%u: %s\n", i == m->current ? '*' : ' ', i,
                               powers[power]);
    }
    return true;
}

static bool run_cpu(void *ctx, const MonitorArgs *args, GString *out, GError **error)
{
    CpuMonitor *m = ctx;
    uint64_t n = monitor_arg_number(args, "index", 0);
    if (n >= cpu_group_count(m->group))
        return fail_usage(error, "there is no CPU %" PRIu64 " (0 to %u)", n,
                          cpu_group_count(m->group) - 1);
    m->current = (unsigned)n;
    return true;
}

static bool run_jit(void *ctx, const MonitorArgs *args, GString *out, GError **error)
{
    const CpuMonitor *m = ctx;
    TranslateStats s = cpu_group_stats(m->group);
    g_string_append_printf(out,
                           "code cache size     %" PRIu64 "\n"
                           "code bytes used     %" PRIu64 "\n"
                           "regions             %" PRIu64 "\n"
                           "regions translated  %" PRIu64 "\n"
                           "guest bytes         %" PRIu64 "\n"
                           "regions invalidated %" PRIu64 "\n"
                           "cache flushes       %" PRIu64 "\n",
                           s.code_size, s.code_used, s.regions, s.translated, s.guest_bytes,
                           s.invalidated, s.flushes);
    return true;
}

/* ---- Memory ---------------------------------------------------------------------- */

/* Bytes of RAM, within one page. */
static bool read_ram(const CpuMonitor *m, uint64_t phys, uint8_t *buf, size_t len)
{
    uint64_t got = len;
    void *host = bus_dma_map(m->space, phys, &got, false);
    if (!host)
        return false;
    if (got >= len)
        memcpy(buf, host, len);
    bus_dma_unmap(m->space, phys, 0);
    return got >= len;
}

/* The same at a physical or the current CPU's virtual address; *bad is the first byte missing. */
static bool read_memory(const CpuMonitor *m, bool physical, uint64_t addr, uint8_t *buf,
                        size_t len, uint64_t *bad)
{
    const GuestIsa *isa = cpu_group_isa(m->group);
    while (len) {
        size_t piece = MIN(len, PAGE_SIZE - addr % PAGE_SIZE);
        uint64_t phys = addr;
        *bad = addr;
        if (!physical && isa->find_page && !isa->find_page(cpu_state(current(m)), addr, &phys))
            return false;
        if (!read_ram(m, phys, buf, piece))
            return false;
        addr += piece;
        buf += piece;
        len -= piece;
    }
    return true;
}

typedef struct {
    unsigned count, size;
    char kind; /* x d u o c s i */
} Format;

static bool parse_format(const char *text, Format *f, GError **error)
{
    *f = (Format){ 1, 4, 'x' };
    if (!text || !*text)
        return true;
    if (g_ascii_isdigit(*text)) {
        char *end;
        guint64 n = g_ascii_strtoull(text, &end, 10);
        if (!n || n > DUMP_MAX)
            return fail_usage(error, "/%s: 1 to %d items can be shown", text, DUMP_MAX);
        f->count = (unsigned)n;
        text = end;
    }
    bool sized = false;
    for (; *text; text++) {
        static const char sizes[] = "bhwg";
        const char *s = strchr(sizes, *text);
        if (s) {
            f->size = 1u << (s - sizes);
            sized = true;
        } else if (strchr("xduoc", *text)) {
            f->kind = *text;
        } else if (*text == 'i') {
            return fail_usage(error, "/i: there is no disassembler here; /x shows the bytes");
        } else {
            return fail_usage(error, "/%s: a count, one of x d u o c, and one of b h w g", text);
        }
    }
    if (f->kind == 'c' && !sized)
        f->size = 1;
    return true;
}

static uint64_t item_value(const CpuMonitor *m, const uint8_t *p, unsigned size)
{
    bool big = cpu_group_isa(m->group)->big_endian;
    uint64_t v = 0;
    for (unsigned i = 0; i < size; i++)
        v |= (uint64_t)p[big ? size - 1 - i : i] << (8 * i);
    return v;
}

static void show_item(const Format *f, uint64_t v, GString *out)
{
    unsigned bits = 8 * f->size;
    int64_t s = (int64_t)(v << (64 - bits)) >> (64 - bits);
    if (f->kind == 'x')
        g_string_append_printf(out, " 0x%0*" PRIx64, (int)(2 * f->size), v);
    else if (f->kind == 'd')
        g_string_append_printf(out, " %*" PRId64, (int)(bits / 3 + 1), s);
    else if (f->kind == 'u')
        g_string_append_printf(out, " %*" PRIu64, (int)(bits / 3 + 1), v);
    else if (f->kind == 'o')
        g_string_append_printf(out, " 0%0*" PRIo64, (int)(bits / 3 + 1), v);
    else
        g_string_append_printf(out, g_ascii_isprint((char)v) && v < 128 ? " '%c'" : " '\\x%02x'",
                               (unsigned)v);
}

static bool dump(const CpuMonitor *m, bool physical, const MonitorArgs *args, GString *out,
                 GError **error)
{
    Format f;
    if (!parse_format(monitor_arg(args, "fmt"), &f, error))
        return false;
    uint64_t addr = monitor_arg_number(args, "addr", 0), bad;
    unsigned row = f.kind == 'c' ? 8 : 16 / f.size;
    int digits = cpu_group_isa(m->group)->elf_class == 64 ? 16 : 8;
    for (unsigned i = 0; i < f.count; i++, addr += f.size) {
        uint8_t bytes[8];
        if (!read_memory(m, physical, addr, bytes, f.size, &bad)) {
            if (i % row)
                g_string_append_c(out, '\n');
            return fail(error, "cannot access memory at 0x%" PRIx64, bad);
        }
        if (i % row == 0)
            g_string_append_printf(out, "%0*" PRIx64 ":", digits, addr);
        show_item(&f, item_value(m, bytes, f.size), out);
        if (i % row == row - 1 || i == f.count - 1)
            g_string_append_c(out, '\n');
    }
    return true;
}

static bool run_dump(const CpuMonitor *m, bool physical, const MonitorArgs *args, GString *out,
                     GError **error)
{
    bool held = hold(m), ok = dump(m, physical, args, out, error);
    let_go(m, held);
    return ok;
}

static bool run_x(void *ctx, const MonitorArgs *args, GString *out, GError **error)
{
    return run_dump(ctx, false, args, out, error);
}

static bool run_xp(void *ctx, const MonitorArgs *args, GString *out, GError **error)
{
    return run_dump(ctx, true, args, out, error);
}

static bool save_to(const CpuMonitor *m, bool physical, const MonitorArgs *args, FILE *file,
                    GError **error)
{
    uint64_t addr = monitor_arg_number(args, "addr", 0), left = monitor_arg_number(args, "size", 0);
    uint8_t page[PAGE_SIZE];
    while (left) {
        size_t piece = (size_t)MIN(left, PAGE_SIZE - addr % PAGE_SIZE);
        uint64_t bad;
        if (!read_memory(m, physical, addr, page, piece, &bad))
            return fail(error, "there is no memory at 0x%" PRIx64, bad);
        if (fwrite(page, 1, piece, file) != piece)
            return fail_errno(error, errno, "%s", monitor_arg(args, "file"));
        addr += piece;
        left -= piece;
    }
    return true;
}

/* A file that could not be written whole is not left behind. */
static bool save(const CpuMonitor *m, bool physical, const MonitorArgs *args, GError **error)
{
    const char *path = monitor_arg(args, "file");
    FILE *file = fopen(path, "wbe");
    if (!file)
        return fail_errno(error, errno, "%s", path);
    bool held = hold(m), ok = save_to(m, physical, args, file, error);
    let_go(m, held);
    if (fclose(file) && ok)
        ok = fail_errno(error, errno, "%s", path);
    if (!ok)
        remove(path);
    return ok;
}

static bool run_memsave(void *ctx, const MonitorArgs *args, GString *out, GError **error)
{
    return save(ctx, false, args, error);
}

static bool run_pmemsave(void *ctx, const MonitorArgs *args, GString *out, GError **error)
{
    return save(ctx, true, args, error);
}

const MonitorCommand cpu_commands[] = {
    { "info cpus", NULL, NULL, "the CPUs; * marks the one that x and info registers are about",
      run_cpus },
    { "info registers", NULL, "-a", "registers of the current CPU, with -a of all", run_registers },
    { "info jit", NULL, NULL, "what the translator has made", run_jit },
    { "cpu", NULL, "index:expr", "chooses the current CPU", run_cpu },
    { "x", NULL, "/fmt addr:expr",
      "memory as the CPU sees it: a count, x d u o c, and b h w g for 1 to 8 bytes", run_x },
    { "xp", NULL, "/fmt addr:expr", "physical memory, as x", run_xp },
    { "memsave", NULL, "addr:expr size:expr file", "writes memory as the CPU sees it to a file",
      run_memsave },
    { "pmemsave", NULL, "addr:expr size:expr file", "writes physical memory to a file",
      run_pmemsave },
    { 0 },
};
