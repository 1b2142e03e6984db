/* SPDX-License-Identifier: MIT */
/* Requests and answers, as qemu-ga 7.2 was seen to answer the same bytes. */
#include "agent/agent.h"

#include <json-c/json.h>
#include <string.h>

static const char *const words[] = { "slow", "fast", NULL };
static const AgentArg members[] = { { .name = "n", .type = AGENT_INT }, { 0 } };
static const AgentArg args[] = {
    { .name = "text", .type = AGENT_STRING },
    { .name = "flag", .type = AGENT_BOOL, .optional = true },
    { .name = "how", .type = AGENT_WORD, .words = words, .optional = true },
    { .name = "list", .type = AGENT_STRINGS, .optional = true },
    { .name = "step", .type = AGENT_INT_OR_WORD, .words = words, .either = "Step",
      .optional = true },
    { .name = "keep", .type = AGENT_BOOL_OR_WORD, .words = words, .either = "Keep",
      .optional = true },
    { .name = "size", .type = AGENT_UINT, .optional = true },
    { .name = "all", .type = AGENT_OBJECTS, .members = members, .optional = true }, { 0 }
};

static struct json_object *echo(void *opaque, struct json_object *a, GError **error)
{
    g_auto(GStrv) list = agent_strings(a, "list");
    struct json_object *o = agent_nothing();
    agent_put_string(o, "text", agent_string(a, "text"));
    agent_put_int(o, "how", agent_word(a, "how", words, -1));
    agent_put_int(o, "n", g_strv_length(list));
    if (agent_has(a, "size"))
        agent_put_uint(o, "size", agent_uint(a, "size", 0));
    if (agent_has(a, "step") || agent_has(a, "keep"))
        agent_put_bool(o, "word", agent_is_word(a, agent_has(a, "step") ? "step" : "keep"));
    return o;
}

static struct json_object *quiet(void *opaque, struct json_object *a, GError **error)
{
    return agent_nothing();
}

static const AgentCommand table[] = {
    { .name = "echo", .args = args, .run = echo },
    { .name = "quiet", .run = quiet, .silent = true },
    { .name = "ours", .run = quiet, .hidden = true }, { 0 }
};

static void reply(void *opaque, const char *bytes, size_t len)
{
    g_string_append_len(opaque, bytes, (gssize)len);
}

static Agent *agent(GString *out)
{
    static const AgentCommand *const tables[] = { table, NULL };
    AgentConfig config = { .reply = reply, .reply_opaque = out, .tables = tables, .version = "1" };
    return agent_new(&config);
}

static void check(Agent *a, GString *out, const char *request, const char *expected)
{
    g_string_set_size(out, 0);
    agent_feed(a, request, strlen(request));
    if (out->len && out->str[out->len - 1] == '\n')
        g_string_set_size(out, out->len - 1);
    g_assert_cmpstr(out->str, ==, expected);
}

#define ERROR(text) "{\"error\": {\"class\": \"GenericError\", \"desc\": \"" text "\"}}"
#define UNKNOWN(text) "{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"" text "\"}}"

static void test_requests(void)
{
    g_autoptr(GString) out = g_string_new("");
    g_autoptr(Agent) a = agent(out);
    check(a, out, "{\"execute\":\"guest-ping\"}", "{\"return\": {}}");
    check(a, out, "{\"execute\":\"guest-ping\",\"id\":{\"a\":[1]}}\n",
          "{\"return\": {}, \"id\": {\"a\": [1]}}");
    check(a, out, "{\"execute\":\"guest-sync\",\"arguments\":{\"id\":-7}}\n", "{\"return\": -7}");
    check(a, out, "\xff{\"execute\":\"guest-sync-delimited\",\"arguments\":{\"id\":5}}\n",
          "\xff{\"return\": 5}");
    check(a, out, "{\"execute\":\"quiet\"}\n", "");
    check(a, out,
          "{\"execute\":\"echo\",\"arguments\":{\"text\":\"\\u00e4\",\"how\":\"fast\","
          "\"list\":[\"a\",\"b\"]}}\n",
          "{\"return\": {\"text\": \"\xc3\xa4\", \"how\": 1, \"n\": 2}}");
    check(a, out, "{\"exec", "");
    agent_reset(a);
    check(a, out, "{\"execute\":\"guest-ping\"}", "{\"return\": {}}");
}

