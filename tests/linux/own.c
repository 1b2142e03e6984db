/* SPDX-License-Identifier: MIT */
/*
 * What only a guest answers: each line says whether the kernel that it sees is one of its own ISA, and
 * whether what it sees of itself fits what it knows. All answers are "yes". With
 * more than one argument it starts itself again at the end.
 */
#include "say.h"

#include <dirent.h>
#include <fcntl.h>
#include <link.h>
#include <sched.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>

static void check(const char *what, int yes)
{
    printf("%s: %s\n", what, yes ? "yes" : "no");
}

static char *content(const char *path, size_t *size)
{
    static char text[1 << 16];
    int fd = open(path, O_RDONLY);
    ssize_t n, all = 0;
    while (fd >= 0 && (n = read(fd, text + all, sizeof text - 1 - all)) > 0)
        all += n;
    close(fd);
    text[all] = 0;
    if (size)
        *size = all;
    return text;
}

/* The line of maps that address lies in, without its addresses; "" if there is none. */
static const char *mapping(const void *address)
{
    static char rest[400];
    char *text = content("/proc/self/maps", NULL);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        unsigned long start, end;
        int used;
        if (sscanf(line, "%lx-%lx %n", &start, &end, &used) == 2 && start <= (uintptr_t)address &&
            (uintptr_t)address < end)
            return strcpy(rest, line + used);
    }
    return "";
}

static int ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && !strcmp(text + n - m, end);
}

static void memory(const char *program)
{
    int local;
    const char *text = content("/proc/self/maps", NULL);
    check("nothing of ours in maps", !strstr(text, "vm-user") && !strstr(text, "libglib"));
    check("code", !strncmp(mapping((void *)check), "r-xp", 4) &&
                      ends_with(mapping((void *)check), program));
    check("stack", !strncmp(mapping(&local), "rw-p", 4) && ends_with(mapping(&local), "[stack]"));
    check("heap", ends_with(mapping((char *)sbrk(0) - 1), "[heap]"));
    check("vdso", ends_with(mapping((void *)getauxval(AT_SYSINFO_EHDR)), "[vdso]"));
    char *at = mmap(NULL, 5 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(at + 4096, 4096, PROT_READ | PROT_EXEC);
    mprotect(at + 8192, 4096, PROT_NONE);
    check("rw", !strncmp(mapping(at), "rw-p", 4));
    check("rx", !strncmp(mapping(at + 4096), "r-xp", 4));
    check("none", !strncmp(mapping(at + 8192), "---p", 4));
    munmap(at, 5 * 4096);
    check("unmapped", !*mapping(at));
    char *smaps = content("/proc/self/smaps", NULL);
    check("smaps", strstr(smaps, "[stack]\nSize:") && strstr(smaps, "VmFlags:") &&
                       !strstr(smaps, "vm-user"));
    unsigned long startcode = 0, startstack = 0;
    char *stat = strrchr(content("/proc/self/stat", NULL), ')');
    sscanf(stat, ") %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s "
                 "%*s %*s %*s %lu %*s %lu", &startcode, &startstack);
    check("startcode", startcode && startcode <= (uintptr_t)check);
    check("startstack", startstack >= (uintptr_t)&local &&
                            !strcmp(mapping((void *)startstack), mapping(&local)));
}

static void words(int argc, char **argv)
{
    size_t size, expected = 0;
    char *text = content("/proc/self/cmdline", &size), *at = text;
    for (int i = 0; i < argc; i++) {
        expected += strlen(argv[i]) + 1;
        check("argument", !strcmp(at, argv[i]));
        at += strlen(at) + 1;
    }
    check("no more", size == expected);
    argv[0][0] ^= 1;
    check("live", content("/proc/self/cmdline", NULL)[0] == argv[0][0]);
    argv[0][0] ^= 1;
    check("environ", strstr(content("/proc/self/environ", NULL), "LATHE_TEST=1") != NULL);
    content("/proc/self/auxv", &size);
    uint64_t *auxv = (uint64_t *)content("/proc/self/auxv", NULL);
    check("auxv size", size % 16 == 0 && size >= 160);
    int phdr = 0;
    for (; auxv[0]; auxv += 2)
        phdr += auxv[0] == AT_PHDR && auxv[1] == getauxval(AT_PHDR);
    check("auxv", phdr == 1);
    uint64_t taken[64];
    check("prctl auxv", prctl(0x41555856, taken, sizeof taken, 0, 0) == (long)size &&
                            !memcmp(taken, content("/proc/self/auxv", NULL), size));
}

static void system_files(void)
{
    struct utsname u;
    uname(&u);
#ifdef __riscv
    check("machine", !strcmp(u.machine, "riscv64"));
    const char *cpus = content("/proc/cpuinfo", NULL);
    check("cpuinfo", strstr(cpus, "isa\t\t: rv64") && !strstr(cpus, "vendor_id"));
    struct { int64_t key; uint64_t value; } pairs[3] = { { 3, 0 }, { 4, 0 }, { 1 << 20, 5 } };
    check("hwprobe", !syscall(258, pairs, 3, 0, NULL, 0) && pairs[0].value == 1 &&
                         (pairs[1].value & 3) == 3 && pairs[2].key == -1 && !pairs[2].value);
#endif
    check("no seccomp", prctl(PR_GET_SECCOMP) < 0 && errno == EINVAL);
    check("no rseq", syscall(SYS_rseq, NULL, 0, 0, 0) < 0 && errno == ENOSYS);
    check("no such call", syscall(2000) < 0 && errno == ENOSYS);
    check("no keys", syscall(SYS_pkey_alloc, 0, 0) < 0 && errno == ENOSPC);
}

static void links(const char *program)
{
    char link[4096] = "", path[100];
    struct stat a, b;
    ssize_t n = readlink("/proc/self/exe", link, sizeof link - 1);
    check("exe", n > 0 && !strcmp(link, program));
    memset(link, 0, sizeof link);
    snprintf(path, sizeof path, "/proc/%d/task/%d/exe", getpid(), gettid());
    readlink(path, link, sizeof link - 1);
    check("exe of a thread", !strcmp(link, program));
    check("short", readlink("/proc/self/exe", link, 3) == 3);
    check("stat", !stat("/proc/self/exe", &a) && !stat(program, &b) && a.st_ino == b.st_ino);
    check("lstat", !lstat("/proc/self/exe", &a) && S_ISLNK(a.st_mode));
    int fd = open("/proc/self/exe", O_RDONLY);
    check("open", !fstat(fd, &a) && a.st_ino == b.st_ino);
    close(fd);
    int dir = open("/proc/self", O_RDONLY | O_DIRECTORY);
    memset(link, 0, sizeof link);
    readlinkat(dir, "exe", link, sizeof link - 1);
    check("from the directory", !strcmp(link, program));
    fd = openat(dir, "cmdline", O_RDONLY);
    memset(link, 0, sizeof link);
    read(fd, link, sizeof link - 1);
    check("cmdline from there", ends_with(link, strrchr(program, '/')));
    close(fd);
    check("no process", open("/proc/self/task/1/stat", O_RDONLY) < 0 && errno == ENOENT);
    fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
    check("cloexec", fcntl(fd, F_GETFD) == FD_CLOEXEC && fcntl(fd, F_GETFL) % 4 == O_RDONLY);
    close(fd);
    close(dir);
    check("comm", !strncmp(content("/proc/self/comm", NULL), strrchr(program, '/') + 1, 4));
}

static void descriptors(void)
{
    int others = 0;
    DIR *d = opendir("/proc/self/fd");
    for (struct dirent *e; (e = readdir(d));)
        others += e->d_name[0] != '.' && atoi(e->d_name) > 900;
    closedir(d);
    check("no others", !others);
    struct stat s;
    int open_ones = 0;
    for (int i = 900; i < 1100; i++)
        open_ones += !fstat(i, &s) || dup(i) >= 0 || lseek(i, 0, SEEK_CUR) >= 0;
    check("none open", !open_ones);
    check("in a table", mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, 1023, 0) == MAP_FAILED);
}

