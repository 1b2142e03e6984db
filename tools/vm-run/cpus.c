/* SPDX-License-Identifier: MIT */
/* RISC-V harts on a board: their interrupt lines, the SBI that is answered here, where they start.
 */
#include "run_priv.h"

BusIrq cpus_line(void *opaque, unsigned cpu, MachineCpuLine line)
{
    static const struct {
        uint8_t mip;
        bool edge;
    } lines[MACHINE_CPU_LINES] = {
        [MACHINE_RISCV_MSOFT] = { 3, false }, [MACHINE_RISCV_MTIMER] = { 7, false },
        [MACHINE_RISCV_MEXT] = { 11, false }, [MACHINE_RISCV_SEXT] = { 9, false },
        [MACHINE_RISCV_SSWI] = { 1, true },
    };
    Run *r = opaque;
    return cpu_irq(cpu_group_cpu(r->cpus, cpu), lines[line].mip, lines[line].edge);
}

static void on_sbi_reset(void *opaque, bool again, bool failure)
{
    run_power(opaque,
              again ? DEVICE_POWER_RESET : failure ? DEVICE_POWER_FAIL : DEVICE_POWER_OFF, 1);
}

/* Input of SBI's debug console is the serial port's, taken as firmware on the board would: byte by
   byte from the 16550. Any vCPU's thread. */
static size_t on_sbi_read(void *opaque, void *buf, size_t len)
{
    enum { RBR = 0, LSR = 5, LSR_DATA_READY = 1 };
    Run *r = opaque;
    Device *uart = machine_device(r->machine, "uart0");
    uint64_t base = uart ? device_base(uart, 0) : 0, value;
    BusSpace *space = machine_space(r->machine);
    size_t got = 0;
    while (uart && got < len && bus_read(space, base + LSR, 1, &value) == BUS_OK &&
           value & LSR_DATA_READY && bus_read(space, base + RBR, 1, &value) == BUS_OK)
        ((uint8_t *)buf)[got++] = (uint8_t)value;
    return got;
}

bool cpus_firmware(Run *r, GError **error)
{
    if (r->software.boot.mode != MACHINE_FIRMWARE_BUILTIN || r->accel.none)
        return true;
    FirmwareRiscvEnv env = {
        .hart = &firmware_riscv_hart,
        .space = machine_space(r->machine),
        .console = r->serials->len ? r->serials->pdata[0] : NULL,
        .console_read = on_sbi_read,
        .reset = on_sbi_reset,
        .opaque = r,
    };
    r->sbi = firmware_riscv_new(r->cpus, &env, error);
    if (r->sbi)
        cpu_group_set_hypercall(r->cpus, firmware_riscv_hypercall, r->sbi);
    return r->sbi != NULL;
}

typedef struct {
    const GuestIsa *isa;
    uint64_t id, pc;
} PowerOn;

static void power_on(TranslateCpu *cpu, const void *arg)
{
    const PowerOn *p = arg;
    p->isa->reset(cpu, p->id, p->pc);
}

void cpus_pause(Run *r)
{
    if (!r->accel.none)
        cpu_group_pause(r->cpus);
}

void cpus_resume(Run *r)
{
    if (!r->accel.none)
        cpu_group_resume(r->cpus);
}

void cpus_start(Run *r)
{
    if (r->accel.none)
        return;
    if (r->sbi) {
        firmware_riscv_boot(r->sbi, r->entry.kernel_entry, r->entry.fdt_addr);
    } else {
        for (unsigned i = 0; i < cpu_group_count(r->cpus); i++) {
            PowerOn p = { r->isa, i, r->entry.reset_pc };
            for (size_t k = 0; k < r->entry.start_count; k++)
                p.pc = r->entry.starts[k].cpu == i ? r->entry.starts[k].pc : p.pc;
            cpu_on(cpu_group_cpu(r->cpus, i), power_on, &p, sizeof p);
        }
    }
    cpu_group_resume(r->cpus);
}
