/* SPDX-License-Identifier: MIT */
/*
 * SVE by random instructions, as test_random.c does it for the rest: the interpreter, the compiler and
 * -accel verify against qemu-aarch64 at several vector lengths, in all of Z, P, FFR, general registers,
 * NZCV, FPCR, FPSR and memory. Driver and code are the very same bytes for both.
 *
 * TEST_COUNT is the number of groups for each length, TEST_SEED where the random numbers start,
 * TEST_VL one length alone.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <glib/gstdio.h>

#include "guest/arm/oracle_priv.h"
#include "guest/arm/sve_random_priv.h"

#ifdef LATHE_DEBUG
#define DEFAULT_COUNT 400
#else
#define DEFAULT_COUNT 2000
#endif
#define SVE_GROUPS 400 /* their records are long */
#define MODEL "max,sve-max-vq=16,sve-default-vector-length="

#define AT(member) ((uint32_t)offsetof(SveRecord, member))
/* LDR or STR of Z and P registers at x25 */
#define OF_Z(op, n) ((op) | 0x4000u | (uint32_t)(n) >> 3 << 16 | ((uint32_t)(n) & 7) << 10 | 25u << 5 | (n))
#define OF_P(op, at, n) ((op) | (uint32_t)(at) >> 3 << 16 | ((uint32_t)(at) & 7) << 10 | 25u << 5 | (n))
#define LOAD 0x85800000u
#define STORE 0xe5800000u

static void all_z(Image *im, uint32_t op)
{
    word(im, ADD_IMM(25, 28, AT(z)));
    for (unsigned i = 0; i < 32; i++)
        word(im, OF_Z(op, i));
    word(im, ADD_IMM(25, 28, AT(p)));
}

static void make_driver(Image *im)
{
    uint64_t end = BASE + im->records + im->n * sizeof(SveRecord);
    static const struct { uint32_t msr, at; } status[] = {
        {0xd51b4200, AT(nzcv)}, {0xd51b4400, AT(fpcr)}, {0xd51b4420, AT(fpsr)}};
    address(im, 28, BASE + im->records);
    uint32_t load = im->driver;
    for (unsigned i = 0; i < 3; i++) {
        word(im, LDR(0, status[i].at));
        word(im, status[i].msr);
    }
    all_z(im, LOAD);
    word(im, OF_P(LOAD, 16, 0));
    word(im, 0x25289000); /* wrffr p0.b */
    for (unsigned i = 0; i < 16; i++)
        word(im, OF_P(LOAD, i, i));
    for (unsigned i = 0; i < 31; i++)
        if (i != 28)
            word(im, LDR(i, 8 * i));
    word(im, ADD_IMM(31, 28, 0)); /* sp */
    word(im, 0xd61f0000u | 27u << 5);
    im->epilogue = im->driver;
    for (unsigned i = 0; i < 31; i++)
        if (i != 28)
            word(im, STR(i, 8 * i));
    for (unsigned i = 0; i < 3; i++) {
        word(im, status[i].msr | 1u << 21);
        word(im, STR(0, status[i].at));
    }
    all_z(im, STORE);
    for (unsigned i = 0; i < 16; i++)
        word(im, OF_P(STORE, i, i));
    word(im, 0x2519f000); /* rdffr p0.b */
    word(im, OF_P(STORE, 16, 0));
    word(im, 0x91401000u | 28u << 5 | 28u); /* add x28, x28, #4, lsl 12 */
    address(im, 0, end);
    word(im, 0xeb00001fu | 28u << 5); /* cmp x28, x0 */
    word(im, 0x54000001u | ((load - im->driver) / 4 & 0x7ffff) << 5);
    word(im, MOVZ(0, 1));
    address(im, 1, BASE + im->records);
    address(im, 2, im->n * sizeof(SveRecord));
    word(im, MOVZ(8, 64));
    word(im, 0xd4000001);
    word(im, MOVZ(0, 0));
    word(im, MOVZ(8, 94));
    word(im, 0xd4000001);
    g_assert_cmpuint(im->driver, <=, CODE_AT);
}

