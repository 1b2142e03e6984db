/* SPDX-License-Identifier: MIT */
/*
 * The IR interpreter: the portable back end, the oracle for compilers, and the
 * way rare operations run in compiled code (interp_op). Each operation's value
 * is kept in an IrValue; common 64-bit operations have a short way.
 */
#include <string.h>

#include "base/bits.h"
#include "translate/translate_priv.h"

static void slot_get(TranslateCpu *cpu, const IrSlot *s, IrValue *v)
{
    const void *p = guest_field(cpu, s->offset);
    if (s->type == IR_I64 || s->type == IR_F64) {
        memcpy(&v->u, p, 8);
        v->w[1] = 0; /* what an earlier region left there */
        return;
    }
    memset(v, 0, sizeof *v);
    memcpy(v->bytes, p, (ir_type_bits(s->type) + 7) / 8);
}

static void slot_put(TranslateCpu *cpu, const IrSlot *s, const IrValue *v)
{
    void *p = guest_field(cpu, s->offset);
    if (s->type == IR_I64 || s->type == IR_F64)
        memcpy(p, &v->u, 8);
    else
        memcpy(p, v->bytes, (ir_type_bits(s->type) + 7) / 8);
}

static bool is_wide(unsigned type)
{
    return ir_type_bits(type) > 64;
}

static void run_memory(TranslateCpu *cpu, const IrOp *op, IrValue *r, const IrValue *a,
                       const IrValue *b, const IrValue *c)
{
    IrMem mem = (IrMem)op->imm;
    uint64_t address = a->u + (uint64_t)(op->imm >> 32);
    switch (op->code) {
    case IR_LOAD:
        if (ir_mem_log2(mem) > 3) {
            memory_load_wide(cpu, address, mem, r);
        } else {
            memset(r, 0, sizeof *r);
            r->u = memory_load(cpu, address, mem);
            if (ir_type_bits(op->type) < 64)
                r->u &= bits_mask(ir_type_bits(op->type));
            else if (op->type == IR_I128 && mem & IR_MEM_SIGNED)
                r->w[1] = (uint64_t)((int64_t)r->u >> 63);
        }
        break;
    case IR_STORE:
        if (ir_mem_log2(mem) > 3)
            memory_store_wide(cpu, address, mem, b);
        else
            memory_store(cpu, address, mem, b->u & bits_mask(8 * ir_mem_bytes(mem)));
        break;
    case IR_ATOMIC:
        memset(r, 0, sizeof *r);
        r->u = memory_atomic(cpu, (IrAtomic)op->sub, address, mem, b->u) &
               bits_mask(ir_type_bits(op->type));
        break;
    case IR_CAS:
        memory_cas(cpu, address, mem, r, b, c);
        if (ir_type_bits(op->type) < 64)
            r->u &= bits_mask(ir_type_bits(op->type));
        break;
    case IR_LOAD_LINKED:
        memset(r, 0, sizeof *r);
        r->u = memory_load_linked(cpu, address, mem) & bits_mask(ir_type_bits(op->type));
        break;
    default: /* STORE_COND */
        memset(r, 0, sizeof *r);
        r->u = memory_store_cond(cpu, address, mem, b->u);
        break;
    }
}

void interp_op(TranslateCpu *cpu, const IrOp *op, IrValue *r, const IrValue *a, const IrValue *b,
               const IrValue *c)
{
    unsigned attr = ir_code_attr(op->code);
    if (attr & IR_ATTR_M)
        run_memory(cpu, op, r, a, b, c);
    else if (attr & IR_ATTR_F)
        eval_fp(cpu, op, r, a, b, c);
    else
        ir_eval(op, r, a, b, c);
}

/* The frequent operations on whole 64-bit values. False: not one of them. */
static inline bool run_fast(const IrOp *op, uint64_t *r, uint64_t a, uint64_t b)
{
    if (op->type != IR_I64)
        return false;
    switch (op->code) {
    case IR_ADD: *r = a + b; return true;
    case IR_SUB: *r = a - b; return true;
    case IR_AND: *r = a & b; return true;
    case IR_OR: *r = a | b; return true;
    case IR_XOR: *r = a ^ b; return true;
    case IR_SHL: *r = a << (b & 63); return true;
    case IR_SHR: *r = a >> (b & 63); return true;
    case IR_SAR: *r = (uint64_t)((int64_t)a >> (b & 63)); return true;
    case IR_MUL: *r = a * b; return true;
    case IR_ZEXT: *r = a; return true;
    case IR_SEXT: *r = (uint64_t)bits_sext(a, ir_type_bits(op->aux)); return true;
    default: return false;
    }
}

