/* SPDX-License-Identifier: MIT */
/*
 * Vectors of SVE as Linux has them: the record in signal frames (struct sve_context of asm/sigcontext.h),
 * prctl(PR_SVE_SET_VL), and the length across execve (Documentation/arm64/sve.rst). A thread that has not
 * used SVE has a record without registers.
 */
#include <string.h>

#include "linux/aarch64_priv.h"

#define SVE_MAGIC 0x53564501u
enum { SET_VL = 50, GET_VL = 51, INHERIT = 1 << 17, ONEXEC = 1 << 18, HEAD = 16 };

typedef struct SveRecord { /* struct sve_context */
    uint32_t magic, size;
    uint16_t vl, flags, reserved[2];
} SveRecord;
_Static_assert(sizeof(SveRecord) == HEAD, "registers follow it");

/* Registers may differ from those of a thread that never used SVE. */
static bool in_use(const ArmCpu *cpu)
{
    return cpu->z_used || cpu->vl == 16;
}

size_t aarch64_sve_whole(unsigned vl)
{
    return HEAD + (32 * vl + 17 * vl / 8 + 15) / 16 * 16;
}

size_t aarch64_sve_size(const ArmCpu *cpu)
{
    return !cpu->props.sve ? 0 : in_use(cpu) ? aarch64_sve_whole(cpu->vl) : HEAD;
}

void aarch64_sve_save(ArmCpu *cpu, uint8_t *record)
{
    SveRecord head = {.magic = SVE_MAGIC, .size = (uint32_t)aarch64_sve_size(cpu), .vl = cpu->vl};
    memcpy(record, &head, sizeof head);
    if (!in_use(cpu))
        return;
    arm_sve_settle(&cpu->base);
    record += HEAD;
    for (unsigned i = 0; i < 32; i++, record += cpu->vl)
        memcpy(record, cpu->v[i], cpu->vl);
    for (unsigned i = 0; i < 17; i++, record += cpu->vl / 8) /* FFR is the last */
        memcpy(record, cpu->p[i], cpu->vl / 8);
}

bool aarch64_sve_restore(ArmCpu *cpu, const uint8_t *record, size_t size)
{
    SveRecord head;
    cpu->z_stale = UINT32_MAX;
    arm_sve_settle(&cpu->base);
    memset(cpu->p, 0, sizeof cpu->p);
    if (!record)
        return true;
    memcpy(&head, record, sizeof head);
    if (size < HEAD || head.vl != cpu->vl || !cpu->props.sve)
        return false;
    if (size == HEAD)
        return true;
    if (size < aarch64_sve_whole(cpu->vl))
        return false;
    cpu->z_used = true;
    record += HEAD;
    for (unsigned i = 0; i < 32; i++, record += cpu->vl)
        memcpy(cpu->v[i], record, cpu->vl);
    for (unsigned i = 0; i < 17; i++, record += cpu->vl / 8)
        memcpy(cpu->p[i], record, cpu->vl / 8);
    return true;
}

/* ---- lengths --------------------------------------------------------------------------- */

static int64_t set_vl(ArmCpu *cpu, uint64_t argument)
{
    uint64_t vl = argument & 0xffff, flags = argument & ~UINT64_C(0xffff);
    if (flags & ~(uint64_t)(INHERIT | ONEXEC) || vl < 16 || vl > 8192 || vl % 16)
        return -EINVAL;
    vl = arm_sve_length(&cpu->props, (unsigned)vl);
    cpu->vl_onexec = (uint16_t)(flags ? vl : 0);
    cpu->vl_inherit = flags & INHERIT;
    if (!(flags & ONEXEC))
        arm_sve_set_vl(&cpu->base, (unsigned)vl);
    return (int64_t)vl | (flags & INHERIT);
}

bool aarch64_prctl(LinuxThread *t, const uint64_t a[6], int64_t *result)
{
    ArmCpu *cpu = (ArmCpu *)(void *)t->cpu;
    if ((int)a[0] != SET_VL && (int)a[0] != GET_VL)
        return false;
    if (!cpu->props.sve)
        *result = -EINVAL;
    else
        *result = (int)a[0] == SET_VL ? set_vl(cpu, a[1]) : cpu->vl | (cpu->vl_inherit ? INHERIT : 0);
    return true;
}

/* A model that knows no such thing is not asked. */
char *aarch64_exec_cpu(TranslateCpu *base, const char *spec)
{
    const ArmCpu *cpu = (const ArmCpu *)(const void *)base;
    const char *given = spec ? spec : "max", *old = strstr(given, ",sve-exec-length=");
    if (!old && !cpu->vl_onexec)
        return NULL;
    g_autofree char *plain = old ? g_strndup(given, (gsize)(old - given)) : g_strdup(given);
    if (!cpu->vl_onexec)
        return g_steal_pointer(&plain);
    return g_strdup_printf("%s,sve-exec-length=%u,sve-exec-inherit=%s", plain, cpu->vl_onexec, cpu->vl_inherit ? "on" : "off");
}
