/* SPDX-License-Identifier: MIT */
/*
 * Paths of the guest on the host. With a sysroot (-L) an absolute path that exists below it is meant
 * so; everything else is as it is. A link in the sysroot is followed here, since the host would
 * follow an absolute one to its own root.
 *
 * The root itself, /proc, /sys and /dev are always the host's: programs compare "/" with what ".." leads
 * to, and the others are the kernel's.
 */
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "linux/call_priv.h"
#include "linux/path_priv.h"

enum { MAX_LINKS = 40 }; /* as many as Linux follows */

/* Does the walk's work for one link at the end of *at (of which `keep` bytes are the directory it lies
   in): the rest of the way is *todo then. False: too many. */
static bool enter_link(GString *at, size_t base, size_t keep, char **todo, const char *rest,
                       const char *link, unsigned *links)
{
    if (++*links > MAX_LINKS)
        return false;
    g_string_truncate(at, link[0] == '/' ? base : keep);
    char *way = g_strconcat(link, "/", rest, NULL);
    g_free(*todo);
    *todo = way;
    return true;
}

/* What the kernel finds at path if it follows no link on the way: 1 something, 0 nothing, -1 unknown. */
static int look_at(const char *path, bool follow)
{
#ifdef SYS_openat2
    struct open_how how = { .flags = O_PATH | O_CLOEXEC | (follow ? 0 : O_NOFOLLOW),
                            .resolve = RESOLVE_NO_SYMLINKS };
    int fd = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how);
    if (fd >= 0)
        close(fd);
    return fd >= 0 ? 1 : errno == ENOENT || errno == ENOTDIR ? 0 : -1;
#else
    return -1;
#endif
}

static bool climbs(const char *path)
{
    for (const char *at = path; (at = strstr(at, "/..")); at += 3)
        if (!at[3] || at[3] == '/')
            return true;
    return false;
}

char *path_below(const char *root, const char *path, bool follow)
{
    g_autoptr(GString) at = g_string_new(root);
    while (at->len && at->str[at->len - 1] == '/')
        g_string_truncate(at, at->len - 1);
    size_t base = at->len;
    size_t length = strlen(path);
    bool slash = length && path[length - 1] == '/';
    if (path[strspn(path, "/.")] && !climbs(path)) { /* the common case, in one step */
        g_string_append(at, path);
        int there = look_at(at->str, follow);
        if (there > 0)
            return g_string_free(g_steal_pointer(&at), FALSE);
        if (!there)
            return NULL;
        g_string_truncate(at, base);
    }
    g_autofree char *todo = g_strdup(path);
    char *next = todo;
    unsigned links = 0;

    for (;;) { /* link by link */
        next += strspn(next, "/");
        if (!*next)
            break;
        size_t n = strcspn(next, "/");
        char *rest = next + n + strspn(next + n, "/");
        if (n == 1 && next[0] == '.') {
            next = rest;
            continue;
        }
        if (n == 2 && next[0] == '.' && next[1] == '.') {
            while (at->len > base && at->str[at->len - 1] != '/')
                g_string_truncate(at, at->len - 1);
            if (at->len > base)
                g_string_truncate(at, at->len - 1);
            next = rest;
            continue;
        }
        size_t keep = at->len;
        g_string_append_c(at, '/');
        g_string_append_len(at, next, (gssize)n);
        char link[PATH_MAX];
        ssize_t size = readlink(at->str, link, sizeof link - 1);
        if (size < 0 && errno != EINVAL)
            return NULL;
        if (size < 0 || (!*rest && !follow && !slash)) {
            next = rest;
            continue;
        }
        link[size] = 0;
        if (!enter_link(at, base, keep, &todo, rest, link, &links))
            return NULL;
        next = todo;
    }
    if (at->len == base)
        return NULL; /* the root */
    if (slash)
        g_string_append_c(at, '/');
    return g_string_free(g_steal_pointer(&at), FALSE);
}

static bool is_kernels(const char *path)
{
    static const char *const names[] = { "/proc", "/sys", "/dev" };
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        size_t n = strlen(names[i]);
        if (!strncmp(path, names[i], n) && (!path[n] || path[n] == '/'))
            return true;
    }
    return false;
}

/* Where path is below the sysroot, or NULL. */
static char *in_sysroot(const LinuxProcess *p, const char *path, bool follow)
{
    if (!p->sysroot || path[0] != '/' || is_kernels(path))
        return NULL;
    return path_below(p->sysroot, path, follow);
}

char *path_host(const LinuxProcess *p, const char *path)
{
    pid_t tid;
    if (p->exe_host && proc_find(AT_FDCWD, path, &tid) == PROC_EXE)
        return g_strdup(p->exe_host);
    char *below = in_sysroot(p, path, true);
    return below ? below : g_strdup(path);
}

/* Whether the path at addr needs a closer look. */
static bool may_matter(const LinuxProcess *p, uint64_t addr)
{
    char head[8];
    if (guest_read(head, addr, sizeof head))
        return true; /* a short one at the end of a page, perhaps */
    if (p->sysroot && head[0] == '/')
        return true;
    return proc_may_be(head);
}

void path_find(LinuxThread *t, int dirfd, uint64_t addr, unsigned flags, HostPath *out)
{
    const LinuxProcess *p = t->process;
    *out = (HostPath){ .addr = addr };
    if (!may_matter(p, addr))
        return;
    g_autofree char *path = NULL;
    if (guest_string(addr, PATH_MAX, &path))
        return;
    out->proc = proc_find(dirfd, path, &out->tid);
    if (out->proc == PROC_EXE && access("/proc/self", F_OK))
        out->proc = PROC_NONE; /* not mounted: not there for the guest either */
    if (out->proc == PROC_EXE && (flags & PATH_FOLLOW))
        out->text = g_strdup(p->exe_host);
    else if (!out->proc && !(flags & PATH_AS_IT_IS))
        out->text = in_sysroot(p, path, flags & PATH_FOLLOW);
    if (out->text)
        out->addr = (uint64_t)(uintptr_t)out->text;
}

int64_t call_with_path(LinuxThread *t, long number, const uint64_t a[6], const char *args)
{
    unsigned index = (unsigned)strcspn(args, "sy");
    const char *at_flags = strchr(args, 'A');
    bool follow = args[index] == 's' && !(at_flags && (a[at_flags - args] & AT_SYMLINK_NOFOLLOW));
    int dirfd = index && args[index - 1] == 'a' ? (int)a[index - 1] : AT_FDCWD;
    HostPath path;
    path_find(t, dirfd, a[index], follow ? PATH_FOLLOW : 0, &path);
    if (!path.text)
        return linux_host_call(t, number, a);
    uint64_t changed[6];
    memcpy(changed, a, sizeof changed);
    changed[index] = path.addr;
    int64_t result = linux_host_call(t, number, changed);
    path_free(&path);
    return result;
}
