/* SPDX-License-Identifier: MIT */
/*
 * SMBIOS structures and both entry points. Handles: type number << 8 for those of which a machine
 * has few; memory devices from 0x1100 and their ranges from 0x1300, which move up when there are
 * more than 512 devices, so that none is given twice below 0x2000 (boot information).
 */
#include "acpi/smbios_priv.h"

#include "base/bytes.h"
#include "base/error.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

enum {
    HANDLE_ARRAY = 0x1000, HANDLE_DEVICE = 0x1100, HANDLE_RANGE = 0x1300, HANDLE_BOOT = 0x2000,
    DEVICES_BEFORE_RANGES = HANDLE_RANGE - HANDLE_DEVICE,
};
enum { ANCHOR_32 = 31, ANCHOR_64 = 24, DUMP_TABLES_AT = 32 };

/* A structure being written. */
typedef struct {
    GByteArray *out; /* all */
    guint start;
    GString *strings;
    uint8_t string_count;
} Structure;

typedef struct {
    GByteArray *bytes;
    unsigned count;
    size_t largest;
    const SmbiosOptions *o;
    const SmbiosMachine *m;
} Builder;

/* ---- One structure --------------------------------------------------------------------- */

static Structure begin(Builder *b, uint8_t type, uint16_t handle)
{
    const uint8_t head[4] = {type, 0, (uint8_t)handle, (uint8_t)(handle >> 8)};
    Structure s = {b->bytes, b->bytes->len, g_string_new(NULL), 0};
    g_byte_array_append(b->bytes, head, sizeof head);
    return s;
}

static void put(Structure *s, unsigned size, uint64_t value)
{
    uint8_t bytes[8];
    st_le64(bytes, value);
    g_byte_array_append(s->out, bytes, size);
}

static void put_zero(Structure *s, unsigned count)
{
    while (count--)
        put(s, 1, 0);
}

/* The number of a string; 0 when there is none. */
static void put_string(Structure *s, const char *text)
{
    if (!text || !*text) {
        put(s, 1, 0);
        return;
    }
    g_string_append_len(s->strings, text, (gssize)strlen(text) + 1);
    put(s, 1, ++s->string_count);
}

static void finish(Builder *b, Structure *s)
{
    s->out->data[s->start + 1] = (uint8_t)(s->out->len - s->start);
    if (!s->string_count)
        put(s, 1, 0);
    g_byte_array_append(s->out, (const guint8 *)s->strings->str, (guint)s->strings->len);
    put(s, 1, 0);
    g_string_free(s->strings, TRUE);
    b->count++;
    b->largest = MAX(b->largest, s->out->len - s->start);
}

static const char *field(const Builder *b, int kind, const char *name)
{
    return smbios_field(b->o, kind, name);
}

static const char *field_or(const Builder *b, int kind, const char *name, const char *def)
{
    const char *text = field(b, kind, name);
    return text ? text : def;
}

static bool replaced(const Builder *b, unsigned type)
{
    return b->o && b->o->replaced[type];
}

static bool asked(const Builder *b, int kind)
{
    return b->o && b->o->merged[kind];
}

/* ---- Types ----------------------------------------------------------------------------------- */

/* 7.1: only when the user says something, as firmware writes its own otherwise. */
static void type0(Builder *b)
{
    if (!asked(b, SMBIOS_T0) || replaced(b, 0))
        return;
    unsigned major = 0, minor = 0;
    const char *release = field(b, SMBIOS_T0, "release");
    Structure s = begin(b, 0, 0);
    put_string(&s, field(b, SMBIOS_T0, "vendor"));
    put_string(&s, field(b, SMBIOS_T0, "version"));
    put(&s, 2, 0xe800); /* where it starts */
    put_string(&s, field(b, SMBIOS_T0, "date"));
    put(&s, 1, 0);          /* 64 KiB */
    put(&s, 8, 1 << 3);     /* characteristics: not supported */
    put(&s, 1, 0);
    /* content distribution, a virtual machine, UEFI */
    put(&s, 1, 0x14 | (g_strcmp0(field(b, SMBIOS_T0, "uefi"), "on") == 0 ? 8 : 0));
    if (release && sscanf(release, "%u.%u", &major, &minor) == 2) {
        put(&s, 1, major);
        put(&s, 1, minor);
    } else {
        put(&s, 2, 0);
    }
    put(&s, 2, 0xffff); /* embedded controller: none */
    finish(b, &s);
}

