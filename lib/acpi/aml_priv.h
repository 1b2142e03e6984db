/* SPDX-License-Identifier: MIT */
/* What the writer's files share. */
#pragma once

#include "acpi/aml.h"

struct Aml {
    GByteArray *out;
    GArray *open; /* AmlOpen, innermost last */
    char *mistake;
};

/* How a body is closed. */
typedef enum {
    AML_OPEN_PACKAGE,  /* a package length goes in front */
    AML_OPEN_BUFFER,   /* and the buffer's size behind it */
    AML_OPEN_TEMPLATE, /* the same after an end tag */
} AmlOpenKind;

typedef struct {
    guint at; /* where the length goes */
    AmlOpenKind kind;
} AmlOpen;

void aml_op(Aml *a, uint8_t op);
void aml_ext(Aml *a, uint8_t op); /* 0x5b op */
void aml_insert(Aml *a, guint at, const void *data, guint len);
void aml_open(Aml *a, AmlOpenKind kind);
/* A package length that says len and, if own is set, counts itself too; returns its bytes. */
unsigned aml_length(uint8_t out[4], size_t len, bool own);
/* An integer's bytes, at most 9. */
unsigned aml_number(uint8_t out[9], uint64_t value);
/* A name's bytes; len of text. */
void aml_path(Aml *a, const char *text, size_t len);
uint32_t aml_eisa_number(Aml *a, const char *id);
