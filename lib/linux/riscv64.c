/* SPDX-License-Identifier: MIT */
/*
 * Linux on riscv64: registers of system calls, signal frames (asm/ucontext.h, asm/sigcontext.h), vDSO,
 * HWCAP (asm/hwcap.h: a bit a letter of the ISA string).
 */
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/bytes.h"
#include "guest/riscv/riscv.h"
#include "linux/call_priv.h"
#include "linux/vdso.h"

enum { RA = 1, SP = 2, TP = 4, A0 = 10, A1 = 11, A2 = 12, A7 = 17, CSR_FCSR = 3 };

static const LinuxNumber numbers[] = {
#define N(number, name) {number, CALL_##name},
#include "linux/numbers_generic.def"
#undef N
};

static RiscvCpu *riscv(const TranslateCpu *cpu)
{
    return (RiscvCpu *)(uintptr_t)cpu;
}

static void trap(LinuxThread *t, uint32_t exception, uint64_t value, LinuxTrap *out)
{
    Vma v;
    *out = (LinuxTrap){.signal = SIGSEGV, .code = SEGV_MAPERR, .addr = value};
    switch (exception) {
    case RISCV_ECALL_U:
        t->cpu->pc += 4;
        out->call = true;
        break;
    case RISCV_ILLEGAL:
        *out = (LinuxTrap){.signal = SIGILL, .code = ILL_ILLOPC, .addr = t->cpu->pc};
        break;
    case RISCV_BREAKPOINT:
        *out = (LinuxTrap){.signal = SIGTRAP, .code = TRAP_BRKPT, .addr = t->cpu->pc};
        break;
    case RISCV_LOAD_MISALIGNED: case RISCV_STORE_MISALIGNED: case RISCV_FETCH_MISALIGNED:
        *out = (LinuxTrap){.signal = SIGBUS, .code = BUS_ADRALN, .addr = value};
        break;
    default:
        if (mm_find(&t->process->mm, value, &v))
            out->code = SEGV_ACCERR;
        break;
    }
}

static void get_call(TranslateCpu *cpu, uint64_t *number, uint64_t args[6])
{
    const RiscvCpu *r = riscv(cpu);
    *number = r->x[A7];
    memcpy(args, &r->x[A0], 6 * sizeof *args);
}

static void set_result(TranslateCpu *cpu, int64_t result)
{
    riscv(cpu)->x[A0] = (uint64_t)result;
}

static void restart(TranslateCpu *cpu, uint64_t number, uint64_t arg0)
{
    cpu->pc -= 4;
    riscv(cpu)->x[A0] = arg0;
}

static uint64_t get_sp(const TranslateCpu *cpu)
{
    return riscv(cpu)->x[SP];
}

static void start(TranslateCpu *cpu, uint64_t entry, uint64_t sp)
{
    const LinuxThread *t = cpu->user;
    t->process->isa->reset_user(cpu, entry);
    riscv(cpu)->x[SP] = sp;
}

static void clone_state(TranslateCpu *to, const TranslateCpu *from, uint64_t sp, bool set_tls,
                        uint64_t tls)
{
    RiscvCpu *r = riscv(to);
    const RiscvCpu *f = riscv(from);
    if (to != from) {
        uint64_t fcsr = 0;
        r->props = f->props;
        r->misa = f->misa;
        ((const LinuxThread *)to->user)->process->isa->reset_user(to, from->pc);
        memcpy(r->x, f->x, sizeof r->x);
        memcpy(r->f, f->f, sizeof r->f);
        riscv_csr_read((TranslateCpu *)(uintptr_t)from, CSR_FCSR, &fcsr);
        riscv_csr_write(to, CSR_FCSR, fcsr);
    }
    r->x[A0] = 0;
    if (sp)
        r->x[SP] = sp;
    if (set_tls)
        r->x[TP] = tls;
}

static uint64_t hwcap(TranslateCpu *cpu, unsigned word)
{
    const RiscvProps *p = &riscv(cpu)->props;
    const struct { bool on; char letter; } bits[] = {
        {p->i, 'i'}, {p->m, 'm'}, {p->a, 'a'}, {p->f, 'f'}, {p->d, 'd'}, {p->c, 'c'}};
    uint64_t caps = 0;
    for (unsigned i = 0; !word && i < G_N_ELEMENTS(bits); i++)
        if (bits[i].on)
            caps |= UINT64_C(1) << (bits[i].letter - 'a');
    return caps;
}

/* ---- Signal frames ----------------------------------------------------------------- */

typedef struct Context { /* struct ucontext with its sigcontext */
    uint64_t flags, link;
    stack_t stack;
    uint64_t mask;
    uint8_t unused[128 - 8];
    uint64_t pad;            /* sigcontext is aligned to 16 */
    uint64_t regs[32];       /* pc, x1..x31 */
    uint64_t f[32];
    uint32_t fcsr;
    uint8_t fp_rest[528 - 256 - 4]; /* room for 128-bit registers; zeros: no further records */
} Context;
_Static_assert(sizeof(Context) == 960 && offsetof(Context, regs) == 176, "as the kernel has it");

typedef struct Frame {
    siginfo_t info;
    Context uc;
} Frame;
_Static_assert(sizeof(siginfo_t) == 128, "as the kernel has it");

