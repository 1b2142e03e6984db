/* SPDX-License-Identifier: MIT */
/*
 * Instructions against results from the manual's rules and the host's own
 * arithmetic: words, M, Zb*, Zicond, A, F/D moves and boxing, RV32, U-mode with
 * 32-bit registers, what compressed instructions stand for and which are none.
 */
#include "guest/riscv/harness_priv.h"

typedef struct Case {
    const char *name;
    uint32_t insn; /* rd a0, rs1 a1, rs2 a2 */
    uint64_t a1, a2, result;
} Case;

#define RR(f7, f3, op) OP_R(f7, A2, A1, f3, A0, op)
#define II(imm, f3, op) OP_I(imm, A1, f3, A0, op)
#define MIN64 UINT64_C(0x8000000000000000)
#define M1 UINT64_MAX
#define S32(v) ((uint64_t)(int64_t)(int32_t)(v))

static const Case cases64[] = {
    {"addi", II(-1, 0, 0x13), 0, 0, M1},
    {"sltiu -1", II(-1, 3, 0x13), 5, 0, 1},
    {"slti", II(-1, 2, 0x13), M1 - 1, 0, 1},
    {"srai 63", II(0x43f, 5, 0x13), MIN64, 0, M1},
    {"sll by 65", RR(0, 1, 0x33), 3, 65, 6},
    {"addw", RR(0, 0, 0x3b), 0x7fffffff, 1, S32(0x80000000)},
    {"addw high bits", RR(0, 0, 0x3b), 0xffffffff00000001, 0x100000002, 3},
    {"subw", RR(0x20, 0, 0x3b), 0, 1, M1},
    {"addiw", II(0, 0, 0x1b), 0x180000000, 0, S32(0x80000000)},
    {"slliw", II(31, 1, 0x1b), 3, 0, S32(0x80000000)},
    {"srliw", II(4, 5, 0x1b), 0xfffffffff0000000, 0, 0x0f000000},
    {"sraiw", II(0x404, 5, 0x1b), 0x00000001f0000000, 0, S32(0xff000000)},
    {"sllw by 33", RR(0, 1, 0x3b), 1, 33, 2},
    {"srlw by 0", RR(0, 5, 0x3b), 0x80000000, 32, S32(0x80000000)},
    {"sraw", RR(0x20, 5, 0x3b), 0x80000000, 31, M1},
    {"mulh", RR(1, 1, 0x33), M1, M1, 0},
    {"mulhu", RR(1, 3, 0x33), M1, M1, M1 - 1},
    {"mulhsu", RR(1, 2, 0x33), M1, M1, M1},
    {"mulw", RR(1, 0, 0x3b), 0x10000, 0x8000, S32(0x80000000)},
    {"div by 0", RR(1, 4, 0x33), 7, 0, M1},
    {"div overflow", RR(1, 4, 0x33), MIN64, M1, MIN64},
    {"rem overflow", RR(1, 6, 0x33), MIN64, M1, 0},
    {"rem by 0", RR(1, 6, 0x33), 7, 0, 7},
    {"divu by 0", RR(1, 5, 0x33), 7, 0, M1},
    {"remu by 0", RR(1, 7, 0x33), 7, 0, 7},
    {"divw overflow", RR(1, 4, 0x3b), 0x80000000, M1, S32(0x80000000)},
    {"divuw", RR(1, 5, 0x3b), 0xf00000000ffffffe, 2, 0x7ffffff},
    {"remuw by 0", RR(1, 7, 0x3b), 0xffffffff, 0, M1},
    {"sh1add", RR(0x10, 2, 0x33), 3, 10, 16},
    {"sh3add", RR(0x10, 6, 0x33), MIN64 + 1, 1, 9},
    {"add.uw", RR(4, 0, 0x3b), M1, 1, 0x100000000},
    {"sh2add.uw", RR(0x10, 4, 0x3b), M1, 1, 0x3fffffffd},
    {"slli.uw", II(0x80 | 4, 1, 0x1b), M1, 0, 0xffffffff0},
    {"andn", RR(0x20, 7, 0x33), 0xff, 0x0f, 0xf0},
    {"orn", RR(0x20, 6, 0x33), 0, 0xf, ~UINT64_C(0xf)},
    {"xnor", RR(0x20, 4, 0x33), 0xf0, 0xff, ~UINT64_C(0xf)},
    {"clz 0", II(0x600, 1, 0x13), 0, 0, 64},
    {"clzw", II(0x600, 1, 0x1b), 0xffffffff00000001, 0, 31},
    {"ctz 0", II(0x601, 1, 0x13), 0, 0, 64},
    {"ctzw 0", II(0x601, 1, 0x1b), 0x100000000, 0, 32},
    {"cpop", II(0x602, 1, 0x13), M1, 0, 64},
    {"cpopw", II(0x602, 1, 0x1b), M1, 0, 32},
    {"sext.b", II(0x604, 1, 0x13), 0x180, 0, M1 - 0x7f},
    {"sext.h", II(0x605, 1, 0x13), 0x18000, 0, M1 - 0x7fff},
    {"zext.h", OP_R(4, 0, A1, 4, A0, 0x3b), M1, 0, 0xffff},
    {"min", RR(5, 4, 0x33), M1, 1, M1},
    {"minu", RR(5, 5, 0x33), M1, 1, 1},
    {"max", RR(5, 6, 0x33), M1, 1, 1},
    {"maxu", RR(5, 7, 0x33), M1, 1, M1},
    {"rol", RR(0x30, 1, 0x33), MIN64 | 1, 65, 3},
    {"ror", RR(0x30, 5, 0x33), 3, 1, MIN64 | 1},
    {"rori", II(0x600 | 63, 5, 0x13), MIN64, 0, 1},
    {"rolw", RR(0x30, 1, 0x3b), 0x40000000, 1, S32(0x80000000)},
    {"roriw", II(0x601, 5, 0x1b), 1, 0, S32(0x80000000)},
    {"orc.b", II(0x287, 5, 0x13), 0x0001800010ff0002, 0, 0x00ffff00ffff00ff},
    {"rev8", II(0x6b8, 5, 0x13), 0x0102030405060708, 0, 0x0807060504030201},
    {"clmul", RR(5, 1, 0x33), 0xff, 0x11, 0xf0f},
    {"clmulh", RR(5, 3, 0x33), MIN64, 6, 3},
    {"clmulr", RR(5, 2, 0x33), MIN64, 7, 7},
    {"bclr", RR(0x24, 1, 0x33), M1, 64, M1 - 1},
    {"bext", RR(0x24, 5, 0x33), MIN64, 63, 1},
    {"binv", RR(0x34, 1, 0x33), 0, 63, MIN64},
    {"bset", RR(0x14, 1, 0x33), 0, 65, 2},
    {"bclri", II(0x480 | 63, 1, 0x13), M1, 0, M1 >> 1},
    {"bexti", II(0x480 | 32, 5, 0x13), 0x100000000, 0, 1},
    {"binvi", II(0x680 | 32, 1, 0x13), 0, 0, 0x100000000},
    {"bseti", II(0x280 | 63, 1, 0x13), 0, 0, MIN64},
    {"czero.eqz", RR(7, 5, 0x33), 9, 0, 0},
    {"czero.eqz 2", RR(7, 5, 0x33), 9, 2, 9},
    {"czero.nez", RR(7, 7, 0x33), 9, 2, 0},
    {"c.addiw", 0x00012505 /* c.addiw a0,1 */, 0, 0, 1},
    {"c.li", 0x00015501 /* c.li a0,-32 */, 0, 0, M1 - 31},
    {"c.lui", 0x0001757d /* c.lui a0,-1 */, 0, 0, M1 << 12},
    {"c.mv", 0x0001852e /* c.mv a0,a1 */, 77, 0, 77},
    {"c.add", 0x0001952e /* c.add a0,a1 */, 77, 0, 77},
};

