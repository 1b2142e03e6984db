/* SPDX-License-Identifier: MIT */
/*
 * The option table. An option may be written -opt or --opt, its value as the next word or (with
 * two dashes) after "=". A later value replaces an earlier one, but for those that add up.
 */
#include "options.h"
#include "readconfig.h"

#include "base/error.h"
#include "base/option.h"

#include <stddef.h>
#include <string.h>

typedef enum {
    FLAG,    /* bool at offset */
    TEXT,    /* char * at offset */
    LIST,    /* GPtrArray * at offset */
    FLASH,   /* the same, of a board's flash */
    CONFIG,  /* a file of options, read when it is met */
    DISK,    /* a file name, which becomes a -drive text in the list at offset */
    CDROM,   /* the same, of a disc */
    IGNORED, /* taken, and it makes no difference here; a value if arg is set */
    REFUSED, /* known elsewhere, summary says why not here; a value if arg is set */
} Kind;

typedef struct {
    const char *name;
    Kind kind;
    size_t offset;
    const char *arg;     /* name of the value in the help; NULL: none */
    const char *summary; /* NULL: an alias, not in the help */
} Option;

#define AT(field) offsetof(RunOptions, field)

static const Option run_options[] = {
    { "machine", LIST, AT(machine), "M", NULL },
    { "M", LIST, AT(machine), "BOARD[,KEY=V]", "the board (help: list), dumpdtb=FILE writes its tree" },
    { "arch", TEXT, AT(arch), "ISA", "the guest's ISA, if the kernel does not say" },
    { "cpu", TEXT, AT(cpu), "MODEL[,KEY=V]", "CPU model and features (help: list)" },
    { "smp", LIST, AT(smp), "N", "number of CPUs" },
    { "numa", LIST, AT(numa), "KIND,KEY=V,...", NULL },
    { "m", LIST, AT(memory), "SIZE", "RAM, in MiB or with a suffix: 512, 2G" },
    { "accel", TEXT, AT(accel), "NAME[,KEY=V]", "jit (or tcg), interp, verify (help: list)" },
    { "kernel", TEXT, AT(kernel), "FILE", "Linux image or ELF file, may be gzip or zstd" },
    { "initrd", TEXT, AT(initrd), "FILE", "initial RAM disk" },
    { "append", TEXT, AT(append), "TEXT", "kernel command line" },
    { "exec", TEXT, AT(exec), "CMD", "runs CMD in the guest; its output and exit status are ours" },
    { "root", TEXT, AT(root), "PATH", "for --exec: a folder, disk image or initial RAM disk" },
    { "timeout", TEXT, AT(timeout), "SECONDS", "ends the machine then, with exit status 124" },
    { "dtb", TEXT, AT(dtb), "FILE", NULL },
    { "bios", TEXT, AT(bios), "FILE", "firmware run first; default: built in, none: no firmware" },
    { "drive", LIST, AT(drive), "KEY=V,...", "a disk: file=FILE,format=raw,if=virtio|scsi (help: formats)" },
    { "blockdev", LIST, AT(blockdev), "KEY=V,...", NULL },
    { "device", LIST, AT(device), "NAME[,KEY=V]", "a device, such as virtio-blk-device,drive=ID (help: list)" },
    { "object", LIST, AT(object), "KIND,id=ID", NULL },
    { "share", LIST, AT(share), "DIR[:TAG]", "a folder for the guest: mount -t virtiofs TAG DIR; ,readonly ,notify" },
    { "snapshot", FLAG, AT(snapshot), NULL, "disks keep what the guest writes only until the end" },
    { "pflash", FLASH, AT(drive), "FILE", NULL },
    { "fw_cfg", LIST, AT(fw_cfg), "NAME,KEY=V", NULL },
    { "hda", DISK, AT(drive), "FILE", NULL },
    { "cdrom", CDROM, AT(drive), "FILE", "a disc in a SCSI drive" },
    { "nographic", FLAG, AT(nographic), NULL, "serial port on this terminal, Ctrl-a x quits" },
    { "serial", LIST, AT(serial), "SPEC", "stdio, unix:PATH,server=on, pty... (help: list); one a port" },
    { "chardev", LIST, AT(chardev), "SPEC", "socket,id=C,path=PATH,server=on...: for -serial chardev:C" },
    { "display", TEXT, AT(display), "none", NULL },
    { "monitor", LIST, AT(monitor), "SPEC", "monitor: stdio, unix:PATH,server=on,wait=off, none" },
    { "mon", LIST, AT(mon), "chardev=ID", NULL },
    { "S", FLAG, AT(stopped), NULL, "wait for the monitor's cont before the guest starts" },
    { "no-reboot", FLAG, AT(no_reboot), NULL, "exit when the guest reboots" },
    { "nodefaults", FLAG, AT(nodefaults), NULL, NULL },
    { "qtest", TEXT, AT(qtest), "SPEC", NULL },
    { "qtest-log", TEXT, AT(qtest_log), "FILE", NULL },
    { "d", TEXT, AT(debug), "LIST", "log these categories (help: list)" },
    { "D", TEXT, AT(log_file), "FILE", NULL },
    { "version", FLAG, AT(version), NULL, NULL },
    { "V", FLAG, AT(version), NULL, "print the version (also -version)" },
    { "help", FLAG, AT(help), NULL, NULL },
    { "print-argv", FLAG, AT(print_argv), NULL, "print all that a short command line means, do nothing" },
    { "L", TEXT, AT(data_dir), "DIR", NULL },
    { "h", FLAG, AT(help), NULL, "this help (also -help)" },
    { "no-shutdown", FLAG, AT(no_shutdown), NULL, NULL },
    { "action", LIST, AT(action), "EVENT=WHAT", NULL },
    { "name", TEXT, AT(name), "NAME", NULL },
    { "uuid", TEXT, AT(uuid), "UUID", NULL },
    { "msg", TEXT, AT(msg), "timestamp=on", NULL },
    { "rtc", TEXT, AT(rtc), "base=WHAT", NULL },
    { "boot", LIST, AT(boot), "order=X", NULL },
    { "global", LIST, AT(global), "DRIVER.PROP=V", NULL },
    { "readconfig", CONFIG, 0, "FILE", NULL },
    { "daemonize", FLAG, AT(daemonize), NULL, "go to the background once the machine is up" },
    { "pidfile", TEXT, AT(pidfile), "FILE", NULL },
    { "sandbox", LIST, AT(sandbox), "on[,KEY=V]", NULL },
    { "runas", TEXT, AT(runas), "USER", NULL },
    { "chroot", TEXT, AT(chroot), "DIR", NULL },
    { "no-user-config", IGNORED, 0, NULL, NULL },
    { "enable-kvm", REFUSED, 0, NULL, "KVM is not there yet; leave it out" },
    { "netdev", LIST, AT(netdev), "SPEC", "a network back end, for -device (help: list)" },
    { "nic", LIST, AT(nic), "SPEC", "a network card and its back end" },
    { "net", LIST, AT(net), "none", NULL },
    { "qmp", REFUSED, 0, "SPEC", "QMP is not there yet; -monitor is" },
    { "gdb", REFUSED, 0, "SPEC", "a debugger port is not there yet" },
    { "s", REFUSED, 0, NULL, "a debugger port is not there yet" },
    { "vnc", REFUSED, 0, "SPEC", "a display is not there yet" },
};

