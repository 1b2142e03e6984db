/* SPDX-License-Identifier: MIT */
/* ga: answers the host from inside a virtual machine. Under the name qemu-ga it has its texts. */
#include "loop.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { BIG = 128 << 10, OLD_MOST = 1024 };

static const AgentCommand *const tables[] = {
#define GA_COMMANDS(group) ga_##group##_commands,
#include "commands.def"
#undef GA_COMMANDS
    NULL
};

static void on_signal(Ga *ga, GaWatch *watch, short revents)
{
    struct signalfd_siginfo info;
    while (read(watch->fd, &info, sizeof info) == sizeof info)
        if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT)
            ga->quit = true;
}

static int apply_blocks(Ga *ga)
{
    const GaOptions *o = &ga->options;
    for (unsigned i = 0; o->allow && agent_command(ga->agent, i); i++)
        agent_set_enabled(ga->agent, agent_command(ga->agent, i)->name, false);
    for (unsigned i = 0; o->allow && o->allow[i]; i++)
        if (!agent_set_enabled(ga->agent, o->allow[i], true))
            ga_log(ga, "--allow: there is no command '%s'", o->allow[i]);
    for (unsigned i = 0; o->block && o->block[i]; i++)
        if (!agent_set_enabled(ga->agent, o->block[i], false))
            ga_log(ga, "--block-rpcs: there is no command '%s'", o->block[i]);
    return GA_OK;
}

static int serve(Ga *ga)
{
    g_autoptr(GError) error = NULL;
    sigset_t stops;
    sigemptyset(&stops);
    sigaddset(&stops, SIGTERM);
    sigaddset(&stops, SIGINT);
    sigprocmask(SIG_BLOCK, &stops, NULL);
    GaWatch signals = { .fd = signalfd(-1, &stops, SFD_CLOEXEC | SFD_NONBLOCK),
                        .events = 1 /* POLLIN */, .ready = on_signal };
    if (signals.fd >= 0)
        ga_watch_add(ga, &signals);
    ga_freeze_restore(ga);
    if (!ga_channel_open(ga, &error) || !ga_daemonize(ga, &error)) {
        fprintf(stderr, "ga: %s\n", error->message);
        ga->status = GA_FAILED;
    }
    while (!ga->quit && !ga->status)
        if (!ga_loop_once(ga, -1)) {
            ga_log(ga, "%s", g_strerror(errno));
            ga->status = GA_FAILED;
        }
    ga_freeze_free(ga, ga->freeze);
    ga_channel_close(ga);
    ga_daemon_end(ga);
    ga_watch_remove(ga, &signals);
    close(signals.fd);
    return ga->status;
}

/* What we open is none of 0, 1 and 2; and what we were given beyond these is not for programs that
 * we start. */
static void settle_descriptors(void)
{
    int fd;
    while ((fd = open("/dev/null", O_RDWR | O_CLOEXEC)) >= 0 && fd < 3)
        ;
    close(fd);
    if (syscall(SYS_close_range, 3, ~0U, 1U << 2 /* CLOSE_RANGE_CLOEXEC */) == 0)
        return;
    for (fd = 3; fd < OLD_MOST; fd++)
        fcntl(fd, F_SETFD, FD_CLOEXEC); /* a kernel before 5.11 */
}

int main(int argc, char **argv)
{
    int status;
    Ga ga = { .watches = g_ptr_array_new(), .root = g_getenv("GA_ROOT") };
    AgentConfig config = { .reply = ga_channel_send, .reply_opaque = &ga, .tables = tables,
                           .opaque = &ga,
                           .version = "7.0.0" };
    settle_descriptors();
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, BIG); /* and stays: what is big goes back when it is freed */
#endif
    signal(SIGPIPE, SIG_IGN);
    ga.agent = agent_new(&config);
    /* hosts know it of Windows only: --allow has it */
    agent_set_enabled(ga.agent, "guest-get-devices", false);
    status = ga_options(&ga, argc, argv);
    if (status < 0) {
        apply_blocks(&ga);
        status = serve(&ga);
    }
    ga_execs_free(&ga, ga.execs);
    ga_streams_free(&ga, ga.streams);
    ga_files_free(ga.files);
    agent_free(ga.agent);
    ga_options_clear(&ga.options);
    g_ptr_array_unref(ga.watches);
    return status;
}
