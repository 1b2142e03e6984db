/* SPDX-License-Identifier: MIT */
/* The AML writer against iasl: the same source through both gives the same bytes. */
#include "acpi/aml.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/wait.h>

/* What iasl makes of source, without the table's header; NULL when iasl is not there. */
static GBytes *iasl(const char *source)
{
    g_autofree char *dir = g_dir_make_tmp("aml-XXXXXX", NULL);
    g_autofree char *dsl = g_build_filename(dir, "t.dsl", NULL);
    g_autofree char *aml = g_build_filename(dir, "t.aml", NULL);
    g_autofree char *text = g_strdup_printf(
        "DefinitionBlock (\"\", \"DSDT\", 2, \"TEST\", \"TEST\", 1) {\n%s\n}\n", source);
    g_autofree char *path = g_find_program_in_path("iasl");
    GBytes *bytes = NULL;
    if (path && g_file_set_contents(dsl, text, -1, NULL)) {
        const char *argv[] = {path, "-vi", "-of", "-on", "-p", aml, dsl, NULL};
        g_autofree char *out = NULL, *data = NULL;
        gsize len;
        int status;
        g_assert_true(g_spawn_sync(dir, (char **)argv, NULL, 0, NULL, NULL, &out, NULL, &status, NULL));
        if (status)
            g_test_message("%s\n%s", text, out);
        g_assert_cmpint(status, ==, 0);
        g_assert_true(g_file_get_contents(aml, &data, &len, NULL));
        bytes = g_bytes_new(data + 36, len - 36);
        g_unlink(aml);
    }
    g_unlink(dsl);
    g_rmdir(dir);
    return bytes;
}

static GBytes *ours(const char *source)
{
    Aml *a = aml_new();
    GError *error = NULL;
    aml_asl(a, "%s", source);
    GBytes *bytes = aml_finish(a, &error);
    g_assert_no_error(error);
    return bytes;
}

static const char *const sources[] = {
    "Name (A, 0) Name (B, 1) Name (C, 0xff) Name (D, 0x100) Name (E, 0x12345678) Name (F, "
    "0x123456789abcdef0) Name (G, \"text\") Name (H, Ones) Name (I, EisaId (\"PNP0A08\"))",
    "Name (P, Package (4) { 1, \"x\", Package () { 0, 1 } }) Name (Q, Buffer (3) { 1, 2 }) "
    "Name (U, ToUUID (\"33db4d5b-1ff7-401c-9657-7441c03dd766\"))",
    "Scope (\\_SB) { Device (PCI0) { Name (_ADR, 0) } Device (PCI0.B) { Name (_ADR, 1) } Scope (PCI0.B) { } }",
    "Name (X, 0) Name (Y, 0) Method (M, 2, Serialized) { Local0 = X Local1 = Local0 + Y X = Local0 | (Y << 4) "
    "Local2 = X & 0x1f Local0 |= Y Local0 <<= 1 Local0++ Local1-- Local3 = ~X Local4 = Local3 % 7 "
    "If (Arg0 == 1) { X = 1 } ElseIf (Arg0 != 2 && Arg1 <= 5) { X = 2 } Else { X = 3 } "
    "While (Local0 > 1 || !(Local0 >= 7)) { Local0 -= 1 If (Local0 < X) { Break } Continue } "
    "Return (X + Y * 2 - 1) }",
    "OperationRegion (R, SystemIO, 0x600, 0x40) Field (R, ByteAcc, NoLock, WriteAsZeros) { AA, 1, , 3, "
    "Offset (4), BB, 32, CC, 300 } OperationRegion (S, PCI_Config, 0x60, 0xc) "
    "Field (S, DWordAcc, Lock, Preserve) { DD, 8, Offset (1), EE, 8 } Mutex (LK, 0)",
    "Device (D) { Name (_ADR, 0) } Mutex (L, 0) Name (BUF, Buffer (8) { 1, 2 }) Method (N, 1) { Notify (D, 0x80) "
    "Acquire (L, 0xffff) Release (L) CreateDWordField (BUF, 4, DWF) DWF = 1 Local0 = DerefOf (BUF [2]) "
    "BUF [Local0] = 5 Local1 = SizeOf (BUF) Local2 = ToBuffer (Local1) Local3 = Concatenate (BUF, Local2) "
    "Sleep (10) Debug = Local1 Return (ObjectType (D)) } Method (O, 2) { Local0 = N (Arg0 + 1) N (N (2)) "
    "Local0 = Package (2) { L, D } CreateField (Arg0, 8, 16, FLD) If (CondRefOf (\\_SB.XX, Local1)) { "
    "Return (1) } Return (Local0) }",
    "Method (W, 2) { Local0 = 7 / 2 Local1 = (1 << 7) | (2 ^ 3) Local2 = 1 + 2 * 3 << 4 & 0xff "
    "While (One) { Break } Local3 = (Arg1 + 1) Local4 = Arg0 [1] }",
};