/* 7.2.1: the first three fields have their bytes the other way round. */
static void put_uuid(Structure *s, const uint8_t uuid[16])
{
    static const uint8_t order[16] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};
    for (unsigned i = 0; i < 16; i++)
        put(s, 1, uuid[order[i]]);
}

static void uuid_bytes(const char *text, uint8_t out[16])
{
    unsigned n = 0;
    for (const char *p = text; *p && n < 32; p++) {
        if (*p == '-')
            continue;
        out[n / 2] = (uint8_t)(out[n / 2] << 4 | g_ascii_xdigit_value(*p));
        n++;
    }
}

static void type1(Builder *b)
{
    if (replaced(b, 1))
        return;
    uint8_t uuid[16] = {0};
    const char *text = field(b, SMBIOS_T1, "uuid");
    if (text)
        uuid_bytes(text, uuid);
    else if (b->m->has_uuid)
        memcpy(uuid, b->m->uuid, sizeof uuid);
    Structure s = begin(b, 1, 0x100);
    put_string(&s, field_or(b, SMBIOS_T1, "manufacturer", b->m->manufacturer));
    put_string(&s, field_or(b, SMBIOS_T1, "product", b->m->product));
    put_string(&s, field_or(b, SMBIOS_T1, "version", b->m->version));
    put_string(&s, field(b, SMBIOS_T1, "serial"));
    put_uuid(&s, uuid);
    put(&s, 1, 6); /* woken by the power switch */
    put_string(&s, field(b, SMBIOS_T1, "sku"));
    put_string(&s, field(b, SMBIOS_T1, "family"));
    finish(b, &s);
}

/* 7.3: only when asked for. */
static void type2(Builder *b)
{
    if (!asked(b, SMBIOS_T2) || replaced(b, 2))
        return;
    Structure s = begin(b, 2, 0x200);
    put_string(&s, field_or(b, SMBIOS_T2, "manufacturer", b->m->manufacturer));
    put_string(&s, field_or(b, SMBIOS_T2, "product", b->m->product));
    put_string(&s, field_or(b, SMBIOS_T2, "version", b->m->version));
    put_string(&s, field(b, SMBIOS_T2, "serial"));
    put_string(&s, field(b, SMBIOS_T2, "asset"));
    put(&s, 1, 1); /* hosting board */
    put_string(&s, field(b, SMBIOS_T2, "location"));
    put(&s, 2, 0x300);
    put(&s, 1, 0x0a); /* motherboard */
    put(&s, 1, 0);
    finish(b, &s);
}

static void type3(Builder *b)
{
    if (replaced(b, 3))
        return;
    Structure s = begin(b, 3, 0x300);
    put_string(&s, field_or(b, SMBIOS_T3, "manufacturer", b->m->manufacturer));
    put(&s, 1, 1); /* other */
    put_string(&s, field_or(b, SMBIOS_T3, "version", b->m->version));
    put_string(&s, field(b, SMBIOS_T3, "serial"));
    put_string(&s, field(b, SMBIOS_T3, "asset"));
    put(&s, 3, 0x030303); /* states: safe */
    put(&s, 1, 2);        /* security: unknown */
    put(&s, 4, 0);
    put_zero(&s, 4);
    put_string(&s, field(b, SMBIOS_T3, "sku"));
    finish(b, &s);
}

