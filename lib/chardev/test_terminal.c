/* SPDX-License-Identifier: MIT */
/*
 * The terminal must be as it was whatever ends us. A program of its own: it forks, so no thread
 * may be running in it.
 */
#include "chardev/chardev.h"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

typedef enum { END_FREE, END_EXIT, END_TERM, END_SEGV, END_ABORT } End;

/* The child owns a terminal (name, of 256 bytes), opens spec on it and ends in the given way. */
static pid_t start_on_terminal(int *master, char *name, const char *spec, End end)
{
    pid_t pid = forkpty(master, name, NULL, NULL);
    g_assert_cmpint(pid, >=, 0);
    if (pid)
        return pid;
    signal(SIGSEGV, SIG_DFL); /* not a sanitizer's */
    Chardev *c = chardev_open(spec, NULL, NULL);
    if (!c)
        _exit(9);
    chardev_write(c, "ready", 5);
    chardev_flush(c, 1000, NULL);
    char key;
    if (read(STDIN_FILENO, &key, 1) != 1)
        _exit(8);
    switch (end) {
    case END_FREE:
        chardev_free(c);
        _exit(0);
    case END_EXIT:
        exit(0);
    case END_TERM:
        raise(SIGTERM);
        break;
    case END_SEGV:
        raise(SIGSEGV);
        break;
    case END_ABORT:
        abort();
    }
    _exit(7);
}

static void wait_for(int master, const char *text)
{
    GString *s = g_string_new(NULL);
    while (!strstr(s->str, text)) {
        struct pollfd pfd = { .fd = master, .events = POLLIN };
        char buf[256];
        g_assert_cmpint(poll(&pfd, 1, 10000), ==, 1);
        ssize_t n = read(master, buf, sizeof buf);
        g_assert_cmpint(n, >, 0);
        g_string_append_len(s, buf, n);
    }
    g_string_free(s, TRUE);
}

static void test_terminal_restored(gconstpointer data)
{
    End end = GPOINTER_TO_INT(data);
    int master, status, keep;
    char name[256];
    struct termios t;
    pid_t pid = start_on_terminal(&master, name, "mon:stdio", end);
    keep = open(name, O_RDWR | O_NOCTTY); /* so that the modes outlive the child */
    wait_for(master, "ready");
    g_assert_cmpint(tcgetattr(master, &t), ==, 0);
    g_assert_cmpint(t.c_lflag & (ICANON | ECHO | ISIG), ==, 0);
    g_assert_cmpint(write(master, "k", 1), ==, 1);
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_cmpint(tcgetattr(keep, &t), ==, 0);
    g_assert_cmpint(t.c_lflag & (ICANON | ECHO | ISIG), ==, ICANON | ECHO | ISIG);
    if (end == END_FREE || end == END_EXIT)
        g_assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    else
        g_assert_true(WIFSIGNALED(status)); /* the signal still says how it ended */
    close(keep);
    close(master);
}

static void test_terminal_signals_kept(void)
{
    int master, status;
    struct termios t;
    pid_t pid = start_on_terminal(&master, NULL, "stdio", END_FREE);
    wait_for(master, "ready");
    g_assert_cmpint(tcgetattr(master, &t), ==, 0);
    g_assert_cmpint(t.c_lflag & (ICANON | ECHO | ISIG), ==, ISIG);
    g_assert_cmpint(write(master, "\003", 1), ==, 1); /* Ctrl-C */
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT);
    close(master);
}

static void test_terminal_stop(void)
{
    int master, status;
    struct termios t;
    pid_t pid = start_on_terminal(&master, NULL, "mon:stdio", END_FREE);
    wait_for(master, "ready");
    kill(pid, SIGTSTP);
    g_assert_cmpint(waitpid(pid, &status, WUNTRACED), ==, pid);
    g_assert_true(WIFSTOPPED(status));
    g_assert_cmpint(tcgetattr(master, &t), ==, 0);
    g_assert_cmpint(t.c_lflag & ICANON, ==, ICANON);
    kill(pid, SIGCONT);
    for (int i = 0; i < 6000 && (t.c_lflag & ICANON); i++) {
        g_usleep(10000);
        g_assert_cmpint(tcgetattr(master, &t), ==, 0);
    }
    g_assert_cmpint(t.c_lflag & ICANON, ==, 0);
    g_assert_cmpint(write(master, "k", 1), ==, 1);
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    close(master);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/terminal/free", GINT_TO_POINTER(END_FREE), test_terminal_restored);
    g_test_add_data_func("/terminal/exit", GINT_TO_POINTER(END_EXIT), test_terminal_restored);
    g_test_add_data_func("/terminal/term", GINT_TO_POINTER(END_TERM), test_terminal_restored);
    g_test_add_data_func("/terminal/segv", GINT_TO_POINTER(END_SEGV), test_terminal_restored);
    g_test_add_data_func("/terminal/abort", GINT_TO_POINTER(END_ABORT),
                         test_terminal_restored);
    g_test_add_func("/terminal/signals", test_terminal_signals_kept);
    g_test_add_func("/terminal/stop", test_terminal_stop);
    return g_test_run();
}