static const Case cases32[] = {
    {"add", RR(0, 0, 0x33), S32(0x7fffffff), 1, S32(0x80000000)},
    {"srl", RR(0, 5, 0x33), S32(0x80000000), 32, S32(0x80000000)},
    {"srli", II(1, 5, 0x13), S32(0x80000000), 0, 0x40000000},
    {"sra", RR(0x20, 5, 0x33), S32(0x80000000), 31, M1},
    {"sltu", RR(0, 3, 0x33), 1, M1, 1},
    {"mulhu", RR(1, 3, 0x33), M1, M1, S32(0xfffffffe)},
    {"mulhsu", RR(1, 2, 0x33), M1, M1, M1},
    {"div overflow", RR(1, 4, 0x33), S32(0x80000000), M1, S32(0x80000000)},
    {"divu by 0", RR(1, 5, 0x33), 3, 0, M1},
    {"remu", RR(1, 7, 0x33), M1, 10, 5},
    {"clz", II(0x600, 1, 0x13), 1, 0, 31},
    {"rev8", II(0x698, 5, 0x13), 0x01020384, 0, S32(0x84030201)},
    {"zext.h", OP_R(4, 0, A1, 4, A0, 0x33), M1, 0, 0xffff},
    {"clmulr", RR(5, 2, 0x33), S32(0x80000000), 7, 7},
    {"orc.b", II(0x287, 5, 0x13), 0x00800001, 0, 0x00ff00ff},
    {"bset", RR(0x14, 1, 0x33), 0, 31, S32(0x80000000)},
    {"rol", RR(0x30, 1, 0x33), S32(0x80000001), 1, 3},
};

