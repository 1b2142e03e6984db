/* SPDX-License-Identifier: MIT */
/*
 * The 16550A UART (National PC16550D data sheet): FIFOs, interrupts with their priorities, modem
 * loop-back, divisor latch, scratch register. Output leaves at once, whatever the baud rate, unless
 * the character device is full: then it waits in the transmit FIFO, as it would behind a slow line.
 * Not there: parity and framing errors, automatic flow control, DMA mode.
 */
#include "devices/char/uart16550_priv.h"

#include "base/bits.h"

#include <string.h>

enum {
    REG_RBR_THR = 0, /* DLAB: divisor, low */
    REG_IER = 1,     /* DLAB: divisor, high */
    REG_IIR_FCR = 2,
    REG_LCR = 3,
    REG_MCR = 4,
    REG_LSR = 5,
    REG_MSR = 6,
    REG_SCR = 7,
};

enum { IER_RX = 1, IER_TX = 2, IER_LINE = 4, IER_MODEM = 8, IER_ALL = 15 };
enum {
    IIR_NONE = 0x01,
    IIR_MODEM = 0x00,
    IIR_TX = 0x02,
    IIR_RX = 0x04,
    IIR_LINE = 0x06,
    IIR_TIMEOUT = 0x0c,
    IIR_FIFOS = 0xc0,
};
enum { FCR_ENABLE = 1, FCR_CLEAR_RX = 2, FCR_CLEAR_TX = 4, FCR_DMA = 8, FCR_TRIGGER = 0xc0 };
enum { LCR_BREAK = 0x40, LCR_DLAB = 0x80 };
enum { MCR_DTR = 1, MCR_RTS = 2, MCR_OUT1 = 4, MCR_OUT2 = 8, MCR_LOOP = 16, MCR_ALL = 31 };
enum {
    LSR_DATA = 0x01,
    LSR_OVERRUN = 0x02,
    LSR_BREAK = 0x10,
    LSR_ERRORS = 0x1e,
    LSR_THR_EMPTY = 0x20,
    LSR_TX_EMPTY = 0x40,
};
enum { MSR_RI = 0x40, MSR_CTS = 0x10, MSR_DSR = 0x20, MSR_DCD = 0x80, MSR_DELTAS = 0x0f };
enum { MSR_DELTA_CTS = 1, MSR_DELTA_DSR = 2, MSR_TRAILING_RI = 4, MSR_DELTA_DCD = 8 };

#define RETRY_NS 10000000 /* between attempts to write to a full character device */

static void fifo_push(UartFifo *f, uint8_t byte)
{
    f->byte[(f->first + f->count++) % UART_FIFO] = byte;
}

static uint8_t fifo_pop(UartFifo *f)
{
    uint8_t byte = f->byte[f->first];
    f->first = (f->first + 1) % UART_FIFO;
    f->count--;
    return byte;
}

static void fifo_clear(UartFifo *f)
{
    f->first = f->count = 0;
}

static unsigned depth(const Uart *u)
{
    return u->fcr & FCR_ENABLE ? UART_FIFO : 1;
}

static unsigned trigger(const Uart *u)
{
    static const uint8_t level[4] = {1, 4, 8, 14};
    return u->fcr & FCR_ENABLE ? level[u->fcr >> 6] : 1;
}

/* ---- Interrupts ---------------------------------------------------------- */

/* The pending interrupt of the highest priority, as IIR says it. */
static uint8_t pending(const Uart *u)
{
    if ((u->ier & IER_LINE) && (u->lsr & LSR_ERRORS))
        return IIR_LINE;
    if ((u->ier & IER_RX) && u->rx.count >= trigger(u))
        return IIR_RX;
    if ((u->ier & IER_RX) && u->timeout_irq)
        return IIR_TIMEOUT;
    if ((u->ier & IER_TX) && u->tx_irq)
        return IIR_TX;
    if ((u->ier & IER_MODEM) && (u->msr & MSR_DELTAS))
        return IIR_MODEM;
    return IIR_NONE;
}

static void update_irq(Uart *u)
{
    device_irq(&u->dev, 0, pending(u) != IIR_NONE);
}

