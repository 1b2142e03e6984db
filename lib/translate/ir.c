/* SPDX-License-Identifier: MIT */
/*
 * The IR builder: appends operations, forwards slot values within the region,
 * and hands every pure operation to fold.c first. See ir.h for the rules that
 * front ends keep. Facts about types and codes live here too.
 */
#include "translate/ir.h"

#include <glib.h>
#include "base/bits.h"
#include "translate/ir_priv.h"

static const char *const code_names[] = {
#define IR(name, operands, attributes) #name,
#include "translate/ir.def"
#undef IR
};

const uint8_t ir_operands_of_codes[IR_CODES] = {
#define IR(name, operands, attributes) operands,
#include "translate/ir.def"
#undef IR
};

const uint8_t ir_attrs_of_codes[IR_CODES] = {
#define P IR_ATTR_P
#define F IR_ATTR_F
#define M IR_ATTR_M
#define E IR_ATTR_E
#define S IR_ATTR_S
#define IR(name, operands, attributes) attributes,
#include "translate/ir.def"
#undef IR
#undef P
#undef F
#undef M
#undef E
#undef S
};

static const char *const type_names[IR_TYPES] = {"void", "i8",  "i16",  "i32",  "i64",  "i128", "f16",
                                                 "f32",  "f64", "f80",  "f128", "v128", "v256", "flags"};
const uint16_t ir_bits_of_types[IR_TYPES] = {0,  8,  16, 32,  64,  128, 16,
                                             32, 64, 80, 128, 128, 256, 32};

const char *ir_type_name(IrType type)
{
    return type_names[type];
}

const char *ir_code_name(IrCode code)
{
    return code_names[code];
}

IrCond ir_cond_swap(IrCond c)
{
    static const uint8_t swapped[] = {IR_EQ, IR_NE, IR_GT, IR_LE, IR_LT, IR_GE,
                                      IR_GTU, IR_LEU, IR_LTU, IR_GEU};
    return (IrCond)swapped[c];
}

void ir_builder_init(IrBuilder *b, const IrGuest *guest)
{
    memset(b, 0, sizeof *b);
    b->guest = guest;
    b->ops = g_new0(IrOp, IR_MAX_OPS + 8);
    b->known = g_new0(uint8_t, IR_MAX_OPS + 8);
    b->truncated = g_new0(IrRef, IR_MAX_OPS + 8);
    g_assert(guest->n_slots <= IR_MAX_SLOTS);
    ir_builder_reset(b);
}

void ir_builder_reset(IrBuilder *b)
{
    b->n = 1;
    memset(b->now, 0, sizeof b->now);
    b->n_labels = 0;
    b->label_at = 0;
    b->overflow = false;
    b->flow = IR_NEXT;
    b->insn = 0;
}

void ir_builder_clear(IrBuilder *b)
{
    g_clear_pointer(&b->ops, g_free);
    g_clear_pointer(&b->known, g_free);
    g_clear_pointer(&b->truncated, g_free);
}

IrRef ir_append(IrBuilder *b, IrOp op)
{
    if (b->n >= IR_MAX_OPS) {
        b->overflow = true;
        return IR_MAX_OPS - 1;
    }
    b->ops[b->n] = op;
    b->known[b->n] = ir_known_bits(b, &op);
    b->truncated[b->n] = 0;
    return b->n++;
}

IrRef ir_op(IrBuilder *b, IrOp op)
{
    if (op.a && !op.aux && op.code != IR_PUT)
        op.aux = b->ops[op.a].type;
    if (ir_code_attr(op.code) & IR_ATTR_P) {
        IrRef folded = ir_fold(b, &op);
        if (folded)
            return folded;
    }
    return ir_append(b, op);
}

void ir_insn(IrBuilder *b, int64_t offset, unsigned length)
{
    b->insn = offset;
    b->length = length;
    b->flow = IR_NEXT;
    ir_append(b, (IrOp){.code = IR_INSN, .sub = (uint8_t)length, .imm = offset});
}

