/* SPDX-License-Identifier: MIT */
/*
 * The table of nodes. A node is a file that the guest knows of: it lives while the guest's lookups
 * are not all forgotten, something of ours uses it, or a node below needs its name to be found
 * again.
 *
 *   open    fd is an O_PATH descriptor of the file
 *   closed  too many were open; way.c opens it again when it is used, by a file handle or by its
 * folder and name
 *
 * Open ones that nobody uses right now stand in a list, the one used longest ago first, and are
 * closed from there. Without file handles a node is closed only when its name is seen to lead back
 * to it, and a folder only after all that is known in it.
 */
#include "fs/fs_priv.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

static guint key_hash(gconstpointer p)
{
    const FsKey *k = p;
    uint64_t h = (k->ino ^ k->dev << 40 ^ k->mount << 20) * UINT64_C(0x9e3779b97f4a7c15);
    return (guint)(h >> 32);
}

static gboolean key_equal(gconstpointer a, gconstpointer b)
{
    const FsKey *x = a, *y = b;
    return x->ino == y->ino && x->dev == y->dev && x->mount == y->mount && x->birth == y->birth;
}

/* ---- Which ones may be closed ------------------------------------------------------ */

static bool listed(const Fs *fs, const FsNode *n)
{
    return n->older || n->newer || fs->oldest == n;
}

static void unlist(Fs *fs, FsNode *n)
{
    if (!listed(fs, n))
        return;
    *(n->older ? &n->older->newer : &fs->oldest) = n->newer;
    *(n->newer ? &n->newer->older : &fs->newest) = n->older;
    n->older = n->newer = NULL;
}

static void list(Fs *fs, FsNode *n)
{
    if (n->fd < 0 || n->pins || n->keep || n->open_below || listed(fs, n))
        return;
    n->older = fs->newest;
    *(fs->newest ? &fs->newest->newer : &fs->oldest) = n;
    fs->newest = n;
}

/* A parent is closed after those below it. */
static void count_below(Fs *fs, FsNode *parent, int change)
{
    if (!parent)
        return;
    parent->open_below += (unsigned)change;
    if (parent->open_below)
        unlist(fs, parent);
    else
        list(fs, parent);
}

void fs_node_opened(Fs *fs, FsNode *n)
{
    fs->open_fds++;
    count_below(fs, n->parent, 1);
}

static void close_fd(Fs *fs, FsNode *n)
{
    close(n->fd);
    n->fd = -1;
    fs->open_fds--;
    count_below(fs, n->parent, -1);
}

/* The oldest node's name may lead elsewhere by now; looked at without the lock. */
static bool name_leads_back(Fs *fs, FsNode *n)
{
    FsKey key;
    struct stat st;
    FsNode *parent = n->parent;
    if (!parent || parent->fd < 0)
        return false;
    int at = parent->fd;
    g_autofree char *name = g_strdup(n->name);
    parent->users++;
    parent->pins++;
    pthread_mutex_unlock(&fs->lock);
    bool same = !fs_stat_at(at, name, &st, &key) && key_equal(&key, &n->key);
    pthread_mutex_lock(&fs->lock);
    parent->pins--;
    list(fs, parent);
    fs_node_drop(fs, parent);
    return same;
}

void fs_evict(Fs *fs)
{
    /* A few at a time: all who open something come by here. */
    for (unsigned tries = 0; tries < 8 && fs->open_fds > fs->max_fds && fs->oldest; tries++) {
        FsNode *n = fs->oldest;
        unlist(fs, n);
        n->users++;
        bool back = n->file_handle || name_leads_back(fs, n);
        if (back && !n->pins && !n->open_below && n->fd >= 0) {
            close_fd(fs, n);
            fs->closed += !n->file_handle;
        } else
            list(fs, n); /* as the newest: its turn comes again */
        fs_node_drop(fs, n);
    }
}

/* ---- Lives ----------------------------------------------------------------------------- */

