/* SPDX-License-Identifier: MIT */
/*
 * Going on with what another process left: records become nodes and handles under their old
 * numbers. All come back closed and are opened by their ways when they are used, but for what the
 * keeper had. Mounts have other numbers now, and are found by their paths. The records were written
 * by a process like this one, yet nothing here relies on their making sense.
 */
#include "fs/state_priv.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- Mounts ----------------------------------------------------------------------- */

/* Component by component, so that no link leads out. The descriptor, O_PATH, or -1. */
static int open_below(int root, const char *path)
{
    g_auto(GStrv) part = g_strsplit(path, "/", -1);
    int fd = dup(root);
    for (unsigned i = 0; part[i] && fd >= 0; i++) {
        if (!*part[i] || !strcmp(part[i], ".") || !strcmp(part[i], ".."))
            continue;
        int next = openat(fd, part[i], O_PATH | O_NOFOLLOW | O_CLOEXEC);
        close(fd);
        fd = next;
    }
    return fd;
}

static void find_mounts(Fs *fs)
{
    FsState *s = fs->state;
    for (unsigned i = 0; i < STATE_MOUNTS && s->head->mounts[i].used; i++) {
        struct stat st;
        FsKey key;
        StateMount *m = &s->head->mounts[i];
        m->path[STATE_PATH - 1] = 0;
        int fd = open_below(fs->root_fd, m->path);
        if (fd >= 0 && !fs_stat_fd(fd, &st, &key) && key.dev == m->dev && key.ino == m->ino) {
            s->mounts[i] = key.mount;
            g_free(fs_way_handle(fs, fd, &key,
                                 st.st_mode & S_IFMT)); /* file handles on it need a descriptor */
        }
        if (fd >= 0)
            close(fd);
    }
}

static uint64_t mount_at(const Fs *fs, uint64_t place)
{
    return !place ? fs->root->key.mount : place <= STATE_MOUNTS ? fs->state->mounts[place - 1] : 0;
}

/* ---- Cells ------------------------------------------------------------------------- */

/* The cell's bytes, or NULL when there is no such cell. */
static const void *way_bytes(const FsState *s, uint64_t way, uint64_t *first)
{
    size_t length = state_way_length(way);
    uint32_t cell = state_way_cell(way);
    if (!state_way_kind(way) || !length || length > STATE_LARGE_ROOM)
        return NULL;
    if (length > STATE_SMALL_ROOM) {
        *first = cell < STATE_LARGE ? s->large[cell].first : 0;
        return cell < STATE_LARGE ? s->large[cell].bytes : NULL;
    }
    *first = cell < STATE_NODES ? s->small[cell].first : 0;
    return cell < STATE_NODES ? s->small[cell].bytes : NULL;
}

typedef struct {
    GByteArray *used; /* a byte a cell */
} Marks;

static void mark(Marks *small, Marks *large, uint64_t way)
{
    uint32_t cell = state_way_cell(way);
    Marks *m = state_way_length(way) > STATE_SMALL_ROOM ? large : small;
    if (!state_way_kind(way))
        return;
    if (cell >= m->used->len) {
        guint was = m->used->len;
        g_byte_array_set_size(m->used, MAX(cell + 1, was * 2));
        memset(m->used->data + was, 0, m->used->len - was);
    }
    m->used->data[cell] = 1;
}

static void free_others(StateCells *cells, Marks *m)
{
    guint end = m->used->len;
    while (end && !m->used->data[end - 1])
        end--;
    cells->end = end;
    for (uint32_t i = end; i-- > 0;)
        if (!m->used->data[i])
            g_array_append_val(cells->free, i);
    g_byte_array_unref(m->used);
}

/* ---- Nodes -------------------------------------------------------------------------- */