IrRef ir_const(IrBuilder *b, IrType type, uint64_t value)
{
    if (ir_type_bits(type) < 64)
        value &= bits_mask(ir_type_bits(type));
    for (unsigned i = b->n; i-- > 1 && i + 12 > b->n;)
        if (b->ops[i].code == IR_CONST && b->ops[i].type == type &&
            (uint64_t)b->ops[i].imm == value)
            return i;
        else if (b->ops[i].code == IR_LABEL)
            break;
    return ir_append(b, (IrOp){.code = IR_CONST, .type = type, .imm = (int64_t)value});
}

IrRef ir_pc(IrBuilder *b, int64_t offset)
{
    return ir_append(b, (IrOp){.code = IR_PC, .type = IR_I64, .imm = offset});
}

IrRef ir_get(IrBuilder *b, unsigned slot)
{
    if (!b->now[slot])
        b->now[slot] =
            ir_append(b, (IrOp){.code = IR_GET, .type = b->guest->slots[slot].type, .imm = slot});
    return b->now[slot];
}

void ir_put(IrBuilder *b, unsigned slot, IrRef value)
{
    if (b->now[slot] == value)
        return;
    ir_append(b, (IrOp){.code = IR_PUT, .a = value, .imm = slot});
    b->now[slot] = value;
}

IrRef ir_unary(IrBuilder *b, IrCode code, IrType type, IrRef a)
{
    return ir_op(b, (IrOp){.code = code, .type = type, .a = a});
}

IrRef ir_binary(IrBuilder *b, IrCode code, IrRef a, IrRef c)
{
    return ir_op(b, (IrOp){.code = code, .type = b->ops[a].type, .a = a, .b = c});
}

IrRef ir_binary_imm(IrBuilder *b, IrCode code, IrRef a, int64_t imm)
{
    return ir_binary(b, code, a, ir_const(b, b->ops[a].type, (uint64_t)imm));
}

IrRef ir_cmp(IrBuilder *b, IrCond cond, IrRef a, IrRef c)
{
    return ir_op(b, (IrOp){.code = IR_CMP, .type = IR_I8, .sub = cond, .a = a, .b = c});
}

IrRef ir_select(IrBuilder *b, IrRef cond, IrRef yes, IrRef no)
{
    return ir_op(b,
                 (IrOp){.code = IR_SELECT, .type = b->ops[yes].type, .a = cond, .b = yes, .c = no});
}

IrRef ir_zext(IrBuilder *b, IrType type, IrRef a)
{
    return b->ops[a].type == type ? a : ir_unary(b, IR_ZEXT, type, a);
}

IrRef ir_sext(IrBuilder *b, IrType type, IrRef a)
{
    return b->ops[a].type == type ? a : ir_unary(b, IR_SEXT, type, a);
}

IrRef ir_trunc(IrBuilder *b, IrType type, IrRef a)
{
    if (b->ops[a].type == type)
        return a;
    /* a truncation costs nothing; the same one again lets rules see that two values are one */
    IrRef again = b->truncated[a];
    if (again > b->label_at && b->ops[again].type == type)
        return again;
    return b->truncated[a] = ir_unary(b, IR_TRUNC, type, a);
}

IrRef ir_bitcast(IrBuilder *b, IrType type, IrRef a)
{
    return b->ops[a].type == type ? a : ir_unary(b, IR_BITCAST, type, a);
}

IrRef ir_extract(IrBuilder *b, IrRef a, unsigned pos, unsigned len)
{
    return ir_op(b,
                 (IrOp){.code = IR_EXTRACT, .type = b->ops[a].type, .a = a, .imm = pos | len << 8});
}

IrRef ir_deposit(IrBuilder *b, IrRef a, IrRef field, unsigned pos, unsigned len)
{
    return ir_op(
        b,
        (IrOp){
            .code = IR_DEPOSIT, .type = b->ops[a].type, .a = a, .b = field, .imm = pos | len << 8});
}

/* floating point */

