/* SPDX-License-Identifier: MIT */
/* System V IPC, POSIX message queues, futexes, and memory of other processes. */
#include "say.h"

#include <linux/futex.h>
#include <mqueue.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

union semun { int val; struct semid_ds *buf; unsigned short *array; struct seminfo *info; };

static void semaphores(void)
{
    struct semid_ds ds;
    struct seminfo info;
    unsigned short values[4] = { 1, 2, 3, 4 };
    time_t before = time(NULL);
    int id = say_ok("semget", semget(IPC_PRIVATE, 4, 0640));
    say("setall", semctl(id, 0, SETALL, (union semun){ .array = values }));
    say("setval", semctl(id, 2, SETVAL, (union semun){ .val = 9 }));
    say("getval", semctl(id, 2, GETVAL));
    struct sembuf ops[2] = { { 0, -1, 0 }, { 3, 5, 0 } };
    say("semop", semop(id, ops, 2));
    memset(&ds, 0x55, sizeof ds);
    say("stat", semctl(id, 0, IPC_STAT, (union semun){ .buf = &ds }));
    printf("mode %o uid %d nsems %lu otime %d ctime %d\n", ds.sem_perm.mode,
           ds.sem_perm.uid == getuid(), (long)ds.sem_nsems, ds.sem_otime >= before,
           ds.sem_ctime >= before && ds.sem_ctime <= ds.sem_otime);
    ds.sem_perm.mode = 0600;
    say("set", semctl(id, 0, IPC_SET, (union semun){ .buf = &ds }));
    semctl(id, 0, IPC_STAT, (union semun){ .buf = &ds });
    printf("mode %o\n", ds.sem_perm.mode);
    say("bad address", semctl(id, 0, IPC_STAT, (union semun){ .buf = (void *)16 }));
    say_ok("info", semctl(0, 0, IPC_INFO, (union semun){ .info = &info }));
    printf("some %d\n", info.semmni > 0);
    struct timespec brief = { 0, 1000000 };
    ops[0] = (struct sembuf){ 0, -1, 0 };
    say("semtimedop", semtimedop(id, ops, 1, &brief));
    say("nowait", semop(id, &(struct sembuf){ 0, -1, IPC_NOWAIT }, 1));
    say("rmid", semctl(id, 0, IPC_RMID));
    say("gone", semctl(id, 0, GETVAL));
}

static void messages(void)
{
    struct { long type; char text[16]; } m = { 7, "message" };
    struct msqid_ds ds;
    int id = say_ok("msgget", msgget(IPC_PRIVATE, 0600));
    say("msgsnd", msgsnd(id, &m, 8, 0));
    say("stat", msgctl(id, IPC_STAT, &ds));
    printf("mode %o count %lu bytes %lu self %d\n", ds.msg_perm.mode, (long)ds.msg_qnum,
           (long)ds.__msg_cbytes, ds.msg_lspid == getpid());
    say("type", msgrcv(id, &m, sizeof m.text, 3, IPC_NOWAIT));
    m.type = 0;
    say("msgrcv", msgrcv(id, &m, sizeof m.text, -9, 0));
    printf("%ld %s\n", m.type, m.text);
    say("rmid", msgctl(id, IPC_RMID, NULL));
    struct mq_attr attr = { .mq_maxmsg = 4, .mq_msgsize = 32 };
    mq_unlink("/lathe-test");
    mqd_t q = say_ok("mq_open", mq_open("/lathe-test", O_RDWR | O_CREAT | O_EXCL, 0600, &attr));
    say("mq_send", mq_send(q, "low", 3, 1));
    say("mq_send", mq_send(q, "high", 4, 9));
    unsigned priority;
    char text[32];
    say("mq_receive", mq_receive(q, text, sizeof text, &priority));
    printf("priority %u\n", priority);
    say("mq_getattr", mq_getattr(q, &attr));
    printf("%ld %ld %ld\n", attr.mq_maxmsg, attr.mq_msgsize, attr.mq_curmsgs);
    say("mq_unlink", mq_unlink("/lathe-test"));
}

static void memory(void)
{
    struct shmid_ds ds;
    int id = say_ok("shmget", shmget(IPC_PRIVATE, 10000, 0600 | IPC_CREAT));
    char *at = shmat(id, NULL, 0), *other = shmat(id, NULL, SHM_RDONLY);
    strcpy(at, "shared");
    printf("%s\n", other);
    say("stat", shmctl(id, IPC_STAT, &ds));
    printf("size %zu attached %lu mode %o self %d\n", ds.shm_segsz, (long)ds.shm_nattch,
           ds.shm_perm.mode, ds.shm_cpid == getpid());
    say("shmdt", shmdt(other));
    say("twice", shmdt(other));
    say("rmid", shmctl(id, IPC_RMID, NULL));
    printf("still %s\n", at);
    say("shmdt", shmdt(at));
    say("gone", (long)shmat(id, NULL, 0) == -1 ? -1 : 0);

    char from[] = "over there", to[16] = "";
    struct iovec here = { to, sizeof to }, there = { from, sizeof from };
    pid_t child = fork();
    if (!child) {
        pause();
        _exit(0);
    }
    say("process_vm_readv", process_vm_readv(child, &here, 1, &there, 1, 0));
    printf("%s\n", to);
    there.iov_base = (void *)16;
    say("bad address", process_vm_readv(child, &here, 1, &there, 1, 0));
    say("kcmp", syscall(SYS_kcmp, getpid(), child, 0 /* KCMP_FILE */, 1, 1));
    kill(child, SIGKILL);
    int status;
    waitpid(child, &status, 0);
    printf("status %x\n", status);
}

static uint32_t word;

static void *waker(void *arg)
{
    usleep(20000);
    __atomic_store_n(&word, 1, __ATOMIC_SEQ_CST);
    syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    return arg;
}

static void futexes(void)
{
    struct timespec brief = { 0, 1000000 };
    say("wrong value", syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 5, NULL, NULL, 0));
    say("timeout", syscall(SYS_futex, &word, FUTEX_WAIT, 0, &brief, NULL, 0));
    say("wake none", syscall(SYS_futex, &word, FUTEX_WAKE, 10, NULL, NULL, 0));
    say("misaligned", syscall(SYS_futex, (char *)&word + 1, FUTEX_WAKE, 1, NULL, NULL, 0));
    pthread_t thread;
    pthread_create(&thread, NULL, waker, NULL);
    while (!__atomic_load_n(&word, __ATOMIC_SEQ_CST))
        syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
    pthread_join(thread, NULL);
    printf("woken\n");
    struct { uint64_t value, address; uint32_t flags, zero; } waiters[2] = {
        { 0, (uintptr_t)&word, 2, 0 }, { 1, (uintptr_t)&word, 2, 0 } };
    say("waitv", syscall(449, waiters, 2, 0, NULL, CLOCK_MONOTONIC));
    say("robust", syscall(SYS_set_robust_list, NULL, 3));
    uint32_t pi = 0;
    say("lock_pi", syscall(SYS_futex, &pi, FUTEX_LOCK_PI, 0, NULL, NULL, 0));
    printf("owner %d\n", (int)(pi & FUTEX_TID_MASK) == gettid());
    say("unlock_pi", syscall(SYS_futex, &pi, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0));
    say_ok("membarrier", syscall(SYS_membarrier, 0, 0, 0));
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    semaphores();
    messages();
    memory();
    futexes();
    return 0;
}
