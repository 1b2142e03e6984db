/* SPDX-License-Identifier: MIT */
#include "ga.h"

const AgentCommand ga_memory_commands[] = { { 0 } };
