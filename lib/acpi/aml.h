/* SPDX-License-Identifier: MIT */
/*
 * Writing AML, the byte code of ACPI's namespace (ACPI 6.4 chapter 20).
 *
 * An Aml is a stream: what has a body is opened, filled and closed by aml_end. What is fixed is
 * best written as source, with aml_asl; what depends on a machine, with the calls here. Descriptors
 * of resource templates (chapter 6.4) go between aml_resources and aml_end.
 *
 * Mistakes (a name that is none, a body left open, source that does not parse) are remembered, and
 * aml_finish fails with the first; so calls in between need no checks. One thread.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct Aml Aml;

Aml *aml_new(void);
void aml_free(Aml *a);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Aml, aml_free)
/* All bytes so far; NULL with *error when something was wrong. Frees a. */
GBytes *aml_finish(Aml *a, GError **error);
/* The number of bytes so far; what is open does not count its length field yet, so this is an
   offset in the result only while nothing is open. */
size_t aml_size(const Aml *a);
/* Remembers a mistake; the first stays. */
void aml_mistake(Aml *a, const char *fmt, ...) G_GNUC_PRINTF(2, 3);

/*
 * Source in the notation of ASL with C's operators, such as
 *     Method (IQST, 1) { If (Arg0 & 0x80) { Return (0x09) } Return (0x0B) }
 * Known are: Scope Device Method Name OperationRegion Field Mutex If ElseIf Else While Break
 * Continue Return Notify Acquire Release Store-by-"=" and "|=" and their like, "++", "--", calls,
 * Index by "[ ]", DerefOf SizeOf ObjectType ToBuffer ToHexString ToInteger Concatenate
 * ConcatenateResTemplate CondRefOf CreateField and its kin, Sleep, Package, Buffer, ToUUID, EisaId,
 * LocalN, ArgN, Debug. No folding of constants. The format is printf's.
 */
void aml_asl(Aml *a, const char *fmt, ...) G_GNUC_PRINTF(2, 3);

/* ---- What is opened, and closed by aml_end ----------------------------------- */

/* Names are absolute ("\\_SB.PCI0"), relative ("PCI0") or upward ("^X"); segments of one to four of
   A-Z 0-9 _ that begin with no digit. */
void aml_scope(Aml *a, const char *name);
void aml_device(Aml *a, const char *name);
void aml_method(Aml *a, const char *name, unsigned args, bool serialized);
/* Name (name, Package {...}): the elements follow, counted by the caller, at most 255. */
void aml_name_package(Aml *a, const char *name, unsigned count);
/* A package within. */
void aml_package(Aml *a, unsigned count);
/* Name (name, ResourceTemplate {...}) */
void aml_resources(Aml *a, const char *name);
/* Name (name, Buffer {...}), bytes by aml_bytes */
void aml_name_buffer(Aml *a, const char *name);
void aml_end(Aml *a);

/* ---- Objects ------------------------------------------------------------------ */

/* The start of Name (name, object): the object must follow. */
void aml_name(Aml *a, const char *name);
void aml_int(Aml *a, uint64_t value);
void aml_string(Aml *a, const char *text);
/* A name as an operand or element. */
void aml_ref(Aml *a, const char *name);
/* "PNP0A03" as the number that stands for it. */
void aml_eisaid(Aml *a, const char *id);
void aml_bytes(Aml *a, const void *data, size_t len);
void aml_name_int(Aml *a, const char *name, uint64_t value);
void aml_name_string(Aml *a, const char *name, const char *text);
void aml_name_eisaid(Aml *a, const char *name, const char *id);
/* Name (name, Unicode (text)): for people, as _STR is (6.1.10). */
void aml_name_unicode(Aml *a, const char *name, const char *text);

/* 16 bytes as ToUUID orders them; false when text is none. */
bool aml_uuid(const char *text, uint8_t out[16]);

/* ---- Resource descriptors (6.4) ------------------------------------------------ */

/* The small ones: decoded ports, lines of the old interrupt controller, a DMA channel. */
void aml_io(Aml *a, uint16_t min, uint16_t max, uint8_t align, uint8_t len);
void aml_irq(Aml *a, unsigned line);
void aml_dma(Aml *a, unsigned channel);
void aml_memory32(Aml *a, bool writable, uint32_t base, uint32_t len);

enum { AML_EDGE = 1, AML_LOW = 2, AML_SHARED = 4 };
/* Extended interrupts a consumer uses; flags of the enum above, default level, high, exclusive. */
void aml_interrupts(Aml *a, unsigned flags, const uint32_t *lines, unsigned count);

/* Pins of a GPIO controller that raise events: pull 0..3, flags AML_EDGE and AML_LOW. */
void aml_gpio_interrupt(Aml *a, unsigned flags, unsigned pull, const uint16_t *pins, unsigned count,
                        const char *controller);

/* Ranges that a bridge passes on: buses, ports, memory. cacheable and translation are of memory and
   ports; length is max - min + 1. */
void aml_word_buses(Aml *a, uint16_t min, uint16_t max);
void aml_word_ports(Aml *a, uint16_t min, uint16_t max);
void aml_dword_ports(Aml *a, uint32_t min, uint32_t max, uint32_t translation);
void aml_dword_memory(Aml *a, bool cacheable, uint32_t min, uint32_t max);
void aml_qword_memory(Aml *a, bool cacheable, uint64_t min, uint64_t max);
