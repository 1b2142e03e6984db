/* SPDX-License-Identifier: MIT */
/*
 * The command line, as scripts for QEMU's user emulation spell it: single-dash words, also with two
 * dashes, up to the program's name; what follows is the program's. Each option may be given by a
 * variable too, which the command line outdoes. A privileged process (AT_SECURE) looks at no variable
 * and takes no option that would let its user choose what runs.
 */
#include "options.h"

#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

#include "base/error.h"
#include "base/log.h"
#include "base/size.h"

typedef bool OptionFn(UserOptions *o, const char *value, GError **error);

static bool set_help(UserOptions *o, const char *value, GError **error)
{
    return o->help = true;
}

static bool set_version(UserOptions *o, const char *value, GError **error)
{
    return o->version = true;
}

static bool set_root(UserOptions *o, const char *value, GError **error)
{
    if (!g_file_test(value, G_FILE_TEST_IS_DIR))
        return fail_usage(error, "-L %s: not a directory", value);
    o->run.sysroot = realpath(value, NULL);
    return o->run.sysroot ? true : fail_errno(error, errno, "-L %s", value);
}

static bool set_cpu(UserOptions *o, const char *value, GError **error)
{
    if (!strcmp(value, "help") || !strcmp(value, "?"))
        o->list_cpus = true;
    o->run.cpu = value;
    return true;
}

static bool set_env(UserOptions *o, const char *value, GError **error)
{
    if (!strchr(value, '=') || *value == '=')
        return fail_usage(error, "-E %s: NAME=VALUE expected", value);
    g_ptr_array_add(o->set, g_strdup(value));
    return true;
}

static bool unset_env(UserOptions *o, const char *value, GError **error)
{
    if (strchr(value, '='))
        return fail_usage(error, "-U %s: the name of a variable expected", value);
    g_ptr_array_add(o->unset, g_strdup(value));
    return true;
}

static bool set_argv0(UserOptions *o, const char *value, GError **error)
{
    o->argv0 = value;
    return true;
}

static bool set_uname(UserOptions *o, const char *value, GError **error)
{
    o->run.uname = value;
    return true;
}

static bool set_size(const char *name, const char *value, uint64_t *out, GError **error)
{
    if (!size_parse(value, out, error))
        return prefix(error, "%s %s", name, value);
    return true;
}

static bool set_stack(UserOptions *o, const char *value, GError **error)
{
    return set_size("-s", value, &o->run.stack_size, error);
}

static bool set_number(const char *name, const char *value, uint64_t *out, GError **error)
{
    return number_parse(value, out, error) ? true : prefix(error, "%s %s", name, value);
}

static bool set_base(UserOptions *o, const char *value, GError **error)
{
    uint64_t base;
    if (!set_number("-B", value, &base, error))
        return false;
    return !base ? true
                 : fail_usage(error, "-B %s: guest addresses are host addresses here, only 0 is "
                                     "possible", value);
}

static bool set_reserved(UserOptions *o, const char *value, GError **error)
{
    return set_size("-R", value, &o->run.reserved, error);
}

static bool set_log(UserOptions *o, const char *value, GError **error)
{
    uint32_t mask;
    if (!strcmp(value, "help") || !strcmp(value, "?")) {
        o->list_log = true;
        return true;
    }
    o->log_names = value;
    return log_parse(value, &mask, error);
}

/* A program that this one starts goes on where the file ends. */
static bool set_log_file(UserOptions *o, const char *value, GError **error)
{
    o->log_file = value;
    return true;
}

/* How execve starts a program that is known by a descriptor alone. */
static bool set_program_fd(UserOptions *o, const char *value, GError **error)
{
    guint64 fd;
    if (!g_ascii_string_to_unsigned(value, 10, 0, INT_MAX, &fd, error))
        return false;
    o->run.program_fd = (int)fd;
    return true;
}

static bool set_strace(UserOptions *o, const char *value, GError **error)
{
    return o->strace = true;
}

static bool set_seed(UserOptions *o, const char *value, GError **error)
{
    o->run.seeded = true;
    return set_number("-seed", value, &o->run.seed, error);
}

static bool set_accel(UserOptions *o, const char *value, GError **error)
{
    static const char *const names[] = {"jit", "interp", "verify"};
    if (!strcmp(value, "tcg"))
        value = "jit";
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++)
        if (!strcmp(value, names[i])) {
            o->run.accel = (TranslateAccel)i;
            return true;
        }
    return fail_usage(error, "-accel %s: jit, interp or verify expected", value);
}

