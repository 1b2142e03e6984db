/* SPDX-License-Identifier: MIT */
/*
 * Region formation, first tier: a run of instructions within one page, on past
 * conditional branches that are not taken and along unconditional jumps forward
 * in the page, not past calls. An instruction that lies across the page's end is
 * a region by itself, with both pages noted.
 *
 * A region that branches back to its own start is made again as a loop: from its
 * start to the last such branch in the order of addresses, with labels for the
 * jumps forward within. The compiler may give it registers of its own. A loop
 * with a call, or around another loop, stays a run.
 */
#include <string.h>

#include "base/log.h"
#include "translate/translate_priv.h"

#define MAX_INSNS 64
#define OPS_RESERVE 200 /* the most one instruction may need */

#define MAX_LOOP_LABELS 16

typedef struct Former {
    uint32_t in_page;   /* of the region's start */
    int64_t pos;        /* offset of the current instruction */
    unsigned jumps, insns;
    int64_t loop_end;   /* a loop's last instruction; 0: not one, or of one instruction */
    struct { int64_t offset; unsigned label; bool placed; } labels[MAX_LOOP_LABELS];
    unsigned n_labels;
} Former;

static bool may_follow(IrBuilder *b, int64_t offset)
{
    Former *f = b->former;
    int64_t target = f->in_page + offset;
    if (target < 0 || target >= GUEST_PAGE_SIZE || offset <= f->pos)
        return false;
    return f->jumps++ < 4 && f->insns < MAX_INSNS / 2;
}

static void start_form(TranslateCpu *cpu, Region *r, Former *f)
{
    IrBuilder *b = &cpu->translator->builder;
    ir_builder_reset(b);
    b->mode = r->mode;
    b->cpu = cpu;
    b->start = r->phys;
    b->ignore_top = false;
    b->former = f;
    b->may_follow = NULL;
    b->label_of = NULL;
    r->first = (int32_t)r->in_page;
    r->last = (int32_t)r->in_page;
    r->loop = false;
}

/* The instruction at f->pos. False: not all of it is there, or no room for it. */
static bool form_insn(TranslateCpu *cpu, Region *r, Former *f, const uint8_t *start, int64_t limit)
{
    IrBuilder *b = &cpu->translator->builder;
    if (f->pos >= limit || b->n > IR_MAX_OPS - OPS_RESERVE)
        return false;
    b->insn = f->pos;
    b->flow = IR_NEXT;
    if (!cpu->translator->guest->insn(b, start + f->pos, (unsigned)(limit - f->pos)))
        return false;
    f->insns++;
    int32_t end = (int32_t)(r->in_page + f->pos + b->length);
    if (end > r->last)
        r->last = end;
    return true;
}

/* Builds the IR from start[0..available). False: not one whole instruction there. */
static bool form(TranslateCpu *cpu, Region *r, const uint8_t *start, unsigned available,
                 unsigned max)
{
    IrBuilder *b = &cpu->translator->builder;
    Former f = {.in_page = r->in_page};

    start_form(cpu, r, &f);
    b->may_follow = may_follow;
    for (;;) {
        if (f.insns >= max || !form_insn(cpu, r, &f, start, available))
            break;
        if (b->flow == IR_ENDED)
            return true;
        f.pos = b->flow == IR_JUMPED ? b->jump : f.pos + b->length;
        if (r->in_page + f.pos >= GUEST_PAGE_SIZE)
            break;
    }
    if (!f.insns)
        return false;
    ir_append(b, (IrOp){.code = IR_EXIT, .imm = f.pos});
    return true;
}

/* The last instruction of the region in the builder that branches to its start; negative when it
 * is no plain loop. */
static int64_t find_loop_end(const IrBuilder *b)
{
    int64_t insn = 0, end = -1, inner = INT64_MAX;
    for (IrRef i = 1; i < b->n; i++) {
        const IrOp *op = &b->ops[i];
        if (op->code == IR_INSN)
            insn = op->imm;
        else if (op->code != IR_EXIT && op->code != IR_EXIT_IF)
            continue;
        else if (op->imm == 0)
            end = insn;
        else if (op->imm > 0 && op->imm <= insn)
            inner = MIN(inner, insn);
    }
    return inner < end ? -1 : end; /* one behind the end is another matter */
}

