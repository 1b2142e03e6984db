/* SPDX-License-Identifier: MIT */
/*
 * F and D. f registers are f64 slots; single-precision values are boxed in
 * them. The dynamic rounding mode is IR_RDYN while frm is one the host has; the
 * mode key says when it is round-to-nearest-ties-away or invalid. mstatus.FS
 * becomes dirty at the first instruction of a region that may change an f
 * register or the sticky flags.
 */
#include "guest/riscv/riscv_priv.h"

#define DECODE_EXTERN
#define DECODE_TYPES_ONLY
#include "gen/guest/riscv/rv.inc"

static bool fp_on(const RvTrans *c, int fmt)
{
    return MODE_FS(c->mode) && (fmt ? c->p->d : c->p->f);
}

void rv_fs_dirty(RvTrans *c)
{
    if (MODE_FS(c->mode) == 3)
        return;
    IrRef now = c->b->now[SLOT_FS];
    if (!now || c->b->ops[now].code != IR_CONST)
        ir_put(c->b, SLOT_FS, ir_const(c->b, IR_I64, 3));
}

static bool rounding(const RvTrans *c, int rm, IrRound *round)
{
    if (rm == 7) {
        *round = MODE_FRM(c->mode) == FRM_RMM ? IR_RMM : IR_RDYN;
        return MODE_FRM(c->mode) != FRM_INVALID;
    }
    *round = (IrRound)rm;
    return rm <= 4;
}

static IrType type_of(int fmt)
{
    return fmt ? IR_F64 : IR_F32;
}

static IrRef get_f(RvTrans *c, int n, int fmt)
{
    IrRef v = ir_get(c->b, SLOT_F + (unsigned)n);
    return fmt ? v : ir_funbox(c->b, IR_F32, v);
}

static void put_f(RvTrans *c, int n, IrRef v)
{
    if (c->b->ops[v].type != IR_F64)
        v = ir_fbox(c->b, v);
    ir_put(c->b, SLOT_F + (unsigned)n, v);
    rv_fs_dirty(c);
}

bool trans_fload(RvTrans *c, const ArgsLoad *a)
{
    int fmt = a->mem == 3;
    if (!fp_on(c, fmt))
        return false;
    put_f(c, a->rd, ir_load(c->b, type_of(fmt), c->mem | IR_MEM_SIZE(a->mem), rv_get64(c, a->rs1),
                            a->imm));
    return true;
}

/* FSW stores the low word whether boxed or not. */
static IrRef word_of(RvTrans *c, int n)
{
    return ir_trunc(c->b, IR_I32, ir_bitcast(c->b, IR_I64, ir_get(c->b, SLOT_F + (unsigned)n)));
}

bool trans_fstore(RvTrans *c, const ArgsStore *a)
{
    int fmt = a->mem == 3;
    if (!fp_on(c, fmt))
        return false;
    IrRef v = fmt ? get_f(c, a->rs2, 1) : word_of(c, a->rs2);
    ir_store(c->b, c->mem | IR_MEM_SIZE(a->mem), rv_get64(c, a->rs1), a->imm, v);
    return true;
}

static bool fused(RvTrans *c, const ArgsF4 *a, bool negate_product, bool negate_addend)
{
    IrRound round;
    if (!fp_on(c, a->fmt) || !rounding(c, a->rm, &round))
        return false;
    put_f(c, a->rd, ir_fma(c->b, get_f(c, a->rs1, a->fmt), get_f(c, a->rs2, a->fmt),
                           get_f(c, a->rs3, a->fmt),
                           negate_product, negate_addend, round));
    return true;
}

bool trans_fmadd(RvTrans *c, const ArgsF4 *a)
{
    return fused(c, a, false, false);
}

bool trans_fmsub(RvTrans *c, const ArgsF4 *a)
{
    return fused(c, a, false, true);
}

bool trans_fnmsub(RvTrans *c, const ArgsF4 *a)
{
    return fused(c, a, true, false);
}

bool trans_fnmadd(RvTrans *c, const ArgsF4 *a)
{
    return fused(c, a, true, true);
}

static bool binary(RvTrans *c, const ArgsF3 *a, IrCode code)
{
    IrRound round;
    if (!fp_on(c, a->fmt) || !rounding(c, a->rm, &round))
        return false;
    put_f(c, a->rd, ir_fop2(c->b, code, get_f(c, a->rs1, a->fmt), get_f(c, a->rs2, a->fmt), round));
    return true;
}

bool trans_fadd(RvTrans *c, const ArgsF3 *a)
{
    return binary(c, a, IR_FADD);
}

bool trans_fsub(RvTrans *c, const ArgsF3 *a)
{
    return binary(c, a, IR_FSUB);
}

bool trans_fmul(RvTrans *c, const ArgsF3 *a)
{
    return binary(c, a, IR_FMUL);
}

bool trans_fdiv(RvTrans *c, const ArgsF3 *a)
{
    return binary(c, a, IR_FDIV);
}

bool trans_fsqrt(RvTrans *c, const ArgsF2 *a)
{
    IrRound round;
    if (!fp_on(c, a->fmt) || !rounding(c, a->rm, &round))
        return false;
    put_f(c, a->rd, ir_fop1(c->b, IR_FSQRT, get_f(c, a->rs1, a->fmt), round));
    return true;
}

bool trans_fsgnj(RvTrans *c, const ArgsFn *a)
{
    if (!fp_on(c, a->fmt))
        return false;
    IrRef x = get_f(c, a->rs1, a->fmt);
    if (a->rs1 != a->rs2) /* else fmv */
        x = ir_binary(c->b, IR_FCOPYSIGN, x, get_f(c, a->rs2, a->fmt));
    put_f(c, a->rd, x);
    return true;
}