IrRef ir_fop1(IrBuilder *b, IrCode code, IrRef a, IrRound round)
{
    return ir_op(b, (IrOp){.code = code, .type = b->ops[a].type, .sub = round, .a = a});
}

IrRef ir_fop2(IrBuilder *b, IrCode code, IrRef a, IrRef c, IrRound round)
{
    return ir_op(b, (IrOp){.code = code, .type = b->ops[a].type, .sub = round, .a = a, .b = c});
}

IrRef ir_fma_as(IrBuilder *b, IrRef x, IrRef y, IrRef z, unsigned fma_flags, IrRound round)
{
    return ir_op(b, (IrOp){.code = IR_FMA,
                           .type = b->ops[x].type,
                           .sub = round,
                           .a = x,
                           .b = y,
                           .c = z,
                           .imm = fma_flags});
}

IrRef ir_fma(IrBuilder *b, IrRef x, IrRef y, IrRef z, bool negate_product, bool negate_addend,
             IrRound round)
{
    return ir_fma_as(b, x, y, z, (negate_product ? IR_FMA_NEGATE_PRODUCT : 0u) |
                     (negate_addend ? IR_FMA_NEGATE_ADDEND : 0u), round);
}

IrRef ir_frel(IrBuilder *b, IrType type, IrRef a, IrRef c, bool signalling, unsigned less,
              unsigned equal, unsigned greater, unsigned unordered)
{
    uint64_t imm =
        less | (uint64_t)equal << 16 | (uint64_t)greater << 32 | (uint64_t)unordered << 48;
    return ir_op(
        b,
        (IrOp){
            .code = IR_FREL, .type = type, .sub = signalling, .a = a, .b = c, .imm = (int64_t)imm});
}

IrRef ir_fminmax(IrBuilder *b, IrCode code, IrRef a, IrRef c, IrMinMax rule)
{
    return ir_op(b, (IrOp){.code = code, .type = b->ops[a].type, .a = a, .b = c, .imm = rule});
}

IrRef ir_fcmp(IrBuilder *b, IrFCond cond, IrRef a, IrRef c, bool signalling)
{
    return ir_op(
        b, (IrOp){.code = IR_FCMP, .type = IR_I8, .sub = cond, .a = a, .b = c, .imm = signalling});
}

IrRef ir_fsticky(IrBuilder *b, bool reverse)
{
    return ir_append(b, (IrOp){.code = IR_FSTICKY, .type = IR_I64, .sub = reverse});
}

/*
 * Compilers make a comparison that raises no flag by putting back what was there before. True if
 * nothing else is between the reading of `flags` and this point, and it has been made so.
 */
static bool silence(IrBuilder *b, IrRef flags)
{
    IrRef compare = 0;
    if (b->ops[flags].code != IR_FSTICKY || flags < b->label_at)
        return false;
    for (IrRef i = flags + 1; i < b->n; i++) {
        const IrOp *op = &b->ops[i];
        unsigned attr = ir_code_attr(op->code);
        if (op->code == IR_FCMP && ir_type_bits(op->aux) <= 64 && !compare)
            compare = i;
        else if (attr & (IR_ATTR_F | IR_ATTR_M | IR_ATTR_E) ||
                 (attr & IR_ATTR_S && op->code != IR_PUT && op->code != IR_INSN))
            return false;
    }
    if (!compare)
        return false;
    b->ops[compare].imm |= 2;
    b->ops[compare].c = flags;
    return true;
}

void ir_fsticky_set(IrBuilder *b, IrRef flags, bool reverse)
{
    if (silence(b, flags))
        return;
    ir_append(b, (IrOp){.code = IR_FSTICKY_SET, .a = flags, .aux = IR_I64, .sub = reverse});
}

IrRef ir_ftoi(IrBuilder *b, IrType type, IrRef a, unsigned to_int_flags, IrRound round)
{
    return ir_op(b,
                 (IrOp){.code = IR_FTOI, .type = type, .sub = round, .a = a, .imm = to_int_flags});
}

