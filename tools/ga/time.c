/* SPDX-License-Identifier: MIT */
#include "ga.h"

const AgentCommand ga_time_commands[] = { { 0 } };
