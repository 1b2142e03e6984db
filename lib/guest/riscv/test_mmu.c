/* SPDX-License-Identifier: MIT */
/* Page-table walks of every mode and level, permissions, A and D, MPRV, fences, PMP. */
#include "guest/riscv/harness_priv.h"

enum { V = 1, R = 2, W = 4, X = 8, U = 16, G = 32, A = 64, D = 128 };
#define RWX (V | R | W | X | A | D)
#define PAGE UINT64_C(0x1000)
#define DATA (RAM + 0x200000) /* aligned for a 2 MiB page; two pages of it are RAM's */

static uint64_t pte(uint64_t phys, unsigned flags)
{
    return phys >> 12 << 10 | flags;
}

/* Table number n: its address. */
static uint64_t table(unsigned n)
{
    return TABLES + n * PAGE;
}

static void put_pte(Machine *m, unsigned n, unsigned index, uint64_t value)
{
    st_le64(machine_at(m, table(n) + 8 * index), value);
}

static uint64_t get_pte(Machine *m, unsigned n, unsigned index)
{
    return ld_le64(machine_at(m, table(n) + 8 * index));
}

static unsigned vpn(uint64_t va, unsigned level)
{
    return (unsigned)(va >> (12 + 9 * level)) & 511;
}

/* Maps va by a leaf at `level` in tables 0.. (root first; one chain), levels as satp's mode has. */
static void map(Machine *m, unsigned mode, uint64_t va, unsigned level, uint64_t leaf)
{
    unsigned levels = mode - 5, n = 0;
    for (unsigned l = levels - 1; l > level; l--, n++)
        put_pte(m, n, vpn(va, l), pte(table(n + 1), V));
    put_pte(m, n, vpn(va, level), leaf);
}

/* One M-mode instruction on data with MPRV: translated as for priv. */
static void access_as(Machine *m, RiscvPriv priv, unsigned mode, uint64_t status, uint32_t insn,
                      uint64_t va)
{
    m->rv->priv = RISCV_M;
    m->rv->mcause = m->rv->mtval = 0;
    m->rv->mstatus &= ~(MSTATUS_MPP | MSTATUS_SUM | MSTATUS_MXR);
    m->rv->mstatus |= MSTATUS_MPRV | (uint64_t)priv << MSTATUS_MPP_SHIFT | status;
    m->rv->satp = (uint64_t)mode << 60 | table(0) >> 12;
    riscv_spaces_renew(m->rv);
    m->rv->x[A0] = va;
    /* the stop that follows is on a physical address: leave MPRV first */
    m->rv->x[A5] = MSTATUS_MPRV;
    RUN(m, insn, CSRRC(0, 0x300, A5));
    m->rv->mstatus &= ~MSTATUS_MPRV;
}

static void handler_leaves_mprv(Machine *m)
{
    static const uint32_t stop[] = {CSRRC(0, 0x300, A5), LUI(T6, STOP >> 12), SW(0, T6, 0), LOOP};
    machine_code(m, M_HANDLER, stop, 4);
}

static void expect(Machine *m, unsigned cause, uint64_t va)
{
    g_assert_cmphex(m->rv->mcause, ==, cause);
    g_assert_cmphex(m->rv->mtval, ==, cause ? va : 0);
}

#define LOAD_INSN LD(A1, A0, 0)
#define STORE_INSN SD(A2, A0, 0)