static Image *image_new(const SveGroup *const *groups, unsigned n, unsigned vl)
{
    Image *im = g_new0(Image, 1);
    uint32_t at = CODE_AT;
    im->bytes = g_malloc0(SIZE);
    im->n = n;
    im->vl = vl;
    for (unsigned i = 0; i < n; i++) {
        im->code[i] = at;
        at += 4 * groups[i]->unit[groups[i]->units] + 4;
    }
    im->records = (at + 4095) & ~4095u;
    im->size = im->records + n * (uint32_t)sizeof(SveRecord);
    g_assert_cmpuint(im->size, <=, SIZE);
    make_driver(im);
    for (unsigned i = 0; i < n; i++) {
        const SveGroup *g = groups[i];
        uint32_t here = im->records + i * (uint32_t)sizeof(SveRecord), length = g->unit[g->units];
        SveRecord *start = (SveRecord *)(void *)(im->bytes + here);
        *start = g->start;
        start->x[26] = BASE + here + AT(scratch) + 1536;
        start->x[27] = BASE + im->code[i];
        start->x[28] = BASE + here;
        memcpy(im->bytes + im->code[i], g->code, 4 * length);
        at = im->code[i] + 4 * length;
        st_le32(im->bytes + at, branch(at, im->epilogue));
    }
    return im;
}

/* ---- ours */

static TranslateCpu *running; /* for the signal handler */

static void on_fault(int number, siginfo_t *info, void *ucontext)
{
    if (!running || !translate_host_fault(running, ucontext))
        signal(number, SIG_DFL);
}

/* The model with that vector length, as both spell it. Caller frees. */
static char *model_of(unsigned vl)
{
    return g_strdup_printf(MODEL "%u", vl);
}

static SveRecord *oracle_run(const Image *im)
{
    g_autofree char *model = model_of(im->vl);
    return oracle_records(im, model, sizeof(SveRecord));
}

