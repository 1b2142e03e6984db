/* SPDX-License-Identifier: MIT */
/*
 * Boards: which devices sit where, the device tree that says so, and how software gets
 * started on them; and the grammar of -M, -smp, -m and -device.
 *
 * The steps: machine_options_new and _parse_*; machine_new (the options are checked and the
 * devices made: no RAM, no thread, no CPU needed); then machine_fdt alone (dtbgen), or machine_start
 * (RAM, devices mapped and running), machine_boot (guest software placed), and for each reset
 * machine_reset. The board reaches CPUs only through MachineCpus.
 *
 * All on the main thread unless said otherwise.
 */
#pragma once

#include "acpi/smbios.h"
#include "acpi/table.h"
#include "block/block.h"
#include "bus/bus.h"
#include "chardev/chardev.h"
#include "devices/device.h"
#include "fdt/fdt.h"
#include "load/load.h"
#include "machines/numa.h"

typedef struct Machine Machine;
typedef struct MachineType MachineType;

enum { MACHINE_SMBIOS_RANGES = 4 };

/* ---- Options ------------------------------------------------------------- */

/* Levels that the board does not have are 1. */
typedef struct {
    unsigned cpus, sockets, dies, clusters, cores, threads, maxcpus;
} MachineSmp;

typedef struct {
    const MachineType *type;
    const char *isa;     /* that it was made for; "riscv64" */
    const char *version; /* the member of type->versions that was asked for; NULL: none was */
    MachineSmp smp;      /* complete and consistent after machine_options_check */
    uint64_t ram_size;   /* bytes */
    uint64_t ram_max;    /* bytes; ram_size unless maxmem= says more */
    unsigned ram_slots;
    GHashTable *props;   /* of -M: char * to char *, those of the board only */
    bool firmware;       /* -bios names some, or a flash will have it: boards may differ by it */
    char *dumpdtb;       /* -M dumpdtb=FILE, or NULL */
    char *accel;         /* -M accel=NAME, or NULL */
    MachineNuma *numa;   /* -numa and -object memory-backend-*; never NULL */
} MachineOptions;

/* Options for one guest ISA ("riscv64"), with that ISA's default board if it has one. */
MachineOptions *machine_options_new(const char *isa, GError **error);
void machine_options_free(MachineOptions *options);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MachineOptions, machine_options_free)

/* Each takes the text after its option; usage errors as a user of QEMU knows them. May be called
   again; later words replace earlier ones. */
/* "virt,aclint=on", "aclint=on", "type=virt", "dumpdtb=FILE": the board and its properties. */
bool machine_options_parse_machine(MachineOptions *options, const char *isa, const char *text,
                                   GError **error);
/* "4", "cpus=4,sockets=,dies=,clusters=,cores=,threads=,maxcpus="; after -M, whose board says
   which levels there are. */
bool machine_options_parse_smp(MachineOptions *options, const char *text, GError **error);
/* "512" (MiB), "2G", "size=1G,maxmem=,slots=". */
bool machine_options_parse_memory(MachineOptions *options, const char *text, GError **error);
/* "node,nodeid=,cpus=0-3,mem=,memdev=,initiator=", "dist,src=,dst=,val=",
   "cpu,node-id=,socket-id=,...", "hmat-lb,...", "hmat-cache,...": in order, after -M, -smp, -m and
   -object. */
bool machine_options_parse_numa(MachineOptions *options, const char *text, GError **error);
/* Whether -object's text is of a kind that the next takes: memory-backend-ram, -file, -memfd. */
bool machine_options_is_memory_object(const char *text);
bool machine_options_parse_memory_object(MachineOptions *options, const char *text,
                                         GError **error);
/* What can be said only when all options are known: CPU count and RAM size against the board.
   machine_new calls this. */
bool machine_options_check(MachineOptions *options, GError **error);

/* The board's full name, "virt-7.0" for "virt" where that is the newest; borrowed. */
const char *machine_options_name(const MachineOptions *options);
/* The number in it, 700 and 602 for instance, so that what differed can differ; UINT_MAX for boards
   without versions. */
unsigned machine_options_version(const MachineOptions *options);
/* What identifies CPU n (of maxcpus) on this board. */
void machine_options_cpu_ids(const MachineOptions *options, unsigned cpu, MachineCpuIds *ids);

/* "virt   RISC-V VirtIO board" lines, and the properties of one board; newly allocated. */
char *machine_help(const char *isa);
char *machine_props_help(const MachineType *type);

/* ---- CPUs ---------------------------------------------------------------- */

