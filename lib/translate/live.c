/* SPDX-License-Identifier: MIT */
/*
 * The one backward pass before code generation. It drops values nobody uses and
 * PUTs overwritten before anything could see them (no fault, exit, helper or GET
 * of the slot in between, on any way through the labels), finds each value's last use, and marks
 * operations that are better emitted by their only user: compares by the branch
 * or select that tests them. The operands of a fused operation count as used by
 * that user. Afterwards operands may be wider than their operation says: their
 * low part is meant, which is what registers give.
 */
#include <glib.h>
#include <string.h>

#include "translate/ir_priv.h"

void ir_live_init(IrLive *l)
{
    l->last = g_new0(uint32_t, IR_MAX_OPS + 8);
    l->uses = g_new0(uint16_t, IR_MAX_OPS + 8);
    l->dead = g_new0(uint8_t, IR_MAX_OPS + 8);
    l->fused = g_new0(uint8_t, IR_MAX_OPS + 8);
    l->at_label = g_malloc0(IR_MAX_LABELS * sizeof *l->at_label);
}

void ir_live_clear(IrLive *l)
{
    g_clear_pointer(&l->last, g_free);
    g_clear_pointer(&l->uses, g_free);
    g_clear_pointer(&l->dead, g_free);
    g_clear_pointer(&l->fused, g_free);
    g_clear_pointer(&l->at_label, g_free);
}

static void use(IrLive *l, IrRef v, uint32_t at)
{
    if (!v)
        return;
    if (at >
        l->last[v]) /* not always the first seen: a fused operation uses it where its user is */
        l->last[v] = at;
    l->uses[v]++;
}

/* Everything that makes slots visible: from here upward, a PUT counts again. */
static bool is_barrier(const IrBuilder *b, const IrOp *op)
{
    if (ir_code_attr(op->code) & (IR_ATTR_M | IR_ATTR_E))
        return true;
    if (op->code == IR_CALL)
        return b->guest->helpers[op->imm].flags &
               (IR_HELPER_READS | IR_HELPER_WRITES | IR_HELPER_FAULTS);
    return false;
}

/* What op does to which slots are overwritten below it before they are seen. Of a label that is
 * jumped back to nothing is known. */
static void see_slots(const IrBuilder *b, const IrLive *l, const IrOp *op, bool *overwritten, unsigned flags)
{
    unsigned n = b->guest->n_slots;
    bool kept = false;
    switch (op->code) {
    case IR_LABEL:
        memcpy(l->at_label[op->imm], overwritten, n);
        return;
    case IR_BR:
        memcpy(overwritten, l->at_label[op->imm], n);
        return;
    case IR_BRCOND:
        for (unsigned s = 0; s < n; s++)
            overwritten[s] &= l->at_label[op->imm][s];
        return;
    default:
        break;
    }
    if (!is_barrier(b, op))
        return;
    if (flags != IR_NO_SLOT)
        kept = op->code == IR_EXIT ? op->sub : overwritten[flags] && (op->code == IR_EXIT_IF ? op->sub
                                               : ir_code_attr(op->code) & IR_ATTR_M);
    memset(overwritten, 0, n);
    if (kept)
        overwritten[flags] = true;
}

static bool may_fuse(const IrBuilder *b, const IrOp *user, IrRef v)
{
    const IrOp *op = &b->ops[v];
    if (user->code == IR_FLAGS_TEST && op->code >= IR_FLAGS_ADD && op->code <= IR_FLAGS_LOGIC)
        return true;
    if (op->code != IR_CMP && op->code != IR_FLAGS_TEST)
        return false;
    if (op->code == IR_CMP && ir_type_bits(op->aux) > 64)
        return false;
    if (user->code == IR_SELECT && ((!ir_type_is_int(user->type) && user->type != IR_FLAGS) ||
                                    ir_type_bits(user->type) > 64))
        return false; /* done in C, which wants the condition as a value */
    return (user->code == IR_EXIT_IF || user->code == IR_BRCOND || user->code == IR_SELECT) &&
           user->a == v;
}

/*
 * An address in the making: sums and shifts that nobody else uses become part of one operation, as
 * long as that is base + index * scale + displacement.
 */
typedef struct Sum {
    unsigned leaves, scaled;
    int64_t disp;
} Sum;

