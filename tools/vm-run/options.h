/* SPDX-License-Identifier: MIT */
/* vm-run's command line, in QEMU's spellings, read into texts that their libraries parse later. */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef struct {
    char *arch, *cpu, *kernel, *initrd, *append, *dtb, *bios, *debug, *log_file, *accel, *display,
        *qtest, *qtest_log, *data_dir, *exec, *root, *timeout, *name, *pidfile, *uuid, *msg, *rtc,
        *runas, *chroot;
    /* char *, in the order given */
    GPtrArray *machine, *smp, *memory, *numa, *serial, *drive, *blockdev, *device, *object,
        *chardev, *netdev, *nic, *net, *fw_cfg, *monitor, *mon, *action, *global, *boot, *sandbox,
        *share;
    bool snapshot, nographic, no_reboot, no_shutdown, nodefaults, stopped, daemonize, help, version;
    bool bare_disk, print_argv; /* a disk was named without an option */
    /* the ISA in a name such as qemu-system-riscv64, or NULL; in argv[0] */
    const char *called_arch;
} RunOptions;

/* argv[0] decides called_arch. Usage errors; an unknown option comes with the nearest known one. */
RunOptions *run_options_parse(int argc, char **argv, GError **error);
/* The options as words, in the order of the help; what an earlier word of the same option said and
   a later one replaced is gone. */
char **run_options_words(const RunOptions *o);
void run_options_free(RunOptions *o);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(RunOptions, run_options_free)

/* One screen; newly allocated. */
char *run_options_help(const char *program);
