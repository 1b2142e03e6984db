/* SPDX-License-Identifier: MIT */
/*
 * Linux on arm64: registers of system calls, signal frames (asm/ucontext.h, asm/sigcontext.h), vDSO,
 * HWCAP (asm/hwcap.h), the flags of open that have other numbers than the host's (asm/fcntl.h).
 */
#include <stddef.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/bytes.h"
#include "guest/arm/arm.h"
#include "linux/aarch64_priv.h"
#include "linux/vdso.h"

enum { FP = 29, LR = 30, NR = 8 };

static const LinuxNumber numbers[] = {
#define LINUX_NUMBERS_PLAIN
#define N(number, name) {number, CALL_##name},
#include "linux/numbers_generic.def"
#undef N
#undef LINUX_NUMBERS_PLAIN
};

static const LinuxBits open_flags[] = {
    {040000, 0200000},  /* O_DIRECTORY */
    {0100000, 0400000}, /* O_NOFOLLOW */
    {0200000, 040000},  /* O_DIRECT */
    {0400000, 0100000}, /* O_LARGEFILE */
    {0, 0},
};

static ArmCpu *arm(const TranslateCpu *cpu)
{
    return (ArmCpu *)(uintptr_t)cpu;
}

/* ESR_EL1: exception classes and IL */
#define ESR_FETCH 0x82000000u
#define ESR_PC 0x8a000000u
#define ESR_DATA 0x92000000u

static bool access_at_pc(const LinuxThread *t, ArmAccess *out)
{
    uint32_t word;
    return !guest_read(&word, t->cpu->pc, sizeof word) && arm_access(GUINT32_FROM_LE(word), out);
}

static unsigned writes(const LinuxThread *t)
{
    ArmAccess a;
    return access_at_pc(t, &a) && a.write;
}

static void trap(LinuxThread *t, uint32_t exception, uint64_t value, LinuxTrap *out)
{
    Vma v;
    *out = (LinuxTrap){.signal = SIGSEGV, .code = SEGV_MAPERR, .addr = value};
    t->fault_address = t->fault_syndrome = 0;
    switch (exception) {
    case ARM_SVC:
        t->cpu->pc += 4;
        out->call = true;
        break;
    case ARM_UNDEFINED:
        *out = (LinuxTrap){.signal = SIGILL, .code = ILL_ILLOPC, .addr = t->cpu->pc};
        break;
    case ARM_TAG_CHECK:
        t->fault_address = value;
        t->fault_syndrome = ESR_DATA | 0x11 | writes(t) << 6;
        *out = (LinuxTrap){.signal = SIGSEGV, .code = 9 /* SEGV_MTESERR */, .addr = value & UINT64_MAX >> 8};
        break;
    case ARM_BRANCH_TARGET:
        *out = (LinuxTrap){.signal = SIGILL, .code = ILL_ILLOPC, .addr = t->cpu->pc};
        break;
    case ARM_BRK:
        *out = (LinuxTrap){.signal = SIGTRAP, .code = TRAP_BRKPT, .addr = t->cpu->pc};
        break;
    case ARM_ALIGNMENT: case ARM_PC_ALIGNMENT:
        t->fault_address = value;
        t->fault_syndrome = exception == ARM_ALIGNMENT ? ESR_DATA | 0x21 | writes(t) << 6 : ESR_PC;
        *out = (LinuxTrap){.signal = SIGBUS, .code = BUS_ADRALN, .addr = value};
        break;
    case ARM_FETCH:
        if (value >> 56 && !(value >> 48 & 0xff)) { /* a branch drops the tag of its target */
            t->cpu->pc = value & UINT64_MAX >> 8;
            out->again = true;
            return;
        }
        /* fall through */
    default:
        t->fault_address = value;
        if (mm_find(&t->process->mm, value, &v))
            out->code = SEGV_ACCERR;
        t->fault_syndrome = ESR_FETCH | (out->code == SEGV_ACCERR ? 0xf : 7);
        break;
    }
}

