/* SPDX-License-Identifier: MIT */
/*
 * Pins of a loop's own. A region that is a loop (region.c) may hold, in host
 * registers whose slots it hardly uses, slots that it uses often. Whoever enters
 * by a link changes to them first, whoever leaves changes back, and so does every
 * call into C, so that outside the loop the one convention holds; only the links
 * back to the loop's top stay within. The changes are moves: flags and
 * temporaries are left alone.
 *
 * In user mode, where pins are many and temporaries few, a loop that ran out of
 * them is made again with more, at the cost of the pins that it uses least.
 */
#include "translate/host/x64_vec_priv.h"

#define TOP_ALIGN 32
#define LEAST_USES 2 /* of a slot in the loop, to be worth a load and a store around it */

static void move(Emit *e, unsigned slot, unsigned r, bool to_memory)
{
    Asm *a = &e->a;
    int32_t disp = slot_disp(e, slot);
    unsigned type = e->b->guest->slots[slot].type;
    if (r >= 16 && to_memory)
        store_xmm(a, type, r, disp);
    else if (r >= 16)
        load_xmm(a, type, r, disp);
    else
        op_rm(a, 0, is_64(type), to_memory ? 0x89 : 0x8b, (int)r, RBP, disp);
}

/* A temporary of the loop's own is saved across calls into C, like the others. */
static void move_temp(Emit *e, unsigned i, bool to_memory)
{
    int32_t disp = CPU_DISP(e, loop_save) + (int32_t)(8 * (i % X64_LOOP_TEMPS));
    op_rm(&e->a, 0, true, to_memory ? 0x89 : 0x8b, e->swaps[i].reg, RBP, disp);
}

static void swap_in(Emit *e)
{
    for (unsigned i = 0; i < e->n_swaps; i++) {
        const Swap *s = &e->swaps[i];
        move(e, s->out, s->reg, true);
        if (s->in == NO_SLOT)
            move_temp(e, i, false);
        else
            move(e, s->in, s->reg, false);
    }
}

static void swap_out(Emit *e)
{
    for (unsigned i = 0; i < e->n_swaps; i++) {
        const Swap *s = &e->swaps[i];
        if (s->in == NO_SLOT)
            move_temp(e, i, true);
        else if (s->dirty)
            move(e, s->in, s->reg, true);
        move(e, s->out, s->reg, false);
    }
}

static void count_uses(const Emit *e, uint16_t uses[IR_MAX_SLOTS], bool written[IR_MAX_SLOTS])
{
    for (IrRef i = 1; i < e->b->n; i++) {
        const IrOp *op = &e->b->ops[i];
        if (e->live->dead[i] || (op->code != IR_GET && op->code != IR_PUT))
            continue;
        uses[op->imm]++;
        if (op->code == IR_PUT)
            written[op->imm] = true;
    }
}

/* The slot most used that has no register, or that least used which has; of a class. NO_SLOT:
 * none. */
static unsigned pick(const Emit *e, const uint16_t *uses, bool is_float, bool pinned)
{
    const IrGuest *g = e->b->guest;
    unsigned found = NO_SLOT;
    for (unsigned s = 0; s < g->n_slots; s++) {
        unsigned type = g->slots[s].type;
        bool fits = is_float ? is_xmm_type(type) : type == IR_I32 || type == IR_I64;
        if (!fits || g->slots[s].shared || (e->loop_pin[s] >= 0) != pinned)
            continue;
        if (found == NO_SLOT || (pinned ? uses[s] < uses[found] : uses[s] > uses[found]))
            found = s;
    }
    return found;
}

/* What is put aside is used least of all, so it is not brought back: no slot is in two swaps. */
static void choose(Emit *e, const uint16_t *uses, const bool *written, bool is_float)
{
    while (e->n_swaps < G_N_ELEMENTS(e->swaps)) {
        unsigned in = pick(e, uses, is_float, false), out = pick(e, uses, is_float, true);
        if (in == NO_SLOT || out == NO_SLOT || uses[in] < LEAST_USES || uses[in] <= uses[out] + 1u)
            return;
        Swap *s = &e->swaps[e->n_swaps++];
        *s = (Swap){.reg = (uint8_t)e->loop_pin[out],
                    .dirty = written[in],
                    .in = (uint16_t)in,
                    .out = (uint16_t)out};
        e->loop_pin[in] = (int8_t)s->reg;
        e->loop_pin[out] = -1;
    }
}

