/* SPDX-License-Identifier: MIT */
#include "ga.h"

const AgentCommand ga_ssh_commands[] = { { 0 } };
