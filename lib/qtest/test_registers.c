/* SPDX-License-Identifier: MIT */
/* The devices of RISC-V virt by their registers, over the protocol: what they are after reset, which
   bits stay, which a 1 clears, and when their interrupt line goes up and down. */
#include "qtest/test_board.h"

/* ---- UART ------------------------------------------------------------------ */

static void test_uart(void)
{
    Board b;
    board_open(&b, NULL);
    g_assert_cmphex(rb(&b, UART + 1), ==, 0);    /* IER */
    g_assert_cmphex(rb(&b, UART + 2), ==, 1);    /* IIR: none pending */
    g_assert_cmphex(rb(&b, UART + 5), ==, 0x60); /* LSR: transmitter empty */
    wb(&b, UART + 7, 0x5a);
    g_assert_cmphex(rb(&b, UART + 7), ==, 0x5a);
    wb(&b, UART + 1, 0xff);
    g_assert_cmphex(rb(&b, UART + 1), ==, 0x0f);
    wb(&b, UART + 4, 0xff);
    g_assert_cmphex(rb(&b, UART + 4), ==, 0x1f);
    wb(&b, UART + 4, 0);
    wb(&b, UART + 5, 0); /* read-only */
    g_assert_cmphex(rb(&b, UART + 5) & 0x60, ==, 0x60);
    /* The divisor is behind DLAB and leaves IER alone. */
    wb(&b, UART + 1, 0);
    wb(&b, UART + 3, 0x83);
    wb(&b, UART, 0x34);
    wb(&b, UART + 1, 0x12);
    g_assert_cmphex(rb(&b, UART) | rb(&b, UART + 1) << 8, ==, 0x1234);
    wb(&b, UART + 3, 3);
    g_assert_cmphex(rb(&b, UART + 1), ==, 0);

    /* Receive: the line is up from the byte until it is read. */
    chardev_memory_input(b.serial, "k", 1);
    g_assert_false(board_irq(&b, 10));
    wb(&b, UART + 1, 1);
    g_assert_true(board_irq(&b, 10));
    g_assert_cmphex(rb(&b, UART + 2) & 15, ==, 4);
    g_assert_cmphex(rb(&b, UART + 5) & 1, ==, 1);
    g_assert_cmphex(rb(&b, UART), ==, 'k');
    g_assert_false(board_irq(&b, 10));
    /* Transmit: reading IIR is what ends it. */
    wb(&b, UART + 1, 2);
    g_assert_true(board_irq(&b, 10));
    g_assert_cmphex(rb(&b, UART + 2) & 15, ==, 2);
    g_assert_false(board_irq(&b, 10));
    wb(&b, UART, 'x');
    g_autoptr(GBytes) out = chardev_memory_take_output(b.serial);
    g_assert_cmpmem(g_bytes_get_data(out, NULL), g_bytes_get_size(out), "x", 1);
    /* Loop-back: a byte sent comes back, modem outputs become inputs. */
    wb(&b, UART + 4, 0x10);
    wb(&b, UART, 'L');
    g_assert_cmphex(rb(&b, UART), ==, 'L');
    g_assert_cmphex(rb(&b, UART + 6) & 0xf0, ==, 0);
    wb(&b, UART + 4, 0x1f);
    g_assert_cmphex(rb(&b, UART + 6) & 0xf0, ==, 0xf0);
    board_close(&b);
}

/* ---- PLIC -------------------------------------------------------------------- */

