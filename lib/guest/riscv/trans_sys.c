/* SPDX-License-Identifier: MIT */
/*
 * Zicsr, environment calls, xRET, WFI, fences of translations, Zicbom, Zicboz.
 *
 * Privilege is part of the mode key, so it is checked here, once. CSRs that are
 * mere storage are slots; sstatus and mstatus are put together in line, and a
 * write of nothing but their interrupt-enable bits is done in line too, because
 * kernels do little else. All other CSRs go through a helper; the region ends
 * only if the write can matter to translation or interrupts.
 */
#include "guest/riscv/riscv_priv.h"

#define DECODE_EXTERN
#define DECODE_TYPES_ONLY
#include "gen/guest/riscv/rv.inc"

void rv_exit_if_slot(RvTrans *c, unsigned slot)
{
    IrBuilder *b = c->b;
    unsigned stay = ir_label_new(b);
    ir_brcond(b, ir_cmp(b, IR_EQ, ir_get(b, slot), ir_const(b, IR_I64, 0)), stay);
    ir_exit_mode(b, c->next);
    ir_label(b, stay);
    b->flow = IR_NEXT;
}

typedef enum {
    AFTER_NOTHING, /* goes on in the region */
    AFTER_ASK,     /* leaves if the helper says so */
    AFTER_EXIT,
} After;

typedef struct Csr {
    unsigned number;
    int slot;        /* or -1 */
    uint64_t mask;   /* of writes to the slot */
} Csr;

static Csr csr_slot(const RvTrans *c, unsigned number)
{
    uint64_t pc_mask = c->p->c ? ~UINT64_C(1) : ~UINT64_C(3);
    switch (number) {
    case 0x140: return (Csr){number, SLOT_SSCRATCH, UINT64_MAX};
    case 0x141: return (Csr){number, SLOT_SEPC, pc_mask};
    case 0x105: return (Csr){number, SLOT_STVEC, ~UINT64_C(2)};
    case 0x142: return (Csr){number, SLOT_SCAUSE, UINT64_MAX};
    case 0x143: return (Csr){number, SLOT_STVAL, UINT64_MAX};
    case 0x340: return (Csr){number, SLOT_MSCRATCH, UINT64_MAX};
    case 0x341: return (Csr){number, SLOT_MEPC, pc_mask};
    case 0x305: return (Csr){number, SLOT_MTVEC, ~UINT64_C(2)};
    case 0x342: return (Csr){number, SLOT_MCAUSE, UINT64_MAX};
    case 0x343: return (Csr){number, SLOT_MTVAL, UINT64_MAX};
    default: return (Csr){number, -1, 0};
    }
}

static After csr_after(unsigned number)
{
    switch (number) {
    case 0x001:               /* fflags */
    case 0x106: case 0x306:   /* counter enables: looked at by the helper */
    case 0x320: case 0x302: case 0x10a:
        return AFTER_NOTHING;
    case 0x002: case 0x003: case 0x100: case 0x300: case 0x104: case 0x304: case 0x144: case 0x344:
        return AFTER_ASK;
    default:
        return (number >= 0xb00 && number < 0xc00) || (number >= 0x323 && number < 0x340) ?
               AFTER_NOTHING : AFTER_EXIT;
    }
}

static bool is_fp_csr(unsigned number)
{
    return number >= 1 && number <= 3;
}

/* sstatus or mstatus of RV64 from its slots. */
static IrRef status_value(RvTrans *c, unsigned number)
{
    IrBuilder *b = c->b;
    IrRef v = ir_get(b, SLOT_MSTATUS);
    if (number == 0x100)
        v = ir_binary_imm(b, IR_AND, v, (int64_t)SSTATUS_MASK);
    if (MODE_FS(c->mode) == 3)
        return ir_binary_imm(b, IR_OR, v, (int64_t)(MSTATUS_FS | BIT64(63)));
    if (MODE_FS(c->mode) == 0)
        return v;
    IrRef fs = ir_get(b, SLOT_FS);
    IrRef dirty = ir_zext(b, IR_I64, ir_cmp(b, IR_EQ, fs, ir_const(b, IR_I64, 3)));
    v = ir_binary(b, IR_OR, v, ir_binary_imm(b, IR_SHL, fs, MSTATUS_FS_SHIFT));
    return ir_binary(b, IR_OR, v, ir_binary_imm(b, IR_SHL, dirty, 63));
}

static bool is_status(unsigned number)
{
    return number == 0x100 || number == 0x300;
}