static void type4(Builder *b, unsigned socket)
{
    const SmbiosMachine *m = b->m;
    g_autofree char *designation = g_strdup_printf("%s%2x", field_or(b, SMBIOS_T4, "sock_pfx", "CPU"),
                                                   socket);
    Structure s = begin(b, 4, (uint16_t)(0x400 + socket));
    put_string(&s, designation);
    put(&s, 1, 3); /* a central processor */
    put(&s, 1, 1); /* family: other */
    put_string(&s, field_or(b, SMBIOS_T4, "manufacturer", m->manufacturer));
    put(&s, 8, smbios_number(b->o, SMBIOS_T4, "processor-id", m->processor_id));
    put_string(&s, field_or(b, SMBIOS_T4, "version", m->version));
    put(&s, 1, 0);
    put(&s, 2, 0);
    put(&s, 2, smbios_number(b->o, SMBIOS_T4, "max-speed", 2000));
    put(&s, 2, smbios_number(b->o, SMBIOS_T4, "current-speed", 2000));
    put(&s, 1, 0x41); /* there, and enabled */
    put(&s, 1, 1);
    put(&s, 6, UINT64_C(0xffffffffffff)); /* no caches */
    put_string(&s, field(b, SMBIOS_T4, "serial"));
    put_string(&s, field(b, SMBIOS_T4, "asset"));
    put_string(&s, field(b, SMBIOS_T4, "part"));
    put(&s, 1, MIN(m->cores, 255));
    put(&s, 1, MIN(m->cores, 255));
    put(&s, 1, MIN(m->threads, 255));
    put(&s, 2, 2); /* characteristics: unknown */
    put(&s, 2, 1); /* family: other */
    if (m->ep64) {
        put(&s, 2, m->cores);
        put(&s, 2, m->cores);
        put(&s, 2, m->threads);
    }
    finish(b, &s);
}

static void type8(Builder *b, const SmbiosUser *u, unsigned n)
{
    Structure s = begin(b, 8, (uint16_t)(0x800 + n));
    put_string(&s, g_hash_table_lookup(u->fields, "internal_reference"));
    put(&s, 1, 0);
    put_string(&s, g_hash_table_lookup(u->fields, "external_reference"));
    put(&s, 1, smbios_user_number(u, "connector_type", 0));
    put(&s, 1, smbios_user_number(u, "port_type", 0));
    finish(b, &s);
}

/* Where a PCI device named by the user sits; all ones when none was named. */
static bool pci_place(const Builder *b, const SmbiosUser *u, unsigned type, uint16_t *segment,
                      uint8_t *bus, uint8_t *devfn, GError **error)
{
    const char *id = g_hash_table_lookup(u->fields, "pcidev");
    if (!id)
        id = g_hash_table_lookup(u->fields, "pci_device");
    if (!id)
        return true;
    if (b->m->find_pci && b->m->find_pci(b->m->opaque, id, segment, bus, devfn))
        return true;
    return fail_usage(error, "No PCI device %s for SMBIOS type %u entry", id, type);
}

/* 7.10 */
static bool type9(Builder *b, const SmbiosUser *u, unsigned n, GError **error)
{
    uint16_t segment = 0xffff;
    uint8_t bus = 0xff, devfn = 0xff;
    if (!pci_place(b, u, 9, &segment, &bus, &devfn, error))
        return false;
    Structure s = begin(b, 9, (uint16_t)(0x900 + n));
    put_string(&s, g_hash_table_lookup(u->fields, "slot_designation"));
    put(&s, 1, smbios_user_number(u, "slot_type", 2));
    put(&s, 1, smbios_user_number(u, "slot_data_bus_width", 2));
    put(&s, 1, smbios_user_number(u, "current_usage", 2));
    put(&s, 1, smbios_user_number(u, "slot_length", 2));
    put(&s, 2, smbios_user_number(u, "slot_id", 0));
    put(&s, 1, smbios_user_number(u, "slot_characteristics1", 1));
    put(&s, 1, smbios_user_number(u, "slot_characteristics2", 0));
    put(&s, 2, segment);
    put(&s, 1, bus);
    put(&s, 1, devfn);
    put(&s, 1, 0); /* width */
    put(&s, 1, 0); /* peers */
    finish(b, &s);
    return true;
}

