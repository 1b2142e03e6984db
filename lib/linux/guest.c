/* SPDX-License-Identifier: MIT */
/* Strings of the guest, copied with limits as the kernel has them. */
#include <string.h>

#include "linux/linux_priv.h"

#define STRINGS_MAX ((size_t)8 << 20) /* bytes of arguments or environment, with their pointers */
#define STRING_MAX ((size_t)128 << 10)
#define STEP ((size_t)256)

int guest_string(uint64_t addr, size_t max, char **out)
{
    g_autoptr(GString) s = g_string_new(NULL);
    char part[STEP];
    while (s->len < max) {
        /* not past the end of a page: what is behind may not be there */
        size_t n = MIN(STEP - (addr & (STEP - 1)), max - s->len);
        if (guest_read(part, addr, n))
            return -EFAULT;
        const char *end = memchr(part, 0, n);
        g_string_append_len(s, part, end ? end - part : (gssize)n);
        if (end) {
            *out = g_string_free(g_steal_pointer(&s), FALSE);
            return 0;
        }
        addr += n;
    }
    return -ENAMETOOLONG;
}

int guest_strings(uint64_t addr, char ***out)
{
    g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func(g_free);
    size_t total = 0;
    uint64_t p;
    while (addr) {
        char *s;
        if (guest_read(&p, addr + 8 * list->len, sizeof p))
            return -EFAULT;
        if (!p)
            break;
        int wrong = guest_string(p, STRING_MAX, &s);
        if (wrong)
            return wrong == -ENAMETOOLONG ? -E2BIG : wrong;
        g_ptr_array_add(list, s);
        total += strlen(s) + 1 + sizeof p;
        if (total > STRINGS_MAX)
            return -E2BIG;
    }
    g_ptr_array_add(list, NULL);
    *out = (char **)g_ptr_array_free(g_steal_pointer(&list), FALSE);
    return 0;
}
