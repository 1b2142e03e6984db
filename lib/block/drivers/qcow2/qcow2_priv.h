/* SPDX-License-Identifier: MIT */
/*
 * What the files of the qcow2 driver share. The format is docs/interop/qcow2.txt as published with
 * QEMU: a header, a two-level table from guest clusters to host clusters (L1, L2), and a two-level
 * table of reference counts of host clusters. All numbers on disk are big-endian.
 *
 * Crash safety. Tables are changed in memory (slices.c) and written in this order by
 * qcow2_flush_tables: reference counts that grew; a barrier, which also settles the data that new
 * entries point to; L2 entries; a barrier if the L1 table changed; L1 entries. A cluster that is no
 * longer used waits in `limbo` until the entries that named it are off the disk: only then is its
 * count lowered and may it be used again. So a crash at any time leaves clusters that are
 * counted and not used (a leak), never the reverse.
 *
 * Threads. `lock` is held for everything that looks at tables, their I/O included; data moves
 * without it. Who allocates for a range of guest clusters registers a Flight, and others that would
 * do the same there wait for it.
 */
#pragma once

#include "base/bytes.h"
#include "block/driver.h"
#include "block/image.h"
#include "block/drivers/luks_priv.h"

#include <pthread.h>

#define QCOW2_MAGIC UINT32_C(0x514649fb)

enum {
    QCOW2_V2_HEADER = 72,
    QCOW2_V3_HEADER = 104,
    QCOW2_MIN_CLUSTER_BITS = 9,
    QCOW2_MAX_CLUSTER_BITS = 21,
    QCOW2_SUBCLUSTERS = 32,
    QCOW2_MAX_SNAPSHOTS = 65536,
    QCOW2_MAX_SNAPSHOT_EXTRA = 1024,
    QCOW2_MAX_BITMAPS = 65535,
    QCOW2_MAX_BITMAP_NAME = 1023,
};
/* Largest tables that are believed, in bytes. */
#define QCOW2_MAX_L1 (UINT64_C(32) << 20)
#define QCOW2_MAX_REFTABLE (UINT64_C(8) << 20)
#define QCOW2_MAX_SNAPSHOT_TABLE (UINT64_C(16) << 20)
#define QCOW2_MAX_BITMAP_DIRECTORY (UINT64_C(64) << 20)

/* incompatible, compatible, autoclear features */
#define QCOW2_DIRTY UINT64_C(1)
#define QCOW2_CORRUPT UINT64_C(2)
#define QCOW2_DATA_FILE UINT64_C(4)
#define QCOW2_COMPRESSION_TYPE UINT64_C(8)
#define QCOW2_EXTENDED_L2 UINT64_C(16)
#define QCOW2_INCOMPATIBLE UINT64_C(31)
#define QCOW2_LAZY_REFCOUNTS UINT64_C(1)
#define QCOW2_AUTO_BITMAPS UINT64_C(1)
#define QCOW2_AUTO_RAW UINT64_C(2)

/* header extensions */
#define QCOW2_EXT_BACKING_FORMAT UINT32_C(0xe2792aca)
#define QCOW2_EXT_FEATURES UINT32_C(0x6803f857)
#define QCOW2_EXT_BITMAPS UINT32_C(0x23852875)
#define QCOW2_EXT_CRYPTO UINT32_C(0x0537be77)
#define QCOW2_EXT_DATA_FILE UINT32_C(0x44415441)

/* entries of L1 and L2 tables */
#define QCOW2_COPIED (UINT64_C(1) << 63) /* used once: may be written in place */
#define QCOW2_COMPRESSED (UINT64_C(1) << 62)
#define QCOW2_ZERO UINT64_C(1)
#define QCOW2_OFFSET UINT64_C(0x00fffffffffffe00)
#define QCOW2_L1_RESERVED UINT64_C(0x7f000000000001ff)
#define QCOW2_REFTABLE_RESERVED UINT64_C(0x1ff)

typedef enum { QCOW2_ZLIB, QCOW2_ZSTD } Qcow2Compression;

typedef struct Qcow2Extension { /* one that this driver does not know: kept */
    uint32_t type, len;
    uint8_t *data;
} Qcow2Extension;

