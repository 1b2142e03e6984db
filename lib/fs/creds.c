/* SPDX-License-Identifier: MIT */
/*
 * Acting as somebody else, one thread at a time: the kernel keeps identities and capabilities by
 * thread, and only the C library makes processes of them, so these are bare system calls.
 * Supplementary groups are none (CVE-2022-0358: a set-gid bit must not survive because we happen to
 * be in the file's group); credentials(7), capabilities(7).
 */
#include "fs/fs_priv.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool get_caps(struct __user_cap_data_struct data[2])
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    return !syscall(SYS_capget, &header, data);
}

static bool set_effective(uint64_t effective)
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[2];
    if (!get_caps(data))
        return false;
    data[0].effective = (uint32_t)effective & data[0].permitted;
    data[1].effective = (uint32_t)(effective >> 32) & data[1].permitted;
    return !syscall(SYS_capset, &header, data);
}

uint64_t fs_caps_permitted(void)
{
    struct __user_cap_data_struct data[2];
    return get_caps(data) ? data[0].permitted | (uint64_t)data[1].permitted << 32 : 0;
}

int fs_become(Fs *fs, const FsCaller *caller, unsigned how, FsBecame *became)
{
    uint32_t uid, gid, more = 0;
    *became = (FsBecame){ 0 };
    if (!fs_id_to_host(fs->o.uids, caller->uid, &uid) ||
        !fs_id_to_host(fs->o.gids, caller->gid, &gid) ||
        (caller->has_more_gid && !fs_id_to_host(fs->o.gids, caller->more_gid, &more)))
        return -EPERM;
    if (fs->o.one_owner)
        return 0;
    if (caller->has_more_gid && more != gid) {
        gid_t groups[] = { more };
        if (syscall(SYS_setgroups, 1, groups))
            return -EPERM;
        became->groups = true;
    }
    /* An id that our user namespace does not have is EINVAL; for who asks it is not permitted. */
    if (gid != fs->gid) {
        if (syscall(SYS_setresgid, -1, gid, -1)) {
            fs_become_self(fs, became);
            return -EPERM;
        }
        became->gid = true;
    }
    if (uid != fs->uid) {
        if (syscall(SYS_setresuid, -1, uid, -1)) {
            fs_become_self(fs, became);
            return -EPERM;
        }
        became->uid = true;
        /* The change took all capabilities. The guest's kernel has checked the folder's
           permissions, by groups that we do not know of. */
        if (how & FS_MAKES)
            set_effective(fs->caps & (UINT64_C(1) << CAP_DAC_OVERRIDE));
    }
    return 0;
}

void fs_become_self(Fs *fs, FsBecame *became)
{
    bool good = true;
    if (became->uid)
        good = !syscall(SYS_setresuid, -1, fs->uid, -1);
    if (became->uid || became->caps)
        good = set_effective(fs->caps) && good;
    if (became->gid)
        good = !syscall(SYS_setresgid, -1, fs->gid, -1) && good;
    if (became->groups)
        good = !syscall(SYS_setgroups, 0, NULL) && good;
    if (!good)
        g_error("cannot become ourselves again"); /* going on as somebody else would serve everybody
                                                     as them */
    *became = (FsBecame){ 0 };
}

void fs_drop_fsetid(Fs *fs, FsBecame *became)
{
    uint64_t bit = UINT64_C(1) << CAP_FSETID;
    *became = (FsBecame){ 0 };
    if (fs->caps & bit)
        became->caps = set_effective(fs->caps & ~bit);
}
