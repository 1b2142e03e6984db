/* SPDX-License-Identifier: MIT */
/*
 * Guest software from files: what a file is, which machine it is for, and which bytes
 * go where. All offsets and sizes in the files are checked: a hostile file gives an error that
 * names the file, the structure and the offset, and never uses more memory than stated.
 * Functions are pure but for load_read; any thread.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The largest file that is read, and the largest result of unpacking a compressed one. */
#define LOAD_MAX ((uint64_t)2 << 30)
#define LOAD_UNPACKED_MAX ((uint64_t)1 << 30)
/* The most program headers of an ELF file that are looked at. */
#define LOAD_SEGMENTS_MAX 1024u

typedef enum {
    LOAD_RAW,         /* nothing known: one segment, entered at its start */
    LOAD_ELF,
    LOAD_IMAGE_RISCV, /* Linux boot image, Documentation/riscv/boot-image-header.rst */
    LOAD_IMAGE_ARM64, /* Linux boot image, Documentation/arm64/booting.rst */
    LOAD_ZIMAGE,      /* 32-bit Arm; known, not loaded */
    LOAD_BZIMAGE,     /* x86; known, not loaded */
    LOAD_UIMAGE,      /* U-Boot; known, not loaded */
    LOAD_EFI,         /* some other EFI program; known, not loaded */
} LoadKind;

typedef struct {
    LoadKind kind;
    const char *arch; /* "riscv64", as --arch spells it; NULL: the file does not say */
} LoadIdentity;

typedef struct {
    uint64_t addr;     /* physical, or relative when !placed */
    GBytes *data;      /* may be empty */
    uint64_t mem_size; /* at least the size of data; the rest is zero */
} LoadSegment;

typedef struct {
    char *name;         /* the file, for messages */
    LoadIdentity id;
    bool placed;        /* addresses are physical; else relative to where it is put, from 0 */
    uint64_t entry;
    uint64_t mem_size;  /* bytes of memory from the lowest to the highest address */
    uint64_t offset;    /* boot images: text_offset, wanted distance from the start of RAM */
    LoadSegment *segments;
    size_t count;       /* at least 1 */
} LoadImage;

/* What these (unpacked) bytes are. Never fails: LOAD_RAW. */
LoadIdentity load_identify(const uint8_t *data, size_t size);
/* "an ELF file", "a RISC-V Linux image". */
const char *load_kind_text(LoadKind kind);

/* A file's bytes: mapped if it is a regular file, else (a pipe) read; at most max of them, else an
   error. The file must not be truncated while the result is in use. */
GBytes *load_read(const char *path, uint64_t max, GError **error);

/* Unpacks gzip, zstd and EFI zboot; other bytes come back as they are. name is for messages. */
GBytes *load_unpack(GBytes *bytes, const char *name, GError **error);

/* Unpacks and reads; name is for messages. The segments refer to parts of bytes. */
LoadImage *load_image(GBytes *bytes, const char *name, GError **error);
/* The bytes as they are: one segment that is not placed, entered at its start. */
LoadImage *load_raw(GBytes *bytes, const char *name);
/* load_read and load_image. */
LoadImage *load_image_file(const char *path, GError **error);
void load_image_free(LoadImage *image); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LoadImage, load_image_free)

/* ---- Programs of an operating system ---------------------------------------- */

typedef struct {
    uint64_t addr, offset;         /* in memory (relative if the program is movable), in the file */
    uint64_t file_size, mem_size;  /* the rest is zero */
    bool read, write, execute;
} LoadProgramSegment;

/* An ELF executable or shared object as the kernel's loader of programs looks at it. */
typedef struct {
    LoadIdentity id;
    unsigned machine, elf_class;   /* e_machine; 32 or 64 */
    bool big_endian;
    bool movable;                  /* ET_DYN: addresses are relative to where it is put */
    uint64_t entry;
    uint64_t phdr_addr;            /* where the program headers are in memory; 0: not there */
    uint64_t phdr_size;            /* bytes of one */
    unsigned phdr_count;
    uint64_t align;                /* of the segments, a power of two, at least 4096 */
    uint64_t low, high;            /* first byte and the byte behind the last, page-aligned */
    char *interpreter;             /* PT_INTERP; NULL: none */
    uint32_t features;             /* of AArch64, GNU_PROPERTY_AARCH64_FEATURE_1_AND: bit 0 BTI */
    LoadProgramSegment *segments;  /* in order of address; they do not overlap */
    size_t count;                  /* at least 1 */
} LoadProgram;

/* name is for messages. Nothing refers to data afterwards. */
LoadProgram *load_program(const uint8_t *data, size_t size, const char *name, GError **error);
void load_program_free(LoadProgram *program); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LoadProgram, load_program_free)

typedef struct LoadSymbols LoadSymbols;
/* The functions that an ELF file names; empty if it has no such table. Nothing refers to data then. */
LoadSymbols *load_symbols(const uint8_t *data, size_t size);
/* The function that addr (of the file, before it is moved) lies in, and how far. NULL: none. */
const char *load_symbol_at(const LoadSymbols *symbols, uint64_t addr, uint64_t *offset);
void load_symbols_free(LoadSymbols *symbols); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LoadSymbols, load_symbols_free)

/* ---- Initial RAM disks ------------------------------------------------------ */

/* Appends an entry to a cpio archive: mode has the kind of file too; name has no leading slash. */
void load_cpio_add(GByteArray *out, const char *name, uint32_t mode, const void *data, size_t size);
/* All that is in a folder of the host, under name ("" for the root); out may grow to max bytes. Devices,
   links and modes are kept, owners become root. */
bool load_cpio_add_folder(GByteArray *out, const char *folder, const char *name, uint64_t max,
                          GError **error);
void load_cpio_end(GByteArray *out);
/* Which of names (NULL-terminated, no leading slash) an initial RAM disk has: found[i] is set to true.
   False: part of it cannot be looked into (a compression not known here, damage). */
bool load_cpio_has(GBytes *initrd, const char *const *names, bool *found);
