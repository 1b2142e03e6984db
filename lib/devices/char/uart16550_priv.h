/* SPDX-License-Identifier: MIT */
/* The UART itself, for the devices that have one: on a board, or on a PCI card. */
#pragma once

#include "devices/device.h"

enum { UART_FIFO = 16 };

typedef struct {
    uint8_t byte[UART_FIFO];
    uint8_t first, count;
} UartFifo;

typedef struct {
    Device dev;
    DevicePci pci; /* of a card */
    Chardev *chardev;
    uint32_t clock; /* Hz */
    bool big_endian; /* for the device tree alone: registers are bytes */
    DeviceTimer *timeout, *retry;
    UartFifo rx, tx;
    uint8_t ier, fcr, lcr, mcr, lsr, msr, scr;
    uint8_t tx_irq;      /* the transmitter-empty interrupt is pending */
    uint8_t timeout_irq; /* bytes have waited in the receive FIFO below its trigger */
    uint16_t divisor;
} Uart;

/* Entries of a table of saved fields. */
#define UART_SAVED                                                                                 \
    STATE_ARRAY(Uart, rx.byte, 1), STATE_FIELD(Uart, rx.first, 1), STATE_FIELD(Uart, rx.count, 1), \
        STATE_ARRAY(Uart, tx.byte, 1), STATE_FIELD(Uart, tx.first, 1),                             \
        STATE_FIELD(Uart, tx.count, 1), STATE_FIELD(Uart, ier, 1), STATE_FIELD(Uart, fcr, 1),      \
        STATE_FIELD(Uart, lcr, 1), STATE_FIELD(Uart, mcr, 1), STATE_FIELD(Uart, lsr, 1),           \
        STATE_FIELD(Uart, msr, 1), STATE_FIELD(Uart, scr, 1), STATE_FIELD(Uart, tx_irq, 1),        \
        STATE_FIELD(Uart, timeout_irq, 1), STATE_FIELD(Uart, divisor, 1)

/* What a DeviceType of such a device points to; the interrupt is output 0. */
uint64_t uart16550_read(Device *dev, uint64_t offset, unsigned size);
void uart16550_write(Device *dev, uint64_t offset, uint64_t value, unsigned size);
bool uart16550_start(Device *dev, GError **error);
void uart16550_stop(Device *dev);
void uart16550_reset(Device *dev);
bool uart16550_loaded(Device *dev, GError **error);