static bool set_perf_map(UserOptions *o, const char *value, GError **error)
{
    return o->run.perf_map = true;
}

/* What scripts may say and what makes no difference here. */
static bool ignore(UserOptions *o, const char *value, GError **error)
{
    return true;
}

static bool not_there(UserOptions *o, const char *value, GError **error)
{
    return fail_usage(error, "this option is not there yet");
}

typedef struct Option {
    const char *name, *argument; /* argument NULL: it takes none */
    const char *variable;        /* NULL: none */
    const char *help;            /* NULL: not in the list */
    OptionFn *fn;
    bool again;                  /* goes on to the programs that the guest starts */
} Option;

static const Option options[] = {
    {"L", "DIR", "QEMU_LD_PREFIX", "look for the program's files below DIR first", set_root, true},
    {"E", "NAME=VALUE", "QEMU_SET_ENV", "set a variable for the program (may be repeated)", set_env, false},
    {"U", "NAME", "QEMU_UNSET_ENV", "remove a variable", unset_env, false},
    {"0", "NAME", "QEMU_ARGV0", "the program's argument 0", set_argv0, false},
    {"cpu", "MODEL", "QEMU_CPU", "CPU model with its properties; help lists them", set_cpu, true},
    {"r", "RELEASE", "QEMU_UNAME", "the kernel release that uname reports", set_uname, true},
    {"s", "SIZE", "QEMU_STACK_SIZE", "size of the stack (default: the limit of the shell)", set_stack, true},
    {"R", "SIZE", "QEMU_RESERVED_VA", "the program's addresses end there", set_reserved, true},
    {"B", "ADDR", "QEMU_GUEST_BASE", "offset of guest addresses: only 0 is possible", set_base, false},
    {"seed", "N", "QEMU_RAND_SEED", "the same AT_RANDOM at each run", set_seed, true},
    {"strace", NULL, "QEMU_STRACE", "log system calls", set_strace, true},
    {"d", "NAMES", "QEMU_LOG", "log by category; help lists them", set_log, true},
    {"D", "FILE", "QEMU_LOG_FILENAME", "log there instead of on standard error (%d: process)", set_log_file, true},
    {"accel", "NAME", NULL, "jit, interp (interpreter) or verify (both, compared)", set_accel, true},
    {"perfmap", NULL, NULL, "write /tmp/perf-PID.map for perf", set_perf_map, true},
    {"version", NULL, NULL, "print the version", set_version, false},
    {"help", NULL, NULL, "print this", set_help, false},
    {"program-fd", "FD", NULL, NULL, set_program_fd, false},
    {"h", NULL, NULL, NULL, set_help, false},
    {"V", NULL, NULL, NULL, set_version, false},
    {"p", "SIZE", "QEMU_PAGESIZE", NULL, ignore, false},
    {"singlestep", NULL, "QEMU_SINGLESTEP", NULL, ignore, false},
    {"one-insn-per-tb", NULL, "QEMU_ONE_INSN_PER_TB", NULL, ignore, false},
    {"trace", "PATTERN", NULL, NULL, ignore, false},
    {"g", "PORT", "QEMU_GDB", NULL, not_there, false},
    {"plugin", "FILE", "QEMU_PLUGIN", NULL, not_there, false},
};

char *user_options_help(const char *name)
{
    GString *s = g_string_new(NULL);
    g_string_append_printf(s, "usage: %s [OPTION ...] PROGRAM [ARGUMENT ...]\n"
                              "Runs a Linux program that was built for another kind of CPU.\n\n",
                           name);
    for (unsigned i = 0; i < G_N_ELEMENTS(options); i++) {
        const Option *o = &options[i];
        if (!o->help)
            continue;
        g_autofree char *left = g_strdup_printf("-%s%s%s", o->name, o->argument ? " " : "",
                                                o->argument ? o->argument : "");
        g_string_append_printf(s, "  %-16s %s\n", left, o->help);
    }
    g_string_append_printf(s, "\nA word may be given with one dash or two. Variables: QEMU_LD_PREFIX, "
                              "QEMU_CPU,\nQEMU_STRACE and others, see %s(1).\n\nexamples:\n"
                              "  %s ./hello-riscv64\n"
                              "  %s -L /usr/riscv64-linux-gnu ./hello world\n"
                              "  %s -strace -L ~/sysroot ~/sysroot/bin/ls\n",
                           "vm-user", name, name, name);
    return g_string_free(s, FALSE);
}

