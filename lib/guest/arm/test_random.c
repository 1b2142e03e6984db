/* SPDX-License-Identifier: MIT */
/*
 * Random instructions: the interpreter, the compiler and -accel verify in user mode against an oracle
 * of other make, qemu-aarch64, in all registers, NZCV, FPCR, FPSR and memory. Both run the very same
 * bytes at the same address: a driver that for each record loads the registers from it, jumps to the
 * group's code, and stores them back. The oracle writes the records to its standard output. A
 * difference is cut down to the first instruction that shows it.
 *
 * TEST_COUNT is the number of groups, TEST_SEED where the random numbers start.
 */
#include <inttypes.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <glib/gstdio.h>

#include "guest/arm/oracle_priv.h"

#ifdef LATHE_DEBUG
#define DEFAULT_COUNT 8000
#else
#define DEFAULT_COUNT 24000
#endif
#define AT(member) ((uint32_t)offsetof(Record, member))

static void make_driver(Image *im)
{
    uint64_t end = BASE + im->records + im->n * sizeof(Record);
    static const struct { uint32_t msr, at; } status[] = {
        {0xd51b4200, AT(nzcv)}, {0xd51b4400, AT(fpcr)}, {0xd51b4420, AT(fpsr)}};
    address(im, 28, BASE + im->records);
    uint32_t load = im->driver;
    for (unsigned i = 0; i < 3; i++) {
        word(im, LDR(0, status[i].at));
        word(im, status[i].msr);
    }
    word(im, LDR(0, AT(sp)));
    word(im, ADD_IMM(31, 0, 0));
    for (unsigned i = 0; i < 32; i++)
        word(im, 0x3dc00000u | (AT(v) + 16 * i) / 16 << 10 | 28u << 5 | i);
    for (unsigned i = 0; i < 31; i++)
        if (i != 28)
            word(im, LDR(i, 8 * i));
    word(im, 0xd61f0000u | 27u << 5);
    im->epilogue = im->driver;
    for (unsigned i = 0; i < 31; i++)
        if (i != 28)
            word(im, STR(i, 8 * i));
    word(im, ADD_IMM(0, 31, 0));
    word(im, STR(0, AT(sp)));
    for (unsigned i = 0; i < 3; i++) {
        word(im, status[i].msr | 1u << 21);
        word(im, STR(0, status[i].at));
    }
    for (unsigned i = 0; i < 32; i++)
        word(im, 0x3d800000u | (AT(v) + 16 * i) / 16 << 10 | 28u << 5 | i);
    word(im, ADD_IMM(28, 28, sizeof(Record)));
    address(im, 0, end);
    word(im, 0xeb00001fu | 28u << 5); /* cmp x28, x0 */
    word(im, 0x54000001u | ((load - im->driver) / 4 & 0x7ffff) << 5);
    word(im, MOVZ(0, 1));
    address(im, 1, BASE + im->records);
    address(im, 2, im->n * sizeof(Record));
    word(im, MOVZ(8, 64));
    word(im, 0xd4000001);
    word(im, MOVZ(0, 0));
    word(im, MOVZ(8, 94));
    word(im, 0xd4000001);
    g_assert_cmpuint(im->driver, <=, CODE_AT);
}

static Image *image_new(const Group *const *groups, unsigned n)
{
    Image *im = g_new0(Image, 1);
    uint32_t at = CODE_AT;
    im->bytes = g_malloc0(SIZE);
    im->n = n;
    for (unsigned i = 0; i < n; i++) {
        im->code[i] = at;
        at += 4 * groups[i]->unit[groups[i]->units] + 4;
    }
    im->records = (at + 4095) & ~4095u;
    im->size = im->records + n * (uint32_t)sizeof(Record);
    g_assert_cmpuint(im->size, <=, SIZE);
    make_driver(im);
    for (unsigned i = 0; i < n; i++) {
        const Group *g = groups[i];
        uint32_t here = im->records + i * (uint32_t)sizeof(Record), length = g->unit[g->units];
        Record start = g->start;
        start.x[26] = BASE + here + AT(scratch);
        start.x[27] = BASE + im->code[i];
        start.x[28] = BASE + here;
        start.sp = start.x[26] + 64;
        memcpy(im->bytes + here, &start, sizeof start);
        memcpy(im->bytes + im->code[i], g->code, 4 * length);
        at = im->code[i] + 4 * length;
        st_le32(im->bytes + at, branch(at, im->epilogue));
    }
    return im;
}

/* ---- ours */

/* Our records; *trap: the group that ended otherwise than by the driver's call, or -1. */
static Record *machine_run(Machine *m, const Image *im, int *trap)
{
    uint8_t *memory = (uint8_t *)(uintptr_t)BASE;
    memcpy(memory, im->bytes, im->size);
    translate_invalidate(m->t, BASE, SIZE);
    guest_isa_by_name("aarch64")->reset_user(m->cpu, BASE);
    translate_run(m->cpu);
    *trap = -1;
    if (m->exception != ARM_SVC) {
        *trap = 0;
        for (unsigned i = 0; i < im->n; i++)
            if (BASE + im->code[i] <= m->pc)
                *trap = (int)i;
        g_test_message("exception %u at %" PRIx64 ": %08x", m->exception, m->pc, ld_le32(memory + (m->pc - BASE)));
    }
    return g_memdup2(memory + im->records, im->n * sizeof(Record));
}

