/* SPDX-License-Identifier: MIT */
/*
 * RISC-V Platform-Level Interrupt Controller (PLIC 1.0.0, SiFive's memory map): up to 1023 sources
 * and 15872 contexts. Context 2h is hart h's machine mode, 2h + 1 its supervisor mode; output n is
 * context n's line; input n is source n.
 *
 * The gateway of a source is level-triggered: a high line makes one request, which stays pending until
 * it is claimed, and a line still high when the handler completes makes the next.
 * Locking is its own: one mutex, a leaf but for the CPU lines driven under it.
 */
#include "devices/device.h"

#include "base/bits.h"
#include "base/error.h"

#include <string.h>

#define PLIC_MAX_SOURCES 1023
#define PLIC_MAX_CONTEXTS 15872
#define PRIORITY_MAX 7
#define WORDS_MAX 32
#define PLIC_SIZE 0x600000 /* as on virt: room for 1024 contexts */

enum {
    PLIC_PENDING = 0x1000,
    PLIC_ENABLE = 0x2000,
    PLIC_ENABLE_STRIDE = 0x80,
    PLIC_CONTEXT = 0x200000,
    PLIC_CONTEXT_STRIDE = 0x1000,
    CONTEXT_THRESHOLD = 0,
    CONTEXT_CLAIM = 4,
};

enum { CPU_IRQ_SEXT = 9, CPU_IRQ_MEXT = 11 };

typedef struct {
    Device dev;
    uint32_t sources; /* 1 .. sources exist */
    uint32_t contexts;
    uint32_t words; /* of a bit map over sources */
    uint32_t enable_words; /* contexts * words */
    pthread_mutex_t own_lock;
    bool lock_ready;
    uint32_t priority[PLIC_MAX_SOURCES + 1];
    uint32_t level[WORDS_MAX], pending[WORDS_MAX], claimed[WORDS_MAX];
    uint32_t *enable;    /* contexts times words */
    uint32_t *threshold; /* by context */
    uint8_t *line;       /* by context: the level driven last */
} Plic;

static bool bit(const uint32_t *map, uint32_t n)
{
    return map[n / 32] >> (n % 32) & 1;
}

static void bit_put(uint32_t *map, uint32_t n, bool value)
{
    map[n / 32] = (uint32_t)bits_set(map[n / 32], n % 32, 1, value);
}

/* The pending and enabled source of the highest priority over the threshold; of equals the lowest
   number; 0 for none. */
static uint32_t best(const Plic *p, uint32_t context)
{
    const uint32_t *enable = p->enable + (size_t)context * p->words;
    uint32_t found = 0, priority = p->threshold[context];
    for (uint32_t w = 0; w < p->words; w++) {
        for (uint32_t ready = p->pending[w] & enable[w]; ready; ready &= ready - 1) {
            uint32_t n = 32 * w + (uint32_t)__builtin_ctz(ready);
            if (p->priority[n] > priority) {
                priority = p->priority[n];
                found = n;
            }
        }
    }
    return found;
}

static void update_context(Plic *p, uint32_t context)
{
    bool level = best(p, context) != 0;
    if (level == p->line[context])
        return;
    p->line[context] = level;
    device_irq(&p->dev, context, level);
}

/* After a change of one source: the contexts that listen to it. */
static void update_source(Plic *p, uint32_t n)
{
    for (uint32_t c = 0; c < p->contexts; c++)
        if (bit(p->enable + (size_t)c * p->words, n))
            update_context(p, c);
}

static void update_all(Plic *p)
{
    for (uint32_t c = 0; c < p->contexts; c++)
        update_context(p, c);
}

/* The gateway: a high line that is not being served becomes a request. */
static void gateway(Plic *p, uint32_t n)
{
    if (bit(p->level, n) && !bit(p->claimed, n) && !bit(p->pending, n)) {
        bit_put(p->pending, n, true);
        update_source(p, n);
    }
}

static void plic_input(Device *dev, int n, bool level)
{
    Plic *p = (Plic *)dev;
    if (n < 1 || (uint32_t)n > p->sources)
        return;
    pthread_mutex_lock(&p->own_lock);
    bit_put(p->level, (uint32_t)n, level);
    gateway(p, (uint32_t)n);
    pthread_mutex_unlock(&p->own_lock);
}

static uint32_t claim(Plic *p, uint32_t context)
{
    uint32_t n = best(p, context);
    if (n) {
        bit_put(p->pending, n, false);
        bit_put(p->claimed, n, true);
        update_source(p, n);
    }
    return n;
}

