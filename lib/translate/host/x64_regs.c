/* SPDX-License-Identifier: MIT */
/*
 * Register allocation: forward, one pass, with last uses known. A value is made
 * in the pinned register of the slot it will be PUT to when nothing can see the
 * difference; a value that a slot holds needs no other home. When temporaries
 * run out, the value used last goes to a cell.
 */
#include "translate/host/x64_priv.h"

#include "base/bits.h"

const uint8_t x64_int_pins[X64_INT_PINS] = {RBX, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15};
static const uint8_t int_temps[] = {RAX, RCX, RDX, R15, R14};
static const uint8_t float_temps[] = {XMM(0), XMM(1), XMM(2), XMM(3), XMM(4), XMM(5)};

void regs_reset(Emit *e)
{
    unsigned n = e->b->n;
    memset(e->reg, NO_REG, n);
    memset(e->slot, 0xff, n * sizeof *e->slot);
    memset(e->cell, NO_CELL, n);
    memset(e->boxed, 0, n);
    memset(e->zeroed, 0, n);
    memset(e->normal, 0, n);
    memset(e->held, 0, sizeof e->held);
    memset(e->slot_held, 0, sizeof e->slot_held);
    memset(e->slot_low, 0, sizeof e->slot_low);
    memset(e->cell_held, 0, sizeof e->cell_held);
    memset(e->shared, 0, sizeof e->shared);
    memcpy(e->temps, int_temps, sizeof int_temps);
    e->locked = e->sticky = e->nan_value = 0;
    e->spills = 0;
}

void mov_xmm(Emit *e, unsigned dst, unsigned src)
{
    if (dst != src)
        vex_rr(&e->a, 1, 0, false, 0x28, (int)dst - 16, 0, (int)src - 16); /* vmovaps */
}

void load_xmm(Asm *a, unsigned type, unsigned r, int32_t disp)
{
    /* vmovups, vmovq */
    vex_rm(a, 1, type == IR_V128 ? 0 : 2, false, type == IR_V128 ? 0x10 : 0x7e, (int)r - 16, 0, RBP, disp);
}

void store_xmm(Asm *a, unsigned type, unsigned r, int32_t disp)
{
    vex_rm(a, 1, type == IR_V128 ? 0 : 1, false, type == IR_V128 ? 0x11 : 0xd6, (int)r - 16, 0, RBP, disp);
}

static bool pin_of(const Emit *e, unsigned slot, unsigned *r)
{
    if (slot == NO_SLOT || e->pin[slot] < 0)
        return false;
    *r = (unsigned)e->pin[slot];
    return true;
}

unsigned new_cell(Emit *e, IrRef v)
{
    for (unsigned c = 0; c < CELL_A; c++)
        if (!e->cell_held[c]) {
            e->cell_held[c] = v;
            e->cell[v] = (uint8_t)c;
            return c;
        }
    e->failed = true;
    return 0;
}

void spill(Emit *e, unsigned r)
{
    IrRef v = e->held[r];
    if (v >= IR_MAX_OPS) {
        drop_shared(e, v - SHARED_REF(0));
        return;
    }
    unsigned code = op_of(e, v)->code;
    uint64_t known[2];
    if (v == e->nan_value)
        flush_nan(e);
    e->held[r] = 0;
    e->reg[v] = NO_REG;
    if (code == IR_CONST || code == IR_PC || (r >= 16 && vector_const(e, v, known)) || e->slot[v] != NO_SLOT || e->cell[v] != NO_CELL)
        return; /* can be had again */
    unsigned c = new_cell(e, v);
    e->spills += r < 16;
    if (r >= 16)
        store_xmm(&e->a, op_of(e, v)->type, r, cell_disp(e, c));
    else
        store(&e->a, true, RBP, cell_disp(e, c), (int)r);
}

void drop_shared(Emit *e, unsigned n)
{
    IrRef v = SHARED_REF(n);
    if (!e->shared[n].base)
        return;
    e->shared[n].base = 0;
    e->held[e->reg[v]] = 0;
    e->reg[v] = NO_REG;
}

void hold_shared(Emit *e, unsigned n, unsigned r)
{
    e->reg[SHARED_REF(n)] = (uint8_t)r;
    e->held[r] = SHARED_REF(n);
}

