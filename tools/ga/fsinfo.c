/* SPDX-License-Identifier: MIT */
#include "ga.h"

const AgentCommand ga_fsinfo_commands[] = { { 0 } };
