/* SPDX-License-Identifier: MIT */
/* What few programs ask for: namespaces and mounts, Landlock, BPF, perf, keys, fanotify. */
#include "say.h"

#include <linux/bpf.h>
#include <linux/fs.h>
#include <linux/keyctl.h>
#include <linux/landlock.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <sys/fanotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>

static void in_child(void (*fn)(void))
{
    int status;
    fflush(stdout);
    if (!fork()) {
        fn();
        fflush(stdout);
        _exit(0);
    }
    wait(&status);
    printf("status %x\n", status);
}

static void namespaces(void)
{
    struct stat s;
    char name[65];
    uid_t uid = getuid();
    int before = open("/proc/self/ns/uts", O_RDONLY);
    say("unshare", unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC));
    int map = open("/proc/self/uid_map", O_WRONLY);
    snprintf(name, sizeof name, "0 %u 1", uid);
    say_ok("map", write(map, name, strlen(name)));
    say("sethostname", sethostname("inside", 6));
    say("gethostname", gethostname(name, sizeof name));
    printf("%s\n", name);
    mkdir("mnt", 0755);
    say("private", mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
    say("mount", mount("none", "mnt", "tmpfs", MS_NOSUID, "size=1m,mode=0711"));
    stat("mnt", &s);
    printf("mode %o\n", s.st_mode);
    say("bind", mount("mnt", "mnt", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL));
    say("read only", open("mnt/x", O_CREAT | O_WRONLY, 0600));
    int fs = (int)syscall(SYS_fsopen, "tmpfs", 0);
    say_ok("fsopen", fs);
    say("fsconfig", syscall(SYS_fsconfig, fs, 1 /* SET_STRING */, "size", "1m", 0));
    say("create", syscall(SYS_fsconfig, fs, 6 /* CMD_CREATE */, NULL, NULL, 0));
    say_ok("fsmount", syscall(SYS_fsmount, fs, 0, 0));
    say_ok("open_tree", syscall(SYS_open_tree, AT_FDCWD, "mnt", 0));
    say("umount", umount2("mnt", MNT_DETACH));
    say("setns", setns(before, CLONE_NEWUTS));
    say("chroot", chroot("mnt"));
    say("gone", access("/etc", F_OK));
}

static void landlock(void)
{
    struct landlock_ruleset_attr attr = { .handled_access_fs = LANDLOCK_ACCESS_FS_READ_FILE };
    struct landlock_path_beneath_attr beneath = { .allowed_access = LANDLOCK_ACCESS_FS_READ_FILE };
    int rules = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0);
    say_ok("ruleset", rules);
    beneath.parent_fd = open(".", O_PATH | O_DIRECTORY);
    say("rule", syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0));
    say("no_new_privs", prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    say("restrict", syscall(SYS_landlock_restrict_self, rules, 0));
    say_ok("inside", open("system-file", O_RDONLY | O_CREAT, 0600));
    say_ok("outside", open("/etc/passwd", O_RDONLY));
}

static void bpf_maps(void)
{
    union bpf_attr attr;
    uint32_t key = 1;
    uint64_t value = 0x123456789, out = 0;
    memset(&attr, 0, sizeof attr);
    attr.map_type = BPF_MAP_TYPE_ARRAY;
    attr.key_size = 4;
    attr.value_size = 8;
    attr.max_entries = 4;
    int map = (int)syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof attr);
    if (say_ok("bpf", map) < 0)
        return;
    memset(&attr, 0, sizeof attr);
    attr.map_fd = map;
    attr.key = (uintptr_t)&key;
    attr.value = (uintptr_t)&value;
    say("update", syscall(SYS_bpf, BPF_MAP_UPDATE_ELEM, &attr, sizeof attr));
    attr.value = (uintptr_t)&out;
    say("lookup", syscall(SYS_bpf, BPF_MAP_LOOKUP_ELEM, &attr, sizeof attr));
    printf("%lx\n", (long)out);
}

