/* SPDX-License-Identifier: MIT */
/* nbd: serves disk images over NBD. Under the name qemu-nbd it has its defaults and texts. */
#include "tool.h"

#include "base/error.h"
#include "base/socket.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

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
    Tool tool = { .voice = { .name = name, .compatible = g_str_has_prefix(name, "qemu-nbd") },
                  .ready_fd = -1 };
    GError *error = NULL;

    signal(SIGPIPE, SIG_IGN);
    tool.inherited = socket_inherited(NULL, &error);
    if (tool.inherited < 0)
        return voice_error(&tool.voice, error);
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
    GPtrArray *all[] = { tool.images, tool.bitmaps, tool.blockdevs, tool.exports,
                         tool.throttle_groups };
    for (unsigned i = 0; i < G_N_ELEMENTS(all); i++)
        g_ptr_array_unref(all[i]);
    if (fflush(stdout) || ferror(stdout)) {
        perror(name);
        return VOICE_FAILED;
    }
    return status;
}
