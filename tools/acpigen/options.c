/* SPDX-License-Identifier: MIT */
/*
 * The option table. Options of machines are spelt as vm-run and QEMU have them, with one dash or
 * two; those that make no difference to tables are taken and not looked at.
 */
#include "acpigen.h"

#include "base/option.h"
#include "base/size.h"

#include <stdarg.h>
#include <string.h>

typedef enum {
    FLAG,  /* bool at offset */
    TEXT,  /* const char * at offset */
    LIST,  /* GPtrArray * at offset */
    ADDR,  /* uint64_t at offset, and has_at */
    PAIR,  /* --diff A B */
    TAKEN, /* no difference here; with arg, a value follows */
    MEANS, /* the same as the text in arg, added to the list at offset */
    NETDEV,
    HELP,
    VERSION,
} Kind;

typedef struct {
    const char *name;
    Kind kind;
    size_t offset;
    const char *arg, *summary; /* summary NULL: not in the help */
    bool own;                  /* not one of a machine's command line, which is known by one dash */
} Option;

#define AT(field) offsetof(Tool, field)

static const Option options[] = {
    {"M", LIST, AT(machine), "BOARD[,KEY=V]", "the board: q35, pc, microvm, virt (help: list)", false},
    {"machine", LIST, AT(machine), "BOARD", NULL, false},
    {"arch", TEXT, AT(arch), "ISA", "x86_64 (default) or aarch64, if the board does not say", true},
    {"cpu", TEXT, AT(cpu), "MODEL[,KEY=V]", "CPU model, for SMBIOS (help: list)", false},
    {"smp", LIST, AT(smp), "N", "CPUs: cpus=,maxcpus=,sockets=,dies=,cores=,threads=", false},
    {"m", LIST, AT(memory), "SIZE", "RAM, in MiB or with a suffix; slots=,maxmem=", false},
    {"numa", LIST, AT(numa), "KIND,KEY=V", "nodes, distances, latencies and caches", false},
    {"object", LIST, AT(object), "KIND,id=ID", "memory-backend-ram,id=,size= and the like", false},
    {"device", LIST, AT(device), "NAME[,KEY=V]", "a device (help: list)", false},
    {"global", LIST, AT(global), "DRIVER.PROP=V", "properties of devices", false},
    {"acpitable", LIST, AT(acpitable), "KEY=V", "a table of yours: sig=,data=FILE or file=FILE", false},
    {"smbios", LIST, AT(smbios), "KEY=V", "type=N,FIELD=V or file=FILE (type=help: fields)", false},
    {"uuid", TEXT, AT(uuid), "UUID", "the machine's, in SMBIOS", false},
    {"nodefaults", FLAG, AT(nodefaults), NULL, "nothing but what is asked for", false},
    {"vga", TEXT, AT(vga), "KIND", "std, cirrus, qxl, vmware, virtio, none", false},
    {"nic", LIST, AT(nic), "KIND[,model=M]", "a network card, or none", false},
    {"net", LIST, AT(nic), "KIND", NULL, false},
    {"serial", LIST, AT(serial), "SPEC", "a serial port, or none", false},
    {"parallel", LIST, AT(parallel), "SPEC", "a parallel port, or none", false},
    {"drive", LIST, AT(drive), "KEY=V", "with if=virtio a disk; the file is not opened", false},
    {"netdev", NETDEV, 0, "SPEC", NULL, false},
    {"no-hpet", MEANS, AT(machine), "hpet=off", NULL, false},
    {"o", TEXT, AT(output), "DIR", "writes one file a table into DIR", true},
    {"output", TEXT, AT(output), "DIR", NULL, true},
    {"dsl", FLAG, AT(dsl), NULL, "with -o: source of each table too, by iasl", true},
    {"loader", TEXT, AT(loader), "DIR", "writes what fw_cfg hands to firmware into DIR", true},
    {"blob", TEXT, AT(blob), "FILE", "writes all tables as they lie in memory", true},
    {"at", ADDR, AT(at), "ADDRESS", "where that is; the RSDP comes first", true},
    {"smbios-dump", TEXT, AT(smbios_file), "FILE", "writes SMBIOS as dmidecode --from-dump reads it", true},
    {"aml", TEXT, AT(aml), "TABLE", "writes that table to standard output: DSDT, SSDT-2...", true},
    {"json", FLAG, AT(json), NULL, "every field of every table", true},
    {"list", FLAG, AT(list), NULL, "names and lengths of all tables", true},
    {"digest", TEXT, AT(digest), "sha256|sha384", "of each table, and of all that firmware measures", true},
    {"diff", PAIR, 0, "A B", "what differs between two folders, in names of fields", true},
    {"h", HELP, 0, NULL, "this help", true},
    {"help", HELP, 0, NULL, NULL, true},
    {"V", VERSION, 0, NULL, "print the version", true},
    {"version", VERSION, 0, NULL, NULL, true},
};