IrRef ir_itof(IrBuilder *b, IrType type, IrRef a, bool is_unsigned, IrRound round)
{
    return ir_op(b,
                 (IrOp){.code = IR_ITOF, .type = type, .sub = round, .a = a, .imm = is_unsigned});
}

IrRef ir_ftof(IrBuilder *b, IrType type, IrRef a, IrRound round)
{
    return ir_op(b, (IrOp){.code = IR_FTOF, .type = type, .sub = round, .a = a});
}

IrRef ir_fclass(IrBuilder *b, IrRef a)
{
    return ir_op(b, (IrOp){.code = IR_FCLASS, .type = IR_I64, .a = a});
}

IrRef ir_fbox(IrBuilder *b, IrRef a)
{
    return ir_op(b, (IrOp){.code = IR_FBOX, .type = IR_F64, .a = a});
}

IrRef ir_funbox(IrBuilder *b, IrType type, IrRef a)
{
    return ir_op(b, (IrOp){.code = IR_FUNBOX, .type = type, .a = a});
}

IrRef ir_flow(IrBuilder *b, IrType type, IrRef a)
{
    return ir_op(b, (IrOp){.code = IR_FUNBOX, .type = type, .sub = 1, .a = a});
}

IrRef ir_fzext(IrBuilder *b, IrRef a)
{
    return ir_op(b, (IrOp){.code = IR_FBOX, .type = IR_F64, .sub = 1, .a = a});
}

/* vectors */

IrRef ir_vector_imm(IrBuilder *b, IrCode code, unsigned log2, IrRef a, IrRef c, int64_t imm)
{
    return ir_op(b, (IrOp){.code = code, .type = IR_V128, .sub = (uint8_t)log2, .a = a, .b = c, .imm = imm});
}

IrRef ir_vector(IrBuilder *b, IrCode code, unsigned log2, IrRef a, IrRef c)
{
    return ir_vector_imm(b, code, log2, a, c, 0);
}

IrRef ir_vpair(IrBuilder *b, IrRef low, IrRef high)
{
    return ir_vector(b, IR_VPAIR, 3, low, high);
}

IrRef ir_vconst(IrBuilder *b, uint64_t low, uint64_t high)
{
    return ir_vpair(b, ir_const(b, IR_I64, low), ir_const(b, IR_I64, high));
}

static unsigned log2_of(IrType type)
{
    return (unsigned)__builtin_ctz(ir_type_bits(type) / 8);
}

IrRef ir_vsplat(IrBuilder *b, IrRef scalar)
{
    return ir_vector(b, IR_VSPLAT, log2_of((IrType)b->ops[scalar].type), scalar, 0);
}

IrRef ir_vzext(IrBuilder *b, IrRef scalar)
{
    return ir_vector(b, IR_VZEXT, 0, scalar, 0);
}

IrRef ir_vextract(IrBuilder *b, IrType type, IrRef v, unsigned lane)
{
    return ir_op(b, (IrOp){.code = IR_VEXTRACT, .type = type, .sub = (uint8_t)log2_of(type), .a = v, .imm = lane});
}

IrRef ir_vinsert(IrBuilder *b, IrRef v, unsigned lane, IrRef scalar)
{
    return ir_vector_imm(b, IR_VINSERT, log2_of((IrType)b->ops[scalar].type), v, scalar, lane);
}

/* memory */

static IrRef without_top(IrBuilder *b, IrRef base)
{
    return b->ignore_top ? ir_binary(b, IR_AND, base, ir_const(b, IR_I64, UINT64_MAX >> 8)) : base;
}

/* Folds a constant addend of the base into the displacement. */
static IrRef split_base(IrBuilder *b, IrMem mem, IrRef base, int32_t *disp)
{
    if (b->ignore_top)
        return without_top(b, base);
    const IrOp *op = &b->ops[base];
    int64_t sum;
    if (op->code == IR_ADD && op->type == IR_I64 && b->ops[op->b].code == IR_CONST &&
        !(mem & IR_MEM_ADDR32)) {
        sum = b->ops[op->b].imm + *disp;
        if (sum == (int32_t)sum && ir_is_live_slot_value(b, op->a)) {
            *disp = (int32_t)sum;
            return op->a;
        }
    }
    return base;
}

