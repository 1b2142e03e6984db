/* SPDX-License-Identifier: MIT */
/*
 * Inside the translator: regions, links, the code cache, and what a host back
 * end is. Lock order: Translator.lock is the innermost; nothing of the guest or
 * its environment is called with it held, except reading RAM.
 */
#pragma once

#include "translate/ir_priv.h"
#include "translate/translate.h"

#define PAGE_MASK ((uint64_t)GUEST_PAGE_SIZE - 1)

typedef struct Region Region;
typedef struct Link Link;

/* A place in compiled code that goes to another region: patched to go there directly. */
struct Link {
    Region *from, *to;  /* to: NULL while unlinked */
    Link *next_in;      /* among the links into `to` */
    uint32_t jump;      /* code offset of the rel32 that is patched */
    uint32_t stub;      /* code offset where it goes when unlinked */
    uint32_t guard;     /* code offset of the tag it compares with; 0: no guard */
    int64_t page;       /* start of the target's page relative to the region's page */
    uint32_t offset;    /* of the target in its page */
    bool loop;          /* back to the start of its own region: to the top of the loop there */
    uint32_t retry, lookup; /* code offsets of the two ways to go on then */
    uint32_t fallback;  /* code offset of the rel32 taken when the guard fails */
    uint32_t misses;    /* times the guard failed: after a few the jump table is used instead */
};

/* Guest instruction boundaries: code from `host` on belongs to the instruction at `guest`. */
typedef struct RegionPoint {
    uint32_t host;
    int32_t guest; /* offset from the region's start */
} RegionPoint;

struct Region {
    uint64_t phys;      /* of the first instruction; the identity together with mode */
    uint64_t mode;
    uint32_t entry;     /* code offset */
    uint32_t loop_top;  /* code offset where its own links back to its start go */
    uint32_t size;      /* of code */
    uint32_t swap_out;  /* code offset of what puts its own pins back where others expect them; 0 */
    uint32_t dead_exit; /* code offset that leaves for the dispatcher at the region's start */
    uint32_t in_page;   /* phys & PAGE_MASK */
    /* guest bytes it was made from, as offsets in the page; last is exclusive and may pass the
     * page */
    int32_t first, last;
    uint64_t phys2;     /* physical page of what passes the page's end; 0 none */
    bool loop;          /* made as a loop: see region.c */
    bool dead;
    Region *hash_next;
    Region *page_next, *page2_next; /* other regions of the page, and of the second page */
    Link *in;
    uint32_t n_links, first_link;
    RegionPoint *points;
    uint32_t n_points;
    /* interpreter */
    IrOp *ops;
    uint32_t n_ops;
    GPtrArray *evals;   /* IrOps that compiled code has done in C */
};

#define TRANSLATE_JUMPS 65536u
typedef struct TranslateJump {
    uint64_t pc;
    uint32_t host; /* code lies below 4 GiB */
    uint32_t tag;
} TranslateJump;

typedef enum { EXIT_LINK, EXIT_MISS, EXIT_MODE, EXIT_FAULT, EXIT_RAISE } ExitReason;

typedef struct Code {
    uint8_t *write;     /* the same memory, mapped twice */
    uint8_t *run;
    size_t size, used, start; /* start: after the thunks */
    int fork_fd;        /* a copy made for a child to be; negative: none */
} Code;

typedef enum { COMPILE_DONE, COMPILE_NO_ROOM, COMPILE_TOO_RICH } CompileResult;

/* A host back end. */
typedef struct TranslateHost {
    const char *name;
    /* Emits what all regions share; false with *error when this host cannot. */
    bool (*start)(Translator *t, GError **error);
    /* Compiles the builder's region to code at t->code.used, fills region's entry, size, points,
     * links. */
    CompileResult (*compile)(Translator *t, Region *region, const IrBuilder *b, const IrLive *live);
    /* Runs from code offset `entry` until an exit; returns it. */
    ExitReason (*run)(TranslateCpu *cpu, uint32_t entry);
    /*
     * Points a link at its target, for which its guard shall accept tag; atomic towards running
     * code. to NULL: back at its stub; with tag 1 its guard's failing also leads to the jump table
     * from now on.
     */
    void (*patch)(Translator *t, Link *link, Region *to, uint32_t tag);
    /* Makes whoever enters a dead region leave to the dispatcher. */
    void (*kill)(Translator *t, Region *region);
    /* User mode, in a signal handler: stopped at host address pc, perhaps in compiled code, by a
     * fault at guest address `address`. Makes the CPU leave with EXIT_FAULT. False: pc is in no
     * region. */
    bool (*fault)(TranslateCpu *cpu, uint64_t pc, uint64_t address, void *ucontext);
} TranslateHost;

