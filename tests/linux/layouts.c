/* SPDX-License-Identifier: MIT */
/*
 * Sizes and offsets of the structures that calls are passed on with as they are: they must be alike in
 * the guest's ISA and the host's.
 */
#include "say.h"

#include <linux/aio_abi.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/dm-ioctl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/fuse.h>
#include <linux/io_uring.h>
#include <linux/landlock.h>
#include <linux/loop.h>
#include <linux/openat2.h>
#include <linux/perf_event.h>
#include <linux/stat.h>
#include <linux/userfaultfd.h>
#include <mqueue.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/msg.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <termios.h>

#define SIZE(type) printf("%s: %zu, aligned to %zu\n", #type, sizeof(type), _Alignof(type))
#define AT(type, member) printf("%s.%s: %zu\n", #type, #member, offsetof(type, member))

int main(void)
{
    SIZE(struct iocb);
    AT(struct iocb, aio_buf);
    AT(struct iocb, aio_resfd);
    SIZE(struct io_event);
    SIZE(union bpf_attr);
    SIZE(struct dm_ioctl);
    AT(struct dm_ioctl, name);
    SIZE(struct fiemap_extent);
    SIZE(struct file_clone_range);
    SIZE(struct fsxattr);
    SIZE(struct fuse_init_out);
    SIZE(struct io_uring_params);
    AT(struct io_uring_params, cq_off);
    SIZE(struct io_uring_sqe);
    SIZE(struct io_uring_cqe);
    SIZE(struct landlock_ruleset_attr);
    SIZE(struct loop_info64);
    AT(struct loop_info64, lo_file_name);
    SIZE(struct open_how);
    SIZE(struct perf_event_attr);
    AT(struct perf_event_attr, sample_regs_intr);
    SIZE(struct statx);
    AT(struct statx, stx_mtime);
    SIZE(struct uffd_msg);
    SIZE(struct uffdio_copy);
    SIZE(struct mq_attr);
    SIZE(struct ifreq);
    SIZE(struct ifconf);
    SIZE(struct sockaddr_in6);
    SIZE(struct sockaddr_un);
    SIZE(struct pollfd);
    SIZE(siginfo_t);
    AT(siginfo_t, si_pid);
    AT(siginfo_t, si_status);
    AT(siginfo_t, si_value);
    AT(siginfo_t, si_addr);
    AT(siginfo_t, si_band);
    SIZE(stack_t);
    SIZE(struct sigevent);
    AT(struct sigevent, sigev_notify);
    SIZE(struct signalfd_siginfo);
    SIZE(struct msqid_ds);
    AT(struct msqid_ds, msg_qnum);
    AT(struct msqid_ds, msg_rtime);
    SIZE(struct shmid_ds);
    AT(struct shmid_ds, shm_segsz);
    AT(struct shmid_ds, shm_nattch);
    SIZE(struct ipc_perm);
    AT(struct ipc_perm, mode);
    SIZE(struct sembuf);
    SIZE(struct seminfo);
    SIZE(struct rlimit);
    SIZE(struct rusage);
    AT(struct rusage, ru_nivcsw);
    SIZE(struct msghdr);
    AT(struct msghdr, msg_control);
    SIZE(struct mmsghdr);
    SIZE(struct cmsghdr);
    SIZE(struct ucred);
    SIZE(struct linger);
    SIZE(struct statfs);
    AT(struct statfs, f_flags);
    SIZE(struct sysinfo);
    AT(struct sysinfo, mem_unit);
    SIZE(struct itimerval);
    SIZE(struct tms);
    SIZE(struct timex);
    AT(struct timex, tai);
    SIZE(struct iovec);
    SIZE(struct utsname);
    SIZE(struct termios);
    SIZE(struct winsize);
    SIZE(struct flock);
    AT(struct flock, l_pid);
    SIZE(struct f_owner_ex);
    SIZE(struct timespec);
    SIZE(fd_set);
    return 0;
}
