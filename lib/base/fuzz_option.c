/* SPDX-License-Identifier: MIT */
/* Option lists and sizes from any text: every item given can be read back and no getter
 * touches memory that is not its own. */
#include "base/option.h"
#include "base/size.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_all(const char *text, const char *implied)
{
    static const char *const names[] = { "one", "two", NULL };
    g_autoptr(Options) o = options_parse(text, implied, NULL);
    const char *key, *value;
    uint64_t number;
    bool flag;
    int index;

    if (!o)
        return;
    options_get(o, "drive");
    options_done(o, NULL);
    for (unsigned i = 0; options_item(o, i, &key, &value); i++) {
        g_assert_nonnull(options_get(o, key));
        options_get_bool(o, key, &flag, NULL);
        options_get_size(o, key, 1 << 20, &number, NULL);
        options_get_number(o, key, 0, UINT64_MAX, &number, NULL);
        options_get_enum(o, key, names, &index, NULL);
        if (size_parse(value, &number, NULL)) {
            g_autofree char *exact = size_format_exact(number);
            uint64_t again = ~number;
            g_assert_true(size_parse(exact, &again, NULL) && again == number);
        }
        if (i == 50)
            break; /* each step is linear in the list */
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    read_all(text, NULL);
    read_all(text, "driver");
    return 0;
}
