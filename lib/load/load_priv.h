/* SPDX-License-Identifier: MIT */
/* Between the readers of one format each and load.c. */
#pragma once

#include "load/load.h"

/* "riscv64" and so on for an ELF header's fields; NULL: not known. */
const char *load_elf_arch(unsigned machine, unsigned elf_class, bool big_endian);
bool load_elf_identify(const uint8_t *data, size_t size, LoadIdentity *id);
/* Fills the image but for name and id. */
bool load_elf(LoadImage *image, GBytes *bytes, GError **error);

bool load_linux_identify(const uint8_t *data, size_t size, LoadIdentity *id);
bool load_linux(LoadImage *image, GBytes *bytes, GError **error);

/* One segment of all bytes at 0, entered at its start. */
void load_single(LoadImage *image, GBytes *bytes, uint64_t mem_size);

/* Unpacks the gzip or zstd data that packed begins with, whatever follows; its length goes to *used.
   NULL if it begins with something else or is damaged. */
GBytes *load_unpack_first(GBytes *packed, size_t *used);
