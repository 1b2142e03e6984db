/* SPDX-License-Identifier: MIT */
/* fsd: shares a directory with a virtual machine (virtiofs over vhost-user). Under the name
 * virtiofsd it has that daemon's defaults. */
#include "tool.h"

#include "base/error.h"
#include "base/socket.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    g_autofree char *name = g_path_get_basename(argc && argv[0] ? argv[0] : "fsd");
    Tool tool = { .voice = { .name = name, .compatible = g_str_has_prefix(name, "virtiofsd") }, .fd = -1, .listener = -1,
                  .connection = -1, .socket_dir = -1, .seccomp = SANDBOX_KILL };
    GError *error = NULL;

    signal(SIGPIPE, SIG_IGN);
    tool.store = fdstore_open("fsd.", &error);
    if (error)
        voice_warn(&tool.voice, "%s: a restart will not go on", error->message);
    g_clear_error(&error);
    tool.inherited = socket_inherited(NULL, &error);
    if (tool.inherited < 0)
        return voice_error(&tool.voice, error);
    tool.kept = g_ptr_array_new_with_free_func(g_free);
    tool.uid_map = g_ptr_array_new();
    tool.gid_map = g_ptr_array_new();
    tool.uids = fs_id_map_new();
    tool.gids = fs_id_map_new();
    int status = tool_options(&tool, argc, argv);
    if (status < 0)
        status = serve(&tool);
    fs_id_map_free(tool.uids);
    fs_id_map_free(tool.gids);
    fs_xattr_map_free(tool.xattr_map);
    g_ptr_array_unref(tool.uid_map);
    g_ptr_array_unref(tool.gid_map);
    g_ptr_array_unref(tool.kept);
    fdstore_free(tool.store);
    g_free(tool.modcaps);
    g_free(tool.socket_file);
    return status;
}
