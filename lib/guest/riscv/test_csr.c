/* SPDX-License-Identifier: MIT */
/* What CSRs keep of what is written, which there are, counters; models, properties, the isa
   string. */
#include "guest/riscv/harness_priv.h"

static uint64_t get(Machine *m, unsigned csr)
{
    uint64_t v;
    if (!riscv_csr_read(m->cpu, csr, &v))
        g_error("no CSR %#x", csr);
    return v;
}

static uint64_t set(Machine *m, unsigned csr, uint64_t v)
{
    if (!riscv_csr_write(m->cpu, csr, v))
        g_error("CSR %#x cannot be written", csr);
    return get(m, csr);
}

static void test_legal_values(gconstpointer accel)
{
    Machine *m = machine_new("riscv64", "rv64,sv57=off", ACCEL(accel));
    g_assert_cmphex(get(m, 0x301), ==, BIT64(63) | 0x14112d); /* misa: RV64ACDFIMSU */
    g_assert_cmphex(set(m, 0x301, 0), ==, BIT64(63) | 0x14112d);
    g_assert_cmphex(set(m, 0x302, UINT64_MAX), ==, 0xb3ff);
    g_assert_cmphex(set(m, 0x303, UINT64_MAX), ==, 0x222);
    g_assert_cmphex(set(m, 0x304, UINT64_MAX), ==, 0xaaa);
    g_assert_cmphex(set(m, 0x104, 0), ==, 0);
    g_assert_cmphex(get(m, 0x304), ==, 0x888);
    g_assert_cmphex(set(m, 0x305, 0x80000003), ==, 0x80000001); /* reserved vector mode */
    g_assert_cmphex(set(m, 0x341, 0x80000003), ==, 0x80000002);
    /* satp: modes above the limit or unknown leave all as it was; 16 ASID bits */
    uint64_t sv48 = UINT64_C(9) << 60 | UINT64_C(0xffff) << 44 | 0x12345;
    g_assert_cmphex(set(m, 0x180, sv48), ==, sv48);
    g_assert_cmphex(set(m, 0x180, UINT64_C(10) << 60), ==, sv48);
    g_assert_cmphex(set(m, 0x180, UINT64_C(1) << 60), ==, sv48);
    g_assert_cmphex(set(m, 0x180, 0), ==, 0);
    /* mstatus: MPP has no level 2, UXL and SXL stay 2; SD follows FS */
    uint64_t v = set(m, 0x300, UINT64_MAX);
    g_assert_cmphex(v, ==, BIT64(63) | UINT64_C(0xa007e79aa) | UINT64_C(0));
    g_assert_cmpuint(bits_get(set(m, 0x300, UINT64_C(2) << 11), 11, 2), ==, 3);
    g_assert_cmphex(get(m, 0x300), ==, UINT64_C(0xa00001800));
    g_assert_cmphex(set(m, 0x300, UINT64_C(3) << 13 | 2) & ~UINT64_C(0xa00000000), ==,
                    BIT64(63) | 0x6002);
    g_assert_cmphex(get(m, 0x100), ==, BIT64(63) | UINT64_C(0x200006002));
    /* sstatus reaches only its own bits */
    set(m, 0x300, MSTATUS_TSR | MSTATUS_MIE);
    set(m, 0x100, UINT64_MAX);
    g_assert_cmphex(get(m, 0x300) & (MSTATUS_TSR | MSTATUS_MIE | MSTATUS_TVM | MSTATUS_MPRV), ==,
                    MSTATUS_TSR | MSTATUS_MIE);
    /* reserved CBIE 2 */
    set(m, 0x30a, 0x10);
    g_assert_cmphex(set(m, 0x30a, 0x20) & 0x30, ==, 0x10);
    /* read-only ones */
    g_assert_false(riscv_csr_write(m->cpu, 0xf14, 1));
    g_assert_false(riscv_csr_write(m->cpu, 0xc00, 1));
    machine_free(m);
}

static void test_mip(gconstpointer accel)
{
    Machine *m = machine_new("riscv64", "rv64", ACCEL(accel));
    const GuestIsa *isa = guest_isa_by_name("riscv64");
    /* M-mode sets the S bits; MTIP is a device's */
    g_assert_cmphex(set(m, 0x344, UINT64_MAX), ==, MIP_S);
    g_assert_cmphex(set(m, 0x344, 0), ==, 0);
    /* SEIP: the line and the software bit; csrrs of another bit does not catch the line */
    isa->set_irq(m->cpu, RISCV_IRQ_SEI, true);
    m->rv->x[A1] = MIP_SSIP;
    RUN(m, CSRRS(A0, 0x344, A1));
    g_assert_cmphex(m->rv->x[A0], ==, MIP_SEIP);
    isa->set_irq(m->cpu, RISCV_IRQ_SEI, false);
    g_assert_cmphex(get(m, 0x344), ==, MIP_SSIP);
    /* sip shows what is delegated, and only SSIP can be written */
    set(m, 0x344, MIP_S);
    g_assert_cmphex(get(m, 0x144), ==, 0);
    set(m, 0x303, MIP_S);
    g_assert_cmphex(set(m, 0x144, 0), ==, MIP_SEIP | MIP_STIP);
    /* with STCE, STIP is the comparison */
    set(m, 0x30a, MENVCFG_STCE);
    g_assert_cmphex(get(m, 0x144) & MIP_STIP, ==, 0);
    set(m, 0x14d, m->time);
    g_assert_cmphex(get(m, 0x144) & MIP_STIP, ==, MIP_STIP);
    set(m, 0x14d, m->time + 1);
    g_assert_cmphex(get(m, 0x144) & MIP_STIP, ==, 0);
    machine_free(m);
}

