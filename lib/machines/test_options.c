/* SPDX-License-Identifier: MIT */
/* -M, -smp and -m: what they mean and what they refuse, in the words QEMU users know. */
#include "machines/machine.h"

#include <string.h>

static MachineOptions *options(void)
{
    g_autoptr(GError) error = NULL;
    MachineOptions *o = machine_options_new("riscv64", &error);
    g_assert_no_error(error);
    return o;
}

/* Parses and checks; returns the error's text, or NULL. */
static char *try(const char *machine, const char *smp, const char *mem, MachineOptions *o)
{
    GError *error = NULL;
    bool ok = (!machine || machine_options_parse_machine(o, "riscv64", machine, &error)) &&
              (!smp || machine_options_parse_smp(o, smp, &error)) &&
              (!mem || machine_options_parse_memory(o, mem, &error)) &&
              machine_options_check(o, &error);
    g_assert_true(ok == (error == NULL));
    char *text = error ? g_strdup(error->message) : NULL;
    g_clear_error(&error);
    return text;
}

static void good(const char *machine, const char *smp, const char *mem, MachineSmp want,
                 uint64_t ram)
{
    g_autoptr(MachineOptions) o = options();
    g_autofree char *text = try(machine, smp, mem, o);
    g_assert_cmpstr(text, ==, NULL);
    g_assert_cmpmem(&o->smp, sizeof want, &want, sizeof want);
    g_assert_cmpuint(o->ram_size, ==, ram);
}

static void bad(const char *machine, const char *smp, const char *mem, const char *want)
{
    g_autoptr(MachineOptions) o = options();
    g_autofree char *text = try(machine, smp, mem, o);
    g_assert_nonnull(text);
    if (!strstr(text, want))
        g_assert_cmpstr(text, ==, want);
}

#define MIB (UINT64_C(1) << 20)

static void test_smp(void)
{
    good(NULL, NULL, NULL, (MachineSmp){1, 1, 1, 1, 1, 1, 1}, 128 * MIB);
    good(NULL, "4", NULL, (MachineSmp){4, 1, 1, 1, 4, 1, 4}, 128 * MIB);
    good(NULL, "512", NULL, (MachineSmp){512, 1, 1, 1, 512, 1, 512}, 128 * MIB);
    good(NULL, "cpus=4,sockets=2", NULL, (MachineSmp){4, 2, 1, 1, 2, 1, 4}, 128 * MIB);
    good(NULL, "sockets=2,cores=3,threads=2", NULL, (MachineSmp){12, 2, 1, 1, 3, 2, 12}, 128 * MIB);
    good(NULL, "2,maxcpus=8", NULL, (MachineSmp){2, 1, 1, 1, 8, 1, 8}, 128 * MIB);
    good(NULL, "8,cores=2,threads=2", NULL, (MachineSmp){8, 2, 1, 1, 2, 2, 8}, 128 * MIB);
    bad(NULL, "513", NULL, "Invalid SMP CPUs 513. The max CPUs supported by machine 'virt' is 512");
    bad(NULL, "2,sockets=2,cores=2", NULL,
        "Invalid CPU topology: product of the hierarchy must match maxcpus: sockets (2) * cores (2) "
        "* threads (0) != maxcpus (2)");
    bad(NULL, "5,sockets=2", NULL,
        "Invalid CPU topology: product of the hierarchy must match maxcpus: sockets (2) * cores (2) "
        "* threads (1) != maxcpus (5)");
    bad(NULL, "4,maxcpus=2", NULL,
        "Invalid CPU topology: maxcpus must be equal to or greater than smp: sockets (1) * cores (2) "
        "* threads (1) == maxcpus (2) < smp_cpus (4)");
    bad(NULL, "0", NULL, "must be greater than zero");
    bad(NULL, "2,dies=2", NULL, "dies not supported by this machine's CPU topology");
    bad(NULL, "4,foo=1", NULL, "Parameter 'smp.foo' is unexpected");
    bad(NULL, "x", NULL, "Parameter 'smp.cpus' expects integer");
    bad(NULL, "cores=1048576,sockets=1048576,threads=1048576", NULL, "Invalid");
    bad(NULL, "99999999999999999999", NULL, "expects integer");
}

static void test_memory(void)
{
    MachineSmp one = {1, 1, 1, 1, 1, 1, 1};
    good(NULL, NULL, "512", one, 512 * MIB);
    good(NULL, NULL, "512M", one, 512 * MIB);
    good(NULL, NULL, "2g", one, 2048 * MIB);
    good(NULL, NULL, "1.5G", one, 1536 * MIB);
    good(NULL, NULL, "0", one, 128 * MIB);
    good(NULL, NULL, "1T", one, 1024 * 1024 * MIB);
    good(NULL, NULL, "size=1G,maxmem=4G,slots=2", one, 1024 * MIB);
    good(NULL, NULL, "33554433b", one, 32 * MIB + 8192);
    bad(NULL, NULL, "1x", "-m 1x: Parameter 'size' expects a non-negative number below 2^64");
    bad(NULL, NULL, "-1", "expects a non-negative number");
    bad(NULL, NULL, "99999999999999999999", "expects a non-negative number");
    bad(NULL, NULL, "16E", "expects a non-negative number");
    bad(NULL, NULL, "1G,maxmem=512M",
        "maximum memory size (0x20000000) must be at least the initial "
                                      "memory size (0x40000000)");
    bad(NULL, NULL, "1G,slots=2", "slots specified but no max-size");
    bad(NULL, NULL, "1,foo=2", "-m 1,foo=2: Invalid parameter 'foo'");
    bad(NULL, NULL, "1M", "at least 4 MiB");
    bad(NULL, NULL, "128P", "do not fit in the address space of machine 'virt'");
}

static void test_machine(void)
{
    MachineSmp one = {1, 1, 1, 1, 1, 1, 1};
    good("virt", NULL, NULL, one, 128 * MIB);
    good("type=virt,aclint=on", NULL, NULL, one, 128 * MIB);
    good("aclint=off", NULL, NULL, one, 128 * MIB);
    bad("nosuch", NULL, NULL, "unsupported machine type");
    bad("virt,foo=1", NULL, NULL, "Property 'virt-machine.foo' not found");
    good("virt,usb=off,dump-guest-core=off,mem-merge=on", NULL, NULL, one, 128 * MIB);
    bad("virt,usb=on", NULL, NULL, "machine 'virt' has no USB controller");
    bad("virt,aclint=maybe", NULL, NULL, "Parameter 'aclint' expects 'on' or 'off'");
    g_autoptr(MachineOptions) o = options();
    g_autofree char *text = try("virt,dumpdtb=a,,b.dtb", NULL, NULL, o);
    g_assert_null(text);
    g_assert_cmpstr(o->dumpdtb, ==, "a,b.dtb");
    g_assert_null(machine_options_new("z80", NULL));
    g_autofree char *help = machine_help("riscv64");
    g_assert_nonnull(strstr(help, "virt "));
    g_autofree char *props = machine_props_help(o->type);
    g_assert_nonnull(strstr(props, "aclint=<bool>"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/options/smp", test_smp);
    g_test_add_func("/options/memory", test_memory);
    g_test_add_func("/options/machine", test_machine);
    return g_test_run();
}
