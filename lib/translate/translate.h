/* SPDX-License-Identifier: MIT */
/*
 * The translator as its users see it: what a guest ISA supplies
 * (TranslateGuest), the head of every guest CPU struct (TranslateCpu), the run
 * loop, and invalidation. One Translator serves the vCPUs of one machine or
 * process; each vCPU runs on a thread of its own.
 *
 * Code identity is physical address + mode key (+ nothing else). What may be
 * assumed of a virtual address is the tag: while a CPU's tag stays the same, so
 * does the mapping of every page it has executed under that tag.
 */
#pragma once

#include <glib.h>
#include "translate/env.h"
#include "translate/ir.h"

typedef struct Translator Translator;
typedef struct TranslateCpu TranslateCpu;

typedef enum { TRANSLATE_FETCH, TRANSLATE_LOAD, TRANSLATE_STORE } TranslateAccess;
typedef enum { TRANSLATE_BUS_ERROR, TRANSLATE_MISALIGNED } TranslateTrouble;

/* A guest exception to be: number and value are the guest's own. */
typedef struct TranslateFault {
    uint32_t exception;
    uint64_t value;
} TranslateFault;

/* What a page-table walk found for one address. */
typedef struct TranslateMap {
    uint64_t phys;           /* of the very address asked for */
    /* what may be cached; write only when no dirty bit is to be set first */
    bool read, write, execute;
    bool global;             /* the same in all address spaces of this CPU */
} TranslateMap;

#define TRANSLATE_MMUS 8 /* the last one is not for guests */
#define TRANSLATE_TLB_BITS 11
#define TRANSLATE_TLB_SIZE (1u << TRANSLATE_TLB_BITS)
#define TRANSLATE_TLB_GROUP 64 /* entries that are flushed together */
#define TRANSLATE_HINTS 8192

/* Tags hold the page's virtual address; for unused entries see memory.c. */
typedef struct TranslateTlbEntry {
    uint64_t read, write;
    uint64_t addend; /* host address - guest address */
    uint64_t info;  /* physical page | TRANSLATE_TLB_GLOBAL */
} TranslateTlbEntry;
#define TRANSLATE_TLB_GLOBAL 1u

/* Where a memory access of compiled code found its page last. */
typedef struct TranslateHint {
    uint32_t entry; /* offset in its TLB */
    uint32_t wrong; /* times it was elsewhere */
} TranslateHint;

/* Rules of floating point that differ between ISAs. */
typedef struct TranslateFp {
    bool default_nan;        /* every NaN result is the default NaN */
    bool negative_default;   /* the default NaN has its sign set */
    bool tiny_before;        /* tininess is detected before rounding */
    uint8_t propagate;       /* without default_nan: SfPropagate of softfloat.h; 1 is as x86 */
    bool flush_inputs;       /* subnormal operands are zeros of their sign */
    bool flush_outputs;      /* tiny results are zeros of their sign */
    /* TRANSLATE_FP_DENORMAL as x86 has it: else set only by operands that were flushed */
    bool denormal_flag;
    /* With flushing, where the mode tells: whether the sticky flag for inexact results is set. It is
     * set by the host's flushing, so that only where it has been anyhow is that the guest's. */
    enum { TRANSLATE_INEXACT_UNKNOWN, TRANSLATE_INEXACT_CLEAR, TRANSLATE_INEXACT_SET } inexact;
} TranslateFp;

/* Of condition flags: left alone, going on behind the instruction, elsewhere, or either; all
 * overwritten; anything else. */
typedef enum {
    TRANSLATE_FLAGS_KEPT, TRANSLATE_FLAGS_JUMP, TRANSLATE_FLAGS_BRANCH, TRANSLATE_FLAGS_SET, TRANSLATE_FLAGS_USED
} TranslateFlagsUse;