static bool type11(Builder *b, GError **error)
{
    guint count = b->o ? b->o->strings->len : 0;
    if (!count)
        return true;
    if (count > 255)
        return fail_usage(error, "%u OEM strings are more than the 255 that SMBIOS type 11 has", count);
    Structure s = begin(b, 11, 0xe00);
    put(&s, 1, count);
    for (guint i = 0; i < count; i++) {
        const char *text = g_ptr_array_index(b->o->strings, i);
        g_string_append_len(s.strings, *text ? text : " ", (gssize)MAX(strlen(text), 1) + 1);
    }
    s.string_count = (uint8_t)count;
    finish(b, &s);
    return true;
}

static void type16(Builder *b, unsigned devices)
{
    uint64_t kib = b->m->ram_size / KIB;
    Structure s = begin(b, 16, HANDLE_ARRAY);
    put(&s, 1, 1); /* location: other */
    put(&s, 1, 3); /* system memory */
    put(&s, 1, 6); /* corrects more than one bit */
    put(&s, 4, kib < 0x80000000 ? kib : 0x80000000);
    put(&s, 2, 0xfffe);
    put(&s, 2, devices);
    put(&s, 8, kib < 0x80000000 ? 0 : b->m->ram_size);
    finish(b, &s);
}

static void type17(Builder *b, unsigned n, uint64_t size)
{
    uint64_t mib = size / MIB, speed = smbios_number(b->o, SMBIOS_T17, "speed", 0);
    g_autofree char *locator = g_strdup_printf("%s %u", field_or(b, SMBIOS_T17, "loc_pfx", "DIMM"), n);
    Structure s = begin(b, 17, (uint16_t)(HANDLE_DEVICE + n));
    put(&s, 2, HANDLE_ARRAY);
    put(&s, 2, 0xfffe);
    put(&s, 4, 0xffffffff);              /* widths */
    put(&s, 2, mib < 0x7fff ? mib : 0x7fff);
    put(&s, 1, 9);                       /* DIMM */
    put(&s, 1, 0);
    put_string(&s, locator);
    put_string(&s, field(b, SMBIOS_T17, "bank"));
    put(&s, 1, 7);                       /* RAM */
    put(&s, 2, 2);                       /* other */
    put(&s, 2, speed);
    put_string(&s, field_or(b, SMBIOS_T17, "manufacturer", b->m->manufacturer));
    put_string(&s, field(b, SMBIOS_T17, "serial"));
    put_string(&s, field(b, SMBIOS_T17, "asset"));
    put_string(&s, field(b, SMBIOS_T17, "part"));
    put(&s, 1, 0);
    put(&s, 4, mib < 0x7fff ? 0 : mib);
    put(&s, 2, speed);
    put_zero(&s, 6);                     /* voltages */
    finish(b, &s);
}

static void type19(Builder *b, uint16_t handle, const SmbiosRange *r)
{
    uint64_t end = r->start + r->size - 1, start_kib = r->start / KIB, end_kib = end / KIB;
    bool extended = start_kib >= UINT32_MAX || end_kib >= UINT32_MAX;
    Structure s = begin(b, 19, handle);
    put(&s, 4, extended ? UINT32_MAX : start_kib);
    put(&s, 4, extended ? UINT32_MAX : end_kib);
    put(&s, 2, HANDLE_ARRAY);
    put(&s, 1, 1); /* one device a row */
    put(&s, 8, extended ? r->start : 0);
    put(&s, 8, extended ? end : 0);
    finish(b, &s);
}

