/* SPDX-License-Identifier: MIT */
/* vm-user: runs one Linux program built for another ISA. Messages and exit status. */
#include "options.h"

#include <malloc.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "guest/guest.h"

enum { EXIT_FAILED = 1, EXIT_MISUSED = 2 };

static int report(const char *name, const GError *error, int status)
{
    fprintf(stderr, "%s: %s\n", name, error->message);
    return status;
}

static int print(const char *name, const char *text)
{
    if (fputs(text, stdout) >= 0 && !fflush(stdout))
        return 0;
    perror(name);
    return EXIT_FAILED;
}

static int list_cpus(const char *name)
{
    g_autoptr(GString) s = g_string_new(NULL);
    for (const GuestIsa *const *isa = guest_isas(); *isa; isa++) {
        if (!(*isa)->user)
            continue;
        g_string_append_printf(s, "%s:\n", (*isa)->name);
        (*isa)->list_models(s);
    }
    return print(name, s->str);
}

static bool start_log(const UserOptions *o, GError **error)
{
    uint32_t mask = 0;
    if (o->log_names && !log_parse(o->log_names, &mask, error))
        return false;
    log_set_mask(mask | (o->strace ? LOG_STRACE : 0));
    return !o->log_file || log_open(o->log_file, error);
}

/* A guest may have as many mappings as the kernel allows; memory of ours then has to come from growing
   the one heap, as each mapping more would fail. */
static void keep_to_one_heap(void)
{
    mallopt(M_MMAP_THRESHOLD, 32 << 20); /* the most there can be */
    mallopt(M_TRIM_THRESHOLD, 64 << 20);
    mallopt(M_ARENA_MAX, 1);
}

int main(int argc, char **argv, char **envp)
{
    keep_to_one_heap();
    g_autofree char *name = g_path_get_basename(argc && argv[0] ? argv[0] : "vm-user");
    bool compatible = g_str_has_prefix(name, "qemu-");
    g_autoptr(GError) error = NULL;
    UserOptions o = {0};
    if (!user_options_parse(&o, argc, argv, envp, &error) || !start_log(&o, &error))
        return report(name, error, compatible ? EXIT_FAILED : EXIT_MISUSED);
    if (o.version)
        return print(name, compatible ? "qemu version 7.0.0 (Lathe " LATHE_VERSION ")\n"
                                      : "vm-user (Lathe) " LATHE_VERSION "\n");
    if (o.help) {
        g_autofree char *help = user_options_help(name);
        return print(name, help);
    }
    if (o.list_cpus)
        return list_cpus(name);
    if (o.list_log) {
        g_autofree char *help = log_help();
        return print(name, help);
    }
    int status = EXIT_FAILED;
    linux_run(&o.run, &status, &error);
    return report(name, error, status);
}