typedef struct TranslateGuest {
    const char *name;
    IrGuest ir;
    size_t cpu_size;         /* of the guest's CPU struct, whose first member is a TranslateCpu */
    size_t hot;              /* offset within it of the 256 bytes most used by code */
    unsigned insn_align;     /* log2 of instruction alignment */
    unsigned max_insn;       /* longest instruction in bytes, at most 16 */
    /*
     * User mode: guest addresses are host addresses + Translator's base, no MMU. A guest's bad
     * access is a host signal, whose handler calls translate_host_fault. Code made from pages that
     * change is dropped when it is told (translate_invalidate): by the environment when mappings
     * change, by the guest's own fences of its instruction stream.
     */
    bool direct_memory;
    const uint16_t *int_pins, *float_pins; /* slots in order of dynamic frequency */
    unsigned n_int_pins, n_float_pins;
    TranslateFp fp;
    /* Changes fp, a copy of the above, to the rules in that mode (Arm FPCR.DN and FZ, x86
     * MXCSR.DAZ and FTZ). NULL: always as above. */
    void (*fp_rules)(uint64_t mode, TranslateFp *fp);
    /* Sets cpu->mode and cpu->tag from the CPU's state. Called by the run loop before it looks
     * for code whenever a mode exit was taken. */
    void (*mode)(TranslateCpu *cpu);
    /* Page-table walk. False: *fault says what to raise. May set accessed/dirty bits in memory.
     * NULL: identity. */
    bool (*walk)(TranslateCpu *cpu, uint64_t address, TranslateAccess access, unsigned mmu,
                 TranslateMap *map, TranslateFault *fault);
    /* The fault to raise for trouble that the walk did not see. */
    void (*trouble)(TranslateCpu *cpu, uint64_t address, TranslateAccess access,
                    TranslateTrouble trouble, TranslateFault *fault);
    /* MMU index for fetching in the current state. */
    unsigned (*fetch_mmu)(TranslateCpu *cpu);
    /* Translates one instruction whose bytes are code[0..available); b->insn and b->mode are set.
     * Calls ir_insn with its length first. Returns false if more bytes are needed than available
     * (nothing emitted). */
    bool (*insn)(IrBuilder *b, const uint8_t *code, unsigned available);
    /*
     * What the instruction at code does to the guest's condition flags, as far as its bytes show, and
     * where it goes on, as an offset from it. For ISAs whose instructions have one length. Where
     * they are overwritten before they are looked at, compiled code need not have them: signal
     * handlers and debuggers may see old ones there. NULL: flags are always right.
     */
    TranslateFlagsUse (*flags_use)(const uint8_t *code, unsigned available, int64_t *target);
    unsigned flags_slot;
    /* Takes an exception: cpu->pc is the instruction that raised it, and is changed to the
     * handler. NULL in user mode: env.exception does. */
    void (*raise)(TranslateCpu *cpu, TranslateFault fault);
    /* Not called in user mode, as wake is not. */
    /* If an interrupt is pending and enabled, takes it (changes pc) and returns true. */
    bool (*interrupt)(TranslateCpu *cpu);
    /* True if an interrupt is pending that ends idling. */
    bool (*wake)(TranslateCpu *cpu);
    /* One line of the registers for -d cpu and crash reports. May be NULL. */
    void (*dump)(TranslateCpu *cpu, GString *out);
} TranslateGuest;

typedef enum {
    TRANSLATE_STOPPED, /* translate_stop was asked for */
} TranslateExit;

/*
 * The head of every guest CPU struct. Front ends, helpers and environments use
 * the first part; the rest belongs to the translator. Allocated only by
 * translate_cpu_new (page-aligned, zeroed).
 */
struct TranslateCpu {
    /* for all */
    /* valid whenever compiled code is not running; helpers: see translate_pc */
    uint64_t pc;
    uint64_t mode;           /* everything of the state that translation depends on */
    uint32_t tag;            /* address-space tag as set by guest->mode, never 0 */
    bool idle;               /* set by a helper: wait for an interrupt at the next exit */
    const TranslateGuest *guest;
    GuestEnv env;
    Translator *translator;
    unsigned index;          /* number of the CPU in its translator */
    void *user;              /* whoever created it */
    /* bytes from the address on that guest->walk is asked about, within the page */
    uint8_t access_size;

