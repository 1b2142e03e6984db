/* SPDX-License-Identifier: MIT */
#include "ga.h"

const AgentCommand ga_stream_commands[] = { { 0 } };
void ga_streams_free(Ga *ga, struct GaStreams *streams) { }
