/* SPDX-License-Identifier: MIT */
/* The IR as text, one operation a line, for -d ir and for reports. */
#include <glib.h>

#include "translate/ir_priv.h"

static void print_memory(const IrOp *op, GString *out)
{
    IrMem mem = (IrMem)op->imm;
    int32_t disp = (int32_t)(op->imm >> 32);
    g_string_append_printf(out, " %c%u%s%s", mem & IR_MEM_SIGNED ? 's' : 'u', 8 * ir_mem_bytes(mem),
                           mem & IR_MEM_BE ? " be" : "", mem & IR_MEM_ALIGNED ? " aligned" : "");
    if (disp)
        g_string_append_printf(out, " disp %d", disp);
    if (ir_mem_mmu(mem))
        g_string_append_printf(out, " mmu %u", ir_mem_mmu(mem));
}

static void print_op(const IrBuilder *b, IrRef i, GString *out)
{
    static const char *const conds[] = {"eq", "ne",  "lt",  "ge",  "gt",
                                        "le", "ltu", "geu", "gtu", "leu"};
    const IrOp *op = &b->ops[i];
    unsigned attr = ir_code_attr(op->code);
    const IrRef refs[] = {op->a, op->b, op->c};
    if (op->type != IR_VOID)
        g_string_append_printf(out, "  %%%u:%s = ", i, ir_type_name(op->type));
    else
        g_string_append(out, "  ");
    g_string_append(out, ir_code_name(op->code));
    if (op->code == IR_CMP)
        g_string_append_printf(out, ".%s", conds[op->sub]);
    else if (op->sub && op->code != IR_INSN)
        g_string_append_printf(out, ".%u", op->sub);
    for (unsigned n = 0; n < ir_code_operands(op->code); n++)
        if (refs[n])
            g_string_append_printf(out, " %%%u", refs[n]);
    switch (op->code) {
    case IR_GET:
    case IR_PUT:
        g_string_append_printf(out, " %s", b->guest->slots[op->imm].name);
        break;
    case IR_CALL:
        g_string_append_printf(out, " %s", b->guest->helpers[op->imm].name);
        break;
    case IR_CONST:
        g_string_append_printf(out, " %#" G_GINT64_MODIFIER "x", (uint64_t)op->imm);
        break;
    case IR_INSN:
        g_string_append_printf(out, " +%" G_GINT64_MODIFIER "d length %u", (gint64)op->imm,
                               op->sub);
        break;
    case IR_PC:
    case IR_EXIT:
    case IR_EXIT_IF:
        g_string_append_printf(out, " +%" G_GINT64_MODIFIER "d", (gint64)op->imm);
        break;
    case IR_EXIT_CALL:
        g_string_append_printf(out, " +%d returns +%d", (int32_t)op->imm, (int32_t)(op->imm >> 32));
        break;
    default:
        if (attr & IR_ATTR_M)
            print_memory(op, out);
        else if (op->imm)
            g_string_append_printf(out, " #%#" G_GINT64_MODIFIER "x", (uint64_t)op->imm);
        break;
    }
    g_string_append_c(out, '\n');
}

void ir_print(const IrBuilder *b, struct _GString *out)
{
    for (IrRef i = 1; i < b->n; i++)
        if (b->ops[i].code != IR_NOP)
            print_op(b, i, out);
}
