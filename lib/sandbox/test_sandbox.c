/* SPDX-License-Identifier: MIT */
/* Filters on child processes: what they end with, by what they call. */
#include "sandbox/sandbox.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_parse(void)
{
    SandboxOptions o;
    g_assert_true(sandbox_parse(&o, "on", NULL));
    g_assert_true(o.on && !o.obsolete && o.elevate == SANDBOX_ELEVATE_ALLOW && !o.no_spawn &&
                  !o.no_resource_control);
    g_assert_true(sandbox_parse(&o, "enable=on,obsolete=allow,elevateprivileges=children,"
                                    "spawn=deny,resourcecontrol=deny", NULL));
    g_assert_true(o.on && o.obsolete && o.elevate == SANDBOX_ELEVATE_CHILDREN && o.no_spawn &&
                  o.no_resource_control);
    g_assert_true(sandbox_parse(&o, "off", NULL));
    g_assert_false(o.on);
    static const char *const bad[] = { "", "maybe", "spawn=deny", "on,spawn=perhaps",
                                       "on,elevateprivileges=on", "on,nosuch=deny" };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_false(sandbox_parse(&o, bad[i], &error));
        g_assert_true(g_str_has_prefix(error->message, "-sandbox "));
    }
}

#ifdef HAVE_LIBSECCOMP
/* Runs call in a child under text: its exit status, or minus the signal that ended it. */
static int under(const char *text, int (*call)(void))
{
    pid_t pid = fork();
    g_assert_cmpint(pid, >=, 0);
    if (!pid) {
        SandboxOptions o;
        struct rlimit none = { 0, 0 };
        setrlimit(RLIMIT_CORE, &none);
        if (!sandbox_parse(&o, text, NULL) || !sandbox_apply(&o, NULL))
            _exit(99);
        _exit(call());
    }
    int status;
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static int error_of(long result)
{
    return result < 0 ? errno : 0;
}

static int call_mount(void)
{
    return error_of(syscall(SYS_mount, NULL, NULL, NULL, 0, NULL));
}

static int call_fork(void)
{
    pid_t pid = fork();
    if (!pid)
        _exit(0);
    return error_of(pid);
}

#ifdef SYS_fork
static int call_bare_fork(void)
{
    long pid = syscall(SYS_fork);
    if (!pid)
        _exit(0);
    return error_of(pid);
}
#endif

static int call_exec(void)
{
    char *const argv[] = { (char *)"true", NULL };
    return error_of(execve("/bin/true", argv, NULL));
}

static int call_clone3(void)
{
    return error_of(syscall(SYS_clone3, NULL, 0));
}

static int call_setns(void)
{
    return error_of(syscall(SYS_setns, -1, 0));
}

static int call_unshare(void)
{
    return error_of(syscall(SYS_unshare, 0));
}

static int call_execveat(void)
{
    return error_of(syscall(SYS_execveat, -1, "/bin/true", NULL, NULL, 0));
}

static int call_setuid(void)
{
    return error_of(syscall(SYS_setuid, getuid()));
}

static int call_setscheduler(void)
{
    struct sched_param param = { 0 };
    return error_of(syscall(SYS_sched_setscheduler, 0, SCHED_BATCH, &param));
}

static int call_be_idle(void)
{
    struct sched_param param = { 0 };
    return error_of(syscall(SYS_sched_setscheduler, 0, SCHED_IDLE, &param));
}

#ifdef SYS_ustat
static int call_ustat(void)
{
    return error_of(syscall(SYS_ustat, 0, NULL)) ? 1 : 0;
}
#endif

static void *note(void *arg)
{
    *(int *)arg = 5;
    return NULL;
}

static int call_thread(void)
{
    pthread_t t;
    int seen = 0;
    int e = pthread_create(&t, NULL, note, &seen);
    return e ? e : pthread_join(t, NULL) || seen != 5;
}

static void test_spawn(void)
{
    g_assert_cmpint(under("on", call_fork), ==, 0);
    g_assert_cmpint(under("on", call_exec), ==, 0);
    g_assert_cmpint(under("on,spawn=deny", call_thread), ==, 0);
    g_assert_cmpint(under("on,spawn=deny", call_fork), ==, -SIGSYS);
#ifdef SYS_fork
    g_assert_cmpint(under("on,spawn=deny", call_bare_fork), ==, -SIGSYS);
#endif
    g_assert_cmpint(under("on,spawn=deny", call_exec), ==, -SIGSYS);
    g_assert_cmpint(under("on,spawn=deny", call_clone3), ==, ENOSYS);
    g_assert_cmpint(under("on,spawn=deny", call_setns), ==, -SIGSYS);
    g_assert_cmpint(under("on,spawn=deny", call_unshare), ==, -SIGSYS);
    g_assert_cmpint(under("on,spawn=deny", call_execveat), ==, -SIGSYS);
}

static void test_rest(void)
{
    g_assert_cmpint(under("off", call_mount), !=, -SIGSYS);
    g_assert_cmpint(under("on", call_mount), ==, -SIGSYS);
    g_assert_cmpint(under("on", call_setuid), ==, 0);
    g_assert_cmpint(under("on,elevateprivileges=children", call_setuid), ==, 0);
    g_assert_cmpint(under("on,elevateprivileges=deny", call_setuid), ==, -SIGSYS);
    g_assert_cmpint(under("on", call_setscheduler), ==, 0);
    g_assert_cmpint(under("on,resourcecontrol=deny", call_setscheduler), ==, EPERM);
    g_assert_cmpint(under("on,resourcecontrol=deny", call_be_idle), ==, 0);
#ifdef SYS_ustat
    g_assert_cmpint(under("on", call_ustat), ==, -SIGSYS);
    g_assert_cmpint(under("on,obsolete=allow", call_ustat), ==, 1);
#endif
}

/* A thread that was there before the filter has it too. */
static pthread_barrier_t barrier; /* of a test program's child: one */

static void *call_late(void *arg)
{
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    call_mount();
    return NULL;
}

static void test_threads(void)
{
    pid_t pid = fork();
    if (!pid) {
        SandboxOptions o;
        pthread_t t;
        struct rlimit none = { 0, 0 };
        setrlimit(RLIMIT_CORE, &none);
        pthread_barrier_init(&barrier, NULL, 2);
        pthread_create(&t, NULL, call_late, NULL);
        pthread_barrier_wait(&barrier);
        if (!sandbox_parse(&o, "on", NULL) || !sandbox_apply(&o, NULL))
            _exit(99);
        pthread_barrier_wait(&barrier);
        pthread_join(t, NULL);
        _exit(0);
    }
    int status;
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_true(WIFSIGNALED(status));
    g_assert_cmpint(WTERMSIG(status), ==, SIGSYS);
}
#endif

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sandbox/parse", test_parse);
#ifdef HAVE_LIBSECCOMP
    g_test_add_func("/sandbox/spawn", test_spawn);
    g_test_add_func("/sandbox/rest", test_rest);
    g_test_add_func("/sandbox/threads", test_threads);
#endif
    return g_test_run();
}
