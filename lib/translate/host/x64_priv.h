/* SPDX-License-Identifier: MIT */
/*
 * State of the x86-64 compiler for one region, shared by its files.
 *
 * Registers: rbp points into the guest CPU struct so that its hottest 256 bytes
 * have short displacements; rsp is the host frame. Guest registers are pinned as
 * in x64_int_pins / x64_float_pins; the others are temporaries. Between
 * regions nothing lives in a temporary.
 *
 * A value's homes: a register, a slot that holds it at this point, a cell (spill
 * or wide value). Values of integer types narrower than 64 bits have undefined
 * upper bits in registers; floats have undefined upper lanes.
 */
#pragma once

#include "translate/host/x64_asm.h"
#include "translate/translate_priv.h"

#define X64_INT_PINS 11 /* the last two only in user mode, where accesses need no scratch */
#define X64_SYSTEM_PINS 9
#define X64_MIN_TEMPS 3 /* no operation needs more */
#define X64_LOOP_TEMPS 4 /* more in a loop that needs them, in place of pins */
#define X64_FLOAT_PINS 10
#define XMM(n) (16 + (n)) /* register numbers: 0-15 general, 16-31 xmm */
#define X64_WRONG_GUESSES 500 /* of a TLB entry by one access, before it stops guessing */
#define NO_REG 0xff
#define NO_SLOT 0xffff
#define NO_CELL 0xff
#define CELL_A 60 /* operands and result of operations done in C */
#define CELL_RESULT 63

extern const uint8_t x64_int_pins[X64_INT_PINS];

/* Code offsets of what all regions share; in Translator.host_data. */
typedef struct X64Thunks {
    uint32_t enter, exit_link, exit_miss, exit_mode, exit_raise, exit_fault, load, store, eval, call,
        wrong_guesses, unboxed;
    uint32_t miss;        /* rax: address that the dispatcher is to find */
    /* rax: address to jump to through the jump table; all temporaries are free */
    uint32_t lookup;
    uint32_t underflow;   /* the same with the stack of calls begun anew */
    uint32_t reset_stack; /* called: begins the stack of calls anew and returns; changes rcx, rdx */
    uint32_t pool;        /* constants of x64_fp.c */
    int32_t bias; /* rbp - address of the CPU struct */
    int8_t pin[IR_MAX_SLOTS]; /* host register of a slot, or -1 */
    uint8_t n_int, n_float;
    uint8_t n_temps; /* general registers that are none */
    bool has_aes, has_clmul, has_sha;
} X64Thunks;

typedef enum { COLD_LOAD, COLD_STORE, COLD_LINK, COLD_LEAVE, COLD_FLAGS, COLD_GUARD, COLD_STACK, COLD_PC_MISS, COLD_NAN, COLD_EVAL, COLD_STICKY,
               COLD_UNBOXED, COLD_SUBNORMAL } ColdKind;

typedef struct Cold {
    uint8_t kind, base, reg, type, site;
    uint8_t pair;      /* float: another register that may hold a NaN; 0: none */
    uint8_t regs[3];
    bool wide; /* operand size of the move back */
    IrRef op;
    uint8_t *from, *back; /* after the jump that comes here; where to go on */
    int32_t disp;
    uint32_t info;
    uint32_t hint;     /* memory: number of its guess */
    /* memory: where to go on when the page is in the TLB after all; NULL: no TLB */
    uint8_t *hit;
    int32_t guest;
    bool swapped;      /* pins are the loop's there: see x64_loop.c */
    bool member;       /* memory: trusts regs[0] to hold the page's addend, 1 if it does not */
    uint8_t size;      /* memory: bytes of the access */
    int32_t low, span; /* memory: what was checked, from base + low */
    uint32_t pages;    /* registers that hold a page's addend for later accesses */
} Cold;

#define MAX_COLD 700
#define MAX_CONSTS 128
#define MAX_CONST_USES 600

/*
 * A page that some accesses off one base value have in common: the first checks it for all of them
 * and leaves its addend in a register, or 1 there if they are not all in one page.
 */
typedef struct SharedPage {
    IrRef base;      /* 0: none */
    IrRef last;      /* the last access */
    int32_t low, high;
    uint8_t mmu;
    bool write;
} SharedPage;
#define SHARED_PAGES 3
#define SHARED_REF(n) (IR_MAX_OPS + 1 + (n)) /* stands for its addend among the values */

/* A host register that in a loop holds another slot than elsewhere, or is a temporary there. */
typedef struct Swap {
    uint8_t reg;
    bool dirty;        /* the loop writes `in` */
    uint16_t in, out;  /* slot in the loop, NO_SLOT: none; slot elsewhere */
} Swap;

