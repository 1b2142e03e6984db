/* SPDX-License-Identifier: MIT */
/* The RISC-V board "virt" as its parts see it. */
#pragma once

#include "machines/riscv_boot_priv.h"

enum {
    RISCV_VIRT_SOCKETS = 4, /* NUMA nodes have controllers of their own */
    RISCV_VIRT_WIRES = 96,  /* of a PLIC or an APLIC domain */
};

typedef enum { RISCV_AIA_NONE, RISCV_AIA_APLIC, RISCV_AIA_IMSIC } RiscvAia;

typedef struct {
    unsigned sockets;
    unsigned first[RISCV_VIRT_SOCKETS], count[RISCV_VIRT_SOCKETS]; /* of harts */
    RiscvAia aia;
    unsigned guest_bits; /* of the pages that guests of a hart have in its IMSIC */
} RiscvVirt;

/* What the machine's options mean. Checked by the board's build: cannot fail after it. */
bool riscv_virt_read(const Machine *m, RiscvVirt *v, GError **error);
/* The socket whose controller has the interrupts of a row, and the id of a socket's device:
   "plic", "plic1"...; the id newly allocated. */
unsigned riscv_virt_socket(const RiscvVirt *v, const MachineMap *row);
char *riscv_virt_id(const char *kind, unsigned socket);
/* In riscv_virt_fdt.c. */
void riscv_virt_fdt(const Machine *m, const MachineBoot *boot, Fdt *tree);
