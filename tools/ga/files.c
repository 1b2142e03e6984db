/* SPDX-License-Identifier: MIT */
/*
 * guest-file-*: files of the guest by handles. Modes are those of fopen(3), but there is no buffer:
 * what was written is in the file, and a full disk is told by the write that met it. Devices and
 * FIFOs are opened without waiting, so that no file can stop the agent.
 *
 * Handles begin at 1000 and are not given out again by an agent started later: it goes on above
 * what STATE/qga.state says, a key file that qemu-ga reads, too. The file is written once for many
 * handles.
 */
#include "ga.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    FIRST_HANDLE = 1000, RESERVED = 1000, /* handles between two times that the state is written */
    MOST_FILES = 512,
    USUAL_COUNT = 4096, MOST_COUNT = 48 << 20, /* bytes to read, as in qemu-ga */
    NEW_MODE = 0666, /* of a new file, whatever the umask, as in qemu-ga */
};

struct GaFiles {
    GHashTable *open; /* handle as int64_t * to fd + 1 */
    int64_t next, reserved;
};

typedef struct {
    const char *word;
    int flags;
} Mode;

static const Mode modes[] = {
    { "r", O_RDONLY }, { "rb", O_RDONLY },
    { "w", O_WRONLY | O_CREAT | O_TRUNC }, { "wb", O_WRONLY | O_CREAT | O_TRUNC },
    { "a", O_WRONLY | O_CREAT | O_APPEND }, { "ab", O_WRONLY | O_CREAT | O_APPEND },
    { "r+", O_RDWR }, { "rb+", O_RDWR }, { "r+b", O_RDWR },
    { "w+", O_RDWR | O_CREAT | O_TRUNC }, { "wb+", O_RDWR | O_CREAT | O_TRUNC },
    { "w+b", O_RDWR | O_CREAT | O_TRUNC },
    { "a+", O_RDWR | O_CREAT | O_APPEND }, { "ab+", O_RDWR | O_CREAT | O_APPEND },
    { "a+b", O_RDWR | O_CREAT | O_APPEND },
};

/* ---- handles --------------------------------------------------------------------------- */

static char *state_file(const Ga *ga)
{
    return g_build_filename(ga->options.state_dir, "qga.state", NULL);
}

static struct GaFiles *files_of(Ga *ga)
{
    if (ga->files)
        return ga->files;
    struct GaFiles *f = ga->files = g_new0(struct GaFiles, 1);
    g_autoptr(GKeyFile) keys = g_key_file_new();
    g_autofree char *path = state_file(ga);
    f->open = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
    f->next = FIRST_HANDLE;
    if (g_key_file_load_from_file(keys, path, G_KEY_FILE_NONE, NULL))
        f->next = MAX(f->next, g_key_file_get_int64(keys, "global", "fd_counter", NULL));
    f->reserved = f->next;
    return f;
}

/* Without a state folder handles start anew with each agent, no reason to refuse a file. */
static int64_t new_handle(Ga *ga)
{
    struct GaFiles *f = ga->files;
    if (f->next >= f->reserved) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GKeyFile) keys = g_key_file_new();
        g_autofree char *path = state_file(ga);
        f->reserved = f->next + RESERVED;
        g_key_file_set_int64(keys, "global", "fd_counter", f->reserved);
        if (!g_key_file_save_to_file(keys, path, &error))
            ga_debug(ga, "%s", error->message);
    }
    return f->next++;
}

/* The descriptor, or -1 with an error. */
static int find(Ga *ga, struct json_object *args, GError **error)
{
    int64_t handle = agent_int(args, "handle", 0);
    int fd = GPOINTER_TO_INT(g_hash_table_lookup(files_of(ga)->open, &handle)) - 1;
    if (fd < 0)
        ga_fail(error, "handle '%" G_GINT64_FORMAT "' has not been found", handle);
    return fd;
}

void ga_files_free(struct GaFiles *f)
{
    GHashTableIter i;
    gpointer value;
    if (!f)
        return;
    g_hash_table_iter_init(&i, f->open);
    while (g_hash_table_iter_next(&i, NULL, &value))
        close(GPOINTER_TO_INT(value) - 1);
    g_hash_table_unref(f->open);
    g_free(f);
}

/* ---- commands ---------------------------------------------------------------------------- */

/* A new file gets its mode from us alone; one that was there keeps its own. */
static int open_file(const char *path, int flags)
{
    flags |= O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    if (!(flags & O_CREAT))
        return open(path, flags);
    int fd = open(path, flags | O_EXCL, 0);
    if (fd >= 0) {
        if (fchmod(fd, NEW_MODE) == 0)
            return fd;
        int err = errno;
        unlink(path);
        close(fd);
        errno = err;
        return -1;
    }
    return errno == EEXIST ? open(path, flags, NEW_MODE) : -1;
}

static struct json_object *file_open(void *opaque, struct json_object *args, GError **error)
{
    Ga *ga = opaque;
    const char *path = agent_string(args, "path"), *word = agent_string(args, "mode");
    const Mode *mode = NULL;
    struct GaFiles *f = files_of(ga);
    word = word ? word : "r";
    for (unsigned i = 0; i < G_N_ELEMENTS(modes); i++)
        if (!strcmp(modes[i].word, word))
            mode = &modes[i];
    if (!mode)
        return ga_fail(error, "invalid file open mode '%s'", word);
    if (g_hash_table_size(f->open) >= MOST_FILES)
        return ga_fail(error, "failed to open file '%s' (mode: '%s'): %d files are open already",
                       path, word, MOST_FILES);
    int fd = open_file(path, mode->flags);
    if (fd < 0)
        return ga_fail_errno(error, errno, "failed to open file '%s' (mode: '%s')", path, word);
    int64_t handle = new_handle(ga);
    g_hash_table_insert(f->open, g_memdup2(&handle, sizeof handle), GINT_TO_POINTER(fd + 1));
    return json_object_new_int64(handle);
}

