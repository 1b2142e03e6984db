/* SPDX-License-Identifier: MIT */
/*
 * RISC-V Advanced Core Local Interruptor (ACLINT 1.0-rc4): MSWI, MTIMER and SSWI devices for up to
 * 4095 harts, placed so that the first two make a SiFive CLINT (msip at +0, mtimecmp at +0x4000,
 * mtime at +0xbff8). Described as a CLINT, or with property aclint as three devices.
 *
 * Output 3 * hart + 0 is the hart's machine software line, + 1 its machine timer line, + 2 a pulse
 * that sets its mip.SSIP. Locking is its own, since mtime is read all the time.
 */
#include "devices/intc/riscv_aclint.h"

#include "base/bits.h"

#include <inttypes.h>

#define ACLINT_MAX_HARTS 4095
#define NS_PER_S 1000000000u
#define MTIME 0x7ff8

enum { LINE_MSWI, LINE_MTIMER, LINE_SSWI, LINES };
enum { REGION_MSWI, REGION_MTIMER, REGION_SSWI };
enum { CPU_IRQ_SSOFT = 1, CPU_IRQ_MSOFT = 3, CPU_IRQ_MTIMER = 7 };

typedef struct Aclint Aclint;

typedef struct {
    Aclint *aclint;
    uint32_t hart;
    BusTimer *timer;
} HartTimer;

struct Aclint {
    Device dev;
    bool split; /* described as ACLINT devices */
    bool messages; /* with an IMSIC: for the device tree alone */
    uint32_t harts;
    uint64_t frequency;
    pthread_mutex_t own_lock;
    bool lock_ready;
    uint64_t delta;   /* mtime - ticks of the clock, modulo 2^64; read without the lock */
    uint64_t *cmp;    /* by hart */
    uint8_t *msip;    /* by hart */
    uint8_t *mtip;    /* by hart: the level driven last */
    HartTimer *timers; /* by hart */
};

uint64_t riscv_aclint_mtime(const Device *dev)
{
    const Aclint *a = (const Aclint *)dev;
    unsigned __int128 ns = (unsigned __int128)bus_clock_now(dev->env.clock);
    return (uint64_t)(ns * a->frequency / NS_PER_S) + __atomic_load_n(&a->delta, __ATOMIC_RELAXED);
}

int64_t riscv_aclint_deadline(const Device *dev, uint64_t ticks)
{
    const Aclint *a = (const Aclint *)dev;
    uint64_t mtime = riscv_aclint_mtime(dev);
    if (ticks <= mtime)
        return 0;
    /* Counted from now, so that a counter set far off by the guest does not matter. */
    int64_t now = bus_clock_now(dev->env.clock);
    uint64_t delta = __atomic_load_n(&a->delta, __ATOMIC_RELAXED);
    uint64_t clock_ticks = ticks - delta; /* on the clock's own count */
    if (clock_ticks < mtime - delta)
        return INT64_MAX;
    unsigned __int128 ns =
        ((unsigned __int128)clock_ticks * NS_PER_S + a->frequency - 1) / a->frequency;
    return ns >= INT64_MAX ? INT64_MAX : MAX((int64_t)ns, now);
}

/* With the lock held: drives the timer line by mtimecmp, or waits until it must be driven. */
static void timer_update(Aclint *a, uint32_t hart)
{
    bool level = riscv_aclint_mtime(&a->dev) >= a->cmp[hart];
    if (level)
        bus_timer_cancel(a->timers[hart].timer);
    else
        bus_timer_set(a->timers[hart].timer, riscv_aclint_deadline(&a->dev, a->cmp[hart]));
    if (level != a->mtip[hart]) {
        a->mtip[hart] = level;
        device_irq(&a->dev, LINES * hart + LINE_MTIMER, level);
    }
}

static void timer_fire(void *opaque)
{
    HartTimer *t = opaque;
    pthread_mutex_lock(&t->aclint->own_lock);
    timer_update(t->aclint, t->hart);
    pthread_mutex_unlock(&t->aclint->own_lock);
}

/* ---- Registers ----------------------------------------------------------- */

static uint64_t mswi_read(Device *dev, uint64_t offset, unsigned size)
{
    const Aclint *a = (const Aclint *)dev;
    uint64_t hart = offset / 4;
    return hart < a->harts ? __atomic_load_n(&a->msip[hart], __ATOMIC_RELAXED) : 0;
}

static void mswi_write(Device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    Aclint *a = (Aclint *)dev;
    uint64_t hart = offset / 4;
    if (hart >= a->harts)
        return;
    pthread_mutex_lock(&a->own_lock);
    __atomic_store_n(&a->msip[hart], value & 1, __ATOMIC_RELAXED);
    device_irq(dev, LINES * (unsigned)hart + LINE_MSWI, value & 1);
    pthread_mutex_unlock(&a->own_lock);
}

static uint64_t sswi_read(Device *dev, uint64_t offset, unsigned size)
{
    return 0;
}

