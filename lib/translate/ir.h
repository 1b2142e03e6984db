/* SPDX-License-Identifier: MIT */
/*
 * The intermediate representation and its builder.
 *
 * A region is a list of IrOp; an operation's value is named by its index
 * (IrRef). Values are typed and assigned once; what lives longer than a region,
 * or crosses a LABEL, is a slot: a field of the guest's CPU state (a register,
 * the flags) with one type and width. The IR never holds a guest address: the
 * program counter is "region start + offset" (IR_PC, and all exits).
 *
 * Commit rule: when an operation that may fault or leave runs, every PUT before
 * it has happened and none after it has. A front end therefore emits a guest
 * instruction's PUTs after its last faulting operation.
 *
 * Building folds: ir_* functions may return an older or simpler value than the
 * operation asked for. A builder belongs to one thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint32_t IrRef; /* 0: none */

typedef enum {
    IR_VOID, IR_I8, IR_I16, IR_I32, IR_I64, IR_I128,
    IR_F16, IR_F32, IR_F64, IR_F80, IR_F128, IR_V128, IR_V256, IR_FLAGS,
    IR_TYPES
} IrType;

typedef enum {
#define IR(name, operands, attributes) IR_##name,
#include "translate/ir.def"
#undef IR
    IR_CODES
} IrCode;

/* Integer conditions; ir_cond_invert/_swap rely on this order. */
typedef enum {
    IR_EQ, IR_NE, IR_LT, IR_GE, IR_GT, IR_LE, IR_LTU, IR_GEU, IR_GTU, IR_LEU
} IrCond;

typedef enum { /* the bits of a flags value */
    IR_FLAG_C = 1 << 0, IR_FLAG_P = 1 << 2, IR_FLAG_A = 1 << 4,
    IR_FLAG_Z = 1 << 6, IR_FLAG_S = 1 << 7, IR_FLAG_O = 1 << 11,
} IrFlagBits;

typedef enum { /* numbered as x86 condition codes */
    IR_F_O, IR_F_NO, IR_F_C, IR_F_NC, IR_F_Z, IR_F_NZ, IR_F_BE, IR_F_A,
    IR_F_S, IR_F_NS, IR_F_P, IR_F_NP, IR_F_L, IR_F_GE, IR_F_LE, IR_F_G,
} IrFlagCond;

typedef enum { IR_FEQ, IR_FLT, IR_FLE, IR_FUN } IrFCond; /* FUN: unordered */

/* RMM: nearest, ties away; RDYN: as the FP environment says */
typedef enum { IR_RNE, IR_RTZ, IR_RDN, IR_RUP, IR_RMM, IR_RDYN } IrRound;

typedef enum {
    /* IEEE 754-2019 minimumNumber: a NaN loses, -0 < +0 (signalling NaN: invalid) */
    IR_MINMAX_NUMBER,
    IR_MINMAX_X86,    /* b if either is a NaN or both are zero */
    IR_MINMAX_NAN,    /* IEEE 754-2019 minimum: a NaN wins, -0 < +0 */
    IR_MINMAX_NUMBER_2008, /* IEEE 754-2008 minNum: as NUMBER, but a signalling NaN gives a NaN */
} IrMinMax;

typedef enum { /* FMA; without NEGATE_NAN a NaN operand becomes the result with its own sign */
    IR_FMA_NEGATE_PRODUCT = 1,
    IR_FMA_NEGATE_ADDEND = 2,
    IR_FMA_NEGATE_NAN = 4,    /* a, for the product, and c are negated even if NaNs (Arm) */
    IR_FMA_NEGATE_RESULT = 8, /* after rounding, unless it is a NaN (Power, s390x) */
} IrFma;

