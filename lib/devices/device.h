/* SPDX-License-Identifier: MIT */
/*
 * What a device model is (DeviceType) and what holds one (Device): properties, memory regions,
 * interrupt lines, lock, reset, saved state, and its own part of the device tree and of ACPI's
 * namespace.
 *
 * A model's state struct begins with a Device and is allocated zeroed with DeviceType.size. The
 * life of a device: device_new, device_set (properties), device_connect, device_place,
 * then device_fdt and device_acpi (a description needs no more) or device_start, device_reset; device_free.
 *
 * Locking: unless DeviceType.unlocked, every callback (regions, inputs, timers made with
 * device_timer_new) runs with the device's own lock held, and a device's DMA that hits its own
 * registers is refused. Under the lock a model may drive its output lines, do DMA and set timers.
 */
#pragma once

#include "acpi/aml.h"
#include "block/block.h"
#include "bus/bus.h"
#include "chardev/chardev.h"
#include "fdt/fdt.h"
#include "net/net.h"
#include "pci/pci.h"
#include "state/state.h"
#include "virtio/virtio.h"

#include <pthread.h>

typedef struct Device Device;
typedef struct DeviceType DeviceType;

typedef enum {
    DEVICE_BOOL,    /* bool: on/off, yes/no, true/false, y/n, 1/0 is not one */
    DEVICE_U32,     /* uint32_t within min..max */
    DEVICE_U64,     /* uint64_t within min..max */
    DEVICE_STRING,  /* char *, owned by the device */
    DEVICE_CHARDEV, /* Chardev *, borrowed; set with device_set_chardev */
    DEVICE_DRIVE,   /* const DeviceDrive *, borrowed; set with device_set_drive; see its max below */
    DEVICE_RNG,     /* const DeviceRng *, borrowed; set with device_set_rng */
    DEVICE_NET,     /* NetBackend *, borrowed; set with device_set_net */
    DEVICE_MAC,     /* uint8_t[6]: 52:54:00:12:34:56; all zero is one that the machine gives */
} DevicePropKind;

/* max of a DEVICE_DRIVE: the device is a drive that may have no medium. */
enum { DEVICE_DRIVE_MAY_BE_EMPTY = 1 };

/* A disk as -drive or -blockdev gave it, for the device that shows it to the guest. */
typedef struct {
    const char *id;
    BlockNode *node; /* NULL: no medium, where the property allows it */
    bool read_only, writethrough;
    BlockOnError werror, rerror;
    const char *serial; /* NULL: none */
} DeviceDrive;

/* The disk as a device uses it: "WHAT ID" is its name in messages, *read_only says whether it is; what is
   read-only may be asked for by setting it before. resized may be NULL. NULL and *error on failure. */
BlockUser *device_drive_attach(const DeviceDrive *drive, const char *what, bool share_rw,
                               bool *read_only, void (*resized)(void *opaque, uint64_t size),
                               void *opaque, GError **error);

/* A source of random bytes, as -object gave it. */
typedef struct {
    const char *id;
    const char *filename; /* read in place of the machine's own source; NULL: that one */
} DeviceRng;

typedef struct {
    const char *name; /* NULL ends a table */
    DevicePropKind kind;
    size_t offset;    /* in the model's state struct */
    const char *def;  /* the initial value as a user would write it; NULL: zero */
    uint64_t min, max; /* of numbers; max 0 means the type's own limit */
    const char *help;
} DeviceProp;

typedef struct {
    const char *name; /* NULL ends a table */
    uint64_t size;
    uint8_t min, max;             /* the sizes the callbacks take, as in BusOps */
    uint8_t valid_min, valid_max; /* the sizes a guest may use, as in BusOps */
    bool unaligned, messages;     /* as in BusOps */
    BusEndian endian;
    uint64_t (*read)(Device *dev, uint64_t offset, unsigned size);
    void (*write)(Device *dev, uint64_t offset, uint64_t value, unsigned size);
} DeviceRegion;

/* What an interrupt controller's cells say of an interrupt. */
typedef enum {
    DEVICE_FDT_IRQ_NUMBER, /* its number */
    DEVICE_FDT_IRQ_SENSE,  /* and what it is sensitive to: 1 a rising edge, 4 a high level */
    DEVICE_FDT_IRQ_GIC,    /* before both, 0: shared by all CPUs */
} DeviceFdtIrq;