/* Our records; *trap: the group that ended otherwise than by the driver's call, or -1. */
static SveRecord *machine_run(Machine *m, const Image *im, int *trap)
{
    uint8_t *memory = (uint8_t *)(uintptr_t)BASE;
    memcpy(memory, im->bytes, im->size);
    translate_invalidate(m->t, BASE, SIZE);
    guest_isa_by_name("aarch64")->reset_user(m->cpu, BASE);
    running = m->cpu;
    translate_run(m->cpu);
    *trap = -1;
    if (m->exception != ARM_SVC) {
        *trap = 0;
        for (unsigned i = 0; i < im->n; i++)
            if (BASE + im->code[i] <= m->pc)
                *trap = (int)i;
        g_test_message("exception %u at %" PRIx64 ": %08x", m->exception, m->pc, ld_le32(memory + (m->pc - BASE)));
    }
    return g_memdup2(memory + im->records, im->n * sizeof(SveRecord));
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

static void say_difference(const Image *im, const SveRecord *start, const SveRecord *right, const SveRecord *ours)
{
    const uint8_t *s = (const uint8_t *)start, *r = (const uint8_t *)right, *o = (const uint8_t *)ours;
    unsigned said = 0;
    for (unsigned i = 0; i < sizeof *start && said < 12; i += 8) {
        if (!memcmp(r + i, o + i, 8))
            continue;
        said++;
        g_autofree char *name = i < AT(nzcv) ? g_strdup_printf("x%u", i / 8)
            : i < AT(p) ? g_strdup_printf("%s", ((const char *[]){"nzcv", "fpcr", "fpsr"})[MIN((i - AT(nzcv)) / 8, 2)])
            : i < AT(z) ? g_strdup_printf("p%u[%u]", (i - AT(p)) * 8 / im->vl, (i - AT(p)) % (im->vl / 8))
            : i < AT(scratch) ? g_strdup_printf("z%u[%u]", (i - AT(z)) / im->vl, (i - AT(z)) % im->vl)
                              : g_strdup_printf("[%u]", i - AT(scratch));
        g_test_message("%s: was %016" PRIx64 ", right %016" PRIx64 ", ours %016" PRIx64, name, ld_le64(s + i), ld_le64(r + i), ld_le64(o + i));
    }
}

static void say_vector(const char *name, unsigned n, const uint8_t *p, unsigned bytes)
{
    g_autoptr(GString) text = g_string_new(NULL);
    for (unsigned i = 0; i < bytes; i += MIN(8, bytes))
        g_string_append_printf(text, bytes >= 8 ? " %016" PRIx64 : " %04" PRIx64, bytes >= 8 ? ld_le64(p + i) : ld_le16(p));
    g_test_message("%s%-2u%s", name, n, text->str);
}

static void say_operands(const Image *im, const SveRecord *r, uint32_t w)
{
    static const unsigned at[] = {0, 5, 16};
    for (unsigned i = 0; i < 3; i++) {
        unsigned n = FIELD(w, at[i], 5);
        g_test_message("x%-2u %016" PRIx64, n, n == 31 ? 0 : r->x[n]);
        say_vector("z", n, &r->z[0][0] + n * im->vl, MIN(im->vl, 64));
        say_vector("p", n & 15, &r->p[0][0] + (n & 15) * im->vl / 8, im->vl / 8);
    }
    for (unsigned i = 3; i <= 4; i++) /* governing ones */
        say_vector("p", FIELD(w, 10, i), &r->p[0][0] + FIELD(w, 10, i) * im->vl / 8, im->vl / 8);
    say_vector("p", 16, &r->p[0][0] + 16 * im->vl / 8, im->vl / 8);
    g_test_message("nzcv %" PRIx64 " fpcr %" PRIx64 " fpsr %" PRIx64, r->nzcv, r->fpcr, r->fpsr);
}

/* Runs ever longer heads of a group until ours differs: the last unit is the one. */
static void cut_down(Machine *m, const SveGroup *g, unsigned vl)
{
    SveGroup *heads = g_new(SveGroup, g->units + 1);
    const SveGroup *list[SVE_UNITS + 1];
    for (unsigned i = 0; i <= g->units; i++) {
        heads[i] = *g;
        heads[i].units = i;
        list[i] = &heads[i];
    }
    Image *im = image_new(list, g->units + 1, vl);
    int trap;
    g_autofree SveRecord *r = oracle_run(im);
    g_autofree SveRecord *ours = machine_run(m, im, &trap);
    unsigned at = 1;
    for (unsigned i = 0; r && i <= g->units; i++) /* x25 to x28 say where the record is */
        for (unsigned k = 25; k < 29; k++)
            r[i].x[k] = ours[i].x[k] = 0;
    while (r && at <= g->units && (int)at != trap && !memcmp(&r[at], &ours[at], sizeof *r))
        at++;
    if (!r || at > g->units) {
        g_test_message(r ? "only as a whole:" : "the oracle dies of:");
        say_code(g->code, g->unit[g->units]);
    } else {
        say_code(g->code + g->unit[at - 1], g->unit[at] - g->unit[at - 1]);
        say_difference(im, &r[at - 1], &r[at], &ours[at]);
        say_operands(im, &r[at - 1], g->code[g->unit[at] - 1]);
    }
    image_free(im);
    g_free(heads);
}

/* Finds by halves the group that the oracle dies of, and in it the unit. */
static void oracle_died(const SveGroup *const *groups, unsigned n, unsigned vl)
{
    while (n > 1) {
        Image *im = image_new(groups, n / 2, vl);
        g_autofree SveRecord *r = oracle_run(im);
        image_free(im);
        groups += r ? n / 2 : 0;
        n = r ? n - n / 2 : n / 2;
    }
    SveGroup g = *groups[0];
    for (g.units = 1; g.units < groups[0]->units; g.units++) {
        const SveGroup *one = &g;
        Image *im = image_new(&one, 1, vl);
        g_autofree SveRecord *r = oracle_run(im);
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

static unsigned compare(Machine *m, const char *name, const Image *im, const SveGroup *const *groups, const SveRecord *right)
{
    int trap;
    unsigned bad = 0;
    g_autofree SveRecord *ours = machine_run(m, im, &trap);
    for (unsigned i = 0; i < im->n && bad < 4; i++) {
        if (!memcmp(&right[i], &ours[i], sizeof *right) && (int)i != trap)
            continue;
        g_test_message("%s: group %u of its part", name, i);
        cut_down(m, groups[i], im->vl);
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

enum { TABLES = 6 };

static bool read_patterns(Gen *gen)
{
    static const char *const files[TABLES] = {"sve_int", "sve_fp", "sve_mem", "fp", "simd", "sve2"};
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL), *dir = self ? g_path_get_dirname(self) : g_strdup(".");
    for (unsigned i = 0; i < TABLES; i++) {
        g_autofree char *name = g_strdup_printf("lib/guest/arm/a64_%s.decode", files[i]);
        g_autofree char *other = g_build_filename(dir, "../../..", name, NULL);
        gen->patterns[i] = g_array_new(FALSE, TRUE, sizeof(Pattern));
        if (!gen_read(gen, i, name) && !gen_read(gen, i, other))
            return false;
    }
    return true;
}

static void check_all_made(Gen *gen)
{
    for (unsigned i = 0; i < TABLES; i++)
        for (unsigned k = 0; k < gen->patterns[i]->len; k++)
            if (i != 3 && i != 4 && !g_array_index(gen->patterns[i], Pattern, k).made)
                g_error("%s was never made", g_array_index(gen->patterns[i], Pattern, k).name);
}

static void test_length(gconstpointer data)
{
    unsigned vl = GPOINTER_TO_UINT(data), bad = 0, count = (unsigned)setting("TEST_COUNT", DEFAULT_COUNT);
    g_autofree char *oracle = g_find_program_in_path("qemu-aarch64");
    SveGen s = {.gen = {.state = setting("TEST_SEED", 1), .b = g_new0(IrBuilder, 1)}, .vl = vl};
    if (!oracle || !read_patterns(&s.gen)) {
        g_test_skip("qemu-aarch64 (package qemu-user) or the decode files are missing");
        return;
    }
    void *memory = mmap((void *)(uintptr_t)BASE, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    g_assert_true(memory == (void *)(uintptr_t)BASE);
    g_autofree char *model = model_of(vl);
    Machine *machines[G_N_ELEMENTS(subjects)];
    for (unsigned a = 0; a < G_N_ELEMENTS(subjects); a++)
        machines[a] = machine_new(subjects[a].accel, model);
    ir_builder_init(s.gen.b, &guest_isa_by_name("aarch64")->user->ir);
    s.gen.b->cpu = machines[0]->cpu;
    s.gen.b->mode = MODE_Z_USED | (uint64_t)(vl / 16 - 1) << MODE_VL_AT;
    SveGroup *all = g_new(SveGroup, SVE_GROUPS);
    const SveGroup **groups = g_new(const SveGroup *, SVE_GROUPS);
    for (unsigned done = 0, part = 0; done < count && !bad; part++) {
        unsigned n = MIN(count - done, SVE_GROUPS);
        for (unsigned i = 0; i < n; i++) {
            sve_group_random(&s, &all[i]);
            groups[i] = &all[i];
        }
        Image *im = image_new(groups, n, vl);
        g_autofree SveRecord *right = oracle_run(im);
        if (!right)
            oracle_died(groups, n, vl);
        bad += !right;
        for (unsigned a = 0; right && a < G_N_ELEMENTS(subjects); a++)
            if (subjects[a].accel != TRANSLATE_VERIFY || part % 4 == 0) /* it is slow: a part will do */
                bad += compare(machines[a], subjects[a].name, im, groups, right);
        image_free(im);
        done += n;
    }
    if (bad)
        g_test_message("again with TEST_SEED=%" PRIu64 " TEST_COUNT=%u TEST_VL=%u", setting("TEST_SEED", 1), count, vl);
    g_assert_cmpuint(bad, ==, 0);
    if (count >= 1000)
        check_all_made(&s.gen);
    for (unsigned a = 0; a < G_N_ELEMENTS(subjects); a++)
        machine_free(machines[a]);
    for (unsigned i = 0; i < TABLES; i++)
        g_array_unref(s.gen.patterns[i]);
    ir_builder_clear(s.gen.b);
    g_free(s.gen.b);
    g_free(groups);
    g_free(all);
    running = NULL;
    munmap(memory, SIZE);
}

int main(int argc, char **argv)
{
    static const unsigned lengths[] = {16, 32, 48, 64, 256};
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};
    g_test_init(&argc, &argv, NULL);
    sigaction(SIGSEGV, &action, NULL);
    for (unsigned i = 0; i < G_N_ELEMENTS(lengths); i++) {
        g_autofree char *name = g_strdup_printf("/arm/sve/%u", lengths[i]);
        if (setting("TEST_VL", lengths[i]) == lengths[i])
            g_test_add_data_func(name, GUINT_TO_POINTER(lengths[i]), test_length);
    }
    return g_test_run();
}
