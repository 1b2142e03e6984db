/* SPDX-License-Identifier: MIT */
/*
 * /proc/self/maps and smaps of the guest, from the host's: the parts that are the guest's mappings, with
 * the rights that the guest gave them and the names of its own heap, stack and vDSO. Neighbours that
 * only the host sees as two are one line.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "linux/path_priv.h"

typedef struct Line { /* of maps */
    uint64_t start, end, offset, inode;
    unsigned major, minor;
    bool shared;
    unsigned prot;
    const char *name; /* of size bytes */
    size_t size;
} Line;

/* The text that follows may be long: only this line's is to be looked at. */
static void copy_head(char *head, size_t room, const char *text, size_t size)
{
    size = MIN(size, room - 1);
    memcpy(head, text, size);
    head[size] = 0;
}

static bool parse(const char *text, size_t size, Line *out)
{
    char head[160], perms[5];
    int used = 0;
    *out = (Line){0};
    if (!g_ascii_isxdigit(text[0]) || g_ascii_isupper(text[0]))
        return false; /* a value of smaps */
    copy_head(head, sizeof head, text, size);
    if (sscanf(head, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %x:%x %" SCNu64 "%n", &out->start,
               &out->end, perms, &out->offset, &out->major, &out->minor, &out->inode, &used) != 7)
        return false;
    out->name = text + used;
    out->size = size - (size_t)used;
    while (out->size && *out->name == ' ')
        out->name++, out->size--;
    return true;
}

/* Columns as the kernel has them. */
static void print(GString *out, const Line *line)
{
    size_t start = out->len;
    g_string_append_printf(
        out, "%08" PRIx64 "-%08" PRIx64 " %c%c%c%c %08" PRIx64 " %02x:%02x %" PRIu64 " ",
        line->start, line->end, line->prot & PROT_READ ? 'r' : '-',
        line->prot & PROT_WRITE ? 'w' : '-', line->prot & PROT_EXEC ? 'x' : '-',
        line->shared ? 's' : 'p', line->offset, line->major, line->minor, line->inode);
    if (line->size) {
        while (out->len - start < 73)
            g_string_append_c(out, ' ');
        g_string_append_len(out, line->name, (gssize)line->size);
    }
    g_string_append_c(out, '\n');
}

static bool continues(const Line *a, const Line *b)
{
    return a->end == b->start && a->prot == b->prot && a->shared == b->shared &&
           a->inode == b->inode && a->major == b->major && a->minor == b->minor &&
           a->size == b->size && !memcmp(a->name, b->name, a->size) &&
           (!a->inode || a->offset + (a->end - a->start) == b->offset);
}

/* The part of the host's line that is vma's. */
static Line part(const Line *host, const Vma *vma)
{
    static const char *const names[] = {
        [VMA_HEAP] = "[heap]", [VMA_STACK] = "[stack]", [VMA_VDSO] = "[vdso]",
    };
    Line line = *host;
    line.start = MAX(host->start, vma->start);
    line.end = MIN(host->end, vma->end);
    line.prot = vma->prot;
    line.shared = vma->shared;
    if (vma->kind < G_N_ELEMENTS(names) && names[vma->kind]) {
        line.name = names[vma->kind];
        line.size = strlen(line.name);
        line.offset = line.inode = line.major = line.minor = 0;
    } else if (line.inode) {
        line.offset += line.start - host->start;
    }
    return line;
}

/* The first of n mappings that ends behind addr. */
static unsigned first_behind(const Vma *vmas, unsigned n, uint64_t addr)
{
    unsigned low = 0, high = n;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (vmas[middle].end <= addr)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void proc_filter_maps(GString *out, const char *host, const Vma *vmas, unsigned n)
{
    Line last = {0};
    for (size_t size; *host; host += size + (host[size] == '\n')) {
        Line line;
        size = strcspn(host, "\n");
        if (!parse(host, size, &line))
            continue;
        for (unsigned i = first_behind(vmas, n, line.start); i < n && vmas[i].start < line.end;
             i++) {
            Line piece = part(&line, &vmas[i]);
            if (last.end && continues(&last, &piece)) {
                last.end = piece.end;
                continue;
            }
            if (last.end)
                print(out, &last);
            last = piece;
        }
    }
    if (last.end)
        print(out, &last);
}

/* One "Key:   value kB" of smaps, for a piece of `size` bytes of the host's mapping. */
static void print_value(GString *out, const char *text, size_t length, uint64_t size)
{
    const char *colon = memchr(text, ':', length);
    uint64_t value;
    char unit[4], rest[40] = "";
    if (colon)
        copy_head(rest, sizeof rest, colon + 1, length - (size_t)(colon + 1 - text));
    if (colon && sscanf(rest, "%" SCNu64 " %3s", &value, unit) == 2 && !strcmp(unit, "kB") &&
        !(colon - text > 8 && !memcmp(colon - 8, "PageSize", 8))) {
        value = !strncmp(text, "Size:", 5) ? size / 1024 : MIN(value, size / 1024);
        g_string_append_len(out, text, colon + 1 - text);
        g_string_append_printf(out, "%*" PRIu64 " kB\n", (int)(23 - (colon - text)), value);
    } else {
        g_string_append_len(out, text, (gssize)length);
        g_string_append_c(out, '\n');
    }
}

void proc_filter_smaps(GString *out, const char *host, const Vma *vmas, unsigned n)
{
    while (*host) { /* a block: a line of maps, and lines of values */
        Line line;
        size_t size = strcspn(host, "\n");
        bool good = parse(host, size, &line);
        const char *values = host + size + (host[size] == '\n'), *end = values;
        Line next;
        for (; *end; end += size + (end[size] == '\n')) {
            size = strcspn(end, "\n");
            if (parse(end, size, &next))
                break;
        }
        for (unsigned i = good ? first_behind(vmas, n, line.start) : n;
             i < n && vmas[i].start < line.end; i++) {
            Line piece = part(&line, &vmas[i]);
            print(out, &piece);
            for (const char *at = values; at < end; at += size + 1) {
                size = strcspn(at, "\n");
                print_value(out, at, size, piece.end - piece.start);
            }
        }
        host = end;
    }
}
