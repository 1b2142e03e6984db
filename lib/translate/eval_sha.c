/* SPDX-License-Identifier: MIT */
/* The meaning of the operations of SHA1 and SHA256 (FIPS 180-4). Words stand in their order. */
#include <string.h>

#include "translate/ir_priv.h"

static uint32_t rotate(uint32_t x, unsigned n) { return x >> n | x << (32 - n); }
static uint32_t choose(uint32_t x, uint32_t y, uint32_t z) { return ((y ^ z) & x) ^ z; }
static uint32_t majority(uint32_t x, uint32_t y, uint32_t z) { return (x & y) | ((x | y) & z); }
static uint32_t sigma0(uint32_t x) { return rotate(x, 7) ^ rotate(x, 18) ^ x >> 3; }
static uint32_t sigma1(uint32_t x) { return rotate(x, 17) ^ rotate(x, 19) ^ x >> 10; }

void ir_eval_sha256(const IrOp *op, IrValue *r, const IrValue *a, const IrValue *b, const IrValue *c)
{
    uint32_t x[4], y[4], w[4];
    memcpy(x, a, sizeof x);
    memcpy(y, b, sizeof y);
    memcpy(w, c, sizeof w);
    for (unsigned i = 0; i < 4; i++) {
        uint32_t t = y[3] + w[i] + choose(y[0], y[1], y[2]) + (rotate(y[0], 6) ^ rotate(y[0], 11) ^ rotate(y[0], 25));
        uint32_t u = t + majority(x[0], x[1], x[2]) + (rotate(x[0], 2) ^ rotate(x[0], 13) ^ rotate(x[0], 22));
        memmove(y + 1, y, 12);
        y[0] = x[3] + t;
        memmove(x + 1, x, 12);
        x[0] = u;
    }
    memset(r, 0, sizeof *r);
    memcpy(r, op->imm ? y : x, sizeof x);
}

static void sha1_rounds(unsigned kind, uint32_t *s, const uint32_t *w)
{
    static const uint32_t constants[] = {0x5a827999, 0x6ed9eba1, 0x8f1bbcdc};
    uint32_t e = 0; /* it is in the first word */
    for (unsigned i = 0; i < 4; i++) {
        uint32_t f = kind == 0 ? choose(s[1], s[2], s[3]) : kind == 1 ? s[1] ^ s[2] ^ s[3] : majority(s[1], s[2], s[3]);
        uint32_t t = rotate(s[0], 27) + f + e + w[i] + constants[kind];
        e = s[3];
        s[3] = s[2];
        s[2] = rotate(s[1], 2);
        s[1] = s[0];
        s[0] = t;
    }
}

void ir_eval_sha(const IrOp *op, IrValue *r, const IrValue *a, const IrValue *b)
{
    uint32_t x[4], y[4];
    memcpy(x, a, sizeof x);
    memcpy(y, b, sizeof y);
    if (op->imm == IR_SHA256_SCHEDULE0) {
        for (unsigned i = 0; i < 4; i++)
            x[i] += sigma0(i < 3 ? x[i + 1] : y[0]);
    } else if (op->imm == IR_SHA256_SCHEDULE1) {
        for (unsigned i = 0; i < 4; i++)
            x[i] += sigma1(i < 2 ? y[i + 2] : x[i - 2]);
    } else {
        sha1_rounds((unsigned)op->imm - IR_SHA1_CHOOSE, x, y);
    }
    memset(r, 0, sizeof *r);
    memcpy(r, x, sizeof x);
}