/* An address that the host refuses has no place in what it tells. The first time it may be that the guest
   means the rest of an address with a tag: the code is made again, for tags to be cut off. */
static bool fault(LinuxThread *t, siginfo_t *info)
{
    ArmCpu *a = arm(t->cpu);
    ArmAccess access;
    if (info->si_signo == SIGSEGV && info->si_code == SI_KERNEL) {
        if (!a->tagged) {
            a->tagged = true;
            return true;
        }
        info->si_code = SEGV_MAPERR;
        info->si_addr = NULL;
        if (access_at_pc(t, &access))
            info->si_addr = guest_ptr(arm_access_address(a, &access) & UINT64_MAX >> 8);
    }
    t->fault_address = (uint64_t)(uintptr_t)info->si_addr;
    t->fault_syndrome = ESR_DATA | writes(t) << 6 | (info->si_code == SEGV_ACCERR ? 0xf : 7);
    if (info->si_signo == SIGBUS)
        t->fault_syndrome = ESR_DATA | writes(t) << 6 | 0x11;
    return false;
}

/* ---- prctl ----------------------------------------------------------------------------------------- */

enum { /* linux/prctl.h; older headers lack some */
    PAC_RESET_KEYS = 54, SET_TAGGED_ADDR_CTRL = 55, GET_TAGGED_ADDR_CTRL = 56, PAC_SET_ENABLED_KEYS = 60,
    PAC_GET_ENABLED_KEYS = 61, TAGGED_ADDR_ENABLE = 1, MTE_SYNC = 2, MTE_ASYNC = 4, MTE_TAGS = 0xffff << 3, ALL_KEYS = 31, ADDRESS_KEYS = 15
};

static void reset_keys(ArmCpu *a, unsigned which);

/* Both kinds of checks allowed: the kernel prefers asynchronous ones. */
static void set_tagged(LinuxThread *t, uint64_t how)
{
    ArmCpu *cpu = arm(t->cpu);
    t->untag = how & TAGGED_ADDR_ENABLE;
    cpu->tag_checks = how & MTE_ASYNC ? ARM_TAGS_ASYNC : how & MTE_SYNC ? ARM_TAGS_SYNC : ARM_TAGS_UNCHECKED;
    cpu->tag_exclude = (uint16_t)~(how >> 3);
    t->tagged_control = how;
}

/* A tag was wrong, some time ago. */
static void attention(LinuxThread *t)
{
    if (!arm(t->cpu)->tag_fault)
        return;
    arm(t->cpu)->tag_fault = false;
    t->fault_address = t->fault_syndrome = 0;
    signals_raise(t, SIGSEGV, 8 /* SEGV_MTEAERR */, 0);
}

static bool arm_prctl(LinuxThread *t, const uint64_t a[6], int64_t *result)
{
    ArmCpu *cpu = arm(t->cpu);
    uint64_t last = a[3] | a[4];
    *result = -EINVAL;
    switch ((int)a[0]) {
    case PAC_RESET_KEYS: /* none are all */
        if (!cpu->props.pauth || a[2] | last || a[1] & ~(uint64_t)ALL_KEYS)
            return true;
        reset_keys(cpu, a[1] ? (unsigned)a[1] : ALL_KEYS);
        *result = 0;
        return true;
    case PAC_SET_ENABLED_KEYS:
        if (!cpu->props.pauth || last || a[1] & ~(uint64_t)ADDRESS_KEYS || a[2] & ~a[1])
            return true;
        cpu->pac_disabled = (cpu->pac_disabled & ~(uint32_t)a[1]) | ((uint32_t)a[1] & ~(uint32_t)a[2]);
        *result = 0;
        return true;
    case PAC_GET_ENABLED_KEYS:
        if (cpu->props.pauth && !(a[1] | a[2] | last))
            *result = ADDRESS_KEYS & ~cpu->pac_disabled;
        return true;
    case SET_TAGGED_ADDR_CTRL:
        if (a[2] | last || a[1] & ~(uint64_t)(TAGGED_ADDR_ENABLE |
                                              (cpu->props.mte ? MTE_SYNC | MTE_ASYNC | MTE_TAGS : 0)))
            return true;
        set_tagged(t, a[1]);
        *result = 0;
        return true;
    case GET_TAGGED_ADDR_CTRL:
        if (!(a[1] | a[2] | last))
            *result = (int64_t)t->tagged_control;
        return true;
    default: return aarch64_prctl(t, a, result);
    }
}

