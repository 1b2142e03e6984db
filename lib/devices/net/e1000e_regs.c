/* SPDX-License-Identifier: MIT */
/*
 * Registers [10]: which there are, what they are after a reset, which bits stay, and what reading and
 * writing them does. What is not in the table reads as 0 and ignores writes. The older addresses
 * that the data sheet calls aliases lead to the same registers.
 */
#include "devices/net/e1000e_priv.h"

#include <string.h>

#define ALL UINT32_MAX

/* From first to last; those of the same kind. */
static const struct {
    uint16_t first, last;
    uint32_t writable, reset;
} table[] = {
    {R_CTRL, R_CTRL, 0xf8d01be5, 0x00100241},
    {R_CTRL_EXT, R_CTRL_EXT, 0xfdfeffff & ~(uint32_t)CTRL_EXT_EE_RST, 0},
    {0x28, 0x2c, ALL, 0}, /* flow control */
    {0x30, 0x30, 0xffff, 0},
    {R_VET, R_VET, 0xffff, 0x8100},
    {R_ITR, R_ITR, 0xffff, 0},
    {R_EIAC, R_EIAC, 0x01f00000, 0},
    {R_IAM, R_IAM, ALL, 0},
    {R_IVAR, R_IVAR, 0x800fffff, 0},
    {R_EITR, R_EITR + 16, 0xffff, 0},
    {R_RCTL, R_RCTL, 0x7edff7fe, 0},
    {0x170, 0x170, 0xffff, 0},
    {R_TCTL, R_TCTL, ALL, 0x3003f0f8},
    {0x410, 0x410, 0x3fffffff, 0x00602006},
    {0x458, 0x458, 0xffff, 0},
    {0xe00, 0xe00, ALL, 0x07061302},
    {0xf00, 0xf00, 0x0fff0021, 0},
    {0xf08, 0xf10, ALL, 0},
    {R_PBA, R_PBA, 0x003f003f, 0x00140014},
    {0x1008, 0x100c, 0xffff, 0},
    {R_EEMNGCTL, R_EEMNGCTL, 0x000c0000, 0x80040000},
    {0x2008, 0x2008, 0xffff, 0},
    {0x2160, 0x2160, 0x8000fff8, 0},
    {0x2168, 0x2168, 0xfff8, 0},
    {R_PSRCTL, R_PSRCTL, 0x3f3f3f7f, 0x00040402},
    {R_RX, R_RX, 0xfffffff0, 0},
    {R_RX + R_NEXT_RING, R_RX + R_NEXT_RING, 0xfffffff0, 0},
    {R_RX + RING_HIGH, R_RX + RING_HIGH, ALL, 0},
    {R_RX + 0x104, R_RX + 0x104, ALL, 0},
    {R_RX + RING_LEN, R_RX + RING_LEN, 0x000fff80, 0},
    {R_RX + 0x108, R_RX + 0x108, 0x000fff80, 0},
    {R_RX + RING_HEAD, R_RX + RING_HEAD, 0xffff, 0},
    {R_RX + 0x110, R_RX + 0x110, 0xffff, 0},
    {R_RX + RING_TAIL, R_RX + RING_TAIL, 0xffff, 0},
    {R_RX + 0x118, R_RX + 0x118, 0xffff, 0},
    {R_RX + RING_DELAY, R_RX + RING_DELAY, 0xffff, 0},
    {R_RX + 0x120, R_RX + 0x120, 0xffff, 0},
    {R_RX + RING_DCTL, R_RX + RING_DCTL, 0x013f3f3f, 0x00010000},
    {R_RX + 0x128, R_RX + 0x128, 0x013f3f3f, 0x00010000},
    {R_RX + RING_ABS, R_RX + RING_ABS, 0xffff, 0},
    {R_RX + 0x12c, R_RX + 0x12c, 0xffff, 0},
    {R_RSRPD, R_RSRPD, 0xfff, 0},
    {0x2c08, 0x2c08, 0xffff, 0},
    {R_TX, R_TX, 0xfffffff0, 0},
    {R_TX + R_NEXT_RING, R_TX + R_NEXT_RING, 0xfffffff0, 0},
    {R_TX + RING_HIGH, R_TX + RING_HIGH, ALL, 0},
    {R_TX + 0x104, R_TX + 0x104, ALL, 0},
    {R_TX + RING_LEN, R_TX + RING_LEN, 0x000fff80, 0},
    {R_TX + 0x108, R_TX + 0x108, 0x000fff80, 0},
    {R_TX + RING_HEAD, R_TX + RING_HEAD, 0xffff, 0},
    {R_TX + 0x110, R_TX + 0x110, 0xffff, 0},
    {R_TX + RING_TAIL, R_TX + RING_TAIL, 0xffff, 0},
    {R_TX + 0x118, R_TX + 0x118, 0xffff, 0},
    {R_TX + RING_DELAY, R_TX + RING_DELAY, 0xffff, 0},
    {R_TX + 0x120, R_TX + 0x120, 0xffff, 0},
    {R_TX + RING_DCTL, R_TX + RING_DCTL, ALL, 0x00400000},
    {R_TX + 0x128, R_TX + 0x128, ALL, 0x00400000},
    {R_TX + RING_ABS, R_TX + RING_ABS, 0xffff, 0},
    {R_TX + 0x12c, R_TX + 0x12c, 0xffff, 0},
    {R_TX + RING_TARC, R_TX + RING_TARC, ALL, 0x00000403},
    {R_TX + 0x140, R_TX + 0x140, ALL, 0x00000403},
    {R_RXCSUM, R_RXCSUM, 0x33ff, 0x300},
    {R_RFCTL, R_RFCTL, 0x0003ffff, 0},
    {R_MTA, R_MTA + 0x1fc, ALL, 0},
    {R_RAL, R_RAL + 0x7c, ALL, 0},
    {R_VFTA, R_VFTA + 0x1fc, ALL, 0},
    {0x5800, 0x5800, 0x1f, 0}, /* waking up: kept, and nothing wakes */
    {0x5808, 0x5808, ALL, 0},
    {R_MRQC, R_MRQC, 0x003f0003, 0},
    {0x5820, 0x5820, ALL, 0},
    {0x5838, 0x5838, ALL, 0},
    {0x5840, 0x5858, ALL, 0},
    {0x5880, 0x588c, ALL, 0},
    {0x5b00, 0x5b2c, ALL, 0},
    {R_SWSM, R_SWSM, 0x0b, 0},
    {0x5b58, 0x5b58, ALL, 0},
    {0x5b64, 0x5b64, ALL, 0},
    {R_RETA, R_RETA + 0x7c, ALL, 0},
    {R_RSSRK, R_RSSRK + 0x24, ALL, 0},
    {R_TIMINCA, R_TIMINCA, ALL, 0},
    {R_TSYNCTXCTL, R_TSYNCTXCTL, 0x10, 0},
    {R_TSYNCRXCTL, R_TSYNCRXCTL, 0x1e, 0},
    {0xb634, 0xb638, ALL, 0},
};

