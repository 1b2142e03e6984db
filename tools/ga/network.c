/* SPDX-License-Identifier: MIT */
#include "ga.h"

const AgentCommand ga_network_commands[] = { { 0 } };
