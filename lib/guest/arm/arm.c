/* SPDX-License-Identifier: MIT */
/*
 * The Arm guest: slots, pins, helpers, registers by name. Decoding is in decode.c, models in model.c,
 * what is not translation in user.c. System mode is not there yet.
 */
#include "guest/arm/arm.h"

#include <stddef.h>
#include <string.h>

#include "guest/arm/arm_priv.h"

#define FIELD(member) offsetof(ArmCpu, member)
#define X(n) [SLOT_X + (n)] = {.name = "x" #n, .offset = FIELD(x) + 8 * (n), .type = IR_I64}
#define V(n) [SLOT_V + (n)] = {.name = "v" #n, .offset = FIELD(v[n]), .type = IR_V128}
#define S(slot, member) [slot] = {.name = #member, .offset = FIELD(member), .type = IR_I64}
#define PAC(n) \
    [SLOT_PAC + 2 * (n)] = {.name = "key" #n, .offset = FIELD(pac_keys[n]), .type = IR_I64}, \
    [SLOT_PAC + 2 * (n) + 1] = {.name = "key" #n "h", .offset = FIELD(pac_keys[n][1]), .type = IR_I64}

#define P(n) [SLOT_P + (n)] = {.name = "p" #n, .offset = FIELD(p[n]), .type = IR_I64}

static const IrSlot slots[SLOT_COUNT] = {
    X(0), X(1), X(2), X(3), X(4), X(5), X(6), X(7), X(8), X(9), X(10), X(11), X(12), X(13), X(14), X(15),
    X(16), X(17), X(18), X(19), X(20), X(21), X(22), X(23), X(24), X(25), X(26), X(27), X(28), X(29), X(30),
    S(SLOT_SP, sp),
    V(0), V(1), V(2), V(3), V(4), V(5), V(6), V(7), V(8), V(9), V(10), V(11), V(12), V(13), V(14), V(15),
    V(16), V(17), V(18), V(19), V(20), V(21), V(22), V(23), V(24), V(25), V(26), V(27), V(28), V(29), V(30), V(31),
    [SLOT_FLAGS] = {.name = "nzcv", .offset = FIELD(flags), .type = IR_FLAGS},
    S(SLOT_TPIDR, tpidr), S(SLOT_PAIR_ADDRESS, pair_address), S(SLOT_PAIR_LOW, pair_low),
    S(SLOT_PAIR_HIGH, pair_high), S(SLOT_PSTATE, pstate),
    S(SLOT_BTYPE, btype),
    PAC(0), PAC(1), PAC(2), PAC(3), PAC(4),
    [SLOT_QC] = {.name = "qc", .offset = FIELD(qc), .type = IR_V128},
    S(SLOT_Z_STALE, z_stale), S(SLOT_SVE_ADDRESS, sve_address),
    P(0), P(1), P(2), P(3), P(4), P(5), P(6), P(7), P(8), P(9), P(10), P(11), P(12), P(13), P(14), P(15), P(16),
};
#undef X
#undef V
#undef S
#undef PAC
#undef P

/* By how often compiled programs use them; the last are the compiler's own scratch. */
static const uint16_t int_pins[] = {
    0, 1, 2, 19, 20, 3, 29, SLOT_SP, 30, 8, 21, 4, 22, 9, 10, 5, 23, 24, 6, 7, 11, 12, 25, 26, 13, 14, 27, 28, 15,
    16, 17, 18,
};
#define V(n) (SLOT_V + (n))
static const uint16_t float_pins[] = {
    V(0), V(1), V(2), V(3), V(4), V(5), V(6), V(7), V(31), V(30), V(29), V(28), V(8), V(16), V(17), V(18),
    V(27), V(26), V(9), V(10), V(11), V(19), V(20), V(21), V(22), V(23), V(24), V(25), V(12), V(13), V(14), V(15),
};
#undef V

#define RW (IR_HELPER_READS | IR_HELPER_WRITES)
#define FP_SCALAR IR_HELPER_READS | IR_HELPER_FPENV, IR_I64
const IrHelper arm_helpers[HELPER_COUNT] = {
    [HELPER_CRC32] = {"crc32", arm_helper_crc32, IR_HELPER_PURE, IR_I64},
    [HELPER_SET_FPCR] = {"set_fpcr", arm_helper_set_fpcr, RW | IR_HELPER_FPENV, IR_VOID},
    [HELPER_FPSR] = {"fpsr", arm_helper_fpsr, IR_HELPER_READS | IR_HELPER_FPENV, IR_I64},
    [HELPER_SET_FPSR] = {"set_fpsr", arm_helper_set_fpsr, RW | IR_HELPER_FPENV, IR_VOID},
    [HELPER_COUNTER] = {"counter", arm_helper_counter, IR_HELPER_READS, IR_I64},
    [HELPER_CODE_FENCE] = {"code_fence", arm_helper_code_fence, IR_HELPER_READS, IR_VOID},
    [HELPER_CLREX] = {"clrex", arm_helper_clrex, RW, IR_VOID},
    [HELPER_SERVICE] = {"service", arm_helper_service, RW | IR_HELPER_FAULTS, IR_VOID},
    [HELPER_LANES] = {"lanes", arm_helper_lanes, RW, IR_VOID},
    [HELPER_FP_LANES] = {"fp_lanes", arm_helper_fp_lanes, RW | IR_HELPER_FPENV, IR_VOID},
    [HELPER_FCVT_FIXED] = {"fcvt_fixed", arm_helper_fcvt_fixed, IR_HELPER_READS | IR_HELPER_FPENV, IR_I64},
    [HELPER_FIXED_FCVT] = {"fixed_fcvt", arm_helper_fixed_fcvt, IR_HELPER_READS | IR_HELPER_FPENV, IR_I64},
    [HELPER_FCVT_HALF] = {"fcvt_half", arm_helper_fcvt_half, IR_HELPER_READS | IR_HELPER_FPENV, IR_I64},
    [HELPER_HALF_LANES] = {"half_lanes", arm_helper_half_lanes, RW | IR_HELPER_FPENV, IR_VOID},
    [HELPER_HALF_FMA] = {"half_fma", arm_helper_half_fma, FP_SCALAR},
    [HELPER_HALF_COMPARE] = {"half_compare", arm_helper_half_compare, FP_SCALAR},
    [HELPER_HALF_TO_INT] = {"half_to_int", arm_helper_half_to_int, FP_SCALAR},
    [HELPER_HALF_FROM_INT] = {"half_from_int", arm_helper_half_from_int, FP_SCALAR},
    [HELPER_DOT] = {"dot", arm_helper_dot, RW | IR_HELPER_FPENV, IR_VOID},
    [HELPER_CRYPTO3] = {"crypto3", arm_helper_crypto3, RW, IR_VOID},
    [HELPER_QARMA] = {"qarma", arm_helper_qarma, IR_HELPER_READS, IR_I64},
    [HELPER_BRANCH_TARGET] = {"branch_target", arm_helper_branch_target, IR_HELPER_READS | IR_HELPER_FAULTS, IR_VOID},
    [HELPER_TAG_CHECK] = {"tag_check", arm_helper_tag_check, IR_HELPER_READS | IR_HELPER_FAULTS, IR_VOID},
    [HELPER_TAG_ALIGNED] = {"tag_aligned", arm_helper_tag_aligned, IR_HELPER_READS | IR_HELPER_FAULTS, IR_VOID},
    [HELPER_LOAD_TAG] = {"load_tag", arm_helper_load_tag, IR_HELPER_READS, IR_I64},
    [HELPER_STORE_TAG] = {"store_tag", arm_helper_store_tag, RW, IR_VOID},
    [HELPER_ADD_TAG] = {"add_tag", arm_helper_add_tag, IR_HELPER_READS, IR_I64},
    [HELPER_RANDOM_TAG] = {"random_tag", arm_helper_random_tag, RW, IR_I64},
    [HELPER_RANDOM] = {"random", arm_helper_random, IR_HELPER_READS, IR_I64},
    [HELPER_SVE] = {"sve", arm_helper_sve, RW, IR_VOID},
    [HELPER_SVE_VALUE] = {"sve_value", arm_helper_sve, RW, IR_I64},
    [HELPER_SVE_FP] = {"sve_fp", arm_helper_sve, RW | IR_HELPER_FPENV, IR_VOID},
    [HELPER_SVE_MEM] = {"sve_mem", arm_helper_sve, RW | IR_HELPER_FAULTS, IR_VOID},
    [HELPER_SVE_START] = {"sve_start", arm_helper_sve_start, 0, IR_VOID},
};

static void dump(TranslateCpu *base, GString *out)
{
    const ArmCpu *cpu = arm_of(base);
    g_string_append_printf(out, "pc %016" G_GINT64_MODIFIER "x nzcv %x", base->pc, arm_nzcv(base) >> 28);
    for (unsigned i = 0; i < 31; i++)
        g_string_append_printf(out, " x%u %" G_GINT64_MODIFIER "x", i, cpu->x[i]);
    g_string_append_printf(out, " sp %" G_GINT64_MODIFIER "x\n", cpu->sp);
}

#define X(n) {"x" #n, FIELD(x) + 8 * (n), 8}
#define V(n) {"v" #n, FIELD(v[n]), 16}
static const GuestReg regs[] = {
    X(0), X(1), X(2), X(3), X(4), X(5), X(6), X(7), X(8), X(9), X(10), X(11), X(12), X(13), X(14), X(15),
    X(16), X(17), X(18), X(19), X(20), X(21), X(22), X(23), X(24), X(25), X(26), X(27), X(28), X(29), X(30),
    {"sp", FIELD(sp), 8}, {"pc", FIELD(base.pc), 8},
    V(0), V(1), V(2), V(3), V(4), V(5), V(6), V(7), V(8), V(9), V(10), V(11), V(12), V(13), V(14), V(15),
    V(16), V(17), V(18), V(19), V(20), V(21), V(22), V(23), V(24), V(25), V(26), V(27), V(28), V(29), V(30), V(31),
    {"fpcr", FIELD(fpcr), 4}, {"tpidr_el0", FIELD(tpidr), 8}, {NULL, 0, 0},
};

static const uint16_t machines[] = {183, 0}; /* EM_AARCH64 */

#define USER { \
        .name = "aarch64", \
        .ir = {slots, SLOT_COUNT, arm_helpers, HELPER_COUNT}, \
        .cpu_size = sizeof(ArmCpu), \
        .hot = FIELD(x), \
        .insn_align = 2, \
        .max_insn = 4, \
        .int_pins = int_pins, .n_int_pins = G_N_ELEMENTS(int_pins), \
        .float_pins = float_pins, .n_float_pins = G_N_ELEMENTS(float_pins), \
        .fp = {.tiny_before = true}, .fp_rules = arm_fp_rules, \
        .flags_use = arm_flags_use, .flags_slot = SLOT_FLAGS, \
        .direct_memory = true, .mode = arm_user_mode, \
        .trouble = arm_trouble, .insn = arm_insn, .dump = dump, \
    }

static const TranslateGuest user = USER;

extern const GuestIsa aarch64_isa;
const GuestIsa aarch64_isa = {
    .name = "aarch64", .summary = "Arm, 64 bits (programs only)", .elf_machines = machines, .elf_class = 64,
    .regs = regs, .translate = USER, .user = &user, .list_models = arm_list_models, .configure = arm_configure,
    .reset_user = arm_user_reset, .describe = arm_describe,
};
