/* SPDX-License-Identifier: MIT */
/* Between the two halves of the ASL reader: words and expressions (asl_expr.c), statements (asl.c).
 */
#pragma once

#include "acpi/aml_priv.h"

typedef enum { ASL_END, ASL_NAME, ASL_NUMBER, ASL_STRING, ASL_SIGN } AslKind;

typedef struct {
    Aml *aml;
    const char *text, *p; /* p: behind the word */
    AslKind kind;         /* of the word in hand */
    const char *word;
    size_t len;
    uint64_t number;
    unsigned depth;
} Asl;

void asl_next(Asl *s);
bool asl_is(const Asl *s, const char *text);
/* Takes that word, if it is in hand. */
bool asl_take(Asl *s, const char *text);
/* The same; a mistake if it is not. */
void asl_want(Asl *s, const char *text);
/* Remembers "what, at ..." and ends the reading. */
void asl_mistake(Asl *s, const char *what);
/* A constant number, as flags and lengths have to be. */
uint64_t asl_number(Asl *s);
/* A name that is being declared. */
void asl_declared(Asl *s);
void asl_expression(Asl *s);
/* What an assignment goes to, in place of an expression's own value; from behind the name's start.
 */
void asl_statement_expression(Asl *s);
