/* SPDX-License-Identifier: MIT */
/* Kinds of what dot.c and crypto3.c do for trans_ext.c. */
#pragma once

#include "guest/arm/half_priv.h"

/* HELPER_DOT: (kind, q << 16 | rd | rn << 5 | rm << 10, an element of m or DOT_EACH, 0). */
#define DOT_EACH 255
typedef enum {
    DOT_SMMLA, DOT_UMMLA, DOT_USMMLA,
    DOT_BFDOT, DOT_BFMMLA, DOT_BFMLALB, DOT_BFMLALT, DOT_BFCVT, DOT_BFCVTN, DOT_BFCVTN2,
    DOT_FMLAL, DOT_FMLSL, DOT_FMLAL2, DOT_FMLSL2,
    DOT_FCADD,                    /* + log2 of the lanes - 1, + 4 by 270 degrees */
    DOT_FCMLA = DOT_FCADD + 8,    /* + log2 of the lanes - 1, + 4 * the rotation */
    DOT_FRINT = DOT_FCMLA + 16,   /* + 1 if doubles, + 2 exact, + 4 for 64 bits, + 8 a scalar */
} ArmDot;

/* HELPER_CRYPTO3: (kind, the instruction, 0, 0) */
typedef enum {
    CRYPTO_SM3PARTW1, CRYPTO_SM3PARTW2, CRYPTO_SM3SS1, CRYPTO_SM3TT1A, CRYPTO_SM3TT1B, CRYPTO_SM3TT2A, CRYPTO_SM3TT2B,
    CRYPTO_SM4EKEY, CRYPTO_SM4E,
} ArmCrypto3;