/* When the value in a register is needed last. */
static IrRef last_use(const Emit *e, unsigned r)
{
    IrRef v = e->held[r];
    return v >= IR_MAX_OPS ? e->shared[v - SHARED_REF(0)].last : e->live->last[v];
}

static unsigned find_temp(Emit *e, const uint8_t *regs, unsigned n)
{
    unsigned worst = NO_REG;
    for (unsigned i = 0; i < n; i++) {
        unsigned r = regs[i];
        if (e->locked & reg_bit(r))
            continue;
        if (!e->held[r]) {
            if (r == e->nan_reg) /* what was there is dead */
                e->nan_value = 0;
            return r;
        }
        if (worst == NO_REG || last_use(e, r) > last_use(e, worst))
            worst = r;
    }
    if (worst == NO_REG) {
        e->failed = true;
        return regs[0];
    }
    spill(e, worst);
    return worst;
}

unsigned temp_gpr(Emit *e)
{
    unsigned r = find_temp(e, e->temps, e->n_temps);
    e->locked |= reg_bit(r);
    return r;
}

unsigned temp_xmm(Emit *e)
{
    unsigned r = find_temp(e, float_temps, sizeof float_temps);
    e->locked |= reg_bit(r);
    return r;
}

static unsigned temp_for(Emit *e, unsigned type)
{
    return is_xmm_type(type) ? temp_xmm(e) : temp_gpr(e);
}

void take_reg(Emit *e, unsigned r)
{
    IrRef v = e->held[r];
    if (v) {
        /* to another register if one is free, else to memory */
        unsigned free_reg = NO_REG;
        for (unsigned i = 0; i < e->n_temps; i++)
            if (e->temps[i] != r && !e->held[e->temps[i]] && !(e->locked & reg_bit(e->temps[i])))
                free_reg = e->temps[i];
        if (free_reg != NO_REG) {
            mov_rr(&e->a, true, (int)free_reg, (int)r);
            e->held[free_reg] = v;
            e->held[r] = 0;
            e->reg[v] = (uint8_t)free_reg;
        } else {
            spill(e, r);
        }
    }
    e->locked |= reg_bit(r);
}

/* What is known of an f32's upper half comes back from a cell, where all of its 64 bits are, but
 * not from a slot. */
static void load_home(Emit *e, IrRef v, unsigned r, int32_t disp, bool cell)
{
    unsigned type = op_of(e, v)->type;
    if (type == IR_F32 && !cell)
        e->boxed[v] = 0;
    if (r >= 16) {
        if (type == IR_F32 && !e->boxed[v])
            vex_rm(&e->a, 1, 2, false, 0x10, (int)r - 16, 0, RBP, disp); /* vmovss */
        else
            load_xmm(&e->a, type, r, disp);
        e->zeroed[v] = type == IR_F64 || (type == IR_F32 && !e->boxed[v]);
    } else {
        load(&e->a, is_64(type), (int)r, RBP, disp);
    }
}

unsigned use_reg(Emit *e, IrRef v)
{
    const IrOp *op = op_of(e, v);
    unsigned r;
    if (e->reg[v] != NO_REG) {
        e->locked |= reg_bit(e->reg[v]);
        return e->reg[v];
    }
    if (pin_of(e, e->slot[v], &r)) {
        e->locked |= reg_bit(r);
        return r;
    }
    uint64_t known[2];
    r = temp_for(e, op->type);
    if (op->type == IR_V128 && vector_const(e, v, known)) {
        make_vector_const(e, r, known);
        if (op->code == IR_CONST)
            return r; /* scratch: made again at the next use */
        e->held[r] = v;
        e->reg[v] = (uint8_t)r;
        return r;
    }
    if (op->code == IR_CONST) {
        if (r < 16 && op->imm == 0 && e->keep_flags) {
            mov_ri_keep(&e->a, (int)r, 0);
        } else if (r < 16) {
            mov_ri(&e->a, (int)r, (uint64_t)op->imm);
        } else if (op->imm == 0) {
            vex_rr(&e->a, 1, 0, false, 0x57, (int)r - 16, (int)r - 16, (int)r - 16); /* vxorps */
        } else {
            unsigned g = temp_gpr(e);
            mov_ri(&e->a, (int)g, (uint64_t)op->imm);
            vex_rr(&e->a, 1, 1, true, 0x6e, (int)r - 16, 0, (int)g); /* vmovq */
            e->locked &= ~reg_bit(g);
        }
        return r; /* scratch: made again at the next use */
    }
    if (op->code == IR_PC)
        emit_pc(e, r, op->imm);
    else if (e->slot[v] != NO_SLOT)
        load_home(e, v, r, slot_disp(e, e->slot[v]), false);
    else if (e->cell[v] != NO_CELL)
        load_home(e, v, r, cell_disp(e, e->cell[v]), true);
    else
        g_error("x64: value %u (%s) has no home at %u (last use %u)", v, ir_code_name(op->code),
                e->at, e->live->last[v]);
    e->held[r] = v;
    e->reg[v] = (uint8_t)r;
    return r;
}