/* Where a device's own node goes, and what it refers to. Phandles are 0 where there is none. */
typedef struct {
    Fdt *tree;
    const char *parent;       /* the path of the bus node: "/soc" */
    uint32_t intc;            /* phandle of the interrupt controller of interrupts[] */
    const uint32_t *interrupts;
    size_t interrupt_count;
    const uint32_t *cpu_intc; /* phandles of the harts' own interrupt controllers */
    size_t cpu_count;
    uint32_t phandle;         /* the phandle to give the node, or 0 */
    uint32_t regmap;          /* phandle of the register map a syscon node acts through */
    const char *name;         /* the node's, where boards differ; NULL: the device's own */
    uint64_t unit;            /* address in the name of a PCI host's node; 0: its first region's */
    uint64_t size;            /* of the first region as the board places it; 0: the device's own */
    unsigned cells;           /* of an address and of a size, 1 or 2; 0: 2 */
    DeviceFdtIrq irq_kind;
    bool edge;                /* interrupts come as rising edges; else as high levels */
    bool parent_is_default;   /* intc is what the tree's root names: not said again */
    bool coherent;            /* DMA is, and the board says so of each device */
    bool secure;              /* seen by the secure world only */
    uint32_t clock;           /* of a PrimeCell's bus */
    uint32_t msi, iommu;      /* of a PCI host's functions */
    bool msi_parent;          /* msi is a property of the host alone, without a map of requesters */
    const uint32_t *sources;  /* of an interrupt controller: phandles of what it sends to */
    size_t source_count;
    uint32_t child;           /* of an interrupt domain: the one that it passes all on to */
    bool has_node;            /* node is the NUMA node it belongs to */
    uint32_t node;
} DeviceFdt;

/* Where a device's part of the ACPI namespace goes. */
typedef struct {
    Aml *aml;         /* open where its objects belong: the function's own Device on PCI, the bus elsewhere */
    const char *path; /* of that scope: "\\_SB.PCI0.S08" */
    unsigned number;  /* of those of its kind that the board has, from 0 */
    const uint32_t *interrupts;
    size_t interrupt_count;
} DeviceAcpi;

/* Why a guest wants the machine to stop. */
typedef enum {
    DEVICE_POWER_OFF,
    DEVICE_POWER_FAIL, /* with a code of the guest's */
    DEVICE_POWER_RESET,
} DevicePower;

/* A model's place on a PCI bus; part of its state struct. */
typedef struct {
    PciFunction fn;
    char *addr; /* as the user gave it, or NULL */
    bool multifunction;
    uint32_t acpi_index; /* for the guest's name of it; 0: none */
} DevicePci;

/* Entries of a table of properties; member is the DevicePci of Type. */
#define DEVICE_PCI_PROPS(Type, member)                                                             \
    {"addr", DEVICE_STRING, offsetof(Type, member.addr), NULL, 0, 0,                               \
     "slot and function on the bus, such as 3 or 3.1"},                                            \
        {"multifunction", DEVICE_BOOL, offsetof(Type, member.multifunction), "off", 0, 0,          \
         "further functions share its slot"},                                                      \
        {"acpi-index", DEVICE_U32, offsetof(Type, member.acpi_index), "0", 0, 16383,               \
         "number that ACPI tells for the device's name: eno1 and so on; 0: none"}

/* What a running device gets from the machine. All borrowed; must outlive the device. */
typedef struct {
    BusSpace *space; /* DMA goes here */
    BusClock *clock;
    /* The guest asks for power-off or reset; any thread, a device lock may be held, so it only
       notes the request. NULL: requests are ignored. */
    void (*power)(void *opaque, DevicePower what, uint32_t code);
    void *opaque;
    /* The guest has let go of a device that a bus was asked to eject; any thread, locks may be held:
       it is taken out later. NULL: nothing is ever ejected. */
    void (*ejected)(void *opaque, Device *dev);
    void *ejected_opaque;
    /* A disk's request failed, and the drive's werror= or rerror= says that the machine stops: the
       device keeps the request until retry. Any thread, a device lock may be held, so it only notes
       it; error is that of errno. NULL: the guest is told of the error. */
    void (*io_error)(void *opaque, Device *dev, bool write, int error);
    void *io_error_opaque;
} DeviceEnv;

