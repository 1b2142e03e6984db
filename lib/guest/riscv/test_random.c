/* SPDX-License-Identifier: MIT */
/*
 * Random instructions: the interpreter, the compiler and -accel verify against
 * an oracle of other make, qemu-riscv64 and qemu-riscv32, in all registers, fcsr and memory; what
 * that lacks or does wrong (Zicond, Zicbom, Zicboz, ctzw) against a model written
 * here from the manual. A difference is cut down to the first instruction that shows it.
 *
 * TEST_COUNT is the number of groups of 16 to 32 instructions, TEST_SEED where
 * the random numbers start: a failure names both.
 */
#include "guest/riscv/oracle_priv.h"

#ifdef LATHE_DEBUG
#define DEFAULT_COUNT 8000
#else
#define DEFAULT_COUNT 32000
#endif

/* Who runs the groups. uxl: only RV32's, on an RV64 hart whose U-mode is set to 32 bits. */
static const struct {
    const char *name;
    TranslateAccel accel;
    bool uxl;
} subjects[] = {
    {"interp", TRANSLATE_INTERP, false}, {"jit", TRANSLATE_JIT, false}, {"verify", TRANSLATE_VERIFY, false},
    {"interp, UXL=32", TRANSLATE_INTERP, true}, {"jit, UXL=32", TRANSLATE_JIT, true},
};

static uint64_t setting(const char *name, uint64_t otherwise)
{
    const char *text = g_getenv(name);
    return text && *text ? g_ascii_strtoull(text, NULL, 0) : otherwise;
}

/* The decode files lie in the source tree: below the current folder, or three above this
   program. */
static bool read_patterns(Gen *gen)
{
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    g_autofree char *dir = self ? g_path_get_dirname(self) : g_strdup(".");
    const char *const roots[] = {".", "../../.."};
    for (unsigned i = 0; i < 2; i++) {
        g_autofree char *rv = g_build_filename(i ? dir : ".", roots[i], "lib/guest/riscv/rv.decode",
                                               NULL);
        g_autofree char *rvc = g_build_filename(i ? dir : ".", roots[i],
                                                "lib/guest/riscv/rvc.decode", NULL);
        if (g_file_test(rv, G_FILE_TEST_EXISTS))
            return gen_read(gen, rv) && gen_read(gen, rvc);
    }
    return false;
}

/* ---- saying what differs */
static void say_code(const uint16_t *code, unsigned length, bool rv32)
{
    g_autofree char *path = NULL, *tool = g_find_program_in_path("riscv64-linux-gnu-objdump");
    GString *words = g_string_new("words:");
    for (unsigned i = 0; i < length; i++)
        g_string_append_printf(words, " %04x", code[i]);
    g_test_message("%s", words->str);
    g_string_free(words, TRUE);
    if (!tool)
        return;
    int fd = g_file_open_tmp("lathe-random-XXXXXX", &path, NULL);
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(write(fd, code, 2 * length), ==, 2 * length);
    close(fd);
    const char *argv[] = {tool, "-D", "-b", "binary", "-m", rv32 ? "riscv:rv32" : "riscv:rv64",
                          path, NULL};
    g_autofree char *text = NULL;
    if (g_spawn_sync(NULL, (char **)argv, NULL, 0, NULL, NULL, &text, NULL, NULL, NULL) &&
        strstr(text, "<.data>:"))
        g_test_message("%s", strstr(text, "<.data>:") + 8);
    g_unlink(path);
}

static void say_difference(const Record *start, const Record *right, const Record *ours)
{
    for (unsigned i = 0; i < 64; i++) {
        uint64_t a = (i < 32 ? start->x : start->f)[i & 31],
            b = (i < 32 ? right->x : right->f)[i & 31];
        uint64_t c = (i < 32 ? ours->x : ours->f)[i & 31];
        if (b != c)
            g_test_message("%c%u: was %016" PRIx64 ", right %016" PRIx64 ", ours %016" PRIx64,
                           i < 32 ? 'x' : 'f', i & 31, a, b, c);
    }
    if (right->fcsr != ours->fcsr)
        g_test_message("fcsr: was %" PRIx64 ", right %" PRIx64 ", ours %" PRIx64, start->fcsr,
                       right->fcsr, ours->fcsr);
    for (unsigned i = 0; i < SCRATCH; i++)
        if (right->scratch[i] != ours->scratch[i])
            g_test_message("scratch[%u]: was %02x, right %02x, ours %02x", i, start->scratch[i],
                           right->scratch[i], ours->scratch[i]);
}