static void test_plic(void)
{
    Board b;
    board_open(&b, NULL);
    for (unsigned n = 0; n < 64; n++)
        g_assert_cmphex(rl(&b, PLIC + 4 * n), ==, 0);
    wl(&b, PLIC, 7); /* source 0 is not there */
    g_assert_cmphex(rl(&b, PLIC), ==, 0);
    wl(&b, PLIC + 40, 7);
    g_assert_cmphex(rl(&b, PLIC + 40), ==, 7);
    wl(&b, PLIC + 4 * 11, 3);
    wl(&b, PLIC + 0x2000, 0xffffffff);
    g_assert_cmphex(rl(&b, PLIC + 0x2000) & 1, ==, 0);
    wl(&b, PLIC + 0x1000, 0xffffffff); /* pending is read-only */
    g_assert_cmphex(rl(&b, PLIC + 0x1000), ==, 0);
    board_do(&b, "set_irq_in plic unnamed-gpio-in 11 1");
    board_do(&b, "set_irq_in plic unnamed-gpio-in 10 1");
    board_do(&b, "set_irq_in plic unnamed-gpio-in 12 1"); /* priority 0: never */
    g_assert_cmphex(rl(&b, PLIC + 0x1000), ==, 7u << 10);
    g_assert_cmpuint(rl(&b, PLIC + 0x200004), ==, 10);
    g_assert_cmpuint(rl(&b, PLIC + 0x200004), ==, 11);
    g_assert_cmpuint(rl(&b, PLIC + 0x200004), ==, 0);
    wl(&b, PLIC + 0x200004, 10); /* still high: again */
    g_assert_cmpuint(rl(&b, PLIC + 0x200004), ==, 10);
    board_do(&b, "set_irq_in plic unnamed-gpio-in 10 0");
    wl(&b, PLIC + 0x200004, 10);
    g_assert_cmpuint(rl(&b, PLIC + 0x200004), ==, 0);
    wl(&b, PLIC + 0x200004, 0xffffffff); /* completing nonsense */
    wl(&b, PLIC + 0x200004, 0);
    /* The threshold holds back what is not above it. */
    wl(&b, PLIC + 0x200000, 3);
    wl(&b, PLIC + 0x200004, 11);
    g_assert_cmpuint(rl(&b, PLIC + 0x200004), ==, 0);
    wl(&b, PLIC + 0x200000, 2);
    g_assert_cmpuint(rl(&b, PLIC + 0x200004), ==, 11);
    /* Past the last context and the last source, and in between. */
    static const uint64_t holes[] = {0xffc, 0x1080, 0x1ffc, 0x2200, 0x1ffffc, 0x204000, 0x5ffffc};
    for (size_t i = 0; i < G_N_ELEMENTS(holes); i++) {
        wl(&b, PLIC + holes[i], 0xffffffff);
        g_assert_cmphex(rl(&b, PLIC + holes[i]), ==, 0);
    }
    board_do(&b, "set_irq_in plic unnamed-gpio-in 0 1");
    board_do(&b, "set_irq_in plic unnamed-gpio-in 4095 1");
    board_close(&b);
}

/* ---- CLINT --------------------------------------------------------------------- */

static void test_clint(void)
{
    Board b;
    board_open(&b, NULL);
    qtest_close(b.q);
    board_do(&b, "irq_intercept_out clint"); /* 3 * hart: software, timer, supervisor software */
    wl(&b, CLINT, 1);
    g_assert_true(board_irq(&b, 0));
    g_assert_cmphex(rl(&b, CLINT), ==, 1);
    wl(&b, CLINT, 0xfffffffe);
    g_assert_false(board_irq(&b, 0));
    g_assert_cmphex(rl(&b, CLINT), ==, 0);
    wl(&b, CLINT + 8, 1); /* there is no third hart */
    g_assert_cmphex(rl(&b, CLINT + 8), ==, 0);
    uint64_t mtime = CLINT + 0xbff8, cmp1 = CLINT + 0x4008;
    g_assert_cmpuint(rq(&b, mtime), ==, 0);
    wq(&b, cmp1, 100);
    g_assert_cmpuint(rl(&b, cmp1), ==, 100);
    board_do(&b, "clock_step 9999");
    g_assert_false(board_irq(&b, 4));
    board_do(&b, "clock_step 1");
    g_assert_true(board_irq(&b, 4));
    g_assert_cmpuint(rq(&b, mtime), ==, 100);
    wl(&b, cmp1 + 4, 1); /* the high half alone */
    g_assert_false(board_irq(&b, 4));
    g_assert_cmphex(rq(&b, cmp1), ==, 0x100000064);
    wq(&b, cmp1, 200);
    g_autofree char *reply = board_ask(&b, "clock_step");
    g_assert_cmpstr(reply, ==, "OK 20000");
    g_assert_true(board_irq(&b, 4));
    wq(&b, cmp1, UINT64_MAX);
    g_assert_false(board_irq(&b, 4));
    board_close(&b);

    /* ACLINT's third device: a write is a pulse, and reads as zero. */
    board_open_as(&b, "virt,aclint=on", NULL);
    qtest_close(b.q);
    board_do(&b, "irq_intercept_out clint");
    wl(&b, 0x2f00004, 1);
    g_assert_cmpuint(b.raised[5], ==, 1);
    g_assert_false(board_irq(&b, 5));
    g_assert_cmphex(rl(&b, 0x2f00004), ==, 0);
    wl(&b, 0x2f00008, 1);
    board_close(&b);
}

