/* SPDX-License-Identifier: MIT */
/*
 * A guest ISA as the rest of the house sees it. Members are listed in
 * guest.def, one line each; the symbol is NAME_isa.
 */
#pragma once

#include <glib.h>
#include "translate/translate.h"

/* A register that people and debuggers name. */
typedef struct GuestReg {
    const char *name;   /* "a0", "pc", "sstatus" */
    uint32_t offset;    /* in the CPU struct */
    uint8_t size;       /* bytes */
} GuestReg;

typedef struct GuestIsa {
    const char *name;           /* "riscv64", as --arch and qemu-system-NAME spell it */
    const char *summary;
    const uint16_t *elf_machines; /* 0-terminated */
    unsigned elf_class;         /* 32 or 64 */
    bool big_endian;
    const GuestReg *regs;       /* ends with a NULL name */
    TranslateGuest translate;
    /* The same for one program of an operating system: user level only, direct_memory, exceptions go
       to env.exception. NULL: not there yet. */
    const TranslateGuest *user;
    /* Names and summaries of CPU models for -cpu help, appended to out. */
    void (*list_models)(GString *out);
    /* Applies "-cpu MODEL[,key=value...]" to a CPU struct just made; spec NULL: the default.
       Everything later resets keep it. */
    bool (*configure)(TranslateCpu *cpu, const char *spec, GError **error);
    /* Power-on state; id is the CPU's number (hart id, affinity). NULL: programs only, no machines yet. */
    void (*reset)(TranslateCpu *cpu, uint64_t id, uint64_t entry);
    /* User mode: the state in which a program starts at entry; all other registers are 0. */
    void (*reset_user)(TranslateCpu *cpu, uint64_t entry);
    /* The riscv,isa string, the mmu-type and the like: properties of the CPU's device-tree node
       as "key=value" lines. */
    void (*describe)(TranslateCpu *cpu, GString *out);
    /* Sets interrupt input `line` (the ISA's own numbering; RISC-V: the mip bit) from any
       thread, and kicks. */
    void (*set_irq)(TranslateCpu *cpu, unsigned line, bool level);
    /* For people and debuggers, while the CPU does not run; neither changes anything. */
    /* All registers as a table of whole lines, floating point too if fp. NULL: only regs. */
    void (*registers)(TranslateCpu *cpu, bool fp, GString *out);
    /* Where a load at address would go now, whatever its permissions. NULL: to itself. */
    bool (*find_page)(TranslateCpu *cpu, uint64_t address, uint64_t *phys);
} GuestIsa;

/* All ISAs of guest.def, ended by NULL. */
const GuestIsa *const *guest_isas(void);
const GuestIsa *guest_isa_by_name(const char *name);
const GuestIsa *guest_isa_by_elf(unsigned machine, unsigned elf_class, bool big_endian);