typedef enum { /* FTOI: saturates, and NaN gives 0, unless it says otherwise */
    IR_TOINT_UNSIGNED = 1,
    IR_TOINT_NAN_MAX = 2,  /* NaN gives the largest value (RISC-V) */
    IR_TOINT_X86 = 4,      /* NaN and out of range give 1 << (width-1); unsigned: all ones */
    IR_TOINT_NAN_MIN = 8,  /* NaN gives the least value (Power, s390x) */
    /* out of range gives the low bits, NaN and infinity 0 (Alpha, Arm FJCVTZS) */
    IR_TOINT_MODULO = 16,
} IrToInt;

typedef enum { /* FCLASS, as the bits of RISC-V fclass */
    IR_CLASS_NEG_INF = 1, IR_CLASS_NEG_NORMAL = 2, IR_CLASS_NEG_SUBNORMAL = 4,
    IR_CLASS_NEG_ZERO = 8, IR_CLASS_POS_ZERO = 16, IR_CLASS_POS_SUBNORMAL = 32,
    IR_CLASS_POS_NORMAL = 64, IR_CLASS_POS_INF = 128, IR_CLASS_SNAN = 256, IR_CLASS_QNAN = 512,
} IrFClass;

typedef enum { /* VSHA */
    IR_SHA256_SCHEDULE0, /* a + sigma0 of the next words: a's upper three, b's first */
    IR_SHA256_SCHEDULE1, /* a + sigma1 of the words two before: b's upper two, then the first two results */
    /* SHA1, four rounds: a A to D, b words, E in the first of them; the constant is added */
    IR_SHA1_CHOOSE, IR_SHA1_PARITY, IR_SHA1_MAJORITY,
} IrSha;

typedef enum {
    IR_ATOMIC_SWAP, IR_ATOMIC_ADD, IR_ATOMIC_AND, IR_ATOMIC_OR, IR_ATOMIC_XOR,
    IR_ATOMIC_MIN, IR_ATOMIC_MAX, IR_ATOMIC_MINU, IR_ATOMIC_MAXU,
} IrAtomic;

typedef enum { /* what must be ordered before what */
    IR_FENCE_LL = 1, IR_FENCE_LS = 2, IR_FENCE_SL = 4, IR_FENCE_SS = 8, IR_FENCE_ALL = 15
} IrFence;

/* How memory is accessed: bits of a uint32_t. */
typedef uint32_t IrMem;
#define IR_MEM_SIZE(log2) ((IrMem)(log2))  /* bytes = 1 << 0..5 */
#define IR_MEM_SIGNED   (1u << 3)          /* sign-extend what is loaded */
#define IR_MEM_BE       (1u << 4)          /* big-endian */
#define IR_MEM_ACQUIRE  (1u << 5)
#define IR_MEM_RELEASE  (1u << 6)          /* both: sequentially consistent */
#define IR_MEM_ALIGNED  (1u << 8)          /* misaligned: the guest's alignment fault */
#define IR_MEM_ATOMIC   (1u << 9)          /* single-copy atomic even where the host splits it */
#define IR_MEM_ADDR32   (1u << 10)         /* the address is taken modulo 2^32 */
#define IR_MEM_WRITES   (1u << 11)         /* set by the builder on atomics: needs write permission */
#define IR_MEM_MMU(n)   ((IrMem)(n) << 12) /* MMU index 0..7 */
static inline unsigned ir_mem_log2(IrMem m) { return m & 7; }
static inline unsigned ir_mem_bytes(IrMem m) { return 1u << (m & 7); }
static inline unsigned ir_mem_mmu(IrMem m) { return m >> 12 & 7; }

typedef struct IrOp {
    uint8_t code; /* IrCode */
    uint8_t type; /* IrType of the value */
    uint8_t sub;  /* as ir.def says */
    uint8_t aux;  /* IrType of the operands where it differs */
    IrRef a, b, c;
    int64_t imm;
} IrOp;

/* Any value, as the interpreter holds it; unused bytes are zero for scalars. */
typedef union IrValue {
    uint64_t u;
    uint64_t w[4];
    uint8_t bytes[32];
} IrValue;

