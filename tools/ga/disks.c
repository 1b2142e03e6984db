/* SPDX-License-Identifier: MIT */
#include "ga.h"

const AgentCommand ga_disks_commands[] = { { 0 } };