static bool type41(Builder *b, const SmbiosUser *u, unsigned n, GError **error)
{
    uint16_t segment = 0;
    uint8_t bus = 0, devfn = 0;
    if (!pci_place(b, u, 41, &segment, &bus, &devfn, error))
        return false;
    Structure s = begin(b, 41, (uint16_t)(0x2900 + n));
    put_string(&s, g_hash_table_lookup(u->fields, "designation"));
    put(&s, 1, smbios_user_number(u, "kind", 1) | 0x80); /* enabled */
    put(&s, 1, smbios_user_number(u, "instance", 1));
    put(&s, 2, segment);
    put(&s, 1, bus);
    put(&s, 1, devfn);
    finish(b, &s);
    return true;
}

/* ---- All together ---------------------------------------------------------------------------- */

static void add_blobs(Builder *b)
{
    for (guint i = 0; b->o && i < b->o->blobs->len; i++) {
        gsize len;
        const void *data = g_bytes_get_data(g_ptr_array_index(b->o->blobs, i), &len);
        g_byte_array_append(b->bytes, data, (guint)len);
        b->count++;
        b->largest = MAX(b->largest, len);
    }
}

static bool add_memory(Builder *b, GError **error)
{
    const SmbiosMachine *m = b->m;
    uint64_t each = m->ram_handed_out ? m->ram_handed_out : 16 * GIB;
    uint64_t devices = (m->ram_size + each - 1) / each;
    unsigned shift = devices > DEVICES_BEFORE_RANGES ? (unsigned)devices - DEVICES_BEFORE_RANGES
                                                     : 0;
    uint64_t most = HANDLE_BOOT - HANDLE_DEVICE - m->range_count;
    if (devices > most)
        return fail_usage(error,
                          "%" PRIu64 " MiB of memory are more than SMBIOS has handles for (%" PRIu64
                          " devices of %" PRIu64 " GiB)",
                          m->ram_size / MIB, most, each / GIB);
    if (!replaced(b, 16))
        type16(b, (unsigned)devices);
    for (unsigned i = 0; !replaced(b, 17) && i < devices; i++)
        type17(b, i, MIN(each, m->ram_size - i * each));
    for (unsigned i = 0; !replaced(b, 19) && i < m->range_count; i++)
        type19(b, (uint16_t)(HANDLE_RANGE + shift + i), &m->ranges[i]);
    return true;
}

static bool add_several(Builder *b, int kind, GError **error)
{
    unsigned n = 0;
    for (guint i = 0; b->o && i < b->o->several->len; i++) {
        const SmbiosUser *u = g_ptr_array_index(b->o->several, i);
        if (u->kind != kind)
            continue;
        if (n > 255)
            return fail_usage(error, "more than 256 structures of one type");
        if (kind == SMBIOS_T8)
            type8(b, u, n);
        else if (kind == SMBIOS_T9 ? !type9(b, u, n, error) : !type41(b, u, n, error))
            return false;
        n++;
    }
    return true;
}

static bool add_all(Builder *b, GError **error)
{
    add_blobs(b);
    type0(b);
    type1(b);
    type2(b);
    type3(b);
    if (b->m->sockets > 0x400)
        return fail_usage(error, "%u sockets are more than SMBIOS has handles for", b->m->sockets);
    for (unsigned i = 0; !replaced(b, 4) && i < b->m->sockets; i++)
        type4(b, i);
    if (!add_several(b, SMBIOS_T8, error) || !add_several(b, SMBIOS_T9, error) ||
        !type11(b, error) || !add_memory(b, error))
        return false;
    if (!replaced(b, 32)) {
        Structure s = begin(b, 32, HANDLE_BOOT);
        put_zero(&s, 6);
        put(&s, 1, 0); /* no errors */
        finish(b, &s);
    }
    if (!add_several(b, SMBIOS_T41, error))
        return false;
    Structure end = begin(b, 127, 0x7f00);
    finish(b, &end);
    return true;
}