/* A field of the guest CPU state that the IR may GET and PUT. */
typedef struct IrSlot {
    const char *name;
    uint32_t offset; /* in bytes from the start of the guest's CPU struct */
    uint8_t type;    /* IrType; flags slots hold IrFlagBits in 32 bits */
    bool shared;     /* other threads write it, and kick the CPU when they do */
} IrSlot;

typedef enum {
    IR_HELPER_PURE = 1,         /* no state, no memory, no fault: may be dropped */
    IR_HELPER_READS = 2,        /* reads slots */
    IR_HELPER_WRITES = 4,       /* writes slots */
    IR_HELPER_FAULTS = 8,       /* may raise an exception, or touch guest memory */
    IR_HELPER_FPENV = 16,       /* reads or writes rounding mode or sticky flags */
} IrHelperFlags;

/* cpu is the guest's CPU struct. Arguments and result are 64-bit carriers of integers or float
 * bits. */
typedef uint64_t IrHelperFn(void *cpu, uint64_t a, uint64_t b, uint64_t c, uint64_t d);

typedef struct IrHelper {
    const char *name;
    IrHelperFn *fn;
    uint8_t flags;
    uint8_t result; /* IrType: void, i8 to i64, f32, f64 */
} IrHelper;

/* What the builder must know of the guest; constant. */
typedef struct IrGuest {
    const IrSlot *slots;
    unsigned n_slots;
    const IrHelper *helpers;
    unsigned n_helpers;
} IrGuest;

#define IR_MAX_OPS 4000
#define IR_MAX_SLOTS 256
#define IR_MAX_LABELS 64

/* after an instruction: falls through, goes on elsewhere in the region, ended */
typedef enum { IR_NEXT, IR_JUMPED, IR_ENDED } IrFlow;

typedef struct IrBuilder {
    const IrGuest *guest;
    IrOp *ops;           /* ops[0] is a NOP */
    unsigned n;
    /* per op: value is a sign extension of its low `known` bits (64: unknown); see fold.c */
    uint8_t *known;
    IrRef *truncated;    /* per op: a truncation of it made since the last label, or 0 */
    IrRef label_at;      /* the last LABEL */
    IrRef now[IR_MAX_SLOTS]; /* value of each slot at this point, 0 unknown */
    /* for front ends */
    uint64_t mode;       /* the guest's mode key, from its `mode` callback */
    const void *cpu;     /* the guest's CPU struct: constant properties only */
    bool ignore_top;     /* memory operations made from now on: bits 56 to 63 of the base count as 0 */
    uint64_t start;      /* physical address of the region's start; user mode: the guest's address */
    int64_t insn;        /* offset of the current instruction from the region's start */
    unsigned length;     /* its length, set by the front end */
    IrFlow flow;         /* set by ir_exit and friends */
    int64_t jump;        /* with IR_JUMPED: offset to go on at */
    unsigned n_labels;
    bool overflow;       /* too many operations: the region is cut before this instruction */
    /* Set by the region former: may an ir_jump go on in the region? */
    bool (*may_follow)(struct IrBuilder *b, int64_t offset);
    /* Set by the region former: has the instruction at offset a label, or will it have one?
     * NULL: none has. */
    bool (*label_of)(struct IrBuilder *b, int64_t offset, unsigned *label);
    void *former;
} IrBuilder;

/* Storage for IR_MAX_OPS is allocated; ir_builder_reset starts a region. */
void ir_builder_init(IrBuilder *b, const IrGuest *guest);
void ir_builder_reset(IrBuilder *b);
void ir_builder_clear(IrBuilder *b);

/* Starts a guest instruction at `offset`; the front end sets b->length before it emits. */
void ir_insn(IrBuilder *b, int64_t offset, unsigned length);

