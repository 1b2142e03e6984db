/* SPDX-License-Identifier: MIT */
/* The clock: timers in order, stopping, latency beside a busy thread, freeing; random bytes. */
#include "bus/bus.h"

#include <string.h>

typedef struct {
    BusClock *clock;
    BusTimer *timer;
    GString *log;
    char mark;
    int64_t at;
    int count;
} Item;

static void note(void *opaque)
{
    Item *item = opaque;
    item->at = bus_clock_now(item->clock);
    if (item->log)
        g_string_append_c(item->log, item->mark);
    g_atomic_int_inc(&item->count);
}

static void test_order(void)
{
    g_autoptr(BusClock) clock = bus_clock_new_manual();
    GString *log = g_string_new("");
    Item items[8];
    /* Deadlines 70 20 50 10 60 30 40 80 for a..h. */
    static const int64_t deadline[8] = {70, 20, 50, 10, 60, 30, 40, 80};
    for (int i = 0; i < 8; i++) {
        items[i] = (Item){.clock = clock, .log = log, .mark = (char)('a' + i)};
        items[i].timer = bus_timer_new(clock, note, &items[i]);
        bus_timer_set(items[i].timer, deadline[i]);
    }
    bus_timer_cancel(items[2].timer);
    bus_timer_set(items[0].timer, 15);
    bus_timer_set(items[7].timer, INT64_MAX);
    bus_clock_advance(clock, 9);
    g_assert_cmpstr(log->str, ==, "");
    bus_clock_advance(clock, 1);
    g_assert_cmpstr(log->str, ==, "d");
    bus_clock_advance(clock, 1000);
    g_assert_cmpstr(log->str, ==, "dabfge");
    g_assert_cmpint(items[5].at, ==, 30);
    g_assert_cmpint(bus_clock_now(clock), ==, 1010);
    for (int i = 0; i < 8; i++)
        bus_timer_free(items[i].timer);
    g_string_free(log, TRUE);
}

static void periodic(void *opaque)
{
    Item *item = opaque;
    if (++item->count < 5)
        bus_timer_set(item->timer, bus_clock_now(item->clock) + 10);
}

static void free_self(void *opaque)
{
    Item *item = opaque;
    item->count++;
    bus_timer_free(item->timer);
}

static void test_from_callback(void)
{
    g_autoptr(BusClock) clock = bus_clock_new_manual();
    Item item = {.clock = clock}, own = {.clock = clock};
    item.timer = bus_timer_new(clock, periodic, &item);
    own.timer = bus_timer_new(clock, free_self, &own);
    bus_timer_set(item.timer, 10);
    bus_timer_set(own.timer, 25);
    bus_clock_advance(clock, 45);
    g_assert_cmpint(item.count, ==, 4);
    g_assert_cmpint(own.count, ==, 1);
    bus_clock_advance(clock, 1000);
    g_assert_cmpint(item.count, ==, 5);
    bus_timer_free(item.timer);
}

static void test_stop(void)
{
    g_autoptr(BusClock) clock = bus_clock_new();
    Item item = {.clock = clock};
    item.timer = bus_timer_new(clock, note, &item);
    g_assert_cmpint(bus_clock_now(clock), ==, 0);
    bus_timer_set(item.timer, 0);
    g_usleep(5000);
    g_assert_cmpint(g_atomic_int_get(&item.count), ==, 0);
    g_assert_cmpint(bus_clock_now(clock), ==, 0);
    bus_clock_start(clock);
    for (int i = 0; i < 30000 && !g_atomic_int_get(&item.count); i++)
        g_usleep(1000);
    g_assert_cmpint(g_atomic_int_get(&item.count), ==, 1);
    bus_clock_stop(clock);
    int64_t now = bus_clock_now(clock);
    g_usleep(2000);
    g_assert_cmpint(bus_clock_now(clock), ==, now);
    bus_clock_set(clock, INT64_C(1) << 60);
    bus_clock_start(clock);
    g_assert_cmpint(bus_clock_now(clock), >=, INT64_C(1) << 60);
    bus_timer_free(item.timer);
}

static gpointer spin(gpointer stop)
{
    while (!g_atomic_int_get((int *)stop))
        ;
    return NULL;
}

