/* SPDX-License-Identifier: MIT */
/* nbd: serves disk images over NBD. Under the name qemu-nbd it has its defaults and texts. */
#include "tool.h"

#include "base/error.h"
#include "base/socket.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

static void print(const Tool *tool, const char *what, const char *fmt, va_list ap)
{
    g_autofree char *text = g_strdup_vprintf(fmt, ap);
    fflush(stdout);
    fprintf(stderr, "%s: %s%s\n", tool->name, what, text);
}

int tool_fail(const Tool *tool, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    print(tool, "", fmt, ap);
    va_end(ap);
    return NBD_FAILED;
}

int tool_misused(const Tool *tool, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    print(tool, "", fmt, ap);
    va_end(ap);
    fprintf(stderr, "Try `%s --help' for more information.\n", tool->name);
    return tool->compatible ? NBD_FAILED : NBD_MISUSED;
}

int tool_error(const Tool *tool, GError *error)
{
    bool usage = error && error->domain == base_error_quark() && error->code == BASE_ERROR_USAGE;
    tool_fail(tool, "%s", error ? error->message : "no reason given");
    g_clear_error(&error);
    return usage && !tool->compatible ? NBD_MISUSED : NBD_FAILED;
}

void tool_warn(const Tool *tool, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    print(tool, "warning: ", fmt, ap);
    va_end(ap);
}

static int run(Tool *tool)
{
    switch (tool->what) {
    case NBD_LIST:
        return list_exports(tool);
    case NBD_DISCONNECT:
        return device_disconnect(tool);
    default:
        return serve(tool);
    }
}

int main(int argc, char **argv)
{
    g_autofree char *name = g_path_get_basename(argc && argv[0] ? argv[0] : "nbd");
    Tool tool = { .name = name, .compatible = g_str_has_prefix(name, "qemu-nbd"), .ready_fd = -1 };
    GError *error = NULL;

    signal(SIGPIPE, SIG_IGN);
    tool.inherited = socket_inherited(NULL, &error);
    if (tool.inherited < 0)
        return tool_error(&tool, error);
    tool.images = g_ptr_array_new();
    tool.bitmaps = g_ptr_array_new();
    tool.blockdevs = g_ptr_array_new();
    tool.exports = g_ptr_array_new();
    tool.throttle_groups = g_ptr_array_new();
    tool.objects = crypto_objects_new();
    int status = tool_options(&tool, argc, argv);
    if (status < 0)
        status = run(&tool);
    crypto_objects_free(tool.objects);
    GPtrArray *all[] = { tool.images, tool.bitmaps, tool.blockdevs, tool.exports, tool.throttle_groups };
    for (unsigned i = 0; i < G_N_ELEMENTS(all); i++)
        g_ptr_array_unref(all[i]);
    if (fflush(stdout) || ferror(stdout)) {
        perror(name);
        return NBD_FAILED;
    }
    return status;
}
