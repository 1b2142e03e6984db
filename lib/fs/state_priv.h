/* SPDX-License-Identifier: MIT */
/*
 * The file (memfd) that outlives the process, as it lies there. It is sparse and mapped once: each
 * table has all the room that it could ever need at a fixed place, and takes memory only as far as
 * it is used.
 *
 *   head | nodes, by place of their number | handles, by place | cells (small, large) | what
 * lib/fuse keeps
 *
 * A cell holds a way to a node: the name in a folder, or a file handle. Cells are written before
 * the word that points to them is, and used again only after it points elsewhere; so a process that
 * dies at any instruction leaves each record as it was before a change or after it. What is free is
 * not noted but found out at the start.
 */
#pragma once

#include "fs/fs_priv.h"

#include <stdatomic.h>

enum {
    STATE_VERSION = 1,
    STATE_MOUNTS = 96,
    STATE_PATH = 488,
    STATE_HEAD = 64 * 1024,
    STATE_NODES = 1 << 26, /* those with higher places are not noted, and forgotten at a restart */
    STATE_HANDLES = 1 << 22,
    STATE_LARGE = 1 << 24,
    STATE_SMALL_ROOM = 56,
    STATE_LARGE_ROOM = 312,
};
#define STATE_MAGIC UINT64_C(0x6c61746865667331)

/* A mount below the root: an object on it and where that was, to tell it after the restart. Nodes
   have its place here, +1, in place of its number, which is another one then. */
typedef struct {
    uint64_t used, dev, ino; /* used: last written */
    char path[STATE_PATH];
} StateMount;

typedef struct {
    uint64_t magic;
    uint32_t version;
    uint32_t head_size, node_size, handle_size;
    uint64_t options, uid;    /* those that numbers and ways depend on */
    FsKey root;
    _Atomic uint32_t life;    /* how often it was begun */
    _Atomic uint32_t nodes, handles; /* places that were ever used */
    StateMount mounts[STATE_MOUNTS];
} StateHead;

enum { STATE_LIVE = 1, STATE_DIR = 2, STATE_KNOWN = 4, STATE_LOST = 8 }; /* flags of records */
enum { STATE_NO_WAY, STATE_NAME, STATE_FILE_HANDLE };                    /* kinds of ways */

typedef struct {
    uint32_t generation;
    uint16_t type;             /* S_IFMT of it */
    _Atomic uint16_t flags;    /* last written, first taken back */
    _Atomic uint64_t lookups;
    FsKey key;
    _Atomic uint64_t way, next; /* next: where a rename that is under way leads */
} StateNode;

typedef struct {
    uint32_t generation;
    _Atomic uint32_t flags;
    uint64_t node;
    int32_t open_flags, unused;
} StateHandle;

typedef struct {
    uint64_t first; /* number of the folder; type of the file handle */
    char bytes[STATE_SMALL_ROOM];
} StateSmall;

typedef struct {
    uint64_t first;
    char bytes[STATE_LARGE_ROOM];
} StateLarge;

/* Cells that are free, and from where on none was ever used. */
typedef struct {
    GArray *free; /* uint32_t */
    uint32_t end, most;
} StateCells;

struct FsState {
    FdStore *store;
    pthread_mutex_t storing; /* between finding that something is not stored and its being so */
    uint8_t *map;
    StateHead *head;
    StateNode *nodes;
    StateHandle *handles;
    StateSmall *small;
    StateLarge *large;
    uint8_t *kept;
    StateCells small_cells, large_cells;
    uint64_t mounts[STATE_MOUNTS]; /* numbers of those in head, now; 0: none is there */
    bool resumed;
    unsigned files, open;    /* that came back */
};

/* A way in words: kind, length, cell. */
static inline uint64_t state_way(unsigned kind, size_t length, uint32_t cell)
{
    return kind | (uint64_t)length << 2 | (uint64_t)cell << 16;
}

static inline unsigned state_way_kind(uint64_t way)
{
    return way & 3;
}

static inline size_t state_way_length(uint64_t way)
{
    return (way >> 2) & 0x1ff;
}

static inline uint32_t state_way_cell(uint64_t way)
{
    return (uint32_t)(way >> 16);
}

/* resume.c: what is in the file becomes nodes and handles. Nothing else runs yet. */
void fs_state_resume(Fs *fs);
/* state.c: "fsd.KIND-NUMBER[-OWNER]" */
typedef struct {
    char text[64];
} StateName;
StateName fs_state_name(const char *kind, uint64_t id);
StateName fs_state_lock_name(uint64_t id, uint64_t owner);
