/* SPDX-License-Identifier: MIT */
/*
 * --exec CMD [--root FOLDER|IMAGE|INITRD]. The streams of the command are ports of virtio-serial,
 * each with a socket pair behind it and a thread that copies; a socket that ends is the end of
 * file.
 *
 * What the guest has to bring: virtio over PCI and virtio-console in the kernel or loaded by the
 * initial RAM disk, and a shell (or busybox) there. Modules for a root disk are taken from beside
 * the kernel, where packages have them.
 */
#include "exec.h"

#include "base/error.h"
#include "base/thread.h"

#include <errno.h>
#include <glib-unix.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define ARCHIVE_MAX ((uint64_t)1 << 30)
enum { CONSOLE_KEPT = 65536, CONSOLE_LINES = 12, ANSWER_MAX = 256 };

/* In the order of ports. */
typedef enum { IN, OUT, ERR, STATUS, STREAMS } Stream;

static const char *const stream_names[STREAMS] = { "in", "out", "err", "status" };

struct Exec {
    char *append, *disk; /* disk: an image for the guest's root, or NULL */
    int ours[STREAMS];
    pthread_t threads[STATUS];
    bool running[STATUS];
    GString *answer;
    guint watch;
    bool told;
    void (*ended)(void *opaque);
    void *opaque;
};

/* ---- The archive --------------------------------------------------------------------------- */

static const char script[] =
    "b=\n"
    "for x in /bin/busybox /usr/bin/busybox; do\n"
    "    if [ -x $x ]; then b=$x; break; fi\n"
    "done\n"
    "export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root\n"
    "run() { if [ -n \"$b\" ]; then $b \"$@\"; else \"$@\"; fi; }\n"
    "run mkdir -p /proc /sys /dev /tmp /root /bin\n"
    "[ -e /proc/self ] || run mount -t proc proc /proc\n"
    "[ -e /sys/class ] || run mount -t sysfs sysfs /sys\n"
    "[ -e /dev/null ] || run mount -t devtmpfs devtmpfs /dev\n"
    "exec </dev/null >/dev/console 2>&1\n"
    "[ -z \"$b\" ] || [ -e /bin/ls ] || [ -e /usr/bin/ls ] || $b --install -s /bin\n"
    "for m in /.lathe/modules/*; do\n"
    "    [ ! -e \"$m\" ] || run insmod \"$m\" 2>/dev/null\n"
    "done\n"
    "off()\n"
    "{\n"
    "    run sync\n"
    "    echo o >/proc/sysrq-trigger\n"
    "    while :; do run sleep 10; done\n"
    "}\n"
    "port()\n"
    "{\n"
    "    for p in /sys/class/virtio-ports/*; do\n"
    "        [ -r \"$p/name\" ] || continue\n"
    "        read -r name <\"$p/name\"\n"
    "        if [ \"$name\" = \"lathe.$1\" ]; then echo \"/dev/${p##*/}\"; return; fi\n"
    "    done\n"
    "    return 1\n"
    "}\n"
    "n=0\n"
    "until in=$(port in) && out=$(port out) && err=$(port err) && status=$(port status); do\n"
    "    n=$((n + 1))\n"
    "    if [ $n -gt 100 ]; then\n"
    "        echo 'lathe: this guest has no driver for virtio-serial'\n"
    "        off\n"
    "    fi\n"
    "    run sleep 0.1\n"
    "done\n"
    "root=/\n"
    "[ ! -d /.lathe/root ] || root=/.lathe/root\n"
    "if [ -e /.lathe/disk ]; then\n"
    "    run mkdir -p /.lathe/root\n"
    "    root= n=0\n"
    "    while [ -z \"$root\" ] && [ $n -le 50 ]; do\n"
    "        for d in /dev/vda[0-9]* /dev/vda; do\n"
    "            [ -b $d ] || continue\n"
    "            for how in rw ro; do\n"
    "                [ -z \"$root\" ] && run mount -o $how $d /.lathe/root 2>/dev/null || "
    "continue\n"
    "                if [ -e /.lathe/root/bin/sh ] || [ -L /.lathe/root/bin/sh ]; then\n"
    "                    root=/.lathe/root\n"
    "                else\n"
    "                    run umount /.lathe/root\n"
    "                fi\n"
    "            done\n"
    "        done\n"
    "        n=$((n + 1))\n"
    "        [ -n \"$root\" ] || run sleep 0.1\n"
    "    done\n"
    "    if [ -z \"$root\" ]; then\n"
    "        echo '! the root disk has no file system with a shell that this guest can mount' "
    ">$status\n"
    "        off\n"
    "    fi\n"
    "fi\n"
    "if [ $root != / ]; then\n"
    "    run mkdir -p $root/proc $root/sys $root/dev $root/tmp 2>/dev/null\n"
    "    run mount -t proc proc $root/proc\n"
    "    run mount -t sysfs sysfs $root/sys\n"
    "    run mount -t devtmpfs devtmpfs $root/dev\n"
    "    run chroot $root /bin/sh -c \"$(run cat /.lathe/cmd)\" <$in >$out 2>$err\n"
    "elif [ -e /bin/sh ]; then\n"
    "    /bin/sh -c \"$(run cat /.lathe/cmd)\" <$in >$out 2>$err\n"
    "else\n"
    "    run sh -c \"$(run cat /.lathe/cmd)\" <$in >$out 2>$err\n"
    "fi\n"
    "code=$?\n"
    "run sync\n"
    "[ ! -e /.lathe/disk ] || run umount $root/proc $root/sys $root/dev $root\n"
    "echo $code >$status\n"
    "off\n";