static void test_source(void)
{
    g_autofree char *path = g_find_program_in_path("iasl");
    if (!path) {
        g_test_skip("no iasl");
        return;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(sources); i++) {
        g_autoptr(GBytes) a = ours(sources[i]), b = iasl(sources[i]);
        gsize alen, blen;
        const void *adata = g_bytes_get_data(a, &alen), *bdata = g_bytes_get_data(b, &blen);
        g_test_message("%s", sources[i]);
        g_assert_cmpmem(adata, alen, bdata, blen);
    }
}

/* Calls and source give the same. */
static void same(Aml *calls, const char *source)
{
    g_autoptr(GBytes) a = aml_finish(calls, NULL), b = iasl(source);
    g_assert_nonnull(a);
    if (!b) {
        g_test_skip("no iasl");
        return;
    }
    gsize alen, blen;
    const void *adata = g_bytes_get_data(a, &alen), *bdata = g_bytes_get_data(b, &blen);
    g_assert_cmpmem(adata, alen, bdata, blen);
}

static void test_resources(void)
{
    Aml *a = aml_new();
    aml_resources(a, "_CRS");
    aml_io(a, 0x60, 0x60, 1, 1);
    aml_irq(a, 12);
    aml_dma(a, 2);
    aml_memory32(a, true, 0xfed00000, 0x400);
    aml_interrupts(a, AML_SHARED, (const uint32_t[]){16, 300}, 2);
    aml_interrupts(a, AML_EDGE | AML_LOW, (const uint32_t[]){9}, 1);
    aml_word_buses(a, 0, 255);
    aml_word_ports(a, 0xd00, 0xffff);
    aml_dword_ports(a, 0, 0xffff, 0x3eff0000);
    aml_dword_memory(a, true, 0xa0000, 0xbffff);
    aml_dword_memory(a, false, 0xc0000000, 0xfebfffff);
    aml_qword_memory(a, true, 0x100000000, 0x8ffffffff);
    aml_gpio_interrupt(a, AML_EDGE, 1, (const uint16_t[]){3}, 1, "GPO0");
    aml_end(a);
    same(a, "Name (_CRS, ResourceTemplate () { IO (Decode16, 0x60, 0x60, 1, 1) IRQNoFlags () {12} "
            "DMA (Compatibility, NotBusMaster, Transfer8) {2} Memory32Fixed (ReadWrite, 0xfed00000, 0x400) "
            "Interrupt (ResourceConsumer, Level, ActiveHigh, Shared) {16, 300} "
            "Interrupt (ResourceConsumer, Edge, ActiveLow, Exclusive) {9} "
            "WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode, 0, 0, 255, 0, 256) "
            "WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange, 0, 0xd00, 0xffff, 0, 0xf300) "
            "DWordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange, 0, 0, 0xffff, 0x3eff0000, "
            "0x10000) "
            "DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, Cacheable, ReadWrite, 0, 0xa0000, "
            "0xbffff, 0, 0x20000) "
            "DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite, 0, "
            "0xc0000000, 0xfebfffff, 0, 0x3ec00000) "
            "QWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, Cacheable, ReadWrite, 0, "
            "0x100000000, 0x8ffffffff, 0, 0x800000000) "
            "GpioInt (Edge, ActiveHigh, Exclusive, PullUp, 0, \"GPO0\", 0, ResourceConsumer) {3} })");
}

