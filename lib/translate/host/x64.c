/* SPDX-License-Identifier: MIT */
/*
 * The x86-64 compiler: one pass over a region's operations, then its cold code.
 * A region's code starts with a five-byte no-op that x64_kill turns into a jump
 * out; links and loops go behind it.
 */
#include "translate/host/x64_priv.h"

#include "base/bits.h"

#define ENTRY_NOP 5
#define SPILLS 3 /* in a loop, for it to have more temporaries instead of pins */
#define ROOM_PER_OP 200
#define ROOM_REGION 8192

/* v is best made in the register of the slot that PUT j writes, if nothing in between could tell. */
static void find_put(Emit *e, IrRef v, IrRef j)
{
    const IrBuilder *b = e->b;
    const IrOp *put = &b->ops[j];
    if (e->put_to[v] != NO_SLOT || j - v > 8 || e->live->fused[v])
        return;
    for (IrRef k = v + 1; k < j; k++) {
        const IrOp *op = &b->ops[k];
        unsigned attr = ir_code_attr(op->code);
        if (e->live->dead[k])
            continue;
        if (op->code == IR_GET || op->code == IR_PUT ? op->imm == put->imm
                                                     : !(attr & (IR_ATTR_P | IR_ATTR_F)))
            return;
    }
    e->put_to[v] = (uint16_t)put->imm;
}

static void find_puts(Emit *e)
{
    const IrBuilder *b = e->b;
    memset(e->put_to, 0xff, b->n * sizeof *e->put_to);
    for (IrRef j = 1; j < b->n; j++) {
        const IrOp *put = &b->ops[j], *v = &b->ops[put->a];
        if (put->code != IR_PUT || e->live->dead[j] || e->pin[put->imm] < 0 ||
            v->type != b->guest->slots[put->imm].type)
            continue;
        find_put(e, put->a, j);
        if (v->code == IR_VZEXT && is_float_type(b->ops[v->a].type)) /* the low part, too */
            find_put(e, v->a, j);
    }
}

/* Copies 16 or 32 bytes off rbp to off rbp. */
static void copy_wide(Emit *e, int32_t to, int32_t from, unsigned bytes)
{
    unsigned x = temp_xmm(e);
    for (unsigned i = 0; i < bytes; i += 16) {
        vex_rm(&e->a, 1, 0, false, 0x10, (int)x - 16, 0, RBP, from + (int32_t)i); /* vmovups */
        vex_rm(&e->a, 1, 0, false, 0x11, (int)x - 16, 0, RBP, to + (int32_t)i);
    }
}

static unsigned wide_bytes(unsigned type)
{
    return ir_type_bits(type) > 128 ? 32 : 16;
}

static unsigned operand_type(const IrOp *op, unsigned n)
{
    if (n == 0)
        return op->aux ? op->aux : op->type;
    if (op->code == IR_SELECT || op->code == IR_DEPOSIT)
        return op->type;
    if (op->code == IR_FLAGS_ADC || op->code == IR_FLAGS_SBC)
        return n == 2 ? IR_I8 : op->aux;
    if (op->code >= IR_FLAGS_SHL && op->code <= IR_FLAGS_SAR)
        return n == 2 ? IR_I32 : op->aux;
    if (op->code == IR_STORE || op->code == IR_ATOMIC || op->code == IR_CAS ||
        op->code == IR_STORE_COND || op->code == IR_VINSERT)
        return IR_VOID; /* C masks by access or lane size */
    return op->aux;
}

