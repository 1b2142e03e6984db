/* SPDX-License-Identifier: MIT */
/*
 * Faults of the host that are the guest's (user mode): in the instructions of
 * touch.S, and in compiled code. All of this runs in a signal handler, on the
 * thread that was stopped.
 *
 * Compiled code touches guest memory with nothing in between two guest
 * instructions but pinned registers and slots, so it is enough to go on where
 * pinned registers are stored, as every exit does. In a loop with pins of its own
 * those have to change places first.
 */
#include <signal.h>
#include <ucontext.h>

#include "translate/host/touch.h"
#include "translate/host/x64_priv.h"

extern const uint8_t touch_first[], touch_128[], touch_last[], touch_failed[], touch_failed_128[];

uint64_t touch_fixup(uint64_t pc)
{
    if (pc < (uintptr_t)touch_first || pc >= (uintptr_t)touch_last)
        return 0;
    return pc < (uintptr_t)touch_128 ? (uintptr_t)touch_failed : (uintptr_t)touch_failed_128;
}

/* The thread was in compiled code, so it does not hold the lock. */
bool x64_fault(TranslateCpu *cpu, uint64_t pc, uint64_t address, void *ucontext)
{
    Translator *t = cpu->translator;
    const X64Thunks *k = t->host_data;
    greg_t *regs = ((ucontext_t *)ucontext)->uc_mcontext.gregs;
    uint64_t run = (uint64_t)(uintptr_t)t->code.run;

    if (pc - run >= t->code.size)
        return false;
    g_mutex_lock(&t->lock);
    const Region *r = cache_region_at(t, (uint32_t)(pc - run));
    uint32_t swap_out = r ? r->swap_out : 0;
    g_mutex_unlock(&t->lock);
    if (!r)
        return false;
    cpu->fault_host_pc = pc + 1; /* as after a call */
    translate_raise(cpu, TRANSLATE_HOST_FAULT, address);
    if (swap_out) { /* a subroutine: it returns to the exit */
        uint64_t exit = run + k->exit_fault;
        regs[REG_RSP] -= 8;
        memcpy((void *)(uintptr_t)regs[REG_RSP], &exit, sizeof exit);
        regs[REG_RIP] = (greg_t)(run + swap_out);
    } else {
        regs[REG_RIP] = (greg_t)(run + k->exit_fault);
    }
    return true;
}