/* ---- Receiving ----------------------------------------------------------- */

/* Starts the wait of four characters' time after which bytes below the trigger interrupt too. */
static void arm_timeout(Uart *u)
{
    u->timeout_irq = 0;
    if (!u->rx.count || u->rx.count >= trigger(u)) {
        device_timer_cancel(u->timeout);
        return;
    }
    /* Start and stop bits and up to eight of data, 16 clocks each. */
    uint64_t bits = 4 * 10;
    uint64_t ns = bits * 16 * MAX(u->divisor, 1) * 1000000000u / MAX(u->clock, 1);
    device_timer_set(u->timeout, bus_clock_now(u->dev.env.clock) + (int64_t)MIN(ns, 100000000));
}

static void timeout_fire(Device *dev)
{
    Uart *u = (Uart *)dev;
    u->timeout_irq = u->rx.count > 0;
    update_irq(u);
}

static void rx_byte(Uart *u, uint8_t byte)
{
    if (u->rx.count >= depth(u)) {
        u->lsr |= LSR_OVERRUN;
        return;
    }
    fifo_push(&u->rx, byte);
    u->lsr |= LSR_DATA;
}

static size_t uart_can_receive(void *opaque)
{
    Uart *u = opaque;
    device_lock(&u->dev);
    size_t room = u->mcr & MCR_LOOP ? 0 : depth(u) - MIN(u->rx.count, depth(u));
    device_unlock(&u->dev);
    return room;
}

static void uart_receive(void *opaque, const uint8_t *buf, size_t len)
{
    Uart *u = opaque;
    device_lock(&u->dev);
    for (size_t i = 0; i < len; i++)
        rx_byte(u, buf[i]);
    arm_timeout(u);
    update_irq(u);
    device_unlock(&u->dev);
}

static void uart_event(void *opaque, ChardevEvent event)
{
    Uart *u = opaque;
    if (event != CHARDEV_EVENT_BREAK)
        return;
    device_lock(&u->dev);
    rx_byte(u, 0);
    u->lsr |= LSR_BREAK;
    arm_timeout(u);
    update_irq(u);
    device_unlock(&u->dev);
}

static uint8_t read_rbr(Uart *u)
{
    if (!u->rx.count)
        return 0;
    uint8_t byte = fifo_pop(&u->rx);
    if (!u->rx.count)
        u->lsr &= (uint8_t)~LSR_DATA;
    arm_timeout(u);
    update_irq(u);
    chardev_accept_input(u->chardev);
    return byte;
}

/* ---- Sending ------------------------------------------------------------- */

static void tx_drain(Uart *u)
{
    while (u->tx.count) {
        size_t run = MIN(u->tx.count, UART_FIFO - u->tx.first);
        size_t taken = chardev_write(u->chardev, u->tx.byte + u->tx.first, run);
        u->tx.first = (uint8_t)((u->tx.first + taken) % UART_FIFO);
        u->tx.count = (uint8_t)(u->tx.count - taken);
        if (taken < run) {
            device_timer_set(u->retry, bus_clock_now(u->dev.env.clock) + RETRY_NS);
            return;
        }
    }
    u->lsr |= LSR_THR_EMPTY | LSR_TX_EMPTY;
    u->tx_irq = 1;
}

static void retry_fire(Device *dev)
{
    Uart *u = (Uart *)dev;
    tx_drain(u);
    update_irq(u);
}

static void write_thr(Uart *u, uint8_t byte)
{
    u->tx_irq = 0;
    if (u->mcr & MCR_LOOP) {
        rx_byte(u, byte);
        arm_timeout(u);
        u->tx_irq = 1;
    } else if (u->tx.count < depth(u)) {
        bool waiting = u->tx.count > 0;
        fifo_push(&u->tx, byte);
        u->lsr &= (uint8_t)~(LSR_THR_EMPTY | LSR_TX_EMPTY);
        if (!waiting) /* else the retry timer has it */
            tx_drain(u);
    }
    update_irq(u);
}

/* ---- The other registers ------------------------------------------------- */