typedef struct Qcow2Header {
    unsigned version, cluster_bits, refcount_order, crypt_method, length;
    uint64_t size;
    uint64_t l1_offset, reftable_offset, snapshots_offset;
    uint32_t l1_entries, reftable_clusters, n_snapshots;
    uint64_t incompatible, compatible, autoclear;
    Qcow2Compression compression;
    char *backing, *backing_format, *data_file; /* NULL: none */
    uint64_t bitmaps_offset, bitmaps_size;      /* of the directory */
    uint32_t n_bitmaps;
    uint64_t crypto_offset, crypto_length;
    GArray *unknown; /* Qcow2Extension */
} Qcow2Header;

typedef struct Qcow2Snapshot {
    uint64_t l1_offset;
    uint32_t l1_entries;
    BlockSnapshot info;
    uint32_t extra;       /* bytes of extra data on disk */
    uint32_t unknown_len; /* extra data beyond what is known */
    uint8_t *unknown;
} Qcow2Snapshot;

/* ---- slices of tables in memory ------------------------------------------ */

typedef enum { SLICE_REFCOUNT, SLICE_L2 } SliceKind;

typedef struct Slice {
    uint64_t offset; /* in the file */
    uint8_t *data;   /* slice_size bytes, as on disk */
    SliceKind kind;
    bool dirty, used; /* used: since the clock hand was here */
    unsigned pins;
} Slice;

typedef struct Slices {
    GHashTable *by_offset; /* of Slice */
    GPtrArray *all;
    unsigned hand, most, dirty;
} Slices;

/* A range of guest clusters somebody is allocating for. On its thread's stack. */
typedef struct Flight {
    uint64_t first, end;
    struct Flight *next;
} Flight;

typedef struct { /* clusters that await lowering of their count */
    uint64_t cluster, n;
    bool discard; /* the file is told when they are free */
} Limbo;

/* Compressors that nobody uses just now. */
typedef struct Qcow2Packer Qcow2Packer;
typedef struct Qcow2Packers {
    pthread_mutex_t lock;
    Qcow2Packer *idle;
} Qcow2Packers;

typedef struct Qcow2 {
    BlockUser *file, *data, *backing; /* data: NULL without an external data file */
    /* options */
    bool lazy_refcounts, discard_request, discard_snapshot, discard_other;
    uint64_t cache_size, l2_cache_size, refcount_cache_size, ignored_size;
    int overlap_check;

    BlockNode *node;
    Qcow2Header header;
    unsigned cluster_bits, l2_bits, entry_size; /* l2_bits: log2 of entries of an L2 table */
    uint64_t cluster_size, subcluster_size;
    unsigned subclusters;            /* 1 or 32 */
    uint32_t slice_size;

    pthread_mutex_t lock;
    pthread_cond_t landed;           /* a flight or a driver's read is over */
    Flight *flights;
    uint64_t *l1;                    /* host order */
    uint32_t l1_entries;
    bool l1_dirty;
    uint32_t l1_dirty_first, l1_dirty_end;
    uint64_t *reftable;              /* host order */
    uint32_t reftable_entries;
    bool reftable_dirty;
    Slices slices;
    uint64_t free_hint;              /* cluster number: none below it is free */
    uint64_t packed_next;            /* where the next compressed data may go on; 0: nowhere */
    GHashTable *metadata;            /* host clusters of L2 tables and reference count blocks */
    GArray *limbo;                   /* of Limbo, not lowered yet */
    Qcow2Packers packers;
    unsigned readers;                /* compressed reads that use host offsets without the lock */
    bool preallocated, preallocated_known; /* more clusters are counted than the file has on disk */
    bool pass_discard;               /* of what a user discards */
    bool writing;                    /* what the first write needs was done: the image is to be closed */
    bool broken;                     /* metadata is wrong: only reading goes on */

    GArray *snapshots;               /* of Qcow2Snapshot */
    struct Qcow2Bitmaps *bitmaps;    /* bitmap.c's */

    char *encrypt_format, *key_secret; /* options */
    CryptoLuks luks;                 /* with header.crypt_method */
    CryptoCipher *cipher;            /* NULL: no encryption, or opened without its data in mind */
} Qcow2;

static inline Qcow2 *qcow2_of(BlockNode *node)
{
    return block_node_state(node);
}

/* Where guest data lies. */
static inline BlockUser *qcow2_data(const Qcow2 *q)
{
    return q->data ? q->data : q->file;
}

/* Whether the data file must stay what a reader of raw images takes it for. */
static inline bool qcow2_data_is_raw(const Qcow2 *q)
{
    return q->data && q->header.autoclear & QCOW2_AUTO_RAW;
}