/* Adjacent in swaps: move_temp gives each a place of its own. */
static void choose_temps(Emit *e, const uint16_t *uses)
{
    for (unsigned n = 0; n < e->more_temps; n++) {
        unsigned out = pick(e, uses, false, true);
        if (out == NO_SLOT || e->n_swaps == G_N_ELEMENTS(e->swaps))
            return;
        unsigned r = (unsigned)e->loop_pin[out];
        e->swaps[e->n_swaps++] = (Swap){.reg = (uint8_t)r, .in = NO_SLOT, .out = (uint16_t)out};
        e->loop_pin[out] = -1;
        e->temps[X64_MIN_TEMPS + n] = (uint8_t)r;
        e->own_temps = n + 1;
    }
}

/* Not where the verifier wants every region to do what the interpreter's does. */
static bool may_look(const Emit *e)
{
    return e->r->loop && !(e->indexed & INDEXED_UNBOXED) && e->t->options.accel != TRANSLATE_VERIFY;
}

/*
 * Where ISAs box an f32 in an f64, each use of a slot as an f32 looks at the box. A loop that puts
 * nothing else into the slot looks once, when it is entered; if there was none it is made again
 * without that.
 */
static void find_boxed(Emit *e)
{
    bool other[IR_MAX_SLOTS] = {false};
    memset(e->always_boxed, 0, sizeof e->always_boxed);
    if (!may_look(e))
        return;
    for (IrRef i = 1; i < e->b->n; i++) {
        const IrOp *op = op_of(e, i), *a = op_of(e, op->a);
        if (op->code == IR_CALL && e->b->guest->helpers[op->imm].flags & IR_HELPER_WRITES)
            memset(other, true, sizeof other);
        else if (op->code == IR_PUT && !(a->code == IR_FBOX && a->aux == IR_F32 && !a->sub) &&
                 !(a->code == IR_GET && a->imm == op->imm))
            other[op->imm] = true;
        else if (op->code == IR_FUNBOX && op->type == IR_F32 && !op->sub && a->code == IR_GET)
            e->always_boxed[a->imm] = !e->live->dead[i];
    }
    for (unsigned s = 0; s < e->b->guest->n_slots; s++)
        e->always_boxed[s] &= !other[s];
}

/* The same of vectors that only floats are put into: what is above those stays zero. */
static void find_zeroed(Emit *e)
{
    uint8_t put[IR_MAX_SLOTS];
    bool used[IR_MAX_SLOTS] = {false};
    memset(put, 2, sizeof put);
    memset(e->always_zeroed, 0, sizeof e->always_zeroed);
    if (!may_look(e))
        return;
    for (IrRef i = 1; i < e->b->n; i++) {
        const IrOp *op = op_of(e, i), *a = op_of(e, op->a);
        if (op->code == IR_CALL && e->b->guest->helpers[op->imm].flags & IR_HELPER_WRITES)
            memset(put, 0, sizeof put);
        else if (op->code == IR_PUT && a->code == IR_VZEXT && a->aux == IR_F64)
            put[op->imm] = MIN(put[op->imm], 1);
        else if (op->code == IR_PUT && !(a->code == IR_VZEXT && a->aux == IR_F32) &&
                 !(a->code == IR_GET && a->imm == op->imm))
            put[op->imm] = 0;
        else if (op->code == IR_VEXTRACT && a->code == IR_GET && is_float_type(op->type) && !e->live->dead[i]) {
            used[a->imm] = true;
            put[a->imm] = MIN(put[a->imm], op->type == IR_F64 ? 1 : 2);
        }
    }
    for (unsigned s = 0; s < e->b->guest->n_slots; s++)
        if (used[s] && e->b->guest->slots[s].type == IR_V128)
            e->always_zeroed[s] = put[s];
}

static void jump_unboxed(Emit *e)
{
    Cold *c = add_cold(e, COLD_UNBOXED);
    put8(&e->a, 0x0f);
    put8(&e->a, 0x80 | CC_NE);
    put32(&e->a, 0);
    c->from = e->a.p;
}

