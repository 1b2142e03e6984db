/* SPDX-License-Identifier: MIT */
/*
 * What outlives the process, written as it changes (state_priv.h says how it lies): numbers of nodes and handles, how often
 * nodes were looked up, ways to them, flags of handles. What no way leads back to goes to the keeper as a descriptor
 * before it becomes so: files whose last known name goes, locks, handles that could not be opened again.
 *
 * Writers hold Fs.lock, unless it says otherwise. Without a keeper all this is one comparison with NULL.
 */
#include "fs/state_priv.h"

#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

/* The order in which this thread writes is all that counts: who reads comes after its death. */
#define IN_ORDER() atomic_signal_fence(memory_order_seq_cst)

static uint32_t place_of(uint64_t id)
{
    return (uint32_t)id - 1;
}

StateName fs_state_name(const char *kind, uint64_t id)
{
    StateName name;
    snprintf(name.text, sizeof name.text, "fsd.%s-%" G_GINT64_MODIFIER "x", kind, id);
    return name;
}

StateName fs_state_lock_name(uint64_t id, uint64_t owner)
{
    StateName name;
    snprintf(name.text, sizeof name.text, "fsd.lock-%" G_GINT64_MODIFIER "x-%" G_GINT64_MODIFIER "x", id, owner);
    return name;
}

/* ---- Cells ------------------------------------------------------------------------- */

static bool take_cell(StateCells *cells, uint32_t *cell)
{
    if (cells->free->len) {
        *cell = g_array_index(cells->free, uint32_t, cells->free->len - 1);
        g_array_set_size(cells->free, cells->free->len - 1);
        return true;
    }
    if (cells->end == cells->most)
        return false;
    *cell = cells->end++;
    return true;
}

static void free_way(FsState *s, uint64_t way)
{
    uint32_t cell = state_way_cell(way);
    if (state_way_kind(way))
        g_array_append_val((state_way_length(way) > STATE_SMALL_ROOM ? &s->large_cells : &s->small_cells)->free, cell);
}

/* A new cell with that in it; 0 when there is no room, which makes it a node without a way. */
static uint64_t make_way(FsState *s, unsigned kind, uint64_t first, const void *bytes, size_t length)
{
    uint32_t cell;
    bool large = length > STATE_SMALL_ROOM;
    if (!length || length > STATE_LARGE_ROOM || !take_cell(large ? &s->large_cells : &s->small_cells, &cell))
        return 0;
    *(large ? &s->large[cell].first : &s->small[cell].first) = first;
    memcpy(large ? s->large[cell].bytes : s->small[cell].bytes, bytes, length);
    IN_ORDER();
    return state_way(kind, length, cell);
}

static uint64_t way_of(FsState *s, const FsNode *n)
{
    if (n->file_handle)
        return make_way(s, STATE_FILE_HANDLE, (uint64_t)(int64_t)n->file_handle->type, n->file_handle->bytes,
                        n->file_handle->size);
    return n->parent ? make_way(s, STATE_NAME, n->parent->id, n->name, strlen(n->name)) : 0;
}

/* ---- Mounts ----------------------------------------------------------------------------- */

/* Where fd is, below the root; NULL: not there. */
static char *path_below(const Fs *fs, int fd, char *path, size_t size)
{
    char root[4096];
    ssize_t n = readlinkat(AT_FDCWD, fs_path(fs, fd).text, path, size - 1);
    ssize_t m = readlinkat(AT_FDCWD, fs_path(fs, fs->root_fd).text, root, sizeof root - 1);
    if (n <= 0 || m <= 0 || (size_t)n == size - 1 || m > n || memcmp(path, root, (size_t)m))
        return NULL;
    path[n] = 0;
    for (path += m; *path == '/'; path++)
        ;
    return path;
}

void fs_state_mount(Fs *fs, const FsKey *key, int fd)
{
    char path[STATE_PATH + 4096];
    FsState *s = fs->state;
    unsigned i = 0;
    if (!s || key->mount == fs->root->key.mount)
        return;
    while (i < STATE_MOUNTS && s->head->mounts[i].used && s->mounts[i] != key->mount)
        i++;
    if (i == STATE_MOUNTS || s->head->mounts[i].used)
        return;
    StateMount *m = &s->head->mounts[i];
    const char *below = path_below(fs, fd, path, sizeof path);
    if (!below || strlen(below) >= sizeof m->path)
        return;
    m->dev = key->dev;
    m->ino = key->ino;
    strcpy(m->path, below);
    IN_ORDER();
    m->used = 1;
    s->mounts[i] = key->mount;
}

