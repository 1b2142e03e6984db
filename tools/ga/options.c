/* SPDX-License-Identifier: MIT */
/*
 * The command line, that of qemu-ga and some more. A key file is read first, so the command line
 * has the last word. Under the name qemu-ga a mistake exits with 1 as there, and a missing device
 * is an error unless -r is given; ga waits for it.
 */
#include "ga.h"

#include "base/error.h"
#include "base/option.h"
#include "base/socket.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#ifndef AF_VSOCK
#define AF_VSOCK 40
#endif

enum { CONNECT = 256, FREEZE_TIMEOUT };

static const char default_config[] = "/etc/qemu/qemu-ga.conf";
static const char default_hook[] = "/etc/qemu/fsfreeze-hook";
static const char *const methods[] = { "virtio-serial", "isa-serial", "unix-listen", "vsock-listen",
                                       NULL };

static const struct option longs[] = {
    { "help", no_argument, NULL, 'h' }, { "version", no_argument, NULL, 'V' },
    { "dump-conf", no_argument, NULL, 'D' }, { "logfile", required_argument, NULL, 'l' },
    { "pidfile", required_argument, NULL, 'f' }, { "fsfreeze-hook", optional_argument, NULL, 'F' },
    { "verbose", no_argument, NULL, 'v' }, { "method", required_argument, NULL, 'm' },
    { "path", required_argument, NULL, 'p' }, { "daemonize", no_argument, NULL, 'd' },
    { "block-rpcs", required_argument, NULL, 'b' }, { "blacklist", required_argument, NULL, 'b' },
    { "allow-rpcs", required_argument, NULL, 'a' }, { "allow", required_argument, NULL, 'a' },
    { "statedir", required_argument, NULL, 't' }, { "retry-path", no_argument, NULL, 'r' },
    { "config", required_argument, NULL, 'c' },
    { "freeze-timeout", required_argument, NULL, FREEZE_TIMEOUT },
    { "connect", required_argument, NULL, CONNECT }, { NULL, 0, NULL, 0 }
};
static const char shorts[] = "hVvdDm:p:l:f:F::b:a:t:rc:";

typedef struct {
    Ga *ga;
    const char *name;
    bool compatible;
    bool dump;
    const char *connect;
} Line;