static uint8_t minus_sum(const uint8_t *p, size_t len)
{
    uint8_t sum = 0;
    while (len--)
        sum = (uint8_t)(sum + *p++);
    return (uint8_t)-sum;
}

/* 5.2.1 */
static GBytes *anchor32(const Builder *b)
{
    uint8_t a[ANCHOR_32] = "_SM_";
    a[5] = ANCHOR_32;
    a[6] = 2;
    a[7] = 8;
    st_le16(a + 8, (uint16_t)b->largest);
    memcpy(a + 16, "_DMI_", 5);
    st_le16(a + 22, (uint16_t)b->bytes->len);
    st_le16(a + 28, (uint16_t)b->count);
    a[30] = 0x28;
    a[21] = minus_sum(a + 16, 15);
    a[4] = minus_sum(a, sizeof a);
    return g_bytes_new(a, sizeof a);
}

/* 5.2.2 */
static GBytes *anchor64(const Builder *b)
{
    uint8_t a[ANCHOR_64] = "_SM3_";
    a[6] = ANCHOR_64;
    a[7] = 3;
    a[10] = 1; /* revision of the entry point */
    st_le32(a + 12, b->bytes->len);
    a[5] = minus_sum(a, sizeof a);
    return g_bytes_new(a, sizeof a);
}

bool smbios_build(SmbiosTables *out, const SmbiosOptions *o, const SmbiosMachine *m, GError **error)
{
    Builder b = {.bytes = g_byte_array_new(), .o = o, .m = m};
    if (!add_all(&b, error)) {
        g_byte_array_unref(b.bytes);
        return false;
    }
    if (!m->ep64 && b.bytes->len > UINT16_MAX) {
        fail_usage(error,
                   "SMBIOS 2.1 table length %u exceeds %u: set the machine's "
                   "smbios-entry-point-type to 64",
                   b.bytes->len, UINT16_MAX);
        g_byte_array_unref(b.bytes);
        return false;
    }
    out->anchor = m->ep64 ? anchor64(&b) : anchor32(&b);
    out->tables = g_byte_array_free_to_bytes(b.bytes);
    out->count = b.count;
    return true;
}

void smbios_tables_clear(SmbiosTables *t)
{
    g_clear_pointer(&t->anchor, g_bytes_unref);
    g_clear_pointer(&t->tables, g_bytes_unref);
}

GBytes *smbios_anchor_at(const SmbiosTables *t, uint64_t address, GError **error)
{
    gsize len;
    g_autofree uint8_t *a = g_memdup2(g_bytes_get_data(t->anchor, &len),
                                      g_bytes_get_size(t->anchor));
    if (len == ANCHOR_64) {
        st_le64(a + 16, address);
        a[5] = 0;
        a[5] = minus_sum(a, len);
    } else if (address > UINT32_MAX) {
        fail_usage(error, "the 32-bit entry point of SMBIOS cannot say address %#" PRIx64, address);
        return NULL;
    } else {
        st_le32(a + 24, (uint32_t)address);
        a[21] = 0;
        a[21] = minus_sum(a + 16, 15);
        a[4] = 0;
        a[4] = minus_sum(a, len);
    }
    return g_bytes_new(a, len);
}

GBytes *smbios_dump(const SmbiosTables *t)
{
    g_autoptr(GBytes) anchor = smbios_anchor_at(t, DUMP_TABLES_AT, NULL);
    GByteArray *out = g_byte_array_new();
    gsize len;
    const void *data = g_bytes_get_data(anchor, &len);
    g_byte_array_append(out, data, (guint)len);
    while (out->len < DUMP_TABLES_AT)
        g_byte_array_append(out, (const guint8 *)"", 1);
    data = g_bytes_get_data(t->tables, &len);
    g_byte_array_append(out, data, (guint)len);
    return g_byte_array_free_to_bytes(out);
}
