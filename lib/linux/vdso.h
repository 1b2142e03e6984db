/* SPDX-License-Identifier: MIT */
/* Builds the ELF shared object that a guest's C library finds by AT_SYSINFO_EHDR. Pure. */
#pragma once

#include <glib.h>
#include <stdint.h>

typedef struct VdsoSymbol {
    const char *name;
    uint32_t offset, size; /* in the code */
} VdsoSymbol;

/* The whole image, to be mapped as one piece; the code begins at *code_at of it. version is the name
   of the symbols' version ("LINUX_4.15"). 64-bit little-endian machines. */
GBytes *vdso_build(unsigned machine, uint32_t e_flags, const char *version,
                   const VdsoSymbol *symbols, unsigned count, const void *code, size_t code_size,
                   uint64_t *code_at);