static bool is_guarded(void *opaque, uint64_t address)
{
    return mm_guarded(&((LinuxProcess *)opaque)->mm, address);
}

static int more_prot(const TranslateCpu *cpu)
{
    return (arm(cpu)->props.bti ? LINUX_PROT_BTI : 0) | (arm(cpu)->props.mte ? LINUX_PROT_MTE : 0);
}

static int code_prot(uint32_t features)
{
    return features & 1 ? LINUX_PROT_BTI : 0;
}

/* The process may have got its first guarded page or tags, by this thread or another. */
static void look_for_guards(TranslateCpu *cpu)
{
    ArmCpu *a = arm(cpu);
    LinuxProcess *p = ((LinuxThread *)cpu->user)->process;
    if (!a->tags && __atomic_load_n(&p->mm.tags, __ATOMIC_ACQUIRE)) {
        a->tags = p->mm.tags;
        a->tags_limit = p->mm.limit;
        a->tagged = true;
    }
    if (a->guards || !mm_guards(&p->mm))
        return;
    a->guards = true;
    a->guarded = is_guarded;
    a->guarded_opaque = p;
}

static void get_call(TranslateCpu *cpu, uint64_t *number, uint64_t args[6])
{
    *number = arm(cpu)->x[NR];
    memcpy(args, arm(cpu)->x, 6 * sizeof *args);
}

static void set_result(TranslateCpu *cpu, int64_t result)
{
    arm(cpu)->x[0] = (uint64_t)result;
    look_for_guards(cpu);
}

static void restart(TranslateCpu *cpu, uint64_t number, uint64_t arg0)
{
    cpu->pc -= 4;
    arm(cpu)->x[0] = arg0;
}

static uint64_t get_sp(const TranslateCpu *cpu)
{
    return arm(cpu)->sp;
}

/* New keys of pointer authentication: bits 1 << ArmKey. */
static void reset_keys(ArmCpu *a, unsigned which)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(a->pac_keys); i++) {
        if (which >> i & 1 && getrandom(a->pac_keys[i], sizeof a->pac_keys[i], GRND_NONBLOCK) < 0)
            a->pac_keys[i][0]++; /* early in a host's life: at least not the same */
        a->pac_keys[i][1] |= a->props.pauth_impdef;
    }
}

static void start(TranslateCpu *cpu, uint64_t entry, uint64_t sp)
{
    const LinuxThread *t = cpu->user;
    t->process->isa->reset_user(cpu, entry);
    arm(cpu)->sp = sp;
    look_for_guards(cpu);
    reset_keys(arm(cpu), 31);
}

static void clone_state(TranslateCpu *to, const TranslateCpu *from, uint64_t sp, bool set_tls,
                        uint64_t tls)
{
    ArmCpu *a = arm(to);
    const ArmCpu *f = arm(from);
    if (to != from) {
        a->props = f->props;
        ((const LinuxThread *)to->user)->process->isa->reset_user(to, from->pc);
        memcpy(a->x, f->x, sizeof a->x);
        memcpy(a->v, f->v, sizeof a->v);
        a->sp = f->sp;
        a->flags = f->flags;
        a->tpidr = f->tpidr;
        a->pstate = f->pstate;
        a->z_stale = f->z_stale;
        a->z_used = f->z_used;
        memcpy(a->p, f->p, sizeof a->p);
        a->vl = f->vl;
        a->vl_inherit = f->vl_inherit;
        a->vl_onexec = f->vl_onexec;
        memcpy(a->pac_keys, f->pac_keys, sizeof a->pac_keys);
        a->pac_disabled = f->pac_disabled;
        look_for_guards(to);
        a->tagged = f->tagged;
        a->tag_seed = f->tag_seed ^ (uint64_t)(uintptr_t)to;
        set_tagged(to->user, ((const LinuxThread *)from->user)->tagged_control);
        arm_set_fpcr(to, arm_fpcr(from));
        arm_set_fpsr(to, arm_fpsr((TranslateCpu *)(uintptr_t)from));
    }
    a->x[0] = 0;
    if (sp)
        a->sp = sp;
    if (set_tls)
        a->tpidr = tls;
}