/* csrrs/csrrc of sstatus or mstatus that touch only SIE, MIE. False: not this. */
static bool status_enable(RvTrans *c, unsigned number, int rd, unsigned op, IrRef operand)
{
    IrBuilder *b = c->b;
    const IrOp *k = &b->ops[operand];
    uint64_t may = MSTATUS_SIE | (number == 0x300 ? MSTATUS_MIE : 0);
    if (!is_status(number) || c->p->rv32 || op == CSR_OP_WRITE || k->code != IR_CONST ||
        (uint64_t)k->imm & ~may)
        return false;
    int64_t bits = k->imm;
    IrRef old = rd ? status_value(c, number) : 0;
    IrRef v = ir_get(b, SLOT_MSTATUS);
    if (op == CSR_OP_CLEAR)
        v = ir_binary_imm(b, IR_AND, v, ~bits);
    else
        v = ir_binary_imm(b, IR_OR, v, bits);
    ir_put(b, SLOT_MSTATUS, v);
    if (rd)
        rv_put64(c, rd, old);
    if (op == CSR_OP_SET)
        rv_exit_if_slot(c, SLOT_ATTENTION);
    return true;
}

static bool csr_by_slot(RvTrans *c, const Csr *csr, int rd, unsigned op, IrRef operand)
{
    IrBuilder *b = c->b;
    IrRef old = ir_get(b, (unsigned)csr->slot), v = operand;
    if (op == CSR_OP_SET)
        v = ir_binary(b, IR_OR, old, operand);
    else if (op == CSR_OP_CLEAR)
        v = ir_binary(b, IR_ANDN, old, operand);
    if (op) {
        if (csr->mask != UINT64_MAX)
            v = ir_binary_imm(b, IR_AND, v, (int64_t)csr->mask);
        ir_put(b, (unsigned)csr->slot, v);
    }
    rv_put64(c, rd, old);
    return true;
}

static void fflags_access(RvTrans *c, int rd, unsigned op, IrRef operand)
{
    IrBuilder *b = c->b;
    IrRef old = 0, v = operand;
    if (rd || op != CSR_OP_WRITE)
        old = ir_fsticky(b, true);
    if (op) {
        if (op != CSR_OP_WRITE)
            v = ir_binary(b, op == CSR_OP_SET ? IR_OR : IR_ANDN, old, operand);
        rv_fs_dirty(c);
        ir_fsticky_set(b, v, true);
    }
    if (old)
        rv_put64(c, rd, old);
}

/* op 0: read only */
static bool csr_access(RvTrans *c, unsigned number, int rd, unsigned op, IrRef operand)
{
    IrBuilder *b = c->b;
    const RiscvCpu *cpu = b->cpu;
    if (!c->p->zicsr || (number >> 8 & 3) > MODE_PRIV(c->mode) || !riscv_csr_exists(cpu, number))
        return false;
    if (op && number >> 10 == 3)
        return false;
    if (is_fp_csr(number) && !MODE_FS(c->mode))
        return false;
    if (number == 0x180 && MODE_PRIV(c->mode) == RISCV_S && c->mode & MODE_TVM)
        return false;
    if (number == 1) {
        fflags_access(c, rd, op, operand);
        return true;
    }
    Csr csr = csr_slot(c, number);
    if (csr.slot >= 0)
        return csr_by_slot(c, &csr, rd, op, operand);
    if (!op && is_status(number) && !c->p->rv32) {
        rv_put64(c, rd, status_value(c, number));
        return true;
    }
    if (op && status_enable(c, number, rd, op, operand))
        return true;
    IrRef bits = ir_const(b, IR_I64, c->bits);
    if (!op) {
        IrRef v = ir_call(b, is_fp_csr(number) ? HELPER_FCSR_READ : HELPER_CSR_READ,
                          ir_const(b, IR_I64, number), bits, 0, 0);
        rv_put64(c, rd, v);
        return true;
    }
    IrRef what = ir_const(b, IR_I64, number | op << 12);
    rv_put64(c, rd, ir_call(b, is_fp_csr(number) ? HELPER_FCSR_WRITE : HELPER_CSR_WRITE, what,
                            operand, bits, 0));
    switch (csr_after(number)) {
    case AFTER_EXIT: ir_exit_mode(b, c->next); break;
    case AFTER_ASK: rv_exit_if_slot(c, SLOT_EXIT_NEEDED); break;
    default: break;
    }
    return true;
}

bool trans_csrrw(RvTrans *c, const ArgsCsr *a)
{
    return csr_access(c, (unsigned)a->csr, a->rd, CSR_OP_WRITE, rv_get64(c, a->rs1));
}

bool trans_csrrs(RvTrans *c, const ArgsCsr *a)
{
    return csr_access(c, (unsigned)a->csr, a->rd, a->rs1 ? CSR_OP_SET : 0, rv_get64(c, a->rs1));
}

bool trans_csrrc(RvTrans *c, const ArgsCsr *a)
{
    return csr_access(c, (unsigned)a->csr, a->rd, a->rs1 ? CSR_OP_CLEAR : 0, rv_get64(c, a->rs1));
}

bool trans_csrrwi(RvTrans *c, const ArgsCsr *a)
{
    return csr_access(c, (unsigned)a->csr, a->rd, CSR_OP_WRITE,
                      ir_const(c->b, IR_I64, (uint64_t)a->rs1));
}