/* A hart's interrupt inputs. All are levels but MACHINE_RISCV_SSWI, whose rising edge sets
   mip.SSIP (software clears it). */
typedef enum {
    MACHINE_RISCV_MSOFT,
    MACHINE_RISCV_MTIMER,
    MACHINE_RISCV_MEXT,
    MACHINE_RISCV_SEXT,
    MACHINE_RISCV_SSWI,
    MACHINE_CPU_LINES,
} MachineCpuLine;

/* What a board needs to know of its CPUs; all may be absent for a board that is a description only.
   Strings borrowed during the call. */
typedef struct {
    /* As -cpu has it, with its properties: "cortex-a57,pmu=off"; NULL: the board's default. Boards
       that are descriptions read it themselves. */
    const char *model;
    /* RISC-V, for the device tree. */
    const char *isa;      /* "rv64imafdc_zicsr_zifencei" */
    const char *mmu_type; /* "riscv,sv48"; NULL: no MMU */
    const char *compatible; /* NULL: "riscv" */
    /* 64-byte cache-block sizes for Zicbom and Zicboz; 0: not there. */
    uint32_t cbom_block_size, cboz_block_size;
    /* The line to drive; called in machine_start only. NULL: nothing is connected. */
    BusIrq (*line)(void *opaque, unsigned cpu, MachineCpuLine line);
    void *opaque;
} MachineCpus;

/* Fills in what the "key=value" lines of GuestIsa.describe say. The strings live as long as the result
   (g_hash_table_unref). */
GHashTable *machine_cpus_read(MachineCpus *cpus, const char *text);

/* ---- Boot ---------------------------------------------------------------- */

typedef enum {
    MACHINE_FIRMWARE_BUILTIN, /* vm-run answers SBI: the kernel is entered in S-mode */
    MACHINE_FIRMWARE_FILE,    /* boot->firmware runs first, in M-mode */
    MACHINE_FIRMWARE_NONE,    /* the kernel itself is entered in M-mode, at the start of RAM */
    MACHINE_FIRMWARE_FLASH,   /* what is in the first flash runs first, in M-mode */
} MachineFirmware;

/* Everything is borrowed, and must stay until machine_free or the next machine_boot, since
   machine_reset places it again. Absent: NULL. */
typedef struct {
    MachineFirmware mode;
    const LoadImage *firmware;
    const LoadImage *kernel;
    GBytes *kernel_file; /* the same, as firmware may load it through fw_cfg; NULL: it may not */
    GBytes *initrd;
    const char *initrd_name;
    const char *append;
    GBytes *dtb; /* used in place of the board's own, with /chosen filled in */
    const char *dtb_name;
} MachineBoot;

/* Where CPUs start, as machine_boot has laid it out. */
typedef struct {
    uint64_t reset_pc; /* with firmware or none: the reset vector, M-mode, every hart */
    uint64_t kernel_entry; /* BUILTIN: S-mode, a0 = hart id, a1 = fdt_addr; boot hart only */
    bool has_kernel;
    uint64_t kernel_base, kernel_end; /* physical range of the kernel's memory image */
    uint64_t initrd_start, initrd_end;
    uint64_t fdt_addr, fdt_size;
    /* CPUs that -device loader,cpu-num= starts elsewhere than at reset_pc; borrowed from the
       machine. */
    const struct MachineCpuStart *starts;
    size_t start_count;
} MachineEntry;

typedef struct MachineCpuStart {
    unsigned cpu;
    uint64_t pc;
} MachineCpuStart;

/* ---- Boards -------------------------------------------------------------- */

/* One row of a board's map. Devices start in the order of rows, interrupt controllers first, and
   stop in the opposite order. */
typedef struct {
    const char *id;     /* NULL ends a map; also the name the board's code knows it by */
    const char *device; /* a DeviceType's name; NULL: reserved or RAM, ROM: named only */
    unsigned region;    /* the device's region that is placed; a row with region > 0 places one
                           more region of the device made by an earlier row of the same id */
    uint64_t addr, size; /* size 0: nothing is placed */
    int irq;            /* input of the board's interrupt controller, or 0 */
    int irqs;           /* outputs that are connected there, from irq on; 0: one */
} MachineMap;

typedef struct {
    const char *name; /* NULL ends a table */
    bool is_bool;     /* on/off; else a string */
    const char *def;
    const char *help;
} MachineProp;

