/* SPDX-License-Identifier: MIT */
/*
 * The terminal on standard input: raw while a guest owns it, as it was otherwise. It is
 * given back at release, at exit(), on signals that end the process and while the process is
 * stopped (SIGTSTP); it goes raw again on SIGCONT. A process in the background leaves it alone
 * until it is brought to the front.
 *
 * The one mutable static of this library: a process has one controlling terminal, and
 * signal handlers get no argument.
 */
#include "base/error.h"
#include "chardev/chardev_priv.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

static struct {
    bool claimed;
    bool at_exit_set;
    volatile sig_atomic_t is_raw; /* the saved mode is to be restored */
    struct termios saved, raw;
} terminal;

static const int fatal_signals[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGABRT,
                                     SIGSEGV, SIGBUS, SIGILL, SIGFPE };

static void restore_mode(void)
{
    int e = errno;
    if (terminal.is_raw && tcgetpgrp(STDIN_FILENO) == getpgrp())
        tcsetattr(STDIN_FILENO, TCSADRAIN, &terminal.saved);
    errno = e;
}

static void raw_mode(void)
{
    int e = errno;
    if (terminal.is_raw && tcgetpgrp(STDIN_FILENO) == getpgrp())
        tcsetattr(STDIN_FILENO, TCSADRAIN, &terminal.raw);
    errno = e;
}

static void on_fatal(int sig)
{
    restore_mode();
    signal(sig, SIG_DFL);
    raise(sig);
}

static void on_stop(int sig)
{
    restore_mode();
    raise(SIGSTOP); /* SIGCONT's handler makes the terminal raw again */
}

static void on_continue(int sig)
{
    raw_mode();
}

static void at_exit(void)
{
    restore_mode();
    terminal.is_raw = 0;
}

/* Only where nobody else has taken the signal. */
static void handle(int sig, void (*handler)(int))
{
    struct sigaction old;
    if (sigaction(sig, NULL, &old) || (old.sa_flags & SA_SIGINFO) || old.sa_handler != SIG_DFL)
        return;
    struct sigaction act = { .sa_handler = handler, .sa_flags = SA_RESTART | SA_ONSTACK };
    sigfillset(&act.sa_mask);
    sigdelset(&act.sa_mask, sig);
    sigaction(sig, &act, NULL);
}

static void unhandle(int sig, void (*handler)(int))
{
    struct sigaction old;
    if (!sigaction(sig, NULL, &old) && !(old.sa_flags & SA_SIGINFO) && old.sa_handler == handler)
        signal(sig, SIG_DFL);
}

bool chardev_terminal_claim(bool keep_signals, GError **error)
{
    if (terminal.claimed)
        return fail_usage(error, "standard input and output are in use already");
    terminal.claimed = true;
    if (!isatty(STDIN_FILENO))
        return true;
    if (tcgetattr(STDIN_FILENO, &terminal.saved)) {
        terminal.claimed = false;
        return fail_errno(error, errno, "cannot read the terminal's mode");
    }
    struct termios *t = &terminal.raw;
    *t = terminal.saved;
    t->c_iflag &= ~(tcflag_t)(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
    t->c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | IEXTEN);
    if (!keep_signals)
        t->c_lflag &= ~(tcflag_t)ISIG;
    t->c_cflag = (t->c_cflag & ~(tcflag_t)(CSIZE | PARENB)) | CS8;
    t->c_cc[VMIN] = 1;
    t->c_cc[VTIME] = 0;
    if (!terminal.at_exit_set) {
        terminal.at_exit_set = true;
        atexit(at_exit);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(fatal_signals); i++)
        handle(fatal_signals[i], on_fatal);
    handle(SIGTSTP, on_stop);
    handle(SIGCONT, on_continue);
    terminal.is_raw = 1;
    raw_mode();
    return true;
}

void chardev_terminal_release(void)
{
    terminal.claimed = false;
    if (!terminal.is_raw)
        return;
    restore_mode();
    terminal.is_raw = 0;
    for (size_t i = 0; i < G_N_ELEMENTS(fatal_signals); i++)
        unhandle(fatal_signals[i], on_fatal);
    unhandle(SIGTSTP, on_stop);
    unhandle(SIGCONT, on_continue);
}
