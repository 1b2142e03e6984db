/* SPDX-License-Identifier: MIT */
#include "ga.h"

const AgentCommand ga_fstrim_commands[] = { { 0 } };