/* The first line of the script: a shell that is there. NULL: nobody can say. */
static const char *interpreter(GBytes *initrd, const char *folder)
{
    static const char *const names[] = { "bin/busybox", "usr/bin/busybox", "bin/sh", "usr/bin/sh",
                                         NULL };
    static const char *const lines[] = { "#!/bin/busybox sh\n", "#!/usr/bin/busybox sh\n",
                                         "#!/bin/sh\n", "#!/usr/bin/sh\n" };
    bool found[4] = {0};
    bool sure = !initrd || load_cpio_has(initrd, names, found);
    for (size_t i = 0; names[i]; i++) {
        g_autofree char *path = folder ? g_build_filename(folder, names[i], NULL) : NULL;
        struct stat st;
        if (found[i] || (path && !lstat(path, &st)))
            return lines[i];
    }
    return sure ? NULL : "#!/bin/sh\n";
}

/* Modules that a root disk may need, each if it is there; what is built in is not. */
static void add_modules(GByteArray *out, const char *kernel)
{
    static const char *const names[] = {
        "drivers/virtio/virtio_mmio", "drivers/block/virtio_blk", "lib/crc16",
        "crypto/crc32c_generic", "lib/libcrc32c", "fs/mbcache", "fs/jbd2/jbd2", "fs/ext4/ext4",
        "fs/xfs/xfs", "fs/squashfs/squashfs" };
    static const char *const endings[] = { "ko", "ko.xz", "ko.gz", "ko.zst" };
    g_autofree char *base = g_path_get_basename(kernel), *dir = g_path_get_dirname(kernel);
    const char *version = strchr(base, '-');
    for (size_t i = 0; version && i < G_N_ELEMENTS(names); i++) {
        for (size_t k = 0; k < 2 * G_N_ELEMENTS(endings); k++) {
            g_autofree char *file = g_strdup_printf(
                "%s/../%slib/modules/%s/kernel/%s.%s", dir, k & 1 ? "usr/" : "", version + 1,
                names[i], endings[k / 2]);
            g_autofree char *data = NULL;
            gsize len;
            if (!g_file_get_contents(file, &data, &len, NULL))
                continue;
            g_autofree char *name = g_strdup_printf(".lathe/modules/%02zu.%s", i, endings[k / 2]);
            load_cpio_add(out, name, S_IFREG | 0644, data, len);
            break;
        }
    }
}