static bool push_frame(LinuxThread *t, const LinuxSigFrame *frame)
{
    RiscvCpu *r = riscv(t->cpu);
    uint64_t fcsr = 0, at = (frame->stack - sizeof(Frame)) & ~UINT64_C(15);
    Frame f = {.info = frame->info};
    f.uc.stack = frame->altstack;
    f.uc.mask = frame->mask;
    f.uc.regs[0] = t->cpu->pc;
    memcpy(&f.uc.regs[1], &r->x[1], 31 * sizeof *r->x);
    memcpy(f.uc.f, r->f, sizeof f.uc.f);
    riscv_csr_read(t->cpu, CSR_FCSR, &fcsr);
    f.uc.fcsr = (uint32_t)fcsr;
    if (guest_write(at, &f, sizeof f))
        return false;
    r->x[RA] = t->process->sigreturn;
    r->x[SP] = at;
    r->x[A0] = (uint64_t)frame->signal;
    r->x[A1] = at + offsetof(Frame, info);
    r->x[A2] = at + offsetof(Frame, uc);
    t->cpu->pc = frame->handler;
    return true;
}

static bool pop_frame(LinuxThread *t, uint64_t *mask, stack_t *altstack)
{
    RiscvCpu *r = riscv(t->cpu);
    Context uc;
    if (guest_read(&uc, r->x[SP] + offsetof(Frame, uc), sizeof uc))
        return false;
    t->cpu->pc = uc.regs[0];
    memcpy(&r->x[1], &uc.regs[1], 31 * sizeof *r->x);
    memcpy(r->f, uc.f, sizeof r->f);
    riscv_csr_write(t->cpu, CSR_FCSR, uc.fcsr);
    *mask = uc.mask;
    *altstack = uc.stack;
    return true;
}

/* ---- vDSO ------------------------------------------------------------------------------- */

#define ECALL 0x00000073u
#define RET 0x00008067u
#define NOP 0x00000013u
#define LI_A7(n) (0x00000893u | (uint32_t)(n) << 20) /* addi a7, zero, n */
#define AUIPC_T0 0x00000297u                         /* auipc t0, 0 */
#define LD_T0(n) (0x0002b283u | (uint32_t)(n) << 20) /* ld t0, n(t0) */
#define SERVICE(n) (0x0000000bu | (uint32_t)(n) << 20)

static GBytes *vdso(uint64_t key, uint64_t *sigreturn)
{
    static const struct { const char *name; uint32_t number; bool service; } calls[] = {
        {"__vdso_rt_sigreturn", 139, false},
        {"__vdso_gettimeofday", SYS_gettimeofday, true},
        {"__vdso_clock_gettime", SYS_clock_gettime, true},
        {"__vdso_clock_getres", SYS_clock_getres, true},
        {"__vdso_getcpu", SYS_getcpu, true},
        {"__vdso_flush_icache", 259, false},
    };
    enum { COUNT = G_N_ELEMENTS(calls), SIZE = 16 };
    uint8_t code[COUNT * SIZE + 8];
    VdsoSymbol symbols[COUNT];
    uint64_t at;
    for (unsigned i = 0; i < COUNT; i++) {
        uint32_t offset = i * SIZE;
        st_le32(code + offset, calls[i].service ? AUIPC_T0 : LI_A7(calls[i].number));
        st_le32(code + offset + 4, calls[i].service ? LD_T0(COUNT * SIZE - offset) : ECALL);
        st_le32(code + offset + 8, calls[i].service ? SERVICE(calls[i].number) : RET);
        st_le32(code + offset + 12, calls[i].service ? RET : NOP);
        symbols[i] = (VdsoSymbol){calls[i].name, offset, SIZE};
    }
    st_le64(code + COUNT * SIZE, key);
    GBytes *image = vdso_build(243, 5 /* RVC, double-float ABI */, "LINUX_4.15", symbols, COUNT,
                               code, sizeof code, &at);
    *sigreturn = at;
    return image;
}

static void cpuinfo(TranslateCpu *cpu, GString *out)
{
    g_autoptr(GString) lines = g_string_new(NULL);
    riscv(cpu)->hart = 0;
    ((const LinuxThread *)cpu->user)->process->isa->describe(cpu, lines);
    const char *isa = strstr(lines->str, "riscv,isa=");
    g_autofree char *text = isa ? g_strndup(isa + 10, strcspn(isa + 10, "\n")) : g_strdup("rv64imafdc");
    for (long n = 0; n < sysconf(_SC_NPROCESSORS_ONLN); n++)
        g_string_append_printf(out, "processor\t: %ld\nhart\t\t: %ld\nisa\t\t: %s\nmmu\t\t: sv39\n\n",
                               n, n, text);
}

const LinuxAbi riscv64_linux = {
    .isa = "riscv64",
    .machine = "riscv64",
    .numbers = numbers,
    .n_numbers = G_N_ELEMENTS(numbers),
    .task_size = UINT64_C(1) << 46, /* mappings are put below mmap_top, as with Sv39 */
    .mmap_top = UINT64_C(0x3ffffff000),
    .pie_base = UINT64_C(0x2aaaaaa000),
    .min_stack_frame = sizeof(Frame),
    .trap = trap,
    .get_call = get_call,
    .set_result = set_result,
    .restart = restart,
    .get_sp = get_sp,
    .start = start,
    .clone = clone_state,
    .hwcap = hwcap,
    .push_frame = push_frame,
    .pop_frame = pop_frame,
    .vdso = vdso,
    .cpuinfo = cpuinfo,
    .clone_tls_first = true,
};
