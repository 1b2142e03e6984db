/* SPDX-License-Identifier: MIT */
/* vm-user's command line and the variables that stand for parts of it. */
#pragma once

#include "linux/linux.h"

typedef struct UserOptions {
    LinuxOptions run;
    bool help, version, list_cpus, list_log;
    const char *log_names, *log_file;
    bool strace;
    GPtrArray *set, *unset;  /* -E, -U, in order */
    GPtrArray *again;        /* options for execve */
    const char *argv0;
} UserOptions;

/* argv is the whole command line; envp the environment, which QEMU_* are read from unless the process
   is privileged. Refers to both. */
bool user_options_parse(UserOptions *o, int argc, char **argv, char **envp, GError **error);
/* What --help prints; name is the program's. To be freed. */
char *user_options_help(const char *name);
