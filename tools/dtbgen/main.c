/* SPDX-License-Identifier: MIT */
/* dtbgen: writes the device tree of a machine. Messages, exit status, and where the tree goes. */
#include "dtbgen.h"

#include "base/error.h"
#include "base/save.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int report(const Dtbgen *d, const GError *error)
{
    fflush(stdout);
    fprintf(stderr, "%s: %s\n", d->name, error->message);
    return g_error_matches(error, base_error_quark(), BASE_ERROR_USAGE) ? DTBGEN_MISUSED
                                                                         : DTBGEN_FAILED;
}

/* What standard output did not take is a failure like others. */
static int ended(const Dtbgen *d, int status)
{
    if (!fflush(stdout) && !ferror(stdout))
        return status;
    perror(d->name);
    return DTBGEN_FAILED;
}

static int print(const Dtbgen *d, const char *text)
{
    fputs(text, stdout);
    return ended(d, DTBGEN_OK);
}

static bool write_tree(const Dtbgen *d, GBytes *bytes, GError **error)
{
    gsize len;
    const void *data = g_bytes_get_data(bytes, &len);
    g_autofree char *text = NULL;
    if (d->dts) {
        g_autoptr(Fdt) tree = fdt_tree_from_bytes(data, len, error);
        if (!tree)
            return false;
        data = text = fdt_tree_dts(tree);
        len = strlen(text);
    }
    if (d->output && strcmp(d->output, "-"))
        return save_file(d->output, data, len, error);
    if (!d->dts && isatty(STDOUT_FILENO))
        return fail_usage(error,
                          "standard output is a terminal, which a blob would garble: give -o, a "
                          "pipe, or --dts");
    fwrite(data, 1, len, stdout);
    return true;
}

static int run_check(const Dtbgen *d)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) tree = dtbgen_build(d, &error), machine = NULL;
    if (tree && d->files->len && (d->machine->len || d->arch) &&
        !(machine = dtbgen_machine(d, &error)))
        return report(d, error);
    bool good = false;
    const char *name = d->files->len ? d->files->pdata[0] : "the machine";
    if (!tree || !dtbgen_check(tree, machine, name, &good, &error))
        return report(d, error);
    return ended(d, good ? DTBGEN_OK : DTBGEN_FAILED);
}

static int run(const Dtbgen *d)
{
    g_autoptr(GError) error = NULL;
    if (d->diff) {
        bool same = false;
        if (!dtbgen_diff(d->files->pdata[0], d->files->pdata[1], &same, &error))
            return report(d, error);
        return ended(d, same ? DTBGEN_OK : DTBGEN_FAILED);
    }
    g_autofree char *list = dtbgen_lists(d, &error);
    if (!list)
        return report(d, error);
    if (*list)
        return print(d, list);
    if (d->check)
        return run_check(d);
    g_autoptr(GBytes) tree = dtbgen_build(d, &error);
    if (!tree || !write_tree(d, tree, &error))
        return report(d, error);
    return ended(d, DTBGEN_OK);
}

int main(int argc, char **argv)
{
    g_autofree char *name = g_path_get_basename(argc && argv[0] ? argv[0] : "dtbgen");
    Dtbgen d = {.name = name};
    g_autoptr(GError) error = NULL;
    signal(SIGPIPE, SIG_IGN);
    int status;
    if (!dtbgen_options(&d, argc, argv, &error)) {
        status = report(&d, error);
        fprintf(stderr, "Try `%s --help' for more information.\n", name);
    } else if (d.help) {
        g_autofree char *help = dtbgen_help(name);
        status = print(&d, help);
    } else if (d.version) {
        status = print(&d, "dtbgen (Lathe) " LATHE_VERSION "\n");
    } else {
        status = run(&d);
    }
    GPtrArray *const lists[] = {d.machine, d.smp, d.memory, d.numa, d.object, d.device, d.set,
                                d.delete, d.merge, d.files};
    for (size_t i = 0; i < G_N_ELEMENTS(lists); i++)
        g_ptr_array_unref(lists[i]);
    return status;
}