static struct json_object *file_close(void *opaque, struct json_object *args, GError **error)
{
    Ga *ga = opaque;
    int64_t handle = agent_int(args, "handle", 0);
    int fd = find(ga, args, error);
    if (fd < 0)
        return NULL;
    g_hash_table_remove(ga->files->open, &handle);
    if (close(fd) < 0 && errno != EINTR)
        return ga_fail_errno(error, errno, "failed to close handle");
    return agent_nothing();
}

static struct json_object *file_read(void *opaque, struct json_object *args, GError **error)
{
    int fd = find(opaque, args, error);
    int64_t count = agent_int(args, "count", USUAL_COUNT);
    if (fd < 0)
        return NULL;
    if (count < 0 || count > MOST_COUNT)
        return ga_fail(error, "value '%" G_GINT64_FORMAT "' is invalid for argument count", count);
    g_autofree char *bytes = g_malloc(count + 1);
    int64_t got = 0;
    ssize_t n = 1;
    while (got < count && n) {
        n = read(fd, bytes + got, count - got);
        if (n > 0)
            got += n;
        else if (n < 0 && errno != EINTR && (got || errno == EAGAIN))
            break; /* no more of a device now; a mistake is told when nothing comes before it */
        else if (n < 0 && errno != EINTR)
            return ga_fail_errno(error, errno, "failed to read file");
    }
    struct json_object *o = json_object_new_object();
    agent_put_int(o, "count", got);
    agent_put_base64(o, "buf-b64", bytes, got);
    agent_put_bool(o, "eof", !n);
    return o;
}

static struct json_object *file_write(void *opaque, struct json_object *args, GError **error)
{
    int fd = find(opaque, args, error);
    size_t len;
    if (fd < 0)
        return NULL;
    g_autofree uint8_t *bytes = agent_base64(args, "buf-b64", &len, error);
    if (!bytes)
        return NULL;
    int64_t count = agent_int(args, "count", (int64_t)len), done = 0;
    if (count < 0 || count > (int64_t)len)
        return ga_fail(error, "value '%" G_GINT64_FORMAT "' is invalid for argument count", count);
    while (done < count) {
        ssize_t n = write(fd, bytes + done, count - done);
        if (n > 0)
            done += n;
        else if (n < 0 && errno != EINTR && done)
            break;
        else if (n < 0 && errno != EINTR)
            return ga_fail_errno(error, errno, "failed to write to file");
    }
    struct json_object *o = json_object_new_object();
    agent_put_int(o, "count", done);
    agent_put_bool(o, "eof", false);
    return o;
}

static const char *const whences[] = { "set", "cur", "end", NULL };

static struct json_object *file_seek(void *opaque, struct json_object *args, GError **error)
{
    static const int codes[] = { SEEK_SET, SEEK_CUR, SEEK_END };
    int fd = find(opaque, args, error);
    int64_t whence = agent_is_word(args, "whence") ? agent_word(args, "whence", whences, 0) :
                                                     agent_int(args, "whence", 0);
    if (fd < 0)
        return NULL;
    if (whence < 0 || whence >= (int64_t)G_N_ELEMENTS(codes))
        return ga_fail(error, "invalid whence code %" G_GINT64_FORMAT, whence);
    off_t at = lseek(fd, agent_int(args, "offset", 0), codes[whence]);
    if (at < 0)
        return ga_fail_errno(error, errno, "failed to seek file");
    struct json_object *o = json_object_new_object();
    agent_put_int(o, "position", at);
    agent_put_bool(o, "eof", false);
    return o;
}

/* There is nothing that we keep back. */
static struct json_object *file_flush(void *opaque, struct json_object *args, GError **error)
{
    return find(opaque, args, error) < 0 ? NULL : agent_nothing();
}

static const AgentArg open_args[] = {
    { .name = "path", .type = AGENT_STRING },
    { .name = "mode", .type = AGENT_STRING, .optional = true }, { 0 }
};
static const AgentArg handle_args[] = { { .name = "handle", .type = AGENT_INT }, { 0 } };
static const AgentArg read_args[] = {
    { .name = "handle", .type = AGENT_INT },
    { .name = "count", .type = AGENT_INT, .optional = true }, { 0 }
};
static const AgentArg write_args[] = {
    { .name = "handle", .type = AGENT_INT }, { .name = "buf-b64", .type = AGENT_STRING },
    { .name = "count", .type = AGENT_INT, .optional = true }, { 0 }
};
static const AgentArg seek_args[] = {
    { .name = "handle", .type = AGENT_INT }, { .name = "offset", .type = AGENT_INT },
    { .name = "whence", .type = AGENT_INT_OR_WORD, .words = whences, .either = "GuestFileWhence" },
    { 0 }
};

const AgentCommand ga_files_commands[] = {
    { .name = "guest-file-open", .args = open_args, .run = file_open },
    { .name = "guest-file-close", .args = handle_args, .run = file_close },
    { .name = "guest-file-read", .args = read_args, .run = file_read },
    { .name = "guest-file-write", .args = write_args, .run = file_write },
    { .name = "guest-file-seek", .args = seek_args, .run = file_seek },
    { .name = "guest-file-flush", .args = handle_args, .run = file_flush },
    { 0 }
};
