/* SPDX-License-Identifier: MIT */
/*
 * What children teach (user mode). A child of fork translates what it runs and its parent never did, and
 * so does the next child, and the next, as in a shell's loop. So a child notes on a page that it
 * shares with its parent where it had to translate, and the parent, before it forks again, translates
 * there too: later children find it done. A note is only a place: the code is made from the parent's own
 * memory by the parent's own rules, so a wrong one does no harm.
 */
#include <sys/mman.h>

#include "translate/translate_priv.h"

#define NOTES 510

struct Notes {
    uint32_t count; /* atomic; may pass NOTES */
    struct { uint64_t pc, mode; } at[NOTES];
};

void learn_note(Translator *t, uint64_t pc, uint64_t mode)
{
    struct Notes *n = t->notes_up;
    if (!n || __atomic_load_n(&n->count, __ATOMIC_RELAXED) >= NOTES)
        return;
    uint32_t i = __atomic_fetch_add(&n->count, 1, __ATOMIC_RELAXED);
    if (i >= NOTES)
        return;
    n->at[i].pc = pc;
    n->at[i].mode = mode;
}

static void drop(struct Notes **n)
{
    if (*n)
        munmap(*n, sizeof **n);
    *n = NULL;
}

void learn_child(Translator *t)
{
    drop(&t->notes_up);
    t->notes_up = t->notes_down;
    t->notes_down = NULL;
}

void learn_stop(Translator *t)
{
    drop(&t->notes_up);
    drop(&t->notes_down);
}

void translate_fork_learn(TranslateCpu *cpu)
{
    Translator *t = cpu->translator;
    uint64_t pc = cpu->pc;
    if (!t->host)
        return;
    if (!t->notes_down) {
        void *p = mmap(NULL, sizeof *t->notes_down, PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        t->notes_down = p == MAP_FAILED ? NULL : p; /* without: nothing is learned */
        return;
    }
    uint32_t count = __atomic_exchange_n(&t->notes_down->count, 0, __ATOMIC_RELAXED);
    for (uint32_t i = 0; i < MIN(count, NOTES); i++) {
        if (t->notes_down->at[i].mode != cpu->mode)
            continue;
        cpu->pc = t->notes_down->at[i].pc;
        find_region(cpu, true);
        cpu->fault_pending = 0; /* it is not there in this process */
    }
    cpu->pc = pc;
}
