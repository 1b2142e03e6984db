/* SPDX-License-Identifier: MIT */
#include "ga.h"

const AgentCommand ga_users_commands[] = { { 0 } };
