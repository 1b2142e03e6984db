/* SPDX-License-Identifier: MIT */
/*
 * Objects by id, of all the kinds in objects.def. What scripts may look for in messages is worded
 * as QEMU does.
 */
#include "base/error.h"
#include "crypto/object_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static const struct {
    const char *name;
    const CryptoObjectKind *kind;
} kinds[] = {
#define OBJECT(name, symbol) { name, &symbol##_object },
#include "crypto/objects.def"
#undef OBJECT
};

typedef struct {
    char *id;
    const CryptoObjectKind *kind;
    void *object;
} Entry;

struct CryptoObjects {
    GPtrArray *all; /* of Entry */
};

static void entry_free(void *p)
{
    Entry *e = p;

    e->kind->unref(e->object);
    g_free(e->id);
    g_free(e);
}

CryptoObjects *crypto_objects_new(void)
{
    CryptoObjects *objects = g_new0(CryptoObjects, 1);

    objects->all = g_ptr_array_new_with_free_func(entry_free);
    return objects;
}

void crypto_objects_free(CryptoObjects *objects)
{
    if (!objects)
        return;
    g_ptr_array_unref(objects->all);
    g_free(objects);
}

static Entry *find(const CryptoObjects *objects, const char *id)
{
    for (unsigned i = 0; objects && i < objects->all->len; i++) {
        Entry *e = objects->all->pdata[i];
        if (!strcmp(e->id, id))
            return e;
    }
    return NULL;
}

void *crypto_object_find(const CryptoObjects *objects, const char *id,
                         const CryptoObjectKind **kind)
{
    const Entry *e = find(objects, id);

    *kind = e ? e->kind : NULL;
    return e ? e->object : NULL;
}

char **crypto_objects_folders(const CryptoObjects *objects)
{
    GPtrArray *folders = g_ptr_array_new();

    for (unsigned i = 0; i < objects->all->len; i++) {
        Entry *e = objects->all->pdata[i];
        char *folder = e->kind->folder ? e->kind->folder(e->object) : NULL;
        if (folder)
            g_ptr_array_add(folders, folder);
    }
    g_ptr_array_add(folders, NULL);
    return (char **)g_ptr_array_free(folders, false);
}

bool crypto_objects_remove(CryptoObjects *objects, const char *id)
{
    Entry *e = find(objects, id);

    return e && g_ptr_array_remove(objects->all, e);
}

static const CryptoObjectKind *kind_of(const char *name)
{
    for (size_t i = 0; name && i < G_N_ELEMENTS(kinds); i++)
        if (!strcmp(name, kinds[i].name))
            return kinds[i].kind;
    return NULL;
}

bool crypto_is_object(const char *text)
{
    g_autoptr(Options) o = options_parse(text, "qom-type", NULL);

    return o && kind_of(options_get(o, "qom-type"));
}

static bool good_id(const char *id)
{
    bool ok = g_ascii_isalpha(*id);

    for (; *id; id++)
        ok = ok && (g_ascii_isalnum(*id) || strchr("-._", *id));
    return ok;
}

bool crypto_objects_add_options(CryptoObjects *objects, Options *o, GError **error)
{
    const char *id = options_get(o, "id"), *name = options_get(o, "qom-type");
    const CryptoObjectKind *kind = kind_of(name);

    if (!kind)
        return fail_usage(error, "Parameter 'qom-type' does not accept value '%s'",
                          name ? name : "");
    if (!id)
        return fail_usage(error, "Parameter 'id' is missing");
    if (!good_id(id))
        return fail_usage(error, "Parameter 'id' expects an identifier\n"
                                 "Identifiers consist of letters, digits, '-', '.', '_', "
                                 "starting with a letter.");
    if (find(objects, id))
        return fail_usage(error, "attempt to add duplicate property '%s' to object", id);
    void *object = kind->make(objects, id, o, error);
    if (!object)
        return false;
    Entry *e = g_new0(Entry, 1);
    *e = (Entry){ g_strdup(id), kind, object };
    g_ptr_array_add(objects->all, e);
    return true;
}

bool crypto_objects_add(CryptoObjects *objects, const char *text, GError **error)
{
    g_autoptr(Options) o = options_parse(text, "qom-type", error);

    return o && crypto_objects_add_options(objects, o, error);
}

uint8_t *crypto_read_file(const char *file, size_t *len)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC), err = errno;
    uint8_t *out = fd < 0 ? NULL : g_malloc(CRYPTO_MAX_SECRET + 1);
    size_t at = 0;
    ssize_t n = fd < 0 ? -1 : 1;

    while (n > 0 && at <= CRYPTO_MAX_SECRET) {
        n = read(fd, out + at, CRYPTO_MAX_SECRET + 1 - at);
        err = errno;
        if (n < 0 && err == EINTR)
            n = 1;
        else if (n > 0)
            at += (size_t)n;
    }
    if (fd >= 0)
        close(fd);
    uint8_t *data = NULL;
    if (n >= 0 && at <= CRYPTO_MAX_SECRET) {
        data = g_malloc(at + 1);
        memcpy(data, out, at);
        data[at] = 0;
        *len = at;
    }
    if (out)
        crypto_wipe(out, at);
    g_free(out);
    errno = n < 0 ? err : EFBIG;
    return data;
}