extern const TranslateHost x64_host;

typedef struct PageCode {
    uint64_t page;      /* physical page number: the key */
    Region *regions;
    uint32_t writes;    /* stores that hit the page but none of its regions */
} PageCode;

#define REGION_HASH_BITS 18

struct Translator {
    const TranslateGuest *guest;
    TranslateOptions options;
    const TranslateHost *host; /* NULL: interpreter only */
    GMutex lock;
    GCond resumed;
    int flushing;           /* atomic */
    /* user mode; counts invalidations: what CPUs know of pages they may execute is older. Changed
     * with the lock held. */
    uint32_t epoch;
    uint32_t last_tag, tags_ran_out; /* atomic */
    Code code;
    Region **hash;
    GHashTable *pages;      /* physical page -> PageCode */
    GPtrArray *regions;     /* in order of code offset */
    uint32_t next_hint;
    GHashTable *indexed;    /* by region: which of its accesses do not guess their TLB entry */
    Link *links;
    uint32_t n_links, max_links;
    GPtrArray *cpus;
    IrBuilder builder;
    IrLive live;
    struct Notes *notes_up, *notes_down; /* learn.c: shared with the parent, with children; or NULL */
    void *host_data;
    struct { uint64_t translated, flushes, invalidated, guest_bytes; } count;
};

/* cache.c; all with the lock held unless said otherwise */
Region *cache_find(Translator *t, uint64_t phys, uint64_t mode);
void cache_add(Translator *t, Region *r);
void cache_kill(Translator *t, Region *r);
Region *cache_region_at(Translator *t, uint32_t code_offset); /* NULL outside any */
void cache_reset(Translator *t);                /* no CPU is running code */
bool cache_start(Translator *t, GError **error);
void cache_stop(Translator *t);
void cache_link(Translator *t, Link *link, Region *to, uint32_t tag);
/* learn.c; learn_note with the lock: a region was made there */
void learn_note(Translator *t, uint64_t pc, uint64_t mode);
void learn_child(Translator *t); /* after a fork, in the child */
void learn_stop(Translator *t);

/* fork: a copy of the code; then, in the child, that copy in place of the code shared with the
 * parent. */
void cache_copy(Translator *t);
bool cache_take_copy(Translator *t, GError **error);
void cache_drop_copy(Translator *t);
/* What was learnt of a region, kept when it is dropped. Bits 0 to 62, in order of the code: accesses
 * that compute their TLB index. Bit 63: it was entered with an f32 that was not boxed. */
#define INDEXED_SITES 63
#define INDEXED_UNBOXED (UINT64_C(1) << 63)
uint64_t cache_indexed(Translator *t, const Region *r);
void cache_set_indexed(Translator *t, const Region *r, uint64_t accesses);
/* Without the lock: guest code wrote `size` bytes at phys, on a page flagged as code. */
void cache_guest_wrote(Translator *t, uint64_t phys, unsigned size);

typedef enum { REGION_MADE, REGION_NO_ROOM, REGION_NEEDS_BYTES } RegionResult;
/*
 * region.c: makes the region at cpu->pc (phys its physical address) from bytes[0..available). With
 * the lock. NO_ROOM: the cache must be reset. NEEDS_BYTES: the first instruction is longer than
 * that; come again with bytes of the next page as well, whose physical page is then phys2 (0
 * otherwise).
 */
RegionResult region_make(TranslateCpu *cpu, uint64_t phys, const uint8_t *bytes, unsigned available,
                         uint64_t phys2, Region **out);
/* Guest offset of the instruction that code offset `host` belongs to. */
int32_t region_point(const Region *r, uint32_t host);

/* memory.c: guest accesses off the fast path; on a fault set fault_pending and return 0/false. */
uint64_t memory_load(TranslateCpu *cpu, uint64_t address, IrMem mem);
void memory_store(TranslateCpu *cpu, uint64_t address, IrMem mem, uint64_t value);
void memory_load_wide(TranslateCpu *cpu, uint64_t address, IrMem mem, IrValue *value);
void memory_store_wide(TranslateCpu *cpu, uint64_t address, IrMem mem, const IrValue *value);
uint64_t memory_atomic(TranslateCpu *cpu, IrAtomic what, uint64_t address, IrMem mem,
                       uint64_t operand);
