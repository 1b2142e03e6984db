/* SPDX-License-Identifier: MIT */
/* How RISC-V boards start software: shared by all of them. */
#pragma once

#include "machines/machine_priv.h"

/* MachineType.layout. */
bool riscv_boot_layout(const Machine *m, const MachineBoot *boot, MachineEntry *entry,
                       GError **error);
/* MachineType.place, with the reset vector written to rom (at least 88 bytes of memory there). */
bool riscv_boot_place(Machine *m, const MachineBoot *boot, GBytes *fdt, uint64_t rom,
                      MachineEntry *entry, GError **error);
