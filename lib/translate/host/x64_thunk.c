/* SPDX-License-Identifier: MIT */
/*
 * Code that all regions share: entering and leaving compiled code, and calls
 * into C. A call saves every register, pinned ones in their slots, so that C
 * sees the guest's state and compiled code keeps its temporaries; when the call
 * left a fault pending, compiled code is left at once.
 *
 * MXCSR is the guest's in compiled code. C called from there does no
 * floating-point arithmetic except eval and FPENV helpers, for which MXCSR is
 * exchanged.
 */
#include "translate/host/x64_priv.h"

#include <cpuid.h>

#include "base/error.h"

#define SAVED_TEMPS 4
/* r14, r15 are C's to keep */
static const uint8_t saved_temps[SAVED_TEMPS] = {RAX, RCX, RDX, NO_REG};

static int32_t field(const X64Thunks *k, size_t offset)
{
    return (int32_t)offset - k->bias;
}
#define FIELD(k, name) field(k, offsetof(TranslateCpu, name))

static void mxcsr(Asm *a, bool store_it, int32_t disp)
{
    put_vex(a, 1, 0, false, false, store_it ? 3 : 2, 0, RBP, 0);
    put8(a, 0xae);
    put_mem(a, store_it ? 3 : 2, RBP, disp);
}

static void pins(Asm *a, const X64Thunks *k, const IrGuest *g, bool to_memory)
{
    for (unsigned s = 0; s < g->n_slots; s++) {
        int r = k->pin[s];
        int32_t disp = field(k, g->slots[s].offset);
        if (r < 0)
            continue;
        if (r < 16)
            op_rm(a, 0, ir_type_bits(g->slots[s].type) == 64, to_memory ? 0x89 : 0x8b, r, RBP,
                  disp);
        else if (to_memory)
            store_xmm(a, g->slots[s].type, (unsigned)r, disp);
        else
            load_xmm(a, g->slots[s].type, (unsigned)r, disp);
    }
}

static void temps(Asm *a, const X64Thunks *k, bool to_memory)
{
    for (unsigned i = 0; i < SAVED_TEMPS; i++)
        if (saved_temps[i] != NO_REG)
            op_rm(a, 0, true, to_memory ? 0x89 : 0x8b, saved_temps[i], RBP,
                  FIELD(k, save) + (int32_t)(8 * i));
    for (unsigned x = 0; x < 6; x++) {
        int32_t disp = FIELD(k, save) + (int32_t)(8 * SAVED_TEMPS + 16 * x);
        if (to_memory)
            store_xmm(a, IR_V128, XMM(x), disp);
        else
            load_xmm(a, IR_V128, XMM(x), disp);
    }
}

/* from compiled code to the caller of enter */
static void leave(Asm *a, const X64Thunks *k, ExitReason reason)
{
    mxcsr(a, true, FIELD(k, mxcsr));
    mxcsr(a, false, FIELD(k, host_mxcsr));
    load(a, true, RSP, RBP, FIELD(k, host_stack));
    mov_ri(a, RAX, reason);
    alu_ri(a, true, ALU_ADD, RSP, 8);
    static const uint8_t saved[] = {R15, R14, R13, R12, RBX, RBP};
    for (unsigned i = 0; i < sizeof saved; i++) {
        put_rex(a, 0, false, 0, 0, saved[i], false);
        put8(a, 0x58 | (saved[i] & 7));
    }
    put8(a, 0xc3);
}

static uint32_t begin(Translator *t, Asm *a)
{
    while ((uintptr_t)a->p & 15)
        put8(a, 0xcc);
    return (uint32_t)(a->p - t->code.write);
}

static uint32_t make_exit(Translator *t, Asm *a, const X64Thunks *k, ExitReason reason)
{
    uint32_t at = begin(t, a);
    pins(a, k, &t->guest->ir, true);
    leave(a, k, reason);
    return at;
}

/* Bytes of host stack that calls may fill. */
#define CALL_STACK 49152

/* Pushes what a return without a call finds. Changes rax. */
static void bottom(Translator *t, Asm *a, const X64Thunks *k)
{
    mov_ri(a, RAX, (uint64_t)(uintptr_t)(t->code.run + k->underflow));
    put8(a, 0x50); /* a place for the address that a call pushes */
    put8(a, 0x50);
}

static void jump_to(Asm *a, const Translator *t, uint32_t target)
{
    put8(a, 0xe9);
    put32(a, target - (uint32_t)(a->p + 4 - t->code.write));
}

static void jcc_to(Asm *a, const Translator *t, unsigned cc, uint32_t target)
{
    put8(a, 0x0f);
    put8(a, 0x80 | cc);
    put32(a, target - (uint32_t)(a->p + 4 - t->code.write));
}