void memory_cas(TranslateCpu *cpu, uint64_t address, IrMem mem, IrValue *old,
                const IrValue *expected, const IrValue *desired);
uint64_t memory_load_linked(TranslateCpu *cpu, uint64_t address, IrMem mem);
bool memory_store_cond(TranslateCpu *cpu, uint64_t address, IrMem mem, uint64_t value);
/* Executable page of address: false with a fault pending. host is NULL when the code is not in
 * RAM (bytes then via phys). */
bool memory_fetch(TranslateCpu *cpu, uint64_t address, uint64_t *phys, GuestPage *page);
/* User mode: n bytes of the guest. False with a fault pending. */
bool memory_copy(TranslateCpu *cpu, void *to, uint64_t address, size_t n);
/* For a new CPU. */
void memory_start(TranslateCpu *cpu);
/* Takes write permission of a physical page out of every CPU's TLB. */
void memory_protect(Translator *t, uint64_t phys_page);

/* find.c */
/* Looks for the region at cpu->pc, makes it if need be; link: for a link that leads there. NULL: a
 * fault is pending, or the cache was reset (try again). */
Region *find_region(TranslateCpu *cpu, bool link);
/* The compiled code that the CPU's jump table has for cpu->pc, as a code offset. 0: none. The
 * region may be dead; it leaves with EXIT_MISS then. */
uint32_t find_known(TranslateCpu *cpu);
/* run.c: the cache is full. Not in code, lock not held. */
void flush_all(TranslateCpu *cpu);

/* run.c: the guest address a link leads to, once its exit has been taken */
uint64_t link_target(const TranslateCpu *cpu, const Link *link);

/* eval_fp.c: operations that need the FP environment. False: not one of them. */
bool eval_fp(TranslateCpu *cpu, const IrOp *op, IrValue *r, const IrValue *a, const IrValue *b,
             const IrValue *c);

/* The rules of floating point in a mode. */
static inline TranslateFp translate_fp_rules(const TranslateGuest *g, uint64_t mode)
{
    TranslateFp fp = g->fp;
    if (g->fp_rules)
        g->fp_rules(mode, &fp);
    return fp;
}
/* NaNs, tininess and the flag for subnormals are as in SSE: flushing then is MXCSR's as well. */
static inline bool translate_fp_is_sse(const TranslateFp *fp)
{
    return !fp->default_nan && fp->negative_default && !fp->tiny_before && fp->propagate == 1;
}
/* Flushing of both kinds that MXCSR does, but for flags and what is tiny before it is rounded:
 * compiled code looks at operands and results (x64_fp.c). */
static inline bool translate_fp_flushes(const TranslateFp *fp)
{
    return fp->inexact == TRANSLATE_INEXACT_SET && fp->flush_inputs && fp->flush_outputs && fp->tiny_before &&
           !fp->denormal_flag;
}

/* host/interp.c */
ExitReason interp_run(TranslateCpu *cpu, const Region *r);
/* Any one operation that is no exit and no control, in C; used by the interpreter and by
 * compiled code for rare operations. */
void interp_op(TranslateCpu *cpu, const IrOp *op, IrValue *r, const IrValue *a, const IrValue *b,
               const IrValue *c);

/*
 * verify.c: each region runs through the interpreter, which does and logs everything it asks of the
 * outside, then through compiled code, which is given the log. verify_run leaves the CPU as after
 * one run.
 */
typedef void VerifyHelper(TranslateCpu *cpu, const IrOp *op, IrValue *r);
void verify_start(TranslateCpu *cpu);
ExitReason verify_run(TranslateCpu *cpu, Region *r);
void verify_free(TranslateCpu *cpu);
void verify_call(TranslateCpu *cpu, const IrOp *op, IrValue *r, VerifyHelper *helper);
/* Memory accesses: true when the compiled run was answered from the log. */
bool verify_replay(TranslateCpu *cpu, unsigned code, uint64_t address, IrMem mem, const IrValue *in,
                   IrValue *out);
void verify_record(TranslateCpu *cpu, unsigned code, uint64_t address, IrMem mem, const IrValue *in,
                   const IrValue *out);

static inline void *guest_field(TranslateCpu *cpu, uint32_t offset)
{
    return (uint8_t *)cpu + offset;
}