static int64_t mem_imm(IrMem mem, int32_t disp)
{
    return (int64_t)((uint64_t)(uint32_t)disp << 32 | mem);
}

/* Hosts reverse the bytes of integers alone. */
static IrType reversed_as(IrType type, IrMem mem)
{
    return !(mem & IR_MEM_BE) || (type != IR_F32 && type != IR_F64) ? type
           : type == IR_F32                                         ? IR_I32
                                                                    : IR_I64;
}

IrRef ir_load(IrBuilder *b, IrType type, IrMem mem, IrRef base, int32_t disp)
{
    IrType as = reversed_as(type, mem);
    if (as != type)
        return ir_bitcast(b, type, ir_load(b, as, mem, base, disp));
    base = split_base(b, mem, base, &disp);
    return ir_op(b, (IrOp){.code = IR_LOAD, .type = type, .a = base, .imm = mem_imm(mem, disp)});
}

void ir_store(IrBuilder *b, IrMem mem, IrRef base, int32_t disp, IrRef value)
{
    /* Only the bytes that reach memory matter: drop extensions of the value. */
    unsigned bits = 8 * ir_mem_bytes(mem);
    value = ir_bitcast(b, reversed_as((IrType)b->ops[value].type, mem), value);
    const IrOp *op = &b->ops[value];
    if ((op->code == IR_SEXT || op->code == IR_ZEXT) && ir_type_bits(op->aux) >= bits)
        value = op->a;
    base = split_base(b, mem, base, &disp);
    ir_op(b, (IrOp){.code = IR_STORE, .a = base, .b = value, .imm = mem_imm(mem, disp)});
}

IrRef ir_atomic(IrBuilder *b, IrAtomic what, IrType type, IrMem mem, IrRef base, IrRef value)
{
    base = without_top(b, base);
    return ir_op(b, (IrOp){.code = IR_ATOMIC, .type = type, .sub = what, .a = base, .b = value,
                           .imm = mem_imm(mem | IR_MEM_WRITES, 0)});
}

IrRef ir_cas(IrBuilder *b, IrType type, IrMem mem, IrRef base, IrRef expected, IrRef desired)
{
    base = without_top(b, base);
    return ir_op(b, (IrOp){.code = IR_CAS, .type = type, .a = base, .b = expected, .c = desired,
                           .imm = mem_imm(mem | IR_MEM_WRITES, 0)});
}

IrRef ir_load_linked(IrBuilder *b, IrType type, IrMem mem, IrRef base)
{
    base = without_top(b, base);
    return ir_op(b,
                 (IrOp){.code = IR_LOAD_LINKED, .type = type, .a = base, .imm = mem_imm(mem, 0)});
}

IrRef ir_store_cond(IrBuilder *b, IrMem mem, IrRef base, IrRef value)
{
    base = without_top(b, base);
    return ir_op(b, (IrOp){.code = IR_STORE_COND, .type = IR_I8, .a = base, .b = value,
                           .imm = mem_imm(mem | IR_MEM_WRITES, 0)});
}

void ir_fence(IrBuilder *b, unsigned fence)
{
    if (fence)
        ir_op(b, (IrOp){.code = IR_FENCE, .sub = (uint8_t)fence});
}

/* control */

unsigned ir_label_new(IrBuilder *b)
{
    if (b->n_labels == IR_MAX_LABELS) {
        b->overflow = true;
        return 0;
    }
    return b->n_labels++;
}

void ir_label(IrBuilder *b, unsigned label)
{
    b->label_at = ir_append(b, (IrOp){.code = IR_LABEL, .imm = label});
    memset(b->now, 0, sizeof b->now);
}

void ir_br(IrBuilder *b, unsigned label)
{
    ir_append(b, (IrOp){.code = IR_BR, .imm = label});
}

