/* SPDX-License-Identifier: MIT */
#include "ga.h"

const AgentCommand ga_exec_commands[] = { { 0 } };
void ga_execs_free(Ga *ga, struct GaExecs *execs) { }