static bool label_of(IrBuilder *b, int64_t offset, unsigned *label)
{
    Former *f = b->former;
    if (offset <= f->pos || offset > f->loop_end)
        return false;
    for (unsigned i = 0; i < f->n_labels; i++)
        if (f->labels[i].offset == offset) {
            *label = f->labels[i].label;
            return true;
        }
    if (f->n_labels == MAX_LOOP_LABELS)
        return false;
    *label = ir_label_new(b);
    f->labels[f->n_labels].offset = offset;
    f->labels[f->n_labels++].label = *label;
    return true;
}

static void place_label(IrBuilder *b, Former *f)
{
    for (unsigned i = 0; i < f->n_labels; i++)
        if (f->labels[i].offset == f->pos) {
            ir_label(b, f->labels[i].label);
            f->labels[i].placed = true;
        }
}

/* The next label from `pos` on, where code goes on behind a jump; negative: none. */
static int64_t next_label(const Former *f, int64_t pos)
{
    int64_t next = -1;
    for (unsigned i = 0; i < f->n_labels; i++)
        if (f->labels[i].offset >= pos && (next < 0 || f->labels[i].offset < next))
            next = f->labels[i].offset;
    return next;
}

/* Builds the IR of a loop whose last instruction is at `end`. False: it cannot be made as one. */
static bool form_loop(TranslateCpu *cpu, Region *r, const uint8_t *start, unsigned available,
                      int64_t end)
{
    IrBuilder *b = &cpu->translator->builder;
    Former f = {.in_page = r->in_page, .loop_end = end};
    bool ended = false;

    start_form(cpu, r, &f);
    b->label_of = label_of;
    while (f.pos <= end) {
        place_label(b, &f);
        if (f.insns >= MAX_INSNS || !form_insn(cpu, r, &f, start, available))
            return false;
        f.pos += b->length;
        ended = b->flow == IR_ENDED;
        if (ended && f.pos <= end) {
            f.pos = next_label(&f, f.pos);
            if (f.pos < 0)
                return false;
        }
    }
    for (unsigned i = 0; i < f.n_labels; i++)
        if (!f.labels[i].placed)
            return false; /* into the middle of an instruction */
    if (r->in_page + f.pos > GUEST_PAGE_SIZE)
        return false;
    if (!ended)
        ir_append(b, (IrOp){.code = IR_EXIT, .imm = f.pos});
    r->loop = true;
    return true;
}

/* As a loop where it is one, else as a run. */
static bool form_best(TranslateCpu *cpu, Region *r, const uint8_t *start, unsigned available)
{
    const Translator *t = cpu->translator;
    if (!form(cpu, r, start, available, MAX_INSNS))
        return false;
    int64_t end = t->host ? find_loop_end(&t->builder) : -1;
    if (end < 0 || form_loop(cpu, r, start, available, end))
        return true;
    return form(cpu, r, start, available, MAX_INSNS);
}

/* -d in_asm: the guest's bytes, since there is no disassembler here: pipe them to one. */
static void log_guest(TranslateCpu *cpu, const Region *r, const uint8_t *bytes)
{
    g_autoptr(GString) s = g_string_new(NULL);
    const IrBuilder *b = &cpu->translator->builder;
    g_string_append_printf(s,
                           "IN: pc %#" G_GINT64_MODIFIER "x physical %#" G_GINT64_MODIFIER
                           "x mode %#" G_GINT64_MODIFIER "x\n",
                           cpu->pc, r->phys, r->mode);
    for (IrRef i = 1; i < b->n; i++) {
        const IrOp *op = &b->ops[i];
        if (op->code != IR_INSN)
            continue;
        g_string_append_printf(s, "%#" G_GINT64_MODIFIER "x:  ", cpu->pc + (uint64_t)op->imm);
        for (unsigned n = op->sub; n-- > 0;)
            g_string_append_printf(s, "%02x", bytes[op->imm + n]);
        g_string_append_c(s, '\n');
    }
    log_text(LOG_IN_ASM, s->str);
}