static uint32_t find_label(const Region *r, int64_t label)
{
    for (uint32_t i = 1; i < r->n_ops; i++)
        if (r->ops[i].code == IR_LABEL && r->ops[i].imm == label)
            return i;
    g_error("IR without label %d", (int)label);
}

static ExitReason leave(TranslateCpu *cpu, uint64_t pc, ExitReason reason)
{
    cpu->pc = pc;
    return reason;
}

static void call_helper(TranslateCpu *cpu, const IrOp *op, IrValue *r)
{
    const IrHelper *h = &cpu->guest->ir.helpers[op->imm];
    uint64_t v = h->fn(cpu, cpu->args[0], cpu->args[1], cpu->args[2], cpu->args[3]);
    memset(r, 0, sizeof *r);
    if (h->result)
        r->u = v & bits_mask(ir_type_bits(h->result));
}

ExitReason interp_run(TranslateCpu *cpu, const Region *region)
{
    IrValue *v = cpu->values;
    const IrSlot *slots = cpu->guest->ir.slots;
    uint64_t start = cpu->pc;
    for (uint32_t i = 1;; i++) {
        const IrOp *op = &region->ops[i];
        switch (op->code) {
        case IR_NOP:
        case IR_LABEL:
            continue;
        case IR_INSN:
            cpu->insn_pc = start + (uint64_t)op->imm;
            continue;
        case IR_CONST:
            memset(&v[i], 0, sizeof v[i]);
            v[i].u = (uint64_t)op->imm;
            continue;
        case IR_PC:
            v[i].u = start + (uint64_t)op->imm;
            v[i].w[1] = 0;
            continue;
        case IR_GET:
            slot_get(cpu, &slots[op->imm], &v[i]);
            continue;
        case IR_PUT:
            slot_put(cpu, &slots[op->imm], &v[op->a]);
            continue;
        case IR_FENCE:
            __atomic_thread_fence(__ATOMIC_SEQ_CST);
            continue;
        case IR_BR:
            i = find_label(region, op->imm);
            continue;
        case IR_BRCOND:
            if (v[op->a].u & 1)
                i = find_label(region, op->imm);
            continue;
        case IR_ARG:
            cpu->args[op->sub] = v[op->a].u;
            continue;
        case IR_CALL:
            if (cpu->verify)
                verify_call(cpu, op, &v[i], call_helper);
            else
                call_helper(cpu, op, &v[i]);
            if (cpu->fault_pending)
                return leave(cpu, cpu->insn_pc, EXIT_FAULT);
            continue;
        case IR_EXIT_IF:
            if (!(v[op->a].u & 1))
                continue;
            /* fallthrough */
        case IR_EXIT:
            return leave(cpu, start + (uint64_t)op->imm, EXIT_MISS);
        case IR_EXIT_CALL:
            return leave(cpu, start + (uint64_t)(int64_t)(int32_t)op->imm, EXIT_MISS);
        case IR_EXIT_CALL_IND:
        case IR_EXIT_RET:
        case IR_EXIT_IND:
            return leave(cpu, v[op->a].u, EXIT_MISS);
        case IR_EXIT_MODE:
            return leave(cpu, op->a ? v[op->a].u : start + (uint64_t)op->imm, EXIT_MODE);
        case IR_RAISE:
            translate_raise(cpu, (uint32_t)op->imm, v[op->a].u);
            return leave(cpu, cpu->insn_pc, EXIT_FAULT);
        default:
            if (run_fast(op, &v[i].u, v[op->a].u, v[op->b].u)) {
                v[i].w[1] = 0;
                continue;
            }
            interp_op(cpu, op, &v[i], &v[op->a], &v[op->b], &v[op->c]);
            if (cpu->fault_pending)
                return leave(cpu, cpu->insn_pc, EXIT_FAULT);
            if (!is_wide(op->type))
                v[i].w[1] = v[i].w[2] = v[i].w[3] = 0;
        }
    }
}