static const Option *find(const char *word)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(options); i++)
        if (!strcmp(options[i].name, word))
            return &options[i];
    return NULL;
}

/* The argument with which a program that is started from elsewhere means the same; to be freed. */
static char *argument_again(const UserOptions *o, const Option *option, const char *value)
{
    if (option->fn == set_root)
        return g_strdup(o->run.sysroot);
    if (option->fn != set_log_file || *value == '+')
        return g_strdup(value);
    g_autofree char *path = g_canonicalize_filename(value, NULL);
    return g_strconcat("+", path, NULL); /* "+": goes on in it */
}

static bool apply(UserOptions *o, const Option *option, const char *value, GError **error)
{
    if (!option->fn(o, value, error))
        return false;
    if (option->again) {
        g_ptr_array_add(o->again, g_strdup_printf("-%s", option->name));
        if (option->argument)
            g_ptr_array_add(o->again, argument_again(o, option, value));
    }
    return true;
}

/* QEMU_SET_ENV and QEMU_UNSET_ENV hold several, separated by commas. */
static bool apply_variable(UserOptions *o, const Option *option, const char *value, GError **error)
{
    if (option->fn != set_env && option->fn != unset_env)
        return apply(o, option, value, error);
    g_auto(GStrv) parts = g_strsplit(value, ",", -1);
    for (char **p = parts; *p; p++)
        if (**p && !option->fn(o, *p, error))
            return false;
    return true;
}

static bool read_variables(UserOptions *o, GError **error)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(options); i++) {
        const Option *option = &options[i];
        const char *value = option->variable ? getenv(option->variable) : NULL;
        if (value && !apply_variable(o, option, value, error))
            return prefix(error, "%s", option->variable);
    }
    return true;
}

/* The nearest option by its first letters, for a hint. */
static const char *nearest(const char *word)
{
    const char *best = NULL;
    size_t most = 1;
    for (unsigned i = 0; i < G_N_ELEMENTS(options); i++) {
        size_t n = 0;
        while (word[n] && word[n] == options[i].name[n])
            n++;
        if (n > most) {
            most = n;
            best = options[i].name;
        }
    }
    return best;
}

static bool unknown(const char *word, GError **error)
{
    const char *near = nearest(word + strspn(word, "-"));
    return near ? fail_usage(error, "unknown option %s (is -%s meant?)", word, near)
                : fail_usage(error, "unknown option %s (--help lists them)", word);
}

static void apply_environment(UserOptions *o, char **envp)
{
    char **env = g_strdupv(envp);
    for (guint i = 0; i < o->unset->len; i++)
        env = g_environ_unsetenv(env, o->unset->pdata[i]);
    for (guint i = 0; i < o->set->len; i++) {
        char *entry = o->set->pdata[i], *equals = strchr(entry, '=');
        g_autofree char *name = g_strndup(entry, (gsize)(equals - entry));
        env = g_environ_setenv(env, name, equals + 1, TRUE);
    }
    o->run.envp = env;
}

bool user_options_parse(UserOptions *o, int argc, char **argv, char **envp, GError **error)
{
    int i = 1;
    o->set = g_ptr_array_new_with_free_func(g_free);
    o->unset = g_ptr_array_new_with_free_func(g_free);
    o->again = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(o->again, g_strdup(argc ? argv[0] : "vm-user"));
    o->run.program_fd = -1;
    o->run.secure = getauxval(AT_SECURE) != 0;
    if (!o->run.secure && !read_variables(o, error))
        return false;
    for (; i < argc && argv[i][0] == '-' && argv[i][1]; i++) {
        const char *word = argv[i] + 1 + (argv[i][1] == '-');
        if (!*word) { /* "--" */
            i++;
            break;
        }
        const Option *option = find(word);
        if (!option)
            return unknown(argv[i], error);
        if (option->argument && i + 1 == argc)
            return fail_usage(error, "-%s: %s expected", option->name, option->argument);
        if (!apply(o, option, option->argument ? argv[++i] : NULL, error))
            return option->fn == not_there ? prefix(error, "-%s", option->name) : false;
    }
    if (o->help || o->version || o->list_cpus || o->list_log)
        return true;
    if (i == argc)
        return fail_usage(error, "no program given (--help tells more)");
    o->run.program = argv[i];
    o->run.argv = argv + i;
    if (o->argv0)
        argv[i] = (char *)o->argv0;
    g_ptr_array_add(o->again, NULL);
    o->run.again = (char **)o->again->pdata;
    apply_environment(o, envp);
    return true;
}
