/* SPDX-License-Identifier: MIT */
/*
 * SBI 2.0 calls (RISC-V SBI specification v2.0, chapters 3 to 12): an extension is a row of
 * a table, with one function that gets the arguments. The guest's nonsense is an error code.
 * On a 32-bit hart, 64-bit arguments come in two registers.
 */
#include "firmware/sbi.h"

#include <glib.h>

#define SPEC_VERSION 0x02000000
#define IMPL_ID 0x4c617468 /* not one of the assigned numbers, which name other programs */
#define IMPL_VERSION 1
#define CONSOLE_CHUNK 4096u
#define LEGACY_LAST 15

typedef struct {
    const SbiEnv *env;
    unsigned xlen;
    uint64_t eid, fid;
    const uint64_t *a; /* arguments */
    uint64_t value;    /* result in a1 */
} Call;

typedef struct {
    uint32_t eid;
    SbiError (*call)(Call *c);
} Extension;

static const Extension *find_extension(uint64_t eid);

static uint64_t ones(const Call *c)
{
    return c->xlen == 32 ? UINT32_MAX : UINT64_MAX;
}

/* An unsigned machine word. */
static uint64_t word(const Call *c, unsigned n)
{
    return c->a[n] & ones(c);
}

/* A 64-bit argument that begins in register n. */
static uint64_t wide(const Call *c, unsigned n)
{
    return c->xlen == 32 ? word(c, n) | word(c, n + 1) << 32 : c->a[n];
}

static SbiError call_base(Call *c)
{
    const SbiEnv *e = c->env;
    switch (c->fid) {
    case 0:
        c->value = SPEC_VERSION;
        return SBI_SUCCESS;
    case 1:
        c->value = IMPL_ID;
        return SBI_SUCCESS;
    case 2:
        c->value = IMPL_VERSION;
        return SBI_SUCCESS;
    case 3:
        c->value = find_extension(word(c, 0)) != NULL;
        return SBI_SUCCESS;
    case 4:
        c->value = e->mvendorid;
        return SBI_SUCCESS;
    case 5:
        c->value = e->marchid;
        return SBI_SUCCESS;
    case 6:
        c->value = e->mimpid;
        return SBI_SUCCESS;
    }
    return SBI_ERR_NOT_SUPPORTED;
}

static SbiError call_time(Call *c)
{
    if (c->fid)
        return SBI_ERR_NOT_SUPPORTED;
    c->env->set_timer(c->env->opaque, wide(c, 0));
    return SBI_SUCCESS;
}

/* The harts of a (mask, base) pair of arguments: into list of SBI_HARTS_MAX. False: some is not
   there. */
static bool mask_harts(const Call *c, unsigned n, uint16_t *list, size_t *count)
{
    uint64_t mask = word(c, n), base = word(c, n + 1);
    unsigned harts = MIN(c->env->harts, SBI_HARTS_MAX);
    *count = 0;
    if (base == ones(c)) {
        for (unsigned i = 0; i < harts; i++)
            list[(*count)++] = (uint16_t)i;
        return true;
    }
    for (unsigned bit = 0; bit < c->xlen; bit++) {
        if (!(mask >> bit & 1))
            continue;
        if (base >= harts || bit >= harts - base)
            return false;
        list[(*count)++] = (uint16_t)(base + bit);
    }
    return true;
}

static SbiError call_ipi(Call *c)
{
    g_autofree uint16_t *list = g_new(uint16_t, SBI_HARTS_MAX);
    size_t count;
    if (c->fid)
        return SBI_ERR_NOT_SUPPORTED;
    if (!mask_harts(c, 0, list, &count))
        return SBI_ERR_INVALID_PARAM;
    c->env->send_ipi(c->env->opaque, list, count);
    return SBI_SUCCESS;
}

static SbiError call_rfence(Call *c)
{
    g_autofree uint16_t *list = g_new(uint16_t, SBI_HARTS_MAX);
    size_t count;
    if (c->fid > SBI_FENCE_VMA_ASID) /* the rest is for hypervisors */
        return SBI_ERR_NOT_SUPPORTED;
    if (!mask_harts(c, 0, list, &count))
        return SBI_ERR_INVALID_PARAM;
    uint64_t start = 0, size = UINT64_MAX, asid = 0;
    if (c->fid != SBI_FENCE_I) {
        start = word(c, 2);
        size = word(c, 3);
        if ((!start && !size) || size == ones(c))
            start = 0, size = UINT64_MAX;
        else if (size > ones(c) - start)
            return SBI_ERR_INVALID_ADDRESS;
        if (c->fid == SBI_FENCE_VMA_ASID)
            asid = word(c, 4);
    }
    c->env->fence(c->env->opaque, (SbiFence)c->fid, list, count, start, size, asid);
    return SBI_SUCCESS;
}

static SbiError hart_start(Call *c)
{
    const SbiEnv *e = c->env;
    uint64_t hart = word(c, 0), addr = word(c, 1);
    if (hart >= e->harts)
        return SBI_ERR_INVALID_PARAM;
    if (addr & 1 || !e->executable(e->opaque, addr))
        return SBI_ERR_INVALID_ADDRESS;
    if (!e->hart_start(e->opaque, (unsigned)hart, addr, c->a[2]))
        return SBI_ERR_ALREADY_AVAILABLE;
    return SBI_SUCCESS;
}

