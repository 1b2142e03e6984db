/* SPDX-License-Identifier: MIT */
/*
 * The filter of -sandbox, made with libseccomp; see sandbox.h. What a rule does, by kind: the
 * process ends (SIGSYS, so a core dump says where), but scheduling calls get EPERM, since
 * libraries try them and go on, and clone3 gets ENOSYS: its flags are behind a pointer, where
 * no filter can look, and the C library then takes clone, whose flags tell a thread from a process.
 */
#include "sandbox/sandbox.h"

#include "base/error.h"
#include "base/option.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>

static bool get_deny(Options *o, const char *key, bool *deny, GError **error)
{
    static const char *const words[] = { "allow", "deny", NULL };
    int value = *deny;
    if (!options_get_enum(o, key, words, &value, error))
        return false;
    *deny = value;
    return true;
}

bool sandbox_parse(SandboxOptions *options, const char *text, GError **error)
{
    static const char *const elevate[] = { "allow", "deny", "children", NULL };
    g_autoptr(Options) o = options_parse(text, "enable", error);
    SandboxOptions s = { 0 };
    bool no_obsolete = true;
    int level = SANDBOX_ELEVATE_ALLOW;
    if (!o || !options_need(o, "enable", error) ||
        !options_get_bool(o, "enable", &s.on, error) ||
        !get_deny(o, "obsolete", &no_obsolete, error) ||
        !options_get_enum(o, "elevateprivileges", elevate, &level, error) ||
        !get_deny(o, "spawn", &s.no_spawn, error) ||
        !get_deny(o, "resourcecontrol", &s.no_resource_control, error) || !options_done(o, error))
        return prefix(error, "-sandbox %s", text);
    s.obsolete = !no_obsolete;
    s.elevate = (SandboxElevate)level;
    *options = s;
    return true;
}

#ifdef HAVE_LIBSECCOMP
#include <seccomp.h>

/* Which option refuses a call. */
typedef enum { ALWAYS, OBSOLETE, ELEVATE, SPAWN, RESOURCE } Set;

#define CALL(name) SCMP_SYS(name), #name

static const struct {
    int number; /* negative: this host has no such call; libseccomp knows what to do */
    const char *name;
    Set set;
    int error; /* 0: the process ends */
} denied[] = {
    /* The host as a whole: nobody but its administrator. */
    { CALL(reboot), ALWAYS, 0 }, { CALL(swapon), ALWAYS, 0 }, { CALL(swapoff), ALWAYS, 0 },
    { CALL(syslog), ALWAYS, 0 }, { CALL(kexec_load), ALWAYS, 0 },
    { CALL(kexec_file_load), ALWAYS, 0 }, { CALL(init_module), ALWAYS, 0 },
    { CALL(finit_module), ALWAYS, 0 }, { CALL(delete_module), ALWAYS, 0 },
    { CALL(acct), ALWAYS, 0 }, { CALL(quotactl), ALWAYS, 0 }, { CALL(nfsservctl), ALWAYS, 0 },
    { CALL(settimeofday), ALWAYS, 0 }, { CALL(clock_settime), ALWAYS, 0 },
    { CALL(sethostname), ALWAYS, 0 }, { CALL(setdomainname), ALWAYS, 0 },
    { CALL(vhangup), ALWAYS, 0 }, { CALL(iopl), ALWAYS, 0 }, { CALL(ioperm), ALWAYS, 0 },
    /* File systems. */
    { CALL(mount), ALWAYS, 0 }, { CALL(umount), ALWAYS, 0 }, { CALL(umount2), ALWAYS, 0 },
    { CALL(pivot_root), ALWAYS, 0 }, { CALL(move_mount), ALWAYS, 0 },
    { CALL(open_tree), ALWAYS, 0 }, { CALL(fsopen), ALWAYS, 0 }, { CALL(fsconfig), ALWAYS, 0 },
    { CALL(fsmount), ALWAYS, 0 }, { CALL(fspick), ALWAYS, 0 },
    /* Other processes, and the kernel's wide interfaces. */
    { CALL(ptrace), ALWAYS, 0 }, { CALL(process_vm_readv), ALWAYS, 0 },
    { CALL(process_vm_writev), ALWAYS, 0 }, { CALL(bpf), ALWAYS, 0 },
    { CALL(perf_event_open), ALWAYS, 0 }, { CALL(add_key), ALWAYS, 0 },
    { CALL(request_key), ALWAYS, 0 }, { CALL(keyctl), ALWAYS, 0 },
    { CALL(open_by_handle_at), ALWAYS, 0 },

    { CALL(_sysctl), OBSOLETE, 0 }, { CALL(afs_syscall), OBSOLETE, 0 },
    { CALL(bdflush), OBSOLETE, 0 }, { CALL(break), OBSOLETE, 0 },
    { CALL(create_module), OBSOLETE, 0 }, { CALL(ftime), OBSOLETE, 0 },
    { CALL(get_kernel_syms), OBSOLETE, 0 }, { CALL(getpmsg), OBSOLETE, 0 },
    { CALL(gtty), OBSOLETE, 0 }, { CALL(lock), OBSOLETE, 0 }, { CALL(mpx), OBSOLETE, 0 },
    { CALL(prof), OBSOLETE, 0 }, { CALL(profil), OBSOLETE, 0 }, { CALL(putpmsg), OBSOLETE, 0 },
    { CALL(query_module), OBSOLETE, 0 }, { CALL(readdir), OBSOLETE, 0 },
    { CALL(security), OBSOLETE, 0 }, { CALL(sgetmask), OBSOLETE, 0 },
    { CALL(ssetmask), OBSOLETE, 0 }, { CALL(stty), OBSOLETE, 0 }, { CALL(sysfs), OBSOLETE, 0 },
    { CALL(tuxcall), OBSOLETE, 0 }, { CALL(ulimit), OBSOLETE, 0 }, { CALL(uselib), OBSOLETE, 0 },
    { CALL(ustat), OBSOLETE, 0 }, { CALL(vserver), OBSOLETE, 0 },

    { CALL(setuid), ELEVATE, 0 }, { CALL(setgid), ELEVATE, 0 }, { CALL(setreuid), ELEVATE, 0 },
    { CALL(setregid), ELEVATE, 0 }, { CALL(setresuid), ELEVATE, 0 },
    { CALL(setresgid), ELEVATE, 0 }, { CALL(setfsuid), ELEVATE, 0 },
    { CALL(setfsgid), ELEVATE, 0 }, { CALL(setgroups), ELEVATE, 0 }, { CALL(setpgid), ELEVATE, 0 },
    { CALL(setsid), ELEVATE, 0 }, { CALL(capset), ELEVATE, 0 },

    /* clone without CLONE_THREAD is added by hand. */
    { CALL(fork), SPAWN, 0 }, { CALL(vfork), SPAWN, 0 }, { CALL(execve), SPAWN, 0 },
    { CALL(execveat), SPAWN, 0 }, { CALL(setns), SPAWN, 0 }, { CALL(unshare), SPAWN, 0 },
    { CALL(clone3), SPAWN, ENOSYS },

    { CALL(setpriority), RESOURCE, EPERM }, { CALL(ioprio_set), RESOURCE, EPERM },
    { CALL(sched_setparam), RESOURCE, EPERM }, { CALL(sched_setattr), RESOURCE, EPERM },
    { CALL(sched_setaffinity), RESOURCE, EPERM },
};

