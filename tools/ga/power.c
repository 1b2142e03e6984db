/* SPDX-License-Identifier: MIT */
#include "ga.h"

const AgentCommand ga_power_commands[] = { { 0 } };