typedef struct Emit {
    Asm a;
    Translator *t;
    Region *r;
    const X64Thunks *k;
    TranslateFp fp;    /* the rules in the region's mode */
    const int8_t *pin; /* host register of a slot at this point, or -1 */
    bool swapped;      /* pin is loop_pin */
    int8_t loop_pin[IR_MAX_SLOTS];
    Swap swaps[X64_INT_PINS + X64_FLOAT_PINS + X64_LOOP_TEMPS];
    unsigned n_swaps;
    unsigned more_temps, own_temps; /* how many the loop is to have, and has */
    uint8_t temps[X64_MIN_TEMPS + X64_LOOP_TEMPS];
    uint8_t n_temps;     /* at this point */
    unsigned spills;
    SharedPage shared[SHARED_PAGES];
    uint32_t swap_in, swap_out; /* subroutines of this region */
    const IrBuilder *b;
    const IrLive *live;
    uint8_t *limit;
    uint32_t at;       /* operation for which registers are allocated */
    int32_t insn;      /* offset of the current guest instruction */
    bool insn_dirty;   /* it has changed state */
    bool keep_flags;   /* host flags are live: constants are made without touching them */
    bool no_room;      /* out of links: the cache must be reset */
    unsigned n_sites;  /* memory accesses so far */
    uint64_t indexed;  /* those of the first 63 that compute their TLB index, and bit 63 */
    /* a loop looked when it was entered: slots with boxed singles, vectors that are a double (1) or a
     * single (2) and zeros */
    bool always_boxed[IR_MAX_SLOTS];
    uint8_t always_zeroed[IR_MAX_SLOTS];
    bool failed;       /* out of cells or cold paths: make the region shorter */
    uint32_t locked;   /* registers in use by the current operation */
    IrRef nan_value;   /* made and not yet looked at: perhaps a wrong NaN; in nan_reg */
    uint8_t nan_reg;
    IrRef sticky;      /* FSTICKY whose MXCSR is still in the CPU struct */
    uint8_t reg[IR_MAX_OPS + 8];
    uint16_t slot[IR_MAX_OPS + 8];
    uint8_t cell[IR_MAX_OPS + 8];
    uint8_t boxed[IR_MAX_OPS + 8]; /* f32 in a register whose next 32 bits are ones */
    uint8_t normal[IR_MAX_OPS + 8]; /* float or vector with no subnormal that has not been noted */
    uint8_t zeroed[IR_MAX_OPS + 8]; /* float in a register that is zero above it */
    uint16_t put_to[IR_MAX_OPS + 8]; /* slot whose pinned register the value is best made in */
    IrRef held[32];    /* value in each register that is no pin */
    IrRef slot_held[IR_MAX_SLOTS];
    IrRef slot_low[IR_MAX_SLOTS]; /* float that is the low part of a vector's slot */
    IrRef cell_held[64];
    uint8_t *label[IR_MAX_LABELS];
    struct { uint8_t *from; unsigned label; } fixups[IR_MAX_LABELS * 2];
    unsigned n_fixups;
    uint64_t consts[MAX_CONSTS][2]; /* vectors that follow the code */
    struct { uint8_t *at; uint8_t n, more; } const_uses[MAX_CONST_USES]; /* rel32, bytes behind it */
    unsigned n_consts, n_const_uses;
    Cold cold[MAX_COLD];
    unsigned n_cold, dead;
    RegionPoint points[IR_MAX_OPS / 4];
    unsigned n_points;
} Emit;

/* Translator.host_data; others know only of the thunks that it begins with. */
typedef struct X64Data {
    X64Thunks thunks;
    Emit emit;
} X64Data;

/* displacement of a field of the CPU struct off rbp */
#define CPU_DISP(e, field) ((int32_t)offsetof(TranslateCpu, field) - (e)->k->bias)
static inline int32_t slot_disp(const Emit *e, unsigned slot)
{
    return (int32_t)e->b->guest->slots[slot].offset - e->k->bias;
}
static inline int32_t cell_disp(const Emit *e, unsigned cell)
{
    return CPU_DISP(e, cells) + (int32_t)(cell * sizeof(IrValue));
}
static inline const IrOp *op_of(const Emit *e, IrRef v) { return &e->b->ops[v]; }
static inline bool is_const(const Emit *e, IrRef v) { return op_of(e, v)->code == IR_CONST; }
/* lives in cells, and is done in C */
static inline bool is_wide_type(unsigned type) { return ir_type_bits(type) > 64 && type != IR_V128; }
static inline bool is_float_type(unsigned type) { return type == IR_F32 || type == IR_F64; }
static inline bool is_xmm_type(unsigned type) { return is_float_type(type) || type == IR_V128; }
static inline bool is_64(unsigned type) { return ir_type_bits(type) == 64; }
static inline uint32_t reg_bit(unsigned r) { return UINT32_C(1) << r; }
static inline int32_t code_offset(const Emit *e) { return (int32_t)(e->a.p - e->t->code.write); }

