/* SPDX-License-Identifier: MIT */
/*
 * For the tests of floating point as other ISAs than RISC-V have it: operands
 * that lie at all the edges, lib/softfloat set up with the guest's rules as the
 * oracle, and a count of the operations that compiled code left to C.
 *
 * Slot `order` is the mode key; its bits mean what the test says. Singles lie in
 * the low half of the f registers.
 */
#pragma once

#include "softfloat/softfloat.h"
#include "translate/test_guest.h"

enum { OP_IN_C = 16 }; /* not in line, for now */

static unsigned fp_modes = 1; /* modes are 0 to fp_modes - 1 */
static uint32_t fp_mode_inexact; /* bit of a mode in which the flag for inexact results is set */
static bool fp_plain;         /* only operands with ordinary results */
static bool fp_doubles; /* registers hold doubles, whatever bit 0 of an instruction's a says */

/* What softfloat must know, of a state: set by the test. */
static void (*fp_rules)(const State *s, SfEnv *env);

/* A random encoding of a float with that many bits of exponent and fraction. */
static uint64_t fp_random(GRand *r, unsigned exp_bits, unsigned frac_bits)
{
    uint64_t max = bits_mask(exp_bits), bias = max >> 1, e, f = g_rand_int(r);
    uint64_t sign = g_rand_boolean(r), quiet = UINT64_C(1) << (frac_bits - 1);
    static const int8_t near[] = {0, 1, 2, 5, 31, 32, 62, 63, 64, -1, -2, -30};
    f = (f << 32 | g_rand_int(r)) & bits_mask(frac_bits);
    if (g_rand_int_range(r, 0, 3) == 0) /* few bits: exact results, ties */
        f = g_rand_boolean(r) ? 0 : f & ~bits_mask(frac_bits - 5);
    switch (g_rand_int_range(r, 0, 16)) {
    case 0: e = f = 0; break;                                        /* zero */
    case 1: e = max, f = 0; break;                                   /* infinity */
    case 2: e = max, f |= quiet; break;                              /* quiet NaN */
    case 3: e = max, f = (f & ~quiet) | 1; break;                    /* signalling NaN */
    case 4: e = 0; break;                                            /* subnormal */
    case 5: e = 1, f = g_rand_boolean(r) ? 0 : f >> (frac_bits - 2); break; /* smallest normal */
    case 6: e = 0, f = bits_mask(frac_bits); break;                  /* largest subnormal */
    case 7: e = max - 1; break;
    case 8: e = bias >> 1, f = g_rand_boolean(r) ? 0 : f; break;     /* squares are tiny */
    case 9: e = (bias + 1) >> 1; break;
    case 10: e = g_rand_int(r) % max; break;
    default: e = bias + (uint64_t)(int64_t)near[g_rand_int_range(r, 0, G_N_ELEMENTS(near))]; break;
    }
    return sign << (exp_bits + frac_bits) | e << frac_bits | f;
}

/* Of magnitude 2 to 64, with few bits set. */
static uint64_t fp_random_plain(GRand *r, bool single)
{
    double x = g_rand_int_range(r, 32, 1024) / 16.0;
    float y = (float)x;
    uint64_t v = 0;
    if (single)
        memcpy(&v, &y, 4);
    else
        memcpy(&v, &x, 8);
    return v;
}

/*
 * Operands whose product, or whose value as a single, is less than the smallest normal and rounds
 * to it even with an unbounded exponent: tiny before rounding and not after.
 */
static void fp_tiny(State *s, GRand *r, bool single)
{
    unsigned n = (unsigned)g_rand_int_range(r, 0, 8), m = (unsigned)g_rand_int_range(r, 0, 8);
    uint64_t sign = g_rand_boolean(r) ? UINT64_C(1) << (single ? 31 : 63) : 0;
    s->regs.f[n] = sign | (single ? 0x00800001 : UINT64_C(0x0010000000000001));
    s->regs.f[m] = single ? 0x3f7ffffe : UINT64_C(0x3feffffffffffffe);
    if (!single)
        s->regs.f[g_rand_int_range(r, 0, 8)] = sign | UINT64_C(0x380fffffffffff00);
}

