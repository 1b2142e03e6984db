/* SPDX-License-Identifier: MIT */
/*
 * Source to AML: words and expressions. AML is written operator first, source has it between the
 * operands; so an operator's bytes are put in front of what is already there once it is seen. An
 * operator that can store its result ends in a target, NULL at first; an assignment from one
 * replaces that target and needs no Store. What is written like a call keeps its NULL target, as
 * iasl has it.
 */
#include "acpi/asl_priv.h"

#include "base/bytes.h"

#include <string.h>

enum {
    OP_STORE = 0x70, OP_PACKAGE = 0x12, OP_BUFFER = 0x11, OP_INDEX = 0x88, OP_NOT = 0x80,
    OP_LNOT = 0x92, OP_INCREMENT = 0x75, OP_DECREMENT = 0x76, OP_LOCAL = 0x60, OP_ARG = 0x68,
    OP_ONES = 0xff, EXT_DEBUG = 0x31,
};
enum { DEPTH_MAX = 64 };

/* Whether what was parsed ends in a NULL target. */
typedef bool Targets;

static Targets expression(Asl *s, int level);

/* ---- Words ------------------------------------------------------------------------ */

static bool name_char(char c)
{
    return g_ascii_isalnum(c) || c == '_' || c == '.';
}

static size_t sign_len(const char *p)
{
    static const char *const signs[] = {"<<=", ">>=", "<<", ">>", "<=", ">=", "==", "!=", "&&", "||",
                                        "++", "--", "+=", "-=", "*=", "&=", "|=", "^=", NULL};
    for (const char *const *sign = signs; *sign; sign++)
        if (g_str_has_prefix(p, *sign))
            return strlen(*sign);
    return 1;
}

void asl_next(Asl *s)
{
    while (g_ascii_isspace(*s->p))
        s->p++;
    const char *p = s->word = s->p;
    if (!*p) {
        s->kind = ASL_END;
    } else if (*p == '"') {
        const char *end = strchr(p + 1, '"');
        s->kind = ASL_STRING;
        s->word = p + 1;
        s->len = end ? (size_t)(end - p) - 1 : strlen(p + 1);
        s->p = end ? end + 1 : p + strlen(p);
        return;
    } else if (g_ascii_isdigit(*p)) {
        char *end;
        s->kind = ASL_NUMBER;
        s->number = g_ascii_strtoull(p, &end, 0);
        s->p = end;
    } else if (name_char(*p) || *p == '\\' || (*p == '^' && (name_char(p[1]) || p[1] == '^'))) {
        s->kind = ASL_NAME;
        while (*s->p == '\\' || *s->p == '^')
            s->p++;
        while (name_char(*s->p))
            s->p++;
    } else {
        s->kind = ASL_SIGN;
        s->p += sign_len(p);
    }
    s->len = (size_t)(s->p - p);
}

bool asl_is(const Asl *s, const char *text)
{
    return (s->kind == ASL_NAME || s->kind == ASL_SIGN) && strlen(text) == s->len &&
           memcmp(s->word, text, s->len) == 0;
}

bool asl_take(Asl *s, const char *text)
{
    if (!asl_is(s, text))
        return false;
    asl_next(s);
    return true;
}

void asl_mistake(Asl *s, const char *what)
{
    aml_mistake(s->aml, "%s at '%.40s'", what, s->word);
    s->p = s->text + strlen(s->text);
    s->kind = ASL_END;
    s->word = s->p;
}

void asl_want(Asl *s, const char *text)
{
    if (!asl_take(s, text)) {
        g_autofree char *what = g_strdup_printf("'%s' is wanted", text);
        asl_mistake(s, what);
    }
}

uint64_t asl_number(Asl *s)
{
    uint64_t value = s->number;
    if (s->kind != ASL_NUMBER) {
        asl_mistake(s, "a number is wanted");
        return 0;
    }
    asl_next(s);
    return value;
}