static FsFileHandle *file_handle_of(const FsState *s, uint64_t way)
{
    uint64_t type = 0;
    size_t length = state_way_length(way);
    const void *bytes = state_way_kind(way) == STATE_FILE_HANDLE ? way_bytes(s, way, &type) : NULL;
    if (!bytes || length > MAX_HANDLE_SZ)
        return NULL;
    FsFileHandle *h = g_malloc(sizeof *h + length);
    h->size = (unsigned)length;
    h->type = (int)(int64_t)type;
    memcpy(h->bytes, bytes, length);
    return h;
}

static void restore_node(Fs *fs, uint32_t place)
{
    StateNode *r = &fs->state->nodes[place];
    if (!(r->flags & STATE_LIVE)) {
        fs_slots_restore(&fs->nodes, place, r->generation + 1, NULL);
        return;
    }
    FsNode *n = g_new0(FsNode, 1);
    n->id = (uint64_t)r->generation << 32 | (place + 1);
    n->key = r->key;
    n->key.mount = mount_at(fs, r->key.mount);
    n->lookups = r->lookups;
    n->type = r->type;
    n->lost = (r->flags & STATE_LOST) != 0;
    n->fd = -1;
    n->users = 1; /* until all are there */
    n->file_handle = file_handle_of(fs->state, r->way);
    fs->closed += !n->file_handle;
    n->hashed = !g_hash_table_contains(fs->by_key, &n->key);
    if (n->hashed)
        g_hash_table_insert(fs->by_key, &n->key, n);
    fs_slots_restore(&fs->nodes, place, r->generation, n);
}

/* False: that leads nowhere. */
static bool hang_below(Fs *fs, FsNode *n, uint64_t way)
{
    uint64_t folder = 0;
    const char *name = state_way_kind(way) == STATE_NAME ? way_bytes(fs->state, way, &folder)
                                                         : NULL;
    FsNode *parent = name ? fs_slots_find(&fs->nodes, folder) : NULL;
    FsNode *old = n->parent;
    if (!parent || parent == n || !S_ISDIR(parent->type))
        return false;
    g_free(n->name);
    n->name = g_strndup(name, state_way_length(way));
    n->parent = parent;
    parent->users++;
    if (old)
        fs_node_drop(fs, old);
    return true;
}

/* Whether the folder that the way begins in lies below n: no rename leads there, though one may
 * have been asked for. */
static bool is_below(Fs *fs, const FsNode *n, uint64_t way)
{
    uint64_t folder = 0;
    const FsNode *at = way_bytes(fs->state, way, &folder) ? fs_slots_find(&fs->nodes, folder)
                                                          : NULL;
    while (at && at != n)
        at = at->parent;
    return at == n;
}

/* What a chain of names goes round in, it does not lead back to. Each is looked at once: pins is
   the mark, 1 on the way and 2 when all above are seen. */
static void cut_rings(Fs *fs)
{
    for (uint32_t i = 0; i < fs->nodes.size; i++) {
        FsNode *n = fs->nodes.items[i], *at;
        for (at = n; at && !at->pins; at = at->parent)
            at->pins = 1;
        if (at && at->pins == 1 && at->parent) {
            at->parent->users--; /* it has at least the user of the time being */
            at->parent = NULL;
        }
        for (at = n; at && at->pins == 1; at = at->parent)
            at->pins = 2;
    }
    for (uint32_t i = 0; i < fs->nodes.size; i++)
        if (fs->nodes.items[i])
            ((FsNode *)fs->nodes.items[i])->pins = 0;
}

/* A rename was under way: whichever name leads back now is its name. */
static void settle_move(Fs *fs, FsNode *n)
{
    StateNode *r = &fs->state->nodes[(uint32_t)n->id - 1];
    uint64_t was = r->way, next = r->next;
    pthread_mutex_lock(&fs->lock);
    bool moved = !is_below(fs, n, next) && hang_below(fs, n, next) && !fs_way_open(fs, n);
    bool found = moved || (!is_below(fs, n, was) && hang_below(fs, n, was) && !fs_way_open(fs, n));
    pthread_mutex_unlock(&fs->lock);
    if (moved)
        r->way = next;
    if (found)
        r->next = 0; /* else a folder above it may be one that moves: it is looked at again */
}

