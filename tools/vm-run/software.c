/* SPDX-License-Identifier: MIT */
/* Files to MachineBoot, and the choice of the guest's ISA. */
#include "software.h"

#include "base/error.h"

#include <string.h>

bool software_load(Software *s, const RunOptions *o, GError **error)
{
    MachineBoot *b = &s->boot;
    b->mode = MACHINE_FIRMWARE_BUILTIN;
    if (o->kernel) {
        g_autoptr(GBytes) bytes = load_read(o->kernel, LOAD_MAX, error);
        if (!bytes || !(s->kernel_file = load_unpack(bytes, o->kernel, error)) ||
            !(s->kernel = load_image(s->kernel_file, o->kernel, error)))
            return prefix(error, "-kernel");
        b->kernel = s->kernel;
        b->kernel_file = s->kernel_file;
    }
    if (o->bios && !strcmp(o->bios, "none")) {
        b->mode = MACHINE_FIRMWARE_NONE;
    } else if (o->bios && strcmp(o->bios, "default")) {
        b->mode = MACHINE_FIRMWARE_FILE;
        if (!(s->firmware = load_image_file(o->bios, error)))
            return prefix(error, "-bios");
        b->firmware = s->firmware;
    }
    if (o->initrd && !o->kernel)
        return fail_usage(error, "-initrd needs -kernel");
    if (o->append && !o->kernel)
        return fail_usage(error, "-append needs -kernel");
    if (o->initrd && !(s->initrd = load_read(o->initrd, LOAD_MAX, error)))
        return prefix(error, "-initrd");
    if (o->dtb && !(s->dtb = load_read(o->dtb, 64 << 20, error)))
        return prefix(error, "-dtb");
    b->initrd = s->initrd;
    b->initrd_name = o->initrd;
    b->append = o->append;
    b->dtb = s->dtb;
    b->dtb_name = o->dtb;
    return true;
}

static char *isa_names(void)
{
    GString *s = g_string_new(NULL);
    for (const GuestIsa *const *i = guest_isas(); *i; i++)
        if ((*i)->reset)
            g_string_append_printf(s, "%s%s", s->len ? ", " : "", (*i)->name);
    /* Those that there are only descriptions for. */
    g_autofree const char **isas = machine_isas();
    for (const char **isa = isas; *isa; isa++) {
        const GuestIsa *guest = guest_isa_by_name(*isa);
        if (!guest || !guest->reset)
            g_string_append_printf(s, "%s%s", s->len ? ", " : "", *isa);
    }
    return g_string_free(s, FALSE);
}

static bool same_isa(const LoadImage *image, const char *arch, const char *why, GError **error)
{
    if (!image || !image->id.arch || !strcmp(image->id.arch, arch))
        return true;
    return fail_usage(error, "%s: %s for %s, but %s says %s", image->name,
                      load_kind_text(image->id.kind), image->id.arch, why, arch);
}

/* The ISA of the board that -M names; NULL: none, or it cannot be told. */
static const char *isa_of_board(const RunOptions *o)
{
    g_autofree char *board = NULL;
    for (guint i = 0; i < o->machine->len; i++) {
        const char *text = o->machine->pdata[i];
        g_autofree char *first = g_strndup(text, strcspn(text, ","));
        if (strchr(first, '='))
            continue;
        g_free(board);
        board = g_steal_pointer(&first);
    }
    return board ? machine_isa_of_board(board) : NULL;
}

const char *software_arch(const Software *s, const RunOptions *o, GError **error)
{
    const char *arch = NULL, *why = NULL;
    if (o->arch) {
        arch = o->arch;
        why = "--arch";
    } else if (o->called_arch) {
        arch = o->called_arch;
        why = "the program's name";
    } else if (s->kernel && s->kernel->id.arch) {
        arch = s->kernel->id.arch;
        why = "the kernel";
    } else if (s->firmware && s->firmware->id.arch) {
        arch = s->firmware->id.arch;
        why = "the firmware";
    } else if (!s->kernel && !s->firmware && (arch = isa_of_board(o))) {
        why = "the board";
    }
    if (!arch) {
        fail_usage(error, o->kernel || o->bios
                   ? "%s does not say which ISA it is for: give --arch"
                   : "nothing to run: give -kernel or -bios (-help has examples)",
                   o->kernel ? o->kernel : o->bios);
        return NULL;
    }
    g_autofree const MachineType **boards = machine_types(arch);
    if (!guest_isa_by_name(arch) && !boards[0]) {
        g_autofree char *names = isa_names();
        fail_usage(error, "%s: no guest ISA '%s' (there are: %s)", why, arch, names);
        return NULL;
    }
    if (!same_isa(s->kernel, arch, why, error) || !same_isa(s->firmware, arch, why, error))
        return NULL;
    return arch;
}

void software_clear(Software *s)
{
    g_clear_pointer(&s->kernel, load_image_free);
    g_clear_pointer(&s->kernel_file, g_bytes_unref);
    g_clear_pointer(&s->firmware, load_image_free);
    g_clear_pointer(&s->initrd, g_bytes_unref);
    g_clear_pointer(&s->dtb, g_bytes_unref);
}
