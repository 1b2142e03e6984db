/* SPDX-License-Identifier: MIT */
/* Paths below a sysroot, and paths that are files of /proc. */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "linux/path_priv.h"

typedef struct Root {
    char *path;
} Root;

static void add_dir(Root *r, const char *name)
{
    g_autofree char *path = g_strconcat(r->path, name, NULL);
    g_assert_cmpint(mkdir(path, 0755), ==, 0);
}

static void add_link(Root *r, const char *name, const char *target)
{
    g_autofree char *path = g_strconcat(r->path, name, NULL);
    g_assert_cmpint(symlink(target, path), ==, 0);
}

static void add_file(Root *r, const char *name)
{
    g_autofree char *path = g_strconcat(r->path, name, NULL);
    g_assert_true(g_file_set_contents(path, name, -1, NULL));
}

static void set_up(Root *r, gconstpointer data)
{
    (void)data;
    r->path = g_dir_make_tmp("lathe-path-XXXXXX", NULL);
    g_assert_nonnull(r->path);
    add_dir(r, "/usr");
    add_dir(r, "/usr/lib");
    add_dir(r, "/proc");
    add_file(r, "/proc/version");
    add_file(r, "/usr/lib/ld.so");
    add_link(r, "/lib", "usr/lib");
    add_link(r, "/lib64", "/usr/lib");
    add_link(r, "/usr/up", "../../../../lib64");
    add_link(r, "/abs", "/lib64/ld.so");
    add_link(r, "/dangling", "/etc/no-such-file");
    add_link(r, "/loop", "loop");
    add_link(r, "/slow", "/lib64/");
}

static void tear_down(Root *r, gconstpointer data)
{
    (void)data;
    static const char *const names[] = { "/slow", "/loop", "/dangling", "/abs", "/usr/up", "/lib64",
        "/lib", "/usr/lib/ld.so", "/proc/version", "/proc", "/usr/lib", "/usr", "" };
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path = g_strconcat(r->path, names[i], NULL);
        g_assert_cmpint(g_remove(path), ==, 0);
    }
    g_free(r->path);
}

static void check(Root *r, const char *path, bool follow, const char *expected)
{
    g_autofree char *found = path_below(r->path, path, follow);
    g_autofree char *whole = expected ? g_strconcat(r->path, expected, NULL) : NULL;
    g_assert_cmpstr(found, ==, whole);
}

static void test_links(Root *r, gconstpointer data)
{
    (void)data;
    check(r, "/usr/lib/ld.so", true, "/usr/lib/ld.so");
    check(r, "/lib/ld.so", true, "/usr/lib/ld.so");
    check(r, "/lib64/ld.so", true, "/usr/lib/ld.so");
    check(r, "//lib64/./ld.so", true, "/usr/lib/ld.so");
    check(r, "/usr/lib/", true, "/usr/lib/");
    check(r, "/usr/./lib", true, "/usr/./lib");
    check(r, "/usr/lib/..so", true, NULL);
    check(r, "/usr/up/ld.so", true, "/usr/lib/ld.so");
    check(r, "/abs", true, "/usr/lib/ld.so");
    check(r, "/abs", false, "/abs");
    check(r, "/lib64", false, "/lib64");
    check(r, "/lib64/", false, "/usr/lib/");
    check(r, "/slow", true, "/usr/lib");
    check(r, "/slow/ld.so", false, "/usr/lib/ld.so");
}

static void test_ways_out(Root *r, gconstpointer data)
{
    (void)data;
    check(r, "/../../../usr/lib", true, "/usr/lib");
    check(r, "/lib/../lib/ld.so", true, "/usr/lib/ld.so"); /* .. is that of /usr/lib */
    check(r, "/lib/../up/ld.so", true, "/usr/lib/ld.so");
    check(r, "/", true, NULL);
    check(r, "/usr/..", true, NULL);
    check(r, "/..", true, NULL);
}

static void test_missing(Root *r, gconstpointer data)
{
    (void)data;
    check(r, "/etc/passwd", true, NULL);
    check(r, "/usr/lib/missing", true, NULL);
    check(r, "/usr/lib/ld.so/x", true, NULL);
    check(r, "/dangling", true, NULL);
    check(r, "/dangling", false, "/dangling");
    check(r, "/loop", true, NULL);
    check(r, "/loop/x", false, NULL);
}

/* A path of any length ends. */
static void test_long(Root *r, gconstpointer data)
{
    (void)data;
    g_autoptr(GString) path = g_string_new(NULL);
    for (unsigned i = 0; i < 4000; i++)
        g_string_append(path, "/usr/..");
    check(r, path->str, true, NULL);
    g_string_append(path, "/lib64/ld.so");
    check(r, path->str, true, "/usr/lib/ld.so");
}

static void check_host(const LinuxProcess *p, const char *path, const char *expected)
{
    g_autofree char *found = path_host(p, path);
    g_assert_cmpstr(found, ==, expected);
}

