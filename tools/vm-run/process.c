/* SPDX-License-Identifier: MIT */
/* The process around a machine; see process.h. */
#include "process.h"

#include "base/error.h"
#include "base/size.h"
#include "sandbox/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct Process {
    const RunOptions *o;
    const Settings *settings;
    SandboxOptions sandbox;
    bool changes_user;
    uid_t uid;
    gid_t gid;
    char *user;      /* for its groups; NULL: of numbers */
    char *pid_path;  /* absolute, ours to remove; NULL: none */
    int pid_fd;
    int parent_fd;   /* a byte there says that the machine is up; -1: nobody waits */
};

/* ---- Words ---------------------------------------------------------------------- */

static bool parse_user(Process *p, const char *text, GError **error)
{
    const char *colon = strchr(text, ':');
    uint64_t uid, gid;
    if (colon) {
        g_autofree char *first = g_strndup(text, (gsize)(colon - text));
        if (!number_parse(first, &uid, NULL) || !number_parse(colon + 1, &gid, NULL) ||
            uid >= UINT32_MAX || gid >= UINT32_MAX)
            return fail_usage(error, "-runas %s: a user's name or UID:GID is wanted", text);
        p->uid = (uid_t)uid;
        p->gid = (gid_t)gid;
    } else {
        const struct passwd *pw = getpwnam(text);
        if (!pw)
            return fail_usage(error, "-runas %s: there is no such user", text);
        p->uid = pw->pw_uid;
        p->gid = pw->pw_gid;
        p->user = g_strdup(text);
    }
    p->changes_user = true;
    return true;
}

static bool check_terminal(const RunOptions *o, GError **error)
{
    if (!o->daemonize)
        return true;
    if (o->nographic)
        return fail_usage(error, "-nographic wants a terminal and -daemonize leaves it: use "
                          "-display none and -serial");
    const GPtrArray *const lists[] = { o->serial, o->monitor, o->chardev };
    for (size_t l = 0; l < G_N_ELEMENTS(lists); l++) {
        for (guint i = 0; i < lists[l]->len; i++) {
            const char *text = lists[l]->pdata[i];
            text += g_str_has_prefix(text, "mon:") ? 4 : 0;
            if (g_str_has_prefix(text, "stdio"))
                return fail_usage(error, "stdio is the terminal's, which -daemonize leaves");
        }
    }
    return true;
}

Process *process_new(const RunOptions *o, const Settings *settings, GError **error)
{
    g_autoptr(Process) p = g_new0(Process, 1);
    p->o = o;
    p->settings = settings;
    p->pid_fd = p->parent_fd = -1;
    for (guint i = 0; i < o->sandbox->len; i++) {
        if (!sandbox_parse(&p->sandbox, o->sandbox->pdata[i], error))
            return NULL;
    }
    if ((o->runas && !parse_user(p, o->runas, error)) || !check_terminal(o, error))
        return NULL;
    return g_steal_pointer(&p);
}

void process_free(Process *p)
{
    if (!p)
        return;
    if (p->pid_path)
        unlink(p->pid_path);
    if (p->pid_fd >= 0)
        close(p->pid_fd);
    if (p->parent_fd >= 0)
        close(p->parent_fd);
    g_free(p->pid_path);
    g_free(p->user);
    g_free(p);
}

/* ---- The pid file ------------------------------------------------------------------ */

/* Opens and locks it; again if another process removed it meanwhile. -1 and *error. */
static int lock_pid_file(const char *path, GError **error)
{
    for (;;) {
        struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
        struct stat here, there;
        int fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0644);
        if (fd < 0) {
            fail_errno(error, errno, "-pidfile %s", path);
            return -1;
        }
        if (fcntl(fd, F_OFD_SETLK, &lock)) {
            int e = errno;
            close(fd);
            if (e == EAGAIN || e == EACCES)
                fail(error, "-pidfile %s: another process has it locked: is the machine running "
                     "already?", path);
            else
                fail_errno(error, e, "-pidfile %s", path);
            return -1;
        }
        if (!fstat(fd, &here) && !stat(path, &there) && here.st_ino == there.st_ino &&
            here.st_dev == there.st_dev)
            return fd;
        close(fd);
    }
}

