/* SPDX-License-Identifier: MIT */
/*
 * The protocol of -qtest: a test program at the other end of a character device does what a CPU would,
 * by lines of text. A state machine: bytes in, lines out, and between them accesses to a bus, a
 * clock and interrupt lines. It knows devices by name only, and no board.
 *
 *   readb|readw|readl|readq ADDR             OK 0xVALUE (16 digits)
 *   writeb|writew|writel|writeq ADDR VALUE   OK
 *   read ADDR LEN                            OK 0xBYTES (hexadecimal, in the order of addresses)
 *   write ADDR LEN 0xBYTES                   OK (what is missing of LEN bytes is zeros)
 *   b64read ADDR LEN                         OK BASE64
 *   b64write ADDR LEN BASE64                 OK
 *   memset ADDR LEN BYTE                     OK
 *   inb|inw|inl PORT, outb|outw|outl PORT VALUE   OK 0xVALUE (4 digits), OK
 *   clock_step [NS], clock_set NS            OK NOW: without NS to the next timer; never back
 *   irq_intercept_in|irq_intercept_out DEVICE     OK; from then on lines "IRQ raise N", "IRQ lower N"
 *   set_irq_in DEVICE NAME N LEVEL           OK; NAME is unnamed-gpio-in
 *   endianness                               OK little, OK big
 *
 * Numbers are decimal, 0x or 0 octal. Words may be separated by several blanks. Where nothing answers
 * an access, it reads as zeros or is dropped, as it is to a CPU that cannot fault; `ERR ...` is for
 * words that make no sense, `FAIL ...` for what cannot be done here.
 */
#pragma once

#include "bus/bus.h"
#include "devices/device.h"

typedef struct Qtest Qtest;

/* Longest line taken, and the most bytes that one command moves. */
#define QTEST_LINE_MAX ((size_t)64 << 20)
#define QTEST_TRANSFER_MAX ((uint64_t)16 << 20)

/* All borrowed, must outlive the Qtest; copied as a struct. */
typedef struct {
    BusSpace *space;
    BusSpace *ports; /* NULL: a board without I/O ports */
    BusClock *clock; /* clock_step and clock_set need a manual one */
    bool big_endian; /* the guest's CPUs are */
    /* The device that a user's word names, or NULL. In qtest_feed. */
    Device *(*device)(void *opaque, const char *name);
    /* Sends a line, with its newline. In qtest_feed, and for IRQ lines on the thread that drives the
       line, with device locks held; never from two threads at once. */
    void (*send)(void *opaque, const char *line, size_t len);
    /* Each line as it comes and goes, without newline, like send. NULL: nobody looks. */
    void (*log)(void *opaque, bool received, const char *line);
    void *opaque;
} QtestEnv;

Qtest *qtest_new(const QtestEnv *env);
/* The devices it has intercepted must still be there, and nothing may drive their lines any more,
   or they are gone. NULL is fine. */
void qtest_free(Qtest *qtest);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Qtest, qtest_free)

/* Takes input of any length and answers each line that is complete. One thread at a time. */
void qtest_feed(Qtest *qtest, const void *buf, size_t len);
/* The peer has gone: half a line is forgotten, and interrupts are no longer told. */
void qtest_close(Qtest *qtest);
