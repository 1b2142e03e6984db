/* SPDX-License-Identifier: MIT */
/*
 * The guest's process: how it starts, and how it ends: by exit, by a signal, or by our own fault.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "linux/call_priv.h"

const LinuxAbi *linux_abi_find(const char *isa)
{
    for (unsigned i = 0; linux_abis[i]; i++)
        if (!strcmp(linux_abis[i]->isa, isa))
            return linux_abis[i];
    return NULL;
}

/* This tool's own file, to start it again for execve: without /proc by the name it was started by. */
static int open_self(const LinuxOptions *o)
{
    int fd = open("/proc/self/exe", O_PATH | O_CLOEXEC);
    if (fd < 0 && o->again && strchr(o->again[0], '/'))
        fd = open(o->again[0], O_PATH | O_CLOEXEC);
    return fd;
}

static bool start_memory(LinuxProcess *p, GError **error)
{
    const LinuxAbi *abi = p->abi;
    uint64_t limit = abi->task_size, top = abi->mmap_top, start, size;
#ifdef __SANITIZE_ADDRESS__
    limit = LINUX_ASAN_LIMIT; /* its shadow begins there */
#endif
    if (p->options.reserved)
        limit = MIN(limit, p->options.reserved);
    if (top > limit)
        top = limit;
    if (!mm_start(&p->mm, LINUX_MMAP_MIN, limit, top, error))
        return false;
    p->mm.translator = p->translator;
    limits_apply(p);
    translate_code_range(p->translator, &start, &size);
    mm_reserve(&p->mm, start, size);
    return true;
}

/* The name that ps and top show. */
static void set_name(const char *program)
{
    const char *slash = strrchr(program, '/');
    prctl(PR_SET_NAME, slash ? slash + 1 : program);
}

static bool start(LinuxProcess *p, int *status, GError **error)
{
    TranslateOptions translate = {.accel = p->options.accel};
    if (p->options.perf_map) {
        p->perf = perf_start(error);
        if (!p->perf)
            return false;
        translate.compiled = perf_region;
        translate.compiled_opaque = p->perf;
    }
    uint64_t entry, sp;
    g_autoptr(LinuxImages) images = loader_open(p, status, error);
    if (!images)
        return false;
    *status = 126;
    p->translator = translate_new(p->isa->user, &translate, error);
    if (!p->translator || !start_memory(p, error))
        return false;
    p->signals = g_new0(LinuxSignals, 1);
    p->threads = g_ptr_array_new();
    LinuxThread *t = thread_new(p);
    t->main = true;
    t->tid = (pid_t)syscall(SYS_gettid);
    g_ptr_array_add(p->threads, t);
    if (p->isa->configure && !p->isa->configure(t->cpu, p->options.cpu, error))
        return false;
    linux_set_current(t);
    signals_start(t);
    if (!loader_load(p, images, t->cpu, &entry, &sp, error))
        return false;
    p->abi->start(t->cpu, entry, sp);
    set_name(p->exe);
    proc_show(p);
    return true;
}

void linux_run(const LinuxOptions *options, int *status, GError **error)
{
    LinuxProcess *p = g_new0(LinuxProcess, 1);
    g_mutex_init(&p->lock);
    g_mutex_init(&p->fork_lock);
    p->options = *options;
    p->sysroot = options->sysroot;
    p->self_fd = open_self(options);
    fds_start(p);
    limits_start(p);
    if (!start(p, status, error))
        return;
    LinuxThread *t = p->threads->pdata[0];
    thread_run(t);
    process_exit(t, 0); /* not reached: the last thread ends the process itself */
}

void process_exit(LinuxThread *t, int status)
{
    for (;;)
        syscall(SYS_exit_group, status);
}

void process_die(LinuxThread *t, int signal)
{
    uint64_t none = 0;
    struct { uint64_t handler, flags, restorer, mask; } action = {0};
    prctl(PR_SET_DUMPABLE, 0); /* a core file would be ours, not the guest's */
    syscall(SYS_rt_sigaction, signal, &action, NULL, sizeof none);
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, sizeof none);
    syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), signal);
    for (;;) /* a signal that the kernel does not let end us, as a namespace's first process */
        syscall(SYS_exit_group, 128 + signal);
}

static void describe_bytes(LinuxThread *t, GString *out)
{
    uint8_t bytes[16];
    if (guest_read(bytes, t->cpu->pc, sizeof bytes))
        return;
    g_string_append(out, ", bytes");
    for (unsigned i = 0; i < sizeof bytes; i++)
        g_string_append_printf(out, " %02x", bytes[i]);
}

void process_crash(LinuxThread *t, int signal, const siginfo_t *info, void *opaque)
{
    static int crashing;
    const ucontext_t *uc = opaque;
    uint64_t host_pc = (uint64_t)uc->uc_mcontext.gregs[REG_RIP];
    if (__atomic_exchange_n(&crashing, 1, __ATOMIC_SEQ_CST))
        process_die(t, signal);
    /* the standard library may be what crashed, so as little of it as can be */
    g_autoptr(GString) s = g_string_new("vm-user: internal fault: ");
    g_string_append_printf(s, "SIG%s at host pc %#" G_GINT64_MODIFIER "x, address %p, offset %#"
                           G_GINT64_MODIFIER "x in vm-user\n", sigabbrev_np(signal), host_pc,
                           info->si_addr,
                           host_pc - (uint64_t)(uintptr_t)&linux_run);
    if (t) {
        const LinuxCall *call = linux_call_find(t->process, t->last_number);
        g_string_append_printf(s, "vm-user: guest %s %s: pc %#" G_GINT64_MODIFIER "x",
                               t->process->abi->isa, t->process->exe, t->cpu->pc);
        describe_bytes(t, s);
        g_string_append_printf(s, ", last system call %s\n", call ? call->name : "none");
    }
    g_string_append(s, "vm-user: this is a bug in vm-user\n");
    if (write(STDERR_FILENO, s->str, s->len) < 0) { /* nobody to tell */
    }
    process_die(t, signal);
}

int64_t call_exit_group(LinuxThread *t, const uint64_t a[6])
{
    process_exit(t, (int)a[0]);
}
