/* SPDX-License-Identifier: MIT */
/* From bytes to commands and back. Texts of errors are QEMU's, since hosts look for them. */
#include "agent/agent_priv.h"

#include "base/json.h"

#include <json-c/json.h>
#include <string.h>

typedef struct {
    const AgentCommand *command;
    bool enabled;
} Entry;

struct Agent {
    AgentConfig config;
    JsonStream *stream;
    GArray *commands;     /* of Entry, in the order of the tables */
    GHashTable *by_name;  /* to index + 1 */
    bool frozen;
    bool delimited;       /* the next answer begins with 0xFF */
};

G_DEFINE_QUARK(agent-error-quark, agent_error)

/* ---- Answers -------------------------------------------------------------------- */

static void answer(Agent *a, struct json_object *o)
{
    g_autoptr(GString) line = g_string_new(NULL);
    if (a->delimited)
        g_string_append_c(line, '\xff');
    a->delimited = false;
    json_append(line, o);
    g_string_append_c(line, '\n');
    a->config.reply(a->config.reply_opaque, line->str, line->len);
    json_object_put(o);
}

static void answer_error(Agent *a, struct json_object *id, const GError *error)
{
    struct json_object *o = json_object_new_object(), *e = json_object_new_object();
    bool unknown = error->domain == agent_error_quark() &&
                   error->code == AGENT_ERROR_COMMAND_NOT_FOUND;
    agent_put_string(e, "class", unknown ? "CommandNotFound" : "GenericError");
    agent_put_string(e, "desc", error->message);
    if (id)
        json_object_object_add(o, "id", json_object_get(id));
    json_object_object_add(o, "error", e);
    answer(a, o);
}

/* ---- Requests ------------------------------------------------------------------- */

static Entry *find(const Agent *a, const char *name)
{
    unsigned at = GPOINTER_TO_UINT(g_hash_table_lookup(a->by_name, name));
    return at ? &g_array_index(a->commands, Entry, at - 1) : NULL;
}

static const AgentCommand *find_enabled(const Agent *a, const char *name, GError **error)
{
    const Entry *e = find(a, name);
    if (!e) {
        g_set_error(error, agent_error_quark(), AGENT_ERROR_COMMAND_NOT_FOUND,
                    "The command %s has not been found",
                    name);
        return NULL;
    }
    if (!e->enabled || (a->frozen && !e->command->frozen)) {
        g_set_error(error, agent_error_quark(), AGENT_ERROR_COMMAND_NOT_FOUND,
                    "Command %s has been disabled%s",
                    name, e->enabled ? ": the agent is in frozen state" : "");
        return NULL;
    }
    return e->command;
}

static bool check_request(struct json_object *request, GError **error)
{
    struct json_object *value;
    if (!json_object_is_type(request, json_type_object))
        return agent_fail(error, "QMP input must be a JSON object");
    json_object_object_foreach(request, key, member) {
        if (!strcmp(key, "execute")) {
            if (!json_object_is_type(member, json_type_string))
                return agent_fail(error, "QMP input member 'execute' must be a string");
        } else if (!strcmp(key, "arguments")) {
            if (!json_object_is_type(member, json_type_object))
                return agent_fail(error, "QMP input member 'arguments' must be an object");
        } else if (strcmp(key, "id")) {
            return agent_fail(error, "QMP input member '%s' is unexpected", key);
        }
    }
    return json_object_object_get_ex(request, "execute", &value) ||
           agent_fail(error, "QMP input lacks member 'execute'");
}

/* The value to return, NULL with an error; of a command that says nothing, NULL without. */
static struct json_object *run(Agent *a, struct json_object *request, GError **error)
{
    struct json_object *name, *args = NULL, *value = NULL;
    if (!check_request(request, error))
        return NULL;
    json_object_object_get_ex(request, "execute", &name);
    const AgentCommand *c = find_enabled(a, json_object_get_string(name), error);
    if (!c)
        return NULL;
    if (!json_object_object_get_ex(request, "arguments", &args))
        args = NULL;
    struct json_object *given = args ? json_object_get(args) : json_object_new_object();
    if (agent_check(c->args, given, "", error))
        value = c->run(c->run == agent_info || c->run == agent_delimit ? a : a->config.opaque,
                       given, error);
    json_object_put(given);
    if (value && c->silent)
        g_clear_pointer(&value, json_object_put);
    return value;
}