void fs_node_drop(Fs *fs, FsNode *n)
{
    for (FsNode *parent; n; n = parent) { /* a chain of folders may go */
        parent = NULL;
        if (--n->users || n->lookups || n == fs->root)
            return;
        unlist(fs, n);
        if (n->watched)
            fs_watch_drop(fs, n);
        if (n->hashed)
            g_hash_table_remove(fs->by_key, &n->key);
        fs_slots_remove(&fs->nodes, n->id);
        fs_locks_clear(fs, n);
        fs_state_gone(fs, n);
        if (n->fd >= 0)
            close_fd(fs, n);
        else if (!n->file_handle)
            fs->closed--;
        parent = n->parent;
        g_free(n->file_handle);
        g_free(n->name);
        g_free(n);
    }
}

void fs_forget(Fs *fs, uint64_t id, uint64_t count)
{
    pthread_mutex_lock(&fs->lock);
    FsNode *n = fs_slots_find(&fs->nodes, id);
    if (n && n != fs->root) {
        n->users++;
        n->lookups -= MIN(n->lookups, count);
        fs_state_lookups(fs, n);
        fs_node_drop(fs, n);
    }
    pthread_mutex_unlock(&fs->lock);
}

int fs_use(Fs *fs, uint64_t id, FsUse *use)
{
    pthread_mutex_lock(&fs->lock);
    FsNode *n = fs_slots_find(&fs->nodes, id);
    if (!n) {
        pthread_mutex_unlock(&fs->lock);
        return -ESTALE;
    }
    n->users++;
    n->pins++;
    unlist(fs, n);
    int e = n->fd < 0 ? fs_way_open(fs, n) : 0; /* gives the lock up and takes it again */
    fs_evict(fs);
    if (e) {
        n->pins--;
        fs_node_drop(fs, n);
    }
    *use = (FsUse){ n, e ? -1 : n->fd };
    pthread_mutex_unlock(&fs->lock);
    return e;
}

/* What a component may be. The kernel's own rules hold for the rest. */
static int check_name(const char *name)
{
    if (!*name)
        return -ENOENT;
    if (!strcmp(name, ".") || !strcmp(name, "..") || strchr(name, '/'))
        return -EINVAL;
    return 0;
}

int fs_use_folder(Fs *fs, uint64_t id, const char *name, FsUse *use)
{
    int e = check_name(name);
    if (e || (e = fs_use(fs, id, use)))
        return e;
    if (S_ISDIR(use->node->type))
        return 0;
    fs_done(fs, use);
    return -ENOTDIR;
}

void fs_done(Fs *fs, FsUse *use)
{
    pthread_mutex_lock(&fs->lock);
    use->node->pins--;
    list(fs, use->node);
    fs_node_drop(fs, use->node);
    pthread_mutex_unlock(&fs->lock);
    use->node = NULL;
}

/* ---- Entering ----------------------------------------------------------------------------- */

static void set_name(Fs *fs, FsNode *n, FsNode *parent, const char *name)
{
    if (n->file_handle || n == fs->root || (n->parent == parent && !strcmp(n->name, name)))
        return;
    for (FsNode *p = parent; p; p = p->parent)
        if (p == n)
            return; /* folders changed places meanwhile: a chain must end */
    FsNode *old = n->parent;
    parent->users++;
    n->parent = parent;
    if (n->fd >= 0) {
        count_below(fs, parent, 1);
        count_below(fs, old, -1);
    }
    g_free(n->name);
    n->name = g_strdup(name);
    fs_state_way(fs, n);
    if (old)
        fs_node_drop(fs, old);
}

static FsNode *make_node(Fs *fs, const FsKey *key, mode_t mode, int fd, FsFileHandle *file_handle)
{
    FsNode *n = g_new0(FsNode, 1);
    n->id = fs_slots_add(&fs->nodes, n);
    if (!n->id) {
        g_free(n);
        return NULL;
    }
    n->key = *key;
    n->fd = fd;
    n->type = mode & S_IFMT;
    n->file_handle = file_handle;
    fs->open_fds++;
    /* An older node of that key is of a file that is gone, whose number was given again. */
    FsNode *old = g_hash_table_lookup(fs->by_key, key);
    if (old) {
        g_hash_table_remove(fs->by_key, key);
        old->hashed = false;
    }
    n->hashed = true;
    fs_state_mount(fs, key, fd);
    g_hash_table_insert(fs->by_key, &n->key, n);
    return n;
}