/* With a vCPU spinning beside it, ticks still come soon after their time. */
static void test_latency(void)
{
    g_autoptr(BusClock) clock = bus_clock_new();
    bus_clock_start(clock);
    int stop = 0;
    GThread *busy = g_thread_new("busy", spin, &stop);
    Item item = {.clock = clock};
    item.timer = bus_timer_new(clock, note, &item);
    GArray *late = g_array_new(FALSE, FALSE, sizeof(int64_t));
    for (int i = 0; i < 31; i++) {
        int64_t deadline = bus_clock_now(clock) + 1000000;
        bus_timer_set(item.timer, deadline);
        for (int n = 0; n < 30000 && g_atomic_int_get(&item.count) <= i; n++)
            g_usleep(1000);
        g_assert_cmpint(g_atomic_int_get(&item.count), ==, i + 1);
        g_assert_cmpint(item.at, >=, deadline);
        int64_t l = item.at - deadline;
        g_array_append_val(late, l);
    }
    g_atomic_int_set(&stop, 1);
    g_thread_join(busy);
    int64_t best = INT64_MAX;
    for (guint i = 0; i < late->len; i++)
        best = MIN(best, g_array_index(late, int64_t, i));
    g_test_message("least lateness %" G_GINT64_FORMAT " ns", best);
    g_assert_cmpint(best, <, 2000000);
    g_array_free(late, TRUE);
    bus_timer_free(item.timer);
}

static void slow(void *opaque)
{
    Item *item = opaque;
    g_atomic_int_set(&item->count, 1);
    g_usleep(20000);
    g_atomic_int_set(&item->count, 2);
}

/* Freeing waits for the callback that is running. */
static void test_free_waits(void)
{
    g_autoptr(BusClock) clock = bus_clock_new();
    bus_clock_start(clock);
    Item item = {.clock = clock};
    item.timer = bus_timer_new(clock, slow, &item);
    bus_timer_set(item.timer, 0);
    while (g_atomic_int_get(&item.count) == 0)
        g_usleep(100);
    bus_timer_free(item.timer);
    g_assert_cmpint(g_atomic_int_get(&item.count), ==, 2);
}

static void test_random(void)
{
    g_autoptr(BusClock) a = bus_clock_new_manual();
    g_autoptr(BusClock) b = bus_clock_new_manual();
    uint8_t x[300] = {0}, y[300] = {0};
    bus_random(a, x, sizeof x);
    bus_random(b, y, sizeof y);
    g_assert_true(memcmp(x, y, sizeof x) != 0);
    bus_clock_seed(a, 1);
    bus_clock_seed(b, 1);
    bus_random(a, x, 299);
    bus_random(b, y, 299);
    g_assert_cmpmem(x, 299, y, 299);
    bus_random(a, x, 299);
    g_assert_true(memcmp(x, y, 299) != 0);
    g_assert_cmpint(bus_clock_wall(a), ==, INT64_C(946684800000000000));
}

/* Another wall time, which may stop with the clock. */
static void test_wall(void)
{
    const int64_t epoch = INT64_C(946684800000000000);
    g_autoptr(BusClock) clock = bus_clock_new_manual();
    bus_clock_set_wall(clock, -5, false);
    g_assert_cmpint(bus_clock_wall(clock), ==, epoch - 5);
    bus_clock_advance(clock, 100);
    bus_clock_set_wall(clock, 7, true);
    g_assert_cmpint(bus_clock_wall(clock), ==, epoch + 107);
    bus_clock_advance(clock, 10);
    g_assert_cmpint(bus_clock_wall(clock), ==, epoch + 117);

    g_autoptr(BusClock) real = bus_clock_new();
    bus_clock_set_wall(real, 0, true);
    int64_t then = bus_clock_wall(real);
    g_usleep(2000);
    g_assert_cmpint(bus_clock_wall(real), ==, then); /* not started */
    bus_clock_start(real);
    g_usleep(2000);
    g_assert_cmpint(bus_clock_wall(real), >, then);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/clock/order", test_order);
    g_test_add_func("/clock/from-callback", test_from_callback);
    g_test_add_func("/clock/stop", test_stop);
    g_test_add_func("/clock/latency", test_latency);
    g_test_add_func("/clock/free-waits", test_free_waits);
    g_test_add_func("/clock/random", test_random);
    g_test_add_func("/clock/wall", test_wall);
    return g_test_run();
}