static void restore_nodes(Fs *fs)
{
    FsState *s = fs->state;
    Marks small = { g_byte_array_new() }, large = { g_byte_array_new() };
    uint32_t end = MIN(s->head->nodes, STATE_NODES);
    find_mounts(fs);
    for (uint32_t i = 1; i < end; i++) /* the first is the root, which is there */
        restore_node(fs, i);
    fs_slots_restored(&fs->nodes);
    for (uint32_t i = 1; i < end; i++) {
        FsNode *n = fs->nodes.items[i];
        if (!n)
            continue;
        hang_below(fs, n, s->nodes[i].way);
        mark(&small, &large, s->nodes[i].way);
        mark(&small, &large, s->nodes[i].next);
        s->files++;
    }
    free_others(&s->small_cells, &small);
    free_others(&s->large_cells, &large);
    cut_rings(fs);
    for (unsigned rounds = 0; rounds < 3; rounds++)
        for (uint32_t i = 1; i < end; i++)
            if (fs->nodes.items[i] && s->nodes[i].next)
                settle_move(fs, fs->nodes.items[i]);
    for (uint32_t i = 1; i < end; i++)
        s->nodes[i].next = 0;
}

/* ---- Handles --------------------------------------------------------------------------- */

static void restore_handles(Fs *fs)
{
    FsState *s = fs->state;
    uint32_t end = MIN(s->head->handles, STATE_HANDLES);
    for (uint32_t i = 0; i < end; i++) {
        StateHandle *r = &s->handles[i];
        FsNode *node = r->flags & STATE_LIVE ? fs_slots_find(&fs->nodes, r->node) : NULL;
        bool dir = r->flags & STATE_DIR;
        if (!node || dir != S_ISDIR(node->type)) {
            r->flags = 0;
            fs_slots_restore(&fs->handles, i, r->generation + 1, NULL);
            continue;
        }
        FsHandle *h = g_new0(FsHandle, 1);
        *h = (FsHandle){ .id = (uint64_t)r->generation << 32 | (i + 1),
                         .node = node,
                         .fd = -1,
                         .flags = r->open_flags,
                         .users = 1,
                         .dir = dir };
        node->users++;
        node->handles++;
        s->open++;
        fs_slots_restore(&fs->handles, i, r->generation, h);
    }
    fs_slots_restored(&fs->handles);
}

void fs_drop_unknown(Fs *fs)
{
    for (uint32_t i = 0;
         fs->state && i < MIN(fs->state->head->handles, STATE_HANDLES) && i < fs->handles.size;
         i++) {
        const FsHandle *h = fs->handles.items[i];
        if (h && !(fs->state->handles[i].flags & STATE_KNOWN)) {
            fs_handle_release(fs, h->id, h->dir);
            fs->state->open--;
        }
    }
}

/* ---- What the keeper had ------------------------------------------------------------------ */

static bool give_node(Fs *fs, uint64_t id, int fd)
{
    FsKey key;
    struct stat st;
    FsNode *n = fs_slots_find(&fs->nodes, id);
    if (!n || n == fs->root || n->fd >= 0 || fs_stat_fd(fd, &st, &key) || key.ino != n->key.ino ||
        key.dev != n->key.dev)
        return false;
    n->fd = fd;
    n->keep = n->stored = true;
    fs_node_opened(fs, n);
    fs->closed -= !n->file_handle;
    return true;
}

static bool give_handle(Fs *fs, uint64_t id, int fd)
{
    FsHandle *h = fs_slots_find(&fs->handles, id);
    if (!h || h->fd >= 0)
        return false;
    h->fd = fd;
    h->stored = true;
    return true;
}

static bool give_lock(Fs *fs, uint64_t id, uint64_t owner, int fd)
{
    FsNode *n = fs_slots_find(&fs->nodes, id);
    if (!n || n == fs->root)
        return false;
    fs_locks_add(n, owner, fd);
    return true;
}

