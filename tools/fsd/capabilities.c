/* SPDX-License-Identifier: MIT */
/* Which capabilities stay: those with which a file system is made to look like the guest's, and
 * what --modcaps says. */
#include "tool.h"

#include "base/error.h"

#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BIT(n) (UINT64_C(1) << (n))

/* By number, linux/capability.h. */
static const char *const names[] = {
    "chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap",
    "linux_immutable", "net_bind_service", "net_broadcast", "net_admin", "net_raw", "ipc_lock", "ipc_owner",
    "sys_module", "sys_rawio", "sys_chroot", "sys_ptrace", "sys_pacct", "sys_admin", "sys_boot", "sys_nice",
    "sys_resource", "sys_time", "sys_tty_config", "mknod", "lease", "audit_write", "audit_control", "setfcap",
    "mac_override", "mac_admin", "syslog", "wake_alarm", "block_suspend", "audit_read", "perfmon", "bpf",
    "checkpoint_restore",
};

static bool change(uint64_t *keep, const char *text, GError **error)
{
    g_auto(GStrv) words = g_strsplit(text, ":", -1);
    for (unsigned i = 0; words[i]; i++) {
        const char *name = words[i] + (*words[i] != 0);
        if (g_ascii_strncasecmp(name, "cap_", 4) == 0)
            name += 4;
        unsigned n = 0;
        while (n < G_N_ELEMENTS(names) && g_ascii_strcasecmp(names[n], name))
            n++;
        if ((*words[i] != '+' && *words[i] != '-') || n == G_N_ELEMENTS(names))
            return fail_usage(error,
                              "modcaps '%s': want +NAME or -NAME of a capability, ':' between them",
                              words[i]);
        *keep = *words[i] == '+' ? *keep | BIT(n) : *keep & ~BIT(n);
    }
    return true;
}

bool keep_capabilities(const Tool *tool, GError **error)
{
    struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
    uint64_t keep = BIT(CAP_CHOWN) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_FOWNER) | BIT(CAP_FSETID) |
                    BIT(CAP_SETGID) | BIT(CAP_SETUID) | BIT(CAP_MKNOD) | BIT(CAP_SETFCAP);
    if (tool->fs.file_handles != FS_HANDLES_NEVER)
        keep |= BIT(CAP_DAC_READ_SEARCH);
    if (tool->modcaps && !change(&keep, tool->modcaps, error))
        return false;
    if (syscall(SYS_capget, &head, data))
        return fail_errno(error, errno, "capabilities");
    /* What cannot be got back by running a program is gone for good. */
    for (unsigned i = 0; i < 64 && prctl(PR_CAPBSET_READ, i, 0, 0, 0) >= 0; i++)
        if (!(keep & BIT(i)) && (data[0].effective & BIT(CAP_SETPCAP)) &&
            prctl(PR_CAPBSET_DROP, i, 0, 0, 0))
            return fail_errno(error, errno, "capabilities");
    for (unsigned i = 0; i < 2; i++) {
        data[i].permitted &= (uint32_t)(keep >> 32 * i);
        data[i].effective = data[i].permitted;
        data[i].inheritable = 0;
    }
    if (syscall(SYS_capset, &head, data))
        return fail_errno(error, errno, "capabilities");
    return !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
           fail_errno(error, errno, "giving up privileges");
}
