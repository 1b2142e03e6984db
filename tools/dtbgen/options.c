/* SPDX-License-Identifier: MIT */
/* The command line: options of machines as vm-run has them, with one dash or two, and what to do
   with the tree. */
#include "dtbgen.h"

#include "base/error.h"
#include "base/option.h"

#include <string.h>

typedef enum { FLAG, TEXT, LIST } Kind;

typedef struct {
    const char *name;
    Kind kind;
    size_t offset;
    const char *arg;     /* of the help; NULL: it takes none */
    const char *summary; /* NULL: another name for one above */
} Option;

#define AT(field) offsetof(Dtbgen, field)

static const Option table[] = {
    { "M", LIST, AT(machine), "BOARD[,KEY=V]", "board and its properties (help: list; BOARD,help: properties)" },
    { "machine", LIST, AT(machine), "BOARD", NULL },
    { "arch", TEXT, AT(arch), "ISA", "of the guest, where several have such a board [riscv64]" },
    { "cpu", TEXT, AT(cpu), "MODEL[,KEY=V]", "CPU model and features (help: list)" },
    { "smp", LIST, AT(smp), "N", "CPUs: N or cpus=,sockets=,clusters=,cores=,threads=,maxcpus=" },
    { "m", LIST, AT(memory), "SIZE", "RAM, in MiB or with a suffix" },
    { "numa", LIST, AT(numa), "KIND,KEY=V,...", "nodes of memory and CPUs: node, dist, cpu" },
    { "object", LIST, AT(object), "KIND,id=ID", "memory-backend-ram,id=ID,size=SIZE for -numa and -M" },
    { "device", LIST, AT(device), "NAME[,KEY=V]", "a device; its back ends make no difference (help: list)" },
    { "kernel", TEXT, AT(kernel), "FILE", "what is booted, for addresses in /chosen" },
    { "initrd", TEXT, AT(initrd), "FILE", "initial RAM disk, whose place goes to /chosen" },
    { "append", TEXT, AT(append), "TEXT", "the kernel's command line" },
    { "bios", TEXT, AT(bios), "FILE|none", "firmware that runs before the kernel" },
    { "dtb", TEXT, AT(dtb), "FILE", "in place of the board's own tree; /chosen is filled in" },
    { "o", TEXT, AT(output), "FILE", "write there; else to standard output, if that is no terminal" },
    { "output", TEXT, AT(output), "FILE", NULL },
    { "dts", FLAG, AT(dts), NULL, "write it in source form" },
    { "merge", LIST, AT(merge), "OVERLAY", "apply this overlay; may be given again" },
    { "set", LIST, AT(set), "'/PATH PROP=VALUE'", "set a property: <1 0x2>, \"text\", [00 ff]" },
    { "delete", LIST, AT(delete), "'/PATH [PROP]'", "take a node with all below it, or a property, away" },
    { "check", FLAG, AT(check), NULL, "of FILE (or of what -merge and -set make): is it sound, and is there"
      " all that this machine has?" },
    { "diff", FLAG, AT(diff), NULL, "of two FILEs: what differs" },
    { "h", FLAG, AT(help), NULL, "usage" },
    { "help", FLAG, AT(help), NULL, NULL },
    { "V", FLAG, AT(version), NULL, "version" },
    { "version", FLAG, AT(version), NULL, NULL },
};

static const Option *find(const char *name, size_t len)
{
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++)
        if (strlen(table[i].name) == len && !memcmp(table[i].name, name, len))
            return &table[i];
    return NULL;
}

static bool unknown(const char *word, GError **error)
{
    const char *names[G_N_ELEMENTS(table) + 1] = {NULL};
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++)
        names[i] = table[i].name;
    const char *bare = word + 1 + (word[1] == '-');
    g_autofree char *name = g_strndup(bare, strcspn(bare, "="));
    const char *near = option_nearest(name, names);
    return near ? fail_usage(error, "unknown option %s (did you mean -%s?)", word, near)
                : fail_usage(error, "unknown option %s", word);
}

static void store(Dtbgen *d, const Option *o, const char *value)
{
    void *at = (char *)d + o->offset;
    if (o->kind == FLAG)
        *(bool *)at = true;
    else if (o->kind == TEXT)
        *(const char **)at = value;
    else
        g_ptr_array_add(*(GPtrArray **)at, (gpointer)value);
}

static bool check(const Dtbgen *d, GError **error)
{
    if (d->diff && d->files->len != 2)
        return fail_usage(error, "--diff needs two files");
    if (d->diff && d->check)
        return fail_usage(error, "--diff and --check cannot both be");
    if (!d->diff && d->files->len > 1)
        return fail_usage(error, "what is '%s' for? One tree at a time",
                          (const char *)d->files->pdata[1]);
    if (d->initrd && !d->kernel)
        return fail_usage(error, "-initrd needs -kernel");
    if (d->append && !d->kernel)
        return fail_usage(error, "-append needs -kernel");
    return true;
}

bool dtbgen_options(Dtbgen *d, int argc, char **argv, GError **error)
{
    GPtrArray **const lists[] = {&d->machine, &d->smp,    &d->memory, &d->numa, &d->object,
                                 &d->device,  &d->set,    &d->delete, &d->merge, &d->files};
    for (size_t i = 0; i < G_N_ELEMENTS(lists); i++)
        *lists[i] = g_ptr_array_new();
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        if (word[0] != '-' || !word[1]) {
            g_ptr_array_add(d->files, (gpointer)word);
            continue;
        }
        bool two = word[1] == '-';
        const char *name = word + 1 + two, *equals = two ? strchr(name, '=') : NULL;
        const Option *o = find(name, equals ? (size_t)(equals - name) : strlen(name));
        const char *value = equals ? equals + 1 : NULL;
        if (!o)
            return unknown(word, error);
        if (value && !o->arg)
            return fail_usage(error, "--%s takes no value", o->name);
        if (o->arg && !value && !(value = argv[++i]))
            return fail_usage(error, "-%s needs a value", o->name);
        store(d, o, value);
    }
    return d->help || d->version || check(d, error);
}

char *dtbgen_help(const char *name)
{
    GString *s = g_string_new(NULL);
    g_string_append_printf(
        s,
        "usage: %s -M BOARD [OPTION]... [-o FILE]       the device tree of a machine\n"
        "       %s [--merge OVERLAY] [--set ...] FILE   a changed tree\n"
        "       %s --check [-M BOARD ...] FILE\n"
        "       %s --diff FILE FILE\n\n",
        name, name, name, name);
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        const Option *o = &table[i];
        if (!o->summary)
            continue;
        const char *dash = strlen(o->name) > 1 && o->offset >= AT(dts) ? "--" : "-";
        bool word = !strcmp(o->name, "merge") || !strcmp(o->name, "set") ||
                    !strcmp(o->name, "delete") || !strcmp(o->name, "arch");
        g_autofree char *left = g_strdup_printf("%s%s %s", word ? "--" : dash, o->name,
                                                o->arg ? o->arg : "");
        g_string_append_printf(s, "  %-24s %s\n", left, o->summary);
    }
    g_string_append_printf(
        s,
        "\nExit status: 0 done, 1 failed, or (--check, --diff) it is not so, 2 misused.\n"
        "\nexamples:\n"
        "  %s -M virt -smp 4 -m 2G -o virt.dtb\n"
        "  %s --arch aarch64 -M virt,gic-version=3 -cpu cortex-a57 -smp 16 --dts\n"
        "  %s --merge extra.dtbo --set '/chosen bootargs=\"quiet\"' virt.dtb -o new.dtb\n",
        name, name, name);
    return g_string_free(s, FALSE);
}
