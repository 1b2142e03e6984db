/* SPDX-License-Identifier: MIT */
/*
 * Kernel devices. Attaching: this process serves the image on pairs of sockets, shakes hands on
 * their other ends, hands those to the kernel, and says that it is ready only when the device has
 * its size, its partitions were looked for, and their nodes are there. Detaching: whoever uses the
 * device is named instead of being left without it.
 */
#include "device_priv.h"

#include "base/error.h"
#include "base/thread.h"
#include "nbd/nbd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { READY_MS = 20000, STEP_MS = 20 };

struct Device {
    const Tool *tool;
    void (*ready)(void *opaque, GError *error);
    void *opaque;
    pthread_t thread;
    bool started;
    unsigned n;
    int fds[DEVICE_SOCKETS]; /* the kernel's ends */
    int index;               /* -1: any, until it is connected */
    bool connected;
    GError *error;
};

/* The number in "/dev/nbd3" or "nbd3"; -1 for auto. */
static bool parse_device(const char *text, int *index, GError **error)
{
    const char *digits = g_str_has_prefix(text, "/dev/nbd") ? text + 8
                         : g_str_has_prefix(text, "nbd")    ? text + 3
                                                            : "";
    guint64 n;
    *index = -1;
    if (!strcmp(text, "auto"))
        return true;
    if (!g_ascii_string_to_unsigned(digits, 10, 0, 1 << 20, &n, NULL))
        return fail_usage(error, "'%s': /dev/nbdN or auto is wanted", text);
    *index = (int)n;
    return true;
}

static char *sysfs(int index, const char *what)
{
    return g_strdup_printf("/sys/block/nbd%d/%s", index, what);
}

static bool is_connected(int index)
{
    g_autofree char *path = sysfs(index, "pid");
    return !access(path, F_OK);
}

/* ---- Ready ----------------------------------------------------------------------- */

/* The device's node, and those of its partitions. */
static GPtrArray *nodes(int index)
{
    GPtrArray *all = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *name = g_strdup_printf("nbd%d", index), *dir = sysfs(index, "");
    g_autofree char *partition = g_strconcat(name, "p", NULL);
    g_ptr_array_add(all, g_strconcat("/dev/", name, NULL));
    GDir *d = g_dir_open(dir, 0, NULL);
    for (const char *entry; d && (entry = g_dir_read_name(d));)
        if (g_str_has_prefix(entry, partition))
            g_ptr_array_add(all, g_strconcat("/dev/", entry, NULL));
    if (d)
        g_dir_close(d);
    return all;
}

static bool all_there(int index, GPtrArray **names)
{
    struct stat st;
    bool there = true;
    *names = nodes(index);
    for (unsigned i = 0; i < (*names)->len; i++)
        there &= !stat((*names)->pdata[i], &st) && S_ISBLK(st.st_mode);
    /* where udev is, it has to be done with them */
    return there && access("/run/udev/queue", F_OK);
}

static bool rescan(int index)
{
    g_autofree char *node = g_strdup_printf("/dev/nbd%d", index);
    int fd = open(node, O_RDONLY | O_CLOEXEC);
    uint64_t size = 0;
    if (fd < 0)
        return false;
    bool sized = !ioctl(fd, BLKGETSIZE64, &size) && size;
    if (sized && ioctl(fd, BLKRRPART) && errno == EBUSY)
        sized = false; /* udev looks at it now */
    close(fd);
    return sized;
}

static bool await_ready(int index, GError **error)
{
    int64_t end = g_get_monotonic_time() + READY_MS * INT64_C(1000);
    bool scanned = false;
    while (g_get_monotonic_time() < end) {
        scanned = scanned || rescan(index);
        GPtrArray *names = NULL;
        bool there = scanned && all_there(index, &names);
        if (names)
            g_ptr_array_unref(names);
        if (there)
            return true;
        g_usleep(STEP_MS * 1000);
    }
    return fail(error, "/dev/nbd%d is connected, but %s after %d seconds", index,
                scanned ? "not all of its partitions' nodes are there" : "has no size",
                READY_MS / 1000);
}

void device_print(const Device *d)
{
    g_autoptr(GPtrArray) names = nodes(d->index);
    for (unsigned i = 0; i < names->len; i++)
        printf("%s%s", i ? " " : "", (char *)names->pdata[i]);
    printf("\n");
    fflush(stdout);
}

/* ---- Connecting --------------------------------------------------------------------- */

/* The client's side of the handshake on one socket. */
static bool shake(int fd, const char *name, NetlinkDevice *d, GError **error)
{
    g_autoptr(NbdClient) c = nbd_client_new(&(NbdWanted){ .name = name, .simple = true });
    for (;;) {
        NbdReply reply;
        struct iovec iov[2];
        NbdEvent event = nbd_client_next(c, NULL, NULL, &reply);
        size_t len;
        const uint8_t *out = nbd_client_output(c, &len);
        if (len && send(fd, out, len, MSG_NOSIGNAL) != (ssize_t)len)
            return fail_errno(error, errno, "the handshake");
        nbd_client_sent(c);
        if (event == NBD_READY)
            break;
        if (event != NBD_NEED)
            return fail(error, "the handshake: %s", nbd_client_error(c));
        if (len)
            continue;
        nbd_client_buffers(c, iov);
        ssize_t n = recv(fd, iov[0].iov_base, iov[0].iov_len, 0);
        if (n <= 0)
            return fail(error, "the handshake ended early");
        nbd_client_advance(c, (size_t)n);
    }
    const NbdExport *e = nbd_client_export(c);
    d->size = e->size;
    d->flags = e->flags;
    return true;
}