/* ---- HWCAP ------------------------------------------------------------------------- */

#define CAP(name, word, bit, member) {name, word, bit, offsetof(ArmProps, member)}
static const struct Cap {
    const char *name; /* in /proc/cpuinfo */
    uint8_t word, bit; /* of AT_HWCAP and AT_HWCAP2 */
    size_t prop;      /* in ArmProps; 0: always (midr is there) */
} caps[] = {
    {"fp", 0, 0, 0}, {"asimd", 0, 1, 0}, CAP("aes", 0, 3, crypto), CAP("pmull", 0, 4, crypto),
    CAP("sha1", 0, 5, crypto), CAP("sha2", 0, 6, crypto), CAP("crc32", 0, 7, crc32), CAP("atomics", 0, 8, lse),
    CAP("fphp", 0, 9, fp16), CAP("asimdhp", 0, 10, fp16), {"cpuid", 0, 11, 0}, CAP("asimdrdm", 0, 12, rdm),
    CAP("jscvt", 0, 13, jscvt), CAP("fcma", 0, 14, fcma), CAP("lrcpc", 0, 15, lrcpc),
    CAP("dcpop", 0, 16, dpb), CAP("sha3", 0, 17, sha3), CAP("sm3", 0, 18, sm3), CAP("sm4", 0, 19, sm4), CAP("asimddp", 0, 20, dotprod),
    CAP("sha512", 0, 21, sha512), CAP("sve", 0, 22, sve_shown), CAP("asimdfhm", 0, 23, fhm),
    CAP("dit", 0, 24, dit), CAP("ilrcpc", 0, 26, lrcpc2), CAP("flagm", 0, 27, flagm), CAP("ssbs", 0, 28, ssbs2),
    CAP("sb", 0, 29, sb), CAP("paca", 0, 30, pauth), CAP("pacg", 0, 31, pauth), CAP("dcpodp", 1, 0, dpb2),
    CAP("sve2", 1, 1, sve2_shown), CAP("svebitperm", 1, 4, sve2_shown), CAP("svesha3", 1, 5, svesha3_shown),
    CAP("svei8mm", 1, 9, svei8mm_shown), CAP("flagm2", 1, 7, flagm2), CAP("frint", 1, 8, frintts), CAP("i8mm", 1, 13, i8mm), CAP("bf16", 1, 14, bf16), CAP("dgh", 1, 15, dgh), CAP("rng", 1, 16, rng), CAP("bti", 1, 17, bti), CAP("mte", 1, 18, mte), CAP("mte3", 1, 22, mte),
};

static bool has(TranslateCpu *cpu, const struct Cap *cap)
{
    return !cap->prop || *((const bool *)&arm(cpu)->props + cap->prop);
}

static uint64_t hwcap(TranslateCpu *cpu, unsigned word)
{
    uint64_t bits = 0;
    for (unsigned i = 0; i < G_N_ELEMENTS(caps); i++)
        if (caps[i].word == word && has(cpu, &caps[i]))
            bits |= UINT64_C(1) << caps[i].bit;
    return bits;
}