/* Pins that are to be zero above their low 64 bits (1) or 32 (2), all at once. */
static void check_zeroed_pins(Emit *e, unsigned width)
{
    const uint64_t above[] = {width < 2 ? 0 : UINT64_C(0xffffffff) << 32, UINT64_MAX};
    unsigned n = 0, r = 0;
    for (unsigned s = 0; s < e->b->guest->n_slots; s++) {
        if (e->always_zeroed[s] != width || e->pin[s] < 0)
            continue;
        if (n++)
            vec_rr(e, 1, 1, 0xeb, XMM(0), r, (unsigned)e->pin[s]); /* vpor */
        r = n == 1 ? (unsigned)e->pin[s] : XMM(0);
    }
    if (n) {
        vec_rk(e, 2, 0x17, r, 0, above); /* vptest */
        jump_unboxed(e);
    }
}

static void check_zeroed(Emit *e)
{
    check_zeroed_pins(e, 1);
    check_zeroed_pins(e, 2);
    for (unsigned s = 0; s < e->b->guest->n_slots; s++) {
        if (!e->always_zeroed[s] || e->pin[s] >= 0)
            continue;
        alu_mi(&e->a, true, ALU_CMP, RBP, slot_disp(e, s) + 8, 0);
        jump_unboxed(e);
        if (e->always_zeroed[s] < 2)
            continue;
        alu_mi(&e->a, false, ALU_CMP, RBP, slot_disp(e, s) + 4, 0);
        jump_unboxed(e);
    }
}

static void check_boxed(Emit *e)
{
    Asm *a = &e->a;
    for (unsigned s = 0; s < e->b->guest->n_slots; s++) {
        int pin = e->pin[s];
        if (!e->always_boxed[s])
            continue;
        if (pin >= 0) {
            put_vex(a, 3, 1, false, false, pin - 16, 0, RAX, 0); /* vpextrd eax, pin, 1 */
            put8(a, 0x16);
            put8(a, 0xc0 | (unsigned)(pin & 7) << 3 | RAX);
            put8(a, 1);
            alu_ri(a, false, ALU_CMP, RAX, -1);
        } else {
            alu_mi(a, false, ALU_CMP, RBP, slot_disp(e, s) + 4, -1);
        }
        jump_unboxed(e);
    }
}

void emit_cold_unboxed(Emit *e)
{
    emit_call_thunk(e, e->k->unboxed);
    emit_pc(e, RAX, 0);
    emit_jump_thunk(e, e->k->miss);
}

void loop_begin(Emit *e)
{
    uint16_t uses[IR_MAX_SLOTS] = {0};
    bool written[IR_MAX_SLOTS] = {false};
    e->n_swaps = e->own_temps = 0;
    e->r->swap_out = 0;
    loop_set(e, false);
    find_boxed(e);
    find_zeroed(e);
    if (!e->r->loop)
        return;
    memcpy(e->loop_pin, e->k->pin, sizeof e->loop_pin);
    count_uses(e, uses, written);
    choose_temps(e, uses);
    choose(e, uses, written, false);
    choose(e, uses, written, true);
    if (!e->n_swaps)
        return;
    e->swap_in = (uint32_t)code_offset(e);
    swap_in(e);
    put8(&e->a, 0xc3);
    e->swap_out = e->r->swap_out = (uint32_t)code_offset(e);
    swap_out(e);
    put8(&e->a, 0xc3);
    put_nops(&e->a, (unsigned)(-(uintptr_t)e->a.p & 15));
}

void loop_enter(Emit *e)
{
    if (!e->r->loop)
        return;
    swap_in(e);
    loop_set(e, e->n_swaps > 0);
    check_boxed(e);
    check_zeroed(e);
    put_nops(&e->a, (unsigned)(-(uintptr_t)e->a.p & (TOP_ALIGN - 1)));
}

void loop_leave(Emit *e)
{
    if (!e->swapped)
        return;
    swap_out(e);
    loop_set(e, false);
}

void loop_set(Emit *e, bool swapped)
{
    e->swapped = swapped;
    e->pin = swapped ? e->loop_pin : e->k->pin;
    e->n_temps = (uint8_t)(e->k->n_temps + (swapped ? e->own_temps : 0));
}

void loop_keep(Emit *e, IrRef v)
{
    for (unsigned n = X64_MIN_TEMPS; e->swapped && n < X64_MIN_TEMPS + e->own_temps; n++)
        if (v && e->reg[v] == e->temps[n] && e->held[e->temps[n]] == v)
            spill(e, e->temps[n]);
}
