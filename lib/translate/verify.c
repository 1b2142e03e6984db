/* SPDX-License-Identifier: MIT */
/*
 * -accel verify: each region runs twice. First the interpreter runs it for real
 * and logs every access to memory and every helper call with what came back.
 * Then the CPU's state is put back and compiled code runs the region, answered
 * from the log. Requests, results, the guest's state and the way out must be the
 * same; the first difference ends the process with a report.
 *
 * Compiled code looks into a TLB that stays empty here (x64_mem.c), its links
 * stay open and the jump table empty, so that each region ends in the dispatcher.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "translate/translate_priv.h"

typedef struct Event {
    uint8_t code; /* IrCode of the access, or IR_CALL */
    uint8_t sub;
    bool fault_pending;
    TranslateFault fault;
    IrMem mem;
    uint64_t address; /* of a helper: its index */
    IrValue in[2], out;
    uint8_t *after;   /* helper: the state it left */
} Event;

/* What of the CPU struct's head belongs to the guest. */
typedef struct Head {
    uint64_t pc, linked_address, linked_value;
    uint32_t linked_valid, mxcsr, fault_pending, tag;
    uint64_t mode;
    TranslateFault fault;
    bool idle;
    uint8_t round, fp_denormal;
} Head;

typedef struct Run {
    uint32_t offset, size;
} Run;

typedef struct TranslateVerify {
    GArray *runs;
    GArray *events;
    guint at;
    unsigned nested;
    bool replay;
    bool differs;
    GString *report;
    uint8_t *before, *after, *compiled;
} TranslateVerify;

/*
 * The state that is saved, restored and compared: the head and the slots that only this thread
 * writes, as runs of bytes. A slot lies in its run at the same distance as in the CPU struct.
 */
static size_t state_size(const TranslateCpu *cpu)
{
    const TranslateVerify *v = cpu->verify;
    size_t n = sizeof(Head);
    for (guint i = 0; i < v->runs->len; i++)
        n += g_array_index(v->runs, Run, i).size;
    return n;
}

