/* SPDX-License-Identifier: MIT */
/*
 * The same steps again and again, with another one of the writes to the file (or of its flushes) failing
 * each time: by itself, or with all after it. Whatever fails, the image is not damaged, and what was flushed
 * before is there. TEST_SEED changes the steps, TEST_OPS their number; TEST_STRIDE=1 fails every
 * write of every kind of image, not only some.
 */
#include "block/drivers/qcow2/test_world.h"

#include <errno.h>

enum { QUIET = 6 }; /* so many runs without a failure: all writes had their turn */

static const Fault faults[] = {
    { "write_aio", "write", EIO, false },
    { "write_aio", "write", ENOSPC, true },
    { "flush_to_disk", "flush", EIO, false },
};

typedef struct {
    World world;
    WorldModel *before;
    char *image, *base; /* as they were before, kept as files */
} Fixture;

/* An image that has something of everything. */
static void fixture_init(Fixture *f, const Kind *kind)
{
    World *w = &f->world;

    world_init(w, kind, env("TEST_SEED", 1));
    w->plain = true;
    world_open(w, BLOCK_OPEN_UNMAP);
    for (int i = 0; i < 60; i++)
        world_step(w);
    world_close(w);
    world_settled(w);
    world_check(w);
    f->before = g_memdup2(w->model, sizeof *w->model);
    f->image = g_strconcat(w->file, ".before", NULL);
    f->base = g_strconcat(w->base, ".before", NULL);
    run("cp %s %s", w->file, f->image);
    if (kind->backing)
        run("cp %s %s", w->base, f->base);
    if (kind->data_file)
        run("cp %s.data %s.data", w->file, f->image);
}

static void fixture_restore(Fixture *f)
{
    World *w = &f->world;

    memcpy(w->model, f->before, sizeof *w->model);
    run("cp %s %s", f->image, w->file);
    if (w->kind->backing)
        run("cp %s %s", f->base, w->base);
    if (w->kind->data_file)
        run("cp %s.data %s.data", f->image, w->file);
    g_rand_set_seed(w->rand, env("TEST_SEED", 1) + 1);
}

static void fixture_clear(Fixture *f)
{
    world_clear(&f->world);
    g_free(f->before);
    g_free(f->image);
    g_free(f->base);
}

/* Whether something failed. */
static bool run_with(Fixture *f, const Fault *fault, unsigned n)
{
    g_autofree char *debug = fault_options(fault, n);
    World *w = &f->world;

    g_test_message("%s %d at %u", fault->event, fault->error, n);
    fixture_restore(f);
    w->failures = 0;
    w->faults = true;
    if (world_try_open(w, debug, BLOCK_OPEN_UNMAP, NULL))
        for (unsigned i = 0, ops = env("TEST_OPS", 25); i < ops; i++)
            world_step(w);
    else
        w->failures++;
    world_close(w);
    w->faults = false;
    bool failed = w->failures > 0;
    world_findings(w);
    /* a writer can go on with it as it is, or mended */
    if (n % 2)
        world_mend(w);
    world_check(w);
    if (!(n % 2))
        world_mend(w);
    return failed;
}

static void test_faults(gconstpointer kind)
{
    unsigned stride = env("TEST_STRIDE", 13), quiet = 0;
    Fixture f;

    fixture_init(&f, kind);
    for (unsigned i = 0; i < G_N_ELEMENTS(faults); i++) {
        unsigned failures = 0;
        for (unsigned n = 1 + (g_str_hash(((const Kind *)kind)->name) + i * 3) % stride; quiet < QUIET; n += stride) {
            bool failed = run_with(&f, &faults[i], n);
            failures += failed;
            quiet = failed ? 0 : quiet + (stride > 2 ? QUIET : 1);
        }
        quiet = 0;
        g_test_message("%s: %u failures", faults[i].event, failures);
    }
    fixture_clear(&f);
}

int main(int argc, char **argv)
{
    static const char *const quick[] = { "v2", "4k", "lazy", "backing-subclusters", NULL };

    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        g_autofree char *path = g_strdup_printf("/block/qcow2/faults/%s", kinds[i].name);
        if (env("TEST_STRIDE", 0) || g_strv_contains(quick, kinds[i].name))
            g_test_add_data_func(path, &kinds[i], test_faults);
    }
    return g_test_run();
}