static void run_cases(const char *isa, const char *model, const Case *cases, unsigned n,
                      gconstpointer accel)
{
    Machine *m = machine_new(isa, model, ACCEL(accel));
    for (unsigned i = 0; i < n; i++) {
        if (!cases[i].insn)
            continue;
        /* once from registers, once more with constants that the builder can fold */
        for (unsigned fold = 0; fold < 2; fold++) {
            m->rv->priv = RISCV_M;
            m->rv->mcause = 0;
            m->rv->x[A0] = 0;
            m->rv->x[A1] = fold ? 0x5555 : cases[i].a1;
            m->rv->x[A2] = fold ? 0x5555 : cases[i].a2;
            m->rv->x[A3] = RAM + 0x6000;
            st_le64(machine_at(m, RAM + 0x6000), cases[i].a1);
            st_le64(machine_at(m, RAM + 0x6008), cases[i].a2);
            unsigned f3 = m->rv->props.rv32 ? 2 : 3;
            if (fold)
                RUN(m, LOAD(f3, A1, A3, 0), LOAD(f3, A2, A3, 8), cases[i].insn);
            else
                RUN(m, cases[i].insn);
            if (m->rv->x[A0] != cases[i].result || m->rv->mcause)
                g_error("%s: %#" G_GINT64_MODIFIER "x, not %#" G_GINT64_MODIFIER "x (mcause %d)",
                        cases[i].name,
                        m->rv->x[A0], cases[i].result, (int)m->rv->mcause);
        }
    }
    machine_free(m);
}

static void test_64(gconstpointer accel)
{
    run_cases("riscv64", "max", cases64, G_N_ELEMENTS(cases64), accel);
}

static void test_32(gconstpointer accel)
{
    run_cases("riscv32", "max", cases32, G_N_ELEMENTS(cases32), accel);
    Machine *m = machine_new("riscv32", NULL, ACCEL(accel));
    /* RV64's own instructions are none here */
    static const uint32_t none[] = {RR(0, 0, 0x3b), II(1, 0, 0x1b), LD(A0, A1, 0),
                                    LOAD(6, A0, A1, 0), SD(A0, A1, 0),
                                    II(0x20, 1, 0x13), OP_R(0x61, 2, A1, 0, A0, 0x53)};
    for (unsigned i = 0; i < G_N_ELEMENTS(none); i++) {
        machine_reset(m);
        m->rv->fs = 3;
        RUN(m, none[i]);
        machine_trapped(m, RISCV_ILLEGAL, S32(RAM), S32(none[i]), RISCV_M);
    }
    /* jal writes a sign-extended link; auipc too; c.jal is there */
    machine_reset(m);
    /* auipc a0,0; jal ra,.+4; c.jal .+4; c.jal . (not reached) */
    RUN(m, 0x00000517u, 0x004000efu, 0x20012011u);
    g_assert_cmphex(m->rv->x[A0], ==, S32(RAM));
    g_assert_cmphex(m->rv->x[RA], ==, S32(RAM + 10));
    machine_free(m);
}

