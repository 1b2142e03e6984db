/* SPDX-License-Identifier: MIT */
/* Source to AML: declarations and statements. Grammar: ACPI 6.4 19.6; opcodes: 20.2.5. */
#include "acpi/asl_priv.h"

#include "base/bytes.h"

#include <string.h>

enum {
    OP_NAME = 0x08, OP_METHOD = 0x14, OP_IF = 0xa0, OP_ELSE = 0xa1, OP_WHILE = 0xa2,
    OP_RETURN = 0xa4, OP_BREAK = 0xa5, OP_CONTINUE = 0x9f,
    EXT_MUTEX = 0x01, EXT_REGION = 0x80, EXT_FIELD = 0x81, EXT_DEVICE = 0x82,
};
enum { DEPTH_MAX = 64 };

static void statement(Asl *s);

/* "{ ... }" */
static void body(Asl *s)
{
    asl_want(s, "{");
    if (++s->depth > DEPTH_MAX)
        asl_mistake(s, "too deep");
    while (s->kind != ASL_END && !asl_is(s, "}"))
        statement(s);
    s->depth--;
    asl_want(s, "}");
}

/* One of the words, as its place in the list. */
static uint8_t choice(Asl *s, const char *const *words)
{
    for (uint8_t i = 0; words[i]; i++)
        if (asl_take(s, words[i]))
            return i;
    asl_mistake(s, "an unknown word");
    return 0;
}

static void scope(Asl *s, bool device)
{
    if (device)
        aml_ext(s->aml, EXT_DEVICE);
    else
        aml_op(s->aml, 0x10);
    aml_open(s->aml, AML_OPEN_PACKAGE);
    asl_want(s, "(");
    asl_declared(s);
    asl_want(s, ")");
    body(s);
    aml_end(s->aml);
}

/* Method (NAME [, args [, Serialized | NotSerialized]]) */
static void method(Asl *s)
{
    static const char *const rules[] = {"NotSerialized", "Serialized", NULL};
    uint64_t args = 0;
    uint8_t rule = 0;
    aml_op(s->aml, OP_METHOD);
    aml_open(s->aml, AML_OPEN_PACKAGE);
    asl_want(s, "(");
    asl_declared(s);
    if (asl_take(s, ",")) {
        args = asl_number(s);
        if (asl_take(s, ","))
            rule = choice(s, rules);
    }
    asl_want(s, ")");
    if (args > 7)
        asl_mistake(s, "more than 7 arguments");
    aml_op(s->aml, (uint8_t)(args | (uint64_t)rule << 3));
    body(s);
    aml_end(s->aml);
}

static void name(Asl *s)
{
    aml_op(s->aml, OP_NAME);
    asl_want(s, "(");
    asl_declared(s);
    asl_want(s, ",");
    asl_expression(s);
    asl_want(s, ")");
}

/* OperationRegion (NAME, space, offset, length) */
static void region(Asl *s)
{
    static const char *const spaces[] = {"SystemMemory", "SystemIO", "PCI_Config", NULL};
    aml_ext(s->aml, EXT_REGION);
    asl_want(s, "(");
    asl_declared(s);
    asl_want(s, ",");
    aml_op(s->aml, choice(s, spaces));
    asl_want(s, ",");
    asl_expression(s);
    asl_want(s, ",");
    asl_expression(s);
    asl_want(s, ")");
}

static void field_bits(Asl *s, uint64_t bits)
{
    uint8_t len[4];
    if (bits >= 1 << 28)
        asl_mistake(s, "a field is too wide");
    aml_bytes(s->aml, len, aml_length(len, (size_t)bits, false));
}

/* The units of a Field: "NAME, bits", "Offset (bytes)", ", bits". */
static void field_units(Asl *s)
{
    uint64_t at = 0;
    while (s->kind != ASL_END && !asl_is(s, "}")) {
        uint64_t bits;
        if (asl_take(s, "Offset")) {
            asl_want(s, "(");
            uint64_t to = 8 * asl_number(s);
            asl_want(s, ")");
            if (to < at)
                asl_mistake(s, "Offset goes back");
            bits = to - at;
            if (bits) {
                aml_op(s->aml, 0);
                field_bits(s, bits);
            }
        } else {
            if (asl_is(s, ","))
                aml_op(s->aml, 0);
            else
                asl_declared(s);
            asl_want(s, ",");
            bits = asl_number(s);
            field_bits(s, bits);
        }
        at += bits;
        if (!asl_take(s, ","))
            break;
    }
}