static void test_levels(gconstpointer accel)
{
    Machine *m = machine_new("riscv64", "rv64", ACCEL(accel));
    for (unsigned mode = 8; mode <= 10; mode++) {
        unsigned levels = mode - 5;
        for (unsigned level = 0; level < levels; level++) {
            /* a high address with all index fields different */
            uint64_t va = UINT64_MAX << (11 + 9 * levels), span = PAGE << 9 * level;
            for (unsigned l = 0; l < levels; l++)
                va |= (uint64_t)(l + 3) << (12 + 9 * l);
            va = (va & ~(span - 1)) | (0x234560 & (span - 1) & ~7u);
            uint64_t phys = level ? RAM & ~(span - 1) : DATA;
            machine_reset(m);
            handler_leaves_mprv(m);
            map(m, mode, va, level, pte(phys, RWX));
            uint64_t at = phys | (va & (span - 1));
            bool ram = at >= RAM && at < RAM + RAM_SIZE;
            if (ram)
                st_le64(machine_at(m, at), 0x1122334455667788 + mode);
            access_as(m, RISCV_S, mode, 0, LOAD_INSN, va);
            expect(m, ram ? 0 : RISCV_LOAD_ACCESS, va);
            if (ram)
                g_assert_cmphex(m->rv->x[A1], ==, 0x1122334455667788 + mode);
            if (!level)
                continue;
            /* a superpage whose physical address is not a multiple of its size */
            map(m, mode, va, level, pte(phys + PAGE, RWX));
            access_as(m, RISCV_S, mode, 0, LOAD_INSN, va);
            expect(m, RISCV_LOAD_PAGE, va);
        }
        /* not sign-extended, and mapped or not does not matter */
        uint64_t odd = UINT64_C(1) << (11 + 9 * levels);
        access_as(m, RISCV_S, mode, 0, LOAD_INSN, odd);
        expect(m, RISCV_LOAD_PAGE, odd);
    }
    machine_free(m);
}

static void test_bad_entries(gconstpointer accel)
{
    Machine *m = machine_new("riscv64", "rv64", ACCEL(accel));
    uint64_t va = 0x40201000;
    handler_leaves_mprv(m);
    map(m, 8, va, 0, pte(DATA, RWX));
    static const uint64_t bad[] = {0, V | W | A | D, V | W | X | A | D, RWX | BIT64(54),
                                   RWX | BIT64(60), RWX | BIT64(61),
                                   RWX | BIT64(63)};
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        put_pte(m, 2, vpn(va, 0), bad[i] | (bad[i] ? pte(DATA, 0) : 0));
        access_as(m, RISCV_S, 8, 0, LOAD_INSN, va);
        expect(m, RISCV_LOAD_PAGE, va);
        access_as(m, RISCV_S, 8, 0, STORE_INSN, va);
        expect(m, RISCV_STORE_PAGE, va);
    }
    put_pte(m, 2, vpn(va, 0), pte(DATA, RWX));
    /* a pointer to a table may not have A, D or U; nor may the last level be one */
    static const unsigned pointer[] = {A, D, U};
    for (unsigned i = 0; i < G_N_ELEMENTS(pointer); i++) {
        put_pte(m, 1, vpn(va, 1), pte(table(2), V | pointer[i]));
        access_as(m, RISCV_S, 8, 0, LOAD_INSN, va);
        expect(m, RISCV_LOAD_PAGE, va);
    }
    put_pte(m, 1, vpn(va, 1), pte(table(2), V));
    put_pte(m, 2, vpn(va, 0), pte(table(2), V));
    access_as(m, RISCV_S, 8, 0, LOAD_INSN, va);
    expect(m, RISCV_LOAD_PAGE, va);
    /* a table outside memory is an access fault of the access's kind */
    put_pte(m, 1, vpn(va, 1), pte(0x5000, V));
    access_as(m, RISCV_S, 8, 0, STORE_INSN, va);
    expect(m, RISCV_STORE_ACCESS, va);
    machine_free(m);
}