/* A completion for a source the context has not enabled is ignored. */
static void complete(Plic *p, uint32_t context, uint64_t n)
{
    if (n < 1 || n > p->sources || !bit(p->enable + (size_t)context * p->words, (uint32_t)n))
        return;
    bit_put(p->claimed, (uint32_t)n, false);
    gateway(p, (uint32_t)n);
}

/* ---- Registers ----------------------------------------------------------- */

/* Source 0 does not exist, nor do those past the last. */
static uint32_t word_mask(const Plic *p, uint64_t word)
{
    uint32_t mask = word == p->sources / 32 ? (uint32_t)bits_mask(p->sources % 32 + 1) : UINT32_MAX;
    return word == 0 ? mask & ~1u : mask;
}

static uint64_t plic_get(Plic *p, uint64_t offset)
{
    if (offset < PLIC_PENDING)
        return offset / 4 <= p->sources ? p->priority[offset / 4] : 0;
    if (offset < PLIC_ENABLE) {
        uint64_t w = (offset - PLIC_PENDING) / 4;
        return w < p->words ? p->pending[w] : 0;
    }
    if (offset < PLIC_CONTEXT) {
        uint64_t c = (offset - PLIC_ENABLE) / PLIC_ENABLE_STRIDE;
        uint64_t w = (offset - PLIC_ENABLE) % PLIC_ENABLE_STRIDE / 4;
        return c < p->contexts && w < p->words ? p->enable[c * p->words + w] : 0;
    }
    uint64_t c = (offset - PLIC_CONTEXT) / PLIC_CONTEXT_STRIDE;
    if (c >= p->contexts)
        return 0;
    switch ((offset - PLIC_CONTEXT) % PLIC_CONTEXT_STRIDE) {
    case CONTEXT_THRESHOLD: return p->threshold[c];
    case CONTEXT_CLAIM: return claim(p, (uint32_t)c);
    default: return 0;
    }
}

static void plic_put(Plic *p, uint64_t offset, uint64_t value)
{
    if (offset < PLIC_PENDING) {
        uint64_t n = offset / 4;
        if (n >= 1 && n <= p->sources) {
            p->priority[n] = value & PRIORITY_MAX;
            update_source(p, (uint32_t)n);
        }
        return;
    }
    if (offset < PLIC_ENABLE)
        return;
    if (offset < PLIC_CONTEXT) {
        uint64_t c = (offset - PLIC_ENABLE) / PLIC_ENABLE_STRIDE;
        uint64_t w = (offset - PLIC_ENABLE) % PLIC_ENABLE_STRIDE / 4;
        if (c < p->contexts && w < p->words) {
            p->enable[c * p->words + w] = (uint32_t)value & word_mask(p, w);
            update_context(p, (uint32_t)c);
        }
        return;
    }
    uint64_t c = (offset - PLIC_CONTEXT) / PLIC_CONTEXT_STRIDE;
    if (c >= p->contexts)
        return;
    switch ((offset - PLIC_CONTEXT) % PLIC_CONTEXT_STRIDE) {
    case CONTEXT_THRESHOLD:
        p->threshold[c] = value & PRIORITY_MAX;
        update_context(p, (uint32_t)c);
        break;
    case CONTEXT_CLAIM: complete(p, (uint32_t)c, value); break;
    }
}

static uint64_t plic_read(Device *dev, uint64_t offset, unsigned size)
{
    Plic *p = (Plic *)dev;
    pthread_mutex_lock(&p->own_lock);
    uint64_t value = plic_get(p, offset);
    pthread_mutex_unlock(&p->own_lock);
    return value;
}

static void plic_write(Device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    Plic *p = (Plic *)dev;
    pthread_mutex_lock(&p->own_lock);
    plic_put(p, offset, value);
    pthread_mutex_unlock(&p->own_lock);
}

/* ---- Life ---------------------------------------------------------------- */

static bool plic_start(Device *dev, GError **error)
{
    Plic *p = (Plic *)dev;
    p->words = p->sources / 32 + 1;
    p->enable_words = p->contexts * p->words;
    if (PLIC_CONTEXT + (uint64_t)p->contexts * PLIC_CONTEXT_STRIDE > PLIC_SIZE)
        return fail_usage(error, "%u contexts do not fit", p->contexts);
    pthread_mutex_init(&p->own_lock, NULL);
    p->lock_ready = true;
    p->enable = g_new0(uint32_t, p->enable_words);
    p->threshold = g_new0(uint32_t, p->contexts);
    p->line = g_new0(uint8_t, p->contexts);
    return true;
}