static uint64_t place_of_mount(const Fs *fs, uint64_t mount)
{
    if (mount == fs->root->key.mount)
        return 0;
    for (unsigned i = 0; i < STATE_MOUNTS && fs->state->head->mounts[i].used; i++)
        if (fs->state->mounts[i] == mount)
            return i + 1;
    return UINT64_MAX;
}

/* ---- Nodes --------------------------------------------------------------------------- */

static StateNode *record_of(const Fs *fs, const FsNode *n)
{
    return fs->state && n != fs->root && place_of(n->id) < STATE_NODES ? &fs->state->nodes[place_of(n->id)] : NULL;
}

static uint16_t node_flags(const FsNode *n)
{
    return STATE_LIVE | (n->lost ? STATE_LOST : 0);
}

void fs_state_node(Fs *fs, const FsNode *n)
{
    StateNode *r = record_of(fs, n);
    if (!r)
        return;
    r->generation = (uint32_t)(n->id >> 32);
    r->type = (uint16_t)n->type;
    r->key = n->key;
    r->key.mount = place_of_mount(fs, n->key.mount);
    r->lookups = n->lookups;
    r->way = way_of(fs->state, n);
    r->next = 0;
    if (place_of(n->id) >= fs->state->head->nodes)
        fs->state->head->nodes = place_of(n->id) + 1;
    atomic_store_explicit(&r->flags, node_flags(n), memory_order_release);
}

void fs_state_lookups(Fs *fs, const FsNode *n)
{
    StateNode *r = record_of(fs, n);
    if (r)
        atomic_store_explicit(&r->lookups, n->lookups, memory_order_release);
}

void fs_state_lost(Fs *fs, const FsNode *n)
{
    StateNode *r = record_of(fs, n);
    if (r)
        atomic_store_explicit(&r->flags, node_flags(n), memory_order_release);
}

void fs_state_way(Fs *fs, const FsNode *n)
{
    StateNode *r = record_of(fs, n);
    if (!r || !(r->flags & STATE_LIVE)) /* one that is just made is written when it is done */
        return;
    uint64_t old = r->way, next = r->next;
    atomic_store_explicit(&r->way, way_of(fs->state, n), memory_order_release);
    atomic_store_explicit(&r->next, 0, memory_order_release);
    free_way(fs->state, old);
    free_way(fs->state, next);
}

void fs_state_moving(Fs *fs, const FsNode *n, const FsNode *folder, const char *name)
{
    StateNode *r = record_of(fs, n);
    if (!r || n->file_handle)
        return;
    uint64_t old = r->next;
    uint64_t next = folder ? make_way(fs->state, STATE_NAME, folder->id, name, strlen(name)) : 0;
    atomic_store_explicit(&r->next, next, memory_order_release);
    free_way(fs->state, old);
}

void fs_state_gone(Fs *fs, FsNode *n)
{
    StateNode *r = record_of(fs, n);
    if (!r || !(r->flags & STATE_LIVE))
        return;
    uint64_t way = r->way, next = r->next;
    atomic_store_explicit(&r->flags, 0, memory_order_release);
    free_way(fs->state, way);
    free_way(fs->state, next);
    if (n->stored)
        fdstore_remove(fs->state->store, fs_state_name("node", n->id).text);
    n->stored = false;
}

/* Without the lock; n has a user. */
void fs_state_keep_node(Fs *fs, FsNode *n, int fd)
{
    if (!fs->state)
        return;
    pthread_mutex_lock(&fs->state->storing);
    pthread_mutex_lock(&fs->lock);
    bool need = !n->stored && fd >= 0;
    pthread_mutex_unlock(&fs->lock);
    if (need && !fdstore_put(fs->state->store, fs_state_name("node", n->id).text, fd)) {
        pthread_mutex_lock(&fs->lock);
        n->stored = true;
        pthread_mutex_unlock(&fs->lock);
    }
    pthread_mutex_unlock(&fs->state->storing);
}

void fs_state_found(Fs *fs, FsNode *n)
{
    if (!n->lost)
        return;
    n->lost = false;
    fs_state_lost(fs, n);
    if (n->stored && fs->state)
        fdstore_remove(fs->state->store, fs_state_name("node", n->id).text);
    n->stored = false;
}

