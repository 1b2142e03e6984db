/* SPDX-License-Identifier: MIT */
/* Resource descriptors. ACPI 6.4 6.4.2 (small ones) and 6.4.3 (large ones). */
#include "acpi/aml_priv.h"

#include "base/bytes.h"

#include <string.h>

/* Large descriptors: the type, then the bytes that follow. */
enum {
    LARGE_MEMORY32 = 0x86, LARGE_DWORD = 0x87, LARGE_WORD = 0x88, LARGE_INTERRUPT = 0x89,
    LARGE_QWORD = 0x8a, LARGE_GPIO = 0x8c,
};
/* Of address spaces. */
enum { KIND_MEMORY = 0, KIND_PORTS = 1, KIND_BUSES = 2, FIXED = 0x0c /* both ends are */ };
enum { MEMORY_WRITE = 1, MEMORY_CACHEABLE = 2, PORTS_ENTIRE = 3 };

void aml_io(Aml *a, uint16_t min, uint16_t max, uint8_t align, uint8_t len)
{
    uint8_t d[8] = {0x47, 1 /* decodes 16 bits */};
    st_le16(d + 2, min);
    st_le16(d + 4, max);
    d[6] = align;
    d[7] = len;
    aml_bytes(a, d, sizeof d);
}

void aml_irq(Aml *a, unsigned line)
{
    uint8_t d[3] = {0x22};
    if (line > 15)
        aml_mistake(a, "there is no ISA interrupt %u", line);
    st_le16(d + 1, (uint16_t)(1u << (line & 15)));
    aml_bytes(a, d, sizeof d);
}

void aml_dma(Aml *a, unsigned channel)
{
    const uint8_t d[3] = {0x2a, (uint8_t)(1u << (channel & 7)), 0};
    if (channel > 7)
        aml_mistake(a, "there is no DMA channel %u", channel);
    aml_bytes(a, d, sizeof d);
}

void aml_memory32(Aml *a, bool writable, uint32_t base, uint32_t len)
{
    uint8_t d[12] = {LARGE_MEMORY32, 9, 0, writable};
    st_le32(d + 4, base);
    st_le32(d + 8, len);
    aml_bytes(a, d, sizeof d);
}

void aml_interrupts(Aml *a, unsigned flags, const uint32_t *lines, unsigned count)
{
    if (count > 255)
        aml_mistake(a, "more than 255 interrupts in one descriptor");
    uint8_t d[5] = {LARGE_INTERRUPT};
    st_le16(d + 1, (uint16_t)(2 + 4 * count));
    d[3] = (uint8_t)(1 /* consumer */ | (flags & AML_EDGE ? 2 : 0) | (flags & AML_LOW ? 4 : 0) |
                     (flags & AML_SHARED ? 8 : 0));
    d[4] = (uint8_t)count;
    aml_bytes(a, d, sizeof d);
    for (unsigned i = 0; i < count; i++) {
        uint8_t line[4];
        st_le32(line, lines[i]);
        aml_bytes(a, line, sizeof line);
    }
}

void aml_gpio_interrupt(Aml *a, unsigned flags, unsigned pull, const uint16_t *pins, unsigned count,
                        const char *controller)
{
    /* Offsets count from the descriptor's first byte. */
    size_t source = 23 + 2 * count, end = source + strlen(controller) + 1;
    uint8_t d[23] = {LARGE_GPIO, 0, 0, 1 /* revision */, 0 /* an interrupt */, 1 /* consumer */};
    st_le16(d + 1, (uint16_t)(end - 3));
    d[7] = (uint8_t)((flags & AML_EDGE ? 1 : 0) | (flags & AML_LOW ? 2 : 0) |
                     (flags & AML_SHARED ? 8 : 0));
    d[9] = (uint8_t)pull;
    st_le16(d + 14, 23);
    st_le16(d + 17, (uint16_t)source);
    st_le16(d + 19, (uint16_t)end);
    aml_bytes(a, d, sizeof d);
    for (unsigned i = 0; i < count; i++) {
        uint8_t pin[2];
        st_le16(pin, pins[i]);
        aml_bytes(a, pin, sizeof pin);
    }
    aml_bytes(a, controller, strlen(controller) + 1);
}

/* ---- Address spaces ------------------------------------------------------------- */

typedef struct {
    uint8_t kind, specific;
    uint64_t min, max, translation;
} Space;

/* width: 2, 4 or 8 bytes a field. */
static void space(Aml *a, uint8_t type, unsigned width, const Space *s)
{
    const uint64_t fields[] = {0, s->min, s->max, s->translation, s->max - s->min + 1};
    uint8_t d[6 + 5 * 8] = {type};
    if (s->max < s->min)
        aml_mistake(a, "a range ends before it begins");
    st_le16(d + 1, (uint16_t)(3 + 5 * width));
    d[3] = s->kind;
    d[4] = FIXED;
    d[5] = s->specific;
    for (unsigned f = 0; f < 5; f++)
        for (unsigned i = 0; i < width; i++)
            d[6 + f * width + i] = (uint8_t)(fields[f] >> (8 * i));
    aml_bytes(a, d, 6 + 5 * width);
}

void aml_word_buses(Aml *a, uint16_t min, uint16_t max)
{
    space(a, LARGE_WORD, 2, &(Space){KIND_BUSES, 0, min, max, 0});
}

void aml_word_ports(Aml *a, uint16_t min, uint16_t max)
{
    space(a, LARGE_WORD, 2, &(Space){KIND_PORTS, PORTS_ENTIRE, min, max, 0});
}

void aml_dword_ports(Aml *a, uint32_t min, uint32_t max, uint32_t translation)
{
    space(a, LARGE_DWORD, 4, &(Space){KIND_PORTS, PORTS_ENTIRE, min, max, translation});
}

static uint8_t memory(bool cacheable)
{
    return MEMORY_WRITE | (cacheable ? MEMORY_CACHEABLE : 0);
}

void aml_dword_memory(Aml *a, bool cacheable, uint32_t min, uint32_t max)
{
    space(a, LARGE_DWORD, 4, &(Space){KIND_MEMORY, memory(cacheable), min, max, 0});
}

void aml_qword_memory(Aml *a, bool cacheable, uint64_t min, uint64_t max)
{
    space(a, LARGE_QWORD, 8, &(Space){KIND_MEMORY, memory(cacheable), min, max, 0});
}
