/* SPDX-License-Identifier: MIT */
/* GError with Lathe's three codes and one-line helpers; see error.h. */
#include "base/error.h"

G_DEFINE_QUARK(lathe-base-error-quark, base_error)

static bool fail_v(GError **error, BaseError code, int errno_value, const char *fmt, va_list ap)
{
    if (!error)
        return false;
    g_autofree char *text = g_strdup_vprintf(fmt, ap);
    if (code == BASE_ERROR_SYSTEM)
        g_set_error(error, base_error_quark(), code, "%s: %s", text, g_strerror(errno_value));
    else
        g_set_error_literal(error, base_error_quark(), code, text);
    return false;
}

bool fail(GError **error, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fail_v(error, BASE_ERROR_FAILED, 0, fmt, ap);
    va_end(ap);
    return false;
}

bool fail_usage(GError **error, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fail_v(error, BASE_ERROR_USAGE, 0, fmt, ap);
    va_end(ap);
    return false;
}

bool fail_errno(GError **error, int errno_value, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fail_v(error, BASE_ERROR_SYSTEM, errno_value, fmt, ap);
    va_end(ap);
    return false;
}

bool prefix(GError **error, const char *fmt, ...)
{
    if (!error || !*error)
        return false;
    va_list ap;
    va_start(ap, fmt);
    g_autofree char *context = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    g_prefix_error(error, "%s: ", context);
    return false;
}
