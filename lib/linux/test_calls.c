/* SPDX-License-Identifier: MIT */
/* The tables of system calls: complete, in order, and with letters that -strace knows. */
#include <string.h>

#include "linux/call_priv.h"
#include "linux/host_numbers.h"
#include "linux/strace_priv.h"

static const LinuxNumber generic[] = {
#define N(number, name) {number, CALL_##name},
#include "linux/numbers_generic.def"
#undef N
};

static void test_order(void)
{
    for (unsigned i = 1; i < G_N_ELEMENTS(generic); i++)
        g_assert_cmpint(generic[i - 1].number, <, generic[i].number);
}

static void test_each_call_has_a_number(void)
{
    bool seen[CALLS] = { false };
    for (unsigned i = 0; i < G_N_ELEMENTS(generic); i++) {
        g_assert_false(seen[generic[i].call]);
        seen[generic[i].call] = true;
    }
    for (unsigned i = 0; i < CALLS; i++)
        g_assert_true(seen[i]);
}

/* No call of the generic table is left out: 0 to 294 but for the gaps, and 424 on. */
static void test_no_gaps(void)
{
    unsigned next = 0;
    for (unsigned i = 0; i < G_N_ELEMENTS(generic); i++) {
        unsigned number = generic[i].number;
        if (next == 244)
            next = 258; /* an ISA's own: riscv has two */
        if (next == 295)
            next = 424;
        g_assert_cmpint(number, ==, next);
        next = number + 1;
    }
    g_assert_cmpint(next, >, 462);
}

static void test_numbers_of_the_host(void)
{
    static const struct {
        const char *name;
        int number;
    } some[] = { { "read", SYS_read }, { "openat", -1 }, { "mseal", 462 }, { "futex", SYS_futex },
                 { "ptrace", -1 } };
    for (unsigned i = 0; i < G_N_ELEMENTS(some); i++) {
        unsigned at = 0;
        while (strcmp(linux_calls[at].name, some[i].name))
            g_assert_cmpuint(++at, <, CALLS);
        g_assert_cmpint(linux_calls[at].host, ==, some[i].number);
    }
    for (unsigned i = 0; i < CALLS; i++)
        if (linux_calls[i].fn)
            g_assert_cmpint(linux_calls[i].host, ==, -1);
    /* from 424 on all ISAs have one number */
    for (unsigned i = 0; i < G_N_ELEMENTS(generic); i++)
        if (generic[i].number >= 424 && linux_calls[generic[i].call].host >= 0)
            g_assert_cmpint(linux_calls[generic[i].call].host, ==, generic[i].number);
}

static void test_letters(void)
{
    for (unsigned i = 0; i < CALLS; i++) {
        const char *args = linux_calls[i].args;
        args += *args && strchr("~<>=!", *args) ? 1 : 0;
        g_assert_cmpuint(strcspn(args, "@"), <=, 6);
        g_assert_cmpuint(strspn(args, "dluxXopsyzbBSivVfatT2NngGPHOAEhMmCwDYWFRkeqrc@"), ==,
                         strlen(args));
    }
}

static void test_find(void)
{
    LinuxAbi abi = { .numbers = generic, .n_numbers = G_N_ELEMENTS(generic) };
    LinuxProcess p = { .abi = &abi };
    for (unsigned i = 0; i < G_N_ELEMENTS(generic); i++)
        g_assert_true(linux_call_find(&p, generic[i].number) == &linux_calls[generic[i].call]);
    g_assert_null(linux_call_find(&p, 300));
    g_assert_null(linux_call_find(&p, 70000));
    g_assert_null(linux_call_find(&p, UINT64_MAX));
}

static void test_ioctls(void)
{
    static const struct {
        uint32_t number;
        const char *name;
    } requests[] = {
#define IOCTL(number, name, kind) {number, #name},
#include "linux/ioctl.def"
#undef IOCTL
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(requests); i++)
        g_assert_cmpstr(strace_ioctl_name(requests[i].number), ==, requests[i].name);
    g_assert_cmpstr(strace_ioctl_name(0x5413), ==, "TIOCGWINSZ");
    g_assert_null(strace_ioctl_name(0x12345678));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/calls/order", test_order);
    g_test_add_func("/calls/each has a number", test_each_call_has_a_number);
    g_test_add_func("/calls/no gaps", test_no_gaps);
    g_test_add_func("/calls/host's numbers", test_numbers_of_the_host);
    g_test_add_func("/calls/letters", test_letters);
    g_test_add_func("/calls/find", test_find);
    g_test_add_func("/calls/ioctls", test_ioctls);
    return g_test_run();
}
