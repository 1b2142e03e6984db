/* SPDX-License-Identifier: MIT */
#include "translate/translate_priv.h"
bool eval_fp(TranslateCpu *cpu, const IrOp *op, IrValue *r, const IrValue *a, const IrValue *b, const IrValue *c)
{
    return false;
}