/* A node with that key is of that file, as its number cannot be given again while it is open; by
   file handle that must be looked at, and by name alone it must be taken on trust. */
static bool same_file(const FsNode *n, const FsFileHandle *file_handle, mode_t type)
{
    if (n->type != type)
        return false;
    return n->fd >= 0 || !n->file_handle || fs_way_equal(n->file_handle, file_handle);
}

int fs_node_enter(Fs *fs, FsNode *parent, const char *name, int fd, FsEntry *entry)
{
    FsKey key;
    int e = fs_stat_fd(fd, &entry->attr, &key);
    if (e) {
        close(fd);
        return e;
    }
    mode_t type = entry->attr.st_mode & S_IFMT;
    FsFileHandle *file_handle = fs_way_handle(fs, fd, &key, type);
    pthread_mutex_lock(&fs->lock);
    FsNode *n = g_hash_table_lookup(fs->by_key, &key);
    bool made = !n || !same_file(n, file_handle, type);
    if (!made) {
        if (n->fd < 0) {
            n->fd = fd;
            fd = -1;
            fs_node_opened(fs, n);
            fs->closed -= !n->file_handle;
        }
        g_free(file_handle);
        unlist(fs, n);
    } else {
        n = make_node(fs, &key, type, fd, file_handle);
        if (!n) {
            pthread_mutex_unlock(&fs->lock);
            close(fd);
            g_free(file_handle);
            return -ENFILE;
        }
        fd = -1;
    }
    n->users++;
    n->lookups++;
    if (name)
        set_name(fs, n, parent, name);
    else if (!n->file_handle)
        n->keep = !n->parent;
    if (name)
        fs_state_found(fs, n);
    else
        n->lost = parent != NULL;
    if (made)
        fs_state_node(fs, n);
    else
        fs_state_lookups(fs, n);
    list(fs, n);
    entry->node = n->id;
    entry->submount = fs->o.submounts && parent &&
                      (key.mount != parent->key.mount || key.dev != parent->key.dev);
    fs_evict(fs);
    fs_node_drop(fs, n);
    pthread_mutex_unlock(&fs->lock);
    if (fd >= 0)
        close(fd);
    if (made && fs->watch && S_ISDIR(type))
        fs_watch_folder(fs, entry->node);
    fs_to_guest(fs, &entry->attr);
    return 0;
}

/* ---- Names that change --------------------------------------------------------------------- */

/* The node of that key, with one more user; NULL: not known. */
static FsNode *hold(Fs *fs, const FsKey *key)
{
    pthread_mutex_lock(&fs->lock);
    FsNode *n = g_hash_table_lookup(fs->by_key, key);
    if (n)
        n->users++;
    pthread_mutex_unlock(&fs->lock);
    return n;
}

/* What a restart would lose: an open file with its last name, or a file known by other names, too,
   with the one that we know. */
static bool keeper_needs(Fs *fs, FsNode *n, const FsNode *folder, const char *name,
                         const struct stat *st, bool *last)
{
    *last = S_ISDIR(st->st_mode) || st->st_nlink == 1;
    bool ours = !n->file_handle && n->parent == folder && !strcmp(n->name, name);
    if (!fs->state || (!*last && !ours))
        return false;
    if (*last || n->handles || n->lookups > 1) {
        n->lost = true; /* who opens it from now on sees to it himself */
        fs_state_lost(fs, n);
    }
    return n->handles || (!*last && n->lookups > 1);
}

static void note(uint64_t *noted, const struct stat *st)
{
    atomic_signal_fence(memory_order_seq_cst); /* what follows may be the last that we do */
    if (noted)
        *(volatile uint64_t *)noted = st->st_ino + 1;
    atomic_signal_fence(memory_order_seq_cst);
}

