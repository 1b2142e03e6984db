/* SPDX-License-Identifier: MIT */
#pragma once

#include "agent/agent.h"

/* Sets a GenericError and returns false. */
bool agent_fail(GError **error, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
/* Whether o has what the table wants and nothing else; where is "" or "list[0]." before names. */
bool agent_check(const AgentArg *table, struct json_object *o, const char *where, GError **error);

/* Commands whose opaque is the Agent. */
struct json_object *agent_info(void *opaque, struct json_object *args, GError **error);
struct json_object *agent_delimit(void *opaque, struct json_object *args, GError **error);
