/* SPDX-License-Identifier: MIT */
/*
 * Building and reading flattened device trees (Devicetree Specification 0.4) over libfdt, whose own
 * functions are fdt_NAME too: ours begin with fdt_tree_. Names follow the specification.
 *
 * A tree grows as needed. Paths are absolute ("/soc/serial@10000000"); nodes must be made before
 * they are used. The builder's functions return nothing: the first failure (a node that
 * is not there, a name too long) is remembered and reported by fdt_tree_finish, so that a
 * board's description reads as a list. One thread at a time.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Fdt Fdt;

/* An empty tree with just the root. */
Fdt *fdt_tree_new(void);
/* A tree from a blob, which is copied and checked in full; at most 64 MiB. */
Fdt *fdt_tree_from_bytes(const void *data, size_t len, GError **error);
void fdt_tree_free(Fdt *tree);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Fdt, fdt_tree_free)

/* Makes the node at path, under a parent that exists, after its siblings. One that exists
   already stays as it is. */
void fdt_tree_node(Fdt *tree, const char *path);
void fdt_tree_node_remove(Fdt *tree, const char *path);

/* Setting a property; one of the same name is replaced. */
void fdt_tree_empty(Fdt *tree, const char *path, const char *name);
void fdt_tree_bytes(Fdt *tree, const char *path, const char *name, const void *data, size_t len);
void fdt_tree_u32(Fdt *tree, const char *path, const char *name, uint32_t value);
void fdt_tree_u64(Fdt *tree, const char *path, const char *name, uint64_t value);
void fdt_tree_cells(Fdt *tree, const char *path, const char *name, const uint32_t *cells,
                    size_t count);
void fdt_tree_string(Fdt *tree, const char *path, const char *name, const char *value);
/* A list of strings, each with its final NUL; ends at a NULL argument. */
void fdt_tree_strings(Fdt *tree, const char *path, const char *name, ...) G_GNUC_NULL_TERMINATED;
/* "reg" with one address and size of two cells each. */
void fdt_tree_reg(Fdt *tree, const char *path, uint64_t addr, uint64_t size);
void fdt_tree_prop_remove(Fdt *tree, const char *path, const char *name);

/* A phandle not used yet in this tree, from 1 up. */
uint32_t fdt_tree_phandle_new(Fdt *tree);
/* Gives the node at path that phandle. */
void fdt_tree_phandle_set(Fdt *tree, const char *path, uint32_t phandle);

/* An entry of the memory reservation block. */
void fdt_tree_reserve(Fdt *tree, uint64_t addr, uint64_t size);

/* The packed blob, or NULL and the first failure. The tree stays usable. */
GBytes *fdt_tree_finish(Fdt *tree, GError **error);
/* The same with that many bytes of free space at the end: boot loaders add to a tree where it lies. */
GBytes *fdt_tree_finish_with_room(Fdt *tree, size_t room, GError **error);

/* ---- As text ------------------------------------------------------------- */

/* The tree in source form (dts version 1), which dtc compiles to the same tree; newly allocated. */
char *fdt_tree_dts(const Fdt *tree);
/* Sets a property as source form writes it: "/path name=<1 0x2 &{/soc}>", "/path name=\"a\",\"b\"",
   "/path name=[00 ff]", "/path name" (empty), each with several parts and /bits/; a node whose parent
   is there is made. Usage errors name the place in the text. */
bool fdt_tree_set_text(Fdt *tree, const char *text, GError **error);
/* Calls f for what differs between two trees, in the order of a, then what b alone has: prop NULL: the
   whole node; text NULL: not there. Order, the numbers of phandles and random seeds make no
   difference. */
void fdt_tree_diff(const Fdt *a, const Fdt *b,
                   void (*f)(void *opaque, const char *path, const char *prop, const char *in_a,
                             const char *in_b),
                   void *opaque);
/* Calls f with a line for each thing that is wrong with a tree on its own: references to nothing,
   phandles given twice, cells that do not fit, addresses that names do not tell. */
void fdt_tree_lint(const Fdt *tree, void (*f)(void *opaque, const char *path, const char *line),
                   void *opaque);

/* base with an overlay (dtc -@) applied; both blobs are checked in full. NULL and *error. */
GBytes *fdt_merge(GBytes *base, GBytes *overlay, GError **error);

/* ---- Queries ------------------------------------------------------------- */

bool fdt_tree_has(const Fdt *tree, const char *path);
/* The property's bytes, borrowed until the tree changes; NULL if there is none. */
const void *fdt_tree_get(const Fdt *tree, const char *path, const char *name, size_t *len);
/* Its first cell, or def when there is none. */
uint32_t fdt_tree_get_u32(const Fdt *tree, const char *path, const char *name, uint32_t def);
/* Its first string, or NULL (also when it is not terminated). Borrowed. */
const char *fdt_tree_get_string(const Fdt *tree, const char *path, const char *name);
/* The phandle of the node, or 0. */
uint32_t fdt_tree_get_phandle(const Fdt *tree, const char *path);
/* Calls f with the path of each node, parents first; stops when f returns false. */
void fdt_tree_each(const Fdt *tree, bool (*f)(void *opaque, const char *path), void *opaque);
/* Calls f for each entry of the memory reservation block. */
void fdt_tree_each_reserve(const Fdt *tree, void (*f)(void *opaque, uint64_t addr, uint64_t size),
                           void *opaque);
/* Calls f for each property of the node at path. */
void fdt_tree_each_prop(const Fdt *tree, const char *path,
                        void (*f)(void *opaque, const char *name, const void *data, size_t len),
                        void *opaque);