static bool joins(const IrBuilder *b, const IrLive *l, IrRef v, unsigned type, Sum *sum)
{
    const IrOp *op = &b->ops[v], *k = &b->ops[op->b];
    if (l->uses[v] || op->type != type)
        return false;
    if (op->code == IR_SHL && k->code == IR_CONST && k->imm >= 1 && k->imm <= 3 && !sum->scaled) {
        sum->scaled = 1;
        return true;
    }
    if (op->code != IR_ADD)
        return false;
    if (k->code != IR_CONST) {
        if (sum->leaves == 2)
            return false;
        sum->leaves++;
        return true;
    }
    int64_t disp = sum->disp + (type == IR_I32 ? (int32_t)k->imm : k->imm);
    if (disp != (int32_t)disp)
        return false;
    sum->disp = disp;
    return true;
}

static void join(const IrBuilder *b, IrLive *l, IrRef v, unsigned type, Sum *sum, unsigned depth)
{
    if (l->fused[v] == IR_FUSED_SUM) { /* wanted twice: it is a value after all */
        l->fused[v] = 0;
        return;
    }
    if (depth == 3 || !joins(b, l, v, type, sum))
        return;
    const IrOp *op = &b->ops[v];
    l->fused[v] = IR_FUSED_SUM;
    if (op->code == IR_SHL || op->a == op->b)
        return;
    join(b, l, op->a, type, sum, depth + 1);
    if (b->ops[op->b].code != IR_CONST)
        join(b, l, op->b, type, sum, depth + 1);
}

static void join_sum(const IrBuilder *b, IrLive *l, const IrOp *op)
{
    Sum sum = {.leaves = 1};
    const IrOp *k = &b->ops[op->b];
    if (op->a == op->b || (op->type != IR_I64 && op->type != IR_I32))
        return;
    if (k->code != IR_CONST) {
        sum.leaves = 2;
    } else {
        sum.disp = op->type == IR_I32 ? (int32_t)k->imm : k->imm;
        if (sum.disp != (int32_t)sum.disp)
            return;
    }
    join(b, l, op->a, op->type, &sum, 0);
    if (k->code != IR_CONST)
        join(b, l, op->b, op->type, &sum, 0);
}

/* The same of an address, where the host's accesses take all of it. */
static void join_address(const IrBuilder *b, IrLive *l, const IrOp *op)
{
    IrMem mem = (IrMem)op->imm;
    unsigned type = op->code == IR_LOAD ? op->type : b->ops[op->b].type, log2 = ir_mem_log2(mem);
    bool vector = type == IR_V128 && log2 >= 2 && log2 <= 4;
    bool scalar = log2 <= 3 && (type == IR_F32 || type == IR_F64 || (ir_type_is_int((IrType)type) && type != IR_I128));
    Sum sum = {.leaves = 1, .disp = (int32_t)(op->imm >> 32)};
    if (mem & ~(7u | IR_MEM_SIGNED) || !(vector || scalar) || b->ops[op->a].code != IR_ADD)
        return;
    join(b, l, op->a, IR_I64, &sum, 0);
}

/* A narrower value is the low part of the wider register: users of a truncation take its source. */
static IrRef through_truncation(const IrBuilder *b, IrRef v)
{
    while (b->ops[v].code == IR_TRUNC && ir_type_bits(b->ops[v].aux) <= 64)
        v = b->ops[v].a;
    return v;
}

/* Operands of what is part of a sum: those that are as well remain so, unless they turn out to have
 * another user, or are shifted. */
static void keep_joined(IrLive *l, const IrOp *op)
{
    const IrRef operands[] = {op->a, op->b};
    for (unsigned n = 0; n < 2; n++)
        if (l->fused[operands[n]] != IR_FUSED_SUM || l->uses[operands[n]] || op->code == IR_SHL)
            l->fused[operands[n]] = 0;
}

/*
 * Flags that are wanted on one side of an EXIT_IF alone are made there, if they are those of the very
 * comparison that it makes. Going upward, `at` is such an exit whose PUT is still to be found.
 */
typedef struct Deferred {
    unsigned flags;
    IrRef at;
    uint8_t how;
} Deferred;

static bool same_operand(const IrBuilder *b, IrRef x, IrRef y)
{
    const IrOp *p = &b->ops[x], *q = &b->ops[y];
    return x == y || (p->code == IR_CONST && q->code == IR_CONST && p->type == q->type && p->imm == q->imm);
}

/* The comparison's users lie behind it, so all have been seen at a PUT before it. */
static bool found_put(IrBuilder *b, const IrLive *l, const Deferred *d, IrRef i)
{
    IrOp *exit = &b->ops[d->at];
    const IrOp *put = &b->ops[i];
    const IrOp *cmp = &b->ops[exit->a], *f = &b->ops[put->a];
    unsigned invert = f->code == IR_FLAGS_INVC ? IR_FLAGS_INVERT : 0;
    if (l->uses[put->a] || i > exit->a || !l->fused[exit->a])
        return false;
    if (invert)
        f = &b->ops[f->a];
    if (f->code != IR_FLAGS_SUB || f->aux != cmp->aux || ir_type_bits(f->aux) < 32 ||
        !same_operand(b, f->a, cmp->a) || !same_operand(b, f->b, cmp->b))
        return false;
    exit->sub |= d->how | invert;
    return true;
}