static void say_operands(const Record *r)
{
    for (unsigned i = 0; i < 32; i++)
        g_test_message("x%-2u %016" PRIx64 "  f%-2u %016" PRIx64, i, r->x[i], i, r->f[i]);
    g_test_message("fcsr %" PRIx64, r->fcsr);
}

/* What a run of groups should leave. */
typedef Record *Right(const Image *im, const Group *const *groups);

/* Runs ever longer heads of a group until ours differs: the last unit is the one. */
static void cut_down(Machine *m, const Group *g, bool rv32, RiscvPriv priv, Right *right)
{
    Group *heads = g_new(Group, g->units + 1);
    const Group *list[MAX_UNITS + 1];
    for (unsigned i = 0; i <= g->units; i++) {
        heads[i] = *g;
        heads[i].units = i;
        list[i] = &heads[i];
    }
    Image *im = image_new(list, g->units + 1, rv32);
    int trap;
    g_autofree Record *r = right(im, list);
    g_autofree Record *ours = machine_records(m, im, priv, &trap);
    unsigned at = 1;
    while (r && at <= g->units && (int)at != trap && !memcmp(&r[at], &ours[at], sizeof *r))
        at++;
    if (!r || at > g->units) {
        g_test_message("only as a whole:");
        say_code(g->code, g->unit[g->units], rv32);
    } else {
        say_code(g->code + g->unit[at - 1], g->unit[at] - g->unit[at - 1], rv32);
        say_difference(&r[at - 1], &r[at], &ours[at]);
        say_operands(&r[at - 1]);
        g_test_message("what came before, from the start of the group:");
        say_code(g->code, g->unit[at], rv32);
    }
    image_free(im);
    g_free(heads);
}

/* Finds by halves the group that the oracle dies of. */
static void oracle_died(const Group *const *groups, unsigned n, bool rv32, int status)
{
    while (n > 1) {
        unsigned half = n / 2;
        Image *im = image_new(groups, half, rv32);
        int s;
        g_autofree Record *r = oracle_run(im, &s);
        image_free(im);
        groups += r ? half : 0;
        n = r ? n - half : half;
    }
    g_test_message("the oracle ends with status %x in:", status);
    say_code(groups[0]->code, groups[0]->unit[groups[0]->units], rv32);
}

static Record *right_by_oracle(const Image *im, const Group *const *groups)
{
    int status;
    Record *r = oracle_run(im, &status);
    if (!r)
        oracle_died(groups, im->n, im->rv32, status);
    return r;
}

/* Zicond, ctzw, and the cache-block operations, whose blocks are of 64 bytes; M-mode may use
   all. */
static Record *right_by_model(const Image *im, const Group *const *groups)
{
    Record *out = g_memdup2(im->bytes + im->records, im->n * sizeof(Record));
    for (unsigned i = 0; i < im->n; i++) {
        const Group *g = groups[i];
        uint64_t *x = out[i].x, scratch = x[3] + offsetof(Record, scratch);
        for (unsigned at = 0; at < g->unit[g->units]; at += 2) {
            uint32_t w = g->code[at] | (uint32_t)g->code[at + 1] << 16, rd = FIELD(w, 7, 5),
                f3 = FIELD(w, 12, 3);
            uint32_t low = (uint32_t)x[FIELD(w, 15, 5)];
            bool zero = x[FIELD(w, 20, 5)] == 0;
            if ((w & 0x7f) == 0x33 && rd)
                x[rd] = zero == (f3 == 5) ? 0 : x[FIELD(w, 15, 5)];
            else if ((w & 0x7f) == 0x1b && rd)
                x[rd] = low ? (uint64_t)__builtin_ctz(low) : 32;
            else if ((w & 0x7f) == 0x0f && w >> 20 == 4)
                memset(out[i].scratch + ((x[FIELD(w, 15, 5)] & ~UINT64_C(63)) - scratch), 0, 64);
        }
    }
    return out;
}