static uint32_t make_miss(Translator *t, Asm *a, const X64Thunks *k)
{
    uint32_t at = begin(t, a);
    store(a, true, RBP, FIELD(k, pc), RAX);
    jump_to(a, t, k->exit_miss);
    return at;
}

void x64_lookup(Asm *a, const Translator *t, const X64Thunks *k)
{
    unsigned align = MIN(t->guest->insn_align, 3);
    unsigned scale = MIN(4 - align, 3); /* of what is masked, to an index of entries of 16 bytes */
    _Static_assert(sizeof(TranslateJump) == 16 && offsetof(TranslateJump, host) == 8,
                   "what is loaded");
    mov_rr(a, false, RCX, RAX);
    if (align + scale < 4)
        shift_ri(a, false, SH_SHL, RCX, 4 - align - scale);
    alu_ri(a, false, ALU_AND, RCX, (int32_t)((TRANSLATE_JUMPS - 1) << (4 - scale)));
    load(a, true, RDX, RBP, FIELD(k, jump_table));
    op_rx(a, 0, true, 0x39, RAX, RDX, RCX, scale, 0); /* cmp [rdx + rcx * n], rax */
    jcc_to(a, t, CC_NE, k->miss);
    op_rx(a, 0, true, 0x8b, RCX, RDX, RCX, scale, 8);
    mov_rr(a, false, RDX, RCX);
    shift_ri(a, true, SH_SHR, RCX, 32);
    alu_rm(a, false, ALU_CMP, RCX, RBP, FIELD(k, live_tag));
    jcc_to(a, t, CC_NE, k->miss);
    if (!t->guest->direct_memory) {
        alu_ri(a, true, ALU_AND, RAX, -(int32_t)GUEST_PAGE_SIZE);
        store(a, true, RBP, FIELD(k, pc_base), RAX);
    }
}

static uint32_t make_lookup(Translator *t, Asm *a, const X64Thunks *k)
{
    uint32_t at = begin(t, a);
    x64_lookup(a, t, k);
    op_rr(a, 0, false, 0xff, 4, RDX);
    return at;
}

static uint32_t make_underflow(Translator *t, Asm *a, const X64Thunks *k)
{
    uint32_t at = begin(t, a);
    mov_rr(a, true, RCX, RAX);
    load(a, true, RSP, RBP, FIELD(k, host_stack));
    mov_ri(a, RAX, (uint64_t)(uintptr_t)(t->code.run + at));
    put8(a, 0x50);
    put8(a, 0x50);
    mov_rr(a, true, RAX, RCX);
    jump_to(a, t, k->lookup);
    return at;
}

static uint32_t make_reset_stack(Translator *t, Asm *a, const X64Thunks *k)
{
    uint32_t at = begin(t, a);
    put8(a, 0x58 | RDX); /* pop rdx: where to return */
    mov_rr(a, true, RCX, RAX);
    load(a, true, RSP, RBP, FIELD(k, host_stack));
    bottom(t, a, k);
    mov_rr(a, true, RAX, RCX);
    op_rr(a, 0, false, 0xff, 4, RDX);
    return at;
}

static uint32_t make_enter(Translator *t, Asm *a, const X64Thunks *k)
{
    static const uint8_t saved[] = {RBP, RBX, R12, R13, R14, R15};
    uint32_t at = begin(t, a);
    for (unsigned i = 0; i < sizeof saved; i++) {
        put_rex(a, 0, false, 0, 0, saved[i], false);
        put8(a, 0x50 | (saved[i] & 7));
    }
    alu_ri(a, true, ALU_SUB, RSP, 8);
    lea(a, true, RBP, RDI, k->bias);
    store(a, true, RBP, FIELD(k, host_stack), RSP);
    mxcsr(a, true, FIELD(k, host_mxcsr));
    mxcsr(a, false, FIELD(k, mxcsr));
    lea(a, true, RAX, RSP, -CALL_STACK);
    store(a, true, RBP, FIELD(k, stack_limit), RAX);
    bottom(t, a, k);
    mov_rr(a, true, RAX, RSI);
    pins(a, k, &t->guest->ir, false);
    op_rr(a, 0, false, 0xff, 4, RAX); /* jmp rax */
    return at;
}