/* ---- RTC ------------------------------------------------------------------------- */

static void test_rtc(void)
{
    const uint64_t epoch = UINT64_C(946684800) * 1000000000; /* the manual clock's 2000-01-01 */
    Board b;
    board_open(&b, NULL);
    uint64_t low = rl(&b, RTC), high = rl(&b, RTC + 4);
    g_assert_cmpuint(high << 32 | low, ==, epoch);
    /* The low half latches the high one. */
    board_do(&b, "clock_step 5000000000");
    low = rl(&b, RTC);
    board_do(&b, "clock_step 5000000000");
    g_assert_cmpuint((uint64_t)rl(&b, RTC + 4) << 32 | low, ==, epoch + 5000000000);
    uint64_t alarm = epoch + 10000000000 + 1000;
    wl(&b, RTC + 0x10, 0xffffffff);
    g_assert_cmphex(rl(&b, RTC + 0x10), ==, 1);
    wl(&b, RTC + 0xc, (uint32_t)(alarm >> 32));
    wl(&b, RTC + 8, (uint32_t)alarm);
    g_assert_cmphex(rl(&b, RTC + 0x18), ==, 1);
    board_do(&b, "clock_step 999");
    g_assert_false(board_irq(&b, 11));
    board_do(&b, "clock_step 1");
    g_assert_true(board_irq(&b, 11));
    g_assert_cmphex(rl(&b, RTC + 0x18), ==, 0);
    wl(&b, RTC + 0x10, 0); /* masked, still pending */
    g_assert_false(board_irq(&b, 11));
    wl(&b, RTC + 0x10, 1);
    g_assert_true(board_irq(&b, 11));
    wl(&b, RTC + 0x1c, 1);
    g_assert_false(board_irq(&b, 11));
    wl(&b, RTC + 0x18, 1); /* read-only */
    g_assert_cmphex(rl(&b, RTC + 0x18), ==, 0);
    g_assert_cmphex(rl(&b, RTC + 0x20), ==, 0);
    board_close(&b);
}

/* ---- Finisher --------------------------------------------------------------------- */

static void test_finisher(void)
{
    Board b;
    board_open(&b, NULL);
    wl(&b, FINISHER, 0x1234);
    wl(&b, FINISHER + 4, 0x5555);
    g_assert_cmpuint(b.powers, ==, 0);
    g_assert_cmphex(rl(&b, FINISHER), ==, 0);
    wl(&b, FINISHER, 0x7777);
    g_assert_cmpint(b.power, ==, DEVICE_POWER_RESET);
    wl(&b, FINISHER, 0x5555);
    g_assert_cmpint(b.power, ==, DEVICE_POWER_OFF);
    wl(&b, FINISHER, 0x33333);
    g_assert_cmpint(b.power, ==, DEVICE_POWER_FAIL);
    g_assert_cmpuint(b.powers, ==, 3);
    board_close(&b);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/registers/uart", test_uart);
    g_test_add_func("/registers/plic", test_plic);
    g_test_add_func("/registers/clint", test_clint);
    g_test_add_func("/registers/rtc", test_rtc);
    g_test_add_func("/registers/finisher", test_finisher);
    return g_test_run();
}