static bool take_pid_file(Process *p, const char *path, GError **error)
{
    p->pid_fd = lock_pid_file(path, error);
    if (p->pid_fd < 0)
        return false;
    p->pid_path = g_canonicalize_filename(path, NULL);
    g_autofree char *text = g_strdup_printf("%ld\n", (long)getpid());
    size_t len = strlen(text);
    if (ftruncate(p->pid_fd, 0) || pwrite(p->pid_fd, text, len, 0) != (ssize_t)len)
        return fail_errno(error, errno, "-pidfile %s", path);
    return true;
}

/* ---- -daemonize --------------------------------------------------------------------- */

/* Until the child says that it is up, or ends: what its status was then. */
static int wait_for(pid_t child, int fd)
{
    char byte;
    ssize_t n;
    do {
        n = read(fd, &byte, 1);
    } while (n < 0 && errno == EINTR);
    close(fd);
    if (n == 1)
        return 0;
    int status;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) && WEXITSTATUS(status) ? WEXITSTATUS(status) : 1;
}

bool process_detach(Process *p, bool *parent, int *status, GError **error)
{
    *parent = false;
    if (p->o->daemonize) {
        int fds[2];
        if (pipe2(fds, O_CLOEXEC))
            return fail_errno(error, errno, "-daemonize");
        fflush(NULL);
        pid_t child = fork();
        if (child < 0) {
            close(fds[0]);
            close(fds[1]);
            return fail_errno(error, errno, "-daemonize");
        }
        if (child) {
            close(fds[1]);
            *status = wait_for(child, fds[0]);
            *parent = true;
            return true;
        }
        close(fds[0]);
        p->parent_fd = fds[1];
        setsid();
    }
    if (p->settings->process_name)
        prctl(PR_SET_NAME, p->settings->process_name, 0, 0, 0);
    return !p->o->pidfile || take_pid_file(p, p->o->pidfile, error);
}

/* ---- Ready --------------------------------------------------------------------------- */

static bool change_user(const Process *p, GError **error)
{
    if (p->user ? initgroups(p->user, p->gid) : setgroups(1, &p->gid))
        return fail_errno(error, errno, "-runas %s: its groups", p->o->runas);
    if (setgid(p->gid) || setuid(p->uid))
        return fail_errno(error, errno, "-runas %s", p->o->runas);
    if (p->uid && !setuid(0))
        return fail(error, "-runas %s: root's rights could not be given up", p->o->runas);
    return true;
}

/* Standard streams are no terminal's any more, and no directory is held. */
static bool let_go(Process *p, int null, GError **error)
{
    if (dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0 || chdir("/"))
        return fail_errno(error, errno, "-daemonize");
    bool ok = write(p->parent_fd, "", 1) == 1;
    close(p->parent_fd);
    p->parent_fd = -1;
    return ok || fail(error, "whoever started it has gone");
}

static bool give_up_rights(const Process *p, GError **error)
{
    if (p->o->chroot && (chroot(p->o->chroot) || chdir("/")))
        return fail_errno(error, errno, "-chroot %s", p->o->chroot);
    return (!p->changes_user || change_user(p, error)) && sandbox_apply(&p->sandbox, error);
}

bool process_ready(Process *p, GError **error)
{
    bool waited_for = p->parent_fd >= 0;
    int null = waited_for ? open("/dev/null", O_RDWR | O_CLOEXEC) : -1;
    if (waited_for && null < 0)
        return fail_errno(error, errno, "/dev/null");
    bool ok = give_up_rights(p, error) && (!waited_for || let_go(p, null, error));
    if (null >= 0)
        close(null);
    return ok;
}