/* values */
IrRef ir_const(IrBuilder *b, IrType type, uint64_t value);
/* offset from the region's start; the current instruction is b->insn */
IrRef ir_pc(IrBuilder *b, int64_t offset);
IrRef ir_get(IrBuilder *b, unsigned slot);
void ir_put(IrBuilder *b, unsigned slot, IrRef value);
IrRef ir_op(IrBuilder *b, IrOp op); /* any operation, folded; the functions below are short forms */
IrRef ir_unary(IrBuilder *b, IrCode code, IrType type, IrRef a);
IrRef ir_binary(IrBuilder *b, IrCode code, IrRef a, IrRef c); /* type of a */
IrRef ir_binary_imm(IrBuilder *b, IrCode code, IrRef a, int64_t imm);
IrRef ir_cmp(IrBuilder *b, IrCond cond, IrRef a, IrRef c);
IrRef ir_select(IrBuilder *b, IrRef cond, IrRef yes, IrRef no);
IrRef ir_zext(IrBuilder *b, IrType type, IrRef a);  /* the same or a wider type */
IrRef ir_sext(IrBuilder *b, IrType type, IrRef a);
IrRef ir_trunc(IrBuilder *b, IrType type, IrRef a); /* the same or a narrower type */
IrRef ir_bitcast(IrBuilder *b, IrType type, IrRef a);
IrRef ir_extract(IrBuilder *b, IrRef a, unsigned pos, unsigned len);
IrRef ir_deposit(IrBuilder *b, IrRef a, IrRef field, unsigned pos, unsigned len);

/* floating point; `round` is IrRound */
IrRef ir_fop1(IrBuilder *b, IrCode code, IrRef a, IrRound round);
IrRef ir_fop2(IrBuilder *b, IrCode code, IrRef a, IrRef c, IrRound round);
IrRef ir_fma(IrBuilder *b, IrRef x, IrRef y, IrRef z, bool negate_product, bool negate_addend,
             IrRound round);
/* IrFma */
IrRef ir_fma_as(IrBuilder *b, IrRef x, IrRef y, IrRef z, unsigned fma_flags, IrRound round);
IrRef ir_fminmax(IrBuilder *b, IrCode code, IrRef a, IrRef c, IrMinMax rule);
IrRef ir_fcmp(IrBuilder *b, IrFCond cond, IrRef a, IrRef c, bool signalling);
/* type i32 or flags; what the four relations give, 16 bits each */
IrRef ir_frel(IrBuilder *b, IrType type, IrRef a, IrRef c, bool signalling, unsigned less,
              unsigned equal, unsigned greater, unsigned unordered);
IrRef ir_ftoi(IrBuilder *b, IrType type, IrRef a, unsigned to_int_flags, IrRound round);
IrRef ir_itof(IrBuilder *b, IrType type, IrRef a, bool is_unsigned, IrRound round);
IrRef ir_ftof(IrBuilder *b, IrType type, IrRef a, IrRound round);
IrRef ir_fclass(IrBuilder *b, IrRef a);
IrRef ir_fbox(IrBuilder *b, IrRef a);
IrRef ir_funbox(IrBuilder *b, IrType type, IrRef a);
IrRef ir_flow(IrBuilder *b, IrType type, IrRef a); /* the low bits of an f64 as a narrower float */
IrRef ir_fzext(IrBuilder *b, IrRef a);             /* a narrower float in an f64, zeros above */

/* vectors, all v128; log2: of the lane's size */
IrRef ir_vector(IrBuilder *b, IrCode code, unsigned log2, IrRef a, IrRef c);
IrRef ir_vector_imm(IrBuilder *b, IrCode code, unsigned log2, IrRef a, IrRef c, int64_t imm);
IrRef ir_vconst(IrBuilder *b, uint64_t low, uint64_t high);
IrRef ir_vpair(IrBuilder *b, IrRef low, IrRef high);
IrRef ir_vsplat(IrBuilder *b, IrRef scalar);
IrRef ir_vzext(IrBuilder *b, IrRef scalar);
IrRef ir_vextract(IrBuilder *b, IrType type, IrRef v, unsigned lane);
IrRef ir_vinsert(IrBuilder *b, IrRef v, unsigned lane, IrRef scalar);