bool trans_csrrsi(RvTrans *c, const ArgsCsr *a)
{
    return csr_access(c, (unsigned)a->csr, a->rd, a->rs1 ? CSR_OP_SET : 0,
                      ir_const(c->b, IR_I64, (uint64_t)a->rs1));
}

bool trans_csrrci(RvTrans *c, const ArgsCsr *a)
{
    return csr_access(c, (unsigned)a->csr, a->rd, a->rs1 ? CSR_OP_CLEAR : 0,
                      ir_const(c->b, IR_I64, (uint64_t)a->rs1));
}

bool trans_ecall(RvTrans *c, const ArgsNone *a)
{
    ir_raise(c->b, RISCV_ECALL_U + (unsigned)MODE_PRIV(c->mode), ir_const(c->b, IR_I64, 0));
    return true;
}

bool trans_ebreak(RvTrans *c, const ArgsNone *a)
{
    ir_raise(c->b, RISCV_BREAKPOINT, ir_pc(c->b, c->b->insn));
    return true;
}

bool trans_sret(RvTrans *c, const ArgsNone *a)
{
    RiscvPriv priv = MODE_PRIV(c->mode);
    if (!c->p->s || priv < RISCV_S || (priv == RISCV_S && c->mode & MODE_TSR))
        return false;
    ir_exit_mode_to(c->b, ir_call(c->b, HELPER_SRET, 0, 0, 0, 0));
    return true;
}

bool trans_mret(RvTrans *c, const ArgsNone *a)
{
    if (MODE_PRIV(c->mode) != RISCV_M)
        return false;
    ir_exit_mode_to(c->b, ir_call(c->b, HELPER_MRET, 0, 0, 0, 0));
    return true;
}

/* In U-mode WFI may not be held up for ever when there is an S-mode: always illegal there, as TW
   is for S. */
bool trans_wfi(RvTrans *c, const ArgsNone *a)
{
    RiscvPriv priv = MODE_PRIV(c->mode);
    if ((priv != RISCV_M && c->mode & MODE_TW) || (priv == RISCV_U && c->p->s))
        return false;
    ir_call(c->b, HELPER_WFI, 0, 0, 0, 0);
    ir_exit_mode(c->b, c->next);
    return true;
}

static bool may_fence(const RvTrans *c)
{
    RiscvPriv priv = MODE_PRIV(c->mode);
    return c->p->s && c->p->mmu && priv >= RISCV_S && !(priv == RISCV_S && c->mode & MODE_TVM);
}

bool trans_sfence_vma(RvTrans *c, const ArgsTwo *a)
{
    if (!may_fence(c))
        return false;
    IrRef how = ir_const(c->b, IR_I64, (uint64_t)((a->rs1 != 0) | (a->rs2 != 0) << 1));
    ir_call(c->b, HELPER_SFENCE, rv_get64(c, a->rs1), rv_get64(c, a->rs2), how, 0);
    rv_exit_if_slot(c, SLOT_EXIT_NEEDED);
    return true;
}

bool trans_sinval_vma(RvTrans *c, const ArgsTwo *a)
{
    return c->p->svinval && trans_sfence_vma(c, a);
}

/* SINVAL.VMA takes effect at once, so its fences have nothing left to order. */
static bool inval_fence(RvTrans *c)
{
    return c->p->svinval && MODE_PRIV(c->mode) >= RISCV_S;
}

bool trans_sfence_w_inval(RvTrans *c, const ArgsNone *a)
{
    return inval_fence(c);
}

bool trans_sfence_inval_ir(RvTrans *c, const ArgsNone *a)
{
    return inval_fence(c);
}

/* Caches are coherent here, so these only check permissions. */
bool trans_cbo(RvTrans *c, const ArgsCbo *a)
{
    if (!c->p->zicbom)
        return false;
    ir_call(c->b, HELPER_CBO, rv_get64(c, a->rs1), ir_const(c->b, IR_I64, (uint64_t)a->what),
            ir_const(c->b, IR_I64, c->bits), 0);
    return true;
}

bool trans_cbo_zero(RvTrans *c, const ArgsUn *a)
{
    if (!c->p->zicboz)
        return false;
    if (MODE_PRIV(c->mode) != RISCV_M)
        ir_call(c->b, HELPER_CBO_ZERO, ir_const(c->b, IR_I64, c->bits), 0, 0, 0);
    IrRef block = ir_binary_imm(c->b, IR_AND, rv_get64(c, a->rs1), -(int64_t)c->p->cboz_block);
    IrRef zero = ir_const(c->b, IR_I64, 0);
    for (unsigned i = 0; i < c->p->cboz_block; i += 8)
        ir_store(c->b, c->mem | IR_MEM_SIZE(3), block, (int32_t)i, zero);
    return true;
}