static uint8_t read_iir(Uart *u)
{
    uint8_t iir = pending(u);
    if (iir == IIR_TX) {
        u->tx_irq = 0;
        update_irq(u);
    }
    return iir | (u->fcr & FCR_ENABLE ? IIR_FIFOS : 0);
}

static void write_ier(Uart *u, uint8_t value)
{
    uint8_t rising = value & (uint8_t)~u->ier;
    u->ier = value & IER_ALL;
    /* Enabling the interrupt while the transmitter is empty requests it: drivers start with
       that. */
    if (rising & IER_TX)
        u->tx_irq = (u->lsr & LSR_THR_EMPTY) != 0;
    update_irq(u);
}

static void write_fcr(Uart *u, uint8_t value)
{
    bool flipped = (value ^ u->fcr) & FCR_ENABLE;
    if (flipped || ((value & FCR_ENABLE) && (value & FCR_CLEAR_RX))) {
        fifo_clear(&u->rx);
        u->lsr &= (uint8_t)~(LSR_DATA | LSR_BREAK);
    }
    if (flipped || ((value & FCR_ENABLE) && (value & FCR_CLEAR_TX))) {
        fifo_clear(&u->tx);
        device_timer_cancel(u->retry);
        u->lsr |= LSR_THR_EMPTY | LSR_TX_EMPTY;
        u->tx_irq = 1;
    }
    u->fcr = value & FCR_ENABLE ? value & (FCR_ENABLE | FCR_DMA | FCR_TRIGGER) : 0;
    arm_timeout(u);
    update_irq(u);
    chardev_accept_input(u->chardev);
}

/* The modem's lines: all ready, or in loop-back our own outputs. */
static void update_modem(Uart *u)
{
    uint8_t lines = MSR_CTS | MSR_DSR | MSR_DCD;
    if (u->mcr & MCR_LOOP)
        lines = (uint8_t)((u->mcr & MCR_RTS ? MSR_CTS : 0) | (u->mcr & MCR_DTR ? MSR_DSR : 0) |
                          (u->mcr & MCR_OUT1 ? MSR_RI : 0) | (u->mcr & MCR_OUT2 ? MSR_DCD : 0));
    uint8_t changed = lines ^ (u->msr & 0xf0), deltas = u->msr & MSR_DELTAS;
    if (changed & MSR_CTS)
        deltas |= MSR_DELTA_CTS;
    if (changed & MSR_DSR)
        deltas |= MSR_DELTA_DSR;
    if ((changed & MSR_RI) && !(lines & MSR_RI))
        deltas |= MSR_TRAILING_RI;
    if (changed & MSR_DCD)
        deltas |= MSR_DELTA_DCD;
    u->msr = lines | deltas;
}

static void write_mcr(Uart *u, uint8_t value)
{
    bool leaves_loop = (u->mcr & MCR_LOOP) && !(value & MCR_LOOP);
    u->mcr = value & MCR_ALL;
    update_modem(u);
    update_irq(u);
    if (leaves_loop)
        chardev_accept_input(u->chardev);
}

uint64_t uart16550_read(Device *dev, uint64_t offset, unsigned size)
{
    Uart *u = (Uart *)dev;
    uint8_t value = 0;
    bool dlab = u->lcr & LCR_DLAB;
    switch (offset) {
    case REG_RBR_THR: return dlab ? u->divisor & 0xff : read_rbr(u);
    case REG_IER: return dlab ? u->divisor >> 8 : u->ier;
    case REG_IIR_FCR: return read_iir(u);
    case REG_LCR: return u->lcr;
    case REG_MCR: return u->mcr;
    case REG_LSR:
        value = u->lsr;
        u->lsr &= (uint8_t)~LSR_ERRORS;
        break;
    case REG_MSR:
        value = u->msr;
        if (!(u->mcr & MCR_LOOP))
            u->msr &= (uint8_t)~MSR_DELTAS;
        break;
    case REG_SCR: return u->scr;
    }
    update_irq(u);
    return value;
}