static void test_atomics(gconstpointer accel)
{
    Machine *m = machine_new("riscv64", "rv64", ACCEL(accel));
    static const struct {
        unsigned f5;
        uint64_t word, operand, result;
    } amos[] = {
        {0x01, 5, 6, 6}, {0x00, 5, 6, 11}, {0x04, 5, 6, 3}, {0x0c, 5, 6, 4}, {0x08, 5, 6, 7},
        {0x10, 0xffffffff, 1, 0xffffffff}, {0x14, 0xffffffff, 1, 1}, {0x18, 0xffffffff, 1, 1},
        {0x1c, 0xffffffff, 1, 0xffffffff}, {0x00, 0xffffffff, 1, 0},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(amos); i++) {
        m->rv->x[A1] = RAM + 0x6000;
        m->rv->x[A2] = amos[i].operand | UINT64_C(0x1234567800000000);
        st_le64(machine_at(m, RAM + 0x6000), UINT64_C(0x9999999900000000) | amos[i].word);
        RUN(m, OP_R(amos[i].f5 << 2 | 3, A2, A1, 2, A0, 0x2f));
        g_assert_cmphex(m->rv->x[A0], ==, S32(amos[i].word));
        g_assert_cmphex(ld_le64(machine_at(m, RAM + 0x6000)), ==,
                        UINT64_C(0x9999999900000000) | amos[i].result);
    }
    /* lr.w a0,(a1); sc.w a3,a2,(a1); sc.w a4,a2,(a1) */
    m->rv->x[A2] = 0x77;
    st_le32(machine_at(m, RAM + 0x6000), 0x80000001);
    RUN(m, OP_R(0x08, 0, A1, 2, A0, 0x2f), OP_R(0x0c, A2, A1, 2, A3, 0x2f),
        OP_R(0x0c, A2, A1, 2, A4, 0x2f));
    g_assert_cmphex(m->rv->x[A0], ==, S32(0x80000001));
    g_assert_cmpuint(m->rv->x[A3], ==, 0);
    g_assert_cmpuint(m->rv->x[A4], ==, 1);
    g_assert_cmphex(ld_le32(machine_at(m, RAM + 0x6000)), ==, 0x77);
    machine_free(m);
}

static uint64_t bits_of(double d)
{
    uint64_t v;
    memcpy(&v, &d, 8);
    return v;
}