/* ---- tests */
static unsigned compare(Machine *m, const char *name, const Image *im, const Group *const *groups,
                        const Record *right,
                        RiscvPriv priv, Right *how)
{
    int trap;
    unsigned bad = 0;
    g_autofree Record *ours = machine_records(m, im, priv, &trap);
    for (unsigned i = 0; i < im->n && bad < 5; i++) {
        if (!memcmp(&right[i], &ours[i], sizeof *right) && (int)i != trap)
            continue;
        g_test_message("%s, %s mode: group %u of its part", name, priv == RISCV_M ? "M" : "U", i);
        say_difference((const Record *)(const void *)(im->bytes + im->records) + i, &right[i],
                       &ours[i]);
        cut_down(m, groups[i], im->rv32, priv, how);
        bad++;
        if ((int)i == trap)
            break;
    }
    return bad;
}

static void run_groups(Gen *gen, unsigned count, const char *extra, void (*make)(Gen *, Group *),
                       Right *right, bool user)
{
    Machine *machines[G_N_ELEMENTS(subjects)] = {NULL};
    uint64_t seed = gen->state;
    Group *all = g_new(Group, MAX_GROUPS);
    const Group **groups = g_new(const Group *, MAX_GROUPS);
    unsigned bad = 0;
    for (unsigned a = 0; a < G_N_ELEMENTS(subjects); a++) {
        bool narrow = gen->rv32 && !subjects[a].uxl;
        g_autofree char *model = g_strdup_printf("%s%s", narrow ? "rv32" : "rv64", extra);
        if (subjects[a].uxl && !(gen->rv32 && user))
            continue;
        machines[a] = machine_new(narrow ? "riscv32" : "riscv64", model, subjects[a].accel);
        g_assert_cmpuint(machines[a]->rv->props.cboz_block, ==, 64);
    }
    for (unsigned done = 0, part = 0; done < count && !bad; part++) {
        unsigned n = MIN(count - done, MAX_GROUPS);
        for (unsigned i = 0; i < n; i++) {
            make(gen, &all[i]);
            groups[i] = &all[i];
            if (!part)
                gen_count(gen, &all[i]);
        }
        Image *im = image_new(groups, n, gen->rv32);
        g_autofree Record *r = right(im, groups);
        for (unsigned a = 0; r && a < G_N_ELEMENTS(subjects); a++) {
            RiscvPriv priv = subjects[a].uxl || (user && part % 2) ? RISCV_U : RISCV_M;
            if (machines[a] && (subjects[a].accel != TRANSLATE_VERIFY || part % 4 == 0)) /* it is slow: a part will do */
                bad += compare(machines[a], subjects[a].name, im, groups, r, priv, right);
        }
        bad += !r;
        image_free(im);
        done += n;
    }
    for (unsigned a = 0; a < G_N_ELEMENTS(subjects); a++)
        if (machines[a])
            machine_free(machines[a]);
    g_free(groups);
    g_free(all);
    if (bad)
        g_test_message("again with TEST_SEED=0x%" PRIx64 " TEST_COUNT=%u", seed, count);
    g_assert_cmpuint(bad, ==, 0);
    if (count >= 1000 && right == right_by_oracle) {
        gen_check_all_made(gen->fp);
        gen_check_all_made(gen->other);
    } else if (count >= 100) {
        gen_check_all_made(gen->model);
    }
}

static void test_oracle(gconstpointer narrow)
{
    bool rv32 = narrow != NULL;
    g_autofree char *oracle = g_find_program_in_path(ORACLE(rv32));
    Gen *gen = gen_new(setting("TEST_SEED", 1), rv32);
    if (!oracle)
        g_test_skip("the oracle is not installed (package qemu-user)");
    else if (!read_patterns(gen))
        g_test_skip("lib/guest/riscv/*.decode not found: run it in the source tree");
    else
        run_groups(gen, (unsigned)setting("TEST_COUNT", DEFAULT_COUNT), "", group_random, right_by_oracle, true);
    gen_free(gen);
}

static void test_model(gconstpointer narrow)
{
    Gen *gen = gen_new(setting("TEST_SEED", 1), narrow != NULL);
    if (!read_patterns(gen))
        g_test_skip("lib/guest/riscv/*.decode not found: run it in the source tree");
    else
        run_groups(gen, (unsigned)setting("TEST_COUNT", DEFAULT_COUNT) / 8, ",zicond=on", group_model, right_by_model, false);
    gen_free(gen);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/riscv/random/oracle64", NULL, test_oracle);
    g_test_add_data_func("/riscv/random/model64", NULL, test_model);
    g_test_add_data_func("/riscv/random/oracle32", "32", test_oracle);
    g_test_add_data_func("/riscv/random/model32", "32", test_model);
    return g_test_run();
}
