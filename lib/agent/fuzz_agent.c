/* SPDX-License-Identifier: MIT */
/* Any bytes from a host: each answer is one line of JSON, and there are not more of them than
 * requests could be in so many bytes. */
#include "agent/agent.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const words[] = { "a", "bc", NULL };
static const AgentArg members[] = {
    { .name = "n", .type = AGENT_INT }, { .name = "u", .type = AGENT_UINT, .optional = true }, { 0 }
};
static const AgentArg args[] = {
    { .name = "text", .type = AGENT_STRING },
    { .name = "flag", .type = AGENT_BOOL, .optional = true },
    { .name = "list", .type = AGENT_STRINGS, .optional = true },
    { .name = "word", .type = AGENT_WORD, .words = words, .optional = true },
    { .name = "step", .type = AGENT_INT_OR_WORD, .words = words, .either = "E", .optional = true },
    { .name = "keep", .type = AGENT_BOOL_OR_WORD, .words = words, .either = "E", .optional = true },
    { .name = "all", .type = AGENT_OBJECTS, .members = members, .optional = true }, { 0 }
};

static struct json_object *echo(void *opaque, struct json_object *a, GError **error)
{
    size_t len;
    struct json_object *o = agent_nothing();
    g_autofree uint8_t *bytes = agent_base64(a, "text", &len, error);
    if (!bytes) {
        json_object_put(o);
        return NULL;
    }
    agent_put_base64(o, "text", bytes, len);
    agent_put_int(o, "word", agent_word(a, "word", words, -1));
    agent_put_int(o, "step", agent_is_word(a, "step") ? -1 : agent_int(a, "step", 0));
    struct json_object *all = agent_list(a, "all");
    for (size_t i = 0; all && i < json_object_array_length(all); i++)
        agent_put_uint(o, "u", agent_uint(json_object_array_get_idx(all, i), "u", 7));
    return o;
}

static const AgentCommand table[] = { { .name = "echo", .args = args, .run = echo }, { 0 } };

static void reply(void *opaque, const char *bytes, size_t len)
{
    if (*bytes == '\xff')
        bytes++, len--;
    if (bytes[len - 1] != '\n' || memchr(bytes, '\n', len - 1))
        abort();
    ++*(size_t *)opaque;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const AgentCommand *const tables[] = { table, NULL };
    size_t answers = 0, piece = size ? 1 + data[0] : 1;
    AgentConfig config = { .reply = reply, .reply_opaque = &answers, .tables = tables,
                           .version = "1" };
    Agent *a = agent_new(&config);
    for (size_t at = 1; at < size; at += piece)
        agent_feed(a, data + at, MIN(piece, size - at));
    if (answers > size)
        abort();
    agent_free(a);
    return 0;
}