/* Before op's own effect: whoever else sees the flags wants them from above. */
static void give_up(const IrBuilder *b, Deferred *d, const IrOp *op, bool *overwritten)
{
    bool sees = op->code == IR_GET ? op->imm == d->flags : is_barrier(b, op) && !(ir_code_attr(op->code) & IR_ATTR_M);
    if (d->at && (sees || op->code == IR_LABEL || op->code == IR_BR || op->code == IR_BRCOND)) {
        overwritten[d->flags] = false;
        d->at = 0;
    }
}

static void defer(const IrBuilder *b, const IrLive *l, Deferred *d, IrRef i, bool dead_else, bool *overwritten)
{
    const IrOp *op = &b->ops[i];
    if (d->flags == IR_NO_SLOT || op->code != IR_EXIT_IF || op->sub == dead_else ||
        b->ops[op->a].code != IR_CMP || l->uses[op->a])
        return;
    *d = (Deferred){d->flags, i, dead_else ? IR_FLAGS_IF_TAKEN : IR_FLAGS_ELSE};
    overwritten[d->flags] = true;
}

void ir_live(IrLive *l, IrBuilder *b, unsigned flags)
{
    Deferred deferred = {.flags = flags};
    bool overwritten[IR_MAX_SLOTS];
    uint32_t call = 0;
    memset(overwritten, 0, sizeof overwritten);
    memset(l->last, 0, b->n * sizeof *l->last);
    memset(l->uses, 0, b->n * sizeof *l->uses);
    memset(l->dead, 0, b->n);
    memset(l->fused, 0, b->n);
    memset(l->at_label, 0, b->n_labels * sizeof *l->at_label); /* of a label behind: nothing is */

    for (uint32_t i = 1; i < b->n; i++) {
        IrOp *op = &b->ops[i];
        op->a = through_truncation(b, op->a);
        op->b = through_truncation(b, op->b);
        op->c = through_truncation(b, op->c);
    }
    for (uint32_t i = b->n; --i > 0;) {
        const IrOp *op = &b->ops[i];
        unsigned attr = ir_code_attr(op->code);
        uint32_t at = i;

        give_up(b, &deferred, op, overwritten);
        if (op->code == IR_PUT) {
            if (deferred.at && op->imm == flags) {
                bool found = found_put(b, l, &deferred, i);
                deferred.at = 0;
                overwritten[flags] = found;
            }
            if (overwritten[op->imm]) {
                l->dead[i] = 1;
                continue;
            }
            overwritten[op->imm] = true;
        } else if (op->code == IR_GET) {
            if (l->uses[i])
                overwritten[op->imm] = false;
            else
                l->dead[i] = 1;
            continue;
        } else if (op->code == IR_CALL && !l->uses[i] &&
                   b->guest->helpers[op->imm].flags & IR_HELPER_PURE) {
            l->dead[i] = 1; /* and its arguments with it */
            while (b->ops[i - 1].code == IR_ARG)
                l->dead[--i] = 1;
            continue;
        } else if (attr & IR_ATTR_P && !l->uses[i]) {
            l->dead[i] = 1;
            continue;
        }
        bool dead_else = flags != IR_NO_SLOT && overwritten[flags];
        see_slots(b, l, op, overwritten, flags);
        defer(b, l, &deferred, i, dead_else, overwritten);
        if (op->code == IR_CALL)
            call = i;
        else if (op->code == IR_ARG)
            at = call; /* an argument must live until its call */
        if (l->fused[i])
            at = l->last[i];
        if (l->fused[i] != IR_FUSED_SUM) {
            if (op->a && may_fuse(b, op, op->a) && !l->uses[op->a])
                l->fused[op->a] = 1;
            else if (op->a)
                l->fused[op->a] = 0;
            l->fused[op->b] = l->fused[op->c] = 0;
            if (op->code == IR_ADD)
                join_sum(b, l, op);
            else if (l->addresses && (op->code == IR_LOAD || op->code == IR_STORE))
                join_address(b, l, op);
        } else {
            keep_joined(l, op);
        }
        use(l, op->a, at);
        use(l, op->b, at);
        use(l, op->c, at);
    }
    l->fused[0] = 0;
}