/* The same register by its older address. */
static uint32_t unalias(uint32_t offset)
{
    static const struct {
        uint16_t from, to;
    } aliases[] = {
        {0x04, R_CTRL}, {0x108, 0x2820}, {0x110, 0x2800}, {0x114, 0x2804}, {0x118, 0x2808},
        {0x120, 0x2810}, {0x128, 0x2818}, {0x420, 0x3800}, {0x424, 0x3804}, {0x428, 0x3808},
        {0x430, 0x3810}, {0x438, 0x3818}, {0x440, 0x3820},
    };
    if (offset >= 0x40 && offset < 0xc0)
        return R_RAL + (offset - 0x40);
    if (offset >= 0x200 && offset < 0x400)
        return R_MTA + (offset - 0x200);
    if (offset >= 0x600 && offset < 0x800)
        return R_VFTA + (offset - 0x600);
    for (size_t i = 0; i < G_N_ELEMENTS(aliases); i++)
        if (aliases[i].from == offset)
            return aliases[i].to;
    return offset;
}

static uint32_t writable(uint32_t offset)
{
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++)
        if (offset >= table[i].first && offset <= table[i].last)
            return table[i].writable;
    return 0;
}

/* ---- Statistics -------------------------------------------------------------------------- */

void e1000e_count(E1000e *n, unsigned offset, uint32_t more)
{
    uint32_t *reg = e1000e_reg(n, offset);
    *reg = more > UINT32_MAX - *reg ? UINT32_MAX : *reg + more;
}

