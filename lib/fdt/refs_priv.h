/* SPDX-License-Identifier: MIT */
/* Which cells of a property are phandles. */
#pragma once

#include "fdt/fdt.h"

/* Element i of the result says whether cell i is a phandle; newly allocated. by_phandle: as from
   fdt_refs_index. */
bool *fdt_refs_find(const Fdt *tree, const char *path, const char *name, const uint8_t *data,
                    size_t cells, GHashTable *by_phandle);
/* uint32_t to char *, borrowed from the tree. */
GHashTable *fdt_refs_index(const Fdt *tree);
/* A property that is random by intent. */
bool fdt_refs_is_seed(const char *name);
/* A value as people read it: strings, cells or bytes; with by_phandle, paths in place of phandles. Newly
   allocated. */
char *fdt_refs_text(const Fdt *tree, const char *path, const char *name, const uint8_t *data,
                    size_t len, GHashTable *by_phandle);
