/* SPDX-License-Identifier: MIT */
#include "ga.h"

const AgentCommand ga_cpus_commands[] = { { 0 } };