static void perf(void)
{
    struct perf_event_attr attr = { .type = PERF_TYPE_SOFTWARE, .size = sizeof attr,
                                    .config = PERF_COUNT_SW_TASK_CLOCK, .disabled = 1,
                                    .exclude_kernel = 1, .exclude_hv = 1 };
    int fd = (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
    if (say_ok("perf", fd) < 0)
        return;
    uint64_t count = 0;
    say("enable", ioctl(fd, PERF_EVENT_IOC_ENABLE, 0));
    for (volatile int i = 0; i < 100000; i++)
        ;
    say("disable", ioctl(fd, PERF_EVENT_IOC_DISABLE, 0));
    say("read", read(fd, &count, sizeof count));
    printf("some %d\n", count > 0);
    void *ring = mmap(NULL, 2 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    printf("ring %d\n", ring != MAP_FAILED);
}

static void keys(void)
{
    char text[16] = "";
    long ring = syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL);
    if (say_ok("session", ring) < 0)
        return;
    long key = syscall(SYS_add_key, "user", "lathe:test", "secret", 6, KEY_SPEC_SESSION_KEYRING);
    say_ok("add", key);
    say("read", syscall(SYS_keyctl, KEYCTL_READ, key, text, sizeof text));
    printf("%s\n", text);
    printf("found %d\n", syscall(SYS_request_key, "user", "lathe:test", NULL, 0) == key);
    say("revoke", syscall(SYS_keyctl, KEYCTL_REVOKE, key));
    say("revoked", syscall(SYS_keyctl, KEYCTL_READ, key, text, sizeof text));
}

static void watching(void)
{
    char buffer[4096];
    int fd = fanotify_init(FAN_CLASS_NOTIF | FAN_NONBLOCK, O_RDONLY);
    if (say_ok("fanotify", fd) < 0)
        return;
    say("mark", fanotify_mark(fd, FAN_MARK_ADD, FAN_OPEN | FAN_CLOSE, AT_FDCWD, "system-file"));
    close(open("system-file", O_RDONLY));
    ssize_t n = read(fd, buffer, sizeof buffer);
    struct fanotify_event_metadata *e = (void *)buffer;
    for (; FAN_EVENT_OK(e, n); e = FAN_EVENT_NEXT(e, n))
        printf("event %lx self %d\n", (long)e->mask, e->pid == getpid());
}

static void files(void)
{
    struct { struct file_handle handle; char bytes[128]; } h = { .handle.handle_bytes = 128 };
    int mount, flags = 0, fd = open("system-file", O_RDWR | O_CREAT, 0600);
    say("name_to_handle", name_to_handle_at(AT_FDCWD, "system-file", &h.handle, &mount, 0));
    say_ok("by handle", open_by_handle_at(AT_FDCWD, &h.handle, O_RDONLY));
    say("getflags", ioctl(fd, FS_IOC_GETFLAGS, &flags));
    say("clone", ioctl(fd, FICLONE, fd));
    say_ok("lease", fcntl(fd, F_SETLEASE, F_RDLCK));
    char bytes[32];
    say("getrandom", getrandom(bytes, sizeof bytes, 0));
    say("bad flags", getrandom(bytes, sizeof bytes, 64));
    uint64_t range[2] = { 0, 0 }, stat[5];
    say("cachestat", syscall(451, fd, range, stat, 0));
    say("fchmodat2", syscall(452, AT_FDCWD, "system-file", 0640, AT_SYMLINK_NOFOLLOW));
    uint64_t list[32];
    uint32_t size = sizeof list;
    say_ok("lsm modules", syscall(461, list, &size, 0));
    char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    say("mseal", syscall(462, page, 4096, 0));
    say("sealed", munmap(page, 4096));
    say("sealed", mprotect(page, 4096, PROT_NONE));
}

int main(void)
{
    files();
    in_child(namespaces);
    in_child(landlock);
    in_child(bpf_maps);
    in_child(perf);
    in_child(keys);
    in_child(watching);
    return 0;
}