static void store_cell(Emit *e, IrRef v, unsigned type, int32_t disp)
{
    Asm *a = &e->a;
    unsigned own = op_of(e, v)->type;
    if (is_wide_type(own)) {
        copy_wide(e, disp, cell_disp(e, e->cell[v]), wide_bytes(own));
        return;
    }
    if (own == IR_V128) {
        store_xmm(a, own, use_reg(e, v), disp);
        return;
    }
    if (type == IR_VOID || ir_type_bits(type) > 64)
        type = own;
    if (is_const(e, v)) {
        uint64_t c = (uint64_t)op_of(e, v)->imm & bits_mask(ir_type_bits(type));
        store_i(a, false, RBP, disp, (int32_t)c);
        store_i(a, false, RBP, disp + 4, (int32_t)(c >> 32));
    } else {
        unsigned r = use_reg(e, v), bits = ir_type_bits(type);
        if (bits < 64)
            store_i(a, true, RBP, disp, 0);
        if (r >= 16)
            vex_rm(a, 1, bits == 32 ? 2 : 3, false, 0x11, (int)r - 16, 0, RBP, disp);
        else if (bits == 8)
            op_rm8(a, 0x88, (int)r, RBP, disp);
        else
            op_rm(a, bits == 16 ? 0x66 : 0, bits == 64, 0x89, (int)r, RBP, disp);
    }
    store_i(a, true, RBP, disp + 8, 0);
}

void emit_eval(Emit *e, IrRef i, const IrOp *op)
{
    const IrRef operands[] = {op->a, op->b, op->c};
    for (unsigned n = 0; n < ir_code_operands(op->code); n++) {
        store_cell(e, operands[n], operand_type(op, n), cell_disp(e, CELL_A + n));
        e->locked = 0;
    }
    IrOp *copy = g_memdup2(op, sizeof *op);
    if (!e->r->evals)
        e->r->evals = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(e->r->evals, copy);
    store_i(&e->a, false, RBP, CPU_DISP(e, args), (int32_t)(uintptr_t)copy);
    store_i(&e->a, false, RBP, CPU_DISP(e, args) + 4, (int32_t)((uintptr_t)copy >> 32));
    emit_call_thunk(e, e->k->eval);
    if (op->type == IR_VOID)
        return;
    if (is_wide_type(op->type)) {
        unsigned c = new_cell(e, i);
        copy_wide(e, cell_disp(e, c), cell_disp(e, CELL_RESULT), wide_bytes(op->type));
        return;
    }
    unsigned d = def_reg(e, i);
    e->zeroed[i] = 1;
    if (d >= 16)
        load_xmm(&e->a, op->type, d, cell_disp(e, CELL_RESULT));
    else
        load(&e->a, true, (int)d, RBP, cell_disp(e, CELL_RESULT));
}

static void emit_get(Emit *e, IrRef i, const IrOp *op)
{
    unsigned slot = (unsigned)op->imm;
    slot_now_holds(e, slot, i);
    e->boxed[i] = e->always_boxed[slot];
    if (is_wide_type(op->type)) {
        unsigned c = new_cell(e, i);
        copy_wide(e, cell_disp(e, c), slot_disp(e, slot), wide_bytes(op->type));
    } else if (op->type == IR_F16 || (op->type == IR_F32 && e->pin[slot] < 0)) {
        /* read when used */
    }
}

static void put_const(Emit *e, const IrOp *v, int pin, int32_t disp)
{
    if (pin >= 0)
        mov_ri(&e->a, pin, (uint64_t)v->imm);
    else if (is_64(v->type) && v->imm == (int32_t)v->imm)
        store_i(&e->a, true, RBP, disp, (int32_t)v->imm);
    else if (ir_type_bits(v->type) == 32)
        store_i(&e->a, false, RBP, disp, (int32_t)v->imm);
    else {
        store_i(&e->a, false, RBP, disp, (int32_t)v->imm);
        store_i(&e->a, false, RBP, disp + 4, (int32_t)(v->imm >> 32));
    }
}

static void put_vector(Emit *e, unsigned slot, IrRef v)
{
    int pin = e->pin[slot];
    uint64_t known[2];
    if (pin >= 0 && vector_const(e, v, known)) {
        make_vector_const(e, (unsigned)pin, known);
        return;
    }
    unsigned r = use_reg(e, v);
    if (pin >= 0)
        mov_xmm(e, (unsigned)pin, r);
    else
        store_xmm(&e->a, IR_V128, r, slot_disp(e, slot));
    if (op_of(e, v)->code != IR_CONST)
        slot_now_holds(e, slot, v);
}

