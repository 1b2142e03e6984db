/* SPDX-License-Identifier: MIT */
/* Builds as Microsoft's release tables have them. */
#include "agent/windows.h"

#include <glib.h>

static void check(unsigned major, unsigned minor, unsigned build, bool server, const char *version,
                  const char *id)
{
    const AgentWindows *w = agent_windows(major, minor, build, server);
    g_assert_nonnull(w);
    g_assert_cmpstr(w->version, ==, version);
    g_assert_cmpstr(w->id, ==, id);
}

static void test_clients(void)
{
    check(10, 0, 22000, false, "Microsoft Windows 11", "11");
    check(10, 0, 26100, false, "Microsoft Windows 11", "11");
    check(10, 0, 21999, false, "Microsoft Windows 10", "10");
    check(10, 0, 19045, false, "Microsoft Windows 10", "10");
    check(6, 3, 9600, false, "Microsoft Windows 8.1", "8.1");
    check(6, 1, 7601, false, "Microsoft Windows 7", "7");
    check(5, 1, 2600, false, "Microsoft Windows XP", "xp");
}

static void test_servers(void)
{
    check(10, 0, 14393, true, "Microsoft Windows Server 2016", "2016");
    check(10, 0, 17763, true, "Microsoft Windows Server 2019", "2019");
    check(10, 0, 20348, true, "Microsoft Windows Server 2022", "2022");
    check(10, 0, 20347, true, "Microsoft Windows Server 2019", "2019");
    check(10, 0, 26100, true, "Microsoft Windows Server 2025", "2025");
    check(6, 3, 9600, true, "Microsoft Windows Server 2012 R2", "2012r2");
    check(5, 2, 3790, true, "Microsoft Windows Server 2003", "2003");
}

static void test_unknown(void)
{
    g_assert_null(agent_windows(5, 1, 2600, true));
    g_assert_null(agent_windows(11, 0, 30000, false));
    g_assert_null(agent_windows(10, 0, 100, true));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/agent/windows/clients", test_clients);
    g_test_add_func("/agent/windows/servers", test_servers);
    g_test_add_func("/agent/windows/unknown", test_unknown);
    return g_test_run();
}
