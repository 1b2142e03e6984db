/* SPDX-License-Identifier: MIT */
/*
 * Memory tagging in C: the tags of memory, which the environment keeps (ArmCpu.tags: a byte for each 16
 * bytes of memory, 0 where pages have none, else 16 and the tag), and checks of accesses.
 */
#include "guest/arm/arm_priv.h"

#define GRANULE 16u
#define PLAIN(address) ((address) & UINT64_MAX >> 8)

static uint8_t *tag_at(const ArmCpu *cpu, uint64_t address)
{
    address = PLAIN(address);
    return cpu->tags && address < cpu->tags_limit ? cpu->tags + address / GRANULE : NULL;
}

static unsigned tag_of(uint64_t address) { return address >> 56 & 15; }

/* (address, bytes | write << 16): the fault of the first granule whose tag is another, or a note of it */
HELPER(tag_check)
{
    ArmCpu *arm = cpu;
    uint64_t bytes = b & 0xffff, end = PLAIN(a) + bytes;
    if (arm->pstate & ARM_PSTATE_TCO)
        return 0;
    for (uint64_t at = PLAIN(a); at < end; at = (at & ~(uint64_t)(GRANULE - 1)) + GRANULE) {
        const uint8_t *tag = tag_at(arm, at);
        if (!tag || !*tag || (*tag & 15) == tag_of(a))
            continue;
        if (arm->tag_checks == ARM_TAGS_SYNC) {
            translate_raise(&arm->base, ARM_TAG_CHECK, at | (a & UINT64_C(0xff) << 56));
        } else {
            arm->tag_fault = true;
            translate_kick(&arm->base);
        }
        break;
    }
    return 0;
}

/* (address): it must be that of a granule */
HELPER(tag_aligned)
{
    if (a & (GRANULE - 1))
        translate_raise(cpu, ARM_ALIGNMENT, a);
    return 0;
}

/* (address): the tag of its granule */
HELPER(load_tag)
{
    const uint8_t *tag = tag_at(cpu, a);
    return tag ? *tag & 15 : 0;
}

/* (address, tag, granules) */
HELPER(store_tag)
{
    for (uint64_t i = 0; i < c; i++) {
        uint8_t *tag = tag_at(cpu, a + GRANULE * i);
        if (tag && *tag)
            *tag = (uint8_t)(16 | (b & 15));
    }
    return 0;
}

/* ChooseNonExcludedTag of the manual. */
static unsigned choose(unsigned tag, unsigned offset, unsigned exclude)
{
    if (exclude == 0xffff)
        return 0;
    for (;; tag = (tag + 1) & 15) {
        if (exclude >> tag & 1)
            continue;
        if (!offset--)
            return tag;
    }
}

/* (tag, offset): the tag so many further on */
HELPER(add_tag)
{
    const ArmCpu *arm = cpu;
    unsigned tag = (unsigned)a & 15, n = (unsigned)b & 15;
    if (arm->tag_exclude == 0xffff)
        return 0;
    while (n-- > 0)
        do
            tag = (tag + 1) & 15;
        while (arm->tag_exclude >> tag & 1);
    return choose(tag, 0, arm->tag_exclude);
}

/* (tags not to be had): a random one */
HELPER(random_tag)
{
    ArmCpu *arm = cpu;
    arm->tag_seed = arm->tag_seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return choose(arm->tag_seed >> 60, 0, (unsigned)(a & 0xffff) | arm->tag_exclude);
}