void use_in(Emit *e, IrRef v, unsigned r)
{
    const IrOp *op = op_of(e, v);
    unsigned from = e->reg[v];
    bool w = is_64(op->type);
    if (from != NO_REG || pin_of(e, e->slot[v], &from)) {
        if (from != r)
            mov_rr(&e->a, w, (int)r, (int)from);
    } else if (op->code == IR_CONST) {
        mov_ri(&e->a, (int)r, (uint64_t)op->imm);
    } else if (op->code == IR_PC) {
        emit_pc(e, r, op->imm);
    } else {
        load(&e->a, w, (int)r, RBP,
             e->slot[v] != NO_SLOT ? slot_disp(e, e->slot[v]) : cell_disp(e, e->cell[v]));
    }
}

bool use_imm(Emit *e, IrRef v, int32_t *imm)
{
    const IrOp *op = op_of(e, v);
    if (op->code != IR_CONST || ir_type_bits(op->type) > 64)
        return false;
    int64_t s = bits_sext((uint64_t)op->imm, ir_type_bits(op->type));
    *imm = (int32_t)s;
    return s == (int32_t)s;
}

bool use_mem(Emit *e, IrRef v, int32_t *disp)
{
    unsigned r, bits = ir_type_bits(op_of(e, v)->type);
    if (e->reg[v] != NO_REG || is_const(e, v) || op_of(e, v)->code == IR_PC || bits < 32 ||
        bits > 64)
        return false;
    if (e->slot[v] != NO_SLOT) {
        if (pin_of(e, e->slot[v], &r) || e->live->uses[v] > 1)
            return false;
        *disp = slot_disp(e, e->slot[v]);
        return true;
    }
    if (e->cell[v] == NO_CELL || e->live->last[v] != e->at)
        return false;
    *disp = cell_disp(e, e->cell[v]);
    return true;
}

static bool still_needed(const Emit *e, IrRef v)
{
    return v && e->live->last[v] > e->at;
}

void slot_now_holds(Emit *e, unsigned slot, IrRef v)
{
    unsigned r;
    e->slot_held[slot] = v;
    if (e->slot[v] == NO_SLOT || (pin_of(e, slot, &r) && !pin_of(e, e->slot[v], &r)))
        e->slot[v] = (uint16_t)slot;
}

/* Another slot that holds v too, pinned ones first. */
static unsigned other_slot(const Emit *e, unsigned slot, IrRef v)
{
    unsigned found = NO_SLOT, r;
    for (unsigned s = 0; s < e->b->guest->n_slots; s++)
        if (s != slot && e->slot_held[s] == v) {
            found = s;
            if (pin_of(e, s, &r))
                break;
        }
    return found;
}

void slot_low_holds(Emit *e, unsigned slot, IrRef v)
{
    e->slot_low[slot] = v;
    e->slot[v] = (uint16_t)slot;
}

static void save_value(Emit *e, unsigned slot, IrRef v)
{
    unsigned r, t;
    if (!v || e->slot[v] != slot)
        return;
    if (!still_needed(e, v)) {
        e->slot[v] = NO_SLOT;
        return;
    }
    unsigned other = other_slot(e, slot, v);
    if (other != NO_SLOT || e->reg[v] != NO_REG || e->cell[v] != NO_CELL) {
        e->slot[v] = (uint16_t)other;
        return;
    }
    if (is_wide_type(op_of(e, v)->type)) { /* wide values always have a cell */
        e->slot[v] = NO_SLOT;
        return;
    }
    if (v == e->nan_value)
        flush_nan(e);
    uint32_t locked = e->locked;
    t = temp_for(e, op_of(e, v)->type);
    if (!pin_of(e, slot, &r))
        load_home(e, v, t, slot_disp(e, slot), false);
    else if (t >= 16)
        mov_xmm(e, t, r);
    else
        mov_rr(&e->a, true, (int)t, (int)r);
    e->locked = locked;
    e->held[t] = v;
    e->reg[v] = (uint8_t)t;
    e->slot[v] = NO_SLOT;
}

