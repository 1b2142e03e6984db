/* SPDX-License-Identifier: MIT */
/*
 * Stands in for libFuzzer outside MODE=fuzz: runs every file of the folders and files
 * named as arguments through LLVMFuzzerTestOneInput, then, for each, a fixed set of
 * truncated and mutated versions. Each file is one TAP result: a crash ends the program,
 * which the reader of the TAP sees as a missing result. No randomness: a failure repeats.
 */
#include <glib.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MUTATIONS = 64 };

/* The input is copied to a block of its exact size, so that sanitizers see an overrun. */
static void run_one(const uint8_t *data, size_t size)
{
    uint8_t *exact = g_malloc(size ? size : 1);
    if (size)
        memcpy(exact, data, size);
    LLVMFuzzerTestOneInput(exact, size);
    g_free(exact);
}

static uint32_t next_random(uint32_t *state)
{
    uint32_t x = *state;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return *state = x;
}

static void mutate(uint8_t *data, size_t size, uint32_t *state)
{
    static const uint8_t edges[] = { 0x00, 0xff, 0x7f, 0x80, 0x01, 0x40 };
    for (unsigned n = 1 + next_random(state) % 4; n > 0; n--) {
        size_t at = next_random(state) % size;
        uint32_t r = next_random(state);
        if (r & 1)
            data[at] ^= (uint8_t)(1u << (r >> 8 & 7));
        else
            data[at] = edges[(r >> 8) % G_N_ELEMENTS(edges)];
    }
}

static void run_family(const uint8_t *data, size_t size)
{
    run_one(data, size);
    if (!size)
        return;
    /* all short truncations, then some spread over the rest */
    for (size_t cut = 0; cut < size && cut < 64; cut++)
        run_one(data, cut);
    for (unsigned i = 1; i < 32; i++)
        run_one(data, size * i / 32);
    uint32_t state = 0x9e3779b9u ^ (uint32_t)size;
    g_autofree uint8_t *copy = g_malloc(size);
    for (unsigned i = 0; i < MUTATIONS; i++) {
        memcpy(copy, data, size);
        mutate(copy, size, &state);
        run_one(copy, size);
    }
}

static void collect(const char *path, GPtrArray *files)
{
    GDir *dir = g_dir_open(path, 0, NULL);
    if (!dir) {
        g_ptr_array_add(files, g_strdup(path));
        return;
    }
    for (const char *name; (name = g_dir_read_name(dir));) {
        g_autofree char *inner = g_build_filename(path, name, NULL);
        collect(inner, files);
    }
    g_dir_close(dir);
}

static int by_name(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int main(int argc, char **argv)
{
    g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(g_free);
    int failed = 0;

    for (int i = 1; i < argc; i++)
        collect(argv[i], files);
    g_ptr_array_sort(files, by_name);
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("1..%u\n", files->len + 1);
    run_one((const uint8_t *)"", 0);
    printf("ok 1 - the empty input\n");
    for (unsigned i = 0; i < files->len; i++) {
        const char *path = files->pdata[i];
        g_autofree char *data = NULL;
        gsize size = 0;
        g_autoptr(GError) error = NULL;
        if (g_file_get_contents(path, &data, &size, &error)) {
            printf("# %s\n", path);
            run_family((const uint8_t *)data, size);
            printf("ok %u - %s\n", i + 2, path);
        } else {
            failed = 1;
            printf("not ok %u - %s\n", i + 2, error->message);
        }
    }
    return failed;
}