static void test_counters(gconstpointer accel)
{
    Machine *m = machine_new("riscv64", "rv64", ACCEL(accel));
    uint64_t a = get(m, 0xb00), b = get(m, 0xb00);
    g_assert_cmpuint(b, >, a);
    g_assert_cmpuint(get(m, 0xc01), ==, m->time);
    set(m, 0x320, 1);
    a = get(m, 0xb00);
    m->time += 100;
    g_assert_cmpuint(get(m, 0xb00), ==, a);
    set(m, 0xb00, 12345);
    g_assert_cmpuint(get(m, 0xb00), ==, 12345);
    set(m, 0x320, 0);
    a = get(m, 0xb00);
    g_assert_cmpuint(a, >, 12345);
    g_assert_cmpuint(a, <, 13345);
    g_assert_cmpuint(set(m, 0xb03, 5), ==, 0);
    /* U-mode needs both enables */
    set(m, 0x306, 2);
    m->rv->priv = RISCV_S;
    RUN(m, CSRR(A0, 0xc01));
    g_assert_cmpuint(m->rv->x[A0], ==, m->time);
    m->rv->priv = RISCV_U;
    RUN(m, CSRR(A0, 0xc01));
    machine_trapped(m, RISCV_ILLEGAL, RAM, CSRR(A0, 0xc01), RISCV_U);
    set(m, 0x106, 2);
    m->rv->priv = RISCV_U;
    RUN(m, CSRR(A1, 0xc01));
    g_assert_cmpuint(m->rv->x[A1], ==, m->time);
    machine_free(m);
}

static void test_inline(gconstpointer accel)
{
    Machine *m = machine_new("riscv64", "rv64", ACCEL(accel));
    /* CSRs that are slots, with all three operations, rd = rs1 among them */
    m->rv->x[A0] = 0xf0;
    m->rv->x[A1] = 0x3c;
    RUN(m, CSRRW(A0, 0x140, A0), CSRRS(A2, 0x140, A1), CSRRC(A3, 0x140, A1), CSRR(A4, 0x140),
        CSRRW(A1, 0x141, A1),
        OP_I(0x143, 21, 5, A5, 0x73));
    g_assert_cmphex(m->rv->x[A0], ==, 0);
    g_assert_cmphex(m->rv->x[A2], ==, 0xf0);
    g_assert_cmphex(m->rv->x[A3], ==, 0xfc);
    g_assert_cmphex(m->rv->x[A4], ==, 0xc0);
    g_assert_cmphex(m->rv->sepc, ==, 0x3c);
    g_assert_cmphex(m->rv->stval, ==, 21);
    /* local_irq_save and restore */
    m->rv->priv = RISCV_S;
    m->rv->mstatus |= MSTATUS_SIE;
    m->rv->fs = 2;
    RUN(m, CSRRCI(A0, 0x100, 2), CSRR(A1, 0x100), OP_I(2, A0, 7, A0, 0x13), CSRRS(A2, 0x100, A0),
        CSRR(A3, 0x100));
    g_assert_cmphex(m->rv->x[A0], ==, 2);
    g_assert_cmphex(m->rv->x[A1], ==, UINT64_C(0x200004000));
    g_assert_cmphex(m->rv->x[A2], ==, UINT64_C(0x200004000));
    g_assert_cmphex(m->rv->x[A3], ==, UINT64_C(0x200004002));
    machine_free(m);
}

static void test_rv32(gconstpointer accel)
{
    Machine *m = machine_new("riscv32", NULL, ACCEL(accel));
    g_assert_cmphex((uint32_t)get(m, 0x301), ==, 0x4014112d);
    set(m, 0x31a, MENVCFG_STCE >> 32);
    g_assert_cmphex(m->rv->menvcfg & MENVCFG_STCE, ==, MENVCFG_STCE);
    set(m, 0x14d, 0xffffffff);
    set(m, 0x15d, 7);
    g_assert_cmphex(m->rv->stimecmp, ==, UINT64_C(0x7ffffffff));
    set(m, 0xb80, 3);
    g_assert_cmpuint(get(m, 0xb80), ==, 3);
    g_assert_cmphex((uint32_t)set(m, 0x300, UINT32_MAX), ==, 0x807e79aa);
    g_assert_cmphex((uint32_t)set(m, 0x3a1, 0x01020304), ==, 0x01000304);
    machine_free(m);
}