/* Of machines, without a difference to tables; '=': a value follows. */
static const char *const taken[] = {
    "accel=", "action=", "add-fd=", "append=", "audiodev=", "bios=", "blockdev=", "boot=", "cdrom=",
    "chardev=", "chroot=", "compat=", "d=", "D=", "debugcon=", "dfilter=", "display=", "dtb=", "dump-vmstate=",
    "echr=", "enable-kvm", "fda=", "fsdev=", "full-screen", "fw_cfg=", "gdb=", "hda=", "hdb=", "hdc=", "hdd=",
    "icount=", "incoming=", "initrd=", "k=", "kernel=", "L=", "loadvm=", "mem-path=", "mem-prealloc", "mon=",
    "monitor=", "msg=", "name=", "no-reboot", "no-shutdown", "no-user-config", "nographic", "only-migratable",
    "overcommit=", "pflash=", "pidfile=", "preconfig", "qmp=", "qtest=", "rtc=", "runas=", "s", "S", "sandbox=",
    "seed=", "snapshot", "spice=", "tpmdev=", "trace=", "usb", "vnc=", "watchdog-action=", "win2k-hack",
    "writeconfig=", "xen-domid=", "daemonize", NULL};

static int help(const Tool *tool)
{
    printf("%s (Lathe) " LATHE_VERSION
           "\nusage: %s [-M BOARD] [OPTIONS] -o DIR | --loader DIR | --blob FILE | "
           "--smbios-dump FILE |\n"
           "       --aml TABLE | --json | --digest ALGORITHM | --list\n"
           "       %s --diff A B\n"
           "Writes the ACPI and SMBIOS tables that a machine would give its guest.\n\n",
           tool->voice.name, tool->voice.name, tool->voice.name);
    for (size_t i = 0; i < G_N_ELEMENTS(options); i++) {
        const Option *o = &options[i];
        if (!o->summary)
            continue;
        g_autofree char *left = g_strdup_printf("%s%s%s%s", o->own && o->name[1] ? "--" : "-",
                                                o->name, o->arg ? " " : "", o->arg ? o->arg : "");
        printf("  %-26s %s\n", left, o->summary);
    }
    printf("\nOther options of a machine's command line are taken; they make no difference.\n"
           "\nExamples:\n  %s -M q35 -smp 4 -m 8G -o tables --dsl\n  %s -M pc -m 2G --aml DSDT "
           ">dsdt.aml\n"
           "  %s -M q35 -m 9T --smbios-dump smbios.bin && dmidecode --from-dump smbios.bin\n",
           tool->voice.name, tool->voice.name, tool->voice.name);
    return fflush(stdout) ? VOICE_FAILED : 0;
}