static void sswi_write(Device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    const Aclint *a = (const Aclint *)dev;
    uint64_t hart = offset / 4;
    if (hart >= a->harts || !(value & 1))
        return;
    device_irq(dev, LINES * (unsigned)hart + LINE_SSWI, true);
    device_irq(dev, LINES * (unsigned)hart + LINE_SSWI, false);
}

static uint64_t mtimer_read(Device *dev, uint64_t offset, unsigned size)
{
    Aclint *a = (Aclint *)dev;
    uint64_t hart = offset / 8, value = 0;
    if (align_down(offset, 8) == MTIME)
        value = riscv_aclint_mtime(dev);
    else if (hart < a->harts)
        value = __atomic_load_n(&a->cmp[hart], __ATOMIC_RELAXED);
    return value >> (8 * (offset & 7));
}

static void mtimer_write(Device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    Aclint *a = (Aclint *)dev;
    uint64_t hart = offset / 8;
    unsigned shift = 8 * (unsigned)(offset & 7);
    pthread_mutex_lock(&a->own_lock);
    if (align_down(offset, 8) == MTIME) {
        uint64_t now = riscv_aclint_mtime(dev);
        uint64_t wanted = bits_set(now, shift, 8 * size, value);
        __atomic_store_n(&a->delta, a->delta + (wanted - now), __ATOMIC_RELAXED);
        for (uint32_t h = 0; h < a->harts; h++)
            timer_update(a, h);
    } else if (hart < a->harts) {
        uint64_t cmp = bits_set(a->cmp[hart], shift, 8 * size, value);
        __atomic_store_n(&a->cmp[hart], cmp, __ATOMIC_RELAXED);
        timer_update(a, (uint32_t)hart);
    }
    pthread_mutex_unlock(&a->own_lock);
}

/* ---- Life ---------------------------------------------------------------- */

static bool aclint_start(Device *dev, GError **error)
{
    Aclint *a = (Aclint *)dev;
    pthread_mutex_init(&a->own_lock, NULL);
    a->lock_ready = true;
    a->cmp = g_new0(uint64_t, a->harts);
    a->msip = g_new0(uint8_t, a->harts);
    a->mtip = g_new0(uint8_t, a->harts);
    a->timers = g_new0(HartTimer, a->harts);
    for (uint32_t h = 0; h < a->harts; h++)
        a->timers[h] = (HartTimer){a, h, bus_timer_new(dev->env.clock, timer_fire, &a->timers[h])};
    return true;
}

static void aclint_stop(Device *dev)
{
    Aclint *a = (Aclint *)dev;
    for (uint32_t h = 0; a->timers && h < a->harts; h++)
        bus_timer_free(a->timers[h].timer);
    g_free(a->timers);
    g_free(a->mtip);
    g_free(a->msip);
    g_free(a->cmp);
    if (a->lock_ready)
        pthread_mutex_destroy(&a->own_lock);
}

/* mtime goes back to the clock's own count, which is also what the harts' time CSR shows: the
   specification does not ask for zero. No timer is set, though it leaves mtimecmp open. */
static void aclint_reset(Device *dev)
{
    Aclint *a = (Aclint *)dev;
    pthread_mutex_lock(&a->own_lock);
    __atomic_store_n(&a->delta, 0, __ATOMIC_RELAXED);
    for (uint32_t h = 0; h < a->harts; h++) {
        a->cmp[h] = UINT64_MAX;
        a->msip[h] = 0;
        device_irq(dev, LINES * h + LINE_MSWI, false);
        timer_update(a, h);
    }
    pthread_mutex_unlock(&a->own_lock);
}

static bool aclint_loaded(Device *dev, GError **error)
{
    Aclint *a = (Aclint *)dev;
    pthread_mutex_lock(&a->own_lock);
    for (uint32_t h = 0; h < a->harts; h++) {
        a->msip[h] &= 1;
        device_irq(dev, LINES * h + LINE_MSWI, a->msip[h]);
        timer_update(a, h);
    }
    pthread_mutex_unlock(&a->own_lock);
    return true;
}

/* ---- Description --------------------------------------------------------- */

/* interrupts-extended: for each hart its controller and these one or two interrupts. */
static void fdt_extended(const DeviceFdt *ctx, const char *path, uint32_t irq, uint32_t second)
{
    g_autoptr(GArray) cells = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    for (size_t i = 0; i < ctx->cpu_count; i++) {
        uint32_t intc = ctx->cpu_intc[i];
        g_array_append_val(cells, intc);
        g_array_append_val(cells, irq);
        if (second) {
            g_array_append_val(cells, intc);
            g_array_append_val(cells, second);
        }
    }
    fdt_tree_cells(ctx->tree, path, "interrupts-extended", (const uint32_t *)(void *)cells->data,
                   cells->len);
}

