/* SPDX-License-Identifier: MIT */
/*
 * Region formation, first tier: a run of instructions within one page, on past
 * conditional branches that are not taken and along unconditional jumps forward
 * in the page, not past calls. An instruction that lies across the page's end is
 * a region by itself, with both pages noted.
 */
#include <string.h>

#include "base/log.h"
#include "translate/translate_priv.h"

#define MAX_INSNS 64
#define OPS_RESERVE 200 /* the most one instruction may need */

typedef struct Former {
    uint32_t in_page;   /* of the region's start */
    int64_t pos;        /* offset of the current instruction */
    unsigned jumps, insns;
} Former;

static bool may_follow(IrBuilder *b, int64_t offset)
{
    Former *f = b->former;
    int64_t target = f->in_page + offset;
    if (target < 0 || target >= GUEST_PAGE_SIZE || offset <= f->pos)
        return false;
    return f->jumps++ < 4 && f->insns < MAX_INSNS / 2;
}

/* Builds the IR from start[0..available). False: not one whole instruction there. */
static bool form(TranslateCpu *cpu, Region *r, const uint8_t *start, unsigned available, unsigned max)
{
    Translator *t = cpu->translator;
    const TranslateGuest *g = t->guest;
    IrBuilder *b = &t->builder;
    Former f = {.in_page = r->in_page};
    int64_t limit = available;

    ir_builder_reset(b);
    b->mode = r->mode;
    b->cpu = cpu;
    b->former = &f;
    b->may_follow = may_follow;
    r->first = (int32_t)r->in_page;
    r->last = (int32_t)r->in_page;
    for (;;) {
        if (f.pos >= limit || f.insns >= max || b->n > IR_MAX_OPS - OPS_RESERVE)
            break;
        b->insn = f.pos;
        b->flow = IR_NEXT;
        if (!g->insn(b, start + f.pos, (unsigned)(limit - f.pos)))
            break;
        f.insns++;
        int32_t end = (int32_t)(r->in_page + f.pos + b->length);
        if (end > r->last)
            r->last = end;
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

/* -d in_asm: the guest's bytes, since there is no disassembler here: pipe them to one. */
static void log_guest(TranslateCpu *cpu, const Region *r, const uint8_t *bytes)
{
    g_autoptr(GString) s = g_string_new(NULL);
    const IrBuilder *b = &cpu->translator->builder;
    g_string_append_printf(s, "IN: pc %#" G_GINT64_MODIFIER "x physical %#" G_GINT64_MODIFIER "x mode %#"
                           G_GINT64_MODIFIER "x\n", cpu->pc, r->phys, r->mode);
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
    g_string_append_printf(s, "OUT: %u bytes at %p for physical %#" G_GINT64_MODIFIER "x\n", r->size,
                           (void *)(t->code.run + r->entry), r->phys);
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

/* A region too rich for the compiler's tables is made again from fewer instructions. False: no room. */
static bool compile(TranslateCpu *cpu, Region *r, const uint8_t *bytes, unsigned available)
{
    Translator *t = cpu->translator;
    for (unsigned max = MAX_INSNS / 4;; max /= 4) {
        ir_live(&t->live, &t->builder);
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

RegionResult region_make(TranslateCpu *cpu, uint64_t phys, const uint8_t *bytes, unsigned available, uint64_t phys2,
                         Region **out)
{
    Translator *t = cpu->translator;
    IrBuilder *b = &t->builder;
    Region *r = g_new0(Region, 1);
    r->phys = phys;
    r->mode = cpu->mode;
    r->in_page = (uint32_t)(phys & PAGE_MASK);
    r->phys2 = phys2;
    if (!form(cpu, r, bytes, available, MAX_INSNS)) {
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