struct DeviceType {
    const char *name;    /* as -device says it */
    const char *summary; /* one line */
    size_t size;         /* of the state struct, which begins with a Device */
    const DeviceProp *props;     /* NULL: none */
    const DeviceRegion *regions; /* NULL: none, as for a device that is description only */
    const StateField *saved;     /* NULL: nothing to save */
    const char *slot;   /* -device plugs it into a slot of this kind; NULL: part of a board */
    const char *offers; /* it is a slot, or a bus with several, of this kind; NULL: none */
    /* With offers: what bus= calls it; "%u" is its number among those of its type, "%s" its id. NULL:
       "%s.0" */
    const char *bus_name;
    /* The outer half of a device in two parts: it carries the one device plugged into it onto another
       kind of bus. Made together with that, by its name; never chosen as a slot. */
    bool front;
    bool unlocked; /* the model does its own locking; the core takes no lock around callbacks */
    bool described; /* a description only: no registers, for boards that do not run */
    const char *single; /* a machine has at most one that says this; NULL: any number */
    bool fixed;     /* on a bus that devices come to and leave: this one stays */

    /* Makes what the properties ask for; main thread, before vCPUs run. NULL: nothing. */
    bool (*start)(Device *dev, GError **error);
    /* To the state after power-on; also once after start. vCPUs are stopped. NULL: nothing. */
    void (*reset)(Device *dev);
    /* Undoes start, also a half-done one. NULL: nothing. */
    void (*stop)(Device *dev);
    /* Frees what was made before start, by plug for instance; last of all. NULL: nothing. */
    void (*discard)(Device *dev);
    /* Before saved fields are written: brings them up to date. NULL: they are. */
    void (*saving)(Device *dev);
    /* After saved fields were loaded: check them (a saved state is not trusted) and drive the
       lines and timers that follow from them. NULL: nothing. */
    bool (*loaded)(Device *dev, GError **error);
    /* An input line or message changes; any thread. NULL: the device has no inputs. */
    void (*input)(Device *dev, int n, bool level);
    /* Writes the node(s). NULL: the device has none. Needs no start. */
    void (*fdt)(const Device *dev, const DeviceFdt *ctx);
    /* Writes its part of the ACPI namespace. NULL: it has none (a PCI function is then known by its place
       alone). Needs no start. */
    void (*acpi)(const Device *dev, const DeviceAcpi *ctx);
    /* The virtio side of a model, which a slot shows to the guest; the device has no regions of its
       own then. It stays where it is; used after start. NULL: no virtio device. */
    VirtioDevice *(*virtio)(Device *dev);
    /* With offers: takes a device into this slot, before either is started; false and *error when
       it does not fit. */
    bool (*plug)(Device *slot, Device *dev, GError **error);
    /* With offers: whether there is no room for one more. */
    bool (*plugged)(const Device *slot);
    /* With offers: a device plugged while the machine runs has been started. NULL: the bus takes none
       then. */
    void (*inserted)(Device *slot, Device *dev);
    /* With offers: asks the guest to let a device go; env.ejected follows when it has. NULL: the bus
       lets none go. */
    bool (*eject)(Device *slot, Device *dev, GError **error);
    /* With offers: takes it out; it will be freed. NULL: as inserted. */
    void (*unplug)(Device *slot, Device *dev);
    /* What its DEVICE_DRIVE property says has another node now, or NULL: no medium. On failure all
       stays as it was, and uses the old node; the new one is used by nobody. force: even if the guest
       holds on to the medium. Main thread, while the machine runs or before. NULL: the medium of this
       device cannot be changed. */
    bool (*medium)(Device *dev, bool force, GError **error);
    /* The machine goes on after env.io_error: requests kept are tried again. Main thread. NULL: none is
       ever kept. */
    void (*retry)(Device *dev);
    /* The PCI side of a model whose slot is "pci". start makes the function, with device_bar for
       its regions; it is shown, reset, hidden and freed here. NULL: not on PCI. */
    DevicePci *(*pci)(Device *dev);
};

/* Somebody who looks on as lines change: called with each level that is driven, changed or not, on the
   driving thread, with locks held; must not call into devices. Borrowed; must outlive the device. */
typedef struct {
    void (*level)(void *opaque, int n, bool level);
    void *opaque;
} DeviceWatch;

struct Device {
    const DeviceType *type;
    char *id; /* unique in its machine; for messages and saved state */
    DeviceEnv env;
    Device *bus; /* what it is plugged into, or NULL */
    bool started;
    GArray *out;       /* BusIrq, by output number */
    GPtrArray *places; /* DevicePlace of device_priv.h, one a region */
    pthread_mutex_t lock;
    const DeviceWatch *watch_in, *watch_out; /* NULL: nobody; atomic */
    void *lock_owner; /* a thread's mark while it holds the lock, else NULL; atomic */
};

/* ---- Types --------------------------------------------------------------- */

const DeviceType *device_type_find(const char *name);
/* All types, sorted as in devices.def; NULL-terminated. */
const DeviceType *const *device_types(void);