void ir_brcond(IrBuilder *b, IrRef cond, unsigned label)
{
    if (b->ops[cond].code == IR_CONST) {
        if (b->ops[cond].imm)
            ir_br(b, label);
        return;
    }
    ir_append(b, (IrOp){.code = IR_BRCOND, .a = cond, .imm = label});
}

void ir_jump(IrBuilder *b, int64_t offset)
{
    unsigned label;
    if (b->label_of && b->label_of(b, offset, &label)) {
        ir_br(b, label);
        b->flow = IR_ENDED;
        return;
    }
    if (b->may_follow && b->may_follow(b, offset)) {
        b->flow = IR_JUMPED;
        b->jump = offset;
        return;
    }
    ir_append(b, (IrOp){.code = IR_EXIT, .imm = offset});
    b->flow = IR_ENDED;
}

void ir_branch(IrBuilder *b, IrRef cond, int64_t offset)
{
    if (b->ops[cond].code == IR_CONST) {
        if (b->ops[cond].imm)
            ir_jump(b, offset);
        return;
    }
    unsigned label;
    if (b->label_of && b->label_of(b, offset, &label))
        ir_brcond(b, cond, label);
    else
        ir_append(b, (IrOp){.code = IR_EXIT_IF, .a = cond, .imm = offset});
}

void ir_jump_indirect(IrBuilder *b, IrRef address)
{
    if (b->ops[address].code == IR_PC) {
        ir_jump(b, b->ops[address].imm);
        return;
    }
    ir_append(b, (IrOp){.code = IR_EXIT_IND, .a = address});
    b->flow = IR_ENDED;
}

void ir_call_direct(IrBuilder *b, int64_t offset, int64_t return_offset)
{
    if (offset != (int32_t)offset) {
        ir_append(b, (IrOp){.code = IR_EXIT, .imm = offset});
    } else {
        ir_append(b, (IrOp){.code = IR_EXIT_CALL,
                            .imm = (int64_t)((uint64_t)return_offset << 32 | (uint32_t)offset)});
    }
    b->flow = IR_ENDED;
}

void ir_call_indirect(IrBuilder *b, IrRef address, int64_t return_offset)
{
    if (b->ops[address].code == IR_PC) {
        ir_call_direct(b, b->ops[address].imm, return_offset);
        return;
    }
    ir_append(b, (IrOp){.code = IR_EXIT_CALL_IND,
                        .a = address,
                        .imm = (int64_t)((uint64_t)return_offset << 32)});
    b->flow = IR_ENDED;
}

void ir_return(IrBuilder *b, IrRef address)
{
    ir_append(b, (IrOp){.code = IR_EXIT_RET, .a = address});
    b->flow = IR_ENDED;
}

void ir_exit_mode(IrBuilder *b, int64_t offset)
{
    ir_append(b, (IrOp){.code = IR_EXIT_MODE, .imm = offset});
    b->flow = IR_ENDED;
}

void ir_exit_mode_to(IrBuilder *b, IrRef address)
{
    ir_append(b, (IrOp){.code = IR_EXIT_MODE, .a = address});
    b->flow = IR_ENDED;
}

void ir_raise(IrBuilder *b, uint32_t exception, IrRef value)
{
    ir_append(b, (IrOp){.code = IR_RAISE, .a = value, .imm = exception});
    b->flow = IR_ENDED;
}

IrRef ir_call(IrBuilder *b, unsigned index, IrRef a, IrRef c, IrRef d, IrRef e)
{
    const IrHelper *h = &b->guest->helpers[index];
    const IrRef args[] = {a, c, d, e};
    for (unsigned i = 0; i < G_N_ELEMENTS(args) && args[i]; i++)
        ir_append(b, (IrOp){.code = IR_ARG, .sub = (uint8_t)i, .a = args[i]});
    IrRef r = ir_append(b, (IrOp){.code = IR_CALL, .type = h->result, .imm = index});
    if (h->flags & IR_HELPER_WRITES)
        memset(b->now, 0, sizeof b->now);
    return h->result ? r : 0;
}