static void test_permissions(gconstpointer accel)
{
    Machine *m = machine_new("riscv64", "rv64", ACCEL(accel));
    static const struct {
        unsigned flags;
        RiscvPriv priv;
        uint64_t status;
        bool load, store;
    } cases[] = {
        {V | R | W | A | D, RISCV_S, 0, true, true},
        {V | R | A | D, RISCV_S, 0, true, false},
        {V | X | A | D, RISCV_S, 0, false, false},
        {V | X | A | D, RISCV_S, MSTATUS_MXR, true, false},
        {V | R | W | U | A | D, RISCV_U, 0, true, true},
        {V | R | W | A | D, RISCV_U, 0, false, false},
        {V | R | W | U | A | D, RISCV_S, 0, false, false},
        {V | R | W | U | A | D, RISCV_S, MSTATUS_SUM, true, true},
        {V | R | W | A | D, RISCV_S, MSTATUS_SUM, true, true},
        {V | X | U | A | D, RISCV_S, MSTATUS_SUM | MSTATUS_MXR, true, false},
        {V | X | U | A | D, RISCV_U, MSTATUS_MXR, true, false},
        {V | R | W | U | A | D, RISCV_U, MSTATUS_SUM, true, true},
    };
    uint64_t va = 0x7000;
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        machine_reset(m);
        handler_leaves_mprv(m);
        map(m, 8, va, 0, pte(DATA, cases[i].flags));
        access_as(m, cases[i].priv, 8, cases[i].status, LOAD_INSN, va);
        expect(m, cases[i].load ? 0 : RISCV_LOAD_PAGE, va);
        access_as(m, cases[i].priv, 8, cases[i].status, STORE_INSN, va);
        expect(m, cases[i].store ? 0 : RISCV_STORE_PAGE, va);
        access_as(m, cases[i].priv, 8, cases[i].status, OP_R(0, A2, A0, 3, A1, 0x2f), va);
        expect(m, cases[i].store ? 0 : RISCV_STORE_PAGE, va);
    }
    machine_free(m);
}

static void check_bits(Machine *m, bool hardware)
{
    uint64_t va = 0x9000;
    unsigned i = vpn(va, 0);
    handler_leaves_mprv(m);
    map(m, 8, va, 0, pte(DATA, V | R | W));
    access_as(m, RISCV_S, 8, 0, LOAD_INSN, va);
    expect(m, hardware ? 0 : RISCV_LOAD_PAGE, va);
    g_assert_cmphex(get_pte(m, 2, i) & (A | D), ==, hardware ? A : 0);
    put_pte(m, 2, i, pte(DATA, V | R | W | A));
    access_as(m, RISCV_S, 8, 0, STORE_INSN, va);
    expect(m, hardware ? 0 : RISCV_STORE_PAGE, va);
    g_assert_cmphex(get_pte(m, 2, i) & (A | D), ==, hardware ? A | D : A);
    /* read-only: no bit is set for a store that fails */
    put_pte(m, 2, i, pte(DATA, V | R));
    access_as(m, RISCV_S, 8, 0, STORE_INSN, va);
    expect(m, RISCV_STORE_PAGE, va);
    g_assert_cmphex(get_pte(m, 2, i) & (A | D), ==, 0);
    /* a load and then a store through one translation */
    if (hardware) {
        put_pte(m, 2, i, pte(DATA, V | R | W));
        m->rv->mstatus = bits_set(m->rv->mstatus, MSTATUS_MPP_SHIFT, 2, RISCV_S) | MSTATUS_MPRV;
        riscv_spaces_renew(m->rv);
        RUN(m, LOAD_INSN, STORE_INSN, CSRRC(0, 0x300, A5));
        g_assert_cmphex(get_pte(m, 2, i) & (A | D), ==, A | D);
    }
}

static void test_accessed_dirty(gconstpointer accel)
{
    Machine *m = machine_new("riscv64", "rv64", ACCEL(accel));
    check_bits(m, true);
    machine_reset(m);
    m->rv->menvcfg = 0;
    check_bits(m, false);
    machine_free(m);
    m = machine_new("riscv64", "rv64,svadu=off", ACCEL(accel));
    check_bits(m, false);
    machine_free(m);
}