static const Option *find(const char *name)
{
    static const Option with_value = {"", TAKEN, 0, "V", NULL, false}, alone = {"", TAKEN, 0, NULL, NULL, false};
    for (size_t i = 0; i < G_N_ELEMENTS(options); i++)
        if (!strcmp(options[i].name, name))
            return &options[i];
    for (const char *const *t = taken; *t; t++) {
        size_t len = strcspn(*t, "=");
        if (strlen(name) == len && !strncmp(*t, name, len))
            return (*t)[len] ? &with_value : &alone;
    }
    return NULL;
}

static int unknown(const Tool *tool, const char *word, const char *name)
{
    const char *names[G_N_ELEMENTS(options) + 1] = {NULL};
    for (size_t i = 0; i < G_N_ELEMENTS(options); i++)
        names[i] = options[i].name;
    const char *near = option_nearest(name, names);
    return near ? voice_misused(&tool->voice, "%s: there is no such option; did you mean --%s?",
                                word, near)
                : voice_misused(&tool->voice, "%s: there is no such option", word);
}

/* Sets what the option says; the value is NULL for flags. */
static int apply(Tool *tool, const Option *o, const char *value)
{
    void *at = (char *)tool + o->offset;
    switch (o->kind) {
    case FLAG: *(bool *)at = true; break;
    case TEXT: *(const char **)at = value; break;
    case LIST: g_ptr_array_add(*(GPtrArray **)at, (char *)value); break;
    case MEANS: g_ptr_array_add(*(GPtrArray **)at, (char *)o->arg); break;
    case NETDEV: tool->network = true; break;
    case ADDR:
        if (!size_parse(value, &tool->at, NULL))
            return voice_misused(&tool->voice, "--at %s: an address is wanted", value);
        tool->has_at = true;
        break;
    case HELP: return help(tool);
    case VERSION:
        puts("acpigen (Lathe) " LATHE_VERSION);
        return fflush(stdout) ? VOICE_FAILED : 0;
    default: break;
    }
    return -1;
}

int tool_options(Tool *tool, int argc, char **argv)
{
    GPtrArray **lists[] = {&tool->machine, &tool->smp, &tool->memory, &tool->numa, &tool->object, &tool->device,
                           &tool->global, &tool->drive, &tool->nic, &tool->serial, &tool->parallel,
                           &tool->acpitable, &tool->smbios};
    for (size_t i = 0; i < G_N_ELEMENTS(lists); i++)
        *lists[i] = g_ptr_array_new();
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        if (word[0] != '-' || !word[1])
            return voice_misused(&tool->voice, "%s: what is this? Options begin with a dash", word);
        const char *equals = g_str_has_prefix(word, "--") ? strchr(word, '=') : NULL;
        const char *start = word + 1 + (word[1] == '-');
        g_autofree char *name = g_strndup(start, equals ? (size_t)(equals - start) : strlen(start));
        const Option *o = find(name);
        if (!o)
            return unknown(tool, word, name);
        bool wants = o->arg && o->kind != MEANS;
        const char *value = wants ? equals ? equals + 1 : i + 1 < argc ? argv[++i] : NULL : NULL;
        if (wants && !value)
            return voice_misused(&tool->voice, "%s: a value is missing", word);
        if (!wants && equals)
            return voice_misused(&tool->voice, "%s: this option takes no value", word);
        if (o->kind == PAIR) {
            if (i + 1 >= argc)
                return voice_misused(&tool->voice, "%s: two folders are wanted", word);
            tool->diff = true;
            tool->sides[0] = value;
            tool->sides[1] = argv[++i];
            continue;
        }
        int status = apply(tool, o, value);
        if (status >= 0)
            return status;
    }
    return -1;
}

void tool_clear(Tool *tool)
{
    GPtrArray *lists[] = {tool->machine, tool->smp, tool->memory, tool->numa, tool->object, tool->device,
                          tool->global, tool->drive, tool->nic, tool->serial, tool->parallel,
                          tool->acpitable, tool->smbios};
    for (size_t i = 0; i < G_N_ELEMENTS(lists); i++)
        if (lists[i])
            g_ptr_array_unref(lists[i]);
}