/* ---- Handles ------------------------------------------------------------------------------ */

static StateHandle *handle_record(const Fs *fs, uint64_t id)
{
    return fs->state && place_of(id) < STATE_HANDLES ? &fs->state->handles[place_of(id)] : NULL;
}

void fs_state_handle(Fs *fs, const FsHandle *h)
{
    StateHandle *r = handle_record(fs, h->id);
    if (!r)
        return;
    r->generation = (uint32_t)(h->id >> 32);
    r->node = h->node->id;
    r->open_flags = h->flags;
    if (place_of(h->id) >= fs->state->head->handles)
        fs->state->head->handles = place_of(h->id) + 1;
    atomic_store_explicit(&r->flags, STATE_LIVE | (h->dir ? STATE_DIR : 0), memory_order_release);
}

void fs_state_handle_gone(Fs *fs, uint64_t id)
{
    StateHandle *r = handle_record(fs, id);
    if (r)
        atomic_store_explicit(&r->flags, 0, memory_order_release);
}

void fs_handle_known(Fs *fs, uint64_t id)
{
    StateHandle *r = handle_record(fs, id);
    if (!r)
        return;
    pthread_mutex_lock(&fs->lock);
    if ((r->flags & STATE_LIVE) && r->generation == id >> 32)
        atomic_store_explicit(&r->flags, r->flags | STATE_KNOWN, memory_order_release);
    pthread_mutex_unlock(&fs->lock);
}

/* Without the lock; h has a user. */
void fs_state_keep_handle(Fs *fs, FsHandle *h)
{
    if (!fs->state)
        return;
    pthread_mutex_lock(&fs->state->storing);
    if (!h->stored && h->fd >= 0)
        h->stored = !fdstore_put(fs->state->store, fs_state_name("handle", h->id).text, h->fd);
    pthread_mutex_unlock(&fs->state->storing);
}

void fs_state_drop_handle(Fs *fs, FsHandle *h)
{
    if (fs->state && h->stored)
        fdstore_remove(fs->state->store, fs_state_name("handle", h->id).text);
    h->stored = false;
}

bool fs_state_keep_lock(Fs *fs, uint64_t node, uint64_t owner, int fd)
{
    return fs->state && !fdstore_put(fs->state->store, fs_state_lock_name(node, owner).text, fd);
}

void fs_state_drop_lock(Fs *fs, uint64_t node, uint64_t owner)
{
    if (fs->state)
        fdstore_remove(fs->state->store, fs_state_lock_name(node, owner).text);
}

/* ---- The file -------------------------------------------------------------------------------- */

#define AT_NODES ((size_t)STATE_HEAD)
#define AT_HANDLES (AT_NODES + (size_t)STATE_NODES * sizeof(StateNode))
#define AT_SMALL (AT_HANDLES + (size_t)STATE_HANDLES * sizeof(StateHandle))
#define AT_LARGE (AT_SMALL + (size_t)STATE_NODES * sizeof(StateSmall))
#define AT_KEPT (AT_LARGE + (size_t)STATE_LARGE * sizeof(StateLarge))
#define ALL (AT_KEPT + FS_KEPT)

_Static_assert(sizeof(StateHead) <= STATE_HEAD && sizeof(StateNode) == 64 && sizeof(StateSmall) == 64, "as it lies");

static uint64_t options_of(const Fs *fs)
{
    return (uint64_t)fs->o.readonly | (uint64_t)fs->o.one_owner << 1 | (uint64_t)fs->o.writeback << 2 |
           (uint64_t)fs->use_file_handles << 3 | (uint64_t)fs->o.direct_io << 4;
}

/* NULL when it fits, else what does not. */
static const char *misfit(const Fs *fs, const StateHead *h)
{
    const FsKey *root = &fs->root->key;
    if (h->magic != STATE_MAGIC || h->version != STATE_VERSION || h->head_size != sizeof *h ||
        h->node_size != sizeof(StateNode) || h->handle_size != sizeof(StateHandle))
        return "it is of another version of this program";
    if (h->root.dev != root->dev || h->root.ino != root->ino || h->root.birth != root->birth)
        return "it is of another directory";
    return h->options != options_of(fs) || h->uid != fs->uid ? "it was made with other options" : NULL;
}

