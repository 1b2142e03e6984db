/* SPDX-License-Identifier: MIT */
/*
 * riscv_hwprobe (Documentation/arch/riscv/hwprobe.rst): what the CPUs can do, by keys. All CPUs of the guest
 * are alike, so which of them are asked about only matters for errors. What they have is read from the
 * ISA string of /proc/cpuinfo.
 */
#include <string.h>

#include "linux/call_priv.h"

enum { /* keys */
    MVENDORID = 0, MARCHID = 1, MIMPID = 2, BASE_BEHAVIOR = 3, IMA_EXT_0 = 4, CPUPERF_0 = 5,
    ZICBOZ_BLOCK_SIZE = 6, HIGHEST_VIRT_ADDRESS = 7, TIME_CSR_FREQ = 8, MISALIGNED_SCALAR_PERF = 9,
};
enum { BASE_IMA = 1, MISALIGNED_FAST = 3, CBOZ_BLOCK = 64, WHICH_CPUS = 1, MAX_PAIRS = 4096 };

typedef struct Pair {
    int64_t key;
    uint64_t value;
} Pair;

/* Whether extension name is in "rv64imafdc_zicsr_zba...". */
static bool has(const char *isa, const char *name)
{
    const char *rest = isa + strcspn(isa, "_");
    if (!name[1]) {
        const char *letter = strchr(isa + 4, name[0]);
        return letter && letter < rest;
    }
    size_t n = strlen(name);
    for (; *rest; rest += 1 + strcspn(rest + 1, "_"))
        if (!strncmp(rest + 1, name, n) && (!rest[1 + n] || rest[1 + n] == '_'))
            return true;
    return false;
}

static uint64_t extensions(const char *isa)
{
    static const struct {
        const char *name;
        uint8_t bit;
    } bits[] = { /* RISCV_HWPROBE_EXT_* */
        { "c", 1 }, { "v", 2 }, { "zba", 3 }, { "zbb", 4 }, { "zbs", 5 }, { "zicboz", 6 },
        { "zbc", 7 }, { "zbkb", 8 }, { "zbkc", 9 }, { "zbkx", 10 }, { "zknd", 11 }, { "zkne", 12 },
        { "zknh", 13 }, { "zksed", 14 }, { "zksh", 15 }, { "zkt", 16 }, { "zfh", 27 },
        { "zfhmin", 28 }, { "zihintntl", 29 }, { "zfa", 32 }, { "ztso", 33 }, { "zacas", 34 },
        { "zicond", 35 }, { "zihintpause", 36 },
    };
    uint64_t value = has(isa, "f") && has(isa, "d");
    for (unsigned i = 0; i < G_N_ELEMENTS(bits); i++)
        if (has(isa, bits[i].name))
            value |= UINT64_C(1) << bits[i].bit;
    return value;
}

static void answer(const LinuxProcess *p, const char *isa, Pair *pair)
{
    switch (pair->key) {
    case MVENDORID: case MARCHID: case MIMPID: pair->value = 0; break;
    case BASE_BEHAVIOR: pair->value = has(isa, "m") && has(isa, "a") ? BASE_IMA : 0; break;
    case IMA_EXT_0: pair->value = extensions(isa); break;
    case CPUPERF_0: case MISALIGNED_SCALAR_PERF: pair->value = MISALIGNED_FAST; break;
    case ZICBOZ_BLOCK_SIZE: pair->value = has(isa, "zicboz") ? CBOZ_BLOCK : 0; break;
    case HIGHEST_VIRT_ADDRESS: pair->value = p->abi->mmap_top + 4095; break;
    case TIME_CSR_FREQ: pair->value = LINUX_TIMEBASE; break;
    default: *pair = (Pair){ -1, 0 };
    }
}

int64_t call_riscv_hwprobe(LinuxThread *t, const uint64_t a[6])
{
    const LinuxProcess *p = t->process;
    uint64_t count = a[1];
    if (a[4] & ~(uint64_t)WHICH_CPUS || count > MAX_PAIRS)
        return -EINVAL;
    if (a[4] && (!a[2] || !a[3])) /* to be narrowed down: to what? */
        return -EINVAL;
    if (!a[4] && !a[2] != !a[3])
        return -EINVAL;
    g_autoptr(GString) info = g_string_new(NULL);
    p->abi->cpuinfo(t->cpu, info);
    const char *found = strstr(info->str, "isa\t\t: ");
    g_autofree char *isa = found ? g_strndup(found + 7, strcspn(found + 7, "\n")) : g_strdup("rv64");

    for (uint64_t i = 0; i < count; i++) {
        Pair pair, wanted;
        if (guest_read(&pair, a[0] + i * sizeof pair, sizeof pair))
            return -EFAULT;
        wanted = pair;
        answer(p, isa, &pair);
        if (a[4] && pair.value != wanted.value) { /* no CPU is so */
            static const uint8_t none[128];
            return guest_write(a[3], none, MIN(a[2], sizeof none));
        }
        if (!a[4] && guest_write(a[0] + i * sizeof pair, &pair, sizeof pair))
            return -EFAULT;
    }
    return 0;
}