IrRef ir_fsticky(IrBuilder *b, bool reverse); /* IR_FSTICKY */
void ir_fsticky_set(IrBuilder *b, IrRef flags, bool reverse);

/* memory; type is what the value becomes */
IrRef ir_load(IrBuilder *b, IrType type, IrMem mem, IrRef base, int32_t disp);
void ir_store(IrBuilder *b, IrMem mem, IrRef base, int32_t disp, IrRef value);
IrRef ir_atomic(IrBuilder *b, IrAtomic what, IrType type, IrMem mem, IrRef base, IrRef value);
IrRef ir_cas(IrBuilder *b, IrType type, IrMem mem, IrRef base, IrRef expected, IrRef desired);
IrRef ir_load_linked(IrBuilder *b, IrType type, IrMem mem, IrRef base);
IrRef ir_store_cond(IrBuilder *b, IrMem mem, IrRef base, IrRef value);
void ir_fence(IrBuilder *b, unsigned fence);

/* control within the region */
unsigned ir_label_new(IrBuilder *b);
void ir_label(IrBuilder *b, unsigned label);
void ir_br(IrBuilder *b, unsigned label);
void ir_brcond(IrBuilder *b, IrRef cond, unsigned label);

/* control between instructions; offsets are from the region's start. Each but ir_branch ends the
 * instruction. */
void ir_jump(IrBuilder *b, int64_t offset);
void ir_branch(IrBuilder *b, IrRef cond, int64_t offset); /* leaves if cond, else falls through */
void ir_jump_indirect(IrBuilder *b, IrRef address);
void ir_call_direct(IrBuilder *b, int64_t offset, int64_t return_offset);
void ir_call_indirect(IrBuilder *b, IrRef address, int64_t return_offset);
void ir_return(IrBuilder *b, IrRef address);
/* after what may change the mode or make an interrupt due */
void ir_exit_mode(IrBuilder *b, int64_t offset);
void ir_exit_mode_to(IrBuilder *b, IrRef address);
void ir_raise(IrBuilder *b, uint32_t exception, IrRef value); /* for this instruction; ends it */

/* Calls helper `index` of the guest with up to four arguments (0: none). Its value, or 0 when
 * void. */
IrRef ir_call(IrBuilder *b, unsigned index, IrRef a, IrRef c, IrRef d, IrRef e);

/* facts */
extern const uint16_t ir_bits_of_types[IR_TYPES];
static inline unsigned ir_type_bits(IrType type) { return ir_bits_of_types[type]; }
const char *ir_type_name(IrType type);
const char *ir_code_name(IrCode code);
typedef enum { IR_ATTR_P = 1, IR_ATTR_F = 2, IR_ATTR_M = 4, IR_ATTR_E = 8, IR_ATTR_S = 16 } IrAttr;
extern const uint8_t ir_attrs_of_codes[IR_CODES], ir_operands_of_codes[IR_CODES];
static inline unsigned ir_code_attr(IrCode code) { return ir_attrs_of_codes[code]; }
static inline unsigned ir_code_operands(IrCode code) { return ir_operands_of_codes[code]; }
static inline IrCond ir_cond_invert(IrCond c) { return (IrCond)(c ^ 1); }
IrCond ir_cond_swap(IrCond c); /* the condition with operands exchanged */
static inline bool ir_type_is_int(IrType t) { return t >= IR_I8 && t <= IR_I128; }
static inline bool ir_type_is_float(IrType t) { return t >= IR_F16 && t <= IR_F128; }

/* Appends the region as text, one operation a line. */
struct _GString;
void ir_print(const IrBuilder *b, struct _GString *out);
/* Checks types, operands, label rules, ends. NULL when right, else a message to be freed by the
 * caller. */
char *ir_verify(const IrBuilder *b);
