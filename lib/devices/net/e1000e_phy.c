/* SPDX-License-Identifier: MIT */
/*
 * The link: the PHY behind MDIC (IEEE 802.3 clause 22 and 40, and those of the vendor's registers that
 * drivers read), whose partner offers everything up to 1000 Mbit/s and is gone when the back end's
 * link is down; and the NVM behind EERD and EEWR [6.1]. Negotiation takes no time. Left out: the
 * PHY's other pages, bit-banging the NVM.
 */
#include "devices/net/e1000e_priv.h"

#include "base/bytes.h"

#include <string.h>

enum {
    BMCR = 0, BMSR = 1, ID1 = 2, ID2 = 3, ADVERTISE = 4, PARTNER = 5, EXPANSION = 6,
    GB_CONTROL = 9, GB_STATUS = 10, EXT_STATUS = 15, SPEC_CONTROL = 16, SPEC_STATUS = 17, PAGE = 22,
};
enum {
    BMCR_SPEED_1000 = 1 << 6, BMCR_FULL = 1 << 8, BMCR_RESTART = 1 << 9, BMCR_DOWN = 1 << 11,
    BMCR_NEGOTIATE = 1 << 12, BMCR_SPEED_100 = 1 << 13, BMCR_LOOP = 1 << 14, BMCR_RESET = 1 << 15,
};
enum { BMSR_LINK = 1 << 2, BMSR_DONE = 1 << 5, PHY_ADDRESS = 1 };
enum {
    MDIC_WRITE = 1 << 26, MDIC_READ = 1 << 27, MDIC_READY = 1 << 28, MDIC_INT = 1 << 29,
    MDIC_ERROR = 1 << 30,
};

/* ---- The PHY ------------------------------------------------------------------------- */

bool e1000e_loopback(const E1000e *n)
{
    return e1000e_get(n, R_RCTL) & RCTL_LBM || n->phy[BMCR] & BMCR_LOOP;
}

static bool cable(const E1000e *n)
{
    return !n->backend || net_link(n->backend);
}

static bool phy_link(const E1000e *n)
{
    return !(n->phy[BMCR] & BMCR_DOWN) && (cable(n) || n->phy[BMCR] & BMCR_LOOP);
}

/* 0, 1, 2: 10, 100, 1000 Mbit/s. */
static unsigned speed_of(const E1000e *n, bool *full)
{
    uint16_t control = n->phy[BMCR], adv = n->phy[ADVERTISE], gb = n->phy[GB_CONTROL];
    *full = true;
    if (!(control & BMCR_NEGOTIATE)) {
        *full = control & BMCR_FULL;
        return control & BMCR_SPEED_1000 ? 2 : control & BMCR_SPEED_100 ? 1 : 0;
    }
    if (gb & 0x300) {
        *full = gb & 0x200;
        return 2;
    }
    if (adv & 0x180) {
        *full = adv & 0x100;
        return 1;
    }
    *full = adv & 0x40;
    return 0;
}

void e1000e_phy_reset(E1000e *n)
{
    memset(n->phy, 0, sizeof n->phy);
    n->phy[BMCR] = BMCR_NEGOTIATE | BMCR_FULL | BMCR_SPEED_1000;
    n->phy[ID1] = 0x0141;
    n->phy[ID2] = 0x0cb1;
    n->phy[ADVERTISE] = 0x0de1;
    n->phy[GB_CONTROL] = 0x0300;
    n->phy[EXT_STATUS] = 0x3000;
    n->phy[SPEC_CONTROL] = 0x0060;
    e1000e_link_update(n);
}

static uint16_t spec_status(const E1000e *n)
{
    bool full;
    unsigned speed = speed_of(n, &full);
    return phy_link(n) ? (uint16_t)(speed << 14 | (full ? 1u << 13 : 0) | 1u << 11 | 1u << 10 |
                                    1u << 6)
                       : 0;
}

static uint16_t phy_read(E1000e *n, unsigned reg)
{
    bool link = phy_link(n), done = link && n->phy[BMCR] & BMCR_NEGOTIATE;
    switch (reg) {
    case BMSR: {
        bool shown = link && !n->link_lost; /* a loss is seen once */
        n->link_lost = 0;
        return (uint16_t)(0x7949 | (shown ? BMSR_LINK : 0) | (done ? BMSR_DONE : 0));
    }
    case PARTNER: return done ? 0x41e1 : 0; /* no pause frames */
    case EXPANSION: return done ? 0x000f : 0x0004;
    case GB_STATUS: return done ? 0x3c00 : 0;
    case SPEC_STATUS: return spec_status(n);
    default: return n->phy[reg];
    }
}

static void phy_write(E1000e *n, unsigned reg, uint16_t value)
{
    static const uint32_t kept = B(BMCR) | B(ADVERTISE) | B(7) | B(GB_CONTROL) | B(SPEC_CONTROL) |
                                 B(18) | B(20) | B(PAGE) | B(24) | B(25) | B(26) | B(27) | B(28) |
                                 B(29) | B(30);
    if (!(kept >> reg & 1))
        return;
    if (reg == BMCR && value & BMCR_RESET) {
        /* what is advertised stays */
        uint16_t adv = n->phy[ADVERTISE], gb = n->phy[GB_CONTROL];
        e1000e_phy_reset(n);
        n->phy[ADVERTISE] = adv;
        n->phy[GB_CONTROL] = gb;
        value &= (uint16_t)~BMCR_RESET;
    }
    n->phy[reg] = reg == BMCR ? (uint16_t)(value & ~BMCR_RESTART) : value;
    if (reg == BMCR)
        e1000e_link_update(n);
}

