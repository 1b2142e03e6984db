/* SPDX-License-Identifier: MIT */
/*
 * Expressions of the monitor, by precedence climbing; see monitor_expression. Parentheses and
 * signs nest at most DEPTH_MAX deep, since the text may be anybody's.
 */
#include "base/error.h"
#include "monitor/monitor_priv.h"

#include <string.h>

#define DEPTH_MAX 64

typedef struct {
    Monitor *m;
    const char *p;
    unsigned depth;
    bool more; /* another argument follows: in "8 /tmp/x" and "8 -f" it does not divide, subtract */
    GError **error;
} Parser;

static bool binary(Parser *x, int least, uint64_t *value);

static void blanks(Parser *x)
{
    x->p += strspn(x->p, " \t");
}

static bool number(Parser *x, uint64_t *value)
{
    const char *start = x->p;
    int base = 10;
    if (x->p[0] == '0' && (x->p[1] == 'x' || x->p[1] == 'X')) {
        base = 16;
        x->p += 2;
    } else if (x->p[0] == '0') {
        base = 8;
    }
    const char *digits = x->p;
    *value = 0;
    for (; g_ascii_isalnum(*x->p); x->p++) {
        int digit = g_ascii_xdigit_value(*x->p);
        if (digit < 0 || digit >= base)
            return fail_usage(x->error, "'%.20s' is not a number", start);
        if (*value > (UINT64_MAX - (unsigned)digit) / (unsigned)base)
            return fail_usage(x->error, "'%.40s' has more than 64 bits", start);
        *value = *value * (unsigned)base + (unsigned)digit;
    }
    return x->p > digits || fail_usage(x->error, "'%.20s' is not a number", start);
}

static bool variable(Parser *x, uint64_t *value)
{
    const char *start = ++x->p;
    while (g_ascii_isalnum(*x->p) || *x->p == '_' || *x->p == '.')
        x->p++;
    g_autofree char *name = g_strndup(start, (gsize)(x->p - start));
    if (*name && x->m->lookup && x->m->lookup(x->m->lookup_opaque, name, value))
        return true;
    return fail_usage(x->error, "there is no register '$%s'", name);
}

static bool operand(Parser *x, uint64_t *value)
{
    blanks(x);
    char c = *x->p;
    if (g_ascii_isdigit(c))
        return number(x, value);
    if (c == '$')
        return variable(x, value);
    if (c == '\'' && x->p[1] && x->p[2] == '\'') {
        *value = (uint8_t)x->p[1];
        x->p += 3;
        return true;
    }
    if (!c || !strchr("(-+~", c))
        return c ? fail_usage(x->error, "a number is wanted at '%.20s'", x->p)
                 : fail_usage(x->error, "a number is wanted at the end");
    if (x->depth >= DEPTH_MAX)
        return fail_usage(x->error, "the expression is too deep");
    x->depth++;
    x->p++;
    bool ok = c == '(' ? binary(x, 0, value) : operand(x, value);
    x->depth--;
    if (!ok)
        return false;
    if (c == '(') {
        blanks(x);
        if (*x->p != ')')
            return fail_usage(x->error, "')' is missing");
        x->p++;
    }
    *value = c == '-' ? 0 - *value : c == '~' ? ~*value : *value;
    return true;
}

/* The operator at p, as its first character, and how tightly it binds; 0: none is there. */
static int operator_at(const char *p, int *level)
{
    static const char *const levels[] = { "|", "^", "&", "<>", "+-", "*/%" };
    for (int i = 0; i < (int)G_N_ELEMENTS(levels); i++) {
        if (*p && strchr(levels[i], *p)) {
            *level = i + 1;
            return (*p != '<' && *p != '>') || p[1] == *p ? *p : 0;
        }
    }
    return 0;
}

static bool apply(Parser *x, int op, uint64_t *value, uint64_t right)
{
    if ((op == '/' || op == '%') && !right)
        return fail_usage(x->error, "division by zero");
    switch (op) {
    case '|': *value |= right; break;
    case '^': *value ^= right; break;
    case '&': *value &= right; break;
    case '<': *value = right < 64 ? *value << right : 0; break;
    case '>': *value = right < 64 ? *value >> right : 0; break;
    case '+': *value += right; break;
    case '-': *value -= right; break;
    case '*': *value *= right; break;
    case '/': *value /= right; break;
    default: *value %= right; break;
    }
    return true;
}

/* Operators that bind more tightly than least. The depth is that of the levels. */
static bool binary(Parser *x, int least, uint64_t *value)
{
    if (!operand(x, value))
        return false;
    for (;;) {
        const char *before = x->p;
        int level = 0, op;
        blanks(x);
        op = operator_at(x->p, &level);
        const char *behind = x->p + (op == '<' || op == '>' ? 2 : 1);
        bool apart = x->more && !x->depth && x->p > before && op && !strchr(" \t", *behind);
        if (!op || level <= least || apart) {
            x->p = before;
            return true;
        }
        x->p = behind;
        uint64_t right;
        if (!binary(x, level, &right) || !apply(x, op, value, right))
            return false;
    }
}

bool monitor_expression(Monitor *m, const char **text, bool more, uint64_t *value, GError **error)
{
    Parser x = { m, *text, 0, more, error };
    if (!binary(&x, 0, value))
        return false;
    *text = x.p;
    return true;
}