static bool map_it(FsState *s, int fd, bool made, GError **error)
{
    struct rlimit limit;
    if (sizeof(size_t) < 8)
        return fail(error, "no room for it in 32 bits");
    if (made && (getrlimit(RLIMIT_FSIZE, &limit) || limit.rlim_cur < ALL))
        return fail(error, "the limit of file sizes is too low for it");
    if (made && ftruncate(fd, (off_t)ALL))
        return fail_errno(error, errno, "memory for it");
    s->map = mmap(NULL, ALL, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (s->map == MAP_FAILED) {
        s->map = NULL;
        return fail_errno(error, errno, "memory for it");
    }
    madvise(s->map, ALL, MADV_DONTDUMP);
    s->head = (void *)s->map;
    s->nodes = (void *)(s->map + AT_NODES);
    s->handles = (void *)(s->map + AT_HANDLES);
    s->small = (void *)(s->map + AT_SMALL);
    s->large = (void *)(s->map + AT_LARGE);
    s->kept = s->map + AT_KEPT;
    return true;
}

static void write_head(const Fs *fs, StateHead *h)
{
    *h = (StateHead){ .version = STATE_VERSION, .head_size = sizeof *h, .node_size = sizeof(StateNode),
                      .handle_size = sizeof(StateHandle), .options = options_of(fs), .uid = fs->uid,
                      .root = fs->root->key };
    IN_ORDER();
    h->magic = STATE_MAGIC;
}

static void forget_all(FdStore *store)
{
    char *name;
    while ((name = fdstore_left(store)) != NULL) {
        close(fdstore_take(store, name));
        fdstore_remove(store, name);
        g_free(name);
    }
}

void fs_state_free(FsState *s)
{
    if (!s)
        return;
    if (s->map)
        munmap(s->map, ALL);
    g_array_unref(s->small_cells.free);
    g_array_unref(s->large_cells.free);
    pthread_mutex_destroy(&s->storing);
    g_free(s);
}

static FsState *state_new(FdStore *store)
{
    FsState *s = g_new0(FsState, 1);
    s->store = store;
    s->small_cells = (StateCells){ g_array_new(FALSE, FALSE, sizeof(uint32_t)), 0, STATE_NODES };
    s->large_cells = (StateCells){ g_array_new(FALSE, FALSE, sizeof(uint32_t)), 0, STATE_LARGE };
    pthread_mutex_init(&s->storing, NULL);
    return s;
}

/* What came back, or NULL and why not. */
static FsState *take_back(Fs *fs, FdStore *store, int fd, char **forgot)
{
    struct stat st;
    g_autoptr(GError) error = NULL;
    FsState *s = state_new(store);
    const char *why = NULL;
    if (fstat(fd, &st) || !S_ISREG(st.st_mode) || (uint64_t)st.st_size != ALL)
        why = "it is of another version of this program";
    else if (!map_it(s, fd, false, &error))
        why = error->message;
    else
        why = misfit(fs, s->head);
    if (!why)
        return s;
    *forgot = g_strdup(why);
    fs_state_free(s);
    return NULL;
}

bool fs_keep(Fs *fs, FdStore *store, char **forgot, GError **error)
{
    int fd = fdstore_take(store, "fsd.state");
    *forgot = NULL;
    fs->state = fd >= 0 ? take_back(fs, store, fd, forgot) : NULL;
    if (fs->state) {
        close(fd);
        fs_state_resume(fs);
        return true;
    }
    if (fd >= 0) {
        close(fd);
        fdstore_remove(store, "fsd.state");
    }
    forget_all(store);
    fd = memfd_create("fsd-state", MFD_CLOEXEC);
    if (fd < 0)
        return fail_errno(error, errno, "memory for it");
    FsState *s = state_new(store);
    bool good = map_it(s, fd, true, error);
    if (good) {
        write_head(fs, s->head);
        int e = fdstore_put(store, "fsd.state", fd);
        good = !e || fail_errno(error, -e, "whoever started us does not take it");
    }
    close(fd);
    if (good)
        fs->state = s;
    else
        fs_state_free(s);
    return good;
}

void *fs_kept(Fs *fs)
{
    return fs->state ? fs->state->kept : NULL;
}

bool fs_resumed(const Fs *fs, unsigned *files, unsigned *open)
{
    if (!fs->state || !fs->state->resumed)
        return false;
    if (files)
        *files = fs->state->files;
    if (open)
        *open = fs->state->open;
    return true;
}