struct MachineType {
    const char *name;    /* as -M says it */
    const char *summary;
    const char *const *isas;     /* NULL-terminated */
    /* "virt-7.0", "virt-6.2"...: what -M says for the board as it was then, newest first, which
       name alone means; NULL: none */
    const char *const *versions;
    const MachineProp *props;    /* NULL: none */
    const MachineMap *map;
    unsigned max_cpus;
    uint64_t ram_base;
    uint64_t ram_min, ram_limit, ram_default; /* bytes */
    bool is_default; /* of its ISAs */
    bool no_seeds;   /* the tree has no random seeds */
    /* It can be described (machine_fdt and the like) but not run: nothing of it has registers, or
       there is no CPU for it. machine_start refuses it. */
    bool description;
    bool dies, clusters; /* levels of -smp that it has, besides sockets, cores and threads */
    /* Versions below this make sockets of CPUs that -smp says no more of, others cores. */
    unsigned sockets_before;
    bool numa; /* -numa is known */
    /* Memory that can be added makes all of it one node, if -numa says nothing, in versions from here
       on; 0: it does not. */
    unsigned numa_for_slots;
    unsigned numa_mem_before; /* versions below this take -numa node,mem=; UINT_MAX: all */
    /* The node of a CPU that -numa says nothing of, where it says nothing of any. NULL: an equal share
       of CPUs to each, in order. */
    unsigned (*cpu_node)(const MachineOptions *options, unsigned cpu);
    /* What -numa cpu and tables know a CPU by. *ids comes filled with -1. NULL: core is its number. */
    void (*cpu_ids)(const MachineOptions *options, unsigned cpu, MachineCpuIds *ids);

    /* Whether the machine has the device of a row, by its options and version. NULL: all. */
    bool (*present)(const Machine *m, const MachineMap *row);
    /* After the map's devices were made: sets their properties and whatever a table cannot say.
       Allocates no RAM. NULL: nothing. */
    bool (*build)(Machine *m, GError **error);
    /* Adds RAM and ROM to the space and connects interrupt lines; the devices start after it. */
    bool (*wire)(Machine *m, GError **error);
    /* Writes the whole tree but /chosen's boot properties and seed. boot may be NULL. NULL: there is no
       tree. */
    void (*fdt)(const Machine *m, const MachineBoot *boot, Fdt *tree);
    /* Decides where firmware, kernel and initrd go. NULL: nowhere that is described. */
    bool (*layout)(const Machine *m, const MachineBoot *boot, MachineEntry *entry, GError **error);
    /* Decides where the tree goes, checks that all fits, and writes all of it to memory. */
    bool (*place)(Machine *m, const MachineBoot *boot, GBytes *fdt, MachineEntry *entry,
                  GError **error);
    /* The ACPI tables, all but the root. NULL: the board has none. */
    AcpiTables *(*acpi)(Machine *m, GError **error);
    /* What SMBIOS tells of the board beyond its size: names, ranges of RAM (room for
       MACHINE_SMBIOS_RANGES). NULL: it has none. */
    bool (*smbios)(Machine *m, SmbiosMachine *s, SmbiosRange *ranges, GError **error);
    /* Names of devices that it comes with, unless the user wants others: "VGA"; NULL: none. */
    const char *default_vga, *default_nic, *default_floppy;
    unsigned default_serials, default_parallels;
    /* Tells the guest that the power button was pressed. NULL: the board has none. */
    void (*power_button)(Machine *m);
};

/* The ISAs that there are boards for, NULL-terminated, newly allocated (g_free): names borrowed. */
const char **machine_isas(void);
/* The ISA of the one board of that name: the one that runs if several have it. NULL: none, or it
   cannot be told. */
const char *machine_isa_of_board(const char *name);
/* Types for an ISA, NULL-terminated, newly allocated (g_free). isa NULL: all. */
const MachineType **machine_types(const char *isa);
const MachineType *machine_type_find(const char *isa, const char *name);

/* ---- Machines ------------------------------------------------------------ */

/* Checks the options and makes the board's devices. Options and the CPU description are copied;
   clock is borrowed (the tree's random seed comes from it too). */
Machine *machine_new(MachineOptions *options, const MachineCpus *cpus, BusClock *clock,
                     GError **error);
/* Stops the devices. vCPUs must have ended. NULL is fine. */
void machine_free(Machine *m);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Machine, machine_free)

/* The board's device tree; boot may be NULL (no kernel: no bootargs or initrd). Allocates no
   RAM. */
GBytes *machine_fdt(Machine *m, const MachineBoot *boot, GError **error);

/* Serial port n of the board, from 0, gets its back end; before machine_start. */
bool machine_set_serial(Machine *m, unsigned n, Chardev *chardev, GError **error);

/*
 * What a user adds, each by the text after its option, between machine_new and machine_start. Errors
 * begin with the option. First the back ends:
 */