static void take(void *opaque, struct json_object *request, const char *wrong)
{
    Agent *a = opaque;
    g_autoptr(GError) error = NULL;
    struct json_object *id = NULL, *value = NULL;
    if (wrong) {
        agent_fail(&error, "%s", wrong);
    } else {
        if (json_object_is_type(request, json_type_object))
            json_object_object_get_ex(request, "id", &id);
        value = run(a, request, &error);
    }
    if (error) {
        answer_error(a, id, error);
    } else if (value) {
        struct json_object *o = json_object_new_object();
        json_object_object_add(o, "return", value);
        if (id)
            json_object_object_add(o, "id", json_object_get(id));
        answer(a, o);
    }
    json_object_put(request);
}

/* ---- Commands of the agent itself ------------------------------------------------- */

struct json_object *agent_info(void *opaque, struct json_object *args, GError **error)
{
    Agent *a = opaque;
    struct json_object *o = json_object_new_object(), *list = json_object_new_array();
    agent_put_string(o, "version", a->config.version);
    for (unsigned i = 0; i < a->commands->len; i++) {
        const Entry *e = &g_array_index(a->commands, Entry, i);
        if (e->command->hidden)
            continue;
        struct json_object *one = json_object_new_object();
        agent_put_bool(one, "enabled", e->enabled && (!a->frozen || e->command->frozen));
        agent_put_string(one, "name", e->command->name);
        agent_put_bool(one, "success-response", !e->command->silent);
        json_object_array_add(list, one);
    }
    json_object_object_add(o, "supported_commands", list);
    return o;
}

struct json_object *agent_delimit(void *opaque, struct json_object *args, GError **error)
{
    Agent *a = opaque;
    a->delimited = true;
    return json_object_new_int64(agent_int(args, "id", 0));
}

static struct json_object *sync_run(void *opaque, struct json_object *args, GError **error)
{
    return json_object_new_int64(agent_int(args, "id", 0));
}

static struct json_object *ping(void *opaque, struct json_object *args, GError **error)
{
    return agent_nothing();
}

static const AgentArg sync_args[] = { { .name = "id", .type = AGENT_INT }, { 0 } };

static const AgentCommand own[] = {
    { .name = "guest-sync-delimited", .args = sync_args, .run = agent_delimit, .frozen = true },
    { .name = "guest-sync", .args = sync_args, .run = sync_run, .frozen = true },
    { .name = "guest-ping", .run = ping, .frozen = true },
    { .name = "guest-info", .run = agent_info, .frozen = true },
    { 0 }
};

/* ---- Life ------------------------------------------------------------------------- */

static void add_table(Agent *a, const AgentCommand *table)
{
    for (; table->name; table++) {
        Entry e = { table, true };
        g_array_append_val(a->commands, e);
        g_hash_table_insert(a->by_name, (gpointer)table->name, GUINT_TO_POINTER(a->commands->len));
    }
}

Agent *agent_new(const AgentConfig *config)
{
    Agent *a = g_new0(Agent, 1);
    a->config = *config;
    a->stream = json_stream_new(take, a);
    a->commands = g_array_new(false, false, sizeof(Entry));
    a->by_name = g_hash_table_new(g_str_hash, g_str_equal);
    add_table(a, own);
    for (const AgentCommand *const *t = config->tables; t && *t; t++)
        add_table(a, *t);
    return a;
}

void agent_free(Agent *a)
{
    if (!a)
        return;
    json_stream_free(a->stream);
    g_array_unref(a->commands);
    g_hash_table_unref(a->by_name);
    g_free(a);
}

void agent_feed(Agent *a, const void *bytes, size_t len)
{
    json_stream_feed(a->stream, bytes, len);
}

void agent_reset(Agent *a)
{
    json_stream_reset(a->stream);
    a->delimited = false;
}

bool agent_set_enabled(Agent *a, const char *name, bool enabled)
{
    Entry *e = find(a, name);
    if (e)
        e->enabled = enabled;
    return e;
}

bool agent_is_enabled(const Agent *a, const char *name)
{
    const Entry *e = find(a, name);
    return e && e->enabled;
}

const AgentCommand *agent_command(const Agent *a, unsigned n)
{
    return n < a->commands->len ? g_array_index(a->commands, Entry, n).command : NULL;
}

void agent_set_frozen(Agent *a, bool frozen)
{
    a->frozen = frozen;
}