static int by_offset(const void *a, const void *b)
{
    const IrSlot *x = *(const IrSlot *const *)a, *y = *(const IrSlot *const *)b;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static void find_runs(TranslateVerify *v, const IrGuest *g)
{
    g_autofree const IrSlot **sorted = g_new(const IrSlot *, g->n_slots);
    unsigned n = 0;
    for (unsigned s = 0; s < g->n_slots; s++)
        if (!g->slots[s].shared)
            sorted[n++] = &g->slots[s];
    qsort(sorted, n, sizeof *sorted, by_offset);
    v->runs = g_array_new(FALSE, FALSE, sizeof(Run));
    for (unsigned i = 0; i < n; i++) {
        uint32_t size = (ir_type_bits(sorted[i]->type) + 7) / 8;
        Run *last = v->runs->len ? &g_array_index(v->runs, Run, v->runs->len - 1) : NULL;
        if (last && last->offset + last->size == sorted[i]->offset)
            last->size += size;
        else
            g_array_append_vals(v->runs, &(Run){sorted[i]->offset, size}, 1);
    }
}

static void save_state(const TranslateCpu *cpu, uint8_t *to)
{
    Head h;
    memset(&h, 0, sizeof h);
    h.pc = cpu->pc;
    h.linked_address = cpu->linked_address;
    h.linked_value = cpu->linked_value;
    h.linked_valid = cpu->linked_valid;
    /* else the host's flag for subnormals is nobody's */
    h.mxcsr = cpu->mxcsr & ~(cpu->fp.denormal_flag ? 0 : 2u);
    h.fault_pending = cpu->fault_pending;
    h.tag = cpu->tag;
    h.mode = cpu->mode;
    if (cpu->fault_pending)
        h.fault = cpu->fault;
    h.idle = cpu->idle;
    h.round = cpu->round;
    h.fp_denormal = cpu->fp_denormal;
    memcpy(to, &h, sizeof h);
    to += sizeof h;
    for (guint i = 0; i < cpu->verify->runs->len; i++) {
        const Run *run = &g_array_index(cpu->verify->runs, Run, i);
        memcpy(to, (const uint8_t *)cpu + run->offset, run->size);
        to += run->size;
    }
}

static void load_state(TranslateCpu *cpu, const uint8_t *from)
{
    Head h;
    memcpy(&h, from, sizeof h);
    cpu->pc = h.pc;
    cpu->linked_address = h.linked_address;
    cpu->linked_value = h.linked_value;
    cpu->linked_valid = h.linked_valid;
    cpu->mxcsr = h.mxcsr;
    cpu->fault_pending = h.fault_pending;
    cpu->tag = h.tag;
    cpu->mode = h.mode;
    cpu->fault = h.fault;
    cpu->idle = h.idle;
    cpu->round = h.round;
    cpu->fp_denormal = h.fp_denormal;
    from += sizeof h;
    for (guint i = 0; i < cpu->verify->runs->len; i++) {
        const Run *run = &g_array_index(cpu->verify->runs, Run, i);
        memcpy((uint8_t *)cpu + run->offset, from, run->size);
        from += run->size;
    }
}

static void free_event(void *p)
{
    g_free(((Event *)p)->after);
}

void verify_start(TranslateCpu *cpu)
{
    TranslateVerify *v = cpu->verify = g_new0(TranslateVerify, 1);
    v->events = g_array_new(FALSE, TRUE, sizeof(Event));
    g_array_set_clear_func(v->events, free_event);
    find_runs(v, &cpu->guest->ir);
    v->compiled = g_malloc0(state_size(cpu));
    v->before = g_malloc0(state_size(cpu));
    v->after = g_malloc0(state_size(cpu));
    v->report = g_string_new(NULL);
}

void verify_free(TranslateCpu *cpu)
{
    TranslateVerify *v = cpu->verify;
    if (!v)
        return;
    g_array_free(v->events, TRUE);
    g_array_free(v->runs, TRUE);
    g_free(v->compiled);
    g_free(v->before);
    g_free(v->after);
    g_string_free(v->report, TRUE);
    g_clear_pointer(&cpu->verify, g_free);
}

static void differ(TranslateVerify *v, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
static void differ(TranslateVerify *v, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    g_string_append_vprintf(v->report, fmt, ap);
    va_end(ap);
    v->differs = true;
}

static const Event *next_event(TranslateVerify *v, unsigned code)
{
    static const Event none;
    if (v->at >= v->events->len) {
        differ(v, "compiled code asks for one more %s\n", ir_code_name(code));
        return &none;
    }
    return &g_array_index(v->events, Event, v->at++);
}

static void take_fault(TranslateCpu *cpu, const Event *ev)
{
    cpu->fault_pending = ev->fault_pending;
    if (ev->fault_pending)
        cpu->fault = ev->fault;
}

bool verify_replay(TranslateCpu *cpu, unsigned code, uint64_t address, IrMem mem, const IrValue *in,
                   IrValue *out)
{
    TranslateVerify *v = cpu->verify;
    static const IrValue zero;
    if (!v->replay || v->nested)
        return false;
    const Event *ev = next_event(v, code);
    if (!in)
        in = &zero;
    if (mem & IR_MEM_ADDR32) /* the halves above may differ: nobody sees them */
        address = (uint32_t)address;
    if (ev->code != code || ev->address != address || ev->mem != mem ||
        memcmp(&ev->in[0], in, sizeof *in))
        differ(v,
               "%s at %#" G_GINT64_MODIFIER "x (mem %#x) of %#" G_GINT64_MODIFIER
               "x; the interpreter: %s at %#" G_GINT64_MODIFIER
               "x (mem %#x) of %#" G_GINT64_MODIFIER "x\n",
               ir_code_name(code), address, mem, in->u, ir_code_name(ev->code), ev->address,
               ev->mem, ev->in[0].u);
    if (out)
        *out = ev->out;
    take_fault(cpu, ev);
    return true;
}

void verify_record(TranslateCpu *cpu, unsigned code, uint64_t address, IrMem mem, const IrValue *in,
                   const IrValue *out)
{
    TranslateVerify *v = cpu->verify;
    if (v->nested)
        return;
    Event ev = {.code = (uint8_t)code,
                .mem = mem,
                .address = mem & IR_MEM_ADDR32 ? (uint32_t)address : address};
    if (in)
        ev.in[0] = *in;
    if (out)
        ev.out = *out;
    ev.fault_pending = cpu->fault_pending;
    ev.fault = cpu->fault;
    g_array_append_val(v->events, ev);
}

/*
 * What a helper that writes no slots left behind. Compiled code keeps its own slots: it may hold in
 * a slot's place what an overwritten PUT would have replaced.
 */
static void load_state_but_slots(TranslateCpu *cpu, const uint8_t *state)
{
    const IrGuest *g = &cpu->guest->ir;
    IrValue kept[IR_MAX_SLOTS];
    for (unsigned s = 0; s < g->n_slots; s++)
        memcpy(&kept[s], guest_field(cpu, g->slots[s].offset),
               (ir_type_bits(g->slots[s].type) + 7) / 8);
    load_state(cpu, state);
    for (unsigned s = 0; s < g->n_slots; s++)
        memcpy(guest_field(cpu, g->slots[s].offset), &kept[s],
               (ir_type_bits(g->slots[s].type) + 7) / 8);
}

void verify_call(TranslateCpu *cpu, const IrOp *op, IrValue *r, VerifyHelper *helper)
{
    TranslateVerify *v = cpu->verify;
    const IrHelper *h = &cpu->guest->ir.helpers[op->imm];
    if (h->flags & IR_HELPER_PURE) { /* may have been dropped from one of the two */
        helper(cpu, op, r);
        return;
    }
    if (v->replay) {
        const Event *ev = next_event(v, IR_CALL);
        if (ev->code != IR_CALL || ev->address != (uint64_t)op->imm) {
            differ(v, "calls %s; the interpreter: %s %" G_GINT64_MODIFIER "u\n", h->name,
                   ir_code_name(ev->code), ev->address);
            return;
        }
        uint64_t pc = cpu->pc;
        if (h->flags & IR_HELPER_WRITES)
            load_state(cpu, ev->after);
        else
            load_state_but_slots(cpu, ev->after);
        cpu->pc = pc;
        take_fault(cpu, ev);
        *r = ev->out;
        return;
    }
    v->nested++;
    helper(cpu, op, r);
    v->nested--;
    Event ev = {.code = IR_CALL,
                .address = (uint64_t)op->imm,
                .out = *r,
                .fault_pending = cpu->fault_pending,
                .fault = cpu->fault,
                .after = g_malloc(state_size(cpu))};
    save_state(cpu, ev.after);
    g_array_append_val(v->events, ev);
}

static const char *way_out(ExitReason reason)
{
    return reason == EXIT_MODE ? "mode" : reason == EXIT_FAULT ? "fault" : "jump";
}

static void compare(TranslateCpu *cpu, const uint8_t *one, const uint8_t *two)
{
    TranslateVerify *v = cpu->verify;
    Head a, b;
    memcpy(&a, one, sizeof a);
    memcpy(&b, two, sizeof b);
    if (a.pc != b.pc)
        differ(v, "pc %#" G_GINT64_MODIFIER "x; the interpreter: %#" G_GINT64_MODIFIER "x\n", b.pc,
               a.pc);
    if (memcmp(&a, &b, sizeof a) && a.pc == b.pc)
        differ(v, "head: mxcsr %#x fault %u:%u; the interpreter: mxcsr %#x fault %u:%u\n", b.mxcsr,
               b.fault_pending, b.fault.exception, a.mxcsr, a.fault_pending, a.fault.exception);
    for (unsigned s = 0; s < cpu->guest->ir.n_slots; s++) {
        const IrSlot *slot = &cpu->guest->ir.slots[s];
        size_t at = sizeof a, n = (ir_type_bits(slot->type) + 7) / 8;
        for (guint i = 0; i < v->runs->len; i++) {
            const Run *run = &g_array_index(v->runs, Run, i);
            uint64_t x = 0, y = 0;
            if (slot->offset >= run->offset && slot->offset < run->offset + run->size) {
                memcpy(&x, one + at + slot->offset - run->offset, n < 8 ? n : 8);
                memcpy(&y, two + at + slot->offset - run->offset, n < 8 ? n : 8);
                if (memcmp(one + at + slot->offset - run->offset,
                           two + at + slot->offset - run->offset, n))
                    differ(v,
                           "%s = %#" G_GINT64_MODIFIER "x; the interpreter: %#" G_GINT64_MODIFIER
                           "x\n",
                           slot->name, y, x);
            }
            at += run->size;
        }
    }
    /* What no slot names is written by helpers, which are replayed, and by page-table walks,
     * which are not. */
}

static ExitReason run_compiled(TranslateCpu *cpu, const Region *r)
{
    Translator *t = cpu->translator;
    __atomic_store_n(&cpu->live_tag, cpu->tag, __ATOMIC_SEQ_CST);
    cpu->pc_base = cpu->pc & ~PAGE_MASK;
    __atomic_store_n(&cpu->in_code, 1, __ATOMIC_SEQ_CST);
    ExitReason reason = t->host->run(cpu, r->entry);
    if (reason == EXIT_FAULT)
        cpu->pc = translate_pc(cpu);
    else if (reason == EXIT_LINK)
        cpu->pc = link_target(cpu, &t->links[cpu->exit_info]);
    __atomic_store_n(&cpu->in_code, 2, __ATOMIC_SEQ_CST);
    return reason == EXIT_RAISE ? EXIT_FAULT : reason == EXIT_LINK ? EXIT_MISS : reason;
}

ExitReason verify_run(TranslateCpu *cpu, Region *r)
{
    TranslateVerify *v = cpu->verify;
    uint64_t start = cpu->pc;
    v->replay = v->differs = false;
    g_array_set_size(v->events, 0);
    save_state(cpu, v->before);
    ExitReason expected = interp_run(cpu, r), got;
    save_state(cpu, v->after);
    if (r->dead) /* it wrote its own code: the compiled form leaves at its entry now */
        return expected;
    v->replay = true;
    v->at = 0;
    g_string_truncate(v->report, 0);
    load_state(cpu, v->before);
    got = run_compiled(cpu, r);
    save_state(cpu, v->compiled);
    if (strcmp(way_out(expected), way_out(got)))
        differ(v, "leaves by %s; the interpreter by %s\n", way_out(got), way_out(expected));
    if (v->at != v->events->len)
        differ(v, "%u of the interpreter's %u requests made\n", v->at, v->events->len);
    if (memcmp(v->after, v->compiled, state_size(cpu)))
        compare(cpu, v->after, v->compiled);
    if (__atomic_load_n(&cpu->kicked, __ATOMIC_SEQ_CST))
        /* a kick makes it leave early, and comes with a change of shared slots */
        v->differs = false;
    v->replay = false;
    load_state(cpu, v->after);
    if (v->differs) {
        g_autoptr(GString) text = g_string_new(NULL);
        IrBuilder b = {.guest = &cpu->guest->ir, .ops = r->ops, .n = r->n_ops};
        ir_print(&b, text);
        fprintf(stderr,
                "verify: region at pc %#" G_GINT64_MODIFIER "x (physical %#" G_GINT64_MODIFIER
                "x): compiled code differs:\n%s%s",
                start, r->phys, v->report->str, text->str);
        fflush(stderr);
        abort();
    }
    return expected;
}
