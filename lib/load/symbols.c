/* SPDX-License-Identifier: MIT */
/*
 * Names of functions from an ELF file's symbol table, .symtab or else .dynsym (System V gABI, chapter
 * 4). 64-bit little-endian files; anything damaged is as if it were not there.
 */
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "load/load.h"

#define SYMBOLS_MAX ((uint64_t)1 << 22)

struct LoadSymbols {
    GArray *symbols; /* of Symbol, by address */
    GStringChunk *names;
};

typedef struct Symbol {
    uint64_t addr, size;
    const char *name;
} Symbol;

static bool within(uint64_t at, uint64_t size, uint64_t whole)
{
    return at <= whole && size <= whole - at;
}

static int by_address(const void *a, const void *b)
{
    const Symbol *x = a, *y = b;
    return x->addr < y->addr ? -1 : x->addr > y->addr;
}

static bool section(const uint8_t *data, size_t size, const Elf64_Ehdr *h, uint64_t n,
                    Elf64_Shdr *out)
{
    if (n >= h->e_shnum || !within(h->e_shoff, (n + 1) * sizeof *out, size))
        return false;
    memcpy(out, data + h->e_shoff + n * sizeof *out, sizeof *out);
    return within(out->sh_offset, out->sh_size, size);
}

static void add_table(LoadSymbols *s, const uint8_t *data, const Elf64_Shdr *table,
                      const Elf64_Shdr *strings)
{
    const char *names = (const char *)data + strings->sh_offset;
    uint64_t count = MIN(table->sh_size / sizeof(Elf64_Sym), SYMBOLS_MAX);
    for (uint64_t i = 0; i < count; i++) {
        Elf64_Sym sym;
        memcpy(&sym, data + table->sh_offset + i * sizeof sym, sizeof sym);
        if (ELF64_ST_TYPE(sym.st_info) != STT_FUNC || !sym.st_value ||
            sym.st_name >= strings->sh_size)
            continue;
        size_t left = strings->sh_size - sym.st_name;
        Symbol one = {sym.st_value, sym.st_size,
                      g_string_chunk_insert_len(s->names, names + sym.st_name,
                                                (gssize)strnlen(names + sym.st_name, left))};
        g_array_append_val(s->symbols, one);
    }
}

LoadSymbols *load_symbols(const uint8_t *data, size_t size)
{
    LoadSymbols *s = g_new0(LoadSymbols, 1);
    Elf64_Ehdr h;
    Elf64_Shdr table, strings;
    s->symbols = g_array_new(FALSE, FALSE, sizeof(Symbol));
    s->names = g_string_chunk_new(4096);
    if (size < sizeof h)
        return s;
    memcpy(&h, data, sizeof h);
    if (memcmp(h.e_ident, ELFMAG, SELFMAG) || h.e_ident[EI_CLASS] != ELFCLASS64 ||
        h.e_ident[EI_DATA] != ELFDATA2LSB || h.e_shentsize != sizeof table)
        return s;
    static const uint32_t kinds[] = {SHT_SYMTAB, SHT_DYNSYM};
    for (unsigned k = 0; k < G_N_ELEMENTS(kinds) && !s->symbols->len; k++)
        for (unsigned i = 0; i < h.e_shnum; i++)
            if (section(data, size, &h, i, &table) && table.sh_type == kinds[k] &&
                section(data, size, &h, table.sh_link, &strings))
                add_table(s, data, &table, &strings);
    qsort(s->symbols->data, s->symbols->len, sizeof(Symbol), by_address);
    return s;
}

const char *load_symbol_at(const LoadSymbols *s, uint64_t addr, uint64_t *offset)
{
    unsigned low = 0, high = s->symbols->len;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (g_array_index(s->symbols, Symbol, middle).addr <= addr)
            low = middle + 1;
        else
            high = middle;
    }
    if (!low)
        return NULL;
    const Symbol *found = &g_array_index(s->symbols, Symbol, low - 1);
    *offset = addr - found->addr;
    return found->size && *offset >= found->size ? NULL : found->name;
}

void load_symbols_free(LoadSymbols *s)
{
    if (!s)
        return;
    g_array_free(s->symbols, TRUE);
    g_string_chunk_free(s->names);
    g_free(s);
}