void asl_declared(Asl *s)
{
    if (s->kind != ASL_NAME) {
        asl_mistake(s, "a name is wanted");
        return;
    }
    aml_path(s->aml, s->word, s->len);
    asl_next(s);
}

/* ---- Operands ----------------------------------------------------------------------- */

/* What is called like a method. "w": a number as two bytes, "n": a name declared, the rest
   operands; a final "t" is a target. */
typedef struct {
    const char *name;
    uint8_t op;
    bool ext;
    const char *operands;
} Builtin;

static const Builtin builtins[] = {
    {"Acquire", 0x23, true, "ow"},
    {"Release", 0x27, true, "o"},
    {"Notify", 0x86, false, "oo"},
    {"SizeOf", 0x87, false, "o"},
    {"DerefOf", 0x83, false, "o"},
    {"RefOf", 0x71, false, "o"},
    {"ObjectType", 0x8e, false, "o"},
    {"CondRefOf", 0x12, true, "ot"},
    {"ToBuffer", 0x96, false, "ot"},
    {"ToHexString", 0x98, false, "ot"},
    {"ToInteger", 0x99, false, "ot"},
    {"Concatenate", 0x73, false, "oot"},
    {"ConcatenateResTemplate", 0x84, false, "oot"},
    {"CreateByteField", 0x8c, false, "oon"},
    {"CreateWordField", 0x8b, false, "oon"},
    {"CreateDWordField", 0x8a, false, "oon"},
    {"CreateQWordField", 0x8f, false, "oon"},
    {"CreateField", 0x13, true, "ooon"},
    {"Sleep", 0x22, true, "o"},
    {"Stall", 0x21, true, "o"},
};

static void builtin(Asl *s, const Builtin *b)
{
    if (b->ext)
        aml_ext(s->aml, b->op);
    else
        aml_op(s->aml, b->op);
    asl_want(s, "(");
    for (const char *o = b->operands; *o; o++) {
        if (*o == 't' && !asl_take(s, ",")) {
            aml_op(s->aml, 0);
            break;
        }
        if (o > b->operands && *o != 't')
            asl_want(s, ",");
        if (*o == 'w') {
            uint8_t word[2];
            st_le16(word, (uint16_t)asl_number(s));
            aml_bytes(s->aml, word, sizeof word);
        } else if (*o == 'n') {
            asl_declared(s);
        } else {
            expression(s, 0);
        }
    }
    asl_want(s, ")");
}

/* "Package (n) { elements }": n may be left out. */
static void package(Asl *s)
{
    uint64_t given = 0;
    unsigned count = 0;
    aml_op(s->aml, OP_PACKAGE);
    aml_open(s->aml, AML_OPEN_PACKAGE);
    guint at = s->aml->out->len;
    if (asl_take(s, "(")) {
        given = s->kind == ASL_NUMBER ? asl_number(s) : 0;
        asl_want(s, ")");
    }
    aml_op(s->aml, 0);
    asl_want(s, "{");
    while (s->kind != ASL_END && !asl_is(s, "}")) {
        expression(s, 0);
        count++;
        if (!asl_take(s, ","))
            break;
    }
    asl_want(s, "}");
    if (MAX(given, count) > 255)
        asl_mistake(s, "a package has more than 255 elements");
    s->aml->out->data[at] = (uint8_t)MAX(given, count);
    aml_end(s->aml);
}

/* "Buffer (n) { bytes }" */
static void buffer(Asl *s)
{
    uint64_t given = 0, count = 0;
    uint8_t size[9];
    aml_op(s->aml, OP_BUFFER);
    aml_open(s->aml, AML_OPEN_PACKAGE);
    guint at = s->aml->out->len;
    if (asl_take(s, "(")) {
        given = s->kind == ASL_NUMBER ? asl_number(s) : 0;
        asl_want(s, ")");
    }
    asl_want(s, "{");
    while (s->kind == ASL_NUMBER) {
        aml_op(s->aml, (uint8_t)asl_number(s));
        count++;
        if (!asl_take(s, ","))
            break;
    }
    asl_want(s, "}");
    aml_insert(s->aml, at, size, aml_number(size, MAX(given, count)));
    aml_end(s->aml);
}