/* ---- saying what differs */

static void say_code(const uint32_t *code, unsigned length)
{
    g_autofree char *path = NULL, *text = NULL, *tool = g_find_program_in_path("aarch64-linux-gnu-objdump");
    for (unsigned i = 0; i < length && !tool; i++)
        g_test_message("%08x", code[i]);
    if (!tool)
        return;
    int fd = g_file_open_tmp("lathe-random-XXXXXX", &path, NULL);
    g_assert_cmpint(write(fd, code, 4 * length), ==, 4 * length);
    close(fd);
    const char *argv[] = {tool, "-D", "-b", "binary", "-m", "aarch64", path, NULL};
    if (g_spawn_sync(NULL, (char **)argv, NULL, 0, NULL, NULL, &text, NULL, NULL, NULL) && strstr(text, "<.data>:"))
        g_test_message("%s", strstr(text, "<.data>:") + 8);
    g_unlink(path);
}

static void say_difference(const Record *start, const Record *right, const Record *ours)
{
    const uint64_t *s = (const uint64_t *)(const void *)start, *r = (const uint64_t *)(const void *)right,
                   *o = (const uint64_t *)(const void *)ours;
    for (unsigned i = 0; i < sizeof *start / 8; i++) {
        if (r[i] == o[i])
            continue;
        unsigned at = 8 * i;
        g_autofree char *name = at < AT(sp) ? g_strdup_printf("x%u", i)
            : at < AT(v) ? g_strdup_printf("%s", ((const char *[]){"sp", "nzcv", "fpcr", "fpsr"})[MIN(i - 31, 3)])
            : at < AT(scratch) ? g_strdup_printf("v%u.%u", (at - AT(v)) / 16, i & 1) : g_strdup_printf("[%u]", at - AT(scratch));
        g_test_message("%s: was %016" PRIx64 ", right %016" PRIx64 ", ours %016" PRIx64, name, s[i], r[i], o[i]);
    }
}

static void say_operands(const Record *r, uint32_t w)
{
    const unsigned at[] = {0, 5, 16, 10};
    for (unsigned i = 0; i < 4; i++) {
        unsigned n = FIELD(w, at[i], 5);
        g_test_message("x%-2u %016" PRIx64 "  v%-2u %016" PRIx64 " %016" PRIx64, n, n == 31 ? r->sp : r->x[n], n, r->v[n][1],
                       r->v[n][0]);
    }
    g_test_message("nzcv %" PRIx64 " fpcr %" PRIx64 " fpsr %" PRIx64, r->nzcv, r->fpcr, r->fpsr);
}

/* Runs ever longer heads of a group until ours differs: the last unit is the one. */
static void cut_down(Machine *m, const Group *g)
{
    Group *heads = g_new(Group, g->units + 1);
    const Group *list[MAX_UNITS + 1];
    for (unsigned i = 0; i <= g->units; i++) {
        heads[i] = *g;
        heads[i].units = i;
        list[i] = &heads[i];
    }
    Image *im = image_new(list, g->units + 1);
    int trap;
    g_autofree Record *r = oracle_records(im, "max", sizeof(Record));
    g_autofree Record *ours = machine_run(m, im, &trap);
    unsigned at = 1;
    while (r && at <= g->units && (int)at != trap && !memcmp(&r[at], &ours[at], sizeof *r))
        at++;
    if (!r || at > g->units) {
        g_test_message(r ? "only as a whole:" : "the oracle dies of:");
        say_code(g->code, g->unit[g->units]);
    } else {
        say_code(g->code + g->unit[at - 1], g->unit[at] - g->unit[at - 1]);
        say_difference(&r[at - 1], &r[at], &ours[at]);
        say_operands(&r[at - 1], g->code[g->unit[at] - 1]);
    }
    image_free(im);
    g_free(heads);
}

/* Finds by halves the group that the oracle dies of, and in it the unit. */
static void oracle_died(const Group *const *groups, unsigned n)
{
    while (n > 1) {
        Image *im = image_new(groups, n / 2);
        g_autofree Record *r = oracle_records(im, "max", sizeof(Record));
        image_free(im);
        groups += r ? n / 2 : 0;
        n = r ? n - n / 2 : n / 2;
    }
    Group g = *groups[0];
    for (g.units = 1; g.units < groups[0]->units; g.units++) {
        const Group *one = &g;
        Image *im = image_new(&one, 1);
        g_autofree Record *r = oracle_records(im, "max", sizeof(Record));
        image_free(im);
        if (!r)
            break;
    }
    g_test_message("the oracle dies of the last of:");
    say_code(g.code + g.unit[g.units - 1], g.unit[g.units] - g.unit[g.units - 1]);
}