static void log_ir(const IrBuilder *b, uint32_t mask, const char *title, const IrLive *live)
{
    g_autoptr(GString) s = g_string_new(title);
    IrBuilder copy = *b;
    g_autofree IrOp *ops = g_memdup2(b->ops, b->n * sizeof *b->ops);
    copy.ops = ops;
    for (IrRef i = 1; live && i < b->n; i++)
        if (live->dead[i])
            ops[i].code = IR_NOP;
    ir_print(&copy, s);
    log_text(mask, s->str);
}

static void log_host(const Translator *t, const Region *r)
{
    g_autoptr(GString) s = g_string_new(NULL);
    g_string_append_printf(s, "OUT: %u bytes at %p for physical %#" G_GINT64_MODIFIER "x\n",
                           r->size, (void *)(t->code.run + r->entry), r->phys);
    for (uint32_t i = 0; i < r->size; i++)
        g_string_append_printf(s, "%02x%s", t->code.write[r->entry + i], i % 32 == 31 ? "\n" : " ");
    g_string_append_c(s, '\n');
    log_text(LOG_OUT_ASM, s->str);
}

static void free_region(Region *r)
{
    g_free(r->ops);
    g_free(r->points);
    g_free(r);
}

#define FLAGS_REACH 24 /* instructions looked at, in all */

typedef struct Look {
    const Translator *t;
    const Region *r;
    const uint8_t *start;
    unsigned left;
    int64_t low, high; /* offsets of what may be looked at */
    int32_t first, last; /* of what was */
} Look;

/* Whether the guest's condition flags are overwritten before they are looked at, from offset on. */
static bool flags_dead(Look *l, int64_t offset)
{
    unsigned length = 1u << l->t->guest->insn_align;
    while (l->left-- > 0 && offset >= l->low && offset + length <= l->high) {
        int64_t target = 0;
        int32_t at = (int32_t)(l->r->in_page + offset);
        l->first = MIN(l->first, at);
        l->last = MAX(l->last, at + (int32_t)length);
        switch (l->t->guest->flags_use(l->start + offset, length, &target)) {
        case TRANSLATE_FLAGS_SET:
            return true;
        case TRANSLATE_FLAGS_KEPT:
            offset += length;
            break;
        case TRANSLATE_FLAGS_JUMP:
            offset += target;
            break;
        case TRANSLATE_FLAGS_BRANCH:
            if (!flags_dead(l, offset + target))
                return false;
            offset += length;
            break;
        default:
            return false;
        }
    }
    return false;
}

/* The bytes looked at count as the region's. Before its start there are others in user mode only. */
static bool flags_dead_at(const Translator *t, Region *r, const uint8_t *start, unsigned available, int64_t offset)
{
    Look l = {.t = t, .r = r, .start = start, .left = FLAGS_REACH,
              .low = t->guest->direct_memory ? -(int64_t)r->in_page : 0,
              .high = MIN((int64_t)available, (int64_t)GUEST_PAGE_SIZE - r->in_page),
              .first = r->first, .last = r->last};
    if (!flags_dead(&l, offset))
        return false;
    r->first = l.first;
    r->last = l.last;
    return true;
}

/* Marks the exits at which flags are not needed. Returns their slot, or IR_NO_SLOT. The verifier compares
 * all slots. */
static unsigned mark_flags(Translator *t, Region *r, const uint8_t *start, unsigned available)
{
    if (!t->guest->flags_use || t->options.accel != TRANSLATE_JIT)
        return IR_NO_SLOT;
    for (IrRef i = 1; i < t->builder.n; i++) {
        IrOp *op = &t->builder.ops[i];
        if (op->code == IR_EXIT || op->code == IR_EXIT_IF)
            op->sub = flags_dead_at(t, r, start, available, op->imm);
    }
    return t->guest->flags_slot;
}