static void cpuinfo(TranslateCpu *cpu, GString *out)
{
    unsigned midr = (unsigned)arm(cpu)->props.midr;
    for (long n = 0; n < sysconf(_SC_NPROCESSORS_ONLN); n++) {
        g_string_append_printf(out, "processor\t: %ld\nBogoMIPS\t: 20.00\nFeatures\t:", n);
        for (unsigned i = 0; i < G_N_ELEMENTS(caps); i++)
            if (has(cpu, &caps[i]))
                g_string_append_printf(out, " %s", caps[i].name);
        g_string_append_printf(out, "\nCPU implementer\t: 0x%02x\nCPU architecture: 8\n"
                               "CPU variant\t: 0x%x\nCPU part\t: 0x%03x\nCPU revision\t: %u\n\n",
                               midr >> 24, midr >> 20 & 15, midr >> 4 & 0xfff, midr & 15);
    }
}

/* ---- Signal frames ----------------------------------------------------------------- */

#define FPSIMD_MAGIC 0x46508001u
#define ESR_MAGIC 0x45535201u
#define SVE_MAGIC 0x53564501u
#define EXTRA_MAGIC 0x45585401u

typedef struct Record { /* struct _aarch64_ctx */
    uint32_t magic, size;
} Record;

typedef struct FpRecord { /* struct fpsimd_context */
    Record head;
    uint32_t fpsr, fpcr;
    uint64_t v[32][2];
} FpRecord;

typedef struct ExtraRecord { /* struct extra_context, and the end of the list that it is the last of */
    Record head;
    uint64_t data;           /* address of more records, right behind */
    uint32_t size, pad[3];
    uint64_t end[2];
} ExtraRecord;

typedef struct EsrRecord { /* struct esr_context */
    Record head;
    uint64_t esr;
} EsrRecord;

typedef struct Context { /* struct ucontext with its sigcontext */
    uint64_t flags, link;
    stack_t stack;
    uint64_t mask;
    uint8_t unused[128 - 8];
    uint64_t pad;            /* sigcontext is aligned to 16 */
    uint64_t fault_address, regs[31], sp, pc, pstate, pad2;
    uint8_t records[4096];   /* and more, if there is an ExtraRecord */
} Context;
_Static_assert(sizeof(Context) == 4560 && offsetof(Context, records) == 464, "as the kernel has it");

typedef struct Frame {
    siginfo_t info;
    Context uc;
} Frame;
_Static_assert(sizeof(siginfo_t) == 128 && sizeof(FpRecord) == 0x210, "as the kernel has it");

/* The frame record, where x29 points, is above all of it. */
enum { LINK = 16, END = 16, FRAME_MOST = sizeof(Frame) + sizeof(EsrRecord) + sizeof(ExtraRecord) + AARCH64_SVE_MOST + END + LINK };

/* Where a record of SVE of that size is in uc.records, behind one of a syndrome if there is one, and the size of all of the frame. */
static size_t sve_place(size_t size, bool esr, bool *extra, size_t *whole)
{
    size_t at = sizeof(FpRecord) + (esr ? sizeof(EsrRecord) : 0), room = sizeof((Context *)0)->records;
    *extra = at + size > room - END - offsetof(ExtraRecord, end);
    at += *extra ? sizeof(ExtraRecord) : 0;
    *whole = offsetof(Frame, uc.records) + MAX(at + size + END, room) + LINK;
    return at;
}

static uint64_t frame_size(const TranslateCpu *cpu)
{
    const ArmProps *p = &arm(cpu)->props;
    bool extra;
    size_t whole;
    sve_place(p->sve ? aarch64_sve_whole(p->sve_shown ? arm_sve_length(p, 256) : arm(cpu)->vl) : 0, true, &extra, &whole);
    return whole + 16;
}

static void save_records(ArmCpu *a, const EsrRecord *esr, uint8_t *records, uint64_t records_at)
{
    FpRecord fp = {.head = {FPSIMD_MAGIC, sizeof fp}, .fpsr = arm_fpsr(&a->base), .fpcr = arm_fpcr(&a->base)};
    bool extra;
    size_t whole, size = aarch64_sve_size(a), at = sve_place(size, esr->esr, &extra, &whole);
    for (unsigned i = 0; i < 32; i++)
        memcpy(fp.v[i], a->v[i], sizeof fp.v[i]);
    memcpy(records, &fp, sizeof fp); /* zeros behind the last end the list */
    if (esr->esr)
        memcpy(records + sizeof fp, esr, sizeof *esr);
    if (extra) {
        ExtraRecord e = {.head = {EXTRA_MAGIC, offsetof(ExtraRecord, end)}, .data = records_at + at, .size = (uint32_t)size + END};
        memcpy(records + at - sizeof e, &e, sizeof e);
    }
    if (size)
        aarch64_sve_save(a, records + at);
}