uint64_t fs_before_unlink(Fs *fs, FsUse *folder, const char *name, uint64_t *noted)
{
    FsKey key;
    struct stat st;
    FsUse use;
    pthread_mutex_lock(&fs->lock);
    bool some = fs->closed > 0 || fs->state;
    pthread_mutex_unlock(&fs->lock);
    if (!some || fs_stat_at(folder->fd, name, &st, &key))
        return 0;
    note(noted, &st);
    bool last;
    pthread_mutex_lock(&fs->lock);
    FsNode *n = g_hash_table_lookup(fs->by_key, &key);
    bool closed = n && n->fd < 0 && !n->file_handle;
    bool store = n && keeper_needs(fs, n, folder->node, name, &st, &last);
    uint64_t id = n ? n->id : 0;
    bool lost = n && n->lost;
    pthread_mutex_unlock(&fs->lock);
    if ((!closed && !store) || fs_use(fs, id, &use))
        return lost ? id : 0;
    pthread_mutex_lock(&fs->lock);
    use.node->keep |= closed;
    pthread_mutex_unlock(&fs->lock);
    if (store)
        fs_state_keep_node(fs, use.node, use.fd);
    if (store && fs_elsewhere(fs, use.node))
        fs_handles_keep(fs, use.node, 0);
    fs_done(fs, &use);
    return lost ? id : 0;
}

void fs_after_unlink(Fs *fs, uint64_t id, bool failed)
{
    if (!id || !failed)
        return;
    pthread_mutex_lock(&fs->lock);
    FsNode *n = fs_slots_find(&fs->nodes, id);
    if (n)
        fs_state_found(fs, n);
    pthread_mutex_unlock(&fs->lock);
}

uint64_t fs_before_rename(Fs *fs, FsUse *from, const char *name, FsUse *to, const char *new_name,
                          uint64_t *noted)
{
    FsKey key;
    struct stat st;
    if (!fs->state || fs_stat_at(from->fd, name, &st, &key))
        return 0;
    note(noted, &st);
    if (fs->use_file_handles)
        return 0;
    FsNode *n = hold(fs, &key);
    if (!n)
        return 0;
    pthread_mutex_lock(&fs->lock);
    uint64_t id = n->id;
    fs_state_moving(fs, n, to->node, new_name);
    fs_node_drop(fs, n);
    pthread_mutex_unlock(&fs->lock);
    return id;
}

void fs_after_rename(Fs *fs, uint64_t id, FsUse *folder, const char *name, bool failed)
{
    FsKey key;
    struct stat st;
    /* While few are open none will be closed soon; one whose name is not known by then stays open.
     */
    pthread_mutex_lock(&fs->lock);
    bool few = !fs->closed && fs->open_fds < fs->max_fds / 2;
    FsNode *n = id ? fs_slots_find(&fs->nodes, id) : NULL;
    if (n && failed)
        fs_state_moving(fs, n, NULL, NULL);
    pthread_mutex_unlock(&fs->lock);
    if (failed || fs->use_file_handles || (!n && (few || fs->state)))
        return;
    if (!n && fs_stat_at(folder->fd, name, &st, &key))
        return;
    pthread_mutex_lock(&fs->lock);
    n = n ? fs_slots_find(&fs->nodes, id) : g_hash_table_lookup(fs->by_key, &key);
    if (n) {
        n->users++;
        set_name(fs, n, folder->node, name);
        fs_state_moving(fs, n, NULL, NULL);
        fs_node_drop(fs, n);
    }
    pthread_mutex_unlock(&fs->lock);
}

/* ---- All of them ----------------------------------------------------------------------------- */

void fs_nodes_init(Fs *fs)
{
    fs->by_key = g_hash_table_new(key_hash, key_equal);
}

void fs_nodes_clear(Fs *fs, bool all)
{
    for (uint32_t i = 0; i < fs->nodes.size; i++) {
        FsNode *n = fs->nodes.items[i];
        if (!n || n == fs->root)
            continue;
        n->users++; /* those above go when those below have */
        n->lookups = 0;
        fs_node_drop(fs, n);
    }
    if (!all)
        return;
    if (fs->root) {
        FsNode *root = fs->root;
        fs->root = NULL;
        root->users = 1;
        root->lookups = 0;
        fs_node_drop(fs, root);
    }
    g_hash_table_destroy(fs->by_key);
    fs_slots_clear(&fs->nodes);
}
