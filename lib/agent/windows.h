/* SPDX-License-Identifier: MIT */
/* Names of Windows by version numbers, as guest-get-osinfo tells them. */
#pragma once

#include <stdbool.h>

typedef struct {
    unsigned major, minor, first_build; /* this build and later ones */
    bool server;
    const char *version, *id;           /* "Microsoft Windows 11", "11" */
} AgentWindows;

/* NULL: none of that number is known. */
const AgentWindows *agent_windows(unsigned major, unsigned minor, unsigned build, bool server);