/* Any C may use floating point (a device, a library), so MXCSR is the host's while it runs. */
static uint32_t make_call(Translator *t, Asm *a, const X64Thunks *k, void (*fn)(TranslateCpu *))
{
    uint32_t at = begin(t, a);
    temps(a, k, true);
    pins(a, k, &t->guest->ir, true);
    load(a, true, RAX, RSP, 0);
    store(a, true, RBP, FIELD(k, fault_host_pc), RAX);
    mxcsr(a, true, FIELD(k, mxcsr));
    mxcsr(a, false, FIELD(k, host_mxcsr));
    alu_ri(a, true, ALU_SUB, RSP, 8);
    lea(a, true, RDI, RBP, -k->bias);
    mov_ri(a, RAX, (uint64_t)(uintptr_t)fn);
    op_rr(a, 0, false, 0xff, 2, RAX); /* call rax */
    alu_ri(a, true, ALU_ADD, RSP, 8);
    mxcsr(a, false, FIELD(k, mxcsr));
    alu_mi(a, false, ALU_CMP, RBP, FIELD(k, fault_pending), 0);
    uint8_t *fine = jump_short(a, CC_E);
    leave(a, k, EXIT_FAULT);
    land(a, fine);
    pins(a, k, &t->guest->ir, false);
    temps(a, k, false);
    put8(a, 0xc3);
    return at;
}

/* C behind the thunks */

static void do_load(TranslateCpu *cpu)
{
    if (ir_mem_log2(cpu->slow_info) > 3) {
        memory_load_wide(cpu, cpu->slow_address, cpu->slow_info, &cpu->cells[CELL_RESULT]);
        return;
    }
    cpu->slow_value = memory_load(cpu, cpu->slow_address, cpu->slow_info);
}

static void do_store(TranslateCpu *cpu)
{
    if (ir_mem_log2(cpu->slow_info) > 3) {
        memory_store_wide(cpu, cpu->slow_address, cpu->slow_info, &cpu->cells[CELL_A]);
        return;
    }
    uint64_t mask = UINT64_MAX >> (64 - 8 * ir_mem_bytes(cpu->slow_info));
    memory_store(cpu, cpu->slow_address, cpu->slow_info, cpu->slow_value & mask);
}

/* The region that called is to be made again, knowing that. */
static void make_again(TranslateCpu *cpu, uint64_t known)
{
    Translator *t = cpu->translator;
    uint32_t at = (uint32_t)(cpu->fault_host_pc - (uint64_t)(uintptr_t)t->code.run) - 1;
    g_mutex_lock(&t->lock);
    Region *r = cache_region_at(t, at);
    if (r) {
        cache_set_indexed(t, r, cache_indexed(t, r) | known);
        cache_kill(t, r);
    }
    g_mutex_unlock(&t->lock);
}

/* One of its accesses guessed wrong too often. */
static void do_wrong_guesses(TranslateCpu *cpu)
{
    make_again(cpu, UINT64_C(1) << cpu->slow_info);
}

static void do_unboxed(TranslateCpu *cpu)
{
    make_again(cpu, INDEXED_UNBOXED);
}

static void do_eval(TranslateCpu *cpu)
{
    const IrOp *op = (const IrOp *)(uintptr_t)cpu->args[0];
    cpu->count.evals++;
    memset(&cpu->cells[CELL_RESULT], 0, sizeof(IrValue));
    interp_op(cpu, op, &cpu->cells[CELL_RESULT], &cpu->cells[CELL_A], &cpu->cells[CELL_A + 1],
              &cpu->cells[CELL_A + 2]);
}

static void call_helper(TranslateCpu *cpu, const IrOp *op, IrValue *r)
{
    const IrHelper *h = &cpu->guest->ir.helpers[op->imm];
    r->u = h->fn(cpu, cpu->args[0], cpu->args[1], cpu->args[2], cpu->args[3]);
}

static void do_call(TranslateCpu *cpu)
{
    IrOp op = {.code = IR_CALL, .imm = (int64_t)(uint32_t)cpu->exit_info};
    IrValue r = {.w = {0}};
    if (cpu->verify)
        verify_call(cpu, &op, &r, call_helper);
    else
        call_helper(cpu, &op, &r);
    cpu->args[0] = r.u;
}

static bool host_is_able(GError **error)
{
    unsigned a, b, c, d;
    bool ok = __get_cpuid(1, &a, &b, &c, &d) && c & bit_FMA && c & bit_AVX && c & bit_MOVBE;
    ok = ok && __get_cpuid_count(7, 0, &a, &b, &c, &d) && b & bit_AVX2 && b & bit_BMI &&
         b & bit_BMI2;
    ok = ok && __get_cpuid(0x80000001, &a, &b, &c, &d) && c & bit_LZCNT;
    if (!ok)
        return fail(error, "the compiler needs a host CPU with AVX2, FMA, BMI2, LZCNT and MOVBE "
                           "(x86-64-v3); use -accel interp");
    return true;
}

static void look_at_host(X64Thunks *k)
{
    unsigned a, b, c = 0, d;
    if (__get_cpuid(1, &a, &b, &c, &d)) {
        k->has_aes = c & bit_AES;
        k->has_clmul = c & bit_PCLMUL;
    }
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d))
        k->has_sha = b & bit_SHA;
}

