/* SPDX-License-Identifier: MIT */
/*
 * The list of device models and what all of them share: properties, mapping of regions behind the
 * device's lock, lines, timers, the common part of a device-tree node.
 */
#include "devices/device.h"

#include "base/error.h"
#include "base/option.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <string.h>

#define DEVICE(name) extern const DeviceType name##_type;
#include "devices/devices.def"
#undef DEVICE

#define DEVICE(name) &name##_type,
static const DeviceType *const all_types[] = {
#include "devices/devices.def"
    NULL,
};
#undef DEVICE

#define MAX_OUTPUTS 65536

/* A region of the type, of one device. */
typedef struct {
    Device *dev;
    const DeviceRegion *decl;
    BusOps ops;
    bool placed;
    uint64_t base;
    BusRegion *region; /* once mapped */
} Place;

struct DeviceTimer {
    Device *dev;
    void (*fire)(Device *dev);
    BusTimer *timer;
    int64_t deadline; /* under the device's lock; INT64_MAX: not set */
};

const DeviceType *const *device_types(void)
{
    return all_types;
}

const DeviceType *device_type_find(const char *name)
{
    for (const DeviceType *const *type = all_types; *type; type++)
        if (strcmp((*type)->name, name) == 0)
            return *type;
    return NULL;
}

/* ---- Lock ---------------------------------------------------------------- */

static bool lock_is_mine(Device *dev)
{
    return __atomic_load_n(&dev->lock_owner, __ATOMIC_RELAXED) == (void *)pthread_self();
}

void device_lock(Device *dev)
{
    pthread_mutex_lock(&dev->lock);
    __atomic_store_n(&dev->lock_owner, (void *)pthread_self(), __ATOMIC_RELAXED);
}

void device_unlock(Device *dev)
{
    __atomic_store_n(&dev->lock_owner, NULL, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&dev->lock);
}

/* Enters a callback; false if this thread is in the device already: its own DMA came back to it. */
static bool enter(Device *dev)
{
    if (dev->type->unlocked)
        return true;
    if (lock_is_mine(dev))
        return false;
    device_lock(dev);
    return true;
}

static void leave(Device *dev)
{
    if (!dev->type->unlocked)
        device_unlock(dev);
}

static uint64_t place_read(void *opaque, uint64_t offset, unsigned size)
{
    const Place *place = opaque;
    if (!enter(place->dev))
        return 0;
    uint64_t value = place->decl->read(place->dev, offset, size);
    leave(place->dev);
    return value;
}

static void place_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    const Place *place = opaque;
    if (!enter(place->dev))
        return;
    place->decl->write(place->dev, offset, value, size);
    leave(place->dev);
}

/* ---- Making -------------------------------------------------------------- */

Device *device_new(const DeviceType *type, const char *id)
{
    Device *dev = g_malloc0(type->size);
    dev->type = type;
    dev->id = g_strdup(id);
    dev->out = g_array_new(FALSE, TRUE, sizeof(BusIrq));
    dev->places = g_ptr_array_new_with_free_func(g_free);
    pthread_mutex_init(&dev->lock, NULL);
    for (const DeviceRegion *r = type->regions; r && r->name; r++) {
        Place *place = g_new0(Place, 1);
        *place = (Place){
            .dev = dev,
            .decl = r,
            .ops = {.read = r->read ? place_read : NULL, .write = r->write ? place_write : NULL,
                    .min = r->min, .max = r->max, .valid_min = r->valid_min,
                    .valid_max = r->valid_max, .unaligned = r->unaligned, .messages = r->messages,
                    .endian = r->endian},
        };
        g_ptr_array_add(dev->places, place);
    }
    for (const DeviceProp *p = type->props; p && p->name; p++) {
        g_autoptr(GError) error = NULL;
        if (p->def && !device_set(dev, p->name, p->def, &error))
            g_error("%s: a wrong default: %s", type->name, error->message);
    }
    return dev;
}