static void add_script(GByteArray *out, const char *first_line, const char *command)
{
    g_autofree char *all = g_strconcat(first_line, script, NULL);
    load_cpio_add(out, ".lathe", S_IFDIR | 0755, "", 0);
    load_cpio_add(out, ".lathe/modules", S_IFDIR | 0755, "", 0);
    load_cpio_add(out, ".lathe/init", S_IFREG | 0755, all, strlen(all));
    load_cpio_add(out, ".lathe/cmd", S_IFREG | 0644, command, strlen(command));
    /* the kernel wants one before it mounts anything */
    load_cpio_add(out, "dev", S_IFDIR | 0755, "", 0);
}

/* ---- --root ---------------------------------------------------------------------------------- */

static bool is_initrd(GBytes *bytes)
{
    static const struct {
        const char *magic;
        gsize len;
    } kinds[] = { { "07070", 5 }, { "\x1f\x8b", 2 }, { "\x28\xb5\x2f\xfd", 4 },
                  { "\xfd" "7zXZ", 5 }, { "\x02\x21\x4c\x18", 4 }, { "\x04\x22\x4d\x18", 4 } };
    gsize size;
    const void *data = g_bytes_get_data(bytes, &size);
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++)
        if (size >= kinds[i].len && !memcmp(data, kinds[i].magic, kinds[i].len))
            return true;
    return false;
}

/* What stands after --root: a folder goes to *folder, a disk to e->disk, else it is the initrd. */
static bool take_root(Exec *e, const RunOptions *o, Software *s, const char **folder,
                      GError **error)
{
    struct stat st;
    if (!o->root)
        return true;
    if (stat(o->root, &st))
        return fail_errno(error, errno, "%s", o->root);
    if (S_ISDIR(st.st_mode)) {
        *folder = o->root;
        return true;
    }
    g_autoptr(GBytes) head = S_ISREG(st.st_mode) ? load_read(o->root, LOAD_MAX, NULL) : NULL;
    if (!head || !is_initrd(head)) {
        if (!s->initrd)
            return fail_usage(error, "%s: a disk as root needs an -initrd too, with busybox or a "
                              "shell and insmod", o->root);
        e->disk = g_strdup(o->root);
        return true;
    }
    if (s->initrd)
        return fail_usage(error, "%s is an initial RAM disk, and -initrd gives one already",
                          o->root);
    s->initrd = g_steal_pointer(&head);
    s->boot.initrd_name = o->root;
    return true;
}

static void set_append(Exec *e, const RunOptions *o, Software *s)
{
    const char *given = o->append ? o->append : "quiet";
    e->append = g_strdup_printf("%s%s rdinit=/.lathe/init panic=-1", given,
                                strstr(given, "console=") ? "" : " console=ttyS0");
    s->boot.append = e->append;
}

static bool prepare(Exec *e, const RunOptions *o, Software *s, GError **error)
{
    const char *folder = NULL;
    if (!s->kernel)
        return fail_usage(error, "it needs a -kernel");
    if (!take_root(e, o, s, &folder, error))
        return prefix(error, "--root");
    if (!s->initrd && !folder)
        return fail_usage(error, "it needs an -initrd or a --root to run in");
    const char *line = interpreter(s->initrd, s->initrd ? NULL : folder);
    if (!line)
        return fail_usage(error, "%s has neither a shell nor busybox in /bin",
                          s->initrd ? s->boot.initrd_name : folder);
    g_autoptr(GByteArray) out = g_byte_array_new();
    if (s->initrd) {
        gsize size;
        const void *data = g_bytes_get_data(s->initrd, &size);
        if (size > ARCHIVE_MAX)
            return fail(error, "%s is larger than 1 GiB", s->boot.initrd_name);
        g_byte_array_append(out, data, (guint)size);
        while (out->len & 3)
            g_byte_array_append(out, (const uint8_t *)"", 1);
    }
    add_script(out, line, o->exec);
    if (e->disk) {
        load_cpio_add(out, ".lathe/disk", S_IFREG | 0644, "", 0);
        add_modules(out, o->kernel);
    }
    if (folder && !load_cpio_add_folder(out, folder, s->initrd ? ".lathe/root" : "", ARCHIVE_MAX,
                                        error))
        return prefix(error, "--root");
    load_cpio_end(out);
    g_clear_pointer(&s->initrd, g_bytes_unref);
    s->initrd = g_byte_array_free_to_bytes(g_steal_pointer(&out));
    s->boot.initrd = s->initrd;
    set_append(e, o, s);
    return true;
}

