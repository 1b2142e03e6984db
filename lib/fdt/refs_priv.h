/* SPDX-License-Identifier: MIT */
/* Which cells of a property are phandles. */
#pragma once

#include "fdt/fdt.h"

/* Bit i of the result is set where cell i (of at most 4096) is a phandle; NULL: none. Newly allocated;
   cells beyond the property are not looked at. by_phandle: uint32_t to path. */
bool *fdt_refs_find(const Fdt *tree, const char *path, const char *name, const uint8_t *data,
                    size_t cells, GHashTable *by_phandle);
/* uint32_t to char *, borrowed from the tree. */
GHashTable *fdt_refs_index(const Fdt *tree);
/* A property that is random by intent. */
bool fdt_refs_is_seed(const char *name);
/* The value, with what fdt_refs_index told; newly allocated. */
char *fdt_refs_text(const Fdt *tree, const char *path, const char *name, const uint8_t *data,
                    size_t len, GHashTable *by_phandle);
