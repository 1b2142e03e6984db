/* SPDX-License-Identifier: MIT */
/* For the tests of qcow2 that go through all kinds of images: what there is, and making one. */
#pragma once

#include "block/driver.h"
#include "crypto/crypto.h"

#include <glib/gstdio.h>
#include <json-c/json.h>
#include <string.h>

typedef struct {
    const char *name, *create;
    bool backing, no_snapshots, no_packing, data_file, luks;
} Kind;

static const Kind kinds[] = {
    { .name = "plain", .create = "" },
    { .name = "v2", .create = "compat=0.10", .no_packing = false },
    { .name = "512", .create = "cluster_size=512" },
    { .name = "4k", .create = "cluster_size=4k" },
    { .name = "2m", .create = "cluster_size=2M" },
    { .name = "zstd", .create = "compression_type=zstd" },
    { .name = "lazy", .create = "lazy_refcounts=on" },
    { .name = "1bit", .create = "refcount_bits=1", .no_snapshots = true },
    { .name = "2bit", .create = "refcount_bits=2,cluster_size=4k", .no_snapshots = true },
    { .name = "8bit", .create = "refcount_bits=8,cluster_size=1k" },
    { .name = "64bit", .create = "refcount_bits=64" },
    { .name = "subclusters", .create = "extended_l2=on" },
    { .name = "subclusters-16k", .create = "extended_l2=on,cluster_size=16k" },
    { .name = "metadata", .create = "preallocation=metadata" },
    { .name = "falloc", .create = "preallocation=falloc,cluster_size=16k" },
    { .name = "full", .create = "preallocation=full" },
    { .name = "backing", .create = "", .backing = true },
    { .name = "backing-v2", .create = "compat=0.10", .backing = true },
    { .name = "backing-4k", .create = "cluster_size=4k", .backing = true },
    { .name = "backing-subclusters", .create = "extended_l2=on", .backing = true },
    { .name = "data-file", .create = "data_file=%s.data", .no_snapshots = true, .no_packing = true, .data_file = true },
    { .name = "data-file-raw", .create = "data_file=%s.data,data_file_raw=on", .no_snapshots = true, .no_packing = true,
      .data_file = true },
#define LUKS "encrypt.format=luks,encrypt.key-secret=s0,encrypt.iter-time=1"
#define LUKS_KIND .no_packing = true, .luks = true
    { .name = "luks", .create = LUKS, LUKS_KIND },
    { .name = "luks-v2", .create = LUKS ",compat=0.10", LUKS_KIND },
    { .name = "luks-512", .create = LUKS ",cluster_size=512,encrypt.cipher-mode=cbc,encrypt.ivgen-alg=essiv", LUKS_KIND },
    { .name = "luks-backing", .create = LUKS ",cluster_size=4k,encrypt.cipher-alg=aes-128", .backing = true, LUKS_KIND },
    { .name = "luks-subclusters", .create = LUKS ",extended_l2=on", .backing = true, LUKS_KIND },
    { .name = "luks-metadata", .create = LUKS ",preallocation=metadata", LUKS_KIND },
    { .name = "luks-subclusters-full", .create = LUKS ",extended_l2=on,preallocation=full", LUKS_KIND },
    { .name = "luks-data-file", .create = LUKS ",data_file=%s.data", .no_snapshots = true, .data_file = true, LUKS_KIND },
};

/* qemu-img's words for the image. */
#define OBJECT "--object secret,id=s0,data=hunter2"
static inline char *image_words(const Kind *kind, const char *file)
{
    if (!kind->luks)
        return g_strdup(file);
    return g_strdup_printf(OBJECT " --image-opts driver=qcow2,encrypt.key-secret=s0,file.filename=%s", file);
}

static inline void run(const char *fmt, ...) G_GNUC_PRINTF(1, 2);
static inline void run(const char *fmt, ...)
{
    va_list ap;
    int status;
    g_autofree char *out = NULL, *err = NULL;

    va_start(ap, fmt);
    g_autofree char *command = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    g_assert_true(g_spawn_command_line_sync(command, &out, &err, &status, NULL));
    if (status)
        g_error("%s: status %d\n%s%s", command, status, out, err);
}

/* Makes an image of that kind called file; base (a raw file's name beside it, NULL: none) is what it is based on. */
static inline void kind_create(const Kind *kind, const char *file, uint64_t size, const char *base,
                               const CryptoObjects *secrets)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GString) text = g_string_new(kind->create);

    g_string_replace(text, "%s", file, 0);
    struct json_object *options = block_options_parse(text->str, NULL, &error);
    g_assert_no_error(error);
    json_object_object_add(options, "filename", json_object_new_string(file));
    json_object_object_add(options, "size", json_object_new_int64((int64_t)size));
    if (base) {
        json_object_object_add(options, "backing_file", json_object_new_string(base));
        json_object_object_add(options, "backing_fmt", json_object_new_string("raw"));
    }
    BlockGraph *graph = block_graph_new();
    block_graph_set_objects(graph, secrets);
    block_create(graph, "qcow2", options, &error);
    g_assert_no_error(error);
    block_graph_free(graph);
    json_object_put(options);
}

static inline CryptoObjects *kind_secrets(void)
{
    g_autoptr(GError) error = NULL;
    CryptoObjects *secrets = crypto_objects_new();

    crypto_objects_add(secrets, "secret,id=s0,data=hunter2", &error);
    g_assert_no_error(error);
    return secrets;
}
