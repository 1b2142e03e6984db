/* SPDX-License-Identifier: MIT */
/*
 * For test_random.c: makes a program of groups, runs it with the oracle
 * (qemu-riscv64 or qemu-riscv32, user mode) and with a Machine. Both run the very same bytes at
 * the same address, RAM: a driver that for each record loads x, f and fcsr
 * from it, jumps to the group's code, and stores them back when that is done.
 * The oracle writes the records to its standard output; a Machine stops at the
 * write call and has them in its memory. RV32 leaves the upper halves of the x in a
 * record alone. The ELF file is made by hand: one segment.
 */
#pragma once

#include <inttypes.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <glib/gstdio.h>

#include "guest/riscv/harness_priv.h"
#include "guest/riscv/random_priv.h"

#define ORACLE(rv32) ((rv32) ? "qemu-riscv32" : "qemu-riscv64")
#define ORACLE_CPU(rv32) ((rv32) ? "rv32,zba=true,zbb=true,zbc=true,zbs=true" : "rv64,zba=true,zbb=true,zbc=true,zbs=true")
#define MAX_GROUPS 2000
#define CODE_AT 0x4000 /* after the driver and the harness's handlers */

typedef struct Image {
    uint8_t *bytes;        /* size of them, to be at RAM */
    size_t size;
    unsigned records, n;   /* offset and number of Records */
    bool rv32;
    uint32_t code[MAX_GROUPS]; /* offsets */
    uint32_t driver, call; /* the next word of the driver; its first ecall */
    uint32_t epilogue, load;
} Image;

static inline void image_word(Image *im, uint32_t word)
{
    st_le32(im->bytes + im->driver, word);
    im->driver += 4;
}

/* rd = RAM + offset */
static inline void image_address(Image *im, unsigned rd, uint32_t offset)
{
    uint32_t by = offset - im->driver;
    image_word(im, ((by + 0x800) & 0xfffff000) | rd << 7 | 0x17);
    image_word(im, ADDI(rd, rd, by & 0xfff));
}

static inline uint32_t image_jump(uint32_t from, uint32_t to, unsigned rd)
{
    uint32_t by = to - from;
    return (by >> 20 & 1) << 31 | FIELD(by, 1, 10) << 21 | FIELD(by, 11, 1) << 20 |
           FIELD(by, 12, 8) << 12 | rd << 7 | 0x6f;
}

static inline void image_driver(Image *im)
{
    unsigned fcsr = offsetof(Record, fcsr), f3 = im->rv32 ? 2 : 3; /* sw and lw, or sd and ld */
    image_address(im, 3, im->records);
    uint32_t entry_jump = im->driver;
    image_word(im, 0);
    im->epilogue = im->driver;
    for (unsigned i = 1; i < 32; i++)
        image_word(im, OP_S(8 * i, i, 3, f3));
    for (unsigned i = 0; i < 32; i++)
        image_word(im, SD(i, 3, 256 + 8 * i) | 4); /* fsd */
    image_word(im, CSRR(5, 3));
    image_word(im, OP_S(fcsr, 5, 3, f3));
    image_word(im, ADDI(3, 3, sizeof(Record)));
    image_address(im, 5, im->records + im->n * (unsigned)sizeof(Record));
    image_word(im, 5u << 20 | 3u << 15 | 0x463);  /* beq x3, x5, +8 */
    uint32_t loop_jump = im->driver;
    image_word(im, 0);
    image_word(im, ADDI(10, 0, 1));
    image_address(im, 11, im->records);
    image_address(im, 12, im->records + im->n * (unsigned)sizeof(Record));
    image_word(im, OP_R(0x20, 11, 12, 0, 12, 0x33)); /* sub */
    image_word(im, ADDI(17, 0, 64));
    im->call = im->driver;
    image_word(im, ECALL);
    image_word(im, ADDI(10, 0, 0));
    image_word(im, ADDI(17, 0, 94));
    image_word(im, ECALL);
    im->load = im->driver;
    st_le32(im->bytes + entry_jump, image_jump(entry_jump, im->load, 0));
    st_le32(im->bytes + loop_jump, image_jump(loop_jump, im->load, 0));
    image_word(im, LOAD(f3, 5, 3, fcsr));
    image_word(im, CSRRW(0, 3, 5));
    for (unsigned i = 0; i < 32; i++)
        image_word(im, LD(i, 3, 256 + 8 * i) | 4); /* fld */
    for (unsigned i = 1; i < 32; i++)
        if (i != 3)
            image_word(im, LOAD(f3, i, 3, 8 * i));
    image_word(im, JALR(0, 4, 0));
    g_assert_cmpuint(im->driver, <, 0x1000);
}

