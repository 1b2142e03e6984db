/* SPDX-License-Identifier: MIT */
/* The time base of a RISC-V machine, for the CPUs' time CSR and for firmware's timers. */
#pragma once

#include "devices/device.h"

/* mtime now, in ticks of the device's frequency property: the clock's own count at that rate, unless a
   guest has written mtime. Any thread, lock-free; after start. */
uint64_t riscv_aclint_mtime(const Device *dev);
/* When mtime reaches ticks, in nanoseconds of the machine's clock, or INT64_MAX for never. Changes
   only if a guest writes mtime. */
int64_t riscv_aclint_deadline(const Device *dev, uint64_t ticks);