static void assign_pins(const TranslateGuest *g, X64Thunks *k)
{
    memset(k->pin, -1, sizeof k->pin);
    unsigned n = g->direct_memory ? X64_INT_PINS : X64_SYSTEM_PINS;
    k->n_temps = (uint8_t)(X64_MIN_TEMPS + X64_INT_PINS - n);
    for (unsigned i = 0; i < g->n_int_pins && k->n_int < n; i++)
        k->pin[g->int_pins[i]] = (int8_t)x64_int_pins[k->n_int++];
    for (unsigned i = 0; i < g->n_float_pins && k->n_float < X64_FLOAT_PINS; i++)
        k->pin[g->float_pins[i]] = (int8_t)XMM(6 + k->n_float++);
}

bool x64_start(Translator *t, GError **error)
{
    if (!host_is_able(error))
        return false;
    t->host_data = g_malloc0(sizeof(X64Data));
    X64Thunks *k = t->host_data;
    Asm a = {t->code.write};
    k->pool = x64_float_pool(t, &a);
    k->bias = (int32_t)t->guest->hot + 128;
    assign_pins(t->guest, k);
    look_at_host(k);
    k->exit_link = make_exit(t, &a, k, EXIT_LINK);
    k->exit_miss = make_exit(t, &a, k, EXIT_MISS);
    k->exit_mode = make_exit(t, &a, k, EXIT_MODE);
    k->exit_raise = make_exit(t, &a, k, EXIT_RAISE);
    k->exit_fault = make_exit(t, &a, k, EXIT_FAULT);
    k->miss = make_miss(t, &a, k);
    k->lookup = make_lookup(t, &a, k);
    k->underflow = make_underflow(t, &a, k);
    k->reset_stack = make_reset_stack(t, &a, k);
    k->enter = make_enter(t, &a, k);
    k->load = make_call(t, &a, k, do_load);
    k->store = make_call(t, &a, k, do_store);
    k->wrong_guesses = make_call(t, &a, k, do_wrong_guesses);
    k->unboxed = make_call(t, &a, k, do_unboxed);
    k->eval = make_call(t, &a, k, do_eval);
    k->call = make_call(t, &a, k, do_call);
    t->code.used = (size_t)(a.p - t->code.write);
    return true;
}

ExitReason x64_run(TranslateCpu *cpu, uint32_t entry)
{
    Translator *t = cpu->translator;
    const X64Thunks *k = t->host_data;
    union {
        const void *p;
        uint64_t (*fn)(TranslateCpu *, uint64_t);
    } enter = {.p = t->code.run + k->enter};
    cpu->exit_info = 0;
    return (ExitReason)enter.fn(cpu, (uint64_t)(uintptr_t)(t->code.run + entry));
}

static void set_rel32(Translator *t, uint32_t at, uint32_t target)
{
    uint32_t rel = target - (at + 4);
    __atomic_store_n((uint32_t *)(void *)(t->code.write + at), rel, __ATOMIC_RELEASE);
}

void x64_patch(Translator *t, Link *link, Region *to, uint32_t tag)
{
    if (to) {
        uint32_t target = link->loop && link->from == to ? to->loop_top : to->entry + 5;
        if (link->guard) {
            /* nobody may pass the guard for the old target into the new one's jump: shut, move,
             * open */
            __atomic_store_n((uint32_t *)(void *)(t->code.write + link->guard), 0xffffffffu,
                             __ATOMIC_SEQ_CST);
            set_rel32(t, link->jump, target);
            __atomic_store_n((uint32_t *)(void *)(t->code.write + link->guard), tag,
                             __ATOMIC_SEQ_CST);
        } else {
            set_rel32(t, link->jump, target);
        }
        return;
    }
    if (link->guard) {
        __atomic_store_n((uint32_t *)(void *)(t->code.write + link->guard), 0xffffffffu,
                         __ATOMIC_SEQ_CST);
        set_rel32(t, link->fallback, tag ? link->lookup : link->retry);
    }
    set_rel32(t, link->jump, link->stub);
}

void x64_kill(Translator *t, Region *r)
{
    uint8_t bytes[8];
    uint64_t word;
    memcpy(bytes, t->code.write + r->entry, sizeof bytes);
    uint32_t rel = r->dead_exit - (r->entry + 5);
    bytes[0] = 0xe9;
    memcpy(bytes + 1, &rel, 4);
    memcpy(&word, bytes, sizeof word);
    __atomic_store_n((uint64_t *)(void *)(t->code.write + r->entry), word, __ATOMIC_SEQ_CST);
}
