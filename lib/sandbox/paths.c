/* SPDX-License-Identifier: MIT */
/*
 * Files out of reach (Landlock, linux/landlock.h), and privileges given up. Both are a thread's own
 * and pass to those it starts: so they come before a tool starts threads, or as early as can be. A
 * kernel without Landlock leaves files as they are; what is open stays usable in any case.
 */
#include "sandbox/sandbox.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    READING = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE |
              LANDLOCK_ACCESS_FS_READ_DIR,
    REMOVING = LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR,
    OF_FILES = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE,
    /* of the first version; later ones add to it */
    ALL = READING | REMOVING | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR |
          LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |
          LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK |
          LANDLOCK_ACCESS_FS_MAKE_SYM,
};

#ifndef LANDLOCK_ACCESS_FS_REFER
#define LANDLOCK_ACCESS_FS_REFER (1ULL << 13)
#endif
enum { TRUNCATING = 1 << 14 }; /* LANDLOCK_ACCESS_FS_TRUNCATE, of the third version */

/* A path that is not there needs no rule. */
static bool allow(int ruleset, const char *path, unsigned access, GError **error)
{
    struct stat st;
    int fd = open(path, O_PATH | O_CLOEXEC), r = 0, e = errno;
    if (fd < 0)
        return e == ENOENT || e == ENOTDIR || e == EACCES || fail_errno(error, e, "%s", path);
    if (!fstat(fd, &st)) {
        struct landlock_path_beneath_attr rule = {
            .allowed_access = S_ISDIR(st.st_mode) ? access : access & OF_FILES, .parent_fd = fd };
        r = (int)syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
        e = errno;
    }
    close(fd);
    return !r || fail_errno(error, e, "confining it to %s", path);
}

bool sandbox_paths(const SandboxPaths *paths, GError **error)
{
    struct landlock_ruleset_attr attr = { .handled_access_fs = ALL };
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (version < 1)
        return true; /* not in this kernel, or not in use */
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0);
    if (ruleset < 0)
        return fail_errno(error, errno, "Landlock");
    bool ok = true;
    for (unsigned i = 0; ok && paths->read && paths->read[i]; i++)
        ok = allow(ruleset, paths->read[i], READING, error);
    for (unsigned i = 0; ok && paths->remove && paths->remove[i]; i++)
        ok = allow(ruleset, paths->remove[i], REMOVING, error);
    ok = ok && (!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || fail_errno(error, errno, "Landlock"));
    ok = ok &&
         (!syscall(SYS_landlock_restrict_self, ruleset, 0) || fail_errno(error, errno, "Landlock"));
    close(ruleset);
    return ok;
}

static bool allow_fd(int ruleset, int fd, uint64_t access, GError **error)
{
    struct landlock_path_beneath_attr rule = { .allowed_access = access, .parent_fd = fd };
    return fd < 0 ||
           !syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) ||
           fail_errno(error, errno, "Landlock");
}

bool sandbox_below(int all, int remove, GError **error)
{
    struct landlock_ruleset_attr attr = { .handled_access_fs = ALL | LANDLOCK_ACCESS_FS_REFER };
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (version < 2)
        return true;
    if (version > 2)
        attr.handled_access_fs |= TRUNCATING;
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0);
    if (ruleset < 0)
        return fail_errno(error, errno, "Landlock");
    bool ok = allow_fd(ruleset, all, attr.handled_access_fs, error) &&
              allow_fd(ruleset, remove, REMOVING, error);
    ok = ok && (!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || fail_errno(error, errno, "Landlock"));
    ok = ok &&
         (!syscall(SYS_landlock_restrict_self, ruleset, 0) || fail_errno(error, errno, "Landlock"));
    close(ruleset);
    return ok;
}

bool sandbox_unprivileged(GError **error)
{
    struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { { 0 } };
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(SYS_capset, &head, none))
        return fail_errno(error, errno, "giving up privileges");
    return true;
}
