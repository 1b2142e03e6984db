/* SPDX-License-Identifier: MIT */
/* Messages of tools. */
#include "base/voice.h"

#include "base/error.h"

#include <stdio.h>

static void say(const Voice *voice, const char *what, const char *fmt, va_list ap)
{
    g_autofree char *text = g_strdup_vprintf(fmt, ap);
    fflush(stdout);
    fprintf(stderr, "%s: %s%s\n", voice->name, what, text);
}

static int misuse(const Voice *voice)
{
    return voice->compatible ? VOICE_FAILED : VOICE_MISUSED;
}

int voice_fail(const Voice *voice, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    say(voice, "", fmt, ap);
    va_end(ap);
    return VOICE_FAILED;
}

int voice_misused(const Voice *voice, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    say(voice, "", fmt, ap);
    va_end(ap);
    fprintf(stderr, "Try `%s --help' for more information.\n", voice->name);
    return misuse(voice);
}

int voice_error(const Voice *voice, GError *error)
{
    bool usage = error && error->domain == base_error_quark() && error->code == BASE_ERROR_USAGE;
    voice_fail(voice, "%s", error ? error->message : "no reason given");
    g_clear_error(&error);
    return usage ? misuse(voice) : VOICE_FAILED;
}

void voice_warn(const Voice *voice, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    say(voice, "warning: ", fmt, ap);
    va_end(ap);
}
