/* SPDX-License-Identifier: MIT */
/*
 * The Goldfish real-time clock: nanoseconds since 1970 as two 32-bit halves (reading the low one
 * latches the high one), and one alarm with an interrupt. Follows the register list of the Goldfish
 * virtual hardware document. Time is the machine clock's wall time plus what the guest set.
 */
#include "devices/device.h"

#include "base/bits.h"

enum {
    RTC_TIME_LOW = 0x00,
    RTC_TIME_HIGH = 0x04,
    RTC_ALARM_LOW = 0x08,
    RTC_ALARM_HIGH = 0x0c,
    RTC_IRQ_ENABLED = 0x10,
    RTC_CLEAR_ALARM = 0x14,
    RTC_ALARM_STATUS = 0x18,
    RTC_CLEAR_INTERRUPT = 0x1c,
};

typedef struct {
    Device dev;
    DeviceTimer *timer;
    uint64_t offset; /* guest time - wall time, modulo 2^64 */
    uint64_t alarm;  /* guest time */
    uint32_t alarm_high, time_high; /* latched */
    uint8_t alarm_running, irq_enabled, irq_pending;
} GoldfishRtc;

static uint64_t rtc_now(const GoldfishRtc *rtc)
{
    return (uint64_t)bus_clock_wall(rtc->dev.env.clock) + rtc->offset;
}

static void rtc_update_irq(GoldfishRtc *rtc)
{
    device_irq(&rtc->dev, 0, rtc->irq_pending && rtc->irq_enabled);
}

static void rtc_fire(Device *dev)
{
    GoldfishRtc *rtc = (GoldfishRtc *)dev;
    rtc->alarm_running = 0;
    rtc->irq_pending = 1;
    rtc_update_irq(rtc);
}

/* Wall time and virtual time run apart only while the machine is stopped, so the distance to the
   alarm may be taken from one and waited for in the other. */
static void rtc_arm(GoldfishRtc *rtc)
{
    uint64_t now = rtc_now(rtc);
    if (rtc->alarm <= now) {
        device_timer_cancel(rtc->timer);
        rtc_fire(&rtc->dev);
        return;
    }
    rtc->alarm_running = 1;
    uint64_t wait = MIN(rtc->alarm - now, (uint64_t)INT64_MAX / 2);
    device_timer_set(rtc->timer, bus_clock_now(rtc->dev.env.clock) + (int64_t)wait);
}

static uint64_t rtc_read(Device *dev, uint64_t offset, unsigned size)
{
    GoldfishRtc *rtc = (GoldfishRtc *)dev;
    uint64_t now;
    switch (offset) {
    case RTC_TIME_LOW:
        now = rtc_now(rtc);
        rtc->time_high = (uint32_t)(now >> 32);
        return (uint32_t)now;
    case RTC_TIME_HIGH: return rtc->time_high;
    case RTC_ALARM_LOW: return (uint32_t)rtc->alarm;
    case RTC_ALARM_HIGH: return rtc->alarm >> 32;
    case RTC_IRQ_ENABLED: return rtc->irq_enabled;
    case RTC_ALARM_STATUS: return rtc->alarm_running;
    default: return 0;
    }
}

static void rtc_write(Device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    GoldfishRtc *rtc = (GoldfishRtc *)dev;
    uint64_t now = rtc_now(rtc);
    switch (offset) {
    case RTC_TIME_LOW: rtc->offset += bits_set(now, 0, 32, value) - now; break;
    case RTC_TIME_HIGH: rtc->offset += bits_set(now, 32, 32, value) - now; break;
    case RTC_ALARM_LOW:
        rtc->alarm = (uint64_t)rtc->alarm_high << 32 | (uint32_t)value;
        rtc_arm(rtc);
        break;
    case RTC_ALARM_HIGH: rtc->alarm_high = (uint32_t)value; break;
    case RTC_IRQ_ENABLED:
        rtc->irq_enabled = value & 1;
        rtc_update_irq(rtc);
        break;
    case RTC_CLEAR_ALARM:
        device_timer_cancel(rtc->timer);
        rtc->alarm_running = 0;
        break;
    case RTC_CLEAR_INTERRUPT:
        rtc->irq_pending = 0;
        rtc_update_irq(rtc);
        break;
    }
}

static bool rtc_start(Device *dev, GError **error)
{
    ((GoldfishRtc *)dev)->timer = device_timer_new(dev, rtc_fire);
    return true;
}

static void rtc_stop(Device *dev)
{
    device_timer_free(((GoldfishRtc *)dev)->timer);
}

/* The time the guest has set outlives a reset, as a battery's would. */
static void rtc_reset(Device *dev)
{
    GoldfishRtc *rtc = (GoldfishRtc *)dev;
    device_timer_cancel(rtc->timer);
    rtc->alarm = 0;
    rtc->alarm_high = rtc->time_high = 0;
    rtc->alarm_running = rtc->irq_enabled = rtc->irq_pending = 0;
    rtc_update_irq(rtc);
}

static bool rtc_loaded(Device *dev, GError **error)
{
    GoldfishRtc *rtc = (GoldfishRtc *)dev;
    device_timer_cancel(rtc->timer);
    if (rtc->alarm_running)
        rtc_arm(rtc);
    rtc_update_irq(rtc);
    return true;
}

static void rtc_fdt(const Device *dev, const DeviceFdt *ctx)
{
    g_autofree char *path = device_fdt_node(dev, ctx, "rtc", 0);
    fdt_tree_string(ctx->tree, path, "compatible", "google,goldfish-rtc");
}

static const StateField rtc_saved[] = {
    STATE_FIELD(GoldfishRtc, offset, 1),      STATE_FIELD(GoldfishRtc, alarm, 1),
    STATE_FIELD(GoldfishRtc, alarm_high, 1),  STATE_FIELD(GoldfishRtc, time_high, 1),
    STATE_FIELD(GoldfishRtc, alarm_running, 1), STATE_FIELD(GoldfishRtc, irq_enabled, 1),
    STATE_FIELD(GoldfishRtc, irq_pending, 1), STATE_END,
};

static const DeviceRegion rtc_regions[] = {
    {.name = "rtc", .size = 0x1000, .min = 4, .max = 4, .valid_min = 4, .read = rtc_read,
     .write = rtc_write},
    {.name = NULL},
};

const DeviceType goldfish_rtc_type = {
    .name = "goldfish_rtc",
    .summary = "Goldfish real-time clock with alarm",
    .size = sizeof(GoldfishRtc),
    .regions = rtc_regions,
    .saved = rtc_saved,
    .start = rtc_start,
    .reset = rtc_reset,
    .stop = rtc_stop,
    .loaded = rtc_loaded,
    .fdt = rtc_fdt,
};
