/* SPDX-License-Identifier: MIT */
/*
 * A file that is mapped may become shorter, and whoever touches what is gone gets SIGBUS. Seals
 * would forbid it, but memory that a front end has from a file (hugetlbfs, /dev/shm) has none, so
 * they cannot be asked for. Instead the signal's handler puts zeroes where the memory was and has
 * the connection end: all that runs comes to rest as ever.
 *
 * A handler has no argument, hence the table that all back ends of the process share. An entry goes
 * only when nobody touches its memory any more.
 */
#include "vhost/vhost_priv.h"

#include <errno.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

enum { BACKENDS = 64 };

static VhostBackend *_Atomic backends[BACKENDS];
static struct sigaction before; /* written before our handler is there */
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* True: it is memory of b, and can be touched now. */
static bool mend(VhostBackend *b, uintptr_t addr)
{
    for (unsigned i = 0; i < VHOST_MAX_GUARDS; i++) {
        uintptr_t start = atomic_load(&b->guards[i].start), size = atomic_load(&b->guards[i].size);
        if (addr - start >= size)
            continue;
        int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE;
        if (mmap((void *)start, size, PROT_READ | PROT_WRITE, flags, -1, 0) == MAP_FAILED)
            return false;
        atomic_store(&b->shrunk, true);
        uint64_t one = 1;
        return write(b->stop, &one, sizeof one) == sizeof one || errno == EAGAIN;
    }
    return false;
}

static void on_sigbus(int sig, siginfo_t *info, void *context)
{
    int saved = errno;
    for (unsigned i = 0; i < BACKENDS; i++) {
        VhostBackend *b = atomic_load(&backends[i]);
        if (b && mend(b, (uintptr_t)info->si_addr)) {
            errno = saved;
            return;
        }
    }
    /* Not ours: it happens again, to whoever was asked before. */
    sigaction(SIGBUS, &before, NULL);
    errno = saved;
}

static void install(void)
{
    struct sigaction act = { .sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO | SA_ONSTACK };
    sigemptyset(&act.sa_mask);
    sigaction(SIGBUS, NULL, &before);
    sigaction(SIGBUS, &act, NULL);
}

void vhost_guard_backend(VhostBackend *b)
{
    b->guards = g_new0(VhostGuard, VHOST_MAX_GUARDS);
    pthread_once(&once, install);
    for (unsigned i = 0; i < BACKENDS; i++) {
        VhostBackend *none = NULL;
        if (atomic_compare_exchange_strong(&backends[i], &none, b))
            return;
    }
}

void vhost_unguard_backend(VhostBackend *b)
{
    for (unsigned i = 0; i < BACKENDS; i++) {
        VhostBackend *it = b;
        atomic_compare_exchange_strong(&backends[i], &it, NULL);
    }
    g_free(b->guards);
}

void vhost_guard(VhostBackend *b, const void *start, size_t size)
{
    for (unsigned i = 0; i < VHOST_MAX_GUARDS; i++) {
        if (atomic_load(&b->guards[i].size))
            continue;
        atomic_store(&b->guards[i].start, (uintptr_t)start);
        atomic_store(&b->guards[i].size, size);
        return;
    }
}

void vhost_unguard(VhostBackend *b, const void *start)
{
    for (unsigned i = 0; i < VHOST_MAX_GUARDS; i++)
        if (atomic_load(&b->guards[i].start) == (uintptr_t)start)
            atomic_store(&b->guards[i].size, 0);
}