/* S-mode code on two mappings of one address, switched by satp and by changed tables. */
static void test_execute(gconstpointer accel)
{
    Machine *m = machine_new("riscv64", "rv64", ACCEL(accel));
    const uint64_t va = 0x10000;
    static const uint32_t one[] = {ADDI(A0, 0, 1), ECALL}, two[] = {ADDI(A0, 0, 2), ECALL};
    machine_code(m, RAM + 0x8000, one, 2);
    machine_code(m, RAM + 0x9000, two, 2);
    for (unsigned user = 0; user < 2; user++) {
        for (unsigned step = 0; step < 6; step++) {
            unsigned flags = RWX | (user ? U : 0);
            bool second = step & 1;
            map(m, 8, va, 0, pte(second ? RAM + 0x9000 : RAM + 0x8000, flags));
            if (step < 2)
                riscv_csr_write(m->cpu, 0x180,
                                UINT64_C(8) << 60 | (uint64_t)step << 44 | table(0) >> 12);
            else
                riscv_helper_sfence(m->cpu, step < 4 ? va : 0, 0, step < 4, 0);
            m->rv->priv = user ? RISCV_U : RISCV_S;
            m->cpu->pc = va;
            translate_run(m->cpu);
            machine_trapped(m, user ? RISCV_ECALL_U : RISCV_ECALL_S, va + 4, 0,
                            user ? RISCV_U : RISCV_S);
            g_assert_cmpuint(m->rv->x[A0], ==, second ? 2 : 1);
        }
    }
    /* what may not be executed */
    static const unsigned refused[] = {V | R | W | A | D, RWX | U};
    for (unsigned i = 0; i < 2; i++) {
        map(m, 8, va, 0, pte(RAM + 0x8000, refused[i]));
        riscv_helper_sfence(m->cpu, 0, 0, 0, 0);
        m->rv->priv = RISCV_S;
        m->rv->mstatus |= MSTATUS_SUM;
        m->cpu->pc = va;
        translate_run(m->cpu);
        machine_trapped(m, RISCV_FETCH_PAGE, va, va, RISCV_S);
    }
    machine_free(m);
}

/* An instruction over two pages: the second half's fault has the instruction's pc and the half's
   address. */
static void test_straddle(gconstpointer accel)
{
    Machine *m = machine_new("riscv64", "rv64", ACCEL(accel));
    const uint64_t va = 0x10000;
    map(m, 8, va, 0, pte(RAM + 0x8000, RWX));
    st_le16(machine_at(m, RAM + 0x8ffe), (uint16_t)ADDI(A0, 0, 5));
    st_le16(machine_at(m, RAM + 0x5000), (uint16_t)(ADDI(A0, 0, 5) >> 16));
    st_le32(machine_at(m, RAM + 0x5002), ECALL);
    riscv_csr_write(m->cpu, 0x180, UINT64_C(8) << 60 | table(0) >> 12);
    m->rv->priv = RISCV_S;
    m->cpu->pc = va + 0xffe;
    translate_run(m->cpu);
    machine_trapped(m, RISCV_FETCH_PAGE, va + 0xffe, va + 0x1000, RISCV_S);
    map(m, 8, va + PAGE, 0, pte(RAM + 0x5000, RWX));
    m->rv->priv = RISCV_S;
    m->cpu->pc = va + 0xffe;
    translate_run(m->cpu);
    machine_trapped(m, RISCV_ECALL_S, va + 0x1002, 0, RISCV_S);
    g_assert_cmpuint(m->rv->x[A0], ==, 5);
    machine_free(m);
}

