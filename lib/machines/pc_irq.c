/* SPDX-License-Identifier: MIT */
/*
 * How PCI's four interrupt pins reach lines. PIIX3 has four links, A to D, that software leads to a line
 * each; ICH9 has eight, which in APIC mode are lines 16 to 23 for good. A slot's pins take the links in
 * turn, one further with each slot (PCI 3.0 2.2.6), but for the slots of ICH9's own functions.
 */
#include "machines/pc_priv.h"

enum { SLOTS = 32, PINS = 4 };
enum { GSI_FIRST = 16 };
/* ICH9's functions from here on have links A to D, but for the old bridge to PCI. */
enum { ICH9_FIRST = 0x19, ICH9_BRIDGE = 0x1e };

/* ---- Links --------------------------------------------------------------------------------- */

/* A link whose register says which line it leads to; bit 7: to none. */
static void link_routed(Aml *a, char letter, const char *reg, unsigned uid)
{
    static const uint32_t lines[] = {5, 10, 11};
    g_autofree char *name = g_strdup_printf("LNK%c", letter);
    aml_device(a, name);
    aml_name_eisaid(a, "_HID", "PNP0C0F");
    aml_name_int(a, "_UID", uid);
    aml_resources(a, "_PRS");
    aml_interrupts(a, AML_SHARED, lines, G_N_ELEMENTS(lines));
    aml_end(a);
    aml_asl(a, "Method (_STA) { Return (IQST (%s)) }"
               "Method (_DIS) { %s |= 0x80 }"
               "Method (_CRS) { Return (IQCR (%s)) }"
               "Method (_SRS, 1, Serialized) { CreateDWordField (Arg0, 5, LINE) %s = LINE }",
            reg, reg, reg, reg);
    aml_end(a);
}

/* A link with one line that nobody changes. */
static void link_fixed(Aml *a, const char *name, unsigned uid, uint32_t line, bool sta)
{
    aml_device(a, name);
    aml_name_eisaid(a, "_HID", "PNP0C0F");
    aml_name_int(a, "_UID", uid);
    for (unsigned i = 0; i < 2; i++) {
        aml_resources(a, i ? "_CRS" : "_PRS");
        aml_interrupts(a, AML_SHARED, &line, 1);
        aml_end(a);
    }
    if (sta)
        aml_name_int(a, "_STA", 0xb);
    aml_asl(a, "Method (_DIS) { } Method (_SRS, 1) { }");
    aml_end(a);
}

/* IQST: a link's _STA of its register. IQCR: its _CRS; the descriptor's line is at 5. */
static void link_methods(Aml *a, bool masks)
{
    static const uint32_t none = 0;
    aml_asl(a, "Method (IQST, 1) { If (Arg0 & 0x80) { Return (9) } Return (0x0B) }");
    aml_method(a, "IQCR", 1, true);
    aml_resources(a, "RES");
    aml_interrupts(a, AML_SHARED, &none, 1);
    aml_end(a);
    aml_asl(a, "CreateDWordField (RES, 5, LINE)");
    if (masks)
        aml_asl(a, "LINE = Arg0 & 0x0F");
    else
        aml_asl(a, "If (Arg0 < 0x80) { LINE = Arg0 }");
    aml_asl(a, "Return (RES)");
    aml_end(a);
}

void pc_irq_links(const Pc *pc, Aml *a)
{
    unsigned links = pc->q35 ? 8 : 4;
    aml_scope(a, "\\_SB");
    link_methods(a, pc->q35);
    for (unsigned i = 0; i < links; i++) {
        g_autofree char *reg = pc->q35 ? g_strdup_printf("PRQ%c", 'A' + i) : g_strdup_printf("PRQ%u", i);
        link_routed(a, (char)('A' + i), reg, i);
    }
    if (!pc->q35)
        link_fixed(a, "LNKS", 4, 9, true); /* power management's own */
    for (unsigned i = 0; pc->q35 && i < 8; i++) {
        g_autofree char *name = g_strdup_printf("GSI%c", 'A' + i);
        link_fixed(a, name, GSI_FIRST + i, GSI_FIRST + i, false);
    }
    aml_end(a);
}

/* ---- Routing ----------------------------------------------------------------------------------- */

typedef char LinkOf(unsigned slot, unsigned pin);

/* The link of a pin of a slot of ICH9's root bus. */
static char link_ich9(unsigned slot, unsigned pin)
{
    if (slot >= ICH9_FIRST && slot != ICH9_BRIDGE)
        return (char)('A' + pin);
    return (char)('E' + (slot + pin) % PINS);
}

/* Behind a further host bridge of ICH9 all slots take turns. */
static char link_extra(unsigned slot, unsigned pin)
{
    return (char)('E' + (slot + pin) % PINS);
}

/* PIIX3's slot 1 begins with link A; power management there has a line of its own. */
static char link_piix(unsigned slot, unsigned pin)
{
    if (slot == 1 && pin == 0)
        return 'S';
    return (char)('A' + (slot + pin + PINS - 1) % PINS);
}

static char link_piix_extra(unsigned slot, unsigned pin)
{
    return (char)('A' + (slot + pin + PINS - 1) % PINS);
}

static void routes(Aml *a, const char *name, const char *kind, LinkOf *link)
{
    aml_name_package(a, name, SLOTS * PINS);
    for (unsigned slot = 0; slot < SLOTS; slot++) {
        for (unsigned pin = 0; pin < PINS; pin++) {
            g_autofree char *to = g_strdup_printf("\\_SB.%s%c", kind, link(slot, pin));
            aml_package(a, 4);
            aml_int(a, slot << 16 | 0xffff);
            aml_int(a, pin);
            aml_ref(a, to);
            aml_int(a, 0);
            aml_end(a);
        }
    }
    aml_end(a);
}

static void routes_by_mode(Aml *a, LinkOf *link)
{
    routes(a, "PRTP", "LNK", link);
    routes(a, "PRTA", "GSI", link);
    aml_asl(a, "Method (_PRT) { If (\\PICF == 0) { Return (PRTP) } Return (PRTA) }");
}

void pc_irq_root(const Pc *pc, Aml *a)
{
    if (pc->q35)
        routes_by_mode(a, link_ich9);
    else
        routes(a, "_PRT", "LNK", link_piix);
}

void pc_irq_extra_root(const Pc *pc, Aml *a)
{
    if (pc->q35)
        routes_by_mode(a, link_extra);
    else
        routes(a, "_PRT", "LNK", link_piix_extra);
}
