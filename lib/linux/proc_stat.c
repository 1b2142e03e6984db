/* SPDX-License-Identifier: MIT */
/*
 * stat, statm, status and limits of /proc/self: the host's text, with what is the guest's own put in its
 * place.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "linux/path_priv.h"

enum { PAGE = 4096 };

void proc_edit_stat(GString *out, const char *host, const ProcFacts *f)
{
    const char *name_end = strrchr(host, ')');
    if (!name_end) {
        g_string_append(out, host);
        return;
    }
    const struct { /* numbered as in proc(5) */
        unsigned field;
        uint64_t value;
    } ours[] = {
        { 23, f->total }, { 26, f->code_start }, { 27, f->code_end }, { 28, f->stack_start },
        { 29, 0 }, { 30, 0 }, { 31, 0 }, { 32, f->blocked & INT32_MAX },
        { 33, f->ignored & INT32_MAX }, { 34, f->caught & INT32_MAX }, { 45, f->data_start },
        { 46, f->data_end }, { 47, f->brk_start }, { 48, f->arg_start }, { 49, f->arg_end },
        { 50, f->env_start }, { 51, f->env_end },
    };
    g_string_append_len(out, host, name_end + 1 - host);
    unsigned next = 0;
    const char *at = name_end + 1;
    for (unsigned field = 3; *at == ' '; field++) {
        size_t size = 1 + strcspn(at + 1, " \n");
        if (next < G_N_ELEMENTS(ours) && ours[next].field == field)
            g_string_append_printf(out, " %" PRIu64, ours[next++].value);
        else
            g_string_append_len(out, at, (gssize)size);
        at += size;
    }
    g_string_append(out, at);
}

void proc_edit_statm(GString *out, const char *host, const ProcFacts *f)
{
    uint64_t resident = 0, shared = 0, pages = f->total / PAGE;
    sscanf(host, "%*s %" SCNu64 " %" SCNu64, &resident, &shared);
    g_string_append_printf(out,
                           "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " 0 %" PRIu64 " 0\n",
                           pages, MIN(resident, pages), MIN(shared, pages), f->code / PAGE,
                           (f->data + f->stack) / PAGE);
}

/* Appends the guest's line of status for the one at `line`; false: it has the host's. */
static bool status_line(GString *out, const char *line, const ProcFacts *f)
{
    const struct {
        const char *key;
        uint64_t bytes;
    } sizes[] = {
        { "VmPeak:", f->total }, { "VmSize:", f->total }, { "VmData:", f->data },
        { "VmStk:", f->stack }, { "VmExe:", f->code }, { "VmLib:", f->libraries },
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++) {
        if (strncmp(line, sizes[i].key, strlen(sizes[i].key)))
            continue;
        g_string_append_printf(out, "%s\t%8" PRIu64 " kB\n", sizes[i].key, sizes[i].bytes / 1024);
        return true;
    }
    const struct {
        const char *key;
        uint64_t set;
    } sets[] = { { "SigBlk:", f->blocked }, { "SigIgn:", f->ignored }, { "SigCgt:", f->caught } };
    for (unsigned i = 0; i < G_N_ELEMENTS(sets); i++) {
        if (strncmp(line, sets[i].key, strlen(sets[i].key)))
            continue;
        g_string_append_printf(out, "%s\t%016" PRIx64 "\n", sets[i].key, sets[i].set);
        return true;
    }
    /* of x86 alone */
    return g_str_has_prefix(line, "x86_") || g_str_has_prefix(line, "untag_mask:");
}

void proc_edit_status(GString *out, const char *host, const ProcFacts *f)
{
    for (size_t size; *host; host += size) {
        size = strcspn(host, "\n");
        size += host[size] == '\n';
        if (!status_line(out, host, f))
            g_string_append_len(out, host, (gssize)size);
    }
}

void proc_edit_limits(GString *out, const char *host, const LinuxProcess *p)
{
    static const struct {
        const char *name;
        unsigned resource;
    } names[] = { { "Max data size", 2 }, { "Max stack size", 3 }, { "Max address space", 9 } };

    for (size_t size; *host; host += size) {
        size = strcspn(host, "\n");
        size += host[size] == '\n';
        const LinuxLimit *limit = NULL;
        unsigned i = 0;
        while (i < G_N_ELEMENTS(names) && !g_str_has_prefix(host, names[i].name))
            i++;
        if (i < G_N_ELEMENTS(names))
            limit = &p->limits[names[i].resource];
        if (!limit || !limit->own) {
            g_string_append_len(out, host, (gssize)size);
            continue;
        }
        g_string_append_printf(out, "%-25s ", names[i].name);
        for (unsigned hard = 0; hard < 2; hard++) {
            uint64_t value = hard ? limit->hard : limit->soft;
            g_autofree char *text = value == UINT64_MAX ? g_strdup("unlimited")
                                                        : g_strdup_printf("%" PRIu64, value);
            g_string_append_printf(out, "%-20s ", text);
        }
        g_string_append(out, "bytes     \n");
    }
}
