/* SPDX-License-Identifier: MIT */
/*
 * For test_random.c and test_sve.c: a program of ours (a driver and groups of instructions, with a record
 * each of what they start from and leave) in memory at BASE, the same program as a file that an oracle
 * runs, which writes its records to its standard output, and a CPU that runs it here.
 */
#pragma once

#include <stdio.h>
#include <unistd.h>
#include <glib/gstdio.h>

#include "guest/arm/random_priv.h"

#define BASE UINT64_C(0x40000000)
#define SIZE (8u << 20)
#define MAX_GROUPS 1500
#define CODE_AT 0x1000

typedef struct Image {
    uint8_t *bytes;
    uint32_t size, records, n, code[MAX_GROUPS], driver, epilogue;
    unsigned vl; /* of test_sve.c */
} Image;

/* ---- the program */

static inline void word(Image *im, uint32_t w)
{
    st_le32(im->bytes + im->driver, w);
    im->driver += 4;
}

static inline void address(Image *im, unsigned rd, uint64_t v)
{
    word(im, MOVZ(rd, v & 0xffff));
    word(im, 0xf2a00000u | (uint32_t)(v >> 16 & 0xffff) << 5 | rd); /* movk, lsl 16 */
}

static inline uint32_t branch(uint32_t from, uint32_t to) { return 0x14000000u | ((to - from) / 4 & 0x3ffffff); }
#define LDR(rt, off) (0xf9400000u | (uint32_t)(off) / 8 << 10 | 28u << 5 | (rt))
#define STR(rt, off) (0xf9000000u | (uint32_t)(off) / 8 << 10 | 28u << 5 | (rt))

static inline void image_free(Image *im)
{
    g_free(im->bytes);
    g_free(im);
}

/* ---- the oracle */

static inline bool write_elf(const Image *im, const char *path)
{
    uint8_t h[4096] = "\x7f" "ELF\2\1\1", *p = h + 64;
    st_le16(h + 16, 2);   /* ET_EXEC */
    st_le16(h + 18, 183); /* EM_AARCH64 */
    st_le32(h + 20, 1);
    st_le64(h + 24, BASE);
    st_le64(h + 32, 64);
    st_le16(h + 52, 64);
    st_le16(h + 54, 56);
    st_le16(h + 56, 1);
    st_le32(p, 1);        /* PT_LOAD */
    st_le32(p + 4, 7);
    st_le64(p + 8, sizeof h);
    st_le64(p + 16, BASE);
    st_le64(p + 24, BASE);
    st_le64(p + 32, im->size);
    st_le64(p + 40, im->size);
    st_le64(p + 48, 4096);
    FILE *f = fopen(path, "wb");
    bool ok = f && fwrite(h, sizeof h, 1, f) == 1 && fwrite(im->bytes, im->size, 1, f) == 1;
    return f && fclose(f) == 0 && ok;
}

/* What qemu-aarch64 with that CPU leaves in the records, each of size bytes; NULL: it ended otherwise than
 * it should. Caller frees. */
static inline void *oracle_records(const Image *im, const char *cpu, size_t size)
{
    g_autofree char *path = NULL;
    int fd = g_file_open_tmp("lathe-random-XXXXXX", &path, NULL);
    g_assert_cmpint(fd, >=, 0);
    close(fd);
    g_assert_true(write_elf(im, path) && g_chmod(path, 0700) == 0);
    g_autofree char *command = g_strdup_printf("exec qemu-aarch64 -cpu %s '%s' 2>/dev/null", cpu, path);
    void *out = g_malloc0_n(im->n, size);
    FILE *pipe = popen(command, "r");
    size_t got = fread(out, size, im->n, pipe);
    int status = pclose(pipe);
    g_unlink(path);
    if (status == 0 && got == im->n)
        return out;
    g_free(out);
    return NULL;
}

/* ---- ours */

typedef struct Machine {
    Translator *t;
    TranslateCpu *cpu;
    uint32_t exception;
    uint64_t pc;
} Machine;

static inline void exception(void *opaque, TranslateCpu *cpu, uint32_t number, uint64_t value)
{
    Machine *m = opaque;
    m->exception = number;
    m->pc = cpu->pc;
    translate_stop(cpu);
}

static inline bool executable(void *opaque, uint64_t addr) { return addr - BASE < SIZE; }

/* cpu NULL: the default model. */
static inline Machine *machine_new(TranslateAccel accel, const char *cpu)
{
    Machine *m = g_new0(Machine, 1);
    const GuestIsa *isa = guest_isa_by_name("aarch64");
    TranslateOptions options = {.accel = accel, .code_size = 16u << 20};
    GuestEnv env = {.opaque = m, .executable = executable, .exception = exception};
    g_autoptr(GError) error = NULL;
    m->t = translate_new(isa->user, &options, &error);
    g_assert_no_error(error);
    m->cpu = translate_cpu_new(m->t, &env, NULL);
    g_assert_true(isa->configure(m->cpu, cpu, &error));
    return m;
}

static inline void machine_free(Machine *m)
{
    translate_cpu_free(m->cpu);
    translate_free(m->t);
    g_free(m);
}