/* x64_regs.c */
void regs_reset(Emit *e);
/* a register (general or xmm, as its type) that holds v; locked */
unsigned use_reg(Emit *e, IrRef v);
/* v in that very register, which take_reg has made scratch; v's home stays what it is */
void use_in(Emit *e, IrRef v, unsigned r);
void spill(Emit *e, unsigned r); /* the value held in r goes elsewhere, unless it can be had again */
/* v is a constant that fits a sign-extended 32-bit immediate for its type */
bool use_imm(Emit *e, IrRef v, int32_t *imm);
/* v is only in memory off rbp, with all bits of its type there */
bool use_mem(Emit *e, IrRef v, int32_t *disp);
/* register to make v in; operands that die may be overwritten by it */
unsigned def_reg(Emit *e, IrRef v);
unsigned def_reg_not(Emit *e, IrRef v, uint32_t avoid);
void def_in(Emit *e, IrRef v, unsigned r);     /* v has been made in r, which take_reg made scratch */
unsigned temp_gpr(Emit *e);                    /* scratch for this operation; locked */
unsigned temp_xmm(Emit *e);
void take_reg(Emit *e, unsigned r);            /* scratch r itself: its value is moved away */
void end_op(Emit *e, IrRef a, IrRef b, IrRef c); /* unlocks, frees what died */
/* the slot is about to change: its value moves if still needed */
void save_slot(Emit *e, unsigned slot);
void save_all_slots(Emit *e);
void drop_values(Emit *e);                     /* at labels */
void drop_shared(Emit *e, unsigned n);         /* a shared page's addend */
void hold_shared(Emit *e, unsigned n, unsigned r);
unsigned new_cell(Emit *e, IrRef v);
void slot_now_holds(Emit *e, unsigned slot, IrRef v);
void mov_xmm(Emit *e, unsigned dst, unsigned src);
/* all of a value of that type, between an xmm register and memory off rbp */
void load_xmm(Asm *a, unsigned type, unsigned r, int32_t disp);
void store_xmm(Asm *a, unsigned type, unsigned r, int32_t disp);
void slot_low_holds(Emit *e, unsigned slot, IrRef v);

/* x64_loop.c: pins of a loop's own */
void loop_begin(Emit *e);             /* chooses them; emits what changes to them and back, aside */
void loop_enter(Emit *e);             /* changes to them, in line */
void emit_cold_unboxed(Emit *e);
void loop_leave(Emit *e);             /* changes back, in line; what follows is outside the loop */
void loop_set(Emit *e, bool swapped); /* what follows is inside or outside, without code */
/* v is used behind loop_leave: not in a register that is a temporary only within */
void loop_keep(Emit *e, IrRef v);

/* x64_int.c, x64_fp.c, x64_mem.c, x64_exit.c: true if the operation was theirs */
bool emit_int(Emit *e, IrRef i, const IrOp *op);
bool emit_float(Emit *e, IrRef i, const IrOp *op);
void flush_nan(Emit *e);
bool may_wait_for_nan(const Emit *e, const IrOp *op); /* op and the value that is not looked at */
/* x64_vec.c, x64_vec_lanes.c, x64_vec_move.c, x64_vec_fp.c */
bool emit_vector(Emit *e, IrRef i, const IrOp *op);
bool vector_const(const Emit *e, IrRef v, uint64_t out[2]); /* v is known when compiling */
void make_vector_const(Emit *e, unsigned r, const uint64_t v[2]);
void put_vector_consts(Emit *e); /* behind the code */
bool emit_memory(Emit *e, IrRef i, const IrOp *op);
bool emit_atomic(Emit *e, IrRef i, const IrOp *op); /* x64_atomic.c, for emit_memory */
bool emit_exit(Emit *e, const IrOp *op);
/* sets host flags from a bool value; returns the condition code */
unsigned emit_condition(Emit *e, IrRef v);
/* What live.c made one of: base + index * scale + disp, as leaves; collected from v on. */
typedef struct Address {
    IrRef leaf[2];
    unsigned n, scale[2];
    int64_t disp;
} Address;
void collect_sum(const Emit *e, IrRef v, Address *at);
void emit_eval(Emit *e, IrRef i, const IrOp *op);
/* The host's flags, with these bits, as IrFlagBits in rax; t is scratch. Changes no register else. */
void emit_flag_bits(Emit *e, unsigned t, unsigned mask);
void emit_pc(Emit *e, unsigned dst, int64_t offset);
void emit_call_thunk(Emit *e, uint32_t thunk);
void emit_jump_thunk(Emit *e, uint32_t thunk);
Cold *add_cold(Emit *e, ColdKind kind);
void emit_cold_memory(Emit *e, Cold *c);
void emit_cold_float(Emit *e, Cold *c);
uint32_t x64_float_pool(Translator *t, Asm *a); /* puts the constants; returns their code offset */
void emit_cold_exit(Emit *e, Cold *c);

/* x64_thunk.c */
bool x64_start(Translator *t, GError **error);
/* Looks rax up in the jump table: rdx is where to go then, and pc_base moves. To the dispatcher
 * if it is not there. */
void x64_lookup(Asm *a, const Translator *t, const X64Thunks *k);
ExitReason x64_run(TranslateCpu *cpu, uint32_t entry);
void x64_patch(Translator *t, Link *link, Region *to, uint32_t tag);
void x64_kill(Translator *t, Region *region);

/* x64_fault.c */
bool x64_fault(TranslateCpu *cpu, uint64_t pc, uint64_t address, void *ucontext);