bool trans_fsgnjn(RvTrans *c, const ArgsFn *a)
{
    if (!fp_on(c, a->fmt))
        return false;
    IrRef x = get_f(c, a->rs1, a->fmt);
    IrRef n = ir_unary(c->b, IR_FNEG, type_of(a->fmt), get_f(c, a->rs2, a->fmt));
    put_f(c, a->rd, a->rs1 == a->rs2 ? n : ir_binary(c->b, IR_FCOPYSIGN, x, n));
    return true;
}

bool trans_fsgnjx(RvTrans *c, const ArgsFn *a)
{
    if (!fp_on(c, a->fmt))
        return false;
    IrRef x = get_f(c, a->rs1, a->fmt);
    if (a->rs1 == a->rs2) {
        put_f(c, a->rd, ir_unary(c->b, IR_FABS, type_of(a->fmt), x));
        return true;
    }
    IrType bits = a->fmt ? IR_I64 : IR_I32;
    IrRef i = ir_bitcast(c->b, bits, x), j = ir_bitcast(c->b, bits, get_f(c, a->rs2, a->fmt));
    IrRef sign = ir_binary_imm(c->b, IR_AND, j, a->fmt ? INT64_MIN : INT32_MIN);
    put_f(c, a->rd, ir_bitcast(c->b, type_of(a->fmt), ir_binary(c->b, IR_XOR, i, sign)));
    return true;
}

static bool minmax(RvTrans *c, const ArgsFn *a, IrCode code)
{
    if (!fp_on(c, a->fmt))
        return false;
    put_f(c, a->rd, ir_fminmax(c->b, code, get_f(c, a->rs1, a->fmt), get_f(c, a->rs2, a->fmt),
                               IR_MINMAX_NUMBER));
    return true;
}

bool trans_fmin(RvTrans *c, const ArgsFn *a)
{
    return minmax(c, a, IR_FMIN);
}

bool trans_fmax(RvTrans *c, const ArgsFn *a)
{
    return minmax(c, a, IR_FMAX);
}

static bool compare(RvTrans *c, const ArgsFn *a, IrFCond cond, bool signalling)
{
    if (!fp_on(c, a->fmt))
        return false;
    IrRef v = ir_fcmp(c->b, cond, get_f(c, a->rs1, a->fmt), get_f(c, a->rs2, a->fmt), signalling);
    rv_put64(c, a->rd, ir_zext(c->b, IR_I64, v));
    rv_fs_dirty(c);
    return true;
}

bool trans_fle(RvTrans *c, const ArgsFn *a)
{
    return compare(c, a, IR_FLE, true);
}

bool trans_flt(RvTrans *c, const ArgsFn *a)
{
    return compare(c, a, IR_FLT, true);
}

bool trans_feq(RvTrans *c, const ArgsFn *a)
{
    return compare(c, a, IR_FEQ, false);
}

bool trans_fcvt_s_d(RvTrans *c, const ArgsF2 *a)
{
    IrRound round;
    if (!fp_on(c, 1) || !rounding(c, a->rm, &round))
        return false;
    put_f(c, a->rd, ir_ftof(c->b, IR_F32, get_f(c, a->rs1, 1), round));
    return true;
}

bool trans_fcvt_d_s(RvTrans *c, const ArgsF2 *a)
{
    IrRound round;
    if (!fp_on(c, 1) || !rounding(c, a->rm, &round))
        return false;
    put_f(c, a->rd, ir_ftof(c->b, IR_F64, get_f(c, a->rs1, 0), round));
    return true;
}

/* rs2: 0 w, 1 wu, 2 l, 3 lu */
bool trans_fcvt_int(RvTrans *c, const ArgsF3 *a)
{
    IrRound round;
    if (!fp_on(c, a->fmt) || !rounding(c, a->rm, &round) || (c->rv32 && a->rs2 & 2))
        return false;
    unsigned how = IR_TOINT_NAN_MAX | (a->rs2 & 1 ? IR_TOINT_UNSIGNED : 0);
    rv_put(c, a->rd, ir_ftoi(c->b, a->rs2 & 2 ? IR_I64 : IR_I32, get_f(c, a->rs1, a->fmt), how,
                             round));
    rv_fs_dirty(c);
    return true;
}

bool trans_fcvt_from(RvTrans *c, const ArgsF3 *a)
{
    IrRound round;
    if (!fp_on(c, a->fmt) || !rounding(c, a->rm, &round) || (c->rv32 && a->rs2 & 2))
        return false;
    IrRef x = a->rs2 & 2 ? rv_get64(c, a->rs1) : rv_get32(c, a->rs1);
    put_f(c, a->rd, ir_itof(c->b, type_of(a->fmt), x, a->rs2 & 1, round));
    return true;
}

bool trans_fmv_x(RvTrans *c, const ArgsF1 *a)
{
    if (!fp_on(c, a->fmt) || (c->rv32 && a->fmt))
        return false;
    rv_put(c, a->rd, a->fmt ? ir_bitcast(c->b, IR_I64, get_f(c, a->rs1, 1)) : word_of(c, a->rs1));
    return true;
}

bool trans_fmv_f(RvTrans *c, const ArgsF1 *a)
{
    if (!fp_on(c, a->fmt) || (c->rv32 && a->fmt))
        return false;
    IrRef x = a->fmt ? rv_get64(c, a->rs1) : rv_get32(c, a->rs1);
    put_f(c, a->rd, ir_bitcast(c->b, type_of(a->fmt), x));
    return true;
}

bool trans_fclass(RvTrans *c, const ArgsF1 *a)
{
    if (!fp_on(c, a->fmt))
        return false;
    rv_put64(c, a->rd, ir_fclass(c->b, get_f(c, a->rs1, a->fmt)));
    return true;
}
