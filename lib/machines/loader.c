/* SPDX-License-Identifier: MIT */
/*
 * -device loader: bytes put into memory at each reset, and CPUs started at addresses, as QEMU's manual
 * has it under "Generic Loader":
 *
 *   loader,addr=A,data=V,data-len=N[,data-be=on][,cpu-num=C]   N bytes (1 to 8) of V at A
 *   loader,file=F[,addr=A][,force-raw=on][,cpu-num=C]          an ELF file or image, or raw bytes at A
 *   loader,addr=A,cpu-num=C                                    CPU C starts at A
 *
 * With file or data and cpu-num, the CPU starts at the file's entry, or at the data. CPUs start in the
 * most privileged mode. Where loads overlap, the last one wins.
 */
#include "machines/machine_priv.h"

#include "base/bytes.h"
#include "base/error.h"
#include "base/option.h"

#include <inttypes.h>
#include <string.h>

typedef struct {
    LoadImage *image; /* NULL: data */
    uint64_t addr;    /* of what is not placed by itself */
    uint8_t data[8];
    uint64_t len; /* of data; 0: nothing is loaded */
} MachineLoader;

static void loader_free(gpointer p)
{
    MachineLoader *l = p;
    g_clear_pointer(&l->image, load_image_free);
    g_free(l);
}

void machine_loaders_init(Machine *m)
{
    m->loaders = g_ptr_array_new_with_free_func(loader_free);
    m->starts = g_array_new(FALSE, FALSE, sizeof(MachineCpuStart));
}

void machine_loaders_clear(Machine *m)
{
    g_ptr_array_unref(m->loaders);
    g_array_unref(m->starts);
}

/* The file as one piece, whatever is in it. */
static LoadImage *raw_image(const char *path, GError **error)
{
    g_autoptr(GBytes) bytes = load_read(path, LOAD_MAX, error);
    if (!bytes)
        return NULL;
    LoadImage *image = g_new0(LoadImage, 1);
    image->name = g_strdup(path);
    image->segments = g_new0(LoadSegment, 1);
    image->count = 1;
    image->segments[0].mem_size = image->mem_size = g_bytes_get_size(bytes);
    image->segments[0].data = g_steal_pointer(&bytes);
    return image;
}

static bool parse_file(MachineLoader *l, const char *file, bool raw, bool has_addr, GError **error)
{
    l->image = raw ? raw_image(file, error) : load_image_file(file, error);
    if (!l->image)
        return false;
    if (!l->image->placed && !has_addr)
        return fail_usage(error, "%s does not say where it goes: give addr=", file);
    return true;
}

static bool parse_data(MachineLoader *l, uint64_t data, uint64_t len, bool big, GError **error)
{
    if (!len)
        return fail_usage(error, "data= needs data-len=, from 1 to 8");
    if (len < 8 && data >> (8 * len))
        return fail_usage(error, "data=%#" PRIx64 " has more than %" PRIu64 " bytes", data, len);
    l->len = len;
    for (uint64_t i = 0; i < len; i++)
        l->data[big ? len - 1 - i : i] = (uint8_t)(data >> (8 * i));
    return true;
}

static bool parse(Machine *m, MachineLoader *l, Options *options, GError **error)
{
    uint64_t data = 0, len = 0, cpu = 0;
    bool raw = false, big = false;
    const char *file = options_get(options, "file");
    bool has_addr = options_has(options, "addr"), has_data = options_has(options, "data");
    bool has_cpu = options_has(options, "cpu-num");
    options_get(options, "id");
    if (!options_get_number(options, "addr", 0, UINT64_MAX, &l->addr, error) ||
        !options_get_number(options, "data", 0, UINT64_MAX, &data, error) ||
        !options_get_number(options, "data-len", 1, 8, &len, error) ||
        !options_get_bool(options, "data-be", &big, error) ||
        !options_get_bool(options, "force-raw", &raw, error) ||
        !options_get_number(options, "cpu-num", 0, UINT32_MAX, &cpu, error) ||
        !options_done(options, error))
        return false;
    if (has_cpu && cpu >= m->options->smp.cpus)
        return fail_usage(error, "Specified boot CPU#%" PRIu64 " is nonexistent", cpu);
    if (file && (has_data || len || big))
        return fail_usage(error, "Specifying a file is not supported when loading memory values");
    if ((has_data || len) && !has_addr)
        return fail_usage(error, "data= needs addr=");
    if (!file && !has_data && !(has_addr && has_cpu))
        return fail_usage(error, "give file=, or addr= with data= and data-len=, or with cpu-num=");
    if (file ? !parse_file(l, file, raw, has_addr, error)
             : (has_data || len) && !parse_data(l, data, len, big, error))
        return false;
    if (has_cpu) {
        MachineCpuStart start = {(unsigned)cpu, l->addr};
        if (l->image && l->image->placed)
            start.pc = l->image->entry;
        else if (l->image)
            start.pc = l->addr + l->image->entry;
        g_array_append_val(m->starts, start);
    }
    return true;
}

bool machine_add_loader(Machine *m, Options *options, GError **error)
{
    options_get(options, "driver");
    MachineLoader *l = g_new0(MachineLoader, 1);
    if (!parse(m, l, options, error)) {
        loader_free(l);
        return false;
    }
    g_ptr_array_add(m->loaders, l);
    return true;
}

void machine_loader_help(GString *s)
{
    g_string_append(s, "loader options:\n"
                    "  file=<str> - an ELF file, a boot image or raw bytes\n"
                    "  force-raw=<bool> - the file is raw whatever is in it\n"
                    "  addr=<uint64> - where it goes\n"
                    "  data=<uint64> - what to put there in place of a file\n"
                    "  data-len=<uint8> - how many bytes of it, 1 to 8\n"
                    "  data-be=<bool> - most significant byte first\n"
                    "  cpu-num=<uint32> - the CPU that starts there\n");
}

bool machine_loaders_place(Machine *m, MachineEntry *entry, GError **error)
{
    for (guint i = 0; i < m->loaders->len; i++) {
        const MachineLoader *l = g_ptr_array_index(m->loaders, i);
        bool ok = l->image ? machine_load_image(m, l->image, l->addr, error)
                           : !l->len || bus_load(m->space, l->addr, l->data, l->len, error);
        if (!ok)
            return prefix(error, "-device loader");
    }
    entry->starts = (const MachineCpuStart *)(void *)m->starts->data;
    entry->start_count = m->starts->len;
    return true;
}