static void emit_put(Emit *e, const IrOp *op)
{
    unsigned slot = (unsigned)op->imm;
    IrRef v = op->a;
    const IrOp *value = op_of(e, v);
    unsigned type = e->b->guest->slots[slot].type, bits = ir_type_bits(type);
    int pin = e->pin[slot];
    int32_t disp = slot_disp(e, slot);
    e->insn_dirty = true;
    if (e->slot_held[slot] == v)
        return; /* made there, or there already */
    if (e->nan_value && (v == e->nan_value || pin == e->nan_reg))
        flush_nan(e);
    save_slot(e, slot);
    if (type == IR_V128) {
        put_vector(e, slot, v);
        return;
    }
    if (bits > 64) {
        copy_wide(e, disp, cell_disp(e, e->cell[v]), wide_bytes(type));
        slot_now_holds(e, slot, v);
        return;
    }
    if (value->code == IR_CONST && pin < 16 && bits >= 32) {
        put_const(e, value, pin, disp);
    } else if (value->code == IR_PC && pin >= 0 && e->reg[v] == NO_REG && e->slot[v] == NO_SLOT) {
        emit_pc(e, (unsigned)pin, value->imm);
    } else if (pin >= 16) {
        mov_xmm(e, (unsigned)pin, use_reg(e, v));
    } else if (pin >= 0) {
        int32_t from;
        if (use_mem(e, v, &from)) {
            load(&e->a, bits == 64, pin, RBP, from);
        } else {
            unsigned r = use_reg(e, v);
            if ((int)r != pin)
                mov_rr(&e->a, bits == 64, pin, (int)r);
        }
    } else {
        unsigned r = use_reg(e, v);
        if (r >= 16)
            vex_rm(&e->a, 1, bits == 32 ? 2 : 3, false, 0x11, (int)r - 16, 0, RBP, disp);
        else if (bits == 8)
            op_rm8(&e->a, 0x88, (int)r, RBP, disp);
        else
            op_rm(&e->a, bits == 16 ? 0x66 : 0, bits == 64, 0x89, (int)r, RBP, disp);
    }
    if (value->code != IR_CONST && value->type == type) /* a narrower slot holds only part of it */
        slot_now_holds(e, slot, v);
}

static void emit_call(Emit *e, IrRef i, const IrOp *op)
{
    const IrHelper *h = &e->b->guest->helpers[op->imm];
    if (h->flags & IR_HELPER_WRITES)
        save_all_slots(e);
    store_i(&e->a, false, RBP, CPU_DISP(e, exit_info), (int32_t)op->imm);
    emit_call_thunk(e, e->k->call);
    if (!e->live->uses[i] || h->result == IR_VOID)
        return;
    unsigned d = def_reg(e, i);
    if (d >= 16)
        load_xmm(&e->a, IR_F64, d, CPU_DISP(e, args));
    else
        load(&e->a, true, (int)d, RBP, CPU_DISP(e, args));
}

static void emit_fence(Emit *e, const IrOp *op)
{
    if (!(op->sub & IR_FENCE_SL)) /* all other orders are the host's own */
        return;
    put8(&e->a, 0xf0); /* lock or dword [rsp], 0 */
    op_rm(&e->a, 0, false, 0x83, 1, RSP, 0);
    put8(&e->a, 0);
}

static void emit_branch(Emit *e, const IrOp *op)
{
    unsigned cc = op->code == IR_BRCOND ? emit_condition(e, op->a) : 0;
    if (op->code == IR_BR) {
        put8(&e->a, 0xe9);
    } else {
        put8(&e->a, 0x0f);
        put8(&e->a, 0x80 | cc);
    }
    put32(&e->a, 0);
    if (e->n_fixups == G_N_ELEMENTS(e->fixups)) {
        e->failed = true;
        return;
    }
    e->fixups[e->n_fixups].from = e->a.p;
    e->fixups[e->n_fixups++].label = (unsigned)op->imm;
}