void save_slot(Emit *e, unsigned slot)
{
    IrRef v = e->slot_held[slot], low = e->slot_low[slot];
    e->slot_held[slot] = e->slot_low[slot] = 0;
    save_value(e, slot, v);
    save_value(e, slot, low);
}

void save_all_slots(Emit *e)
{
    for (unsigned s = 0; s < e->b->guest->n_slots; s++)
        if (e->slot_held[s] || e->slot_low[s])
            save_slot(e, s);
}

/* The slot can change without a move of v, its value. */
static bool goes_easily(const Emit *e, unsigned slot, IrRef v)
{
    return !still_needed(e, v) || e->slot[v] != slot || e->reg[v] != NO_REG;
}

unsigned def_reg_not(Emit *e, IrRef v, uint32_t avoid)
{
    const IrOp *op = op_of(e, v);
    unsigned slot = e->put_to[v], r;
    bool is_float = is_xmm_type(op->type);
    if (slot != NO_SLOT && pin_of(e, slot, &r) && !(avoid & reg_bit(r))) {
        if (goes_easily(e, slot, e->slot_held[slot]) && goes_easily(e, slot, e->slot_low[slot])) {
            save_slot(e, slot);
            if (op->type == e->b->guest->slots[slot].type)
                slot_now_holds(e, slot, v);
            else
                slot_low_holds(e, slot, v); /* the rest follows: emit_zext in x64_vec_move.c */
            e->locked |= reg_bit(r);
            return r;
        }
    }
    /* an operand that dies here */
    const IrRef operands[] = {op->a, op->b, op->c};
    for (unsigned i = 0; i < 3; i++) {
        IrRef o = operands[i];
        if (!o || e->reg[o] == NO_REG || e->live->last[o] != e->at || is_float != (e->reg[o] >= 16))
            continue;
        r = e->reg[o];
        if (avoid & reg_bit(r) || e->held[r] != o)
            continue;
        e->reg[o] = NO_REG;
        e->held[r] = v;
        e->reg[v] = (uint8_t)r;
        return r;
    }
    r = is_float ? temp_xmm(e) : temp_gpr(e);
    e->held[r] = v;
    e->reg[v] = (uint8_t)r;
    return r;
}

void def_in(Emit *e, IrRef v, unsigned r)
{
    e->held[r] = v;
    e->reg[v] = (uint8_t)r;
}

unsigned def_reg(Emit *e, IrRef v)
{
    return def_reg_not(e, v, 0);
}

static void free_value(Emit *e, IrRef v)
{
    if (!v || e->live->last[v] > e->at)
        return;
    if (e->reg[v] != NO_REG) {
        if (e->held[e->reg[v]] == v)
            e->held[e->reg[v]] = 0;
        e->reg[v] = NO_REG;
    }
    if (e->cell[v] != NO_CELL) {
        e->cell_held[e->cell[v]] = 0;
        e->cell[v] = NO_CELL;
    }
}

void end_op(Emit *e, IrRef a, IrRef b, IrRef c)
{
    const IrRef operands[] = {a, b, c};
    e->locked = 0;
    for (unsigned i = 0; i < SHARED_PAGES; i++)
        if (e->shared[i].last <= e->at)
            drop_shared(e, i);
    for (unsigned i = 0; i < 3; i++) {
        IrRef v = operands[i];
        if (v && e->live->fused[v]) {
            const IrOp *f = op_of(e, v);
            end_op(e, f->a, f->b, f->c);
        } else {
            free_value(e, v);
        }
    }
}

void drop_values(Emit *e)
{
    for (unsigned i = 0; i < SHARED_PAGES; i++)
        drop_shared(e, i);
    memset(e->held, 0, sizeof e->held);
    memset(e->slot_held, 0, sizeof e->slot_held);
    memset(e->slot_low, 0, sizeof e->slot_low);
    memset(e->cell_held, 0, sizeof e->cell_held);
    memset(e->normal, 0, e->b->n); /* of values that were looked at on one way only */
    e->sticky = 0;
}
