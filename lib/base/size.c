/* SPDX-License-Identifier: MIT */
/*
 * Size texts; see size.h. Fractions are computed in integers (a numerator over a power of
 * ten, both within 64 bits, multiplied in 128), so that "0.1G" is the same everywhere.
 */
#include "base/size.h"

#include "base/error.h"

#include <string.h>

static const char suffixes[] = "bkmgtpe";

static int digit_value(char c)
{
    if (g_ascii_isdigit(c))
        return c - '0';
    return g_ascii_isxdigit(c) ? g_ascii_tolower(c) - 'a' + 10 : 99;
}

/* Digits of a base from *p on; moves *p behind them. False when they exceed 64 bits. */
static bool read_digits(const char **p, unsigned base, uint64_t *value)
{
    uint64_t v = 0;
    for (; digit_value(**p) < (int)base; ++*p) {
        if (__builtin_mul_overflow(v, (uint64_t)base, &v) ||
            __builtin_add_overflow(v, (uint64_t)digit_value(**p), &v))
            return false;
    }
    *value = v;
    return true;
}

bool number_parse(const char *text, uint64_t *value, GError **error)
{
    const char *p = text;
    unsigned base = 10;
    uint64_t v;

    if (p[0] == '0' && (p[1] == 'x' || p[1] == 'X')) {
        base = 16;
        p += 2;
    }
    const char *start = p;
    if (!read_digits(&p, base, &v))
        return fail_usage(error, "'%s' is more than 64 bits hold", text);
    if (p == start || *p)
        return fail_usage(error, "'%s' is not a number", text);
    *value = v;
    return true;
}

/* The digits behind the point, as numerator over denominator; beyond 18 they are dropped. */
static void read_fraction(const char **p, uint64_t *num, uint64_t *den)
{
    *num = 0;
    *den = 1;
    for (; g_ascii_isdigit(**p); ++*p) {
        if (*den >= UINT64_C(1000000000000000000))
            continue;
        *num = *num * 10 + (uint64_t)digit_value(**p);
        *den *= 10;
    }
}

bool size_parse_unit(const char *text, uint64_t unit, uint64_t *size, GError **error)
{
    const char *p = text;
    uint64_t whole, num = 0, den = 1;

    if (p[0] == '0' && (p[1] == 'x' || p[1] == 'X')) {
        if (!number_parse(text, &whole, error))
            return false;
        p += strlen(p);
    } else {
        if (!g_ascii_isdigit(*p))
            return fail_usage(error, "'%s' is not a size (such as 512M, 1.5G, 64k)", text);
        if (!read_digits(&p, 10, &whole))
            return fail_usage(error, "size '%s' is more than 64 bits hold", text);
        if (p[0] == '.' && g_ascii_isdigit(p[1])) {
            p++;
            read_fraction(&p, &num, &den);
        }
    }
    const char *suffix = *p ? strchr(suffixes, g_ascii_tolower(*p)) : NULL;
    if (suffix) {
        unit = UINT64_C(1) << (10 * (suffix - suffixes));
        p++;
    }
    if (*p)
        return fail_usage(error, "'%s' is not a size (such as 512M, 1.5G, 64k)", text);
    if (num && unit == 1)
        return fail_usage(error, "size '%s' is a fraction of a byte", text);
    unsigned __int128 total = (unsigned __int128)whole * unit + (unsigned __int128)num * unit / den;
    if (total > UINT64_MAX)
        return fail_usage(error, "size '%s' is more than 64 bits hold", text);
    *size = (uint64_t)total;
    return true;
}

bool size_parse(const char *text, uint64_t *size, GError **error)
{
    return size_parse_unit(text, 1, size, error);
}

char *size_format(uint64_t size)
{
    unsigned power = 0;
    double v = (double)size;

    /* 999.5 and more would print as four figures */
    while (v >= 999.5 && power + 1 < strlen(suffixes)) {
        v /= 1024;
        power++;
    }
    if (!power)
        return g_strdup_printf("%" G_GUINT64_FORMAT " B", size);
    char number[G_ASCII_DTOSTR_BUF_SIZE];
    g_ascii_formatd(number, sizeof number, "%.3g", v);
    return g_strdup_printf("%s %ciB", number, "BKMGTPE"[power]);
}

char *size_format_exact(uint64_t size)
{
    unsigned power = 0;

    while (size && size % 1024 == 0 && power + 1 < strlen(suffixes)) {
        size /= 1024;
        power++;
    }
    if (!power)
        return g_strdup_printf("%" G_GUINT64_FORMAT, size);
    return g_strdup_printf("%" G_GUINT64_FORMAT "%c", size, "BkMGTPE"[power]);
}
