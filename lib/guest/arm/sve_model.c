/* SPDX-License-Identifier: MIT */
/*
 * Vector lengths of SVE as QEMU names them: sve128=on and so on; with sve-max-vq=N all up to N times 128
 * bits; and the one that a program starts with. Model max has SVE, but programs are not told (HWCAP) unless
 * one of these properties says that somebody wants it: the C library's functions for strings made of it take
 * longer here than others, while programs that need it do not ask.
 */
#include "base/error.h"
#include "base/option.h"
#include "guest/arm/arm_priv.h"

unsigned arm_sve_length(const ArmProps *p, unsigned bytes)
{
    for (unsigned n = MIN(bytes / 16, 16); n > 0; n--)
        if (p->sve_lengths >> (n - 1) & 1)
            return 16 * n;
    return 16 * ((unsigned)__builtin_ctz(p->sve_lengths | 1u << 16) + 1);
}

bool arm_sve_configure(ArmCpu *cpu, Options *options, ArmProps *p, GError **error)
{
    bool named = options_get(options, "sve") || (p->sve2 && options_get(options, "sve2"));
    uint64_t most = 0, start = p->sve_default, exec = 0;
    uint16_t on = 0, off = 0;
    for (unsigned n = 0; n < 16; n++) {
        g_autofree char *key = g_strdup_printf("sve%u", 128 * (n + 1));
        bool is = false;
        const char *said = options_get(options, key);
        if (said && !options_get_bool(options, key, &is, error))
            return false;
        named |= said != NULL;
        on |= (uint16_t)((said && is) << n);
        off |= (uint16_t)((said && !is) << n);
    }
    if (!options_get_number(options, "sve-max-vq", 1, 16, &most, error) ||
        !options_get_number(options, "sve-default-vector-length", 16, 8192, &start, error))
        return false;
    named |= most || start != p->sve_default;
    p->sve_shown = p->sve && (p->sve_shown || named);
    p->sve2_shown = p->sve_shown && p->sve2;
    p->svesha3_shown = p->sve2_shown && p->sha3;
    p->svei8mm_shown = p->sve2_shown && p->i8mm;
    if (start % 16)
        return fail_usage(error, "sve-default-vector-length: %u is no multiple of 16", (unsigned)start);
    if (most)
        p->sve_lengths = (uint16_t)bits_mask((unsigned)most);
    else if (on) /* and the powers of two below */
        p->sve_lengths = on | (0x808b & (uint16_t)bits_mask(32u - (unsigned)__builtin_clz(on)));
    p->sve_lengths &= (uint16_t)~off;
    if (p->sve && !p->sve_lengths)
        return fail_usage(error, "SVE without a vector length");
    p->sve_default = (uint16_t)MIN(start, 256);
    /* what execve hands on: see prctl(PR_SVE_SET_VL) */
    if (!options_get_number(options, "sve-exec-length", 16, 256, &exec, error) ||
        !options_get_bool(options, "sve-exec-inherit", &cpu->vl_inherit, error))
        return false;
    cpu->vl_onexec = cpu->vl_inherit ? (uint16_t)exec : 0;
    if (p->sve)
        arm_sve_set_vl(&cpu->base, arm_sve_length(p, exec ? (unsigned)exec : p->sve_default));
    return true;
}