static SbiError hart_suspend(Call *c)
{
    uint64_t type = word(c, 0);
    if (type == 0) {
        c->env->hart_suspend(c->env->opaque);
        return SBI_SUCCESS;
    }
    /* Platform-specific types and the non-retentive default are optional; others are reserved. */
    if ((type >= 0x10000000 && type <= 0x7fffffff) || type == 0x80000000 ||
        (type >= 0x90000000 && type <= 0xffffffff))
        return SBI_ERR_NOT_SUPPORTED;
    return SBI_ERR_INVALID_PARAM;
}

static SbiError call_hsm(Call *c)
{
    const SbiEnv *e = c->env;
    switch (c->fid) {
    case 0:
        return hart_start(c);
    case 1:
        e->hart_stop(e->opaque);
        return SBI_SUCCESS; /* never seen: the hart has stopped */
    case 2:
        if (word(c, 0) >= e->harts)
            return SBI_ERR_INVALID_PARAM;
        c->value = e->hart_state(e->opaque, (unsigned)word(c, 0));
        return SBI_SUCCESS;
    case 3:
        return hart_suspend(c);
    }
    return SBI_ERR_NOT_SUPPORTED;
}

static SbiError call_srst(Call *c)
{
    uint64_t type = word(c, 0) & UINT32_MAX, reason = word(c, 1) & UINT32_MAX;
    if (c->fid)
        return SBI_ERR_NOT_SUPPORTED;
    if (type > 2 || (reason > 1 && reason < 0xe0000000))
        return type >= 0xf0000000 ? SBI_ERR_NOT_SUPPORTED : SBI_ERR_INVALID_PARAM;
    c->env->system_reset(c->env->opaque, type != 0, reason == 1);
    return SBI_SUCCESS;
}

static SbiError console_transfer(Call *c, bool write)
{
    const SbiEnv *e = c->env;
    uint8_t buf[CONSOLE_CHUNK];
    size_t len = (size_t)MIN(word(c, 0), CONSOLE_CHUNK); /* fewer than asked for is allowed */
    uint64_t addr = wide(c, 1);
    if (!len)
        return SBI_SUCCESS;
    /* Reading what is to be written as well: input must not be taken and then lost. */
    if (!e->read_memory(e->opaque, addr, buf, len))
        return SBI_ERR_INVALID_PARAM;
    if (write) {
        c->value = e->console_write(e->opaque, buf, len);
        return SBI_SUCCESS;
    }
    size_t got = e->console_read(e->opaque, buf, len);
    if (got && !e->write_memory(e->opaque, addr, buf, got))
        return SBI_ERR_INVALID_PARAM;
    c->value = got;
    return SBI_SUCCESS;
}

static SbiError call_dbcn(Call *c)
{
    uint8_t byte = (uint8_t)c->a[0];
    switch (c->fid) {
    case 0:
        return console_transfer(c, true);
    case 1:
        return console_transfer(c, false);
    case 2:
        return c->env->console_write(c->env->opaque, &byte, 1) == 1 ? SBI_SUCCESS : SBI_ERR_FAILED;
    }
    return SBI_ERR_NOT_SUPPORTED;
}

static const Extension extensions[] = {
    { 0x10, call_base },         { 0x54494d45, call_time }, { 0x735049, call_ipi },
    { 0x52464e43, call_rfence }, { 0x48534d, call_hsm },    { 0x53525354, call_srst },
    { 0x4442434e, call_dbcn },
};

/* Legacy calls return in a0 alone. */
static int64_t legacy_set_timer(Call *c)
{
    c->env->set_timer(c->env->opaque, wide(c, 0));
    return 0;
}

static int64_t legacy_putchar(Call *c)
{
    uint8_t byte = (uint8_t)c->a[0];
    c->env->console_write(c->env->opaque, &byte, 1);
    return 0;
}

static int64_t legacy_getchar(Call *c)
{
    uint8_t byte;
    return c->env->console_read(c->env->opaque, &byte, 1) ? byte : -1;
}

static int64_t legacy_shutdown(Call *c)
{
    c->env->system_reset(c->env->opaque, false, false);
    return 0;
}

/* By extension number; the IPI and fence calls, which pass masks by virtual address, are not
   there. */
static int64_t (*const legacy[])(Call *c) = {
    [0] = legacy_set_timer, [1] = legacy_putchar, [2] = legacy_getchar, [8] = legacy_shutdown,
};

static const Extension *find_extension(uint64_t eid)
{
    static const Extension old = { 0, NULL };
    for (size_t i = 0; i < G_N_ELEMENTS(extensions); i++) {
        if (extensions[i].eid == eid)
            return &extensions[i];
    }
    return eid < G_N_ELEMENTS(legacy) && legacy[eid] ? &old : NULL;
}

void sbi_call(const SbiEnv *env, unsigned xlen, SbiRegs *regs)
{
    Call c = { .env = env, .xlen = xlen, .a = regs->a };
    c.eid = regs->a[7] & ones(&c);
    c.fid = regs->a[6] & ones(&c);
    int64_t r = SBI_ERR_NOT_SUPPORTED;
    if (c.eid <= LEGACY_LAST) {
        if (c.eid < G_N_ELEMENTS(legacy) && legacy[c.eid])
            r = legacy[c.eid](&c);
    } else {
        const Extension *x = find_extension(c.eid);
        if (x)
            r = x->call(&c);
        regs->a[1] = r == SBI_SUCCESS ? c.value : 0;
    }
    regs->a[0] = (uint64_t)r;
}
