/* SPDX-License-Identifier: MIT */
/*
 * fsd-notify: in the guest, passes on what fsd --notify tells of changes that were made on the
 * host. For each path the kernel is made to look at it anew, and its watchers are woken: by setting
 * an attribute that fsd takes and forgets (IN_ATTRIB). Nothing of it changes a file. This is plain
 * C with no library, so that it can be built for any guest.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { DONE = 0, FAILED = 1, MISUSED = 2 };

#define EVENTS ".fsd-events"
#ifndef LATHE_VERSION
#define LATHE_VERSION "of its own" /* compiled without the Makefile */
#endif

static bool touch(const char *name)
{
    return !lsetxattr(name, "user.fsd.touch", "", 0, 0);
}

static void look_anew(const char *name)
{
    struct statx st;
    (void)!statx(AT_FDCWD, name, AT_SYMLINK_NOFOLLOW | AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &st);
}

/* Users of the guest may put links in place of folders: none is followed. */
static int open_folder(int root, const char *path)
{
    struct open_how how = { .flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
                            .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS };
    return (int)syscall(SYS_openat2, root, path, &how, sizeof how);
}

static void pass_on(int root, char *path)
{
    char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    if (!*name) { /* "/": anything may have changed */
        path = name = ".";
        slash = NULL;
    }
    if (slash)
        *slash = 0;
    int folder = open_folder(root, slash ? path : ".");
    if (folder < 0)
        return;
    if (!fchdir(folder)) {
        /* Linking from another file system fails, after the kernel has asked whether there is such
         * a name. */
        if (strcmp(name, "."))
            (void)!linkat(AT_FDCWD, "/dev/null", folder, name, 0);
        look_anew(".");
        look_anew(name);
        if (!touch(name))
            touch("."); /* gone, or of a kind that has no attributes */
    }
    close(folder);
}

static int run(const char *mount, int root, int events, bool verbose)
{
    char buffer[32768];
    for (;;) {
        ssize_t n = read(events, buffer, sizeof buffer - 1);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            continue; /* nothing for a while */
        if (n < 0) {
            fprintf(stderr, "fsd-notify: %s: %s\n", mount, strerror(errno));
            return FAILED;
        }
        if (!n)
            return DONE;
        buffer[n] = 0;
        for (char *at = buffer; at < buffer + n;) {
            size_t length = strlen(at) + 1;
            if (verbose && (puts(at) < 0 || fflush(stdout)))
                return FAILED;
            pass_on(root, at);
            at += length;
        }
    }
}

static int help(void)
{
    puts("usage: fsd-notify [-v] MOUNTPOINT    wakes the watchers of a directory that fsd --notify "
         "shares\n\n"
         "  -v, --verbose  print each path that changed\n"
         "  -h, --help  -V, --version\n\n"
         "Example, in the guest:\n"
         "  fsd-notify /mnt &");
    return fflush(stdout) ? FAILED : DONE;
}

int main(int argc, char **argv)
{
    static const struct option longs[] = { { "verbose", no_argument, NULL, 'v' },
                                           { "help", no_argument, NULL, 'h' },
                                           { "version", no_argument, NULL, 'V' },
                                           { NULL, 0, NULL, 0 } };
    bool verbose = false;
    int option;
    while ((option = getopt_long(argc, argv, "vhV", longs, NULL)) != -1)
        switch (option) {
        case 'v': verbose = true; break;
        case 'h': return help();
        case 'V':
            puts("fsd-notify (Lathe) " LATHE_VERSION);
            return fflush(stdout) ? FAILED : DONE;
        default: return MISUSED;
        }
    if (optind + 1 != argc) {
        fputs("usage: fsd-notify [-v] MOUNTPOINT\n", stderr);
        return MISUSED;
    }
    const char *mount = argv[optind];
    int root = open(mount, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0) {
        fprintf(stderr, "fsd-notify: %s: %s\n", mount, strerror(errno));
        return FAILED;
    }
    int events = openat(root, EVENTS, O_RDONLY | O_CLOEXEC);
    if (events < 0) {
        fprintf(stderr, "fsd-notify: %s: %s\n", mount,
                errno == ENOENT  ? "not shared by an fsd with --notify"
                : errno == EBUSY ? "another one is at it"
                                 : strerror(errno));
        return FAILED;
    }
    return run(mount, root, events, verbose);
}
