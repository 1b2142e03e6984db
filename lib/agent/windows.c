/* SPDX-License-Identifier: MIT */
/* Windows' versions, by Microsoft's "Operating System Version" page; since 10.0 only the build
 * tells releases apart. Of one number the latest stands first. */
#include "agent/windows.h"

#include <glib.h>

static const AgentWindows versions[] = {
    { 10, 0, 22000, false, "Microsoft Windows 11", "11" },
    { 10, 0, 0, false, "Microsoft Windows 10", "10" },
    { 6, 3, 0, false, "Microsoft Windows 8.1", "8.1" },
    { 6, 2, 0, false, "Microsoft Windows 8", "8" },
    { 6, 1, 0, false, "Microsoft Windows 7", "7" },
    { 6, 0, 0, false, "Microsoft Windows Vista", "vista" },
    { 5, 1, 0, false, "Microsoft Windows XP", "xp" },
    { 5, 0, 0, false, "Microsoft Windows 2000", "2000" },
    { 10, 0, 26100, true, "Microsoft Windows Server 2025", "2025" },
    { 10, 0, 20348, true, "Microsoft Windows Server 2022", "2022" },
    { 10, 0, 17763, true, "Microsoft Windows Server 2019", "2019" },
    { 10, 0, 14393, true, "Microsoft Windows Server 2016", "2016" },
    { 6, 3, 0, true, "Microsoft Windows Server 2012 R2", "2012r2" },
    { 6, 2, 0, true, "Microsoft Windows Server 2012", "2012" },
    { 6, 1, 0, true, "Microsoft Windows Server 2008 R2", "2008r2" },
    { 6, 0, 0, true, "Microsoft Windows Server 2008", "2008" },
    { 5, 2, 0, true, "Microsoft Windows Server 2003", "2003" },
};

const AgentWindows *agent_windows(unsigned major, unsigned minor, unsigned build, bool server)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(versions); i++) {
        const AgentWindows *v = &versions[i];
        if (v->major == major && v->minor == minor && v->server == server &&
            build >= v->first_build)
            return v;
    }
    return NULL;
}