static void test_sv32(gconstpointer accel)
{
    Machine *m = machine_new("riscv32", NULL, ACCEL(accel));
    const uint32_t va = 0xc0402000;
    handler_leaves_mprv(m);
    st_le32(machine_at(m, table(0) + 4 * (va >> 22)), (uint32_t)pte(table(1), V));
    st_le32(machine_at(m, table(1) + 4 * (va >> 12 & 1023)), (uint32_t)pte(DATA, V | R | W));
    st_le32(machine_at(m, DATA), 0x87654321);
    m->rv->satp = BIT64(31) | table(0) >> 12;
    for (unsigned i = 0; i < 3; i++) {
        m->rv->mstatus = bits_set(m->rv->mstatus, MSTATUS_MPP_SHIFT, 2, RISCV_S) | MSTATUS_MPRV;
        m->rv->x[A0] = (uint64_t)(int64_t)(int32_t)va;
        m->rv->x[A5] = MSTATUS_MPRV;
        m->rv->mcause = 0;
        riscv_spaces_renew(m->rv);
        RUN(m, LOAD(2, A1, A0, 0), CSRRC(0, 0x300, A5));
        if (i == 0) {
            g_assert_cmphex(m->rv->x[A1], ==, UINT64_C(0xffffffff87654321));
            g_assert_cmphex(ld_le32(machine_at(m, table(1) + 4 * (va >> 12 & 1023))) & (A | D), ==,
                            A);
            /* a 4 MiB page */
            st_le32(machine_at(m, table(0) + 4 * (va >> 22)), (uint32_t)pte(RAM, V | R | A));
        } else if (i == 1) {
            g_assert_cmphex(m->rv->mcause, ==, 0);
            g_assert_cmphex(m->rv->x[A1], ==,
                            (uint64_t)(int64_t)(int32_t)ld_le32(machine_at(m, RAM + 0x2000)));
            st_le32(machine_at(m, table(0) + 4 * (va >> 22)), (uint32_t)pte(RAM + PAGE, V | R | A));
        } else {
            g_assert_cmphex(m->rv->mcause, ==, RISCV_LOAD_PAGE);
            g_assert_cmphex((uint32_t)m->rv->mtval, ==, va);
        }
    }
    machine_free(m);
}

static unsigned pmp_try(Machine *m, RiscvPriv priv, uint32_t insn, uint64_t at)
{
    access_as(m, priv, 0, 0, insn, at);
    return (unsigned)m->rv->mcause;
}

static void set_pmp(Machine *m, unsigned i, uint8_t cfg, uint64_t addr)
{
    uint64_t all = riscv_pmp_read(m->rv, 0x3a0 + i / 8 * 2);
    riscv_pmp_write(m->rv, 0x3b0 + i, addr);
    riscv_pmp_write(m->rv, 0x3a0 + i / 8 * 2, bits_set(all, i % 8 * 8, 8, cfg));
}