static bool push_frame(LinuxThread *t, const LinuxSigFrame *frame)
{
    ArmCpu *a = arm(t->cpu);
    _Alignas(16) uint8_t bytes[FRAME_MOST] = {0};
    Frame *f = (Frame *)(void *)bytes;
    bool extra, by_fault = (frame->signal == SIGSEGV || frame->signal == SIGBUS) && frame->info.si_code > 0;
    EsrRecord esr = {{ESR_MAGIC, sizeof esr}, by_fault ? t->fault_syndrome : 0};
    size_t whole;
    sve_place(aarch64_sve_size(a), esr.esr, &extra, &whole);
    uint64_t at = (frame->stack & ~UINT64_C(15)) - whole, link[2] = {a->x[FP], a->x[LR]};
    f->info = frame->info;
    f->uc.stack = frame->altstack;
    f->uc.mask = frame->mask;
    f->uc.fault_address = by_fault ? t->fault_address : 0;
    memcpy(f->uc.regs, a->x, sizeof f->uc.regs);
    f->uc.sp = a->sp;
    f->uc.pc = t->cpu->pc;
    f->uc.pstate = arm_pstate(t->cpu);
    save_records(a, &esr, f->uc.records, at + offsetof(Frame, uc.records));
    memcpy(bytes + whole - LINK, link, LINK);
    if (guest_write(at, bytes, whole))
        return false;
    a->x[0] = (uint64_t)frame->signal;
    if (frame->flags & SA_SIGINFO) {
        a->x[1] = at + offsetof(Frame, info);
        a->x[2] = at + offsetof(Frame, uc);
    }
    a->x[FP] = at + whole - LINK;
    a->x[LR] = frame->flags & 0x04000000 /* SA_RESTORER */ ? frame->restorer : t->process->sigreturn;
    a->sp = at;
    t->cpu->pc = frame->handler;
    a->btype = a->guards ? 2 : 0; /* as if it had been called */
    a->pstate &= ~(uint64_t)ARM_PSTATE_TCO;
    return true;
}

/* What was found in a frame. */
typedef struct Found {
    FpRecord fp;
    bool has_fp, has_sve;
    size_t sve_size;
    _Alignas(8) uint8_t sve[AARCH64_SVE_MOST];
} Found;

/* The list of records in size bytes. extra: those of an ExtraRecord, which has no other. */
static bool find_records(const uint8_t *p, size_t size, bool extra, uint64_t address, Found *out)
{
    Record r;
    uint8_t more[AARCH64_SVE_MOST + END];
    for (size_t at = 0;; at += r.size) {
        if (at + sizeof r > size)
            return false;
        memcpy(&r, p + at, sizeof r);
        if (!r.magic)
            return !r.size;
        if (r.size < sizeof r || r.size % 16 || r.size > size - at)
            return false;
        if (r.magic == FPSIMD_MAGIC && r.size == sizeof out->fp) {
            memcpy(&out->fp, p + at, sizeof out->fp);
            out->has_fp = true;
        } else if (r.magic == SVE_MAGIC) {
            out->has_sve = true;
            out->sve_size = MIN(r.size, sizeof out->sve);
            memcpy(out->sve, p + at, out->sve_size);
        } else if (r.magic == EXTRA_MAGIC && r.size == offsetof(ExtraRecord, end) && at + sizeof(ExtraRecord) <= size) {
            ExtraRecord e;
            memcpy(&e, p + at, sizeof e);
            if (extra || e.data != address + at + sizeof e || e.size % 16 || e.size > sizeof more || e.end[0])
                return false;
            return !guest_read(more, e.data, e.size) && find_records(more, e.size, true, e.data, out);
        }
    }
}