static void test_float(gconstpointer accel)
{
    Machine *m = machine_new("riscv64", "rv64", ACCEL(accel));
    /* fadd.d fa0,fa1,fa2 with FS on but clean: becomes dirty */
    m->rv->fs = 1;
    m->rv->f[A1] = bits_of(1.5);
    m->rv->f[A2] = bits_of(2.25);
    RUN(m, OP_R(1, A2, A1, 7, A0, 0x53), CSRR(A0, 0x300));
    g_assert_cmphex(m->rv->f[A0], ==, bits_of(3.75));
    g_assert_cmpuint(m->rv->fs, ==, 3);
    g_assert_cmphex(m->rv->x[A0] & (MSTATUS_FS | BIT64(63)), ==, MSTATUS_FS | BIT64(63));
    /* a store and a move out leave it clean; an access with FS off is illegal */
    machine_reset(m);
    m->rv->fs = 2;
    m->rv->x[A1] = RAM + 0x6000;
    m->rv->f[A2] = UINT64_C(0x123456789abcdef0); /* not boxed: fsw and fmv.x.w take the low half */
    RUN(m, OP_S(0, A2, A1, 2) - 0x23 + 0x27, OP_R(0x70, 0, A2, 0, A0, 0x53), CSRR(A3, 0x300));
    g_assert_cmphex(ld_le32(machine_at(m, RAM + 0x6000)), ==, 0x9abcdef0);
    g_assert_cmphex(m->rv->x[A0], ==, S32(0x9abcdef0));
    g_assert_cmphex(m->rv->x[A3] & (MSTATUS_FS | BIT64(63)), ==, UINT64_C(2) << MSTATUS_FS_SHIFT);
    /* fadd.s of what is not boxed: the default NaN, boxed */
    m->rv->f[A1] = UINT64_C(0x3f800000);
    RUN(m, OP_R(0, A1, A1, 7, A0, 0x53));
    g_assert_cmphex(m->rv->f[A0], ==, UINT64_C(0xffffffff7fc00000));
    /* flags: 1/0 and 0/0 read through fcsr; frm and fflags */
    machine_reset(m);
    m->rv->fs = 3;
    m->rv->f[A1] = bits_of(1);
    m->rv->f[A2] = bits_of(0);
    RUN(m, OP_R(0x0d, A2, A1, 7, A0, 0x53), CSRR(A0, 1), OP_R(0x0d, A2, A2, 7, A3, 0x53),
        CSRR(A1, 3), CSRRW(A2, 1, 0),
        CSRR(A3, 1));
    g_assert_cmphex(m->rv->x[A0], ==, 8);
    g_assert_cmphex(m->rv->x[A1], ==, 0x18);
    g_assert_cmphex(m->rv->x[A2], ==, 0x18);
    g_assert_cmphex(m->rv->x[A3], ==, 0);
    g_assert_cmphex(m->rv->f[A3], ==, UINT64_C(0x7ff8000000000000));
    /* fcvt.l.d of 2.5 by each mode through frm, and statically; frm 5 is illegal to use */
    static const unsigned whole[] = {2, 2, 2, 3, 3};
    for (unsigned frm = 0; frm < 6; frm++) {
        machine_reset(m);
        m->rv->fs = 3;
        m->rv->f[A1] = bits_of(2.5);
        m->rv->x[A1] = frm;
        uint32_t dynamic = OP_R(0x61, 2, A1, 7, A0, 0x53), fixed = OP_R(0x61, 2, A1, frm, A2, 0x53);
        RUN(m, CSRRW(0, 2, A1), dynamic, fixed);
        if (frm == 5) {
            machine_trapped(m, RISCV_ILLEGAL, RAM + 4, dynamic, RISCV_M);
        } else {
            g_assert_cmpuint(m->rv->x[A0], ==, whole[frm]);
            g_assert_cmpuint(m->rv->x[A2], ==, whole[frm]);
        }
    }
    /* fcvt.w.d of a NaN, of too much; fcvt.wu.d of -1 */
    machine_reset(m);
    m->rv->fs = 3;
    m->rv->f[A1] = UINT64_C(0x7ff8000000000000);
    m->rv->f[A2] = bits_of(-1);
    RUN(m, OP_R(0x61, 0, A1, 1, A0, 0x53), OP_R(0x61, 1, A1, 1, A1, 0x53),
        OP_R(0x61, 1, A2, 1, A2, 0x53));
    g_assert_cmphex(m->rv->x[A0], ==, 0x7fffffff);
    g_assert_cmphex(m->rv->x[A1], ==, M1);
    g_assert_cmphex(m->rv->x[A2], ==, 0);
    /* fsgnjx.d and fclass.d */
    machine_reset(m);
    m->rv->fs = 3;
    m->rv->f[A1] = bits_of(-3);
    m->rv->f[A2] = bits_of(-0.0);
    RUN(m, OP_R(0x11, A2, A1, 2, A0, 0x53), OP_R(0x71, 0, A2, 1, A0, 0x53));
    g_assert_cmphex(m->rv->f[A0], ==, bits_of(3));
    g_assert_cmphex(m->rv->x[A0], ==, 8);
    machine_free(m);
}