    /* the translator's own */
    uint32_t live_tag;       /* what code compares: tag, or 0 after a kick */
    uint32_t fault_pending;  /* a helper or memory access raised `fault` */
    TranslateFault fault;
    uint64_t pc_base;        /* guest address of the page (system) that code runs in */
    uint64_t exit_info;      /* of the last exit */
    struct TranslateJump *jump_table; /* TRANSLATE_JUMPS entries, this CPU's own */
    /* rsp of the host frame while compiled code runs; how deep calls may go */
    uint64_t host_stack, stack_limit;
    uint32_t slow_info;      /* IrMem of that access */
    uint64_t slow_address, slow_value; /* to and from C for a memory access off the fast path */
    uint32_t exit_reason;
    uint32_t mxcsr, host_mxcsr;
    uint32_t sticky[2];      /* compiled code: MXCSR at the last FSTICKY, and scratch */
    uint64_t linked_address, linked_value; /* load-linked */
    uint32_t linked_valid;
    uint8_t round;           /* IrRound that IR_RDYN means */
    TranslateFp fp;          /* the rules in the current mode */
    /* a subnormal operand was flushed; with fp.denormal_flag it is in mxcsr instead */
    uint8_t fp_denormal;
    uint32_t kicked;         /* atomic */
    uint32_t stop;           /* atomic */
    uint32_t in_code;        /* compiled or interpreted code is running: pc is to be recovered */
    uint64_t insn_pc;        /* interpreter: address of the current instruction */
    uint64_t fault_host_pc;  /* compiled code: where a memory access or helper was called from */
    struct TranslateVerify *verify; /* accel verify: its log */
    IrValue *values;         /* interpreter: of the current region's operations */
    uint64_t save[16];       /* temporaries across a call into C */
    uint64_t loop_save[4];   /* and those of a loop's own */
    uint64_t args[4];        /* of a helper call, and its result in args[0] */
    struct { uint64_t regions, exits, misses, slow_loads, slow_stores, links, evals; } count;
    /* pages executed under a tag, none invalidated since that epoch of the translator */
    struct { uint64_t page, phys, host; uint8_t *flags; uint32_t tag; } fetch[256];
    uint32_t fetch_epoch;
    uint64_t touch_address;  /* guest address at which the host faulted in C */
    /* values wider than a host register; operands of evaluated operations */
    IrValue cells[64];
    TranslateTlbEntry tlb[TRANSLATE_MMUS][TRANSLATE_TLB_SIZE];
    uint64_t tlb_poison;     /* tag of unused entries */
    uint64_t tlb_used[TRANSLATE_MMUS]; /* a bit a group with anything in it */
    struct TranslateHint hints[TRANSLATE_HINTS];
};

typedef enum { TRANSLATE_JIT, TRANSLATE_INTERP, TRANSLATE_VERIFY } TranslateAccel;

typedef struct TranslateOptions {
    TranslateAccel accel;
    size_t code_size;        /* bytes of code cache; 0: 64 MiB */
    uint64_t memory_base;    /* direct_memory: host address of guest address 0 */
    /* Told of each piece of code made from pc (a physical address, or user mode's) on; under a lock:
     * nothing of the translator may be called. NULL: nobody. */
    void (*compiled)(void *opaque, const void *host, size_t size, uint64_t pc);
    void *compiled_opaque;
} TranslateOptions;

/* The guest struct must outlive the translator. */
Translator *translate_new(const TranslateGuest *guest, const TranslateOptions *options,
                          GError **error);
void translate_free(Translator *t); /* after all its CPUs are freed; NULL is fine */

/* env is copied. At most 1024 CPUs. */
TranslateCpu *translate_cpu_new(Translator *t, const GuestEnv *env, void *user);
void translate_cpu_free(TranslateCpu *cpu);

/* Runs guest code from cpu->pc on the calling thread until translate_stop. */
TranslateExit translate_run(TranslateCpu *cpu);

/* Any thread: the CPU soon looks at its interrupts again (and wakes from idle by its
 * environment's own means). */
void translate_kick(TranslateCpu *cpu);
/* Any thread: translate_run returns soon. Sticky until it has. */
void translate_stop(TranslateCpu *cpu);

/* Any thread: guest RAM at phys..+size was written by other means than guest stores; drops the
 * code made from it. */
void translate_invalidate(Translator *t, uint64_t phys, uint64_t size);
/* The CPU's own thread (guest fences, address-space changes): drop cached translations of
 * addresses. */
void translate_tlb_flush(TranslateCpu *cpu, unsigned mmu_mask, bool keep_global);
void translate_tlb_flush_page(TranslateCpu *cpu, uint64_t address);
/* A tag never used before by any CPU of the translator: links are shared, and compare tags. */
uint32_t translate_tag_new(TranslateCpu *cpu);

/*
 * User mode. For signal handlers on the CPU's own thread (async-signal-safe): if ucontext
 * (ucontext_t) was stopped in compiled code, or in C that touches guest memory for the guest (also to
 * read the code to be translated), changes it so that on return from the handler the run loop
 * raises TRANSLATE_HOST_FAULT at the guest instruction that did it, with the guest's state as the
 * commit rule says; true then. False: the guest did not do it.
 */
