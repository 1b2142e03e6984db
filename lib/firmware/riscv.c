/* SPDX-License-Identifier: MIT */
/*
 * SBI over a CpuGroup, and harts as OpenSBI hands them to a kernel: S-mode, paging off,
 * exceptions and supervisor interrupts delegated, counters and the timer compare register open.
 * Everything but the supervisor's own ecall is delegated, so that nothing is ever
 * left for an M-mode that is not there.
 */
#include "firmware/riscv.h"

#include "base/error.h"
#include "firmware/sbi.h"

#include <string.h>

enum {
    EXC_ECALL_S = 9,
    IRQ_SSOFT = 1,
    IRQ_STIMER = 5,
};

typedef struct {
    FirmwareRiscv *f;
    uint64_t hart, entry, arg;
} Start;

struct FirmwareRiscv {
    CpuGroup *group;
    FirmwareRiscvEnv env;
    unsigned xlen;
    const GuestReg *a[8];
    bool sstc;
    BusTimer **timers; /* one a hart, for CPUs without Sstc */
};

typedef struct {
    FirmwareRiscv *f;
    Vcpu *cpu;
} Hart;

/* ---- Registers by name ------------------------------------------------------- */

static const GuestReg *find_reg(const GuestIsa *isa, const char *name)
{
    for (const GuestReg *r = isa->regs; r && r->name; r++) {
        if (!strcmp(r->name, name))
            return r;
    }
    return NULL;
}

static uint64_t get_reg(TranslateCpu *cpu, const GuestReg *r)
{
    const uint8_t *p = (const uint8_t *)cpu + r->offset;
    uint32_t v32;
    uint64_t v64;
    if (r->size == 4) {
        memcpy(&v32, p, 4);
        return (uint64_t)(int64_t)(int32_t)v32;
    }
    if (r->size == 1)
        return *p;
    memcpy(&v64, p, 8);
    return v64;
}

static void set_reg(TranslateCpu *cpu, const GuestReg *r, uint64_t value)
{
    uint8_t *p = (uint8_t *)cpu + r->offset;
    uint32_t v32 = (uint32_t)value;
    if (r->size == 4)
        memcpy(p, &v32, 4);
    else if (r->size == 1)
        *p = (uint8_t)value;
    else
        memcpy(p, &value, 8);
}

/* ---- Entering S-mode ----------------------------------------------------------- */

static void enter_supervisor(TranslateCpu *cpu, const void *arg)
{
    const Start *s = arg;
    s->f->env.hart->enter(cpu, cpu_group_isa(s->f->group), s->hart, s->entry, s->arg);
}

static bool start_hart(FirmwareRiscv *f, unsigned hart, uint64_t entry, uint64_t arg)
{
    Start s = { f, hart, entry, arg };
    return cpu_on(cpu_group_cpu(f->group, hart), enter_supervisor, &s, sizeof s);
}

void firmware_riscv_boot(FirmwareRiscv *f, uint64_t entry, uint64_t fdt)
{
    for (unsigned i = 0; i < cpu_group_count(f->group); i++) {
        bus_timer_cancel(f->timers[i]);
        cpu_set_irq(cpu_group_cpu(f->group, i), IRQ_STIMER, false);
    }
    start_hart(f, 0, entry, fdt);
}

/* ---- SbiEnv ---------------------------------------------------------------------- */

static void on_timer(void *opaque)
{
    cpu_set_irq(opaque, IRQ_STIMER, true);
}

static void sbi_set_timer(void *opaque, uint64_t when)
{
    const Hart *h = opaque;
    CpuGroup *g = h->f->group;
    TranslateCpu *cpu = cpu_state(h->cpu);
    if (h->f->sstc) {
        h->f->env.hart->set_timer(cpu, when);
        cpu_kick(h->cpu);
        return;
    }
    unsigned __int128 ns = (unsigned __int128)when * 1000000000u / cpu_group_hz(g) + 1;
    cpu_set_irq(h->cpu, IRQ_STIMER, false);
    bus_timer_set(h->f->timers[cpu_index(h->cpu)], ns > INT64_MAX ? INT64_MAX : (int64_t)ns);
}

static void sbi_send_ipi(void *opaque, const uint16_t *harts, size_t count)
{
    const Hart *h = opaque;
    for (size_t i = 0; i < count; i++)
        cpu_set_irq(cpu_group_cpu(h->f->group, harts[i]), IRQ_SSOFT, true);
}

typedef struct {
    FirmwareRiscv *f;
    uint64_t start, size;
} Range;

static void fence_code(TranslateCpu *cpu, const void *arg)
{
    /* Stores to code are seen by the translator as they are made: being here is enough. */
}

static void fence_addresses(TranslateCpu *cpu, const void *arg)
{
    const Range *r = arg;
    r->f->env.hart->fence(cpu, r->start, r->size);
}

static void sbi_fence(void *opaque, SbiFence kind, const uint16_t *harts, size_t count,
                      uint64_t start, uint64_t size, uint64_t asid)
{
    const Hart *h = opaque;
    Range r = { h->f, start, size };
    cpu_call(h->f->group, h->cpu, harts, count, kind == SBI_FENCE_I ? fence_code : fence_addresses,
             &r, sizeof r, true);
}

static bool sbi_executable(void *opaque, uint64_t addr)
{
    const Hart *h = opaque;
    BusRamRef ref;
    return bus_find_ram(h->f->env.space, addr, &ref);
}