static inline uint64_t qcow2_clusters(const Qcow2 *q, uint64_t bytes)
{
    return (bytes >> q->cluster_bits) + !!(bytes & (q->cluster_size - 1));
}

/* Whether an L2 table or reference count block is known to be at offset. */
static inline bool qcow2_is_metadata(const Qcow2 *q, uint64_t offset)
{
    return !(offset & (q->cluster_size - 1)) &&
           g_hash_table_contains(q->metadata, GSIZE_TO_POINTER(offset >> q->cluster_bits));
}

/* Whether these bytes lie in the file, whose last cluster counts as whole. */
static inline bool qcow2_in_file(const Qcow2 *q, uint64_t offset, uint64_t bytes)
{
    uint64_t end = (block_size(q->file) + q->cluster_size - 1) & ~(q->cluster_size - 1);
    return bytes <= end && offset <= end - bytes;
}

/* Whether data is encrypted: by sectors of the host file, so equal data looks different in each
 * cluster. */
static inline bool qcow2_encrypted(const Qcow2 *q)
{
    return q->header.crypt_method != 0;
}

/* Of the guest's disk, whole sectors. */
static inline uint64_t qcow2_size(const Qcow2 *q)
{
    return (q->header.size + 511) & ~UINT64_C(511);
}

static inline uint64_t qcow2_l2_entries(const Qcow2 *q)
{
    return UINT64_C(1) << q->l2_bits;
}

/* Guest clusters that the data of a guest's disk has. */
static inline uint64_t qcow2_l1_needed(uint64_t size, unsigned cluster_bits, unsigned l2_bits)
{
    unsigned shift = cluster_bits + l2_bits;
    return (size >> shift) + !!(size & ((UINT64_C(1) << shift) - 1));
}

static inline uint64_t round_up(uint64_t n, uint64_t unit)
{
    return (n + unit - 1) & ~(unit - 1);
}

/* ---- qcow2.c ------------------------------------------------------------- */

extern const BlockBackingOps qcow2_backing_ops;
/* Adds the host clusters of all tables in memory to q->metadata. */
void qcow2_note_metadata(Qcow2 *q);

/* ---- header.c ------------------------------------------------------------ */

/* Reads and checks; on failure nothing is left in h. */
bool qcow2_header_read(BlockUser *file, const char *name, Qcow2Header *h, GError **error);
void qcow2_header_clear(Qcow2Header *h);
/* Writes the header and all extensions into its cluster. False: they do not fit, or I/O. */
bool qcow2_header_write(BlockUser *file, const char *name, const Qcow2Header *h, GError **error);
/* The header as bytes, one cluster long; NULL: they do not fit. Caller frees. */
uint8_t *qcow2_header_bytes(const Qcow2Header *h, const char *name, GError **error);
/* Writes the feature words alone: 0 or -errno. */
int qcow2_header_features(Qcow2 *q);

/* ---- slices.c: with the lock --------------------------------------------- */

void qcow2_slices_init(Qcow2 *q, uint64_t bytes);
void qcow2_slices_clear(Qcow2 *q);
/* The slice at offset (a multiple of slice_size), read if need be, pinned: give it back by
 * qcow2_slice_put. fresh: it is all zeroes, nothing is read. */
int qcow2_slice_get(Qcow2 *q, SliceKind kind, uint64_t offset, bool fresh, Slice **slice);
void qcow2_slice_put(Qcow2 *q, Slice *slice);
/* The same if it is in memory, unpinned: good until the next call here. Else NULL. */
Slice *qcow2_slice_look(Qcow2 *q, uint64_t offset);
void qcow2_slice_dirty(Qcow2 *q, Slice *slice);
/* Forgets those in [offset, offset + bytes), changed or not. */
void qcow2_slices_drop(Qcow2 *q, uint64_t offset, uint64_t bytes);
/* Writes all tables in order, and lowers counts of the limbo. */
int qcow2_flush_tables(Qcow2 *q);

/* ---- refcount.c: with the lock ------------------------------------------- */

/* The count of a host cluster; or -errno. */
int qcow2_refcount(Qcow2 *q, uint64_t cluster, uint64_t *count);
/* The same for many clusters that lie near each other; ends with qcow2_counts_end. */
typedef struct {
    Slice *slice;        /* pinned; NULL: none is, or no block covers the range */
    uint64_t first, end; /* clusters it has the counts of */
} Qcow2Counts;
int qcow2_counts_at(Qcow2 *q, Qcow2Counts *counts, uint64_t cluster, uint64_t *count);
void qcow2_counts_end(Qcow2 *q, Qcow2Counts *counts);
/* Adds change (of either sign) to the counts of clusters [first, first + n). -EINVAL when one would
 * leave its range. */