static bool in_force(const SandboxOptions *o, Set set)
{
    switch (set) {
    case OBSOLETE:
        return !o->obsolete;
    case ELEVATE:
        return o->elevate == SANDBOX_ELEVATE_DENY;
    case SPAWN:
        return o->no_spawn;
    case RESOURCE:
        return o->no_resource_control;
    default:
        return true;
    }
}

static bool add_all(const SandboxOptions *o, scmp_filter_ctx ctx, uint32_t end, GError **error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(denied); i++) {
        if (!in_force(o, denied[i].set))
            continue;
        uint32_t action = denied[i].error ? SCMP_ACT_ERRNO(denied[i].error) : end;
        int e = seccomp_rule_add(ctx, action, denied[i].number, 0);
        if (e && e != -EDOM)
            return fail_errno(error, -e, "%s", denied[i].name);
    }
    int e = 0;
#ifdef __s390x__
    const unsigned flags = 1;
#else
    const unsigned flags = 0;
#endif
    if (o->no_spawn)
        e = seccomp_rule_add(ctx, end, SCMP_SYS(clone), 1,
                             SCMP_CMP(flags, SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
    /* Being less important is everybody's right. */
    if (!e && o->no_resource_control)
        e = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(sched_setscheduler), 1,
                             SCMP_A1(SCMP_CMP_NE, SCHED_IDLE, 0));
    return !e || fail_errno(error, -e, "clone");
}

static bool install(const SandboxOptions *o, GError **error)
{
    uint32_t end = seccomp_api_get() >= 3 ? SCMP_ACT_KILL_PROCESS : SCMP_ACT_TRAP;
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
    if (!ctx)
        return fail(error, "no filter can be made");
    int e = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
    bool ok = e ? fail_errno(error, -e, "the kernel cannot put a filter on all threads")
                : add_all(o, ctx, end, error);
    if (ok && (e = seccomp_load(ctx)))
        ok = fail_errno(error, -e, "the kernel does not take the filter");
    seccomp_release(ctx);
    return ok;
}
#else
static bool install(const SandboxOptions *o, GError **error)
{
    return fail(error, "this build has no libseccomp");
}
#endif

bool sandbox_apply(const SandboxOptions *options, GError **error)
{
    if (!options->on)
        return true;
    if (options->elevate == SANDBOX_ELEVATE_CHILDREN && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) {
        fail_errno(error, errno, "children cannot be kept from getting privileges");
        return prefix(error, "-sandbox");
    }
    return install(options, error) || prefix(error, "-sandbox");
}
