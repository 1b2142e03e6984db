/* SPDX-License-Identifier: MIT */
/* The vDSO's image, read by the host's own tools for such files: dlopen takes one built for it. */
#include <dlfcn.h>
#include <elf.h>
#include <sys/mman.h>
#include <unistd.h>

#include "linux/linux_priv.h"
#include "linux/vdso.h"

static void test_loads(void)
{
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__)
    /* two functions of the host's machine: they give 42, and their argument plus 1 */
    static const uint8_t code[] = {0xb8, 42, 0, 0, 0, 0xc3, 0, 0, 0x8d, 0x47, 1, 0xc3};
    static const VdsoSymbol symbols[] = {{"answer", 0, 6}, {"next", 8, 4}};
    uint64_t at;
    g_autoptr(GBytes) image = vdso_build(EM_X86_64, 0, "LATHE_1", symbols, 2, code, sizeof code,
                                         &at);
    gsize size;
    const void *data = g_bytes_get_data(image, &size);
    int fd = memfd_create("vdso", MFD_CLOEXEC);
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);
    g_assert_cmpint(write(fd, data, size), ==, (ssize_t)size);
    void *library = dlopen(path, RTLD_NOW);
    if (!library)
        g_error("%s", dlerror());
    int (*answer)(void) = NULL, (*next)(int) = NULL;
    *(void **)&answer = dlvsym(library, "answer", "LATHE_1");
    *(void **)&next = dlvsym(library, "next", "LATHE_1");
    g_assert_nonnull(answer);
    g_assert_cmpint(answer(), ==, 42);
    g_assert_nonnull(next);
    g_assert_cmpint(next(6), ==, 7);
    g_assert_null(dlvsym(library, "answer", "LATHE_2"));
    g_assert_null(dlsym(library, "nothing"));
    dlclose(library);
    close(fd);
#else
    g_test_skip("the test's code is for x86-64 without sanitizers");
#endif
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vdso/loads", test_loads);
    return g_test_run();
}