/* ---- Making and wiring: main thread -------------------------------------- */

/* id is copied. Properties get their defaults. */
Device *device_new(const DeviceType *type, const char *id);
/* Stops and frees. The regions are removed; no vCPU may be running in them. NULL is fine. */
void device_free(Device *dev);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Device, device_free)

/* Sets a property from text, checking type and range. Usage errors name device and property. */
bool device_set(Device *dev, const char *name, const char *value, GError **error);
bool device_set_u64(Device *dev, const char *name, uint64_t value, GError **error);
/* Whether a request of a drive that ended so is to be kept, as io_error has it; read: it was one. */
bool device_keeps(const Device *dev, const DeviceDrive *drive, bool read, int ret);
/* What a property is now, as device_set would take it ("" for what is not set); newly allocated. */
char *device_get(const Device *dev, const DeviceProp *prop);
/* NULL is "no back end". Borrowed: must outlive the device. */
bool device_set_chardev(Device *dev, const char *name, Chardev *chardev, GError **error);
bool device_set_drive(Device *dev, const char *name, const DeviceDrive *drive, GError **error);
bool device_set_rng(Device *dev, const char *name, const DeviceRng *rng, GError **error);
bool device_set_net(Device *dev, const char *name, NetBackend *backend, GError **error);
/* What a type says of a property; NULL with *error (and the nearest name) if there is none. */
const DeviceProp *device_prop(const DeviceType *type, const char *name, GError **error);

/* Connects output line n (of at most 65536), in place of what was there. */
void device_connect(Device *dev, unsigned n, BusIrq irq);
/* The device's input n as a line for others to drive. */
BusIrq device_input(Device *dev, int n);
/* Looks at all inputs or all outputs, besides those they lead to; NULL ends it. For tests. */
void device_watch_inputs(Device *dev, const DeviceWatch *watch);
void device_watch_outputs(Device *dev, const DeviceWatch *watch);
/* Drives output n. Any thread; for models. */
void device_irq(Device *dev, unsigned n, bool level);

/* Says where region n (an index into the type's table) is; device_start maps it. */
void device_place(Device *dev, unsigned region, uint64_t base);
/* Where region n was placed, or UINT64_MAX. */
uint64_t device_base(const Device *dev, unsigned region);

/* Region n of the type's table becomes a part, at offset, of a BAR of the device's PCI function; in
   start. size is the BAR's. */
bool device_bar(Device *dev, unsigned bar, PciBarKind kind, uint64_t size, unsigned region,
                uint64_t offset, GError **error);

/* Maps the placed regions into env->space, starts and resets. env is copied. */
bool device_start(Device *dev, const DeviceEnv *env, GError **error);
void device_reset(Device *dev);
/* Writes the device's description, if it has one. */
void device_fdt(const Device *dev, const DeviceFdt *ctx);
void device_acpi(const Device *dev, const DeviceAcpi *ctx);

void device_save(Device *dev, GByteArray *out);
bool device_load(Device *dev, const uint8_t *data, size_t len, size_t *pos, GError **error);

/* ---- For models ---------------------------------------------------------- */

/* The device's lock, for callbacks that come from elsewhere (chardev handlers). */
void device_lock(Device *dev);
void device_unlock(Device *dev);

/* A timer whose callback gets the device and holds its lock (unless unlocked). Made in start and
   freed in stop, which runs without the lock. */
typedef struct DeviceTimer DeviceTimer;
DeviceTimer *device_timer_new(Device *dev, void (*fire)(Device *dev));
void device_timer_free(DeviceTimer *timer);
void device_timer_set(DeviceTimer *timer, int64_t deadline);
void device_timer_cancel(DeviceTimer *timer);

/* What interrupts, the coherence of DMA, the secure world and NUMA add to a node. */
void device_fdt_common(const DeviceFdt *ctx, const char *path);
/* "interrupts" alone: the cells of each as ctx->irq_kind has them. */
void device_fdt_interrupts(const DeviceFdt *ctx, const char *path);
/* The clock of an Arm PrimeCell's bus, and its second compatible string. names: of its clocks. */
void device_fdt_primecell(const DeviceFdt *ctx, const char *path, const char *compatible,
                          const char *first_clock);
/* A node "parent/name@base" for region 0 with reg, interrupt-parent and interrupts as ctx has them,
   and the phandle if it has one. Returns its path, newly allocated. reg_size 0: the region's. */
char *device_fdt_node(const Device *dev, const DeviceFdt *ctx, const char *name,
                      uint64_t reg_size);
