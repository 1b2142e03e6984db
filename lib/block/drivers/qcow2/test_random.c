/* SPDX-License-Identifier: MIT */
/*
 * A process that takes random steps with an image of each kind is killed at a random moment, again and
 * again. Then what it had flushed is there, snapshots are whole, and what the check finds is harmless and
 * can be mended, by ours and to qemu-img's satisfaction; every other time the next process goes on
 * without. Now and then the file fails a request as well. TEST_SEED changes the run, TEST_OPS is kills
 * for each kind (1); tests/soak/image-random does many.
 */
#include "block/drivers/qcow2/test_world.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* In the child: steps until it is killed. */
static void live(World *w, uint32_t seed, bool fault)
{
    g_autofree char *debug = NULL;

    g_rand_set_seed(w->rand, seed);
    if (fault) { /* one write in the middle of something */
        const Fault f = { "write_aio", "write", seed & 1 ? EIO : ENOSPC, false };
        debug = fault_options(&f, (unsigned)g_rand_int_range(w->rand, 2, 120));
    }
    w->faults = fault;
    if (!world_try_open(w, debug, BLOCK_OPEN_UNMAP, NULL)) {
        if (!fault)
            g_error("it cannot be opened");
        _exit(0);
    }
    world_check_size(w);
    world_check_snapshots(w);
    for (;;)
        world_step(w);
}

/* The other process counts them. */
static uint64_t read_steps(const World *w)
{
    return __atomic_load_n(&w->model->steps, __ATOMIC_RELAXED);
}

static bool has_ended(pid_t pid)
{
    siginfo_t info = { .si_pid = 0 };
    return !waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) && info.si_pid;
}

static void test_kills(gconstpointer kind)
{
    uint64_t steps = 0, flushes = 0;
    bool ended_early = false;
    World w;

    world_init(&w, kind, env("TEST_SEED", 1));
    for (unsigned k = 0, kills = env("TEST_OPS", 1); k < kills; k++) {
        uint32_t seed = g_rand_int(w.rand);
        int ms = g_rand_int_range(w.rand, 20, k % 4 ? 150 : 700), status;
        bool fault = g_rand_int_range(w.rand, 0, 4) == 0;
        pid_t pid = fork();
        if (!pid)
            live(&w, seed, fault);
        g_usleep((gulong)ms * 1000);
        /* the last one does something, however busy this machine is */
        for (unsigned i = 0; k + 1 == kills && !read_steps(&w) && !has_ended(pid) && i < 10000; i++)
            g_usleep(1000);
        ended_early = fault && !read_steps(&w);
        kill(pid, SIGKILL);
        g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
        if (WIFSIGNALED(status) ? WTERMSIG(status) != SIGKILL : WEXITSTATUS(status) || !fault)
            g_error("after %" G_GUINT64_FORMAT " steps it ended by itself: status %#x", w.model->steps,
                    (unsigned)status);
        g_test_message("kill %u%s after %d ms, %" G_GUINT64_FORMAT " steps", k, fault ? " with a fault" : "", ms,
                       w.model->steps);
        world_findings(&w);
        bool first = g_rand_boolean(w.rand);
        if (first)
            world_mend(&w);
        world_check(&w);
        if (!first && k % 2)
            world_mend(&w);
        if (!first && !(k % 2) && world_findings(&w))
            g_test_message("goes on with leaks");
    }
    steps = w.model->steps;
    flushes = w.model->flushes;
    g_test_message("%" G_GUINT64_FORMAT " steps, %" G_GUINT64_FORMAT " flushes", steps, flushes);
    g_assert_true(steps > 0 || ended_early);
    world_clear(&w);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        g_autofree char *path = g_strdup_printf("/block/qcow2/kills/%s", kinds[i].name);
        g_test_add_data_func(path, &kinds[i], test_kills);
    }
    return g_test_run();
}