static void give_all(Fs *fs)
{
    char *name;
    while ((name = fdstore_left(fs->state->store)) != NULL) {
        uint64_t id = 0, owner = 0;
        int end = 0, fd = fdstore_take(fs->state->store, name);
        bool given = false;
        if (sscanf(name, "fsd.node-%" SCNx64 "%n", &id, &end) == 1 && !name[end])
            given = give_node(fs, id, fd);
        else if (sscanf(name, "fsd.handle-%" SCNx64 "%n", &id, &end) == 1 && !name[end])
            given = give_handle(fs, id, fd);
        else if (sscanf(name, "fsd.lock-%" SCNx64 "-%" SCNx64 "%n", &id, &owner, &end) == 2 &&
                 !name[end])
            given = give_lock(fs, id, owner, fd);
        if (!given) {
            close(fd);
            fdstore_remove(fs->state->store, name);
        }
        g_free(name);
    }
}

void fs_state_resume(Fs *fs)
{
    fs->state->head->life++;
    fs->state->resumed = true;
    restore_nodes(fs);
    restore_handles(fs);
    give_all(fs);
    pthread_mutex_lock(&fs->lock);
    for (uint32_t i = 0; i < fs->nodes.size; i++)
        if (fs->nodes.items[i] && fs->nodes.items[i] != fs->root)
            fs_node_drop(fs, fs->nodes.items[i]);
    pthread_mutex_unlock(&fs->lock);
    fs_watch_all(fs);
}

/* ---- What has happened already --------------------------------------------------------------- */

int fs_trace(Fs *fs, uint64_t node, const char *name, FsTrace *trace)
{
    FsUse use;
    FsKey key;
    struct stat st;
    int e = name ? fs_use_folder(fs, node, name, &use) : fs_use(fs, node, &use);
    if (e)
        return e;
    e = name ? fs_stat_at(use.fd, name, &st, &key) : fs_stat_fd(use.fd, &st, &key);
    fs_done(fs, &use);
    if (!e)
        *trace = (FsTrace){ .ino = st.st_ino,
                            .size = (uint64_t)st.st_size,
                            .type = st.st_mode & S_IFMT,
                            .changed = (int64_t)st.st_ctim.tv_sec * 1000000000 + st.st_ctim.tv_nsec,
                            .born = (int64_t)key.birth };
    return e;
}

bool fs_appends(Fs *fs, uint64_t handle, uint64_t *end)
{
    FsHandle *h;
    struct stat st;
    if (fs_handle_use(fs, handle, false, &h))
        return false;
    bool appends = (h->flags & O_APPEND) && !fstat(h->fd, &st);
    *end = appends ? (uint64_t)st.st_size : 0;
    fs_handle_done(fs, h);
    return appends;
}

/* How many of the file's bytes from there on are these, if none is another; -1: some are. */
static ssize_t same_bytes(int fd, const uint8_t *data, size_t size, uint64_t at)
{
    uint8_t is[16384];
    size_t done = 0;
    while (done < size) {
        ssize_t n = pread(fd, is, MIN(sizeof is, size - done), (off_t)(at + done));
        if (n <= 0)
            break;
        if (memcmp(is, data + done, (size_t)n))
            return -1;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

ssize_t fs_append_again(Fs *fs, uint64_t handle, const void *data, size_t size, uint64_t before)
{
    FsUse use;
    FsHandle *h;
    int e = fs_handle_use(fs, handle, false, &h);
    if (e)
        return e;
    e = fs_use(fs, h->node->id, &use);
    int fd = e ? e : fs_reopen(fs, use.fd, use.node->type, O_RDWR);
    ssize_t there = fd < 0 ? -1 : same_bytes(fd, data, size, before);
    if (there <= 0)
        there = -1;
    else if ((size_t)there < size) {
        ssize_t n = pwrite(fd, (const uint8_t *)data + there, size - (size_t)there,
                           (off_t)before + there);
        there += MAX(n, 0);
    }
    if (fd >= 0)
        close(fd);
    if (!e)
        fs_done(fs, &use);
    fs_handle_done(fs, h);
    return there;
}