/* A region too rich for the compiler's tables is made again from fewer instructions. False: no
 * room. */
static bool compile(TranslateCpu *cpu, Region *r, const uint8_t *bytes, unsigned available)
{
    Translator *t = cpu->translator;
    for (unsigned max = r->loop ? MAX_INSNS : MAX_INSNS / 4;; max /= 4) {
        t->live.addresses = t->guest->direct_memory && !t->options.memory_base && t->options.accel == TRANSLATE_JIT;
        ir_live(&t->live, &t->builder, mark_flags(t, r, bytes, available));
        if (log_enabled(LOG_IR_OPT))
            log_ir(&t->builder, LOG_IR_OPT, "IR after passes:\n", &t->live);
        CompileResult result = t->host->compile(t, r, &t->builder, &t->live);
        if (result != COMPILE_TOO_RICH)
            return result == COMPILE_DONE;
        t->n_links = r->first_link;
        g_assert(max > 0);
        form(cpu, r, bytes, available, max);
        if (r->ops) {
            g_free(r->ops);
            r->n_ops = t->builder.n;
            r->ops = g_memdup2(t->builder.ops, t->builder.n * sizeof *r->ops);
        }
    }
}

RegionResult region_make(TranslateCpu *cpu, uint64_t phys, const uint8_t *bytes, unsigned available,
                         uint64_t phys2, Region **out)
{
    Translator *t = cpu->translator;
    IrBuilder *b = &t->builder;
    Region *r = g_new0(Region, 1);
    r->phys = phys;
    r->mode = cpu->mode;
    r->in_page = (uint32_t)(phys & PAGE_MASK);
    r->phys2 = phys2;
    if (!form_best(cpu, r, bytes, available)) {
        g_free(r);
        return REGION_NEEDS_BYTES;
    }
    if (r->last <= (int32_t)GUEST_PAGE_SIZE)
        r->phys2 = 0;
    if (r->last > (int32_t)GUEST_PAGE_SIZE && r->phys2 == (phys & ~PAGE_MASK))
        r->first = 0; /* the page follows itself: any write to it counts */
    r->first_link = t->n_links;
#ifdef LATHE_DEBUG
    char *wrong = ir_verify(b);
    if (wrong && !b->overflow)
        g_error("IR of region at %#" G_GINT64_MODIFIER "x: %s", phys, wrong);
#endif
    if (log_enabled(LOG_IN_ASM))
        log_guest(cpu, r, bytes);
    if (log_enabled(LOG_IR))
        log_ir(b, LOG_IR, "IR:\n", NULL);
    t->count.translated++;
    t->count.guest_bytes += (uint64_t)(r->last - r->first);
    if (t->options.accel != TRANSLATE_JIT) {
        r->n_ops = b->n;
        r->ops = g_memdup2(b->ops, b->n * sizeof *r->ops);
    }
    if (!t->host) {
        r->entry = (uint32_t)t->code.used;
        r->size = b->n * (uint32_t)sizeof *r->ops; /* counted against the cache's size */
        t->code.used += r->size;
        if (t->code.used > t->code.size) {
            free_region(r);
            return REGION_NO_ROOM;
        }
    } else if (!compile(cpu, r, bytes, available)) {
        free_region(r);
        return REGION_NO_ROOM;
    }
    cache_add(t, r);
    if (t->host && t->options.compiled)
        t->options.compiled(t->options.compiled_opaque, t->code.run + r->entry, r->size, phys);
    if (t->host && log_enabled(LOG_OUT_ASM))
        log_host(t, r);
    *out = r;
    return REGION_MADE;
}

int32_t region_point(const Region *r, uint32_t host)
{
    uint32_t low = 0, high = r->n_points;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (r->points[middle].host <= host)
            low = middle + 1;
        else
            high = middle;
    }
    return low ? r->points[low - 1].guest : 0;
}