/* What the host's own /proc, and so another process, shows of this one. */
static void from_outside(char **argv)
{
    pid_t parent = getpid(), child = fork();
    if (!child) {
        char path[100];
        snprintf(path, sizeof path, "/proc/%d/cmdline", parent);
        _exit(!!strcmp(content(path, NULL), argv[0]));
    }
    int status;
    waitpid(child, &status, 0);
    check("command for others", !status);
}

/* Everything is closed, and a program can still be started. */
static void start_again(char **argv)
{
    syscall(SYS_close_range, 3, ~0u, 0);
    for (int i = 3; i < 70000; i++)
        close(i);
    char *again[] = { argv[0], "again", NULL };
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), status = 1;
    fflush(stdout);
    if (!fork()) {
        fexecve(fd, again, environ);
        _exit(1);
    }
    wait(&status);
    check("by descriptor", !status);
    close(fd);
    fflush(stdout);
    execv("/proc/self/exe", again);
    check("exec", 0);
}

int main(int argc, char **argv)
{
    char program[4096];
    if (!realpath(argv[0], program))
        return 1;
    if (argc == 2 && !strcmp(argv[1], "again")) {
        char link[4096] = "";
        readlink("/proc/self/exe", link, sizeof link - 1);
        check("started again", !strcmp(link, program));
        check("closed", fcntl(3, F_GETFD) < 0);
        return 0;
    }
    descriptors();
    memory(program);
    words(argc, argv);
    system_files();
    links(program);
    from_outside(argv);
    if (argc > 2)
        start_again(argv);
    return argc > 2;
}
