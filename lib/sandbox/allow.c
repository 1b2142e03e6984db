/* SPDX-License-Identifier: MIT */
/* The other kind of filter: a tool that knows what it asks the kernel for names that, and nothing
 * else goes. */
#include "sandbox/sandbox.h"

#include "base/error.h"

#include <errno.h>

#ifdef HAVE_LIBSECCOMP
#include <seccomp.h>

static uint32_t action_of(SandboxAction action)
{
    switch (action) {
    case SANDBOX_LOG:
        return SCMP_ACT_LOG;
    case SANDBOX_TRAP:
        return SCMP_ACT_TRAP;
    default:
        return seccomp_api_get() >= 3 ? SCMP_ACT_KILL_PROCESS : SCMP_ACT_KILL;
    }
}

static bool allow_all(scmp_filter_ctx ctx, const char *const *names, GError **error)
{
    for (unsigned i = 0; names[i]; i++) {
        int number = seccomp_syscall_resolve_name(names[i]);
        int e = number == __NR_SCMP_ERROR ? 0 : seccomp_rule_add(ctx, SCMP_ACT_ALLOW, number, 0);
        if (e && e != -EDOM) /* another host's */
            return fail_errno(error, -e, "%s", names[i]);
    }
    /* clone3's flags are behind a pointer; the C library takes clone instead */
    int e = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    return !e || fail_errno(error, -e, "clone3");
}

bool sandbox_allow(const char *const *names, SandboxAction action, GError **error)
{
    if (action == SANDBOX_NONE)
        return true;
    scmp_filter_ctx ctx = seccomp_init(action_of(action));
    if (!ctx)
        return fail(error, "no filter can be made");
    int e = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
    bool ok = e ? fail_errno(error, -e, "the kernel cannot put a filter on all threads")
                : allow_all(ctx, names, error);
    if (ok && (e = seccomp_load(ctx)))
        ok = fail_errno(error, -e, "the kernel does not take the filter");
    seccomp_release(ctx);
    return ok;
}
#else
bool sandbox_allow(const char *const *names, SandboxAction action, GError **error)
{
    return action == SANDBOX_NONE || fail(error, "this build has no libseccomp");
}
#endif
