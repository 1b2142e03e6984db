/* SPDX-License-Identifier: MIT */
/*
 * Calls with arguments that mean nothing, by children that an alarm ends: poke SEED CHILDREN. Whatever
 * becomes of a child, the kernel below has to live: it is the standard error of this that is looked at.
 */
#include "say.h"

#include <grp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

static uint64_t state;

static uint64_t next(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static char *memory; /* two pages, and nothing behind them */

static uint64_t argument(void)
{
    switch (next() % 12) {
    case 0: return 0;
    case 1: return next() % 8;
    case 2: return next() % 70;
    case 3: return (uint64_t)-1 - next() % 5;
    case 4: return 1020 + next() % 5;
    case 5: return (uintptr_t)memory + next() % 8192;
    case 6: return (uintptr_t)memory + 8192 - next() % 24;
    case 7: return (uintptr_t)memory;
    case 8: return UINT64_C(1) << (next() % 64);
    case 9: return (next() % 2 ? INT64_MIN : INT32_MIN) + (int64_t)(next() % 3);
    case 10: return UINT64_C(0x7fff00000000) + next() % 65536;
    default: return next();
    }
}

/* Those that would reach beyond the child, or stop it from doing more. */
static int is_left_out(long number)
{
    static const short names[] = {
        SYS_exit, SYS_exit_group, SYS_kill, SYS_tkill, SYS_tgkill, SYS_rt_sigqueueinfo,
        SYS_rt_tgsigqueueinfo, SYS_reboot, SYS_clone, SYS_clone3, SYS_rt_sigreturn, SYS_vhangup,
        SYS_munmap, SYS_mprotect, SYS_mmap, SYS_mremap, SYS_brk, SYS_setitimer, SYS_timer_create,
        SYS_pidfd_send_signal, SYS_ptrace, SYS_setpriority, SYS_rt_sigprocmask, SYS_rt_sigaction,
        SYS_process_vm_writev, SYS_prlimit64, SYS_setrlimit, SYS_shmat, SYS_remap_file_pages,
        SYS_madvise, SYS_syslog, SYS_sync, SYS_syncfs, SYS_fcntl, SYS_perf_event_open, SYS_bpf,
        SYS_userfaultfd, SYS_io_uring_setup, SYS_fallocate, SYS_truncate, SYS_ftruncate,
        SYS_memfd_create, SYS_unshare, SYS_personality, SYS_execve, SYS_execveat, SYS_mlockall,
        SYS_add_key, SYS_keyctl, SYS_request_key, SYS_shmget, SYS_semget, SYS_msgget, SYS_mq_open,
        SYS_set_tid_address, SYS_mbind, SYS_migrate_pages, SYS_move_pages, SYS_seccomp,
    };
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i] == number)
            return 1;
    return 0;
}

static void poke(void)
{
    for (int i = 0; i < 3000; i++) {
        long number = next() % 480;
        for (unsigned n = 0; n < 8192; n += 8)
            if (!(next() & 7))
                *(uint64_t *)(memory + n) = argument();
        uint64_t a[6];
        for (int n = 0; n < 6; n++)
            a[n] = argument();
        if (!is_left_out(number))
            syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    }
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    int children = atoi(argv[2]), ended = 0;
    struct rlimit size = { 1 << 20, 1 << 20 };
    int other = open("/dev/null", O_RDWR);
    if (!geteuid() && (setgroups(0, NULL) || setgid(65534) || setuid(65534)))
        return 1;
    for (int i = 0; i < children; i++) {
        pid_t child = fork();
        if (!child) {
            setpgid(0, 0);
            state = (strtoull(argv[1], NULL, 10) + i) * 0x9e3779b97f4a7c15 + 1;
            memory = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            munmap(memory + 8192, 4096);
            dup2(other, 0), dup2(other, 1);
            setrlimit(RLIMIT_FSIZE, &size);
            signal(SIGXFSZ, SIG_IGN), signal(SIGPIPE, SIG_IGN);
            alarm(2);
            poke();
            _exit(0);
        }
        int status = 0;
        waitpid(child, &status, 0);
        ended++;
        if (WIFSIGNALED(status) && WTERMSIG(status) != SIGALRM)
            printf("child %d: signal %d\n", i, WTERMSIG(status));
        kill(-child, SIGKILL);
    }
    printf("%d children\n", ended);
    return 0;
}