static inline Image *image_new(const Group *const *groups, unsigned n, bool rv32)
{
    Image *im = g_new0(Image, 1);
    g_assert(n <= MAX_GROUPS);
    im->bytes = g_malloc0(RAM_SIZE);
    im->n = n;
    im->rv32 = rv32;
    uint32_t at = CODE_AT;
    for (unsigned i = 0; i < n; i++) {
        im->code[i] = at;
        at += 2 * groups[i]->unit[groups[i]->units] + 4;
    }
    g_assert_cmpuint(at, <, 1u << 20); /* as far as the jump back reaches */
    im->records = (at + 4095) & ~4095u;
    im->size = im->records + n * sizeof(Record);
    g_assert(im->size <= RAM_SIZE);
    image_driver(im);
    for (unsigned i = 0; i < n; i++) {
        const Group *g = groups[i];
        uint32_t length = g->unit[g->units], here = im->records + i * (uint32_t)sizeof(Record);
        Record start = g->start;
        start.x[3] = RAM + here;
        start.x[4] = RAM + im->code[i];
        for (unsigned r = 1; r < 32; r++)
            if (g->bases >> r & 1)
                start.x[r] = RAM + here + offsetof(Record, scratch) +
                             (uint64_t)(int64_t)g->delta[r];
        /* the oracle's host is little-endian, as is ours */
        memcpy(im->bytes + here, &start, sizeof start);
        memcpy(im->bytes + im->code[i], g->code, 2 * length);
        at = im->code[i] + 2 * length;
        st_le32(im->bytes + at, image_jump(at, im->epilogue, 0));
    }
    return im;
}

static inline void image_free(Image *im)
{
    if (im)
        g_free(im->bytes);
    g_free(im);
}

/* a 32- or 64-bit word of a header; returns what is behind it */
static inline uint8_t *elf_word(uint8_t *p, bool narrow, uint64_t v)
{
    if (narrow)
        st_le32(p, (uint32_t)v);
    else
        st_le64(p, v);
    return p + (narrow ? 4 : 8);
}

static inline bool image_write_elf(const Image *im, const char *path)
{
    uint8_t h[0x1000] = "\177ELF\2\1\1", *p = h + 24;
    bool narrow = im->rv32;
    unsigned size = narrow ? 52 : 64; /* of the header */
    h[4] = narrow ? 1 : 2;
    st_le16(h + 16, 2);             /* ET_EXEC */
    st_le16(h + 18, 243);           /* EM_RISCV */
    st_le32(h + 20, 1);
    p = elf_word(p, narrow, RAM);   /* entry */
    p = elf_word(p, narrow, size);  /* program headers */
    p = elf_word(p, narrow, 0);
    st_le32(p, 5);                  /* RVC, double-float ABI */
    st_le16(p + 4, size);
    st_le16(p + 6, narrow ? 32 : 56);
    st_le16(p + 8, 1);
    p = h + size;
    st_le32(p, 1);                  /* PT_LOAD */
    if (!narrow)
        st_le32(p + 4, 7);
    p = elf_word(p + (narrow ? 4 : 8), narrow, sizeof h);
    p = elf_word(p, narrow, RAM);
    p = elf_word(p, narrow, RAM);
    p = elf_word(p, narrow, im->size);
    p = elf_word(p, narrow, im->size);
    if (narrow)
        p = elf_word(p, narrow, 7);
    elf_word(p, narrow, 4096);
    FILE *f = fopen(path, "wb");
    bool ok = f && fwrite(h, sizeof h, 1, f) == 1 && fwrite(im->bytes, im->size, 1, f) == 1;
    return f && fclose(f) == 0 && ok;
}

/* The records as the oracle leaves them, or NULL: it failed, *status as of wait(). */
static inline Record *oracle_run(const Image *im, int *status)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = NULL;
    int fd = g_file_open_tmp("lathe-random-XXXXXX", &path, &error);
    g_assert_no_error(error);
    close(fd);
    g_assert_true(image_write_elf(im, path) && g_chmod(path, 0700) == 0);
    g_autofree char *quoted = g_shell_quote(path);
    g_autofree char *command = g_strdup_printf("exec %s -cpu %s %s 2>/dev/null", ORACLE(im->rv32),
                                                 ORACLE_CPU(im->rv32), quoted);
    Record *out = g_new0(Record, im->n);
    FILE *pipe = popen(command, "r");
    g_assert_nonnull(pipe);
    size_t got = fread(out, sizeof *out, im->n, pipe);
    *status = pclose(pipe);
    g_unlink(path);
    if (*status == 0 && got == im->n)
        return out;
    g_free(out);
    return NULL;
}

/* Our records; *trap: the group that trapped, or -1. An RV32 image runs on an RV64 hart too, in
   a U-mode of 32 bits. */
static inline Record *machine_records(Machine *m, const Image *im, RiscvPriv priv, int *trap)
{
    machine_reset(m);
    memcpy(m->ram, im->bytes, M_HANDLER - RAM);
    memcpy(m->ram + CODE_AT, im->bytes + CODE_AT, im->size - CODE_AT);
    translate_invalidate(m->translator, RAM, RAM_SIZE);
    m->rv->priv = priv;
    m->rv->fs = 1;
    if (im->rv32 && !m->rv->props.rv32)
        m->rv->mstatus = bits_set(m->rv->mstatus, MSTATUS_UXL_SHIFT, 2, 1);
    m->cpu->pc = RAM;
    translate_run(m->cpu);
    *trap = -1;
    uint64_t epc = im->rv32 ? (uint32_t)m->rv->mepc : m->rv->mepc;
    if (epc != RAM + im->call || (m->rv->mcause != RISCV_ECALL_M &&
                                  m->rv->mcause != RISCV_ECALL_U)) {
        uint64_t at = epc - RAM;
        *trap = 0;
        for (unsigned i = 0; i < im->n; i++)
            if (im->code[i] <= at)
                *trap = (int)i;
        g_test_message("exception %" PRIu64 " at %" PRIx64 ", value %" PRIx64, m->rv->mcause,
                       m->rv->mepc, m->rv->mtval);
    }
    return g_memdup2(m->ram + im->records, im->n * sizeof(Record));
}