static void test_bodies(void)
{
    Aml *a = aml_new();
    aml_scope(a, "\\_SB");
    aml_device(a, "DEV0");
    aml_name_string(a, "_HID", "QEMU0002");
    aml_name_eisaid(a, "_CID", "PNP0A03");
    aml_name_package(a, "PKG", 2);
    aml_package(a, 2);
    aml_int(a, 0x1ffff);
    aml_ref(a, "DEV0");
    aml_end(a);
    aml_string(a, "x");
    aml_end(a);
    aml_name_buffer(a, "BUF");
    for (unsigned i = 0; i < 5000; i++) /* a length of three bytes */
        aml_bytes(a, "\x07", 1);
    aml_end(a);
    aml_method(a, "MTH", 1, true);
    aml_asl(a, "Return (Arg0)");
    aml_end(a);
    aml_end(a);
    aml_end(a);
    g_autoptr(GString) source = g_string_new("Scope (\\_SB) { Device (DEV0) { Name (_HID, "
                                             "\"QEMU0002\") Name (_CID, EisaId (\"PNP0A03\")) "
                                             "Name (PKG, Package (2) { Package (2) { 0x1ffff, DEV0 "
                                             "}, \"x\" }) Name (BUF, Buffer () { 7");
    for (unsigned i = 1; i < 5000; i++)
        g_string_append(source, ", 7");
    g_string_append(source, " }) Method (MTH, 1, Serialized) { Return (Arg0) } } }");
    same(a, source->str);
}

static void refused(void (*make)(Aml *), const char *text)
{
    Aml *a = aml_new();
    GError *error = NULL;
    make(a);
    g_assert_null(aml_finish(a, &error));
    g_assert_nonnull(error);
    if (!strstr(error->message, text))
        g_test_message("'%s' is not in '%s'", text, error->message);
    g_assert_nonnull(strstr(error->message, text));
    g_error_free(error);
}

static void long_name(Aml *a) { aml_ref(a, "ABCDE"); }
static void low_name(Aml *a) { aml_ref(a, "abcd"); }
static void digit_name(Aml *a) { aml_ref(a, "\\_SB.0ABC"); }
static void dot_name(Aml *a) { aml_ref(a, "\\_SB."); }
static void empty_name(Aml *a) { aml_ref(a, ""); }
static void still_open(Aml *a) { aml_device(a, "X"); }
static void none_open(Aml *a) { aml_end(a); }
static void bad_eisa(Aml *a) { aml_eisaid(a, "PNP0"); }
static void no_brace(Aml *a) { aml_asl(a, "Method (X) { Return (1)"); }
static void no_operand(Aml *a) { aml_asl(a, "Local0 = = 1"); }
static void backward(Aml *a) { aml_asl(a, "Field (A, ByteAcc, NoLock, Preserve) { B, 32, Offset (1), C, 8 }"); }
static void bad_uuid(Aml *a) { aml_asl(a, "Name (X, ToUUID (\"1234\"))"); }

static void deep(Aml *a)
{
    g_autoptr(GString) s = g_string_new("Local0 = ");
    for (int i = 0; i < 100000; i++)
        g_string_append_c(s, '(');
    aml_asl(a, "%s", s->str);
}

static void test_mistakes(void)
{
    refused(long_name, "'ABCDE' is not a name");
    refused(low_name, "'abcd' is not a name");
    refused(digit_name, "is not a name");
    refused(dot_name, "is not a name");
    refused(empty_name, "a name is missing");
    refused(still_open, "1 bodies are still open");
    refused(none_open, "nothing is open");
    refused(bad_eisa, "EISA");
    refused(no_brace, "'}' is wanted");
    refused(no_operand, "an operand is wanted");
    refused(backward, "Offset goes back");
    refused(bad_uuid, "no UUID");
    refused(deep, "too deep");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/acpi/aml/source-as-iasl-has-it", test_source);
    g_test_add_func("/acpi/aml/resources-as-iasl-has-them", test_resources);
    g_test_add_func("/acpi/aml/bodies-as-iasl-has-them", test_bodies);
    g_test_add_func("/acpi/aml/mistakes-are-told", test_mistakes);
    return g_test_run();
}