/* -drive: opens the disk. One with if=virtio, if=scsi or without if= is given a device of its own, and
   a SCSI controller, by machine_add_pending; with if=pflash it becomes the contents of flash unit=0
   or 1. snapshot: as if the text said snapshot=on. */
bool machine_add_drive(Machine *m, const char *text, bool snapshot, GError **error);
bool machine_add_blockdev(Machine *m, const char *text, GError **error);
/* -object: secret, rng-builtin and rng-random; a secret before the disks that need it. */
bool machine_add_object(Machine *m, const char *text, GError **error);
/* Where -device finds the Chardev of chardev=ID; borrowed, and must outlive the machine. */
void machine_set_chardev_source(Machine *m,
                                Chardev *(*get)(void *opaque, const char *id, GError **error),
                                void *opaque);
/* Where -device finds the NetBackend of netdev=ID; borrowed, and must outlive the machine. */
void machine_set_net_source(Machine *m,
                            NetBackend *(*get)(void *opaque, const char *id, GError **error),
                            void *opaque);
/* Then the devices: those of drives, and "DRIVER,id=,bus=,PROPERTY=..." of -device. */
bool machine_add_pending(Machine *m, GError **error);
bool machine_add_device(Machine *m, const char *text, GError **error);
/* -fw_cfg [name=]NAME,file=FILE|string=TEXT. *note, newly allocated or NULL, is what the user should
   know though it worked. */
bool machine_add_fw_cfg(Machine *m, const char *text, char **note, GError **error);
/* -global: "DRIVER.PROPERTY=VALUE" or "driver=,property=,value=": what that property of devices of
   that kind is unless they say otherwise; of the board's at once, of others when they are added. */
bool machine_add_global(Machine *m, const char *text, GError **error);
/* While the machine runs, -device works where a bus takes devices then (a root port's slot). This asks
   the guest to let such a device go; when it has, the device is freed on the default main context. */
bool machine_remove_device(Machine *m, const char *id, GError **error);
/* Changes the medium of a drive, or of the device with that id: a file, NULL for none. format NULL: as
   its first bytes have it. force: even if the guest holds on to it. */
bool machine_change_medium(Machine *m, const char *id, const char *file, const char *format,
                           bool force, GError **error);
/* removed: called then, on the main thread. */
void machine_on_removed(Machine *m, void (*removed)(void *opaque, const char *id), void *opaque);
/* For "help" the list of devices, for "DRIVER,help" its properties; "" when text asks for no help or
   for a device that is not there, NULL when it makes no sense. Newly allocated. */
char *machine_device_help(const char *text);
/* The graph that disks live in; for its warnings. */
BlockGraph *machine_block(Machine *m);
/* What a board without firmware or kernel of the user's can run: the first flash, or what a loader
   starts CPUs at. After machine_add_*. */
bool machine_has_software(const Machine *m);
/* What runs first if the user left it at MACHINE_FIRMWARE_BUILTIN: that, a flash with contents, or
   (NONE) what a loader starts. */
MachineFirmware machine_firmware(const Machine *m, MachineFirmware asked);

/* power is as in DeviceEnv. After this the space may be used. */
bool machine_start(Machine *m,
                   void (*power)(void *opaque, DevicePower what, uint32_t code), void *opaque,
                   GError **error);
/* Places firmware, kernel, initrd, tree and reset vector; fills *entry. Errors name the file and
   the sizes. */
bool machine_boot(Machine *m, const MachineBoot *boot, MachineEntry *entry, GError **error);
/* Devices to their power-on state, and the software placed anew (with a new random seed). vCPUs
   must be stopped; they then start again at *entry. */
bool machine_reset(Machine *m, MachineEntry *entry, GError **error);
/* A disk has failed and its drive says that the machine stops (DeviceEnv.io_error); before
   machine_start. Then, when the machine goes on, machine_retry. */
void machine_on_io_error(Machine *m,
                         void (*io_error)(void *opaque, Device *dev, bool write, int error),
                         void *opaque);
void machine_retry(Machine *m);

/* The devices that were given a bootindex=, lowest first, for whatever tells firmware. */
typedef struct {
    uint32_t index;
    const Device *device;
} MachineBootDevice;
/* Of MachineBootDevice; borrowed. */
const GArray *machine_boot_order(const Machine *m);

/* The user presses the board's power button, if there is one. */
bool machine_power_button(Machine *m, GError **error);

BusSpace *machine_space(Machine *m);
BusClock *machine_clock(Machine *m);
const MachineOptions *machine_options(const Machine *m);
/* The device a map row, the board or -device made, or NULL. */
Device *machine_device(const Machine *m, const char *id);
