/* SPDX-License-Identifier: MIT */
/* What tools say, and how they exit: seen by a process of its own. */
#include "base/voice.h"

#include "base/error.h"

static void speak(void)
{
    const Voice own = { .name = "tool" }, other = { .name = "old-tool", .compatible = true };
    GError *error = NULL;
    voice_warn(&own, "%d of it", 2);
    fail_usage(&error, "no such thing");
    int codes[] = { voice_fail(&own, "it is %s", "gone"), voice_misused(&own, "what"),
                    voice_misused(&other, "what"), voice_error(&own, NULL),
                    voice_error(&own, g_steal_pointer(&error)) };
    fail(&error, "it broke");
    g_assert_cmpint(voice_error(&other, error), ==, VOICE_FAILED);
    g_assert_cmpint(codes[0], ==, VOICE_FAILED);
    g_assert_cmpint(codes[1], ==, VOICE_MISUSED);
    g_assert_cmpint(codes[2], ==, VOICE_FAILED);
    g_assert_cmpint(codes[3], ==, VOICE_FAILED);
    g_assert_cmpint(codes[4], ==, VOICE_MISUSED);
}

static void test_texts(void)
{
    if (g_test_subprocess()) {
        speak();
        return;
    }
    g_test_trap_subprocess(NULL, 0, G_TEST_SUBPROCESS_DEFAULT);
    g_test_trap_assert_passed();
    g_test_trap_assert_stderr("tool: warning: 2 of it\n"
                              "tool: it is gone\n"
                              "tool: what\nTry `tool --help' for more information.\n"
                              "old-tool: what\nTry `old-tool --help' for more information.\n"
                              "tool: no reason given\n"
                              "tool: no such thing\n"
                              "old-tool: it broke\n");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/voice/texts", test_texts);
    return g_test_run();
}
