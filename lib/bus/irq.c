/* SPDX-License-Identifier: MIT */
/* The wired OR of interrupt lines. A plain line needs no code: see BusIrq. */
#include "bus/bus.h"

#include "base/bits.h"

#include <pthread.h>

struct BusIrqOr {
    BusIrq out;
    pthread_mutex_t lock; /* keeps the output in the order of the inputs' changes */
    uint64_t inputs;
};

BusIrqOr *bus_irq_or_new(BusIrq out)
{
    BusIrqOr *gate = g_new0(BusIrqOr, 1);
    gate->out = out;
    pthread_mutex_init(&gate->lock, NULL);
    return gate;
}

void bus_irq_or_free(BusIrqOr *gate)
{
    if (!gate)
        return;
    pthread_mutex_destroy(&gate->lock);
    g_free(gate);
}

static void irq_or_set(void *opaque, int n, bool level)
{
    BusIrqOr *gate = opaque;
    if (n < 0 || n > 63)
        return;
    pthread_mutex_lock(&gate->lock);
    bool before = gate->inputs != 0;
    gate->inputs = bits_set(gate->inputs, (unsigned)n, 1, level);
    if (before != (gate->inputs != 0))
        bus_irq_set(gate->out, !before);
    pthread_mutex_unlock(&gate->lock);
}

BusIrq bus_irq_or_input(BusIrqOr *gate, int n)
{
    return (BusIrq){irq_or_set, gate, n};
}