int qcow2_refcount_add(Qcow2 *q, uint64_t first, uint64_t n, int64_t change);
/* Finds n free clusters in a row (fewer, at least 1, if some) and counts them once: their
 * offset, or -errno. got NULL: n or nothing. */
int64_t qcow2_alloc(Qcow2 *q, uint64_t n, uint64_t *got);
/* As many of n clusters from offset on as are free; counted once. */
int qcow2_alloc_at(Qcow2 *q, uint64_t offset, uint64_t n, uint64_t *got);
/* Room for packed data; within one cluster or two neighbours. */
int64_t qcow2_alloc_packed(Qcow2 *q, uint32_t bytes);
/* The clusters that hold bytes lose a user once tables are on disk. */
void qcow2_free(Qcow2 *q, uint64_t offset, uint64_t bytes, bool discard);
/* The same of what an L2 entry names. */
void qcow2_free_entry(Qcow2 *q, uint64_t entry, bool discard);
/* Lowers the counts that wait; tables that named them are on disk. */
int qcow2_settle_limbo(Qcow2 *q);
/* Whether a count may be that high. */
uint64_t qcow2_refcount_max(const Qcow2 *q);
uint64_t qcow2_refcount_in(const uint8_t *block, unsigned order, uint64_t index);
void qcow2_refcount_into(uint8_t *block, unsigned order, uint64_t index, uint64_t count);
uint64_t qcow2_block_entries(const Qcow2 *q); /* of a reference count block */

/* ---- map.c: from guest to host; with the lock ---------------------------- */

typedef enum {
    PIECE_HOLE,       /* not here: in the backing file, else zeroes */
    PIECE_ZERO,
    PIECE_ZERO_THERE, /* reads as zeroes; host has room for it */
    PIECE_HOLE_THERE, /* not here, but the cluster is: a subcluster without data */
    PIECE_DATA,
    PIECE_PACKED,     /* compressed: host and packed_bytes say where */
} PieceKind;

typedef struct {
    PieceKind kind;
    uint64_t bytes;        /* it goes that far from the offset asked for */
    uint64_t host;         /* of that offset; of PACKED: where the data begins */
    uint32_t packed_bytes; /* at most */
    bool copied;           /* may be written in place */
    uint64_t entry;        /* the L2 entry, bitmap of subclusters */
    uint64_t bits;
} Piece;

/* What is at offset, at most bytes further. load false: -EAGAIN when a table is not in memory. */
int qcow2_piece(Qcow2 *q, uint64_t offset, uint64_t bytes, bool load, Piece *piece);
/* The slice of the L2 table for offset that may be changed (made or copied if need be), and the
 * entry's index in it; pinned. */
int qcow2_l2_for_write(Qcow2 *q, uint64_t offset, Slice **slice, unsigned *index);
uint64_t qcow2_entry(const Qcow2 *q, const Slice *slice, unsigned index);
uint64_t qcow2_entry_bits(const Qcow2 *q, const Slice *slice, unsigned index);
void qcow2_entry_set(Qcow2 *q, Slice *slice, unsigned index, uint64_t entry, uint64_t bits);
/* Where packed data of an entry lies. */
void qcow2_packed_place(const Qcow2 *q, uint64_t entry, uint64_t *offset, uint32_t *bytes);
/* Makes L1 long enough for that many entries. */
int qcow2_l1_grow(Qcow2 *q, uint64_t entries);
/* Says once that the image is damaged, and has it written down; -EIO. */
int qcow2_corrupt(Qcow2 *q, const char *fmt, ...) G_GNUC_PRINTF(2, 3);

/* ---- io.c ---------------------------------------------------------------- */

int qcow2_read(BlockNode *node, uint64_t offset, uint64_t bytes, const struct iovec *iov,
               int iovcnt);
int qcow2_write(BlockNode *node, uint64_t offset, uint64_t bytes, const struct iovec *iov,
                int iovcnt, unsigned flags);
int qcow2_write_compressed(BlockNode *node, uint64_t offset, uint64_t bytes,
                           const struct iovec *iov, int iovcnt);
