/* SPDX-License-Identifier: MIT */
/* The meaning of the operations of SHA1 and SHA256 (FIPS 180-4). Words stand in their order. */
#include <string.h>

#include "translate/ir_priv.h"

static uint32_t rotate(uint32_t x, unsigned n) { return x >> n | x << (32 - n); }
static uint32_t choose(uint32_t x, uint32_t y, uint32_t z) { return ((y ^ z) & x) ^ z; }
static uint32_t majority(uint32_t x, uint32_t y, uint32_t z) { return (x & y) | ((x | y) & z); }
static uint32_t sigma0(uint32_t x) { return rotate(x, 7) ^ rotate(x, 18) ^ x >> 3; }
static uint32_t sigma1(uint32_t x) { return rotate(x, 17) ^ rotate(x, 19) ^ x >> 10; }

/* h becomes the next a, d the next e; names turn instead of values. */
static inline void round256(uint32_t a, uint32_t b, uint32_t c, uint32_t *d, uint32_t e, uint32_t f, uint32_t g,
                            uint32_t *h, uint32_t w)
{
    uint32_t t = *h + w + choose(e, f, g) + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25));
    *d += t;
    *h = t + majority(a, b, c) + (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22));
}

/* A host without instructions for it comes here often. */
void ir_eval_sha256(const IrOp *op, IrValue *r, const IrValue *a, const IrValue *b, const IrValue *c)
{
    uint32_t x[4], y[4], w[4];
    memcpy(x, a, sizeof x);
    memcpy(y, b, sizeof y);
    memcpy(w, c, sizeof w);
    round256(x[0], x[1], x[2], &x[3], y[0], y[1], y[2], &y[3], w[0]);
    round256(y[3], x[0], x[1], &x[2], x[3], y[0], y[1], &y[2], w[1]);
    round256(y[2], y[3], x[0], &x[1], x[2], x[3], y[0], &y[1], w[2]);
    round256(y[1], y[2], y[3], &x[0], x[1], x[2], x[3], &y[0], w[3]);
    memset(r, 0, sizeof *r);
    memcpy(r, op->imm ? x : y, sizeof x);
}

static inline void round1(unsigned kind, uint32_t a, uint32_t *b, uint32_t c, uint32_t d, uint32_t *e, uint32_t w)
{
    static const uint32_t constants[] = {0x5a827999, 0x6ed9eba1, 0x8f1bbcdc};
    uint32_t f = kind == 0 ? choose(*b, c, d) : kind == 1 ? *b ^ c ^ d : majority(*b, c, d);
    *e += rotate(a, 27) + f + w + constants[kind];
    *b = rotate(*b, 2);
}

/* E is in the first word. */
static void sha1_rounds(unsigned kind, uint32_t *s, const uint32_t *w)
{
    uint32_t a = s[0], b = s[1], c = s[2], d = s[3], e = 0;
    round1(kind, a, &b, c, d, &e, w[0]);
    round1(kind, e, &a, b, c, &d, w[1]);
    round1(kind, d, &e, a, b, &c, w[2]);
    round1(kind, c, &d, e, a, &b, w[3]);
    s[0] = b;
    s[1] = c;
    s[2] = d;
    s[3] = e;
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