/* Field (REGION, access, lock, update) { units } */
static void field(Asl *s)
{
    static const char *const accesses[] = {"AnyAcc", "ByteAcc", "WordAcc", "DWordAcc", "QWordAcc", NULL};
    static const char *const locks[] = {"NoLock", "Lock", NULL};
    static const char *const updates[] = {"Preserve", "WriteAsOnes", "WriteAsZeros", NULL};
    aml_ext(s->aml, EXT_FIELD);
    aml_open(s->aml, AML_OPEN_PACKAGE);
    asl_want(s, "(");
    asl_declared(s);
    asl_want(s, ",");
    unsigned flags = choice(s, accesses);
    asl_want(s, ",");
    flags |= (unsigned)choice(s, locks) << 4;
    asl_want(s, ",");
    flags |= (unsigned)choice(s, updates) << 5;
    asl_want(s, ")");
    aml_op(s->aml, (uint8_t)flags);
    asl_want(s, "{");
    field_units(s);
    asl_want(s, "}");
    aml_end(s->aml);
}

/* Mutex (NAME, level) */
static void mutex(Asl *s)
{
    aml_ext(s->aml, EXT_MUTEX);
    asl_want(s, "(");
    asl_declared(s);
    asl_want(s, ",");
    aml_op(s->aml, (uint8_t)asl_number(s));
    asl_want(s, ")");
}

static void condition_and_body(Asl *s, uint8_t op)
{
    aml_op(s->aml, op);
    aml_open(s->aml, AML_OPEN_PACKAGE);
    asl_want(s, "(");
    asl_expression(s);
    asl_want(s, ")");
    body(s);
    aml_end(s->aml);
}

static void if_else(Asl *s)
{
    condition_and_body(s, OP_IF);
    if (asl_take(s, "ElseIf")) {
        aml_op(s->aml, OP_ELSE);
        aml_open(s->aml, AML_OPEN_PACKAGE);
        if (++s->depth > DEPTH_MAX)
            asl_mistake(s, "too deep");
        if_else(s);
        s->depth--;
        aml_end(s->aml);
    } else if (asl_take(s, "Else")) {
        aml_op(s->aml, OP_ELSE);
        aml_open(s->aml, AML_OPEN_PACKAGE);
        body(s);
        aml_end(s->aml);
    }
}

static void statement(Asl *s)
{
    if (asl_take(s, "Scope"))
        scope(s, false);
    else if (asl_take(s, "Device"))
        scope(s, true);
    else if (asl_take(s, "Method"))
        method(s);
    else if (asl_take(s, "Name"))
        name(s);
    else if (asl_take(s, "OperationRegion"))
        region(s);
    else if (asl_take(s, "Field"))
        field(s);
    else if (asl_take(s, "Mutex"))
        mutex(s);
    else if (asl_take(s, "If"))
        if_else(s);
    else if (asl_take(s, "While"))
        condition_and_body(s, OP_WHILE);
    else if (asl_take(s, "Break"))
        aml_op(s->aml, OP_BREAK);
    else if (asl_take(s, "Continue"))
        aml_op(s->aml, OP_CONTINUE);
    else if (asl_take(s, "Return")) {
        aml_op(s->aml, OP_RETURN);
        asl_want(s, "(");
        if (asl_is(s, ")"))
            aml_int(s->aml, 0);
        else
            asl_expression(s);
        asl_want(s, ")");
    } else {
        asl_statement_expression(s);
    }
    asl_take(s, ";");
}

void aml_asl(Aml *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    g_autofree char *text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    Asl s = {.aml = a, .text = text, .p = text};
    asl_next(&s);
    while (s.kind != ASL_END)
        statement(&s);
}