static const Option *find(const char *name, size_t len)
{
    for (size_t i = 0; i < G_N_ELEMENTS(run_options); i++) {
        if (strlen(run_options[i].name) == len && !memcmp(run_options[i].name, name, len))
            return &run_options[i];
    }
    return NULL;
}

static bool unknown(const char *word, GError **error)
{
    const char *names[G_N_ELEMENTS(run_options) + 1];
    size_t n = 0;
    for (size_t i = 0; i < G_N_ELEMENTS(run_options); i++) {
        if (run_options[i].kind != REFUSED)
            names[n++] = run_options[i].name;
    }
    names[n] = NULL;
    const char *bare = word + strspn(word, "-");
    g_autofree char *name = g_strndup(bare, strcspn(bare, "="));
    const char *nearest = option_nearest(name, names);
    if (nearest)
        return fail_usage(error, "unknown option '%s'; did you mean -%s?", word, nearest);
    return fail_usage(error, "unknown option '%s'; -help lists them", word);
}

/* A disk image by its name alone. */
static void add_disk(GPtrArray *drives, const char *how, const char *file)
{
    GString *text = g_string_new(how);
    for (const char *p = file; *p; p++)
        g_string_append_printf(text, *p == ',' ? ",," : "%c", *p);
    g_ptr_array_add(drives, g_string_free(text, FALSE));
}

static bool config_option(void *opaque, const char *name, const char *text, GError **error);

static bool store(RunOptions *o, const Option *opt, const char *value, GError **error)
{
    void *at = (char *)o + opt->offset;
    switch (opt->kind) {
    case FLAG:
        *(bool *)at = true;
        break;
    case TEXT:
        g_free(*(char **)at);
        *(char **)at = g_strdup(value);
        break;
    case LIST:
        g_ptr_array_add(*(GPtrArray **)at, g_strdup(value));
        break;
    case DISK:
        add_disk(*(GPtrArray **)at, "media=disk,file=", value);
        break;
    case CDROM:
        add_disk(*(GPtrArray **)at, "media=cdrom,file=", value);
        break;
    case FLASH:
        add_disk(*(GPtrArray **)at, "if=pflash,format=raw,file=", value);
        break;
    case CONFIG:
        return readconfig(value, config_option, o, error);
    case IGNORED:
        break;
    case REFUSED:
        return fail_usage(error, "-%s: %s", opt->name, opt->summary);
    }
    return true;
}

/* A group of a -readconfig file. */
static bool config_option(void *opaque, const char *name, const char *text, GError **error)
{
    return store(opaque, find(name, strlen(name)), text, error);
}

static bool check(const RunOptions *o, GError **error)
{
    if (o->display && strcmp(o->display, "none"))
        return fail_usage(error, "-display %s: only none is there yet", o->display);
    return true;
}