/* ToUUID ("...") and EisaId ("...") are constants. */
static void text_constant(Asl *s, bool uuid)
{
    asl_want(s, "(");
    g_autofree char *text = g_strndup(s->word, s->len);
    if (s->kind != ASL_STRING) {
        asl_mistake(s, "a string is wanted");
        return;
    }
    if (uuid) {
        uint8_t head[] = {OP_BUFFER, 19, 0x0a, 16}, bytes[16];
        if (!aml_uuid(text, bytes))
            asl_mistake(s, "this is no UUID");
        aml_bytes(s->aml, head, sizeof head);
        aml_bytes(s->aml, bytes, sizeof bytes);
    } else {
        aml_eisaid(s->aml, text);
    }
    asl_next(s);
    asl_want(s, ")");
}

static void call(Asl *s)
{
    asl_want(s, "(");
    while (s->kind != ASL_END && !asl_is(s, ")")) {
        expression(s, 0);
        if (!asl_take(s, ","))
            break;
    }
    asl_want(s, ")");
}

/* Local0..7 and Arg0..6. */
static bool numbered(Asl *s, const char *prefix, char last, uint8_t op)
{
    size_t n = strlen(prefix);
    if (s->len != n + 1 || memcmp(s->word, prefix, n) || s->word[n] < '0' || s->word[n] > last)
        return false;
    aml_op(s->aml, (uint8_t)(op + s->word[n] - '0'));
    asl_next(s);
    return true;
}

static void word_operand(Asl *s)
{
    for (size_t i = 0; i < G_N_ELEMENTS(builtins); i++) {
        if (asl_take(s, builtins[i].name)) {
            builtin(s, &builtins[i]);
            return;
        }
    }
    if (asl_take(s, "Zero"))
        aml_op(s->aml, 0);
    else if (asl_take(s, "One"))
        aml_op(s->aml, 1);
    else if (asl_take(s, "Ones"))
        aml_op(s->aml, OP_ONES);
    else if (asl_take(s, "Debug"))
        aml_ext(s->aml, EXT_DEBUG);
    else if (asl_take(s, "Package"))
        package(s);
    else if (asl_take(s, "Buffer"))
        buffer(s);
    else if (asl_take(s, "ToUUID"))
        text_constant(s, true);
    else if (asl_take(s, "EisaId"))
        text_constant(s, false);
    else if (!numbered(s, "Local", '7', OP_LOCAL) && !numbered(s, "Arg", '6', OP_ARG)) {
        asl_declared(s);
        if (asl_is(s, "("))
            call(s);
    }
}

static Targets operand(Asl *s)
{
    guint at = s->aml->out->len;
    Targets targets = false;
    if (s->kind == ASL_NUMBER) {
        aml_int(s->aml, asl_number(s));
    } else if (s->kind == ASL_STRING) {
        g_autofree char *text = g_strndup(s->word, s->len);
        aml_string(s->aml, text);
        asl_next(s);
    } else if (asl_take(s, "(")) {
        targets = expression(s, 0);
        asl_want(s, ")");
    } else if (asl_take(s, "!")) {
        aml_op(s->aml, OP_LNOT);
        operand(s);
    } else if (asl_take(s, "~")) {
        aml_op(s->aml, OP_NOT);
        operand(s);
        aml_op(s->aml, 0);
        targets = true;
    } else if (s->kind == ASL_NAME) {
        word_operand(s);
    } else {
        asl_mistake(s, "an operand is wanted");
    }
    while (asl_take(s, "[")) {
        const uint8_t op = OP_INDEX;
        aml_insert(s->aml, at, &op, 1);
        expression(s, 0);
        asl_want(s, "]");
        aml_op(s->aml, 0);
        targets = true;
    }
    return targets;
}

