/* SPDX-License-Identifier: MIT */
/*
 * Images as files with more in them than a disk: snapshots, what they are based on, whether they are
 * sound, how large one would get. For the control thread; each call brings the node to rest itself.
 * What a format does not have is an error that says so.
 */
#pragma once

#include "block/block.h"

/* ---- Snapshots in the image ---------------------------------------------- */

typedef struct {
    char *id, *name;
    uint64_t vm_state_size, disk_size;
    int64_t date_ns, vm_clock_ns, icount; /* icount -1: none */
} BlockSnapshot;
void block_snapshot_clear(BlockSnapshot *snapshot);

/* Of BlockSnapshot, empty if the format has none; caller unrefs. NULL: an error. */
GArray *block_snapshot_list(BlockNode *node, GError **error);
/* The node needs a user that may write. Of wanted, id may be NULL and is then set. */
bool block_snapshot_take(BlockNode *node, BlockSnapshot *wanted, GError **error);
/* which is an id or a name, the id first. */
bool block_snapshot_revert(BlockNode *node, const char *which, GError **error);
bool block_snapshot_drop(BlockNode *node, const char *which, GError **error);
/* A read-only node shows what the snapshot holds from then on. */
bool block_snapshot_load(BlockNode *node, const char *which, GError **error);

/* ---- What it is based on -------------------------------------------------- */

/* As recorded in the image; NULL: nothing. Caller frees. */
char *block_backing_name(BlockNode *node);
char *block_backing_format(BlockNode *node);
/* NULL: the image stands alone. Nothing is read or checked. */
bool block_backing_record(BlockNode *node, const char *name, const char *format, GError **error);
/* The node it has below it as its backing file now, or NULL; borrowed. */
BlockNode *block_backing_node(BlockNode *node);
/* The node that holds the bytes of a format, or NULL; borrowed. */
BlockNode *block_file_node(BlockNode *node);

/* ---- Is it sound ----------------------------------------------------------- */

typedef struct {
    uint64_t corruptions, leaks, corruptions_fixed, leaks_fixed, errors;
    uint64_t end_offset; /* of what the image uses in its file */
    uint64_t total_clusters, allocated_clusters, fragmented_clusters, compressed_clusters;
} BlockCheck;
enum { BLOCK_CHECK_FIX_LEAKS = 1, BLOCK_CHECK_FIX_ERRORS = 2 };

bool block_can_check(const BlockNode *node);
/* say (may be NULL) gets one line a finding. */
bool block_check(BlockNode *node, unsigned fix, BlockCheck *result, void (*say)(void *opaque, const char *line),
                 void *opaque, GError **error);

/* ---- Other ------------------------------------------------------------------ */

typedef struct {
    uint64_t required, fully_allocated, bitmaps; /* bitmaps: UINT64_MAX when there can be none */
} BlockMeasure;

/* What an image of that driver with these creation options and source's data (NULL: options have a
 * size) would need. */
bool block_measure(BlockGraph *graph, const char *driver, struct json_object *options, BlockUser *source,
                   BlockMeasure *result, GError **error);
/* Changes creation options of what is there. */
bool block_amend(BlockNode *node, struct json_object *options, bool force, GError **error);
/* The format's part of `info`: an object, or NULL if it has none. Caller puts it. */
struct json_object *block_format_info(BlockNode *node);
/* Whether the last to write the image did not close it. */
bool block_is_unclean(BlockNode *node);
/* Bytes that the format allocates at once; 0: it has no such unit. */
uint32_t block_cluster_size(const BlockNode *node);
/* Bytes its files take on the host's disk, as far as that is known; else -1. */
int64_t block_allocated_size(BlockNode *node);
/* A new image reads as zeroes without being written. */
bool block_zero_init(const BlockUser *user);
/* Whether images can be made: of a protocol its bytes, of a format itself. */
bool block_can_create(BlockGraph *graph, const char *driver);
/* One line an option, as `-o help` shows them, all: with those that are the file's; NULL: no such
 * driver. Caller frees. */
char *block_create_help(BlockGraph *graph, const char *driver, bool all);
/* What is going to be made: " key=value" for each option that is given or worth telling, in the driver's
 * order, sizes in bytes. Caller frees. */
char *block_create_told(BlockGraph *graph, const char *driver, struct json_object *options);
/* Whether driver has a creation option of that name. */
bool block_create_knows(BlockGraph *graph, const char *driver, const char *option);