static void fdt_swi(const Device *dev, const DeviceFdt *ctx, const char *name, unsigned region,
                    const char *compatible, uint32_t irq)
{
    uint64_t base = device_base(dev, region);
    g_autofree char *path = g_strdup_printf("%s/%s@%" PRIx64, ctx->parent, name, base);
    fdt_tree_node(ctx->tree, path);
    fdt_tree_string(ctx->tree, path, "compatible", compatible);
    fdt_tree_reg(ctx->tree, path, base, 0x4000);
    fdt_extended(ctx, path, irq, 0);
    fdt_tree_empty(ctx->tree, path, "interrupt-controller");
    fdt_tree_u32(ctx->tree, path, "#interrupt-cells", 0);
    device_fdt_common(ctx, path);
}

/* mtime, with what is behind it up to the end of the timer's range, then mtimecmp. */
static void fdt_timer(const Device *dev, const DeviceFdt *ctx, uint64_t range)
{
    uint64_t timer = device_base(dev, REGION_MTIMER);
    g_autofree char *path = g_strdup_printf("%s/mtimer@%" PRIx64, ctx->parent, timer);
    const uint32_t reg[8] = {(uint32_t)((timer + MTIME) >> 32), (uint32_t)(timer + MTIME), 0,
                             (uint32_t)range - MTIME, (uint32_t)(timer >> 32), (uint32_t)timer, 0,
                             MTIME};
    fdt_tree_node(ctx->tree, path);
    fdt_tree_string(ctx->tree, path, "compatible", "riscv,aclint-mtimer");
    fdt_tree_cells(ctx->tree, path, "reg", reg, 8);
    fdt_extended(ctx, path, CPU_IRQ_MTIMER, 0);
    device_fdt_common(ctx, path);
}

static void aclint_fdt(const Device *dev, const DeviceFdt *ctx)
{
    const Aclint *a = (const Aclint *)dev;
    if (a->messages) {
        fdt_timer(dev, ctx, MTIME + 8);
        return;
    }
    if (!a->split) {
        uint64_t swi = device_base(dev, REGION_MSWI);
        g_autofree char *path = g_strdup_printf("%s/clint@%" PRIx64, ctx->parent, swi);
        fdt_tree_node(ctx->tree, path);
        fdt_tree_strings(ctx->tree, path, "compatible", "sifive,clint0", "riscv,clint0", NULL);
        fdt_tree_reg(ctx->tree, path, swi, 0x10000);
        fdt_extended(ctx, path, CPU_IRQ_MSOFT, CPU_IRQ_MTIMER);
        device_fdt_common(ctx, path);
        return;
    }
    fdt_swi(dev, ctx, "mswi", REGION_MSWI, "riscv,aclint-mswi", CPU_IRQ_MSOFT);
    fdt_timer(dev, ctx, 0x10000 - 0x4000);
    fdt_swi(dev, ctx, "sswi", REGION_SSWI, "riscv,aclint-sswi", CPU_IRQ_SSOFT);
}

static const DeviceProp aclint_props[] = {
    {.name = "harts", .kind = DEVICE_U32, .offset = offsetof(Aclint, harts), .def = "1", .min = 1,
     .max = ACLINT_MAX_HARTS, .help = "number of harts"},
    {.name = "frequency", .kind = DEVICE_U64, .offset = offsetof(Aclint, frequency),
     .def = "10000000", .min = 1, .max = NS_PER_S, .help = "of mtime, in Hz"},
    {.name = "aclint", .kind = DEVICE_BOOL, .offset = offsetof(Aclint, split),
     .help = "described as ACLINT devices, not as a CLINT"},
    {.name = "imsic", .kind = DEVICE_BOOL, .offset = offsetof(Aclint, messages),
     .help = "harts interrupt each other by messages: only the timer is described"},
    {.name = NULL},
};

static const StateField aclint_saved[] = {
    STATE_FIELD(Aclint, delta, 1),
    STATE_POINTER(Aclint, cmp, ACLINT_MAX_HARTS, harts, 1),
    STATE_POINTER(Aclint, msip, ACLINT_MAX_HARTS, harts, 1),
    STATE_END,
};

static const DeviceRegion aclint_regions[] = {
    {.name = "mswi", .size = 0x4000, .min = 4, .max = 4, .valid_min = 4, .valid_max = 8,
     .read = mswi_read, .write = mswi_write},
    {.name = "mtimer", .size = 0x8000, .min = 4, .max = 8, .valid_min = 4, .valid_max = 8,
     .read = mtimer_read, .write = mtimer_write},
    {.name = "sswi", .size = 0x4000, .min = 4, .max = 4, .valid_min = 4, .valid_max = 4,
     .read = sswi_read, .write = sswi_write},
    {.name = NULL},
};

const DeviceType riscv_aclint_type = {
    .name = "riscv-aclint",
    .summary = "RISC-V ACLINT or CLINT: software interrupts and timers of the harts",
    .size = sizeof(Aclint),
    .props = aclint_props,
    .regions = aclint_regions,
    .saved = aclint_saved,
    .unlocked = true,
    .start = aclint_start,
    .reset = aclint_reset,
    .stop = aclint_stop,
    .loaded = aclint_loaded,
    .fdt = aclint_fdt,
};