static void test_saved(gconstpointer accel)
{
    Machine *m = machine_new("riscv64", NULL, ACCEL(accel)),
        *n = machine_new("riscv64", NULL, ACCEL(accel));
    g_autoptr(GByteArray) one = g_byte_array_new(), two = g_byte_array_new();
    g_autoptr(GError) error = NULL;
    size_t pos = 0;
    m->rv->fs = 3;
    m->rv->x[A1] = 0x71; /* frm 3, two flags */
    RUN(m, CSRRW(0, 3, A1), ADDI(A0, 0, 7), ADDI(A2, 0, 9));
    riscv_csr_write(m->cpu, 0x180, UINT64_C(8) << 60 | 1);
    riscv_csr_write(m->cpu, 0x3b1, 0x1234);
    riscv_save(m->cpu, one);
    g_assert_true(riscv_load(n->cpu, one->data, one->len, &pos, &error));
    g_assert_cmpuint(pos, ==, one->len);
    g_assert_cmphex(get(n, 3), ==, 0x71);
    g_assert_cmphex(get(n, 0x180), ==, UINT64_C(8) << 60 | 1);
    g_assert_cmphex(n->rv->x[A2], ==, 9);
    riscv_save(n->cpu, two);
    g_assert_cmpmem(one->data, one->len, two->data, two->len);
    pos = 0;
    g_assert_false(riscv_load(n->cpu, one->data, one->len - 1, &pos, &error));
    machine_free(m);
    machine_free(n);
}

static char *describe(const char *isa_name, const char *spec)
{
    const GuestIsa *isa = guest_isa_by_name(isa_name);
    Machine *m = machine_new(isa_name, spec, TRANSLATE_INTERP);
    GString *s = g_string_new(NULL);
    isa->describe(m->cpu, s);
    machine_free(m);
    return g_string_free(s, FALSE);
}

static void refuse(const char *spec, const char *words)
{
    Machine *m = machine_new("riscv64", NULL, TRANSLATE_INTERP);
    g_autoptr(GError) error = NULL;
    g_assert_false(guest_isa_by_name("riscv64")->configure(m->cpu, spec, &error));
    if (!strstr(error->message, words))
        g_error("%s: \"%s\" does not say \"%s\"", spec, error->message, words);
    machine_free(m);
}

static void test_models(void)
{
    g_autofree char *usual = describe("riscv64", NULL), *max = describe("riscv64", "max"),
                    *few = describe("riscv64", "rv64,f=off,d=off,zba=off,zbb=off,zbc=off,zbs=off,sstc=off,svadu=off,"
                                               "zicbom=off,zicboz=off,sv39=on"),
                    *narrow = describe("riscv32", "rv32,mmu=off");
    g_assert_cmpstr(usual, ==, "riscv,isa=rv64imafdc_zicbom_zicboz_zicsr_zifencei_zba_zbb_zbc_zbs_sstc_svadu\n"
                               "mmu-type=riscv,sv57\nriscv,cbom-block-size=64\nriscv,cboz-block-size=64\n");
    g_assert_nonnull(strstr(max, "_zicond_"));
    g_assert_nonnull(strstr(max, "_svinval_svnapot_svpbmt\n"));
    g_assert_cmpstr(few, ==, "riscv,isa=rv64imac_zicsr_zifencei\nmmu-type=riscv,sv39\n");
    g_assert_nonnull(strstr(narrow, "riscv,isa=rv32imafdc"));
    g_assert_nonnull(strstr(narrow, "mmu-type=riscv,none"));
    refuse("rv46", "rv64");
    refuse("rv64,zbe=on", "zbe");
    refuse("rv64,sstk=on", "sstc");
    refuse("rv64,v=true", "v:");
    refuse("rv64,f=off", "d: needs f");
    refuse("rv64,cboz_blocksize=48", "cboz_blocksize");
    g_assert_null(guest_isa_by_name("riscv46"));
    g_assert_cmpstr(guest_isa_by_elf(243, 32, false)->name, ==, "riscv32");
    g_assert_null(guest_isa_by_elf(243, 64, true));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    both_ways("/riscv/csr/legal-values", test_legal_values);
    both_ways("/riscv/csr/mip", test_mip);
    both_ways("/riscv/csr/counters", test_counters);
    both_ways("/riscv/csr/inline", test_inline);
    both_ways("/riscv/csr/rv32", test_rv32);
    both_ways("/riscv/csr/saved", test_saved);
    g_test_add_func("/riscv/models", test_models);
    return g_test_run();
}