static void test_host(Root *r, gconstpointer data)
{
    (void)data;
    g_autofree char *slash = g_strconcat(r->path, "/", NULL);
    g_autofree char *file = g_strconcat(r->path, "/usr/lib/ld.so", NULL);
    LinuxProcess p = { .sysroot = slash, .exe_host = file };
    check_host(&p, "/lib64/ld.so", file);
    check_host(&p, "/etc/passwd", "/etc/passwd");
    check_host(&p, "lib64/ld.so", "lib64/ld.so");
    check_host(&p, "/proc/version", "/proc/version"); /* the kernel's, whatever lies there */
    check_host(&p, "/proc/self/exe", file);
    check_host(&p, "/", "/");
    check_host(&p, "", "");
    p.sysroot = NULL;
    check_host(&p, "/lib64/ld.so", "/lib64/ld.so");
}

/* ---- /proc -------------------------------------------------------------------------- */

static void check_proc(const char *path, ProcFile expected, pid_t expected_tid)
{
    pid_t tid;
    char head[9] = "";
    g_assert_cmpint(proc_find(AT_FDCWD, path, &tid), ==, expected);
    if (expected)
        g_assert_cmpint(tid, ==, expected_tid);
    g_strlcpy(head, path, sizeof head);
    if (expected) /* the first look must not miss it */
        g_assert_true(proc_may_be(head));
}

static void test_proc(void)
{
    g_autofree char *self = g_strdup_printf("/proc/%d/maps", (int)getpid());
    g_autofree char *thread = g_strdup_printf("/proc/%d/task/%d/stat", (int)getpid(),
                                              (int)getpid());
    g_autofree char *other = g_strdup_printf("/proc/self/task/%d/stat", 1);
    check_proc("/proc/self/exe", PROC_EXE, 0);
    check_proc("/proc//self/./maps", PROC_MAPS, 0);
    check_proc("/proc/self/../self/cmdline", PROC_CMDLINE, 0);
    check_proc("/proc/thread-self/status", PROC_STATUS, (pid_t)syscall(SYS_gettid));
    check_proc(self, PROC_MAPS, 0);
    check_proc(thread, PROC_STAT, getpid());
    check_proc(other, PROC_NONE, 0);
    check_proc("/proc/1/maps", PROC_NONE, 0);
    check_proc("/proc/cpuinfo", PROC_CPUINFO, 0);
    check_proc("/proc/sys/kernel/arch", PROC_ARCH, 0);
    check_proc("/proc/stat", PROC_NONE, 0);
    check_proc("/proc/self/task/stat", PROC_NONE, 0);
    check_proc("/proc/self/mem", PROC_NONE, 0);
    check_proc("/proc/self/../../etc/exe", PROC_NONE, 0);
    check_proc("/proc/", PROC_NONE, 0);
    check_proc("/procs/self/exe", PROC_NONE, 0);
    check_proc("exe", PROC_NONE, 0); /* not from here */
    check_proc("", PROC_NONE, 0);
}

static void test_proc_from_a_directory(void)
{
    pid_t tid;
    int self = open("/proc/self", O_RDONLY | O_DIRECTORY), proc = open("/proc", O_RDONLY);
    int other = open("/tmp", O_RDONLY);
    g_assert_cmpint(proc_find(self, "exe", &tid), ==, PROC_EXE);
    g_assert_cmpint(proc_find(self, "task/../exe", &tid), ==, PROC_EXE);
    g_assert_cmpint(proc_find(proc, "self/maps", &tid), ==, PROC_MAPS);
    g_assert_cmpint(proc_find(proc, "cpuinfo", &tid), ==, PROC_CPUINFO);
    g_assert_cmpint(proc_find(other, "exe", &tid), ==, PROC_NONE);
    g_assert_cmpint(proc_find(-1, "exe", &tid), ==, PROC_NONE);
    close(self), close(proc), close(other);
}

/* The first look lets ordinary paths go by. */
static void test_first_look(void)
{
    static const char *const paths[] = { "/etc/pas", "/usr/lib", "/process", "lib", "a.out\0..",
                                         "exec.c", "\0xe\0maps", "stats", "Makefile" };
    for (unsigned i = 0; i < G_N_ELEMENTS(paths); i++) {
        char head[9] = "";
        g_strlcpy(head, paths[i], sizeof head);
        g_assert_false(proc_may_be(head));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, fn) g_test_add("/path/" name, Root, NULL, set_up, fn, tear_down)
    ADD("links", test_links);
    ADD("ways out", test_ways_out);
    ADD("missing", test_missing);
    ADD("long", test_long);
    ADD("host", test_host);
    g_test_add_func("/path/proc", test_proc);
    g_test_add_func("/path/proc from a directory", test_proc_from_a_directory);
    g_test_add_func("/path/first look", test_first_look);
    return g_test_run();
}