static void fp_prepare(State *s, GRand *r)
{
    bool single = !fp_doubles && g_rand_boolean(r);
    for (unsigned i = 0; i < 8; i++) {
        bool upper = g_rand_int_range(r, 0, 4) == 0;
        if (fp_plain)
            s->regs.f[i] = fp_random_plain(r, single);
        else if (single)
            s->regs.f[i] = fp_random(r, 8, 23) | (upper ? (uint64_t)g_rand_int(r) << 32 : 0);
        else
            s->regs.f[i] = fp_random(r, 11, 52);
    }
    if (!fp_plain && g_rand_int_range(r, 0, 3) == 0) /* equal ones */
        s->regs.f[g_rand_int_range(r, 0, 8)] = s->regs.f[g_rand_int_range(r, 0, 8)];
    if (!fp_plain && g_rand_int_range(r, 0, 8) == 0)
        fp_tiny(s, r, single);
    s->regs.order = (uint32_t)g_rand_int_range(r, 0, (gint32)fp_modes);
    s->fp_round = (unsigned)g_rand_int_range(r, 0, 4);
    s->fp_flags = g_rand_boolean(r) ? 0 : g_rand_int(r) & 31;
    if (s->regs.order & fp_mode_inexact)
        s->fp_flags |= TRANSLATE_FP_INEXACT;
    if (test_guests[0].fp.denormal_flag)
        s->fp_flags ^= g_rand_int(r) & TRANSLATE_FP_DENORMAL;
}

/* The environment of softfloat for a state. */
static inline SfEnv fp_env(const State *s)
{
    SfEnv env = {.round = (uint8_t)s->fp_round};
    fp_rules(s, &env);
    return env;
}

/* Modes whose operations are all done in C. */
static bool (*fp_mode_in_c)(unsigned mode);

/* With ordinary operands no operation of compiled code leaves for C. */
static void fp_test_count(void)
{
    fp_plain = true;
    for (unsigned op = 0; op < test_n_ops; op++) {
        Machine m = machine_new(TRANSLATE_JIT, true);
        g_autoptr(GRand) r = g_rand_new_with_seed(op);
        State before, got;
        for (unsigned n = 0; n < 20; n++) {
            Insn i = random_insn(op, r);
            fix_branches(&i, 1);
            uint64_t at = machine_put(&m, m.code, i);
            at = machine_put(&m, at, insn_stop());
            machine_put(&m, at, insn_stop());
            random_state(&before, &m, r);
            /* of one width: singles are no plain doubles */
            for (unsigned k = 0; k < 8; k++)
                before.regs.f[k] = fp_random_plain(r, !fp_doubles && !(i.a & 1));
            for (unsigned k = 0; k < 8; k++) /* larger ones have no conversion on the host */
                before.regs.r[k] &= INT64_MAX;
            if (fp_mode_in_c && fp_mode_in_c(before.regs.order))
                continue;
            m.cpu->core.count.evals = 0;
            run_machine(&m, &before, &got);
            if (m.cpu->core.count.evals && !(test_ops[op].flags & OP_IN_C)) {
                print_program(&before, &i, 1);
                g_printerr("%s: left to C\n", test_ops[op].name);
                g_test_fail();
                break;
            }
        }
        machine_free(&m);
    }
    fp_plain = false;
}

/* Every operation by itself, on more operands than test_each tries, as compiled. */
static void fp_test_much(void)
{
    Machine m = machine_new(TRANSLATE_JIT, true);
    for (unsigned op = 0; op < test_n_ops; op++) {
        g_autoptr(GRand) r = g_rand_new_with_seed(77 + op);
        for (unsigned e = 0; e < 40; e++) {
            Insn i = random_insn(op, r);
            fix_branches(&i, 1);
            if (!check_program(&m, "the compiler", &i, 1, 500, r)) {
                g_printerr("operation %s\n", test_ops[op].name);
                g_test_fail();
                break;
            }
        }
    }
    machine_free(&m);
}

static int fp_main(int argc, char **argv, const Op *ops, unsigned n, const TranslateFp *fp,
                   void (*rules)(uint64_t mode, TranslateFp *fp))
{
    g_test_init(&argc, &argv, NULL);
    test_guest_setup(ops, n);
    for (unsigned i = 0; i < 2; i++) {
        test_guests[i].fp = *fp;
        test_guests[i].fp_rules = rules;
    }
    test_prepare = fp_prepare;
    g_test_add_func("/translate/fp/each", test_each);
    g_test_add_func("/translate/fp/much", fp_test_much);
    g_test_add_func("/translate/fp/programs", test_programs);
    g_test_add_func("/translate/fp/count", fp_test_count);
    return g_test_run();
}