static void test_mistakes(void)
{
    g_autoptr(GString) out = g_string_new("");
    g_autoptr(Agent) a = agent(out);
    check(a, out, "[1]\n", ERROR("QMP input must be a JSON object"));
    check(a, out, "null\n", ERROR("QMP input must be a JSON object"));
    check(a, out, "{}\n", ERROR("QMP input lacks member 'execute'"));
    check(a, out, "{\"execute\":5}\n", ERROR("QMP input member 'execute' must be a string"));
    check(a, out, "{\"execute\":\"guest-ping\",\"foo\":1}\n",
          ERROR("QMP input member 'foo' is unexpected"));
    check(a, out, "{\"execute\":\"guest-ping\",\"arguments\":null}\n",
          ERROR("QMP input member 'arguments' must be an object"));
    check(a, out, "{\"execute\":\"guest-ping\",\"arguments\":{\"a\":1}}\n",
          ERROR("Parameter 'a' is unexpected"));
    check(a, out, "{\"execute\":\"guest-sync\"}\n", ERROR("Parameter 'id' is missing"));
    static const char *const ids[] = { "\"x\"", "1.5", "9223372036854775808", "null", "true" };
    for (unsigned i = 0; i < G_N_ELEMENTS(ids); i++) {
        g_autofree char *request =
            g_strdup_printf("{\"execute\":\"guest-sync\",\"arguments\":{\"id\":%s}}\n", ids[i]);
        check(a, out, request, ERROR("Invalid parameter type for 'id', expected: integer"));
    }
    check(a, out, "{\"execute\":\"echo\",\"arguments\":{\"text\":\"a\",\"how\":\"later\"}}\n",
          ERROR("Parameter 'how' does not accept value 'later'"));
    check(a, out, "{\"execute\":\"echo\",\"arguments\":{\"text\":\"a\",\"list\":[1]}}\n",
          ERROR("Invalid parameter type for 'list[0]', expected: string"));
    check(a, out, "{\"execute\":\"echo\",\"arguments\":{\"text\":\"a\",\"all\":[{\"n\":1},{}]}}\n",
          ERROR("Parameter 'all[1].n' is missing"));
    check(a, out, "{\"execute\":\"echo\",\"arguments\":{\"text\":\"a\\u0000b\"}}\n",
          ERROR("Parameter 'text' holds a NUL"));
    check(a, out, "{\"id\":7,\"execute\":\"nope\"}\n",
          "{\"id\": 7, \"error\": {\"class\": \"CommandNotFound\", "
          "\"desc\": \"The command nope has not been found\"}}");
    check(a, out, "x\n", ERROR("JSON parse error, invalid keyword 'x'"));
}

static void test_either(void)
{
    static const struct { const char *given, *expected; } cases[] = {
        { "\"step\":2", "{\"return\": {\"text\": \"a\", \"how\": -1, \"n\": 0, \"word\": false}}" },
        { "\"step\":\"fast\"",
          "{\"return\": {\"text\": \"a\", \"how\": -1, \"n\": 0, \"word\": true}}" },
        { "\"keep\":true",
          "{\"return\": {\"text\": \"a\", \"how\": -1, \"n\": 0, \"word\": false}}" },
        { "\"keep\":\"slow\"",
          "{\"return\": {\"text\": \"a\", \"how\": -1, \"n\": 0, \"word\": true}}" },
        { "\"step\":1.5", ERROR("Invalid parameter type for 'step', expected: integer") },
        { "\"step\":true", ERROR("Invalid parameter type for 'step', expected: Step") },
        { "\"step\":\"x\"", ERROR("Parameter 'step' does not accept value 'x'") },
        { "\"keep\":1", ERROR("Invalid parameter type for 'keep', expected: Keep") },
        { "\"keep\":\"slow\\u0000\"", ERROR("Parameter 'keep' does not accept value 'slow'") },
    };
    g_autoptr(GString) out = g_string_new("");
    g_autoptr(Agent) a = agent(out);
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *request =
            g_strdup_printf("{\"execute\":\"echo\",\"arguments\":{\"text\":\"a\",%s}}\n",
                            cases[i].given);
        check(a, out, request, cases[i].expected);
    }
}

static void test_unsigned(void)
{
    static const struct { const char *given, *returned; } cases[] = {
        { "0", "0" }, { "9223372036854775808", "9223372036854775808" },
        { "18446744073709551614", "18446744073709551614" }, { "-1", "18446744073709551615" },
        { "-9223372036854775808", "9223372036854775808" }, { "18446744073709551616", NULL },
        { "1.5", NULL }, { "1e3", NULL }, { "\"5\"", NULL }, { "true", NULL }, { "null", NULL },
        { "[]", NULL }, { "{}", NULL },
    };
    g_autoptr(GString) out = g_string_new("");
    g_autoptr(Agent) a = agent(out);
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *request = g_strdup_printf(
            "{\"execute\":\"echo\",\"arguments\":{\"text\":\"a\",\"size\":%s}}\n", cases[i].given);
        g_autofree char *answer = g_strdup_printf(
            "{\"return\": {\"text\": \"a\", \"how\": -1, \"n\": 0, \"size\": %s}}",
            cases[i].returned);
        check(a, out, request,
              cases[i].returned ? answer : ERROR("Parameter 'size' expects uint64"));
    }
}

static void test_enabled(void)
{
    g_autoptr(GString) out = g_string_new("");
    g_autoptr(Agent) a = agent(out);
    g_assert_true(agent_set_enabled(a, "quiet", false));
    g_assert_false(agent_set_enabled(a, "none", false));
    check(a, out, "{\"execute\":\"quiet\"}\n", UNKNOWN("Command quiet has been disabled"));
    agent_feed(a, "{\"execute\":\"guest-info\"}\n", 25);
    g_assert_nonnull(strstr(out->str, "{\"enabled\": false, \"name\": \"quiet\", "
                                      "\"success-response\": false}"));
    g_assert_nonnull(strstr(out->str, "{\"enabled\": true, \"name\": \"echo\", "
                                      "\"success-response\": true}"));
    g_assert_null(strstr(out->str, "ours"));
    agent_set_frozen(a, true);
    check(a, out, "{\"execute\":\"echo\",\"arguments\":{\"text\":\"a\"}}\n",
          UNKNOWN("Command echo has been disabled: the agent is in frozen state"));
    check(a, out, "{\"execute\":\"guest-ping\"}\n", "{\"return\": {}}");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/agent/requests", test_requests);
    g_test_add_func("/agent/mistakes", test_mistakes);
    g_test_add_func("/agent/either", test_either);
    g_test_add_func("/agent/unsigned", test_unsigned);
    g_test_add_func("/agent/enabled", test_enabled);
    return g_test_run();
}