static void test_pmp(gconstpointer accel)
{
    Machine *m = machine_new("riscv64", "rv64", ACCEL(accel));
    handler_leaves_mprv(m);
    /* none set: S may do nothing, M all */
    riscv_pmp_reset(m->rv);
    g_assert_cmpuint(pmp_try(m, RISCV_S, LOAD_INSN, DATA), ==, RISCV_LOAD_ACCESS);
    g_assert_cmpuint(pmp_try(m, RISCV_M, LOAD_INSN, DATA), ==, 0);
    m->rv->priv = RISCV_S;
    RUN(m, NOP);
    machine_trapped(m, RISCV_FETCH_ACCESS, RAM, RAM, RISCV_S);
    /* TOR [DATA, DATA+0x1000) read; NA4; NAPOT 32 bytes read-write */
    set_pmp(m, 0, 0, DATA >> 2);
    set_pmp(m, 1, 0x08 | 1, (DATA + 0x1000) >> 2);
    set_pmp(m, 2, 0x10 | 3, (DATA + 0x2000) >> 2);
    set_pmp(m, 3, 0x18 | 3, (DATA + 0x3000) >> 2 | 3);
    static const struct {
        unsigned at;
        bool load, store;
    } cases[] = {{0, true, false}, {0xff8, true, false}, {0x1000, false, false},
                 {0x2000, true, true}, {0x2004, false, false},
                 {0x1ffc, false, false}, {0x3000, true, true}, {0x3018, true, true}, {0x3020, false, false}};
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_assert_cmpuint(pmp_try(m, RISCV_S, LOAD(2, A1, A0, 0), DATA + cases[i].at), ==,
                         cases[i].load ? 0 : RISCV_LOAD_ACCESS);
        g_assert_cmpuint(pmp_try(m, RISCV_U, SW(A2, A0, 0), DATA + cases[i].at), ==,
                         cases[i].store ? 0 : RISCV_STORE_ACCESS);
        g_assert_cmpuint(pmp_try(m, RISCV_M, SW(A2, A0, 0), DATA + cases[i].at), ==, 0);
    }
    /* an access that an entry matches only in part fails, for M too */
    g_assert_cmpuint(pmp_try(m, RISCV_S, LOAD(3, A1, A0, 0), DATA + 0x2000), ==,
                     RISCV_LOAD_ACCESS);
    g_assert_cmpuint(pmp_try(m, RISCV_M, LOAD(3, A1, A0, 0), DATA + 0x2000), ==,
                     RISCV_LOAD_ACCESS);
    g_assert_cmpuint(pmp_try(m, RISCV_M, SD(A2, A0, 0), DATA + 0x301c), ==, RISCV_STORE_ACCESS);
    g_assert_cmpuint(pmp_try(m, RISCV_M, LOAD(3, A1, A0, 0), DATA + 0x2008), ==, 0);
    /* locked: holds for M, cannot be changed, nor the address below a locked TOR */
    set_pmp(m, 1, 0x80 | 0x08 | 1, (DATA + 0x1000) >> 2);
    g_assert_cmpuint(pmp_try(m, RISCV_M, SW(A2, A0, 0), DATA), ==, RISCV_STORE_ACCESS);
    g_assert_cmpuint(pmp_try(m, RISCV_M, LOAD(2, A1, A0, 0), DATA), ==, 0);
    riscv_pmp_write(m->rv, 0x3b1, 0);
    riscv_pmp_write(m->rv, 0x3b0, 0);
    riscv_pmp_write(m->rv, 0x3a0, 0);
    g_assert_cmphex(riscv_pmp_read(m->rv, 0x3b0), ==, DATA >> 2);
    g_assert_cmphex(riscv_pmp_read(m->rv, 0x3b1), ==, (DATA + 0x1000) >> 2);
    g_assert_cmphex(riscv_pmp_read(m->rv, 0x3a0), ==, 0x8900);
    machine_free(m);
    /* no PMP at all: S may do everything */
    m = machine_new("riscv64", "rv64,pmp=off", ACCEL(accel));
    handler_leaves_mprv(m);
    g_assert_cmpuint(pmp_try(m, RISCV_S, LOAD_INSN, DATA), ==, 0);
    g_assert_cmpuint(pmp_try(m, RISCV_U, STORE_INSN, DATA), ==, 0);
    uint64_t v;
    g_assert_false(riscv_csr_read(m->cpu, 0x3a0, &v));
    machine_free(m);
}

/* Tables behind PMP, which does not let S read them. */
static void test_pmp_tables(gconstpointer accel)
{
    Machine *m = machine_new("riscv64", "rv64", ACCEL(accel));
    handler_leaves_mprv(m);
    riscv_pmp_reset(m->rv);
    set_pmp(m, 0, 0x18, table(0) >> 2 | 0x1ff); /* the first table: nothing */
    set_pmp(m, 1, 0x1f, UINT64_MAX);
    map(m, 8, 0x7000, 0, pte(DATA, RWX));
    access_as(m, RISCV_S, 8, 0, LOAD_INSN, 0x7000);
    expect(m, RISCV_LOAD_ACCESS, 0x7000);
    machine_free(m);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    both_ways("/riscv/mmu/levels", test_levels);
    both_ways("/riscv/mmu/bad-entries", test_bad_entries);
    both_ways("/riscv/mmu/permissions", test_permissions);
    both_ways("/riscv/mmu/accessed-dirty", test_accessed_dirty);
    both_ways("/riscv/mmu/execute", test_execute);
    both_ways("/riscv/mmu/straddle", test_straddle);
    both_ways("/riscv/mmu/sv32", test_sv32);
    both_ways("/riscv/mmu/pmp", test_pmp);
    both_ways("/riscv/mmu/pmp-tables", test_pmp_tables);
    return g_test_run();
}