/* ---- Operators ------------------------------------------------------------------------ */

/* From the loosest. len 2: a LNot in front. targets: zero to two NULL targets behind. */
static const struct {
    const char *sign;
    int level;
    uint8_t op[2], len, targets;
} operators[] = {
    {"||", 1, {0x91}, 1, 0},       {"&&", 2, {0x90}, 1, 0},       {"|", 3, {0x7d}, 1, 1},
    {"^", 4, {0x7f}, 1, 1},        {"&", 5, {0x7b}, 1, 1},        {"==", 6, {0x93}, 1, 0},
    {"!=", 6, {0x92, 0x93}, 2, 0}, {"<", 7, {0x95}, 1, 0},        {">", 7, {0x94}, 1, 0},
    {"<=", 7, {0x92, 0x94}, 2, 0}, {">=", 7, {0x92, 0x95}, 2, 0}, {"<<", 8, {0x79}, 1, 1},
    {">>", 8, {0x7a}, 1, 1},       {"+", 9, {0x72}, 1, 1},        {"-", 9, {0x74}, 1, 1},
    {"*", 10, {0x77}, 1, 1},       {"/", 10, {0x78}, 1, 2},       {"%", 10, {0x85}, 1, 1},
};

/* An expression of operators that bind at least as tight as level. */
static Targets expression(Asl *s, int level)
{
    guint at = s->aml->out->len;
    if (++s->depth > DEPTH_MAX) {
        asl_mistake(s, "too deep");
        s->depth--;
        return false;
    }
    Targets targets = operand(s);
    for (size_t i = 0; i < G_N_ELEMENTS(operators); i++) {
        if (operators[i].level < level || !asl_take(s, operators[i].sign))
            continue;
        aml_insert(s->aml, at, operators[i].op, operators[i].len);
        expression(s, operators[i].level + 1);
        for (unsigned t = 0; t < operators[i].targets; t++)
            aml_op(s->aml, 0);
        targets = operators[i].targets > 0;
        i = (size_t)-1;
    }
    s->depth--;
    return targets;
}

void asl_expression(Asl *s)
{
    expression(s, 0);
}

/* "X = e": e with X as its target, or Store (e, X). */
static void assign(Asl *s, guint at)
{
    guint len = s->aml->out->len - at;
    g_autofree uint8_t *target = g_memdup2(s->aml->out->data + at, len);
    g_byte_array_set_size(s->aml->out, at);
    if (expression(s, 0)) {
        g_byte_array_set_size(s->aml->out, s->aml->out->len - 1);
    } else {
        const uint8_t op = OP_STORE;
        aml_insert(s->aml, at, &op, 1);
    }
    aml_bytes(s->aml, target, len);
}

/* A call, "X = e", "X |= e", "X++". */
void asl_statement_expression(Asl *s)
{
    guint at = s->aml->out->len;
    operand(s);
    if (asl_take(s, "=")) {
        assign(s, at);
        return;
    }
    if (asl_is(s, "++") || asl_is(s, "--")) {
        const uint8_t op = asl_is(s, "++") ? OP_INCREMENT : OP_DECREMENT;
        aml_insert(s->aml, at, &op, 1);
        asl_next(s);
        return;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(operators); i++) {
        g_autofree char *sign = g_strconcat(operators[i].sign, "=", NULL);
        if (operators[i].targets != 1 || !asl_take(s, sign))
            continue;
        guint len = s->aml->out->len - at;
        g_autofree uint8_t *target = g_memdup2(s->aml->out->data + at, len);
        aml_insert(s->aml, at, operators[i].op, 1);
        expression(s, 0);
        aml_bytes(s->aml, target, len);
        return;
    }
}