/* The program's own name without its path and the "-static" some give it. */
static const char *arch_of_name(char *argv0)
{
    const char *slash = strrchr(argv0, '/');
    const char *name = slash ? slash + 1 : argv0;
    const char *p = "qemu-system-";
    return g_str_has_prefix(name, p) ? name + strlen(p) : NULL;
}

RunOptions *run_options_parse(int argc, char **argv, GError **error)
{
    g_autoptr(RunOptions) o = g_new0(RunOptions, 1);
    for (size_t i = 0; i < G_N_ELEMENTS(run_options); i++) {
        GPtrArray **list = (GPtrArray **)((char *)o + run_options[i].offset);
        if (run_options[i].kind == LIST && !*list)
            *list = g_ptr_array_new_with_free_func(g_free);
    }
    o->called_arch = argc ? arch_of_name(argv[0]) : NULL;
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        if (word[0] != '-' || !word[1]) {
            add_disk(o->drive, "media=disk,file=", word);
            o->bare_disk = true;
            continue;
        }
        bool two = word[1] == '-';
        const char *name = word + 1 + two, *equals = two ? strchr(name, '=') : NULL;
        const Option *opt = find(name, equals ? (size_t)(equals - name) : strlen(name));
        const char *value = equals ? equals + 1 : NULL;
        if (!opt) {
            unknown(word, error);
            return NULL;
        }
        if (opt->kind == REFUSED) {
            store(o, opt, NULL, error);
            return NULL;
        }
        if (value && !opt->arg) {
            fail_usage(error, "--%s takes no value", opt->name);
            return NULL;
        }
        if (opt->arg && !value && !(value = argv[++i])) {
            fail_usage(error, "-%s needs a value", opt->name);
            return NULL;
        }
        if (!store(o, opt, value, error))
            return NULL;
    }
    return check(o, error) ? g_steal_pointer(&o) : NULL;
}

/* One of an option's names stands for all: the first that stores like that. */
static bool is_first(const Option *opt)
{
    for (const Option *other = run_options; other < opt; other++)
        if (other->offset == opt->offset && other->kind == opt->kind)
            return false;
    return true;
}

char **run_options_words(const RunOptions *o)
{
    g_autoptr(GPtrArray) words = g_ptr_array_new();
    for (const Option *opt = run_options; opt < run_options + G_N_ELEMENTS(run_options); opt++) {
        const void *at = (const char *)o + opt->offset;
        if ((opt->kind != FLAG && opt->kind != TEXT && opt->kind != LIST) || !is_first(opt) ||
            at == (const void *)&o->print_argv)
            continue;
        const GPtrArray *list = opt->kind == LIST ? *(GPtrArray *const *)at : NULL;
        const char *text = opt->kind == TEXT ? *(char *const *)at : NULL;
        guint count = list ? list->len : text || (opt->kind == FLAG && *(const bool *)at);
        for (guint i = 0; i < count; i++) {
            g_ptr_array_add(words, g_strdup_printf("-%s", opt->name));
            if (list || text)
                g_ptr_array_add(words, g_strdup(list ? list->pdata[i] : text));
        }
    }
    g_ptr_array_add(words, NULL);
    return (char **)g_ptr_array_free(g_steal_pointer(&words), FALSE);
}

void run_options_free(RunOptions *o)
{
    if (!o)
        return;
    for (size_t i = 0; i < G_N_ELEMENTS(run_options); i++) {
        if (run_options[i].kind == TEXT)
            g_clear_pointer((char **)((char *)o + run_options[i].offset), g_free);
        else if (run_options[i].kind == LIST)
            g_clear_pointer((GPtrArray **)((char *)o + run_options[i].offset), g_ptr_array_unref);
    }
    g_free(o);
}

char *run_options_help(const char *program)
{
    GString *s = g_string_new(NULL);
    g_string_append_printf(s, "usage: %s [-M BOARD] [-smp N] [-m SIZE] -kernel FILE [OPTION]... [DISK]\n"
                           "Runs a whole virtual machine by binary translation.\n\n", program);
    for (size_t i = 0; i < G_N_ELEMENTS(run_options); i++) {
        const Option *o = &run_options[i];
        if (!o->summary || o->kind == REFUSED || o->kind == IGNORED)
            continue;
        g_autofree char *left = g_strdup_printf("-%s %s", o->name, o->arg ? o->arg : "");
        g_string_append_printf(s, "  %-24s %s\n", left, o->summary);
    }
    g_string_append_printf(s,
                           "One dash or two; the manual page has more. Exit status: 0 power-off, "
                           "the guest's own\ncode if it gave one, 1 failed, 2 misused.\n\nexamples:\n"
                           "  %s -kernel Image -initrd initrd.gz -append console=ttyS0 -nographic\n"
                           "  %s -kernel Image -initrd initrd.gz --exec 'uname -a; make check'\n"
                           "  %s disk.img\n"
                           "  %s --arch riscv64 -M virt,dumpdtb=virt.dtb\n",
                           program, program, program, program);
    return g_string_free(s, FALSE);
}
