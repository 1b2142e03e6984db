/* SPDX-License-Identifier: MIT */
#include "ga.h"

const AgentCommand ga_freeze_commands[] = { { 0 } };
void ga_freeze_free(Ga *ga, struct GaFreeze *freeze) { }
void ga_freeze_restore(Ga *ga) { }