static bool sbi_hart_start(void *opaque, unsigned hart, uint64_t addr, uint64_t arg)
{
    const Hart *h = opaque;
    return start_hart(h->f, hart, addr, arg);
}

static void sbi_hart_stop(void *opaque)
{
    const Hart *h = opaque;
    cpu_off(h->cpu);
}

static SbiHartState sbi_hart_state(void *opaque, unsigned hart)
{
    static const SbiHartState states[] = {
        [CPU_OFF] = SBI_HART_STOPPED,
        [CPU_ON_PENDING] = SBI_HART_START_PENDING,
        [CPU_ON] = SBI_HART_STARTED,
        [CPU_OFF_PENDING] = SBI_HART_STOP_PENDING,
    };
    const Hart *h = opaque;
    return states[cpu_power(cpu_group_cpu(h->f->group, hart))];
}

static void sbi_hart_suspend(void *opaque)
{
    const Hart *h = opaque;
    cpu_state(h->cpu)->idle = true; /* the run loop waits after this instruction */
    translate_kick(cpu_state(h->cpu));
}

static void sbi_system_reset(void *opaque, bool reboot, bool failure)
{
    const Hart *h = opaque;
    cpu_group_halt(h->f->group);
    if (h->f->env.reset)
        h->f->env.reset(h->f->env.opaque, reboot, failure);
}

static bool sbi_read_memory(void *opaque, uint64_t addr, void *buf, size_t len)
{
    const Hart *h = opaque;
    uint8_t *to = buf;
    while (len) {
        uint64_t n = len;
        void *p = bus_dma_map(h->f->env.space, addr, &n, false);
        if (!p)
            return false;
        memcpy(to, p, n);
        to += n;
        addr += n;
        len -= n;
    }
    return true;
}

static bool sbi_write_memory(void *opaque, uint64_t addr, const void *buf, size_t len)
{
    const Hart *h = opaque;
    return bus_dma_write(h->f->env.space, addr, buf, len) == BUS_OK;
}

static size_t sbi_console_write(void *opaque, const void *buf, size_t len)
{
    const Hart *h = opaque;
    return chardev_write(h->f->env.console, buf, len);
}

static size_t sbi_console_read(void *opaque, void *buf, size_t len)
{
    const FirmwareRiscvEnv *e = &((Hart *)opaque)->f->env;
    return e->console_read ? e->console_read(e->opaque, buf, len) : 0;
}

bool firmware_riscv_hypercall(void *opaque, Vcpu *v, uint32_t number)
{
    Hart h = { opaque, v };
    if (number != EXC_ECALL_S)
        return false;
    SbiEnv env = {
        .opaque = &h,
        .harts = cpu_group_count(h.f->group),
        .set_timer = sbi_set_timer,
        .send_ipi = sbi_send_ipi,
        .fence = sbi_fence,
        .executable = sbi_executable,
        .hart_start = sbi_hart_start,
        .hart_stop = sbi_hart_stop,
        .hart_state = sbi_hart_state,
        .hart_suspend = sbi_hart_suspend,
        .system_reset = sbi_system_reset,
        .read_memory = sbi_read_memory,
        .write_memory = sbi_write_memory,
        .console_write = sbi_console_write,
        .console_read = sbi_console_read,
    };
    TranslateCpu *cpu = cpu_state(v);
    SbiRegs r;
    for (unsigned i = 0; i < 8; i++)
        r.a[i] = get_reg(cpu, h.f->a[i]);
    sbi_call(&env, h.f->xlen, &r);
    set_reg(cpu, h.f->a[0], r.a[0]);
    set_reg(cpu, h.f->a[1], r.a[1]);
    return true;
}

/* ---- Making one ------------------------------------------------------------------- */

static bool has_extension(const char *description, const char *name)
{
    const char *isa = strstr(description, "riscv,isa=");
    if (!isa)
        return false;
    g_autofree char *line = g_strndup(isa, strcspn(isa, "\n"));
    g_auto(GStrv) words = g_strsplit_set(line, "_=", -1);
    return g_strv_contains((const char *const *)words, name);
}

FirmwareRiscv *firmware_riscv_new(CpuGroup *g, const FirmwareRiscvEnv *env, GError **error)
{
    const GuestIsa *isa = cpu_group_isa(g);
    FirmwareRiscv *f = g_new0(FirmwareRiscv, 1);
    g_autoptr(GString) description = g_string_new(NULL);
    const char *missing = NULL;
    f->group = g;
    f->env = *env;
    f->xlen = isa->elf_class;
    f->timers = g_new0(BusTimer *, cpu_group_count(g));
    for (unsigned i = 0; i < 8; i++) {
        char name[3] = { 'a', (char)('0' + i), 0 };
        f->a[i] = find_reg(isa, name);
        if (!f->a[i])
            missing = "a0 to a7";
    }
    if (missing) {
        fail(error, "%s: no register '%s', which SBI needs", isa->name, missing);
        firmware_riscv_free(f);
        return NULL;
    }
    isa->describe(cpu_state(cpu_group_cpu(g, 0)), description);
    f->sstc = has_extension(description->str, "sstc");
    for (unsigned i = 0; i < cpu_group_count(g); i++)
        f->timers[i] = bus_timer_new(cpu_group_clock(g), on_timer, cpu_group_cpu(g, i));
    return f;
}

void firmware_riscv_free(FirmwareRiscv *f)
{
    if (!f)
        return;
    for (unsigned i = 0; i < cpu_group_count(f->group); i++)
        bus_timer_free(f->timers[i]);
    g_free(f->timers);
    g_free(f);
}