static bool connect_all(Device *d, GError **error)
{
    NetlinkDevice kernel = { .block = 512, .n_sockets = d->n };
    g_autofree char *name = disks_name(d->tool, 0);
    for (unsigned i = 0; i < d->n; i++) {
        kernel.sockets[i] = d->fds[i];
        if (!shake(d->fds[i], name, &kernel, error))
            return false;
    }
    if (kernel.size % kernel.block) /* the kernel has no smaller ones */
        kernel.size -= kernel.size % kernel.block;
    d->connected = netlink_connect(&kernel, &d->index, error);
    return d->connected && await_ready(d->index, error);
}

static gboolean tell(gpointer opaque)
{
    Device *d = opaque;
    d->ready(d->opaque, g_steal_pointer(&d->error));
    return G_SOURCE_REMOVE;
}

static void *run(void *opaque)
{
    Device *d = opaque;
    connect_all(d, &d->error);
    g_idle_add(tell, d);
    return NULL;
}

Device *device_begin(const Tool *tool, ExportNbd *server,
                     void (*ready)(void *opaque, GError *error), void *opaque, GError **error)
{
    Device *d = g_new0(Device, 1);
    d->tool = tool;
    d->ready = ready;
    d->opaque = opaque;
    if (!parse_device(tool->device, &d->index, error)) {
        g_free(d);
        return NULL;
    }
    unsigned want = MIN(DEVICE_SOCKETS, g_get_num_processors());
    for (; d->n < want; d->n++) {
        int pair[2];
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
            break;
        d->fds[d->n] = pair[0];
        export_nbd_take(server, pair[1]);
    }
    int e = d->n ? thread_start(&d->thread, "nbd-device", run, d) : errno;
    d->started = !e;
    if (!e)
        return d;
    fail_errno(error, e, "connecting %s", tool->device);
    device_end(d);
    return NULL;
}

void device_end(Device *d)
{
    if (!d)
        return;
    if (d->started)
        pthread_join(d->thread, NULL);
    if (d->connected && is_connected(d->index))
        netlink_disconnect(d->index, NULL);
    for (unsigned i = 0; i < d->n; i++)
        close(d->fds[i]);
    g_clear_error(&d->error);
    g_free(d);
}

/* ---- Taking it away ------------------------------------------------------------------ */

/* Who uses the device or one of its partitions: a mount, swap, or a device on top; NULL: nobody. */
static char *mounted_on(const char *node)
{
    struct stat st;
    g_autofree char *mounts = NULL;
    if (stat(node, &st) || !g_file_get_contents("/proc/self/mountinfo", &mounts, NULL, NULL))
        return NULL;
    g_autofree char *number = g_strdup_printf("%u:%u", major(st.st_rdev), minor(st.st_rdev));
    g_auto(GStrv) lines = g_strsplit(mounts, "\n", -1);
    for (unsigned i = 0; lines[i]; i++) {
        g_auto(GStrv) words = g_strsplit(lines[i], " ", 6);
        if (g_strv_length(words) > 4 && !strcmp(words[2], number))
            return g_strdup_printf("%s is mounted on %s", node, words[4]);
    }
    return NULL;
}

static char *held_by(int index, const char *node)
{
    const char *base = strrchr(node, '/') + 1;
    g_autofree char *own = g_strdup_printf("nbd%d", index), *swaps = NULL;
    g_autofree char *dir = !strcmp(base, own)
                               ? sysfs(index, "holders")
                               : g_strdup_printf("/sys/block/nbd%d/%s/holders", index, base);
    GDir *d = g_dir_open(dir, 0, NULL);
    const char *holder = d ? g_dir_read_name(d) : NULL;
    char *text = holder ? g_strdup_printf("%s is used by %s", node, holder) : NULL;
    if (d)
        g_dir_close(d);
    g_autofree char *word = g_strconcat(node, " ", NULL);
    if (!text && g_file_get_contents("/proc/swaps", &swaps, NULL, NULL) && strstr(swaps, word))
        text = g_strdup_printf("%s is used as swap", node);
    return text;
}

static char *user_of(int index)
{
    g_autoptr(GPtrArray) names = nodes(index);
    for (unsigned i = 0; i < names->len; i++) {
        char *who = mounted_on(names->pdata[i]);
        if (!who)
            who = held_by(index, names->pdata[i]);
        if (who)
            return who;
    }
    return NULL;
}

static bool disconnect(const char *device, GError **error)
{
    int index;
    if (!parse_device(device, &index, error))
        return false;
    g_autofree char *dir = sysfs(index, "");
    if (index < 0)
        return fail_usage(error, "-d wants the device's name");
    if (access(dir, F_OK))
        return fail(error, "Cannot open %s: No such file or directory", device);
    if (!is_connected(index))
        return fail(error, "%s is not connected", device);
    g_autofree char *who = user_of(index);
    if (who)
        return fail(error, "%s", who);
    if (!netlink_disconnect(index, error))
        return false;
    for (int64_t end = g_get_monotonic_time() + READY_MS * INT64_C(1000); is_connected(index);) {
        if (g_get_monotonic_time() > end)
            return fail(error, "%s is still connected after %d seconds", device, READY_MS / 1000);
        g_usleep(STEP_MS * 1000);
    }
    return true;
}

int device_disconnect(Tool *tool)
{
    GError *error = NULL;
    if (!disconnect(tool->device, &error))
        return voice_error(&tool->voice, error);
    if (tool->voice.compatible)
        printf("%s disconnected\n", tool->device);
    return 0;
}
