/* SPDX-License-Identifier: MIT */
/*
 * The vDSO as an ELF image: one segment with headers, dynamic section, symbols of one version, their
 * hash table (System V gABI, chapter 5; symbol versions as in the Linux Standard Base) and the code.
 */
#include "linux/vdso.h"

#include <elf.h>
#include <string.h>

static uint32_t sysv_hash(const char *name)
{
    uint32_t h = 0;
    for (; *name; name++) {
        h = (h << 4) + (uint8_t)*name;
        uint32_t g = h & 0xf0000000;
        h ^= g >> 24;
        h &= ~g;
    }
    return h;
}

static uint32_t add_string(GByteArray *strings, const char *s)
{
    uint32_t at = strings->len;
    g_byte_array_append(strings, (const uint8_t *)s, (guint)strlen(s) + 1);
    return at;
}

static uint64_t append(GByteArray *image, const void *data, size_t size, unsigned align)
{
    static const uint8_t zeros[64];
    while (image->len % align)
        g_byte_array_append(image, zeros, 1);
    uint64_t at = image->len;
    g_byte_array_append(image, data, (guint)size);
    return at;
}

/* One bucket: as few symbols as these need no more. */
static GArray *make_hash(unsigned count)
{
    GArray *h = g_array_new(FALSE, TRUE, 4);
    uint32_t head[3] = {1, count + 1, count ? 1 : 0}, zero = 0;
    g_array_append_vals(h, head, 3);
    g_array_append_val(h, zero);
    for (uint32_t i = 1; i <= count; i++) {
        uint32_t next = i == count ? 0 : i + 1;
        g_array_append_val(h, next);
    }
    return h;
}

GBytes *vdso_build(unsigned machine, uint32_t e_flags, const char *version,
                   const VdsoSymbol *symbols, unsigned count, const void *code, size_t code_size,
                   uint64_t *code_at)
{
    g_autoptr(GByteArray) strings = g_byte_array_new();
    GByteArray *image = g_byte_array_new();
    g_autoptr(GArray) syms = g_array_new(FALSE, TRUE, sizeof(Elf64_Sym));
    g_autoptr(GArray) versym = g_array_new(FALSE, TRUE, 2);
    g_autoptr(GArray) hash = make_hash(count);
    Elf64_Ehdr eh = {.e_type = ET_DYN, .e_machine = (Elf64_Half)machine, .e_version = EV_CURRENT,
                     .e_phoff = sizeof eh, .e_flags = e_flags, .e_ehsize = sizeof eh,
                     .e_phentsize = sizeof(Elf64_Phdr), .e_phnum = 2};
    Elf64_Phdr ph[2] = {{.p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_align = 4096},
                        {.p_type = PT_DYNAMIC, .p_flags = PF_R, .p_align = 8}};
    memcpy(eh.e_ident, ELFMAG, SELFMAG);
    eh.e_ident[EI_CLASS] = ELFCLASS64;
    eh.e_ident[EI_DATA] = ELFDATA2LSB;
    eh.e_ident[EI_VERSION] = EV_CURRENT;

    add_string(strings, "");
    uint32_t soname = add_string(strings, "linux-vdso.so.1"), name = add_string(strings, version);
    append(image, &eh, sizeof eh, 8);
    append(image, ph, sizeof ph, 8);
    *code_at = append(image, code, code_size, 16);

    Elf64_Sym none = {0};
    uint16_t local = 0, global = 2;
    g_array_append_val(syms, none);
    g_array_append_val(versym, local);
    for (unsigned i = 0; i < count; i++) {
        Elf64_Sym s = {.st_name = add_string(strings, symbols[i].name),
                       .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC), .st_shndx = 1,
                       .st_value = *code_at + symbols[i].offset, .st_size = symbols[i].size};
        g_array_append_val(syms, s);
        g_array_append_val(versym, global);
    }
    struct { Elf64_Verdef def; Elf64_Verdaux aux; } defs[2] = {
        {{.vd_version = 1, .vd_flags = VER_FLG_BASE, .vd_ndx = 1, .vd_cnt = 1,
          .vd_hash = sysv_hash("linux-vdso.so.1"), .vd_aux = sizeof(Elf64_Verdef),
          .vd_next = sizeof defs[0]}, {.vda_name = soname}},
        {{.vd_version = 1, .vd_ndx = 2, .vd_cnt = 1, .vd_hash = sysv_hash(version),
          .vd_aux = sizeof(Elf64_Verdef)}, {.vda_name = name}},
    };
    Elf64_Dyn dyn[] = {
        {DT_HASH, {append(image, hash->data, hash->len * 4, 8)}},
        {DT_SYMTAB, {append(image, syms->data, syms->len * sizeof(Elf64_Sym), 8)}},
        {DT_SYMENT, {sizeof(Elf64_Sym)}},
        {DT_VERSYM, {append(image, versym->data, versym->len * 2, 8)}},
        {DT_VERDEF, {append(image, defs, sizeof defs, 8)}},
        {DT_VERDEFNUM, {2}},
        {DT_STRTAB, {append(image, strings->data, strings->len, 8)}},
        {DT_STRSZ, {strings->len}},
        {DT_SONAME, {soname}},
        {DT_NULL, {0}},
    };
    ph[1].p_offset = ph[1].p_vaddr = ph[1].p_paddr = append(image, dyn, sizeof dyn, 8);
    ph[1].p_filesz = ph[1].p_memsz = sizeof dyn;
    ph[0].p_filesz = ph[0].p_memsz = image->len;
    memcpy(image->data + sizeof eh, ph, sizeof ph);
    return g_byte_array_free_to_bytes(image);
}