void e1000e_count_wide(E1000e *n, unsigned offset, uint32_t more)
{
    uint32_t *reg = e1000e_reg(n, offset);
    uint64_t sum = (reg[0] | (uint64_t)reg[1] << 32) + more;
    reg[0] = (uint32_t)sum;
    reg[1] = (uint32_t)(sum >> 32);
}

void e1000e_count_size(E1000e *n, unsigned first, size_t length)
{
    static const uint16_t limits[] = {64, 127, 255, 511, 1023};
    unsigned i = 0;
    while (i < G_N_ELEMENTS(limits) && length > limits[i])
        i++;
    e1000e_count(n, first + 4 * i, 1);
}

/* They start anew when read; the wide ones when their high half is. */
static uint32_t statistics_read(E1000e *n, uint32_t offset)
{
    uint32_t *reg = e1000e_reg(n, offset), value = *reg;
    switch (offset) {
    case S_GORC:
    case S_GOTC:
    case S_TOR:
    case S_TOT: return value;
    case S_GORC + 4:
    case S_GOTC + 4:
    case S_TOR + 4:
    case S_TOT + 4: reg[-1] = 0; break;
    default: break;
    }
    *reg = 0;
    return value;
}

/* ---- Time [10.2.9] ------------------------------------------------------------------------- */

/* It is counted in steps of 40 ns. */
uint64_t e1000e_time(const E1000e *n)
{
    uint32_t inca = e1000e_get(n, R_TIMINCA), period = inca >> 24;
    if (!period)
        return n->time_base;
    uint64_t ticks = (uint64_t)(bus_clock_now(n->dev.env.clock) - n->time_at) / 40;
    return n->time_base + ticks / period * (inca & 0xffffff);
}

static void time_set(E1000e *n, uint64_t time)
{
    n->time_base = time;
    n->time_at = bus_clock_now(n->dev.env.clock);
}

static void time_write(E1000e *n, uint32_t offset, uint32_t value)
{
    uint64_t now = e1000e_time(n);
    switch (offset) {
    case R_SYSTIML: time_set(n, (now & ~(uint64_t)UINT32_MAX) | value); break;
    case R_SYSTIMH: time_set(n, (now & UINT32_MAX) | (uint64_t)value << 32); break;
    case R_TIMADJL: *e1000e_reg(n, offset) = value; break;
    default: { /* TIMADJH: its top bit says that it is to be taken away */
        uint64_t by = e1000e_get(n, R_TIMADJL) | (uint64_t)(value & INT32_MAX) << 32;
        time_set(n, value >> 31 ? now - by : now + by);
    }
    }
}

static uint32_t time_read(E1000e *n, uint32_t offset)
{
    switch (offset) {
    case R_SYSTIML: n->time_read = e1000e_time(n); return (uint32_t)n->time_read;
    case R_SYSTIMH: return (uint32_t)(n->time_read >> 32);
    case R_TXSTMPL: return (uint32_t)n->time_stamp_tx;
    default:
        *e1000e_reg(n, R_TSYNCTXCTL) &= ~1u;
        return (uint32_t)(n->time_stamp_tx >> 32);
    }
}

/* ---- Reading ------------------------------------------------------------------------------- */

static uint32_t read_locked(E1000e *n, uint32_t offset)
{
    uint32_t value = e1000e_get(n, offset);
    if (offset >= R_STATS && offset < R_STATS_END)
        return statistics_read(n, offset);
    switch (offset) {
    case R_STATUS: return e1000e_status(n);
    case R_ICR: return e1000e_icr_read(n);
    case R_SWSM: *e1000e_reg(n, offset) |= 1; return value; /* a semaphore */
    case R_SYSTIML:
    case R_SYSTIMH:
    case R_TXSTMPL:
    case R_TXSTMPH: return time_read(n, offset);
    default: return value;
    }
}

uint32_t e1000e_read(E1000e *n, uint32_t offset)
{
    offset = unalias(offset & ~3u);
    if (offset >= E1000E_REGS)
        return 0;
    e1000e_lock(n);
    uint32_t value = read_locked(n, offset);
    e1000e_unlock(n);
    return value;
}

/* ---- Writing ----------------------------------------------------------------------------------- */

static void ctrl_write(E1000e *n, uint32_t value)
{
    bool phy_reset = value & ~e1000e_get(n, R_CTRL) & CTRL_PHY_RST;
    *e1000e_reg(n, R_CTRL) = value & writable(R_CTRL);
    if (phy_reset)
        e1000e_phy_reset(n);
    e1000e_link_update(n);
}