static int misused(const Line *line, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
static int misused(const Line *line, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    g_autofree char *text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    fprintf(stderr, "%s: %s\nTry `%s --help' for more information.\n", line->name, text,
            line->name);
    return line->compatible ? GA_FAILED : GA_MISUSED;
}

/* ---- values that a key file has, too --------------------------------------------------- */

bool ga_method(GaOptions *o, const char *word, GError **error)
{
    for (unsigned i = 0; methods[i]; i++)
        if (!strcmp(methods[i], word)) {
            o->method = i;
            return true;
        }
    g_autofree char *all = g_strjoinv(", ", (char **)methods);
    return fail_usage(error, "there is no method '%s'; there are %s", word, all);
}

const char *ga_method_name(const GaOptions *o)
{
    return methods[o->method];
}

bool ga_freeze_timeout(GaOptions *o, const char *text, GError **error)
{
    guint64 n;
    if (!g_ascii_string_to_unsigned(text, 10, 0, GA_MAX_FREEZE, &n, NULL))
        return fail_usage(error, "freeze timeout '%s' is no number of seconds up to %d", text,
                          GA_MAX_FREEZE);
    o->freeze_timeout = (unsigned)n;
    return true;
}

void ga_add_names(char ***names, const char *text)
{
    g_auto(GStrv) more = g_strsplit_set(text, ", ", -1);
    g_autoptr(GStrvBuilder) all = g_strv_builder_new();
    if (*names)
        g_strv_builder_addv(all, (const char **)*names);
    for (unsigned i = 0; more[i]; i++)
        if (*more[i])
            g_strv_builder_add(all, more[i]);
    g_strfreev(*names);
    *names = g_strv_builder_end(all);
}

static void set(char **text, const char *value)
{
    g_free(*text);
    *text = g_strdup(value);
}

/* ---- texts -------------------------------------------------------------------------------- */

static int version(const Line *line)
{
    if (line->compatible)
        puts("QEMU Guest Agent 7.0.0 (Lathe " LATHE_VERSION ")");
    else
        puts("ga (Lathe) " LATHE_VERSION);
    return fflush(stdout) ? GA_FAILED : GA_OK;
}

static int help(const Line *line)
{
    const char *n = line->name;
    version(line);
    printf("usage: %s [-m METHOD] [-p PATH] [OPTIONS]\n"
           "           answers the host from inside a VM\n"
           "       %s --connect SOCKET COMMAND [JSON-ARGUMENTS]\n"
           "           asks such an agent, from outside\n\n", n, n);
    puts("  -m, --method=METHOD      virtio-serial, isa-serial, unix-listen or vsock-listen\n"
         "  -p, --path=PATH          device or socket, CID:PORT of vsock-listen\n"
         "                           [/dev/virtio-ports/org.qemu.guest_agent.0, /dev/ttyS0]\n"
         "  -r, --retry-path         wait for a device that is not there or goes (ga always does)\n"
         "  -F, --fsfreeze-hook[=FILE]  run it with freeze and thaw [/etc/qemu/fsfreeze-hook]\n"
         "      --freeze-timeout=SECONDS  thaw by itself after so long [0: never]\n"
         "  -b, --block-rpcs=NAMES   commands that are refused, with commas; 'help' lists all\n"
         "  -a, --allow=NAMES        the only commands that are run\n"
         "  -l, --logfile=FILE       instead of stderr\n"
         "  -f, --pidfile=FILE       [/var/run/qemu-ga.pid, with -d]\n"
         "  -t, --statedir=DIR       what outlives the agent [/var/run]\n"
         "  -d, --daemonize          go on in the background once the channel is open\n"
         "  -c, --config=FILE        key file [/etc/qemu/qemu-ga.conf]\n"
         "  -D, --dump-conf          print the options as a key file\n"
         "  -v, --verbose  -V, --version  -h, --help\n\nExamples:");
    printf("  %s -m unix-listen -p /run/ga.sock\n"
           "  %s --connect /run/ga.sock guest-exec '{\"path\": \"/bin/true\"}'\n", n, n);
    return fflush(stdout) ? GA_FAILED : GA_OK;
}

static int list_commands(const Agent *agent)
{
    const AgentCommand *c;
    for (unsigned i = 0; (c = agent_command(agent, i)); i++)
        if (!c->hidden)
            puts(c->name);
    return fflush(stdout) ? GA_FAILED : GA_OK;
}

static int bad_option(const Line *line, char **argv)
{
    const char *word = argv[optind - 1], *names[G_N_ELEMENTS(longs)] = { NULL };
    for (unsigned i = 0; longs[i].name; i++)
        names[i] = longs[i].name;
    if (optopt && strchr(shorts, optopt))
        return misused(line, "option '%s' requires an argument", word);
    if (!g_str_has_prefix(word, "--"))
        return misused(line, "invalid option -- '%c'", optopt ? optopt : '?');
    g_autofree char *bare = g_strndup(word + 2, strcspn(word + 2, "="));
    const char *near = option_nearest(bare, names);
    if (near)
        return misused(line, "unrecognized option '%s' (did you mean '--%s'?)", word, near);
    return misused(line, "unrecognized option '%s'", word);
}

/* ---- the line ------------------------------------------------------------------------------ */

/* -1: go on. */
static int take_names(const Line *line, char ***names)
{
    if (!strcmp(optarg, "help") || !strcmp(optarg, "?"))
        return list_commands(line->ga->agent);
    ga_add_names(names, optarg);
    return -1;
}

static int take(Line *line, int option, char **argv)
{
    GaOptions *o = &line->ga->options;
    g_autoptr(GError) error = NULL;
    switch (option) {
    case 'm': return ga_method(o, optarg, &error) ? -1 : misused(line, "%s", error->message);
    case FREEZE_TIMEOUT:
        return ga_freeze_timeout(o, optarg, &error) ? -1 : misused(line, "%s", error->message);
    case 'p': set(&o->path, optarg); return -1;
    case 'l': set(&o->log_file, optarg); return -1;
    case 'f': set(&o->pid_file, optarg); return -1;
    case 'F': set(&o->freeze_hook, optarg ? optarg : default_hook); return -1;
    case 't': set(&o->state_dir, optarg); return -1;
    case 'v': o->verbose = true; return -1;
    case 'd': o->daemonize = true; return -1;
    case 'r': o->retry = true; return -1;
    case 'b': return take_names(line, &o->block);
    case 'a': return take_names(line, &o->allow);
    case 'c': return -1; /* has been read */
    case 'D': line->dump = true; return -1;
    case CONNECT: line->connect = optarg; return -1;
    case 'V': return version(line);
    case 'h': return help(line);
    default: return bad_option(line, argv);
    }
}

/* -c, or the file of the environment, or the usual one if it is there. */
static int read_config(const Line *line, int argc, char **argv)
{
    const char *file = g_getenv("QGA_CONF");
    bool given = file;
    int option;
    g_autoptr(GError) error = NULL;
    opterr = 0;
    while ((option = getopt_long(argc, argv, shorts, longs, NULL)) >= 0)
        if (option == 'c') {
            file = optarg;
            given = true;
        } else if (option == 'h' || option == 'V') {
            break; /* whatever the file is like */
        }
    optind = 0;
    if (option < 0 &&
        !ga_config_read(&line->ga->options, file ? file : default_config, given, &error))
        return misused(line, "%s", error->message);
    return -1;
}

/* One socket from a service manager takes the place of -m and -p. */
static int take_inherited(const Line *line)
{
    GaOptions *o = &line->ga->options;
    g_autoptr(GError) error = NULL;
    struct sockaddr_storage name = { 0 };
    socklen_t len = sizeof name;
    o->inherited = socket_inherited(NULL, &error);
    if (o->inherited < 0)
        return misused(line, "%s", error->message);
    if (!o->inherited)
        return -1;
    if (o->inherited > 1)
        return misused(line, "%d sockets were given to us (LISTEN_FDS), but one is served",
                       o->inherited);
    if (getsockname(SOCKET_INHERITED_FIRST, (struct sockaddr *)&name, &len) < 0 ||
        (name.ss_family != AF_UNIX && name.ss_family != AF_VSOCK))
        return misused(line,
                       "what was given to us (LISTEN_FDS) is neither a Unix nor a vsock socket");
    o->method = name.ss_family == AF_UNIX ? GA_UNIX_LISTEN : GA_VSOCK_LISTEN;
    set(&o->path, "");
    return -1;
}

/* The agent may leave the folder that it was started in. */
static void make_absolute(char **file)
{
    if (!*file || g_path_is_absolute(*file))
        return;
    char *text = g_canonicalize_filename(*file, NULL);
    g_free(*file);
    *file = text;
}

/* What is not given, and what does not go together. */
static int complete(const Line *line)
{
    GaOptions *o = &line->ga->options;
    int status = take_inherited(line);
    if (status >= 0)
        return status;
    if (!o->path && (o->method == GA_UNIX_LISTEN || o->method == GA_VSOCK_LISTEN))
        return misused(line, "%s needs a path (-p)", methods[o->method]);
    if (!o->path)
        set(&o->path,
            o->method == GA_ISA_SERIAL ? "/dev/ttyS0" : "/dev/virtio-ports/org.qemu.guest_agent.0");
    if (o->method != GA_VSOCK_LISTEN && *o->path)
        make_absolute(&o->path);
    char **files[] = { &o->log_file, &o->pid_file, &o->state_dir, &o->freeze_hook };
    for (unsigned i = 0; i < G_N_ELEMENTS(files); i++)
        make_absolute(files[i]);
    return -1;
}

int ga_options(Ga *ga, int argc, char **argv)
{
    g_autofree char *name = g_path_get_basename(argc && argv[0] ? argv[0] : "ga");
    Line line = { .ga = ga, .name = name, .compatible = g_str_has_prefix(name, "qemu-ga") };
    GaOptions *o = &ga->options;
    int status, option;
    set(&o->state_dir, "/var/run");
    o->retry = !line.compatible;
    status = read_config(&line, argc, argv);
    while (status < 0 && (option = getopt_long(argc, argv, shorts, longs, NULL)) >= 0)
        status = take(&line, option, argv);
    if (status >= 0)
        return status;
    char **rest = argv + optind;
    if (line.connect && (!rest[0] || (rest[1] && rest[2])))
        return misused(&line, "--connect takes a command, and its arguments in one word");
    if (line.connect)
        return ga_connect(name, line.connect, rest[0], rest[1]);
    if (rest[0] && !line.compatible)
        return misused(&line, "what is '%s'? (--connect SOCKET asks an agent)", rest[0]);
    status = complete(&line);
    if (status >= 0 || !line.dump)
        return status;
    if (!o->pid_file)
        set(&o->pid_file, GA_PID_FILE);
    ga_config_print(o);
    return fflush(stdout) ? GA_FAILED : GA_OK;
}

void ga_options_clear(GaOptions *o)
{
    char *all[] = { o->path, o->log_file, o->pid_file, o->state_dir, o->freeze_hook };
    for (unsigned i = 0; i < G_N_ELEMENTS(all); i++)
        g_free(all[i]);
    g_strfreev(o->block);
    g_strfreev(o->allow);
    *o = (GaOptions){ 0 };
}