#define TRANSLATE_HOST_FAULT UINT32_MAX
bool translate_host_fault(TranslateCpu *cpu, void *ucontext);

/*
 * User mode: fork. _prepare takes the translator's locks on the forking thread (its CPU is not in
 * code), _parent gives them back. In the child, _child does that too, forgets all other CPUs
 * (their memory is freed) and gives the child a code cache of its own, with what was translated so
 * far; false: that could not be had, and the child cannot go on.
 */
void translate_fork_prepare(Translator *t);
/* Before _prepare, on the CPU's thread with no lock held, the CPU not in code: translates what earlier
 * children had to, so that this one need not. Two threads must not do so at once. */
void translate_fork_learn(TranslateCpu *cpu);
void translate_fork_parent(Translator *t);
bool translate_fork_child(Translator *t, TranslateCpu *self, GError **error);

/* From helpers: raises a guest exception at the current instruction when the helper returns. */
void translate_raise(TranslateCpu *cpu, uint32_t exception, uint64_t value);
/* From helpers: address of the current guest instruction. */
uint64_t translate_pc(TranslateCpu *cpu);
/* From helpers and page-table walks, with guest MMU rules; false: a fault is pending (as
 * translate_raise). value in guest order given by mem. */
bool translate_load(TranslateCpu *cpu, uint64_t address, IrMem mem, uint64_t *value);
bool translate_store(TranslateCpu *cpu, uint64_t address, IrMem mem, uint64_t value);
/* From helpers: n bytes in memory order; false: a fault is pending, some of them may be done. */
bool translate_copy_in(TranslateCpu *cpu, void *to, uint64_t address, size_t n);
bool translate_copy_out(TranslateCpu *cpu, uint64_t address, const void *from, size_t n);
/* From helpers: as translate_load, but nothing is raised when it is false. */
bool translate_try_load(TranslateCpu *cpu, uint64_t address, IrMem mem, uint64_t *value);
/* From helpers, user mode: whether the byte may be written; false: a fault is pending. Elsewhere: true. */
bool translate_probe_store(TranslateCpu *cpu, uint64_t address);
/* Physical memory, little-endian unless mem says IR_MEM_BE; RAM or MMIO. False: bus error. */
bool translate_phys_load(TranslateCpu *cpu, uint64_t phys, IrMem mem, uint64_t *value);
bool translate_phys_store(TranslateCpu *cpu, uint64_t phys, IrMem mem, uint64_t value);
/* Compare and exchange of an aligned RAM word of 4 or 8 bytes, for page-table bits. False: not
 * RAM or changed meanwhile. */
bool translate_phys_cas(TranslateCpu *cpu, uint64_t phys, unsigned size, uint64_t expected,
                        uint64_t desired);

/* The FP environment, outside compiled code or from an FPENV helper. */
typedef enum { TRANSLATE_FP_INVALID = 1, TRANSLATE_FP_DIVZERO = 2, TRANSLATE_FP_OVERFLOW = 4, TRANSLATE_FP_UNDERFLOW = 8, TRANSLATE_FP_INEXACT = 16,
               TRANSLATE_FP_DENORMAL = 32 } TranslateFpFlags;
unsigned translate_fp_flags(TranslateCpu *cpu);            /* sticky TranslateFpFlags */
void translate_fp_set_flags(TranslateCpu *cpu, unsigned flags);
/* RMM: IR_RDYN operations use soft float */
void translate_fp_set_round(TranslateCpu *cpu, IrRound round);

/* Where compiled code lies, which user mode must not map anything over. size 0: there is none. */
void translate_code_range(Translator *t, uint64_t *start, uint64_t *size);

typedef struct TranslateStats {
    uint64_t code_size, code_used;    /* bytes of the code cache */
    uint64_t regions;                 /* there now */
    uint64_t translated, guest_bytes; /* regions made so far, and what they were made from */
    uint64_t flushes, invalidated;    /* times all was dropped; regions dropped since they were written */
} TranslateStats;
/* Any thread. */
TranslateStats translate_stats(Translator *t);

/* -d: text of what is known of a code address, for crash reports. */
void translate_describe(TranslateCpu *cpu, GString *out);