Exec *exec_new(const RunOptions *o, Software *s, GError **error)
{
    if (!o->exec) {
        if (o->root)
            fail_usage(error, "--root goes with --exec");
        return NULL;
    }
    Exec *e = g_new0(Exec, 1);
    e->answer = g_string_new("");
    for (int i = 0; i < STREAMS; i++)
        e->ours[i] = -1;
    if (prepare(e, o, s, error))
        return e;
    prefix(error, "--exec");
    exec_free(e);
    return NULL;
}

/* ---- The streams ----------------------------------------------------------------------------- */

typedef struct {
    int from, to;
} Copy;

/* Until the end of one side. The other socket's end of file follows from shutting it down. */
static void *copy(void *opaque)
{
    g_autofree Copy *c = opaque;
    char buf[65536];
    ssize_t n;
    while ((n = read(c->from, buf, sizeof buf)) > 0 || (n < 0 && errno == EINTR)) {
        for (ssize_t done = 0, w; done < n; done += w) {
            w = write(c->to, buf + done, (size_t)(n - done));
            if (w < 0 && errno != EINTR)
                return NULL;
            w = MAX(w, 0);
        }
    }
    shutdown(c->to, SHUT_WR); /* fails for what is no socket, and need not be done there */
    return NULL;
}

static void start_copy(Exec *e, Stream which, int from, int to)
{
    Copy *c = g_new(Copy, 1);
    *c = (Copy){ from, to };
    e->running[which] = thread_start(&e->threads[which], "exec", copy, c) == 0;
    if (!e->running[which])
        g_free(c);
}

/* The guest says "0\n", or "! why not\n". */
static gboolean on_answer(gint fd, GIOCondition condition, gpointer opaque)
{
    Exec *e = opaque;
    char buf[ANSWER_MAX];
    ssize_t n = read(fd, buf, sizeof buf);
    if (n > 0 && e->answer->len < ANSWER_MAX)
        g_string_append_len(e->answer, buf, n);
    if (!e->told && strchr(e->answer->str, '\n')) {
        e->told = true;
        e->ended(e->opaque);
    }
    if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
        return G_SOURCE_CONTINUE;
    e->watch = 0;
    return G_SOURCE_REMOVE;
}

static bool add_port(Exec *e, Stream i, ChardevTable *chardevs, Machine *m, GError **error)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
        return fail_errno(error, errno, "a socket pair");
    e->ours[i] = pair[0];
    g_autofree char *chardev = g_strdup_printf("socket,id=lathe.%s,fd=%d", stream_names[i],
                                               pair[1]);
    g_autofree char *device = g_strdup_printf(
        "virtserialport,bus=lathe.0,name=lathe.%s,chardev=lathe.%s", stream_names[i],
        stream_names[i]);
    return chardev_table_add(chardevs, chardev, error) && machine_add_device(m, device, error);
}

bool exec_console(ChardevTable *chardevs, GError **error)
{
    g_autofree char *text = g_strdup_printf("ringbuf,id=" EXEC_CONSOLE ",size=%d", CONSOLE_KEPT);
    return chardev_table_add(chardevs, text, error);
}

