/* SPDX-License-Identifier: MIT */
/*
 * Arm as its users see it: the CPU struct, and what an operating system's layer needs of it beyond
 * guest.h. Arm Architecture Reference Manual for A-profile (DDI 0487), state A64, user level (EL0).
 * Names are the manual's.
 *
 * A V register is one slot of 128 bits; scalar floating point works on its low part.
 *
 * Unless a comment says otherwise a function is for the CPU's own thread, or for any thread while
 * the CPU does not run.
 */
#pragma once

#include "guest/guest.h"

typedef enum { /* numbers of exceptions, as env.exception has them */
    ARM_SVC = 1,      /* value: the immediate */
    ARM_UNDEFINED,    /* value: the instruction */
    ARM_BRK,          /* value: the immediate */
    ARM_ALIGNMENT,    /* value: the address */
    ARM_PC_ALIGNMENT, /* value: the address */
    ARM_FETCH,        /* no right to execute; value: the address */
    ARM_DATA,         /* value: the address */
    ARM_TAG_CHECK,    /* value: the address, with its tag */
    ARM_BRANCH_TARGET, /* not one of the branch that came here; value: BTYPE */
} ArmException;

/* Bits of FPCR and FPSR. */
#define ARM_FPCR_MASK UINT32_C(0x07c00000) /* AHP, DN, FZ, RMode; FZ16 where there is FEAT_FP16 */
#define ARM_FPCR_AHP (1u << 26)
#define ARM_FPCR_DN (1u << 25)
#define ARM_FPCR_FZ (1u << 24)
#define ARM_FPCR_FZ16 (1u << 19)
#define ARM_FPSR_QC (1u << 27)

/* Of PSTATE, what is neither NZCV nor a mode's. */
#define ARM_PSTATE_SSBS (1u << 12)
#define ARM_PSTATE_DIT (1u << 24)
#define ARM_PSTATE_TCO (1u << 25)

/* Of a Z register, at the greatest vector length of SVE: 2,048 bits. */
#define ARM_Z_WORDS 32

typedef enum { ARM_KEY_IA, ARM_KEY_IB, ARM_KEY_DA, ARM_KEY_DB, ARM_KEY_GA } ArmKey;

typedef enum { ARM_TAGS_UNCHECKED, ARM_TAGS_SYNC, ARM_TAGS_ASYNC } ArmTagChecks;

/* What the model and its properties chose; constant while the CPU lives. */
typedef struct ArmProps {
    uint64_t midr;
    uint32_t ctr; /* CTR_EL0 */
#define FEATURE(name, needs) bool name;
#include "guest/arm/features.def"
#undef FEATURE
    bool pauth_impdef; /* a function of ours for pointer authentication, not QARMA5 */
    bool sve_shown, sve2_shown, svesha3_shown, svei8mm_shown; /* to programs, as HWCAP */
    uint16_t sve_lengths;   /* bit n: vectors of 16 * (n + 1) bytes are there */
    uint16_t sve_default;   /* bytes that a program starts with */
} ArmProps;