void e1000e_mdic(E1000e *n, uint32_t value)
{
    unsigned reg = value >> 16 & 31;
    bool other_page = reg >= 16 && reg != PAGE && n->phy[PAGE];
    value &= ~(uint32_t)(MDIC_READY | MDIC_ERROR);
    if ((value >> 21 & 31) != PHY_ADDRESS) {
        value |= MDIC_ERROR | 0xffff;
    } else if (value & MDIC_WRITE) {
        if (!other_page)
            phy_write(n, reg, (uint16_t)value);
    } else if (value & MDIC_READ) {
        value = (value & 0xffff0000u) | (other_page ? 0 : phy_read(n, reg));
    }
    *e1000e_reg(n, R_MDIC) = value | MDIC_READY;
    if (value & MDIC_INT)
        e1000e_cause(n, INT_MDAC);
}

/* ---- The link as the MAC has it ---------------------------------------------------------- */

uint32_t e1000e_status(const E1000e *n)
{
    uint32_t ctrl = e1000e_get(n, R_CTRL);
    bool full;
    unsigned speed = speed_of(n, &full);
    if (ctrl & CTRL_FRCSPD)
        speed = ctrl >> 8 & 3;
    if (ctrl & CTRL_FRCDPX)
        full = ctrl & CTRL_FD;
    return (e1000e_get(n, R_STATUS) & (STATUS_LU | STATUS_PHYRA)) | (full ? STATUS_FD : 0) |
           speed << 6 | speed << 8 | (ctrl & CTRL_NO_MASTER ? 0 : STATUS_MASTER);
}

void e1000e_link_update(E1000e *n)
{
    uint32_t *status = e1000e_reg(n, R_STATUS), before = *status;
    bool phy = phy_link(n), up = phy && e1000e_get(n, R_CTRL) & CTRL_SLU;
    n->link_lost |= !phy;
    *status = (before & ~(uint32_t)STATUS_LU) | (up ? STATUS_LU : 0);
    if (*status != before)
        e1000e_cause(n, INT_LSC);
}

/* ---- The NVM -------------------------------------------------------------------------------- */

enum { NVM_CHECKED = 0x40, NVM_SUM = 0xbaba, EE_START = 1, EE_DONE = 2 };

static void nvm_checksum(E1000e *n)
{
    uint16_t sum = 0;
    for (unsigned i = 0; i < NVM_CHECKED - 1; i++)
        sum = (uint16_t)(sum + n->nvm[i]);
    n->nvm[NVM_CHECKED - 1] = (uint16_t)(NVM_SUM - sum);
}

void e1000e_nvm_init(E1000e *n)
{
    static const struct {
        uint8_t at;
        uint16_t value;
    } words[] = {
        {0x03, 0x0420}, {0x04, 0xf746}, {0x05, 0x2010}, {0x08, 0x0000}, {0x09, 0x0000},
        {0x0a, 0x0048}, /* the ids that follow are to be loaded */
        {0x0b, 0x0000}, {0x0c, 0x8086}, {0x0d, 0x10d3}, {0x0e, 0x0000}, {0x0f, 0x8058},
        {0x10, 0x0000}, {0x11, 0x2001}, {0x12, 0x7e7c}, {0x18, 0x094e}, {0x23, 0x8000}, /* the checksum is right */
        {0x24, 0x0000}, {0x37, 0xffff}, /* no second address */
    };
    memset(n->nvm, 0xff, sizeof n->nvm);
    memset(n->nvm, 0, NVM_CHECKED * sizeof n->nvm[0]);
    for (size_t i = 0; i < G_N_ELEMENTS(words); i++)
        n->nvm[words[i].at] = words[i].value;
    for (unsigned i = 0; i < 3; i++)
        n->nvm[i] = ld_le16(n->mac + 2 * i);
    nvm_checksum(n);
}

void e1000e_nvm_load(E1000e *n)
{
    *e1000e_reg(n, R_RAL) = n->nvm[0] | (uint32_t)n->nvm[1] << 16;
    *e1000e_reg(n, R_RAL + 4) = n->nvm[2] | B(31);
    bool phy = phy_link(n);
    *e1000e_reg(n, R_STATUS) |= phy && e1000e_get(n, R_CTRL) & CTRL_SLU ? STATUS_LU : 0;
}

void e1000e_eerd(E1000e *n, uint32_t value)
{
    uint32_t at = value >> 2 & 0x3fff;
    if (!(value & EE_START))
        return;
    uint32_t word = at < E1000E_NVM_WORDS ? n->nvm[at] : UINT16_MAX;
    *e1000e_reg(n, R_EERD) = word << 16 | at << 2 | EE_DONE;
}

void e1000e_eewr(E1000e *n, uint32_t value)
{
    uint32_t at = value >> 2 & 0x3fff;
    if (value & EE_START && at < E1000E_NVM_WORDS)
        n->nvm[at] = (uint16_t)(value >> 16);
    *e1000e_reg(n, R_EEWR) = (value & ~(uint32_t)EE_START) | EE_DONE;
}