bool exec_connect(Exec *e, ChardevTable *chardevs, Machine *m, void (*ended)(void *opaque),
                  void *opaque, GError **error)
{
    e->ended = ended;
    e->opaque = opaque;
    if (e->disk) {
        g_autoptr(GString) drive = g_string_new("if=virtio,format=raw,file=");
        for (const char *p = e->disk; *p; p++)
            g_string_append_printf(drive, *p == ',' ? ",," : "%c", *p);
        if (!machine_add_drive(m, drive->str, false, error) || !machine_add_pending(m, error))
            return false;
    }
    if (!machine_add_device(m, "virtio-serial,id=lathe,max_ports=8", error))
        return false;
    for (Stream i = 0; i < STREAMS; i++)
        if (!add_port(e, i, chardevs, m, error))
            return false;
    start_copy(e, IN, STDIN_FILENO, e->ours[IN]);
    start_copy(e, OUT, e->ours[OUT], STDOUT_FILENO);
    start_copy(e, ERR, e->ours[ERR], STDERR_FILENO);
    if (!e->running[IN] || !e->running[OUT] || !e->running[ERR])
        return fail(error, "the host has no thread to spare");
    g_unix_set_fd_nonblocking(e->ours[STATUS], TRUE, NULL);
    e->watch = g_unix_fd_add(e->ours[STATUS], G_IO_IN | G_IO_HUP, on_answer, e);
    return true;
}

/* ---- How it ended ---------------------------------------------------------------------------- */

/* Why the guest stopped, as its console has it: a panic's line, or the end of all; "" if that is
   not kept. */
static char *last_lines(Chardev *console)
{
    g_autoptr(GBytes) all = console ? chardev_ringbuf_read(console, CONSOLE_KEPT, NULL) : NULL;
    GString *s = g_string_new("");
    gsize size = 0;
    const char *data = all ? g_bytes_get_data(all, &size) : NULL;
    for (gsize i = 0; i < size; i++)
        if (data[i] == '\n' || (data[i] >= ' ' && data[i] < 0x7f))
            g_string_append_c(s, data[i]);
    g_strchomp(s->str);
    char *panic = strstr(s->str, "Kernel panic - not syncing: ");
    if (panic) {
        char *line = g_strdup_printf(": %.*s", (int)strcspn(panic, "\n"), panic);
        g_string_free(s, TRUE);
        return line;
    }
    char *at = s->str + strlen(s->str);
    for (int lines = 0; at > s->str; at--)
        if (at[-1] == '\n' && ++lines == CONSOLE_LINES)
            break;
    char *last = *at ? g_strdup_printf("; its console ends so:\n%s", at) : g_strdup("");
    g_string_free(s, TRUE);
    return last;
}

bool exec_result(Exec *e, Chardev *console, int *status, GError **error)
{
    char *end;
    gint64 code = g_ascii_strtoll(e->answer->str, &end, 10);
    if (e->told && end != e->answer->str && *end == '\n') {
        *status = (int)(code & 0xff);
        return true;
    }
    if (e->told)
        return fail(error, "--exec: %s", g_strstrip(e->answer->str + 1));
    g_autofree char *last = last_lines(console);
    return fail(error, "--exec: the guest stopped before the command ended%s", last);
}

void exec_free(Exec *e)
{
    if (!e)
        return;
    if (e->watch)
        g_source_remove(e->watch);
    /* The ports' ends are closed with their chardevs: these threads come to the end of file. The
       one that waits for our own input ends with the process. */
    for (Stream i = OUT; i <= ERR; i++)
        if (e->running[i])
            pthread_join(e->threads[i], NULL);
    if (e->running[IN])
        pthread_detach(e->threads[IN]);
    for (Stream i = OUT; i < STREAMS; i++)
        if (e->ours[i] >= 0)
            close(e->ours[i]);
    if (e->answer)
        g_string_free(e->answer, TRUE);
    g_free(e->append);
    g_free(e->disk);
    g_free(e);
}
