/* SPDX-License-Identifier: MIT */
/* The registers of a hart as a table for people; names and order are those that QEMU's monitor
   shows, since scripts read them. */
#include "guest/riscv/riscv_priv.h"

#include <inttypes.h>

static const char x_names[32][9] = {
    "x0/zero", "x1/ra", "x2/sp", "x3/gp", "x4/tp", "x5/t0", "x6/t1", "x7/t2",
    "x8/s0", "x9/s1", "x10/a0", "x11/a1", "x12/a2", "x13/a3", "x14/a4", "x15/a5",
    "x16/a6", "x17/a7", "x18/s2", "x19/s3", "x20/s4", "x21/s5", "x22/s6", "x23/s7",
    "x24/s8", "x25/s9", "x26/s10", "x27/s11", "x28/t3", "x29/t4", "x30/t5", "x31/t6",
};

static const char f_names[32][9] = {
    "f0/ft0", "f1/ft1", "f2/ft2", "f3/ft3", "f4/ft4", "f5/ft5", "f6/ft6", "f7/ft7",
    "f8/fs0", "f9/fs1", "f10/fa0", "f11/fa1", "f12/fa2", "f13/fa3", "f14/fa4", "f15/fa5",
    "f16/fa6", "f17/fa7", "f18/fs2", "f19/fs3", "f20/fs4", "f21/fs5", "f22/fs6", "f23/fs7",
    "f24/fs8", "f25/fs9", "f26/fs10", "f27/fs11", "f28/ft8", "f29/ft9", "f30/ft10", "f31/ft11",
};

static const uint16_t csrs[] = {
    0x300 /* mstatus */, 0x344 /* mip */, 0x304 /* mie */, 0x303 /* mideleg */,
    0x302 /* medeleg */, 0x305 /* mtvec */, 0x105 /* stvec */, 0x341 /* mepc */,
    0x141 /* sepc */, 0x342 /* mcause */, 0x142 /* scause */, 0x343 /* mtval */,
    0x143 /* stval */, 0x340 /* mscratch */, 0x140 /* sscratch */, 0x180 /* satp */,
};

void riscv_registers(TranslateCpu *cpu, bool fp, GString *out)
{
    const RiscvCpu *hart = riscv_of(cpu);
    int digits = hart->props.rv32 ? 8 : 16;
    uint64_t mask = hart->props.rv32 ? UINT32_MAX : UINT64_MAX, value;
    g_string_append_printf(out, " %-8s %0*" PRIx64 "\n", "pc", digits, cpu->pc & mask);
    g_string_append_printf(out, " %-8s %0*" PRIx64 "\n", "mhartid", digits, hart->hart & mask);
    for (size_t i = 0; i < G_N_ELEMENTS(csrs); i++) {
        const char *name = riscv_csr_name(cpu, csrs[i]);
        if (name && riscv_csr_read(cpu, csrs[i], &value))
            g_string_append_printf(out, " %-8s %0*" PRIx64 "\n", name, digits, value & mask);
    }
    for (unsigned i = 0; i < 32; i++)
        g_string_append_printf(out, " %-8s %0*" PRIx64 "%s", x_names[i], digits,
                               riscv_get_x(cpu, i) & mask, i % 4 == 3 ? "\n" : "");
    for (unsigned i = 0; fp && hart->props.f && i < 32; i++)
        g_string_append_printf(out, " %-8s %016" PRIx64 "%s", f_names[i], hart->f[i],
                               i % 4 == 3 ? "\n" : "");
}