/* RV32 in U-mode on RV64: sstatus.UXL = 1. */
static void test_uxl(gconstpointer accel)
{
    Machine *m = machine_new("riscv64", "rv64", ACCEL(accel));
    uint64_t v;
    m->rv->priv = RISCV_S;
    riscv_csr_read(m->cpu, 0x100, &v);
    g_assert_cmpuint(bits_get(v, MSTATUS_UXL_SHIFT, 2), ==, 2);
    riscv_csr_write(m->cpu, 0x100, bits_set(v, MSTATUS_UXL_SHIFT, 2, 3)); /* no RV128: keeps */
    riscv_csr_read(m->cpu, 0x100, &v);
    g_assert_cmpuint(bits_get(v, MSTATUS_UXL_SHIFT, 2), ==, 2);
    riscv_csr_write(m->cpu, 0x100, bits_set(v, MSTATUS_UXL_SHIFT, 2, 1));
    g_assert_false(riscv_is_32(m->cpu));
    m->rv->priv = RISCV_U;
    g_assert_true(riscv_is_32(m->cpu));
    m->rv->x[A1] = UINT64_C(0x180006000); /* addresses are taken modulo 2^32 */
    m->rv->x[A2] = 0x7fffffff;
    st_le32(machine_at(m, RAM + 0x6000), 0x89abcdef);
    RUN(m, LOAD(2, A0, A1, 0), ADDI(A2, A2, 1), OP_I(1, A2, 5, A3, 0x13), LD(A0, A1, 0));
    machine_trapped(m, RISCV_ILLEGAL, RAM + 12, LD(A0, A1, 0), RISCV_U);
    g_assert_cmphex(m->rv->x[A0], ==, S32(0x89abcdef));
    g_assert_cmphex(m->rv->x[A2], ==, S32(0x80000000));
    g_assert_cmphex(m->rv->x[A3], ==, 0x40000000);
    machine_free(m);
}

/* Which 16-bit words are instructions of RV64GC, from the manual's tables. */
static bool is_rvc64(uint16_t w)
{
    unsigned f3 = w >> 13, rd = w >> 7 & 31, rs2 = w >> 2 & 31, imm6 = (w >> 12 & 1) << 5 | rs2;
    switch ((w & 3) << 3 | f3) {
    case 0: return w >> 5 & 0xff;
    case 4: return false;
    case 9: return rd != 0;                 /* c.addiw */
    case 11: return imm6 != 0;              /* c.lui, c.addi16sp */
    case 12: return (w >> 10 & 3) != 3 || !(w >> 12 & 1) || !(w >> 6 & 1);
    case 18: case 19: return rd != 0;       /* c.lwsp, c.ldsp */
    case 20: return w & 0x1000 || rd || rs2; /* c.jr x0; then hints and c.ebreak */
    default: return true;
    }
}

static void test_compressed_legality(gconstpointer accel)
{
    Machine *m = machine_new("riscv64", "rv64", ACCEL(accel));
    IrBuilder b;
    ir_builder_init(&b, &m->cpu->guest->ir);
    m->rv->fs = 3;
    for (unsigned w = 0; w < 0x10000; w++) {
        uint8_t code[2] = {(uint8_t)w, (uint8_t)(w >> 8)};
        if ((w & 3) == 3)
            continue;
        ir_builder_reset(&b);
        b.cpu = m->cpu;
        b.mode = riscv_mode_key(m->rv);
        g_assert_true(riscv_insn(&b, code, 2));
        g_assert_cmpuint(b.length, ==, 2);
        bool illegal = false;
        for (unsigned i = 1; i < b.n; i++)
            illegal |= b.ops[i].code == IR_RAISE && b.ops[i].imm == RISCV_ILLEGAL;
        if (illegal == is_rvc64((uint16_t)w))
            g_error("%#06x: %s", w, illegal ? "refused" : "taken");
    }
    /* half an instruction asks for more */
    ir_builder_reset(&b);
    g_assert_false(riscv_insn(&b, (const uint8_t[]){0x13, 0}, 2));
    g_assert_cmpuint(b.n, ==, 1);
    ir_builder_clear(&b);
    machine_free(m);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    both_ways("/riscv/insn/rv64", test_64);
    both_ways("/riscv/insn/rv32", test_32);
    both_ways("/riscv/insn/atomics", test_atomics);
    both_ways("/riscv/insn/float", test_float);
    both_ways("/riscv/insn/uxl", test_uxl);
    g_test_add_data_func("/riscv/insn/compressed", GUINT_TO_POINTER(TRANSLATE_INTERP),
                         test_compressed_legality);
    return g_test_run();
}
