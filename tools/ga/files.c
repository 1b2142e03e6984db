/* SPDX-License-Identifier: MIT */
#include "ga.h"

const AgentCommand ga_files_commands[] = { { 0 } };
void ga_files_free(struct GaFiles *files) { }