/* ---- the test */

static const struct {
    const char *name;
    TranslateAccel accel;
} subjects[] = {{"interp", TRANSLATE_INTERP}, {"jit", TRANSLATE_JIT}, {"verify", TRANSLATE_VERIFY}};

static unsigned compare(Machine *m, const char *name, const Image *im, const Group *const *groups, const Record *right)
{
    int trap;
    unsigned bad = 0;
    g_autofree Record *ours = machine_run(m, im, &trap);
    for (unsigned i = 0; i < im->n && bad < 4; i++) {
        if (!memcmp(&right[i], &ours[i], sizeof *right) && (int)i != trap)
            continue;
        g_test_message("%s: group %u of its part", name, i);
        cut_down(m, groups[i]);
        bad++;
        if ((int)i == trap)
            break;
    }
    return bad;
}

static uint64_t setting(const char *name, uint64_t otherwise)
{
    const char *text = g_getenv(name);
    return text && *text ? g_ascii_strtoull(text, NULL, 0) : otherwise;
}

static bool read_patterns(Gen *gen)
{
    static const char *const files[FILES] = {"int", "mem", "sys", "fp", "simd", "half", "ext", "pauth", "mte"};
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL), *dir = self ? g_path_get_dirname(self) : g_strdup(".");
    for (unsigned i = 0; i < FILES; i++) {
        g_autofree char *name = g_strdup_printf("lib/guest/arm/a64_%s.decode", files[i]);
        g_autofree char *other = g_build_filename(dir, "../../..", name, NULL);
        gen->patterns[i] = g_array_new(FALSE, TRUE, sizeof(Pattern));
        if (!gen_read(gen, i, name) && !gen_read(gen, i, other))
            return false;
    }
    return true;
}

/* Each line of the tables was made, but for those that raise exceptions or are not for the oracle. */
static void check_all_made(Gen *gen)
{
    static const char *const not[] = {"svc", "brk", "sys", "service", "bra", "irg"};
    for (unsigned i = 0; i < FILES; i++)
        for (unsigned k = 0; k < gen->patterns[i]->len; k++) {
            const Pattern *p = &g_array_index(gen->patterns[i], Pattern, k);
            bool left_out = false;
            for (unsigned j = 0; j < G_N_ELEMENTS(not); j++)
                left_out |= is(p, not[j]);
            if (!left_out && !p->made)
                g_error("%s was never made", p->name);
        }
}

static void test_oracle(void)
{
    g_autofree char *oracle = g_find_program_in_path("qemu-aarch64");
    Gen gen = {.state = setting("TEST_SEED", 1), .b = g_new0(IrBuilder, 1)};
    unsigned count = (unsigned)setting("TEST_COUNT", DEFAULT_COUNT), bad = 0;
    if (!oracle || !read_patterns(&gen)) {
        g_test_skip("qemu-aarch64 (package qemu-user) or the decode files are missing");
        return;
    }
    void *memory = mmap((void *)(uintptr_t)BASE, SIZE, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    g_assert_true(memory == (void *)(uintptr_t)BASE);
    Machine *machines[G_N_ELEMENTS(subjects)];
    for (unsigned a = 0; a < G_N_ELEMENTS(subjects); a++)
        machines[a] = machine_new(subjects[a].accel, NULL);
    ir_builder_init(gen.b, &guest_isa_by_name("aarch64")->user->ir);
    gen.b->cpu = machines[0]->cpu;
    Group *all = g_new(Group, MAX_GROUPS);
    const Group **groups = g_new(const Group *, MAX_GROUPS);
    for (unsigned done = 0, part = 0; done < count && !bad; part++) {
        unsigned n = MIN(count - done, MAX_GROUPS);
        for (unsigned i = 0; i < n; i++) {
            group_random(&gen, &all[i]);
            groups[i] = &all[i];
        }
        Image *im = image_new(groups, n);
        g_autofree Record *right = oracle_records(im, "max", sizeof(Record));
        if (!right)
            oracle_died(groups, n);
        bad += !right;
        for (unsigned a = 0; right && a < G_N_ELEMENTS(subjects); a++)
            if (subjects[a].accel != TRANSLATE_VERIFY || part % 4 == 0) /* it is slow: a part will do */
                bad += compare(machines[a], subjects[a].name, im, groups, right);
        image_free(im);
        done += n;
    }
    if (bad)
        g_test_message("again with TEST_SEED=%" PRIu64 " TEST_COUNT=%u", setting("TEST_SEED", 1), count);
    g_assert_cmpuint(bad, ==, 0);
    if (count >= 1000)
        check_all_made(&gen);
    for (unsigned a = 0; a < G_N_ELEMENTS(subjects); a++)
        machine_free(machines[a]);
    for (unsigned i = 0; i < FILES; i++)
        g_array_unref(gen.patterns[i]);
    ir_builder_clear(gen.b);
    g_free(gen.b);
    g_free(groups);
    g_free(all);
    munmap(memory, SIZE);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/arm/random", test_oracle);
    return g_test_run();
}
