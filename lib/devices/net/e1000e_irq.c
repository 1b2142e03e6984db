/* SPDX-License-Identifier: MIT */
/*
 * Interrupts [7.4, 10.2.4]: causes that are set and masked drive the pin, or with MSI-X the vectors
 * that IVAR names for the two receive and two transmit queues and for all others. A message clears its
 * cause when EIAC says so, and with EIAME masks it too. Throttling (ITR, EITR) is taken and not
 * done: a guest that is busy masks interrupts itself.
 */
#include "devices/net/e1000e_priv.h"

enum { FIRST = 20, IVAR_VALID = 8 };
enum { OTHERS = INT_LSC | INT_RXO | INT_MDAC | INT_SRPD | INT_ACK | INT_MNG };

static uint32_t pending(const E1000e *n)
{
    return e1000e_get(n, R_ICR) & e1000e_get(n, R_IMS);
}

static void fire(E1000e *n, unsigned cause)
{
    uint32_t entry = e1000e_get(n, R_IVAR) >> 4 * cause, bit = B(FIRST + cause);
    if (!(entry & IVAR_VALID) || (entry & 7) >= E1000E_VECTORS)
        return;
    if (e1000e_get(n, R_EIAC) & bit) {
        uint32_t ext = e1000e_get(n, R_CTRL_EXT);
        *e1000e_reg(n, R_ICR) &= ~bit;
        if (ext & CTRL_EXT_EIAME && !(ext & CTRL_EXT_IAME))
            *e1000e_reg(n, R_IMS) &= ~bit;
        n->irq_seen &= ~bit;
    }
    pci_msix_send(&n->pci.fn, entry & 7);
}

void e1000e_irq_update(E1000e *n)
{
    bool msix = pci_msix_on(&n->pci.fn);
    pci_intx(&n->pci.fn, !msix && pending(n));
    uint32_t fresh = msix ? pending(n) & ~n->irq_seen : 0;
    n->irq_seen = pending(n);
    for (unsigned i = 0; i < E1000E_VECTORS; i++)
        if (fresh >> (FIRST + i) & 1)
            fire(n, i);
}

void e1000e_cause(E1000e *n, uint32_t causes)
{
    *e1000e_reg(n, R_ICR) |= (causes & INT_ALL) | (causes & OTHERS ? INT_OTHER : 0);
    e1000e_irq_update(n);
}

/* Reading or writing ICR masks what IAM names. */
static void auto_mask(E1000e *n)
{
    if (e1000e_get(n, R_CTRL_EXT) & CTRL_EXT_IAME)
        *e1000e_reg(n, R_IMS) &= ~e1000e_get(n, R_IAM);
}

uint32_t e1000e_icr_read(E1000e *n)
{
    bool asserted = pending(n);
    uint32_t value = e1000e_get(n, R_ICR) | (asserted ? INT_ASSERTED : 0);
    if (asserted)
        auto_mask(n);
    if (asserted || !e1000e_get(n, R_IMS))
        *e1000e_reg(n, R_ICR) = 0;
    e1000e_irq_update(n);
    return value;
}

void e1000e_icr_write(E1000e *n, uint32_t value)
{
    if (pending(n))
        auto_mask(n);
    *e1000e_reg(n, R_ICR) &= ~value;
    e1000e_irq_update(n);
}