static void add_point(Emit *e, int32_t guest)
{
    uint32_t host = (uint32_t)code_offset(e) - e->r->entry;
    if (e->n_points && e->points[e->n_points - 1].host == host) {
        e->points[e->n_points - 1].guest = guest;
    } else if (e->n_points == G_N_ELEMENTS(e->points)) {
        e->failed = true;
    } else {
        e->points[e->n_points++] = (RegionPoint){host, guest};
    }
}

static void emit_op(Emit *e, IrRef i)
{
    const IrOp *op = &e->b->ops[i];
    if (e->nan_value && !may_wait_for_nan(e, op))
        flush_nan(e);
    switch (op->code) {
    case IR_CONST:
        if (is_wide_type(op->type)) {
            int32_t disp = cell_disp(e, new_cell(e, i));
            store_i(&e->a, false, RBP, disp, (int32_t)op->imm);
            store_i(&e->a, false, RBP, disp + 4, (int32_t)(op->imm >> 32));
            for (unsigned at = 8; at < wide_bytes(op->type); at += 8)
                store_i(&e->a, true, RBP, disp + (int32_t)at, 0);
            break;
        }
        return; /* made where it is used */
    case IR_NOP:
    case IR_PC:
        return;
    case IR_INSN:
        e->insn = (int32_t)op->imm;
        e->insn_dirty = false;
        add_point(e, e->insn);
        return;
    case IR_GET:
        emit_get(e, i, op);
        break;
    case IR_PUT:
        emit_put(e, op);
        break;
    case IR_ARG:
        store_cell(e, op->a, op_of(e, op->a)->type, CPU_DISP(e, args) + 8 * op->sub);
        break;
    case IR_CALL:
        emit_call(e, i, op);
        e->insn_dirty = true;
        break;
    case IR_FENCE:
        emit_fence(e, op);
        break;
    case IR_LABEL:
        e->label[op->imm] = e->a.p;
        drop_values(e);
        break;
    case IR_BR:
    case IR_BRCOND:
        emit_branch(e, op);
        break;
    default:
        if (ir_code_attr(op->code) & IR_ATTR_M)
            e->insn_dirty = true;
        if (op->code >= IR_VADD && op->code <= IR_VFROUND) {
            if (!emit_vector(e, i, op))
                emit_eval(e, i, op);
        } else if (!emit_exit(e, op) && !emit_memory(e, i, op) && !emit_float(e, i, op) &&
                   !emit_int(e, i, op)) {
            emit_eval(e, i, op);
        }
        break;
    }
    end_op(e, op->a, op->b, op->c);
    if (op->code == IR_CALL) /* its arguments were kept until here */
        for (IrRef arg = i; op_of(e, arg - 1)->code == IR_ARG; arg--)
            end_op(e, op_of(e, arg - 1)->a, 0, 0);
    if (op->type != IR_VOID && !e->live->uses[i])
        end_op(e, i, 0, 0);
}

static void emit_cold(Emit *e)
{
    for (unsigned n = 0; n < e->n_cold && !e->failed && e->a.p < e->limit; n++) {
        Cold *c = &e->cold[n];
        e->locked = 0;
        loop_set(e, c->swapped);
        int32_t rel = (int32_t)(e->a.p - c->from);
        memcpy(c->from - 4, &rel, 4);
        add_point(e, c->guest);
        if (n == e->dead) /* others may follow: a way out of a loop has a link of its own */
            e->r->dead_exit = (uint32_t)code_offset(e);
        if (c->kind == COLD_LOAD || c->kind == COLD_STORE)
            emit_cold_memory(e, c);
        else if (c->kind == COLD_UNBOXED)
            emit_cold_unboxed(e);
        else if (c->kind == COLD_NAN || c->kind == COLD_EVAL ||
                 c->kind == COLD_STICKY || c->kind == COLD_SUBNORMAL)
            emit_cold_float(e, c);
        else
            emit_cold_exit(e, c);
        if (c->back) {
            put8(&e->a, 0xe9);
            put32(&e->a, (uint32_t)(c->back - (e->a.p + 4)));
        }
    }
}