typedef struct ArmCpu {
    TranslateCpu base;
    uint64_t x[31], sp;
    /* Z0 to Z31; the V registers are their first 16 bytes. Host byte order, doubleword by doubleword. */
    _Alignas(16) uint64_t v[32][ARM_Z_WORDS];
    uint32_t flags;         /* IrFlagBits; the carry is Arm's */
    uint32_t fpcr;
    uint64_t qc[2];         /* FPSR.QC is set unless they are 0 */
    uint64_t tpidr;         /* TPIDR_EL0 */
    uint64_t pstate;        /* ARM_PSTATE bits, in their places */
    /* LDXP of two doublewords: its address (1: none) and what was there */
    uint64_t pair_address, pair_low, pair_high;
    uint64_t id;
    ArmProps props;
    /* keys of pointer authentication, low half first, the upper one odd with pauth_impdef, and which of IA to DB do nothing: bits 1 << key */
    uint64_t pac_keys[5][2];
    uint32_t pac_disabled;
    uint64_t btype;         /* PSTATE.BTYPE, while guards */
    /* Branch targets: there are guarded pages, and whether that of an address is one. The callback is for
       any thread, with locks held; NULL: none is. */
    bool guards;
    /* Set by the environment once an address with a top byte was met: from then on that byte is cut off
       by the code, which costs an instruction an access. */
    bool tagged;
    /* Memory tagging: a byte for each 16 bytes of memory below tags_limit, 0 for no tag, else 16 and the tag;
       NULL: there are none. What becomes of a wrong one; tags that IRG and ADDG do not choose. */
    uint8_t *tags;
    uint64_t tags_limit, tag_seed;
    uint8_t tag_checks;     /* ArmTagChecks */
    bool tag_fault;         /* with ARM_TAGS_ASYNC: there was one */
    uint16_t tag_exclude;
    bool (*guarded)(void *opaque, uint64_t address);
    void *guarded_opaque;
    struct { uint64_t mode; uint32_t tag; } user_tags[16]; /* tag 0: none yet */
    unsigned next_tag;
    /* SVE. Bit n of z_stale: what is above 128 bits in Z n counts as zero, whatever is there. */
    uint64_t z_stale;
    uint64_t sve_address;   /* of a load or store with branches in it */
    uint64_t p[17][4];      /* P0 to P15, FFR: a bit a byte of a Z register */
    uint16_t vl;            /* bytes of a Z register */
    bool z_used;            /* with vectors of more than 16 bytes an instruction of SVE has run */
    bool vl_inherit;        /* PR_SVE_VL_INHERIT */
    uint16_t vl_onexec;     /* for the next program; 0: none said */
} ArmCpu;

/* The memory that an instruction reaches. */
typedef struct ArmAccess {
    uint8_t rn;              /* base register; 31: SP */
    bool index;              /* + register rm, extended by option, shifted; else + offset */
    uint8_t rm, option, shift;
    int32_t offset;
    uint16_t bytes;
    bool read, write;
    bool unchecked;          /* whatever tags there are */
} ArmAccess;

/* False: none, or none by a register alone (literals, LDRAA, scalable vectors, prefetches). */
bool arm_access(uint32_t word, ArmAccess *out);
/* With the registers as they are before the instruction. */
uint64_t arm_access_address(const ArmCpu *cpu, const ArmAccess *access);
/* Of P registers and FFR, at the vector length of the CPU. */
#define ARM_FFR 16
/* The greatest vector length there is of at most that many bytes (the least one if none is). */
unsigned arm_sve_length(const ArmProps *p, unsigned bytes);
/* Another vector length, of those there are: P, FFR and Z above 128 bits are zeroed if it changes. */
void arm_sve_set_vl(TranslateCpu *cpu, unsigned bytes);
/* Z registers complete in memory, and from there: what is above 128 bits was written by others. */
void arm_sve_settle(TranslateCpu *cpu);

/* NZCV in bits 31 to 28. */
uint32_t arm_nzcv(const TranslateCpu *cpu);
void arm_set_nzcv(TranslateCpu *cpu, uint32_t nzcv);
/* As SPSR has them: NZCV and those of cpu->pstate that there are. */
uint32_t arm_pstate(const TranslateCpu *cpu);
void arm_set_pstate(TranslateCpu *cpu, uint32_t pstate);
uint32_t arm_fpcr(const TranslateCpu *cpu);
/* What the mode key is made of has changed: outside of code, for the next instruction. */
void arm_user_mode(TranslateCpu *cpu);
/* The mode may change: a mode exit must follow. */
void arm_set_fpcr(TranslateCpu *cpu, uint32_t value);
uint32_t arm_fpsr(TranslateCpu *cpu);
void arm_set_fpsr(TranslateCpu *cpu, uint32_t value);
