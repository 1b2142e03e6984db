/* SPDX-License-Identifier: MIT */
/*
 * ioctl. Numbers and structures of requests are alike on all 64-bit little-endian ISAs that number their
 * ioctls as asm-generic/ioctl.h does, so all go to the host as they are, also those that are not in
 * ioctl.def; that list gives -strace their names.
 */
#include "base/log.h"
#include "linux/call_priv.h"
#include "linux/fd_priv.h"
#include "linux/host_numbers.h"
#include "linux/strace_priv.h"

int64_t call_ioctl(LinuxThread *t, const uint64_t a[6])
{
    if (fd_is_own(t->process, (int)a[0]))
        return -EBADF;
    if (G_UNLIKELY(log_enabled(LOG_UNIMP)) && !strace_ioctl_name((uint32_t)a[1]))
        log_line(LOG_UNIMP, "ioctl 0x%x is not known: the host is asked", (unsigned)a[1]);
    return linux_host_call(t, SYS_ioctl, a);
}
