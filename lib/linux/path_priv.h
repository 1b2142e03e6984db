/* SPDX-License-Identifier: MIT */
/*
 * Paths of the guest (path.c) and what it sees of itself under /proc (proc.c). Most paths are the
 * host's as they are: finding that out costs one look at the first eight bytes.
 */
#pragma once

#include "linux/linux_priv.h"

typedef enum ProcFile { /* files under /proc that are not as the host has them */
    PROC_NONE,
    PROC_EXE, PROC_MAPS, PROC_SMAPS, PROC_CMDLINE, PROC_ENVIRON, PROC_AUXV, PROC_STAT, PROC_STATM,
    PROC_STATUS, PROC_LIMITS, /* of a process or thread */
    PROC_CPUINFO, PROC_ARCH,  /* of the system */
} ProcFile;

/* ---- path.c ----------------------------------------------------------------------- */

typedef enum {
    PATH_FOLLOW = 1,     /* a link at the end is followed */
    PATH_AS_IT_IS = 2,   /* something new is made: not below the sysroot */
} PathFlags;

typedef struct HostPath {
    uint64_t addr;       /* of the path to give the host */
    char *text;          /* it, unless addr is the guest's own; freed by path_free */
    ProcFile proc;       /* what it names, with a link at the end not followed yet */
    pid_t tid;           /* whose, if of a thread; 0: the process */
} HostPath;

/* The path at addr, seen from dirfd. One that cannot be read is left to the host to complain of. */
void path_find(LinuxThread *t, int dirfd, uint64_t addr, unsigned flags, HostPath *out);
static inline void path_free(HostPath *path)
{
    g_free(path->text);
}
/* Where an absolute path leads below root, with no link or ".." leading out of it: to be freed; NULL
   if there is nothing. */
char *path_below(const char *root, const char *path, bool follow);

/* ---- proc.c ------------------------------------------------------------------------ */

/* Whether a path that starts with these bytes can be one of PROC_*. */
bool proc_may_be(const char head[8]);
/* What path is, seen from dirfd (AT_FDCWD: the current directory). */
ProcFile proc_find(int dirfd, const char *path, pid_t *tid);
/* A descriptor of the file as the guest is to see it, or -errno. flags: of open. */
int64_t proc_open(LinuxThread *t, ProcFile file, pid_t tid, int flags);

/* ---- proc_maps.c, proc_stat.c: from the host's text to the guest's ------------------ */

/* The lines of the host's maps (or smaps) that are the guest's: vmas are n, in order. */
void proc_filter_maps(GString *out, const char *host, const Vma *vmas, unsigned n);
void proc_filter_smaps(GString *out, const char *host, const Vma *vmas, unsigned n);

typedef struct ProcFacts { /* what stat, statm and status say of the guest */
    uint64_t total, data, stack, code, libraries; /* bytes */
    uint64_t code_start, code_end, data_start, data_end, brk_start;
    uint64_t stack_start, arg_start, arg_end, env_start, env_end;
    uint64_t sp, pc;
    uint64_t blocked, ignored, caught;            /* signals */
} ProcFacts;

void proc_edit_stat(GString *out, const char *host, const ProcFacts *facts);
void proc_edit_statm(GString *out, const char *host, const ProcFacts *facts);
void proc_edit_status(GString *out, const char *host, const ProcFacts *facts);
void proc_edit_limits(GString *out, const char *host, const LinuxProcess *p);
