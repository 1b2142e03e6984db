/* SPDX-License-Identifier: MIT */
/*
 * Translation of one instruction: length, decode table, the illegal-instruction
 * exception for what no table or trans_ function took. The trans_ functions of
 * compressed forms whose meaning depends on XLEN are here too.
 */
#include "guest/riscv/riscv_priv.h"

#include "base/bytes.h"

#define DECODE_EXTERN
#include "gen/guest/riscv/rv.inc"
#include "gen/guest/riscv/rvc.inc"

bool riscv_insn(IrBuilder *b, const uint8_t *code, unsigned available)
{
    const RiscvCpu *cpu = b->cpu;
    RvTrans c = {.b = b, .p = &cpu->props, .mode = b->mode, .rv32 = b->mode & MODE_32};
    bool compressed;
    if (available < 2)
        return false;
    c.bits = ld_le16(code);
    compressed = (c.bits & 3) != 3;
    if (!compressed) {
        if (available < 4)
            return false;
        c.bits = ld_le32(code);
    }
    c.xlen = c.rv32 ? IR_I32 : IR_I64;
    c.mem = IR_MEM_MMU(MODE_MMU(c.mode)) | (c.mode & MODE_DATA_32 ? IR_MEM_ADDR32 : 0);
    unsigned length = compressed ? 2 : 4;
    c.next = b->insn + length;
    ir_insn(b, b->insn, length);
    bool known = compressed ? c.p->c && rvc_decode(&c, (uint16_t)c.bits) : rv_decode(&c, c.bits);
    if (!known)
        rv_illegal(&c);
    return true;
}

bool trans_illegal(RvTrans *c, const ArgsNone *a)
{
    return rv_illegal(c);
}

bool trans_c_addi16(RvTrans *c, const ArgsI *a)
{
    return a->imm && trans_addi(c, a);
}

bool trans_c_lui(RvTrans *c, const ArgsI *a)
{
    return a->imm && trans_lui(c, &(ArgsU){.rd = a->rd, .imm = a->imm});
}

bool trans_c_addiw_jal(RvTrans *c, const ArgsCAddiwJal *a)
{
    if (c->rv32)
        return trans_jal(c, &(ArgsJ){.rd = 1, .imm = a->imm32});
    return a->rd && trans_addiw(c, &(ArgsI){.rd = a->rd, .rs1 = a->rs1, .imm = a->imm});
}

bool trans_c_ld_flw(RvTrans *c, const ArgsCLdFlw *a)
{
    ArgsLoad load = {.rd = a->rd, .rs1 = a->rs1, .imm = c->rv32 ? a->imm32 : a->imm,
                     .mem = c->rv32 ? 2 : 3};
    return c->rv32 ? trans_fload(c, &load) : trans_load(c, &load);
}

bool trans_c_ldsp_flwsp(RvTrans *c, const ArgsCLdFlw *a)
{
    return (c->rv32 || a->rd) && trans_c_ld_flw(c, a);
}

bool trans_c_sd_fsw(RvTrans *c, const ArgsCSdFsw *a)
{
    ArgsStore store = {.rs1 = a->rs1, .rs2 = a->rs2, .imm = c->rv32 ? a->imm32 : a->imm,
                       .mem = c->rv32 ? 2 : 3};
    return c->rv32 ? trans_fstore(c, &store) : trans_store(c, &store);
}
