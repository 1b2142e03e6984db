/* SPDX-License-Identifier: MIT */
/* What the boards see of a Machine, and helpers for them. */
#pragma once

#include "devices/misc/fw_cfg.h"
#include "machines/machine.h"

typedef struct {
    const MachineMap *row; /* the first of its id */
    Device *device;
} MachineDevice;

typedef struct Options Options;
typedef struct MachineDrive MachineDrive;
typedef struct MachineRng MachineRng;

struct Machine {
    const MachineType *type;
    MachineOptions *options;
    MachineCpus cpus; /* strings owned */
    BusClock *clock;
    BusSpace *space;
    GArray *devices; /* MachineDevice, in map order */
    const MachineBoot *boot;
    bool started;

    BlockGraph *block;
    CryptoObjects *objects; /* that disks are opened with */
    GPtrArray *drives; /* MachineDrive */
    GPtrArray *rngs;   /* MachineRng */
    GPtrArray *added;  /* Device, plugged into slots of devices */
    Chardev *(*chardev_get)(void *opaque, const char *id, GError **error); /* NULL: none */
    void *chardev_opaque;
    NetBackend *(*net_get)(void *opaque, const char *id, GError **error); /* NULL: none */
    void *net_opaque;
    FwCfg *fw_cfg;
    bool flash[2];      /* it has contents of a drive */
    GPtrArray *loaders; /* MachineLoader */
    GArray *starts;     /* MachineCpuStart, of loaders */
    GArray *boot_order; /* MachineBootDevice, lowest first */
    GPtrArray *globals; /* MachineGlobal */
    GPtrArray *pending; /* char *: -device texts of drives that bring their own device */

    GPtrArray *acpi_user;  /* GBytes: tables of -acpitable; NULL: none */
    SmbiosOptions *smbios; /* NULL: none were given */
    uint8_t uuid[16];
    bool has_uuid;

    DeviceEnv env;      /* of all devices, once started */
    unsigned anonymous; /* devices without an id so far */
    void (*io_error)(void *opaque, Device *dev, bool write, int error);
    void *io_error_opaque;
    GMutex eject_lock;
    GPtrArray *ejecting; /* under eject_lock, as the guest lets go on any thread */
    void (*removed)(void *opaque, const char *id); /* NULL: nobody cares */
    void *removed_opaque;
};

/* globals.c */
void machine_globals_init(Machine *m);
void machine_globals_clear(Machine *m);
/* What -global says of a device just made, and of the PCI function in front of it, or NULL. */
bool machine_globals_apply(const Machine *m, Device *dev, Device *proxy, GError **error);
/* A device was given this bootindex=, which has been checked; NULL: none. */
bool machine_boot_order_add(Machine *m, const Device *dev, const char *value, GError **error);
void machine_boot_order_remove(Machine *m, const Device *dev);

/* backends.c */
void machine_backends_init(Machine *m);
/* No device may be using them any more. */
void machine_backends_clear(Machine *m);
bool machine_set_drive(Machine *m, Device *dev, const char *key, const char *value, GError **error);
bool machine_set_rng(Machine *m, Device *dev, const char *key, const char *value, GError **error);
/* The device is about to go: others may use its drives and network back ends. */
void machine_release_backends(Machine *m, Device *dev);

/* plug.c */
bool machine_added_start(Machine *m, GError **error);
void machine_added_clear(Machine *m);
void machine_ejected(void *opaque, Device *dev);
void machine_eject_init(Machine *m);
void machine_eject_clear(Machine *m);
/* What bus= calls a slot; newly allocated. */
char *machine_bus_name(const Machine *m, const Device *slot);

/* nics.c */
/* netdev=value of a device. */
bool machine_set_net(Machine *m, Device *dev, const char *key, const char *value, GError **error);
/* A network card without an address gets the next that is free. */
void machine_give_mac(const Machine *m, Device *dev);

/* ---- loader.c: -device loader */
void machine_loaders_init(Machine *m);
void machine_loaders_clear(Machine *m);
bool machine_add_loader(Machine *m, Options *options, GError **error);
void machine_loader_help(GString *s);
/* After everything else is in memory; fills entry's starts. */
bool machine_loaders_place(Machine *m, MachineEntry *entry, GError **error);

/* ---- fw_cfg.c */
void machine_fw_cfg_boot(Machine *m, const MachineBoot *boot);

/* ---- bootorder.c */
/* Text of the file; after the devices have started. */
GBytes *machine_bootorder(const Machine *m);

/* ---- flash.c: drives of the boards' flashes, devices "pflash0" and "pflash1" */
bool machine_flash_drive(Machine *m, unsigned unit, const DeviceDrive *drive, GError **error);
/* -M pflash0= and pflash1=. */
bool machine_flash_props(Machine *m, GError **error);

/* ---- fdt.c */
/* The whole tree of the board or of boot->dtb, with the boot properties. */
GBytes *machine_tree_build(Machine *m, const MachineBoot *boot, const MachineEntry *entry,
                           GError **error);
/* Whether the tree has random seeds. */
bool machine_seeds(const Machine *m);
void machine_fdt_rng_seed(const Machine *m, Fdt *tree, const char *path);
/* Memory, a node for each of NUMA, and the distances between these. */
void machine_fdt_memory(const Machine *m, Fdt *tree);

/* ---- numa.c: completes the nodes and checks them against the rest; may be called again */
bool machine_numa_check(MachineOptions *options, GError **error);

/* As machine_options_version. */
unsigned machine_version(const Machine *m);
/* The row of that id, which must exist. */
const MachineMap *machine_row(const Machine *m, const char *id);
/* A property of -M, or its default. */
const char *machine_prop(const Machine *m, const char *name);
bool machine_prop_on(const Machine *m, const char *name);
/* The line of a CPU, or one that leads nowhere. */
BusIrq machine_cpu_line(const Machine *m, unsigned cpu, MachineCpuLine line);
/* Connects the outputs that a row says to inputs of the controller. */
void machine_connect_irq(const MachineDevice *md, Device *controller);
/* Connects output 0 of each device with an irq in the map to that input of the controller. */
void machine_connect_irqs(Machine *m, const char *controller);

/* A range of RAM that something takes; name is for messages. */
typedef struct {
    const char *what; /* "kernel" */
    const char *name; /* the file, or NULL */
    uint64_t start, size;
} MachineRange;

/* Checks that all lie in RAM and none overlap; empty ranges are fine. */
bool machine_check_ranges(const Machine *m, const MachineRange *ranges, size_t count,
                          GError **error);
/* Writes an image's segments, moved by base unless it is placed. */
bool machine_load_image(Machine *m, const LoadImage *image, uint64_t base, GError **error);
