/* SPDX-License-Identifier: MIT */
#include "ga.h"

const AgentCommand ga_osinfo_commands[] = { { 0 } };
