/* SPDX-License-Identifier: MIT */
/* What builder, folding, evaluation and passes share inside lib/translate. */
#pragma once

#include "translate/ir.h"

/* Appends without folding. */
IrRef ir_append(IrBuilder *b, IrOp op);

/* fold.c: an older or simpler value equal to the pure operation *op, or 0; may rewrite *op in
 * place. */
IrRef ir_fold(IrBuilder *b, IrOp *op);
/* fold_flags.c: the same for FLAGS_TEST, and for operations on vectors. */
IrRef ir_fold_test(IrBuilder *b, const IrOp *op);
IrRef ir_fold_vector(IrBuilder *b, const IrOp *op);
static inline bool ir_is_const(const IrBuilder *b, IrRef r) { return b->ops[r].code == IR_CONST; }
static inline uint64_t ir_value_of(const IrBuilder *b, IrRef r) { return (uint64_t)b->ops[r].imm; }
/* The least k such that the value is the sign extension of its low k bits; the type's width when
 * unknown. */
uint8_t ir_known_bits(const IrBuilder *b, const IrOp *op);
/* Is it worth keeping this older value alive (it sits in a slot now, or is a constant)? */
bool ir_is_live_slot_value(const IrBuilder *b, IrRef v);

/* eval.c: the meaning of every pure operation. op's a, b, c are ignored; operands come as
 * values. */
void ir_eval(const IrOp *op, IrValue *r, const IrValue *a, const IrValue *b, const IrValue *c);
/* eval_vec.c: the same of vectors; false: no operation on them. */
bool ir_eval_vector(const IrOp *op, IrValue *r, const IrValue *a, const IrValue *b, const IrValue *c);
/* VSHA256, VSHA: eval_sha.c */
void ir_eval_sha256(const IrOp *op, IrValue *r, const IrValue *a, const IrValue *b, const IrValue *c);
void ir_eval_sha(const IrOp *op, IrValue *r, const IrValue *a, const IrValue *b);

#define IR_FUSED_SUM 2
#define IR_NO_SLOT UINT32_MAX
/* Of EXIT_IF's sub, set by live.c: flags are made of the host's, which are those of the comparison, where
 * the exit is taken, or else; with an inverted carry. */
enum { IR_FLAGS_DEAD = 1, IR_FLAGS_IF_TAKEN = 2, IR_FLAGS_ELSE = 4, IR_FLAGS_INVERT = 8 };

/* live.c: what the passes before code generation found. */
typedef struct IrLive {
    uint32_t *last;  /* per value: index of the operation that uses it last; 0: dead */
    uint16_t *uses;  /* per value: number of uses */
    uint8_t *dead;   /* per operation: not to be emitted */
    uint8_t *fused;  /* per operation: emitted by its only user; IR_FUSED_SUM: as part of an address */
    bool addresses;  /* set by who calls ir_live: plain accesses take sums as their address (user mode) */
    bool (*at_label)[IR_MAX_SLOTS]; /* per label: slots that are overwritten there before they are seen */
} IrLive;
/* flags: the slot of the condition flags, which are not needed at exits whose sub is 1, nor when
 * memory faults; or IR_NO_SLOT. */
void ir_live_init(IrLive *l);
void ir_live_clear(IrLive *l);
/* Drops dead slots and values, marks compares to be fused, computes last uses. Linear. Changes
 * operands (see live.c). */
void ir_live(IrLive *l, IrBuilder *b, unsigned flags);
