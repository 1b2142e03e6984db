/* SPDX-License-Identifier: MIT */
/* The list of guest ISAs and its look-ups; the members are in guest.def. */
#include "guest/guest.h"

#include <string.h>

#define ISA(name) extern const GuestIsa name##_isa;
#include "guest/guest.def"
#undef ISA

const GuestIsa *const *guest_isas(void)
{
    static const GuestIsa *const isas[] = {
#define ISA(name) &name##_isa,
#include "guest/guest.def"
#undef ISA
        NULL,
    };
    return isas;
}

const GuestIsa *guest_isa_by_name(const char *name)
{
    for (const GuestIsa *const *i = guest_isas(); *i; i++)
        if (!strcmp((*i)->name, name))
            return *i;
    return NULL;
}

const GuestIsa *guest_isa_by_elf(unsigned machine, unsigned elf_class, bool big_endian)
{
    for (const GuestIsa *const *i = guest_isas(); *i; i++) {
        if ((*i)->elf_class != elf_class || (*i)->big_endian != big_endian)
            continue;
        for (const uint16_t *m = (*i)->elf_machines; *m; m++)
            if (*m == machine)
                return *i;
    }
    return NULL;
}