void device_free(Device *dev)
{
    if (!dev)
        return;
    DevicePci *pci = dev->type->pci ? dev->type->pci(dev) : NULL;
    if (pci)
        pci_hide(&pci->fn);
    for (guint i = 0; i < dev->places->len; i++) {
        Place *place = g_ptr_array_index(dev->places, i);
        if (place->region)
            bus_region_remove(place->region);
    }
    if (dev->started && dev->type->stop)
        dev->type->stop(dev);
    if (pci) {
        pci_clear(&pci->fn);
        pci_unplug(&pci->fn);
    }
    if (dev->type->discard)
        dev->type->discard(dev);
    for (const DeviceProp *p = dev->type->props; p && p->name; p++)
        if (p->kind == DEVICE_STRING)
            g_free(*(char **)(void *)((char *)dev + p->offset));
    g_ptr_array_free(dev->places, TRUE);
    g_array_free(dev->out, TRUE);
    pthread_mutex_destroy(&dev->lock);
    g_free(dev->id);
    g_free(dev);
}

/* ---- Properties ---------------------------------------------------------- */

const DeviceProp *device_prop(const DeviceType *type, const char *name, GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    for (const DeviceProp *p = type->props; p && p->name; p++) {
        if (strcmp(p->name, name) == 0)
            return p;
        g_ptr_array_add(names, (char *)p->name);
    }
    g_ptr_array_add(names, NULL);
    const char *nearest = option_nearest(name, (const char *const *)names->pdata);
    fail_usage(error, "Property '%s.%s' not found%s%s%s", type->name, name,
               nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
    return NULL;
}

static const DeviceProp *prop_find(const Device *dev, const char *name, GError **error)
{
    return device_prop(dev->type, name, error);
}

static bool set_number(Device *dev, const DeviceProp *p, uint64_t value, GError **error)
{
    void *field = (char *)dev + p->offset;
    uint64_t max = p->max ? p->max : p->kind == DEVICE_U32 ? UINT32_MAX : UINT64_MAX;
    if (value < p->min || value > max)
        return fail_usage(error,
                          "Property '%s.%s' is from %" PRIu64 " to %" PRIu64 ", not %" PRIu64,
                          dev->type->name, p->name, p->min, max, value);
    if (p->kind == DEVICE_U32)
        *(uint32_t *)field = (uint32_t)value;
    else
        *(uint64_t *)field = value;
    return true;
}

static bool set_bool(bool *field, const char *value)
{
    static const char *const yes[] = {"on", "yes", "true", "y", NULL};
    static const char *const no[] = {"off", "no", "false", "n", NULL};
    *field = g_strv_contains(yes, value);
    return *field || g_strv_contains(no, value);
}

/* What properties that point to a back end take; NULL for the others. */
static const char *const pointer_names[] = {
    [DEVICE_CHARDEV] = "character device",
    [DEVICE_DRIVE] = "drive",
    [DEVICE_RNG] = "random source",
    [DEVICE_NET] = "network back end",
    [DEVICE_MAC] = NULL,
};

bool device_set(Device *dev, const char *name, const char *value, GError **error)
{
    const DeviceProp *p = prop_find(dev, name, error);
    if (!p)
        return false;
    void *field = (char *)dev + p->offset;
    if (p->kind == DEVICE_BOOL)
        return set_bool(field, value) ||
               fail_usage(error, "Parameter '%s' expects 'on' or 'off'", name);
    if (p->kind == DEVICE_STRING) {
        g_free(*(char **)field);
        *(char **)field = g_strdup(value);
        return true;
    }
    if (p->kind == DEVICE_MAC)
        return net_parse_mac(value, field, error);
    if (pointer_names[p->kind])
        return fail_usage(error, "Property '%s.%s' takes a %s", dev->type->name, name,
                          pointer_names[p->kind]);
    char *end;
    errno = 0;
    uint64_t number = g_ascii_strtoull(value, &end, 0);
    if (errno || end == value || *end || strchr(value, '-'))
        return fail_usage(error, "Parameter '%s' expects an integer, not '%s'", name, value);
    return set_number(dev, p, number, error);
}

bool device_set_u64(Device *dev, const char *name, uint64_t value, GError **error)
{
    const DeviceProp *p = prop_find(dev, name, error);
    if (!p)
        return false;
    if (p->kind != DEVICE_U32 && p->kind != DEVICE_U64)
        return fail_usage(error, "Property '%s.%s' is not a number", dev->type->name, name);
    return set_number(dev, p, value, error);
}

/* Sets a pointer property of that kind. */
static bool set_pointer(Device *dev, const char *name, DevicePropKind kind, const void *value,
                        GError **error)
{
    const DeviceProp *p = prop_find(dev, name, error);
    if (!p)
        return false;
    if (p->kind != kind)
        return fail_usage(error, "Property '%s.%s' is not a %s", dev->type->name, name,
                          pointer_names[kind]);
    memcpy((char *)dev + p->offset, &value, sizeof value);
    return true;
}

bool device_set_chardev(Device *dev, const char *name, Chardev *chardev, GError **error)
{
    return set_pointer(dev, name, DEVICE_CHARDEV, chardev, error);
}

bool device_set_drive(Device *dev, const char *name, const DeviceDrive *drive, GError **error)
{
    return set_pointer(dev, name, DEVICE_DRIVE, drive, error);
}

bool device_set_rng(Device *dev, const char *name, const DeviceRng *rng, GError **error)
{
    return set_pointer(dev, name, DEVICE_RNG, rng, error);
}

bool device_set_net(Device *dev, const char *name, NetBackend *backend, GError **error)
{
    return set_pointer(dev, name, DEVICE_NET, backend, error);
}

/* ---- Lines --------------------------------------------------------------- */

void device_connect(Device *dev, unsigned n, BusIrq irq)
{
    if (n >= MAX_OUTPUTS)
        return;
    if (n >= dev->out->len)
        g_array_set_size(dev->out, n + 1);
    g_array_index(dev->out, BusIrq, n) = irq;
}

void device_watch_inputs(Device *dev, const DeviceWatch *watch)
{
    __atomic_store_n(&dev->watch_in, watch, __ATOMIC_RELEASE);
}

void device_watch_outputs(Device *dev, const DeviceWatch *watch)
{
    __atomic_store_n(&dev->watch_out, watch, __ATOMIC_RELEASE);
}

static void watched(const DeviceWatch *const *at, int n, bool level)
{
    const DeviceWatch *watch = __atomic_load_n(at, __ATOMIC_ACQUIRE);
    if (watch)
        watch->level(watch->opaque, n, level);
}

void device_irq(Device *dev, unsigned n, bool level)
{
    watched(&dev->watch_out, (int)n, level);
    if (n < dev->out->len)
        bus_irq_set(g_array_index(dev->out, BusIrq, n), level);
}

static void input_set(void *opaque, int n, bool level)
{
    Device *dev = opaque;
    watched(&dev->watch_in, n, level);
    if (!enter(dev))
        return;
    dev->type->input(dev, n, level);
    leave(dev);
}

BusIrq device_input(Device *dev, int n)
{
    return dev->type->input ? (BusIrq){input_set, dev, n} : (BusIrq){0};
}

/* ---- Running ------------------------------------------------------------- */

void device_place(Device *dev, unsigned region, uint64_t base)
{
    g_return_if_fail(region < dev->places->len);
    Place *place = g_ptr_array_index(dev->places, region);
    place->placed = true;
    place->base = base;
}

uint64_t device_base(const Device *dev, unsigned region)
{
    if (region >= dev->places->len)
        return UINT64_MAX;
    const Place *place = g_ptr_array_index(dev->places, region);
    return place->placed ? place->base : UINT64_MAX;
}

bool device_start(Device *dev, const DeviceEnv *env, GError **error)
{
    dev->env = *env;
    dev->started = true; /* stop also undoes a half-done start */
    if (dev->type->start && !dev->type->start(dev, error))
        return prefix(error, "%s", dev->id);
    bus_update_begin(env->space);
    bool ok = true;
    for (guint i = 0; i < dev->places->len && ok; i++) {
        Place *place = g_ptr_array_index(dev->places, i);
        if (!place->placed)
            continue;
        place->region = bus_mmio_new(env->space, dev->id, place->base, place->decl->size,
                                     &place->ops, place, 0, error);
        ok = place->region != NULL;
    }
    bus_update_end(env->space);
    if (ok && dev->type->pci)
        pci_show(&dev->type->pci(dev)->fn);
    if (ok)
        device_reset(dev);
    return ok;
}

bool device_bar(Device *dev, unsigned bar, PciBarKind kind, uint64_t size, unsigned region,
                uint64_t offset, GError **error)
{
    Place *place = g_ptr_array_index(dev->places, region);
    BusSpace *space = dev->env.space;
    bus_update_begin(space);
    place->region = bus_mmio_new(space, dev->id, 0, MIN(place->decl->size, size - offset),
                                 &place->ops, place, 0, error);
    if (place->region)
        bus_region_enable(place->region, false);
    bus_update_end(space);
    if (place->region)
        pci_bar(&dev->type->pci(dev)->fn, bar, kind, size, place->region, offset);
    return place->region != NULL;
}

bool device_keeps(const Device *dev, const DeviceDrive *drive, bool read, int ret)
{
    BlockOnError how = read ? drive->rerror : drive->werror;
    if (!dev->env.io_error || ret >= 0 || ret == -ENOTSUP || ret == -ECANCELED)
        return false;
    return how == BLOCK_ON_ERROR_STOP ||
           (how == BLOCK_ON_ERROR_ENOSPC && (ret == -ENOSPC || ret == -EDQUOT));
}

void device_reset(Device *dev)
{
    if (dev->type->pci)
        pci_reset(&dev->type->pci(dev)->fn);
    if (!dev->type->reset)
        return;
    if (enter(dev)) {
        dev->type->reset(dev);
        leave(dev);
    }
}

void device_save(Device *dev, GByteArray *out)
{
    if (dev->type->saving)
        dev->type->saving(dev);
    device_lock(dev);
    state_save(dev->type->saved, dev, out);
    device_unlock(dev);
}

bool device_load(Device *dev, const uint8_t *data, size_t len, size_t *pos, GError **error)
{
    device_lock(dev);
    bool ok = state_load(dev->type->saved, dev, data, len, pos, error);
    if (ok && dev->type->pci)
        ok = pci_loaded(&dev->type->pci(dev)->fn, error);
    if (ok && dev->type->loaded)
        ok = dev->type->loaded(dev, error);
    device_unlock(dev);
    return ok || prefix(error, "%s", dev->id);
}

/* ---- Timers -------------------------------------------------------------- */

static void timer_fired(void *opaque)
{
    DeviceTimer *timer = opaque;
    Device *dev = timer->dev;
    device_lock(dev);
    /* It may have been cancelled or put off while the callback was on its way. */
    bool due = timer->deadline != INT64_MAX && bus_clock_now(dev->env.clock) >= timer->deadline;
    if (due) {
        timer->deadline = INT64_MAX;
        timer->fire(dev);
    }
    device_unlock(dev);
}

DeviceTimer *device_timer_new(Device *dev, void (*fire)(Device *dev))
{
    DeviceTimer *timer = g_new0(DeviceTimer, 1);
    timer->dev = dev;
    timer->fire = fire;
    timer->deadline = INT64_MAX;
    timer->timer = bus_timer_new(dev->env.clock, timer_fired, timer);
    return timer;
}

void device_timer_free(DeviceTimer *timer)
{
    if (!timer)
        return;
    bus_timer_free(timer->timer);
    g_free(timer);
}

void device_timer_set(DeviceTimer *timer, int64_t deadline)
{
    timer->deadline = deadline;
    bus_timer_set(timer->timer, deadline);
}

void device_timer_cancel(DeviceTimer *timer)
{
    timer->deadline = INT64_MAX;
    bus_timer_cancel(timer->timer);
}

/* ---- Description --------------------------------------------------------- */

void device_fdt(const Device *dev, const DeviceFdt *ctx)
{
    if (dev->type->fdt)
        dev->type->fdt(dev, ctx);
}

void device_acpi(const Device *dev, const DeviceAcpi *ctx)
{
    if (dev->type->acpi)
        dev->type->acpi(dev, ctx);
}

void device_fdt_interrupts(const DeviceFdt *ctx, const char *path)
{
    uint32_t sense = ctx->edge ? 1 : 4;
    g_autoptr(GArray) cells = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    for (size_t i = 0; i < ctx->interrupt_count; i++) {
        const uint32_t words[3] = {0, ctx->interrupts[i], sense};
        bool gic = ctx->irq_kind == DEVICE_FDT_IRQ_GIC;
        g_array_append_vals(cells, words + !gic, ctx->irq_kind == DEVICE_FDT_IRQ_NUMBER ? 1 : 2 + gic);
    }
    fdt_tree_cells(ctx->tree, path, "interrupts", (const uint32_t *)(void *)cells->data, cells->len);
}

void device_fdt_common(const DeviceFdt *ctx, const char *path)
{
    if (ctx->interrupt_count) {
        if (!ctx->parent_is_default)
            fdt_tree_u32(ctx->tree, path, "interrupt-parent", ctx->intc);
        device_fdt_interrupts(ctx, path);
    }
    if (ctx->coherent)
        fdt_tree_empty(ctx->tree, path, "dma-coherent");
    if (ctx->secure) {
        fdt_tree_string(ctx->tree, path, "status", "disabled");
        fdt_tree_string(ctx->tree, path, "secure-status", "okay");
    }
    if (ctx->has_node)
        fdt_tree_u32(ctx->tree, path, "numa-node-id", ctx->node);
    if (ctx->phandle)
        fdt_tree_phandle_set(ctx->tree, path, ctx->phandle);
}

void device_fdt_primecell(const DeviceFdt *ctx, const char *path, const char *compatible,
                          const char *first_clock)
{
    const uint32_t clocks[2] = {ctx->clock, ctx->clock};
    fdt_tree_strings(ctx->tree, path, "compatible", compatible, "arm,primecell", NULL);
    fdt_tree_cells(ctx->tree, path, "clocks", clocks, first_clock ? 2 : 1);
    if (first_clock)
        fdt_tree_strings(ctx->tree, path, "clock-names", first_clock, "apb_pclk", NULL);
    else
        fdt_tree_string(ctx->tree, path, "clock-names", "apb_pclk");
}

char *device_fdt_node(const Device *dev, const DeviceFdt *ctx, const char *name, uint64_t reg_size)
{
    uint64_t base = device_base(dev, 0);
    uint64_t size = ctx->size ? ctx->size : reg_size ? reg_size : dev->type->regions[0].size;
    char *path = g_strdup_printf("%s/%s@%" PRIx64, ctx->parent, ctx->name ? ctx->name : name, base);
    fdt_tree_node(ctx->tree, path);
    if (ctx->cells == 1) {
        const uint32_t reg[] = {(uint32_t)base, (uint32_t)size};
        fdt_tree_cells(ctx->tree, path, "reg", reg, G_N_ELEMENTS(reg));
    } else {
        fdt_tree_reg(ctx->tree, path, base, size);
    }
    device_fdt_common(ctx, path);
    return path;
}