static void patch_labels(Emit *e)
{
    for (unsigned n = 0; n < e->n_fixups; n++) {
        int32_t rel = (int32_t)(e->label[e->fixups[n].label] - e->fixups[n].from);
        memcpy(e->fixups[n].from - 4, &rel, 4);
    }
}

static CompileResult compile(Emit *e, Translator *t, Region *r, const IrBuilder *b,
                             const IrLive *live)
{
    size_t used = (t->code.used + 15) & ~(size_t)15;
    if (used + ROOM_REGION + (size_t)b->n * ROOM_PER_OP > t->code.size)
        return COMPILE_NO_ROOM;
    e->t = t;
    e->r = r;
    e->k = t->host_data;
    e->fp = translate_fp_rules(t->guest, r->mode);
    e->b = b;
    e->live = live;
    e->a.p = t->code.write + used;
    e->limit = t->code.write + t->code.size - 512 - 16 * MAX_CONSTS;
    e->failed = e->no_room = e->keep_flags = false;
    e->n_sites = 0;
    e->indexed = cache_indexed(t, r);
    e->n_cold = e->n_fixups = e->n_points = e->n_consts = e->n_const_uses = 0;
    e->insn = 0;
    e->insn_dirty = false;
    r->first_link = t->n_links;
    if (r->evals)
        g_ptr_array_set_size(r->evals, 0);
    regs_reset(e);
    loop_begin(e);
    r->entry = (uint32_t)code_offset(e);
    put_nops(&e->a, ENTRY_NOP);
    loop_enter(e);
    find_puts(e);
    r->loop_top = (uint32_t)code_offset(e);
    for (IrRef i = 1; i < b->n && !e->failed && !e->no_room; i++) {
        if (e->a.p >= e->limit)
            return COMPILE_NO_ROOM;
        if (live->dead[i] || live->fused[i])
            continue;
        e->at = i;
        emit_op(e, i);
    }
    patch_labels(e);
    loop_set(e, false);
    Cold *dead = add_cold(e, COLD_PC_MISS); /* where x64_kill leads */
    e->dead = e->n_cold - 1;
    dead->disp = 0;
    dead->from = e->a.p;
    uint8_t saved[4];
    memcpy(saved, e->a.p - 4, 4);
    uint8_t *body_end = e->a.p;
    e->locked = 0;
    emit_cold(e);
    /* emit_cold patched the jump that this exit does not have yet */
    memcpy(body_end - 4, saved, 4);
    if (!e->failed && e->a.p < e->limit)
        put_vector_consts(e);
    if (e->no_room || e->a.p >= e->limit)
        return COMPILE_NO_ROOM;
    if (e->failed)
        return COMPILE_TOO_RICH;
    r->size = (uint32_t)code_offset(e) - r->entry;
    r->n_links = t->n_links - r->first_link;
    g_free(r->points);
    r->n_points = e->n_points;
    r->points = g_memdup2(e->points, e->n_points * sizeof *e->points);
    t->code.used = r->entry + r->size;
    for (uint32_t i = 0; i < r->n_links; i++)
        x64_patch(t, &t->links[r->first_link + i], NULL, 0);
    return COMPILE_DONE;
}

static CompileResult x64_compile(Translator *t, Region *r, const IrBuilder *b, const IrLive *live)
{
    Emit *e = &((X64Data *)t->host_data)->emit;
    size_t used = t->code.used;
    e->more_temps = 0;
    CompileResult result = compile(e, t, r, b, live);
    if (result == COMPILE_DONE && r->loop && e->spills >= SPILLS &&
        e->k->n_temps == X64_MIN_TEMPS) {
        t->code.used = used;
        t->n_links = r->first_link;
        e->more_temps = X64_LOOP_TEMPS;
        result = compile(e, t, r, b, live);
    }
    return result;
}

const TranslateHost x64_host = {
    .name = "x86-64",
    .start = x64_start,
    .compile = x64_compile,
    .run = x64_run,
    .patch = x64_patch,
    .kill = x64_kill,
    .fault = x64_fault,
};