void uart16550_write(Device *dev, uint64_t offset, uint64_t value, unsigned size)
{
    Uart *u = (Uart *)dev;
    uint8_t byte = (uint8_t)value;
    bool dlab = u->lcr & LCR_DLAB;
    switch (offset) {
    case REG_RBR_THR:
        if (dlab)
            u->divisor = (uint16_t)bits_set(u->divisor, 0, 8, byte);
        else
            write_thr(u, byte);
        break;
    case REG_IER:
        if (dlab)
            u->divisor = (uint16_t)bits_set(u->divisor, 8, 8, byte);
        else
            write_ier(u, byte);
        break;
    case REG_IIR_FCR: write_fcr(u, byte); break;
    case REG_LCR: u->lcr = byte; break;
    case REG_MCR: write_mcr(u, byte); break;
    case REG_SCR: u->scr = byte; break;
    }
}

/* ---- Life ---------------------------------------------------------------- */

bool uart16550_start(Device *dev, GError **error)
{
    Uart *u = (Uart *)dev;
    u->timeout = device_timer_new(dev, timeout_fire);
    u->retry = device_timer_new(dev, retry_fire);
    chardev_set_handlers(u->chardev, uart_can_receive, uart_receive, uart_event, u);
    return true;
}

void uart16550_stop(Device *dev)
{
    Uart *u = (Uart *)dev;
    chardev_set_handlers(u->chardev, NULL, NULL, NULL, NULL);
    device_timer_free(u->timeout);
    device_timer_free(u->retry);
}

void uart16550_reset(Device *dev)
{
    Uart *u = (Uart *)dev;
    device_timer_cancel(u->timeout);
    device_timer_cancel(u->retry);
    fifo_clear(&u->rx);
    fifo_clear(&u->tx);
    u->ier = u->fcr = u->lcr = u->scr = 0;
    u->mcr = MCR_OUT2;
    u->lsr = LSR_THR_EMPTY | LSR_TX_EMPTY;
    u->msr = MSR_CTS | MSR_DSR | MSR_DCD;
    u->divisor = 12;
    u->tx_irq = u->timeout_irq = 0;
    update_irq(u);
    chardev_accept_input(u->chardev);
}

bool uart16550_loaded(Device *dev, GError **error)
{
    Uart *u = (Uart *)dev;
    u->rx.first %= UART_FIFO;
    u->tx.first %= UART_FIFO;
    u->rx.count = (uint8_t)MIN(u->rx.count, depth(u));
    u->tx.count = (uint8_t)MIN(u->tx.count, depth(u));
    arm_timeout(u);
    if (u->tx.count)
        tx_drain(u);
    update_irq(u);
    return true;
}

static void uart_fdt(const Device *dev, const DeviceFdt *ctx)
{
    const Uart *u = (const Uart *)dev;
    g_autofree char *path = device_fdt_node(dev, ctx, "serial", 0x100);
    fdt_tree_string(ctx->tree, path, "compatible", "ns16550a");
    fdt_tree_u32(ctx->tree, path, "clock-frequency", u->clock);
    if (u->big_endian)
        fdt_tree_empty(ctx->tree, path, "big-endian");
}

static const DeviceProp uart_props[] = {
    {.name = "chardev", .kind = DEVICE_CHARDEV, .offset = offsetof(Uart, chardev),
     .help = "where the line leads"},
    {.name = "clock-frequency", .kind = DEVICE_U32, .offset = offsetof(Uart, clock),
     .def = "3686400", .min = 1, .help = "of the baud-rate generator, in Hz"},
    {.name = "big-endian", .kind = DEVICE_BOOL, .offset = offsetof(Uart, big_endian),
     .help = "it is told so to guests, whose bytes of a word are in that order"},
    {.name = NULL},
};

static const StateField uart_saved[] = {UART_SAVED, STATE_END};

static const DeviceRegion uart_regions[] = {
    {.name = "serial", .size = 8, .min = 1, .max = 1, .read = uart16550_read, .write = uart16550_write},
    {.name = NULL},
};

const DeviceType uart16550_type = {
    .name = "uart16550",
    .summary = "16550A serial port",
    .size = sizeof(Uart),
    .props = uart_props,
    .regions = uart_regions,
    .saved = uart_saved,
    .start = uart16550_start,
    .reset = uart16550_reset,
    .stop = uart16550_stop,
    .loaded = uart16550_loaded,
    .fdt = uart_fdt,
};