static bool pop_frame(LinuxThread *t, uint64_t *mask, stack_t *altstack)
{
    ArmCpu *a = arm(t->cpu);
    Context uc;
    Found found = {0};
    uint64_t at = a->sp + offsetof(Frame, uc);
    if (a->sp & 15 || guest_read(&uc, at, sizeof uc))
        return false;
    if (!find_records(uc.records, sizeof uc.records, false, at + offsetof(Context, records), &found) || !found.has_fp ||
        !aarch64_sve_restore(a, found.has_sve ? found.sve : NULL, found.sve_size))
        return false;
    memcpy(a->x, uc.regs, sizeof a->x);
    for (unsigned i = 0; i < 32; i++)
        memcpy(a->v[i], found.fp.v[i], sizeof found.fp.v[i]);
    a->sp = uc.sp;
    t->cpu->pc = uc.pc;
    arm_set_pstate(t->cpu, (uint32_t)uc.pstate);
    arm_set_fpcr(t->cpu, found.fp.fpcr);
    arm_set_fpsr(t->cpu, found.fp.fpsr);
    *mask = uc.mask;
    *altstack = uc.stack;
    return true;
}

/* ---- vDSO ------------------------------------------------------------------------------- */

#define SVC 0xd4000001u
#define RET 0xd65f03c0u
#define NOP 0xd503201fu
#define MOV_X8(n) (0xd2800008u | (uint32_t)(n) << 5)
#define LDR_X9(by) (0x58000009u | (uint32_t)(by) / 4 << 5) /* from by bytes on */
#define SERVICE(n) (0x02000000u | (uint32_t)(n))

static GBytes *vdso(uint64_t key, uint64_t *sigreturn)
{
    static const struct { const char *name; uint32_t number; bool service; } calls[] = {
        {"__kernel_rt_sigreturn", 139, false},
        {"__kernel_gettimeofday", SYS_gettimeofday, true},
        {"__kernel_clock_gettime", SYS_clock_gettime, true},
        {"__kernel_clock_getres", SYS_clock_getres, true},
    };
    enum { COUNT = G_N_ELEMENTS(calls), SIZE = 16 };
    uint8_t code[COUNT * SIZE + 8];
    VdsoSymbol symbols[COUNT];
    uint64_t at;
    for (unsigned i = 0; i < COUNT; i++) {
        uint32_t offset = i * SIZE;
        st_le32(code + offset, calls[i].service ? LDR_X9(COUNT * SIZE - offset) : MOV_X8(calls[i].number));
        st_le32(code + offset + 4, calls[i].service ? SERVICE(calls[i].number) : SVC);
        st_le32(code + offset + 8, RET);
        st_le32(code + offset + 12, NOP);
        symbols[i] = (VdsoSymbol){calls[i].name, offset, SIZE};
    }
    st_le64(code + COUNT * SIZE, key);
    GBytes *image = vdso_build(183, 0, "LINUX_2.6.39", symbols, COUNT, code, sizeof code, &at);
    *sigreturn = at;
    return image;
}

const LinuxAbi aarch64_linux = {
    .isa = "aarch64",
    .machine = "aarch64",
    .numbers = numbers,
    .n_numbers = G_N_ELEMENTS(numbers),
    .task_size = UINT64_C(1) << 46, /* mappings are put below mmap_top, as with addresses of 39 bits */
    .mmap_top = UINT64_C(0x7ffffff000),
    .pie_base = UINT64_C(0x5555550000),
    .min_stack_frame = sizeof(Frame) + LINK + 16,
    .stack_frame = frame_size,
    .exec_cpu = aarch64_exec_cpu,
    .more_prot = more_prot,
    .code_prot = code_prot,
    .trap = trap,
    .fault = fault,
    .attention = attention,
    .prctl = arm_prctl,
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
    .sa_restorer = true,
    .open_flags = open_flags,
};