size_t qcow2_pack_cluster(BlockNode *node, const void *in, uint64_t bytes, void *out);
int qcow2_write_packed(BlockNode *node, uint64_t offset, const void *packed, size_t len);
int qcow2_zero(BlockNode *node, uint64_t offset, uint64_t bytes, unsigned flags);
int qcow2_discard(BlockNode *node, uint64_t offset, uint64_t bytes);
int qcow2_extents(BlockNode *node, uint64_t offset, uint64_t bytes, unsigned flags,
                  BlockExtent *out, unsigned max);
bool qcow2_map(BlockNode *node, BlockOp op, uint64_t offset, uint64_t bytes, BlockMap *map);
/* Gives up entries for clusters [first, end): without a trace, or (hidden) so that zeroes are read.
 * With the lock. */
int qcow2_unmap(Qcow2 *q, uint64_t first, uint64_t end, bool hidden);
/* Entries with a host cluster each for [offset, offset + bytes), as data or as room behind zeroes.
 * Control thread. */
int qcow2_preallocate(Qcow2 *q, uint64_t offset, uint64_t bytes, uint64_t *host_end);

/* ---- pack.c: compressed clusters ----------------------------------------- */

void qcow2_packers_init(Qcow2Packers *all);
void qcow2_packers_clear(Qcow2Packers *all);
/* Packs a cluster; returns the length, or 0 when it would not get shorter, or hardly. Any thread.
 */
size_t qcow2_pack(Qcow2Packers *all, Qcow2Compression how, const void *in, size_t len, void *out,
                  size_t room);
/* False: not what it should be. Any thread. */
bool qcow2_unpack(Qcow2Packers *all, Qcow2Compression how, const void *in, size_t len, void *out,
                  size_t out_len);

/* ---- snapshot.c ---------------------------------------------------------- */

bool qcow2_snapshots_load(Qcow2 *q, GError **error);
void qcow2_snapshots_clear(Qcow2 *q);
extern const BlockSnapshotOps qcow2_snapshot_ops;
/* Of its entry in the table. */
uint64_t qcow2_snapshot_bytes(const Qcow2Snapshot *s);
/* Adds change to the counts of all that an L1 table leads to (the L2 tables included) and, for the
 * active table, sets COPIED flags anew. With the lock. */
int qcow2_count_table(Qcow2 *q, uint64_t *l1, uint32_t entries, bool active, int change);

/* ---- bitmap.c ------------------------------------------------------------ */

bool qcow2_bitmaps_load(Qcow2 *q, GError **error);
/* Marks them as in use, when the image is written to from now on. */
bool qcow2_bitmaps_claim(Qcow2 *q, GError **error);
/* Those in memory go to the file. */
bool qcow2_bitmaps_store(Qcow2 *q, GError **error);
void qcow2_bitmaps_clear(Qcow2 *q);
/* They follow the size of the disk. */
bool qcow2_bitmaps_resize(Qcow2 *q, uint64_t size, GError **error);
/* As info has them; NULL: none. */
struct json_object *qcow2_bitmaps_describe(Qcow2 *q);
extern const BlockBitmapOps qcow2_bitmap_ops;
/* Calls for every part of the file that bitmaps use. */
typedef bool Qcow2RangeFn(void *opaque, uint64_t offset, uint64_t bytes, const char *what);
int qcow2_bitmaps_each(Qcow2 *q, Qcow2RangeFn *each, void *opaque);

/* ---- check.c, create.c, resize.c, amend.c -------------------------------- */

bool qcow2_check(BlockNode *node, unsigned fix, BlockCheck *result,
                 void (*say)(void *opaque, const char *line), void *opaque, GError **error);
/* With the lock not held, node at rest; what opening a dirty image does. */
bool qcow2_repair(Qcow2 *q, GError **error);
/* All counts anew, with 2^order bits each; at rest. -EOVERFLOW: one does not fit. */
int qcow2_change_refcount_order(Qcow2 *q, unsigned order);
bool qcow2_create(BlockGraph *graph, struct json_object *options, GError **error);
extern const BlockProp qcow2_create_props[];
bool qcow2_measure(struct json_object *options, BlockUser *source, BlockMeasure *result,
                   GError **error);
bool qcow2_resize(BlockNode *node, uint64_t size, BlockPrealloc prealloc, GError **error);
bool qcow2_make_empty(BlockNode *node, GError **error);
bool qcow2_amend(BlockNode *node, struct json_object *options, bool force, GError **error);