static void plic_stop(Device *dev)
{
    Plic *p = (Plic *)dev;
    g_free(p->line);
    g_free(p->threshold);
    g_free(p->enable);
    if (p->lock_ready)
        pthread_mutex_destroy(&p->own_lock);
}

/* The levels of the inputs are their devices' business. */
static void plic_reset(Device *dev)
{
    Plic *p = (Plic *)dev;
    pthread_mutex_lock(&p->own_lock);
    memset(p->priority, 0, sizeof p->priority);
    memset(p->pending, 0, sizeof p->pending);
    memset(p->claimed, 0, sizeof p->claimed);
    memset(p->enable, 0, 4 * (size_t)p->enable_words);
    memset(p->threshold, 0, 4 * (size_t)p->contexts);
    for (uint32_t n = 1; n <= p->sources; n++)
        gateway(p, n);
    update_all(p);
    pthread_mutex_unlock(&p->own_lock);
}

static bool plic_loaded(Device *dev, GError **error)
{
    Plic *p = (Plic *)dev;
    pthread_mutex_lock(&p->own_lock);
    for (uint32_t w = 0; w < p->words; w++) {
        uint32_t mask = word_mask(p, w);
        p->pending[w] &= mask;
        p->claimed[w] &= mask;
        p->level[w] &= mask;
        for (uint32_t c = 0; c < p->contexts; c++)
            p->enable[(size_t)c * p->words + w] &= mask;
    }
    update_all(p);
    pthread_mutex_unlock(&p->own_lock);
    return true;
}

static void plic_fdt(const Device *dev, const DeviceFdt *ctx)
{
    const Plic *p = (const Plic *)dev;
    g_autofree char *path = device_fdt_node(dev, ctx, "plic", 0);
    g_autofree uint32_t *cells = g_new(uint32_t, 4 * ctx->cpu_count);
    for (size_t i = 0; i < ctx->cpu_count; i++) {
        cells[4 * i] = cells[4 * i + 2] = ctx->cpu_intc[i];
        cells[4 * i + 1] = CPU_IRQ_MEXT;
        cells[4 * i + 3] = CPU_IRQ_SEXT;
    }
    fdt_tree_strings(ctx->tree, path, "compatible", "sifive,plic-1.0.0", "riscv,plic0", NULL);
    fdt_tree_cells(ctx->tree, path, "interrupts-extended", cells, 4 * ctx->cpu_count);
    fdt_tree_empty(ctx->tree, path, "interrupt-controller");
    fdt_tree_u32(ctx->tree, path, "#interrupt-cells", 1);
    fdt_tree_u32(ctx->tree, path, "#address-cells", 0);
    fdt_tree_u32(ctx->tree, path, "riscv,ndev", p->sources);
}

static const DeviceProp plic_props[] = {
    {.name = "sources", .kind = DEVICE_U32, .offset = offsetof(Plic, sources), .def = "96",
     .min = 1, .max = PLIC_MAX_SOURCES, .help = "number of interrupt sources"},
    {.name = "contexts", .kind = DEVICE_U32, .offset = offsetof(Plic, contexts), .def = "2",
     .min = 1, .max = PLIC_MAX_CONTEXTS, .help = "two for each hart: machine, supervisor"},
    {.name = NULL},
};

static const StateField plic_saved[] = {
    STATE_ARRAY(Plic, priority, 1),
    STATE_ARRAY(Plic, level, 1),
    STATE_ARRAY(Plic, pending, 1),
    STATE_ARRAY(Plic, claimed, 1),
    STATE_POINTER(Plic, enable, PLIC_MAX_CONTEXTS * WORDS_MAX, enable_words, 1),
    STATE_POINTER(Plic, threshold, PLIC_MAX_CONTEXTS, contexts, 1),
    STATE_END,
};

static const DeviceRegion plic_regions[] = {
    {.name = "plic", .size = PLIC_SIZE, .min = 4, .max = 4, .valid_min = 4, .valid_max = 4,
     .read = plic_read, .write = plic_write},
    {.name = NULL},
};

const DeviceType plic_type = {
    .name = "plic",
    .summary = "RISC-V platform-level interrupt controller",
    .size = sizeof(Plic),
    .props = plic_props,
    .regions = plic_regions,
    .saved = plic_saved,
    .unlocked = true,
    .start = plic_start,
    .reset = plic_reset,
    .stop = plic_stop,
    .loaded = plic_loaded,
    .input = plic_input,
    .fdt = plic_fdt,
};