/* Registers that do something. False: it is one that only keeps what is written. */
static bool write_special(E1000e *n, uint32_t offset, uint32_t value)
{
    switch (offset) {
    case R_CTRL: ctrl_write(n, value); return true;
    case R_STATUS: *e1000e_reg(n, offset) &= value | ~(uint32_t)STATUS_PHYRA; return true;
    case R_EECD:
        /* Asking for the NVM is getting it; auto-read done, present, its size, and of flash: drivers
           read that by EERD, not bit by bit. */
        *e1000e_reg(n, offset) = (value & 0x7f) | (value & 0x40) << 1 | 0x19300;
        return true;
    case R_EERD: e1000e_eerd(n, value); return true;
    case R_EEWR: e1000e_eewr(n, value); return true;
    case R_MDIC: e1000e_mdic(n, value); return true;
    case R_ICR: e1000e_icr_write(n, value); return true;
    case R_ICS: e1000e_cause(n, value); return true;
    case R_IMS: *e1000e_reg(n, R_IMS) |= value & INT_ALL; break;
    case R_IMC: *e1000e_reg(n, R_IMS) &= ~value; break;
    case R_SYSTIML:
    case R_SYSTIMH:
    case R_TIMADJL:
    case R_TIMADJH: time_write(n, offset, value); return true;
    case R_TIMINCA: time_set(n, e1000e_time(n)); return false;
    default: return false;
    }
    e1000e_irq_update(n);
    return true;
}

static void write_locked(E1000e *n, uint32_t offset, uint32_t value)
{
    if (write_special(n, offset, value))
        return;
    uint32_t *reg = e1000e_reg(n, offset), mask = writable(offset);
    *reg = (*reg & ~mask) | (value & mask);
    switch (offset) {
    case R_RCTL:
    case R_RFCTL:
    case R_RX + RING_LEN:
    case R_RX + RING_HEAD:
    case R_RX + RING_TAIL:
    case R_RX + R_NEXT_RING + RING_TAIL: e1000e_rx_again(n); break;
    case R_TCTL:
    case R_TX + RING_TAIL:
    case R_TX + R_NEXT_RING + RING_TAIL: e1000e_tx_wake(n); break;
    default: break;
    }
}

void e1000e_write(E1000e *n, uint32_t offset, uint32_t value)
{
    offset = unalias(offset & ~3u);
    if (offset >= E1000E_REGS)
        return;
    if ((offset == R_CTRL && value & CTRL_RST) ||
        (offset == R_CTRL_EXT && value & CTRL_EXT_EE_RST)) {
        e1000e_reset(n, false);
        return;
    }
    e1000e_lock(n);
    write_locked(n, offset, value);
    e1000e_unlock(n);
}

void e1000e_regs_loaded(E1000e *n)
{
    for (uint32_t at = 0; at < E1000E_REGS; at += 4)
        if (writable(at))
            *e1000e_reg(n, at) &= writable(at) | (at == R_EEMNGCTL ? ALL : 0);
    *e1000e_reg(n, R_ICR) &= INT_ALL;
    *e1000e_reg(n, R_IMS) &= INT_ALL;
}

/* ---- Reset -------------------------------------------------------------------------------------- */

static void regs_reset(E1000e *n)
{
    memset(n->regs, 0, sizeof n->regs);
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++)
        for (uint32_t at = table[i].first; at <= table[i].last; at += 4)
            *e1000e_reg(n, at) = table[i].reset;
    write_special(n, R_EECD, 0);
    *e1000e_reg(n, R_STATUS) = STATUS_PHYRA;
    memset(n->contexts, 0, sizeof n->contexts);
    n->irq_seen = n->tx_causes = 0;
    n->time_base = n->time_read = n->time_stamp_tx = 0;
    time_set(n, 0);
}

void e1000e_reset(E1000e *n, bool hard)
{
    e1000e_pause(n);
    e1000e_lock(n);
    regs_reset(n);
    e1000e_nvm_load(n);
    if (hard)
        e1000e_phy_reset(n);
    *e1000e_reg(n, R_ICR) = 0; /* the link did not change: it is as it was */
    e1000e_irq_update(n);
    e1000e_rx_again(n);
    e1000e_unlock(n);
    e1000e_resume(n);
}
